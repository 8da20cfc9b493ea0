"""Reading tables of counts as cohorts."""

from __future__ import annotations

from pathlib import Path

from .._check import MISSING, InputError, Problem
from ..given_files import read_file
from ..trial import Cohort
from . import csv_file
from .cells import whole_of, why_no_number
from .doses import match_level, with_thousands
from .missing import is_missing

__all__ = ["read_counts"]

# Maximum file size in bytes: a row has about ten, and a trial a few dozen rows.
_MOST = 1_000_000
_ALLOWED = "a table of counts has the columns level (or dose), n and dlts"


def read_counts(path: str | Path, amounts: tuple[float, ...]) -> list[Cohort]:
    """Read a table of counts, one row per cohort, in the order of treatment.

    Parameters
    ----------
    path
        A CSV file with the columns ``level`` (from 1) or ``dose`` (an amount in the protocol, or one rounded to the digits shown;
        see `match_level`) or both, ``n`` and ``dlts``. A missing level (empty, NA or similar) is taken from the dose.
    amounts
        The protocol's dose amounts in ascending order.

    Returns
    -------
    list of Cohort

    Raises
    ------
    InputError
        If the file cannot be read, is truncated before the last cell of a row or larger than 1 MB, a column is missing, or a cell
        is not valid; the message states the file, the row (of the file, whose first line is row 1), the column and the value.
    """
    path = Path(path)
    if path.suffix.lower() in (".xlsx", ".xls", ".xpt"):
        raise InputError(f"must be a CSV file: save the table as CSV UTF-8 ({_ALLOWED})", source=str(path))
    content = read_file(path, _MOST)
    if not content.strip():
        raise InputError(f"is empty: {_ALLOWED}", source=str(path))
    (table,) = csv_file.read(path, content, str.lower)
    by = "level" if table.has("level") else "dose"
    if table.has("subject") and not table.has("n"):
        hint = "dosefind next reads it and prints the outcomes, to be given as --outcomes"
        raise InputError(f"is a table of patients, but counts are required here: {hint}", source=str(path))
    problems = [*table.problems]
    problems += [Problem(f"column {name}", MISSING, f"missing: {_ALLOWED}") for name in (by, "n", "dlts") if not table.has(name)]
    if not problems and not table.rows:
        raise InputError("has a header but no rows", source=str(path))
    cohorts = []
    for row in table.rows if not problems else ():
        try:
            cohorts.append(_cohort(row.cells, by, amounts))
        except InputError as error:
            problems += [problem.within(f"row {row.number}") for problem in error.problems]
    if problems:
        raise InputError(problems, source=str(path))
    return cohorts


def _cohort(row: dict[str, str], by: str, amounts: tuple[float, ...]) -> Cohort:
    n = whole_of(row.get("n", ""), "n", 1, 1000)
    has_dose = not is_missing(row.get("dose", ""))
    by_level = by == "level" and not (has_dose and is_missing(row.get("level", "")))
    level = whole_of(row.get("level", ""), "level", 1, len(amounts)) if by_level else _level(row, amounts)
    if by_level and has_dose and _level(row, amounts) != level:
        raise InputError(Problem("dose", row["dose"], f"contradicts level = {level}, which is dose {amounts[level - 1]:g}"))
    return Cohort(level, n, whole_of(row.get("dlts", ""), "dlts", 0, n))


def _level(row: dict[str, str], amounts: tuple[float, ...]) -> int:
    cell = row.get("dose", "")
    level, grouped = match_level(cell, amounts), with_thousands(cell, amounts)
    allowed = f"one of the protocol's doses: {', '.join(f'{amount:.10g}' for amount in amounts)}"
    if grouped is not None:
        either = f"{float(cell):g} or {grouped:g}"
        raise InputError(Problem("dose", cell, f"may be {either}, the latter with a point as thousands separator: write {either}"))
    if level is None:
        raise InputError(Problem("dose", cell, why_no_number(cell, allowed)))
    return level
