"""The best policy under a prior: references, plain recursion, forward against backward, bounds on every design, and the page."""

import json
from dataclasses import replace
from functools import cache
from math import comb

import numpy as np
import pytest
from click.testing import CliRunner

import dosefind as dsf
from dosefind import policies
from dosefind.cli import main
from dosefind.designs.optimal import CLOSING, Optimal, utilities
from dosefind.designs.standards import Standards
from dosefind.models import CURVES
from dosefind.operating.lattice import lattice
from dosefind.plots import alt_text, frontier
from dosefind.policies import Actions, Elimination, Ewoc, Stakes, TooLarge, TwoOfSix, closed_at, solve
from dosefind.posterior.administered import exact_posterior
from dosefind.show.pages.optimum import optimum as page
from dosefind.show.terminal import as_lines
from dosefind.tasks.optimum import BEST, curves_of

from . import peers
from .contract import check_design
from .quick import examples

TARGET = Standards(0.25, (0.15, 0.35), 0.10, 0.35)
KNOWN = {item["id"]: item for item in peers.published("bayes_optimal")["items"]}
CONFIG = peers.ROOT / "configs" / "nct05962762.toml"


def stakes(truths, weights=None, utility="correct", per_dlt=0.0, per_patient=0.0):
    truths = np.array(truths, float)
    weights = np.full(len(truths), 1 / len(truths)) if weights is None else np.array(weights)
    return Stakes(truths, weights, utilities(utility, truths, TARGET), per_dlt * truths + per_patient)


def plain(problem, actions):
    """The value by recursion over counts of one trial, with posteriors divided out, written without grids."""

    @cache
    def best(n, y):
        weight = problem.weights * np.prod(
            [p**b * (1 - p) ** (a - b) for p, a, b in zip(problem.truths.T, n, y, strict=True)], axis=0
        )
        known = weight.sum()
        posterior = weight / known if known else weight
        values = [float(column @ posterior) for column in problem.utility.T]
        highest = max((d for d in range(len(n)) if n[d]), default=None)
        for d in range(len(n)):
            size = min(actions.sizes[d], actions.max_n - sum(n), (actions.max_n_per_dose or 10**6) - n[d])
            first = d == actions.start - 1 if highest is None else d <= highest + 1
            if size < 1 or not (first or actions.skips) or any(closes(rule, n, y, d, posterior) for rule in actions.closing):
                continue
            value = -size * float(problem.cost[:, d] @ posterior)
            for more in range(size + 1):
                chance = float(
                    (comb(size, more) * problem.truths[:, d] ** more * (1 - problem.truths[:, d]) ** (size - more)) @ posterior
                )
                if chance:
                    after = tuple(a + size * (i == d) for i, a in enumerate(n)), tuple(b + more * (i == d) for i, b in enumerate(y))
                    value += chance * best(*after)
            values.append(value)
        return max(values)

    none = (0,) * problem.n_doses
    return best(none, none)


def closes(rule, n, y, dose, posterior):
    """The closing rules again, of one dose of one trial."""
    if isinstance(rule, Ewoc):
        return posterior @ (rule.truths[:, dose] > rule.limit) > rule.cutoff
    if isinstance(rule, TwoOfSix):
        return any(b >= 2 and 3 * b >= a for a, b in zip(n[: dose + 1], y[: dose + 1], strict=True))
    from scipy.stats import beta

    return any(
        a >= rule.min_n and beta.sf(rule.target, 1 + b, 1 + a - b) > rule.cutoff
        for a, b in zip(n[: dose + 1], y[: dose + 1], strict=True)
    )


