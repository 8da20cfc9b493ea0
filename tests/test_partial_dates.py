"""Partial dates from the table to the decision: read as sets of days, judged by them, shown and written back as they were."""

import json
from dataclasses import replace
from datetime import date

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from dosefind import InputError, Protocol, evaluate, load_protocol, next_dose, read_patients
from dosefind.adjudications import Adjudicated, event_to_adjudicate, in_force, read_adjudications, record_adjudication
from dosefind.cli import main
from dosefind.days import read_days
from dosefind.evaluability.safety_set import safety_events
from dosefind.intake.writing import csv_text, plain_tables, sdtm_domains
from dosefind.patients import AdverseEvent
from dosefind.tasks.holds import holds_of

from .made_up import patient, trial
from .peers import ROOT
from .planted import faults
from .quick import examples

AS = load_protocol(ROOT / "configs" / "nct05962762.toml")
# The first infusion is on 5 March 2024, the window of 28 days goes to 2 April.
PEOPLE = "subject,level,infusion_1,last_contact{more}\nP1,1,2024-03-05,2024-04-20{own}\n"
EVENTS = "subject,term,grade,related,start\n"
FIRST, END = date(2024, 3, 5), date(2024, 4, 2)


def read(folder, start="", more="", own="", grade="3", related="related", rows=None):
    (folder / "p.csv").write_text(PEOPLE.format(more=more, own=own))
    events = "".join(rows) if rows is not None else f"P1,Fever,{grade},{related},{start}\n"
    (folder / "e.csv").write_text(EVENTS + events)
    return read_patients(folder / "p.csv", AS, events=folder / "e.csv")


def status(found, **given):
    return evaluate(found, AS, **given)["P1"]


INSIDE = ["2024-03-10", "2024-03-06/2024-03-20", "2024-03-05/2024-04-02", "2024-03-10T-:30", "2024-03-05T10:00/2024-03-06T09:00"]
OUTSIDE = [
    "2023",
    "2024-01",
    "2024-02",
    "2023---15",
    "2022-03/2024-02",
    "--12/--01",
    "--02-29",
    "2024-04-03/2024-04-19",
    "2023-12-31T-:30",
]
OPEN = [
    "2024",
    "2024-03",
    "2024-04",
    "2024---15",
    "--03",
    "--03-15",
    "-----15",
    "2024-03-01/2024-03-20",
    "2023/2024-03-05",
    "--02/--03",
    "T10:30",
    "",
]


@pytest.mark.parametrize(
    ("start", "kind"),
    [*((one, "dlt") for one in INSIDE), *((one, "complete") for one in OUTSIDE), *((one, "pending") for one in OPEN)],
)
def test_possible_dlt_is_judged_by_the_days_that_its_date_can_mean(tmp_path, start, kind):
    found = read(tmp_path, start)
    one = status(found)
    assert one.kind == kind
    assert one.unresolved == (kind == "pending")
    if kind == "pending":
        (day,) = one.settled_by
        assert (day.subject, day.source, day.first, day.end) == ("P1", "e.csv row 2", FIRST, END)
        assert str(day.days) == (start or "no date")
    else:
        assert one.settled_by == ()
    assert any("e.csv row 2" in source for source in one.source)


@pytest.mark.parametrize("start", OPEN)
def test_final_analysis_counts_open_dates_as_inside(tmp_path, start):
    found = evaluate(read(tmp_path, start), AS, final=True)
    assert (found["P1"].kind, found.final, [day.subject for day in found.counted_inside]) == ("dlt", True, ["P1"])
    assert FIRST <= found["P1"].closed <= END
    assert any("final analysis" in note for note in found.notes)


@pytest.mark.parametrize("start", INSIDE + OUTSIDE)
def test_final_analysis_changes_no_settled_date(tmp_path, start):
    data = read(tmp_path, start)
    found = evaluate(data, AS, final=True)
    assert found.counted_inside == ()
    assert found["P1"] == evaluate(data, AS)["P1"]


@pytest.mark.parametrize(
    ("grade", "related", "kind"),
    [("", "related", "pending"), ("3", "", "pending"), ("1", "related", "complete"), ("4", "not related", "complete")],
)
def test_final_analysis_settles_days_only(tmp_path, grade, related, kind):
    assert status(read(tmp_path, "2024-03", grade=grade, related=related), final=True).kind == kind


