"""The paths of the next cohorts: where they lead, and every path with its decision and probability."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...figures import in_percent
from ...provenance import named_column
from ...words import _, counted
from ..content import Block, Figure, Note, Page, Paragraph, Section, Table, Text, data, filled, table, text
from . import common

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Paths", "paths"]

# Most paths that are on the first screen.
_FEW = 16
# Outcomes of a path without a cohort, where the trial has stopped.
_NO_COHORT = "\u2013"


def paths(table: pd.DataFrame, stamp: Mapping[str, Any], *, design: str, cohorts: int, outcomes: str) -> Page:
    """Return the page of the paths of a design.

    Parameters
    ----------
    table
        The result of `dosefind.paths`.
    stamp
        Attributes of the result, as `dosefind.tasks.stamps.stamp` has them.
    design, cohorts, outcomes
        Name of the design, number of cohorts ahead, and outcomes so far.
    """
    found = Paths(table)
    words = counted(
        "{{protocol}}: paths of the next cohort of {{design}}", "{{protocol}}: paths of the next {n} cohorts of {{design}}", cohorts
    )
    title = filled(words, protocol=data(stamp["protocol"]), design=data(design))
    title += filled(_(" after {outcomes}"), outcomes=outcomes) if outcomes else ()
    blocks: tuple[Block, ...] = (
        *common.version(stamp),
        *found.deviations(),
        *found.by_decision(),
        *([found.by_path(reasons=False)] if len(table) <= _FEW else []),
        Paragraph(common.assumed_words(stamp)),
    )
    sections = (
        Section("paths", text(_("Paths with reasons and probabilities")), (found.by_path(), *found.probabilities()), detail=True),
        common.rules(stamp),
        common.assumptions(stamp),
    )
    return Page(title, blocks, sections)


@dataclass(frozen=True)
class Paths:
    """Paths as the pages show them.

    Attributes
    ----------
    table
        The result of `dosefind.paths`.
    """

    table: pd.DataFrame

    @property
    def scenarios(self) -> dict[str, str]:
        """Return columns of the probabilities, by the name of their scenario."""
        begin = named_column("scenario", "")
        return {name.removeprefix(begin): name for name in map(str, self.table.columns) if name.startswith(begin)}

    def tree(self, name: str, caption: Text) -> tuple[Figure, ...]:
        """Return the paths as a picture, where they fit on a page."""
        from ...plots import tree
        from ...plots.steps import tree_fits

        return (Figure(tree(self.table, name=name), caption),) if tree_fits(self.table) else ()

    def deviations(self) -> tuple[Note, ...]:
        """Return where the outcomes so far deviate from the design."""
        found = self.table.attrs["deviations"]
        if not found:
            return ()
        items = tuple(text(common.raised(str(one))) for one in found)
        return (Note(_("The outcomes so far deviate from the design"), items, warning=True),)

    def by_decision(self) -> tuple[Table, ...]:
        """Return the probability of each decision after these cohorts, by scenario."""
        if not self.scenarios:
            return ()
        rows: dict[tuple[int, str], list[dict[str, Any]]] = {}
        for row in self.table.to_dict("records"):
            rows.setdefault((_order(row), decision_words(row)), []).append(row)
        chances = [
            (words, [sum(row[name] for row in alike) for name in self.scenarios.values()])
            for (_place, words), alike in sorted(rows.items())
        ]
        return (self._by_scenario(_("decision"), chances, _("Decision after these cohorts: probability by scenario, %.")),)

    def probabilities(self) -> tuple[Table, ...]:
        """Return the probability of each path by scenario."""
        if not self.scenarios:
            return ()
        chances = [
            (row["path"] or _NO_COHORT, [row[name] for name in self.scenarios.values()]) for row in self.table.to_dict("records")
        ]
        return (self._by_scenario(_("outcomes"), chances, _("Probability of each path by scenario, all orders together, %.")),)

    def _by_scenario(self, head: str, chances: Iterable[tuple[str, Sequence[float]]], caption: str) -> Table:
        return table(caption, (head, *map(data, self.scenarios)), ((words, *map(in_percent, each)) for words, each in chances))

    def by_path(self, caption: Text = (), *, reasons: bool = True) -> Table:
        """Return the decision after each path, with or without its reason."""
        heads = (_("outcomes"), _("orders"), _("decision"), *([_("reason")] if reasons else []))
        rows = (
            (row["path"] or _NO_COHORT, str(row["ways"]), decision_words(row), *([row["reason"]] if reasons else []))
            for row in self.table.to_dict("records")
        )
        words = _("Decision after each path (DLTs of a cohort last; orders: in which the patients can have these outcomes).")
        return table(caption or words, heads, rows, numeric={1})


def _order(row: Mapping[str, Any]) -> int:
    """Return the place of a decision in the list of all: next levels first."""
    return int(row["next"]) if row["next"] != "stop" else 1000 + (0 if row["mtd"] == "none" else int(row["mtd"]))


def decision_words(row: Mapping[str, Any]) -> str:
    """Return the decision after a path: the next level, or what is selected as MTD where the trial stops."""
    if row["next"] != "stop":
        return common.level_words(row["next"])
    return common.stop_words(None if row["mtd"] == "none" else row["mtd"], row["not_reached"] == "yes")
