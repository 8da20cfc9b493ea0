"""Whether one adverse event is a DLT, is not one, or is open with the questions that would settle it.

An event counts from the day on which it had a DLT grade. An event that began before the first infusion and lasted into the
treatment had it in the window only if it became worse there; where the day is not known, the event is open.
"""

from __future__ import annotations

from datetime import date
from typing import Literal, NamedTuple

from ..patients import AdverseEvent, Patient
from ..protocol import DLT, Protocol
from .window import in_window, is_before, window

__all__ = ["Judged", "Question", "judge", "worse_on_treatment"]

Asked = Literal["grade", "relationship", "start", "worsening", "flag", "laboratory"]
"""What is not known of an event: worst grade, relationship, start, day of worsening, why it was flagged as a DLT; or whether a
laboratory value that no event tells of is a DLT."""


class Question(NamedTuple):
    """A question that must be settled before the outcome of a patient is known.

    Attributes
    ----------
    source
        Row of the adverse event or laboratory value.
    asks
        What is not known.
    words
        The question.
    """

    source: str
    asks: Asked
    words: str


class Judged(NamedTuple):
    """What an adverse event is by the protocol's definition of a DLT.

    Attributes
    ----------
    conclusion
        "DLT", "open" or "not a DLT".
    reason
        Why it is not a DLT; of a DLT, what in the data contradicts that; empty where there is nothing to say.
    day
        First day on which the DLT is known; ``None`` where the data give none, and for other conclusions.
    questions
        Questions to settle where it is open.
    """

    conclusion: Literal["DLT", "open", "not a DLT"]
    reason: str = ""
    day: date | None = None
    questions: tuple[Question, ...] = ()


def judge(event: AdverseEvent, patient: Patient, protocol: Protocol) -> Judged:
    """Return what an event is: a DLT, not a DLT, or open.

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
    An event that the investigator flagged as a DLT is one unless it lies outside the window, which is then open. A flag that an
    event is not a DLT does not overrule the definition.
    """
    first, last = window(patient, protocol)
    found = _by_grade(event, protocol.dlt)
    timing = _timing(event, first, last, protocol.dlt)
    if event.flagged_dlt:
        if timing.inside is False:
            return Judged("open", questions=(_question(event, "flag", first, last, protocol.dlt, timing.reason),))
        return Judged("DLT", f"flagged as a DLT by the investigator{f', although {found}' if found else ''}", timing.day)
    if found or timing.inside is False:
        return Judged("not a DLT", found or timing.reason)
    unknown: list[Asked] = []
    if event.grade is None:
        unknown.append("grade")
    if protocol.dlt.is_related(event.related) is None:
        unknown.append("relationship")
    if timing.asks is not None:
        unknown.append(timing.asks)
    if unknown:
        return Judged("open", questions=tuple(_question(event, asks, first, last, protocol.dlt) for asks in unknown))
    contradiction = "although the investigator flagged it as not a DLT" if event.flagged_dlt is False else ""
    return Judged("DLT", contradiction, timing.day)


def _by_grade(event: AdverseEvent, dlt: DLT) -> str:
    """Return why an event is not a DLT by its term, grade or relationship, whatever its dates; empty if it can be."""
    least = dlt.least_grade_of(event.term)
    if least is None:
        return "a term left out"
    if event.grade is not None and event.grade < least:
        return f"below grade {least}"
    return "not related" if dlt.is_related(event.related) is False else ""


class _Timing(NamedTuple):
    """Whether an event had its DLT grade in the window: yes with the day, no with the reason, or not known with what is asked."""

    inside: bool | None
    day: date | None = None
    reason: str = ""
    asks: Asked | None = None


def _timing(event: AdverseEvent, first: date, last: date, dlt: DLT) -> _Timing:
    """Return whether an event had its DLT grade in the window."""
    if event.end is not None and event.end < first:
        return _Timing(False, reason="it ended before the first infusion")
    least = dlt.least_grade_of(event.term)
    began_inside, before = in_window(event, first, last) is True, is_before(event, first)
    after = not before and in_window(event, first, last) is False
    began_below = event.initial_grade is not None and least is not None and event.initial_grade < least
    if event.worsened is not None and event.worsened > last and not after:
        if began_below or before:
            return _Timing(False, reason=f"became worse on {event.worsened}, after the window")
        if event.initial_grade is None or not began_inside:
            return _Timing(None, asks="worsening" if began_inside else "start")
        return _Timing(True, _known_from(event, last))
    if began_inside:
        return _Timing(True, event.worsened if event.worsened is not None and began_below else _known_from(event, last))
    if after:
        return _Timing(False, reason="outside the window")
    if event.worsened is not None and first <= event.worsened <= last:
        return _Timing(True, event.worsened)
    if not before:
        return _Timing(None, asks="start")
    worse = worse_on_treatment(event, first)
    if worse is False:
        return _Timing(False, reason=_there_before(event))
    if worse is None and event.initial_grade is None and event.end is None and not event.ongoing:
        return _Timing(False, reason="it began before the first infusion, and nothing says that it became worse on treatment")
    return _Timing(None, asks="worsening")


def _known_from(event: AdverseEvent, last: date) -> date:
    """Return the onset; where its day is not known, the latest day possible in the window."""
    return event.start or min(event.possible.latest or last, last)


def worse_on_treatment(event: AdverseEvent, first: date) -> bool | None:
    """Return whether an event that began before the first infusion became worse after it; ``None`` where that is not known.

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
    """Return why an event that began before the first infusion and lasted into the treatment is not a DLT."""
    if event.worsened is not None:
        return f"there before the first infusion, and became worse on {event.worsened}, before it"
    return f"there before the first infusion at grade {event.initial_grade}"


def _question(event: AdverseEvent, asks: Asked, first: date, last: date, dlt: DLT, reason: str = "") -> Question:
    """Return a question about an event in words."""
    least = dlt.least_grade_of(event.term) or dlt.least_grade
    reached = f"did it reach grade {least} or worse in the DLT window, {first} to {last}?"
    if event.initial_grade is not None and event.initial_grade >= least:
        reached = f"did it become worse in the DLT window, {first} to {last}?"
    words = {
        "grade": "what was its worst grade in the DLT window?",
        "relationship": "is it at least possibly related to the treatment?",
        "start": "on which day did it begin?",
        "worsening": f"{'what was its grade before the first infusion, and ' if _lacks_initial(event, first) else ''}{reached}",
        "flag": f"the investigator flagged it as a DLT, but {reason}: is it a DLT?",
    }
    return Question(event.source, asks, words[asks])


def _lacks_initial(event: AdverseEvent, first: date) -> bool:
    return event.initial_grade is None and is_before(event, first)
