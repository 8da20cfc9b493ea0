"""Endpoints as a config states them: visits with their windows, and parameters with unit, schedule, kind and baseline rule.

Each parameter is one row of results. ``measure`` states which measure of the trial's record it is; a parameter without one only
supports another, such as creatinine for MELD.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from .._check import KEY, NAME, InputError, Problem, Settings
from ..words import marked
from .scores import CHILD_PUGH

__all__ = ["DERIVED", "GRADES", "Endpoints", "Parameter", "PlannedVisit"]

Name = Annotated[str, Field(pattern=NAME)]
Key = Annotated[str, Field(pattern=KEY)]
Day = Annotated[int, Field(ge=1, le=3650, strict=True)]
Number = Annotated[float, Field(strict=True)]
Amount = Annotated[float, Field(gt=0, le=1e12, strict=True)]

DERIVED: Mapping[str, tuple[str, ...]] = {
    "meld": ("BILI", "INR", "CREAT"),
    "meld-bounded": ("BILI", "INR", "CREAT"),
    "child-pugh": ("BILI", "ALB", "INR", "ASCITES", "ENCEPH"),
    "eq5d5l-china": (),
}
"""Scores that are calculated from parameters of the same day, with these parameters; EQ-5D-5L from its five digits."""


GRADES: Mapping[str, int] = {"ASCITES": 2, "ENCEPH": 4}
"""Highest grade of the parts of the Child-Pugh score that are judged, from 0."""


_UNITS = {"BILI": ("umol/L", "mg/dL"), "CREAT": ("umol/L", "mg/dL"), "ALB": ("g/L", "g/dL")}


class PlannedVisit(Settings):
    """A visit of the schedule."""

    day: Day = Field(description=marked("study day of the visit; day 1 is the day of the first infusion"))
    infusion: Annotated[int, Field(ge=1, le=100, strict=True)] | None = Field(
        default=None,
        description=marked("number of the infusion after which the sample is taken; the day then moves with that infusion"),
    )
    window: tuple[Day, Day] | None = Field(
        default=None, description=marked("first and last study day; by default up to the middle between visits")
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.window is not None and not self.window[0] <= self.day <= self.window[1]:
            raise InputError(Problem("window", list(self.window), f"must be the first and the last day, around day {self.day}"))
        if self.window is not None and self.infusion is not None:
            raise InputError(Problem("window", list(self.window), "has no effect on a visit after an infusion: leave it out"))
        return self


class Parameter(Settings):
    """A parameter whose values are collected."""

    label: Name = Field(description=marked("name of the parameter, as pages and reports show it"))
    measure: Name | None = Field(
        default=None, description=marked("measure of the trial's record, such as 'secondary 6'; none for a supporting parameter")
    )
    unit: Annotated[str, Field(max_length=40)] = Field(
        default="", description=marked("unit in which every value must be; empty for a score or a ratio")
    )
    kind: Literal["change", "ratio", "detection", "event", "survival"] = Field(
        default="change",
        description=marked(
            "change: change from baseline; ratio: ratio of geometric means, with censoring; detection: shares not detected, below "
            "the limit of quantification, and quantified; event: cumulative incidence; survival: time to death, with "
            "composite = 'transplant' also to transplant"
        ),
    )
    schedule: Key | None = Field(default=None, description=marked("name of one of the schedules"))
    baseline: Literal["last", "mean", "day-1", "none"] | None = Field(
        default=None,
        description=marked(
            "last value before the first infusion, the mean of these values, only a sample of day 1 stated to be before the "
            "infusion, or none; by default that of the table endpoints"
        ),
    )
    better: Literal["lower", "higher"] | None = Field(default=None, description=marked("whether lower or higher values are better"))
    limits: tuple[Number, Number] | None = Field(default=None, description=marked("smallest and largest possible value"))
    whole: Annotated[bool, Field(strict=True)] = Field(default=False, description=marked("whether every value is a whole number"))
    plausible: tuple[Number, Number] | None = Field(
        default=None, description=marked("values outside this range are reported as implausible")
    )
    eligible: tuple[Number, Number] | None = Field(
        default=None, description=marked("smallest and largest baseline by the criteria of the protocol; others are reported")
    )
    upper_normal: Amount | None = Field(
        default=None, description=marked("upper limit of normal, where the data do not give one with each value")
    )
    lloq: Amount | None = Field(
        default=None, description=marked("lower limit of quantification, where the data do not give one with each value")
    )
    shift: dict[Name, tuple[Number, Number]] = Field(
        default_factory=dict, description=marked("classes of a shift table: name to smallest and largest value, both included")
    )
    codes: tuple[Name, ...] = Field(
        default=(), description=marked("other codes or names of the parameter in the data; its key is always one")
    )
    derive: Literal["meld", "meld-bounded", "child-pugh", "eq5d5l-china"] | None = Field(
        default=None, description=marked("score that is calculated where the data do not give it")
    )
    terms: tuple[Name, ...] = Field(default=(), description=marked("terms of adverse events or procedures that are this event"))
    competing: tuple[Literal["death", "transplant"], ...] = Field(
        default=("death",), description=marked("events that compete with this event")
    )
    composite: Literal["transplant"] | None = Field(
        default=None, description=marked("survival without transplant, in place of overall survival")
    )
    digits: Annotated[int, Field(ge=0, le=4, strict=True)] = Field(default=1, description=marked("decimals that are printed"))

    @model_validator(mode="after")
    def _settings_agree(self) -> Self:
        timed = self.kind in ("event", "survival")
        if timed == (self.schedule is not None) and not (self.measure is None and not timed):
            allowed = "has no effect on an event" if timed else "must be the name of one of the schedules"
            raise InputError(Problem("schedule", self.schedule, allowed))
        for name in ("limits", "plausible", "eligible"):
            pair = getattr(self, name)
            if pair is not None and not pair[0] < pair[1]:
                raise InputError(Problem(name, list(pair), "must be the smallest and the largest value, in this order"))
        wanted = {"event": ("terms",), "survival": ("composite",)}
        for kind, names in wanted.items():
            for name in names:
                if getattr(self, name) and self.kind != kind:
                    raise InputError(Problem(name, getattr(self, name), f"needs kind = {kind!r}"))
        if self.shift and self.kind != "change":
            raise InputError(Problem("shift", list(self.shift), "needs kind = 'change'"))
        ranges = sorted(self.shift.values())
        if any(low > high for low, high in ranges) or any(b[0] <= a[1] for a, b in pairwise(ranges)):
            raise InputError(Problem("shift", [list(pair) for pair in ranges], "must be ranges that do not overlap"))
        return self

    @property
    def timed(self) -> bool:
        """Return whether the parameter is a time to an event, without visits."""
        return self.kind in ("event", "survival")

    def class_of(self, value: float) -> str:
        """Return the class of a value in the shift table; empty if it is in none."""
        return next((name for name, (low, high) in self.shift.items() if low <= value <= high), "")


class Endpoints(Settings):
    """Endpoints of the trial: visits, schedules and parameters."""

    screening: Annotated[int, Field(ge=-365, le=-1, strict=True)] = Field(
        default=-14, description=marked("earliest study day of a sample that may be the baseline")
    )
    baseline: Literal["last", "mean"] = Field(
        default="last", description=marked("baseline of a parameter that states none: last value, or mean of the values")
    )
    infusion_visit_days: Annotated[int, Field(ge=0, le=28, strict=True)] = Field(
        default=1, description=marked("largest number of days between a sample and the day of a visit after an infusion")
    )
    first_day: Day = Field(default=2, description=marked("first study day of the window of the first visit"))
    last_day: Day = Field(default=420, description=marked("last study day of the window of the last visit"))
    rate_day: Day = Field(default=365, description=marked("study day at which survival and cumulative incidence are stated"))
    transplant: Key | None = Field(default=None, description=marked("key of the event parameter that is a transplant"))
    meld_etiology: Literal[0, 1] = Field(
        default=1, description=marked("etiology in MELD: 0 for cholestatic or alcoholic cirrhosis, 1 for viral and other")
    )
    child_pugh: dict[Name, tuple[Number, Number]] = Field(
        default_factory=dict,
        description=marked("cut-offs of the Child-Pugh score that differ from the usual ones, such as 'albumin g/L' = [35, 30]"),
    )
    main: tuple[Key, ...] = Field(default=(), description=marked("keys of the parameters that are shown first"))
    main_visit: Name | None = Field(
        default=None, description=marked("visit at which they are shown first; by default the last one with values")
    )
    visits: dict[Name, PlannedVisit] = Field(default_factory=dict, description=marked("visits: name to day, infusion and window"))
    schedules: dict[Key, tuple[Name, ...]] = Field(
        default_factory=dict, description=marked("schedules: name to the names of their visits, in order")
    )
    parameters: Annotated[dict[Key, Parameter], Field(min_length=1, max_length=500)] = Field(
        description=marked("parameters: key to label, unit, schedule, kind and so on")
    )

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        for infusion in dict.fromkeys(visit.infusion for visit in self.visits.values()):
            days = [visit.day for visit in self.visits.values() if visit.infusion == infusion]
            if any(b <= a for a, b in pairwise(days)):
                raise InputError(Problem("visits", days, "must have increasing days"))
            if infusion is None and (days[0] < self.first_day or days[-1] > self.last_day):
                allowed = f"must have days {self.first_day} to {self.last_day} (first_day, last_day)"
                raise InputError(Problem("visits", days, allowed))
        for schedule, names in self.schedules.items():
            for name in names:
                if name not in self.visits:
                    raise InputError(Problem(f"schedules.{schedule}", name, f"must be one of the visits: {', '.join(self.visits)}"))
            days = [self.visits[name].day for name in names]
            if any(b <= a for a, b in pairwise(days)):
                raise InputError(Problem(f"schedules.{schedule}", days, "must be visits with increasing days"))
        for key, parameter in self.parameters.items():
            if parameter.schedule is not None and parameter.schedule not in self.schedules:
                allowed = f"must be one of the schedules: {', '.join(self.schedules)}"
                raise InputError(Problem(f"parameters.{key}.schedule", parameter.schedule, allowed))
            if parameter.derive is not None:
                absent = [name for name in DERIVED[parameter.derive] if name not in self.parameters]
                if absent:
                    allowed = f"needs the parameters {', '.join(absent)}"
                    raise InputError(Problem(f"parameters.{key}.derive", parameter.derive, allowed))
        for key in self.parts:
            unit, allowed_units = self.parameters[key].unit, _UNITS.get(key, ("",))
            if unit not in allowed_units:
                allowed = f"must be {' or '.join(map(repr, allowed_units))}, because scores are calculated from it"
                raise InputError(Problem(f"parameters.{key}.unit", unit, allowed))
        for name in self.child_pugh:
            if name not in CHILD_PUGH:
                raise InputError(Problem("child_pugh", name, f"must be one of {', '.join(map(repr, CHILD_PUGH))}"))
        self._check_keys()
        self._check_codes()
        return self

    def _check_keys(self) -> None:
        """Check the keys of parameters that other settings state."""
        of_event = [key for key, parameter in self.parameters.items() if parameter.kind == "event"]
        if self.transplant is not None and self.transplant not in of_event:
            allowed = f"must be a parameter of kind 'event': {', '.join(of_event) or 'there is none'}"
            raise InputError(Problem("transplant", self.transplant, allowed))
        needing = [
            key
            for key, parameter in self.parameters.items()
            if parameter.composite or (parameter.kind == "event" and "transplant" in parameter.competing)
        ]
        if needing and self.transplant is None:
            allowed = f"must be the key of an event, because {', '.join(needing)} depends on transplants"
            raise InputError(Problem("transplant", self.transplant, allowed))
        visited = [key for key, parameter in self.parameters.items() if parameter.schedule is not None]
        for key in self.main:
            if key not in visited:
                raise InputError(Problem("main", key, f"must be a parameter with a schedule: {', '.join(visited)}"))
            if self.main_visit is not None and self.main_visit not in self.planned(key):
                allowed = f"must be a visit of {key}: {', '.join(self.planned(key))}"
                raise InputError(Problem("main_visit", self.main_visit, allowed))

    def _check_codes(self) -> None:
        """Check that no code or term means two parameters."""
        for kind in ("codes", "terms"):
            owners: dict[str, str] = {}
            for key, parameter in self.parameters.items():
                own = [key, *parameter.codes] if kind == "codes" else list(parameter.terms)
                for code in own:
                    word = " ".join(re.sub(r"[-_\s]+", " ", code).casefold().split())
                    if owners.setdefault(word, key) != key:
                        allowed = f"is a code of {owners[word]} too: each code must mean one parameter"
                        raise InputError(Problem(f"parameters.{key}.{kind}", code, allowed))

    @property
    def measures(self) -> dict[str, list[str]]:
        """Return the measures of the record, each with the keys of its parameters, in the order of the config."""
        found: dict[str, list[str]] = {}
        for key, parameter in self.parameters.items():
            if parameter.measure is not None:
                found.setdefault(parameter.measure, []).append(key)
        return found

    @property
    def parts(self) -> dict[str, int | None]:
        """Return the parameters from which scores are calculated, with the highest grade of those that are judged."""
        found = {part for parameter in self.parameters.values() for part in DERIVED.get(parameter.derive or "", ())}
        return {part: GRADES.get(part) for part in self.parameters if part in found}

    def planned(self, key: str) -> dict[str, PlannedVisit]:
        """Return the visits of a parameter, by name."""
        schedule = self.parameters[key].schedule
        return {} if schedule is None else {name: self.visits[name] for name in self.schedules[schedule]}

    def rule_of(self, key: str) -> str:
        """Return the baseline rule of a parameter."""
        return self.parameters[key].baseline or self.baseline
