"""The page to explore: what its script computes equals what the library computes, and nothing on it does anything else.

Its script runs in Node, and the page itself in Chromium, both the system's (`.ci/system`). The packages that build the script come
from ``explore/package-lock.json``, by ``npm ci`` in ``explore``, or wherever DOSEFIND_EXPLORE_MODULES says.
"""

import base64
import gzip
import itertools
import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import dosefind as dsf
from benchmarks.explore import CONFIG
from dosefind.cli import main
from dosefind.figures import OPERATING
from dosefind.tasks.decision_graph import decision_graph
from dosefind.tasks.optimum import curves_of
from dosefind.trial import Cohort

from .peers import ROOT
from .test_report_browser import MODULES, browser, needed, opened

__all__ = ["browser"]

CONFIGS = {path.stem: path for path in sorted((ROOT / "configs").glob("*.toml"))}
BUILT = ROOT / "dosefind" / "show" / "explore" / "explore.js"
SOURCE = ROOT / "explore"
BUILDERS = Path(os.environ.get("DOSEFIND_EXPLORE_MODULES", SOURCE / "node_modules"))
# Sums of the same products in another order, over at most some ten thousand final states: measured, 3e-14 of the value.
ROUNDING = {"rtol": 1e-12, "atol": 1e-12}


@pytest.fixture(scope="module")
def trial():
    return dsf.load_trial(CONFIGS["nct05962762"])


@pytest.fixture(scope="module")
def page(trial):
    return dsf.explore(trial)


@pytest.fixture(scope="module")
def five(tmp_path_factory):
    path = tmp_path_factory.mktemp("five") / "five.toml"
    path.write_text(CONFIG)
    return dsf.load_trial(path)


def facts(html):
    return json.loads(re.search(r'id="facts">(.*?)</script>', html, re.DOTALL)[1])


def random_rates(count, n_doses, seed=1):
    """Rates that do not decrease, with rates of 0 and 1 and ties among them."""
    rows = np.sort(np.random.default_rng(seed).random((count, n_doses)), axis=1)
    rows[0], rows[1], rows[2] = 0, 1, 0.25
    rows[3, 0] = 0
    return rows.tolist()


def answers(page, folder, truths, paths=()):
    """What the script of a page computes, in Node."""
    node = needed(shutil.which("node"), "Node")
    file, asked = folder / "page.html", folder / "asked.json"
    file.write_text(page.html)
    asked.write_text(json.dumps({"truths": truths, "paths": dict(paths)}))
    command = [node, ROOT / "tests" / "explore_figures.mjs", file, asked]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not done.stderr
    return json.loads(done.stdout)


def assert_equal_to_the_library(trial, page, found, truths):
    scenarios = {str(number): tuple(row) for number, row in enumerate(truths)}
    target = trial.protocol.target.model_copy(update={"sensitivity": ()})
    oc = dsf.compare(trial.protocol.model_copy(update={"scenarios": scenarios, "target": target}))
    assert set(found["figures"]) == set(page.designs)
    compared = set()
    for design in page.designs:
        rows = found["figures"][design]
        own = oc.sel(design=design)
        for name in rows[0]:
            expected = own[name].values
            if name == "stopped":
                expected = own[name].sel(reason=list(trial.designs[design].reasons)).values
            got = np.array([row[name] for row in rows], float)
            if name == "sample_size":
                expected = expected[:, : got.shape[1]]
            np.testing.assert_allclose(got, expected, **ROUNDING, err_msg=f"{design}, {name}")
            compared.add(name)
    shown = {name for name, quantity in OPERATING.items() if quantity.label and name in oc and "design" in oc[name].dims}
    assert shown <= compared


def test_script_computes_what_the_library_computes(trial, page, tmp_path):
    truths = random_rates(500, 3)
    found = answers(page, tmp_path, truths)
    assert_equal_to_the_library(trial, page, found, truths)
    # Two ways in the script: from final states with multiplicities, and forward through the decisions.
    for design, rows in found["ends"].items():
        selected = [row["selected"] for row in found["figures"][design][: len(rows)]]
        np.testing.assert_allclose(rows, selected, **ROUNDING)


def test_average_over_a_prior_is_that_of_its_curves(trial, page, tmp_path):
    found = answers(page, tmp_path, [])["priors"]
    assert set(found) == set(trial.curves)
    for name, designs in found.items():
        rates, weights = curves_of(trial.curves[name], 256)
        for design, selected in designs.items():
            expected = weights @ dsf.lattice(trial.designs[design]).figures(rates)["selected"]
            np.testing.assert_allclose(selected, expected, **ROUNDING)


