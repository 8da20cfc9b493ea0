"""A trial protocol as settings: the values stated in its record, and the values assumed where the record is silent.

Every key that is not stated in the record is listed in the table ``assumed`` with the reason for its value; a key that a config
omits takes dosefind's default, which is an assumption too. Tables of designs are kept raw: each design class is its own settings
schema. Amendments change keys from a date on; every version of the protocol is a separate `Protocol`, checked as a whole.
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np
from pydantic import BaseModel, Field, PrivateAttr, field_validator, model_validator
from scipy.special import betainc

from ._check import KEY, MOST_DOSES, NAME, InputError, Problem, Settings, calendar_day, curve_values, reach, shown_key
from .endpoints.schedule import Endpoints
from .timing import Accrual, Discontinuation, Gates, Onset
from .units import wrong_unit
from .words import _, counted, marked, n_days

__all__ = [
    "DLT",
    "RP2D",
    "Amendment",
    "Assumption",
    "BetaBinomialBoundary",
    "Doses",
    "Efficacy",
    "Evaluability",
    "FromTrial",
    "Intake",
    "Limits",
    "OutcomeUtilities",
    "Part",
    "PartRule",
    "Pause",
    "PocockBoundary",
    "Protocol",
    "Record",
    "Report",
    "Stagger",
    "Target",
    "Treatment",
    "Utility",
    "from_trial",
    "in_amendment",
    "plain_words",
]

Name = Annotated[str, Field(pattern=NAME)]
Days = Annotated[int, Field(ge=1, le=3650, strict=True)]
Rate = Annotated[float, Field(gt=0, lt=1, strict=True)]
Number = Annotated[float, Field(strict=True)]
# The bounds are for editors; `curve_values` checks them, so that its message shows the whole row.
Chance = Annotated[float, Field(strict=True, json_schema_extra={"minimum": 0, "maximum": 1})]
Level = Annotated[int, Field(ge=1, strict=True)]
Key = Annotated[str, Field(pattern=KEY)]
Part = Literal["escalation", "backfill", "expansion", "run-in", "placebo", "control"]
Grade = Annotated[int, Field(ge=1, le=5, strict=True)]


class Assumption(NamedTuple):
    """A value not stated in the record: its key, the value, and the reason for it."""

    key: str
    value: Any
    why: str


class Record(Settings):
    """The source of the protocol."""

    id: Name = Field(description=marked("registry number, or the name used in the titles of results"))
    title: Name = Field(description=marked("title of the trial"))
    population: Name = Field(description=marked("trial population"))
    product: Name = Field(description=marked("investigational product and its administration"))
    version_date: datetime.date = Field(description=marked("date of the protocol version, ISO form"))
    source: Name | None = Field(default=None, description=marked("address of the record"))


class ReferenceDose(Settings):
    """Reference dose of dose-toxicity curves, with its own unit so that a change of unit is detected."""

    amount: Annotated[float, Field(gt=0, strict=True)] = Field(
        description=marked("the dose, in or near the range of the dose levels")
    )
    unit: Name = Field(description=marked("its unit, which must be that of the dose levels"))


class Doses(Settings):
    """Dose levels in ascending order, in one unit."""

    amounts: Annotated[tuple[Number, ...], Field(min_length=1, max_length=MOST_DOSES)] = Field(
        description=marked("dose of each level, in ascending order")
    )
    unit: Name = Field(description=marked("unit of the doses, such as '10^6 cells/kg'"))
    reference: ReferenceDose | None = Field(default=None, description=marked("reference dose of dose-toxicity curves"))
    tolerance: Annotated[float, Field(ge=0, lt=1, strict=True)] = Field(
        default=0.0,
        description=marked(
            "relative difference up to which an amount in the data is read as a dose level if the data assign none; "
            "0 reads amounts to the digits shown"
        ),
    )
    arms: dict[Name, Level] = Field(
        default_factory=dict,
        description=marked(
            "dose level (from 1) of each arm in the data whose name states neither the level nor the amount; compared in lower case"
        ),
    )

    @property
    def words(self) -> str:
        """Return all amounts, with their unit."""
        return f"{', '.join(f'{amount:g}' for amount in self.amounts)} {self.unit}"

    def numbers_in(self, other: Doses) -> tuple[int, ...]:
        """Return the number that each dose level has in another version of the protocol, 0 for none."""
        return tuple(other.amounts.index(amount) + 1 if amount in other.amounts else 0 for amount in self.amounts)

    @field_validator("amounts")
    @classmethod
    def _amounts_increase(cls, amounts: tuple[float, ...]) -> tuple[float, ...]:
        if amounts[0] <= 0 or any(b <= a for a, b in pairwise(amounts)):
            raise ValueError("must be positive and strictly increasing")
        return amounts

    @property
    def largest_tolerance(self) -> float:
        """Return half the smallest gap between neighbouring doses, relative to the higher one; infinite for a single dose."""
        return min(((high - low) / (2 * high) for low, high in pairwise(self.amounts)), default=math.inf)

    @model_validator(mode="after")
    def _tolerance_and_arms_fit(self) -> Self:
        largest = self.largest_tolerance
        if self.tolerance >= largest:
            allowed = f"must be below {largest:.4g}, half the smallest gap between doses relative to the higher of the two"
            raise InputError(Problem("tolerance", self.tolerance, allowed))
        seen: dict[str, str] = {}
        for arm, level in self.arms.items():
            if level > len(self.amounts):
                raise InputError(Problem(f"arms.{shown_key(arm)}", level, f"must be among the levels 1 to {len(self.amounts)}"))
            other = seen.setdefault(plain_words(arm), arm)
            if other != arm and self.arms[other] != level:
                raise InputError(Problem(f"arms.{shown_key(arm)}", level, f"is the same arm as {other!r} at another level"))
        return self

    @model_validator(mode="after")
    def _reference_is_within_reach(self) -> Self:
        if self.reference is None:
            return self
        if (wrong := wrong_unit(self.reference.unit, self.unit, "the doses")) is not None:
            raise InputError(Problem("reference.unit", self.reference.unit, wrong))
        low, high = reach(self.amounts)
        if not low <= self.reference.amount <= high:
            allowed = f"is too far from the doses: it must be between {low:g} and {high:g} ({self.unit})"
            raise InputError(Problem("reference.amount", self.reference.amount, allowed))
        return self


class Stagger(Settings):
    """Days between patients of one dose group."""

    days: Days = Field(description=marked("minimum number of days between the first infusions of two patients"))
    levels: Literal["all"] | tuple[Level, ...] = Field(
        default="all", description=marked("levels (from 1) to which it applies, or all")
    )
    patients: Literal["every", "first"] = Field(
        default="every",
        description=marked("every patient waits for the previous one, or only those after the first patient at a dose"),
    )


class Treatment(Settings):
    """Infusions, the DLT assessment period, and the rules on when patients may start."""

    infusion_days: Annotated[tuple[Level, ...], Field(min_length=1)] = Field(
        description=marked("study days of the infusions, the first on day 1")
    )
    dlt_window_days: Days = Field(description=marked("days from the first infusion to the end of the DLT window"))
    window: Literal["course", "first-infusion"] = Field(
        default="course", description=marked("the DLT window covers the whole course of infusions, or the first infusion only")
    )
    infusion_tolerance_days: Annotated[int, Field(ge=0, le=28, strict=True)] = Field(
        default=0, description=marked("number of days before or after the planned day within which an infusion is on schedule")
    )
    split_days: Annotated[int, Field(ge=0, le=28, strict=True)] = Field(
        default=0,
        description=marked(
            "days after its first day within which further records of a dose belong to the same infusion, their amounts "
            "added; 0 adds the records of one day"
        ),
    )
    stagger: Stagger | None = Field(
        default=None, description=marked("staggering interval between patients of one dose group; none if not given")
    )
    no_overlap: Annotated[bool, Field(strict=True)] = Field(
        description=marked("whether dose groups are sequential: a group then starts only after all earlier DLT windows have ended")
    )

    @field_validator("window", mode="before")
    @classmethod
    def _one_window(cls, value: Any) -> Any:
        if value == "per-infusion":
            raise ValueError(
                "is not available: a hazard per infusion needs a separate model, and a design counts one outcome per patient; "
                "say 'course' or 'first-infusion'"
            )
        return value

    @property
    def planned_infusions(self) -> int:
        """Return the number of infusions that the DLT window presupposes."""
        return len(self.infusion_days) if self.window == "course" else 1

    @property
    def interval_days(self) -> tuple[int, ...]:
        """Return the days in the interval of each infusion within the DLT window: up to the next infusion as planned.

        The last interval ends with the window, or after as many days as the longest before it; the rest of the window is
        follow-up (`after_course`).
        """
        days = self.infusion_days if self.window == "course" else self.infusion_days[:1]
        between = [later - earlier for earlier, later in pairwise(days)]
        last = min(self.dlt_window_days + 1 - days[-1], max(between, default=self.dlt_window_days))
        # An infusion on the last day of the window has no interval in it.
        return (*between, last) if last else tuple(between)

    @property
    def after_course(self) -> int:
        """Return the days of the DLT window after the intervals of all infusions."""
        return self.dlt_window_days - sum(self.interval_days)

    @model_validator(mode="after")
    def _days_agree(self) -> Self:
        days = self.infusion_days
        if days[0] != 1 or any(b <= a for a, b in pairwise(days)):
            raise ValueError(f"infusion_days = {list(days)} must begin with day 1 and increase")
        if self.window == "course" and days[-1] > self.dlt_window_days + 1:
            raise ValueError(
                f"infusion_days = {list(days)} must be within the DLT window, which ends on day {self.dlt_window_days + 1}"
            )
        gap = min((later - earlier for earlier, later in pairwise(days)), default=None)
        if gap is not None and self.split_days >= gap:
            raise ValueError(
                f"split_days = {self.split_days} must be below {gap}, the smallest number of days between two planned infusions"
            )
        if self.stagger is not None and self.stagger.days > self.dlt_window_days:
            raise ValueError(f"stagger.days = {self.stagger.days} must not exceed dlt_window_days = {self.dlt_window_days}")
        return self

    def least_days(self, n: np.ndarray, visits: np.ndarray) -> np.ndarray:
        """Return the minimum duration of trials in days.

        Every cohort waits until the DLT windows of the previous cohort have ended, staggered patients follow each other at the
        staggering interval, and accrual is immediate: the duration reflects the protocol's rules only.

        Parameters
        ----------
        n : (trials, doses) array
            Patients at each dose.
        visits : (trials, 2, doses) array
            Cohorts at each dose, and whether the first of them had more than one patient.

        Returns
        -------
        (trials,) array
        """
        cohorts, first_of_several = visits[:, 0], visits[:, 1]
        days = cohorts.sum(axis=1) * float(self.dlt_window_days)
        stagger = self.stagger
        if stagger is None:
            return days
        levels = np.arange(1, n.shape[1] + 1)
        staggered = np.ones(n.shape[1], bool) if stagger.levels == "all" else np.isin(levels, stagger.levels)
        # Each patient of a cohort waits for the previous one; or only those of a dose's first cohort wait, once, for its first
        # patient.
        gaps = n - cohorts if stagger.patients == "every" else first_of_several
        return days + (gaps * staggered).sum(axis=1) * stagger.days


@lru_cache(maxsize=4096)
def plain_words(text: str) -> str:
    """Return text in comparable form: lower case, words separated by single spaces, hyphens and underscores read as spaces."""
    return " ".join(re.sub(r"[-_\s]+", " ", text).casefold().split())


class DLT(Settings):
    """The definition of a DLT among adverse events in the DLT window. Grades are taken as given."""

    least_grade: Grade = Field(default=3, description=marked("minimum CTCAE grade of a DLT"))
    least_grade_by_term: dict[Name, Grade] = Field(
        default_factory=dict,
        description=marked(
            "minimum CTCAE grade for single terms, instead of the general minimum grade, if baseline disease raises the grade"
        ),
    )
    excluded_terms: tuple[Name, ...] = Field(
        default=(), description=marked("terms that are not a DLT at any grade, because of baseline disease; compared in lower case")
    )
    related: Annotated[tuple[Name, ...], Field(min_length=1)] = Field(
        default=(
            *("related", "definite", "definitely", "definitely related", "certain", "probable", "probably", "probably related"),
            *("likely", "very likely", "likely related", "possible", "possibly", "possibly related", "suspected"),
            *("reasonable possibility", "yes", "y"),
        ),
        description=marked("words in the data for at least possibly related to treatment; compared in lower case"),
    )
    unrelated: tuple[Name, ...] = Field(
        default=(
            *("unrelated", "not related", "none", "remote", "doubtful", "unlikely", "unlikely related", "probably not related"),
            *("possibly unrelated", "not suspected", "no reasonable possibility", "no", "n"),
        ),
        description=marked("words in the data for not related or unlikely related to treatment; compared in lower case"),
    )
    not_assessed: tuple[Name, ...] = Field(
        default=(
            "unknown",
            "not known",
            "not assessed",
            "not assessable",
            "unassessable",
            "unclassified",
            "unclassifiable",
            "conditional",
        ),
        description=marked("words in the data for an unassessed relationship, like an empty cell; compared in lower case"),
    )
    grade_by_severity: dict[Name, Grade] = Field(
        default_factory=dict,
        description=marked("grade of an event with a severity but no CTCAE grade, by the word for the severity, in lower case"),
    )

    liver_grading: Literal["as-recorded", "baseline"] = Field(
        default="as-recorded",
        description=marked("grades of liver tests: as recorded, or by CTCAE v5.0 relative to an abnormal baseline (reads LB)"),
    )

    @model_validator(mode="after")
    def _words_say_one_thing(self) -> Self:
        relation = (("related", "unrelated"), ("related", "not_assessed"), ("unrelated", "not_assessed"))
        for first, second in (*relation, ("excluded_terms", "least_grade_by_term")):
            both = {plain_words(word) for word in getattr(self, first)} & {plain_words(word) for word in getattr(self, second)}
            if both:
                raise ValueError(f"{first} and {second} must not both have {min(both)!r}")
        return self

    def least_grade_of(self, term: str) -> int | None:
        """Return the minimum grade at which an event of this term is a DLT, or ``None`` if it is not a DLT at any grade."""
        word = plain_words(term)
        if word in map(plain_words, self.excluded_terms):
            return None
        own = {plain_words(name): grade for name, grade in self.least_grade_by_term.items()}
        return own.get(word, self.least_grade)

    def grade_of_severity(self, severity: str | None) -> int | None:
        """Return the grade that replaces a severity without a CTCAE grade, or ``None`` if no setting has the word."""
        return {plain_words(word): grade for word, grade in self.grade_by_severity.items()}.get(plain_words(severity or ""))

    def is_related(self, text: str | None) -> bool | None:
        """Return whether a word in the data means at least possibly related to treatment, or ``None`` if it leaves this open.

        An empty text leaves it open. An unknown word is an `InputError`.
        """
        word = plain_words(text or "")
        for words, meaning in (((*self.not_assessed, ""), None), (self.related, True), (self.unrelated, False)):
            if word in map(plain_words, words):
                return meaning
        known = "; ".join(f"dlt.{name}: {', '.join(getattr(self, name))}" for name in ("related", "unrelated", "not_assessed"))
        raise InputError(Problem("related", text, f"is not among the words in the config: add it to one of its lists ({known})"))


Incomplete = Literal["not-evaluable", "no-dlt", "dlt"]
Left = Literal["not-evaluable", "no-dlt", "dlt", "weight"]


class Evaluability(Settings):
    """Handling of patients without a DLT who did not complete the DLT window as planned.

    "not-evaluable": replaced; "no-dlt": counts without a DLT; "dlt": counts as a DLT; "weight": replaced, and in the likelihood of
    designs with a model by the share of the DLTs that come by the day of leaving.
    """

    dropout: Left = Field(
        default="not-evaluable",
        description=marked(
            "discontinued before the window ended; with 'weight', for designs with a model, the patient is replaced and the part "
            "of the window followed is in the likelihood"
        ),
    )
    progression: Left = Field(
        default="not-evaluable",
        description=marked("discontinued for progression or rescue treatment before the window ended; values as for dropout"),
    )
    partial_course: Incomplete = Field(
        default="not-evaluable", description=marked("followed up, but without every planned infusion")
    )
    least_dose: Annotated[float, Field(ge=0, le=1, strict=True)] = Field(
        default=0.8,
        description=marked(
            "minimum share of the planned dose in the DLT window for a patient without a DLT to be evaluable; a missed "
            "infusion makes the course partial instead"
        ),
    )
    pooled_parts: tuple[Literal["backfill", "expansion"], ...] = Field(
        default=("backfill", "expansion"),
        description=marked(
            "parts outside the escalation with the same dose, schedule, DLT window and population: models, BOIN's counts "
            "and MTD estimates include their patients"
        ),
    )
    progression_words: tuple[Name, ...] = Field(
        default=("progression", "progressive disease", "rescue", "other treatment", "biologic", "biologics"),
        description=marked("a reason for discontinuation with one of these words is progression or rescue; compared in lower case"),
    )
    recorded: Literal["exclude", "follow"] = Field(
        default="exclude",
        description=marked(
            "recorded decisions on evaluability that are followed: 'exclude', those that exclude a patient without a DLT; "
            "'follow', also those that include a patient who did not complete the DLT window as planned"
        ),
    )
    least_infusions: Annotated[int, Field(ge=1, strict=True)] | None = Field(
        default=None,
        description=marked(
            "minimum number of infusions within the DLT window for a patient without a DLT to be evaluable; all planned "
            "infusions if not given"
        ),
    )
    least_days: Days | None = Field(
        default=None,
        description=marked(
            "minimum number of days from the first infusion to discontinuation for a patient without a DLT who left "
            "alive to be evaluable; the whole DLT window if not given"
        ),
    )

    @property
    def weighs(self) -> tuple[str, ...]:
        """Return the causes of leaving after which a patient counts by a weight."""
        return tuple(cause for cause in ("dropout", "progression") if getattr(self, cause) == "weight")

    def is_progression(self, reason: str | None) -> bool:
        """Return whether a reason for discontinuation is progression or rescue treatment."""
        padded = f" {' '.join(re.findall(r'\w+', plain_words(reason or '')))} "
        return any(f" {plain_words(word)} " in padded for word in self.progression_words)


class Intake(Settings):
    """Names of variables in CDISC data for contents without a standard variable: in ADSL or ADAE, in DM or SUPPDM."""

    evaluable_flag: Name | None = Field(default=None, description=marked("whether the patient is evaluable for DLT (yes or no)"))
    evaluable_reason: Name | None = Field(default=None, description=marked("why the patient is not evaluable for DLT"))
    dlt_flag: Name | None = Field(
        default=None, description=marked("whether the patient had a DLT (yes or no); ADaM: in ADSL or ADAE")
    )
    dlt_date: Name | None = Field(default=None, description=marked("date of the DLT; ADaM: in ADSL"))
    cohort: Name | None = Field(default=None, description=marked("number of the cohort"))

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        given = [name.casefold() for name in self.model_dump().values() if name is not None]
        if len(set(given)) < len(given):
            raise ValueError("must name a different variable for each key")
        return self

    def given(self) -> list[tuple[str, str]]:
        """Return the keys that are given, with the name of their variable in upper case."""
        return [(key, name.upper()) for key, name in self.model_dump().items() if name is not None]


class PartRule(Settings):
    """Patients of one part of the trial, by cohort, level or date of first infusion; all stated conditions must hold."""

    part: Part = Field(description=marked("part of the trial"))
    cohorts: tuple[Level, ...] = Field(default=(), description=marked("numbers of the cohorts, if the data give them"))
    levels: tuple[Level, ...] = Field(default=(), description=marked("dose levels (from 1)"))
    since: datetime.date | None = Field(default=None, description=marked("first infusion on this day or later"))
    until: datetime.date | None = Field(default=None, description=marked("first infusion on this day or earlier"))

    @model_validator(mode="after")
    def _says_whom(self) -> Self:
        if not (self.cohorts or self.levels or self.since or self.until):
            raise ValueError("must state at least one of cohorts, levels, since or until")
        if self.since and self.until and self.since > self.until:
            raise ValueError(f"since = {self.since} must not be after until = {self.until}")
        return self

    def matches(self, cohort: int | None, level: int | None, first: datetime.date | None) -> bool:
        """Return whether a patient belongs to this part."""
        return (
            (not self.cohorts or cohort in self.cohorts)
            and (not self.levels or level in self.levels)
            and (self.since is None or (first is not None and first >= self.since))
            and (self.until is None or (first is not None and first <= self.until))
        )


class Limits(Settings):
    """Sizes."""

    cohort_size: (
        Annotated[int, Field(ge=1, le=100, strict=True)]
        | Annotated[tuple[Annotated[int, Field(ge=1, le=100, strict=True)], ...], Field(min_length=1)]
    ) = Field(description=marked("patients per cohort, or a list of sizes, the last of which is repeated"))
    max_n: Annotated[int, Field(ge=1, le=1000, strict=True)] = Field(description=marked("maximum sample size"))
    group: tuple[Level, Level] | None = Field(
        default=None, description=marked("minimum and maximum number of patients per dose group, as stated in the protocol")
    )
    start_level: Level = Field(default=1, description=marked("level (from 1) of the first cohort"))

    def size_of_cohort(self, number: int) -> int:
        """Return the planned size of a cohort by its number, from 1."""
        sizes = self.cohort_size
        return sizes if isinstance(sizes, int) else sizes[min(number, len(sizes)) - 1]


class Target(Settings):
    """The target of the dose finding, and the standards by which a selection is judged."""

    rate: Rate = Field(description=marked("target DLT rate"))
    interval: tuple[Rate, Rate] = Field(description=marked("acceptable DLT rates, including the lower end but not the upper"))
    mtd_margin: Annotated[float, Field(ge=0, lt=1, strict=True)] = Field(
        default=0.10, description=marked("there is no true MTD if the lowest dose exceeds the target by more than this")
    )
    overdose_limit: Rate = Field(
        default_factory=lambda given: given.get("interval", (0.0, 0.5))[1],
        description=marked("a dose with a true DLT rate above this is an overdose; the upper end of the interval if not given"),
    )
    over: Literal["course", "infusion"] = Field(
        default="course",
        description=marked("period of the target DLT rate if several infusions are planned: the whole course, or each infusion"),
    )
    sensitivity: tuple[Rate, ...] = Field(
        default=(),
        description=marked("other target DLT rates at which to compare the designs, with margin and overdose limit in proportion"),
    )

    @model_validator(mode="after")
    def _target_lies_inside(self) -> Self:
        low, high = self.interval
        if not low < high:
            raise ValueError(f"interval = [{low:g}, {high:g}) must have its lower end first")
        if not low <= self.rate < high:
            raise ValueError(f"interval = [{low:g}, {high:g}) must contain rate = {self.rate:g}")
        if len({self.rate, *self.sensitivity}) <= len(self.sensitivity):
            raise InputError(Problem("sensitivity", list(self.sensitivity), f"must be rates other than {self.rate:g}, each once"))
        return self

    def at(self, rate: float) -> Target:
        """Return these standards for another target DLT rate, with the other values in proportion.

        A target of 0.10 lies outside an interval made for a target of 0.25, and with an absolute margin a dose with twice the
        target DLT rate would still be the MTD. Therefore the interval, the margin and the overdose limit are multiplied by the
        ratio of the targets, as BOIN multiplies the target by 0.6 and 1.4 (doi:10.1111/rssc.12089).

        Parameters
        ----------
        rate
            The other target.

        Raises
        ------
        InputError
            If a rate would not stay below 1.
        """
        low, high, limit, margin = (
            round(value * rate / self.rate, 12) for value in (*self.interval, self.overdose_limit, self.mtd_margin)
        )
        try:
            settings = {"rate": rate, "interval": (low, high), "overdose_limit": limit, "mtd_margin": margin, "over": self.over}
            return Target.read(settings)
        except InputError as error:
            raise InputError(error.within("target")) from None


class RP2D(Settings):
    """The rule by which the recommended phase 2 dose is selected from a posterior."""

    limit: Annotated[
        float, Field(gt=0, lt=1, strict=True, description=marked("a dose qualifies if its P(overdose) is below this"))
    ] = 0.25
    rule: Literal["toxicity", "utility"] = Field(
        default="toxicity",
        description=marked("among the qualifying doses tried, the highest, or the one with the largest expected utility"),
    )


Worth = Annotated[float, Field(ge=0, le=100, strict=True)]


class OutcomeUtilities(Settings):
    """Utilities, from 0 to 100, of a patient's outcomes: they are the sponsor's, and have no defaults."""

    response: Worth = Field(description=marked("utility, from 0 to 100, of a response without a DLT"))
    response_and_dlt: Worth = Field(description=marked("utility of a response with a DLT"))
    neither: Worth = Field(description=marked("utility of neither a response nor a DLT"))
    dlt: Worth = Field(description=marked("utility of a DLT without a response"))

    @model_validator(mode="after")
    def _worths_agree(self) -> Self:
        if not (self.response >= max(self.response_and_dlt, self.neither) and min(self.response_and_dlt, self.neither) >= self.dlt):
            raise ValueError("a response must not lower the utility and a DLT must not raise it: response is the best")
        return self


class Utility(OutcomeUtilities):
    """Utilities of a patient's outcomes, and the probability of a response at each dose."""

    efficacy: tuple[Chance, ...] = Field(description=marked("probability of a response at each dose"))
    efficacy_n: Annotated[float, Field(gt=0, le=10_000, strict=True)] | None = Field(
        default=None,
        description=marked(
            "effective sample size of the efficacy rates at each dose, in patients; if not given, they are taken as known exactly"
        ),
    )

    def sentences(self) -> list[str]:
        """Return the assumptions on efficacy and utilities, as plain sentences."""
        rates = ", ".join(f"{rate:g}" for rate in self.efficacy)
        if self.efficacy_n is None:
            efficacy = _("P(response) by dose, from the config and not from data: {rates}, known exactly; independent of a DLT.")
        else:
            efficacy = _(
                "P(response) by dose, from the config and not from data: {rates}, with an effective sample size of {n} patients at "
                "each dose; independent of a DLT."
            )
        utilities = _(
            "Utilities: response {response}, neither {neither}, response with a DLT {both}, DLT without a response {dlt}."
        )
        values = {"response": self.response, "neither": self.neither, "both": self.response_and_dlt, "dlt": self.dlt}
        return [
            efficacy.format(rates=rates, n=f"{self.efficacy_n or 0:g}"),
            utilities.format(**{name: f"{value:g}" for name, value in values.items()}),
        ]


