"""Synthetic measurements of the endpoints of a config, for patients who do not exist, with missing, censored and late values.

Values are drawn by patient: a level of the patient, a change with time and an error of measurement. A parameter without an entry in
`_TYPICAL` is drawn within its limits or around its plausible range, so that a config of your own gets values too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any, NamedTuple

import numpy as np

from ..days import study_day
from ..endpoints.schedule import Endpoints, Parameter
from ..intake.writing import Written
from ..patients import Patient
from ..protocol import Protocol

__all__ = ["MEASURED", "measure", "sdtm_measurements"]

MEASURED = ("lb", "qs", "rs", "vs", "pr", "ce")
"""Domains of the measurements."""

_COLUMNS = ("subject", "parameter", "value", "unit", "date", "time_point", "visit", "lloq", "uln")
_QUESTIONNAIRES, _RATINGS, _OTHERS = ("SF36", "CLDQ", "EQ5D"), ("ECOG", "ASCITES", "ENCEPH"), ("LSM",)
# Probability of a missed visit, of a lost sample, of a day off, of events within the year, and of values below their limits.
_MISSED, _LOST, _OFF = 0.04, 0.02, 0.35
_EVENTS = {"TRANSPLANT": 0.10, "HCC": 0.05, "LIVFAIL": 0.06, "COMPLIC": 0.25}
_DEATH = 0.08
_UNDETECTED, _BELOW_LIMIT = 0.5, 0.3


class _Typical(NamedTuple):
    """Typical values: geometric mean, spread between and within patients (of the logarithm), change in a year, limit."""

    mean: float
    between: float = 0.3
    within: float = 0.1
    year: float = 0.0
    lloq: float | None = None
    after: float = 0.0


_TYPICAL: Mapping[str, _Typical] = {
    "ALT": _Typical(38, 0.4, 0.2, -0.1),
    "AST": _Typical(52, 0.4, 0.2, -0.1),
    "BILI": _Typical(42, 0.4, 0.15, -0.15),
    "GGT": _Typical(60, 0.5, 0.15),
    "ALP": _Typical(115, 0.3, 0.1),
    "ALB": _Typical(31, 0.1, 0.04, 0.08),
    "CHE": _Typical(3.2, 0.3, 0.08, 0.1),
    "INR": _Typical(1.5, 0.15, 0.05, -0.05),
    "CREAT": _Typical(72, 0.2, 0.08),
    "LSM": _Typical(26, 0.3, 0.15, -0.1),
    "CD3": _Typical(700, 0.4, 0.15),
    "CD4": _Typical(420, 0.4, 0.15),
    "CD8": _Typical(260, 0.4, 0.15),
    "TREG": _Typical(6, 0.3, 0.15, 0.1),
    "TH17": _Typical(1.2, 0.3, 0.2, -0.1),
    "IGA": _Typical(4.2, 0.3, 0.08),
    "IGG": _Typical(17, 0.25, 0.08),
    "IGM": _Typical(1.8, 0.4, 0.08),
    "IGE": _Typical(90, 0.8, 0.2),
    "AFP": _Typical(6, 0.7, 0.2, lloq=1.3),
    "AFP-L3": _Typical(2, 0.7, 0.3, lloq=0.5),
    "CEA": _Typical(3, 0.4, 0.15, lloq=0.5),
    "CA19-9": _Typical(25, 0.7, 0.2, lloq=2.0),
    "CA15-3": _Typical(14, 0.4, 0.1, lloq=3.0),
    "PIVKA-II": _Typical(28, 0.5, 0.2, lloq=10.0),
    "HBVDNA": _Typical(90, 0.9, 0.4, lloq=20.0),
    "IL1B": _Typical(1.6, 0.5, 0.35, lloq=1.0, after=0.3),
    "IL6": _Typical(7, 0.6, 0.4, lloq=1.5, after=0.6),
    "IL8": _Typical(20, 0.6, 0.35, lloq=3.0, after=0.4),
    "IL10": _Typical(2.2, 0.5, 0.35, lloq=1.0, after=0.5),
    "IL12": _Typical(1.2, 0.5, 0.35, lloq=1.0),
    "IL17": _Typical(1.5, 0.6, 0.4, lloq=1.0),
    "TNFA": _Typical(9, 0.4, 0.3, lloq=1.0, after=0.2),
    "TGFB": _Typical(9000, 0.4, 0.25, after=0.2),
    "IFNG": _Typical(3, 0.6, 0.4, lloq=1.5),
    "SDF1": _Typical(2200, 0.3, 0.2, after=0.15),
    "CRP": _Typical(4, 0.7, 0.5, lloq=0.5, after=0.5),
    "MMP9": _Typical(180, 0.5, 0.3),
    "CLDQ": _Typical(135, 0.15, 0.06, 0.08),
}
_YEAR = 365.0


def measure(patients: Sequence[Patient], protocol: Protocol, seed: int, until: date | None) -> tuple[tuple[Patient, ...], Written]:
    """Return patients followed up to the last visit, some of them with a death, and the long table of their measurements.

    Parameters
    ----------
    patients
        Patients of a synthetic trial.
    protocol
        The protocol, with the table ``endpoints``.
    seed
        Seed of all that is random.
    until
        Nothing later is known; ``None`` for no such day.
    """
    assert protocol.endpoints is not None
    made, rows = [], []
    for place, patient in enumerate(patients):
        random = np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, place + 1, 22))))
        person = _Person(patient, protocol, protocol.endpoints, random, until)
        made.append(person.patient)
        rows += person.rows()
    return tuple(made), Written(_COLUMNS, (), rows)


class _Person:
    """What is measured of one patient."""

    def __init__(
        self, patient: Patient, protocol: Protocol, endpoints: Endpoints, random: np.random.Generator, until: date | None
    ) -> None:
        self.endpoints, self.random = endpoints, random
        self.first = patient.infusions[0]
        self.planned = protocol.treatment.infusion_days
        self.infusions = [study_day(self.first, day) for day in patient.infusions]
        safe = protocol.treatment.dlt_window_days + 2
        end = endpoints.last_day
        dies = random.random() < _DEATH
        death = int(random.integers(safe, max(end, safe + 1)))
        last = end - int(random.integers(0, 15))
        left = None if patient.discontinued is None else study_day(self.first, patient.discontinued)
        horizon = last if left is None else left
        known = end if until is None else study_day(self.first, until)
        self.died = death if dies and left is None and death <= min(horizon, known) else None
        self.last = min(horizon if self.died is None else self.died, known)
        contact = self.first + timedelta(days=max(self.last, 1) - 1)
        if patient.last_contact is not None and left is not None:
            contact = patient.last_contact
        died = None if self.died is None else self.first + timedelta(days=self.died - 1)
        self.patient = replace(patient, last_contact=contact, died=died)
        self.screened, self.days = -int(random.integers(2, 15)), self._days()
        self.events = {
            key: int(random.integers(30, end))
            for key, chance in _EVENTS.items()
            if key in endpoints.parameters and random.random() < chance
        }

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows of the long table."""
        for key, parameter in self.endpoints.parameters.items():
            if parameter.kind == "event":
                if (day := self.events.get(key)) is not None and day <= self.last:
                    yield self._row(key, parameter, day, "yes")
            elif parameter.kind != "survival" and parameter.derive in (None, "eq5d5l-china"):
                yield from self._values(key, parameter)

    def _row(self, key: str, parameter: Parameter, day: int, value: Any, **more: Any) -> dict[str, Any]:
        taken = self.first + timedelta(days=day - 1 if day > 0 else day)
        unit = parameter.unit if parameter.kind != "event" else ""
        return {"subject": self.patient.subject, "parameter": key, "value": value, "unit": unit, "date": taken, **more}

    def _values(self, key: str, parameter: Parameter) -> Iterator[dict[str, Any]]:
        typical, random = _TYPICAL.get(key), self.random
        own = float(random.normal())
        for day, point, visit, after in self._samples(key):
            if random.random() < _LOST or day > self.last:
                continue
            error = float(random.normal())
            value, lloq = self._value(parameter, typical, own, error, day, after)
            more = {"time_point": point, "visit": visit, "lloq": lloq, "uln": parameter.upper_normal}
            yield self._row(key, parameter, day, value, **more)

    def _days(self) -> dict[str, tuple[int, str]]:
        """Return the study day and the time point of each visit that takes place."""
        found, random = {}, self.random
        for name, visit in self.endpoints.visits.items():
            shift = int(random.integers(-2, 3)) if random.random() < _OFF else 0
            missed = random.random() < _MISSED
            number = visit.infusion
            if number is not None:
                if number <= len(self.infusions) and not missed:
                    day = visit.day + self.infusions[number - 1] - self.planned[number - 1]
                    found[name] = day, "post" if day in self.infusions else ""
                continue
            # A sample of a visit before an infusion that is taken on its day is taken before it.
            ahead = [at for at in self.infusions if at > visit.day]
            day = max(min(visit.day + shift, ahead[0]) if ahead else visit.day + shift, 2)
            late = any(visit.day < at < day for at in self.infusions)
            if not missed and not late:
                found[name] = day, "pre" if day in self.infusions else ""
        return found

    def _samples(self, key: str) -> Iterator[tuple[int, str, str, bool]]:
        """Yield study day, time point, visit and whether the sample follows an infusion, in the order of the schedule."""
        planned = self.endpoints.planned(key)
        if self.endpoints.rule_of(key) == "day-1":
            yield 1, "pre", "day 1", False
        else:
            yield self.screened, "", "screening", False
            if any(visit.day < self.planned[-1] for visit in planned.values()):
                yield -1, "", "day -1", False
        for name, visit in planned.items():
            if name in self.days:
                yield *self.days[name], name, visit.infusion is not None

    def _value(
        self, parameter: Parameter, typical: _Typical | None, own: float, error: float, day: int, after: bool
    ) -> tuple[Any, float | None]:
        """Return a value as it is written, and its limit of quantification."""
        years = max(day, 0) / _YEAR
        if parameter.derive == "eq5d5l-china":
            digits = (1.6 + 0.5 * own - 0.3 * years + 0.4 * self.random.normal(size=5)).round().clip(1, 5)
            return "".join(str(int(digit)) for digit in digits), None
        if typical is None:
            low, high = parameter.limits or parameter.plausible or (1.0, 100.0)
            whole = parameter.whole or parameter.digits == 0
            place = 0.2 + 0.15 * own + 0.08 * error if whole else 0.45 + 0.12 * own + 0.06 * error + 0.05 * years
            drawn = low + (high - low) * float(np.clip(place, 0, 1))
            return (round(drawn) if whole else round(drawn, 1)), None
        value = typical.mean * float(np.exp(typical.between * own + typical.within * error + typical.year * years))
        value *= float(np.exp(typical.after)) if after else 1.0
        for bounds in (parameter.limits, parameter.eligible if day < 1 else None):
            value = value if bounds is None else float(np.clip(value, *bounds))
        if parameter.kind == "detection":
            chance = float(self.random.random())
            if chance < _UNDETECTED:
                return "not detected", typical.lloq
            if chance < _UNDETECTED + _BELOW_LIMIT:
                return "< LLOQ", typical.lloq
            return round(max(value, typical.lloq or 0.0)), typical.lloq
        if typical.lloq is not None and value < typical.lloq:
            return f"< {typical.lloq:g}", None
        return round(value, parameter.digits + 1) if parameter.digits else round(value), None


