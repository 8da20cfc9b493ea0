"""Run the notebooks from top to bottom, once: the documentation shows their output.

``python -m notebooks.run OUT`` runs every page of this folder, or those listed after it, and writes each as OUT/NAME.ipynb with its
outputs. ``python -m notebooks.run notebooks`` updates the notebooks of this folder. The text files (jupytext's percent
format) are the source; the notebooks in the same folder are made from these.

A cell that fails, warns, or prints ends the run; so does one that takes longer than `LONGEST` seconds.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGES = sorted(HERE.glob("[0-9]_*.py"))
# Seconds after which a cell is stopped (with two cores free, none takes half a minute), and maximum bytes of a notebook with
# outputs.
LONGEST, LARGEST = 300, 300_000
# Parts of a notebook that depend on the machine or the day on which it ran.
_OF_THE_MACHINE = re.compile(r"(?:/(?:home|root|tmp|Users|usr|var)/\S*)|\b\d{1,2}:\d\d:\d\d\b|\bCPU times\b|0x[0-9a-f]{8,}")


def read(page: Path) -> Any:
    """Return a page as a notebook without outputs; its cells are numbered, so that the same page is the same notebook."""
    import jupytext

    notebook = jupytext.read(page)
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"
    return notebook


def run(page: Path) -> Any:
    """Return a page with its outputs, as a notebook."""
    from nbclient import NotebookClient

    notebook = read(page)
    # Notebooks are opened in their own folder. Warnings of a cell go to standard error.
    client = NotebookClient(
        notebook,
        timeout=LONGEST,
        kernel_name="python3",
        resources={"metadata": {"path": str(HERE)}},
        record_timing=False,
        # The kernel itself reports errors only: that its connection on this machine is open is irrelevant.
        extra_arguments=["--IPKernelApp.log_level=40"],
    )
    client.execute()
    for number, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            if output["output_type"] == "stream":
                raise RuntimeError(f"{page.name}, cell {number} prints to {output['name']}: {output['text']}")
            _slim(output)
    notebook.metadata["language_info"] = {"name": "python"}
    text = text_of(notebook)
    if found := _OF_THE_MACHINE.search(text):
        raise RuntimeError(f"{page.name} shows data of this machine or day: {found[0]}")
    if len(text.encode()) > LARGEST:
        raise RuntimeError(f"{page.name} has {len(text.encode()):,} bytes with its outputs, more than {LARGEST:,}")
    return notebook


def _slim(output: dict[str, Any]) -> None:
    """Keep the smaller, sharper format of a figure in two formats; remove the text of outputs that have HTML."""
    data = output.get("data", {})
    if "image/svg+xml" in data:
        data.pop("image/png", None)
    if data.keys() & {"image/svg+xml", "text/html", "text/markdown"}:
        data.pop("text/plain", None)


def text_of(notebook: Any) -> str:
    """Return a notebook as written."""
    import nbformat

    return nbformat.writes(notebook, version=4) + "\n"


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m notebooks.run", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("out", type=Path, help="folder for the notebooks with their outputs")
    parser.add_argument("page", nargs="*", type=int, help="numbers of the pages to run; all by default")
    given = parser.parse_args(words)
    if missing := [name for name in ("jupytext", "nbclient", "ipykernel", "matplotlib") if find_spec(name) is None]:
        print(f"notebooks need {', '.join(missing)}, not installed here: pip install -e '.[notebooks]'", file=sys.stderr)
        return 2
    given.out.mkdir(parents=True, exist_ok=True)
    for page in PAGES:
        if given.page and int(page.name[0]) not in given.page:
            continue
        began = time.perf_counter()
        text = text_of(run(page))
        (given.out / f"{page.stem}.ipynb").write_text(text, encoding="utf-8")
        print(f"{page.stem}: {time.perf_counter() - began:.1f} s, {len(text.encode()):,} bytes", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
