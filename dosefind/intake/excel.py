"""Excel workbooks (.xlsx): every sheet a table, formulas never evaluated."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterable
from datetime import date, datetime
from pathlib import Path
from typing import Any

from .._check import InputError, shown_key
from .cells import Formula, Table, make_table

__all__ = ["read"]


def read(path: Path, content: bytes, fold: Callable[[str], str]) -> list[Table]:
    """The tables of a workbook, a sheet each; a row's number is that of the sheet."""
    try:
        import openpyxl
    except ModuleNotFoundError:
        raise InputError("an Excel file needs openpyxl: pip install 'dosefind[excel]'", source=str(path)) from None
    with warnings.catch_warnings():
        # What openpyxl leaves out (drop-down lists, conditional formats) is not read here.
        warnings.filterwarnings("ignore", category=UserWarning, module="openpyxl")
        try:
            book = openpyxl.load_workbook(io.BytesIO(content), read_only=True)
            sheets = {sheet.title: [[_text(cell) for cell in row] for row in _all_rows(sheet)] for sheet in book.worksheets}
        except Exception:  # whatever zipfile, zlib, an XML parser or openpyxl say of bytes that are no workbook
            raise InputError("is no Excel workbook (.xlsx), or is damaged or encrypted", source=str(path)) from None
    return [_table(f"{path.name} sheet {shown_key(title)}", lines, fold) for title, lines in sheets.items()]


def _all_rows(sheet: Any) -> Iterable[Any]:
    """Return all rows of a sheet: what it states of its own size is not believed, as openpyxl would leave out rows beyond it."""
    sheet.reset_dimensions()
    return sheet.iter_rows()


def _table(name: str, cells: list[list[str]], fold: Callable[[str], str]) -> Table:
    lines = list(enumerate(cells, start=1))
    lines = [(number, line) for number, line in lines if any(cell.strip() for cell in line)]
    if not lines:
        return Table(name, (), [])
    width = max(len(line) for _, line in lines)
    padded = [(number, [*line, *[""] * (width - len(line))]) for number, line in lines]
    return make_table(name, [fold(cell.strip()) for cell in padded[0][1]], padded[1:])


def _text(cell: Any) -> str:
    """A cell as a CSV file would have it."""
    value = cell.value
    if value is None:
        return ""
    if cell.data_type == "f":
        return Formula(value if isinstance(value, str) else "=...")
    if isinstance(value, datetime):
        return value.isoformat() if value.time() != value.min.time() else value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
