"""Hazard per infusion: published posteriors, a plain grid over patients, limits in which it is a known model, and wrong data."""

import math

import numpy as np
import pytest
from scipy.special import roots_jacobi

import dosefind as dsf
from dosefind import InputError
from dosefind.calibration.engines import ByCourses
from dosefind.exposure import Interval, intervals_of
from dosefind.models import BivariateNormal, Hazard
from dosefind.posterior.courses import Courses
from dosefind.posterior.exact import ExactPosterior, exact_fit

from .peers import published
from .planted import faults

REFS = {item["id"]: item for item in published("time_refs")["items"]}
PRIOR = BivariateNormal(mean=(-3.349, 0.0), sd=(2.0, 1.0))
DOSES = (1.0, 2.0, 4.0)
EVERY_28 = (28, 28, 28)


def hazard(**settings):
    return Hazard(**{"doses": DOSES, "reference": 2.0, "prior": PRIOR, "interval_days": EVERY_28} | settings)


# (level, days to DLT or last follow-up, DLT, infusions given), as in the reference.
PATIENTS = [
    (int(level), float(days), bool(dlt), int(given))
    for level, days, dlt, given in [
        *((1, 84, 0, 3), (1, 84, 0, 3), (1, 84, 0, 3), (2, 40, 1, 2), (2, 84, 0, 3)),
        *((2, 84, 0, 3), (2, 70, 0, 3), (2, 50, 0, 2), (2, 20, 0, 1), (1, 56, 0, 2)),
    ]
]


def intervals(patients, doses=DOSES):
    found = []
    for level, days, dlt, given in patients:
        for number in range(1, given + 1):
            share = min(max(days - 28 * (number - 1), 0), 28) / 28
            if share <= 0:
                continue
            with_dlt = dlt and 28 * (number - 1) < days <= 28 * number
            amounts = (doses[level - 1],) * number
            found.append(Interval(amounts, 0.0, 1.0, share) if with_dlt else Interval(amounts, share))
    return tuple(found)


def counts(patients, levels=3):
    n, y = np.zeros(levels, int), np.zeros(levels, int)
    for level, _, dlt, _ in patients:
        n[level - 1] += 1
        y[level - 1] += dlt
    return n, y


def posterior(curve, patients=PATIENTS, rates=(0.33,), tolerance=1e-9, doses=DOSES):
    n, y = counts(patients, len(curve.doses))
    courses = Courses(curve, intervals(patients, doses), tuple(n.tolist()), tuple(y.tolist()))
    return ExactPosterior(exact_fit(curve, rates, courses), n, y, tolerance)


# Published values ----------------------------------------------------------------------------------------------------------


def test_reference_without_accumulation():
    expected, curve = REFS["hazard_none"]["expected"], hazard()
    found, tolerance = posterior(curve), 1e-5
    np.testing.assert_allclose(found.moments()[0].value, expected["course_mean"], rtol=0, atol=tolerance)
    np.testing.assert_allclose(1 - found.below(0.33).value, expected["p_over"], rtol=0, atol=tolerance)
    means, sds = (each.value for each in found.parameters())
    np.testing.assert_allclose(
        [means[0], sds[0], means[1], sds[1]], [*expected["log_alpha"], *expected["log_beta"]], rtol=0, atol=tolerance
    )
    of_infusion = posterior(hazard(over="infusion"))
    np.testing.assert_allclose(of_infusion.moments()[0].value, expected["last_infusion_mean"], rtol=0, atol=tolerance)
    # The exposures themselves, in intervals.
    by_interval = np.zeros((3, 3))
    for interval in intervals(PATIENTS):
        by_interval[DOSES.index(interval.amounts[0]), len(interval.amounts) - 1] += interval.exposure + interval.until_events
    np.testing.assert_allclose(by_interval, expected["exposure"], rtol=0, atol=1e-12)


