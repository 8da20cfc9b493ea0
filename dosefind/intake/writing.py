"""Writing patients as the tables that `read_patients` reads, in dosefind's own layout and as SDTM.

A table is its rows as dictionaries by column; `csv_text` and `write_xpt` write it to a file. SDTM has no variable for cohorts,
DLTs and replacements, so these are in dosefind's own layout only.
"""

from __future__ import annotations

import csv
import errno
import io
import re
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from .._check import InputError
from ..days import study_day
from ..patients import AdverseEvent, Patient, Patients
from ..protocol import Protocol
from ..provenance import harmless

__all__ = ["NOT_IN_SDTM", "Written", "csv_text", "needs_xpt", "plain_tables", "sdtm_domains", "write_xpt"]

NOT_IN_SDTM = "cohorts, the DLT column and replacements: SDTM has no variable for them"
_COMPLETED = "COMPLETED"
# The longest text of a transport file of version 5, in bytes.
_LONGEST = 200
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
# The cards of a transport file before its variables, which contain the time of writing four times.
_HEAD, _TIME = 7 * 80, re.compile(rb"\d\d[A-Z]{3}\d\d:\d\d:\d\d:\d\d")


class Written(NamedTuple):
    """A table to be written: its columns in order, the numeric ones, and its rows."""

    columns: tuple[str, ...]
    numbers: tuple[str, ...]
    rows: list[dict[str, Any]]


_WHERE_FILLED = (
    *("part", "died", "evaluable", "evaluable_reason", "left_treatment", "left_treatment_reason"),
    *("response", "response_date", "response_baseline", "rescue"),
)


def plain_tables(patients: Patients) -> dict[str, Written]:
    """Return the tables ``patients`` and ``events`` of dosefind's own layout.

    ``events`` is omitted if a patient has no table of them. Rows that are not patients are not written.
    """
    most = max((len(patient.infusions) for patient in patients.patients), default=1)
    infusions = [f"infusion_{number}" for number in range(1, most + 1)]
    people = [_person(patient, infusions) for patient in patients.patients]
    given = _filled(people, tuple(f"administered_{number}" for number in range(1, most + 1)))
    head = ("subject", *_filled(people, ("cohort",)), "level", "dose", *given, *infusions)
    tail = ("last_contact", "dlt", "dlt_date", "discontinued", "reason", "replaces", *_filled(people, _WHERE_FILLED))
    columns = (*head, *tail)
    tables = {"patients": Written(columns, (), people)}
    if all(patient.events is not None for patient in patients.patients):
        events = [{"subject": patient.subject, **_event(event)} for patient in patients.patients for event in patient.events or ()]
        more = _filled(events, ("serious", "outcome", "organ_class", *_COURSE))
        tables["events"] = Written(("subject", "term", "grade", "related", "start", *more), (), events)
    return tables


_COURSE = ("initial_grade", "end", "severity", "worsened", "dlt", "treatment_emergent")


