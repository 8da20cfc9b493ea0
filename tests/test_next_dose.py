"""What next with patients: trials replayed date by date against decisions made by hand, pending outcomes, the committee's file."""

import csv
import io
import json
import random
import re
import subprocess
import sys
from dataclasses import replace
from datetime import date

import filelock
import pytest
from click.testing import CliRunner
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import dosefind as dsf
from dosefind.cli import main
from dosefind.config import build_designs
from dosefind.decisions import Recorded, read_decisions, record_decision
from dosefind.evaluability import evaluate
from dosefind.provenance import HASH
from dosefind.show.content import as_string
from dosefind.show.pages.next_dose import Conduct
from dosefind.show.pages.next_dose import next_dose as page
from dosefind.show.terminal import as_lines
from dosefind.tasks.next_dose import next_dose
from dosefind.tasks.proposals import Awaited
from dosefind.tasks.steps import next_step

from .made_up import day, event, patient, single_dose, trial
from .peers import ROOT
from .planted import faults
from .quick import examples

AS, DLC = "nct05962762", "nct05948982"


def protocol(name=AS, *designs, **changed):
    """A shipped protocol with the 3+3 and some other designs of it, which take less time than all."""
    table = dsf.load_protocol(ROOT / "configs" / f"{name}.toml").model_dump(exclude_unset=True)
    table["designs"] = {key: value for key, value in table["designs"].items() if key in ("3+3", *designs)}
    table["curves"] = {}
    table.pop("borrowing", None)
    return dsf.Protocol.read(table | {"assumed": {}} | changed)


def then(data, when, rules=None, **options):
    """What next as it was on a day of the trial."""
    return next_dose(rules or protocol(), data, day(when), replay=True, **options)


def in_a_row(text, gap=1):
    """A trial in the outcome notation: cohorts 40 days apart, DLTs on the sixth day; and the day on which all is known."""
    patients, start = [], 1
    for token in text.split():
        for place, outcome in enumerate(token[1:]):
            first, subject = start + gap * place, f"P{len(patients) + 1}"
            events = (event(first + 5, row=len(patients) + 1),) if outcome == "T" else ()
            patients.append(patient(subject, int(token[0]), first, events=events))
        start += 40 + gap * len(token)
    return trial(*patients, last=start + 40), start + 40


# Replays. What stands beside a day was worked out by hand from the rules of NCT05962762: 0 of 3, go up; 1 of 3, three more; 2 or
# more, the dose below is the MTD; 1 of 6, go up. A window ends 28 days after the first infusion.

WAIT = "wait until {}"


def clean(level, start, *events):
    return [
        patient(f"L{level}-{n}", level, start + n, events=tuple(e for e in events if e[0] == n for e in e[1:])) for n in range(3)
    ]


REPLAYS = {
    "expansion, dropout, replacement": (
        single_dose(),
        {
            0: "start at level 1, 3 patients",
            1: "complete the current cohort at level 1, 2 patients",
            3: "complete the current cohort at level 1, 1 patient",
            5: WAIT.format(day(33)),
            10: WAIT.format(day(33)),  # one DLT: one more or two more would stop the trial
            32: WAIT.format(day(33)),
            33: "stay at level 1, 3 patients",  # 1 of 3
            39: "stay at level 1, 3 patients",
            40: "complete the current cohort at level 1, 2 patients",
            41: "complete the current cohort at level 1, 1 patient",
            42: WAIT.format(day(70)),
            49: WAIT.format(day(70)),
            50: "complete the current cohort at level 1, 1 patient",  # A5 has left and is not evaluable
            55: WAIT.format(day(83)),  # A7 takes the place
            82: WAIT.format(day(83)),
            83: "escalate to level 2, 3 patients",  # 1 of 6
            90: "complete the current cohort at level 2, 2 patients",
            92: WAIT.format(day(120)),
            119: WAIT.format(day(120)),
            120: "escalate to level 3, 3 patients",  # 0 of 3
        },
    ),
    "two DLTs in the first three stop at once": (
        trial(
            *clean(1, 1),
            patient("S1", 2, 40, events=(event(45),)),
            patient("S2", 2, 41, events=(event(47, row=2),)),
            patient("S3", 2, 42),
            last=80,
        ),
        {
            30: WAIT.format(day(31)),
            31: "escalate to level 2, 3 patients",
            45: WAIT.format(day(70)),
            46: WAIT.format(day(70)),
            47: "stop, MTD level 1",  # S3 is pending until day 70
            70: "stop, MTD level 1",
        },
    ),
    "two DLTs before the third is treated": (
        trial(patient("S1", 1, 1, events=(event(4),)), patient("S2", 1, 3, events=(event(9, row=2),)), last=40),
        {
            4: "complete the current cohort at level 1, 1 patient",
            8: "complete the current cohort at level 1, 1 patient",
            9: "stop, no MTD",
            40: "stop, no MTD",
        },
    ),
    "two in six at the lowest dose": (
        in_a_row("1NNT 1NNT")[0],
        {
            8: WAIT.format(day(30)),
            30: "stay at level 1, 3 patients",
            45: "complete the current cohort at level 1, 2 patients",
            47: WAIT.format(day(75)),
            51: WAIT.format(day(75)),
            52: "stop, no MTD",
        },
    ),
    "two in six above": (
        in_a_row("1NNN 2NNT 2NNT")[0],
        {
            73: WAIT.format(day(74)),
            74: "stay at level 2, 3 patients",
            95: WAIT.format(day(119)),
            96: "stop, MTD level 1",
        },
    ),
    "the top dose is tolerated": (
        trial(*clean(1, 1), *clean(2, 31), *(patient(f"T{n}", 3, 61 + 7 * n) for n in range(3)), last=110),
        {
            31: "complete the current cohort at level 2, 2 patients",
            61: "complete the current cohort at level 3, 2 patients",
            75: WAIT.format(day(103)),
            102: WAIT.format(day(103)),
            103: "stop, MTD level 3, not reached (that level or above)",
        },
    ),
    "an event without a grade": (
        trial(patient("S1", 1, 1), patient("S2", 1, 2), patient("S3", 1, 3, events=(event(9, grade=None),)), last=60),
        {8: WAIT.format(day(31)), 9: "wait", 60: "wait"},
    ),
    "nobody evaluable": (
        trial(*(patient(f"S{n}", 1, n, discontinued=n + 4) for n in range(1, 4)), last=20),
        {
            3: WAIT.format(day(31)),
            5: "complete the current cohort at level 1, 1 patient",
            7: "complete the current cohort at level 1, 3 patients",
        },
    ),
    "a fourth patient nobody asked for": (
        trial(*clean(1, 1), patient("S4", 1, 40), last=80),
        {40: WAIT.format(day(68)), 68: "escalate to level 2, 3 patients"},  # 0 of 4; 1 of 4 would be two more
    ),
    "a dose not in the protocol": (
        trial(patient("S1", None, 1), last=40),
        {1: "start at level 1, 3 patients", 40: "start at level 1, 3 patients"},
    ),
}


@pytest.mark.parametrize("name", REPLAYS)
def test_the_3_plus_3_date_by_date(name):
    data, decisions = REPLAYS[name]
    assert {when: then(data, when).proposal.words for when in decisions} == decisions


def test_three_infusions_date_by_date():
    """NCT05948982: a window of 84 days; who misses an infusion is not evaluable; a DLT on the last day counts."""
    data = trial(
        patient("B1", 1, 1, 29, 57),
        patient("B2", 1, 2, 30, 58),
        patient("B3", 1, 3, 31),
        patient("B4", 1, 90, 118, 146, replaces="B3", events=(event(174),)),
        *(patient(f"B{n}", 1, 170 + n, 198 + n, 226 + n) for n in (5, 6, 7)),
        patient("B8", 2, 270, 298, 326),
        last=360,
    )
    decisions = {
        2: "complete the current cohort at level 1, 1 patient",
        3: WAIT.format(day(87)),
        86: WAIT.format(day(87)),
        87: "complete the current cohort at level 1, 1 patient",
        90: WAIT.format(day(174)),
        173: WAIT.format(day(174)),
        174: "stay at level 1, 3 patients",
        177: WAIT.format(day(261)),
        261: "escalate to level 2, 3 patients",
        270: "complete the current cohort at level 2, 2 patients",
    }
    rules = protocol(DLC)
    assert {when: then(data, when, rules).proposal.words for when in decisions} == decisions
    assert then(data, 90, rules).evaluated["B3"].kind == "replaced"


