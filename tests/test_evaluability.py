"""Who counts: the window to the day, what a DLT is, who is not evaluable, replay date by date, and every row accounted for."""

import random
import typing
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dosefind as dsf
from dosefind.config import build_designs
from dosefind.evaluability import KINDS, evaluate
from dosefind.patients import PARTS, Listed
from dosefind.trial import Cohort

from .made_up import day, event, patient, protocol, single_dose, three_doses, trial
from .planted import faults
from .quick import examples

AS, DLC = "nct05962762", "nct05948982"


def kinds(evaluated):
    return {status.subject: status.kind for status in evaluated.statuses}


def status(one, as_of, name=AS, **changed):
    """Status of one patient at a day."""
    return evaluate(trial(one), protocol(name, **changed), day(as_of), replay=True)[one.subject]


# The window.


@pytest.mark.parametrize(("name", "course", "last"), [(AS, (10,), 38), (DLC, (10, 38, 66), 94)])
def test_the_window_ends_on_its_last_day(name, course, last):
    """Day 29 of a 28-day window, day 85 of one of 84 days: it ends so many days after the first infusion, which is on day 1."""
    for start, kind in ((9, "complete"), (10, "dlt"), (last, "dlt"), (last + 1, "complete")):
        one = status(patient("S", 1, *course, events=(event(start)._replace(end=day(start)),)), last + 1, name)
        assert (one.kind, one.first, one.end) == (kind, day(10), day(last))
    clean = patient("S", 1, *course)
    eve = status(clean, last - 1, name)
    assert (eve.kind, eve.days_to_go, eve.closed) == ("pending", 1, None)
    assert eve.fraction == pytest.approx(1 - 1 / (last - 10), rel=1e-15)
    end = status(clean, last, name)
    assert (end.kind, end.days_to_go, end.fraction, end.closed) == ("complete", 0, 1.0, day(last))


def test_the_window_of_the_first_infusion_alone():
    """Another window of the second protocol: 28 days after the first infusion, the later ones outside it."""
    with pytest.raises(dsf.InputError, match="must be within the DLT window, which ends on day 29"):
        protocol(DLC, treatment={"dlt_window_days": 28})
    changed = {"dlt_window_days": 28, "window": "first-infusion"}
    assert status(patient("S", 1, 1), 29, DLC, treatment=changed).kind == "complete"
    assert status(patient("S", 1, 1, 29, events=(event(30),)), 30, DLC, treatment=changed).kind == "complete"


def test_follow_up_that_is_behind_the_data_cut():
    one = patient("S", 1, 1, last_contact=20)
    found = status(one, 25)
    assert (found.kind, found.unresolved, found.days_to_go) == ("pending", False, 4)
    assert found.rule == (
        "no DLT so far, 4 days to go, 68% of the window followed up; follow-up ends on 2024-01-20, 5 days "
        "before the data cutoff date"
    )
    assert found.fraction == pytest.approx(19 / 28, rel=1e-15)
    over = status(one, 29)
    assert (over.kind, over.unresolved, over.days_to_go, over.fraction) == ("pending", True, 0, 19 / 28)
    assert "window ended, outcome not known" in over.rule
    assert status(patient("S", 1, 1, last_contact=29), 40).kind == "complete"


# What a DLT is.


@pytest.mark.parametrize(
    ("one", "kind"),
    [
        (event(5), "dlt"),
        (event(5, grade=2), "complete"),
        (event(5, grade=5), "dlt"),
        (event(5, related="Possibly  Related"), "dlt"),
        (event(5, related="PROBABLE"), "dlt"),
        (event(5, related="not-related"), "complete"),
        (event(5, related="Unlikely"), "complete"),
        # Whatever the data leave out could make it a DLT.
        (event(5, grade=None), "pending"),
        (event(5, related=None), "pending"),
        (event(None), "pending"),
        (event(None, grade=None, related=None), "pending"),
        # What they say already rules it out.
        (event(5, grade=None, related="unrelated"), "complete"),
        (event(5, grade=2, related=None), "complete"),
        (event(None, grade=1), "complete"),
        (event(30, grade=None), "complete"),
    ],
)
def test_which_event_is_a_dlt(one, kind):
    found = status(patient("S", 1, 1, events=(one,)), 40)
    assert found.kind == kind
    assert found.unresolved == (kind == "pending")
    # The row is named unless the grade is too low from the start.
    assert (one.source in found.source) == (one.grade is None or one.grade >= 3)


def test_the_definition_is_a_setting():
    liver = event(5, term="ALT  increased")
    assert status(patient("S", 1, 1, events=(liver,)), 40).kind == "dlt"
    for dlt, kind in [
        ({"excluded_terms": ["alt increased"]}, "complete"),
        ({"least_grade_by_term": {"ALT increased": 4}}, "complete"),
        ({"least_grade_by_term": {"AST increased": 4}}, "dlt"),
        ({"least_grade": 4}, "complete"),
        ({"least_grade": 4, "least_grade_by_term": {"ALT increased": 3}}, "dlt"),
        ({"related": ["certain"], "unrelated": ["possibly related"]}, "complete"),
    ]:
        assert status(patient("S", 1, 1, events=(liver,)), 40, dlt=dlt).kind == kind


