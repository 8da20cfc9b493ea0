"""dosefind's own layout: one row per patient, and a table with one row per adverse event. `read_patients` documents the columns."""

from __future__ import annotations

import difflib
import math
import re
from datetime import date

from .._check import shown_key
from ..patients import SAME_AMOUNT
from ..protocol import Doses, Protocol
from ..words import _
from .cdisc import partial_dates
from .cells import Cell, Findings, Row, Table, flag_of, number_of, partial_date
from .entries import (
    NO_INFUSION,
    Dated,
    Draft,
    Entry,
    EventColumns,
    Steps,
    Undated,
    adverse_events,
    dose,
    earliest_day,
    one_or_more_days,
    one_row_each,
    part_of,
)
from .infusions import PLACEBO, Dose
from .labs import SHEET, read_labs
from .leaving import settle
from .recorded import record_decision
from .responses import COLUMNS, read_columns
from .unread import note_mentions, refuse_deaths, refuse_names, renamed

__all__ = ["read"]

_OPTIONAL = ("level", "dose", "assigned", "cohort", "last_contact", "dlt", "dlt_date", "discontinued", "reason", "replaces", "part")
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
_EVALUABLE = ("evaluable", "dlt_evaluable", "evaluable_for_dlt")
_REASONS = ("evaluable_reason", "reason_not_evaluable", "not_evaluable_reason")
_COURSE = ("initial_grade", "end", "severity", "worsened", "dlt", "treatment_emergent", "event_id")
_EVENTS = ("grade", "related", "start", *_SERIOUS, "outcome", "organ_class", *_FATAL, *_CRITERIA, *_COURSE)
_EVENT_COLUMNS = EventColumns(
    term=("term",),
    grade=("grade",),
    related=("related",),
    start=("start",),
    serious=_SERIOUS,
    outcome=("outcome",),
    organ_class=("organ_class",),
    severity=("severity",),
    initial=("initial_grade",),
    end=("end",),
    ongoing=(),
    worsened=("worsened",),
    flagged=("dlt",),
    emergent=("treatment_emergent",),
    links=("event_id",),
    death=_FATAL,
    criteria=_CRITERIA,
)
# Other spellings of columns whose meaning is certain; variants of a name itself differ in case, spaces and punctuation.
_PATIENT_NAMES = {
    "dlt": ("dlts", "dlt_yn", "dlt_flag", "had_dlt", "any_dlt", "dltfl", "dlt_yes_no", "dose_limiting_toxicity"),
    "dlt_date": ("date_of_dlt", "dlt_dt", "dltdtc", "dlt_onset", "dlt_onset_date"),
    **dict.fromkeys((*_DIED, *_EVALUABLE, *_REASONS), ()),
}
_EVENT_NAMES = {
    "dlt": _PATIENT_NAMES["dlt"],
    "grade": ("toxicity_grade", "ctcae_grade", "aetoxgr", "aetoxgrn"),
    "related": ("causality", "relationship", "relatedness", "relation", "aerel", "relationship_to_treatment"),
    "start": ("onset", "onset_date", "start_date", "aestdtc"),
    "outcome": ("aeout", "event_outcome", "outcome_of_event"),
    **dict.fromkeys(("severity", "initial_grade", *_SERIOUS, *_FATAL, *_CRITERIA), ()),
}
# Advice on a column that is not read, by the topic of its name.
_OF_EVENT = "give it in the table of adverse events, as"
_PATIENT_ADVICE = {
    "DLTs": "rename it to dlt (yes or no) or dlt_date, a free text to comment",
    "deaths": "give the day of death, or yes, in the column died",
    "seriousness": f"{_OF_EVENT} serious",
    "relationship to treatment": f"{_OF_EVENT} related",
    "grades": f"{_OF_EVENT} grade",
    "severity": f"{_OF_EVENT} grade",
    "outcomes": f"{_OF_EVENT} outcome",
    "evaluability": "rename it to evaluable (yes or no) or evaluable_reason",
}
_EVENT_ADVICE = {
    "DLTs": "rename it to dlt (yes or no), which says whether the investigator flagged the event as a DLT",
    "deaths": "give fatal in the column outcome, or the day of death in the column died of the table of patients",
    "seriousness": "rename it to serious (yes or no)",
    "relationship to treatment": "rename it to related",
    "grades": "rename it to grade, or initial_grade at the start of the event",
    "severity": "rename it to severity, which is not a grade",
    "outcomes": "rename it to outcome",
    "evaluability": "give it in the column evaluable of the table of patients",
}
_DECISIVE = ("dlt", "dlt_date", "died", "death", "grade", "related", "serious", "outcome", "severity", "evaluable")
# Parts of a trial whose patients do not receive a dose of the product.
_UNTREATED = ("placebo", "control")
_INFUSION = re.compile(r"infusion_[1-9]\d?")
# Amount of the only infusion, or of each.
_ADMINISTERED = ("administered", "dose_given", "dose_administered")
_EACH_ADMINISTERED = re.compile(r"administered_[1-9]\d?")
_COHORTS = 10_000
_LEFT_TREATMENT = ("left_treatment", "left_treatment_reason")


