"""Synthetic trials: simulated patients, entering one by one as the primary design and the rules of conduct of a protocol ask.

What happens to a patient is drawn beforehand, whatever the dose and the day: each has uniform random numbers of their own, so that
another rate of dropout leaves the rest of a patient as it was. The trial is then run by `next_dose`, which sees no more than was
known on each day. A further kind of deviation is one more entry of ``KINDS`` and the place where a course is made.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtri

from .._check import MISSING, InputError, Problem, calendar_day, curve_values, number, one_of, seed_of
from ..adjudications import Adjudicated
from ..conduct import earliest
from ..config import Trial
from ..evaluability import Evaluated, SeriousEvent, evaluate, known_by
from ..intake.files import Hashes
from ..intake.writing import NOT_IN_SDTM, Written, csv_text, needs_xpt, plain_tables, sdtm_domains, write_xpt
from ..patients import AdverseEvent, Assessment, Patient, Patients
from ..protocol import DLT, Protocol
from ..provenance import refuse_to_overwrite, versions, write_whole
from ..shown import Shown
from ..threads import one_thread
from ..trial import notation
from .next_dose import NextDose, binding_of, next_dose
from .synthetic_endpoints import MEASURED, measure, sdtm_measurements

__all__ = ["FILES", "KINDS", "MEASURED_FILES", "WARNING", "Deviation", "Synthetic", "synthesize"]

# Kinds of deviations that can be asked for, in the words of what was done.
KINDS = {
    "schedule": "had an infusion off its schedule",
    "stagger": "started before the days between patients were over",
    "dose": "was given a dose that the protocol does not have",
}
_DOMAINS = ("dm", "ex", "ae", "ds")
FILES = (
    *("README.txt", "patients.csv", "events.csv"),
    *(f"sdtm-{kind}/{name}.{kind}" for kind in ("csv", "xpt") for name in _DOMAINS),
)
# Further files of a trial with measurements; a domain without rows is not written.
MEASURED_FILES = ("measurements.csv", *(f"sdtm-{kind}/{name}.{kind}" for kind in ("csv", "xpt") for name in MEASURED))
_SUBJECT = "SYN-{:04d}"
# Reasons for leaving, of CDISC's controlled terminology.
_REASONS = ("WITHDRAWAL BY SUBJECT", "LOST TO FOLLOW-UP")
_TERMS = ("Headache", "Fatigue", "Pyrexia", "Nausea", "Dizziness", "Infusion site pain")
_GRAVE = ("Hypoxia", "Infusion related reaction", "Pyrexia", "Dyspnoea", "Embolism", "Dose limiting event")
# Most adverse events of a patient besides a DLT; half the patients have none, a quarter has one, and so on.
_NOISE = 4
# A synthetic trial that treats this many times its maximum sample size does not end.
_ENDLESS = 4
# Mean of the simulated baselines of a continuous endpoint.
_BASELINE = 15.0
# The first line of what is said of a synthetic trial.
WARNING = "SYNTHETIC DATA: these patients do not exist."


class Deviation(NamedTuple):
    """A deviation that was made on purpose: one of ``KINDS``, and the subject."""

    kind: str
    subject: str


@dataclass(frozen=True)
class Synthetic(Shown):
    """A synthetic trial.

    Attributes
    ----------
    patients
        What the data say: as `read_patients` reads them from the written tables.
    deviations
        What was made to deviate from the protocol.
    protocol
        The protocol.
    about
        What it was made of and came to: protocol and config with its hash, truth, seed, rates, days, counts, how it ended,
        versions.
    adjudications
        Adjudications of its serious events, which follow the protocol's definition of a DLT.
    measurements
        The long table of the measurements of the endpoints; ``None`` if none were simulated.
    """

    patients: Patients
    deviations: tuple[Deviation, ...]
    protocol: Protocol = field(repr=False)
    about: dict[str, Any] = field(repr=False)
    adjudications: tuple[Adjudicated, ...] = ()
    measurements: Written | None = field(default=None, repr=False)

    @property
    def tables(self) -> dict[str, Written]:
        """Return the tables of dosefind's own layout, ``patients`` and ``events``, and ``measurements`` if there are any."""
        more = {} if self.measurements is None else {"measurements": self.measurements}
        return plain_tables(self.patients) | more

    @property
    def domains(self) -> dict[str, Written]:
        """Return the domains DM, EX, AE and DS of SDTM, by their names in lower case, and those of measurements."""
        found = sdtm_domains(self.patients, self.protocol, self.about["study"])
        if self.measurements is not None:
            found |= sdtm_measurements(self.measurements, self.patients.patients, self.about["study"])
        return found

    def write(self, folder: str | Path, *, force: bool = False) -> list[str]:
        """Write the trial as CSV, and as SDTM in CSV and in SAS transport files; return the file names.

        Parameters
        ----------
        folder
            Made if it is not there.
        force
            Whether files that are there may be overwritten.

        Raises
        ------
        InputError
            If the folder cannot take the files, or pyreadstat (extra ``cdisc``) is missing; then nothing is written.
        """
        needs_xpt()
        refuse_to_overwrite(Path(folder), [*FILES, *(MEASURED_FILES if self.measurements is not None else ())], force)
        texts = {"README.txt": str(self)}
        texts |= {f"{name}.csv": csv_text(table) for name, table in self.tables.items()}
        texts |= {f"sdtm-csv/{name}.csv": csv_text(table) for name, table in self.domains.items()}
        files: dict[str, bytes | Callable[[Path], object]] = {name: text.encode() for name, text in texts.items()}
        for name, table in self.domains.items():
            files[f"sdtm-xpt/{name}.xpt"] = partial(write_xpt, table, day=self.patients.last_date)
        write_whole(Path(folder), files, force=force)
        return list(files)

    def __repr__(self) -> str:
        return f"Synthetic trial under {self.protocol.record.id}: {len(self.patients.patients)} patients who do not exist"

    def __str__(self) -> str:
        """Return a description of the trial: the text of ``README.txt``."""
        about = self.about
        lines = [
            WARNING,
            "They were simulated by dosefind synthesize for testing software. No conclusion on any product can be drawn from them.",
            "",
            *(
                f"{name.replace('_', ' ') + ':':<16}{_shown(about[name])}"
                for name in about
                if name not in ("deviations", "versions")
            ),
            "",
            "Deviations made on purpose:",
            *([f"  {one.subject} {KINDS[one.kind]}" for one in self.deviations] or ["  none"]),
            "",
            "patients.csv, events.csv   for dosefind next --data patients.csv --events events.csv",
            "sdtm-csv, sdtm-xpt         the same as SDTM (DM, EX, AE, DS), for dosefind next --data sdtm-xpt",
            *(["measurements.csv           for dosefind endpoints; in sdtm-csv and sdtm-xpt too"] if self.measurements else []),
            f"Not in SDTM                {NOT_IN_SDTM}",
            *(["                           and the efficacy endpoint, which is in patients.csv"] if "responses" in about else []),
            "",
            f"Versions: {', '.join(f'{name} {found}' for name, found in about['versions'].items())}",
        ]
        return "\n".join(lines) + "\n"

    def as_json(self) -> str:
        """Return a description of the trial as JSON."""
        return json.dumps({**self.about, "deviations": [one._asdict() for one in self.deviations]}, indent=1)


