"""How fast, and in how much memory, are exact operating characteristics and CRM fits, beside the same figures by Monte Carlo?

Every design is walked on 3, 5, 6 and 8 doses, with 10 and 20 cohorts of 3 and 30 and 40 cohorts of 1, and every lattice is weighed
by 1, 100 and 10,000 truths. The same is simulated, and by packages of R where they are on the machine (`benchmarks.peers`). It
needs Linux or macOS.

How it is measured
    One thread: the BLAS is held to one before NumPy is loaded. Seconds are wall-clock: the median of 5 runs if the first is below
    1 s, or the walk has a goal, of 3 of a weighing with a goal, else of one. The seconds of processor time are printed beside the
    goals: where they are clearly fewer, other programs shared the core. Every run has a new design, so nothing is carried over;
    imports do not count. Truths are sorted uniform numbers from a fixed seed; each run weighs a new lattice made of the same
    ends, so it includes the choice of dose at each end. The 3+3 ends by itself, or at the planned number of patients.

Memory
    Every cell runs in a process of its own, forked from one that stays small. "Account" is the most that the walk says that it
    held (``Ends.peak_bytes``), which is what it compares with its limit. "Process" is what the peak resident set of the process
    (``getrusage``) grew by from its beginning to the end of the first walk: what the operating system saw, temporary arrays and
    the gathering of the ends included.

Estimates
    Before a cell is run, its design is walked with 2/8, 3/8, ... of its cohorts, until a walk takes half a second. A trial's
    counts are two numbers a dose, so the states of a walk of m cohorts grow as a polynomial in m of degree at most 2 x doses,
    and the root of that order of the number of states is close to a straight line in m; a parabola through the last three roots
    is followed to the planned m. Seconds of processor time grow with the states to the power that the last two walks show, kept
    between 1.1 and 1.25 (a larger walk leaves the cache). Bytes, from the larger of account and process in the last walk, grow
    with one order less, for they are those of the last cohorts, not of all. The largest of these walks with at most 50,000 ends
    is weighed by 1, 100 and 1,000 truths; seconds grow with the ends, and with the truths along a straight line; each measured
    weighing of the planned walk corrects the next estimate. The estimate of a number of truths is that of the walk and the
    weighing together, from the measured walk once it is there. A cell whose estimate exceeds 60 s or the memory limit is
    refused, unless it has a goal.

Limits
    "Limit" is what the arithmetic alone takes in the same process, measured on as many of the same final states as stay in the
    cache and multiplied by their number; "x" is how many times that the figure before it took. Of a walk it is one product and
    one sum of multiplicities for each merged state and, for a model, the posteriors that were asked for, in single precision and
    in one batch (`exp` of one matrix product, and another); of a weighing, the matrix product of the counts with the log rates,
    `exp`, and the product with one column for each figure that is not 0.

Fits
    "fits/s" of a cell counts the posteriors that its walk asked for, refinement of the grid included, over the time inside the
    quadrature. The table of fits takes data sets of 1 to 30 patients on 5 doses from simulated CRM trials, one patient a cohort,
    whose truths are sorted uniform numbers. The error is the worst over all these sets, of the posterior mean of the curve's
    parameter, against 4,096 intervals.
"""

from __future__ import annotations

import argparse
import copy
import functools
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import peers
from benchmarks.measure import ChildFailed, in_child, peak_resident, timed
from benchmarks.picture import Line, Panel, lines
from benchmarks.study import Study, circumstances
from dosefind import BLRM, BOIN, CRM, InputError, Lattice, States, ThreePlusThree, lattice, skeleton
from dosefind.designs import Design, blrm
from dosefind.operating.simulation import simulated_figures
from dosefind.operating.walk import WalkTooLarge
from dosefind.posterior.quadrature import HALF_WIDTH, Nodes, Quadrature
from dosefind.trial import COUNT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TARGET, SEED = 0.30, 20240607
DESIGNS = ("3+3", "crm-power", "crm-logistic", "boin", "blrm")
DOSES = (3, 5, 6, 8)
PLANS = ((10, 3), (20, 3), (30, 1), (40, 1))
TRUTHS = (1, 100, 10_000)
LIMIT_SECONDS = 60.0
PROBE_SECONDS, PROBE_ENDS, QUICK_SECONDS = 0.5, 50_000, 5.0
GROWTH = (1.1, 1.25)
GIB = 2**30
# Final states and truths by which a limit is measured.
LIMIT_STATES, LIMIT_TRUTHS = 2**13, 2**8
DEFAULT_MEMORY = 6 * GIB

