"""The walk, its lattice, simulation beside it, the reference benchmark, and calendar time."""

import os
import subprocess
import sys
from dataclasses import replace
from itertools import product
from math import comb, factorial
from pathlib import Path

import numpy as np
import pytest

import dosefind as dsf
from dosefind.designs.replay import state_after
from dosefind.operating.by_pairs import by_pairs
from dosefind.operating.lattice import Lattice
from dosefind.operating.metrics import Standards, above_mtd, definitions, judged
from dosefind.operating.packed import packing_of
from dosefind.operating.paths import paths_of
from dosefind.operating.reference import reference_selection
from dosefind.operating.tally import FIGURES
from dosefind.operating.walk import WalkTooLarge, walk
from dosefind.trial import Cohort, States

from . import peers
from .planted import faults

DESIGNS = {
    "3+3": dsf.ThreePlusThree(),
    "boin": dsf.BOIN(target=0.30, max_n=30),
    "crm": dsf.CRM(skeleton=dsf.skeleton(0.05, target=0.30, mtd_level=3, n_doses=5), target=0.30, max_n=30),
    "crm logistic, ones": dsf.CRM(
        skeleton=dsf.skeleton(0.05, target=0.30, mtd_level=3, n_doses=5),
        target=0.30,
        model="logistic",
        max_n=12,
        cohort_size=1,
        recommend="mean",
    ),
}
TRUTHS = [peers.SCENARIOS[name] for name in ("s5_a", "s5_b", "s5_d")]


@pytest.mark.slow
def test_exact_against_simulated():
    """At 100,000 trials, standard error from the exact probability: at most 1% of figures beyond 3, none beyond 6."""
    n_trials = 100_000
    errors = []
    for design in DESIGNS.values():
        walked = dsf.lattice(design, n_doses=5)
        exact = walked.under(TRUTHS, days=weeks)
        simulated = dsf.simulate(design, TRUTHS, n_trials=n_trials, seed=11, days=weeks)
        spread = exact_spread(walked, TRUTHS)
        for name in set(FIGURES) - {"responses"}:
            p, q = exact[name].values, simulated[name].values
            variance = spread.get(name, p * (1 - p))
            error = np.sqrt(np.maximum(variance, 0) / n_trials)
            # Chances of which fewer than ten of the rarer outcome are expected have no normal error: a Poisson bound does for them.
            rare = (p * (1 - p) * n_trials < 10) & (name not in spread)
            assert np.all(np.abs(p - q)[rare] <= 35 / n_trials), name
            shown = ~rare & (error > 1e-12)
            np.testing.assert_allclose(q[~rare & ~shown], p[~rare & ~shown], rtol=0, atol=1e-12)
            errors.append((np.abs(p - q)[shown] / error[shown]).ravel())
    errors = np.concatenate(errors)
    assert len(errors) > 300
    assert np.mean(errors > 3) <= 0.01
    assert errors.max() < 6


def weeks(n, visits):
    return visits[:, 0] @ np.arange(1.0, 6.0)


def exact_spread(walked, truths):
    """Exact variance of every count in a trial, by figure."""
    p = walked.probabilities(truths)
    columns = walked.trials.columns(slice(None), weeks, walked.trials.largest_sample)
    found = {}
    for name in ("patients", "dlts", "treated_from", "mean_n", "days"):
        mean = p.T @ columns[name]
        found[name] = (p.T @ columns[name] ** 2 - mean**2).reshape(-1 if FIGURES[name] is None else mean.shape)
    return found


def test_simulated_standard_errors_are_those_of_the_mean():
    """The spread of 40 independent estimates agrees with the standard error that each gives."""
    runs = [dsf.simulate(DESIGNS["boin"], TRUTHS[:1], n_trials=500, seed=seed) for seed in range(40)]
    for name in ("selected", "patients", "dlts", "any_dlt", "mean_n", "treated_from"):
        values = np.array([run[name].values for run in runs])
        given = np.sqrt(np.mean([run[f"{name}_se"].values ** 2 for run in runs], axis=0))
        shown = given > 1e-3
        # A standard deviation from 40 runs has a relative error of 11%: 4.5 of them.
        np.testing.assert_allclose(values.std(axis=0, ddof=1)[shown], given[shown], rtol=0.5)


