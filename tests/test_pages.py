"""Pages as they are shown: the first screen answers, every number is the library's, and whole pages are kept as snapshots.

A snapshot is read when it changes: ``python -m pytest tests/test_pages.py --snapshot-update`` writes it anew.
"""

import re

import numpy as np
import pytest

import dosefind as dsf
from dosefind.figures import OPERATING
from dosefind.show.content import Table, as_string
from dosefind.show.html import as_fragment
from dosefind.show.pages.comparison import Comparison, comparison
from dosefind.show.terminal import as_lines

from .peers import ROOT

CONFIG = ROOT / "configs" / "nct05962762.toml"
# What is shown of each scenario, a single number per design.
SHOWN = (
    *("not_reached", "correct", "correct_highest", "acceptable", "under_selected", "over_selected", "overdose_selected"),
    *("mean_n", "above_mtd", "any_dlt", "over_60", "over_80", "days"),
)


@pytest.fixture(scope="module")
def oc():
    return dsf.compare(dsf.load_trial(CONFIG))


@pytest.fixture(scope="module")
def simulated():
    return dsf.compare(dsf.load_trial(CONFIG), method="simulate", n_trials=200, seed=7)


def changed(**tables):
    """The comparison of a shipped protocol with other tables."""
    table = dsf.load_protocol(CONFIG).model_dump(exclude_unset=True) | {"assumed": {}} | tables
    return dsf.compare(dsf.Protocol.read(table))


def tables_of(sections):
    for section in sections:
        yield from (block for block in section.blocks if isinstance(block, Table))
        yield from tables_of(section.sections)


def by_row(tables):
    """Cells of the tables by the head of their row, as text."""
    rows = {}
    for table in tables:
        for head, *cells in table.rows:
            rows.setdefault(as_string(head), []).append([as_string(cell) for cell in cells])
    return rows


# The comparison.


@pytest.mark.parametrize("config", ["nct05962762", "nct05948982"])
def test_first_screen_of_comparison_fits(config):
    page = comparison(dsf.compare(dsf.load_trial(ROOT / "configs" / f"{config}.toml")))
    lines = as_lines(page, width=80).splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 80
    assert not any(line != line.rstrip() for line in lines)


def test_comparison_names_best_design_of_each_group_and_its_worst_scenario(oc):
    """Worked out from the dataset alone, in another way."""
    frame = oc[["correct", "overdose_selected"]].to_dataframe()
    groups = {6: ["3+3", "crm-6", "boin-6", "boin-6-stay", "blrm-6"], 0: ["crm", "boin", "blrm"]}
    verdicts = [as_string(words) for words in Comparison.of(oc).verdicts()]
    assert len(verdicts) == 2
    for names, verdict in zip(groups.values(), verdicts, strict=True):
        means = frame["correct"].unstack("design").mean()[names]
        best = means.idxmax()
        assert f"{best} selects" in verdict
        assert f"{100 * means[best]:.1f}%" in verdict
        overdoses = frame["overdose_selected"].unstack("design")[best]
        assert overdoses.max() > 0.1
        assert f"scenario {overdoses.idxmax()}" in verdict
    # By hand: without an MTD, level 1 has a rate of 45%.
    share = 100 * float(oc["selected"].sel(design="crm-6", scenario="all toxic", choice="1"))
    assert f"level 1, true DLT rate 45%, in {share:.1f}% of trials" in verdicts[0]


def test_comparison_without_overdoses_names_scenario_with_fewest_correct_selections():
    found = changed(scenarios={"a": [0.05, 0.15, 0.27], "b": [0.02, 0.05, 0.25]})
    (first, _) = Comparison.of(found).verdicts()
    best = "crm-6" if "crm-6 selects" in as_string(first) else "boin-6-stay"
    worst = found["correct"].sel(design=best).idxmin("scenario").item()
    assert f"scenario {worst}" in as_string(first)


@pytest.mark.parametrize("kept", [["3+3"], ["3+3", "boin-6"], ["boin", "crm"]])
def test_comparison_of_one_group_has_one_verdict(kept):
    designs = dsf.load_protocol(CONFIG).model_dump(exclude_unset=True)["designs"]
    found = changed(designs={name: designs[name] for name in kept}, scenarios={"only": [0.1, 0.25, 0.4]})
    (verdict,) = Comparison.of(found).verdicts()
    best = max(kept, key=lambda name: found["correct"].sel(design=name).item())
    assert as_string(verdict).startswith(f"{best} selects")
    assert as_lines(comparison(found))


