"""The same scenario by packages of R, where they are on the machine: seconds and selections beside the exact ones.

``peers.R`` calls BOIN, dfcrm and escalation, each in an R of its own, and answers in lines that `parsed` reads strictly. What is
not installed is said to be missing. The settings are those under which the designs here agree with exact enumerations of these
packages (``tests/reference/exact_*.csv``): dfcrm names the model's choice in the end, whether or not it was given to anybody.

The tests run the script in a real R without these packages, and the rest with a program that answers in R's place.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.measure import timed
from dosefind import BOIN, CRM, ThreePlusThree, lattice, skeleton
from dosefind.designs import Design
from dosefind.operating.simulation import simulated_figures

__all__ = ["PEERS", "Scenario", "apart", "measure", "parsed", "show"]

SCRIPT = Path(__file__).with_name("peers.R")
HEADER = "dosefind-peers,1"
KEYS = ("package", "R", "trials", "seconds", "selected")
# Longer than the slowest of them is known to take.
SECONDS = 600


@dataclass(frozen=True)
class Scenario:
    """One truth, and so many cohorts of one size."""

    truth: tuple[float, ...]
    cohorts: int
    size: int
    target: float
    seed: int

    @property
    def skeleton(self) -> tuple[float, ...]:
        return skeleton(0.05, target=self.target, mtd_level=3, n_doses=len(self.truth))

    def shared(self) -> dict[str, Any]:
        return {"n_doses": len(self.truth), "max_n": self.cohorts * self.size}


@dataclass(frozen=True)
class Peer:
    """A design by a package of R: the same design here, and how many trials of it are simulated."""

    package: str
    design: str
    make: Callable[[Scenario], Design]
    trials: int
    quick_trials: int


def _crm(model: str) -> Callable[[Scenario], Design]:
    def make(given: Scenario) -> Design:
        shared = given.shared() | {"cohort_size": given.size, "target": given.target}
        return CRM(skeleton=given.skeleton, model=model, final="model", **shared)

    return make


PEERS = (
    Peer("BOIN", "boin", lambda given: BOIN(target=given.target, cohort_size=given.size, **given.shared()), 10_000, 1000),
    Peer("dfcrm", "crm-power", _crm("power"), 5000, 200),
    Peer("dfcrm", "crm-logistic", _crm("logistic"), 5000, 200),
    Peer("escalation", "3+3", lambda given: ThreePlusThree(n_doses=len(given.truth)), 1000, 100),
)


class NoAnswer(Exception):
    """A peer did not do what was asked, with the reason."""


def parsed(text: str, trials: int, choices: int) -> dict[str, Any]:
    """What peers.R answered; `NoAnswer` unless it is in the agreed form to the letter."""
    lines = text.splitlines()
    if len(lines) == 2 and lines[0] == HEADER and lines[1].startswith("missing,"):
        raise NoAnswer(f"not installed: the R package {lines[1].partition(',')[2]}")
    found = [line.split(",") for line in lines[1:]]
    if lines[:1] != [HEADER] or [one[0] for one in found] != list(KEYS):
        raise NoAnswer(f"failed: no answer in the agreed form, but {_shortened(text)}")
    values = {key: each for key, *each in found}
    try:
        (package, version), (r_version,) = values["package"], values["R"]
        (done,), (seconds,) = values["trials"], values["seconds"]
        selected = np.array(values["selected"], float)
        answered = {"package": package, "package_version": version, "r_version": r_version, "seconds": float(seconds)}
        right = int(done) == trials and float(seconds) >= 0 and selected.shape == (choices,) and bool((selected >= 0).all())
    except ValueError:
        raise NoAnswer(f"failed: an answer with other values than asked for: {_shortened(text)}") from None
    # 1e-9: shares of whole trials, printed in full.
    if not right or not abs(selected.sum() - 1) < 1e-9:
        raise NoAnswer(f"failed: an answer with other values than asked for: {_shortened(text)}")
    return answered | {"selected": selected.tolist()}


def _shortened(text: str) -> str:
    one = " ".join(text.split())
    return repr(one if len(one) <= 80 else one[:79] + "…")


def ask(peer: Peer, given: Scenario, trials: int) -> dict[str, Any]:
    """The answer of R, with the seconds of its whole process; `NoAnswer` with the reason where there is none."""
    program = shutil.which("Rscript")
    if program is None:
        raise NoAnswer("not installed: Rscript")
    numbers = {"truth": given.truth, "skeleton": given.skeleton}
    words = {key: ",".join(map(repr, map(float, each))) for key, each in numbers.items()}
    words |= {"design": peer.design, "target": str(given.target), "cohorts": str(given.cohorts), "size": str(given.size)}
    words |= {"trials": str(trials), "seed": str(given.seed)}
    command = [program, "--vanilla", str(SCRIPT), *(f"{key}={value}" for key, value in words.items())]
    start = time.perf_counter()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        raise NoAnswer(f"failed: no answer within {SECONDS} s") from None
    seconds = time.perf_counter() - start
    if done.returncode != 0:
        raise NoAnswer(f"failed: Rscript ended with status {done.returncode}: {_shortened(done.stderr)}")
    return parsed(done.stdout, trials, len(given.truth) + 1) | {"seconds_with_start": seconds}


def apart(selected: np.ndarray, exact: np.ndarray, trials: int) -> float:
    """The largest distance of simulated selections from the exact probabilities, in standard errors of so many trials."""
    difference = np.abs(selected - exact)
    error = np.sqrt(np.maximum(exact * (1 - exact), 0) / trials)
    return float(np.where(difference > 0, difference / np.where(error > 0, error, np.finfo(float).tiny), 0.0).max())


def measure(given: Scenario, peer: Peer, quick: bool) -> dict[str, Any]:
    """R's seconds and selections beside the exact ones, and beside as many trials simulated here; or why there are none."""
    trials = peer.quick_trials if quick else peer.trials
    row: dict[str, Any] = {"package": peer.package, "design": peer.design, "trials": trials}
    try:
        answer = ask(peer, given, trials)
    except NoAnswer as reason:
        return row | {"status": str(reason)}
    truth = np.array([given.truth])
    exact, exact_runs = timed(lambda: lattice(peer.make(given), cohort_size=given.size).under(truth), 5)
    _, runs = timed(lambda: simulated_figures(peer.make(given), truth, trials, given.seed))
    p = exact.selected.to_numpy()[0]
    return row | {
        "status": "done",
        "package_version": answer["package_version"],
        "r_version": answer["r_version"],
        "r_seconds": answer["seconds"],
        "r_seconds_with_start": answer["seconds_with_start"],
        "exact": exact_runs.record(),
        "simulated": runs.record(),
        "r_to_exact": answer["seconds"] / median(exact_runs.clock),
        "r_to_simulated": answer["seconds"] / median(runs.clock),
        "selected_exact": p.tolist(),
        "selected_r": answer["selected"],
        "worst_difference_in_standard_errors": apart(np.array(answer["selected"]), p, trials),
    }


