"""How many posteriors a second by quadrature, and how wrong are they, by grid, patients and prior?

The same simulated data sets are fitted on a ladder of fixed grids and on the adaptive one.

Every fit gives P(DLT), and the probabilities of lying below two cut points, at five doses. Data sets are escalated three
patients at a time on doses with sorted uniform DLT rates: up after no DLT, down after two. The error is the worst over all
sets and figures, against a grid of an eighth of the first step and half as wide again; what the fit claims of its own error stands
beside it. Seconds are wall-clock, the median of five runs on one thread.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.measure import timed
from benchmarks.picture import figure_of, footing, heading
from benchmarks.study import Study, circumstances
from dosefind import BivariateNormal, Logistic, Logistic2, Power
from dosefind.models import Curve
from dosefind.plots import style
from dosefind.posterior.quadrature import HALF_WIDTH, ROUGH_WIDTH, Nodes, Quadrature, settled_at

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DOSES = (1.0, 2.0, 4.0, 8.0, 16.0)
SKELETON = (0.05, 0.12, 0.25, 0.4, 0.55)
RATES = (0.16, 0.33)
PATIENTS = (15, 30, 75)
SEED = 20240607
# Halvings of the first step, and half widths in prior standard deviations.
LADDER = tuple((halvings, width) for halvings in (-1, -0.5, 0, 0.5, 0.75, 1) for width in (ROUGH_WIDTH, HALF_WIDTH))
REFERENCE = (3, 1.5 * HALF_WIDTH)
TOLERANCE = 1e-6
ADAPTIVE = f"adaptive, to {TOLERANCE:g}"


def curves() -> dict[str, Curve]:
    """The curves, by name; the first two-parameter prior is that of the goals."""
    wide, usual = (BivariateNormal(mean=(-0.85, 0.0), sd=sd) for sd in ((2.0, 1.0), (1.0, 0.5)))
    return {
        "power, prior sd 1.16": Power(skeleton=SKELETON),
        "logistic, prior sd 1.16": Logistic(skeleton=SKELETON),
        "logistic-2, prior sd 2 and 1": Logistic2(doses=DOSES, reference=8.0, prior=wide),
        "logistic-2, prior sd 1 and 0.5": Logistic2(doses=DOSES, reference=8.0, prior=usual),
    }


GOALS = {("logistic-2, prior sd 2 and 1", patients): goal for patients, goal in ((15, 20_000), (30, 20_000), (75, 5_000))}


def columns(nodes: Nodes) -> np.ndarray:
    return np.column_stack([nodes.probabilities(), *(nodes.below(rate) for rate in RATES)])


def data_sets(patients: int, count: int, doses: int = len(DOSES), seed: int = SEED) -> tuple[np.ndarray, np.ndarray]:
    """Patients and DLTs of trials of so many patients, each ``(count, doses)``."""
    random = np.random.default_rng(seed)
    truths = np.sort(random.uniform(size=(count, doses)), axis=1)
    n, y = np.zeros((2, count, doses), int)
    each, dose = np.arange(count), np.zeros(count, int)
    for _ in range(patients // 3):
        dlts = random.binomial(3, truths[each, dose])
        n[each, dose] += 3
        y[each, dose] += dlts
        dose = np.clip(dose + np.where(dlts == 0, 1, np.where(dlts >= 2, -1, 0)), 0, doses - 1)
    return n, y


def measure(name: str, curve: Curve, patients: int, count: int) -> Iterator[dict[str, Any]]:
    """Speed, true error and claimed error of each grid."""
    n, y = data_sets(patients, count)
    quadrature = Quadrature(curve, columns)
    right = Quadrature(curve, columns)._on_grid(*REFERENCE, n, y)[0]
    fits: list[tuple[str, tuple[float, float] | None, Any]] = [
        (f"step x {2.0 ** -key[0]:.2g}, width {key[1]:g}", key, partial(quadrature._on_grid, *key, n, y)) for key in LADDER
    ]
    fits.append((ADAPTIVE, None, partial(quadrature.expect, n, y, settled_at(TOLERANCE), ROUGH_WIDTH)))
    fits.append(("single precision", (0, ROUGH_WIDTH), partial(quadrature._rough, n, y)))
    for grid, key, fit in fits:
        fit()  # makes the grid
        (values, claimed, *_), runs = timed(fit, 5)
        row = {"name": f"{name}: {patients} patients, {grid}", "status": "done", "curve": name, "patients": patients, "grid": grid}
        row |= {"nodes": None if key is None else len(quadrature._grids[key].columns)}
        row |= {"worst_error": float(np.abs(values - right).max())}
        yield row | {"worst_claim": float(np.max(claimed[np.isfinite(claimed)], initial=0.0))} | runs.record(fits=count)


def rows(options: argparse.Namespace, progress: Console) -> Iterator[dict[str, Any]]:
    for name, curve in curves().items():
        for patients in PATIENTS:
            with progress.status(f"{name}: {patients} patients"):
                found = list(measure(name, curve, patients, 100 if options.quick else 1000))
            yield from found


def by_case(rows: list[dict[str, Any]]) -> list[tuple[tuple[str, int], list[dict[str, Any]]]]:
    """The rows of each curve and number of patients."""
    return [(key, list(some)) for key, some in groupby(rows, key=lambda row: (row["curve"], row["patients"]))]


def show(console: Console, rows: list[dict[str, Any]]) -> None:
    for (curve, patients), some in by_case(rows):
        table = Table(title=f"{curve}: {patients} patients", title_justify="left", box=None, padding=(0, 2, 0, 0))
        for head in ("grid", "nodes", "fits a second", "worst error", "claimed"):
            table.add_column(head, justify="left" if head == "grid" else "right")
        for row in some:
            nodes = "" if row["nodes"] is None else f"{row['nodes']:,}"
            errors = (f"{row[name]:.0e}" for name in ("worst_error", "worst_claim"))
            table.add_row(row["grid"], nodes, f"{row['fits_per_second']:,.0f}", *errors)
        console.print(table, "")


def goals(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The fastest grid that is right to the tolerance, against the goal."""
    found = []
    for (name, patients), some in by_case(rows):
        if (name, patients) in GOALS:
            good = [row for row in some if row["worst_error"] <= TOLERANCE]
            best = max(good, key=lambda row: row["fits_per_second"], default=None)
            reached = best is not None and best["fits_per_second"] >= GOALS[name, patients]
            words = "none" if best is None else f"{best['fits_per_second']:,.0f} a second ({best['grid']})"
            text = f"{name}, {patients} patients, error at most {TOLERANCE:g}: {GOALS[name, patients]:,} a second; {words}"
            found.append({"text": text, "reached": reached})
    return found