@pytest.mark.slow
def test_reference_with_carry_over():
    """A prior of rho as a mixture over fixed values: each has its evidence and its own hazards."""
    expected, tolerance = REFS["hazard_rho"]["expected"], 2e-5
    nodes, weights = roots_jacobi(9, 2.0, 0.0)
    rhos, weights = (1 + nodes) / 2, weights / weights.sum()
    each = [posterior(hazard(accumulation="carry-over", rho=float(rho))) for rho in rhos]
    last = [posterior(hazard(accumulation="carry-over", rho=float(rho), over="infusion")) for rho in rhos]
    share = weights * np.exp([found.log_evidence for found in each])
    share /= share.sum()
    np.testing.assert_allclose(
        share @ [found.moments()[0].value for found in each], expected["course_mean"], rtol=0, atol=tolerance
    )
    np.testing.assert_allclose(share @ [1 - found.below(0.33).value for found in each], expected["p_over"], rtol=0, atol=tolerance)
    np.testing.assert_allclose(
        share @ [found.moments()[0].value for found in last], expected["last_infusion_mean"], rtol=0, atol=tolerance
    )
    assert share @ rhos == pytest.approx(expected["third"][0], abs=tolerance)


def test_published_cycles():
    """The example of a published chapter: two DLTs at a dose that is not a level, with the exposure of the whole cycle."""
    expected = REFS["clrm_poisson"]["expected"]
    doses = (1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 40.0, 45.0, 50.0)
    prior = BivariateNormal(mean=(-4.83 + math.log(28), 0.0), sd=(1.0, math.log(4) / 1.96))
    data = [Interval((dose,) * k, float(n)) for dose, n in zip(doses, (3, 4, 5, 4), strict=False) for k in (1, 2, 3)]
    data.append(Interval((25.0,), 0.0, 2.0, 2.0))
    for cycles, name in ((1, "cycle1"), (2, "cycle1-2"), (3, "cycle1-3")):
        curve = Hazard(doses=doses, reference=50.0, prior=prior, interval_days=EVERY_28, over=28 * cycles)
        n = np.zeros(9, int)
        found = ExactPosterior(exact_fit(curve, (0.33,), Courses(curve, tuple(data))), n, n)
        means, sds = (each.value for each in found.moments())
        over = 1 - found.below(0.33).value
        for place, dose in enumerate(doses):
            published_values = expected["by_dose"][str(dose)][name]
            np.testing.assert_allclose([means[place], sds[place]], [published_values["mean"], published_values["sd"]], atol=1e-5)
            # Counted over the nodes of a grid.
            assert over[place] == pytest.approx(published_values["p_over_33"], abs=0.004)
    means, sds = (each.value for each in found.parameters())
    parameters = expected["parameters"]
    # The prior there is of the hazard per day.
    assert means[0] - math.log(28) == pytest.approx(parameters["alpha_mean"], abs=1e-5)
    assert [sds[0], means[1], sds[1]] == pytest.approx(
        [parameters[name] for name in ("alpha_sd", "log_beta_mean", "log_beta_sd")], abs=1e-5
    )


def test_course_and_infusion_targets():
    """The DLT probability of a course that an infusion at the target has, and the reverse, by the bounds of the curve."""
    course, infusion = hazard(), hazard(over="infusion")
    for text, expected in REFS["course_targets"]["expected"].items():
        rate, at = float(text), [np.zeros(1)]
        z = np.column_stack([course.bound(rate, course.coordinates[:1], at), np.zeros(1)])
        assert np.exp(infusion.at(z)[0][0, 0]) == pytest.approx(expected["per_infusion_of_course_target"], abs=1e-12)
        z = np.column_stack([infusion.bound(rate, course.coordinates[:1], at), np.zeros(1)])
        assert np.exp(course.at(z)[0][0, 0]) == pytest.approx(expected["course_of_infusion_target"], abs=1e-12)


# A plain grid over patients ------------------------------------------------------------------------------------------------


