"""Expected utility and P(best): a million draws, closed forms, planted faults."""

from functools import cache

import numpy as np
import pytest
from scipy.stats import beta

import dosefind as dsf
from dosefind.config import build_curves
from dosefind.efficacy.binary import IndependentPrior, LogisticQuadratic, Plateau, ResponseCurve
from dosefind.efficacy.utility import OUTCOMES, Limits, expected_utility, prior_shares
from dosefind.posterior.exact import ExactFit, ExactPosterior
from dosefind.protocol import OutcomeUtilities

from . import peers
from .planted import faults

DOSES = (1.0, 3.0, 5.0)
PRIORS = (IndependentPrior(doses=DOSES), Plateau(doses=DOSES), LogisticQuadratic(doses=DOSES))
ADDITIVE = OutcomeUtilities(response=100.0, neither=40.0, response_and_dlt=60.0, dlt=0.0)
OTHER = OutcomeUtilities(response=100.0, neither=50.0, response_and_dlt=30.0, dlt=0.0)
DRAWS = 1_000_000


def toxicity(n=(6, 6, 6), y=(0, 0, 2)):
    curve = build_curves(dsf.load_protocol(peers.ROOT / "configs" / "nct05962762.toml"))["logistic-2"]
    return ExactPosterior(ExactFit(curve, (0.16, 0.33, 0.25)), np.array(n), np.array(y))


TOXICITY = toxicity()


def by_hand(p, e, u):
    return (1 - p) * (e * u.response + (1 - e) * u.neither) + p * (e * u.response_and_dlt + (1 - e) * u.dlt)


@cache
def dlt_rates(count):
    """Draw DLT rates from the posterior: draws from the prior, accepted with the likelihood."""
    return accepted(TOXICITY.curve, TOXICITY.n, TOXICITY.y, count, np.random.default_rng(8))


def accepted(curve, n, y, count, rng):
    kept, size = [], 0
    while size < count:
        if isinstance(curve, ResponseCurve):
            z = rng.normal(size=(count, 3))
            logits = curve.logits(z[:, 1], z[:, 2]) + curve.shift * z[:, :1]
            log_p, log_q = -np.logaddexp(0, -logits), -np.logaddexp(0, logits)
        else:
            theta = curve.parameters(tuple(rng.normal(size=(2, count, 1))))
            log_p, log_q = curve.log_terms(theta, curve.coordinates)
        log_density = log_p @ y + log_q @ (n - y)
        # The likelihood is at most that of the observed rates.
        at = np.clip(y / np.maximum(n, 1), 1e-300, 1 - 1e-16)
        most = y @ np.log(at) + (n - y) @ np.log1p(-at)
        kept.append(np.exp(log_p[rng.uniform(size=count) < np.exp(log_density - most)]))
        size += len(kept[-1])
    return np.concatenate(kept)[:count]


def response_rates(response, count, rng):
    """Draw response rates: betas, or accepted draws from the prior."""
    if isinstance(response.prior, IndependentPrior):
        return rng.beta(response.a, response.b, (count, 3))
    return accepted(response.prior, response.n, response.responses, count, rng)


CASES = [(prior, u, r) for prior in PRIORS for u, r in ((ADDITIVE, (1, 3, 3)), (OTHER, (0, 0, 0)))]


@pytest.mark.slow
@pytest.mark.parametrize(("prior", "u", "r"), CASES)
def test_against_a_million_draws(prior, u, r):
    """Means, P(best) and expected loss within five standard errors of the draws, and the stated errors."""
    check(expected_utility(TOXICITY, prior.after([6, 6, 6], r), u), prior.after([6, 6, 6], r), u, DRAWS)


def check(found, response, u, count):
    rng = np.random.default_rng(9)
    e = response_rates(response, count, rng)
    utility = by_hand(dlt_rates(count), e, u)
    best = np.eye(3)[utility.argmax(axis=1)]
    loss = utility.max(axis=1, keepdims=True) - utility
    pairs = ((found.mean, utility), (found.p_best, best), (found.loss, loss))
    for figure, sample in pairs:
        error = 5 * sample.std(axis=0) / len(sample) ** 0.5 + figure.error
        np.testing.assert_array_less(np.abs(sample.mean(axis=0) - figure.value), error + 1e-12)


def test_independent_doses_to_five_digits():
    """P(best) without draws: the error stated is below the digits shown, and the probabilities sum to one."""
    response = PRIORS[0].after([6, 6, 6], [1, 3, 3])
    found = expected_utility(TOXICITY, response, ADDITIVE)
    assert found.p_best.error.max() < 1e-5
    assert found.p_best.value.sum() == pytest.approx(1, abs=1e-6)
    check(found, response, ADDITIVE, 50_000)
    np.testing.assert_allclose(found.cells.sum(axis=1), 1)
    np.testing.assert_allclose(found.mean.value, by_hand(TOXICITY.moments()[0].value, response.mean().value, ADDITIVE), rtol=1e-12)


