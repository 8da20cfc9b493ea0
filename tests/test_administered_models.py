"""Models on a dose scale use the administered dose: compared with a sum over a grid that has every patient at the amount."""

import numpy as np
import pytest
from scipy.special import expit

import dosefind as dsf
from dosefind.designs import BLRM
from dosefind.designs.replay import state_after
from dosefind.evaluability import evaluate
from dosefind.models import Logistic2, Power
from dosefind.posterior.administered import at_amounts, exact_posterior
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
    "a hundredth of the lowest dose": [Administered(1, 0.01, 1, 0), Administered(3, 0.01, 1, 1)],
    "the same amount from two levels": [Administered(2, 4.0, 1, 0), Administered(3, 4.0, 1, 1)],
}
N, Y = np.array([3, 3, 3]), np.array([0, 1, 2])
# Error of P(below) on the grid of `by_grid`; with cells half as wide, it is a quarter of that.
GRID = 4e-5


def curve_of(prior=PRIOR, doses=DOSES, windows=1.0):
    return Logistic2(doses=doses, reference=REFERENCE, prior=prior, windows=windows)


def by_grid(administered, prior, n=N, y=Y, doses=DOSES, windows=1.0, cells=(1201, 401)):
    """Return mean rate and P(rate < each of RATES) at the levels, and log evidence, by a sum over parameters on a fine grid.

    Nothing of the package is used: the likelihood has one term for each amount at which patients are.
    """
    n, y = np.array(n, float), np.array(y, float)
    for one in administered:
        n[one.level - 1] -= one.n
        y[one.level - 1] -= one.dlts
    groups = [*zip(doses, n, y, strict=True), *((one.amount, one.n, one.dlts) for one in administered)]
    assert (y >= 0).all()
    assert (n >= y).all()
    total, weight_all = 0.0, 0.0
    for part in prior if isinstance(prior, tuple) else (prior,):
        (m0, m1), (s0, s1), rho = part["mean"], part["sd"], part.get("correlation", 0.0)
        a, b = np.linspace(m0 - 9 * s0, m0 + 9 * s0, cells[0]), np.linspace(m1 - 8 * s1, m1 + 8 * s1, cells[1])
        u, v = ((a - m0) / s0)[:, None], ((b - m1) / s1)[None, :]
        log_prior = -(u**2 - 2 * rho * u * v + v**2) / (2 * (1 - rho**2)) - np.log(2 * np.pi * s0 * s1 * np.sqrt(1 - rho**2))
        log_likelihood = 0.0
        for amount, patients, dlts in groups:
            eta = a[:, None] + np.exp(b)[None, :] * np.log(amount / REFERENCE)
            log_q = -windows * np.logaddexp(0, eta)
            log_p = -np.logaddexp(0, -eta) if windows == 1 else np.log(-np.expm1(np.minimum(log_q, -1e-300)))
            log_likelihood = log_likelihood + (patients - dlts) * log_q + (dlts * log_p if dlts else 0.0)
        mass = np.exp(log_prior + log_likelihood) * (a[1] - a[0]) * (b[1] - b[0]) * part.get("weight", 1.0)
        etas = [a[:, None] + np.exp(b)[None, :] * np.log(amount / REFERENCE) for amount in doses]
        # A cell of the grid across a cut point counts by the share of it below the cut, to first order in log alpha.
        in_one = [1 - (1 - rate) ** (1 / windows) for rate in RATES]
        logits = [np.log(rate / (1 - rate)) for rate in in_one]
        below = [[_below(a, b, np.log(amount / REFERENCE), logit) for amount in doses] for logit in logits]
        values = [*(1 - expit(-eta) ** windows for eta in etas), *(one for row in below for one in row)]
        total = total + np.array([(mass * value).sum() for value in values])
        weight_all += mass.sum()
    return total / weight_all, np.log(weight_all)


def _below(a, b, x, logit):
    cut = logit - np.exp(b) * x
    return np.clip((cut[None, :] - a[:, None]) / (a[1] - a[0]) + 0.5, 0, 1)


def figures(found):
    mean, _ = found.moments()
    return np.concatenate([mean.value, *(found.below(rate).value for rate in RATES)])


