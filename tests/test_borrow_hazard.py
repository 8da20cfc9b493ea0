"""Borrowing per infusion: the hazards of two trials with parts of courses, against plain loops, quadrature and a million draws."""

import math

import numpy as np
import pytest

import dosefind as dsf
from dosefind import InputError
from dosefind.config import build_borrowing
from dosefind.evaluability import evaluate
from dosefind.exposure import Interval, intervals_of
from dosefind.models import BivariateNormal, Exchangeable, Hazard, HierarchicalHazard, TrialDoses, exposed
from dosefind.posterior.courses import Courses
from dosefind.posterior.exact import ExactPosterior, exact_fit
from dosefind.posterior.hierarchical import HazardsPosterior, hierarchical_fit
from dosefind.posterior.mcmc import NutsSettings

from .borrowing_quadrature import mean_and_overdose, own_trial
from .peers import ROOT
from .planted import faults

MU = BivariateNormal(mean=(-2.2, 0.0), sd=(2.0, 1.0))
OWN, OTHER = "DLC", "AS"
COUNTS = {OWN: ((4, 2, 0), (0, 1, 0)), OTHER: ((3, 3, 6), (0, 0, 1))}
EVERY_28 = (28, 28, 28)
REFERENCE = {"per-infusion": 3.0, "cumulative": 6.0}
# Days of the infusions with their amounts, days to the DLT or the end of follow-up, DLT.
PATIENTS = [
    ([(0, 1.0), (28, 1.0), (56, 1.0)], 84, False),
    ([(0, 1.0), (28, 1.0), (56, 1.0)], 84, False),
    ([(0, 1.0), (28, 1.0), (56, 0.5)], 70, False),
    ([(0, 1.0), (28, 1.0)], 80, False),
    ([(0, 2.0), (28, 2.0)], 40, True),
    ([(0, 2.0), (56, 2.0)], 84, False),
    ([(0, 2.0)], 17, False),
    # A DLT after an infusion that was not given belongs to the last one given.
    ([(0, 2.0), (28, 2.0)], 65, True),
]


def parts():
    return [each for infusions, days, dlt in PATIENTS for each in intervals_of(infusions, EVERY_28, 84, days, dlt)]


def model(dose="per-infusion", courses=True, tau_scale=(0.5, 0.25)):
    cumulative = dose == "cumulative"
    own = {"infusions": 3} if cumulative else {"windows": 3.0}
    return HierarchicalHazard(
        pooled="hazard of a DLT per infusion",
        trials=(TrialDoses(name=OWN, doses=(1.0, 2.0, 4.0), **own), TrialDoses(name=OTHER, doses=(1.0, 3.0, 5.0))),
        reference=REFERENCE[dose],
        exchangeable=Exchangeable(mu=MU, tau_scale=tau_scale, rho=0.0),
        courses=exposed(parts(), cumulative=cumulative) if courses else (),
    )


