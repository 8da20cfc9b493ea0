"""What holds escalation and enrolment: serious events that wait for adjudication, pause rules that have fired, DLTs in no count.

A serious event is released by its adjudication. A pause rule on a number of patients is released by a decision of the committee to
resume, until a patient whose event the committee did not know has such an event.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from ..decisions import Recorded, released_subjects, released_text
from ..evaluability import UNTREATED, Evaluated, SeriousEvent, Status
from ..evaluability.serious import DEATH, RELATED_SERIOUS
from ..monitoring import Counts, Trigger, fired
from ..protocol import Protocol

__all__ = ["Holds", "PatientCounts", "holds_of", "released_by", "safety_counts", "subjects_of", "trigger_words"]

# Events in words, by kind of the rule and, for a boundary, by `Pause.event`.
_EVENTS = {
    "death": "a death",
    "related-serious": "a related serious event",
    "serious": "a related serious event, related event of grade 4 or worse, or death",
    "dlt": "a DLT",
}


class Holds(NamedTuple):
    """What holds escalation and enrolment.

    Attributes
    ----------
    events
        Serious events that are not adjudicated, in the order of their day.
    pauses
        Pause rules that have fired and were not released.
    unplaced
        Patients with a DLT at a dose that is not in the protocol, which no design counts.
    """

    events: tuple[SeriousEvent, ...]
    pauses: tuple[Trigger, ...]
    unplaced: tuple[Status, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.events or self.pauses or self.unplaced)

    @property
    def words(self) -> str:
        """All of them in words."""
        outside = [f"DLT of {status.subject} at a dose that is not in the protocol" for status in self.unplaced]
        return "; ".join([*(event.words for event in self.events), *map(trigger_words, self.pauses), *outside])


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

    Notes
    -----
    A pause is released if every subject with an event of its rule is in the field ``released`` of a decision to resume: an event
    that was not known to the committee pauses again, whatever its onset. Where that field is empty (rows of earlier versions of
    dosefind), the latest such decision releases a pause while no more patients have an event than had one by onset at the data
    cutoff date of the decision; an event without a date is then taken for known.
    """
    events = tuple(event for event in evaluated.serious if event.holds)
    unplaced = tuple(one for one in evaluated.unplaced if one.otherwise == "dlt" and one.adjudication is None)
    if not protocol.pause.counts_patients:
        return Holds(events, (), unplaced)
    pauses = _fired(evaluated, protocol)
    resumed = [decision for decision in known if decision.decision == "resume"]
    listed: dict[tuple[str, int | None], frozenset[str]] = {}
    for decision in resumed:
        for rule, subjects in released_subjects(decision.released).items():
            listed[rule] = listed.get(rule, frozenset()) | subjects
    by = max((decision.as_of for decision in resumed if not decision.released), default=None)
    earlier = [] if by is None else _fired(evaluated, protocol, by)
    before = {_rule(pause): len(subjects_of(pause, evaluated, by)) for pause in earlier}

    def released(pause: Trigger) -> bool:
        subjects = subjects_of(pause, evaluated)
        return listed.get(_rule(pause), frozenset()).issuperset(subjects) or len(subjects) <= before.get(_rule(pause), -1)

    return Holds(events, tuple(pause for pause in pauses if not released(pause)), unplaced)


def _rule(pause: Trigger) -> tuple[str, int | None]:
    return pause.kind, pause.level


def _fired(evaluated: Evaluated, protocol: Protocol, by: date | None = None) -> list[Trigger]:
    """Return the pause rules on a number of patients that have fired by the events up to a day, judged after each patient."""
    patients = [(patient.level, patient.counts) for patient in safety_counts(evaluated, by)]
    return [pause for pause in fired(protocol.pause, patients, protocol.pause_max_n) if pause.kind != "death"]


def subjects_of(pause: Trigger, evaluated: Evaluated, by: date | None = None) -> tuple[str, ...]:
    """Return the subjects with an event of a pause rule, in the order of the first infusion.

    Parameters
    ----------
    pause
        The pause rule; all treated patients that it counts are looked at, also those treated after it fired.
    evaluated
        The patients.
    by
        Events up to this day only; those without a day are always included.
    """
    patients = safety_counts(evaluated, by)
    counted = [patient for patient in patients if pause.level in (None, patient.level)]
    return tuple(patient.subject for patient in counted if pause.events_in(patient.counts))


def released_by(holds: Holds, evaluated: Evaluated) -> str:
    """Return what a decision to resume releases, for `Recorded.released`: the pauses and the subjects with an event of each."""
    return released_text({_rule(pause): subjects_of(pause, evaluated) for pause in holds.pauses})


class PatientCounts(NamedTuple):
    """Counts of one treated patient.

    Attributes
    ----------
    subject
        The identifier that the user gave.
    level
        Dose level from 1; ``None`` at a dose that is not in the protocol.
    counts
        The patient's events.
    """

    subject: str
    level: int | None
    counts: Counts


def safety_counts(evaluated: Evaluated, by: date | None = None) -> tuple[PatientCounts, ...]:
    """Return the counts of each patient treated with the product, of every part, in the order of the first infusion.

    A death whose adverse event is related, or of open relationship, counts as a related serious event.

    Parameters
    ----------
    evaluated
        The patients.
    by
        Events up to this day only; those without a day are always counted.
    """
    events: dict[str, list[SeriousEvent]] = {}
    for event in evaluated.serious:
        if _known(event.day if event.days is None else event.days.latest, by):
            events.setdefault(event.subject, []).append(event)
    found = []
    for status in evaluated.statuses:
        if status.part not in UNTREATED:
            own = events.get(status.subject, [])
            counts = Counts(
                treated=1,
                deaths=int(any(DEATH in event.kinds for event in own)),
                related_serious=int(any(RELATED_SERIOUS in event.kinds for event in own)),
                serious=int(any(event.kinds for event in own)),
                dlts=int(status.kind == "dlt" and _known(status.closed, by)),
            )
            found.append(PatientCounts(status.subject, status.level, counts))
    return tuple(found)


def _known(day: date | None, by: date | None) -> bool:
    return by is None or day is None or day <= by


def trigger_words(trigger: Trigger) -> str:
    """Return a pause rule that has fired in words."""
    where = "in the trial" if trigger.level is None else f"at level {trigger.level}"
    # A boundary may have been reached with fewer patients than are treated now.
    of = f"the first {trigger.n}" if trigger.kind == "boundary" else f"{trigger.n}"
    event = _EVENTS[trigger.event or "serious"] if trigger.kind == "boundary" else _EVENTS[trigger.kind]
    patients = f"{trigger.events} of {of} treated patients {where}"
    return f"pause rule: {patients} had {event}, and enrolment pauses at {trigger.limit}"