def problems(count, seed=3):
    """Random small problems: 1 to 3 doses, limits, costs, closing rules and utilities of every kind."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        doses, curves = int(rng.integers(1, 4)), int(rng.integers(2, 6))
        truths = np.sort(rng.uniform(0, 0.7, (curves, doses)), axis=1)
        weights = rng.dirichlet(np.ones(curves))
        utility = ("correct", "distance", "acceptable")[number % 3]
        problem = stakes(truths, weights, utility, per_dlt=rng.choice([0.0, 0.05]), per_patient=rng.choice([0.0, 0.004]))
        rules = {"elimination": Elimination(0.25), "two-of-six": TwoOfSix(), "ewoc": Ewoc(truths, weights, 0.35, 0.4)}
        closing = tuple(rule for rule in rules.values() if rng.random() < 0.3)
        sizes = tuple(int(size) for size in rng.integers(1, 4, doses))
        most = int(rng.integers(2, 7)) if rng.random() < 0.5 else None
        skips, start = bool(rng.random() < 0.3), int(rng.integers(1, doses + 1))
        yield problem, Actions(sizes, int(rng.integers(3, 9)), most, start, skips, closing)


def test_reference_values():
    """Within 1e-9 as the reference states: optimum, with at most six patients per dose, states."""
    for name in ("bayes_optimal_3x6_lam0_nu0", "bayes_optimal_3x6_lam0.02_nu0"):
        given, known = KNOWN[name]["inputs"], KNOWN[name]["expected"]
        problem = stakes(list(given["truths"].values()), per_dlt=given["cost_per_dlt"], per_patient=given["cost_per_patient"])
        actions = Actions((given["cohort"],) * 3, given["max_n"])
        free, capped = solve(problem, actions), solve(problem, replace(actions, max_n_per_dose=6))
        assert free.value == pytest.approx(known["optimum"], abs=1e-9)
        assert capped.value == pytest.approx(known["optimum_at_most_6_a_dose"], abs=1e-9)
        assert (free.n_states, capped.n_states) == (known["states_no_skip"], known["states_no_skip_cap6"])
        assert solve(problem, replace(actions, skips=True)).n_states == known["states_all"]


def test_small_reference_values():
    """Within 1e-12 as the reference states."""
    given, known = KNOWN["bayes_optimal_small"]["inputs"], KNOWN["bayes_optimal_small"]["expected"]
    for name, cost in (("optimum_with_cost", given["cost_per_dlt"]), ("optimum_without_cost", 0.0)):
        problem = stakes(given["truths"], given["weights"], per_dlt=cost)
        found = [solve(problem, Actions((size, size), cohorts * size)).value for cohorts, size in given["cohorts_and_size"]]
        assert found == pytest.approx(known[name], abs=1e-12)


def test_equal_to_plain_recursion():
    """Within 1e-12: sums of some hundred terms below 1."""
    for problem, actions in problems(examples(50)):
        assert solve(problem, actions).value == pytest.approx(plain(problem, actions), abs=1e-12)


def without_none(values, real=policies._first_of_highest):
    return 1 + real(values[1:]) if len(values) > 1 else real(values)


FAULTS = {
    "multiplicities left out": ("comb", lambda n, k: 1),
    "none missing from the conclusions": ("_first_of_highest", without_none),
}


@pytest.mark.parametrize("fault", [*FAULTS, "a level skipped"])
def test_planted_faults_are_noticed(fault, monkeypatch):
    if fault in FAULTS:
        monkeypatch.setattr(policies, *FAULTS[fault])
    problem = stakes([[0.05, 0.3, 0.5], [0.3, 0.5, 0.6], [0.45, 0.6, 0.7]], [0.3, 0.3, 0.4])
    actions = Actions((3, 3, 3), 9)
    found = solve(problem, replace(actions, skips=fault not in FAULTS))
    monkeypatch.undo()
    assert abs(found.value - plain(problem, actions)) > 1e-6


def test_a_cost_is_paid_by_every_patient():
    """A cost charged at the end alone would not change when to stop."""
    problem = stakes([[0.05, 0.3], [0.3, 0.5]], per_patient=0.03)
    free = solve(replace(problem, cost=np.zeros((2, 2))), Actions((3, 3), 12), in_parts=True)
    found = solve(problem, Actions((3, 3), 12), in_parts=True)
    assert found.value == pytest.approx(found.utility - 0.03 * found.patients, abs=1e-12)
    assert found.patients < free.patients
    assert found.value > free.utility - 0.03 * free.patients


@pytest.mark.parametrize("utility", ["correct", "distance", "acceptable"])
def test_forward_is_backward(utility):
    """The exact walk of the policy as a design has its value (1e-12)."""
    given = KNOWN["bayes_optimal_3x6_lam0_nu0"]["inputs"]
    rows = tuple(map(tuple, given["truths"].values()))
    best = Optimal(
        truths=rows,
        weights=(1.0, 2.0, 3.0, 3.0, 2.0, 1.0),
        utility=utility,
        cost_per_dlt=0.02,
        cost_per_patient=0.001,
        cost_per_overdose=0.01,
        target=0.25,
        interval=(0.15, 0.35),
        max_n=17,
        cohort_size=3,
        closing=("elimination",),
    )
    figures = lattice(best).figures(np.array(rows))
    own = best.stakes
    value = own.weights @ ((figures["selected"] * own.utility).sum(axis=1) - (figures["patients"] * own.cost).sum(axis=1))
    assert value == pytest.approx(best.policy.value, abs=1e-12)
    parts = solve(own, best.actions, in_parts=True)
    assert parts.patients == pytest.approx(own.weights @ figures["patients"].sum(axis=1), abs=1e-10)
    assert parts.dlts == pytest.approx(own.weights @ figures["dlts"].sum(axis=1), abs=1e-10)


SHIPPED = {
    "3+3": dsf.ThreePlusThree(n_doses=3),
    "boin": dsf.BOIN(target=0.25, n_doses=3, max_n=18),
    "boin, at most 6": dsf.BOIN(target=0.25, n_doses=3, max_n=18, max_n_per_dose=6),
    "crm": dsf.CRM(skeleton=(0.1, 0.25, 0.4), target=0.25, max_n=18, no_skip="tried"),
    "i3+3": dsf.I3Plus3(target=0.25, n_doses=3, max_n=18),
}


def test_no_design_is_above_the_optimum_of_its_actions():
    rng = np.random.default_rng(5)
    walked = {name: lattice(design) for name, design in SHIPPED.items()}
    for _prior in range(examples(50)):
        truths = np.sort(rng.uniform(0, 0.8, (12, 3)), axis=1)
        problem = stakes(truths, rng.dirichlet(np.ones(12)))
        best = {most: solve(problem, Actions((3, 3, 3), 18, most)).value for most in (None, 6)}
        for name, one in walked.items():
            value = problem.weights @ (one.figures(truths)["selected"] * problem.utility).sum(axis=1)
            bayes = one.ends.ways @ problem.concluded(one.ends.n, one.ends.y).max(axis=1)
            top = best[6 if name in ("3+3", "boin, at most 6") else None]
            assert value <= bayes + 1e-12
            assert bayes <= top + 1e-12


@pytest.mark.parametrize("closing", [(), CLOSING], ids=["free", "closing"])
def test_contract(closing):
    truths = ((0.05, 0.15, 0.3), (0.1, 0.25, 0.4), (0.3, 0.45, 0.6), (0.02, 0.05, 0.1))
    check_design(
        Optimal(
            truths=truths, target=0.25, interval=(0.15, 0.35), max_n=9, cost_per_patient=0.002, cost_per_dlt=0.01, closing=closing
        )
    )


def test_counts_that_full_cohorts_do_not_give():
    """As in a real trial: the policy from these counts on, by plain recursion too."""
    best = Optimal(truths=((0.05, 0.25), (0.25, 0.45)), target=0.25, interval=(0.15, 0.35), max_n=10)
    assert dsf.decide(best, "1NN").level in (1, 2)
    free = best.stakes
    later = solve(free, best.actions, begin=(2, 0))
    given = [replace(free, weights=free.weights * free.truths[:, 0] ** y * (1 - free.truths[:, 0]) ** (2 - y)) for y in (0, 1, 2)]
    # From these counts on no posterior is needed: the likelihood is part of the weights.
    value = sum(
        comb(2, y) * one.weights.sum() * plain_from(replace(one, weights=one.weights / one.weights.sum()), best.actions, (2, 0))
        for y, one in enumerate(given)
    )
    assert later.value == pytest.approx(value, abs=1e-12)


def plain_from(problem, actions, n):
    """The value of going on from counts, with weights that know of them: fewer patients are left, all levels tried."""
    shorter = replace(actions, max_n=actions.max_n - sum(n), skips=True, treats=False)
    return plain(problem, shorter)


def test_optimal_in_a_config_is_compared_and_decides():
    table = dsf.load_protocol(CONFIG).model_dump(exclude_unset=True, exclude={"assumed", "borrowing"})
    table["designs"] = {"3+3": table["designs"]["3+3"], "best": {"kind": "optimal", "cost_per_dlt": 0.02}}
    trial = dsf.Trial.of(dsf.Protocol.read(table))
    best = trial.designs["best"]
    assert isinstance(best, Optimal)
    assert best.truths == tuple(trial.protocol.scenarios.values())
    oc = dsf.compare(trial)
    known = KNOWN["bayes_optimal_3x6_lam0.02_nu0"]["expected"]["optimum"]
    value = float((oc.correct - 0.02 * oc.dlts.sum("dose")).sel(design="best").mean())
    assert value == pytest.approx(known, abs=1e-9)
    code = best.policy.at((6, 0, 0), (0, 0, 0))
    assert dsf.decide(best, "1NNN 1NNN").level == code + 1


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"max_n": None}, "max_n"),
        ({"cohort_size": (1, 3)}, "cohort_size"),
        ({"truths": ((0.1, 0.2), (0.1,))}, "truths"),
        ({"weights": (1.0,)}, "weights"),
        ({"titration": True}, "titration"),
        ({"stop_n": 9}, "stop_n"),
        ({"closing": ("never",)}, "closing"),
        ({"cost_per_dlt": -1.0}, "cost_per_dlt"),
    ],
)
def test_settings_that_cannot_be(wrong, where):
    given = {"truths": ((0.1, 0.2), (0.2, 0.4)), "target": 0.25, "interval": (0.15, 0.35), "max_n": 12}
    with pytest.raises(dsf.InputError) as found:
        Optimal(**(given | wrong))
    assert where in str(found.value)


def test_too_large_problems_are_refused_beforehand():
    truths = np.sort(np.random.default_rng(0).random((50, 12)), axis=1)
    with pytest.raises(TooLarge) as found:
        solve(stakes(truths), Actions((3,) * 12, 60))
    assert "states" in str(found.value)


@pytest.mark.parametrize("kind", list(CURVES))
def test_curves_stand_for_the_prior(kind):
    """Mean rates within 0.01 of those of the quadrature: the coarse grid of 512 curves, not its limit."""
    trial = dsf.load_trial(CONFIG)
    curve = next((one for one in trial.curves.values() if type(one) is CURVES[kind]), None)
    if curve is None:
        assert kind not in {"logistic-2", "power"}
        return
    rates, weights = curves_of(curve, 512)
    assert weights.sum() == pytest.approx(1, abs=1e-12)
    none = np.zeros(3, int)
    exact = exact_posterior(curve, none, none, (0.25,))
    assert weights @ (rates > 0.25) == pytest.approx(1 - exact.below(0.25).value, abs=0.01)


@pytest.fixture(scope="module")
def made():
    return dsf.optimum(dsf.load_trial(CONFIG), n_curves=32)


def test_result_has_the_reference_values(made):
    """Of the scenarios with equal weights; designs of the reference by their names in the config (1e-9)."""
    known = KNOWN["bayes_optimal_3x6_lam0_nu0"]["expected"]
    own = made.sel(prior="scenarios")
    assert float(own.value.sel(design=BEST)) == pytest.approx(known["optimum"], abs=1e-9)
    for name, other in (("3+3", "3+3"), ("boin", "BOIN"), ("boin-6", "BOIN cap 6")):
        at, value = own.sel(design=name), known["designs"][other]
        assert float(at.value) == pytest.approx(value["value"], abs=1e-9)
        assert float(at.value + at.final_choice) == pytest.approx(value["with_bayes_choice_at_its_ends"], abs=1e-9)
    assert float(own.price.sel(constraint="at most 6 patients per dose")) == pytest.approx(
        known["optimum"] - known["optimum_at_most_6_a_dose"], abs=1e-9
    )


def test_parts_of_regret_add_up(made):
    np.testing.assert_array_equal(made.regret, made.allocation + made.final_choice)
    np.testing.assert_allclose(made.regret, made.value.sel(design=BEST) - made.value, atol=1e-12)
    assert (made.final_choice > -1e-12).all()
    assert (made.without_trial <= made.value.sel(design=BEST) + 1e-12).all()
    assert (made.value.sel(design=BEST) <= made.with_truth).all()
    assert (made.price > -1e-12).all()
    np.testing.assert_allclose(
        made.in_scenario.sel(prior="scenarios").mean("scenario"), made.value.sel(prior="scenarios"), atol=1e-12
    )


def test_what_is_possible_at_the_same_cost(made):
    """Above the design, below the optimum, and below every price's bound: the value at that price plus the price of the design."""
    assert (made.at_same_cost >= made.utility - 1e-6).all()
    assert (made.at_same_cost <= made.utility.sel(design=BEST) + 1e-6).all()
    trial = dsf.load_trial(CONFIG)
    problem = stakes(trial.protocol.truths)
    own = made.sel(prior="scenarios", design="3+3")
    for per_dlt, per_patient in ((0.0, 0.0), (0.05, 0.0), (0.1, 0.01), (0.0, 0.02), (0.3, 0.0)):
        cost = per_dlt * problem.truths + per_patient
        bound = solve(replace(problem, cost=cost), Actions((3, 3, 3), 18)).value + per_dlt * own.dlts + per_patient * own.patients
        assert float(own.at_same_cost) <= float(bound) + 1e-6