def test_every_stopping_rule_of_the_3_plus_3_states_its_counts():
    said = {
        "1NTT": "2 DLTs in 3 patients at level 1: the lowest dose has too many DLTs, so no dose is the MTD",
        "1NNN 2NTT": "2 DLTs in 3 patients at level 2: a dose has too many DLTs, so the next lower dose is the MTD",
        "1NNN 2NNN 3NNT 3NNN": "1 DLT in 6 patients at level 3: the top dose is tolerated",
        "1NNN 2NNN": "0 DLTs in 3 patients at level 2",
    }
    assert {text: then(*in_a_row(text)).proposal.reason for text in said} == said


def test_no_further_patient_is_treated_without_effect_on_the_decision():
    """The reason gives the patients that there are, not those who will never come."""
    found = then(*in_a_row("1NNN 2TT"), protocol(AS, "crm", "boin"))
    assert found.proposal.reason == (
        "2 DLTs in 2 patients at level 2: a dose has too many DLTs, so the next lower dose is the MTD; "
        "no outcome of 1 further patient would keep the trial at level 2"
    )
    assert found.proposals["boin"].words == "de-escalate to level 1, 3 patients"
    # The CRM would go down further after a third DLT; nobody is pending, so nobody is waited for.
    crm = then(*in_a_row("1NNN 2NNN 3TT"), protocol(AS, "crm")).proposals["crm"]
    assert (crm.action, crm.level) == ("de-escalate", 2)


def test_a_safety_rule_that_needs_three_patients_does_not_wait_for_the_third():
    """At target 0.20, P(p > 0.20 | 2 of 3) is 0.973: whatever the third patient's outcome, BOIN stops at the lowest dose."""
    rules = protocol(AS, designs={"boin": {"kind": "boin", "target": 0.20}})
    found = then(*in_a_row("1TT"), rules)
    assert found.proposal.words == "stop, no MTD"


@pytest.mark.parametrize("kind", ["boin", "mtpi-2", "keyboard", "i3+3"])
def test_nobody_completes_a_cohort_at_a_lowest_dose_that_the_decision_table_eliminates(kind):
    """3 of 5: P(p > 0.25 | Beta(4, 3)) is 0.962. A sixth patient without a DLT would make it 0.929, and the trial would go on."""
    rules = protocol(AS, designs={kind: {"kind": kind}})
    eliminates = build_designs(rules)[kind].table(max_n=6)["eliminate_if_dlt_ge"]
    stopped = []
    for first in ("1NNT", "1NTT"):
        for second in ("1N", "1T", "1NN", "1NT", "1TT"):
            text = f"{first} {second}"
            found = then(*in_a_row(text), rules).proposal
            eliminated = bool(text.count("T") >= eliminates[3 + len(second) - 1])
            assert (found.action, found.mtd) == (("stop", "none") if eliminated else ("fill", None)), text
            stopped += [text] * eliminated
    assert stopped == ["1NNT 1TT", "1NTT 1T", "1NTT 1NT", "1NTT 1TT"]


def test_the_stopping_rule_of_a_model_ends_a_cohort_from_three_patients_on():
    """Fewer show too little: after one DLT in one patient EWOC has no dose left, and 1 of 3 reopens the lowest."""
    blrm = {"kind": "blrm", "prior": {"mean": [-2.2, 0.0], "sd": [2.0, 1.0]}}
    crm = {"kind": "crm", "skeleton": [0.1, 0.25, 0.4], "safety_cutoff": 0.95, "safety_by": "beta"}
    rules = protocol(AS, designs={"3+3": {"kind": "3+3"}, "blrm": blrm, "crm": crm})
    assert then(*in_a_row("1T"), rules).proposals["blrm"].words == "complete the current cohort at level 1, 2 patients"
    found = then(*in_a_row("1NNT 1TT"), rules).proposals
    assert {name: found[name].words for name in ("blrm", "crm")} == dict.fromkeys(("blrm", "crm"), "stop, no MTD")
    # A patient whose outcome is pending may still close the dose; if so, nobody completes the cohort.
    people = list(in_a_row("1NNT 1T")[0].patients)
    ended = then(trial(*people, patient("Q", 1, 100), last=105), 105, rules).proposals["crm"]
    assert {(way.dlts, step.action) for way, step in ended.completions} == {((0, 0), "fill"), ((0, 1), "stop")}


@pytest.mark.parametrize("kind", ["3+3", "boin", "rolling-6", "tite-boin"])
def test_a_wrong_dose_of_the_first_patients_begins_no_escalation_there(kind):
    """Nobody was treated at level 1: it is the next dose until three patients without a DLT show that the trial began above it."""
    treatment = {"infusion_days": [1], "dlt_window_days": 28, "no_overlap": False}
    rules = protocol(AS, designs={kind: {"kind": kind}}, treatment=treatment)
    for text in ("3N", "2NN", "2NNT", "2T"):
        found = then(*in_a_row(text), rules).proposal
        assert (found.action in ("start", "de-escalate"), found.level) == (True, 1), text
    assert then(*in_a_row("2NNN"), rules).proposal.level > 1
    pending = [patient(f"P{number}", 2, 1) for number in range(3)]
    found = then(trial(*pending, last=5), 5, rules).proposal
    assert (found.level or 0) < 2


def test_a_wait_says_what_follows_where_no_outcome_changes_it():
    """Two of three at level 1, then three at level 2, two of them pending: level 1 is completed, whatever their outcomes are."""
    people = [patient("P1", 1, 1), patient("P2", 1, 2), patient("P3", 2, 36), patient("P4", 2, 44), patient("P5", 2, 51)]
    found = then(trial(*people, last=70), 70).proposal
    assert found.action == "wait"
    assert (found.awaited.then.action, found.awaited.then.level) == ("fill", 1)


def test_a_cohort_is_filled_by_the_design_that_began_it_only():
    """Seven at a dose of the 3+3: not filled to nine. A design that had gone down does not complete the current cohort above."""
    found = then(*in_a_row("1NNN 1NNN 1N"))
    assert found.proposal.words == "escalate to level 2, 3 patients"
    assert found.start.words == "immediately: no rule of the protocol requires this patient to wait"
    assert [one.rule for one in found.findings] == ["too many patients on a dose"]
    boin = then(*in_a_row("1NNN 2NNT 2N"), protocol(AS, "boin")).proposals
    assert (boin["3+3"].words, boin["boin"].action) == ("complete the current cohort at level 2, 2 patients", "de-escalate")


def test_boin_and_crm_at_some_dates():
    """By BOIN's table: 0 of 3 up, 1 of 3 down (at the lowest dose: stay), 1 of 6 up; three DLTs in three stop."""
    rules = protocol(AS, "boin", "crm")
    words = {when: then(single_dose(), when, rules).proposals["boin"].words for when in (3, 5, 10, 31, 33, 83, 90)}
    assert words == {
        3: "complete the current cohort at level 1, 1 patient",
        5: WAIT.format(day(33)),
        10: WAIT.format(day(33)),
        31: "stay at level 1, 3 patients",  # A3 alone is pending: one DLT or two, BOIN stays
        33: "stay at level 1, 3 patients",
        83: "escalate to level 2, 3 patients",
        90: "complete the current cohort at level 2, 2 patients",
    }
    found = then(single_dose(), 31, rules, design="boin")
    assert found.start == (day(33), "the DLT window of A3 ends")
    assert found.proposal.reason.startswith("whatever the pending outcomes are; without a further DLT: 1 DLT in 3")
    # dfcrm 0.2-2.1's rule as in test_crm: after 1 of 3 at the first dose the plug-in estimate keeps the trial there.
    assert then(single_dose(), 33, rules).proposals["crm"].words == "stay at level 1, 3 patients"


# What is pending, and what would follow.


