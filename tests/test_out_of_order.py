"""What comes next in trials that do not go by the book, each answer worked out by hand; faults at the end.

Three levels, a DLT window of 28 days, cohorts of three. A patient first treated on day 1 is followed to day 29. A DLT begins on the
sixth day. BOIN at a target of 0.25 escalates at a rate of at most 0.197 and de-escalates above 0.298 (0 of 3 up, 1 of 3 down,
1 of 4 stay, 1 of 5 stay, 2 of 6 down); it eliminates a dose at 3 of 3 and at 4 of 7 DLTs, not at 2 of 3 or 3 of 6.
"""

from datetime import date
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import dosefind as dsf
from dosefind.adjudications import Adjudicated
from dosefind.decisions import record_decision
from dosefind.designs.base import Design
from dosefind.tasks.next_dose import next_dose
from dosefind.tasks.standing import cautions, readings

from .made_up import day, event, patient, trial
from .patient_files import write_csv
from .peers import ROOT
from .planted import faults

DESIGNS = {
    "3+3": {"kind": "3+3"},
    "3+3-expand": {"kind": "3+3", "expand_after_two": True},
    "boin": {"kind": "boin"},
    "crm": {"kind": "crm", "skeleton": [0.12, 0.25, 0.40]},
}
CLIMB = (("1NNN", 1), ("2NNN", 40), ("3NNN", 80))


@cache
def protocol(design, no_overlap=True, parts=()):
    table = dsf.load_protocol(ROOT / "configs" / "nct05962762.toml").model_dump(exclude_unset=True)
    table["designs"], table["curves"], table["assumed"] = {design: DESIGNS[design]}, {}, {}
    table.pop("borrowing", None)
    table["limits"] = {"cohort_size": 3, "max_n": 60}
    table["treatment"] = {"infusion_days": [1], "dlt_window_days": 28, "no_overlap": no_overlap}
    table["parts"] = [dict(one) for one in parts]
    return dsf.Protocol.read(table)


def group(number, text, start, part=None, **fields):
    """Patients one day apart, such as "2NNT": level 2, the third with a DLT on the sixth day; a level of 0 for no dose level.

    D has a DLT on the 21st day, and L leaves on the fourth.
    """
    found = []
    for place, outcome in enumerate(text[1:]):
        subject, first = f"G{number}-{place + 1}", start + place
        events = (event(first + {"T": 5, "D": 20}[outcome], row=10 * number + place),) if outcome in "TD" else ()
        left = {"discontinued": first + 3, "reason": "withdrew"} if outcome == "L" else {}
        found.append(patient(subject, int(text[0]) or None, first, events=events, part=part, **fields, **left))
    return found


def after(groups, cut, design, no_overlap=True, parts=()):
    """What comes next on a day after groups of patients, each as text, day of the first patient and, if any, part."""
    people = [one for number, given in enumerate(groups, start=1) for one in group(number, *given)]
    return next_dose(protocol(design, no_overlap, parts), trial(*people, last=cut + 100), day(cut), replay=True)


def number_of(one):
    return None if one is None else (one - day(1)).days + 1


def answer(proposal):
    """Action and level; MTD of a stop; the day until which it waits."""
    if proposal.action == "stop":
        return "stop", proposal.mtd
    if proposal.action in ("wait", "hold"):
        return proposal.action, number_of(proposal.until)
    return proposal.action, proposal.level, proposal.size


# A patient put early on a higher level. Patients at level 1 start on days 1 to 3 and are followed to days 29 to 31.

BELOW = ("1NNN", 1)
EARLY = {
    # Level 2 may be treated after 0 of 3 at level 1 only: the last of the three outcomes comes on day 31.
    "3+3, pending": ("3+3", (BELOW, ("2N", 14)), 15, ("wait", 31), None),
    "3+3, with a DLT": ("3+3", (BELOW, ("2T", 8)), 15, ("wait", 31), None),
    "BOIN, pending": ("boin", (BELOW, ("2N", 14)), 15, ("wait", 31), None),
    "BOIN, with a DLT": ("boin", (BELOW, ("2T", 8)), 15, ("wait", 31), None),
    "CRM, pending": ("crm", (BELOW, ("2N", 14)), 15, ("wait", 31), None),
    "CRM, with a DLT": ("crm", (BELOW, ("2T", 8)), 15, ("wait", 31), None),
    # The early patient is clean and followed to the end, the lower ones (days 10 to 12, followed to day 40) are not.
    "3+3, clean": ("3+3", (("2N", 1), ("1NNN", 10)), 30, ("wait", 40), None),
    "BOIN, clean": ("boin", (("2N", 1), ("1NNN", 10)), 30, ("wait", 40), None),
    # 0 of 3 at level 1 is known: level 2 is the design's own, two are missing there, and nobody waits for its pending patient.
    "3+3, pending, the lower ones clean": ("3+3", (BELOW, ("2N", 14)), 33, ("fill", 2, 2), 33),
    "BOIN, pending, the lower ones clean": ("boin", (BELOW, ("2N", 14)), 33, ("fill", 2, 2), 33),
    # 1 of 1 at level 2: two more make it 1, 2 or 3 of 3, and each of these de-escalates. In the 3+3, 1 of 3 stays.
    "BOIN, with a DLT, the lower ones clean": ("boin", (BELOW, ("2T", 14)), 40, ("de-escalate", 1, 3), 40),
    "3+3, with a DLT, the lower ones clean": ("3+3", (BELOW, ("2T", 14)), 40, ("fill", 2, 2), 40),
    # 1 of 3 at level 1: three more there, whatever comes of the early patient, who is followed to day 62.
    "3+3, pending, one DLT below": ("3+3", (("1NNT", 1), ("2N", 34)), 40, ("stay", 1, 3), 62),
    "BOIN, pending, one DLT below": ("boin", (("1NNT", 1), ("2N", 34)), 40, ("stay", 1, 3), 62),
    # 2 of 3 at level 1: no dose is tolerated, which no outcome above can change.
    "3+3, pending, two DLTs below": ("3+3", (("1NTT", 1), ("2N", 34)), 40, ("stop", "none"), None),
    # Level 3 with level 2 left out: as part of the escalation it would go on at level 3, outside it at level 2.
    "3+3, two levels up with a DLT": ("3+3", (BELOW, ("3T", 14)), 40, ("escalate", 2, 3), 40),
    "BOIN, two levels up, clean": ("boin", (BELOW, ("3N", 5)), 40, ("escalate", 2, 3), 40),
}


@pytest.mark.parametrize("no_overlap", [True, False])
@pytest.mark.parametrize("name", EARLY)
def test_early_patient_at_a_higher_level(name, no_overlap):
    design, groups, cut, expected, start = EARLY[name]
    found = after(groups, cut, design, no_overlap)
    assert answer(found.proposal) == expected
    # Without sequential dose groups nobody waits for another level.
    assert (found.start and number_of(found.start.day)) == (start if no_overlap or start is None else cut)


# A fourth patient, or more.

