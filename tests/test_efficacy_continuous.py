"""The exact average over dose-response shapes: by draws of its own, by brute-force integration, by NUTS, and calibrated."""

from functools import cached_property

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import multivariate_t
from scipy.stats import t as student

import dosefind as dsf
from dosefind.calibration.bands import excess, histogram
from dosefind.efficacy.continuous import KINDS, ChangePosterior, ChangePrior, shapes

from .planted import faults

DOSES = (1.0, 2.0, 4.0)
PRIOR = ChangePrior(residual_sd=4.0, df=4.0, mean=-1.0)
LEVEL = np.repeat([1, 2, 3], 6)
BASELINE = np.array([18.0, 22, 15, 20, 25, 17, 19, 21, 24, 16, 18, 23, 20, 26, 14, 19, 22, 17])
CHANGE = np.array([0.5, -3, 2, -1, -6, 1.5, -4, -2, -6.5, 1, -3, -7, -2.5, -8, 3, -1, -5, 0.5])
DRAWS = 1_000_000


@pytest.fixture(scope="module")
def found():
    return ChangePosterior(DOSES, LEVEL, CHANGE, PRIOR, baseline=BASELINE)


def draws(doses, prior, level, change, baseline, count, seed):
    """Means by dose and residual standard deviations from the posterior: textbook conjugate regression, one shape at a time."""
    rng, rows = np.random.default_rng(seed), shapes(doses)
    centred = baseline - baseline.mean()
    start = np.array([prior.mean, 0.0, 0.0])
    root = np.array([prior.mean_sd, prior.slope_sd / prior.residual_sd, prior.effect_sd])
    fits, evidence = [], []
    for values in rows.values:
        x = np.column_stack([np.ones(len(change)), centred, values[level - 1]])
        before = np.diag(root**2)
        spread = np.eye(len(change)) + x @ before @ x.T
        # The changes are multivariate t a priori.
        evidence.append(multivariate_t(x @ start, prior.residual_sd**2 * spread, prior.df).logpdf(change))
        after = np.linalg.inv(np.diag(root**-2) + x.T @ x)
        mean = after @ (np.diag(root**-2) @ start + x.T @ change)
        away = change - x @ start
        squares = prior.df * prior.residual_sd**2 + away @ np.linalg.solve(spread, away)
        fits.append((mean, np.linalg.cholesky(after), squares))
    joint = np.array(evidence) + np.log(rows.weight)
    share = np.exp(joint - joint.max())
    sizes = rng.multinomial(count, share / share.sum())
    means, sds = [], []
    for (mean, factor, squares), values, size in zip(fits, rows.values, sizes, strict=True):
        sigma = np.sqrt(squares / rng.chisquare(prior.df + len(change), size))
        beta = mean + sigma[:, None] * (rng.normal(size=(size, 3)) @ factor.T)
        means.append(beta[:, :1] + beta[:, 2:] * values)
        sds.append(sigma)
    return np.concatenate(means), np.concatenate(sds), float(np.log(share.sum()) + joint.max())


def near(value, sample):
    """Whether a value is within five standard errors of a mean of independent draws, by column."""
    error = sample.std(axis=0) / len(sample) ** 0.5
    np.testing.assert_array_less(np.abs(sample.mean(axis=0) - value), 5 * error + 1e-12)