def sdtm_measurements(table: Written, patients: Sequence[Patient], study: str) -> dict[str, Written]:
    """Return the domains LB, QS, RS, VS, PR and CE of a long table of measurements; a domain without rows is left out."""
    first = {patient.subject: patient.infusions[0] for patient in patients}
    by_domain: dict[str, list[dict[str, Any]]] = {name: [] for name in MEASURED}
    numbers: dict[tuple[str, str], int] = {}
    for row in table.rows:
        name = _domain_of(row)
        key = name, row["subject"]
        numbers[key] = numbers.get(key, 0) + 1
        by_domain[name].append(_sdtm_row(name.upper(), row, first[row["subject"]], numbers[key], study))
    columns = {name: tuple(rows[0]) for name, rows in by_domain.items() if rows}
    numeric = ("SEQ", "DY", "STDY", "STRESN", "LLOQ", "STNRHI")
    numbered = {name: tuple(column for column in columns[name] if column.removeprefix(name.upper()) in numeric) for name in columns}
    return {name: Written(columns[name], numbered[name], by_domain[name]) for name in columns}


def _domain_of(row: Mapping[str, Any]) -> str:
    key = row["parameter"]
    if row["value"] == "yes":
        return "pr" if key == "TRANSPLANT" else "ce"
    if key.startswith(_QUESTIONNAIRES):
        return "qs"
    return "rs" if key.startswith(_RATINGS) else "vs" if key in _OTHERS else "lb"


