"""What every benchmark needs: seconds of several runs, memory, a process of one's own, the machine."""

import multiprocessing
import os
import platform
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Runs:
    """Seconds of every run of one thing, by the clock and by the processor."""

    clock: list[float]
    processor: list[float]

    def record(self, **done: float) -> dict[str, Any]:
        """The median of each figure, and beside it all ``runs``; of what was ``done`` in each run, how many a second."""
        runs = {"seconds": self.clock, "cpu_seconds": self.processor}
        for name, count in done.items():
            runs |= {f"{name}_per_second": [count / one for one in self.clock]}
            runs |= {f"{name}_per_cpu_second": [count / one for one in self.processor]}
        return recorded(runs)


def recorded(runs: dict[str, list[float]]) -> dict[str, Any]:
    """The median of each figure over its runs, and beside it the runs, as a row holds them."""
    return {name: median(each) for name, each in runs.items()} | {"runs": runs}


def timed(function: Callable[[], Any], at_least: int = 1, after_first: Callable[[], None] = lambda: None) -> tuple[Any, Runs]:
    """Result and seconds of all runs: ``at_least`` so many, and five if the first is below a second.

    Of five runs and five others, a comparison can tell at a level of 1% whether they differ; of fewer it cannot.
    """
    runs = Runs([], [])
    result = None
    while len(runs.clock) < max(at_least, 5 if runs.clock and runs.clock[0] < 1 else 1):
        result = None  # lets go of the last result before the next is made
        clock, processor = time.perf_counter(), time.process_time()
        result = function()
        runs.clock.append(time.perf_counter() - clock)
        runs.processor.append(time.process_time() - processor)
        if len(runs.clock) == 1:
            after_first()
    return result, runs


class Yardstick:
    """Seconds of one fixed piece of work, read from time to time while other things are measured: how fast the machine was."""

    def __init__(self) -> None:
        self.runs, self._last = Runs([], []), -np.inf
        random = np.random.default_rng(1)
        self._matrix = random.uniform(size=(120, 120))

    def read(self, at_most_every: float = 1.0) -> None:
        """Take a reading, unless the last is too near."""
        if time.perf_counter() - self._last < at_most_every:
            return
        clock, processor = time.perf_counter(), time.process_time()
        for _ in range(40):
            np.exp(self._matrix @ self._matrix - 40.0).sum()
            sum(range(10_000))
        self._last = time.perf_counter()
        self.runs.clock.append(self._last - clock)
        self.runs.processor.append(time.process_time() - processor)


def peak_resident() -> int:
    """Most bytes of memory that this process has had."""
    status = Path("/proc/self/status")
    if status.exists():
        # Linux hands ru_maxrss on to a child, whatever that executes: the parent's peak would be reported for a small process.
        peak = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM:"))
        return int(peak.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


class ChildFailed(RuntimeError):
    """A process ended without an answer, killed for want of memory for example."""


def in_child(function: Callable[..., Any], *given: Any, fresh: bool = False) -> Any:
    """What a function gives in a process of its own: forked where there is forking, or a ``fresh`` one that imports anew."""
    forks = not fresh and "fork" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("fork" if forks else "spawn")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_send, args=(sender, function, *given))
    child.start()
    sender.close()
    try:
        return receiver.recv()
    except EOFError:
        child.join()
        raise ChildFailed(f"failed: the process ended with exit code {child.exitcode}") from None
    except BaseException:
        child.terminate()
        raise
    finally:
        child.join()


def _send(sender: Any, function: Callable[..., Any], *given: Any) -> None:
    try:
        sender.send(function(*given))
    except KeyboardInterrupt:
        # The process that waits for the answer has been interrupted as well, and says so.
        sys.exit(130)


def machine() -> dict[str, Any]:
    model = platform.processor()
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = information.read_text(encoding="utf-8", errors="replace").splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    return {"platform": platform.platform(), "cpu": model, "cores": os.cpu_count(), "blas_threads": 1}


def load_average() -> list[float]:
    return [round(load, 2) for load in os.getloadavg()]
