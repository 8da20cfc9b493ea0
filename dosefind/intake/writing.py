"""The way back: patients as the tables that `read_patients` reads, in dosefind's own layout and as SDTM.

A table is its rows as dictionaries by column; `csv_text` and `write_xpt` put one into a file. SDTM has no variable for cohorts,
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
from ..patients import AdverseEvent, Patient, Patients
from ..protocol import Protocol
from ..provenance import harmless

__all__ = ["NOT_IN_SDTM", "Written", "csv_text", "needs_xpt", "plain_tables", "sdtm_domains", "write_xpt"]

NOT_IN_SDTM = "cohorts, the DLT column and replacements: SDTM has no variable for them"
_COMPLETED = "COMPLETED"
# The longest text of a transport file of version 5, in bytes.
_LONGEST = 200
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
# The cards of a transport file before its variables, which hold four times when it was written.
_HEAD, _TIME = 7 * 80, re.compile(rb"\d\d[A-Z]{3}\d\d:\d\d:\d\d:\d\d")


class Written(NamedTuple):
    """A table to be written: its columns in their order, those that are numbers, and its rows."""

    columns: tuple[str, ...]
    numbers: tuple[str, ...]
    rows: list[dict[str, Any]]


_WHERE_FILLED = ("part", "died", "evaluable", "evaluable_reason", "left_treatment", "left_treatment_reason")


def plain_tables(patients: Patients) -> dict[str, Written]:
    """Return the tables ``patients`` and ``events`` of dosefind's own layout.

    Without ``events`` where a patient has no table of them. Rows that made no patient are not written.
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
    """Return columns in which any row has something."""
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


def _person(one: Patient, infusions: list[str]) -> dict[str, Any]:
    amounts = [_amount(amount) for amount in one.amounts]
    return {
        "subject": one.subject,
        "cohort": one.cohort,
        "level": one.level,
        "dose": _amount(one.amount),
        **{f"administered_{place + 1}": amounts[place] if place < len(amounts) else None for place in range(len(infusions))},
        **dict(zip(infusions, one.infusions, strict=False)),
        "last_contact": one.last_contact,
        "dlt": None if one.dlt is None else "yes" if one.dlt else "no",
        "dlt_date": one.dlt_date or (one.dlt_days.text if one.dlt_days else None),
        "discontinued": one.discontinued,
        "reason": one.reason,
        "replaces": one.replaces,
        "part": one.part,
        "died": one.died,
        "evaluable": None if one.evaluable is None else "yes" if one.evaluable else "no",
        "evaluable_reason": one.evaluable_reason,
        "left_treatment": one.left_treatment,
        "left_treatment_reason": one.left_treatment_reason,
    }


