"""Endpoints of a trial by dose and visit: from patients and their measurements to one record of tables.

Everything is descriptive: no hypothesis is tested, and no value is carried forward. Values are those while on study: a value after
a transplant is listed and not analysed. A further kind of parameter is one more method of `_Case` and its table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.special import betaincinv

from .._check import MISSING, InputError, Problem, calendar_day, of_type
from ..config import Trial
from ..days import study_day
from ..endpoints.censored import censored_mean, mean_interval
from ..endpoints.schedule import DERIVED, Endpoints, Parameter
from ..endpoints.scores import child_pugh, meld
from ..endpoints.survival import aalen_johansen, kaplan_meier
from ..endpoints.visits import Record, Visit, assign, baseline_records, windows_of
from ..evaluability import UNTREATED, evaluate
from ..intake.measurements import Measurement, Measurements
from ..patients import Patient, Patients
from ..protocol import Protocol, plain_words
from ..shown import Shown
from ..threads import one_thread
from .stamps import stamp

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BASELINE", "MISSING_REASONS", "TABLES", "EndpointSummary", "summarize_endpoints"]

BASELINE = "baseline"
"""Name of the visit of the baseline."""

MISSING_REASONS = ("not due", "missed", "died", "transplant", "withdrawn", "no infusion")
"""Reasons for a missing visit: its window is still open, no usable value, death, transplant, end of follow-up, and the infusion
that the visit follows was not given."""

POOLED = 0
"""Level of rows that are of all doses together."""

# Source of a score that is calculated, before that of its first part.
_DERIVED = "derived from "
# Half of a score's last digit: recorded scores are rounded.
_SCORE = 0.5
# Probability of no event of any kind that is one of rounding.
_NONE_LEFT = 1e-9
# Relative difference of numbers that were rounded when they were saved.
_SAVED = 1e-6


class ByVisit(NamedTuple):
    """Values of a parameter at a dose and a visit."""

    parameter: str
    level: int
    visit: str
    treated: int
    on_study: int
    n: int
    censored: int
    mean: float
    sd: float
    median: float
    smallest: float
    largest: float
    n_change: int
    change_mean: float
    change_sd: float
    change_low: float
    change_high: float
    change_median: float
    change_smallest: float
    change_largest: float
    not_due: int
    missed: int
    died: int
    transplant: int
    withdrawn: int
    no_infusion: int


class Value(NamedTuple):
    """The value of a patient that is analysed at a visit."""

    subject: str
    level: int | None
    parameter: str
    visit: str
    day: int
    kind: str
    value: float | None
    baseline: float | None
    change: float | None
    derived: bool
    source: str


class Absent(NamedTuple):
    """A visit of a patient without a value, with the reason, one of `MISSING_REASONS`."""

    subject: str
    level: int | None
    parameter: str
    visit: str
    reason: str


class Extra(NamedTuple):
    """A measurement that is not analysed at a visit, with the reason."""

    subject: str
    parameter: str
    day: int
    why: str
    visit: str
    source: str


class Timed(NamedTuple):
    """Survival or cumulative incidence at a dose on ``rate_day``, and exact limits of the share of treated patients with an event.

    ``competing`` are the patients with an event that competes with it.
    """

    parameter: str
    level: int
    kind: str
    treated: int
    events: int
    competing: int
    at_risk: int
    rate: float
    low: float
    high: float
    share_low: float
    share_high: float


class Step(NamedTuple):
    """A day with an event: survival beyond it, or cumulative incidence by it."""

    parameter: str
    level: int
    day: int
    at_risk: int
    rate: float
    low: float
    high: float


class Follow(NamedTuple):
    """Time of a patient to the event of a parameter, its cause (empty if censored)."""

    subject: str
    level: int | None
    parameter: str
    day: int
    cause: str


class Share(NamedTuple):
    """Patients at a dose and a visit by whether a value is quantified."""

    parameter: str
    level: int
    visit: str
    n: int
    not_detected: int
    below: int
    quantified: int


class Ratio(NamedTuple):
    """Ratio of geometric means to baseline, with its limits, and by substitution of values below the limit of quantification."""

    parameter: str
    level: int
    visit: str
    n: int
    without_baseline: int
    censored: int
    ratio: float
    low: float
    high: float
    ratio_half: float
    ratio_limit: float


class Shift(NamedTuple):
    """Patients from a class at baseline to a class at a visit; an empty class is a missing value."""

    parameter: str
    level: int
    visit: str
    before: str
    after: str
    n: int


class Peak(NamedTuple):
    """Largest values of a patient after the first infusion, in multiples of the upper limit of normal, and at baseline."""

    subject: str
    level: int | None
    alt: float
    alt_day: int
    bilirubin: float
    bilirubin_day: int
    bilirubin_baseline: float


class Difference(NamedTuple):
    """What the data derived for a row and what dosefind derives."""

    source: str
    subject: str
    parameter: str
    field: str
    given: str
    own: str


TABLES = (
    *("by-visit", "values", "missing", "extra", "listed", "timed", "steps", "follow-up", "shares", "ratios", "shifts", "peaks"),
    "differences",
)
"""Tables of the result, each a file."""


@dataclass(frozen=True)
class EndpointSummary(Shown):
    """Endpoints of a trial at a data cutoff date, by dose and visit.

    Attributes
    ----------
    endpoints
        The table ``endpoints`` of the config.
    amounts, unit
        Doses of the levels, and their unit.
    treated
        Number of treated patients by level; key 0 is all of them.
    by_visit
        Statistics of values and changes at each dose and visit, with missing values by reason.
    values, missing
        The value of each patient at each visit, or the reason why there is none.
    extra, listed
        Measurements that are not analysed at a visit; rows that are no measurement.
    timed, steps, follow_up
        Survival and cumulative incidences, their curves, and the time of each patient.
    shares, ratios, shifts
        Values below limits of quantification, ratios of geometric means to baseline, shifts between classes.
    peaks
        The largest liver tests of each patient.
    differences
        Differences from what analysis data sets derived.
    without_baseline
        Number of patients with values but without a baseline, by parameter.
    windows
        Visits with their windows for a patient with infusions as planned.
    ineligible
        Patients whose baseline is outside the protocol's criteria, by parameter.
    undated
        Number of adverse events without a full date, by event parameter: they are not counted.
    notes, warnings
        Statements of what was derived, and of implausible values.
    attrs
        What is needed to reproduce the result, and its assumptions.
    """

    endpoints: Endpoints = field(repr=False)
    amounts: tuple[float, ...]
    unit: str
    treated: dict[int, int]
    by_visit: tuple[ByVisit, ...] = field(repr=False)
    values: tuple[Value, ...] = field(repr=False)
    missing: tuple[Absent, ...] = field(repr=False)
    extra: tuple[Extra, ...] = field(repr=False)
    listed: tuple[Any, ...] = field(repr=False)
    timed: tuple[Timed, ...] = field(repr=False)
    steps: tuple[Step, ...] = field(repr=False)
    follow_up: tuple[Follow, ...] = field(repr=False)
    shares: tuple[Share, ...] = field(repr=False)
    ratios: tuple[Ratio, ...] = field(repr=False)
    shifts: tuple[Shift, ...] = field(repr=False)
    peaks: tuple[Peak, ...] = field(repr=False)
    differences: tuple[Difference, ...] = field(repr=False)
    without_baseline: dict[str, int] = field(repr=False)
    windows: dict[str, Visit] = field(repr=False)
    ineligible: dict[str, tuple[str, ...]] = field(repr=False)
    undated: dict[str, int] = field(repr=False)
    notes: tuple[str, ...] = field(repr=False)
    warnings: tuple[str, ...] = field(repr=False)
    attrs: dict[str, Any] = field(repr=False)

    def __repr__(self) -> str:
        n = len(self.endpoints.measures)
        return f"Endpoints of {self.attrs['protocol']} at {self.attrs['as_of']}: {self.treated[POOLED]} patients, {n} measures"

    @cached_property
    def cells(self) -> dict[tuple[str, int, str], ByVisit]:
        """Return the statistics by parameter, level and visit."""
        return {(row.parameter, row.level, row.visit): row for row in self.by_visit}

    @property
    def levels(self) -> list[int]:
        """Return the levels with treated patients."""
        return [level for level, n in self.treated.items() if level != POOLED and n]

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Return the tables of the result, by the names of `TABLES`."""
        import pandas as pd

        kinds: dict[str, Any] = {
            "by-visit": ByVisit,
            "values": Value,
            "missing": Absent,
            "extra": Extra,
            "listed": None,
            "timed": Timed,
            "steps": Step,
            "follow-up": Follow,
            "shares": Share,
            "ratios": Ratio,
            "shifts": Shift,
            "peaks": Peak,
            "differences": Difference,
        }
        found = {}
        for name, kind in kinds.items():
            rows = getattr(self, name.replace("-", "_"))
            columns = ("source", "reason") if kind is None else kind._fields
            found[name] = pd.DataFrame.from_records([tuple(row) for row in rows], columns=list(columns))
        return found


