"""Adverse events as trials collect them: initial and worst grade, worsening, end, flags, severity, supplements, linked records."""

from datetime import date

import pytest

from dosefind import InputError, evaluate, load_protocol, read_patients
from dosefind.adjudications import Adjudicated
from dosefind.evaluability.events import judge
from dosefind.evaluability.liver import liver_grade
from dosefind.evaluability.safety_set import safety_events, safety_set
from dosefind.evaluability.serious import serious_events
from dosefind.intake.writing import csv_text, plain_tables, sdtm_domains, write_xpt

from .made_up import day, event, patient, protocol, trial
from .patient_files import write_xlsx
from .peers import ROOT

AS = load_protocol(ROOT / "configs" / "nct05962762.toml")
RULES = protocol()
DM = "USUBJID,RFPENDTC\nS1,2024-06-01\nS2,2024-06-02\n"
EX = "USUBJID,EXTRT,EXDOSE,EXDOSU,EXSTDTC\nS1,UCMSC,1,10^6 cells/kg,2024-03-01\nS2,UCMSC,1,10^6 cells/kg,2024-03-02\n"
SUPPLEMENT = "STUDYID,RDOMAIN,USUBJID,IDVAR,IDVARVAL,QNAM,QLABEL,QVAL\n"


def folder_of(path, domains):
    path.mkdir(exist_ok=True)
    for name, text in domains.items():
        (path / f"{name}.csv").write_text(text)
    return path


def sdtm(path, ae, suppae=None):
    """Read a trial of two patients in SDTM; every row of it is accounted for once."""
    domains = {"dm": DM, "ex": EX, "ae": ae} | ({} if suppae is None else {"suppae": SUPPLEMENT + suppae})
    found = read_patients(folder_of(path, domains), AS)
    rows = [row for one in found.patients for row in one.rows()] + [listed.source for listed in found.listed]
    lines = sum(len(text.splitlines()) - 1 for text in domains.values())
    assert len(rows) == len(set(rows)) == lines == found.rows
    return found


def adam(path, columns, cells):
    domains = {"adsl": DM.replace("RFPENDTC", "LSTALVDT"), "adex": EX, "adae": f"USUBJID,AEDECOD,{columns}\nS2,Rash,{cells}\n"}
    return read_patients(folder_of(path, domains), AS)


def plain(path, columns, *rows):
    path.mkdir(exist_ok=True)
    (path / "patients.csv").write_text("subject,level,infusion_1,last_contact\nS2,1,2024-03-02,2024-06-02\n")
    lines = [f"subject,term,related,{columns}", *(f"S2,Rash,related,{cells}" for cells in rows)]
    (path / "events.csv").write_text("\n".join(lines) + "\n")
    return read_patients(path / "patients.csv", AS, events=path / "events.csv")


def status(found, rules=AS):
    return evaluate(found, rules)["S2"]


def told(found, rules=AS):
    """Kind of the status and what is asked."""
    one = status(found, rules)
    return one.kind, tuple(question.asks for question in one.questions)


# Events that began before the first infusion, in every layout.

COURSES = [
    # initial, worst, start, end; the status and what is asked
    ("1", "4", "2024-02-27", "2024-03-20", "pending", ("worsening",)),
    ("1", "4", "2024-02-27", "", "pending", ("worsening",)),
    ("2", "3", "2024-02-27", "2024-05-20", "pending", ("worsening",)),
    ("3", "4", "2024-02-27", "2024-03-02", "pending", ("worsening",)),
    ("", "4", "2024-02-27", "2024-03-20", "pending", ("worsening",)),
    ("1", "", "2024-02-27", "2024-03-20", "pending", ("grade", "worsening")),
    ("1", "4", "2024-02-27", "2024-03-01", "complete", ()),
    ("1", "2", "2024-02-27", "2024-03-20", "complete", ()),
    ("3", "3", "2024-02-27", "2024-03-20", "complete", ()),
    ("4", "4", "2024-02-27", "", "complete", ()),
    # In the window the worst grade counts, from whatever grade it began.
    ("1", "4", "2024-03-10", "", "dlt", ()),
    ("1", "4", "2024-03-10", "2024-05-20", "dlt", ()),
    ("", "3", "2024-03-10", "2024-03-11", "dlt", ()),
    ("1", "4", "2024-04-10", "", "complete", ()),
]


@pytest.mark.parametrize(("initial", "worst", "start", "end", "kind", "asks"), COURSES)
def test_an_event_that_worsens_is_a_dlt_or_open_in_every_layout(tmp_path, initial, worst, start, end, kind, asks):
    cells = f"{initial},{worst},{start},{end}"
    found = [
        sdtm(tmp_path / "a", f"USUBJID,AEDECOD,AEREL,AEITOXGR,AETOXGR,AESTDTC,AEENDTC\nS2,Rash,RELATED,{cells}\n"),
        adam(tmp_path / "b", "AREL,AITOXGR,ATOXGR,ASTDT,AENDT", f"RELATED,{cells}"),
        plain(tmp_path / "c", "initial_grade,grade,start,end", cells),
    ]
    assert [told(one) for one in found] == [(kind, asks)] * 3
    events = {one.patients[-1].events[0]._replace(source="", related="") for one in found}
    assert len(events) == 1


