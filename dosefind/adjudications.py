"""Adjudications on file: conclusions of a committee or physician on whether an event is a DLT or a patient is evaluable.

The file is append-only. A later adjudication of the same event supersedes the earlier one (`in_force`), and both
stay in the file; the conclusion "retracted" withdraws the adjudications of an event. An event is identified by its subject, start
date and term; if it is worse in later data (grade, relationship, seriousness), it must be adjudicated again. Reading and
appending are defined in `dosefind.provenance.AddedTo`, the meaning of the hashes of its rows in `dosefind.chain`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from ._check import InputError, Problem, calendar_day, one_of, shown_key, whole
from .chain import Chain
from .days import read_days
from .patients import AdverseEvent, Patient
from .protocol import DLT, plain_words
from .provenance import AddedTo, check_text, day_of

__all__ = [
    "RELATIONSHIPS",
    "Adjudicated",
    "EventKey",
    "adjudications_on_file",
    "event_to_adjudicate",
    "in_force",
    "read_adjudications",
    "record_adjudication",
]

Conclusion = Literal["DLT", "not a DLT", "not evaluable", "retracted"]
Relationship = Literal["unrelated", "open", "related"]
Flag = Literal["yes", "no", ""]
FLAGS: tuple[Flag, ...] = get_args(Flag)
# In ascending order of weight.
RELATIONSHIPS: tuple[Relationship, ...] = get_args(Relationship)
_CONCLUSIONS: tuple[str, ...] = get_args(Conclusion)
_NAME = 200
_NUMBER = re.compile(r"[1-9][0-9]{0,6}")
# An adjudication is dated at most this long after the data cutoff date of the data used.
_LATEST = timedelta(days=366)


class EventKey(NamedTuple):
    """The identifiers of an adverse event of a patient; if all three are empty, the patient's DLT assessment as a whole.

    Attributes
    ----------
    date
        Start date, or a partial date as in the data; ``None`` if the data have none.
    term
        Term, as in the data.
    grade
        CTCAE grade; ``None`` if the data have none.
    """

    date: date | str | None = None
    term: str = ""
    grade: int | None = None


class Adjudicated(NamedTuple):
    """One adjudication.

    Attributes
    ----------
    as_of
        Data cutoff date of the data on which it is based.
    adjudicated_on
        Date of the meeting or of the adjudication.
    protocol
        Identifier of the protocol.
    data_sha256
        Hash of the data.
    subject
        Identifier of the patient.
    event_date, term, grade
        The adverse event: start date (a partial date as text), term and CTCAE grade, as far as recorded in the data. All three are
        empty (``None``, "", ``None``) in an adjudication of the patient's DLT assessment as a whole.
    conclusion
        "DLT", "not a DLT" or "not evaluable"; or "retracted", which withdraws the earlier adjudications of the event.
    adjudicated_by
        Name of the person or committee, as given.
    reason
        The reason, in their words.
    relationship
        Meaning of the word for the relationship to treatment: "related", "unrelated" or "open"; empty in rows of earlier versions
        of dosefind and if no adverse event is adjudicated.
    serious
        Whether the event was flagged as serious: "yes" or "no"; empty if the data did not say, or as for `relationship`.
    fatal
        Whether the event was fatal by its grade or outcome: "yes" or "no"; empty as for `relationship`.
    dlt_column
        Value of the DLT column of the data for the patient: "yes", "no", or empty.
    alike
        Number of events of the patient with this start date and term; ``None`` as for `relationship`.

    Examples
    --------
    >>> from datetime import date
    >>> one = Adjudicated(
    ...     *(date(2024, 3, 1), date(2024, 3, 4), "X", "", "P1", date(2024, 2, 3), "fever", 3),
    ...     *("not a DLT", "safety board", "infection"),
    ... )
    >>> one.event
    EventKey(date=datetime.date(2024, 2, 3), term='fever', grade=3)
    """

    as_of: date
    adjudicated_on: date
    protocol: str
    data_sha256: str
    subject: str
    event_date: date | str | None
    term: str
    grade: int | None
    conclusion: Conclusion
    adjudicated_by: str
    reason: str
    relationship: Relationship | Literal[""] = ""
    serious: Flag = ""
    fatal: Flag = ""
    dlt_column: Flag = ""
    alike: int | None = None

    @property
    def event(self) -> EventKey:
        """Return the adverse event; its fields are all empty for the DLT assessment as a whole."""
        return EventKey(self.event_date, self.term, self.grade)

    @property
    def of_assessment(self) -> bool:
        """Return whether this concerns the patient's DLT assessment as a whole."""
        return self.event == EventKey()


def read_adjudications(path: Path | str, protocol_id: str) -> list[Adjudicated]:
    """Read the adjudications for a protocol in the order of recording; return an empty list if there is no such file.

    Parameters
    ----------
    path
        The file.
    protocol_id
        Identifier of the protocol. Adjudications for other protocols are checked but not returned.

    Returns
    -------
    list of Adjudicated

    Raises
    ------
    InputError
        If the file cannot be read or a cell was not written by `record_adjudication`; the message states the file, row, column,
        value and what is allowed.

    Examples
    --------
    >>> import tempfile
    >>> from datetime import date
    >>> given = (date(2024, 3, 1), date(2024, 3, 4), "X", "", "P1", date(2024, 2, 3), "fever", 3)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "adjudications.csv"
    ...     record_adjudication(path, Adjudicated(*given, "not a DLT", "safety board", "infection"))
    ...     [one.conclusion for one in read_adjudications(path, "X")]
    ['not a DLT']
    """
    return adjudications_on_file(path, protocol_id)[0]


