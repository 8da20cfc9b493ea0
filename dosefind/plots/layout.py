"""Places of the text of a chart, from measured widths: nothing overlaps, nothing is cut off, nothing is smaller than 7 points.

While a chart is drawn, it registers its title, key, table and notes (`title`, `key`, `rows`, `notes`). At the end `drawing`
measures them and puts them in place: title and key above the axes, the table and the notes below, each in as many lines as it
needs. A new figure then gets the height that all of this takes; axes given by a user keep their size.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from .._check import InputError, Problem
from ..words import _
from .style import FAINT, INCH, MISSING, RED, WIDTH, dose_text, settings, shown, ticks, unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

__all__ = [
    "TALLEST",
    "available",
    "beside",
    "distinct",
    "dose_label",
    "dose_rows",
    "drawing",
    "filled",
    "form_of",
    "key",
    "line_height",
    "notes",
    "percent_axis",
    "room",
    "rows",
    "slots",
    "title",
    "width_of",
]

# Height of the axes by default, and of the tallest chart that fits on an A4 page with its caption, in mm.
HEIGHT, TALLEST = 48.0, 205.0
# Type sizes: of tables and keys, of the smallest text, of labels and of titles, in points.
NORMAL, SMALL, LABEL, TITLE = 8.0, 7.0, 8.5, 9.0
# Distances in points: from the edge of the figure, between neighbouring texts, and between axes and the text beside them.
_EDGE, _GAP, _OFF = 5.0, 3.5, 5.0
# Length of a tick.
_TICK = 3.0


@dataclass
class _Page:
    """Text and keys to be placed around the axes; sizes in points.

    Attributes
    ----------
    width, height
        Width available to everything, and height of the axes.
    own
        Whether the figure is new, so that its size and margins follow from its content.
    """

    width: float
    height: float
    own: bool
    title: str = ""
    entries: list[tuple[Any, str]] = field(default_factory=list)
    tables: list[_Table] = field(default_factory=list)
    label: str = ""
    notes: list[str] = field(default_factory=list)
    warning: bool = False


class _Table(NamedTuple):
    """Rows of text at horizontal positions of the axes, below or above them, from headings to cells."""

    at: np.ndarray
    cells: Mapping[str, Sequence[str]]
    above: bool
    align: float
    turn: bool


_PAGES: WeakKeyDictionary[Axes, _Page] = WeakKeyDictionary()


@contextmanager
def drawing(ax: Axes | None, height: float = HEIGHT) -> Iterator[Axes]:
    """Yield the axes to draw on, given or new and ``height`` mm high, and arrange the chart's text at the end."""
    with settings():
        from matplotlib.axes import Axes
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        from .chart import Chart

        if ax is None:
            figure = Figure(figsize=(WIDTH / INCH, height / INCH))
            FigureCanvasAgg(figure)
            ax = figure.add_subplot(axes_class=Chart)
            _PAGES[ax] = _Page(available(None), height / INCH * 72, True)
        elif isinstance(ax, Axes):
            _PAGES[ax] = _Page(available(ax), _points(ax, ax.get_window_extent().height), False)
        else:
            raise InputError(Problem("ax", ax, "must be matplotlib axes, or None for new ones"))
        yield ax
        _arrange(ax, _PAGES.pop(ax))


def available(ax: Axes | None) -> float:
    """Return the width in points of a chart on these axes: their width, or that of a new figure."""
    return WIDTH / INCH * 72 - 2 * _EDGE if ax is None else _points(ax, ax.get_window_extent().width)


def room(ax: Axes) -> tuple[float, float]:
    """Return the width available to the whole chart and the height of its axes, in points."""
    return _PAGES[ax].width, _PAGES[ax].height


def title(ax: Axes, text: str) -> None:
    """Register the title."""
    _PAGES[ax].title = text