def test_final_analysis_with_a_dlt_column_of_no_counts_the_event(tmp_path):
    data = read(tmp_path, "2024-03", more=",dlt", own=",no")
    assert status(data).kind == "pending"
    assert status(data, final=True).kind == "dlt"


def test_wholly_inside_event_contradicts_a_dlt_column_of_no(tmp_path):
    with pytest.raises(InputError, match="contradicts the adverse events"):
        evaluate(read(tmp_path, "2024-03-06/2024-03-20", more=",dlt", own=",no"), AS)


days = st.dates(date(2023, 11, 1), date(2024, 7, 31))


@pytest.mark.slow
@settings(max_examples=examples(60), deadline=None)
@given(days, days, st.sampled_from(["year", "month", "interval"]))
def test_partial_date_agrees_with_the_statuses_of_its_days(one, other, form):
    """A partial date has the status that all of its days have, and is pending where they differ."""
    begin, last = sorted((one, other))
    text = {"year": str(one.year), "month": f"{one:%Y-%m}", "interval": f"{begin}/{last}"}[form]
    members = read_days(text)
    first = patient("P1", 1, 65)

    def kind(event):
        return evaluate(trial(replace(first, events=(event,)), last=500), AS)["P1"].kind

    fever = AdverseEvent("Fever", 3, "related", None, "ae.csv row 1")
    each = {kind(fever._replace(start=day)) for day in members.between(members.earliest, members.latest)}
    wanted = each.pop() if len(each) == 1 else "pending"
    assert kind(fever._replace(days=members)) == wanted


# What narrows a date.


def test_event_began_by_a_stated_cutoff(tmp_path):
    data = read(tmp_path, "2024-03-10/2024-06-30")
    assert status(data).kind == "pending"
    assert status(data, as_of=date(2024, 6, 30)).kind == "pending"
    early = read(tmp_path, "2024-03-10/2024-06-30", more="", own="")
    early = replace(early, patients=(replace(early.patients[0], last_contact=date(2024, 4, 1)),), last_date=date(2024, 4, 1))
    # By 1 April, every day left is inside the window. A cutoff that is assumed narrows nothing.
    assert status(early, as_of=date(2024, 4, 1)).kind == "dlt"
    assert status(early).kind == "pending"
    # On a replay the event is known whether it had begun or not, and its day stays open.
    assert status(data, as_of=date(2024, 4, 1), replay=True).kind == "pending"


def test_event_began_by_the_day_of_death(tmp_path):
    (one,) = read(tmp_path, "2024-03-10/2024-06-30", more=",died", own=",2024-04-20").patients
    assert (one.events[0].days.latest, one.events[0].days.text) == (date(2024, 4, 20), "2024-03-10/2024-06-30")
    # A date that contradicts the death stays as it is.
    (one,) = read(tmp_path, "2024-05", more=",died", own=",2024-04-20").patients
    assert one.events[0].days.earliest == date(2024, 5, 1)


@pytest.mark.parametrize(
    ("start", "end", "latest"),
    [
        ("2024-03", "2024-03-20", date(2024, 3, 20)),
        ("", "2024-02-20", date(2024, 2, 20)),
        ("--03", "2024-03", date(2024, 3, 31)),
        ("2024", "2024-04-01T10:00", date(2024, 4, 1)),
        ("2024-03", "2024-02", date(2024, 3, 31)),
    ],
)
def test_event_began_by_its_end(tmp_path, start, end, latest):
    found = sdtm(tmp_path, ae=f"USUBJID,AEDECOD,AETOXGR,AEREL,AESTDTC,AEENDTC\nS2,Fever,3,Y,{start},{end}\n")
    assert found.events[0].days.latest == latest


def test_dates_wholly_after_the_cutoff_are_later_dates(tmp_path):
    data = read(tmp_path, "2024-05")
    assert data.last_date == date(2024, 5, 1)
    with pytest.raises(InputError, match="is after the data cutoff date"):
        evaluate(data, AS, as_of=date(2024, 4, 25))
    replayed = evaluate(data, AS, as_of=date(2024, 4, 25), replay=True)
    assert (replayed.later_dates, replayed.patients[0].events) == (1, ())
    kept = evaluate(read(tmp_path, "2024-04"), AS, as_of=date(2024, 4, 20), replay=True)
    assert len(kept.patients[0].events) == 1


