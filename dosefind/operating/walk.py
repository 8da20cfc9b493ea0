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
from ..trial import COUNT, SHARED_KEY, States
from .by_pairs import ByPairs, by_pairs
from .packed import PackedStates, Packing, Unreachable, packing_of
from .tally import OfOneSize, Visited

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
    visited
        The ``visits``, read by rows.
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
    visited: Visited
    walked: int
    peak_bytes: int
    margin: float

    @property
    def visits(self) -> np.ndarray:
        """Return the mean over these paths, which does not depend on the true rates, of the number of cohorts at each dose and of
        whether the first of them had more than one patient, ``(ends, 2, doses)``.
        """
        return self.visited[:]


@dataclass(frozen=True)
class _Front:
    """Decided states with their multiplicity and, in ``code``, the next step: the next dose, or doses + reason of the stop."""

    words: np.ndarray
    memory: np.ndarray
    code: np.ndarray
    size: np.ndarray
    total: np.ndarray
    ways: np.ndarray
    paths: np.ndarray
    visits: np.ndarray | None
    margin: float

    def __len__(self) -> int:
        return len(self.code)

    def take(self, rows: np.ndarray) -> _Front:
        memory, code, size, total, ways, paths = (column[rows] for column in self._columns)
        visits = None if self.visits is None else self.visits[rows]
        return _Front(self.words[:, rows], memory, code, size, total, ways, paths, visits, self.margin)

    @property
    def _columns(self) -> tuple[np.ndarray, ...]:
        return self.memory, self.code, self.size, self.total, self.ways, self.paths

    @property
    def row_bytes(self) -> int:
        arrays = [self.words, *self._columns, *([] if self.visits is None else [self.visits])]
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
    try:
        return _walked(design, states, _packing(design, states), merge, memory_limit, begin is None)
    except Unreachable:
        # A rule of the design leads to counts that its settings do not say.
        try:
            return _walked(design, states, _widest_packing(design, states), merge, memory_limit, begin is None)
        except Unreachable:
            raise InputError(_endless(design)) from None


def _walked(design: Design, states: States, packing: Packing, merge: bool, memory_limit: int, whole: bool) -> Ends:
    """Return the final states; ``whole`` if the trial begins without patients."""
    n_doses = states.n_doses
    # With cohorts of one size the visits to a dose follow from its count; otherwise they are stored.
    visits = None if design.one_size is not None else np.zeros((1, 2, n_doses))
    front = _decided(design, states, packing.packed(states), np.ones(1), np.ones(1), visits)
    rule = by_pairs(design, packing) if whole and merge else None
    if rule is not None:
        front = replace(front, memory=np.full((1, 1), n_doses, COUNT))
    cohorts = int(states.cohorts[0])
    ended: list[_Front] = []
    walked, held, final, peak = 0, 0, 0, 0
    going: list[int] = []
    while len(front):
        walked += len(front)
        over = front.code >= n_doses
        if over.any():
            ended.append(front if over.all() else front.take(np.flatnonzero(over)))
            held += len(ended[-1]) * front.row_bytes
            final += len(ended[-1]) * _bytes_of_end(front, n_doses, packing)
            # The old front is released before its children are generated.
            front = front.take(np.flatnonzero(~over))
        following = held + len(front) * front.row_bytes + _bytes_of_children(front, packing) if len(front) else 0
        needed = max(following, final)
        peak = max(peak, needed)
        if needed > memory_limit:
            when = "the next cohort would need" if following > memory_limit else "the final states so far would need"
            raise WalkTooLarge(_too_large(design, walked, needed, memory_limit, when))
        going.append(len(front))
        if whole and len(front) and len(going) >= _FORESEEN:
            each = front.row_bytes + _bytes_of_children(front, packing) / len(front)
            _refuse_far_too_large(design, n_doses, going, front.row_bytes, each, memory_limit)
        if len(front) and cohorts >= MOST_COHORTS:
            raise InputError(_endless(design))
        cohorts += 1
        front = _next(design, packing, front, cohorts, merge) if rule is None else _next_by_pairs(rule, front)
    return _gather(design, packing, ended, walked, peak)


def _packing(design: Design, states: States) -> Packing:
    """Return a packing of the counts that a design's trial can have by its settings."""
    size, most = design.one_size, design.most_per_dose
    if design.max_n is None or size is None or design.max_n_per_dose is not None or states.n.any():
        return _widest_packing(design, states)
    # Cohorts of one size, the last of them reduced to the maximum sample size.
    most = design.max_n if most is None else min(most, design.max_n)
    whole = range(0, most + 1, size)
    reduced = (n + design.max_n % size for n in whole)
    return packing_of(states.n_doses, tuple(sorted({*whole, *(n for n in reduced if n <= most)})), len(states.more))


