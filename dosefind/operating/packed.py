"""Counts of a batch of states packed into few machine words, and states that unpack them only where a design reads them.

At each dose the pair of patients and DLTs is one number, its rank among the pairs that a trial can have there; the ranks stand side
by side in 64-bit words, those of the lowest dose foremost. After a further cohort at a dose, a word is higher by the difference
of two ranks, and states keep their order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ..trial import COUNT, States

__all__ = ["PackedStates", "Packing", "Unreachable", "packing_of"]

_WORD = 64


class Unreachable(ArithmeticError):
    """A count that was not expected at a dose."""


class Packing:
    """How counts are packed.

    Attributes
    ----------
    n_doses
        Number of doses.
    n_of, y_of : (pairs,) integer arrays
        Patients and DLTs of each pair, by its rank.
    first : (patients + 1,) integer array
        Rank of the pair of each number of patients without a DLT; -1 for a number of patients that no dose can have.
    n_words
        Words of each state: those of the pairs, then as many again for each count besides DLTs.
    """

    def __init__(self, n_doses: int, patients: Sequence[int], further: int) -> None:
        self.n_doses, self.further = n_doses, further
        pairs = [(n, y) for n in patients for y in range(n + 1)]
        self.n_of, self.y_of = (np.array(column, COUNT) for column in zip(*pairs, strict=True))
        sizes = np.array(patients)
        self.first = np.full(sizes[-1] + 1, -1)
        self.first[sizes] = np.cumsum(sizes + 1) - (sizes + 1)
        # A count besides DLTs is at most the number of patients, and so below the number of pairs.
        self.bits = max(len(pairs) - 1, 1).bit_length()
        per_word = _WORD // self.bits
        self._words_each = -(-n_doses // per_word)
        self.n_words = self._words_each * (1 + further)
        place = np.arange(n_doses)
        self.word_of = place // per_word
        # The first dose foremost, so that words sort like rows of pairs.
        used = np.minimum(n_doses - self.word_of * per_word, per_word)
        self.shift = ((used - 1 - place % per_word) * self.bits).astype(np.uint64)
        self.mask = np.uint64(2**self.bits - 1)
        self._multipliers = np.random.Generator(np.random.PCG64(1)).integers(2**63, size=self.n_words, dtype=np.uint64)
        self._multipliers = self._multipliers * np.uint64(2) + np.uint64(1)

    def key(self, words: np.ndarray) -> np.ndarray:
        """Return a key of each state, ``(states,)``: the word itself, or a hash of several."""
        if len(words) == 1:
            return words[0]
        key = np.zeros_like(words[0])
        for word, times in zip(words, self._multipliers, strict=True):
            key += word * times
        return key

    def pair_at(self, words: np.ndarray, dose: np.ndarray) -> np.ndarray:
        """Return the rank of the pair at a dose index of each state, ``(states,)``."""
        word = words[0] if self._words_each == 1 else words[self.word_of[dose], np.arange(len(dose))]
        return ((word >> self.shift[dose]) & self.mask).view(np.int64)

    def after(self, pair: np.ndarray, size: int) -> np.ndarray:
        """Return the rank of each pair after this number of further patients without a DLT.

        Raises
        ------
        Unreachable
            If there is no such pair.
        """
        n = self.n_of[pair].astype(int) + size
        if n.max(initial=0) >= len(self.first) or (first := self.first[n]).min(initial=0) < 0:
            raise Unreachable
        return first + self.y_of[pair]

    def after_all(self, size: int) -> np.ndarray:
        """Return the same for every pair, -1 where there is no such pair."""
        n = self.n_of.astype(int) + size
        first = np.append(self.first, -1)[np.minimum(n, len(self.first))]
        return np.where(first < 0, -1, first + self.y_of)

    def add(self, words: np.ndarray, dose: np.ndarray, more: np.ndarray, counted: int = 0) -> None:
        """Add to the rank at a dose index of each state, or to one of the further counts, in place.

        Parameters
        ----------
        words : (words, ..., states) array
            The words.
        dose : (states,) integer array
            Dose index.
        more : (..., states) integer array
            The addition; may be of any shape that fits.
        counted
            Number of the further count, from 1; 0 for the rank.
        """
        change = more.astype(np.uint64) << self.shift[dose]
        base = counted * self._words_each
        if self._words_each == 1:
            words[base] += change
            return
        for word in range(self._words_each):
            words[base + word] += np.where(self.word_of[dose] == word, change, np.uint64(0))

    def packed(self, states: States) -> np.ndarray:
        """Return the words of some states, ``(words, states)``."""
        words = np.zeros((self.n_words, len(states)), np.uint64)
        if states.n.max(initial=0) >= len(self.first) or (self.first[states.n] < 0).any():
            raise Unreachable
        for dose in range(self.n_doses):
            there = np.full(len(states), dose)
            self.add(words, there, self.first[states.n[:, dose]] + states.y[:, dose])
            for counted, values in enumerate(states.more, start=1):
                self.add(words, there, values[:, dose], counted)
        return words

    def counts(self, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return patients and DLTs at each dose, each ``(states, doses)``, stored dose by dose."""
        n, y = np.empty((2, self.n_doses, words.shape[1]), COUNT)
        for dose in range(self.n_doses):
            pair = self._field(words[self.word_of[dose]], dose)
            n[dose], y[dose] = self.n_of[pair], self.y_of[pair]
        return n.T, y.T

    def further_counts(self, words: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return the counts besides DLTs, each ``(states, doses)``."""
        found = []
        for counted in range(1, self.further + 1):
            base = counted * self._words_each
            found.append(np.array([self._field(words[base + self.word_of[dose]], dose) for dose in range(self.n_doses)], COUNT).T)
        return tuple(found)

    def _field(self, word: np.ndarray, dose: int) -> np.ndarray:
        return ((word >> self.shift[dose]) & self.mask).view(np.int64)


@lru_cache(maxsize=64)
def packing_of(n_doses: int, patients: tuple[int, ...], further: int) -> Packing:
    """Return the packing of this number of doses, each with one of these numbers of patients."""
    return Packing(n_doses, patients, further)


class PackedStates(States):
    """States whose counts are unpacked when they are first read, asked for their next step only."""

    asks_open = False

    _packing: Packing
    _words: np.ndarray
    _total: np.ndarray

    @classmethod
    def of(cls, packing: Packing, words: np.ndarray, total: np.ndarray, **rest: object) -> PackedStates:
        """Return states from their words, their patients, and the other attributes."""
        states = object.__new__(cls)
        more = packing.further_counts(words) if packing.further else ()
        vars(states).update(rest, more=more, _packing=packing, _words=words, _total=total)
        return states

    def __getattr__(self, name: str) -> Any:
        if name not in ("n", "y") or "_words" not in vars(self):
            raise AttributeError(name)
        n, y = self._packing.counts(self._words)
        vars(self).update(n=n, y=y)
        return vars(self)[name]

    def __len__(self) -> int:
        return len(self.last)

    @property
    def made_here(self) -> bool:
        return "_words" in vars(self) or super().made_here

    @property
    def n_doses(self) -> int:
        return self._packing.n_doses if "_words" in vars(self) else super().n_doses

    @property
    def total(self) -> np.ndarray:
        return self._total if "_words" in vars(self) else super().total

    def latest(self) -> tuple[np.ndarray, np.ndarray]:
        if "_words" not in vars(self):
            return super().latest()
        pair = self._packing.pair_at(self._words, self.last)
        return self._packing.n_of[pair], self._packing.y_of[pair]

    def by_counts(self, function: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, ...]]) -> tuple[np.ndarray, ...]:
        if self.groups is None or "_words" not in vars(self):
            return super().by_counts(function)
        first, group = self.groups
        return tuple(result[group] for result in function(*self._packing.counts(self._words[:, first])))
