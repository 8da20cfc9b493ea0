"""What every design must keep, whatever its rules; a design's test file runs `check_design` on its settings."""

import re
from collections.abc import Collection
from dataclasses import replace
from math import comb

import numpy as np

from dosefind.designs import Design
from dosefind.operating.lattice import lattice
from dosefind.operating.walk import refuse_endless, walk
from dosefind.trial import States

TRUTHS = np.array([[0.05, 0.15, 0.30, 0.45], [0.30, 0.45, 0.60, 0.70], [0.0, 0.0, 0.5, 1.0]])


def check_design(design: Design, n_doses: int = 3, exceptions: Collection[str] = ()) -> None:
    """Run the whole contract; ``design`` must end within a dozen cohorts.

    Invariants that the design itself names with a reason (`Design.exceptions`) are not asked for, nor are ``exceptions``.
    """
    design = design.with_settings(n_doses=n_doses)
    refuse_endless(design, States.before_first(n_doses, (0,) * design.n_memory))
    states = reachable(design, n_doses)
    check_choice(design, states, {*design.exceptions(), *exceptions})
    check_batches(design, states)
    check_limits(design, states)
    check_merging(design, n_doses)
    check_against_plain_recursion(design, n_doses)
    check_words(design)


def reachable(design: Design, n_doses: int) -> States:
    """Every state after a cohort that the design can reach, each distinct one once."""
    front = States.before_first(n_doses, (0,) * design.n_memory)
    found = [front]
    while len(front):
        decision = design.decide(front)
        rows = np.flatnonzero(decision.dose >= 0)
        parents = np.repeat(rows, decision.size[rows] + 1)
        dlts = np.concatenate([np.arange(size + 1) for size in decision.size[rows]]) if len(rows) else np.zeros(0, int)
        front = replace(front, memory=decision.memory).follow(
            parents, decision.dose[parents].astype(np.int16), decision.size[parents].astype(np.int16), dlts.astype(np.int16)
        )
        key = np.column_stack([front.n, front.y, front.last, front.last_n, front.last_y, front.memory])
        front = front.take(np.sort(np.unique(key, axis=0, return_index=True)[1]))
        if len(front):
            found.append(front)
    return States(
        *(np.concatenate([getattr(s, name) for s in found]) for name in ("n", "y", "last", "last_n", "last_y", "cohorts", "memory"))
    )


def check_batches(design: Design, states: States) -> None:
    """A state is decided alike alone, in batches of seven, with all others, and with equal counts pointed out."""
    whole = design.decide(states)
    named = design.select(States.counts(states.n, states.y))
    grouped = design.decide(states.grouped())
    np.testing.assert_array_equal(grouped.dose, whole.dose)
    np.testing.assert_array_equal(grouped.reason, whole.reason)
    for size in (1, 7):
        for start in range(0, len(states), size):
            rows = slice(start, start + size)
            part = design.decide(states.take(rows))
            for name in ("dose", "size", "reason", "admissible"):
                np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[rows], err_msg=name)
            few = design.select(States.counts(states.n[rows], states.y[rows]))
            np.testing.assert_array_equal(few.dose, named.dose[rows])
            np.testing.assert_array_equal(few.not_reached, named.not_reached[rows])


def check_limits(design: Design, states: States) -> None:
    """No decision breaks a limit, and the state itself has not."""
    decision = design.decide(states)
    going = decision.dose >= 0
    assert np.all(decision.size[going] >= 1)
    assert np.all(decision.size[~going] == 0)
    assert np.all(decision.dose < states.n_doses)
    if design.max_n is not None:
        assert np.all(states.total + decision.size <= design.max_n)
    if design.max_n_per_dose is not None:
        after = states.at(states.n, decision.dose) + decision.size
        assert np.all(after[going] <= design.max_n_per_dose)
    named = design.select(States.counts(states.n, states.y))
    assert np.all((named.dose >= -1) & (named.dose < states.n_doses))
    assert np.all(named.dose[named.not_reached] == states.n_doses - 1)


