"""Borrowing between trials: the model is ours to the last digits, draws agree with an integral written here, limits are reached.

PyMC is imported by the tests that need it: the faults run each test in a process of its own.
"""

import itertools

import numpy as np
import pytest
from scipy.special import expit, logit, logsumexp, sici
from scipy.stats import binom, halfnorm, multivariate_normal, norm

from dosefind import InputError
from dosefind.models import BivariateNormal, Exchangeable, Exnex, HierarchicalLogistic, Logistic2, TrialDoses
from dosefind.posterior import mcmc
from dosefind.posterior.exact import ExactFit, ExactPosterior
from dosefind.posterior.hierarchical import HierarchicalFit, HierarchicalPosterior
from dosefind.posterior.mcmc import NutsSettings
from dosefind.protocol import RP2D
from dosefind.summaries import summary

from .planted import faults

MU = BivariateNormal(mean=(-1.7, 0.0), sd=(1.5, 0.7), correlation=-0.3)
OWN = (BivariateNormal(mean=(-1.0, 0.2), sd=(1.8, 0.8)), BivariateNormal(mean=(-2.0, 0.0), sd=(1.0, 0.6), correlation=0.4))
TRIALS = (TrialDoses(name="AS", doses=(1.0, 3.0, 5.0)), TrialDoses(name="DLC", doses=(1.0, 4.0)))
DATA = {"AS": ((3, 6, 6), (0, 1, 2)), "DLC": ((3, 6), (0, 0))}
NOBODY = {"AS": ((0, 0, 0), (0, 0, 0)), "DLC": ((0, 0), (0, 0))}
OVER = 0.33


def hierarchical(rho=0.3, weight=None, tau_scale=(0.6, 0.3), **more):
    exnex = None if weight is None else Exnex(weight=weight, prior=OWN)
    settings = {"pooled": "DLT over 28 days after one infusion", "trials": TRIALS, "reference": 3.0, "exnex": exnex}
    return HierarchicalLogistic(**(settings | {"exchangeable": Exchangeable(mu=MU, tau_scale=tau_scale, rho=rho)} | more))


MODELS = {
    "fixed": hierarchical(),
    "windows": hierarchical(trials=(TRIALS[0], TRIALS[1].model_copy(update={"windows": 3.0}))),
    "uniform": hierarchical("uniform"),
    "exnex": hierarchical(weight=(0.5, 0.8)),
    "exnex uniform": hierarchical("uniform", weight=0.6),
}


def covariance(prior):
    off = prior.correlation * prior.sd[0] * prior.sd[1]
    return np.array([[prior.sd[0] ** 2, off], [off, prior.sd[1] ** 2]])


def between(tau, rho):
    return np.array([[tau[0] ** 2, rho * tau[0] * tau[1]], [rho * tau[0] * tau[1], tau[1] ** 2]])


def rates(trial, theta):
    """DLT probabilities ``(..., doses)`` at theta ``(..., 2)``."""
    one_window = expit(theta[..., :1] + np.exp(theta[..., 1:]) * np.log(np.array(trial.doses) / 3.0))
    return 1 - (1 - one_window) ** trial.windows


def likelihood(trial, theta):
    n, y = DATA[trial.name]
    return binom.logpmf(y, n, rates(trial, theta)).sum(axis=-1)


