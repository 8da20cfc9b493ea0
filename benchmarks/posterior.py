"""How many posteriors a second by quadrature, and how wrong are they, by grid, patients and prior?

``python -m benchmarks.posterior`` fits the same simulated data sets on a ladder of fixed grids and on the adaptive one, prints
tables and saves them as JSON with machine, versions and load. ``--quick`` takes fewer data sets.

Every fit gives P(DLT), and the probabilities of lying below two cut points, at five doses. Data sets are escalated three
patients at a time on doses with sorted uniform DLT rates: up after no DLT, down after two. The error is the worst over all
sets and figures, against a grid of an eighth of the first step and half as wide again; what the fit claims of its own error stands
beside it. Seconds are wall-clock, the median of three runs on one thread; a missed goal is printed, never an error.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.measure import load_average, machine, timed
from dosefind import BivariateNormal, InputError, Logistic, Logistic2, Power
from dosefind.models import Curve
from dosefind.posterior.quadrature import HALF_WIDTH, ROUGH_WIDTH, Nodes, Quadrature, settled_at
from dosefind.provenance import refuse_to_overwrite, versions, write_whole

DOSES = (1.0, 2.0, 4.0, 8.0, 16.0)
SKELETON = (0.05, 0.12, 0.25, 0.4, 0.55)
RATES = (0.16, 0.33)
PATIENTS = (15, 30, 75)
SEED = 20240607
# Halvings of the first step, and half widths in prior standard deviations.
LADDER = tuple((halvings, width) for halvings in (-1, -0.5, 0, 0.5, 0.75, 1) for width in (ROUGH_WIDTH, HALF_WIDTH))
REFERENCE = (3, 1.5 * HALF_WIDTH)
TOLERANCE = 1e-6


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


def measure(curve: Curve, patients: int, count: int) -> list[dict[str, Any]]:
    """Speed, true error and claimed error of each grid."""
    n, y = data_sets(patients, count)
    quadrature = Quadrature(curve, columns)
    right = Quadrature(curve, columns)._on_grid(*REFERENCE, n, y)[0]
    fits: list[tuple[str, tuple[float, float] | None, Any]] = [
        (f"step x {2.0 ** -key[0]:.2g}, width {key[1]:g}", key, partial(quadrature._on_grid, *key, n, y)) for key in LADDER
    ]
    fits.append((f"adaptive, to {TOLERANCE:g}", None, partial(quadrature.expect, n, y, settled_at(TOLERANCE), ROUGH_WIDTH)))
    fits.append(("single precision", (0, ROUGH_WIDTH), partial(quadrature._rough, n, y)))
    lines = []
    for grid, key, fit in fits:
        fit()  # makes the grid
        (values, claimed, *_), runs = timed(fit, 3)
        record = runs.record()
        line = {"grid": grid, "nodes": None if key is None else len(quadrature._grids[key].columns)}
        line |= {"fits_per_second": count / record["seconds"], "worst_error": float(np.abs(values - right).max())}
        lines.append(line | {"worst_claim": float(np.max(claimed[np.isfinite(claimed)], initial=0.0)), **record})
    return lines


def shown(name: str, patients: int, lines: list[dict[str, Any]]) -> Table:
    table = Table(title=f"{name}: {patients} patients", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for heading in ("grid", "nodes", "fits a second", "worst error", "claimed"):
        table.add_column(heading, justify="left" if heading == "grid" else "right")
    for line in lines:
        nodes = "" if line["nodes"] is None else f"{line['nodes']:,}"
        table.add_row(
            line["grid"], nodes, f"{line['fits_per_second']:,.0f}", f"{line['worst_error']:.0e}", f"{line['worst_claim']:.0e}"
        )
    return table


def verdict(name: str, patients: int, lines: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The fastest grid that is right to the tolerance, against the goal."""
    if (name, patients) not in GOALS:
        return None
    good = [line for line in lines if line["worst_error"] <= TOLERANCE]
    best = max(good, key=lambda line: line["fits_per_second"], default=None)
    reached = best is not None and best["fits_per_second"] >= GOALS[name, patients]
    found = "none" if best is None else f"{best['fits_per_second']:,.0f} a second ({best['grid']})"
    text = f"{name}, {patients} patients, error at most {TOLERANCE:g}: {GOALS[name, patients]:,} a second; {found}"
    return {"text": text, "reached": reached}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.posterior", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="200 data sets each in place of 1,000")
    parser.add_argument("--out", type=Path, default=Path("posterior.json"), metavar="FILE.json", help="default: %(default)s")
    parser.add_argument("--force", action="store_true", help="overwrite the file if it is there")
    options = parser.parse_args()
    try:
        refuse_to_overwrite(options.out.parent, [options.out.name], options.force)
    except InputError as error:
        parser.error(str(error))
    return options


def main() -> None:
    options = arguments()
    console = Console(width=None if sys.stdout.isatty() else 120)
    start, load = time.perf_counter(), load_average()
    rows, verdicts = [], []
    for name, curve in curves().items():
        for patients in PATIENTS:
            lines = measure(curve, patients, 200 if options.quick else 1000)
            rows.append({"curve": name, "patients": patients, "lines": lines})
            console.print(shown(name, patients, lines), "")
            verdicts.append(verdict(name, patients, lines))
    verdicts = [one for one in verdicts if one]
    for one in verdicts:
        console.print(f"{'reached' if one['reached'] else 'MISSED'}  {one['text']}", highlight=False)
    stamp = machine() | {"load_average_at_start": load, "load_average_at_end": load_average()}
    seconds = time.perf_counter() - start
    console.print(
        f"{stamp['cpu']}, {stamp['cores']} cores, load {load[0]} to {stamp['load_average_at_end'][0]}; {seconds:.0f} s in all"
    )
    content = {
        "machine": stamp,
        "versions": versions(),
        "quick": options.quick,
        "seconds": seconds,
        "to_reach": verdicts,
        "rows": rows,
    }
    text = json.dumps(content, indent=1) + "\n"
    write_whole(options.out.parent, {options.out.name: lambda path: path.write_text(text, encoding="utf-8")})
    console.print(f"saved {options.out}")


if __name__ == "__main__":
    main()
