"""Time of the best policy under a prior, as a ratio to a fixed matrix product in the same run.

Run: ``OMP_NUM_THREADS=1 python -m benchmarks.optimum``. CPU time, median of alternating runs.
"""

from __future__ import annotations

import resource
from statistics import median
from time import process_time

import numpy as np

from dosefind.policies import Actions, Stakes, solve
from dosefind.threads import one_thread

RUNS = 5
# Doses, cohorts of three, true curves.
PROBLEMS = ((3, 6, 200), (3, 6, 2000), (4, 8, 200), (5, 10, 100))


def stakes(doses: int, curves: int) -> Stakes:
    truths = np.sort(np.random.default_rng(1).random((curves, doses)), axis=1)
    mtd = np.abs(truths - 0.25).argmin(axis=1)
    utility = (np.arange(-1, doses) == mtd[:, None]).astype(float)
    return Stakes(truths, np.full(curves, 1 / curves), utility, 0.02 * truths)


@one_thread
def product() -> None:
    a = np.random.default_rng(2).random((1000, 1000))
    for _round in range(5):
        np.matmul(a, a)


def main() -> None:
    times: dict[object, list[float]] = {}
    states = {}
    for _run in range(RUNS):
        start = process_time()
        product()
        times.setdefault("product", []).append(process_time() - start)
        for doses, cohorts, curves in PROBLEMS:
            problem = stakes(doses, curves)
            start = process_time()
            states[doses, cohorts, curves] = solve(problem, Actions((3,) * doses, 3 * cohorts)).n_states
            times.setdefault((doses, cohorts, curves), []).append(process_time() - start)
    unit = median(times["product"])
    print(f"five products of 1,000 by 1,000 matrices: {unit:.3f} s")
    for key in PROBLEMS:
        doses, cohorts, curves = key
        seconds = median(times[key])
        size = f"{doses} doses, {cohorts} cohorts, {curves:>5} curves: {states[key]:>9,} states"
        print(f"{size}, {seconds:6.3f} s, {seconds / unit:6.2f} of it")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    main()