@pytest.mark.parametrize("related", ["not related", "unlikely"])
def test_an_unrelated_event_is_not_open(related):
    before = event(-3, grade=4, related=related)._replace(initial_grade=1)
    assert evaluate(trial(patient("S2", 1, 1, events=(before,)), last=60), RULES)["S2"].kind == "complete"


@pytest.mark.parametrize(
    ("start", "worsened", "initial", "conclusion", "on"),
    [
        (-3, 10, 1, "DLT", 10),
        (-3, 10, None, "DLT", 10),
        (-3, 29, 1, "DLT", 29),
        (-3, 30, 1, "not a DLT", None),
        (-3, -1, 1, "not a DLT", None),
        (5, 10, 1, "DLT", 10),
        (5, 40, 1, "not a DLT", None),
        (5, 40, 3, "DLT", 5),
        (1, 40, 3, "DLT", 1),
        (5, 40, None, "open", None),
        (None, 10, 1, "DLT", 10),
        (None, 40, 1, "not a DLT", None),
        (None, 40, 3, "open", None),
    ],
)
def test_a_dated_worsening_is_judged_by_its_day(start, worsened, initial, conclusion, on):
    one = event(start, grade=4)._replace(worsened=day(worsened), initial_grade=initial)
    found = judge(one, patient("S2", 1, 1, last_contact=60), RULES)
    assert (found.conclusion, found.day) == (conclusion, None if on is None else day(on))


@pytest.mark.parametrize(("worsened", "kind"), [("2024-03-10", "dlt"), ("2024-04-20", "complete"), ("", "pending")])
def test_the_day_of_worsening_is_read(tmp_path, worsened, kind):
    found = plain(tmp_path, "initial_grade,grade,start,worsened", f"1,4,2024-02-27,{worsened}")
    assert status(found).kind == kind
    label = f",AE,S2,AESEQ,1,AEWORDTC,,{worsened}\n" if worsened else ""
    ae = "USUBJID,AESEQ,AEDECOD,AEREL,AEITOXGR,AETOXGR,AESTDTC\nS2,1,Rash,RELATED,1,4,2024-02-27\n"
    assert status(sdtm(tmp_path / "a", ae, label)).kind == kind


def test_the_question_names_the_row_and_the_window():
    one = event(-3, grade=4, row=7)._replace(initial_grade=1)
    found = evaluate(trial(patient("S2", 1, 1, events=(one,)), last=60), RULES)["S2"]
    (question,) = found.questions
    assert (question.source, question.asks) == ("ae.csv row 7", "worsening")
    assert question.words in found.rule
    assert found.unresolved
    # A known DLT leaves nothing to ask.
    both = (one, event(5, row=8))
    assert evaluate(trial(patient("S2", 1, 1, events=both), last=60), RULES)["S2"].questions == ()


def test_event_present_before_treatment_states_the_reason():
    one = event(-3, grade=3, row=7)._replace(initial_grade=3)
    found = evaluate(trial(patient("S2", 1, 1, events=(one,)), last=60), RULES)["S2"]
    assert found.kind == "complete"
    assert "ae.csv row 7" in found.source


def test_a_replay_knows_neither_a_later_worsening_nor_a_later_end():
    one = event(-3, grade=4)._replace(initial_grade=1, worsened=day(20), end=day(40))
    data = trial(patient("S2", 1, 1, events=(one,)), last=60)
    now = {at: evaluate(data, RULES, day(at), replay=True) for at in (19, 20)}
    assert [now[at]["S2"].kind for at in (19, 20)] == ["pending", "dlt"]
    assert [(e.grade, e.worsened, e.end) for e in now[19].patients[0].events] == [(1, None, None)]
    assert now[20]["S2"].closed == day(20)


@pytest.mark.parametrize(
    ("initial", "worst", "end", "holds"),
    [(1, 4, None, True), (1, 4, 10, True), (None, 4, None, True), (1, 4, 0, False), (4, 4, None, False), (1, 3, None, False)],
)
def test_a_related_event_that_may_have_worsened_to_grade_4_holds(initial, worst, end, holds):
    """One that began within a week of the first infusion holds as well, as its date is to be checked."""
    one = event(-10, grade=worst)._replace(initial_grade=initial, end=None if end is None else day(end), serious=False)
    found = serious_events([patient("S2", 1, 1, events=(one,), last_contact=60)], RULES, ())
    assert [(known.holds, known.day, known.in_window) for known in found] == [(True, None, None)] * holds
    close = patient("S2", 1, 1, events=(one._replace(start=day(-3)),), last_contact=60)
    assert [(known.holds, known.day, known.in_window) for known in serious_events([close], RULES, ())] == [(True, day(-3), None)]
    dated = one._replace(worsened=day(12), end=None)
    if worst == 4 and initial == 1:
        (known,) = serious_events([patient("S2", 1, 1, events=(dated,), last_contact=60)], RULES, ())
        assert (known.day, known.in_window) == (day(12), True)


@pytest.mark.parametrize(
    ("changed", "left"),
    [({}, ()), ({"grade": None}, ("grade",)), ({"related": None}, ("relationship",))],
    ids=["all known", "no grade", "no relationship"],
)
def test_items_left_open_of_a_serious_event(changed, left):
    one = event(10, grade=4)._replace(serious=True, **changed)
    (known,) = serious_events([patient("S2", 1, 1, events=(one,), last_contact=60)], RULES, ())
    assert known.open_items == left


