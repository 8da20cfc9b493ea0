"""Inputs that would take hours are answered, or refused with the reason, in seconds."""

import itertools
import os
import re
import subprocess
import sys
import time
from datetime import date, timedelta

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.special import expit

from dosefind import (
    BOIN,
    CRM,
    BivariateNormal,
    InputError,
    Logistic2,
    ThreePlusThree,
    analyze,
    load_protocol,
    load_trial,
    read_patients,
    simulate,
)
from dosefind.cli import main
from dosefind.config import build_designs
from dosefind.designs.replay import departures
from dosefind.operating.lattice import lattice
from dosefind.operating.walk import WalkTooLarge, walk
from dosefind.posterior.exact import ExactFit, ExactPosterior
from dosefind.tasks import compare, decide, next_dose
from dosefind.tasks.proposals import Asked
from dosefind.tasks.steps import next_step
from dosefind.trial import Cohort

from .peers import ROOT

CONFIG = ROOT / "configs" / "nct05962762.toml"
FIRST = date(2023, 9, 1)


def config(tmp_path, *changes):
    text = CONFIG.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "changed.toml"
    path.write_text(text, encoding="utf-8")
    return path


def patients(tmp_path, sizes, known=0):
    """Cohorts of these sizes, up and down the levels; the first so many outcomes are known, without a DLT."""
    lines, number = ["subject,cohort,level,infusion_1,last_contact,dlt"], 0
    for cohort, size in enumerate(sizes):
        for _ in range(size):
            day = FIRST + timedelta(days=40 * cohort)
            tail = f"{day + timedelta(days=30)},no" if number < known else ","
            lines.append(f"S{number:04d},{cohort + 1},{cohort % 3 + 1},{day},{tail}")
            number += 1
    path = tmp_path / "patients.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def next_of(tmp_path, sizes, known=0):
    protocol = load_protocol(CONFIG)
    return next_dose(protocol, read_patients(patients(tmp_path, sizes, known), protocol), date(2199, 1, 1))


@pytest.mark.parametrize(
    ("sizes", "ways"),
    [((30, 30, 30), 31**3), ((100, 100), 101**2), ((6,) * 6, 13 * 13 * 7 * 7), ((3,) * 20, 22 * 19 * 19 * 4), ((20,) * 4, 21**4)],
)
def test_too_many_open_outcomes_are_refused(sizes, ways, tmp_path):
    with pytest.raises(InputError) as caught:
        next_of(tmp_path, sizes)
    for part in (f"{sum(sizes)} outcomes", f"{ways:,} ways", "S0000"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "sizes", [(2,) * 8, *(pytest.param(one, marks=pytest.mark.slow) for one in ((3,) * 8, (1,) * 13, (4,) * 6, (1,) * 16))]
)
def test_many_open_outcomes_are_counted_by_dose(sizes, tmp_path):
    found = next_of(tmp_path, sizes)
    at = [sum(sizes[place] for place in range(level, len(sizes), 3)) for level in range(3)]
    assert len(found.completions) == np.prod([n + 1 for n in at])
    assert found.completions["ways"].sum() == 2 ** sum(sizes)
    assert found.completions.iloc[0, 0] == "0 at level 1, 0 at level 2, 0 at level 3"
    # A design that decides with outcomes pending need not wait.
    waiting = {name: one.action for name, one in found.proposals.items() if name != "rolling-6"}
    assert {*waiting.values()} == {"wait"}


@pytest.mark.slow
@pytest.mark.parametrize(("sizes", "known"), [((3, 3), 0), ((6, 6), 3), ((3,) * 8, 21), ((1,) * 5, 0), ((20,), 0), ((3,) * 3, 2)])
def test_open_outcomes_are_worked_out_by_group(sizes, known, tmp_path):
    found = next_of(tmp_path, sizes, known)
    open_ = [len(subjects) for subjects in found.evaluated.open]
    assert len(found.completions) == np.prod([n + 1 for n in open_])
    assert found.completions["ways"].sum() == 2 ** sum(open_)


