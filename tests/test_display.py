"""What notebooks show: the figures of the printed tables, every text escaped, nothing printed, nothing loaded unasked."""

import inspect
import pickle
import re
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import html5lib
import numpy as np
import pytest
import xarray as xr

import dosefind as dsf
from dosefind.calibration.sbc import summarised
from dosefind.show import notebook
from dosefind.show.content import Other
from dosefind.show.html import as_fragment
from dosefind.show.pages import objects

from .peers import ROOT
from .planted import faults

EXAMPLE = ROOT / "examples" / "nct05962762" / "midway"
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def protocol():
    return dsf.load_protocol(ROOT / "configs" / "nct05962762.toml")


@pytest.fixture(scope="module")
def oc(protocol):
    return dsf.compare(protocol)


@pytest.fixture(scope="module")
def patients(protocol):
    return dsf.read_patients(EXAMPLE / "patients.csv", protocol, events=EXAMPLE / "events.csv")


@pytest.fixture(scope="module")
def shown(protocol, oc, patients):
    """An object of every kind that shows itself."""
    boin = dsf.BOIN(target=0.25, max_n=12, n_doses=3)
    prior = dsf.BivariateNormal(mean=(-2.2, 0.0), sd=(2.0, 1.0))
    trials = (dsf.TrialDoses(name="AS", doses=(1, 3, 5)), dsf.TrialDoses(name="DLC", doses=(1, 2, 4)))
    spread = dsf.Exchangeable(mu=prior, tau_scale=(0.5, 0.25), rho=0)
    found = dsf.next_dose(protocol, patients)
    return {
        "protocol": protocol,
        "design": boin,
        "step": dsf.decide(boin, "1NNN 2NNT"),
        "comparison": oc,
        "walked": dsf.lattice(boin).under({"one": [0.1, 0.2, 0.3]}),
        "simulated": dsf.simulate(boin, [[0.1, 0.2, 0.3]], n_trials=50),
        "lattice": dsf.lattice(boin),
        "analysis": dsf.analyze(protocol, "1NNN 2NNN 3NNT"),
        "patients": patients,
        "evaluated": dsf.evaluate(patients, protocol),
        "next dose": found,
        "proposal": found.proposal,
        "posterior": dsf.analyze(protocol, "1NNN 2NNT").posterior,
        "synthetic": dsf.synthesize(protocol, truth="middle is MTD", seed=8),
        "elicited": dsf.prior_from_quantiles({1: {0.1: 0.01, 0.9: 0.25}, 5: {0.1: 0.10, 0.9: 0.60}}, reference=3),
        "calibration": dsf.calibrate(dsf.Power(skeleton=(0.1, 0.3)), {"three each": (3, 3)}, n_sets=20),
        "states": dsf.States.counts([[3, 3]], [[0, 1]]),
        "curve": dsf.Power(skeleton=(0.1, 0.3)),
        "prior": prior,
        "trial": trials[0],
        "exchangeable": spread,
        "exnex": dsf.Exnex(weight=0.5, prior=prior),
        "hierarchical": dsf.HierarchicalLogistic(
            pooled="DLT over 28 days after one infusion", trials=trials, reference=3, exchangeable=spread
        ),
    }


def parsed(html):
    """The HTML as a tree; an error in it is raised."""
    parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
    return parser.parseFragment(html)


def words(html):
    """What a reader sees of it."""
    return " ".join("".join(parsed(html).itertext()).split())


def rows(html, at=0):
    """Cells of a table, row by row."""
    table = parsed(html).findall(".//table")[at]
    return [["".join(cell.itertext()) for cell in row] for row in table.iter("tr")]


@pytest.mark.slow
def test_every_kind_is_whole_html_without_a_script(shown):
    for name, one in shown.items():
        # xarray's own view is not ours to judge.
        html = shown_tables(one) if isinstance(one, xr.Dataset) else one._repr_html_()
        tree = parsed(html)
        assert not list(tree.iter("script")), name
        assert words(html), name


# What is shown is what is printed