def plain(log_hazards, patients, interval_known=False):
    """Log-likelihood of patients at hazards, as arrays by (level, infusion): survival of each interval, and a density at a DLT."""
    total = 0.0
    for level, days, dlt, given in patients:
        for number in range(1, given + 1):
            share = min(max(days - 28 * (number - 1), 0), 28) / 28
            log_h = log_hazards(level, number)
            here = dlt and 28 * (number - 1) < days <= 28 * number
            if here and interval_known:
                total = total + np.log1p(-np.exp(-np.exp(log_h)))
            elif share > 0:
                total = total - share * np.exp(log_h) + (log_h if here else 0.0)
    return total


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "factor", "background"),
    [
        ({}, lambda k: 1.0, 0.0),
        ({"event_time": "interval"}, lambda k: 1.0, 0.0),
        ({"accumulation": "carry-over", "rho": 0.4}, lambda k: (1 - 0.4**k) / 0.6, 0.0),
        ({"accumulation": "trend", "delta": -0.7}, lambda k: math.exp(-0.7 * (k - 1)), 0.0),
        ({"background": 0.02}, lambda k: 1.0, 0.02),
        (
            {"background": 0.05, "accumulation": "trend", "delta": 0.5, "event_time": "interval"},
            lambda k: math.exp(0.5 * (k - 1)),
            0.05,
        ),
    ],
    ids=["none", "interval known", "carry-over", "trend", "background", "all"],
)
def test_plain_grid(settings, factor, background):
    """Sums over a fine grid, patient by patient, with the hazards written out."""
    patients = [*PATIENTS, (3, 13.0, True, 1), (3, 60.0, True, 3), (3, 84.0, False, 3)]
    a, b = np.meshgrid(np.linspace(-14, 7, 700), np.linspace(-6, 6, 500), indexing="ij")
    log_prior = -(((a + 3.349) / 2) ** 2) / 2 - b**2 / 2

    def log_hazard(level, number):
        eta = a + np.exp(b) * math.log(DOSES[level - 1] / 2)
        return np.logaddexp(np.minimum(eta + math.log(factor(number)), 14), math.log(background) if background else -np.inf)

    weight = np.exp(log_prior + plain(log_hazard, patients, settings.get("event_time") == "interval"))
    weight /= weight.sum()
    course = [-np.expm1(-sum(np.exp(log_hazard(level, k)) for k in (1, 2, 3))) for level in (1, 2, 3)]
    found = posterior(hazard(**settings), patients)
    means, sds = (each.value for each in found.moments())
    # Measured: the plain sum errs by up to 2e-7 at the edges of its box.
    np.testing.assert_allclose(means, [(weight * p).sum() for p in course], rtol=0, atol=1e-6)
    np.testing.assert_allclose(sds**2 + means**2, [(weight * p**2).sum() for p in course], rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.parameters()[0].value[:2], [(weight * a).sum(), (weight * b).sum()], rtol=0, atol=1e-5)
    # A sum of indicators errs by the weight of the nodes at an edge: at the reference dose a whole row, a step of 0.03 times a
    # density of up to 0.5, on either side.
    over = [(weight * (p > 0.33)).sum() for p in course]
    np.testing.assert_allclose(1 - found.below(0.33).value, over, rtol=0, atol=0.0075)


@pytest.mark.slow
def test_trend_is_a_mixture_over_delta():
    """Against a sum over a fine grid of delta, each value with the evidence of its own exposures."""
    deltas = np.linspace(-2.5, 2.5, 41)
    each = [posterior(hazard(accumulation="trend", delta=float(delta))) for delta in deltas]
    share = np.exp(-(deltas**2) / 0.5) * np.exp([found.log_evidence for found in each])
    share /= share.sum()
    means = share @ [found.moments()[0].value for found in each]
    mean = share @ deltas
    for nodes, tolerance in ((5, 1e-4), (7, 1e-5)):
        found = posterior(hazard(accumulation="trend", trend_nodes=nodes))
        # Measured: 3e-5 with five nodes, 1e-6 with seven.
        np.testing.assert_allclose(found.moments()[0].value, means, rtol=0, atol=tolerance)
        assert found.parameters()[0].value[2] == pytest.approx(mean, abs=tolerance)
    # Its draws have the values of delta.
    draws = found.draws(4000)
    assert draws.shape[-1] == 3
    p = np.exp(found.curve.log_terms(tuple(np.moveaxis(draws[0], -1, 0)[..., None]), found.curve.coordinates)[0])
    np.testing.assert_allclose(p.mean(axis=0), found.moments()[0].value, rtol=0, atol=0.003)


