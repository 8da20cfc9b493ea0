"""Who counts: each patient's status at a data cut, with the rule and the rows that made it, and the cohorts that designs read.

A window of ``dlt_window_days`` days begins with the first infusion and ends that many days after it: a DLT counts if it begins on
one of these days, both ends included, and a patient without one is complete once follow-up has reached the last of them. Nothing
here reads a clock; what "today" is comes in as the data cut. A status is made in `_verdict`, one rule after the other; a further
rule is one more function there.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Literal, NamedTuple

from ._check import InputError, Problem, Shown, calendar_day, of_type, shown_key, whole
from .patients import AdverseEvent, Listed, Patient, Patients
from .protocol import Protocol, plain_words
from .trial import Cohort

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["KINDS", "Completion", "Evaluated", "Members", "Status", "evaluate", "known_by"]

# Names that a note gives.
_NAMED = 12

Kind = Literal["dlt", "complete", "pending", "not evaluable", "replaced"]
KINDS: tuple[Kind, ...] = ("dlt", "complete", "pending", "not evaluable", "replaced")


@dataclass(frozen=True)
class Status:
    """Where a patient stands at the data cut.

    Attributes
    ----------
    subject
        The identifier that the user gave.
    cohort
        Number of the cohort, from 1; ``None`` at a dose that the protocol does not have, unless the data give one.
    level
        Dose level from 1; ``None`` where the protocol does not have the dose.
    kind
        "dlt", "complete" (without a DLT), "pending", "not evaluable" or "replaced".
    rule
        What made it so, in words.
    first, end
        First and last day of the DLT window.
    closed
        Day from which nobody waits for this patient: that of the DLT, of leaving, or the end of the window; ``None`` before.
    days_to_go
        Days from the data cut to the end of the window; 0 unless pending.
    fraction
        Part of the window through which the patient is known to have been followed up.
    source
        The rows that made the status.
    replaced_by
        Subject who takes this one's place.
    unresolved
        Pending for want of a piece of data, not of time.
    otherwise
        What would be the kind at one of the protocol's doses; ``None`` where it was one.
    """

    subject: str
    cohort: int | None
    level: int | None
    kind: Kind
    rule: str
    first: date
    end: date
    closed: date | None
    days_to_go: int
    fraction: float
    source: tuple[str, ...]
    replaced_by: str | None = None
    unresolved: bool = False
    otherwise: Kind | None = None

    @property
    def counts(self) -> bool:
        """Whether designs count this patient, now or once the outcome is known."""
        return self.kind in ("dlt", "complete", "pending")


class Members(NamedTuple):
    """The patients of a cohort at one dose level (from 1), in the order of their first infusion."""

    cohort: int
    level: int
    subjects: tuple[str, ...]


class Completion(NamedTuple):
    """One way in which the pending outcomes can come out.

    Attributes
    ----------
    dlts
        DLTs among the pending patients of each cohort.
    cohorts
        What designs then read.
    ways
        How many assignments of outcomes to patients give these counts.
    """

    dlts: tuple[int, ...]
    cohorts: list[Cohort]
    ways: int


@dataclass(frozen=True)
class Evaluated(Shown):
    """The patients of a trial at a data cut, each with a status.

    Attributes
    ----------
    as_of
        The data cut.
    as_of_assumed
        Whether it was not given, and is the last date in the data.
    statuses
        One a patient infused by the data cut, in the order of the first infusion, then of the subject.
    patients
        What was known of them by then, in the same order.
    members
        Cohorts with their patients, in the order of their first infusion. A cohort treated at two levels is listed at each.
    listed
        Rows that make no patient, with the reason.
    rows
        Rows read: those of ``patients``, and those listed.
    later_dates
        Dates in the data after the data cut, left out; 0 unless a trial is replayed.
    notes
        What was derived and how, to be printed.
    sha256
        Hash of the data's bytes.
    """

    as_of: date
    as_of_assumed: bool
    statuses: tuple[Status, ...]
    patients: tuple[Patient, ...]
    members: tuple[Members, ...]
    listed: tuple[Listed, ...]
    rows: int
    later_dates: int
    notes: tuple[str, ...]
    sha256: str

    def __getitem__(self, subject: str) -> Status:
        """Status of a patient."""
        return self._by_subject[subject]

    @cached_property
    def _by_subject(self) -> dict[str, Status]:
        return {status.subject: status for status in self.statuses}

    @property
    def unplaced(self) -> list[Status]:
        """Patients at a dose that the protocol does not have."""
        return [one for one in self.statuses if one.level is None]

    @property
    def n_pending(self) -> int:
        """How many outcomes of counted patients are still to come."""
        return sum(map(len, self.pending))

    @cached_property
    def pending(self) -> tuple[tuple[str, ...], ...]:
        """Pending patients of each cohort, in the order of ``members``."""
        return tuple(tuple(s for s in one.subjects if self[s].kind == "pending") for one in self.members)

    def cohorts(self, pending: Sequence[int] | None = None) -> list[Cohort]:
        """What designs read: patients that count and their DLTs, cohort by cohort.

        Parameters
        ----------
        pending
            DLTs among the pending patients of each cohort, in the order of ``members``; ``None`` leaves pending patients out.

        Returns
        -------
        list of Cohort
            Without cohorts in which nobody counts.

        Raises
        ------
        InputError
            If ``pending`` is not one number a cohort, each at most its pending patients.
        """
        open_ = [len(subjects) for subjects in self.pending]
        if pending is not None and len(pending) != len(open_):
            raise InputError(Problem("pending", list(pending), f"must be {len(open_)} numbers, one a cohort"))
        found = []
        for place, one in enumerate(self.members):
            kinds = [self[subject].kind for subject in one.subjects]
            n, dlts = kinds.count("dlt") + kinds.count("complete"), kinds.count("dlt")
            if pending is not None:
                n, dlts = n + open_[place], dlts + whole(f"pending[{place + 1}]", pending[place], 0, open_[place])
            if n:
                found.append(Cohort(one.level, n, dlts))
        return found

    def completions(self) -> Iterator[Completion]:
        """Every way in which the pending outcomes can come out, as designs tell them apart: by the DLTs of each cohort.

        Yields
        ------
        Completion
            The first is that without a further DLT. The ways of all add up to 2 to the power of ``n_pending``.
        """
        open_ = [len(subjects) for subjects in self.pending]
        for dlts in product(*(range(n + 1) for n in open_)):
            ways = math.prod(math.comb(n, t) for n, t in zip(open_, dlts, strict=True))
            yield Completion(dlts, self.cohorts(dlts), ways)

    def audit(self) -> pd.DataFrame:
        """One row a patient: what was made of it, by which rule and from which rows.

        Returns
        -------
        pandas.DataFrame
            Columns subject, cohort, level, status, first_infusion, window_ends, rule, source; dates in ISO form.
        """
        import pandas as pd

        return pd.DataFrame(
            {
                "subject": [s.subject for s in self.statuses],
                "cohort": pd.array([s.cohort for s in self.statuses], dtype="Int64"),
                "level": pd.array([s.level for s in self.statuses], dtype="Int64"),
                "status": [s.kind for s in self.statuses],
                "first_infusion": [s.first.isoformat() for s in self.statuses],
                "window_ends": [s.end.isoformat() for s in self.statuses],
                "rule": [s.rule for s in self.statuses],
                "source": ["; ".join(s.source) for s in self.statuses],
            }
        )

    def closing(self) -> str:
        """Rows in and out, and the data cut, in words."""
        reasons = ", ".join(dict.fromkeys(one.reason for one in self.listed))
        listed = f"{len(self.listed)} listed" + (f" ({reasons})" if reasons else "")
        cut = f"data cut {self.as_of}" + (", assumed: the last date in the data" if self.as_of_assumed else "")
        later = f"; {self.later_dates} later {'date' if self.later_dates == 1 else 'dates'} left out" if self.later_dates else ""
        people = f"{len(self.statuses)} patient{'s' * (len(self.statuses) != 1)}"
        return f"{self.rows} rows read: {self.rows - len(self.listed)} are those of {people}, {listed}; {cut}{later}."


def evaluate(patients: Patients, protocol: Protocol, as_of: date | None = None, *, replay: bool = False) -> Evaluated:
    """Judge who counts at a data cut.

    Parameters
    ----------
    patients
        What the data say.
    protocol
        The protocol: its DLT window, its definition of a DLT, and what becomes of patients who do not complete the window. For each
        patient these are those of the version in force on the day of the first infusion; the dose levels are those of the version
        in force at the data cut.
    as_of
        The data cut. Without it, the last date in the data, which the result says.
    replay
        Go back to ``as_of``: what the data say of later days is left out as not yet known. Otherwise a date after ``as_of`` is an
        error. An event without a date is always known of.

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

    known = [_placed(known_by(one, cut), protocol, cut) for one in sorted(patients.patients, key=_order)]
    infused = _followed([one for one in known if one.infusions], patients.keeps_contacts)
    whole_data = cut >= patients.last_date
    verdicts = [_verdict(one, protocol, cut, whole_data) for one in infused]
    numbers, derived = _cohort_numbers(infused, verdicts, protocol)
    listed = (
        *patients.listed,
        *(Listed(row, f"no infusion by {cut}") for one in _not_yet(patients.patients, cut) for row in _rows(one)),
    )
    return Evaluated(
        as_of=cut,
        as_of_assumed=as_of is None,
        statuses=tuple(_statuses(infused, verdicts, numbers, protocol, cut)),
        patients=tuple(infused),
        members=_members(infused, numbers),
        listed=listed,
        rows=patients.rows,
        later_dates=len(later),
        notes=(
            *patients.notes,
            *_rows_left_out(listed),
            *_followed_as_said(known, infused, verdicts, cut),
            *derived,
            *_words_read(infused, protocol),
        ),
        sha256=patients.sha256,
    )


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
    """What was known of a patient by a day. Days without a date stay: they cannot be shown to be later."""
    left = patient.discontinued is not None and patient.discontinued <= cut
    # That there was a DLT is known from its day on; that there was none, for all days up to the cut.
    told = patient.dlt is not True or patient.dlt_date is None or patient.dlt_date <= cut
    return replace(
        patient,
        infusions=tuple(day for day in patient.infusions if day <= cut),
        amounts=patient.amounts[: sum(day <= cut for day in patient.infusions)],
        last_contact=None if patient.last_contact is None else min(patient.last_contact, cut),
        dlt=patient.dlt if told else False,
        dlt_date=patient.dlt_date if told else None,
        discontinued=patient.discontinued if left else None,
        reason=patient.reason if left else None,
        events=None if patient.events is None else tuple(e for e in patient.events if e.start is None or e.start <= cut),
    )