def test_two_doses_with_known_toxicity_by_integration():
    """Without a cost of a DLT, P(best) is that a beta variable exceeds another, by a midpoint rule."""
    prior = IndependentPrior(doses=DOSES, a=1.0, b=1.0)
    u = OutcomeUtilities(response=100.0, neither=0.0, response_and_dlt=100.0, dlt=0.0)
    found = expected_utility(TOXICITY, prior.after([6, 6, 6], [2, 4, 3]), u, among=(1, 2))
    (a, c), (b, d) = (3, 5), (5, 3)
    grid = (np.arange(20_000) + 0.5) / 20_000
    exact = (beta(b, d).pdf(grid) * beta(a, c).cdf(grid)).mean()
    # The midpoint rule with 20,000 points: 1e-8.
    assert found.p_best.value[1] == pytest.approx(exact, abs=1e-6)
    assert found.p_best.value[2] == 0
    assert np.isnan(found.loss.value[2])


def test_choice_is_undecided_unless_every_limit_passes():
    found = expected_utility(TOXICITY, PRIORS[0].after([6, 6, 6], [1, 3, 3]), ADDITIVE)
    assert found.choice() == found.choice(None)
    assert (found.choice().level, found.choice().undecided, found.choice().because) == (2, True, ("no_limits_stated",))
    best, loss = found.p_best.value[1], found.loss.value[1]
    assert not found.choice(Limits(p_best=best - 0.01, loss=loss + 0.1)).undecided
    assert found.choice(Limits(p_best=best + 0.01, loss=loss + 0.1)).because == ("p_best",)
    assert found.choice(Limits(p_best=best - 0.01, loss=loss - 0.1)).because == ("loss",)
    assert found.choice(Limits(p_best=best, loss=100.0)).undecided
    none = expected_utility(TOXICITY, PRIORS[0].after([0, 0, 0], [0, 0, 0]), ADDITIVE)
    assert none.choice(Limits(p_best=0.5, loss=1.0)).because == ("no_admissible_dose",)
    same = OutcomeUtilities(response=50.0, neither=50.0, response_and_dlt=50.0, dlt=50.0)
    assert "tie" in expected_utility(TOXICITY, PRIORS[0].after([6, 6, 6], [1, 3, 3]), same).choice(Limits(0.0, 100.0)).because
    with pytest.raises(dsf.InputError, match="p_best"):
        Limits(p_best=1.5, loss=1.0)


def test_smallest_changes_alter_the_choice():
    """Just beyond the change the choice is another, just before it is not."""
    response = PRIORS[0].after([6, 6, 6], [1, 3, 4])
    found = expected_utility(TOXICITY, response, ADDITIVE)
    level = found.choice().level
    altered = 0
    for change in found.smallest_changes():
        if change.change is None:
            continue
        altered += 1
        values = ADDITIVE.model_dump()
        for factor, expected in ((0.999, level), (1.001, change.level)):
            moved = values | {change.outcome: values[change.outcome] + factor * change.change}
            assert expected_utility(TOXICITY, response, OutcomeUtilities(**moved)).choice().level == expected
    assert altered


def test_tornado_agrees_with_computing_again():
    response = PRIORS[1].after([6, 6, 6], [1, 3, 3])
    found = expected_utility(TOXICITY, response, ADDITIVE)
    bars = found.tornado(15.0)
    assert {bar.outcome for bar in bars} == set(OUTCOMES)
    # The highest utility cannot be raised, nor the lowest lowered.
    assert {bar.outcome: bar.values for bar in bars}["response"] == (85.0, 100.0)
    for bar in bars:
        for value, mean, level in zip(bar.values, bar.means, bar.levels, strict=True):
            again = expected_utility(TOXICITY, response, OutcomeUtilities(**ADDITIVE.model_dump() | {bar.outcome: value}))
            np.testing.assert_allclose(again.mean.value, mean, rtol=1e-12)
            assert again.choice().level == level
    with pytest.raises(dsf.InputError, match="by"):
        found.tornado(0.0)


def test_share_of_the_prior():
    """Results move towards those without data with twice the prior's information, and away from them with half of it."""
    response = PRIORS[0].after([6, 6, 6], [0, 5, 0])
    found = prior_shares({"stated": TOXICITY}, response, ADDITIVE)
    assert set(found) == {("stated", 0.5), ("stated", 1.0), ("stated", 2.0)}
    spread = [np.ptp(found["stated", times].mean.value) for times in (0.5, 1.0, 2.0)]
    assert spread == sorted(spread, reverse=True)


def test_another_number_of_doses_is_refused():
    with pytest.raises(dsf.InputError, match="response"):
        expected_utility(TOXICITY, IndependentPrior(doses=(1.0, 3.0)).after([3, 3], [1, 1]), ADDITIVE)
    with pytest.raises(dsf.InputError, match="among"):
        expected_utility(TOXICITY, PRIORS[0].after([3, 3, 3], [1, 1, 1]), ADDITIVE, among=(4,))


FAULTS = {
    "utilities of a DLT and of neither exchanged": (
        "dosefind.efficacy.utility:_straight",
        lambda old: lambda p, u: old(p, u[[0, 3, 2, 1]]),
        test_independent_doses_to_five_digits,
    ),
    "a tornado that ignores the order of the outcomes": (
        "dosefind.efficacy.utility:_range",
        lambda old: lambda utilities, outcome: (0.0, 120.0),
        test_tornado_agrees_with_computing_again,
    ),
}
test_fault_is_caught = faults(FAULTS)
