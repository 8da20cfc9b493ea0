"""Calibration: every model and engine passes, wrong ones fail, bands are what they say, any number of workers gives the same bits.

In CI each model and engine is calibrated on 100 data sets, 50 a layout (those of several trials on 50); the stored results of many
more must be of the code as it is. Seeds are fixed, so that a false alarm is one once and for all: under these seeds there is none.
"""

import os
import signal
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
from scipy.stats import binom

from benchmarks.sbc import CASES, COMPARED, SEED, passes, stored
from dosefind import CRM, InputError, Logistic2, Power, ThreePlusThree, calibrate
from dosefind.blocks import run
from dosefind.calibration.bands import POINTS, bands, coverage, excess, histogram
from dosefind.calibration.engines import ByHierarchicalNuts, ByNuts, ByQuadrature, ranked
from dosefind.calibration.jobs import CHUNK, DataSets
from dosefind.calibration.sbc import described
from dosefind.designs import design_from_rule
from dosefind.posterior.exact import ExactPosterior, exact_fit
from dosefind.posterior.mcmc import NutsSettings

from .peers import ROOT
from .planted import faults

POWER = Power(skeleton=(0.1, 0.2, 0.3))
BY_QUADRATURE = [name for name in CASES if name.endswith("quadrature")]
BY_NUTS = [name for name in CASES if name.endswith("nuts") and not name.startswith("hierarchical")]
HIERARCHICAL = [name for name in CASES if name.startswith("hierarchical")]
HIERARCHICAL_MODEL = CASES["hierarchical-ex-nuts"].model
# Data enough to see what a wrong analysis does to it.
MANY = {"twenty each": (20, 20, 20)}


@cache
def calibrated(name, n_sets=50):
    case = CASES[name]
    return calibrate(case.model, case.layouts, engine=case.engine, n_sets=n_sets, seed=1)


# The bands


@pytest.mark.slow
def test_band_is_left_with_its_stated_probability():
    for n_sets, level in ((50, 0.05), (400, 0.01)):
        lower, upper = bands(n_sets, level)
        exact = 1 - coverage(n_sets, np.rint(lower * n_sets).astype(int), np.rint(upper * n_sets).astype(int))
        # Counts are whole numbers, so that not every level can be reached.
        assert 0.8 * level < exact <= level
        simulated = excess(histogram(np.random.default_rng(1).random((20_000, n_sets))), level) > 0
        # Four Monte Carlo standard errors.
        assert abs(simulated.mean() - exact) < 4 * (exact * (1 - exact) / 20_000) ** 0.5


def test_coverage_of_one_point_is_binomial():
    for point in (0, 36, POINTS - 2):
        least, most = np.zeros(POINTS - 1, int), np.full(POINTS - 1, 80)
        least[point], most[point] = 25, 33
        expected = binom.cdf(33, 80, (point + 1) / POINTS) - binom.cdf(24, 80, (point + 1) / POINTS)
        assert coverage(80, least, most) == pytest.approx(expected, rel=1e-10, abs=1e-14)


def test_excess_by_hand():
    lower, upper = bands(100, 0.01)
    counts = np.full(POINTS, 1)
    assert excess(counts, 0.01) == pytest.approx(-min((upper - np.arange(1, 100) / 100)[upper < 1].min(), 0.17), abs=0.02)
    all_low = np.zeros(POINTS, int)
    all_low[0] = 100
    assert excess(all_low, 0.01) == pytest.approx(1 - upper[0])
    assert excess(all_low[::-1], 0.01) == pytest.approx(lower[-1])
    # The numbers themselves, the ends included.
    assert histogram(np.array([0.0, 0.004, 0.01, 1.0])).tolist() == [2, 1, *[0] * 97, 1]


# Ranks


@pytest.mark.slow
def test_ranks_among_draws_that_hang_together_are_uniform():
    """They are thinned: unthinned, such ranks lie too often at the ends."""
    rng, keep, found = np.random.default_rng(4), 0.9, []
    for _ in range(300):
        draws = rng.normal(size=(2, 500, 1))
        for at in range(1, 500):
            draws[:, at] = keep * draws[:, at - 1] + (1 - keep**2) ** 0.5 * draws[:, at]
        found.append(ranked(draws, rng.normal(size=1), rng))
    placed, step = np.moveaxis(np.array(found)[..., 0], 0, 1)
    assert excess(histogram(placed), 0.01) <= 0
    # 1000 draws with this correlation are worth 53, of which half are kept.
    assert 1 / 53 < np.median(step) < 1 / 13