Point = tuple[Number, Worth]
Share = Annotated[float, Field(ge=0, le=1, strict=True)]
Amount = Annotated[float, Field(gt=0, le=1e6, strict=True)]


class ChoiceLimits(Settings):
    """Limits within which a choice of dose counts as decided: they are stated, and have no defaults."""

    p_best: Share = Field(
        description=marked("smallest probability that the chosen dose has the largest utility, or of a change the best mean")
    )
    loss: Worth = Field(description=marked("largest expected loss of choosing now, in utility, or of a change in its unit"))


class Efficacy(Settings):
    """Efficacy endpoint per patient, its utilities, and what happens to patients without it.

    Death before the assessment is always composite: no response, or the worst change. A patient is never left out because of it.
    """

    endpoint: Name = Field(description=marked("name of the endpoint, as pages and reports show it"))
    kind: Literal["response", "change"] = Field(
        default="response", description=marked("response: yes or no; change: a continuous change from baseline")
    )
    parameter: Name | None = Field(default=None, description=marked("parameter in a table of assessments; by default the endpoint"))
    visit: Name | None = Field(
        default=None, description=marked("visit in a table of assessments; by default the one in ``days`` nearest to its middle")
    )
    days: tuple[Days, Days] = Field(
        description=marked("first and last study day of the assessment; day 1 is the day of the first infusion")
    )
    rescue: Literal["composite", "treatment-policy"] = Field(
        default="composite",
        description=marked("rescue before the assessment: no response (or the worst change), or the outcome as observed"),
    )
    missing: Literal["not-evaluable", "no-response"] = Field(
        default="not-evaluable", description=marked("patient alive and without rescue whose assessment is missing")
    )
    prior: tuple[Amount, Amount] = Field(
        default=(0.5, 0.5), description=marked("beta prior of the response rate at each dose, for independent doses")
    )
    least_rate: Share | None = Field(default=None, description=marked("response rate below which a dose is futile"))
    futility: Share | None = Field(
        default=None, description=marked("a dose is not considered if P(response rate below least_rate) is at least this")
    )
    utilities: OutcomeUtilities | None = Field(
        default=None, description=marked("the sponsor's utilities of the outcomes of a patient; they have no defaults")
    )
    better: Literal["lower", "higher"] | None = Field(
        default=None, description=marked("whether a lower or a higher change is better")
    )
    unit: str = Field(default="", max_length=40, description=marked("unit of the change"))
    residual_sd: Amount | None = Field(
        default=None, description=marked("prior guess of the residual standard deviation of the change")
    )
    worst: Number | None = Field(
        default=None, description=marked("change given to a patient who died or had rescue before the assessment")
    )
    points: tuple[Point, ...] = Field(
        default=(), description=marked("the sponsor's utility of a change, linear between these pairs of change and utility")
    )
    dlt_loss: Worth | None = Field(default=None, description=marked("utility lost by a DLT, where the utility is of a change"))
    limits: ChoiceLimits | None = Field(default=None, description=marked("limits within which a choice counts as decided"))

    @model_validator(mode="after")
    def _settings_agree(self) -> Self:
        if self.days[0] > self.days[1]:
            raise ValueError("days must be the first and the last day, in this order")
        if (self.least_rate is None) != (self.futility is None):
            raise ValueError("least_rate and futility need each other")
        of_change = {"better": self.better, "residual_sd": self.residual_sd}
        if self.kind == "change":
            lacking = [name for name, value in of_change.items() if value is None]
            if lacking:
                raise ValueError(f"kind = 'change' needs {' and '.join(lacking)}")
            if any(value is not None for value in (self.utilities, self.least_rate)):
                raise ValueError("utilities and least_rate are of responses: of a change, give points and dlt_loss")
            if self.limits is not None and not self.points:
                raise ValueError("limits needs points and dlt_loss: without utilities no dose is chosen")
            if bool(self.points) != (self.dlt_loss is not None):
                raise ValueError("points and dlt_loss need each other")
            if self.points and (len(self.points) < 2 or any(b[0] <= a[0] for a, b in pairwise(self.points))):
                raise ValueError("points must be at least two pairs, with increasing changes")
            if self.missing == "no-response":
                raise ValueError("missing = 'no-response' is of responses; a missing change is not evaluable")
        else:
            of_change |= {"worst": self.worst, "dlt_loss": self.dlt_loss, "points": self.points or None}
            given = [name for name, value in of_change.items() if value is not None]
            if given:
                raise ValueError(f"{' and '.join(given)} needs kind = 'change'")
        return self

    def sentences(self) -> list[str]:
        """Return the estimand as sentences: whose outcome counts, and as what."""
        first, last = self.days
        found = [
            _("Assessment on study days {first} to {last}; day 1 is the day of the first infusion.").format(first=first, last=last)
        ]
        worst = f"{self.worst:g}" if self.worst is not None else "\u2013"
        if self.kind == "response":
            words = _("Death before the assessment counts as no response.")
            if self.rescue == "composite":
                words = _("Death or rescue before the assessment counts as no response.")
        else:
            words = _("Death before the assessment counts as the worst change, {worst}.").format(worst=worst)
            if self.rescue == "composite":
                words = _("Death or rescue before the assessment counts as the worst change, {worst}.").format(worst=worst)
        found.append(words)
        if self.rescue == "treatment-policy":
            found.append(_("After rescue the outcome counts as observed."))
        if self.missing == "no-response":
            found.append(_("A missing assessment counts as no response."))
        else:
            found.append(_("A patient alive and without rescue whose assessment is missing is not evaluable, and is listed."))
        if self.utilities is not None:
            words = _(
                "Utilities of the sponsor, from 0 to 100: response without DLT {response}, neither {neither}, response with DLT "
                "{response_and_dlt}, DLT without response {dlt}."
            )
            found.append(words.format(**{name: f"{value:g}" for name, value in self.utilities.model_dump().items()}))
        if self.points:
            each = ", ".join(f"{change:g}: {utility:g}" for change, utility in self.points)
            words = _("Utilities of the sponsor, by change: {points}; linear between these; a DLT takes {loss} away.")
            found.append(words.format(points=each, loss=f"{self.dlt_loss:g}"))
        if self.least_rate is not None and self.futility is not None:
            words = _(
                "Rule on futility: a dose is not considered if P(response rate below {rate}), under independent doses, is at least "
                "{cutoff}."
            )
            found.append(words.format(rate=_percent(self.least_rate), cutoff=_percent(self.futility)))
        if self.limits is not None:
            words = _("Decided only if P(largest utility) is at least {p} and the expected loss in utility at most {loss}.")
            if self.kind == "change":
                words = _("Decided only if P(best mean change) is at least {p} and the expected loss at most {loss} {unit}.")
            places = {"p": _percent(self.limits.p_best), "loss": f"{self.limits.loss:g}", "unit": self.unit}
            found.append(" ".join(words.format(**places).split()).replace(" .", "."))
        return found


