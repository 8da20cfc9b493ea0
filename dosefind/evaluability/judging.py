"""`evaluate`: what was known by the data cutoff, what must hold before anybody is judged, and the notes on what was derived.

Nothing here reads a clock; what "today" is comes in as the data cutoff.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date

from .._check import InputError, Problem, calendar_day, of_type, shown_key
from ..adjudications import Adjudicated, in_force
from ..days import Days
from ..patients import AdverseEvent, Listed, Part, Patient, Patients
from ..protocol import Protocol, plain_words
from .cohorts import cohort_numbers, in_order, members, others, statuses
from .evaluated import UNTREATED, Evaluated, OpenDay, Status
from .liver import regraded
from .serious import SeriousEvent, early_events, part_of_patient, serious_events
from .verdict import Case, Verdict, counted_inside, decision_known_from, told_event, toxicities, verdict
from .window import rules_of, window

__all__ = ["evaluate", "known_by"]

# Names that a note gives.
_NAMED = 12


def evaluate(
    patients: Patients,
    protocol: Protocol,
    as_of: date | None = None,
    *,
    replay: bool = False,
    adjudications: Sequence[Adjudicated] = (),
    final: bool = False,
) -> Evaluated:
    """Judge each patient at a data cutoff: evaluable for DLT or not, with which outcome, and which serious events wait.

    Parameters
    ----------
    patients
        What the data say.
    protocol
        The protocol: its DLT window, its definition of a DLT, and what becomes of patients who do not complete the window. For each
        patient these are those of the version in force on the day of the first infusion; the dose levels are those of the version
        in force at the data cutoff.
    as_of
        The data cut. Without it, the last date in the data, which the result says.
    replay
        Go back to ``as_of``: what the data say of later days is left out as not yet known. Otherwise a date after ``as_of`` is an
        error. An event without a date is always known of.
    adjudications
        Adjudications on file; those made on a later data cutoff are left out.
    final
        Whether this is the final analysis: a possible DLT whose date can mean days inside and outside the DLT window then counts
        as inside, with a note. Before it, such a date keeps the outcome open (`Status.settled_by`).

    Returns
    -------
    Evaluated

    Raises
    ------
    InputError
        If a date lies after the data cut, a word for the relation of an event is unknown, a DLT column contradicts the adverse
        events or the DLT window, or rows are lost or counted twice.

    Examples
    --------
    >>> from dosefind import Protocol
    >>> protocol = Protocol.read(
    ...     {
    ...         "record": dict(id="X", title="X", population="X", product="X", version_date=date(2024, 1, 1)),
    ...         "doses": {"amounts": [1, 3], "unit": "mg"},
    ...         "treatment": {"infusion_days": [1], "dlt_window_days": 28, "no_overlap": True},
    ...         "limits": {"cohort_size": 3, "max_n": 12},
    ...         "target": {"rate": 0.25, "interval": [0.16, 0.33]},
    ...         "scenarios": {"low": [0.1, 0.2]},
    ...         "designs": {"3+3": {"kind": "3+3"}},
    ...     }
    ... )
    >>> day = date(2024, 3, 1)
    >>> patient = Patient("P1", level=1, amount=1, infusions=(day,), dlt=False, source=("patients.csv row 2",))
    >>> data = Patients((patient,), (), rows=1, notes=(), last_date=day, sha256="")
    >>> now = evaluate(data, protocol, as_of=date(2024, 3, 15))
    >>> now["P1"].kind, now["P1"].days_to_go, now["P1"].fraction
    ('pending', 14, 0.5)
    >>> now.cohorts(), [one.cohorts for one in now.completions()]
    ([], [[Cohort(level=1, n=1, dlts=0)], [Cohort(level=1, n=1, dlts=1)]])
    >>> evaluate(data, protocol, as_of=date(2024, 3, 29)).cohorts()
    [Cohort(level=1, n=1, dlts=0)]
    """
    of_type("patients", patients, Patients, "what the data's tables are read into")
    of_type("protocol", protocol, Protocol, "what load_protocol reads")
    if as_of is not None:
        calendar_day("as_of", as_of)
    if replay and as_of is None:
        raise InputError("replay = True needs as_of, the day to go back to")
    cut = patients.last_date if as_of is None else as_of
    later = _later_dates(patients.patients, cut)
    if later and not replay:
        hint = f"{later[-1].allowed}; to go back to that day, leaving out what came later, ask for a replay"
        raise InputError([*later[:-1], replace(later[-1], allowed=hint)])
    _check(patients, protocol)

    whole_data = cut >= patients.last_date
    ordered = [_decided(one, protocol, cut, whole_data) for one in sorted(patients.patients, key=_order)]
    known = [regraded(_placed(known_by(one, cut), protocol, cut), protocol) for one in ordered]
    if as_of is not None and not replay:
        # What the data say at a stated cutoff had begun by then.
        known = [replace(one, events=_begun_by(one.events, cut)) for one in known]
    infused = _followed([one for one in known if one.infusions], patients.keeps_contacts)
    said = _known_subjects(in_force(adjudications, cut), patients)
    inside: list[OpenDay] = []
    if final:
        pairs = [counted_inside(one, protocol, _case(one, (), said).adjudications) for one in infused]
        infused = [one for one, _ in pairs]
        inside = [day for _, days in pairs for day in days]
    serious = serious_events(infused, protocol, said)
    parts: list[Part] = [part_of_patient(one, protocol) for one in infused]
    verdicts = [
        verdict(one, protocol, cut, whole_data, _case(one, serious, said), part) for one, part in zip(infused, parts, strict=True)
    ]
    verdicts = [_final_words(found, inside) for found in verdicts]
    order = sorted(range(len(infused)), key=lambda place: in_order(infused[place], verdicts[place]))
    infused, verdicts = [infused[place] for place in order], [verdicts[place] for place in order]
    parts = [parts[place] for place in order]
    numbers, derived = cohort_numbers(infused, verdicts, parts, protocol)
    found = tuple(statuses(infused, verdicts, numbers, parts, protocol, cut))
    listed = (
        *patients.listed,
        *(Listed(row, f"no infusion by {cut}") for one in _not_yet(patients.patients, cut) for row in one.rows()),
    )
    return Evaluated(
        as_of=cut,
        as_of_assumed=as_of is None,
        statuses=found,
        patients=tuple(infused),
        members=members(infused, numbers, parts),
        listed=listed,
        rows=patients.rows,
        later_dates=len(later),
        notes=(
            *patients.notes,
            *_rows_left_out(listed),
            *_followed_as_said(known, infused, verdicts, cut),
            *derived,
            *_not_assessed(found),
            *_dlts_in_no_count(found),
            *_too_early(infused, protocol),
            *_doses_that_differ(infused, parts),
            *_words_read(infused, protocol),
            *_open_days(found),
            *_inside_at_the_end(inside),
        ),
        sha256=patients.sha256,
        others=others(infused, parts, protocol),
        serious=serious,
        final=final,
        counted_inside=tuple(inside),
    )


def _begun_by(events: tuple[AdverseEvent, ...] | None, cut: date) -> tuple[AdverseEvent, ...] | None:
    """Return events with the days that are possible by the data cutoff."""
    if events is None or all(event.days is None for event in events):
        return events
    return tuple(event._replace(days=event.days.narrowed(not_after=cut)) if event.days else event for event in events)


def _final_words(verdict: Verdict, inside: Iterable[OpenDay]) -> Verdict:
    """Return the verdict with the assumption of a final analysis where its DLT hangs on it."""
    if verdict.kind != "dlt" or not {day.source for day in inside} & set(verdict.source):
        return verdict
    return verdict._replace(rule=f"{verdict.rule}; counted as inside the DLT window in the final analysis")


def _open_days(found: Iterable[Status]) -> list[str]:
    """Note the possible DLTs whose day would settle the outcome."""
    names = [f"{day.subject} ({day.source}, {day.days}; {day.first} to {day.end})" for one in found for day in one.settled_by]
    rule = "possible DLTs on a day not known, open until it is known to be in the DLT window or not (a final analysis, --final, "
    return [f"{rule}counts them as inside): {_some(names)}"] if names else []


def _inside_at_the_end(inside: Iterable[OpenDay]) -> list[str]:
    """Note the dates that a final analysis counted as inside the DLT window."""
    names = [f"{one.subject} ({one.source}, {one.days})" for one in inside]
    return [f"final analysis: events on a day that is not known, counted as inside the DLT window: {_some(names)}"] if names else []


def _known_subjects(adjudications: Iterable[Adjudicated], patients: Patients) -> tuple[Adjudicated, ...]:
    """Return the adjudications, each of which must be of a patient of the data."""
    subjects = {one.subject for one in patients.patients}
    found = tuple(adjudications)
    unknown = [
        Problem("adjudications", one.subject, "must name a patient of the data") for one in found if one.subject not in subjects
    ]
    if unknown:
        raise InputError(unknown)
    return found


def _case(patient: Patient, serious: Iterable[SeriousEvent], said: Iterable[Adjudicated]) -> Case:
    """Return the serious events and adjudications of a patient."""
    own = tuple(one for one in said if one.subject == patient.subject)
    return Case(tuple(one for one in serious if one.subject == patient.subject), own)


def _dlts_in_no_count(found: Iterable[Status]) -> list[str]:
    """Note the DLTs of treated patients whom no design counts."""
    names = [f"{one.subject} ({one.part})" for one in found if one.kind == "dlt" and not one.pooled]
    return [f"DLTs that no design counts: {_some(names)}"] if names else []


def _doses_that_differ(patients: Iterable[Patient], parts: Iterable[Part]) -> list[str]:
    """Note the patients whose dose administered is not the one assigned; they are counted at the assigned level."""
    names = [
        f"{one.subject} ({', '.join(f'{amount:g}' for amount in one.administered)}, assigned {one.amount:g})"
        for one, part in zip(patients, parts, strict=True)
        if not one.as_assigned and part not in UNTREATED
    ]
    return [f"dose administered is not the dose assigned, by which level patients are counted: {_some(names)}"] if names else []


def _too_early(patients: Iterable[Patient], protocol: Protocol) -> list[str]:
    """Note the events that are called related and began before the first infusion, whose dates are to be checked."""
    names = early_events(patients, protocol)
    return [f"related to treatment, but began before the first infusion, so check the date: {_some(names)}"] if names else []


def _not_assessed(found: Iterable[Status]) -> list[str]:
    """Note the patients without a DLT whose last contact stands in for the DLT assessment that is not recorded."""
    names = [one.subject for one in found if one.kind == "complete" and not one.assessed]
    return [f"no DLT assessment is recorded, so adverse events and last contact stand in for it: {_some(names)}"] if names else []


def _order(patient: Patient) -> tuple[date, str]:
    return patient.infusions[0] if patient.infusions else date.max, patient.subject


# What was known by the data cut.


def _place(patient: Patient, field: str) -> str:
    return f"subject {shown_key(patient.subject)} ({', '.join(patient.source) or 'no source'}), {field}"


def _later_dates(patients: Iterable[Patient], cut: date) -> list[Problem]:
    allowed = f"lies after the data cut {cut}"
    return [
        Problem(_place(one, field), found.isoformat(), allowed) for one in patients for field, found in one.dates() if found > cut
    ]


def _not_yet(patients: Iterable[Patient], cut: date) -> list[Patient]:
    """Who had no infusion by a day, with all rows of theirs, those of later events too."""
    return [one for one in sorted(patients, key=_order) if all(day > cut for day in one.infusions)]


def known_by(patient: Patient, cut: date) -> Patient:
    """Return what was known of a patient by a day. Days without a date stay: they cannot be shown to be later."""
    left = patient.discontinued is not None and patient.discontinued <= cut
    stopped = patient.left_treatment is not None and patient.left_treatment <= cut
    # That there was a DLT is known from its day on; that there was none, for all days up to the cut.
    told = patient.dlt is not True or _begun(patient.dlt_date, patient.dlt_days, cut)
    return replace(
        patient,
        infusions=tuple(day for day in patient.infusions if day <= cut),
        amounts=patient.amounts[: sum(day <= cut for day in patient.infusions)],
        last_contact=None if patient.last_contact is None else min(patient.last_contact, cut),
        dlt=patient.dlt if told else False,
        dlt_date=patient.dlt_date if told else None,
        discontinued=patient.discontinued if left else None,
        reason=patient.reason if left else None,
        left_treatment=patient.left_treatment if stopped else None,
        left_treatment_reason=patient.left_treatment_reason if stopped else None,
        died=patient.died if patient.died is not None and patient.died <= cut else None,
        dlt_days=patient.dlt_days if told else None,
        events=None if patient.events is None else tuple(e.known_by(cut) for e in patient.events if _begun(e.start, e.days, cut)),
        labs=tuple(lab for lab in patient.labs if lab.day <= cut),
    )


def _decided(patient: Patient, protocol: Protocol, cut: date, whole_data: bool) -> Patient:
    """Return the patient without a recorded decision on evaluability that was not known by the data cutoff."""
    if patient.evaluable is None or whole_data or not patient.infusions or decision_known_from(patient, protocol) <= cut:
        return patient
    return replace(patient, evaluable=None, evaluable_reason=None)


def _begun(day: date | None, days: Days | None, cut: date) -> bool:
    """Return whether something can have begun by a day; what has no date can."""
    earliest = day if day is not None else None if days is None else days.earliest
    return earliest is None or earliest <= cut


# Amendments.


def _by_rules(patients: Iterable[Patient], protocol: Protocol) -> list[tuple[Protocol, list[Patient]]]:
    """Group patients by the version of the protocol that they are judged by."""
    groups: dict[date, tuple[Protocol, list[Patient]]] = {}
    for patient in patients:
        rules = rules_of(patient, protocol)
        groups.setdefault(rules.record.version_date, (rules, []))[1].append(patient)
    return list(groups.values())


def _placed(patient: Patient, protocol: Protocol, cut: date) -> Patient:
    """Return the patient with the level of the dose in the version in force at the data cut; the data have the latest one's."""
    amounts = protocol.in_force(cut).doses.amounts
    if amounts == protocol.versions[-1][1].doses.amounts:
        return patient
    same = (level for level, amount in enumerate(amounts, start=1) if math.isclose(amount, patient.amount, rel_tol=1e-9))
    return replace(patient, level=next(same, None))