def read(tables: dict[str, Table], protocol: Protocol, found: Findings, steps: Steps) -> Draft:
    """Return the content of the table of patients, and of that of adverse events if there is one."""
    people, events, labs = renamed(found, tables["patients"], _PATIENT_NAMES), tables.get("events"), tables.get("labs")
    of_efficacy = () if protocol.efficacy is None else COLUMNS
    infusions, unread = _columns(found, people, of_efficacy)
    of_events: list[str] = []
    if events is not None:
        events = renamed(found, events, _EVENT_NAMES)
        of_events = found.columns(events, [("subject",), ("term",)], _EVENTS)
        _not_used(found, events, refuse_names(found, events, of_events, _EVENT_ADVICE, _DECISIVE), _EVENTS)
    if labs is not None:
        required = [("subject",), SHEET.test, (SHEET.value,), (SHEET.unit,), (SHEET.uln,), (SHEET.day,)]
        _not_used(found, labs, found.columns(labs, required, SHEET.baseline), SHEET.baseline)
    found.stop()
    draft = Draft(has_cohorts=people.has("cohort"), keeps_contacts=people.has("last_contact"))
    for subject, row in one_row_each(found, steps(people.rows)):
        draft.subjects.add(subject)
        if any(row.cell(column).text for column in infusions):
            entry = _entry(found, subject, row, infusions, protocol, draft.has_cohorts)
            if entry is not None:
                _evaluability(found, entry, row)
                if protocol.efficacy is not None:
                    read_columns(found, entry, row, protocol.efficacy)
            draft.entries += [entry] if entry else []
        else:
            if found.yes(row.cell("dlt"), or_unknown=True) or row.cell("dlt_date").text:
                found.refuse(row.cell("dlt"), "a DLT needs an earlier infusion")
            for column in (*_OPTIONAL, *_DIED, *_EVALUABLE, *_REASONS, *_LEFT_TREATMENT, *_ADMINISTERED, *of_efficacy):
                found.text(row.cell(column))
            draft.leave_out(subject, row, _(NO_INFUSION))
    settle(draft)
    zero = sum(entry.part == "placebo" and not entry.rows[0].cell("part").text for entry in draft.entries)
    if zero:
        # No subject is named: the notes are part of reports that must not reveal who received placebo.
        words = _("{table}: rows with a dose of 0 but no part of the trial, read as placebo: {n}")
        found.notes.append(words.format(table=people.name, n=f"{zero:,}"))
    if events is not None:
        adverse_events(found, draft, events, _EVENT_COLUMNS, people.name, steps, protocol.dlt)
        where = "give fatal in the column outcome, or the day in the column died of the patient"
        refuse_deaths(found, draft, events, of_events, where)
        note_mentions(found, events, of_events)
    if labs is not None:
        read_labs(found, draft, labs, SHEET, people.name, steps)
    reasons = ("reason", *_REASONS, _LEFT_TREATMENT[1])
    refuse_deaths(found, draft, people, [*unread, *reasons], "give its day, or yes, in the column died")
    note_mentions(found, people, unread)
    return draft