def check_choice(design: Design, states: States, exceptions: Collection[str]) -> None:
    """The highest dose tried is the MTD where nobody had a DLT, and one more DLT never makes the MTD higher."""
    assert set(exceptions) <= {"highest without a DLT", "no higher with a DLT", "still waits with a DLT"}
    named = design.select(States.counts(states.n, states.y)).dose
    if "highest without a DLT" not in exceptions:
        none = (states.y.sum(axis=1) == 0) & (states.total > 0)
        tried = states.n_doses - 1 - np.argmax(states.n[:, ::-1] > 0, axis=1)
        np.testing.assert_array_equal(named[none], tried[none], err_msg="without a DLT")
    for dose in range(states.n_doses) if "no higher with a DLT" not in exceptions else ():
        rows = np.flatnonzero(states.y[:, dose] < states.n[:, dose])
        y = states.y[rows] + (np.arange(states.n_doses) == dose)
        higher = design.select(States.counts(states.n[rows], y)).dose > named[rows]
        counts = [(states.n[row].tolist(), states.y[row].tolist()) for row in rows[higher]]
        assert not counts, f"one more DLT at level {dose + 1} makes the MTD higher: {counts[:3]}"


def check_merging(design: Design, n_doses: int) -> None:
    """Merged and unmerged walks give the same figures (1e-13: rounding of sums of up to 1e4 terms)."""
    walked = lattice(design, n_doses=n_doses)
    unmerged = replace(walked, ends=walk(design, n_doses, merge=False))
    assert walked.ends.paths.sum() == unmerged.ends.paths.sum() == len(unmerged.ends.n)
    ours, theirs = (
        one.figures(TRUTHS[:, :n_doses], days=lambda n, visits: (visits @ np.arange(1.0, n_doses + 1)) @ [1.0, 10.0])
        for one in (walked, unmerged)
    )
    for name in ours:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=0, atol=1e-13 * max(1, np.abs(theirs[name]).max()), err_msg=name)


def check_against_plain_recursion(design: Design, n_doses: int) -> None:
    """The same probabilities from a recursion over single trials, written without arrays or merging (1e-12: its longer sums)."""
    p = TRUTHS[0, :n_doses]
    selected, visits = dict.fromkeys(range(-1, n_doses), 0.0), np.zeros((2, n_doses))

    def go(state: States, probability: float) -> None:
        decision = design.decide(state)
        dose, size = int(decision.dose[0]), int(decision.size[0])
        if dose < 0:
            selected[int(design.select(States.counts(state.n, state.y)).dose[0])] += probability
            return
        visits[0, dose] += probability
        visits[1, dose] += probability * (size > 1 and state.n[0, dose] == 0)
        for dlts in range(size + 1):
            chance = comb(size, dlts) * p[dose] ** dlts * (1 - p[dose]) ** (size - dlts)
            one = (np.full(1, value, np.int16) for value in (dose, size, dlts))
            go(replace(state, memory=decision.memory).follow(slice(None), *one), probability * chance)

    if walk(design, n_doses).paths.sum() > 3000:
        return  # too many trials for a recursion of one at a time; smaller settings of the same design go through it
    go(States.before_first(n_doses, (0,) * design.n_memory), 1.0)
    weights = np.array([[1.0], [10.0]]) * np.arange(1.0, n_doses + 1)
    ours = lattice(design, n_doses=n_doses).under([p], days=lambda n, visited: (visited * weights).sum(axis=(1, 2)))
    np.testing.assert_allclose(ours.selected.values[0], [selected[d] for d in range(-1, n_doses)], rtol=0, atol=1e-12)
    # Cohorts at each dose, of which least calendar time is made.
    np.testing.assert_allclose(ours.days.values[0], (visits * weights).sum(), rtol=0, atol=1e-10)


def check_words(design: Design) -> None:
    """The help names every setting, rules are sentences, reasons have words, and settings survive a round trip."""
    documented = "\n".join(kind.__doc__ or "" for kind in type(design).__mro__)
    for setting in type(design).model_fields:
        assert re.search(rf"^ *(\w+, )*{setting}(, \w+)*$", documented, re.MULTILINE), f"{setting} is in no docstring"
    for sentence in design.rules():
        assert sentence[0].isupper() or sentence[0].isdigit()
        assert sentence.endswith(".")
    for reason in design.reasons:
        assert design.explain(reason)
    assert type(design)(**design.model_dump(exclude_unset=True)) == design