# What must hold before anybody is judged.


def _check(patients: Patients, protocol: Protocol) -> None:
    unknown = [
        problem
        for rules, people in _by_rules(patients.patients, protocol)
        for word in _relations(people).values()
        for problem in _unknown_word(word, rules)
    ]
    if unknown:
        raise InputError(unknown)
    problems = [problem for one in patients.patients for problem in _contradictions(regraded(one, protocol), protocol)]
    subjects = Counter(one.subject for one in patients.patients)
    problems += [Problem("subject", s, "must be that of one patient only") for s, times in sorted(subjects.items()) if times > 1]
    escalation = [one for one in patients.patients if part_of_patient(one, protocol) == "escalation"]
    given = [one.subject for one in escalation if one.cohort is not None]
    if given and len(given) < len(escalation):
        without = next(one for one in escalation if one.cohort is None)
        problems.append(Problem(_place(without, "cohort"), None, "must be given for every patient or for none"))
    if problems:
        raise InputError(problems)
    counted = {row for one in patients.patients for row in one.rows()}
    found = len(counted) + len(patients.listed)
    if found != patients.rows or counted & {one.source for one in patients.listed}:
        allowed = f"must be those of patients, {len(counted)}, and those listed, {len(patients.listed)}, each row in one of them"
        raise InputError(Problem("rows", patients.rows, allowed))