def _widest_packing(design: Design, states: States) -> Packing:
    """Return a packing of any counts up to a design's limits."""
    bounds = [n for n in (design.max_n, design.most_per_dose) if n is not None]
    most = min(bounds, default=MOST_PATIENTS + int(np.max(design.cohort_size)))
    return packing_of(states.n_doses, tuple(range(int(max(most, states.n.max())) + 1)), len(states.more))


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
    design: Design, states: States, words: np.ndarray, ways: np.ndarray, paths: np.ndarray, visits: np.ndarray | None
) -> _Front:
    decision = design.decide(states)
    code = np.where(decision.dose >= 0, decision.dose, states.n_doses + decision.reason)
    return _Front(
        words,
        decision.memory,
        code.astype(COUNT),
        decision.size.astype(COUNT),
        states.total,
        ways,
        paths,
        visits,
        np.inf if decision.margin is None else float(decision.margin.min(initial=np.inf)),
    )


@dataclass(frozen=True)
class _Children:
    """All outcomes of the next cohort of some states: the parent, the position in the outcome table, and the words of each."""

    parent: np.ndarray
    outcome: np.ndarray
    words: np.ndarray

    def take(self, rows: np.ndarray | slice) -> _Children:
        return _Children(self.parent[rows], self.outcome[rows], self.words[:, rows])


def _next(design: Design, packing: Packing, front: _Front, cohorts: int, merge: bool) -> _Front:
    """Return the states after another cohort, decided and merged."""
    if not len(front):
        return front
    children = _children(front, packing, design.tracks)
    if not merge:
        return _followed(design, packing, front, cohorts, children, None)
    key = packing.key(children.words)
    # Children of sorted parents come in sorted runs, one per dose and outcome, which a merging sort exploits.
    children = children.take(np.argsort(key, kind="stable"))
    starts = _group_starts(packing, children.words)
    if _all_end(design, front):
        return _ended(design, packing, front, children, starts)
    parts = []
    for block in range(0, len(starts), BLOCK):
        first = starts[block : block + BLOCK]
        rows = slice(first[0], starts[block + BLOCK] if block + BLOCK < len(starts) else len(key))
        first = first - first[0]
        group = np.repeat(np.arange(len(first)), np.diff(first, append=rows.stop - rows.start))
        parts.append(_merged(_followed(design, packing, front, cohorts, children.take(rows), (first, group)), group))
    return _joined(parts)


def _next_by_pairs(rule: ByPairs, front: _Front) -> _Front:
    """Return the same for a design with a rule by pairs of counts; the memory is the number of doses that are not eliminated."""
    if not len(front):
        return front
    total = int(front.total[0])
    words, code, remaining, ways, paths = rule.step(front.words[0], front.code, front.memory[:, 0], front.ways, front.paths, total)
    total += int(front.size[0])
    size = np.full(len(words), min(rule.size, rule.max_n - total), COUNT)
    totals = np.full(len(words), total, COUNT)
    return _Front(words[None], remaining[:, None], code, size, totals, ways, paths, None, np.inf)


def _children(front: _Front, packing: Packing, tracks: tuple[str, ...]) -> _Children:
    """Return the children of all states, those of one outcome in the order of their parents within each dose."""
    by_dose = np.argsort(front.code, kind="stable")
    sizes = np.flatnonzero(np.bincount(front.size))
    parts = []
    for size in sizes.tolist():
        rows = by_dose if len(sizes) == 1 else by_dose[front.size[by_dose] == size]
        dose, words = front.code[rows], front.words[:, rows]
        added, _ = outcome_table(tracks, size)
        pair = packing.pair_at(words, dose)
        packing.add(words, dose, packing.after(pair, size) - pair)
        outcomes, number = len(added), len(rows)
        every = np.empty((len(words), outcomes, number), np.uint64)
        every[:] = words[:, None]
        for counted, more in enumerate(added.T):
            packing.add(every, dose, more[:, None], counted)
        parent = np.broadcast_to(rows.astype(np.int32), (outcomes, number)).ravel()
        parts.append(_Children(parent, np.repeat(np.arange(outcomes, dtype=COUNT), number), every.reshape(len(words), -1)))
    if len(parts) == 1:
        return parts[0]
    parent, outcome = (np.concatenate([getattr(part, name) for part in parts]) for name in ("parent", "outcome"))
    return _Children(parent, outcome, np.concatenate([part.words for part in parts], axis=1))


