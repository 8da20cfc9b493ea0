"""The result of `dosefind.calendar`: labels, exact selections, variants by overlap, files, the command and its first screen."""

import dataclasses
import json

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

import dosefind as dsf
from dosefind.cli import main
from dosefind.operating.calendar import Clock, run
from dosefind.outcomes import Rates
from dosefind.show.content import as_string
from dosefind.show.pages.calendar import Calendar, calendar
from dosefind.show.terminal import as_lines

from .peers import ROOT

CONFIGS = ("nct05962762", "nct05948982")


def few(name="nct05962762", designs=("3+3", "boin-6", "rolling-6"), **changes):
    """A trial with few designs and two scenarios, so that it is quick."""
    table = dsf.load_protocol(ROOT / "configs" / f"{name}.toml").model_dump(exclude_unset=True, exclude={"assumed", "borrowing"})
    table["designs"] = {design: table["designs"][design] for design in designs}
    table["scenarios"] = {one: table["scenarios"][one] for one in ("middle is MTD", "all toxic")}
    return dsf.Trial.of(dsf.Protocol.read(table | changes))


@pytest.fixture(scope="module")
def made():
    return dsf.calendar(few(), n_trials=400)


@pytest.mark.slow
def test_every_variable_has_a_definition_and_its_error(made):
    labels = {"p_true", "true_mtd", "reads", "title", "on_complete_data", "days_quantile"}
    for name, values in made.data_vars.items():
        assert values.attrs["definition"]
        if name not in labels and not name.endswith("_se"):
            assert made[f"{name}_se"].dims == values.dims
            assert (made[f"{name}_se"] >= 0).all()
    assert made.attrs["n_trials"] == 400


def test_designs_that_decide_with_pending_outcomes_stand_beside_their_complete_data_version():
    table = few().protocol.model_dump(exclude_unset=True)
    for others in ({}, {"boin": {"kind": "boin"}}):
        table["designs"] = {"tite": {"kind": "tite-boin", "rule": "ess"}, **others}
        made = dsf.calendar(dsf.Protocol.read(table), n_trials=50, per_28_days=[4.0])
        name = "boin" if others else "tite, complete data"
        assert made["design"].values.tolist() == ["tite", name]
        assert made["on_complete_data"].values.tolist() == [name, ""]
        assert "ess" in str(made["title"].values[0])
        exact = dsf.compare(dsf.Protocol.read(table | {"designs": {"boin": {"kind": "boin"}}}))
        own = made.selected.sel(design=name, overlap="as written").isel(accrual=0)
        np.testing.assert_allclose(own.values, exact.selected.sel(design="boin").transpose("scenario", "choice").values, atol=1e-15)


def test_selection_of_designs_that_wait_is_the_exact_one(made):
    oc = dsf.compare(few())
    for name in ("3+3", "boin-6"):
        own = made.sel(design=name, overlap="as written")
        for rate in made.accrual:
            chosen = own.selected.sel(accrual=rate).transpose("scenario", "choice").values
            np.testing.assert_array_equal(chosen, oc.selected.sel(design=name).transpose("scenario", "choice").values)
            np.testing.assert_allclose(own.correct.sel(accrual=rate), oc.correct.sel(design=name), atol=1e-15)
        assert not own.selected_se.any()
        assert not own.correct_se.any()
    assert made.selected_se.sel(design="rolling-6").max() > 0


def test_longer_at_slower_accrual_and_quantiles_in_order(made):
    assert (made.days.diff("accrual") < 0).all()
    assert (made.days_quantile.diff("quantile") >= 0).all()
    assert made.accrual.values.tolist() == [1.0, 2.0, 4.0]