# Amendments.


def _rules_of(patient: Patient, protocol: Protocol) -> Protocol:
    """Return the version of the protocol that a patient is judged by: the one in force on the day of the first infusion."""
    return protocol.in_force(patient.infusions[0]) if patient.infusions else protocol


def _by_rules(patients: Iterable[Patient], protocol: Protocol) -> list[tuple[Protocol, list[Patient]]]:
    """Group patients by the version of the protocol that they are judged by."""
    groups: dict[date, tuple[Protocol, list[Patient]]] = {}
    for patient in patients:
        rules = _rules_of(patient, protocol)
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


def _rows(patient: Patient) -> list[str]:
    return list(dict.fromkeys((*patient.source, *(event.source for event in patient.events or ()))))


def _check(patients: Patients, protocol: Protocol) -> None:
    unknown = [
        problem
        for rules, people in _by_rules(patients.patients, protocol)
        for word in _relations(people).values()
        for problem in _unknown_word(word, rules)
    ]
    if unknown:
        raise InputError(unknown)
    problems = [problem for one in patients.patients for problem in _contradictions(one, protocol)]
    subjects = Counter(one.subject for one in patients.patients)
    problems += [Problem("subject", s, "must be that of one patient only") for s, times in sorted(subjects.items()) if times > 1]
    given = [one.subject for one in patients.patients if one.cohort is not None]
    if given and len(given) < len(patients.patients):
        without = next(one for one in patients.patients if one.cohort is None)
        problems.append(Problem(_place(without, "cohort"), None, "must be given for every patient or for none"))
    if problems:
        raise InputError(problems)
    counted = {row for one in patients.patients for row in _rows(one)}
    found = len(counted) + len(patients.listed)
    if found != patients.rows or counted & {one.source for one in patients.listed}:
        allowed = f"must be those of patients, {len(counted)}, and those listed, {len(patients.listed)}, each row in one of them"
        raise InputError(Problem("rows", patients.rows, allowed))


