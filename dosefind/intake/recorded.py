"""Recorded decisions on evaluability, and variables of the data whose names no standard defines.

The config's table ``intake`` states such variables; without it the usual names are searched, and a note states the one used.
Another usual name is added to `EVALUABLE` or `REASONS`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .._check import shown_key
from ..patients import Listed
from ..protocol import Intake, plain_words
from ..words import _
from .cells import Cell, Findings, Row, Table
from .entries import Draft, Entry, Steps

__all__ = ["EVALUABLE", "REASONS", "cells_of", "decision", "named_in", "names_of", "record_decision", "supplemental"]

EVALUABLE = ("DLTEVLFL", "DLTEVFL", "DLTEFL", "EVALDLTFL", "EVDLTFL", "DLTEVALFL", "DLTEVAL")
"""Usual names of the variable that flags patients evaluable for DLT."""
REASONS = ("DLTEVLRS", "DLTEVRS", "DLTERS", "DLTNERS", "DLTNEVRS", "DLTEVLRE")
"""Usual names of the variable with the reason for that flag."""
_NOT_EVALUABLE = frozenset({"not evaluable", "non evaluable", "nonevaluable", "unevaluable", "inevaluable", "ne"})
_MOST = 12


def _evaluable(found: Findings, cell: Cell) -> bool | None:
    """Return whether a cell says evaluable, or ``None`` if it is empty."""
    words = plain_words(cell.text)
    if words == "evaluable":
        return True
    return False if words in _NOT_EVALUABLE else found.yes(cell)


def decision(found: Findings, flags: Sequence[Cell], reasons: Sequence[Cell]) -> tuple[bool | None, str | None]:
    """Return the recorded decision on evaluability and its reason, from cells that must not contradict each other."""
    known = [(cell, value) for cell in flags if (value := _evaluable(found, cell)) is not None]
    for cell, value in known[1:]:
        if value != known[0][1]:
            found.refuse(cell, f"contradicts {_name(known[0][0])}, which is {known[0][0].text}")
    value = known[0][1] if known else None
    given = [(cell, text) for cell in reasons if (text := found.text(cell)) is not None]
    for cell, _text in given:
        if value is None and not any(flag.text for flag in flags):
            found.refuse(cell, "must be empty unless the patient is recorded as evaluable (yes) or not (no)")
        elif value and "not_evaluable" in cell.column.lower():
            found.refuse(cell, f"must be empty unless the patient is recorded as not evaluable, and {_name(known[0][0])} is yes")
    for cell, text in given[1:]:
        if plain_words(text) != plain_words(given[0][1]):
            found.refuse(cell, f"contradicts {_name(given[0][0])}, but a decision has one reason")
    return value, given[0][1] if given and value is not None else None


def _name(cell: Cell) -> str:
    """Return the variable of a cell; for supplemental qualifiers, QNAM."""
    return cell.row.cell("QNAM").text or cell.column


def record_decision(found: Findings, entry: Entry, flags: Sequence[Cell], reasons: Sequence[Cell]) -> None:
    """Record the decision on evaluability of a patient."""
    entry.evaluable, entry.evaluable_reason = decision(found, flags, reasons)


def named_in(found: Findings, table: Table, intake: Intake, key: str, usual: Sequence[str]) -> list[str]:
    """Return the columns of a table for a fact: the one stated in the config, which must be present, or usual ones."""
    names = names_of(intake, key, usual)
    used = [name for name in names if table.has(name)]
    if not used and key in dict(intake.given()):
        found.column(table, names[0], f"missing: the config states it (intake.{key})")
    elif used and key not in dict(intake.given()):
        words = _("{table}: decisions on evaluability are read from variables with usual names: {names}")
        found.notes.append(words.format(table=table.name, names=", ".join(used)))
    return used


def supplemental(found: Findings, draft: Draft, table: Table, wanted: Sequence[str], steps: Steps) -> dict[str, dict[str, Cell]]:
    """Return the values of supplemental qualifiers of DM, by subject and name of the variable; other rows are listed.

    Parameters
    ----------
    found
        Findings.
    draft
        The draft, to whose entries the used rows are added.
    table
        SUPPDM.
    wanted
        Names of the variables to read (QNAM), in upper case.
    steps
        Walk over rows.
    """
    entries = {entry.subject: entry for entry in draft.entries}
    values: dict[str, dict[str, Cell]] = {}
    others: set[str] = set()
    for row in steps(table.rows):
        subject = draft.owner(found, row, "the table of subjects")
        if subject is None:
            continue
        name = (found.text(row.cell("QNAM"), required=True) or "").upper()
        if row.cell("RDOMAIN").text.upper() not in ("", "DM"):
            found.refuse(row.cell("RDOMAIN"), "must be DM, the domain that this table supplements")
        entry = entries.get(subject)
        if name not in wanted or entry is None:
            others.add(name)
            draft.listed.append(Listed(row.source, _("not used: another supplemental qualifier")))
            continue
        entry.rows.append(row)
        _keep(found, values.setdefault(subject, {}), name, row)
    if others - {""}:
        names = sorted(shown_key(name[:40]) for name in others - {""})
        listed = ", ".join(names[:_MOST])
        if len(names) > _MOST:
            listed = _("{names} and {n} more").format(names=listed, n=len(names) - _MOST)
        words = _("{table}: supplemental qualifiers not used: {names}")
        found.notes.append(words.format(table=table.name, names=listed))
    return values


def _keep(found: Findings, values: dict[str, Cell], name: str, row: Row) -> None:
    """Store the value of a qualifier, of which a subject has one."""
    cell, before = row.cell("QVAL"), values.get(name)
    if found.text(cell, required=True) is None:
        return
    if before is not None and before.text.casefold() != cell.text.casefold():
        found.refuse(cell, f"contradicts row {before.row.number}, but a subject has one {name}")
    values.setdefault(name, cell)


def names_of(intake: Intake, key: str, usual: Sequence[str]) -> tuple[str, ...]:
    """Return the names under which a fact is searched: that in the config, or the usual ones; in upper case."""
    named = dict(intake.given()).get(key)
    return tuple(usual) if named is None else (named,)


def cells_of(values: Mapping[str, Cell], names: Sequence[str]) -> list[Cell]:
    """Return the available values of these variables."""
    return [values[name] for name in names if name in values]
