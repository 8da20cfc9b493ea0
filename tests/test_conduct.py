"""How the trial was run: each deviation found with its patients and days, and from when who may start."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dosefind as dsf
from dosefind.adjudications import Adjudicated, in_force
from dosefind.conduct import earliest, findings, in_turn
from dosefind.evaluability import evaluate

from .made_up import day, event, patient, protocol, single_dose, three_doses, trial
from .planted import faults
from .quick import examples

AS, DLC = "nct05962762", "nct05948982"


def found(*patients, name=AS, as_of=None, most=None, **changed):
    """Findings as rule, subjects, days of the trial."""
    rules = protocol(name, **changed)
    evaluated = evaluate(trial(*patients), rules, None if as_of is None else day(as_of), replay=as_of is not None)
    return [
        (one.rule, " ".join(one.subjects), [(date - day(1)).days + 1 for date in one.dates])
        for one in findings(evaluated, rules, most)
    ]


def words(*patients, name=AS, **changed):
    rules = protocol(name, **changed)
    return [one.words for one in findings(evaluate(trial(*patients), rules), rules)]


def group(level, *starts, first=1, **fields):
    return [patient(f"S{level}{number}", level, start, **fields) for number, start in enumerate(starts, start=first)]


def test_a_trial_by_the_rules():
    assert found(*single_dose().patients) == []
    assert found(*group(1, 1, 1, 1), *group(2, 29, 29, 29), *group(3, 57, 64, 71)) == []


def test_a_dose_that_the_protocol_does_not_have():
    assert found(patient("S", None, 4)) == [("dose not in the protocol", "S", [4])]
    assert words(patient("S", None, 4)) == ["S was given 2, but the protocol has 1, 3, 5 10^6 cells/kg"]


def test_two_doses_in_a_cohort():
    both = [patient("S1", 1, 1, cohort=1), patient("S2", 2, 60, cohort=1), patient("S3", 2, 61, cohort=1)]
    assert found(*both) == [("two doses in a cohort", "S2 S3", [60, 61])]
    assert words(*both) == ["cohort 1 began at level 1; S2, S3 were treated at level 2"]


def test_two_dose_groups_at_once():
    at_once = [*group(1, 1, 40), *group(2, 40)]
    early = ("group started before the last window closed", "S12 S21", [40, 68])
    assert found(*at_once) == [("two dose groups at once", "S12 S21", [40, 40]), early]
    assert words(*at_once)[0] == "S21 was first treated at level 2 when level 1 had begun with S12 on 2024-02-09"
    # A patient treated later at the level left behind belongs to that group while its windows run.
    assert found(*group(1, 1, 20), *group(2, 15))[0] == ("two dose groups at once", "S21 S12", [15, 20])
    assert found(*at_once, treatment={"no_overlap": False}) == []
    # Coming back to a dose is no overlap.
    assert found(*group(1, 1), *group(2, 29), *group(1, 57, first=2)) == []


@pytest.mark.parametrize(
    ("before", "start", "subjects"),
    [
        ({}, 29, None),
        ({}, 28, "S21 S11"),
        # Nobody waits for a patient with a DLT, or for one who has left.
        ({"events": (event(5),)}, 5, None),
        ({"events": (event(5),)}, 4, "S21 S11"),
        ({"discontinued": 10}, 10, None),
        ({"discontinued": 10}, 9, "S21 S11"),
    ],
)
def test_a_group_started_before_the_last_window_closed(before, start, subjects):
    rule = "group started before the last window closed"
    expected = [] if subjects is None else [(rule, subjects, [start, 29])]
    assert found(*group(1, 1, **before), *group(2, start)) == expected
    assert found(*group(1, 1, **before), *group(2, start), treatment={"no_overlap": False}) == []


def test_down_a_group_waits_too():
    early = [*group(2, 1, 2), *group(1, 29)]
    assert found(*early) == [("group started before the last window closed", "S11 S22", [29, 30])]
    assert words(*early) == [
        "level 1 began with S11 on 2024-01-29, before the DLT windows of earlier groups had ended: S22 on 2024-01-30"
    ]
    # A second cohort at the dose is no new group.
    assert found(*group(1, 1, 2, 3, 4)) == []


@pytest.mark.parametrize(
    ("stagger", "level", "starts", "pairs"),
    [
        # Seven days at the high dose, every patient.
        ({}, 3, (1, 8, 15), []),
        ({}, 3, (1, 7, 14), ["S31 S32"]),
        ({}, 3, (1, 7, 13), ["S31 S32", "S32 S33"]),
        ({}, 2, (1, 2, 3), []),
        ({"levels": "all"}, 2, (1, 2, 9), ["S21 S22"]),
        ({"days": 10}, 3, (1, 11, 20), ["S32 S33"]),
        # A sentinel: only the first is waited for.
        ({"patients": "first"}, 3, (1, 8, 8), []),
        ({"patients": "first"}, 3, (1, 7, 8), ["S31 S32"]),
        ({"patients": "first"}, 3, (1, 2, 3), ["S31 S32", "S31 S33"]),
    ],
)
def test_patients_too_close_together(stagger, level, starts, pairs):
    changed = {"stagger": {"days": 7, "levels": [3], "patients": "every"} | stagger}
    made = found(*group(level, *starts), treatment=changed)
    assert [one[:2] for one in made] == [("patients too close together", pair) for pair in pairs]


def test_patients_too_close_together_in_words():
    assert words(*group(3, 1, 2)) == [
        "S32 was first treated at level 3 on 2024-01-02, 1 day after S31 on 2024-01-01; the minimum is 7 days"
    ]


def test_too_many_patients_on_a_dose():
    seven = group(1, *range(1, 8))
    assert found(*seven) == [("too many patients on a dose", "S17", [7])]
    assert words(*seven) == ["7 patients are evaluable for DLT at level 1; the maximum is 6; enrolled beyond it: S17"]
    assert found(*seven, most=5) == [("too many patients on a dose", "S16 S17", [6, 7])]
    assert found(*seven, most=18) == []
    # Whoever does not count takes no place.
    assert found(*seven[:5], patient("S16", 1, 6, discontinued=7), seven[6]) == []
    assert found(*seven, limits={"max_n": 6, "group": [3, 6]}, designs={"3+3": {"kind": "boin"}}, most=7) == [
        ("too many patients", "S17", [7])
    ]
    with pytest.raises(dsf.InputError, match="max_per_dose = 0: must be a whole number, at least 1"):
        found(*seven, most=0)


@pytest.mark.parametrize(
    ("infusions", "tolerance", "days"),
    [
        ((1, 29, 57), 0, []),
        ((3, 31, 59), 0, []),
        ((1, 30, 57), 0, [30]),
        ((1, 28, 58), 0, [28, 58]),
        ((1, 27, 59), 2, []),
        ((1, 26, 60), 2, [26, 60]),
        ((1, 29, 57, 85), 0, [85]),
    ],
)
def test_an_infusion_off_its_schedule(infusions, tolerance, days):
    made = found(patient("S", 1, *infusions), name=DLC, treatment={"infusion_tolerance_days": tolerance})
    assert made == [("infusion off its schedule", "S", [n]) for n in days]


def test_an_infusion_off_its_schedule_in_words():
    assert words(patient("S", 1, 1, 30, 57, 85), name=DLC) == [
        "S had infusion 2 on 2024-01-30, day 30; planned on day 29",
        "S had infusion 4 on 2024-03-25, but the protocol plans 3",
    ]


@pytest.mark.parametrize(
    ("fields", "as_of", "days"),
    [
        ({}, 56, []),
        ({}, 57, []),
        ({}, 58, [57]),
        ({"discontinued": 40}, 40, [57]),
        # After a DLT no further infusion is expected.
        ({"events": (event(57),)}, 60, []),
        ({"events": (event(58),)}, 60, [57]),
    ],
)
def test_a_partial_course(fields, as_of, days):
    made = found(patient("S", 1, 1, 29, **fields), patient("T", 2, 200), name=DLC, as_of=as_of)
    assert made == [("partial course", "S", [n]) for n in days]


@pytest.mark.parametrize(("as_of", "days"), [(60, []), (61, [57])])
def test_an_infusion_is_missed_after_its_tolerance(as_of, days):
    made = found(patient("S", 1, 1, 29), patient("T", 2, 200), name=DLC, as_of=as_of, treatment={"infusion_tolerance_days": 3})
    assert made == [("partial course", "S", [n]) for n in days]


def test_amounts_that_differ_within_a_course():
    people = (patient("B1", 1, 1, 29, 57, amounts=(1, 2, 1)), patient("B2", 1, 2, 30, 58), patient("B3", 1, 3, 31, amounts=(1, 1)))
    assert found(*people, name=DLC)[0] == ("dose of another level administered", "B1", [29])
    assert words(*people, name=DLC)[0] == (
        "B1 had infusion 2 on 2024-01-29 at 2, the dose of level 2; the first was at level 1, 1 10^6 cells/kg"
    )
    other = patient("B1", 1, 1, 29, 57, amounts=(1, 1.5, 1))
    assert found(other, name=DLC)[0] == ("amounts within a course differ", "B1", [29])
    assert words(other, name=DLC)[0] == "B1 had infusion 2 on 2024-01-29 at 1.5, but the first at 1 10^6 cells/kg"
    # The second infusion had not been given the day before.
    assert found(*people, name=DLC, as_of=28) == []


def test_a_partial_course_in_words():
    assert words(*three_doses().patients, name=DLC) == [
        "B2 had 2 of 3 infusions; the next was due on 2024-03-04, and the patient discontinued on 2024-02-29",
        "B3 had 2 of 3 infusions; the next was due on 2024-03-11",
    ]


def test_replacements_that_do_not_fit():
    lost = {"discontinued": 9}
    patients = [
        patient("R1", 1, 1, replaces="R2"),
        patient("R2", 1, 2, **lost),
        patient("R3", 1, 3, replaces="R3", **lost),
        patient("R4", 1, 20, replaces="R2"),
        patient("R5", 1, 21, replaces="R2"),
        patient("R6", 1, 22, replaces="R9"),
        patient("R7", 1, 23, replaces="R8"),
        patient("R8", 1, 4, events=(event(5),)),
        patient("R9", 1),
    ]
    assert [one for one in found(*patients, most=18) if one[0] == "replacement"] == [
        ("replacement", "R1 R2", [1]),
        ("replacement", "R3", [3]),
        ("replacement", "R5 R2", [21]),
        ("replacement", "R6 R9", [22]),
        ("replacement", "R7 R8", [23]),
    ]
    assert [text.split(": ")[0] for text in words(*patients) if "is recorded as the replacement of" in text] == [
        "R1 is recorded as the replacement of R2, who is already replaced by R4",
        "R3 is recorded as the replacement of R3, who was not treated earlier",
        "R5 is recorded as the replacement of R2, who is already replaced by R4",
        "R6 is recorded as the replacement of R9, but no such patient was treated by the data cutoff date",
        "R7 is recorded as the replacement of R8, who is evaluable for DLT and is not replaced",
    ]
    elsewhere = [patient("R1", 1, 1, **lost), patient("R2", 2, 40, replaces="R1")]
    assert words(*elsewhere) == ["R2 is recorded as the replacement of R1, but was treated at another dose"]


def death(subject, start, of=5, related="related", **fields):
    return patient(subject, 1, start, events=(event(start + of, 5, related),), died=day(start + of), **fields)


def said(subject, on, conclusion="DLT", of=6, term="fever", as_of=None):
    """An adjudication of an event on day ``of``."""
    made = (day(on if as_of is None else as_of), day(on), "NCT05962762", "", subject, day(of), term, 5)
    return Adjudicated(*made, conclusion, "committee", "so")


HELD = "started during a hold"


@pytest.mark.parametrize(
    ("adjudications", "rows"),
    [
        # The death of S11 on day 6; S12 and S13 started on days 6 and 7, S21 on day 40.
        ([], ["S13", "S21"]),
        ([said("S11", 7)], []),
        ([said("S11", 30)], ["S13"]),
        ([said("S11", 41)], ["S13", "S21"]),
        ([said("S11", 30, "retracted")], ["S13", "S21"]),
        ([said("S11", 30), said("S11", 50, "not a DLT")], ["S13"]),
        ([said("S11", 30), said("S11", 35, "retracted"), said("S11", 50)], ["S13", "S21"]),
        ([said("S11", 30, term="headache")], ["S13", "S21"]),
        # On the event before the death, and of the death without its event.
        ([said("S11", 30, as_of=5)], ["S13", "S21"]),
        ([said("S11", 30, term="death")], ["S13"]),
    ],
)
def test_starts_after_a_serious_event_and_before_its_adjudication(adjudications, rows):
    people = [death("S11", 1), *group(1, 6, 7, first=2), *group(2, 40)]
    rules = protocol()
    evaluated = evaluate(trial(*people), rules, adjudications=in_force(adjudications, day(60)))
    shown = [one for one in findings(evaluated, rules, None, adjudications) if one.rule == HELD]
    assert [one.subjects for one in shown] == [(subject, "S11") for subject in rows]
    assert all(one.dates[1] == day(6) and one.dates[0] > day(6) for one in shown)


@pytest.mark.parametrize(
    ("people", "rows"),
    [
        ([patient("S1", 1, 1, events=(event(8, 3),)), patient("S2", 1, 9)], []),
        ([patient("S1", 1, 1, events=(event(8, 3, serious=True),)), patient("S2", 1, 9)], ["S2"]),
        ([patient("S1", 1, 1, events=(event(None, 4),)), patient("S2", 1, 9)], []),
        ([death("S1", 1, part="placebo", amount=0.0), patient("S2", 1, 9)], []),
    ],
)
def test_starts_that_are_not_during_a_hold(people, rows):
    assert [subjects.split()[0] for rule, subjects, _ in found(*people) if rule == HELD] == rows


def test_unrelated_death_causes_no_hold_with_any_death_false():
    people = [death("S1", 1, related="not related"), patient("S2", 1, 9)]
    assert [one[0] for one in found(*people)] == [HELD]
    assert found(*people, pause={"any_death": False}) == []


@pytest.mark.parametrize("part", ["backfill", "expansion"])
def test_backfill_and_expansion_above_the_escalation(part):
    beside = [patient("E2", 2, 29, part=part), patient("E3", 3, 29, part=part), patient("E4", 3, 57, part=part)]
    people = [*group(1, 1, 1, 1), *group(2, 29, 29, 29), *group(3, 57), *beside]
    rule = "level above the escalation"
    assert [one for one in found(*people, treatment={"no_overlap": False, "stagger": None}) if one[0] == rule] == [
        (rule, "E3", [29])
    ]
    alone = [patient("E1", 1, 4, part=part), patient("S1", 1, 5)]
    assert (rule, "E1", [4]) in found(*alone)
    assert rule not in [one[0] for one in found(patient("R1", 1, 1, part="run-in"), patient("S1", 1, 5))]


def test_what_was_not_known_is_not_found():
    seven = group(1, *range(1, 8))
    assert found(*seven, as_of=6) == []
    assert found(*group(1, 1), *group(2, 28), as_of=27) == []


# Who may start when.


def starts(data, as_of, level, name=AS, **changed):
    """Days of the trial from which the next patient and the next group may start, and why."""
    rules = protocol(name, **changed)
    one = earliest(evaluate(data, rules, day(as_of), replay=True), rules, level)
    return [(None if start.day is None else (start.day - day(1)).days + 1, start.words) for start in one]


AT_ONCE = "immediately: no rule of the protocol requires this patient to wait"


@pytest.mark.parametrize(
    ("as_of", "level", "patient_", "group_"),
    [
        (1, 1, (1, AT_ONCE), (None, "cohort 1 at level 1 is not complete")),
        (5, 1, (33, "the DLT window of A3 ends"), (33, "the DLT window of A3 ends")),
        (12, 1, (33, "the DLT window of A3 ends"), (33, "the DLT window of A3 ends")),
        (33, 1, (33, AT_ONCE), (33, AT_ONCE)),
        (50, 1, (50, AT_ONCE), (None, "cohort 2 at level 1 is not complete")),
        (55, 1, (83, "the DLT window of A7 ends"), (83, "the DLT window of A7 ends")),
        (55, 2, (83, "the DLT window of A7 ends"), (83, "the DLT window of A7 ends")),
        (92, 1, (120, "the DLT window of A10 ends"), (120, "the DLT window of A10 ends")),
        (92, 2, (120, "the DLT window of A10 ends"), (120, "the DLT window of A10 ends")),
        (92, 3, (120, "the DLT window of A10 ends"), (None, "there is no level above level 3")),
    ],
)
def test_earliest_starts_in_the_single_dose_trial(as_of, level, patient_, group_):
    assert starts(single_dose(), as_of, level) == [patient_, group_]


def test_earliest_starts_in_the_three_dose_trial():
    assert starts(three_doses(), 30, 1, DLC) == [(99, "the DLT window of B3 ends")] * 2
    assert starts(three_doses(), 155, 1, DLC)[0] == (155, AT_ONCE)


def test_at_the_high_dose_the_next_patient_waits_seven_days():
    data = trial(*group(3, 1, 8), last=8)
    assert starts(data, 8, 3)[0] == (15, "7 days after S32 at level 3")
    assert starts(data, 14, 3)[0] == (15, "7 days after S32 at level 3")
    assert starts(data, 15, 3)[0] == (15, AT_ONCE)
    sentinel = {"stagger": {"days": 7, "levels": "all", "patients": "first"}}
    assert starts(trial(*group(2, 1)), 1, 2, treatment=sentinel)[0] == (8, "7 days after S21 at level 2")
    assert starts(trial(*group(2, 1, 8)), 8, 2, treatment=sentinel)[0] == (8, AT_ONCE)


def test_those_after_the_next_patient_start_in_turn():
    def turn(data, level, size, **changed):
        rules = protocol(**changed)
        evaluated = evaluate(data, rules)
        return in_turn(evaluated, rules, level, size, earliest(evaluated, rules, level).patient)

    full = trial(*group(1, 1, 1, 1), *group(2, 29, 29, 29), last=57)
    assert turn(full, 3, 3) == f"each further patient 7 days after the previous one, the last of 3 patients not before {day(71)}"
    assert turn(full, 3, 1) == turn(full, 2, 3) == ""
    sentinel = {"stagger": {"days": 7, "levels": "all", "patients": "first"}}
    assert turn(full, 3, 3, treatment=sentinel) == f"the others 7 days after the first, not before {day(64)}"
    assert turn(full, 2, 3, treatment=sentinel) == ""
    unfilled = trial(*group(2, 1), last=1)
    assert turn(unfilled, 3, 2) == "each further patient 7 days after the previous one"


def test_a_dose_of_none_of_the_levels_is_waited_for():
    """At the next level up, or the top one: 4 and 50 count as 5, 2 does not; and all do where dose groups are sequential."""
    unknown = [patient(f"X{amount:g}", None, 60, amount=amount) for amount in (2, 4, 50)]
    for one, near in zip(unknown, (False, True, True), strict=True):
        data = trial(*group(1, 1, 1, 1), *group(2, 30, 30, 30), one, last=61)
        window = (88, f"the DLT window of {one.subject} ends")
        assert starts(data, 61, 3, treatment={"no_overlap": False})[0] == (window if near else (61, AT_ONCE))
        assert starts(data, 61, 3)[0] == window
    # A sentinel stays one, whoever else there was.
    sentinel = {"stagger": {"days": 7, "levels": [3], "patients": "first"}, "no_overlap": False}
    data = trial(*group(2, 1, 1, 1), patient("X4", None, 30, amount=4), patient("S31", 3, 60))
    assert starts(data, 60, 3, treatment=sentinel)[0] == (67, "7 days after S31 at level 3")


def test_overlapping_groups_do_not_wait_for_another_dose():
    assert starts(trial(*group(1, 1)), 1, 1, treatment={"no_overlap": False}) == [(1, AT_ONCE), (1, AT_ONCE)]
    assert starts(trial(*group(1, 1)), 1, 2, treatment={"no_overlap": False})[0] == (1, AT_ONCE)


def test_where_groups_may_overlap_a_cohort_waits_for_the_one_before_at_its_dose():
    full = trial(*group(1, 1, 1, 2), last=2)
    assert starts(full, 2, 1, treatment={"no_overlap": False}) == [(30, "the DLT window of S13 ends"), (2, AT_ONCE)]


def test_patients_without_the_product_are_not_waited_for():
    control = patient("C1", None, 2, amount=0, part="placebo")
    assert starts(trial(*group(1, 1, 1, 1), control), 29, 2)[0] == (29, AT_ONCE)


def test_de_escalation_does_not_wait_for_a_complete_cohort():
    toxic = trial(*group(2, 1, 1, events=(event(5),)), last=5)
    assert starts(toxic, 5, 1)[0] == (5, AT_ONCE)
    assert starts(toxic, 5, 3)[0] == (None, "cohort 1 at level 2 is not complete")


def test_before_the_first_patient():
    assert starts(single_dose(), 0, 1) == [(0, AT_ONCE), (0, AT_ONCE)]


def test_no_date_where_an_outcome_is_not_a_matter_of_time():
    unclear = trial(*group(1, 1, 2), patient("S13", 1, 3, events=(event(None, row=7),)), last=60)
    said = (
        "the outcome of S13 is not known: it is not known whether this is a DLT: "
        "adverse event of ae.csv row 7 (grade 3; possibly related; no start date); depends on whether it began from 2024-01-03 to "
        "2024-01-31"
    )
    assert starts(unclear, 60, 1) == [(None, said)] * 2
    with pytest.raises(dsf.InputError, match="level = 4: must be a whole number from 1 to 3"):
        starts(unclear, 60, 4)


# Properties.

SOMEBODY = st.tuples(
    st.one_of(st.none(), st.integers(1, 3)),
    st.lists(st.integers(1, 150), max_size=4, unique=True).map(sorted),
    st.one_of(st.none(), st.integers(1, 150)),
    st.one_of(st.none(), st.integers(1, 9)),
    st.one_of(st.none(), st.tuples(st.one_of(st.none(), st.integers(1, 150)), st.one_of(st.none(), st.integers(1, 5)))),
)


@settings(max_examples=examples(200), deadline=None)
@given(
    st.lists(SOMEBODY, max_size=8),
    st.sampled_from([AS, DLC]),
    st.integers(1, 200),
    st.one_of(st.none(), st.integers(1, 4)),
)
def test_no_trial_is_too_odd(people, name, until, most):
    """Whatever was done: findings name patients of the trial and days up to the last window, and nothing raises."""
    made = []
    for number, (level, infusions, left, replaces, told) in enumerate(people, start=1):
        fields = {} if left is None else {"discontinued": left}
        fields |= {} if replaces is None else {"replaces": f"P{replaces}"}
        fields |= {} if told is None else {"events": (event(*told, row=number),)}
        made.append(patient(f"P{number}", level, *infusions, **fields))
    rules = protocol(name)
    data = evaluate(trial(*made, last=200), rules, day(until), replay=True)
    subjects = {one.subject for one in data.statuses}
    for one in findings(data, rules, most):
        assert one.words
        assert set(one.subjects) & subjects
        assert all(day(1) <= date <= data.as_of + timedelta(days=rules.treatment.dlt_window_days) for date in one.dates)
    for level in (1, 2, 3):
        for start in earliest(data, rules, level):
            assert start.words
            assert start.day is None or start.day >= data.as_of


# Faults that these tests must notice.

FAULTS = {
    "a later adjudication covers an earlier start": (
        "dosefind.conduct:_adjudicated_by",
        lambda _: lambda trial, event_, when: event_.adjudication is not None,
        lambda: test_starts_after_a_serious_event_and_before_its_adjudication([said("S11", 30)], ["S13"]),
    ),
    "an expansion may lie above the escalation": (
        "dosefind.conduct:_BESIDE",
        lambda _: ("backfill",),
        lambda: test_backfill_and_expansion_above_the_escalation("expansion"),
    ),
    "dose groups at the same time are no finding": (
        "dosefind.conduct:RULES",
        lambda rules: tuple(rule for rule in rules if rule.__name__ != "_two_groups_at_once"),
        test_two_dose_groups_at_once,
    ),
    "patients who were not given the product are waited for": (
        "dosefind.conduct:UNTREATED",
        lambda _: (),
        test_patients_without_the_product_are_not_waited_for,
    ),
}


test_fault_is_caught = faults(FAULTS)