@one_thread
def summarize_endpoints(
    trial: Trial | Protocol, patients: Patients, measurements: Measurements, as_of: date | None = None
) -> EndpointSummary:
    r"""Summarize the endpoints of a trial by dose and visit.

    Parameters
    ----------
    trial
        The trial, from `load_trial`, or its protocol, with the table ``endpoints``.
    patients
        The patients, from `read_patients`.
    measurements
        Their measurements, from `read_measurements`.
    as_of
        Data cutoff date; by default the last date in the data. Later measurements are listed.

    Returns
    -------
    EndpointSummary
        Each measurement is analysed at a visit, is an event, or is listed as extra; this is checked. For each parameter, dose and
        visit, patients with a value and missing ones by reason add up to those treated; this is checked too.

    Raises
    ------
    InputError
        If the config has no table ``endpoints``, or no patient was treated.

    Notes
    -----
    Changes are from the patient's baseline; a value below or above a limit of quantification counts as observed, but has no part
    in means of changes. The interval of a mean change is that of t.

    Examples
    --------
    >>> import tempfile, dosefind
    >>> from pathlib import Path
    >>> trial = dosefind.load_trial("configs/nct05948982.toml")
    >>> people = "subject,dose,infusion_1,last_contact,dlt\nA-1,1,2024-03-05,2024-07-02,no\n"
    >>> table = "subject,parameter,value,unit,day\nA-1,ALB,30,g/L,-1\nA-1,ALB,33,g/L,85\n"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sizes = [Path(folder, name).write_text(text) for name, text in (("p.csv", people), ("m.csv", table))]
    ...     patients = dosefind.read_patients(Path(folder, "p.csv"), trial.protocol)
    ...     measurements = dosefind.read_measurements(Path(folder, "m.csv"), patients, trial.protocol)
    >>> found = summarize_endpoints(trial, patients, measurements)
    >>> found.cells["ALB", 1, "week 12"].change_mean
    3.0
    """
    trial = Trial.of(trial)
    protocol = trial.protocol
    if protocol.endpoints is None:
        raise InputError(Problem("endpoints", MISSING, "the config needs this table"))
    of_type("patients", patients, Patients, "read_patients reads them from files")
    of_type("measurements", measurements, Measurements, "read_measurements reads them from files")
    first = {patient.subject: patient.infusions[0] for patient in patients.patients}
    if as_of is None:
        taken = (_date(first[seen.subject], seen.day) for seen in measurements.values)
        cut = max([patients.last_date, *taken])
    else:
        cut = calendar_day("as_of", as_of)
    evaluated = evaluate(patients, protocol, cut, replay=True)
    absent = {status.subject for status in evaluated.statuses if status.part in UNTREATED}
    treated = tuple(patient for patient in evaluated.patients if patient.subject not in absent)
    if not treated:
        raise InputError(Problem("as_of", cut.isoformat(), "no patient was treated by that day"))
    current = trial.in_force(cut)
    case = _Case(current.protocol, treated, measurements, cut, patients.keeps_contacts)
    attrs = {
        **stamp(current, measures=True),
        "as_of": cut.isoformat(),
        "as_of_assumed": as_of is None,
        "data_sha256": patients.sha256,
        "measurements_sha256": measurements.sha256,
        "rows": measurements.rows,
    }
    return case.summary(attrs)


