"""The committee's reports: what stands in the HTML is what the library found, and texts of users are only texts."""

import csv
import dataclasses
import re
import subprocess
import sys
from datetime import date
from html import unescape
from itertools import pairwise

import html5lib
import pytest
from click.testing import CliRunner

import dosefind as dsf
from dosefind import monitoring
from dosefind.cli import main
from dosefind.decisions import record_decision
from dosefind.show import content
from dosefind.show.content import Run, as_string, text
from dosefind.show.pages.comparison import Comparison
from dosefind.show.pages.pieces import labels

from . import made_up
from .peers import ROOT
from .test_analyze import levels_where_prior_weighs

CONFIG = ROOT / "configs" / "nct05962762.toml"
CUT = made_up.day(95)


def read(html):
    """The document as a tree; what a strict parser does not accept is an error."""
    return html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(html)


def said(element):
    return " ".join("".join(element.itertext()).split())


def rows(tree, caption):
    """Cells of the table whose caption begins so, after its number."""
    found = [one for one in tree.iter("table") if re.match(rf"Table \d+\. {re.escape(caption)}", said(one.find("caption")))]
    assert len(found) == 1, caption
    return [[said(cell) for cell in row] for row in found[0].iter("tr")]


def in_two_processes(program):
    """What a program prints, word by word, under two hash seeds and in two time zones."""
    return [
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed, "TZ": zone},
        ).stdout.split()
        for seed, zone in (("1", "UTC"), ("2", "Asia/Tokyo"))
    ]


def percents(figures):
    return [f"{100 * p:.1f}" for p in figures.values]


def assert_same_moves(shown, table):
    """Compare a shown table of moves by patients, DLTs and pending outcomes, its pending outcomes in ranges, with the library's."""
    found = {}
    for n, dlts, pending, move in shown:
        low, _, high = pending.partition("\u2013")
        found |= {(int(n), int(dlts), c): move for c in range(int(low), int(high or low) + 1)}
    assert found == table.set_index(["n_patients", "dlts", "pending"])["move"].to_dict()


def assert_same_decisions(shown, table):
    """Each number of DLTs lies in one row, which says what the library's table does; reasons apart, which stand there as words."""
    if "move" in table:
        assert_same_moves(shown, table)
        return
    if "next" not in table:
        assert len(shown) == len(table)
        return
    expected, found = [], []
    for row in table.itertuples():
        stop = f"stop: level {row.mtd}, MTD not reached" if row.not_reached else f"stop: MTD level {row.mtd}"
        stop = "stop: no MTD" if row.mtd == "none" else stop
        expected.append((row.level, row.n, row.dlts, stop if row.next == "stop" else f"level {row.next}"))
    for level, n, dlts, then in shown:
        low, _, high = dlts.partition("\u2013")
        followed = re.sub(r" \([^)]*\)", "", then).split(" or ")
        found += [(int(level), int(n), k, words) for k in range(int(low), int(high or low) + 1) for words in followed]
    assert found == expected
    assert len(shown) < len(table)


def sections(tree):
    return [one.get("id") for one in tree.iter("section")]


def small(**changed):
    """A protocol of two designs and two scenarios, which is compared quickly."""
    table = dsf.load_protocol(CONFIG).model_dump(exclude_unset=True)
    table |= {"assumed": {}, "designs": {"3+3": {"kind": "3+3"}, "boin": {"kind": "boin"}}}
    table["scenarios"] = {"low": [0.02, 0.05, 0.10], "toxic": [0.25, 0.40, 0.55]}
    table["target"]["sensitivity"] = (0.3,)
    for name, value in changed.items():
        table[name] = table.get(name, {}) | value if value else value
    return dsf.Protocol.read(table)


@pytest.fixture(scope="module")
def protocol():
    return dsf.load_protocol(CONFIG)


@pytest.fixture(scope="module")
def conduct(protocol):
    return read(dsf.report(protocol, made_up.single_dose(), CUT).html())


@pytest.fixture(scope="module")
def design(protocol):
    html = dsf.report(protocol).html()
    assert len(html.encode()) < 2_500_000
    return read(html)


# What is said is what was found.


@pytest.mark.slow
def test_first_page_answers_what_next_how_safe_how_sure(conduct, protocol):
    found = dsf.next_dose(protocol, made_up.single_dose(), CUT)
    summary = dsf.analyze(protocol, found.evaluated.cohorts()).summary
    answers = [one for one in conduct.iter("div") if one.get("class") == "answer"]
    assert [said(one.find("h3")) for one in answers] == ["What next?", "How safe?", "How sure?"]
    leads = [said(one.find("p")) for one in answers]
    assert leads[0].casefold() == f"{found.words}.".casefold()
    assert leads[1] == "1 DLT in 6 patients with a known outcome."
    assert summary.mtd.values.argmax() == 3
    assert summary.mtd.values[-1] < 0.5
    assert leads[2] == f"The MTD is uncertain: most likely level 3 or above, {100 * summary.mtd.values[-1]:.1f}%."
    assert found.proposal.reason in said(answers[0])
    assert "Pending: A8, A9 and A10" in said(answers[1])
    assert "No deviation from the protocol or from 3+3 was found." in said(answers[1])
    assert summary.attrs["rp2d_reason"].casefold() in said(answers[2]).casefold()
    page = said(next(one for one in conduct.iter("section") if one.get("id") == "summary"))
    warnings = summary.attrs["warnings"]
    assert warnings
    assert all(one in page for one in warnings)
    header, *by_dose = rows(conduct, "Doses at a glance")
    assert header[-1] == "3+3 selects it, %"
    conclusion = 100 * summary.conclusion.sel(design="3+3").values
    for place, row in enumerate(by_dose):
        assert row[-2:] == [f"{100 * summary.mtd.values[place]:.1f}", f"{conclusion[place]:.1f}"]
    assert [row[2:8] for row in by_dose[1:]] == [
        ["7", "0", "6", "1", "1", f"{100 * summary.p_over.values[0]:.1f}"],
        ["3", "3", "0", "0", "0", f"{100 * summary.p_over.values[1]:.1f}"],
        ["0", "0", "0", "0", "0", f"{100 * summary.p_over.values[2]:.1f}"],
    ]