def test_page_and_picture_show_the_numbers(made):
    first = as_lines(replace(page(made), sections=()), width=80).splitlines()
    assert len(first) <= 40
    assert max(map(len, first)) <= 80
    whole = as_lines(page(made), details=True)
    for prior in made.prior.values:
        assert f"{100 * float(made.regret.sel(prior=prior, design='boin')):.1f}" in whole
        assert f"{100 * float(made.price.sel(prior=prior, constraint='ewoc')):.2f}" in whole
    words = alt_text(frontier(made, "scenarios"))
    assert f"{100 * float(made.utility.sel(prior='scenarios', design='boin')):.1f} points" in words


def test_the_command_writes_what_the_library_returns(tmp_path, made):
    command = ("optimum", str(CONFIG), "--curves", "32", "--out", str(tmp_path))
    found = CliRunner().invoke(main, command)
    assert found.exit_code == 0
    saved = json.loads((tmp_path / "optimum.json").read_text())
    assert saved
    assert {"optimum.csv", "optimum.json", "optimum.nc"} <= {path.name for path in tmp_path.iterdir()}
    wrong = CliRunner().invoke(main, ("optimum", str(CONFIG), "--cost-per-dlt", "-1"))
    assert wrong.exit_code == 2
    assert "cost_per_dlt" in wrong.stderr