def _date(first: date, day: int) -> date:
    return first + timedelta(days=day - 1 if day > 0 else day)


@dataclass(frozen=True)
class _Course:
    """A patient's course in study days: infusions, end of follow-up, death, transplant, end of participation, data cutoff."""

    subject: str
    level: int | None
    infusions: tuple[int, ...]
    followed: int
    cut: int
    died: int | None
    transplant: int | None
    left: int | None

    def ends(self) -> list[tuple[int, str]]:
        """Return what ended the observation of the patient on study, earliest first."""
        found = ((self.died, "died"), (self.transplant, "transplant"), (self.left, "withdrawn"))
        return sorted((day, why) for day, why in found if day is not None)


class _Case:
    """The summary under way."""

    def __init__(
        self, protocol: Protocol, patients: Sequence[Patient], measurements: Measurements, cut: date, keeps_contacts: bool
    ) -> None:
        assert protocol.endpoints is not None
        self.protocol, self.endpoints, self.measurements, self.cut = protocol, protocol.endpoints, measurements, cut
        self.planned = protocol.treatment.infusion_days
        self.patients = {patient.subject: patient for patient in patients}
        self.extra: list[Extra] = []
        self.groups: dict[tuple[str, str], list[Measurement]] = {}
        self.events: dict[tuple[str, str], int] = {}
        self.differences: list[Difference] = []
        self.undated: Counter[str] = Counter()
        last: dict[str, int] = {}
        known = {subject: study_day(patient.infusions[0], cut) for subject, patient in self.patients.items()}
        for seen in measurements.values:
            if seen.parameter not in self.endpoints.parameters:
                self._aside(seen, "of another version of the protocol")
            elif seen.subject not in known:
                self._aside(seen, "not treated by the data cutoff date")
            elif seen.day > known[seen.subject]:
                self._aside(seen, "after the data cutoff date")
            else:
                last[seen.subject] = max(last.get(seen.subject, seen.day), seen.day)
                self._sort_in(seen)
        self._adverse_events()
        self.courses = {
            subject: self._course(patient, known[subject], last.get(subject), keeps_contacts)
            for subject, patient in self.patients.items()
        }
        self.levels = sorted({course.level for course in self.courses.values() if course.level is not None})
        self.windows = {
            subject: windows_of(self.endpoints, self.planned, course.infusions) for subject, course in self.courses.items()
        }

    # Input.

    def _aside(self, seen: Measurement, why: str, visit: str = "") -> None:
        # A score that is calculated twice in a window is no record of the data.
        if not seen.source.startswith(_DERIVED):
            self.extra.append(Extra(seen.subject, seen.parameter, seen.day, why, visit, seen.source))

    def _sort_in(self, seen: Measurement) -> None:
        key = seen.subject, seen.parameter
        if not self.endpoints.parameters[seen.parameter].timed:
            self.groups.setdefault(key, []).append(seen)
        elif seen.kind == "no event":
            self._aside(seen, "no event")
        elif seen.day < 1:
            self._aside(seen, "event before the first infusion")
        elif self.endpoints.parameters[seen.parameter].kind == "survival":
            self._compare_death(seen)
        else:
            self.events[key] = min(self.events.get(key, seen.day), seen.day)

    def _compare_death(self, seen: Measurement) -> None:
        """Compare an event of survival in the data with the patient's own dates; it is not used."""
        patient = self.patients[seen.subject]
        died = None if patient.died is None else study_day(patient.infusions[0], patient.died)
        if self.endpoints.parameters[seen.parameter].composite is None and died != seen.day:
            self._differs(seen, "AVAL", f"{seen.day}", "" if died is None else f"{died}")
        self._aside(seen, "deaths are read with the patients")

    def _adverse_events(self) -> None:
        """Add adverse events whose term is an event of the config."""
        terms = {plain_words(term): key for key, one in self.endpoints.parameters.items() for term in one.terms}
        for subject, patient in self.patients.items():
            for event in patient.events or ():
                key = terms.get(plain_words(event.term))
                if key is None:
                    continue
                if event.start is None:
                    self.undated[key] += 1
                    continue
                day = study_day(patient.infusions[0], event.start)
                if day >= 1:
                    self.events[subject, key] = min(self.events.get((subject, key), day), day)

    def _course(self, patient: Patient, cut: int, last: int | None, keeps_contacts: bool) -> _Course:
        first = patient.infusions[0]

        def day_of(day: date | None) -> int | None:
            return None if day is None else study_day(first, day)

        died, left = day_of(patient.died), day_of(patient.discontinued)
        contact = day_of(patient.last_contact)
        if contact is None:
            dates = [study_day(first, day) for _place, day in patient.dates() if day <= self.cut]
            contact = max(dates) if keeps_contacts else cut
        followed = max(contact, last or 1, 1)
        followed = min(followed if left is None else max(left, last or 1), cut)
        name = self.endpoints.transplant
        transplant = None if name is None else self.events.get((patient.subject, name))
        return _Course(
            subject=patient.subject,
            level=patient.level,
            infusions=tuple(study_day(first, day) for day in patient.infusions),
            followed=followed,
            cut=cut,
            died=died,
            transplant=transplant,
            left=None if died is not None and left == died else left,
        )

    def _differs(self, seen: Measurement, name: str, given: str, own: str) -> None:
        self.differences.append(Difference(seen.source, seen.subject, seen.parameter, name, given, own))

    # Derived scores.

    def _derive(self) -> None:
        """Add scores that are calculated from parameters of one sample, and compare recorded ones with them."""
        for key, parameter in self.endpoints.parameters.items():
            parts = DERIVED.get(parameter.derive or "", ())
            for subject in self.patients if parts else ():
                samples: dict[tuple[int, str], dict[str, Measurement]] = {}
                for part in parts:
                    for seen in self.groups.get((subject, part), []):
                        samples.setdefault((seen.day, seen.time_point), {})[part] = seen
                recorded = {(seen.day, seen.time_point): seen for seen in self.groups.get((subject, key), [])}
                for (day, point), found in sorted(samples.items()):
                    if len(found) < len(parts) or any(found[part].number is None for part in parts):
                        continue
                    score = self._score(parameter, found)
                    there = recorded.get((day, point))
                    if there is not None:
                        if there.number is not None and abs(there.number - score) > _SCORE:
                            self._differs(there, "score", f"{there.number:g}", f"{score:.4g}")
                        continue
                    source = f"{_DERIVED}{found[parts[0]].source}"
                    own = Measurement(subject, key, day, "value", score, found[parts[0]].time_point, "", None, source)
                    self.groups.setdefault((subject, key), []).append(own)

    def _score(self, parameter: Parameter, found: Mapping[str, Measurement]) -> float:
        value = {name: seen.number for name, seen in found.items()}
        units: Any = {name: self.endpoints.parameters[name].unit for name in found}
        if parameter.derive == "child-pugh":
            points, _class = child_pugh(
                *(value["BILI"], value["ALB"]),
                bilirubin_unit=units["BILI"],
                albumin_unit=units["ALB"],
                inr=value["INR"],
                ascites=value["ASCITES"],
                encephalopathy=value["ENCEPH"],
                cutoffs=self.endpoints.child_pugh,
            )
            return float(points)
        bounded = parameter.derive == "meld-bounded"
        named = {"bilirubin_unit": units["BILI"], "creatinine_unit": units["CREAT"], "bounded": bounded}
        named["etiology"] = self.endpoints.meld_etiology
        return float(meld(value["BILI"], value["INR"], value["CREAT"], **named))

    # Visits.

    def _analyse(self) -> None:
        """Assign every measurement to the baseline, a visit or the extra ones, and find the reason of each missing visit."""
        self.values: list[Value] = []
        self.missing: list[Absent] = []
        self.baselines: dict[tuple[str, str], float] = {}
        self.baseline_kinds: dict[tuple[str, str], Measurement] = {}
        self.without_baseline: Counter[str] = Counter()
        for key, parameter in self.endpoints.parameters.items():
            if parameter.timed:
                continue
            names = list(self.endpoints.planned(key))
            for course in self.courses.values():
                self._analyse_one(key, parameter, names, course)

    def _analyse_one(self, key: str, parameter: Parameter, names: Sequence[str], course: _Course) -> None:
        given = sorted(self.groups.get((course.subject, key), []), key=lambda seen: seen.day)
        kept = []
        for seen in given:
            if course.died is not None and seen.day > course.died:
                self._aside(seen, "after death")
            elif course.transplant is not None and seen.day > course.transplant:
                self._aside(seen, "after transplant")
            else:
                kept.append(seen)
        records = [Record(seen.day, seen.value if seen.value is not None else np.nan, seen.time_point) for seen in kept]
        rule = self.endpoints.rule_of(key)
        screening = None if rule in ("day-1", "none") else self.endpoints.screening
        before = [] if rule == "none" else baseline_records(records, screening)
        base = self._baseline(course.subject, key, rule, [kept[position] for position in before])
        windows = self.windows[course.subject]
        visits = [windows[name] for name in names if name in windows]
        analysed, places = assign(records, visits, course.infusions)
        used = before[-1:] if rule != "mean" else before
        for position in used:
            seen = kept[position]
            self.values.append(self._value_of(course, seen, BASELINE, base, None))
        for name in names:
            if name in analysed:
                seen = kept[analysed[name]]
                change = None if base is None or seen.number is None else seen.number - base
                self.values.append(self._value_of(course, seen, name, base, change))
            else:
                self.missing.append(Absent(course.subject, course.level, key, name, self._reason(course, name, windows.get(name))))
        if analysed and base is None and (course.subject, key) not in self.baseline_kinds:
            self.without_baseline[key] += 1
        for position, place in places.items():
            if position in used:
                continue
            self._aside(kept[position], *self._why_extra(position, before, place))
        self._compare(course, key, kept, analysed, used, base)

    def _why_extra(self, position: int, before: Sequence[int], place: str) -> tuple[str, str]:
        """Return why a measurement is not analysed, and the visit in whose window it is."""
        if position in before:
            return "another value is the baseline", BASELINE
        return ("another value is analysed at the visit", place) if place else ("in no window", "")

    def _value_of(self, course: _Course, seen: Measurement, visit: str, base: float | None, change: float | None) -> Value:
        derived = seen.source.startswith(_DERIVED)
        place = course.subject, course.level, seen.parameter, visit, seen.day
        return Value(*place, seen.kind, seen.value, base, change, derived, seen.source)

    def _baseline(self, subject: str, key: str, rule: str, before: Sequence[Measurement]) -> float | None:
        """Return the baseline of a patient by the rule; a value beyond a limit is kept as it is, and is no number."""
        if not before:
            return None
        self.baseline_kinds[subject, key] = before[-1]
        own = before if rule == "mean" else before[-1:]
        numbers = [seen.number for seen in own if seen.number is not None]
        found = sum(numbers) / len(numbers) if numbers else None
        if found is not None:
            self.baselines[subject, key] = found
        return found

    def _reason(self, course: _Course, name: str, visit: Visit | None) -> str:
        """Return why a patient has no value at a visit."""
        planned = self.endpoints.visits[name]
        last = planned.day + self.endpoints.infusion_visit_days if visit is None else visit.last
        ended = next((why for day, why in course.ends() if day <= last), None)
        if ended is not None:
            return ended
        if course.cut < last:
            return "not due"
        return "no infusion" if visit is None else "missed"

    def _compare(
        self,
        course: _Course,
        key: str,
        kept: Sequence[Measurement],
        analysed: Mapping[str, int],
        used: Sequence[int],
        base: float | None,
    ) -> None:
        """Compare own baseline, change and visit with those of an analysis data set."""
        visit_of = {position: name for name, position in analysed.items()} | dict.fromkeys(used, BASELINE)
        for position, seen in enumerate(kept):
            given = self.measurements.derived.get(seen.source)
            if given is None:
                continue
            own = visit_of.get(position, "")
            change = None if base is None or seen.number is None else seen.number - base
            if given.baseline is not None and not _close(given.baseline, base):
                self._differs(seen, "BASE", f"{given.baseline:g}", "" if base is None else f"{base:g}")
            if given.change is not None and not _close(given.change, change):
                self._differs(seen, "CHG", f"{given.change:g}", "" if change is None else f"{change:g}")
            if given.baseline_flag is not None and given.baseline_flag != (position in used):
                self._differs(seen, "ABLFL", "Y" if given.baseline_flag else "", "Y" if position in used else "")
            if given.visit and given.analysed is not False and plain_words(given.visit) != plain_words(own):
                self._differs(seen, "AVISIT", given.visit, own)

    # Tables.

    def summary(self, attrs: dict[str, Any]) -> EndpointSummary:
        """Return the summary of everything."""
        self._derive()
        self._analyse()
        treated = {level: self._n(level) for level in (*range(1, self.protocol.n_doses + 1), POOLED)}
        if (other := len(self.courses) - sum(n for level, n in treated.items() if level != POOLED)) > 0:
            attrs["other_dose"] = other
        follow_up, timed, steps = self._times()
        result = EndpointSummary(
            endpoints=self.endpoints,
            amounts=tuple(map(float, self.protocol.doses.amounts)),
            unit=self.protocol.doses.unit,
            treated=treated,
            by_visit=tuple(self._by_visit()),
            values=tuple(self.values),
            missing=tuple(self.missing),
            extra=tuple(self.extra),
            listed=self.measurements.listed,
            timed=tuple(timed),
            steps=tuple(steps),
            follow_up=tuple(follow_up),
            shares=tuple(self._of_kind("detection", self._share)),
            ratios=tuple(self._of_kind("ratio", self._ratio)),
            shifts=tuple(self._shifts()),
            peaks=tuple(self._peaks()),
            differences=tuple(self.differences),
            without_baseline=dict(self.without_baseline),
            windows=windows_of(self.endpoints, self.planned, self.planned),
            ineligible=self._ineligible(),
            undated=dict(self.undated),
            notes=self.measurements.notes,
            warnings=self.measurements.warnings,
            attrs=attrs,
        )
        self._check(result)
        return result

    def _ineligible(self) -> dict[str, tuple[str, ...]]:
        """Return the patients whose baseline is outside the criteria of the protocol, by parameter."""
        found: dict[str, list[str]] = {}
        for (subject, key), value in self.baselines.items():
            limits = self.endpoints.parameters[key].eligible
            if limits is not None and not limits[0] <= value <= limits[1]:
                found.setdefault(key, []).append(subject)
        return {key: tuple(subjects) for key, subjects in found.items()}

    def _check(self, result: EndpointSummary) -> None:
        """Check that no measurement is lost and that patients add up at every visit."""
        own = [value.source for value in result.values if not value.derived] + [extra.source for extra in result.extra]
        events = [seen.source for seen in self.measurements.values if self._is_event(seen)]
        if {*own, *events} != {seen.source for seen in self.measurements.values}:
            raise AssertionError("a measurement was lost; this is a defect of dosefind")
        for row in result.by_visit:
            gone = row.not_due + row.missed + row.died + row.transplant + row.withdrawn + row.no_infusion
            if row.n + gone != row.treated and row.visit != BASELINE:
                raise AssertionError("patients of a visit do not add up; this is a defect of dosefind")

    def _is_event(self, seen: Measurement) -> bool:
        own = self.endpoints.parameters.get(seen.parameter)
        return own is not None and own.kind == "event" and seen.kind == "event"

    def _n(self, level: int) -> int:
        return sum(level in (POOLED, course.level) for course in self.courses.values())

    def _at(self) -> dict[tuple[str, str], dict[int, list[Value]]]:
        """Return the values by parameter and visit, and by level, with all of them under `POOLED`."""
        found: dict[tuple[str, str], dict[int, list[Value]]] = {}
        for value in self.values:
            by_level = found.setdefault((value.parameter, value.visit), {})
            for level in {POOLED, value.level} - {None}:
                by_level.setdefault(level or POOLED, []).append(value)
        return found

    def _visited(self) -> Iterable[tuple[str, Parameter, str, int]]:
        """Yield parameter, visit and level of every cell of the tables by visit."""
        for key, parameter in self.endpoints.parameters.items():
            for name in (BASELINE, *self.endpoints.planned(key)) if not parameter.timed else ():
                for level in (*self.levels, POOLED):
                    yield key, parameter, name, level

    def _by_visit(self) -> Iterable[ByVisit]:
        self.at = self._at()
        absent: dict[tuple[str, str], Counter[tuple[int | None, str]]] = {}
        for one in self.missing:
            absent.setdefault((one.parameter, one.visit), Counter())[one.level, one.reason] += 1
        for key, _parameter, name, level in self._visited():
            values = self.at.get((key, name), {}).get(level, [])
            subjects = {value.subject: value for value in values}
            numbers = self._numbers(key, name, subjects)
            changes = np.array([value.change for value in subjects.values() if value.change is not None])
            gone = absent.get((key, name), Counter())
            counts = [
                sum(n for (own, why), n in gone.items() if why == reason and level in (POOLED, own)) for reason in MISSING_REASONS
            ]
            treated = self._n(level)
            off = sum(counts[MISSING_REASONS.index(reason)] for reason in ("died", "transplant", "withdrawn"))
            plain, moved = mean_interval(numbers), mean_interval(changes)
            yield ByVisit(
                *(key, level, name, treated, treated - off, len(subjects), len(subjects) - len(numbers)),
                *(plain.mean, plain.sd, *_spread(numbers)),
                *(moved.n, moved.mean, moved.sd, moved.low, moved.high, *_spread(changes)),
                *counts,
            )

    def _numbers(self, key: str, name: str, subjects: Mapping[str, Value]) -> np.ndarray:
        """Return the quantified values; at baseline those of the rule."""
        if name == BASELINE:
            found = [self.baselines[subject, key] for subject in subjects if (subject, key) in self.baselines]
        else:
            found = [value.value for value in subjects.values() if value.kind == "value" and value.value is not None]
        return np.array(found, float)

    def _of_kind[Row](self, kind: str, make: Callable[[str, str, int, list[Value]], Row]) -> Iterable[Row]:
        for key, parameter, name, level in self._visited():
            if parameter.kind == kind:
                values = self.at.get((key, name), {}).get(level, [])
                yield make(key, name, level, list({value.subject: value for value in values}.values()))

    def _share(self, key: str, name: str, level: int, values: list[Value]) -> Share:
        kinds = Counter(value.kind for value in values)
        return Share(key, level, name, len(values), kinds["not detected"], kinds["below"], kinds["value"] + kinds["above"])

    def _ratio(self, key: str, name: str, level: int, values: list[Value]) -> Ratio:
        """Return the ratio of geometric means to baseline; of a ratio with a censored part only a limit is known."""
        logs, below, above, halves = [], [], [], []
        unknown = lacking = 0
        for value in values if name != BASELINE else ():
            base = self.baseline_kinds.get((value.subject, key))
            if base is None:
                lacking += 1
                continue
            top, bottom = _bounds(value.kind), _bounds(base.kind)
            direction = {(0, 0): 0, (-1, 0): -1, (1, 0): 1, (0, -1): 1, (0, 1): -1, (1, -1): 1, (-1, 1): -1}.get((top, bottom))
            if value.value is None or base.value is None or direction is None:
                unknown += 1
                continue
            logs.append(np.log(value.value / base.value))
            below.append(direction < 0)
            above.append(direction > 0)
            half = (0.5 if top < 0 else 1.0) / (0.5 if bottom < 0 else 1.0)
            halves.append(logs[-1] + np.log(half))
        n = len(logs) + unknown
        censored = unknown + sum(below) + sum(above)
        if n and unknown == 0:
            found = censored_mean(logs, below, above)
            estimate = tuple(float(np.exp(value)) for value in (found.mean, found.low, found.high))
        else:
            estimate = (np.nan, np.nan, np.nan)
        by_substitution = (float(np.exp(np.mean(some))) if some else np.nan for some in (halves, logs))
        return Ratio(key, level, name, n, lacking, censored, *estimate, *by_substitution)

    def _shifts(self) -> Iterable[Shift]:
        for key, parameter, name, level in self._visited():
            if not parameter.shift or name == BASELINE:
                continue
            now = {value.subject: value for value in self.at.get((key, name), {}).get(level, [])}
            pairs: Counter[tuple[str, str]] = Counter()
            for subject, course in self.courses.items():
                if level not in (POOLED, course.level):
                    continue
                base, value = self.baselines.get((subject, key)), now.get(subject)
                after = "" if value is None or value.value is None else parameter.class_of(value.value)
                pairs["" if base is None else parameter.class_of(base), after] += 1
            yield from (Shift(key, level, name, *pair, n) for pair, n in sorted(pairs.items()))

    def _peaks(self) -> Iterable[Peak]:
        """Yield the largest ALT and bilirubin of each patient after the first infusion, by their upper limits of normal."""
        for subject, course in self.courses.items():
            found = []
            for key in ("ALT", "BILI"):
                parameter = self.endpoints.parameters.get(key)
                upper = None if parameter is None else parameter.upper_normal
                folds = [
                    (seen.value / limit, seen.day)
                    for seen in self.groups.get((subject, key), [])
                    if seen.value is not None and (limit := seen.upper_normal or upper) is not None
                    if seen.day > 1 or (seen.day == 1 and seen.time_point == "post")
                    if course.transplant is None or seen.day <= course.transplant
                ]
                found.append(max(folds) if folds else None)
            alt, bili = found
            if alt is not None and bili is not None:
                own = self.endpoints.parameters["BILI"]
                base, seen = self.baselines.get((subject, "BILI")), self.baseline_kinds.get((subject, "BILI"))
                limit = (None if seen is None else seen.upper_normal) or own.upper_normal
                fold = np.nan if base is None or limit is None else base / limit
                yield Peak(subject, course.level, alt[0], alt[1], bili[0], bili[1], fold)

    # Times.

    def _times(self) -> tuple[list[Follow], list[Timed], list[Step]]:
        follow_up: list[Follow] = []
        timed: list[Timed] = []
        steps: list[Step] = []
        for key, parameter in self.endpoints.parameters.items():
            if not parameter.timed:
                continue
            own = [self._follow(key, parameter, course) for course in self.courses.values()]
            follow_up += own
            for level in (*self.levels, POOLED):
                at_level = [one for one in own if level in (POOLED, one.level)]
                row, curve = (self._survival if parameter.kind == "survival" else self._incidence)(key, level, at_level)
                timed.append(row)
                steps += curve
        return follow_up, timed, steps

    def _follow(self, key: str, parameter: Parameter, course: _Course) -> Follow:
        """Return the first event of a patient and its cause; on one day the parameter's own event comes first."""
        causes: list[tuple[int | None, str]] = []
        if parameter.kind == "survival":
            causes.append((course.died, "death"))
            if parameter.composite == "transplant":
                causes.append((course.transplant, "transplant"))
        else:
            competing = {"death": course.died, "transplant": course.transplant}
            causes.append((self.events.get((course.subject, key)), "event"))
            causes += [
                (competing[name], name) for name in parameter.competing if key != self.endpoints.transplant or name == "death"
            ]
        known = [(day, place, cause) for place, (day, cause) in enumerate(causes) if day is not None and day <= course.cut]
        day, _place, cause = min(known, default=(max(course.followed, 1), 0, ""))
        return Follow(course.subject, course.level, key, day, cause)

    def _survival(self, key: str, level: int, own: Sequence[Follow]) -> tuple[Timed, list[Step]]:
        days, events = [one.day for one in own], [bool(one.cause) for one in own]
        found = kaplan_meier(days, events)
        at = self.endpoints.rate_day
        rate = found.at(at)
        risk = sum(day >= at for day in days)
        curve = [
            Step(key, level, int(day), int(n), float(p), float(low), float(high))
            for day, p, low, high, n in zip(*found, strict=True)
        ]
        known = risk > 0 or (len(found.days) and found.probability[-1] == 0)
        shown = rate if known else (np.nan, np.nan, np.nan)
        return Timed(key, level, "survival", len(own), sum(events), 0, risk, *shown, *_exact(sum(events), len(own))), curve

    def _incidence(self, key: str, level: int, own: Sequence[Follow]) -> tuple[Timed, list[Step]]:
        days, causes = [one.day for one in own], [one.cause or None for one in own]
        found = aalen_johansen(days, causes)
        rates, errors = (one.get("event", np.zeros(len(found.days))) for one in (found.by_cause, found.error))
        limits = [_log_log(rate, error) for rate, error in zip(rates, errors, strict=True)]
        risk = [sum(day >= at for day in days) for at in found.days]
        curve = [
            Step(key, level, int(day), n, float(rate), *pair)
            for day, n, rate, pair in zip(found.days, risk, rates, limits, strict=True)
        ]
        at = self.endpoints.rate_day
        last = max((step for step in curve if step.day <= at), key=lambda step: step.day, default=None)
        at_risk = sum(day >= at for day in days)
        # Where the last patient at risk had an event, the estimate stays as it is.
        ended = sum(float(one[-1]) for one in found.by_cause.values()) >= 1 - _NONE_LEFT if curve else False
        shown = (0.0, np.nan, np.nan) if last is None else (last.rate, last.low, last.high)
        if not at_risk and not (ended and found.days[-1] <= at):
            shown = (np.nan, np.nan, np.nan)
        events = sum(one.cause == "event" for one in own)
        competing = sum(one.cause not in ("", "event") for one in own)
        return Timed(key, level, "incidence", len(own), events, competing, at_risk, *shown, *_exact(events, len(own))), curve


