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
from ..words import _, n_dlts, n_patients
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
    dose_text,
    listed,
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
    cells = {_("DLTs / patients"): [f"{a}/{b}" if b else "\u2013" for a, b in zip(y, n, strict=True)]}
    marks = ["\u25b2" if case.rp2d == str(level) else "" for level in range(1, len(n) + 1)]
    cells |= {_("meets limit"): marks} if any(marks) else {}
    top = max(high.max(), case.interval[1], *(y / np.maximum(n, 1)))
    with drawing(ax) as ax:
        scale = DoseAxis.of(case.amounts, room(ax)[0], cells.values())
        scale.on(ax)
        percent_axis(ax, min(1.0, top + 0.03 * top), _("DLT rate"))
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
        case.head(ax, _("DLT rate by dose"))
        dose_rows(ax, scale.at(case.amounts), case.amounts, case.unit, cells)
        supported = f"\u25b2 {support_words(case.attrs)}." if any(marks) else case.no_rp2d
        case.notes(ax, scale.words, supported)
    by_dose = [
        _seen(n[d], y[d]).format(rate=_median([low[d], None, middle[d], None, high[d]]), dose=case.dose(d)) for d in range(len(n))
    ]
    return describe(
        ax,
        _("DLT rate by dose, {trial}").format(trial=case.state),
        _("The posterior median of the DLT rate, with its 95% interval, is {rates}.").format(rates=listed(by_dose)),
        case.target_words,
        f"{support_words(case.attrs)}.",
        case.trust,
    )


def _curve_key(ax: Axes) -> None:
    from matplotlib.lines import Line2D

    key(ax, [Line2D([], [], color=BLUE, marker="o", ms=3.5, lw=1.2)], [_("posterior median and 95% interval")])