FIT_MODELS = ("power", "logistic")
FIT_DOSES, FIT_PATIENTS, FIT_SETS = 5, 30, 50_000
GRIDS = (48, 64, 96, 128, 192, 256, 384)
REFERENCE_GRID = 4096

MC_DOSES, MC_PLAN, MC_TRIALS = 5, (10, 3), 100_000
MC_TRUTH = (0.05, 0.12, 0.25, 0.40, 0.55)


@dataclass(frozen=True)
class Cell:
    """One design on so many doses, with so many cohorts of one size."""

    design: str
    doses: int
    cohorts: int
    size: int

    @property
    def name(self) -> str:
        return f"{self.design}/{self.doses}/{self.plan}"

    @property
    def plan(self) -> str:
        return f"{self.cohorts}x{self.size}"

    def make(self) -> Design:
        """The design itself, new, so that nothing that an earlier one worked out is used again."""
        shared: dict[str, Any] = {"n_doses": self.doses, "max_n": self.cohorts * self.size}
        if self.design == "3+3":
            return ThreePlusThree(**shared)
        shared |= {"target": TARGET, "cohort_size": self.size}
        if self.design == "boin":
            return BOIN(**shared)
        if self.design == "blrm":
            doses = tuple(2.0**level for level in range(self.doses))
            prior = {"mean": (-2.2, 0.0), "sd": (2.0, 1.0)}
            return BLRM(doses=doses, reference=doses[self.doses // 2], prior=prior, interval=(0.20, 0.40), **shared)
        model = self.design.removeprefix("crm-")
        prior_mtd = 2 if self.doses == 3 else 3
        rates = skeleton(0.05, target=TARGET, mtd_level=prior_mtd, n_doses=self.doses, model=model)
        return CRM(skeleton=rates, model=model, **shared)


@dataclass(frozen=True)
class Goal:
    """A figure to reach: at most so many seconds, or at least so many fits a second."""

    text: str
    row: str
    figure: str
    bound: float


SMALL = {name: Cell(name, 5, 10, 3) for name in DESIGNS[1:]}
LARGE = {name: Cell(name, 6, 30, 1) for name in DESIGNS[1:] if name != "blrm"}
GOALS = (
    *(
        Goal(f"5 doses, 10 cohorts of 3, {name}: walk", cell.name, "walk", 1.0 if name == "blrm" else 0.05)
        for name, cell in SMALL.items()
    ),
    *(
        Goal(f"6 doses, 30 cohorts of 1, {name}: walk", cell.name, "walk", 3.0 if name == "boin" else 1.0)
        for name, cell in LARGE.items()
    ),
    *(Goal(f"5 doses, 10 cohorts of 3, {name}: 10,000 truths more", cell.name, "10000", 1.0) for name, cell in SMALL.items()),
    Goal("CRM fits, power model, error at most 1e-6", "fits/power", "1e-6", 1.5e6),
    *(Goal(f"CRM fits, {model} model, error at most 1e-9", f"fits/{model}", "1e-9", 0.5e6) for model in FIT_MODELS),
)
NEVER_REFUSED = {(goal.row, goal.figure) for goal in GOALS}


# Measuring ------------------------------------------------------------------------------------------------------------


def random_truths(count: int, doses: int) -> np.ndarray:
    return np.sort(np.random.default_rng(SEED).uniform(size=(count, doses)), axis=1)


def fresh(walked: Lattice) -> Lattice:
    """The same ends, with nothing worked out from them yet."""
    return Lattice(walked.design.with_settings(max_n=walked.design.max_n), walked.n_doses, walked.ends)


def weigh(walked: Lattice, truths: np.ndarray) -> float:
    """Seconds of one weighing of all ends by all truths."""
    start = time.perf_counter()
    fresh(walked).under(truths)
    return time.perf_counter() - start


class CountedFits:
    """Counts the posteriors that a design asks for and the seconds that they take."""

    def __init__(self, design: Design) -> None:
        self.fits, self.seconds = 0, 0.0
        name = {CRM: "_decisive", BLRM: "_quadrature"}.get(type(design))
        if name is not None:
            # A copy, because designs share quadratures with their grids.
            quadrature = copy.copy(getattr(design, name))
            self._settle = quadrature.settle
            quadrature.settle = self
            vars(design)[name] = quadrature

    def __call__(self, n: np.ndarray, y: np.ndarray, settled: Any) -> Any:
        start = time.perf_counter()
        result = self._settle(n, y, settled)
        self.seconds += time.perf_counter() - start
        self.fits += len(n)
        return result


# Cells ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Probe:
    """What a walk of fewer cohorts took."""

    cohorts: int
    states: int
    ends: int
    seconds: float
    bytes: int
    weighing: dict[int, float]


@dataclass(frozen=True)
class Estimate:
    """What the planned walk will take, and seconds of weighing by 1, 100 and 1,000 truths for each end."""

    states: float
    seconds: float
    bytes: float
    ends: float
    weighing: dict[int, float]

    def of_truths(self, count: int, ends: float) -> float:
        """Seconds of weighing, a straight line between the measured numbers of truths and beyond the last."""
        low, high = (1, 100) if count <= 100 else (100, 1000)
        slope = (self.weighing[high] - self.weighing[low]) / (high - low)
        return ends * (self.weighing[low] + max(slope, 0.0) * (count - low))


def probe(cell: Cell) -> list[Probe]:
    """Walks of 2/8, 3/8, ... of the planned cohorts; the largest with few enough ends is also weighed."""
    probes: list[Probe] = []
    base = peak_resident()
    weighed: tuple[Probe, Lattice] | None = None
    for cohorts in sorted({max(2, cell.cohorts * eighths // 8) for eighths in range(2, 8)}):
        start = time.process_time()
        walked = lattice(replace(cell, cohorts=cohorts).make())
        seconds = time.process_time() - start
        held = max(walked.ends.peak_bytes, peak_resident() - base)
        probes.append(Probe(cohorts, walked.ends.walked, len(walked.ends.n), seconds, held, {}))
        if weighed is None or len(walked.ends.n) <= PROBE_ENDS:
            weighed = probes[-1], walked
        if seconds > PROBE_SECONDS and len(probes) >= 3:
            break
    if weighed is not None:
        truths = random_truths(1000, cell.doses)
        weighed[0].weighing.update({count: weigh(weighed[1], truths[:count]) for count in (1, 100, 1000)})
    return probes


def estimate(cell: Cell, probes: list[Probe]) -> Estimate:
    """Follow the growth of the probes to the planned number of cohorts."""
    before, last = probes[-2:]
    order = 2 * cell.doses
    roots = np.array([p.states ** (1 / order) for p in probes[-3:]])
    parabola = np.polyfit([p.cohorts for p in probes[-3:]], roots, 2)
    states = max(float(np.polyval(parabola, cell.cohorts)), roots[-1]) ** order
    grown = states / last.states
    power = GROWTH[0]
    if before.seconds > 0.02:
        power = float(np.clip(np.log(last.seconds / before.seconds) / np.log(last.states / before.states), *GROWTH))
    weighing = {count: seconds / p.ends for p in probes for count, seconds in p.weighing.items()}
    return Estimate(states, last.seconds * grown**power, last.bytes * grown ** (1 - 1 / order), last.ends * grown, weighing)


def refusal(seconds: float, held: float, memory_limit: int) -> str | None:
    """Why a cell is not run, if it is not."""
    if seconds <= LIMIT_SECONDS and held <= memory_limit:
        return None
    return f"refused: about {seconds:,.0f} s, {held / GIB:.1f} GiB"


def measure_cell(cell: Cell, memory_limit: int, quick: bool) -> dict[str, Any]:
    """All figures of one cell, or why it is not run."""
    row: dict[str, Any] = {"truths": {str(count): {"status": "not run"} for count in TRUTHS}}
    expected = estimate(cell, in_child(probe, cell))
    row["estimate"] = {"states": round(expected.states), "seconds": expected.seconds, "bytes": round(expected.bytes)}
    named = (cell.name, "walk") in NEVER_REFUSED
    refused = None if named else refusal(expected.seconds, expected.bytes, memory_limit)
    if refused:
        for count in TRUTHS:
            seconds = expected.seconds + expected.of_truths(count, expected.ends)
            row["truths"][str(count)]["status"] = refusal(seconds, expected.bytes, memory_limit) or refused
        return row | {"status": refused}
    return row | in_child(run_cell, cell, expected, memory_limit, quick)


def run_cell(cell: Cell, expected: Estimate, memory_limit: int, quick: bool) -> dict[str, Any]:
    """The walk and its weighings, in a process of their own."""
    named = (cell.name, "walk") in NEVER_REFUSED
    walk_limit = max(memory_limit, DEFAULT_MEMORY) if named else memory_limit
    counts: list[CountedFits] = []
    peaks: list[int] = [peak_resident()]

    def run() -> Lattice:
        blrm._quadrature.cache_clear()
        design = cell.make()
        counts.append(CountedFits(design))
        return lattice(design, memory_limit=walk_limit)

    try:
        walked, runs = timed(run, 5 if named else 1, lambda: peaks.append(peak_resident()))
    except WalkTooLarge as error:
        return {"status": f"refused by the walk: {error}"}
    ends = walked.ends
    row: dict[str, Any] = {"status": "done", "states": ends.walked, "ends": len(ends.n), "paths": float(ends.paths.sum())}
    row |= runs.record()
    row |= {"walk_peak_bytes": ends.peak_bytes, "process_peak_growth_bytes": peaks[1] - peaks[0], "process_peak_bytes": peaks[1]}
    if np.isfinite(walked.margin):
        row["margin"] = walked.margin
    if counts[0].fits:
        row["fits"] = counts[0].fits
        row["fits_per_second"] = median(count.fits / count.seconds for count in counts)
    limit = limit_of_walk(fresh(walked), counts[0].fits)
    row |= {"limit_seconds": limit, "times_limit": row["cpu_seconds"] / limit}
    return row | {"truths": weigh_cell(cell, walked, row["seconds"], expected, memory_limit, quick)}


def weigh_cell(
    cell: Cell, walked: Lattice, walk_seconds: float, expected: Estimate, memory_limit: int, quick: bool
) -> dict[str, dict[str, Any]]:
    """Seconds of weighing by each number of truths, or why it is not done."""
    ends, rows = len(walked.ends.n), {}
    truths = random_truths(max(TRUTHS), cell.doses)
    scale = 1.0
    for count in TRUTHS:
        named = (cell.name, str(count)) in NEVER_REFUSED
        own = expected.of_truths(count, ends) * scale
        refused = None if named else refusal(walk_seconds + own, peak_resident(), memory_limit)
        if refused is None and quick and not named and own > QUICK_SECONDS:
            refused = f"left out by --quick: about {own:.0f} s"
        rows[str(count)] = {"status": refused or "done", "estimate": own}
        if refused is None:
            _, runs = timed(lambda count=count: fresh(walked).under(truths[:count]), 3 if named else 1)
            scale = median(runs.clock) / expected.of_truths(count, ends)
            rows[str(count)] |= runs.record()
            limit = limit_of_truths(walked, truths[:count])
            rows[str(count)] |= {"limit_seconds": limit, "times_limit": rows[str(count)]["cpu_seconds"] / limit}
    return rows


# Limits ---------------------------------------------------------------------------------------------------------------


def limit_of_walk(walked: Lattice, fits: int) -> float:
    """Seconds of the arithmetic of the merged states, and of the posteriors that were asked for."""
    number = min(walked.ends.walked, LIMIT_STATES)
    ways, pairs = np.ones(number), np.arange(0, number, 2)
    _, runs = timed(lambda: np.add.reduceat(ways * 3.0, pairs), 5)
    seconds = median(runs.processor) / number * walked.ends.walked
    if not fits:
        return seconds
    design = walked.design
    quadrature = design._decisive if isinstance(design, CRM) else design._quadrature  # type: ignore[attr-defined]
    n, y = walked.ends.n[:LIMIT_STATES], walked.ends.y[:LIMIT_STATES]
    _, runs = timed(lambda: quadrature.settle(n, y, lambda values, error: np.ones(len(values), bool)), 5)
    return seconds + median(runs.processor) / len(n) * fits


def limit_of_truths(walked: Lattice, truths: np.ndarray) -> float:
    """Seconds of the arithmetic of weighing all ends."""
    ends, some = walked.ends, slice(0, LIMIT_STATES)
    counts = np.column_stack([ends.y[some], ends.n[some] - ends.y[some], np.ones(len(ends.n[some]))]).astype(float)
    columns = np.ones((sum(np.count_nonzero(figure) for figure in walked.figures(truths[:1]).values()), len(counts)))
    part = truths[:LIMIT_TRUTHS]
    log_rates = np.hstack([np.log(part), np.log1p(-part), np.zeros((len(part), 1))]).T
    _, runs = timed(lambda: columns @ np.exp(counts @ log_rates), 5)
    return median(runs.processor) * len(ends.n) / len(counts) * len(truths) / len(part)


# Fits -----------------------------------------------------------------------------------------------------------------


def data_sets(model: str) -> tuple[Design, np.ndarray, np.ndarray]:
    """Patients and DLTs of simulated CRM trials, each seen after a random number of its patients."""
    design = Cell(f"crm-{model}", FIT_DOSES, FIT_PATIENTS + 1, 1).make()
    random = np.random.default_rng(SEED)
    truths = np.sort(random.uniform(size=(FIT_SETS, FIT_DOSES)), axis=1)
    patients = random.integers(1, FIT_PATIENTS + 1, FIT_SETS)
    states = States.before_first(FIT_DOSES).take(np.zeros(FIT_SETS, int))
    n, y = np.zeros((FIT_SETS, FIT_DOSES)), np.zeros((FIT_SETS, FIT_DOSES))
    for patient in range(1, FIT_PATIENTS + 1):
        decision = design.decide(states.grouped())
        dose = decision.dose.astype(COUNT)
        dlts = (random.uniform(size=FIT_SETS) < truths[np.arange(FIT_SETS), dose]).astype(COUNT)
        states = states.follow(slice(None), dose, np.ones(FIT_SETS, COUNT), dlts)
        seen = patients == patient
        n[seen], y[seen] = states.n[seen], states.y[seen]
    return design, n, y


def measure_fits(model: str) -> list[dict[str, Any]]:
    """Speed and worst error of the posterior mean on fixed grids and on the adaptive one."""
    design, n, y = data_sets(model)
    assert isinstance(design, CRM)
    quadrature = Quadrature(design.curve, Nodes.parameters)

    def on_grid(intervals: int) -> tuple[np.ndarray, ...]:
        halvings = np.log2(design.curve.first_step[0] * intervals / (2 * HALF_WIDTH))
        return quadrature._on_grid(halvings, HALF_WIDTH, n, y)

    exact, distinct = on_grid(REFERENCE_GRID)[0], len(np.unique(np.hstack([n, y]), axis=0))
    fits: dict[str, Callable[[], tuple[np.ndarray, ...]]] = {str(count): functools.partial(on_grid, count) for count in GRIDS}
    fits["adaptive"] = lambda: quadrature.expect(n, y)
    rows = []
    for grid, fit in fits.items():
        fit()  # makes the grid
        (values, estimated, *_), runs = timed(fit, 5)
        row = {"name": f"fits/{model}/{grid}", "status": "done", "grid": grid, "sets": FIT_SETS, "distinct_sets": distinct}
        row |= {"worst_error": float(np.abs(values - exact).max()), "worst_estimated_error": float(estimated.max())}
        rows.append(row | runs.record(fits=FIT_SETS))
    return rows


def fastest(rows: list[dict[str, Any]], error: float) -> dict[str, Any] | None:
    """The fastest of some fits whose worst error is small enough."""
    good = [row for row in rows if row["worst_error"] <= error]
    return max(good, key=lambda row: row["fits_per_second"]) if good else None


# Monte Carlo ----------------------------------------------------------------------------------------------------------


def measure_monte_carlo(name: str) -> dict[str, Any]:
    """Seconds of simulation and of the exact answer under the same truth, and how far they are apart."""
    cell, truth = Cell(name, MC_DOSES, *MC_PLAN), np.array([MC_TRUTH])
    exact, exact_runs = timed(lambda: lattice(cell.make()).under(truth), 5)
    (simulated, _), runs = timed(lambda: simulated_figures(cell.make(), truth, MC_TRIALS, SEED))
    p = exact.selected.to_numpy()[0]
    return {
        "status": "done",
        "trials": MC_TRIALS,
        "exact": exact_runs.record(),
        "simulated": runs.record(),
        "ratio": median(runs.clock) / median(exact_runs.clock),
        "selected_exact": p.tolist(),
        "selected_simulated": simulated["selected"][0].tolist(),
        "worst_difference_in_standard_errors": peers.apart(simulated["selected"][0], p, MC_TRIALS),
    }


# Printing -------------------------------------------------------------------------------------------------------------


def seconds_text(seconds: float) -> str:
    return f"{seconds:.4f}" if seconds < 0.1 else f"{seconds:.3f}" if seconds < 10 else f"{seconds:.1f}"


def size_text(size: float) -> str:
    return f"{size / GIB:.2f} GiB" if size >= GIB / 10 else f"{size / 2**20:.1f} MiB"


def truths_text(figures: dict[str, Any]) -> str:
    return f"{seconds_text(figures['seconds'])}{limit_text(figures)}" if "seconds" in figures else figures["status"]


def limit_text(figures: Mapping[str, Any]) -> str:
    """The limit of a figure and how many times it took, if they were measured."""
    if "limit_seconds" not in figures:
        return ""
    limit = figures["limit_seconds"]
    return f" / {limit:.1e} x{figures['times_limit']:.3g}"


def print_cells(console: Console, rows: list[dict[str, Any]]) -> None:
    table = Table(title="Exact walks (seconds / limit x times; truths: seconds on the walked lattice)", title_justify="left")
    for head in ("design", "doses", "cohorts"):
        table.add_column(head, no_wrap=True)
    heads = (
        "states",
        "ends",
        "walk",
        "estimated",
        "fits/s",
        "account",
        "process",
        "1 truth",
        *(f"{count:,} truths" for count in TRUTHS[1:]),
    )
    for head in heads:
        table.add_column(head, justify="right")
    for row in rows:
        place = (row["design"], str(row["doses"]), f"{row['cohorts']} of {row['cohort_size']}")
        if "seconds" not in row:
            about = row.get("estimate", {})
            states = (f"~{about['states']:,}", "", row["status"]) if about else ("", "", row["status"])
            table.add_row(*place, *states, *[""] * 4, *(figures["status"] for figures in row.get("truths", {}).values()))
            continue
        table.add_row(
            *place,
            f"{row['states']:,}",
            f"{row['ends']:,}",
            f"{seconds_text(row['seconds'])}{limit_text(row)}",
            seconds_text(row["estimate"]["seconds"]),
            f"{row['fits_per_second'] / 1e6:.2f} M" if "fits" in row else "",
            size_text(row["walk_peak_bytes"]),
            size_text(row["process_peak_growth_bytes"]),
            *(truths_text(row["truths"][str(count)]) for count in TRUTHS),
        )
    console.print(table)
    if margins := {row["name"]: row["margin"] for row in rows if "margin" in row}:
        text = ", ".join(f"{name} {margin:.1e}" for name, margin in margins.items())
        console.print(f"Smallest distance of a P(overdose) from its limit, over all decisions: {text}")


def print_fits(console: Console, rows: list[dict[str, Any]]) -> None:
    table = Table(title=f"CRM fits, {FIT_DOSES} doses, data sets of 1 to {FIT_PATIENTS} patients", title_justify="left")
    for head in ("model", "intervals", "fits/s", "fits/cpu s", "worst error", "reaches"):
        table.add_column(head, justify="left" if head in ("model", "reaches") else "right")
    for before, row in zip([None, *rows], rows, strict=False):
        if before and before["model"] != row["model"]:
            table.add_section()
        if row["status"] != "done":
            table.add_row(row["model"], "", "", "", "", row["status"])
            continue
        bounds = [goal for goal in GOALS if goal.row == f"fits/{row['model']}"]
        met = [g for g in bounds if row["worst_error"] <= float(g.figure) and row["fits_per_second"] >= g.bound]
        table.add_row(
            row["model"],
            row["grid"],
            f"{row['fits_per_second'] / 1e6:.2f} M",
            f"{row['fits_per_cpu_second'] / 1e6:.2f} M",
            f"{row['worst_error']:.1e}",
            ", ".join(f"{g.bound / 1e6:g} M at {g.figure}" for g in met),
        )
    console.print(table)


def print_monte_carlo(console: Console, rows: list[dict[str, Any]]) -> None:
    cohorts, size = MC_PLAN
    title = f"Monte Carlo, {MC_TRIALS:,} trials, beside the exact answer: {MC_DOSES} doses, {cohorts} cohorts of {size}, one truth"
    table = Table(title=title, title_justify="left")
    for head in ("design", "exact", "simulated", "ratio", "worst difference of selection"):
        table.add_column(head, justify="left" if head == "design" else "right")
    for row in rows:
        if row["status"] != "done":
            table.add_row(row["design"], row["status"])
            continue
        figures = (seconds_text(row["exact"]["seconds"]), seconds_text(row["simulated"]["seconds"]), f"{row['ratio']:.0f}")
        table.add_row(row["design"], *figures, f"{row['worst_difference_in_standard_errors']:.2f} standard errors")
    console.print(table)


def judge(goal: Goal, rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Whether a goal is met, by the median of the clock, with the same by the processor's time beside it; none if not measured."""
    if goal.row.startswith("fits/"):
        some = [row for row in rows if row["name"].startswith(f"{goal.row}/")]
        found = fastest(some, float(goal.figure))
        if found is None:
            return {"text": f"{goal.text}: no grid is so exact", "reached": False} if some else None
        figures = [found["fits_per_second"], found["fits_per_cpu_second"]]
        clock, processor, bound = (f"{value / 1e6:.2f} M/s" for value in [*figures, goal.bound])
        note = f"; {found['grid']} intervals, error {found['worst_error']:.1e}"
        reached = figures[0] >= goal.bound
    else:
        row = next((row for row in rows if row["name"] == goal.row), {})
        found = row if goal.figure == "walk" else row.get("truths", {}).get(goal.figure, {})
        if "seconds" not in found:
            return None
        clock, processor, bound = (f"{seconds_text(value)} s" for value in (found["seconds"], found["cpu_seconds"], goal.bound))
        note, reached = "", found["seconds"] <= goal.bound
    return {"text": f"{goal.text}: {bound}; {clock} (by cpu time {processor}){note}", "reached": reached}


def goals(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [verdict for goal in GOALS if (verdict := judge(goal, rows))]


def show(console: Console, rows: list[dict[str, Any]]) -> None:
    printers = {"walk": print_cells, "fits": print_fits, "monte-carlo": print_monte_carlo, "peers": peers.show}
    for part, printer in printers.items():
        if chosen := [row for row in rows if row["part"] == part]:
            printer(console, chosen)


def draw(content: Mapping[str, Any]) -> Axes:
    """Exact beside simulated, here and in R, and the walks with their weighings."""
    rows = {part: [row for row in content["rows"] if row["part"] == part] for part in ("monte-carlo", "peers", "walk")}
    each = []
    for part, group in (("monte-carlo", f"Exact and {MC_TRIALS:,} trials"), ("peers", "Exact and R")):
        for row in rows[part]:
            name = row["design"] if part == "monte-carlo" else f"{row['package']} {row['design']}, {row['trials']:,} trials"
            figures = {"seconds": row.get("exact", {}).get("seconds"), "simulated": row.get("simulated", {}).get("seconds")}
            figures |= {"r_seconds": row.get("r_seconds"), "apart": row.get("worst_difference_in_standard_errors")}
            each.append(Line(group, name, figures, _remark(row)))
    for row in rows["walk"]:
        group = f"{row['doses']} doses, {row['cohorts']} cohorts of {row['cohort_size']}"
        weighed = row["truths"]["10000"].get("seconds") if "truths" in row else None
        figures = {"seconds": row.get("seconds"), "weighed": weighed, "mib": row.get("walk_peak_bytes", 0) / 2**20 or None}
        each.append(Line(group, row["design"], figures, _remark(row)))
    panels = (
        Panel(
            "Seconds, exact",
            f"log scale; above {MC_DOSES} doses, {MC_PLAN[0]} cohorts of {MC_PLAN[1]}, one truth; below the walk; "
            "hollow: simulated, circle here, square in R",
            "seconds",
            seconds_text,
            log=True,
            hollow=("simulated", "r_seconds"),
        ),
        Panel("10,000 truths more", "log scale; seconds of weighing the walked lattice", "weighed", seconds_text, log=True),
        Panel("Memory, MiB", "log scale; the most that the walk held", "mib", "{:,.1f}".format, log=True),
        Panel("Simulated and exact", "worst difference of selection, in Monte Carlo standard errors", "apart"),
    )
    return lines(content["question"], circumstances(content), each, panels)


def _remark(row: Mapping[str, Any]) -> str | None:
    return None if row["status"] == "done" else row["status"]


# The study ------------------------------------------------------------------------------------------------------------


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--only",
        metavar="PATTERN",
        help="only rows whose name contains this, * standing for anything; a name is such as crm-power/5/10x3, fits/power, "
        "monte-carlo/boin or peers/BOIN/boin",
    )
    parser.add_argument(
        "--memory-limit", type=float, default=DEFAULT_MEMORY / GIB, metavar="GIB", help="for each cell; default: %(default)g"
    )


def check(options: argparse.Namespace) -> None:
    if not options.memory_limit > 0:
        raise InputError(f"--memory-limit = {options.memory_limit:g}: must be above 0")
    names = [name for name, _, _ in jobs(options)]
    if not any(wanted(name, options) for name in names):
        raise InputError(f"--only = {options.only!r}: no row has such a name; the rows are {', '.join(names)}")


def wanted(name: str, options: argparse.Namespace) -> bool:
    # The rows of some jobs have longer names: fits/power/48 is one of fits/power.
    return not options.only or fnmatch(name, f"*{options.only}*") or options.only.startswith(f"{name}/")


def jobs(options: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any], Callable[[], Any]]]:
    """Name and labels of each thing to measure, and what gives its row, or its rows."""
    limit = int(options.memory_limit * GIB)
    for doses in DOSES:
        for cohorts, size in PLANS:
            for name in DESIGNS:
                cell = Cell(name, doses, cohorts, size)
                labels = {"part": "walk", "design": name, "doses": doses, "cohorts": cohorts, "cohort_size": size}
                if options.quick and cell not in (*SMALL.values(), *LARGE.values()):
                    continue
                if name == "3+3" and size != 3:
                    yield cell.name, labels, lambda: {"status": "not applicable: cohorts of 3 only"}
                else:
                    yield cell.name, labels, functools.partial(measure_cell, cell, limit, options.quick)
    for model in FIT_MODELS:
        yield f"fits/{model}", {"part": "fits", "model": model}, functools.partial(in_child, measure_fits, model)
    for name in DESIGNS:
        measure = functools.partial(in_child, measure_monte_carlo, name)
        yield f"monte-carlo/{name}", {"part": "monte-carlo", "design": name}, measure
    given = peers.Scenario(MC_TRUTH, *MC_PLAN, TARGET, SEED)
    for peer in peers.PEERS:
        measure = functools.partial(peers.measure, given, peer, options.quick)
        yield f"peers/{peer.package}/{peer.design}", {"part": "peers"}, measure


def rows(options: argparse.Namespace, progress: Console) -> Iterator[dict[str, Any]]:
    lattice(BOIN(target=TARGET, n_doses=3, max_n=6)).under([0.1, 0.2, 0.3])  # loads what is loaded at first use
    for name, labels, measure in jobs(options):
        if not wanted(name, options):
            continue
        try:
            with progress.status(name):
                found = measure()
        except ChildFailed as failure:
            found = {"status": str(failure)}
        for row in found if isinstance(found, list) else [found]:
            yield {"name": name, **labels, **row}


STUDY = Study(
    __file__,
    __doc__,
    quick="only the cells with a speed to reach, the fits, Monte Carlo and R with fewer trials",
    rows=rows,
    show=show,
    draw=draw,
    goals=goals,
    options=options,
    check=check,
    figures={
        "seconds": "less",
        "times_limit": "less",
        "walk_peak_bytes": "less",
        "process_peak_growth_bytes": "less",
        "fits_per_second": "more",
        "worst_error": "less",
        "ratio": "more",
        "r_to_exact": "more",
        "r_to_simulated": "more",
    },
    width=180,
)

if __name__ == "__main__":
    raise SystemExit(STUDY.main())
