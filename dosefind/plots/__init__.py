"""Charts of labelled results, one function each; no computation.

Each function takes the result of a task, draws on one matplotlib axes (``ax``, or new ones on a figure of their own, as wide as the
text of a report) and returns the axes. New axes display themselves once in a notebook. Every chart has an alternative text with the
numbers that it shows (`alt_text`), and is written as SVG, PNG and PDF by `as_svg`, `as_png` and `save`, with the same bytes for the
same result.

Neither matplotlib's settings nor pyplot's list of figures are changed, and matplotlib is loaded with the first chart. Colours are
those of Okabe and Ito (2008), adjusted to differ in lightness too; a hatch, a marker or a label repeats their meaning. To add a
chart, write a function that draws within `layout.drawing`, which places all text, and ends with `style.describe`; add it to the
charts of `tests/test_charts_legible.py`.
"""

from .calendar import duration
from .comparison import allocation, pages, selection
from .conduct import calendar, decisions, trial
from .efficacy import efficacy, utility
from .elicited import prior
from .endpoints import changes, events, liver, ratios
from .export import as_png, as_svg, save
from .optimum import frontier
from .posterior import curve, intervals, mtd, prior_posterior
from .steps import flow, tree
from .style import alt_text

__all__ = [
    "allocation",
    "alt_text",
    "as_png",
    "as_svg",
    "calendar",
    "changes",
    "curve",
    "decisions",
    "duration",
    "efficacy",
    "events",
    "flow",
    "frontier",
    "intervals",
    "liver",
    "mtd",
    "pages",
    "prior",
    "prior_posterior",
    "ratios",
    "save",
    "selection",
    "tree",
    "trial",
    "utility",
]