def _bounds(kind: str) -> int:
    """Return -1 for a value below a limit, 1 for one above, 0 for a quantified one."""
    return {"below": -1, "not detected": -1, "above": 1}.get(kind, 0)


def _close(given: float, own: float | None) -> bool:
    """Return whether two numbers agree to the digits saved."""
    return own is not None and abs(given - own) <= _SAVED * max(1.0, abs(given))


def _spread(values: np.ndarray) -> tuple[float, float, float]:
    """Return median, smallest and largest value."""
    if not len(values):
        return np.nan, np.nan, np.nan
    return float(np.median(values)), float(values.min()), float(values.max())


def _exact(events: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Return the exact limits of a share: Clopper and Pearson (1934), doi:10.1093/biomet/26.4.404."""
    tail = (1 - level) / 2
    low = float(betaincinv(events, n - events + 1, tail)) if events else 0.0
    high = float(betaincinv(events + 1, n - events, 1 - tail)) if events < n else 1.0
    return low, high


def _log_log(rate: float, error: float, z: float = 1.959963984540054) -> tuple[float, float]:
    """Return limits of a cumulative incidence on the scale of log(-log)."""
    if not 0 < rate < 1 or error <= 0:
        return np.nan, np.nan
    width = z * error / abs(rate * np.log(rate))
    low, high = rate ** np.exp(width), rate ** np.exp(-width)
    return float(low), float(high)