def _evaluability(found: Findings, entry: Entry, row: Row) -> None:
    """Record the decision on evaluability, and the day of discontinuing treatment.

    The column ``reason`` is that of the decision if the patient did not discontinue.
    """
    reasons = [cell for cell in map(row.cell, _REASONS) if cell.text]
    if not reasons and not row.cell("discontinued").text and row.cell("reason").text:
        reasons = [row.cell("reason")]
        entry.reason = None
    record_decision(found, entry, [cell for cell in map(row.cell, _EVALUABLE) if cell.text], reasons)
    entry.left_treatment = earliest_day(found, row.cell("left_treatment"), entry.first)
    entry.left_treatment_reason = found.text(row.cell(_LEFT_TREATMENT[1]))
    if entry.left_treatment_reason and not row.cell("left_treatment").text:
        found.refuse(
            row.cell("left_treatment"), "must be the day on which the patient discontinued treatment, because there is a reason"
        )


def _columns(found: Findings, table: Table, of_efficacy: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Return the columns of infusions, in order, and those that are not read; findings and notes on the others."""
    infusions = sorted(
        (column for column in set(table.columns) if _INFUSION.fullmatch(column)), key=lambda name: int(name.partition("_")[2])
    )
    each = [column for column in dict.fromkeys(table.columns) if _EACH_ADMINISTERED.fullmatch(column)]
    optional = [*_OPTIONAL, *_DIED, *_EVALUABLE, *_REASONS, *_LEFT_TREATMENT, *_ADMINISTERED, *infusions, *each, *of_efficacy]
    unread = found.columns(table, [("subject",), ("level", "dose", "assigned"), ("infusion_1",)], optional)
    for column in each:
        if f"infusion_{column.partition('_')[2]}" not in infusions:
            found.column(table, column, f"needs the column infusion_{column.partition('_')[2]} too")
    wanted = [f"infusion_{number}" for number in range(1, len(infusions) + 1)]
    if infusions and infusions != wanted:
        found.column(table, infusions[-1], f"the previous columns must be present too: {', '.join(wanted)}")
    for column in set(of_efficacy) - {"response", "rescue"}:
        if table.has(column) and not table.has("response"):
            found.column(table, column, "needs the column response too")
    if table.has("dlt_date") and not table.has("dlt"):
        found.column(table, "dlt_date", "needs the column dlt too")
    decided = any(map(table.has, _EVALUABLE))
    for name in _REASONS:
        if table.has(name) and not decided:
            found.column(table, name, "needs the column evaluable too")
    if table.has("left_treatment_reason") and not table.has("left_treatment"):
        found.column(table, "left_treatment_reason", "needs the column left_treatment too: the day of discontinuing treatment")
    if table.has("reason") and not table.has("discontinued") and not decided:
        found.column(table, "reason", "needs the column discontinued too: the day on which the patient discontinued")
    missing = [name for name in optional if name not in _ADMINISTERED[1:]]
    _not_used(found, table, refuse_names(found, table, unread, _PATIENT_ADVICE, _DECISIVE), missing)
    return infusions, unread


def _not_used(found: Findings, table: Table, unread: list[str], optional: tuple[str, ...] | list[str]) -> None:
    missing = [name for name in optional if not table.has(name)]
    listed = []
    for name in unread:
        near = difflib.get_close_matches(name, missing, n=1, cutoff=0.75)
        if name:
            words = _("{column} (did you mean {near}?)") if near else "{column}"
            listed.append(words.format(column=shown_key(name[:40]), near=next(iter(near), "")))
    if listed:
        found.notes.append(_("{table}: columns not used: {columns}").format(table=table.name, columns=", ".join(listed)))


def _entry(found: Findings, subject: str, row: Row, infusions: list[str], protocol: Protocol, has_cohorts: bool) -> Entry | None:
    """Return the facts of a patient who had an infusion, or ``None`` if the dose or the infusions cannot be read."""
    part = part_of(found, row.cell("part"))
    if not row.cell("part").text and row.cell("dose").text and _no_dose(row):
        part = "placebo"
    days = _infusions(found, row, infusions)
    given = PLACEBO if part in _UNTREATED and _no_dose(row) else _dose(found, row, protocol.doses, len(days))
    cohort = found.whole(row.cell("cohort"), 1, _COHORTS)
    if has_cohorts and not row.cell("cohort").text and part in (None, "escalation"):
        found.refuse(row.cell("cohort"), "must not be empty: either every patient has a cohort, or the column is omitted")
    first, last = (min(dated.day for dated in days), max(dated.day for dated in days)) if days else (date.min, date.min)
    last_contact = earliest_day(found, row.cell("last_contact"), last)
    discontinued = earliest_day(found, row.cell("discontinued"), first)
    dlt_date, dlt_days = one_or_more_days(found, row.cell("dlt_date"))
    died, dead, death_days = _death(found, row)
    dlt = found.yes(row.cell("dlt"), or_unknown=True)
    if dlt and not row.cell("dlt_date").text:
        found.refuse(row.cell("dlt"), "needs dlt_date: without its day a DLT cannot be compared with the window")
    if not dlt and row.cell("dlt_date").text:
        found.refuse(row.cell("dlt_date"), "must be empty unless dlt is yes")
    reason = found.text(row.cell("reason"))
    if reason and not row.cell("discontinued").text and not any(row.cell(name).text for name in _EVALUABLE):
        found.refuse(row.cell("discontinued"), "must be the day on which the patient discontinued, because there is a reason")
    replaces = row.cell("replaces") if found.name(row.cell("replaces")) else None
    if given is None or not days:
        return None
    return Entry(
        subject=subject,
        level=given.level,
        amount=given.amount,
        amounts=given.amounts,
        assigned_by=next((name for name in ("level", "assigned") if row.cell(name).text), None),
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
        death_days=death_days,
        dlt_days=dlt_days,
    )


def _death(found: Findings, row: Row) -> tuple[Dated | None, Cell | None, list[Undated]]:
    """Return the day of death, the cell that reports a death, and partial dates; the columns must not contradict each other."""
    days, flags, partial = [], [], []
    for cell in map(row.cell, _DIED):
        if (flag := flag_of(cell.text)) is not None:
            flags.append((cell, flag))
        elif cell.text and partial_date(cell.text):
            partial += partial_dates(found, cell)
        elif (day := found.day(cell)) is not None:
            days.append(Dated(day, cell))
    for other in days[1:]:
        if other.day != days[0].day:
            found.refuse(other.cell, f"contradicts {days[0].cell.column}, which is {days[0].day}")
    for possible, cell in partial:
        if days and days[0].day not in possible:
            found.refuse(cell, f"contradicts {days[0].cell.column}, which is {days[0].day}")
    yes = next((cell for cell in [*(cell for _, cell in partial), *(cell for cell, flag in flags if flag)]), None)
    for cell, flag in flags:
        if not flag and (days or yes is not None):
            found.refuse(cell, f"contradicts {days[0].cell.column if days or yes is None else yes.column}")
    return (days[0] if days else None), (days[0].cell if days else yes), partial


def _no_dose(row: Row) -> bool:
    """Return whether a row has no dose of the product: no level, and no amount or 0."""
    amounts = (row.cell(name).text for name in ("dose", "assigned"))
    return not row.cell("level").text and all(number_of(text or "0") == 0 for text in amounts)


def _dose(found: Findings, row: Row, doses: Doses, infusions: int) -> Dose | None:
    """Return the assigned dose and the administered amounts, or ``None`` if they cannot be read.

    The level is that of ``level`` or ``assigned``. With one of these, ``dose`` is the administered amount, but is rejected with
    ``level`` if it is the dose of another level: either can be an error of entry. Alone it is the assigned amount.
    """
    level_cell, assigned, dose_cell = (row.cell(name) for name in ("level", "assigned", "dose"))
    level = found.whole(level_cell, 1, len(doses.amounts))
    by_amount = dose(found, assigned, doses) if assigned.text else None
    by_dose = dose(found, dose_cell, doses) if dose_cell.text else None
    if not (level_cell.text or assigned.text or dose_cell.text):
        present = next((cell for cell in (dose_cell, level_cell, assigned) if cell.column in row.cells), dose_cell)
        found.refuse(present, "must not be empty if there is an infusion")
    if level is None and level_cell.text:
        return None
    if level is not None:
        own = f"contradicts the level, which is dose {doses.amounts[level - 1]:g}"
        if by_amount is not None and by_amount[0] != level:
            found.refuse(assigned, own)
        if by_dose is not None and not assigned.text and by_dose[0] not in (None, level):
            found.refuse(dose_cell, f"{own}: if the dose of another level was administered, the column is named administered")
    stated = by_amount if level is None and assigned.text else by_dose if level is None else (level, 0.0)
    if stated is None:
        return None
    amount = stated[1] if stated[0] is None else float(doses.amounts[stated[0] - 1])
    by_row = amount if by_dose is None else by_dose[1]
    amounts = _administered(found, row, doses, by_row, infusions)
    another = any(cell.text for cell in _amount_cells(row, infusions))
    if another and not math.isclose(by_row, amount, rel_tol=SAME_AMOUNT):
        found.refuse(dose_cell, "contradicts the assigned dose, but another column has the administered amount")
    differ = any(not math.isclose(value, amount, rel_tol=SAME_AMOUNT) for value in amounts)
    return Dose(stated[0], amount, amounts if differ else ())


def _amount_cells(row: Row, infusions: int) -> list[Cell]:
    """Return the cells with the amount administered at each infusion, of all infusions or of the only one."""
    return [*map(row.cell, _ADMINISTERED), *(row.cell(f"administered_{number}") for number in range(1, infusions + 1))]


def _administered(found: Findings, row: Row, doses: Doses, otherwise: float, infusions: int) -> tuple[float, ...]:
    """Return the amount administered at each infusion; ``otherwise`` if the cell is empty."""
    filled = [cell for cell in map(row.cell, _ADMINISTERED) if cell.text]
    if filled and infusions > 1:
        names = ", ".join(f"administered_{number}" for number in range(1, infusions + 1))
        found.refuse(filled[0], f"is the amount of one infusion, but there are {infusions}: use the columns {names}")
    amounts = []
    for number in range(1, infusions + 1):
        cell = row.cell(f"administered_{number}")
        cells = (
            [filled_cell for filled_cell in (cell, *filled) if filled_cell.text] if infusions == 1 else [cell] if cell.text else []
        )
        read = [amount for amount in (dose(found, cell, doses) for cell in cells) if amount is not None]
        if any(not math.isclose(amount, read[0][1], rel_tol=SAME_AMOUNT) for _, amount in read):
            found.refuse(cells[-1], f"contradicts {cells[0].column}")
        amounts.append(read[0][1] if read else otherwise)
    return tuple(amounts)


def _infusions(found: Findings, row: Row, columns: list[str]) -> list[Dated]:
    cells = [row.cell(column) for column in columns]
    given = [cell for cell in cells if cell.text]
    for cell in cells[: len(given)]:
        if not cell.text:
            found.refuse(cell, "must not be empty if there is a later infusion")
    days = [(found.day(cell), cell) for cell in given]
    return [Dated(day, cell) for day, cell in days if day is not None]