def test_completions_by_hand():
    found = then(single_dose(), 10, protocol(AS, "boin"))
    assert found.completions.to_dict("list") == {
        "further DLTs": ["0 in cohort 1", "1 in cohort 1", "2 in cohort 1"],
        "ways": [1, 2, 1],
        "design: 3+3": ["level 1", "stop, no MTD", "stop, no MTD"],
        "design: boin": ["level 1", "level 1", "stop, no MTD"],
    }
    assert found.proposal.reason == "depends on the outcome of A1, A3: level 1; or stop, no MTD"
    assert found.proposal.awaited == Awaited(("A1", "A3"))
    assert (found.proposal.level, found.proposal.size, found.start, len(found.paths)) == (None, 0, None, 0)
    assert list(found.what_if.get("design", [])) == ["boin"] * (found.proposals["boin"].level is not None)
    filling = then(single_dose(), 3, protocol(AS, "boin"))
    assert set(filling.completions["design: boin"]) == {"complete the cohort at level 1"}
    assert filling.completions["ways"].sum() == 4


def test_reason_lists_patients_with_missing_data():
    found = then(REPLAYS["an event without a grade"][0], 60)
    assert found.proposal.until is None
    assert found.proposal.awaited.missing_data == ("S3",)
    assert found.proposal.reason.endswith("; no date can be given: data are missing for S3")


def test_what_would_follow_by_hand():
    stay = then(single_dose(), 33, protocol(AS, "boin")).what_if
    assert stay.to_dict("records") == [
        {"design": "3+3", "next": "stay at level 1, 3 patients"}
        | {"0 DLTs": "level 2", "1 DLT": "stop, no MTD", "2 DLTs": "stop, no MTD", "3 DLTs": "stop, no MTD"},
        # 1 of 6 up, 2 of 6 down: stays at the lowest; P(p > .25 | 3 of 6) = .929, P(p > .25 | 4 of 6) = .987
        {"design": "boin", "next": "stay at level 1, 3 patients"}
        | {"0 DLTs": "level 2", "1 DLT": "level 1", "2 DLTs": "level 1", "3 DLTs": "stop, no MTD"},
    ]
    # A cohort filled up by one, two of whom are pending: 1 DLT before.
    fill = then(single_dose(), 50).what_if
    assert fill.to_dict("records") == [
        {"design": "3+3", "next": "complete the current cohort at level 1, 1 patient"}
        | {"0 DLTs": "level 2; or stop, no MTD", "1 DLT": "stop, no MTD"}
    ]
    last = then(trial(*clean(1, 1), *clean(2, 31), last=61), 61).what_if.iloc[0]
    assert (last["0 DLTs"], last["1 DLT"], last["2 DLTs"]) == ("stop, MTD level 3, not reached", "level 3", "stop, MTD level 2")


def test_uncounted_patients_are_listed_first(folder):
    """50 for 5: a level is nobody's, but the patient is looked at first, and others wait as at the top dose."""
    first = patient("P50", None, 70, amount=50, events=(event(75),))
    found = then(trial(*clean(1, 1), *clean(2, 31), first, last=75), 75)
    assert found.alarms == (("P50", 50, "dlt"),)
    assert [status.subject for status in found.holds.unplaced] == ["P50"]
    assert (found.proposal.action, found.start) == ("hold", None)
    assert found.proposal.held.words == "escalate to level 3, 3 patients"
    pending = then(trial(*clean(1, 1), *clean(2, 31), replace(first, events=()), last=75), 75).start
    assert pending.day == day(98)
    assert pending.words == (
        f"the DLT window of P50 ends; each further patient 7 days after the previous one, "
        f"the last of 3 patients not before {day(112)}"
    )
    (folder / "patients.csv").write_text("subject,dose,infusion_1\nP1,1,2024-01-01\nP2,50,2024-01-03\n")
    (folder / "ae.csv").write_text("subject,term,grade,related,start\n")
    lines = run(folder, "next").stdout.splitlines()
    assert lines[1].startswith("Dose not in the protocol")
    assert "P2: dose 50" in lines[2]


def test_further_dlts_that_end_a_cohort_are_shown():
    """1 of 3 at level 1, two more pending, the sixth to come: with a further DLT there are 2 of 5, and nobody else would come."""
    data = trial(
        *(patient(f"A{n}", 1, n, events=(event(6),) if n == 1 else ()) for n in (1, 2, 3)),
        patient("B1", 1, 41),
        patient("B2", 1, 42),
    )
    found = then(data, 45)
    assert found.proposal.words == "complete the current cohort at level 1, 1 patient"
    assert found.proposal.reason.endswith("; if further DLTs among those pending end that: stop, no MTD")
    assert list(found.completions["design: 3+3"]) == ["complete the cohort at level 1", "stop, no MTD", "stop, no MTD"]
    toxic = trial(*data.patients[:4], replace(data.patients[4], events=(event(44, row=9),)), last=45)
    assert then(toxic, 45).proposal.words == "stop, no MTD"


def test_open_doses_are_at_most_one_level_up():
    """The 3+3 and BOIN skip no dose: after 0 of 3 at the first, the third is not open; a toxic dose is shut with all above."""
    rules = protocol(AS, "boin")
    for when, data, levels in (
        (31, trial(*clean(1, 1), last=31), (1, 2)),
        (61, trial(*clean(1, 1), *clean(2, 31), last=61), (1, 2, 3)),
    ):
        opened = {name: one.admissible for name, one in then(data, when, rules).proposals.items()}
        assert opened == {"3+3": levels, "boin": levels}
    for text, levels in (("1NNN 2TTT", (1,)), ("1NNN 2TTN", (1, 2)), ("1NNN 2NNT 2NNT", (1, 2))):
        data, when = in_a_row(text)
        assert then(data, when, rules).proposals["boin"].admissible == levels


def test_paths_two_cohorts_on():
    found = then(single_dose(), 40)
    assert found.paths.attrs["after"] == "1NNT 1NNN"
    assert list(found.paths["path"][:3]) == ["2NNN 3NNN", "2NNN 3NNT", "2NNN 3NTT"]
    for name in found.paths.columns[6:]:
        # Rounding of ten products.
        assert found.paths[name].sum() == pytest.approx(1, abs=1e-12)
    # The top dose tolerated: the MTD is not reached. Reasons are words.
    shown = found.paths.set_index("path")[["mtd", "not_reached", "reason"]].T.to_dict("list")
    assert shown["2NNN 3NNN"] == ["3", "yes", "the top dose is tolerated"]
    assert shown["2NNN 3NTT"] == ["2", "", "a dose has too many DLTs, so the next lower dose is the MTD"]
    assert shown["2NNN 3NNT"] == ["", "", "stay"]


def test_primary_design():
    rules = protocol(AS, "boin", binding="boin")
    assert next_dose(rules, single_dose()).binding == "boin"
    assert next_dose(rules, single_dose(), design="3+3").binding == "3+3"
    assert next_dose(protocol(AS, "boin"), single_dose()).binding == "3+3"
    with pytest.raises(dsf.InputError, match=r"design = 'keyboard': must be one of '3\+3', 'boin'"):
        next_dose(rules, single_dose(), design="keyboard")
    with pytest.raises(dsf.InputError, match=r"binding = 'keyboard': must be one of the designs: 3\+3"):
        protocol(AS, binding="keyboard")
    table = then(single_dose(), 31, rules).designs
    assert table[["design", "binding", "differs"]].to_numpy().tolist() == [["3+3", "", "yes"], ["boin", "yes", ""]]


# Whatever the trial: properties.

PEOPLE = st.lists(
    st.tuples(
        st.sampled_from([1, 1, 1, 2, 2, 3, None]),
        st.integers(0, 12),  # days since the patient before
        st.sampled_from(["none", "none", "none", "dlt", "left", "unclear"]),
        st.integers(0, 28),
    ),
    min_size=1,
    max_size=22,
)


def drawn(people):
    patients, start = [], 1
    for number, (level, gap, what, at) in enumerate(people, start=1):
        start += gap
        fields = {"discontinued": start + at} if what == "left" else {}
        grade = None if what == "unclear" else 3
        events = (event(start + at, grade=grade, row=number),) if what in ("dlt", "unclear") else ()
        patients.append(patient(f"S{number}", level, start, events=events, **fields))
    return trial(*patients, last=start + 60), start


def dose_of(answer):
    """The dose of an answer, a stop counting as its MTD."""
    return answer.level or (0 if answer.mtd in (None, "none") else int(answer.mtd))


def short_of(read, rules):
    """Whether the latest cohort has fewer patients who count than planned."""
    latest = read.members[-1:]
    return any(sum(read[subject].counts for subject in one.subjects) < rules.limits.size_of_cohort(1) for one in latest)