@pytest.mark.parametrize(("start", "inside"), [(1, True), (29, True), (30, False)])
def test_serious_events_of_the_last_day_are_in_the_window(start, inside):
    one = event(start, grade=4)._replace(serious=True)
    (known,) = serious_events([patient("S2", 1, 1, events=(one,), last_contact=60)], RULES, ())
    assert (known.day, known.in_window) == (day(start), inside)
    # Without a grade, and without data on seriousness, it keeps the outcome open there, and is read as severe afterwards.
    ungraded = patient("S2", 1, 1, events=(one._replace(grade=None, serious=None),), last_contact=60)
    assert len(serious_events([ungraded], RULES, ())) == (not inside)


def test_worsened_events_belong_to_the_safety_set():
    worse = event(-3, grade=4, row=1)._replace(initial_grade=1)
    same = event(-3, grade=3, row=2)._replace(initial_grade=3)
    unknown = event(-3, grade=3, row=3)
    ended = event(-3, grade=4, row=4)._replace(initial_grade=1, end=day(0))
    found = evaluate(trial(patient("S2", 1, 1, events=(worse, same, unknown, ended)), last=60), RULES)
    assert {one.event.source for one in safety_events(found, RULES) if one.event} == {"ae.csv row 1"}
    assert safety_set(found)["safety"]["ae_events"].tolist() == [1, 1]


# Grades.


@pytest.mark.parametrize(
    ("initial", "worst", "read"),
    [("4", "3", (4, 4)), ("4", "", (4, 4)), ("2", "", (2, None)), ("0", "3", (0, 3)), ("Grade 1", "Grade 3", (1, 3))],
)
def test_the_worst_grade_is_at_least_the_initial_one(tmp_path, initial, worst, read):
    found = plain(tmp_path, "initial_grade,grade,start", f"{initial},{worst},2024-03-10")
    (one,) = found.patients[0].events
    assert (one.initial_grade, one.grade) == read
    assert any("events.csv row 2" in note for note in found.notes) == (initial == "4")


def test_the_better_of_two_initial_grades_is_read(tmp_path):
    found = adam(tmp_path, "AREL,AITOXGR,AEITOXGR,ATOXGR,ASTDT", "RELATED,3,1,4,2024-02-27")
    assert found.patients[1].events[0].initial_grade == 1
    assert any("adae.csv row 2" in note for note in found.notes)


SEVERITIES = {"severe": 3, "life threatening": 4, "fatal": 5, "mild": 1, "moderate": 2}


@pytest.mark.parametrize(
    ("severity", "kind"),
    [("SEVERE", "dlt"), ("LIFE-THREATENING", "dlt"), ("MILD", "complete"), ("MODERATE", "complete"), ("GRAVE", "pending")],
)
def test_severity_is_not_a_grade_without_a_setting(tmp_path, severity, kind):
    ae = f"USUBJID,AEDECOD,AEREL,AESEV,AESTDTC\nS2,Rash,RELATED,{severity},2024-03-10\n"
    found = sdtm(tmp_path, ae)
    assert (found.patients[1].events[0].severity, found.patients[1].events[0].grade) == (severity, None)
    assert told(found) == ("pending", ("grade",))
    graded = protocol(dlt={"grade_by_severity": SEVERITIES})
    read = read_patients(tmp_path, graded)
    assert status(read, graded).kind == kind
    assert any("grade_by_severity" in note for note in read.notes)


def test_a_grade_outranks_a_severity(tmp_path):
    ae = "USUBJID,AEDECOD,AEREL,AESEV,AETOXGR,AESTDTC\nS2,Rash,RELATED,SEVERE,2,2024-03-10\n"
    sdtm(tmp_path, ae)
    assert read_patients(tmp_path, protocol(dlt={"grade_by_severity": SEVERITIES})).patients[1].events[0].grade == 2


# The end.


@pytest.mark.parametrize(
    ("columns", "cells", "read"),
    [
        ("AEENDTC,AEENRTPT", "2024-03-20,", (date(2024, 3, 20), None)),
        ("AEENDTC,AEENRTPT", ",ONGOING", (None, True)),
        ("AEENDTC,AEENRF", ",AFTER", (None, True)),
        ("AEENDTC,AEENRF", ",DURING/AFTER", (None, True)),
        ("AEENDTC,AEENRF", ",BEFORE", (None, None)),
        ("AEENDTC,AEENRTPT", "2024-03,", (None, None)),
        ("AEENDTC,AEENRTPT", "2024-03-20,ONGOING", (date(2024, 3, 20), None)),
    ],
)
def test_the_end_of_an_event(tmp_path, columns, cells, read):
    found = sdtm(tmp_path, f"USUBJID,AEDECOD,AEREL,AETOXGR,AESTDTC,{columns}\nS2,Rash,RELATED,2,2024-02-27,{cells}\n")
    (one,) = found.patients[1].events
    assert (one.end, one.ongoing) == read


