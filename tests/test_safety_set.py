"""The safety set by hand: all treated patients, the whole follow-up, and what a blinded report may not show."""

import dataclasses

import pandas as pd
import pytest

import dosefind as dsf
from dosefind.adjudications import Adjudicated
from dosefind.evaluability import ALL, HIDDEN, NO_LEVEL, dose_groups, evaluate, safety_events, safety_set, unseen_serious
from dosefind.patients import AdverseEvent

from .made_up import day, patient, protocol, trial

RULES = protocol()


def adverse(start, grade, *, related="related", serious=False, term="Pyrexia", organ_class="General", outcome="recovered", row=1):
    return AdverseEvent(term, grade, related, day(start), f"ae.csv row {row}", serious, outcome, organ_class)


def treated():
    """Seven patients: two dose levels, a dose not in the protocol, a backfill patient, one not evaluable, one on placebo."""
    return trial(
        patient("A1", 1, 1, cohort=1, events=(adverse(2, 2, row=1), adverse(60, 4, serious=True, term="Embolism", row=2))),
        patient("A2", 1, 3, cohort=1, events=(adverse(4, 1, term="PYREXIA", row=3),)),
        patient("A3", 1, 5, cohort=1, discontinued=9, reason="moved away", events=()),
        patient("P1", None, 6, cohort=1, amount=0.0, part="placebo", events=(adverse(8, 3, related="not related", row=4),)),
        patient("B1", 2, 40, cohort=2, events=(adverse(45, 3, row=5), adverse(38, 4, row=6))),
        patient(
            "B2",
            2,
            41,
            cohort=2,
            events=(adverse(44, 5, related="not related", serious=True, outcome="fatal", row=7),),
            died=day(44),
        ),
        patient("F1", 1, 50, cohort=3, part="backfill", events=()),
        patient("X1", None, 52, cohort=4, amount=50.0, events=()),
        last=120,
    )


def by_level(table):
    return table.set_index("level").to_dict("index")


def counts(row, *names):
    return [int(row[name]) for name in names]


def test_patients_and_events_by_dose():
    """Counted by hand; the event of B1 on day 38 began before the first infusion."""
    rows = by_level(safety_set(evaluate(treated(), RULES))["safety"])
    names = ("treated", "ae_patients", "ae_events", "grade3_patients", "grade3_events", "sae_patients", "sae_events", "deaths")
    assert {level: counts(row, *names) for level, row in rows.items()} == {
        "1": [4, 2, 3, 1, 1, 1, 1, 0],
        "2": [2, 2, 2, 2, 2, 1, 1, 1],
        NO_LEVEL: [1, 0, 0, 0, 0, 0, 0, 0],
        "placebo": [1, 1, 1, 1, 1, 0, 0, 0],
        ALL: [8, 5, 6, 4, 4, 2, 2, 1],
    }
    assert list(rows) == ["1", "2", NO_LEVEL, "placebo", ALL]
    worst = ("worst_none", "worst_1", "worst_2", "worst_3", "worst_4", "worst_5", "worst_unknown")
    assert counts(rows["1"], *worst) == [2, 1, 0, 0, 1, 0, 0]
    assert counts(rows[ALL], *worst) == [3, 1, 0, 2, 1, 1, 0]
    for row in rows.values():
        assert sum(counts(row, *worst)) == row["treated"]


def test_terms_are_compared_in_lower_case():
    table = safety_set(evaluate(treated(), RULES))["terms"]
    pyrexia = table.loc[(table["term"] == "Pyrexia") & (table["level"] == "1")].to_dict("records")
    assert [(row["organ_class"], row["patients"], row["events"], row["worst_grade"]) for row in pyrexia] == [("General", 2, 2, 2)]
    all_levels = table.loc[table["level"] == ALL]
    assert all_levels["events"].sum() == 6


def test_what_the_data_do_not_tell_is_missing():
    nobody = trial(patient("A1", 1, 1, events=None, dlt=False))
    row = by_level(safety_set(evaluate(nobody, RULES))["safety"])[ALL]
    assert pd.isna(row["ae_patients"])
    assert (row["treated"], row["deaths"]) == (1, 0)
    no_seriousness = trial(patient("A1", 1, 1, events=(adverse(2, 3)._replace(serious=None),)))
    row = by_level(safety_set(evaluate(no_seriousness, RULES))["safety"])[ALL]
    assert pd.isna(row["sae_patients"])
    assert row["ae_patients"] == 1


def test_events_of_the_report():
    events = {(one.subject, one.study_day): one for one in safety_events(evaluate(treated(), RULES), RULES)}
    assert set(events) == {("A1", 60), ("P1", 3), ("B1", 6), ("B2", 4)}
    assert events["B1", 6].derived == "DLT"
    assert [events[key].derived for key in (("A1", 60), ("P1", 3), ("B2", 4))] == ["not a DLT"] * 3
    assert events["B2", 4].death
    assert {key for key, one in events.items() if one.waits} == {("A1", 60), ("B2", 4)}


