"""SDTM: the domains DM and EX, and AE, DS and DD if present. `read_patients` documents the variables that are read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from ..patients import Listed
from ..protocol import Intake, Protocol
from ..words import _
from .cdisc import IDENTIFIER, ExposureColumns, exposures, latest, partial_dates, record_death, subjects, treated
from .cells import Cell, Findings, Row, Table, partial_date
from .dlt_flags import refuse_other_flags
from .entries import Dated, Draft, Entry, EventColumns, Steps, adverse_events, is_death, one_or_more_days
from .labs import LB, read_labs
from .leaving import contact, disposition, leave, leave_treatment, left_by_events, settle
from .recorded import EVALUABLE, REASONS, cells_of, names_of, record_decision, supplemental
from .supplements import with_supplements
from .unread import refuse_deaths_of_domains

__all__ = ["read"]

_EXPOSURE = ExposureColumns(day=("EXSTDTC",), dose=("EXDOSE",), unit=("EXDOSU",), end=("EXENDTC",))
_EVENTS = EventColumns(("AEDECOD", "AETERM"), ("AETOXGR", "AETOXGRN"), ("AEREL",), ("AESTDTC",))
_COHORTS = 10_000
# Variables with a value for some patients only, and the flags with which they have one.
_BESIDE = {"dlt_date": "dlt_flag", "evaluable_reason": "evaluable_flag"}
_SUPPLEMENTS = [IDENTIFIER, ("IDVAR",), ("IDVARVAL",), ("QNAM",), ("QVAL",)]
_COLUMNS = {
    "dm": [IDENTIFIER],
    "ex": [IDENTIFIER, ("EXSTDTC",), ("EXDOSE",), ("EXDOSU",)],
    "ae": [IDENTIFIER, ("AEDECOD", "AETERM"), ("AESTDTC",)],
    "ds": [IDENTIFIER, ("DSDECOD",), ("DSCAT",), ("DSSTDTC",)],
    "dd": [IDENTIFIER],
    "suppdm": [IDENTIFIER, ("QNAM",), ("QVAL",)],
    "suppae": _SUPPLEMENTS,
    "lb": [IDENTIFIER, LB.test, (LB.value,), (LB.unit,), (LB.uln,), (LB.day,)],
}


def read(tables: dict[str, Table], protocol: Protocol, found: Findings, steps: Steps) -> Draft:
    """Read the domains; no standard variable holds DLTs, cohorts, evaluability or replacements."""
    for name, table in tables.items():
        found.columns(table, _COLUMNS[name])
        refuse_other_flags(found, table, _flags_read(name, protocol.intake))
    found.stop()
    draft = Draft()
    rows = subjects(found, draft, tables["dm"], steps)
    given = exposures(found, draft, tables["ex"], _EXPOSURE, protocol, steps, lambda row: None, rows)
    treated(found, draft, rows, given, protocol)
    for entry in draft.entries:
        ended = latest(found, rows[entry.subject], ("RFPENDTC",), entry.last)
        entry.last_contact = max(
            (dated_fact for dated_fact in (ended, entry.died) if dated_fact), key=lambda dated_fact: dated_fact.day, default=None
        )
        contact(entry, _full_date(found, rows[entry.subject], "RFENDTC"), ends=False)
    if "ds" in tables:
        _disposition(found, draft, tables["ds"], steps)
    if "dd" in tables:
        _death_details(found, draft, tables["dd"], steps)
    settle(draft)
    _named(found, draft, tables, rows, protocol, steps)
    if "ae" in tables:
        if not (tables["ae"].has("AETOXGR") or tables["ae"].has("AETOXGRN")):
            words = _("{table}: no AETOXGR, so the events have no grade (AESEV is not a CTCAE grade)")
            found.notes.append(words.format(table=tables["ae"].name))
        _events(found, draft, tables, protocol, steps)
        left_by_events(found, draft, tables["ae"], _EVENTS.start, protocol)
    elif "suppae" in tables:
        found.column(tables["suppae"], "IDVAR", "there is no AE whose records these could supplement")
    if "lb" in tables:
        read_labs(found, draft, tables["lb"], LB, tables["dm"].name, steps)
    refuse_deaths_of_domains(found, draft, tables)
    flagged = any(event.flagged_dlt is not None for events in (draft.events or {}).values() for event in events)
    words = _(
        "SDTM has no variables for DLTs and replacements: DLTs are derived from the adverse events by the protocol's definition"
    )
    if flagged:
        words = _(
            "SDTM has no variables for DLTs and replacements: DLTs are those flagged by the investigator and those derived from "
            "the adverse events by the protocol's definition"
        )
    found.notes.append(words)
    return draft


def _flags_read(domain: str, intake: Intake) -> Sequence[str]:
    """Return the variables of a domain that may be named after DLTs and are read."""
    if domain == "ae":
        return _EVENTS.flagged
    return [name for _, name in intake.given()] if domain == "dm" else ()


def _events(found: Findings, draft: Draft, tables: dict[str, Table], protocol: Protocol, steps: Steps) -> None:
    """Read AE, with SUPPAE if present."""
    if "suppae" not in tables:
        adverse_events(found, draft, tables["ae"], _EVENTS, tables["dm"].name, steps, protocol.dlt)
        return
    table, columns, rows = with_supplements(found, draft, tables["ae"], tables["suppae"], _EVENTS, steps)
    adverse_events(found, draft, table, columns, tables["dm"].name, steps, protocol.dlt, rows)


def _disposition(found: Findings, draft: Draft, table: Table, steps: Steps) -> None:
    """Read days and reasons of discontinuation, of which the first day counts, and deaths, in any row and category."""
    entries = {entry.subject: entry for entry in draft.entries}
    by_epoch: list[tuple[Entry, Dated, str | None]] = []
    last_event: dict[str, date] = {}
    for row in steps(table.rows):
        subject = draft.owner(found, row, "the table of subjects")
        if subject is None:
            continue
        died = next((cell for cell in map(row.cell, ("DSDECOD", "DSTERM")) if is_death(cell.text)), None)
        event = disposition(row)
        if event is None and died is None:
            draft.listed.append(Listed(row.source, _("not used: not a disposition event")))
            continue
        reason = found.text(row.cell("DSDECOD"), required=event is not None)
        left = event is not None and event.state == "left"
        entry = entries.get(subject)
        if entry is None or (reason is None and died is None):
            continue
        entry.rows.append(row)
        day = row.cell("DSSTDTC")
        if left and not day.text:
            found.refuse(day, "must be the day on which the patient discontinued")
        if died is not None:
            record_death(found, entry, day, died)
        found_day = _day_of(found, entry, row, left, died is not None)
        if event is None or found_day is None:
            continue
        last_event[subject] = max(found_day.day, last_event.get(subject, found_day.day))
        if not left:
            contact(entry, found_day, ends=event.state == "completed" and (event.by_epoch or not event.treatment))
        elif not event.treatment or died is not None:
            leave(entry, found_day, reason if is_death(reason) or died is None else died.text)
        elif event.by_epoch:
            by_epoch.append((entry, found_day, reason))
        else:
            leave_treatment(entry, found_day, reason)
    for entry, day, reason in by_epoch:
        # The epoch may be that of the date only, so a later disposition must show that the patient stayed.
        record = leave_treatment if last_event[entry.subject] > day.day else leave
        record(entry, day, reason)


def _day_of(found: Findings, entry: Entry, row: Row, left: bool, died: bool) -> Dated | None:
    """Return the day of a disposition; for a partial date of discontinuation the earliest possible day.

    A partial date of discontinuation by death is recorded with the death, which has its own earliest day.
    """
    if not left or (died and partial_date(row.cell("DSSTDTC").text)):
        return _full_date(found, row, "DSSTDTC")
    return latest(found, row, ("DSSTDTC",), entry.first)


def _named(found: Findings, draft: Draft, tables: dict[str, Table], rows: dict[str, Row], protocol: Protocol, steps: Steps) -> None:
    """Read the variables stated in the config, and decisions on evaluability, from SUPPDM or another variable of DM."""
    intake, keys, table = protocol.intake, ("dlt_flag", "dlt_date", "cohort"), tables.get("suppdm")
    flags, reasons = names_of(intake, "evaluable_flag", EVALUABLE), names_of(intake, "evaluable_reason", REASONS)
    names = {key: names_of(intake, key, ()) for key in keys}
    wanted = (*flags, *reasons, *(name for key in keys for name in names[key]))
    values = {} if table is None else supplemental(found, draft, table, wanted, steps)
    used: set[str] = set()
    for entry in draft.entries:
        row = rows[entry.subject]
        own = {name: row.cell(name) for name in wanted if row.cell(name).text} | values.get(entry.subject, {})
        used |= set(own)
        record_decision(found, entry, cells_of(own, flags), cells_of(own, reasons))
        _dlt_and_cohort(found, entry, {key: next(iter(cells_of(own, names[key])), None) for key in keys}, intake)
    draft.has_cohorts = intake.cohort is not None
    there = {key for key, name in intake.given() if name in used or tables["dm"].has(name)}
    for key, name in intake.given():
        if key not in there and _BESIDE.get(key) in there and table is not None:
            # A supplemental qualifier has no record if no patient has a value.
            words = _("{table}: no record of {name} (intake.{key})")
            found.notes.append(words.format(table=table.name, name=name, key=key))
        elif key not in there:
            found.column(tables["dm"], name, f"missing here and in SUPPDM: the config states it (intake.{key})")
    usual = sorted(used - {name for _, name in intake.given()})
    if usual:
        words = _("decisions on evaluability are read from variables with usual names: {names}")
        found.notes.append(words.format(names=", ".join(usual)))


def _dlt_and_cohort(found: Findings, entry: Entry, cells: dict[str, Cell | None], intake: Intake) -> None:
    """Record the DLT and the cohort of a patient from the variables stated in the config."""
    flag, day, cohort = cells["dlt_flag"], cells["dlt_date"], cells["cohort"]
    if flag is not None:
        entry.dlt = found.yes(flag)
        if entry.dlt and day is None:
            found.refuse(flag, f"needs the day of the DLT, in the variable of intake.dlt_date ({intake.dlt_date or 'not given'})")
    if day is not None and entry.dlt:
        entry.dlt_date, entry.dlt_days = one_or_more_days(found, day)
    elif day is not None:
        found.refuse(day, "must be empty unless the DLT flag is yes")
    if cohort is not None:
        number = found.whole(cohort, 1, _COHORTS)
        entry.cohort = None if number is None else (number, cohort)
    elif intake.cohort is not None:
        cell = entry.rows[0].cell(intake.cohort.upper())
        found.refuse(cell, "must not be empty: every patient needs a cohort if intake.cohort states its variable")


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
        entry.death_days += partial_dates(found, row.cell("DDDTC"))
        if day is not None:
            dates[entry.subject] = min(day, dates.get(entry.subject, day), key=lambda dated: dated.day)
    for entry in draft.entries:
        if not entry.deaths and entry.subject in dates:
            entry.deaths.append(dates[entry.subject])


def _full_date(found: Findings, row: Row, column: str) -> Dated | None:
    """Return the day in a cell, or ``None`` if its date is partial."""
    return None if partial_date(row.cell(column).text) else latest(found, row, (column,))