def test_five_doses_and_four_designs_fit(five, tmp_path):
    page = dsf.explore(five)
    assert page.designs == ("3+3", "crm", "boin", "keyboard")
    assert not page.left_out
    assert len(page.html.encode()) < 1_500_000
    truths = random_rates(8, 5)
    assert_equal_to_the_library(five, page, answers(page, tmp_path, truths), truths)


def first_cohorts(design, n_doses, most=3):
    """Every sequence of at most so many cohorts that a design can lead to, by `decide` alone."""
    front, found = [()], []
    for _cohort in range(most + 1):
        following = []
        for cohorts in front:
            step = dsf.decide(design, list(cohorts), n_doses=n_doses)
            found.append((cohorts, step))
            if step.level is not None:
                following += [(*cohorts, Cohort(step.level, step.size, dlts)) for dlts in range(step.size + 1)]
        front = following
    return found


@pytest.mark.parametrize("config", ["nct05962762", pytest.param("nct05948982", marks=pytest.mark.slow)])
def test_player_agrees_with_decide_on_every_path_of_three_cohorts(config, tmp_path):
    trial = dsf.load_trial(CONFIGS[config])
    expected = {name: first_cohorts(design, trial.protocol.n_doses) for name, design in trial.designs.items()}
    paths = {
        name: [[{"level": c.level, "n": c.n, "dlts": c.dlts} for c in cohorts] for cohorts, _ in steps]
        for name, steps in expected.items()
    }
    found = answers(dsf.explore(trial), tmp_path, [], paths)["decisions"]
    for name, steps in expected.items():
        assert len(steps) == len(found[name])
        for (cohorts, step), got in zip(steps, found[name], strict=True):
            wanted = {"off": None, "level": step.level or 0, "size": step.size, "words": step.words, "reason": step.reason}
            assert got == wanted, (name, cohorts)


def test_decision_graph_goes_to_the_end_as_decide_does(trial):
    """Decisions after the explained ones, on random paths to the end."""
    rng = np.random.default_rng(3)
    for name, design in itertools.islice(trial.designs.items(), 8):
        graph = decision_graph(design, 3)
        first = np.cumsum(np.where(graph.dose >= 0, graph.size + 1, 0)) - np.where(graph.dose >= 0, graph.size + 1, 0)
        for _path in range(5):
            node, cohorts = 0, []
            while graph.dose[node] >= 0:
                dlts = int(rng.binomial(graph.size[node], 0.2))
                cohorts.append(Cohort(int(graph.dose[node]) + 1, int(graph.size[node]), dlts))
                node = int(graph.children[first[node] + dlts])
                step = dsf.decide(design, cohorts)
                assert step.words == graph.texts[graph.words[node]], (name, cohorts)


def test_a_graph_that_is_too_large_is_cut_after_whole_cohorts():
    graph = decision_graph(dsf.BOIN(target=0.3, max_n=30), 5, most_nodes=100)
    assert len(graph.dose) <= 100
    assert set(graph.children) == set(range(1, len(graph.dose)))


def test_designs_that_do_not_fit_are_listed_with_the_reason(trial, page):
    assert list(page.left_out) == ["rolling-6"]
    small = dsf.explore(trial, most_bytes=50_000)
    assert small.designs
    assert set(small.designs) | set(small.left_out) == set(trial.designs)
    listed = {one["name"]: one["reason"] for one in facts(small.html)["left_out"]}
    assert listed == dict(small.left_out)
    with pytest.raises(dsf.InputError, match="none can be explored"):
        dsf.explore(trial, most_bytes=1)


def test_the_file_is_the_same_each_time_and_allows_its_own_script_only(trial, page):
    assert dsf.explore(trial).html == page.html
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page.html)[1]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy.partition("script-src")[2].partition(";")[0]
    assert not re.search(r"https?://", page.html.replace("http://www.w3.org/", ""))
    blob = re.search(r'id="blob">(.*?)</script>', page.html)[1]
    assert gzip.decompress(base64.b64decode(blob))


def test_command_writes_the_file_once(tmp_path):
    out = tmp_path / "explore.html"
    command = ["explore", str(CONFIGS["nct05948982"]), "--out", str(out)]
    assert CliRunner().invoke(main, command).exit_code == 0
    before = out.read_bytes()
    again = CliRunner().invoke(main, command)
    assert again.exit_code == 2
    assert "explore.html" in again.output
    assert out.read_bytes() == before
    trial = dsf.load_trial(CONFIGS["nct05948982"])
    with pytest.raises(dsf.InputError):
        dsf.explore(trial, out)
    assert dsf.explore(trial, out, force=True).html.encode() == before


