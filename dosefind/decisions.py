"""The committee's decisions, on file: what the primary design recommended, what was decided, and why.

The file is only ever added to; what is in it is not changed. A decision that differs from the recommendation shows as an override
from then on. How the file is read and added to is in `dosefind.provenance.AddedTo`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

from ._check import InputError, Problem
from .provenance import AddedTo, check_text

__all__ = ["Recorded", "check_form", "read_decisions", "record_decision"]

_ALLOWED = "must be 'level 2', 'wait', 'stop', 'MTD 2', 'MTD none' or 'add dose 0.5', with a number of yours"
_FORMS = re.compile(r"(level|MTD) (?P<level>[1-9][0-9]?)|wait|stop|MTD none|add dose (?P<dose>[0-9]{1,9}(\.[0-9]{1,9})?)")


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
        What was decided: "level 2", "wait", "stop", "MTD 2", "MTD none" or "add dose 0.5".
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


_FILE = AddedTo("decision", Recorded._fields)


def read_decisions(path: Path | str, protocol: str) -> list[Recorded]:
    """Return the decisions on a protocol, in the order in which they were recorded; none where there is no such file.

    Raises
    ------
    InputError
        If the file cannot be read, or is not what `record_decision` writes.
    """
    path = Path(path)
    recorded = [_recorded(row, number, path) for number, row in enumerate(_FILE.rows(path), 2)]
    return [one for one in recorded if one.protocol == protocol]


def _recorded(row: list[str], number: int, path: Path) -> Recorded:
    return Recorded(_FILE.day(path, number, "as_of", row[0]), *row[1:])


def check_form(decision: str, amounts: Sequence[float]) -> str:
    """A decision as it is put on file; refused if it is not of a known form, or does not fit the dose amounts of the protocol.

    Raises
    ------
    InputError
        If so.
    """
    words = re.sub(r"\bmtd\b", "MTD", " ".join(decision.lower().split())).replace("MTD level ", "MTD ")
    form = _FORMS.fullmatch(words)
    if form is None:
        raise InputError(Problem("decision", decision, _ALLOWED))
    if form["level"] and int(form["level"]) > len(amounts):
        raise InputError(Problem("decision", decision, f"must name one of the protocol's {len(amounts)} levels"))
    if form["dose"] and float(form["dose"]) in (0, *amounts):
        shown = ", ".join(f"{amount:g}" for amount in amounts)
        raise InputError(Problem("decision", decision, f"must add a dose above 0 that the protocol does not have: it has {shown}"))
    return words


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
    check_text("reason", recorded.reason, purpose="why it was decided so")

    def check() -> None:
        before = read_decisions(path, recorded.protocol)
        _FILE.refuse_before(path, before[-1].as_of if before else None, recorded.as_of)

    _FILE.add(path, [recorded.as_of.isoformat(), *recorded[1:]], check)
