"""Evaluability as trials collect it: recorded decisions, least exposure and follow-up, leaving, last contacts, other doses."""

from collections import Counter
from dataclasses import replace
from datetime import date

import pytest

from dosefind import InputError, read_patients
from dosefind.conduct import findings
from dosefind.evaluability import evaluate
from dosefind.intake.writing import csv_text, plain_tables, sdtm_domains

from .made_up import day, event, patient, protocol, trial

AS, DLC = "nct05962762", "nct05948982"
UNIT = "10^6 cells/kg"


# Verdicts with a recorded decision.


def judged(*patients, name=AS, as_of=40, last=None, replay=True, **changed):
    return evaluate(trial(*patients, last=last), protocol(name, **changed), day(as_of), replay=replay)


def status(one, as_of=40, **options):
    return judged(one, as_of=as_of, **options)[one.subject]


DEATH = {"died": day(10), "discontinued": 10, "reason": "DEATH"}


@pytest.mark.parametrize(
    ("fields", "kind", "derived"),
    [
        ({}, "not evaluable", "complete"),
        ({"discontinued": 9}, "not evaluable", None),
        ({"last_contact": 9}, "not evaluable", "pending"),
        ({"dlt": None, "events": None}, "not evaluable", "pending"),
        ({"events": (event(5),)}, "dlt", None),
        ({"dlt": True, "dlt_date": 5, "events": None}, "dlt", None),
        ({"events": (event(5, grade=None),)}, "pending", None),
        ({"events": (event(None),)}, "pending", None),
        ({"events": (event(5, grade=2),)}, "not evaluable", "complete"),
        (DEATH, "pending", None),
    ],
)
def test_patient_recorded_not_evaluable(fields, kind, derived):
    found = status(patient("S", 1, 1, evaluable=False, evaluable_reason="wrong product", **fields))
    assert (found.kind, found.recorded) == (kind, False)
    assert found.derived == derived
    assert ("wrong product" in found.rule) is not found.held
    # A question about a DLT stays open, and overdue.
    assert found.overdue is (kind == "pending" and not found.held)


def test_reason_is_hidden_with_the_terms():
    one = patient("S", 1, 1, evaluable=False, evaluable_reason="wrong product")
    assert "wrong product" not in status(one, report={"terms": False}).rule


def test_dropout_counted_as_dlt_per_protocol_is_not_excluded_by_a_record():
    left = patient("S", 1, 1, evaluable=False, discontinued=9)
    assert status(left, evaluability={"dropout": "dlt"}).kind == "dlt"
    assert status(left, evaluability={"dropout": "no-dlt"}).kind == "not evaluable"


@pytest.mark.parametrize("part", ["placebo", "control"])
def test_recorded_decision_leaves_patients_outside_the_doses_as_they_are(part):
    assert status(replace(patient("S", 1, 1, evaluable=True), part=part)).kind == "not evaluable"
    assert status(patient("S", None, 1, evaluable=False)).otherwise == "not evaluable"
    assert status(patient("S", None, 1, evaluable=True)).otherwise == "complete"


@pytest.mark.parametrize(
    ("fields", "as_of", "by_default", "followed"),
    [
        ({}, 40, "complete", "complete"),
        ({"discontinued": 9}, 40, "not evaluable", "complete"),
        ({"discontinued": 9}, 20, "not evaluable", "pending"),
        ({"discontinued": 9, "dlt": None, "events": None}, 40, "not evaluable", "not evaluable"),
        ({"discontinued": 9, "reason": "rescue"}, 40, "not evaluable", "complete"),
        ({"last_contact": 9}, 40, "pending", "pending"),
        ({"dlt": None, "events": None}, 40, "pending", "pending"),
        ({"events": (event(5),)}, 40, "dlt", "dlt"),
        ({"events": (event(5, grade=None),), "discontinued": 9}, 40, "pending", "pending"),
        (DEATH, 40, "pending", "pending"),
        ({}, 20, "pending", "pending"),
    ],
)
def test_patient_recorded_evaluable(fields, as_of, by_default, followed):
    one = patient("S", 1, 1, evaluable=True, **fields)
    kept, followed_found = (status(one, as_of, evaluability={"recorded": choice}) for choice in ("exclude", "follow"))
    assert (kept.kind, followed_found.kind) == (by_default, followed)
    assert status(one, as_of).kind == by_default
    if followed != by_default:
        assert followed_found.derived == by_default


@pytest.mark.parametrize(
    ("fields", "from_day"),
    [({}, 29), ({"last_contact": 60}, 29), ({"last_contact": 12}, 12), ({"discontinued": 12}, 12), ({"last_contact": 29}, 29)],
)
def test_decision_is_known_from_the_end_of_the_window_or_the_last_contact(fields, from_day):
    one, later = patient("S", 1, 1, evaluable=False, **fields), patient("T", 1, 70)
    for as_of in (from_day - 1, from_day):
        found = judged(one, later, as_of=as_of)["S"]
        assert found.recorded is (False if as_of == from_day else None)
        assert (found.kind == "not evaluable") is (as_of == from_day)
    # Where nothing of the data is left out, the decision is in them.
    assert judged(one, as_of=60, replay=False)["S"].kind == "not evaluable"
    assert judged(patient("S", 1, 1, evaluable=False), as_of=20, replay=False)["S"].closed == day(20)


def test_decision_on_a_patient_without_an_infusion_is_of_nobody_treated():
    found = judged(patient("S", 1, evaluable=False), patient("T", 1, 1), patient("U", 1, 70), as_of=40)
    assert [one.subject for one in found.statuses] == ["T"]
    assert {one.source for one in found.listed} == {"patients.csv row S", "patients.csv row U"}


def test_patient_recorded_not_evaluable_can_be_replaced():
    people = [patient("S1", 1, 1), patient("S2", 1, 2, evaluable=False), patient("S3", 1, 3), patient("S4", 1, 32, replaces="S2")]
    found = judged(*people, as_of=70)
    assert (found["S2"].kind, found["S2"].replaced_by) == ("replaced", "S4")
    assert [cohort.n for cohort in found.cohorts()] == [3]


