"""Excel workbooks (.xlsx): every sheet is a table; formulas are never evaluated.

The size that a sheet states is not trusted. Rows and cells must be in the order of their numbers, each once, as Excel
writes them: of two rows with the same number openpyxl keeps one.
"""

from __future__ import annotations

import io
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from .._check import MISSING, InputError, Problem, shown_key
from ..words import _
from .cells import NoValue, Table, bare, make_table

__all__ = ["read"]

# Maximum size of a workbook's parts when unpacked: a file of some kilobytes can hold gigabytes.
_MOST_UNPACKED = 50_000_000
_OLD = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_DAMAGED = "is not an Excel workbook (.xlsx), or is damaged or encrypted"
_FORMULA = "is a formula, but formulas are not evaluated: replace it with its value"
_ERROR = "is a spreadsheet error: replace it with its value, or leave the cell empty"
_NO_DAY = "is a time of day, a duration or a number shown as a date: must be a date from 1901 on, or text such as 2024-03-05"
# Earlier days are numbers from 0 to 366, in which Excel has a day that did not exist (1900-02-29).
_FIRST_DAY = date(1901, 1, 1)
_ANEW = ": the file is damaged; open it in the spreadsheet, check it and save it again"
_NOT_AVAILABLE = "#N/A"
_BOOK = "xl/workbook.xml"
_SHEET = re.compile(rb"<(?:\w+:)?sheet\s")


class _Sheet(NamedTuple):
    """A sheet: rows with text, each with its number and its cells by column; parts out of order; hidden and merged parts."""

    title: str
    hidden: bool
    lines: list[tuple[int, dict[int, str]]]
    problems: list[Problem]
    hidden_rows: list[int]
    merged: list[Any]


def read(path: Path, content: bytes, fold: Callable[[str], str]) -> list[Table]:
    """Return the tables of a workbook, one per sheet; the number of a row is that of the sheet."""
    source = str(path)
    _check_archive(content, source)
    sheets = _sheets(content, source)
    if not sheets:
        raise InputError("has no sheet with cells, only charts", source=source)
    titles = Counter(sheet.title.casefold() for sheet in sheets)
    twice = [shown_key(sheet.title) for sheet in sheets if titles[sheet.title.casefold()] > 1]
    if twice:
        raise InputError(f"has several sheets of the same name ({', '.join(twice)}): rename or delete one", source=source)
    return [_table(f"{path.name} sheet {shown_key(sheet.title)}", sheet, fold) for sheet in sheets]


def _check_archive(content: bytes, source: str) -> None:
    """Raise if the bytes are not a zip archive, or are one that is too large when unpacked."""
    if content.startswith(_OLD):
        kind = (
            "is encrypted: save it without a password"
            if _ENCRYPTED in content
            else "is an old Excel workbook (.xls): save it as .xlsx"
        )
        raise InputError(kind, source=source)
    try:
        parts = zipfile.ZipFile(io.BytesIO(content)).infolist()
    except Exception:  # whatever zipfile says of bytes that are no archive
        raise InputError(_DAMAGED, source=source) from None
    size = sum(part.file_size for part in parts)
    if len({part.filename for part in parts}) < len(parts):
        raise InputError("is damaged: it has two parts of the same name", source=source)
    if size > _MOST_UNPACKED:
        raise InputError(
            f"has {size / 1e6:,.0f} MB unpacked, but at most {_MOST_UNPACKED / 1e6:,.0f} MB are read: remove parts that are not "
            "data",
            source=source,
        )


def _sheets(content: bytes, source: str) -> list[_Sheet]:
    try:
        import openpyxl
        from openpyxl.worksheet._reader import WorkSheetParser
    except ModuleNotFoundError:
        raise InputError("an Excel file needs openpyxl: pip install 'dosefind[excel]'", source=source) from None
    sheets = []
    with warnings.catch_warnings():
        # Parts that openpyxl ignores (drop-down lists, conditional formats) are not needed here.
        warnings.filterwarnings("ignore", category=UserWarning, module="openpyxl")
        try:
            book: Any = openpyxl.load_workbook(io.BytesIO(content), read_only=True, keep_links=False)
            # openpyxl does not report a sheet that the workbook lists but the file lacks.
            listed = book._archive.read(_BOOK) if _BOOK in book._archive.namelist() else b""
            for sheet in book.worksheets:
                with sheet._get_source() as xml:
                    # The rows of a sheet object omit parts that are out of order.
                    parser = WorkSheetParser(
                        xml,
                        sheet._shared_strings,
                        epoch=book.epoch,
                        date_formats=book._date_formats,
                        timedelta_formats=book._timedelta_formats,
                    )
                    lines, problems = _lines(parser.parse())
                hidden = [int(number) for number, row in parser.row_dimensions.items() if row.get("hidden") in ("1", "true")]
                merged = [] if parser.merged_cells is None else parser.merged_cells.mergeCell
                sheets.append(_Sheet(sheet.title, sheet.sheet_state != "visible", lines, problems, hidden, list(merged)))
        except Exception:  # whatever zipfile, zlib, an XML parser or openpyxl say of bytes that are no workbook
            raise InputError(_DAMAGED, source=source) from None
    if b"purl.oclc.org/ooxml" in listed:
        raise InputError("is a Strict Open XML workbook, which is not read: save it as an Excel workbook (.xlsx)", source=source)
    if len(_SHEET.findall(listed)) > len(book.sheetnames):
        raise InputError("is damaged: a listed sheet is missing", source=source)
    return sheets