_MAX_N = "number of patients for which the boundary is made; limits.max_n, or by dose the maximum of limits.group, if not given"
Patients = Annotated[int, Field(ge=1, le=1000, strict=True)]
Positive = Annotated[float, Field(gt=0, le=10_000, strict=True)]


def _percent(rate: float) -> str:
    """Return a probability in percent with one decimal, or with the digits that the setting needs."""
    shown = f"{100 * rate:.1f}"
    return f"{shown if abs(float(shown) - 100 * rate) < 1e-9 else f'{100 * rate:.9g}'}%"


class BetaBinomialBoundary(Settings):
    """Bayesian boundary: pause when P(event rate > ``rate`` | data) exceeds ``cutoff`` under a Beta(``a``, ``b``) prior.

    References
    ----------
    Geller, Follmann, Leifer and Carter (2003), in: Advances in Clinical Trial Biostatistics, ISBN 9781135524388.
    """

    kind: Literal["beta-binomial"] = Field(description=marked("Bayesian boundary under a beta prior"))
    rate: Rate = Field(description=marked("highest acceptable probability of an event per patient"))
    cutoff: Rate = Field(default=0.95, description=marked("enrolment pauses when P(event rate > rate | data) is above this"))
    a: Positive = Field(default=1.0, description=marked("first parameter of the beta prior of the event rate"))
    b: Positive = Field(default=1.0, description=marked("second parameter of the beta prior of the event rate"))
    least_n: Patients = Field(default=3, description=marked("minimum number of treated patients at which the boundary applies"))
    max_n: Patients | None = Field(default=None, description=_MAX_N)

    def sentence(self, max_n: int) -> str:
        """Return the rule as a plain sentence, which is the same for any ``max_n``."""
        values = {"rate": _percent(self.rate), "cutoff": _percent(self.cutoff), "a": f"{self.a:g}", "b": f"{self.b:g}"}
        return counted(
            "Enrolment pauses when P(event rate > {rate} | data) exceeds {cutoff} under a Beta({a}, {b}) prior, from {n} treated "
            "patient on.",
            "Enrolment pauses when P(event rate > {rate} | data) exceeds {cutoff} under a Beta({a}, {b}) prior, from {n} treated "
            "patients on.",
            self.least_n,
            **values,
        )

    @model_validator(mode="after")
    def _needs_an_event(self) -> Self:
        prior = float(betainc(self.b, self.a, 1 - self.rate))
        if prior > self.cutoff:
            allowed = f"must be at least P(event rate > {self.rate:g}) under the prior, {prior:.4g}: no event would be needed"
            raise InputError(Problem("cutoff", self.cutoff, allowed))
        return self