def free_point(model, rng):
    return {name: value[0] for name, value in model.starts(1, rng).items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_pymc_s_model_is_ours(name):
    """Its log density is that of mu, tau, rho and theta, with the Jacobian of the free variables, up to a constant."""
    model, rng = MODELS[name], np.random.default_rng(3)
    pymc_model = model.to_pymc(NOBODY)
    n, y = model.tables(DATA)
    with pymc_model:
        import pymc as pm

        pm.set_data({"n": n, "y": y})
        log_posterior = pymc_model.compile_logp(mode="FAST_COMPILE")
        wanted = ["mu", "tau", "rho", "theta", *(["theta_own", "p_ex"] if model.exnex else [])]
        follows = pymc_model.compile_fn([pymc_model[one] for one in wanted], inputs=pymc_model.free_RVs, mode="FAST_COMPILE")
    differences = []
    for _ in range(20):
        free = free_point(model, rng)
        found = dict(zip(wanted, follows(free), strict=True))
        mu, tau, rho, theta = (found[one] for one in wanted[:4])
        expected = multivariate_normal.logpdf(mu, MU.mean, covariance(MU)) + halfnorm.logpdf(tau, scale=(0.6, 0.3)).sum()
        # tau = scale exp(log_spread) and, where it is free, rho = tanh(z_rho), uniform.
        expected += np.log(tau).sum() + (np.log(1 - rho**2) if "z_rho" in free else 0.0)
        for row, trial in enumerate(model.trials):
            # The density of z is that of theta times the area that a unit of z covers.
            expected += multivariate_normal.logpdf(theta[row], mu, between(tau, rho)) + np.log(tau.prod()) + np.log(1 - rho**2) / 2
            as_exchangeable = likelihood(trial, theta[row])
            if model.exnex is None:
                expected += as_exchangeable
                continue
            own, weight = found["theta_own"][row], model.weights[row]
            expected += multivariate_normal.logpdf(own, OWN[row].mean, covariance(OWN[row]))
            parts = np.log([weight, 1 - weight]) + np.array([as_exchangeable, likelihood(trial, own)])
            expected += logsumexp(parts)
            np.testing.assert_allclose(found["p_ex"][row], np.exp(parts[0] - logsumexp(parts)), rtol=1e-9, atol=1e-12)
        differences.append(log_posterior(free) - expected)
    # 1e-9: rounding, of log densities of up to 100.
    np.testing.assert_allclose(differences, differences[0], rtol=0, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(("weight", "same"), [(1.0, "fixed"), (0.0, "own")])
def test_weights_of_one_and_nought_leave_no_mixture(weight, same):
    """With weight 1 it is the exchangeable model, with weight 0 the trials have their own priors; gradients are finite."""
    import pytensor.gradient as gradient

    model, rng = hierarchical(weight=weight).to_pymc(DATA), np.random.default_rng(5)
    log_posterior = model.compile_logp(mode="FAST_COMPILE")
    slope = model.compile_fn(gradient.grad(model.logp(), model.value_vars), inputs=model.value_vars, mode="FAST_COMPILE")
    plain = MODELS["fixed"].to_pymc(DATA).compile_logp(mode="FAST_COMPILE")
    prior = MODELS["fixed"].to_pymc(NOBODY).compile_logp(mode="FAST_COMPILE")
    for _ in range(5):
        free = free_point(hierarchical(weight=weight), rng)
        expected = norm.logpdf(free["z_own"]).sum()
        exchangeable = {name: value for name, value in free.items() if name != "z_own"}
        if same == "fixed":
            expected += plain(exchangeable)
        else:
            theta = [np.array(prior.mean) + prior.factor @ z for prior, z in zip(OWN, free["z_own"], strict=True)]
            expected += prior(exchangeable) + sum(likelihood(*one) for one in zip(TRIALS, theta, strict=True))
        np.testing.assert_allclose(log_posterior(free), expected, rtol=0, atol=1e-9)
        assert all(np.all(np.isfinite(part)) for part in slope(free))


@pytest.mark.slow
def test_pymc_samples_the_prior_and_predicts():
    import pymc as pm

    found = pm.sample_prior_predictive(
        4000, model=MODELS["exnex uniform"].to_pymc(DATA), random_seed=1, compile_kwargs={"mode": "FAST_COMPILE"}
    )
    prior = found["prior"]
    # Of each variable mean and mean square, hand-checked; tau: half-normal; rho: uniform; theta: the sum of mu's and tau's.
    scale = np.array([0.6, 0.3])
    expected = {
        "mu": (MU.mean, np.square(MU.mean) + np.square(MU.sd)),
        "tau": (scale * (2 / np.pi) ** 0.5, scale**2),
        "rho": (0.0, 1 / 3),
        "theta": (MU.mean, np.square(MU.mean) + np.square(MU.sd) + scale**2),
        "theta_own": ([one.mean for one in OWN], [np.square(one.mean) + np.square(one.sd) for one in OWN]),
    }
    for name, moments in expected.items():
        draws = prior[name].to_numpy()[0]
        for power, value in enumerate(moments, 1):
            # Five standard errors.
            assert np.all(np.abs((draws**power).mean(axis=0) - value) < 5 * (draws**power).std(axis=0) / 4000**0.5), name
    np.testing.assert_array_equal(np.isnan(prior["p"].to_numpy()[0, 0]), [[False] * 3, [False, False, True]])
    dlts = found["prior_predictive"]["dlts"]
    assert dlts.dims == ("chain", "draw", "trial", "dose")
    assert np.all(dlts.to_numpy() <= MODELS["fixed"].tables(DATA)[0])
    share = 0.6 * prior["p"].to_numpy()[0, :, 0] + 0.4 * prior["p_own"].to_numpy()[0, :, 0]
    off = dlts.to_numpy()[0, :, 0] / DATA["AS"][0] - share
    assert np.all(np.abs(off.mean(axis=0)) < 5 * off.std(axis=0) / 4000**0.5)


def test_shapes_by_hand():
    """With tau 2 and 3 and all of z at 1, theta is mu + 2 (rho + sqrt(1 - rho^2)) and mu + 3."""
    model = hierarchical(rho=0.6, tau_scale=(2.0, 3.0))
    free = {"z_mu": np.zeros((1, 1, 2)), "log_spread": np.zeros((1, 1, 2)), "z": np.ones((1, 1, 2, 2))}
    posterior = given(model, free)
    np.testing.assert_allclose(posterior.mu, [[[-1.7, 0.0]]])
    np.testing.assert_allclose(posterior.tau, [[[2.0, 3.0]]])
    np.testing.assert_allclose(posterior.rho, [[0.6]])
    np.testing.assert_allclose(posterior.trials["DLC"].draws(1), [[[-1.7 + 2 * 1.4, 3.0]]])
    np.testing.assert_allclose(model.numbers()["at"], [np.log([1 / 3, 1, 5 / 3]), [np.log(1 / 3), np.log(4 / 3), 0]])
    assert model.structure == (2, 3, False, False)
    np.testing.assert_array_equal(model.has_dose, [[True] * 3, [True, True, False]])


def test_a_new_trial_is_spread_about_mu():
    model, still = hierarchical(rho=0.6, tau_scale=(2.0, 3.0)), np.zeros((4, 1000, 2))
    new = given(model, {"z_mu": still, "log_spread": still, "z": np.zeros((4, 1000, 2, 2))}).new_trial((1.0, 2.0))
    theta = new.draws(4000).reshape(-1, 2)
    # Five standard errors of 4000 independent draws.
    assert np.all(np.abs(theta.mean(axis=0) - MU.mean) < 5 * np.array([2.0, 3.0]) / 4000**0.5)
    np.testing.assert_allclose(theta.std(axis=0), (2.0, 3.0), rtol=5 / 8000**0.5)
    assert abs(np.corrcoef(theta.T)[0, 1] - 0.6) < 5 * (1 - 0.6**2) / 4000**0.5


def given(model, free, data=DATA, seed=0):
    """A posterior with draws of the free variables, without compiling and sampling."""

    class Given(mcmc.Sampler):
        name = "given"

        def __init__(self, model, names, settings):
            self.names = names

        def sample(self, data, starts, seed, target_accept):
            return [free[name] for name in self.names], np.zeros(free["z_mu"].shape[:2], bool)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(mcmc.SAMPLERS, "given", Given)
        patch.setattr(HierarchicalLogistic, "to_pymc", lambda *words: None)
        fit = HierarchicalFit(model, sampler="given")
    return HierarchicalPosterior(fit, data, seed)


def from_prior(model, chains=4, draws=1000, seed=7):
    free = model.starts(chains * draws, np.random.default_rng(seed))
    return {name: value.reshape(chains, draws, *value.shape[1:]) for name, value in free.items()}


def test_draws_before_any_data():
    """Each trial's curve has the moments of the prior, P(EX) is the weight, and nothing speaks against such draws."""
    model = hierarchical("uniform", weight=(0.5, 1.0))
    posterior = given(model, from_prior(model), NOBODY)
    assert posterior.problems() == []
    np.testing.assert_array_equal(posterior.exchangeable(), ([0.5, 1.0], [0.0, 0.0]))
    for name, trial in posterior.trials.items():
        (mean, mean_error), (sd, sd_error) = trial.parameters()
        prior = trial.curve.pooled.prior[0] if isinstance(trial.curve.pooled.prior, tuple) else trial.curve.pooled.prior
        assert np.all(np.abs(mean - prior.mean) < 5 * mean_error), name
        assert np.all(np.abs(sd - prior.sd) < 5 * sd_error), name
    # The new trial is like DLC before its data, without being the same draws.
    new = posterior.new_trial((1.0, 4.0))
    figures = [one.moments()[0] for one in (new, posterior.trials["DLC"])]
    assert np.all(np.abs(figures[0].value - figures[1].value) < 5 * np.hypot(figures[0].error, figures[1].error))
    assert not np.array_equal(new.draws(100), posterior.trials["DLC"].draws(100))
    np.testing.assert_array_equal(new.n, [0, 0])


def test_a_trial_is_drawn_as_exchangeable_as_often_as_it_is():
    model = MODELS["exnex"]
    free = from_prior(model)
    posterior = given(model, free)
    own = np.array(OWN[0].mean) + np.einsum("ij,cdj->cdi", OWN[0].factor, free["z_own"][:, :, 0])
    theta = posterior.trials["AS"].draws(10**6)
    is_own = np.all(theta == own, axis=-1)
    share = posterior.p_ex[..., 0].mean()
    assert 0.1 < share < 0.9
    # Five standard errors of 4000 draws.
    assert abs((~is_own).mean() - share) < 5 * (share * (1 - share) / 4000) ** 0.5
    exchangeable = posterior.exchangeable()
    np.testing.assert_allclose(exchangeable.value, posterior.p_ex.mean(axis=(0, 1)))
    assert np.all(exchangeable.error > 0)


def test_a_window_of_its_own():
    """A trial's DLT probabilities are over its own window; what it shares with the others, and theta, are over one."""
    free = from_prior(MODELS["windows"], draws=10)
    long, short = (given(MODELS[name], free).trials["DLC"] for name in ("windows", "fixed"))
    np.testing.assert_array_equal(long.draws(40), short.draws(40))
    np.testing.assert_allclose(long._p, 1 - (1 - short._p) ** 3, rtol=1e-12)
    assert long.curve.windows == 3.0


def test_convergence_of_shared_parameters_is_checked():
    """Where the chains disagree on tau no trial is to be trusted."""
    free = from_prior(MODELS["fixed"])
    free["log_spread"][3, :, 1] += 2.0
    # The trials themselves do not show it.
    free["z"] *= 1e-9
    posterior = given(MODELS["fixed"], free)
    assert [words.partition(" is ")[0] for words in posterior.problems() if "R-hat" in words] == ["AS: R-hat", "DLC: R-hat"]


def test_summary_takes_each_trial():
    model = MODELS["exnex"]
    now, before = (given(model, from_prior(model), data) for data in (DATA, NOBODY))
    for trial in TRIALS:
        found = summary(
            now.trials[trial.name],
            before.trials[trial.name],
            target=0.25,
            interval=(0.16, OVER),
            rule=RP2D(limit=0.25),
            amounts=trial.doses,
            unit="10^6 cells/kg",
        )
        assert found.sizes["dose"] == len(trial.doses)
        np.testing.assert_allclose(found["mtd"].sum(), 1.0)
        assert list(found["parameter"].to_numpy()) == ["log_alpha", "log_beta"]
        assert np.all(found["p_over_se"] > 0)


def test_sentences_state_the_pooled_quantity():
    said = " ".join(MODELS["exnex uniform"].sentences())
    for words in (
        "pooled: DLT over 28 days after one infusion.",
        "half-normal priors with scales 0.6 and 0.3",
        "correlation has a uniform prior between -1 and 1",
        "With so few trials, the amount of borrowing",
        "DLC is exchangeable with prior probability 0.6; ",
    ):
        assert words in said


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"pooled": " - "}, "pooled = ' - ': must state what is pooled"),
        ({"pooled": ""}, "pooled = '': must be text of 1 to 200 characters"),
        ({"trials": ()}, r"trials = \(\): must have at least 1 entry"),
        ({"trials": (TRIALS[0], TRIALS[0])}, "trials = .*: must have different names, but two are named 'AS'"),
        ({"trials": (TRIALS[0], TrialDoses(name="mg", doses=(1000.0, 4000.0)))}, "too far from the doses of 'mg'"),
        ({"reference": 10.5}, "reference = 10.5 is too far from the doses of 'AS': it must be between 0.5 and 10"),
        ({"reference": -1.0}, "reference = -1.0: must be greater than 0"),
        ({"exnex": Exnex(weight=(0.5, 0.5, 0.5), prior=OWN)}, "exnex.weight has 3 entries: must be one for all trials or 2"),
        ({"exnex": Exnex(weight=0.5, prior=OWN[:1])}, "exnex.prior has 1 entries: must be one for all trials or 2"),
        ({"borrow": True}, "borrow = True: unknown key"),
    ],
)
def test_bad_models(settings, said):
    with pytest.raises(InputError, match=said):
        hierarchical(**settings)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Exchangeable(mu=MU, rho=0.0), "tau_scale: required, but missing"),
        (lambda: Exchangeable(mu=MU, tau_scale=(0.5, 0.0), rho=0.0), r"tau_scale\[2\] = 0.0: must be greater than 0"),
        (lambda: Exchangeable(mu=MU, tau_scale=(0.5, 11.0), rho=0.0), "must be scales of at most 10"),
        (lambda: Exchangeable(mu=MU, tau_scale=(0.5, 0.3), rho=1.0), "rho = 1.0: must be between -1 and 1"),
        (lambda: Exchangeable(mu=MU, tau_scale=(0.5, 0.3), rho="normal"), "rho = 'normal': must be a number or 'uniform'"),
        (
            lambda: Exchangeable(mu=MU.model_copy(update={"weight": 2.0}), tau_scale=(0.5, 0.3), rho=0.0),
            "weight = 2 has no effect",
        ),
        (lambda: Exnex(weight=1.5, prior=OWN), "weight = 1.5: must be less than or equal to 1"),
        (lambda: Exnex(weight=0.5), "prior: required, but missing"),
        (lambda: TrialDoses(name="A", doses=(3.0, 1.0)), r"doses = \(3.0, 1.0\): must hold one amount .*strictly increasing"),
        (lambda: TrialDoses(name="A\n", doses=(1.0,)), "name = .*control character"),
        (
            lambda: HierarchicalLogistic.read({"pooled": "DLT", "trials": [{"name": "A", "doses": [3, 1]}]}),
            r"trials\[1\].doses = \[3, 1\]: must hold one amount",
        ),
    ],
)
def test_bad_settings(make, said):
    with pytest.raises(InputError, match=said):
        make()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"AS": DATA["AS"]}, "DLC: no counts for this trial"),
        (DATA | {"DLX": DATA["AS"]}, "trial = 'DLX': must be one of 'AS', 'DLC'; did you mean"),
        (DATA | {"DLC": ((3, 3, 3), (0, 0, 0))}, r"DLC.n = \[3, 3, 3\]: must be 2 whole numbers"),
        (DATA | {"DLC": ((3, 3), (0, 4))}, r"DLC.y = \[0, 4\]: must not exceed the patients at the dose: level 2 has 3"),
        (DATA | {"DLC": (3,)}, r"DLC = \(3,\): must be two lists, patients and DLTs"),
        (DATA | {"DLC": None}, "DLC = None: must be two lists, patients and DLTs"),
    ],
)
def test_bad_data(data, said):
    with pytest.raises(InputError, match=said):
        MODELS["fixed"].to_pymc(data)