@pytest.mark.slow
@settings(deadline=None, max_examples=examples(30))
@given(PEOPLE, st.integers(-5, 45), st.randoms(use_true_random=False))
def test_a_decision_now_is_that_of_every_completion(people, after, shuffle: random.Random):
    # Three patients at the dose 2, which the protocol does not have, would be taken for levels in the column of doses.
    assume(any(level for level, *_ in people))
    data, latest = drawn(people)
    cut, rules = max(0, latest + after), protocol(AS, "boin")
    # A table of more ways than anybody reads takes its time.
    assume(sum(1 for _ in evaluate(data, rules, day(cut), replay=True).completions()) <= 32)
    found = then(data, cut, rules)
    built = dsf.config.build_designs(rules)
    completions = list(found.evaluated.completions())
    assert sum(one.ways for one in completions) == 2**found.evaluated.n_pending
    assert len(found.completions) == (len(completions) if found.evaluated.n_pending else 0)
    for name, one in found.proposals.items():
        read = found.evaluated_for(name)
        each = [next_step(built[name], done.cohorts, 3, done.others) for done in read.completions()]
        assert (one.level is None) == (one.size == 0)
        assert one.size <= 3
        # A DLT at a dose that is not in the protocol holds every design.
        one = one.held or one
        if one.action == "wait":
            assert found.evaluated.n_pending
            assert len({(step.level, step.size, step.mtd, step.not_reached) for _, step in one.completions}) > 1
            steps = [one.awaited.then] if one.awaited.then else [step for _, step in one.completions]
            assert one.reason == one.awaited.reason(steps)
        elif one.action == "fill":
            assert one.level == read.members[-1].level
        elif short_of(read, rules):
            # Part of a cohort leads no higher than the design does from it.
            assert all(dose_of(one) <= dose_of(step) for step in each)
        elif "no outcome of" not in one.reason:
            for step in each:
                assert (one.action, one.level, one.size, one.mtd) == (step.action, step.level, step.size, step.mtd)
        if one.action == "stop":
            assert one.mtd is not None
    mixed = list(data.patients)
    shuffle.shuffle(mixed)
    again = then(data.__class__(**{**vars(data), "patients": tuple(mixed)}), cut, rules)
    assert again.proposals == found.proposals
    assert again.deviations == found.deviations


@settings(deadline=None, max_examples=examples(40))
@given(st.data())
def test_full_cohorts_are_decided_as_by_decide(data):
    """A trial that followed its design, all known: the answer is that of `decide`."""
    text, rules = [], protocol(AS, "boin")
    built = dsf.config.build_designs(rules)
    name = data.draw(st.sampled_from(list(built)))
    while (step := dsf.decide(built[name], " ".join(text), n_doses=3)).level and data.draw(st.integers(0, 4)):
        dlts = data.draw(st.integers(0, step.size))
        text.append(f"{step.level}{'N' * (step.size - dlts)}{'T' * dlts}")
    if not text:
        return
    found = then(*in_a_row(" ".join(text)), rules, design=name).proposal
    assert (found.action, found.level, found.size, found.mtd, found.not_reached, found.reason) == (
        *(step.action, step.level, step.size, step.mtd, step.not_reached),
        step.reason,
    )


# The committee's decisions.


def test_decisions_are_only_added(tmp_path):
    path, data = tmp_path / "decisions.csv", single_dose()
    first = then(data, 33).record("level 1", '=HYPERLINK("x"), "quoted",\nand a second line')
    record_decision(path, first)
    before = path.read_bytes()
    second = then(data, 83).record("level 1", "'=as it is")
    record_decision(path, second)
    assert path.read_bytes().startswith(before)
    assert read_decisions(path, "NCT05962762") == [first, second]
    assert (first.override, second.override) == ("no", "yes")
    assert second.recommendation == "escalate to level 2, 3 patients"
    assert second.data_sha256 == "0" * 64
    with path.open(newline="") as file:
        assert [row["reason"][:2] for row in csv.DictReader(file)] == ["'=", "''"]
    assert sorted(one.name for one in tmp_path.iterdir()) == [".decisions.csv.lock", "decisions.csv"]


RECORDING = """
import sys
from datetime import date
from dosefind.decisions import Recorded, record_decision
for number in range(int(sys.argv[3])):
    one = Recorded(date(2024, 1, 1), "X", "", "", "3+3", "wait", "wait", "no", f"{sys.argv[2]}-{number}")
    record_decision(sys.argv[1], one)
"""


def recording(path, name, times):
    return subprocess.Popen([sys.executable, "-c", RECORDING, str(path), str(name), str(times)], cwd=ROOT)


def test_levels_in_the_column_of_doses_are_refused():
    """Everybody would else be in no count, and the trial at its start."""
    table = dsf.load_protocol(ROOT / "configs" / "nct05962762.toml").model_dump(exclude_unset=True) | {"assumed": {}}
    table["doses"] = {"amounts": (25, 50, 100), "unit": "mg", "reference": {"amount": 50, "unit": "mg"}}
    protocol = dsf.Protocol.read({key: value for key, value in table.items() if key != "borrowing"})
    people = [patient(f"A{n}", None, n, amount=float(level)) for n, level in enumerate((1, 1, 2), start=1)]
    with pytest.raises(
        dsf.InputError, match=r"^dose = \[1.0, 2.0\]: none is among 25, 50, 100 mg: levels belong in the column level$"
    ):
        next_dose(protocol, trial(*people))
    # One who may well have been given something else, and doses that are no levels, are only told.
    assert len(next_dose(protocol, trial(people[0])).alarms) == 1
    assert len(next_dose(protocol, trial(*(replace(one, amount=7.0) for one in people))).alarms) == 3


def test_patient_treated_differently_from_the_decision_is_reported(tmp_path):
    """Though somebody was treated as decided before; and nobody since is said too."""
    protocol, path = dsf.load_protocol(ROOT / "configs" / "nct05962762.toml"), tmp_path / "decisions.csv"
    people = [patient(f"A{n}", 1, n) for n in (1, 2, 3)] + [patient("B1", 2, 40), patient("B2", 1, 41)]
    record_decision(path, next_dose(protocol, trial(*people), day(31), replay=True).record("level 2", "so"))
    assert next_dose(protocol, trial(*people), decisions=path).followed == (
        f"B2 was treated at level 1 on {day(41)}, not as decided",
    )
    assert next_dose(protocol, trial(*people[:4]), decisions=path).followed == (f"B1 was treated at level 2 on {day(40)}",)
    assert next_dose(protocol, trial(*people), day(35), replay=True, decisions=path).followed == (
        "no patient has been treated since",
    )


@pytest.mark.slow
def test_of_decisions_recorded_at_once_none_is_lost(tmp_path):
    path = tmp_path / "decisions.csv"
    running = [recording(path, name, 20) for name in range(8)]
    assert [one.wait(60) for one in running] == [0] * 8
    reasons = [one.reason for one in read_decisions(path, "X")]
    assert sorted(reasons) == sorted(f"{name}-{number}" for name in range(8) for number in range(20))
    # What one process adds stays in its order.
    assert all([r for r in reasons if r.startswith(f"{n}-")] == [f"{n}-{k}" for k in range(20)] for n in range(8))


def test_a_lock_that_is_held_ends_in_a_message_and_one_left_behind_does_not_block(tmp_path, monkeypatch):
    path, lock = tmp_path / "decisions.csv", tmp_path / ".decisions.csv.lock"
    one = then(single_dose(), 33).record("wait", "so")
    monkeypatch.setattr("dosefind.provenance._SECONDS", 0.1)
    with filelock.FileLock(lock), pytest.raises(dsf.InputError, match=r"decisions\.csv: is being written by somebody else"):
        record_decision(path, one)
    assert not path.exists()
    holder = "import filelock, os, sys; filelock.FileLock(sys.argv[1]).acquire(); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", holder, str(lock)], check=False)
    assert lock.exists()
    record_decision(path, one)
    assert read_decisions(path, "NCT05962762") == [one]


@pytest.mark.parametrize("ending", [b"\r\n", b""])
def test_what_another_program_saved_is_kept(tmp_path, ending):
    """Line ends, a mark before the text, no last line end: the bytes stay, and the rows do not run together."""
    path, data = tmp_path / "decisions.csv", single_dose()
    record_decision(path, then(data, 33).record("stop", "one"))
    old = b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n").removesuffix(b"\r\n") + ending
    path.write_bytes(old)
    record_decision(path, then(data, 33).record("wait", "two"))
    assert path.read_bytes().startswith(old)
    assert [one.reason for one in read_decisions(path, "NCT05962762")] == ["one", "two"]