@pytest.mark.slow
def test_posterior_against_a_million_draws(found):
    means, sigma, log_evidence = draws(DOSES, PRIOR, LEVEL, CHANGE, BASELINE, DRAWS, 1)
    # Both closed: rounding only.
    assert found.log_evidence == pytest.approx(log_evidence, abs=1e-9)
    near(found.mean(), means)
    near(found.mean() ** 2 + found.sd() ** 2, means**2)
    near(found.below(-2.0), means < -2.0)
    quantiles = found.quantiles((0.025, 0.5, 0.975))
    for probability, at in zip((0.025, 0.5, 0.975), quantiles.T, strict=True):
        near(probability, means < at)
    # Of equal means the lowest dose: equal up to rounding.
    best = np.argmax(means <= means.min(axis=1, keepdims=True) + 1e-9, axis=1)
    near(found.p_best(), np.eye(3)[best])
    near(found.within(0.5), means <= means.min(axis=1, keepdims=True) + 0.5 + 1e-9)
    near(found.within(0.0), means <= means.min(axis=1, keepdims=True) + 1e-9)
    near(found.expected_loss(), means - means.min(axis=1, keepdims=True))
    near(found.expected_loss((2, 3))[1:], means[:, 1:] - means[:, 1:].min(axis=1, keepdims=True))
    near(found.p_best((1, 3))[[0, 2]], np.eye(2)[np.argmin(means[:, [0, 2]] - [1e-9, 0], axis=1)])
    new = means + sigma[:, None] * np.random.default_rng(2).normal(size=means.shape)
    points = [(-8.0, 100.0), (-3.0, 70.0), (0.0, 20.0), (5.0, 0.0)]
    near(found.predictive_mean(points), np.interp(new, *zip(*points, strict=True)))


def test_equal_doses_share_the_probability_of_being_best():
    """Without data no dose is favoured by its place under a flat shape; with all doses flat each has the same probability."""
    flat = ChangePosterior((1, 2, 4), [1, 2, 3], [0.0, -1.0, 0.5], PRIOR, kinds=("flat",))
    np.testing.assert_allclose(flat.p_best(ties="shared"), [1 / 3] * 3, atol=1e-12)
    assert flat.p_best().tolist() == [1, 0, 0]
    assert flat.p_equal() == 1
    # A plateau is equal from its dose on: half of the time it rises to the two higher doses, else the lowest is best.
    plateau = ChangePosterior((1, 2, 4), [], [], PRIOR, kinds=("plateau",))
    np.testing.assert_allclose(plateau.p_best(ties="shared"), [0.5, 0.25, 0.25], atol=1e-12)
    assert plateau.p_equal() == 0
    assert plateau.p_equal((2, 3)) == 1


def test_higher_is_better_is_the_mirror_image(found):
    mirrored = ChangePosterior(DOSES, LEVEL, -CHANGE, PRIOR.model_copy(update={"mean": 1.0}), baseline=-BASELINE, better="higher")
    for name in ("p_best", "expected_loss"):
        np.testing.assert_allclose(getattr(mirrored, name)(), getattr(found, name)(), atol=1e-12)
    np.testing.assert_allclose(mirrored.mean(), -found.mean(), atol=1e-12)


@pytest.mark.parametrize("unit", [0.1, 30.0])
def test_the_unit_of_the_endpoint_does_not_matter(found, unit):
    prior = ChangePrior(residual_sd=4.0 * unit, df=4.0, mean=-unit)
    other = ChangePosterior(DOSES, LEVEL, CHANGE * unit, prior, baseline=BASELINE * unit)
    np.testing.assert_allclose(other.mean() / unit, found.mean(), rtol=1e-10)
    np.testing.assert_allclose(other.p_best(), found.p_best(), rtol=1e-10)


def test_evidence_of_a_flat_response_by_integration():
    """One patient, no baseline: the density of a change by integrating over the mean and the variance, one after the other."""
    prior = ChangePrior(residual_sd=2.0, df=5.0, mean=0.5, mean_sd=1.5)
    one = ChangePosterior((1.0,), [1], [3.0], prior)
    # A scaled t: the mean integrated out by hand, the variance numerically.
    scale = 2.0 * (1 + 1.5**2) ** 0.5

    def density(precision):
        normal = np.exp(-0.5 * precision * (2.5 / scale) ** 2) * (precision / (2 * np.pi)) ** 0.5 / scale
        return normal * (2.5**2.5 / 1.329340388179137) * precision**1.5 * np.exp(-2.5 * precision)

    value, error = quad(density, 0, np.inf, epsabs=1e-12)
    assert np.exp(one.log_evidence) == pytest.approx(value, abs=10 * error)
    assert np.exp(one.log_evidence) == pytest.approx(student(5, 0.5, scale).pdf(3.0), rel=1e-12)