def test_bad_questions():
    posterior = given(MODELS["fixed"], from_prior(MODELS["fixed"], draws=10))
    with pytest.raises(InputError, match="must have the structure of the model that was compiled"):
        HierarchicalPosterior(posterior.fit, DATA, 0, MODELS["uniform"])
    with pytest.raises(InputError, match="seed = -1: must be a whole number from 0 to"):
        HierarchicalPosterior(posterior.fit, DATA, -1)
    with pytest.raises(InputError, match=r"doses = .*strictly increasing"):
        posterior.new_trial((3.0, 1.0))
    with pytest.raises(InputError, match="reference = 3 is too far from the doses"):
        posterior.new_trial((1000.0, 3000.0))


class Integral:
    """The posterior by integrating over mu, tau and rho on a grid, and within it over each trial's two parameters.

    Given (mu, tau, rho) the trials are independent. ``ERROR`` is what finer steps move means by, and probabilities, at most.
    """

    ERROR = (2e-4, 2e-3)

    def __init__(self, model, mu_step=0.45, taus=7, rhos=4, step=0.75):
        self.model, self.step, self.total, self.sums = model, step, 0.0, {}
        self.own = [self._own(*one) for one in zip(model.trials, OWN, strict=True)]
        z_mu = _grid(mu_step)
        mu, mu_weight = np.array(MU.mean) + z_mu @ MU.factor.T, norm.pdf(z_mu).prod(axis=1)
        nodes, height = np.polynomial.legendre.leggauss(taus)
        scaled = (nodes + 1) / 2 * 4.5
        rho_nodes = [(model.exchangeable.rho, 1.0)]
        if model.exchangeable.rho == "uniform":
            rho_nodes = np.column_stack(np.polynomial.legendre.leggauss(rhos))
        for (a, b), (rho, rho_weight) in itertools.product(itertools.product(range(taus), repeat=2), rho_nodes):
            tau = scaled[[a, b]] * model.exchangeable.tau_scale
            weight = rho_weight * (height * halfnorm.pdf(scaled))[[a, b]].prod()
            self._add(mu_weight * weight, mu, tau, rho)
        self.values = {name: value / self.total for name, value in self.sums.items()}

    def _add(self, outer, mu, tau, rho):
        evidence, columns, exchangeable, found = [], [], [], {}
        for weight, trial, own in zip(self.model.weights, self.model.trials, self.own, strict=True):
            prior, posterior = _inner(trial, mu, tau, rho, self.step)
            both = posterior if self.model.exnex is None else weight * posterior + (1 - weight) * own
            evidence.append(both[:, 0])
            columns.append(both[:, 1:])
            exchangeable.append(weight * posterior[:, 0])
            found.setdefault("new", prior[:, 1:])
        joint = outer * np.prod(evidence, axis=0)
        self.total += joint.sum()
        names = self.model.names
        found |= {name: column / mass[:, None] for name, column, mass in zip(names, columns, evidence, strict=True)}
        found["p_ex"] = np.column_stack(exchangeable) / np.column_stack(evidence)
        found |= {"mu": mu, "tau": np.tile(tau, (len(mu), 1)), "rho": np.full((len(mu), 1), rho)}
        for name, value in found.items():
            self.sums[name] = self.sums.get(name, 0.0) + joint @ value

    def _own(self, trial, prior):
        return _inner(trial, np.array([prior.mean]), np.array(prior.sd), prior.correlation, self.step / 4)[1]