def _relations(patients: Iterable[Patient]) -> dict[str, list[tuple[Patient, AdverseEvent]]]:
    """Events by their word for the relation, in lower case; none of those without a word."""
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
    """How each word for a relation was read."""
    said: dict[bool | None, Counter[str]] = {True: Counter(), False: Counter(), None: Counter()}
    for rules, people in _by_rules(patients, protocol):
        for word, events in _relations(people).items():
            said[rules.dlt.is_related(word)][word] += len(events)
    meanings = ((True, "at least possibly related"), (False, "not related"), (None, "not assessed, so open"))
    listed = {meaning: ", ".join(f"{shown_key(word)} ({n})" for word, n in sorted(said[meaning].items())) for meaning in said}
    words = [f"{listed[meaning]} as {name}" for meaning, name in meanings if said[meaning]]
    return [f"words for the relation (events with it) read: {'; '.join(words)}"] if words else []


def _rows_left_out(listed: Iterable[Listed]) -> list[str]:
    """Which rows make no patient, by their reason: one of them may be a patient whose infusion was forgotten."""
    by_reason: dict[str, list[str]] = {}
    for one in listed:
        by_reason.setdefault(one.reason, []).append(one.source)
    return [f"counted nowhere, {reason}: {_some(sources)}" for reason, sources in by_reason.items()]