EXTRA = {
    # 0 to 3 DLTs of the first three: level 2, level 1 again, or none; the fourth changes none of it before day 31.
    "3+3, four pending": ("3+3", (("1NNN", 1), ("1N", 14)), 15, ("wait", 31)),
    "BOIN, four pending": ("boin", (("1NNN", 1), ("1N", 14)), 15, ("wait", 31)),
    # 0 of 3 known and the fourth pending to day 42: 0 of 4 goes up, 1 of 4 stays.
    "3+3, the fourth pending": ("3+3", (("1NNN", 1), ("1N", 14)), 35, ("wait", 42)),
    "BOIN, the fourth pending": ("boin", (("1NNN", 1), ("1N", 14)), 35, ("wait", 42)),
    "3+3, 0 of 4": ("3+3", (("1NNN", 1), ("1N", 14)), 45, ("escalate", 2, 3)),
    "BOIN, 0 of 4": ("boin", (("1NNN", 1), ("1N", 14)), 45, ("escalate", 2, 3)),
    # 1 of 4: two more make six at the level.
    "3+3, the fourth has a DLT": ("3+3", (("1NNN", 1), ("1T", 40)), 70, ("stay", 1, 2)),
    "BOIN, the fourth has a DLT": ("boin", (("1NNN", 1), ("1T", 40)), 70, ("stay", 1, 3)),
    # After 1 of 3 the fourth is the first of the next three.
    "3+3, the fourth after 1 of 3": ("3+3", (("1NNT", 1), ("1N", 40)), 70, ("fill", 1, 2)),
    # 1 of 6, and a seventh with a DLT: 2 of 7 is too many.
    "3+3, the seventh has a DLT": ("3+3", (("1NNT", 1), ("1NNN", 40), ("1T", 80)), 120, ("stop", "none")),
    "3+3, the seventh is clean": ("3+3", (("1NNT", 1), ("1NNN", 40), ("1N", 80)), 120, ("escalate", 2, 3)),
    # 2 of 3 at level 2 ended the escalation; a fourth there changes nothing, clean or pending.
    "3+3, after the stop": ("3+3", (("1NNN", 1), ("2TTN", 40), ("2N", 80)), 120, ("stop", "1")),
    "3+3, pending after the stop": ("3+3", (("1NNN", 1), ("2TTN", 40), ("2N", 80)), 90, ("stop", "1")),
}


def test_full_cohort_is_waited_for():
    # 2 of 3 and 0 of 2 with one pending to day 70: 2 of 6 or 3 of 6, and BOIN treats three more at the lowest level in either case.
    # They are another cohort, so they wait for the last outcome of this one, whether or not dose groups may overlap.
    for no_overlap in (True, False):
        found = after((("1TTN", 1), ("1NNN", 40)), 69, "boin", no_overlap)
        assert answer(found.proposal) == ("stay", 1, 3)
        assert number_of(found.start.day) == 70


def test_patients_of_a_new_cohort_join_no_other():
    # 0 of 3, then two patients whom nobody planned, one pending to day 69: 1 of 5 or 2 of 5, and BOIN treats three more at level 1.
    # They are a cohort of their own, although the two are fewer than three.
    found = after((BELOW, ("1TN", 40)), 60, "boin")
    assert answer(found.proposal) == ("stay", 1, 3)
    assert number_of(found.start.day) == 69


@pytest.mark.parametrize("name", EXTRA)
def test_patient_beyond_the_cohort(name):
    design, groups, cut, expected = EXTRA[name]
    assert answer(after(groups, cut, design).proposal) == expected


# Cohorts that the design would not have started: groups, day of the data cutoff, and the most cautious answer, by hand. All are
# complete by then. Read as part of the escalation, each leads further up.
UNPLANNED = {
    # Level 3 begins on day 40, before the DLTs of level 2 on days 51 and 52: BOIN would have waited, and 2 of 3 lead down.
    "BOIN, begun before the DLTs below": ("boin", (BELOW, ("2DDN", 31), ("3NNN", 40)), 110, ("de-escalate", 1, 3)),
    # By the CRM after 1NNN 2TTN.
    "CRM, begun before the DLTs below": ("crm", (BELOW, ("2DDN", 31), ("3NNN", 40)), 110, ("stay", 2, 3)),
    "3+3, begun before the DLTs below": ("3+3", (BELOW, ("2DDN", 31), ("3NNN", 40)), 110, ("stop", "1")),
    "level 2 before 2 of 3 at level 1": ("boin", (("1DDN", 1), ("2NNN", 5)), 80, ("stay", 1, 3)),
    "level 2 before 1 of 1 at level 1": ("boin", (("1D", 1), ("2NNN", 5)), 80, ("fill", 1, 2)),
    # Nobody is evaluable at level 2: the escalation has not been there.
    "3+3, a level of a dropout": ("3+3", (BELOW, ("2L", 31), ("3NNN", 60)), 110, ("fill", 2, 3)),
    "BOIN, a level of a dropout": ("boin", (BELOW, ("2L", 31), ("3NNN", 60)), 110, ("fill", 2, 3)),
    "BOIN, a level of a dropout above 2 of 3": ("boin", (("1TTN", 1), ("2L", 31), ("3NNN", 60)), 110, ("stay", 1, 3)),
    # One evaluable patient at a level is no cohort, however many come above.
    "3+3, single patients below": ("3+3", (("1N", 1), ("2N", 31), ("3NNN", 61)), 110, ("fill", 1, 2)),
    "3+3, one patient below": ("3+3", (("1N", 1), ("2NNN", 35)), 80, ("fill", 1, 2)),
    "BOIN, one patient below": ("boin", (("1N", 1), ("2NNN", 35)), 80, ("fill", 1, 2)),
    "BOIN, dropouts below": ("boin", (("1NLN", 1), ("2NLL", 31), ("3T", 65)), 110, ("fill", 1, 1)),
    "begun above the first dose, and come down": ("3+3", (("3TNN", 1), ("1N", 40)), 80, ("fill", 1, 2)),
}


def test_a_trial_begins_where_its_first_cohort_was_treated():
    found = after((("2NNN", 1),), 60, "3+3")
    assert answer(found.proposal) == ("escalate", 3, 3)
    assert found.proposal.other_reading is None
    assert found.deviations["3+3"]


@pytest.mark.parametrize("name", UNPLANNED)
def test_unplanned_cohort_leads_no_further_than_without_it(name):
    design, groups, cut, expected = UNPLANNED[name]
    found = after(groups, cut, design).proposal
    assert answer(found) == expected
    if found.action != "stop":
        assert found.other_reading.level is None or found.other_reading.level >= found.level


# Somebody who is not evaluable changes nothing. Groups, the dropout, the data cutoff and the answer with and without.
DROPOUTS = {
    "two levels up": ("boin", (("1N", 1),), ("3L", 35), 50, ("fill", 1, 2)),
    "on the level above": ("boin", (("1NN", 1),), ("2L", 35), 50, ("fill", 1, 1)),
    "above a cohort that is short": ("crm", (BELOW, ("2N", 31)), ("3L", 65), 80, ("fill", 2, 2)),
    "above two that are short": ("3+3", (("1NN", 1), ("2N", 31)), ("3L", 65), 80, ("fill", 1, 1)),
    "on the level below": ("boin", (BELOW, ("2TTN", 31)), ("1L", 65), 80, ("de-escalate", 1, 3)),
}


