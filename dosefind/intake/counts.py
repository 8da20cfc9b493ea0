"""Tables of counts to cohorts."""

from __future__ import annotations

import csv
from pathlib import Path

from .._check import MISSING, InputError, Problem
from ..trial import Cohort

__all__ = ["read_counts"]

_ALLOWED = "a table of counts has the columns level (or dose), n and dlts"


def read_counts(path: str | Path, amounts: tuple[float, ...]) -> list[Cohort]:
    """Read a table of counts, one row a cohort, in the order in which they were treated.

    Parameters
    ----------
    path
        A CSV file with the columns ``level`` (from 1) or ``dose`` (an amount of the protocol) or both, ``n`` and ``dlts``.
    amounts
        The protocol's dose amounts, lowest first.

    Returns
    -------
    list of Cohort

    Raises
    ------
    InputError
        If the file cannot be read, a column is missing, or a cell is not what it must be; the message names the file, the row
        (the header is row 1), the column and the value.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(error.strerror or "cannot be read", source=str(path)) from None
    except UnicodeDecodeError:
        raise InputError("is not UTF-8 text", source=str(path)) from None
    lines = [line for line in csv.reader(text.splitlines()) if any(cell.strip() for cell in line)]
    if not lines:
        raise InputError(f"is empty: {_ALLOWED}", source=str(path))
    header = [cell.strip().lower() for cell in lines[0]]
    by = "level" if "level" in header else "dose"
    if "subject" in header and "n" not in header:
        hint = "dosefind next reads it and prints the outcomes, to be given as --outcomes"
        raise InputError(f"is a table of patients, and counts are asked for here: {hint}", source=str(path))
    problems = [Problem(f"column {name}", MISSING, f"missing: {_ALLOWED}") for name in (by, "n", "dlts") if header.count(name) != 1]
    if not problems and len(lines) == 1:
        raise InputError("has a header and no rows", source=str(path))
    cohorts = []
    for number, line in enumerate(lines[1:], start=2) if not problems else ():
        row = dict(zip(header, (cell.strip() for cell in line), strict=False))
        try:
            if len(line) > len(header):
                raise InputError(Problem("", line, f"must have at most the {len(header)} cells of the header"))
            cohorts.append(_cohort(row, by, amounts))
        except InputError as error:
            problems += [problem.within(f"row {number}") for problem in error.problems]
    if problems:
        raise InputError(problems, source=str(path))
    return cohorts


def _cohort(row: dict[str, str], by: str, amounts: tuple[float, ...]) -> Cohort:
    n = _whole(row, "n", 1, 1000)
    level = _whole(row, "level", 1, len(amounts)) if by == "level" else _level(row, amounts)
    if by == "level" and row.get("dose") and _level(row, amounts) != level:
        raise InputError(Problem("dose", row["dose"], f"contradicts level = {level}, which is dose {amounts[level - 1]:g}"))
    return Cohort(level, n, _whole(row, "dlts", 0, n))


def _level(row: dict[str, str], amounts: tuple[float, ...]) -> int:
    cell = row.get("dose", "")
    try:
        return [float(amount) for amount in amounts].index(float(cell)) + 1
    except ValueError:
        doses = ", ".join(f"{amount:g}" for amount in amounts)
        raise InputError(Problem("dose", cell, f"must be one of the protocol's doses: {doses}")) from None


def _whole(row: dict[str, str], column: str, low: int, high: int) -> int:
    cell = row.get(column, "")
    if not cell.isascii() or not cell.isdigit() or not low <= int(cell) <= high:
        raise InputError(Problem(column, cell, f"must be a whole number from {low} to {high}"))
    return int(cell)
