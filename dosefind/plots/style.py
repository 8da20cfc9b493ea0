"""What all pictures share: size, colours, words, the table of figures below the doses, and the alternative text.

Text that a user gave is written by `write` and `ticks`, which switch matplotlib's mathematics off, and goes through `shown`, which
shortens it and shows as an escape or a box what would not be seen.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from .._check import InputError, Problem

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

__all__ = ["alt_text", "describe", "drawing", "settings"]

# Width of a report's text and height of a picture, in mm.
WIDTH, HEIGHT = 160.0, 80.0
INCH = 25.4

# Okabe and Ito's blue, sky blue and vermillion, lightened or darkened until they differ in grey; https://jfly.uni-koeln.de/color/
INK, FAINT, RULE = "#1A1A1A", "#595959", "#BFBFBF"
BLUE, SKY, PALE = "#0072B2", "#56B4E9", "#D9E8F3"
RED, ORANGE = "#B34700", "#E69F4D"
# What fills an area that means too much toxicity, so that it is told without colour.
TOO_TOXIC: dict[str, Any] = {"facecolor": RED, "edgecolor": "white", "hatch": "////", "linewidth": 0.0}

LOOK = {
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.labelsize": 8.5,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9.0,
    "axes.titleweight": "bold",
    "axes.unicode_minus": False,
    "figure.dpi": 100.0,
    "font.family": ["DejaVu Sans"],
    "font.size": 8.0,
    "hatch.linewidth": 0.6,
    "savefig.dpi": 100.0,
    "svg.fonttype": "path",
    "svg.hashsalt": "dosefind",
    "figure.constrained_layout.w_pad": 0.08,
    "text.color": INK,
    # Text as wide at every resolution.
    "text.hinting": "none",
    "text.parse_math": False,
    "text.usetex": False,
    "xtick.color": INK,
    "xtick.labelsize": 8.0,
    "xtick.major.width": 0.6,
    "ytick.color": INK,
    "ytick.labelsize": 8.0,
    "ytick.major.width": 0.6,
}


class Words(NamedTuple):
    """A picture in words: what it is of, and whole sentences with the numbers that it shows."""

    title: str
    text: str


_WORDS: WeakKeyDictionary[Axes, Words] = WeakKeyDictionary()


def settings() -> AbstractContextManager[Any]:
    """Settings under which pictures are drawn and saved, whatever the user's own, which come back afterwards."""
    try:
        from matplotlib import style
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        raise InputError("pictures need matplotlib, which is not installed: pip install 'dosefind[plots]'") from None
    return style.context(["default", LOOK])


@contextmanager
def drawing(ax: Axes | None, height: float = HEIGHT) -> Iterator[Axes]:
    """The axes to draw on, those given or new ones on a figure of so many mm, under the settings of all pictures."""
    with settings():
        from matplotlib.axes import Axes
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        from .picture import Picture

        if ax is None:
            figure = Figure(figsize=(WIDTH / INCH, height / INCH), layout="constrained")
            FigureCanvasAgg(figure)
            yield figure.add_subplot(axes_class=Picture)
            # Laid out once, and not again at every saving: the last bits of places would change, and with them the bytes.
            engine: Any = figure.get_layout_engine()
            engine.execute(figure)
            figure.set_layout_engine("none")
        elif isinstance(ax, Axes):
            yield ax
        else:
            raise InputError(Problem("ax", ax, "must be matplotlib axes, or None for new ones"))


def describe(ax: Axes, title: str, *sentences: str) -> Axes:
    """Give a picture its alternative text."""
    _WORDS[ax] = Words(title, " ".join((f"{title}.", *(sentence for sentence in sentences if sentence))))
    return ax


def alt_text(picture: Axes | Figure) -> str:
    """The alternative text of a picture: whole sentences with the numbers that it shows.

    Parameters
    ----------
    picture
        Axes that one of the functions of `dosefind.plots` returned, or their figure.

    Examples
    --------
    >>> from dosefind.plots import trial
    >>> print(alt_text(trial("1NT")))
    Trial of 2 patients, 1 with a DLT. Cohort 1, level 1: 1 without a DLT and 1 with a DLT.
    """
    return " ".join(words.text for words in words_of(picture))


