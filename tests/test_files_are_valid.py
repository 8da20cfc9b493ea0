"""Whatever a config that loads says, its results are files that every reader of their format takes."""

from __future__ import annotations

import json
import pickle
import zipfile
from io import BytesIO
from random import Random

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from click.testing import CliRunner

import dosefind as dsf
from dosefind import provenance
from dosefind.cli import main
from dosefind.results import decoded
from dosefind.show.pages.analysis import analysis
from dosefind.show.pages.comparison import comparison
from dosefind.show.terminal import as_lines
from dosefind.tasks import stamp
from dosefind.trial import Departure

from . import made_up
from .peers import ROOT

SHIPPED = dsf.load_trial(ROOT / "configs" / "nct05962762.toml")

TEXT = """
[record]
id = {id}
title = "a trial"
population = "adults"
product = "a product"
version_date = {date}
[doses]
amounts = {amounts}
unit = "mg"
reference = {{ amount = {reference}, unit = "mg" }}
[treatment]
infusion_days = [1]
dlt_window_days = 28
no_overlap = true
[limits]
cohort_size = 3
max_n = {max_n}
[target]
rate = 0.25
interval = [0.16, 0.33]
[scenarios]
a = {rates}
[designs."3+3"]
kind = "3+3"
[designs.boin]
kind = "boin"
[curves.c]
kind = "logistic-2"
prior = {{ mean = {mean}, sd = {sd} }}
"""


def config(folder, **changes):
    given = {
        "id": '"X"',
        "date": "2024-01-01",
        "amounts": [10.0, 20.0, 40.0],
        "reference": 20.0,
        "max_n": 6,
        "rates": [0.1, 0.25, 0.4],
        "mean": [-2.2, 0.0],
        "sd": [2.0, 1.0],
    }
    path = folder / "trial.toml"
    path.write_text(TEXT.format(**given | changes))
    return path


def strict(text):
    """Content of a JSON text, in which NaN and infinities are errors."""

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def run(*args):
    return CliRunner().invoke(main, list(map(str, args)))


def valid(folder, path, command, *args):
    """Run a command with all its files; its JSON."""
    out = folder / "out"
    done = run(command, path, *args, "--json", "--out", out, "--force")
    assert done.exit_code == 0, (done.stderr, done.exception)
    found = strict(done.stdout)
    assert strict((out / f"{command}.json").read_text()) == found
    xr.open_datatree(out / f"{command}.nc", decode_timedelta=False).close()
    assert len(pd.read_csv(out / f"{command}.csv"))
    return found


MEANS = ([-5.0, 0.0], [-5.0, -1.0], [-2.2, -3.0], [3.0, 0.0])


@pytest.mark.slow
@pytest.mark.parametrize("mean", MEANS, ids=str)
def test_figures_beyond_the_range_of_numbers_are_text(tmp_path, mean):
    path = config(tmp_path, mean=mean)
    summary = dsf.analyze(dsf.load_protocol(path), "1NNN").summary
    shown = valid(tmp_path, path, "analyze", "--outcomes", "1NNN")["data_vars"]["mtd_amount"]["data"]
    assert [float(one) for one in shown] == provenance.rounded(summary)["mtd_amount"].values.tolist()
    if mean == [-5.0, 0.0]:
        assert shown[-1] == "infinity"


def random_settings(random):
    doses = random.randint(1, 4)
    amounts = [10.0 ** random.choice([-9, -2, 0, 1, 6]) * random.choice([1.2, 2.0, 10.0]) ** k for k in range(doses)]
    amounts = sorted(set(amounts))
    return {
        "id": json.dumps(random.choice(["X", "[1]", "{}", "[NaN]", "null", '{"a": Infinity}'])),
        "amounts": amounts,
        "reference": random.choice(amounts),
        "max_n": random.choice([1, 3, 6, 9]),
        "rates": sorted(random.choice([0.0, 1e-300, 0.1, 0.5, 1.0]) for _ in amounts),
        "mean": [random.choice([-6.0, -5.0, -2.2, 0.0]), random.choice([-2.0, -1.0, 0.0, 1.0])],
        "sd": [random.choice([0.1, 1.0, 2.0]), random.choice([0.1, 0.5, 1.0])],
    }


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_odd_configs_give_valid_files(tmp_path, seed):
    random = Random(seed)
    path = config(tmp_path, **random_settings(random))
    given = random.choice([(), ("--outcomes", "1NNN"), ("--outcomes", "1NTT")])
    found = valid(tmp_path, path, "analyze", *given)
    assert found["attrs"]["protocol"] == dsf.load_protocol(path).record.id
    for command, *args in (("compare",), ("table", "--design", "boin"), ("paths", "--design", "boin"), ("sensitivity", *given)):
        valid(tmp_path, path, command, *args)