def test_ties_are_placed_at_random():
    rng = np.random.default_rng(5)
    placed = np.array([ranked(rng.integers(2, size=(2, 50, 1)), rng.integers(2, size=1), rng)[0, 0] for _ in range(400)])
    assert excess(histogram(placed), 0.01) <= 0
    # Stuck chains are no error of ours: they are what calibration finds.
    assert ranked(np.zeros((2, 50, 1)), np.ones(1), rng)[0, 0] > 0.9


# Every model and engine


def case(name, *others):
    """A set of arguments; a mixture's integrals take several seconds."""
    return pytest.param(name, *others, marks=[pytest.mark.slow] if "mixture" in name else [])


@pytest.mark.slow
@pytest.mark.parametrize("name", [case(name) for name in BY_QUADRATURE])
def test_quadrature_is_calibrated(name):
    found = calibrated(name)
    assert found.passed.all(), found.excess.to_pandas()
    integrals = found.resolution.sel(quantity=found["quantity"] != "log_likelihood")
    assert integrals.max() <= 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("name", BY_NUTS)
def test_nuts_is_calibrated(name):
    found = calibrated(name)
    assert found.passed.all(), found.excess.to_pandas()
    # The same data sets by quadrature, in whose posterior the truth lies at the same place.
    exact = calibrated(name.replace("nuts", "quadrature"))
    u, step = exact.pit.to_numpy(), found.resolution.to_numpy()
    apart = np.abs(found.pit.to_numpy() - u) / (np.sqrt(u * (1 - u) * step) + step)
    # Ranks among 1 / step independent draws; ESS, by which they are thinned, is itself an estimate.
    assert np.sqrt((apart**2).mean()) < 1.25
    assert apart.max() < 6


@pytest.mark.slow
@pytest.mark.parametrize("name", HIERARCHICAL)
def test_hierarchical_models_are_calibrated(name):
    found = calibrated(name, 25)
    assert found.passed.all(), found.excess.to_pandas()


# What is wrong is found


class Swapped(ByQuadrature):
    def posterior(self, n, y, rng):
        return super().posterior(n, n - y, rng)


class Ignoring(ByQuadrature):
    def posterior(self, n, y, rng):
        return super().posterior(0 * n, 0 * y, rng)


class Flatter(ByQuadrature):
    """The likelihood of a curve of half the slope."""

    def posterior(self, n, y, rng):
        if isinstance(self.model, Logistic2):
            far = tuple(3.0 * (dose / 3.0) ** 0.5 for dose in self.model.doses)
            changed = self.model.model_copy(update={"doses": far})
        else:
            changed = self.model.model_copy(update={"skeleton": (0.15, 0.2, 0.25)})
        return ExactPosterior(exact_fit(changed, ()), n, y)


class SwappedNuts(ByNuts):
    def posterior(self, n, y, rng):
        return super().posterior(n, n - y, rng)


class IgnoringNuts(ByNuts):
    def posterior(self, n, y, rng):
        return super().posterior(0 * n, 0 * y, rng)


class SwappedTrials(ByHierarchicalNuts):
    def posterior(self, data, rng):
        return super().posterior({name: (n, n - y) for name, (n, y) in data.items()}, rng)


class IgnoringTrials(ByHierarchicalNuts):
    def posterior(self, data, rng):
        return super().posterior({name: (0 * n, 0 * y) for name, (n, y) in data.items()}, rng)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind"),
    [*(case(name, Swapped) for name in BY_QUADRATURE), ("power-quadrature", Flatter), ("logistic-2-quadrature", Flatter)],
)
def test_a_wrong_likelihood_fails(name, kind):
    found = calibrate(CASES[name].model, MANY, engine=kind, n_sets=40)
    assert not found.passed.all(), found.excess.to_pandas()


@pytest.mark.slow
@pytest.mark.parametrize("name", BY_QUADRATURE)
def test_ignored_data_fail_by_the_likelihood_alone(name):
    found = calibrate(CASES[name].model, CASES[name].layouts, engine=Ignoring, n_sets=30)
    likelihood = found.passed.sel(quantity="log_likelihood")
    assert not likelihood.any()
    # The prior is the average of the posteriors: nothing else shows it.
    assert found.passed.drop_sel(quantity="log_likelihood").all()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["power-nuts", "logistic-2-nuts"])
def test_wrong_draws_fail(name):
    model, layouts = CASES[name].model, CASES[name].layouts
    assert not calibrate(model, layouts, engine=SwappedNuts, n_sets=25).passed.all()
    ignoring = calibrate(model, layouts, engine=IgnoringNuts, n_sets=30).passed
    assert not ignoring.sel(quantity="log_likelihood").all()
    assert ignoring.drop_sel(quantity="log_likelihood").all()