class PocockBoundary(Settings):
    """Pocock boundary: pause when a one-sided binomial test of ``rate`` is significant at a constant nominal level.

    The level is the highest at which the exact probability of a pause among ``max_n`` patients at true event rate ``rate`` is at
    most ``alpha``.

    References
    ----------
    Ivanova, Qaqish and Schell (2005), Biometrics 61:540-545, doi:10.1111/j.1541-0420.2005.00311.x.
    """

    kind: Literal["pocock"] = Field(description=marked("frequentist boundary with a constant nominal level"))
    rate: Rate = Field(description=marked("acceptable probability of an event per patient"))
    alpha: Rate = Field(
        default=0.05, description=marked("maximum probability of a pause at this event rate, among the maximum number of patients")
    )
    max_n: Patients | None = Field(default=None, description=_MAX_N)

    def sentence(self, max_n: int) -> str:
        """Return the rule as a plain sentence, made for ``max_n`` patients."""
        return counted(
            "Enrolment pauses at a Pocock boundary: a constant nominal level, chosen so that the probability of a pause among {n} "
            "patient is at most {alpha} at an event rate of {rate}.",
            "Enrolment pauses at a Pocock boundary: a constant nominal level, chosen so that the probability of a pause among {n} "
            "patients is at most {alpha} at an event rate of {rate}.",
            max_n,
            alpha=_percent(self.alpha),
            rate=_percent(self.rate),
        )


