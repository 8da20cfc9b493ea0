"""Titration, cohorts by dose, several stopping rules, steps downwards and two DLTs in six: against R's BOIN and plain recursion."""

from functools import partial
from math import comb

import numpy as np
import pytest

import dosefind as dsf
from dosefind.designs.replay import departures
from dosefind.tasks.steps import next_step
from dosefind.trial import Cohort, parse_outcomes

from . import peers
from .contract import check_design, reachable

SKELETON = (0.1, 0.25, 0.4)
PRIOR = {"mean": (-2.0, 0.0), "sd": (1.5, 0.7)}
TRUTH = [[0.02, 0.1, 0.25, 0.4]]


def _blrm(**settings):
    given = {"doses": (1, 3, 5), "reference": 3, "prior": PRIOR, "interval": (0.16, 0.33), "target": 0.25, "max_n": 10}
    return dsf.BLRM(**(given | settings))


@pytest.mark.parametrize(
    "design",
    [
        dsf.BOIN(target=0.25, titration=True, max_n=11),
        dsf.BOIN(target=0.25, titration=True, max_n=12, start=2, stop_n=6, stop_n_at="stay"),
        dsf.ThreePlusThree(titration=True),
        dsf.ThreePlusThree(tolerated_in_six=2),
        dsf.ThreePlusThree(tolerated_in_six=2, expand_after_two=True, six_at_mtd=True, titration=True),
        dsf.CRM(skeleton=SKELETON, target=0.25, titration=True, max_n=11),
        dsf.CRM(skeleton=SKELETON, target=0.25, no_skip_down=True, coherence="off", max_n=9),
        _blrm(titration=True),
        _blrm(no_skip_down=True, coherence="off"),
        dsf.I3Plus3(target=0.25, cohort_size_by_dose=(1, 2, 3), max_n=10),
        dsf.BOIN(target=0.25, cohort_size_by_dose=(1, 3, 3), max_n=11, stop_n=(6, 8), stop_n_at=("stay", "any")),
    ],
    ids=lambda design: f"{design.kind} {sorted(design.model_fields_set)}",
)
def test_contract(design):
    check_design(design)


@pytest.mark.slow
def test_every_titration_of_boin_by_its_package():
    """240 trials of BOIN::get.oc(titration = TRUE): each next dose, each size and the MTD."""
    rows = peers.table("boin_titration_trials")
    named = []
    for row in rows.itertuples():
        design = dsf.BOIN(
            target=row.target,
            titration=True,
            cohort_size=row.cohort_size,
            max_n=row.ncohort * row.cohort_size,
            extra_safe=row.extrasafe,
            bound_mtd=row.bound_mtd,
            **({"stop_n": row.n_earlystop, "stop_n_at": "stay"} if row.n_earlystop < 100 else {}),
        )
        cohorts = parse_outcomes(row.path)
        assert departures(design, cohorts, row.n_doses) == ()
        step = dsf.decide(design, cohorts, n_doses=row.n_doses)
        assert step.action == "stop"
        named.append(99 if step.mtd == "none" else int(step.mtd))
    np.testing.assert_array_equal(named, rows.mtd)
    assert len(rows) == 240


def test_operating_characteristics_of_titration():
    """100,000 trials of the package; five Monte Carlo errors for a percentage, four for a mean."""
    for case in peers.published("boin_titration_oc")["scenarios"]:
        extra = {"extra_safe": True} if case["extra"] else {}
        stop = {"stop_n": case["n.earlystop"], "stop_n_at": "stay"} if case["n.earlystop"] < 100 else {}
        design = dsf.BOIN(target=case["target"], titration=True, max_n=case["ncohort"] * case["size"], **extra, **stop)
        oc = dsf.lattice(design, n_doses=len(case["truth"])).under([case["truth"]])
        ours = oc.selected.values[0]
        theirs = np.array([case["percentstop"], *case["selpercent"]]) / 100
        # One trial in 100,000 at least, for percentages near 0.
        error = np.sqrt(np.maximum(ours * (1 - ours), 1e-5) / 1e5)
        np.testing.assert_allclose((ours - theirs) / error, 0, rtol=0, atol=5)
        # The standard deviation of a number of patients is at most half the largest sample.
        bound = 4 * 0.5 * case["ncohort"] * case["size"] / np.sqrt(1e5)
        np.testing.assert_allclose(oc.patients.values[0], case["npatients"], rtol=0, atol=bound)
        assert abs(oc.patients.values[0].sum() - case["totaln"]) < bound


