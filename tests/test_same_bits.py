"""The same bits for any number of threads: in the library, whose caller keeps the number, and in files of the command line.

Saved figures are rounded, so that files agree where vector instructions of another type of CPU change the last digits.
"""

import csv
import hashlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from threadpoolctl import ThreadpoolController, threadpool_limits

import dosefind as dsf
from dosefind import monitoring, provenance
from dosefind.calibration.bands import coverage
from dosefind.config import build_curves, build_designs
from dosefind.designs import Design
from dosefind.designs.replay import state_after
from dosefind.operating.simulation import simulated_figures
from dosefind.posterior.exact import ExactPosterior, exact_fit
from dosefind.threads import OneThread, one_thread

from .peers import ROOT

CONFIG = ROOT / "configs" / "nct05962762.toml"
PROTOCOL = dsf.load_protocol(CONFIG)
DESIGNS, CURVES = build_designs(PROTOCOL), build_curves(PROTOCOL)
TRUTHS = [[0.05, 0.15, 0.30], [0.2, 0.3, 0.45]]
CRM = dsf.CRM(skeleton=dsf.skeleton(0.05, target=0.3, mtd_level=3, n_doses=5), target=0.3, max_n=18, model="logistic")
FIVE = [[0.05, 0.1, 0.2, 0.3, 0.45]]


def threads():
    return {library.num_threads for library in ThreadpoolController().lib_controllers if library.user_api == "blas"}


def posterior(name):
    return ExactPosterior(exact_fit(CURVES[name], (0.16, 0.33)), np.array([3, 3, 6]), np.array([0, 1, 2]))


CALLS = {
    "analyze": lambda: dsf.analyze(PROTOCOL, "1NNN 2NNT").summary,
    "analyze, nobody treated": lambda: dsf.analyze(PROTOCOL).summary,
    "draws": lambda: dsf.analyze(PROTOCOL, "1NNN 2NNT").tree(draws=200)["posterior"].to_dataset(),
    "sensitivity": lambda: dsf.sensitivity(PROTOCOL, "1NNN 2NTT"),
    "lattice": lambda: dsf.lattice(CRM).under(FIVE),
    "probabilities": lambda: dsf.lattice(CRM).probabilities(FIVE),
    "simulate": lambda: dsf.simulate(CRM, FIVE, n_trials=500, seed=2),
    "simulated figures": lambda: simulated_figures(DESIGNS["blrm"].with_settings(n_doses=3), np.array(TRUTHS), 300, 3),
    "paths": lambda: dsf.paths(PROTOCOL, "crm", cohorts=2),
    "decision table": lambda: dsf.decision_table(PROTOCOL, "blrm"),
    "decide": lambda: repr(dsf.decide(CRM, "1NNN 2NNT")),
    "fit": lambda: CRM.fit("1NNN 2NNT"),
    "fit by maximum likelihood": lambda: CRM.fit_mle("1NNN 2NNT"),
    "moments": lambda: posterior("logistic-2").moments(),
    "parameters": lambda: posterior("logistic-2").parameters(),
    "below": lambda: posterior("logistic-2").below(0.2),
    "MTD": lambda: posterior("logistic-2").mtd(0.3),
    "quantiles": lambda: posterior("logistic-2").quantiles((0.1, 0.9)),
    "quantiles of the MTD": lambda: posterior("logistic-2").mtd_quantiles(0.3, (0.1, 0.9)),
    "draws of the parameters": lambda: posterior("logistic-2").draws(300),
    "prior from quantiles": lambda: repr(
        dsf.prior_from_quantiles({1.0: {0.5: 0.1, 0.9: 0.4}, 3.0: {0.5: 0.2, 0.9: 0.5}}, reference=3.0)
    ),
    "skeleton": lambda: dsf.skeleton(0.05, target=0.3, mtd_level=3, n_doses=6),
    "crossing": lambda: monitoring.crossing(np.full(300, 40), np.linspace(0.05, 0.5, 60)),
    "coverage of bands": lambda: coverage(400, np.full(99, 1), np.full(99, 399)),
    "calibrate": lambda: dsf.calibrate(dsf.Power(skeleton=(0.1, 0.3)), {"a": (3, 3)}, n_sets=20),
    "report": lambda: dsf.report(dsf.load_protocol(ROOT / "configs" / "nct05962762.toml"), language="en").html(),
}
SLOW = {"report", "calibrate", "draws", "sensitivity"}