def test_every_patient_with_identifier_and_status_only(conduct):
    header, *profile = rows(conduct, "DLT profile")
    assert header == ["subject", "cohort", "level", "dose, 10\u2076 cells/kg", "status"]
    assert [(row[0], row[4]) for row in profile] == [
        *[("A1", "complete"), ("A2", "DLT"), ("A3", "complete"), ("A4", "complete"), ("A5", "replaced"), ("A6", "complete")],
        *[("A7", "complete"), ("A8", "pending"), ("A9", "pending"), ("A10", "pending")],
    ]
    assert rows(conduct, "Patients by dose")[1:] == [
        *[["1", "1", "7", "1", "5", "0", "0", "1"], ["2", "3", "3", "0", "0", "3", "0", "0"], ["3", "5", *"000000"]],
        ["all", "", "10", "1", "5", "3", "0", "1"],
    ]
    # No rows of the data.
    assert not re.search(r"\.csv", said(conduct).replace("decisions.csv", ""))


def test_posterior_and_predictions_are_those_of_the_analysis(conduct, protocol):
    found = dsf.next_dose(protocol, made_up.single_dose(), CUT)
    cohorts = found.evaluated.cohorts()
    summary = dsf.analyze(protocol, cohorts).summary
    further = rows(conduct, "DLT rate by dose, further estimates")[1:]
    for d, (row, more) in enumerate(zip(rows(conduct, "DLT rate by dose: dose in")[1:], further, strict=True)):
        at = summary.isel(dose=d)
        interval = f"{100 * float(at.lower):.1f}\u2013{100 * float(at.upper):.1f}"
        mean, target, over, before = (f"{100 * float(at[name]):.1f}" for name in ("mean", "p_target", "p_over", "prior_p_over"))
        assert row[3:] == [mean, interval, target, over, before, f"{float(at.prior_effective_n):.1f}"]
        assert more[1:5] == [f"{100 * float(at[name]):.1f}" for name in ("prior_mean", "sd", "median", "p_under")]
    for row, name in zip(rows(conduct, "Probability of the MTD, the highest dose")[1:], ("prior_mtd", "mtd"), strict=True):
        assert row[1:] == [f"{100 * p:.1f}" for p in summary[name].values]
    for row in rows(conduct, "Predicted conclusion: probability that")[1:]:
        at = summary.sel(design=row[0])
        assert row[1:] == [f"{100 * p:.1f}" for p in (*at.conclusion.values, float(at.conclusion_not_reached))]
    for row, curve in zip(rows(conduct, "Dose within the limit and P(overdose) by curve")[1:], protocol.curves, strict=True):
        assert row == [
            curve,
            f"level {summary.rp2d_by_curve.sel(curve=curve).item()}",
            *percents(summary.p_over_by_curve.sel(curve=curve)),
        ]
    table = dsf.sensitivity(protocol, cohorts)
    shown = rows(conduct, "Dose within the limit, MTD and P(overdose) with one")[1:]
    assert [row[1:3] for row in shown] == table[["rp2d", "mtd"]].values.tolist()
    assert [row[4:] for row in shown] == [
        [f"{100 * p:.1f}" for p in row] for row in table[["over_1", "over_2", "over_3"]].to_numpy()
    ]
    shown = {}
    for names, *cells in rows(conduct, "Next step by each design")[1:]:
        shown |= dict.fromkeys(names.replace(" (primary)", "").split(", "), cells)
    assert {name: (cells[0], cells[-1]) for name, cells in shown.items()} == {
        name: (one.words, one.reason) for name, one in found.proposals.items()
    }
    for row, (_, each) in zip(rows(conduct, "Next step by 3+3, and the designs")[1:], found.completions.iterrows(), strict=True):
        own = each["design: 3+3"]
        differ = [f"{name.removeprefix('design: ')}: {words}" for name, words in each.iloc[2:].items() if words != own]
        assert row[1:] == [str(each["ways"]), own, "; ".join(differ)]
    beside = [(f"rules of {name}", text) for name, departed in found.deviations.items() for text in map(str, departed)]
    assert [tuple(row) for row in rows(conduct, "Cohorts in which other designs differ")[1:]] == beside


@pytest.mark.slow
def test_operating_characteristics_are_those_of_the_comparison(design, protocol):
    oc = dsf.compare(protocol)
    for scenario in oc.scenario.values:
        header, *choice = rows(design, f"{scenario}: selection of the MTD")
        assert header[1:-1] == oc.design.values.tolist()
        cost = {row[0]: row[1:] for row in rows(design, f"{scenario}: patients, DLTs and duration")[1:]}
        for d, name in enumerate(header[1:-1]):
            at = oc.sel(design=name, scenario=scenario)
            assert [row[1 + d] for row in choice[:4]] == [f"{100 * p:.1f}" for p in at.selected.values]
            assert {row[0]: row[1 + d] for row in choice}["correct selection"] == f"{100 * float(at.correct):.1f}"
            assert cost["total patients"][d] == f"{float(at.mean_n):.1f}"
            assert [cost[f"DLTs at level {k}"][d] for k in (1, 2, 3)] == [f"{y:.2f}" for y in at.dlts.values]
        assert [row[-1] for row in choice[:4]] == [f"{100 * p:.1f}" for p in oc.reference_selected.sel(scenario=scenario).values]


