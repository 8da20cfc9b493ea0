"""Assessments of the efficacy endpoint: columns of the table of patients, or a table with one row per assessment.

A row of the table is an assessment of a patient, or is listed with the reason. Only the parameter of the config is read.
"""

from __future__ import annotations

import math

from ..patients import Assessment, Listed
from ..protocol import Efficacy, plain_words
from ..words import _
from .cells import Cell, Findings, Row, Table, flag_of, number_of, why_no_number
from .entries import Draft, Entry, Steps, earliest_day
from .unread import renamed

__all__ = ["COLUMNS", "read_columns", "read_responses"]

COLUMNS = ("response", "response_date", "response_baseline", "rescue")
"""Columns of the table of patients."""

_NAMES = {
    "subject": ("usubjid", "subjid"),
    "parameter": ("paramcd", "param", "endpoint"),
    "visit": ("avisit",),
    "date": ("adt", "day_of_assessment"),
    "value": ("aval", "avalc", "result", "response"),
    "baseline": ("ablfl", "baseline_flag"),
    "change": ("chg",),
}
_OPTIONAL = ("parameter", "visit", "date", "baseline", "change", "unit")
# Most digits of a value before the point.
_LARGEST = 1e9


def read_columns(found: Findings, entry: Entry, row: Row, efficacy: Efficacy) -> None:
    """Read the assessments in the columns of a patient's row, and the day of rescue."""
    cells = {name: row.cell(name) for name in COLUMNS}
    entry.rescued = earliest_day(found, cells["rescue"], entry.first)
    day = found.day(cells["response_date"])
    if day is not None and day < entry.first:
        found.refuse(cells["response_date"], "must not be before the first infusion")
    value = _value(found, cells["response"], efficacy)
    if cells["response_date"].text and not cells["response"].text:
        found.refuse(cells["response"], "must not be empty, because response_date has the day of the assessment")
    changes = efficacy.kind == "change"
    if value is not None:
        entry.assessments.append(Assessment(value, day, row.source, change=changes))
    if cells["response_baseline"].text:
        if not changes:
            found.refuse(cells["response_baseline"], "must be empty: efficacy.kind is 'response', which has no baseline")
        base = _number(found, cells["response_baseline"])
        if base is not None:
            entry.assessments.append(Assessment(base, None, row.source, baseline=True))


def read_responses(found: Findings, draft: Draft, table: Table, efficacy: Efficacy, people: str, steps: Steps) -> None:
    """Read a table of assessments into the draft; ``people`` names the table of patients."""
    table = renamed(found, table, {name: others for name, others in _NAMES.items() if not table.has(name)})
    unread = found.columns(table, [("subject",), ("value", "change")], _OPTIONAL)
    if unread:
        found.notes.append(
            _("{table}: columns not used: {columns}").format(table=table.name, columns=", ".join(filter(None, unread)))
        )
    wanted = plain_words(efficacy.parameter or efficacy.endpoint)
    entries = {entry.subject: entry for entry in draft.entries}
    in_columns = {entry.subject for entry in draft.entries if entry.assessments}
    first: dict[tuple[str, str, object], str] = {}
    for row in steps(table.rows):
        subject = draft.owner(found, row, people)
        if subject is None:
            continue
        if table.has("parameter") and plain_words(row.cell("parameter").text) != wanted:
            draft.listed.append(Listed(row.source, _("not used: another parameter")))
            continue
        read, why = _assessment(found, row, efficacy)
        entry = entries.get(subject)
        if read is None or entry is None:
            draft.listed += [Listed(row.source, why)] if why else []
            continue
        if subject in in_columns:
            found.refuse(row.cell("value", "change"), f"is a second result, beside the columns of {people}")
            continue
        key = (subject, "baseline" if read.baseline else plain_words(read.visit), read.day)
        if key in first:
            found.refuse(row.cell("value", "change"), f"is a second result of one visit, beside {found.shown(first[key])}")
        first.setdefault(key, row.source)
        entry.assessments.append(read)


def _assessment(found: Findings, row: Row, efficacy: Efficacy) -> tuple[Assessment | None, str]:
    """Return the assessment of a row, or the reason why it is not used; neither if a cell is rejected."""
    change = row.cell("change")
    cell = change if efficacy.kind == "change" and change.text else row.cell("value")
    day = found.day(row.cell("date"))
    flag = found.yes(row.cell("baseline"))
    visit = found.text(row.cell("visit")) or ""
    base = bool(flag) or plain_words(visit) == "baseline"
    if not cell.text:
        return None, _("not used: no result")
    value = _value(found, cell, efficacy)
    if value is None:
        return None, ""
    if base and efficacy.kind == "response":
        return None, _("not used: a baseline, which a response does not have")
    return Assessment(value, day, row.source, visit, base, change=cell is change and not base), ""


def _value(found: Findings, cell: Cell, efficacy: Efficacy) -> float | None:
    """Return the result: 1 or 0 for a response, or a number; ``None`` if the cell is empty or has a finding."""
    if found.text(cell) is None:
        return None
    if efficacy.kind == "change":
        return _number(found, cell)
    flag = {"cr": True, "pr": True, "responder": True, "response": True, "nonresponder": False, "non-responder": False}.get(
        cell.text.strip().lower(), flag_of(cell.text)
    )
    if flag is None:
        found.refuse(cell, "must be yes or no (or y, n, true, false, 1, 0, responder, non-responder), or empty if unknown")
        return None
    return float(flag)


def _number(found: Findings, cell: Cell) -> float | None:
    if found.text(cell) is None:
        return None
    value = number_of(cell.text)
    if value is None or not math.isfinite(value) or abs(value) > _LARGEST:
        found.refuse(cell, why_no_number(cell.text, f"a number from -{_LARGEST:g} to {_LARGEST:g}"))
        return None
    return value