def test_simulation_is_paired_and_reproducible():
    """The same seed gives the same bits, whatever else is simulated beside; designs that agree see the same trials."""
    design = DESIGNS["boin"]
    alone = dsf.simulate(design, TRUTHS[:1], n_trials=12_000, seed=5)
    beside = dsf.simulate(design, TRUTHS, n_trials=12_000, seed=5)
    for name in set(FIGURES) - {"responses"}:
        if name in alone:
            width = alone[name].shape[-1] if alone[name].ndim == 2 else None
            np.testing.assert_array_equal(
                alone[name].values[0], beside[name].values[0, ..., :width] if width else beside[name].values[0]
            )
    other = dsf.simulate(design, TRUTHS[:1], n_trials=12_000, seed=6)
    assert not np.array_equal(alone.selected, other.selected)
    twin = dsf.simulate(dsf.BOIN(target=0.30, max_n=30, cutoff=0.9500001), TRUTHS[:1], n_trials=12_000, seed=5)
    np.testing.assert_array_equal(alone.selected, twin.selected)


@pytest.mark.slow
def test_decisions_do_not_depend_on_threads():
    """One and two BLAS threads walk to the same ends, bit for bit in the counts and choices."""
    script = (
        "import hashlib, dosefind as d, numpy as np\n"
        "c = d.CRM(skeleton=d.skeleton(0.05, target=0.3, mtd_level=3, n_doses=5), target=0.3, max_n=24, model='logistic')\n"
        "w = d.lattice(c); t = w.trials\n"
        "parts = (t.n, t.y, t.choice, t.reason, t.not_reached, w.ends.ways)\n"
        "print(hashlib.sha256(b''.join(np.ascontiguousarray(a).tobytes() for a in parts)).hexdigest())"
    )
    prints = set()
    for threads in ("1", "2"):
        env = {**os.environ, "OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}
        prints.add(subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True).stdout)
    assert len(prints) == 1


@pytest.mark.parametrize("name", DESIGNS)
def test_probabilities_sum_to_one(name):
    walked = dsf.lattice(DESIGNS[name], n_doses=5)
    truths = [*TRUTHS, (0.0, 0.0, 0.0, 0.0, 0.0), (1.0, 1.0, 1.0, 1.0, 1.0), (0.0, 1e-12, 0.5, 1.0, 1.0)]
    # 1e-12: rounding of sums of up to 1e4 terms.
    np.testing.assert_allclose(walked.probabilities(truths).sum(axis=0), 1, rtol=0, atol=1e-12)
    oc = walked.under(truths)
    assert all(np.isfinite(v.values).all() for v in oc.data_vars.values())
    for figure in ("selected", "stopped", "sample_size"):
        np.testing.assert_allclose(oc[figure].sum(oc[figure].dims[1]), 1, rtol=0, atol=1e-12)
    np.testing.assert_allclose(oc.dlts, oc.patients * oc.p_true, rtol=0, atol=1e-11)


def test_certain_scenarios_are_exact():
    oc = dsf.lattice(dsf.ThreePlusThree(), n_doses=3).under({"no DLT": (0, 0, 0), "all DLT": (1, 1, 1)})
    np.testing.assert_array_equal(oc.selected.values, [[0, 0, 0, 1], [1, 0, 0, 0]])
    np.testing.assert_array_equal(oc.patients.values, [[3, 3, 3], [3, 0, 0]])
    np.testing.assert_array_equal(oc.not_reached.values, [1, 0])


def test_ways_count_every_outcome():
    """With every patient's outcome equally likely, the ways of all trials of n patients are 2^n."""
    ends = walk(dsf.BOIN(target=0.3, max_n=12, cohort_size=1), 4)
    weight = np.ldexp(ends.ways, -ends.n.sum(axis=1).astype(int))
    assert weight.sum() == 1.0