@pytest.mark.slow
def test_first_page_of_design_report_answers_what_trial_and_which_design(design, protocol):
    """Trial, the events that can be seen, best design with its price and its worst scenario, and costs, in this order."""
    oc = dsf.compare(protocol)
    page = said(next(section for section in design.iter("section") if section.get("id") == "summary"))
    found = Comparison.of(oc)
    wanted = [f"maximum sample size {protocol.limits.max_n}", "an event that occurs in 10% of patients"]
    wanted += [*(as_string(words) for words in found.verdicts()), "True MTD / overdose", "Mean over scenarios"]
    places = [page.index(words) for words in wanted]
    assert places == sorted(places)
    # 1 - 0.9^n by hand, for a cohort, the groups of six and all patients.
    for n, p in ((3, "27.1%"), (6, "46.9%"), (18, "85.0%")):
        assert f"{n} patients (" in page
        assert f"): {p}" in page[page.index(f"{n} patients (") :]
    assert "settings are assumptions" in page
    for design_name, *cells in rows(design, "True MTD / overdose")[2:-1]:
        own = oc.sel(design=design_name)
        assert cells == [
            f"{100 * float(right):.1f}/{100 * float(over):.1f}"
            for right, over in zip(own.correct.values, own.overdose_selected.values, strict=True)
        ]


@pytest.mark.slow
def test_designs_with_other_priors_stand_in_the_design_report(design, protocol):
    """Each beside the prior that the config has, with which the figures are those of the comparison."""
    varied, oc = dsf.compare_priors(protocol), dsf.compare(protocol)
    shown = rows(design, "Correct selection with the prior of a design")[1:]
    assert [row[:2] for row in shown] == [
        [name, scale] for name in ("crm-6", "crm", "blrm-6", "blrm") for scale in ("0.5", "1", "2")
    ]
    for name, scale, *cells in shown:
        row = varied[(varied["design"] == name) & (varied["scale"] == float(scale))]
        columns = [f"scenario: {scenario}" for scenario in protocol.scenarios]
        figures = oc.correct.sel(design=name).values if scale == "1" else row[columns].to_numpy()[0]
        assert cells == [f"{100 * p:.1f}" for p in figures]


def test_sample_sizes_are_percentiles_of_the_distribution(design, protocol):
    """Worked out from the exact distribution: the least size that so many of the trials do not exceed."""
    oc = dsf.compare(protocol)
    header, *shown = rows(design, "Number of patients")
    for row in shown:
        for scenario, cell in zip(header[1:], row[1:], strict=True):
            chances = oc.sample_size.sel(design=row[0], scenario=scenario).values
            low, high = (next(n for n in range(len(chances)) if chances[: n + 1].sum() >= p - 1e-9) for p in (0.05, 0.95))
            assert cell == f"{float(oc.mean_n.sel(design=row[0], scenario=scenario)):.1f} ({low} to {high})"


def test_every_section_is_there(conduct, design, protocol):
    assert {"summary", "patients", "rates", "prior", "mtd", "conclusion", "sensitivity", "designs", "rules", "deviations"} <= set(
        sections(conduct)
    )
    assert {"method", "limits", "assumed", "signatures"} <= set(sections(conduct))
    asked = {
        "summary",
        "protocol",
        "rules",
        "pause",
        "decisions",
        "operating",
        "sample-size",
        "paths",
        "prior",
        "no-dlt",
        "sensitivity",
    }
    assert {*asked, "method", "limits", "assumed", "checklist"} <= set(sections(design))
    # What concerns the other designs, and what is only looked up, stands in the annex.
    (annex,) = (one for one in design.iter("section") if one.get("id") == "annex")
    apart = {"all-rules", "other-decisions", "all-operating", "all-sample-sizes", "all-no-dlt", "all-sensitivity", "all-paths"}
    assert apart <= set(sections(annex))
    assert not (asked | {"references"}) & set(sections(annex))
    everything = said(design)
    for sentences in dsf.compare(protocol).attrs["rules"].values():
        assert all(one in everything for one in sentences)
    for key, _, why in dsf.compare(protocol).attrs["assumptions"]:
        assert key in everything
        assert why in everything
    assert "doi:10.1136/bmj-2023-076386" in everything
    # Reasons are words, not the names that code has for them.
    assert "too many DLTs at the lowest dose (stop: no MTD)" in everything
    assert not re.search(
        r"\b(?:no_dose|mtd_below|top_tolerated|too_toxic|max_n|dose_full)\b(?!\s*=)", everything.replace("limits.max_n", "")
    )
    for number, name in enumerate(protocol.designs, start=1):
        assert_same_decisions(rows(design, f"Decision table of {name}.")[1:], dsf.decision_table(protocol, name))
        assert f"decisions-{number}" in sections(design)
    binding = [row for row in rows(design, "The trial without a DLT")[1:] if row[0] == "3+3"]
    assert binding[0][1:4] == ["1NNN 2NNN 3NNN", "9", "3"]
    assert binding[0][4].startswith("no")
    settings = {row[0]: row[1:] for row in rows(design, "Cohorts and sample size") + rows(design, "Target, and standards")}
    why = dsf.load_protocol(CONFIG).assumed["limits.max_n"]
    assert settings["Maximum sample size"] == ["18", f"assumed: {why}"]
    assert settings["Patients per dose group, minimum and maximum"] == ["3, 6", "protocol"]


def pause_report(**pause):
    """Design report of a protocol with one small design and these pause rules."""
    table = made_up.protocol(pause=pause, target={"sensitivity": ()}).model_dump(exclude_unset=True)
    table |= {"designs": {"3+3": {"kind": "3+3"}}, "curves": {}, "scenarios": {"low": (0.02, 0.05, 0.10)}}
    protocol = dsf.Protocol.read(table)
    tree = read(dsf.report(protocol).html())
    return protocol, tree, next(section for section in tree.iter("section") if section.get("id") == "pause")