def small(**changed):
    """The protocol with the 3+3 and two curves only."""
    table = dsf.load_protocol(CONFIG).model_dump(exclude_unset=True, exclude={"assumed", "borrowing", "binding"})
    table["designs"] = {"3+3": table["designs"]["3+3"]}
    table["curves"] = {name: table["curves"][name] for name in ("logistic-2-tight", "power")}
    return dsf.Protocol.read(table | changed)


def test_half_as_many_curves_state_the_error():
    """The stated error is the difference from half as many, 0 for scenarios, and of the order of that from eight times as many."""
    few, half, many = (dsf.optimum(small(), n_curves=count).sel(design=BEST) for count in (64, 32, 512))
    np.testing.assert_allclose(few.value_error, np.abs(few.value - half.value), atol=1e-12)
    assert float(few.value_error.sel(prior="scenarios")) == 0
    assert float(np.abs(few.value - many.value).max()) < 4 * float(few.value_error.max())


def test_costs_that_no_trial_is_worth():
    """The policy that is scored in each scenario is the best one, which treats nobody where a trial costs more than it adds."""
    found = dsf.optimum(small(), n_curves=16, cost_per_dlt=1.0)
    own = found.sel(prior="scenarios")
    assert found.attrs["without_patients"] == found.prior.values.tolist()
    assert float(own.patients.sel(design=BEST)) == 0
    np.testing.assert_allclose(own.in_scenario.mean("scenario"), own.value, atol=1e-12)
    assert "concludes without a trial" in " ".join(as_lines(page(found), width=80).split())