@pytest.mark.slow
def test_a_comparison_shows_values_and_folds_details_away(oc):
    html = oc._repr_html_()
    found = {row[0]: row[1:] for row in rows(html)}
    own = oc.sel(scenario="middle is MTD")
    place = list(oc.scenario.values).index("middle is MTD")
    for design in oc.design.values:
        correct, overdose = (100 * own[name].sel(design=design).item() for name in ("correct", "overdose_selected"))
        assert found[design][place] == f"{correct:.1f}/{overdose:.1f}"
    # xarray's view is folded away too.
    folded = list(html5lib.parseFragment(html, namespaceHTMLElements=False).iter("details"))
    assert len(folded) >= len(objects.page(oc).sections)
    assert html.index("<details") < html.index("xr-wrap")


@pytest.mark.slow
def test_an_analysis_shows_curve_and_figures(shown):
    found = shown["analysis"]
    html = found._repr_html_()
    assert html.count("<svg") == 1
    first = rows(html)
    assert [row[2] for row in first[1:]] == ["0/3", "0/3", "1/3"]
    assert [row[6] for row in first[1:]] == [f"{100 * p:.1f}" for p in found.summary.p_over.values]
    assert f"level {found.summary.attrs['rp2d']} (" in words(html)


@pytest.mark.slow
def test_without_matplotlib_there_is_no_picture(shown, monkeypatch):
    monkeypatch.setattr(objects, "find_spec", lambda name: None)
    assert "<svg" not in shown["elicited"]._repr_html_()
    assert rows(shown["elicited"]._repr_html_())


def test_decisions_show_action_and_reason(shown):
    step, proposal = shown["step"], shown["proposal"]
    for one in (step, proposal):
        assert one.words in words(one._repr_html_())
        assert one.reason in words(one._repr_html_())
    assert str(step).startswith(f"{step.words}: {step.reason}")
    named = dsf.decide(dsf.BOIN(target=0.25, n_doses=3), "1NNN 3NNN")
    assert "cohort 2 was at level 3" in words(named._repr_html_())
    assert "level 2 is assumed to exist" in words(dsf.decide(dsf.BOIN(target=0.25), "1NNN")._repr_html_())


def test_a_posterior_shows_rates_parameters_and_diagnostics(shown):
    posterior = shown["posterior"]
    html = posterior._repr_html_()
    mean, sd = posterior.moments()
    assert [(row[0], row[3], row[4]) for row in rows(html)[1:]] == [
        (str(level + 1), f"{100 * mean.value[level]:.1f}", f"{100 * sd.value[level]:.1f}") for level in range(3)
    ]
    said = words(html)
    assert f"log_alpha: mean {posterior.parameters()[0].value[0]:.4g}" in said
    assert "largest_error" in said


def test_rules_of_a_design_are_a_list(shown):
    items = ["".join(one.itertext()) for one in parsed(shown["design"]._repr_html_()).iter("li")]
    assert items == shown["design"].rules()


def test_simulated_figures_show_their_errors(shown):
    oc = shown["simulated"]
    html = shown_tables(oc)
    level = rows(html)[1][4]
    assert level == f"{100 * oc.selected.values[0, 2]:.1f} ±{100 * oc.selected_se.values[0, 2]:.1g}"
    assert "50 trials per scenario, seed 1; ± is one standard error" in words(html)


def test_a_failed_calibration_says_so():
    pit = np.zeros((1, 40, 2, 1))
    html = summarised(pit, ["three each"], ["b"], 0.01)._repr_html_()
    assert "Simulation-based calibration: FAILED." in html
    assert ">NO<" in html


def test_long_tables_end(protocol):
    many = protocol.scenarios | {f"truth {i}": (0.1, 0.2, 0.3) for i in range(80)}
    html = dsf.lattice(dsf.ThreePlusThree(), n_doses=3).under(many)._repr_html_()
    assert len(rows(html)) == 61
    assert "26 more rows are not shown." in html


# Escaping


def test_what_comes_from_data_is_text(tmp_path, protocol):
    text = (EXAMPLE / "patients.csv").read_text()
    (tmp_path / "patients.csv").write_text(text.replace("SYN-0001", SCRIPT))
    patients = dsf.read_patients(tmp_path / "patients.csv", protocol)
    for one in (patients, dsf.evaluate(patients, protocol), dsf.next_dose(protocol, patients)):
        html = one._repr_html_()
        assert SCRIPT not in html
        assert SCRIPT in words(html)
        assert not list(parsed(html).iter("script"))