class Pause(Settings):
    """Rules by which enrolment pauses because of serious events.

    Deaths count over the whole trial. ``related_serious`` and ``boundary`` count treated patients, each patient once, over the
    whole trial or per dose level (``by``). An event of the boundary is, by ``event``:

    - "serious": a related serious event, a related event of grade 4 or worse, or death;
    - "dlt": a DLT.
    """

    any_death: Annotated[bool, Field(strict=True)] = Field(
        default=True, description=marked("whether any death pauses enrolment until it is adjudicated")
    )
    related_serious: Patients | None = Field(
        default=None,
        description=marked("enrolment pauses when this many patients have had a related serious event; no rule if not given"),
    )
    boundary: BetaBinomialBoundary | PocockBoundary | None = Field(
        default=None,
        discriminator="kind",
        description=marked("boundary on the number of patients with an event among the treated patients; none if not given"),
    )
    event: Literal["serious", "dlt"] = Field(
        default="serious",
        description=marked("event of the boundary: a related serious event, related event of grade 4 or worse, or death; or a DLT"),
    )
    by: Literal["trial", "dose"] = Field(
        default="trial",
        description=marked(
            "how events are counted for these rules: in all treated patients together, or at each dose level separately"
        ),
    )

    @property
    def counts_patients(self) -> bool:
        """Return whether a rule counts patients with events, besides the rule on deaths."""
        return self.related_serious is not None or self.boundary is not None

    @property
    def unused(self) -> tuple[str, ...]:
        """Return the settings without effect, because no rule uses them."""
        return (*(("event",) if self.boundary is None else ()), *(() if self.counts_patients else ("by",)))

    def sentences(self, max_n: int) -> list[str]:
        """Return all rules as plain sentences; ``max_n`` is the number of patients for which the boundary is made."""
        found = []
        if self.any_death:
            found.append(_("Any death pauses enrolment until it is adjudicated."))
        if self.related_serious is not None:
            found.append(
                counted(
                    "Enrolment pauses when {n} patient has had a related serious event.",
                    "Enrolment pauses when {n} patients have had a related serious event.",
                    self.related_serious,
                )
            )
        if self.boundary is not None:
            serious = _(
                "An event of the boundary is a related serious event, a related event of grade 4 or worse, or death; each patient "
                "counts once."
            )
            dlt = _("An event of the boundary is a DLT; each patient counts once.")
            found += [self.boundary.sentence(max_n), serious if self.event == "serious" else dlt]
        if self.counts_patients:
            together, apart = _("All treated patients are counted together."), _("Each dose level is counted separately.")
            found.append(together if self.by == "trial" else apart)
        return found or [_("No pause rule is in force.")]


