"""Names of scenarios, designs and curves are data: none replaces a column, a variable, a file or an argument of dosefind's own."""

from __future__ import annotations

import csv
import html
import json
import re
from datetime import date, timedelta

import pandas as pd
import pytest
import xarray as xr
from click.testing import CliRunner
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import dosefind as dsf
from dosefind import provenance
from dosefind.cli import main
from dosefind.provenance import harmless, named_column, original

RATES = [[0.02, 0.05], [0.1, 0.25]]
DAY = date(2026, 3, 1)
# The beginning of a DLT window, so that every outcome is pending.
PENDING = "subject,level,infusion_1,last_contact,dlt\n" + "".join(
    f"A-{n},1,{DAY + timedelta(n)},{DAY + timedelta(n)},\n" for n in (1, 2)
)


def config(folder, scenarios, designs, curves):
    """A config with these names; of designs and curves all of one kind."""
    quoted = {name: '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"' for name in (*scenarios, *designs, *curves)}
    lines = [
        '[record]\nid = "X"\ntitle = "t"\npopulation = "p"\nproduct = "q"\nversion_date = 2026-01-01',
        '[doses]\namounts = [10, 20]\nunit = "mg"\nreference = { amount = 20, unit = "mg" }',
        "[treatment]\ninfusion_days = [1]\ndlt_window_days = 28\nno_overlap = true",
        "[limits]\ncohort_size = 3\nmax_n = 3",
        "[target]\nrate = 0.25\ninterval = [0.16, 0.33]",
        "[scenarios]",
        *(f"{quoted[name]} = {RATES[place % 2]}" for place, name in enumerate(scenarios)),
        *(f'[designs.{quoted[name]}]\nkind = "boin"' for name in designs),
        *(f'[curves.{quoted[name]}]\nkind = "power"\nskeleton = [0.1, 0.25]\nprior_sd = 1.0' for name in curves),
    ]
    path = folder / "trial.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def run(*args):
    done = CliRunner().invoke(main, list(map(str, args)))
    assert done.exit_code == 0, (done.stderr, done.exception)
    return done.stdout


def cells(path):
    """A CSV file as its columns and its rows, each text as it was."""
    with path.open(newline="", encoding="utf-8") as file:
        columns, *rows = csv.reader(file)
    columns = list(map(original, columns))
    assert len(set(columns)) == len(columns)
    return columns, [dict(zip(columns, map(original, row), strict=True)) for row in rows]


