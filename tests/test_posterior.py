"""Posteriors by quadrature: peers and published values, independent integration, mixtures, quantiles, draws."""

import numpy as np
import pytest
from scipy.integrate import dblquad
from scipy.special import expit, gammaln, logit
from scipy.stats import beta, multivariate_normal, norm

from dosefind.models import BivariateNormal, Logistic, Logistic2, Power
from dosefind.posterior.exact import FAR, ExactFit, ExactPosterior, root

from . import peers
from .planted import faults

RATES = (0.16, 0.25, 0.33)
PRIOR = BivariateNormal(mean=(-1.7, 0.0), sd=(1.5, 0.7), correlation=-0.3)
MIXTURE = (PRIOR.model_copy(update={"weight": 3.0}), BivariateNormal(mean=(0.0, 0.3), sd=(1.0, 0.5)))
CURVES = {
    "power": Power(skeleton=(0.1, 0.2, 0.3)),
    "uniform": Logistic(skeleton=(0.1, 0.2, 0.3), uniform=(0.2, 3.0)),
    "two": Logistic2(doses=(1.0, 3.0, 5.0), reference=3.0, prior=PRIOR),
    "mixture": Logistic2(doses=(1.0, 3.0, 5.0), reference=3.0, prior=MIXTURE),
    "windows": Logistic2(doses=(1.0, 3.0, 5.0), reference=3.0, prior=PRIOR, windows=3.0),
}
DATA = [((0, 0, 0), (0, 0, 0)), ((3, 3, 3), (0, 0, 1)), ((6, 6, 6), (0, 0, 0)), ((3, 6, 0), (2, 5, 0)), ((12, 30, 33), (0, 4, 11))]


def posterior(curve, n, y, rates=RATES):
    return ExactPosterior(ExactFit(curve, rates), np.array(n), np.array(y))


def test_peer_two_parameter_posteriors():
    rows, parameters = peers.table("blrm_exact"), peers.table("blrm_exact_params")
    groups = rows.groupby(["dataset", "prior", "dref"], sort=False)
    assert len(groups) == len(parameters) == 3
    for (_, some), given in zip(groups, parameters.itertuples(), strict=True):
        prior = BivariateNormal(
            mean=(given.mu_logalpha, given.mu_logbeta), sd=(given.sd_logalpha, given.sd_logbeta), correlation=float(given.rho)
        )
        curve = Logistic2(doses=tuple(some.dose.astype(float)), reference=float(given.dref), prior=prior)
        ours = posterior(curve, some.n, some.y)
        (mean, sd), (estimate, spread) = ours.moments(), ours.parameters()
        # 1e-8: the reference's own.
        close = {"rtol": 0, "atol": 1e-8}
        np.testing.assert_allclose(mean.value, some["mean"], **close)
        np.testing.assert_allclose(sd.value, some["sd"], **close)
        np.testing.assert_allclose(ours.below(0.16).value, some["p_under"], **close)
        np.testing.assert_allclose(ours.below(0.33).value - ours.below(0.16).value, some["p_target"], **close)
        np.testing.assert_allclose(1 - ours.below(0.33).value, some["p_over"], **close)
        np.testing.assert_allclose(estimate.value, (given.post_mean_logalpha, given.post_mean_logbeta), **close)
        np.testing.assert_allclose(spread.value, (given.post_sd_logalpha, given.post_sd_logbeta), **close)
        np.testing.assert_allclose(ours.log_evidence, given.log_marg_lik, **close)


def test_published_two_parameter_trial():
    item = peers.published("blrm_nbg2008")
    given, check = item["inputs"], item["independent_check"]
    doses = np.array(given["dose"], float)
    n, y = (np.array([given[key].get(f"{dose:g}", 0) for dose in doses]) for key in ("n_by_dose", "dlt_by_dose"))
    assert n.sum() == 18
    (var_a, cov), (_, var_b) = given["prior_cov"]
    prior = BivariateNormal(mean=tuple(given["prior_mean"]), sd=(var_a**0.5, var_b**0.5), correlation=cov / (var_a * var_b) ** 0.5)
    ours = posterior(Logistic2(doses=tuple(doses), reference=float(given["ref_dose"]), prior=prior), n, y, (0.2, 0.35, 0.6))
    mean = ours.moments()[0].value
    # The tolerances of the item: MCMC of the peer, values read off a figure; 5e-5 is the rounding of its grid,
    # whose shares are sums of indicators over nodes and add up to .999: 1e-3.
    np.testing.assert_allclose(mean, item["bcrm_posterior_mean"], rtol=0, atol=item["tolerance"]["bcrm"])
    np.testing.assert_allclose(mean, item["nbg_fig1_posterior_mean_read_off_plot"], rtol=0, atol=item["tolerance"]["fig1"])
    np.testing.assert_allclose(mean, check["grid_exact_mean_18pts_correlated"], rtol=0, atol=5.01e-5)
    below = np.column_stack([np.zeros(len(doses)), *(ours.below(rate).value for rate in (0.2, 0.35, 0.6)), np.ones(len(doses))])
    for dose, shares in check["grid_interval_probs_18pts_[0,.2),[.2,.35),[.35,.6),[.6,1]"].items():
        np.testing.assert_allclose(np.diff(below)[doses == float(dose)][0], shares, rtol=0, atol=1e-3)
    assert f"dose {doses[np.abs(mean - given['target']).argmin()]:g}" in item["recommended_by_mean"]