def _grid(step, reach=4.5):
    line = np.arange(-np.floor(reach / step), np.floor(reach / step) + 1) * step
    grid = np.array(list(itertools.product(line, line)))
    return grid[np.hypot(*grid.T) <= reach]


def _inner(trial, mu, tau, rho, step):
    """Of 1, theta, the DLT probabilities and whether they lie below `OVER`, the integrals over ``theta ~ N(mu, ...)``, without and
    with the likelihood, each ``(len(mu), columns)``.
    """
    z, across = _grid(step), (1 - rho**2) ** 0.5
    weight = norm.pdf(z).prod(axis=1) * step**2
    theta = mu[:, None] + tau * np.column_stack([rho * z[:, 1] + across * z[:, 0], z[:, 1]])
    p = rates(trial, theta)
    # Where each dose's rate is OVER, in the first coordinate: an indicator summed over nodes would be wrong by a hundredth.
    at = logit(1 - (1 - OVER) ** (1 / trial.windows)) - np.exp(theta[..., 1:]) * np.log(np.array(trial.doses) / 3.0)
    edge = ((at - mu[:, None, :1]) / tau[0] - rho * z[:, 1:]) / across
    below = 0.5 + sici(np.pi * (edge - z[:, :1]) / step)[0] / np.pi
    columns = np.concatenate([np.ones_like(theta[..., :1]), theta, p, below], axis=-1)
    n, y = DATA[trial.name]
    chance = np.prod(p**y * (1 - p) ** np.subtract(n, y), axis=-1)
    return weight @ columns, np.einsum("z,mz,mzc->mc", weight, chance, columns)


