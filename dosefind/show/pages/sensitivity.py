"""The sensitivity of the posterior: which assumptions change the dose within the limit, P(overdose) and the most likely MTD."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...figures import ESTIMATES, percent, written
from ...summaries import mtd_labels
from ...words import _
from ..content import Bullets, Page, Paragraph, Section, Table, Text, data, filled, table, text
from . import common

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Sensitivity", "sensitivity"]

# A numerical error below this is not shown: it is far below the last digit.
_LEAST_ERROR = 1e-6


def sensitivity(table: pd.DataFrame, stamp: Mapping[str, Any]) -> Page:
    """Return the page of a sensitivity analysis.

    Parameters
    ----------
    table
        The result of `dosefind.sensitivity`.
    stamp
        Attributes of the result, as `dosefind.tasks.stamps.stamp` has them.
    """
    found, outcomes = Sensitivity(table), table.attrs["outcomes"]
    title = (
        _("{protocol}: sensitivity of the posterior after {outcomes}") if outcomes else _("{protocol}: sensitivity of the prior")
    )
    blocks = (
        *common.version(stamp),
        Bullets(found.answers()),
        found.by_change(),
        Paragraph(common.assumed_words(stamp)),
    )
    sections = (
        Section("definitions", text(_("Definitions")), (Bullets(found.definitions()),), detail=True),
        common.assumptions(stamp),
    )
    return Page(filled(title, protocol=data(stamp["protocol"]), outcomes=outcomes), blocks, sections)


@dataclass(frozen=True)
class Sensitivity:
    """A sensitivity analysis as the pages show it.

    Attributes
    ----------
    table
        The result of `dosefind.sensitivity`.
    """

    table: pd.DataFrame

    @property
    def rows(self) -> list[dict[str, Any]]:
        return self.table.to_dict("records")

    @property
    def levels(self) -> list[int]:
        return [int(name.removeprefix("over_")) for name in map(str, self.table.columns) if name.startswith("over_")]

    @property
    def borrows(self) -> bool:
        return "se_1" in self.table

    def answers(self) -> tuple[Text, ...]:
        """Return what the dose within the limit, P(overdose) and the most likely MTD depend on."""
        first, *changes = self.rows
        dose, n = common.level_words(first["rp2d"]), len(changes)
        moved = self._moved("rp2d", common.level_words)
        words = filled(_("Dose within the limit: {dose} as analysed, and after each of the {n} changes."), dose=dose, n=n)
        if moved:
            words = _("Dose within the limit: {dose} as analysed; {k} of {n} changes give another dose: {which}.")
            k = sum(row["rp2d"] != first["rp2d"] for row in changes)
            words = filled(words, dose=dose, k=k, n=n, which=moved)
        decided = text(_(" The RP2D itself is decided by the committee."))
        return (words + decided, self._range(), self._mtd())

    def _range(self) -> Text:
        """Return the range of P(overdose) at the dose within the limit, or else at the lowest dose, an overdose being the same."""
        first = self.rows[0]
        level = int(first["rp2d"]) if str(first["rp2d"]).isdigit() else self.levels[0]
        alike = [row for row in self.rows if row["overdose_from"] == first["overdose_from"]]
        name = f"over_{level}"
        low, high = (end(alike, key=lambda row: row[name]) for end in (min, max))
        words = _(
            "P(overdose) at level {level}: {p} as analysed; {low} ({low_change}) to {high} ({high_change}) over all of these."
        )
        ends = {"low_change": self.change(low), "high_change": self.change(high)}
        numbers = {key: percent(row[name]) for key, row in (("p", first), ("low", low), ("high", high))}
        return filled(words, level=level, **numbers, **ends)

    def _mtd(self) -> Text:
        first, moved = self.rows[0], self._moved("mtd", self._place)
        words = _("Most likely MTD: {place} ({p}) as analysed, and after each of the changes.")
        if moved:
            words = _("Most likely MTD: {place} ({p}) as analysed; another: {which}.")
        return filled(words, place=self._place(first["mtd"]), p=percent(first["p_mtd"]), which=moved)

    def _place(self, label: object) -> str:
        return common.place_words(mtd_labels(len(self.levels)).index(str(label)), len(self.levels))

    def _moved(self, name: str, label: Any) -> Text:
        """Return the changes after which a result is another one, by that result."""
        first, *changes = self.rows
        by_result: dict[str, list[Text]] = {}
        for row in changes:
            if row[name] != first[name]:
                by_result.setdefault(str(row[name]), []).append(self.change(row, whole=False))
        words: Text = ()
        for result, made in by_result.items():
            listed = made[0] + tuple(run for one in made[1:] for run in (*text(", "), *one))
            words += (*text("; " if words else ""), *filled(_("{result} with {changes}"), result=label(result), changes=listed))
        return words

    def change(self, row: Mapping[str, Any], whole: bool = True) -> Text:
        """Return in words what a row changes; another target changes the rate of an overdose too, which is given if ``whole``."""
        rate, high, limit = (f"{100 * row[name]:.3g}%" for name in ("target", "overdose_from", "limit"))
        value = data(row["value"])
        words = {
            "as analysed": _("as analysed: {value}"),
            "curve": _("curve {value}"),
            "prior sd": _("prior SD {value}"),
            "target": _("target {rate}, overdose from {high}") if whole else _("target {rate}"),
            "overdose from": _("overdose from {high}"),
            "RP2D limit": _("limit of P(overdose) {limit}"),
        }.get(row["varied"], _("{varied} {value}"))
        return filled(words, varied=row["varied"], value=value, rate=rate, high=high, limit=limit)

    def by_change(self, caption: Text = ()) -> Table:
        """Return the table: one row per change."""
        heads = [_("assumption"), _("dose within the limit"), _("most likely MTD"), _("its %")]
        heads += map(common.level_words, self.levels)
        rows = []
        for row in self.rows:
            dose = _("none") if row["rp2d"] == "none" else row["rp2d"]
            cells = [dose, row["mtd"], _written("mtd", row["p_mtd"], row.get("se_mtd"))]
            cells += [_written("p_over", row[f"over_{level}"], row.get(f"se_{level}")) for level in self.levels]
            rows.append((self.change(row), *cells))
        words = _("Level within the limit, most likely MTD with its probability (%), and P(overdose) at each level (%).")
        return table(caption or words, heads, rows, numeric=range(3, len(heads)))

    def definitions(self) -> tuple[Text, ...]:
        """Return what the columns mean."""
        first = self.rows[0]
        high, limit, target = (f"{100 * first[name]:g}%" for name in ("overdose_from", "limit", "target"))
        rule = _("Dose within the limit: the highest dose with a known outcome and P(overdose) below {limit}, unless varied.")
        if self.table.attrs["rp2d_rule"] == "utility":
            rule = _(
                "Dose within the limit: of the doses with a known outcome and P(overdose) below {limit}, unless varied, the one "
                "with the largest expected utility."
            )
        found = [
            filled(_("P(overdose): probability that the DLT rate is {high} or more, unless varied."), high=high),
            filled(rule, limit=limit),
            filled(_("MTD: the highest dose with a DLT rate of at most {target}, unless varied."), target=target),
            text(_("A reference dose is varied with the numbers of the prior unchanged.")),
        ]
        if self.borrows:
            found.append(text(_("\u00b1 is one Monte Carlo standard error; by quadrature there is none.")))
            words = _("Without data of others the prior is that of all trials; without borrowing, that of the curve {curve}.")
            found.append(filled(words, curve=data(self.table.attrs["curve_used"])))
        return tuple(found)


def _written(name: str, value: float, error: float | None) -> str:
    return written(ESTIMATES[name], value, error if error is not None and error > _LEAST_ERROR else None)