def _followed(infused: list[Patient], keeps_contacts: bool) -> list[Patient]:
    """Patients as known by the data cut. Where the data have a last contact of somebody still followed up, one without it is known
    to have been followed no longer than to the last of the own dates.
    """
    if not keeps_contacts or all(one.last_contact is None for one in infused if one.discontinued is None):
        return infused
    return [one if one.last_contact else replace(one, last_contact=max(day for _, day in one.dates())) for one in infused]


def _followed_as_said(known: Iterable[Patient], infused: Iterable[Patient], verdicts: Iterable[_Verdict], cut: date) -> list[str]:
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
    """The first so many names, and how many more there are."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _contradictions(patient: Patient, protocol: Protocol) -> Iterator[Problem]:
    """A DLT column against the window and the adverse events."""
    protocol = _rules_of(patient, protocol)
    if patient.dlt is not True and patient.dlt_date is not None:
        yield Problem(_place(patient, "dlt_date"), patient.dlt_date.isoformat(), f"must not be given where dlt = {patient.dlt}")
    if patient.dlt is None or not patient.infusions:
        return
    first, end = _window(patient, protocol)
    if patient.dlt and patient.dlt_date is not None and not first <= patient.dlt_date <= end:
        allowed = f"lies outside the DLT window, {first} to {end}"
        yield Problem(_place(patient, "dlt_date"), patient.dlt_date.isoformat(), allowed)
    if patient.events is None:
        return
    made, open_ = _toxicities(patient, protocol)
    if made and not patient.dlt:
        yield Problem(_place(patient, "dlt"), False, f"contradicts the adverse events: {_told(made[0], first)} is a DLT")
    if patient.dlt and not made and not open_:
        allowed = f"contradicts the adverse events: none between {first} and {end} is a DLT by the definition under dlt"
        yield Problem(_place(patient, "dlt"), True, allowed)


# The status of one patient.


class _Verdict(NamedTuple):
    kind: Kind
    rule: str
    closed: date | None = None
    source: tuple[str, ...] = ()
    unresolved: bool = False
    otherwise: Kind | None = None


def _window(patient: Patient, protocol: Protocol) -> tuple[date, date]:
    """First and last day of the DLT window."""
    first, protocol = patient.infusions[0], _rules_of(patient, protocol)
    return first, first + timedelta(days=protocol.treatment.dlt_window_days)


def _verdict(patient: Patient, protocol: Protocol, cut: date, whole_data: bool) -> _Verdict:
    """What is known of a patient's outcome by the data cut, the cohort and replacements aside."""
    protocol = _rules_of(patient, protocol)
    found = (
        _with_dlt(patient, protocol, cut, whole_data)
        or _unclear_event(patient, protocol)
        or _left_early(patient, protocol)
        or _still_open(patient, protocol, cut)
        or _no_word(patient)
        or _part_of_the_course(patient, protocol)
        or _Verdict("complete", f"no DLT by the end of the window{_basis(patient)}", _window(patient, protocol)[1])
    )
    if found.kind != "dlt":
        told = [(event, f"; {_told(event, patient.infusions[0])} is no DLT: {why}") for event, why in _ruled_out(patient, protocol)]
        rows = (*(found.source or patient.source), *(event.source for event, _ in told))
        found = found._replace(rule=found.rule + "".join(words for _, words in told), source=rows)
    if patient.level is None:
        rule = f"dose {patient.amount:g} is none of the protocol's; otherwise {found.kind.replace('dlt', 'DLT')}: {found.rule}"
        return found._replace(kind="not evaluable", rule=rule, otherwise=found.kind)
    return found