def test_walk_from_the_middle_of_a_trial():
    """From 1NNN 2NNT on, the walk agrees with the whole walk given that beginning."""
    design = dsf.BOIN(target=0.30, max_n=12)
    truth = np.array([[0.05, 0.15, 0.30]])
    state = state_after(design, [Cohort(1, 3, 0), Cohort(2, 3, 1)], 3)
    rest = Lattice(design, 3, walk(design, 3, begin=state))
    # The ways of the beginning are one, so dividing by its probability gives conditional probabilities.
    beginning = 0.95**3 * 0.15 * 0.85**2
    weights = rest.probabilities(truth)[:, 0] / beginning
    assert abs(weights.sum() - 1) < 1e-12
    table = paths_of(design, state, 9, truth, ["truth"])
    ours = [weights[rest.trials.choice == choice].sum() for choice in (-1, 0, 1, 2)]
    theirs = [table.loc[table.mtd == label, "truth"].sum() for label in ("none", "1", "2", "3")]
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)


def test_paths_are_the_unmerged_walk():
    for design in (dsf.ThreePlusThree(), dsf.BOIN(target=0.25, max_n=12)):
        truth = np.array([[0.1, 0.25, 0.4]])
        table = paths_of(design, state_after(design, [], 3), 30, truth, ["truth"])
        assert len(table) == walk(design, 3).paths.sum()
        oc = dsf.lattice(design, n_doses=3).under(truth)
        named = [table.loc[table.mtd == label, "truth"].sum() for label in oc.choice.values]
        np.testing.assert_allclose(named, oc.selected.values[0], rtol=0, atol=1e-13)


def test_states_that_share_a_key_are_noticed(monkeypatch):
    monkeypatch.setattr("dosefind.trial._MULTIPLIERS", np.ones((2, 64), np.uint64))
    monkeypatch.setattr("dosefind.operating.packed.Packing.key", lambda packing, words: 0 * words[0])
    with pytest.raises(ArithmeticError, match="same key"):
        walk(dsf.BOIN(target=0.3, max_n=12), 12)  # more counts than one word holds
    with pytest.raises(ArithmeticError, match="same key"):
        States.counts(np.array([[3, 0], [0, 3]]), np.array([[0, 0], [0, 0]])).grouped()


def test_memory_limit_stops_before_it_is_passed():
    design = dsf.BOIN(target=0.3, cohort_size=1, max_n=30)
    with pytest.raises(WalkTooLarge, match=r"after [\d,]+ states .* memory limit of 0.0195 GiB.*max_n"):
        dsf.lattice(design, n_doses=6, memory_limit=20 * 2**20)
    ends = walk(dsf.BOIN(target=0.3, cohort_size=1, max_n=15), 5)
    assert walk(dsf.BOIN(target=0.3, cohort_size=1, max_n=15), 5, memory_limit=ends.peak_bytes).walked == ends.walked


def test_states_decided_on_in_parts_are_those_of_one_batch(monkeypatch):
    for design in (dsf.BOIN(target=0.25, cohort_size=(1, 2, 3), max_n=12), dsf.ThreePlusThree(), dsf.BOIN(target=0.25, max_n=12)):
        whole = walk(design, 4)
        with monkeypatch.context() as changed:
            changed.setattr("dosefind.operating.walk.BLOCK", 3)
            parts = walk(design, 4)
        for name in ("n", "y", "reason", "ways", "paths", "visits"):
            np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name), err_msg=name)
        assert (parts.walked, parts.margin) == (whole.walked, whole.margin)


def _rows(ends):
    """All columns of final states, in the order of their counts."""
    rows = np.column_stack([ends.n, ends.y, ends.reason, ends.ways, ends.paths, ends.visits.reshape(len(ends.n), -1)])
    return rows[np.lexsort(rows.T[::-1])]


# One for each rule of the steps: eliminations with and without the additional stop, a start above the lowest level, a last cohort
# that is reduced, a bound of the estimate, many levels, and a table of another interval design.
BY_PAIRS = [
    (dsf.BOIN(target=0.3, max_n=19, extra_safe=True, cutoff=0.8), 5),
    (dsf.BOIN(target=0.25, max_n=12, start=2, cohort_size=1, bound_mtd=True), 4),
    (dsf.I3Plus3(target=0.25, max_n=18), 6),
    (dsf.MTPI2(target=0.3, max_n=9), 1),
]


