"""One step of a large walk by pairs as a compiled loop; loaded only where a walk is large, because loading takes half a second.

The children of all states are merged in a table with open addressing instead of being sorted.
"""

from __future__ import annotations

import numpy as np

from ..compiling import compiled

__all__ = ["step"]

_SPREAD = np.uint64(0x9E3779B97F4A7C15)
# Share of the places of a table that may be in use.
_FULL = 0.8


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
    expected: float,
) -> tuple[np.ndarray, ...]:
    """Return words, codes, remaining doses, ways and paths after another cohort.

    Parameters
    ----------
    words, code, remaining, ways, paths
        The states, see `dosefind.operating.by_pairs.ByPairs.step`.
    after
        Rank of each pair after another cohort without a DLT.
    move, eliminated
        See `dosefind.designs.base.PairRule`.
    shift, mask
        See `dosefind.operating.packed.Packing`.
    multiplicity
        Multiplicity of each outcome of the cohort.
    ends_with
        Code of all children if the trial ends with this cohort, otherwise -1.
    too_toxic
        Code of a trial that stops because the lowest dose is eliminated.
    expected
        About how many states there will be.
    """
    # At least so large that the children of one more state always find a place.
    bits = int(np.ceil(np.log2(max(1.1 * expected / _FULL, 8 * len(multiplicity)))))
    # Arrays of NumPy lie on large pages, those made in compiled loops do not.
    table = np.zeros((2**bits, 4), np.uint64)
    row, used = 0, 0
    while True:
        row, used = _filled(
            *(words, code, remaining, ways, paths, after, move, eliminated, shift, mask, multiplicity, ends_with, too_toxic),
            *(table, table.view(float), bits, row, used, _FULL * 2**bits),
        )
        if row == len(words):
            break
        bits += 1
        grown = np.zeros((2**bits, 4), np.uint64)
        _moved(table, grown, bits)
        table = grown
    found = np.empty(used, np.uint64), np.empty(used, np.int16), np.empty(used, np.int16), np.empty(used), np.empty(used)
    _listed(table, table.view(float), *found)
    return found


@compiled
def _filled(
    words,
    code,
    remaining,
    ways,
    paths,
    after,
    move,
    eliminated,
    shift,
    mask,
    multiplicity,
    ends_with,
    too_toxic,
    table,
    weights,
    bits,
    row,
    used,
    most,
):
    """Add the children of the states from a row on until ``most`` places are in use; return the next row and the number in use.

    The columns of a place are the word, ways, paths and a label: the code + 1, and the remaining doses from the 17th bit.
    """
    n_doses, down, last = len(shift), np.uint64(64 - bits), np.uint64(2**bits - 1)
    while row < len(words) and used <= most:
        dose = code[row]
        lowest = np.uint64(min(dose, 1))
        place = shift[np.uint64(dose)]
        before = (words[row] >> place) & mask
        first = np.uint64(after[before])
        word_of_first = words[row] + ((first - before) << place)
        for outcome in range(len(multiplicity)):
            word = word_of_first + (np.uint64(outcome) << place)
            pair = first + np.uint64(outcome)
            left = np.int64(remaining[row])
            if eliminated[lowest, pair]:
                left = min(left, np.int64(dose))
            chosen = ends_with
            if ends_with < 0:
                chosen = min(max(dose + move[pair], 0), n_doses - 1, left - 1)
                if chosen < 0:
                    chosen = too_toxic
            label = np.uint64(chosen + 1) | (np.uint64(left) << np.uint64(16))
            slot = (word * _SPREAD) >> down
            while table[slot, 3] != 0 and (table[slot, 0] != word or table[slot, 3] != label):
                slot = (slot + np.uint64(1)) & last
            if table[slot, 3] == 0:
                table[slot, 0] = word
                table[slot, 3] = label
                used += 1
            weights[slot, 1] += ways[row] * multiplicity[outcome]
            weights[slot, 2] += paths[row]
        row += 1
    return row, used


@compiled
def _moved(table, grown, bits):
    """Copy the places in use to a larger table."""
    down, last = np.uint64(64 - bits), np.uint64(2**bits - 1)
    for row in range(len(table)):
        if table[row, 3] != 0:
            slot = (table[row, 0] * _SPREAD) >> down
            while grown[slot, 3] != 0:
                slot = (slot + np.uint64(1)) & last
            grown[slot] = table[row]


@compiled
def _listed(table, weights, words, code, remaining, ways, paths):
    """Copy the columns of the places in use, in their order."""
    row = 0
    for slot in range(len(table)):
        label = table[slot, 3]
        if label != 0:
            words[row], ways[row], paths[row] = table[slot, 0], weights[slot, 1], weights[slot, 2]
            code[row] = np.int64(label & np.uint64(0xFFFF)) - 1
            remaining[row] = np.int64(label >> np.uint64(16))
            row += 1
