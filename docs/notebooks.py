"""Pages of the notebooks: as they were run, from the folder that DOSEFIND_NOTEBOOKS names, or run here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["write"]

ROOT = Path(__file__).parents[1]
# Seconds that one cell may take.
LONGEST = 300


def write(source: Path) -> None:
    """Write a page a notebook, and their list, into ``tutorials``."""
    folder = source / "tutorials"
    pages = [page for page in sorted((ROOT / "notebooks").glob("*.py")) if "# %%" in page.read_text(encoding="utf-8")]
    given = os.environ.get("DOSEFIND_NOTEBOOKS")
    if given:
        for page in pages:
            shutil.copy(Path(given) / f"{page.stem}.ipynb", folder)
    elif (ROOT / "notebooks" / "run.py").exists():
        subprocess.run([sys.executable, "-m", "notebooks.run", str(folder)], cwd=ROOT, check=True)
    else:
        for page in pages:
            _run(page, folder / f"{page.stem}.ipynb")
    listing = "\n".join(page.stem for page in pages)
    with (folder / "index.md").open("a", encoding="utf-8") as index:
        index.write(f"\n```{{toctree}}\n:maxdepth: 1\n\n{listing}\n```\n")


def _run(page: Path, target: Path) -> None:
    """Run a notebook from the root of the project, from where its paths are."""
    import jupytext
    import nbformat
    from nbclient import NotebookClient

    book = jupytext.read(page)
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    NotebookClient(book, timeout=LONGEST, resources={"metadata": {"path": str(ROOT)}}).execute()
    nbformat.write(book, target)