def test_an_imputed_end_is_not_used(tmp_path):
    found = adam(tmp_path, "AREL,AITOXGR,ATOXGR,ASTDT,AENDT,AENDTF", "RELATED,1,4,2024-02-27,2024-02-29,D")
    assert found.patients[1].events[0].end is None
    assert told(found) == ("pending", ("worsening",))
    assert any("imputed end dates" in note for note in found.notes)


def test_plain_tables_say_ongoing(tmp_path):
    (one,) = plain(tmp_path, "grade,start,end", "2,2024-03-10,ongoing").patients[0].events
    assert (one.end, one.ongoing) == (None, True)


# DLTs that the investigator flagged.


@pytest.mark.parametrize(
    ("column", "value", "grade", "related", "start", "kind"),
    [
        ("AEDLT", "Y", "2", "RELATED", "2024-03-10", "dlt"),
        ("DLT", "YES", "3", "NOT RELATED", "2024-03-10", "dlt"),
        ("AEDLTFL", "Y", "", "", "2024-03-10", "dlt"),
        ("DLTFL", "Y", "4", "RELATED", "2024-02-27", "dlt"),
        ("AEDLT", "Y", "4", "RELATED", "", "dlt"),
        ("AEDLT", "Y", "4", "RELATED", "2024-04-20", "pending"),
        ("AEDLT", "N", "4", "RELATED", "2024-03-10", "dlt"),
        ("AEDLT", "N", "2", "RELATED", "2024-03-10", "complete"),
        ("AEDLT", "U", "2", "RELATED", "2024-03-10", "complete"),
    ],
)
def test_a_flag_in_ae_or_suppae_makes_a_dlt(tmp_path, column, value, grade, related, start, kind):
    columns, cells = "USUBJID,AESEQ,AEDECOD,AETOXGR,AEREL,AESTDTC", f"S2,1,Rash,{grade},{related},{start}"
    own = sdtm(tmp_path / "a", f"{columns},{column}\n{cells},{value}\n")
    beside = sdtm(tmp_path / "b", f"{columns}\n{cells}\n", f",AE,S2,AESEQ,1,{column},Dose Limiting Toxicity,{value}\n")
    assert [status(one).kind for one in (own, beside)] == [kind, kind]
    assert own.patients[1].events[0].flagged_dlt == {"Y": True, "YES": True, "N": False, "U": None}[value]
    assert "suppae.csv row 2" in beside.patients[1].rows()


@pytest.mark.parametrize(
    ("grade", "related", "flag", "contradicts"),
    [(2, "related", True, True), (4, "not related", True, True), (4, "related", True, False), (4, "related", False, True)],
)
def test_a_flag_that_contradicts_the_definition_is_shown(grade, related, flag, contradicts):
    one = event(5, grade=grade, related=related)._replace(flagged_dlt=flag)
    found = judge(one, patient("S2", 1, 1), RULES)
    assert found.conclusion == "DLT"
    assert ("although" in found.reason) == contradicts


def test_a_flag_of_adam_on_an_event_that_worsened(tmp_path):
    found = adam(tmp_path, "AREL,AITOXGR,ATOXGR,ASTDT,DLTFL", "RELATED,1,4,2024-02-27,Y")
    assert (found.patients[1].dlt, found.patients[1].events[0].flagged_dlt) == (True, True)
    assert status(found).kind == "dlt"


# SUPPAE.

AE = "USUBJID,AESEQ,AESPID,AEDECOD,AETOXGR,AEREL,AESTDTC\n"
ONE = AE + "S2,1,E7,Rash,3,NOT RELATED,2024-03-10\nS2,2,E8,Fever,1,RELATED,2024-03-11\n"


@pytest.mark.parametrize(
    ("name", "label", "value", "field", "read"),
    [
        ("AEITOXGR", "", "1", "initial_grade", 1),
        ("XINIT", "Initial Toxicity Grade", "2", "initial_grade", 2),
        ("XBASE", "Grade at Baseline", "0", "initial_grade", 0),
        ("AEMAXGR", "", "4", "grade", 4),
        ("XWORST", "Worst CTCAE Grade", "Grade 5", "grade", 5),
        ("AEREL1", "Relationship to Infusion", "RELATED", "related", "RELATED"),
        ("AERELPRC", "Relationship to Procedure", "POSSIBLE", "related", "POSSIBLE"),
        ("AETRTEM", "Treatment Emergent Flag", "Y", "emergent", True),
        ("XDLT", "Is this a DLT?", "N", "flagged_dlt", False),
        ("AEDLT", "", "Y", "flagged_dlt", True),
        ("AEWORDTC", "", "2024-03-20", "worsened", date(2024, 3, 20)),
    ],
)
def test_a_supplement_is_read_with_its_event(tmp_path, name, label, value, field, read):
    one = sdtm(tmp_path, ONE, f"C1,AE,S2,AESEQ,1,{name},{label},{value}\n").patients[1].events[0]
    assert (getattr(one, field), one.supplements) == (read, ("suppae.csv row 2",))


