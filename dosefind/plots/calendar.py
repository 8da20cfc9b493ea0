"""Chart of trials on a calendar: duration by accrual rate, beside the correct selection that each design buys with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._check import InputError, Problem, one_of
from ..figures import percent
from ..tasks.calendar import overlap_rows
from ..words import _
from .layout import distinct, drawing, key, notes, title
from .style import BLUE, FAINT, INK, RULE, SKY, describe, shown, spoken, ticks

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

__all__ = ["duration"]

# Height of a row and of what is above and below all rows, in mm, and width of the names of designs in points.
_ROW, _ENDS, _NAMES = 9.5, 4.0, 110.0
_LOOKS = (("o", BLUE), ("s", SKY), ("^", INK), ("D", FAINT))


def duration(calendar: xr.Dataset, scenario: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw how long a trial takes by each design at each accrual rate: mean and 10% to 90% of trials.

    Parameters
    ----------
    calendar
        What `dosefind.calendar` returned.
    scenario
        Name of a scenario; by default the first.
    ax
        Axes to draw on; new ones by default, as high as the rows need.

    Returns
    -------
    matplotlib.axes.Axes
        One row per design, the highest probability of correct selection first; at most four accrual rates are shown.
    """
    if "days_quantile" not in getattr(calendar, "data_vars", {}):
        raise InputError(Problem("calendar", type(calendar).__name__, "must be the result of dosefind.calendar"))
    names = [str(name) for name in calendar["scenario"].values]
    scenario = names[0] if scenario is None else one_of("scenario", scenario, names)
    at = calendar.sel(scenario=scenario).transpose("overlap", "accrual", "design", ...)
    rates = at["accrual"].values[: len(_LOOKS)]
    rows = _rows(at)
    with drawing(ax, _ENDS + _ROW * len(rows)) as ax:
        correct = at["correct"].values
        labels = [
            f"{name}\n{_('correct: {share}').format(share=percent(correct[overlap, 0, design]))}"
            for name, (overlap, design) in zip(_names(at, rows), rows, strict=True)
        ]
        days, quantiles = at["days"].values, at["days_quantile"].values
        handles: list[Any] = []
        shifts = np.linspace(-0.24, 0.24, len(rates)) if len(rates) > 1 else np.zeros(1)
        for index, (marker, colour) in zip(range(len(rates)), _LOOKS, strict=False):
            y = np.arange(len(rows)) + shifts[index]
            picked = [(overlap, index, design) for overlap, design in rows]
            low, high = (np.array([quantiles[place][end] for place in picked]) for end in (0, -1))
            ax.hlines(y, low, high, color=RULE, lw=1.2, zorder=1)
            means = np.array([days[place] for place in picked])
            handles += ax.plot(means, y, marker=marker, color=colour, ls="", ms=4.5, zorder=2)
        ticks(ax, "y", np.arange(len(rows)), labels)
        ax.set_ylim(len(rows) - 0.5, -0.5)
        longest = float(np.nanmax(quantiles))
        # At most nine marks on the axis.
        step = next(size for size in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000, 10**5) if longest <= 8 * size)
        at_days = np.arange(0, longest + 1, step)
        ax.set_xlim(0, 1.03 * longest)
        ticks(ax, "x", at_days, [f"{day:.0f}" for day in at_days])
        ax.set_xlabel(_("Duration (days)"))
        ax.set_ylabel(_("Design"))
        title(ax, f"{shown(at.attrs['protocol'])}: {_('duration by accrual rate')}, {shown(scenario)}")
        (line,) = ax.plot([], [], color=RULE, lw=1.2)
        key(ax, [*handles, line], [*map(rate_words, rates), _("10% to 90% of trials")])
        notes(ax, _conditions(at))
    return describe(
        ax,
        f"Duration of the trial by design and accrual rate, {spoken(at.attrs['protocol'])}, scenario {spoken(scenario)}",
        *(_sentence(at, row, name, rates) for row, name in zip(rows, _names(at, rows, spoken=True), strict=True)),
        _conditions(at),
    )


def _rows(at: xr.Dataset) -> list[tuple[int, int]]:
    """Return overlap and design of each row, by correct selection; a second row where overlap makes a difference."""
    correct = at["correct"].values
    return sorted(overlap_rows(at["days"].values), key=lambda row: (-round(float(correct[row[0], 0, row[1]]), 6), row))


def _names(at: xr.Dataset, rows: list[tuple[int, int]], *, spoken: bool = False) -> list[str]:
    names = [str(name) for name in at["design"].values]
    short = names if spoken else distinct(names, _NAMES)
    return [_("{design} (overlap)").format(design=short[design]) if overlap else short[design] for overlap, design in rows]


def rate_words(rate: float) -> str:
    """Return an accrual rate in words."""
    if not np.isfinite(rate):
        return _("always a candidate") if rate > 0 else _("dates as given")
    return _("{rate} per 28 days").format(rate=f"{rate:g}")


def _conditions(at: xr.Dataset) -> str:
    words = _("{trials} simulated trials each, seed {seed}; correct: probability that the true MTD is selected.")
    more = _(" (overlap): if dose groups were allowed to overlap.") if at.sizes["overlap"] > 1 else ""
    return words.format(trials=f"{at.attrs['n_trials']:,}", seed=at.attrs["seed"]) + more


def _sentence(at: xr.Dataset, row: tuple[int, int], name: str, rates: np.ndarray) -> str:
    overlap, design = row
    means = ", ".join(f"{at['days'].values[overlap, index, design]:.0f} at {rate_words(rate)}" for index, rate in enumerate(rates))
    return f"{spoken(name)}: mean days {means}; correct selection {percent(at['correct'].values[overlap, 0, design])}."