def test_overlap_makes_a_difference_only_to_designs_that_need_it(made):
    assert made.overlap.values.tolist() == ["as written", "if allowed"]
    written, allowed = (made.days.sel(overlap=name) for name in made.overlap.values)
    assert (written.sel(design=["3+3", "boin-6"]) == allowed.sel(design=["3+3", "boin-6"])).all()
    assert (allowed.sel(design="rolling-6") < written.sel(design="rolling-6")).any()
    free = few(treatment={"infusion_days": [1], "dlt_window_days": 28, "no_overlap": False})
    assert dsf.calendar(free, n_trials=10).overlap.values.tolist() == ["as written"]


@pytest.mark.slow
def test_same_seed_same_bits_and_a_longer_run_extends_a_shorter_one(made):
    again = dsf.calendar(few(), n_trials=400)
    for name in made.data_vars:
        np.testing.assert_array_equal(made[name].values, again[name].values)
    other = dsf.calendar(few(), n_trials=400, seed=2)
    assert (made.days.values != other.days.values).any()


def test_discontinuation_makes_selections_simulated_ones():
    leaving = few(designs=("3+3",), discontinuation={"dropout": 0.3})
    made = dsf.calendar(leaving, n_trials=300, per_28_days=[2.0])
    assert made.selected_se.max() > 0
    assert (made.lost > 0.5).any()
    # The DLT rate among evaluable patients is higher than among all, so fewer patients are treated in the middle scenario.
    exact = dsf.compare(few(designs=("3+3",)))
    assert (made.dlts / made.patients).sel(scenario="middle is MTD", dose=1).item() > 0.1
    assert exact.sizes["design"] == 1


@pytest.mark.parametrize(
    ("accrual", "label"),
    [({"process": "always"}, np.inf), ({"process": "dates", "days": list(range(0, 900, 9))}, np.nan)],
)
def test_accrual_without_a_rate(accrual, label):
    made = dsf.calendar(few(designs=("3+3",), accrual=accrual), n_trials=20)
    np.testing.assert_array_equal(made.accrual.values, [label])
    assert as_lines(calendar(made), width=80)
    with pytest.raises(dsf.InputError, match="per_28_days"):
        dsf.calendar(few(designs=("3+3",), accrual=accrual), per_28_days=[2.0])


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"per_28_days": []}, "per_28_days"),
        ({"per_28_days": [0.0]}, "per_28_days"),
        ({"per_28_days": ["2"]}, "per_28_days"),
        ({"per_28_days": [float("nan")]}, "per_28_days"),
        ({"n_trials": 1}, "n_trials"),
        ({"seed": -1}, "seed"),
        ({"cohorts": "early"}, "cohorts"),
    ],
)
def test_wrong_arguments_are_named(wrong, where):
    with pytest.raises(dsf.InputError, match=where):
        dsf.calendar(few(), **wrong)


def test_config_without_accrual_is_told_what_to_state(tmp_path):
    with pytest.raises(dsf.InputError, match="accrual"):
        dsf.calendar(few(accrual=None))
    text = (ROOT / "configs" / "nct05962762.toml").read_text()
    config = tmp_path / "c.toml"
    config.write_text(text.replace("[accrual] ", "[accrual]").replace("per_28_days = 2\n", ""))
    found = CliRunner().invoke(main, ["calendar", str(config)])
    assert found.exit_code == 2
    assert "accrual.per_28_days" in found.stderr
    assert not found.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_first_screen_fits_and_names_the_primary_design(name):
    made = dsf.calendar(dsf.load_trial(ROOT / "configs" / f"{name}.toml"), n_trials=20)
    lines = as_lines(calendar(made), width=80).splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 80
    found = Calendar.of(made)
    assert made.attrs["primary_design"] in lines[1]
    assert found.scenarios[found.shown] == "middle is MTD"


def test_scenario_of_the_first_screen_can_be_chosen(made):
    assert "all toxic" in as_lines(calendar(made, "all toxic"), width=80).splitlines()[1]


