"""NUTS: the model is ours to the last digits, draws agree with quadrature, errors and diagnostics are what they say.

PyMC and ArviZ are imported by the tests that need them: the faults run each test in a process of its own.
"""

import re
from importlib.util import find_spec

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import binom, multivariate_normal, norm

from dosefind import InputError
from dosefind.models import BivariateNormal, Curve, Logistic, Logistic2, Power
from dosefind.posterior import mcmc
from dosefind.posterior.exact import ExactFit, ExactPosterior
from dosefind.posterior.mcmc import NutsFit, NutsPosterior, NutsSettings

from .planted import faults

PRIOR = BivariateNormal(mean=(-1.7, 0.0), sd=(1.5, 0.7), correlation=-0.3)
MIXTURE = (PRIOR.model_copy(update={"weight": 3.0}), BivariateNormal(mean=(0.0, 0.3), sd=(1.0, 0.5), correlation=0.4))
CURVES = {
    "power": Power(skeleton=(0.1, 0.2, 0.3)),
    "logistic": Logistic(skeleton=(0.1, 0.2, 0.3)),
    "uniform": Logistic(skeleton=(0.1, 0.2, 0.3), uniform=(0.2, 3.0)),
    "two": Logistic2(doses=(1.0, 3.0, 5.0), reference=3.0, prior=PRIOR),
    "mixture": Logistic2(doses=(1.0, 3.0, 5.0), reference=3.0, prior=MIXTURE),
}
N, Y = np.array([3, 6, 6]), np.array([0, 1, 2])
RATES = (0.16, 0.33)
# With nutpie also PyMC's own sampler is tried; without it, that is the only one.
INSTALLED = ["nutpie", "pymc"] if find_spec("nutpie") else ["pymc"]


class Fits:
    """Compiled models, each made when it is first asked for."""

    def __init__(self):
        self.made = {}

    def __call__(self, name, sampler=None):
        if (name, sampler) not in self.made:
            self.made[name, sampler] = NutsFit(CURVES[name], sampler=sampler)
        return self.made[name, sampler]


@pytest.fixture(scope="module")
def fits():
    return Fits()


def given(curve, theta, diverged=0):
    """A posterior with the draws ``theta`` (chains, draws, parameters), without compiling and sampling."""

    class Given(mcmc.Sampler):
        name = "given"

        def __init__(self, model, names, settings):
            pass

        def sample(self, data, starts, seed, target_accept):
            count = diverged if isinstance(diverged, int) else diverged[target_accept]
            return list(np.moveaxis(theta, -1, 0)), np.arange(theta[..., 0].size).reshape(theta.shape[:2]) < count

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(mcmc.SAMPLERS, "given", Given)
        patch.setattr(Curve, "to_pymc", lambda *words: None)
        fit = NutsFit(curve, NutsSettings(chains=len(theta), draws=theta.shape[1]), sampler="given")
    return NutsPosterior(fit, 0 * N, 0 * N, seed=0)


def independent(seed, chains=4, draws=1000):
    return np.random.default_rng(seed).normal(size=(chains, draws, 1))


def log_density(curve, theta):
    """Log prior plus log-likelihood of N and Y, and the DLT probabilities, from scipy and the formula of each curve."""
    if isinstance(curve, Logistic2):
        p = expit(theta[0] + np.exp(theta[1]) * np.log(np.array(curve.doses) / curve.reference))
        weights = np.array([one.weight for one in curve.priors])
        densities = [multivariate_normal.pdf(theta, one.mean, covariance(one)) for one in curve.priors]
        prior = np.log(weights @ densities / weights.sum())
    else:
        skeleton, slope = np.array(curve.skeleton), np.exp(theta[0])
        p = skeleton**slope if isinstance(curve, Power) else expit(3 + slope * (logit(skeleton) - 3))
        prior = norm.logpdf(theta[0], 0, curve.prior_sd)
        if curve.uniform is not None:
            # exp(b) is uniform: the density of b is that of exp(b) times exp(b).
            prior = theta[0] - np.log(curve.uniform[1] - curve.uniform[0])
    return prior + binom.logpmf(Y, N, p).sum(), p