def test_published_uniform_prior():
    item = peers.published("bcrm_uniform_prior_goodman")
    given, close = item["inputs"], {"rtol": 0, "atol": item["tolerance"]}
    curve = Logistic(skeleton=tuple(given["skeleton"]), uniform=(0.0, 3.0))
    n, y = np.array(given["subjects"]), np.array(given["events"])
    prior, ours = posterior(curve, 0 * n, 0 * n), posterior(curve, n, y)
    np.testing.assert_allclose(prior.moments()[0].value, item["prior_dose_mean"], **close)
    np.testing.assert_allclose(ours.moments()[0].value, item["posterior"]["dose_mean"], **close)
    np.testing.assert_allclose(ours.log_evidence, item["posterior"]["log_evidence"], **close)
    # The item's beta is exp(b), so its quantiles are those of the slope: the rate at the lowest dose falls with it.
    slope = (3.0 - logit(ours.quantiles((0.975, 0.025))[0])) / (3.0 - logit(given["skeleton"][0]))
    np.testing.assert_allclose(slope, item["posterior"]["beta_95"], **close)


def covariance(prior):
    off = prior.correlation * prior.sd[0] * prior.sd[1]
    return [[prior.sd[0] ** 2, off], [off, prior.sd[1] ** 2]]


def independent(curve, n, y, function):
    """Unnormalised expectation of a function of the DLT probabilities by adaptive integration over both parameters."""
    n, y = np.array(n), np.array(y)

    def density(log_beta, log_alpha):
        eta = log_alpha + np.exp(log_beta) * np.log(np.array(curve.doses) / curve.reference)
        p = 1 - (1 - expit(eta)) ** curve.windows
        likelihood = np.prod(p**y * (1 - p) ** (n - y))
        total = sum(one.weight for one in curve.priors)
        prior = sum(
            one.weight / total * multivariate_normal.pdf((log_alpha, log_beta), one.mean, covariance(one)) for one in curve.priors
        )
        return function(p) * likelihood * prior

    return dblquad(density, -9.5, 6.0, -5.0, 5.0, epsabs=1e-13, epsrel=1e-7)[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["two", "mixture", "windows"])
def test_two_parameters_against_adaptive_integration(name):
    n, y = (3, 6, 3), (0, 2, 2)
    ours = posterior(CURVES[name], n, y)
    evidence = independent(CURVES[name], n, y, lambda p: 1.0)
    # 1e-6: what the adaptive integration was asked for, and the 1e-7 of the prior outside its box.
    np.testing.assert_allclose(np.exp(ours.log_evidence), evidence, rtol=1e-6)
    mean = independent(CURVES[name], n, y, lambda p: p[2]) / evidence
    np.testing.assert_allclose(ours.moments()[0].value[2], mean, rtol=0, atol=1e-6)