def _ways(design: Design, front: _Front, children: _Children) -> np.ndarray:
    """Return the multiplicity of some children."""
    _, multiplicity = _tables(design.tracks, int(front.size.max()))
    if (front.size == front.size[0]).all():
        return front.ways[children.parent] * multiplicity[front.size[0], children.outcome]
    return front.ways[children.parent] * multiplicity[front.size[children.parent], children.outcome]


def _all_end(design: Design, front: _Front) -> bool:
    """Return whether all trials reach the maximum sample size with the next cohort, and nothing is asked of the design then."""
    asked = design.own_reasons or design.n_memory or front.visits is not None or type(design).decide is not Design.decide
    return not asked and design.max_n is not None and bool((front.total + front.size >= design.max_n).all())


def _ended(design: Design, packing: Packing, front: _Front, children: _Children, starts: np.ndarray) -> _Front:
    """Return some children in the order of their keys, merged, that all end at the maximum sample size."""
    words, number = children.words[:, starts], len(starts)
    code = np.full(number, packing.n_doses + design.code("max_n"), COUNT)
    nothing, total = np.zeros(number, COUNT), np.full(number, design.max_n, COUNT)
    ways = np.add.reduceat(_ways(design, front, children), starts)
    paths = np.add.reduceat(front.paths[children.parent], starts)
    return _Front(words, np.zeros((number, 0), COUNT), code, nothing, total, ways, paths, None, np.inf)


def _followed(
    design: Design,
    packing: Packing,
    front: _Front,
    cohorts: int,
    children: _Children,
    groups: tuple[np.ndarray, np.ndarray] | None,
) -> _Front:
    """Return some children, decided."""
    parent, outcome = children.parent, children.outcome
    dose, ways, paths = front.code[parent], _ways(design, front, children), front.paths[parent]
    same = (front.size == front.size[0]).all()
    size = np.full(len(parent), front.size[0]) if same else front.size[parent]
    increments, _ = _tables(design.tracks, int(front.size.max()))
    dlts = outcome if design.tracks == ("dlt",) else increments[0][size, outcome]
    visits = None if front.visits is None else front.visits[parent]
    if visits is not None:
        each = np.arange(len(parent))
        visits[each, 1, dose] += (visits[each, 0, dose] == 0) & (size > 1)
        visits[each, 0, dose] += 1
    states = PackedStates.of(
        packing,
        children.words,
        front.total[parent] + size,
        last=dose,
        last_n=size,
        last_y=dlts,
        cohorts=np.full(len(parent), cohorts, COUNT),
        memory=front.memory[parent],
        groups=groups,
    )
    return _decided(design, states, children.words, ways, paths, visits)


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


def _group_starts(packing: Packing, words: np.ndarray) -> np.ndarray:
    """Return the first of each run of children with equal counts; equal keys of several words are checked to be equal counts."""
    new = words[0, 1:] != words[0, :-1]
    if len(words) > 1:
        key = packing.key(words)
        new = key[1:] != key[:-1]
        for word in words:
            if np.any(~new & (word[1:] != word[:-1])):
                raise ArithmeticError(SHARED_KEY)
    return np.flatnonzero(np.append(True, new))


def _merged(part: _Front, group: np.ndarray) -> _Front:
    """Merge states of one group of counts with equal memory and next step."""
    label = group * 128 + part.code
    for column in part.memory.T:
        if column.min() < 0 or column.max() >= MOST_MEMORY:
            raise InputError(f"a design's memory must be whole numbers from 0 to {MOST_MEMORY - 1}")
        label = label * MOST_MEMORY + column
    steps = np.diff(label)
    order = None
    if steps.min(initial=0) < 0:
        order = np.argsort(label, kind="stable")
        steps = np.diff(label[order])
    starts = np.flatnonzero(np.append(True, steps != 0))
    rows = starts if order is None else order[starts]
    weights, paths = (column if order is None else column[order] for column in (part.ways, part.paths))
    ways, paths = np.add.reduceat(weights, starts), np.add.reduceat(paths, starts)
    visits = None
    if part.visits is not None:
        each = part.visits * part.ways[:, None, None]
        visits = np.add.reduceat(each if order is None else each[order], starts) / ways[:, None, None]
    return replace(part.take(rows), ways=ways, paths=paths, visits=visits)


