"""How many trials a second go through a calendar, how many through a simulation without one, and in how much memory?

The 3+3, the rolling six and BOIN for 5 doses at 2 candidates per 28 days (Poisson, two of whom wait), a DLT window of 28 days and
dose groups that may overlap; TITE-BOIN and TITE-CRM with 30 patients at 4 candidates per window, nobody waiting. Every decision of
the latter is settled in double precision. Where R is installed, dfcrm's titesim simulates the TITE-CRM in the same run; where it is
not, the row says so. It needs Linux or macOS.

How it is measured
    One thread: the BLAS is held to one before NumPy is loaded. A run is a block of 10,000 trials in one scenario; seconds of the
    clock and of the processor are medians of the runs: on a busy machine only the latter say how fast an idle core is. Before each
    run a fixed product of two matrices of 1,500 x 1,500 random numbers is timed; "products" is how many of them a run takes, the
    median of the ratios of processor seconds, which depends less on the machine than seconds do.

Memory
    The peak resident set of a process of its own, beyond what it had after one small block, while blocks are summed as they come:
    of few blocks and of many.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.measure import in_child, peak_resident, recorded
from benchmarks.peers import NoAnswer, Peer, Scenario, ask
from benchmarks.picture import Line, Panel, lines
from benchmarks.study import Study, circumstances
from dosefind import BOIN, TITEBOIN, TITECRM, ThreePlusThree
from dosefind.blocks import run
from dosefind.designs import Design, RollingSix
from dosefind.operating.calendar import Clock
from dosefind.operating.simulation import CHUNK, Simulation
from dosefind.operating.timed import Timed
from dosefind.outcomes import Rates
from dosefind.protocol import Treatment
from dosefind.timing import Accrual

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SEED, DOSES, PER_28_DAYS = 1, 5, 2.0
RATES = Rates(np.array([[0.05, 0.15, 0.25, 0.40, 0.55]]))
TREATMENT = Treatment(infusion_days=(1,), dlt_window_days=28, no_overlap=False)
CLOCK = Clock(TREATMENT, Accrual(process="poisson", per_28_days=PER_28_DAYS, queue=2))
FOUR = Clock(TREATMENT, Accrual(process="poisson", per_28_days=4.0))
TITESIM_TRIALS = 500
RUNS, BLOCKS, QUICK_BLOCKS = 5, (5, 100), (2, 10)
SIZE = 1500
GOALS = {"calendar/3+3": 20_000, "calendar/rolling six": 20_000, "calendar/tite-boin": 20_000, "calendar/tite-crm": 10_000}


def designs() -> dict[str, Design]:
    return {
        "3+3": ThreePlusThree(n_doses=DOSES),
        "rolling six": RollingSix(n_doses=DOSES),
        "boin": BOIN(target=0.25, max_n=30, n_doses=DOSES),
        "tite-boin": TITEBOIN(target=0.25, window_days=28, max_n=30, n_doses=DOSES),
        "tite-crm": TITECRM(skeleton=(0.05, 0.12, 0.25, 0.40, 0.55), target=0.25, window_days=28, max_n=30, n_doses=DOSES),
    }


def job_of(name: str) -> Timed | Simulation:
    """The work of a row, such as calendar/3+3."""
    kind, _, design = name.partition("/")
    made = designs()[design]
    clock = FOUR if design.startswith("tite") else CLOCK
    return Timed(made, RATES, clock, SEED) if kind == "calendar" else Simulation(made, RATES, SEED, TREATMENT.least_days)


def measured(name: str) -> dict[str, Any]:
    """Seconds of the runs of one row, and of a matrix product before each."""
    job, matrix = job_of(name), np.random.default_rng(SEED).uniform(size=(SIZE, SIZE))
    job.block(0, 100)
    runs: dict[str, list[float]] = {key: [] for key in ("seconds", "cpu_seconds", "product_cpu_seconds")}
    for _ in range(RUNS):
        before = time.process_time()
        matrix @ matrix
        runs["product_cpu_seconds"].append(time.process_time() - before)
        clock, processor = time.perf_counter(), time.process_time()
        job.block(0, CHUNK)
        runs["seconds"].append(time.perf_counter() - clock)
        runs["cpu_seconds"].append(time.process_time() - processor)
    runs["trials_per_second"] = [CHUNK / each for each in runs["seconds"]]
    runs["trials_per_cpu_second"] = [CHUNK / each for each in runs["cpu_seconds"]]
    runs["products"] = [each / product for each, product in zip(runs["cpu_seconds"], runs["product_cpu_seconds"], strict=True)]
    return recorded(runs)


def of_dfcrm(quick: bool) -> dict[str, Any]:
    """The seconds of dfcrm's simulator for the trials of the TITE-CRM, or why there are none."""
    row = {"name": "dfcrm titesim/tite-crm"}
    given = Scenario(tuple(RATES.dlt[0].tolist()), cohorts=30, size=1, target=0.25, seed=SEED)
    trials = TITESIM_TRIALS // 10 if quick else TITESIM_TRIALS
    try:
        answer = ask(Peer("dfcrm", "tite-crm", lambda given: designs()["tite-crm"], trials, trials), given, trials)
    except NoAnswer as reason:
        return row | {"status": str(reason)}
    return row | {"status": "done", "seconds": answer["seconds"], "trials_per_second": trials / answer["seconds"]}