# Findings on recorded decisions.

DECIDED = {
    "recorded not evaluable, with a DLT",
    "recorded not evaluable, evaluable per protocol",
    "recorded evaluable, not evaluable per protocol",
}


@pytest.mark.parametrize(
    ("fields", "options", "rule"),
    [
        ({"evaluable": False, "events": (event(5),)}, {}, "recorded not evaluable, with a DLT"),
        ({"evaluable": False}, {}, "recorded not evaluable, evaluable per protocol"),
        ({"evaluable": False, "discontinued": 9}, {}, None),
        ({"evaluable": True, "discontinued": 9}, {}, "recorded evaluable, not evaluable per protocol"),
        (
            {"evaluable": True, "discontinued": 9},
            {"evaluability": {"recorded": "follow"}},
            "recorded evaluable, not evaluable per protocol",
        ),
        ({"evaluable": True}, {}, None),
        ({"evaluable": True, "events": (event(5),)}, {}, None),
        ({}, {}, None),
    ],
)
def test_findings_on_recorded_decisions(fields, options, rule):
    rules = protocol(AS, **options)
    found = findings(judged(patient("S", 1, 1, **fields), **options), rules)
    assert [(one.rule, one.subjects) for one in found if one.rule in DECIDED] == ([] if rule is None else [(rule, ("S",))])


# Least exposure and follow-up.


@pytest.mark.parametrize(
    ("infusions", "least", "kind"),
    [
        ((1, 29, 57), None, "complete"),
        ((1, 29), None, "not evaluable"),
        ((1, 29), 2, "complete"),
        ((1,), 2, "not evaluable"),
        ((1,), 1, "complete"),
        ((1, 29, 57), 3, "complete"),
        ((1, 200), 2, "not evaluable"),
    ],
)
def test_least_number_of_infusions(infusions, least, kind):
    settings = {} if least is None else {"least_infusions": least}
    assert status(patient("S", 1, *infusions), 250, name=DLC, evaluability=settings).kind == kind


@pytest.mark.parametrize(
    ("fields", "least", "kind"),
    [
        ({"discontinued": 22}, None, "not evaluable"),
        ({"discontinued": 22}, 21, "complete"),
        ({"discontinued": 21}, 21, "not evaluable"),
        ({"discontinued": 28}, 28, "not evaluable"),
        ({"discontinued": 22, "reason": "rescue"}, 21, "complete"),
        ({"discontinued": 22, "dlt": None, "events": None}, 21, "not evaluable"),
        ({"discontinued": 22, "events": (event(5),)}, 21, "dlt"),
        ({"discontinued": 22, "events": (event(5, grade=None),)}, 21, "pending"),
        # Nobody left: follow-up is still to come.
        ({"last_contact": 25}, 21, "pending"),
        ({"died": day(25), "discontinued": 25, "reason": "DEATH"}, 21, "pending"),
    ],
)
def test_least_days_of_follow_up(fields, least, kind):
    settings = {} if least is None else {"least_days": least}
    assert status(patient("S", 1, 1, **fields), evaluability=settings).kind == kind


def test_patient_who_left_after_the_least_follow_up_needs_the_infusions_too():
    settings = {"least_days": 30, "least_infusions": 2}
    found = [status(patient("S", 1, *days, discontinued=60), 200, name=DLC, evaluability=settings).kind for days in ((1,), (1, 29))]
    assert found == ["not evaluable", "complete"]


@pytest.mark.parametrize(
    ("key", "value", "place"),
    [
        ("least_infusions", 2, "evaluability.least_infusions"),
        ("least_infusions", 0, "evaluability.least_infusions"),
        ("least_infusions", 1.5, "evaluability.least_infusions"),
        ("least_days", 29, "evaluability.least_days"),
        ("least_days", 0, "evaluability.least_days"),
        ("recorded", "always", "evaluability.recorded"),
        ("recorded", True, "evaluability.recorded"),
    ],
)
def test_settings_that_cannot_be(key, value, place):
    with pytest.raises(InputError, match=place):
        protocol(AS, evaluability={key: value})


@pytest.mark.parametrize("intake", [{"evaluable_flag": ""}, {"evaluable_flag": "A", "dlt_flag": "a"}, {"evaluable": "A"}])
def test_names_of_variables_that_cannot_be(intake):
    with pytest.raises(InputError, match="intake"):
        protocol(AS, intake=intake)


# Leaving treatment.


@pytest.mark.parametrize(
    ("infusions", "reason", "kind"),
    [
        ((1,), "ADVERSE EVENT", "complete"),
        ((1,), None, "complete"),
        ((1,), "PROGRESSIVE DISEASE", "not evaluable"),
        ((1,), "rescue treatment", "not evaluable"),
    ],
)
def test_leaving_treatment_is_not_leaving_follow_up(infusions, reason, kind):
    one = patient("S", 1, *infusions, last_contact=60, left_treatment=day(5), left_treatment_reason=reason)
    assert status(one, 60).kind == kind
    assert judged(one, as_of=4)["S"].kind == "pending"


def test_patient_who_left_treatment_is_a_partial_course():
    one = patient("S", 1, 1, last_contact=250, left_treatment=day(20), left_treatment_reason="ADVERSE EVENT")
    assert "partial_course" in status(one, 250, name=DLC).rule
    assert status(one, 250, name=DLC, evaluability={"partial_course": "no-dlt"}).kind == "complete"
    assert status(one, 50, name=DLC, last=250).kind == "pending"
    (found,) = (one for one in findings(judged(one, as_of=250, name=DLC), protocol(DLC)) if one.rule == "partial course")
    assert str(day(20)) in found.words


# Tables.


def table(folder, text, name="patients.csv"):
    (folder / name).write_text(text)
    return folder / name


def plain(folder, columns, cells, rules=None, more=""):
    """The patient of a table with these columns beside the usual ones."""
    text = f"subject,dose,infusion_1,last_contact,dlt,{columns}\nP1,1,2024-03-01,2024-06-01,no,{cells}\n"
    return read_patients(table(folder, text + more), rules or protocol(AS))


