"""The chart of an elicited prior: elicited and fitted quantiles, the prior's band, and the DLTs that it predicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._check import of_type
from ..figures import in_percent, percent
from ..models.elicited import ElicitedPrior
from ..protocol import Protocol
from ..words import _, counted, n_dlts, n_patients
from .layout import dose_rows, drawing, key, notes, percent_axis, room, rows, title
from .posterior import DoseAxis
from .style import BLUE, INK, PALE, describe, dose_text, listed, spoken

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["prior"]

# Points of the band, which costs next to nothing.
_POINTS = 60
# Markers of the elicited quantiles, one for each probability in turn: below 50%, 50% and above.
_BELOW, _MEDIAN, _ABOVE = ("v", "<", "s", "p", "1"), "D", ("^", ">", "h", "P", "2")


def prior(elicited: ElicitedPrior, ax: Axes | None = None, *, protocol: Protocol | None = None, cohort: int = 3) -> Axes:
    """Draw an elicited prior: elicited and fitted quantiles, median and 95% band, and the predicted number of DLTs at each dose.

    Parameters
    ----------
    elicited
        What `dosefind.prior_from_quantiles` or `dosefind.minimally_informative_prior` returned.
    ax
        Axes to draw on; new ones by default.
    protocol
        The protocol, whose doses are shown; by default the doses of the elicited quantiles.
    cohort
        Patients of a first cohort, of which the number of DLTs is predicted.

    Returns
    -------
    matplotlib.axes.Axes
    """
    of_type("elicited", elicited, ElicitedPrior, "prior_from_quantiles makes one")
    if protocol is not None:
        of_type("protocol", protocol, Protocol, "load_protocol reads one from a file")
    amounts = np.array(sorted({row[0] for row in elicited.wanted})) if protocol is None else np.array(protocol.doses.amounts)
    doses = tuple(amounts.tolist())
    expected = elicited.predictive(cohort, doses)
    heading = _("{dlts} in {n}, %")
    cells = {heading.format(dlts=n_dlts(k), n=cohort): [in_percent(chance, 0) for chance in expected[k]] for k in expected.columns}
    with drawing(ax) as ax:
        scale = DoseAxis.of(amounts, room(ax)[0], cells.values())
        band = elicited.quantiles((0.025, 0.5, 0.975), tuple(scale.between(amounts, _POINTS).tolist()))
        scale.on(ax)
        percent_axis(ax, 1.03 * max(band.to_numpy().max(), max(row[2] for row in elicited.wanted)), _("DLT rate"))
        _draw_band(ax, scale.at(band.index.to_numpy()), band.to_numpy().T)
        _draw_quantiles(ax, elicited, scale)
        title(ax, _("Elicited prior of the DLT rate"))
        if protocol is None:
            table = {_("dose"): [dose_text(amount) for amount in doses]} | cells
            rows(ax, scale.at(amounts), table, _("Dose (in the unit of the elicited quantiles)"))
        else:
            dose_rows(ax, scale.at(amounts), doses, protocol.doses.unit, cells)
        predicted = counted(
            "Rows below the doses: probability of each number of DLTs in the first patient at a dose.",
            "Rows below the doses: probability of each number of DLTs in the first {n} patients at a dose.",
            cohort,
        )
        notes(ax, _misfit(elicited), _bound(elicited), predicted, scale.words)
    each = _("the {quantile} quantile at {dose} is {elicited} as elicited and {fitted} as fitted")
    quantiles = [
        each.format(quantile=f"{100 * chance:g}%", dose=f"{dose:g}", elicited=percent(level), fitted=percent(got))
        for (dose, chance, level), got in zip(elicited.wanted, elicited.got, strict=True)
    ]
    at_dose, chance_of = _("at {dose} {numbers}"), _("{n} with probability {p}")
    first = [
        at_dose.format(dose=f"{dose:g}", numbers=listed([chance_of.format(n=k, p=percent(chance)) for k, chance in row.items()]))
        for dose, row in expected.iterrows()
    ]
    return describe(
        ax,
        _("Elicited prior of the DLT rate"),
        _("Doses are in {unit}.").format(unit=spoken(protocol.doses.unit)) if protocol is not None else "",
        _("Quantiles of the DLT rate: {quantiles}.").format(quantiles="; ".join(quantiles)),
        _misfit(elicited),
        _bound(elicited),
        _("Predicted number of DLTs in a first cohort of {patients}: {numbers}.").format(
            patients=n_patients(cohort), numbers="; ".join(first)
        ),
    )


def _draw_band(ax: Axes, x: np.ndarray, band: np.ndarray) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    ax.fill_between(x, band[0], band[2], facecolor=PALE, edgecolor="none")
    ax.plot(x, band[1], color=BLUE, lw=1.4)
    key(ax, [(Patch(facecolor=PALE), Line2D([], [], color=BLUE, lw=1.4))], [_("prior median and 95% interval")])


def _draw_quantiles(ax: Axes, elicited: ElicitedPrior, scale: DoseAxis) -> None:
    """Draw elicited quantiles as hollow marks, one shape per probability, and fitted ones as points."""
    from matplotlib.lines import Line2D

    asked, probabilities, rate = np.array(elicited.wanted).T
    inside = (asked >= scale.amounts[0]) & (asked <= scale.amounts[-1])
    x = np.full(len(asked), np.nan)
    x[inside] = scale.at(asked[inside])
    for probability, marker in _markers(probabilities[inside]).items():
        here = inside & (probabilities == probability)
        look: dict[str, Any] = {"ls": "none", "marker": marker, "mfc": "none", "mec": INK, "ms": 6.5}
        ax.plot(x[here], rate[here], zorder=4, clip_on=False, **look)
        key(ax, [Line2D([], [], **look)], [_("elicited {p} quantile").format(p=f"{100 * probability:g}%")])
    if inside.any():
        fitted: dict[str, Any] = {"ls": "none", "marker": "o", "color": BLUE, "ms": 3}
        ax.plot(x[inside], np.array(elicited.got)[inside], zorder=5, clip_on=False, **fitted)
        key(ax, [Line2D([], [], **fitted)], [_("fitted quantiles")])


def _markers(probabilities: np.ndarray) -> dict[float, str]:
    """Return a marker for each probability, lowest first; the shapes are repeated after five on the same side of 50%."""
    found = sorted(set(probabilities.tolist()))
    below, above = [p for p in found if p < 0.5], [p for p in found if p > 0.5]
    markers = {p: _BELOW[i % len(_BELOW)] for i, p in enumerate(below)} | {p: _ABOVE[i % len(_ABOVE)] for i, p in enumerate(above)}
    return {p: markers.get(p, _MEDIAN) for p in found}


def _misfit(elicited: ElicitedPrior) -> str:
    words = _("Fitted and elicited quantiles differ by at most {difference} percentage points.")
    return words.format(difference=f"{100 * elicited.misfit:.1f}")


def _bound(elicited: ElicitedPrior) -> str:
    if not elicited.at_bound:
        return ""
    return _("Parameters at a bound of the fit: {parameters}.").format(parameters=listed(elicited.at_bound))
