"""ADaM: ADSL and ADEX, and ADAE if it is there. `read_patients` documents what is read from which variable."""

from __future__ import annotations

from ..protocol import Protocol
from .cdisc import IDENTIFIER, ExposureColumns, exposures, latest, leave, record_death, subjects, treated
from .cells import Findings, Row, Table
from .dlt_flags import dlt_flags, flagged, refuse_other_flags
from .entries import Dated, Draft, Entry, EventColumns, Steps, adverse_events, is_death
from .unread import refuse_deaths_of_domains

__all__ = ["read"]

_EXPOSURE = ExposureColumns(
    day=("ASTDT", "EXSTDTC"),
    dose=("ADOSE", "EXDOSE"),
    unit=("ADOSEU", "EXDOSU"),
    end=("AENDT", "EXENDTC"),
    imputed="ASTDTF",
)
_EVENTS = EventColumns(
    ("AEDECOD", "AETERM"),
    ("ATOXGR", "ATOXGRN", "AETOXGR", "AETOXGRN"),
    ("AREL", "AEREL"),
    ("ASTDT", "AESTDTC"),
    "ASTDTF",
)
_COLUMNS = {
    "adsl": [IDENTIFIER],
    "adex": [IDENTIFIER, _EXPOSURE.day, _EXPOSURE.dose, _EXPOSURE.unit],
    "adae": [IDENTIFIER, _EVENTS.term, _EVENTS.start],
}
# Status, day and reason of leaving the treatment, and of leaving the study.
_LEAVING = (("EOTSTT", "EOTDT", "DCTREAS"), ("EOSSTT", "EOSDT", "DCSREAS"))
_COHORTS = 10_000


def read(tables: dict[str, Table], protocol: Protocol, found: Findings, steps: Steps) -> Draft:
    """What the data sets say; there is no variable for replacements."""
    for name, table in tables.items():
        found.columns(table, _COLUMNS[name])
    for status, day, _ in _LEAVING:
        if tables["adsl"].has(status) and not tables["adsl"].has(day):
            found.column(tables["adsl"], day, f"missing: {status} says who left, and not when")
    found.stop()
    adsl = tables["adsl"]
    draft = Draft(has_cohorts=adsl.has("COHORTN"), keeps_contacts=adsl.has("LSTALVDT"))
    rows = subjects(found, draft, adsl, steps)
    treated(found, draft, rows, exposures(found, draft, tables["adex"], _EXPOSURE, protocol, steps, _another_parameter, rows))
    for entry in draft.entries:
        _subject_level(found, entry, rows[entry.subject], draft.has_cohorts)
    if "adae" in tables:
        adverse_events(found, draft, tables["adae"], _EVENTS, adsl.name, steps, protocol.dlt)
    _dlts(found, draft, rows, adsl, tables.get("adae"))
    refuse_deaths_of_domains(found, draft, tables)
    found.notes.append("ADaM names no replacements: a patient who replaces another is read as any other")
    return draft


def _another_parameter(row: Row) -> str | None:
    """ADEX may have a row a parameter: those of the parameter DOSE are the infusions."""
    return "not used: another parameter than DOSE" if row.cell("PARAMCD").text not in ("", "DOSE") else None


def _subject_level(found: Findings, entry: Entry, row: Row, has_cohorts: bool) -> None:
    entry.last_contact = latest(found, row, ("LSTALVDT", "EOSDT", "DTHDT"))
    for status, day, reason in _LEAVING:
        died = next((cell for cell in map(row.cell, (reason, f"{reason}P", status)) if is_death(cell.text)), None)
        left = row.cell(status).text.upper() == "DISCONTINUED"
        if not left and died is None:
            continue
        if left and not row.cell(day).text:
            found.refuse(row.cell(day), "must be the day on which the patient left")
        left_on = latest(found, row, (day,))
        leave(entry, left_on, found.text(row.cell(reason)) if died is None else died.text)
        if died is not None:
            record_death(entry, left_on, died)
    if has_cohorts:
        number = found.whole(row.cell("COHORTN"), 1, _COHORTS)
        if number is not None:
            entry.cohort = (number, row.cell("COHORTN"))
        elif not row.cell("COHORTN").text:
            found.refuse(row.cell("COHORTN"), "must not be empty: either every patient has a cohort, or the column is left out")


def _dlts(found: Findings, draft: Draft, rows: dict[str, Row], adsl: Table, adae: Table | None) -> None:
    """DLTs by the flags of subjects, of events, or of both, which must agree."""
    of_subjects = dlt_flags(found, adsl)
    of_events = () if adae is None else dlt_flags(found, adae)
    refuse_other_flags(found, adsl, (*of_subjects, "DLTDT") if of_subjects else ())
    if adae is not None:
        refuse_other_flags(found, adae, (*of_events, "DLTDT") if of_events else ())
    by_subject, by_event = (names[0] if names else None for names in (of_subjects, of_events))
    days = {} if adae is None else _flagged(found, draft, adae, of_events)
    for entry in draft.entries:
        row = rows[entry.subject]
        said = flagged(found, row, of_subjects)
        has_day = entry.subject in days
        if by_subject and by_event and said is not None and said != has_day:
            found.refuse(row.cell(by_subject), f"contradicts {by_event} of the adverse events")
        entry.dlt = has_day if by_event else said
        entry.dlt_date = days.get(entry.subject)
        if entry.dlt and entry.dlt_date is None and by_subject and not has_day:
            entry.dlt_date = latest(found, row, ("DLTDT",))
            if not row.cell("DLTDT").text:
                found.refuse(row.cell(by_subject), "needs DLTDT, or the flag DLTFL of an adverse event: the day of the DLT")


def _flagged(found: Findings, draft: Draft, adae: Table, flags: tuple[str, ...]) -> dict[str, Dated | None]:
    """First day of the flagged events of each patient."""
    days: dict[str, Dated | None] = {}
    for row in adae.rows:
        if row.subject not in draft.subjects or row.subject in draft.absent or not flagged(found, row, flags):
            continue
        cell = row.cell(*_EVENTS.start)
        if row.cell("ASTDTF").text or len(cell.text) < 10:
            found.refuse(cell, "must be the full date of the DLT, not imputed")
        day = latest(found, row, (cell.column,)) if len(cell.text) >= 10 else None
        now = days.get(row.subject)
        days[row.subject] = day if now is None or (day is not None and day.day < now.day) else now
    return days
