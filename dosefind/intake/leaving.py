"""Discontinuation of treatment, discontinuation and completion of follow-up, from disposition, status and adverse events.

A patient who stops treatment is still in follow-up if a later contact shows it; otherwise the day of discontinuing treatment is
also that of discontinuing follow-up. Another word for a status is added to `_STATUS`.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from ..protocol import Protocol, plain_words
from ..words import _
from .cells import Cell, Findings, Row, Table, noted_subject, partial_date
from .entries import Dated, Draft, Entry

__all__ = [
    "Disposition",
    "State",
    "contact",
    "disposition",
    "is_lost",
    "leave",
    "leave_treatment",
    "leaves_follow_up",
    "left_by_events",
    "no_reason",
    "settle",
    "status",
]

State = Literal["left", "completed", "ongoing"]
_STATUS: dict[str, State] = {
    **dict.fromkeys(("discontinued", "withdrawn", "withdrew", "terminated", "left", "dropped out", "drop out", "dropout"), "left"),
    **dict.fromkeys(("completed", "complete", "completer", "finished"), "completed"),
    **dict.fromkeys(("ongoing", "on going", "active", "enrolled", "continuing", "in follow up", "not started"), "ongoing"),
}
_OF_STUDY = re.compile(
    r"^(early|prematurely|permanently) | (early|prematurely|permanently)$|( (from|of|in|on))?( the)?( study| trial| treatment)$"
)
_EARLY = re.compile(r"early (termination|discontinuation|withdrawal)|off (study|trial|treatment)|terminated|discontinued")
_LOST = re.compile(r"\blost to follow up\b|\bltfu\b")
_CONSENT = re.compile(
    r"\b(withdr\w+|revok\w+|revocation)( of)?( the)?( informed)? consent\b|\bconsent (was |has been )?(withdrawn|revoked)\b"
    r"|\bwithdrawal by (subject|patient|participant|parent guardian|parent)\b|\b(subject|patient) withdr\w+\b"
)
# Consent to a part of the trial that is not the follow-up for DLT.
_OPTIONAL = re.compile(r"\b(optional|bio ?bank\w*|genetic\w*|genomic\w*|pharmacogen\w*|sub ?study|future research|sampl\w+)\b")
_COMPLETED = re.compile(
    r"(study |trial |treatment |follow up )?(completed|completion|complete)( (of )?(the )?(study|trial|treatment|follow up))?"
)
_UNDER_WAY = frozenset({"ongoing", "on going", "enrolled", "on study", "on treatment", "in follow up"})
_TREATMENT = re.compile(r"(?<!post )(?<!pre )\b(treatment|drug|dosing|study product|investigational product|infusion)\b")
_FOLLOW_UP = re.compile(r"\bfollow up\b")
# Reasons for not completing, which without a category are read as a disposition event (CDISC codelist NCOMPLT).
_REASONS = frozenset(
    {
        *("adverse event", "completed", "disease relapse", "failure to meet randomization criteria", "lack of efficacy"),
        *("lost to follow up", "non compliance with study drug", "other", "physician decision", "pregnancy", "progressive disease"),
        *("protocol deviation", "protocol violation", "recovery", "site terminated by sponsor", "study terminated by sponsor"),
        *("technical problems", "withdrawal by parent/guardian", "withdrawal by subject"),
    }
)
_NO_REASON = frozenset(
    {"", "completed", "complete", "ongoing", "on going", "n/a", "na", "not applicable", "none", "study completed"}
)
_DRUG_STOPPED = re.compile(
    r"\b(drug|product|treatment|dose|dosing|infusion) (permanently )?(withdrawn|discontinued|stopped)\b|^permanently discontinued$"
)
_OFF_STUDY = re.compile(
    r"\b(withdr\w+|discontinu\w+|dropped out|removed|terminated)( early| permanently)?( from| of)?( the)? (study|trial)\b"
    r"|\b(study|trial) (was )?(discontinu\w+|withdraw\w+)\b"
)
_ADVERSE_EVENT = "ADVERSE EVENT"
# Action taken with study treatment, and other action taken.
_ACTIONS = ("AEACN", "AEACNOTH")


class Disposition(NamedTuple):
    """The content of a disposition row.

    Attributes
    ----------
    state
        "left", "completed" or "ongoing".
    treatment
        Whether it concerns treatment rather than follow-up.
    by_epoch
        Whether it has no subcategory, so that only its epoch can show this, which may be that of its date.
    """

    state: State
    treatment: bool
    by_epoch: bool


def disposition(row: Row) -> Disposition | None:
    """Return what a row of DS states on discontinuation or completion, or ``None`` if it is another kind of row.

    Loss to follow-up and withdrawal of consent are read in any category. A row concerns treatment by its subcategory, or
    by its epoch, unless it reports one of these two.
    """
    words = [row.cell(name).text for name in ("DSDECOD", "DSTERM")]
    lost, gone = any(map(is_lost, words)), any(map(leaves_follow_up, words))
    category, coded = plain_words(row.cell("DSCAT").text), plain_words(words[0])
    if not ("disposition" in category or (not category and coded in _REASONS) or gone):
        return None
    if _COMPLETED.fullmatch(coded) and not gone:
        state: State = "completed"
    else:
        state = "ongoing" if coded in _UNDER_WAY and not gone else "left"
    detail = plain_words(row.cell("DSSCAT").text)
    where = detail or plain_words(row.cell("EPOCH").text)
    of_treatment = _TREATMENT.search(where) is not None and not _FOLLOW_UP.search(where)
    return Disposition(state, of_treatment and not lost and (not gone or bool(detail)), by_epoch=not detail)


def is_lost(text: str | None) -> bool:
    """Return whether text reports that a patient was lost to follow-up."""
    return _LOST.search(plain_words(text or "")) is not None


def leaves_follow_up(text: str | None) -> bool:
    """Return whether text reports discontinuation of follow-up by its nature: lost to follow-up, or consent withdrawn."""
    words = plain_words(text or "")
    return is_lost(words) or (_CONSENT.search(words) is not None and _OPTIONAL.search(words) is None)


def no_reason(cell: Cell) -> bool:
    """Return whether a cell gives no reason for discontinuation."""
    return plain_words(cell.text) in _NO_REASON


def status(found: Findings, cell: Cell) -> State | None:
    """Return the state of a status variable (EOSSTT, EOTSTT), or ``None`` if it is empty or unknown, which is a finding."""
    text = found.text(cell)
    if text is None:
        return None
    words = plain_words(text)
    if _LOST.search(words) or _CONSENT.search(words) or _EARLY.search(words):
        return "left"
    if words in _UNDER_WAY:
        return "ongoing"
    state = _STATUS.get(words) or _STATUS.get(_OF_STUDY.sub("", words))
    if state is None:
        found.refuse(cell, "must be a status such as COMPLETED, ONGOING, DISCONTINUED, LOST TO FOLLOW-UP or WITHDRAWN, or empty")
    return state


def leave(entry: Entry, day: Dated | None, reason: str | None) -> None:
    """Record that the patient discontinued follow-up on that day, unless this happened earlier."""
    if day is not None and _is_earlier(day, reason, entry.discontinued, entry.reason):
        entry.discontinued, entry.reason = day, reason


def leave_treatment(entry: Entry, day: Dated | None, reason: str | None) -> None:
    """Record that the patient discontinued treatment on that day, unless this happened earlier."""
    if day is not None and _is_earlier(day, reason, entry.left_treatment, entry.left_treatment_reason):
        entry.left_treatment, entry.left_treatment_reason = day, reason


def _is_earlier(day: Dated, reason: str | None, now: Dated | None, now_reason: str | None) -> bool:
    """Return whether a day of discontinuation is earlier than the one recorded so far."""
    return now is None or (day.day, reason or "") < (now.day, now_reason or "")


def contact(entry: Entry, day: Dated | None, ends: bool) -> None:
    """Record a day on which the patient was known to be in follow-up.

    If follow-up ends on that day (``ends``), it is the last contact if no later one is recorded; otherwise it only makes a recorded
    last contact later. Days before the first infusion are ignored.
    """
    if day is None or day.day < entry.first:
        return
    if ends and entry.last_contact is None:
        entry.last_contact = day
    else:
        entry.contacts.append(day)


def settle(draft: Draft) -> None:
    """Set last contacts to the latest record, and read discontinued treatment as discontinued follow-up without a later contact."""
    for entry in draft.entries:
        known = entry.last_contact
        # A last contact before the last infusion is an error in the data, to be reported as such.
        if known is not None and known.day >= max(infusion.day for infusion in entry.infusions):
            entry.last_contact = max([known, *entry.contacts], key=lambda dated: dated.day)
        left, last = entry.left_treatment, entry.last_contact
        if left is not None and (last is None or last.day <= left.day):
            leave(entry, left, entry.left_treatment_reason)
            entry.left_treatment, entry.left_treatment_reason = None, None


def left_by_events(found: Findings, draft: Draft, table: Table, start: tuple[str, ...], protocol: Protocol) -> None:
    """Read from adverse events which patients stopped treatment (AEACN) or left the study (AEACNOTH) because of one.

    The day of stopping treatment is the onset. Leaving the study is dated by the last contact, or by the onset if that
    is later or no last contact is recorded.
    """
    if not any(map(table.has, _ACTIONS)):
        return
    entries = {entry.subject: entry for entry in draft.entries}
    # The few texts of actions taken repeat from event to event.
    taken, others = ({text: plain_words(text) for text in {row.cells.get(name, "") for row in table.rows}} for name in _ACTIONS)
    stopping = {text for text, words in taken.items() if _DRUG_STOPPED.search(words)}
    leaving = [{text for text, words in texts.items() if _OFF_STUDY.search(words)} for texts in (taken, others)]
    planned = len(protocol.treatment.infusion_days)
    for row in table.rows:
        entry = entries.get(row.subject)
        if entry is None:
            continue
        stopped = row.cells.get("AEACN", "") in stopping
        off = any(row.cells.get(name, "") in texts for name, texts in zip(_ACTIONS, leaving, strict=True))
        if not (stopped or off):
            continue
        cell = row.cell(*start)
        day = None if partial_date(cell.text) or row.cell("ASTDTF").text else found.day(cell)
        onset = None if day is None or day < entry.first else Dated(day, cell)
        if off:
            _off_study(found, entry, onset, row)
        elif onset is not None and len(entry.infusions) < planned and entry.discontinued is None:
            leave_treatment(entry, onset, _ADVERSE_EVENT)


def _off_study(found: Findings, entry: Entry, onset: Dated | None, row: Row) -> None:
    """Record that a patient left the study because of an event."""
    days = [day for day in (onset, entry.last_contact) if day is not None]
    last = max(days, key=lambda dated: dated.day, default=max(entry.infusions, key=lambda dated: dated.day))
    if entry.discontinued is None or last.day < entry.discontinued.day:
        words = _("{subject}: left the study because of an adverse event ({row}), read as discontinued on {date}")
        found.notes.append(words.format(subject=noted_subject(entry.subject), row=row.source, date=last.day))
    leave(entry, last, _ADVERSE_EVENT)