@pytest.mark.parametrize("name", DROPOUTS)
def test_dropout_ends_no_cohort(name):
    design, groups, dropout, cut, expected = DROPOUTS[name]
    with_, without = (after(some, cut, design).proposal for some in ((*groups, dropout), groups))
    assert answer(without) == expected
    # To complete a cohort of which nobody is left, and to go there with as many patients, are the same.
    assert (with_.level, with_.size) == (without.level, without.size)


# A cohort is completed after levels above it were begun: groups, the patients who complete it, and the answer once these are clean,
# which is that of a trial by the book.
COMPLETED = {
    "one patient": ((("1NNL", 1), ("2NNN", 40)), ("1N", 80), ("escalate", 3, 3)),
    "nobody was evaluable": ((("1LLL", 1), ("2NNN", 40)), ("1NNN", 80), ("escalate", 3, 3)),
    "one DLT above": ((("1NLN", 1), ("2TNN", 40)), ("1N", 80), {"boin": ("de-escalate", 1, 3), None: ("stay", 2, 3)}),
    "two levels above": ((("1NLL", 1), ("2NNN", 40), ("3NNN", 80)), ("1NN", 120), {"3+3": ("stop", "3"), None: ("stay", 3, 3)}),
    "in the middle": ((BELOW, ("2NLN", 40), ("3NNN", 80)), ("2N", 120), {"3+3": ("stop", "3"), None: ("stay", 3, 3)}),
    "a day after the level above began": ((("1NNL", 1), ("2NNN", 40)), ("1N", 41), ("escalate", 3, 3)),
}


@pytest.mark.parametrize("design", ["3+3", "boin", "crm"])
@pytest.mark.parametrize("name", COMPLETED)
def test_cohort_completed_late_makes_the_levels_above_it_planned(name, design):
    groups, further, expected = COMPLETED[name]
    expected = expected.get(design, expected.get(None)) if isinstance(expected, dict) else expected
    size = len(further[0]) - 1
    if further[1] > 60:
        before = after(groups, further[1] - 1, design)
        assert answer(before.proposal) == ("fill", int(further[0][0]), size)
        # What is said of no further DLT is what is answered then.
        step = before.what_if.set_index("design").loc[design, "0 DLTs"]
        assert step == ("stop, MTD level 3, not reached" if expected[0] == "stop" else f"level {expected[1]}")
    found = after((*groups, further), further[1] + 40, design)
    assert answer(found.proposal) == expected
    assert found.proposal.other_reading is None
    # While it is pending, nobody knows; with a DLT it leads to no other level.
    waits = after((*groups, further), further[1] + 5, design).proposal
    assert waits.action == "wait"
    # What is stated now is what will be answered then, in the reason as in the table.
    (stated,) = (step for way, step in waits.completions if not any(way.dlts))
    assert answer(stated) == expected
    assert waits.reason == waits.awaited.reason([step for _, step in waits.completions])
    assert (waits.awaited.rule, waits.awaited.missing_data) == ("", ())
    toxic = after((*groups, (further[0][:-1] + "T", further[1])), further[1] + 40, design).proposal
    assert toxic.level <= int(further[0][0])


@pytest.mark.parametrize(("start", "outcome"), [(76, "N"), (70, "T"), (40, "N")])
def test_pending_patient_or_dlt_does_not_make_a_cohort_planned(start, outcome):
    """Level 2 was begun early, and again when level 1 had five of six patients. The sixth is in time only if known to be clean."""
    groups = (BELOW, ("2N", 8), ("1N", 8), ("1N", 8), ("2NN", 15))
    more = (*groups, ("1" + outcome, start))
    assert answer(after(groups, 76, "3+3").proposal) == ("escalate", 2, 2)
    assert answer(after(more, 76, "3+3").proposal)[:2] == ("escalate", 3 if start == 40 else 2)


@pytest.mark.parametrize(
    ("cohorts", "expected"), [((("1N", 1), ("1N", 8)), ("fill", 1, 1)), ((("1N", 1), ("2N", 35), ("2N", 36)), ("fill", 1, 2))]
)
@pytest.mark.parametrize("design", ["boin", "crm"])
def test_cohort_numbers_of_the_data_end_no_cohort(design, cohorts, expected):
    people = [one for number, given in enumerate(cohorts, start=1) for one in group(number, *given, cohort=number)]
    assert answer(next_dose(protocol(design), trial(*people, last=200), day(80), replay=True).proposal) == expected


def decided(groups, cut, design, *decisions, **fields):
    """What comes next after decisions of the committee, each with its day, which knew of the DLTs until then."""
    people = [one for number, given in enumerate(groups, start=1) for one in group(number, *given, **fields)]
    rules, data = protocol(design), trial(*people, last=cut + 100)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "decisions.csv"
        for when, decision in decisions:
            known = next_dose(rules, data, day(when), replay=True, decisions=path if path.exists() else None)
            record_decision(path, known.record(decision, "as discussed"))
        return next_dose(rules, data, day(cut), replay=True, decisions=path)


def test_decision_that_did_not_know_of_a_dlt_explains_no_cohort():
    """Level 3 is decided on day 55; the DLT at level 2 follows on day 60, and level 3 begins on day 65."""
    groups = (BELOW, ("2NN", 31), ("2D", 40), ("3NNN", 65))
    assert answer(decided(groups, 120, "boin", (55, "level 3")).proposal) == answer(after(groups, 120, "boin").proposal)
    assert answer(decided(groups, 120, "boin", (62, "level 3")).proposal) == ("stay", 3, 3)


def test_decision_to_wait_takes_back_the_one_before():
    groups = (BELOW, ("3NNN", 35))
    assert answer(decided(groups, 90, "3+3", (31, "level 3")).proposal) == ("stop", "3")
    assert answer(decided(groups, 90, "3+3", (31, "level 3"), (33, "wait")).proposal) == ("escalate", 2, 3)


@pytest.mark.parametrize(("expansion", "cautioned"), [("2TTTTTT", True), ("2NNNNNN", False)])
def test_mtd_of_the_committee_that_the_data_contradict(expansion, cautioned):
    """Level 2 had 0 of 3 in the escalation; 6 of 9 with the expansion eliminate it in BOIN."""
    groups = (BELOW, ("2NNN", 31), ("3TTN", 61), (expansion, 115, "expansion"))
    found = decided(groups, 170, "boin", (110, "MTD 2"))
    assert found.proposal.decided[0] == "MTD 2"
    assert found.proposal.decided[1].action == "de-escalate"
    assert answer(found.proposal) == ("stop", "2")
    said = {one.kind: one.level for one in cautions(found)}
    assert ("decision" in said, said.get("closed")) == (cautioned, 2 if cautioned else None)
    # Patients in an expansion at the MTD are treated as decided.
    assert "not as decided" not in found.followed[0]