def _changes(table: str, but: str = "") -> Any:
    return Field(default_factory=dict, description=f"keys of the table {table} that change{but}")


class Amendment(Settings):
    """Keys of the config that change from a date on. A list replaces the whole list before it."""

    date: datetime.date = Field(description=marked("date from which the amended protocol is in force, ISO form"))
    version: Name | None = Field(default=None, description=marked("name of the amended version, such as '2.0'"))
    why: Name | None = Field(default=None, description=marked("reason for the amendment"))
    record: dict[str, Any] = _changes("record", "; id and version_date cannot change")
    doses: dict[str, Any] = _changes("doses", "; levels may only be added, and the unit cannot change")
    treatment: dict[str, Any] = _changes("treatment")
    dlt: dict[str, Any] = _changes("dlt")
    evaluability: dict[str, Any] = _changes("evaluability")
    limits: dict[str, Any] = _changes("limits")
    target: dict[str, Any] = _changes("target")
    scenarios: dict[str, Any] = _changes("scenarios")
    designs: dict[str, Any] = _changes("designs")
    binding: Key | None = Field(default=None, description=marked("name of the primary design from then on"))
    curves: dict[str, Any] = _changes("curves")
    borrowing: dict[str, Any] = _changes("borrowing")
    accrual: dict[str, Any] = _changes("accrual")
    onset: dict[str, Any] = _changes("onset")
    discontinuation: dict[str, Any] = _changes("discontinuation")
    gates: dict[str, Any] = _changes("gates")
    rp2d: dict[str, Any] = _changes("rp2d")
    pause: dict[str, Any] = _changes("pause")
    utility: dict[str, Any] = _changes("utility")
    efficacy: dict[str, Any] = _changes("efficacy")
    endpoints: dict[str, Any] = _changes("endpoints")
    report: dict[str, Any] = _changes("report")
    assumed: dict[str, Name] = Field(
        default_factory=dict, description=marked("changed keys whose values the amendment does not state, each with the reason")
    )

    @property
    def changes(self) -> dict[str, Any]:
        """Return the changed keys as nested tables, without ``assumed``."""
        of_itself = ("date", "version", "why", "assumed")
        given = {name: getattr(self, name) for name in type(self).model_fields if name not in of_itself}
        return {name: value for name, value in given.items() if value}

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not self.changes:
            raise ValueError("must change at least one key of the config")
        fixed = (("record", "id"), ("record", "version_date"), ("doses", "unit"))
        problems = [
            Problem(f"{table}.{key}", getattr(self, table)[key], "cannot be amended")
            for table, key in fixed
            if key in getattr(self, table)
        ]
        if problems:
            raise InputError(problems)
        return self


class Change(NamedTuple):
    """A key that an amendment changes.

    Attributes
    ----------
    date
        Date from which the amended protocol is in force.
    version, why
        Name of the amended version and reason for the amendment; ``None`` if the config has none.
    key
        The key.
    before
        Its value in the previous version; ``None`` if it had none.
        after
        Its value from that date on.
    """

    date: datetime.date
    version: str | None
    why: str | None
    key: str
    before: Any
    after: Any


def in_amendment(number: int, amendment: Amendment, error: InputError) -> InputError:
    """Return an error found in an amended protocol, with the number of the amendment (from 1) in addition to the key."""
    found = error.within(f"amendment[{number}]")
    return InputError([Problem(p.where, p.value, f"{p.allowed} (protocol as amended on {amendment.date})") for p in found])


class Report(Settings):
    """Patient data shown in reports. These settings change no result, so a default is not listed among the assumptions."""

    terms: Annotated[bool, Field(strict=True)] = Field(
        default=True,
        description=marked("whether reports show terms of adverse events and reasons for discontinuation, as in the data"),
    )
    blinded: Annotated[bool, Field(strict=True)] | None = Field(
        default=None,
        description=marked(
            "whether reports hide who was given placebo or control, and do not split tables by assignment; "
            "by default, if there are such patients"
        ),
    )


