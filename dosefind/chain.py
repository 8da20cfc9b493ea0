"""Hashes that chain the rows of a record, so that a change made by hand is noticed.

The hash of a row covers the hash of the row above it and the cells of the row. A change of a cell, a row removed from the middle, a
row added and two rows swapped therefore break the chain at the row concerned or at the one below it. The chain does not show rows
removed at the end, nor a change by somebody who computes all hashes anew: it protects against slips and against changes that nobody
was told of, not against forgery (compare Haber and Stornetta 1991, doi:10.1007/BF00196791).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

__all__ = ["Chain", "check_chain", "is_hash", "row_hash"]

_HASH = re.compile(r"[0-9a-f]{64}")


class Chain(NamedTuple):
    """What the hashes of a record show.

    Attributes
    ----------
    file
        Name of the file, without its folder.
    altered
        Numbers of the rows at which the chain is broken: the row was changed, or a row directly above it was removed, added or
        moved. The number of a row is that of its first line in the file, the header being line 1.
    without_hash
        Numbers of the rows at the beginning of the file that have no hash, as earlier versions of dosefind wrote none.
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
    """Return whether a cell can be a hash of this kind."""
    return _HASH.fullmatch(cell) is not None


def check_chain(file: str, rows: Iterable[tuple[int, Sequence[str], str]]) -> tuple[Chain, str]:
    """Check the hashes of all rows.

    Parameters
    ----------
    file
        Name of the file.
    rows
        Number, cells and stored hash of each row; the hash is empty where none was written.

    Returns
    -------
    Chain
        What they show.
    str
        Hash of the last row, from which the next row goes on; empty without rows.

    Notes
    -----
    A row is compared with the stored hash of the row above, so that one change is named once and not again in every row below.
    """
    altered, without, last, begun = [], [], "", False
    for number, cells, stored in rows:
        computed = row_hash(last, cells)
        if stored != computed and (stored or begun):
            altered.append(number)
        begun = begun or stored != ""
        if not begun:
            without.append(number)
        last = stored or computed
    return Chain(file, tuple(altered), tuple(without)), last