def test_names_of_scenarios_layouts_and_rules_are_text(protocol):
    def rule(trial):
        "<b>Up</b> & on."
        return min(trial.level + 1, trial.n_doses)

    design = dsf.design_from_rule(rule, choose=lambda trial: 1, max_n=6, n_doses=3)
    assert "&lt;b&gt;Up&lt;/b&gt; &amp; on." in design._repr_html_()
    walked = dsf.lattice(design).under({SCRIPT: [0.1, 0.2, 0.3]})
    compared = dsf.compare(protocol.model_copy(update={"scenarios": {SCRIPT: (0.1, 0.2, 0.3)}}))
    calibrated = dsf.calibrate(dsf.Power(skeleton=(0.1, 0.3)), {SCRIPT: (3, 3)}, n_sets=20)
    for one in (walked, compared, calibrated):
        assert "<script" not in one._repr_html_()
    assert "<script" not in notebook._bar(SCRIPT, 1, 2)


# A dataset is xarray's


def test_a_result_is_a_dataset_in_every_other_way(oc, tmp_path):
    assert isinstance(oc, xr.Dataset)
    assert repr(oc).startswith("<xarray.Dataset>")
    part = oc[["mean_n"]].sel(design="3+3")
    assert "xr-wrap" in part._repr_html_()
    assert "<table" not in shown_tables(part)
    again = pickle.loads(pickle.dumps(oc))
    xr.testing.assert_identical(oc, again)
    oc.to_netcdf(tmp_path / "oc.nc")
    assert (xr.load_dataset(tmp_path / "oc.nc").correct == oc.correct.values).all()
    assert list(oc.correct.to_pandas().index) == list(oc.design.values)


def test_a_part_that_still_has_all_figures_is_shown_as_tables(oc):
    part = oc.sel(design=["3+3", "boin"], scenario=["middle is MTD"])
    assert rows(part._repr_html_())[0] == ["design", "middle is MTD"]
    assert {"3+3", "boin"} <= {row[0] for row in rows(part._repr_html_())}


def shown_tables(one):
    """The tables alone: xarray's own view has ids that differ each time."""
    own = objects.page(one)
    return as_fragment(
        replace(own, blocks=without(own.blocks), sections=tuple(part for part in own.sections if part.id != "xarray"))
    )


def without(blocks):
    return tuple(block for block in blocks if not isinstance(block, Other))


@pytest.mark.parametrize("dims", [("scenario", "design", ...), ("dose", "choice", ..., "scenario"), (..., "design")])
def test_the_order_of_dimensions_does_not_change_what_is_shown(oc, dims):
    turned = oc.sel(design=["3+3", "boin", "crm"]).transpose(*dims)
    assert "<table" in shown_tables(oc)
    assert shown_tables(turned) == shown_tables(oc.sel(design=["3+3", "boin", "crm"]))
    drawn = [dsf.plots.alt_text(dsf.plots.allocation(one)) for one in (turned, oc.sel(design=["3+3", "boin", "crm"]))]
    assert drawn[0] == drawn[1]


@pytest.mark.slow
@pytest.mark.parametrize("labels", [{"design": "boin"}, {"scenario": "low"}, {"design": "crm", "scenario": "all toxic"}])
def test_one_label_is_shown_as_a_list_of_one(oc, labels):
    part, listed = oc.sel(labels), oc.sel({name: [label] for name, label in labels.items()})
    assert "<table" in shown_tables(part)
    assert shown_tables(part) == shown_tables(listed)
    assert dsf.plots.alt_text(dsf.plots.selection(part)) == dsf.plots.alt_text(dsf.plots.selection(listed))


def test_one_scenario_of_a_design_and_one_layout_of_a_calibration_are_shown(shown):
    for one, name in ((shown["walked"], "scenario"), (shown["calibration"], "layout")):
        label = one[name].values[0]
        assert "<table" in shown_tables(one.sel({name: label}))
        assert shown_tables(one.sel({name: label})) == shown_tables(one.sel({name: [label]}))


