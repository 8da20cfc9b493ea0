"""Pages as they are shown: the first screen answers, every number is the library's, and whole pages are kept as snapshots.

A snapshot is read when it changes: ``python -m pytest tests/test_pages.py --snapshot-update`` writes it anew.
"""

import re

import numpy as np
import pytest

import dosefind as dsf
from dosefind.adjudications import Adjudicated
from dosefind.efficacy.responses import response_outcomes
from dosefind.figures import ESTIMATES, OPERATING
from dosefind.show.content import Note, Table, as_string, text
from dosefind.show.html import as_fragment
from dosefind.show.pages import common
from dosefind.show.pages.analysis import Estimates, analysis
from dosefind.show.pages.comparison import Comparison, comparison
from dosefind.show.pages.efficacy import settled
from dosefind.show.pages.next_dose import Conduct, next_dose
from dosefind.show.pages.paths import Paths, paths
from dosefind.show.pages.sensitivity import Sensitivity, sensitivity
from dosefind.show.pages.table import decision_table, decisions
from dosefind.show.terminal import as_lines
from dosefind.tasks.holds import trigger_words
from dosefind.tasks.stamps import stamp
from dosefind.tasks.standing import event_words

from . import made_up
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


# The posterior.

ANALYSED = "1NNN 2NNN 3NNT"


@pytest.fixture(scope="module")
def summary():
    return dsf.analyze(dsf.load_trial(CONFIG), ANALYSED).summary


@pytest.fixture(scope="module")
def with_utility():
    table = dsf.load_protocol(CONFIG).model_dump(exclude_unset=True) | {"assumed": {}}
    worth = {"response": 100, "neither": 40, "response_and_dlt": 60, "dlt": 0, "efficacy": [0.2, 0.4, 0.5], "efficacy_n": 10}
    return dsf.Protocol.read(table | {"utility": worth, "rp2d": {"limit": 0.25, "rule": "utility"}})


def printed(cells):
    """The numbers of cells, without their errors."""
    return [float(cell.split()[0]) for cell in cells]


def expected(summary, name, at=slice(None)):
    scale = 100 if ESTIMATES[name].unit == "%" else 1
    return scale * summary[name].values[at]


@pytest.mark.parametrize("config", ["nct05962762", "nct05948982"])
@pytest.mark.parametrize("outcomes", ["", "1NNN", "1NNN 2NNN 3NNN", ANALYSED, "1NNN 2NNN 2NNT", "1TTT", "1NNNT 2NNN"])
def test_first_screen_of_posterior_fits(config, outcomes):
    found = dsf.analyze(dsf.load_trial(ROOT / "configs" / f"{config}.toml"), outcomes).summary
    lines = as_lines(analysis(found), width=80).splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("outcomes", ["", "1NNN", ANALYSED, "1NNN 2NNN 3NTT", "1TTT"])
def test_answers_have_dose_within_limit_overdose_and_mtd(outcomes):
    found = dsf.analyze(dsf.load_trial(CONFIG), outcomes).summary
    first, overdose, mtd, *_ = (as_string(words) for words in Estimates(found).answers())
    level = 1 if found.attrs["rp2d"] == "none" else int(found.attrs["rp2d"])
    assert (f"level {level} (" in first) == (found.attrs["rp2d"] != "none")
    over, prior = (100 * float(found[name][level - 1]) for name in ("p_over", "prior_p_over"))
    assert f"at level {level}: {over:.1f}% (prior {prior:.1f}%)" in overdose
    by_curve = found["p_over_by_curve"].isel(dose=level - 1)
    for name in (by_curve.idxmin().item(), by_curve.idxmax().item()):
        assert f"{100 * float(by_curve.sel(curve=name)):.1f}% ({name})" in overdose
    above = [d for d in range(level, 3) if found["n"].values[d]]
    assert ("At level" in overdose) == bool(above)
    if above:
        assert f"At level {above[0] + 1}: {100 * found['p_over'].values[above[0]]:.1f}%" in overdose
    place = found["mtd"].idxmax().item()
    where = "below level 1" if place == "below 1" else f"level {place}"
    now, before = (100 * float(found[name].sel(mtd_level=place)) for name in ("mtd", "prior_mtd"))
    assert f"{where}, {now:.1f}% (prior {before:.1f}%)" in mtd


