"""Patients first treated while a pause rule held enrolment: findings of conduct that depend on the committee's decisions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date

from ..conduct import Finding
from ..decisions import Recorded
from ..evaluability import Evaluated
from ..protocol import Protocol
from ..words import _, marked
from .holds import holds_of, subjects_of, trigger_words

__all__ = ["starts_in_pause"]


def starts_in_pause(evaluated: Evaluated, protocol: Protocol, known: Sequence[Recorded]) -> tuple[Finding, ...]:
    """Return the starts between the day on which a pause rule on a number of patients fired and a decision to resume.

    Parameters
    ----------
    evaluated
        The patients.
    protocol
        The protocol with its amendments: a start is judged by the pause rules in force on its day.
    known
        Decisions of the committee, with the level numbers in force at the data cutoff date.

    Notes
    -----
    An event is taken for known from the day after its onset, or after the day of the death, and one without a day is left out. A
    decision to resume counts from the date of its meeting, or from its data cutoff date.
    """
    return tuple(_found(evaluated, protocol, known))


def _found(evaluated: Evaluated, protocol: Protocol, known: Sequence[Recorded]) -> Iterator[Finding]:
    for status in evaluated.statuses:
        rules = protocol.in_force(status.first)
        if not rules.pause.counts_patients:
            continue
        before = _before(evaluated, status.first)
        decided = [decision for decision in known if decision.day <= status.first]
        for pause in holds_of(before, rules, decided).pauses:
            words = _("{subject} was first treated on {date}, during a pause ({rule})").format(
                subject=status.subject, date=status.first, rule=trigger_words(pause)
            )
            subjects = tuple(dict.fromkeys((status.subject, *subjects_of(pause, before))))
            yield Finding(marked("started during a pause"), subjects, (status.first,), words)


def _before(evaluated: Evaluated, day: date) -> Evaluated:
    """Return the patients treated before a day, with the events and DLTs before it."""
    earlier = [status for status in evaluated.statuses if status.first < day]
    known = (
        replace(status, kind="pending") if status.kind == "dlt" and (status.closed is None or status.closed >= day) else status
        for status in earlier
    )
    serious = tuple(event for event in evaluated.serious if event.day is not None and event.day < day)
    return replace(evaluated, statuses=tuple(known), serious=serious)