@pytest.mark.parametrize(
    ("one", "dlt", "why"),
    [
        (event(5, related="no"), {}, "not related"),
        (event(30), {}, "outside the window"),
        (event(5), {"excluded_terms": ["fever"]}, "an excluded term"),
        (event(5), {"least_grade_by_term": {"fever": 4}}, "below grade 4"),
        (event(5, grade=2), {}, None),
    ],
)
def test_event_of_dlt_grade_that_is_not_a_dlt_is_listed_with_the_reason(one, dlt, why):
    rule = status(patient("S", 1, 1, events=(one,)), 40, dlt=dlt).rule
    assert rule.rpartition("is not a DLT: ")[2] == (why or "no DLT by the end of the window, according to adverse events")


def test_unclear_event_states_the_missing_item_and_its_row():
    found = status(patient("S", 1, 1, events=(event(None, grade=None, row=7),)), 40)
    assert found.rule == (
        "it is not known whether this is a DLT: adverse event of ae.csv row 7 (grade not recorded; possibly related; no start date)"
        "; depends on whether it began from 2024-01-01 to 2024-01-29"
    )
    assert found.source == ("patients.csv row S", "ae.csv row 7")
    # A DLT that is known settles it.
    assert status(patient("S", 1, 1, events=(event(None, row=7), event(6, row=8))), 40).closed == day(6)


@pytest.mark.parametrize(("grade", "start"), [(3, 5), (1, 5), (3, 90)])
def test_an_unknown_word_for_the_relation_stops(grade, start):
    with pytest.raises(dsf.InputError) as caught:
        evaluate(trial(patient("S", 1, 1, events=(event(start, grade, "may be", row=4),))), protocol())
    assert str(caught.value).startswith(
        "subject S (patients.csv row S), event of ae.csv row 4.related = 'may be': "
        "is not among the words in the config: add it to one of its lists (dlt.related: related, definite, "
    )


def test_unknown_word_is_reported_once():
    """Not once for each of a thousand events; words that differ in case and hyphens are one."""
    events = (
        event(5, 1, "may be", row=4),
        event(6, 1, "May-Be", row=5),
        event(7, 3, "related", row=6),
        event(8, 1, "so so", row=7),
    )
    with pytest.raises(dsf.InputError) as caught:
        evaluate(trial(patient("S", 1, 1, events=events)), protocol())
    first, second = str(caught.value).splitlines()[-2:]
    assert ("row 4.related = 'may be'" in first, first.endswith("; 2 events have it")) == (True, True)
    assert ("row 7.related = 'so so'" in second, "events have it" in second) == (True, False)


# The pilot's own words are NONE, REMOTE, POSSIBLE and PROBABLE; the others are those of CDISC's and WHO-UMC's lists.
WORDS = {
    "dlt": ("POSSIBLE", "PROBABLE", "RELATED", "POSSIBLY RELATED", "Certain", "Likely", "Y", "Suspected", "Definitely related"),
    "complete": ("NONE", "REMOTE", "NOT RELATED", "UNLIKELY RELATED", "Unlikely", "Doubtful", "N", "Not suspected"),
    "pending": ("UNKNOWN", "Not assessable", "Conditional", "Unclassified", "Unassessable"),
}


@pytest.mark.parametrize(("kind", "word"), [(kind, word) for kind, words in WORDS.items() for word in words])
def test_how_words_for_the_relation_are_read(kind, word):
    assert status(patient("S", 1, 1, events=(event(5, related=word),)), 40).kind == kind


def test_amounts_of_later_infusions_are_not_known():
    data = trial(patient("S", 1, 1, 29, 57, amounts=(1, 2, 1)), last=60)
    known = [evaluate(data, protocol("nct05948982"), day(when), replay=True).patients[0].amounts for when in (28, 29, 60)]
    assert known == [(1,), (1, 2), (1, 2, 1)]


def test_reading_of_words_is_noted():
    events = tuple(event(5, 1, word, row=row) for row, word in enumerate(("REMOTE", "remote", "None", "possible", "unknown", None)))
    notes = evaluate(trial(patient("S", 1, 1, events=events)), protocol()).notes
    assert notes[-1] == (
        "relationship to treatment as recorded (number of events): possible (1) read as at least possibly related; none (1), "
        "remote (2) read as not related; unknown (1) read as not assessed, so open"
    )


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"dlt": False, "events": (event(5),)},
            "dlt = False: contradicts the adverse events: adverse event of ae.csv row 1 (grade 3; ",
        ),
        (
            {"dlt": True, "events": ()},
            "dlt = True: contradicts the adverse events: none between 2024-01-01 and 2024-01-29 is a DLT",
        ),
        ({"dlt": True, "events": (event(5, grade=2),)}, "dlt = True: contradicts the adverse events: none between"),
        (
            {"dlt": True, "dlt_date": 30, "events": None},
            "dlt_date = '2024-01-30': is outside the DLT window, 2024-01-01 to 2024-01-29",
        ),
        ({"dlt": None, "dlt_date": 3, "events": None}, "dlt_date = '2024-01-03': must not be given if dlt = None"),
        ({"dlt": False, "dlt_date": 3, "events": None}, "dlt_date = '2024-01-03': must not be given if dlt = False"),
    ],
)
def test_a_column_that_disagrees_stops(fields, said):
    with pytest.raises(dsf.InputError) as caught:
        evaluate(trial(patient("S", 1, 1, **fields), last=40), protocol())
    assert str(caught.value).startswith(f"subject S (patients.csv row S), {said}")