class Protocol(Settings):
    """A trial protocol.

    Attributes
    ----------
    record
        Source of the protocol.
    doses
        Dose levels with their unit.
    treatment
        Infusions, DLT window, staggering interval.
    dlt
        Definition of a DLT among adverse events.
    evaluability
        Evaluability of patients who did not complete the DLT window.
    parts
        Patients who belong to a part of the trial outside the escalation, if the data do not record it.
    limits
        Cohorts, groups, maximum sample size.
    pause
        Rules by which enrolment pauses because of serious events.
    target
        Target DLT rate and the standards by which selections are judged.
    scenarios
        Scenarios in which designs are compared: name to true DLT rate at each dose.
    designs
        Designs to compare: name to a table with ``kind`` and settings.
    binding
        Name of the primary design, which governs the conduct of the trial; by default the first.
    curves
        Dose-toxicity curves with priors: name to a table with ``kind`` and settings; the first is used in analyses.
    borrowing
        What may be borrowed from other trials, and in what sense; an analysis borrows only on request.
    rp2d
        Rule for the selection of the RP2D.
    utility
        Utilities of outcomes, and the probability of a response.
    efficacy
        Efficacy endpoint of each patient, its estimand, and the sponsor's utilities.
    endpoints
        Endpoints of the trial: visits, schedules and parameters.
    accrual
        How candidates arrive; a calendar needs it.
    onset
        Distribution of the days to DLT; uniform over the DLT window if not given.
    discontinuation
        Probability of discontinuation before the DLT window ends; 0 if not given.
    gates
        Conditions for escalation by designs that decide with pending outcomes.
    report
        Patient data shown in reports.
    intake
        Names of variables in the data that no standard defines.
    assumed
        Keys whose values are not stated in the record, with the reason.
    amendment
        Amendments in the order of their dates, each with the keys that it changes.

    Examples
    --------
    >>> from dosefind import load_protocol
    >>> load_protocol("configs/nct05962762.toml").target.rate
    0.25
    """

    record: Record
    doses: Doses
    treatment: Treatment
    dlt: DLT = Field(default_factory=DLT)
    evaluability: Evaluability = Field(default_factory=Evaluability)
    parts: tuple[PartRule, ...] = ()
    limits: Limits
    pause: Pause = Field(default_factory=Pause)
    target: Target
    scenarios: Annotated[dict[Name, tuple[Chance, ...]], Field(min_length=1, max_length=1000)]
    designs: Annotated[dict[Key, dict[str, Any]], Field(min_length=1)]
    binding: Key | None = None
    curves: dict[Key, dict[str, Any]] = Field(default_factory=dict)
    borrowing: dict[str, Any] = Field(default_factory=dict)
    rp2d: RP2D = Field(default_factory=RP2D)
    utility: Utility | None = None
    efficacy: Efficacy | None = None
    endpoints: Endpoints | None = None
    accrual: Accrual | None = None
    onset: Onset | None = None
    discontinuation: Discontinuation | None = None
    gates: Gates | None = None
    report: Report = Field(default_factory=Report)
    intake: Intake = Field(default_factory=Intake)
    assumed: dict[str, Name] = Field(default_factory=dict)
    amendment: tuple[Amendment, ...] = ()

    _file: str = PrivateAttr("")
    _sha256: str = PrivateAttr("")
    _amended: tuple[Protocol, ...] = PrivateAttr(())
    _amended_on: tuple[datetime.date, ...] = PrivateAttr(())
    _renumbers: bool = PrivateAttr(False)

    def __repr__(self) -> str:
        return f"Protocol {self.record.id}: {self.doses.words}; {len(self.designs)} designs, {len(self.scenarios)} scenarios"

    __str__ = __repr__

    @property
    def n_doses(self) -> int:
        return len(self.doses.amounts)

    @property
    def file(self) -> str:
        """Return the name of the file from which the protocol was read."""
        return self._file

    @property
    def sha256(self) -> str:
        """Return the hash of that file's bytes."""
        return self._sha256

    @property
    def versions(self) -> tuple[tuple[datetime.date, Protocol], ...]:
        """Return every version of the protocol with its date: this one, and one per amendment."""
        return tuple((version.record.version_date, version) for version in (self, *self._amended))

    @property
    def amended_on(self) -> tuple[datetime.date, ...]:
        """Return the dates of all amendments in the config, also for an amended version."""
        return self._amended_on

    @property
    def renumbers_levels(self) -> bool:
        """Return whether an amendment in the config changes the numbering of dose levels, also for an amended version."""
        return self._renumbers

    def in_force(self, day: datetime.date) -> Protocol:
        """Return the protocol as amended by a day.

        Parameters
        ----------
        day
            A date. An amendment is in force from its date on.

        Returns
        -------
        Protocol
            This protocol itself if no amendment is in force by then, and for an amended version.

        Examples
        --------
        >>> from datetime import date
        >>> from dosefind import load_protocol
        >>> protocol = load_protocol("configs/nct05962762.toml")
        >>> amendment = {"date": date(2024, 5, 1), "treatment": {"dlt_window_days": 42}}
        >>> protocol = Protocol.read(protocol.model_dump(exclude_unset=True) | {"amendment": [amendment]})
        >>> [protocol.in_force(day).treatment.dlt_window_days for day in (date(2024, 4, 30), date(2024, 5, 1))]
        [28, 42]
        """
        calendar_day("day", day)
        return next((version for version in reversed(self._amended) if version.record.version_date <= day), self)

    @property
    def changes(self) -> tuple[Change, ...]:
        """Return the changes of each amendment, key by key, in the order of the amendments."""
        found = []
        for amendment, (_day, before) in zip(self.amendment, self.versions, strict=False):
            rows = _changed(amendment.changes, before)
            found += [Change(amendment.date, amendment.version, amendment.why, *row) for row in rows]
        return tuple(found)

    def without_amendments(self) -> Protocol:
        """Return this version of the protocol without its amendments."""
        if not self.amendment:
            return self
        copy = self.model_copy(update={"amendment": ()})
        copy._amended, copy._amended_on, copy._renumbers = (), (), False
        return copy

    @property
    def truths(self) -> np.ndarray:
        """Return the scenarios as rows, ``(scenarios, doses)``."""
        return np.array(list(self.scenarios.values()))

    @property
    def days_to_dlt(self) -> Onset:
        """Return the distribution of the days to DLT, with the intervals of the protocol's infusions; uniform if none is stated."""
        return (self.onset or Onset()).after(self.treatment.interval_days)

    @property
    def pause_max_n(self) -> int:
        """Return the number of patients for which the pause boundary is made: its setting, or the maximum per level or trial."""
        boundary, group = self.pause.boundary, self.limits.group
        if boundary is not None and boundary.max_n is not None:
            return boundary.max_n
        return group[1] if self.pause.by == "dose" and group is not None else self.limits.max_n

    def pause_rules(self) -> list[str]:
        """Return the pause rules as plain sentences."""
        return self.pause.sentences(self.pause_max_n)

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        for name, truth in self.scenarios.items():
            curve_values(f"scenarios.{name}", [truth], self.n_doses)
        self._check_levels()
        self._check_pause()
        self._check_least()
        self._check_gates()
        self._check_assumed()
        self._check_onset()
        self._check_endpoints()
        if self.utility is not None:
            efficacy = list(self.utility.efficacy)
            if len(efficacy) != self.n_doses or not all(0 <= rate <= 1 for rate in efficacy):
                allowed = f"must hold {self.n_doses} probabilities in [0, 1], one per dose"
                raise InputError(Problem("utility.efficacy", efficacy, allowed))
        elif self.rp2d.rule == "utility":
            raise InputError(Problem("rp2d.rule", self.rp2d.rule, "needs the table utility: efficacy by dose, and utilities"))
        if self.binding is not None and self.binding not in self.designs:
            raise InputError(Problem("binding", self.binding, f"must be one of the designs: {', '.join(self.designs)}"))
        self._check_amendments()
        return self

    def _check_amendments(self) -> None:
        """Make every amended version, each from the previous one, and check it as a whole."""
        versions = [self]
        dates = tuple(amendment.date for amendment in self.amendment)
        for number, amendment in enumerate(self.amendment, start=1):
            before = versions[-1]
            if amendment.date <= before.record.version_date:
                allowed = f"must be after {before.record.version_date}, the date of the previous version"
                raise InputError(Problem(f"amendment[{number}].date", amendment.date.isoformat(), allowed))
            try:
                version = type(self).read(_amended(before, amendment))
                _check_levels_stay(before.doses, version.doses)
            except InputError as error:
                raise in_amendment(number, amendment, error) from None
            version._amended_on = dates
            if _renumbered([before, version]) and before.doses.arms and "arms" not in amendment.doses:
                allowed = "must be stated again: this amendment changes the numbers of the dose levels"
                raise in_amendment(number, amendment, InputError(Problem("doses.arms", before.doses.arms, allowed)))
            versions.append(version)
        for version in versions:
            version._renumbers = _renumbered(versions)
        self._amended, self._amended_on = tuple(versions[1:]), dates

    def _check_levels(self) -> None:
        allowed = f"must be among the levels 1 to {self.n_doses}"
        if self.limits.start_level > self.n_doses:
            raise InputError(Problem("limits.start_level", self.limits.start_level, allowed))
        stagger = self.treatment.stagger
        if stagger is not None and stagger.levels != "all" and any(level > self.n_doses for level in stagger.levels):
            raise InputError(Problem("treatment.stagger.levels", list(stagger.levels), allowed))
        if self.limits.group is not None and not 1 <= self.limits.group[0] <= self.limits.group[1] <= self.limits.max_n:
            raise InputError(
                Problem(
                    "limits.group",
                    list(self.limits.group),
                    f"must be [minimum, maximum] patients per dose, at most max_n = {self.limits.max_n}",
                )
            )

    def _check_onset(self) -> None:
        """Check that the days to DLT agree with the infusions."""
        try:
            onset = self.days_to_dlt
        except InputError as error:
            raise InputError(error.within("onset")) from None
        if sum(onset.interval_days) > self.treatment.dlt_window_days:
            allowed = f"must have a sum of at most {self.treatment.dlt_window_days}, the days of the DLT window"
            raise InputError(Problem("onset.interval_days", list(onset.interval_days), allowed))

    def _check_endpoints(self) -> None:
        """Check that visits after an infusion are of a planned infusion, on its day or later and before the next one."""
        planned = self.treatment.infusion_days
        for name, visit in {} if self.endpoints is None else self.endpoints.visits.items():
            place, number = f"endpoints.visits.{shown_key(name)}", visit.infusion
            if number is None:
                continue
            if number > len(planned):
                allowed = f"must be at most {len(planned)}, the number of planned infusions (treatment.infusion_days)"
                raise InputError(Problem(f"{place}.infusion", number, allowed))
            if visit.day < planned[number - 1] or (number < len(planned) and visit.day >= planned[number]):
                allowed = (
                    f"must be on day {planned[number - 1]}, the day of infusion {number}, or later and before the next infusion"
                )
                raise InputError(Problem(f"{place}.day", visit.day, allowed))

    def _check_gates(self) -> None:
        """Check that the infusion of a gate is planned within the DLT window."""
        infused, planned = None if self.gates is None else self.gates.infused, self.treatment.planned_infusions
        if infused is not None and infused.number > planned:
            allowed = f"must be at most {planned}, the number planned within the DLT window"
            raise InputError(Problem("gates.infused.number", infused.number, allowed))

    def _check_least(self) -> None:
        """Check that the minimum exposure and follow-up can be reached within the DLT window."""
        infusions, days = self.evaluability.least_infusions, self.evaluability.least_days
        if infusions is not None and infusions > self.treatment.planned_infusions:
            allowed = f"must be at most {self.treatment.planned_infusions}, the number planned within the DLT window"
            raise InputError(Problem("evaluability.least_infusions", infusions, allowed))
        if days is not None and days > self.treatment.dlt_window_days:
            allowed = f"must be at most treatment.dlt_window_days = {self.treatment.dlt_window_days}"
            raise InputError(Problem("evaluability.least_days", days, allowed))

    def _check_pause(self) -> None:
        pause, boundary, allowed = self.pause, self.pause.boundary, f"must be at most the maximum of {self.pause_max_n} patients"
        if isinstance(boundary, BetaBinomialBoundary) and boundary.least_n > self.pause_max_n:
            raise InputError(Problem("pause.boundary.least_n", boundary.least_n, allowed))
        if pause.related_serious is not None and pause.related_serious > self.limits.max_n:
            allowed = f"must be at most limits.max_n = {self.limits.max_n}"
            raise InputError(Problem("pause.related_serious", pause.related_serious, allowed))

    def _check_assumed(self) -> None:
        # A problem in a table of borrowing is reported first by its reader.
        self.check_assumed([key for key in self.assumed if not self.borrowing or not key.startswith("borrowing.")])

    def check_assumed(self, keys: Iterable[str]) -> None:
        """Raise unless all keys marked as assumed are in the file."""
        for key in keys:
            if _lookup(self, key) is _ABSENT:
                raise InputError(
                    Problem(f"assumed.{shown_key(key)}", self.assumed[key], "must name a key of this file, such as 'target.rate'")
                )

    def assumptions(self) -> list[Assumption]:
        """Return everything not stated in the record: the keys marked so, then the defaults that the file leaves unchanged."""
        stated = [Assumption(key, _lookup(self, key), why) for key, why in self.assumed.items()]
        # The value of a whole table that is marked shows its defaults.
        # Settings of reports change no result.
        tables = (*(f"{key}." for key in self.assumed), "report.")
        unused = {f"pause.{name}" for name in self.pause.unused}
        if self.treatment.planned_infusions == 1:
            unused.add("target.over")
        return stated + [
            Assumption(key, value, _("dosefind's default"))
            for key, value in _defaults(self)
            if not key.startswith(tables) and key not in unused and key not in self.assumed
        ]

    def timing_words(self) -> str:
        """Return the assumptions behind `Treatment.least_days`, in words."""
        window = _("{days}-day DLT window, the last one included").format(days=self.treatment.dlt_window_days)
        stagger = self.treatment.stagger
        if stagger is None:
            return window
        if stagger.levels == "all" and stagger.patients == "every":
            words = _("{days} between patients at every level")
        elif stagger.levels == "all":
            words = _("{days} after the first patient at every level")
        elif stagger.patients == "every":
            words = _("{days} between patients at level {levels}")
        else:
            words = _("{days} after the first patient at level {levels}")
        levels = "" if stagger.levels == "all" else ", ".join(map(str, stagger.levels))
        return "; ".join([window, words.format(days=n_days(stagger.days), levels=levels)])