@pytest.mark.slow
@pytest.mark.parametrize("by", ["trial", "dose"])
def test_pause_boundary_and_its_crossing_probabilities(by):
    rule = {"kind": "pocock", "rate": 0.22, "alpha": 0.1}
    protocol, tree, section = pause_report(boundary=rule, by=by, event="dlt")
    assert all(sentence in said(section) for sentence in protocol.pause_rules())
    limits = monitoring.boundary(protocol.pause.boundary, protocol.pause_max_n)
    assert len(limits) - 1 == {"trial": 18, "dose": 6}[by]
    shown = {}
    for treated, events in rows(tree, "Boundary: patients with an event")[1:]:
        low, _, high = treated.partition(" to ")
        for n in range(int(low), int(high or low) + 1):
            shown[n] = n + 1 if events == "no pause" else int(events.removesuffix(" or more"))
    assert [shown[n] for n in range(1, len(limits))] == limits[1:].tolist()
    crossing = [[float(cell) for cell in row] for row in rows(tree, "Boundary: probability of a pause")[1:]]
    rates = [row[0] / 100 for row in crossing]
    assert {0.05, 0.22, 0.5} <= set(rates)
    found = monitoring.crossing(limits, rates)
    for row, probability, patients, events in zip(crossing, *found[1:], strict=True):
        # Half a unit of the digit shown.
        assert row[1:] == pytest.approx([100 * probability, patients, events], abs=0.05 + 1e-9)
    assert "the probability per patient of a DLT" in said(section)
    assert "no Monte Carlo error" in said(section)
    settings = {row[0]: row[1:] for row in rows(tree, "Pause rules.")}
    assert settings["Acceptable event rate"] == ["22%", "protocol"]
    assert settings["Pause after any death"] == ["yes", "assumed: dosefind's default"]


def test_pause_by_number_of_patients_with_a_related_serious_event():
    _, tree, section = pause_report(related_serious=2)
    assert len(list(section.iter("table"))) == 1
    shown = {float(row[0]): float(row[1]) for row in rows(tree, "Number of patients with a related serious event")[1:]}
    # P(at least 2 of 18) at 20%, by hand: 1 - 0.8^18 - 18 * 0.2 * 0.8^17.
    assert shown[20] == pytest.approx(100 * (1 - 0.8**18 - 18 * 0.2 * 0.8**17), abs=0.05)


@pytest.mark.slow
def test_pause_boundary_that_is_never_reached_says_so():
    _, _, section = pause_report(boundary={"kind": "pocock", "rate": 0.5, "alpha": 0.001, "max_n": 5})
    assert not list(section.iter("table"))
    assert "never pauses the trial" in said(section)


def test_pause_for_death_alone_is_one_sentence(design, protocol):
    section = next(section for section in design.iter("section") if section.get("id") == "pause")
    (sentence,) = protocol.pause_rules()
    assert [said(paragraph) for paragraph in section.iter("p")] == [sentence]
    assert not list(section.iter("table"))
    # A setting without effect is not shown as if a record stated it.
    assert [row[0] for row in rows(design, "Pause rules.")[1:]] == ["Pause after any death"]


def test_rules_told_by_those_of_another_design_are_its_rules(design, protocol):
    """With what is added and left out, every design has the sentences that it says of itself, and no others."""
    section = next(one for one in design.iter("section") if one.get("id") == "all-rules")
    told = {said(one.find("dt")): [said(each) for each in one.iter("dd")] for one in section.iter("div")}
    shared = told.pop("Every design")
    assert list(told) == list(protocol.designs)
    by_another = {}
    for name, lines in told.items():
        if lines[0].startswith("Same rules as "):
            like = r"Same rules as (.+), (with the further|without the) rule: \u201c(.+)\u201d"
            apart = [re.fullmatch(like, line).groups() for line in lines]
            (by_another[name],) = {kin for kin, _, _ in apart}
            dropped = [rule for _, how, rule in apart if how == "without the"]
            assert set(dropped) <= set(told[by_another[name]])
            added = [rule for _, how, rule in apart if how == "with the further"]
            told[name] = [one for one in told[by_another[name]] if one not in dropped] + added
    assert by_another == {"crm": "crm-6", "boin-6-stay": "boin-6", "boin": "boin-6", "blrm": "blrm-6"}
    for name, sentences in dsf.compare(protocol).attrs["rules"].items():
        assert sorted(told[name] + shared) == sorted(sentences)


@pytest.mark.slow
def test_what_is_pending_and_which_designs_had_stopped_is_on_the_first_page():
    """The shipped trial under way: three patients pending at level 2, to which one of the designs would not have gone."""
    protocol, folder = dsf.load_protocol(ROOT / "configs" / "nct05948982.toml"), ROOT / "examples" / "nct05948982" / "midway"
    patients = dsf.read_patients(folder / "patients.csv", protocol, events=folder / "events.csv")
    tree = read(dsf.report(protocol, patients).html())
    summary = dsf.analyze(protocol, dsf.next_dose(protocol, patients).evaluated.cohorts()).summary
    page = said(next(one for one in tree.iter("section") if one.get("id") == "summary"))
    over = f"{100 * float(summary.p_over[1]):.1f}%"
    assert f"P(overdose), the probability that the DLT rate is 33% or more, is {over} at level 2" in page
    assert "Designs whose rules would already have stopped the trial: blrm-6." in page
    assert 2 in levels_where_prior_weighs(summary)
    assert all(caution in page for caution in summary.attrs["warnings"])
    conclusions = said(next(one for one in tree.iter("section") if one.get("id") == "conclusion"))
    assert (
        "these designs would have stopped, although patients were treated after that (see the section on deviations): blrm-6."
        in conclusions
    )