def held(name: str, blocks: int) -> int:
    """Bytes by which the peak resident set grows while a number of blocks is summed."""
    job = job_of(name)
    job.block(0, 100)
    before, trials = peak_resident(), blocks * CHUNK
    results = run([job], trials)
    job.figures(results, trials, 0.33) if isinstance(job, Simulation) else job.figures(results, trials)
    return peak_resident() - before


def rows(options: argparse.Namespace, progress: Console) -> Iterator[dict[str, Any]]:
    few, many = QUICK_BLOCKS if options.quick else BLOCKS
    names = [f"{kind}/{name}" for kind in ("calendar", "simulation") for name in designs()]
    # Without a calendar, nothing is pending when a design decides.
    without = ("simulation/rolling six", "simulation/tite-boin", "simulation/tite-crm")
    for name in (name for name in names if name not in without):
        row = {"name": name, "status": "done"} | in_child(measured, name)
        sizes = {"few": few, "many": many}
        yield (
            row
            | {f"bytes_{word}": in_child(held, name, blocks) for word, blocks in sizes.items()}
            | {f"blocks_{word}": blocks for word, blocks in sizes.items()}
        )
    yield of_dfcrm(options.quick)


def show(console: Console, rows: list[dict[str, Any]]) -> None:
    table = Table("", "trials/s", "trials/CPU s", "products", "MB, few blocks", "MB, many blocks", box=None)
    for row in (row for row in rows if "products" in row):
        memory = [f"{row[f'bytes_{word}'] / 1e6:.0f} ({row[f'blocks_{word}']})" for word in ("few", "many")]
        speed = [f"{row[key]:,.0f}" for key in ("trials_per_second", "trials_per_cpu_second")]
        table.add_row(row["name"], *speed, f"{row['products']:.2f}", *memory)
    console.print(table)
    for row in (row for row in rows if "products" not in row):
        speed = f"{row['trials_per_second']:,.0f} trials/s" if row["status"] == "done" else row["status"]
        console.print(f"{row['name']}: {speed}")


def goals(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"text": f"{row['name']}: {goal:,} trials per second of processor time", "reached": row["trials_per_cpu_second"] >= goal}
        for row in rows
        if "products" in row and (goal := GOALS.get(row["name"])) is not None
    ]


def draw(content: Mapping[str, Any]) -> Axes:
    """Trials a second and memory of each row."""
    each = [Line(*row["name"].split("/"), row) for row in content["rows"] if "products" in row]
    panels = [
        Panel("Trials a second", "of processor time", "trials_per_cpu_second", "{:,.0f}".format),
        Panel("Products", "of matrices in the time of 10,000 trials", "products"),
        Panel("Bytes", "of the larger number of blocks", "bytes_many", "{:,.0f}".format),
    ]
    return lines(content["question"], circumstances(content), each, panels)


STUDY = Study(
    __file__,
    __doc__,
    quick=f"memory of {QUICK_BLOCKS[1]} blocks instead of {BLOCKS[1]}",
    rows=rows,
    show=show,
    draw=draw,
    goals=goals,
    figures={"cpu_seconds": "less", "products": "less", "bytes_many": "less"},
)

if __name__ == "__main__":
    raise SystemExit(STUDY.main())
