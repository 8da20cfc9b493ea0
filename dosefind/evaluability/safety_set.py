"""The safety set: all treated patients with their whole follow-up, and the events that reports list individually.

It includes patients of every part of the trial, and patients who are not evaluable for DLT. Adverse events that began before the
first infusion are excluded unless they were fatal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ..adjudications import Conclusion
from ..patients import AdverseEvent, Part, Patient
from ..protocol import Protocol, plain_words
from .evaluated import UNTREATED, Evaluated, Status
from .events import worse_on_treatment
from .serious import DEATH, SeriousEvent, adjudication_of
from .verdict import toxicities
from .window import is_before, rules_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ALL",
    "HIDDEN",
    "NO_LEVEL",
    "SafetyEvent",
    "UnseenSerious",
    "dose_groups",
    "safety_events",
    "safety_set",
    "unseen_serious",
]

ALL = "all"
"""Label of the row of all patients."""
NO_LEVEL = "not in the protocol"
"""Dose group of patients who were given a dose not in the protocol."""
HIDDEN = ""
"""Dose group of all patients if a dose group would reveal who did not receive the product."""

_SEVERE, _FATAL = 3, 5
_GRADES = (1, 2, 3, 4, 5)


class SafetyEvent(NamedTuple):
    """A DLT, a serious event or an event of grade 3 or worse.

    Attributes
    ----------
    subject
        The identifier supplied by the user.
    group
        Dose group, see `dose_groups`.
    part
        Part of the trial.
    day
        Onset, or day of death; ``None`` if the data give none.
    study_day
        The same as a study day, where the first infusion is day 1.
    event
        The adverse event; ``None`` for a DLT or a death without an adverse event.
    kinds
        Kinds of serious event, see `SeriousEvent`; empty if it is not serious.
    derived
        Conclusion by the protocol's definition, or by the DLT column if there is no event: "open" if the data leave it open.
    adjudicated
        Conclusion of the adjudication on file; ``None`` if there is none.
    waits
        Whether it awaits adjudication.
    """

    subject: str
    group: str
    part: Part
    day: date | None
    study_day: int | None
    event: AdverseEvent | None
    kinds: tuple[str, ...]
    derived: Literal["DLT", "not a DLT", "open"]
    adjudicated: Conclusion | None
    waits: bool

    @property
    def death(self) -> bool:
        """Return whether it is a death."""
        return DEATH in self.kinds


def dose_groups(evaluated: Evaluated, blinded: bool = False) -> dict[str, str]:
    """Return the dose group of each treated patient: the level, `NO_LEVEL`, or the part of a patient not given the product.

    Parameters
    ----------
    evaluated
        The patients.
    blinded
        Whether a group must not reveal who received the product. Patients on placebo or control then have the level of their
        cohort; if the data do not give it, all groups are `HIDDEN`.
    """
    groups = {status.subject: _group(status) for status in evaluated.statuses}
    untreated = [status for status in evaluated.statuses if status.part in UNTREATED]
    if not blinded or not untreated:
        return groups
    levels: dict[int, set[str]] = {}
    for status in evaluated.statuses:
        if status.cohort is not None and status.part not in UNTREATED:
            levels.setdefault(status.cohort, set()).add(groups[status.subject])
    for status in untreated:
        of_cohort = levels.get(status.cohort, set()) if status.cohort is not None else set()
        if len(of_cohort) != 1:
            return dict.fromkeys(groups, HIDDEN)
        groups[status.subject] = next(iter(of_cohort))
    return groups


def _group(status: Status) -> str:
    if status.part in UNTREATED:
        return status.part
    return NO_LEVEL if status.level is None else str(status.level)


def safety_events(evaluated: Evaluated, protocol: Protocol, blinded: bool = False) -> tuple[SafetyEvent, ...]:
    """Return every DLT, every serious event and every event of grade 3 or worse, by patient and day.

    Parameters
    ----------
    evaluated
        The patients.
    protocol
        The protocol with its amendments: each patient is judged by the version in force at the first infusion.
    blinded
        See `dose_groups`.
    """
    groups, found = dose_groups(evaluated, blinded), []
    for patient in evaluated.patients:
        found += _of_patient(patient, evaluated, protocol, groups[patient.subject])
    return tuple(found)


def _of_patient(patient: Patient, evaluated: Evaluated, protocol: Protocol, group: str) -> list[SafetyEvent]:
    status, first = evaluated[patient.subject], patient.infusions[0]
    own = [serious_event for serious_event in evaluated.serious if serious_event.subject == patient.subject]
    rules = rules_of(patient, protocol)
    dlts, open_ = toxicities(patient, rules)
    asked = {question.source for question in status.questions}
    emergent = {*_emergent(patient), *(event for event in open_ if event.source in asked)}
    adjudicated = () if status.adjudication is None else (status.adjudication,)

    def made(day: date | None, event: AdverseEvent | None, serious: SeriousEvent | None, derived: Any) -> SafetyEvent:
        adjudication = (
            serious.adjudication if serious else adjudication_of(adjudicated, event, patient, rules.dlt) if event else None
        )
        if adjudication is None and derived == "DLT" and status.adjudication is not None and status.adjudication.of_assessment:
            adjudication = status.adjudication
        return SafetyEvent(
            subject=patient.subject,
            group=group,
            part=status.part,
            day=day,
            study_day=None if day is None else (day - first).days + 1,
            event=event,
            kinds=serious.kinds if serious else (),
            derived=derived,
            adjudicated=None if adjudication is None else adjudication.conclusion,
            waits=serious is not None and serious.holds,
        )

    found = []
    for event in patient.events or ():
        if event not in emergent:
            continue
        serious = next((candidate for candidate in own if candidate.event == event), None)
        derived = "DLT" if event in dlts else "open" if event in open_ else "not a DLT"
        if derived != "not a DLT" or (event.grade or 0) >= _SEVERE or event.serious or serious:
            day = serious.day if serious and DEATH in serious.kinds else event.start
            found.append(made(day, event, serious, derived))
    found += [made(death.day, None, death, "not a DLT") for death in own if death.event is None]
    if patient.dlt and not dlts:
        found.append(made(patient.dlt_date, None, None, "DLT"))
    return sorted(found, key=lambda listed: (listed.day is not None, listed.day or date.min))


def _emergent(patient: Patient) -> list[AdverseEvent]:
    """Return adverse events that began since the first infusion or worsened after it, or may have done so.

    For an event that began before, the initial grade must be known to be below the worst grade if the data give no day of
    worsening.
    """
    first = patient.infusions[0]
    return [event for event in patient.events or () if not is_before(event, first) or _worsened(event, first)]


def _worsened(event: AdverseEvent, first: date) -> bool:
    worse = worse_on_treatment(event, first)
    return event.grade == _FATAL or bool(worse) or (worse is None and event.initial_grade is not None)


class UnseenSerious(NamedTuple):
    """Missing information on serious events, because of which some of them cannot be identified.

    Attributes
    ----------
    no_table
        Treated patients without a table of adverse events.
    no_seriousness
        Whether there are adverse events, and the data record the seriousness of none of them.
    not_given
        Number of related events, and events of unassessed relationship, that would be serious events if they were serious, and
        whose seriousness is not recorded.
    subjects
        Patients with such an event, in the order of first infusion.
    """

    no_table: tuple[str, ...] = ()
    no_seriousness: bool = False
    not_given: int = 0
    subjects: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.no_table or self.no_seriousness or self.not_given)


def unseen_serious(evaluated: Evaluated, protocol: Protocol) -> UnseenSerious:
    """Return the missing information on serious events, for all treated patients.

    Parameters
    ----------
    evaluated
        The patients.
    protocol
        The protocol with its amendments, for its words for the relationship to treatment.
    """
    shown = {(serious_event.subject, serious_event.event) for serious_event in evaluated.serious}
    events = [(patient, event) for patient in evaluated.patients for event in _emergent(patient)]
    missing = [
        patient.subject
        for patient, event in events
        if event.serious is None
        and (patient.subject, event) not in shown
        and rules_of(patient, protocol).dlt.is_related(event.related) is not False
    ]
    return UnseenSerious(
        no_table=tuple(patient.subject for patient in evaluated.patients if patient.events is None),
        no_seriousness=bool(events) and all(event.serious is None for _, event in events),
        not_given=len(missing),
        subjects=tuple(dict.fromkeys(missing)),
    )


def safety_set(evaluated: Evaluated, blinded: bool = False) -> dict[str, pd.DataFrame]:
    """Return the tables of the safety set: all treated patients with their whole follow-up.

    Parameters
    ----------
    evaluated
        The patients.
    blinded
        See `dose_groups`.

    Returns
    -------
    dict of str to pandas.DataFrame
        ``safety``: one row per dose group (``level``), then all patients; treated patients, patients with at least one event and
        number of events of each kind (``ae``, ``grade3``: grade 3 or worse, ``sae``: serious), patients who died, and patients by
        their worst grade (``worst_none``, ``worst_1`` to ``worst_5``, ``worst_unknown``: events without a grade only). What the
        unknown values are missing: adverse events if there is no table of them, serious ones if seriousness is not recorded.
        ``terms``: one row per system organ class, preferred term and dose group; patients, events and worst grade. Class and
        term are compared in lower case.
    """
    import pandas as pd

    groups = dose_groups(evaluated, blinded)
    by_group = _by_group(evaluated, groups)
    known = any(patient.events is not None for patient in evaluated.patients)
    told = known and any(event.serious is not None for patient in evaluated.patients for event in patient.events or ())
    died = {serious_event.subject for serious_event in evaluated.serious if DEATH in serious_event.kinds}
    rows = [{"level": name, **_counted(patients, died, known, told)} for name, patients in by_group.items()]
    table = pd.DataFrame(rows, columns=["level", *_COLUMNS])
    numbers = dict.fromkeys(_COLUMNS, "Int64")
    terms = pd.DataFrame(list(_terms(by_group)), columns=["organ_class", "term", "level", "patients", "events", "worst_grade"])
    return {"safety": table.astype(numbers), "terms": terms.astype({"worst_grade": "Int64"})}


_WORST = ("worst_none", *(f"worst_{grade}" for grade in _GRADES), "worst_unknown")
_EVENTS = ("ae_patients", "ae_events", "grade3_patients", "grade3_events", "sae_patients", "sae_events")
_COLUMNS = ("treated", *_EVENTS, "deaths", *_WORST)


def _by_group(evaluated: Evaluated, groups: Mapping[str, str]) -> dict[str, list[Patient]]:
    """Return the patients of each dose group, lowest level first, and of all groups."""
    names = sorted(set(groups.values()) - {HIDDEN}, key=lambda name: (not name.isdigit(), int(name) if name.isdigit() else 0, name))
    found = {name: [patient for patient in evaluated.patients if groups[patient.subject] == name] for name in names}
    return {**found, ALL: list(evaluated.patients)}


def _counted(patients: Iterable[Patient], died: set[str], known: bool, told: bool) -> dict[str, int | None]:
    """Return the counts of one dose group."""
    own = {patient.subject: _emergent(patient) for patient in patients}
    kinds = {
        "ae": own,
        "grade3": {subject: [event for event in events if (event.grade or 0) >= _SEVERE] for subject, events in own.items()},
        "sae": {subject: [event for event in events if event.serious or event.grade == _FATAL] for subject, events in own.items()},
    }
    found: dict[str, int | None] = {"treated": len(own)}
    for kind, events in kinds.items():
        there = told if kind == "sae" else known
        found[f"{kind}_patients"] = sum(map(bool, events.values())) if there else None
        found[f"{kind}_events"] = sum(map(len, events.values())) if there else None
    found["deaths"] = len(died & set(own))
    worst = [_worst(events) for events in own.values()]
    return found | {name: worst.count(name) if known else None for name in _WORST}


def _worst(events: list[AdverseEvent]) -> str:
    if not events:
        return "worst_none"
    grades = [event.grade for event in events if event.grade is not None]
    return f"worst_{max(grades)}" if grades else "worst_unknown"


def _terms(by_group: Mapping[str, Iterable[Patient]]) -> Iterator[dict[str, Any]]:
    """Return the rows of the table by system organ class and term: by class as spelled, then by term."""
    spelled: dict[tuple[str, str], tuple[str, str]] = {}
    found: dict[tuple[str, str], dict[str, list[tuple[str, AdverseEvent]]]] = {}
    for group, patients in by_group.items():
        for patient in patients:
            for event in _emergent(patient):
                key = (plain_words(event.organ_class or ""), plain_words(event.term))
                spelled.setdefault(key, (event.organ_class or "", event.term))
                found.setdefault(key, {}).setdefault(group, []).append((patient.subject, event))
    for key in sorted(found):
        organ_class, term = spelled[key]
        for group in by_group:
            there = found[key].get(group, [])
            if there:
                grades = [event.grade for _, event in there if event.grade is not None]
                yield {
                    "organ_class": organ_class,
                    "term": term,
                    "level": group,
                    "patients": len({subject for subject, _ in there}),
                    "events": len(there),
                    "worst_grade": max(grades, default=None),
                }
