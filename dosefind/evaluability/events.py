"""Judgement of one adverse event: a DLT, not a DLT, or open with the questions that would settle it.

An event counts from the day on which it reached a DLT grade. An event that began before the first infusion and continued into the
treatment period had it in the window only if it worsened there; if that day is unknown, the event is open.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Literal, NamedTuple

from ..patients import AdverseEvent, Patient
from ..protocol import DLT, Protocol
from ..words import _
from .window import followed_after_last, in_window, is_before, window

__all__ = ["Judged", "Question", "judge", "worse_on_treatment"]

Asked = Literal["grade", "relationship", "start", "worsening", "flag", "late", "laboratory"]
"""The unknown item: worst grade, relationship to treatment, start, day of worsening, reason for a DLT flag; whether an event that
followed a late infusion after the window is a DLT; or whether a laboratory value without an adverse event is one."""


class Question(NamedTuple):
    """A question that must be answered before the outcome of a patient is known.

    Attributes
    ----------
    source
        Row of the adverse event or laboratory value.
    asks
        The unknown item.
    words
        The question.
    """

    source: str
    asks: Asked
    words: str


class Judged(NamedTuple):
    """The judgement of an adverse event by the protocol's definition of a DLT.

    Attributes
    ----------
    conclusion
        "DLT", "open" or "not a DLT".
    reason
        Reason why it is not a DLT; for a DLT, data that contradict it; otherwise empty.
    day
        First day on which the DLT is known; ``None`` if the data give none, and for other conclusions.
    questions
        Questions to answer if it is open.
    """

    conclusion: Literal["DLT", "open", "not a DLT"]
    reason: str = ""
    day: date | None = None
    questions: tuple[Question, ...] = ()


def judge(event: AdverseEvent, patient: Patient, protocol: Protocol) -> Judged:
    """Return the judgement of an event: a DLT, not a DLT, or open.

    Parameters
    ----------
    event
        The event.
    patient
        The patient, for the DLT window.
    protocol
        The version of the protocol by which the patient is judged.

    Notes
    -----
    An event that the investigator flagged as a DLT is one unless it is outside the window, in which case it is open. A flag that an
    event is not a DLT does not override the definition. An event after the window is open if the last infusion was late and fewer
    days had passed since then than the window plans to follow it.
    """
    first, last = window(patient, protocol)
    found = _by_grade(event, protocol.dlt)
    timing = _timing(event, first, last, protocol.dlt)
    if event.flagged_dlt:
        if timing.inside is False:
            return Judged("open", questions=(_question(event, "flag", first, last, protocol.dlt, timing.reason),))
        although = _("flagged as a DLT by the investigator, although {reason}")
        flagged = although.format(reason=found) if found else _("flagged as a DLT by the investigator")
        return Judged("DLT", flagged, timing.day)
    unknown: list[Asked] = []
    if not found and timing.inside is False and _follows_late(event, patient, protocol):
        unknown.append("late")
    elif found or timing.inside is False:
        return Judged("not a DLT", found or timing.reason)
    if event.grade is None:
        unknown.append("grade")
    if protocol.dlt.is_related(event.related) is None:
        unknown.append("relationship")
    if timing.asks is not None:
        unknown.append(timing.asks)
    if unknown:
        return Judged("open", questions=tuple(_question(event, asks, first, last, protocol.dlt) for asks in unknown))
    contradiction = _("although the investigator flagged it as not a DLT") if event.flagged_dlt is False else ""
    return Judged("DLT", contradiction, timing.day)


def _follows_late(event: AdverseEvent, patient: Patient, protocol: Protocol) -> bool:
    """Return whether an event began after the window, and may have begun within the planned days after a late last infusion."""
    days, planned = followed_after_last(patient, protocol)
    last = window(patient, protocol)[1]
    until = last + timedelta(days=planned - days)
    return days < planned and in_window(event, last + timedelta(days=1), until) is not False


def _by_grade(event: AdverseEvent, dlt: DLT) -> str:
    """Return the reason why an event is not a DLT by term, grade or relationship, whatever its dates; empty if it can be one."""
    least = dlt.least_grade_of(event.term)
    if least is None:
        return _("an excluded term")
    if event.grade is not None and event.grade < least:
        return _("below grade {grade}").format(grade=least)
    return _("not related") if dlt.is_related(event.related) is False else ""


class _Timing(NamedTuple):
    """Whether an event had its DLT grade in the window: yes with the day, no with the reason, or unknown with the question."""

    inside: bool | None
    day: date | None = None
    reason: str = ""
    asks: Asked | None = None


def _timing(event: AdverseEvent, first: date, last: date, dlt: DLT) -> _Timing:
    """Return whether an event had its DLT grade in the window."""
    if event.end is not None and event.end < first:
        return _Timing(False, reason=_("it ended before the first infusion"))
    least = dlt.least_grade_of(event.term)
    began_inside, before = in_window(event, first, last) is True, is_before(event, first)
    after = not before and in_window(event, first, last) is False
    began_below = event.initial_grade is not None and least is not None and event.initial_grade < least
    if event.worsened is not None and event.worsened > last and not after:
        if began_below or before:
            return _Timing(False, reason=_("worsened on {day}, after the window").format(day=event.worsened))
        if event.initial_grade is None or not began_inside:
            return _Timing(None, asks="worsening" if began_inside else "start")
        return _Timing(True, _known_from(event, last))
    if began_inside:
        return _Timing(True, event.worsened if event.worsened is not None and began_below else _known_from(event, last))
    if after:
        return _Timing(False, reason=_("outside the window"))
    if event.worsened is not None and first <= event.worsened <= last:
        return _Timing(True, event.worsened)
    if not before:
        return _Timing(None, asks="start")
    worse = worse_on_treatment(event, first)
    if worse is False:
        return _Timing(False, reason=_there_before(event))
    if worse is None and event.initial_grade is None and event.end is None and not event.ongoing:
        return _Timing(False, reason=_("it began before the first infusion, and no data show that it worsened on treatment"))
    return _Timing(None, asks="worsening")


def _known_from(event: AdverseEvent, last: date) -> date:
    """Return the onset, or if its day is unknown, the latest possible day in the window."""
    return event.start or min(event.possible.latest or last, last)


def worse_on_treatment(event: AdverseEvent, first: date) -> bool | None:
    """Return whether an event that began before the first infusion worsened after it, or ``None`` if that is unknown.

    Parameters
    ----------
    event
        An event that began before the first infusion.
    first
        Day of the first infusion.
    """
    if event.end is not None and event.end < first:
        return False
    if event.emergent or event.flagged_dlt:
        return True
    if event.worsened is not None:
        return event.worsened >= first
    if event.grade is not None and event.initial_grade is not None and event.grade <= event.initial_grade:
        return False
    return None


def _there_before(event: AdverseEvent) -> str:
    """Return the reason why an event that began before the first infusion and continued into treatment is not a DLT."""
    if event.worsened is not None:
        return _("present before the first infusion, and worsened on {day}, before it").format(day=event.worsened)
    return _("present before the first infusion at grade {grade}").format(grade=event.initial_grade)


def _question(event: AdverseEvent, asks: Asked, first: date, last: date, dlt: DLT, reason: str = "") -> Question:
    """Return a question about an event in words."""
    least = dlt.least_grade_of(event.term) or dlt.least_grade
    if event.initial_grade is not None and event.initial_grade >= least:
        worsening = _("did it worsen in the DLT window, {first} to {last}?")
    elif event.initial_grade is None and is_before(event, first):
        worsening = _(
            "what was its grade before the first infusion, and did it reach grade {grade} or worse in the DLT window, {first} to "
            "{last}?"
        )
    else:
        worsening = _("did it reach grade {grade} or worse in the DLT window, {first} to {last}?")
    words = {
        "grade": _("what was its worst grade in the DLT window?"),
        "relationship": _("is it at least possibly related to treatment?"),
        "start": _("on which day did it begin?"),
        "worsening": worsening.format(grade=least, first=first, last=last),
        "late": _("it began after the DLT window, soon after an infusion that was late: is it a DLT?"),
        "flag": _("the investigator flagged it as a DLT, but {reason}: is it a DLT?").format(reason=reason),
    }
    return Question(event.source, asks, words[asks])
