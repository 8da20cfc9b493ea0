"""Charts of an analysis: the curve, interval probabilities, the MTD, prior and posterior."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.special import expit, logit

from .._check import of_type
from ..figures import in_percent, percent
from ..summaries import support_words
from ..tasks import Analysis
from .layout import beside, dose_label, dose_rows, drawing, form_of, key, notes, percent_axis, room, rows, slots, title
from .style import (
    BLUE,
    FAINT,
    INK,
    PALE,
    SKY,
    TOO_TOXIC,
    amount,
    describe,
    dlts,
    dose_text,
    listed,
    patients,
    rates,
    shown,
    spoken,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["curve", "intervals", "mtd", "prior_posterior"]

# About how many points of a band are computed, which takes a hundredth to a tenth of a second each, and how many are drawn.
_POINTS, _SMOOTH = 7, 101
# Parts of a chart's width that lie between the lowest and the highest dose, and beyond each of them.
_SHARE, _MARGIN = 0.7, 0.035
# Area of the largest square of an observed rate, in square points, and the number of patients that it stands for at least.
_LARGEST, _MANY = 122, 18
# Fill and line of a band up to the highest dose treated, and beyond it.
_KNOWN: tuple[str, Any] = (PALE, "-")
_UNKNOWN: tuple[str, Any] = ("#F0F3F6", (0, (4, 2)))


def curve(found: Analysis, ax: Axes | None = None) -> Axes:
    """Draw the dose-toxicity curve: posterior median and 95% interval of the DLT rate, the data and the target.

    Between the doses there is a band where the curve is on a dose scale; beyond the highest dose treated, for which there are no
    data, its line is dashed.

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
    low, middle, high = (case.values[name] for name in ("lower", "median", "upper"))
    n, y = case.values["n"], case.values["dlts"]
    cells = {"DLTs / patients": [f"{a}/{b}" if b else "\u2013" for a, b in zip(y, n, strict=True)]}
    marks = ["\u25b2" if case.rp2d == str(level) else "" for level in range(1, len(n) + 1)]
    cells |= {"meets limit": marks} if any(marks) else {}
    top = max(high.max(), case.interval[1], *(y / np.maximum(n, 1)))
    with drawing(ax) as ax:
        scale = DoseAxis.of(case.amounts, room(ax)[0], cells.values())
        scale.on(ax)
        percent_axis(ax, min(1.0, top + 0.03 * top), "DLT rate")
        _curve_key(ax)
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
        if n.any():
            _observed(ax, scale.at(case.amounts), n, y)
        _target(ax, case)
        case.head(ax, "DLT rate by dose")
        dose_rows(ax, scale.at(case.amounts), case.amounts, case.unit, cells)
        supported = f"\u25b2 {support_words(case.attrs)}." if any(marks) else case.no_rp2d
        case.notes(ax, scale.words, supported)
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


def _curve_key(ax: Axes) -> None:
    from matplotlib.lines import Line2D

    key(ax, [Line2D([], [], color=BLUE, marker="o", ms=3.5, lw=1.2)], ["posterior median and 95% interval"])


def _observed(ax: Axes, x: np.ndarray, n: np.ndarray, y: np.ndarray) -> None:
    """Draw the observed rates as squares, larger with more patients but never too small to be seen."""
    from matplotlib.lines import Line2D

    tried = n > 0
    area = 14 + (_LARGEST - 14) * n[tried] / max(n.max(), _MANY)
    look: dict[str, Any] = {"marker": "s", "facecolor": "none", "edgecolor": INK, "lw": 1.0}
    ax.scatter(x[tried], y[tried] / n[tried], area, zorder=5, clip_on=False, **look)
    key(ax, [Line2D([], [], color=INK, marker="s", ms=5, mfc="none", ls="none")], ["observed DLT rate (larger: more patients)"])


