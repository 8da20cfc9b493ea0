"""ADaM: ADSL and ADEX, and ADAE if present. `read_patients` documents the variables that are read."""

from __future__ import annotations

from datetime import date

from ..days import ANY_DAY
from ..protocol import Intake, Protocol, plain_words
from ..words import _
from .cdisc import IDENTIFIER, ExposureColumns, exposures, latest, record_death, subjects, treated
from .cells import Findings, Row, Table, noted_row, partial_date
from .dlt_flags import dlt_flags, flagged, only_of_dlts, refuse_other_flags
from .entries import Dated, Draft, Entry, EventColumns, Steps, Undated, adverse_events, is_death, one_or_more_days, start_of
from .leaving import State, is_lost, leave, leave_treatment, leaves_follow_up, left_by_events, no_reason, settle, status
from .recorded import EVALUABLE, REASONS, named_in, record_decision
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
    initial=("AITOXGR", "AITOXGRN", "AEITOXGR", "AEITOXGRN"),
    end=("AENDT", "AEENDTC"),
    end_imputed="AENDTF",
    flagged=("AEDLT", "AEDLTFL"),
)
_COLUMNS = {
    "adsl": [IDENTIFIER],
    "adex": [IDENTIFIER, _EXPOSURE.day, _EXPOSURE.dose, _EXPOSURE.unit],
    "adae": [IDENTIFIER, _EVENTS.term, _EVENTS.start],
}
# Status, day and reason of discontinuing treatment and of discontinuing the study.
_LEAVING = (("EOTSTT", "EOTDT", "DCTREAS"), ("EOSSTT", "EOSDT", "DCSREAS"))
_COHORTS = 10_000
# The decision on evaluability and its reason: key of the config and usual names.
_DECISION = (("evaluable_flag", EVALUABLE), ("evaluable_reason", REASONS))


def read(tables: dict[str, Table], protocol: Protocol, found: Findings, steps: Steps) -> Draft:
    """Return the content of the data sets; there is no variable for replacements."""
    for name, table in tables.items():
        found.columns(table, _COLUMNS[name])
    for word, day, _reason in _LEAVING:
        if tables["adsl"].has(word) and not tables["adsl"].has(day):
            found.column(tables["adsl"], day, f"missing: {word} shows who discontinued, but not when")
    adsl, intake = tables["adsl"], protocol.intake
    cohort = (named_in(found, adsl, intake, "cohort", ()) or ["COHORTN"])[0]
    flags, reasons = (named_in(found, adsl, intake, *fact) for fact in _DECISION)
    found.stop()
    draft = Draft(has_cohorts=adsl.has(cohort), keeps_contacts=adsl.has("LSTALVDT"))
    rows = subjects(found, draft, adsl, steps)
    given = exposures(found, draft, tables["adex"], _EXPOSURE, protocol, steps, _another_parameter, rows)
    treated(found, draft, rows, given, protocol)
    for entry in draft.entries:
        row = rows[entry.subject]
        _subject_level(found, entry, row, cohort if draft.has_cohorts else None)
        record_decision(found, entry, *([cell for cell in map(row.cell, names) if cell.text] for names in (flags, reasons)))
    settle(draft)
    of_subjects, of_events = _flags(found, tables, intake)
    named, adae = dict(intake.given()).get("dlt_flag"), None
    if "adae" in tables:
        adae = only_of_dlts(tables["adae"], of_events, named)
        columns = _EVENTS._replace(flagged=(*_EVENTS.flagged, *of_events))
        adverse_events(found, draft, adae, columns, adsl.name, steps, protocol.dlt)
        left_by_events(found, draft, adae, _EVENTS.start, protocol)
    _dlts(found, draft, only_of_dlts(adsl, of_subjects, named), adae, of_subjects, of_events, intake)
    refuse_deaths_of_domains(found, draft, tables)
    found.notes.append(_("ADaM has no variable for replacements: a replacement is read like any other patient"))
    return draft


def _another_parameter(row: Row) -> str | None:
    """Return why a row of ADEX is not an infusion: ADEX may have one row per parameter, and DOSE holds the infusions."""
    return _("not used: another parameter than DOSE") if row.cell("PARAMCD").text not in ("", "DOSE") else None


def _subject_level(found: Findings, entry: Entry, row: Row, cohort: str | None) -> None:
    entry.last_contact = latest(found, row, ("LSTALVDT", "EOSDT", "DTHDT"), entry.last)
    of_study = None
    for variables in reversed(_LEAVING):
        state = _leaving(found, entry, row, variables, of_study)
        of_study = state if variables[0] == "EOSSTT" else of_study
    if cohort is not None:
        number = found.whole(row.cell(cohort), 1, _COHORTS)
        if number is not None:
            entry.cohort = (number, row.cell(cohort))
        elif not row.cell(cohort).text:
            found.refuse(row.cell(cohort), "must not be empty: either every patient has a cohort, or the column is omitted")