def covariance(prior):
    off = prior.correlation * prior.sd[0] * prior.sd[1]
    return [[prior.sd[0] ** 2, off], [off, prior.sd[1] ** 2]]


@pytest.mark.slow
@pytest.mark.parametrize("name", CURVES)
def test_pymc_s_model_is_ours(name):
    """Its log density is our prior and likelihood, with the Jacobian of the standard coordinates, up to a constant."""
    import pymc as pm

    curve = CURVES[name]
    model = curve.to_pymc(0 * N, 0 * N)
    with model:
        pm.set_data({"n": N, "y": Y})
        # Not compiled for speed, which would take longer than it saves.
        log_posterior = model.compile_logp(mode="FAST_COMPILE")
        given_z = model.compile_fn(
            [model[name] for name in (*curve.parameter_names, "p")], inputs=[model["z"]], mode="FAST_COMPILE"
        )
    z = np.random.default_rng(3).normal(size=(20, curve.n_parameters))
    differences = []
    for point in z:
        *theta, p = given_z({"z": point})
        expected, rates = log_density(curve, np.array(theta))
        if isinstance(curve, Logistic) and curve.uniform is not None:
            # The density of z is that of b times |db/dz|, which varies: b is no linear function of z.
            low, high = curve.uniform
            expected += norm.logpdf(point[0]) + np.log(high - low) - theta[0]
        np.testing.assert_allclose(theta, curve.pooled.parameters(tuple(point)), rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(p, rates, rtol=1e-12)
        differences.append(log_posterior({"z": point}) - expected)
    # 1e-9: rounding, of log densities of up to 100.
    np.testing.assert_allclose(differences, differences[0], rtol=0, atol=1e-9)


@pytest.mark.slow
def test_pymc_s_model_stays_finite_far_out():
    """Where p rounds to 0 or 1 its logarithms do not, as they would in PyMC's binomial."""
    model = CURVES["two"].to_pymc([3, 3, 3], [3, 0, 3])
    density = model.compile_logp(mode="FAST_COMPILE")
    for z in ([-40.0, 0.0], [40.0, 0.0]):
        assert np.isfinite(density({"z": np.array(z)}))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["two", "mixture"])
def test_pymc_samples_our_prior_and_predicts(name):
    """PyMC's prior draws have the prior's moments, mixtures included; its pointwise log-likelihood is the binomial's."""
    import pymc as pm
    from arviz import from_dict

    curve = CURVES[name]
    model = curve.to_pymc(N, Y)
    compiled = {"mode": "FAST_COMPILE"}
    prior = pm.sample_prior_predictive(2000, model=model, random_seed=1, compile_kwargs=compiled)
    expected = ExactPosterior(ExactFit(curve), 0 * N, 0 * N)
    for at, parameter in enumerate(curve.parameter_names):
        (mean, _), (sd, _) = expected.parameters()
        # Five standard errors of the mean, and of the standard deviation about as much.
        draws = prior["prior"][parameter].to_numpy()
        assert abs(draws.mean() - mean[at]) < 5 * sd[at] / 2000**0.5
        assert abs(draws.std() - sd[at]) < 5 * sd[at] / 2000**0.5
    assert prior["prior_predictive"]["dlts"].dims == ("chain", "draw", "dose")
    assert np.all(prior["prior_predictive"]["dlts"].to_numpy() <= N)
    with model:
        found = from_dict({"posterior": {"z": prior["prior"]["z"].to_numpy()[:, :10]}})
        pointwise = pm.compute_log_likelihood(found, progressbar=False)["log_likelihood"]["dlts"]
    rates = prior["prior"]["p"].to_numpy()[:, :10]
    assert pointwise.dims == ("chain", "draw", "dose")
    np.testing.assert_allclose(pointwise.to_numpy(), binom.logpmf(Y, N, rates), rtol=1e-9)


def test_chains_start_in_each_component_in_turn():
    prior = (BivariateNormal(mean=(-6.0, 0.0), sd=(0.5, 0.2)), BivariateNormal(mean=(2.0, 1.0), sd=(0.5, 0.2), weight=0.01))
    curve = CURVES["mixture"].model_copy(update={"prior": prior})
    starts = curve.starts(2000, np.random.default_rng(1))
    theta = np.column_stack(curve.pooled.parameters(tuple(starts.T)))
    for part, one in enumerate(prior):
        # Five standard errors of 1000 draws.
        assert np.all(np.abs(theta[part::2].mean(axis=0) - one.mean) < 5 * np.array(one.sd) / 1000**0.5)
    assert CURVES["power"].starts(4, np.random.default_rng(1)).shape == (4, 1)


