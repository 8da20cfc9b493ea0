"""Response rates under the three priors: closed forms, integration by other means, calibration, and what is refused."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import beta, binom

import dosefind as dsf
from dosefind.calibration.bands import excess, histogram
from dosefind.efficacy.binary import IndependentPrior, LogisticQuadratic, Plateau, response_posteriors
from dosefind.efficacy.known import unknowns

from .planted import faults

DOSES = (1.0, 3.0, 5.0)
N, R = np.array([6, 6, 6]), np.array([1, 3, 3])
CURVES = (Plateau(doses=DOSES), LogisticQuadratic(doses=DOSES))
DATA = [
    ([6, 6, 6], [1, 3, 3]),
    ([6, 6, 6], [0, 0, 0]),
    ([0, 0, 0], [0, 0, 0]),
    ([6, 0, 0], [6, 0, 0]),
    ([30, 30, 30], [5, 20, 27]),
]


def logits_at(curve, z):
    """Logits of response rates ``(nodes, doses)`` written out from the definition of each curve."""
    amounts = np.array(DOSES)
    if isinstance(curve, Plateau):
        low, rise, half = ((mean + sd * z[:, k]) for k, (mean, sd) in enumerate((curve.level, curve.rise, curve.half)))
        x = (amounts - 1) / 4
        return low[:, None] + np.exp(rise)[:, None] * x / (x + np.exp(half)[:, None])
    c, slope, curvature = ((mean + sd * z[:, k]) for k, (mean, sd) in enumerate((curve.level, curve.slope, curve.curvature)))
    x = np.log(amounts) - np.log(amounts).mean()
    return c[:, None] + slope[:, None] * x + curvature[:, None] * x**2


def test_independent_doses_are_beta():
    found = IndependentPrior(doses=DOSES, a=0.5, b=1.0).after(N, R)
    closed = beta(0.5 + R, 1.0 + N - R)
    np.testing.assert_allclose(found.mean().value, closed.mean(), rtol=1e-13)
    np.testing.assert_allclose(found.sd().value, closed.std(), rtol=1e-12)
    np.testing.assert_allclose(found.below(0.3).value, closed.cdf(0.3), rtol=1e-12)
    np.testing.assert_allclose(found.quantiles((0.025, 0.9)), np.column_stack([closed.ppf(0.025), closed.ppf(0.9)]), rtol=1e-10)
    assert (found.mean().error == 0).all()


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: type(curve).__name__)
@pytest.mark.parametrize(("n", "r"), DATA)
def test_curves_against_a_plain_sum(curve, n, r):
    """A sum over a fixed fine grid of the prior's coordinates, without the lattice of the posterior: within the stated errors."""
    line = np.arange(-6.5, 6.5001, 0.13 if max(n) > 10 else 0.25)
    z = np.stack(np.meshgrid(line, line, line, indexing="ij"), axis=-1).reshape(-1, 3)
    logits = logits_at(curve, z)
    e, log_p, log_q = expit(logits), -np.logaddexp(0, -logits), -np.logaddexp(0, logits)
    log_density = log_p @ r + log_q @ (np.array(n) - r) - (z**2).sum(axis=1) / 2
    share = np.exp(log_density - log_density.max())
    log_evidence = np.log(share.sum()) + log_density.max() + 3 * np.log((line[1] - line[0]) / np.sqrt(2 * np.pi))
    share /= share.sum()
    found = curve.after(n, r)
    # A relative error of the evidence is within the error of the means.
    assert found.log_evidence == pytest.approx(log_evidence, abs=float(found.mean().error.max()) + 1e-7)
    mean, sd = found.mean(), found.sd()
    # The plain sum is good to 1e-7; the prior beyond 6.5 standard deviations weighs 2e-10.
    assert (np.abs(mean.value - share @ e) <= mean.error + 1e-7).all()
    assert (np.abs(sd.value - np.sqrt(share @ e**2 - (share @ e) ** 2)) <= sd.error + 1e-6).all()
    # Quantiles have these probabilities: a quantile's own error is that of one correction.
    for k, probability in enumerate((0.025, 0.5, 0.975)):
        at = found.quantiles((0.025, 0.5, 0.975))[:, k]
        assert [found.below(float(rate)).value[d] for d, rate in enumerate(at)] == pytest.approx([probability] * 3, abs=2e-5)


def test_three_priors_are_side_by_side():
    found = response_posteriors(DOSES, N, R)
    assert [posterior.prior.title for posterior in found.values()] == list(found)
    means = np.array([posterior.mean().value for posterior in found.values()])
    assert np.ptp(means, axis=0).max() > 0.02
    assert np.all(np.diff(means[1]) > 0)
    assert all(posterior.prior.sentence().endswith(".") for posterior in found.values())