@pytest.mark.parametrize(("design", "n_doses"), BY_PAIRS, ids=lambda value: getattr(value, "title", value))
def test_steps_by_pairs_and_compiled_ones_are_those_of_the_rules(design, n_doses, monkeypatch):
    """Counts, numbers of paths and multiplicities are whole numbers: equal to the last bit."""
    monkeypatch.setattr("dosefind.operating.walk.by_pairs", lambda design, packing: None)
    by_rules = walk(design, n_doses)
    monkeypatch.undo()
    assert by_pairs(design, packing_of(n_doses, tuple(range(design.max_n + 1)), 0))
    np.testing.assert_array_equal(_rows(walk(design, n_doses)), _rows(by_rules))
    monkeypatch.setattr("dosefind.operating.by_pairs.COMPILED", -1)
    compiled = walk(design, n_doses)
    np.testing.assert_array_equal(_rows(compiled), _rows(by_rules))
    assert compiled.walked == by_rules.walked
    # numba is there now: the final choice is compiled too.
    assert "numba" in sys.modules
    states = States.counts(compiled.n, compiled.y)
    chosen = design.select(states).dose
    monkeypatch.setattr("dosefind.designs.interval._COMPILED", 1)
    np.testing.assert_array_equal(design.select(states).dose, chosen)


def test_a_full_table_grows(monkeypatch):
    monkeypatch.setattr("dosefind.operating.by_pairs.COMPILED", -1)
    design = dsf.BOIN(target=0.3, max_n=24)
    whole = walk(design, 4)
    monkeypatch.setattr("dosefind.operating.compiled._FULL", 0.05)
    monkeypatch.setattr("dosefind.operating.by_pairs.ByPairs._expected", lambda rule, states, ends: 1.0)
    np.testing.assert_array_equal(_rows(walk(design, 4)), _rows(whole))


def test_a_small_walk_loads_no_compiler():
    code = "import sys, dosefind as dsf; dsf.lattice(dsf.BOIN(target=0.3, max_n=30), n_doses=5); assert 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, cwd=Path(__file__).parents[1])


def test_varying_cohorts_count_their_visits():
    """Cohorts at each dose and whether the first had company, carried through merging, against every path written out."""
    design = dsf.BOIN(target=0.25, cohort_size=(1, 2, 1), max_n=12)
    truth = np.array([[0.1, 0.25, 0.4]])
    table = paths_of(design, state_after(design, [], 3), 30, truth, ["truth"])
    visits = np.array([[sum(token.startswith(level) for token in path.split()) for level in "123"] for path in table.path])
    expected = (visits * table["truth"].to_numpy()[:, None]).sum(axis=0)
    walked = dsf.lattice(design, n_doses=3)
    for dose in range(3):
        ours = walked.under(truth, days=lambda n, visits, dose=dose: visits[:, 0, dose]).days
        np.testing.assert_allclose(ours, expected[dose], rtol=0, atol=1e-12)
    firsts = [next(t for t in path.split() if t.startswith("1")) for path in table.path]
    company = (np.array([len(token) > 2 for token in firsts]) * table["truth"]).sum()
    ours = walked.under(truth, days=lambda n, visits: visits[:, 1, 0]).days
    np.testing.assert_allclose(ours, company, rtol=0, atol=1e-12)
    simulated = dsf.simulate(design, truth, n_trials=2000, seed=4, days=lambda n, visits: visits[:, 1].sum(axis=1))
    exact = walked.under(truth, days=lambda n, visits: visits[:, 1].sum(axis=1)).days
    # 5 standard errors.
    assert abs(simulated.days - exact) < 5 * simulated.days_se


def test_rare_cells_of_one_dose_and_of_eight():
    one = dsf.lattice(dsf.BOIN(target=0.3, max_n=9), n_doses=1).under([[0.2]])
    assert abs(one.selected.sum() - 1) < 1e-12
    eight = dsf.lattice(dsf.CRM(skeleton=tuple(np.linspace(0.05, 0.6, 8)), target=0.3, max_n=15)).under([np.linspace(0.02, 0.5, 8)])
    assert abs(eight.selected.sum() - 1) < 1e-12


