"""Exact enumeration of a design's trial, cohort by cohort, merging states with the same future (the "walk").

From each state (n, y, next dose) every outcome of the next cohort is generated, the design decides on these
unmerged children (a rule may depend on the latest cohort), and states that share counts, next dose and the design's memory are
merged. A trial that ends keeps its counts, its reason, the number of distinct paths, and its multiplicity (``ways``), the sum over
paths of the product of binomial coefficients, which does not depend on the true rates. The path algebra
is that of Norris (2020), arXiv:2012.05301 (R package precautionary); merging makes it efficient.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from .._check import InputError, Problem
from ..designs import Design
from ..outcomes import outcome_table
from ..trial import COUNT, SHARED_KEY, States, count_key

__all__ = ["DEFAULT_MEMORY", "Ends", "WalkTooLarge", "refuse_endless", "walk"]

# Default maximum memory of a walk in bytes, which most walks need about ten seconds to fill.
DEFAULT_MEMORY = 2 * 2**30
# A walk that still continues after this number of cohorts belongs to a design that does not end.
MOST_COHORTS = 1000
MOST_PATIENTS = 1000
# Each column of a design's memory must be below this.
MOST_MEMORY = 4096
# Number of groups of states with equal counts per decision: large enough for NumPy, small enough for the cache.
BLOCK = 2**15


class WalkTooLarge(InputError):
    """The walk would need more memory than allowed."""


@dataclass(frozen=True)
class Ends:
    """The final states of trials, merged.

    Attributes
    ----------
    n, y : (ends, doses) integer arrays
        Patients and DLTs at each dose.
    more : tuple of (ends, doses) integer arrays
        Outcomes that the design tracks besides DLTs.
    reason : (ends,) integer array
        Position of the reason in the design's ``reasons``.
    ways : (ends,) float array
        Multiplicity: sum over the paths to this state of the product of binomial coefficients.
    paths : (ends,) float array
        Number of distinct paths (sequences of dose and number of DLTs).
    visits : (ends, 2, doses) float array
        Mean over these paths, which does not depend on the true rates, of the number of cohorts at each dose and of whether the
        first of them had more than one patient.
    walked : int
        Number of states of the walk after merging, running and ended.
    peak_bytes : int
        Maximum memory of the walk's arrays at any time.
    margin : float
        Smallest distance of a posterior probability from the limit with which it is compared, over all decisions; infinite if
        a design does not report it.
    """

    n: np.ndarray
    y: np.ndarray
    more: tuple[np.ndarray, ...]
    reason: np.ndarray
    ways: np.ndarray
    paths: np.ndarray
    visits: np.ndarray
    walked: int
    peak_bytes: int
    margin: float


@dataclass(frozen=True)
class _Front:
    """Decided states with their multiplicity and, in ``code``, the next step: the next dose, or doses + reason of the stop."""

    states: States
    key: np.ndarray
    code: np.ndarray
    size: np.ndarray
    ways: np.ndarray
    paths: np.ndarray
    visits: np.ndarray | None
    margin: float

    def __len__(self) -> int:
        return len(self.states)

    def take(self, rows: np.ndarray) -> _Front:
        key, code, size, ways, paths = (column[rows] for column in self._columns)
        visits = None if self.visits is None else self.visits[rows]
        return _Front(self.states.take(rows), key, code, size, ways, paths, visits, self.margin)

    @property
    def _columns(self) -> tuple[np.ndarray, ...]:
        return self.key, self.code, self.size, self.ways, self.paths

    @property
    def row_bytes(self) -> int:
        arrays = [a for a in vars(self.states).values() if isinstance(a, np.ndarray)] + [*self.states.more]
        arrays += [*self._columns, *([] if self.visits is None else [self.visits])]
        return sum(a.nbytes for a in arrays) // max(len(self), 1)


def walk(
    design: Design, n_doses: int, *, begin: States | None = None, merge: bool = True, memory_limit: int = DEFAULT_MEMORY
) -> Ends:
    """Enumerate a design's trial to its end from one state.

    Parameters
    ----------
    design
        The design; it must end by itself or have ``max_n``.
    n_doses
        Number of dose levels.
    begin
        A single state to start from; by default a trial without patients.
    merge
        Whether to merge states; without merging every path is kept, which is exponential and meant for checks.
    memory_limit
        Maximum memory of the walk in bytes.

    Returns
    -------
    Ends

    Raises
    ------
    WalkTooLarge
        If the next cohort would need more than ``memory_limit``.
    """
    states = begin if begin is not None else States.before_first(n_doses, (0,) * design.n_memory, len(design.tracks) - 1)
    refuse_endless(design, states)
    # With cohorts of one size the visits to a dose follow from its count; otherwise they are stored.
    visits = None if design.one_size is not None else np.zeros((1, 2, n_doses))
    front = _decided(design, states, np.zeros(1, np.uint64), np.ones(1), np.ones(1), visits)
    ended: list[_Front] = []
    walked, held, final, peak = 0, 0, 0, 0
    going: list[int] = []
    while len(front):
        walked += len(front)
        over = front.code >= n_doses
        ended.append(front.take(np.flatnonzero(over)))
        held += len(ended[-1]) * front.row_bytes
        final += len(ended[-1]) * _bytes_of_end(front.row_bytes, n_doses)
        # The old front is released before its children are generated.
        front = front.take(np.flatnonzero(~over))
        following = held + len(front) * front.row_bytes + _bytes_of_children(front) if len(front) else 0
        needed = max(following, final)
        peak = max(peak, needed)
        if needed > memory_limit:
            when = "the next cohort would need" if following > memory_limit else "the final states so far would need"
            raise WalkTooLarge(_too_large(design, walked, needed, memory_limit, when))
        going.append(len(front))
        if begin is None and len(going) % _FORESEEN == 0:
            _refuse_far_too_large(design, n_doses, going, front.row_bytes, memory_limit)
        if len(front) and front.states.cohorts[0] >= MOST_COHORTS:
            raise InputError(_endless(design))
        front = _next(design, front, merge)
    return _gather(design, ended, walked, peak)


def _endless(design: Design) -> Problem:
    return Problem("max_n", None, f"{design.title} does not end by itself: state a maximum sample size")


def refuse_endless(design: Design, states: States) -> None:
    """Raise if a trial without DLTs would never end, before its enumeration fills the memory."""
    while design.max_n is None and states.total[0] <= MOST_PATIENTS:
        decision = design.decide(states)
        if decision.dose[0] < 0:
            return
        dose, size = decision.dose.astype(COUNT), decision.size.astype(COUNT)
        none = np.zeros(1, COUNT)
        states = replace(states, memory=decision.memory).follow(slice(None), dose, size, none, (none,) * len(states.more))
    if design.max_n is None:
        raise InputError(_endless(design))


def _decided(
    design: Design, states: States, key: np.ndarray, ways: np.ndarray, paths: np.ndarray, visits: np.ndarray | None
) -> _Front:
    decision = design.decide(states)
    code = np.where(decision.dose >= 0, decision.dose, states.n_doses + decision.reason)
    return _Front(
        replace(states, memory=decision.memory, groups=None),
        key,
        code.astype(COUNT),
        decision.size.astype(COUNT),
        ways,
        paths,
        visits,
        np.inf if decision.margin is None else float(decision.margin.min(initial=np.inf)),
    )


def _next(design: Design, front: _Front, merge: bool) -> _Front:
    """Return the states after another cohort, decided and merged."""
    if not len(front):
        return front
    parent, outcome = _outcomes(front, design.tracks)
    dose, size = front.code[parent], front.size[parent]
    increments, multiplicity = _tables(design.tracks, int(size.max()))
    dlts, *more = (column[size, outcome] for column in increments) if front.states.more else (outcome,)
    key = front.key[parent] + count_key(dose, size, dlts, *more)
    if merge:
        # Children of sorted parents come in sorted runs, one per outcome, which a merging sort exploits.
        order = np.argsort(key, kind="stable")
        parent, outcome, dose, size, key = (column[order] for column in (parent, outcome, dose, size, key))
        dlts, *more = (column[order] for column in (dlts, *more)) if more else (outcome,)
    children = front.states.follow(parent, dose, size, dlts, more)
    ways, paths = front.ways[parent] * multiplicity[size, outcome], front.paths[parent]
    visits = None if front.visits is None else front.visits[parent]
    if visits is not None:
        each = np.arange(len(parent))
        visits[each, 1, dose] += (visits[each, 0, dose] == 0) & (size > 1)
        visits[each, 0, dose] += 1
    if not merge:
        return _decided(design, children, key, ways, paths, visits)
    starts = _group_starts(key, children)
    parts = []
    for block in range(0, len(starts), BLOCK):
        first = starts[block : block + BLOCK]
        rows = slice(first[0], starts[block + BLOCK] if block + BLOCK < len(starts) else len(key))
        first = first - first[0]
        group = np.repeat(np.arange(len(first)), np.diff(np.append(first, len(key[rows]))))
        states = replace(children.take(rows), groups=(first, group))
        part = _decided(design, states, key[rows], ways[rows], paths[rows], None if visits is None else visits[rows])
        parts.append(_merged(part, group))
    return _joined(parts)


@lru_cache(maxsize=64)
def _tables(tracks: tuple[str, ...], most: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the increments of each outcome of a cohort to each count and its multiplicity, each ``(size, outcome)``."""
    tables = [outcome_table(tracks, size) for size in range(most + 1)]
    shape = most + 1, len(tables[-1][1])
    increments, ways = [np.zeros(shape, COUNT) for _ in tracks], np.zeros(shape)
    for size, (added, several) in enumerate(tables):
        ways[size, : len(several)] = several
        for column, values in zip(increments, added.T, strict=True):
            column[size, : len(values)] = values
    return increments, ways


