"""Tables as they were read, cell by cell, and what is wrong in them: all of it is gathered, then said at once."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import NamedTuple

from .._check import MISSING, NAME, InputError, Problem, shown_key

__all__ = ["LONGEST", "Cell", "Findings", "Formula", "Row", "Table", "make_table", "partial_date"]

# Characters of a cell; more than any term or reason has, and what a forgotten quote makes of the rest of a file.
LONGEST = 10_000
# Findings that one error shows; the rest are counted.
_SHOWN = 20
_SUBJECT = ("subject", "USUBJID", "SUBJID")
_DAY = re.compile(r"(\d{4}-\d\d-\d\d)(T[\d:.+Z-]*| [\d:.]+)?", re.ASCII)
_MONTH, _DATE = r"(0[1-9]|1[0-2])", r"(0[1-9]|[12]\d|3[01])"
_PARTIAL = re.compile(rf"\d{{4}}|\d{{4}}-{_MONTH}|\d{{4}}---{_DATE}|--{_MONTH}-{_DATE}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+", re.ASCII)
_ISO = "must be a full date in ISO form, such as 2024-03-05"


class Formula(str):
    """The text of a cell that holds a formula, which is never evaluated."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table: its table's name, its number there, and its cells by column."""

    table: str
    number: int
    cells: dict[str, str]

    @property
    def source(self) -> str:
        return f"{self.table} row {self.number}"

    @property
    def subject(self) -> str:
        return self.subject_cell.text

    @property
    def subject_cell(self) -> Cell:
        return self.cell(*_SUBJECT)

    def cell(self, *columns: str) -> Cell:
        """The cell of the first of these columns that the table has, empty if it has none."""
        for column in columns:
            if column in self.cells:
                return Cell(self, column, self.cells[column])
        return Cell(self, columns[0], "")


class Cell(NamedTuple):
    """A cell, and where it stands."""

    row: Row
    column: str
    text: str


@dataclass(frozen=True)
class Table:
    """A table: its name as messages show it, its columns in their order, its rows."""

    name: str
    columns: tuple[str, ...]
    rows: list[Row]

    def has(self, column: str) -> bool:
        return column in self.columns


def make_table(name: str, columns: Sequence[str], lines: Iterable[tuple[int, Sequence[str]]]) -> Table:
    """A table from its numbered lines; a line without any text is no row, and a column with text but no name gets its number.

    Raises
    ------
    InputError
        If a cell is too long or has a line break, whatever its column: such a cell may have swallowed rows.
    """
    rows, problems = [], []
    lines = list(lines)
    columns = _numbered(columns, [line for _, line in lines])
    for number, line in lines:
        cells = [cell if isinstance(cell, Formula) else cell.strip() for cell in line]
        if not any(cells):
            continue
        for column, cell in zip(columns, cells, strict=True):
            if len(cell) > LONGEST:
                allowed = f"has {len(cell):,} characters, and a cell may have {LONGEST:,}: a quote may not be closed"
                problems.append(Problem(f"row {number}, {shown_key(column)}", MISSING, allowed))
            elif "\n" in cell or "\r" in cell:
                allowed = "must be text in one line: a quote may not be closed, or the cell has a line break"
                problems.append(Problem(f"row {number}, {shown_key(column)}", cell[: cell.find("\n")], allowed))
        rows.append(Row(name, number, dict(zip(columns, cells, strict=True))))
    if problems:
        raise InputError(_first(problems), source=name)
    return Table(name, tuple(columns), rows)


