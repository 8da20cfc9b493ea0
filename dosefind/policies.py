"""The policy with the highest expected utility under weighted true curves, by exact backward induction on counts.

With weights w_k on true DLT rates p_k and ``L_k(s) = w_k prod p_k^y (1 - p_k)^(n - y)`` for counts s = (n, y), the value is

    V(s) = max{ max_a sum_k L_k(s) U(a, k),  max_d [ sum_i C(m, i) V(s + i DLTs in m patients at d) - m sum_k L_k(s) c_d(k) ] }

over conclusions a (none, or a dose) and doses d that may be given to the next m patients. V is not normalised, so no posterior is
divided out, and V before the first patient is the expected utility of the best policy. Counts of DLTs at given numbers of patients
are a grid, and the next cohort is a sum of shifted grids; the likelihoods of a grid are a product of one factor per dose, so the
sums over k are matrix products. Whitehead and Brunier (1995), Statistics in Medicine 14:885-893, state such problems; backward
induction over all counts is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import comb, nan, prod
from typing import Protocol as Interface

import numpy as np

from ._check import InputError, Problem
from .threads import one_thread

__all__ = [
    "Actions",
    "Elimination",
    "Ewoc",
    "Policy",
    "Rule",
    "Stakes",
    "TooLarge",
    "TwoOfSix",
    "closed_at",
    "count_states",
    "solve",
]

Counts = tuple[int, ...]
# Of two actions whose values differ by less than this share, the one that stops, or the lower dose, is taken.
_TIE = 1e-12
DEFAULT_MEMORY = 2 * 2**30


class TooLarge(InputError):
    """The problem would need more memory than allowed."""


@dataclass(frozen=True)
class Stakes:
    """What is at stake: true curves with weights, the utility of a conclusion, and the cost of a patient.

    Attributes
    ----------
    truths : (curves, doses) array
        True DLT rates.
    weights : (curves,) array
        Weights that sum to 1.
    utility : (curves, doses + 1) array
        Utility of concluding that there is no MTD, or with each dose.
    cost : (curves, doses) array
        Cost of a patient at each dose, in units of utility.
    """

    truths: np.ndarray
    weights: np.ndarray
    utility: np.ndarray
    cost: np.ndarray

    @property
    def n_doses(self) -> int:
        return self.truths.shape[1]

    @cached_property
    def columns(self) -> np.ndarray:
        """Return the weighted utilities of the conclusions, then the weighted costs of a patient, ``(2 doses + 1, curves)``."""
        return np.ascontiguousarray(np.hstack([self.utility, self.cost]).T * self.weights)

    @property
    def without_trial(self) -> float:
        """Return the expected utility of the best conclusion without a patient."""
        return float(self.columns[: self.n_doses + 1].sum(axis=1).max())

    def concluded(self, n: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the expected utility of each conclusion at counts, not normalised, ``(states, doses + 1)``."""
        log_p, log_q = (np.log(np.maximum(rates, 1e-300)).T for rates in (self.truths, 1 - self.truths))
        likelihood = np.exp(y.astype(float) @ log_p + (n - y).astype(float) @ log_q)
        return likelihood @ self.columns[: self.n_doses + 1].T

    def choice(self, n: np.ndarray, y: np.ndarray, closed: np.ndarray | None = None) -> np.ndarray:
        """Return the conclusion of the highest expected utility at counts, -1 for none, ``(states,)``; the lower dose on ties.

        Doses that are ``closed``, ``(states, doses)``, are not selected.
        """
        each = self.concluded(n, y)
        if closed is not None:
            each[:, 1:] = np.where(closed, -np.inf, each[:, 1:])
        return _first_of_highest(each.T) - 1


