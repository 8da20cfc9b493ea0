"""Models on a dose scale use the amount administered: held against a plain sum over a grid that has every patient at the amount."""

import numpy as np
import pytest
from scipy.special import expit

import dosefind as dsf
from dosefind.designs import BLRM
from dosefind.evaluability import evaluate
from dosefind.models import Logistic2
from dosefind.posterior.exact import ExactPosterior, exact_fit
from dosefind.tasks.analysis import analyze
from dosefind.tasks.sensitivity import sensitivity
from dosefind.trial import Administered, Cohort, States

from .made_up import day, event, patient, protocol, trial

DOSES, REFERENCE, RATES = (1.0, 3.0, 5.0), 3.0, (0.16, 0.33)
PRIOR = {"mean": (-1.7, 0.1), "sd": (1.5, 0.7), "correlation": -0.3}
MIXTURE = ({**PRIOR, "weight": 0.6}, {"mean": (-0.5, -0.2), "sd": (1.0, 0.5), "weight": 0.4})
CASES = {
    "a dose interrupted": [Administered(1, 0.6, 1, 0)],
    "a dose interrupted by a DLT": [Administered(3, 2.5, 1, 1)],
    "twice the dose": [Administered(2, 6.0, 2, 1)],
    "the dose of another level": [Administered(1, 5.0, 1, 0), Administered(2, 1.0, 1, 1)],
    "every patient": [
        Administered(1, 0.98, 3, 0),
        Administered(2, 2.9, 2, 0),
        Administered(2, 3.3, 1, 1),
        Administered(3, 4.4, 3, 2),
    ],
    "far from the doses": [Administered(3, 0.01, 2, 1), Administered(1, 90.0, 1, 0)],
}
N, Y = np.array([3, 3, 3]), np.array([0, 1, 2])


def by_grid(administered, prior, n=N, y=Y):
    """Mean rate, P(rate < each of RATES) at the levels, and log evidence, by a sum over parameters on a fine grid.

    Nothing of the package is used: the likelihood has one term for each amount at which patients are.
    """
    n, y = n.astype(float), y.astype(float)
    groups = [(amount, 0.0, 0.0) for amount in DOSES]
    for one in administered:
        n[one.level - 1] -= one.n
        y[one.level - 1] -= one.dlts
        groups.append((one.amount, one.n, one.dlts))
    groups[:3] = list(zip(DOSES, n, y, strict=True))
    assert (y >= 0).all()
    assert (n >= y).all()
    total, weight_all = 0.0, 0.0
    for part in prior if isinstance(prior, tuple) else (prior,):
        (m0, m1), (s0, s1), rho = part["mean"], part["sd"], part.get("correlation", 0.0)
        a, b = np.linspace(m0 - 9 * s0, m0 + 9 * s0, 1201), np.linspace(m1 - 8 * s1, m1 + 8 * s1, 401)
        u, v = ((a - m0) / s0)[:, None], ((b - m1) / s1)[None, :]
        log_prior = -(u**2 - 2 * rho * u * v + v**2) / (2 * (1 - rho**2)) - np.log(2 * np.pi * s0 * s1 * np.sqrt(1 - rho**2))
        log_likelihood = 0.0
        for amount, patients, dlts in groups:
            eta = a[:, None] + np.exp(b)[None, :] * np.log(amount / REFERENCE)
            log_likelihood = log_likelihood - dlts * np.logaddexp(0, -eta) - (patients - dlts) * np.logaddexp(0, eta)
        mass = np.exp(log_prior + log_likelihood) * (a[1] - a[0]) * (b[1] - b[0]) * part.get("weight", 1.0)
        p = [expit(a[:, None] + np.exp(b)[None, :] * np.log(amount / REFERENCE)) for amount in DOSES]
        # A cell of the grid across a cut point counts by the share of it below the cut, to first order in log alpha.
        logits = [np.log(rate / (1 - rate)) for rate in RATES]
        below = [[_below(a, b, np.log(amount / REFERENCE), logit) for amount in DOSES] for logit in logits]
        values = [*p, *(one for row in below for one in row)]
        total = total + np.array([(mass * value).sum() for value in values])
        weight_all += mass.sum()
    return total / weight_all, np.log(weight_all)