def key(ax: Axes, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """Register what the marks mean; later entries follow the earlier ones."""
    _PAGES[ax].entries += zip(handles, labels, strict=True)


def notes(ax: Axes, *sentences: str, warning: bool = False) -> None:
    """Register sentences that stand below the chart; a warning is bold and red."""
    page = _PAGES[ax]
    page.notes += filter(None, sentences)
    page.warning |= warning


def rows(
    ax: Axes,
    at: ArrayLike,
    cells: Mapping[str, Sequence[str]],
    label: str,
    *,
    above: bool = False,
    align: float = 0.5,
    turn: bool = True,
) -> None:
    """Register a table below or above the axes: rows with a heading on the left, a column at each position, and the axis label.

    Parameters
    ----------
    at
        Positions of the columns on the horizontal axis.
    cells
        From the heading of a row to its cells.
    label
        Label of the horizontal axis, with its unit.
    above
        Whether the rows stand above the axes.
    align
        Part of a cell's width that is on the left of its position.
    turn
        Whether cells that are too wide may be turned by a quarter; otherwise some of them are left out.
    """
    page = _PAGES[ax]
    page.tables.append(_Table(np.asarray(at, float), cells, above, align, turn))
    page.label = label


def dose_rows(ax: Axes, at: ArrayLike, amounts: ArrayLike, dose_unit: str, more: Mapping[str, Sequence[str]]) -> None:
    """Register a table with a column per dose: level, dose and further rows."""
    doses = [dose_text(amount) for amount in np.asarray(amounts)]
    first = {_("level"): [str(level + 1) for level in range(len(doses))], _("dose"): doses}
    rows(ax, at, first | dict(more), dose_label(dose_unit))


def dose_label(dose_unit: str) -> str:
    """Return the label of an axis of doses, with their unit."""
    return _("Dose ({unit})").format(unit=unit(shown(dose_unit, 200)))


# Widths of text.


@lru_cache(8192)
def width_of(text: str, size: float = NORMAL, weight: str = "normal") -> float:
    """Return the width in points of text of one or more lines."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    look = FontProperties(family=["DejaVu Sans"], size=size, weight=weight)
    return max(text_to_path.get_text_width_height_descent(line or " ", look, ismath=False)[0] for line in text.split("\n"))


def line_height(size: float) -> float:
    """Return the height in points that a line of text takes, with its distance from the next one."""
    return 1.2 * size


def filled(text: str, width: float, size: float = NORMAL, weight: str = "normal") -> str:
    """Return text with line breaks so that no line is wider than ``width`` points."""
    lines = [""]
    for word in re.findall(r"[^ \n]+[ \n]*|[ \n]+", text):
        for part in _parts(word, width, size, weight):
            if lines[-1] and width_of((lines[-1] + part).rstrip(), size, weight) > width:
                lines.append("")
            lines[-1] += part
    return "\n".join(line.rstrip() for line in lines)


def _parts(word: str, width: float, size: float, weight: str) -> Iterator[str]:
    """Return parts of a word that each fit into a line."""
    while len(word.rstrip()) > 1 and width_of(word.rstrip(), size, weight) > width:
        fits = max(1, next(n for n in range(1, len(word)) if width_of(word[: n + 1], size, weight) > width))
        yield word[:fits]
        word = word[fits:]
    yield word


def distinct(names: Sequence[Any], width: float, lines: int = 1, size: float = NORMAL, weight: str = "normal") -> list[str]:
    """Return names given by a user, each in at most ``lines`` lines of ``width`` points.

    Names that are too long lose what all of them have in common at both ends, and then their middle. Names that would still look
    the same get a number.
    """
    texts = [shown(name, 200) for name in names]
    if any(_short(text, width, lines, size, weight).count("\u2026") for text in texts):
        texts = _differing(texts)
    made = [_short(text, width, lines, size, weight) for text in texts]
    meant: dict[str, set[str]] = {}
    for name, short in zip(names, made, strict=True):
        meant.setdefault(short, set()).add(str(name))
    return [
        short if len(meant[short]) == 1 else _short(f"({number}) {text}", width, lines, size, weight)
        for number, (text, short) in enumerate(zip(texts, made, strict=True), start=1)
    ]


def _common(texts: list[str]) -> int:
    """Return the length of the common beginning of texts."""
    differ = (place for place, characters in enumerate(zip(*texts, strict=False)) if len(set(characters)) > 1)
    return next(differ, min(map(len, texts)))


def _differing(texts: list[str]) -> list[str]:
    """Replace long common beginnings and ends of different texts by an ellipsis."""
    if len(set(texts)) < 2:
        return texts
    begin = _common(texts) - 2
    end = min(_common([text[::-1] for text in texts]) - 2, min(map(len, texts)) - max(begin, 0) - 4)
    cut = [f"\u2026{text[begin:]}" if begin > 3 else text for text in texts]
    return [f"{text[:-end]}\u2026" if end > 3 else text for text in cut]


def _short(text: str, width: float, lines: int, size: float, weight: str) -> str:
    """Return text in at most this number of lines, without its middle if it is too long."""
    made, kept = filled(text, width, size, weight), len(text)
    while made.count("\n") >= lines and kept > 2:
        kept -= 1
        made = filled(f"{text[: kept - kept // 3]}\u2026{text[len(text) - kept // 3 :]}", width, size, weight)
    return made


# Tables.


class Form(NamedTuple):
    """How the cells of a row are written, so that neighbours do not touch.

    Attributes
    ----------
    size
        Type size in points.
    broken
        Whether the words of a cell stand below each other.
    turned
        Whether cells are turned by a quarter.
    every
        Only one in this number of cells is shown, from the first one on.
    """

    size: float = NORMAL
    broken: bool = False
    turned: bool = False
    every: int = 1

    def text(self, cell: str) -> str:
        """Return a cell as it is written."""
        return "\n".join(cell.split()) if self.broken else cell

    def extent(self, cell: str) -> tuple[float, float]:
        """Return width and height of a cell in points."""
        text = self.text(cell)
        wide, tall = width_of(text, self.size), line_height(self.size) * (text.count("\n") + 1)
        return (tall, wide) if self.turned else (wide, tall)


_FORMS = (Form(), Form(SMALL), Form(SMALL, broken=True), Form(SMALL, turned=True))


def form_of(cells: Sequence[str], at: np.ndarray, ends: tuple[float, float], align: float = 0.5, *, turn: bool = True) -> Form:
    """Return the first form in which cells at positions in points fit beside each other and between the two ends."""
    for every in range(1, max(len(at), 2)):
        for form in _FORMS[: None if turn else 3]:
            widths = np.array([form.extent(cell)[0] if cell else 0.0 for cell in cells[::every]])
            left = at[::every] - align * widths
            right = left + widths
            gap = 0.3 if form.turned else _GAP
            if not len(at) or (np.all(right[:-1] + gap <= left[1:]) and left[0] >= ends[0] and right[-1] <= ends[1]):
                return form._replace(every=every)
    return Form(SMALL, turned=turn, every=max(1, len(at)))


# Arrangement.


def _points(ax: Axes, pixels: float) -> float:
    figure: Any = ax.get_figure(root=True)
    return float(pixels) * 72 / figure.dpi


def _margins(ax: Axes) -> tuple[float, float, float, float]:
    """Return distances in points by which artists extend beyond the axes: on the left, below, on the right and above."""
    outer: Any = ax.get_tightbbox(for_layout_only=True)
    inner = ax.get_window_extent()
    reach = (inner.x0 - outer.x0, inner.y0 - outer.y0, outer.x1 - inner.x1, outer.y1 - inner.y1)
    left, below, right, above = (max(0.0, _points(ax, pixels)) for pixels in reach)
    return left, below, right, above


def _arrange(ax: Axes, page: _Page) -> None:
    """Put title, key, table and notes in place, and give a new figure its size."""
    figure: Any = ax.get_figure(root=True)
    ax.set_ylabel(filled(ax.get_ylabel(), page.height, LABEL), parse_math=False)
    left, right, width = 0.0, 0.0, page.width
    if page.own:
        left, _, right, _ = _margins(ax)
        left = max([left, *(width_of(heading) + _OFF for table in page.tables for heading in table.cells)])
        width = page.width - left - right
        full = page.width + 2 * _EDGE
        ax.set_position(((_EDGE + left) / full, 0.2, width / full, 0.6))
    tall = 0.0
    for table in page.tables:
        tall += _table(ax, table, width, right, tall)
    if page.label:
        middle = 2 * min(left + width / 2, width / 2 + right)
        above = page.tables[0].above
        ax.xaxis.set_label_position("top" if above else "bottom")
        ax.set_xlabel(filled(page.label, middle, LABEL), labelpad=tall + 2.0 - (0.0 if above else _TICK), parse_math=False)
    elif ax.get_xlabel():
        ax.set_xlabel(filled(ax.get_xlabel(), width, LABEL), parse_math=False)
    _, below, _, above = _margins(ax)
    above = _header(ax, page, left, width, above)
    below = _notes(ax, page, left, below)
    if page.own:
        full = (page.width + 2 * _EDGE, page.height + above + below + 2 * _EDGE)
        figure.set_size_inches(full[0] / 72, full[1] / 72)
        ax.set_position(((_EDGE + left) / full[0], (_EDGE + below) / full[1], width / full[0], page.height / full[1]))


def _at_corner(ax: Axes, text: str, offset: tuple[float, float], *, above: bool = False, **look: Any) -> None:
    """Write text at an offset in points from the lower or upper left corner of the axes."""
    ax.annotate(
        text,
        (0, float(above)),
        offset,
        xycoords="axes fraction",
        textcoords="offset points",
        annotation_clip=False,
        parse_math=False,
        **look,
    )


def _table(ax: Axes, table: _Table, width: float, right: float, begin: float) -> float:
    """Write a table, ``begin`` points away from the axes; return its height."""
    pixels = ax.transData.transform([(x, 0.0) for x in table.at]).reshape(-1, 2)[:, 0] - ax.get_window_extent().x0
    at = np.array([_points(ax, x) for x in pixels])
    high = width + right + _EDGE - 1.0
    forms = {
        heading: form_of(cells, at, (-_OFF + _GAP if heading else -2 * _OFF, high), table.align, turn=table.turn)
        for heading, cells in table.cells.items()
    }
    every = max(form.every for form in forms.values())
    if not table.above and not begin:
        ax.set_xticks(table.at[::every], [""] * len(table.at[::every]))
        ax.tick_params(axis="x", length=_TICK, pad=0.0)
    heights = {
        heading: max(form.extent(cell)[1] for cell in [*table.cells[heading], " "]) + (1.5 if form.turned or form.broken else 0.5)
        for heading, form in forms.items()
    }
    tall = 0.0 if begin else 4.0
    for heading, cells in list(table.cells.items())[:: -1 if table.above else 1]:
        form, middle = forms[heading], begin + tall + heights[heading] / 2
        y = middle if table.above else -middle
        _at_corner(ax, heading, (-_OFF, y), above=table.above, ha="right", va="center", color=FAINT)
        for x, cell in list(zip(table.at, cells, strict=True))[::every]:
            ax.annotate(
                form.text(cell),
                (x, float(table.above)),
                (0, y),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                ha="center" if table.align == 0.5 else "left",
                va="center",
                rotation=90 if form.turned else 0,
                size=form.size,
                annotation_clip=False,
                parse_math=False,
            )
        tall += heights[heading]
    return tall


def _header(ax: Axes, page: _Page, left: float, width: float, above: float) -> float:
    """Write the key and the title, from ``above`` points over the axes upwards; return where they end."""
    above += 4.0
    lines: list[list[tuple[Any, str]]] = []
    full = page.width if page.own else width
    used = full + 1
    for handle, label in page.entries:
        text = filled(label, full - 24)
        wide = width_of(text) + 27
        if used + wide > full:
            lines.append([])
            used = 0.0
        lines[-1].append((handle, text))
        used += wide
    for line in reversed(lines):
        above += _key_line(ax, line, -left, above) + 1.0
    if page.title:
        text = filled(page.title, full, TITLE, "bold")
        ax.set_title(text, loc="left", x=-left / width, y=1.0, pad=above + 3.0, parse_math=False)
        above += 3.0 + line_height(TITLE) * (text.count("\n") + 1)
    return above


def _key_line(ax: Axes, entries: Sequence[tuple[Any, str]], x: float, y: float) -> float:
    """Write a line of the key at an offset from the upper left corner of the axes; return its height."""
    from matplotlib.legend import Legend
    from matplotlib.transforms import ScaledTranslation

    figure: Any = ax.get_figure(root=True)
    handles, labels = zip(*entries, strict=True)
    legend = Legend(
        ax,
        handles,
        labels,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        bbox_transform=ax.transAxes + ScaledTranslation(x / 72, y / 72, figure.dpi_scale_trans),
        ncols=len(labels),
        frameon=False,
        borderaxespad=0.0,
        borderpad=0.1,
        columnspacing=1.2,
        handlelength=1.4,
        handletextpad=0.5,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    ax.add_artist(legend)
    legend.set_clip_on(False)
    return _points(ax, legend.get_window_extent().height)


def _notes(ax: Axes, page: _Page, left: float, below: float) -> float:
    """Write the notes, from ``below`` points under the axes downwards; return where they end."""
    from matplotlib.text import Text

    notes = list(page.notes)
    if any(MISSING in text.get_text() for text in ax.findobj(Text)):
        notes.append(f"{MISSING}: a character that the font of the charts does not have; the text alternative has it.")
    if not notes:
        return below
    weight = "bold" if page.warning else "normal"
    text = filled(" ".join(notes), page.width, SMALL, weight)
    colour = RED if page.warning else FAINT
    _at_corner(ax, text, (-left, -below - 5.0), va="top", size=SMALL, color=colour, weight=weight)
    return below + 5.0 + line_height(SMALL) * (text.count("\n") + 1)


# Axes and labels.


def slots(ax: Axes, first: float, count: int) -> np.ndarray:
    """Return places for this number of bars from ``first`` on, no wider where there are few, and set the axis."""
    at = first + np.arange(count)
    middle, half = first + (count - 1) / 2, max(count, 3) / 2
    ax.set_xlim(middle - half, middle + half)
    return at


def percent_axis(ax: Axes, high: float, label: str) -> None:
    """Set a vertical axis of probabilities, in percent, from 0 to a round number that is at least ``high`` and at most 1."""
    steps = [step * 10.0**power for power in range(-6, 0) for step in (1, 2, 5)]
    step = next((step for step in steps if high <= 5.5 * step), 0.2)
    top = min(1.0, np.ceil(round(high / step, 6)) * step)
    at = np.arange(0, top + step / 2, step)
    ax.set_ylim(0, top)
    ticks(ax, "y", at, [f"{100 * p:.6g}" for p in at])
    ax.set_ylabel(f"{label} (%)")


def beside(ax: Axes, marks: Mapping[str, float]) -> None:
    """Write labels on the right of the axes at heights of the data; a line leads to a label that had to be moved."""
    low, high = ax.get_ylim()
    _, tall = room(ax)
    order = sorted(marks, key=lambda text: marks[text])
    wanted = np.array([(marks[text] - low) / (high - low) * tall for text in order])
    heights = np.array([line_height(NORMAL) * (text.count("\n") + 1) for text in order])
    at = wanted.copy()
    for _ in range(200):
        for i, j in pairwise(range(len(order))):
            overlap = (heights[i] + heights[j]) / 2 - (at[j] - at[i])
            if overlap > 1e-9:
                at[i], at[j] = at[i] - overlap / 2, at[j] + overlap / 2
    moved = bool(np.any(np.abs(at - wanted) > 1.0))
    leader = {"arrowstyle": "-", "color": FAINT, "lw": 0.5, "shrinkA": 0, "shrinkB": 0, "relpos": (0, 0.5)} if moved else None
    for text, y, place in zip(order, wanted, at, strict=True):
        ax.annotate(
            text,
            (1, y / tall),
            (12.0 if moved else _OFF, place - y),
            xycoords="axes fraction",
            textcoords="offset points",
            va="center",
            arrowprops=leader,
            annotation_clip=False,
            parse_math=False,
        )
