"""CSV: UTF-8 with or without a byte order mark, separated by commas, numbers with a point.

Rows end at a line feed, a carriage return or both, and at no other character. A file truncated inside a quoted cell or
before the last cell of a row is rejected; if it was truncated inside the last cell, or at its end, a note says that the last line
has no line break at its end. A file truncated at the end of a line cannot be distinguished from a complete one.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from .._check import MISSING, InputError, Problem, shown_key
from ..words import _
from .cells import LONGEST, Table, bare, make_table

__all__ = ["read"]

_SAVE = "save it as 'CSV UTF-8 (comma delimited)'"
# Cells of a text, quoted or not, with the text after the closing quotation mark and the end of the cell.
_CELL = re.compile(r'(?P<quoted>"(?:[^"]++|"")*+(?P<closed>"?))?(?P<rest>[^,\r\n]*)(?P<end>,|\r\n|\r|\n|\Z)')
_LINE_BREAK = re.compile(r"\r\n|\r|\n")
_BLANK_BEFORE_QUOTE = re.compile(r'[^\S\r\n]"')
# First bytes of files that are not text but have the name of a CSV file.
_OTHER_KINDS = ((b"PK\x03\x04", "an Excel workbook or another zip archive"), (b"\xd0\xcf\x11\xe0", "an old Excel workbook (.xls)"))


def read(path: Path, content: bytes, fold: Callable[[str], str]) -> list[Table]:
    """Read the table of a CSV file; the number of a row is that of its first line, so that the header is row 1."""
    source = str(path)
    rows = _rows(_decoded(content, source), source)
    if not rows:
        raise InputError("is empty", source=source)
    (header_line, header), *lines = rows
    _refuse_other_separators(header, source)
    columns = [fold(bare(cell)) for cell in header]
    wrong = [
        Problem(f"row {number}", MISSING, f"has {len(line)} cells, but the header has {len(columns)}{_comma(line, columns)}")
        for number, line in lines
        if len(line) != len(columns)
    ]
    if wrong:
        raise InputError(wrong[:20], source=source)
    last = lines[-1][0] if lines else header_line
    cut = (
        ()
        if content.endswith((b"\n", b"\r"))
        else (_("row {row}, the last, has no line break at its end: it may be truncated").format(row=last),)
    )
    return [make_table(path.name, columns, lines, notes=cut)]


def _decoded(content: bytes, source: str) -> str:
    other = next((words for start, words in _OTHER_KINDS if content.startswith(start)), None)
    if other is not None:
        raise InputError(f"is not UTF-8 text but {other}: give it the name of its kind, or {_SAVE}", source=source)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"is not UTF-8 text: {_SAVE} (row {line} has the first other byte)", source=source) from None
    if "\0" in text:
        raise InputError(f"is not UTF-8 text, because it has zero bytes: {_SAVE}", source=source)
    return text


def _rows(text: str, source: str) -> list[tuple[int, list[str]]]:
    """Return the rows with any text, each with the number of its first line."""
    # Such cells are searched only in a file that may have any.
    suspect = _BLANK_BEFORE_QUOTE.search(text) is not None
    rows: list[tuple[int, list[str]]] = []
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    start = 1
    try:
        for cells in lines:
            if any(cell.strip() for cell in cells):
                rows.append((start, cells))
            if suspect:
                _refuse_blank_before_quote(cells, start, rows, source)
            start = lines.line_num + 1
    except csv.Error as error:
        if "field limit" in str(error):
            problem = Problem(f"row {start}", MISSING, f"a cell has more than {LONGEST:,} characters: a quote may not be closed")
        else:
            problem = _fault(text, start, rows[0][1] if rows else (), str(error))
        raise InputError(problem, source=source) from None
    return rows


def _refuse_blank_before_quote(cells: Sequence[str], row: int, rows: list[tuple[int, list[str]]], source: str) -> None:
    for place, cell in enumerate(cells):
        if cell[:1] != '"' and cell.lstrip()[:1] == '"':
            allowed = "has a space before its quote, which then does not quote the cell: delete the space"
            raise InputError(Problem(_place(row, place, rows[0][1]), MISSING, allowed), source=source)


def _fault(text: str, start: int, header: Sequence[str], error: str) -> Problem:
    """Return the problem with the quotation marks of the row that begins on a line."""
    position = 0
    for _line in range(start - 1):
        found = _LINE_BREAK.search(text, position)
        position = found.end() if found is not None else len(text)
    row, place = start, 0
    for cell in _CELL.finditer(text, position):
        if cell["quoted"] and not cell["closed"]:
            return Problem(_place(row, place, header), MISSING, "a quote is not closed: it contains all later rows")
        if cell["quoted"] and cell["rest"]:
            allowed = "has text after its closing quote: a quote inside a cell must be doubled, or one is not closed"
            return Problem(_place(row, place, header), MISSING, allowed)
        row += len(_LINE_BREAK.findall(cell[0]))
        place = place + 1 if cell["end"] == "," else 0
    return Problem(f"row {start}", MISSING, f"is not CSV: {error}")


def _place(row: int, place: int, header: Sequence[str]) -> str:
    """Return the location of a cell as described in messages."""
    name = bare(header[place]) if place < len(header) else ""
    return f"row {row}, {shown_key(name[:40]) if name else f'cell {place + 1}'}"


def _comma(line: list[str], columns: list[str]) -> str:
    more = ": a comma inside a cell needs quotes, a decimal comma must be a point, and thousands have no separator"
    return more if len(line) > len(columns) else ": the row may be truncated"


def _refuse_other_separators(header: list[str], source: str) -> None:
    """Raise if a header of one cell has another separator than commas, or states its separator."""
    if re.fullmatch("sep=.?", header[0]) and len(header) < 3:
        raise InputError(f"begins with a line that states a separator: delete the line, or {_SAVE}", source=source)
    for separator, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")):
        if separator in header[0] and len(header) == 1:
            raise InputError(f"is separated by {name}: {_SAVE}, with decimal points", source=source)