@pytest.mark.parametrize(
    ("fields", "kind", "source"),
    [
        ({"dlt": True, "dlt_date": 29, "events": None}, "dlt", ("patients.csv row S",)),
        ({"dlt": True, "events": None}, "dlt", ("patients.csv row S",)),
        ({"dlt": True, "dlt_date": 6, "events": (event(5),)}, "dlt", ("patients.csv row S", "ae.csv row 1")),
        ({"dlt": True, "events": (event(5, grade=None),)}, "dlt", ("patients.csv row S",)),
        ({"dlt": False, "events": None}, "complete", ("patients.csv row S",)),
        ({"dlt": False, "events": (event(5, grade=2),)}, "complete", ("patients.csv row S",)),
        # No start date, so the column cannot be checked against it, and is not believed against it.
        ({"dlt": False, "events": (event(None),)}, "pending", ("patients.csv row S", "ae.csv row 1")),
        ({"dlt": None, "events": None}, "pending", ("patients.csv row S",)),
        ({"dlt": None, "events": None, "discontinued": 9}, "not evaluable", ("patients.csv row S",)),
    ],
)
def test_a_dlt_column_is_taken_as_given(fields, kind, source):
    found = evaluate(trial(patient("S", 1, 1, **fields), last=40), protocol())["S"]
    assert (found.kind, found.source) == (kind, source)


def test_a_dlt_of_unknown_date_is_not_known_before_the_window_ends():
    one = trial(patient("S", 1, 1, dlt=True, events=None), last=60)
    found = [evaluate(one, protocol(), day(n), replay=True)["S"] for n in (28, 29, 60)]
    assert [(s.kind, s.unresolved) for s in found] == [("pending", True), ("dlt", False), ("dlt", False)]
    short = trial(patient("S", 1, 1, dlt=True, events=None), last=20)
    assert evaluate(short, protocol())["S"].kind == "dlt"


# Who did not complete the window.


@pytest.mark.parametrize(
    ("reason", "rule"), [("moved away", "dropout"), (None, "dropout"), ("Disease PROGRESSION.", "progression")]
)
@pytest.mark.parametrize(
    ("choice", "kind"), [("not-evaluable", "not evaluable"), ("no-dlt", "complete"), ("dlt", "dlt")], ids=["out", "no", "yes"]
)
def test_leaving_early(reason, rule, choice, kind):
    left = patient("S", 1, 1, discontinued=28, reason=reason)
    found = status(left, 28, evaluability={rule: choice})
    assert (found.kind, found.closed) == (kind, day(28))
    assert f"on 2024-01-28, day 28, before the window ended, with no DLT (evaluability.{rule} = {choice}" in found.rule
    other = "progression" if rule == "dropout" else "dropout"
    assert status(left, 28, evaluability={other: choice}).kind == "not evaluable"
    # The day before, nobody knew; on the last day of the window, it is complete.
    assert status(left, 27, evaluability={rule: choice}).kind == "pending"
    assert status(patient("S", 1, 1, discontinued=29, reason=reason), 29, evaluability={rule: choice}).kind == "complete"
    # A DLT counts, before leaving or after.
    for start in (5, 29):
        assert status(patient("S", 1, 1, discontinued=28, reason=reason, events=(event(start),)), 40).kind == "dlt"


def test_the_words_of_progression_are_whole_words():
    for reason, kind in [("progressional", "not evaluable"), ("biologics given", "dlt"), ("other-treatment", "dlt")]:
        left = patient("S", 1, 1, discontinued=9, reason=reason)
        assert status(left, 9, evaluability={"progression": "dlt"}).kind == kind


@pytest.mark.parametrize(("choice", "kind"), [("not-evaluable", "not evaluable"), ("no-dlt", "complete"), ("dlt", "dlt")])
def test_part_of_the_course(choice, kind):
    changed = {"evaluability": {"partial_course": choice}}
    assert [status(patient("S", 1, 1, 29), n, DLC, **changed).kind for n in (84, 85)] == ["pending", kind]
    assert status(patient("S", 1, 1, 29, 85), 85, DLC, **changed).kind == "complete"
    # An infusion after the window makes no course of it.
    assert status(patient("S", 1, 1, 29, 86), 90, DLC, **changed).kind == kind


def test_a_weight_is_no_handling_of_a_part_of_the_course():
    """Follow-up was complete: there is no share of the window."""
    with pytest.raises(
        dsf.InputError, match=r"evaluability\.partial_course = 'weight': must be 'not-evaluable', 'no-dlt' or 'dlt'"
    ):
        protocol(evaluability={"partial_course": "weight"})


def test_a_hazard_of_each_infusion_is_refused_with_the_reason():
    with pytest.raises(dsf.InputError, match=r"treatment\.window = 'per-infusion': is not available: a hazard per infusion"):
        protocol(treatment={"window": "per-infusion"})


# Replacement.


def test_a_replaced_patient_does_not_count():
    found = evaluate(
        trial(patient("R1", 1, 1), patient("R2", 1, 2, discontinued=9), patient("R3", 1, 3), patient("R4", 1, 20, replaces="R2")),
        protocol(),
        day(60),
    )
    assert kinds(found) == {"R1": "complete", "R2": "replaced", "R3": "complete", "R4": "complete"}
    assert (found["R2"].replaced_by, found["R2"].rule[:16]) == ("R4", "replaced by R4: ")
    assert found.cohorts() == [Cohort(1, 3, 0)]


@pytest.mark.parametrize(
    ("fields", "kind"),
    [({"events": (event(5),)}, "dlt"), ({"events": (event(5),), "discontinued": 9}, "dlt"), ({}, "complete")],
)
def test_evaluable_patient_is_not_replaced(fields, kind):
    found = evaluate(trial(patient("R1", 1, 1, **fields), patient("R2", 1, 20, replaces="R1")), protocol(), day(60))
    assert (found["R1"].kind, found["R1"].replaced_by, found["R2"].kind) == (kind, None, "complete")
    assert found.cohorts() == [Cohort(1, 2, int(kind == "dlt"))]


