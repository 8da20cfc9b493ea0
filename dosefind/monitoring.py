"""Safety monitoring: boundaries on the number of patients with an event, their exact properties, and pause rules that have fired.

Everything here is a pure function of counts. A boundary is an array: entry n is the smallest number of patients with an event,
among n treated patients, at which enrolment pauses, and n + 1 if no number does. A new kind of boundary is a settings class in
`dosefind.protocol` and one case in `boundary`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betainc

from ._check import MOST_COUNTED, InputError, Problem, count, whole
from .protocol import BetaBinomialBoundary, Pause, PocockBoundary
from .threads import one_thread

__all__ = ["TIE", "Counts", "Crossing", "Range", "Trigger", "boundary", "crossed", "crossing", "fired", "nominal_level", "ranges"]

TIE = 1e-10
"""Probabilities within this distance count as equal, as in the rules of the designs: an equal probability does not pause."""

# Binomial tail probabilities that differ by this proportion are one value: `betainc` is accurate to about 1e-14.
_SAME = 1e-11

# Pause rules in the order of display.
_KINDS = ("death", "related-serious", "boundary")


# Maximum number of patients for which a boundary is made, as in a config.
_MOST = 1000


@dataclass(frozen=True)
class Counts:
    """Treated patients and patients with events; a patient counts once in each field.

    Attributes
    ----------
    treated
        Treated patients (the safety set), evaluable for DLT or not.
    deaths
        Patients who died, of any cause.
    related_serious
        Patients with a related serious event.
    serious
        Patients with a related serious event, a related event of grade 4 or worse, or death.
    dlts
        Patients with a DLT.

    Raises
    ------
    InputError
        If a count is not a whole number from 0 to ``treated``, or ``serious`` is below ``deaths`` or ``related_serious``.
    """

    treated: int
    deaths: int = 0
    related_serious: int = 0
    serious: int = 0
    dlts: int = 0

    def __post_init__(self) -> None:
        whole("treated", self.treated, 0)
        for field in fields(self)[1:]:
            whole(field.name, getattr(self, field.name), 0, self.treated)
        least = max(self.deaths, self.related_serious)
        if self.serious < least:
            raise InputError(Problem("serious", self.serious, f"must be at least {least}: it includes deaths and related_serious"))

    @property
    def all_events(self) -> int:
        """Return the events of all kinds added up, used only to order patients."""
        return self.deaths + self.related_serious + self.serious + self.dlts

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))


@dataclass(frozen=True)
class Trigger:
    """A pause rule that has fired.

    Attributes
    ----------
    kind
        "death", "related-serious" or "boundary".
    level
        Dose level (from 1) whose patients were counted; ``None`` for the whole trial.
    events
        Patients with an event of this rule.
    n
        Treated patients counted.
    limit
        Smallest number of events at which the rule fires among ``n`` patients.
    event
        Event of the boundary, as in `Pause.event`; ``None`` for the other rules.
    """

    kind: Literal["death", "related-serious", "boundary"]
    level: int | None
    events: int
    n: int
    limit: int
    event: Literal["serious", "dlt"] | None = None

    def events_in(self, counts: Counts) -> int:
        """Return the number of patients with an event of this rule, among those of ``counts``."""
        if self.kind == "boundary":
            return _boundary_events(counts, self.event)
        return counts.deaths if self.kind == "death" else counts.related_serious


class Crossing(NamedTuple):
    """Exact properties of a boundary, one entry per true event rate.

    Attributes
    ----------
    rate
        True event rate: probability of an event per patient, the same and independent for every patient.
    probability
        Probability that enrolment ever pauses.
    patients
        Expected number of treated patients at the first pause, or at the maximum if there is no pause.
    events
        Expected number of patients with an event at that time.
    """

    rate: np.ndarray
    probability: np.ndarray
    patients: np.ndarray
    events: np.ndarray


class Range(NamedTuple):
    """Numbers of treated patients, from ``low`` to ``high``, with the same limit; ``events`` is ``None`` if no number pauses."""

    low: int
    high: int
    events: int | None


@one_thread
def boundary(rule: BetaBinomialBoundary | PocockBoundary, max_n: int, up_to: int | None = None) -> np.ndarray:
    """Return the smallest number of patients with an event at which enrolment pauses, for every number of treated patients.

    Parameters
    ----------
    rule
        The boundary's settings.
    max_n
        Number of patients for which the boundary is made; for a protocol this is `Protocol.pause_max_n`. The nominal level of a
        Pocock boundary depends on it.
    up_to
        Last number of treated patients of the result, ``max_n`` by default. Beyond ``max_n`` the same cutoff or nominal level
        applies.

    Returns
    -------
    (up_to + 1,) int array
        Entry n is the limit among n patients, n + 1 if no number of events pauses. Entry 0 is 1.

    Raises
    ------
    InputError
        If ``max_n`` or ``up_to`` is not a positive whole number.

    Notes
    -----
    Beta-binomial: with y events among n patients the posterior is Beta(a + y, b + n - y), and the limit is the smallest y with
    P(event rate > rate | data) > cutoff (Geller, Follmann, Leifer and Carter 2003, ISBN 9781135524388). Pocock: the limit is the
    smallest y with P(Y >= y) at most the nominal level, where Y is binomial(n, rate) (Ivanova, Qaqish and Schell 2005,
    doi:10.1111/j.1541-0420.2005.00311.x).

    Examples
    --------
    >>> from dosefind.protocol import PocockBoundary
    >>> boundary(PocockBoundary(kind="pocock", rate=0.2), 6)
    array([1, 2, 3, 3, 3, 4, 4])
    """
    max_n = _size("max_n", max_n, _MOST)
    last = max_n if up_to is None else _size("up_to", up_to, MOST_COUNTED)
    if isinstance(rule, PocockBoundary):
        limits = _at_level(_tails(last, rule.rate), nominal_level(rule, max_n))
    else:
        n, y = np.arange(last + 1)[:, None], np.arange(last + 1)
        above = betainc(rule.b + np.maximum(n - y, 0), rule.a + y, 1 - rule.rate)
        limits = ((above <= rule.cutoff + TIE) & (y <= n)).sum(axis=1)
        limits[: rule.least_n] = np.arange(min(rule.least_n, last + 1)) + 1
    limits[0] = 1
    return limits


def _size(name: str, value: int, most: int) -> int:
    return count(name, whole(name, value, 1), 1, most)


def nominal_level(rule: PocockBoundary, max_n: int) -> float:
    """Return the constant nominal level of a Pocock boundary.

    Only binomial tail probabilities matter, so the level is the largest of them at which the
    probability of a pause among ``max_n`` patients at the acceptable rate is at most alpha.

    Parameters
    ----------
    rule
        The boundary's settings.
    max_n
        Number of patients for which the boundary is made.

    Returns
    -------
    float
        The level; 0 if even the smallest tail probability is too large, so that no number of events pauses.
    """
    return _level(rule.rate, rule.alpha, _size("max_n", max_n, _MOST))


@lru_cache(maxsize=256)
def _level(rate: float, alpha: float, max_n: int) -> float:
    tails = _tails(max_n, rate)
    # A test that is significant at a level above alpha already has a probability above alpha.
    levels = np.unique(tails[(tails > 0) & (tails <= alpha * (1 + _SAME))])
    low, high = -1, len(levels)
    # The probability of a pause rises with the level: bisection.
    while high - low > 1:
        middle = (low + high) // 2
        pauses = crossing(_at_level(tails, levels[middle]), rate).probability[0]
        low, high = (middle, high) if pauses <= alpha * (1 + _SAME) else (low, middle)
    return float(levels[low]) if low >= 0 else 0.0


def _tails(max_n: int, rate: float) -> np.ndarray:
    """Return P(Y >= y) for Y binomial(n, rate): n in rows, y in columns, both from 0; 0 if y > n."""
    n, y = np.arange(max_n + 1)[:, None], np.arange(max_n + 1)
    inside = (y >= 1) & (y <= n)
    found = betainc(np.where(inside, y, 1.0), np.where(inside, n - y + 1.0, 1.0), rate)
    return np.where(inside, found, np.where(y == 0, 1.0, 0.0))


def _at_level(tails: np.ndarray, level: float) -> np.ndarray:
    """Return the smallest y with a tail probability of at most ``level`` for each n, n + 1 if there is none."""
    n, y = np.arange(len(tails))[:, None], np.arange(len(tails))
    return ((tails > level * (1 + _SAME)) & (y <= n)).sum(axis=1)


@one_thread
def crossing(boundary: ArrayLike, rates: ArrayLike) -> Crossing:
    """Compute the exact properties of a boundary when every patient has an event with the same probability.

    The numbers of treated patients and of events form a Markov chain, whose distribution before the first pause follows by a
    recursion over patients; nothing is simulated.

    Parameters
    ----------
    boundary
        Smallest number of events that pauses, by number of treated patients from 0, as `boundary` returns it.
    rates
        True event rate, or several, each from 0 to 1.

    Returns
    -------
    Crossing
        Arrays with one entry per rate.

    Raises
    ------
    InputError
        If the boundary is not a list of whole numbers of at least 0, or a rate is not in [0, 1].

    Examples
    --------
    >>> float(crossing([1, 2, 2], 0.5).probability[0])  # both of two patients
    0.25
    """
    limits, p = _limits(boundary), _rates(rates)
    last = len(limits) - 1
    y = np.arange(last + 1)
    # Probability of each number of events without a pause so far; rates in rows.
    alive = np.zeros((len(p), last + 1))
    alive[:, 0] = 1
    pauses, patients, events = np.zeros((3, len(p)))
    for n, limit in enumerate(limits):
        if n:
            alive[:, 1:] = alive[:, 1:] * (1 - p[:, None]) + alive[:, :-1] * p[:, None]
            alive[:, 0] *= 1 - p
        stopped = alive[:, limit:]
        pauses += stopped.sum(axis=1)
        patients += n * stopped.sum(axis=1)
        events += stopped @ y[limit:]
        alive[:, limit:] = 0
    return Crossing(p, pauses, patients + last * alive.sum(axis=1), events + alive @ y)


def ranges(boundary: ArrayLike) -> tuple[Range, ...]:
    """Return a boundary as ranges of numbers of treated patients with the same limit, from 1 patient on.

    Parameters
    ----------
    boundary
        Smallest number of events that pauses, by number of treated patients from 0.

    Examples
    --------
    >>> ranges([1, 2, 2, 3])
    (Range(low=1, high=1, events=None), Range(low=2, high=2, events=2), Range(low=3, high=3, events=3))
    """
    found: list[Range] = []
    for n, limit in enumerate(_limits(boundary).tolist()[1:], start=1):
        events = limit if limit <= n else None
        if found and found[-1].events == events:
            found[-1] = found[-1]._replace(high=n)
        else:
            found.append(Range(n, n, events))
    return tuple(found)


def crossed(pause: Pause, counts_by_level: Mapping[int, Counts] | Mapping[int | None, Counts], max_n: int) -> tuple[Trigger, ...]:
    """Return the pause rules whose limit is reached by the given counts.

    Parameters
    ----------
    pause
        The protocol's pause rules.
    counts_by_level
        Counts by dose level (from 1); a level of ``None`` holds patients treated at a dose not in the protocol, who are counted
        over the whole trial only.
    max_n
        Number of patients for which the boundary is made: `Protocol.pause_max_n`. With more treated patients its cutoff or nominal
        level stays the same.

    Returns
    -------
    tuple of Trigger
        Deaths first, then related serious events, then the boundary; levels in increasing order.

    Notes
    -----
    Only the given counts are judged. A boundary that was reached with fewer patients may not be reached now; `fired` judges it
    after each patient.

    Examples
    --------
    >>> counts = Counts(3, related_serious=1, serious=1)
    >>> crossed(Pause(related_serious=2), {1: counts, 2: counts}, 18)
    (Trigger(kind='related-serious', level=None, events=2, n=6, limit=2, event=None),)
    """
    by_level: dict[int | None, Counts] = dict(counts_by_level.items())
    return tuple(_crossed(pause, by_level, _pause_limits(pause, max_n, sum(counts.treated for counts in by_level.values()))))


def fired(pause: Pause, patients: Iterable[tuple[int | None, Counts]], max_n: int) -> tuple[Trigger, ...]:
    """Return the pause rules that have fired, judged after each patient.

    After every patient the rules are judged by the events among the patients treated so far. A rule whose limit is reached after
    any patient has fired, however many patients are treated later. The probability that the boundary of the whole trial fires is
    therefore that of `crossing`.

    Parameters
    ----------
    pause
        The protocol's pause rules.
    patients
        Dose level and counts of each treated patient, in the order of the first infusion; a level of ``None`` as in `crossed`.
    max_n
        Number of patients for which the boundary is made: `Protocol.pause_max_n`.

    Returns
    -------
    tuple of Trigger
        In the order of `crossed`. Each has the counts of the largest number of patients at which its limit is reached.

    Examples
    --------
    >>> rule = PocockBoundary(kind="pocock", rate=0.2)
    >>> event, none = (1, Counts(1, serious=1)), (1, Counts(1))
    >>> patients = [event, event, event, *[none] * 20]
    >>> [(trigger.events, trigger.n, trigger.limit) for trigger in fired(Pause(boundary=rule), patients, 6)]
    [(3, 4, 3)]
    """
    patients = list(patients)
    limits = _pause_limits(pause, max_n, sum(counts.treated for _, counts in patients))
    by_level: dict[int | None, Counts] = {}
    found: dict[tuple[str, int | None], Trigger] = {}
    for level, counts in patients:
        by_level[level] = by_level.get(level, Counts(0)) + counts
        found.update({(trigger.kind, trigger.level): trigger for trigger in _crossed(pause, by_level, limits)})
    return tuple(sorted(found.values(), key=lambda trigger: (_KINDS.index(trigger.kind), trigger.level or 0)))


def _pause_limits(pause: Pause, max_n: int, treated: int) -> np.ndarray | None:
    """Return the limits of the boundary up to the number of treated patients, or ``None`` without a boundary."""
    return None if pause.boundary is None else boundary(pause.boundary, max_n, max(1, treated))


def _crossed(pause: Pause, by_level: Mapping[int | None, Counts], limits: np.ndarray | None) -> list[Trigger]:
    """Return the pause rules whose limit is reached; ``limits`` are those of the boundary."""
    whole_trial = sum(by_level.values(), start=Counts(0))
    found = []
    if pause.any_death and whole_trial.deaths:
        found.append(Trigger("death", None, whole_trial.deaths, whole_trial.treated, 1))
    counted: dict[int | None, Counts] = {None: whole_trial}
    if pause.by == "dose":
        counted = {level: by_level[level] for level in sorted(level for level in by_level if level is not None)}
    if pause.related_serious is not None:
        found += [
            Trigger("related-serious", level, counts.related_serious, counts.treated, pause.related_serious)
            for level, counts in counted.items()
            if counts.related_serious >= pause.related_serious
        ]
    if limits is not None:
        for level, counts in counted.items():
            events, limit = _boundary_events(counts, pause.event), int(limits[counts.treated])
            if events >= limit:
                found.append(Trigger("boundary", level, events, counts.treated, limit, pause.event))
    return found


def _boundary_events(counts: Counts, event: Literal["serious", "dlt"] | None) -> int:
    return counts.dlts if event == "dlt" else counts.serious


def _limits(boundary: ArrayLike) -> np.ndarray:
    limits = np.asarray(boundary)
    if limits.ndim != 1 or not limits.size or limits.dtype.kind not in "iu" or (limits < 0).any():
        allowed = "must be whole numbers of at least 0, one per number of treated patients from 0"
        raise InputError(Problem("boundary", limits.tolist(), allowed))
    return limits


def _rates(rates: ArrayLike) -> np.ndarray:
    try:
        found = np.atleast_1d(np.asarray(rates, dtype=float))
    except (TypeError, ValueError):
        found = np.full((1, 1), np.nan)
    if found.ndim != 1 or not ((found >= 0) & (found <= 1)).all():
        raise InputError(Problem("rates", rates, "must be a probability in [0, 1], or a list of these"))
    return found
