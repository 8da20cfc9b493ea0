"""What all charts share: width, colours, words, numbers and the alternative text.

Text that a user gave is written by `write` and `ticks`, which switch matplotlib's mathematics off, and goes through `shown`, which
shortens it and shows an escape or a box for characters that would not be visible.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from .._check import InputError, Problem
from ..words import _

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

__all__ = ["alt_text", "describe", "settings"]

# Width of a chart, which is that of a report's text, in mm; the same type sizes are then printed.
WIDTH, INCH = 160.0, 25.4
# Stands for a character that the font of the charts does not have.
MISSING = "\u25a1"

# Okabe and Ito's blue, sky blue and vermillion, lightened or darkened until they differ in grey; https://jfly.uni-koeln.de/color/
INK, FAINT, RULE = "#1A1A1A", "#595959", "#BFBFBF"
BLUE, SKY, PALE = "#0072B2", "#56B4E9", "#C9DEED"
RED, ORANGE = "#B34700", "#DE9030"
# Fill of an area above the MTD or the target interval; the hatch shows it without colour.
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
    "text.color": INK,
    # The same width of text at every resolution.
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
    """A chart in words: its title, and whole sentences with the numbers that it shows."""

    title: str
    text: str


_WORDS: WeakKeyDictionary[Axes, Words] = WeakKeyDictionary()


def settings() -> AbstractContextManager[Any]:
    """Return the settings under which charts are drawn and saved; the user's own settings come back afterwards."""
    try:
        from matplotlib import style
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        raise InputError("charts need matplotlib, which is not installed: pip install 'dosefind[plots]'") from None
    return style.context(["default", LOOK])


def describe(ax: Axes, title: str, *sentences: str) -> Axes:
    """Give a chart its alternative text, and return its axes."""
    _WORDS[ax] = Words(title, " ".join((f"{title}.", *(sentence for sentence in sentences if sentence))))
    return ax


def alt_text(chart: Axes | Figure) -> str:
    """Return the alternative text of a chart: whole sentences with the numbers that it shows.

    Parameters
    ----------
    chart
        Axes that one of the functions of `dosefind.plots` returned, or their figure.

    Examples
    --------
    >>> from dosefind.plots import trial
    >>> print(alt_text(trial("1NT")))
    Trial of 2 patients, 1 with a DLT. Cohort 1, level 1: 1 without a DLT and 1 with a DLT.
    """
    return " ".join(words.text for words in words_of(chart))


def words_of(chart: Axes | Figure) -> list[Words]:
    """Return title and alternative text of one chart, or of each chart on a figure."""
    axes: Any = chart.axes if isinstance(getattr(chart, "axes", None), list) else [chart]
    found = [_WORDS[ax] for ax in axes if ax in _WORDS]
    if not found:
        raise InputError(Problem("chart", chart, "must be axes from dosefind.plots, or a figure that has such axes"))
    return found


def rates(low: float, high: float) -> str:
    """Return a range of rates in percent."""
    return _("{low} to {high}").format(low=f"{100 * low:g}%", high=f"{100 * high:g}%")


def listed(parts: Sequence[str]) -> str:
    """Join the parts of a sentence, the last one after "and"."""
    return parts[0] if len(parts) == 1 else _("{parts} and {last}").format(parts=", ".join(parts[:-1]), last=parts[-1])


def shown(text: Any, limit: int = 80) -> str:
    """Return a user's text for a chart: shortened, with invisible characters escaped and a box for those that the font lacks."""
    return "".join(c if ord(c) in glyphs() else MISSING for c in spoken(text, limit))


def spoken(text: Any, limit: int = 80) -> str:
    """Return a user's text for the alternative text: shortened, with invisible characters escaped."""
    # Cut before the characters are looked at, so that a long text costs no more than a short one.
    cut = str(text)[: limit + 1]
    seen = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)
    return seen if len(seen) <= limit else f"{seen[: limit - 1]}\u2026"


@cache
def glyphs() -> frozenset[int]:
    """Return the code points of the characters that the font of all charts has."""
    # Reports in one line that matplotlib is missing.
    settings()
    from matplotlib.font_manager import findfont, get_font

    return frozenset(get_font(findfont("DejaVu Sans")).get_charmap())


_RAISED = str.maketrans("0123456789-", "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207b")


def unit(text: str) -> str:
    """Return a unit with its powers raised: 10^6 as 10 with a superscript 6."""
    return re.sub(r"\^(-?\d+)", lambda match: match[1].translate(_RAISED), text)


def dose_text(value: float) -> str:
    """Return a dose with all of its digits, without an exponent in letters."""
    digits, _, power = f"{value:.12g}".partition("e")
    return f"{digits}\u00d710{str(int(power)).translate(_RAISED)}" if power else digits


def amount(value: float, words: str) -> str:
    """Return a dose with its unit; a unit that begins with a digit is multiplied."""
    return f"{dose_text(value)} \u00d7 {words}" if words[:1].isdigit() else f"{dose_text(value)} {words}".rstrip()


def write(ax: Axes, x: float, y: float, text: str, **look: Any) -> None:
    """Write text at data coordinates, never read as mathematics."""
    ax.text(x, y, text, parse_math=False, **look)


def ticks(ax: Axes, axis: str, at: ArrayLike, labels: Sequence[str], **look: Any) -> None:
    """Set the ticks of one axis with their labels, never read as mathematics."""
    setter = ax.set_xticks if axis == "x" else ax.set_yticks
    setter(np.asarray(at), list(labels), parse_math=False, **look)


def boxes(ax: Axes, corners: Sequence[tuple[float, float, float, float]], **look: Any) -> None:
    """Draw rectangles that look alike, each by its left, bottom, width and height, as one shape: much faster than one by one."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    if len(corners):
        left, bottom, width, height = np.transpose(corners)
        x, y = (left, left + width), (bottom, bottom + height)
        around = np.stack([np.column_stack([x[i], y[j]]) for i, j in ((0, 0), (1, 0), (1, 1), (0, 1), (0, 0))], axis=1)
        codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY] * len(corners)
        ax.add_patch(PathPatch(Path(around.reshape(-1, 2), codes), **look))
