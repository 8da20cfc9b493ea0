"""What a design tracks: test designs that decide by responses too, walked, simulated, and by plain recursion."""

from dataclasses import replace
from itertools import product
from typing import ClassVar

import numpy as np
import pytest

import dosefind as dsf
from dosefind.designs import Design, Proposal, Selection
from dosefind.designs.rules import highest
from dosefind.operating.walk import walk
from dosefind.outcomes import TRACKED, Rates, cells, log_rates, outcome_table
from dosefind.trial import States

TRUTHS = np.array([[0.10, 0.25, 0.45], [0.0, 0.3, 1.0]])
RESPONSES = np.array([[0.20, 0.50, 0.55], [0.5, 0.0, 1.0]])
# Between the least and the most that the margins allow.
BOTH = np.array([[0.08, 0.10, 0.35], [0.0, 0.0, 1.0]])


class Useful(Design):
    """Up while responses outnumber DLTs at the dose, down where DLTs do; names the dose with the best balance."""

    kind: ClassVar[str] = "useful"
    title: ClassVar[str] = "Useful"
    source: ClassVar[str] = "this test"
    tracks: ClassVar[tuple[str, ...]] = ("dlt", "response")

    def propose(self, states):
        balance = states.here(states.more[0]) - states.here(states.y)
        return Proposal(np.clip(states.last + np.sign(balance), 0, states.n_doses - 1), {"too_toxic": states.y[:, 0] >= 3})

    def conclude(self, states):
        balance = np.where(states.n > 0, states.more[0] - states.y, -99)
        return Selection(highest(balance == balance.max(axis=1, keepdims=True)), np.zeros(len(states), bool))

    def sentences(self):
        return ["Up while responses outnumber DLTs."]


class UsefulWithoutDLT(Useful):
    """Counts a response only where the patient had no DLT."""

    tracks: ClassVar[tuple[str, ...]] = ("dlt", "response", "both")

    def conclude(self, states):
        balance = np.where(states.n > 0, states.more[0] - states.more[1] - states.y, -99)
        return Selection(highest(balance == balance.max(axis=1, keepdims=True)), np.zeros(len(states), bool))


class BOINWithResponses(dsf.BOIN):
    """BOIN, and responses that it does not look at."""

    tracks: ClassVar[tuple[str, ...]] = ("dlt", "response")


def _given(design, row):
    rates = {"responses": RESPONSES[row][None]}
    return rates | ({"both": BOTH[row][None]} if "both" in design.tracks else {})


def _recursion(design, row):
    """P(named) and expected responses of one scenario, patient by patient, without arrays of outcomes or merging."""
    p, r = TRUTHS[row], RESPONSES[row]
    joint = BOTH[row] if "both" in design.tracks else p * r
    chance = {(1, 1): joint, (1, 0): p - joint, (0, 1): r - joint, (0, 0): 1 - p - r + joint}
    named, responses = np.zeros(4), np.zeros(3)

    def go(states, probability):
        decision = design.decide(states)
        dose, size = int(decision.dose[0]), int(decision.size[0])
        if dose < 0:
            named[int(design.select(replace(states, last=states.last * 0 - 1)).dose[0]) + 1] += probability
            responses[:] += probability * states.more[0][0]
            return
        for patients in product(chance, repeat=size):
            here = probability * np.prod([chance[one][dose] for one in patients])
            if here > 0:
                counts = [sum(one[0] for one in patients), sum(one[1] for one in patients), sum(map(np.prod, patients))]
                added = [np.full(1, value, np.int16) for value in (dose, size, *counts)]
                go(states.follow(slice(None), *added[:3], added[3 : 2 + len(design.tracks)]), here)

    go(States.before_first(3, (), len(design.tracks) - 1), 1.0)
    return named, responses