@pytest.mark.parametrize("row", ["AESEQ,1.0", "AESPID,E7", "aeseq,1"])
def test_a_supplement_finds_its_event_by_any_variable(tmp_path, row):
    found = sdtm(tmp_path, ONE, f"C1,AE,S2,{row},AEDLT,,Y\n")
    assert [one.flagged_dlt for one in found.patients[1].events] == [True, None]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (
            "AE,S2,AESEQ,1,AERELNST,Relationship to Non-Study Treatment,RELATED",
            "relationship to something other than the study treatment",
        ),
        (
            "AE,S2,AESEQ,1,AEREL2,Relationship to Underlying Disease,RELATED",
            "relationship to something other than the study treatment",
        ),
        ("AE,S2,AESEQ,1,AECLSIG,Clinically Significant,Y", "AECLSIG"),
        ("AE,S2,AESEQ,1,DLTCRIT,DLT Criterion,Grade 4 rash", "DLTCRIT"),
        ("MH,S2,MHSEQ,1,MHX,Other,Y", "another domain"),
    ],
)
def test_a_supplement_that_is_not_used_is_listed(tmp_path, row, reason):
    found = sdtm(tmp_path, ONE, f"C1,{row}\n")
    (listed,) = found.listed
    assert reason in listed.reason
    assert status(found).kind == "complete"


@pytest.mark.parametrize(
    ("row", "place", "allowed"),
    [
        ("AE,S2,AESEQ,3,AEDLT,,Y", "IDVARVAL = '3'", "is not the AESEQ of an adverse event of this subject"),
        ("AE,S1,AESEQ,1,AEDLT,,Y", "IDVARVAL = '1'", "is not the AESEQ"),
        ("AE,S2,AELNKID,1,AEDLT,,Y", "IDVAR = 'AELNKID'", "must be a variable of AE"),
        ("AE,S2,,,AEDLT,,Y", "IDVAR = ''", "must be a variable of AE"),
        ("AE,S9,AESEQ,1,AEDLT,,Y", "USUBJID", "is not a subject of"),
        ("AE,S2,AESEQ,1,AEDLT,,perhaps", "SUPPAE AEDLT = 'perhaps'", "must be yes or no"),
        ("AE,S2,AESEQ,1,AEITOXGR,,6", "SUPPAE AEITOXGR = '6'", "must be a CTCAE grade from 0 to 5"),
        ("AE,S2,AESEQ,1,AEDLT,,Y\nC1,AE,S2,AESEQ,1,AEDLT,,N", "QVAL = 'N'", "has another value for the same adverse event"),
    ],
)
def test_a_broken_supplement_is_refused(tmp_path, row, place, allowed):
    with pytest.raises(InputError) as error:
        sdtm(tmp_path, ONE, f"C1,{row}\n")
    assert place in str(error.value)
    assert allowed in str(error.value)


def test_supplements_without_events_are_refused(tmp_path):
    folder = folder_of(tmp_path, {"dm": DM, "ex": EX, "suppae": SUPPLEMENT + "C1,AE,S2,AESEQ,1,AEDLT,,Y\n"})
    with pytest.raises(InputError, match="there is no AE"):
        read_patients(folder, AS)


def test_supplements_of_a_subject_without_infusion_are_listed(tmp_path):
    ae, suppae = ONE + "S3,1,E1,Rash,1,,2024-03-01\n", SUPPLEMENT + "C1,AE,S3,AESEQ,1,AETRTEM,,N\n"
    folder = folder_of(tmp_path, {"dm": DM + "S3,\n", "ex": EX, "ae": ae, "suppae": suppae})
    assert {listed.source for listed in read_patients(folder, AS).listed} == {"dm.csv row 4", "ae.csv row 4", "suppae.csv row 2"}


@pytest.mark.parametrize(
    ("columns", "cells", "allowed"),
    [
        ("AEENDTC", "2024-02-20", "must not be before the start of the event"),
        ("AEENDTC", "20.03.2024", "must be a full date in ISO form"),
        ("AEITOXGR", "6", "must be a CTCAE grade from 0 to 5"),
        ("AEITOXGR", "MILD", "must be a CTCAE grade from 0 to 5"),
        ("AEDLT", "perhaps", "must be yes or no"),
        ("AETRTEM", "maybe", "must be yes or no"),
    ],
)
def test_broken_events_of_sdtm(tmp_path, columns, cells, allowed):
    with pytest.raises(InputError, match=allowed):
        sdtm(tmp_path, f"USUBJID,AEDECOD,AETOXGR,AEREL,AESTDTC,{columns}\nS2,Rash,3,RELATED,2024-03-10,{cells}\n")


@pytest.mark.parametrize(
    ("columns", "cells", "allowed"),
    [
        ("worsened", "2024-02-20", "must not be before the start of the event"),
        ("worsened,end", "2024-03-20,2024-03-15", "must not be after the end of the event"),
        ("worsened", "20 March", "must be a full date in ISO form"),
        ("end", "2024-02-20", "must not be before the start of the event"),
        ("initial_grade", "-1", "must be a CTCAE grade from 0 to 5"),
        ("dlt", "perhaps", "must be yes or no"),
    ],
)
def test_broken_events_of_plain_tables(tmp_path, columns, cells, allowed):
    with pytest.raises(InputError, match=allowed):
        plain(tmp_path, f"grade,start,{columns}", f"3,2024-03-10,{cells}")


# Several records of one event.


