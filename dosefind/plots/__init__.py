"""Pictures of labelled results, one call each; no computation.

Each function takes a result of a task, draws on one matplotlib axes (``ax``, or new ones on a figure of their own, as wide as the
text of a report) and returns them. New axes show themselves once in a notebook. Every picture has an alternative text with the
numbers that it shows (`alt_text`), and goes to SVG, PNG and PDF by `as_svg`, `as_png` and `save`, with the same bytes for the same
result.

Neither matplotlib's settings nor pyplot's list of figures are touched, and matplotlib is loaded with the first picture. Colours are
those of Okabe and Ito (2008), made to differ in lightness too; where they stand for something, so does a hatch, a marker or a word.
To add a picture, write a function that draws within `style.drawing` and ends with `style.describe`.
"""

from .comparison import allocation, selection
from .conduct import decisions, trial
from .elicited import prior
from .export import as_png, as_svg, save
from .posterior import curve, intervals, mtd, prior_posterior
from .style import alt_text

__all__ = [
    "allocation",
    "alt_text",
    "as_png",
    "as_svg",
    "curve",
    "decisions",
    "intervals",
    "mtd",
    "prior",
    "prior_posterior",
    "save",
    "selection",
    "trial",
]
