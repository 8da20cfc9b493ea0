"""Where a trial stands: readings, counts of other parts, MTD or maximum administered dose, and the posterior beside it."""

import dataclasses
from datetime import date
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

import dosefind as dsf
from dosefind.adjudications import Adjudicated
from dosefind.decisions import Recorded, record_decision
from dosefind.evaluability import safety_events
from dosefind.show import content
from dosefind.show.pages.next_dose import adjudicated as adjudicated_words
from dosefind.show.pages.next_dose import next_dose
from dosefind.show.terminal import as_lines
from dosefind.tasks.standing import (
    contradiction,
    dose_in_question,
    doses_in_question,
    event_state,
    event_words,
    leading_events,
    overdose_range,
    overturned,
    part_counts,
    readings,
    standing,
)

from .made_up import day, event, patient, protocol, trial
from .peers import ROOT
from .planted import faults

EXAMPLES = ROOT / "examples" / "synthetic"
SHIPPED = {"serious-after-window", "early-above-pending", "overdue-and-death"}
CUT = {"overdue-and-death": date(2024, 4, 12)}


def rules(name):
    own = EXAMPLES / name / "protocol.toml"
    made = own if own.exists() else EXAMPLES / "protocol.toml"
    return dsf.load_protocol(ROOT / "configs" / "nct05962762.toml" if name in SHIPPED else made)


def example(name, design=None):
    protocol_, folder = rules(name), EXAMPLES / name
    patients = dsf.read_patients(folder / "patients.csv", protocol_, events=folder / "events.csv")
    return dsf.next_dose(protocol_, patients, CUT.get(name), design=design)


def test_serious_events_after_the_window_hold():
    found = example("serious-after-window")
    assert [(one.subject, event_state(found, one)) for one in leading_events(found)] == [("SYN-04", "waits"), ("SYN-05", "waits")]
    assert found.proposal.action == "hold"
    assert standing(found)[:4] == (False, None, None, None)
    assert dose_in_question(found) == (3, "without hold")


def test_no_patient_is_added_above_pending_patients():
    found = example("early-above-pending")
    assert found.proposal.action == "wait"
    assert found.proposal.level is None


def test_overdue_outcomes_and_a_death_in_the_window():
    found = example("overdue-and-death")
    assert [one.subject for one in found.overdue] == ["SYN-04", "SYN-05"]
    assert [one.subject for one in found.holds.events] == ["SYN-06"]


def test_backfill_is_counted_by_the_designs_that_pool():
    found = example("backfill")
    assert part_counts(found) == (
        ("backfill", 1, 2, 0, ("boin", "crm", "blrm"), ("3+3",)),
        ("backfill", 2, 2, 0, ("boin", "crm", "blrm"), ("3+3",)),
    )
    assert found.proposal.level == 2


def test_few_dlts_in_the_expansion_leave_the_mtd():
    found = example("expansion-few-dlts", "3+3")
    assert standing(found)[:4] == (True, 2, None, None)
    assert dose_in_question(found) == (2, "MTD")
    assert [(one.part, one.n, one.dlts) for one in part_counts(found)] == [("expansion", 12, 1)]


def test_many_dlts_in_the_expansion_close_the_dose():
    found = example("expansion-many-dlts", "3+3")
    # Six at the MTD: three more at level 1, once enrolment is no longer on hold.
    assert (found.proposal.action, found.proposal.level) == ("de-escalate", 1)
    assert [one.kind for one in found.holds.pauses] == ["related-serious"]
    # Serious events are open, so that no dose is stated as the MTD yet.
    assert not standing(found).ended


def test_an_amended_window_holds_for_patients_treated_after_it():
    """Both had a related grade 3 event on day 35: of a window of 28 days for the first, of 42 for the other."""
    found = example("amendment")
    assert [found.evaluated[subject].kind for subject in ("SYN-02", "SYN-05")] == ["complete", "dlt"]
    assert [(found.evaluated[subject].end - found.evaluated[subject].first).days for subject in ("SYN-01", "SYN-04")] == [28, 42]
    assert (found.proposal.action, found.proposal.level) == ("de-escalate", 1)