@pytest.mark.parametrize("link", ["AESPID", "AEGRPID", "AELNKID"])
@pytest.mark.parametrize(
    ("records", "kind"),
    [
        # Each change of grade in a record of its own.
        (["1,2024-02-27", "4,2024-03-10"], "dlt"),
        (["1,2024-02-27", "2,2024-03-10", "4,2024-04-20"], "complete"),
        (["4,2024-02-20", "2,2024-03-10"], "complete"),
        (["1,2024-02-20", "4,2024-02-27"], "complete"),
        # The onset of the event in every record: the day of the change is not known.
        (["1,2024-02-27", "4,2024-02-27"], "pending"),
        (["1,2024-03-10", "4,2024-03-10"], "dlt"),
    ],
)
def test_records_of_one_event(tmp_path, link, records, kind):
    ae = f"USUBJID,{link},AEDECOD,AEREL,AETOXGR,AESTDTC\n" + "".join(f"S2,E7,Rash,RELATED,{cells}\n" for cells in records)
    found = sdtm(tmp_path, ae)
    assert status(found).kind == kind
    assert any(link in note for note in found.notes)


@pytest.mark.parametrize(("change", "kind"), [("3,2024-03-10", "dlt"), ("4,2024-04-20", "complete"), ("2,2024-03-10", "pending")])
def test_a_linked_record_dates_the_worsening(tmp_path, change, kind):
    found = plain(tmp_path, "event_id,initial_grade,grade,start", "7,1,4,2024-02-27", f"7,,{change}")
    assert status(found).kind == kind


@pytest.mark.parametrize("other", ["E8,Rash", "E7,Fever"])
def test_records_with_another_identifier_or_term_are_other_events(tmp_path, other):
    ae = "USUBJID,AESPID,AEDECOD,AEREL,AETOXGR,AESTDTC\n"
    found = sdtm(tmp_path, ae + f"S2,E7,Rash,RELATED,4,2024-02-27\nS2,{other},RELATED,1,2024-02-27\n")
    assert [one.initial_grade for one in found.patients[1].events] == [None, None]
    # Of neither is it told that it worsened on treatment; a related event of grade 4 awaits adjudication all the same.
    assert (told(found), status(found).held) == (("complete", ()), True)


# Liver tests against the baseline. Common Terminology Criteria for Adverse Events v5.0, National Cancer Institute, 2017.


@pytest.mark.parametrize(
    ("test", "normal", "abnormal"),
    [
        # Values as multiples of the limit of normal, or of the baseline, at and just above each limit of a grade.
        ("ALT", {1: 0, 1.01: 1, 3: 1, 3.01: 2, 5: 2, 5.01: 3, 20: 3, 20.01: 4}, {1.49: 0, 1.5: 1, 3: 1, 3.01: 2, 20.01: 4}),
        ("AST", {1: 0, 1.01: 1, 3: 1, 3.01: 2, 5: 2, 5.01: 3, 20: 3, 20.01: 4}, {1.49: 0, 1.5: 1, 5: 2, 5.01: 3, 20: 3}),
        ("ALP", {1: 0, 1.01: 1, 2.5: 1, 2.51: 2, 5: 2, 5.01: 3, 20.01: 4}, {1.99: 0, 2: 1, 2.5: 1, 2.51: 2, 5.01: 3}),
        ("GGT", {1: 0, 1.01: 1, 2.5: 1, 2.51: 2, 5: 2, 5.01: 3, 20.01: 4}, {1.99: 0, 2: 1, 2.5: 1, 2.51: 2, 20.01: 4}),
        ("BILI", {1: 0, 1.01: 1, 1.5: 1, 1.51: 2, 3: 2, 3.01: 3, 10.01: 4}, {1: 0, 1.01: 1, 1.5: 1, 1.51: 2, 3.01: 3, 10.01: 4}),
    ],
)
def test_grades_of_liver_tests(test, normal, abnormal):
    assert {times: liver_grade(test, 40 * times, 40) for times in normal} == normal
    assert {times: liver_grade(test, 40 * times, 40, baseline=40) for times in normal} == normal
    assert {times: liver_grade(test, 70 * times, 40, baseline=70) for times in abnormal} == abnormal


def test_a_value_at_a_limit_is_not_above_it():
    """0.1 * 3 is above 0.3 in double precision by one part in 10^16."""
    assert liver_grade("ALT", 0.1 * 3, 0.1) == liver_grade("ALT", 0.3, 0.1) == 1


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (("LDH", 1, 1), "test"),
        (("ALT", 0, 1), "value"),
        (("ALT", 1, -1), "uln"),
        (("ALT", 1, 1, float("nan")), "baseline"),
        (("ALT", "9", 1), "value"),
    ],
)
def test_invalid_liver_tests_are_rejected(call, named):
    with pytest.raises(InputError) as error:
        liver_grade(*call)
    assert error.value.problems[0].where == named


BY_BASELINE = protocol(dlt={"liver_grading": "baseline"})
LB = "USUBJID,LBTESTCD,LBSTRESN,LBSTRESU,LBSTNRHI,LBDTC,LBBLFL\n"
ALT = "USUBJID,AEDECOD,AEREL,AETOXGR,AESTDTC,AEENDTC\nS2,Alanine aminotransferase increased,RELATED,{cells}\n"