def test_a_scenario_alone_is_cautioned():
    name, rates = next(iter(dsf.load_protocol(CONFIG).scenarios.items()))
    found = dsf.optimum(small(scenarios={name: list(rates)}), n_curves=16)
    assert found.attrs["curves"]["scenarios"] == 1
    assert float(found.value.sel(prior="scenarios", design=BEST)) == 1
    assert "Cautions" in as_lines(page(found), width=80)


def test_problems_of_the_config_are_named_with_file_and_key(tmp_path):
    text = CONFIG.read_text()
    for old, new, options, place in (
        ("max_n = 18", "max_n = 90", ["--memory", "0.05"], "limits.max_n = 90"),
        ("cohort_size = 3", "cohort_size = [1, 3]", [], "limits.cohort_size"),
    ):
        path = tmp_path / "trial.toml"
        assert old in text
        path.write_text(text.replace(old, new, 1))
        found = CliRunner().invoke(main, ("optimum", str(path), *options))
        assert found.exit_code == 2
        assert "trial.toml" in found.stderr
        assert place in found.stderr


@pytest.mark.parametrize("name", CLOSING)
def test_closed_doses_are_not_selected_where_rules_bind(name):
    """Forward by the lattice: the value of the policy, and no final state selects a closed dose."""
    truths = ((0.05, 0.15, 0.3), (0.1, 0.25, 0.4), (0.3, 0.45, 0.6), (0.02, 0.05, 0.1))
    given = {"truths": truths, "target": 0.25, "interval": (0.15, 0.35), "max_n": 12, "closing": (name,)}
    bound, free = Optimal(closed_selected=False, **given), Optimal(**given)
    assert bound.policy.value <= free.policy.value + 1e-12
    walked = lattice(bound)
    selected = walked.figures(bound.stakes.truths)["selected"]
    value = float(bound.stakes.weights @ (selected * bound.stakes.utility).sum(axis=1))
    assert value == pytest.approx(bound.policy.value, abs=1e-12)
    closed = closed_at(bound.stakes, bound.actions, walked.ends.n, walked.ends.y)
    assert closed.any()
    for design, allowed in ((bound, False), (free, True)):
        dose = design.stakes.choice(walked.ends.n, walked.ends.y, None if allowed else closed)
        named = np.flatnonzero(dose >= 0)
        assert closed[named, dose[named]].any() == allowed