# Levels that the trial does not come back to, whatever comes: groups, day of the data cutoff, lowest of these levels by hand.
CLOSED = {
    # 1 of 3 and two pending at level 1, one early at level 2: 1 of 6 at level 1 would lead there again.
    "3+3, a lower group under way": ("3+3", (("1NTN", 1), ("1NN", 30), ("2N", 32)), 50, None),
    "BOIN, a lower group under way": ("boin", (("1NTN", 1), ("1NN", 30), ("2N", 32)), 50, None),
    # With 2 of 2 at level 2, or 2 of 3 at level 1, it would not.
    "3+3, a lower group under way, two DLTs above": ("3+3", (("1NTN", 1), ("1NN", 30), ("2TT", 32)), 50, 2),
    "3+3, two DLTs above, pending below": ("3+3", (("1NNN", 1), ("2TT", 5)), 20, 2),
    # BOIN eliminates level 2 at 3 of 3; 2 of 3 can become 2 of 6 or less.
    "BOIN, two DLTs above, pending below": ("boin", (("1NNN", 1), ("2TTN", 5)), 20, None),
    "BOIN, three DLTs above, pending below": ("boin", (("1NNN", 1), ("2TTT", 5)), 20, 2),
}


@pytest.mark.parametrize("name", CLOSED)
def test_levels_named_as_closed_do_not_open_again(name):
    design, groups, cut, expected = CLOSED[name]
    found = after(groups, cut, design)
    assert found.proposal.action == "wait"
    assert [one.level for one in cautions(found) if one.kind == "closed"] == ([expected] if expected else [])


# What a further DLT can do all the same: limits of the property in tests/test_safety_properties.py. Groups without and with it, day
# of the data cutoff, and the answers.
LIMITS = {
    "treats at the MTD": ("3+3", (("1NNN", 1), ("2NTT", 40)), ("1T", 1), 110, ("stop", "1"), ("fill", 1, 2)),
    "ends a wait": ("boin", (("1NNN", 1), ("1N", 20)), ("1T", 25), 40, ("wait", 48), ("stay", 1, 3)),
}


@pytest.mark.parametrize("name", LIMITS)
def test_what_a_further_dlt_can_do(name):
    design, groups, more, cut, before, then = LIMITS[name]
    assert answer(after(groups, cut, design, no_overlap=False).proposal) == before
    assert answer(after((*groups, more), cut, design, no_overlap=False).proposal) == then


# Backfill under BOIN, by the rule for conflicts of Zhao et al. (2024), doi:10.1158/1078-0432.CCR-23-2585. A backfilled dose whose
# own data say "stay" conflicts with escalating, one that says "de-escalate" with any move; data are pooled from the highest one up.

TWO = CLIMB[:2]
BACKFILL = {
    # Level 1: 0 of 4, up. No conflict.
    "clean": ((*TWO, ("1N", 90, "backfill")), ("escalate", 3, 3)),
    "many, clean": ((*TWO, ("1NNNNNN", 90, "backfill")), ("escalate", 3, 3)),
    # Level 1: 1 of 5 = 0.200, stay, in conflict with escalating. Levels 1 and 2: 1 of 8 = 0.125, up.
    "stay, pooled up": ((*TWO, ("1TN", 90, "backfill")), ("escalate", 3, 3)),
    # Level 1: 2 of 6 = 0.333, down. Levels 1 and 2: 2 of 9 = 0.222, stay.
    "down, pooled stay": ((*TWO, ("1TTN", 90, "backfill")), ("stay", 2, 3)),
    # Level 1: 3 of 8 = 0.375. Levels 1 and 2: 3 of 11 = 0.273, stay.
    "three of five, pooled stay": ((*TWO, ("1TTTNN", 90, "backfill")), ("stay", 2, 3)),
    # Level 1: 3 of 7 = 0.429, not eliminated. Levels 1 and 2: 3 of 10 = 0.300, down; nothing is left below.
    "down, pooled down": ((*TWO, ("1TTTN", 90, "backfill")), ("de-escalate", 1, 3)),
    # Level 1: 4 of 7: P(p > 0.25) = 0.973 eliminates it, and all above.
    "eliminated": ((*TWO, ("1TTTT", 90, "backfill")), ("stop", "none")),
    # Level 2 is the highest in conflict (2 of 6, down). Levels 2 and 3: 2 of 9, stay; level 1 is clean.
    "two doses, one in conflict": ((*CLIMB, ("1NNN", 110, "backfill"), ("2TTN", 110, "backfill")), ("stay", 3, 3)),
    # Level 3: 1 of 3, down by itself to level 2. Level 2: 2 of 6, down. Levels 2 and 3: 3 of 9, down below level 2.
    "down from both": ((*TWO, ("3NNT", 80), ("2TTN", 110, "backfill")), ("de-escalate", 1, 3)),
    "down from the current dose alone": ((*TWO, ("3NNT", 80), ("2NNN", 110, "backfill")), ("de-escalate", 2, 3)),
    # Levels 1 (2 of 6) and 2 (3 of 9) are both in conflict; from the higher one up: 3 of 12 = 0.250, stay.
    "two doses in conflict": ((*CLIMB, ("1TTN", 110, "backfill"), ("2TTTNNN", 110, "backfill")), ("stay", 3, 3)),
    # At the current dose there is no conflict, but its counts grow: 1 of 6 = 0.167, up.
    "at the current dose": ((*TWO, ("2TNN", 90, "backfill")), ("escalate", 3, 3)),
}


@pytest.mark.parametrize("name", BACKFILL)
def test_backfill_under_boin(name):
    groups, expected = BACKFILL[name]
    assert answer(after(groups, 180, "boin", no_overlap=False).proposal) == expected


def test_outcome_that_makes_no_difference_is_not_waited_for():
    """Backfill at level 1 is pending to day 88, level 2 to day 70; one DLT in the backfill changes nothing in the 3+3."""
    groups = (*TWO, ("1N", 60, "backfill"))
    found = after(groups, 65, "3+3", no_overlap=False).proposal
    assert answer(found) == ("wait", 70)
    assert "G3-1" not in found.reason
    assert answer(after(groups, 70, "3+3", no_overlap=False).proposal) == ("escalate", 3, 3)
    # Two DLTs in five would close level 1.
    groups = (*TWO, ("1NN", 60, "backfill"))
    assert answer(after(groups, 65, "3+3", no_overlap=False).proposal) == ("wait", 89)


def test_pending_backfill_delays_escalation_alone():
    # Level 1: 0 of 3 and three pending to days 118 to 120. 3 of 6: levels 1 and 2 pooled 3 of 9, down; 0 of 6: up.
    groups = (*TWO, ("1NNN", 90, "backfill"))
    assert answer(after(groups, 100, "boin", no_overlap=False).proposal) == ("wait", 120)
    # At level 1 with 3 of 3, all is over whatever comes of anybody.
    groups = (("1TTT", 1), ("1N", 40, "backfill"))
    assert answer(after(groups, 45, "boin", no_overlap=False).proposal) == ("stop", "none")