@pytest.mark.slow
def test_wrong_draws_of_several_trials_fail():
    model, layouts = HIERARCHICAL_MODEL, {"many": {"AS": (30, 30, 30), "DLC": (30, 30)}}
    assert not calibrate(model, layouts, engine=SwappedTrials, n_sets=20).passed.all()
    ignoring = calibrate(model, layouts, engine=IgnoringTrials, n_sets=30).passed
    assert not ignoring.sel(quantity="log_likelihood").any()
    assert ignoring.drop_sel(quantity="log_likelihood").all()


# PIT values


def test_pit_values_against_a_plain_sum():
    """On a fine grid of (log alpha, log beta), cut where the truth lies; the prior is a mixture."""
    model = CASES["logistic-2-mixture-quadrature"].model
    engine, rng = ByQuadrature(model), np.random.default_rng(3)
    a, b = (axis.ravel() for axis in np.meshgrid(np.linspace(-9, 5, 1201), np.linspace(-3.5, 3.5, 601)))
    log_p, log_q = model.log_terms((a[:, None], b[:, None]), model.coordinates)
    prior = np.zeros(len(a))
    for weight, curve in model.components:
        one = curve.prior
        z = (np.array([a, b]).T - one.mean) / one.sd
        squares = (z**2).sum(axis=1) - 2 * one.correlation * z.prod(axis=1)
        height = weight / np.prod(one.sd) / (1 - one.correlation**2) ** 0.5
        prior += height * np.exp(-squares / (2 * (1 - one.correlation**2)))
    for layout in ((3, 6, 6), CRM(skeleton=(0.1, 0.2, 0.3), target=0.25, max_n=18), (0, 0, 0)):
        truth, (n, y) = engine.simulated(layout, rng)
        likelihood = log_p @ y + log_q @ (n - y)
        weight = prior * np.exp(likelihood)
        own = model.log_terms(truth, model.coordinates)
        cuts = [a < truth[0], b < truth[1], *(log_p < own[0]).T, likelihood < own[0] @ y + own[1] @ (n - y)]
        expected = np.array([weight[cut].sum() for cut in cuts]) / weight.sum()
        pit, resolution = engine.pit(truth, (n, y), rng)
        # 0.004: half a step of the grid times the largest density of a parameter. Without data the likelihood has no place.
        np.testing.assert_allclose(pit[:-1], expected[:-1], atol=0.004)
        if n.any():
            # Deterministic draws: a step of the rank, and as much again for where the draws lie.
            assert abs(pit[-1] - expected[-1]) < 0.004 + 4 * resolution[-1]


def test_data_follow_the_layout():
    engine, rng = ByQuadrature(POWER), np.random.default_rng(6)
    p = []
    for _ in range(200):
        theta, (n, y) = engine.simulated((0, 10, 20), rng)
        assert n.tolist() == [0, 10, 20]
        p.append((y[2] / 20, POWER.probabilities(theta)[0, 2]))
    rate, truth = np.array(p).T
    # Five standard errors of a mean of 200 rates in 20 patients, at most.
    assert abs((rate - truth).mean()) < 5 * (0.25 / 20 / 200) ** 0.5
    for _ in range(20):
        _, (n, y) = engine.simulated(ThreePlusThree(), rng)
        assert n.max() in (3, 6)
        # The trial ends only after two DLTs at a dose, or at the top.
        assert y.max() >= 2 or n[-1] > 0


# Any number of workers


class Dying(ByQuadrature):
    """Kills its process at one data set, once, where that is not the process that the label names."""

    def one(self, layout, label, seed, index):
        parent, _, marker = label.partition(":")
        if index == 30 and os.getpid() != int(parent) and not os.path.exists(marker):
            with open(marker, "w"):
                os.kill(os.getpid(), signal.SIGKILL)
        return super().one(layout, label, seed, index)


def mortal(tmp_path):
    label = f"{os.getpid()}:{tmp_path / 'died'}"
    return DataSets(Dying, POWER, None, label, CRM(skeleton=(0.1, 0.2, 0.3), target=0.25, max_n=18, n_doses=3), 3)


def together(job, workers=1):
    return np.concatenate(list(run([job], 80, workers)))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:A worker stopped while some jobs were given:UserWarning")
def test_processes_give_the_same_bits_although_one_dies(tmp_path):
    job = mortal(tmp_path)
    alone = together(job)
    assert alone.shape == (80, 2, 5)
    np.testing.assert_array_equal(together(job, 2), alone)
    assert (tmp_path / "died").exists()