def test_invalid_replacements():
    """Nobody twice, nobody by one treated before, nobody by himself."""
    lost = {"discontinued": 9}
    found = evaluate(
        trial(
            patient("R1", 1, 1, replaces="R2"),
            patient("R2", 1, 2, **lost),
            patient("R3", 1, 3, replaces="R3", **lost),
            patient("R4", 1, 20, replaces="R2"),
            patient("R5", 1, 21, replaces="R2"),
        ),
        protocol(),
        day(60),
    )
    assert kinds(found) == {"R1": "complete", "R2": "replaced", "R3": "not evaluable", "R4": "complete", "R5": "complete"}
    assert found["R2"].replaced_by == "R4"


# Cohorts.


def test_a_dose_that_the_protocol_does_not_have_is_not_counted():
    found = evaluate(trial(patient("S", None, 1, events=(event(5),)), patient("T", 1, 2)), protocol(), day(60))
    assert found["S"].kind == "not evaluable"
    assert found["S"].rule.startswith("dose 2 is not in the protocol; otherwise DLT: adverse event of ae.csv row 1")
    assert (found["S"].cohort, found["T"].cohort) == (None, 1)
    assert found.cohorts() == [Cohort(1, 1, 0)]


def members(*patients, **changed):
    return [(one.cohort, one.level, " ".join(one.subjects)) for one in evaluate(trial(*patients), protocol(**changed)).members]


def test_cohorts_are_derived():
    three = [patient(f"P{n}", 1, n) for n in range(1, 8)]
    assert members(*three) == [(1, 1, "P1 P2 P3"), (2, 1, "P4 P5 P6"), (3, 1, "P7")]
    assert members(*three, limits={"cohort_size": [1, 2]}, designs={"3+3": {"kind": "boin"}}) == [
        *((1, 1, "P1"), (2, 1, "P2 P3")),
        *((3, 1, "P4 P5"), (4, 1, "P6 P7")),
    ]
    # One who has left by then leaves a place, one who leaves later does not.
    early, late = (patient("P2", 1, 2, discontinued=day_) for day_ in (3, 5))
    assert members(three[0], early, *three[2:4], last := three[4]) == [(1, 1, "P1 P2 P3 P4"), (2, 1, "P5")]
    assert members(three[0], late, *three[2:4], last) == [(1, 1, "P1 P2 P3"), (2, 1, "P4 P5")]
    # Two doses at once: the cohort begun first is filled. Come back to after all windows: a new one.
    assert members(patient("P1", 1, 1), patient("P2", 2, 2), patient("P3", 1, 3)) == [(1, 1, "P1 P3"), (2, 2, "P2")]
    assert members(patient("P1", 1, 1), patient("P2", 2, 30), patient("P3", 1, 60)) == [(1, 1, "P1"), (2, 2, "P2"), (3, 1, "P3")]


def test_cohorts_as_given():
    given_ = [patient("P1", 1, 1, cohort=1), patient("P2", 1, 2, cohort=2), patient("P3", 2, 3, cohort=1)]
    assert members(*given_) == [(1, 1, "P1"), (2, 1, "P2"), (1, 2, "P3")]
    with pytest.raises(dsf.InputError, match=r"subject P4 \(patients.csv row P4\), cohort = None: must be given for every patient"):
        members(*given_, patient("P4", 1, 4))
    note = "cohorts derived from the doses, the order of the first infusions and the cohort size"
    judged = [evaluate(data, protocol()).notes for data in (trial(*given_), trial(patient("P1", 1, 1)))]
    assert [note in notes for notes in judged] == [False, True]


def test_omissions_and_assumptions_are_noted():
    """A row without an infusion may be a patient whose infusion was forgotten; nobody is silently taken as followed up."""
    people = patient("P1", 1, 1), patient("P2", 1, 2), patient("P3", 1, 3, dlt=True, dlt_date=5, events=None)
    empty = [Listed(f"patients.csv row {row}", "no infusion") for row in range(4, 18)]
    data = trial(*people, listed=(*empty, Listed("dm.xpt row 1", "screen failure")))
    notes = evaluate(data, protocol(), day(20)).notes
    named = ", ".join(f"patients.csv row {row}" for row in range(4, 16))
    assert notes[:3] == (
        f"not counted, no infusion: {named} and 2 more",
        "not counted, screen failure: dm.xpt row 1",
        f"no last-contact date is given, so follow-up is assumed up to {day(20)}: P1, P2",
    )