@pytest.mark.parametrize(
    ("columns", "cells", "decision"),
    [
        ("evaluable", "no", (False, None)),
        ("evaluable", "YES", (True, None)),
        ("evaluable", "", (None, None)),
        ("Evaluable", "N", (False, None)),
        ("evaluable", "0", (False, None)),
        ("evaluable", "False", (False, None)),
        ("evaluable", "Not evaluable", (False, None)),
        ("evaluable", "non-evaluable", (False, None)),
        ("evaluable", "Evaluable", (True, None)),
        ("dlt_evaluable", "no", (False, None)),
        ("evaluable_for_dlt", "yes", (True, None)),
        ("evaluable,evaluable_reason", "no,wrong product", (False, "wrong product")),
        ("evaluable,reason_not_evaluable", "no,wrong product", (False, "wrong product")),
        ("evaluable,not_evaluable_reason", "no,wrong product", (False, "wrong product")),
        ("evaluable,reason", "no,wrong product", (False, "wrong product")),
        ("evaluable,evaluable_reason", "yes,last visit done", (True, "last visit done")),
        ("evaluable,dlt_evaluable", "no,n", (False, None)),
        ("evaluable,discontinued,reason", "no,,wrong product", (False, "wrong product")),
        ("evaluable,discontinued,reason", "no,2024-03-20,moved", (False, None)),
    ],
)
def test_decision_in_the_plain_table(tmp_path, columns, cells, decision):
    found = plain(tmp_path, columns, cells)
    (one,) = found.patients
    assert (one.evaluable, one.evaluable_reason) == decision
    assert not any("not used" in note for note in found.notes)


@pytest.mark.parametrize(
    ("columns", "cells", "place"),
    [
        ("evaluable", "maybe", "evaluable = 'maybe'"),
        ("evaluable", "2", "evaluable = '2'"),
        ("evaluable_reason", "moved", "column evaluable_reason"),
        ("reason_not_evaluable", "moved", "column reason_not_evaluable"),
        ("reason", "moved", "column reason"),
        ("evaluable,evaluable_reason", ",moved", "evaluable_reason = 'moved'"),
        ("evaluable,reason_not_evaluable", "yes,moved", "reason_not_evaluable = 'moved'"),
        ("evaluable,evaluable_reason,reason_not_evaluable", "no,moved,unwell", "reason_not_evaluable = 'unwell'"),
        ("evaluable,dlt_evaluable", "no,yes", "dlt_evaluable = 'yes'"),
        ("evaluable,evaluable", "no,no", "column evaluable"),
        ("evaluable,reason", ",moved", "discontinued = ''"),
        ("left_treatment", "2024-02-01", "left_treatment = '2024-02-01'"),
        ("left_treatment", "soon", "left_treatment = 'soon'"),
        ("left_treatment_reason", "unwell", "column left_treatment_reason"),
        ("left_treatment,left_treatment_reason", ",unwell", "left_treatment = ''"),
        ("part", "no dose", "part = 'no dose'"),
    ],
)
def test_broken_columns_of_decisions(tmp_path, columns, cells, place):
    with pytest.raises(InputError) as error:
        plain(tmp_path, columns, cells)
    assert place in str(error.value)


@pytest.mark.parametrize(
    ("columns", "cells", "part"),
    [
        ("level,dose,part", ",0,", "placebo"),
        ("level,dose,part", ",0.0,", "placebo"),
        ("level,dose,part", ",0,control", "control"),
        ("level,dose,part", ",,placebo", "placebo"),
        ("level,dose,part", ",0,Placebo", "placebo"),
    ],
)
def test_dose_of_zero_in_the_plain_table_is_placebo(tmp_path, columns, cells, part):
    text = f"subject,infusion_1,{columns}\nP1,2024-03-01,1,,\nP2,2024-03-02,{cells}\n"
    found = read_patients(table(tmp_path, text), protocol(AS))
    _, one = found.patients
    assert (one.part, one.level, one.amount) == (part, None, 0)
    assert sum("read as placebo" in note for note in found.notes) == (cells.endswith(","))
    assert not any("P2" in note for note in found.notes)


@pytest.mark.parametrize(
    ("cells", "place"),
    [
        ("1,0,", "dose = '0'"),
        (",0,escalation", "dose = '0'"),
        ("0,,", "level = '0'"),
        (",00x,", "dose = '00x'"),
    ],
)
def test_dose_of_zero_that_is_no_placebo(tmp_path, cells, place):
    with pytest.raises(InputError) as error:
        read_patients(table(tmp_path, f"subject,infusion_1,level,dose,part\nP2,2024-03-02,{cells}\n"), protocol(AS))
    assert place in str(error.value)


# ADaM.

EXPOSURE = "USUBJID,EXTRT,EXDOSE,EXDOSU,EXSTDTC\nS1,UCMSC,1,{unit},2024-03-01\nS2,{treatment},{dose},{unit},2024-03-02\n"


def adam(folder, columns="", cells="", intake=None, contact="2024-06-02", exposure=None, events=None):
    """The data and patient S2 of ADSL with these columns."""
    none = "," * (columns.count(",") + 1) if columns else ""
    text = f"USUBJID,LSTALVDT{',' * bool(columns)}{columns}\nS1,2024-06-01{none}\nS2,{contact}{',' * bool(columns)}{cells}\n"
    table(folder, text, "adsl.csv")
    table(folder, EXPOSURE.format(unit=UNIT, **{"treatment": "UCMSC", "dose": 1, **(exposure or {})}), "adex.csv")
    if events is not None:
        table(folder, events, "adae.csv")
    return checked(read_patients(folder, protocol(AS, intake=intake or {})))


def sdtm(folder, intake=None, contact="2024-06-02", exposure=None, columns="", cells="", **domains):
    """The data and patient S2 of SDTM domains."""
    none = "," * (columns.count(",") + 1) if columns else ""
    text = f"USUBJID,RFPENDTC{',' * bool(columns)}{columns}\nS1,2024-06-01{none}\nS2,{contact}{',' * bool(columns)}{cells}\n"
    table(folder, text, "dm.csv")
    table(folder, EXPOSURE.format(unit=UNIT, **{"treatment": "UCMSC", "dose": 1, **(exposure or {})}), "ex.csv")
    for name, text in domains.items():
        table(folder, text, f"{name}.csv")
    return checked(read_patients(folder, protocol(AS, intake=intake or {})))


