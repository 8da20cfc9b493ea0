"""Borrowing from another trial: what a config says of it, what an analysis makes of it, and its limits."""

import json

import numpy as np
import pytest

import dosefind as dsf
from dosefind.config import Trial, build_borrowing
from dosefind.models import BivariateNormal, Logistic2
from dosefind.posterior.exact import ExactFit, ExactPosterior
from dosefind.show.content import as_string
from dosefind.show.pages.analysis import Estimates, analysis
from dosefind.show.pages.sensitivity import Sensitivity, sensitivity
from dosefind.show.terminal import as_lines
from dosefind.tasks.borrowing import borrow_from
from dosefind.tasks.stamps import stamp

from . import peers
from .planted import faults
from .test_analyze import levels_where_prior_weighs
from .test_cli import run

DLC = peers.ROOT / "configs" / "nct05948982.toml"
AS = "NCT05962762"


@pytest.fixture(scope="module")
def protocol():
    return dsf.load_protocol(DLC)


def changed(protocol, **borrowing):
    return protocol.model_copy(update={"borrowing": protocol.borrowing | borrowing})


def model(protocol, **borrowing):
    found = build_borrowing(changed(protocol, **borrowing))
    return found.model(protocol)


def test_windows_and_dose_scales_by_hand(protocol):
    """Three windows of 28 days and three infusions in the protocol's trial, one of each in the other."""
    assert [trial.windows for trial in model(protocol).trials] == [3.0, 1.0]
    assert [trial.windows for trial in model(protocol, pooled="as-given").trials] == [1.0, 1.0]
    assert [trial.amounts for trial in model(protocol).trials] == [(1, 2, 4), (1, 3, 5)]
    cumulative = model(protocol, dose="cumulative", reference=6.0)
    assert [trial.amounts for trial in cumulative.trials] == [(3, 6, 12), (1, 3, 5)]
    # The trial's own curve speaks of one infusion, and lies where the model has it.
    own = cumulative.curve(0)
    assert (own.doses, own.reference) == ((1, 2, 4), 2.0)
    np.testing.assert_allclose(own.coordinates, cumulative.numbers()["at"][0], rtol=0, atol=1e-15)
    np.testing.assert_allclose(own.coordinates, np.log([0.5, 1, 2]), rtol=0, atol=1e-15)
    np.testing.assert_allclose(cumulative.numbers()["at"][1], np.log(np.array([1, 3, 5]) / 6), rtol=0, atol=1e-15)


def test_variants_of_borrowing(protocol):
    borrowing = build_borrowing(protocol)
    varied = {(name, value): other for name, value, other in borrowing.variants(protocol)}
    assert set(varied) == {
        ("tau scale", "× 0.5"), ("tau scale", "× 2"), ("mu sd", "× 0.5"), ("mu sd", "× 2"), ("mu of log alpha", "-1"),
        ("mu of log alpha", "+1"), ("rho", "-0.5"), ("rho", "0.5"), ("reference dose", "1"), ("reference dose", "2"),
        ("reference dose", "4"), ("dose scale", "cumulative"), ("what is pooled", "as-given"),
        ("what is pooled", "infusions"),
    }  # fmt: skip
    assert varied["mu sd", "× 0.5"].exchangeable.mu.sd == (1.0, 0.5)
    assert varied["mu of log alpha", "+1"].exchangeable.mu.mean == pytest.approx((-1.2, 0.0), abs=1e-15)
    assert varied["rho", "0.5"].exchangeable.rho == 0.5
    assert varied["reference dose", "4"].reference == 4
    assert varied["tau scale", "× 2"].exchangeable.tau_scale == (1.0, 0.5)
    # The reference dose stays where it was in the protocol's own trial.
    assert varied["dose scale", "cumulative"].reference == 9.0
    # One model is compiled for all but the hazard per infusion.
    others = [other for other in varied.values() if not other.by_infusion]
    assert all(other.model(protocol).structure == borrowing.model(protocol).structure for other in others)


def test_reference_doses_too_far_from_the_doses_are_not_varied(protocol):
    """Of the doses 1, 2 and 4 only the last is within reach of the other trial's, which begin at 8."""
    far = {AS: protocol.borrowing["trials"][AS] | {"doses": [8, 120, 200]}}
    borrowing = build_borrowing(changed(protocol, trials=far, reference=4.0))
    assert [value for varied, value, _ in borrowing.variants(protocol) if varied == "reference dose"] == []