def test_windows_by_hand():
    """Over three windows 1 - (1 - p)^3; at the reference dose the prior of logit p is that of log alpha."""
    one, three = CURVES["two"], CURVES["windows"]
    z = np.random.default_rng(1).normal(size=(20, 2))
    (log_p, _), (log_p3, log_q3) = one.at(z), three.at(z)
    np.testing.assert_allclose(np.exp(log_p3), 1 - (1 - np.exp(log_p)) ** 3, rtol=1e-12)
    np.testing.assert_allclose(np.exp(log_p3) + np.exp(log_q3), 1, rtol=1e-12)
    # Far in the tail three times as likely, down to where 1 - p is 1.
    np.testing.assert_allclose(three.log_terms((-45.0, 0.0), 0.0)[0], -45 + np.log(3), rtol=1e-9)
    below = posterior(three, (0, 0, 0), (0, 0, 0)).below(0.33).value[1]
    np.testing.assert_allclose(below, norm.cdf((logit(1 - 0.67 ** (1 / 3)) - PRIOR.mean[0]) / PRIOR.sd[0]), rtol=0, atol=1e-9)
    # Where the rate over three windows is that of the curve at a dose, the continuous MTD is that dose.
    at = three.coordinates[2]
    np.testing.assert_allclose(three.coordinate_of(np.exp(three.log_terms((-1.0, 0.3), at)[0]), (-1.0, 0.3)), at, rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize(("n", "y"), DATA, ids=str)
def test_figures_agree_with_each_other(name, n, y):
    """Quantiles invert probabilities, those of the MTD the ones of the doses; figures worked out at once and one by one agree."""
    ours = posterior(CURVES[name], n, y)
    below = ours.below(0.25)
    assert np.all(np.diff(below.value) <= 0)
    # Without data the evidence is the whole of the prior.
    assert sum(n) or abs(ours.log_evidence) < 1e-9
    # A rate that was not asked for at first is worked out from the nodes.
    np.testing.assert_allclose(posterior(CURVES[name], n, y, ()).below(0.25).value, below.value, rtol=0, atol=1e-6)
    quantiles = ours.quantiles((0.05, 0.5, 0.95))
    for dose in range(3):
        for probability, rate in zip((0.05, 0.5, 0.95), quantiles[dose], strict=True):
            # Below 1e-13 a rate is given as that.
            found = ours.below(rate).value[dose]
            assert abs(found - probability) < 1e-6 or (rate < 1e-13 and found > probability)
    mtd = ours.mtd(0.25)
    np.testing.assert_allclose(mtd.value.sum(), 1, rtol=0, atol=1e-12)
    np.testing.assert_allclose(mtd.value[-1], below.value[-1], rtol=0, atol=1e-12)
    if ours.curve.on_dose_scale:
        # The MTD lies below the lowest dose where that dose is above the target.
        low, high = ours.mtd_quantiles(0.25, 1 - below.value[0] + np.array([-1e-6, 1e-6]))
        assert low < 1.0 < high


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize(("n", "y"), DATA[:4], ids=str)
def test_draws_have_the_posterior_s_moments(name, n, y):
    ours = posterior(CURVES[name], n, y)
    (draws,) = ours.draws(4000)
    mean, sd = ours.parameters()
    # Deterministic draws: a tenth of the Monte Carlo error of as many independent ones, and for the spread 2% at the tails.
    np.testing.assert_allclose(draws.mean(axis=0), mean.value, rtol=0, atol=0.1 * sd.value.max() / 4000**0.5)
    np.testing.assert_allclose(draws.std(axis=0), sd.value, rtol=0.02)
    p = np.exp(ours.curve.components[0][1].log_terms(tuple(draws.T[:, :, None]), ours.curve.coordinates)[0])
    for dose in range(3):
        expected = ours.below(0.25).value[dose]
        assert abs((p[:, dose] < 0.25).mean() - expected) < 0.005


# Wide priors, many patients: the posterior is narrow, or a quantile lies deep in a tail.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("sd", "correlation", "n", "y"),
    [
        ((2.0, 1.0), 0.9, (30, 30, 30), (1, 5, 12)),
        ((2.0, 1.0), 0.0, (3, 3, 3), (0, 0, 1)),
        ((2.0, 1.0), 0.0, (300, 300, 300), (15, 36, 75)),
        pytest.param((2.0, 1.0), 0.0, (300, 300, 300), (300, 150, 0), marks=pytest.mark.slow),
    ],
)
def test_narrow_posteriors_and_deep_quantiles(sd, correlation, n, y):
    curve = Logistic2(doses=(1.0, 3.0, 5.0), reference=3.0, prior=BivariateNormal(mean=(-2.2, 0.0), sd=sd, correlation=correlation))
    ours = posterior(curve, n, y)
    assert ours.diagnostics()["largest_error"] < 1e-9
    quantiles = ours.quantiles((0.025, 0.5, 0.975))
    assert ours.diagnostics()["quantile_error"] < 2e-6
    for dose in (0, 2):
        rates = [rate for rate in quantiles[dose] if rate > 1e-6]
        for rate in rates:
            found = ours.below(rate)
            expected = (0.025, 0.5, 0.975)[list(quantiles[dose]).index(rate)]
            # 2e-6: the quantiles' own error, in probability.
            assert abs(found.value[dose] - expected) < 2e-6
            assert found.error.max() < 1e-9


