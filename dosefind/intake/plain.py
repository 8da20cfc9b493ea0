"""dosefind's own layout: a row a patient, and beside it a row an adverse event. `read_patients` documents the columns."""

from __future__ import annotations

import difflib
import re

from .._check import shown_key
from ..protocol import Protocol
from .cells import Cell, Findings, Row, Table
from .entries import NO_INFUSION, Dated, Draft, Entry, EventColumns, Steps, adverse_events, dose, one_row_each, part_of
from .unread import note_mentions, refuse_deaths, refuse_names, renamed

__all__ = ["read"]

_OPTIONAL = ("level", "dose", "cohort", "last_contact", "dlt", "dlt_date", "discontinued", "reason", "replaces", "part")
_FLAGS = ("yes", "y", "1", "true", "no", "n", "0", "false")
# Columns of the day of death, any of which may be a flag instead; and of seriousness.
_DIED = (
    *("died", "death", "death_date", "date_of_death", "dod", "deceased", "dead", "died_on", "date_death", "death_dt", "death_flag"),
    *("dthfl", "dthdt", "dthdtc", "fatal"),
)
_SERIOUS = (
    *(
        "serious",
        "sae",
        "seriousness",
        "is_serious",
        "serious_event",
        "serious_yn",
        "sae_yn",
        "ser",
        "aeser",
        "saer",
        "serious_flag",
    ),
)
# Columns that flag a fatal event, and criteria that make an event serious.
_FATAL = ("fatal", "fatal_event", "results_in_death", "resulted_in_death", "death", "died", "aesdth")
_CRITERIA = (
    *("hospitalisation", "hospitalization", "hospitalised", "hospitalized", "life_threatening"),
    *("aeslife", "aeshosp", "aesdisab", "aescong", "aesmie"),
)
_EVENTS = ("grade", "related", "start", *_SERIOUS, "outcome", "organ_class", *_FATAL, *_CRITERIA)
# Other spellings of columns whose meaning is certain; those of a name itself differ in case, blanks and punctuation.
_PATIENT_NAMES = {
    "dlt": ("dlts", "dlt_yn", "dlt_flag", "had_dlt", "any_dlt", "dltfl", "dlt_yes_no", "dose_limiting_toxicity"),
    "dlt_date": ("date_of_dlt", "dlt_dt", "dltdtc", "dlt_onset", "dlt_onset_date"),
    **dict.fromkeys(_DIED, ()),
}
_EVENT_NAMES = {
    "grade": ("toxicity_grade", "ctcae_grade", "aetoxgr", "aetoxgrn"),
    "related": ("causality", "relationship", "relatedness", "relation", "aerel", "relationship_to_treatment"),
    "start": ("onset", "onset_date", "start_date", "aestdtc"),
    "outcome": ("aeout", "event_outcome", "outcome_of_event"),
    **dict.fromkeys((*_SERIOUS, *_FATAL, *_CRITERIA), ()),
}
# What to do with a column that is not read, by what its name speaks of.
_OF_EVENT = "give it in the table of adverse events, as"
_PATIENT_ADVICE = {
    "DLTs": "rename it to dlt (yes or no) or dlt_date, a free text to comment",
    "deaths": "give the day of death, or yes, in the column died",
    "seriousness": f"{_OF_EVENT} serious",
    "relationship to treatment": f"{_OF_EVENT} related",
    "grades": f"{_OF_EVENT} grade",
    "severity": f"{_OF_EVENT} grade",
    "outcomes": f"{_OF_EVENT} outcome",
    "evaluability": "state in the protocol who is evaluable, and give what it asks for in columns that are read",
}
_EVENT_ADVICE = {
    "DLTs": "give DLTs in the columns dlt and dlt_date of the table of patients",
    "deaths": "give fatal in the column outcome, or the day of death in the column died of the table of patients",
    "seriousness": "rename it to serious (yes or no)",
    "relationship to treatment": "rename it to related",
    "grades": "rename it to grade",
    "severity": "give the grade in the column grade, serious in the column serious and fatal in the column outcome",
    "outcomes": "rename it to outcome",
    "evaluability": "give what it says in columns that are read",
}
_DECISIVE = ("dlt", "dlt_date", "died", "death", "grade", "related", "serious", "outcome", "severity", "evaluable")
# Parts of a trial whose patients are not given a dose of the product.
_UNTREATED = ("placebo", "control")
_INFUSION = re.compile(r"infusion_[1-9]\d?")
_COHORTS = 10_000


