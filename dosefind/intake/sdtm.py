"""SDTM: the domains DM and EX, and AE, DS and DD if they are there. `read_patients` documents what is read from which variable."""

from __future__ import annotations

from ..patients import Listed
from ..protocol import Protocol
from .cdisc import IDENTIFIER, ExposureColumns, exposures, latest, leave, record_death, subjects, treated
from .cells import Findings, Row, Table, partial_date
from .dlt_flags import refuse_other_flags
from .entries import Dated, Draft, EventColumns, Steps, adverse_events, is_death
from .unread import refuse_deaths_of_domains

__all__ = ["read"]

_EXPOSURE = ExposureColumns(day=("EXSTDTC",), dose=("EXDOSE",), unit=("EXDOSU",), end=("EXENDTC",))
_EVENTS = EventColumns(("AEDECOD", "AETERM"), ("AETOXGR", "AETOXGRN"), ("AEREL",), ("AESTDTC",))
_COLUMNS = {
    "dm": [IDENTIFIER],
    "ex": [IDENTIFIER, ("EXSTDTC",), ("EXDOSE",), ("EXDOSU",)],
    "ae": [IDENTIFIER, ("AEDECOD", "AETERM"), ("AESTDTC",)],
    "ds": [IDENTIFIER, ("DSDECOD",), ("DSCAT",), ("DSSTDTC",)],
    "dd": [IDENTIFIER],
}


def read(tables: dict[str, Table], protocol: Protocol, found: Findings, steps: Steps) -> Draft:
    """What the domains say; there is no variable for DLTs, cohorts or replacements."""
    for name, table in tables.items():
        found.columns(table, _COLUMNS[name])
        refuse_other_flags(found, table, ())
    found.stop()
    draft = Draft()
    rows = subjects(found, draft, tables["dm"], steps)
    given = exposures(found, draft, tables["ex"], _EXPOSURE, protocol, steps, lambda row: None, rows)
    treated(found, draft, rows, given)
    for entry in draft.entries:
        contact = latest(found, rows[entry.subject], ("RFPENDTC",))
        entry.last_contact = max((one for one in (contact, entry.died) if one), key=lambda one: one.day, default=None)
    if "ds" in tables:
        _disposition(found, draft, tables["ds"], steps)
    if "dd" in tables:
        _death_details(found, draft, tables["dd"], steps)
    if "ae" in tables:
        if not (tables["ae"].has("AETOXGR") or tables["ae"].has("AETOXGRN")):
            found.notes.append(f"{tables['ae'].name}: no AETOXGR, so the events have no grade (AESEV is no CTCAE grade)")
        adverse_events(found, draft, tables["ae"], _EVENTS, tables["dm"].name, steps, protocol.dlt)
    refuse_deaths_of_domains(found, draft, tables)
    found.notes.append(
        "SDTM names no DLTs and no replacements: DLTs are what the protocol's definition makes of the adverse events"
    )
    return draft


def _disposition(found: Findings, draft: Draft, table: Table, steps: Steps) -> None:
    """Read days and reasons of leaving, of which the first day counts, and deaths, in whichever row and category they are."""
    entries = {entry.subject: entry for entry in draft.entries}
    for row in steps(table.rows):
        subject = draft.owner(found, row, "the table of subjects")
        if subject is None:
            continue
        died = next((cell for cell in map(row.cell, ("DSDECOD", "DSTERM")) if is_death(cell.text)), None)
        left = row.cell("DSCAT").text.upper() == "DISPOSITION EVENT"
        if not left and died is None:
            draft.listed.append(Listed(row.source, "not used: no disposition event"))
            continue
        reason = found.text(row.cell("DSDECOD"), required=left)
        entry = entries.get(subject)
        if entry is None or (reason is None and died is None):
            continue
        entry.rows.append(row)
        day = row.cell("DSSTDTC")
        if left and not day.text and (reason or "").upper() != "COMPLETED":
            found.refuse(day, "must be the day on which the patient left")
        found_day = _full_date(found, row, "DSSTDTC") if not left else latest(found, row, ("DSSTDTC",))
        if died is not None:
            record_death(entry, found_day, died)
        if left and (reason or "").upper() != "COMPLETED":
            leave(entry, found_day, reason if is_death(reason) or died is None else died.text)


def _death_details(found: Findings, draft: Draft, table: Table, steps: Steps) -> None:
    """Record the death of each subject in DD; its date (DDDTC) is used where no other record gives the day."""
    entries = {entry.subject: entry for entry in draft.entries}
    dates: dict[str, Dated] = {}
    for row in steps(table.rows):
        entry = entries.get(draft.owner(found, row, "the table of subjects") or "")
        if entry is None:
            continue
        entry.rows.append(row)
        entry.dead = entry.dead or row.subject_cell
        day = _full_date(found, row, "DDDTC")
        if day is not None:
            dates[entry.subject] = min(day, dates.get(entry.subject, day), key=lambda dated: dated.day)
    for entry in draft.entries:
        if not entry.deaths and entry.subject in dates:
            entry.deaths.append(dates[entry.subject])


def _full_date(found: Findings, row: Row, column: str) -> Dated | None:
    """Return the day in a cell; ``None`` where its date is partial."""
    return None if partial_date(row.cell(column).text) else latest(found, row, (column,))
