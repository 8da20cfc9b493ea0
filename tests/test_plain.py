"""Designs made of a plain function, and a design that remembers something."""

import re
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest

import dosefind as dsf
from dosefind.designs import Design, Proposal, Selection, TrialSoFar
from dosefind.trial import WAIT, States

from .contract import check_design
from .planted import faults

# These designs name a dose without regard to DLTs.
BOTH = ("highest without a DLT", "no higher with a DLT")


def up_and_down(trial):
    """Up after a cohort without a DLT, down after one with."""
    level = trial.level + (1 if trial.last_y == 0 else -1)
    return min(max(level, 1), trial.n_doses)


def most_treated(trial):
    return max(range(1, trial.n_doses + 1), key=lambda level: trial.n[level - 1])


def test_contract():
    check_design(dsf.design_from_rule(up_and_down, choose=most_treated, cohort_size=2, max_n=8), exceptions=BOTH)


class OneWayDown(Design):
    """Up after a clean cohort, down after a DLT; after two steps down the trial stops. The steps are in no count."""

    kind: ClassVar[str] = "one-way-down"
    title: ClassVar[str] = "One way down"
    source: ClassVar[str] = "this test"
    n_memory: ClassVar[int] = 1
    own_reasons: ClassVar[dict[str, str]] = {"down_twice": "two steps down"}

    def propose(self, states: States):
        down = states.last_y > 0
        dose = np.clip(states.last + np.where(down, -1, 1), 0, states.n_doses - 1)
        stops = states.memory[:, 0] + down >= 2
        return Proposal(dose, {"down_twice": stops})

    def remember(self, states, dose):
        return states.memory + (states.last_y > 0).astype(np.int16)[:, None]

    def conclude(self, states):
        return Selection(np.where(states.y.sum(axis=1) < 2, states.n_doses - 1, -1), np.zeros(len(states), bool))

    def sentences(self):
        return ["Two steps down end the trial."]


class Wrong(OneWayDown):
    """Says what no design may say."""

    says: str
    value: float = 0
    word: str = ""

    def propose(self, states):
        proposal = super().propose(states)
        stops = proposal.stops["down_twice"]
        if self.says == "propose":
            dose = np.where(stops, self.value, proposal.dose).astype(type(self.value) if self.value % 1 else int)
            return replace(proposal, dose=dose)
        if self.says == "no reason":
            return Proposal(np.where(stops, -1, proposal.dose))
        if self.says == "other reason":
            return replace(proposal, stops={self.word: stops})
        return proposal

    def conclude(self, states):
        found = super().conclude(states)
        return replace(found, dose=found.dose + np.asarray(self.value).astype(int)) if self.says == "conclude" else found


@pytest.mark.parametrize(
    ("says", "value", "words"),
    [
        # The levels from 1, as a plain function gives them.
        ("conclude", 1, "conclude must return dose indices, 0 to 2, or -1 for none, not 3"),
        ("conclude", -2, "conclude must return dose indices, 0 to 2, or -1 for none, not -3"),
        ("propose", -3, "propose must return dose indices, 0 to 2, or -1 for none, not -3"),
        ("propose", WAIT, "propose waits for pending outcomes, but no outcome is pending"),
        ("propose", 3, "propose must return dose indices, 0 to 2, or -1 for none, not 3"),
        ("propose", 0.5, "propose must return dose indices, 0 to 2, or -1 for none, not float64"),
        ("no reason", 0, "propose must give a reason for each stop"),
        ("other reason", "tired", "propose stops with the reason 'tired'; it must be one of max_n, "),
        ("other reason", "stay", "propose stops with the reason 'stay'; it must be one of max_n, "),
    ],
)
def test_answers_that_are_no_dose_and_no_reason_are_errors(says, value, words):
    """Else the trials would end nowhere, and probabilities would not sum to one."""
    given = {"word": value} if isinstance(value, str) else {"value": value}
    design = Wrong(cohort_size=1, max_n=8, says=says, **given)
    for run in (
        lambda: dsf.lattice(design, n_doses=3).under([[0.1, 0.2, 0.3]]),
        lambda: dsf.simulate(design, [[0.3, 0.4, 0.5]], n_trials=200),
    ):
        with pytest.raises(dsf.InputError, match=re.escape(f"One way down: {words}")):
            run()


def test_a_design_that_remembers_keeps_the_contract():
    check_design(OneWayDown(cohort_size=1, max_n=8), exceptions=BOTH)


def test_rule_that_returns_no_level_is_reported():
    design = dsf.design_from_rule(lambda trial: 7, choose=lambda trial: None, max_n=6)
    with pytest.raises(
        dsf.InputError, match=r"rule = 7: must return a level from 1 to 3, or None; its argument was TrialSoFar\(n=\(3, 0, 0\)"
    ):
        dsf.lattice(design, n_doses=3)


