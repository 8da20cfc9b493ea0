"""`evaluate`: the data known by the data cutoff date, checks before patients are judged, and notes on what was derived.

No clock is read here; the current date comes in as the data cutoff date.
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
from ..words import _, counted
from .cohorts import cohort_numbers, in_order, members, others, statuses
from .evaluated import UNTREATED, Evaluated, OpenDay, Status
from .liver import regraded
from .serious import SeriousEvent, early_events, part_of_patient, serious_events
from .verdict import Case, Verdict, counted_inside, decision_known_from, told_event, toxicities, verdict
from .window import rules_of, window

__all__ = ["evaluate", "known_by"]

# Maximum number of names in a note.
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
    """Judge each patient at a data cutoff date: evaluability for DLT, outcome, and serious events awaiting adjudication.

    Parameters
    ----------
    patients
        The data.
    protocol
        The protocol: its DLT window, its definition of a DLT, and its rules for patients who do not complete the window. For each
        patient the version in force on the day of the first infusion applies; the dose levels are those of the version
        in force at the data cutoff date.
    as_of
        The data cutoff date. By default the last date in the data, which the result states.
    replay
        Return to ``as_of``: data of later days are ignored as not yet known. Otherwise a date after ``as_of`` is an
        error. An event without a date is always known.
    adjudications
        Adjudications on file; those based on a later data cutoff date are ignored.
    final
        Whether this is the final analysis: a possible DLT whose date may be inside or outside the DLT window then counts
        as inside, with a note. Before it, such a date keeps the outcome open (`Status.settled_by`).

    Returns
    -------
    Evaluated

    Raises
    ------
    InputError
        If a date is after the data cutoff date, a word for an event's relationship is unknown, a DLT column contradicts the adverse
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
    of_type("patients", patients, Patients, "the result of reading the data, as by read_patients")
    of_type("protocol", protocol, Protocol, "load_protocol returns one")
    if as_of is not None:
        calendar_day("as_of", as_of)
    if replay and as_of is None:
        raise InputError("replay = True needs as_of, the date to return to")
    cut = patients.last_date if as_of is None else as_of
    later = _later_dates(patients.patients, cut)
    if later and not replay:
        hint = f"{later[-1].allowed}; to return to that date and ignore later data, request a replay"
        raise InputError([*later[:-1], replace(later[-1], allowed=hint)])
    _check(patients, protocol)

    whole_data = cut >= patients.last_date
    ordered = [_decided(patient, protocol, cut, whole_data) for patient in sorted(patients.patients, key=_order)]
    known = [regraded(_placed(known_by(patient, cut), protocol, cut), protocol) for patient in ordered]
    if as_of is not None and not replay:
        # Data at a stated cutoff date concern events that had begun by then.
        known = [replace(patient, events=_begun_by(patient.events, cut)) for patient in known]
    infused = _followed([patient for patient in known if patient.infusions], patients.keeps_contacts)
    adjudicated = _known_subjects(in_force(adjudications, cut), patients)
    inside: list[OpenDay] = []
    if final:
        pairs = [counted_inside(patient, protocol, _case(patient, (), adjudicated).adjudications) for patient in infused]
        infused = [patient for patient, _ in pairs]
        inside = [day for _, days in pairs for day in days]
    serious = serious_events(infused, protocol, adjudicated)
    parts: list[Part] = [part_of_patient(patient, protocol) for patient in infused]
    verdicts = [
        verdict(patient, protocol, cut, whole_data, _case(patient, serious, adjudicated), part)
        for patient, part in zip(infused, parts, strict=True)
    ]
    verdicts = [_final_words(found, inside) for found in verdicts]
    order = sorted(range(len(infused)), key=lambda place: in_order(infused[place], verdicts[place]))
    infused, verdicts = [infused[place] for place in order], [verdicts[place] for place in order]
    parts = [parts[place] for place in order]
    numbers, derived = cohort_numbers(infused, verdicts, parts, protocol)
    found = tuple(statuses(infused, verdicts, numbers, parts, protocol, cut))
    listed = (
        *patients.listed,
        *(
            Listed(row, _("no infusion by {date}").format(date=cut))
            for patient in _not_yet(patients.patients, cut)
            for row in patient.rows()
        ),
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
    """Return events with the days that are possible by the data cutoff date."""
    if events is None or all(event.days is None for event in events):
        return events
    return tuple(event._replace(days=event.days.narrowed(not_after=cut)) if event.days else event for event in events)


def _final_words(verdict: Verdict, inside: Iterable[OpenDay]) -> Verdict:
    """Return the verdict with the assumption of a final analysis if its DLT depends on it."""
    if verdict.kind != "dlt" or not {day.source for day in inside} & set(verdict.source):
        return verdict
    words = _("{reason}; counted as inside the DLT window in the final analysis")
    return verdict._replace(rule=words.format(reason=verdict.rule))


def _open_days(found: Iterable[Status]) -> list[str]:
    """Note the possible DLTs whose day would settle the outcome."""
    name = _("{subject} ({row}, {date}; {first} to {last})")
    names = [
        name.format(subject=day.subject, row=day.source, date=day.days, first=day.first, last=day.end)
        for status in found
        for day in status.settled_by
    ]
    words = _(
        "possible DLTs on an unknown day, open until it is known whether it is in the DLT window (a final analysis, --final, "
        "counts them as inside): {patients}"
    )
    return [words.format(patients=_some(names))] if names else []


def _inside_at_the_end(inside: Iterable[OpenDay]) -> list[str]:
    """Note the dates that a final analysis counted as inside the DLT window."""
    names = [f"{open_day.subject} ({open_day.source}, {open_day.days})" for open_day in inside]
    words = _("final analysis: events on an unknown day, counted as inside the DLT window: {patients}")
    return [words.format(patients=_some(names))] if names else []


def _known_subjects(adjudications: Iterable[Adjudicated], patients: Patients) -> tuple[Adjudicated, ...]:
    """Return the adjudications, each of which must refer to a patient in the data."""
    subjects = {patient.subject for patient in patients.patients}
    found = tuple(adjudications)
    unknown = [
        Problem("adjudications", adjudicated.subject, "must be a patient in the data")
        for adjudicated in found
        if adjudicated.subject not in subjects
    ]
    if unknown:
        raise InputError(unknown)
    return found


def _case(patient: Patient, serious: Iterable[SeriousEvent], adjudications: Iterable[Adjudicated]) -> Case:
    """Return the serious events and adjudications of a patient."""
    own = tuple(adjudicated for adjudicated in adjudications if adjudicated.subject == patient.subject)
    return Case(tuple(serious_event for serious_event in serious if serious_event.subject == patient.subject), own)


def _dlts_in_no_count(found: Iterable[Status]) -> list[str]:
    """Note the DLTs of treated patients who are counted by no design."""
    names = [f"{status.subject} ({_(status.part)})" for status in found if status.kind == "dlt" and not status.pooled]
    return [_("DLTs not counted by any design: {patients}").format(patients=_some(names))] if names else []


def _doses_that_differ(patients: Iterable[Patient], parts: Iterable[Part]) -> list[str]:
    """Note the patients whose administered dose is not the assigned dose; they are counted at the assigned level."""
    name = _("{subject} ({amounts}, assigned {assigned})")
    names = [
        name.format(
            subject=patient.subject,
            amounts=", ".join(f"{amount:g}" for amount in patient.administered),
            assigned=f"{patient.amount:g}",
        )
        for patient, part in zip(patients, parts, strict=True)
        if not patient.as_assigned and part not in UNTREATED
    ]
    words = _("administered dose differs from the assigned dose, at whose level patients are counted: {patients}")
    return [words.format(patients=_some(names))] if names else []


def _too_early(patients: Iterable[Patient], protocol: Protocol) -> list[str]:
    """Note the related events that began before the first infusion, whose dates should be checked."""
    names = early_events(patients, protocol)
    words = _("related to treatment but began before the first infusion, so check the date: {events}")
    return [words.format(events=_some(names))] if names else []


def _not_assessed(found: Iterable[Status]) -> list[str]:
    """Note the patients without a DLT for whom the last contact replaces an unrecorded DLT assessment."""
    names = [status.subject for status in found if status.kind == "complete" and not status.assessed]
    words = _("no DLT assessment is recorded; adverse events and last contact are used instead: {patients}")
    return [words.format(patients=_some(names))] if names else []


def _order(patient: Patient) -> tuple[date, str]:
    return patient.infusions[0] if patient.infusions else date.max, patient.subject


# Data known by the data cutoff date.


def _place(patient: Patient, field: str) -> str:
    return f"subject {shown_key(patient.subject)} ({', '.join(patient.source) or 'no source'}), {field}"


def _later_dates(patients: Iterable[Patient], cut: date) -> list[Problem]:
    allowed = f"is after the data cutoff date {cut}"
    return [
        Problem(_place(patient, field), found.isoformat(), allowed)
        for patient in patients
        for field, found in patient.dates()
        if found > cut
    ]


def _not_yet(patients: Iterable[Patient], cut: date) -> list[Patient]:
    """Return the patients without an infusion by a day, with all their rows, including those of later events."""
    return [patient for patient in sorted(patients, key=_order) if all(day > cut for day in patient.infusions)]


def known_by(patient: Patient, cut: date) -> Patient:
    """Return a patient as known by a day. Events without a date are kept: they cannot be shown to be later."""
    left = patient.discontinued is not None and patient.discontinued <= cut
    stopped = patient.left_treatment is not None and patient.left_treatment <= cut
    # A DLT is known from its day on; the absence of a DLT for all days up to the cutoff date.
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
        assessments=tuple(seen for seen in patient.assessments if seen.day is None or seen.day <= cut),
        rescued=patient.rescued if patient.rescued is not None and patient.rescued <= cut else None,
    )