@pytest.mark.parametrize("windows", [1.0, 3.0], ids=["one window", "three windows"])
@pytest.mark.parametrize("prior", [PRIOR, MIXTURE], ids=["one prior", "a mixture"])
@pytest.mark.parametrize("administered", CASES.values(), ids=CASES.keys())
def test_posterior_is_that_of_the_amounts_administered(administered, prior, windows):
    curve = curve_of(prior, windows=windows)
    found = exact_posterior(curve, N, Y, RATES, administered)
    expected, log_evidence = by_grid(administered, prior, windows=windows)
    np.testing.assert_allclose(figures(found), expected, rtol=0, atol=GRID)
    assert found.log_evidence == pytest.approx(log_evidence, abs=1e-6)
    assert (found.n.tolist(), found.y.tolist(), found.curve) == (N.tolist(), Y.tolist(), curve)
    # It is another posterior than that of the levels.
    assert np.abs(figures(found) - figures(exact_posterior(curve, N, Y, RATES))).max() > 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("prior", [PRIOR, MIXTURE], ids=["one prior", "a mixture"])
def test_more_than_ten_levels(prior):
    doses = tuple(np.round(0.5 * 1.3 ** np.arange(12), 4).tolist())
    n, y = np.full(12, 3), np.array([0, 0, 0, 0, 0, 0, 1, 0, 1, 1, 2, 3])
    administered = [Administered(7, 0.7, 1, 1), Administered(9, 20.0, 2, 0), Administered(12, doses[0], 1, 1)]
    found = exact_posterior(curve_of(prior, doses), n, y, RATES, administered)
    expected, log_evidence = by_grid(administered, prior, n, y, doses)
    np.testing.assert_allclose(figures(found), expected, rtol=0, atol=GRID)
    assert found.log_evidence == pytest.approx(log_evidence, abs=1e-6)
    assert found.quantiles((0.1, 0.5)).shape == (12, 2)


@pytest.mark.slow
def test_more_amounts_than_a_protocol_may_have_doses():
    """Every one of 120 patients has an amount of their own."""
    n, y = np.array([40, 40, 40]), np.array([0, 6, 12])
    rng = np.random.default_rng(3)
    administered = [
        Administered(level, round(float(DOSES[level - 1] * rng.uniform(0.8, 1.2)), 6), 1, int(place < y[level - 1]))
        for level in (1, 2, 3)
        for place in range(40)
    ]
    found = exact_posterior(curve_of(), n, y, RATES, administered)
    expected, log_evidence = by_grid(administered, PRIOR, n, y, cells=(2401, 161))
    np.testing.assert_allclose(figures(found), expected, rtol=0, atol=GRID)
    assert found.log_evidence == pytest.approx(log_evidence, abs=1e-6)


@pytest.mark.parametrize("amount", [1e-300, 1e-6, 1e6, 1e300])
@pytest.mark.parametrize("dlts", [0, 1])
def test_amounts_of_other_orders_of_magnitude(amount, dlts):
    """A patient without a DLT far below the levels, or with a DLT far above them, adds next to nothing to what is known."""
    n, y = np.add(N, (0, 0, 1)), np.add(Y, (0, 0, dlts))
    found = exact_posterior(curve_of(), n, y, RATES, [Administered(3, amount, 1, dlts)])
    assert np.isfinite([*figures(found), found.log_evidence, *found.quantiles((0.1, 0.9)).ravel()]).all()
    if (amount < 1) == (dlts == 0):
        np.testing.assert_allclose(figures(found), figures(exact_posterior(curve_of(), N, Y, RATES)), rtol=0, atol=0.03)


def test_amount_of_the_level_changes_nothing():
    levels = exact_posterior(curve_of(), N, Y, RATES)
    for amount in (3.0, 3, 3.0 * (1 + 1e-12), np.float64(3)):
        same = exact_posterior(curve_of(), N, Y, RATES, [Administered(2, amount, 2, 1)])
        np.testing.assert_allclose(figures(same), figures(levels), rtol=0, atol=1e-9)
        assert at_amounts(curve_of(), [Administered(2, amount, 2, 1)]).extended == curve_of()
    assert at_amounts(curve_of(), ()) is None