def test_at_a_glance_has_the_values_of_the_comparison(oc):
    found = Comparison.of(oc)
    rows = by_row([found.at_a_glance()])
    for design in oc.design.values:
        pairs = [cell.split("/") for cell in rows[design][0]]
        both = oc[["correct", "overdose_selected"]].sel(design=design)
        np.testing.assert_allclose(np.array(pairs, float).T, 100 * np.array([both.correct, both.overdose_selected]), atol=0.0501)
    costs = by_row([found.costs()])
    for design in oc.design.values:
        correct, overdose, patients, *_, days = costs[design][0]
        own = oc.sel(design=design)
        assert float(correct) == pytest.approx(100 * float(own.correct.mean()), abs=0.0501)
        assert float(overdose) == pytest.approx(100 * float(own.overdose_selected.mean()), abs=0.0501)
        for text, name, digits in ((patients, "mean_n", 1), (days, "days", 0)):
            assert [float(end) for end in text.split("\u2013")] == [round(float(end(own[name])), digits) for end in (min, max)]


def test_details_have_every_value_of_every_scenario(oc):
    """Half of the last digit that is printed, and a float's error."""
    sections = Comparison.of(oc).by_scenario()
    for s, section in enumerate(sections):
        rows = by_row(tables_of([section]))
        own = oc.isel(scenario=s)
        for name in SHOWN:
            label = OPERATING[name].label + (", %" if OPERATING[name].unit == "%" and name not in SHOWN[:7] else "")
            (cells,) = rows[label]
            scale, half = (100 if OPERATING[name].unit == "%" else 1), 0.5001 * 10.0 ** -OPERATING[name].digits
            for cell, value in zip(cells, own[name].values, strict=False):
                assert (cell == "-") == (name == "acceptable" and own["n_acceptable"] == 0)
                assert cell == "-" or float(cell) == pytest.approx(scale * value, abs=half)
        for k, choice in enumerate(own.choice.values):
            (cells,) = rows["none" if choice == "none" else f"level {choice}"]
            np.testing.assert_allclose(np.array(cells[:-1], float), 100 * own.selected.isel(choice=k), atol=0.0501)
            assert float(cells[-1]) == pytest.approx(100 * float(own.reference_selected.isel(choice=k)), abs=0.0501)
        for d, level in enumerate(own.dose.values):
            for words, name in (("patients", "patients"), ("DLTs", "dlts")):
                (cells,) = rows[f"{words} at level {level}"]
                np.testing.assert_allclose(np.array(cells, float), own[name].isel(dose=d), atol=0.0501)


def test_simulated_comparison_shows_its_errors(simulated):
    page = comparison(simulated)
    assert "200 trials per scenario, seed 7" in as_lines(page, width=118)
    rows = by_row(tables_of(Comparison.of(simulated).by_scenario()))
    for name in SHOWN:
        if name != "acceptable":
            label = next(head for head in rows if head.removesuffix(", %") == OPERATING[name].label)
            assert all("\u00b1" in cell for cells in rows[label] for cell in cells[: len(simulated.design)]), name
    cell = rows["correct selection"][0][0]
    value, error = (float(part) for part in cell.split(" \u00b1"))
    own = simulated.isel(design=0, scenario=0)
    assert value == pytest.approx(100 * float(own.correct), abs=0.0501)
    assert error == pytest.approx(100 * float(own.correct_se), rel=0.51)


@pytest.mark.parametrize("width", [60, 80, 118])
def test_comparison_of_long_names_and_many_doses_fits(width):
    """Every value is there, of six designs, five doses and scenarios with long names."""
    table = dsf.load_protocol(CONFIG).model_dump() | {"assumed": {}}
    table["doses"]["amounts"] = [1, 2, 3, 4, 5]
    table["scenarios"] = {f"scenario {i} of six": [0.05, 0.10, 0.25, 0.40, 0.55] for i in range(1, 7)}
    table["designs"] = {f"boin-of-a-long-name-{i}": {"kind": "boin", "max_n": 12 + i} for i in range(6)}
    page = comparison(dsf.compare(dsf.Protocol.read(table)))
    text = as_lines(page, details=True, width=width)
    assert max(map(len, text.splitlines())) <= width
    assert "\u2026" not in text
    words = " ".join(re.sub(r"[\u2500\n]", " ", text).split())
    for head in ("patients at level 5", "DLTs at level 5", ">80% overdosed, %"):
        assert head in words or all(word in words for word in head.split())


def test_progress_counts_the_designs():
    seen, config = [], dsf.load_trial(CONFIG)
    dsf.compare(config, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(n, len(config.designs)) for n in range(1, len(config.designs) + 1)]


def test_notebook_shows_the_tables_of_the_terminal(oc):
    html = as_fragment(comparison(oc))
    glance = by_row([Comparison.of(oc).at_a_glance()])
    for cells in glance.values():
        for cell in cells[0]:
            assert f">{cell}<" in html
    assert html.count("<details>") == sum(section.detail for section in comparison(oc).sections)


@pytest.mark.parametrize("details", [False, True])
def test_comparison_page(oc, details, snapshot):
    assert as_lines(comparison(oc), details, 80) == snapshot