def test_a_plain_rule_has_the_name_of_its_function_or_its_own():
    def by_two(trial):
        return 1

    assert dsf.design_from_rule(by_two).title == "By two"
    assert dsf.design_from_rule(by_two, name="Pairs").title == "Pairs"
    assert dsf.design_from_rule(lambda trial: 1).title == "Plain rule"
    two = [dsf.lattice(dsf.design_from_rule(by_two, name=name, max_n=3), n_doses=2) for name in ("Pairs", None)]
    assert [one.under([[0.1, 0.2]]).attrs["design"] for one in two] == ["Pairs", "By two"]


@pytest.mark.parametrize(
    ("n", "y"), [((3, 3, 15, 9, 0), (0, 0, 4, 4, 0)), ((3, 3, 3), (0, 0, 0)), ((3, 6, 3), (1, 1, 2)), ((3, 0, 0), (3, 0, 0))]
)
def test_choice_of_a_plain_rule_is_boins_where_nothing_is_eliminated(n, y):
    seen = TrialSoFar(n, y, None, 0, 0)
    boin = dsf.BOIN(target=0.3, cutoff=0.9999)
    assert seen.nearest(0.3) == dsf.select(boin, n, y)
    ours = [np.nan if rate is None else rate for rate in seen.estimates()]
    np.testing.assert_array_equal(ours, boin.estimates(n, y).estimate)
    assert seen.nearest(0.3, levels=[1]) == 1
    assert seen.nearest(0.3, levels=[]) is None


def test_select_returns_levels():
    boin = dsf.BOIN(target=0.3)
    assert dsf.select(boin, [3, 3, 3], [0, 0, 1]) == 3
    assert dsf.select(boin, [3, 3, 3], [3, 0, 0]) is None
    assert dsf.select(boin, [[3, 3], [3, 3]], [[0, 0], [3, 3]]) == [2, None]
    for n, y in (([3, 3], [0, 4]), ([3], [0, 0])):
        with pytest.raises(dsf.InputError):
            dsf.select(boin, n, y)
    with pytest.raises(dsf.InputError, match="design"):
        dsf.select("boin", [3], [0])


def test_a_rule_is_called_once_a_distinct_state():
    seen = []
    design = dsf.design_from_rule(lambda trial: seen.append(trial) or 1, choose=lambda trial: None, max_n=6)
    dsf.lattice(design, n_doses=2)
    # Four outcomes of the first cohort, and for each four of the second.
    assert len(seen) == len(set(seen)) == 20


class FirstCohortCounts(Design):
    """Everybody at level 1; without a DLT in the first cohort the trial ends after three, which the counts do not tell."""

    kind: ClassVar[str] = "first-cohort"
    title: ClassVar[str] = "First cohort"
    source: ClassVar[str] = "this test"
    n_memory: ClassVar[int] = 1
    own_reasons: ClassVar[dict[str, str]] = {"clean_start": "the first cohort had no DLT"}

    def propose(self, states: States):
        stops = (states.cohorts >= 3) & (states.memory[:, 0] == 0)
        return Proposal(np.zeros(len(states), int), {"clean_start": stops})

    def remember(self, states, dose):
        first = (states.last_y > 0).astype(np.int16)[:, None]
        return np.where(states.cohorts[:, None] == 1, first, states.memory)

    def conclude(self, states):
        return Selection(np.where(states.y.sum(axis=1) < 2, 0, -1), np.zeros(len(states), bool))

    def sentences(self):
        return ["Everybody is treated at level 1."]


@pytest.mark.parametrize("remembered", [-1, 4096])
def test_memory_out_of_range_is_refused(remembered):
    class Forgetful(FirstCohortCounts):
        def remember(self, states, dose):
            return np.full((len(states), 1), remembered, np.int16)

    with pytest.raises(dsf.InputError, match="memory"):
        dsf.lattice(Forgetful(cohort_size=2, max_n=10), n_doses=2)


def test_states_that_differ_in_memory_alone_stay_apart():
    check_design(FirstCohortCounts(cohort_size=2, max_n=10), exceptions=BOTH)


def test_one_trial_is_followed_with_its_memory():
    design = FirstCohortCounts(cohort_size=2, max_n=10)
    levels = [dsf.decide(design, outcomes, n_doses=2).level for outcomes in ("1NN 1NT 1NN", "1NT 1NN 1NN")]
    assert levels == [None, 1]


def _without_memory(merged):
    def fault(part, group):
        return merged(replace(part, memory=np.zeros_like(part.memory)), group)

    return fault


FAULTS = {
    "states that differ in memory alone are one": (
        "dosefind.operating.walk:_merged",
        _without_memory,
        test_states_that_differ_in_memory_alone_stay_apart,
    ),
}

test_fault_is_caught = faults(FAULTS)
