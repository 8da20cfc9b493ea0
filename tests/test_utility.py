"""The RP2D by expected utility: by hand, by draws, and what a config may say."""

import numpy as np
import pytest

import dosefind as dsf
from dosefind.config import build_curves
from dosefind.posterior.exact import ExactFit, ExactPosterior
from dosefind.protocol import RP2D, Utility
from dosefind.summaries import UtilityFigures, name_rp2d, utilities
from dosefind.tasks.analysis import p_over

from . import peers

CONFIG = peers.ROOT / "configs" / "nct05962762.toml"
WORTHS = {"response": 100.0, "response_and_dlt": 60.0, "neither": 40.0, "dlt": 0.0}
N, Y = np.array([3, 6, 6]), np.array([0, 0, 2])


@pytest.fixture(scope="module")
def protocol():
    return dsf.load_protocol(CONFIG)


@pytest.fixture(scope="module")
def posterior(protocol):
    curve = build_curves(protocol)["logistic-2"]
    return ExactPosterior(ExactFit(curve, (0.16, 0.33, 0.25)), N, Y)


def by_hand(p, e):
    """The four outcomes and their worths."""
    return (1 - p) * e * 100 + (1 - p) * (1 - e) * 40 + p * e * 60 + p * (1 - e) * 0


@pytest.mark.parametrize("efficacy_n", [None, 4.0])
def test_figures_against_draws(posterior, efficacy_n):
    """Mean and sd by moments, and the probability of being best, against a simulation of its own."""
    utility = Utility(efficacy=(0.2, 0.4, 0.45), efficacy_n=efficacy_n, **WORTHS)
    found = utilities(posterior, utility)
    draws = posterior.draws(40_000)[0]
    log_p = posterior.curve.log_terms(tuple(draws.T[:, :, None]), posterior.curve.coordinates)[0]
    p, rng = np.exp(log_p), np.random.default_rng(8)
    e = np.array(utility.efficacy)
    if efficacy_n is not None:
        e = rng.beta(efficacy_n * e, efficacy_n * (1 - e), p.shape)
    worth = by_hand(p, e)
    se = worth.std(axis=0) / 40_000**0.5
    np.testing.assert_allclose(found.mean, by_hand(posterior.moments()[0].value, np.array(utility.efficacy)), rtol=1e-12)
    # Five standard errors of 40,000 draws; of a standard deviation twice the relative error of a normal one.
    assert np.all(np.abs(worth.mean(axis=0) - found.mean) < 5 * se)
    np.testing.assert_allclose(worth.std(axis=0), found.sd, rtol=2 * 5 / 80_000**0.5)
    best = np.eye(3)[worth.argmax(axis=1)].mean(axis=0)
    assert np.all(np.abs(best - found.best.value) < 5 * found.best.error + 5 * 0.5 / 40_000**0.5)
    np.testing.assert_allclose(found.best.value.sum(), 1)


def test_without_efficacy_the_lowest_dose_is_best(posterior):
    """Nothing is gained by a dose that helps nobody: the least toxic, as every curve rises."""
    found = utilities(posterior, Utility(efficacy=(0.0, 0.0, 0.0), **WORTHS))
    assert found.best.value.tolist() == [1.0, 0.0, 0.0]
    assert np.all(found.best.error > 0)
    np.testing.assert_allclose(found.mean, 40 * (1 - posterior.moments()[0].value))


def test_rule(protocol, posterior):
    """The safe dose worth most, not the highest; never one whose P(over) is at the limit."""
    over = p_over(posterior, 0.33)
    flat = Utility(efficacy=(0.3, 0.4, 0.4), **WORTHS)
    steep = Utility(efficacy=(0.0, 0.1, 0.9), **WORTHS)
    assert over.value[1] < 0.2 < over.value[2]
    assert name_rp2d(posterior, over, RP2D(limit=0.2, rule="utility"), steep).level == 2
    lenient = RP2D(limit=0.6, rule="utility")
    assert name_rp2d(posterior, over, lenient, steep).level == 3
    found = name_rp2d(posterior, over, lenient, flat)
    assert found.level == 2
    assert "largest expected utility" in found.reason
    assert name_rp2d(posterior, over, RP2D(limit=0.6), flat).level == 3
    assert name_rp2d(posterior, over, RP2D(limit=1e-9, rule="utility"), flat).level is None
    assert isinstance(utilities(posterior, flat), UtilityFigures)


@pytest.mark.slow
def test_analysis_and_sensitivity(protocol):
    table = protocol.model_dump(exclude_unset=True)
    table["utility"] = {"efficacy": [0.2, 0.4, 0.45], "efficacy_n": 6.0, **WORTHS | {"response_and_dlt": 50.0}}
    table["rp2d"] = {"rule": "utility"}
    # The record states a limit no longer.
    table["assumed"] = {key: why for key, why in table["assumed"].items() if key != "rp2d.limit"}
    mine = dsf.Protocol.read(table)
    found = dsf.analyze(mine, "1NNN 2NNN 3NNT").summary
    assert found.attrs["rp2d"] == "2"
    assert set(found["rp2d_by_curve"].values) == {"2"}
    assert {"utility", "utility_sd", "p_best", "p_best_se"} <= set(found)
    assert "utility_se" not in found
    rows = dsf.sensitivity(mine, "1NNN 2NNN 3NNT")
    assert rows["rp2d"].iloc[0] == "2"
    assert "largest expected utility" in rows.attrs["note"]
    assert "utility" not in dsf.analyze(protocol, "1NNN 2NNN 3NNT").summary


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"efficacy": [0.2, 0.4]}, r"utility.efficacy = \[0.2, 0.4\]: must hold 3 probabilities in \[0, 1\], one per dose"),
        ({"efficacy": [0.2, 0.4, 1.4]}, r"utility.efficacy = .*1.4.*: must hold 3 probabilities"),
        ({"dlt": 70.0}, "a response must not lower the utility and a DLT must not raise it"),
        ({"neither": 120.0}, "utility.neither = 120.0: must be less than or equal to 100"),
        ({"efficacy_n": 0.0}, "utility.efficacy_n = 0.0: must be greater than 0"),
    ],
)
def test_bad_tables(protocol, change, said):
    table = protocol.model_dump(exclude_unset=True)
    table["utility"] = {"efficacy": [0.2, 0.4, 0.45], **WORTHS} | change
    with pytest.raises(dsf.InputError, match=said):
        dsf.Protocol.read(table)


def test_the_rule_needs_the_table(protocol):
    table = protocol.model_dump(exclude_unset=True)
    table["rp2d"] = {"limit": 0.25, "rule": "utility"}
    with pytest.raises(dsf.InputError, match=r"rp2d.rule = 'utility': needs the table utility"):
        dsf.Protocol.read(table)