# DLT columns.


@pytest.mark.parametrize("day", ["2024-03", "2024", "--03-15", "2024-04-01/2024-04-19", "-----15"])
def test_partial_date_of_a_dlt_counts(tmp_path, day):
    (tmp_path / "p.csv").write_text(PEOPLE.format(more=",dlt,dlt_date", own=f",yes,{day}"))
    data = read_patients(tmp_path / "p.csv", AS)
    assert (data.patients[0].dlt_date, str(data.patients[0].dlt_days)) == (None, day)
    one = status(data)
    assert one.kind == "dlt"
    # The latest day possible in the window.
    assert one.closed == (date(2024, 3, 31) if day == "2024-03" else END)


@pytest.mark.parametrize("day", ["2024-05", "2025", "2024-04-03/2024-04-19", "2024---30/2024-12"])
def test_partial_date_of_a_dlt_wholly_outside_the_window_is_refused(tmp_path, day):
    (tmp_path / "p.csv").write_text(PEOPLE.format(more=",dlt,dlt_date", own=f",yes,{day}"))
    if day == "2024---30/2024-12":
        assert status(read_patients(tmp_path / "p.csv", AS)).kind == "dlt"
        return
    with pytest.raises(InputError, match="is outside the DLT window"):
        evaluate(read_patients(tmp_path / "p.csv", AS), AS)


@pytest.mark.parametrize("day", ["2023", "2024-02", "2024-01-01/2024-03-04", "2023---15"])
def test_partial_date_of_a_dlt_before_the_first_infusion_is_refused(tmp_path, day):
    (tmp_path / "p.csv").write_text(PEOPLE.format(more=",dlt,dlt_date", own=f",yes,{day}"))
    with pytest.raises(InputError, match="a DLT must not be before the first infusion"):
        read_patients(tmp_path / "p.csv", AS)


def test_replay_before_the_days_of_a_dlt(tmp_path):
    (tmp_path / "p.csv").write_text(PEOPLE.format(more=",dlt,dlt_date", own=",yes,2024-04-01/2024-04-02"))
    data = read_patients(tmp_path / "p.csv", AS)
    assert status(data, as_of=date(2024, 3, 20), replay=True).kind == "pending"
    assert evaluate(data, AS, as_of=date(2024, 3, 20), replay=True).patients[0].dlt_days is None
    assert status(data, as_of=date(2024, 4, 5), replay=True).kind == "dlt"


# Death, leaving, last contact.


@pytest.mark.parametrize(
    ("name", "text", "day"),
    [
        ("last_contact", "2024-04", date(2024, 4, 1)),
        ("last_contact", "2024-03", FIRST),
        ("last_contact", "2024", FIRST),
        ("last_contact", "--03-15", date(2024, 3, 15)),
        ("last_contact", "2024---15", date(2024, 3, 15)),
        ("last_contact", "2024-03-10/2024-03-20", date(2024, 3, 10)),
        ("discontinued", "2024-03", FIRST),
        ("discontinued", "2024-04", date(2024, 4, 1)),
        ("discontinued", "--04", date(2024, 4, 1)),
        ("discontinued", "2024-03-20/2024-05", date(2024, 3, 20)),
        ("died", "2024-03", FIRST),
        ("died", "2024-05", date(2024, 5, 1)),
        ("died", "2024---25", date(2024, 3, 25)),
        ("died", "----07", date(2024, 3, 7)),
    ],
)
def test_earliest_day_possible_is_taken(tmp_path, name, text, day):
    given = {"last_contact": "", "discontinued": "", "died": "", name: text}
    row = ",".join(given.values())
    (tmp_path / "p.csv").write_text(f"subject,level,infusion_1,{','.join(given)}\nP1,1,2024-03-05,{row}\n")
    found = read_patients(tmp_path / "p.csv", AS)
    assert getattr(found.patients[0], name) == day
    assert any(text in note and str(day) in note for note in found.notes)


@pytest.mark.parametrize("text", ["2024-04", "2024", "--04-25"])
def test_death_is_not_before_the_last_day_known_where_that_can_be(tmp_path, text):
    (one,) = read(tmp_path, "2024-03-08", more=",died", own=f",{text}", grade="1").patients
    assert one.died == (date(2024, 4, 25) if text == "--04-25" else date(2024, 4, 20))