def _leaving(found: Findings, entry: Entry, row: Row, variables: tuple[str, str, str], of_study: State | None) -> State | None:
    """Record discontinuation of the study or of treatment, and return the state; ``of_study`` is the state of the study.

    A reason or a day without a status is read as discontinuation, and so is a reason with another status, with a note.
    """
    word, day, reason = map(row.cell, variables)
    specified = row.cell(f"{reason.column}P")
    died = next((cell for cell in (reason, specified, word) if is_death(cell.text)), None)
    if died is not None:
        if word.text and not is_death(word.text) and status(found, word) == "left" and not day.text:
            found.refuse(day, "must be the day on which the patient discontinued")
        record_death(found, entry, day, died)
        # A partial date is recorded with the death, which has its own earliest day.
        if not partial_date(day.text):
            leave(entry, latest(found, row, (day.column,)), died.text)
        return "left"
    state, treatment = status(found, word), variables[0] == "EOTSTT"
    gave = not no_reason(reason)
    if state != "left" and not gave and not (state is None and not word.text and day.text and not treatment):
        return state
    if not day.text:
        found.refuse(day, "must be the day on which the patient discontinued")
    if state != "left":
        words = _("{row}: read as discontinued on {date} by {by}, without {column}")
        if word.text:
            words = _("{row}: read as discontinued on {date} by {by}, although {column} is {text}")
        by = reason.column if gave else day.column
        place = {"row": noted_row(row), "date": day.text, "by": by, "column": word.column, "text": word.text}
        found.notes.append(words.format(**place))
    left_on = latest(found, row, (day.column,), entry.first)
    why = found.text(reason) if gave else word.text if state == "left" and plain_words(word.text) != "discontinued" else None
    if treatment and not (leaves_follow_up(why) and (of_study in (None, "left") or is_lost(why))):
        leave_treatment(entry, left_on, why)
    else:
        leave(entry, left_on, why)
    return "left"


def _flags(found: Findings, tables: dict[str, Table], intake: Intake) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the variables that flag a DLT, of subjects and of events; other variables named after DLTs are findings."""
    names = dict(intake.given())
    named, dates = names.get("dlt_flag"), {"DLTDT", names.get("dlt_date", "DLTDT")}
    flags = {name: dlt_flags(found, tables[name], named) for name in ("adsl", "adae") if name in tables}
    for name, of_table in flags.items():
        read = {*of_table, *names.values(), *(dates if of_table else ())}
        refuse_other_flags(found, tables[name], read | set(_EVENTS.flagged if name == "adae" else ()))
    return flags["adsl"], flags.get("adae", ())


def _dlts(
    found: Findings,
    draft: Draft,
    adsl: Table,
    adae: Table | None,
    of_subjects: tuple[str, ...],
    of_events: tuple[str, ...],
    intake: Intake,
) -> None:
    """Yield DLTs by the flags of subjects, of events, or of both, which must agree."""
    names = dict(intake.given())
    named, date_of = names.get("dlt_flag"), names.get("dlt_date", "DLTDT")
    by_subject, by_event = (flags[0] if flags else None for flags in (of_subjects, of_events))
    if named is not None and named not in (*of_subjects, *of_events):
        found.column(adsl, named, "missing here and in ADAE: the config states it (intake.dlt_flag)")
    if "dlt_date" in names and not adsl.has(date_of):
        found.column(adsl, date_of, "missing: the config states it (intake.dlt_date)")
    days = {} if adae is None else _flagged(found, draft, adae, of_events)
    rows = {row.subject: row for row in adsl.rows}
    for entry in draft.entries:
        row = rows[entry.subject]
        by_flag = flagged(found, row, of_subjects)
        has_day = entry.subject in days
        if by_subject and by_event and by_flag is not None and by_flag != has_day:
            found.refuse(row.cell(by_subject), f"contradicts {by_event} of the adverse events")
        entry.dlt = has_day if by_event else by_flag
        entry.dlt_date, entry.dlt_days = days.get(entry.subject, (None, None))
        if entry.dlt and by_subject and not has_day:
            entry.dlt_date, entry.dlt_days = one_or_more_days(found, row.cell(date_of))
            if not row.cell(date_of).text:
                allowed = f"needs {date_of}, or the flag {by_subject} of an adverse event: the day of the DLT"
                found.refuse(row.cell(by_subject), allowed)


def _flagged(found: Findings, draft: Draft, adae: Table, flags: tuple[str, ...]) -> dict[str, tuple[Dated | None, Undated | None]]:
    """Return the first day of the flagged events of each patient; for partial dates the earliest possible one.

    Events that began before the first infusion are excluded.
    """
    first = {entry.subject: entry.first for entry in draft.entries}
    by_subject: dict[str, list[tuple[Dated | None, Undated | None]]] = {}
    for row in adae.rows:
        if row.subject not in draft.subjects or row.subject in draft.absent or not flagged(found, row, flags):
            continue
        start, days, cell = start_of(found, row, _EVENTS)
        if not cell.text:
            found.refuse(cell, "must be the date of the DLT, or its known parts")
        if start is not None and start < first.get(row.subject, date.min):
            by_subject.setdefault(row.subject, []).append((None, None))
            continue
        dated = None if start is None else Dated(start, cell)
        undated = Undated(days or ANY_DAY, cell) if start is None else None
        by_subject.setdefault(row.subject, []).append((dated, undated))
    return {subject: min(events, key=_earliest) for subject, events in by_subject.items()}


def _earliest(event: tuple[Dated | None, Undated | None]) -> tuple[bool, date]:
    """Return the sort key of DLTs: full dates come first, in order."""
    dated, undated = event
    days = undated.days.earliest if undated else None
    return dated is None, dated.day if dated else days or date.min