def test_designs_with_other_cohorts_or_more_patients_are_left_out_by_name():
    """Their policies are not among those that the optimum is sought in, so a design could lie above it."""
    table = dsf.load_protocol(CONFIG).model_dump(exclude_unset=True, exclude={"assumed", "borrowing", "binding"})
    boin = table["designs"]["boin"]
    table["designs"] = {"boin": boin, "larger": boin | {"max_n": 30}, "single": boin | {"cohort_size": 1}}
    found = dsf.optimum(dsf.Protocol.read(table), n_curves=16)
    assert found.attrs["left_out"] == ["larger", "single"]
    assert found.design.values.tolist() == [BEST, "boin"]
    assert "larger, single" in " ".join(as_lines(page(found)).split())


def test_costs_are_taken_from_what_is_possible_too():
    from dosefind.show.pages.optimum import Optimum

    made = dsf.optimum(dsf.load_trial(CONFIG), n_curves=16, cost_per_dlt=0.02)
    shown = Optimum.of(made)
    for prior in shown.priors:
        assert shown.possible(prior, "3+3") <= shown.value("value", prior, BEST) + 1e-6
        assert shown.possible(prior, "3+3") >= shown.value("value", prior, "3+3") - 1e-6


def test_the_first_cohort_is_treated_although_nothing_is_open_without_data():
    rows = ((0.5, 0.6), (0.45, 0.7))
    best = Optimal(truths=rows, target=0.25, interval=(0.15, 0.35), max_n=6, closing=("ewoc",))
    assert np.isfinite(best.policy.value)
    assert dsf.decide(best, "").level == 1
