"""The picture of a study: a line for each row, a panel for each figure, in the style of `dosefind.plots`.

Rows and figures are named in words beside the points; what is beyond its bound differs in shape as well as in colour.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from dosefind.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Line", "Panel", "figure_of", "footing", "heading", "lines"]


@dataclass(frozen=True)
class Panel:
    """One figure of all lines, beside the others.

    Attributes
    ----------
    title, below
        What stands above and under it.
    value
        The key of the figure in a line; of ``hollow``, those drawn as hollow points, each with a shape of its own.
    text
        How a number is written.
    ends
        The keys of where a bar through the point begins and ends.
    bound
        The key of what is not to be exceeded, drawn as a grey bar.
    """

    title: str
    below: str
    value: str
    text: Callable[[float], str] = "{:.2f}".format
    log: bool = False
    hollow: tuple[str, ...] = ()
    ends: tuple[str, str] | None = None
    bound: str | None = None

    def numbers(self, line: Line) -> list[float]:
        keys = (self.value, *self.hollow, *(self.ends or ()), *filter(None, [self.bound]))
        return [number for key in keys if (number := line.number(key)) is not None]


@dataclass(frozen=True)
class Line:
    """One row of a study in its picture: the group that it stands in, its name there, its figures, and why it has none."""

    group: str
    name: str
    figures: Mapping[str, Any]
    remark: str | None = None

    def number(self, key: str | None) -> float | None:
        found = self.figures.get(key) if key else None
        return found if isinstance(found, int | float) and math.isfinite(found) else None


SHAPES = ("o", "s", "^")
# Where powers of ten alone would be too few ticks of a logarithmic axis: below which reach which multiples of them there are.
_TICKS = ((30, (1.0, 2.0, 3.0, 5.0)), (1000, (1.0, 3.0)))


def figure_of(width: float, height: float) -> Figure:
    """A figure of so many mm; make it and draw on it within `style.settings`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / style.INCH, height / style.INCH), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def heading(figure: Figure, text: str) -> None:
    """The question on top, in as many lines as it needs."""
    figure.suptitle(textwrap.fill(text, int(figure.get_figwidth() * 13)), x=0.01, ha="left", weight="bold", size=9)


def footing(figure: Figure, text: str) -> None:
    """What holds for all of the picture, at its foot."""
    look: dict[str, Any] = {"x": 0.01, "ha": "left", "size": 7, "color": style.FAINT}
    figure.supxlabel(textwrap.fill(text, int(figure.get_figwidth() * 18)), **look)


def lines(question: str, foot: str, each: Sequence[Line], panels: Sequence[Panel]) -> Axes:
    """Draw the lines, group by group; return the first of the axes, which says in words what all of them show."""
    with style.settings():
        places, headings = _places(each)
        bottom = max((place for place, _ in places), default=0.0)
        figure = figure_of(45 + 55 * len(panels), 34 + 5.5 * (bottom + 1))
        heading(figure, question)
        footing(figure, foot)
        axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        axes[0].set_ylim(bottom + 0.7, -0.7)
        named = [(place, line.name) for place, line in places] + [(place, text) for text, place in headings.items()]
        style.ticks(axes[0], "y", [place for place, _ in named], [style.shown(text) for _, text in named])
        for label in axes[0].get_yticklabels()[len(places) :]:
            label.set_weight("bold")
        for panel, ax in zip(panels, axes, strict=True):
            _panel(ax, panel, places)
        for place, line in places:
            if line.remark:
                where = {"xycoords": ("axes fraction", "data"), "va": "center", "size": 7, "color": style.FAINT}
                axes[0].annotate(style.shown(line.remark, 60), (0.02, place), parse_math=False, **where)
        for _ in range(2):
            figure.draw_without_rendering()
        figure.set_layout_engine("none")
    style.describe(axes[0], question.rstrip("?"), *(_sentence(line, panels) for line in each))
    return axes[0]


def _places(each: Sequence[Line]) -> tuple[list[tuple[float, Line]], dict[str, float]]:
    """Where each line stands, and each group's heading."""
    places, headings, at = [], {}, 0.0
    for group, some in groupby(each, key=lambda line: line.group):
        if group:
            headings[group] = at = at + 1.5 if places else 0.0
        for line in some:
            at += 1
            places.append((at, line))
    return places, headings


def _panel(ax: Axes, panel: Panel, places: Sequence[tuple[float, Line]]) -> None:
    from matplotlib.ticker import LogLocator

    ax.set_title(panel.title, parse_math=False)
    ax.set_xlabel(textwrap.fill(panel.below, 38), size=7, color=style.FAINT, loc="left")
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", color=style.RULE, linewidth=0.4)
    ax.set_axisbelow(True)
    reach = [number for _, line in places for number in panel.numbers(line) if not panel.log or number > 0]
    if not reach:
        ax.set_xticks([])
        return
    low, high = min(reach), max(reach)
    if panel.log:
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
        ax.xaxis.set_minor_formatter(lambda value, _: "")
        # Room for the numbers beside the furthest points.
        room = max(high / low, 10.0) ** 0.3
        ax.set_xlim(low / room, high * room)
        subs = next((subs for least, subs in _TICKS if high / low * room**2 < least), (1.0,))
        ax.xaxis.set_major_locator(LogLocator(subs=subs))
    else:
        low = min(low, 0.0)
        ax.set_xlim(low - (0.25 if low < 0 else 0) * (high - low), high + (0.3 * (high - low) or 1.0))
    for at, line in places:
        _point(ax, panel, at, line)


def _point(ax: Axes, panel: Panel, at: float, line: Line) -> None:
    """A point with its number."""
    value, bound = line.number(panel.value), line.number(panel.bound)
    if value is None:
        return
    beyond = bound is not None and value > bound
    look: dict[str, Any] = {"color": style.RED if beyond else style.BLUE}
    low, high = (value, value) if panel.ends is None else [line.number(end) or value for end in panel.ends]
    ax.plot([low, high], [at, at], linewidth=2, alpha=0.45, solid_capstyle="butt", **look)
    if bound is not None:
        ax.plot([bound, bound], [at - 0.42, at + 0.42], color=style.FAINT, linewidth=1.5)
    hollow = [(number, shape) for key, shape in zip(panel.hollow, SHAPES, strict=False) if (number := line.number(key)) is not None]
    for number, shape in hollow:
        ax.plot(number, at, shape, markersize=5.5, markerfacecolor="white", **look)
    ax.plot(value, at, "D" if beyond else "o", markersize=5, **look)
    others = [number for number, _ in hollow] + ([] if bound is None else [bound])
    where: dict[str, Any] = {"xytext": (6, 0), "va": "center", "size": 7}
    edge = _free(ax, high, others)
    ax.annotate(panel.text(value), (edge, at), textcoords="offset points", parse_math=False, **where)


def _free(ax: Axes, at: float, others: Sequence[float]) -> float:
    """From where on to the right there is room for a number, which no other mark of the line may be in."""

    def place(value: float) -> float:
        return float(ax.transAxes.inverted().transform(ax.transData.transform((value, 0)))[0])

    for other in sorted(others):
        if at < other and place(other) - place(at) < 0.2:
            at = other
    return at


def _sentence(line: Line, panels: Sequence[Panel]) -> str:
    """A line of the picture in words."""
    name = f"{line.group}, {line.name}" if line.group else line.name
    if line.remark and not any(panel.numbers(line) for panel in panels):
        return f"{name}: {line.remark}."
    said = [f"{panel.title} {panel.text(value)}" for panel in panels if (value := line.number(panel.value)) is not None]
    return f"{name}: {', '.join(said)}."