# From a patient to intervals -------------------------------------------------------------------------------------------------


def of(infusions, days, dlt=False, interval_days=EVERY_28, total=84):
    return [
        (each.amounts, *np.round([each.exposure, each.events, each.until_events], 12), each.follow_up)
        for each in intervals_of(infusions, interval_days, total, days, dlt)
    ]


def test_intervals_of_a_patient_by_hand():
    three = [(0, 2.0), (28, 2.0), (56, 2.0)]
    assert of(three, 84) == [((2.0,) * k, 1.0, 0.0, 0.0, False) for k in (1, 2, 3)]
    # A DLT on the day of the second infusion precedes it.
    assert of(three[:1], 28, True) == [((2.0,), 0.0, 1.0, 1.0, False)]
    assert of(three[:2], 42, True) == [((2.0,), 1.0, 0.0, 0.0, False), ((2.0, 2.0), 0.0, 1.0, 0.5, False)]
    # A late infusion: no exposure between; a DLT then belongs to the interval before, all of which has passed.
    late = [(0, 2.0), (35, 1.0)]
    assert of(late, 49) == [((2.0,), 1.0, 0.0, 0.0, False), ((2.0, 1.0), 0.5, 0.0, 0.0, False)]
    assert of(late[:1], 31, True)[0] == ((2.0,), 1.0, 0.0, 0.0, False)
    # An early infusion: each has its own interval.
    assert of([(0, 2.0), (21, 2.0)], 35) == [((2.0,), 1.0, 0.0, 0.0, False), ((2.0, 2.0), 0.5, 0.0, 0.0, False)]
    # All infusions given: one that came more than one and a half intervals later was delayed, not the second of four.
    delayed = of([(0, 2.0), (43, 2.0), (71, 2.0)], 85)
    assert [(each[0], each[1]) for each in delayed] == [((2.0,) * k, share) for k, share in ((1, 1.0), (2, 1.0), (3, 0.5))]
    # With one fewer the second was not given, and the third was late as well.
    assert [each[0] for each in of([(0, 2.0), (120, 2.0)], 140)] == [(2.0,), (2.0, 0.0), (2.0, 0.0, 2.0)]
    # An infusion that was not given, and the end of treatment.
    assert [each[0] for each in of([(0, 2.0), (56, 2.0)], 84)] == [(2.0,), (2.0, 0.0), (2.0, 0.0, 2.0)]
    assert of([(0, 2.0), (28, 2.0)], 70)[2] == ((2.0, 2.0, 0.0), 0.5, 0.0, 0.0, False)
    # Follow-up after the course has a unit of its own.
    assert of(three, 84 + 281 / 2, total=365)[-1] == ((2.0,) * 3, 0.5, 0.0, 0.0, True)
    assert of(three, 100, True, total=365)[-1][1:] == (0.0, 1.0, round(16 / 281, 12), True)


