"""Liver tests graded by CTCAE v5.0: relative to the upper limit of normal (ULN), or to baseline if that was abnormal.

Common Terminology Criteria for Adverse Events v5.0 (National Cancer Institute, 27 November 2017), Investigations: alanine
aminotransferase, aspartate aminotransferase, alkaline phosphatase, GGT and blood bilirubin increased.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from datetime import date

from .._check import InputError, Problem, number, one_of
from ..patients import AdverseEvent, LabValue, Patient
from ..protocol import Protocol, plain_words
from .window import rules_of, window

__all__ = ["LIVER_TERMS", "baseline_of", "liver_grade", "regraded", "values_without_event"]

# Multiples above which a value has grade 2, 3 and 4; and the multiple from which it has grade 1 if the baseline was abnormal.
_ABOVE: dict[str, tuple[float, float, float]] = {
    "ALT": (3.0, 5.0, 20.0),
    "AST": (3.0, 5.0, 20.0),
    "ALP": (2.5, 5.0, 20.0),
    "GGT": (2.5, 5.0, 20.0),
    "BILI": (1.5, 3.0, 10.0),
}
_FROM: dict[str, float] = {"ALT": 1.5, "AST": 1.5, "ALP": 2.0, "GGT": 2.0}
LIVER_TERMS: dict[str, tuple[str, ...]] = {
    "ALT": ("alanine aminotransferase increased", "alt increased", "alanine aminotransferase abnormal"),
    "AST": ("aspartate aminotransferase increased", "ast increased", "aspartate aminotransferase abnormal"),
    "ALP": ("blood alkaline phosphatase increased", "alkaline phosphatase increased", "alp increased"),
    "GGT": ("gamma glutamyltransferase increased", "gamma glutamyl transferase increased", "ggt increased"),
    "BILI": ("blood bilirubin increased", "bilirubin increased", "hyperbilirubinaemia", "hyperbilirubinemia"),
}
"""Terms of adverse events by test, as `plain_words` compares them."""
# Relative difference below which a value is read as the limit itself: rounding error of a product of two doubles.
_TIE = 1e-9


def liver_grade(test: str, value: float, uln: float, baseline: float | None = None) -> int:
    """Return the CTCAE v5.0 grade of a liver test, 0 to 4.

    Parameters
    ----------
    test
        "ALT", "AST", "ALP", "GGT" or "BILI" (total bilirubin).
    value
        The value.
    uln
        Upper limit of normal, in the unit of the value.
    baseline
        Value before treatment, in the same unit. Without it, or if it is normal, the grade is relative to the limit of normal.

    Raises
    ------
    InputError
        If the test is unknown, or a value is not a number above 0.

    Examples
    --------
    >>> liver_grade("ALT", 220, 40), liver_grade("ALT", 220, 40, baseline=100)
    (3, 1)
    """
    one_of("test", test, _ABOVE)
    for name, given in (("value", value), ("uln", uln), ("baseline", baseline)):
        if given is not None and not 0 < number(name, given, "a number above 0") < math.inf:
            raise InputError(Problem(name, given, "must be a number above 0"))
    abnormal = baseline is not None and _exceeds(baseline, uln)
    reference = baseline if abnormal and baseline is not None else uln
    grade = 1 + sum(_exceeds(value, multiple * reference) for multiple in _ABOVE[test])
    if grade > 1:
        return grade
    if abnormal and test in _FROM:
        return int(not _exceeds(_FROM[test] * reference, value))
    return int(_exceeds(value, reference))


def _exceeds(value: float, limit: float) -> bool:
    return value > limit * (1 + _TIE)


def baseline_of(patient: Patient, test: str) -> LabValue | None:
    """Return the baseline of a test: the last value flagged as such, otherwise the last before the first infusion."""
    before = [lab for lab in patient.labs if lab.test == test and lab.day <= patient.infusions[0]]
    flagged = [lab for lab in before if lab.baseline]
    earlier = [lab for lab in before if lab.day < patient.infusions[0]]
    return max(flagged or earlier, key=lambda lab: lab.day, default=None)


def _grades(patient: Patient, test: str) -> list[tuple[date, int, int]]:
    """Return day, grade relative to baseline and grade relative to the limit of normal of each value since the first infusion."""
    before = baseline_of(patient, test)
    baseline = None if before is None else before.value
    return [
        (lab.day, liver_grade(test, lab.value, lab.uln, baseline), liver_grade(test, lab.value, lab.uln))
        for lab in patient.labs
        if lab.test == test and lab.day >= patient.infusions[0] and lab is not before
    ]


def _test_of(term: str) -> str | None:
    word = plain_words(term)
    return next((test for test, terms in LIVER_TERMS.items() if word in terms), None)


def regraded(patient: Patient, protocol: Protocol) -> Patient:
    """Return the patient with liver test grades relative to baseline, if the protocol says so.

    The grade of an event is replaced if the values from its start to its end have the recorded grade relative to the limit of
    normal; otherwise the graded value is not among them, and the recorded grade is kept.
    """
    if not patient.infusions or not patient.labs or rules_of(patient, protocol).dlt.liver_grading != "baseline":
        return patient
    events = None if patient.events is None else tuple(_regraded(event, patient) for event in patient.events)
    return replace(patient, events=events)


def _regraded(event: AdverseEvent, patient: Patient) -> AdverseEvent:
    test = _test_of(event.term)
    if test is None or event.grade is None or event.start is None or event.recorded_grade is not None:
        return event
    last = event.end or date.max
    during = [(by_baseline, by_limit) for day, by_baseline, by_limit in _grades(patient, test) if event.start <= day <= last]
    if not during or max(by_limit for _, by_limit in during) < event.grade:
        return event
    grade = max(1, *(by_baseline for by_baseline, _ in during))
    return event if grade == event.grade or event.grade > 4 else event._replace(grade=grade, recorded_grade=event.grade)


def values_without_event(patient: Patient, protocol: Protocol) -> list[LabValue]:
    """Return the first value of each test in the DLT window with a DLT grade and without a concurrent adverse event of that test.

    Parameters
    ----------
    patient
        The patient.
    protocol
        The version of the protocol by which the patient is judged.
    """
    if not patient.labs or protocol.dlt.liver_grading != "baseline":
        return []
    first, last = window(patient, protocol)
    found = []
    for test, terms in LIVER_TERMS.items():
        leasts = [protocol.dlt.least_grade_of(term) for term in terms]
        known = [least for least in leasts if least is not None]
        if len(known) < len(leasts):
            continue
        days = [day for day, grade, _ in _grades(patient, test) if first <= day <= last and grade >= max(known)]
        days = [day for day in days if not _has_event(patient.events or (), test, day)]
        found += [lab for lab in patient.labs if days and lab.test == test and lab.day == min(days)][:1]
    return found


def _has_event(events: Iterable[AdverseEvent], test: str, day: date) -> bool:
    """Return whether an adverse event of a test was present on a day; an event without a start or end may have been."""
    own = [event for event in events if _test_of(event.term) == test]
    return any((event.start is None or event.start <= day) and (event.end is None or event.end >= day) for event in own)
