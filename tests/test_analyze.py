"""The analysis of a trial: worked examples, the predictive distribution, the RP2D, files, the command."""

import json
import re

import numpy as np
import pytest
import xarray as xr
from scipy.special import comb
from scipy.stats import beta

import dosefind as dsf
from dosefind.config import Trial, build_curves, build_designs
from dosefind.designs.replay import state_after
from dosefind.intake import read_counts
from dosefind.posterior.base import Figure
from dosefind.posterior.exact import ExactFit, ExactPosterior
from dosefind.posterior.mcmc import DrawnPosterior
from dosefind.summaries import conclusions, effective_n, recommended, upper_limit
from dosefind.tasks.analysis import _doubts
from dosefind.trial import Cohort, Departure, parse_outcomes

from . import peers
from .planted import faults
from .test_cli import run

CONFIG = peers.ROOT / "configs" / "nct05962762.toml"
DLC = peers.ROOT / "configs" / "nct05948982.toml"


@pytest.fixture(scope="module")
def protocol():
    return dsf.load_protocol(CONFIG)


def test_upper_limits_that_anybody_can_check():
    """0/n: 1 - 0.05^(1/n); the figures of the field are 63%, 39% and 15% for 0/3, 0/6 and 0/18."""
    n = np.array([3, 6, 18])
    np.testing.assert_allclose(upper_limit(n, 0 * n), 1 - 0.05 ** (1 / n), rtol=1e-12)
    assert upper_limit(n, 0 * n).round(2).tolist() == [0.63, 0.39, 0.15]
    assert upper_limit(np.array([3, 0]), np.array([3, 0])).tolist() == [1, 1]
    np.testing.assert_allclose(upper_limit(np.array([6]), np.array([2])), beta.ppf(0.95, 3, 4), rtol=1e-12)


def test_effective_size_of_a_beta_prior_is_its_own():
    prior = beta(1.3, 4.2)
    exact = effective_n(Figure(np.array([prior.mean()]), np.zeros(1)), Figure(np.array([prior.std()]), np.zeros(1)))
    np.testing.assert_allclose(exact.value, 5.5, rtol=1e-12)
    assert exact.error == [0]


def test_the_error_of_an_effective_size_holds():
    """Of 400 samples the spread of the effective size is at most its mean error, and not below half of it."""
    draws = beta(1.3, 4.2).rvs((400, 1000), random_state=7)
    mean, sd = draws.mean(axis=1), draws.std(axis=1, ddof=1)
    fourth = ((draws - mean[:, None]) ** 4).mean(axis=1)
    error_of_sd = np.sqrt((fourth - sd**4) / 1000) / (2 * sd)
    found = effective_n(Figure(mean, sd / 1000**0.5), Figure(sd, error_of_sd))
    # The standard deviation of 400 samples is known to 4%, of which these are three.
    assert 0.5 < found.value.std() / found.error.mean() < 1.12


@pytest.mark.parametrize(
    ("p_over", "n", "level", "words"),
    [
        ((0.01, 0.1, 0.24), (3, 3, 3), 3, "the highest dose with a known outcome whose P(overdose), 24.0%, is below 25%"),
        (
            (0.01, 0.1, 0.25),
            (3, 3, 3),
            2,
            "the highest dose with a known outcome whose P(overdose), 10.0%, is below 25%; at level 3 it is 25.0%",
        ),
        ((0.01, 0.1, 0.24), (3, 3, 0), 2, "the highest dose with a known outcome whose P(overdose), 10.0%, is below 25%"),
        ((0.3, 0.4, 0.5), (3, 0, 0), None, "P(overdose) is 25% or more at every dose with a known outcome"),
        ((0.1, 0.2, 0.3), (0, 0, 0), None, "no patient has a known outcome"),
    ],
)
def test_rp2d_by_the_toxicity_rule(p_over, n, level, words):
    found = recommended(np.array(n), Figure(np.array(p_over), np.full(3, 1e-9)), 0.25)
    assert (found.level, found.reason) == (level, words)


def test_a_probability_near_the_limit_is_undecided():
    close = Figure(np.array([0.01, 0.245]), np.array([0.001, 0.002]))
    assert recommended(np.array([3, 3]), close, 0.25).undecided
    assert not recommended(np.array([3, 3]), replace_error(close, 0.0016), 0.25).undecided
    assert not recommended(np.array([3, 0]), close, 0.25).undecided


def replace_error(figure, error):
    return Figure(figure.value, np.full_like(figure.error, error))