# Expansion beside the 3+3: a dose closes, with all above, at two or more DLTs that are at least one in three of all there.

STOPPED = (("1NNN", 1), ("2NNN", 40), ("3TTN", 80))
EXPANSION = {
    "2 in 12: pooled 2 of 15": ((*STOPPED, ("2TTNNNNNNNNNN", 120, "expansion")), ("stop", "2")),
    "2 in 4: pooled 2 of 7": ((*STOPPED, ("2TTNN", 120, "expansion")), ("stop", "2")),
    "2 in 3: pooled 2 of 6": ((*STOPPED, ("2TTN", 120, "expansion")), ("stop", "1")),
    "4 in 9: pooled 4 of 12": ((*STOPPED, ("2TTTTNNNNN", 120, "expansion")), ("stop", "1")),
    "4 in 10: pooled 4 of 13": ((*STOPPED, ("2TTTTNNNNNN", 120, "expansion")), ("stop", "2")),
    # Escalation at level 2, expansion at level 1.
    "2 of 5 at level 1 closes every dose": ((*TWO, ("1TT", 90, "expansion")), ("stop", "none")),
    "one DLT closes nothing": ((*TWO, ("1T", 90, "expansion")), ("escalate", 3, 3)),
    # 2 of 6 in the escalation is too many, and ten clean patients beside it do not dilute that.
    "never diluted": ((("1NNN", 1), ("2NNT", 40), ("2NNT", 80), ("2NNNNNNNNNN", 120, "expansion")), ("stop", "1")),
    # 1 of 3 asks for three more, whom clean patients beside do not stand in for.
    "never in the place of the second three": ((("1NNN", 1), ("2NNT", 40), ("2NNNNN", 80, "expansion")), ("stay", 2, 3)),
}


@pytest.mark.parametrize("name", EXPANSION)
def test_expansion_beside_the_3_plus_3(name):
    groups, expected = EXPANSION[name]
    assert answer(after(groups, 200, "3+3", no_overlap=False).proposal) == expected


def test_clean_backfill_closes_no_group_of_six():
    # Six are treated in any case: 2 of 3 asks for three more at level 1, whom three clean backfill patients do not stand in for.
    groups = (("1NTT", 1), ("1NNN", 40, "backfill"))
    assert answer(after(groups, 80, "3+3-expand", no_overlap=False).proposal) == ("stay", 1, 3)


def test_pending_expansion_that_can_close_the_mtd():
    # 1 of 5 known at level 2 and one pending to day 150: 1 of 6 leaves the MTD at level 2, 2 of 6 puts it at level 1.
    groups = (*STOPPED, ("2TNN", 120, "expansion"))
    assert answer(after(groups, 149, "3+3", no_overlap=False).proposal) == ("wait", 150)
    assert answer(after(groups, 150, "3+3", no_overlap=False).proposal) == ("stop", "2")


# Patients whom nobody planned and no column marks: the more cautious reading is taken, the other one is shown.

STRAY = {
    # In the escalation: 0 of 4 at level 1, up to level 2. Outside it: 0 of 3 at level 2, up to level 3.
    "BOIN, below, clean": ("boin", (*TWO, ("1N", 80)), 120, ("escalate", 2, 3), ("escalate", 3, 3), 120),
    # In it: 1 of 4, stay. Outside: 1 of 4 at level 1 conflicts, levels 1 and 2 pooled 1 of 7 = 0.143, up.
    "BOIN, below, with a DLT": ("boin", (*TWO, ("1T", 80)), 120, ("stay", 1, 3), ("escalate", 3, 3), 120),
    # In it: 0 of 4 or 1 of 4, so level 2 or level 1. Outside: level 3 in either case.
    "BOIN, below, pending": ("boin", (*TWO, ("1N", 80)), 90, ("wait", 108), ("escalate", 3, 3), None),
    # In it: 0 of 1 at level 3, which leads no higher than 0 of 3 at level 1 does. Outside: 0 of 3 at level 1, up to level 2.
    "BOIN, above, clean": ("boin", (BELOW, ("3N", 40)), 80, ("escalate", 2, 3), ("escalate", 2, 3), 80),
    "3+3, above, clean": ("3+3", (BELOW, ("3N", 40)), 80, ("escalate", 2, 3), ("escalate", 2, 3), 80),
    # Sequential dose groups: level 2 waits for the patient at level 3, who is followed to day 68.
    "3+3, above, pending": ("3+3", (BELOW, ("3N", 40)), 50, ("escalate", 2, 3), ("escalate", 2, 3), 68),
    "3+3, above, with a DLT": ("3+3", (BELOW, ("3T", 40)), 80, ("escalate", 2, 3), ("escalate", 2, 3), 80),
    # In it: 2 of 5 at level 1. Outside: the pooled rate, 2 of 5, closes level 1 too.
    "3+3, below, two DLTs": ("3+3", (*TWO, ("1TT", 80)), 120, ("stop", "none"), ("stop", "none"), None),
    # With the fourth patient level 1 has 1 of 4 and needs two more; without, the three at level 2 are the trial's.
    "3+3, extra with a DLT, then level 2": (
        *("3+3", (BELOW, ("1T", 40), ("2NNN", 80)), 120),
        *(("stay", 1, 2), ("de-escalate", 1, 2), 120),
    ),
    # 1 of 2 at level 3 leads down to level 2. Level 2 was begun after 2 of 6 at level 1, which the design does not: outside the
    # escalation both, level 1 goes on.
    "BOIN, two levels": (
        *("boin", (("1NNT", 1), ("1NNT", 32), ("2N", 63), ("3NT", 92)), 122),
        *(("stay", 1, 3), ("de-escalate", 2, 3), 122),
    ),
    # Level 3 was begun after one of the three patients planned at level 2.
    "BOIN, above a cohort of one": ("boin", (BELOW, ("2N", 40), ("3N", 45)), 80, ("fill", 2, 2), ("fill", 3, 2), 80),
}


@pytest.mark.parametrize("name", STRAY)
def test_unmarked_unplanned_patient(name):
    design, groups, cut, expected, other, start = STRAY[name]
    found = after(groups, cut, design)
    assert answer(found.proposal) == expected
    assert answer(found.proposal.other_reading)[:2] == other[:2]
    assert (found.start and number_of(found.start.day)) == start


# Serious events. Three patients at level 1, of whom the second has the event; without it the 3+3 goes up to level 2.


def with_event(*events, cut=60, adjudications=(), **fields):
    people = [patient("A1", 1, 1), patient("A2", 1, 2, events=events, **fields), patient("A3", 1, 3)]
    return next_dose(protocol("3+3"), trial(*people, last=200), day(cut), replay=True, adjudications=adjudications)