@pytest.mark.parametrize("settings", [{}, {"accumulation": "trend"}, {"background": 0.01}, {"event_time": "interval"}])
def test_no_dlt_has_a_hazard_of_zero(settings):
    """After an infusion that was not given, or after the course, a DLT belongs to the last infusion given."""
    curve = hazard(follow_up_days=281, **settings)
    stopped = intervals_of([(0, 2.0), (28, 2.0)], EVERY_28, 365, 60, True)
    after = intervals_of([(0, 2.0), (28, 2.0), (56, 2.0)], EVERY_28, 365, 200, True)
    for data, history in ((stopped, (2.0, 2.0)), (after, (2.0, 2.0, 2.0))):
        observed, n, y = curve.observing(data)
        (place,) = np.flatnonzero(y)
        assert observed.intervals[place].amounts[-1] == 2.0
        assert curve.rate_of(observed.intervals[place])[0] == curve.rate_of(Interval(history, 0.0))[0]
        assert y.sum() == 1
        # All the intervals before it were followed up without one.
        expected = len(history) - (len(history) - 1 if settings.get("accumulation") == "trend" else 0)
        assert n[place] - y[place] == expected


# Limits in which it is a known model -----------------------------------------------------------------------------------------


def test_one_interval_with_complete_data_is_the_curve():
    """One infusion, every outcome known, no day used: patients and DLTs by dose under the complementary log-log link."""
    curve = hazard(interval_days=(28,), event_time="interval")
    n, y = np.array([3, 6, 3]), np.array([0, 1, 2])
    data = [Interval((dose,), float(patients - dlts), float(dlts)) for dose, patients, dlts in zip(DOSES, n, y, strict=True)]
    whole = ExactPosterior(exact_fit(curve, (0.33,)), n, y)
    parts = ExactPosterior(exact_fit(curve, (0.33,), Courses(curve, tuple(data), (3, 6, 3), (0, 1, 2))), n, y)
    for both in zip(whole.moments(), parts.moments(), strict=True):
        np.testing.assert_allclose(both[0].value, both[1].value, rtol=0, atol=1e-12)
    np.testing.assert_allclose(whole.below(0.33).value, parts.below(0.33).value, rtol=0, atol=1e-12)
    assert whole.log_evidence == pytest.approx(parts.log_evidence, abs=1e-12)
    # Counts above those of the intervals are patients of whom only the course is known.
    none = ExactPosterior(exact_fit(curve, (0.33,), Courses(curve, ())), n, y)
    np.testing.assert_allclose(none.moments()[0].value, whole.moments()[0].value, rtol=0, atol=1e-12)


def test_day_and_interval_agree_where_they_must():
    """Without a DLT they are the same; with small hazards a DLT half-way through an interval is nearly the same."""
    without = [(level, days, False, given) for level, days, _, given in PATIENTS]
    by_day, by_interval = (posterior(hazard(event_time=time), without) for time in ("day", "interval"))
    np.testing.assert_allclose(by_day.moments()[0].value, by_interval.moments()[0].value, rtol=0, atol=1e-12)
    assert by_day.log_evidence == pytest.approx(by_interval.log_evidence, abs=1e-12)
    # 1 - exp(-H) = H exp(-H / 2) (1 + H^2 / 24 + ...): half-way, with H of about 0.003 the difference is below 1e-6 of the value.
    small = {"prior": BivariateNormal(mean=(-6.0, 0.0), sd=(0.2, 0.1))}
    middle = [(2, 14.0, True, 1), (1, 42.0, True, 2), (3, 84.0, False, 3)]
    by_day, by_interval = (posterior(hazard(event_time=time, **small), middle) for time in ("day", "interval"))
    np.testing.assert_allclose(by_day.moments()[0].value, by_interval.moments()[0].value, rtol=2e-6)


def test_early_dlt_weighs_more_and_follow_up_never_raises():
    early, late = (posterior(hazard(), [(2, day, True, 3)]).moments()[0].value[1] for day in (2.0, 84.0))
    assert early > late
    means = [posterior(hazard(), [*PATIENTS, (2, days, False, 3)]).moments()[0].value for days in (1.0, 20.0, 50.0, 84.0)]
    assert np.all(np.diff(means, axis=0) < 0)