def test_a_rate_not_asked_for_has_its_own_error():
    curve = Logistic2(doses=(1.0, 3.0, 5.0), reference=3.0, prior=BivariateNormal(mean=(-2.2, 0.0), sd=(2.0, 1.0), correlation=0.9))
    late = posterior(curve, (30, 30, 30), (1, 5, 12)).below(0.01)
    # By split Gauss-Legendre integration in both parameters: .0273150, to the digits given.
    np.testing.assert_allclose(late.value[0], 0.0273150, rtol=0, atol=5e-8)
    assert late.error[0] < 1e-9


def test_mixture_weights_are_evidence():
    n, y = (3, 6, 3), (0, 2, 2)
    shares = ExactFit(CURVES["mixture"]).shares(np.array([n]), np.array([y]))[0]
    evidence = np.array([np.exp(posterior(curve, n, y).log_evidence) * weight for weight, curve in CURVES["mixture"].components])
    np.testing.assert_allclose(shares, evidence / evidence.sum(), rtol=1e-9)


def test_one_dose_and_a_flat_likelihood_have_closed_forms():
    """With one dose at the reference, 3 patients and a prior so vague that the logit is flat, the posterior is beta."""
    curve = Logistic2(doses=(3.0,), reference=3.0, prior=BivariateNormal(mean=(0.0, 0.0), sd=(10.0, 1.0)))
    ours = posterior(curve, (30,), (10,))
    # The prior is flat on the logit to a relative 1 / sd^2 over a posterior of sd .4: within .002 of Beta(10, 20).
    np.testing.assert_allclose(ours.below(0.33).value, beta.cdf(0.33, 10, 20), rtol=0, atol=2e-3)
    log_flat = gammaln(10) + gammaln(20) - gammaln(30) - np.log(10 * (2 * np.pi) ** 0.5)
    np.testing.assert_allclose(ours.log_evidence, log_flat, rtol=0, atol=1e-2)


def test_roots_outside_the_values_first_looked_between():
    """Where to look first is a hint: wrong on either side, on both or right, the roots are the same; and where there is none."""
    wanted = np.array([-29.0, -1.0, 0.0, 2.5, 31.0])
    plain = root(lambda x: expit(x / 4) - expit(wanted / 4), 5)
    # By hand: each root is what is wanted, and the last lies beyond FAR. AT_ROOT is divided by the slope.
    slope = expit(wanted / 4) * expit(-wanted / 4) / 4
    np.testing.assert_allclose(plain[:4], wanted[:4], rtol=0, atol=1e-7 / slope[:4].min())
    assert plain[4] == FAR
    for low, high in ((-0.5, 0.5), (-30, -20), (20, 29), (-2, 3)):
        near = np.full(5, float(low)), np.full(5, float(high))
        found = root(lambda x: expit(x / 4) - expit(wanted / 4), 5, near)
        np.testing.assert_allclose(found, plain, rtol=0, atol=2e-7 / slope[:4].min())


# Faults that these tests must notice.

LOGISTIC = "dosefind.models.two_parameter:TwoParameterCurve."

FAULTS = {
    "the reference dose has no effect": (
        LOGISTIC + "coordinate",
        lambda _: lambda self, amount: np.log(amount),
        test_peer_two_parameter_posteriors,
    ),
    "the parameters are not correlated": (
        LOGISTIC + "parameters",
        lambda old: lambda self, z, xp=np: (self.prior.mean[0] + self.prior.sd[0] * z[0], old(self, z, xp)[1]),
        test_peer_two_parameter_posteriors,
    ),
    "a longer window has no more DLTs": (
        "dosefind.models.logistic2:over_windows",
        lambda _: lambda log_p, log_q, windows, xp=np: (log_p, log_q),
        test_windows_by_hand,
    ),
    "the components of a mixture keep their prior weights": (
        "dosefind.posterior.mixture:MixedQuadrature.shares",
        lambda _: lambda self, n, y, tolerance=0.0: np.tile(np.exp(self.log_weights), (len(n), 1)),
        test_mixture_weights_are_evidence,
    ),
    "draws are those of the prior": (
        "dosefind.posterior.exact:ExactPosterior.draws",
        lambda old: lambda self, count: old(type(self)(self.fit, 0 * self.n, 0 * self.y), count),
        test_draws_have_the_posterior_s_moments,
    ),
}

test_fault_is_caught = faults(FAULTS)