@pytest.mark.parametrize("text", ["[1]", "[NaN]", "{}", '{"a": 1}', "null", "[", "true", "1"])
def test_attributes_that_look_like_json_stay_text(text):
    table = pd.DataFrame({"x": [1]})
    attrs = {"protocol": text, "rules": {"a": []}}
    assert strict(provenance.as_json(table, attrs))["attrs"] == attrs
    assert decoded(provenance.encoded(attrs)) == attrs


@pytest.fixture(scope="module")
def results():
    """Every kind of result whose attributes are records; the analysis has departures from the designs."""
    return {
        "compare": dsf.compare(SHIPPED),
        "analyze": dsf.analyze(SHIPPED, "1TTT 1NNN 3N").summary,
        "calibrate": dsf.calibrate(dsf.Power(skeleton=(0.1, 0.3)), {"3+3": dsf.ThreePlusThree()}, n_sets=20),
    }


KINDS = ("compare", "analyze", "calibrate")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_attributes_are_read_back_as_they_were(kind, results, tmp_path):
    found = provenance.rounded(results[kind])
    provenance.save_dataset(found, tmp_path, "saved")
    found.to_netcdf(tmp_path / "again.nc")
    for name in ("saved.nc", "again.nc"):
        xr.testing.assert_identical(dsf.read_result(tmp_path / name), found)
    assert decoded(strict((tmp_path / "saved.json").read_text())["attrs"]) == found.attrs
    assumed = pd.read_csv(tmp_path / "saved-assumed.csv", dtype=str, keep_default_na=False)
    rows = [tuple(map(provenance.original, row)) for row in assumed[["key", "value", "why"]].to_numpy()]
    assert rows == [(one.key, str(one.value), one.why) for one in found.attrs.get("assumptions", [])]
    figures = pd.read_csv(tmp_path / "saved.csv", dtype=str)
    assert [json.loads(cell) for cell in figures.versions.unique()] == [found.attrs["versions"]]


@pytest.mark.slow
def test_attributes_of_tables_are_read_back_as_they_were(tmp_path):
    table = dsf.paths(SHIPPED, "boin", cohorts=1, outcomes="1NNN 3NNN")
    following = dsf.next_dose(SHIPPED, made_up.single_dose(), made_up.day(95))
    stamped = stamp(SHIPPED, "boin") | table.attrs
    provenance.save_table(table, stamped, tmp_path, "paths")
    provenance.save_tables(following.tables, following.attrs, tmp_path, "next")
    assert table.attrs["deviations"] == [Departure("level", 2, 3, 2, 3)]
    for name, attrs in (("paths", stamped), ("next", following.attrs)):
        assert decoded(strict((tmp_path / f"{name}.json").read_text())["attrs"]) == attrs
    assert dsf.read_result(tmp_path / "paths.nc").attrs == stamped


@pytest.mark.parametrize("kind", KINDS)
def test_attributes_stay_with_a_result(kind, results):
    found = results[kind]
    dim = "scenario" if kind == "compare" else "quantity" if kind == "calibrate" else "dose"
    parts = [found.isel({dim: [place]}) for place in range(found.sizes[dim])]
    for same in (pickle.loads(pickle.dumps(found)), found.copy(deep=True), found.assign(extra=1), *parts):
        assert same.attrs == found.attrs
    for how in ("override", "no_conflicts", "drop_conflicts", "identical"):
        assert (
            xr.concat(parts, dim, data_vars="minimal", coords="minimal", compat="override", combine_attrs=how).attrs == found.attrs
        )