def by_recursion(design, curve, cohorts, levels):
    """What a trial will conclude, from the predictive probability of each next cohort, one at a time, without the walk."""
    fit = ExactFit(curve)

    def log_evidence(cohorts):
        n, y = np.zeros(levels), np.zeros(levels)
        for cohort in cohorts:
            n[cohort.level - 1] += cohort.n
            y[cohort.level - 1] += cohort.dlts
        return ExactPosterior(fit, n, y).log_evidence

    found = np.zeros(levels + 1)

    def go(cohorts, chance):
        state = state_after(design, cohorts, levels)
        decision = design.decide(state)
        if decision.dose[0] < 0:
            found[design.select(state).dose[0] + 1] += chance
            return
        level, size = int(decision.dose[0]) + 1, int(decision.size[0])
        for dlts in range(size + 1):
            longer = [*cohorts, Cohort(level, size, dlts)]
            go(longer, chance * comb(size, dlts) * np.exp(log_evidence(longer) - log_evidence(cohorts)))

    go(list(cohorts), 1.0)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("outcomes", ["1NNN 2NNN 3NNT", "1NNN 2NNT", "1NTT"])
def test_conclusion_against_a_recursion(protocol, outcomes):
    """The predictive distribution of the trial's conclusion, two ways."""
    ours = dsf.analyze(protocol, outcomes, curve="power").summary
    designs, curve = build_designs(protocol), build_curves(protocol)["power"]
    for name in ("3+3", "boin-6", "crm-6"):
        theirs = by_recursion(designs[name], curve, parse_outcomes(outcomes), 3)
        # 1e-5: the error asked of a conclusion.
        np.testing.assert_allclose(ours.conclusion.sel(design=name), theirs, rtol=0, atol=1e-5)


def test_sampled_probability_is_shown_with_its_error():
    over = Figure(np.array([0.0, 0.3]), np.array([0.0007, 0.012]))
    text = recommended(np.array([3, 3]), over, 0.25).reason
    assert "P(overdose), 0.0% \u00b10.07, is below 25%; at level 2 it is 30.0% \u00b11" in text


@pytest.mark.slow
def test_what_was_known_before_is_doubted_where_its_draws_are_bad(protocol):
    """The posterior's own problems keep the RP2D from being named; those of the prior are said."""
    curve, nobody = build_curves(protocol)["logistic-2"], np.zeros(3, int)
    theta = ExactPosterior(ExactFit(curve), nobody, nobody).draws(4000).reshape(4, 1000, 2)
    good, bad = (DrawnPosterior(curve, nobody, nobody, theta, divergences, {}) for divergences in (0, 2))
    assert _doubts(good, None) == []
    assert _doubts(bad, None) == ["The results of the prior cannot be trusted: 2 divergent draws, even with shorter steps."]


@pytest.mark.slow
def test_error_of_a_conclusion_goes_by_the_draws_taken(protocol):
    """Of 40,000 draws 4,000 are averaged: however many there are, the error is that of those."""
    curve, design = build_curves(protocol)["logistic-2"], build_designs(protocol)["3+3"]
    n, y = np.array([3, 3, 0]), np.array([0, 1, 0])
    theta = ExactPosterior(ExactFit(curve), n, y).draws(40_000).reshape(4, 10_000, 2)
    state = state_after(design, parse_outcomes("1NNN 2NNT"), 3)
    many, few = (
        conclusions([design], [state], DrawnPosterior(curve, n, y, one, 0, {}))[0]
        for one in (theta, theta[:, np.arange(1000) * 10])
    )
    np.testing.assert_array_equal(many.value, few.value)
    assert DrawnPosterior(curve, n, y, theta, 0, {}).diagnostics()["ess_bulk"] > 20_000
    # A tenth: how far the effective sample size of independent draws is from their number.
    np.testing.assert_allclose(many.error, few.error, rtol=0.1)


def test_conclusion_of_a_trial_that_is_over(protocol):
    found = dsf.analyze(protocol, "1NNN 2NTT").summary.conclusion
    assert found.sel(design="3+3").values.tolist() == [0, 1, 0, 0]
    np.testing.assert_allclose(found.sum("choice"), 1, rtol=0, atol=1e-9)


@pytest.mark.slow
def test_departures_from_the_design_are_reported(protocol):
    found = dsf.analyze(protocol, "1TTT 1NNN").summary.attrs
    why = "the lowest dose has too many DLTs, so no dose is the MTD"
    assert found["deviations"]["3+3"] == [Departure("stopped", 2, 1, why, 1)]
    every = dsf.analyze(protocol, "1NNNN 2NNN").summary.attrs["deviations"]
    assert every.keys() == Trial.of(protocol).without_calendar.keys()
    assert all(any((one.kind, one.cohort, one.given) == ("size", 1, 4) for one in found) for found in every.values())
    assert dsf.analyze(protocol, "1NNN 2NNN").summary.attrs["deviations"] == {}


