"""The picture of an elicited prior: what was said, what the prior makes of it, and what it expects of the first patients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .._check import of_type
from ..models.elicited import ElicitedPrior
from ..protocol import Protocol
from .posterior import DoseAxis
from .style import BLUE, INK, PALE, describe, dose_rows, drawing, foot, key, listed, percent, percent_axis, said, title, under

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["prior"]

# Points of the band, which costs next to nothing; what stands behind a label that a line may cross.
_POINTS = 60
_BEHIND = {"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 0.6}


def prior(elicited: ElicitedPrior, ax: Axes | None = None, *, protocol: Protocol | None = None, cohort: int = 3) -> Axes:
    """An elicited prior: the quantiles that were asked for, the prior's own, its median and 95% band, and the number of DLTs that
    it expects of a first cohort at each dose.

    Parameters
    ----------
    elicited
        What `dosefind.prior_from_quantiles` or `dosefind.minimally_informative_prior` returned.
    ax
        Axes to draw on; new ones by default.
    protocol
        The protocol, whose doses are shown; by default those of which something was said.
    cohort
        Patients of a first cohort.

    Returns
    -------
    matplotlib.axes.Axes
    """
    of_type("elicited", elicited, ElicitedPrior, "prior_from_quantiles makes one")
    if protocol is not None:
        of_type("protocol", protocol, Protocol, "load_protocol reads one from a file")
    amounts = np.array(sorted({dose for dose, _, _ in elicited.wanted})) if protocol is None else np.array(protocol.doses.amounts)
    doses = tuple(amounts.tolist())
    expected = elicited.predictive(cohort, doses)
    scale = DoseAxis.of(amounts)
    band = elicited.quantiles((0.025, 0.5, 0.975), tuple(scale.between(amounts, _POINTS).tolist()))
    asked, p, rate = np.array(elicited.wanted).T
    inside = (asked >= amounts[0]) & (asked <= amounts[-1])
    unit = "dose" if protocol is None else protocol.doses.unit
    with drawing(ax, 88) as ax:
        from matplotlib.lines import Line2D
        from matplotlib.patches import Patch

        scale.on(ax, 0.1)
        percent_axis(ax, min(1.0, max(band.to_numpy().max(), rate.max()) + 0.02), "DLT rate")
        x = scale.at(band.index.to_numpy())
        low, middle, high = band.to_numpy().T
        ax.fill_between(x, low, high, facecolor=PALE, edgecolor="none")
        ax.plot(x, middle, color=BLUE, lw=1.4)
        at = scale.at(asked[inside])
        ax.plot(at, np.array(elicited.got)[inside], "o", color=BLUE, ms=3, zorder=5, clip_on=False)
        ax.plot(at, rate[inside], "D", mfc="none", mec=INK, ms=6.5, zorder=4, clip_on=False)
        for one, level, chance in zip(at, rate[inside], p[inside], strict=True):
            ax.annotate(f"{100 * chance:g}%", (one, level), (7, 0), textcoords="offset points", va="center", size=7, bbox=_BEHIND)
        title(ax, "Prior of the DLT rate, from what was said", above=20)
        handles = [
            Line2D([], [], ls="none", marker="D", mfc="none", mec=INK, ms=6.5),
            Line2D([], [], ls="none", marker="o", color=BLUE, ms=3),
            Line2D([], [], color=BLUE, lw=1.4),
            Patch(facecolor=PALE),
        ]
        key(ax, handles, ["quantile said, with its probability", "the prior's own", "median", "95% interval"])
        rows = {f"{k} DLTs in {cohort}, %": [f"{100 * chance:.0f}" for chance in expected[k]] for k in expected.columns}
        rows = {heading.replace("1 DLTs", "1 DLT"): cells for heading, cells in rows.items()}
        if protocol is None:
            count = under(ax, scale.at(amounts), {"dose": [f"{amount:g}" for amount in doses]} | rows)
        else:
            count = dose_rows(ax, scale.at(amounts), doses, unit, rows)
        foot(ax, count, _misfit(elicited), _bound(elicited), scale.words)
    quantiles = [
        f"the {100 * chance:g}% quantile at {dose:g} is {percent(level)} as said and {percent(got)} by the prior"
        for (dose, chance, level), got in zip(elicited.wanted, elicited.got, strict=True)
    ]
    first = [
        f"at {dose:g} {listed([f'{k} with probability {percent(chance)}' for k, chance in row.items()])}"
        for dose, row in expected.iterrows()
    ]
    return describe(
        ax,
        "Prior of the DLT rate, from what was said",
        f"Doses are in {said(unit)}." if protocol is not None else "",
        f"Of the DLT rate, {'; '.join(quantiles)}.",
        _misfit(elicited),
        _bound(elicited),
        f"DLTs that the prior expects in a first cohort of {cohort}: {'; '.join(first)}.",
    )


def _misfit(elicited: ElicitedPrior) -> str:
    return f"The prior's quantiles are off by at most {100 * elicited.misfit:.1f} percentage points."


def _bound(elicited: ElicitedPrior) -> str:
    return f"At the end of its range: {listed(elicited.at_bound)}." if elicited.at_bound else ""