@pytest.mark.slow
def test_limits_are_those_of_the_report():
    """What only a trial with patients or only a planned one is limited by is not said of the other."""
    conduct, design = (
        read(one.html()) for one in (dsf.report(small(curves={}), made_up.single_dose(), CUT), dsf.report(small(curves={})))
    )
    about = [said(next(one for one in tree.iter("section") if one.get("id") == "limits")) for tree in (conduct, design)]
    for sentence, where in (("they were not reassessed", 0), ("hold under the scenarios", 1)):
        assert [sentence in one for one in about] == [where == 0, where == 1]
    assert all("every interval is wide" in one for one in about)


@pytest.mark.slow
def test_the_date_is_that_of_the_data_or_of_the_version(protocol):
    found = dsf.report(small(), made_up.single_dose())
    assert found.date == made_up.single_dose().last_date.isoformat()
    tree = read(found.html())
    assert found.date in said(tree.find("body/header"))
    assert f"Data cutoff{found.date} (assumed: the last date in the data)" in said(tree.find("body"))
    assert dsf.report(small()).date == "2023-08-30"


# A change of config or content needs no change of a renderer.


@pytest.mark.slow
def test_a_new_design_appears_by_its_config():
    changed = small(designs={"brand-new": {"kind": "boin", "max_n_per_dose": 6}})
    html = dsf.report(changed).html()
    tree = read(html)
    for caption in ("low: selection of the MTD", "toxic: patients, DLTs and duration"):
        assert "brand-new" in rows(tree, caption)[0]
    for caption in ("The trial without a DLT", "Number of patients"):
        assert "brand-new" in [row[0] for row in rows(tree, caption)]
    assert rows(tree, "Decision table of brand-new.")
    tree = read(dsf.report(changed, made_up.single_dose(), CUT).html())
    for caption in ("Next step by each design", "Predicted conclusion: probability that"):
        assert any("brand-new" in row[0] for row in rows(tree, caption))


@pytest.mark.slow
def test_a_new_section_appears_and_an_unknown_block_is_an_error():
    found = dsf.report(small(), made_up.single_dose(), CUT)
    table = content.Table(
        text("Seen."), (content.Column(text("what")), content.Column(text("n"), True)), ((text("<b>"), text("7")),)
    )
    blocks = (table, content.Bullets((text("one"),)), content.Definitions(((text("term"), (text("meaning"),)),)))
    more = content.Section("more", text("More"), blocks)
    tree = read(dataclasses.replace(found, sections=(*found.sections, more)).html())
    assert rows(tree, "Seen.") == [["what", "n"], ["<b>", "7"]]
    assert sections(tree)[-1] == "more"
    with pytest.raises(ValueError, match="two sections have one id"):
        dataclasses.replace(found, sections=(*found.sections, found.sections[0]))
    with pytest.raises(ValueError, match="a row of 1 cells in a table of 2 columns"):
        dataclasses.replace(table, rows=((text("x"),),))
    wrong = content.Section("wrong", text("Wrong"), ("no block",))
    with pytest.raises(TypeError):
        dataclasses.replace(found, sections=(wrong,)).html()


@pytest.mark.slow
def test_without_a_curve_the_report_says_so():
    without = small(curves={})
    tree = read(dsf.report(without, made_up.single_dose(), CUT).html())
    assert "no dose-toxicity curve" in said(tree)
    assert "rates" not in sections(tree)
    assert "no posterior to show" in said(read(dsf.report(without).html()))


@pytest.mark.slow
def test_before_the_first_patient_has_been_treated():
    nobody = dataclasses.replace(made_up.single_dose(), patients=(), rows=0)
    tree = read(dsf.report(small(), nobody, CUT).html())
    assert "No patient had been treated by the data cutoff date." in said(tree)
    assert "Start at level 1, 3 patients." in said(tree)


@pytest.mark.slow
def test_deviations_of_conduct_and_of_the_binding_design_are_counted():
    """Two dose groups at once, and a cohort that the 3+3 would not have given."""
    people = [made_up.patient(f"P{k}", level, k) for k, level in enumerate((1, 1, 1, 3, 3), start=1)]
    found = dsf.next_dose(small(), made_up.trial(*people), made_up.day(60))
    tree = read(dsf.report(small(), made_up.trial(*people), made_up.day(60)).html())
    left = len(found.findings) + len(found.deviations["3+3"])
    assert len(found.findings) > 0
    assert len(found.deviations["3+3"]) > 0
    assert f"Deviations from the protocol and from 3+3: {left} (section on deviations)." in said(tree)
    shown = rows(tree, "Deviations from the protocol, or")[1:]
    assert [row[2] for row in shown] == [*(one.words for one in found.findings), *map(str, found.deviations["3+3"])]
    assert "does not state, assumed in the config" not in said(tree)


def test_a_deviation_from_an_assumed_rule_says_so():
    """Of the two protocols only one states the stagger; the other's config assumes it."""
    people = [made_up.patient(f"P{k}", 3, k) for k in (1, 2)]
    for name, assumed in (("nct05962762", False), ("nct05948982", True)):
        table = dsf.load_protocol(ROOT / "configs" / f"{name}.toml").model_dump(exclude_unset=True)
        kept = {key: why for key, why in table["assumed"].items() if key.startswith("treatment.")}
        table |= {"designs": {"3+3": {"kind": "3+3"}}, "curves": {}, "assumed": kept}
        protocol = dsf.Protocol.read({key: value for key, value in table.items() if key != "borrowing"})
        trial = made_up.trial(*(dataclasses.replace(one, amount=protocol.doses.amounts[2]) for one in people), last=60)
        found = dsf.next_dose(protocol, trial)
        assert "patients too close together" in [one.rule for one in found.findings]
        for text_of in (said(read(dsf.report(protocol, trial).html())), found._repr_html_()):
            assert ("patients too close together (treatment.stagger)" in text_of) == assumed


