"""The committee's decisions, on file: what the primary design recommended, what was decided, and why.

The file is append-only. A decision that differs from the design's recommendation is shown as such
from then on. Reading and appending are defined in `dosefind.provenance.AddedTo`, the meaning of the hashes of its rows in
`dosefind.chain`. Every row that is read is checked like a row to be written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from ._check import InputError, Problem, calendar_day, one_of
from .chain import Chain
from .provenance import AddedTo, check_text, day_of

__all__ = [
    "Recorded",
    "agrees",
    "check_form",
    "decisions_on_file",
    "read_decisions",
    "record_decision",
    "released_subjects",
    "released_text",
    "renumbered",
]

_ALLOWED = (
    "must be 'level 2', 'wait', 'stop', 'resume', 'MTD 2', 'MTD none', 'RP2D 2', 'RP2D none' or 'add dose 0.5', with your number"
)
_ALLOWED_RECOMMENDED = "must be 'level 2', 'wait', 'stop', 'MTD 2' or 'MTD none', with your number, or empty"
_FORMS = re.compile(
    r"(level|MTD|RP2D) (?P<level>[1-9][0-9]?)|wait|stop|resume|(MTD|RP2D) none|add dose (?P<dose>[0-9]{1,9}(\.[0-9]{1,9})?)"
)
_RECOMMENDED = re.compile(r"((level|MTD) [1-9][0-9]?|wait|stop|MTD none)?")
# Recommendations in rows of earlier versions, which held them as text only.
_NEXT_LEVEL = re.compile(r"(?:[a-z -]+ (?:to|at)) level ([1-9][0-9]?), [0-9]+ patients?(; enrolment on hold)?\b.*")
_STOP = re.compile(r"stop(?:, (?:no MTD|MTD level ([1-9][0-9]?))(?:, not reached \(that level or above\))?)?")
_WAIT = re.compile(r"wait(?: until .*|: escalation and enrolment on hold)?")
_VERSION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)*[A-Za-z0-9.+-]{0,40})?")
_NAME = 200
# A meeting is dated at most this long after the data cutoff date of the data used, as for an adjudication.
_LATEST = timedelta(days=366)
_PAUSE = re.compile(r"(related-serious|boundary)(@(?P<level>[1-9][0-9]?))?")
_SUBJECTS = 'must be a JSON list of subjects, such as ["A2", "A5"]'
_RELEASED = 'must be subjects per pause rule in JSON form, such as {"related-serious": ["A2", "A5"], "boundary@2": ["B1"]}'


class Recorded(NamedTuple):
    """One decision of the committee.

    Attributes
    ----------
    as_of
        Data cutoff date of the data on which it is based.
    protocol
        Identifier of the protocol.
    data_sha256, config_sha256
        Hashes of the data and of the config.
    binding
        The primary design.
    recommendation
        Recommendation of that design.
    decision
        The decision: "level 2", "wait", "stop", "resume" (after a safety pause), "MTD 2", "MTD none", "RP2D 2", "RP2D none" or
        "add dose 0.5".
    override
        "yes" if the decision differs from the recommendation.
    reason
        The reason, in the committee's words.
    meeting
        Date of the meeting; ``None`` if not given.
    attendees
        Attendees, as given.
    protocol_version
        Date of the protocol version in force at the data cutoff date; ``None`` in rows of earlier versions of dosefind.
    software_version
        Version of dosefind that made the recommendation.
    conditions
        Conditions of the decision, in the committee's words.
    released
        With "resume", the pauses in force and the subjects with an event of each at the data cutoff date, as written by
        `released_text`. Empty with other decisions, and in rows of earlier versions of dosefind.
    with_dlt
        Subjects with a DLT in the data on which it is based, as a JSON list; empty in rows of earlier versions of dosefind.
    still_open
        Subjects with a pending outcome in those data, as a JSON list; empty likewise.
    recommended
        The recommendation in the form of a decision: "level 2", "wait", "stop", "MTD 2" or "MTD none"; empty in rows of earlier
        versions of dosefind, of which `recommendation` is read instead.
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
    recommended: str = ""

    @property
    def day(self) -> date:
        """Return the date of the meeting, or the data cutoff date if it was not given."""
        return self.meeting or self.as_of

    @property
    def about(self) -> str:
        """Return what the decision is on: "level", "MTD", "RP2D", "add dose", "wait", "stop" or "resume"."""
        return self.decision.rpartition(" ")[0] or self.decision

    @property
    def level(self) -> int | None:
        """Return the level that the decision names, as its number was then; ``None`` if it names none."""
        form = _FORMS.fullmatch(self.decision)
        return int(form["level"]) if form and form["level"] else None

    @property
    def known_dlts(self) -> frozenset[str]:
        """Return the subjects with a DLT known when the decision was made; empty if the file does not say."""
        return frozenset(json.loads(self.with_dlt)) if self.with_dlt else frozenset()

    @property
    def known_open(self) -> frozenset[str]:
        """Return the subjects with an outcome known to be pending; empty if the file does not say."""
        return frozenset(json.loads(self.still_open)) if self.still_open else frozenset()