def test_without_data_the_posterior_is_the_prior():
    empty = ChangePosterior(DOSES, [], [], PRIOR)
    assert empty.n.tolist() == [0, 0, 0]
    np.testing.assert_allclose(empty.mean(), -1.0)
    np.testing.assert_allclose(list(empty.kind_weights().values()), 1 / 6)
    assert empty.log_evidence == pytest.approx(0.0, abs=1e-12)


def test_one_dose_tried_says_nothing_of_the_shape():
    """The shapes keep their prior weights where the only dose is the one to which all are tied."""
    single = ChangePosterior(DOSES, [1] * 6, CHANGE[:6], PRIOR)
    np.testing.assert_allclose(single.shape_weights, single.shapes.weight, rtol=1e-9)
    assert (single.sd()[1:] > single.sd()[0]).all()


def test_shapes():
    rows = shapes((1.0, 3.0, 5.0, 9.0))
    assert set(rows.kind) == set(KINDS)
    np.testing.assert_allclose(rows.weight.sum(), 1)
    assert (rows.values[:, 0] == 0).all()
    np.testing.assert_allclose(np.abs(rows.values).max(axis=1)[np.array(rows.kind) != "flat"], 1)
    monotone = np.isin(rows.kind, ("linear", "emax", "sigmoid", "plateau"))
    assert (np.diff(rows.values[monotone], axis=1) >= 0).all()
    assert (np.diff(rows.values[~monotone & (np.array(rows.kind) == "umbrella")], axis=1).min(axis=1) < 0).all()
    assert set(shapes((1.0, 3.0)).kind) == {"flat", "linear", "emax", "sigmoid"}
    assert shapes((2.0,)).kind == ("flat",)


BAD = [
    ("doses", {"doses": (1.0, 1.0)}),
    ("doses", {"doses": (0.0, 1.0)}),
    ("level", {"level": [1, 4]}),
    ("level", {"level": [0, 1]}),
    ("change", {"change": [1.0]}),
    ("change", {"change": [1.0, np.nan]}),
    ("baseline", {"baseline": [1.0]}),
    ("better", {"better": "more"}),
    ("kinds", {"kinds": ("line",)}),
    ("kinds", {"kinds": ()}),
]


@pytest.mark.parametrize(("place", "changed"), BAD)
def test_bad_input_is_named(place, changed):
    given = {"doses": DOSES, "level": [1, 2], "change": [0.0, 1.0], "prior": PRIOR} | changed
    with pytest.raises(dsf.InputError, match=place):
        ChangePosterior(**given)


@pytest.mark.parametrize("points", [[(0, 1)], [(1, 0), (0, 1)], [(0, np.inf), (1, 0)], "ab"])
def test_bad_utilities_of_a_change_are_named(found, points):
    with pytest.raises(dsf.InputError, match="points"):
        found.predictive_mean(points)


def test_prior_information_is_multiplied():
    doubled = PRIOR.times(2)
    assert doubled.df == 8
    np.testing.assert_allclose([doubled.mean_sd**-2, doubled.effect_sd**-2], [2 * PRIOR.mean_sd**-2, 2 * PRIOR.effect_sd**-2])
    with pytest.raises(dsf.InputError, match="df"):
        ChangePrior(residual_sd=1.0, df=0.5)
    with pytest.raises(dsf.InputError, match="residual_sd"):
        ChangePrior()


def pit(count, seed):
    """Ranks of means drawn from the prior in their exact posteriors, ``(doses + 1, count)``; the last of a difference."""
    rng, rows = np.random.default_rng(seed), shapes(DOSES)
    found = []
    for _ in range(count):
        values = rows.values[rng.choice(len(rows.weight), p=rows.weight)]
        sigma = PRIOR.residual_sd * (PRIOR.df / rng.chisquare(PRIOR.df)) ** 0.5
        b0 = PRIOR.mean + PRIOR.mean_sd * sigma * rng.normal()
        b1 = PRIOR.slope_sd / PRIOR.residual_sd * sigma * rng.normal()
        means = b0 + PRIOR.effect_sd * sigma * rng.normal() * values
        change = means[LEVEL - 1] + b1 * (BASELINE - BASELINE.mean()) + sigma * rng.normal(size=len(LEVEL))
        after = ChangePosterior(DOSES, LEVEL, change, PRIOR, baseline=BASELINE)
        found.append([after.below(float(mean))[d] for d, mean in enumerate(means)])
    return np.array(found).T