def _numbered(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    """Return the names of columns, where one without a name that has text is named by its number."""
    return [
        name if name or not any(line[place].strip() for line in lines) else f"column {place + 1}"
        for place, name in enumerate(columns)
    ]


def partial_date(text: str) -> bool:
    """Whether a cell holds a date in ISO form of which the day, or more, is not known."""
    return not text or _PARTIAL.fullmatch(text) is not None


@dataclass
class Findings:
    """What is wrong with the cells of some tables.

    Attributes
    ----------
    path
        The file or folder that was given; messages name it once, at their head.
    notes
        What the user is told although nothing is wrong.
    """

    path: Path
    notes: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def refuse(self, cell: Cell, allowed: str) -> None:
        place = self.shown(cell.row.source) if cell.column in _SUBJECT else self.place(cell.row)
        self.problems.append(Problem(f"{place}, {cell.column}", cell.text, allowed))

    def shown(self, source: str) -> str:
        """A source without the name of the file that heads the message."""
        return source.removeprefix(self.path.name).lstrip()

    def place(self, row: Row) -> str:
        """A row as messages name it."""
        subject = f", subject {shown_key(row.subject[:80])}" if row.subject else ""
        return self.shown(row.source) + subject

    def stop(self) -> None:
        """Raise if there is anything wrong."""
        if self.problems:
            raise InputError(_first(self.problems), source=str(self.path))

    def columns(self, table: Table, required: Iterable[Sequence[str]], optional: Iterable[str] = ()) -> list[str]:
        """Find columns that are missing or stand there twice; return those that nobody reads.

        Each of ``required`` names alternatives, one of which must be there.
        """
        required = [tuple(names) for names in required]
        known = {name for names in required for name in names} | set(optional)
        unread = [name for name in table.columns if name not in known]
        for names in required:
            if not any(table.has(name) for name in names):
                near = next((near for name in names for near in difflib.get_close_matches(name, unread, n=1, cutoff=0.75)), None)
                hint = f"; is {shown_key(near)} what is meant?" if near else ""
                self.column(table, " or ".join(names), f"missing{hint} (the columns are: {_listed(table.columns)})")
        for name in sorted(set(table.columns)):
            if name and table.columns.count(name) > 1:
                self.column(table, shown_key(name[:40]), "stands there twice")
        return unread

    def column(self, table: Table, column: str, allowed: str) -> None:
        """A finding about a whole column."""
        self.problems.append(Problem(f"{self.shown(table.name)} column {column}".lstrip(), MISSING, allowed))

    def text(self, cell: Cell, required: bool = False) -> str | None:
        """The text of a cell; ``None`` if it is empty, or a formula, which is a finding."""
        if isinstance(cell.text, Formula):
            self.refuse(cell, "is a formula, and formulas are not evaluated: put its value there")
            return None
        if not cell.text and required:
            self.refuse(cell, "must not be empty")
        return cell.text or None

    def subject(self, row: Row) -> str | None:
        """The subject of a row, if it is one that can be shown."""
        return self.name(row.subject_cell, required=True)

    def name(self, cell: Cell, required: bool = False) -> str | None:
        """Text of a length and of characters that can be shown."""
        text = self.text(cell, required)
        if text is not None and not (re.match(NAME, text) and text.isprintable()):
            self.refuse(cell, "must be 1 to 200 printable characters")
            return None
        return text

    def day(self, cell: Cell, required: bool = False) -> date | None:
        """A date in ISO form; a time of day that follows is left out."""
        text = self.text(cell, required)
        if text is None:
            return None
        found = _DAY.fullmatch(text)
        try:
            day = date.fromisoformat(found[1]) if found else None
        except ValueError:
            day = None
        if day is None:
            self.refuse(cell, f"{_ISO}: {_why_no_day(text)}")
        elif not 1900 <= day.year <= 2199:
            self.refuse(cell, "must be a date from 1900 to 2199")
            day = None
        return day

    def number(self, cell: Cell, allowed: str) -> float | None:
        """A number above 0; ``allowed`` says of what."""
        text = self.text(cell)
        if text is None and isinstance(cell.text, Formula):
            return None
        value = float(text) if text is not None and _NUMBER.fullmatch(text) else math.nan
        if _DECIMAL_COMMA.fullmatch(text or ""):
            self.refuse(cell, f"has a decimal comma: write it with a point ({allowed})")
        elif not 0 < value < math.inf:
            self.refuse(cell, f"must be {allowed}")
        else:
            return value
        return None

    def whole(self, cell: Cell, low: int, high: int) -> int | None:
        """A whole number; ``None`` if the cell is empty."""
        text = self.text(cell)
        if text is None:
            return None
        value = float(text) if _NUMBER.fullmatch(text) else math.nan
        if not low <= value <= high or value != int(value):
            self.refuse(cell, f"must be a whole number from {low} to {high}")
            return None
        return int(value)

    def yes(self, cell: Cell) -> bool | None:
        """Yes or no; ``None`` if the cell is empty."""
        text = self.text(cell)
        said = {"yes": True, "y": True, "1": True, "true": True, "no": False, "n": False, "0": False, "false": False}
        if text is not None and text.lower() not in said:
            self.refuse(cell, "must be yes or no (or y, n, 1, 0), or empty where it is not known")
        return said.get((text or "").lower())


def _why_no_day(text: str) -> str:
    if partial_date(text):
        return "a part of it is missing, and nothing is guessed"
    if re.fullmatch(r"\d{1,2}[./-]\d{1,2}[./-]\d{2,4}", text):
        return "day and month can be taken for each other"
    if _NUMBER.fullmatch(text):
        return "it is a number; format the cell as a date"
    return "it is none"


def _listed(columns: tuple[str, ...]) -> str:
    return ", ".join(shown_key(name[:40]) for name in columns[:40]) + (", ..." if len(columns) > 40 else "")


def _first(problems: list[Problem]) -> list[Problem]:
    rest = len(problems) - _SHOWN
    return (
        problems if rest <= 0 else [*problems[:_SHOWN], Problem("", MISSING, f"and {rest:,} more findings of this kind or others")]
    )