def _shown(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_shown, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


@one_thread
def synthesize(
    trial: Trial | Protocol,
    truth: str | Sequence[float],
    *,
    seed: int = 1,
    start: date | None = None,
    until: date | None = None,
    dropout: float = 0.10,
    deviate: float = 0.10,
    kinds: Sequence[str] = ("schedule", "stagger"),
    gap: float = 4.0,
    design: str | None = None,
    response: Sequence[float] | None = None,
    endpoints: bool = False,
) -> Synthetic:
    """Simulate a complete trial that follows a protocol: arrivals, DLTs, other adverse events, dropouts, replacements, deviations.

    Parameters
    ----------
    trial
        The trial, from `load_trial`, or its protocol.
    truth
        DLT probability of each dose within the DLT window, not falling with the dose; or the name of one of the protocol's
        scenarios.
    seed
        Seed of all that is random: the same seed gives the same trial, byte by byte.
    start
        Day on which the trial opens; by default the date of the protocol's version.
    until
        Stop there: what is later is cut off, and outcomes are pending. By default the trial goes on to its end.
    dropout
        Probability that a patient leaves before the end of the DLT window, on any day alike. Who leaves has no DLT, so that among
        the evaluable patients a DLT has the true probability.
    deviate
        Probability with which a patient deviates, for each of ``kinds``, where there is anything to deviate from.
    kinds
        "schedule" (an infusion off its schedule), "stagger" (a patient who starts too early), "dose" (a dose that the protocol does
        not have).
    gap
        Mean days from when a patient enters to when the next one could.
    design
        The primary design, in place of the protocol's.
    response
        Probability of a response, or mean change, at each dose; the protocol needs a table ``efficacy``. Responses are independent
        of DLTs; without this no endpoint is simulated.
    endpoints
        Whether every parameter of the table ``endpoints`` is simulated too: patients are then followed up to its last visit, and
        some of them die or have other events after the DLT window. Values do not depend on the dose.

    Returns
    -------
    Synthetic

    Raises
    ------
    InputError
        If ``truth`` is no scenario and no such list of probabilities, a rate is out of range, a kind is unknown, no patient was
        treated until ``until``, or too many leave or deviate, so that the trial does not end.

    Notes
    -----
    A patient enters on the first day on which the design and the rules of conduct allow it, as `next_dose` tells them. A DLT
    begins on each day of the window alike, and no infusion follows it. Everybody else is followed to the end of the window or
    of the course. Identifiers begin with SYN.

    Examples
    --------
    >>> import dosefind
    >>> made = synthesize(dosefind.load_trial("configs/nct05962762.toml"), [0, 0, 0], seed=1, dropout=0, deviate=0)
    >>> len(made.patients.patients), made.patients.patients[0].subject, made.about["outcomes"]
    (9, 'SYN-0001', '1NNN 2NNN 3NNN')
    """
    trial = Trial.of(trial)
    seed_of(seed)
    _rate("dropout", dropout)
    _rate("deviate", deviate)
    for kind in kinds:
        one_of("kinds", kind, KINDS)
    if not 0 <= number("gap", gap, _DAYS) <= 3650:
        raise InputError(Problem("gap", gap, f"must be {_DAYS}"))
    first = trial.protocol.record.version_date if start is None else calendar_day("start", start)
    if until is not None and calendar_day("until", until) < first:
        raise InputError(Problem("until", until.isoformat(), f"lies before the start of the trial, {first}"))
    # One version of the protocol for the whole trial: the one in force when it opens.
    current = trial.in_force(first)
    protocol = current.protocol.without_amendments()
    name, rates = _truth(protocol, truth)
    of_response = _response(protocol, response)
    binding = binding_of(current, design)

    course = _Course(
        _with_one_design(current, protocol, binding), rates, seed, dropout, dict.fromkeys(kinds, deviate), gap, of_response
    )
    ended = course.run(first, until)
    patients, measured = course.data(until), None
    if endpoints:
        patients, measured = _measured(patients, protocol, seed, until)
    patients = replace(patients, sha256=_hash(patients))
    subjects = {patient.subject for patient in patients.patients}
    evaluated = evaluate(patients, protocol)
    told = {
        "protocol": protocol.record.id,
        "study": f"SYNTHETIC-{protocol.record.id}"[:200],
        "config": protocol.file,
        "config_sha256": protocol.sha256,
        "truth": name,
        "DLT rates": list(rates),
        "doses": [*protocol.doses.amounts],
        "unit": protocol.doses.unit,
        "seed": seed,
        "binding design": binding,
        "start": first.isoformat(),
        "until": "the end" if until is None else until.isoformat(),
        "dropout": float(dropout),
        "deviate": float(deviate),
        "kinds": list(kinds),
        "gap": float(gap),
        **({} if of_response is None else {"responses": list(of_response)}),
        **({} if measured is None else {"measurements": len(measured.rows)}),
        **_counted(evaluated),
        "ended": ended,
        "versions": versions(),
    }
    adjudications = tuple(adjudication for adjudication in course.adjudications if until is None or adjudication.as_of <= until)
    return Synthetic(
        patients, tuple(one for one in course.deviations if one.subject in subjects), protocol, told, adjudications, measured
    )


_DAYS = "a number of days from 0 to 3650"


def _response(protocol: Protocol, response: Sequence[float] | None) -> tuple[float, ...] | None:
    """Return the true response rate or mean change of each dose."""
    if response is None:
        return None
    if protocol.efficacy is None:
        raise InputError(Problem("response", response, "needs the table efficacy in the config"))
    values = [number("response", value, "one number per dose") for value in response]
    rates = protocol.efficacy.kind == "response"
    if len(values) != protocol.n_doses or not all(0 <= value <= 1 if rates else math.isfinite(value) for value in values):
        kind = "probabilities from 0 to 1" if rates else "mean changes"
        raise InputError(Problem("response", response, f"must be {protocol.n_doses} {kind}, one per dose"))
    return tuple(map(float, values))


def _measured(patients: Patients, protocol: Protocol, seed: int, until: date | None) -> tuple[Patients, Written]:
    """Return the patients followed up to the last visit of the endpoints, and their measurements."""
    if protocol.endpoints is None:
        raise InputError(Problem("endpoints", MISSING, "the config needs this table"))
    followed, measured = measure(patients.patients, protocol, seed, until)
    days = [day for patient in followed for _, day in patient.dates()]
    return replace(patients, patients=followed, last_date=max([*days, *(row["date"] for row in measured.rows)])), measured


def _truth(protocol: Protocol, truth: Any) -> tuple[str, tuple[float, ...]]:
    """Return the name of a scenario, and its DLT rates."""
    if isinstance(truth, str):
        name = one_of("truth", truth, protocol.scenarios)
        return name, tuple(map(float, protocol.scenarios[name]))
    rates = curve_values("truth", [truth], protocol.n_doses)
    return "given", tuple(map(float, rates[0]))


def _rate(name: str, value: float) -> None:
    if not 0 <= number(name, value, "a probability from 0 to 1") <= 1:
        raise InputError(Problem(name, value, "must be a probability from 0 to 1"))


def _with_one_design(trial: Trial, protocol: Protocol, binding: str) -> Trial:
    """Return the trial by a version of its protocol, without the designs that are not the primary one."""
    alone = protocol.model_copy(update={"designs": {binding: protocol.designs[binding]}, "binding": binding, "assumed": {}})
    return replace(trial, protocol=alone, designs={binding: trial.designs[binding]})


def _counted(evaluated: Evaluated) -> dict[str, Any]:
    kinds = [status.kind for status in evaluated.statuses]
    return {
        "patients": len(kinds),
        "DLTs": kinds.count("dlt"),
        "pending": kinds.count("pending"),
        "not evaluable": kinds.count("not evaluable") + kinds.count("replaced"),
        "replaced": kinds.count("replaced"),
        "outcomes": notation(evaluated.cohorts()) or "none",
    }


class _Person:
    """What is drawn of a patient before the entry: uniform numbers, by what they decide."""

    def __init__(self, seed: int, place: int) -> None:
        random = np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, place))))
        one = iter(random.random(12).tolist())
        self.arrival, self.leaves, self.leaving, self.reason = next(one), next(one), next(one), next(one)
        self.toxic, self.onset, self.term, self.grade, self.word = next(one), next(one), next(one), next(one), next(one)
        self.shift, self.which, self.several = next(one), next(one), next(one)
        self.noise = random.random((_NOISE, 4)).tolist()
        self.deviates = dict(zip(KINDS, random.random(len(KINDS)).tolist(), strict=True))
        self.responds, self.assessed, self.base = random.random(3).tolist()