# Grade, relation, serious, day; then the kind of the status and whether it holds. The window of the second patient ends on day 30.
EVENTS = {
    "death, related, in the window": (event(10, 5, "related"), "dlt", True),
    "death, not related, in the window": (event(10, 5, "not related"), "pending", True),
    "death, related, after the window": (event(45, 5, "related"), "complete", True),
    "death, not related, after the window": (event(45, 5, "not related"), "complete", True),
    "death, relationship not recorded, after the window": (event(45, 5, None), "complete", True),
    "grade 4, related, after the window": (event(45, 4, "related"), "complete", True),
    "grade 4, relationship not recorded, after the window": (event(45, 4, None), "complete", True),
    "grade 4, not related, after the window": (event(45, 4, "not related"), "complete", False),
    "grade 4, not related, in the window": (event(10, 4, "not related"), "complete", False),
    "serious grade 2, related, after the window": (event(45, 2, "related")._replace(serious=True), "complete", True),
    "serious grade 2, not related, after the window": (event(45, 2, "not related")._replace(serious=True), "complete", False),
    "grade 3, related, after the window": (event(45, 3, "related"), "complete", False),
    "grade 4, related, on the day after the window": (event(31, 4, "related"), "complete", True),
    "serious, fatal by its outcome, not related": (event(45, 3, "not related")._replace(outcome="FATAL"), "complete", True),
}


@pytest.mark.parametrize("name", EVENTS)
def test_serious_event_holds_enrolment(name):
    what, kind, holds = EVENTS[name]
    found = with_event(what)
    assert found.evaluated["A2"].kind == kind
    assert bool(found.holds) == holds
    assert answer(found.proposal) == (("hold", None) if holds else ("escalate", 2, 3))
    if holds:
        assert found.start is None
        # Held apart, 1 of 3 asks for three more at level 1, and 0 of 3 leads to level 2.
        assert [one.subject for one in found.serious] == ["A2"]
        # One day before, nothing was known of it.
        assert not with_event(what, cut=number_of(what.start) - 1).holds


def test_adjudicated_event_holds_no_longer():
    what = event(45, 4, "related")
    said = Adjudicated(day(50), day(50), "NCT05962762", "0" * 64, "A2", day(45), "fever", 4, "not a DLT", "committee", "infection")
    assert answer(with_event(what, cut=60, adjudications=(said,)).proposal) == ("escalate", 2, 3)
    # Of another event, or of a lower grade than the event has now, it is no adjudication.
    for other in (
        said._replace(event_date=day(44)),
        said._replace(grade=3),
        said._replace(term="rash"),
        said._replace(subject="A1"),
    ):
        assert answer(with_event(what, cut=60, adjudications=(other,)).proposal) == ("hold", None)
    # After the window it was adjudicated a DLT: 1 of 3, and three more at level 1.
    assert answer(with_event(what, cut=60, adjudications=(said._replace(conclusion="DLT"),)).proposal) == ("stay", 1, 3)


# An event after the window of a patient at level 1, who was complete when level 2 began on day 40 as planned.
LATE = {
    "related, grade 4": {"events": (event(45, 4, "related", row=99),)},
    "death": {"died": day(45)},
    "on the day after level 2 began": {"events": (event(41, 4, "related", row=99),)},
}


def with_late_event(design, fields, cut=75, part=None, **given):
    extra = (patient("Z1", 1, 3, part=part, **fields),)
    people = [*group(1, "1NNN" if part else "1NN", 1), *extra, *group(2, "2NNN", 40)]
    return next_dose(protocol(design), trial(*people, last=200), day(cut), replay=True, **given)


@pytest.mark.parametrize("design", ["3+3", "boin", "crm"])
@pytest.mark.parametrize("name", LATE)
@pytest.mark.parametrize("part", [None, "backfill"])
def test_event_after_a_level_began_does_not_make_it_unplanned(name, design, part):
    found = with_late_event(design, LATE[name], part=part)
    assert answer(found.proposal) == ("hold", None)
    assert answer(found.proposal.held) == ("escalate", 3, 3)
    assert readings(found.proposal) is None


@pytest.mark.parametrize(("design", "expected"), [("3+3", ("de-escalate", 1, 3)), ("boin", ("escalate", 3, 3))])
def test_event_adjudicated_a_dlt_after_a_level_began_does_not_make_it_unplanned(design, expected):
    """1 of 3 at level 1: three more there by the 3+3; BOIN looks at the 0 of 3 of the current level."""
    said = Adjudicated(day(70), day(70), "NCT05962762", "0" * 64, "Z1", day(45), "fever", 4, "DLT", "committee", "late")
    found = with_late_event(design, LATE["related, grade 4"], adjudications=(said,))
    assert answer(found.proposal) == expected
    assert readings(found.proposal) is None
    assert found.deviations == {}


def test_deviations_before_a_late_dlt_stay():
    """Level 2 had two patients when level 3 began; the DLT of level 1 came later and changes nothing of that."""
    said = Adjudicated(day(100), day(100), "NCT05962762", "0" * 64, "Z1", day(95), "fever", 4, "DLT", "committee", "late")
    late = patient("Z1", 1, 3, events=(event(95, 4, "related", row=99),))
    people = [*group(1, "1NN", 1), late, *group(2, "2NN", 40), *group(3, "3NNN", 80)]
    given = {"adjudications": (said,), "replay": True}
    found, before = (next_dose(protocol("boin"), trial(*people, last=200), day(cut), **given) for cut in (120, 94))
    assert before.deviations == found.deviations
    assert [(one.kind, one.cohort, one.given, one.planned) for one in found.deviations["boin"]] == [("size", 2, 2, 3)]


@pytest.mark.parametrize("conclusion", [None, "DLT", "not a DLT"])
def test_level_begun_during_a_hold_is_unplanned_until_the_event_is_no_dlt(conclusion):
    """The event came on day 36, before level 2 began on day 40, when the design would have waited."""
    said = Adjudicated(day(70), day(70), "NCT05962762", "0" * 64, "Z1", day(36), "fever", 4, str(conclusion), "committee", "so")
    fields = {"events": (event(36, 4, "related", row=99),)}
    found = with_late_event("boin", fields, adjudications=(said,) if conclusion else ())
    assert "started during a hold" in {one.rule for one in found.findings}
    held = found.proposal.held or found.proposal
    if conclusion == "DLT":
        assert (answer(held), found.proposal.set_aside) == (("stay", 1, 3), ("G2-1", "G2-2", "G2-3"))
        assert [(one.kind, one.cohort, one.given, one.planned) for one in found.deviations["boin"]] == [("level", 2, 2, 1)]
    else:
        assert answer(held) == ("escalate", 3, 3)
        assert readings(found.proposal) is None
    assert bool(found.holds) == (conclusion is None)


def test_two_dlts_stop_although_an_event_holds():
    # 2 of 3 at level 1 stop whatever the adjudication of the death after the window says.
    people = [*group(1, "1TT", 1), patient("A3", 1, 3, events=(event(45, 5, "not related", row=99),))]
    found = next_dose(protocol("3+3"), trial(*people, last=200), day(60), replay=True)
    assert found.holds
    assert answer(found.proposal) == ("stop", "none")