def data_sets():
    """For each curve twelve data sets of 3 doses: none, few and many patients, no DLTs, many DLTs, gaps."""
    rng = np.random.default_rng(11)
    for name in CURVES:
        yield name, (0, 0, 0), (0, 0, 0)
        yield name, (3, 6, 6), (0, 0, 0)
        for _ in range(10):
            n = rng.choice((0, 1, 3, 6, 12), 3)
            yield name, tuple(map(int, n)), tuple(map(int, rng.binomial(n, np.sort(rng.uniform(0.02, 0.6, 3)))))


@pytest.mark.slow
def test_against_quadrature(fits):
    from arviz import ess

    errors, rare, means, own = [], [], [], []
    for seed, (name, n, y) in enumerate(data_sets()):
        ours = NutsPosterior(fits(name), np.array(n), np.array(y), seed)
        exact = ExactPosterior(ExactFit(CURVES[name], RATES), np.array(n), np.array(y))
        theta = np.moveaxis(ours.draws(10**6), -1, 0)[..., None]
        p = np.exp(CURVES[name].pooled.log_terms(tuple(theta), CURVES[name].coordinates)[0])
        found = ours.diagnostics()
        for rate in RATES:
            inside, chance = (p < rate).astype(float), exact.below(rate).value
            constant = np.all(inside == inside[0, 0], axis=(0, 1))
            size = np.where(constant, min(found["ess_bulk"], found["ess_tail"]), ess(inside, method="mean"))
            figure, expected = ours.below(rate), size * chance * (1 - chance)
            often, miss = expected >= 10, np.abs(figure.value - chance)
            errors += list(miss[often] / np.sqrt(chance * (1 - chance) / size)[often])
            rare += list((miss * size)[~often])
            own += list(miss / figure.error)
        figures, values = (*ours.moments(), *ours.parameters()), (*exact.moments(), *exact.parameters())
        for (mean, error), (value, _) in zip(figures, values, strict=True):
            means += list(np.abs(mean - value) / error)
    assert seed + 1 == 60
    assert len(errors) > 200
    for some in (np.array(errors), np.array(own), np.array(means)):
        # A normal error is beyond 3 in 0.27%; 1% leaves room for errors that are themselves estimated and hang together.
        assert (some > 3).mean() <= 0.01
        assert some.max() < 6
    assert max(rare) < 10


@pytest.mark.slow
@pytest.mark.parametrize("sampler", INSTALLED)
def test_a_second_data_set_is_not_compiled_again(fits, sampler, monkeypatch):
    """The same seed gives the same bits whatever came between, and nothing is built or compiled for it."""
    fit = fits("two", sampler)
    first = NutsPosterior(fit, N, Y, seed=5)
    counted = []
    compiling = {"nutpie": ("nutpie", "compile_pymc_model"), "pymc": ("pymc", "NUTS")}[sampler]
    monkeypatch.setattr(".".join(compiling), lambda *words, **more: counted.append(words))
    monkeypatch.setattr(Logistic2, "to_pymc", lambda *words: counted.append(words))
    other = NutsPosterior(fit, (3, 3, 0), (3, 2, 0), seed=5)
    again = NutsPosterior(fit, N, Y, seed=5)
    assert counted == []
    assert fit.sampler.name == sampler == first.diagnostics()["sampler"]
    np.testing.assert_array_equal(first.draws(4000), again.draws(4000))
    assert not np.array_equal(first.draws(4000), NutsPosterior(fit, N, Y, seed=6).draws(4000))
    # Both samplers follow the data they are given: the second set has 5 DLTs in 6 patients.
    for ours, n, y in ((first, N, Y), (other, (3, 3, 0), (3, 2, 0))):
        mean, expected = ours.moments()[0], ExactPosterior(ExactFit(fit.curve), np.array(n), np.array(y)).moments()[0].value
        assert np.all(np.abs(mean.value - expected) < 5 * mean.error)