@pytest.mark.slow
def test_script_is_built_from_its_source(tmp_path):
    node = needed(shutil.which("node"), "Node")
    needed(BUILDERS / "esbuild", "esbuild")
    folder = tmp_path / "explore"
    shutil.copytree(SOURCE, folder, ignore=shutil.ignore_patterns("node_modules"))
    (folder / "node_modules").symlink_to(BUILDERS.resolve())
    types = subprocess.run([node, "node_modules/typescript/bin/tsc", "--noEmit"], cwd=folder, capture_output=True, text=True)
    assert types.returncode == 0, types.stdout
    subprocess.run([node, "build.mjs", tmp_path / "built.js"], cwd=folder, check=True)
    assert (tmp_path / "built.js").read_bytes() == BUILT.read_bytes()
    assert "</script" not in BUILT.read_text().lower()
    assert "Jason Miller" in BUILT.read_text()


# In Chromium.


HOSTILE = "</script><img src=x onerror=alert(1)>\"'{{7*7}}<!--"


@pytest.fixture(scope="module")
def file(page, tmp_path_factory):
    return page.save(tmp_path_factory.mktemp("explore") / "explore.html")


def ready(browser, file, width=1280, address="", **context):
    shown, heard = opened(browser, file, width, address.removeprefix("#"), **context)
    shown.wait_for_selector("#rates-title")
    return shown, heard


def drag(shown, level, percent):
    shown.locator(f"#rate-{level - 1}").evaluate(
        "(one, value) => { one.value = value; one.dispatchEvent(new Event('input', {bubbles: true})) }", str(percent)
    )


def table_of(shown, caption):
    """The cells of a table, by the first cell of their row."""
    rows = shown.locator(f"table:has(caption:text-is('{caption}')) tbody tr")
    cells = rows.evaluate_all("rows => rows.map(row => [...row.children].map(cell => cell.textContent))")
    return {first: rest for first, *rest in cells}


BY_DESIGN = "Operating characteristics at these DLT rates"


@pytest.mark.browser
def test_drags_show_what_the_library_computes(browser, trial, page, file):
    rows = (np.round(200 * np.array(random_rates(25, 3, seed=5))) / 2).tolist()
    target = trial.protocol.target.model_copy(update={"sensitivity": ()})
    scenarios = {str(number): tuple(rate / 100 for rate in rates) for number, rates in enumerate(rows)}
    oc = dsf.compare(trial.protocol.model_copy(update={"scenarios": scenarios, "target": target}))
    shown, heard = ready(browser, file)
    for number, rates in enumerate(rows):
        # From the top, then from the bottom, so that no rate is in the way of another.
        for level in (3, 2, 1, 2, 3):
            drag(shown, level, rates[level - 1])
        expected = {}
        for design in page.designs:
            own = oc.sel(design=design, scenario=str(number))
            chances = [f"{100 * own[name]:.1f}%" for name in ("correct", "overdose_selected")]
            expected[design] = [*chances, f"{float(own.mean_n):.1f}"]
        assert {design: cells[:3] for design, cells in table_of(shown, BY_DESIGN).items()} == expected, rates
    # 500 more, as the page computes them, at full precision.
    truths = random_rates(500, 3, seed=6)
    script = """async truths => {
        const { loaded, unpacked, averaged } = dosefindExplore, text = id => document.getElementById(id).textContent
        const trials = loaded(JSON.parse(text("facts")), await unpacked(text("blob")))
        const of = design => truths.map(rates => averaged(trials, design, {rates: [rates], weights: [1]}).selected)
        return Object.fromEntries(trials.designs.filter(one => one.states).map(one => [one.name, of(one)]))
    }"""
    for design, selected in shown.evaluate(script, truths).items():
        expected = dsf.lattice(trial.designs[design]).figures(np.array(truths))["selected"]
        np.testing.assert_allclose(selected, expected, **ROUNDING)
    assert heard == []
    shown.context.close()


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_axe_finds_no_violation(browser, file, width, scheme):
    axe = needed(MODULES / "axe-core" / "axe.min.js", "axe-core").read_text(encoding="utf-8")
    shown, heard = ready(browser, file, width, bypass_csp=True, color_scheme=scheme)
    shown.get_by_role("button", name="Pin these rates").click()
    shown.get_by_role("button", name="1 of 3").click()
    shown.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    shown.evaluate(axe)
    found = shown.evaluate("axe.run({resultTypes: ['violations']})")
    assert len(found["passes"]) > 10
    assert [(one["id"], one["nodes"][0]["html"]) for one in found["violations"]] == []
    assert heard == []
    shown.context.close()