# A death told of by one table alone: A-02, first treated on 2 March; the window ends on 30 March.

STUDY = {"STUDYID": "C1"}


def tables(folder, **changes):
    """SDTM tables of three patients at level 1, as files; each change replaces or adds columns of A-02 in a table."""
    people = [f"A-{n:02}" for n in (1, 2, 3)]
    rows = {
        "dm": [{**STUDY, "DOMAIN": "DM", "USUBJID": s, "RFPENDTC": "2024-06-01", "DTHDTC": "", "DTHFL": ""} for s in people],
        "ex": [
            {**STUDY, "DOMAIN": "EX", "USUBJID": s, "EXDOSE": "1", "EXDOSU": "10^6 cells/kg", "EXSTDTC": f"2024-03-0{n}"}
            for n, s in enumerate(people, start=1)
        ],
        "ae": [
            {**STUDY, "DOMAIN": "AE", "USUBJID": "A-01", "AETERM": "x", "AETOXGR": "1", "AEREL": "N", "AESTDTC": "2024-03-02"}
            | {"AESER": "N", "AEOUT": ""}
        ],
        "ds": [
            {**STUDY, "DOMAIN": "DS", "USUBJID": s, "DSCAT": "DISPOSITION EVENT", "DSDECOD": "COMPLETED", "DSSTDTC": "2024-06-01"}
            for s in people
        ],
    }
    rows["dm"][1] |= changes.get("dm", {})
    rows["ds"][1] |= changes.get("ds", {})
    if "ae" in changes:
        rows["ae"].append(rows["ae"][0] | {"USUBJID": "A-02"} | changes["ae"])
    for name, table in rows.items():
        write_csv(folder / f"{name}.csv", table)
    return folder


DEATHS = {
    "DM, in the window": ({"dm": {"DTHDTC": "2024-03-14", "RFPENDTC": "2024-03-14"}}, "pending"),
    "DM, after the window": ({"dm": {"DTHDTC": "2024-05-14", "RFPENDTC": "2024-05-14"}}, "complete"),
    "DS, in the window": ({"ds": {"DSDECOD": "DEATH", "DSSTDTC": "2024-03-14"}}, "pending"),
    "DS, after the window": ({"ds": {"DSDECOD": "DEATH", "DSSTDTC": "2024-05-14"}}, "complete"),
    "AE, in the window, not related": ({"ae": {"AETOXGR": "5", "AEREL": "N", "AESTDTC": "2024-03-14"}}, "pending"),
    "AE, in the window, related": ({"ae": {"AETOXGR": "5", "AEREL": "Y", "AESTDTC": "2024-03-14"}}, "dlt"),
    "AE, after the window, not related": ({"ae": {"AETOXGR": "5", "AEREL": "N", "AESTDTC": "2024-05-14"}}, "complete"),
    "AE, fatal by its outcome": ({"ae": {"AETOXGR": "3", "AEREL": "N", "AESTDTC": "2024-05-14", "AEOUT": "FATAL"}}, "complete"),
}


@pytest.mark.parametrize("name", DEATHS)
def test_death_reported_by_one_table(name, tmp_path):
    changes, kind = DEATHS[name]
    rules = protocol("3+3")
    found = next_dose(rules, dsf.read_patients(tables(tmp_path, **changes), rules), date(2024, 7, 1))
    assert found.evaluated["A-02"].kind == kind
    assert [one.subject for one in found.serious] == ["A-02"]
    assert answer(found.proposal) == ("hold", None)
    assert found.start is None
    assert found.evaluated["A-02"].replaced_by is None


@pytest.mark.parametrize(("death", "kind"), [("2024-03-14", "pending"), ("2024-05-14", "complete")])
def test_death_in_adsl_alone(death, kind, tmp_path):
    rules = protocol("3+3")
    people = [
        {"STUDYID": "C1", "USUBJID": f"A-{n:02}", "TRTSDT": f"2024-03-0{n}", "LSTALVDT": "2024-06-01", "DTHDT": ""}
        for n in (1, 2, 3)
    ]
    people[1] |= {"DTHDT": death, "LSTALVDT": death}
    rows = [
        {"STUDYID": "C1", "USUBJID": f"A-{n:02}", "ASTDT": f"2024-03-0{n}", "ADOSE": "1", "ADOSEU": "10^6 cells/kg"}
        for n in (1, 2, 3)
    ]
    write_csv(tmp_path / "adsl.csv", people)
    write_csv(tmp_path / "adex.csv", rows)
    write_csv(
        tmp_path / "adae.csv",
        [{"STUDYID": "C1", "USUBJID": "A-01", "AETERM": "x", "ATOXGR": "1", "AREL": "N", "ASTDT": "2024-03-02"}],
    )
    found = next_dose(rules, dsf.read_patients(tmp_path, rules), date(2024, 7, 1))
    assert found.evaluated["A-02"].kind == kind
    assert answer(found.proposal) == ("hold", None)


# Outcomes that are overdue.


def test_overdue_outcome_is_listed():
    # The windows end on days 29 to 31; of the second and third patient nothing is known after days 20 and 25.
    people = [patient("A1", 1, 1), patient("A2", 1, 2, last_contact=20), patient("A3", 1, 3, last_contact=25)]
    people[0] = patient("A1", 1, 1, last_contact=60)
    found = next_dose(protocol("3+3"), trial(*people, last=60), day(60))
    assert [one.subject for one in found.overdue] == ["A2", "A3"]
    assert answer(found.proposal) == ("wait", None)
    # On the last day of a window its outcome is not overdue yet.
    assert [one.subject for one in next_dose(protocol("3+3"), trial(*people, last=60), day(30), replay=True).overdue] == []


# Patients on placebo or control.

UNTREATED = {
    "related grade 4 in the window": {"events": (event(10, 4, "related", row=99),)},
    "related grade 3 in the window": {"events": (event(10, 3, "related", row=99),)},
    "death, related": {"events": (event(10, 5, "related", row=99),)},
    "death without an event": {"died": day(20)},
    "serious, after the window": {"events": (event(50, 2, "related", row=99)._replace(serious=True),)},
    "grade not recorded": {"events": (event(10, None, "related", row=99),)},
    "left": {"discontinued": 9},
}


@pytest.mark.parametrize("part", ["placebo", "control"])
@pytest.mark.parametrize("name", UNTREATED)
def test_placebo_and_control_change_nothing(name, part):
    for level in (None, 1):
        people = [*group(1, "1NNN", 1), patient("Z1", level, 4, part=part, **UNTREATED[name])]
        found = next_dose(protocol("3+3"), trial(*people, last=200), day(60), replay=True)
        assert answer(found.proposal) == ("escalate", 2, 3)
        assert not found.holds
        assert found.start.day == day(60)
        assert found.overdue == []


