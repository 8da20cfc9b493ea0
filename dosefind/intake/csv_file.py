"""CSV: UTF-8 with or without a byte order mark, separated by commas, numbers with a point."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

from .._check import MISSING, InputError, Problem
from .cells import LONGEST, Table, make_table

__all__ = ["read", "refuse_other_separators"]

_SAVE = "save it as 'CSV UTF-8 (comma delimited)'"


def read(path: Path, content: bytes, fold: Callable[[str], str]) -> list[Table]:
    """The table of a CSV file; a row's number is that of its line, so that the header has 1."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"is not UTF-8 text: {_SAVE}", source=str(path)) from None
    if "\0" in text:
        raise InputError(f"is not UTF-8 text, as it has zero bytes: {_SAVE}", source=str(path))
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    numbered = []
    try:
        start = 1
        for line in lines:
            if any(cell.strip() for cell in line):
                numbered.append((start, line))
            start = lines.line_num + 1
    except csv.Error as error:
        raise InputError(Problem(f"row {lines.line_num}", MISSING, _why(str(error))), source=str(path)) from None
    if not numbered:
        raise InputError("is empty", source=str(path))
    header = numbered[0][1]
    refuse_other_separators(header, path)
    columns = [fold(cell.strip()) for cell in header]
    wrong = [
        Problem(f"row {number}", MISSING, f"has {len(line)} cells, and the header {len(columns)}{_comma(line, columns)}")
        for number, line in numbered[1:]
        if len(line) != len(columns)
    ]
    if wrong:
        raise InputError(wrong[:20], source=str(path))
    return [make_table(path.name, columns, numbered[1:])]


def _why(error: str) -> str:
    if "field limit" in error:
        return f"a cell has more than {LONGEST:,} characters: a quote may not be closed"
    if "end of data" in error or "delimiter expected" in error:
        return "a quote is not closed, or stands inside a cell without being doubled"
    return f"is no CSV: {error}"


def _comma(line: list[str], columns: list[str]) -> str:
    more = ": a comma inside a cell needs quotes, a decimal comma must be a point, and thousands have no separator"
    return more if len(line) > len(columns) else ": the row may be cut off"


def refuse_other_separators(header: list[str], path: Path) -> None:
    """Raise if a header of one cell is one with another separator than commas."""
    if len(header) > 1:
        return
    for separator, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")):
        if separator in header[0]:
            raise InputError(f"is separated by {name}: {_SAVE}, with decimal points", source=str(path))