def adjudications_on_file(path: Path | str, protocol_id: str) -> tuple[list[Adjudicated], Chain]:
    """Return the adjudications for a protocol, as `read_adjudications` does, and the result of checking the hashes of all rows."""
    found, chain = _FILE.read(Path(path))
    return [adjudicated for _, adjudicated in found if adjudicated.protocol == protocol_id], chain


def record_adjudication(path: Path | str, adjudicated: Adjudicated) -> None:
    """Append an adjudication to the file, which is created if it does not exist.

    Parameters
    ----------
    path
        The file.
    adjudicated
        The adjudication.

    Raises
    ------
    InputError
        If a field is not valid, the adjudication is already on file, the data cutoff date is before that of the last
        adjudication for this protocol, or the file is damaged or cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from datetime import date
    >>> given = (date(2024, 3, 1), date(2024, 3, 4), "X", "", "P1", date(2024, 2, 3), "fever", 3)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "adjudications.csv"
    ...     record_adjudication(path, Adjudicated(*given, "not a DLT", "safety board", "infection"))
    ...     [one.conclusion for one in read_adjudications(path, "X")]
    ['not a DLT']
    """
    problems = list(_problems(adjudicated))
    if problems:
        raise InputError(problems)
    _FILE.add(Path(path), adjudicated, adjudicated)


def in_force(adjudications: Iterable[Adjudicated], as_of: date) -> list[Adjudicated]:
    """Select the latest adjudication of each event and of each DLT assessment, unless retracted, at a data cutoff date.

    Parameters
    ----------
    adjudications
        In the order in which they were recorded, as `read_adjudications` returns them.
    as_of
        The data cutoff date. Adjudications based on a later one are excluded.

    Returns
    -------
    list of Adjudicated
        At most one per subject and event, in the order of the file.
    """
    calendar_day("as_of", as_of)
    latest: dict[tuple[str, date | str | None, str, int | None], Adjudicated] = {}
    for adjudicated in adjudications:
        if adjudicated.as_of <= as_of:
            key = (adjudicated.subject, adjudicated.event_date, plain_words(adjudicated.term), adjudicated.grade)
            if adjudicated.conclusion == "retracted":
                latest = {other: kept for other, kept in latest.items() if other[:3] != key[:3]}
                continue
            latest.pop(key, None)
            latest[key] = adjudicated
    return list(latest.values())


def event_to_adjudicate(patient: Patient, dlt: DLT, event: str | None = None) -> EventKey:
    """Find the adverse event of a patient to which an adjudication refers.

    Parameters
    ----------
    patient
        The patient, as known at the data cutoff date.
    dlt
        The protocol's definition of a DLT, for the words for the relationship to treatment.
    event
        Start date in ISO form, or partial date as in the data; or number of the event among the patient's events, from 1; or
        "death"; or "none" for the patient's DLT assessment as a whole. Without it, the only event of grade 3 or worse, or serious
        and related.

    Returns
    -------
    EventKey

    Raises
    ------
    InputError
        If no event or more than one event fits; the message lists the candidates.

    Examples
    --------
    >>> from datetime import date
    >>> from dosefind.patients import AdverseEvent, Patient
    >>> fever = AdverseEvent("fever", 3, "related", date(2024, 2, 3), "ae.csv row 2")
    >>> event_to_adjudicate(Patient("P1", 1, 1.0, (date(2024, 2, 1),), events=(fever,)), DLT()).grade
    3
    """
    if event == "none":
        return EventKey()
    if event == "death":
        return _death(patient)
    numbered = list(enumerate(patient.events or (), start=1))
    if event is None:
        fitting = [(number, adverse) for number, adverse in numbered if _needs_adjudication(adverse, dlt)]
        wanted = "of grade 3 or worse, or serious and related"
    elif event.isascii() and event.isdigit() and len(event) < 10:
        fitting, wanted = [(number, adverse) for number, adverse in numbered if number == int(event)], "with this number"
    else:
        start: date | str = event
        try:
            start = read_days(event).certain or event
        except ValueError:
            allowed = "must be a start date such as 2024-03-14, the number of an event, 'death' or 'none'"
            raise InputError(Problem("event", event, allowed)) from None
        fitting, wanted = [(number, adverse) for number, adverse in numbered if adverse.onset == start], "that began on this date"
    keys = [EventKey(adverse.onset, adverse.term, adverse.grade) for _, adverse in fitting]
    if len(set(keys)) == 1 and keys[0] != EventKey():
        return keys[0]
    found = f"has {len(fitting)} events {wanted}" if fitting else f"has no event {wanted}"
    candidates = [_told(number, adverse, patient) for number, adverse in fitting or numbered]
    listed = f"; choose an event by its number: {'; '.join(candidates)}" if candidates else "; no event to choose from"
    raise InputError(f"subject {shown_key(patient.subject)} {found}{listed}")