def test_variants_with_exnex(protocol):
    exnex = {"weight": 0.5, "prior": {"mean": [-2.2, 0.0], "sd": [2.0, 1.0]}}
    wide = {"mu": {"mean": [-2.2, 0.0], "sd": [6.0, 1.0]}, "tau_scale": [0.5, 0.25], "rho": "uniform"}
    found = list(build_borrowing(changed(protocol, exnex=exnex, exchangeable=wide)).variants(protocol))
    assert [value for varied, value, _ in found if varied == "P(exchangeable)"] == ["0.25", "0.75"]
    assert [one.exnex.weight for varied, _, one in found if varied == "P(exchangeable)"] == [0.25, 0.75]
    assert [value for varied, value, _ in found if varied == "rho"] == ["-0.5", "0", "0.5"]
    # No standard deviation beyond what a prior may have.
    assert [one.exchangeable.mu.sd for varied, value, one in found if (varied, value) == ("mu sd", "× 2")] == [(10.0, 2.0)]


def test_what_the_prior_means_in_longer_windows(protocol):
    """Log alpha of -2.2 is 0.10 in one window, and 1 - 0.9^3 = 0.27 in three."""
    (words,) = build_borrowing(protocol).warnings(protocol)
    assert "0.10 in 28 days, 0.27 in 84 days" in words
    assert len(build_borrowing(changed(protocol, pooled="as-given")).warnings(protocol)) == 1


def test_outcomes_of_the_others(protocol):
    counts, words = borrow_from(build_borrowing(protocol), {AS: "1NNN 2NNT 1NNN"})
    assert counts == {AS: ([6, 3, 0], [0, 1, 0])}
    assert words == {AS: "1NNN 2NNT 1NNN"}


@pytest.mark.parametrize(
    ("borrowing", "said"),
    [
        ({"pooled": None}, "borrowing.pooled.*state what is pooled, because DLTs over different windows are different quantities"),
        ({"pooled": "both"}, "borrowing.pooled = 'both': must be 'first-window', 'windows', 'infusions' or 'as-given'"),
        ({"pooled": "first-window", "dose": "cumulative"}, "dose = 'cumulative' contradicts pooled = 'first-window'"),
        ({"reference": 30.0}, "borrowing.*reference = 30 is too far from the doses of 'NCT05948982'"),
        ({"borrow": True}, "borrowing.borrow = True: unknown key"),
        ({"trials": {}}, "borrowing.trials: must have at least 1 entry"),
    ],
)
def test_bad_tables(protocol, borrowing, said):
    with pytest.raises(dsf.InputError, match=said):
        build_borrowing(changed(protocol, **borrowing))


def test_what_a_config_must_say_comes_before_why_it_is_assumed(tmp_path):
    """A shipped config without one line asks for it, though [assumed] still names it; a key that is not there is refused after."""
    text = DLC.read_text(encoding="utf-8")
    path = tmp_path / "config.toml"
    path.write_text(text.replace('pooled = "windows"', ""), encoding="utf-8")
    with pytest.raises(dsf.InputError, match=r"borrowing.pooled.*state what is pooled"):
        dsf.load_protocol(path)
    path.write_text(text.replace('"borrowing.dose" =', '"borrowing.unit" ='), encoding="utf-8")
    with pytest.raises(dsf.InputError, match=r"assumed.borrowing.unit.*must name a key of this file"):
        dsf.load_protocol(path)


@pytest.mark.parametrize(
    ("trial", "said"),
    [
        (
            {"unit": "cells/kg"},
            r"borrowing.trials.NCT05962762.unit = 'cells/kg': must be the unit of the protocol, '10\^6 cells/kg'",
        ),
        ({"doses": [3, 1]}, "doses = .*must hold one amount .*strictly increasing"),
        ({"dlt_window_days": 0}, "dlt_window_days = 0: must be greater than or equal to 1"),
        ({"infusions": None}, "infusions.*must be a whole number"),
    ],
)
def test_bad_trials(protocol, trial, said):
    with pytest.raises(dsf.InputError, match=said):
        build_borrowing(changed(protocol, trials={AS: protocol.borrowing["trials"][AS] | trial}))


