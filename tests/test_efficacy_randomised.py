"""A randomised comparison of doses: the published size, plain enumeration, simulation."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import binom

import dosefind as dsf
from dosefind.efficacy.binary import IndependentPrior
from dosefind.efficacy.randomised import patients_needed, randomised_stage, two_dose_stage, utility_stage
from dosefind.efficacy.utility import expected_utility, rates_of
from dosefind.models import BivariateNormal, Logistic2
from dosefind.posterior.exact import ExactFit, ExactPosterior
from dosefind.protocol import OutcomeUtilities

from . import peers
from .planted import faults

AFTER = IndependentPrior(doses=(1.0, 3.0, 5.0)).after([6, 6, 6], [1, 3, 3])


def test_published_size_of_two_doses():
    """The published number of patients, and the boundary and probabilities of an independent enumeration, to its rounding."""
    (rose,) = peers.published("rose")["items"]
    given, computed = rose["inputs"], rose["independent_check"]["value"]
    found = two_dose_stage(given["p_high"], given["margin"], given["pcs_low"], given["pcs_high"], given["boundary_grid"])
    assert found.n == rose["expected"]["n_per_arm"]
    assert found.boundary == pytest.approx(computed["boundary"], abs=1e-12)
    assert found.pcs_low == pytest.approx(computed["pcs_low"], abs=1e-12)
    assert found.pcs_high == pytest.approx(computed["pcs_high"], abs=1e-12)


def select(rates, margin):
    at = 0
    for d in range(1, len(rates)):
        if rates[d] > rates[at] + margin + 1e-9:
            at = d
    return at


@pytest.mark.parametrize("rates", [(0.3, 0.5), (0.3, 0.32), (0.2, 0.5, 0.45), (0.0, 1.0), (0.4, 0.4, 0.4)])
def test_stated_rates_by_plain_enumeration(rates):
    # With ten patients, observed differences equal the margin.
    n, margin, loss = 10, 0.1, 0.04
    each, correct = np.zeros(len(rates)), select(rates, margin)
    mass = [binom.pmf(np.arange(n + 1), n, rate) for rate in rates]
    for counts in product(range(n + 1), repeat=len(rates)):
        chance = np.prod([at[count] for at, count in zip(mass, counts, strict=True)])
        each[select([count / n for count in counts], margin)] += chance
    found = randomised_stage(rates, range(1, len(rates) + 1), n, margin=margin, loss=loss)
    np.testing.assert_allclose(found.p_selected, each, atol=1e-12)
    assert found.p_correct == pytest.approx(each[correct], abs=1e-12)
    assert found.p_worse == pytest.approx(each[np.array(rates) < max(rates) - loss].sum(), abs=1e-12)
    assert found.rate_selected == pytest.approx(each @ rates, abs=1e-12)
    assert found.error == 0


@pytest.mark.parametrize("levels", [(1, 2), (2, 3), (1, 2, 3)])
def test_average_over_the_posterior_by_simulation(levels):
    """Rates and responses drawn 400,000 times; within five standard errors."""
    count, n, margin, loss = 400_000, 15, 0.08, 0.1
    rng, inside = np.random.default_rng(6), np.array(levels) - 1
    e = rng.beta(AFTER.a[inside], AFTER.b[inside], (count, len(inside)))
    observed = rng.binomial(n, e) / n

    def chosen(rates):
        at, now = np.zeros(count, int), rates[:, 0]
        for d in range(1, rates.shape[1]):
            up = rates[:, d] > now + margin + 1e-9
            at, now = np.where(up, d, at), np.where(up, rates[:, d], now)
        return at

    at, got = chosen(observed), e[np.arange(count), chosen(observed)]
    found = randomised_stage(AFTER, levels, n, margin=margin, loss=loss)
    samples = {
        found.p_correct: at == chosen(e),
        found.p_worse: got < e.max(axis=1) - loss,
        found.rate_selected: got,
        found.rate_best: e.max(axis=1),
        **{float(chance): at == d for d, chance in enumerate(found.p_selected)},
    }
    for value, sample in samples.items():
        assert abs(sample.mean() - value) < 5 * sample.std() / count**0.5
    assert found.error < 1e-8


def test_patients_needed_is_the_first_that_reaches_it():
    found = patients_needed([0.3, 0.5], (1, 2), 0.8, margin=0.05)
    assert found is not None
    before = [randomised_stage([0.3, 0.5], (1, 2), n, margin=0.05).p_correct for n in range(1, found.n)]
    assert max(before) < 0.8 <= found.p_correct
    assert patients_needed(AFTER, (1, 2), 0.999, most=10) is None


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"levels": (1,)}, "levels"),
        ({"levels": (1, 4)}, "levels"),
        ({"n": 0}, "n ="),
        ({"n": 300, "levels": (1, 2, 3)}, "n = 300"),
        ({"margin": -0.1}, "margin"),
        ({"loss": 1.0}, "loss"),
        ({"response": [0.2, 1.2, 0.3]}, "response"),
    ],
)
def test_bad_input_is_named(given, place):
    settings = {"response": AFTER, "levels": (1, 2), "n": 10} | given
    with pytest.raises(dsf.InputError, match=place):
        randomised_stage(**settings)


@pytest.mark.parametrize(("given", "place"), [((0.1, 0.3, 0.6, 0.6), "margin"), ((0.3, 0.1, 1.0, 0.6), "pcs_low")])
def test_bad_wishes_are_named(given, place):
    with pytest.raises(dsf.InputError, match=place):
        two_dose_stage(*given)


FAULTS = {
    "ties to the higher dose": (
        "dosefind.efficacy.randomised:_selected",
        lambda old: lambda values, margin: old(values, margin - 1e-6),
        lambda: test_stated_rates_by_plain_enumeration((0.4, 0.4, 0.4)),
    ),
}
test_fault_is_caught = faults(FAULTS)


@pytest.fixture(scope="module")
def joint():
    curve = Logistic2(doses=(1, 3, 5), reference=3, prior=BivariateNormal(mean=(-2.2, 0.0), sd=(2.0, 1.0)))
    toxicity = ExactPosterior(ExactFit(curve), np.array([6, 6, 6]), np.array([0, 0, 2]))
    response = IndependentPrior(doses=(1, 3, 5)).after([6, 6, 6], [1, 3, 3])
    return toxicity, response, OutcomeUtilities(response=100, response_and_dlt=60, neither=40, dlt=0)


def test_comparison_by_utility_against_simulated_trials(joint):
    """100,000 trials with true rates from the posteriors, within 4 standard errors and the stated error."""
    toxicity, response, u = joint
    n, trials, rng = 8, 100_000, np.random.default_rng(3)
    found = utility_stage(toxicity, response, u, (2, 3), n)
    p, weight = rates_of(toxicity)
    p = p[:, 1:]
    true = p[rng.choice(len(weight), trials, p=weight)]
    e = rng.beta(response.a[1:], response.b[1:], (trials, 2))

    def utility(p, e):
        return (1 - p) * (e * u.response + (1 - e) * u.neither) + p * (e * u.response_and_dlt + (1 - e) * u.dlt)

    dlts, responses = rng.binomial(n, true), rng.binomial(n, e)
    seen, group = np.unique(dlts, axis=0, return_inverse=True)
    likely = weight * np.prod(p[None] ** seen[:, None] * (1 - p[None]) ** (n - seen[:, None]), axis=2)
    after = utility((likely @ p / likely.sum(axis=1)[:, None])[group.reshape(-1)], (response.a[1:] + responses) / (6 + 1 + n))
    higher, worth = after[:, 1] > after[:, 0], utility(true, e)
    correct, gain = higher == (worth[:, 1] > worth[:, 0]), worth[np.arange(trials), higher.astype(int)]
    now = max(utility(weight @ p, response.mean().value[1:]))
    assert correct.mean() == pytest.approx(found.p_correct, abs=4 * correct.std() / trials**0.5 + found.p_correct_error)
    assert gain.mean() - now == pytest.approx(found.gain, abs=4 * gain.std() / trials**0.5 + found.gain_error)


def test_a_comparison_by_utility_is_worth_no_more_than_the_truth(joint):
    """The gain rises with n, up to the expected loss of choosing now."""
    toxicity, response, u = joint
    loss = np.nanmin(expected_utility(toxicity, response, u, (2, 3)).loss.value)
    gains = [utility_stage(toxicity, response, u, (2, 3), n).gain for n in (1, 5, 20)]
    assert 0 <= gains[0] < gains[1] < gains[2] < loss
    with pytest.raises(dsf.InputError, match="different"):
        utility_stage(toxicity, response, u, (2, 2), 5)
