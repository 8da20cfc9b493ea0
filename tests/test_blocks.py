"""Simulations in blocks: the same bits for any workers and after any interruption, and the memory of a few blocks."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from dosefind import BOIN, CRM, InputError, ThreePlusThree, calendar, compare, load_trial, simulate
from dosefind._check import Problem
from dosefind.blocks import run
from dosefind.cli import main
from dosefind.operating.calendar import Clock
from dosefind.operating.simulation import Simulation
from dosefind.operating.timed import Timed
from dosefind.outcomes import Rates
from dosefind.protocol import Treatment
from dosefind.timing import Accrual, Onset

from .peers import ROOT

CONFIG = ROOT / "configs" / "nct05962762.toml"
TRIAL = load_trial(CONFIG)
RATES = Rates(np.array([[0.05, 0.15, 0.3], [0.2, 0.3, 0.45]]))
DESIGNS = {
    "3+3": ThreePlusThree(),
    "boin": BOIN(target=0.3, max_n=18),
    "crm": CRM(skeleton=(0.1, 0.2, 0.3), target=0.25, max_n=18),
}
CLOCK = Clock(Treatment(infusion_days=(1,), dlt_window_days=28, no_overlap=True), Accrual(per_28_days=2.0))


class Dying(BOIN):
    """Kills its process at a decision, once, where that is not the process that ``home`` names."""

    home: str = ""

    def propose(self, states):
        parent, _, marker = self.home.partition(":")
        if os.getpid() != int(parent) and states.total.max(initial=0) > 9 and not os.path.exists(marker):
            with open(marker, "w"):
                os.kill(os.getpid(), signal.SIGKILL)
        return super().propose(states)


def jobs(tmp_path):
    design = Dying(target=0.3, max_n=18, n_doses=3, home=f"{os.getpid()}:{tmp_path / 'died'}")
    return [Simulation(design, RATES, 3, block_size=50), Timed(design, RATES, CLOCK, 3, block_size=50)]


def figures(made, n_trials, workers=1, cache=None):
    """Return all figures of jobs as one table of bits."""
    found = []
    for job in made:
        more = (0.33,) if isinstance(job, Simulation) else ()
        found += job.figures(run([job], n_trials, workers, cache), n_trials, *more)
    return {f"{at}/{name}": values.tobytes() for at, table in enumerate(found) for name, values in table.items()}


def bits(result):
    return {name: result[name].to_numpy().tobytes() for name in result.data_vars if result[name].dtype == float}


# Any number of workers, in any order


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:A worker stopped while some jobs were given:UserWarning")
def test_two_processes_give_the_same_bits_although_one_dies(tmp_path):
    made = jobs(tmp_path)
    alone = figures(made, 430)
    assert not (tmp_path / "died").exists()
    assert figures(made, 430, workers=2) == alone
    assert (tmp_path / "died").exists()


@pytest.mark.slow
def test_a_dask_cluster_of_two_workers_gives_the_same_bits_although_one_is_killed(tmp_path):
    from distributed import Client, LocalCluster

    made = jobs(tmp_path)
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        there = figures(made, 430, workers=client)
    assert (tmp_path / "died").exists()
    assert there == figures(made, 430)


@pytest.mark.slow
def test_tasks_give_the_same_bits_on_two_processes():
    rates = {"n_trials": 60, "per_28_days": [2.0]}
    for call in (
        lambda **more: compare(TRIAL, method="simulate", n_trials=60, **more),
        lambda **more: calendar(TRIAL, **rates, **more),
        lambda **more: simulate(BOIN(target=0.3, max_n=12), RATES.dlt, n_trials=60, **more),
    ):
        assert bits(call(workers=2)) == bits(call())


def test_errors_of_a_block_can_be_sent_by_another_process():
    error = pickle.loads(pickle.dumps(InputError(Problem("max_n", None, "must be given"), source="a.toml")))
    assert str(error) == str(InputError(Problem("max_n", None, "must be given"), source="a.toml"))


@pytest.mark.parametrize("workers", [0, 1.5, True, "2", None])
def test_workers_are_checked(workers):
    with pytest.raises(InputError, match="workers"):
        simulate(ThreePlusThree(), RATES.dlt, n_trials=20, workers=workers)


# Interrupted and resumed


class Counting:
    """Counts blocks that are worked out; interrupts the process at one of them."""

    def __init__(self, monkeypatch, kind, at=None):
        self.made, self.at, before = [], at, kind.block

        def block(job, first, count):
            if len(self.made) == self.at:
                signal.raise_signal(signal.SIGINT)
            self.made.append(first)
            return before(job, first, count)

        monkeypatch.setattr(kind, "block", block)


@pytest.mark.parametrize("place", [0, 1], ids=["simulate", "calendar"])
def test_an_interrupted_simulation_goes_on_with_the_same_bits(place, tmp_path, monkeypatch):
    job = jobs(tmp_path)[place]
    right = figures([job], 230)
    with monkeypatch.context() as patch:
        counting = Counting(patch, type(job), at=3)
        with pytest.raises(KeyboardInterrupt):
            figures([job], 230, cache=tmp_path / "cache")
        assert counting.made == [0, 50, 100]
    counting = Counting(monkeypatch, type(job))
    assert figures([job], 230, cache=tmp_path / "cache") == right
    assert counting.made == [150, 200]
    # More trials add to those that there are; the last block is another one.
    figures([job], 300, cache=tmp_path / "cache")
    assert counting.made == [150, 200, 200, 250]


@pytest.mark.parametrize("place", [0, 1], ids=["simulate", "calendar"])
def test_a_damaged_block_and_one_of_another_job_are_computed_again(place, tmp_path, monkeypatch):
    job, other = jobs(tmp_path)[place], jobs(tmp_path)[1 - place]
    right = figures([job], 150, cache=tmp_path / "a")
    files = sorted((tmp_path / "a").glob("*/*.npy"))
    content = bytearray(files[0].read_bytes())
    content[-3] ^= 1
    files[0].write_bytes(content)
    files[1].write_bytes(files[1].read_bytes()[:-8])
    figures([other], 150, cache=tmp_path / "b")
    last = sorted((tmp_path / "b").glob("*/*.npy"))[2]
    files[2].unlink()
    last.rename(files[2].with_name(last.name))
    counting = Counting(monkeypatch, type(job))
    assert figures([job], 150, cache=tmp_path / "a") == right
    assert counting.made == [0, 50, 100]


def keys(**changes):
    given = {"design": BOIN(target=0.3, max_n=18, n_doses=3), "rates": RATES, "clock": CLOCK, "seed": 3} | changes
    clock = given.pop("clock")
    return Simulation(**given, days=clock.treatment.least_days).key(), Timed(**given, clock=clock).key()


@pytest.mark.parametrize(
    ("changes", "simulated", "on_a_calendar"),
    [
        ({}, False, False),
        ({"design": BOIN(target=0.3, max_n=21, n_doses=3)}, True, True),
        ({"rates": Rates(RATES.dlt + 1e-15)}, True, True),
        ({"seed": 4}, True, True),
        ({"clock": CLOCK.at_rate(2.5)}, False, True),
        ({"clock": Clock(CLOCK.treatment, CLOCK.accrual, onset=Onset(kind="weibull", late=0.6))}, False, True),
        ({"clock": Clock(Treatment(infusion_days=(1,), dlt_window_days=21, no_overlap=True), CLOCK.accrual)}, True, True),
        # Which other rates are shown has no effect.
        ({"clock": Clock(CLOCK.treatment, Accrual(per_28_days=2.0, sensitivity=(4.0,)))}, False, False),
    ],
)
def test_key_is_of_all_on_which_results_depend(changes, simulated, on_a_calendar):
    now, changed = keys(), keys(**changes)
    assert (now[0] != changed[0], now[1] != changed[1]) == (simulated, on_a_calendar)


# Of trials enough that an interruption comes in time.
SMALL = """
accrual = { per_28_days = 2 }
doses = { amounts = [10, 20, 40], unit = "mg" }
treatment = { infusion_days = [1], dlt_window_days = 28, no_overlap = true }
limits = { cohort_size = 3, max_n = 18 }
target = { rate = 0.25, interval = [0.16, 0.33] }

