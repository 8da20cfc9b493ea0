"""Patients who left without a DLT and have a weight: against dfcrm's fits with weights, and against sums over a grid."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.polynomial.legendre import leggauss
from scipy.special import expit, logit

import dosefind as dsf
from dosefind.config import Trial
from dosefind.designs import BLRM, BOIN, CRM, TITECRM
from dosefind.models import Logistic2, Power
from dosefind.operating.calendar import Clock, run
from dosefind.outcomes import Rates
from dosefind.posterior.administered import exact_posterior
from dosefind.posterior.pending import Followed, predicted
from dosefind.tasks.analysis import analyze
from dosefind.tasks.sensitivity import sensitivity
from dosefind.timing import Accrual, Discontinuation, Onset
from dosefind.trial import COUNT, Administered, FollowUps, States, TimedStates, Weighted

from .made_up import day, patient, protocol, trial
from .peers import numbers, published, table

DFCRM = table("dfcrm_titecrm")
SKELETON = (0.05, 0.12, 0.25)
PRIOR = {"mean": (-1.7, 0.1), "sd": (1.5, 0.7), "correlation": -0.3}
MIXTURE = ({**PRIOR, "weight": 0.6}, {"mean": (-0.5, -0.2), "sd": (1.0, 0.5), "weight": 0.4})
DOSES, REFERENCE, HIGH = (1.0, 3.0, 5.0), 3.0, 0.33
N, Y = (3, 3, 2), (0, 1, 1)
LEFT = (Weighted(1, 12 / 28), Weighted(1, 0.0), Weighted(3, 0.75))
WEIGHTS = {"crm": {"kind": "crm", "skeleton": SKELETON}, "blrm": {"kind": "blrm"}}
WEIGHTS |= {"tite-crm": {"kind": "tite-crm", "skeleton": SKELETON}}
ROWS = 20
RATES = Rates(np.array([[0.1, 0.25, 0.4]]))


def weighted_protocol(designs=("crm", "blrm"), **changed):
    """The first protocol with these designs only, and with patients who drop out counted by weight."""
    given = {"evaluability": {"dropout": "weight"}} | changed
    table = protocol(**given).model_dump(exclude_unset=True)
    return dsf.Protocol.read(table | {"designs": {name: WEIGHTS[name] for name in designs}, "assumed": {}})


# The likelihood ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", list(DFCRM.itertuples()), ids=lambda row: str(row.row))
def test_crm_agrees_with_dfcrm(row):
    levels, dlts, weights = ([*numbers(getattr(row, name))] for name in ("level", "dlt", "weight"))
    levels = [int(level) for level in levels]
    model = {"empiric": "power"}.get(row.model, row.model)
    design = CRM(skeleton=numbers(row.skeleton), target=row.target, model=model)
    left = [Weighted(level, weight) for level, dlt, weight in zip(levels, dlts, weights, strict=True) if not dlt and weight < 1]
    assert any(0 < patient.weight < 1 for patient in left)
    whole = [(level, dlt) for level, dlt, weight in zip(levels, dlts, weights, strict=True) if dlt or weight == 1]
    outcomes = " ".join(f"{level}{'T' if dlt else 'N'}" for level, dlt in whole)
    found = design.with_weighted(left).fit(outcomes)
    # dfcrm integrates numerically to 1e-6.
    assert float(found.estimate) == pytest.approx(row.estimate, abs=1e-6)
    assert float(found.variance) == pytest.approx(row.post_var, abs=1e-6)
    assert int(found.recommended) == row.mtd


def likelihood(p, left=LEFT, n=N, y=Y):
    """The likelihood at DLT rates, (nodes, doses): each patient who left by 1 - w p, beside those counted in full."""
    found = np.prod(p ** np.array(y) * (1 - p) ** (np.array(n) - np.array(y)), axis=1)
    for patient_ in left:
        found = found * (1 - patient_.weight * p[:, patient_.level - 1])
    return found


def test_power_curve_agrees_with_a_sum_over_a_grid():
    b = np.linspace(-12, 12, 200_001)
    p = np.array(SKELETON) ** np.exp(b)[:, None]
    weight = np.exp(-(b**2) / 2 / 1.34) * likelihood(p)
    weight /= weight.sum()
    found = exact_posterior(Power(skeleton=SKELETON), np.array(N), np.array(Y), (HIGH,), weighted=LEFT)
    assert found.moments()[0].value == pytest.approx(weight @ p, abs=1e-8)
    assert found.parameters()[0].value == pytest.approx(weight @ b, abs=1e-8)
    # The probability below a rate is a sum with an edge inside a cell of the grid, of width 1.2e-4.
    assert found.below(HIGH).value == pytest.approx(weight @ (p < HIGH), abs=1e-4)
    design = CRM(skeleton=SKELETON, target=0.25).with_weighted(LEFT)
    # Weights change the estimate, by more than any error: the test sees them.
    whole = exact_posterior(Power(skeleton=SKELETON), np.array(N), np.array(Y), (HIGH,))
    assert abs(whole.parameters()[0].value - found.parameters()[0].value)[0] > 0.01
    outcomes = "1NNN 2NNT 3NT"
    assert float(design.fit(outcomes).estimate) == pytest.approx(weight @ b, abs=1e-8)


def two_parameters(prior, left=LEFT, n=N, y=Y):
    """Mean rates and P(overdose) of the logistic curve by a grid in the slope and Gauss-Legendre nodes in the intercept."""
    nodes, each = leggauss(120)
    total, means, over = 0.0, np.zeros(3), np.zeros(3)
    for part in prior if isinstance(prior, tuple) else (prior,):
        (m0, m1), (s0, s1), rho = part["mean"], part["sd"], part.get("correlation", 0.0)
        own = part.get("weight", 1.0)
        for z in np.linspace(-9, 9, 361):
            slope, middle, spread = np.exp(m1 + s1 * z), m0 + rho * s0 * z, s0 * np.sqrt(1 - rho**2)
            at = slope * np.log(np.array(DOSES) / REFERENCE)
            density = own * np.exp(-(z**2) / 2)

            def integral(low, high, at=at, density=density, middle=middle, spread=spread):
                # In two halves, each smooth.
                found = []
                for a, b in ((low, (low + high) / 2), ((low + high) / 2, high)):
                    x = (a + b) / 2 + (b - a) / 2 * nodes
                    p = expit(middle + spread * x[:, None] + at)
                    weight = (b - a) / 2 * each * density * np.exp(-(x**2) / 2) * likelihood(p, left, n, y)
                    found.append(np.append(weight.sum(), weight @ p))
                return sum(found)

            whole = integral(-9, 9)
            total, means = total + whole[0], means + whole[1:]
            for dose in range(3):
                edge = (logit(HIGH) - at[dose] - middle) / spread
                over[dose] += integral(np.clip(edge, -9, 9), 9)[0]
    return means / total, over / total


@pytest.mark.parametrize("prior", [PRIOR, MIXTURE], ids=["one prior", "mixture"])
def test_logistic_curve_agrees_with_a_sum_over_a_grid(prior):
    means, over = two_parameters(prior)
    curve = Logistic2(doses=DOSES, reference=REFERENCE, prior=prior)
    found = exact_posterior(curve, np.array(N), np.array(Y), (HIGH,), weighted=LEFT)
    assert found.moments()[0].value == pytest.approx(means, abs=1e-8)
    assert 1 - found.below(HIGH).value == pytest.approx(over, abs=1e-8)
    # Quantiles come from the same likelihood: at its own median, P(below) is a half.
    middle = found.quantiles([0.5])[1, 0]
    assert found.below(middle).value[1] == pytest.approx(0.5, abs=1e-6)


def test_blrm_decides_by_weights():
    free = {"choose": "highest", "no_skip": "off", "coherence": "off"}
    design = BLRM(doses=DOSES, reference=REFERENCE, prior=PRIOR, interval=(0.16, HIGH), target=0.25, **free)
    chosen = {}
    for weight in (1.0, 0.05):
        left = [Weighted(level, weight) for level in (1, 2)] * 3
        over = two_parameters(PRIOR, left, n=(1, 1, 0), y=(0, 0, 0))[1]
        states = States.counts([[1, 1, 0]], [[0, 0, 0]])
        chosen[weight] = int(design.with_weighted(left).propose(states).dose[0])
        assert chosen[weight] == (over < 0.25).nonzero()[0].max()
    # Hardly any follow-up is hardly any evidence.
    assert chosen[0.05] < chosen[1.0]


@pytest.mark.parametrize("weight", [0.0, 0.4, 1.0])
def test_counts_without_the_patient_do_not_read_the_weight(weight):
    # Before the fourth patient of the level is counted, a patient with place 4 is not there yet.
    design, later = CRM(skeleton=SKELETON, target=0.25), [Weighted(1, weight, 4)]
    for outcomes in ("", "1NNN", "1NNN 2NNT"):
        found, plain = (float(one.fit(outcomes).estimate) for one in (design.with_weighted(later), design))
        assert found == pytest.approx(plain, abs=1e-12)
    # With it, a weight of 1 is a patient without a DLT, and one of 0 nobody.
    full, nobody = (float(design.fit(outcomes).estimate) for outcomes in ("1NNN 1NN", "1NNN 1N"))
    found = float(design.with_weighted(later).fit("1NNN 1N").estimate)
    assert min(full, nobody) - 1e-12 <= found <= max(full, nobody) + 1e-12
    if weight in (0.0, 1.0):
        assert found == pytest.approx(full if weight else nobody, abs=1e-12)


def test_weights_and_administered_doses_together():
    curve = Logistic2(doses=DOSES, reference=REFERENCE, prior=PRIOR)
    at_half = [Administered(2, 1.5, 1, 1)]
    found = exact_posterior(curve, np.array(N), np.array(Y), (HIGH,), at_half, weighted=[Weighted(3, 0.5)])
    # The same patients at doses of a longer curve, without the mapping of counts.
    longer = curve.model_copy(update={"doses": (1.0, 1.5, 3.0, 5.0)})
    by_hand = exact_posterior(longer, np.array([3, 1, 2, 2]), np.array([0, 1, 0, 1]), (HIGH,), weighted=[Weighted(4, 0.5)])
    assert found.moments()[0].value == pytest.approx(by_hand.moments()[0].value[[0, 2, 3]], abs=1e-10)
    assert found.below(HIGH).value == pytest.approx(by_hand.below(HIGH).value[[0, 2, 3]], abs=1e-10)


def test_chance_of_a_dlt_reads_weights():
    # One patient with 14 of 28 days at level 2, of whom a DLT by the end is asked.
    groups, onset = [Followed(2, 1, 14, 28, 28)], Onset()
    known, dlts = np.array(N), np.array(Y)
    found = predicted(Power(skeleton=SKELETON), known, dlts, groups, onset, weighted=LEFT)
    b = np.linspace(-12, 12, 200_001)
    p = np.array(SKELETON) ** np.exp(b)[:, None]
    weight = np.exp(-(b**2) / 2 / 1.34) * likelihood(p) * (1 - 0.5 * p[:, 1])
    expected = (weight / weight.sum()) @ (0.5 * p[:, 1] / (1 - 0.5 * p[:, 1]))
    assert found.probability[found.ways.index((1,))] == pytest.approx(expected, abs=1e-8)


# Evaluability, the next dose and the analysis ---------------------------------------------------------------------------


def six():
    """Six patients at two levels without a DLT, and P3, who left after 12 days and was replaced by P4."""
    first = {1: 1, 2: 2, 3: 3, 4: 16, 5: 46, 6: 47, 7: 48}
    return trial(
        *(
            patient(f"P{number}", 1 if number < 5 else 2, start, last_contact=start + 28, dlt=False)
            if number != 3
            else patient("P3", 1, start, last_contact=start + 12, discontinued=start + 12, reason="withdrawal", dlt=False)
            for number, start in first.items()
        ),
        last=80,
    )


def test_a_patient_who_left_keeps_the_share_followed():
    evaluated, replaced = (dsf.evaluate(six(), rules, as_of=day(79)) for rules in (weighted_protocol(), protocol()))
    assert evaluated["P3"].has_weight
    assert evaluated.weighted == (Weighted(1, 12 / 28, 3),)
    assert evaluated.with_left_as_dlts()["P3"].kind == "dlt"
    # No cohort includes the patient, as with "not-evaluable".
    assert evaluated.cohorts() == replaced.cohorts()
    assert [one.replaced_by for one in evaluated.statuses] == [one.replaced_by for one in replaced.statuses]
    assert replaced.weighted == ()


def test_patient_alone_in_a_cohort_outside_the_escalation_has_a_weight():
    """What is known of a patient does not depend on the reading of the cohorts."""
    alone = patient("P8", 3, 82, last_contact=103, discontinued=103, reason="withdrawal", dlt=False)
    evaluated = dsf.evaluate(trial(*six().patients, alone, last=120), weighted_protocol(), as_of=day(120))
    without = evaluated.with_members(evaluated.members[:-1])
    assert evaluated.members[-1].subjects == ("P8",)
    assert without.weighted == evaluated.weighted == (Weighted(1, 12 / 28, 3), Weighted(3, 21 / 28, 0))


def test_named_replacement_leaves_the_weight():
    people = [replace(one, replaces="P3") if one.subject == "P4" else one for one in six().patients]
    evaluated = dsf.evaluate(trial(*people, last=80), weighted_protocol(), as_of=day(79))
    assert evaluated["P3"].replaced_by == "P4"
    assert evaluated.weighted == (Weighted(1, 12 / 28, 3),)


@pytest.mark.parametrize(
    ("onset", "weight"),
    [
        ({"kind": "piecewise", "parts": [0.0, 1.0]}, 0.0),
        ({"kind": "piecewise", "parts": [0.5, 0.25, 0.25]}, 0.5 + 0.25 * (12 / 28 - 1 / 3) * 3),
        # At the target rate of 25%, with parameters from the two equations of the distribution.
        ({"kind": "weibull", "late": 0.9}, float(Onset(kind="weibull", late=0.9).share(12, 0.25, 28))),
    ],
    ids=["all late", "early", "Weibull"],
)
def test_weight_is_the_share_of_dlts_that_come_by_then(onset, weight):
    evaluated = dsf.evaluate(six(), weighted_protocol(onset=onset), as_of=day(79))
    (left,) = evaluated.weighted
    assert left.weight == pytest.approx(weight, abs=1e-12)
    assert abs(left.weight - 12 / 28) > 0.05


def test_weight_under_a_hazard_of_the_infusion():
    """A constant hazard over 12 of 28 days, at the target of 25%."""
    rules = weighted_protocol(onset={"kind": "per-infusion", "pattern": "even"})
    (left,) = dsf.evaluate(six(), rules, as_of=day(79)).weighted
    assert left.weight == pytest.approx((1 - 0.75 ** (12 / 28)) / 0.25, abs=1e-12)


def test_patients_who_left_early_complete_no_cohort():
    """Three patients who each left after a day are hardly any evidence: nobody goes up, and nobody is called complete."""
    gone = [patient(f"P{n}", 1, n, last_contact=n + 1, discontinued=n + 1, reason="withdrawal", dlt=False) for n in (1, 2, 3)]
    found = dsf.next_dose(weighted_protocol(), trial(*gone, last=60), as_of=day(60))
    assert {one.level for one in found.proposals.values()} == {1}
    assert found.evaluated.cohorts() == []


def test_patient_who_left_does_not_lift_a_safety_stop():
    """3 DLTs in 5 at level 1: P(DLT rate > 25%) is .962 under Beta(1, 1), above .95, also with a sixth who left after a day."""
    rules = {"kind": "crm", "skeleton": SKELETON, "safety_cutoff": 0.95, "safety_by": "beta"}
    table = weighted_protocol(("crm",)).model_dump(exclude_unset=True) | {"designs": {"crm": rules}}
    people = [patient(f"P{n}", 1, n, last_contact=n + 28, dlt=True, dlt_date=n + 9, events=None) for n in (1, 2, 3)]
    people += [patient(f"P{n}", 1, n, last_contact=n + 28, dlt=False) for n in (4, 5)]
    gone = patient("P6", 1, 6, last_contact=7, discontinued=7, reason="withdrawal", dlt=False)
    found = dsf.next_dose(dsf.Protocol.read(table), trial(*people, gone, last=60), as_of=day(60))
    assert found.proposal.action == "stop"


def test_weight_holds_while_others_are_pending():
    """A pending patient of the same cohort leaves the weight in the likelihood of what is known."""
    people = [
        patient("P1", 1, 1, last_contact=29, dlt=True, dlt_date=9, events=None),
        patient("P2", 1, 2, last_contact=9, discontinued=9, reason="withdrawal", dlt=False),
        patient("P3", 1, 20, last_contact=30, dlt=False),
    ]
    found = dsf.next_dose(weighted_protocol(), trial(*people, last=30), as_of=day(30))
    (end,) = found.waiting.dates[-1:]
    curve = CRM(skeleton=SKELETON, target=0.25).curve
    groups = [Followed(1, 1, 10, 28, 28)]
    chance = predicted(curve, np.array([1, 0, 0]), np.array([1, 0, 0]), groups, Onset(), weighted=[Weighted(1, 7 / 28)])
    assert end.new_dlt == pytest.approx(1 - chance.probability[chance.ways.index((0,))], abs=1e-9)


@pytest.mark.parametrize("cause", ["dropout", "progression"])
def test_each_cause_has_its_own_handling(cause):
    ways = {"dropout": "not-evaluable", "progression": "not-evaluable"} | {cause: "weight"}
    rules = weighted_protocol(evaluability=ways)
    for reason, own in (("withdrawal", "dropout"), ("progression", "progression")):
        one = trial(patient("P1", 1, 1, last_contact=8, discontinued=8, reason=reason, dlt=False), last=60)
        assert dsf.evaluate(one, rules)["P1"].has_weight == (own == cause)


def test_next_dose_and_analysis_read_weights():
    rules = weighted_protocol()
    found = dsf.next_dose(rules, six(), as_of=day(79))
    design = Trial.of(rules).designs["crm"].with_weighted([Weighted(1, 12 / 28)])
    assert found.proposal.level == dsf.decide(design, "1NNN 2NNN").level
    rates = design.fit("1NNN 2NNN").plug_in.values
    assert all(f"{rate:.1%}" in found.proposal.reason for rate in rates)
    # With a DLT instead, the plain design after 1 DLT in 4 at level 1.
    plain = Trial.of(rules).designs["crm"]
    assert found.left_as_dlts["crm"].level == dsf.decide(plain, "1NNNT 2NNN").level
    assert set(found.left_as_dlts) == {"crm", "blrm"}
    assert found.designs["if_left_had_dlts"].tolist() == [found.left_as_dlts[name].words for name in found.proposals]

    made = analyze(rules, "1NNN 2NNN", weighted=found.evaluated.weighted)
    curve = next(iter(Trial.of(rules).curves.values()))
    n, y = np.array([3, 3, 0]), np.array([0, 0, 0])
    expected = exact_posterior(curve, n, y, (HIGH,), weighted=[Weighted(1, 12 / 28)])
    assert made.summary["p_over"].values == pytest.approx(1 - expected.below(HIGH).value, abs=1e-9)
    as_dlts = exact_posterior(curve, np.array([4, 3, 0]), np.array([1, 0, 0]), (HIGH,))
    assert made.summary.attrs["p_over_left_as_dlts"] == pytest.approx(1 - as_dlts.below(HIGH).value, abs=1e-9)
    assert made.summary.attrs["weighted"] == [{"level": 1, "weight": 12 / 28}]
    varied = sensitivity(rules, "1NNN 2NNN", weighted=found.evaluated.weighted)
    assert varied.loc[0, "over_1"] == pytest.approx(made.summary["p_over"].values[0], abs=1e-6)


def test_a_design_that_waits_reads_weights_later():
    # P8 is pending, on day 20 of 28: probabilities of the dates use the weighted likelihood of P3.
    patients = six()
    more = patient("P8", 2, 82, last_contact=102, dlt=False)
    now = trial(*patients.patients, more, last=102)
    waiting = dsf.next_dose(weighted_protocol(), now, as_of=day(102)).waiting
    (end,) = waiting.dates
    crm = CRM(skeleton=SKELETON, target=0.25).curve
    chance = predicted(
        crm, np.array([3, 3, 0]), np.zeros(3, int), [Followed(2, 1, 20, 28, 28)], Onset(), weighted=[Weighted(1, 12 / 28)]
    )
    assert end.new_dlt == pytest.approx(1 - chance.probability[chance.ways.index((0,))], abs=1e-9)


# Refused ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cause", ["dropout", "progression"])
def test_designs_that_count_whole_patients_refuse_weights(cause):
    with pytest.raises(dsf.InputError) as refused:
        Trial.of(protocol(evaluability={cause: "weight"}))
    (problem,) = refused.value.problems
    assert (problem.where, problem.value) == (f"evaluability.{cause}", "weight")
    for word in ("'not-evaluable', 'no-dlt' or 'dlt'", "'3+3'", "'rolling-6'", "CRM, BLRM, BLRM of a course or TITE-CRM"):
        assert word in problem.allowed
    assert "'crm'" not in problem.allowed


def test_a_design_itself_refuses_weights():
    with pytest.raises(dsf.InputError, match=r"weighted.*counts whole patients"):
        BOIN(target=0.25).with_weighted([Weighted(1, 0.5)])
    assert BOIN(target=0.25).with_weighted([]) == BOIN(target=0.25)


@pytest.mark.parametrize(
    ("weighted", "where"),
    [
        ([Weighted(4, 0.5)], "weighted[1].level"),
        ([Weighted(1, 0.5), Weighted(1, 1.5)], "weighted[2].weight"),
        ([Weighted(1, float("nan"))], "weighted[1].weight"),
        ([(1, 0.5)], "weighted[1]"),
        ("half", "weighted"),
    ],
    ids=["level", "weight", "not a number", "pair", "text"],
)
def test_impossible_weights_are_refused(weighted, where):
    with pytest.raises(dsf.InputError) as refused:
        analyze(weighted_protocol(), "1NNN 2NNN", weighted=weighted)
    assert refused.value.problems[0].where.startswith(where)


def test_sampling_refuses_weights():
    with pytest.raises(dsf.InputError, match="weighted"):
        analyze(weighted_protocol(), "1NNN 2NNN", weighted=[Weighted(1, 0.5)], engine="nuts")


def test_whole_patient_designs_have_no_weights_in_a_batch():
    with pytest.raises(dsf.InputError, match=r"weights.*counts whole patients"):
        BOIN(target=0.25).with_weights((0.5,))


# On a calendar ----------------------------------------------------------------------------------------------------------

DESIGNS = {
    "crm": CRM(skeleton=SKELETON, target=0.25, max_n=12),
    "crm, mean": CRM(skeleton=SKELETON, target=0.25, max_n=12, recommend="mean", safety_cutoff=0.8, final="tried"),
    "blrm": BLRM(doses=DOSES, reference=REFERENCE, prior=PRIOR, interval=(0.16, HIGH), target=0.25, max_n=12),
    "tite-crm": TITECRM(skeleton=SKELETON, target=0.25, max_n=12, window_days=28, safety_cutoff=0.9),
}


@pytest.mark.parametrize("name", DESIGNS)
def test_states_of_a_batch_are_decided_as_one_trial_with_the_same_weights(name):
    """Each state by its own patients who left, against the design told of these patients."""
    rng, design, weights = np.random.default_rng(5), DESIGNS[name], (0.1, 0.4, 0.8)
    n = rng.integers(0, 4, (ROWS, 3)).astype(COUNT)
    n[:, 0] += 1
    y = rng.binomial(n, 0.3).astype(COUNT)
    in_part = rng.integers(0, 2, (ROWS, 9)).astype(COUNT)
    in_part[:4] = 0
    last = 2 - np.argmax((n > 0)[:, ::-1], axis=1)
    at = np.arange(ROWS), last
    cohorts = np.minimum(n.sum(axis=1), 3).astype(COUNT)
    states = States(n, y, last.astype(COUNT), n[at], y[at], cohorts, np.zeros((ROWS, 0), COUNT), in_part=in_part)
    if design.reads == "follow-up":
        # The first patient without a DLT at the lowest dose is pending.
        pending = np.zeros((ROWS, 3), COUNT)
        pending[:, 0] = n[:, 0] > y[:, 0]
        dose, days = np.where(pending[:, :1] > 0, 0, -1).astype(np.int8), rng.integers(0, 28, (ROWS, 1))
        states = TimedStates(**vars(states), pending=pending, follow_ups=FollowUps(28, dose, days, np.zeros(ROWS, COUNT)))
    batch = design.with_weights(weights)
    for asked in (states, states.grouped()):
        found, chosen = batch.decide(asked), batch.select(asked)
        for row in range(ROWS):
            place = np.repeat(np.arange(9), in_part[row])
            own = design.with_weighted([Weighted(int(which) // 3 + 1, weights[which % 3]) for which in place])
            alone = replace(asked.take(slice(row, row + 1)), in_part=None)
            single, selected = own.decide(alone), own.select(alone)
            assert (found.dose[row], found.reason[row], found.size[row]) == (single.dose[0], single.reason[0], single.size[0])
            assert (chosen.dose[row], chosen.not_reached[row]) == (selected.dose[0], selected.not_reached[0])
    # Patients who left change some decisions: the test sees them.
    plain = design.decide(replace(states, in_part=None))
    assert (plain.dose != batch.decide(states).dose).any()


@pytest.mark.parametrize("name", ["crm", "tite-crm"])
def test_weights_change_nothing_if_nobody_leaves(name):
    rules = weighted_protocol((name,), accrual={"per_28_days": 2.0}, discontinuation={"dropout": 0.0})
    plain = Clock.of(rules.model_copy(update={"evaluability": protocol().evaluability}))
    clock = Clock.of(rules)
    assert (clock.dropout, plain.dropout) == ("weight", "not-evaluable")
    made, without = (run(Trial.of(rules).designs[name], RATES, at, 40, 1) for at in (clock, plain))
    for field_ in ("days", "starts", "doses", "known", "dlt", "decisions", "bold"):
        assert np.array_equal(getattr(made, field_), getattr(without, field_))
    assert np.array_equal(made.ended.choice, without.ended.choice)


@pytest.mark.parametrize("onset", [Onset(), Onset(kind="weibull", late=0.8), Onset(kind="piecewise", parts=(0.0, 0.3, 0.7))])
def test_weight_on_a_calendar_is_that_of_real_patients(onset):
    given = onset.model_dump(exclude_unset=True)
    rules = weighted_protocol(onset=given, accrual={"per_28_days": 2.0}, discontinuation={"dropout": 0.2})
    (left,) = dsf.evaluate(six(), rules, as_of=day(79)).weighted
    # P3 left after 12 days.
    assert Clock.of(rules).weights[12] == pytest.approx(left.weight, abs=1e-12)
    assert Clock.of(rules).weights[12] == pytest.approx(float(onset.share(12, 0.25, 28)), abs=1e-12)


def test_final_selection_reads_the_weights_of_patients_who_left():
    """Of each simulated trial, the design told of the patients who left, by the days of its calendar."""
    rules = weighted_protocol(("crm",), accrual={"per_28_days": 2.0}, discontinuation={"dropout": 0.5})
    design, clock = Trial.of(rules).designs["crm"], Clock.of(rules)
    made = run(design, RATES, clock, 30, 2)
    followed = made.known - made.starts
    left = (made.doses >= 0) & ~made.dlt & (followed < 28)
    assert np.array_equal(left.sum(axis=1), made.lost)
    differs = 0
    for row in range(30):
        patients = [Weighted(int(made.doses[row, at]) + 1, followed[row, at] / 28) for at in np.flatnonzero(left[row])]
        ended = States.counts(made.ended.n[row], made.ended.y[row])
        assert design.with_weighted(patients).select(ended).dose[0] == made.ended.choice[row]
        differs += design.select(ended).dose[0] != made.ended.choice[row]
    assert differs > 0


def test_estimate_with_weights_is_less_biased_than_with_replacement():
    """Maximum likelihood at one dose with a true DLT rate of 25%, of which 30% leave: about 28.6% if they are replaced only."""
    design = CRM(skeleton=(0.25,), target=0.25, max_n=30, cohort_size=30)
    clock = leaving(28, discontinuation=Discontinuation(dropout=0.3), dropout="weight", accrual=Accrual(process="always"))
    made = run(design, Rates(np.array([[0.25]])), clock, 600, 3)
    followed = made.known - made.starts
    in_part = np.where((made.doses >= 0) & ~made.dlt & (followed < 28), followed / 28, 0.0)
    y = made.ended.y[:, 0]
    assert (made.ended.n[:, 0] == 30).all()
    p = np.linspace(0.0005, 0.9995, 1000)
    # Log likelihood of each trial at each rate.
    whole = y[:, None] * np.log(p) + (30 - y[:, None]) * np.log1p(-p)
    found = whole + sum(np.log1p(-weight[:, None] * p) for weight in in_part.T)
    estimates = {"weight": p[found.argmax(axis=1)], "replaced": p[whole.argmax(axis=1)]}
    bias = {name: values.mean() - 0.25 for name, values in estimates.items()}
    error = {name: values.std() / np.sqrt(600) for name, values in estimates.items()}
    evaluable, rate = (values[0] for values in clock.as_counted(np.array([0.25])))
    assert evaluable < 0.75
    assert abs(bias["replaced"] - (rate - 0.25)) < 3.3 * error["replaced"]
    assert abs(bias["weight"]) < 3.3 * error["weight"]
    # The two come from the same trials: the error of their difference is that of the pairs.
    apart = estimates["replaced"] - estimates["weight"]
    assert apart.mean() > 10 * apart.std() / np.sqrt(600)


# The bias of replacing --------------------------------------------------------------------------------------------------


def leaving(window, **changed):
    clock = Clock.of(protocol(accrual={"per_28_days": 1.0}))
    return replace(clock, treatment=clock.treatment.model_copy(update={"dlt_window_days": window}), **changed)


@pytest.mark.parametrize("case", range(2))
def test_bias_of_replacing_is_the_published_formula(case):
    row = {item["id"]: item for item in published("time_refs")["items"]}["dropout_replacement_open"]["expected"][case]
    # The formula is for continuous time: a window of 36,500 days differs by the reciprocal of that.
    clock = leaving(36_500, discontinuation=Discontinuation(dropout=row["dropout"]))
    evaluable, rate = clock.as_counted(np.array([[row["p"]]]))
    assert evaluable[0, 0] == pytest.approx(row["evaluable"], abs=3e-5)
    assert rate[0, 0] == pytest.approx(row["dlt_rate_among_evaluable"], abs=3e-5)


@pytest.mark.parametrize("progression", ["not-evaluable", "no-dlt", "dlt"])
@pytest.mark.parametrize("onset", [Onset(), Onset(kind="weibull", late=0.7), Onset(kind="piecewise", parts=(0.1, 0.0, 0.9))])
def test_rate_as_counted_is_that_of_simulated_trials(onset, progression):
    clock = leaving(
        28,
        discontinuation=Discontinuation(dropout=0.3, progression=0.2),
        progression=progression,
        onset=onset,
        accrual=Accrual(process="always"),
    )
    made = run(BOIN(target=0.25, n_doses=1, max_n=30, cohort_size=30), Rates(np.array([[0.2]])), clock, 4000, 1)
    evaluable, rate = (values[0] for values in clock.as_counted(np.array([0.2])))
    rates = made.ended.y[:, 0] / 30
    assert abs(rates.mean() - rate) < 3.3 * rates.std() / np.sqrt(len(rates))
    # Patients until the 30th evaluable one.
    extra = 30 / evaluable - 30
    assert abs(made.lost.mean() - extra) < 3.3 * made.lost.std() / np.sqrt(len(rates)) + 1e-12
