"""One step of a large walk by pairs as a compiled loop; loaded only where a walk is large, because compiling costs seconds.

The children of all states are merged in a table with open addressing, whose places are a linear hash of their words: parents come
in the order of their places, so the children of one dose and outcome do too, and memory is read in streams.
"""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["step"]

_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_ONE = np.uint64(1)


@njit(cache=True)
def step(
    words: np.ndarray,
    code: np.ndarray,
    remaining: np.ndarray,
    ways: np.ndarray,
    paths: np.ndarray,
    after: np.ndarray,
    move: np.ndarray,
    eliminated: np.ndarray,
    shift: np.ndarray,
    mask: np.uint64,
    multiplicity: np.ndarray,
    ends_with: int,
    too_toxic: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return words, codes, remaining doses, ways and paths after another cohort; see `dosefind.operating.by_pairs.step`."""
    n_doses = len(shift)
    bits = 6
    while 2**bits < 2.2 * len(words):
        bits += 1
    table = np.zeros((2**bits, 4), np.uint64)
    weights = table.view(np.float64)
    used = 0
    for i in range(len(words)):
        dose = code[i]
        place = shift[dose]
        pair = np.int64((words[i] >> place) & mask)
        following = after[pair]
        first = words[i] + (np.uint64(following - pair) << place)
        for outcome in range(len(multiplicity)):
            word = first + (np.uint64(outcome) << place)
            pair = following + outcome
            left = np.int64(remaining[i])
            if eliminated[min(dose, 1), pair]:
                left = min(left, np.int64(dose))
            chosen = ends_with
            if ends_with < 0:
                chosen = min(max(dose + move[pair], 0), n_doses - 1, left - 1)
                if chosen < 0:
                    chosen = too_toxic
            label = np.uint64(chosen + 1) | (np.uint64(left) << np.uint64(16))
            slot = np.int64((word * _SPREAD) >> np.uint64(64 - bits))
            while table[slot, 3] != 0 and (table[slot, 0] != word or table[slot, 3] != label):
                slot = (slot + 1) & (2**bits - 1)
            if table[slot, 3] == 0:
                table[slot, 0] = word
                table[slot, 3] = label
                used += 1
            weights[slot, 1] += ways[i] * multiplicity[outcome]
            weights[slot, 2] += paths[i]
        if used > 0.8 * 2**bits:
            table = _grown(table, bits)
            weights = table.view(np.float64)
            bits += 1
    return _rows(table, weights, used)


@njit(cache=True)
def _grown(table: np.ndarray, bits: int) -> np.ndarray:
    """Return the table with twice the places."""
    grown = np.zeros((2 ** (bits + 1), 4), np.uint64)
    for row in range(len(table)):
        if table[row, 3] != 0:
            slot = np.int64((table[row, 0] * _SPREAD) >> np.uint64(63 - bits))
            while grown[slot, 3] != 0:
                slot = (slot + 1) & (2 ** (bits + 1) - 1)
            grown[slot] = table[row]
    return grown


@njit(cache=True)
def _rows(
    table: np.ndarray, weights: np.ndarray, used: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the columns of the places in use, in their order."""
    words, code, remaining = np.empty(used, np.uint64), np.empty(used, np.int16), np.empty(used, np.int16)
    ways, paths = np.empty(used), np.empty(used)
    row = 0
    for slot in range(len(table)):
        label = table[slot, 3]
        if label != 0:
            words[row], ways[row], paths[row] = table[slot, 0], weights[slot, 1], weights[slot, 2]
            code[row] = np.int64(label & np.uint64(0xFFFF)) - 1
            remaining[row] = np.int64(label >> np.uint64(16))
            row += 1
    return words, code, remaining, ways, paths