@pytest.mark.slow
def test_files_hold_the_numbers_of_the_library(tmp_path):
    command = ("calendar", str(ROOT / "configs" / "nct05962762.toml"), "--trials", "20", "--rate", "2", "--out", str(tmp_path))
    found = CliRunner().invoke(main, command)
    assert found.exit_code == 0
    own = dsf.calendar(dsf.load_trial(ROOT / "configs" / "nct05962762.toml"), n_trials=20, per_28_days=[2.0])
    with xr.open_dataset(tmp_path / "calendar.nc") as saved:
        np.testing.assert_allclose(saved.days.values, own.days.values, rtol=1e-11)
        assert saved.attrs["seed"] == 1
    assert json.loads((tmp_path / "calendar.json").read_text())
    assert (tmp_path / "calendar.csv").stat().st_size > 1000
    assert "days" in found.stdout


def test_default_days_to_dlt_are_among_the_assumptions():
    trial = few(onset=None, designs=("3+3",))
    listed = {one.key: one for one in dsf.calendar(trial, n_trials=2).attrs["assumptions"]}
    assert "uniform" in str(listed["onset"].value)
    stated = dsf.calendar(few(designs=("3+3",), onset={"kind": "weibull", "late": 0.7}), n_trials=2).attrs["assumptions"]
    assert "onset" not in {one.key for one in stated}


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("scenarios", "all toxic"),
        ("scenarios", 1.5),
        ("scenarios", [1]),
        ("per_28_days", 3),
        ("per_28_days", float("inf")),
        ("per_28_days", "12"),
        ("per_28_days", {"a": 1}),
        ("cache", 1),
        ("cache", []),
        ("cache", b"x"),
        ("cache", "\0"),
        ("cache", True),
    ],
    ids=str,
)
def test_arguments_of_another_type_are_refused_by_name(argument, value):
    with pytest.raises(dsf.InputError) as refused:
        dsf.calendar(few(designs=("3+3",)), n_trials=2, **{argument: value})
    assert refused.value.problems[0].where == argument


def test_rates_of_a_ramp_stay_possible_at_other_accrual_rates():
    ramp = {"per_28_days": 1.0, "ramp": [{"day": 30, "per_28_days": 50.0}]}
    with pytest.raises(dsf.InputError) as refused:
        few(accrual=ramp | {"sensitivity": [4.0]})
    assert refused.value.problems[0].where == "accrual.sensitivity"
    with pytest.raises(dsf.InputError) as refused:
        dsf.calendar(few(accrual=ramp), n_trials=2, per_28_days=[4.0])
    assert refused.value.problems[0].where == "per_28_days"
    assert dsf.calendar(few(accrual=ramp, designs=("3+3",)), n_trials=2, per_28_days=[2.0]).days.notnull().all()


def test_a_probability_near_zero_is_that_of_nobody():
    few_leave = dsf.calendar(few(designs=("3+3",), discontinuation={"dropout": 1e-320}), n_trials=50)
    nobody = dsf.calendar(few(designs=("3+3",)), n_trials=50)
    np.testing.assert_array_equal(few_leave.days, nobody.days)
    assert not few_leave.lost.any()


def test_first_trials_and_candidates_do_not_depend_on_how_many_follow():
    """Numbers are drawn in parts that grow; a long trial has more parts than a short one."""
    slow = {"accrual": {"per_28_days": 60.0, "queue": 0}, "designs": ("3+3",)}
    rates, clock = Rates(few(**slow).protocol.truths[:1]), Clock.of(few(**slow).protocol)
    design = few(**slow).designs["3+3"]
    some, more = (run(design, rates, clock, trials, 1) for trials in (3, 40))
    np.testing.assert_array_equal(some.turned_away, more.turned_away[:3])
    np.testing.assert_array_equal(some.days, more.days[:3])
    assert some.turned_away.max() > 100


