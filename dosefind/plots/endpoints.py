"""Charts of endpoints by dose: change from baseline, ratio to baseline, times to events, liver safety. Every patient is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._check import of_type, one_of
from ..figures import percent
from ..tasks.endpoints import BASELINE, POOLED, EndpointSummary
from ..words import _
from .layout import drawing, key, notes, percent_axis, rows, title
from .style import BLUE, FAINT, INK, ORANGE, RED, RULE, SKY, amount, describe, listed, shown, spoken, ticks, unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["changes", "events", "liver", "ratios"]

_LOOKS = ((BLUE, "o"), (RED, "s"), (INK, "^"), (SKY, "D"), (ORANGE, "v"))
# Part of a slot over which the doses are spread, and over which the patients of a dose are.
_SPREAD, _ABREAST = 0.6, 0.06
# Multiples of the upper limit of normal, as in FDA's guidance on drug-induced liver injury (2009).
_ALT, _BILIRUBIN = 3.0, 2.0


def changes(found: EndpointSummary, parameter: str, ax: Axes | None = None) -> Axes:
    """Draw the change from baseline of every patient by visit, and the mean of each dose with its 95% t interval.

    Parameters
    ----------
    found
        What `dosefind.summarize_endpoints` returned.
    parameter
        Key of a parameter that is analysed as a change.
    ax
        Axes to draw on; new ones by default.

    Returns
    -------
    matplotlib.axes.Axes
    """
    names = _visits(found, parameter, "change")
    own = found.endpoints.parameters[parameter]
    of = {name: place for place, name in enumerate(names)}
    lines = _lines(found, parameter, of, lambda value: value.change)
    with drawing(ax, 62) as ax:
        means = {}
        for level, (colour, marker, offset) in _looks(found).items():
            cells = [found.cells[parameter, level, name] for name in names]
            means[level] = [(cell.change_mean, cell.change_low, cell.change_high, cell.n_change) for cell in cells]
            _draw(ax, found, level, colour, marker, offset, lines.get(level, {}), means[level])
        ax.axhline(0, color=RULE, lw=0.8, zorder=0)
        cut = _around_patients(ax, lines, lambda value: value, lambda value: value)
        _plain_ticks(ax)
        ax.set_ylabel(_with_unit(_("Change from baseline"), own.unit))
        _visit_rows(ax, found, names, {level: [str(cell[3]) for cell in cells] for level, cells in means.items()})
        heading = _heading(own.label)
        title(ax, heading)
        better = {"lower": _("Lower is better."), "higher": _("Higher is better.")}.get(own.better or "", "")
        notes(
            ax, _("Thin lines are patients; marks are means with 95% t intervals. Missing values are not filled in."), better, cut
        )
    sentences = [_mean_words(found, level, names, cells, own.digits) for level, cells in means.items()]
    return describe(ax, heading, *sentences)


def ratios(found: EndpointSummary, parameter: str, ax: Axes | None = None) -> Axes:
    """Draw the ratio to baseline of every patient by visit, and the ratio of geometric means of each dose with its 95% interval.

    Parameters
    ----------
    found
        What `dosefind.summarize_endpoints` returned.
    parameter
        Key of a parameter that is analysed as a ratio.
    ax
        Axes to draw on; new ones by default.

    Returns
    -------
    matplotlib.axes.Axes
    """
    names = _visits(found, parameter, "ratio")
    own = found.endpoints.parameters[parameter]
    of = {name: place for place, name in enumerate(names)}
    bases = {value.subject: value.value for value in found.values if value.parameter == parameter and value.visit == BASELINE}

    def ratio(value: Any) -> float | None:
        base = bases.get(value.subject)
        return value.value / base if base and value.value else None

    lines = _lines(found, parameter, of, ratio)
    table = {(row.level, row.visit): row for row in found.ratios if row.parameter == parameter}
    with drawing(ax, 62) as ax:
        ax.set_yscale("log")
        means = {}
        for level, (colour, marker, offset) in _looks(found).items():
            cells = [table[level, name] for name in names]
            means[level] = [(cell.ratio, cell.low, cell.high, cell.n) for cell in cells]
            _draw(ax, found, level, colour, marker, offset, lines.get(level, {}), means[level])
        ax.axhline(1, color=RULE, lw=0.8, zorder=0)
        for number in sorted({visit.infusion for visit in found.endpoints.visits.values() if visit.infusion}):
            at = next((of[name] for name in names if found.endpoints.visits[name].infusion == number), None)
            if at is not None:
                ax.axvline(at - 0.5, color=FAINT, lw=0.6, ls=":", zorder=0)
        cut = _around_patients(ax, lines, np.log, np.exp)
        low, high = ax.get_ylim()
        at = [value for value in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if low <= value <= high]
        ticks(ax, "y", at, [f"{value:g}" for value in at])
        ax.minorticks_off()
        ax.set_ylabel(_("Ratio to baseline"))
        _visit_rows(ax, found, names, {level: [str(cell[3]) for cell in cells] for level, cells in means.items()})
        heading = _heading(own.label)
        title(ax, heading)
        notes(
            ax,
            _("Thin lines are patients, values below the limit of quantification at the limit; dotted lines are infusions."),
            _("Marks are ratios of geometric means with 95% intervals; there is none where more than half are below the limit."),
            cut,
        )
    sentences = [_mean_words(found, level, names, cells, 2) for level, cells in means.items()]
    return describe(ax, heading, *sentences)


def events(found: EndpointSummary, parameter: str, ax: Axes | None = None) -> Axes:
    """Draw survival (Kaplan-Meier) or cumulative incidence (Aalen-Johansen) of each dose.

    Parameters
    ----------
    found
        What `dosefind.summarize_endpoints` returned.
    parameter
        Key of a parameter of kind "survival" or "event".
    ax
        Axes to draw on; new ones by default.

    Returns
    -------
    matplotlib.axes.Axes
    """
    from matplotlib.lines import Line2D

    of_type("found", found, EndpointSummary, "what dosefind.summarize_endpoints returns")
    timed = [name for name, one in found.endpoints.parameters.items() if one.timed]
    own = found.endpoints.parameters[one_of("parameter", parameter, timed)]
    survives = own.kind == "survival"
    follow = [one for one in found.follow_up if one.parameter == parameter]
    last = max((one.day for one in follow), default=1)
    table = {row.level: row for row in found.timed if row.parameter == parameter}
    with drawing(ax, 50) as ax:
        top = 1.0 if survives else max((step.rate for step in found.steps if step.parameter == parameter), default=0.1)
        percent_axis(ax, max(top, 0.1), _("Survival") if survives else _("Cumulative incidence"))
        # Room for the first column of the table below.
        ax.set_xlim(-0.05 * last, last * 1.05)
        for level, (colour, marker, _offset) in _looks(found).items():
            steps = [step for step in found.steps if step.parameter == parameter and step.level == level]
            end = max((one.day for one in follow if one.level == level), default=0)
            x = [0, *(step.day for step in steps), end]
            y = [1.0 if survives else 0.0, *(step.rate for step in steps)]
            ax.plot(x, [*y, y[-1]], drawstyle="steps-post", color=colour, lw=1.3, zorder=3)
            held = [one.day for one in follow if one.level == level and not one.cause]
            at = [y[int(np.searchsorted(x[:-1], day, side="right")) - 1] for day in held]
            ax.plot(held, at, ls="none", marker=marker, ms=3.5, mfc="white", mec=colour, mew=0.9, zorder=4, clip_on=False)
            key(ax, [Line2D([], [], color=colour, lw=1.3, marker=marker, ms=3.5, mfc="white", mec=colour)], [_dose(found, level)])
        at = np.arange(0, last + 1, 56 if last <= 500 else 182)
        risk = {
            _("at risk, level {level}").format(level=level): [
                str(sum(one.day >= day for one in follow if one.level == level)) for day in at
            ]
            for level in found.levels
        }
        rows(ax, at, {_("day"): [f"{day:g}" for day in at], **risk}, _("Study day"))
        heading = _heading(own.label)
        title(ax, heading)
        if survives:
            notes(ax, _("Kaplan-Meier; open marks are patients without an event at the end of their follow-up."))
        else:
            competing = listed([_(_COMPETING[name]) for name in own.competing])
            notes(ax, _("Aalen-Johansen, competing: {events}; open marks are ends of follow-up.").format(events=competing))
    sentences = []
    for level in found.levels:
        row = table[level]
        words = _("{dose}: {n} of {treated} patients with an event.")
        words = words.format(dose=_dose(found, level), n=row.events, treated=row.treated)
        sentences.append(words)
    pooled = table[POOLED]
    if np.isfinite(pooled.rate):
        words = _("All doses together on day {day}: {rate}.")
        sentences.append(words.format(day=found.endpoints.rate_day, rate=percent(pooled.rate)))
    return describe(ax, heading, *sentences)


_COMPETING = {"death": "death", "transplant": "transplant"}


def liver(found: EndpointSummary, ax: Axes | None = None) -> Axes:
    """Draw the largest ALT and bilirubin of each patient after the first infusion, in multiples of the upper limit of normal.

    Parameters
    ----------
    found
        What `dosefind.summarize_endpoints` returned.
    ax
        Axes to draw on; new ones by default.

    Returns
    -------
    matplotlib.axes.Axes
    """
    from matplotlib.lines import Line2D

    of_type("found", found, EndpointSummary, "what dosefind.summarize_endpoints returns")
    with drawing(ax, 70) as ax:
        ax.set_xscale("log")
        ax.set_yscale("log")
        for level, (colour, marker, _offset) in _looks(found).items():
            own = [peak for peak in found.peaks if peak.level == level]
            for peak in own:
                if np.isfinite(peak.bilirubin_baseline):
                    ax.plot([peak.alt, peak.alt], [peak.bilirubin_baseline, peak.bilirubin], color=colour, lw=0.6, alpha=0.5)
            look: dict[str, Any] = {"ls": "none", "marker": marker, "ms": 5, "mfc": colour, "mec": "white", "mew": 0.5}
            ax.plot([peak.alt for peak in own], [peak.bilirubin for peak in own], zorder=4, **look)
            key(ax, [Line2D([], [], **look)], [_dose(found, level)])
        ends = [value for peak in found.peaks for value in (peak.alt, peak.bilirubin, peak.bilirubin_baseline) if value > 0]
        low, high = min([0.3, *ends]) * 0.8, max([12.0, *ends]) * 1.25
        ax.set_xlim(low, high)
        ax.set_ylim(low, high)
        ax.axvline(_ALT, color=FAINT, lw=0.8, ls="--", zorder=0)
        ax.axhline(_BILIRUBIN, color=FAINT, lw=0.8, ls="--", zorder=0)
        at = [value for value in (0.1, 0.2, 0.5, 1, 2, 3, 5, 10, 20, 50, 100) if low <= value <= high]
        for axis in ("x", "y"):
            ticks(ax, axis, at, [f"{value:g}" for value in at])
        ax.minorticks_off()
        ax.set_xlabel(_("Largest ALT (multiple of the upper limit of normal)"))
        ax.set_ylabel(_("Largest total bilirubin (multiple of the upper limit of normal)"))
        heading = _("Liver safety")
        title(ax, heading)
        notes(
            ax,
            _("Each mark is a patient; a thin line leads from bilirubin at baseline. Dashed: ALT 3 times, bilirubin 2 times."),
            _("In decompensated cirrhosis bilirubin is raised at baseline, so the upper right part is not evidence of Hy's law."),
        )
    inside = [peak.subject for peak in found.peaks if peak.alt > _ALT and peak.bilirubin > _BILIRUBIN]
    words = _("{n} of {patients} patients above both limits.").format(n=len(inside), patients=len(found.peaks))
    return describe(ax, heading, words)


def _visits(found: EndpointSummary, parameter: str, kind: str) -> list[str]:
    of_type("found", found, EndpointSummary, "what dosefind.summarize_endpoints returns")
    of_kind = [name for name, one in found.endpoints.parameters.items() if one.kind == kind]
    return list(found.endpoints.planned(one_of("parameter", parameter, of_kind)))


def _looks(found: EndpointSummary) -> dict[int, tuple[str, str, float]]:
    """Return colour, marker and offset within a slot of each level."""
    levels = found.levels
    step = _SPREAD / max(len(levels), 1)
    return {level: (*_LOOKS[place % len(_LOOKS)], step * (place - (len(levels) - 1) / 2)) for place, level in enumerate(levels)}


def _lines(
    found: EndpointSummary, parameter: str, of: dict[str, int], of_value: Any
) -> dict[int, dict[str, list[tuple[int, float]]]]:
    """Return the places and values of each patient, by level."""
    lines: dict[int, dict[str, list[tuple[int, float]]]] = {}
    for value in found.values:
        if value.parameter == parameter and value.visit in of and value.level is not None:
            number = of_value(value)
            if number is not None:
                lines.setdefault(value.level, {}).setdefault(value.subject, []).append((of[value.visit], number))
    return lines


def _draw(
    ax: Axes,
    found: EndpointSummary,
    level: int,
    colour: str,
    marker: str,
    offset: float,
    lines: dict[str, list[tuple[int, float]]],
    means: Sequence[tuple[float, float, float, int]],
) -> None:
    """Draw the patients of a dose, and its means with their intervals."""
    from matplotlib.lines import Line2D

    for place, points in enumerate(lines.values()):
        x, y = zip(*sorted(points), strict=True)
        beside = offset + _ABREAST * (place - (len(lines) - 1) / 2) / max(len(lines) / 3, 1)
        ax.plot(np.array(x) + beside, y, color=colour, lw=0.5, alpha=0.55, marker=".", ms=2.5, mew=0, zorder=2)
    middle, low, high, _n = (np.array(part, float) for part in zip(*means, strict=True))
    at = np.arange(len(means)) + offset
    known = np.isfinite(middle)
    spans = known & np.isfinite(low) & np.isfinite(high)
    look: dict[str, Any] = {"color": colour, "lw": 1.3, "capsize": 2.0, "zorder": 4}
    ax.errorbar(at[spans], middle[spans], np.array([(middle - low)[spans], (high - middle)[spans]]), ls="none", **look)
    ax.plot(at[known], middle[known], ls="none", marker=marker, ms=4.5, mfc=colour, mec="white", mew=0.5, zorder=5)
    key(ax, [Line2D([], [], color=colour, lw=1.3, marker=marker, ms=4.5, mec="white", mew=0.5)], [_dose(found, level)])


def _around_patients(ax: Axes, lines: dict[int, dict[str, list[tuple[int, float]]]], scale: Any, back: Any) -> str:
    """Set the vertical axis by the values of patients; return a sentence if intervals are longer than it."""
    values = [scale(value) for own in lines.values() for points in own.values() for _at, value in points]
    if not values:
        return ""
    low, high = min([*values, 0.0]), max([*values, 0.0])
    room = 0.3 * (high - low or 1.0)
    before = ax.get_ylim()
    ax.set_ylim(back(low - room), back(high + room))
    after = ax.get_ylim()
    return _("Intervals longer than the axis are cut.") if before[0] < after[0] or before[1] > after[1] else ""


def _plain_ticks(ax: Axes) -> None:
    """Set ticks within the vertical axis only."""
    from matplotlib.ticker import MaxNLocator

    low, high = ax.get_ylim()
    at = [value for value in MaxNLocator(7).tick_values(low, high) if low <= value <= high]
    ticks(ax, "y", at, [f"{value:.6g}" for value in at])


def _visit_rows(ax: Axes, found: EndpointSummary, names: Sequence[str], counts: dict[int, list[str]]) -> None:
    at = np.arange(len(names))
    ax.set_xlim(-0.5, len(names) - 0.5)
    cells = {_("n, level {level}").format(level=level): numbers for level, numbers in counts.items()}
    rows(ax, at, {_("visit"): [shown(name, 20) for name in names], **cells}, _("Visit"))


def _mean_words(
    found: EndpointSummary, level: int, names: Sequence[str], cells: Sequence[tuple[float, float, float, int]], digits: int
) -> str:
    parts = [
        _("{value} at {visit}").format(value=f"{cell[0]:.{digits}f}", visit=spoken(name))
        for name, cell in zip(names, cells, strict=True)
        if np.isfinite(cell[0])
    ]
    return _("{dose}: {means}.").format(dose=_dose(found, level), means=listed(parts)) if parts else ""


def _heading(label: str) -> str:
    words = shown(label)
    return words[:1].upper() + words[1:]


def _dose(found: EndpointSummary, level: int) -> str:
    return _("level {level}: {dose}").format(level=level, dose=amount(found.amounts[level - 1], unit(shown(found.unit))))


def _with_unit(words: str, of: str) -> str:
    return f"{words} ({unit(shown(of))})" if of else words