def _renumbered(versions: Sequence[Protocol]) -> bool:
    """Return whether a dose level has another number in a later version of a protocol."""
    return any(after.doses.amounts[: len(before.doses.amounts)] != before.doses.amounts for before, after in pairwise(versions))


def _check_levels_stay(before: Doses, after: Doses) -> None:
    missing = [amount for amount in before.amounts if amount not in after.amounts]
    if missing:
        gone = ", ".join(f"{amount:g}" for amount in missing)
        allowed = f"dose levels may only be added: must have all amounts of the previous version, {before.words}; {gone} is missing"
        raise InputError(Problem("doses.amounts", list(after.amounts), allowed))


def _amended(before: Protocol, amendment: Amendment) -> dict[str, Any]:
    """Return the tables of an amended version: the previous version with the changed keys, and its own date."""
    changes = _merged(amendment.changes, {"record": {"version_date": amendment.date}})
    table = before.model_dump(exclude_unset=True, exclude={"amendment", "assumed"})
    changed = list(_keys(changes))
    still = {key: why for marked, why in before.assumed.items() for key in _not_among(before, marked, changed)}
    return {**_merged(table, changes), "assumed": still | amendment.assumed}


def _merged(table: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested tables with some keys changed; a value that is not a table is replaced as a whole."""
    merged = dict(table)
    for key, value in changes.items():
        both = isinstance(value, Mapping) and isinstance(table.get(key), Mapping)
        merged[key] = _merged(table[key], value) if both else value
    return merged


def _keys(table: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Return the dotted keys of all values within nested tables."""
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            yield from _keys(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _changed(table: Mapping[str, Any], before: Any, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Return the dotted keys of all values within nested tables, each with the old and the new value."""
    for key, value in table.items():
        old = _within(before, key)
        old = None if old is _ABSENT else old
        if isinstance(value, Mapping) and value:
            yield from _changed(value, old, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", old, value


def _not_among(settings: Protocol, key: str, changed: Iterable[str]) -> list[str]:
    """Return a key, or the keys within it, without those that are changed."""
    if any(key == other or key.startswith(f"{other}.") for other in changed):
        return []
    if not any(other.startswith(f"{key}.") for other in changed):
        return [key]
    value = _lookup(settings, key)
    inner = list(type(value).model_fields) if isinstance(value, BaseModel) else list(value) if isinstance(value, dict) else []
    # A name containing a dot cannot be marked: the whole table stays marked, which shows more values as assumed rather than fewer.
    if any("." in name for name in inner):
        return [key]
    given = [name for name in inner if _lookup(value, name) not in (None, (), {})]
    return [found for name in given for found in _not_among(settings, f"{key}.{name}", changed)]


@dataclass(frozen=True)
class FromTrial:
    """The protocol key that supplies the value of a design's or curve's setting if its own table does not.

    It is part of the setting's annotation, such as ``target: Annotated[Probability, FromTrial("target.rate")]``.

    Attributes
    ----------
    key
        Key of the protocol, dotted.
    of
        Function from the value at that key, if there is one, to the value of the setting; ``None`` if they are equal.
    words
        The origin as stated in errors, if it is not the key.
    """

    key: str
    of: Callable[[Any], Any] | None = None
    words: str = ""

    def value(self, protocol: Protocol) -> Any:
        """Return the value that a protocol supplies, or ``None`` if it supplies none."""
        found = _lookup(protocol, self.key)
        return found if found is None or self.of is None else self.of(found)

    def __str__(self) -> str:
        return self.words or self.key


def from_trial(kind: type[BaseModel]) -> dict[str, FromTrial]:
    """Return the settings of a class whose values a trial supplies if a table does not, each with its origin.

    A setting redefined in a subclass keeps its origin unless it has a new one.
    """
    classes = [base for base in reversed(kind.__mro__) if issubclass(base, BaseModel)]
    fields = [(name, field) for base in classes for name, field in base.model_fields.items()]
    return {name: origin for name, field in fields for origin in field.metadata if isinstance(origin, FromTrial)}


_ABSENT = object()


def _lookup(settings: Any, key: str) -> Any:
    """Return the value at a dotted key of nested settings and tables."""
    current: Any = settings
    for part in key.split("."):
        current = _within(current, part)
    return current


def _within(settings: Any, name: str) -> Any:
    """Return the value of one name in settings or a table."""
    if isinstance(settings, BaseModel):
        return getattr(settings, name, _ABSENT) if name in type(settings).model_fields else _ABSENT
    return settings.get(name, _ABSENT) if isinstance(settings, dict) else _ABSENT


def _defaults(settings: BaseModel, prefix: str = "") -> list[tuple[str, Any]]:
    """Return the keys of nested settings that were not given and have a default other than "none" or empty."""
    found: list[tuple[str, Any]] = []
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            found += _defaults(value, f"{prefix}{name}.")
        elif name not in settings.model_fields_set and value is not None and value != () and value != {}:
            found.append((f"{prefix}{name}", value))
    return found