@pytest.mark.parametrize(
    "part",
    [
        lambda oc: oc.sel(dose=2),
        lambda oc: oc.sel(dose=[1, 2]),
        lambda oc: oc.sel(choice="none"),
        lambda oc: oc.isel(reason=0),
        lambda oc: oc.isel(n_patients=0),
        lambda oc: oc.sel(design=[]),
        lambda oc: oc.drop_attrs(),
        lambda oc: oc.mean("scenario"),
        lambda oc: oc.drop_vars("p_true"),
        lambda oc: oc.drop_vars("dose_amount"),
        lambda oc: oc.assign_coords(dose_amount=("dose", [1.0, 3.0, 5.0])),
    ],
)
def test_what_the_tables_cannot_show_is_shown_as_xarray_shows_it(oc, part):
    made = part(oc)._repr_html_()
    assert "xr-wrap" in made
    assert "<table" not in shown_tables(part(oc))


@pytest.mark.slow
def test_what_is_printed_of_a_result_is_short(protocol, shown, patients):
    assert str(protocol) == "Protocol NCT05962762: 1, 3, 5 10^6 cells/kg; 9 designs, 6 scenarios"
    made = dsf.report(protocol.model_copy(update={"designs": {"3+3": protocol.designs["3+3"]}}))
    assert repr(made).startswith("NCT05962762: design report: ")
    for one in (protocol, made, shown["synthetic"], shown["analysis"], shown["lattice"]):
        assert len(repr(one)) < 200


def test_tab_completes_what_is_of_use(protocol):
    assert {"target", "boundaries", "table", "with_settings"} <= {*dir(dsf.BOIN(target=0.25))}
    assert {"designs", "scenarios", "truths"} <= {*dir(protocol)}
    assert not {"model_dump", "construct", "parse_obj", "copy"} & {*dir(dsf.BOIN(target=0.25)), *dir(protocol)}


# Nothing is loaded or printed unasked


@pytest.mark.slow
def test_showing_loads_no_sampler():
    script = f"""
import sys, dosefind as d
assert "dosefind.show" not in sys.modules
protocol = d.load_protocol({str(ROOT / "configs" / "nct05962762.toml")!r})
oc = d.compare(protocol)
assert "dosefind.show" not in sys.modules
oc._repr_html_(), protocol._repr_html_(), d.decide(d.ThreePlusThree(), "1NNN")._repr_html_()
assert not {{"pymc", "arviz", "pytensor", "matplotlib", "nutpie"}} & set(sys.modules), "loaded"
d.analyze(protocol, "1NNN")._repr_html_()
assert not {{"pymc", "arviz", "pytensor", "nutpie", "matplotlib.pyplot"}} & set(sys.modules), "loaded"
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.slow
def test_nothing_prints_by_itself(shown, protocol, patients, capfd):
    dsf.compare(protocol, progress=dsf.progress("designs"))
    dsf.simulate(dsf.ThreePlusThree(), [[0.1, 0.2]], n_trials=20)
    dsf.analyze(protocol, "1NNN 2NNT").tree(100)
    dsf.sensitivity(protocol, "1NNN 2NNT")
    dsf.next_dose(protocol, patients)
    dsf.synthesize(protocol, truth="middle is MTD", seed=3)
    dsf.decision_table(protocol, "3+3")
    dsf.paths(protocol, "boin", cohorts=1)
    dsf.calibrate(dsf.Power(skeleton=(0.1, 0.3)), {"three each": (3, 3)}, n_sets=20, progress=dsf.progress("data sets"))
    dsf.report(protocol.model_copy(update={"designs": {"3+3": protocol.designs["3+3"]}})).html()
    for one in shown.values():
        one._repr_html_()
    assert capfd.readouterr() == ("", "")


# Progress


class Handle:
    """Stands for IPython's display handle."""

    def __init__(self, seen):
        self.seen = seen

    def update(self, data, raw):
        assert raw
        self.seen.append(data["text/html"])