def _below(a, b, x, logit):
    cut = logit - np.exp(b) * x
    return np.clip((cut[None, :] - a[:, None]) / (a[1] - a[0]) + 0.5, 0, 1)


def figures(found):
    mean, _ = found.moments()
    return np.concatenate([mean.value, *(found.below(rate).value for rate in RATES)])


@pytest.mark.parametrize("prior", [PRIOR, MIXTURE], ids=["one prior", "a mixture"])
@pytest.mark.parametrize("administered", CASES.values(), ids=CASES.keys())
def test_the_posterior_is_that_of_the_amounts_administered(administered, prior):
    """The grid of the second method is wrong by 1e-5 in P(below), where it cuts a cell, and by far less elsewhere."""
    curve = Logistic2(doses=DOSES, reference=REFERENCE, prior=prior)
    found = ExactPosterior(exact_fit(curve.with_administered(administered), RATES), N, Y)
    expected, log_evidence = by_grid(administered, prior)
    np.testing.assert_allclose(figures(found), expected, rtol=0, atol=2e-5)
    assert found.log_evidence == pytest.approx(log_evidence, abs=1e-6)
    # It is another posterior than that of the levels.
    assert np.abs(figures(found) - figures(ExactPosterior(exact_fit(curve, RATES), N, Y))).max() > 1e-4


def test_an_amount_of_the_level_changes_nothing():
    curve = Logistic2(doses=DOSES, reference=REFERENCE, prior=PRIOR)
    same = curve.with_administered([Administered(2, 3.0, 2, 1)])
    one, other = (ExactPosterior(exact_fit(each, RATES), N, Y) for each in (curve, same))
    np.testing.assert_allclose(figures(one), figures(other), rtol=0, atol=1e-9)
    assert curve.with_administered(()) is curve


def test_moving_patients_to_another_level_is_moving_their_counts():
    """Of two at the third level, both given the dose of the first: the posterior is that of other counts by level."""
    curve = Logistic2(doses=DOSES, reference=REFERENCE, prior=PRIOR)
    moved = ExactPosterior(exact_fit(curve.with_administered([Administered(3, 1.0, 2, 1)]), RATES), N, Y)
    counted = ExactPosterior(exact_fit(curve, RATES), np.array([5, 3, 1]), np.array([1, 1, 1]))
    np.testing.assert_allclose(figures(moved), figures(counted), rtol=0, atol=2e-9)
    assert moved.log_evidence == pytest.approx(counted.log_evidence, abs=1e-8)
    np.testing.assert_allclose(moved.quantiles((0.1, 0.5, 0.9)), counted.quantiles((0.1, 0.5, 0.9)), rtol=0, atol=1e-5)
    np.testing.assert_allclose(moved.mtd_quantiles(0.25, (0.2, 0.5)), counted.mtd_quantiles(0.25, (0.2, 0.5)), rtol=1e-4)
    draws = [one.draws(4000)[0].mean(axis=0) for one in (moved, counted)]
    np.testing.assert_allclose(draws[0], draws[1], rtol=0, atol=1e-3)


def test_counts_must_include_these_patients():
    curve = Logistic2(doses=DOSES, reference=REFERENCE, prior=PRIOR).with_administered([Administered(3, 1.0, 1, 1)])
    with pytest.raises(ArithmeticError, match="do not include"):
        ExactPosterior(exact_fit(curve, RATES), np.array([3, 3, 3]), np.array([0, 1, 0]))


