"""Priors from what a clinician can say: round trips, closed forms, refusals; and what the answer hangs on."""

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import beta, norm

import dosefind as dsf
from dosefind.config import build_curves
from dosefind.posterior.exact import ExactFit, ExactPosterior

from .test_analyze import CONFIG


def quantiles_of(prior, doses, reference, probabilities):
    """Quantiles of the DLT rates under a prior, from the reported posterior of no data."""
    curve = dsf.Logistic2(doses=doses, reference=reference, prior=prior)
    nobody = np.zeros(len(doses), int)
    return ExactPosterior(ExactFit(curve), nobody, nobody).quantiles(probabilities)


@pytest.mark.parametrize("correlation", [0.0, -0.4])
def test_a_prior_is_found_again_from_its_own_quantiles(correlation):
    prior = dsf.BivariateNormal(mean=(-1.2, 0.2), sd=(1.3, 0.4), correlation=correlation)
    rates = quantiles_of(prior, (1.0, 5.0), 3.0, (0.1, 0.9))
    said = {dose: dict(zip((0.1, 0.9), row, strict=True)) for dose, row in zip((1.0, 5.0), rates, strict=True)}
    found = dsf.prior_from_quantiles(said, reference=3.0, correlation=correlation)
    # 1e-4: quantiles are found to a probability of 1e-7, and the prior's spread magnifies it.
    np.testing.assert_allclose((*found.prior.mean, *found.prior.sd), (*prior.mean, *prior.sd), rtol=0, atol=1e-4)
    assert found.misfit < 1e-6


def test_misfit_is_the_prior_s_own():
    """Five quantiles cannot all be met: the table says what the prior has in their place."""
    said = {1: {0.5: 0.05, 0.9: 0.25}, 3: {0.5: 0.1}, 5: {0.5: 0.2, 0.9: 0.5}}
    found = dsf.prior_from_quantiles(said, reference=3)
    table = found.table()
    for row in table.itertuples():
        (rate,) = quantiles_of(found.prior, (row.dose,), 3.0, (row.probability,))[0] if row.dose == 3 else [None]
        if rate is not None:
            np.testing.assert_allclose(row.got, rate, rtol=0, atol=1e-6)
    assert 0.001 < found.misfit < 0.05
    np.testing.assert_allclose(found.misfit, np.abs(table.rate - table.got).max(), rtol=1e-12)


def test_statements_that_cannot_be_met_are_reported():
    """At the reference dose 1 the spread at dose 1 leaves none for the slope: its standard deviation ends at its bound."""
    said = {1: {0.1: 0.01, 0.9: 0.25}, 5: {0.1: 0.10, 0.9: 0.60}}
    assert dsf.prior_from_quantiles(said, reference=3).at_bound == ()
    stuck = dsf.prior_from_quantiles(said, reference=1)
    assert stuck.at_bound == ("sd of log beta",)
    assert stuck.misfit > 0.01


def test_at_the_reference_dose_a_rate_is_logit_normal():
    found = dsf.prior_from_quantiles({1: {0.1: 0.02, 0.9: 0.2}, 3: {0.1: 0.05, 0.9: 0.4}}, reference=3)
    mean, sd = found.prior.mean[0], found.prior.sd[0]
    ours = expit(mean + sd * norm.ppf([0.1, 0.9]))
    np.testing.assert_allclose(ours, found.got[2:], rtol=0, atol=1e-9)
    np.testing.assert_allclose(ours, (0.05, 0.4), rtol=0, atol=found.misfit + 1e-9)