def _filled(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> list[str]:
    """Return the columns in which any row has a value."""
    return [name for name in columns if any(row[name] is not None for row in rows)]


def _event(event: AdverseEvent) -> dict[str, Any]:
    return {
        "term": event.term,
        "grade": event.grade,
        "related": event.related,
        "start": event.start or (event.days.text if event.days else None),
        "serious": None if event.serious is None else "yes" if event.serious else "no",
        "outcome": event.outcome,
        "organ_class": event.organ_class,
        "initial_grade": event.initial_grade,
        "end": "ongoing" if event.ongoing and event.end is None else event.end,
        "severity": event.severity,
        "worsened": event.worsened,
        "dlt": None if event.flagged_dlt is None else "yes" if event.flagged_dlt else "no",
        "treatment_emergent": None if event.emergent is None else "yes" if event.emergent else "no",
    }


def _person(patient: Patient, infusions: list[str]) -> dict[str, Any]:
    amounts = [_amount(amount) for amount in patient.amounts]
    return {
        "subject": patient.subject,
        "cohort": patient.cohort,
        "level": patient.level,
        "dose": _amount(patient.amount),
        **{f"administered_{place + 1}": amounts[place] if place < len(amounts) else None for place in range(len(infusions))},
        **dict(zip(infusions, patient.infusions, strict=False)),
        "last_contact": patient.last_contact,
        "dlt": None if patient.dlt is None else "yes" if patient.dlt else "no",
        "dlt_date": patient.dlt_date or (patient.dlt_days.text if patient.dlt_days else None),
        "discontinued": patient.discontinued,
        "reason": patient.reason,
        "replaces": patient.replaces,
        "part": patient.part,
        "died": patient.died,
        "evaluable": None if patient.evaluable is None else "yes" if patient.evaluable else "no",
        "evaluable_reason": patient.evaluable_reason,
        "left_treatment": patient.left_treatment,
        "left_treatment_reason": patient.left_treatment_reason,
        **_assessed(patient),
    }


def _assessed(patient: Patient) -> dict[str, Any]:
    """Return the first assessment after baseline, the baseline, and the day of rescue."""
    after = next((seen for seen in patient.assessments if not seen.baseline), None)
    base = next((seen for seen in patient.assessments if seen.baseline), None)
    return {
        "response": None if after is None else after.value if after.change else "yes" if after.value else "no",
        "response_date": None if after is None else after.day,
        "response_baseline": None if base is None else base.value,
        "rescue": patient.rescued,
    }


def sdtm_domains(patients: Patients, protocol: Protocol, study: str) -> dict[str, Written]:
    """Return the domains DM, EX, AE and DS, and SUPPAE if an event has data for which AE has no variable.

    Parameters
    ----------
    patients
        The patients, each with a last contact.
    protocol
        The protocol, for its unit, its product and the end of the DLT window: patients followed up to that day have completed.
    study
        Identifier of the study (STUDYID), of at most 200 bytes.

    Returns
    -------
    dict of str to Written
        By the name of the domain in lower case.
    """
    every = patients.patients
    people = [_demographics(patient, protocol) for patient in every]
    events = [row for patient in every for row in _events(patient)]
    left = [row for patient in every for row in _disposition(patient, protocol)]
    decisions = [row for patient in every for row in _decision(patient)]
    supplements = [row for patient in every for row in _supplements(patient)]
    domains = {
        "dm": _domain("DM", study, people, (*_DM, *_filled(people, ("DTHDTC",)))),
        "ex": _domain(
            "EX", study, (row for patient in every for row in _exposure(patient, protocol)), _EX, ("EXSEQ", "EXDOSE", "EXSTDY")
        ),
        "ae": _domain("AE", study, events, (*_AE, *_filled(events, _AE_MORE)), ("AESEQ", "AESTDY")),
        "ds": _domain("DS", study, left, (*_DS, *_filled(left, ("DSSCAT",))), ("DSSEQ", "DSSTDY")),
    }
    # Supplemental qualifiers have no variable DOMAIN.
    supplement = [{"STUDYID": study, **row} for row in decisions]
    domains |= {"suppdm": Written(("STUDYID", *_SUPPDM), (), supplement)} if decisions else {}
    return domains | ({"suppae": _domain("AE", study, supplements, _SUPPAE, domain="RDOMAIN")} if supplements else {})


_DM = ("SUBJID", "RFSTDTC", "RFENDTC", "RFXSTDTC", "RFXENDTC", "RFPENDTC", "ARMCD", "ARM", "ACTARMCD", "ACTARM", "ARMNRS")
_EX = ("EXSEQ", "EXTRT", "EXDOSE", "EXDOSU", "EXSTDTC", "EXENDTC", "EXSTDY")
_AE = ("AESEQ", "AETERM", "AEDECOD", "AETOXGR", "AEREL", "AESTDTC", "AESTDY")
_SUPPDM = ("RDOMAIN", "USUBJID", "IDVAR", "IDVARVAL", "QNAM", "QLABEL", "QVAL", "QORIG", "QEVAL")
_AE_MORE = ("AESER", "AEOUT", "AESOC", "AEITOXGR", "AEENDTC", "AEENRTPT", "AESEV")
_SUPPAE = ("IDVAR", "IDVARVAL", "QNAM", "QLABEL", "QVAL", "QORIG")
_DS = ("DSSEQ", "DSTERM", "DSDECOD", "DSCAT", "DSSTDTC", "DSSTDY")


def _domain(
    name: str,
    study: str,
    rows: Iterable[dict[str, Any]],
    own: tuple[str, ...],
    numbers: tuple[str, ...] = (),
    domain: str = "DOMAIN",
) -> Written:
    columns = ("STUDYID", domain, "USUBJID", *own)
    return Written(columns, numbers, [{"STUDYID": study, domain: name, **row} for row in rows])


def _demographics(patient: Patient, protocol: Protocol) -> dict[str, Any]:
    first, last = patient.infusions[0], patient.infusions[-1]
    if patient.level is None:
        arm, code, none = None, None, "UNPLANNED TREATMENT"
    else:
        arm, code, none = f"Level {patient.level}: {patient.amount:g} ({protocol.doses.unit})", f"LEVEL{patient.level}", None
    return {
        "USUBJID": patient.subject,
        "SUBJID": patient.subject,
        "RFSTDTC": first,
        "RFENDTC": last,
        "RFXSTDTC": first,
        "RFXENDTC": last,
        "RFPENDTC": patient.last_contact,
        "ARMCD": code,
        "ARM": arm,
        "ACTARMCD": code,
        "ACTARM": arm,
        "ARMNRS": none,
        "DTHDTC": patient.died,
    }


def _exposure(patient: Patient, protocol: Protocol) -> Iterable[dict[str, Any]]:
    for number, (day, amount) in enumerate(zip(patient.infusions, patient.administered, strict=True), start=1):
        yield {
            "USUBJID": patient.subject,
            "EXSEQ": number,
            "EXTRT": protocol.record.product,
            "EXDOSE": _amount(amount),
            "EXDOSU": protocol.doses.unit,
            "EXSTDTC": day,
            "EXENDTC": day,
            "EXSTDY": _study_day(patient, day),
        }


def _events(patient: Patient) -> Iterable[dict[str, Any]]:
    for number, event in enumerate(patient.events or (), start=1):
        day = None if event.start is None else _study_day(patient, event.start)
        yield {
            "USUBJID": patient.subject,
            "AESEQ": number,
            "AETERM": event.term.upper(),
            "AEDECOD": event.term,
            "AETOXGR": event.grade,
            "AEREL": event.related,
            "AESTDTC": event.start or (event.days.text if event.days else None),
            "AESTDY": day,
            "AESER": None if event.serious is None else "Y" if event.serious else "N",
            "AEOUT": event.outcome,
            "AESOC": event.organ_class,
            "AEITOXGR": event.initial_grade,
            "AEENDTC": event.end,
            "AEENRTPT": "ONGOING" if event.ongoing and event.end is None else None,
            "AESEV": event.severity,
        }


def _decision(patient: Patient) -> Iterable[dict[str, Any]]:
    """Yield the recorded decision on evaluability and its reason as supplemental qualifiers of DM."""
    flag = None if patient.evaluable is None else "Y" if patient.evaluable else "N"
    qualifiers = (("DLTEVLFL", "Evaluable for DLT", flag), ("DLTEVLRS", "Reason of Evaluability for DLT", patient.evaluable_reason))
    for name, label, value in qualifiers:
        if value is not None:
            qualifier = {"QNAM": name, "QLABEL": label, "QVAL": value, "QORIG": "ASSIGNED"}
            yield {"RDOMAIN": "DM", "USUBJID": patient.subject, **qualifier}


def _supplements(patient: Patient) -> Iterable[dict[str, Any]]:
    """Yield qualifiers of the events for which AE has no variable."""
    for number, event in enumerate(patient.events or (), start=1):
        qualifiers = (
            ("AEDLTFL", "Dose-Limiting Toxicity Flag", _flag(event.flagged_dlt)),
            ("AETRTEM", "Treatment-Emergent Flag", _flag(event.emergent)),
            ("AEWORDTC", "Date on Which the Event Became Worse", event.worsened),
        )
        for name, label, value in qualifiers:
            if value is not None:
                row = {"USUBJID": patient.subject, "IDVAR": "AESEQ", "IDVARVAL": number, "QNAM": name, "QLABEL": label}
                yield row | {"QVAL": value, "QORIG": "CRF"}


def _flag(value: bool | None) -> str | None:
    return None if value is None else "Y" if value else "N"


def _disposition(patient: Patient, protocol: Protocol) -> Iterable[dict[str, Any]]:
    """Yield the day of discontinuing treatment, and of discontinuing or completing follow-up to the end of the DLT window."""
    rows = [*_left_treatment(patient), *_left_follow_up(patient, protocol)]
    yield from ({**row, "DSSEQ": number} for number, row in enumerate(rows, start=1))


def _left_treatment(patient: Patient) -> Iterable[dict[str, Any]]:
    day, words = patient.left_treatment, patient.left_treatment_reason or "OTHER"
    if day is not None:
        yield {**_left(patient, words, day), "DSSCAT": "STUDY TREATMENT"}


def _left(patient: Patient, words: str | None, day: date) -> dict[str, Any]:
    """Return a row of disposition."""
    return {
        "USUBJID": patient.subject,
        "DSTERM": words,
        "DSDECOD": words,
        "DSCAT": "DISPOSITION EVENT",
        "DSSCAT": None,
        "DSSTDTC": day,
        "DSSTDY": _study_day(patient, day),
    }


def _left_follow_up(patient: Patient, protocol: Protocol) -> Iterable[dict[str, Any]]:
    end = patient.infusions[0] + timedelta(days=protocol.in_force(patient.infusions[0]).treatment.dlt_window_days)
    words, day = patient.reason, patient.discontinued
    if day is None and patient.last_contact is not None and patient.last_contact >= end:
        words, day = _COMPLETED, patient.last_contact
    if day is not None:
        yield _left(patient, words, day)


def _amount(amount: float) -> str:
    return str(int(amount)) if float(amount).is_integer() else repr(float(amount))


def _study_day(patient: Patient, day: date) -> int:
    return study_day(patient.infusions[0], day)


def csv_text(table: Written) -> str:
    """Return a table as CSV in which a spreadsheet reads no cell as a formula."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows([_cell(row.get(column)) for column in table.columns] for row in table.rows)
    return file.getvalue()


def _cell(value: Any) -> str:
    """Return a value as a cell: a number as it is, which a spreadsheet reads as one, also where it is negative."""
    return _text(value) if isinstance(value, (int, float)) else harmless(_text(value))


def _text(value: Any) -> str:
    return "" if value is None else value.isoformat() if isinstance(value, date) else str(value)


def needs_xpt() -> None:
    """Raise `InputError` if transport files cannot be written."""
    try:
        import pyreadstat  # noqa: F401
    except ModuleNotFoundError:
        raise InputError("writing SAS transport files (XPT) needs pyreadstat: pip install 'dosefind[cdisc]'") from None


def write_xpt(table: Written, path: Path, day: date) -> None:
    """Write a table as a SAS transport file of version 5, dated ``day``, because no clock is read."""
    import pandas as pd
    import pyreadstat

    columns = {}
    for name in table.columns:
        cells = [_text(row.get(name)) for row in table.rows]
        if name in table.numbers:
            columns[name] = pd.Series([float(cell or "nan") for cell in cells], dtype="float64")
        else:
            # Some versions of pandas cannot determine the type of an empty column of objects.
            columns[name] = pd.Series([_cut(cell) for cell in cells], dtype="string")
    frame: Any = pd.DataFrame(columns)
    # The available ones depend on the version.
    errors = tuple(getattr(pyreadstat, name) for name in ("PyreadstatError", "ReadstatError") if hasattr(pyreadstat, name))
    try:
        pyreadstat.write_xport(frame, path, file_format_version=5, table_name=path.stem.upper())
        found: Any = pyreadstat.read_xport(path)[0]
        complete = len(found) == len(frame)
    except errors:
        complete = False
    if not complete:
        # ReadStat does not report a full disk.
        raise OSError(errno.EIO, f"{path.name} could not be written completely (is the disk full?)")
    content = path.read_bytes()
    written = f"{day.day:02d}{_MONTHS[day.month - 1]}{day.year % 100:02d}:00:00:00".encode()
    head, times = _TIME.subn(written, content[:_HEAD])
    if times != 4:
        raise AssertionError("the times in the head of a transport file are not where they were; this is a defect of dosefind")
    path.write_bytes(head + content[_HEAD:])


def _cut(text: str) -> str:
    """Return text of at most the number of bytes that the format allows."""
    return text.encode()[:_LONGEST].decode(errors="ignore")