def checked(found):
    """The data and patient S2; each row is named once."""
    named = [row for one in found.patients for row in (*one.source, *(event.source for event in one.events or ()))]
    rows = Counter([*named, *(one.source for one in found.listed)])
    assert set(rows.values()) == {1}
    assert rows.total() == found.rows
    return found, next(one for one in found.patients if one.subject == "S2")


@pytest.mark.parametrize(
    ("columns", "cells", "intake", "decision", "noted"),
    [
        ("DLTEVLFL", "N", {}, (False, None), 1),
        ("DLTEFL", "Y", {}, (True, None), 1),
        ("EVALDLTFL", "N", {}, (False, None), 1),
        ("DLTEVAL", "n", {}, (False, None), 1),
        ("DLTEVLFL,DLTEVLRS", "N,WRONG PRODUCT", {}, (False, "WRONG PRODUCT"), 2),
        ("DLTEVLFL", "", {}, (None, None), 1),
        ("MYFL", "N", {"evaluable_flag": "MYFL"}, (False, None), 0),
        ("MYFL", "N", {"evaluable_flag": "myfl"}, (False, None), 0),
        ("MYFL,WHY", "N,MISSED", {"evaluable_flag": "MYFL", "evaluable_reason": "WHY"}, (False, "MISSED"), 0),
        ("MYFL,DLTEVLFL", "N,Y", {"evaluable_flag": "MYFL"}, (False, None), 0),
        ("SAFFL", "N", {}, (None, None), 0),
    ],
)
def test_flags_of_adsl(tmp_path, columns, cells, intake, decision, noted):
    found, one = adam(tmp_path, columns, cells, intake)
    assert (one.evaluable, one.evaluable_reason) == decision
    assert sum("usual names" in note for note in found.notes) == noted


@pytest.mark.parametrize(
    ("columns", "cells", "intake", "place"),
    [
        ("DLTEVLFL", "X", {}, "DLTEVLFL = 'X'"),
        ("DLTEVLFL,DLTEFL", "Y,N", {}, "DLTEFL = 'N'"),
        ("DLTEVLRS", "MISSED", {}, "DLTEVLRS = 'MISSED'"),
        ("DLTEVLFL", "N", {"evaluable_flag": "MYFL"}, "column MYFL: missing"),
        ("DLTEVLFL", "N", {"evaluable_reason": "WHY"}, "column WHY: missing"),
        ("DLTEVLFL", "N", {"dlt_flag": "TOXFL"}, "column TOXFL: missing"),
        ("TOXFL", "N", {"dlt_flag": "TOXFL", "dlt_date": "TOXDT"}, "column TOXDT: missing"),
        ("TOXFL", "Y", {"dlt_flag": "TOXFL"}, "TOXFL = 'Y': needs DLTDT"),
        ("TOXFL,TOXDT", "Y,", {"dlt_flag": "TOXFL", "dlt_date": "TOXDT"}, "TOXFL = 'Y': needs TOXDT"),
        ("DLTEVLFL", "N", {"cohort": "COHNUM"}, "column COHNUM: missing"),
        ("COHNUM", "two", {"cohort": "COHNUM"}, "COHNUM = 'two'"),
    ],
)
def test_broken_flags_of_adsl(tmp_path, columns, cells, intake, place):
    with pytest.raises(InputError) as error:
        adam(tmp_path, columns, cells, intake)
    assert place in str(error.value)


def test_dlt_and_cohort_by_names_of_the_config(tmp_path):
    text = "USUBJID,LSTALVDT,TOXFL,TOXDT,GROUPN\nS1,2024-06-01,N,,1\nS2,2024-06-02,Y,2024-03-09,1\n"
    table(tmp_path, text, "adsl.csv")
    table(tmp_path, EXPOSURE.format(unit=UNIT, treatment="UCMSC", dose=1), "adex.csv")
    rules = protocol(AS, intake={"dlt_flag": "TOXFL", "dlt_date": "TOXDT", "cohort": "GROUPN"})
    one, two = read_patients(tmp_path, rules).patients
    assert (one.dlt, two.dlt, two.dlt_date) == (False, True, date(2024, 3, 9))
    assert (one.cohort, two.cohort) == (1, 1)


# SUPPDM.

SUPP = "RDOMAIN,USUBJID,IDVAR,IDVARVAL,QNAM,QLABEL,QVAL\n"


@pytest.mark.parametrize(
    ("rows", "intake", "decision", "unused"),
    [
        (["DLTEVLFL,,N"], {}, (False, None), 0),
        (["DLTEVLFL,,Y"], {}, (True, None), 0),
        (["DLTEFL,,N", "DLTERS,,MISSED VISITS"], {}, (False, "MISSED VISITS"), 0),
        (["MYFL,,N", "WHY,,MISSED"], {"evaluable_flag": "MYFL", "evaluable_reason": "why"}, (False, "MISSED"), 0),
        (["RACEOTH,,X", "DLTEVLFL,,N"], {}, (False, None), 1),
        (["RACEOTH,,X", "SAFETY,,Y"], {}, (None, None), 2),
        (["DLTEVLFL,,N", "DLTEVLFL,,n"], {}, (False, None), 0),
    ],
)
def test_decision_in_suppdm(tmp_path, rows, intake, decision, unused):
    text = SUPP + "".join(f"DM,S2,,,{row}\n" for row in rows)
    found, one = sdtm(tmp_path, intake, suppdm=text)
    assert (one.evaluable, one.evaluable_reason) == decision
    assert sum(listed.source.startswith("suppdm") for listed in found.listed) == unused
    assert not any("X" in note.split() for note in found.notes)


