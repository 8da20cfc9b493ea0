"""What holds escalation and enrolment: serious events that wait for adjudication, pause rules that have fired, DLTs in no count.

A serious event is released by its adjudication. A pause rule on a number of patients is released by a decision of the committee to
resume, until a patient whose event the committee did not know has such an event.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..decisions import Recorded, released_subjects, released_text
from ..evaluability import UNTREATED, Evaluated, SeriousEvent, Status
from ..evaluability.serious import DEATH, EARLY, RELATED_SERIOUS
from ..monitoring import Counts, Trigger, fired
from ..protocol import Protocol
from ..words import _, marked

__all__ = ["Holds", "PatientCounts", "holds_of", "released_by", "safety_counts", "subjects_of", "trigger_words"]

# Events in words, by kind of the rule and, for a boundary, by `Pause.event`.
_EVENTS = {
    "death": marked("a death"),
    "related-serious": marked("a related serious event"),
    "serious": marked("a related serious event, related event of grade 4 or worse, or death"),
    "dlt": marked("a DLT"),
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
        Patients with a DLT that no design counts, as the dose is not in the protocol or the part of the trial is not pooled.
    """

    events: tuple[SeriousEvent, ...]
    pauses: tuple[Trigger, ...]
    unplaced: tuple[Status, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.events or self.pauses or self.unplaced)

    @property
    def words(self) -> str:
        """Return all of them in words."""
        elsewhere = _("DLT of {subject} at a dose that is not in the protocol, which no design counts")
        in_part = _("DLT of {subject} in {part}, which no design counts")
        outside = [
            (elsewhere if status.level is None else in_part).format(subject=status.subject, part=_(status.part))
            for status in self.unplaced
        ]
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
    that was not known to the committee pauses again, whatever its onset. A DLT in no count is released by a decision to resume, or
    on a level, that knew of it.
    """
    events = tuple(event for event in evaluated.serious if event.holds)
    in_no_count = (
        status for status in evaluated.statuses if status.part not in UNTREATED and not (status.pooled and status.counts)
    )
    decided = [one.known_dlts for one in known if one.about in ("resume", "level")]
    seen = frozenset().union(*decided)
    unplaced = tuple(one for one in in_no_count if one.has_dlt and one.subject not in seen)
    if not protocol.pause.counts_patients:
        return Holds(events, (), unplaced)
    pauses = _fired(evaluated, protocol)
    resumed = [decision for decision in known if decision.decision == "resume"]
    listed: dict[tuple[str, int | None], frozenset[str]] = {}
    for decision in resumed:
        for rule, subjects in released_subjects(decision.released).items():
            listed[rule] = listed.get(rule, frozenset()) | subjects

    def released(pause: Trigger) -> bool:
        return listed.get(_rule(pause), frozenset()).issuperset(subjects_of(pause, evaluated))

    return Holds(events, tuple(pause for pause in pauses if not released(pause)), unplaced)


def _level_of(patient: PatientCounts, evaluated: Evaluated, protocol: Protocol) -> int:
    """Return the level of a patient; of one at a dose that is not in the protocol, the highest level with no larger dose."""
    if patient.level is not None:
        return patient.level
    amount = next(one.amount for one in evaluated.patients if one.subject == patient.subject)
    return max(1, sum(dose <= amount for dose in protocol.doses.amounts))


def _rule(pause: Trigger) -> tuple[str, int | None]:
    return pause.kind, pause.level


def _fired(evaluated: Evaluated, protocol: Protocol) -> list[Trigger]:
    """Return the pause rules on a number of patients that have fired, judged after each patient."""
    # Of patients of one day, those with events are judged first, so that names decide nothing.
    ordered = sorted(safety_counts(evaluated), key=lambda one: (evaluated[one.subject].first, -one.counts.all_events))
    patients = [(_level_of(patient, evaluated, protocol), patient.counts) for patient in ordered]
    return [pause for pause in fired(protocol.pause, patients, protocol.pause_max_n) if pause.kind != "death"]


def subjects_of(pause: Trigger, evaluated: Evaluated) -> tuple[str, ...]:
    """Return the subjects with an event of a pause rule, in the order of the first infusion.

    Parameters
    ----------
    pause
        The pause rule; all treated patients that it counts are looked at, also those treated after it fired, and those at a dose
        that is not in the protocol.
    evaluated
        The patients.
    """
    patients = safety_counts(evaluated)
    counted = [patient for patient in patients if pause.level in (None, patient.level) or patient.level is None]
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


def safety_counts(evaluated: Evaluated) -> tuple[PatientCounts, ...]:
    """Return the counts of each patient treated with the product, of every part, in the order of the first infusion.

    A death whose adverse event is related, or of open relationship, counts as a related serious event. An event that is one only
    because its date is to be checked (`EARLY`) does not count.

    Parameters
    ----------
    evaluated
        The patients.
    """
    events: dict[str, list[SeriousEvent]] = {}
    for event in evaluated.serious:
        events.setdefault(event.subject, []).append(event)
    found = []
    for status in evaluated.statuses:
        if status.part not in UNTREATED:
            own = events.get(status.subject, [])
            counts = Counts(
                treated=1,
                deaths=int(any(DEATH in event.kinds for event in own)),
                related_serious=int(any(RELATED_SERIOUS in event.kinds for event in own)),
                serious=int(any(set(event.kinds) - {EARLY} for event in own)),
                dlts=int(status.has_dlt),
            )
            found.append(PatientCounts(status.subject, status.level, counts))
    return tuple(found)


def trigger_words(trigger: Trigger) -> str:
    """Return a pause rule that has fired in words."""
    event = _EVENTS[trigger.event or "serious"] if trigger.kind == "boundary" else _EVENTS[trigger.kind]
    # A boundary may have been reached with fewer patients than are treated now.
    first = trigger.kind == "boundary"
    if trigger.level is None:
        words = (
            _("pause rule: {events} of the first {n} patients treated in the trial had {event}; enrolment pauses at {limit}")
            if first
            else _("pause rule: {events} of {n} patients treated in the trial had {event}; enrolment pauses at {limit}")
        )
    else:
        words = (
            _("pause rule: {events} of the first {n} patients treated at level {level} had {event}; enrolment pauses at {limit}")
            if first
            else _("pause rule: {events} of {n} patients treated at level {level} had {event}; enrolment pauses at {limit}")
        )
    return words.format(events=trigger.events, n=trigger.n, level=trigger.level, event=_(event), limit=trigger.limit)