def check_everything(folder, scenarios, designs, curves):
    """Every command, and every format of its files, has each name as it is, and every column that it has with other names."""
    path, out = config(folder, scenarios, designs, curves), folder / "out"
    data = folder / "patients.csv"
    data.write_text(PENDING)
    protocol = dsf.load_protocol(path)
    save = ("--out", out, "--force")

    own = ["path", "ways", "next", "reason", "mtd", "not_reached"]
    run("paths", path, "--design", designs[0], "--cohorts", 1, *save)
    columns, rows = cells(out / "paths.csv")
    assert columns[: len(own)] == own
    assert [column.removeprefix("scenario: ") for column in columns if column.startswith("scenario: ")] == scenarios
    assert [row["ways"] for row in rows] == ["1", "3", "3", "1"]
    assert {row["config"] for row in rows} == {"trial.toml"}
    for place, name in enumerate(scenarios):
        p = RATES[place % 2][0]
        chances = [float(row[named_column("scenario", name)]) for row in rows]
        assert chances == pytest.approx([(1 - p) ** 3, 3 * p * (1 - p) ** 2, 3 * p**2 * (1 - p), p**3])
    assert list(json.loads((out / "paths.json").read_text())["rows"][0]) == own + [named_column("scenario", s) for s in scenarios]
    with xr.open_dataset(out / "paths.nc") as saved:
        assert set(saved.data_vars) == {*own, "probability"}
        assert saved["scenario"].values.tolist() == scenarios

    run("compare", path, *save)
    rows = cells(out / "compare.csv")[1]
    assert list(dict.fromkeys(row["scenario"] for row in rows if row["scenario"])) == scenarios
    assert list(dict.fromkeys(row["design"] for row in rows if row["design"])) == designs
    content = json.loads((out / "compare.json").read_text())
    assert (content["coords"]["scenario"]["data"], list(content["attrs"]["rules"])) == (scenarios, designs)
    with xr.open_dataset(out / "compare.nc") as saved:
        assert (saved["scenario"].values.tolist(), saved["design"].values.tolist()) == (scenarios, designs)

    run("analyze", path, "--curve", curves[-1], *save)
    content = json.loads((out / "analyze.json").read_text())
    assert (content["coords"]["curve"]["data"], content["coords"]["design"]["data"]) == (curves, designs)
    assert content["attrs"]["curve_used"] == curves[-1]
    with xr.open_datatree(out / "analyze.nc") as saved:
        assert (saved["curve"].values.tolist(), saved["design"].values.tolist()) == (curves, designs)

    run("sensitivity", path, *save)
    rows = cells(out / "sensitivity.csv")[1]
    assert [row["value"] for row in rows if row["varied"] in ("as analysed", "curve")] == curves

    shown = run("next", path, "--data", data, "--as-of", DAY + timedelta(2), "--details", *save)
    columns, rows = cells(out / "next-completions.csv")
    assert columns[: 2 + len(designs)] == ["further DLTs", "ways", *(named_column("design", name) for name in designs)]
    assert [row["ways"] for row in rows] == ["1", "2", "1"]
    assert [row["design"] for row in cells(out / "next-designs.csv")[1]] == designs
    content = json.loads((out / "next.json").read_text())
    assert [row["ways"] for row in content["completions"]] == [1, 2, 1]
    if content["paths"]:
        assert {"path", "ways", "next", "reason", "mtd", "not_reached"} <= set(content["paths"][0])
    assert designs[0] in shown
    return protocol


def written(folder):
    """Every column, variable, coordinate, dimension, attribute and file that commands write."""
    names = set()
    for path in folder.glob("*.csv"):
        names |= {column for column in cells(path)[0] if not column.startswith(("scenario: ", "design: "))}
    for path in folder.glob("*.nc"):
        with xr.open_datatree(path) as saved:
            for node in saved.subtree:
                names |= {*map(str, node.variables), *map(str, node.dims), *map(str, node.attrs), *filter(None, [node.name])}
    for path in folder.glob("*.json"):
        names |= set(json.loads(path.read_text()))
    return names | {path.stem for path in folder.iterdir()}


@pytest.fixture(scope="module")
def own_names(tmp_path_factory):
    """The names of everything that dosefind writes, collected from its files."""
    folder = tmp_path_factory.mktemp("ordinary")
    check_everything(folder, ["first", "second"], ["boin"], ["power"])
    names = written(folder / "out")
    # What must be among them for the collection to be one.
    assert {"path", "ways", "seed", "versions", "config", "mtd_level", "posterior", "further DLTs", "next-audit"} <= names
    return sorted(names)


@pytest.mark.slow
def test_names_of_every_column_are_ordinary_names_of_scenarios(own_names, tmp_path):
    check_everything(tmp_path, own_names, ["boin"], ["power"])


@pytest.mark.slow
def test_names_of_every_column_are_ordinary_names_of_designs_and_curves(own_names, tmp_path):
    keys = [name for name in own_names if re.fullmatch(r"[A-Za-z0-9+_-]{1,40}", name)]
    assert len(keys) > 40
    # Curves by the dozen take long: each is analysed.
    check_everything(tmp_path, ["a"], keys[:30], keys[30:40])
    check_everything(tmp_path, ["a"], keys[30:], ["self"])