def test_not_reached_is_part_of_the_top_dose(protocol):
    found = dsf.analyze(protocol, "1NNN 2NNN").summary
    assert np.all(found.conclusion_not_reached <= found.conclusion.sel(choice="3") + 1e-12)
    assert np.all(found.conclusion_not_reached > 0)
    # The 3+3 never names a top dose that it would go beyond otherwise.
    np.testing.assert_allclose(found.conclusion_not_reached.sel(design="3+3"), found.conclusion.sel(design="3+3", choice="3"))


def test_before_any_data_posterior_and_prior_are_one(protocol):
    found = dsf.analyze(protocol).summary
    for name in ("mean", "p_over", "mtd"):
        np.testing.assert_allclose(found[name], found[f"prior_{name}"], rtol=0, atol=1e-9)
    assert found.attrs["rp2d"] == "none"
    assert found.attrs["outcomes"] == ""


def levels_where_prior_weighs(found):
    """Levels of the caution that the prior effective sample size is at least the number of known outcomes."""
    said = [re.match(r"At levels? ([\d, ]+), the prior effective sample size", caution) for caution in found.attrs["warnings"]]
    return {int(level) for match in said if match for level in match[1].split(", ")}


@pytest.mark.parametrize("outcomes", ["1NNN", "1NNNNNN", "1NNNNNN 2NNNNNN 3NNNNNN"])
def test_no_dlt_at_all(protocol, outcomes):
    """The base case of these products: P(over) falls with every patient, and where the prior decides is said."""
    found = dsf.analyze(protocol, outcomes).summary
    assert np.all(found.p_over < found.prior_p_over)
    assert np.all(np.diff(found["mean"]) > 0)
    said = " ".join(found.attrs["warnings"])
    assert f"No DLT among the {found.n.sum().item()} known outcomes of this trial" in said
    assert "alone do not exclude DLT rates up to" in said
    untreated = {1, 2, 3} - {cohort.level for cohort in parse_outcomes(outcomes)}
    assert untreated <= levels_where_prior_weighs(found)
    assert levels_where_prior_weighs(found) == {*np.flatnonzero(found.prior_effective_n.values >= found.n.values) + 1}


def test_prior_with_larger_ess_than_patients_is_reported(protocol):
    found = dsf.analyze(protocol, "1NNN 2NNN 3NNT", curve="logistic-2-tight").summary
    worth = found.prior_effective_n.values
    assert levels_where_prior_weighs(found) == {*np.flatnonzero(worth >= 3) + 1}
    assert (worth >= 3).any()


def test_the_published_sepsis_trial():
    """5, 5 and 5 patients at 1, 2 and 3 x10^6 cells/kg without an event: one-sided 95% limits 45% a dose and 18% pooled."""
    trial = next(t for t in peers.published("published_msc_trials")["trials"] if "sepsis" in t["product"])
    assert (trial["n_per_dose"], trial["dlt_per_dose"]) == ([5, 5, 5], [0, 0, 0])
    n, y = np.array(trial["n_per_dose"]), np.array(trial["dlt_per_dose"])
    np.testing.assert_allclose(upper_limit(n, y), 1 - 0.05 ** (1 / 5), rtol=1e-12)
    assert round(float(upper_limit(n.sum(), y.sum())), 2) == 0.18


@pytest.mark.slow
@pytest.mark.parametrize("path", [CONFIG, DLC], ids=lambda path: path.stem)
def test_both_protocols_under_every_curve(path):
    protocol = dsf.load_protocol(path)
    for name in build_curves(protocol):
        found = dsf.analyze(protocol, "1NNN 2NNN 2NNT", curve=name).summary
        np.testing.assert_allclose(found.p_under + found.p_target + found.p_over, 1, rtol=0, atol=1e-9)
        np.testing.assert_allclose(found.mtd.sum(), 1, rtol=0, atol=1e-9)
        assert np.all((found.lower < found["median"]) & (found["median"] < found.upper))
        assert found.attrs["rp2d"] == found.rp2d_by_curve.sel(curve=name).item()
        assert found.attrs["largest_error"] < 1e-9
        assert ("mtd_amount" in found) == name.startswith("logistic-2")


