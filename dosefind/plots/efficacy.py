"""Charts of efficacy and dose selection: every patient with the estimates by dose, and expected utility by dose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._check import InputError, Problem, of_type
from ..figures import in_percent, percent
from ..tasks import Analysis
from ..words import _
from .layout import dose_rows, drawing, key, notes, percent_axis, slots, title
from .style import BLUE, FAINT, INK, ORANGE, PALE, RED, amount, describe, listed, shown, spoken, ticks, unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["efficacy", "utility"]

# Part of a slot in which the patients of a dose stand side by side, and height of their rows from the edge.
_SPREAD, _EDGE_ROW = 0.7, 0.035
# Look of each prior: colour, marker and offset of its estimate from the middle of the slot.
_PRIORS = ((INK, "o", -0.14), (BLUE, "s", 0.0), (RED, "^", 0.14))


def efficacy(found: Analysis, ax: Axes | None = None) -> Axes:
    """Draw every patient, and the response rate or the mean change of each dose with its 95% interval.

    Response rates are drawn under each prior, those of curves with a band.

    Parameters
    ----------
    found
        What `dosefind.analyze` returned with responses.
    ax
        Axes to draw on; new ones by default.

    Returns
    -------
    matplotlib.axes.Axes
    """
    record = _record(found)
    return _changes(found, record, ax) if record["kind"] == "change" else _responses(found, record, ax)


def _record(found: Analysis) -> dict[str, Any]:
    of_type("found", found, Analysis, "what dosefind.analyze returns")
    record = found.summary.attrs.get("efficacy")
    if record is None:
        raise InputError(Problem("found", found.summary.attrs["protocol"], "must be an analysis with responses"))
    return record


def _amounts(found: Analysis) -> tuple[np.ndarray, str]:
    return found.summary["dose_amount"].values, found.summary["dose_amount"].attrs["units"]


def _abreast(at: np.ndarray, record: dict[str, Any]) -> list[tuple[float, dict[str, Any]]]:
    """Return the known patients of each dose, side by side within its slot, each with the place on the horizontal axis."""
    places = []
    for d, x in enumerate(at):
        known = [patient for patient in record["patients"] if patient["level"] == d + 1 and patient["kind"] == "known"]
        known.sort(key=lambda patient: patient["value"])
        step = min(0.1, _SPREAD / max(len(known), 1))
        places += [(x + step * (k - (len(known) - 1) / 2), patient) for k, patient in enumerate(known)]
    return places


def _patients(ax: Axes, places: list[tuple[float, float]], face: str, marker: str, words: str) -> None:
    """Draw patients at these places, with their meaning in the key; nothing if there are none."""
    from matplotlib.lines import Line2D

    if places:
        look: dict[str, Any] = {"ls": "none", "marker": marker, "ms": 4, "mfc": face, "mec": INK, "mew": 0.8}
        x, y = zip(*places, strict=True)
        ax.plot(x, y, zorder=5, **look)
        key(ax, [Line2D([], [], **look)], [words])


def _responses(found: Analysis, record: dict[str, Any], ax: Axes | None) -> Axes:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    summary = found.summary
    amounts, dose_unit = _amounts(found)
    mean, low, high = (summary[name].values for name in ("response_mean", "response_lower", "response_upper"))
    names = [str(name) for name in summary["response_prior"].values]
    with drawing(ax) as ax:
        at = slots(ax, 1, len(amounts))
        percent_axis(ax, 1.0, _("Response rate"))
        for (colour, marker, offset), name, middle, lower, upper in zip(_PRIORS, names, mean, low, high, strict=False):
            look: dict[str, Any] = {"color": colour, "marker": marker, "ms": 4.5, "lw": 1.2, "capsize": 2.5}
            handle: Any = Line2D([], [], color=colour, marker=marker, ms=4.5, lw=1.2)
            if marker == "s":
                ax.fill_between(at + offset, lower, upper, facecolor=PALE, edgecolor="none", zorder=1)
                handle = (Patch(facecolor=PALE), handle)
            if marker != "o":
                ax.plot(at + offset, middle, color=colour, lw=0.8, zorder=2)
            ax.errorbar(at + offset, middle, np.array([middle - lower, upper - middle]), ls="none", zorder=4, **look)
            key(ax, [handle], [name])
        places = _abreast(at, record)
        for value, face, words in ((1, INK, _("patient with a response")), (0, "white", _("patient without a response"))):
            y = 1 - _EDGE_ROW if value else _EDGE_ROW
            _patients(ax, [(x, y) for x, patient in places if patient["value"] == value], face, "D", words)
        title(ax, shown(record["endpoint"]))
        cells = {_("responses / known"): _pairs(summary), **_waiting(summary)}
        dose_rows(ax, at, amounts, dose_unit, cells)
        notes(ax, _("Estimates are posterior means with 95% intervals, under three priors."))
    each = _("{rate} at {dose}")
    by_prior = []
    for k, name in enumerate(names):
        rates = [each.format(rate=percent(mean[k, d]), dose=_dose(amounts[d], dose_unit)) for d in range(len(amounts))]
        by_prior.append(_("{prior}: {rates}").format(prior=name, rates=listed(rates)))
    return describe(
        ax,
        _("{endpoint} by dose").format(endpoint=spoken(record["endpoint"])),
        _("Responses of the known patients: {pairs}.").format(
            pairs=listed(
                [f"{pair} {_('at')} {_dose(value, dose_unit)}" for pair, value in zip(_pairs(summary), amounts, strict=True)]
            )
        ),
        _("Posterior means of the response rate: {rates}.").format(rates="; ".join(by_prior)),
    )


def _changes(found: Analysis, record: dict[str, Any], ax: Axes | None) -> Axes:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    summary = found.summary
    amounts, dose_unit = _amounts(found)
    mean, low, high = (summary[name].values for name in ("change_mean", "change_lower", "change_upper"))
    with drawing(ax) as ax:
        at = slots(ax, 1, len(amounts))
        ax.fill_between(at, low, high, facecolor=PALE, edgecolor="none", zorder=1)
        ax.plot(at, mean, color=BLUE, marker="s", ms=4.5, lw=1.2, zorder=3)
        ax.axhline(0.0, color=FAINT, lw=0.8, ls=":", zorder=2)
        places = _abreast(at, record)
        _change_axis(ax, np.array([*low, *high, 0.0, *(patient["value"] for _x, patient in places)]))
        line = Line2D([], [], color=BLUE, marker="s", ms=4.5, lw=1.2)
        key(ax, [(Patch(facecolor=PALE), line)], [_("posterior mean and 95% interval")])
        for composite, face, marker, words in ((False, "white", "D", _("patient")), (True, INK, "X", _("death or rescue"))):
            those = [(x, patient["value"]) for x, patient in places if patient["composite"] == composite]
            _patients(ax, those, face, marker, words)
        key(ax, [Line2D([], [], color=FAINT, lw=0.8, ls=":")], [_("no change")])
        ax.set_ylabel(_("Change ({unit})").format(unit=shown(record["unit"])) if record["unit"] else _("Change"), parse_math=False)
        title(ax, shown(record["endpoint"]))
        dose_rows(ax, at, amounts, dose_unit, {_("known"): [str(n) for n in summary["response_n"].values], **_waiting(summary)})
        better = _("A lower change is better.") if record["better"] == "lower" else _("A higher change is better.")
        notes(ax, _("The mean is averaged over dose-response shapes."), better)
    each = _("{mean} (95% interval {low} to {high}) at {dose}")
    rates = [
        each.format(mean=f"{mean[d]:.2f}", low=f"{low[d]:.2f}", high=f"{high[d]:.2f}", dose=_dose(amounts[d], dose_unit))
        for d in range(len(amounts))
    ]
    return describe(
        ax,
        _("{endpoint} by dose").format(endpoint=spoken(record["endpoint"])),
        _("Posterior mean of the change: {rates}.").format(rates=listed(rates)),
        better,
    )


def _change_axis(ax: Axes, values: np.ndarray) -> None:
    """Set a vertical axis that holds the values, with no tick at its ends."""
    from matplotlib.ticker import MaxNLocator

    margin = 0.06 * max(float(np.ptp(values)), 1e-9)
    low, high = float(values.min()) - margin, float(values.max()) + margin
    at = [tick for tick in MaxNLocator(6).tick_values(low, high) if low + margin / 2 < tick < high - margin / 2]
    ticks(ax, "y", at, [f"{tick:.6g}" for tick in at])
    ax.set_ylim(low, high)


def _pairs(summary: Any) -> list[str]:
    pairs = zip(summary["responses"].values, summary["response_n"].values, strict=True)
    return [f"{responses}/{n}" if n else "\u2013" for responses, n in pairs]


def _waiting(summary: Any) -> dict[str, list[str]]:
    """Return rows of pending and missing patients, where there are any."""
    names = {"response_pending": _("pending"), "response_missing": _("missing")}
    return {words: [str(n) for n in summary[name].values] for name, words in names.items() if summary[name].values.any()}


def _dose(value: float, dose_unit: str) -> str:
    return amount(float(value), unit(spoken(dose_unit)))


def utility(found: Analysis, ax: Axes | None = None) -> Axes:
    """Draw the expected utility of each dose under each prior of the response rates, with P(largest utility).

    Parameters
    ----------
    found
        What `dosefind.analyze` returned with responses, by a config that states utilities.
    ax
        Axes to draw on; new ones by default.

    Returns
    -------
    matplotlib.axes.Axes
    """
    from matplotlib.lines import Line2D

    record, summary = _record(found), found.summary
    changes = record["kind"] == "change"
    name = "expected_utility_of_change" if changes else "expected_utility"
    if name not in summary:
        raise InputError(Problem("found", record["endpoint"], "must be an analysis by a config that states utilities"))
    amounts, dose_unit = _amounts(found)
    values = np.atleast_2d(summary[name].values)
    labels = [_("expected utility")] if changes else [str(label) for label in summary["response_prior"].values]
    with drawing(ax, 45) as ax:
        at = slots(ax, 1, len(amounts))
        top = max(100.0, float(values.max()))
        ax.set_ylim(min(0.0, float(values.min())), top)
        ax.set_ylabel(_("Expected utility"))
        for (colour, marker, offset), label, each in zip(_PRIORS, labels, values, strict=False):
            # One series alone stands in the middle of its slot.
            ax.plot(at + offset * (len(labels) > 1), each, ls="none", color=colour, marker=marker, ms=5.5, zorder=3)
            key(ax, [Line2D([], [], ls="none", color=colour, marker=marker, ms=5.5)], [label])
        chosen = record.get("choice")
        if chosen is not None:
            ax.axvspan(chosen - 0.32, chosen + 0.32, facecolor=ORANGE, alpha=0.25, zorder=0)
            from matplotlib.patches import Patch

            key(ax, [Patch(facecolor=ORANGE, alpha=0.25)], [_("largest expected utility")])
        title(ax, _("Expected utility by dose"))
        cells = {} if changes else {_("P(largest utility), %"): _chances(summary, record)}
        dose_rows(ax, at, amounts, dose_unit, cells)
        notes(ax, _("Utilities are the sponsor's; the committee decides on the dose."))
    each_dose = _("{utility} at {dose}")
    rates = [each_dose.format(utility=f"{values[0, d]:.1f}", dose=_dose(amounts[d], dose_unit)) for d in range(len(amounts))]
    best = "" if chosen is None else _("It is largest at level {level}.").format(level=chosen)
    return describe(
        ax, _("Expected utility by dose"), _("The expected utility is {utilities}.").format(utilities=listed(rates)), best
    )


def _chances(summary: Any, record: dict[str, Any]) -> list[str]:
    values = summary["p_largest_utility"].values[0]
    compared = record["among"] if len(record["among"]) > 1 else []
    return [in_percent(p) if d + 1 in compared else "\u2013" for d, p in enumerate(values)]