def _band(ax: Axes, found: Analysis, scale: DoseAxis) -> None:
    """Draw median and 95% band between the doses, dashed and lighter beyond the highest dose treated."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch
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
    for part, (colour, style), words in (
        (known, _KNOWN, "between doses"),
        (unknown, _UNKNOWN, "beyond the highest dose treated"),
    ):
        if part.sum() > 1:
            x = scale.at(points[part])
            ax.fill_between(x, band[0, part], band[2, part], facecolor=colour, edgecolor="none", zorder=1)
            ax.plot(x, band[1, part], color=BLUE, lw=1.4, ls=style, zorder=3)
            key(ax, [(Patch(facecolor=colour), Line2D([], [], color=BLUE, lw=1.4, ls=style))], [words])


def _target(ax: Axes, case: _Case) -> None:
    """Draw the target and its interval, with their values on the right."""
    from matplotlib.lines import Line2D

    for rate, style in ((case.interval[0], ":"), (case.target, "-"), (case.interval[1], ":")):
        ax.axhline(rate, color=FAINT, lw=0.8, ls=style, zorder=2)
    beside(ax, {f"{100 * rate:g}%": rate for rate in (case.target, *case.interval)})
    lines = [Line2D([], [], color=FAINT, lw=0.8, ls=style) for style in ("-", ":")]
    key(ax, lines, ["target", "target interval"])


def intervals(found: Analysis, ax: Axes | None = None) -> Axes:
    """Draw the interval probabilities of each dose: DLT rate below, in or above the target interval.

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
    labels = {
        "over": f"overdose: {100 * high:g}% or more",
        "target": f"target interval: {rates(low, high)}",
        "under": f"underdose: below {100 * low:g}%",
    }
    with drawing(ax) as ax:
        from matplotlib.lines import Line2D

        at = slots(ax, 1, len(case.amounts))
        percent_axis(ax, 1.0, "Probability")
        base = np.zeros(len(at))
        handles: list[Any] = []
        for name, chance in parts.items():
            handles.append(ax.bar(at, chance, 0.62, base, **looks[name]))
            base = base + chance
        limit: dict[str, Any] = {"color": INK, "lw": 1.0, "ls": (0, (4, 2))}
        for look in ({"color": "white", "lw": 2.4}, limit):
            ax.axhline(case.limit, **look)
        beside(ax, {f"{100 * case.limit:g}%": case.limit})
        case.head(ax, "DLT rate relative to the target interval")
        key(ax, [*handles, Line2D([], [], **limit)], [*labels.values(), "limit for P(overdose)"])
        names = {"under": "underdose, %", "target": "target, %", "over": "overdose, %"}
        cells = {heading: [case.share(f"p_{name}", d) for d in range(len(at))] for name, heading in names.items()}
        dose_rows(ax, at, case.amounts, case.unit, cells)
        case.notes(ax, case.rp2d_words)
    by_dose = [
        f"{percent(parts['under'][d])} underdose, {percent(parts['target'][d])} target interval and {percent(parts['over'][d])} "
        f"overdose at {case.dose(d)}"
        for d in range(len(case.amounts))
    ]
    return describe(
        ax,
        f"DLT rate relative to the target interval, {case.state}",
        f"The posterior probabilities are {'; '.join(by_dose)}.",
        f"Underdose is a DLT rate below {100 * low:g}%, the target interval is {rates(low, high)}, overdose is {100 * high:g}% "
        "or more.",
        case.rp2d_words,
        case.trust,
    )


