"""Deaths of subjects without an infusion: the row of an infusion may be missing, and the patient would then not be counted."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..protocol import plain_words
from ..words import _
from .cells import Cell, Findings, Row, Table, noted_row
from .deaths import is_death, is_fatal_outcome
from .entries import Draft
from .unread import OF_TRIAL, SAYS_NO_DEATH, topic_of

__all__ = ["deaths_without_infusion"]

_ARMS = ("ACTARM", "TRT01A", "ARM")
_NOT_TREATED = re.compile(r"scr(ee)?n|not (treated|assigned|randomi[sz]ed)|untreated|unassigned|^n/?a$", re.IGNORECASE)
_NOTHING = re.compile(r"0*(\.0*)?")
_GRADE_5 = re.compile(r"(grade )?5(\.0*)?", re.IGNORECASE)


def deaths_without_infusion(found: Findings, draft: Draft, people: Table, tables: Iterable[Table]) -> None:
    """Reject the death of a subject who was assigned a dose and has no infusion; note that of any other without an infusion.

    Parameters
    ----------
    found
        Receives findings and notes.
    draft
        Patients as read, and the subjects who are not patients.
    people
        The table of patients or subjects.
    tables
        All tables that were read, including that of patients.
    """
    assigned = {row.subject for row in people.rows if row.subject in draft.absent and _is_assigned(row)}
    told: set[str] = set()
    for table in tables:
        topics = {name: topic_of(name) for name in table.columns if not OF_TRIAL.match(name) or name.upper().startswith("DTH")}
        for row in table.rows:
            if row.subject not in draft.absent or row.subject in told:
                continue
            cell = next((cell for name, topic in topics.items() if _reports(cell := row.cell(name), topic)), None)
            if cell is None:
                continue
            told.add(row.subject)
            if row.subject in assigned:
                found.refuse(
                    cell,
                    "reports a death of a subject who was assigned a dose but has no infusion: give the day of the infusion, or no "
                    "dose (ARMNRS in SDTM) if nothing was given",
                )
            else:
                found.notes.append(_("{row}: died without an infusion, not counted").format(row=noted_row(row)))


def _is_assigned(row: Row) -> bool:
    """Return whether a row of the table of patients assigns a dose: by level or dose, or by a treated arm."""
    if any(not _NOTHING.fullmatch(row.cell(name).text) for name in ("level", "dose", "assigned")):
        return True
    arm = row.cell(*_ARMS).text
    return bool(arm) and not _NOT_TREATED.search(arm) and not row.cell("ARMNRS").text


def _reports(cell: Cell, topic: str | None) -> bool:
    """Return whether a cell of a column of this topic reports a death."""
    if topic == "deaths":
        return plain_words(cell.text) not in SAYS_NO_DEATH
    fatal = (topic == "outcomes" and is_fatal_outcome(cell.text)) or (
        topic == "grades" and _GRADE_5.fullmatch(cell.text) is not None
    )
    return fatal or is_death(cell.text)
