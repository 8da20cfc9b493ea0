"""The sampler benchmark: its rows have what its table, its plot and its JSON need, and a sampler that cannot run has a reason."""

import io
import json
import os
import re

import numpy as np
import pytest
from rich.console import Console
from scipy.stats import norm

from benchmarks import samplers
from benchmarks.measure import ChildFailed, in_child
from benchmarks.samplers import STUDY, Cell, OneCurve, chance_limit, measure_cell, run_cell
from dosefind.models import Curve, Power
from dosefind.posterior import mcmc
from dosefind.posterior.mcmc import NutsPosterior, NutsSettings

TINY = Cell("power", "pymc", sets=2, seed=1, chains=2, draws=50, tune=100)
FIGURES = {"seconds", "least_seconds", "most_seconds", "ess_bulk_per_second", "ess_tail_per_second", "compile_seconds"}
LARGE = {
    "status": "done",
    "compile_seconds": 123.4,
    "compile_again_seconds": 12.3,
    "seconds": 10.12,
    "least_seconds": 9.87,
    "most_seconds": 12.34,
    "ess_bulk_per_second": 123456.7,
    "ess_tail_per_second": 98765.4,
    "rhat": 1.234,
    "divergences": 4000,
    "worst_error": 12.3,
    "compared": 17000,
    "chance_limit": 4.6,
    "bytes_after_import": 0,
    "bytes_at_the_end": 9999 * 2**20,
    "no_reference": None,
    "settings": {"chains": 4, "draws": 1000, "tune": 1000},
}


def row(model, sampler, **more):
    return {"name": f"{model}/{sampler}", "model": model, "sampler": sampler} | LARGE | more


def content(rows):
    machine = {"cpu": "some", "cores": 2, "load_average_at_start": [0.1], "load_average_at_end": [1.2]}
    return {"question": STUDY.question, "machine": machine, "settings": {"sets": 2}, "rows": rows}


@pytest.mark.slow
def test_a_tiny_run(tmp_path):
    """Compiled and sampled in a process of its own, and saved."""
    found = measure_cell(TINY, again=False)
    assert found["status"] == "done"
    assert all(found[name] > 0 for name in FIGURES)
    assert found["bytes_at_the_end"] >= found["bytes_after_compiling"] > found["bytes_after_import"] > 0
    # One parameter, and of five doses the mean and two probabilities.
    assert [len(one["errors"]) for one in found["sets"]] == [16, 16]
    assert found["compared"] == 32
    assert found["worst_error"] == max(value for one in found["sets"] for value in one["errors"].values())
    # 100 draws are few, but no figure is far off.
    assert found["worst_error"] < 10
    STUDY.save(tmp_path / "new", content([found, measure_cell(Cell("power", "numpyro", 2, 1), again=False)]))
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(STUDY.files)
    assert json.loads((tmp_path / "new" / "samplers.json").read_text())["rows"][0]["sets"] == found["sets"]


def test_a_sampler_that_is_not_installed_says_so(monkeypatch):
    monkeypatch.setitem(samplers.NEEDS, "numpyro", ("no_package_of_this_name", "numpyro"))
    found = measure_cell(Cell("power", "numpyro", 2, 1), again=True)
    assert found["status"] == "not installed: pip install 'numpyro'"
    assert (found["model"], found["sampler"]) == ("power", "numpyro")


def test_a_sampler_that_fails_says_why(monkeypatch):
    class Broken(mcmc.Sampler):
        name = "broken"

        def __init__(self, model, names, settings):
            raise RuntimeError("no step size\nand more of it")

        def sample(self, data, starts, seed, target_accept):
            raise NotImplementedError

    monkeypatch.setitem(mcmc.SAMPLERS, "broken", Broken)
    monkeypatch.setattr(Curve, "to_pymc", lambda *words: None)
    assert run_cell(Cell("power", "broken", 2, 1)) == {"status": "failed: RuntimeError: no step size"}


def test_a_process_that_ends_is_no_answer():
    with pytest.raises(ChildFailed, match="exit code 3"):
        in_child(os._exit, 3)


class Given(mcmc.Sampler):
    """Independent draws of the prior of a power model's b, moved by so many standard deviations."""

    name = "given"
    moved = 0.0

    def __init__(self, model, names, settings):
        self.settings = settings

    def sample(self, data, starts, seed, target_accept):
        shape = self.settings.chains, self.settings.draws
        b = 1.34**0.5 * (np.random.default_rng(seed).normal(size=shape) + self.moved)
        return [b], np.zeros(shape, bool)