def _relations(patients: Iterable[Patient]) -> dict[str, list[tuple[Patient, AdverseEvent]]]:
    """Return events by their word for the relation, in lower case; none of those without a word."""
    found: dict[str, list[tuple[Patient, AdverseEvent]]] = {}
    for one in patients:
        for event in one.events or ():
            if event.related is not None:
                found.setdefault(plain_words(event.related), []).append((one, event))
    return found


def _unknown_word(events: list[tuple[Patient, AdverseEvent]], protocol: Protocol) -> Iterator[Problem]:
    """One finding for all events with a word that the protocol does not know, at the first of them."""
    patient, event = events[0]
    try:
        protocol.dlt.is_related(event.related)
    except InputError as error:
        (problem,) = error.within(_place(patient, f"event of {event.source}"))
        yield replace(problem, allowed=problem.allowed + f"; {len(events)} events have it" * (len(events) > 1))


def _words_read(patients: Iterable[Patient], protocol: Protocol) -> list[str]:
    """Return how each word for a relation was read."""
    said: dict[bool | None, Counter[str]] = {True: Counter(), False: Counter(), None: Counter()}
    for rules, people in _by_rules(patients, protocol):
        for word, events in _relations(people).items():
            said[rules.dlt.is_related(word)][word] += len(events)
    meanings = ((True, "at least possibly related"), (False, "not related"), (None, "not assessed, so open"))
    listed = {meaning: ", ".join(f"{shown_key(word)} ({n})" for word, n in sorted(said[meaning].items())) for meaning in said}
    words = [f"{listed[meaning]} as {name}" for meaning, name in meanings if said[meaning]]
    return [f"words for the relation (events with it) read: {'; '.join(words)}"] if words else []