def test_an_override_shows_from_then_on(tmp_path):
    path, data = tmp_path / "decisions.csv", single_dose()
    record_decision(path, then(data, 83).record("level 1", "two grade 2 events"))
    record_decision(path, then(data, 83).record("level 2", "other trial")._replace(protocol="OTHER"))
    assert then(data, 82, decisions=path).recorded == ()
    for when in (83, 120):
        (one,) = then(data, when, decisions=path).recorded
        assert (one.as_of, one.decision, one.override) == (day(83), "level 1", "yes")
    # The data and what the designs make of them stay as they were.
    assert then(data, 120, decisions=path).proposals == then(data, 120).proposals
    assert then(data, 120, decisions=tmp_path / "none.csv").recorded == ()


# A cohort that the committee opened against the design. Level 2 ends the escalation, 2 of 3; the protocol lets the committee treat
# more at the MTD (row 3 of the open questions), which the 3+3 as it is here does not.


def opened(*more, last=120):
    dlts = (event(36), event(37, row=2))
    second = [patient(f"L2-{n}", 2, 31 + n, events=dlts[n : n + 1]) for n in range(3)]
    return trial(*clean(1, 1), *second, patient("M1", 1, 70), *more, last=last)


def decided(tmp_path, *decisions):
    """The decisions on file, as day and decision."""
    path = tmp_path / "decisions.csv"
    for when, decision in decisions:
        record_decision(path, then(opened(), when).record(decision, "so"))
    return path


def test_a_cohort_that_the_committee_opened_is_filled(tmp_path):
    rules, path = protocol(AS, "boin"), decided(tmp_path, (62, "level 1"))
    # The 3+3 a second time, which does not bind: by itself it would not complete the current cohort either.
    rules = rules.model_copy(update={"designs": {**rules.designs, "another": rules.designs["3+3"]}})
    assert then(opened(), 69, rules, decisions=path).proposal.words == "stop, MTD level 1"
    without, found = then(opened(), 72, rules), then(opened(), 72, rules, decisions=path)
    # Nobody asked for the seventh patient: 1 of 4 at level 1 would be two more, 0 of 4 the MTD, and without M1 it is the MTD.
    # A stop that names the current dose waits for the patient.
    assert without.proposal.words == WAIT.format(day(98))
    assert without.proposal.other_reading.words == "stop, MTD level 1"
    assert (found.proposal.words, found.start.day) == ("complete the current cohort at level 1, 2 patients", day(72))
    assert found.proposal.reason == (
        f"cohort 3 has 1 of 3 patients evaluable or pending; if further DLTs among those pending end that: stop, MTD level 1; "
        f"the committee decided on it on {day(62)} (level 1); by the design's rules alone: "
        f"wait until {day(98)}"
    )
    # It overrode the design that binds; what another one would do is for comparison, and deviations stay deviations.
    assert [found.proposals[name].action for name in ("boin", "another")] == ["fill", "wait"]
    assert found.deviations == without.deviations
    # 0 of 6 or 1 of 6 at level 1: MTD 1; 2 of 6: too many there too.
    row = found.what_if.set_index("design").loc["3+3"]
    assert [row[f"{n} DLT{'s' * (n != 1)}"] for n in range(3)] == [
        "stop, MTD level 1",
        "stop, MTD level 1; or stop, no MTD",
        "stop, no MTD",
    ]
    assert found.record("level 1", "so").override == "no"
    # Full, it is decided on as any other.
    full = opened(patient("M2", 1, 73), patient("M3", 1, 74))
    assert then(full, 103, rules, decisions=path).proposal.words == "stop, MTD level 1"


@pytest.mark.parametrize(
    ("decisions", "when", "fills"),
    [
        ([(62, "level 1")], 72, True),
        ([(70, "level 1")], 72, True),  # recorded when the cohort had begun
        ([(62, "level 1")], 71, True),
        ([(62, "level 2")], 72, False),  # another level
        ([(62, "stop")], 72, False),
        ([(30, "level 1"), (62, "MTD 1")], 72, False),
        ([(62, "level 1"), (71, "stop")], 71, False),  # taken back
        ([(62, "level 1"), (73, "stop")], 72, True),  # not yet
        ([(62, "stop"), (65, "level 1")], 72, True),
    ],
)
def test_which_decision_opens_a_cohort(tmp_path, decisions, when, fills):
    found = then(opened(), when, decisions=decided(tmp_path, *decisions)).proposal
    assert (found.action == "fill") is fills
    assert found.action in ("fill", "stop", "wait")
    # Where nothing opened the cohort, it is not filled in the reading that has it in the escalation either.
    assert fills or found.other_reading is None or found.other_reading.action != "fill"


def test_a_dlt_that_the_committee_did_not_know_of_ends_its_decision(tmp_path):
    """A further DLT in its cohort, or a late one elsewhere: the design is asked again, until the committee decides again."""
    data, path = opened(patient("M2", 1, 72, events=(event(75, row=9),))), decided(tmp_path, (62, "level 1"))
    assert then(data, 74, decisions=path).proposal.words == "complete the current cohort at level 1, 1 patient"
    assert then(data, 75, decisions=path).proposal.words == WAIT.format(day(98))
    record_decision(path, then(data, 75).record("level 1", "a known risk"))
    assert then(data, 76, decisions=path).proposal.words == "complete the current cohort at level 1, 1 patient"


def test_the_committee_goes_on_with_a_cohort_that_the_design_would_leave(tmp_path):
    """Level 2 was agreed; two DLTs in two end it, unless the committee decides on level 2 knowing of them."""
    data, end = in_a_row("1NNN 2TT")
    path = tmp_path / "decisions.csv"
    record_decision(path, then(data, 44).record("level 2", "as planned"))
    assert then(data, end, decisions=path).proposals == then(data, end).proposals
    # A decision for the other level, made knowing of the DLTs, does not open this one.
    elsewhere = tmp_path / "elsewhere.csv"
    record_decision(elsewhere, then(data, 51).record("level 1", "back"))
    assert then(data, end, decisions=elsewhere).proposal.words == "stop, MTD level 1"
    record_decision(path, then(data, 51).record("level 2", "both events were of the port"))
    found = then(data, end, decisions=path).proposal
    assert found.words == "complete the current cohort at level 2, 1 patient"
    assert found.reason.endswith("(level 2); by the design's rules alone: stop, MTD level 1")


@pytest.mark.parametrize(("when", "action"), [(46, "escalate"), (47, "escalate"), (48, "fill"), (89, "fill")])
def test_a_decision_on_the_cohort_before_opens_none(tmp_path, when, action):
    """Cohort 2 is treated on days 45 to 47, the first patient of a third cohort at its level on day 89."""
    data, end = in_a_row("1NNN 2NNN 2N")
    record_decision(tmp_path / "decisions.csv", then(data, when).record("level 2", "so"))
    assert then(data, end, decisions=tmp_path / "decisions.csv").proposal.action == action


@pytest.mark.parametrize(
    ("when", "decision", "override"),
    [
        (33, "level 1", "no"),
        (33, "level 2", "yes"),
        (33, "wait", "yes"),
        (33, "stop", "yes"),
        (33, "MTD none", "yes"),
        (33, "RP2D 1", "yes"),
        (33, "add dose 0.5", "yes"),
        (10, "wait", "no"),
        (10, "level 1", "yes"),
        (40, "level 1", "no"),
    ],
)
def test_what_agrees_with_the_recommendation(when, decision, override):
    assert then(single_dose(), when).record(decision, "so").override == override


@pytest.mark.parametrize(
    ("text", "decision", "override"),
    [
        ("1NTT", "MTD none", "no"),
        ("1NTT", "stop", "no"),
        ("1NTT", "add dose 0.5", "yes"),
        ("1NNN 2NTT", "MTD 1", "no"),
        ("1NNN 2NTT", "MTD 2", "yes"),
        ("1NNN 2NTT", "MTD none", "yes"),
        ("1NNN 2NTT", "level 1", "yes"),
        ("1NNN 2NTT", "RP2D 1", "no"),
        ("1NNN 2NTT", "RP2D none", "no"),
        ("1NNN 2NTT", "RP2D 2", "yes"),
        ("1NTT", "RP2D 1", "yes"),
        ("1NNN 2NNN 3NNN", "MTD 3", "no"),
        ("1NNN 2NNN 3NNN", "add dose 7", "yes"),
    ],
)
def test_rows_4_and_5_and_the_agreement_on_the_mtd(text, decision, override):
    assert then(*in_a_row(text)).record(decision, "so").override == override


