"""What SDTM and ADaM share: subjects who were not treated, infusions, the unit of the dose, days that several columns say."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from .._check import shown_key
from ..patients import Listed
from ..protocol import Protocol
from .cells import Findings, Row, Table, partial_date
from .entries import NO_INFUSION, Dated, Draft, Entry, Steps, dose, one_row_each, part_of

__all__ = ["IDENTIFIER", "SCREEN_FAILURE", "ExposureColumns", "Infusion", "exposures", "latest", "leave", "treated"]

IDENTIFIER = ("USUBJID", "SUBJID")
SCREEN_FAILURE = "screen failure"
_ARMS = ("ARMCD", "ACTARMCD", "ARM", "ACTARM", "ARMNRS")
_PLACEBO = re.compile(r"\b(placebo|pbo|vehicle|sham)\b", re.IGNORECASE)
_ZERO = re.compile(r"0+(\.0*)?")
_FAILED = re.compile(r"scrnfail|screen failure", re.IGNORECASE)
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹×", "0123456789x")


class Infusion(NamedTuple):
    """A row of an infusion with a dose."""

    day: Dated
    level: int | None
    amount: float
    row: Row


@dataclass(frozen=True)
class ExposureColumns:
    """Columns of a table of infusions; where there are several, the first that the table has."""

    day: tuple[str, ...]
    dose: tuple[str, ...]
    unit: tuple[str, ...]
    end: tuple[str, ...]
    imputed: str | None = None


def exposures(
    found: Findings,
    draft: Draft,
    table: Table,
    columns: ExposureColumns,
    protocol: Protocol,
    steps: Steps,
    not_used: Callable[[Row], str | None],
) -> dict[str, list[Infusion]]:
    """Infusions of each subject in the order of their days; ``not_used`` says why a row is none, and such rows are listed."""
    given: dict[str, list[Infusion]] = {}
    treatments: set[str] = set()
    longer = 0
    for row in steps(table.rows):
        subject = found.subject(row)
        if subject is not None and subject not in draft.subjects:
            found.refuse(row.subject_cell, "is no subject of the table of subjects")
            continue
        why = not_used(row) or _no_dose(row, columns)
        if why is not None:
            draft.listed.append(Listed(row.source, why))
            continue
        placebo = _is_placebo(row, columns)
        if not placebo:
            treatments.add(row.cell("EXTRT").text)
        infusion = _infusion(found, row, columns, protocol, placebo)
        if infusion is not None and subject is not None:
            longer += row.cell(*columns.end).text[:10] > infusion.day.day.isoformat()
            given.setdefault(subject, []).append(infusion)
    if len(treatments) > 1:
        names = ", ".join(map(shown_key, sorted(treatments)))
        found.column(table, "EXTRT", f"must name one treatment, the product, and names {names}: keep the rows of the product")
    if longer:
        found.notes.append(f"{table.name}: {longer:,} rows last longer than a day; each is read as one infusion, on its first day")
    for infusions in given.values():
        infusions.sort(key=lambda infusion: infusion.day.day)
    return given


def _no_dose(row: Row, columns: ExposureColumns) -> str | None:
    if row.cell("EXOCCUR").text.upper() == "N":
        return "not used: an infusion that was not given"
    zero = _ZERO.fullmatch(row.cell(*columns.dose).text) and not _is_placebo(row, columns)
    return "not used: a dose of 0" if zero else None


def _is_placebo(row: Row, columns: ExposureColumns) -> bool:
    """Return whether a row is an administration of placebo: its treatment says so, and its dose is 0 or empty."""
    amount = row.cell(*columns.dose).text
    names = (row.cell(name).text for name in ("EXTRT", "TRTA", "TRT01A"))
    return (not amount or _ZERO.fullmatch(amount) is not None) and any(map(_PLACEBO.search, names))


def _infusion(found: Findings, row: Row, columns: ExposureColumns, protocol: Protocol, placebo: bool) -> Infusion | None:
    given = (None, 0.0) if placebo else dose(found, row.cell(*columns.dose), protocol.doses)
    unit = row.cell(*columns.unit)
    if not placebo and _plain_unit(unit.text) != _plain_unit(protocol.doses.unit):
        found.refuse(unit, f"must be the unit of the protocol, {protocol.doses.unit!r}: nothing is converted")
    cell = row.cell(*columns.day)
    if columns.imputed is not None and row.cell(columns.imputed).text:
        found.refuse(row.cell(columns.imputed), f"says that {cell.column} is imputed, and an infusion needs its own date")
    day = found.day(cell, required=True)
    return None if given is None or day is None else Infusion(Dated(day, cell), *given, row)


def _plain_unit(unit: str) -> str:
    """A unit without what is mere spelling: blanks, case, superscripts, the sign of multiplication."""
    plain = re.sub(r"(?<=10)([⁰¹²³⁴⁵⁶⁷⁸⁹]+)", r"^\1", unit).translate(_SUPERSCRIPTS).replace("**", "^")
    return re.sub(r"\s", "", plain).lower().removeprefix("x").removeprefix("*")


def treated(found: Findings, draft: Draft, rows: dict[str, Row], given: dict[str, list[Infusion]]) -> None:
    """Make an entry of each subject with an infusion, and list the others with the reason."""
    for subject, row in rows.items():
        failed = next((cell for cell in map(row.cell, _ARMS) if _FAILED.fullmatch(cell.text)), None)
        infusions = given.get(subject)
        if infusions is None:
            draft.leave_out(subject, row, SCREEN_FAILURE if failed else NO_INFUSION)
            continue
        if failed is not None:
            found.refuse(failed, "contradicts the infusions of the subject")
        first = infusions[0]
        amounts = tuple(infusion.amount for infusion in infusions)
        differ = not all(math.isclose(amount, first.amount, rel_tol=1e-9) for amount in amounts)
        if differ:
            found.notes.append(f"subject {shown_key(subject)}: the infusions differ in dose; the level is that of the first")
        part = part_of(found, row.cell("PART"))
        if first.level is None and first.amount == 0 and part is None:
            part = "placebo"
        draft.entries.append(
            Entry(
                subject=subject,
                level=first.level,
                amount=first.amount,
                infusions=[infusion.day for infusion in infusions],
                rows=[row, *(infusion.row for infusion in infusions)],
                amounts=amounts if differ else (),
                part=part,
                died=_died(found, row, infusions[-1].day),
            )
        )


_CONTACTS = ("RFPENDTC", "LSTALVDT", "EOSDT")


def _died(found: Findings, row: Row, last: Dated) -> Dated | None:
    """Return the day of death from the table of subjects; where there is a death without a full date, the last day known."""
    cells = [row.cell(column) for column in ("DTHDTC", "DTHDT")]
    partial = [cell for cell in cells if cell.text and partial_date(cell.text)]
    day = latest(found, row, tuple(cell.column for cell in cells if cell not in partial))
    if day is None and (partial or found.yes(row.cell("DTHFL"))):
        cell = partial[0] if partial else row.cell("DTHFL")
        contact = latest(found, row, tuple(name for name in _CONTACTS if not partial_date(row.cell(name).text)))
        known = max(one.day for one in (last, contact) if one is not None)
        found.notes.append(f"subject {shown_key(row.subject)}: died, without a full date: shown on the last day known, {known}")
        return Dated(known, cell)
    return day


def subjects(found: Findings, draft: Draft, table: Table, steps: Steps) -> dict[str, Row]:
    """The row of each subject."""
    rows = dict(one_row_each(found, steps(table.rows)))
    draft.subjects |= set(rows)
    return rows


def latest(found: Findings, row: Row, columns: tuple[str, ...]) -> Dated | None:
    """The last of the days that some columns of a row say."""
    cells = [row.cell(column) for column in columns]
    days = [Dated(day, cell) for cell in cells if (day := found.day(cell)) is not None]
    return max(days, key=lambda dated: dated.day, default=None)


def leave(entry: Entry, day: Dated | None, reason: str | None) -> None:
    """Let the patient leave on that day, unless the patient left before."""
    now = entry.discontinued
    if day is not None and (now is None or (day.day, reason or "") < (now.day, entry.reason or "")):
        entry.discontinued, entry.reason = day, reason