def words_of(picture: Axes | Figure) -> list[Words]:
    """Title and alternative text of each picture on a figure, or of one."""
    axes: Any = picture.axes if isinstance(getattr(picture, "axes", None), list) else [picture]
    found = [_WORDS[ax] for ax in axes if ax in _WORDS]
    if not found:
        raise InputError(Problem("picture", picture, "must be axes from dosefind.plots, or a figure that has such axes"))
    return found


def percent(rate: float, digits: int = 1) -> str:
    """A probability in percent."""
    return f"{100 * rate:.{digits}f}%"


def rates(low: float, high: float) -> str:
    """A range of rates in percent."""
    return f"{100 * low:g}% to {100 * high:g}%"


def patients(count: int) -> str:
    """So many patients."""
    return f"{count} patient{'' if count == 1 else 's'}"


def dlts(count: int) -> str:
    """So many DLTs."""
    return f"{count} DLT{'' if count == 1 else 's'}"


def listed(parts: Sequence[str]) -> str:
    """Parts of a sentence, the last one after "and"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def shown(text: Any, limit: int = 40) -> str:
    """A text of the user as it is written in a picture: shortened, with what is not to be seen escaped, and a box for what the
    font does not have.
    """
    whole = said(text, limit)
    return "".join(c if ord(c) in glyphs() else "\u25a1" for c in whole)


def said(text: Any, limit: int = 80) -> str:
    """A text of the user as the alternative text has it."""
    # Cut before the characters are looked at, so that a long text costs no more than a short one.
    cut = str(text)[: limit + 1]
    seen = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)
    return seen if len(seen) <= limit else f"{seen[: limit - 1]}\u2026"


@cache
def glyphs() -> frozenset[int]:
    """Code points of the characters that the font of all pictures has."""
    # Says in one line what is missing where there is no matplotlib.
    settings()
    from matplotlib.font_manager import findfont, get_font

    return frozenset(get_font(findfont("DejaVu Sans")).get_charmap())


_RAISED = str.maketrans("0123456789-", "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207b")


def unit(text: str) -> str:
    """A unit with its powers raised: 10^6 as 10 with a small 6."""
    return re.sub(r"\^(-?\d+)", lambda match: match[1].translate(_RAISED), text)


def amount(value: float, words: str) -> str:
    """A dose with its unit, which a unit that begins with a figure is multiplied by."""
    return f"{value:g} \u00d7 {words}" if words[:1].isdigit() else f"{value:g} {words}".rstrip()


def write(ax: Axes, x: float, y: float, text: str, **look: Any) -> None:
    """Text at data coordinates, never read as mathematics."""
    ax.text(x, y, text, parse_math=False, **look)


def boxes(ax: Axes, corners: Sequence[tuple[float, float, float, float]], **look: Any) -> None:
    """Rectangles that look alike, each by its left, bottom, width and height, as one shape: much faster than one by one."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    if len(corners):
        left, bottom, width, height = np.transpose(corners)
        x, y = (left, left + width), (bottom, bottom + height)
        around = np.stack([np.column_stack([x[i], y[j]]) for i, j in ((0, 0), (1, 0), (1, 1), (0, 1), (0, 0))], axis=1)
        codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY] * len(corners)
        ax.add_patch(PathPatch(Path(around.reshape(-1, 2), codes), **look))


def title(ax: Axes, text: str, *, above: float = 6.0) -> None:
    """The title, so many points above the axes."""
    ax.set_title(textwrap.fill(text, 68), loc="left", pad=above, parse_math=False)