@pytest.mark.parametrize(
    "design", [Useful(cohort_size=2, max_n=6), UsefulWithoutDLT(cohort_size=2, max_n=6)], ids=lambda d: d.tracks
)
@pytest.mark.parametrize("row", [0, 1])
def test_a_walk_by_plain_recursion(design, row):
    oc = dsf.lattice(design, n_doses=3).under(TRUTHS[row][None], **_given(design, row))
    named, responses = _recursion(design.with_settings(n_doses=3), row)
    # 1e-12: sums of some thousand products in another order.
    np.testing.assert_allclose(oc.selected.values[0], named, rtol=0, atol=1e-12)
    np.testing.assert_allclose(oc.responses.values[0], responses, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", [Useful, UsefulWithoutDLT])
def test_merged_unmerged_and_simulated(kind):
    design = kind(cohort_size=(1, 2, 3), max_n=9)
    walked = dsf.lattice(design, n_doses=3)
    ours = walked.under(TRUTHS[:1], **_given(design, 0))
    unmerged = replace(walked, ends=walk(walked.design, 3, merge=False)).under(TRUTHS[:1], **_given(design, 0))
    drawn = dsf.simulate(design, TRUTHS[:1], **_given(design, 0), n_trials=40_000, seed=4)
    for name in ("selected", "patients", "dlts", "responses"):
        np.testing.assert_allclose(unmerged[name], ours[name], rtol=0, atol=1e-12)
        # 4.5 Monte Carlo errors, of some thirty figures.
        assert (np.abs(drawn[name] - ours[name]) <= 4.5 * drawn[f"{name}_se"] + 1e-12).all()


def test_unused_responses_change_nothing():
    plain, tracked = dsf.BOIN(target=0.25, max_n=12), BOINWithResponses(target=0.25, max_n=12)
    ours = dsf.lattice(tracked, n_doses=3).under(TRUTHS, responses=RESPONSES)
    theirs = dsf.lattice(plain, n_doses=3).under(TRUTHS)
    for name in ("selected", "patients", "dlts", "not_reached", "stopped", "sample_size"):
        # 1e-13: more terms in the sums.
        np.testing.assert_allclose(ours[name], theirs[name], rtol=0, atol=1e-13)
    # Independent of DLTs, so every patient at a dose responds at its rate.
    np.testing.assert_allclose(ours.responses, theirs.patients * RESPONSES, rtol=0, atol=1e-12)
    drawn = [dsf.simulate(tracked, TRUTHS, responses=RESPONSES, n_trials=300), dsf.simulate(plain, TRUTHS, n_trials=300)]
    np.testing.assert_array_equal(drawn[0].selected, drawn[1].selected)


@pytest.mark.parametrize("tracks", TRACKED, ids=str)
def test_outcomes_of_a_cohort_are_all_there(tracks):
    rates = Rates(TRUTHS[:1, :1], *(rate[:1, :1] for rate in (RESPONSES, BOTH)[: len(tracks) - 1]))
    for size in range(5):
        increments, ways = outcome_table(tracks, size)
        assert len({tuple(row) for row in increments}) == len(increments)
        counts = tuple(increments[:, i, None].astype(float) for i in range(len(tracks)))
        chances = ways * np.exp(np.column_stack(cells(np.full((len(ways), 1), float(size)), counts)) @ log_rates(rates))[:, 0]
        np.testing.assert_allclose(chances.sum(), 1, rtol=0, atol=1e-14)
        np.testing.assert_allclose(chances @ increments[:, 0], size * TRUTHS[0, 0], rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("design", "given", "words"),
    [
        (Useful(max_n=6), {}, "responses: required, because the design tracks it"),
        (dsf.BOIN(target=0.25, max_n=6), {"responses": RESPONSES[:1]}, "must not be given: the design does not track it"),
        (Useful(max_n=6), {"responses": RESPONSES[:1], "both": BOTH[:1]}, "must not be given: the design does not track it"),
        (Useful(max_n=6), {"responses": RESPONSES}, "must hold 1 rows of 3 probabilities"),
        (Useful(max_n=6), {"responses": [[0.1, 0.2, 1.3]]}, "must hold 1 rows of 3 probabilities"),
        (Useful(max_n=6), {"responses": "all"}, "must hold 1 rows of 3 probabilities"),
        (
            UsefulWithoutDLT(max_n=6),
            {"responses": RESPONSES[:1], "both": [[0.1, 0.3, 0.3]]},
            "both = 0.3: must be from 0 to 0.25",
        ),
    ],
)
def test_rates_that_do_not_fit(design, given, words):
    for run in (
        lambda: dsf.lattice(design, n_doses=3).under(TRUTHS[:1], **given),
        lambda: dsf.simulate(design, TRUTHS[:1], **given),
    ):
        with pytest.raises(dsf.InputError) as found:
            run()
        assert words in str(found.value)


def test_outcomes_in_notation_say_nothing_of_responses():
    with pytest.raises(dsf.InputError, match="Useful also counts response, which these cohorts do not state"):
        dsf.decide(Useful(max_n=6), "1NNN", n_doses=3)