@pytest.mark.slow
def test_a_dask_cluster_gives_the_same_bits_although_a_worker_dies(tmp_path):
    from distributed import Client, LocalCluster

    job = mortal(tmp_path)
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        there = together(job, client)
    assert (tmp_path / "died").exists()
    np.testing.assert_array_equal(there, together(job))


@pytest.mark.slow
def test_draws_are_the_same_bits_in_another_process():
    case = CASES["power-nuts"]
    one, two = (calibrate(case.model, {"fixed": (3, 6, 6)}, engine="nuts", n_sets=30, workers=workers) for workers in (1, 2))
    np.testing.assert_array_equal(one.pit, two.pit)


KILLED = """
import os, signal, sys
from dosefind import Power, calibrate

def progress(done, total):
    if done >= 50:
        os.kill(os.getpid(), signal.SIGKILL)

calibrate(Power(skeleton=(0.1, 0.2, 0.3)), {"fixed": (3, 6, 6)}, n_sets=80, seed=9, cache=sys.argv[1], progress=progress)
"""


@pytest.mark.slow
def test_a_killed_run_goes_on(tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    done = subprocess.run([sys.executable, "-c", KILLED, str(cache)], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    kept = sorted(cache.glob("*/*.npy"))
    assert len(kept) == 50 // CHUNK
    # What was cut off in the middle of being written does not count.
    kept[1].write_bytes(kept[1].read_bytes()[:-100])
    made, one = [], ByQuadrature.one
    monkeypatch.setattr(ByQuadrature, "one", lambda self, *words: made.append(words[-1]) or one(self, *words))
    seen = []
    arguments = {"n_sets": 80, "seed": 9, "progress": lambda *words: seen.append(words)}
    resumed = calibrate(POWER, {"fixed": (3, 6, 6)}, cache=cache, **arguments)
    assert made == list(range(CHUNK, 80))
    assert seen == [(25, 80), (50, 80), (75, 80), (80, 80)]
    np.testing.assert_array_equal(resumed.pit, calibrate(POWER, {"fixed": (3, 6, 6)}, **arguments).pit)
    # Another seed, layout or model is not taken for this one.
    for model, layout, seed in ((POWER, (3, 6, 6), 8), (POWER, (3, 6, 7), 9), (Power(skeleton=(0.1, 0.2, 0.4)), (3, 6, 6), 9)):
        made.clear()
        calibrate(model, {"fixed": layout}, n_sets=80, seed=seed, cache=cache)
        assert len(made) == 80


def test_results_do_not_depend_on_what_else_is_run():
    longer = calibrate(POWER, {"other": (3, 3, 3), "fixed": (3, 6, 6)}, n_sets=60, seed=2)
    shorter = calibrate(POWER, {"fixed": (3, 6, 6)}, n_sets=40, seed=2)
    np.testing.assert_array_equal(longer.pit.sel(layout="fixed")[:40], shorter.pit.sel(layout="fixed"))
    assert not np.array_equal(longer.pit[0], longer.pit[1])
    other = calibrate(POWER, {"fixed": (3, 6, 6)}, n_sets=40, seed=3)
    assert not np.intersect1d(shorter.pit.sel(quantity="b"), other.pit.sel(quantity="b")).size


# The result


def test_result_is_labelled_and_stamped():
    found = calibrate(POWER, {"fixed": (3, 6, 6), "3+3": ThreePlusThree()}, n_sets=40, level=0.05)
    assert dict(found.sizes) == {"layout": 2, "set": 40, "quantity": 5, "at": POINTS - 1}
    assert found["quantity"].values.tolist() == ["b", "p_1", "p_2", "p_3", "log_likelihood"]
    # One of ten is left with a tenth of the probability.
    np.testing.assert_array_equal(found.lower, bands(40, 0.005)[0])
    outside = (found.ecdf > found.upper) | (found.ecdf < found.lower)
    assert bool((outside.any("at") == ~found.passed).all())
    assert all(variable.attrs["definition"] for variable in found.data_vars.values())
    assert {"engine", "seed", "n_sets", "level", "source", "versions", "model", "layouts"} <= set(found.attrs)
    assert "3+3" in found.attrs["layouts"]


ENDLESS = design_from_rule(lambda trial: 1)


@pytest.mark.parametrize(
    ("model", "layouts", "more", "said"),
    [
        ("power", {"a": (3, 3, 3)}, {}, "model = 'power': must be a dose-toxicity curve"),
        (POWER, {"a": (3, 3, 3)}, {"engine": "nut"}, "engine = 'nut': must be one of 'quadrature', 'nuts'; did you mean 'nuts'"),
        (POWER, {"a": (3, 3, 3)}, {"engine": "hierarchical-nuts"}, "must be one of 'quadrature', 'nuts'"),
        (POWER, {"a": (3, 3, 3)}, {"engine": ByHierarchicalNuts}, "must be a HierarchicalLogistic"),
        (POWER, {"a": (3, 3, 3)}, {"settings": NutsSettings()}, "have no effect with the engine 'quadrature'"),
        (POWER, {"a": (3, 3, 3)}, {"n_sets": 19}, "n_sets = 19: must be a whole number, at least 20"),
        (POWER, {"a": (3, 3, 3)}, {"level": 1}, "level = 1: must be a probability"),
        (POWER, {"a": (3, 3, 3)}, {"seed": -1}, "seed = -1: must be a whole number"),
        (POWER, {"a": (3, 3, 3)}, {"workers": 0}, "workers = 0: must be a whole number from 1"),
        (POWER, (3, 3, 3), {}, "layouts = (3, 3, 3): must be a Mapping"),
        (POWER, {}, {}, "layouts = {}: must have at least one entry"),
        (POWER, {"a": (3, 3)}, {}, "layouts.a = (3, 3): must be a design, or 3 whole numbers of patients"),
        (POWER, {"a": (3, 3, -1)}, {}, "layouts.a = (3, 3, -1)"),
        (POWER, {"a": CRM(skeleton=(0.1, 0.2), target=0.25, max_n=9)}, {}, "is a design for 2 doses"),
        (POWER, {"a": ENDLESS}, {}, "does not end by itself"),
        (HIERARCHICAL_MODEL, {"a": (3, 3, 3)}, {}, "layouts.a = (3, 3, 3): must be a Mapping"),
        (HIERARCHICAL_MODEL, {"a": {"AS": (3, 3, 3), "DCL": (3, 3)}}, {}, "did you mean 'DLC'"),
        (HIERARCHICAL_MODEL, {"a": {"AS": (3, 3, 3)}}, {}, "has no entry for the trial 'DLC'"),
        (HIERARCHICAL_MODEL, {"a": {"AS": (3, 3, 3), "DLC": (3, 3, 3)}}, {}, "layouts.a.DLC = (3, 3, 3)"),
        (HIERARCHICAL_MODEL, {"a": {"AS": (3, 3, 3), "DLC": (3, 3)}}, {"engine": "nuts"}, "must be one of 'hierarchical-nuts'"),
    ],
)
def test_bad_input(model, layouts, more, said):
    with pytest.raises(InputError) as error:
        calibrate(model, layouts, **more)
    assert said in str(error.value)


# The stored results


@pytest.mark.parametrize("name", CASES)
def test_stored_result_is_of_this_code(name):
    kept = stored(name)
    remake = f"make it again with `python -m benchmarks sbc --only {name}`"
    assert kept is not None, f"no calibration of {name} is stored: {remake}"
    described = CASES[name].described()
    for key in COMPARED:
        assert kept[key] == described[key], f"the stored calibration of {name} is of another {key} than there is now: {remake}"
    assert kept["passed"], f"{name} is not calibrated"
    assert [one["seed"] for one in kept["runs"]] == [SEED, SEED + 1]
    assert kept["passed"] == any(one["passed"] for one in kept["runs"])
    for one in kept["runs"]:
        assert one["passed"] == passes(one, kept["level"])
        for layout in one["layouts"].values():
            assert all(sum(map(int, quantity["histogram"].split())) == kept["n_sets"] for quantity in layout.values())


def test_a_curve_of_one_s_own():
    class Steeper(Power):
        def scale(self, p):
            return super().scale(p) / 2

        def log_at(self, u, xp=np):
            return super().log_at(2 * u, xp)

    found = calibrate(Steeper(skeleton=(0.1, 0.3)), {"fixed": (3, 6)}, n_sets=50)
    assert found.passed.all()
    assert found.attrs["source"] != described(Power(skeleton=(0.1, 0.3)), {"fixed": (3, 6)})["source"]


# Faults that these tests must notice.

FAULTS = {
    "each point of a band has the level to itself": (
        "dosefind.calibration.bands:bands",
        lambda old: lambda n_sets, level: old(n_sets, 10 * level),
        test_band_is_left_with_its_stated_probability,
    ),
    "a tie lies below": (
        "dosefind.calibration.engines:ranked",
        lambda old: lambda draws, truth, rng: old(draws - 1e-9, truth, rng),
        test_ties_are_placed_at_random,
    ),
}

test_fault_is_caught = faults(FAULTS)