def key(ax: Axes, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """What the markings mean, in one line above the axes; `title` then goes above it."""
    legend = ax.legend(
        handles,
        labels,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=len(labels),
        frameon=False,
        borderaxespad=0.6,
        borderpad=0.2,
        columnspacing=1.2,
        handlelength=1.4,
        handletextpad=0.5,
    )
    legend.set_in_layout(True)


def ticks(ax: Axes, axis: str, at: ArrayLike, labels: Sequence[str], **look: Any) -> None:
    """Ticks of one axis with their labels, never read as mathematics."""
    setter = ax.set_xticks if axis == "x" else ax.set_yticks
    setter(np.asarray(at), list(labels), parse_math=False, **look)


def slots(ax: Axes, first: float, count: int) -> np.ndarray:
    """Places for so many bars from ``first`` on, which are no wider where there are few; sets the axis."""
    at = first + np.arange(count)
    middle, half = first + (count - 1) / 2, max(count, 3) / 2
    ax.set_xlim(middle - half, middle + half)
    return at


def percent_axis(ax: Axes, high: float, label: str) -> None:
    """A vertical axis of probabilities from 0 to ``high``, at most 1, in percent."""
    step = 0.2 if high > 0.5 else 0.1 if high > 0.25 else 0.05
    top = min(1.0, np.ceil(round(high / step, 6)) * step)
    at = np.arange(0, top + step / 2, step)
    ax.set_ylim(0, top)
    ticks(ax, "y", at, [f"{100 * p:.0f}%" for p in at])
    ax.set_ylabel(label)


def dose_rows(ax: Axes, at: ArrayLike, amounts: ArrayLike, dose_unit: str, rows: Mapping[str, Sequence[str]]) -> int:
    """A table below the axes: level, amount and further rows, a column a dose; returns how many rows it has."""
    shares = [f"{amount:g}" for amount in np.asarray(amounts)]
    first = {"level": [str(level + 1) for level in range(len(shares))]}
    return under(ax, at, first | {unit(shown(dose_unit, 24)): shares} | dict(rows))


def under(ax: Axes, at: ArrayLike, rows: Mapping[str, Sequence[str]]) -> int:
    """Rows of text below the axes, each with its heading on the left, a column at each of the positions ``at``."""
    places = np.asarray(at)
    ticks(ax, "x", places, [""] * len(places))
    widest = max((len(cell) for cells in rows.values() for cell in cells), default=0)
    size = 7.0 if widest * len(places) > 70 else 8.0
    for row, (heading, cells) in enumerate(rows.items()):
        below = -_ROW * (row + 1)
        look: dict[str, Any] = {"textcoords": "offset points", "va": "center", "annotation_clip": False, "parse_math": False}
        ax.annotate(heading, (0, 0), (-5, below), xycoords="axes fraction", ha="right", color=FAINT, **look)
        for x, cell in zip(places, cells, strict=True):
            ax.annotate(cell, (x, 0), (0, below), xycoords=("data", "axes fraction"), ha="center", size=size, **look)
    return len(rows)


# Height of a row below the axes, in points.
_ROW = 11.0


def foot(ax: Axes, after: int, *sentences: str, trusted: bool = True) -> None:
    """Sentences below the rows, which say what holds for all of the picture."""
    lines = textwrap.wrap(" ".join(filter(None, sentences)), 105 if trusted else 85)
    for line, text in enumerate(lines):
        ax.annotate(
            text,
            (0, 0),
            (0, -_ROW * (after + 0.75) - 9.5 * (line + 0.75)),
            xycoords="axes fraction",
            textcoords="offset points",
            va="center",
            size=7.0,
            color=FAINT if trusted else RED,
            weight="normal" if trusted else "bold",
            annotation_clip=False,
            parse_math=False,
        )


def beside(ax: Axes, marks: Mapping[str, float], gap: float = 0.07) -> None:
    """Labels on the right of the axes at heights of the data, moved apart where they would touch."""
    low, high = ax.get_ylim()
    order = sorted(marks, key=lambda text: marks[text])
    at = np.array([marks[text] for text in order])
    # Each label has as many lines as it needs; neighbours keep a distance.
    size = np.array([text.count("\n") + 1 for text in order]) * gap * (high - low)
    for _ in range(100):
        for i, j in pairwise(range(len(order))):
            overlap = (size[i] + size[j]) / 2 - (at[j] - at[i])
            if overlap > 1e-9:
                at[i], at[j] = at[i] - overlap / 2, at[j] + overlap / 2
        at = np.clip(at, low + size / 2, high - size / 2)
    for text, y in zip(order, at, strict=True):
        ax.annotate(
            text,
            (1, y),
            (5, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="center",
            annotation_clip=False,
            parse_math=False,
        )