@pytest.mark.parametrize("prior", [IndependentPrior(doses=DOSES), *CURVES], ids=lambda prior: type(prior).__name__)
def test_more_prior_information_draws_towards_the_prior(prior):
    before = prior.after([0, 0, 0], [0, 0, 0]).mean().value
    now = prior.after(N, [0, 0, 0])
    away = [np.abs(now.with_prior_times(times).mean().value - before) for times in (0.5, 1.0, 2.0)]
    assert (away[0] > away[1]).all()
    assert (away[1] > away[2]).all()


def pit(curve, count, seed):
    """Ranks of response rates drawn from the prior in their posteriors, ``(doses, count)``."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(count):
        e = expit(logits_at(curve, rng.normal(size=(1, 3)))[0])
        after = curve.after(N, binom.rvs(N, e, random_state=rng))
        found.append([after.below(float(rate)).value[d] for d, rate in enumerate(e)])
    return np.array(found).T


@pytest.mark.slow
def test_simulation_based_calibration():
    """PIT values are uniform within bands that a correct posterior leaves once in a thousand tests."""
    assert (excess(histogram(pit(CURVES[1], 150, 4)), 1e-3) <= 0).all()


FAULTS = {
    "the curvature forgotten": (
        "dosefind.efficacy.binary:LogisticQuadratic.logits",
        lambda old: lambda self, second, third: old(self, second, 0 * third),
        lambda: test_curves_against_a_plain_sum(CURVES[1], *DATA[0]),
    ),
    "patients without a response forgotten": (
        "dosefind.efficacy.binary:ResponseCurve.after",
        lambda old: lambda self, n, r: old(self, np.minimum(n, np.asarray(r) + 2), r),
        lambda: test_curves_against_a_plain_sum(CURVES[0], *DATA[0]),
    ),
}
test_fault_is_caught = faults(FAULTS)


@pytest.mark.parametrize(
    ("prior", "given", "place"),
    [
        (IndependentPrior, {"doses": (3.0, 1.0)}, "doses"),
        (IndependentPrior, {"doses": (1.0,), "a": 0.0}, "a"),
        (Plateau, {"doses": (1.0,), "level": (0.0, -1.0)}, "level"),
        (LogisticQuadratic, {"doses": (1.0,), "slope": "steep"}, "slope"),
    ],
)
def test_bad_priors_are_named(prior, given, place):
    with pytest.raises(dsf.InputError, match=place):
        prior(**given)


@pytest.mark.parametrize("prior", [IndependentPrior(doses=DOSES), *CURVES], ids=lambda prior: type(prior).__name__)
def test_bad_counts_are_named(prior):
    with pytest.raises(dsf.InputError, match="responses"):
        prior.after([3, 3, 3], [4, 0, 0])
    with pytest.raises(dsf.InputError, match="n ="):
        prior.after([3, 3], [0, 0])


KNOWN = [
    ([0, 0, 0], [0, 0, 0], [0, 0, 0], None, {"no_patients": (1, 2, 3)}),
    ([3, 3, 0], [3, 3, 0], [0, 0, 0], None, {"untried_doses": (3,), "no_responses": (1, 2)}),
    ([3, 0, 0], [3, 0, 0], [1, 0, 0], None, {"one_dose_tried": (1,), "untried_doses": (2, 3)}),
    ([3, 3, 3], [0, 0, 0], [0, 0, 0], [3, 3, 3], {"all_responses_pending": (1, 2, 3), "dlt_data_without_responses": (1, 2, 3)}),
    ([3, 3, 3], [3, 3, 3], [3, 3, 3], None, {"every_patient_responded": (1, 2, 3)}),
    ([0, 3, 3], [3, 3, 3], [1, 0, 1], [0, 0, 1], {"responses_pending": (3,), "responses_without_dlt_data": (1,)}),
    ([3, 3, 3], [3, 3, 0], [1, 0, 0], None, {"untried_doses": (3,), "dlt_data_without_responses": (3,)}),
    ([3, 3, 3], [3, 3, 3], [1, 0, 1], None, {}),
]  # fmt: skip


@pytest.mark.parametrize(("n_dlt", "n_response", "responses", "pending", "expected"), KNOWN)
def test_what_is_not_known(n_dlt, n_response, responses, pending, expected):
    found = {each.code: each.levels for each in unknowns(n_dlt, n_response, responses, pending)}
    # With no response outcome at all, there is nothing of which responses could be none or all.
    assert found == expected


def test_bad_counts_of_what_is_known_are_named():
    with pytest.raises(dsf.InputError, match="responses"):
        unknowns([3, 3], [3, 3], [4, 0])