@pytest.mark.slow
def test_simulation_based_calibration():
    """PIT values are uniform within simultaneous bands that a correct posterior leaves once in a thousand tests."""
    assert (excess(histogram(pit(600, 5)), 1e-3) <= 0).all()


@pytest.mark.slow
def test_against_nuts(found):
    """Means and shape weights by NUTS on the model with the shape summed out, within four Monte Carlo standard errors."""
    import arviz as az
    import pymc as pm
    import pytensor.tensor as pt

    rows, unit = shapes(DOSES), PRIOR.residual_sd
    centred = BASELINE - BASELINE.mean()
    with pm.Model():
        precision = pm.Gamma("precision", PRIOR.df / 2, PRIOR.df / 2)
        z = pm.Normal("z", size=3)
        sigma = unit * precision**-0.5
        b0, b1 = PRIOR.mean + PRIOR.mean_sd * sigma * z[0], PRIOR.slope_sd * sigma / unit * z[1]
        b2 = PRIOR.effect_sd * sigma * z[2]
        fitted = b0 + b1 * centred + b2 * rows.values[:, LEVEL - 1]
        each = (-0.5 * ((CHANGE - fitted) / sigma) ** 2 - pt.log(sigma)).sum(axis=1) + np.log(rows.weight)
        pm.Potential("likelihood", pm.math.logsumexp(each))
        share = pm.Deterministic("share", pt.exp(each - pm.math.logsumexp(each)))
        mean = pm.Deterministic("mean", (share[:, None] * (b0 + b2 * rows.values)).sum(axis=0))
        pm.Deterministic("square", (share[:, None] * (b0 + b2 * rows.values) ** 2).sum(axis=0))
        del mean
        drawn = pm.sample(3000, tune=2000, chains=4, cores=1, random_seed=3, target_accept=0.95, progressbar=False).posterior
    kinds = np.array(rows.kind)
    by_kind = {kind: drawn["share"].values[..., kinds == kind].sum(axis=-1) for kind in KINDS}
    exact = [*found.mean(), *(found.mean() ** 2 + found.sd() ** 2), *found.kind_weights().values()]
    columns = [*np.moveaxis(drawn["mean"].values, -1, 0), *np.moveaxis(drawn["square"].values, -1, 0), *by_kind.values()]
    for value, draws_of in zip(exact, columns, strict=True):
        assert abs(draws_of.mean() - value) < 4 * float(az.mcse(draws_of))


def _unweighted(old):
    """Average over shapes by their prior weights: the data do not judge the shapes."""
    fault = cached_property(lambda self: self.shapes.weight)
    fault.__set_name__(ChangePosterior, "shape_weights")
    return fault


def _too_few(old):
    """Divide the sum of squares by too few degrees of freedom."""

    def fit(self):
        mean, covariance, df, scale, evidence = old.func(self)
        return mean, covariance, df, scale * df / (df - 12), evidence

    fault = cached_property(fit)
    fault.__set_name__(ChangePosterior, "_fit")
    return fault


FAULTS = {
    "shapes not weighted by evidence": (
        "dosefind.efficacy.continuous:ChangePosterior.shape_weights",
        _unweighted,
        lambda: test_posterior_against_a_million_draws(ChangePosterior(DOSES, LEVEL, CHANGE, PRIOR, baseline=BASELINE)),
    ),
    "a wrong residual variance": (
        "dosefind.efficacy.continuous:ChangePosterior._fit",
        _too_few,
        test_simulation_based_calibration,
    ),
}
test_fault_is_caught = faults(FAULTS)