SCENARIOS = [
    *("ways", "next", "reason", "mtd", "n", "y", "config", "method", "seed", "path", "versions", "not_reached", "row", "index"),
    *(
        "a/b",
        "/",
        ".",
        "..",
        "self",
        "=x",
        "'=x",
        "''=x",
        "'x",
        "+1",
        "-1",
        "@x",
        "scenario: a",
        "design: a",
        "scenario",
        "probability",
    ),
    *("nan", "NA", "null", "None", "[1]", "{}", "[bold]x[/bold]", "<b>&amp;", "$x^2$", "_x", "%s", "{0}", "a,b", 'a"b', "a\\b"),
    *(
        " ",
        " a",
        "a ",
        "\u202eabc",
        "\u2028",
        "\u00e4",
        "a\u0308",
        "\U0001f600",
        "\ufffe",
        "x" * 200,
        "units",
        "_FillValue",
        "dtype",
    ),
]
KEYS = [
    "self",
    "cls",
    "ways",
    "next",
    "design",
    "binding",
    "reason",
    "kind",
    "-",
    "+",
    "_",
    "__init__",
    "0",
    "1e5",
    "none",
    "nan",
    "over_k",
]


@pytest.mark.slow
def test_hostile_names_go_through_everything(tmp_path):
    check_everything(tmp_path, SCENARIOS, KEYS, KEYS[:6])


NAMES = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=12)
KEY = st.from_regex(r"\A[A-Za-z0-9+_-]{1,8}\Z")


@pytest.mark.slow
@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(NAMES, min_size=1, max_size=3, unique=True),
    st.lists(KEY, min_size=1, max_size=2, unique=True),
    st.lists(KEY, min_size=1, max_size=2, unique=True),
)
@example(["=x", "'=x", "''=x"], ["ways", "self"], ["self", "-"])
def test_any_names_go_through_everything(tmp_path, scenarios, designs, curves):
    check_everything(tmp_path, scenarios, designs, curves)


@given(st.text(), st.text())
def test_cells_for_spreadsheets_are_told_apart_and_read_back(one, other):
    assert original(harmless(one)) == one
    assert (harmless(one) == harmless(other)) == (one == other)
    assert not harmless(one).startswith(("=", "+", "-", "@", "\t", "\r"))


@pytest.mark.parametrize("text", ["=x", "'=x", "''=x", "'x", "x", "", "'", "-1", "'-1", "+", "@", "\tx", "'\tx"])
def test_cells_for_spreadsheets_by_example(text):
    assert original(harmless(text)) == text


@pytest.mark.parametrize("place", ['[designs.boin]\nkind = "boin"\n', "[curves.c]\n"], ids=["design", "curve"])
def test_a_setting_called_self_is_an_unknown_key(tmp_path, place):
    path = config(tmp_path, ["a"], ["boin"], ["c"])
    text = path.read_text().replace('[designs."boin"]', "[designs.boin]").replace('[curves."c"]', "[curves.c]")
    assert place in text
    path.write_text(text.replace(place, f"{place}self = 1\n"))
    with pytest.raises(dsf.InputError, match=r"\.self = 1: unknown key"):
        dsf.load_protocol(path)


@pytest.mark.slow
def test_reports_show_names_as_they_are(tmp_path):
    """Those of columns, and those that a page or a template could read as its own."""
    scenarios = ["path", "reason", "ways", "<b>&amp;</b>", "{{ x }}", "#let x", "[bold]"]
    protocol = dsf.load_protocol(config(tmp_path, scenarios, ["ways", "next"], ["over_k", "reason"]))
    path = tmp_path / "patients.csv"
    path.write_text(PENDING)
    patients = dsf.read_patients(path, protocol)
    for report in (dsf.report(protocol), dsf.report(protocol, patients, DAY + timedelta(2))):
        page = report.html()
        # Without breaks that the page puts into long words.
        text = html.unescape(re.sub(r"<[^>]*>", "", page))
        for name in ("ways", "next", "over_k"):
            assert name in text
    page = dsf.report(protocol).html()
    for name in scenarios:
        # At the head of a column, as a text that a user gave.
        assert f"><bdi>{html.escape(name)}</bdi></th>" in page


def test_variables_of_names_have_a_dimension_of_their_own():
    table = pd.DataFrame({"path": ["1NNN"], "scenario: path": [0.5], "scenario: a/b": [0.25]})
    found = provenance._for_netcdf(table)
    assert found["path"].values.tolist() == ["1NNN"]
    assert found["probability"].sel(scenario="path").values.tolist() == [0.5]
    assert found["probability"].sel(scenario="a/b").values.tolist() == [0.25]