def liver(path, lb, ae, rules=BY_BASELINE):
    found = read_patients(folder_of(path, {"dm": DM, "ex": EX, "ae": ae, "lb": LB + lb}), rules)
    rows = [row for one in found.patients for row in one.rows()] + [listed.source for listed in found.listed]
    assert len(rows) == len(set(rows)) == found.rows
    return found


@pytest.mark.parametrize(
    ("baseline", "value", "cells", "kind", "grade"),
    [
        ("100", "220", "3,2024-03-10,", "complete", 1),
        ("100", "310", "3,2024-03-10,2024-03-30", "complete", 2),
        ("100", "510", "3,2024-03-10,", "dlt", 3),
        ("100", "810", "4,2024-03-10,", "dlt", 3),
        ("40", "220", "3,2024-03-10,", "dlt", 3),  # the baseline was normal
        ("100", "150", "3,2024-03-10,", "dlt", 3),  # the value that was graded is not among the tests
        ("100", "220", "3,2024-03-16,", "dlt", 3),  # no test since its start
        ("100", "220", "2,2024-03-10,", "complete", 1),
    ],
)
def test_the_grade_by_the_baseline_replaces_the_recorded_one(tmp_path, baseline, value, cells, kind, grade):
    lb = f"S2,ALT,{baseline},U/L,40,2024-03-01,\nS2,ALT,{value},U/L,40,2024-03-15,\n"
    found = evaluate(liver(tmp_path, lb, ALT.format(cells=cells)), BY_BASELINE)
    assert found["S2"].kind == kind
    (one,) = found.patients[1].events
    assert one.grade == grade
    recorded = int(cells[0])
    assert one.recorded_grade == (None if grade == recorded else recorded)
    if recorded == 3:
        assert "ae.csv row 2" in found["S2"].source
    # Without the setting LB is not read.
    assert evaluate(read_patients(tmp_path, AS), AS).patients[1].events[0].grade == recorded


def test_the_grade_of_one_liver_test_depends_on_its_own_values_only(tmp_path):
    alt = "S2,ALT,100,U/L,40,2024-03-01,\nS2,ALT,220,U/L,40,2024-03-15,\n"
    bilirubin = "S2,BILI,10,umol/L,100,2024-03-01,\nS2,BILI,900,umol/L,100,2024-03-15,\n"
    ae = ALT.format(cells="3,2024-03-10,") + "S2,Blood bilirubin increased,RELATED,3,2024-03-10,\n"
    found = evaluate(liver(tmp_path, alt + bilirubin, ae), BY_BASELINE)
    assert [(one.grade, one.recorded_grade) for one in found.patients[1].events] == [(1, 3), (3, None)]


@pytest.mark.parametrize(
    ("lb", "asks"),
    [
        ("ALT,100,U/L,40,2024-03-01,\nS2,ALT,510,U/L,40,2024-03-15,", ("laboratory",)),
        ("ALT,100,U/L,40,2024-03-01,\nS2,ALT,220,U/L,40,2024-03-15,", ()),
        ("ALT,100,U/L,40,2024-03-01,\nS2,ALT,510,U/L,40,2024-04-15,", ()),
        ("ALT,220,U/L,40,2024-03-15,", ("laboratory",)),  # no baseline
        # A flagged baseline on the day of the infusion.
        ("ALT,30,U/L,40,2024-03-01,\nS2,ALT,100,U/L,40,2024-03-02,Y\nS2,ALT,220,U/L,40,2024-03-15,", ()),
        # A value of that day that is not flagged is none, and of those before the last is.
        ("ALT,30,U/L,40,2024-03-01,\nS2,ALT,100,U/L,40,2024-03-02,\nS2,ALT,220,U/L,40,2024-03-15,", ("laboratory",)),
        ("ALT,100,U/L,40,2024-03-01,\nS2,ALT,30,U/L,40,2024-02-20,\nS2,ALT,220,U/L,40,2024-03-15,", ()),
        ("BILI,31,umol/L,10,2024-03-15,\nS2,ALP,501,U/L,100,2024-03-16,", ("laboratory", "laboratory")),
        ("GLUC,900,mg/dL,100,2024-03-15,", ()),
    ],
)
def test_a_liver_test_of_dlt_grade_without_an_event_is_open(tmp_path, lb, asks):
    none = "USUBJID,AEDECOD,AEREL,AETOXGR,AESTDTC\nS2,Rash,RELATED,1,2024-03-10\n"
    assert told(liver(tmp_path, f"S2,{lb}\n", none), BY_BASELINE) == ("pending" if asks else "complete", asks)


@pytest.mark.parametrize(
    ("sampled", "start", "end", "asks"),
    [
        # The window goes from 2 to 30 March.
        ("2024-03-02", "2024-03-20", "", True),
        ("2024-03-30", "2024-03-02", "2024-03-29", True),
        ("2024-03-31", "2024-03-02", "2024-03-29", False),
        ("2024-03-15", "2024-03-10", "2024-03-14", True),
        ("2024-03-15", "2024-03-10", "2024-03-15", False),
        ("2024-03-15", "2024-03-15", "", False),
        ("2024-03-15", "2024-03-16", "", True),
        ("2024-03-15", "", "2024-03-20", False),
    ],
)
def test_a_liver_test_asks_unless_an_event_was_there_on_its_day(tmp_path, sampled, start, end, asks):
    ae = ALT.replace("{cells}", f"1,{start},{end}")
    _, found = told(liver(tmp_path, f"S2,ALT,220,U/L,40,{sampled},\n", ae), BY_BASELINE)
    assert ("laboratory" in found) is asks


