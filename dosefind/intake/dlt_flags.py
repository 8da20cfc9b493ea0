"""ADaM: the variables that flag a DLT: DLTFL, the one stated in the config, and each CRITnFL whose CRITn is about DLTs.

A criterion that negates DLTs is rejected, because the meaning of its flag is unclear.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from ..words import _
from .cells import Findings, Row, Table
from .letters import flat

__all__ = ["dlt_flags", "flagged", "only_of_dlts", "refuse_other_flags"]

_DLT = re.compile(r"\bDLTs?\b|dose[- ]limiting", re.IGNORECASE)
_NO_DLT = re.compile(r"\b(no|non|not an?|without)[- ](DLTs?|dose[- ]limiting)\b", re.IGNORECASE)
_EVALUABLE = re.compile(r"evaluab|evaluation|analysis set|population", re.IGNORECASE)
_CRITERION = re.compile(r"CRIT(\d+)FL")
# Names after DLTs that do not flag a DLT: evaluability, and reasons, numbers and dates of a flag.
_NO_FLAG = re.compile(r"EV|DLTE|POP|SET|RE?S|DT[FM]$|DY$")


def dlt_flags(found: Findings, table: Table, named: str | None = None) -> tuple[str, ...]:
    """Return the variables of a table that flag a DLT; criteria that are not used are noted.

    The variable stated in the config (``named``) comes first, then DLTFL.
    """
    flags = [name for name in dict.fromkeys((named, "DLTFL")) if name is not None and table.has(name)]
    for name in table.columns:
        criterion = _CRITERION.fullmatch(name)
        if criterion is None or name == named:
            continue
        variable = f"CRIT{criterion[1]}"
        texts = {row.cell(variable).text for row in table.rows}
        speaking = {text for text in texts if _DLT.search(text)}
        if any(_NO_DLT.search(text) for text in speaking):
            found.column(table, variable, f"negates DLTs, so that the meaning of {name} is unclear: give DLTs in DLTFL")
        elif speaking and not all(map(_EVALUABLE.search, speaking)):
            flags.append(name)
        elif any(row.cell(name).text for row in table.rows):
            words = _("{table}: {column} is not used, because {variable} is not about DLTs")
            if speaking:
                words = _("{table}: {column} is not used, because {variable} is about evaluability")
            found.notes.append(words.format(table=table.name, column=name, variable=variable))
    return tuple(flags)


def only_of_dlts(table: Table, flags: Iterable[str], named: str | None = None) -> Table:
    """Return a table in which a criterion's flag is empty if its criterion is not about DLTs.

    The flag stated in the config (``named``) is unchanged.
    """
    found = [(name, _CRITERION.fullmatch(name)) for name in flags if name != named]
    criteria = [(name, f"CRIT{match[1]}") for name, match in found if match is not None]
    if not criteria:
        return table
    rows = []
    for row in table.rows:
        others = {name: "" for name, variable in criteria if (text := row.cell(variable).text) and not _DLT.search(text)}
        rows.append(replace(row, cells=row.cells | others) if others else row)
    return replace(table, rows=rows)


def flagged(found: Findings, row: Row, flags: Iterable[str]) -> bool | None:
    """Return whether any of these flags is yes, or ``None`` if all are empty."""
    answers = [found.yes(row.cell(name)) for name in flags]
    return True if True in answers else False if False in answers else None


def refuse_other_flags(found: Findings, table: Table, read: Iterable[str]) -> None:
    """Reject non-empty variables that are named after DLTs and not read, except those of evaluability."""
    read = set(read)
    for name in table.columns:
        named = "dlt" in flat(name) or "doselimit" in flat(name)
        if named and name not in read and not _NO_FLAG.search(name.upper()) and any(row.cell(name).text for row in table.rows):
            found.column(
                table, name, "is about DLTs and is not read: give DLTs in DLTFL (ADaM) or AEDLT (SDTM), or delete the column"
            )