def _basis(patient: Patient) -> str:
    """What a patient without a DLT is taken to have none by."""
    tables = [
        name for name, there in (("the DLT column", patient.dlt is False), ("adverse events", patient.events is not None)) if there
    ]
    return f", by {' and '.join(tables)}" if tables else ""


def _told(event: AdverseEvent, first: date) -> str:
    """An event in words, without its term: no more of a patient is shown than is needed."""
    grade = "grade not given" if event.grade is None else f"grade {event.grade}"
    related = "relation not given" if event.related is None else event.related
    day = "no start date" if event.start is None else f"began {event.start}, day {(event.start - first).days + 1}"
    return f"adverse event of {event.source} ({grade}; {related}; {day})"


def _toxicities(patient: Patient, protocol: Protocol) -> tuple[list[AdverseEvent], list[AdverseEvent]]:
    """Events that are DLTs, the earliest first, and events that would be if what the data leave out were so."""
    could = [event for event in patient.events or () if _no_dlt_because(event, patient, protocol) is None]
    made = [event for event in could if None not in (event.grade, protocol.dlt.is_related(event.related), event.start)]
    return sorted(made, key=lambda e: (e.start or date.max, e.source)), [event for event in could if event not in made]


def _no_dlt_because(event: AdverseEvent, patient: Patient, protocol: Protocol) -> str | None:
    """Why an event cannot be a DLT, whatever the data leave out; ``None`` if it can."""
    first, end = _window(patient, protocol)
    least = protocol.dlt.least_grade_of(event.term)
    if least is None:
        return "a term left out"
    if event.grade is not None and event.grade < least:
        return f"below grade {least}"
    if protocol.dlt.is_related(event.related) is False:
        return "not related"
    if event.start is not None and not first <= event.start <= end:
        return "outside the window"
    return None


def _ruled_out(patient: Patient, protocol: Protocol) -> list[tuple[AdverseEvent, str]]:
    """Events that are grave enough for a DLT and are none, with the reason."""
    grave = [event for event in patient.events or () if event.grade is None or event.grade >= protocol.dlt.least_grade]
    reasons = [(event, _no_dlt_because(event, patient, protocol)) for event in grave]
    return [(event, why) for event, why in reasons if why is not None]