def _rows_left_out(listed: Iterable[Listed]) -> list[str]:
    """Return which rows make no patient, by their reason: one of them may be a patient whose infusion was forgotten."""
    by_reason: dict[str, list[str]] = {}
    for one in listed:
        by_reason.setdefault(one.reason, []).append(one.source)
    return [f"counted nowhere, {reason}: {_some(sources)}" for reason, sources in by_reason.items()]


def _followed(infused: list[Patient], keeps_contacts: bool) -> list[Patient]:
    """Return patients as known by the data cut. Where the data have a last contact of somebody still followed up, one without it is known
    to have been followed no longer than to the last of the own dates.
    """
    if not keeps_contacts or all(one.last_contact is None for one in infused if one.discontinued is None):
        return infused
    return [one if one.last_contact else replace(one, last_contact=max(day for _, day in one.dates())) for one in infused]


def _followed_as_said(known: Iterable[Patient], infused: Iterable[Patient], verdicts: Iterable[Verdict], cut: date) -> list[str]:
    """Of whom no last contact is given: how far follow-up is then taken to have gone."""
    without = {one.subject for one in known if one.last_contact is None and one.discontinued is None}
    hang = ("complete", "pending")
    silent = [one for one, found in zip(infused, verdicts, strict=True) if one.subject in without and found.kind in hang]
    if not silent:
        return []
    names = _some([one.subject for one in silent])
    if silent[0].last_contact is None:
        return [f"no last contact is given, so follow-up is assumed to have gone on to {cut}: {names}"]
    return [f"no last contact is given, as it is of others, so follow-up is taken to end with the patient's own last date: {names}"]