@pytest.mark.parametrize("name", ["last_contact", "discontinued", "died"])
@pytest.mark.parametrize("text", ["2023", "2024-02", "2024-01-01/2024-03-04", "2022-12---"])
def test_partial_date_wholly_before_the_infusion_is_refused(tmp_path, name, text):
    (tmp_path / "p.csv").write_text(f"subject,level,infusion_1,{name}\nP1,1,2024-03-05,{text}\n")
    with pytest.raises(InputError, match=rf"row 2, subject P1, {name} = "):
        read_patients(tmp_path / "p.csv", AS)


@pytest.mark.parametrize("name", ["last_contact", "discontinued", "died", "infusion_1"])
@pytest.mark.parametrize(
    "text", ["2023-02-29", "2024-13", "--02-30", "2024-03-20/2024-03-05", "03/05/2024", "2024-03-05/--03-20", "May 2024"]
)
def test_impossible_dates_of_a_patient_are_refused(tmp_path, name, text):
    row = {"infusion_1": "2024-03-05", name: text}
    (tmp_path / "p.csv").write_text(f"subject,level,{','.join(row)}\nP1,1,{','.join(row.values())}\n")
    with pytest.raises(InputError, match=rf"row 2, subject P1, {name} = "):
        read_patients(tmp_path / "p.csv", AS)


@pytest.mark.parametrize(
    "text",
    [
        "2023-02-29",
        "2024-13",
        "--02-30",
        "--13",
        "2024-03-20/2024-03-05",
        "03/05/2024",
        "5MAR2024",
        "2024-UN-UN",
        "2024/--03",
        "45356",
        "2024-03/",
    ],
)
def test_impossible_dates_of_an_event_are_refused(tmp_path, text):
    with pytest.raises(InputError, match=r"row 2, subject P1, start = "):
        read(tmp_path, text)


@pytest.mark.parametrize("text", ["2024", "2024-03", "--03-05", "2024-03-05/2024-03-06", "T10:00"])
def test_infusion_needs_a_full_date(tmp_path, text):
    (tmp_path / "p.csv").write_text(f"subject,level,infusion_1\nP1,1,{text}\n")
    with pytest.raises(InputError, match="must be a full date in ISO form"):
        read_patients(tmp_path / "p.csv", AS)


# SDTM and ADaM.

DM = "USUBJID,RFPENDTC,DTHDTC,ARMCD\nS2,{contact},{died},DL1\n"
EX = "USUBJID,EXTRT,EXDOSE,EXDOSU,EXSTDTC\nS2,UCMSC,1,10^6 cells/kg,2024-03-05\n"


def sdtm(folder, contact="2024-04-20", died="", **tables):
    for name, text in {"dm": DM.format(contact=contact, died=died), "ex": EX, **tables}.items():
        (folder / f"{name}.csv").write_text(text)
    return read_patients(folder, AS).patients[0]


@pytest.mark.parametrize("start", [*INSIDE, *OUTSIDE, *OPEN])
def test_sdtm_says_the_same(tmp_path, start):
    plain = read(tmp_path, start).patients[0].events[0]
    (tmp_path / "sdtm").mkdir()
    event = sdtm(tmp_path / "sdtm", ae=f"USUBJID,AEDECOD,AETOXGR,AEREL,AESTDTC\nS2,Fever,3,related,{start}\n").events[0]
    assert (event.start, event.days) == (plain.start, plain.days)


