"""Tables of counts to cohorts."""

from __future__ import annotations

import csv
from pathlib import Path

from .._check import MISSING, InputError, Problem
from ..trial import Cohort
from .cells import bare, number_of, why_no_number
from .csv_file import refuse_other_separators
from .doses import match_level, with_thousands
from .missing import is_missing

__all__ = ["read_counts"]

_ALLOWED = "a table of counts has the columns level (or dose), n and dlts"


def read_counts(path: str | Path, amounts: tuple[float, ...]) -> list[Cohort]:
    """Read a table of counts, one row a cohort, in the order in which they were treated.

    Parameters
    ----------
    path
        A CSV file with the columns ``level`` (from 1) or ``dose`` (an amount of the protocol, or one rounded to the digits shown;
        see `match_level`) or both, ``n`` and ``dlts``. A level that is missing (empty, or NA and its like) is taken from the dose.
    amounts
        The protocol's dose amounts, lowest first.

    Returns
    -------
    list of Cohort

    Raises
    ------
    InputError
        If the file cannot be read, a column is missing, or a cell is not what it must be; the message names the file, the row
        (in the file, whose first line is row 1), the column and the value.
    """
    path = Path(path)
    if path.suffix.lower() in (".xlsx", ".xls", ".xpt"):
        raise InputError(f"must be a CSV file: save the table as CSV UTF-8 ({_ALLOWED})", source=str(path))
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(error.strerror or "cannot be read", source=str(path)) from None
    except UnicodeDecodeError:
        raise InputError("is not UTF-8 text", source=str(path)) from None
    reader = csv.reader(text.splitlines())
    lines = [(reader.line_num, line) for line in reader if any(cell.strip() for cell in line)]
    if not lines:
        raise InputError(f"is empty: {_ALLOWED}", source=str(path))
    refuse_other_separators(lines[0][1], path)
    header = [cell.strip().lower() for cell in lines[0][1]]
    by = "level" if "level" in header else "dose"
    if "subject" in header and "n" not in header:
        hint = "dosefind next reads it and prints the outcomes, to be given as --outcomes"
        raise InputError(f"is a table of patients, and counts are asked for here: {hint}", source=str(path))
    problems = [_column(name, header.count(name)) for name in (by, "n", "dlts") if header.count(name) != 1]
    if not problems and len(lines) == 1:
        raise InputError("has a header and no rows", source=str(path))
    cohorts = []
    for number, line in lines[1:] if not problems else ():
        row = dict(zip(header, map(bare, line), strict=False))
        try:
            if len(line) > len(header):
                raise InputError(
                    Problem("", line, f"has {len(line)} cells, and the header {len(header)}: a number must not have a comma")
                )
            cohorts.append(_cohort(row, by, amounts))
        except InputError as error:
            problems += [problem.within(f"row {number}") for problem in error.problems]
    if problems:
        raise InputError(problems, source=str(path))
    return cohorts


def _column(name: str, times: int) -> Problem:
    """Return the problem of a column that is not there once."""
    wrong = f"must be there once, and is there {times} times" if times else "missing"
    return Problem(f"column {name}", MISSING, f"{wrong}: {_ALLOWED}")


def _cohort(row: dict[str, str], by: str, amounts: tuple[float, ...]) -> Cohort:
    n = _whole(row, "n", 1, 1000)
    has_dose = not is_missing(row.get("dose", ""))
    by_level = by == "level" and not (has_dose and is_missing(row.get("level", "")))
    level = _whole(row, "level", 1, len(amounts)) if by_level else _level(row, amounts)
    if by_level and has_dose and _level(row, amounts) != level:
        raise InputError(Problem("dose", row["dose"], f"contradicts level = {level}, which is dose {amounts[level - 1]:g}"))
    return Cohort(level, n, _whole(row, "dlts", 0, n))


def _level(row: dict[str, str], amounts: tuple[float, ...]) -> int:
    cell = row.get("dose", "")
    level, grouped = match_level(cell, amounts), with_thousands(cell, amounts)
    allowed = f"one of the protocol's doses: {', '.join(f'{amount:.10g}' for amount in amounts)}"
    if grouped is not None:
        either = f"{float(cell):g} or {grouped:g}"
        raise InputError(Problem("dose", cell, f"may be {either}, the latter with a point between thousands: write {either}"))
    if level is None:
        raise InputError(Problem("dose", cell, why_no_number(cell, allowed)))
    return level


def _whole(row: dict[str, str], column: str, low: int, high: int) -> int:
    cell = row.get(column, "")
    value = number_of(cell)
    if value is None or not low <= value <= high or value != int(value):
        raise InputError(Problem(column, cell, why_no_number(cell, f"a whole number from {low} to {high}", whole=True)))
    return int(value)