@pytest.mark.slow
@pytest.mark.parametrize("sampler", INSTALLED)
def test_samplers_give_variables_of_any_shape(sampler):
    curve, settings = CURVES["power"], NutsSettings(chains=2, draws=50, tune=100)
    made = mcmc.SAMPLERS[sampler](curve.to_pymc(N, Y), ("b", "p"), settings)
    (b, p), diverged = made.sample({"n": N, "y": Y}, {"z": np.zeros((2, 1))}, 1, 0.9)
    assert b.shape == diverged.shape == (2, 50)
    assert diverged.dtype == bool
    np.testing.assert_allclose(p, curve.probabilities(b.ravel()).reshape(2, 50, 3), rtol=1e-12)


def test_figures_follow_from_the_draws():
    curve, theta = CURVES["two"], np.random.default_rng(2).normal(size=(4, 500, 2)) * 0.5 + (-1.5, 0.0)
    ours = given(curve, theta)
    p = 1 / (1 + np.exp(-(theta[..., :1] + np.exp(theta[..., 1:]) * np.log(np.array([1.0, 3.0, 5.0]) / 3.0)))).reshape(2000, 3)
    below = ours.below(0.25).value
    np.testing.assert_allclose(below, (p < 0.25).mean(axis=0), atol=1e-15)
    np.testing.assert_allclose(ours.mtd(0.25).value, -np.diff([1.0, *below, 0.0]), atol=1e-12)
    np.testing.assert_allclose(ours.moments()[0].value, p.mean(axis=0))
    np.testing.assert_allclose(ours.moments()[1].value, p.std(axis=0, ddof=1))
    np.testing.assert_allclose(ours.quantiles((0.1, 0.5)), np.quantile(p, (0.1, 0.5), axis=0).T)
    amounts = 3.0 * np.exp((np.log(0.25 / 0.75) - theta[..., 0]) / np.exp(theta[..., 1]))
    # Interpolated between neighbours among 2000 draws on the scale of log doses, not of doses.
    np.testing.assert_allclose(ours.mtd_quantiles(0.25, (0.1, 0.5, 0.9)), np.quantile(amounts, (0.1, 0.5, 0.9)), rtol=1e-3)
    # Such rates are met further away than any dose could be.
    assert ours.mtd_quantiles(1e-300, (0.0,)) == 0
    assert ours.mtd_quantiles(1 - 1e-16, (1.0,)) == np.inf
    with pytest.raises(NotImplementedError, match="not on a dose scale"):
        given(CURVES["power"], independent(0)).mtd_quantiles(0.25, (0.5,))


def test_draws_are_thinned_evenly():
    theta = np.arange(400.0).reshape(4, 100, 1)
    ours = given(CURVES["power"], theta)
    np.testing.assert_array_equal(ours.draws(40), theta[:, ::10])
    np.testing.assert_array_equal(ours.draws(10**6), theta)
    assert ours.draws(1).shape == (4, 1, 1)
    assert ours.draws(12).shape == (4, 3, 1)


@pytest.mark.slow
def test_errors_are_monte_carlo_standard_errors():
    """Over repeated runs the figures spread as their errors say, for chains whose draws hang together."""
    curve, rng, keep = CURVES["power"], np.random.default_rng(8), 0.8
    found = []
    for _ in range(100):
        theta = rng.normal(size=(4, 500, 1))
        for draw in range(1, 500):
            theta[:, draw] = keep * theta[:, draw - 1] + (1 - keep**2) ** 0.5 * theta[:, draw]
        ours = given(curve, theta)
        found.append([ours.below(0.2), ours.moments()[0], ours.moments()[1]])
    values, errors = (np.array([[figure[part] for figure in run] for run in found]) for part in (0, 1))
    # The spread of 100 runs is known to 7%, the errors of one run to some 5%: 25% is three of the first and a little more.
    np.testing.assert_allclose(errors.mean(axis=0), values.std(axis=0, ddof=1), rtol=0.25)