def agree(trial, expected, error=Integral.ERROR):
    """A trial's posterior agrees with other figures of it within 6 of its errors and those of the others, of means and chances."""
    means = [np.concatenate(parts) for parts in zip(trial.parameters()[0], trial.moments()[0], strict=True)]
    chances = trial.below(OVER)
    value, own_error = (np.concatenate(parts) for parts in zip(means, chances, strict=True))
    allowed = 6 * own_error + np.repeat(error, [len(means[0]), len(chances.value)])
    assert np.all(np.abs(value - expected) < allowed), (value - expected, allowed)


@pytest.fixture(scope="module")
def fits():
    """Fits by structure, each compiled when it is first asked for."""
    made = {}

    def fit(model):
        if model.structure not in made:
            made[model.structure] = HierarchicalFit(model, NutsSettings(draws=2000, target_accept=0.95))
        return made[model.structure]

    return fit


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fixed", "windows", "exnex uniform"])
def test_against_an_integral(fits, name):
    model = MODELS[name]
    posterior, integral = HierarchicalPosterior(fits(model), DATA, 1, model), Integral(model).values
    assert posterior.problems() == []
    for trial in TRIALS:
        agree(posterior.trials[trial.name], integral[trial.name])
    agree(posterior.new_trial(TRIALS[0].doses), integral["new"])
    shared = {each: figures[0] for each, figures in posterior.parameters().items()}
    if model.exnex:
        shared["p_ex"] = posterior.exchangeable()
    assert ("rho" in shared) == ("z_rho" in posterior._free)
    for each, figure in shared.items():
        assert np.all(np.abs(figure.value - integral[each]) < 6 * figure.error + Integral.ERROR[0]), each


