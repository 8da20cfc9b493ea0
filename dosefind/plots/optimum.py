"""Chart of the best policies under a prior: expected utility by expected DLTs, with the designs beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._check import InputError, Problem, one_of
from ..words import _
from .layout import distinct, drawing, key, notes, title
from .style import BLUE, INK, describe, shown, spoken, ticks

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

__all__ = ["frontier"]

# Height of the chart in mm, and width of the names of designs in points.
_HEIGHT, _NAMES = 80.0, 110.0
_SHAPES = "osD^vP*X<>"


def frontier(made: xr.Dataset, prior: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw the highest expected utility by expected DLTs, and each design.

    Parameters
    ----------
    made
        What `dosefind.optimum` returned.
    prior
        Name of a prior; by default the first.
    ax
        Axes to draw on; new ones by default.

    Returns
    -------
    matplotlib.axes.Axes
        Utility in points, hundredths. The vertical distance of a design from the line is what is possible with as many DLTs, but
        perhaps more patients.
    """
    if "frontier_utility" not in getattr(made, "data_vars", {}):
        raise InputError(Problem("made", type(made).__name__, "must be the result of dosefind.optimum"))
    names = [str(name) for name in made["prior"].values]
    prior = names[0] if prior is None else one_of("prior", prior, names)
    at = made.sel(prior=prior)
    designs = [str(name) for name in at["design"].values]
    dlts, points = at["frontier_dlts"].values, 100 * at["frontier_utility"].values
    order = np.argsort(dlts)
    own = [(float(at["dlts"].sel(design=name)), 100 * float(at["utility"].sel(design=name))) for name in designs[1:]]
    with drawing(ax, _HEIGHT) as ax:
        handles: list[Any] = list(ax.plot(dlts[order], points[order], color=BLUE, marker=".", lw=1.4))
        for number, (x, y) in enumerate(own):
            # Filled, then open.
            face = INK if number // len(_SHAPES) % 2 == 0 else "white"
            handles += ax.plot([x], [y], color=INK, marker=_SHAPES[number % len(_SHAPES)], mfc=face, ms=5.5, mew=0.8, ls="")
        highest = max([*dlts.tolist(), *(x for x, _y in own), 0.1])
        every = np.array([*points.tolist(), *(y for _x, y in own)])
        margin = max(0.06 * float(np.ptp(every)), 0.5)
        across, up = (0.0, 1.06 * highest), (float(every.min()) - margin, float(every.max()) + margin)
        ax.set_xlim(across)
        ax.set_ylim(up)
        for axis, (low, high) in (("x", across), ("y", up)):
            step = next(size for size in (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 1000) if high - low <= 8 * size)
            marks = np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step
            ticks(ax, axis, marks, [f"{mark:g}" for mark in np.round(marks, 6)])
        ax.set_xlabel(_("Expected DLTs (patients)"))
        ax.set_ylabel(_("Utility (points)"))
        title(ax, f"{shown(at.attrs['protocol'])}: {_('best policies and designs')}, {shown(prior)}")
        key(ax, handles, [_("best policies"), *distinct(designs[1:], _NAMES)])
        notes(ax, _conditions(at))
    line = ", ".join(f"{y:.1f} points with {x:.2f} DLTs" for x, y in zip(dlts[order], points[order], strict=True))
    said = [f"{spoken(name)}: {y:.1f} points with {x:.2f} DLTs." for name, (x, y) in zip(designs[1:], own, strict=True)]
    return describe(
        ax,
        f"Highest expected utility by expected DLTs, {spoken(at.attrs['protocol'])}, prior {spoken(prior)}",
        f"Best policies: {line}.",
        *said,
        _conditions(at),
    )


def _conditions(at: xr.Dataset) -> str:
    """Return what the chart depends on."""
    worth = {
        "correct": _("Utility 1 for selecting the true MTD."),
        "distance": _("Utility minus the distance from the target of the DLT rate at the dose selected."),
        "acceptable": _("Utility 1 for selecting a dose with an acceptable DLT rate."),
    }[at.attrs["utility"]]
    return f"{worth} {_('The best policies are a bound under this prior, not designs for a protocol.')}"