def test_the_trial_does_not_borrow_from_itself(protocol):
    other = protocol.borrowing["trials"][AS]
    with pytest.raises(dsf.InputError, match=r"NCT05948982.*is the protocol's own trial"):
        build_borrowing(changed(protocol, trials={"NCT05948982": other}))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--borrow", f"{AS}=1NNX"), "outcomes = '1NNX'"),
        (("--borrow", f"{AS}=4NNN"), "borrow.NCT05962762: level of cohort 1 = 4: must be a whole number from 1 to 3"),
        (("--borrow", "NCT1=1NNN"), "borrow = 'NCT1': must be one of 'NCT05962762'"),
        (("--borrow", AS), "must be TRIAL=OUTCOMES"),
        (("--borrow", f"{AS}=1NNN", "--borrow", f"{AS}=1NNN"), "each trial once"),
        (("--borrow", f"{AS}=no.csv"), "no.csv: No such file"),
        (("--borrow", f"{AS}=1NNN", "--engine", "quadrature"), "engine = 'quadrature': contradicts borrow"),
        (("--borrow", f"{AS}=1NNN", "--curve", "power"), "curve = 'power': contradicts borrow"),
    ],
)
def test_bad_options(words, said):
    done = run("analyze", str(DLC), *words)
    assert done.exit_code == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_protocol_without_the_table_borrows_nothing(protocol):
    with pytest.raises(dsf.InputError, match="borrowing: the protocol has no such table"):
        dsf.analyze(protocol.model_copy(update={"borrowing": {}}), "1NNN", borrow={AS: "1NNN"})


def test_without_borrowing_the_result_does_not_mention_it(protocol):
    attrs = dsf.analyze(protocol, "1NNN").summary.attrs
    assert "borrowing" not in attrs
    assert "borrowing" in attrs["without_effect"].split(", ")
    assert not [key for key, *_ in attrs["assumptions"] if key.startswith("borrowing")]


@pytest.mark.slow
def test_one_trial_in_the_limit(protocol):
    """Without spread between trials, and with the windows taken for one, both are one trial: quadrature of all counts."""
    spread = protocol.borrowing["exchangeable"] | {"tau_scale": [1e-3, 1e-3]}
    one = changed(protocol, pooled="as-given", exchangeable=spread)
    found = dsf.analyze(one, "1NNN 2NNN 3NNT", borrow={AS: "1NNN 2NNN 3NNTNNN"}).summary
    assert found.attrs["problems"] == []
    doses = (1.0, 2.0, 3.0, 4.0, 5.0)
    curve = Logistic2(doses=doses, reference=3.0, prior=BivariateNormal(mean=(-2.2, 0.0), sd=(2.0, 1.0)))
    n, y, own = np.array([6, 3, 3, 3, 6]), np.array([0, 0, 0, 1, 1]), [0, 1, 3]
    exact = ExactPosterior(ExactFit(curve, (0.33,)), n, y)
    # Five standard errors, and the 1e-3 of the spread that is left.
    for name, figure in (("mean", exact.moments()[0]), ("p_over", 1 - exact.below(0.33).value[own])):
        expected = figure if name == "p_over" else figure.value[own]
        assert np.all(np.abs(found[name].values - expected) < 5 * found[f"{name}_se"].values + 1e-3), name
    # A priori it knows the other trial's patients.
    others = ExactPosterior(ExactFit(curve), np.array([3, 0, 3, 0, 6]), np.array([0, 0, 0, 0, 1]))
    np.testing.assert_allclose(found["prior_mean"], others.moments()[0].value[own], rtol=0, atol=0.01)
    nobody = ExactPosterior(ExactFit(curve), 0 * n, 0 * y)
    mean, sd = (figure.value[own] for figure in nobody.moments())
    # A tenth: the draws' spread of a variance.
    np.testing.assert_allclose(found["prior_effective_n_alone"], mean * (1 - mean) / sd**2 - 1, rtol=0.1)
    np.testing.assert_array_equal(found["borrowed_n"], found["prior_effective_n"] - found["prior_effective_n_alone"])


