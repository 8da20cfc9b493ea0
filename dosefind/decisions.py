"""The committee's decisions, on file: what the binding design recommended, what was decided, and why.

The file is only ever added to; what stands in it is not changed. A decision other than the recommendation shows as an override from
then on. Who adds to it holds a lock, an empty hidden file beside it, so that of two decisions recorded at once neither is lost; the
system takes the lock from a process that has ended, so that it cannot be left behind.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

from ._check import InputError, Problem
from .provenance import write_whole

__all__ = ["Recorded", "check_form", "read_decisions", "record_decision"]

_ALLOWED = "must be 'level 2', 'wait', 'stop', 'MTD 2', 'MTD none' or 'add dose 0.5', with a number of yours"
_FORMS = re.compile(r"(level|MTD) (?P<level>[1-9][0-9]?)|wait|stop|MTD none|add dose (?P<dose>[0-9]{1,9}(\.[0-9]{1,9})?)")
_LONGEST = 2000
# How long somebody else may take to add a decision.
_SECONDS = 20
# A text that a spreadsheet would take for a formula gets an apostrophe before it, and so does one that looks as if it had got one.
_LIKE_A_FORMULA = re.compile(r"'*[=+\-@\t\r]")


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


def read_decisions(path: Path | str, protocol: str) -> list[Recorded]:
    """Decisions on a protocol, in the order in which they were recorded; none where there is no such file.

    Raises
    ------
    InputError
        If the file cannot be read, or is not what `record_decision` writes.
    """
    path = Path(path)
    try:
        # A spreadsheet program that has saved the file may have put a mark before it.
        text = _bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError("is not UTF-8 text", source=str(path)) from None
    if not text:
        return []
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise InputError(f"is damaged: {error}", source=str(path)) from None
    if tuple(rows[0]) != Recorded._fields:
        raise InputError(f"must begin with the columns {', '.join(Recorded._fields)}", source=str(path))
    return [one for one in (_recorded(row, number, path) for number, row in enumerate(rows[1:], 2)) if one.protocol == protocol]


def _bytes(path: Path) -> bytes:
    """What the file holds; nothing if it is not there."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise InputError(error.strerror or "cannot be read", source=str(path)) from None


def _recorded(row: list[str], number: int, path: Path) -> Recorded:
    if len(row) != len(Recorded._fields):
        raise InputError(f"row {number} has {len(row)} cells: must have {len(Recorded._fields)}", source=str(path))
    try:
        day = date.fromisoformat(row[0])
    except ValueError:
        raise InputError(Problem(f"row {number}.as_of", row[0], "must be a date such as 2024-03-14"), source=str(path)) from None
    return Recorded(day, *(cell[1:] if cell[:1] == "'" and _LIKE_A_FORMULA.match(cell) else cell for cell in row[1:]))


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
    import filelock

    path = Path(path)
    if not _FORMS.fullmatch(recorded.decision):
        raise InputError(Problem("decision", recorded.decision, _ALLOWED))
    if not recorded.reason.strip() or len(recorded.reason) > _LONGEST or not recorded.reason.replace("\n", "").isprintable():
        allowed = f"must be text of 1 to {_LONGEST} characters, none of which steers a terminal: why it was decided so"
        raise InputError(Problem("reason", recorded.reason, allowed))
    lock = path.with_name(f".{path.name}.lock")
    try:
        with filelock.FileLock(lock, timeout=_SECONDS):
            _add(path, recorded)
    except filelock.Timeout:
        raise InputError(
            f"is being written by somebody else for more than {_SECONDS} seconds: try again", source=str(path)
        ) from None
    except OSError as error:
        raise InputError(error.strerror or "cannot be written", source=str(lock)) from None


def _add(path: Path, recorded: Recorded) -> None:
    """Add a decision to the file as it is now, which nobody else changes meanwhile."""
    before = read_decisions(path, recorded.protocol)
    if before and before[-1].as_of > recorded.as_of:
        allowed = f"lies before the last decision on file, of {before[-1].as_of}: decisions are only added"
        raise InputError(Problem("as_of", recorded.as_of.isoformat(), allowed), source=str(path))
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    old = _bytes(path)
    if not old:
        lines.writerow(Recorded._fields)
    elif not old.endswith(b"\n"):
        text.write("\n")
    lines.writerow([recorded.as_of.isoformat(), *map(_escaped, recorded[1:])])
    write_whole(path.parent, {path.name: old + text.getvalue().encode()})


def _escaped(cell: str) -> str:
    return f"'{cell}" if _LIKE_A_FORMULA.match(cell) else cell
