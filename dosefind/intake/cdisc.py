"""What SDTM and ADaM share: subjects who were not treated, infusions, the unit of the dose, days that several columns say."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from .._check import shown_key
from ..patients import Listed
from ..protocol import Protocol, plain_words
from .cells import Cell, Findings, Row, Table, partial_date
from .deaths import is_death
from .entries import NO_INFUSION, Dated, Draft, Entry, Steps, dose, one_row_each, part_of

__all__ = ["IDENTIFIER", "SCREEN_FAILURE", "ExposureColumns", "Infusion", "exposures", "latest", "leave", "record_death", "treated"]

IDENTIFIER = ("USUBJID", "SUBJID")
SCREEN_FAILURE = "screen failure"
_ARMS = ("ARMCD", "ACTARMCD", "ARM", "ACTARM", "ARMNRS")
_TREATMENTS = ("EXTRT", "TRTA", "TRT01A")
# The arm of a subject: of these columns the first that the table has, so that a planned arm never replaces an actual one.
_ARM_NAMES = ("ACTARM", "TRT01A", "ARM")
_PLACEBO = re.compile(r"\b(placebo|pbo|sham)\b|^vehicle\b", re.IGNORECASE)
_ONLY_PLACEBO = re.compile(r"placebo|pbo|vehicle|sham", re.IGNORECASE)
_ZERO = re.compile(r"0+(\.0*)?")
_FAILED = re.compile(r"scrnfail|screen failure", re.IGNORECASE)
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹×", "0123456789x")


class Infusion(NamedTuple):
    """A row of an infusion with a dose."""

    day: Dated
    level: int | None
    amount: float
    row: Row
    placebo: bool = False


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
    subject_rows: Mapping[str, Row],
) -> dict[str, list[Infusion]]:
    """Infusions of each subject in the order of their days; ``not_used`` says why a row is none, and such rows are listed.

    The rows of the table of subjects, ``subject_rows``, give the arms, which are read where no exposure of the subject names
    placebo by itself. A subject who received the product has only the infusions of the product; those of placebo are listed.
    """
    given: dict[str, list[Infusion]] = {}
    treatments: set[str] = set()
    longer = nominal = 0
    own_placebo = {row.subject for row in table.rows if _is_placebo(row, columns, by_arm=False)}
    arms = {subject for subject, row in subject_rows.items() if _arm_is_placebo(row)} - own_placebo
    for row in steps(table.rows):
        subject = found.subject(row)
        if subject is not None and subject not in draft.subjects:
            found.refuse(row.subject_cell, "is no subject of the table of subjects")
            continue
        placebo = _is_placebo(row, columns, by_arm=subject in arms)
        why = not_used(row) or _no_dose(row, columns, placebo)
        if why is not None:
            draft.listed.append(Listed(row.source, why))
            continue
        amount = row.cell(*columns.dose).text
        if placebo and subject in arms and amount and not _ZERO.fullmatch(amount):
            _refuse_product_in_placebo_arm(found, row, subject_rows[row.subject])
        nominal += placebo and amount != "" and _ZERO.fullmatch(amount) is None
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
    if nominal:
        # No subject is named: the notes are part of reports that must not reveal who received placebo.
        found.notes.append(f"{table.name}: rows of placebo with a nominal dose above 0, read as placebo: {nominal:,}")
    return {subject: _of_product(draft, sorted(rows, key=lambda infusion: infusion.day.day)) for subject, rows in given.items()}


def _refuse_product_in_placebo_arm(found: Findings, row: Row, of_subject: Row) -> None:
    """Refuse a dose above 0 of a treatment that is not placebo, in a subject whose arm is placebo."""
    treatment = next((cell for cell in map(row.cell, _TREATMENTS) if cell.text), None)
    if treatment is not None and not _PLACEBO.search(treatment.text):
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
    why = "not used: placebo of a subject who received the product"
    draft.listed += [Listed(infusion.row.source, why) for infusion in infusions if infusion.placebo]
    return product


def _no_dose(row: Row, columns: ExposureColumns, placebo: bool) -> str | None:
    if row.cell("EXOCCUR").text.upper() == "N":
        return "not used: an infusion that was not given"
    zero = _ZERO.fullmatch(row.cell(*columns.dose).text) and not placebo
    return "not used: a dose of 0" if zero else None


def _is_placebo(row: Row, columns: ExposureColumns, by_arm: bool) -> bool:
    """Return whether a row is an administration of placebo.

    An empty dose is one only if the treatment is placebo and nothing else; a dose of 0 if the treatment mentions placebo or the
    arm is placebo (``by_arm``); a dose above 0 if the treatment or the arm is placebo and nothing else.
    """
    amount = row.cell(*columns.dose).text
    names = [cell.text for cell in map(row.cell, _TREATMENTS) if cell.text]
    if not amount:
        return bool(names) and _ONLY_PLACEBO.fullmatch(names[0]) is not None
    if _ZERO.fullmatch(amount):
        return by_arm or any(map(_PLACEBO.search, names))
    return by_arm or any(map(_ONLY_PLACEBO.fullmatch, names))


def _arm_is_placebo(row: Row) -> bool:
    """Return whether the arm of a subject, the actual one if the table has it, is placebo and nothing else."""
    return _ONLY_PLACEBO.fullmatch(row.cell(*_ARM_NAMES).text) is not None


def _infusion(found: Findings, row: Row, columns: ExposureColumns, protocol: Protocol, placebo: bool) -> Infusion | None:
    given = (None, 0.0) if placebo else dose(found, row.cell(*columns.dose), protocol.doses)
    unit = row.cell(*columns.unit)
    if not placebo and _plain_unit(unit.text) != _plain_unit(protocol.doses.unit):
        found.refuse(unit, f"must be the unit of the protocol, {protocol.doses.unit!r}: nothing is converted")
    cell = row.cell(*columns.day)
    if columns.imputed is not None and row.cell(columns.imputed).text:
        found.refuse(row.cell(columns.imputed), f"says that {cell.column} is imputed, and an infusion needs its own date")
    day = found.day(cell, required=True)
    return None if given is None or day is None else Infusion(Dated(day, cell), *given, row, placebo)


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
        dates, signs = [row.cell(name) for name in _DATES_OF_DEATH], _signs_of_death(found, row)
        part = part_of(found, row.cell("PART"))
        if first.placebo and part is None:
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
                died=latest(found, row, tuple(cell.column for cell in dates if not partial_date(cell.text))),
                dead=next((cell for cell in (*dates, *signs) if cell.text), None),
            )
        )


_DATES_OF_DEATH = ("DTHDTC", "DTHDT")
# Variables of vital status; what is no sign of a death in a variable whose name begins with DTH.
_STATUS = ("VITSTAT", "LSTALVST", "SURVSTAT", "VITALST")
_NO_CAUSE = frozenset({"n/a", "na", "not applicable", "none", "no", "n", "-", "alive", "0", "false", "u", "unk", "unknown"})


def _signs_of_death(found: Findings, row: Row) -> list[Cell]:
    """Return the cells of the table of subjects that report a death without its date."""
    signs = [row.cell("DTHFL")] if found.yes(row.cell("DTHFL")) else []
    others = [name for name in row.cells if name.startswith("DTH") and name not in (*_DATES_OF_DEATH, "DTHFL")]
    signs += [row.cell(name) for name in others if plain_words(row.cell(name).text) not in (*_NO_CAUSE, "")]
    return signs + [row.cell(name) for name in _STATUS if is_death(row.cell(name).text)]


def record_death(entry: Entry, day: Dated | None, cell: Cell) -> None:
    """Record a death by its day, or by the cell that reports it where there is no full date."""
    if day is not None:
        entry.deaths.append(day)
    else:
        entry.dead = entry.dead or cell


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
    """Record that the patient left on that day, unless the patient had left before."""
    now = entry.discontinued
    if day is not None and (now is None or (day.day, reason or "") < (now.day, entry.reason or "")):
        entry.discontinued, entry.reason = day, reason