def _decided(patient: Patient, protocol: Protocol, cut: date, whole_data: bool) -> Patient:
    """Return the patient without a recorded decision on evaluability that was not known by the data cutoff date."""
    if patient.evaluable is None or whole_data or not patient.infusions or decision_known_from(patient, protocol) <= cut:
        return patient
    return replace(patient, evaluable=None, evaluable_reason=None)


def _begun(day: date | None, days: Days | None, cut: date) -> bool:
    """Return whether an event can have begun by a day; an event without a date can."""
    earliest = day if day is not None else None if days is None else days.earliest
    return earliest is None or earliest <= cut


# Amendments.


def _by_rules(patients: Iterable[Patient], protocol: Protocol) -> list[tuple[Protocol, list[Patient]]]:
    """Group patients by the version of the protocol by which they are judged."""
    groups: dict[date, tuple[Protocol, list[Patient]]] = {}
    for patient in patients:
        rules = rules_of(patient, protocol)
        groups.setdefault(rules.record.version_date, (rules, []))[1].append(patient)
    return list(groups.values())


def _placed(patient: Patient, protocol: Protocol, cut: date) -> Patient:
    """Return the patient with the level of the dose in the version in force at the data cutoff date; the data have the latest."""
    amounts = protocol.in_force(cut).doses.amounts
    if amounts == protocol.versions[-1][1].doses.amounts:
        return patient
    same = (level for level, amount in enumerate(amounts, start=1) if math.isclose(amount, patient.amount, rel_tol=1e-9))
    return replace(patient, level=next(same, None))


