"""Pages of the notebooks: as run before, from the folder in DOSEFIND_NOTEBOOKS, or run here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["write"]

ROOT = Path(__file__).parents[1]


def write(source: Path) -> None:
    """Write one page per notebook, and their list, into ``tutorials``."""
    folder = source / "tutorials"
    pages = sorted((ROOT / "notebooks").glob("[0-9]_*.py"))
    given = os.environ.get("DOSEFIND_NOTEBOOKS")
    if given:
        for page in pages:
            shutil.copy(Path(given) / f"{page.stem}.ipynb", folder)
    else:
        subprocess.run([sys.executable, "-m", "notebooks.run", str(folder)], cwd=ROOT, check=True)
    listing = "\n".join(page.stem for page in pages)
    with (folder / "index.md").open("a", encoding="utf-8") as index:
        index.write(f"\n```{{toctree}}\n:maxdepth: 1\n\n{listing}\n```\n")
