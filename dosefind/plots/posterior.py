"""Pictures of an analysis: the curve, interval probabilities, the MTD, prior against posterior."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.special import expit, logit

from .._check import of_type
from ..summaries import support_words
from ..tasks import Analysis
from .style import (
    BLUE,
    FAINT,
    INK,
    PALE,
    SKY,
    TOO_TOXIC,
    amount,
    beside,
    describe,
    dlts,
    dose_rows,
    drawing,
    foot,
    key,
    listed,
    patients,
    percent,
    percent_axis,
    rates,
    said,
    shown,
    slots,
    title,
    under,
    unit,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["curve", "intervals", "mtd", "prior_posterior"]

# About how many points of a band are worked out, which takes a hundredth to a tenth of a second each, and how many are drawn.
_POINTS, _SMOOTH = 7, 101
# Least distance of neighbouring doses, as a share of the axis, that leaves room for what is written below them.
_ROOM = 0.055


def curve(found: Analysis, ax: Axes | None = None) -> Axes:
    """The dose-toxicity curve: posterior median and 95% interval of the DLT rate, the data and the target.

    Between the doses there is a band where the curve is on a dose scale; it is broken off after the highest dose tried, beyond
    which the data do not reach.

    Parameters
    ----------
    found
        What `dosefind.analyze` returned.
    ax
        Axes to draw on; new ones by default.

    Returns
    -------
    matplotlib.axes.Axes
    """
    case = _Case.of(found)
    scale = DoseAxis.of(case.amounts)
    low, middle, high = (case.values[name] for name in ("lower", "median", "upper"))
    n, y = case.values["n"], case.values["dlts"]
    top = max(high.max(), case.interval[1], *(y / np.maximum(n, 1)))
    with drawing(ax) as ax:
        scale.on(ax)
        percent_axis(ax, min(1.0, top + 0.03), "DLT rate")
        _target(ax, case)
        if found.posterior.curve.on_dose_scale and len(case.amounts) > 1:
            _band(ax, found, scale)
        ax.errorbar(
            scale.at(case.amounts),
            middle,
            np.array([middle - low, high - middle]),
            fmt="o",
            color=BLUE,
            ms=3.5,
            lw=1.2,
            capsize=2.5,
            zorder=4,
        )
        tried = n > 0
        # Larger with more patients, but never lost to sight.
        area = 14 + 6 * n[tried]
        observed = y[tried] / n[tried]
        ax.scatter(
            scale.at(case.amounts[tried]),
            observed,
            area,
            marker="s",
            facecolor="none",
            edgecolor=INK,
            lw=1.0,
            zorder=5,
            clip_on=False,
        )
        case.head(ax, "DLT rate by dose", 20)
        _curve_key(ax, bool(tried.any()))
        rows = {"DLTs / patients": [f"{a}/{b}" if b else "\u2013" for a, b in zip(y, n, strict=True)]}
        marks = ["\u25b2" if case.rp2d == str(level) else "" for level in range(1, len(n) + 1)]
        rows |= {"meets limit": marks} if any(marks) else {}
        case.foot(ax, dose_rows(ax, scale.at(case.amounts), case.amounts, case.unit, rows), scale.words, case.no_rp2d)
    by_dose = [
        f"{percent(middle[d])} ({percent(low[d])} to {percent(high[d])}) at {case.dose(d)}, where {_seen(n[d], y[d])}"
        for d in range(len(n))
    ]
    return describe(
        ax,
        f"DLT rate by dose, {case.state}",
        f"The posterior median of the DLT rate, with its 95% interval, is {listed(by_dose)}.",
        case.target_words,
        f"{support_words(case.attrs)}.",
        case.trust,
    )


def _band(ax: Axes, found: Analysis, scale: DoseAxis) -> None:
    """Median and 95% band between the doses, dashed and lighter beyond the highest dose tried."""
    from scipy.interpolate import PchipInterpolator

    amounts = found.summary["dose_amount"].values
    exact, place = DoseAxis("log", amounts).between(amounts, _POINTS), found.posterior.curve.coordinate
    rates_there = found.quantiles((0.025, 0.5, 0.975), exact).values
    points = scale.between(amounts, _SMOOTH)
    # Between the exact points a smooth line that rises wherever they do, on the scales on which a curve is nearest to straight.
    logits = logit(rates_there.clip(1e-12, 1 - 1e-12))
    band = expit(PchipInterpolator(place(exact), logits)(place(points))).T
    tried = amounts[found.summary["n"].values > 0]
    known = points <= (tried.max() if len(tried) else 0.0)
    unknown = ~known | (points == points[known].max()) if known.any() else ~known
    for part, colour, style in ((known, PALE, "-"), (unknown, "#F0F3F6", (0, (4, 2)))):
        if part.sum() > 1:
            x = scale.at(points[part])
            ax.fill_between(x, band[0, part], band[2, part], facecolor=colour, edgecolor="none", zorder=1)
            ax.plot(x, band[1, part], color=BLUE, lw=1.4, ls=style, zorder=3)


def _target(ax: Axes, case: _Case) -> None:
    """The target and its interval, named on the right."""
    for rate, style in ((case.interval[0], ":"), (case.target, "-"), (case.interval[1], ":")):
        ax.axhline(rate, color=FAINT, lw=0.8, ls=style, zorder=2)
    marks = {f"target {100 * case.target:g}%": case.target}
    beside(ax, marks | {f"{100 * rate:g}%": rate for rate in case.interval})


def _curve_key(ax: Axes, observed: bool) -> None:
    from matplotlib.lines import Line2D

    interval = Line2D([], [], color=BLUE, marker="o", ms=3.5, lw=1.2)
    square = Line2D([], [], color=INK, marker="s", ms=5, mfc="none", ls="none")
    handles, labels = [interval, square], ["median and 95% interval of the DLT rate", "rate observed (larger: more patients)"]
    key(ax, handles[: 1 + observed], labels[: 1 + observed])


def intervals(found: Analysis, ax: Axes | None = None) -> Axes:
    """Interval probabilities by dose: that the DLT rate lies below, in or above the target interval.

    Parameters
    ----------
    found
        What `dosefind.analyze` returned.
    ax
        Axes to draw on; new ones by default.

    Returns
    -------
    matplotlib.axes.Axes
    """
    case = _Case.of(found)
    parts = {name: case.values[f"p_{name}"] for name in ("over", "target", "under")}
    looks: dict[str, dict[str, Any]] = {
        "over": TOO_TOXIC,
        "target": {"facecolor": SKY},
        "under": {"facecolor": PALE},
    }
    low, high = case.interval
    said_of = {
        "over": f"over: {100 * high:g}% or more",
        "target": f"target interval: {rates(low, high)}",
        "under": f"under: below {100 * low:g}%",
    }
    with drawing(ax) as ax:
        at = slots(ax, 1, len(case.amounts))
        percent_axis(ax, 1.0, "probability")
        base = np.zeros(len(at))
        handles = []
        for name, chance in parts.items():
            handles.append(ax.bar(at, chance, 0.62, base, **looks[name]))
            base = base + chance
        for colour, width, style in (("white", 2.4, "-"), (INK, 1.0, (0, (4, 2)))):
            ax.axhline(case.limit, color=colour, lw=width, ls=style)
        beside(ax, {f"limit: over\nbelow {100 * case.limit:g}%": case.limit})
        case.head(ax, "where the DLT rate lies", 20)
        key(ax, handles, list(said_of.values()))
        rows = {f"{name}, %": [case.share(f"p_{name}", d) for d in range(len(at))] for name in ("under", "target", "over")}
        case.foot(ax, dose_rows(ax, at, case.amounts, case.unit, rows), case.rp2d_words)
    by_dose = [
        f"{percent(parts['under'][d])} under, {percent(parts['target'][d])} in the target interval and {percent(parts['over'][d])} "
        f"over at {case.dose(d)}"
        for d in range(len(case.amounts))
    ]
    return describe(
        ax,
        f"Where the DLT rate lies, {case.state}",
        f"The posterior probabilities are {'; '.join(by_dose)}.",
        f"Under is a DLT rate below {100 * low:g}%, the target interval is {rates(low, high)}, over is {100 * high:g}% or more.",
        case.rp2d_words,
        case.trust,
    )


def mtd(found: Analysis, ax: Axes | None = None) -> Axes:
    """The posterior of the MTD beside its prior.

    Parameters
    ----------
    found
        What `dosefind.analyze` returned.
    ax
        Axes to draw on; new ones by default.

    Returns
    -------
    matplotlib.axes.Axes
    """
    case = _Case.of(found)
    labels = found.summary["mtd_level"].values
    now, before = case.values["mtd"], case.values["prior_mtd"]
    with drawing(ax, 70) as ax:
        at = slots(ax, 0, len(labels))
        percent_axis(ax, min(1.0, max(now.max(), before.max()) + 0.02), "probability")
        handles = [
            ax.bar(at - 0.18, before, 0.3, facecolor="white", edgecolor=FAINT, lw=0.9, ls=(0, (3, 1.5))),
            ax.bar(at + 0.18, now, 0.3, facecolor=BLUE),
        ]
        case.head(ax, "where the MTD lies", 20)
        key(ax, handles, [case.before, "now"])
        rows = {
            "level": [str(label).replace(" or above", "\u2009+") for label in labels],
            unit(shown(case.unit, 24)): ["", *(f"{amount:g}" for amount in case.amounts)],
            "before, %": [f"{100 * p:.1f}" for p in before],
            "now, %": [case.share("mtd", i) for i in range(len(labels))],
        }
        top = f"{labels[-1].split()[0]}\u2009+: that level or above." if len(labels) > 1 else ""
        lies = f"The MTD is the highest level whose DLT rate is at most {100 * case.target:g}%."
        case.foot(ax, under(ax, at, rows), lies, top)
    parts = [f"{percent(now[i])} {_where(label)} ({percent(before[i])} {case.before})" for i, label in enumerate(map(str, labels))]
    return describe(
        ax,
        f"Where the MTD lies, {case.state}",
        f"The posterior probability is {listed(parts)}.",
        f"The MTD is the highest level whose DLT rate is at most the target of {100 * case.target:g}%.",
        case.trust,
    )


def _where(label: str) -> str:
    """A label of where the MTD lies, in words."""
    if label.startswith("below"):
        return "below level 1"
    return f"at level {label}"


def prior_posterior(found: Analysis, ax: Axes | None = None) -> Axes:
    """The DLT rate of each dose before and after the data, with what the prior is worth in patients.

    Parameters
    ----------
    found
        What `dosefind.analyze` returned.
    ax
        Axes to draw on; new ones by default.

    Returns
    -------
    matplotlib.axes.Axes
    """
    case = _Case.of(found)
    both = [found.quantiles(_SPREAD, prior=before).values for before in (True, False)]
    worth = [f"{value:.1f}" for value in case.values["prior_effective_n"]]
    with drawing(ax) as ax:
        at = slots(ax, 1, len(case.amounts))
        percent_axis(ax, min(1.0, max(part.max() for part in both) + 0.02), "DLT rate")
        _target(ax, case)
        handles = [
            _spread(ax, at + shift, part, look) for shift, part, look in zip((-0.14, 0.14), both, (_BEFORE, _NOW), strict=True)
        ]
        case.head(ax, "DLT rate before and now", 20)
        key(ax, handles, [case.before, "now (mark: median; thick: 50%, thin: 95% interval)"])
        rows = {"patients": [str(n) for n in case.values["n"]], "prior ESS": worth}
        patients_worth = "Prior ESS: effective sample size of the prior, in patients."
        case.foot(ax, dose_rows(ax, at, case.amounts, case.unit, rows), patients_worth)
    by_dose = [
        f"at {case.dose(d)} it is {_median(both[1][d])} now and {_median(both[0][d])} {case.before}, where the prior is worth "
        f"{worth[d]} patients and {case.values['n'][d]} were treated"
        for d in range(len(case.amounts))
    ]
    return describe(
        ax,
        f"DLT rate before and after the data, {case.state}",
        f"The median of the DLT rate with its 95% interval: {'; '.join(by_dose)}.",
        case.target_words,
        case.trust,
    )


# Probabilities of the quantiles that an interval is drawn from.
_SPREAD = (0.025, 0.25, 0.5, 0.75, 0.975)
_BEFORE: dict[str, Any] = {"color": FAINT, "mfc": "white", "marker": "D", "ls": (0, (3, 1.5))}
_NOW: dict[str, Any] = {"color": BLUE, "mfc": BLUE, "marker": "o", "ls": "-"}


def _spread(ax: Axes, x: np.ndarray, rows: np.ndarray, look: dict[str, Any]) -> Any:
    """Intervals of 95% and 50% and the median, one upright line a dose; returns what stands for them in a key."""
    from matplotlib.lines import Line2D

    ax.vlines(x, rows[:, 0], rows[:, 4], color=look["color"], lw=1.0, ls=look["ls"], zorder=3)
    ax.vlines(x, rows[:, 1], rows[:, 3], color=look["color"], lw=3.2, zorder=3)
    ax.plot(x, rows[:, 2], look["marker"], color=look["color"], mfc=look["mfc"], ms=4.5, zorder=4, clip_on=False)
    return Line2D([], [], color=look["color"], mfc=look["mfc"], marker=look["marker"], ms=4.5, ls=look["ls"], lw=1.0)


def _median(row: np.ndarray) -> str:
    return f"{percent(row[2])} ({percent(row[0])} to {percent(row[4])})"


def _seen(n: int, y: int) -> str:
    return f"{dlts(y)} in {patients(n)} {'was' if y == 1 else 'were'} seen" if n else "nobody was treated"


class _Case(NamedTuple):
    """What all pictures of an analysis say."""

    name: str
    values: dict[str, np.ndarray]
    attrs: dict[str, Any]
    amounts: np.ndarray
    unit: str

    @classmethod
    def of(cls, found: Analysis) -> _Case:
        of_type("found", found, Analysis, "dosefind.analyze returns one")
        summary = found.summary
        values = {str(name): variable.values for name, variable in summary.variables.items()}
        dose_unit = summary["dose_amount"].attrs["units"]
        return cls(str(summary.attrs["protocol"]), values, dict(summary.attrs), values["dose_amount"], dose_unit)

    @property
    def target(self) -> float:
        return self.attrs["target"]

    @property
    def interval(self) -> Sequence[float]:
        return self.attrs["interval"]

    @property
    def limit(self) -> float:
        return self.attrs["rp2d_limit"]

    @property
    def rp2d(self) -> str:
        return self.attrs["rp2d"]

    @property
    def after(self) -> str:
        n, y = (int(self.values[name].sum()) for name in ("n", "dlts"))
        return f"after {patients(n)}, {dlts(y)}" if n else self.before

    @property
    def before(self) -> str:
        """What the prior is before: with borrowing, the other trials' data are part of it."""
        return "before any data of its own" if "borrowed_n" in self.values else "before any data"

    @property
    def state(self) -> str:
        """Which trial, and how far it has come, in words."""
        return f"{said(self.name)} {self.after.replace(',', ' and')}"

    def head(self, ax: Axes, words: str, above: float) -> None:
        """The title."""
        title(ax, f"{shown(self.name, 24)} {self.after}: {words}", above=above)

    def dose(self, index: int) -> str:
        """A dose in a sentence."""
        return f"level {index + 1} ({amount(self.amounts[index], said(self.unit))})"

    @property
    def target_words(self) -> str:
        return f"The target DLT rate is {100 * self.target:g}%, the target interval {rates(*self.interval)}."

    @property
    def rp2d_words(self) -> str:
        return f"{support_words(self.attrs)} ({self.attrs['rp2d_reason']})."

    @property
    def no_rp2d(self) -> str:
        return self.rp2d_words if self.rp2d == "none" else ""

    def share(self, name: str, at: int) -> str:
        """A probability in percent, with its Monte Carlo standard error where it has one."""
        text = f"{100 * self.values[name][at]:.1f}"
        error = self.values.get(f"{name}_se")
        return text if error is None else f"{text}\u2009\u00b1\u2009{100 * error[at]:.1g}"

    @property
    def problems(self) -> list[str]:
        return json.loads(self.attrs["problems"])

    @property
    def trust(self) -> str:
        """How far the figures can be trusted."""
        curve_used = said(self.attrs["curve_used"])
        if self.problems:
            return f"These figures cannot be trusted: {'; '.join(self.problems)}."
        if "rhat" not in self.attrs:
            return f"Curve {curve_used}, by quadrature."
        return (
            f"Curve {curve_used}, sampled by NUTS: R-hat at most {self.attrs['rhat']:.3f}, effective sample size at least "
            f"{min(self.attrs['ess_bulk'], self.attrs['ess_tail']):.0f}; \u00b1 is one Monte Carlo standard error."
        )

    def foot(self, ax: Axes, after: int, *sentences: str) -> None:
        """What holds for all of the picture, below so many rows."""
        foot(ax, after, *(() if self.problems else sentences), self.trust, trusted=not self.problems)