@pytest.mark.slow
def test_overrides_of_the_committee_are_shown(tmp_path):
    config = tmp_path / "trial.toml"
    config.write_bytes(CONFIG.read_bytes())
    protocol, patients = dsf.load_protocol(config), made_up.single_dose()
    path = tmp_path / "decisions.csv"
    said_at = {"meeting": date(2024, 4, 5), "attendees": "A. Roe, B. Doe", "conditions": "liver tests"}
    found = dsf.next_dose(protocol, patients, CUT)
    record_decision(path, found.record("level 2", "=cmd|' /C calc'!A0 <b>looked at</b>", **said_at))
    tree = read(dsf.report(protocol, patients, CUT, decisions=path).html())
    shown = rows(tree, "Decisions of the committee on file")[1]
    assert shown == [
        "1",
        "2024-04-05",
        "2024-04-04",
        "wait until 2024-04-29",
        "level 2",
        "yes",
        "=cmd|' /C calc'!A0 <b>looked at</b>",
        "no patient has been treated since",
    ]
    first = (
        "Latest decision of the committee on file: level 2, meeting of 2024-04-05, data cutoff 2024-04-04; it differs from the "
        "recommendation of 3+3: wait until 2024-04-29."
    )
    about = rows(tree, "Attendees, conditions and versions of these decisions")[1]
    assert about == ["1", "A. Roe, B. Doe", "liver tests", "2023-08-30", dsf.__version__]
    assert first in said(tree)


def test_what_is_assumed_of_who_counts_is_not_called_recorded(design, protocol):
    """The definition of a DLT and what becomes of dropouts stand in no record; the report says so wherever it tells them."""
    about = {row[0]: row[2] for row in rows(design, "Definition of a DLT")[1:]}
    assert about
    assert all(origin.startswith("assumed: ") for origin in about.values())
    keys = {row[1] for row in rows(design, "Settings that the protocol does not state")[1:]}
    assumed_keys = {key for key, _, _ in dsf.next_dose(protocol, made_up.single_dose(), CUT).attrs["assumptions"]}
    assert {"dlt", "evaluability"} <= assumed_keys
    assert keys == assumed_keys


@pytest.mark.slow
def test_an_mtd_of_the_committee_is_not_said_to_be_that_of_the_design(tmp_path):
    """BOIN goes down from level 3, and level 2 then has 4 DLTs in 7 patients: no answer and no contradiction is BOIN's."""
    people = [made_up.patient(f"A{n}", 1, n) for n in (1, 2, 3)]
    people += [made_up.patient(f"B{n}", 2, 40 + n) for n in (1, 2, 3)]
    people += [made_up.patient(f"C{n}", 3, 80 + 8 * n, events=(made_up.event(83 + 8 * n),)) for n in (1, 2, 3)]
    late = [made_up.patient(f"E{n}", 2, 140 + n, part="expansion", events=(made_up.event(143 + n),)) for n in (1, 2, 3, 4)]
    protocol, path = made_up.protocol(), tmp_path / "decisions.csv"
    found = dsf.next_dose(protocol, made_up.trial(*people, last=135), design="boin")
    record_decision(path, found.record("MTD 2", "as discussed"))
    report = dsf.report(protocol, made_up.trial(*people, *late, last=220), design="boin", decisions=path)
    words_ = said(read(report.html()))
    assert "The committee's decision (MTD 2) contradicts this" in words_
    assert "MTD by the committee: level 2" in words_
    assert "MTD by boin" not in words_
    assert "boin leads below the decision MTD 2" in words_


@pytest.mark.slow
def test_the_likeliest_conclusion_and_the_dose_named_are_on_the_first_page():
    """Where the trial goes on, what it will most likely name; where it stops, how safe the dose is that is named now."""
    protocol = dsf.load_protocol(CONFIG)
    found = dsf.report(
        protocol,
        made_up.trial(*(made_up.patient(f"A{n}", 1, n, events=(made_up.event(5),) if n == 1 else ()) for n in (1, 2, 3)), last=40),
    )
    page = said(read(found.html()))
    assert "Predicted conclusion of 3+3, given these data: no MTD" in page
    ended = made_up.trial(
        *(made_up.patient(f"{level}-{n}", level, 40 * level + 7 * n) for level in (1, 2, 3) for n in (1, 2, 3)), last=250
    )
    page = said(read(dsf.report(protocol, ended).html()))
    assert "Maximum administered dose (MAD): level 3 (5" in page
    assert "At level 3 alone, 0 DLTs in 3 patients cannot rule out a DLT rate of up to 63%" in page
    # At 0.2831, P(0 of 9) is 0.05.
    assert "one-sided 95% upper limit 28.3% for the average DLT rate over the patients treated" in page


@pytest.mark.slow
@pytest.mark.parametrize("part", ["backfill", "expansion", None])
def test_no_conclusion_is_predicted_while_patients_beside_the_escalation_are_pending(part):
    """2 of 3 at level 2, and three pending at level 1: beside the escalation, two DLTs among them leave no MTD."""
    people = [made_up.patient(f"A{n}", 1, n) for n in (1, 2, 3)]
    people += [made_up.patient(f"B{n}", 2, 40 + n, events=(made_up.event(45, row=n),) if n < 3 else ()) for n in (1, 2, 3)]
    people += [made_up.patient(f"K{n}", 1, 80 + n, part=part) for n in (1, 2, 3)] if part else []
    page = said(read(dsf.report(small(), made_up.trial(*people, last=90 if part else 60)).html()))
    assert ("The conclusion is not predicted" in page) is bool(part)