def _table(name: str, sheet: _Sheet, fold: Callable[[str], str]) -> Table:
    lines = sheet.lines
    if not lines:
        return Table(name, (), [])
    header_row = lines[0][0]
    columns = sorted({column for _, cells in lines for column in cells})
    header = [fold(bare(lines[0][1].get(column, ""))) or f"column {_letters(column)}" for column in columns]
    problems = [*sheet.problems, *_merged(sheet.merged, lines, header_row)]
    notes = [_("the sheet is hidden, but is read")] if sheet.hidden else []
    hidden = sorted({number for number, _ in lines} & set(sheet.hidden_rows))
    if hidden:
        rows = ", ".join([*map(str, hidden[:20]), *(["..."] if len(hidden) > 20 else [])])
        notes.append(_("hidden rows are read too: {rows}").format(rows=rows))
    rows = ((number, [cells.get(column, "") for column in columns]) for number, cells in lines[1:])
    return make_table(name, header, rows, notes, problems)


def _lines(rows: Iterable[tuple[int, list[dict[str, Any]]]]) -> tuple[list[tuple[int, dict[int, str]]], list[Problem]]:
    """Return the rows with text, each cell by the number of its column, and the parts out of order."""
    lines: list[tuple[int, dict[int, str]]] = []
    problems = []
    last_row = 0
    for number, cells in rows:
        texts: dict[int, str] = {}
        last = 0
        for cell in cells:
            if cell["value"] is None or not (text := _text(cell["value"], cell["data_type"])).strip():
                continue
            column = cell["column"]
            if column <= last or cell["row"] != number:
                place = f"row {number}, cell {_letters(column)}{cell['row']}"
                allowed = "belongs to another row" if cell["row"] != number else "is present twice, or after a cell to its right"
                problems.append(Problem(place, MISSING, f"{allowed}{_ANEW}"))
            last = column
            texts[column] = text
        if not texts:
            continue
        if number <= last_row:
            allowed = "is present twice" if number == last_row else f"comes after row {last_row}"
            problems.append(Problem(f"row {number}", MISSING, f"{allowed}{_ANEW}"))
        last_row = max(number, last_row)
        lines.append((number, texts))
    return lines, problems


def _merged(ranges: Iterable[Any], lines: list[tuple[int, dict[int, str]]], header_row: int) -> list[Problem]:
    """Yield a problem for each group of merged cells with a value, which only the first of them has."""
    texts = dict(lines)
    return [
        Problem(
            f"cells {group.ref}",
            MISSING,
            "are merged, and only the first has the value: unmerge them, and write the value into each cell",
        )
        for group in ranges
        if group.max_row >= header_row and (group.min_row, group.min_col) != (group.max_row, group.max_col)
        if group.min_col in texts.get(group.min_row, {})
    ]


def _letters(column: int) -> str:
    """Return the letters of a column from its number, as in spreadsheets."""
    letters = ""
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def _text(value: Any, kind: str) -> str:
    """Return a cell as a CSV file would have it."""
    if kind == "f":
        return NoValue.because(value if isinstance(value, str) else "=...", _FORMULA)
    if kind == "e" and value != _NOT_AVAILABLE:
        return NoValue.because(str(value), _ERROR)
    if isinstance(value, str):
        return value
    if isinstance(value, date):
        has_time = isinstance(value, datetime) and value.time() != time()
        text = value.isoformat() if has_time or not isinstance(value, datetime) else value.date().isoformat()
        return text if value.year >= _FIRST_DAY.year else NoValue.because(text, _NO_DAY)
    if isinstance(value, time | timedelta):
        return NoValue.because(str(value), _NO_DAY)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