def read_decisions(
    path: Path | str,
    protocol: str,
    amounts: Callable[[date], Sequence[float]] | None = None,
    versions: Sequence[date] | None = None,
) -> list[Recorded]:
    """Return the decisions on a protocol in the order in which they were recorded; empty if there is no such file.

    Parameters
    ----------
    path
        The file.
    protocol
        Identifier of the protocol. Decisions on other protocols are checked but not returned.
    amounts
        Function from a data cutoff date to the dose amounts of the protocol version in force, in ascending order, against which
        levels and doses are checked; ``None`` for no such check.
    versions
        Dates of the versions of the protocol, against which recorded ones are checked; ``None`` for no such check.

    Raises
    ------
    InputError
        If the file cannot be read, or was not written by `record_decision`; the message states file, row, column, value and what is
        allowed.
    """
    return decisions_on_file(path, protocol, amounts, versions)[0]


def decisions_on_file(
    path: Path | str,
    protocol: str,
    amounts: Callable[[date], Sequence[float]] | None = None,
    versions: Sequence[date] | None = None,
) -> tuple[list[Recorded], Chain]:
    """Return the decisions on a protocol, as `read_decisions` does, and the result of checking the hashes of all rows."""
    path = Path(path)
    on_file, chain = _FILE.read(path)
    for number, recorded in on_file:
        if recorded.protocol != protocol:
            continue
        try:
            if amounts is not None:
                check_form(recorded.decision, amounts(recorded.as_of))
            if versions is not None and recorded.protocol_version is not None and recorded.protocol_version not in versions:
                allowed = f"must be the date of a version of the protocol: {', '.join(map(str, versions))}"
                raise InputError(Problem("protocol_version", str(recorded.protocol_version), allowed))
        except InputError as error:
            raise InputError(error.within(f"row {number}"), source=str(path)) from None
    return [recorded for _, recorded in on_file if recorded.protocol == protocol], chain


def _parsed(cells: Mapping[str, str]) -> Recorded:
    """Return the decision in the cells of a row."""
    given: dict[str, Any] = dict(cells)
    for column in ("as_of", "meeting", "protocol_version"):
        given[column] = day_of(column, cells[column]) if cells[column] or column == "as_of" else None
    recorded = Recorded(**given)
    if problems := list(_problems(recorded)):
        raise InputError(problems)
    return recorded


def _problems(recorded: Recorded) -> Iterable[Problem]:
    """Check every field that was read or is to be written."""
    checks = [
        lambda: calendar_day("as_of", recorded.as_of),
        lambda: check_text("protocol", recorded.protocol, _NAME),
        lambda: check_text("data_sha256", recorded.data_sha256, _NAME, required=False),
        lambda: check_text("config_sha256", recorded.config_sha256, _NAME, required=False),
        lambda: check_text("binding", recorded.binding, _NAME),
        lambda: check_text("recommendation", recorded.recommendation),
        lambda: _matched("decision", recorded.decision, _FORMS, _ALLOWED),
        lambda: one_of("override", recorded.override, ("yes", "no")),
        lambda: check_text("reason", recorded.reason, purpose="the reason for the decision"),
        lambda: recorded.meeting is None or calendar_day("meeting", recorded.meeting),
        lambda: check_text("attendees", recorded.attendees, required=False),
        lambda: recorded.protocol_version is None or calendar_day("protocol_version", recorded.protocol_version),
        lambda: _matched("software_version", recorded.software_version, _VERSION, "must be a version of dosefind, such as 0.1.0"),
        lambda: check_text("conditions", recorded.conditions, required=False),
        lambda: released_subjects(recorded.released),
        lambda: _check_subjects("with_dlt", recorded.with_dlt),
        lambda: _check_subjects("still_open", recorded.still_open),
        lambda: _matched("recommended", recorded.recommended, _RECOMMENDED, _ALLOWED_RECOMMENDED),
    ]
    found: list[Problem] = []
    for check in checks:
        try:
            check()
        except InputError as error:
            found += error.problems
    yield from found
    if found:
        return
    if recorded.meeting is not None and not recorded.as_of <= recorded.meeting <= recorded.as_of + _LATEST:
        allowed = f"must be on or within a year after the data cutoff date {recorded.as_of}"
        yield Problem("meeting", recorded.meeting.isoformat(), allowed)
    if recorded.released and recorded.decision != "resume":
        yield Problem("released", recorded.released, "must be empty unless the decision is 'resume'")
    recommended = recorded.recommended or _of_earlier(recorded.recommendation)
    agreed = agrees(recorded.decision, recommended, recorded.released)
    if agreed is not None and agreed != (recorded.override == "no"):
        found_word, word = ("differs from", "yes") if not agreed else ("agrees with", "no")
        allowed = f"must be '{word}': the decision {recorded.decision!r} {found_word} the recommendation {recommended!r}"
        yield Problem("override", recorded.override, allowed)