# Each number of patients has a marker and a kind of line.
LOOKS = {15: ("o", "-"), 30: ("s", "--"), 75: ("^", ":")}


def draw(content: Mapping[str, Any]) -> Axes:
    """Speed against error, a panel a curve: what is right lies on the left, what is fast at the top."""
    by_curve = {curve: list(some) for curve, some in groupby(by_case(content["rows"]), key=lambda one: one[0][0])}
    deep = (len(by_curve) + 1) // 2
    with style.settings():
        figure = figure_of(style.WIDTH, 20 + 65 * deep)
        heading(figure, content["question"])
        foot = "Lines join the grids than which none is both faster and more exact. Filled: the adaptive grid; grey: its tolerance."
        footing(figure, f"{foot} {circumstances(content)}.")
        axes = list(figure.subplots(deep, 2, squeeze=False).flat)
        for ax, (curve, cases) in zip(axes, by_curve.items(), strict=False):
            _panel(ax, curve, cases)
        for ax in axes[len(by_curve) :]:
            ax.set_visible(False)
        axes[0].legend(frameon=False, loc="lower right")
    said = [
        f"{curve}, {patients} patients, {row['grid']}: {row['fits_per_second']:,.0f} fits a second, error {row['worst_error']:.0e}."
        for (curve, patients), some in by_case(content["rows"])
        for row in some
        if row["grid"] == ADAPTIVE
    ]
    return style.describe(axes[0], content["question"].rstrip("?"), *said)


def _panel(ax: Axes, curve: str, cases: list[tuple[tuple[str, int], list[dict[str, Any]]]]) -> None:
    from matplotlib.ticker import LogLocator

    for (_, patients), some in cases:
        # An error of 0 has no place on a logarithmic axis.
        at = {row["grid"]: (max(row["worst_error"], 1e-17), row["fits_per_second"]) for row in some}
        adaptive, (marker, kind) = at.pop(ADAPTIVE), LOOKS[patients]
        best = [one for one in sorted(at.values()) if one[1] >= max(speed for error, speed in at.values() if error <= one[0])]
        ax.plot(
            *zip(*best, strict=True), kind, marker=marker, markerfacecolor="white", markersize=4, linewidth=0.8, color=style.BLUE
        )
        ax.plot(*adaptive, marker, markersize=7, color=style.RED, label=f"{patients} patients")
    ax.axvline(TOLERANCE, color=style.RULE, zorder=0)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.xaxis.set_major_locator(LogLocator(numticks=5))
    ax.xaxis.set_major_formatter("{x:.0e}")
    ax.yaxis.set_major_formatter("{x:,.0f}")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_minor_formatter(lambda value, _: "")
    ax.set_title(curve, parse_math=False)
    ax.set_xlabel("worst error")
    ax.set_ylabel("fits a second")


STUDY = Study(
    __file__,
    __doc__,
    quick="100 data sets each in place of 1,000",
    rows=rows,
    show=show,
    draw=draw,
    goals=goals,
    figures={"fits_per_second": "more", "worst_error": "less", "worst_claim": "less"},
)

if __name__ == "__main__":
    raise SystemExit(STUDY.main())