@pytest.mark.parametrize(("as_of", "kind"), [("2024-03-14", "pending"), ("2024-03-15", "complete")])
def test_an_assessment_settles_liver_tests_up_to_its_data_cutoff(tmp_path, as_of, kind):
    none = "USUBJID,AEDECOD,AEREL,AETOXGR,AESTDTC\nS2,Rash,RELATED,1,2024-03-10\n"
    data = liver(tmp_path, "S2,ALT,220,U/L,40,2024-03-15,\n", none)
    said = (date.fromisoformat(as_of), date(2024, 6, 1), "X", "", "S2", None, "", None, "not a DLT", "board", "infection")
    assert evaluate(data, BY_BASELINE, adjudications=[Adjudicated(*said)])["S2"].kind == kind


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("ALT,,U/L,40,2024-03-15,", "without a numeric result"),
        ("ALT,50,U/L,,2024-03-15,", "without an upper limit of normal"),
        ("ALT,50,U/L,40,2024-03,", "without a full date"),
        ("CREAT,50,umol/L,40,2024-03-15,", "not a liver test"),
    ],
)
def test_a_laboratory_value_that_is_not_used_is_listed(tmp_path, row, reason):
    (listed,) = liver(tmp_path, f"S2,{row}\n", ALT.format(cells="1,2024-03-10,")).listed
    assert (listed.source, reason in listed.reason) == ("lb.csv row 2", True)


@pytest.mark.parametrize(
    ("row", "allowed"),
    [
        ("S2,ALT,high,U/L,40,2024-03-15,", "a number above 0, the result"),
        ("S2,ALT,50,U/L,-1,2024-03-15,", "a number above 0, the upper limit of normal"),
        ("S2,ALT,50,U/L,40,15.03.2024,", "must be a full date in ISO form"),
        ("S2,ALT,50,U/L,40,2024-03-15,\nS2,ALT,1,ukat/L,0.7,2024-03-16,", "must be the unit of the other values"),
        ("S9,ALT,50,U/L,40,2024-03-15,", "is not a subject of"),
    ],
)
def test_a_broken_laboratory_value_is_refused(tmp_path, row, allowed):
    with pytest.raises(InputError, match=allowed):
        liver(tmp_path, f"{row}\n", ALT.format(cells="1,2024-03-10,"))


def test_liver_tests_of_a_workbook(tmp_path):
    test = {"subject": "S2", "test": "ALT", "unit": "U/L", "uln": "40"}
    book = {
        "patients": [{"subject": "S2", "level": "1", "infusion_1": "2024-03-02", "last_contact": "2024-06-02"}],
        "events": [{"subject": "S2", "term": "ALT increased", "grade": "3", "related": "related", "start": "2024-03-10"}],
        "labs": [test | {"value": "100", "date": "2024-03-01"}, test | {"value": "220", "date": "2024-03-15"}],
    }
    path = write_xlsx(tmp_path / "trial.xlsx", book)
    found = read_patients(path, BY_BASELINE)
    assert (len(found.patients[0].labs), found.rows) == (2, 4)
    assert status(found, BY_BASELINE).kind == "complete"
    assert status(read_patients(path, AS)).kind == "dlt"


def test_missing_liver_tests_are_noted(tmp_path):
    folder = folder_of(tmp_path, {"dm": DM, "ex": EX, "ae": ALT.format(cells="3,2024-03-10,")})
    found = read_patients(folder, BY_BASELINE)
    assert any("liver tests are graded as recorded" in note for note in found.notes)
    assert status(found, BY_BASELINE).kind == "dlt"


# The way back.


def test_every_field_comes_back_as_written(tmp_path):
    columns = "initial_grade,grade,start,end,severity,worsened,dlt,treatment_emergent"
    found = plain(
        tmp_path,
        columns,
        "1,4,2024-02-27,2024-03-20,SEVERE,2024-03-10,yes,yes",
        "0,2,2024-03-10,ongoing,MILD,,no,no",
        ",,2024-03-11,,MODERATE,,,",
        "3,3,2024-02-27,2024-02-28,,,,",
    )
    bare = [one._replace(source="", supplements=()) for one in found.patients[0].events]
    for name, table in plain_tables(found).items():
        (tmp_path / f"{name}.csv").write_text(csv_text(table))
    again = read_patients(tmp_path / "patients.csv", AS, events=tmp_path / "events.csv")
    assert [one._replace(source="") for one in again.patients[0].events] == bare
    for kind in ("csv", "xpt"):
        folder = tmp_path / kind
        folder.mkdir()
        for name, table in sdtm_domains(found, AS, "C1").items():
            if kind == "csv":
                (folder / f"{name}.csv").write_text(csv_text(table))
            else:
                write_xpt(table, folder / f"{name}.xpt", date(2024, 6, 2))
        domains = read_patients(folder, AS)
        assert [one._replace(source="", supplements=()) for one in domains.patients[0].events] == bare
        assert domains.rows == sum(len(table.rows) for table in sdtm_domains(found, AS, "C1").values())
