"""Decision tables supplied by the user, from a file."""

from __future__ import annotations

from pathlib import Path

from .._check import MISSING, InputError, Problem
from ..given_files import read_file
from . import csv_file
from .cells import whole_of

__all__ = ["read_moves"]

# Maximum file size in bytes: a row has about ten, and up to 60 patients make 1,890 rows.
_MOST = 1_000_000
_COLUMNS = ("n", "dlts", "move")
_ALLOWED = "a decision table has the columns n, dlts and move"


def read_moves(path: str | Path) -> dict[int, list[str]]:
    """Read a decision table, one row for each number of DLTs in each number of patients at the current dose.

    Parameters
    ----------
    path
        A CSV file with the columns ``n``, ``dlts`` and ``move``.

    Returns
    -------
    dict
        For each number of patients, the moves for 0, 1, ... DLTs as written.

    Raises
    ------
    InputError
        If the file cannot be read, a column is missing, a cell is not valid, or a number of DLTs is missing or stated
        twice; the message states the file, the row, the column and the value.
    """
    path = Path(path)
    content = read_file(path, _MOST)
    if not content.strip():
        raise InputError(f"is empty: {_ALLOWED}", source=str(path))
    (table,) = csv_file.read(path, content, str.lower)
    problems = [*table.problems]
    problems += [Problem(f"column {name}", MISSING, f"missing: {_ALLOWED}") for name in _COLUMNS if not table.has(name)]
    found: dict[tuple[int, int], tuple[int, str]] = {}
    for row in table.rows if not problems else ():
        try:
            n = whole_of(row.cells["n"], "n", 1, 1000)
            dlts = whole_of(row.cells["dlts"], "dlts", 0, n)
        except InputError as error:
            problems += [
                Problem(f"row {row.number}: {problem.where}", problem.value, problem.allowed) for problem in error.problems
            ]
            continue
        if (n, dlts) in found:
            before = found[n, dlts][0]
            problems.append(Problem(f"row {row.number}: dlts", dlts, f"is also stated for n = {n} in row {before}"))
        found[n, dlts] = row.number, row.cells["move"]
    if not found and not problems:
        raise InputError("has a header but no rows", source=str(path))
    moves: dict[int, list[str]] = {}
    for n in sorted({n for n, _ in found}):
        gaps = [dlts for dlts in range(n + 1) if (n, dlts) not in found]
        if gaps and not problems:
            problems.append(Problem(f"n = {n}", MISSING, f"has no row for dlts = {', '.join(map(str, gaps))}"))
        moves[n] = [found[n, dlts][1] for dlts in range(n + 1) if dlts not in gaps]
    if problems:
        raise InputError(problems, source=str(path))
    return moves