def log_likelihood(theta, dose, courses):
    """Log-likelihood of both trials at (log alpha, log beta) of each, ``(..., 2, 2)``, patient by patient."""
    alpha, beta, reference = np.exp(theta[..., 0]), np.exp(theta[..., 1]), REFERENCE[dose]

    def hazard(trial, amounts):
        """Hazard of the interval after the last of these infusions."""
        up_to = (sum(amounts) / reference) ** beta[..., trial]
        before = (sum(amounts[:-1]) / reference) ** beta[..., trial] if len(amounts) > 1 else 0.0
        last = (amounts[-1] / reference) ** beta[..., trial] if amounts[-1] else 0.0
        return alpha[..., trial] * (up_to - before if dose == "cumulative" else last)

    total = 0.0
    for trial, doses, infusions in ((0, (1.0, 2.0, 4.0), 3), (1, (1.0, 3.0, 5.0), 1)):
        if trial == 0 and courses:
            continue
        for amount, n, y in zip(doses, *COUNTS[(OWN, OTHER)[trial]], strict=True):
            course = sum(hazard(trial, (amount,) * k) for k in range(1, infusions + 1))
            total = total + y * np.log(-np.expm1(-course)) - (n - y) * course
    for infusions, days, dlt in PATIENTS if courses else ():
        amounts = {day // 28: amount for day, amount in infusions}
        history = [amounts.get(k, 0.0) for k in range(3)]
        for k in range(3):
            share = min(max(days - 28 * k, 0), 28) / 28
            if history[k] and share:
                total = total - share * hazard(0, history[: k + 1])
        if dlt:
            last = max(k for k in range(3) if history[k] and 28 * k < days)
            total = total + np.log(hazard(0, history[: last + 1]))
    return total


def of_model(made, theta):
    """The same by the tables and the terms of the model."""
    n, y = made.tables(COUNTS)
    log_p, log_q = made.log_terms(theta, made.numbers())
    return (y * log_p + (n - y) * log_q).sum(axis=(-1, -2))


@pytest.mark.parametrize("courses", [True, False])
@pytest.mark.parametrize("dose", ["per-infusion", "cumulative"])
def test_likelihood_patient_by_patient(dose, courses):
    theta = np.random.default_rng(1).normal(np.array(MU.mean), np.array(MU.sd), (50, 2, 2))
    expected = log_likelihood(theta, dose, courses)
    # 1e-10: rounding of log-likelihoods of up to thousands.
    np.testing.assert_allclose(of_model(model(dose, courses), theta), expected, rtol=1e-10, atol=1e-10)


def test_cells_by_hand():
    """Exposure by amount of the infusion; by sums of amounts, intervals after other histories have hazards of their own."""
    by_amount = {cell.total: cell[2:] for cell in exposed(parts(), cumulative=False)}
    # Level 1: 3 + 3 + 2 + 2 intervals; the reduced third infusion half of one. Level 2: 1 + 12/28 and the DLT, 2, 17/28, and two
    # whole intervals before a DLT in the interval of an infusion that was not given.
    expected = {1.0: (10.0, 0.0), 0.5: (0.5, 0.0), 2.0: (1 + 12 / 28 + 2 + 17 / 28 + 2, 2.0)}
    assert by_amount.keys() == expected.keys()
    for amount, numbers in expected.items():
        assert by_amount[amount] == pytest.approx(numbers, abs=1e-12)
    by_sum = {cell[:2]: cell[2:] for cell in exposed(parts(), cumulative=True)}
    assert by_sum.get((2.5, 2.0), ()) == pytest.approx((0.5, 0.0), abs=1e-12)
    # Without the second infusion, the third has the sum that the second would have had.
    assert by_sum.get((4.0, 2.0), ()) == pytest.approx((12 / 28 + 1 + 1, 2.0), abs=1e-12)
    with pytest.raises(InputError, match="before any infusion"):
        exposed([Interval((0.0,), 0.0, 1.0, 1.0)], cumulative=False)


def test_curves_of_the_trials():
    """The first trial has three infusions or their sum, the other one: their curves are hazards of a course."""
    theta = (np.array([-2.2]), np.array([math.log(1.7)]))

    def shown(curve):
        return np.exp(curve.log_terms(theta, curve.coordinates)[0])

    h = math.exp(-2.2)
    by_infusion = [1 - math.exp(-3 * h * (d / 3) ** 1.7) for d in (1, 2, 4)]
    np.testing.assert_allclose(shown(model().curve(0)), by_infusion, rtol=1e-12)
    by_sum = [1 - math.exp(-h * (3 * d / 6) ** 1.7) for d in (1, 2, 4)]
    np.testing.assert_allclose(shown(model("cumulative").curve(0)), by_sum, rtol=1e-12)
    for dose in ("per-infusion", "cumulative"):
        once = [1 - math.exp(-h * (d / REFERENCE[dose]) ** 1.7) for d in (1, 3, 5)]
        np.testing.assert_allclose(shown(model(dose).curve(1)), once, rtol=1e-12)
    with pytest.raises(InputError, match="whole number of infusions"):
        HierarchicalHazard(**{**dict(model()), "trials": (TrialDoses(name=OWN, doses=(1.0, 3.0), windows=1.5),)})


# Sampled ---------------------------------------------------------------------------------------------------------------------


def sampled(made, seed=1):
    # Compiled once for all models of a structure.
    return HazardsPosterior(hierarchical_fit(made, NutsSettings(draws=2000, target_accept=0.95)), COUNTS, seed, made)


def by_draws(dose, seed=2, count=1_000_000):
    """Means and P(overdose) at the doses of the own trial from draws of the prior with the likelihood as weights, with errors."""
    rng = np.random.default_rng(seed)
    mu = np.array(MU.mean) + np.array(MU.sd) * rng.normal(size=(count, 1, 2))
    tau = np.array([0.5, 0.25]) * np.abs(rng.normal(size=(count, 1, 2)))
    theta = mu + tau * rng.normal(size=(count, 2, 2))
    weight = np.exp(log_likelihood(theta, dose, courses=True))
    weight /= weight.sum()
    alpha, beta = np.exp(theta[:, 0, :1]), np.exp(theta[:, 0, 1:])
    d = np.array([1.0, 2.0, 4.0])
    p = -np.expm1(-alpha * (3 * (d / 3) ** beta if dose == "per-infusion" else (3 * d / 6) ** beta))
    values = np.hstack([p, p >= 0.33])
    mean = weight @ values
    return mean, np.sqrt(weight**2 @ (values - mean) ** 2)


def by_quadrature(dose, **grid):
    """Means and P(overdose) at the doses of the own trial, without sampling."""
    made = model(dose)
    (n, y), given = made.tables(COUNTS), made.numbers()

    def log_likelihoods(theta):
        log_p, log_q = made.log_terms(np.stack([theta, theta], axis=-2), given)
        return (y * log_p + (n - y) * log_q).sum(axis=-1)

    def log_total(beta):
        amounts = np.array([1.0, 2.0, 4.0]) * (3 if dose == "cumulative" else 1)
        return beta[:, None] * np.log(amounts / REFERENCE[dose]) + (0.0 if dose == "cumulative" else math.log(3))

    axes = own_trial(log_likelihoods, MU, (0.5, 0.25), **grid)
    return np.concatenate(mean_and_overdose(*axes, log_total, 0.33))


@pytest.mark.parametrize("dose", ["per-infusion", "cumulative"])
def test_quadrature_of_both_trials_is_the_weighted_prior(dose):
    """A million draws of the prior; twice the nodes and more spreads change the quadrature by less than 2e-4."""
    found = by_quadrature(dose)
    assert np.abs(by_quadrature(dose, nodes=128, spreads=10) - found).max() < 1e-3
    expected, error = by_draws(dose)
    assert np.all(np.abs(found - expected) < 4 * error + 2e-4), (found, expected, error)


@pytest.mark.slow
@pytest.mark.parametrize("dose", ["per-infusion", "cumulative"])
def test_sampled_posterior_is_that_by_quadrature(dose):
    found = sampled(model(dose)).trials[OWN]
    assert found.problems() == []
    mean, below = found.moments()[0], found.below(0.33)
    values, errors = np.concatenate([mean.value, 1 - below.value]), np.concatenate([mean.error, below.error])
    # Four standard errors of the draws, and the error of the quadrature.
    expected = by_quadrature(dose)
    assert np.all(np.abs(values - expected) < 4 * errors + 2e-4), ((values - expected) / errors).round(2)
    # The counts are shown, and are not the data.
    np.testing.assert_array_equal([found.n, found.y], COUNTS[OWN])


@pytest.mark.slow
def test_without_spread_both_trials_are_one_hazard():
    """Quadrature of one hazard per infusion with the intervals of both trials; the other trial's DLT as known by its interval."""
    found = sampled(model(tau_scale=(1e-3, 1e-3))).trials[OWN]
    assert found.problems() == []
    curve = Hazard(doses=(1.0, 2.0, 4.0), reference=3.0, prior=MU, interval_days=EVERY_28)
    others = [Interval((dose,), float(n)) for dose, n in ((1.0, 3), (3.0, 3), (5.0, 5))]
    exact = ExactPosterior(exact_fit(curve, (0.33,), Courses(curve, (*parts(), *others))), np.zeros(3, int), np.zeros(3, int))
    # The DLT of the other trial multiplies the posterior by 1 - exp(-H(5)) = 1 - (no DLT): two posteriors, by their evidence.
    more = (*parts(), *others, Interval((5.0,), 1.0))
    without = ExactPosterior(exact_fit(curve, (0.33,), Courses(curve, more)), np.zeros(3, int), np.zeros(3, int))
    share = math.exp(without.log_evidence - exact.log_evidence)
    for ours, (one, two) in (
        (found.moments()[0], (exact.moments()[0].value, without.moments()[0].value)),
        (found.below(0.33), (exact.below(0.33).value, without.below(0.33).value)),
    ):
        expected = (one - share * two) / (1 - share)
        # 1e-3: the spread that is left.
        assert np.all(np.abs(ours.value - expected) < 5 * ours.error + 1e-3), (ours, expected)


@pytest.mark.slow
def test_analysis_borrows_per_infusion():
    """The committee's example: the own trial's parts of courses are used, and the rate is stated per course and per infusion."""
    folder = ROOT / "examples" / "nct05948982" / "course"
    made = dsf.load_trial(folder / "trial.toml")
    people = dsf.read_patients(folder / "patients.csv", made.protocol, events=folder / "events.csv")
    evaluated = evaluate(people, made.protocol)
    given = {"courses": evaluated.courses, "predicts": False}
    alone = dsf.analyze(made, evaluated.cohorts(), **given).summary
    with_parts = dsf.analyze(made, evaluated.cohorts(), borrow={"NCT05962762": "1NNN 2NNN 3NNN"}, **given).summary
    assert with_parts.attrs["problems"] == []
    # Nine patients without a DLT at doses of 1 to 5: well beyond the errors.
    assert np.all(with_parts["p_over"] + 3 * with_parts["p_over_se"] < alone["p_over"])
    for name in ("n", "dlts", "extrapolated"):
        np.testing.assert_array_equal(with_parts[name], alone[name])
    course, infusion = (with_parts["period_mean"].values[list(with_parts["period"].values).index(name)] for name in PERIODS)
    np.testing.assert_allclose(course, with_parts["mean"], rtol=0, atol=1e-12)
    assert np.all(infusion < course)
    assert with_parts.attrs["course"]["target_infusion"] == pytest.approx(1 - 0.75 ** (1 / 3))


PERIODS = ("course (84 days)", "one infusion")


def test_config_of_borrowing_per_infusion():
    protocol = dsf.load_protocol(ROOT / "configs" / "nct05948982.toml")

    def borrowing(**changed):
        return build_borrowing(protocol.model_copy(update={"borrowing": protocol.borrowing | changed}))

    per_infusion = borrowing(pooled="infusions")
    made = per_infusion.model(protocol, parts())
    assert [trial.windows for trial in made.trials] == [3.0, 1.0]
    assert [cell.total for cell in made.courses] == [0.5, 1.0, 2.0]
    cumulative = borrowing(pooled="infusions", dose="cumulative", reference=9.0).model(protocol)
    assert [(trial.windows, trial.infusions) for trial in cumulative.trials] == [(1.0, 3), (1.0, 1)]
    # The median hazard of an infusion is exp(-2.2) = 0.1108: 0.10 per infusion and 0.28 in three.
    (words,) = per_infusion.warnings(protocol)
    assert "0.10 per infusion, 0.28 in 84 days" in words
    assert {"cumulative", "windows"} <= {value for _, value, _ in per_infusion.variants(protocol)}


THREE = {"doses": [1, 3, 5], "unit": "10^6 cells/kg", "infusions": 3}


@pytest.mark.parametrize(
    ("trial", "key", "allowed"),
    [
        # Infusions every 28 days, as in the protocol's own trial, the third on day 57.
        ({"dlt_window_days": 28}, "dlt_window_days = 28", "at least 57"),
        ({"dlt_window_days": 56}, "dlt_window_days = 56", "at least 57"),
        ({"dlt_window_days": 28, "infusion_days": [1, 15, 29]}, r"infusion_days = \[1, 15, 29\]", "within the DLT window"),
        ({"dlt_window_days": 84, "infusion_days": [1, 29]}, r"infusion_days = \[1, 29\]", "3 days"),
        ({"dlt_window_days": 84, "infusion_days": [2, 29, 57]}, r"infusion_days = \[2, 29, 57\]", "begin with day 1"),
        ({"dlt_window_days": 84, "infusion_days": [1, 29, 29]}, r"infusion_days = \[1, 29, 29\]", "increase"),
        ({"dlt_window_days": 2}, "infusions = 3", "at most 2"),
    ],
)
@pytest.mark.parametrize("pooled", [{"pooled": "infusions"}, {"pooled": "as-given", "dose": "cumulative", "reference": 9.0}])
def test_infusions_beyond_the_window_of_another_trial(trial, key, allowed, pooled):
    protocol = dsf.load_protocol(ROOT / "configs" / "nct05948982.toml")
    table = protocol.borrowing | pooled | {"trials": {"X": THREE | trial}}
    with pytest.raises(InputError, match=rf"borrowing\.trials\.X\.{key}: .*{allowed}"):
        build_borrowing(protocol.model_copy(update={"borrowing": table}))


def test_infusions_within_the_window_of_another_trial():
    """Stated days are used; a number of infusions without effect is not refused, and is not varied."""
    protocol = dsf.load_protocol(ROOT / "configs" / "nct05948982.toml")

    def borrowing(pooled, trial):
        table = protocol.borrowing | {"pooled": pooled, "trials": {"X": THREE | trial}}
        return build_borrowing(protocol.model_copy(update={"borrowing": table}))

    short = {"dlt_window_days": 28}
    assert borrowing("infusions", short | {"infusion_days": [1, 8, 15]}).model(protocol).trials[1].windows == 3.0
    varied = {value for _, value, _ in borrowing("windows", short).variants(protocol)}
    assert not {"cumulative", "infusions"} & varied
    assert {"as-given"} <= varied
    # The last of the intervals is not over at the end of the window.
    assert any(
        "28 days after" not in words and "27 days" in words
        for words in borrowing("infusions", {"dlt_window_days": 83}).warnings(protocol)
    )
    whole = borrowing("infusions", {"dlt_window_days": 84})
    assert whole.warnings(protocol) == []


def test_own_infusion_on_the_last_day_has_no_interval():
    protocol = dsf.load_protocol(ROOT / "configs" / "nct05948982.toml")
    treatment = protocol.treatment.model_copy(update={"dlt_window_days": 56})
    table = protocol.borrowing | {"pooled": "infusions"}
    protocol = protocol.model_copy(update={"treatment": treatment, "borrowing": table})
    assert build_borrowing(protocol).model(protocol).trials[0].windows == len(treatment.interval_days) == 2


@pytest.mark.parametrize("pooled", ["infusions", "windows"])
def test_name_of_the_record_is_no_fault_of_what_is_pooled(pooled):
    protocol = dsf.load_protocol(ROOT / "configs" / "nct05948982.toml")
    record = protocol.record.model_copy(update={"id": "N" * 200})
    protocol = protocol.model_copy(update={"record": record, "borrowing": protocol.borrowing | {"pooled": pooled}})
    assert build_borrowing(protocol).model(protocol).names[0] == "N" * 200


FAULTS = {
    "the infusions of another trial are not compared with its window": (
        "dosefind.borrowing:Borrowing._window_too_short",
        lambda old: lambda self, protocol: None,
        test_infusions_within_the_window_of_another_trial,
    ),
    "a DLT has no exposure": (
        "dosefind.models.hierarchical_hazard:exposed",
        lambda old: (
            lambda intervals, *, cumulative: old([each._replace(until_events=0.0) for each in intervals], cumulative=cumulative)
        ),
        test_cells_by_hand,
    ),
    "the sum is that of the last infusion": (
        "dosefind.models.hierarchical_hazard:exposed",
        lambda old: lambda intervals, *, cumulative: old(intervals, cumulative=False),
        test_cells_by_hand,
    ),
    "every trial has one infusion": (
        "dosefind.borrowing:Borrowing._times",
        lambda old: lambda self, trial, protocol: 1.0,
        test_config_of_borrowing_per_infusion,
    ),
}

test_fault_is_caught = faults(FAULTS)
