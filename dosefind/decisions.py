"""The committee's decisions, on file: what the binding design recommended, what was decided, and why.

The file is only ever added to; what stands in it is not changed. A decision other than the recommendation shows as an override from
then on.
"""

from __future__ import annotations

import csv
import io
import re
from datetime import date
from pathlib import Path
from typing import NamedTuple

from ._check import InputError, Problem
from .provenance import harmless, write_whole

__all__ = ["Recorded", "read_decisions", "record_decision"]

_ALLOWED = "must be 'level 2', 'stop', 'MTD 2', 'MTD none' or 'add dose 0.5', with a number of yours"
_FORMS = re.compile(r"level [1-9][0-9]?|stop|MTD (none|[1-9][0-9]?)|add dose [0-9]+(\.[0-9]+)?")
_LONGEST = 2000


class Recorded(NamedTuple):
    """One decision of the committee.

    Attributes
    ----------
    as_of
        The data cut that it was made on.
    protocol
        Identifier of the protocol.
    data_sha256, config_sha256
        Hashes of the data and of the config.
    binding
        The design that binds.
    recommendation
        What that design recommended.
    decision
        What was decided: "level 2", "stop", "MTD 2", "MTD none" or "add dose 0.5".
    override
        "yes" where that is not the recommendation.
    reason
        Why, in the committee's words.
    """

    as_of: date
    protocol: str
    data_sha256: str
    config_sha256: str
    binding: str
    recommendation: str
    decision: str
    override: str
    reason: str


def read_decisions(path: Path | str, protocol: str) -> list[Recorded]:
    """Decisions on a protocol, in the order in which they were recorded; none where there is no such file.

    Raises
    ------
    InputError
        If the file cannot be read, or is not what `record_decision` writes.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(error.strerror or "cannot be read", source=str(path)) from None
    except UnicodeDecodeError:
        raise InputError("is not UTF-8 text", source=str(path)) from None
    rows = list(csv.reader(io.StringIO(text)))
    if not rows or tuple(rows[0]) != Recorded._fields:
        raise InputError(f"must begin with the columns {', '.join(Recorded._fields)}", source=str(path))
    return [one for one in (_recorded(row, number, path) for number, row in enumerate(rows[1:], 2)) if one.protocol == protocol]


def _recorded(row: list[str], number: int, path: Path) -> Recorded:
    if len(row) != len(Recorded._fields):
        raise InputError(f"row {number} has {len(row)} cells: must have {len(Recorded._fields)}", source=str(path))
    try:
        day = date.fromisoformat(row[0])
    except ValueError:
        raise InputError(Problem(f"row {number}.as_of", row[0], "must be a date such as 2024-03-14"), source=str(path)) from None
    # What `harmless` put before a text that a spreadsheet would take for a formula.
    return Recorded(day, *(cell[1:] if cell[:1] == "'" and harmless(cell[1:]) == cell else cell for cell in row[1:]))


def record_decision(path: Path | str, recorded: Recorded) -> None:
    """Add a decision to the file, which is made if it is not there.

    Parameters
    ----------
    path
        The file.
    recorded
        The decision; its ``override`` is worked out from it.

    Raises
    ------
    InputError
        If the decision is not of a known form, no reason is given, it is dated before the last one, or the file cannot be
        written.
    """
    path = Path(path)
    if not _FORMS.fullmatch(recorded.decision):
        raise InputError(Problem("decision", recorded.decision, _ALLOWED))
    if not recorded.reason.strip() or len(recorded.reason) > _LONGEST:
        raise InputError(Problem("reason", recorded.reason, f"must be text of 1 to {_LONGEST} characters: why it was decided so"))
    before = read_decisions(path, recorded.protocol)
    if before and before[-1].as_of > recorded.as_of:
        allowed = f"lies before the last decision on file, of {before[-1].as_of}: decisions are only added"
        raise InputError(Problem("as_of", recorded.as_of.isoformat(), allowed), source=str(path))
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    if not old:
        lines.writerow(Recorded._fields)
    lines.writerow([recorded.as_of.isoformat(), *map(harmless, recorded[1:])])
    write_whole(path.parent, {path.name: lambda to: to.write_text(old + text.getvalue(), encoding="utf-8")})