def test_placebo_patient_does_not_begin_a_level():
    # Staggering interval after the first patient of a level: one on placebo, assigned to level 2, is not the first patient there.
    table = protocol("3+3").model_dump(exclude_unset=True) | {"assumed": {}}
    table["treatment"] |= {"stagger": {"days": 7, "patients": "first"}}
    rules = dsf.Protocol.read(table)
    people = group(1, "1NNN", 1)
    placebo = patient("Z1", 2, 32, part="placebo")
    starts = [next_dose(rules, trial(*people, *more, last=40), day(40)).start for more in ((), (placebo,))]
    assert starts[0] == starts[1]
    assert starts[0].day == day(40)


def test_run_in_death_holds_and_is_not_counted():
    people = [*group(1, "1NNN", 1), patient("Z1", 1, 4, part="run-in", died=day(20))]
    found = next_dose(protocol("3+3"), trial(*people, last=200), day(60), replay=True)
    assert answer(found.proposal) == ("hold", None)
    assert answer(found.proposal.held) == ("escalate", 2, 3)


# Parts by rules of the config.

PARTS = {
    # The fourth patient has a DLT; without a rule that is 1 of 4 at level 1, and two more are treated there.
    "no rule": ((), None, ("stay", 1, 2)),
    "by date": (((("part", "expansion"), ("since", date(2024, 2, 1))),), "expansion", ("escalate", 2, 3)),
    "by a date before it": (((("part", "expansion"), ("until", date(2023, 12, 31))),), "escalation", ("stay", 1, 2)),
    "by level": (((("part", "run-in"), ("levels", (1,)), ("since", date(2024, 2, 1))),), "run-in", ("hold", None)),
    "by another level": (((("part", "run-in"), ("levels", (2,)), ("since", date(2024, 2, 1))),), "escalation", ("stay", 1, 2)),
    "by cohort": (((("part", "backfill"), ("cohorts", (2,))),), "backfill", ("escalate", 2, 3)),
    "by another cohort": (((("part", "backfill"), ("cohorts", (3,))),), "escalation", ("stay", 1, 2)),
    # The first rule that matches is taken.
    "two rules": (
        ((("part", "placebo"), ("cohorts", (2,))), (("part", "backfill"), ("since", date(2024, 2, 1)))),
        "placebo",
        ("escalate", 2, 3),
    ),
}


@pytest.mark.parametrize("name", PARTS)
def test_part_by_a_rule_of_the_config(name):
    parts, part, expected = PARTS[name]
    people = [*group(1, "1NNN", 1, cohort=1), *group(2, "1T", 40, cohort=2)]
    found = next_dose(protocol("3+3", parts=parts), trial(*people, last=200), day(80), replay=True)
    assert answer(found.proposal) == expected
    if part is not None:
        assert found.evaluated["G2-1"].part == part


def test_part_in_the_data_comes_before_a_rule():
    parts = ((("part", "expansion"), ("since", date(2024, 2, 1))),)
    people = [*group(1, "1NNN", 1), *group(2, "1T", 40, "escalation")]
    found = next_dose(protocol("3+3", parts=parts), trial(*people, last=200), day(80), replay=True)
    assert (found.evaluated["G2-1"].part, answer(found.proposal)) == ("escalation", ("stay", 1, 2))


# Faults: what is replaced, by what, and the test that must fail.


def _without(keep):
    """Waits of the slots alone that a rule keeps."""
    return lambda real: lambda slots, level, joins, treatment: real([s for s in slots if keep(s, level)], level, joins, treatment)


def _no_further_dlt(real):
    """Outcomes of cohorts before the current one are taken to come out without a DLT."""

    def completions(self, *given, **named):
        current = len(self.members) - 1
        return (way for way in real(self, *given, **named) if not any(way.dlts[:current]))

    return completions


FAULTS = {
    "only lower levels are waited for": (
        "dosefind.conduct:waits",
        _without(lambda slot, level: slot.level is not None and slot.level <= level),
        partial(test_early_patient_at_a_higher_level, "3+3, pending, one DLT below", True),
    ),
    "a full cohort is not waited for": (
        "dosefind.conduct:waits",
        _without(lambda slot, level: slot.level != level),
        test_full_cohort_is_waited_for,
    ),
    "patients of the cohort that is completed are waited for": (
        "dosefind.conduct:waits",
        lambda real: lambda slots, level, joins, treatment: real(slots, level, (), treatment),
        partial(test_early_patient_at_a_higher_level, "3+3, pending, the lower ones clean", True),
    ),
    "pending outcomes of earlier cohorts are ignored": (
        "dosefind.evaluability.evaluated:Evaluated.completions",
        _no_further_dlt,
        partial(test_patient_beyond_the_cohort, "3+3, four pending"),
    ),
    "a backfill patient joins a cohort": (
        "dosefind.evaluability.judging:part_of_patient",
        lambda _: lambda *_: "escalation",
        partial(test_backfill_under_boin, "many, clean"),
    ),
    "the bolder reading is taken": (
        "dosefind.tasks.proposals:most_cautious",
        lambda real: lambda found, level: next((one for one in found if one is not real(found, level)), found[0]),
        partial(test_unmarked_unplanned_patient, "BOIN, below, clean"),
    ),
    "two readings are tried and no more": (
        "dosefind.tasks.next_dose:readings_of",
        lambda real: lambda *given: real(*given)[:2],
        partial(test_unmarked_unplanned_patient, "3+3, extra with a DLT, then level 2"),
    ),
    "later backfill makes earlier cohorts unplanned": (
        "dosefind.tasks.proposals:_closed_by",
        lambda _: lambda *_: True,
        partial(test_backfill_under_boin, "down, pooled stay"),
    ),
    "a death in the window counts as complete": (
        "dosefind.evaluability.judging:_case",
        lambda real: lambda patient, _, said: real(patient, (), said),
        partial(test_serious_event_holds_enrolment, "death, not related, in the window"),
    ),
    "a placebo event holds": (
        "dosefind.evaluability.serious:SeriousEvent.holds",
        lambda _: property(lambda self: self.adjudication is None),
        partial(test_placebo_and_control_change_nothing, "related grade 4 in the window", "placebo"),
    ),
    "the pooled rate closes no dose": (
        "dosefind.designs.three_plus_three:ThreePlusThree.with_beside",
        lambda _: lambda self, states, beside: states,
        partial(test_expansion_beside_the_3_plus_3, "2 in 3: pooled 2 of 6"),
    ),
    "expansion dilutes the 3+3": (
        "dosefind.designs.three_plus_three:ThreePlusThree.with_beside",
        lambda _: Design.with_beside,
        partial(test_expansion_beside_the_3_plus_3, "never in the place of the second three"),
    ),
    "the conflict rule is off": (
        "dosefind.designs.interval:IntervalDesign.propose_beside",
        lambda _: lambda self, states, beside: self.propose(states),
        partial(test_backfill_under_boin, "down, pooled stay"),
    ),
    "an overdue outcome is not listed": (
        "dosefind.evaluability.evaluated:Evaluated.overdue",
        lambda _: property(lambda self: []),
        test_overdue_outcome_is_listed,
    ),
}


test_fault_is_caught = faults(FAULTS)