@pytest.mark.parametrize(
    "one", [(0, 1.0, 1, 0), (4, 1.0, 1, 0), (1, 0.0, 1, 0), (1, -1.0, 1, 0), (1, 1.0, 1, 2), (1, float("inf"), 1, 0)]
)
def test_amounts_that_nobody_can_have_been_given(one):
    curve = Logistic2(doses=DOSES, reference=REFERENCE, prior=PRIOR)
    with pytest.raises(dsf.InputError, match="administered"):
        curve.with_administered([Administered(*one)])


@pytest.mark.parametrize("choose", ["target", "highest"])
@pytest.mark.parametrize("administered", CASES.values(), ids=CASES.keys())
def test_the_blrm_decides_by_the_amounts_administered(administered, choose):
    design = BLRM(doses=DOSES, reference=REFERENCE, prior=PRIOR, interval=RATES, target=0.25, choose=choose)
    over, _ = design.with_administered(administered)._evaluate(N[None], Y[None])
    expected, _ = by_grid(administered, PRIOR)
    # Settled to what the decision needs, which is at most the distance from the limit.
    near = ExactPosterior(exact_fit(design.curve.with_administered(administered), RATES), N, Y)
    np.testing.assert_allclose(1 - near.below(RATES[1]).value, 1 - expected[6:], rtol=0, atol=2e-5)
    assert ((over[0, :-1] < design.ewoc) == (1 - expected[6:] < design.ewoc)).all()


def test_the_blrm_of_counts_without_these_patients_is_that_of_the_levels():
    design = BLRM(doses=DOSES, reference=REFERENCE, prior=PRIOR, interval=RATES, target=0.25)
    moved = design.with_administered([Administered(2, 6.0, 1, 1)])
    n, y = np.array([[3, 0, 0], [3, 3, 0], [3, 3, 0]]), np.array([[0, 0, 0], [0, 0, 0], [0, 1, 0]])
    one, other = design.propose(States.counts(n, y)), moved.propose(States.counts(n, y))
    assert (one[0][:2] == other[0][:2]).all()
    assert design.with_administered(()) is design
    assert moved.with_settings(cohort_size=2)._administered == ()


def test_a_dlt_at_a_lower_amount_raises_the_risk_up_to_that_amount():
    """Further up the curve can become flatter, so that the risk falls there."""
    design = BLRM(doses=DOSES, reference=REFERENCE, prior=PRIOR, interval=RATES, target=0.25)
    for level, amount in ((2, 2.0), (2, 1.0), (3, 2.5)):
        y = np.eye(3, dtype=int)[level - 1]
        for n in ([3, 3, 3], [3, 6, 3]):
            before = design._evaluate(np.array([n]), y[None])[0][0, :-1]
            after = design.with_administered([Administered(level, amount, 1, 1)])._evaluate(np.array([n]), y[None])[0][0, :-1]
            assert (after >= before)[np.array(DOSES) <= amount].all()


@pytest.mark.slow
def test_the_model_that_is_sampled_has_the_same_correction():
    """The logarithm of the density at some points, against that on the nodes of the quadrature, to rounding."""
    administered = CASES["every patient"]
    curve = Logistic2(doses=DOSES, reference=REFERENCE, prior=PRIOR).with_administered(administered)
    density = curve.to_pymc(N, Y).compile_logp()
    points = np.array([[0.0, 0.0], [1.0, -0.5], [-2.0, 1.5]])
    sampled = np.array([float(density({"z": z})) for z in points])
    log_p, log_q = curve.at(points)
    by_nodes = log_p @ Y + log_q @ (N - Y) + curve.log_prior(points)
    # They differ by constants of the prior and of the binomial distribution.
    np.testing.assert_allclose(np.diff(sampled), np.diff(by_nodes), rtol=0, atol=1e-10)


# From patients to the answer.


def made(amount, dlt=False):
    """Three patients at each of two levels; the last one had another amount than the one assigned."""
    people = [patient(f"S{level}{n}", level, 40 * level + n) for level in (1, 2) for n in (1, 2)]
    last = {"amounts": (amount,), "assigned_by": "ARM", "events": (event(90),) if dlt else ()}
    return trial(*people, patient("S13", 1, 43), patient("S23", 2, 83, **last), last=200)