@pytest.mark.parametrize(
    ("design", "outcomes", "level", "size"),
    [
        (dsf.BOIN(target=0.25, titration=True), "", 1, 1),
        (dsf.BOIN(target=0.25, titration=True), "1N", 2, 1),
        (dsf.BOIN(target=0.25, titration=True), "1N 2N", 3, 1),
        # The top: the cohort is completed.
        (dsf.BOIN(target=0.25, titration=True), "1N 2N 3N", 3, 2),
        (dsf.BOIN(target=0.25, titration=True), "1N 2T", 2, 2),
        (dsf.BOIN(target=0.25, titration=True), "1T", 1, 2),
        (dsf.BOIN(target=0.25, titration=True), "1N 2T 2NN", 1, 3),
        (dsf.BOIN(target=0.30, titration=True, stay_at_1_of_3=True), "1N 2T 2NN", 2, 3),
        # The 3+3 fills its groups.
        (dsf.ThreePlusThree(titration=True), "1N 2T", 2, 2),
        (dsf.ThreePlusThree(titration=True), "1N 2T 2NN", 2, 3),
        (dsf.ThreePlusThree(titration=True), "1N 2T 2NT", 1, 2),
        (dsf.ThreePlusThree(titration=True), "1N 2N 3N 3NN", None, 0),
        (dsf.CRM(skeleton=SKELETON, target=0.25, titration=True), "1N", 2, 1),
        (dsf.CRM(skeleton=SKELETON, target=0.25, titration=True), "1N 2T", 2, 2),
    ],
    ids=str,
)
def test_titration_step_by_step(design, outcomes, level, size):
    step = dsf.decide(design, outcomes, n_doses=3)
    assert (step.level, step.size) == (level, size)


def test_titration_keeps_to_overdose_control():
    """A BLRM whose prior keeps level 3 closed after one patient without a DLT at levels 1 and 2 does not titrate there."""
    cautious = _blrm(prior={"mean": (-1.0, 0.7), "sd": (1.5, 0.7)}, titration=True, start=1)
    states = reachable(cautious.with_settings(n_doses=3), 3)
    decision = cautious.decide(states)
    going = decision.dose >= 0
    plain = cautious.with_settings(titration=False).propose(states)
    rows = np.flatnonzero(going & (states.cohorts > 0))
    assert plain.open[rows, decision.dose[rows]].all()
    lenient = dsf.decide(_blrm(titration=True), "1N")
    assert (lenient.level, lenient.size) == (2, 1)


def test_titration_and_cohorts_that_contradict_it():
    for settings, words in (
        ({"cohort_size": (1, 3)}, "titration needs a single cohort_size"),
        ({"cohort_size_by_dose": (1, 3, 3)}, "titration needs a single cohort_size"),
        ({"cohort_size": 1}, "titration = True has no effect with cohorts of one patient"),
    ):
        with pytest.raises(dsf.InputError, match=words):
            dsf.BOIN(target=0.25, titration=True, **settings)


def test_cohorts_by_dose():
    design = dsf.BOIN(target=0.25, cohort_size_by_dose=(1, 2, 4), n_doses=3)
    steps = [dsf.decide(design, outcomes) for outcomes in ("", "1N", "1N 2NN", "1N 2NN 3TTTN")]
    assert [(step.level, step.size) for step in steps] == [(1, 1), (2, 2), (3, 4), (2, 2)]
    assert "cohort_size" not in design.in_force()
    with pytest.raises(dsf.InputError, match="cohort_size_by_dose must have 3 entries"):
        dsf.BOIN(target=0.25, cohort_size_by_dose=(1, 2), n_doses=3)
    with pytest.raises(dsf.InputError, match=r"contradicts the 3\+3"):
        dsf.ThreePlusThree(cohort_size_by_dose=(3, 3, 3))


def _days(n, visits):
    return (visits @ np.array([1.0, 2.0, 3.0, 4.0])) @ [28.0, 7.0]


def test_days_where_cohorts_differ_in_size():
    """Least calendar time counts the cohorts at each dose, which no longer follow from its patients (100,000 simulated trials)."""
    for settings in ({"titration": True}, {"cohort_size_by_dose": (1, 2, 3, 3)}):
        design = dsf.BOIN(target=0.25, max_n=15, **settings)
        exact = dsf.lattice(design, n_doses=4).under(TRUTH, days=_days)
        drawn = dsf.simulate(design, TRUTH, n_trials=100_000, seed=2, days=_days)
        assert abs(exact.days.values[0] - drawn.days.values[0]) < 4 * drawn.days_se.values[0]