def test_periods_by_hand():
    """P(DLT) within 28, 84 and 365 days at fixed parameters, with a tenth of a hazard and a background in the follow-up."""
    settings = {"background": 0.01, "follow_up_days": 281, "follow_up_share": 0.1}
    log_h = np.array([-2.0])
    for days, factor in ((28, 1.0), (42, 1.5), (84, 3.0), (365, 3.1)):
        curve = hazard(over=days, **settings)
        log_p, log_q = curve.log_terms((log_h, np.zeros(1)), 0.0)
        expected = factor * math.exp(-2) + 0.01 * days / 28
        assert -log_q[0] == pytest.approx(expected, abs=1e-12)
        assert np.exp(log_p[0]) == pytest.approx(1 - math.exp(-expected), abs=1e-12)
        assert curve.background_risk == pytest.approx(1 - math.exp(-0.01 * days / 28), abs=1e-12)
        # A rate that the background alone reaches is below every dose.
        assert curve.bound(curve.background_risk / 2, curve.coordinates, [np.zeros(1)]).tolist() == [-np.inf] * 3


@pytest.mark.parametrize("over", ["course", "infusion", 28, 84, 365])
@pytest.mark.parametrize("settings", [{}, {"accumulation": "carry-over", "rho": 0.3, "background": 0.01}], ids=["none", "all"])
def test_counts_are_of_the_window_whatever_period_is_shown(over, settings):
    """Sums over a fine grid: outcomes are known over 84 days, and the probability shown is that of another period."""
    n, y = np.array([6, 6, 3]), np.array([0, 1, 2])
    curve = hazard(over=over, follow_up_days=281, follow_up_share=0.1, window_days=84, **settings)
    a, b = np.meshgrid(np.linspace(-12, 6, 500), np.linspace(-5, 5, 400), indexing="ij")
    weight = np.exp(-(((a + 3.349) / 2) ** 2) / 2 - b**2 / 2)
    rho, background = settings.get("rho", 0.0), settings.get("background", 0.0)
    factors = [sum(rho**j for j in range(k)) for k in (1, 2, 3)]
    shown = {"course": sum(factors) + 0.1 * factors[-1], 365: sum(factors) + 0.1 * factors[-1], 84: sum(factors)}
    shown |= {28: factors[0], "infusion": factors[-1]}
    days = {"course": 365, "infusion": 28}.get(over, over)
    means = []
    for place, dose in enumerate(DOSES):
        rate = np.exp(np.minimum(a + np.exp(b) * math.log(dose / 2), 12))
        window = sum(factors) * rate + background * 3
        # log(1 - exp(-H)) at H of 0 and of thousands.
        weight = weight * np.exp(y[place] * np.log(-np.expm1(-np.maximum(window, 1e-300))) - (n - y)[place] * window)
        means.append(-np.expm1(-shown[over] * rate - background * days / 28))
    expected = [(weight * mean).sum() / weight.sum() for mean in means]
    none = (0, 0, 0)
    for data in (None, Courses(curve, (), none, none)):
        found = ExactPosterior(exact_fit(curve, (0.33,), data), n, y)
        np.testing.assert_allclose(found.moments()[0].value, expected, rtol=0, atol=2e-6)


@pytest.mark.slow
def test_sampled_counts_are_of_the_course():
    from dosefind.posterior.mcmc import NutsPosterior, NutsSettings, nuts_fit

    n, y, curve = np.array([6, 6, 3]), np.array([0, 1, 2]), hazard(over="infusion")
    sampled = NutsPosterior(nuts_fit(curve, NutsSettings()), n, y, 1).moments()[0]
    exact = ExactPosterior(exact_fit(curve, ()), n, y).moments()[0]
    assert np.all(np.abs(sampled.value - exact.value) < 5 * sampled.error)


def test_only_the_window_is_calibrated():
    with pytest.raises(InputError, match="course"):
        dsf.calibrate(hazard(over="infusion"), {"few": (3, 3, 3)}, n_sets=20)