@pytest.mark.parametrize(
    ("decision", "words"),
    [(form, "must be 'level 2', 'wait', 'stop'") for form in ("", "level", "level 0", "level2", "level 2 now", "MTD", "add dose x")]
    + [("level 4", "must be one of the protocol's 3 levels"), ("MTD 12", "must be one of the protocol's 3 levels")]
    + [("RP2D 4", "must be one of the protocol's 3 levels"), ("RP2D", "must be 'level 2'")]
    + [("add dose 3.0", "must add a dose above 0 that is not in the protocol, which has 1, 3, 5"), ("add dose 0", "above 0")],
)
def test_decisions_of_no_known_form(decision, words):
    with pytest.raises(dsf.InputError, match=words):
        then(single_dose(), 33).record(decision, "so")


@pytest.mark.parametrize(
    ("said", "filed"),
    [
        ("Level 2", "level 2"),
        (" level  2\n", "level 2"),
        ("mtd level 1", "MTD 1"),
        ("MTD None", "MTD none"),
        ("rp2d Level 2", "RP2D 2"),
        ("Rp2d none", "RP2D none"),
    ],
)
def test_decisions_are_filed_in_one_form(said, filed):
    assert then(single_dose(), 33).record(said, "so").decision == filed


@pytest.mark.parametrize("reason", ["", " \n", "x" * 2001, "a\x1b[2Jb", "\udcff"])
def test_reasons_that_are_none(tmp_path, reason):
    with pytest.raises(dsf.InputError, match=r"reason = .*must be text of 1 to 2000 characters"):
        record_decision(tmp_path / "decisions.csv", then(single_dose(), 33).record("stop", reason))
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_recorded_before_what_is_on_file(tmp_path):
    path = tmp_path / "decisions.csv"
    record_decision(path, then(single_dose(), 83).record("level 2", "so"))
    record_decision(path, then(single_dose(), 33).record("level 1", "so")._replace(protocol="OTHER"))
    before = path.read_bytes()
    with pytest.raises(dsf.InputError, match=f"as_of = '{day(82)}': lies before the last decision on file, of {day(83)}"):
        record_decision(path, then(single_dose(), 82).record("wait", "so"))
    assert path.read_bytes() == before


HEADER = ",".join(Recorded._fields)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a,b\n1,2\n", "must begin with the columns as_of, protocol"),
        (HEADER.encode() + b"\n2024-01-01,X\n", "row 2 has 2 cells: must have 18"),
        (HEADER.encode() + b"\n1/2/2024" + b",x" * 17 + b"\n", "row 2.as_of = '1/2/2024': must be a date such as 2024-03-14"),
        (HEADER.encode() + b"\n2024-01-01" + b",x" * 13 + b',"cut\n', "is damaged"),
        (HEADER.encode() + b"\n\xff\xfe", "is not UTF-8 text"),
    ],
)
def test_a_damaged_file_is_left_alone(tmp_path, content, words):
    path = tmp_path / "decisions.csv"
    path.write_bytes(content)
    with pytest.raises(dsf.InputError, match=words):
        record_decision(path, then(single_dose(), 33).record("stop", "so"))
    assert path.read_bytes() == content


EARLIER = ("as_of", "protocol", "data_sha256", "config_sha256", "binding", "recommendation", "decision", "override", "reason")
EARLIER_CELLS = (
    ("2024-01-01", "NCT05962762", "a" * 64, "b" * 64, "3+3", "wait", "level 1", "yes", '\'=1+1\nsecond line, "quoted"'),
    ("2024-01-02", "OTHER", "", "", "3+3", "wait", "wait", "no", "''=as it was"),
)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_file_with_the_earlier_columns_is_read_and_added_to(tmp_path, mark, ending):
    """No cell of the earlier rows changes, whatever their line ends; the columns they lack are empty."""
    path = tmp_path / "decisions.csv"
    text = io.StringIO()
    csv.writer(text, lineterminator=ending).writerows((EARLIER, *EARLIER_CELLS))
    path.write_bytes(mark + text.getvalue().encode())
    (old,) = read_decisions(path, "NCT05962762")
    assert old == Recorded(date(2024, 1, 1), *EARLIER_CELLS[0][1:8], '=1+1\nsecond line, "quoted"')
    assert old[9:] == (None, "", None, "", "", "", "", "", "")
    assert old.known_dlts == frozenset()
    new = then(single_dose(), 33).record("wait", "so", attendees="A. Roe, B. Doe", meeting=day(35))
    record_decision(path, new)
    assert read_decisions(path, "NCT05962762") == [old, new]
    content = path.read_bytes()
    assert content.startswith(mark + ",".join(EARLIER).encode())
    rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    assert tuple(rows[0]) == (*Recorded._fields, HASH)
    assert [tuple(row) for row in rows[1:3]] == [(*cells, *[""] * 10) for cells in EARLIER_CELLS]
    # Added to once more, the file stays as it is.
    record_decision(path, new._replace(reason="again"))
    assert path.read_bytes().startswith(content)


def test_record_keeps_meeting_versions_and_conditions(tmp_path):
    path, details = tmp_path / "decisions.csv", {"meeting": day(35), "attendees": "=A. Roe", "conditions": "liver tests weekly"}
    record_decision(path, then(single_dose(), 33).record("wait", "so", **details))
    record_decision(path, then(single_dose(), 33).record("wait", "so"))
    full, bare = read_decisions(path, "NCT05962762")
    assert (full.meeting, full.attendees, full.conditions) == (day(35), "=A. Roe", "liver tests weekly")
    assert (bare.meeting, bare.attendees, bare.conditions) == (None, "", "")
    for one in (full, bare):
        assert (one.as_of, one.protocol_version, one.software_version) == (day(33), date(2023, 8, 30), dsf.__version__)


@pytest.mark.parametrize(
    ("field", "value"), [("meeting", "2024-02-04"), ("attendees", "a\x1b[2J"), ("conditions", "x" * 2001), ("attendees", None)]
)
def test_wrong_detail_of_a_meeting_is_not_recorded(tmp_path, field, value):
    with pytest.raises(dsf.InputError) as error:
        record_decision(tmp_path / "decisions.csv", then(single_dose(), 33).record("wait", "so", **{field: value}))
    assert [problem.where for problem in error.value.problems] == [field]
    assert list(tmp_path.iterdir()) == []


def test_resume_leaves_the_decision_before_it_in_force(tmp_path):
    """To resume says nothing of the dose; without a pause rule that has fired, nothing recommends it."""
    path, data = tmp_path / "decisions.csv", in_a_row("1NNN 2NTT 1NNN")[0]
    assert then(single_dose(), 33).record("Resume", "so").decision == "resume"
    assert then(single_dose(), 33).record("resume", "so").override == "yes"
    stopped = then(*in_a_row("1TTT"))
    assert (stopped.proposal.action, stopped.record("resume", "so").override) == ("stop", "yes")
    # The committee goes on at level 2 against the design, pauses and resumes: the cohort is still completed.
    data = trial(*(patient(f"P{n}", 1, n) for n in (1, 2, 3)), patient("P4", 1, 45))
    for when, decision in ((40, "level 1"), (46, "resume")):
        record_decision(path, then(data, when).record(decision, "so"))
        proposal = then(data, 46, decisions=path).proposal
        assert (proposal.action, proposal.level, proposal.size) == ("fill", 1, 2)
    assert then(data, 46).proposal.action != "fill"
    (followed, _) = then(data, 46, decisions=path).followed
    assert "not as decided" not in followed


# The commands.

PATIENTS = """subject,level,infusion_1,discontinued,reason,replaces,name
A1,1,2024-01-01,,,,MARKER
A2,1,2024-01-03,,,,MARKER
A3,1,2024-01-05,,,,MARKER
A4,1,2024-02-09,,,,MARKER
A5,1,2024-02-10,2024-02-19,MARKER withdrew,,MARKER
A6,1,2024-02-11,,,,MARKER
A7,1,2024-02-24,,,A5,MARKER
"""
EVENTS = "subject,term,grade,related,start,note\nA2,MARKER fever,3,possibly related,2024-01-10,MARKER\n"