@pytest.mark.parametrize(("moved", "right"), [(0.0, True), (0.2, False)])
def test_errors_are_in_standard_errors(monkeypatch, moved, right):
    """Draws of the prior are right before any data, by standard errors; others are not."""
    monkeypatch.setitem(mcmc.SAMPLERS, "given", Given)
    monkeypatch.setattr(Given, "moved", moved)
    monkeypatch.setattr(Curve, "to_pymc", lambda *words: None)
    case = OneCurve(Power(skeleton=(0.1, 0.2, 0.3), prior_sd=1.34**0.5))
    fit, nobody = case.fit("given", NutsSettings()), np.zeros(3, int)
    errors = np.array([list(case.errors(NutsPosterior(fit, nobody, nobody, seed)).values()) for seed in range(20)])
    assert errors.shape == (20, 10)
    if right:
        # Mean square 1, of 20 independent sets: 0.4 is at least one and a half of its standard errors, however they hang together.
        assert 0.6 < np.mean(errors**2) < 1.6
        assert errors.max() < 5
    else:
        # 0.2 of a standard deviation is some 12 standard errors of 4000 draws.
        assert np.all(errors[:, 0] > 8)


@pytest.mark.parametrize("count", [1, 51, 204])
def test_limit_of_chance(count):
    assert (1 - 2 * norm.sf(chance_limit(count))) ** count == pytest.approx(0.95, rel=1e-12)


def test_each_model_has_as_many_data_sets_as_asked():
    for name, case in samplers.cases().items():
        data = case.data(5, seed=3)
        assert len(data) == 5
        trials = [list(one.values()) if isinstance(one, dict) else [one] for one in data]
        assert [{int(n.sum()) for n, _ in one} for one in trials] == [{6}, {15}, {30}, {6}, {15}], name
        assert name in samplers.TITLES
        first, other = (str(case.data(5, seed)) for seed in (3, 4))
        assert str(data) == first != other


def test_the_table_fits_100_columns():
    rows = [row("logistic-2", sampler) for sampler in samplers.TRIED] + [row("exnex", "nutpie", no_reference="no exact reference")]
    rows.append({"model": "ex", "sampler": "numpyro", "name": "ex/numpyro", "status": "failed: ValueError: [bold] no"})
    text = io.StringIO()
    samplers.print_rows(Console(file=text, width=100), rows)
    assert "…" not in text.getvalue()
    assert max(map(len, text.getvalue().splitlines())) <= 100
    assert "numpyro (ex): failed: ValueError: [bold] no" in text.getvalue()
    assert re.search(r"4\.7 of\s+17000", text.getvalue())


def test_the_plot_is_drawn_of_rows_without_figures(tmp_path):
    pytest.importorskip("matplotlib")
    bare = {"status": "not installed: pip install 'numpyro'", "seconds": None}
    nothing = {"name": "power/numpyro", "model": "power", "sampler": "numpyro", **bare}
    for rows in ([nothing], [nothing, row("ex", "nutpie", worst_error=float("nan"), rhat=float("nan"))]):
        STUDY.save(tmp_path, content(rows))
        assert (tmp_path / "samplers.svg").read_text().count("<svg") == 1
        saved = json.loads((tmp_path / "samplers.json").read_text())["rows"]
        assert saved[-1].get("rhat") is None


def test_goals_are_those_of_nutpie():
    rows = [row("power", "nutpie", seconds=0.1), row("ex", "nutpie", seconds=0.5), row("power", "pymc", seconds=0.1)]
    assert [one["reached"] for one in samplers.verdicts(rows)] == [True, False]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--sets", "0"], "--sets = 0: must be a whole number"),
        (["--seed", "-1"], "--seed = -1: must be a whole number"),
        (["--only", "nothing"], "--only must match one of power/nutpie, "),
        (["--quick", "--only", "exnex"], "--only must match one of power/nutpie, "),
        (["--sampler", "nutpy"], "invalid choice"),
    ],
)
def test_bad_questions(given, said, capsys, tmp_path):
    with pytest.raises(SystemExit, match="2"):
        STUDY.arguments([*given, "--out", str(tmp_path)])
    assert said in capsys.readouterr().err


def test_files_that_are_there_stay(tmp_path, capsys):
    (tmp_path / "samplers.json").write_text("mine")
    with pytest.raises(SystemExit, match="2"):
        STUDY.main(["--out", str(tmp_path)])
    assert "has samplers.json already; --force overwrites" in capsys.readouterr().err


def test_interrupted(monkeypatch, tmp_path, capsys):
    """What was measured is shown, and nothing is saved."""
    answers = iter([row("power", "nutpie")])

    def measured(cell, again):
        found = next(answers, None)
        if found is None:
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr(samplers, "measure_cell", measured)
    assert STUDY.main(["--out", str(tmp_path / "new")]) == 130
    shown = capsys.readouterr()
    assert "123,457" in shown.out
    assert "interrupted: nothing is saved" in shown.err
    assert list(tmp_path.iterdir()) == []