def test_curve_without_a_dose_scale_has_patients_at_their_levels():
    curve = Power(skeleton=(0.1, 0.2, 0.3))
    one, other = (exact_posterior(curve, N, Y, RATES, given) for given in ((), CASES["every patient"]))
    np.testing.assert_array_equal(figures(one), figures(other))


def test_patients_at_other_amounts_are_counted_at_the_other_level():
    """Of two at the third level, both given the dose of the first: the posterior is that of other counts by level."""
    moved = exact_posterior(curve_of(), N, Y, RATES, [Administered(3, 1.0, 2, 1)])
    counted = exact_posterior(curve_of(), np.array([5, 3, 1]), np.array([1, 1, 1]), RATES)
    np.testing.assert_allclose(figures(moved), figures(counted), rtol=0, atol=2e-9)
    np.testing.assert_allclose(moved.below(0.2).value, counted.below(0.2).value, rtol=0, atol=2e-9)
    np.testing.assert_allclose(moved.mtd(0.25).value, counted.mtd(0.25).value, rtol=0, atol=2e-9)
    for moments in ("moments", "parameters"):
        for one, other in zip(getattr(moved, moments)(), getattr(counted, moments)(), strict=True):
            np.testing.assert_allclose(one.value, other.value, rtol=0, atol=1e-8)
    assert moved.log_evidence == pytest.approx(counted.log_evidence, abs=1e-8)
    np.testing.assert_allclose(moved.quantiles((0.1, 0.5, 0.9)), counted.quantiles((0.1, 0.5, 0.9)), rtol=0, atol=1e-5)
    at = np.log([2 / REFERENCE, 20 / REFERENCE])
    np.testing.assert_allclose(moved.quantiles((0.1, 0.9), at), counted.quantiles((0.1, 0.9), at), rtol=0, atol=1e-5)
    np.testing.assert_allclose(moved.mtd_quantiles(0.25, (0.2, 0.5)), counted.mtd_quantiles(0.25, (0.2, 0.5)), rtol=1e-4)
    draws = [one.draws(4000)[0].mean(axis=0) for one in (moved, counted)]
    np.testing.assert_allclose(draws[0], draws[1], rtol=0, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("prior", [PRIOR, MIXTURE], ids=["one prior", "a mixture"])
def test_quantiles_and_draws_are_those_of_the_same_posterior(prior):
    """A quantile at a rate and P(rate below) are inverse to each other; means of draws are those of the parameters."""
    found = exact_posterior(curve_of(prior, windows=3.0), N, Y, RATES, CASES["every patient"])
    quantiles = found.quantiles((0.2, 0.7))
    for level in range(3):
        for place, chance in enumerate((0.2, 0.7)):
            assert found.below(float(quantiles[level, place])).value[level] == pytest.approx(chance, abs=1e-5)
    mean, sd = found.parameters()
    draws = found.draws(4000).reshape(-1, 2)
    np.testing.assert_allclose(draws.mean(axis=0), mean.value, rtol=0, atol=4 * sd.value.max() / 4000**0.5)
    assert found.diagnostics()["quantile_error"] < 1e-5


def test_counts_must_include_these_patients():
    with pytest.raises(dsf.InputError, match=r"administered.*3, 1\.0, 1, 1.*included in those of their level"):
        exact_posterior(curve_of(), np.array([3, 3, 3]), np.array([0, 1, 0]), RATES, [Administered(3, 1.0, 1, 1)])


@pytest.mark.parametrize(
    ("one", "place"),
    [
        ((0, 1.0, 1, 0), "level"),
        ((4, 1.0, 1, 0), "level"),
        ((1.0, 1.0, 1, 0), "level"),
        ((1, 0.0, 1, 0), "amount"),
        ((1, 0, 1, 1), "amount"),
        ((1, -1.0, 1, 0), "amount"),
        ((1, float("inf"), 1, 0), "amount"),
        ((1, float("nan"), 1, 0), "amount"),
        ((1, "2", 1, 0), "amount"),
        ((1, True, 1, 0), "amount"),
        ((1, 1.0, 0, 0), "n"),
        ((1, 1.0, 1, 2), "dlts"),
        ((1, 1.0, 1, -1), "dlts"),
    ],
)
def test_impossible_amounts_are_rejected(one, place):
    good, bad = Administered(1, 2.0, 1, 0), Administered(*one)
    with pytest.raises(dsf.InputError, match=rf"administered\[2\]\.{place} = "):
        at_amounts(curve_of(), [good, bad])
    with pytest.raises(dsf.InputError, match=rf"administered\[2\]\.{place} = "):
        BLRM(doses=DOSES, reference=REFERENCE, prior=PRIOR, interval=RATES, target=0.25).with_administered([good, bad])


@pytest.mark.parametrize("given", ["1.0", 5, [3], [(1, 2.0, 1)], ["abcd"]])
def test_argument_must_be_a_list_of_patients(given):
    with pytest.raises(dsf.InputError, match="administered"):
        analyze(protocol(), "1NNN 2NNT", administered=given)


# The BLRM.


def blrm(**settings):
    return BLRM(**{"doses": DOSES, "reference": REFERENCE, "prior": PRIOR, "interval": RATES, "target": 0.25} | settings)


def state_of(design, n=N, y=Y):
    return state_after(design, [Cohort(*counts) for counts in zip((1, 2, 3), n, y, strict=True) if counts[1]], 3)


@pytest.mark.parametrize("choose", ["target", "highest"])
@pytest.mark.parametrize("administered", CASES.values(), ids=CASES.keys())
def test_blrm_decides_by_the_amounts_administered(administered, choose):
    """A dose becomes admissible when the limit passes P(overdose) of the grid, within 1e-3."""
    expected = 1 - by_grid(administered, PRIOR)[0][6:]
    tried = 0
    for level, over in enumerate(expected):
        # A limit under which the trial could have started.
        for ewoc in (over - 1e-3, over + 1e-3) if 0.2 < over < 0.95 else ():
            design = blrm(ewoc=float(ewoc), choose=choose, no_skip="off", coherence="off").with_administered(administered)
            admissible = design.decide(state_of(design)).admissible[0]
            assert admissible[level] == (over < ewoc)
            assert (admissible == (expected < ewoc)).all()
            tried += 1
    assert tried


def test_blrm_of_counts_without_these_patients_is_that_of_the_levels():
    design = blrm()
    moved = design.with_administered([Administered(2, 6.0, 1, 1)])
    n, y = np.array([[3, 0, 0], [3, 3, 0], [3, 3, 0]]), np.array([[0, 0, 0], [0, 0, 0], [0, 1, 0]])
    one, other = (each.select(States.counts(n, y)) for each in (design, moved))
    np.testing.assert_array_equal(one.margin[:2], other.margin[:2])
    assert one.margin[2] != other.margin[2]
    assert design.with_administered(()) is design
    assert moved.with_administered(()) == design


def test_other_settings_keep_the_patients():
    design = blrm()
    moved = design.with_administered(CASES["twice the dose"])
    states = state_of(design)
    assert moved != design
    assert moved.with_settings(cohort_size=2).decide(states).margin == moved.decide(states).margin
    assert dsf.decide(moved, "1NNN 2NNT").reason != dsf.decide(design, "1NNN 2NNT").reason


def test_designs_without_a_dose_scale_are_the_same():
    for design in (dsf.ThreePlusThree(), dsf.BOIN(target=0.25), dsf.CRM(skeleton=(0.1, 0.2, 0.3), target=0.25)):
        assert design.with_administered(CASES["every patient"]) is design


def test_dlt_at_a_lower_amount_raises_the_risk_up_to_that_amount():
    """Further up the curve can become flatter, so that the risk falls there."""
    for level, amount in ((2, 2.0), (2, 1.0), (3, 2.5)):
        y = np.eye(3, dtype=int)[level - 1]
        for n in ([3, 3, 3], [3, 6, 3]):
            before, after = (
                1 - exact_posterior(curve_of(), np.array(n), y, RATES, given).below(RATES[1]).value
                for given in ((), [Administered(level, amount, 1, 1)])
            )
            assert (after >= before)[np.array(DOSES) <= amount].all()


# Sampling.


@pytest.mark.slow
@pytest.mark.parametrize("windows", [1.0, 3.0])
def test_model_that_is_sampled_has_the_same_likelihood(windows):
    """Differences of the log density between points, compared with one term for each amount, to rounding."""
    administered = CASES["every patient"]
    at = at_amounts(curve_of(windows=windows), administered)
    density = at.extended.to_pymc(*at.counts(N, Y)).compile_logp()
    points = np.array([[0.0, 0.0], [1.0, -0.5], [-2.0, 1.5]])
    sampled = np.array([float(density({"z": z})) for z in points])
    log_p, log_q = at.curve.at(points, np.log([one.amount / REFERENCE for one in administered]))
    n, dlts = (np.array([getattr(one, name) for one in administered]) for name in ("n", "dlts"))
    expected = log_p @ dlts + log_q @ (n - dlts) - (points**2).sum(axis=1) / 2
    # They differ by constants of the prior and of the binomial distribution.
    np.testing.assert_allclose(np.diff(sampled), np.diff(expected), rtol=0, atol=1e-10)


@pytest.mark.slow
def test_sampling_agrees_with_quadrature():
    """Within four Monte Carlo standard errors."""
    rules, given = protocol(), [Administered(2, 6.0, 1, 1), Administered(1, 0.5, 1, 0)]
    exact = analyze(rules, "1NNN 2NNT", administered=given).summary
    drawn = analyze(rules, "1NNN 2NNT", administered=given, engine="nuts").summary
    for name in ("mean", "p_over", "p_target", "prior_mean", "parameter_mean", "mtd"):
        assert (abs(drawn[name] - exact[name]) <= 4 * drawn[f"{name}_se"]).all(), name
    np.testing.assert_allclose(drawn["conclusion"], exact["conclusion"], rtol=0, atol=0.03)
    assert drawn.attrs["problems"] == []
    assert drawn["n"].values.tolist() == [3, 3, 0]


# From patients to the answer.


def made(amount, dlt=False):
    """Return three patients at each of two levels, the last with an administered dose that is not the assigned one."""
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


def at_level_2(amounts, last=200):
    """Return three patients at each of two levels, those of the second with these administered doses."""
    people = [patient(f"S1{n}", 1, n) for n in (1, 2, 3)]
    fields = [{"amounts": (amount,), "assigned_by": "ARM"} if amount != 3 else {} for amount in amounts]
    return trial(*people, *(patient(f"S2{n}", 2, 40 + n, **given) for n, given in enumerate(fields, start=1)), last=last)


def shown_over(reason):
    return [float(p.rstrip("%")) / 100 for p in reason.partition("P(overdose) ")[2].partition(", below")[0].split(", ")]


def test_next_uses_the_amounts_in_designs_on_a_dose_scale():
    """Three patients at level 2 were given twice the dose or more and had no DLT: the BLRM uses these amounts."""
    rules = protocol()
    given, plain = (dsf.next_dose(rules, at_level_2(amounts)) for amounts in ((10, 10, 10), (3, 3, 3)))
    expected = analyze(rules, "1NNN 2NNN", administered=given.evaluated.administered).summary
    np.testing.assert_allclose(shown_over(given.proposals["blrm"].reason), expected.p_over.values, rtol=0, atol=2e-3)
    assert given.proposals["blrm"].reason != plain.proposals["blrm"].reason
    for name in ("3+3", "boin", "crm"):
        assert given.proposals[name].reason == plain.proposals[name].reason
    noted = [[note for note in found.attrs["notes"] if "blrm" in note] for found in (given, plain)]
    assert [len(notes) for notes in noted] == [1, 0]


def test_what_was_planned_is_asked_at_the_assigned_doses():
    """A tenfold amount changes what comes next, and not whether the cohorts were those of the design."""
    rules = protocol()
    given, plain = (dsf.next_dose(rules, at_level_2(amounts), design="blrm") for amounts in ((30, 30, 30), (3, 3, 3)))
    assert given.deviations == plain.deviations
    assert given.proposals["blrm"].set_aside == plain.proposals["blrm"].set_aside == ()


def test_pending_patients_are_at_the_assigned_dose_until_the_outcome_is_known():
    """On day 60 nobody at level 2 has a known outcome: every design answers as if they had the dose of the level."""
    rules = protocol()
    given, plain = (dsf.next_dose(rules, at_level_2(amounts, last=60)) for amounts in ((10, 10, 10), (3, 3, 3)))
    assert given.evaluated.administered == ()
    assert {name: one.reason for name, one in given.proposals.items()} == {
        name: one.reason for name, one in plain.proposals.items()
    }


@pytest.mark.slow
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
    table = sensitivity(rules, "1NNN 2NNT", administered=moved)
    assert table.loc[0, "over_2"] == pytest.approx(float(given.summary.p_over[1]), abs=1e-6)
    # Each change of the prior is one of the curve of the levels: no reference dose is an amount administered.
    before = sensitivity(rules, "1NNN 2NNT")
    assert table[["varied", "value"]].equals(before[["varied", "value"]])
    assert (table["over_2"] != before["over_2"]).sum() > len(table) / 2
    warned = set(given.summary.attrs["warnings"]) - set(plain.summary.attrs["warnings"])
    assert any("logistic-2" in words and "level 2 at 6" in words for words in warned)


@pytest.mark.slow
def test_predicted_conclusion_includes_the_amounts():
    """The conclusions are exact: probabilities over all ways to end the trial add up to 1 with every patient at the amount."""
    rules = protocol()
    moved = [Administered(2, 6.0, 1, 1), Administered(1, 0.9, 2, 0)]
    plain, given = analyze(rules, "1NNN 2NNT"), analyze(rules, "1NNN 2NNT", administered=moved)
    for name in given.summary.design.values:
        total = given.summary.conclusion.sel(design=name).sum()
        assert float(total) == pytest.approx(1, abs=1e-4)
        assert abs(given.summary.conclusion - plain.summary.conclusion).sel(design=name).max() > 1e-3
    # One cohort before the end, the evidence of the next cohort's outcomes is what a grid gives.
    at = at_amounts(curve_of(), CASES["every patient"])
    now = exact_posterior(curve_of(), N, Y, RATES, CASES["every patient"])
    ends = np.array([np.add(N, (0, 3, 0))] * 4), np.array([np.add(Y, (0, dlts, 0)) for dlts in range(4)])
    found = np.exp(now.fit.expect(*ends)[2] - now.log_evidence) * [1, 3, 3, 1]
    assert found.sum() == pytest.approx(1, abs=1e-8)
    base = by_grid(at.administered, PRIOR)[1]
    for dlts in range(4):
        expected = np.exp(by_grid(at.administered, PRIOR, ends[0][dlts], ends[1][dlts])[1] - base) * [1, 3, 3, 1][dlts]
        assert found[dlts] == pytest.approx(expected, abs=1e-8)


def test_patients_beside_the_escalation_are_at_their_amounts_too():
    rules = protocol()
    moved = [Administered(1, 2.0, 2, 1)]
    inside = analyze(rules, "1NNNNNT 2NNN", administered=moved).summary
    beside = analyze(rules, "1NNN 2NNN", others=[Cohort(1, 3, 1)], administered=moved).summary
    np.testing.assert_allclose(beside.p_over, inside.p_over, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    "administered",
    [
        [Administered(3, 1.0, 1, 0)],
        [Administered(1, 0.5, 1, 1)],
        [Administered(1, 0.5, 4, 0)],
        [Administered(1, 0.5, 2, 0), Administered(1, 0.6, 2, 0)],
        [Administered(1, 0, 1, 0)],
        [Administered(9, 1.0, 1, 0)],
    ],
)
def test_amounts_of_patients_outside_the_counts_are_rejected(administered):
    for task in (analyze, sensitivity):
        with pytest.raises(dsf.InputError, match="administered"):
            task(protocol(), "1NNN 2NNT", administered=administered)
