"""Supplemental qualifiers of adverse events (SUPPAE): each record is added to the event to which it belongs."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import NamedTuple

from .._check import shown_key
from ..patients import Listed
from ..protocol import plain_words
from ..words import _
from .cells import Cell, Findings, Row, Table
from .entries import Draft, EventColumns, Steps

__all__ = ["Supplemented", "with_supplements"]

_FLAG_WORDS = frozenset(("yes", "y", "1", "true", "no", "n", "0", "false", "u", "unk", "unknown", "na", "n/a", "not applicable"))
# Names of qualifiers by the field of `EventColumns` to which they belong, and patterns of the labels of other names.
_NAMES = {
    "flagged": ("DLT", "AEDLT", "DLTFL", "AEDLTFL", "DLTYN", "AEDLTYN", "AEDLTF"),
    "initial": ("AEITOXGR", "AEITOXG", "AETOXGRI", "AEINITGR", "AEINTOXG", "AEBTOXGR"),
    "grade": ("AETOXGR", "AETOXGRN", "AETOXGRW", "AEWTOXGR", "AEWORTOX", "AEMAXGR", "AEMTOXGR"),
    "emergent": ("AETRTEM", "TRTEM", "AETRTEMF", "TRTEMFL"),
    "worsened": ("AEWORDTC",),
}
_LABELS = {
    "flagged": re.compile(r"\bDLTs?\b|dose[- ]limiting", re.IGNORECASE),
    "initial": re.compile(r"\b(initial|onset|baseline)\b.*\bgrade\b|\bgrade at (onset|start|baseline)\b", re.IGNORECASE),
    "grade": re.compile(r"\b(worst|maximum|max|highest)\b.*\bgrade\b", re.IGNORECASE),
    "emergent": re.compile(r"\btreatment[- ]emergent\b", re.IGNORECASE),
    "worsened": re.compile(r"\bdate\b.*\bworse", re.IGNORECASE),
}
_RELATED = re.compile(r"AEREL\w+")
# Relationship to something other than the study treatment.
_OTHER_TREATMENT = re.compile(r"\bnon[- ]?study\b|\bconcomitant\b|\bunderlying\b|\bdisease\b", re.IGNORECASE)
_GRADE_VALUE = re.compile(r"(grade )?[0-5](\.0*)?", re.IGNORECASE)
_DATE_VALUE = re.compile(r"\d{4}-\d\d-\d\d\b.*")


class Supplemented(NamedTuple):
    """A table of events with the supplements as additional columns, the columns to read, and rows of supplements by event."""

    table: Table
    columns: EventColumns
    rows: dict[str, tuple[str, ...]]


def with_supplements(
    found: Findings, draft: Draft, table: Table, supplements: Table, columns: EventColumns, steps: Steps
) -> Supplemented:
    """Return the events with their supplements; unused records are listed.

    A record of a missing event is a finding.
    """
    index: dict[tuple[str, str, str], list[Row]] = {}
    indexed: set[str] = set()
    cells: dict[str, dict[str, str]] = {}
    rows: dict[str, tuple[str, ...]] = {}
    for row in steps(supplements.rows):
        subject = draft.owner(found, row, "the table of subjects")
        if subject is None:
            continue
        if row.cell("RDOMAIN").text.upper() not in ("AE", ""):
            draft.listed.append(Listed(row.source, _("not used: supplements another domain than AE")))
            continue
        variable = row.cell("IDVAR")
        if variable.text.upper() not in table.columns:
            found.refuse(variable, "must be a variable of AE, such as AESEQ")
            continue
        name = variable.text.upper()
        if name not in indexed:
            indexed.add(name)
            for event in table.rows:
                index.setdefault((event.subject, name, _plain(event.cell(name).text)), []).append(event)
        events = index.get((subject, name, _plain(row.cell("IDVARVAL").text)), [])
        if not events:
            found.refuse(row.cell("IDVARVAL"), f"is not the {name} of an adverse event of this subject")
            continue
        field, why = _field_of(row)
        if field is None:
            draft.listed.append(Listed(row.source, why))
            continue
        column = f"SUPPAE {row.cell('QNAM').text.upper()}"
        columns = _with_column(columns, field, column)
        for event in events:
            own = cells.setdefault(event.source, {})
            if column in own and own[column] != row.cell("QVAL").text:
                found.refuse(
                    _qualifier(row), f"already has another value for the same adverse event, {shown_key(own[column][:80])}"
                )
            own[column] = row.cell("QVAL").text
        rows[events[0].source] = (*rows.get(events[0].source, ()), row.source)
    merged = [replace(row, cells=row.cells | cells[row.source]) if row.source in cells else row for row in table.rows]
    names = tuple(dict.fromkeys(name for own in cells.values() for name in own))
    return Supplemented(replace(table, columns=(*table.columns, *names), rows=merged), columns, rows)


def _plain(text: str) -> str:
    """Return an identifier in which 1 and 1.0 are the same."""
    return re.sub(r"(?<=\d)\.0*$", "", text)


def _qualifier(row: Row) -> Cell:
    return row.cell("QVAL")


def _with_column(columns: EventColumns, field: str, column: str) -> EventColumns:
    before: tuple[str, ...] = getattr(columns, field)
    return columns if column in before else columns._replace(**{field: (*before, column)})


def _field_of(row: Row) -> tuple[str | None, str]:
    """Return the field of `EventColumns` to which a qualifier belongs, or ``None`` and the reason why it is not used."""
    name, label, value = row.cell("QNAM").text.upper(), row.cell("QLABEL").text, row.cell("QVAL").text
    unused = _("not used: {name} of SUPPAE").format(name=shown_key(name[:40]) if name else _("no QNAM"))
    if _RELATED.fullmatch(name):
        other = name == "AERELNST" or _OTHER_TREATMENT.search(label)
        return (None, f"{unused}, relationship to something other than the study treatment") if other else ("related", "")
    for field, names in _NAMES.items():
        if name in names:
            return field, ""
    for field, pattern in _LABELS.items():
        if pattern.search(label) and _fits(field, value):
            return field, ""
    return None, unused


def _fits(field: str, value: str) -> bool:
    """Return whether a value can be that of a field; a qualifier with a matching label only may be something else."""
    if field in ("initial", "grade"):
        return _GRADE_VALUE.fullmatch(value) is not None
    if field == "worsened":
        return _DATE_VALUE.fullmatch(value) is not None
    return plain_words(value) in _FLAG_WORDS