def test_tables_have_every_estimate(summary):
    """Half of the last digit that is printed, and a float's error."""
    shown = Estimates(summary)
    rows = by_row([shown.by_dose()])
    for d, level in enumerate(summary.dose.values):
        dose, counts, mean, interval, *rest = rows[str(level)][0]
        assert float(dose) == summary.dose_amount.values[d]
        assert counts == f"{summary.dlts.values[d]}/{summary.n.values[d]}"
        names = ("mean", "lower", "upper", "p_target", "p_over", "prior_p_over", "prior_effective_n")
        cells = [mean, *interval.split("\u2013"), *rest]
        np.testing.assert_allclose(printed(cells), [expected(summary, name, d) for name in names], rtol=0, atol=0.0501)
    table, _ = shown.further()
    for d, cells in enumerate(table.rows):
        names = ("prior_mean", "sd", "median", "p_under", "upper_limit")
        np.testing.assert_allclose(
            printed(map(as_string, cells[1:])), [expected(summary, name, d) for name in names], rtol=0, atol=0.0501
        )
    for words, name in (("prior", "prior_mtd"), ("posterior", "mtd")):
        (cells,) = by_row([shown.mtd()])[words]
        np.testing.assert_allclose(printed(cells), expected(summary, name), rtol=0, atol=0.0501)
    for c, (rp2d, *over) in enumerate(rows[0] for rows in by_row([shown.by_curve()]).values()):
        assert rp2d.removeprefix("level ") == summary.rp2d_by_curve.values[c]
        np.testing.assert_allclose(printed(over), expected(summary, "p_over_by_curve", c), rtol=0, atol=0.0501)
    for d, (*levels, not_reached) in enumerate(rows[0] for rows in by_row([shown.predicted()]).values()):
        np.testing.assert_allclose(printed(levels), expected(summary, "conclusion", d), rtol=0, atol=0.0501)
        assert float(not_reached) == pytest.approx(100 * summary.conclusion_not_reached.values[d], abs=0.0501)
    assert f"{100 * summary.attrs['pooled_upper_limit']:.1f}%" in as_string(shown.pooled())


def test_every_caution_of_a_posterior_is_on_its_first_screen():
    found = dsf.analyze(dsf.load_trial(CONFIG), "1NNNN 2NNN").summary
    (note,) = Estimates(found).cautions()
    said = [as_string(words) for words in note.items]
    assert set(found.attrs["warnings"]) < set(said)
    # All designs have cohorts of three.
    assert "every design" in said[-1]
    whole = " ".join(as_lines(analysis(found), details=True).split())
    assert "every design: cohort 1 had 4 patients" in whole


def test_posterior_that_cannot_be_trusted_says_so_first(summary):
    why = ["R-hat is 1.200"]
    found = summary.assign_attrs(problems=why, rp2d="none")
    shown = analysis(found)
    assert isinstance(shown.blocks[0], Note)
    assert "R-hat is 1.200." in as_string(shown.blocks[0].items[0])
    assert "Highest dose" not in as_lines(shown)


@pytest.mark.slow
def test_expected_utilities_are_shown(with_utility):
    found = dsf.analyze(with_utility, ANALYSED).summary
    table, sentences = Estimates(found).utilities()
    for d, (cells,) in enumerate(by_row([table]).values()):
        values = [expected(found, name, d) for name in ("utility", "utility_sd", "p_best")]
        np.testing.assert_allclose(printed(cells), values, rtol=0, atol=0.0501)
    assert [as_string(words) for words in sentences.items] == found.attrs["utility_rules"]
    first = as_string(Estimates(found).within_limit())
    assert first.startswith("Dose with the largest expected utility") == (found.attrs["rp2d"] != "none")