# Checks before patients are judged.


def _check(patients: Patients, protocol: Protocol) -> None:
    unknown = [
        problem
        for rules, people in _by_rules(patients.patients, protocol)
        for word in _relations(people).values()
        for problem in _unknown_word(word, rules)
    ]
    if unknown:
        raise InputError(unknown)
    problems = [problem for patient in patients.patients for problem in _contradictions(regraded(patient, protocol), protocol)]
    subjects = Counter(patient.subject for patient in patients.patients)
    problems += [Problem("subject", s, "must identify one patient only") for s, times in sorted(subjects.items()) if times > 1]
    escalation = [patient for patient in patients.patients if part_of_patient(patient, protocol) == "escalation"]
    given = [patient.subject for patient in escalation if patient.cohort is not None]
    if given and len(given) < len(escalation):
        without = next(patient for patient in escalation if patient.cohort is None)
        problems.append(Problem(_place(without, "cohort"), None, "must be given for every patient or for none"))
    if problems:
        raise InputError(problems)
    counted = {row for patient in patients.patients for row in patient.rows()}
    found = len(counted) + len(patients.listed)
    if found != patients.rows or counted & {row.source for row in patients.listed}:
        allowed = f"must be the {len(counted)} of patients and the {len(patients.listed)} listed, each row in one of them"
        raise InputError(Problem("rows", patients.rows, allowed))


def _relations(patients: Iterable[Patient]) -> dict[str, list[tuple[Patient, AdverseEvent]]]:
    """Return events by their word for the relationship to treatment, in lower case, without events that have no word."""
    found: dict[str, list[tuple[Patient, AdverseEvent]]] = {}
    for patient in patients:
        for event in patient.events or ():
            if event.related is not None:
                found.setdefault(plain_words(event.related), []).append((patient, event))
    return found


def _unknown_word(events: list[tuple[Patient, AdverseEvent]], protocol: Protocol) -> Iterator[Problem]:
    """Yield one finding for all events with a word not in the protocol, at the first of them."""
    patient, event = events[0]
    try:
        protocol.dlt.is_related(event.related)
    except InputError as error:
        (problem,) = error.within(_place(patient, f"event of {event.source}"))
        yield replace(problem, allowed=problem.allowed + f"; {len(events)} events have it" * (len(events) > 1))