def _sdtm_row(code: str, row: Mapping[str, Any], first: date, sequence: int, study: str) -> dict[str, Any]:
    key = row["parameter"]
    head = {"STUDYID": study, "DOMAIN": code, "USUBJID": row["subject"], f"{code}SEQ": sequence}
    if code in ("PR", "CE"):
        words = "Liver transplantation" if code == "PR" else key
        term = {f"{code}TRT" if code == "PR" else f"{code}TERM": words, f"{code}DECOD": key}
        return head | term | {f"{code}STDTC": row["date"], f"{code}STDY": study_day(first, row["date"])}
    value = str(row["value"])
    found = head | {f"{code}TESTCD": key.replace("-", "")[:8], f"{code}TEST": key}
    number = row["value"] if isinstance(row["value"], (int, float)) else None
    found |= {f"{code}ORRES": value, f"{code}ORRESU": row["unit"], f"{code}STRESC": value, f"{code}STRESN": number}
    found[f"{code}STRESU"] = row["unit"]
    found |= {f"{code}LLOQ": row.get("lloq"), f"{code}STNRHI": row.get("uln")} if code == "LB" else {}
    point = {"pre": "PRE-INFUSION", "post": "POST-INFUSION"}.get(row.get("time_point") or "", "")
    return found | {
        "VISIT": row.get("visit"),
        f"{code}DTC": row["date"],
        f"{code}DY": study_day(first, row["date"]),
        f"{code}TPT": point,
    }
