"""Outcome of each patient in the efficacy endpoint at a data cutoff date, by the estimand of the config.

Evaluability for the endpoint is its own: all patients who were given a dose of the protocol are looked at, whether or not they are
evaluable for DLT. A death, or a rescue unless the config says otherwise, before the assessment is composite: no response, or the
worst change. Another rule is one more case in `_outcome`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, NamedTuple

import numpy as np

from .._check import MISSING, InputError, Problem, counts
from ..days import study_day
from ..evaluability import UNTREATED, Evaluated
from ..patients import Assessment, Patient
from ..protocol import Efficacy, Protocol, plain_words
from ..words import _

__all__ = ["ResponseOutcome", "Responses", "outcome_of", "response_outcomes"]

Kind = Literal["known", "pending", "missing", "outside"]
# Kind, value, rule, whether it is composite, and rows.
_Found = tuple[Kind, float | None, str, bool, tuple[str, ...]]


class ResponseOutcome(NamedTuple):
    """The outcome of one patient in the efficacy endpoint.

    Attributes
    ----------
    subject
        The identifier.
    level
        Dose level, from 1; ``None`` for a dose not in the protocol or none of the product.
    kind
        "known", "pending" (not due yet), "missing" or "outside" (not given a dose of the protocol).
    value
        1 for a response and 0 for none, or the change; ``None`` unless known.
    baseline
        Baseline of the endpoint, if it has one.
    rule
        What decided, in words.
    composite
        Whether a death or a rescue decided.
    source
        Rows on which it is based.
    """

    subject: str
    level: int | None
    kind: Kind
    value: float | None
    baseline: float | None
    rule: str
    composite: bool = False
    source: tuple[str, ...] = ()


@dataclass(frozen=True)
class Responses:
    """Outcomes of the efficacy endpoint by dose, and of each patient where they are known one by one.

    Attributes
    ----------
    n, responses, pending, missing, composite : (doses,) arrays
        Patients with a known outcome, responses among them, patients whose assessment is not due, whose assessment is missing, and
        patients whose outcome is that of a death or rescue.
    outcomes
        The patients; empty if only counts are known.
    """

    n: np.ndarray
    responses: np.ndarray
    pending: np.ndarray
    missing: np.ndarray
    composite: np.ndarray
    outcomes: tuple[ResponseOutcome, ...] = ()

    @classmethod
    def counted(cls, n: Any, responses: Any, n_doses: int) -> Responses:
        """Return outcomes of which only the numbers of patients and of responses at each dose are known."""
        try:
            evaluable, responded = counts(n, responses, n_doses)
        except InputError as error:
            where = {"n": "responses: patients", "y": "responses"}
            raise InputError(
                [Problem(where.get(problem.where, problem.where), problem.value, problem.allowed) for problem in error.problems]
            ) from None
        nobody = np.zeros(n_doses, int)
        return cls(evaluable, responded, nobody, nobody, nobody)

    @classmethod
    def of(cls, outcomes: Sequence[ResponseOutcome], n_doses: int) -> Responses:
        """Return the outcomes of patients, counted by dose."""

        def number(wanted: Any) -> np.ndarray:
            levels = [outcome.level - 1 for outcome in outcomes if outcome.level is not None and wanted(outcome)]
            return np.bincount(np.array(levels, int), minlength=n_doses)

        return cls(
            number(lambda outcome: outcome.kind == "known"),
            number(lambda outcome: outcome.kind == "known" and outcome.value == 1),
            number(lambda outcome: outcome.kind == "pending"),
            number(lambda outcome: outcome.kind == "missing"),
            number(lambda outcome: outcome.kind == "known" and outcome.composite),
            tuple(outcomes),
        )

    @property
    def known(self) -> list[ResponseOutcome]:
        """Return the patients with a known outcome at a dose of the protocol."""
        return [outcome for outcome in self.outcomes if outcome.kind == "known" and outcome.level is not None]


def response_outcomes(evaluated: Evaluated, protocol: Protocol) -> Responses | None:
    """Return the outcomes of the efficacy endpoint at the data cutoff date; ``None`` if the protocol has none.

    Parameters
    ----------
    evaluated
        The patients at the data cutoff date.
    protocol
        The protocol with its table ``efficacy``.

    Examples
    --------
    >>> import dosefind
    >>> folder = "examples/nct05962762/dose-selection"
    >>> protocol = dosefind.load_protocol(f"{folder}/trial.toml")
    >>> evaluated = dosefind.evaluate(dosefind.read_patients(f"{folder}/patients.csv", protocol), protocol)
    >>> found = response_outcomes(evaluated, protocol)
    >>> found.n, found.responses, found.missing
    (array([5, 3, 9]), array([1, 2, 5]), array([1, 0, 0]))
    """
    efficacy = protocol.efficacy
    if efficacy is None:
        return None
    pairs = zip(evaluated.statuses, evaluated.patients, strict=True)
    cut = evaluated.as_of
    found = [outcome_of(patient, status.level, efficacy, cut, untreated=status.part in UNTREATED) for status, patient in pairs]
    return Responses.of(found, protocol.n_doses)


def outcome_of(patient: Patient, level: int | None, efficacy: Efficacy, cut: date, *, untreated: bool = False) -> ResponseOutcome:
    """Return the outcome of one patient.

    Parameters
    ----------
    patient
        The patient, as known by the data cutoff date.
    level
        Dose level, from 1; ``None`` for a dose not in the protocol.
    efficacy
        The endpoint.
    cut
        The data cutoff date.
    untreated
        Whether the patient was not given the product.
    """
    if untreated or level is None:
        words = _("not given the product") if untreated else _("dose not in the protocol")
        return ResponseOutcome(patient.subject, None, "outside", None, None, words)
    base = next((seen for seen in patient.assessments if seen.baseline), None)
    kind, value, rule, composite, source = _outcome(patient, base, efficacy, cut)
    rows = (*source, *((base.source,) if base is not None and base.source not in source else ()))
    return ResponseOutcome(patient.subject, level, kind, value, base.value if base else None, rule, composite, rows)


def _outcome(patient: Patient, base: Assessment | None, efficacy: Efficacy, cut: date) -> _Found:
    """Return kind, value, rule, whether it is composite, and rows."""
    last = efficacy.days[1]
    seen, others = _assessed(patient, efficacy)
    # An assessment without a day is taken to be at the end of the days of the visit.
    day = last if seen is None or seen.day is None else _study_day(patient, seen.day)
    for event_day, words in _events(patient, efficacy):
        if event_day <= day and not (seen is not None and event_day == day):
            value = 0.0 if efficacy.kind == "response" else efficacy.worst
            if value is None:
                allowed = (
                    f"must be given: patient {patient.subject} died or had rescue before the assessment, and is never left out"
                )
                raise InputError(Problem("efficacy.worst", MISSING, allowed))
            return "known", value, words.format(day=event_day), True, patient.source
    if seen is not None:
        value = seen.value
        if efficacy.kind == "change" and not seen.change:
            if base is None:
                return "missing", None, _("assessed, but without a baseline"), False, (seen.source,)
            value = seen.value - base.value
        rule = _("assessed") if seen.day is None else _("assessed on day {day}").format(day=day)
        return "known", value, rule, False, (seen.source,)
    outside = ""
    if others:
        listed = ", ".join(str(_study_day(patient, other.day)) for other in others if other.day is not None)
        outside = _("; assessed outside these days: day {days}").format(days=listed)
    return _without(patient, efficacy, cut, outside)


def _without(
    patient: Patient, efficacy: Efficacy, cut: date, outside: str
) -> tuple[Kind, float | None, str, bool, tuple[str, ...]]:
    """Return the outcome of a patient who has no assessment, and neither died nor had rescue before it."""
    first, last = efficacy.days
    left = None if patient.discontinued is None else _study_day(patient, patient.discontinued)
    gone = left is not None and left < last
    if _study_day(patient, cut) < last and (not gone or efficacy.missing == "no-response"):
        # Who left is no non-responder before the others can be responders: until the last day of the visit the outcome is pending.
        rule = _("due on days {first} to {last}").format(first=first, last=last)
        if gone:
            rule = _("left on day {day}; due on days {first} to {last}").format(day=left, first=first, last=last)
        return "pending", None, rule + outside, False, patient.source
    rule = _("no assessment on days {first} to {last}").format(first=first, last=last) + outside
    if gone:
        rule = _("left on day {day}, before the assessment").format(day=left)
    if efficacy.missing == "no-response":
        return "known", 0.0, _("{reason}: counted as no response").format(reason=rule), False, patient.source
    return "missing", None, rule, False, patient.source


def _events(patient: Patient, efficacy: Efficacy) -> list[tuple[int, str]]:
    """Return the study days of death and of rescue that are composite, earliest first, with their words."""
    found = []
    if patient.died is not None:
        found.append((_study_day(patient, patient.died), _("died on day {day}, before the assessment")))
    if patient.rescued is not None and efficacy.rescue == "composite":
        found.append((_study_day(patient, patient.rescued), _("rescue on day {day}, before the assessment")))
    return sorted(found)


def _assessed(patient: Patient, efficacy: Efficacy) -> tuple[Assessment | None, list[Assessment]]:
    """Return the assessment of the visit, nearest to the middle of its days and the later on ties, and those on other days."""
    first, last = efficacy.days
    after = [seen for seen in patient.assessments if not seen.baseline]
    if efficacy.visit is not None:
        named = [seen for seen in after if not seen.visit or plain_words(seen.visit) == plain_words(efficacy.visit)]
        after = [seen for seen in named if seen.day is None or seen.day >= patient.infusions[0]]
    within = [seen for seen in after if seen.day is None or first <= _study_day(patient, seen.day) <= last]
    others = [seen for seen in after if seen not in within]

    def apart(seen: Assessment) -> tuple[float, int]:
        day = last if seen.day is None else _study_day(patient, seen.day)
        return abs(day - (first + last) / 2), -day

    return min(within, key=apart, default=None), others


def _study_day(patient: Patient, day: date) -> int:
    return study_day(patient.infusions[0], day)