def test_missing_last_contact_among_others_is_not_read_as_follow_up():
    """Where the data say of some how long they were followed, nobody else is known longer than to the own last date."""
    silent, told = patient("P1", 1, 1, events=(event(20, grade=1, row=2),)), patient("P2", 1, 2, last_contact=40)
    alone, beside = evaluate(trial(silent), protocol(), day(40)), evaluate(trial(silent, told), protocol(), day(40))
    assert (alone["P1"].kind, beside["P1"].kind, beside["P2"].kind) == ("complete", "pending", "complete")
    assert beside["P1"].unresolved
    assert beside["P1"].fraction == (20 - 1) / 28
    assert f"follow-up ends on {day(20)}, 20 days before the data cutoff date" in beside["P1"].rule
    words = (
        "no last-contact date is given, unlike for other patients, so follow-up is assumed to end on the patient's own last date: "
        "P1"
    )
    assert words in beside.notes
    # The last contact of who left says nothing of how others were followed; nor does that of somebody treated after the cut.
    left = patient("P4", 1, 3, last_contact=12, discontinued=12)
    assert evaluate(trial(silent, left), protocol(), day(40))["P1"].kind == "complete"
    late = patient("P5", 1, 50, last_contact=80)
    assert evaluate(trial(silent, late), protocol(), day(40), replay=True)["P1"].kind == "complete"
    # What happens after a cut does not show that somebody was followed up to it.
    later = patient("P6", 1, 1, events=(event(60, grade=1, row=3),))
    assert evaluate(trial(later, told), protocol(), day(40), replay=True)["P6"].kind == "pending"
    # SDTM and the like give a last contact of who has ended the study only.
    of_some = replace(trial(silent, told), keeps_contacts=False)
    assert evaluate(of_some, protocol(), day(40))["P1"].kind == "complete"
    # One who has just been infused is pending as with a last contact.
    fresh = evaluate(trial(patient("P3", 1, 39), told), protocol(), day(40))
    assert (fresh["P3"].kind, fresh["P3"].unresolved) == ("pending", False)


def test_completions_by_hand():
    found = evaluate(single_dose(), protocol(), day(42), replay=True)
    assert (found.pending, found.n_pending) == (((), ("A4", "A5", "A6")), 3)
    assert found.cohorts() == [Cohort(1, 3, 1)]
    assert found.cohorts([0, 2]) == [Cohort(1, 3, 1), Cohort(1, 3, 2)]
    assert [(c.dlts, c.cohorts[1].dlts, c.ways) for c in found.completions()] == [
        *(((0, 0), 0, 1), ((0, 1), 1, 3)),
        *(((0, 2), 2, 3), ((0, 3), 3, 1)),
    ]
    for pending, said in (
        ([0], r"pending = \[0\]: must be 2 numbers, one per cohort"),
        ([0, 4], r"pending\[2\] = 4: must be a whole number from 0 to 3"),
    ):
        with pytest.raises(dsf.InputError, match=said):
            found.cohorts(pending)
    none = evaluate(single_dose(), protocol(), day(83), replay=True)
    (only,) = none.completions()
    assert only[:6] == ((0, 0), [Cohort(1, 3, 1), Cohort(1, 3, 0)], 1, (), (), None)


def test_outcomes_that_have_come_close_the_patients():
    """At the end of the window; where a later event waits for adjudication, on its day."""
    people = patient("P1", 1, 1, events=(event(50, grade=4, row=2),)), patient("P2", 1, 40), patient("P3", 1, 41)
    found = evaluate(trial(*people, last=60), protocol(), day(60))
    assert found.open == (("P1", "P2", "P3"),)
    came = found.with_outcomes((2,))
    assert [(one.kind, one.closed, one.held, one.unresolved) for one in came.statuses] == [
        *(("dlt", day(50), False, False), ("dlt", day(68), False, False)),
        ("complete", day(69), False, False),
    ]
    assert came.cohorts() == [Cohort(1, 3, 2)]
    assert came.n_pending == 0


@pytest.mark.parametrize(
    ("fields", "fraction", "days_to_go", "closed"),
    [
        ({}, 1.0, 0, 29),
        ({"events": (event(10),)}, 9 / 28, 0, 10),
        ({"discontinued": 15}, 14 / 28, 0, 15),
        ({"last_contact": 22}, 21 / 28, 0, None),
    ],
)
def test_how_far_a_patient_was_followed(fields, fraction, days_to_go, closed):
    found = evaluate(trial(patient("S", 1, 1, **fields), last=40), protocol(), day(40))["S"]
    assert found.fraction == pytest.approx(fraction, rel=1e-15)
    assert (found.days_to_go, found.closed) == (days_to_go, None if closed is None else day(closed))


@pytest.mark.parametrize("part", ["placebo", "control"])
def test_patients_who_are_not_given_the_product_have_no_level(part):
    """Also where the data say with which level they were treated."""
    found = evaluate(trial(patient("S", 2, 1, part=part), patient("T", 2, 2)), protocol(), day(40))
    assert (found["S"].level, found["S"].administered, found["S"].kind) == (None, None, "not evaluable")
    assert (found["T"].level, found["T"].administered) == (2, 3)
    assert found.unplaced == []
    assert found.cohorts() == [Cohort(2, 1, 0)]


@pytest.mark.parametrize(
    ("fields", "as_of", "assessed", "overdue"),
    [
        ({"dlt": False, "events": None}, 28, False, False),
        ({"dlt": False, "events": None}, 29, True, False),
        ({"dlt": False, "events": None, "last_contact": 20}, 29, False, False),
        ({"dlt": False, "events": None, "last_contact": 20}, 30, False, True),
        ({"dlt": True, "dlt_date": 5, "events": None}, 10, True, False),
        ({"events": None}, 29, False, False),
        ({"events": None}, 30, False, True),
        ({"events": None, "part": "backfill"}, 30, False, True),
        ({"events": None, "part": "placebo"}, 30, False, False),
        ({"events": None, "died": day(20)}, 30, False, False),
        ({"events": ()}, 30, False, False),
    ],
)
def test_whether_an_outcome_is_assessed_or_overdue(fields, as_of, assessed, overdue):
    found = evaluate(trial(patient("S", 1, 1, **fields), last=as_of), protocol(), day(as_of))
    assert (found["S"].assessed, found["S"].overdue) == (assessed, overdue)
    assert [one.subject for one in found.overdue] == ["S"] * overdue
    noted = any(note.startswith("no DLT assessment is recorded") for note in found.notes)
    assert noted == (found["S"].kind == "complete" and not assessed)


