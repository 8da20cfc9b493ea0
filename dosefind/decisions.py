"""The committee's decisions, on file: what the primary design recommended, what was decided, and why.

The file is only ever added to; what is in it is not changed. A decision that differs from the recommendation shows as an override
from then on. How the file is read and added to is in `dosefind.provenance.AddedTo`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from ._check import InputError, Problem, calendar_day
from .provenance import AddedTo, check_text

__all__ = ["Recorded", "check_form", "read_decisions", "record_decision", "released_subjects", "released_text", "renumbered"]

_ALLOWED = (
    "must be 'level 2', 'wait', 'stop', 'resume', 'MTD 2', 'MTD none', 'RP2D 2', 'RP2D none' or 'add dose 0.5', with your number"
)
_FORMS = re.compile(
    r"(level|MTD|RP2D) (?P<level>[1-9][0-9]?)|wait|stop|resume|(MTD|RP2D) none|add dose (?P<dose>[0-9]{1,9}(\.[0-9]{1,9})?)"
)
_PAUSE = re.compile(r"(related-serious|boundary)(@(?P<level>[1-9][0-9]?))?")
_SUBJECTS = 'must be a JSON list of subjects, such as ["A2", "A5"]'
_RELEASED = 'must be subjects per pause rule in JSON form, such as {"related-serious": ["A2", "A5"], "boundary@2": ["B1"]}'


class Recorded(NamedTuple):
    """One decision of the committee.

    Attributes
    ----------
    as_of
        Data cutoff date of the data on which it was made.
    protocol
        Identifier of the protocol.
    data_sha256, config_sha256
        Hashes of the data and of the config.
    binding
        The primary design.
    recommendation
        What that design recommended.
    decision
        What was decided: "level 2", "wait", "stop", "resume" (after a safety pause), "MTD 2", "MTD none", "RP2D 2", "RP2D none" or
        "add dose 0.5".
    override
        "yes" where that is not the recommendation.
    reason
        The reason, in the committee's words.
    meeting
        Date of the meeting; ``None`` where none was given.
    attendees
        Who attended, as given.
    protocol_version
        Date of the protocol version in force at the data cutoff date; ``None`` in rows of earlier versions of dosefind.
    software_version
        Version of dosefind that made the recommendation.
    conditions
        Conditions of the decision, in the committee's words.
    released
        With "resume", the pauses that were in force and the subjects with an event of each at the data cutoff date, as
        `released_text` writes them. Empty with other decisions, and in rows of earlier versions of dosefind.
    with_dlt
        Subjects with a DLT in the data on which it was made, as a JSON list; empty in rows of earlier versions of dosefind.
    still_open
        Subjects whose outcome was still to come in those data, as a JSON list; empty likewise.
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
    meeting: date | None = None
    attendees: str = ""
    protocol_version: date | None = None
    software_version: str = ""
    conditions: str = ""
    released: str = ""
    with_dlt: str = ""
    still_open: str = ""

    @property
    def day(self) -> date:
        """Date of the meeting, or the data cutoff date where none was given."""
        return self.meeting or self.as_of

    @property
    def known_dlts(self) -> frozenset[str]:
        """Subjects of whom a DLT was known when the decision was made: none where the file does not say."""
        return frozenset(json.loads(self.with_dlt)) if self.with_dlt else frozenset()

    @property
    def known_open(self) -> frozenset[str]:
        """Subjects of whom it was known that the outcome was still to come: none where the file does not say."""
        return frozenset(json.loads(self.still_open)) if self.still_open else frozenset()


# Files of earlier versions ended with the reason, then with the conditions, then with what was released.
_LAST = ("released", "conditions", "reason")
_FILE = AddedTo("decision", Recorded._fields, earlier=tuple(Recorded._fields.index(last) + 1 for last in _LAST))


def read_decisions(path: Path | str, protocol: str) -> list[Recorded]:
    """Return the decisions on a protocol, in the order in which they were recorded; none where there is no such file.

    Raises
    ------
    InputError
        If the file cannot be read, or is not what `record_decision` writes.
    """
    path = Path(path)
    recorded = [_recorded(row, number, path) for number, row in enumerate(_FILE.rows(path), 2)]
    _FILE.check_order(path, [(one.protocol, one.as_of) for one in recorded])
    return [one for one in recorded if one.protocol == protocol]