@pytest.mark.slow
def test_report_judges_each_event_by_the_version_of_the_first_infusion():
    """The events of day 35 are after the window of SYN-02, and in that of SYN-05, whatever version is in force at the cutoff."""
    found, protocol_ = example("amendment"), rules("amendment")
    derived = {one.subject: one.derived for one in safety_events(found.evaluated, protocol_)}
    assert (derived["SYN-02"], derived["SYN-05"]) == ("not a DLT", "DLT")
    folder = EXAMPLES / "amendment"
    document = dsf.report(protocol_, dsf.read_patients(folder / "patients.csv", protocol_, events=folder / "events.csv"))
    events = next(section for section in document.sections if section.id == "events").blocks[0]
    cells = [["".join(run.text for run in cell) for cell in row] for row in events.rows]
    place = ["".join(run.text for run in column.heading) for column in events.columns].index("by definition")
    assert {row[0]: row[place] for row in cells} == derived


def adjudicated(subject, conclusion, on=100, event_=None):
    where = (None, "", None) if event_ is None else (event_.start, event_.term, event_.grade)
    said = (conclusion, "committee", "infection, as of the culture")
    return Adjudicated(day(100), day(on), "NCT05962762", "", subject, *where, *said, dlt_column="yes")


def group(*more):
    people = [patient(f"A{n}", 1, n, events=None, dlt=n == 1, **({"dlt_date": 9} if n == 1 else {})) for n in (1, 2, 3)]
    return trial(*people, *more, last=100)


def told(section, caption):
    """Cells of the table of a section whose caption begins so."""
    table = next(
        block for block in section.blocks if hasattr(block, "rows") and content.as_string(block.caption).startswith(caption)
    )
    return [[content.as_string(cell) for cell in row] for row in table.rows]


@pytest.mark.slow
def test_a_dlt_overturned_by_adjudication_is_shown():
    said = adjudicated("A1", "not a DLT")
    found = dsf.next_dose(protocol(), group(), adjudications=[said])
    (status,) = overturned(found)
    assert (status.subject, status.kind, status.derived, status.adjudication) == ("A1", "complete", "dlt", said)
    assert found.adjudicated == (said,)
    assert overturned(dsf.next_dose(protocol(), group())) == ()
    document = dsf.report(protocol(), group(), adjudications=[said])
    by_id = {section.id: section for section in document.sections}
    ((subject, *_, conclusion, on, by, reason),) = told(by_id["events"], "Adjudications")
    assert (subject, conclusion, on) == ("A1", "not a DLT", "2024-04-09")
    assert (by, reason) == ("committee", "infection, as of the culture")
    noted = {row[0]: row[-1] for row in told(by_id["patients"], "DLT profile")}
    assert adjudicated_words(status) in noted["A1"]
    assert noted["A2"] == "complete"
    notes = [block.items for block in by_id["summary"].blocks if isinstance(block, content.Note)]
    assert [items[0][0].text for items in notes].count("A1") == 1


@pytest.mark.slow
def test_an_adjudicated_serious_event_leads_the_report():
    people = patient("S1", 1, 4, events=(event(8, 4),))
    said = adjudicated("S1", "not a DLT", event_=people.events[0])
    document = dsf.report(protocol(), group(people), adjudications=[said])
    (note, *_) = [block for block in document.sections[0].blocks if isinstance(block, content.Note)]
    assert [[run.text for run in item if run.kind == "data"] for item in note.items] == [[raised(people), "committee"]]


def raised(person):
    """The serious event of a person in words, its first letter raised."""
    found = dsf.next_dose(protocol(), group(person))
    words = found.serious[0].words
    return f"{words[:1].upper()}{words[1:]}"


def test_a_death_without_its_day_is_given_with_the_last_day_known():
    person = patient("D1", 1, 4, events=(event(None, 5),), died=day(93), died_recorded=False)
    found = dsf.next_dose(protocol(), group(person))
    (one,) = found.serious
    assert event_words(found, one) != one.words
    assert event_words(found, one).endswith("last known day 90")
    known = dsf.next_dose(protocol(), group(dataclasses.replace(person, died_recorded=True)))
    assert [event_words(known, event_) for event_ in known.serious] == [event_.words for event_ in known.serious]


