"""ADaM: the variables that flag a DLT, DLTFL and each CRITnFL whose CRITn speaks of DLTs; other variables named after DLTs.

A criterion that speaks of DLTs and negates them is refused, as it cannot be told what its flag means.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from .cells import Findings, Row, Table
from .letters import flat

__all__ = ["dlt_flags", "flagged", "refuse_other_flags"]

_DLT = re.compile(r"\bDLTs?\b|dose[- ]limiting", re.IGNORECASE)
_NO_DLT = re.compile(r"\b(no|non|not an?|without)[- ](DLTs?|dose[- ]limiting)\b", re.IGNORECASE)
_EVALUABLE = re.compile(r"evaluab|evaluation|analysis set|population", re.IGNORECASE)
_CRITERION = re.compile(r"CRIT(\d+)FL")
# Names after DLTs that flag no DLT: who is evaluable, and reasons, numbers and dates beside a flag.
_NO_FLAG = re.compile(r"EV|DLTE|POP|SET|RE?S|DT[FM]$|DY$")


def dlt_flags(found: Findings, table: Table) -> tuple[str, ...]:
    """Return the variables of a table that flag a DLT, DLTFL first; criteria that are not used are noted."""
    flags = ["DLTFL"] if table.has("DLTFL") else []
    for name in table.columns:
        criterion = _CRITERION.fullmatch(name)
        if criterion is None:
            continue
        variable = f"CRIT{criterion[1]}"
        texts = {row.cell(variable).text for row in table.rows}
        speaking = {text for text in texts if _DLT.search(text)}
        if any(_NO_DLT.search(text) for text in speaking):
            found.column(table, variable, f"negates DLTs, so that it cannot be told what {name} says: give DLTs in DLTFL")
        elif speaking and not all(map(_EVALUABLE.search, speaking)):
            flags.append(name)
        elif any(row.cell(name).text for row in table.rows):
            why = "speaks of who is evaluable" if speaking else "does not speak of DLTs"
            found.notes.append(f"{table.name}: {name} is not used, as {variable} {why}")
    return tuple(flags)


def flagged(found: Findings, row: Row, flags: Iterable[str]) -> bool | None:
    """Return whether any of these flags says yes; ``None`` where all are empty. A criterion's flag counts where it names DLTs."""
    said = []
    for name in flags:
        criterion = _CRITERION.fullmatch(name)
        text = "" if criterion is None else row.cell(f"CRIT{criterion[1]}").text
        if criterion is None or not text or _DLT.search(text):
            said.append(found.yes(row.cell(name)))
    return True if True in said else False if False in said else None


def refuse_other_flags(found: Findings, table: Table, read: Iterable[str]) -> None:
    """Refuse variables that are named after DLTs, say anything and are not read; those of evaluability are left aside."""
    read = set(read)
    for name in table.columns:
        named = "dlt" in flat(name) or "doselimit" in flat(name)
        if named and name not in read and not _NO_FLAG.search(name.upper()) and any(row.cell(name).text for row in table.rows):
            found.column(table, name, "speaks of DLTs and is not read: give DLTs in DLTFL of ADaM, or delete the column")