def test_every_estimate_is_defined(summary):
    meant = dict(common.definitions(ESTIMATES, summary).blocks[0].items)
    for name in summary.data_vars:
        label = ESTIMATES[name].label
        assert summary[name].attrs["definition"]
        assert not label or as_string(meant[text(label)][0]) == f"{summary[name].attrs['definition']}."


@pytest.mark.parametrize("details", [False, True])
def test_posterior_page(summary, details, snapshot):
    assert as_lines(analysis(summary), details, 80) == snapshot


# Sensitivity, paths and decision tables.


@pytest.fixture(scope="module")
def trial():
    return dsf.load_trial(CONFIG)


@pytest.fixture(scope="module")
def varied(trial):
    return dsf.sensitivity(trial, ANALYSED)


def test_sensitivity_says_which_changes_give_another_dose(varied):
    shown = Sensitivity(varied)
    dose, over, mtd = map(as_string, shown.answers())
    first, changes = varied.iloc[0], varied.iloc[1:]
    moved = changes[changes.rp2d != first.rp2d]
    assert f"{len(moved)} of {len(changes)} changes" in dose
    for row in moved.to_dict("records"):
        assert as_string(shown.change(row, whole=False)) in dose
    for row in changes[changes.mtd != first.mtd].to_dict("records"):
        assert as_string(shown.change(row, whole=False)) in mtd
    alike = varied[varied.overdose_from == first.overdose_from].over_3
    for p in (first.over_3, alike.min(), alike.max()):
        assert f"{100 * p:.1f}%" in over


def test_sensitivity_to_nothing_says_so(varied):
    same = varied.assign(rp2d="3", mtd="3 or above")
    same.attrs = varied.attrs
    dose, _, mtd = map(as_string, Sensitivity(same).answers())
    assert dose.startswith("Dose within the limit: level 3 as analysed, and after each of the 18 changes.")
    assert "after each of the changes" in mtd


def test_sensitivity_table_has_every_value(varied):
    rows = Sensitivity(varied).by_change().rows
    for cells, row in zip(rows, varied.to_dict("records"), strict=True):
        _, dose, mtd, *numbers = map(as_string, cells)
        assert (dose, mtd) == (row["rp2d"], row["mtd"])
        values = [row["p_mtd"], *(row[f"over_{level}"] for level in (1, 2, 3))]
        np.testing.assert_allclose(printed(numbers), 100 * np.array(values), rtol=0, atol=0.0501)
    # What a row is judged by, in its words.
    words = {as_string(row[0]) for row in rows}
    assert {"target 10%, overdose from 13.2%", "overdose from 28%", "limit of P(overdose) 15%", "prior SD \u00d7 2"} <= words


@pytest.mark.parametrize("cohorts", [1, 2, 3])
def test_decisions_of_paths_have_their_probability(trial, cohorts):
    table = dsf.paths(trial, "boin", cohorts=cohorts)
    (decisions,) = Paths(table).by_decision()
    columns = [name for name in table.columns if name.startswith("scenario: ")]
    found = {as_string(head): printed(map(as_string, cells)) for head, *cells in decisions.rows}
    for level in ("1", "2", "3"):
        expected = 100 * table.loc[table.next == level, columns].sum()
        assert (f"level {level}" in found) == (table.next == level).any()
        np.testing.assert_allclose(found.get(f"level {level}", 0), expected, rtol=0, atol=0.0501)
    np.testing.assert_allclose(sum(map(np.array, found.values())), 100, rtol=0, atol=0.0501 * len(found))
    (chances,) = Paths(table).probabilities()
    for cells, row in zip(chances.rows, table.to_dict("records"), strict=True):
        assert as_string(cells[0]) == row["path"]
        np.testing.assert_allclose(printed(map(as_string, cells[1:])), [100 * row[name] for name in columns], rtol=0, atol=0.0501)