def exact(doses, prior, n, y):
    fit = ExactFit(Logistic2(doses=doses, reference=3.0, prior=prior), (OVER,))
    posterior = ExactPosterior(fit, np.array(n), np.array(y))
    figures = [posterior.parameters()[0], posterior.moments()[0], posterior.below(OVER)]
    return np.concatenate([figure.value for figure in figures])


@pytest.mark.slow
def test_without_spread_the_trials_are_one(fits):
    model = hierarchical(tau_scale=(1e-4, 1e-4))
    posterior = HierarchicalPosterior(fits(model), DATA, 2, model)
    assert posterior.problems() == []
    # Doses 1, 3, 4 and 5 of both trials together; of these figures those at each trial's own doses.
    pooled = exact((1.0, 3.0, 4.0, 5.0), MU, (6, 6, 6, 6), (0, 1, 0, 2))
    for trial, at in zip(TRIALS, ([0, 1, 3], [0, 2]), strict=True):
        expected = np.concatenate([pooled[:2], pooled[2:].reshape(2, 4)[:, at].ravel()])
        # 1e-4: twice the spread that is left, on the logit scale, moves no figure further.
        agree(posterior.trials[trial.name], expected, error=(1e-4, 1e-4))


@pytest.mark.slow
def test_with_much_spread_the_trials_are_alone(fits):
    """With tau of up to 4 and patients enough that the data rule out little spread, each trial is as if it were alone."""
    data = {"AS": ((300, 300, 300), (9, 60, 120)), "DLC": ((300, 300), (30, 120))}
    wide, tight = (hierarchical(tau_scale=(scale, scale)) for scale in (2.0, 0.05))
    apart, borrowed = (HierarchicalPosterior(fits(model), data, 3, model) for model in (wide, tight))
    # With so many patients coordinates that are not centred fit badly: a few steps of 8000 diverge, which the posterior says.
    assert all("diverged" in words for words in apart.problems())
    assert apart.trials["AS"].diagnostics()["divergences"] < 20
    # About the likelihood's maximum, and wide beside it, so that this prior says nothing either.
    for trial, centre in zip(TRIALS, ((-1.4, 0.64), (-0.8, 0.26)), strict=True):
        expected = exact(trial.doses, BivariateNormal(mean=centre, sd=(1.0, 0.7)), *data[trial.name])
        # What is left of borrowing: (standard error 0.1 / least spread that the data allow, 0.3)^2 times half the distance, 0.6.
        agree(apart.trials[trial.name], expected, error=(0.03, 0.01))
        with pytest.raises(AssertionError):
            agree(borrowed.trials[trial.name], expected, error=(0.03, 0.01))