def _recorded(row: list[str], number: int, path: Path) -> Recorded:
    cells: dict[str, Any] = dict(zip(Recorded._fields, row, strict=True))
    for column in ("as_of", "meeting", "protocol_version"):
        cells[column] = _FILE.day(path, number, column, cells[column]) if cells[column] or column == "as_of" else None
    try:
        released_subjects(cells["released"])
    except InputError:
        raise InputError(Problem(f"row {number}.released", cells["released"], _RELEASED), source=str(path)) from None
    for column in ("with_dlt", "still_open"):
        if cells[column] and not _are_subjects(cells[column]):
            raise InputError(Problem(f"row {number}.{column}", cells[column], _SUBJECTS), source=str(path))
    return Recorded(**cells)


def _are_subjects(text: str) -> bool:
    """Return whether a text is a JSON list of subjects."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(content, list) and all(isinstance(name, str) for name in content)


def renumbered(one: Recorded, then: Sequence[float], now: Sequence[float]) -> Recorded:
    """Return a decision with the level numbers of another version of the protocol, which has all doses of the version before.

    Parameters
    ----------
    one
        The decision.
    then, now
        Dose amounts of the version on which it was made, and of the other version, lowest first.

    Examples
    --------
    >>> from datetime import date
    >>> one = Recorded(date(2024, 3, 1), "X", "", "", "3+3", "level 2, 3 patients", "level 2", "no", "as recommended")
    >>> renumbered(one, (1, 3), (1, 2, 3)).decision
    'level 3'
    """
    if tuple(then) == tuple(now):
        return one

    def number(level: int) -> int:
        return tuple(now).index(then[level - 1]) + 1 if 1 <= level <= len(then) else level

    form = _FORMS.fullmatch(one.decision)
    decision = one.decision
    if form is not None and form["level"]:
        decision = f"{decision.split()[0]} {number(int(form['level']))}"
    released = {(kind, level and number(level)): sorted(who) for (kind, level), who in released_subjects(one.released).items()}
    return one._replace(decision=decision, released=released_text(released) if released else one.released)


def released_text(subjects: Mapping[tuple[str, int | None], Sequence[str]]) -> str:
    """Return the released pauses as they are put on file.

    Parameters
    ----------
    subjects
        Subjects with an event of the pause rule, by kind of the rule and dose level (``None`` for the whole trial).

    Examples
    --------
    >>> released_text({("related-serious", None): ["A2", "A5"], ("boundary", 2): ["B1"]})
    '{"related-serious": ["A2", "A5"], "boundary@2": ["B1"]}'
    """
    return json.dumps({kind + ("" if level is None else f"@{level}"): list(names) for (kind, level), names in subjects.items()})


def released_subjects(text: str) -> dict[tuple[str, int | None], frozenset[str]]:
    """Return what `released_text` put on file: subjects by kind of the pause rule and dose level; nothing for an empty text.

    Raises
    ------
    InputError
        If the text is not of that form.
    """
    try:
        content = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise InputError(Problem("released", text, _RELEASED))
    found = {}
    for key, names in content.items():
        rule = _PAUSE.fullmatch(key)
        if rule is None or not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise InputError(Problem("released", text, _RELEASED))
        found[rule[1], int(rule["level"]) if rule["level"] else None] = frozenset(names)
    return found


def check_form(decision: str, amounts: Sequence[float]) -> str:
    """Return a decision as it is put on file; refuse an unknown form, and a level or dose that does not fit the protocol's doses.

    Raises
    ------
    InputError
        If so.
    """
    words = re.sub(r"\b(mtd|rp2d)\b( level\b)?", lambda found: found[1].upper(), " ".join(decision.lower().split()))
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
        If the decision or ``released`` is not of a known form, no reason is given, a text is too long, it is dated before the last
        one, or the file cannot be written.
    """
    path = Path(path)
    if not _FORMS.fullmatch(recorded.decision):
        raise InputError(Problem("decision", recorded.decision, _ALLOWED))
    released_subjects(recorded.released)
    for column in ("with_dlt", "still_open"):
        if (text := getattr(recorded, column)) and not _are_subjects(text):
            raise InputError(Problem(column, text, _SUBJECTS))
    check_text("reason", recorded.reason, purpose="why it was decided so")
    for name in ("attendees", "conditions", "software_version"):
        check_text(name, getattr(recorded, name), required=False)
    for name in ("meeting", "protocol_version"):
        if getattr(recorded, name) is not None:
            calendar_day(name, getattr(recorded, name))

    def check() -> None:
        before = read_decisions(path, recorded.protocol)
        _FILE.refuse_before(path, before[-1].as_of if before else None, recorded.as_of)

    _FILE.add(path, recorded, check)