@pytest.mark.parametrize(
    ("tables", "died", "left"),
    [
        ({"died": "2024-05"}, date(2024, 5, 1), None),
        ({"died": "2024"}, date(2024, 4, 20), None),
        ({"died": "--06-03"}, date(2024, 6, 3), None),
        ({"ds": "USUBJID,DSDECOD,DSCAT,DSSTDTC\nS2,DEATH,DISPOSITION EVENT,2024-05\n"}, date(2024, 5, 1), None),
        ({"ds": "USUBJID,DSDECOD,DSCAT,DSSTDTC\nS2,WITHDRAWAL,DISPOSITION EVENT,2024-03\n"}, None, FIRST),
        ({"ds": "USUBJID,DSDECOD,DSCAT,DSSTDTC\nS2,WITHDRAWAL,DISPOSITION EVENT,2024-04\n"}, None, date(2024, 4, 1)),
        ({"dd": "USUBJID,DDDTC\nS2,2024-05-02/2024-05-09\n"}, date(2024, 5, 2), None),
        ({"dd": "USUBJID,DDDTC\nS2,\n"}, date(2024, 4, 20), None),
        # A full date in another domain is better than the partial one.
        (
            {"died": "2024-05", "ds": "USUBJID,DSDECOD,DSCAT,DSSTDTC\nS2,DEATH,DISPOSITION EVENT,2024-05-09\n"},
            date(2024, 5, 9),
            date(2024, 5, 9),
        ),
        # A day of leaving that the partial date of death cannot mean is not that of the death.
        (
            {"died": "2024-04", "ds": "USUBJID,DSDECOD,DSCAT,DSSTDTC\nS2,DEATH,DISPOSITION EVENT,2024-05-09\n"},
            date(2024, 4, 1),
            date(2024, 5, 9),
        ),
    ],
)
def test_partial_dates_of_death_and_leaving_in_sdtm(tmp_path, tables, died, left):
    one = sdtm(tmp_path, **tables)
    assert (one.died, one.discontinued) == (died, left)


def adam(folder, event, subject="", columns="ASTDT,ASTDTF,AESTDTC"):
    (folder / "adsl.csv").write_text(f"USUBJID,LSTALVDT,EOSSTT,EOSDT,DTHDTC\nS2,2024-04-20,{subject or ',,'}\n")
    (folder / "adex.csv").write_text("USUBJID,ASTDT,ADOSE,ADOSEU\nS2,2024-03-05,1,10^6 cells/kg\n")
    (folder / "adae.csv").write_text(f"USUBJID,AEDECOD,ATOXGR,AREL,DLTFL,{columns}\nS2,Fever,3,Y,{event}\n")
    return read_patients(folder, AS).patients[0]


@pytest.mark.parametrize(
    ("dates", "same_as"),
    [
        ("2024-03-01,D,", "2024-03"),
        ("2024-01-01,M,", "2024"),
        ("2024-01-01,m,", "2024"),
        ("2024-01-01,Y,", ""),
        ("2024-01-01,X,", ""),
        (",,", ""),
        # The date as collected is better than the imputed one.
        ("2024-03-01,D,2024-03-10/2024-03-12", "2024-03-10/2024-03-12"),
        ("2024-01-15,M,2024---15", "2024---15"),
        ("2024-01-01,Y,--03", "--03"),
        (",,2024-03", "2024-03"),
    ],
)
def test_imputed_date_of_adam_is_the_days_that_its_flag_leaves(tmp_path, dates, same_as):
    (event,) = adam(tmp_path, f",{dates}").events
    assert event.start is None
    assert event.days == (read_days(same_as) if same_as else None)


def test_full_dates_of_adam(tmp_path):
    assert adam(tmp_path, ",2024-03-10,,2024-03-10").events[0].start == date(2024, 3, 10)
    assert adam(tmp_path, ",,,2024-03-10").events[0].start == date(2024, 3, 10)
    assert adam(tmp_path, ",2024-03-10,", columns="ASTDT,ASTDTF").events[0].start == date(2024, 3, 10)


@pytest.mark.parametrize(
    ("dates", "kind"), [("2024-03-01,D,", "dlt"), ("2024-01-01,M,", "dlt"), ("2024-03-01,D,2024-03-10/2024-03-12", "dlt")]
)
def test_flagged_dlt_of_adam_on_an_imputed_day_counts(tmp_path, dates, kind):
    one = adam(tmp_path, f"Y,{dates}")
    assert (one.dlt, one.dlt_date) == (True, None)
    assert one.dlt_days == one.events[0].days
    assert evaluate(read_patients(tmp_path, AS), AS)["S2"].kind == kind


def test_leaving_and_death_of_adam(tmp_path):
    assert adam(tmp_path, ",2024-03-10,,", "DISCONTINUED,2024-03,").discontinued == FIRST
    assert adam(tmp_path, ",2024-03-10,,", ",,2024-05").died == date(2024, 5, 1)


# Serious events, adjudications, reports.


