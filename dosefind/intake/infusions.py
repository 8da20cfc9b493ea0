"""From rows of exposure to infusions and their dose: assigned amount, administered amount, and grouping into infusions.

Used by SDTM and ADaM. Records of one day, or of the days within ``treatment.split_days`` of the first, are one infusion, and
their amounts are added.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from .._check import shown_key
from ..patients import SAME_AMOUNT
from ..protocol import Doses
from ..words import _
from .assigned import ArmNames, Assignment, matched
from .cells import Cell, Findings, Row, noted_subject
from .entries import Dated, refuse_unit

__all__ = ["PLACEBO", "AssignedLevels", "Dose", "Infusion", "dose_of", "named_level", "one_each"]

# Columns of the table of subjects that can state the assigned level: the actual arm before the planned one.
_OF_SUBJECT = ("ACTARMCD", "ACTARM", "TRT01A", "ARMCD", "ARM", "TRT01P")
_OF_RECORD = ("EXTRT", "TRTA", "EPOCH", "EXEPOCH")
_PLANNED_DOSE, _PLANNED_UNIT = "DOSE01P", "DOSE01U"


class Infusion(NamedTuple):
    """A row of an infusion with a dose: its day, its amount, and the level assigned by the row itself."""

    day: Dated
    amount: float
    dose: Cell
    row: Row
    placebo: bool = False
    assigned: Assignment | None = None


class Dose(NamedTuple):
    """Assigned level and amount of a patient, and the amount of each infusion if any differs; as in `Patient`."""

    level: int | None
    amount: float
    amounts: tuple[float, ...] = ()


PLACEBO = Dose(None, 0.0)


def named_level(names: ArmNames, row: Row, columns: Sequence[str] = _OF_RECORD) -> Assignment | None:
    """Return the first assignment of a level among some columns of a row."""
    return next((Assignment(level, name) for name in columns if (level := names.level(row.cell(name).text)) is not None), None)


def one_each(records: Sequence[Infusion], split_days: int) -> list[list[Infusion]]:
    """Group records, in the order of their days, into infusions: each has the records within ``split_days`` of its first day."""
    found: list[list[Infusion]] = []
    for record in records:
        if found and (record.day.day - found[-1][0].day.day).days <= split_days:
            found[-1].append(record)
        else:
            found.append([record])
    return found


@dataclass
class AssignedLevels:
    """The levels that the data assign to subjects, and a note on the columns that assign them and the names that do not."""

    names: ArmNames
    doses: Doses
    _columns: dict[str, int] = field(default_factory=dict)
    _unread: dict[str, None] = field(default_factory=dict)

    def of(self, found: Findings, row: Row, first: Sequence[Infusion]) -> Assignment | None:
        """Return the assigned level of a subject, from the row of the table of subjects and the records of the first infusion.

        The arm comes first, the actual one before the planned one, then the planned dose of ADSL, then the rows of the infusion. A
        note states columns that assign another level.
        """
        named = [named_level(self.names, row, (name,)) for name in _OF_SUBJECT]
        assignments = [
            assignment
            for assignment in (*named, self._planned_dose(row), *(record.assigned for record in first))
            if assignment is not None
        ]
        if not assignments:
            self._unread |= dict.fromkeys(text for name in ("ACTARM", "ARM", "ACTARMCD", "ARMCD") if (text := row.cell(name).text))
            return None
        chosen = assignments[0]
        others = {assignment.by: assignment.level for assignment in assignments if assignment.level != chosen.level}
        if others:
            listed = ", ".join(_("{column} level {level}").format(column=by, level=level) for by, level in others.items())
            words = _("{subject}: {column} assigns level {level}, and {others}; read as assigned by {column}")
            place = {"subject": noted_subject(row.subject), "column": chosen.by, "level": chosen.level}
            found.notes.append(words.format(**place, others=listed))
        self._columns[chosen.by] = self._columns.get(chosen.by, 0) + 1
        return chosen

    def note(self, found: Findings) -> None:
        """Note the number of levels assigned by each column, and the names of arms that assign none."""
        if self._columns:
            words = ", ".join(f"{column} ({count})" for column, count in self._columns.items())
            found.notes.append(_("the dose level is the assigned one, by (patients): {columns}").format(columns=words))
        if self._unread:
            listed = ", ".join(shown_key(name[:80]) for name in list(self._unread)[:_NAMED])
            if len(self._unread) > _NAMED:
                listed = _("{names} and {n} more").format(names=listed, n=len(self._unread) - _NAMED)
            words = _(
                "arms without a dose level, so that the level is that of the administered amount: {arms} (doses.arms of the config "
                "maps arms to levels)"
            )
            found.notes.append(words.format(arms=listed))

    def _planned_dose(self, row: Row) -> Assignment | None:
        unit, text = row.cell(_PLANNED_UNIT).text, row.cell(_PLANNED_DOSE).text
        level = self.names.level(f"{text} {unit or self.doses.unit}") if text else None
        return None if level is None else Assignment(level, _PLANNED_DOSE)


# Maximum number of arms in a note.
_NAMED = 5


def dose_of(
    found: Findings, subject: str, infusions: Sequence[Sequence[Infusion]], assigned: Assignment | None, doses: Doses
) -> Dose:
    """Return the dose of a subject who received the product.

    Without an assignment the level is that of the amount of the first infusion. If its records are repeated and a
    single one has a dose in the protocol, the level is that of the single one, so that a row entered twice never raises it.
    """
    given = [_administered(found, records, doses) for records in infusions]
    level = given[0][0] if assigned is None else assigned.level
    if assigned is None and _repeat(infusions[0]):
        single = matched(infusions[0][0].dose.text, doses)[0]
        level = level if single is None else single
    amount = given[0][1] if level is None else float(doses.amounts[level - 1])
    amounts = tuple(value for _level, value in given)
    for records, (_level, value) in zip(infusions, given, strict=True):
        if _repeat(records) and not math.isclose(value, amount, rel_tol=SAME_AMOUNT):
            rows = ", ".join(record.row.source for record in records)
            words = _(
                "{subject}: {rows} have the same start and dose: parts of one infusion, or one row entered twice; read as one "
                "infusion of {value}, which is not the dose of {amount}"
            )
            place = {"subject": noted_subject(subject), "rows": rows}
            found.notes.append(words.format(**place, value=f"{value:g}", amount=f"{amount:g}"))
    differ = not all(math.isclose(value, amount, rel_tol=SAME_AMOUNT) for value in amounts)
    if assigned is None and not all(math.isclose(value, amounts[0], rel_tol=SAME_AMOUNT) for value in amounts):
        words = _("{subject}: the infusions differ in dose; the level is that of the first")
        found.notes.append(words.format(subject=noted_subject(subject)))
    return Dose(level, amount, amounts if differ else ())


def _administered(found: Findings, records: Sequence[Infusion], doses: Doses) -> tuple[int | None, float]:
    """Return the level and the amount of an infusion, whose records are added up."""
    if len(records) == 1:
        return matched(records[0].dose.text, doses)
    # To 12 digits, so that 0.1 and 0.2 are 0.3.
    total = float(f"{math.fsum(record.amount for record in records):.12g}")
    refuse_unit(found, records[0].dose, total, doses)
    return matched(total, doses)


def _repeat(records: Sequence[Infusion]) -> bool:
    """Return whether several records have the same start and the same dose."""
    return len(records) > 1 and len({(record.day.cell.text, record.dose.text) for record in records}) == 1