def show(console: Console, rows: list[dict[str, Any]]) -> None:
    """The table, and in a line each what is missing."""
    done = [row for row in rows if row["status"] == "done"]
    if done:
        table = Table(title=f"The same scenario by packages of R {done[0]['r_version']}: seconds", title_justify="left")
        heads = ("trials", "R", "with start", "simulated here", "ratio", "exact", "ratio", "R's selection is off by")
        for head in ("package", "design", *heads):
            table.add_column(head, justify="left" if head in ("package", "design") else "right")
        for row in done:
            ours = [f"{row['simulated']['seconds']:.3f}", f"{row['r_to_simulated']:,.0f}"]
            ours += [f"{row['exact']['seconds']:.4f}", f"{row['r_to_exact']:,.0f}"]
            theirs = [f"{row['trials']:,}", f"{row['r_seconds']:.2f}", f"{row['r_seconds_with_start']:.2f}"]
            off = f"{row['worst_difference_in_standard_errors']:.2f} standard errors"
            table.add_row(f"{row['package']} {row['package_version']}", row["design"], *theirs, *ours, off)
        console.print(table)
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row["status"] != "done":
            reasons.setdefault(row["status"], []).append(f"{row['package']} ({row['design']})")
    for reason, names in reasons.items():
        console.print(f"R, {', '.join(names)}: {reason}", soft_wrap=True)