def mtd(found: Analysis, ax: Axes | None = None) -> Axes:
    """Draw the posterior distribution of the MTD beside its prior.

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
    with drawing(ax, 40) as ax:
        at = slots(ax, 0, len(labels))
        percent_axis(ax, 1.03 * max(now.max(), before.max()), "Probability")
        handles = [
            ax.bar(at - 0.18, before, 0.3, facecolor="white", edgecolor=FAINT, lw=0.9, ls=(0, (3, 1.5))),
            ax.bar(at + 0.18, now, 0.3, facecolor=BLUE),
        ]
        case.head(ax, "probability that a level is the MTD")
        key(ax, handles, [case.prior, "posterior"])
        cells = {
            "level": [*map(str, labels[:-1]), f"\u2265 {len(labels) - 1}"],
            "dose": ["\u2013", *map(dose_text, case.amounts)],
            "prior, %": [in_percent(p) for p in before],
            "posterior, %": [case.share("mtd", i) for i in range(len(labels))],
        }
        rows(ax, at, cells, dose_label(case.unit))
        case.notes(ax, f"The MTD is the highest level whose DLT rate is at most {100 * case.target:g}%.")
    places = ["below level 1", *(f"at level {label}" for label in labels[1:])]
    parts = [f"{percent(now[i])} {place} ({percent(before[i])} {case.before})" for i, place in enumerate(places)]
    return describe(
        ax,
        f"Probability that a level is the MTD, {case.state}",
        f"The posterior probability is {listed(parts)}.",
        f"The MTD is the highest level whose DLT rate is at most the target of {100 * case.target:g}%.",
        case.trust,
    )


def prior_posterior(found: Analysis, ax: Axes | None = None) -> Axes:
    """Draw prior and posterior of the DLT rate of each dose, with the effective sample size of the prior.

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
    size = [f"{value:.1f}" for value in case.values["prior_effective_n"]]
    with drawing(ax) as ax:
        from matplotlib.lines import Line2D

        at = slots(ax, 1, len(case.amounts))
        percent_axis(ax, 1.03 * max(*(part.max() for part in both), case.interval[1]), "DLT rate")
        handles = [
            _spread(ax, at + shift, part, look) for shift, part, look in zip((-0.14, 0.14), both, (_BEFORE, _NOW), strict=True)
        ]
        key(ax, handles, [f"{case.prior} (mark: median)", "posterior (mark: median)"])
        key(ax, [Line2D([], [], color=FAINT, lw=width) for width in (3.2, 1.0)], ["50% interval", "95% interval (prior: dashed)"])
        _target(ax, case)
        case.head(ax, "prior and posterior of the DLT rate")
        dose_rows(ax, at, case.amounts, case.unit, {"patients": [str(n) for n in case.values["n"]], "prior ESS": size})
        case.notes(ax, "Prior ESS: effective sample size of the prior, in patients.")
    by_dose = [
        f"at {case.dose(d)} it is {_median(both[1][d])} in the posterior and {_median(both[0][d])} {case.before}, with a prior "
        f"effective sample size of {size[d]} patients and {patients(case.values['n'][d])} treated"
        for d in range(len(case.amounts))
    ]
    return describe(
        ax,
        f"Prior and posterior of the DLT rate, {case.state}",
        f"The median of the DLT rate with its 95% interval: {'; '.join(by_dose)}.",
        case.target_words,
        case.trust,
    )


# Probabilities of the quantiles of which an interval is drawn.
_SPREAD = (0.025, 0.25, 0.5, 0.75, 0.975)
_BEFORE: dict[str, Any] = {"color": FAINT, "mfc": "white", "marker": "D", "ls": (0, (3, 1.5))}
_NOW: dict[str, Any] = {"color": BLUE, "mfc": BLUE, "marker": "o", "ls": "-"}


def _spread(ax: Axes, x: np.ndarray, rows: np.ndarray, look: dict[str, Any]) -> Any:
    """Draw 95% and 50% intervals and the median, one upright line per dose; return their handle for the key."""
    from matplotlib.lines import Line2D

    ax.vlines(x, rows[:, 0], rows[:, 4], color=look["color"], lw=1.0, ls=look["ls"], zorder=3)
    ax.vlines(x, rows[:, 1], rows[:, 3], color=look["color"], lw=3.2, zorder=3)
    ax.plot(x, rows[:, 2], look["marker"], color=look["color"], mfc=look["mfc"], ms=4.5, zorder=4, clip_on=False)
    return Line2D([], [], color=look["color"], mfc=look["mfc"], marker=look["marker"], ms=4.5, ls=look["ls"], lw=1.0)


def _median(row: np.ndarray) -> str:
    return f"{percent(row[2])} ({percent(row[0])} to {percent(row[4])})"


def _seen(n: int, y: int) -> str:
    return f"{dlts(y)} in {patients(n)} {'was' if y == 1 else 'were'} seen" if n else "no patients"