def test_a_command_refuses_too_many_open_outcomes(tmp_path):
    path = patients(tmp_path, (30, 30, 30))
    words = [sys.executable, "-m", "dosefind", "next", CONFIG, "--data", path, "--as-of", "2070-01-01"]
    shown = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, timeout=60, check=False, cwd=ROOT, env=os.environ
    )
    assert shown.returncode == 2
    assert shown.stdout == ""
    assert shown.stderr.startswith("dosefind: error: ")


def single(tmp_path, levels, open_):
    """Cohorts of one patient at these levels; the outcomes of the patients in these places are still to come, the others no DLT."""
    lines = ["subject,cohort,level,infusion_1,last_contact,dlt"]
    for place, level in enumerate(levels):
        day = FIRST + timedelta(days=40 * place)
        tail = "," if place in open_ else f"{day + timedelta(days=30)},no"
        lines.append(f"S{place:04d},{place + 1},{level},{day},{tail}")
    path = tmp_path / "patients.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    protocol = load_protocol(CONFIG)
    return next_dose(protocol, read_patients(path, protocol), date(2199, 1, 1))


CYCLE, PAIRS, DOWN = (1, 2, 3), (1, 1, 2, 2, 3, 3), (3, 2, 1)


@pytest.mark.parametrize(
    ("levels", "open_"),
    [
        (CYCLE * 10, range(22, 30)),
        (CYCLE * 10, range(8)),
        (PAIRS * 5, range(22, 30)),
        (DOWN * 10, range(22, 30)),
        (CYCLE * 33, range(91, 99)),
    ],
)
def test_trials_of_many_unplanned_cohorts_are_refused_with_an_estimate(levels, open_, tmp_path):
    before = time.process_time()
    with pytest.raises(InputError, match=r"about [0-9]+ seconds") as caught:
        single(tmp_path, levels, open_)
    assert time.process_time() - before < 20
    assert "8 outcomes" in str(caught.value)
    assert f"S{open_[0]:04d}" in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("levels", "open_"),
    [
        (CYCLE * 7, (19, 20)),
        (CYCLE * 7, (0, 1, 2)),
        (PAIRS * 3, (15, 16, 17)),
        (DOWN * 6, (16, 17)),
        (CYCLE * 33, (98,)),
        (CYCLE * 66, ()),
    ],
)
def test_trials_of_many_unplanned_cohorts_have_an_answer_in_time(levels, open_, tmp_path):
    before = time.process_time()
    found = single(tmp_path, levels, open_)
    # Ten seconds on a free core; shared cores take longer.
    assert time.process_time() - before < 20
    assert (found.completions["ways"].sum() if open_ else 1) == 2 ** len(open_)


@pytest.mark.parametrize("sizes", [(3,) * 334, (3,) * 1000, (1,) * 1001])
def test_more_patients_than_any_design_plans_are_refused(sizes, tmp_path):
    with pytest.raises(InputError, match=f"{sum(sizes):,} patients"):
        next_of(tmp_path, sizes, known=sum(sizes))


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(1,) * 600, (1,) * 1000, (2,) * 500])
def test_more_cohorts_than_are_held_against_each_other_are_refused(sizes, tmp_path):
    with pytest.raises(InputError, match=r"cohorts of the escalation.* about [0-9]+ seconds"):
        next_of(tmp_path, sizes, known=sum(sizes))


@pytest.mark.parametrize("name", ["3+3", "crm-6", "boin", "boin-6-stay", "blrm"])
def test_shared_states_give_what_each_trial_gives_by_itself(name):
    protocol = load_protocol(CONFIG)
    design = build_designs(protocol)[name]
    asked = Asked(design, protocol.n_doses)
    for dlts in itertools.product(range(2), range(3), range(2)):
        for levels in ((1, 1, 1), (1, 2, 1), (1, 2, 3)):
            cohorts = [Cohort(level, 3, y) for level, y in zip(levels, dlts, strict=True)]
            for others in ((), (Cohort(1, 4, 1),)):
                assert asked.step(cohorts, others) == next_step(design, cohorts, protocol.n_doses, others)