@pytest.mark.slow
def test_exnex_without_a_choice(fits):
    """With weight 0 each trial is alone with its own prior, with weight 1 the trials are exchangeable."""
    never, always = hierarchical("uniform", weight=0.0), hierarchical("uniform", weight=1.0)
    alone = HierarchicalPosterior(fits(never), DATA, 4, never)
    np.testing.assert_array_equal(alone.exchangeable(), ([0.0, 0.0], [0.0, 0.0]))
    for trial, prior in zip(TRIALS, OWN, strict=True):
        agree(alone.trials[trial.name], exact(trial.doses, prior, *DATA[trial.name]), error=(0.0, 0.0))
    together = HierarchicalPosterior(fits(always), DATA, 4, always)
    integral = Integral(MODELS["uniform"]).values
    for trial in TRIALS:
        agree(together.trials[trial.name], integral[trial.name])
    for posterior in (alone, together):
        assert posterior.problems() == []


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bits(fits):
    fit, other = fits(MODELS["fixed"]), hierarchical(tau_scale=(1.0, 1.0))
    first = HierarchicalPosterior(fit, DATA, 5, MODELS["fixed"])
    HierarchicalPosterior(fit, NOBODY, 6, other)
    again = HierarchicalPosterior(fit, DATA, 5, MODELS["fixed"])
    np.testing.assert_array_equal(first.trials["AS"].draws(8000), again.trials["AS"].draws(8000))
    np.testing.assert_array_equal(first.new_trial((1.0, 2.0)).draws(8000), again.new_trial((1.0, 2.0)).draws(8000))


# Faults that these tests must notice.

FAULTS = {
    "the spread between trials has no scale": (
        "dosefind.models.hierarchical:population",
        lambda old: lambda free, given, xp=np: old(free, given | {"tau_scale": np.ones(2)}, xp),
        test_shapes_by_hand,
    ),
    "a trial of three windows is one of one": (
        "dosefind.models.logistic2:over_windows",
        lambda _: lambda log_p, log_q, windows, xp=np: (log_p, log_q),
        test_a_window_of_its_own,
    ),
}

test_fault_is_caught = faults(FAULTS)
