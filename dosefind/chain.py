"""Hashes that chain the rows of a record, so that manual changes are detected.

The hash of a row covers the hash of the row above it and the cells of the row. Changing a cell, removing a row from the middle,
adding a row and swapping two rows therefore break the chain at that row or at the one below it. The chain does not detect rows
removed at the end, nor a change by somebody who recomputes all hashes: it protects against mistakes and unreported changes, not
against forgery (compare Haber and Stornetta 1991, doi:10.1007/BF00196791).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["Chain", "check_chain", "is_hash", "row_hash"]

_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Chain:
    """Result of checking the hashes of a record.

    Attributes
    ----------
    file
        Name of the file, without its folder.
    altered
        Numbers of the rows at which the chain is broken: the row was changed, or a row directly above it was removed, added or
        moved. The number of a row is that of its first line in the file; the header is line 1.
    without_hash
        Numbers of the rows at the beginning of the file without a hash, written by earlier versions of dosefind.
    """

    file: str
    altered: tuple[int, ...] = ()
    without_hash: tuple[int, ...] = ()


def row_hash(above: str, cells: Sequence[str]) -> str:
    """Return the hash of a row.

    Parameters
    ----------
    above
        Hash of the row above; empty for the first row.
    cells
        Cells of the row, without its hash.

    Examples
    --------
    >>> row_hash("", ["2024-03-01", "wait"])[:12]
    '58c43edd05fd'
    """
    return hashlib.sha256(json.dumps([above, *cells]).encode()).hexdigest()


def is_hash(cell: str) -> bool:
    """Return whether a cell has the form of such a hash."""
    return _HASH.fullmatch(cell) is not None


def check_chain(file: str, rows: Iterable[tuple[int, Sequence[Sequence[str]], str]]) -> tuple[Chain, str]:
    """Check the hashes of all rows.

    Parameters
    ----------
    file
        Name of the file.
    rows
        Number of each row, the cells that its hash may cover, and the stored hash, which is empty if none was written. Of several
        sets of cells, the first is that of the present version, and the others those of earlier ones.

    Returns
    -------
    Chain
        Result of the check.
    str
        Hash of the last row, from which the next row continues; empty without rows.

    Notes
    -----
    Each row is compared with the stored hash of the row above, so that one change is reported once and not again for every later
    row.
    """
    altered, without, last, begun = [], [], "", False
    for number, covered, stored in rows:
        computed = [row_hash(last, cells) for cells in covered]
        if stored not in computed and (stored or begun):
            altered.append(number)
        begun = begun or stored != ""
        if not begun:
            without.append(number)
        last = stored or computed[0]
    return Chain(file, tuple(altered), tuple(without)), last
