"""What designs cost in time: durations by accrual rate, and what deciding with pending outcomes costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from ... import plots
from ...figures import CALENDAR, Quantity, in_percent, percent, written
from ...plots.calendar import rate_words
from ...results import restored
from ...tasks.calendar import nearest_to_middle, overlap_rows
from ...words import _, counted
from ..content import Block, Bullets, Figure, Page, Paragraph, Section, Table, Text, data, filled, table, text
from . import common

__all__ = ["Calendar", "calendar", "calendar_section"]

_PRICE = ("mean_n", "dlts", "correct", "turned_away", "waiting", "bold")
_DETAIL = (
    *(
        "mean_n",
        "dlts",
        "correct",
        "overdose_selected",
        "untried",
        "days",
        "last_start",
        "turned_away",
        "gone",
        "waiting",
        "closed",
    ),
    *("decisions", "with_pending", "bold", "cautious", "above", "lost", "unfinished"),
)


def calendar(made: xr.Dataset, scenario: str | None = None) -> Page:
    """Return the page of a calendar.

    Parameters
    ----------
    made
        The result of `dosefind.calendar`.
    scenario
        The scenario of the first screen; by default the first whose true MTD is the middle level, or the nearest to it.
    """
    found = Calendar.of(made, scenario)
    words = _("{protocol}: calendar of the trial ({designs}, {scenarios}; simulated)")
    title = filled(
        words,
        protocol=data(made.attrs["protocol"]),
        designs=counted("{n} design", "{n} designs", len(found.designs)),
        scenarios=counted("{n} scenario", "{n} scenarios", len(found.scenarios)),
    )
    blocks = (
        *common.version(made.attrs),
        Bullets(found.answers()),
        found.durations(found.shown),
        found.price(),
        Paragraph((*found.precision(), *common.assumed_words(made.attrs))),
    )
    return Page(title, blocks, found.sections())


def calendar_section(made: xr.Dataset) -> Section:
    """Return what the designs cost in time in one scenario, as a section of a report."""
    found = Calendar.of(made)
    words = _(
        "Simulated trials day by day: candidates arrive at the rates shown, wait or are turned away, and patients start by the "
        "protocol's rules. The duration is counted from the first patient's start to the last outcome that the trial needed."
    )
    caption = filled(_("{scenario}: duration by accrual rate."), scenario=data(found.scenarios[found.shown]))
    picture = Figure(plots.duration(found.made, found.scenarios[found.shown]), caption)
    blocks = (
        Paragraph(text(words)),
        Bullets(found.answers()),
        found.durations(found.shown),
        picture,
        found.price(),
        Paragraph((*found.precision(), *found.conduct())),
    )
    return Section("calendar", text(_("Duration")), blocks)


@dataclass(frozen=True)
class Calendar:
    """A calendar as the pages show it.

    Attributes
    ----------
    made
        The result of `dosefind.calendar`.
    shown
        Index of the scenario of the first screen.
    """

    made: xr.Dataset
    shown: int

    @classmethod
    def of(cls, made: xr.Dataset, scenario: str | None = None) -> Calendar:
        made = restored(made)
        names = [str(name) for name in made["scenario"].values]
        if scenario is not None:
            return cls(made, names.index(scenario))
        levels = [0 if str(label) == "none" else int(label) for label in made["true_mtd"].values]
        return cls(made, nearest_to_middle(levels, made.sizes["dose"]))

    @property
    def designs(self) -> list[str]:
        return [str(name) for name in self.made["design"].values]

    @property
    def scenarios(self) -> list[str]:
        return [str(name) for name in self.made["scenario"].values]

    @property
    def main(self) -> int:
        """Return the index of the protocol's own accrual rate, or of the first if it is not among those shown."""
        rates = self.made["accrual"].values.tolist()
        own = self.made.attrs.get("per_28_days")
        return rates.index(own) if own in rates else 0

    @property
    def rows(self) -> list[tuple[int, int]]:
        """Return the rows of a table: overlap and design, with a second row for a design for which overlap makes a difference."""
        return overlap_rows(self.made["days"].values)

    def name(self, row: tuple[int, int]) -> Text:
        """Return the heading of a row."""
        design = data(self.designs[row[1]])
        return filled(_("{design} (overlap)"), design=design) if row[0] else text(design)

    def rate(self, index: int) -> str:
        """Return an accrual rate in words."""
        rate = float(self.made["accrual"].values[index])
        return f"{rate:g}" if np.isfinite(rate) else rate_words(rate)

    def value(self, name: str, at: tuple[int, int, int, int]) -> tuple[float, float]:
        """Return a value and its standard error at overlap, accrual rate, design and scenario; DLTs in total."""
        values, errors = (self.made[f"{name}{suffix}"].values[at] for suffix in ("", "_se"))
        # DLTs at the doses add up; so does their error at most.
        return float(np.sum(values)), float(np.sum(errors))

    def days(self, at: tuple[int, int, int, int]) -> str:
        """Return the mean duration with its 10% and 90% quantiles."""
        quantiles = self.made["days_quantile"].values[at]
        return f"{self.value('days', at)[0]:.0f} ({quantiles[0]:.0f}\u2013{quantiles[-1]:.0f})"

    # The first screen.

    def answers(self) -> tuple[Text, ...]:
        """Return how long the primary design takes, and what designs that decide with pending outcomes gain or lose by it: compared
        with the primary design, or if that decides so itself with the first that needs complete outcomes.
        """
        primary = self.designs.index(self.made.attrs["primary_design"])
        own = (0, self.main, primary, self.shown)
        values = {
            "scenario": data(self.scenarios[self.shown]),
            "rate": self._rate_words(self.main),
            "design": data(self.designs[primary]),
            "days": f"{self.value('days', own)[0]:.0f}",
            "patients": f"{self.value('mean_n', own)[0]:.1f}",
            "treated": f"{self.value('mean_n', own)[0] + self.value('lost', own)[0]:.1f}",
        }
        words = _("In scenario {scenario} at {rate}, {design} takes {days} days on average, with {patients} patients.")
        if "days_decided" in self.made:
            values["early"] = f"{float(self.made['days_decided'].values[self.main, self.shown]):.0f}"
            words = _(
                "In scenario {scenario} at {rate}, {design} takes {days} days on average ({early} if cohorts end once decided), "
                "with {patients} patients."
            )
        answers = [filled(words, **values)]
        if self.value("lost", own)[0] > 0:
            words = _("Of {treated} patients treated by {design}, {patients} are evaluable.")
            answers.append(filled(words, **values))
        if gone := self.value("gone", own)[0]:
            words = _("In a trial of {design}, {gone} candidates on average leave the queue before they can start.")
            answers.append(filled(words, design=data(self.designs[primary]), gone=f"{gone:.1f}"))
        reads = self.made["reads"].values
        waiting = [primary, *range(len(reads))]
        compared = next((design for design in waiting if reads[design] == "complete"), None)
        own = self.made["on_complete_data"].values.tolist()
        for design in (design for design in range(len(reads)) if reads[design] != "complete"):
            answers.append(self._gain(design, self.designs.index(own[design]) if own[design] else compared))
        bias = self._bias()
        return (*self._cut_short(), *answers, *(() if bias is None else (bias,)))

    def _cut_short(self) -> list[Text]:
        """Return that candidates run out before trials end."""
        share = float(self.made["unfinished"].values[:, :, :, self.shown].max())
        if not share:
            return []
        words = _("Candidates run out before the trial ends in up to {share} of trials: means include trials that are cut short.")
        return [filled(words, share=percent(share))]

    def _rate_words(self, index: int) -> str:
        rate = float(self.made["accrual"].values[index])
        if not np.isfinite(rate):
            return self.rate(index)
        if rate == int(rate):
            return counted("{n} candidate per 28 days", "{n} candidates per 28 days", int(rate))
        return _("{rate} candidates per 28 days").format(rate=f"{rate:g}")

    def _gain(self, design: int, compared: int | None) -> Text:
        """Return what a design that decides with pending outcomes gains or loses in time against one that does not."""
        own = (0, self.main, design, self.shown)
        values = {
            "design": data(self.designs[design]),
            "bold": f"{self.value('bold', own)[0]:.2f}",
            "decisions": f"{self.value('decisions', own)[0]:.1f}",
        }
        if compared is None:
            words = _(
                "{design} decides with outcomes pending: of its {decisions} decisions, {bold} are too bold: lower with complete "
                "outcomes."
            )
            return filled(words, **values)
        values |= {
            "compared": data(self.designs[compared]),
            "differences": self._differences(0, design, compared),
            "if_allowed": self._differences(1, design, compared) if (1, design) in self.rows else "",
        }
        words = _(
            "{design} decides with outcomes pending. Days compared with {compared}, by candidates per 28 days: {differences}. Of "
            "its {decisions} decisions, {bold} are too bold: lower with complete outcomes."
        )
        if values["if_allowed"]:
            words = _(
                "{design} decides with outcomes pending. Days compared with {compared}, by candidates per 28 days: {differences} "
                "(were overlap allowed: {if_allowed}). Of its {decisions} decisions, {bold} are too bold: lower "
                "with complete outcomes."
            )
        title = str(self.made["title"].values[design])
        named = filled(_("{design} is {title}. "), design=data(self.designs[design]), title=title) if title else ()
        return (*named, *filled(words, **values))

    def leaving(self) -> tuple[Block, ...]:
        """Return true DLT rates beside those among evaluable patients; nothing if nobody discontinues."""
        if "rate_counted" not in self.made:
            return ()
        rows = []
        for s, scenario in enumerate(self.scenarios):
            for name in ("p_true", "rate_counted", "evaluable"):
                values = map(in_percent, self.made[name].values[s])
                rows.append((text(data(scenario) if name == "p_true" else ""), common.heading(CALENDAR[name]), *values))
        doses = (_("level {level}").format(level=level) for level in self.made["dose"].values)
        caption = _("True DLT rates and those among evaluable patients, given discontinuation, %.")
        return (table(text(caption), (_("scenario"), "", *doses), rows),)

    def _bias(self) -> Text | None:
        """Return what handling of patients who discontinue does to the DLT rate at the true MTD; ``None`` if nobody does."""
        if "rate_counted" not in self.made:
            return None
        label = str(self.made["true_mtd"].values[self.shown])
        at = (self.shown, max(0, (0 if label == "none" else int(label)) - 1))
        true, rate, evaluable = (float(self.made[name].values[at]) for name in ("p_true", "rate_counted", "evaluable"))
        words = _(
            "Discontinuation: at level {level}, true DLT rate {true}, the DLT rate among evaluable patients is {rate}, and {more} "
            "more patients must start than are evaluable."
        )
        rates = {"true": f"{true:.1%}", "rate": f"{rate:.1%}", "more": f"{1 / evaluable - 1:.0%}"}
        found = filled(words, level=at[1] + 1, **rates)
        if "weighed" not in self.made.attrs:
            return found
        words = _(
            " The designs read such patients with a weight, which corrects for this if they leave independently of DLTs and the "
            "stated days to DLT hold."
        )
        return (*found, *text(words))

    def _differences(self, overlap: int, design: int, compared: int) -> str:
        differences, unclear = [], []
        for index in range(self.made.sizes["accrual"]):
            mine, error = self.value("days", (overlap, index, design, self.shown))
            other, its_error = self.value("days", (0, index, compared, self.shown))
            # Designs share their latent patients, so that this error is larger than that of the difference.
            if abs(mine - other) > 2 * np.hypot(error, its_error):
                differences.append(f"{self.rate(index)}: {mine - other:+.0f}")
            else:
                unclear.append(self.rate(index))
        if not differences:
            return _("no clear difference")
        if not unclear:
            return ", ".join(differences)
        words = _("{differences}, no clear difference at {rates}")
        return words.format(differences=", ".join(differences), rates=", ".join(unclear))

    def durations(self, scenario: int) -> Table:
        """Return mean durations with 10% and 90% quantiles, one row per design and one column per accrual rate."""
        rates = range(self.made.sizes["accrual"])
        rows = ((self.name(row), *(self.days((row[0], index, row[1], scenario)) for index in rates)) for row in self.rows)
        words = _("{scenario}: mean days (10% to 90% of trials), by candidates per 28 days:")
        return table(filled(words, scenario=data(self.scenarios[scenario])), (_("design"), *map(self.rate, rates)), rows)

    def price(self) -> Table:
        """Return what the durations are bought with at the protocol's accrual rate, one row per design."""
        heads = (
            *(
                _("design"),
                _("evaluable") if "rate_counted" in self.made else _("patients"),
                _("DLTs"),
                _("correct, %"),
                _("turned away"),
                _("waiting days"),
            ),
            _("too bold"),
        )
        rows = []
        for row in self.rows:
            at = (row[0], self.main, row[1], self.shown)
            rows.append((self.name(row), *(_short(name, self.value(name, at)[0]) for name in _PRICE)))
        words = {
            "complete": _("{scenario} at {rate}, all cohorts completed, means:"),
            "until-decided": _("{scenario} at {rate}, cohorts ended once decided, means:"),
        }[self.made.attrs["cohorts"]]
        caption = filled(words, scenario=data(self.scenarios[self.shown]), rate=self._rate_words(self.main))
        return table(caption, heads, rows)

    def precision(self) -> Text:
        """Return how accrual changes and the Monte Carlo error, as the beginning of a paragraph."""
        error = float(self.made["days_se"].values.max())
        steps = (
            _("{rate} from day {day} on").format(rate=f"{at['per_28_days']:g}", day=at["day"])
            for at in self.made.attrs.get("ramp", ())
        )
        ramp = _("Accrual is {rate} at first and {steps}; at the other rates it changes in proportion. ")
        words = _("{trials} trials per design, rate and scenario, seed {seed}: standard errors of mean days at most {error}. ")
        correct = self.made["correct_se"].values[:, self.main, :, self.shown]
        if (correct > 0).any():
            words = _(
                "{trials} trials each, seed {seed}: standard errors at most {error} days and {points} points of correct selection. "
            )
        trials, seed = f"{self.made.attrs['n_trials']:,}", self.made.attrs["seed"]
        precise = filled(words, trials=trials, seed=seed, error=f"{error:.1f}", points=f"{100 * np.nanmax(correct):.1f}")
        if "ramp" not in self.made.attrs:
            return precise
        return (*filled(ramp, rate=self._rate_words(self.main), steps=", ".join(steps)), *precise)

    # Details.

    def sections(self) -> tuple[Section, ...]:
        """Return the details: every scenario and accrual rate, definitions, rules and assumptions."""
        found = [Section(f"scenario-{s + 1}", text(data(name)), self._scenario(s)) for s, name in enumerate(self.scenarios)]
        title = text(_("Calendar by scenario and accrual rate"))
        return (
            Section("calendar-scenarios", title, (Paragraph(self.conduct()), *self.leaving()), tuple(found), detail=True),
            common.rules(self.made.attrs),
            common.definitions(CALENDAR, self.made),
            common.assumptions(self.made.attrs),
        )

    def conduct(self) -> Text:
        """Return how cohorts end, as a sentence."""
        ends = self.made.attrs["cohorts"]
        words = {
            "complete": _(
                "Cohorts are treated in full and their outcomes are awaited, except by designs that decide with pending outcomes."
            ),
            "until-decided": _(
                "A cohort ends, or its last outcomes are not awaited, where no outcome still open can change the decision."
            ),
        }[ends]
        return text(words)

    def _scenario(self, s: int) -> tuple[Block, ...]:
        tables: list[Block] = [self.durations(s)]
        for a in range(self.made.sizes["accrual"]):
            rows = []
            for name in _DETAIL:
                values = (_with_error(self.value(name, (row[0], a, row[1], s))) for row in self.rows)
                rows.append((common.heading(CALENDAR[name]), *(written(CALENDAR[name], *value) for value in values)))
            caption = filled(_("{scenario} at {rate}."), scenario=data(self.scenarios[s]), rate=self._rate_words(a))
            tables.append(table(caption, (_("mean"), *map(self.name, self.rows)), rows))
        return tuple(tables)


def _with_error(value: tuple[float, float]) -> tuple[float, float | None]:
    """Return a value with its error; without one if the value is exact."""
    return value[0], value[1] or None


def _short(name: str, value: float) -> str:
    quantity: Quantity = CALENDAR[name]
    return in_percent(value) if quantity.unit == "%" else f"{value:.{quantity.digits}f}"