def test_no_probability_is_without_error():
    """Where no draw or every draw falls in, three errors are the 95% binomial limit at the effective sample size."""
    ours = given(CURVES["power"], 0.01 * independent(1))
    found = ours.diagnostics()
    size = min(found["ess_bulk"], found["ess_tail"])
    for rate, value in ((0.01, 0.0), (0.9, 1.0)):
        figure = ours.below(rate)
        np.testing.assert_array_equal(figure.value, value)
        # No event in as many independent draws has probability 5%.
        np.testing.assert_allclose((1 - 3 * figure.error) ** size, 0.05)
    assert np.all(ours.mtd(0.25).error > 0)


def test_problems_in_words():
    curve = CURVES["power"]
    assert given(curve, independent(4)).problems() == []
    apart = given(curve, independent(4) + np.array([0.0, 0.0, 0.0, 1.0])[:, None, None]).problems()
    assert re.match(r"R-hat is 1\.\d+, not at most 1\.01", apart[0])
    few = given(curve, independent(4, draws=60)).problems()
    assert any(words.startswith("the bulk effective sample size is ") for words in few)
    assert any(words.startswith("the tail effective sample size is ") for words in few)
    assert given(curve, independent(4), diverged=3).problems() == ["3 divergent draws, even with shorter steps"]
    # Sampled once more where any diverged, and with what is said.
    for diverged, left, accept in (({0.9: 2, 0.99: 0}, [], 0.99), ({0.9: 0}, [], 0.9)):
        again = given(curve, independent(4), diverged)
        assert (again.problems(), again.diagnostics()["target_accept"]) == (left, accept)
    # One chain whose halves differ is one that has not settled.
    assert given(curve, independent(4, chains=1)).problems() == []
    drift = independent(4, chains=1) + np.linspace(0, 2, 1000)[:, None]
    assert given(curve, drift).problems()[0].startswith("R-hat")
    # Draws that never move have no R-hat.
    assert len(given(curve, np.full((4, 100, 1), np.nan)).problems()) == 3


def test_without_nutpie_pymc_s_own_sampler_is_taken(monkeypatch):
    assert mcmc._installed(None) == INSTALLED[0]
    monkeypatch.setattr(mcmc, "find_spec", lambda name: None)
    assert mcmc._installed(None) == "pymc"
    assert mcmc._installed("pymc") == "pymc"
    with pytest.raises(InputError, match=r"pip install 'dosefind\[nuts\]'"):
        NutsFit(CURVES["power"], sampler="nutpie")


@pytest.mark.parametrize(
    ("n", "y", "said"),
    [
        ((3, 3), (0, 0), r"n = \[3, 3\]: must be 3 whole numbers from 0 to 30000, one per dose"),
        ((3, 3, -1), (0, 0, 0), "n = .*from 0 to"),
        ((3, 3, 3), (0, 0.5, 0), "y = .*whole numbers"),
        ((3, 3, 3), ((0, 0), (0,)), "y = .*whole numbers"),
        ((3, 3, 3), (0, 4, 0), r"y = \[0, 4, 0\]: must not exceed the patients at the dose: level 2 has 3"),
    ],
)
def test_bad_counts(n, y, said):
    with pytest.raises(InputError, match=said):
        CURVES["power"].to_pymc(n, y)


def test_bad_settings():
    for settings, said in (
        ({"chains": 0}, "chains = 0: must be a whole number from 1 to 100"),
        ({"draws": 5}, "draws = 5: must be a whole number, at least 10"),
        ({"tune": 0}, "tune = 0: must be a whole number, at least 100"),
        ({"target_accept": 1.0}, "target_accept = 1.0: must be a probability"),
    ):
        with pytest.raises(InputError, match=said):
            NutsSettings(**settings)
    with pytest.raises(InputError, match="sampler = 'nutpy': must be one of 'nutpie', 'pymc'; did you mean 'nutpie'"):
        NutsFit(CURVES["power"], sampler="nutpy")
    with pytest.raises(InputError, match="seed = -1: must be a whole number from 0 to"):
        given(CURVES["power"], independent(0)).fit.sample(N, Y, -1)


# Faults that these tests must notice.

FAULTS = {
    "an R-hat of 5 passes": ("dosefind.posterior.mcmc:LARGEST_RHAT", lambda _: 5.0, test_problems_in_words),
}

test_fault_is_caught = faults(FAULTS)