@pytest.mark.parametrize(
    ("start", "grade", "count", "inside"),
    [
        ("2024-03-06/2024-03-20", "4", 1, True),
        ("2024-04-03/2024-04-19", "4", 1, False),
        ("2024-03", "4", 1, None),
        ("", "4", 1, None),
        # There before the first infusion: whether it worsened on treatment is not known.
        ("2024-02", "4", 1, None),
        ("2023", "4", 1, None),
        ("2023", "3", 0, None),
        # A fatal event is serious whenever it began.
        ("2023", "5", 1, False),
    ],
)
def test_serious_events_use_the_days(tmp_path, start, grade, count, inside):
    found = evaluate(read(tmp_path, start, grade=grade), AS)
    assert [one.in_window for one in found.serious] == [inside] * count
    assert bool(holds_of(found, AS, []).events) == bool(count)


def test_each_partial_date_is_adjudicated_by_itself(tmp_path):
    rows = [f"P1,Fever,4,related,{start}\n" for start in ("2024-03", "2024-04", "")]
    data = read(tmp_path, rows=rows)
    (one,) = data.patients
    keys = [event_to_adjudicate(one, AS.dlt, text) for text in ("2024-03", "2024-04")]
    assert [key.date for key in keys] == ["2024-03", "2024-04"]
    path = tmp_path / "adjudications.csv"
    given = Adjudicated(date(2024, 4, 20), date(2024, 4, 21), "X", "", "P1", *keys[0], "not a DLT", "board", "infection")
    record_adjudication(path, given)
    again = read_adjudications(path, "X")
    assert again == [given]
    assert in_force(again, date(2024, 4, 20)) == [given]
    found = evaluate(data, AS, adjudications=again)
    waiting = [one.event.onset for one in found.serious if one.holds]
    assert sorted(map(str, waiting)) == ["2024-04", "None"]
    assert len(found["P1"].settled_by) == 2


def test_adjudication_of_an_undated_event_releases_no_partial_date(tmp_path):
    data = read(tmp_path, rows=["P1,Fever,4,related,2024-03\n", "P1,Fever,4,related,\n"])
    given = Adjudicated(date(2024, 4, 20), date(2024, 4, 21), "X", "", "P1", None, "Fever", 4, "not a DLT", "board", "x")
    found = evaluate(data, AS, adjudications=[given])
    assert [one.event.onset for one in found.serious if one.holds] == ["2024-03"]


def test_adjudicated_dlt_on_a_partial_date(tmp_path):
    data = read(tmp_path, "2024-03")
    given = Adjudicated(date(2024, 4, 20), date(2024, 4, 21), "X", "", "P1", "2024-03", "Fever", 3, "DLT", "board", "x")
    one = status(data, adjudications=[given])
    assert (one.kind, one.closed) == ("dlt", date(2024, 3, 31))


def test_adjudication_of_a_partial_dlt_column_is_of_its_own_text(tmp_path):
    (tmp_path / "p.csv").write_text(PEOPLE.format(more=",dlt,dlt_date", own=",yes,2024-03"))
    (tmp_path / "e.csv").write_text(EVENTS + "P1,Fever,3,related,\nP1,Fever,3,related,2024-03\n")
    data = read_patients(tmp_path / "p.csv", AS, events=tmp_path / "e.csv")

    def by(event_date):
        said = (date(2024, 4, 20), date(2024, 4, 21), "X", "", "P1", event_date, "Fever", 3, "not a DLT", "board", "x")
        return status(data, adjudications=[Adjudicated(*said, dlt_column="yes")]).kind

    assert by(None) == "dlt"
    assert by("2024-03") == "pending"


@pytest.mark.parametrize(("as_of", "kind"), [(date(2024, 3, 30), "dlt"), (date(2024, 3, 31), "complete")])
def test_assessment_clears_a_partial_dlt_column_once_all_its_days_are_over(tmp_path, as_of, kind):
    (tmp_path / "p.csv").write_text(PEOPLE.format(more=",dlt,dlt_date", own=",yes,2024-03"))
    data = read_patients(tmp_path / "p.csv", AS)
    said = Adjudicated(as_of, date(2024, 4, 21), "X", "", "P1", None, "", None, "not a DLT", "board", "x", dlt_column="yes")
    assert status(data, adjudications=[said]).kind == kind