def test_shared_states_keep_the_limits_on_counts():
    asked = Asked(BOIN(target=0.3), 3)
    for cohorts in ([Cohort(1, 1001, 0)], [Cohort(1, 1000, 0)] * 31):
        with pytest.raises(InputError):
            asked.step(cohorts)


def test_deviations_of_a_long_trial():
    cohorts = [Cohort(1, 3, 0)] * 200
    found = departures(ThreePlusThree(), cohorts, 3)
    assert len(found) == 199
    assert decide(ThreePlusThree(), cohorts[:3], n_doses=3).deviations == found[:2]


MANY_DOSES = [CRM(target=0.3, skeleton=tuple(np.linspace(0.05, 0.6, 30))), BOIN(target=0.3, n_doses=30)]


@pytest.mark.parametrize("design", MANY_DOSES, ids=lambda design: design.kind)
@pytest.mark.parametrize(("max_n", "cohort_size"), [(1000, 3), (600, 2), (400, 1)])
def test_walks_far_beyond_the_memory_are_refused_early(design, max_n, cohort_size):
    with pytest.raises(WalkTooLarge) as caught:
        walk(design.with_settings(max_n=max_n, cohort_size=cohort_size), 30)
    for part in ("GiB", "simulate"):
        assert part in str(caught.value)


@pytest.mark.parametrize("max_n", [30, 36, 60])
def test_walks_that_fit_are_not_refused(max_n):
    assert lattice(BOIN(target=0.3, n_doses=3, max_n=max_n)).ends.walked > 100


def test_a_design_that_ends_early_is_not_refused_for_its_largest_sample():
    assert lattice(ThreePlusThree(n_doses=8, max_n=1000)).ends.walked > 100


@pytest.mark.parametrize("trials", [1_000_001, 10**12, 10**30])
def test_too_many_trials_are_refused(trials):
    protocol = load_protocol(CONFIG)
    with pytest.raises(InputError, match="1000000"):
        simulate(BOIN(target=0.3, max_n=12), [[0.1, 0.3]], n_trials=trials)
    with pytest.raises(InputError, match="1000000"):
        compare(protocol, method="simulate", n_trials=trials)
    result = CliRunner().invoke(main, ["compare", str(CONFIG), "--method", "simulate", "--trials", str(trials)])
    assert result.exit_code == 2


@pytest.mark.parametrize(
    ("key", "prior"),
    [
        ("mean", "mean = [50.0, 0.0], sd = [2.0, 1.0]"),
        ("mean", "mean = [-50.0, 0.0], sd = [2.0, 1.0]"),
        ("mean", "mean = [-2.2, 40.0], sd = [2.0, 1.0]"),
        ("sd", "mean = [-2.2, 0.0], sd = [11.0, 1.0]"),
        ("sd", "mean = [-2.2, 0.0], sd = [10.0, 10.0]"),
        ("sd", "mean = [-2.2, 0.0], sd = [1e6, 1e6]"),
    ],
)
@pytest.mark.parametrize("command", ["analyze", "sensitivity"])
def test_priors_that_take_minutes_are_refused(key, prior, command, tmp_path):
    # The designs keep the first curve's prior, which is the ordinary one.
    path = config(tmp_path, ("prior = { mean = [-2.2, 0.0], sd = [1.0, 0.5] }", f"prior = {{ {prior} }}"))
    result = CliRunner().invoke(main, [command, str(path), "--outcomes", "1NNN"])
    assert result.exit_code == 2, result.output
    assert f"curves.logistic-2-tight.prior.{key}" in result.stderr


@pytest.mark.slow
def evaluations(monkeypatch):
    """Sizes of the evaluations of the two-parameter curve from now on."""
    sizes, log_terms = [], Logistic2.log_terms

    def noted(self, theta, *more):
        sizes.append(np.size(theta[0]))
        return log_terms(self, theta, *more)

    monkeypatch.setattr(Logistic2, "log_terms", noted)
    return sizes