def test_paths_say_what_is_selected_and_why(trial):
    table = dsf.paths(trial, "3+3", cohorts=3)
    for cells, row in zip(Paths(table).by_path().rows, table.to_dict("records"), strict=True):
        path, orders, decision, reason = map(as_string, cells)
        assert (path, orders, reason) == (row["path"], str(row["ways"]), row["reason"])
        assert ("stop" in decision) == (row["next"] == "stop")
        assert ("not reached" in decision) == (row["not_reached"] == "yes")
        assert (row["mtd"] if row["next"] == "stop" and row["mtd"] != "none" else row["next"]) in decision or "no MTD" in decision


@pytest.mark.parametrize("design", ["3+3", "crm-6", "crm", "boin-6", "boin", "blrm"])
def test_decision_table_has_every_decision_in_words(trial, design):
    table = dsf.decision_table(trial, design)
    shown = decisions(table)
    lines = as_lines(decision_table(table, stamp(trial, design), design=design)).splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 80
    if "next" not in table:
        for cells, row in zip(shown.rows, table.itertuples(index=False), strict=True):
            assert [as_string(cell) for cell in cells] == ["never" if str(cell) == "<NA>" else str(cell) for cell in row]
        return
    # Each number of DLTs is in one row, with the level or the MTD of the table.
    said = {}
    for level, n, dlts, decision in (tuple(map(as_string, row)) for row in shown.rows):
        low, high = (int(end) for end in (dlts.split("\u2013") * 2)[:2])
        said |= {(int(level), int(n), y): decision for y in range(low, high + 1)}
    assert said.keys() == {(row.level, row.n, row.dlts) for row in table.itertuples()}
    for place, rows in table.groupby(["level", "n", "dlts"]):
        assert "_" not in said[place]
        for words, row in zip(said[place].split(" or "), rows.itertuples(), strict=True):
            assert words.startswith("stop: ") == (row.next == "stop")
            if row.next == "stop" and row.mtd == "none":
                assert words.startswith("stop: no MTD")
            else:
                assert f"level {row.mtd or row.next}" in words
            assert ("not reached" in words) == (row.not_reached == "yes")


@pytest.mark.parametrize("details", [False, True])
def test_pages_of_sensitivity_paths_and_decision_table(trial, varied, details, snapshot):
    pages = (
        sensitivity(varied, stamp(trial)),
        paths(dsf.paths(trial, "3+3"), stamp(trial, "3+3"), design="3+3", cohorts=2, outcomes=""),
        decision_table(dsf.decision_table(trial, "3+3"), stamp(trial, "3+3"), design="3+3"),
        decision_table(dsf.decision_table(trial, "boin"), stamp(trial, "boin"), design="boin"),
    )
    for page in pages:
        assert as_lines(page, details, 80) == snapshot


@pytest.mark.parametrize("config", ["nct05962762", "nct05948982"])
def test_first_screen_of_sensitivity_fits(config):
    trial = dsf.load_trial(ROOT / "configs" / f"{config}.toml")
    for outcomes in ("", ANALYSED):
        lines = as_lines(sensitivity(dsf.sensitivity(trial, outcomes), stamp(trial)), width=80).splitlines()
        assert len(lines) <= 40
        assert max(map(len, lines)) <= 80


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
        for cell, name, digits in ((patients, "mean_n", 1), (days, "days", 0)):
            assert [float(end) for end in cell.split("\u2013")] == [round(float(end(own[name])), digits) for end in (min, max)]


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
    designs = len(config.without_calendar)
    done = [number for number, total in seen if total == designs]
    assert len(done) == len(seen)
    assert done == sorted(done)
    assert {*range(1, designs + 1)} <= {*done}


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