@pytest.mark.parametrize(
    ("rows", "intake", "place"),
    [
        (["DM,S2,,,DLTEVLFL,,perhaps"], {}, "QVAL = 'perhaps'"),
        (["DM,S2,,,DLTEVLFL,,"], {}, "QVAL = ''"),
        (["DM,S2,,,,,N"], {}, "QNAM = ''"),
        (["AE,S2,,,DLTEVLFL,,N"], {}, "RDOMAIN = 'AE'"),
        (["DM,S9,,,DLTEVLFL,,N"], {}, "USUBJID = 'S9'"),
        (["DM,S2,,,DLTEVLFL,,N", "DM,S2,,,DLTEVLFL,,Y"], {}, "QVAL = 'Y': contradicts row 2"),
        (["DM,S2,,,DLTEVLFL,,N", "DM,S2,,,DLTEFL,,Y"], {}, "contradicts DLTEVLFL"),
        (["DM,S2,,,DLTEVLRS,,MISSED"], {}, "QVAL = 'MISSED'"),
        (["DM,S2,,,DLTEVLFL,,N"], {"evaluable_flag": "MYFL"}, "column MYFL: missing"),
        (["DM,S2,,,TOXFL,,Y"], {"dlt_flag": "TOXFL"}, "QVAL = 'Y': needs the day"),
        (["DM,S2,,,TOXDT,,2024-03-09", "DM,S2,,,TOXFL,,N"], {"dlt_flag": "TOXFL", "dlt_date": "TOXDT"}, "QVAL = '2024-03-09'"),
        (["DM,S2,,,GRP,,1"], {"cohort": "GRP"}, "GRP = '': must not be empty"),
    ],
)
def test_broken_suppdm(tmp_path, rows, intake, place):
    with pytest.raises(InputError) as error:
        sdtm(tmp_path, intake, suppdm=SUPP + "".join(f"{row}\n" for row in rows))
    assert place in str(error.value)


def test_suppdm_without_its_variables(tmp_path):
    with pytest.raises(InputError, match="column QVAL: missing"):
        sdtm(tmp_path, suppdm="USUBJID,QNAM\nS2,DLTEVLFL\n")


def test_named_variables_in_dm_itself(tmp_path):
    _, one = sdtm(tmp_path, {"dlt_flag": "TOXFL", "dlt_date": "TOXDT"}, columns="TOXFL,TOXDT,DLTEVLFL", cells="Y,2024-03-09,Y")
    assert (one.dlt, one.dlt_date, one.evaluable) == (True, date(2024, 3, 9), True)


# Disposition and last contact.


def days(one):
    """Day of leaving follow-up, of leaving treatment, and of the last contact, as text."""
    return tuple(None if found is None else str(found)[5:] for found in (one.discontinued, one.left_treatment, one.last_contact))


DS = "USUBJID,DSDECOD,DSTERM,DSCAT,DSSCAT,EPOCH,DSSTDTC\n"


@pytest.mark.parametrize(
    ("rows", "contact", "expected"),
    [
        # Losing a patient and withdrawing consent, in any category.
        (["LOST TO FOLLOW-UP,,DISPOSITION EVENT,,,2024-03-14"], "2024-03-14", ("03-14", None, "03-14")),
        (["LOST TO FOLLOW-UP,,OTHER EVENT,,,2024-03-14"], "2024-03-14", ("03-14", None, "03-14")),
        (["WITHDRAWAL OF CONSENT,,PROTOCOL MILESTONE,,,2024-03-14"], "2024-03-14", ("03-14", None, "03-14")),
        (["INFORMED CONSENT WITHDRAWN,,PROTOCOL MILESTONE,,,2024-03-14"], "2024-03-14", ("03-14", None, "03-14")),
        (["OTHER,Patient withdrew consent,OTHER EVENT,,,2024-03-14"], "2024-03-14", ("03-14", None, "03-14")),
        (["WITHDRAWAL BY SUBJECT,,,,,2024-03-14"], "2024-03-14", ("03-14", None, "03-14")),
        (["PHYSICIAN DECISION,,,,,2024-03-14"], "2024-03-14", ("03-14", None, "03-14")),
        (["INFORMED CONSENT OBTAINED,,PROTOCOL MILESTONE,,,2024-02-14"], "2024-06-02", (None, None, "06-02")),
        (["WITHDRAWAL OF CONSENT FOR BIOBANK,,OTHER EVENT,,,2024-03-14"], "2024-06-02", (None, None, "06-02")),
        # Treatment alone, while follow-up goes on.
        (["ADVERSE EVENT,,DISPOSITION EVENT,STUDY TREATMENT,,2024-03-14"], "2024-06-02", (None, "03-14", "06-02")),
        (["ADVERSE EVENT,,DISPOSITION EVENT,TREATMENT,,2024-03-14"], "2024-06-02", (None, "03-14", "06-02")),
        # The epoch may be that of the date: a later disposition must show that the patient stayed.
        (["ADVERSE EVENT,,DISPOSITION EVENT,,TREATMENT,2024-03-14"], "2024-06-02", ("03-14", None, "06-02")),
        (
            ["ADVERSE EVENT,,DISPOSITION EVENT,,TREATMENT,2024-03-14", "COMPLETED,,DISPOSITION EVENT,,FOLLOW-UP,2024-05-01"],
            "",
            (None, "03-14", "05-01"),
        ),
        (
            ["OTHER,,DISPOSITION EVENT,,FOLLOW-UP,2024-05-01", "ADVERSE EVENT,,DISPOSITION EVENT,,TREATMENT,2024-03-14"],
            "2024-06-02",
            ("05-01", "03-14", "06-02"),
        ),
        (["WITHDRAWAL BY SUBJECT,,DISPOSITION EVENT,STUDY TREATMENT,,2024-03-14"], "2024-06-02", (None, "03-14", "06-02")),
        (["WITHDRAWAL BY SUBJECT,,DISPOSITION EVENT,,TREATMENT,2024-03-14"], "2024-06-02", ("03-14", None, "06-02")),
        (["LOST TO FOLLOW-UP,,DISPOSITION EVENT,STUDY TREATMENT,,2024-03-14"], "2024-06-02", ("03-14", None, "06-02")),
        (["ADVERSE EVENT,,DISPOSITION EVENT,STUDY PARTICIPATION,TREATMENT,2024-03-14"], "2024-06-02", ("03-14", None, "06-02")),
        (["ADVERSE EVENT,,DISPOSITION EVENT,,FOLLOW-UP,2024-03-14"], "2024-06-02", ("03-14", None, "06-02")),
        (["ADVERSE EVENT,,DISPOSITION EVENT,,POST-TREATMENT,2024-03-14"], "2024-06-02", ("03-14", None, "06-02")),
        # No contact after leaving treatment: it is leaving follow-up.
        (["ADVERSE EVENT,,DISPOSITION EVENT,STUDY TREATMENT,,2024-03-14"], "2024-03-14", ("03-14", None, "03-14")),
        (["ADVERSE EVENT,,DISPOSITION EVENT,STUDY TREATMENT,,2024-03-14"], "", ("03-14", None, None)),
        (
            [
                "ADVERSE EVENT,,DISPOSITION EVENT,STUDY TREATMENT,,2024-03-14",
                "COMPLETED,,DISPOSITION EVENT,STUDY PARTICIPATION,,2024-05-01",
            ],
            "",
            (None, "03-14", "05-01"),
        ),
        # Completion is a contact.
        (["COMPLETED,,DISPOSITION EVENT,,,2024-05-01"], "", (None, None, "05-01")),
        (["COMPLETED,,DISPOSITION EVENT,,,2024-05-01"], "2024-04-01", (None, None, "05-01")),
        (["COMPLETED,,DISPOSITION EVENT,,,2024-05-01"], "2024-06-02", (None, None, "06-02")),
        (["Study completed,,DISPOSITION EVENT,,,2024-05-01"], "", (None, None, "05-01")),
        (["COMPLETED,,DISPOSITION EVENT,,,2024-05"], "", (None, None, None)),
        (["COMPLETED,,DISPOSITION EVENT,,SCREENING,2024-02-20"], "", (None, None, None)),
        (["COMPLETED,,DISPOSITION EVENT,STUDY TREATMENT,,2024-03-02"], "", (None, None, None)),
        (["COMPLETED,,DISPOSITION EVENT,,TREATMENT,2024-05-01"], "", (None, None, "05-01")),
        (["COMPLETED,,DISPOSITION EVENT,STUDY TREATMENT,,2024-05-01"], "2024-04-01", (None, None, "05-01")),
        (["ONGOING,,DISPOSITION EVENT,,,"], "2024-04-01", (None, None, "04-01")),
    ],
)
def test_disposition(tmp_path, rows, contact, expected):
    _, one = sdtm(tmp_path, contact=contact, ds=DS + "".join(f"S2,{row}\n" for row in rows))
    assert days(one) == expected