def _observed(ax: Axes, x: np.ndarray, n: np.ndarray, y: np.ndarray) -> None:
    """Draw the observed rates as squares, larger with more patients but never too small to be seen."""
    from matplotlib.lines import Line2D

    tried = n > 0
    area = 14 + (_LARGEST - 14) * n[tried] / max(n.max(), _MANY)
    look: dict[str, Any] = {"marker": "s", "facecolor": "none", "edgecolor": INK, "lw": 1.0}
    ax.scatter(x[tried], y[tried] / n[tried], area, zorder=5, clip_on=False, **look)
    key(ax, [Line2D([], [], color=INK, marker="s", ms=5, mfc="none", ls="none")], [_("observed DLT rate (larger: more patients)")])


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
        (known, _KNOWN, _("between doses")),
        (unknown, _UNKNOWN, _("beyond the highest dose treated")),
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
    key(ax, lines, [_("target"), _("target interval")])


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
        "over": _("overdose: {high} or more").format(high=f"{100 * high:g}%"),
        "target": _("target interval: {rates}").format(rates=rates(low, high)),
        "under": _("underdose: below {low}").format(low=f"{100 * low:g}%"),
    }
    with drawing(ax) as ax:
        from matplotlib.lines import Line2D

        at = slots(ax, 1, len(case.amounts))
        percent_axis(ax, 1.0, _("Probability"))
        base = np.zeros(len(at))
        handles: list[Any] = []
        for name, chance in parts.items():
            handles.append(ax.bar(at, chance, 0.62, base, **looks[name]))
            base = base + chance
        limit: dict[str, Any] = {"color": INK, "lw": 1.0, "ls": (0, (4, 2))}
        for look in ({"color": "white", "lw": 2.4}, limit):
            ax.axhline(case.limit, **look)
        beside(ax, {f"{100 * case.limit:g}%": case.limit})
        case.head(ax, _("DLT rate relative to the target interval"))
        key(ax, [*handles, Line2D([], [], **limit)], [*labels.values(), _("limit for P(overdose)")])
        names = {"under": _("underdose, %"), "target": _("target, %"), "over": _("overdose, %")}
        cells = {heading: [case.share(f"p_{name}", d) for d in range(len(at))] for name, heading in names.items()}
        dose_rows(ax, at, case.amounts, case.unit, cells)
        case.notes(ax, case.rp2d_words)
    each = _("{under} underdose, {target} target interval and {over} overdose at {dose}")
    by_dose = [
        each.format(dose=case.dose(d), **{name: percent(chance[d]) for name, chance in parts.items()})
        for d in range(len(case.amounts))
    ]
    return describe(
        ax,
        _("DLT rate relative to the target interval, {trial}").format(trial=case.state),
        _("The posterior probabilities are {probabilities}.").format(probabilities="; ".join(by_dose)),
        _("Underdose is a DLT rate below {low}, the target interval is {rates}, overdose is {high} or more.").format(
            low=f"{100 * low:g}%", rates=rates(low, high), high=f"{100 * high:g}%"
        ),
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
        percent_axis(ax, 1.03 * max(now.max(), before.max()), _("Probability"))
        handles = [
            ax.bar(at - 0.18, before, 0.3, facecolor="white", edgecolor=FAINT, lw=0.9, ls=(0, (3, 1.5))),
            ax.bar(at + 0.18, now, 0.3, facecolor=BLUE),
        ]
        case.head(ax, _("probability that a level is the MTD"))
        key(ax, handles, [case.prior, _("posterior")])
        cells = {
            _("level"): ["< 1", *map(str, range(1, len(labels) - 1)), f"\u2265 {len(case.amounts)}"],
            _("dose"): ["\u2013", *map(dose_text, case.amounts)],
            _("prior, %"): [in_percent(p) for p in before],
            _("posterior, %"): [case.share("mtd", i) for i in range(len(labels))],
        }
        rows(ax, at, cells, dose_label(case.unit))
        definition = _("The MTD is the highest level whose DLT rate is at most the target of {target}.")
        definition = definition.format(target=f"{100 * case.target:g}%")
        case.notes(ax, definition)
    places = [
        _("{p} below level 1 ({prior} {before})"),
        *[_("{p} at level {level} ({prior} {before})")] * (len(labels) - 2),
        _("{p} at level {level} or above ({prior} {before})"),
    ]
    parts = [
        place.format(p=percent(now[i]), level=i, prior=percent(before[i]), before=case.before) for i, place in enumerate(places)
    ]
    return describe(
        ax,
        _("Probability that a level is the MTD, {trial}").format(trial=case.state),
        _("The posterior probability is {parts}.").format(parts=listed(parts)),
        definition,
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
        percent_axis(ax, 1.03 * max(*(part.max() for part in both), case.interval[1]), _("DLT rate"))
        handles = [
            _spread(ax, at + shift, part, look) for shift, part, look in zip((-0.14, 0.14), both, (_BEFORE, _NOW), strict=True)
        ]
        key(ax, handles, [_("{prior} (mark: median)").format(prior=case.prior), _("posterior (mark: median)")])
        key(
            ax,
            [Line2D([], [], color=FAINT, lw=width) for width in (3.2, 1.0)],
            [_("50% interval"), _("95% interval (prior: dashed)")],
        )
        _target(ax, case)
        case.head(ax, _("prior and posterior of the DLT rate"))
        dose_rows(ax, at, case.amounts, case.unit, {_("patients"): [str(n) for n in case.values["n"]], _("prior ESS"): size})
        case.notes(ax, _("Prior ESS: effective sample size of the prior, in patients."))
    each = _(
        "at {dose} it is {posterior} in the posterior and {prior} {before}, with a prior effective sample size of {size} patients "
        "and {patients} treated"
    )
    by_dose = [
        each.format(
            dose=case.dose(d),
            posterior=_median(both[1][d]),
            prior=_median(both[0][d]),
            before=case.before,
            size=size[d],
            patients=n_patients(int(case.values["n"][d])),
        )
        for d in range(len(case.amounts))
    ]
    return describe(
        ax,
        _("Prior and posterior of the DLT rate, {trial}").format(trial=case.state),
        _("The median of the DLT rate with its 95% interval: {rates}.").format(rates="; ".join(by_dose)),
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


def _median(row: Sequence[Any] | np.ndarray) -> str:
    return _("{median} ({low} to {high})").format(median=percent(row[2]), low=percent(row[0]), high=percent(row[4]))


def _seen(n: int, y: int) -> str:
    """Return a clause on the data at a dose, with places for its ``rate`` and the ``dose``."""
    if not n:
        return _("{rate} at {dose}, without patients")
    clause = _("{rate} at {dose} with {dlts} in {patients}")
    return clause.format(rate="{rate}", dose="{dose}", dlts=n_dlts(int(y)), patients=n_patients(int(n)))


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

    @property
    def after(self) -> str:
        """Return after which data the analysis is."""
        n, y = (int(self.values[name].sum()) for name in ("n", "dlts"))
        return _("after {patients} and {dlts}").format(patients=n_patients(n), dlts=n_dlts(y)) if n else self.before

    @property
    def before(self) -> str:
        """Return which data are not part of the prior; with borrowing, the other trials' data are."""
        return _("before any data of its own") if "borrowed_n" in self.values else _("before any data")

    @property
    def prior(self) -> str:
        """Return the name of the prior in a key."""
        return _("prior (with the data of other trials)") if "borrowed_n" in self.values else _("prior")

    @property
    def state(self) -> str:
        """Return the trial and its data so far, in words."""
        return _("{trial} {data}").format(trial=spoken(self.name), data=self.after)

    def head(self, ax: Axes, words: str) -> None:
        """Register the title."""
        title(ax, _("{trial} {data}: {words}").format(trial=shown(self.name), data=self.after, words=words))

    def dose(self, index: int) -> str:
        """Return a dose for a sentence."""
        return _("level {level} ({dose})").format(level=index + 1, dose=amount(self.amounts[index], spoken(self.unit)))

    @property
    def target_words(self) -> str:
        words = _("The target DLT rate is {target}, the target interval {interval}.")
        return words.format(target=f"{100 * self.target:g}%", interval=rates(*self.interval))

    @property
    def rp2d_words(self) -> str:
        return _("{support} ({reason}).").format(support=support_words(self.attrs), reason=self.attrs["rp2d_reason"])

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
        """Return method and diagnostics, or the reasons not to trust the results."""
        curve_used = spoken(self.attrs["curve_used"])
        if self.problems:
            return _("These results cannot be trusted: {problems}.").format(problems="; ".join(self.problems))
        if "rhat" not in self.attrs:
            return _("Curve {curve}, by quadrature.").format(curve=curve_used)
        words = _(
            "Curve {curve}, sampled by NUTS: R-hat at most {rhat}, effective sample size at least {size}; ± is one Monte Carlo "
            "standard error."
        )
        size = f"{min(self.attrs['ess_bulk'], self.attrs['ess_tail']):.0f}"
        return words.format(curve=curve_used, rhat=f"{self.attrs['rhat']:.3f}", size=size)

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
        return {"linear": "", "log": _("Doses on a logarithmic scale."), "equal": _("Levels equally spaced.")}[self.kind]

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