def test_a_death_on_placebo_holds_nothing():
    placebo = patient("P1", None, 4, amount=0.0, part="placebo", events=(event(8, 5, related="not related"),), died=day(8))
    found = dsf.next_dose(protocol(), group(placebo))
    assert [event_state(found, one) for one in found.serious] == ["untreated"]
    assert not found.holds


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(one.name for one in EXAMPLES.iterdir() if one.is_dir()))
def test_examples_give_a_report(name):
    protocol_, folder = rules(name), EXAMPLES / name
    patients = dsf.read_patients(folder / "patients.csv", protocol_, events=folder / "events.csv")
    assert all(one.subject.startswith("SYN-") for one in patients.patients)
    document = dsf.report(protocol_, patients, CUT.get(name))
    assert [one.id for one in document.sections][:3] == ["summary", "events", "safety"]


# By hand.


def ended_data(top_dlts):
    """Three patients per level, with so many DLTs at the top."""
    people = [
        patient(
            f"{level}-{n}",
            level,
            40 * level + 7 * n,
            events=(event(40 * level + 7 * n + 3),) if level == 3 and n <= top_dlts else (),
        )
        for level in (1, 2, 3)
        for n in (1, 2, 3)
    ]
    return trial(*people, last=250)


def ended(top_dlts):
    return dsf.next_dose(protocol(), ended_data(top_dlts))


def test_maximum_administered_dose_where_the_mtd_was_not_reached():
    assert standing(ended(0))[:4] == (True, None, 3, None)
    assert standing(ended(2))[:4] == (True, 2, None, None)


def test_decision_of_the_committee_on_the_mtd_stands_beside():
    decided = [
        Recorded(date(2024, 9, n), "NCT05962762", "", "", "3+3", "stop, MTD level 2", decision, "no", "so")
        for n, decision in ((1, "MTD 2"), (2, "wait"))
    ]
    found = dataclasses.replace(ended(2), recorded=tuple(decided), decided=tuple(decided))
    assert (standing(found).recorded.decision, standing(found).rp2d) == ("MTD 2", None)
    chosen = (*decided, *(decided[0]._replace(decision=decision) for decision in ("RP2D none", "RP2D 1")))
    found = dataclasses.replace(found, recorded=chosen, decided=chosen)
    assert [one.decision for one in (standing(found).recorded, standing(found).rp2d)] == ["MTD 2", "RP2D 1"]


@pytest.mark.parametrize(("decision", "words"), [("MTD 2", True), ("RP2D 2", False), ("RP2D none", False)])
def test_the_rp2d_is_wanted_until_a_decision_on_it_is_on_file(tmp_path, decision, words):
    path = tmp_path / "decisions.csv"
    record_decision(path, ended(2).record(decision, "agreed", meeting=date(2024, 9, 20)))
    found = dsf.next_dose(protocol(), ended_data(2), decisions=path)
    shown = as_lines(next_dose(found), width=200)
    assert ("The RP2D is decided by the committee; no decision on it is on file." in shown) == words
    assert f"Decision of the committee on file (meeting of 2024-09-20, data cutoff 2024-09-06): {decision}." in shown


def posterior(mtd, over=((0.1, 0.2, 0.3), (0.2, 0.1, 0.3))):
    return xr.Dataset(
        {
            "mtd": ("mtd_level", np.array(mtd)),
            "p_over": ("dose", np.array(over[0])),
            "p_over_by_curve": (("curve", "dose"), np.array(over)),
        },
        {"curve": ["a", "b"]},
    )


def proposing(action, level=None, mtd=None):
    proposal = SimpleNamespace(action=action, level=level, mtd=mtd, held=None)
    return SimpleNamespace(proposal=proposal)