[record]
id = "MINE-01"
title = "A first trial"
population = "adults"
product = "the product"
version_date = 2026-01-15

[scenarios]
"low" = [0.02, 0.05, 0.10]
"middle is MTD" = [0.10, 0.25, 0.40]

[designs]
"3+3" = { kind = "3+3" }
boin = { kind = "boin" }
"""
COMMANDS = {
    "compare": ["compare", "--method", "simulate", "--trials", "200000"],
    "calendar": ["calendar", "--rate", "2", "--trials", "40000"],
}


@pytest.mark.slow
@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_a_command_that_was_interrupted_goes_on(words, tmp_path):
    config = tmp_path / "a.toml"
    config.write_text(SMALL)
    cache = tmp_path / "cache"

    def command(*more):
        return [sys.executable, "-m", "dosefind", words[0], str(config), *words[1:], "--json", *more]

    process = subprocess.Popen(command("--cache", str(cache)), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while len(list(cache.glob("*/*.npy"))) < 2 and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (130, b""), err
    kept = {path: path.stat().st_mtime_ns for path in cache.glob("*/*.npy")}
    resumed = subprocess.run(command("--cache", str(cache), "--workers", "2"), cwd=ROOT, capture_output=True, check=True)
    assert kept.items() <= {path: path.stat().st_mtime_ns for path in cache.glob("*/*.npy")}.items()
    assert len(kept) < len(list(cache.glob("*/*.npy")))
    alone = subprocess.run(command(), cwd=ROOT, capture_output=True, check=True)
    assert resumed.stdout == alone.stdout


@pytest.mark.parametrize("option", [["--workers", "2"], ["--cache", "folder"]])
def test_options_of_a_simulation_are_refused_with_the_exact_method(option, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["compare", str(CONFIG), *option])
    assert ended.value.code == 2
    assert f"{option[0]} has no effect with the exact method" in capsys.readouterr().err


# Memory


@pytest.mark.slow
@pytest.mark.parametrize("place", [0, 1], ids=["simulate", "calendar"])
def test_memory_is_that_of_a_few_blocks(place, tmp_path):
    """Of 40 blocks as of 4, except the duration of each trial: four bytes, and as many for the quantiles."""
    job = replace(jobs(tmp_path)[place], block_size=200)
    peaks = []
    for blocks in (4, 4, 40):
        tracemalloc.start()
        figures([job], blocks * 200)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < 1.15 * peaks[1] + 36 * 200 * len(RATES.dlt) * 12 * place


# Figures as they have been


def test_figures_have_kept_their_bits():
    """Of two blocks, as they were when all ended trials were held at once and then summed."""
    kept = json.loads((ROOT / "tests" / "reference" / "simulated_figures.json").read_text())
    for name, design in DESIGNS.items():
        found = simulate(design, RATES.dlt, n_trials=12_000, seed=5, days=CLOCK.treatment.least_days)
        for variable, values in kept[name].items():
            assert found[variable].values.tolist() == values, (name, variable)


# Accrual rates


@pytest.mark.parametrize("rate", [0, -1.0, 1001, float("nan"), float("inf"), "2", True])
def test_accrual_rates_are_checked(rate):
    with pytest.raises(InputError, match="per_28_days"):
        calendar(TRIAL, n_trials=20, per_28_days=[rate])


# Progress


def test_progress_counts_designs_in_parts():
    for call, designs in (
        (lambda step: compare(TRIAL, method="simulate", n_trials=20, progress=step), len(TRIAL.without_calendar)),
        (lambda step: compare(TRIAL, progress=step), len(TRIAL.without_calendar)),
    ):
        seen = []
        call(lambda done, total, seen=seen: seen.append((done, total)))
        amounts = [done for done, _ in seen]
        assert amounts == sorted(amounts)
        assert set(range(1, designs + 1)) <= set(amounts)
        assert seen[-1] == (designs, designs)
        # Designs at the protocol's other targets are parts of their design.
        assert any(done % 1 for done in amounts)