# The next step.

EXAMPLES = ROOT / "examples"
SHIPPED = [
    *((trial, EXAMPLES / trial / state) for trial in ("nct05962762", "nct05948982") for state in ("midway", "complete")),
    *(("nct05962762", one) for one in sorted((EXAMPLES / "synthetic").iterdir()) if one.is_dir() and one.name != "amendment"),
    ("", EXAMPLES / "synthetic" / "amendment"),
]


def next_step(config, folder):
    """The next step of a shipped example."""
    trial = dsf.load_trial(ROOT / "configs" / f"{config}.toml" if config else folder / "protocol.toml")
    return dsf.next_dose(trial, dsf.read_patients(folder / "patients.csv", trial.protocol, events=folder / "events.csv"))


@pytest.mark.parametrize(("config", "folder"), SHIPPED, ids=lambda one: getattr(one, "name", None))
def test_first_screen_of_next_step_fits_and_answers(config, folder):
    """What must not be missed is on it, whatever the terminal's width."""
    found = next_step(config, folder)
    lines = as_lines(next_dose(found), width=80).splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 80
    first, waiting = " ".join(" ".join(lines).split()), [event_words(found, one) for one in found.holds.events]
    assert common.raised(found.words) in first
    assert all(words[1:] in first for words in waiting)
    assert all(trigger_words(one)[1:] in first for one in found.holds.pauses)
    assert ("On hold until" in first) == bool(found.holds)
    assert all(f"{one.subject} since {one.end}" in first for one in found.overdue)
    assert ("Serious events may be incomplete" in first) == bool(found.unseen)
    left = len(found.findings) + len(found.deviations.get(found.binding, ()))
    assert (f"from {found.binding}: {left} " in first) == (left > 0)
    details = " ".join(as_lines(next_dose(found), details=True, width=1000).split())
    for status in found.evaluated.statuses:
        assert status.rule in details
    assert all(one.words in details for one in found.findings)
    for one in found.proposals.values():
        assert one.words in details
        assert one.reason in details
    assert all(common.raised(sentence) in details for sentence in (*found.notes, *found.pause_rules))


def test_page_and_report_say_the_same():
    """The leads and the answer to "What next?" are the same texts in both, but for the table that a page has below."""
    found = next_step("nct05962762", EXAMPLES / "synthetic" / "expansion-many-dlts")
    page, document = Conduct.of(found), Conduct.of(found, document=True)
    assert page.leading() == document.leading()
    assert page.next().answer == document.next().answer
    of_page, of_document = ([as_string(line) for line in one.next().because] for one in (page, document))
    assert [line for line in of_document if line in of_page] == of_page
    others, stopped = [line for line in of_document if line not in of_page]
    assert all(f"{one.words}" in others for one in found.proposals.values() if one.words != found.proposal.words)
    assert document.stopped
    assert document.stopped in stopped
    assert page.safe(()).because == document.safe(()).because


def test_names_of_adjudicators_stand_in_reports_alone():
    """As before: a terminal and a notebook show the day and the conclusion."""
    people = [made_up.patient(f"A{n}", 1, n, events=None, dlt=n == 1, **({"dlt_date": 9} if n == 1 else {})) for n in (1, 2, 3)]
    day = made_up.day(100)
    said = Adjudicated(
        day, day, "NCT05962762", "", "A1", None, "", None, "not a DLT", "Dr Roe", "as of the culture", dlt_column="yes"
    )
    found = dsf.next_dose(made_up.protocol(), made_up.trial(*people, last=100), adjudications=[said])
    (title,) = [note.title for note in Conduct.of(found).leading() if note.title.startswith("DLTs overturned")]
    assert title.endswith(": 1")
    shown = as_lines(next_dose(found), details=True)
    assert "not a DLT on 2024-04-09" in shown
    assert "Roe" not in shown
    assert "culture" not in shown
    in_report = "".join(as_string(item) for note in Conduct.of(found, document=True).leading() for item in note.items)
    assert "Dr Roe" in in_report