def test_targets_and_cut_points_are_the_protocol_s(protocol):
    """The MTD's partition goes by the target, under, target and over by the interval, the RP2D by its limit."""
    found = dsf.analyze(protocol, "1NNN 2NNN 3NNT")
    low, high = protocol.target.interval
    one = found.posterior
    np.testing.assert_allclose(found.summary.p_under, one.below(low).value, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.summary.p_over, 1 - one.below(high).value, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.summary.mtd[0], 1 - one.below(protocol.target.rate).value[0], rtol=0, atol=1e-12)
    strict = protocol.model_copy(update={"rp2d": protocol.rp2d.model_copy(update={"limit": 0.1})})
    strict._file, strict._sha256 = protocol.file, protocol.sha256
    assert (found.summary.attrs["rp2d"], dsf.analyze(strict, "1NNN 2NNN 3NNT").summary.attrs["rp2d"]) == ("3", "2")


@pytest.mark.slow
def test_tree_is_what_arviz_reads(protocol, tmp_path):
    found = dsf.analyze(protocol, "1NNN 2NNN 3NNT")
    tree = found.tree(draws=1000)
    assert set(tree.children) == {
        "observed_data", "constant_data", "posterior", "posterior_predictive", "prior", "prior_predictive",
    }  # fmt: skip
    # ArviZ compares every observed variable with its predictions.
    assert set(tree["observed_data"].data_vars) == set(tree["posterior_predictive"].data_vars) == {"y"}
    np.testing.assert_array_equal(tree["constant_data/n"], found.summary.n)
    # 0.02: a thousand deterministic draws of a rate with sd .16.
    np.testing.assert_allclose(tree["posterior/p"].mean(("chain", "draw")), found.summary["mean"], rtol=0, atol=0.02)
    np.testing.assert_allclose(tree["prior/p"].mean(("chain", "draw")), found.summary.prior_mean, rtol=0, atol=0.02)
    predicted = tree["posterior_predictive/y"].mean(("chain", "draw"))
    # Binomial means of 3 patients, a thousand of them: 4 standard errors of at most .04.
    np.testing.assert_allclose(predicted, 3 * found.summary["mean"], rtol=0, atol=0.16)
    tree.to_netcdf(tmp_path / "tree.nc", engine="h5netcdf")
    with xr.open_datatree(tmp_path / "tree.nc", engine="h5netcdf") as back:
        xr.testing.assert_identical(back["posterior"].to_dataset().load(), tree["posterior"].to_dataset())
    xr.testing.assert_identical(dsf.read_result(tmp_path / "tree.nc"), found.summary)