def _pick(uniform: float, of: Sequence[Any]) -> Any:
    return of[int(uniform * len(of))]


class _Course:
    """A trial under way, with all that will happen to those who have entered."""

    def __init__(
        self,
        trial: Trial,
        rates: tuple[float, ...],
        seed: int,
        dropout: float,
        deviate: dict[str, float],
        gap: float,
        response: tuple[float, ...] | None = None,
    ) -> None:
        self.response = response
        self.trial, self.rates, self.seed, self.dropout, self.deviate, self.gap = trial, rates, seed, dropout, deviate, gap
        self.protocol = protocol = trial.protocol
        self.patients: list[Patient] = []
        self.deviations: list[Deviation] = []
        self.adjudications: list[Adjudicated] = []
        treatment = protocol.treatment.model_copy(update={"stagger": None})
        self.without_stagger = protocol.model_copy(update={"treatment": treatment})
        self.arrive()

    def arrive(self) -> None:
        """Draw the next patient."""
        self.person = _Person(self.seed, len(self.patients) + 1)

    def run(self, day: date, until: date | None) -> str:
        """Enrol patients until the design stops or the day is reached; return how the trial ended."""
        day += self.wait()
        while until is None or day <= until:
            found = self.next(day)
            if found.proposal.action == "stop":
                return found.proposal.words
            # The outcomes of patients at other doses are known to the simulation: no patient waits for a judgement.
            level = found.proposal.level
            left = found.proposal.action != "fill"
            opens = None if level is None else earliest(found.evaluated, self.protocol, level, left=left).patient.day
            too_early = opens is None or opens > day
            if found.proposal.level is None or (too_early and not self.hurries(found, day)):
                day = self.next_news(day, opens, found)
                continue
            self.enter(day, found, hurried=too_early)
            day += self.wait()
        return f"under way on {until}"

    def next(self, day: date) -> NextDose:
        """Return the next step on a day, every serious event being adjudicated on its first day by the definition of a DLT."""
        data = self.data()
        found = next_dose(self.trial, data, day, replay=True, adjudications=self.adjudications)
        if found.holds.events:
            self.adjudications += [_adjudicated(event, found, day) for event in found.holds.events]
            found = next_dose(self.trial, data, day, replay=True, adjudications=self.adjudications)
        # A DLT at a dose that the design did not ask for holds nobody up here: the committee goes on.
        held = found.proposal.held
        if held is None or found.holds.events or found.holds.pauses:
            return found
        return replace(found, proposals={**found.proposals, found.binding: held})

    def wait(self) -> timedelta:
        """Return days until the next patient could enter."""
        days = int(-math.log1p(-self.person.arrival) * self.gap)
        stagger = self.protocol.treatment.stagger
        return timedelta(days=days % stagger.days if stagger is not None and self.does("stagger") else days)

    def does(self, kind: str) -> bool:
        """Return whether the next patient deviates in this way."""
        return self.person.deviates[kind] < self.deviate.get(kind, 0.0)

    def hurries(self, found: NextDose, day: date) -> bool:
        """Return whether the next patient is enrolled too early, against the staggering interval only."""
        if not self.does("stagger") or found.proposal.level is None:
            return False
        opens = earliest(found.evaluated, self.without_stagger, found.proposal.level).patient.day
        return opens is not None and opens <= day

    def next_news(self, day: date, opens: date | None, found: NextDose) -> date:
        """Return the next day on which an outcome becomes known or the trial opens."""
        days = [
            opens,
            *(news for patient in self.patients for news in (patient.dlt_date, patient.discontinued, self.window_end(patient))),
        ]
        ahead = [news for news in days if news is not None and news > day]
        if not ahead:
            why = found.start.words if found.start else found.proposal.reason
            raise InputError(
                f"{found.binding} and the rules of conduct leave no possible continuation: {found.proposal.words}, and {why}"
            )
        return min(ahead)

    def window_end(self, one: Patient) -> date:
        return one.infusions[0] + timedelta(days=self.protocol.treatment.dlt_window_days)

    def enter(self, day: date, found: NextDose, hurried: bool) -> None:
        """Enrol the next patient, with the whole course."""
        members, level = found.evaluated.members, found.proposal.level or 0
        fills = found.proposal.action == "fill"
        cohort = members[-1].cohort if fills else max((one.cohort for one in members), default=0) + 1
        subject = _SUBJECT.format(len(self.patients) + 1)
        if len(self.patients) >= _ENDLESS * self.protocol.limits.max_n:
            rates = f"dropout = {self.dropout:g} and deviate = {max(self.deviate.values(), default=0):g}"
            raise InputError(f"with {rates} the trial does not end: {len(self.patients)} patients were treated")
        one = self.course(subject, level, day)
        replaces = _to_be_replaced(found.evaluated, members[-1].subjects) if fills and one.level is not None else None
        self.patients.append(replace(one, cohort=cohort, replaces=replaces))
        self.deviations += [Deviation("stagger", subject)] if hurried else []
        self.deviations += [Deviation("dose", subject)] if one.level is None else []
        self.arrive()

    def course(self, subject: str, level: int, day: date) -> Patient:
        """Return the course of the next patient, enrolled at a level on a day."""
        person, treatment = self.person, self.protocol.treatment
        window = treatment.dlt_window_days
        left = 1 + int(person.leaving * (window - 1)) if person.leaves < self.dropout and window > 1 else None
        onset = int(person.onset * (window + 1)) if left is None and person.toxic < self.rates[level - 1] else None
        planned = self.schedule()
        stops = min((at for at in (left, onset) if at is not None), default=math.inf)
        given = [at for at in planned if at == 0 or at < stops]
        if any(at + 1 not in treatment.infusion_days for at in given):
            self.deviations.append(Deviation("schedule", subject))
        last = max(window, *given) if left is None else left
        assessments = self.assessments(level, day, left)
        if left is None and assessments:
            last = max(last, *((found.day - day).days for found in assessments if found.day is not None))
        amounts = self.protocol.doses.amounts
        off = self.does("dose")
        amount = amounts[level - 1] if not off else (amounts[level - 1] + [*amounts, 2 * amounts[-1]][level]) / 2
        return Patient(
            subject=subject,
            level=None if off else level,
            amount=float(amount),
            infusions=tuple(day + timedelta(days=at) for at in given),
            last_contact=day + timedelta(days=last),
            dlt=onset is not None,
            dlt_date=None if onset is None else day + timedelta(days=onset),
            discontinued=None if left is None else day + timedelta(days=left),
            reason=None if left is None else _pick(person.reason, _REASONS),
            events=tuple(sorted(self.events(day, last, onset), key=_in_order)),
            assessments=assessments,
        )

    def assessments(self, level: int, day: date, left: int | None) -> tuple[Assessment, ...]:
        """Return the assessment of the next patient, of a change with its baseline; none of a patient who left before it."""
        efficacy, person = self.protocol.efficacy, self.person
        if self.response is None or efficacy is None:
            return ()
        first, last = efficacy.days
        at = first - 1 + int(person.assessed * (last - first + 1))
        if efficacy.kind == "response":
            found = [Assessment(float(person.responds < self.response[level - 1]), day + timedelta(days=at), "")]
        else:
            sd = efficacy.residual_sd or 0.0
            base = Assessment(round(_BASELINE + sd * float(ndtri(person.base)), 1), None, "", baseline=True)
            value = round(self.response[level - 1] + sd * float(ndtri(person.responds)), 1)
            found = [Assessment(value, day + timedelta(days=at), "", change=True), base]
        return tuple(seen for seen in found if seen.baseline or left is None or left >= at)

    def schedule(self) -> list[int]:
        """Return the days from the first infusion to each infusion, one of them off schedule for a patient with that deviation."""
        treatment = self.protocol.treatment
        planned = [at - 1 for at in treatment.infusion_days]
        beyond = treatment.infusion_tolerance_days + 1
        ends = [*planned[1:], max(treatment.dlt_window_days, planned[-1]) + 1]
        moves = [
            (place, planned[place] + sign * by)
            for place in range(1, len(planned))
            for sign in (-1, 1)
            for by in range(beyond, beyond + 3)
            if planned[place - 1] < planned[place] + sign * by < ends[place]
        ]
        if self.does("schedule") and moves:
            place, at = _pick(self.person.shift, moves)
            planned[place] = at
        return planned

    def events(self, day: date, last: int, onset: int | None) -> list[AdverseEvent]:
        """Return adverse events of a patient followed for this number of days: the DLT, and others that are no DLT."""
        person, dlt = self.person, self.protocol.dlt
        found = []
        if onset is not None:
            term = _pick(person.term, [term for term in _GRAVE if dlt.least_grade_of(term) is not None])
            least = dlt.least_grade_of(term) or dlt.least_grade
            grade = min(least + int(person.grade * 2), max(least, 4))
            found.append(AdverseEvent(term, grade, _word(person.word, _RELATED, dlt.related), day + timedelta(days=onset), ""))
        for numbers in person.noise[: int(-math.log2(1 - person.several))]:
            event = _harmless_event(numbers, dlt, day, last)
            found += [event] if event else []
        return found

    def data(self, until: date | None = None) -> Patients:
        """Return the trial as recorded in its data up to a day."""
        known = [patient if until is None else _cut(patient, until, self.window_end(patient)) for patient in self.patients]
        patients = _with_rows([decision for decision in known if decision.infusions])
        if until is not None and not patients:
            raise InputError(Problem("until", until.isoformat(), "no patient was treated by that day"))
        days = [day for patient in patients for _, day in patient.dates()]
        events = sum(len(patient.events or ()) for patient in patients)
        return Patients(patients, (), len(patients) + events, (), max(days, default=date.min), "", keeps_contacts=True)