@pytest.mark.slow
@pytest.mark.parametrize(
    ("prior", "most"),
    [
        ("mean = [-2.2, 0.0], sd = [5.0, 2.0]", 5e6),
        ("mean = [-9.9, 2.9], sd = [4.9, 1.9]", 1e7),
        ("mean = [-10.0, 4.0], sd = [10.0, 3.0]", 2e7),
    ],
)
def test_wide_priors_take_few_evaluations_of_the_curve(prior, most, tmp_path, monkeypatch):
    """With a grid for each state that a trial can end in they were 49 million for the first and more for the others."""
    text = CONFIG.read_text(encoding="utf-8")
    path = tmp_path / "wide.toml"
    path.write_text(re.sub(r"(?m)^prior = .*$", f"prior = {{ {prior} }}", text), encoding="utf-8")
    sizes = evaluations(monkeypatch)
    found = analyze(load_trial(path), "1NNN 2NNT").summary
    assert sum(sizes) < most
    # Their median MTD is next to the reference dose, where a tenth of the posterior lies within a thousandth.
    assert found.attrs["quantile_error"] < 2e-6
    np.testing.assert_allclose(found.conclusion.sum("choice"), 1, rtol=0, atol=1e-9)


# Under each of these priors most of the posterior lies along a line, or in a region that is narrow in one direction.
RIDGES = {
    "narrow, steep": "mean = [-10.0, 3.0], sd = [0.1, 0.1], correlation = -0.5",
    "steep": "mean = [-2.2, 0.0], sd = [1.0, 2.0], correlation = -0.9",
    "wide": "mean = [-2.2, 0.0], sd = [10.0, 3.0], correlation = 0.99",
    "line": "mean = [-2.2, 0.0], sd = [2.0, 1.0], correlation = 0.999",
    "line, falling": "mean = [-1.83, 2.09], sd = [0.88, 0.36], correlation = -0.999",
}