# Replay.

LETTERS = {"dlt": "T", "complete": "N", "pending": "p", "not evaluable": "x", "replaced": "r"}


def replayed(data, name, number):
    found = evaluate(data, protocol(name), day(number), replay=True)
    groups = (f"{m.level}{''.join(LETTERS[found[s].kind] for s in m.subjects)}" for m in found.members)
    return " ".join(groups), " ".join(f"{c.level}:{c.dlts}/{c.n}" for c in found.cohorts())


@pytest.mark.parametrize(
    ("number", "statuses", "counts"),
    [
        (0, "", ""),
        (1, "1p", ""),
        (9, "1ppp", ""),
        (10, "1pTp", "1:1/1"),
        (28, "1pTp", "1:1/1"),
        (29, "1NTp", "1:1/2"),
        (32, "1NTp", "1:1/2"),
        (33, "1NTN", "1:1/3"),
        (40, "1NTN 1p", "1:1/3"),
        (49, "1NTN 1ppp", "1:1/3"),
        (50, "1NTN 1pxp", "1:1/3"),
        (54, "1NTN 1pxp", "1:1/3"),
        (55, "1NTN 1prpp", "1:1/3"),
        (68, "1NTN 1Nrpp", "1:1/3 1:0/1"),
        (70, "1NTN 1NrNp", "1:1/3 1:0/2"),
        (82, "1NTN 1NrNp", "1:1/3 1:0/2"),
        (83, "1NTN 1NrNN", "1:1/3 1:0/3"),
        (92, "1NTN 1NrNN 2ppp", "1:1/3 1:0/3"),
    ],
)
def test_the_single_dose_trial_date_by_date(number, statuses, counts):
    assert replayed(single_dose(), AS, number) == (statuses, counts)


@pytest.mark.parametrize(
    ("number", "statuses", "counts"),
    [
        (59, "1ppp", ""),
        (60, "1pxp", ""),
        (71, "1pxpp", ""),
        (84, "1pxpp", ""),
        (85, "1Nxpp", "1:0/1"),
        (98, "1Nxpp", "1:0/1"),
        # Two infusions of three by the end of the window.
        (99, "1Nxxp", "1:0/1"),
        (154, "1Nxxp", "1:0/1"),
        (155, "1NxxT", "1:1/2"),
    ],
)
def test_the_three_dose_trial_date_by_date(number, statuses, counts):
    assert replayed(three_doses(), DLC, number) == (statuses, counts)


def test_dates_after_the_data_cut_are_an_error_unless_replayed():
    data = trial(patient("S", 1, 1, last_contact=30, events=(event(35, row=2),)), patient("T", 1, 28, discontinued=29))
    with pytest.raises(dsf.InputError) as caught:
        evaluate(data, protocol(), day(28))
    assert str(caught.value).split("\n  ") == [
        "subject S (patients.csv row S), last_contact = '2024-01-30': is after the data cutoff date 2024-01-28",
        "subject S (patients.csv row S), start of the event of ae.csv row 2 = '2024-02-04': is after the data cutoff date "
        "2024-01-28",
        "subject T (patients.csv row T), discontinued = '2024-01-29': is after the data cutoff date 2024-01-28; to return to "
        "that date and ignore later data, request a replay",
    ]
    found = evaluate(data, protocol(), day(28), replay=True)
    assert found.later_dates == 3
    assert found.closing() == "3 rows read: 3 used (2 patients), 0 not used; data cutoff 2024-01-28; 3 later dates ignored."
    assert evaluate(data, protocol()).later_dates == 0


def test_a_dlt_column_is_replayed_by_its_date():
    data = trial(patient("S", 1, 1, dlt=True, dlt_date=9, events=None), patient("T", 1, 2, dlt=False, events=None), last=40)
    for number, letters in ((8, "pp"), (9, "Tp"), (29, "Tp"), (30, "TN")):
        assert replayed(data, AS, number)[0] == f"1{letters}"
    # Before its day nothing was known of it.
    before = evaluate(data, protocol(), day(8), replay=True)
    assert not before["S"].unresolved
    assert (before.patients[0].dlt, before.patients[0].dlt_date) == (False, None)


def test_the_data_cut():
    data = single_dose()
    assumed = evaluate(data, protocol())
    assert (assumed.as_of, assumed.as_of_assumed) == (day(92), True)
    assert assumed.closing().endswith("data cutoff 2024-04-01, assumed: the last date in the data.")
    stated = evaluate(data, protocol(), day(92))
    assert (stated.as_of_assumed, stated.statuses) == (False, assumed.statuses)
    for wrong in ("2024-03-01", datetime(2024, 3, 1), 20240301):
        with pytest.raises(dsf.InputError, match=r"as_of = .*: must be a date such as date\(2024, 3, 1\)"):
            evaluate(data, protocol(), wrong)
    with pytest.raises(dsf.InputError, match="replay = True needs as_of"):
        evaluate(data, protocol(), replay=True)


# Every row is accounted for.