def _words_read(patients: Iterable[Patient], protocol: Protocol) -> list[str]:
    """Return how each word for a relationship was read."""
    counts: dict[bool | None, Counter[str]] = {True: Counter(), False: Counter(), None: Counter()}
    for rules, people in _by_rules(patients, protocol):
        for word, events in _relations(people).items():
            counts[rules.dlt.is_related(word)][word] += len(events)
    meanings = {
        True: _("{words} read as at least possibly related"),
        False: _("{words} read as not related"),
        None: _("{words} read as not assessed, so open"),
    }
    listed = {meaning: ", ".join(f"{shown_key(word)} ({n})" for word, n in sorted(counts[meaning].items())) for meaning in counts}
    read = [sentence.format(words=listed[meaning]) for meaning, sentence in meanings.items() if counts[meaning]]
    return [_("relationship to treatment as recorded (number of events): {words}").format(words="; ".join(read))] if read else []


def _rows_left_out(listed: Iterable[Listed]) -> list[str]:
    """Note the rows that are not patients, by reason: one of them may be a patient whose infusion was not entered."""
    by_reason: dict[str, list[str]] = {}
    for row in listed:
        by_reason.setdefault(row.reason, []).append(row.source)
    words = _("not counted, {reason}: {rows}")
    return [words.format(reason=reason, rows=_some(sources)) for reason, sources in by_reason.items()]


def _followed(infused: list[Patient], keeps_contacts: bool) -> list[Patient]:
    """Return the patients as known by the data cutoff date.

    If the data have a last-contact date for any patient in follow-up, a patient without one is known to have been
    followed up to the latest of the patient's own dates only.
    """
    if not keeps_contacts or all(patient.last_contact is None for patient in infused if patient.discontinued is None):
        return infused
    return [
        patient if patient.last_contact else replace(patient, last_contact=max(day for _, day in patient.dates()))
        for patient in infused
    ]


def _followed_as_said(known: Iterable[Patient], infused: Iterable[Patient], verdicts: Iterable[Verdict], cut: date) -> list[str]:
    """Note patients without a last-contact date and the follow-up assumed for them."""
    without = {patient.subject for patient in known if patient.last_contact is None and patient.discontinued is None}
    dependent = ("complete", "pending")
    silent = [
        patient for patient, found in zip(infused, verdicts, strict=True) if patient.subject in without and found.kind in dependent
    ]
    if not silent:
        return []
    names = _some([patient.subject for patient in silent])
    if silent[0].last_contact is None:
        words = _("no last-contact date is given, so follow-up is assumed up to {date}: {patients}")
    else:
        words = _(
            "no last-contact date is given, unlike for other patients, so follow-up is assumed to end on the patient's own last "
            "date: {patients}"
        )
    return [words.format(date=cut, patients=names)]


def _some(names: Sequence[str]) -> str:
    """Return the first names up to the maximum, and the number of further ones."""
    more = len(names) - _NAMED
    shown = ", ".join(names[:_NAMED])
    return counted("{names} and {n} more", "{names} and {n} more", more, names=shown) if more > 0 else shown


def _contradictions(patient: Patient, protocol: Protocol) -> Iterator[Problem]:
    """Yield contradictions of a DLT column with the window and the adverse events."""
    protocol = rules_of(patient, protocol)
    given = patient.dlt_date.isoformat() if patient.dlt_date is not None else str(patient.dlt_days) if patient.dlt_days else None
    if patient.dlt is not True and given is not None:
        yield Problem(_place(patient, "dlt_date"), given, f"must not be given if dlt = {patient.dlt}")
    if patient.dlt is None or not patient.infusions:
        return
    first, end = window(patient, protocol)
    outside = patient.dlt_date is not None and not first <= patient.dlt_date <= end
    if patient.dlt and (outside or (patient.dlt_days is not None and not patient.dlt_days.meets(first, end))):
        yield Problem(_place(patient, "dlt_date"), given, f"is outside the DLT window, {first} to {end}")
    if patient.events is None:
        return
    made, open_ = toxicities(patient, protocol)
    if made and not patient.dlt:
        yield Problem(_place(patient, "dlt"), False, f"contradicts the adverse events: {told_event(made[0], first)} is a DLT")
    if patient.dlt and not made and not open_:
        allowed = f"contradicts the adverse events: none between {first} and {end} is a DLT by the protocol's definition"
        yield Problem(_place(patient, "dlt"), True, allowed)
