"""Shared parts of SDTM and ADaM: untreated subjects, infusions, the unit of the dose, days stated in several columns."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

from .._check import shown_key
from ..patients import Listed
from ..protocol import Protocol, plain_words
from ..units import wrong_unit
from ..words import _, counted, marked
from .assigned import ArmNames
from .cells import Cell, Findings, Row, Table, partial_date
from .deaths import is_death
from .entries import NO_INFUSION, Dated, Draft, Entry, Steps, Undated, amount_given, earliest_day, one_row_each, part_of
from .infusions import PLACEBO, AssignedLevels, Infusion, dose_of, named_level, one_each

__all__ = [
    "IDENTIFIER",
    "SCREEN_FAILURE",
    "ExposureColumns",
    "exposures",
    "latest",
    "partial_dates",
    "record_death",
    "treated",
]

IDENTIFIER = ("USUBJID", "SUBJID")
SCREEN_FAILURE = marked("screen failure")
_ARMS = ("ARMCD", "ACTARMCD", "ARM", "ACTARM", "ARMNRS")
_TREATMENTS = ("EXTRT", "TRTA", "TRT01A")
# The arm of a subject: the first of these columns in the table, so that a planned arm never replaces an actual one.
_ARM_NAMES = ("ACTARM", "TRT01A", "ARM")
_PLACEBO = re.compile(r"\b(placebo|pbo|sham)\b|^vehicle\b", re.IGNORECASE)
_ONLY_PLACEBO = re.compile(r"placebo|pbo|vehicle|sham", re.IGNORECASE)
# An arm or a treatment without the product, at a dose of 0.
_CONTROL = re.compile(r"\b(control|saline|standard of care|untreated|observation)\b", re.IGNORECASE)
_ZERO = re.compile(r"\+?(0+(\.0*)?|\.0+)([eE][+-]?\d+)?", re.ASCII)
_FAILED = re.compile(r"scrnfail|screen failure", re.IGNORECASE)


@dataclass(frozen=True)
class ExposureColumns:
    """Columns of a table of infusions; if there are alternatives, the first in the table."""

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
    subject_rows: Mapping[str, Row],
) -> dict[str, list[Infusion]]:
    """Return the infusions of each subject in order of days; ``not_used`` says why a row is not one, and such rows are listed.

    The rows of the table of subjects, ``subject_rows``, give the arms, which are used if no exposure of the subject itself is
    placebo. A subject who received the product has only the infusions of the product; those of placebo are listed.
    """
    given: dict[str, list[Infusion]] = {}
    treatments: dict[str, str] = {}
    names = ArmNames(protocol)
    longer = nominal = 0
    controls = {subject for subject, row in subject_rows.items() if _without_product(row.cell(*_ARM_NAMES).text)}
    own_placebo = {row.subject for row in table.rows if _is_placebo(row, columns, by_arm=False)}
    arms = {subject for subject, row in subject_rows.items() if _arm_is_placebo(row)} - own_placebo
    for row in steps(table.rows):
        subject = found.subject(row)
        if subject is not None and subject not in draft.subjects:
            found.refuse(row.subject_cell, "is not a subject of the table of subjects")
            continue
        placebo = _is_placebo(row, columns, by_arm=subject in arms, control=subject in controls)
        why = not_used(row) or _no_dose(row, columns, placebo)
        if why is not None:
            draft.listed.append(Listed(row.source, why))
            continue
        amount = row.cell(*columns.dose).text
        if placebo and subject in arms and amount and not _ZERO.fullmatch(amount):
            _refuse_product_in_placebo_arm(found, row, subject_rows[row.subject])
        nominal += placebo and amount != "" and _ZERO.fullmatch(amount) is None
        if not placebo:
            treatments.setdefault(names.without_level(row.cell("EXTRT").text), row.cell("EXTRT").text)
        infusion = _infusion(found, row, columns, protocol, placebo, names)
        if infusion is not None and subject is not None:
            longer += row.cell(*columns.end).text[:10] > infusion.day.day.isoformat()
            given.setdefault(subject, []).append(infusion)
    if len(treatments) > 1:
        listed = ", ".join(map(shown_key, sorted(treatments.values())))
        found.column(table, "EXTRT", f"must have one treatment, the product, but has {listed}: keep the rows of the product")
    if longer:
        words = counted(
            "{table}: {n} row lasts longer than a day and is read as one infusion, on its first day",
            "{table}: {n} rows last longer than a day; each is read as one infusion, on its first day",
            longer,
            table=table.name,
        )
        found.notes.append(words)
    if nominal:
        # No subject is named: the notes are part of reports that must not reveal who received placebo.
        words = _("{table}: rows of placebo with a nominal dose above 0, read as placebo: {n}")
        found.notes.append(words.format(table=table.name, n=f"{nominal:,}"))
    return {subject: _of_product(draft, sorted(rows, key=lambda infusion: infusion.day.day)) for subject, rows in given.items()}


def _refuse_product_in_placebo_arm(found: Findings, row: Row, of_subject: Row) -> None:
    """Reject a dose above 0 of a treatment that is neither placebo nor control, in a subject whose arm is placebo."""
    treatment = next((cell for cell in map(row.cell, _TREATMENTS) if cell.text), None)
    if treatment is not None and not _without_product(treatment.text):
        arm = of_subject.cell(*_ARM_NAMES)
        found.refuse(
            treatment,
            f"contradicts {arm.column} = {shown_key(arm.text[:80])} of {found.shown(arm.row.source)}: a dose above 0 of the "
            "product, in an arm of placebo; give the actual arm in ACTARM, or the treatment of this row",
        )


def _of_product(draft: Draft, infusions: list[Infusion]) -> list[Infusion]:
    """Return the infusions of the product and list those of placebo; all of them if there are only those of placebo."""
    product = [infusion for infusion in infusions if not infusion.placebo]
    if not product:
        return infusions
    why = _("not used: placebo of a subject who received the product")
    draft.listed += [Listed(infusion.row.source, why) for infusion in infusions if infusion.placebo]
    return product


def _no_dose(row: Row, columns: ExposureColumns, placebo: bool) -> str | None:
    if row.cell("EXOCCUR").text.upper() == "N":
        return _("not used: infusion not given")
    zero = _ZERO.fullmatch(row.cell(*columns.dose).text) and not placebo
    return _("not used: dose of 0") if zero else None


def _without_product(name: str) -> bool:
    """Return whether a treatment or an arm mentions placebo or a control."""
    return _PLACEBO.search(name) is not None or _CONTROL.search(name) is not None


def _is_placebo(row: Row, columns: ExposureColumns, by_arm: bool, control: bool = False) -> bool:
    """Return whether a row is an administration of placebo or control.

    An empty dose is one only if the treatment is exactly placebo; a dose of 0 if the treatment or the arm (``control``)
    mentions placebo or a control; a dose above 0 if the treatment or the arm (``by_arm``) is exactly placebo.
    """
    amount = row.cell(*columns.dose).text
    names = [cell.text for cell in map(row.cell, _TREATMENTS) if cell.text]
    if not amount:
        return bool(names) and _ONLY_PLACEBO.fullmatch(names[0]) is not None
    if _ZERO.fullmatch(amount):
        return by_arm or control or any(map(_without_product, names))
    return by_arm or any(map(_ONLY_PLACEBO.fullmatch, names))


def _arm_is_placebo(row: Row) -> bool:
    """Return whether the arm of a subject, the actual one if the table has it, is exactly placebo."""
    return _ONLY_PLACEBO.fullmatch(row.cell(*_ARM_NAMES).text) is not None


def _infusion(
    found: Findings, row: Row, columns: ExposureColumns, protocol: Protocol, placebo: bool, names: ArmNames
) -> Infusion | None:
    amount = 0.0 if placebo else amount_given(found, row.cell(*columns.dose), protocol.doses)
    unit = row.cell(*columns.unit)
    if not placebo and (wrong := wrong_unit(unit.text, protocol.doses.unit)) is not None:
        found.refuse(unit, wrong)
    cell = row.cell(*columns.day)
    if columns.imputed is not None and row.cell(columns.imputed).text:
        found.refuse(row.cell(columns.imputed), f"says that {cell.column} is imputed, but an infusion needs its own date")
    day = found.day(cell, required=True)
    if amount is None or day is None:
        return None
    return Infusion(Dated(day, cell), amount, row.cell(*columns.dose), row, placebo, None if placebo else named_level(names, row))


def treated(found: Findings, draft: Draft, rows: dict[str, Row], given: dict[str, list[Infusion]], protocol: Protocol) -> None:
    """Make an entry for each subject with an infusion, and list the others with the reason."""
    levels = AssignedLevels(ArmNames(protocol), protocol.doses)
    for subject, row in rows.items():
        failed = next((cell for cell in map(row.cell, _ARMS) if _FAILED.fullmatch(cell.text)), None)
        records = given.get(subject)
        if records is None:
            draft.leave_out(subject, row, _(SCREEN_FAILURE if failed else NO_INFUSION))
            continue
        if failed is not None:
            found.refuse(failed, "contradicts the infusions of the subject")
        placebo = records[0].placebo
        infusions = one_each(records, protocol.treatment.split_days)
        assigned = None if placebo else levels.of(found, row, infusions[0])
        dose = PLACEBO if placebo else dose_of(found, subject, infusions, assigned, protocol.doses)
        part = part_of(found, row.cell("PART"))
        if placebo and part is None:
            names = [row.cell(*_ARM_NAMES).text, *(records[0].row.cell(name).text for name in _TREATMENTS)]
            part = "placebo" if any(map(_PLACEBO.search, names)) or not any(map(_CONTROL.search, names)) else "control"
        dates, signs = [row.cell(name) for name in _DATES_OF_DEATH], _signs_of_death(found, row)
        draft.entries.append(
            Entry(
                subject=subject,
                level=dose.level,
                amount=dose.amount,
                infusions=[infusion[0].day for infusion in infusions],
                rows=[row, *(record.row for record in records)],
                amounts=dose.amounts,
                part=part,
                died=latest(found, row, tuple(cell.column for cell in dates if not partial_date(cell.text))),
                dead=next((cell for cell in (*dates, *signs) if cell.text), None),
                death_days=partial_dates(found, *dates),
                assigned_by=None if assigned is None else assigned.by,
            )
        )
    levels.note(found)


_DATES_OF_DEATH = ("DTHDTC", "DTHDT")
# Variables of vital status; values that do not report a death in a variable whose name begins with DTH.
_STATUS = ("VITSTAT", "LSTALVST", "SURVSTAT", "VITALST")
_NO_CAUSE = frozenset({"n/a", "na", "not applicable", "none", "no", "n", "-", "alive", "0", "false", "u", "unk", "unknown"})


def _signs_of_death(found: Findings, row: Row) -> list[Cell]:
    """Return the cells of the table of subjects that report a death without its date."""
    signs = [row.cell("DTHFL")] if found.yes(row.cell("DTHFL")) else []
    others = [name for name in row.cells if name.startswith("DTH") and name not in (*_DATES_OF_DEATH, "DTHFL")]
    signs += [row.cell(name) for name in others if plain_words(row.cell(name).text) not in (*_NO_CAUSE, "")]
    return signs + [row.cell(name) for name in _STATUS if is_death(row.cell(name).text)]


def partial_dates(found: Findings, *cells: Cell) -> list[Undated]:
    """Return the possible days of the partial dates among some cells."""
    filled = [cell for cell in cells if cell.text and partial_date(cell.text)]
    return [Undated(days, cell) for cell in filled if (days := found.possible(cell)) is not None]


def record_death(found: Findings, entry: Entry, day: Cell, cell: Cell) -> None:
    """Record a death by its day, or by the cell that reports it if there is no full date; a partial date is also recorded."""
    full = None if partial_date(day.text) else found.day(day)
    if full is not None:
        entry.deaths.append(Dated(full, day))
    else:
        entry.dead = entry.dead or cell
        entry.death_days += partial_dates(found, day)


def subjects(found: Findings, draft: Draft, table: Table, steps: Steps) -> dict[str, Row]:
    """Return the row of each subject."""
    rows = dict(one_row_each(found, steps(table.rows)))
    draft.subjects |= set(rows)
    return rows


def latest(found: Findings, row: Row, columns: tuple[str, ...], not_before: date | None = None) -> Dated | None:
    """Return the last of the days in some columns of a row; for partial dates the earliest from ``not_before``, if given."""
    cells = [row.cell(column) for column in columns]
    if not_before is not None:
        found_days = (earliest_day(found, cell, not_before) for cell in cells)
        days = [dated for dated in found_days if dated is not None]
    else:
        days = [Dated(day, cell) for cell in cells if (day := found.day(cell)) is not None]
    return max(days, key=lambda dated: dated.day, default=None)