def bits(result):
    """A hash of everything in a result."""
    hash_ = hashlib.sha256()

    def add(value):
        if isinstance(value, xr.Dataset):
            add({name: value[name].to_numpy() for name in value.variables})
        elif hasattr(value, "to_csv"):
            hash_.update(value.to_csv().encode())
        elif isinstance(value, dict):
            add(list(value.items()))
        elif isinstance(value, (list, tuple)):
            for entry in value:
                add(entry)
        elif isinstance(value, np.ndarray) and value.dtype != object:
            hash_.update(value.tobytes())
        else:
            hash_.update(repr(value).encode())

    add(result)
    return hash_.hexdigest()


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in CALLS])
def test_results_do_not_depend_on_the_number_of_threads(name):
    found = []
    for number in (1, 2):
        with threadpool_limits(number, user_api="blas"):
            found.append(bits(CALLS[name]()))
            assert threads() == {number}
    assert found[0] == found[1]


class Watching(dsf.BOIN):
    """Notes with how many threads it decides."""

    def propose(self, states):
        seen.append(("propose", threads()))
        return super().propose(states)

    def conclude(self, states):
        seen.append(("conclude", threads()))
        return super().conclude(states)

    def sentences(self):
        seen.append(("sentences", threads()))
        return super().sentences()


seen = []


@pytest.mark.parametrize(
    "call",
    [
        lambda design: dsf.lattice(design, n_doses=3).under(TRUTHS),
        lambda design: dsf.simulate(design, TRUTHS, n_trials=20),
        lambda design: dsf.decide(design, "1NNN", n_doses=3),
        lambda design: design.decide(state_after(design, [], 3)),
        lambda design: design.propose(state_after(design, dsf.trial.parse_outcomes("1NNN"), 3)),
        lambda design: design.select(dsf.States.counts([[3, 3, 0]], [[0, 1, 0]])),
        lambda design: design.conclude(dsf.States.counts([[3, 3, 0]], [[0, 1, 0]])),
        lambda design: design.rules(),
    ],
)
def test_a_design_of_the_user_decides_with_one_thread(call):
    seen.clear()
    with threadpool_limits(2, user_api="blas"):
        call(Watching(target=0.3, max_n=9))
        assert threads() == {2}
    assert seen
    assert all(number == {1} for _, number in seen)


@one_thread
def counted(depth=0):
    """Return the number of threads, called from within itself."""
    return counted(depth - 1) if depth else threads()


def test_the_caller_keeps_the_number_of_threads():
    with threadpool_limits(2, user_api="blas"):
        assert counted(3) == {1}
        assert threads() == {2}
        with pytest.raises(ZeroDivisionError), OneThread():
            1 / 0  # noqa: B018
        assert threads() == {2}
        with pytest.raises(dsf.InputError):
            dsf.analyze(PROTOCOL, "9NNN")
        assert threads() == {2}


def test_threads_of_the_process_that_overlap():
    """The first to end leaves one thread to the other; the last restores the number."""
    inside, go_on, found = threading.Barrier(2), threading.Event(), []

    def first():
        with OneThread():
            inside.wait(10)
        go_on.set()

    def last():
        with OneThread():
            inside.wait(10)
            assert go_on.wait(10)
            found.append(threads())

    with threadpool_limits(2, user_api="blas"):
        running = [threading.Thread(target=one) for one in (first, last)]
        for one in running:
            one.start()
        for one in running:
            one.join()
        assert found == [{1}]
        assert threads() == {2}


def test_a_library_that_is_loaded_within_has_one_thread():
    script = (
        "import numpy, sys\nfrom threadpoolctl import threadpool_info\nfrom dosefind.threads import OneThread, one_thread\n"
        "count = lambda: [one['num_threads'] for one in threadpool_info()]\n"
        "inner = one_thread(count)\n"
        "with OneThread():\n    before = len(count())\n    import scipy.linalg\n    print(len(inner()) > before, set(inner()))\n"
        "print(set(count()))\n"
    )
    env = {**os.environ, "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", script], env=env, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["True {1}", "{2}"]


def test_wrapped_methods_keep_their_names():
    assert Watching.propose.__qualname__ == "Watching.propose"
    assert Design.decide.__module__ == "dosefind.designs.base"
    assert dsf.analyze.__doc__.startswith("Return the posterior")


# Files


