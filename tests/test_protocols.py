"""The two shipped protocols: what they say, what is assumed, calendar time by hand, comparison and its files."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.optimize import brentq

import dosefind as dsf
from dosefind import provenance
from dosefind.config import build_designs, protocol_schema
from dosefind.tasks import stamp

from . import peers
from .planted import faults

CONFIGS = {"nct05962762": (1, 3, 5), "nct05948982": (1, 2, 4)}


def protocol(name="nct05962762"):
    return dsf.load_protocol(peers.ROOT / "configs" / f"{name}.toml")


@pytest.mark.parametrize(("name", "amounts"), CONFIGS.items())
def test_shipped_protocols(name, amounts):
    trial = protocol(name)
    assert trial.doses.amounts == amounts
    assert trial.doses.unit == "10^6 cells/kg"
    assert trial.limits.max_n == 18
    assert trial.target.rate == 0.25
    stated = {a.key for a in trial.assumptions()}
    # What neither record states must be listed as assumed.
    assert {
        "target.rate",
        "target.interval",
        "target.mtd_margin",
        "target.overdose_limit",
        "limits.start_level",
        "scenarios",
    } <= stated
    assert {f"designs.{design}" for design in trial.designs} <= stated
    if name == "nct05948982":
        assert {
            "treatment.dlt_window_days",
            "treatment.stagger",
            "treatment.no_overlap",
            "treatment.infusion_days",
            "limits.group",
        } <= stated
    else:
        assert not {"treatment.dlt_window_days", "treatment.stagger", "doses.amounts"} & stated


def test_an_overdose_lies_above_the_interval_unless_said_otherwise():
    table = protocol().model_dump(exclude_unset=True) | {"assumed": {}}
    assert protocol().target.overdose_limit == 0.33
    table["target"] |= {"interval": (0.2, 0.3), "sensitivity": ()}
    assert dsf.Protocol.read(table).target.overdose_limit == 0.3
    table["target"]["overdose_limit"] = 0.4
    assert dsf.Protocol.read(table).target.overdose_limit == 0.4
    # An interval that is wrong is one problem, not two.
    del table["target"]["overdose_limit"]
    table["target"]["interval"] = (0.2, "a third")
    with pytest.raises(dsf.InputError) as error:
        dsf.Protocol.read(table)
    assert str(error.value) == "target.interval[2] = 'a third': must be a number"


def test_capped_and_uncapped_designs_stand_side_by_side():
    designs = build_designs(protocol())
    assert {name: design.max_n_per_dose for name, design in designs.items()} == {
        "3+3": None,
        "crm-6": 6,
        "crm": None,
        "blrm-6": 6,
        "blrm": None,
        "boin-6": 6,
        "boin-6-stay": 6,
        "boin": None,
        "rolling-6": None,
    }


def visits(n, cohorts):
    """Cohorts at each dose, and whether the first had more than one patient: here wherever there are more patients than cohorts."""
    return np.array([[cohorts, [patients > count for patients, count in zip(n, cohorts, strict=True)]]])


@pytest.mark.parametrize(
    ("n", "cohorts", "days"),
    [
        # Three groups of three; the two gaps of the high dose are 7 days each.
        ((3, 3, 3), (1, 1, 1), 3 * 28 + 14),
        ((6, 3, 0), (2, 1, 0), 3 * 28),
        ((3, 3, 6), (1, 1, 2), 4 * 28 + 4 * 7),
        ((0, 0, 0), (0, 0, 0), 0),
    ],
)
def test_least_calendar_time_by_hand(n, cohorts, days):
    assert protocol().treatment.least_days(np.array([n]), visits(n, cohorts))[0] == days


def test_least_calendar_time_of_other_staggers():
    table = protocol().model_dump()
    n = (3, 3, 6)
    for stagger, days in [
        (None, 4 * 28),
        ({"days": 7, "levels": "all"}, 4 * 28 + 8 * 7),
        ({"days": 10, "levels": [3], "patients": "first"}, 4 * 28 + 10),
    ]:
        table["treatment"]["stagger"] = stagger
        assert dsf.Protocol.read(table).treatment.least_days(np.array([n]), visits(n, (1, 1, 2)))[0] == days
    # One at a time, the second patient has waited the whole window of the first.
    assert dsf.Protocol.read(table).treatment.least_days(np.array([[0, 0, 2]]), visits((0, 0, 2), (0, 0, 2)))[0] == 2 * 28


def test_expected_days_against_every_path():
    """Expected time from the merged walk equals the sum over all paths of 3+3."""
    trial = protocol()
    oc = dsf.compare(trial)
    table = dsf.paths(trial, "3+3", cohorts=20)
    days = []
    for path in table.path:
        visits = [(token.rstrip("NT"), len(token.lstrip("123"))) for token in path.split()]
        days.append(28 * len(visits) + sum(7 * (size - 1) for level, size in visits if level == "3"))
    for scenario in oc.scenario.values:
        expected = (table[f"scenario: {scenario}"] * days).sum()
        np.testing.assert_allclose(oc.days.sel(design="3+3", scenario=scenario), expected, rtol=0, atol=1e-10)


def test_comparison_holds_together():
    trial = protocol()
    oc = dsf.compare(trial)
    assert oc.attrs["method"] == "exact"
    assert oc.dose_amount.attrs["units"] == "10^6 cells/kg"
    for name in ("selected", "stopped", "sample_size"):
        np.testing.assert_allclose(oc[name].sum(oc[name].dims[-1]), 1, rtol=0, atol=1e-12)
    np.testing.assert_allclose(oc.correct + oc.under_selected + oc.over_selected, 1, rtol=0, atol=1e-12)
    np.testing.assert_allclose(oc.mean_n, oc.patients.sum("dose"), rtol=0, atol=1e-11)
    np.testing.assert_allclose(oc.reference_selected.sum("choice"), 1, rtol=0, atol=1e-12)
    for name in oc.data_vars:
        # Those of other targets are missing where a design does not look for a dose of that target.
        shown = oc[name].sel(target=[0.20, 0.30]) if name.endswith("_by_target") else oc[name]
        assert np.all(pd.notna(shown.values)), name
        if name not in ("selected_by_target", "correct_by_target"):
            assert oc[name].attrs["definition"], name
    # The same figures one design at a time, and the design's own target where it is asked for another.
    boin = build_designs(trial)["boin"]
    alone = dsf.lattice(boin).under(trial.truths)
    np.testing.assert_allclose(oc.selected.sel(design="boin"), alone.selected, rtol=0, atol=1e-14)
    other = dsf.lattice(build_designs(trial, 0.30)["boin"]).under(trial.truths)
    np.testing.assert_allclose(oc.selected_by_target.sel(design="boin", target=0.30), other.selected, rtol=0, atol=1e-14)


@pytest.mark.slow
def test_simulated_comparison_is_near_the_exact_one():
    trial = protocol()
    exact, simulated = dsf.compare(trial), dsf.compare(trial, method="simulate", n_trials=4000, seed=2)
    assert simulated.attrs["n_trials"] == 4000
    for name in ("selected", "correct", "acceptable", "mean_n", "above_mtd", "days", "over_60"):
        error = np.maximum(simulated[f"{name}_se"].values, 1e-3)
        # 6 standard errors: no figure of several hundred should pass.
        assert np.all(np.abs(simulated[name].values - exact[name].values) < 6 * error), name


@pytest.mark.slow
def test_files_read_back_and_are_the_same_bytes_each_time(tmp_path):
    oc = dsf.compare(protocol())
    names = provenance.save_dataset(oc, tmp_path / "one", "compare")
    provenance.save_dataset(dsf.compare(protocol()), tmp_path / "two", "compare")
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    saved = provenance.rounded(oc)
    xr.testing.assert_identical(dsf.read_result(tmp_path / "one" / "compare.nc"), saved)
    xr.testing.assert_allclose(saved, oc, rtol=10.0 ** (1 - provenance.DIGITS), atol=10.0**-provenance.DIGITS)
    content = json.loads((tmp_path / "one" / "compare.json").read_text())
    assert content["attrs"]["config_sha256"] == protocol().sha256
    assert content["data_vars"]["selected"]["data"] == saved.selected.values.tolist()
    # A missing figure is null.
    first = content["data_vars"]["correct_by_target"]["data"][0]
    assert [None in chances for chances in first] == oc.correct_by_target[0].isnull().any("scenario").values.tolist()
    rows = pd.read_csv(tmp_path / "one" / "compare.csv", dtype=str, keep_default_na=False)
    selected = rows[rows.figure == "selected"].value.astype(float).to_numpy()
    np.testing.assert_array_equal(selected, saved.selected.values.ravel())
    assert set(rows.config_sha256) == {protocol().sha256}
    assumed = pd.read_csv(tmp_path / "one" / "compare-assumed.csv", dtype=str, keep_default_na=False)
    # Without borrowing, patients and a calendar, assumptions on these are ignored, and a design that needs a calendar is left out.
    idle = ("borrowing", "dlt", "evaluability", "pause", "accrual", "onset")
    of_data = ("doses.tolerance", "treatment.split_days")
    stated = [a.key for a in protocol().assumptions() if a.key.split(".")[0] not in idle and a.key not in of_data]
    stated.remove("designs.rolling-6")
    # After what the protocol assumes, the defaults of each design and of each curve.
    made = [f"{place}.{name}" for place in ("designs", "curves") for name in getattr(protocol(), place)]
    made.remove("designs.rolling-6")
    assert assumed.key.tolist() == [*stated, "binding", *made]
    assert assumed.set_index("key").value["target.rate"] == "0.25"
    assert "prior_sd" in assumed[assumed.key == "designs.crm"].why.iloc[-1]
    # Figures are numbers to whoever reads the file; the dose that is right stands beside them.
    figures = pd.read_csv(tmp_path / "one" / "compare.csv")
    assert figures.value.dtype == float
    assert (figures[figures.scenario == "middle is MTD"].true_mtd.iloc[0], set(figures.seed)) == ("2", {1})
    other = figures[(figures.figure == "correct_by_target") & (figures.scenario == "top is MTD") & (figures.target == 0.15)]
    assert set(other.true_mtd) == {"2"}


def test_formulas_in_names_are_text_in_csv(tmp_path):
    frame = pd.DataFrame({"path": ["=1+1", "@x", "-2", "plain"], "value": [-1.0, 2.0, 3.0, 4.0]})
    provenance.save_table(frame, {"config": "=cmd"}, tmp_path, "t")
    back = pd.read_csv(tmp_path / "t.csv")
    assert back.path.tolist() == ["'=1+1", "'@x", "'-2", "plain"]
    assert back.config.tolist() == ["'=cmd"] * 4
    assert back.value.tolist() == [-1.0, 2.0, 3.0, 4.0]


def test_schema_knows_every_key_of_the_shipped_configs():
    schema = protocol_schema()
    assert set(schema["properties"]) == set(dsf.Protocol.model_fields)
    options = schema["properties"]["designs"]["patternProperties"]["^[A-Za-z0-9+_-]{1,40}$"]["oneOf"]
    for table in protocol().designs.values():
        fitting = [one for one in options if one["properties"]["kind"]["const"] == table["kind"]]
        assert len(fitting) == 1
        assert set(table) <= set(fitting[0]["properties"])
        assert set(fitting[0]["required"]) <= set(table)


def test_schema_describes_every_setting():
    schema = protocol_schema()
    options = schema["properties"]["designs"]["patternProperties"]["^[A-Za-z0-9+_-]{1,40}$"]["oneOf"]
    for table in (schema, *schema["$defs"].values(), *options):
        assert table["description"].endswith(".")
        assert ">>>" not in table["description"]
        for name, entry in table["properties"].items():
            assert entry["description"], (table["title"], name)
    assert options[2]["description"] == "The Bayesian optimal interval design (BOIN)."
    assert "0.6 and 1.4 times the target" in options[2]["properties"]["p_saf"]["description"]
    (scenario,) = schema["properties"]["scenarios"]["patternProperties"].values()
    chance = scenario["items"]
    assert (chance["minimum"], chance["maximum"]) == (0, 1)


def without_curves():
    """The shipped protocol as a table, without what is left of it here."""
    left_out = {"assumed", "curves", "borrowing"}
    return {key: value for key, value in protocol().model_dump(exclude_unset=True).items() if key not in left_out}


NARROW, WIDE = {"mean": (-2.2, 0.0), "sd": (1.0, 0.5)}, {"mean": (-2.2, 0.0), "sd": (2.0, 1.0)}


@pytest.mark.parametrize(
    ("name", "key", "half", "whole"),
    [
        ("crm", "prior_sd", 0.5 * 1.34**0.5, 1.34**0.5),
        ("blrm-6", "prior", NARROW, WIDE),
        pytest.param(
            "blrm-6",
            "prior",
            [NARROW, NARROW | {"mean": (-1.5, 0.0)}],
            [WIDE, WIDE | {"mean": (-1.5, 0.0)}],
            marks=pytest.mark.slow,
        ),
    ],
)
def test_designs_with_tighter_priors_are_those_of_a_config_that_has_them(name, key, half, whole):
    table = without_curves()
    tight, loose = (
        dsf.Protocol.read(table | {"designs": {name: table["designs"][name] | {key: value}}}) for value in (half, whole)
    )
    found = dsf.compare_priors(loose).set_index("scale").loc[0.5, [f"scenario: {name}" for name in loose.scenarios]].astype(float)
    # Both are exact; the order of sums may differ.
    np.testing.assert_allclose(found, dsf.compare(tight).correct.sel(design=name), rtol=0, atol=1e-12)


def test_a_prior_with_which_a_design_cannot_start_and_designs_without_one():
    """P(overdose) at level 1 is 0.09 under the prior and above 0.16 under one of twice the standard deviations."""
    table = without_curves()
    strict = dsf.Protocol.read(table | {"designs": {"blrm": table["designs"]["blrm"] | {"prior": WIDE, "ewoc": 0.16}}})
    found = dsf.compare_priors(strict).set_index("scale").drop(columns="design")
    assert found.loc[0.5].notna().all()
    assert found.loc[2.0].isna().all()
    assert len(dsf.compare_priors(dsf.Protocol.read(table | {"designs": {"3+3": {"kind": "3+3"}}}))) == 0


def decided(table):
    """Rows of a decision table: level, patients, DLTs, and what follows without empty cells."""
    return [(*row[:3], tuple(filter(None, row[3:]))) for row in table.to_numpy().tolist()]


def test_decision_tables():
    trial = protocol()
    table = dsf.decision_table(trial, "3+3")
    pairs = {tuple(place): following for *place, following in decided(table)}
    assert [pairs[1, 3, t] for t in range(4)] == [("2",), ("1",), *[("stop", "none", "no_dose")] * 2]
    assert [pairs[2, 6, t] for t in (1, 2)] == [("3",), ("stop", "1", "mtd_below")]
    assert pairs[3, 3, 0] == ("stop", "3", "yes", "top_tolerated")
    assert "comes back" not in table.attrs["note"]
    assert (1, 9, 0) not in pairs
    boin = dsf.decision_table(trial, "boin").set_index("n_patients")
    assert boin.loc[[3, 6], "escalate_if_dlt_le"].tolist() == [0, 1]
    assert [dsf.decision_table(trial, name).n_patients.max() for name in ("boin", "boin-6")] == [18, 6]
    # Straight after a cohort with a DLT the CRM does not escalate, so the order of one DLT in six matters.
    crm = decided(dsf.decision_table(trial, "crm"))
    assert [following for *place, following in crm if place == [1, 6, 1]] == [("2",)]
    assert [following for *place, following in crm if place in ([1, 3, 0], [1, 3, 3])] == [("2",), ("stop", "none", "too_toxic")]


def test_a_decision_table_says_that_it_shows_the_way_up_only():
    config = protocol().model_dump() | {"assumed": {}}
    config["designs"] = {"3+3": {"kind": "3+3", "six_at_mtd": True}}
    table = dsf.decision_table(dsf.Protocol.read(config), "3+3")
    # Six patients with one DLT at level 1 lead on to level 2 on the way up, but end a trial that has come back from there.
    assert table.set_index(["level", "n", "dlts"]).next[[(1, 6, 1), (2, 3, 2)]].tolist() == ["2", "1"]
    assert "are not shown" in table.attrs["note"]


def test_defaults_are_assumed_at_the_value_that_they_take():
    table = protocol().model_dump() | {"assumed": {}}
    table["designs"] = {
        "boin": {"kind": "boin"},
        "safe": {"kind": "boin", "extra_safe": True, "p_saf": 0.1, "stop_n": 9},
        "crm": {"kind": "crm", "skeleton": [0.1, 0.25, 0.4]},
        "logistic": {"kind": "crm", "skeleton": [0.1, 0.25, 0.4], "model": "logistic", "safety_cutoff": 0.9},
    }
    found = {key: value for key, value, _ in stamp(dsf.Protocol.read(table))["assumptions"]}
    boin, safe, crm, logistic = (
        dict(pair.split(" = ") for pair in found[f"designs.{name}"].split(", ")) for name in table["designs"]
    )
    assert (boin["p_saf"], boin["p_tox"], safe["p_tox"]) == ("0.15", "0.35", "0.35")
    assert not {"offset", "stop_n_at"} & set(boin)
    assert safe["offset"] == "0.05"
    assert safe["stop_n_at"] == "any"
    assert "p_saf" not in safe
    assert crm["prior_sd"] == "1.158"
    # On the power curve's own scale, log(-log p), the top two are as far apart as the further level is from the top.
    scale = np.log(-np.log([0.25, 0.4]))
    rate = brentq(lambda p: np.exp(-np.exp(np.log(-np.log(p)) + scale[1] - scale[0])) + p - 0.5, 0.01, 0.25)
    assert crm["not_reached_below"] == f"{rate:.4g}"
    assert not {"intercept", "safety_by", "safety_min_n"} & set(crm)
    assert {"intercept", "safety_by", "safety_min_n"} <= set(logistic)


def test_what_is_under_a_marked_table_is_not_listed_again():
    table = protocol().model_dump(exclude_unset=True)
    keys = [key for key, _, _ in dsf.Protocol.read(table).assumptions()]
    assert "dlt" in keys
    shown = {key: value for key, value, _ in stamp(dsf.Protocol.read(table), conducts=True)["assumptions"]}
    assert shown["dlt"].startswith(
        "least_grade = 3, least_grade_by_term = none, excluded_terms = none, related = [related, definite, "
    )
    assert not [key for key in keys if key.startswith(("dlt.", "evaluability."))]
    del table["assumed"]["dlt"]
    found = {key: value for key, value, _ in dsf.Protocol.read(table).assumptions()}
    assert "possibly related" in found["dlt.related"]
    assert "dlt.least_grade" not in found


def test_settings_without_effect_are_reported():
    assert stamp(protocol("nct05948982"))["without_effect"] == (
        "treatment.infusion_days, treatment.infusion_tolerance_days, treatment.no_overlap, dlt, evaluability, limits.group, "
        "borrowing, endpoints"
    )


def test_a_designs_own_table_comes_before_the_trials_settings():
    table = protocol().model_dump()
    table["designs"]["boin"] |= {"target": 0.30, "max_n": 12, "cohort_size": 2}
    designs = build_designs(dsf.Protocol.read(table))
    assert (designs["boin"].target, designs["boin"].max_n, designs["boin"].cohort_size) == (0.30, 12, 2)
    assert (designs["boin-6"].target, designs["boin-6"].max_n, designs["boin-6"].cohort_size) == (0.25, 18, 3)


def test_hash_is_that_of_the_file():
    content = (peers.ROOT / "configs" / "nct05962762.toml").read_bytes()
    assert protocol().sha256 == hashlib.sha256(content).hexdigest()


def test_a_design_that_fixes_its_target_is_named_beside_the_other_targets():
    assert dsf.compare(protocol()).target.definition == (
        "DLT rate to which each design is adapted, with the margin of the MTD and half-widths in proportion; 3+3 has no target; "
        "blrm-6, blrm select by the target interval, which is unchanged (- at targets outside it)"
    )
    table = protocol().model_dump() | {"assumed": {}}
    table["designs"] = {
        "boin": {"kind": "boin"},
        "own": {"kind": "boin", "target": 0.3, "p_tox": 0.4},
        "crm": {"kind": "crm", "skeleton": [0.1, 0.25, 0.4]},
        "crm-i": {"kind": "crm", "skeleton": {"halfwidth": 0.05, "mtd_level": 2}},
    }
    oc = dsf.compare(dsf.Protocol.read(table))
    assert oc.target.definition.split("; ")[1:] == [
        "own keeps its own target = 0.3, p_tox = 0.4",
        "crm keeps its own skeleton = [0.1, 0.25, 0.4]",
    ]
    own = oc.selected_by_target.sel(design="own")
    np.testing.assert_array_equal(own.sel(target=0.1), own.sel(target=0.3))


@pytest.mark.parametrize("name", ["nct05962762", "nct05948982"])
def test_shipped_protocols_vary_the_target_below_oncology(name):
    trial = dsf.load_protocol(peers.ROOT / "configs" / f"{name}.toml")
    assert trial.target.sensitivity == (0.10, 0.15, 0.20, 0.30)
    for rate in trial.target.sensitivity:
        assert trial.target.at(rate).interval[0] <= rate < trial.target.at(rate).interval[1]
    oc = dsf.compare(trial)
    # No design is stuck at the first dose: where none is toxic, each selects the top one at each target.
    assert oc.selected_by_target.sel(scenario="none toxic", choice="3").min() > 0.85
    # A design that chooses by the interval of the target 0.25 does not look for a dose of 0.10 or 0.15.
    missing = oc.correct_by_target.isnull().all("scenario").to_pandas()
    blrm = missing.columns.str.startswith("blrm")
    assert missing.loc[[0.10, 0.15], blrm].to_numpy().all()
    assert not missing.loc[[0.20, 0.30]].to_numpy().any()
    assert not missing.loc[:, ~blrm].to_numpy().any()


def test_standards_of_another_target_are_in_proportion():
    target = protocol().target
    other = target.at(0.10)
    assert (other.rate, other.interval, other.overdose_limit, other.mtd_margin) == (0.10, (0.064, 0.132), 0.132, 0.04)
    assert other.sensitivity == ()
    assert target.at(0.25) == target.model_copy(update={"sensitivity": ()})
    with pytest.raises(dsf.InputError) as caught:
        target.at(0.80)
    assert [problem.where for problem in caught.value.problems] == ["target.interval[2]", "target.overdose_limit"]


def test_halfwidth_of_another_target_is_in_proportion():
    trial = protocol()
    now, other = build_designs(trial), build_designs(trial, 0.10)
    # Half-width 0.05 at 0.25 is 0.02 at 0.10.
    expected = dsf.skeleton(0.02, target=0.10, mtd_level=2, n_doses=3)
    np.testing.assert_allclose(other["crm"].levels, expected, rtol=0, atol=1e-12)
    assert other["blrm"].interval == now["blrm"].interval
    assert build_designs(trial, 0.25) == now


def test_other_targets_are_judged_by_their_own_mtd():
    oc = dsf.compare(protocol())
    mtd = oc.true_mtd_by_target.to_series()
    # Of .05, .15, .27 the nearest to .15 is the second, to .30 the third.
    assert [mtd[rate, "top is MTD"] for rate in (0.15, 0.30)] == ["2", "3"]
    # A lowest rate of .25 is further above .15 than .06, and not further above .20 than .08.
    assert [mtd[rate, "low is MTD"] for rate in (0.15, 0.20)] == ["none", "1"]
    for (rate, scenario), choice in mtd.items():
        at = {"target": rate, "scenario": scenario}
        found, expected = oc.correct_by_target.sel(at), oc.selected_by_target.sel(at).sel(choice=choice)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-15)


# Faults that these tests must notice.

FAULTS = {
    "nothing is assumed": (
        "dosefind.protocol:Protocol.assumptions",
        lambda _: lambda self: [],
        test_what_is_under_a_marked_table_is_not_listed_again,
    ),
    "another target keeps the interval of the first": (
        "dosefind.protocol:Target.at",
        lambda _: lambda self, rate: self.model_copy(update={"rate": rate}),
        test_standards_of_another_target_are_in_proportion,
    ),
    "a cell that a spreadsheet would execute is written as it is": (
        "dosefind.provenance:harmless",
        lambda _: lambda cell: cell,
        test_formulas_in_names_are_text_in_csv,
    ),
}

test_fault_is_caught = faults(FAULTS)