@pytest.mark.slow
def test_command_prints_and_saves(tmp_path):
    words = ("analyze", str(CONFIG), "--outcomes", "1NNN 2NNN 3NNT")
    first = run(*words, "--out", str(tmp_path / "out")).stdout
    assert "level 3 (5 " in first
    whole = run(*words, "--details").stdout
    head, _, left = first.partition("More with --details: ")
    assert whole.startswith(head)
    assert left
    assert all(name in whole for name in dsf.load_trial(CONFIG).without_calendar)
    names = {"analyze.csv", "analyze.json", "analyze.nc", "analyze-assumed.csv"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    plain = json.loads(run(*words, "--json").stdout)
    assert plain["attrs"]["rp2d"] == "3"
    saved = json.loads((tmp_path / "out" / "analyze.json").read_text())
    assert saved == plain


@pytest.mark.slow
def test_counts_from_a_file(tmp_path, protocol):
    """By level or by dose, the cohorts in the order of the rows."""
    for header, rows in (("level,n,dlts", ("1,3,0", "2,3,0", "3,3,1")), ("dose, n , DLTs", ("1,3,0", "3.0,3,0", "5,3,1"))):
        (tmp_path / "counts.csv").write_text("\n".join([header, *rows]) + "\n")
        by_file = run("analyze", str(CONFIG), "--data", str(tmp_path / "counts.csv"), "--json").stdout
        assert by_file == run("analyze", str(CONFIG), "--outcomes", "1NNN 2NNN 3NNT", "--json").stdout


def test_same_bits_each_time():
    words = ("analyze", str(DLC), "--outcomes", "1NNN 2NNT", "--json")
    assert run(*words).stdout == run(*words).stdout


@pytest.mark.parametrize("curve", ["power", "logistic-2"])
def test_order_of_cohorts_is_of_no_account_to_the_curve(protocol, curve):
    one, other = (dsf.analyze(protocol, outcomes, curve=curve).summary for outcomes in ("1NNN 2NNT", "2NNT 1NNN"))
    np.testing.assert_array_equal(one["mean"], other["mean"])


@pytest.mark.slow
def test_by_sampling(protocol, tmp_path):
    """NUTS gives the summary that quadrature gives, within its own standard errors, with diagnostics."""
    said = []
    outcomes = "1NNN 2NNN 3NNT"
    exact, sampled = (dsf.analyze(protocol, outcomes, engine=engine, say=said.append) for engine in ("quadrature", "nuts"))
    assert [words.split()[0] for words in said] == ["compiling", "compiled"]
    ours, theirs = sampled.summary, exact.summary
    assert {name.removesuffix("_se") for name in ours if str(name).endswith("_se")} == {
        "mean", "sd", "p_under", "p_target", "p_over", "mtd", "parameter_mean", "parameter_sd", "conclusion",
        "conclusion_not_reached", "prior_mean", "prior_p_over", "prior_mtd", "prior_effective_n",
    }  # fmt: skip
    before = ("prior_mean", "prior_p_over", "prior_mtd")
    for name in ("mean", "p_under", "p_target", "p_over", "mtd", "conclusion", "parameter_mean", *before):
        # Six standard errors; 1e-5 where the figure is exact but for the evidence of an ended trial.
        apart = np.abs(ours[name] - theirs[name]) / (ours[f"{name}_se"] + 1e-5)
        assert float(apart.max()) < 6, name
    assert (ours.attrs["method"], ours.attrs["rp2d"], ours.attrs["problems"]) == ("sampled", "3", [])
    assert ours.attrs["rhat"] < 1.01
    assert set(ours.attrs["sampler_versions"]) >= {"pymc", "pytensor", "arviz"}
    tree = sampled.tree(draws=400)
    assert tree["posterior/p"].shape == (4, 100, 3)
    again = dsf.analyze(protocol, outcomes, engine="nuts").summary
    xr.testing.assert_identical(again, ours)
    other = dsf.analyze(protocol, outcomes, engine="nuts", seed=2).summary
    assert not np.array_equal(other["mean"], ours["mean"])
    # So few draws cannot be trusted, and no dose is named from them.
    few = dsf.analyze(protocol, outcomes, engine="nuts", draws=20).summary.attrs
    assert (few["rp2d"], few["undecided"]) == ("none", 1)
    assert "the draws cannot be trusted" in few["rp2d_reason"]


def test_no_rp2d_from_draws_that_cannot_be_trusted():
    sure = Figure(np.array([0.01, 0.02]), np.full(2, 1e-3))
    found = recommended(np.array([3, 3]), sure, 0.25, ["R-hat is 1.200"])
    assert (found.level, found.undecided) == (None, True)
    assert "R-hat is 1.200" in found.reason
    assert recommended(np.array([3, 3]), sure, 0.25).level == 2


def test_table_of_patients_is_recognised_in_place_of_counts(tmp_path):
    path = tmp_path / "patients.csv"
    path.write_text("subject,level,infusion_1\nA-1,1,2024-03-05\n")
    with pytest.raises(dsf.InputError, match=r"is a table of patients.*dosefind next reads it and prints the outcomes"):
        read_counts(path, (1, 3, 5))


def test_counts_beside_the_escalation_enter_the_posterior():
    rules = dsf.load_protocol(CONFIG)
    found = dsf.analyze(rules, "1NNN 2NNT", others=(Cohort(1, 4, 0), Cohort(2, 6, 1))).summary
    together = dsf.analyze(rules, "1NNNNNNN 2NNNNNNNTT").summary
    for name in ("mean", "p_over", "mtd", "p_over_by_curve"):
        np.testing.assert_array_equal(found[name].values, together[name].values)
    assert found["n"].values.tolist() == [7, 9, 0]
    assert found.attrs["others"] == "1NNNN 2NNNNNT"
    # What the design will conclude depends on patients whom its walk does not know.
    assert "conclusion" not in found


# Faults that these tests must notice.

FAULTS = {
    "an RP2D that nobody was given": (
        "dosefind.summaries:recommended",
        lambda old: lambda n, p_over, limit, problems=(): old(np.maximum(n, 1), p_over, limit, problems),
        test_rp2d_by_the_toxicity_rule,
    ),
}

test_fault_is_caught = faults(FAULTS)


@pytest.mark.parametrize(
    ("given", "cohort"),
    [("1NNN 2N", None), ("1NN", None), ("1NNN 2NNNN", 2), ("1NN 2NNN", 1), ("1NNN 3N", 2)],
)
def test_a_cohort_under_way_is_no_deviation(given, cohort):
    """Fewer patients than planned in the last cohort are normal; more, or another level, are not, nor is it in an earlier one."""
    deviations = dsf.analyze(dsf.load_trial(CONFIG), given, predicts=False).summary.attrs["deviations"]
    found = deviations.get("boin", [])
    assert [one.cohort for one in found] == ([] if cohort is None else [cohort])