def read(tables: dict[str, Table], protocol: Protocol, found: Findings, steps: Steps) -> Draft:
    """What the table of patients says, and that of adverse events if there is one."""
    people, events = renamed(found, tables["patients"], _PATIENT_NAMES), tables.get("events")
    infusions, unread = _columns(found, people)
    of_events: list[str] = []
    if events is not None:
        events = renamed(found, events, _EVENT_NAMES)
        of_events = found.columns(events, [("subject",), ("term",)], _EVENTS)
        _not_used(found, events, refuse_names(found, events, of_events, _EVENT_ADVICE, _DECISIVE), _EVENTS)
    found.stop()
    draft = Draft(has_cohorts=people.has("cohort"), keeps_contacts=people.has("last_contact"))
    for subject, row in one_row_each(found, steps(people.rows)):
        draft.subjects.add(subject)
        if any(row.cell(column).text for column in infusions):
            entry = _entry(found, subject, row, infusions, protocol, draft.has_cohorts)
            draft.entries += [entry] if entry else []
        else:
            if found.yes(row.cell("dlt")) or row.cell("dlt_date").text:
                found.refuse(row.cell("dlt"), "a DLT needs an infusion before it")
            for column in (*_OPTIONAL, *_DIED):
                found.text(row.cell(column))
            draft.leave_out(subject, row, NO_INFUSION)
    if events is not None:
        columns = EventColumns(("term",), ("grade",), ("related",), ("start",), None, _SERIOUS, ("outcome",), ("organ_class",))
        columns = columns._replace(death=_FATAL, criteria=_CRITERIA)
        adverse_events(found, draft, events, columns, people.name, steps, protocol.dlt)
        refuse_deaths(
            found, draft, events, of_events, "give fatal in the column outcome, or the day in the column died of the patient"
        )
        note_mentions(found, events, of_events)
    refuse_deaths(found, draft, people, unread, "give its day, or yes, in the column died")
    note_mentions(found, people, unread)
    return draft


def _columns(found: Findings, table: Table) -> tuple[list[str], list[str]]:
    """Return the columns of infusions, in order, and those that nobody reads; findings and notes of the others."""
    infusions = sorted(
        (column for column in set(table.columns) if _INFUSION.fullmatch(column)), key=lambda name: int(name.partition("_")[2])
    )
    optional = [*_OPTIONAL, *_DIED, *infusions]
    unread = found.columns(table, [("subject",), ("level", "dose"), ("infusion_1",)], optional)
    wanted = [f"infusion_{number}" for number in range(1, len(infusions) + 1)]
    if infusions and infusions != wanted:
        found.column(table, infusions[-1], f"the columns before it must be there too: {', '.join(wanted)}")
    if table.has("dlt_date") and not table.has("dlt"):
        found.column(table, "dlt_date", "needs the column dlt beside it")
    if table.has("reason") and not table.has("discontinued"):
        found.column(table, "reason", "needs the column discontinued beside it: the day on which the patient left")
    _not_used(found, table, refuse_names(found, table, unread, _PATIENT_ADVICE, _DECISIVE), optional)
    return infusions, unread


def _not_used(found: Findings, table: Table, unread: list[str], optional: tuple[str, ...] | list[str]) -> None:
    missing = [name for name in optional if not table.has(name)]
    words = []
    for name in unread:
        near = difflib.get_close_matches(name, missing, n=1, cutoff=0.75)
        words += [shown_key(name[:40]) + (f" (did you mean {near[0]}?)" if near else "")] if name else []
    if words:
        found.notes.append(f"{table.name}: columns not used: {', '.join(words)}")