@pytest.mark.parametrize(
    ("found", "place", "against"),
    [
        (proposing("escalate", 3), 1, True),
        (proposing("escalate", 3), 2, True),
        (proposing("escalate", 3), 3, False),
        (proposing("stay", 1), 3, False),
        (proposing("de-escalate", 1), 2, True),
        (proposing("de-escalate", 1), 1, False),
        (proposing("stop", mtd="1"), 3, True),
        (proposing("stop", mtd="3"), 3, False),
        (proposing("stop", mtd="none"), 0, False),
        (proposing("stop", mtd="none"), 1, True),
        (proposing("wait"), 0, False),
    ],
)
def test_contradiction_of_the_most_likely_mtd(found, place, against):
    chances = np.full(4, 0.2)
    chances[place] = 0.4
    said = contradiction(found, posterior(chances))
    assert (said is not None) == against
    if said is not None:
        assert (said.place, said.p) == (place, 0.4)


def test_overdose_range_names_the_curves():
    assert overdose_range(posterior([1, 0, 0, 0]), 1) == (1, 0.1, 0.1, "a", 0.2, "b")
    assert overdose_range(posterior([1, 0, 0, 0]), 2) == (2, 0.2, 0.1, "b", 0.2, "a")


def test_both_readings_with_the_subjects_and_the_one_taken():
    people = [*(patient(f"A{n}", 1, n) for n in (1, 2, 3)), *(patient(f"C{n}", 3, 40 + 7 * n) for n in (1, 2, 3))]
    found = dsf.next_dose(protocol(), trial(*people, last=120))
    both = readings(found.proposal)
    assert both.subjects == ("C1", "C2", "C3")
    assert {"inside": both.inside, "outside": both.outside}[both.taken] is found.proposal or not both.agree
    assert (both.inside.words == both.outside.words) == both.agree
    assert readings(ended(0).proposal) is None


def with_dlts(*outcomes, design=None, **fields):
    """Cohorts of three with so many DLTs, by level; then backfill at level 1."""
    people = [
        patient(f"{level}-{n}-{at}", level, 40 * at + 7 * n, events=(event(40 * at + 7 * n + 3),) if n <= dlts else ())
        for at, (level, dlts) in enumerate(outcomes, start=1)
        for n in (1, 2, 3)
    ]
    beside = [patient(f"B{n}", 1, 85 + n, part="backfill", events=(event(90),) if n < 4 else ()) for n in range(1, 7)]
    return dsf.next_dose(protocol(), trial(*people, *(beside if fields.get("backfill") else ()), last=400), design=design)


@pytest.mark.parametrize(
    ("outcomes", "design", "fields", "action", "levels"),
    [
        # The latest dose is level 2, without a DLT; the DLTs at level 1 are of the backfill.
        (((1, 0), (2, 0)), "3+3", {"backfill": True}, "stop", [(1, "cause")]),
        (((1, 2),), "3+3", {}, "stop", [(1, "cause")]),
        (((1, 0), (2, 3)), "boin", {}, "de-escalate", [(2, "cause"), (1, "next")]),
        (((1, 0), (2, 0)), "boin", {}, "escalate", [(3, "next")]),
    ],
)
def test_the_dose_in_question_is_that_of_the_dlts(outcomes, design, fields, action, levels):
    found = with_dlts(*outcomes, design=design, **fields)
    assert (found.proposal.held or found.proposal).action in (action, "start")
    assert [tuple(one) for one in doses_in_question(found)] == levels
    assert dose_in_question(found) == levels[0]


@pytest.mark.slow
def test_the_report_gives_p_overdose_where_patients_are_pending():
    """Three are pending at level 1, below the dose in question."""
    name = "early-above-pending"
    patients = dsf.read_patients(EXAMPLES / name / "patients.csv", rules(name), events=EXAMPLES / name / "events.csv")
    summary = dsf.analyze(rules(name), example(name).evaluated.cohorts()).summary
    page = dsf.report(rules(name), patients).html()
    over = [f"{100 * float(value):.1f}%" for value in summary["p_over"].values]
    assert over[0] not in over[1:]
    assert f"At level 1, where 3 patients are pending, P(overdose) is {over[0]}." in page


FAULTS = {
    "the latest dose is in question after a stop": (
        "dosefind.tasks.standing:_cause",
        lambda _: lambda found, proposal: None,
        partial(test_the_dose_in_question_is_that_of_the_dlts, ((1, 0), (2, 0)), "3+3", {"backfill": True}, "stop", [(1, "cause")]),
    ),
}

test_fault_is_caught = faults(FAULTS)
