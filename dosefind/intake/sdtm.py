"""SDTM: the domains DM and EX, and AE and DS if they are there. `read_patients` documents what is read from which variable."""

from __future__ import annotations

from ..patients import Listed
from ..protocol import Protocol
from .cdisc import IDENTIFIER, ExposureColumns, exposures, latest, leave, subjects, treated
from .cells import Findings, Table
from .entries import Draft, EventColumns, Steps, adverse_events

__all__ = ["read"]

_EXPOSURE = ExposureColumns(day=("EXSTDTC",), dose=("EXDOSE",), unit=("EXDOSU",), end=("EXENDTC",))
_EVENTS = EventColumns(("AEDECOD", "AETERM"), ("AETOXGR",), ("AEREL",), ("AESTDTC",))
_COLUMNS = {
    "dm": [IDENTIFIER],
    "ex": [IDENTIFIER, ("EXSTDTC",), ("EXDOSE",), ("EXDOSU",)],
    "ae": [IDENTIFIER, ("AEDECOD", "AETERM"), ("AESTDTC",)],
    "ds": [IDENTIFIER, ("DSDECOD",), ("DSCAT",), ("DSSTDTC",)],
}


def read(tables: dict[str, Table], protocol: Protocol, found: Findings, steps: Steps) -> Draft:
    """What the domains say; there is no variable for DLTs, cohorts or replacements."""
    for name, table in tables.items():
        found.columns(table, _COLUMNS[name])
    found.stop()
    draft = Draft()
    rows = subjects(found, draft, tables["dm"], steps)
    given = exposures(found, draft, tables["ex"], _EXPOSURE, protocol, steps, lambda row: None)
    treated(found, draft, rows, given)
    for entry in draft.entries:
        contact = latest(found, rows[entry.subject], ("RFPENDTC",))
        entry.last_contact = max((one for one in (contact, entry.died) if one), key=lambda one: one.day, default=None)
    if "ds" in tables:
        _disposition(found, draft, tables["ds"], steps)
    if "ae" in tables:
        if not tables["ae"].has("AETOXGR"):
            found.notes.append(f"{tables['ae'].name}: no AETOXGR, so the events have no grade (AESEV is no CTCAE grade)")
        adverse_events(found, draft, tables["ae"], _EVENTS, tables["dm"].name, steps, protocol.dlt)
    found.notes.append(
        "SDTM names no DLTs and no replacements: DLTs are what the protocol's definition makes of the adverse events"
    )
    return draft


def _disposition(found: Findings, draft: Draft, table: Table, steps: Steps) -> None:
    """Days and reasons of leaving; of several, the first day."""
    entries = {entry.subject: entry for entry in draft.entries}
    for row in steps(table.rows):
        subject = draft.owner(found, row, "the table of subjects")
        if subject is None:
            continue
        if row.cell("DSCAT").text.upper() != "DISPOSITION EVENT":
            draft.listed.append(Listed(row.source, "not used: no disposition event"))
            continue
        reason = found.text(row.cell("DSDECOD"), required=True)
        entry = entries.get(subject)
        if entry is None or reason is None:
            continue
        entry.rows.append(row)
        if reason.upper() != "COMPLETED":
            day = row.cell("DSSTDTC")
            found_day = latest(found, row, ("DSSTDTC",))
            if not day.text:
                found.refuse(day, "must be the day on which the patient left")
            leave(entry, found_day, reason)