@pytest.mark.parametrize(
    ("amount", "dlt", "expected"), [(2.5, False, (2, 2.5, 1, 0)), (6, True, (2, 6, 1, 1)), (1.2, True, (2, 1.2, 1, 1))]
)
def test_patients_known_at_another_amount(amount, dlt, expected):
    found = evaluate(made(amount, dlt), protocol())
    assert found.administered == (Administered(*expected),)
    assert found.cohorts() == [Cohort(1, 3, 0), Cohort(2, 3, int(dlt))]
    assert found["S23"].administered == amount


def test_patients_without_a_known_outcome_stay_at_their_level():
    assert evaluate(made(3), protocol()).administered == ()
    assert evaluate(made(2.5), protocol(), day(90), replay=True).administered == ()
    # Not evaluable: below 80%.
    assert evaluate(made(1.2), protocol()).administered == ()


def test_next_uses_the_amounts_in_designs_on_a_dose_scale():
    """Two patients at level 2 were given twice the dose and had no DLT: the BLRM takes that for what it is."""
    people = [patient(f"S1{n}", 1, n) for n in (1, 2, 3)]
    twice = [patient(f"S2{n}", 2, 40 + n, amounts=(10,), assigned_by="ARM") for n in (1, 2, 3)]
    once = [patient(f"S2{n}", 2, 40 + n) for n in (1, 2, 3)]
    rules = protocol()
    given, plain = (dsf.next_dose(rules, trial(*people, *two, last=200)) for two in (twice, once))
    expected = analyze(rules, "1NNN 2NNN", administered=given.evaluated.administered).summary
    reason = given.proposals["blrm"].reason
    shown = [float(p) for p in reason.partition("P(overdose) ")[2].partition(", below")[0].split(", ")]
    np.testing.assert_allclose(shown, expected.p_over.values, rtol=0, atol=2e-3)
    assert reason != plain.proposals["blrm"].reason
    for name in ("3+3", "boin", "crm"):
        assert given.proposals[name].reason == plain.proposals[name].reason
    assert "amount administered" in given.attrs["notes"]
    assert "amount administered" not in plain.attrs["notes"]


def test_analyze_uses_the_amounts_on_the_dose_scale_alone():
    rules = protocol()
    moved = [Administered(2, 6.0, 1, 1)]
    plain, given = analyze(rules, "1NNN 2NNT"), analyze(rules, "1NNN 2NNT", administered=moved)
    by_curve = {
        str(name): abs(given.summary.p_over_by_curve - plain.summary.p_over_by_curve).sel(curve=name).max()
        for name in plain.summary.curve.values
    }
    assert by_curve["logistic-2"] > 1e-3
    assert by_curve["power"] == 0
    # The prior has no patients, and the counts stay by level.
    np.testing.assert_array_equal(given.summary.prior_p_over, plain.summary.prior_p_over)
    np.testing.assert_array_equal(given.summary.n, plain.summary.n)
    assert float(given.summary.conclusion.sel(design="blrm").sum() + 0) == pytest.approx(1, abs=1e-4)
    table = sensitivity(rules, "1NNN 2NNT", administered=moved)
    assert table.loc[0, "over_2"] == pytest.approx(float(given.summary.p_over[1]), abs=1e-6)


@pytest.mark.parametrize(
    "administered",
    [
        [Administered(3, 1.0, 1, 0)],
        [Administered(1, 0.5, 1, 1)],
        [Administered(1, 0.5, 4, 0)],
        [Administered(1, 0, 1, 0)],
        [Administered(9, 1.0, 1, 0)],
    ],
)
def test_amounts_of_patients_who_are_not_counted_are_refused(administered):
    with pytest.raises(dsf.InputError, match="administered"):
        analyze(protocol(), "1NNN 2NNT", administered=administered)