def _joined(parts: list[_Front]) -> _Front:
    if len(parts) == 1:
        return parts[0]
    words = np.concatenate([part.words for part in parts], axis=1)
    each = zip(*(part._columns for part in parts), strict=True)
    memory, code, size, total, ways, paths = (np.concatenate(column) for column in each)
    visits = None if parts[0].visits is None else np.concatenate([part.visits for part in parts if part.visits is not None])
    return _Front(words, memory, code, size, total, ways, paths, visits, min(part.margin for part in parts))


def _bytes_of_children(front: _Front, packing: Packing) -> int:
    """Return the memory that the next cohort needs: its children in both orders with their keys, and once merged."""
    tracked = 1 + packing.further
    children = int(((front.size.astype(np.int64) + 1) ** tracked).sum())
    return children * (front.row_bytes + 2 * (8 * packing.n_words + 6) + 24)


def _bytes_of_end(front: _Front, n_doses: int, packing: Packing) -> int:
    """Return the memory that a final state needs in the end: its row twice while all are joined, its counts and its reason."""
    return 2 * front.row_bytes + 2 * n_doses * (2 + packing.further) + 8 + (0 if front.visits is None else 16 * n_doses)


def _refuse_far_too_large(design: Design, n_doses: int, going: list[int], row_bytes: int, bytes_each: float, limit: int) -> None:
    """Raise if a walk would reach the memory limit much later, as predicted from its first cohorts.

    States are counts at doses, two numbers each, so that the number of running states is at most a polynomial of degree
    2 x doses in the number of cohorts. Its root of this order is nearly a straight line: the line through the last three numbers
    overestimated the largest by a factor of at most 2.7 in walks of three to eight doses. Where doses have a maximum number of
    patients, or the trial stops at a number, growth declines, and it was at most 7.2.
    While doses are abandoned with few patients, as in the 3+3, the number grows by the same factor with each cohort instead, for
    about three quarters of the cohorts that a trial can have, and the total number of states is about five times the number running
    then.

    Parameters
    ----------
    design
        The design.
    n_doses
        Number of doses.
    going
        Number of running states after each cohort so far.
    row_bytes, bytes_each
        Memory of a state, and of a state with all of its children.
    limit
        Memory limit.

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
    if design.bound_by_group:
        if done < 20 or done % 10 or going[-1] / going[-6] <= 0.97 * going[-6] / going[-11]:
            return
        factor = (going[-1] / going[-6]) ** 0.2
        # Three quarters of the states are final.
        per_state = max(row_bytes, 0.75 * (2 * row_bytes + 24 * n_doses))
        expected, times = 5 * going[-1] * factor ** (0.75 * cohorts - done) * per_state, 1.0
    else:
        roots = np.array(going[-3:]) ** (1 / (2 * n_doses))
        slope, level = np.polyfit(np.arange(-2, 1), roots, 1)
        expected = max(level + slope * (cohorts - done), 0.0) ** (2 * n_doses) * bytes_each
        times = _FAR if all(cap is None for cap in caps) else _FAR_WITH_CAPS
    if expected > times * limit:
        raise WalkTooLarge(_too_large(design, sum(going), expected, limit, "a later cohort would need about"))


# A walk is rejected if the prediction of its size exceeds this multiple of the memory limit: without and with a limit of the
# number of patients at a dose. It is predicted from this number of cohorts on.
_FAR, _FAR_WITH_CAPS, _FORESEEN = 4.0, 10.0, 8


def _too_large(design: Design, walked: int, needed: float, limit: int, when: str) -> str:
    return (
        f"{design.title}: after {walked:,} states {when} {needed / 2**30:.3g} GiB, more than the memory limit "
        f"of {limit / 2**30:.3g} GiB. Use larger cohorts, fewer patients (max_n), a limit per dose (max_n_per_dose), a higher "
        "memory limit or the method 'simulate'"
    )


def _gather(design: Design, packing: Packing, ended: list[_Front], walked: int, peak: int) -> Ends:
    ends = _joined(ended)
    n, y = packing.counts(ends.words)
    visited = OfOneSize(n, design.one_size or 1) if ends.visits is None else ends.visits
    reason = ends.code.astype(np.int64) - packing.n_doses
    more = packing.further_counts(ends.words)
    return Ends(n, y, more, reason, ends.ways, ends.paths, visited, walked, peak, ends.margin)
