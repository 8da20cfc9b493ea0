"""SAS transport files (XPT, versions 5 and 8) by pyreadstat.

A file that is cut off between two cards of 80 bytes cannot be told from a whole one: the format does not say how many records
there are. pandas reads version 5 too, but takes blanks at the end of the last record for padding and so loses rows without a word
(pandas 3.1: three records of 32 bytes, the last ending in a blank variable, are read as two).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from .._check import InputError
from .cells import Table, make_table

__all__ = ["read"]

_EPOCH = date(1960, 1, 1)
# A card of the format: every file is a whole number of them.
_CARD = 80
_DAMAGED = "is no SAS transport file (XPT), or is damaged"


def read(path: Path, content: bytes, fold: Callable[[str], str]) -> list[Table]:
    """The table of a transport file; there is no header row, so the first record is row 1.

    A number whose name ends in DT is a date, days from 1960-01-01, as ADaM names them; a missing value of any kind is empty.
    """
    try:
        import pyreadstat
    except ModuleNotFoundError:
        raise InputError("a SAS transport file needs pyreadstat: pip install 'dosefind[cdisc]'", source=str(path)) from None
    if len(content) % _CARD:
        raise InputError(f"is cut off: a SAS transport file is a multiple of {_CARD} bytes long", source=str(path))
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
    return [make_table(path.name, [fold(name) for name in names], enumerate(zip(*columns, strict=True), start=1))]


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