def sdtm_domains(patients: Patients, protocol: Protocol, study: str) -> dict[str, Written]:
    """Return the domains DM, EX, AE and DS; SUPPAE where an event has what AE has no variable for.

    Parameters
    ----------
    patients
        The patients, with a last contact each.
    protocol
        The protocol, for its unit, its product and the end of the DLT window: who was followed to there has completed.
    study
        Identifier of the study (STUDYID), of at most 200 bytes.

    Returns
    -------
    dict of str to Written
        By the name of the domain in lower case.
    """
    every = patients.patients
    people = [_demographics(one, protocol) for one in every]
    events = [row for one in every for row in _events(one)]
    left = [row for one in every for row in _disposition(one, protocol)]
    decisions = [row for one in every for row in _decision(one)]
    supplements = [row for one in every for row in _supplements(one)]
    domains = {
        "dm": _domain("DM", study, people, (*_DM, *_filled(people, ("DTHDTC",)))),
        "ex": _domain("EX", study, (row for one in every for row in _exposure(one, protocol)), _EX, ("EXSEQ", "EXDOSE", "EXSTDY")),
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


def _demographics(one: Patient, protocol: Protocol) -> dict[str, Any]:
    first, last = one.infusions[0], one.infusions[-1]
    if one.level is None:
        arm, code, none = None, None, "UNPLANNED TREATMENT"
    else:
        arm, code, none = f"Level {one.level}: {one.amount:g} ({protocol.doses.unit})", f"LEVEL{one.level}", None
    return {
        "USUBJID": one.subject,
        "SUBJID": one.subject,
        "RFSTDTC": first,
        "RFENDTC": last,
        "RFXSTDTC": first,
        "RFXENDTC": last,
        "RFPENDTC": one.last_contact,
        "ARMCD": code,
        "ARM": arm,
        "ACTARMCD": code,
        "ACTARM": arm,
        "ARMNRS": none,
        "DTHDTC": one.died,
    }


def _exposure(one: Patient, protocol: Protocol) -> Iterable[dict[str, Any]]:
    for number, (day, amount) in enumerate(zip(one.infusions, one.administered, strict=True), start=1):
        yield {
            "USUBJID": one.subject,
            "EXSEQ": number,
            "EXTRT": protocol.record.product,
            "EXDOSE": _amount(amount),
            "EXDOSU": protocol.doses.unit,
            "EXSTDTC": day,
            "EXENDTC": day,
            "EXSTDY": _study_day(one, day),
        }


def _events(one: Patient) -> Iterable[dict[str, Any]]:
    for number, event in enumerate(one.events or (), start=1):
        day = None if event.start is None else _study_day(one, event.start)
        yield {
            "USUBJID": one.subject,
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


def _decision(one: Patient) -> Iterable[dict[str, Any]]:
    """Yield the recorded decision on evaluability and its reason as supplemental qualifiers of DM."""
    flag = None if one.evaluable is None else "Y" if one.evaluable else "N"
    qualifiers = (("DLTEVLFL", "Evaluable for DLT", flag), ("DLTEVLRS", "Reason of Evaluability for DLT", one.evaluable_reason))
    for name, label, value in qualifiers:
        if value is not None:
            qualifier = {"QNAM": name, "QLABEL": label, "QVAL": value, "QORIG": "ASSIGNED"}
            yield {"RDOMAIN": "DM", "USUBJID": one.subject, **qualifier}


def _supplements(one: Patient) -> Iterable[dict[str, Any]]:
    """Return qualifiers of the events for which AE has no variable."""
    for number, event in enumerate(one.events or (), start=1):
        qualifiers = (
            ("AEDLTFL", "Dose-Limiting Toxicity Flag", _flag(event.flagged_dlt)),
            ("AETRTEM", "Treatment-Emergent Flag", _flag(event.emergent)),
            ("AEWORDTC", "Date on Which the Event Became Worse", event.worsened),
        )
        for name, label, value in qualifiers:
            if value is not None:
                row = {"USUBJID": one.subject, "IDVAR": "AESEQ", "IDVARVAL": number, "QNAM": name, "QLABEL": label}
                yield row | {"QVAL": value, "QORIG": "CRF"}


def _flag(value: bool | None) -> str | None:
    return None if value is None else "Y" if value else "N"


def _disposition(one: Patient, protocol: Protocol) -> Iterable[dict[str, Any]]:
    """Yield the day on which the patient left treatment, and left or was followed to the end of the DLT window, if any."""
    rows = [*_left_treatment(one), *_left_follow_up(one, protocol)]
    yield from ({**row, "DSSEQ": number} for number, row in enumerate(rows, start=1))


def _left_treatment(one: Patient) -> Iterable[dict[str, Any]]:
    day, words = one.left_treatment, one.left_treatment_reason or "OTHER"
    if day is not None:
        yield {**_left(one, words, day), "DSSCAT": "STUDY TREATMENT"}


def _left(one: Patient, words: str | None, day: date) -> dict[str, Any]:
    """Return a row of disposition."""
    return {
        "USUBJID": one.subject,
        "DSTERM": words,
        "DSDECOD": words,
        "DSCAT": "DISPOSITION EVENT",
        "DSSCAT": None,
        "DSSTDTC": day,
        "DSSTDY": _study_day(one, day),
    }


def _left_follow_up(one: Patient, protocol: Protocol) -> Iterable[dict[str, Any]]:
    end = one.infusions[0] + timedelta(days=protocol.in_force(one.infusions[0]).treatment.dlt_window_days)
    words, day = one.reason, one.discontinued
    if day is None and one.last_contact is not None and one.last_contact >= end:
        words, day = _COMPLETED, one.last_contact
    if day is not None:
        yield _left(one, words, day)


def _amount(amount: float) -> str:
    return str(int(amount)) if float(amount).is_integer() else repr(float(amount))


def _study_day(one: Patient, day: date) -> int:
    """Return day 1 is that of the first infusion; there is no day 0."""
    days = (day - one.infusions[0]).days
    return days + 1 if days >= 0 else days


def csv_text(table: Written) -> str:
    """Return a table as CSV, no cell of which a spreadsheet takes for a formula."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows([harmless(_text(row.get(column))) for column in table.columns] for row in table.rows)
    return file.getvalue()


def _text(value: Any) -> str:
    return "" if value is None else value.isoformat() if isinstance(value, date) else str(value)


def needs_xpt() -> None:
    """Raise `InputError` if transport files cannot be written."""
    try:
        import pyreadstat  # noqa: F401
    except ModuleNotFoundError:
        raise InputError("writing SAS transport files (XPT) needs pyreadstat: pip install 'dosefind[cdisc]'") from None


def write_xpt(table: Written, path: Path, day: date) -> None:
    """Write a table as a SAS transport file of version 5, said to be written on ``day``, for no clock is read."""
    import pandas as pd
    import pyreadstat

    columns = {}
    for name in table.columns:
        cells = [_text(row.get(name)) for row in table.rows]
        if name in table.numbers:
            columns[name] = pd.Series([float(cell or "nan") for cell in cells], dtype="float64")
        else:
            # Of a column of objects that is empty some versions of pandas cannot tell the kind.
            columns[name] = pd.Series([_cut(cell) for cell in cells], dtype="string")
    frame: Any = pd.DataFrame(columns)
    # Which of them there are depends on the version.
    errors = tuple(getattr(pyreadstat, name) for name in ("PyreadstatError", "ReadstatError") if hasattr(pyreadstat, name))
    try:
        pyreadstat.write_xport(frame, path, file_format_version=5, table_name=path.stem.upper())
        found: Any = pyreadstat.read_xport(path)[0]
        complete = len(found) == len(frame)
    except errors:
        complete = False
    if not complete:
        # ReadStat does not tell that a disk is full.
        raise OSError(errno.EIO, f"{path.name} could not be written completely (is the disk full?)")
    content = path.read_bytes()
    written = f"{day.day:02d}{_MONTHS[day.month - 1]}{day.year % 100:02d}:00:00:00".encode()
    head, times = _TIME.subn(written, content[:_HEAD])
    if times != 4:
        raise AssertionError("the times in the head of a transport file are not where they were; this is a defect of dosefind")
    path.write_bytes(head + content[_HEAD:])


def _cut(text: str) -> str:
    """Return text of at most as many bytes as the format holds."""
    return text.encode()[:_LONGEST].decode(errors="ignore")