@pytest.fixture
def folder(tmp_path):
    """A config with two designs, a table of patients and one of events."""
    text = (ROOT / "configs" / f"{AS}.toml").read_text()
    head, rest = text.split("[designs.crm-6]")
    boin = '[designs.boin]\nkind = "boin"\n\n'
    tail = "[rp2d]" + rest.split("[rp2d]")[1].split("[assumed]")[0]
    (tmp_path / "trial.toml").write_text('binding = "3+3"\n' + head + boin + tail)
    (tmp_path / "patients.csv").write_text(PATIENTS)
    (tmp_path / "ae.csv").write_text(EVENTS)
    return tmp_path


def run(folder, command, *words, data="patients.csv"):
    given_ = [command, str(folder / "trial.toml"), "--data", str(folder / data), "--events", str(folder / "ae.csv"), *words]
    result = CliRunner(env={"COLUMNS": "118"}).invoke(main, given_)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_next_prints_the_answer_first(folder):
    result = run(folder, "next", "--as-of", "2024-02-20", "--replay")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    protocol = dsf.load_protocol(folder / "trial.toml")
    found = next_dose(
        protocol, dsf.read_patients(folder / "patients.csv", protocol, events=folder / "ae.csv"), date(2024, 2, 20), replay=True
    )
    assert lines[0] == "NCT05962762: data cutoff 2024-02-20"
    # No serious event, no pause rule and no overdue outcome leads here; the table of events has no column of seriousness.
    assert found.unseen.no_seriousness
    at = next(place for place, line in enumerate(lines) if line.startswith("What next"))
    lines = [lines[0], *lines[at:]]
    assert lines[1].casefold() == f"What next? {found.words}.".casefold()
    told = " ".join(" ".join(lines).split())
    assert f"- 3+3, the primary design: {found.proposal.reason}. - The next patient may start {found.start.words}." in told
    leads = [line.partition("?")[0] for line in lines if not line.startswith(" ")]
    assert leads[1:4] == ["What next", "How safe", "How sure"]
    # At 0.8647, P(at most 1 of 3) is 0.05.
    assert ["1", "1", "6", "2", "3", "1", "1", "86%"] in [line.split() for line in lines]
    assert max(map(len, lines)) <= 118
    other = run(folder, "next", "--as-of", "2024-02-20", "--replay", "--design", "boin").stdout.splitlines()
    at = next(place for place, line in enumerate(other) if line.startswith("What next"))
    assert other[at + 1].startswith("  - boin, the primary design: ")
    # What the other design would do in each case is a detail.
    assert "Target DLT rate 0.25." not in result.stdout
    details = run(folder, "next", "--as-of", "2024-02-20", "--replay", "--details").stdout
    answer = result.stdout.partition("More with --details")[0]
    assert details.startswith(answer)
    for words in ("Target DLT rate 0.25.", "Reason for each status", "2NNT 2NTT", "designs.boin "):
        assert words in details
    (after,) = [line.split() for line in details.splitlines() if re.match(r"3\+3 +level 2; or", line)]
    assert " ".join(after) == "3+3 level 2; or stop, no MTD stop, no MTD"
    # Seven rows of patients and one of an event; A7's is of a day to come.
    assert "8 rows read: 7 used (6 patients), 1 not used (no infusion by 2024-02-20); data cutoff 2024-02-20" in details


def test_designs_that_answer_alike_share_a_row():
    """After 1NNN 2NNT, the 3+3 and boin with its stay at 1 of 3 stay, each for its own reason; boin and boin-6 go down alike."""
    found = then(*in_a_row("1NNN 2NNT"), protocol(AS, "boin", "boin-6", "boin-6-stay"))
    (_, steps) = Conduct.of(found).next_steps()
    assert [(as_string(names), *map(as_string, said)) for names, said in steps.items] == [
        ("3+3 (primary), boin-6-stay", "stay at level 2, 3 patients"),
        ("boin-6, boin", "de-escalate to level 1, 3 patients"),
    ]
    rows = [tuple(map(as_string, row)) for row in Conduct.of(found).designs().rows]
    assert sorted(name for name, *_ in rows) == ["3+3 (primary)", "boin-6, boin", "boin-6-stay"]
    assert rows[0][::3] == ("3+3 (primary)", found.proposal.reason)
    (report,) = [line for line in Conduct.of(found, document=True).next().because if as_string(line).startswith("2 of 4 designs")]
    assert "boin-6, boin: de-escalate to level 1, 3 patients" in as_string(report)


def test_deviations_that_are_shown_are_those_that_are_counted():
    """From the protocol and from the design that binds; those from others are details."""
    found = then(*in_a_row("1NNN 2NNT 2NNN"), protocol(AS, "boin"))
    assert list(found.deviations) == ["boin"]
    assert "No deviation from the protocol or from 3+3 was found." in as_lines(page(found))
    none, beside = Conduct.of(found).deviations()
    assert "No deviation" in as_string(none.text)
    assert [[as_string(cell) for cell in row] for row in beside.rows] == [
        ["rules of boin", str(one)] for one in found.deviations["boin"]
    ]
    boin = then(*in_a_row("1NNN 2NNT 2NNN"), protocol(AS, "boin"), design="boin")
    left = len(boin.findings) + len(boin.deviations["boin"])
    assert f"Deviations from the protocol and from boin: {left} " in as_lines(page(boin))


def test_all_notes_are_among_the_details():
    found = then(single_dose(), 33)
    assert found.attrs["notes"] == list(found.notes)
    many = replace(found, notes=tuple(f"note {number} of 20" for number in range(1, 21)))
    assert " of 20" not in as_lines(page(many))
    assert as_lines(page(many), details=True).count(" of 20.") == 20


def test_no_code_of_a_reason_is_printed_where_words_are_meant(folder):
    """Names of reasons that are more than a word, in what is printed and in the files."""
    built = dsf.config.build_designs(dsf.load_protocol(ROOT / "configs" / f"{AS}.toml"))
    codes = {name for design in built.values() for name in design.reasons if "_" in name}
    assert {"mtd_below", "dose_full", "too_toxic"} <= codes
    for cut in ("2024-01-01", "2024-01-10", "2024-02-20", "2024-03-23"):
        result = run(folder, "next", "--as-of", cut, "--replay", "--details", "--out", str(folder / f"out-{cut}"))
        texts = [result.stdout, *(path.read_text() for path in (folder / f"out-{cut}").iterdir())]
        assert not [code for code in codes for text in texts if code in text]
    deviating = run(folder, "next", "--details", data=_with_a_cohort_too_many(folder)).stdout
    assert "the design would have stopped after cohort 1: the lowest dose has too many DLTs" in " ".join(deviating.split())


def _with_a_cohort_too_many(folder):
    rows = "".join(
        f"B{n},{1 + (n > 3)},2024-0{1 + (n > 3)}-1{n},{'no' if n > 2 else 'yes'},{'' if n > 2 else '2024-01-20'}\n"
        for n in range(1, 7)
    )
    (folder / "too_many.csv").write_text("subject,level,infusion_1,dlt,dlt_date\n" + rows)
    (folder / "ae.csv").write_text("subject,term,grade,related,start\nB1,x,3,yes,2024-01-20\nB2,x,3,yes,2024-01-20\n")
    return "too_many.csv"


def test_rows_of_later_patients_are_listed_with_their_events(folder):
    text = run(folder, "next", "--as-of", "2024-01-01", "--replay", "--details").stdout
    assert "8 rows read: 1 used (1 patient), 7 not used (no infusion by 2024-01-01)" in text


@pytest.mark.parametrize("details", [(), ("--details",)])
@pytest.mark.parametrize("width", ["80", "118"])
def test_tables_fit_the_terminal(folder, width, details):
    given_ = [
        "next",
        *details,
        str(folder / "trial.toml"),
        "--data",
        str(folder / "patients.csv"),
        "--events",
        str(folder / "ae.csv"),
    ]
    for cut in ("2024-01-03", "2024-02-20", "2024-03-30"):
        result = CliRunner(env={"COLUMNS": width}).invoke(main, [*given_, "--as-of", cut, "--replay"])
        assert result.exit_code == 0
        assert max(map(len, result.stdout.splitlines())) <= int(width)


