"""Pictures for the site: a small walk, and pages of a report as they are printed."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import comb
from typing import Any

from dosefind.designs import Design
from dosefind.designs.replay import state_after
from dosefind.plots.layout import drawing
from dosefind.plots.style import BLUE, FAINT, INK, PALE, describe
from dosefind.show import Report
from dosefind.show.content import as_string
from dosefind.show.pdf import as_pages
from dosefind.trial import Cohort

__all__ = ["Picture", "lattice_sketch", "page_of"]


@dataclass(frozen=True)
class Picture:
    """A picture for a page of the site: SVG, with an alternative text."""

    svg: str
    words: str


def page_of(report: Report, number: int = 1) -> Picture:
    """Return a page of the PDF of a report, numbered from 1, as a picture."""
    pages = as_pages(report)
    words = f"Page {number} of {len(pages)} of the PDF: {as_string(report.title)}, {as_string(report.subtitle)}."
    return Picture(pages[number - 1], words)


Counts = tuple[tuple[int, int], ...]


@dataclass
class _Node:
    """A merged state: the next states, ``None`` for a stop, and its multiplicity."""

    level: int | None
    ways: int = 0
    cohorts: list[Cohort] = field(default_factory=list)


def lattice_sketch(design: Design, n_doses: int) -> Any:
    """Draw the states of a design with few cohorts, merged, from left to right; return matplotlib axes."""
    columns, edges = _walked(design, n_doses)
    places = {
        (at, key): (at, (len(column) - 1) / 2 - row)
        for at, column in enumerate(columns)
        for row, key in enumerate(sorted(column, key=_order))
    }
    with drawing(None, height=14.0 * max(map(len, columns))) as ax:
        for (at, parent), child in edges:
            (x, y), (x2, y2) = places[at, parent], places[at + 1, child]
            ax.plot([x, x2], [y, y2], color=FAINT, linewidth=0.7, zorder=1)
        for (at, key), (x, y) in places.items():
            node = columns[at][key]
            says = "stop" if node.level is None else f"next: level {node.level}"
            ways = f"{node.ways} way{'s' * (node.ways != 1)}"
            text = f"{'  '.join(f'{dlts}/{n}' for n, dlts in key[0])}\n{ways}; {says}"
            colour = {"facecolor": "white" if node.level else PALE, "edgecolor": INK if node.level else BLUE}
            ax.text(
                x, y, text, ha="center", va="center", fontsize=7, bbox={"boxstyle": "round,pad=0.35", "linewidth": 0.7, **colour}
            )
        most = max(map(len, columns)) / 2
        ax.set(xlim=(-0.35, len(columns) - 0.65), ylim=(-most, most), title="DLTs/patients at each level")
        ax.set_axis_off()
    counted = ", ".join(f"{len(column)} after cohort {at}" for at, column in enumerate(columns) if at)
    return describe(ax, f"The walk of {design.title} with {n_doses} doses", f"Merged states: {counted}.")


def _order(key: tuple[Counts, int | None]) -> tuple:
    return tuple(dlts for _, dlts in key[0][::-1]), tuple(dlts for _, dlts in key[0])


def _walked(design: Design, n_doses: int) -> tuple[list[dict], list]:
    """Return nodes by cohort and the edges between them; states with equal counts and next dose are merged."""
    start = _Node(design.decide(state_after(design, [], n_doses)).dose[0] + 1, 1)
    columns, edges = [{(((0, 0),) * n_doses, start.level): start}], []
    while any(node.level for node in columns[-1].values()):
        column: dict = {}
        for key, node in columns[-1].items():
            for dlts in range(4) if node.level else ():
                cohorts = [*node.cohorts, Cohort(int(node.level or 0), 3, dlts)]
                state = state_after(design, cohorts, n_doses)
                dose = int(design.decide(state).dose[0])
                counts = tuple((int(n), int(y)) for n, y in zip(state.n[0], state.y[0], strict=True))
                child = (counts, dose + 1 if dose >= 0 else None)
                column.setdefault(child, _Node(child[1], 0, cohorts)).ways += node.ways * comb(3, dlts)
                edges.append(((len(columns) - 1, key), child))
        columns.append(column)
    return columns, edges
