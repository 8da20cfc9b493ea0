"""SAS transport files (XPT, versions 5 and 8) by pyreadstat.

Version 5 does not state the number of records: a file truncated inside its head or a record is rejected, and one truncated where a
record ends within the last card of 80 bytes cannot be distinguished from a complete one. Version 8 states the number, which is
compared with the records present.

Layouts: SAS Institute, TS-140, Record Layout of a SAS Version 5 or 6 Data Set in SAS Transport (XPORT) Format, and Record Layout
of a SAS Version 8 or 9 Data Set in SAS Transport Format.

pandas reads version 5 too, but takes blanks at the end of the last record for padding and so silently loses rows (pandas 3.1:
three records of 32 bytes, the last ending in a blank variable, are read as two).
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from .._check import InputError
from .cells import Table, make_table

__all__ = ["read"]

_EPOCH = date(1960, 1, 1)
# A card of the format: every file is a whole number of cards.
_CARD = 80
_DAMAGED = "is not a SAS transport file (XPT), or is damaged"
# Cards that begin the parts of a file, in both versions.
_LIBRARY = re.compile(rb"HEADER RECORD\*{7}(?:LIBRARY |LIBV8   )HEADER RECORD!{7}")
_MEMBER = re.compile(rb"HEADER RECORD\*{7}(?:MEMBER  |MEMBV8  )HEADER RECORD!{7}.{27}(?P<size>140|136)", re.DOTALL)
_NAMES = re.compile(rb"HEADER RECORD\*{7}(?:NAMESTR |NAMSTV8 )HEADER RECORD!{7}0{6}(?P<variables>[0-9]{4})")
_RECORDS = re.compile(rb"HEADER RECORD\*{7}(?:OBS     |OBSV8   )HEADER RECORD!{7}(?P<records>.{15})", re.DOTALL)


def read(path: Path, content: bytes, fold: Callable[[str], str]) -> list[Table]:
    """Return the table of a transport file; there is no header row, so the first record is row 1.

    A number whose name ends in DT is a date, days from 1960-01-01, as ADaM names them; a missing value of any kind is empty.
    """
    try:
        import pyreadstat
    except ModuleNotFoundError:
        raise InputError("a SAS transport file needs pyreadstat: pip install 'dosefind[cdisc]'", source=str(path)) from None
    records = _count_records(content, str(path))
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="column .* is duplicated")
        try:
            values, meta = pyreadstat.read_xport(path, output_format="dict", disable_datetime_conversion=True)
        except UnicodeDecodeError:
            raise InputError("has text that is not UTF-8", source=str(path)) from None
        except Exception:  # whatever pyreadstat says of bytes that are no transport file
            raise InputError(_DAMAGED, source=str(path)) from None
    names = meta.column_names
    if not all(names):
        raise InputError(_DAMAGED, source=str(path))
    kinds = meta.readstat_variable_types
    columns = [[_text(value, kinds[name] == "string", name.upper().endswith("DT")) for value in values[name]] for name in names]
    if len(columns[0]) < records:
        raise InputError(f"is damaged: it has {records:,} records, of which {len(columns[0]):,} can be read", source=str(path))
    return [make_table(path.name, [fold(name) for name in names], enumerate(zip(*columns, strict=True), start=1))]


def _count_records(content: bytes, source: str) -> int:
    """Return the number of records in the single table of a file, without blank ones at its end.

    Raises
    ------
    InputError
        If the file is truncated or has several tables.
    """
    if len(content) % _CARD:
        raise InputError(f"is truncated: a SAS transport file is a multiple of {_CARD} bytes long", source=source)
    cards = [content[place : place + _CARD] for place in range(0, min(len(content), 8 * _CARD), _CARD)]
    if not cards or not _LIBRARY.match(cards[0]):
        raise InputError(_DAMAGED, source=source)
    if len(cards) < 8:
        raise InputError("is truncated before its variables", source=source)
    member, names = _MEMBER.match(cards[3]), _NAMES.match(cards[7])
    if member is None or names is None:
        raise InputError(_DAMAGED, source=source)
    size, variables, first = int(member["size"]), int(names["variables"]), 8 * _CARD
    lengths = [int.from_bytes(content[first + size * k + 4 : first + size * k + 6]) for k in range(variables)]
    # Version 8 may have long labels between the variables and the records.
    place = first + -(-size * variables // _CARD) * _CARD
    while (start := _RECORDS.match(content, place)) is None:
        if place >= len(content):
            raise InputError("is truncated before its records", source=source)
        place += _CARD
    data, record = content[place + _CARD :], sum(lengths)
    if not record:
        raise InputError(_DAMAGED, source=source)
    if any(_MEMBER.match(data, card) for card in _aligned(data, b"HEADER RECORD*******MEMB")):
        raise InputError("has several tables: put each into its own file", source=source)
    # Blanks fill the last card, and blank records at the end cannot be distinguished from them.
    records = -(-len(data.rstrip(b" ")) // record)
    stated = int(start["records"]) if start["records"].strip().isdigit() else 0
    if records * record > len(data):
        there = len(data) - (records - 1) * record
        raise InputError(f"is truncated in record {records:,}, with {there:,} of {record:,} bytes", source=source)
    if stated and not records <= stated <= len(data) // record:
        raise InputError(f"is truncated or damaged: it states {stated:,} records but has {records:,}", source=source)
    return records


def _aligned(data: bytes, start: bytes) -> Iterator[int]:
    """Yield the positions of cards that begin with some bytes."""
    place = data.find(start)
    while place >= 0:
        if place % _CARD == 0:
            yield place
        place = data.find(start, place + 1)


def _text(value: Any, is_text: bool, is_day: bool) -> str:
    if value is None or (not is_text and math.isnan(value)):
        return ""
    if is_text:
        return value
    if float(value).is_integer():
        return _day(int(value)) if is_day else str(int(value))
    return repr(float(value))


def _day(days: int) -> str:
    try:
        return (_EPOCH + timedelta(days=days)).isoformat()
    except OverflowError:
        return str(days)
