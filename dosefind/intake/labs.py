"""Liver tests: the SDTM domain LB, and the sheet ``labs`` of a workbook. Each row is a value of a patient, or is listed."""

from __future__ import annotations

from typing import NamedTuple

from ..patients import LabValue, Listed
from ..protocol import plain_words
from ..words import _
from .cells import Cell, Findings, Row, Table, partial_date
from .entries import Draft, Steps
from .event_details import yes_or_unknown

__all__ = ["LB", "SHEET", "LabColumns", "read_labs"]

_TESTS = {
    "ALT": ("alt", "alat", "sgpt", "alanine aminotransferase"),
    "AST": ("ast", "asat", "sgot", "aspartate aminotransferase"),
    "ALP": ("alp", "alkaline phosphatase"),
    "GGT": ("ggt", "gamma glutamyl transferase", "gamma glutamyltransferase"),
    "BILI": ("bili", "bilirubin", "total bilirubin", "tbil"),
}


class LabColumns(NamedTuple):
    """Columns of a table of laboratory values; any of the ``baseline`` flags is sufficient."""

    test: tuple[str, ...]
    value: str
    unit: str
    uln: str
    day: str
    baseline: tuple[str, ...] = ()
    specimen: tuple[str, ...] = ()


LB = LabColumns(("LBTESTCD",), "LBSTRESN", "LBSTRESU", "LBSTNRHI", "LBDTC", ("LBBLFL", "LBLOBXFL"), ("LBSPEC",))
SHEET = LabColumns(("test",), "value", "unit", "uln", "date", ("baseline",))


def read_labs(found: Findings, draft: Draft, table: Table, columns: LabColumns, people: str, steps: Steps) -> None:
    """Read the liver tests of a table into the draft; ``people`` names the table of patients.

    Values of one test of a patient must be in one unit, so that they can be compared with the baseline.
    """
    entries = {entry.subject: entry for entry in draft.entries}
    units: dict[tuple[str, str], Cell] = {}
    for row in steps(table.rows):
        subject = draft.owner(found, row, people)
        if subject is None:
            continue
        value, why = _value(found, row, columns)
        entry = entries.get(subject)
        if value is None:
            draft.listed += [Listed(row.source, why)] if why else []
        elif entry is not None:
            unit = row.cell(columns.unit)
            first = units.setdefault((subject, value.test), unit)
            if plain_words(first.text) != plain_words(unit.text):
                found.refuse(unit, f"must be the unit of the other values of this test, {first.text!r}: units are not converted")
            entry.labs.append(value)


def _value(found: Findings, row: Row, columns: LabColumns) -> tuple[LabValue | None, str]:
    """Return the value of a row, or the reason why it is not used; neither if a cell is rejected."""
    word = plain_words(row.cell(*columns.test).text)
    test = next((name for name, words in _TESTS.items() if word in words), None)
    if test is None or any(plain_words(cell.text) == "urine" for cell in map(row.cell, columns.specimen)):
        return None, _("not used: not a liver test")
    value, limit, day = row.cell(columns.value), row.cell(columns.uln), row.cell(columns.day)
    if not value.text:
        return None, _("not used: a liver test without a numeric result")
    if not limit.text:
        return None, _("not used: a liver test without an upper limit of normal")
    if partial_date(day.text):
        return None, _("not used: a liver test without a full date")
    amount = found.number(value, "a number above 0, the result")
    uln = found.number(limit, "a number above 0, the upper limit of normal")
    on = found.day(day)
    flags = [yes_or_unknown(found, cell) for cell in map(row.cell, columns.baseline)]
    if amount is None or uln is None or on is None:
        return None, ""
    return LabValue(test, amount, uln, on, row.source, True in flags), ""