@pytest.mark.parametrize("details", [False, True])
@pytest.mark.parametrize("name", ["expansion-many-dlts", "overdue-and-death"])
def test_next_step_page(name, details, snapshot):
    found = next_step("nct05962762", EXAMPLES / "synthetic" / name)
    assert as_lines(next_dose(found), details, 80) == snapshot


# Courses of infusions -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("details", [False, True], ids=["first screen", "with details"])
def test_posterior_page_with_part_courses(details, snapshot):
    """The example of ten patients, five of them in the middle of the course."""
    folder = ROOT / "examples" / "nct05948982" / "course"
    trial = dsf.load_trial(folder / "trial.toml")
    people = dsf.read_patients(folder / "patients.csv", trial.protocol, events=folder / "events.csv")
    evaluated = dsf.evaluate(people, trial.protocol)
    known = {"others": evaluated.beside(), "administered": evaluated.administered, "courses": evaluated.courses}
    found = dsf.analyze(trial, evaluated.cohorts(), **known).summary
    lines = as_lines(analysis(found), details, 80)
    assert details or len(lines.splitlines()) <= 40
    assert lines == snapshot


# Efficacy and dose selection ------------------------------------------------------------------------------------------------


def dose_selection(config):
    folder = ROOT / "examples" / config / "dose-selection"
    trial = dsf.load_trial(folder / "trial.toml")
    people = dsf.read_patients(folder / "patients.csv", trial.protocol, events=folder / "events.csv")
    evaluated = dsf.evaluate(people, trial.protocol)
    return dsf.analyze(trial, evaluated.cohorts(), responses=response_outcomes(evaluated, trial.protocol)).summary


@pytest.mark.parametrize("config", ["nct05962762", "nct05948982"])
def test_posterior_page_with_efficacy(config, snapshot):
    """The examples with responses, and with changes: the first screen answers, and every other part is on the page."""
    found = dose_selection(config)
    first = as_lines(analysis(found), False, 80)
    assert len(first.splitlines()) <= 40
    assert max(map(len, first.splitlines())) <= 80
    assert first == snapshot(name="first screen")
    page = analysis(found)
    assert as_lines(page, True, 80).partition("Predicted conclusion")[0] == snapshot(name="details")
    # What a reader must not miss is on the first screen.
    assert "Undecided" in first
    assert found.attrs["efficacy"]["endpoint"] in first


def test_efficacy_shows_the_numbers_of_the_library():
    found = dose_selection("nct05962762")
    table = next(block for block in analysis(found).blocks if isinstance(block, Table) and "ASAS20" in as_string(block.caption))
    cells = by_row([table])
    for level in (1, 2, 3):
        row = cells[str(level)][0]
        assert row[0] == f"{found['responses'].values[level - 1]}/{found['response_n'].values[level - 1]}"
        assert float(row[1]) == pytest.approx(100 * found["response_mean"].values[0, level - 1], abs=0.051)
        assert float(row[3]) == pytest.approx(found["expected_utility"].values[0, level - 1], abs=0.051)
        assert float(row[4]) == pytest.approx(100 * found["p_largest_utility"].values[0, level - 1], abs=0.051)
        assert float(row[5]) == pytest.approx(found["expected_loss"].values[0, level - 1], abs=0.051)


def test_page_of_a_randomised_comparison(snapshot):
    trial = dsf.load_trial(ROOT / "examples" / "nct05962762" / "dose-selection" / "trial.toml")
    found = dsf.settle(trial, "1/6 3/6 4/6")
    page = as_lines(settled(found, stamp(trial, assesses=True)), False, 80)
    assert page == snapshot
    assert f"{100 * found['p_correct'][0]:.1f}%" in page