def _some(names: Sequence[str]) -> str:
    """Return the first so many names, and how many more there are."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _contradictions(patient: Patient, protocol: Protocol) -> Iterator[Problem]:
    """Return a DLT column against the window and the adverse events."""
    protocol = rules_of(patient, protocol)
    given = patient.dlt_date.isoformat() if patient.dlt_date is not None else str(patient.dlt_days) if patient.dlt_days else None
    if patient.dlt is not True and given is not None:
        yield Problem(_place(patient, "dlt_date"), given, f"must not be given where dlt = {patient.dlt}")
    if patient.dlt is None or not patient.infusions:
        return
    first, end = window(patient, protocol)
    outside = patient.dlt_date is not None and not first <= patient.dlt_date <= end
    if patient.dlt and (outside or (patient.dlt_days is not None and not patient.dlt_days.meets(first, end))):
        yield Problem(_place(patient, "dlt_date"), given, f"lies outside the DLT window, {first} to {end}")
    if patient.events is None:
        return
    made, open_ = toxicities(patient, protocol)
    if made and not patient.dlt:
        yield Problem(_place(patient, "dlt"), False, f"contradicts the adverse events: {told_event(made[0], first)} is a DLT")
    if patient.dlt and not made and not open_:
        allowed = f"contradicts the adverse events: none between {first} and {end} is a DLT by the definition under dlt"
        yield Problem(_place(patient, "dlt"), True, allowed)