@pytest.mark.slow
def test_a_result_of_an_earlier_version_is_read_and_shown(results, tmp_path):
    """Sentences of reasons stood beside their names, deviations were sentences."""
    compared, analyzed = (results[kind] for kind in ("compare", "analyze"))
    sentences = {name: [str(one) for one in each] for name, each in analyzed.attrs["deviations"].items()}
    for kind, found in (("compare", compared), ("analyze", analyzed.assign_attrs(deviations=sentences))):
        old = xr.Dataset(found.data_vars, found.coords, provenance.encoded(found.attrs)).copy(deep=True)
        if kind == "compare":
            old["reason"].attrs["definition"] = old.attrs.pop("reasons")
        old.to_netcdf(tmp_path / f"{kind}.nc", engine="h5netcdf")
    back = [dsf.read_result(tmp_path / f"{kind}.nc") for kind in ("compare", "analyze")]
    assert sentences
    assert back[0].attrs == compared.attrs
    assert back[1].attrs["deviations"] == sentences
    assert [as_lines(comparison(back[0]), details=True), as_lines(analysis(back[1]), details=True)] == [
        as_lines(comparison(compared), details=True),
        as_lines(analysis(analyzed), details=True),
    ]


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        (float("inf"), "infinity"),
        (float("-inf"), "-infinity"),
        (float("nan"), None),
        (np.float32("inf"), "infinity"),
        (np.int64(2**62), 2**62),
        (None, None),
        (pd.NA, None),
        (pd.NaT, None),
        (1e-300, 1e-300),
        (0.1 + 0.2, 0.1 + 0.2),
    ],
    ids=str,
)
def test_cells_of_tables_are_json(cell, shown):
    table = pd.DataFrame({"x": pd.Series([cell, "y"], dtype=object)})
    assert strict(provenance.as_json(table, {"error": cell if isinstance(cell, float) else 0}))["rows"][0] == {"x": shown}
    assert strict(provenance.tables_as_json({"t": table}, {}))["t"][0] == {"x": shown}


@pytest.mark.slow
@pytest.mark.parametrize("day", ["0001-01-01", "1970-01-01", "2107-12-31", "2108-01-01", "9999-12-31"])
def test_reports_of_any_date_are_files(tmp_path, day):
    """ZIP files have dates of 1980 to 2107 only."""
    out = tmp_path / "report"
    done = run("report", config(tmp_path, date=day), "--format", "docx,docx", "--out", out)
    assert done.exit_code == 0, (done.stderr, done.exception)
    with zipfile.ZipFile(BytesIO((out / "report.docx").read_bytes())) as file:
        assert file.testzip() is None


REFUSED = [
    ("compare", "--seed", "18446744073709551616", "--method", "simulate"),
    ("compare", "--seed", str(2**63)),
    ("compare", "--seed", "-1"),
    ("compare", "--seed", "1.5"),
    ("paths", "--design", "boin", "--seed", str(2**64)),
    ("analyze", "--seed", str(2**63 - 1)),
    ("compare", "--memory-limit", "1e308"),
    ("compare", "--memory-limit", "inf"),
    ("compare", "--memory-limit", "nan"),
    ("compare", "--memory-limit", "-1"),
    ("compare", "--memory-limit", "0"),
    ("compare", "--memory-limit", "1e-300"),
    ("compare", "--method", "simulate", "--trials", "0"),
    ("compare", "--method", "simulate", "--trials", "1"),
    ("compare", "--method", "simulate", "--trials", "-5"),
    ("compare", "--method", "simulate", "--trials", "10.5"),
    ("report", "--format", "html,pdf2"),
    ("report", "--format", "html,"),
    ("report", "--format", ""),
]


@pytest.mark.parametrize("args", REFUSED, ids=" ".join)
def test_options_out_of_range_are_refused(tmp_path, args):
    done = run(args[0], config(tmp_path), *args[1:], "--out", tmp_path / "out")
    assert done.exit_code == 2, (done.stderr, done.exception)
    assert not (tmp_path / "out").exists()


def test_the_largest_seed_is_in_the_files(tmp_path):
    found = valid(tmp_path, config(tmp_path), "compare", "--seed", str(2**63 - 1))
    assert found["attrs"]["seed"] == 2**63 - 1


@pytest.mark.parametrize("mean", [[50.0, 0.0], [-2.2, 50.0], [-50.0, 0.0], [1e6, 0.0], [0.0, -1e308], [10.5, 0.0]], ids=str)
def test_prior_means_beyond_any_that_is_meant_are_refused(tmp_path, mean):
    done = run("analyze", config(tmp_path, mean=mean), "--outcomes", "1NNN")
    assert done.exit_code == 2
    assert "curves.c.prior.mean[" in done.stderr
    assert ("from -4 to 4" if "mean[2]" in done.stderr else "from -10 to 10") in done.stderr
