"""A comparison of designs: which one does best and at what price, and every operating characteristic by scenario."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from ...figures import OPERATING, in_percent, percent, written
from ...results import restored
from ...words import _, counted
from ..content import Bullets, Definitions, Page, Paragraph, Run, Section, Table, Text, data, filled, table, text
from . import common

__all__ = ["Comparison", "comparison"]

# Most scenarios that are columns of one table.
_COLUMNS = 8
# Reasons for which a smaller share of trials ends are not shown.
LEAST_SHARE = 0.005
# An overdose that is selected less often than this is not what a design does worst.
_RARELY = 0.10

# What is shown of each scenario: of the selection, and of its cost.
_SELECTION = ("not_reached", "correct", "correct_highest", "acceptable", "under_selected", "over_selected", "overdose_selected")
_COST = ("mean_n", "above_mtd", "any_dlt", "over_60", "over_80", "days")
_BENCHMARKS = {"correct": "reference_correct", "correct_highest": "reference_correct_highest"}


def comparison(oc: xr.Dataset) -> Page:
    """Return the page of a comparison.

    Parameters
    ----------
    oc
        The result of `dosefind.compare`.
    """
    found = Comparison.of(oc)
    numbers = {
        "designs": found.how_many(),
        "scenarios": counted("{n} scenario", "{n} scenarios", len(found.scenarios)),
        "method": _("simulated") if found.simulated else _("exact"),
    }
    words = _("{protocol}: comparison of designs ({designs}, {scenarios}; {method})")
    title = filled(words, protocol=data(oc.attrs["protocol"]), **numbers)
    blocks = (
        *common.version(oc.attrs),
        Bullets(found.verdicts()),
        found.at_a_glance(),
        found.costs(),
        Paragraph((*found.precision(), *common.assumed_words(oc.attrs))),
    )
    sections = (
        Section(
            "scenarios",
            text(_("Operating characteristics by scenario")),
            (found.doses(), *found.left_out()),
            found.by_scenario(),
            detail=True,
        ),
        *found.other_targets(),
        common.rules(oc.attrs),
        found.ends(),
        common.definitions(OPERATING, oc),
        common.assumptions(oc.attrs),
    )
    return Page(title, blocks, sections)


@dataclass(frozen=True)
class Comparison:
    """A comparison as the pages show it.

    Attributes
    ----------
    oc
        The result of `dosefind.compare`, its dimensions in their order.
    """

    oc: xr.Dataset

    @classmethod
    def of(cls, oc: xr.Dataset) -> Comparison:
        return cls(restored(oc))

    @property
    def designs(self) -> list[str]:
        return [str(name) for name in self.oc["design"].values]

    @property
    def scenarios(self) -> list[str]:
        return [str(name) for name in self.oc["scenario"].values]

    @property
    def simulated(self) -> bool:
        return self.oc.attrs["method"] == "simulated"

    def values(self, name: str) -> np.ndarray:
        """Return the values of an operating characteristic, (design, scenario, ...)."""
        return self.oc[name].values

    def _written(self, name: str, at: tuple[int, ...]) -> str:
        """Return a value as it is printed; - for the selection of an acceptable dose where there is no such dose."""
        none = name == "acceptable" and self.values("n_acceptable")[at[1]] == 0
        error = self.values(f"{name}_se")[at] if f"{name}_se" in self.oc else None
        return "-" if none or np.isnan(self.values(name)[at]) else written(OPERATING[name], self.values(name)[at], error)

    # The first screen.

    def verdicts(self) -> tuple[Text, ...]:
        """Return which design does best, at what price, and where it does worst: among designs that limit the patients at a dose,
        and among those that do not.
        """
        capped = self.values("max_n_per_dose")
        found: list[Text] = []
        for most in sorted({int(cap) for cap in capped}, key=lambda cap: (cap == 0, cap)):
            group = [place for place, cap in enumerate(capped) if int(cap) == most]
            alone = len(group) == len(self.designs)
            found.append(self._verdict(group, None if alone else most))
        return tuple(found)

    def _verdict(self, group: Sequence[int], most: int | None) -> Text:
        """Return the verdict on a group of designs; ``most`` patients per dose, 0 without a limit, ``None`` for all designs."""
        correct, patients = (self.values(name).mean(axis=1) for name in ("correct", "mean_n"))
        ranked = sorted(group, key=lambda d: (-round(correct[d], 4), patients[d]))
        best, others = ranked[0], ranked[1:]
        limit = (
            counted("At most {n} patient per dose:", "At most {n} patients per dose:", most) if most else _("No limit per dose:")
        )
        label = () if most is None else (Run(limit, "strong"), Run(" "))
        names = {"best": data(self.designs[best])}
        if not others:
            words = _(
                "{best} selects the true MTD in {correct} of trials, with an overdose in {overdose}, {patients} patients and "
                "{dlts} DLTs."
            )
            return (*label, *filled(words, **names, **self._means(best)), Run(" "), *self._worst(best))
        # Beside the best design stands the primary one, or the second best.
        primary = self.oc.attrs.get("primary_design")
        beside = next((d for d in others if self.designs[d] == primary), others[0])
        names["other"] = data(self.designs[beside])
        its = {f"its_{name}": value for name, value in self._means(beside).items()}
        words = _(
            "{best} selects the true MTD most often, in {correct} of trials ({other}: {its_correct}), with an overdose in "
            "{overdose} ({its_overdose}), {patients} patients ({its_patients}) and {dlts} DLTs ({its_dlts})."
        )
        return (*label, *filled(words, **names, **self._means(best), **its), Run(" "), *self._worst(best))

    def _means(self, d: int) -> dict[str, str]:
        """Return the means of a design over the scenarios, as they are printed."""
        return {
            "correct": percent(self.values("correct")[d].mean()),
            "overdose": percent(self.values("overdose_selected")[d].mean()),
            "patients": f"{self.values('mean_n')[d].mean():.1f}",
            "dlts": f"{self.values('dlts')[d].sum(axis=-1).mean():.1f}",
        }

    def _worst(self, d: int) -> Text:
        """Return the scenario in which a design selects an overdose most often, or else the true MTD least often."""
        overdoses = self.values("overdose_selected")[d]
        s = int(overdoses.argmax())
        if overdoses[s] >= _RARELY:
            limit = self.oc.attrs["overdose_limit"]
            doses = np.where(self.values("p_true")[s] > limit, self.values("selected")[d, s, 1:], -1)
            level = int(doses.argmax())
            words = _(
                "{design} does worst in scenario {scenario}: it selects level {level}, true DLT rate {rate}, in {share} of trials."
            )
            own = {
                "level": level + 1,
                "rate": f"{100 * self.values('p_true')[s, level]:.3g}%",
                "share": percent(doses[level]),
            }
            return filled(words, design=data(self.designs[d]), scenario=data(self.scenarios[s]), **own)
        correct = self.values("correct")
        s = int(correct[d].argmin())
        words = _("{design} does worst in scenario {scenario}: it selects the true MTD in {share} of trials (best design: {best}).")
        shares = {"share": percent(correct[d, s]), "best": percent(correct[:, s].max())}
        return filled(words, design=data(self.designs[d]), scenario=data(self.scenarios[s]), **shares)

    def at_a_glance(self) -> Table:
        """Return correct selection and selection of an overdose, one row per design and one column per scenario."""
        rows: list[tuple[str | Run, ...]] = [(_("(true MTD)"), *map(common.choice, self.values("true_mtd")))]
        for d, name in enumerate(self.designs):
            pairs = zip(self.values("correct")[d], self.values("overdose_selected")[d], strict=True)
            rows.append((data(name), *(f"{100 * right:.1f}/{100 * over:.1f}" for right, over in pairs)))
        rows.append((_("(benchmark)"), *map(in_percent, self.values("reference_correct"))))
        target, limit = (f"{100 * self.oc.attrs[name]:.3g}%" for name in ("target_rate", "overdose_limit"))
        words = _("True MTD / overdose (true DLT rate > {limit}) selected, % of trials; target {target}:")
        caption = filled(words, target=target, limit=limit)
        return table(caption, (_("design"), *map(data, self.scenarios)), rows)

    def costs(self) -> Table:
        """Return the means over the scenarios and their ranges, one row per design."""
        heads = (_("design"), _("correct, %"), _("overdose, %"), _("patients"), _("DLTs"), _("above MTD"), _("min. days"))
        dlts = self.values("dlts").sum(axis=-1)
        rows = []
        for d, name in enumerate(self.designs):
            means = [in_percent(self.values(one)[d].mean()) for one in ("correct", "overdose_selected")]
            ranges = [_range(self.values("mean_n")[d]), _range(dlts[d]), _range(self.values("above_mtd")[d])]
            rows.append((data(name), *means, *ranges, _range(self.values("days")[d], 0)))
        return table(_("Mean over scenarios (correct, overdose); range over scenarios (other columns):"), heads, rows)

    def precision(self) -> Text:
        """Return the Monte Carlo error, as the beginning of a paragraph."""
        if not self.simulated:
            return text(_("No Monte Carlo error. "))
        error = max(float(self.values(f"{name}_se").max()) for name in ("correct", "overdose_selected"))
        trials, seed = f"{self.oc.attrs['n_trials']:,}", self.oc.attrs["seed"]
        words = _("{trials} trials per scenario, seed {seed}: standard errors of these percentages are at most {error} points. ")
        zero = _("A standard error of 0, where all trials agreed, does not mean certainty. ")
        return (*filled(words, trials=trials, seed=seed, error=f"{100 * error:.1g}"), *text(zero))

    def how_many(self) -> str:
        """Return the number of designs, of all those in the config if some are compared on a calendar only."""
        n, others = len(self.designs), self._calendar_only
        if others:
            return _("{n} of {all} designs").format(n=n, all=n + len(others))
        return counted("{n} design", "{n} designs", n)

    @property
    def _calendar_only(self) -> list[str]:
        return self.oc.attrs.get("calendar_only", [])

    # Details.

    def doses(self) -> Paragraph:
        """Return the dose of each level."""
        amounts = [f"{amount:g}" for amount in self.values("dose_amount")]
        words = counted("Dose of level 1: {{doses}} ({{unit}}).", "Doses of levels 1 to {n}: {{doses}} ({{unit}}).", len(amounts))
        return Paragraph(filled(words, doses=", ".join(amounts), unit=data(self.oc["dose_amount"].attrs["units"])))

    def left_out(self) -> tuple[Paragraph, ...]:
        """Return which designs are compared on a calendar only; nothing if there are none."""
        words = _("Decides with outcomes pending, so it is compared on a calendar (dosefind calendar): {design}.")
        return tuple(Paragraph(filled(words, design=data(name))) for name in self._calendar_only)

    def by_scenario(self) -> tuple[Section, ...]:
        """Return a section per scenario: the selection of the MTD, and its cost."""
        found = []
        for s, name in enumerate(self.scenarios):
            rates = ", ".join(f"{100 * p:.3g}%" for p in self.values("p_true")[s])
            mtd, other = (common.choice(self.values(name)[s]) for name in ("true_mtd", "highest_mtd"))
            words = _("{scenario}: true DLT rates {rates}; true MTD {mtd}")
            if mtd != other:
                words = _("{scenario}: true DLT rates {rates}; true MTD {mtd} (alternative: {other})")
            title = filled(words, scenario=data(name), rates=rates, mtd=mtd, other=other)
            found.append(Section(f"scenario-{s + 1}", title, (self._selection(s), self._cost(s))))
        return tuple(found)

    def _selection(self, s: int) -> Table:
        """Return the selection of the MTD in a scenario, one column per design."""
        benchmark = [written(OPERATING["reference_selected"], p) for p in self.values("reference_selected")[s]]
        for name in _SELECTION:
            value = _BENCHMARKS.get(name)
            benchmark.append("" if value is None else written(OPERATING[value], self.values(value)[s]))
        found = self._selected([(d, s) for d in range(len(self.designs))])
        rows = [(*row, last) for row, last in zip(found, benchmark, strict=True)]
        caption = filled(_("{scenario}: selection of the MTD."), scenario=data(self.scenarios[s]))
        return table(caption, (_("selected, %"), *map(data, self.designs), _("benchmark")), rows)

    def _selected(self, at: Sequence[tuple[int, int]]) -> list[tuple[str, ...]]:
        """Return the rows on the selection, with one cell for each of these designs in its scenario."""
        rows = []
        for k, label in enumerate(self.values("choice")):
            rows.append((common.level_words(label), *(self._written("selected", (d, s, k)) for d, s in at)))
        return rows + [(_(OPERATING[name].label), *(self._written(name, each) for each in at)) for name in _SELECTION]

    def _cost(self, s: int) -> Table:
        """Return what a scenario costs, one column per design."""
        caption = filled(_("{scenario}: patients, DLTs and duration."), scenario=data(self.scenarios[s]))
        rows = self._spent([(d, s) for d in range(len(self.designs))])
        return table(caption, (_("expected"), *map(data, self.designs)), rows)

    def _spent(self, at: Sequence[tuple[int, int]]) -> list[tuple[str | Text, ...]]:
        """Return the rows on patients, DLTs, duration and the ends, with one cell for each of these designs in its scenario."""
        rows: list[tuple[str | Text, ...]] = []
        for name, words in (("patients", _("patients at level {level}")), ("dlts", _("DLTs at level {level}"))):
            for k, level in enumerate(self.values("dose")):
                rows.append((filled(words, level=level), *(self._written(name, (d, s, k)) for d, s in at)))
        rows += [(common.heading(OPERATING[name]), *(self._written(name, each) for each in at)) for name in _COST]
        return [*rows, *self._ended(at)]

    def _ended(self, at: Sequence[tuple[int, int]]) -> list[tuple[str | Text, ...]]:
        """Return the rows on why trials end, the most frequent first."""
        shares, rows = np.array([self.values("stopped")[each] for each in at]), []
        for k in sorted(np.flatnonzero(shares.max(axis=0) >= LEAST_SHARE), key=lambda k: -shares[:, k].max()):
            cells = (in_percent(share) if share >= LEAST_SHARE else "" for share in shares[:, k])
            rows.append((filled(_("ended: {reason}, %"), reason=reason_words(str(self.values("reason")[k]))), *cells))
        return rows

    def _in_columns(self, words: str, d: int) -> Iterator[tuple[Text, list[int]]]:
        """Return scenarios in groups that fit on a page, each with its caption."""
        every = range(len(self.scenarios))
        for first in every[::_COLUMNS]:
            yield filled(words, design=data(self.designs[d])), [*every[first : first + _COLUMNS]]

    def of_design(self, d: int) -> tuple[Table, ...]:
        """Return all operating characteristics of a design, one column per scenario."""
        found = []
        for caption, group in self._in_columns(_("Operating characteristics of {design}: selection of the MTD, %."), d):
            mtds = [(_("(true MTD)"), *(common.choice(self.values("true_mtd")[s]) for s in group))]
            rows = self._selected([(d, s) for s in group])
            benchmark = (written(OPERATING["reference_correct"], self.values("reference_correct")[s]) for s in group)
            last = (_(OPERATING["reference_correct"].label), *benchmark)
            heads = (_("selected, %"), *(data(self.scenarios[s]) for s in group))
            found.append(table(caption, heads, [*mtds, *rows, last]))
        for caption, group in self._in_columns(_("Operating characteristics of {design}: patients, DLTs and duration."), d):
            heads = (_("expected"), *(data(self.scenarios[s]) for s in group))
            found.append(table(caption, heads, self._spent([(d, s) for s in group])))
        return tuple(found)

    def ends_of(self, d: int) -> tuple[Table, ...]:
        """Return the probability of each end of the trial by a design, one column per scenario."""
        found = []
        for caption, group in self._in_columns(_("Probability that a trial by {design} ends for each reason, by scenario."), d):
            heads = (_("reason"), *(data(self.scenarios[s]) for s in group))
            found.append(table(caption, heads, self._ended([(d, s) for s in group])))
        return tuple(found)

    def other_targets(self, designs: Sequence[int] | None = None) -> tuple[Section, ...]:
        """Return the correct selection of all designs, or of some, at other target DLT rates, where the protocol has such."""
        if "target" not in self.oc.dims:
            return ()
        heads = (_("target"), _("design"), *map(data, self.scenarios))
        rows: list[tuple[str | Run, ...]] = []
        for t, target in enumerate(self.values("target")):
            shown = f"{100 * target:.3g}%"
            rows.append((shown, _("(true MTD)"), *map(common.choice, self.values("true_mtd_by_target")[t])))
            for d, name in enumerate(self.designs):
                if designs is not None and d not in designs:
                    continue
                cells = ("-" if np.isnan(share) else in_percent(share) for share in self.values("correct_by_target")[t, d])
                rows.append((shown, data(name), *cells))
        note = filled(_("Target: {words}."), words=data(self.oc["target"].attrs["definition"]))
        caption = _("True MTD for another target selected, % of trials, by scenario.")
        if designs is not None:
            caption = _("True MTD for another target selected by the primary design, % of trials, by scenario.")
        listed = table(caption, heads, rows, notes=(note,), numeric={*range(len(heads))} - {1})
        return (Section("targets", text(_("Other target DLT rates")), (listed,), detail=True),)

    def ends(self, d: int | None = None) -> Section:
        """Return why trials end, for the reasons that occur: in all designs or in one."""
        stopped = self.values("stopped")
        most = (stopped if d is None else stopped[[d]]).max(axis=(0, 1))
        shown = [str(name) for name, share in zip(self.values("reason"), most, strict=True) if share >= LEAST_SHARE]
        items = tuple((text(reason_words(name)), (text(common.raised(self.oc.attrs["reasons"][name])),)) for name in shown)
        intro = Paragraph(text(_("Reasons for which less than 0.5% of trials end are left out.")))
        return Section("ends", text(_("Why trials end")), (intro, Definitions(items)), detail=True)


def _range(values: np.ndarray, digits: int = 1) -> str:
    if np.isnan(values).any():
        return "-"
    low, high = f"{values.min():.{digits}f}", f"{values.max():.{digits}f}"
    return low if low == high else f"{low}\u2013{high}"


def reason_words(name: str) -> str:
    """Return why a cohort is followed by what it is, in words, by the name that a design has for the reason."""
    words: dict[str, str] = {
        "start": _("first cohort"),
        "max_n": _("maximum sample size reached"),
        "dose_full": _("dose is full"),
        "n_at_dose": _("enough patients at the dose"),
        "too_toxic": _("stopped for safety: lowest dose exceeds the toxicity limit"),
        "no_dose": _("stopped for safety: too many DLTs at the lowest dose"),
        "mtd_below": _("too many DLTs at the dose above"),
        "top_tolerated": _("top dose tolerated"),
        "rule": _("the rule ends the trial"),
    }
    return words.get(name, name.replace("_", " "))