def test_rows_in_are_rows_out():
    listed = (Listed("patients.csv row 9", "screen failure"),)
    data = trial(patient("S", 1, 1, events=(event(5, grade=1),)), patient("T", 1), listed=listed, last=60)
    found = evaluate(data, protocol())
    assert found.rows == 4
    assert found.listed == (*listed, Listed("patients.csv row T", "no infusion by 2024-02-29"))
    assert found.closing() == (
        "4 rows read: 2 used (1 patient), 2 not used (screen failure, no infusion by 2024-02-29); "
        "data cutoff 2024-02-29, assumed: the last date in the data."
    )
    for rows in (3, 5):
        with pytest.raises(dsf.InputError, match=f"rows = {rows}: must be the 3 of patients and the 1 listed, each row in one"):
            evaluate(data.__class__(**{**vars(data), "rows": rows}), protocol())
    twice = trial(patient("S", 1, 1), listed=(Listed("patients.csv row S", "screen failure"),))
    with pytest.raises(dsf.InputError, match="each row in one of them"):
        evaluate(twice, protocol())
    with pytest.raises(dsf.InputError, match="subject = 'S': must identify one patient only"):
        evaluate(trial(patient("S", 1, 1), patient("S", 1, 2)), protocol())


def test_the_audit_table():
    table = evaluate(single_dose(), protocol(), day(55), replay=True).audit()
    columns = ["subject", "cohort", "level", "status", "first_infusion", "window_ends", "rule", "source"]
    assert table.columns.tolist() == columns
    assert table.subject.tolist() == [f"A{n}" for n in range(1, 8)]
    assert table.set_index("subject").loc[["A2", "A5", "A6"]].to_numpy().tolist() == [
        [
            *(1, 1, "dlt", "2024-01-03", "2024-01-31"),
            "adverse event of ae.csv row 1 (grade 3; possibly related; began on 2024-01-10, day 8), a DLT by the protocol's "
            "definition",
            "patients.csv row A2; ae.csv row 1",
        ],
        [
            *(2, 1, "replaced", "2024-02-10", "2024-03-09"),
            "replaced by A7: discontinued on 2024-02-19, day 10, before the window ended, with no DLT "
            "(evaluability.dropout = not-evaluable)",
            "patients.csv row A5",
        ],
        [
            *(2, 1, "pending", "2024-02-11", "2024-03-10"),
            "no DLT so far, 15 days to go, 46% of the window followed up; "
            "adverse event of ae.csv row 4 (grade 3; unlikely; began on 2024-02-14, day 4) is not a DLT: not related",
            "patients.csv row A6; ae.csv row 4",
        ],
    ]
    # No term and no reason for leaving is shown.
    assert not any(word in " ".join(table.rule) for word in ("fever", "consent"))


# Properties. A diary is what happened on which day; the patients of a day are made from the entries up to it.

EVENTS = st.tuples(st.integers(0, 40), st.integers(1, 5), st.sampled_from(["related", "unlikely", "possible", "no"]))
DIARIES = st.lists(
    st.tuples(
        st.integers(1, 3),
        st.integers(1, 60),
        st.one_of(st.none(), st.integers(0, 40)),
        st.sampled_from([None, "progression", "moved away"]),
        st.lists(EVENTS, max_size=3),
    ),
    max_size=8,
)


def from_diary(diary, until):
    """Patients as they would stand in tables closed on a day."""
    found = []
    for number, (level, start, left, reason, events) in enumerate(diary, start=1):
        if start > until:
            continue
        told = tuple(
            event(start + after, grade, related, row=100 * number + place)
            for place, (after, grade, related) in enumerate(events)
            if start + after <= until
        )
        gone = {} if left is None or start + left > until else {"discontinued": start + left, "reason": reason}
        found.append(patient(f"D{number}", level, start, events=told, **gone))
    return trial(*found, last=until)


def by_walking_the_days(entry, until):
    """Status under the default settings, found by living through the window day by day."""
    _, start, left, _, events = entry
    gone = False
    for today in range(start, until + 1):
        if today - start > 28:
            break
        if any(start + after == today and grade >= 3 and related in ("related", "possible") for after, grade, related in events):
            return "dlt"
        gone = gone or (left is not None and start + left == today and left < 28)
    # A death in the window that is no DLT by the definition awaits adjudication, whatever else there is.
    if any(grade == 5 and after <= 28 and start + after <= until for after, grade, _ in events):
        return "pending"
    if gone:
        return "not evaluable"
    return "complete" if until - start >= 28 else "pending"


@settings(max_examples=examples(150), deadline=None)
@given(DIARIES, st.integers(1, 110))
def test_statuses_are_those_of_living_through_the_window(diary, until):
    found = evaluate(from_diary(diary, until), protocol(), day(until))
    lived = {f"D{number}": by_walking_the_days(entry, until) for number, entry in enumerate(diary, start=1) if entry[1] <= until}
    assert kinds(found) == lived
    # Statuses partition the patients, and cohorts hold those that count.
    assert set(lived.values()) <= set(KINDS)
    counted = [kind for kind in lived.values() if kind in ("dlt", "complete")]
    assert (sum(c.n for c in found.cohorts()), sum(c.dlts for c in found.cohorts())) == (len(counted), counted.count("dlt"))
    assert sum(c.ways for c in found.completions()) == 2 ** sum(map(len, found.open))
    for completion in found.completions():
        assert sum(c.n for c in completion.cohorts) == len(counted) + found.n_pending
        assert sum(c.dlts for c in completion.cohorts) == counted.count("dlt") + sum(completion.dlts)
    assert sorted(s for one in found.members for s in one.subjects) == sorted(lived)