@pytest.mark.slow
def test_what_followed_a_decision_is_shown(tmp_path):
    """Who was treated after it and by the next one, first of all who was not treated as decided; and other data."""
    protocol, patients, path = dsf.load_protocol(CONFIG), made_up.single_dose(), tmp_path / "decisions.csv"
    decided = (33, "level 2"), (41, "level 1"), (60, "stop"), (90, "level 2"), (91, "wait"), (95, "wait")
    for cut, decision in decided:
        at = dsf.next_dose(protocol, patients, made_up.day(cut), replay=True)
        record_decision(path, at.record(decision, "so")._replace(data_sha256="1" * 64))
    tree = read(dsf.report(protocol, patients, CUT, decisions=path).html())
    assert [row[-1] for row in rows(tree, "Decisions of the committee on file")[1:]] == [
        "A4 was treated at level 1 on 2024-02-09, not as decided",
        "A6 was treated at level 1 on 2024-02-11",
        "A8 was treated at level 2 on 2024-03-30, not as decided",
        "A9 was treated at level 2 on 2024-03-31",
        # To wait says nothing of the level in the end.
        "A10 was treated at level 2 on 2024-04-01",
        "based on different data with the same cutoff date",
    ]
    patients = made_up.trial(*(made_up.patient(f"A{n}", 1, n) for n in (1, 2, 3)), made_up.patient("B1", 2, 40))
    found = dsf.next_dose(protocol, patients, made_up.day(31), replay=True)
    record_decision(tmp_path / "as.csv", found.record("level 2", "so"))
    found = dsf.next_dose(protocol, patients, decisions=tmp_path / "as.csv")
    assert found.followed == ("B1 was treated at level 2 on 2024-02-09",)


@pytest.mark.slow
def test_who_is_in_no_count_stands_at_the_top():
    """With a mistyped dose, and no more of the patient than that."""
    patients = made_up.trial(
        made_up.patient("A1", 1, 1), made_up.patient("A2", None, 3, amount=50, events=(made_up.event(5, term="sepsis"),)), last=40
    )
    tree = read(dsf.report(dsf.load_protocol(CONFIG), patients).html())
    page = said(next(one for one in tree.iter("section") if one.get("id") == "summary"))
    assert (
        "settle this before any decision A2: dose 50 is not in the protocol; the status at a dose of the protocol would be: DLT."
        in page
    )
    assert "1 more patient at a dose not in the protocol: 1 DLT, counted by no design." in page
    assert ["A2", "", "not in the protocol", "50", "DLT; counted by no design"] in rows(tree, "DLT profile")
    assert rows(tree, "Patients by dose.")[-2][:4] == ["not in the protocol", "", "1", "1"]
    assert "knowing of the DLT of A2" in page
    assert not re.search(r"sepsis|\.csv|2024-01-05", page)


# Texts of users.

HOSTILE = [
    *["<script>alert(1)</script>", "=cmd|' /C calc'!A0", '#read("/etc/passwd")', "$x^2$", "@x", "*bold*", "{{ 7 * 7 }}", "{n}"],
    *[
        '"><img src=x onerror=alert(1)>',
        "</style><b>",
        "&amp;&lt;",
        "\u202eabc\u202c",
        "\u05d0\u05d1 1",
        "w" * 10_000,
        "x\x00\x1by",
    ],
]


@pytest.mark.slow
def test_hostile_subjects_are_only_shown():
    """Every identifier stands in the profile as it is, but for characters that nobody would see."""
    people = [made_up.patient(name, 1, 10 * k + 1, source=(f"row {k}",)) for k, name in enumerate(HOSTILE)]
    html = dsf.report(small(), made_up.trial(*people)).html()
    tree = read(html)
    escaped = [
        one.replace("\u202e", "\\u202e").replace("\u202c", "\\u202c").replace("\x00", "\\u0000").replace("\x1b", "\\u001b")
        for one in HOSTILE
    ]
    assert sorted(row[0] for row in rows(tree, "DLT profile")[1:]) == sorted(" ".join(one.split()) for one in escaped)
    harmless(tree, html)
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00-\x08\x0b-\x1f]", html)
    # Text that runs the other way is kept apart from its neighbours.
    cells = [cell for cell in tree.iter("th") if said(cell) == "\u05d0\u05d1 1"]
    assert {cell.get("dir") for cell in cells} == {"auto"}
    assert [one.tag for one in cells[0]] == ["bdi"]


@pytest.mark.slow
def test_hostile_config_is_only_shown():
    titles = {"id": "<script>alert(1)</script>", "title": "{{ 7 * 7 }} </title><b>", "product": '"><img src=x onerror=alert(1)>'}
    changed = small(
        record={**small().record.model_dump(), **titles}, scenarios={"<i>$x$ {n}</i>": [0.1, 0.2, 0.3], "#read(1)": [0.1, 0.2, 0.3]}
    )
    for place, found in enumerate((dsf.report(changed), dsf.report(changed, made_up.single_dose(), CUT))):
        html = found.html()
        tree = read(html)
        harmless(tree, html)
        assert said(tree.find("head/title")).startswith("<script>alert(1)</script>: ")
        shown = {said(one) for one in tree.iter("bdi")}
        assert {"{{ 7 * 7 }} </title><b>", '"><img src=x onerror=alert(1)>'} <= shown
        assert place == 1 or {"<i>$x$ {n}</i>", "#read(1)"} <= shown


def harmless(tree, html):
    """No element, attribute or reference that does something or loads anything."""
    assert not {one.tag for one in tree.iter() if isinstance(one.tag, str)} & {
        "script",
        "img",
        "iframe",
        "object",
        "embed",
        "form",
        "i",
    }
    for one in tree.iter():
        for name, value in one.attrib.items():
            name = str(name)
            assert not name.startswith("on")
            assert not name.endswith(("src", "srcset", "action", "data"))
            if name.endswith("href"):
                assert value.startswith("#") or (one.tag, value) == ("link", "data:,")
    for place in re.findall(r"url\((.)", html):
        assert place == "#"
    assert "@import" not in html
    # Names of namespaces, which nobody fetches, in the pictures only.
    assert set(re.findall(r"https?://[^\"'\s<]+", unescape(html))) <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "default-src 'none'" in html