@pytest.mark.parametrize(
    ("truth", "n"), [((0.1, 0.25, 0.4), 6), ((0.3, 0.45, 0.6), 5), ((0.05, 0.05, 0.5), 7), ((0.5, 0.6, 1.0), 4)]
)
def test_reference_against_every_multinomial_outcome(truth, n):
    target, margin = 0.25, 0.10
    shares = np.diff([0, *truth, 1])
    nearest, highest = np.zeros(len(truth) + 1), np.zeros(len(truth) + 1)
    for counts in product(range(n + 1), repeat=len(truth) + 1):
        if sum(counts) != n:
            continue
        ways = factorial(n) // np.prod([factorial(c) for c in counts])
        probability = ways * np.prod([s**c for s, c in zip(shares, counts, strict=True)])
        dlts = np.cumsum(counts)[:-1].tolist()
        nearest[chosen_nearest(dlts, n, target, margin)] += probability
        highest[max((d for d, c in enumerate(dlts, 1) if c <= n * target), default=0)] += probability
    ours = reference_selection(np.array(truth), target, margin, n)
    # 1e-13: rounding of sums of a few hundred terms.
    np.testing.assert_allclose(ours[0], nearest, rtol=0, atol=1e-13)
    np.testing.assert_allclose(ours[1], highest, rtol=0, atol=1e-13)


def test_benchmark_states_its_rule_for_ties():
    text = definitions(Standards(0.25, (0.16, 0.33), 0.1, 0.33))["reference_selected"]
    # How it is settled is said, with the values that it depends on.
    assert {"0.25", "0.35", "0.1)"} <= {word.strip(",;") for word in text.split()}
    # Of two patients none has a DLT at the first dose; one at the second is as far from .25, none there is an equal count below.
    nearest, _ = reference_selection(np.array([0.0, 0.4]), 0.25, 0.1, 2)
    np.testing.assert_allclose(nearest, [0, 1 - 0.6**2, 0.6**2], rtol=0, atol=1e-15)


def chosen_nearest(dlts, n, target, margin):
    if dlts[0] > n * (target + margin) + 1e-9:
        return 0
    closest = min(abs(c - n * target) for c in dlts)
    tied = [d for d, c in enumerate(dlts, 1) if abs(abs(c - n * target) - closest) < 1e-9]
    lowest = dlts[tied[0] - 1]
    # Below the target, equal counts go to the highest dose that has them.
    return max(d for d in tied if dlts[d - 1] == lowest) if lowest < n * target - 1e-9 else tied[0]


def test_true_mtds_and_what_is_judged_by_them():
    standards = Standards(target=0.25, interval=(0.16, 0.33), margin=0.10, overdose_limit=0.33)
    truths = np.array([[0.05, 0.15, 0.30], [0.15, 0.35, 0.5], [0.36, 0.5, 0.6], [0.35, 0.5, 0.6], [0.16, 0.33, 0.4]])
    # Of .15 and .35 the lower; none only above .35; nearest and highest differ in the first.
    np.testing.assert_array_equal(standards.true_mtd(truths), [2, 0, -1, 0, 1])
    np.testing.assert_array_equal(standards.highest_below(truths), [1, 0, -1, -1, 0])
    np.testing.assert_array_equal(standards.acceptable(truths)[[0, 4]], [[False, False, True], [True, False, False]])
    selected = np.tile([0.1, 0.2, 0.3, 0.4], (5, 1))
    ours = judged(selected, truths, standards)
    np.testing.assert_allclose(ours["correct"], [0.4, 0.2, 0.1, 0.2, 0.3])
    np.testing.assert_allclose(ours["under_selected"], [0.6, 0.1, 0, 0.1, 0.3])
    np.testing.assert_allclose(ours["over_selected"], [0, 0.7, 0.9, 0.7, 0.4])
    np.testing.assert_allclose(ours["acceptable"], [0.4, 0, 0, 0, 0.2])
    treated_from = np.tile([9.0, 5.0, 2.0], (5, 1))
    np.testing.assert_allclose(above_mtd(treated_from, truths, standards), [0, 5, 9, 5, 2])