@pytest.mark.parametrize(
    ("value", "figure", "with_unit"),
    [
        (0.1 + 0.2, 0.3, 0.3),
        (1 / 3, 0.333333333333, 0.333333333333),
        (200 / 3, 66.6666666667, 66.6666666667),
        (123456.78901234567, 123456.789012, 123456.789012),
        (38101986.715512492, 38101986.7155, 38101986.7155),
        (9.9999999999999, 10.0, 10.0),
        (0.99999999999999, 1.0, 1.0),
        (6.676808239625132e-08, 6.6768e-08, 6.67680823963e-08),
        (4.9e-13, 0.0, 4.9e-13),
        (5.1e-13, 1e-12, 5.1e-13),
        (-1e-17, 0.0, -1e-17),
        (-2.5, -2.5, -2.5),
        (1e300, 1e300, 1e300),
        (1.23456789012345e15, 1.23456789012e15, 1.23456789012e15),
        (0.0, 0.0, 0.0),
        (float("inf"), float("inf"), float("inf")),
        (float("-inf"), float("-inf"), float("-inf")),
        (float("nan"), float("nan"), float("nan")),
    ],
)
def test_rounding_of_saved_figures(value, figure, with_unit):
    data = xr.Dataset({"a": ("x", [value]), "b": ("x", [value], {"units": "mg"}), "n": ("x", [3])}, {"x": [value]})
    once = provenance.rounded(data)
    np.testing.assert_array_equal(once.a, [figure])
    assert repr(float(once.a[0])) == repr(figure)
    np.testing.assert_array_equal(once.b, [with_unit])
    assert once.n.dtype == data.n.dtype
    # Coordinates are inputs.
    np.testing.assert_array_equal(once.x, [value])
    xr.testing.assert_identical(provenance.rounded(once), once)
    np.testing.assert_array_equal(data.a, [value])


def test_files_hold_the_same_rounded_figures(tmp_path):
    found = dsf.simulate(CRM, FIVE, n_trials=50)
    table = dsf.paths(PROTOCOL, "crm", cohorts=2)
    provenance.save_table(table, {"seed": 1}, tmp_path, "paths")
    columns = [name for name in table if table[name].dtype == float]
    assert columns
    with (tmp_path / "paths.csv").open() as file:
        from_csv = [[float(row[name]) for name in columns] for row in csv.DictReader(file)]
    from_json = [[row[name] for name in columns] for row in json.loads((tmp_path / "paths.json").read_text())["rows"]]
    saved = xr.load_dataset(tmp_path / "paths.nc", engine="h5netcdf")
    by_scenario = {f"scenario: {name}": saved.probability.sel(scenario=name).values for name in saved.scenario.values}
    from_netcdf = np.column_stack([by_scenario[name] if name in by_scenario else saved[name].values for name in columns])
    assert from_csv == from_json == from_netcdf.tolist()
    np.testing.assert_allclose(from_csv, table[columns], rtol=1e-11, atol=1e-12)
    assert (
        json.loads(provenance.as_json(found))["data_vars"]["selected"]["data"] == provenance.rounded(found).selected.values.tolist()
    )


def test_results_state_what_holds_elsewhere(tmp_path):
    found = dsf.analyze(PROTOCOL, "1NNN").summary
    assert found.attrs["reproducible"] == provenance.REPRODUCIBLE
    assert str(provenance.DIGITS) in provenance.REPRODUCIBLE
    assert json.loads(provenance.as_json(found))["attrs"]["reproducible"] == provenance.REPRODUCIBLE


MIDWAY = ROOT / "examples" / "nct05962762" / "midway"
COMMANDS = {
    "compare simulate": ["compare", CONFIG, "--method", "simulate", "--trials", "200"],
    "compare exact": ["compare", CONFIG],
    "analyze": ["analyze", CONFIG, "--outcomes", "1NNN 2NNT"],
    "sensitivity": ["sensitivity", CONFIG, "--outcomes", "1NNN 2NNT"],
    "paths": ["paths", CONFIG, "--design", "crm"],
    "next": ["next", CONFIG, "--data", MIDWAY / "patients.csv", "--events", MIDWAY / "events.csv"],
    "report": ["report", CONFIG, "--format", "html"],
}


@pytest.mark.slow
@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_files_of_a_command_do_not_depend_on_the_number_of_threads(words, tmp_path):
    written = []
    for number in ("1", "2"):
        env = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
        env |= {"OMP_NUM_THREADS": number, "OPENBLAS_NUM_THREADS": number}
        folder = tmp_path / str(number)
        subprocess.run(
            [sys.executable, "-m", "dosefind", *map(str, words), "--out", str(folder)],
            cwd=ROOT,
            env=env,
            check=True,
            capture_output=True,
        )
        written.append({path.name: path.read_bytes() for path in Path(folder).iterdir()})
    assert written[0]
    assert written[0] == written[1]