def _with_dlt(patient: Patient, protocol: Protocol, cut: date, whole_data: bool) -> _Verdict | None:
    first, end = _window(patient, protocol)
    made, _ = _toxicities(patient, protocol)
    from_events = [f"{_told(made[0], first)}, a DLT by the definition under dlt"] if made else []
    rows = tuple(event.source for event in made[:1])
    if patient.dlt:
        if patient.dlt_date is None and not made and not whole_data and cut < end:
            rule = "the DLT column has a DLT without a date: whether it had come by the data cut is not known"
            return _Verdict("pending", rule, None, patient.source, unresolved=True)
        when = "without a date" if patient.dlt_date is None else f"on {patient.dlt_date}, day {(patient.dlt_date - first).days + 1}"
        day = patient.dlt_date or (made[0].start if made else min(end, cut))
        return _Verdict("dlt", "; ".join([f"DLT {when}, by the DLT column", *from_events]), day, (*patient.source, *rows))
    return _Verdict("dlt", from_events[0], made[0].start, (*patient.source, *rows)) if made else None


def _unclear_event(patient: Patient, protocol: Protocol) -> _Verdict | None:
    """An event is never taken for "no DLT" for want of a grade, a relation or a date."""
    _, open_ = _toxicities(patient, protocol)
    if not open_:
        return None
    told = "; ".join(_told(event, patient.infusions[0]) for event in open_)
    rows = (*patient.source, *(event.source for event in open_))
    return _Verdict("pending", f"it is not known whether this is a DLT: {told}", None, rows, unresolved=True)


def _no_word(patient: Patient) -> _Verdict | None:
    if _said(patient) == "no DLT":
        return None
    rule = "the window is over, and neither a DLT column nor adverse events say whether there was a DLT"
    return _Verdict("pending", rule, unresolved=True)


def _said(patient: Patient) -> str:
    """What is known of a patient of whom no DLT is known."""
    return "no word of a DLT" if patient.dlt is None and patient.events is None else "no DLT"


def _left_early(patient: Patient, protocol: Protocol) -> _Verdict | None:
    first, end = _window(patient, protocol)
    left = patient.discontinued
    if left is None or left >= end:
        return None
    progression = protocol.evaluability.is_progression(patient.reason)
    words = "left for progression or rescue" if progression else "left"
    days = f"{words} on {left}, day {(left - first).days + 1}, before the window ended, with {_said(patient)}"
    return _incomplete(protocol, "progression" if progression else "dropout", days, left)


def _still_open(patient: Patient, protocol: Protocol, cut: date) -> _Verdict | None:
    first, end = _window(patient, protocol)
    known = _followed_to(patient, cut)
    if known >= end:
        return None
    to_go, part = (end - cut).days, (known - first).days / (end - first).days
    open_ = f"{to_go} {'day' if to_go == 1 else 'days'} to go" if to_go > 0 else "window over, outcome not known"
    behind = (cut - known).days
    late = f"; follow-up ends on {known}, {behind} {'day' if behind == 1 else 'days'} behind the data cut" if behind else ""
    return _Verdict(
        "pending", f"{_said(patient)} so far, {open_}, {part:.0%} of the window followed up{late}", unresolved=to_go <= 0
    )


def _followed_to(patient: Patient, cut: date) -> date:
    return cut if patient.last_contact is None else min(patient.last_contact, cut)


def _part_of_the_course(patient: Patient, protocol: Protocol) -> _Verdict | None:
    _, end = _window(patient, protocol)
    given, planned = sum(day <= end for day in patient.infusions), protocol.treatment.planned_infusions
    if given >= planned:
        return None
    return _incomplete(protocol, "partial_course", f"{given} of {planned} infusions in the window, with no DLT", end)


def _incomplete(protocol: Protocol, rule: Literal["dropout", "progression", "partial_course"], words: str, day: date) -> _Verdict:
    choice = getattr(protocol.evaluability, rule)
    kinds: dict[str, Kind] = {"not-evaluable": "not evaluable", "no-dlt": "complete", "dlt": "dlt"}
    counted = {"no-dlt": ", counted as no DLT", "dlt": ", counted as DLT"}.get(choice, "")
    return _Verdict(kinds[choice], f"{words} (evaluability.{rule} = {choice}{counted})", day)


