"""Notebooks: text and notebook agree, outputs are small and of no machine, and every page runs from top to bottom.

With ``DOSEFIND_NOTEBOOKS=FOLDER`` those that ``python -m notebooks.run FOLDER`` has run are not run again; the site shows them.
"""

import os
import re
from pathlib import Path

import nbformat
import pytest

from notebooks.run import LARGEST, PAGES, read, run

PAGE = """# %% [markdown]
# A page.

# %%
{}
"""


def cells(notebook):
    return [(one.cell_type, one.source, one.metadata.get("tags")) for one in notebook.cells]


def test_pages_are_numbered():
    assert [page.name[:2] for page in PAGES] == [f"{number}_" for number in range(1, len(PAGES) + 1)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_text_and_notebook_agree(page):
    """``python -m notebooks.run notebooks`` brings the notebooks up to date."""
    path = page.with_suffix(".ipynb")
    kept = nbformat.read(path, 4)
    nbformat.validate(kept)
    assert cells(kept) == cells(read(page))
    assert path.stat().st_size <= LARGEST
    outputs = [one for cell in kept.cells for one in cell.get("outputs", [])]
    assert outputs
    assert {one["output_type"] for one in outputs} <= {"execute_result", "display_data"}
    # No day or machine: neither when it ran nor where.
    assert not any("execution" in cell.metadata for cell in kept.cells)
    assert str(Path.home()) not in path.read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_asks_and_answers(page):
    notebook = read(page)
    assert re.search(r"\*\*[^*]+\?\*\*", notebook.cells[0].source)
    headings = [line for cell in notebook.cells for line in cell.source.splitlines() if line.startswith("## ")]
    assert headings[-1] == "## The answer"


@pytest.mark.notebooks
@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page_runs(page):
    folder = os.environ.get("DOSEFIND_NOTEBOOKS")
    ran = nbformat.read(Path(folder) / f"{page.stem}.ipynb", 4) if folder else run(page)
    assert cells(ran) == cells(read(page))
    assert any(cell.get("outputs") for cell in ran.cells)


@pytest.mark.notebooks
@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("print('stray')", "prints to stdout: stray"),
        ("import warnings; warnings.warn('look out')", "look out"),
        ("'/home/someone/data.csv'", "of this machine or day: /home/someone"),
    ],
)
def test_a_page_that_fails_warns_or_prints_is_refused(code, says, tmp_path):
    page = tmp_path / "9_page.py"
    page.write_text(PAGE.format(code))
    with pytest.raises(Exception, match=re.escape(says)):
        run(page)