def _death(patient: Patient) -> EventKey:
    """Identify a death: the adverse event of grade 5, otherwise the date of death."""
    fatal = [EventKey(adverse.onset, adverse.term, adverse.grade) for adverse in patient.events or () if adverse.grade == 5]
    if fatal:
        return fatal[0]
    died = patient.died
    if died is None:
        raise InputError(f"subject {shown_key(patient.subject)} has no date of death and no event of grade 5")
    return EventKey(died, "death", 5)


def _needs_adjudication(event: AdverseEvent, dlt: DLT) -> bool:
    if event.grade is not None and event.grade >= 3:
        return True
    return event.serious is True and dlt.is_related(event.related) is True


def _told(number: int, event: AdverseEvent, patient: Patient) -> str:
    """Describe a candidate by number, day, grade and term, and no other data of the patient."""
    grade = "grade not recorded" if event.grade is None else f"grade {event.grade}"
    day = "no start date" if event.onset is None else str(event.onset)
    if event.start is not None:
        day = f"{event.start}, day {(event.start - patient.infusions[0]).days + 1}" if patient.infusions else str(event.start)
    return f"{number} ({day}; {grade}; {shown_key(event.term)})"


def _parsed(cells: Mapping[str, str]) -> Adjudicated:
    """Return the adjudication in the cells of a row."""
    days = {name: day_of(name, cells[name]) for name in ("as_of", "adjudicated_on")}
    event_date = _event_date(cells["event_date"]) if cells["event_date"] else None
    grade = int(cells["grade"]) if cells["grade"] in ("1", "2", "3", "4", "5") else cells["grade"] or None
    alike = int(cells["alike"]) if _NUMBER.fullmatch(cells["alike"]) else cells["alike"] or None
    given: dict[str, Any] = {**cells, **days, "event_date": event_date, "grade": grade, "alike": alike}
    adjudicated = Adjudicated(**given)
    if problems := list(_problems(adjudicated)):
        raise InputError(problems)
    return adjudicated


def _event_date(text: str) -> date | str:
    """Return the date of an event, or its partial date as in the file."""
    try:
        return text if read_days(text).certain is None else day_of("event_date", text)
    except ValueError:
        return day_of("event_date", text)


def _check_event_date(given: date | str | None) -> None:
    if isinstance(given, str):
        try:
            partial = given != "" and read_days(given).certain is None
        except ValueError as error:
            raise InputError(Problem("event_date", given, str(error))) from None
        if not partial:
            raise InputError(Problem("event_date", given, "must be a date (datetime.date), or the text of a partial date"))
    elif given is not None:
        calendar_day("event_date", given)


def _problems(adjudicated: Adjudicated) -> Iterable[Problem]:
    """Check every field that was read or is to be written."""
    checks = [
        lambda: calendar_day("as_of", adjudicated.as_of),
        lambda: calendar_day("adjudicated_on", adjudicated.adjudicated_on),
        lambda: check_text("protocol", adjudicated.protocol, _NAME),
        lambda: check_text("data_sha256", adjudicated.data_sha256, _NAME, required=False),
        lambda: check_text("subject", adjudicated.subject, _NAME),
        lambda: _check_event_date(adjudicated.event_date),
        lambda: check_text("term", adjudicated.term, required=False),
        lambda: None if adjudicated.grade is None else whole("grade", adjudicated.grade, 1, 5),
        lambda: one_of("conclusion", adjudicated.conclusion, _CONCLUSIONS),
        lambda: check_text("adjudicated_by", adjudicated.adjudicated_by, _NAME),
        lambda: check_text("reason", adjudicated.reason, purpose="the reason for the conclusion"),
        lambda: one_of("relationship", adjudicated.relationship, (*RELATIONSHIPS, "")),
        lambda: one_of("serious", adjudicated.serious, FLAGS),
        lambda: one_of("fatal", adjudicated.fatal, FLAGS),
        lambda: one_of("dlt_column", adjudicated.dlt_column, FLAGS),
        lambda: None if adjudicated.alike is None else whole("alike", adjudicated.alike, 1, 10**6),
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
    given = adjudicated.event_date
    earliest = read_days(given).earliest if isinstance(given, str) else given
    if earliest is not None and earliest > adjudicated.as_of:
        yield Problem("event_date", str(given), f"is after the data cutoff date {adjudicated.as_of}")
        return
    latest = adjudicated.as_of + _LATEST
    if not (earliest or date.min) <= adjudicated.adjudicated_on <= latest:
        since = "" if earliest is None else f"on or after the start of the event, {earliest}, and "
        allowed = f"must be {since}at most a year after the data cutoff date {adjudicated.as_of}"
        yield Problem("adjudicated_on", adjudicated.adjudicated_on.isoformat(), allowed)


# Files of earlier versions ended with the reason.
_FILE = AddedTo("adjudication", Adjudicated._fields, (Adjudicated._fields.index("reason") + 1,), _parsed)