def agrees(decision: str, recommended: str, released: str) -> bool | None:
    """Return whether a decision agrees with the recommendation, or ``None`` if the row does not show it.

    Parameters
    ----------
    decision, recommended, released
        Fields of `Recorded`.

    Examples
    --------
    >>> agrees("level 2", "level 2", "")
    True
    >>> agrees("wait", "level 2", "")
    False
    >>> agrees("RP2D 1", "MTD 2", "")
    True
    """
    if decision == "resume":
        # "resume" agrees if a pause was in force, which rows of earlier versions do not state.
        return bool(released_subjects(released)) if released else None
    if not recommended:
        return None
    if recommended == "stop" or recommended.startswith("MTD"):
        # The design selects an MTD and no RP2D: only an RP2D above the MTD contradicts it.
        level = recommended.removeprefix("MTD ")
        top = int(level) if level.isdigit() else 0
        return decision in {"stop", recommended, "RP2D none", *(f"RP2D {level}" for level in range(1, top + 1))}
    return decision == recommended


def _of_earlier(recommendation: str) -> str:
    """Return the recommendation of an earlier version in the form of a decision, empty for text of an unknown form."""
    if _WAIT.fullmatch(recommendation):
        return "wait"
    if (stop := _STOP.fullmatch(recommendation)) is not None:
        return f"MTD {stop[1] or 'none'}" if "MTD" in recommendation else "stop"
    if (level := _NEXT_LEVEL.fullmatch(recommendation)) is not None:
        return "wait" if level[2] else f"level {level[1]}"
    return ""


def _matched(name: str, text: str, form: re.Pattern[str], allowed: str) -> None:
    if not isinstance(text, str) or not form.fullmatch(text):
        raise InputError(Problem(name, text, allowed))


def _check_subjects(name: str, text: str) -> None:
    if text and not _are_subjects(text):
        raise InputError(Problem(name, text, _SUBJECTS))


def _are_subjects(text: str) -> bool:
    """Return whether a text is a JSON list of subjects."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(content, list) and all(isinstance(name, str) for name in content)


def renumbered(recorded: Recorded, then: Sequence[float], now: Sequence[float]) -> Recorded:
    """Return a decision with the level numbers of another version of the protocol, which has all doses of the previous version.

    Parameters
    ----------
    recorded
        The decision.
    then, now
        Dose amounts of the version on which it was made, and of the other version, in ascending order.

    Examples
    --------
    >>> from datetime import date
    >>> recorded = Recorded(date(2024, 3, 1), "X", "", "", "3+3", "level 2, 3 patients", "level 2", "no", "as recommended")
    >>> renumbered(recorded, (1, 3), (1, 2, 3)).decision
    'level 3'
    """
    if tuple(then) == tuple(now):
        return recorded

    def number(level: int) -> int:
        return tuple(now).index(then[level - 1]) + 1 if 1 <= level <= len(then) else level

    def renamed(text: str) -> str:
        form = _FORMS.fullmatch(text)
        return f"{form[1]} {number(int(form['level']))}" if form and form["level"] else text

    released = {
        (kind, level and number(level)): sorted(subjects)
        for (kind, level), subjects in released_subjects(recorded.released).items()
    }
    return recorded._replace(
        decision=renamed(recorded.decision),
        recommended=renamed(recorded.recommended),
        released=released_text(released) if released else recorded.released,
    )


def released_text(subjects: Mapping[tuple[str, int | None], Sequence[str]]) -> str:
    """Return the released pauses as text for the file.

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
    """Return the content of `released_text`: subjects by kind of the pause rule and dose level; empty for an empty text.

    Raises
    ------
    InputError
        If the text does not have that form.
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
    """Return a decision as text for the file; reject an unknown form, and a level or dose that does not fit the protocol's doses.

    Raises
    ------
    InputError
        If it is rejected.
    """
    words = re.sub(r"\b(mtd|rp2d)\b( level\b)?", lambda found: found[1].upper(), " ".join(decision.lower().split()))
    form = _FORMS.fullmatch(words)
    if form is None:
        raise InputError(Problem("decision", decision, _ALLOWED))
    if form["level"] and int(form["level"]) > len(amounts):
        raise InputError(Problem("decision", decision, f"must be one of the protocol's {len(amounts)} levels"))
    if form["dose"] and float(form["dose"]) in (0, *amounts):
        shown = ", ".join(f"{amount:g}" for amount in amounts)
        raise InputError(Problem("decision", decision, f"must add a dose above 0 that is not in the protocol, which has {shown}"))
    return words


def record_decision(path: Path | str, recorded: Recorded) -> None:
    """Append a decision to the file, which is created if it does not exist.

    Parameters
    ----------
    path
        The file.
    recorded
        The decision.

    Raises
    ------
    InputError
        If a field is not valid, ``override`` contradicts the recommendation, the decision is already on file or dated before the
        last one, or the file is damaged or cannot be written.
    """
    if problems := list(_problems(recorded)):
        raise InputError(problems)
    _FILE.add(Path(path), recorded, recorded)


# Files of earlier versions ended with the reason, then with the conditions, the released pauses, and the pending subjects.
_LAST = ("still_open", "released", "conditions", "reason")
_FILE = AddedTo("decision", Recorded._fields, tuple(Recorded._fields.index(last) + 1 for last in _LAST), _parsed)