@pytest.mark.slow
@pytest.mark.parametrize("prior", RIDGES.values(), ids=RIDGES)
def test_ridges_take_grids_that_are_fine_in_one_direction_only(prior, tmp_path, monkeypatch):
    """Halving both steps they took up to 40 million evaluations of the curve, or failed."""
    text = CONFIG.read_text(encoding="utf-8")
    path = tmp_path / "ridge.toml"
    path.write_text(re.sub(r"(?m)^prior = .*$", f"prior = {{ {prior} }}", text), encoding="utf-8")
    sizes = evaluations(monkeypatch)
    found = analyze(load_trial(path), "1NNN 2NNT").summary
    assert sum(sizes) < 5e6
    assert found.attrs["largest_error"] < 1e-9
    np.testing.assert_allclose(found.conclusion.sum("choice"), 1, rtol=0, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("correlation", [-0.9, 0.9, 0.99])
@pytest.mark.parametrize("sd", [(0.1, 0.1), (1.0, 2.0), (2.0, 0.3)])
def test_posterior_of_a_ridge_against_a_plain_sum(sd, correlation):
    """The reference sums over a plain grid of both standard coordinates."""
    n, y = np.array([3, 6, 3]), np.array([0, 1, 1])
    prior = BivariateNormal(mean=(-2.0, 0.5), sd=sd, correlation=correlation)
    curve = Logistic2(doses=(1.0, 3.0, 5.0), reference=3.0, prior=prior)
    rate = 0.33
    found = ExactPosterior(ExactFit(curve, (rate,)), n, y)
    u, v = (np.linspace(-9, 9, count) for count in (601, 2401))
    a = prior.mean[0] + sd[0] * (correlation * v + np.sqrt(1 - correlation**2) * u[:, None])
    b = np.broadcast_to(prior.mean[1] + sd[1] * v, a.shape)
    logits = a[..., None] + np.exp(b)[..., None] * np.log(np.array([1.0, 3.0, 5.0]) / 3)
    log_density = (-y * np.logaddexp(0, -logits) - (n - y) * np.logaddexp(0, logits)).sum(axis=-1) - (u[:, None] ** 2 + v**2) / 2
    weight = np.exp(log_density - log_density.max())
    weight /= weight.sum()
    np.testing.assert_allclose(found.parameters()[0].value, [(weight * a).sum(), (weight * b).sum()], rtol=0, atol=1e-8)
    p = expit(logits)
    np.testing.assert_allclose(found.moments()[0].value, np.einsum("ij,ijd->d", weight, p), rtol=0, atol=1e-8)
    # A sum of indicators is accurate to the weight of the nodes along an edge: the step of u times its density.
    np.testing.assert_allclose(found.below(rate).value, np.einsum("ij,ijd->d", weight, p < rate), rtol=0, atol=18 / 600)


@pytest.mark.slow
@pytest.mark.parametrize(
    "prior",
    [
        "mean = [-3.4157, 0.8796], sd = [0.0308, 0.2097], correlation = 0.99595",
        "mean = [-2, 2.0], sd = [0.01, 0.5], correlation = 0.9999",
    ],
)
def test_ridges_too_narrow_for_any_grid_are_refused_with_their_size(prior, tmp_path):
    text = CONFIG.read_text(encoding="utf-8")
    path = tmp_path / "ridge.toml"
    path.write_text(re.sub(r"(?m)^prior = .*$", f"prior = {{ {prior} }}", text), encoding="utf-8")
    result = CliRunner().invoke(main, ["analyze", str(path), "--outcomes", "1NNN 2NNN 3NTT 2NNT"])
    assert result.exit_code == 1
    assert re.search(r"grids? of [\d,]{6,} nodes", result.stderr)


@pytest.mark.parametrize("n_doses", [20, 22, 25, 40, 99])
def test_three_plus_three_over_many_doses_is_refused_with_the_memory_that_it_needs(n_doses):
    with pytest.raises(WalkTooLarge, match="GiB"):
        walk(ThreePlusThree(n_doses=n_doses), n_doses)


@pytest.mark.slow
def test_memory_of_a_walk_includes_what_joins_its_final_states():
    """The largest of 3+3 is joined at the end: its rows twice, with numbers per dose that the rows do not have."""
    shown = subprocess.run(
        [sys.executable, "-c", MEASURED], capture_output=True, text=True, timeout=120, check=True, cwd=ROOT, env=os.environ
    )
    stated, used = map(float, shown.stdout.split())
    # Blocks that NumPy holds besides the arrays, and pages that the system has not given back.
    assert used < 1.25 * stated


MEASURED = """
import resource
from dosefind import ThreePlusThree
from dosefind.operating.walk import walk

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
stated = walk(ThreePlusThree(n_doses=16), 16).peak_bytes
print(stated, 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))
"""


@pytest.mark.parametrize("size", [1000, 10**6, 10**12])
@pytest.mark.parametrize("command", ["compare", "analyze"])
def test_sizes_that_no_trial_has_are_refused(size, command, tmp_path):
    path = config(tmp_path, ("cohort_size = 3\n", f"cohort_size = {size}\n"))
    result = CliRunner().invoke(main, [command, str(path)])
    assert result.exit_code == 2
    assert "limits.cohort_size" in result.stderr


SCENARIO = '"low" = [0.02, 0.05, 0.10]\n'


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[scenarios]\n", "[scenarios]\n" + "# much\n" * 400_000, "bytes"),
        (SCENARIO, SCENARIO + "".join(f'"s{number}" = [0.1, 0.2, 0.3]\n' for number in range(100_000)), "bytes"),
        (SCENARIO, SCENARIO + "".join(f'"s{number}" = [0.1, 0.2, 0.3]\n' for number in range(1000)), "scenarios"),
        ("[scenarios]\n", f"[{'.'.join('a' * 20_000)}]\nx = 1\n[scenarios]\n", "too deeply"),
        ("amounts = [1, 3, 5]", f"amounts = {'[' * 100_000}{']' * 100_000}", "too deeply"),
        ("amounts = [1, 3, 5]", f"amounts = {list(range(1, 20_000))}", "doses.amounts"),
    ],
    ids=["comments", "100,000 scenarios", "1,006 scenarios", "keys", "lists", "doses"],
)
def test_configs_of_a_size_that_none_has_are_refused(old, new, said, tmp_path):
    path = config(tmp_path, (old, new))
    with pytest.raises(InputError) as caught:
        load_protocol(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