def _entry(found: Findings, subject: str, row: Row, infusions: list[str], protocol: Protocol, has_cohorts: bool) -> Entry | None:
    """The facts of a patient who had an infusion; ``None`` if the dose or the infusions cannot be read."""
    part = part_of(found, row.cell("part"))
    given = (None, 0.0) if part in _UNTREATED and _no_dose(row) else _dose(found, row, protocol)
    days = _infusions(found, row, infusions)
    cohort = found.whole(row.cell("cohort"), 1, _COHORTS)
    if has_cohorts and not row.cell("cohort").text and part in (None, "escalation"):
        found.refuse(row.cell("cohort"), "must not be empty: either every patient has a cohort, or the column is left out")
    last_contact, discontinued, dlt_date = (_dated(found, row, name) for name in ("last_contact", "discontinued", "dlt_date"))
    died, dead = _death(found, row)
    dlt = found.yes(row.cell("dlt"))
    if dlt and not row.cell("dlt_date").text:
        found.refuse(row.cell("dlt"), "needs dlt_date: without its day a DLT cannot be held against the window")
    if not dlt and row.cell("dlt_date").text:
        found.refuse(row.cell("dlt_date"), "must be empty unless dlt is yes")
    reason = found.text(row.cell("reason"))
    if reason and not row.cell("discontinued").text:
        found.refuse(row.cell("discontinued"), "must be the day on which the patient left, as there is a reason")
    replaces = row.cell("replaces") if found.name(row.cell("replaces")) else None
    if given is None or not days:
        return None
    return Entry(
        subject=subject,
        level=given[0],
        amount=given[1],
        infusions=days,
        rows=[row],
        cohort=None if cohort is None else (cohort, row.cell("cohort")),
        last_contact=last_contact,
        dlt=dlt,
        dlt_date=dlt_date,
        discontinued=discontinued,
        reason=reason,
        replaces=replaces,
        part=part,
        died=died,
        dead=dead,
    )


def _death(found: Findings, row: Row) -> tuple[Dated | None, Cell | None]:
    """Return the day of death, and the cell that reports a death; the columns must not contradict each other."""
    days, flags = [], []
    for cell in map(row.cell, _DIED):
        if cell.text.casefold() in _FLAGS:
            flags.append((cell, found.yes(cell)))
        elif (day := found.day(cell)) is not None:
            days.append(Dated(day, cell))
    for other in days[1:]:
        if other.day != days[0].day:
            found.refuse(other.cell, f"contradicts {days[0].cell.column}, which is {days[0].day}")
    yes = next((cell for cell, flag in flags if flag), None)
    for cell, flag in flags:
        if not flag and (days or yes is not None):
            found.refuse(cell, f"contradicts {days[0].cell.column if days or yes is None else yes.column}")
    return (days[0] if days else None), (days[0].cell if days else yes)


def _no_dose(row: Row) -> bool:
    """Return whether a row has no dose of the product: no level, and no amount or 0."""
    return not row.cell("level").text and re.fullmatch(r"(0+(\.0*)?)?", row.cell("dose").text) is not None


def _dose(found: Findings, row: Row, protocol: Protocol) -> tuple[int | None, float] | None:
    """Level and amount, from whichever of the two columns is filled."""
    doses, level_cell, dose_cell = protocol.doses, row.cell("level"), row.cell("dose")
    level = found.whole(level_cell, 1, len(doses.amounts))
    by_dose = dose(found, dose_cell, doses) if dose_cell.text else None
    if not level_cell.text and not dose_cell.text:
        found.refuse(dose_cell if "dose" in row.cells else level_cell, "must not be empty where there is an infusion")
    if level is None:
        return None if level_cell.text else by_dose
    if by_dose is not None and by_dose[0] != level:
        found.refuse(dose_cell, f"contradicts the level, which is dose {doses.amounts[level - 1]:g}")
    return level, float(doses.amounts[level - 1])


def _infusions(found: Findings, row: Row, columns: list[str]) -> list[Dated]:
    cells = [row.cell(column) for column in columns]
    given = [cell for cell in cells if cell.text]
    for cell in cells[: len(given)]:
        if not cell.text:
            found.refuse(cell, "must not be empty where there is a later infusion")
    days = [(found.day(cell), cell) for cell in given]
    return [Dated(day, cell) for day, cell in days if day is not None]


def _dated(found: Findings, row: Row, column: str) -> Dated | None:
    cell = row.cell(column)
    day = found.day(cell)
    return None if day is None else Dated(day, cell)