@pytest.mark.browser
def test_keyboard_player_address_and_files(browser, trial, file):
    shown, heard = ready(browser, file)
    shown.get_by_role("button", name="top is MTD").focus()
    shown.keyboard.press("Enter")
    # By the keyboard alone, and the rates above go along.
    shown.locator("#rate-0").focus()
    for _press in range(24):
        shown.keyboard.press("ArrowRight")
    rates = [float(shown.locator(f"#rate-{d}").input_value()) for d in range(3)]
    assert rates == [17, 17, 27]
    shown.get_by_role("button", name="Pin these rates").click()
    shown.get_by_label("Name of pinned scenario 1").fill('mine "quoted"')
    shown.get_by_role("button", name="1 of 3").click()
    step = dsf.decide(trial.designs["3+3"], "1NNT")
    assert step.words in shown.locator(".decision").inner_text()
    assert step.reason in shown.locator(".decision").inner_text()
    shown.get_by_role("button", name="At most 6").click()
    shown.wait_for_url(re.compile("cap=6.*quoted"))
    with shown.expect_download() as saved:
        shown.locator(f"div.table:has(caption:text-is('{BY_DESIGN}'))").get_by_role("button", name="Save as CSV").click()
    lines = Path(saved.value.path()).read_text().splitlines()
    capped = {name for name in trial.without_calendar if trial.designs[name].most_per_dose == 6}
    assert {line.split(",")[0] for line in lines[1:]} == set(table_of(shown, BY_DESIGN)) == capped
    with shown.expect_download() as saved:
        shown.get_by_role("button", name="Save as SVG").click()
    assert Path(saved.value.path()).read_text().startswith("<svg")
    toml = shown.locator("#toml").input_value()
    assert tomllib.loads(toml) == {"scenarios": {'mine "quoted"': [0.17, 0.17, 0.27]}}
    address = shown.evaluate("location.hash")
    again, _ = ready(browser, file, address=address)
    again.locator(".pins li").wait_for()
    assert [float(again.locator(f"#rate-{d}").input_value()) for d in range(3)] == rates
    assert again.locator(".decision").inner_text() == shown.locator(".decision").inner_text()
    assert table_of(again, BY_DESIGN) == table_of(shown, BY_DESIGN)
    shown.get_by_role("button", name="Undo").click()
    assert dsf.decide(trial.designs["3+3"], "").words in shown.locator(".decision").inner_text()
    assert [one for one in heard if not one.startswith("blob:")] == []
    again.context.close()
    shown.context.close()


@pytest.mark.browser
def test_an_address_that_is_not_one_of_the_page_does_nothing(browser, file):
    expected, _ = ready(browser, file)
    address = f"rates=9,NaN,x&metric={HOSTILE}&design=__proto__&cohorts=1.3.9&pin=0.1 x&cap=constructor"
    shown, heard = ready(browser, file, address=address)
    assert table_of(shown, BY_DESIGN) == table_of(expected, BY_DESIGN)
    assert heard == []
    expected.context.close()
    shown.context.close()


@pytest.mark.browser
def test_hostile_names_are_text(browser, tmp_path):
    """A protocol, its title, a scenario and a unit with markup in their names."""
    text = CONFIG
    for plain in ('"FIVE"', '"five doses, thirty patients"', '"rising"', '"synthetic"', '"mg"'):
        text = text.replace(plain, json.dumps(HOSTILE))
    path = tmp_path / "hostile.toml"
    path.write_text(text)
    trial = dsf.load_trial(path)
    shown, heard = ready(browser, dsf.explore(trial).save(tmp_path / "page.html"))
    shown.on("dialog", lambda dialog: heard.append(dialog.message))
    assert HOSTILE in shown.locator("h1").inner_text()
    assert shown.get_by_role("button", name=HOSTILE, exact=True).is_visible()
    shown.get_by_role("button", name="Pin these rates").click()
    shown.get_by_label("Name of pinned scenario 1").fill(HOSTILE)
    assert HOSTILE in shown.locator("#toml").evaluate("one => one.value").replace('\\"', '"')
    assert shown.locator("img").count() == 0
    assert heard == []
    shown.context.close()


@pytest.mark.browser
def test_the_page_works_in_the_frame_of_a_notebook(browser, page, tmp_path):
    outer = tmp_path / "notebook.html"
    outer.write_text(f"<!DOCTYPE html><title>notebook</title>{page._repr_html_()}")
    shown, heard = opened(browser, outer, 1280)
    frame = shown.frame_locator("iframe")
    frame.get_by_role("button", name="all toxic").click()
    frame.locator(".answer >> text=No dose is the MTD").wait_for()
    assert [one for one in heard if one != "about:srcdoc"] == []
    shown.context.close()
