"""Exact distribution of a trial with one candidate every gap, the DLT window being a whole number of gaps: an oracle for calendars.

Written plainly and without `dosefind.operating`: a state is what a design reads (DLTs, complete patients, dose and age of each
pending patient, the latest cohort), and states with equal parts are merged. Between two candidates a pending patient of age a has a
DLT with probability p (W(a + 1) - W(a)) / (1 - p W(a)), W uniform. A candidate who cannot start is turned away.
"""

from collections import defaultdict
from itertools import product

import numpy as np

from dosefind.trial import COUNT, WAIT, FollowUps, States, TimedStates


def lattice(design, truth, gaps, window, visited=None):
    """Return probabilities of each selection (none first), mean patients and DLTs by dose, of each number of gaps to the last
    start, and the mean number of candidates turned away by then.

    A state: DLTs by dose, complete patients by dose, pending patients (dose, age, whether in the latest cohort) in order, dose of
    the cohort, its patients and DLTs, DLTs of others since it began, cohorts, candidates turned away since the last start. A cohort
    is treated in full unless its dose is closed or the trial stops. All states are added to ``visited``.
    """
    doses, whole = len(truth), window // gaps
    size = design.one_size
    start = ((0,) * doses, (0,) * doses, (), -1, 0, 0, 0, 0, 0)
    front, ends = {start: 1.0}, defaultdict(float)
    last, away, gap = defaultdict(float), 0.0, 0
    while front:
        keys = list(front)
        if visited is not None:
            visited.update(keys)
        decision = design.decide(timed(keys, doses, whole, window))
        following = defaultdict(float)
        for key, dose, room, open_ in zip(keys, decision.dose, decision.size, decision.admissible, strict=True):
            y, done, pending, plan, own_n, own_y, late, cohorts, gone = key
            chance = front[key]
            treated = sum(y) + sum(done) + len(pending)
            short = plan >= 0 and own_n % size and treated < design.max_n
            if short and dose != -1 and open_[plan]:
                place = plan
            elif dose == WAIT and treated < design.max_n:
                place = None
            elif dose < 0:
                ends[y, done, pending] += chance
                last[gap - gone - 1] += chance
                continue
            else:
                assert room > 0
                place, own_n, own_y, late, cohorts = int(dose), 0, 0, 0, cohorts + 1
                pending = tuple((at, age, False) for at, age, _ in pending)
            if place is None:
                after = (y, done, pending, plan, own_n, own_y, late, cohorts, gone + 1)
            else:
                pending = tuple(sorted((*pending, (place, 0, True))))
                after = (y, done, pending, place, own_n + 1, own_y, late, cohorts, 0)
                away += chance * gone
            for then, share in news(after, truth, gaps):
                following[then] += chance * share
        front, gap = following, gap + 1
    return finished(design, ends, truth, gaps) | {"last_start": dict(last), "turned_away": away}


def news(key, truth, gaps):
    """Yield the states after another gap with their probabilities."""
    y, done, pending, plan, own_n, own_y, late, cohorts, gone = key
    chances = [truth[dose] / gaps / (1 - truth[dose] * age / gaps) for dose, age, _ in pending]
    for ways in product((False, True), repeat=len(pending)):
        share, dlts, complete, rest, own, others = 1.0, list(y), list(done), [], own_y, late
        for (dose, age, mine), toxic, chance in zip(pending, ways, chances, strict=True):
            share *= chance if toxic else 1 - chance
            if toxic:
                dlts[dose] += 1
                own, others = own + mine, others + (not mine)
            elif age + 1 == gaps:
                complete[dose] += 1
            else:
                rest.append((dose, age + 1, mine))
        yield (tuple(dlts), tuple(complete), tuple(sorted(rest)), plan, own_n, own, others, cohorts, gone), share


def finished(design, ends, truth, gaps):
    """Selections, patients and DLTs once everything is known."""
    doses, chances = len(truth), defaultdict(float)
    for (y, done, pending), chance in ends.items():
        rates = [truth[dose] * (1 - age / gaps) / (1 - truth[dose] * age / gaps) for dose, age, _ in pending]
        for ways in product((0, 1), repeat=len(pending)):
            share, n, dlts = chance, np.add(y, done), list(y)
            for (dose, _age, _own), toxic, rate in zip(pending, ways, rates, strict=True):
                share *= rate if toxic else 1 - rate
                n[dose] += 1
                dlts[dose] += toxic
            chances[tuple(n), tuple(dlts)] += share
    n, y = (np.array([key[part] for key in chances]) for part in (0, 1))
    weight = np.array(list(chances.values()))
    chosen = design.select(States.counts(n, y)).dose
    selected = [weight[chosen == choice].sum() for choice in range(-1, doses)]
    return {"selected": np.array(selected), "n": weight @ n, "y": weight @ y, "mass": weight.sum()}


def with_news(keys, gaps):
    """Yield states in which something else became known of one pending patient, and their place in ``keys``: "dlt", "complete", or
    "older", followed up for another gap.
    """
    for place, key in enumerate(keys):
        y, done, pending, *rest = key
        for at, (dose, age, own) in enumerate(pending):
            others, one = (*pending[:at], *pending[at + 1 :]), tuple(int(level == dose) for level in range(len(y)))
            with_one = tuple(map(sum, zip(y, one, strict=True)))
            plan, own_n, own_y, late, *more = rest
            yield "dlt", place, (with_one, done, others, plan, own_n, own_y + own, late + (not own), *more)
            complete = tuple(map(sum, zip(done, one, strict=True)))
            yield "complete", place, (y, complete, others, *rest)
            if age + 1 < gaps:
                yield "older", place, (y, done, tuple(sorted((*others, (dose, age + 1, own)))), *rest)


def timed(keys, doses, gap_days, window):
    """Return the states as the design reads them."""
    count, wide = len(keys), max(len(key[2]) for key in keys)
    n, y, c = np.zeros((3, count, doses), COUNT)
    at, days = np.full((count, wide), -1), np.zeros((count, wide), int)
    last, last_n, last_y, late, cohorts = np.zeros((5, count), COUNT)
    for row, (dlts, done, pending, plan, own_n, own_y, others, number, _gone) in enumerate(keys):
        n[row], y[row] = np.add(dlts, done), dlts
        for place, (dose, age, _own) in enumerate(pending):
            n[row, dose] += 1
            c[row, dose] += 1
            at[row, place], days[row, place] = dose, age * gap_days
        last[row], last_n[row], last_y[row], late[row], cohorts[row] = plan, own_n, own_y, others, number
    followed = FollowUps(window, at, days, late)
    return TimedStates(n, y, last, last_n, last_y, cohorts, np.zeros((count, 0), COUNT), pending=c, follow_ups=followed)