def test_overdosing_shares_are_strict():
    """9 of 15 patients above the limit are not more than 60%."""
    design = dsf.BOIN(target=0.3, max_n=15)
    walked = dsf.lattice(design, n_doses=2)
    trials = walked.trials
    p = walked.probabilities([[0.2, 0.4]])[:, 0]
    over = trials.n[:, 1] * 10 > trials.n.sum(axis=1) * 6
    assert np.any(trials.n[:, 1] * 10 == trials.n.sum(axis=1) * 6)
    ours = walked.under([[0.2, 0.4]], overdose_limit=0.33)
    np.testing.assert_allclose(ours.over_60, p[over].sum(), rtol=0, atol=1e-13)
    # A rate at the limit is no overdose.
    assert walked.under([[0.2, 0.33]], overdose_limit=0.33).over_60 == 0


def test_pooling_of_binomials_is_a_binomial():
    """One dose, no stopping: the number of DLTs is binomial."""
    design = dsf.design_from_rule(lambda trial: 1, choose=lambda trial: 1 if trial.y[0] >= 4 else None, cohort_size=3, max_n=9)
    oc = dsf.lattice(design, n_doses=1).under([[0.3]])
    expected = sum(comb(9, k) * 0.3**k * 0.7 ** (9 - k) for k in range(4, 10))
    np.testing.assert_allclose(oc.selected.values[0, 1], expected, rtol=0, atol=1e-14)


def test_one_byte_less_than_needed_is_too_little():
    design = dsf.BOIN(target=0.3, cohort_size=1, max_n=8)
    needed = walk(design, 3).peak_bytes
    walk(design, 3, memory_limit=needed)
    with pytest.raises(WalkTooLarge):
        walk(design, 3, memory_limit=needed - 1)


def test_figures_agree_with_each_other():
    walked = dsf.lattice(DESIGNS["3+3"], n_doses=5)
    oc, p = walked.under(TRUTHS), walked.probabilities(TRUTHS)
    # 1e-11: rounding of sums of up to 1e3 terms of up to 30 patients.
    np.testing.assert_allclose(oc.treated_from, oc.patients.values[:, ::-1].cumsum(axis=1)[:, ::-1], rtol=0, atol=1e-11)
    np.testing.assert_allclose(oc.mean_n, oc.patients.sum("dose"), rtol=0, atol=1e-11)
    np.testing.assert_allclose(oc.mean_n, (oc.sample_size * oc.n_patients).sum("n_patients"), rtol=0, atol=1e-11)
    np.testing.assert_allclose(oc.any_dlt, 1 - p[walked.ends.y.sum(axis=1) == 0].sum(axis=0), rtol=0, atol=1e-12)


def test_chunks_have_their_own_patients():
    once, twice = (dsf.simulate(DESIGNS["3+3"], TRUTHS[:1], n_trials=n, seed=5) for n in (10_000, 20_000))
    assert not np.array_equal(once.selected, twice.selected)


def test_a_rate_at_the_target_is_not_above_it():
    standards = Standards(target=0.25, interval=(0.16, 0.33), margin=0.10, overdose_limit=0.33)
    assert standards.highest_below(np.array([[0.10, 0.25, 0.40]])) == 1


# Faults that these tests must notice.

STANDARDS = "dosefind.operating.metrics:Standards."

FAULTS = {
    "the margin of the MTD has no effect": (
        STANDARDS + "true_mtd",
        lambda old: lambda self, truths: old(replace(self, margin=1.0), truths),
        test_true_mtds_and_what_is_judged_by_them,
    ),
    "what is chosen below the MTD is above it": (
        "dosefind.operating.metrics:judged",
        lambda old: (
            lambda *given: (
                old(*given) | {"under_selected": old(*given)["over_selected"], "over_selected": old(*given)["under_selected"]}
            )
        ),
        test_true_mtds_and_what_is_judged_by_them,
    ),
    "a seed has no effect": (
        "dosefind.operating.simulation:simulated_figures",
        lambda old: lambda design, truths, n_trials, seed, *given, **named: old(design, truths, n_trials, 1, *given, **named),
        test_simulation_is_paired_and_reproducible,
    ),
}

test_fault_is_caught = faults(FAULTS)