class Rule(Interface):
    """A rule that closes doses, as a function of the counts."""

    def closed(self, n: tuple[int, ...], y: Sequence[np.ndarray], likely: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Return the doses closed for the next cohort, ``(doses, *grid)`` bool or of a shape that broadcasts to it.

        Parameters
        ----------
        n
            Patients at each dose.
        y
            DLTs at each dose, as a grid: arrays that broadcast against each other.
        likely
            Function from columns ``(columns, curves)`` to their sums weighted by the likelihoods, ``(columns, *grid)``.
        """
        ...


@dataclass(frozen=True)
class Elimination:
    """BOIN's elimination: a dose and all above are closed if P(p > target) > cutoff from Beta(1, 1) and 3 or more patients."""

    target: float
    cutoff: float = 0.95
    min_n: int = 3

    def closed(self, n: tuple[int, ...], y: Sequence[np.ndarray], likely: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        from scipy.special import betaincc

        return _and_above(
            [
                (betaincc(1 + counts, 1 + patients - counts, self.target) > self.cutoff + 1e-10) & (patients >= self.min_n)
                for patients, counts in zip(n, y, strict=True)
            ]
        )


@dataclass(frozen=True)
class TwoOfSix:
    """As in the 3+3: a dose with two or more DLTs that are a third or more of its patients is closed with all above."""

    def closed(self, n: tuple[int, ...], y: Sequence[np.ndarray], likely: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        return _and_above([(counts >= 2) & (3 * counts >= patients) for patients, counts in zip(n, y, strict=True)])


@dataclass(frozen=True)
class Ewoc:
    """Escalation with overdose control: a dose is closed if P(true rate > limit) under the curves exceeds the cutoff."""

    truths: np.ndarray
    weights: np.ndarray
    limit: float
    cutoff: float = 0.25

    def closed(self, n: tuple[int, ...], y: Sequence[np.ndarray], likely: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        over = (self.truths > self.limit + 1e-10).T * self.weights
        found = likely(np.vstack([over, self.weights]))
        # Where the counts are impossible under every curve, both are 0.
        return found[:-1] > (self.cutoff + 1e-10) * found[-1]


@dataclass(frozen=True)
class Actions:
    """What a policy may do.

    Attributes
    ----------
    sizes
        Patients per cohort at each dose; the last cohort is reduced to the limits that remain.
    max_n
        Maximum sample size.
    max_n_per_dose
        Maximum number of patients per dose; ``None`` for no limit.
    start
        Level of the first cohort, from 1.
    skips
        Whether untried levels may be skipped.
    closing
        Rules that close doses. A state in which no dose is left stops.
    treats
        Whether at least one cohort is treated.
    binding
        Whether a dose that a rule closes cannot be selected either.
    """

    sizes: tuple[int, ...]
    max_n: int
    max_n_per_dose: int | None = None
    start: int = 1
    skips: bool = False
    closing: tuple[Rule, ...] = ()
    treats: bool = False
    binding: bool = False

    def next(self, n: tuple[int, ...]) -> list[tuple[int, int]]:
        """Return the doses that may be given next, before closing rules, each with the size of the cohort."""
        left = self.max_n - sum(n)
        if not any(n):
            doses: Sequence[int] = range(len(n)) if self.skips else (self.start - 1,)
        else:
            highest = max(d for d in range(len(n)) if n[d])
            doses = range(len(n) if self.skips else min(highest + 2, len(n)))
        most = self.max_n if self.max_n_per_dose is None else self.max_n_per_dose
        sized = ((d, min(self.sizes[d], left, most - n[d])) for d in doses)
        return [(d, size) for d, size in sized if size > 0]


@dataclass(frozen=True, eq=False)
class Policy:
    """The best policy.

    Attributes
    ----------
    stakes, actions
        What it was found for.
    value
        Expected utility less costs before the first patient, or before the outcomes of the patients from which on it was found are
        known.
    table
        By patients at each dose, an array with one axis per dose over the DLTs there: a dose index to treat, or the number of doses
        plus the conclusion (0 for none, 1 for the lowest dose).
    utility, dlts, patients
        Expected utility without costs, DLTs and patients; not a number if they were not asked for.
    """

    stakes: Stakes
    actions: Actions
    value: float
    table: dict[Counts, np.ndarray] = field(repr=False)
    utility: float = nan
    dlts: float = nan
    patients: float = nan

    @property
    def n_states(self) -> int:
        return sum(codes.size for codes in self.table.values())

    def at(self, n: Counts, y: Counts) -> int:
        """Return the code of the action at counts."""
        return int(self.table[n][y])


@one_thread
def solve(
    stakes: Stakes,
    actions: Actions,
    *,
    begin: Counts | None = None,
    in_parts: bool = False,
    memory_limit: int = DEFAULT_MEMORY,
    progress: Callable[[float], None] | None = None,
) -> Policy:
    """Return the policy of the highest expected utility.

    Parameters
    ----------
    stakes, actions
        The problem.
    begin
        Patients at each dose from which on the policy is wanted; by default none.
    in_parts
        Whether expected utility without costs, DLTs and patients are wanted too.
    memory_limit
        Maximum memory in bytes.
    progress
        Called with the share of the states that are done.

    Raises
    ------
    TooLarge
        If the states would need more memory than allowed; they are counted beforehand.

    Examples
    --------
    >>> truths = np.array([[0.05, 0.25], [0.25, 0.45]])
    >>> stakes = Stakes(truths, np.array([0.5, 0.5]), np.array([[0.0, 0, 1], [0, 1, 0]]), np.zeros((2, 2)))
    >>> round(solve(stakes, Actions((3, 3), 12)).value, 3)
    0.862
    """
    begin = (0,) * stakes.n_doses if begin is None else begin
    every = _reachable(actions, begin, len(stakes.weights), memory_limit // (4 if in_parts else 1))
    total = sum(_size(n) for n in every)
    factors, doses, costly = _Factors(stakes.truths), stakes.n_doses, bool(stakes.cost.any())
    values, table, done = dict[Counts, np.ndarray](), dict[Counts, np.ndarray](), 0
    conclusions, costs = stakes.columns[: doses + 1], stakes.columns[doses + 1 :]
    weighted = [stakes.weights, *(stakes.weights * stakes.truths.T)] if in_parts else []
    for n in sorted(every, key=sum, reverse=True):
        following = actions.next(n)
        columns = [*conclusions, *costs, *weighted] if following else conclusions
        sums = factors.weighed(n, np.array(columns[: None if in_parts or costly else doses + 1]))
        begins = actions.treats and not any(n) and bool(following)
        closed = _closed(actions.closing, n, factors) if actions.binding or (following and not begins) else None
        named = sums[: doses + 1]
        if actions.binding and closed is not None:
            named = np.concatenate([named[:1], np.where(closed, -np.inf, named[1:])])
        code = _first_of_highest(named).astype(np.int8)
        best = np.take_along_axis(named, code[None].astype(np.intp), axis=0)
        # The value, and with it utility, DLTs and patients, which follow the same choices.
        value = np.concatenate([best, best, np.zeros((2, *best.shape[1:]))]) if in_parts else best
        code += doses
        goes_on, treated = np.full(value.shape, -np.inf), np.zeros(best.shape[1:], np.int8)
        for d, size in following:
            after, lines, gain = values[_after(n, d, size)], [slice(None)] * (doses + 1), np.zeros(value.shape)
            for i in range(size + 1):
                lines[d + 1] = slice(i, i + n[d] + 1)
                gain += comb(size, i) * after[tuple(lines)]
            if costly:
                gain[0] -= size * sums[doses + 1 + d]
            if in_parts:
                gain[2] += size * sums[2 * doses + 2 + d]
                gain[3] += size * sums[2 * doses + 1]
            better = gain[0] > goes_on[0] + _TIE * np.abs(gain[0])
            # The first cohort is treated whatever the rules say: without data every dose may be closed.
            if closed is not None and not begins:
                better &= ~closed[d]
            treated[better] = d
            goes_on = np.where(better, gain, goes_on)
        going = goes_on[0] > value[0] + _TIE * np.abs(value[0])
        if begins:
            going[...] = True
        values[n], table[n] = np.where(going, goes_on, value), np.where(going, treated, code)
        done += code.size
        if progress is not None:
            progress(done / total)
    parts = [_normalised(part, begin) for part in values[begin]]
    return Policy(stakes, actions, parts[0], table, *parts[1:])


def _normalised(values: np.ndarray, n: Counts) -> float:
    """Return the expected value before the outcomes of ``n`` patients at the doses are known."""
    ways = [np.array([comb(count, y) for y in range(count + 1)], float) for count in n]
    for each in reversed(ways):
        values = values @ each
    return float(values)


class _Factors:
    """Likelihoods of the DLTs at each dose under each curve, from which sums over the curves are matrix products."""

    def __init__(self, truths: np.ndarray) -> None:
        self._p, self._made = truths, dict[tuple[int, int], np.ndarray]()

    def at(self, dose: int, patients: int) -> np.ndarray:
        """Return the likelihoods of 0 to ``patients`` DLTs, ``(patients + 1, curves)``."""
        if (dose, patients) not in self._made:
            y, p = np.arange(patients + 1)[:, None], self._p[:, dose]
            self._made[dose, patients] = p**y * (1 - p) ** (patients - y)
        return self._made[dose, patients]

    def weighed(self, n: Counts, columns: np.ndarray) -> np.ndarray:
        """Return the sums over curves of columns times the likelihoods, ``(columns, *grid of DLTs)``."""
        split = _middle(n)
        left, right = self._product(0, n[:split]), self._product(split, n[split:])
        sums = np.empty((len(columns), len(left), len(right)))
        for column, into in zip(columns, sums, strict=True):
            np.matmul(left * column, right.T, out=into)
        return sums.reshape(len(columns), *(count + 1 for count in n))

    def _product(self, first: int, patients: Counts) -> np.ndarray:
        """Return the likelihoods of all combinations of DLTs at neighbouring doses, ``(combinations, curves)``."""
        found = np.ones((1, len(self._p)))
        for dose, count in enumerate(patients, start=first):
            found = (found[:, None, :] * self.at(dose, count)).reshape(-1, len(self._p))
        return found


def _closed(closing: Sequence[Rule], n: Counts, factors: _Factors) -> np.ndarray | None:
    """Return the doses that the rules close, ``(doses, *grid)``; ``None`` without rules."""
    if not closing:
        return None
    y = np.ogrid[tuple(slice(0, count + 1) for count in n)]

    def likely(columns: np.ndarray) -> np.ndarray:
        return factors.weighed(n, columns)

    found = np.zeros((len(n), *(count + 1 for count in n)), bool)
    for rule in closing:
        found |= rule.closed(n, y, likely)
    return found


def count_states(actions: Actions, n_doses: int, memory_limit: int = DEFAULT_MEMORY) -> int:
    """Return the number of states of a problem, if they fit the memory limit with one true curve."""
    return sum(_size(n) for n in _reachable(actions, (0,) * n_doses, 1, memory_limit))


def closed_at(stakes: Stakes, actions: Actions, n: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the doses that the rules close at counts, ``(states, doses)``."""
    found, factors = np.zeros(n.shape, bool), _Factors(stakes.truths)
    rows, group = np.unique(n, axis=0, return_inverse=True)
    for number, patients in enumerate(rows.tolist()):
        closed = _closed(actions.closing, tuple(patients), factors)
        at = np.flatnonzero(group.reshape(-1) == number)
        if closed is not None:
            found[at] = closed[(slice(None), *y[at].T)].T
    return found


def _and_above(closed: list[np.ndarray]) -> np.ndarray:
    """Return the doses closed by themselves or by a lower dose, ``(doses, *grid)``."""
    return np.logical_or.accumulate(np.stack(np.broadcast_arrays(*closed)), axis=0)


def _middle(n: Counts) -> int:
    """Return where to split the doses into two parts with about as many combinations of DLTs each."""
    return min(range(len(n) + 1), key=lambda at: _size(n[:at]) + _size(n[at:]))


def _after(n: Counts, dose: int, size: int) -> Counts:
    """Return the patients at each dose after another cohort."""
    return (*n[:dose], n[dose] + size, *n[dose + 1 :])


def _size(n: Counts) -> int:
    return prod(count + 1 for count in n)


def _first_of_highest(values: np.ndarray) -> np.ndarray:
    """Return the first of the largest entries along the first axis, with values within a tie counted as equal."""
    highest = values.max(axis=0)
    return (values >= highest - _TIE * np.abs(highest)).argmax(axis=0)


def _reachable(actions: Actions, begin: Counts, curves: int, memory_limit: int) -> list[Counts]:
    """Return all numbers of patients at the doses that can arise, after checking the memory that their states need."""
    doses = len(begin)
    found, waiting, states, largest = {begin}, [begin], _size(begin), _size(begin)
    while waiting:
        n = waiting.pop()
        for d, size in actions.next(n):
            after = _after(n, d, size)
            if after not in found:
                found.add(after)
                waiting.append(after)
                states += _size(after)
                largest = max(largest, _size(after))
                split = _middle(after)
                work = largest * 8 * (2 * doses + 5) + 8 * curves * (_size(after[:split]) + _size(after[split:]))
                if 9 * states + 400 * len(found) + work > memory_limit:
                    limit = f"{memory_limit / 2**30:.3g} GiB"
                    words = (
                        f"too large for exact backward induction: more than {states:,} states, which need more than {limit}; "
                        "reduce it or the number of true curves, increase the cohort size, set a maximum number of patients per "
                        "dose, or raise the memory limit"
                    )
                    raise TooLarge(Problem("max_n", actions.max_n, words))
    return list(found)