def test_progress_is_a_bar_in_a_notebook_and_goes(monkeypatch, capfd):
    seen = []

    def shows(data, raw, display_id):
        assert raw
        assert display_id
        seen.append(data["text/html"])
        return Handle(seen)

    ipython = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=1), display=SimpleNamespace(display=shows))
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    step = dsf.progress("designs")
    step(1, 2)
    step(1.5, 2)
    step(2, 2)
    assert [re.sub(r"\d+ s left", "N s left", text) for text in seen] == [
        '<progress value="1" max="2"></progress> 1 of 2 designs, N s left',
        '<progress value="1.5" max="2"></progress> 1 of 2 designs, N s left',
        "",
    ]
    assert capfd.readouterr() == ("", "")


def test_progress_is_a_line_on_a_terminal_and_nothing_elsewhere(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    assert dsf.progress("designs") is None
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    step = dsf.progress("designs")
    step(1, 2)
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"\r1 of 2 designs, \d+ s left *", err)
    step(2, 2)
    assert capsys.readouterr().err.strip() == ""


@pytest.mark.parametrize(
    ("calls", "left"),
    [
        # After 10 s a quarter is done.
        ([(10, 2)], "30 s"),
        ([(600, 2)], "30 min"),
        ([(3600, 1)], "7.0 h"),
        # Six were stored; the seventh took 100 s.
        ([(0.1, 6), (100, 7)], "2 min"),
        # Faster of late: what was done in the second half of the time counts, three in 100 s.
        ([(100, 1), (110, 2), (200, 4)], "2 min"),
    ],
)
def test_progress_estimates_the_time_left(calls, left, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    now = [0.0]
    monkeypatch.setattr("dosefind.show.notebook.perf_counter", lambda: now[0])
    step = dsf.progress("designs")
    for now[0], done in calls:
        step(done, 8)
    assert capsys.readouterr().err.rstrip().endswith(f"{calls[-1][1]} of 8 designs, {left} left")


# Help


# What is made by a call has its example there.
MADE_BY = {
    "Analysis": "analyze",
    "EndpointSummary": "summarize_endpoints",
    "Explorer": "explore",
    "SelfCheck": "selfcheck",
    "InputError": "load_protocol",
    "Lattice": "lattice",
    "Measurements": "read_measurements",
    "NextDose": "next_dose",
    "NextStep": "decide",
    "Synthetic": "synthesize",
}


@pytest.mark.parametrize("name", sorted(set(dsf.__all__) - {"__version__", "plots"}))
def test_help_is_complete(name):
    one = getattr(dsf, name)
    text = inspect.getdoc(one)
    summary = text.partition("\n\n")[0]
    assert summary
    assert summary[0] != summary[0].lower() or summary[0] in "`*"
    given = [key for key in inspect.signature(one).parameters if key not in ("unnamed", "args", "kwargs")]
    # Of settings that a class has from another, the help says where they are.
    named = set[str]()
    for kind in inspect.getmro(one) if inspect.isclass(one) else (one,):
        if kind is one or re.search(rf"^{kind.__name__} : ", text, re.MULTILINE):
            named |= _documented(inspect.getdoc(kind))
    assert set(given) <= named
    assert "Examples\n--------\n" in inspect.getdoc(getattr(dsf, MADE_BY.get(name, name)))


def _documented(text):
    sections = "\n".join(
        re.findall(r"^(?:Parameters|Attributes)\n-+\n(.*?)(?=^\S[^\n]*\n-{3,}$|\Z)", text, re.MULTILINE | re.DOTALL)
    )
    return {key.strip(" *`") for line in re.findall(r"^(\S[^:\n]*)", sections, re.MULTILINE) for key in line.split(",")}


def test_dir_lists_the_public_names_alone():
    assert [name for name in dir(dsf) if not name.startswith("__")] == sorted(set(dsf.__all__) - {"__version__"})
    assert {"curve", "selection"} <= set(dir(dsf.plots))


FAULTS = {
    "text of the data is HTML": (
        "dosefind.show.html:_template",
        lambda old: lambda name: old(name).environment.overlay(autoescape=False).get_template(f"{name}.html.jinja"),
        lambda: test_names_of_scenarios_layouts_and_rules_are_text(dsf.load_protocol(ROOT / "configs" / "nct05962762.toml")),
    ),
}

test_fault_is_caught = faults(FAULTS)