def test_amounts_that_differ_within_a_course():
    """Carry-over sums the hazards of the infusions given; one that was not given adds nothing."""
    curve = hazard(accumulation="carry-over", rho=0.5)
    observed, n, _ = curve.observing([Interval((4.0, 0.0, 1.0), 1.0), Interval((4.0, 0.0), 1.0)])
    z = np.array([[0.3, -0.2]])
    log_alpha, log_beta = (float(value[0]) for value in curve.parameters(tuple(z.T)))
    by_dose = {dose: math.exp(log_alpha + math.exp(log_beta) * math.log(dose / 2)) for dose in DOSES}
    log_hazard = observed.at(z)[0][0]
    places = [place for place, interval in enumerate(observed.intervals) if 0.0 in interval.amounts]
    expected = {3: by_dose[1.0] + 0.25 * by_dose[4.0], 2: 0.5 * by_dose[4.0]}
    for place in places:
        assert math.exp(log_hazard[place]) == pytest.approx(expected[len(observed.intervals[place].amounts)], rel=1e-12)
        assert n[place] == 1.0


def test_intervals_that_cannot_be():
    curve = hazard()
    with pytest.raises(InputError, match="before any infusion"):
        curve.observing([Interval((0.0, 0.0), 0.0, 1.0, 1.0)])
    with pytest.raises(InputError, match="at least 0"):
        curve.observing([Interval((1.0,), -0.5)])
    for settings, key in (
        ({"rho": 0.5}, "rho"),
        ({"accumulation": "carry-over"}, "rho"),
        ({"delta": 0.1}, "delta"),
        ({"over": 85}, "over"),
    ):
        with pytest.raises(InputError, match=key):
            hazard(**settings)
    with pytest.raises(InputError, match="accumulation"):
        hazard(accumulation="trend").to_pymc([3, 3, 0], [0, 1, 0])


@pytest.mark.slow
def test_error_is_stated():
    """The stated errors are those against a far finer grid, also where a dose has as many DLTs as exposure."""
    for patients in (PATIENTS, [(3, 1.0, True, 1)] * 3, [(1, 84.0, False, 3)] * 60, [(1, 3.0, True, 1), (3, 84.0, False, 3)]):
        rough, fine = (posterior(hazard(), patients, tolerance=tolerance) for tolerance in (1e-4, 1e-11))
        for ours, exact in zip((*rough.moments(), rough.below(0.33)), (*fine.moments(), fine.below(0.33)), strict=True):
            assert np.all(np.abs(ours.value - exact.value) <= ours.error + 1e-11)


HAZARD = "dosefind.models.hazard:Hazard."

FAULTS = {
    "counts are of the period shown": (
        HAZARD + "counted",
        lambda old: property(lambda self: self),
        lambda: test_counts_are_of_the_window_whatever_period_is_shown("infusion", {}),
    ),
    "a DLT has no exposure": (
        HAZARD + "observing",
        lambda old: lambda self, intervals: old(self, [each._replace(until_events=0.0) for each in intervals]),
        test_reference_without_accumulation,
    ),
    "intervals without a DLT are dropped unless complete": (
        HAZARD + "observing",
        lambda old: lambda self, intervals: old(self, [each for each in intervals if each.events or each.exposure == 1.0]),
        test_reference_without_accumulation,
    ),
    "nothing is carried over": (
        HAZARD + "rate_of",
        lambda old: lambda self, interval: old(self, interval._replace(amounts=interval.amounts[-1:])),
        test_reference_with_carry_over,
    ),
}

test_fault_is_caught = faults(FAULTS)


# Simulation-based calibration ------------------------------------------------------------------------------------------------

FREQUENT = {"prior": BivariateNormal(mean=(-0.7, 0.0), sd=(0.7, 0.3))}


class NotCut(ByCourses):
    """The exposure of a patient with a DLT goes on to the end of its interval."""

    def intervals(self, patient):
        return [each._replace(until_events=1.0) if each.events else each for each in super().intervals(patient)]


