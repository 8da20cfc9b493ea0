"""The posterior of a trial: the highest dose within the limit, the MTD and P(overdose), each beside its prior."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr

from ...figures import BORROWING, EFFICACY, ESTIMATES, Quantity, in_percent, percent, written
from ...plots.style import amount, unit
from ...tasks.standing import overdose_range
from ...words import _, counted
from ..content import Block, Bullets, Note, Page, Paragraph, Run, Section, Table, Text, data, filled, table, text
from . import common, efficacy

__all__ = ["Estimates", "analysis", "engine_words"]

# Times the lowest or highest dose beyond which an amount is not given.
FAR = 10


def analysis(summary: xr.Dataset) -> Page:
    """Return the page of a posterior.

    Parameters
    ----------
    summary
        The summary of an `Analysis`.
    """
    found, attrs = Estimates(summary), summary.attrs
    of_efficacy = efficacy.Shown(summary)
    names = {"protocol": data(attrs["protocol"]), "outcomes": attrs["outcomes"]}
    title = filled(
        _("{protocol}: posterior after {outcomes}") if attrs["outcomes"] else _("{protocol}: prior, no data yet"), **names
    )
    blocks = (
        *common.version(attrs),
        *found.untrusted(),
        Bullets((*found.answers()[:-1], *of_efficacy.answers(), found.answers()[-1])),
        found.by_dose(brief=found.sampled),
        *(of_efficacy.main() or (found.mtd(),)),
        *found.cautions(of_efficacy.cautions()),
        Paragraph((*found.source(), Run(" "), *common.assumed_words(attrs))),
    )
    sections = (
        Section("rates", text(_("Further estimates of the DLT rates")), found.further(found.sampled), detail=True),
        *found.amount_of_mtd(with_levels=bool(of_efficacy.main())),
        *found.utility(),
        *of_efficacy.section(),
        *found.course(),
        *found.conclusion(),
        Section("curves", text(_("Results by curve")), (found.by_curve(), common.rules_of(attrs["curve_rules"], "")), detail=True),
        *found.borrowing(),
        common.definitions(found.quantities | EFFICACY, summary),
        common.assumptions(attrs),
    )
    return Page(title, blocks, sections)


def engine_words(attrs: Mapping[str, Any]) -> str:
    """Return how a posterior was computed, with its numerical error or its diagnostics."""
    if "largest_error" in attrs:
        words = _("quadrature (numerical error at most {largest}; of the 95% intervals {quantiles} in probability)")
        return words.format(largest=f"{attrs['largest_error']:.0e}", quantiles=f"{attrs['quantile_error']:.0e}")
    words = _(
        "NUTS ({chains} chains of {draws} draws by {sampler}; R-hat at most {rhat}, effective sample size at least {bulk} (bulk) "
        "and {tail} (tail), {divergences} divergences; \u00b1 is one Monte Carlo standard error)"
    )
    numbers = {"rhat": f"{attrs['rhat']:.3f}", "bulk": f"{attrs['ess_bulk']:.0f}", "tail": f"{attrs['ess_tail']:.0f}"}
    return words.format(**{name: attrs[name] for name in ("chains", "draws", "sampler", "divergences")}, **numbers)


@dataclass(frozen=True)
class Estimates:
    """The summary of an `Analysis` as the pages show it.

    Attributes
    ----------
    summary
        The summary.
    """

    summary: xr.Dataset

    @property
    def attrs(self) -> dict[str, Any]:
        return self.summary.attrs

    @property
    def unit(self) -> str:
        """Return the unit of the doses, its powers raised."""
        return unit(self.summary["dose_amount"].attrs["units"])

    @property
    def n_doses(self) -> int:
        return self.summary.sizes["dose"]

    @property
    def borrows(self) -> bool:
        return "borrowing" in self.attrs

    @property
    def problems(self) -> list[str]:
        return self.attrs["problems"]

    @cached_property
    def quantities(self) -> dict[str, Quantity]:
        """Return estimates as they are defined for this result."""
        return ESTIMATES | BORROWING if self.borrows else ESTIMATES

    def values(self, name: str) -> np.ndarray:
        return self.summary[name].values

    def written(self, name: str, at: Any) -> str:
        """Return an estimate as it is printed, with its Monte Carlo standard error where it has one."""
        error = float(self.values(f"{name}_se")[at]) if f"{name}_se" in self.summary else None
        return written(ESTIMATES[name], float(self.values(name)[at]), error)

    def percent(self, name: str, at: Any) -> str:
        """Return a probability in percent, as it is written in a sentence."""
        return f"{self.written(name, at)}%"

    def dose(self, level: int) -> Run:
        """Return the amount of a level with its unit."""
        return data(amount(float(self.values("dose_amount")[level - 1]), self.unit))

    def place(self, at: int) -> str:
        """Return where the MTD is, by its place among the labels of ``mtd_level``."""
        return common.place_words(at, self.n_doses)

    def _table(self, caption: Text, names: Iterable[str], rows: Iterable[Sequence[str]], notes: tuple[Text, ...] = ()) -> Table:
        """Return a table with the level of the dose in its first column, and columns with the headings of quantities."""
        heads = (_("level"), *(common.heading(self.quantities[name]) for name in names))
        levels = zip(self.values("dose"), rows, strict=True)
        return table(caption, heads, ((str(level), *row) for level, row in levels), notes=notes)

    # The answer.

    def untrusted(self) -> tuple[Note, ...]:
        """Return why the draws cannot be trusted, where they cannot."""
        if not self.problems:
            return ()
        return (
            Note(_("The posterior cannot be trusted"), tuple(text(common.raised(words)) for words in self.problems), warning=True),
        )

    def answers(self) -> tuple[Text, ...]:
        """Return the dose within the limit, P(overdose) there, and the MTD that is most likely."""
        mtd = self.values("mtd")
        place = int(mtd.argmax())
        its = {"p": self.percent("mtd", place), "prior": self.percent("prior_mtd", place), "place": self.place(place)}
        words = _("Most likely MTD: {place}, {p} (prior {prior}).")
        decided = text(_("The RP2D itself is decided by the committee."))
        most_likely = filled(words, **its)
        return (self.within_limit(), *self.overdose(), *self.per_infusion(), most_likely, *self.undecided(), decided)

    def within_limit(self) -> Text:
        """Return the dose that meets the rule for an RP2D, or why there is none."""
        limit, label = f"{100 * self.attrs['rp2d_limit']:g}%", self.attrs["rp2d"]
        if self.problems:
            return text(_("No dose is stated as within the limit: the draws cannot be trusted."))
        if not self.values("n").any():
            return text(_("No dose is within the limit yet: no outcome is known."))
        if label == "none":
            return filled(
                _("No dose is within the limit: P(overdose) is {limit} or more at every dose with a known outcome."), limit=limit
            )
        words = _("Highest dose within the limit, P(overdose) below {limit}: level {level} ({dose}).")
        if self.attrs["rp2d_rule"] == "utility":
            words = _("Dose with the largest expected utility, of those with P(overdose) below {limit}: level {level} ({dose}).")
        return filled(words, level=label, dose=self.dose(int(label)), limit=limit)

    def overdose(self) -> tuple[Text, ...]:
        """Return P(overdose) at the dose within the limit, or else at the lowest dose, with its range over the curves and its value
        at the next dose that was tried.
        """
        level = 1 if self.attrs["rp2d"] == "none" else int(self.attrs["rp2d"])
        high, found = f"{100 * self.attrs['interval'][1]:g}%", overdose_range(self.summary, level)
        words = filled(
            _("P(overdose), the probability that the DLT rate is {high} or more, at level {level}: {p} (prior {prior})."),
            high=high,
            level=level,
            p=self.percent("p_over", level - 1),
            prior=self.percent("prior_p_over", level - 1),
        )
        if len(self.values("curve")) > 1:
            over = _(" Over the curves of the config: {low} ({low_curve}) to {high} ({high_curve}).")
            if self.borrows:
                over = _(" Over the curves of the config, without borrowing: {low} ({low_curve}) to {high} ({high_curve}).")
            ends = {"low_curve": data(found.low_curve), "high_curve": data(found.high_curve)}
            words += filled(over, low=percent(found.low), high=percent(found.high), **ends)
        tried = np.flatnonzero(self.values("n")[level:])
        if len(tried):
            above = int(tried[0]) + level
            words += filled(_(" At level {level}: {p}."), level=above + 1, p=self.percent("p_over", above))
        return (words,)

    def undecided(self) -> tuple[Text, ...]:
        """Return that the errors leave open which dose is within the limit, where they do."""
        if not self.attrs["undecided"] or self.problems:
            return ()
        words = _(
            "Undecided: a probability is within three of its errors of the limit, or a utility within three of another dose's; "
            "more draws (--draws) would decide."
        )
        if self.attrs["method"] == "exact":
            words = _(
                "Undecided: a probability is within three numerical errors of the limit, or a utility within three of another "
                "dose's."
            )
        return (text(words),)

    def cautions(self, more: tuple[Text, ...] = ()) -> tuple[Note, ...]:
        """Return where the prior or the curve decides, that the data deviate from the designs, and ``more``."""
        items = [text(words) for words in self.attrs["warnings"]]
        if found := self.attrs["deviations"]:
            words = _("The data are not those of a trial that followed the design (see the predicted conclusion): {designs}.")
            items.append(filled(words, designs=self._designs(found)))
        items += more
        return (Note(_("Cautions"), tuple(items), warning=True),) if items else ()

    def source(self) -> Text:
        """Return the curve and how its posterior was computed."""
        engine = {"engine": engine_words(self.attrs)}
        words = filled(_("Curve {curve}, by {engine}."), curve=data(self.attrs["curve_used"]), **engine)
        if self.borrows:
            trials = ", ".join(self.attrs["borrowing"]["outcomes"])
            sentence = _("Borrowing from {trials}: the prior includes their data. Hierarchical model, by {engine}.")
            words = filled(sentence, trials=data(trials), **engine)
        if self.with_courses:
            included = sum(not one["left_out"] for one in self.of_course["patients"])
            words += text(
                counted(
                    " The course of {n} patient is included as far as followed up.",
                    " The courses of {n} patients are included as far as followed up.",
                    included,
                )
            )
        if self.attrs["others"]:
            words += filled(_(" Outcomes of other parts of the trial are included: {others}."), others=self.attrs["others"])
        return words

    # By dose.

    @property
    def sampled(self) -> bool:
        """Return whether the estimates have Monte Carlo errors."""
        return "mean_se" in self.summary

    def by_dose(self, caption: Text = (), *, brief: bool = False) -> Table:
        """Return the posterior of the DLT rate by dose, beside P(overdose) and the effective sample size of the prior.

        ``brief`` leaves P(target) to `further`, so that a row with Monte Carlo errors fits on one line.
        """
        shown = [name for name in _BY_DOSE if not (brief and name == "p_target")]
        low, high = (f"{100 * rate:g}%" for rate in self.attrs["interval"])
        heads = (_("level"), _("dose"), _("DLTs/n"), _(ESTIMATES["mean"].label), _("95% interval"))
        heads += (
            *([] if brief else [_(ESTIMATES["p_target"].label)]),
            _(ESTIMATES["p_over"].label),
            _("its prior"),
        )
        heads += (_("prior ESS"),)
        rows = []
        for d, level in enumerate(self.values("dose")):
            ends = (in_percent(self.values(name)[d]) for name in ("lower", "upper"))
            own = f"{self.values('dlts')[d]}/{self.values('n')[d]}" if self.values("n")[d] else "\u2013"
            cells = [str(level), f"{self.values('dose_amount')[d]:g}", own, self.written("mean", d), "\u2013".join(ends)]
            rows.append((*cells, *(self.written(name, d) for name in shown)))
        words = _(
            "DLT rate by dose: dose in {unit}, rates and probabilities in %; target interval {low} to below {high}, overdose "
            "{high} or more."
        )
        return table(caption or filled(words, unit=data(self.unit), low=low, high=high), heads, rows)

    def further(self, brief: bool = False) -> tuple[Block, ...]:
        """Return the other estimates by dose, with P(target) after a ``brief`` table, and the upper limit of all doses pooled."""
        names = ("prior_mean", "sd", "median", "p_under", *(("p_target",) if brief else ()), "upper_limit")
        rows = []
        for d, n in enumerate(self.values("n")):
            *cells, limit = (self.written(name, d) for name in names)
            rows.append((*cells, limit if n else "\u2013"))
        pooled = (Paragraph(self.pooled()),) if self.values("n").any() else ()
        return (self._table(text(_("DLT rate by dose, further estimates.")), names, rows), *pooled)

    def pooled(self) -> Text:
        """Return the upper limit of the average DLT rate, all doses pooled."""
        words = _(
            "All doses pooled: one-sided 95% upper limit {limit} for the average DLT rate over the patients treated. If toxicity "
            "increases with dose, it is also an upper limit for the lowest dose, but not for the top dose."
        )
        return filled(words, limit=percent(self.attrs["pooled_upper_limit"]))

    # The MTD.

    def mtd(self, caption: Text = ()) -> Table:
        """Return the posterior of the MTD beside its prior."""
        places = range(len(self.values("mtd_level")))
        labels = [_("below 1"), *map(str, places[1:-1]), _("{level} or above").format(level=self.n_doses)]
        rows = [
            (words, *(self.written(name, at) for at in places))
            for words, name in ((_("prior"), "prior_mtd"), (_("posterior"), "mtd"))
        ]
        words = _("Probability of the MTD, the highest dose with a DLT rate of at most {target}, %.")
        return table(caption or filled(words, target=f"{100 * self.attrs['target']:g}%"), (_("MTD at level"), *labels), rows)

    def mtd_amount(self) -> Text:
        """Return the posterior of the dose at the target DLT rate; nothing where the curve has no dose scale."""
        if "mtd_amount" not in self.summary:
            return ()
        doses, mtd = self.values("dose_amount"), self.values("mtd")
        names = ("low", "lower", "median", "upper", "high")
        ends = {name: _amount(value, doses) for name, value in zip(names, self.values("mtd_amount"), strict=True)}
        words = _(
            "Dose at the target DLT rate of {target} ({unit}): median {median}, quartiles {lower} and {upper}, 95% interval {low} "
            "to {high}; {below} below the lowest dose, {above} at the top dose or above."
        )
        outside = {"below": self.percent("mtd", 0), "above": self.percent("mtd", len(mtd) - 1)}
        return filled(words, target=f"{100 * self.attrs['target']:g}%", unit=data(self.unit), **ends, **outside)

    def amount_of_mtd(self, *, with_levels: bool = False) -> tuple[Section, ...]:
        """Return the MTD on the dose scale, ``with_levels`` after its posterior by level, if that is not on the first screen."""
        found, levels = self.mtd_amount(), (self.mtd(),) if with_levels else ()
        title = text(_("Posterior of the MTD") if with_levels else _("MTD on the dose scale"))
        blocks = (*levels, *((Paragraph(found),) if found else ()))
        return (Section("mtd-dose", title, blocks, detail=True),) if blocks else ()

    # The course.

    @property
    def of_course(self) -> dict[str, Any]:
        """Return the course of infusions, where the curve is a hazard per infusion; empty otherwise."""
        return self.attrs.get("course", {})

    @property
    def with_courses(self) -> bool:
        """Return whether the posterior uses the courses of the patients as far as they have been followed up."""
        return bool(self.of_course.get("patients"))

    def per_infusion(self) -> tuple[Text, ...]:
        """Return the DLT rate of the course and of one infusion at the dose within the limit, with the share extrapolated there."""
        if self.of_course.get("infusions", 1) == 1:
            return ()
        level = 1 if self.attrs["rp2d"] == "none" else int(self.attrs["rp2d"])
        words = _(
            "DLT rate at level {level}: {course} per course, {infusion} per infusion (the target: {of_course}, {of_infusion}); "
            "{share} of the planned exposure there is extrapolated."
        )
        course, infusion = (self.percent("period_mean", (place, level - 1)) for place in (2, 0))
        rates = {f"of_{name}": percent(self.of_course[f"target_{name}"]) for name in ("course", "infusion")}
        share = self.percent("extrapolated", level - 1)
        return (filled(words, level=level, course=course, infusion=infusion, share=share, **rates),)

    def both_targets(self) -> tuple[Table, ...]:
        """Return the DLT rate of the course and of one infusion by dose, with the share that is extrapolated."""
        if self.of_course.get("infusions", 1) == 1:
            return ()
        rates = {name: percent(self.of_course[f"target_{name}"]) for name in ("course", "infusion")}
        words = _(
            "DLT rate per course and per infusion, %: a target of {course} per course is {infusion} per infusion. Extrapolated: "
            "exposure planned and not yet observed."
        )
        heads = (_("level"), _("per course"), _("per infusion"), _(ESTIMATES["extrapolated"].label))
        # The first period is one infusion, the third the course.
        rows = [
            (str(level), self.written("period_mean", (2, d)), self.written("period_mean", (0, d)), self.written("extrapolated", d))
            for d, level in enumerate(self.values("dose"))
        ]
        return (table(filled(words, **rates), heads, rows),)

    def course(self, *, hides: bool = False) -> tuple[Section, ...]:
        """Return the DLT rate by period and by reading of the courses, and the exposure of each patient.

        ``hides`` leaves out the patients.
        """
        if not self.of_course:
            return ()
        total = _("Total risk: mean DLT rate in the period from the first infusion, %.")
        blocks: list[Block] = [*self.both_targets(), self._by_period("period_mean", total)]
        if self.values("period_background").any():
            words = _("Excess risk: total risk minus that of the background, %.")
            blocks.append(self._by_period("period_excess", words))
        else:
            blocks.append(Paragraph(text(_("No background hazard is assumed, so total risk and excess risk are equal."))))
        high = f"{100 * self.attrs['interval'][1]:g}%"
        over = filled(_("P(overdose): probability that the DLT rate in the period is {high} or more, %."), high=high)
        blocks.append(self._by_period("period_p_over", over))
        if "reading" in self.summary.coords:
            blocks += self._by_reading()
        if self.of_course["patients"] and not hides:
            blocks.append(common.exposure(self.of_course["patients"]))
        return (Section("course", text(_("Course of infusions")), tuple(blocks), detail=True),)

    def _levels(self) -> tuple[Text, ...]:
        return tuple(filled(_("level {level}"), level=level) for level in self.values("dose"))

    def _by_period(self, name: str, caption: str | Text) -> Table:
        """Return a quantity by period and dose."""
        return self._by("period", _("period"), name, caption)

    def _by_reading(self) -> list[Block]:
        """Return the DLT rate and P(overdose) by reading of the same data."""
        rates = _("The same data read in other ways, and one assumption changed at a time: mean DLT rate, %.")
        captions = {"reading_mean": rates, "reading_p_over": _("The same: P(overdose), %.")}
        return [self._by("reading", _("reading"), name, caption) for name, caption in captions.items()]

    def _by(self, axis: str, heading: str, name: str, caption: str | Text) -> Table:
        """Return a quantity by dose, one row for each label of another axis."""
        rows = [
            (data(label), *(self.written(name, (at, d)) for d in range(self.n_doses))) for at, label in enumerate(self.values(axis))
        ]
        return table(caption, (heading, *self._levels()), rows)

    # Details.

    def by_curve(self, caption: Text = ()) -> Table:
        """Return the dose within the limit and P(overdose) under each curve."""
        levels = (filled(_("P(overdose), level {level}, %"), level=level) for level in self.values("dose"))
        rows = []
        for c, name in enumerate(self.values("curve")):
            over = (written(ESTIMATES["p_over_by_curve"], p) for p in self.values("p_over_by_curve")[c])
            rows.append((data(name), common.level_words(self.values("rp2d_by_curve")[c]), *over))
        words = (
            _("Dose within the limit and P(overdose) by curve, without borrowing:")
            if self.borrows
            else _("Dose within the limit and P(overdose) by curve:")
        )
        return table(caption or words, (_("curve"), _("dose within the limit"), *levels), rows)

    def utility(self) -> tuple[Section, ...]:
        """Return the expected utility of each dose, where the protocol has utilities."""
        return (
            (Section("utility", text(_("Expected utility")), self.utilities(), detail=True),) if "utility" in self.summary else ()
        )

    def utilities(self) -> tuple[Block, ...]:
        names = ("utility", "utility_sd", "p_best")
        rows = [[self.written(name, d) for name in names] for d in range(self.n_doses)]
        return (self._table(text(_("Expected utility by dose.")), names, rows), common.points(self.attrs["utility_rules"]))

    def conclusion(self) -> tuple[Section, ...]:
        """Return what each design is predicted to select, and where the data deviate from the designs."""
        blocks: list[Block] = []
        if "conclusion" in self.summary:
            blocks.append(self.predicted())
        if found := self.attrs["deviations"]:
            blocks.append(Paragraph(text(_("Deviations of the data from the designs:"))))
            together = common.alike((name, str(one)) for name, each in found.items() for one in each)
            words = _("{designs}: {deviation}.")
            blocks.append(
                Bullets(tuple(filled(words, designs=self._designs(names), deviation=one) for one, names in together.items()))
            )
        return (Section("conclusion", text(_("Predicted conclusion of the trial")), tuple(blocks), detail=True),) if blocks else ()

    def _designs(self, names: Collection[str]) -> Text:
        """Return designs by their names, or that they are all."""
        return text(_("every design")) if len(names) == len(self.attrs["rules"]) > 1 else (data(", ".join(names)),)

    def predicted(self, caption: Text = (), notes: tuple[Text, ...] = ()) -> Table:
        """Return the predictive probability of each design's selection."""
        labels = [_("none"), *(filled(_("level {level}"), level=level) for level in self.values("dose"))]
        heads = (_("design"), *labels, _(ESTIMATES["conclusion_not_reached"].label))
        rows = []
        for d, name in enumerate(self.values("design")):
            cells = [self.written("conclusion", (d, k)) for k in range(len(labels))]
            rows.append((data(name), *cells, self.written("conclusion_not_reached", d)))
        words = _("Predicted conclusion: probability that the dose is selected as MTD at the planned end, given the data now, %:")
        return table(caption or words, heads, rows, notes=notes)

    def borrowing(self) -> tuple[Section, ...]:
        """Return from which trials it borrows, by which model, and how much."""
        if not self.borrows:
            return ()
        given = self.attrs["borrowing"]
        items = [
            filled(_("{trial}: {outcomes}."), trial=data(name), outcomes=outcomes or _("nobody treated"))
            for name, outcomes in given["outcomes"].items()
        ]
        names = ("prior_effective_n", "prior_effective_n_alone", "borrowed_n")
        rows = [[self.written(name, d) for name in names] for d in range(self.n_doses)]
        blocks: list[Block] = [
            Bullets((*items, *map(text, given["rules"]))),
            self._table(text(_("Effective sample size (ESS) by dose, in patients.")), names, rows),
            self._before_and_after(_("parameter"), "parameter", ("tau_prior_mean", "tau_mean"), _("Between-trial SD.")),
        ]
        if "p_exchangeable" in self.summary:
            names = ("p_exchangeable_prior", "p_exchangeable")
            caption = _("Probability that a trial is exchangeable with the others.")
            blocks.append(self._before_and_after(_("trial"), "trial", names, caption))
        return (Section("borrowing", text(_("Borrowing")), tuple(blocks), detail=True),)

    def _before_and_after(self, head: str, dim: str, names: tuple[str, str], caption: str) -> Table:
        """Return two quantities, before any data and now, one row per entry of a dimension."""
        heads = (head, *(common.heading(ESTIMATES[name]) for name in names))
        rows = ((data(name), *(self.written(quantity, at) for quantity in names)) for at, name in enumerate(self.values(dim)))
        return table(caption, heads, rows)


# Columns of the main table after the interval.
_BY_DOSE = ("p_target", "p_over", "prior_p_over", "prior_effective_n")


def _amount(value: float, doses: np.ndarray) -> str:
    """Return an amount; far outside the doses, where it is the curve's extrapolation, only that it is beyond."""
    least, most = doses[0] / FAR, doses[-1] * FAR
    if value < least:
        return _("below {least}").format(least=f"{least:g}")
    return _("above {most}").format(most=f"{most:g}") if value > most else f"{value:.3g}"
