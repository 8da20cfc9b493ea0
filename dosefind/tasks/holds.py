"""What holds escalation and enrolment: serious events that wait for adjudication, and pause rules that have fired.

A serious event is released by its adjudication. A pause rule on a number of patients is released by a decision of the committee to
resume, until a further patient has such an event.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import NamedTuple

from ..decisions import Recorded
from ..evaluability import UNTREATED, Evaluated, SeriousEvent
from ..evaluability.serious import DEATH, RELATED_SERIOUS
from ..monitoring import Counts, Trigger, crossed
from ..protocol import Protocol

__all__ = ["Holds", "holds_of", "safety_counts", "trigger_words"]


class Holds(NamedTuple):
    """What holds escalation and enrolment.

    Attributes
    ----------
    events
        Serious events that are not adjudicated, in the order of their day.
    pauses
        Pause rules that have fired and were not released.
    """

    events: tuple[SeriousEvent, ...]
    pauses: tuple[Trigger, ...]

    def __bool__(self) -> bool:
        return bool(self.events or self.pauses)

    @property
    def words(self) -> str:
        """All of them in words."""
        return "; ".join([*(event.words for event in self.events), *map(trigger_words, self.pauses)])


def holds_of(evaluated: Evaluated, protocol: Protocol, known: Sequence[Recorded]) -> Holds:
    """Return what holds escalation and enrolment at the data cutoff.

    Parameters
    ----------
    evaluated
        The patients.
    protocol
        The protocol, with its pause rules.
    known
        Decisions of the committee by then.
    """
    any_death = protocol.pause.any_death
    events = tuple(event for event in evaluated.serious if event.holds and (any_death or event.kinds != (DEATH,)))
    if not protocol.pause.counts_patients:
        return Holds(events, ())
    now = _fired(evaluated, protocol, evaluated.as_of)
    resumed = max((one.as_of for one in known if one.decision == "resume"), default=None)
    before = {} if resumed is None else {(one.kind, one.level): one.events for one in _fired(evaluated, protocol, resumed)}
    return Holds(events, tuple(one for one in now if one.events > before.get((one.kind, one.level), -1)))


def _fired(evaluated: Evaluated, protocol: Protocol, by: date) -> list[Trigger]:
    """Pause rules on a number of patients that have fired by the events up to a day."""
    counts = safety_counts(evaluated, by)
    return [one for one in crossed(protocol.pause, counts, protocol.pause_max_n) if one.kind != "death"]


def safety_counts(evaluated: Evaluated, by: date | None = None) -> dict[int | None, Counts]:
    """Return treated patients and patients with events by dose level, those of every part who were given the product.

    Parameters
    ----------
    evaluated
        The patients.
    by
        Events up to this day only; those without a day are always counted.
    """
    found: dict[int | None, Counts] = {}
    for status in evaluated.statuses:
        if status.part in UNTREATED:
            continue
        kinds = _kinds(event for event in evaluated.serious if event.subject == status.subject and _known(event.day, by))
        dlt = status.kind == "dlt" and _known(status.closed, by)
        one = Counts(1, int(DEATH in kinds), int(RELATED_SERIOUS in kinds), int(bool(kinds)), int(dlt))
        found[status.level] = found[status.level] + one if status.level in found else one
    return found


def _kinds(events: Iterable[SeriousEvent]) -> set[str]:
    return {kind for event in events for kind in event.kinds}


def _known(day: date | None, by: date | None) -> bool:
    return by is None or day is None or day <= by


def trigger_words(trigger: Trigger) -> str:
    """Return a pause rule that has fired in words."""
    where = "in the trial" if trigger.level is None else f"at level {trigger.level}"
    what = {"related-serious": "a related serious event", "death": "died"}.get(trigger.kind, "an event of the pause boundary")
    patients = f"{trigger.events} of {trigger.n} treated patients {where}"
    return f"pause rule: {patients} had {what}, and enrolment pauses at {trigger.limit}"