def test_minimally_informative_quantiles_are_those_of_the_beta_distributions():
    found = dsf.minimally_informative_prior((1, 3, 5), reference=3, lowest=(0.4, 0.05), highest=(0.1, 0.05))
    wanted = np.array(found.wanted).reshape(3, 3, 3)
    low, high = wanted[0, 1, 2], wanted[2, 1, 2]
    # Beta(1, b) with P(p > .4) = .05 and Beta(a, 1) with P(p < .1) = .05.
    np.testing.assert_allclose(low, beta.median(1, np.log(0.05) / np.log(0.6)), rtol=1e-12)
    np.testing.assert_allclose(high, beta.median(np.log(0.05) / np.log(0.1), 1), rtol=1e-12)
    middle = expit(logit(low) + (logit(high) - logit(low)) * np.log(3) / np.log(5))
    np.testing.assert_allclose(wanted[1, 1, 2], middle, rtol=1e-12)
    for (_, _, rate), (_, _, upper) in wanted[:, 1:]:
        a, b = (np.log(0.5) / np.log(rate), 1) if rate > 0.5 else (1, np.log(0.5) / np.log1p(-rate))
        np.testing.assert_allclose(upper, beta.ppf(0.975, a, b), rtol=1e-12)
    # It fits to within .02 of every rate, and the medians to .005.
    assert found.misfit < 0.02
    np.testing.assert_allclose(np.array(found.got).reshape(3, 3)[:, 1], wanted[:, 1, 2], rtol=0, atol=0.005)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({1: {0.5: 0.1, 0.9: 0.2}}, "must be at least four quantiles at two or more doses"),
        ({1: {0.5: 0.1}, 3: {0.5: 0.2}}, "four quantiles"),
        (
            {1: {0.5: 0.1, 0.9: 0.05}, 3: {0.5: 0.2, 0.9: 0.3}},
            "[1][0.9] = 0.05: must be above the 0.5 quantile at dose 1, 0.1",
        ),
        (
            {1: {0.5: 0.3, 0.9: 0.5}, 3: {0.5: 0.2, 0.9: 0.6}},
            "[3][0.5] = 0.2: must be above the 0.5 quantile at dose 1, 0.3",
        ),
        ({1: {0.5: 0.0, 0.9: 0.5}, 3: {0.5: 0.2, 0.9: 0.6}}, "quantiles[1][0.5] = 0.0: must be a probability"),
        ({1: {50: 0.1, 0.9: 0.5}, 3: {0.5: 0.2, 0.9: 0.6}}, "quantiles[1] = 50.0: must be a probability"),
        ({1: {"a": 0.1, 0.9: 0.5}, 3: {0.5: 0.2, 0.9: 0.6}}, "quantiles[1] = 'a': must be a probability"),
        ({1: {0.5: "a", 0.9: 0.5}, 3: {0.5: 0.2, 0.9: 0.6}}, "quantiles[1][0.5] = 'a': must be a probability"),
        ({0: {0.5: 0.1, 0.9: 0.5}, 3: {0.5: 0.2, 0.9: 0.6}}, "dose of quantiles = 0: must be a dose amount, above 0"),
        ({1: [0.1, 0.5], 3: {0.5: 0.2, 0.9: 0.6}}, "quantiles[1] = [0.1, 0.5]: must map probabilities to DLT rates"),
        ([0.1, 0.5], "quantiles = [0.1, 0.5]: must map dose amounts to quantiles"),
    ],
)
def test_refusals(said, message):
    with pytest.raises(dsf.InputError) as caught:
        dsf.prior_from_quantiles(said, reference=3)
    assert message in str(caught.value)


def test_references_and_correlations_that_cannot_be():
    said = {1: {0.1: 0.01, 0.9: 0.25}, 5: {0.1: 0.10, 0.9: 0.60}}
    with pytest.raises(dsf.InputError, match=r"reference = 0: must be a dose amount, above 0"):
        dsf.prior_from_quantiles(said, reference=0)
    with pytest.raises(dsf.InputError, match=r"correlation = 1.5: must be between -1 and 1 \(exclusive\)"):
        dsf.prior_from_quantiles(said, reference=3, correlation=1.5)
    bounds = {"lowest": (0.4, 0.05), "highest": (0.1, 0.05)}
    with pytest.raises(dsf.InputError, match=r"doses = -1: must be a dose amount"):
        dsf.minimally_informative_prior((-1, 5), reference=3, **bounds)
    with pytest.raises(dsf.InputError, match=r"lowest = 0.4: must be a rate and a probability"):
        dsf.minimally_informative_prior((1, 5), reference=3, **(bounds | {"lowest": 0.4}))


def test_bounds_that_contradict_each_other():
    with pytest.raises(dsf.InputError, match="these must increase"):
        dsf.minimally_informative_prior((1, 5), reference=3, lowest=(0.9, 0.05), highest=(0.01, 0.05))