def test_a_dlt_without_an_adverse_event_and_an_adjudicated_one():
    recorded = trial(patient("A1", 1, 1, events=None, dlt=True, dlt_date=9))
    (one,) = safety_events(evaluate(recorded, RULES), RULES)
    assert (one.event, one.study_day, one.derived) == (None, 9, "DLT")
    data = treated()
    told = next(event for who in data.patients if who.subject == "B2" for event in who.events)
    said = Adjudicated(
        day(100), day(100), RULES.record.id, "", "B2", told.start, told.term, told.grade, "not a DLT", "committee", "disease"
    )
    found = safety_events(evaluate(data, RULES, adjudications=[said]), RULES)
    assert [(one.adjudicated, one.waits) for one in found if one.subject == "B2"] == [("not a DLT", False)]


def test_a_death_without_an_adverse_event_is_an_event_of_the_report():
    data = trial(patient("A1", 1, 1, died=day(50), discontinued=50, reason="death"), last=120)
    (one,) = safety_events(evaluate(data, RULES), RULES)
    assert (one.event, one.study_day, one.death, one.waits, one.derived) == (None, 50, True, True, "not a DLT")


def test_events_of_the_first_day_and_of_the_day_before():
    """There is no day 0."""
    events = (adverse(10, 4, row=1), adverse(9, 4, serious=True, term="Seizure", row=2))
    found = evaluate(trial(patient("A1", 1, 10, events=events), last=120), RULES)
    assert {one.study_day for one in found.serious} == {1, -1}
    # What was there before treatment is no event on it.
    assert [one.study_day for one in safety_events(found, RULES)] == [1]
    assert by_level(safety_set(found)["safety"])["1"]["ae_events"] == 1


def unseen(*people):
    return unseen_serious(evaluate(trial(*people, last=120), RULES), RULES)


def blank(start, grade, **fields):
    return adverse(start, grade, serious=None, **fields)


def test_serious_events_cannot_be_seen_without_a_table_of_events():
    found = unseen(patient("A1", 1, 1, events=None, dlt=False), patient("A2", 1, 2, events=()))
    assert found == (("A1",), False, 0, ())
    assert found
    assert not unseen(patient("A2", 1, 2, events=()))


def test_serious_events_cannot_be_seen_where_seriousness_is_not_given():
    """Of the events that do not say it, only those that could be a serious event count: related or open, not shown as one."""
    events = (blank(50, 2, row=1), blank(51, 3, related=None, row=2), blank(52, 3, related="not related", row=3))
    shown = (blank(53, 4, row=4), blank(54, 5, row=5), blank(1, 2, row=6))
    assert unseen(patient("A1", 1, 2, events=(*events, *shown))) == ((), True, 2, ("A1",))
    some = (*events, adverse(55, 2, row=7))
    assert unseen(patient("A1", 1, 2, events=some), patient("A2", 1, 3, events=(blank(60, 1, row=8),))) == (
        (),
        False,
        3,
        ("A1", "A2"),
    )
    assert unseen(patient("A1", 1, 2, events=(events[2],))) == ((), True, 0, ())
    assert not unseen(patient("A1", 1, 2, events=(events[2], adverse(55, 2, row=7))))


def test_blinded_groups_do_not_tell_who_was_on_placebo():
    evaluated = evaluate(treated(), RULES)
    assert dose_groups(evaluated)["P1"] == "placebo"
    assert dose_groups(evaluated, blinded=True)["P1"] == "1"
    rows = by_level(safety_set(evaluated, blinded=True)["safety"])
    assert set(rows) == {"1", "2", NO_LEVEL, ALL}
    assert rows["1"]["treated"] == 5
    data = treated()
    without = dataclasses.replace(data, patients=tuple(dataclasses.replace(one, cohort=None) for one in data.patients))
    hidden = evaluate(without, RULES)
    assert set(dose_groups(hidden, blinded=True).values()) == {HIDDEN}
    assert set(by_level(safety_set(hidden, blinded=True)["safety"])) == {ALL}


@pytest.mark.slow
@pytest.mark.parametrize(("given", "blinded"), [({}, True), ({"blinded": False}, False)])
def test_report_is_blinded_where_there_is_placebo(given, blinded):
    text = dsf.report(protocol(report=given), treated()).html()
    assert ("placebo" not in text.replace("Patients on placebo", "")) == blinded
    assert ("by definition" in text) != blinded


@pytest.mark.slow
@pytest.mark.parametrize("terms", [True, False])
def test_terms_and_reasons_are_shown_or_left_out(terms):
    text = dsf.report(protocol(report={"terms": terms}), treated()).html()
    assert ("Embolism" in text) == terms
    assert ("moved away" in text) == terms


def test_settings_of_reports_are_no_assumptions():
    assert not [one.key for one in RULES.assumptions() if one.key.startswith("report")]