def test_end_of_the_reference_period_only_makes_a_last_contact_later(tmp_path):
    for number, (contact, end, expected) in enumerate(
        [
            ("2024-04-01", "2024-05-01", "05-01"),
            ("2024-04-01", "2024-03-02", "04-01"),
            ("", "2024-03-02", None),
            ("", "2024-05", None),
        ]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        _, one = sdtm(folder, contact=contact, columns="RFENDTC", cells=end)
        assert days(one) == (None, None, expected)


@pytest.mark.parametrize(
    ("rows", "place"),
    [
        ("LOST TO FOLLOW-UP,,OTHER EVENT,,,", "DSSTDTC = ''"),
        ("WITHDRAWAL OF CONSENT,,PROTOCOL MILESTONE,,,2024-02-01", "DSSTDTC = '2024-02-01'"),
        ("ADVERSE EVENT,,DISPOSITION EVENT,STUDY TREATMENT,,", "DSSTDTC = ''"),
        ("ADVERSE EVENT,,DISPOSITION EVENT,STUDY TREATMENT,,2024-02-01", "DSSTDTC = '2024-02-01'"),
        (",,DISPOSITION EVENT,STUDY TREATMENT,,2024-03-14", "DSDECOD = ''"),
    ],
)
def test_broken_disposition(tmp_path, rows, place):
    with pytest.raises(InputError) as error:
        sdtm(tmp_path, ds=f"{DS}S2,{rows}\n")
    assert place in str(error.value)


STUDY, BOTH = "EOSSTT,EOSDT,DCSREAS", "EOTSTT,EOTDT,DCTREAS,EOSSTT,EOSDT,DCSREAS"


@pytest.mark.parametrize(
    ("columns", "cells", "expected", "reason"),
    [
        (STUDY, "Discontinued,2024-03-14,", ("03-14", None, "06-02"), None),
        (STUDY, "DISCONTINUED EARLY,2024-03-14,OTHER", ("03-14", None, "06-02"), "OTHER"),
        (STUDY, "LOST TO FOLLOW-UP,2024-03-14,", ("03-14", None, "06-02"), "LOST TO FOLLOW-UP"),
        (STUDY, "Withdrawn,2024-03-14,", ("03-14", None, "06-02"), "Withdrawn"),
        (STUDY, "WITHDRAWN FROM STUDY,2024-03-14,", ("03-14", None, "06-02"), "WITHDRAWN FROM STUDY"),
        (STUDY, "EARLY TERMINATION,2024-03-14,", ("03-14", None, "06-02"), "EARLY TERMINATION"),
        (STUDY, "Completed,2024-05-14,", (None, None, "06-02"), None),
        (STUDY, "COMPLETED STUDY,2024-05-14,COMPLETED", (None, None, "06-02"), None),
        (STUDY, "ONGOING,,", (None, None, "06-02"), None),
        (STUDY, "On Study,,", (None, None, "06-02"), None),
        (STUDY, ",,", (None, None, "06-02"), None),
        # No status, or one that the reason contradicts.
        (STUDY, ",2024-03-14,", ("03-14", None, "06-02"), None),
        (STUDY, ",2024-03-14,WITHDRAWAL BY SUBJECT", ("03-14", None, "06-02"), "WITHDRAWAL BY SUBJECT"),
        (STUDY, "COMPLETED,2024-03-14,LOST TO FOLLOW-UP", ("03-14", None, "06-02"), "LOST TO FOLLOW-UP"),
        ("EOSDT", "2024-03-14", ("03-14", None, "06-02"), None),
        # Treatment alone.
        (BOTH, "DISCONTINUED,2024-03-14,ADVERSE EVENT,ONGOING,,", (None, "03-14", "06-02"), None),
        (BOTH, "DISCONTINUED,2024-03-14,WITHDRAWAL BY SUBJECT,COMPLETED,2024-06-02,", (None, "03-14", "06-02"), None),
        (BOTH, "DISCONTINUED,2024-03-14,WITHDRAWAL BY SUBJECT,,,", ("03-14", None, "06-02"), "WITHDRAWAL BY SUBJECT"),
        (BOTH, "DISCONTINUED,2024-03-14,LOST TO FOLLOW-UP,ONGOING,,", ("03-14", None, "06-02"), "LOST TO FOLLOW-UP"),
        (BOTH, "DISCONTINUED,2024-03-14,ADVERSE EVENT,DISCONTINUED,2024-05-14,OTHER", ("05-14", "03-14", "06-02"), "OTHER"),
        ("EOTSTT,EOTDT,DCTREAS", "DISCONTINUED,2024-03-14,ADVERSE EVENT", (None, "03-14", "06-02"), None),
        ("EOTSTT,EOTDT,DCTREAS", "COMPLETED,2024-03-02,", (None, None, "06-02"), None),
    ],
)
def test_status_of_adsl(tmp_path, columns, cells, expected, reason):
    _, one = adam(tmp_path, columns, cells)
    assert (days(one), one.reason) == (expected, reason)


def test_leaving_treatment_without_a_later_contact_is_leaving_follow_up(tmp_path):
    _, one = adam(tmp_path, "EOTSTT,EOTDT,DCTREAS", "DISCONTINUED,2024-03-14,ADVERSE EVENT", contact="2024-03-14")
    assert days(one) == ("03-14", None, "03-14")


@pytest.mark.parametrize(
    ("columns", "cells", "place"),
    [
        (STUDY, "PERHAPS,2024-03-14,", "EOSSTT = 'PERHAPS'"),
        (STUDY, "LOST TO FOLLOW-UP,,", "EOSDT = ''"),
        (STUDY, ",,WITHDRAWAL BY SUBJECT", "EOSDT = ''"),
        (STUDY, "COMPLETED,,WITHDRAWAL BY SUBJECT", "EOSDT = ''"),
        (BOTH, "DISCONTINUED,,OTHER,ONGOING,,", "EOTDT = ''"),
        (BOTH, "DISCONTINUED,2024-02-01,OTHER,ONGOING,,", "EOTDT = '2024-02-01'"),
        (BOTH, "3,2024-03-14,OTHER,ONGOING,,", "EOTSTT = '3'"),
    ],
)
def test_broken_status_of_adsl(tmp_path, columns, cells, place):
    with pytest.raises(InputError) as error:
        adam(tmp_path, columns, cells)
    assert place in str(error.value)


AE = "USUBJID,AEDECOD,AETOXGR,AEREL,AESTDTC,AEACN,AEACNOTH\nS2,Rash,2,RELATED,"


@pytest.mark.parametrize(
    ("cells", "contact", "expected"),
    [
        ("2024-03-14,DOSE NOT CHANGED,", "2024-06-02", (None, None, "06-02")),
        ("2024-03-14,DRUG WITHDRAWN,", "2024-06-02", (None, None, "06-02")),  # the one infusion that is planned was given
        ("2024-03-14,,SUBJECT WITHDRAWN FROM STUDY", "2024-03-20", ("03-20", None, "03-20")),
        ("2024-03-14,,Discontinued from the study", "2024-03-10", ("03-14", None, "03-10")),
        ("2024-03-14,,STUDY DISCONTINUED", "", ("03-14", None, None)),
        ("2024-03,,DROPPED OUT OF STUDY", "", ("03-02", None, None)),
        ("2024-03-14,,CONCOMITANT MEDICATION GIVEN", "2024-03-20", (None, None, "03-20")),
        ("2024-03-14,,DISCONTINUED FROM STUDY", "2024-06-02", ("06-02", None, "06-02")),
    ],
)
def test_leaving_because_of_an_adverse_event(tmp_path, cells, contact, expected):
    _, one = sdtm(tmp_path, contact=contact, ae=f"{AE}{cells}\n")
    assert days(one) == expected


@pytest.mark.parametrize("words", ["DRUG WITHDRAWN", "Drug permanently discontinued", "TREATMENT STOPPED", "product withdrawn"])
def test_treatment_stopped_because_of_an_adverse_event(tmp_path, words):
    table(tmp_path, "USUBJID,RFPENDTC\nS2,2024-12-02\n", "dm.csv")
    table(tmp_path, f"USUBJID,EXTRT,EXDOSE,EXDOSU,EXSTDTC\nS2,UCMSC,1,{protocol(DLC).doses.unit},2024-03-02\n", "ex.csv")
    table(tmp_path, f"{AE}2024-03-14,{words},\n", "ae.csv")
    found = read_patients(tmp_path, protocol(DLC))
    assert days(found.patients[0]) == (None, "03-14", "12-02")
    assert evaluate(found, protocol(DLC), date(2024, 12, 2))["S2"].kind == "not evaluable"


# Placebo and control in CDISC data.


@pytest.mark.parametrize(
    ("exposure", "columns", "arm", "part"),
    [
        ({"treatment": "Placebo", "dose": 0}, "", "", "placebo"),
        ({"treatment": "PBO", "dose": 0}, "", "", "placebo"),
        ({"treatment": "STUDY DRUG", "dose": 0}, "TRT01A", "Placebo", "placebo"),
        ({"treatment": "STUDY DRUG", "dose": 0}, "TRT01A", "Placebo arm", "placebo"),
        ({"treatment": "STUDY DRUG", "dose": 0}, "ARM", "Control", "control"),
        ({"treatment": "Normal saline", "dose": 0}, "", "", "control"),
    ],
)
def test_dose_of_zero_in_cdisc_data(tmp_path, exposure, columns, arm, part):
    for number, read in enumerate((adam, sdtm)):
        folder = tmp_path / str(number)
        folder.mkdir()
        _, one = read(folder, columns=columns, cells=arm, exposure=exposure)
        assert (one.part, one.level, one.amount) == (part, None, 0)


def test_dose_of_zero_of_the_product_is_no_infusion(tmp_path):
    text = EXPOSURE.format(unit=UNIT, treatment="UCMSC", dose=0)
    table(tmp_path, "USUBJID,LSTALVDT,TRT01A\nS1,2024-06-01,UCMSC\nS2,2024-06-02,UCMSC\n", "adsl.csv")
    table(tmp_path, text, "adex.csv")
    found = read_patients(tmp_path, protocol(AS))
    assert [one.subject for one in found.patients] == ["S1"]
    assert {one.reason for one in found.listed} == {"no infusion", "not used: dose of 0"}


# Written and read back.


def test_decisions_and_leaving_treatment_come_back_as_written(tmp_path):
    columns = "evaluable,evaluable_reason,left_treatment,left_treatment_reason,discontinued,reason"
    found = plain(
        tmp_path,
        columns,
        'no,"wrong product, batch 2",,,,',
        more="P2,1,2024-03-02,2024-06-01,no,yes,,2024-03-20,ADVERSE EVENT,,\nP3,1,2024-03-03,2024-03-22,no,,,,,2024-03-22,moved\n"
        "P4,3,2024-05-03,2024-06-01,no,,,2024-05-09,,,\n",
    )
    tables = plain_tables(found)
    (again := tmp_path / "plain").mkdir()
    assert read_patients(table(again, csv_text(tables["patients"])), protocol(AS)).patients == found.patients
    (again := tmp_path / "sdtm").mkdir()
    for name, written in sdtm_domains(found, protocol(AS), "X").items():
        table(again, csv_text(written), f"{name}.csv")
    people = read_patients(again, protocol(AS)).patients
    assert [(one.evaluable, one.evaluable_reason) for one in people] == [
        (False, "wrong product, batch 2"),
        (True, None),
        (None, None),
        (None, None),
    ]
    assert [days(one) for one in people] == [days(one) for one in found.patients]
    assert [one.left_treatment_reason for one in people] == [None, "ADVERSE EVENT", None, "OTHER"]


# Groups and staggering at other doses.


def found(*patients, **changed):
    rules = protocol(AS, **changed)
    return [(one.rule, " ".join(one.subjects)) for one in findings(evaluate(trial(*patients), rules), rules)]


UNKNOWN, AT_ONCE, EARLY = "dose not in the protocol", "two dose groups at once", "group started before the last window closed"
CLOSE = "patients too close together"


@pytest.mark.parametrize(
    ("people", "expected"),
    [
        # At dose 2 while level 1 is pending.
        ([patient("S1", 1, 1), patient("X", None, 10)], [(UNKNOWN, "X"), (EARLY, "X S1")]),
        ([patient("S1", 1, 1), patient("X", None, 29)], [(UNKNOWN, "X")]),
        # Above all levels, and a level after it.
        ([patient("X", None, 1, amount=7), patient("S1", 1, 10)], [(UNKNOWN, "X"), (EARLY, "S1 X")]),
        # Level 1 goes on beside dose 2.
        (
            [patient("S1", 1, 1), patient("X", None, 10), patient("S2", 1, 20)],
            [(UNKNOWN, "X"), (AT_ONCE, "X S2"), (EARLY, "X S1")],
        ),
        # Two other doses.
        (
            [patient("X", None, 1), patient("Y", None, 10, amount=4)],
            [(UNKNOWN, "X"), (UNKNOWN, "Y"), (EARLY, "Y X")],
        ),
        # The same other dose twice is one group.
        ([patient("X", None, 1), patient("Y", None, 10)], [(UNKNOWN, "X"), (UNKNOWN, "Y")]),
        # Nobody waits for placebo.
        ([patient("P", None, 1, amount=0.0, part="placebo"), patient("S1", 1, 10)], []),
        # A run-in group at a level is a group.
        ([patient("R", 1, 1, part="run-in"), patient("S1", 2, 10)], [(EARLY, "S1 R")]),
    ],
)
def test_groups_at_other_doses(people, expected):
    assert found(*people) == expected
    assert [one for one in found(*people, treatment={"no_overlap": False}) if one[0] != UNKNOWN] == []


@pytest.mark.parametrize(
    ("people", "expected"),
    [
        ([patient("X", None, 1), patient("S1", 2, 4)], ["X S1"]),
        ([patient("X", None, 1), patient("S1", 2, 8)], []),
        ([patient("S1", 2, 1), patient("X", None, 4)], ["S1 X"]),
        ([patient("X", None, 1), patient("Y", None, 4)], ["X Y"]),
        ([patient("X", None, 1, amount=9), patient("S1", 3, 4)], ["X S1"]),
        ([patient("X", None, 1, amount=0.5), patient("S1", 2, 4)], []),
        ([patient("S1", 2, 1), patient("X", None, 8), patient("S2", 2, 11)], ["X S2"]),
    ],
)
@pytest.mark.parametrize("whom", ["every", "first"])
def test_staggering_sees_patients_at_other_doses(people, expected, whom):
    rules = {"no_overlap": False, "stagger": {"days": 7, "patients": whom, "levels": "all"}}
    assert [names for rule, names in found(*people, treatment=rules) if rule == CLOSE] == expected


@pytest.mark.parametrize(("level", "place"), [(None, "dose 2"), (2, "level 2")])
def test_staggering_states_the_dose_of_a_patient_outside_the_levels(level, place):
    rules = protocol(AS, treatment={"no_overlap": False, "stagger": {"days": 7, "levels": "all"}})
    made = findings(evaluate(trial(patient("S1", 2, 1), patient("X", level, 4)), rules), rules)
    (one,) = (one for one in made if one.rule == CLOSE)
    assert f"at {place} on" in one.words