class _Case(NamedTuple):
    """Facts and sentences that all charts of an analysis share."""

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

    def after(self, between: str) -> str:
        """Return after which data the analysis is, with words between patients and DLTs."""
        n, y = (int(self.values[name].sum()) for name in ("n", "dlts"))
        return f"after {patients(n)}{between}{dlts(y)}" if n else self.before

    @property
    def before(self) -> str:
        """Which data are not part of the prior; with borrowing, the other trials' data are."""
        return "before any data of its own" if "borrowed_n" in self.values else "before any data"

    @property
    def prior(self) -> str:
        """Name of the prior in a key."""
        return "prior (with the data of other trials)" if "borrowed_n" in self.values else "prior"

    @property
    def state(self) -> str:
        """Trial and its data so far, in words."""
        return f"{spoken(self.name)} {self.after(' and ')}"

    def head(self, ax: Axes, words: str) -> None:
        """Register the title."""
        title(ax, f"{shown(self.name)} {self.after(', ')}: {words}")

    def dose(self, index: int) -> str:
        """Return a dose for a sentence."""
        return f"level {index + 1} ({amount(self.amounts[index], spoken(self.unit))})"

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
        """Return a probability in percent, with its Monte Carlo standard error where it has one."""
        text = in_percent(self.values[name][at])
        error = self.values.get(f"{name}_se")
        return text if error is None else f"{text} \u00b1{100 * error[at]:.1g}"

    @property
    def problems(self) -> list[str]:
        return self.attrs["problems"]

    @property
    def trust(self) -> str:
        """Method and diagnostics, or the reasons not to trust the results."""
        curve_used = spoken(self.attrs["curve_used"])
        if self.problems:
            return f"These results cannot be trusted: {'; '.join(self.problems)}."
        if "rhat" not in self.attrs:
            return f"Curve {curve_used}, by quadrature."
        return (
            f"Curve {curve_used}, sampled by NUTS: R-hat at most {self.attrs['rhat']:.3f}, effective sample size at least "
            f"{min(self.attrs['ess_bulk'], self.attrs['ess_tail']):.0f}; \u00b1 is one Monte Carlo standard error."
        )

    def notes(self, ax: Axes, *sentences: str) -> None:
        """Register sentences below the chart; only the warning where the results cannot be trusted."""
        notes(ax, *(() if self.problems else sentences), self.trust, warning=bool(self.problems))


class DoseAxis(NamedTuple):
    """Horizontal scale of dose amounts: linear, logarithmic or equally spaced, the first that leaves room for the table below."""

    kind: str
    amounts: np.ndarray

    @classmethod
    def of(cls, amounts: np.ndarray, width: float, cells: Iterable[Sequence[str]]) -> DoseAxis:
        """Choose the scale for a chart of this width in points, with rows of cells below the doses."""
        table = [[dose_text(amount) for amount in amounts], *cells]
        span = _SHARE * width
        scales = {}
        for kind, x in (("linear", amounts), ("log", np.log(amounts)), ("equal", np.arange(len(amounts)))):
            at = span * (x - x[0]) / ((x[-1] - x[0]) or 1.0)
            forms = [form_of(row, at, (-_MARGIN * width, span + _MARGIN * width)) for row in table]
            scales[kind] = (any(form.every > 1 for form in forms), any(form.turned for form in forms))
        return cls(min(scales, key=lambda kind: scales[kind]), amounts)

    @property
    def words(self) -> str:
        return {"linear": "", "log": "Doses on a logarithmic scale.", "equal": "Levels equally spaced."}[self.kind]

    def at(self, amounts: np.ndarray) -> np.ndarray:
        """Return the horizontal coordinates of amounts."""
        return np.interp(amounts, self.amounts, np.arange(1, len(self.amounts) + 1)) if self.kind == "equal" else amounts

    def between(self, amounts: np.ndarray, about: int) -> np.ndarray:
        """Return the amounts and others between them, about this number in total, evenly spaced between two doses."""
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