class Dropped(ByCourses):
    """An interval without a DLT counts only once it is complete."""

    def intervals(self, patient):
        return [each for each in super().intervals(patient) if each.events or each.exposure == 1.0]


@pytest.mark.slow
@pytest.mark.parametrize("engine", [ByCourses, NotCut, Dropped])
def test_calibration_catches_wrong_exposure(engine):
    found = dsf.calibrate(hazard(**FREQUENT), {"many": (12, 12, 12)}, engine=engine, n_sets=40, seed=2)
    assert found.passed.all() == (engine is ByCourses), found.excess.to_pandas()


# Sampled ---------------------------------------------------------------------------------------------------------------------


def simulated(rng, delta=0.0):
    """Patients (level, days, DLT, infusions given) of a trial with a hazard that a trend changes, some of them part-way."""
    log_alpha, beta = rng.normal(-3.349, 1.0), np.exp(rng.normal(0, 0.5))
    found = []
    for level, n in ((1, 4), (2, 6), (3, 3)):
        hazards = np.exp(log_alpha + beta * math.log(DOSES[level - 1] / 2) + delta * np.arange(3))
        for _ in range(n):
            reached, left = np.concatenate([[0], np.cumsum(hazards)]), rng.exponential()
            place = int(np.searchsorted(reached, left)) - 1
            day = math.inf if place == 3 else max(1, math.ceil(28 * (place + (left - reached[place]) / hazards[place])))
            end = int(rng.integers(1, 85)) if rng.random() < 0.5 else 84
            days = min(day, end)
            found.append((level, float(days), day <= end, min(3, 1 + (days - 1) // 28)))
    return found


@pytest.mark.slow
def test_forty_data_sets_by_nuts():
    """The same likelihood as a potential of PyMC, with a trend: means of course rates and of delta in 40 simulated trials."""
    import arviz as az
    import pymc as pm

    nutpie = pytest.importorskip("nutpie")
    x = np.log(np.array(DOSES) / 2)
    with pm.Model() as model:
        events, exposed = pm.Data("e", np.zeros((3, 3))), pm.Data("E", np.zeros((3, 3)))
        z = pm.Normal("z", shape=3)
        log_alpha, log_beta, delta = -3.349 + 2 * z[0], z[1], 0.5 * z[2]
        log_h = log_alpha + pm.math.exp(log_beta) * x[:, None] + delta * np.arange(3)
        pm.Potential("likelihood", (events * log_h - exposed * pm.math.exp(log_h)).sum())
        pm.Deterministic("course", 1 - pm.math.exp(-pm.math.exp(log_h).sum(axis=1)))
        pm.Deterministic("delta", delta)
    compiled = nutpie.compile_pymc_model(model)
    rng, apart = np.random.default_rng(11), []
    for number in range(40):
        patients = simulated(rng, delta=rng.normal(0, 0.5))
        e, exposure = np.zeros((3, 3)), np.zeros((3, 3))
        for interval in intervals(patients):
            place = DOSES.index(interval.amounts[0]), len(interval.amounts) - 1
            e[place] += interval.events
            exposure[place] += interval.exposure + interval.until_events
        data = compiled.with_data(e=e, E=exposure)
        drawn = nutpie.sample(data, draws=1000, tune=500, chains=4, cores=1, seed=number, progress_bar=False, target_accept=0.95)
        ours = posterior(hazard(accumulation="trend"), patients, tolerance=1e-7)
        expected = [*ours.moments()[0].value, ours.parameters()[0].value[2]]
        values = np.concatenate([drawn.posterior["course"].values, drawn.posterior["delta"].values[..., None]], axis=-1)
        error = np.array([float(az.mcse(values[..., place])) for place in range(4)])
        apart.append((values.mean(axis=(0, 1)) - expected) / error)
    # Monte Carlo errors: of 160 differences none is beyond 4.5 standard errors, and their mean square is about 1.
    assert np.abs(apart).max() < 4.5
    assert np.mean(np.square(apart)) < 1.5