def _outcomes(front: _Front, tracks: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return the parent and the position in the outcome table of every child, grouped by next dose, size and outcome.

    If only DLTs are tracked, the position is their number.
    """
    kinds = front.code.astype(np.int64) * 4096 + front.size
    parents, outcomes = [], []
    for kind in np.unique(kinds):
        rows = np.flatnonzero(kinds == kind)
        for outcome in range(len(outcome_table(tracks, int(kind) % 4096)[1])):
            parents.append(rows)
            outcomes.append(np.full(len(rows), outcome, COUNT if tracks == ("dlt",) else np.int32))
    return np.concatenate(parents), np.concatenate(outcomes)


def _group_starts(key: np.ndarray, children: States) -> np.ndarray:
    """Return the first row of each run of children with equal counts; equal keys are checked to be equal counts."""
    new = key[1:] != key[:-1]
    for column in (part for values in (children.n, children.y, *children.more) for part in values.T):
        if np.any(~new & (column[1:] != column[:-1])):
            raise ArithmeticError(SHARED_KEY)
    return np.flatnonzero(np.append(True, new))


def _merged(part: _Front, group: np.ndarray) -> _Front:
    """Merge states of one group of counts with equal memory and next step."""
    label = group * 128 + part.code
    for column in part.states.memory.T:
        if column.min() < 0 or column.max() >= MOST_MEMORY:
            raise InputError(f"a design's memory must be whole numbers from 0 to {MOST_MEMORY - 1}")
        label = label * MOST_MEMORY + column
    order = np.argsort(label, kind="stable")
    label = label[order]
    starts = np.flatnonzero(np.append(True, label[1:] != label[:-1]))
    ways, paths = np.add.reduceat(part.ways[order], starts), np.add.reduceat(part.paths[order], starts)
    visits = None
    if part.visits is not None:
        visits = np.add.reduceat((part.visits * part.ways[:, None, None])[order], starts) / ways[:, None, None]
    return replace(part.take(order[starts]), ways=ways, paths=paths, visits=visits)


def _joined(parts: list[_Front]) -> _Front:
    if len(parts) == 1:
        return parts[0]
    every = [p.states for p in parts]
    counts = zip(*((s.n, s.y, *s.more) for s in every), strict=True)
    n, y, *more = (np.concatenate([values.T for values in parts], axis=1).T for parts in counts)
    names = ("last", "last_n", "last_y", "cohorts", "memory")
    last, last_n, last_y, cohorts, memory = (np.concatenate([getattr(s, name) for s in every]) for name in names)
    key, code, size, ways, paths = (np.concatenate(column) for column in zip(*(p._columns for p in parts), strict=True))
    visits = None if parts[0].visits is None else np.concatenate([p.visits for p in parts if p.visits is not None])
    margin = min(p.margin for p in parts)
    return _Front(States(n, y, last, last_n, last_y, cohorts, memory, tuple(more)), key, code, size, ways, paths, visits, margin)


def _bytes_of_children(front: _Front) -> int:
    """Return the memory that the next cohort needs: its children, once in order and once merged, their keys and their order."""
    tracked = 1 + len(front.states.more)
    children = int(((front.size.astype(np.int64) + 1) ** tracked).sum())
    return children * (2 * front.row_bytes + 40)


def _bytes_of_end(row_bytes: int, n_doses: int) -> int:
    """Return the memory that a final state needs in the end: its row twice while all are joined, and its visits."""
    return 2 * row_bytes + 20 * n_doses


def _refuse_far_too_large(design: Design, n_doses: int, going: list[int], row_bytes: int, memory_limit: int) -> None:
    """Raise if a walk would reach the memory limit after hours, as predicted from its first cohorts.

    The number of running states grows like a power of the number of cohorts, because states are counts at doses. The power is
    estimated from the latest half of the cohorts; a walk is rejected only if it would need many times the limit. While doses are
    abandoned with few patients, as in the 3+3, the number grows by the same factor with each cohort instead, for about three
    quarters of the cohorts that a trial can have, and the total number of states is about five times the number running then.

    Raises
    ------
    WalkTooLarge
        With the estimate.
    """
    # The 3+3 treats at most six patients at a dose.
    caps = (design.max_n_per_dose, max((n for n, _ in design.stopping), default=None), 6 if design.bound_by_group else None)
    most = [design.max_n, *(n_doses * cap for cap in caps if cap is not None)]
    patients = min((n for n in most if n is not None), default=0)
    done = len(going)
    cohorts = patients / float(np.max(design.cohort_size_by_dose or design.cohort_size))
    if cohorts <= done or not going[-1]:
        return
    if done >= 2 * _FORESEEN and going[-1] / going[-6] > 0.97 * going[-6] / going[-11]:
        factor = (going[-1] / going[-6]) ** 0.2
        # Three quarters of the states are final.
        per_state = max(row_bytes, 0.75 * _bytes_of_end(row_bytes, n_doses))
        expected, most = 5 * going[-1] * factor ** (0.75 * cohorts - done) * per_state, memory_limit
    else:
        power = np.log2(going[-1] / going[done // 2 - 1])
        expected = going[-1] * (cohorts / done) ** power * row_bytes
        most = (_FAR if done > _FORESEEN else _FAR_AT_FIRST) * memory_limit
    if expected > most:
        raise WalkTooLarge(_too_large(design, sum(going), expected, memory_limit, "a later cohort would need about"))


# The size of a walk is predicted at every multiple of this number of cohorts. It is rejected if the prediction exceeds this
# multiple of the memory limit, the first time and later, when the estimate is better.
_FORESEEN, _FAR_AT_FIRST, _FAR = 10, 1000, 10


def _too_large(design: Design, walked: int, needed: float, limit: int, when: str) -> str:
    return (
        f"{design.title}: after {walked:,} states {when} {needed / 2**30:.3g} GiB, more than the memory limit "
        f"of {limit / 2**30:.3g} GiB. Use larger cohorts, fewer patients (max_n), a limit per dose (max_n_per_dose), a higher "
        "memory limit or the method 'simulate'"
    )


def _gather(design: Design, ended: list[_Front], walked: int, peak: int) -> Ends:
    ends = _joined([part for part in ended if len(part)])
    n, visits = ends.states.n, ends.visits
    if visits is None:
        size = design.one_size or 1
        visits = np.stack([-(-n // size), (n > 1) & (size > 1)], axis=1)
    reason = ends.code.astype(np.int64) - ends.states.n_doses
    return Ends(n, ends.states.y, ends.states.more, reason, ends.ways, ends.paths, visits.astype(float), walked, peak, ends.margin)