@pytest.mark.slow
def test_with_and_without(protocol):
    """Both trials together: the other's harmless doses lower P(over), the table says what was borrowed and on what it hangs."""
    outcomes, borrow = "1NNN 2NNN 3NNT", {AS: "1NNN 2NNN 3NNN"}
    exnex = {"weight": 0.5, "prior": {"mean": [-2.2, 0.0], "sd": [2.0, 1.0]}}
    mixed = changed(protocol, exnex=exnex)
    alone, found = dsf.analyze(protocol, outcomes).summary, dsf.analyze(mixed, outcomes, borrow=borrow).summary
    # Where the trials are exchangeable for sure, well beyond the error; mixed they borrow less.
    most = dsf.analyze(protocol, outcomes, borrow=borrow).summary
    first_screen = as_lines(analysis(most), width=80).splitlines()
    assert len(first_screen) <= 40
    assert max(map(len, first_screen)) <= 80
    assert most["p_over"].values[2] + 5 * most["p_over_se"].values[2] < alone["p_over"].values[2]
    # Half of the mixture is a wide prior, which is worth next to nothing, so that the whole is worth little.
    assert np.all(found["borrowed_n"].values + 1 < most["borrowed_n"].values)
    assert dict(found.sizes)["trial"] == 2
    assert np.all(np.abs(found["p_exchangeable"] - 0.5) < 0.2)
    attrs = found.attrs
    assert attrs["borrowing"]["outcomes"] == borrow
    assert "a constant hazard over them is an assumption" in " ".join(attrs["warnings"])
    assert "borrowing" not in attrs["without_effect"].split(", ")
    table = dsf.sensitivity(mixed, outcomes, borrow=borrow)
    rows = table.set_index(["varied", "value"])
    first = rows.iloc[0]
    np.testing.assert_array_equal([first[f"over_{level}"] for level in (1, 2, 3)], found["p_over"].values)
    np.testing.assert_array_equal([first[f"se_{level}"] for level in (1, 2, 3)], found["p_over_se"].values)
    np.testing.assert_allclose(rows.loc[("borrowing", "off"), "over_3"], alone["p_over"].values[2], rtol=0, atol=1e-9)
    # The less the trials differ a priori, the more is borrowed: two errors of a difference.
    near, far = (rows.loc[("tau scale", value)] for value in ("× 0.5", "× 2"))
    assert near["over_3"] < far["over_3"] + 2 * np.hypot(near["se_3"], far["se_3"])
    # The other trial's data left out: the prior of the model and the trial's own data.
    assert rows.loc[("borrowing", "no data of others"), "over_3"] > first["over_3"] + 3 * first["se_3"]
    # What comes before is not before any data.
    before = [name for name in found if "before any data" in found[name].attrs.get("definition", "")]
    assert sorted(before) == ["p_exchangeable_prior", "tau_prior_mean"]
    assert {"prior_mean_se", "prior_p_over_se", "prior_mtd_se"} <= set(found)
    assert levels_where_prior_weighs(most) == {*np.flatnonzero(most["prior_effective_n"].values >= most["n"].values) + 1}
    assert AS in as_string(Estimates(most).source())
    assert max(map(len, as_lines(sensitivity(table, stamp(Trial.of(mixed), borrows=True))).splitlines())) <= 80
    shown = [as_string(cell) for cell in Sensitivity(table).by_change().rows[0]]
    # P(overdose) and the probability of the MTD with their errors.
    assert all(" \u00b1" in cell for cell in shown[3:])
    page = analysis(found)
    # Three doses, sampled and borrowed, fit a terminal of 80 columns, and nothing is left out.
    shown = as_lines(page, details=True)
    assert max(map(len, shown.splitlines())) <= 80
    for name in ("borrowed_n", "prior_effective_n_alone"):
        assert all(f"{value:.1f} \u00b1" in shown for value in found[name].values), name
    for value in found["tau_mean"].values:
        assert f"{value:.3f} \u00b1" in shown


@pytest.mark.slow
def test_command(protocol, tmp_path):
    (tmp_path / "other.csv").write_text("level,n,dlts\n1,3,0\n2,3,0\n3,3,0\n")
    words = ("analyze", str(DLC), "--outcomes", "1NNN 2NNN 3NNT", "--draws", "200")
    done = run(*words, "--borrow", f"{AS}={tmp_path / 'other.csv'}", "--out", str(tmp_path / "out"))
    assert done.exit_code == 0, done.stderr
    shown = " ".join(done.stdout.split())
    assert "Borrowing from NCT05962762" in shown
    assert "Hierarchical model, by NUTS" in shown
    saved = json.loads((tmp_path / "out" / "analyze.json").read_text())
    assert saved["attrs"]["borrowing"]["outcomes"] == {AS: "1NNN 2NNN 3NNN"}


FAULTS = {
    "every window is as long as the shortest": (
        "dosefind.borrowing:Borrowing._days",
        lambda _: lambda self, protocol: protocol.treatment.dlt_window_days,
        lambda: test_windows_and_dose_scales_by_hand(dsf.load_protocol(DLC)),
    ),
}

test_fault_is_caught = faults(FAULTS)