@pytest.mark.parametrize("bad", ["2024-13", "nonsense", "2024-05", "2024-03-05", ""])
def test_bad_partial_date_of_an_adjudication_is_refused(tmp_path, bad):
    given = Adjudicated(date(2024, 4, 20), date(2024, 4, 21), "X", "", "P1", bad, "Fever", 4, "not a DLT", "board", "x")
    with pytest.raises(InputError, match="event_date"):
        record_adjudication(tmp_path / "a.csv", given)


def test_safety_set_leaves_out_what_began_before_the_first_infusion(tmp_path):
    rows = [f"P1,Fever,3,related,{start}\n" for start in ("2023", "2024-02", "2024-03", "")]
    found = evaluate(read(tmp_path, rows=rows), AS)
    assert {one.event.onset for one in safety_events(found, AS)} == {"2024-03", None}


# Written back.

starts = st.sampled_from([*INSIDE, *OUTSIDE, *OPEN])


@pytest.mark.parametrize("died", ["", "2024-04-20"])
@pytest.mark.parametrize("start", [*INSIDE, *OUTSIDE, *OPEN])
def test_partial_dates_come_back_as_written(tmp_path, start, died):
    found = read(tmp_path, start, more=",died,dlt,dlt_date", own=f",{died},yes,2024-03" if not died else f",{died},,")
    for name, table in plain_tables(found).items():
        (tmp_path / f"{name}.csv").write_text(csv_text(table))
    assert read_patients(tmp_path / "patients.csv", AS, events=tmp_path / "events.csv").patients == tuple(
        replace(one, source=("patients.csv row 2",), events=tuple(e._replace(source="events.csv row 2") for e in one.events))
        for one in found.patients
    )
    folder = tmp_path / "sdtm"
    folder.mkdir()
    for name, table in sdtm_domains(found, AS, "X").items():
        (folder / f"{name}.csv").write_text(csv_text(table))
    (again,) = read_patients(folder, AS).patients
    assert [(one.start, one.days) for one in again.events] == [(one.start, one.days) for one in found.patients[0].events]


# The command line.

SMALL = """
[record]
id = "T-01"
title = "test"
population = "adults"
product = "drug"
version_date = 2023-01-15
[doses]
amounts = [1, 3, 5]
unit = "mg"
[treatment]
infusion_days = [1]
dlt_window_days = 28
no_overlap = false
[limits]
cohort_size = 3
max_n = 24
[target]
rate = 0.25
interval = [0.16, 0.33]
[scenarios]
low = [0.1, 0.2, 0.3]
[designs."3+3"]
kind = "3+3"
"""


def test_next_and_its_final_analysis(tmp_path):
    (tmp_path / "c.toml").write_text(SMALL)
    people = "".join(f"A-{n},1,2024-03-0{n},2024-04-20\n" for n in (1, 2, 3))
    (tmp_path / "p.csv").write_text(f"subject,level,infusion_1,last_contact\n{people}")
    (tmp_path / "e.csv").write_text(EVENTS + "A-2,Fever,3,related,2024-03\nA-3,Rash,3,related,2024\n")
    args = ["next", str(tmp_path / "c.toml"), "--data", str(tmp_path / "p.csv"), "--events", str(tmp_path / "e.csv"), "--json"]
    open_ = json.loads(CliRunner().invoke(main, args).stdout)["attrs"]
    assert open_["pending"] == "A-2, A-3"
    assert "--final" in " ".join(open_["notes"])
    final = json.loads(CliRunner().invoke(main, [*args, "--final"]).stdout)["attrs"]
    assert final["pending"] == ""
    assert final["next"].startswith("stop")
    assert "final analysis" in " ".join(final["notes"])


def test_final_analysis_of_the_library_is_that_of_the_command_line(tmp_path):
    protocol = Protocol.read({**load_protocol(ROOT / "configs" / "nct05962762.toml").model_dump(exclude_unset=True), "assumed": {}})
    found = next_dose(protocol, read(tmp_path, "2024-03"), final=True)
    assert found.evaluated.final
    assert found.evaluated.n_pending == 0


# Faults that these tests must notice.

FAULTS = {
    "a day that may lie in the window lies in it": (
        "dosefind.days:Days.within",
        lambda old: lambda self, first, last: old(self, first, last) is not False,
        test_possible_dlt_is_judged_by_the_days_that_its_date_can_mean,
    ),
}

test_fault_is_caught = faults(FAULTS)