class DoseAxis(NamedTuple):
    """Where dose amounts stand on a horizontal axis: on a linear scale, a logarithmic one, or equally spaced, the first of these
    that leaves room for what is written below the doses.
    """

    kind: str
    amounts: np.ndarray

    @classmethod
    def of(cls, amounts: np.ndarray) -> DoseAxis:
        for kind, x in (("linear", amounts), ("log", np.log(amounts))):
            if len(x) == 1 or np.diff(x).min() >= _ROOM * (x[-1] - x[0]):
                return cls(kind, amounts)
        return cls("equal", amounts)

    @property
    def words(self) -> str:
        return {"linear": "", "log": "Doses on a logarithmic scale.", "equal": "Levels equally spaced."}[self.kind]

    def at(self, amounts: np.ndarray) -> np.ndarray:
        """Horizontal coordinates of amounts."""
        return np.interp(amounts, self.amounts, np.arange(1, len(self.amounts) + 1)) if self.kind == "equal" else amounts

    def between(self, amounts: np.ndarray, about: int) -> np.ndarray:
        """The amounts and others between them, about so many in all, evenly between two doses."""
        if len(amounts) == 1:
            return amounts
        each = max(1, round((about - 1) / (len(amounts) - 1)))
        spaced = np.geomspace if self.kind == "log" else np.linspace
        parts = [spaced(low, high, each + 1)[:-1] for low, high in pairwise(amounts.tolist())]
        points = np.append(np.concatenate(parts), amounts[-1])
        # The amounts themselves to the last bit.
        points[::each] = amounts
        return points

    def on(self, ax: Axes, right: float = 0.05) -> None:
        """Set the axis, with a margin on the right as a share of its length."""
        x = self.at(self.amounts)
        if self.kind == "log":
            ax.set_xscale("log")
            ax.set_xlim(x[0] * (x[0] / x[-1]) ** 0.05, x[-1] * (x[-1] / x[0]) ** right)
            ax.minorticks_off()
        else:
            length = x[-1] - x[0] or 10 * x[0]
            ax.set_xlim(x[0] - 0.05 * length, x[-1] + right * length)
