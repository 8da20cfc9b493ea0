"""Tables as read, cell by cell, and their problems, which are collected and reported together."""

from __future__ import annotations

import difflib
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import NamedTuple

from .._check import MISSING, NAME, InputError, Problem, shown_key
from ..days import CLOCK, Days, read_days
from ..terminal import argument
from ..words import _

__all__ = [
    "LONGEST",
    "Absent",
    "Cell",
    "Findings",
    "NoValue",
    "Row",
    "Table",
    "bare",
    "checked",
    "flag_of",
    "make_table",
    "number_of",
    "partial_date",
    "possible_days",
    "why_no_number",
]

# Maximum number of characters in a cell: more than any term or reason has, but fewer than the rest of a file after an unclosed
# quote.
LONGEST = 10_000
# Maximum number of findings shown in one error; the rest are counted.
_SHOWN = 20
_SUBJECT = ("subject", "USUBJID", "SUBJID")
# A day, and a time of day that is ignored; after a space, as spreadsheets write it, its hour may have one digit.
_DAY = re.compile(rf"(\d{{4}}-\d\d-\d\d)([T ]{CLOCK}| \d(?::[0-5]\d){{1,2}}(?:\.\d+)?)?", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_NUMBER_AND_MORE = re.compile(r"[+-]?[0-9.]+ ?[^\W\d]")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+", re.ASCII)
# Digits in groups of three, separated by commas, apostrophes, spaces or points, and a fraction after the other sign.
_GROUPED = re.compile(r"[+-]?[0-9]{1,3}(?P<sign>[,'\u2019\s])[0-9]{3}(?:(?P=sign)[0-9]{3})*(?:\.[0-9]*)?")
_GROUPED_BY_POINTS = re.compile(r"[+-]?\d{1,3}(?:(?:\.\d{3})+,\d+|(?:\.\d{3}){2,})", re.ASCII)
# Blanks around a cell: all of Unicode, line breaks, and the zero-width characters that spreadsheets and web pages insert.
# Control characters, which `str.strip` treats as blanks, are not: a cell with one is not a number, a date or a name.
_WIDE = "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_NO_WIDTH = "\ufeff\u200b\u200c\u200d\u2060"
_PLAIN_BLANKS = " \t\r\n"
_BLANKS = _PLAIN_BLANKS + _WIDE + _NO_WIDTH
_YES = frozenset({"yes", "y", "true", "t"})
_NO = frozenset({"no", "n", "false", "f"})
_NOT_KNOWN = frozenset({"u", "unk", "unknown", "not known"})
_LINE_BREAK = re.compile("[\n\r]")
_ISO = "must be a full date in ISO form, such as 2024-03-05"


class NoValue(str):
    """The text of a spreadsheet cell without a readable value: a formula, an error, a duration.

    Attributes
    ----------
    why
        Reason and remedy, for messages.
    """

    why: str

    @classmethod
    def because(cls, text: str, why: str) -> NoValue:
        cell = cls(text)
        cell.why = why
        return cell


class Absent(str):
    """An empty cell with a spelling of a missing value, such as NA.

    Attributes
    ----------
    written
        The text in the file.
    """

    written: str

    @classmethod
    def written_as(cls, text: str) -> Absent:
        absent = cls("")
        absent.written = text
        return absent


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table: the name of the table, the number of the row, and its cells by column."""

    table: str
    number: int
    cells: dict[str, str]

    @property
    def source(self) -> str:
        return f"{self.table} row {self.number}"

    @property
    def subject(self) -> str:
        return next((self.cells[column] for column in _SUBJECT if column in self.cells), "")

    @property
    def subject_cell(self) -> Cell:
        return self.cell(*_SUBJECT)

    def cell(self, *columns: str) -> Cell:
        """Return the cell of the first of these columns in the table, empty if it has none."""
        for column in columns:
            if column in self.cells:
                return Cell(self, column, self.cells[column])
        return Cell(self, columns[0], "")

    def first_filled(self, columns: Sequence[str]) -> Cell:
        """Return the first non-empty cell among some columns, otherwise the cell of the first column."""
        cells = [self.cell(column) for column in columns]
        return next((cell for cell in cells if cell.text), cells[0])


class Cell(NamedTuple):
    """A cell and its location."""

    row: Row
    column: str
    text: str


@dataclass(frozen=True)
class Table:
    """A table as read.

    Attributes
    ----------
    name
        Its name as shown in messages.
    columns
        Names of the columns in order.
    rows
        The rows, in the order of the file.
    notes
        Notes for the user if the table is used.
    problems
        Problems of cells or columns as such, whatever their meaning; `checked` raises them if the table is used.
    """

    name: str
    columns: tuple[str, ...]
    rows: list[Row]
    notes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()

    def has(self, column: str) -> bool:
        return column in self.columns


def make_table(
    name: str,
    columns: Sequence[str],
    lines: Iterable[tuple[int, Sequence[str]]],
    notes: Iterable[str] = (),
    problems: Iterable[Problem] = (),
) -> Table:
    """Return a table of numbered lines; a line without text is not a row, and a column with text but no name gets its number.

    A cell that is too long or has a line break is a problem, whatever its column: it may contain further rows. So are columns of
    the same name, because a row would keep only one of them.
    """
    rows, found = [], list(problems)
    lines = list(lines)
    columns = _numbered(columns, [line for _, line in lines])
    for column, times in Counter(columns).items():
        if column and times > 1:
            found.append(Problem(f"column {_shown_column(column)}", MISSING, f"must be present once, but is present {times} times"))
    for number, line in lines:
        cells = [cell if isinstance(cell, NoValue) else bare(cell) for cell in line]
        if not any(cells):
            continue
        whole = "".join(cells)
        suspect = len(whole) > LONGEST or "\n" in whole or "\r" in whole
        for column, cell in zip(columns, cells, strict=True) if suspect else ():
            if len(cell) > LONGEST:
                allowed = f"has {len(cell):,} characters, but a cell may have {LONGEST:,}: a quote may not be closed"
                found.append(Problem(f"row {number}, {_shown_column(column)}", MISSING, allowed))
            elif "\n" in cell or "\r" in cell:
                allowed = "must be text in one line: a quote may not be closed, or the cell has a line break"
                found.append(Problem(f"row {number}, {_shown_column(column)}", _LINE_BREAK.split(cell)[0], allowed))
        rows.append(Row(argument(name), number, dict(zip(columns, cells, strict=True))))
    return Table(name, tuple(columns), rows, tuple(notes), tuple(found))


def checked(table: Table) -> Table:
    """Return a table that is used; raise `InputError` with its problems, if any."""
    if table.problems:
        raise InputError(_first(list(table.problems)), source=table.name)
    return table


def _shown_column(name: str) -> str:
    return shown_key(name[:40])


def bare(text: str) -> str:
    """Return text without the blanks around it, including zero-width ones."""
    return text.strip(_PLAIN_BLANKS if text.isascii() else _BLANKS)


def number_of(text: str) -> float | None:
    """Return the number stated by text with a decimal point, or ``None`` if it states none or groups its digits."""
    return float(text) if _NUMBER.fullmatch(text) else None


def flag_of(text: str) -> bool | None:
    """Return yes or no, or ``None`` if text is neither."""
    plain = text.casefold()
    if plain in _YES or plain in _NO:
        return plain in _YES
    number = number_of(plain)
    return number == 1 if number in (0, 1) else None


def why_no_number(text: str, allowed: str, whole: bool = False) -> str:
    """Return why text is not a number such as ``allowed``; with separators of thousands, also the numbers it may be."""
    grouped = _GROUPED.fullmatch(text)
    if grouped is not None:
        sign = grouped["sign"]
        first, _, rest = text.partition(sign)
        other = f"{first}.{rest}" if sign == "," and rest.isdigit() else None
        meant = f"{text.replace(sign, '')}, with a separator of thousands"
        if other is not None:
            return f"may be {meant}, or {other}, with a decimal comma: write the intended number ({allowed})"
        return f"may be {meant}, or {first} followed by something else: write it without the separator ({allowed})"
    if _GROUPED_BY_POINTS.fullmatch(text):
        plain = text.replace(".", "").replace(",", ".")
        return f"has points as thousands separators: write {plain}, if that is intended ({allowed})"
    if _DECIMAL_COMMA.fullmatch(text) and not whole:
        return f"has a decimal comma: write it with a point ({allowed})"
    more = ", without anything after it" if _NUMBER_AND_MORE.match(text) else ""
    return f"must be {allowed}{more}"


def whole_of(text: str, column: str, low: int, high: int) -> int:
    """Return the whole number stated by a cell; raise `InputError` if it is not a whole number from ``low`` to ``high``."""
    value = number_of(text)
    if value is None or not low <= value <= high or value != int(value):
        raise InputError(Problem(column, text, why_no_number(text, f"a whole number from {low} to {high}", whole=True)))
    return int(value)


def _numbered(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    """Return the names of columns; a column with text but no name is named by its number."""
    return [
        name if name or not any(line[place].strip() for line in lines) else f"column {place + 1}"
        for place, name in enumerate(columns)
    ]


def partial_date(text: str) -> bool:
    """Return whether a cell holds a date in ISO form whose day, or more, is unknown."""
    if text and _DAY.fullmatch(text):
        return False
    try:
        return read_days(_unquoted(text)).certain is None
    except ValueError:
        return False


def possible_days(text: str) -> Days | None:
    """Return the possible days of text as a date, ignoring a time of day, or ``None`` if it is not a date."""
    full = _DAY.fullmatch(text)
    try:
        return read_days(full[1] if full else _unquoted(text))
    except ValueError:
        return None


def _unquoted(text: str) -> str:
    """Return a date without the apostrophe that prevents a spreadsheet from reading a leading hyphen as a formula."""
    return text[1:] if text.startswith("'-") else text


def noted_row(row: Row) -> str:
    """Return a row and its subject, as the beginning of a note."""
    return _("{row}, subject {subject}").format(row=row.source, subject=shown_key(row.subject))


def noted_subject(subject: str) -> str:
    """Return a subject as the beginning of a note."""
    return _("subject {subject}").format(subject=shown_key(subject))


@dataclass
class Findings:
    """The problems of the cells of some tables.

    Attributes
    ----------
    path
        The file or folder supplied; messages state it once, at the beginning.
    notes
        Notes for the user that are not problems.
    """

    path: Path
    notes: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def refuse(self, cell: Cell, allowed: str) -> None:
        place = self.shown(cell.row.source) if cell.column in _SUBJECT else self.place(cell.row)
        written = cell.text
        if isinstance(cell.text, Absent):
            written = cell.text.written
            other = ", so an identifier must be written differently" if cell.column in _SUBJECT else ""
            allowed += f" ({written} is read as a missing value{other})"
        self.problems.append(Problem(f"{place}, {cell.column}", written, allowed))

    def shown(self, source: str) -> str:
        """Return a source without the name of the file at the beginning of the message."""
        return source.removeprefix(argument(self.path.name)).lstrip()

    def place(self, row: Row) -> str:
        """Return a row as described in messages."""
        subject = f", subject {shown_key(row.subject[:80])}" if row.subject else ""
        return self.shown(row.source) + subject

    def stop(self) -> None:
        """Raise if there are any problems."""
        if self.problems:
            raise InputError(_first(self.problems), source=str(self.path))

    def columns(self, table: Table, required: Iterable[Sequence[str]], optional: Iterable[str] = ()) -> list[str]:
        """Report missing columns; return those that are not read.

        Each of ``required`` lists alternatives, at least one of which must be present.
        """
        required = [tuple(names) for names in required]
        known = {name for names in required for name in names} | set(optional)
        unread = [name for name in table.columns if name not in known]
        for names in required:
            if not any(table.has(name) for name in names):
                near = next((near for name in names for near in difflib.get_close_matches(name, unread, n=1, cutoff=0.75)), None)
                hint = f"; did you mean {shown_key(near)}?" if near else ""
                self.column(table, " or ".join(names), f"missing{hint} (the columns are: {_listed(table.columns)})")
        return unread

    def column(self, table: Table, column: str, allowed: str) -> None:
        """Add a finding about a whole column."""
        self.problems.append(Problem(f"{self.shown(table.name)} column {column}".lstrip(), MISSING, allowed))

    def text(self, cell: Cell, required: bool = False) -> str | None:
        """Return the text of a cell, or ``None`` if it is empty or a formula, which is a finding."""
        if isinstance(cell.text, NoValue):
            self.refuse(cell, cell.text.why)
            return None
        if not cell.text and required:
            self.refuse(cell, "must not be empty")
        return cell.text or None

    def subject(self, row: Row) -> str | None:
        """Return the subject of a row, if it can be shown."""
        return self.name(row.subject_cell, required=True)

    def name(self, cell: Cell, required: bool = False) -> str | None:
        """Return text that is not too long and can be shown."""
        text = self.text(cell, required)
        if text is not None and not (re.match(NAME, text) and text.isprintable()):
            self.refuse(cell, "must be 1 to 200 printable characters")
            return None
        return text

    def day(self, cell: Cell, required: bool = False) -> date | None:
        """Return a date in ISO form, ignoring a time of day."""
        text = self.text(cell, required)
        if text is None:
            return None
        found = _DAY.fullmatch(text)
        try:
            day = date.fromisoformat(found[1]) if found else read_days(text).certain
        except ValueError:
            day = None
        if day is None:
            self.refuse(cell, f"{_ISO}: {_why_no_day(text)}")
        elif not 1900 <= day.year <= 2199:
            self.refuse(cell, "must be a date from 1900 to 2199")
            day = None
        return day

    def possible(self, cell: Cell) -> Days | None:
        """Return the possible days of a date, partial or full, or ``None`` if it is not a date, which is a finding."""
        text = self.text(cell)
        if text is None and isinstance(cell.text, NoValue):
            return None
        if text is not None and (full := _DAY.fullmatch(text)) is not None:
            text = full[1]
        try:
            return read_days(_unquoted(text or ""))
        except ValueError as error:
            self.refuse(cell, f"{error}{_hint(text or '')}")
            return None

    def number(self, cell: Cell, allowed: str) -> float | None:
        """Return a number above 0; ``allowed`` describes it."""
        text = self.text(cell)
        if text is None and isinstance(cell.text, NoValue):
            return None
        value = number_of(text or "")
        if value is None or not 0 < value < math.inf:
            self.refuse(cell, why_no_number(text or "", allowed))
            return None
        return value

    def whole(self, cell: Cell, low: int, high: int) -> int | None:
        """Return a whole number, or ``None`` if the cell is empty."""
        text = self.text(cell)
        if text is None:
            return None
        value = number_of(text)
        if value is None or not low <= value <= high or value != int(value):
            self.refuse(cell, why_no_number(text, f"a whole number from {low} to {high}", whole=True))
            return None
        return int(value)

    def yes(self, cell: Cell, or_unknown: bool = False) -> bool | None:
        """Return yes or no, or ``None`` if the cell is empty or, if allowed, states that it is unknown."""
        text = self.text(cell)
        if text is None:
            return None
        flag = flag_of(text)
        if flag is None and not (or_unknown and text.casefold() in _NOT_KNOWN):
            self.refuse(cell, "must be yes or no (or y, n, true, false, 1, 0), or empty if unknown")
        return flag


def _why_no_day(text: str) -> str:
    if partial_date(text):
        return "a part of it is missing, and missing parts are not guessed"
    return _hint(text).removeprefix(": ") or "it is not a date"


def _hint(text: str) -> str:
    """Return what may be wrong with a date, after a colon."""
    if re.fullmatch(r"\d{1,2}[./-]\d{1,2}[./-]\d{2,4}", text):
        return ": day and month are ambiguous"
    if _NUMBER.fullmatch(text):
        return ": it is a number; format the cell as a date"
    return ""


def _listed(columns: tuple[str, ...]) -> str:
    return ", ".join(shown_key(name[:40]) for name in columns[:40]) + (", ..." if len(columns) > 40 else "")


def _first(problems: list[Problem]) -> list[Problem]:
    rest = len(problems) - _SHOWN
    return problems if rest <= 0 else [*problems[:_SHOWN], Problem("", MISSING, f"and {rest:,} more findings")]