@pytest.mark.slow
def test_sensitivity_varies_one_thing_at_a_time():
    protocol = dsf.load_protocol(CONFIG)
    outcomes = "1NNN 2NNN 3NTT"
    table = dsf.sensitivity(protocol, outcomes)
    base = dsf.analyze(protocol, outcomes).summary
    over = [f"over_{level}" for level in (1, 2, 3)]
    first = table.iloc[0]
    np.testing.assert_allclose(first[over].astype(float), base.p_over, rtol=0, atol=1e-9)
    assert (first.varied, first.rp2d) == ("as analysed", base.attrs["rp2d"])
    assert first.mtd == base.mtd_level.values[base.mtd.values.argmax()]
    counts = table.varied.value_counts().to_dict()
    assert counts == {
        "as analysed": 1, "curve": 2, "target": 4, "prior sd": 2, "mean log alpha": 2, "mean log beta": 2, "reference dose": 2,
        "overdose from": 2, "RP2D limit": 2,
    }  # fmt: skip
    for name in build_curves(protocol):
        row = table[(table.varied == "curve") & (table.value == name)]
        if len(row):
            other = dsf.analyze(protocol, outcomes, curve=name).summary
            np.testing.assert_allclose(row[over].astype(float).values[0], other.p_over, rtol=0, atol=1e-9)
    # Another target moves the rate from which a dose overdoses in proportion.
    targets = table[table.varied == "target"]
    for row, rate in zip(targets.itertuples(), protocol.target.sensitivity, strict=True):
        standards = protocol.target.at(rate)
        other = dsf.analyze(protocol.model_copy(update={"target": standards}), outcomes).summary
        np.testing.assert_allclose([getattr(row, name) for name in over], other.p_over, rtol=0, atol=1e-6)
        assert (row.value, row.rp2d) == (f"{rate:g} with overdose from {standards.interval[1]:.3g}", other.attrs["rp2d"])
    assert targets.over_1.is_monotonic_decreasing
    # A higher prior mean makes every dose more toxic.
    low, high = table[table.varied == "mean log alpha"][over].astype(float).values
    assert np.all(low < base.p_over)
    assert np.all(base.p_over < high)
    # Another slope is that of a protocol which has it.
    for row in table[table.varied == "mean log beta"].itertuples():
        prior = {"mean": (-2.2, float(row.value)), "sd": (2.0, 1.0)}
        own = protocol.model_copy(update={"curves": {"own": {"kind": "logistic-2", "prior": prior}}})
        other = dsf.analyze(own, outcomes).summary
        np.testing.assert_allclose([getattr(row, name) for name in over], other.p_over, rtol=0, atol=1e-9)


def test_sensitivity_reports_changes_of_the_rp2d():
    table = dsf.sensitivity(dsf.load_protocol(CONFIG), "1NNN 2NNN 3NNT")
    note = table.attrs["note"]
    moved = table[table.rp2d != table.rp2d[0]]
    assert len(moved) > 0
    for row in moved.itertuples():
        assert f"{row.varied} {row.value} (to {row.rp2d})" in note
    # The limit and the rate from which a dose overdoses move the decision as they must.
    by = {(row.varied, row.value): row for row in table.itertuples()}
    assert by["RP2D limit", "0.15"].rp2d < by["RP2D limit", "0.35"].rp2d or by["RP2D limit", "0.15"].rp2d == table.rp2d[0]
    assert by["overdose from", "0.28"].over_3 > table.over_3[0] > by["overdose from", "0.38"].over_3


@pytest.mark.parametrize("outcomes", ["1NNN 2NNN 3NNT", "1NNT"])
def test_an_analysis_warns_of_what_sensitivity_shows(outcomes):
    protocol = dsf.load_protocol(CONFIG)
    table = dsf.sensitivity(protocol, outcomes)
    priors = table[table.varied.isin(["prior sd", "mean log alpha", "mean log beta", "reference dose"])]
    moved = [(f"{row.varied} {row.value}", row.rp2d) for row in priors.itertuples() if row.rp2d != table.rp2d[0]]
    assert any("mean log beta" in varied for varied, _ in moved)
    warnings = dsf.analyze(protocol, outcomes).summary.attrs["warnings"]
    (said,) = (words for words in warnings if "prior sd" in words)
    parts = said.rstrip(".").split(": ", 1)[1].split(", ")
    listed = [words for words in parts if "the curve" not in words]
    assert len(listed) == len(moved)
    for words, (varied, dose) in zip(listed, moved, strict=True):
        assert words.endswith(f"{dose} with {varied}")


def test_sensitivity_of_a_one_parameter_curve():
    table = dsf.sensitivity(dsf.load_protocol(CONFIG), "1NNN 2NNT", curve="power")
    toxic, harmless = (table[table.value == f"one level {word} toxic"].over_2.item() for word in ("more", "less"))
    assert harmless < table.over_2[0] < toxic
