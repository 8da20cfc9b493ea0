"""One step of the walk of a design whose next dose follows from the pair of patients and DLTs at the current dose.

Which doses are eliminated is part of a state here, so that a step reads no other dose. A walk with many more children to come is
continued by a compiled loop (`compiled`), which merges them without sorting; it gives the same states in another order.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from ..designs import Design
from ..designs.base import PairRule
from ..outcomes import outcome_table
from ..trial import COUNT
from .packed import Packing

__all__ = ["ByPairs", "by_pairs"]

# A compiled loop is loaded where about this many more children are expected: sorting them takes longer than loading.
COMPILED = 2_000_000
_WORD = 64


class ByPairs:
    """The rule of a design on packed counts."""

    def __init__(self, design: Design, rule: PairRule, packing: Packing) -> None:
        self.rule, self.packing, self.n_doses = rule, packing, packing.n_doses
        self.max_n, self.size = design.max_n or 0, design.one_size or 1
        self.too_toxic, self.ends_with = (self.n_doses + design.code(reason) for reason in ("too_toxic", "max_n"))
        self._last, self._growth, self._compiled = 0, 1.0, False

    @cached_property
    def _bits(self) -> int:
        return int(self.n_doses).bit_length()

    def step(self, words: np.ndarray, code: np.ndarray, remaining: np.ndarray, ways: np.ndarray, paths: np.ndarray, total: int):
        """Return words, codes, remaining doses, ways and paths after another cohort, merged, and its size.

        Parameters
        ----------
        words
            Packed counts of the states.
        code
            Dose index of the next cohort.
        remaining
            Number of doses that are not eliminated.
        ways, paths
            See `dosefind.operating.walk.Ends`.
        total
            Patients of each state so far.
        """
        size = min(self.size, self.max_n - total)
        ends = total + size >= self.max_n
        _, multiplicity = outcome_table(("dlt",), size)
        after = self.packing.after_all(size)
        self._choose(len(words), size, total)
        if self._compiled:
            from .compiled import step

            rule, packing = self.rule, self.packing
            tables = (after, rule.move, rule.eliminated, packing.shift, packing.mask, multiplicity)
            ends_with = self.ends_with if ends else -1
            expected = self._expected(len(words), ends)
            return step(words, code, remaining, ways, paths, *tables, ends_with, self.too_toxic, expected)
        return self._sorted(words, code, remaining, ways, paths, after, multiplicity, ends)

    def _choose(self, states: int, size: int, total: int) -> None:
        """Set whether the walk continues compiled, by the number of children to come if states keep growing as they do."""
        steps = -(-(self.max_n - total) // self.size)
        # Growth declines by and by; children are states before they are merged.
        self._growth = min(states / self._last, size + 1.0) if self._last else 1.0
        self._last = states
        children = states * (size + 1) * sum((1 + 0.9 * (self._growth - 1)) ** k for k in range(steps))
        self._compiled = self._compiled or (states * (size + 1) > COMPILED / 40 and children > COMPILED)

    def _expected(self, states: int, ends: bool) -> float:
        """Return about how many states follow this number of states."""
        # All that end are merged whatever the next dose would be.
        return (0.8 if ends else 1.0) * self._growth * states

    def _sorted(self, words, code, remaining, ways, paths, after, multiplicity, ends):
        by_dose = np.argsort(code, kind="stable")
        dose, words = code[by_dose], words[by_dose]
        shift = self.packing.shift[dose]
        pair = ((words >> shift) & self.packing.mask).view(np.int64)
        following = after[pair]
        words = words + ((following - pair).view(np.uint64) << shift)
        outcome = np.arange(len(multiplicity))[:, None]
        words = words + (outcome.astype(np.uint64) << shift)
        pair = following + outcome
        toxic = self.rule.eliminated[np.minimum(dose, 1), pair]
        left = np.where(toxic, np.minimum(remaining[by_dose], dose), remaining[by_dose])
        key = words
        if not ends:
            chosen = np.minimum(np.clip(dose + self.rule.move[pair], 0, self.n_doses - 1), left - 1)
            key = (words << np.uint64(self._bits)) | (chosen + 1).astype(np.uint64)
        key = key.ravel()
        order = np.argsort(key, kind="stable")
        key = key[order]
        starts = np.flatnonzero(np.append(True, key[1:] != key[:-1]))
        ways = np.add.reduceat((ways[by_dose] * multiplicity[:, None]).ravel()[order], starts)
        paths = np.add.reduceat(np.broadcast_to(paths[by_dose], pair.shape).ravel()[order], starts)
        key, left = key[starts], left.ravel()[order[starts]]
        if ends:
            return key, np.full(len(key), self.ends_with, COUNT), left, ways, paths
        chosen = (key & np.uint64(2**self._bits - 1)).astype(COUNT) - COUNT(1)
        code = np.where(chosen < 0, COUNT(self.too_toxic), chosen)
        return key >> np.uint64(self._bits), code, left, ways, paths


def by_pairs(design: Design, packing: Packing) -> ByPairs | None:
    """Return the rule of a design by pairs, or ``None`` if it has none or its counts do not fit."""
    rule = design.by_pairs(packing.n_of, packing.y_of)
    if rule is None or packing.n_words > 1 or packing.n_doses * packing.bits + int(packing.n_doses).bit_length() > _WORD:
        return None
    return ByPairs(design, rule, packing)