def test_characters_that_nobody_sees_are_named():
    assert Run("a\u200bb\u202ec\ud800d\x07\u2028").text == "a\\u200bb\\u202ec\\ud800d\\u0007\\u2028"
    assert Run("na\u00efve \u05d0\u200d\u4f4e \U0001f600\tx").text == "na\u00efve \u05d0\u200d\u4f4e \U0001f600 x"


# The file.


def test_accessible(conduct, design):
    for tree in (conduct, design):
        assert tree.get("lang") == "en"
        body = tree.find("body")
        assert [one.tag for one in body] == ["a", "header", "main", "footer"]
        # The answer first, contents beside it or after it.
        tags = [one.tag for one in body.find("main")]
        assert tags.count("nav") == 1
        assert tags.index("section") < tags.index("nav")
        ids = [one.get("id") for one in tree.iter() if one.get("id")]
        assert len(ids) == len(set(ids))
        for one in tree.iter():
            for name in ("aria-labelledby",):
                assert set((one.get(name) or "").split()) <= set(ids)
            if one.tag == "a":
                assert one.get("href")[1:] in ids
        levels = [int(one.tag[1]) for one in tree.iter() if re.fullmatch("h[1-6]", str(one.tag))]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))
        for table in tree.iter("table"):
            assert said(table.find("caption"))
            assert all(cell.get("scope") == "col" and said(cell) for cell in table.find("thead").iter("th"))
            assert all(row[0].get("scope") == "row" for row in table.find("tbody"))
        for region in (one for one in tree.iter() if one.get("role") == "region"):
            assert region.get("tabindex") == "0"
            assert region.get("aria-labelledby")
        pictures = [one for one in tree.iter() if str(one.tag).endswith("svg")]
        assert pictures
        assert all(one.get("role") == "img" and len(said(one[1])) > 40 for one in pictures)


BYTES = """
import hashlib, dosefind as dsf
from tests import made_up, test_report
protocol = test_report.small()
for found in (dsf.report(protocol, made_up.single_dose(), test_report.CUT), dsf.report(protocol)):
    print(hashlib.sha256(found.html().encode()).hexdigest())
"""


@pytest.mark.slow
def test_the_same_bytes_in_two_processes():
    made = in_two_processes(BYTES)
    assert made[0] == made[1]
    assert len(made[0]) == 2


def run(*given):
    result = CliRunner().invoke(main, ["report", *map(str, given)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def patients(tmp_path):
    """A table of patients: a cohort without a DLT."""
    path = tmp_path / "patients.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["subject", "dose", "infusion_1", "last_contact", "dlt"])
        writer.writerows([[f"S-{k}", 1, f"2024-01-0{k}", "2024-02-20", "no"] for k in (1, 2, 3)])
    return path


@pytest.mark.slow
def test_the_command_writes_the_report(patients, tmp_path):
    out = tmp_path / "out"
    done = run(CONFIG, "--data", patients, "--as-of", "2024-03-14", "--out", out)
    assert done.exit_code == 0, done.output
    assert sorted(one.name for one in out.iterdir()) == ["report.docx", "report.html", "report.pdf"]
    protocol = dsf.load_protocol(CONFIG)
    made = dsf.report(protocol, dsf.read_patients(patients, protocol), date(2024, 3, 14)).html()
    assert (out / "report.html").read_text(encoding="utf-8") == made
    assert "Escalate to level 2, 3 patients." in said(read(made))
    assert len(made.encode()) < 1_500_000
    refused = run(CONFIG, "--data", patients, "--as-of", "2024-03-14", "--out", out)
    assert refused.exit_code == 2
    assert "--force overwrites" in refused.stderr
    assert run(CONFIG, "--data", patients, "--as-of", "2024-03-15", "--format", "html", "--out", out, "--force").exit_code == 0
    assert "Data cutoff 2024-03-15" in said(read((out / "report.html").read_text()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--as-of", "2024-03-14"], "--as-of has no effect on a design report: add --data"),
        (["--design", "crm"], "--design has no effect on a design report"),
        (["--replay"], "--replay has no effect"),
        (["--format", "html,odt"], "formats = 'odt': must be one of 'html', 'pdf', 'docx'"),
        (["--curve", "cubic"], "must be one of 'logistic-2'"),
        (["--data", "PATIENTS", "--as-of", "2024-01-15"], "is after the data cutoff date 2024-01-15"),
        (["--data", "PATIENTS", "--design", "crm-9"], "must be one of"),
        (["--data", "nowhere.csv"], "nowhere.csv"),
    ],
)
def test_bad_input_writes_nothing(options, message, patients, tmp_path):
    out = tmp_path / "out"
    result = run(CONFIG, *[str(patients) if one == "PATIENTS" else one for one in options], "--out", out)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not out.exists()


def test_bad_calls():
    with pytest.raises(dsf.InputError, match=r"as_of = .*: has a meaning with patients only"):
        dsf.report(small(), as_of=CUT)
    with pytest.raises(dsf.InputError, match="language = 'xx': must be one of 'en'"):
        dsf.report(small(), language="xx")
    with pytest.raises(dsf.InputError, match="trial = 'x'"):
        dsf.report("x")


MISSING = """
import sys
sys.modules["jinja2"] = None
from dosefind.show.content import Definitions, text
from dosefind.show.report import Report
import dosefind as dsf
try:
    Report(text("x"), text("y"), "en", "2024-01-01", Definitions(()), (), {}).html()
except dsf.InputError as error:
    print(error)
"""


def test_without_jinja2_one_line_says_what_to_install():
    done = subprocess.run([sys.executable, "-c", MISSING], capture_output=True, text=True, check=True)
    assert done.stdout == "a report needs jinja2, which is not installed: pip install 'dosefind[report]'\n"


# Words.


def test_renderers_have_their_labels():
    template = (ROOT / "dosefind" / "show" / "report.html.jinja").read_text()
    # Tables and figures are numbered.
    assert {*re.findall(r"doc\.labels\.(\w+)", template), "table", "figure"} == set(labels())