def test_several_stopping_rules():
    both = dsf.BOIN(target=0.25, stop_n=(6, 9), stop_n_at=("stay", "any"), n_doses=3)
    each = [dsf.BOIN(target=0.25, stop_n=n, stop_n_at=at, n_doses=3) for n, at in ((6, "stay"), (9, "any"))]
    states = reachable(dsf.BOIN(target=0.25, max_n=12, n_doses=3), 3)
    states = states.take(np.flatnonzero(states.cohorts > 0))
    stopped = both.decide(states).dose < 0
    np.testing.assert_array_equal(stopped, (each[0].decide(states).dose < 0) | (each[1].decide(states).dose < 0))
    assert stopped.any()
    assert sum("Stop once" in rule for rule in both.rules()) == 2
    one = dsf.BOIN(target=0.25, stop_n=(6, 9), stop_n_at="any", n_doses=3)
    assert one.stopping == ((6, "any"), (9, "any"))
    for settings, words in (
        ({"stop_n": (6, 9), "stop_n_at": ("any",)}, "one entry per number in stop_n"),
        ({"stop_n": 6, "stop_n_at": ("any", "stay")}, "one entry per number in stop_n"),
        ({"stop_n": (6, 20), "max_n": 18}, "stop_n = 20 contradicts max_n = 18"),
        ({"stop_n": (6, 9), "stop_n_at": ("any", 5), "n_doses": 3}, "stop_n_at = 5 is not among the 3 dose levels"),
    ):
        with pytest.raises(dsf.InputError, match=words):
            dsf.BOIN(target=0.25, **settings)


def _crm(**settings):
    return dsf.CRM(skeleton=(0.2, 0.24, 0.26), target=0.25, max_n=12, cohort_size=1, no_skip="off", **settings)


@pytest.mark.parametrize("make", [_crm, partial(_blrm, max_n=12)])
def test_no_skipping_downwards(make):
    free, stepwise = make(coherence="off"), make(coherence="off", no_skip_down=True)
    states = reachable(free.with_settings(n_doses=3), 3)
    states = states.take(np.flatnonzero(states.cohorts > 0))
    before, after = free.decide(states), stepwise.decide(states)
    skips = (before.dose >= 0) & (before.dose < states.last - 1)
    assert skips.any()
    open_below = before.admissible[np.arange(len(states)), np.maximum(states.last - 1, 0)]
    np.testing.assert_array_equal(after.dose, np.where(skips & open_below, states.last - 1, before.dose))


def _three_plus_three(levels, tolerated, expand):
    """P(MTD) of the 3+3, dose by dose, none first, by recursion over one trial at a time."""
    p = TRUTH[0][:levels]
    found = np.zeros(levels + 1)

    def binomial(n, y, rate):
        return comb(n, y) * rate**y * (1 - rate) ** (n - y)

    def at(level, chance):
        if level == levels:
            found[levels] += chance
            return
        for first in range(4):
            here = chance * binomial(3, first, p[level])
            if first == 0:
                at(level + 1, here)
            elif first == 1 or expand:
                for more in range(4):
                    further = here * binomial(3, more, p[level])
                    if first + more <= tolerated:
                        at(level + 1, further)
                    else:
                        found[level] += further
            else:
                found[level] += here

    at(0, 1.0)
    return found


@pytest.mark.parametrize("expand", [False, True])
@pytest.mark.parametrize("tolerated", [1, 2])
def test_dlts_tolerated_in_six_by_recursion(tolerated, expand):
    design = dsf.ThreePlusThree(tolerated_in_six=tolerated, expand_after_two=expand)
    selected = dsf.lattice(design, n_doses=4).under(TRUTH).selected.values[0]
    # 1e-13: sums of some hundred products in another order.
    np.testing.assert_allclose(selected, _three_plus_three(4, tolerated, expand), rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("outcomes", "level"),
    [("1NNN 2NNT 2NNT", 3), ("1NNN 2NNT 2NTT", None), ("1NNN 2NTT", None), ("1NNT 1NNT", 2), ("1NNN 2NNN 3NNT 3NNT", None)],
)
def test_two_dlts_in_six(outcomes, level):
    assert dsf.decide(dsf.ThreePlusThree(tolerated_in_six=2), outcomes, n_doses=3).level == level


def test_patients_beside_the_escalation_where_two_in_six_are_tolerated():
    """Pooled 2 in 6 closes a dose of the usual 3+3, and not of one that tolerates them; 3 in 6 closes both."""
    for tolerated, extra, level in ((1, 2, None), (2, 2, 3), (2, 3, None)):
        design = dsf.ThreePlusThree(tolerated_in_six=tolerated, n_doses=3)
        done = [Cohort(1, 3, 0), Cohort(2, 3, 0)]
        assert next_step(design, done, 3, [Cohort(2, 3, extra)]).level == level, (tolerated, extra)


def test_sizes_add_up_in_every_reachable_state():
    """No cohort of a titration is empty, and each first whole cohort is as large as the others."""
    design = dsf.BOIN(target=0.25, titration=True, max_n=30, n_doses=4)
    states = reachable(design.with_settings(max_n=12), 4)
    decision = design.decide(states)
    single = (states.n.max(axis=1) == 1) & (states.cohorts > 0)
    stay = single & (decision.dose == states.last)
    assert (decision.size[stay] == 2).all()
    assert (decision.size[single & (decision.dose > states.last)] == 1).all()
    assert (decision.size[~single & (states.cohorts > 0) & (decision.dose >= 0)] == 3).all()