def test_files_and_json_hold_the_same(folder):
    out = folder / "out"
    result = run(folder, "next", "--as-of", "2024-02-20", "--replay", "--json", "--out", str(out))
    content = json.loads(result.stdout)
    names = ("doses", "serious", "safety", "audit", "designs", "what-if", "completions", "paths", "findings", "recorded")
    names += ("waiting", "waiting-basis", "follow-up", "courses")
    assert sorted(one.name for one in out.iterdir()) == sorted(["next.json", *(f"next-{name}.csv" for name in (*names, "assumed"))])
    assert set(content) == {"attrs", *names}
    assert json.loads((out / "next.json").read_text()) == content
    rules = dsf.load_protocol(folder / "trial.toml")
    patients = dsf.read_patients(folder / "patients.csv", rules, events=folder / "ae.csv")
    found = next_dose(rules, patients, date(2024, 2, 20), replay=True)
    assert content["designs"] == found.designs.to_dict("records")
    assert content["what-if"] == found.what_if.to_dict("records")
    assert content["attrs"]["data_sha256"] == patients.sha256
    for name in ("safety", "audit", "designs", "what-if", "completions", "paths"):
        with (out / f"next-{name}.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == len(found.tables[name]) > 0
        assert {(row["data_sha256"], row["as_of"]) for row in rows} == {(patients.sha256, "2024-02-20")}
    again = run(folder, "next", "--out", str(out))
    assert (again.exit_code, again.stdout) == (2, "")
    assert "--force overwrites" in again.stderr


def test_decisions_keep_their_own_dates_in_files_and_json(folder):
    """The stamp of a result, with another data cutoff date, does not take their place."""
    meeting = ("--meeting", "2024-02-22", "--attendees", "A. Roe", "--conditions", "liver tests")
    run(folder, "record", "--as-of", "2024-02-20", "--replay", "--decision", "wait", "--reason", "so", *meeting)
    shown = json.loads(run(folder, "next", "--as-of", "2024-03-23", "--json", "--out", str(folder / "out")).stdout)["recorded"]
    with (folder / "out" / "next-recorded.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    for found in (row, *shown):
        assert (found["as_of"], found["meeting"], found["protocol_version"]) == ("2024-02-20", "2024-02-22", "2023-08-30")
        assert (found["attendees"], found["conditions"]) == ("A. Roe", "liver tests")


def test_the_command_names_serious_events_that_still_hold(folder):
    """A decision to resume releases pause rules only."""
    table = (folder / "ae.csv").read_text().splitlines()
    (folder / "ae.csv").write_text("\n".join((*table, "A1,Embolism,4,related,2024-03-01" + "," * (table[0].count(",") - 4), "")))
    cut = ("--as-of", "2024-03-23")
    protocol = dsf.load_protocol(folder / "trial.toml")
    data = dsf.read_patients(folder / "patients.csv", protocol, events=folder / "ae.csv")
    (event_,) = next_dose(protocol, data, date(2024, 3, 23)).holds.events
    resume = run(folder, "record", *cut, "--decision", "resume", "--reason", "so")
    assert (resume.exit_code, event_.words in resume.stderr) == (0, True)
    wait = run(folder, "record", *cut, "--decision", "wait", "--reason", "so")
    assert (wait.exit_code, event_.words in wait.stderr) == (0, False)


def test_recording_by_command(folder):
    before = {path: path.read_bytes() for path in folder.iterdir()}
    cut = ("--as-of", "2024-03-23")
    said = run(folder, "record", *cut, "--decision", "level 1", "--reason", "grade 2 events")
    path, lock = folder / "decisions.csv", folder / ".decisions.csv.lock"
    assert (said.exit_code, said.stdout) == (0, "")
    assert said.stderr.endswith("decisions.csv: level 1, against the recommendation (escalate to level 2, 3 patients)\n")
    assert {one: one.read_bytes() for one in folder.iterdir() if one not in (path, lock)} == before
    text = " ".join(run(folder, "next", *cut).stdout.split())
    shown = (
        "level 1, data cutoff 2024-03-23; it differs from the recommendation of 3+3: escalate to level 2, 3 patients. "
        "Reason given: grade 2 events."
    )
    assert f"Latest decision of the committee on file: {shown}" in text
    assert "Latest decision" not in run(folder, "next", "--as-of", "2024-03-22", "--replay").stdout
    assert "Decisions of the committee on file" in run(folder, "next", *cut, "--details").stdout
    early = ("--as-of", "2024-02-20", "--decision", "wait", "--reason", "no")
    too_early = run(folder, "record", *early)
    assert (too_early.exit_code, "request a replay" in too_early.stderr) == (2, True)
    replayed = run(folder, "record", "--replay", *early)
    assert "lies before the last decision on file" in replayed.stderr
    agreed = run(folder, "record", *cut, "--decision", "Level 2", "--reason", "as planned")
    assert agreed.stderr.endswith("level 2, as recommended\n")


@pytest.mark.parametrize(
    ("command", "words", "says"),
    [
        ("next", ("--as-of", "2024-02-20"), "is after the data cutoff date 2024-02-20"),
        ("next", ("--design", "keyboard"), "design = 'keyboard'"),
        ("next", ("--replay",), "replay = True needs as_of"),
        ("next", ("--as-of", "20.2.2024"), "--as-of"),
        ("record", ("--decision", "up", "--reason", "x"), "decision = 'up': must be 'level 2'"),
        ("record", ("--decision", "stop", "--reason", " "), "reason = ' '"),
        ("record", ("--decision", "stop", "--reason", "x", "--as-of", "2024-02-20"), "is after the data cutoff date"),
        ("record", ("--decision", "stop"), "--reason"),
    ],
)
def test_bad_input_ends_in_status_2_and_nothing_written(folder, command, words, says):
    before = {path: path.read_bytes() for path in folder.iterdir()}
    out = ("--out", str(folder / "out")) if command == "next" else ()
    result = run(folder, command, *words, *out)
    assert (result.exit_code, result.stdout) == (2, "")
    assert says in result.stderr
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_damaged_file_of_decisions_stops_both_commands(folder):
    (folder / "decisions.csv").write_text("as_of\n")
    for command, words in (("next", ()), ("record", ("--decision", "stop", "--reason", "x"))):
        result = run(folder, command, *words)
        assert result.exit_code == 2
        assert "decisions.csv: must begin with the columns" in result.stderr
    assert (folder / "decisions.csv").read_text() == "as_of\n"


def test_of_a_patient_nothing_but_the_identifier_is_shown(folder):
    """Names, terms and reasons of the data stand in no output; the committee's reason is its own text."""
    run(folder, "record", "--decision", "level 2", "--reason", "our own words")
    shown = ""
    for cut in ("2024-01-10", "2024-02-20", "2024-03-23"):
        for form in ((), ("--json",)):
            result = run(folder, "next", "--as-of", cut, "--replay", *form)
            shown += result.stdout + result.stderr
    run(folder, "next", "--out", str(folder / "out"))
    shown += "".join(path.read_text() for path in (folder / "out").iterdir()) + (folder / "decisions.csv").read_text()
    assert "A5" in shown
    assert "our own words" in shown
    assert "MARKER" not in shown
    (folder / "ae.csv").write_text(EVENTS.replace("2024-01-10", "2025-13-01"))
    result = run(folder, "next")
    assert result.exit_code == 2
    assert "MARKER" not in result.stderr


# Faults that these tests must notice.

FAULTS = {
    "the first way in which data can come in decides": (
        "dosefind.evaluability.evaluated:Evaluated.completions",
        lambda old: lambda self, *given, **named: iter([next(old(self, *given, **named))]),
        test_completions_by_hand,
    ),
    "no cohort is ever completed": (
        "dosefind.tasks.proposals:still_needed",
        lambda _: lambda asked, evaluated: 0,
        test_boin_and_crm_at_some_dates,
    ),
    "the committee agrees whatever it decides": (
        "dosefind.tasks.next_dose:NextDose.record",
        lambda old: lambda self, *given, **named: old(self, *given, **named)._replace(override="no"),
        test_what_agrees_with_the_recommendation,
    ),
}

test_fault_is_caught = faults(FAULTS)