_RELATED = ("possible", "probable", "related")
_UNRELATED = ("not related", "unlikely")


def _word(uniform: float, usual: Sequence[str], allowed: Sequence[str]) -> str:
    """Return a usual word for a relationship that the protocol knows; else one of the protocol's."""
    return _pick(uniform, [word for word in usual if word in allowed] or allowed)


def _harmless_event(numbers: Sequence[float], dlt: DLT, day: date, last: int) -> AdverseEvent | None:
    """Return an adverse event that is not a DLT: below its grade, or not related; ``None`` if the protocol allows none."""
    term = _pick(numbers[0], _TERMS)
    unrelated = numbers[1] < 0.5 and bool(dlt.unrelated)
    least = dlt.least_grade_of(term)
    most = 3 if unrelated or least is None else min(3, least - 1)
    if most < 1:
        return None
    relation = _word(numbers[1] * 2 % 1, _UNRELATED if unrelated else _RELATED, dlt.unrelated if unrelated else dlt.related)
    return AdverseEvent(term, 1 + int(numbers[2] * most), relation, day + timedelta(days=int(numbers[3] * (last + 1))), "")


def _adjudicated(event: SeriousEvent, found: NextDose, day: date) -> Adjudicated:
    """Return the adjudication of a synthetic event, which follows the protocol's definition."""
    return Adjudicated(
        as_of=day,
        adjudicated_on=day,
        protocol=found.attrs["protocol"],
        data_sha256=found.evaluated.sha256,
        subject=event.subject,
        event_date=event.day,
        term="" if event.event is None else event.event.term,
        grade=None if event.event is None else event.event.grade,
        conclusion="DLT" if found.evaluated[event.subject].kind == "dlt" else "not a DLT",
        adjudicated_by="synthetic",
        reason="as the protocol defines a DLT",
    )


