"""The contract itself: it must fail designs that are wrong, each in one way."""

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from scipy.special import betaincc

import dosefind as dsf
from dosefind.designs import Design, Proposal, Selection
from dosefind.designs.rules import above, at_least, nearest
from dosefind.isotonic import pool

from .contract import check_design


class Naive(Design):
    """The i3+3 as one writes it down: doses above a toxic one stay open, and of equally near doses the lowest is named."""

    kind: ClassVar[str] = "naive"
    title: ClassVar[str] = "Naive i3+3"
    source: ClassVar[str] = "this test"

    def propose(self, states):
        n, y = states.here(states.n), states.here(states.y)
        down = above(y, 0.3 * n) & at_least(y - 1, 0.2 * n)
        move = above(0.2 * n, y).astype(int) - down
        toxic = (n >= 3) & above(betaincc(y + 1.0, n - y + 1.0, 0.25), 0.95)
        dose = np.clip(states.last + np.where(toxic, -1, move), 0, states.n_doses - 1)
        return Proposal(dose, {"too_toxic": toxic & (states.last == 0)})

    def conclude(self, states):
        tried = states.n > 0
        estimate = pool((states.y + 0.05) / (states.n + 0.1), states.n + 0.1, tried)
        return Selection(nearest(estimate, 0.25, tried), np.ones(len(states), bool))

    def sentences(self):
        return ["The i3+3."]


class LooksAtTheBatch(dsf.BOIN):
    """Compares each state with the others that happen to be decided with it."""

    def propose(self, states):
        proposal = super().propose(states)
        high = states.y.sum(axis=1) > states.y.sum(axis=1).mean()
        return replace(proposal, dose=np.where(high, 0, proposal.dose))


class OverItsLimit(dsf.BOIN):
    """Plans a cohort that brings the trial over its largest sample."""

    def decide(self, states, beside=None):
        decision = super().decide(states, beside)
        return replace(decision, size=np.where(decision.dose >= 0, 3, 0))


class ForgetsToRemember(dsf.BOIN):
    """Decides by the number of cohorts since the latest DLT, which no state tells."""

    seen: ClassVar[dict] = {}

    def propose(self, states):
        proposal = super().propose(states)
        calm = states.last_n - states.last_y == 3
        return replace(proposal, dose=np.where(calm & (self._calls() % 2 == 0), proposal.dose, states.last))

    def _calls(self):
        self.seen["calls"] = self.seen.get("calls", 0) + 1
        return self.seen["calls"]


class NotIsotonic(dsf.BOIN):
    """Names the highest dose whose own DLT rate is at most the target, whatever the doses below it show."""

    def conclude(self, states):
        fine = (states.n > 0) & ~above(states.y, 0.5 * states.n) & (states.y != 1)
        return Selection(states.n_doses - 1 - np.argmax(fine[:, ::-1], axis=1), np.zeros(len(states), bool))


class Wordless(dsf.BOIN):
    """Has a setting that its help does not name."""

    pace: float = 1.0


WRONG = {
    "ties go to the lowest dose": (Naive(max_n=9), "without a DLT"),
    "looks at the batch": (LooksAtTheBatch(target=0.25, max_n=12), "dose"),
    "over its limit": (OverItsLimit(target=0.25, max_n=8), ""),
    "forgets to remember": (ForgetsToRemember(target=0.25, max_n=9), "Arrays are not equal"),
    "one more DLT names a higher dose": (NotIsotonic(target=0.25, max_n=9), "one more DLT at level 1 makes the MTD higher"),
    "a setting without a word": (Wordless(target=0.25, max_n=9), "pace is in no docstring"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_designs_fail_the_contract(name):
    design, words = WRONG[name]
    with pytest.raises(AssertionError) as found:
        check_design(design)
    assert words in str(found.value)


def test_the_naive_design_is_wrong():
    """Without DLTs it names the lowest dose, and so the wrong one in most trials of harmless doses."""
    truth = [[0.01, 0.02, 0.03]]
    naive = dsf.lattice(Naive(max_n=18), n_doses=3).under(truth).selected.values[0]
    right = dsf.lattice(dsf.I3Plus3(target=0.25, max_n=18), n_doses=3).under(truth).selected.values[0]
    assert naive[1] > 0.6
    assert right[3] > 0.9


def test_an_exception_that_the_contract_does_not_have_is_an_error():
    with pytest.raises(AssertionError):
        check_design(dsf.BOIN(target=0.25, max_n=9), exceptions=["no lower with a DLT"])