@settings(max_examples=examples(100), deadline=None)
@given(DIARIES, st.integers(1, 110))
def test_a_replay_knows_what_was_known(diary, until):
    """Going back to a day gives what tables closed on that day give."""
    back = evaluate(from_diary(diary, 200), protocol(), day(until), replay=True)
    then = evaluate(from_diary(diary, until), protocol(), day(until))
    assert (back.statuses, back.patients, back.members) == (then.statuses, then.patients, then.members)
    assert list(back.completions()) == list(then.completions())


@settings(max_examples=examples(50), deadline=None)
@given(DIARIES, st.integers(1, 110), st.randoms(use_true_random=False))
def test_the_order_of_patients_does_not_matter(diary, until, shuffle: random.Random):
    data = from_diary(diary, 200)
    mixed = list(data.patients)
    shuffle.shuffle(mixed)
    other = data.__class__(**{**vars(data), "patients": tuple(mixed)})
    assert evaluate(other, protocol(), day(until), replay=True) == evaluate(data, protocol(), day(until), replay=True)


@settings(max_examples=examples(50), deadline=None)
@given(DIARIES, st.sampled_from(["not-evaluable", "no-dlt", "dlt"]))
def test_time_settles_outcomes(diary, choice):
    """Nobody who is complete or has a DLT is ever pending again, and a DLT stays one."""
    data, rules = from_diary(diary, 120), protocol(evaluability={"dropout": choice})
    # Only a death in the window, which awaits adjudication, opens an outcome again.
    deaths = {f"D{n}" for n, entry in enumerate(diary, start=1) if any(one[1] == 5 and one[0] <= 28 for one in entry[4])}
    settled: dict[str, str] = {}
    cut = day(1)
    while cut <= day(120):
        now = kinds(evaluate(data, rules, cut, replay=True))
        for subject, before in settled.items():
            assert now[subject] == before or (before == "complete" and now[subject] == "dlt") or subject in deaths
        settled = {subject: kind for subject, kind in now.items() if kind in ("complete", "dlt")}
        cut += timedelta(days=3)
    waiting = {subject for subject, kind in kinds(evaluate(data, rules)).items() if kind == "pending"}
    assert waiting <= deaths


def test_parts_of_a_trial_are_defined_once():
    assert typing.get_args(dsf.protocol.Part) == PARTS


def test_a_name_of_a_design_is_no_design():
    found = evaluate(trial(patient("A1", 1, 1)), protocol())
    for wrong in ("boin", None, 3):
        with pytest.raises(dsf.InputError, match="must be a design") as error:
            found.for_design(wrong)
        assert error.value.problems[0].where == "design"
    assert found.for_design(build_designs(protocol())["boin"]).cohorts == found.cohorts()


def test_patients_whom_a_design_does_not_count_are_listed_with_the_reason():
    known = {"last_contact": 60}
    people = (
        patient("A1", 1, 1, **known),
        patient("A2", 1, 2, events=(event(5),), **known),
        patient("A3", 1, 3, last_contact=9, discontinued=9, reason="withdrew consent"),
        patient("A4", 1, 4, part="backfill", **known),
        patient("A5", 1, 50, **known),
        patient("A6", 1, 5, part="placebo", **known),
    )
    found = evaluate(trial(*people), protocol()).for_design(build_designs(protocol())["boin"])
    assert found.left_out == (("A3", "not evaluable"), ("A6", "placebo"), ("A5", "pending"))


# Faults that these tests must notice.

FAULTS = {
    "the window is a day longer": (
        "dosefind.evaluability.window:window",
        lambda old: lambda patient, protocol: (old(patient, protocol)[0], old(patient, protocol)[1] + timedelta(days=1)),
        test_the_window_ends_on_its_last_day,
    ),
    "a DLT needs a grade less": (
        "dosefind.protocol:DLT.least_grade_of",
        lambda old: lambda self, *given: old(self, *given) - 1,
        test_which_event_is_a_dlt,
    ),
    "whoever has not been followed up is": (
        "dosefind.evaluability.verdict:followed_to",
        lambda _: lambda patient, cut: cut,
        test_follow_up_that_is_behind_the_data_cut,
    ),
    "progression is no reason of its own": (
        "dosefind.protocol:Evaluability.is_progression",
        lambda _: lambda self, reason: False,
        test_leaving_early,
    ),
    "a replay knows what came later": (
        "dosefind.evaluability.judging:known_by",
        lambda _: lambda patient, cut: patient,
        test_the_single_dose_trial_date_by_date,
    ),
    "an outcome that can change is settled": (
        "dosefind.evaluability.evaluated:Status.open",
        lambda _: property(lambda self: False),
        test_completions_by_hand,
    ),
    "whoever left early has no DLT": (
        "dosefind.evaluability.verdict:toxicities",
        lambda old: lambda patient, protocol: ([], []) if patient.discontinued else old(patient, protocol),
        test_leaving_early,
    ),
    "an event of which something is not known is no DLT": (
        "dosefind.evaluability.verdict:toxicities",
        lambda old: lambda patient, protocol: (old(patient, protocol)[0], []),
        test_which_event_is_a_dlt,
    ),
    "a pending outcome counts as no DLT": (
        "dosefind.evaluability.evaluated:Evaluated.cohorts",
        lambda old: lambda self, pending=None: old(self, [0] * len(self.members) if pending is None else pending),
        test_completions_by_hand,
    ),
    "a column of DLTs is not held against the events": (
        "dosefind.evaluability.judging:_contradictions",
        lambda _: lambda patient, protocol: iter(()),
        test_a_column_that_disagrees_stops,
    ),
}

test_fault_is_caught = faults(FAULTS)