def _in_order(event: AdverseEvent) -> tuple[date, str, int, str]:
    return event.start or date.min, event.term, event.grade or 0, event.related or ""


def _to_be_replaced(evaluated: Evaluated, subjects: Sequence[str]) -> str | None:
    """Return the first of these patients who is not evaluable and not yet replaced."""
    return next((subject for subject in subjects if evaluated[subject].kind == "not evaluable"), None)


def _cut(one: Patient, until: date, end: date) -> Patient:
    """Return the data of a patient known by a day; no DLT is known once the window has ended or the patient has left."""
    known = known_by(one, until)
    return known if known.dlt or known.discontinued or end <= until else replace(known, dlt=None)


def _with_rows(patients: Sequence[Patient]) -> tuple[Patient, ...]:
    """Return patients and their events with the rows of the tables in which they are written, whose header is row 1."""
    found, row = [], 1
    for place, one in enumerate(patients, start=2):
        events = tuple(event._replace(source=f"events.csv row {row + n}") for n, event in enumerate(one.events or (), start=1))
        row += len(events)
        row_of = f"patients.csv row {place}"
        assessments = tuple(seen._replace(source=row_of) for seen in one.assessments)
        found.append(replace(one, source=(row_of,), events=events, assessments=assessments))
    return tuple(found)


def _hash(patients: Patients) -> str:
    """Return the hash of the written tables, as `read_patients` has it."""
    hashes = Hashes()
    for name, table in plain_tables(patients).items():
        hashes.add(f"{name}.csv", csv_text(table).encode())
    return hashes.together()