# Cohorts and replacements.


def _cohort_numbers(
    patients: Sequence[Patient], verdicts: Sequence[_Verdict], protocol: Protocol
) -> tuple[dict[str, int | None], list[str]]:
    """Number of each patient's cohort, as given or derived, and a note if derived."""
    if not patients or patients[0].cohort is not None:
        return {one.subject: one.cohort for one in patients}, []
    numbers: dict[str, int | None] = {}
    by_number: list[list[tuple[Patient, _Verdict]]] = []
    for one, verdict in zip(patients, verdicts, strict=True):
        if one.level is None:
            numbers[one.subject] = None
            continue
        number = _joins(one, numbers, by_number, protocol)
        if number > len(by_number):
            by_number.append([])
        by_number[number - 1].append((one, verdict))
        numbers[one.subject] = number
    return numbers, ["cohorts derived from the doses, the order of the first infusions and limits.cohort_size"]


def _joins(
    patient: Patient, numbers: dict[str, int | None], by_number: list[list[tuple[Patient, _Verdict]]], protocol: Protocol
) -> int:
    """Number of the cohort that a patient joins: the replaced one's, an open one at the dose, or a new one.

    A cohort is open while fewer than its size count in it, as known on the patient's first day, unless another dose was begun since
    and all its windows are over: then the dose is come back to.
    """
    day, last = patient.infusions[0], len(by_number)
    replaced = numbers.get(patient.replaces) if patient.replaces else None
    if replaced is not None and by_number[replaced - 1][0][0].level == patient.level:
        return replaced
    number = next((number for number in range(last, 0, -1) if by_number[number - 1][0][0].level == patient.level), None)
    if number is not None:
        members = by_number[number - 1]
        lost = [v.kind == "not evaluable" and v.closed is not None and v.closed <= day for _, v in members]
        latest = max(_window(one, protocol)[1] for one, _ in members)
        if lost.count(False) < _rules_of(patient, protocol).limits.size_of_cohort(number) and (number == last or day < latest):
            return number
    return last + 1


def _members(patients: Sequence[Patient], numbers: dict[str, int | None]) -> tuple[Members, ...]:
    """Cohorts in the order of their first infusion, which is that of ``patients``."""
    found: dict[tuple[int, int], list[str]] = {}
    for one in patients:
        number = numbers[one.subject]
        if number is not None and one.level is not None:
            found.setdefault((number, one.level), []).append(one.subject)
    return tuple(Members(number, level, tuple(subjects)) for (number, level), subjects in found.items())


def _statuses(
    patients: Sequence[Patient], verdicts: Sequence[_Verdict], numbers: dict[str, int | None], protocol: Protocol, cut: date
) -> Iterator[Status]:
    """Verdicts with the cohort, and with the replacement of patients who are not evaluable.

    A patient who counts is not replaced, whatever a later row says: a DLT always counts.
    """
    lost = {one.subject for one, verdict in zip(patients, verdicts, strict=True) if verdict.kind == "not evaluable"}
    replaced_by: dict[str, str] = {}
    seen: set[str] = set()
    for one in patients:
        if one.replaces in lost & seen:
            replaced_by.setdefault(one.replaces, one.subject)
        seen.add(one.subject)
    for one, verdict in zip(patients, verdicts, strict=True):
        first, end = _window(one, protocol)
        by = replaced_by.get(one.subject)
        yield Status(
            subject=one.subject,
            cohort=numbers[one.subject],
            level=one.level,
            kind=verdict.kind if by is None else "replaced",
            rule=verdict.rule if by is None else f"replaced by {by}: {verdict.rule}",
            first=first,
            end=end,
            closed=verdict.closed,
            days_to_go=max(0, (end - cut).days) if verdict.kind == "pending" else 0,
            fraction=max(0.0, min(1.0, (_followed_to(one, verdict.closed or cut) - first).days / (end - first).days)),
            source=verdict.source or one.source,
            replaced_by=by,
            unresolved=verdict.unresolved,
            otherwise=verdict.otherwise,
        )
