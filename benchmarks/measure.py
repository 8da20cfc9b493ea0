"""What every benchmark needs: seconds of several runs, the machine."""

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Runs:
    """Seconds of every run of one thing, by the clock and by the processor."""

    clock: list[float]
    processor: list[float]

    def record(self) -> dict[str, Any]:
        middle = {"seconds": median(self.clock), "best_seconds": min(self.clock), "cpu_seconds": median(self.processor)}
        return middle | {"runs": self.clock, "cpu_runs": self.processor}


def timed(function: Callable[[], Any], at_least: int = 1, after_first: Callable[[], None] = lambda: None) -> tuple[Any, Runs]:
    """Result and seconds of all runs: ``at_least`` so many, and three if the first is below a second."""
    runs = Runs([], [])
    result = None
    while len(runs.clock) < max(at_least, 3 if runs.clock and runs.clock[0] < 1 else 1):
        result = None  # lets go of the last result before the next is made
        clock, processor = time.perf_counter(), time.process_time()
        result = function()
        runs.clock.append(time.perf_counter() - clock)
        runs.processor.append(time.process_time() - processor)
        if len(runs.clock) == 1:
            after_first()
    return result, runs


def machine() -> dict[str, Any]:
    model = platform.processor()
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = information.read_text(encoding="utf-8", errors="replace").splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    return {"platform": platform.platform(), "cpu": model, "cores": os.cpu_count(), "blas_threads": 1}


def load_average() -> list[float]:
    return [round(load, 2) for load in os.getloadavg()]