@pytest.mark.slow
def test_bias_of_replacing_is_in_the_result_and_on_the_page():
    leaving = dsf.calendar(few(discontinuation={"dropout": 0.3}), n_trials=20)
    assert (leaving.rate_counted > leaving.p_true).all()
    assert (leaving.evaluable < 1).all()
    words = as_lines(calendar(leaving))
    rate = float(leaving.rate_counted.sel(scenario="middle is MTD", dose=2))
    assert f"{rate:.1%}" in words
    assert "rate_counted" not in dsf.calendar(few(), n_trials=20)


def test_duration_with_cohorts_that_end_once_decided_is_beside_the_primary_design(made):
    early = dsf.calendar(few(), n_trials=400, cohorts="until-decided")
    np.testing.assert_array_equal(made.days_decided, early.days.sel(design="3+3", overlap="as written"))
    np.testing.assert_array_equal(made.days_decided_se, early.days_se.sel(design="3+3", overlap="as written"))
    assert "days_decided" not in early
    assert f"{float(made.days_decided.sel(accrual=2.0, scenario='middle is MTD')):.0f} if" in as_lines(calendar(made)).replace(
        "\n    ", " "
    )


def test_who_leaves_the_queue_and_a_ramp_are_on_the_first_screen():
    ramp = [{"day": 60, "per_28_days": 7.0}]
    accrual = {"process": "poisson", "per_28_days": 2.0, "queue": 2, "patience_days": 5, "ramp": ramp}
    made = dsf.calendar(few(designs=("3+3",), accrual=accrual, discontinuation={"dropout": 0.2}), n_trials=50)
    own = made.isel(overlap=0, design=0).sel(accrual=2.0, scenario="middle is MTD")
    page = calendar(made)
    first = as_lines(dataclasses.replace(page, sections=()))
    assert f"{float(own.gone):.1f}" in first
    assert f"{float(own.mean_n + own.lost):.1f}" in first
    assert "7 from day 60" in " ".join(first.split())


def test_an_interrupted_simulation_names_the_folder_from_which_it_resumes(tmp_path, monkeypatch):
    def interrupted(*_given, **_settings):
        raise KeyboardInterrupt

    monkeypatch.setattr("dosefind.tasks.calendar", interrupted)
    command = ("calendar", str(ROOT / "configs" / "nct05962762.toml"), "--cache", str(tmp_path / "blocks"))
    found = CliRunner().invoke(main, command)
    assert found.exit_code == 130
    assert str(tmp_path / "blocks") in found.stderr
    found = CliRunner().invoke(main, command[:2])
    assert found.exit_code == 130
    assert "blocks" not in found.stderr


def test_a_selected_design_is_shown_and_a_ramp_is_read_back(tmp_path):
    ramp = [{"day": 60, "per_28_days": 7.0}]
    accrual = {"process": "poisson", "per_28_days": 2.0, "ramp": ramp}
    made = dsf.calendar(few(accrual=accrual), n_trials=20)
    own = made.sel(design="3+3", overlap="as written")
    assert f"{float(own.days_decided.sel(accrual=2.0, scenario='middle is MTD')):.0f} if" in as_lines(calendar(own)).replace(
        "\n    ", " "
    )
    made.to_netcdf(tmp_path / "made.nc")
    assert dsf.read_result(tmp_path / "made.nc").attrs["ramp"] == made.attrs["ramp"]


def test_a_primary_design_that_decides_with_pending_outcomes_is_compared_with_one_that_waits():
    """Not with itself; without any other, only its decisions are stated."""
    for designs, compared in ((("rolling-6", "3+3"), "3+3"), (("rolling-6",), None)):
        found = dsf.calendar(few(designs=designs), n_trials=50, per_28_days=[2.0])
        assert found.attrs["primary_design"] == "rolling-6"
        (gain,) = (words for words in map(as_string, Calendar(found, 0).answers()) if "pending" in words)
        assert ("compared with" in gain) == (compared is not None)
        assert compared is None or f"compared with {compared}" in gain
