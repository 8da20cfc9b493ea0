"""CRM: the contract, dfcrm's fits and operating characteristics, published trials, skeletons, and the quadrature behind them."""

from functools import partial

import numpy as np
import pytest
from scipy.integrate import quad, simpson
from scipy.special import bdtr, expit, logit

import dosefind as dsf
from dosefind.designs.replay import state_after
from dosefind.models import CURVES, one_parameter
from dosefind.models.elicitation import indifference_intervals
from dosefind.posterior.quadrature import Nodes, Quadrature
from dosefind.trial import Cohort, States

from . import peers
from .contract import check_design
from .planted import faults, setting

SKELETON = (0.12, 0.25, 0.38)
VARIANTS = [
    {},
    {"model": "logistic"},
    {"model": "cloglog"},
    {"recommend": "mean"},
    {"no_skip": "tried", "coherence": "both"},
    {"no_skip": "off", "coherence": "off", "final": "model"},
    {"safety_cutoff": 0.8, "safety_by": "beta"},
    {"safety_cutoff": 0.8, "safety_by": "model", "model": "logistic"},
    {"safety_cutoff": 0.8, "safety_by": "model", "model": "cloglog", "recommend": "mean"},
    {"recommend": "mean", "safety_cutoff": 0.7, "safety_min_n": 4, "no_skip": "off"},
    {"max_n_per_dose": 6},
    {"cohort_size": (1, 1, 2, 3), "max_n": 10},
    {"start": 2, "stop_n": 6, "stop_n_at": "chosen"},
]
MODELS = {"empiric": "power", "logistic": "logistic"}


@pytest.mark.parametrize("settings", VARIANTS, ids=str)
def test_contract(settings):
    check_design(dsf.CRM(**{"skeleton": SKELETON, "target": 0.25, "max_n": 12, **settings}))


def test_peer_exact_values():
    for key, rows in peers.table("exact_dfcrm").groupby(["model", "target", "ncohort", "cohortsize", "skeleton", "scenario"]):
        model, target, cohorts, size, skeleton, scenario = key
        truth = peers.SCENARIOS[scenario]
        design = dsf.CRM(skeleton=peers.numbers(skeleton), target=target, model=MODELS[model], final="model")
        walked = dsf.lattice(design, n_doses=len(truth), cohort_size=int(size), max_n=int(cohorts * size))
        # 1e-9: the reference's own.
        assert peers.worst_difference(walked.under([truth]), rows) < 1e-9


def fitted(row):
    design = dsf.CRM(skeleton=peers.numbers(row.skeleton), target=row.target, model=MODELS[row.model])
    levels, dlts = peers.numbers(row.level), peers.numbers(row.tox)
    return design, state_after(
        design, [Cohort(int(level), 1, int(t)) for level, t in zip(levels, dlts, strict=True)], len(design.levels)
    )


def outcomes_of(row):
    return " ".join(
        f"{int(level)}{'T' if t else 'N'}" for level, t in zip(peers.numbers(row.level), peers.numbers(row.tox), strict=True)
    )


def test_peer_fits():
    rows = peers.table("dfcrm_crm")
    rows = rows[rows["err"].isna()] if "err" in rows else rows
    assert len(rows) > 100
    for row in rows.itertuples():
        design, _ = fitted(row)
        fit = design.fit(outcomes_of(row))
        # 1e-9: the fine grid of the reference; 1e-5: R's integrate().
        np.testing.assert_allclose(fit.estimate, row.hp_estimate, rtol=0, atol=1e-9)
        np.testing.assert_allclose(fit.variance, row.hp_post_var, rtol=0, atol=1e-9)
        # The peer leaves out the prior's constant.
        constant = np.log(design.prior_sd * np.sqrt(2 * np.pi))
        np.testing.assert_allclose(fit.log_evidence + constant, row.hp_logml, rtol=0, atol=1e-9)
        np.testing.assert_allclose(fit.estimate, row.estimate, rtol=0, atol=1e-5)
        np.testing.assert_allclose(fit.plug_in, peers.numbers(row.ptox), rtol=0, atol=1e-5)
        np.testing.assert_allclose(fit.plug_in_lower, peers.numbers(row.ptoxL), rtol=0, atol=1e-5)
        np.testing.assert_allclose(fit.plug_in_upper, peers.numbers(row.ptoxU), rtol=0, atol=1e-5)
        assert fit.recommended == row.mtd


def test_peer_maximum_likelihood():
    cases = peers.table("dfcrm_crm").set_index("id")
    for row in peers.table("dfcrm_crm_mle").itertuples():
        case = cases.loc[row.id]
        design, state = fitted(case)
        fit = design.fit_mle(outcomes_of(case))
        # The peer's optimiser stops at a tolerance of 1e-4, of which it uses a sixth: it is up to 1.7e-5 away from the root below.
        np.testing.assert_allclose(fit.estimate, row.estimate_mle, rtol=0, atol=1e-4 / 6 + 1e-7)
        assert fit.recommended == row.mtd_mle
        # The slope of the log likelihood is 0 at the estimate (curvature below 1e3, estimate good to 1e-8, so 1e-4 leaves room).
        log_p, log_q = design.curve.log_probabilities(np.array([-1e-5, 1e-5]) + float(fit.estimate))
        low, high = log_p @ state.y[0] + log_q @ (state.n - state.y)[0]
        assert abs(high - low) / 2e-5 < 1e-4


def test_maximum_likelihood_needs_both_outcomes():
    with pytest.raises(dsf.InputError, match="0 DLTs in 3 patients"):
        dsf.CRM(skeleton=SKELETON, target=0.25).fit_mle("1NNN")


def test_no_maximum_of_the_likelihood_where_no_curve_rises_to_the_data():
    """The logistic curve with intercept 3 stays below 1 / (1 + exp(-3)) = 0.953 however its slope falls: 60 of 61 are more."""
    design = dsf.CRM(skeleton=SKELETON, target=0.25, model="logistic")
    with pytest.raises(dsf.InputError, match=r"60 DLTs in 61 patients.*no maximum"):
        design.fit_mle("1N" + "T" * 60)
    assert abs(design.fit_mle("1NN" + "T" * 38).estimate.item()) < 10


def test_published_fits_of_cheung():
    item = peers.published("crm_cheung2011_p21")
    given = item["inputs"]
    path = " ".join(f"{level}{'T' if t else 'N'}" for level, t in zip(given["levels"], given["dlt"], strict=True))
    design = partial(dsf.CRM, skeleton=tuple(given["skeleton"]), target=given["target"])
    tolerance, check = item["tolerance"], item["independent_check"]
    logistic, power = design(model="logistic").fit(path), design().fit(path)
    np.testing.assert_allclose(logistic.estimate, item["logistic_intercept3"]["beta_hat"], rtol=0, atol=tolerance["beta_hat"])
    np.testing.assert_allclose(logistic.plug_in, item["logistic_intercept3"]["dfcrm_plugin_ptox"], rtol=0, atol=tolerance["plugin"])
    np.testing.assert_allclose(power.plug_in, item["empiric"]["dfcrm_plugin_ptox"], rtol=0, atol=tolerance["plugin"])
    # Five printed digits.
    np.testing.assert_allclose(logistic["mean"], check["exact_posterior_mean_logistic"], rtol=0, atol=5.1e-6)
    np.testing.assert_allclose(power["mean"], check["exact_posterior_mean_empiric"], rtol=0, atol=5.1e-6)
    assert (logistic.recommended, power.recommended) == (item["logistic_intercept3"]["mtd"], item["empiric"]["mtd"])


def test_published_trial_replay():
    item = peers.published("crm_cheung2011_table3_2")
    given = item["inputs"]
    design = dsf.CRM(
        skeleton=tuple(given["skeleton"]),
        target=given["target"],
        model="logistic",
        no_skip="off",
        coherence="off",
        cohort_size=1,
        start=given["start"],
    )
    for i, estimate in enumerate(item["beta_hat_after_each"], start=1):
        path = " ".join(f"{d}{'T' if t else 'N'}" for d, t in zip(item["doses"][:i], item["dlt"][:i], strict=True))
        np.testing.assert_allclose(design.fit(path).estimate, estimate, rtol=0, atol=item["tolerance"] + 1e-9)
        if i < len(item["doses"]):
            assert dsf.decide(design, path).level == item["doses"][i]


def test_published_maximum_likelihood_path():
    item = peers.published("crm_dfcrm_mle_path")
    design = dsf.CRM(skeleton=tuple(item["inputs"]["skeleton"]), target=item["inputs"]["target"], model="logistic")
    for i, estimate in enumerate(item["beta_hat_before_patient_3_on"], start=2):
        path = " ".join(f"{d}{'T' if t else 'N'}" for d, t in zip(item["doses"][:i], item["dlt"][:i], strict=True))
        np.testing.assert_allclose(design.fit_mle(path).estimate, estimate, rtol=0, atol=item["tolerance"])


def test_published_small_cases():
    item = peers.published("crm_plugin_small_cases")
    given = item["inputs"]
    path = " ".join(f"{d}{'T' if t else 'N'}" for d, t in zip(given["levels"], given["dlt"], strict=True))
    for model, key in (("power", "empiric_plugin"), ("logistic", "logistic3_plugin")):
        fit = dsf.CRM(skeleton=tuple(given["skeleton"]), target=given["target"], model=model).fit(path)
        np.testing.assert_allclose(fit.plug_in, item[key], rtol=0, atol=item["tolerance"])


def options_of(model, intercept):
    """The peer states an intercept for each model; the power curve has none."""
    return {"intercept": intercept} if model == "logistic" else {}


def test_peer_skeletons():
    rows = peers.table("dfcrm_getprior")
    keys = ["model", "intcpt", "halfwidth", "target", "nu", "nlevel"]
    groups = rows.groupby(keys)
    assert len(groups) > 300
    for (model, intercept, halfwidth, target, mtd_level, doses), some in groups:
        ours = dsf.skeleton(
            halfwidth,
            target=target,
            mtd_level=int(mtd_level),
            n_doses=int(doses),
            model=MODELS[model],
            **options_of(model, intercept),
        )
        # 1e-6: the reference's own.
        np.testing.assert_allclose(ours, some.sort_values("dose").skeleton, rtol=0, atol=1e-6)


def test_peer_indifference_intervals():
    rows = peers.table("dfcrm_crmsens").reset_index()
    # Skeletons are the runs in which the dose counts up from 1.
    rows["case"] = (rows.dose == 1).cumsum()
    for _, some in rows.groupby("case"):
        first = some.iloc[0]
        options = options_of(first.model, first.intcpt)
        ours = indifference_intervals(tuple(some.skeleton), target=first.target, model=MODELS[first.model], **options)
        # The peer cuts the parameter off at -5 and 5; 1e-9 is what its root finder reaches at eps = 1e-12.
        np.testing.assert_allclose(np.clip(ours["parameter"], -5, 5), some[["H_lo_eps12", "H_hi_eps12"]], rtol=0, atol=1e-9)
        np.testing.assert_allclose(ours["rate"], some[["iint_lo_eps12", "iint_hi_eps12"]], rtol=0, atol=1e-9)


def integral(curve, n, y, function, low=-np.inf, high=np.inf):
    """Unnormalised posterior expectation by adaptive quadrature on the parameter itself."""

    def density(b):
        log_p, log_q = curve.log_probabilities(np.array([b]))
        return function(b) * np.exp(log_p[0] @ y + log_q[0] @ (n - y) - b**2 / (2 * curve.prior_sd**2))

    points = [-8 * curve.prior_sd, 8 * curve.prior_sd]
    return quad(density, max(low, points[0]), min(high, points[1]), epsabs=0, epsrel=1e-12, limit=500)[0]


@pytest.mark.parametrize("model", one_parameter())
@pytest.mark.parametrize(
    ("n", "y"),
    [((3, 3, 0), (0, 1, 0)), ((3, 6, 9), (0, 0, 0)), ((6, 0, 3), (6, 0, 3)), ((9, 12, 9), (1, 3, 4)), ((60, 60, 80), (3, 15, 30))],
)
def test_quadrature_against_adaptive_integration(model, n, y):
    n, y = np.array(n), np.array(y)
    curve = CURVES[model](skeleton=SKELETON, prior_sd=1.34**0.5)
    bound = curve.crossing(0, 0.25)

    def columns(nodes):
        return np.column_stack([nodes.parameters(), nodes.probabilities(), 1 - nodes.below(0.25, curve.coordinates[:1])])

    values, error, log_evidence = Quadrature(curve, columns).expect(n[None], y[None])
    evidence = integral(curve, n, y, lambda b: 1.0)
    expected = [integral(curve, n, y, lambda b: b)]
    expected += [integral(curve, n, y, lambda b, d=d: curve.probabilities(b)[0, d]) for d in range(3)]
    expected.append(integral(curve, n, y, lambda b: 1.0, high=bound))
    # 1e-9: what the adaptive integration delivers.
    np.testing.assert_allclose(values[0], np.array(expected) / evidence, rtol=0, atol=1e-9)
    np.testing.assert_allclose(log_evidence[0], np.log(evidence / (curve.prior_sd * np.sqrt(2 * np.pi))), rtol=0, atol=1e-9)
    assert error.max() < 1e-10


@pytest.mark.parametrize(("prior_sd", "n"), [(0.3, 40), (0.5, 60), (0.05, 100)])
def test_quadrature_of_a_posterior_far_from_its_prior(prior_sd, n):
    """Every patient at the lowest dose with a DLT, under a narrow prior: the grid has to widen."""
    curve = CURVES["power"](skeleton=SKELETON, prior_sd=prior_sd)
    counts = np.array([n, 0, 0])
    values, _, _ = Quadrature(curve, Nodes.parameters).expect(counts[None], counts[None])

    def density(b):
        return np.exp(curve.log_probabilities(np.array([b]))[0][0, 0] * n - b**2 / (2 * prior_sd**2) + 0.05 / prior_sd**2)

    peak = values[0, 0]
    low, high = peak - 12 * prior_sd, peak + 12 * prior_sd
    moments = [
        quad(lambda b, k=k: density(b) * b**k, low, high, points=[peak], epsabs=0, epsrel=1e-12, limit=500)[0] for k in (0, 1)
    ]
    # 1e-9: what the adaptive integration delivers.
    np.testing.assert_allclose(values[0, 0], moments[1] / moments[0], rtol=0, atol=1e-9)


def test_the_error_estimate_covers_what_a_grid_cuts_off():
    """A posterior beyond 4 prior standard deviations on a very fine grid of 8: the tail alone is missing."""
    curve = CURVES["power"](skeleton=SKELETON, prior_sd=0.3)
    quadrature = Quadrature(curve, Nodes.parameters)
    for n in (20, 40, 60):
        counts = np.array([[n, 0, 0]], float)
        right = quadrature.expect(counts, counts)[0]
        values, error, _, cut, _ = quadrature._on_grid((7,), 8.0, counts, counts)
        assert cut[0]
        assert 1e-9 < abs(values - right)[0, 0] < error[0, 0]


# The logistic curve's posterior may have a second mode far out, where the top of the skeleton is near the curve's ceiling.
@pytest.mark.parametrize(
    ("skeleton", "prior_sd", "n"), [((0.2, 0.95), 0.5, (0, 16)), ((0.2, 0.95), 0.4, (0, 23)), ((0.1, 0.3, 0.95), 0.5, (0, 0, 16))]
)
def test_a_second_mode_beyond_the_grid_is_found(skeleton, prior_sd, n):
    design = dsf.CRM(skeleton=skeleton, target=0.25, model="logistic", prior_sd=prior_sd)
    n = np.array(n)
    evidence, first = (
        quad(
            lambda b, k=k: b**k * np.exp(design.curve.log_probabilities(np.array([b]))[1][0] @ n - b**2 / (2 * prior_sd**2)),
            -3, 12, points=[0, 2, 4, 5], epsabs=0, epsrel=1e-12, limit=500,
        )[0]
        for k in (0, 1)
    )  # fmt: skip
    values = design._decisive.expect(n[None], 0 * n[None])[0]
    np.testing.assert_allclose(values[0, 0], first / evidence, rtol=0, atol=1e-9)
    rough, rough_error = design._decisive._rough(n[None], 0 * n[None])
    assert abs(rough[0, 0] - values[0, 0]) < rough_error[0, 0]
    assert design.decide(state_after(design, [Cohort(len(n), int(n[-1]), 0)], len(n))).dose[0] == len(n) - 1


def test_a_posterior_between_two_nodes_is_not_settled():
    """So narrow a posterior that two grids agree by chance to half of their common error."""
    design = dsf.CRM(skeleton=(0.001, 0.999), prior_sd=5.0, recommend="mean", safety_cutoff=0.99, target=0.326)
    n, y = np.array([[531, 470]]), np.array([[531, 0]])
    right = design._decisive.expect(n, y)[0]
    # Within the error that it is settled at: 0.01 from the cutoff.
    assert abs(design._decisive.settle(n, y, design._decided) - right)[0, -1] < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("model", one_parameter())
@pytest.mark.parametrize("recommend", ["plug-in", "mean"])
def test_single_precision_is_within_its_own_error(model, recommend):
    """Decisions are made on a first pass in single precision whose error bound has the rounding in it."""
    design = dsf.CRM(skeleton=(0.05, 0.12, 0.25, 0.4), target=0.25, model=model, recommend=recommend, safety_cutoff=0.9)
    rng = np.random.default_rng(1)
    n = rng.integers(0, 16, (4000, 4))
    y = rng.binomial(n, rng.random((4000, 1)))
    n[:2], y[:2] = [[0, 0, 0, 0], [400, 0, 0, 0]], [[0, 0, 0, 0], [400, 0, 0, 0]]
    right, _, _ = design._decisive.expect(n, y)
    values, error = design._decisive._rough(n, y)
    done = np.isfinite(error).all(axis=1)
    # The second overflows; few others may.
    assert done[0]
    assert not done[1]
    assert done.mean() > 0.99
    assert np.all(np.abs(values - right)[done] <= error[done])
    # Far fewer than one in a hundred of these lies so near to a boundary that it has to be done again for the rounding alone.
    assert np.median(error[done]) < 0.01
    # What is settled is as good as without the first pass, and what is not is done in full.
    np.testing.assert_array_equal(
        design._decisive.settle(n, y, lambda v, e: np.zeros(len(v), bool) | (e.max(axis=1) < 1e-11)), right
    )


def test_quadrature_where_the_skeleton_contradicts_the_data():
    """DLTs at a rate of 0.001 and none at 0.999: the likelihood at the skeleton underflows, the posterior does not."""
    design = dsf.CRM(skeleton=(0.001, 0.25, 0.999), target=0.25, safety_cutoff=0.9)
    values, _, _ = design._decisive.expect(np.array([[75, 0, 75]]), np.array([[75, 0, 0]]))
    # Worked out by adaptive integration in logarithms: -1.920 and .998.
    np.testing.assert_allclose(values[0], (-1.920, 0.998), rtol=0, atol=5e-4)
    assert design.select(States.counts(np.array([[75, 0, 75]]), np.array([[75, 0, 0]]))).dose[0] == -1


def test_fit_of_a_large_trial_does_not_underflow():
    state = States.counts(np.array([[800, 800, 800]]), np.array([[96, 200, 304]]))
    design = dsf.CRM(skeleton=SKELETON, target=0.25)
    # The data lie on the skeleton, so the parameter is near 0: dfcrm returns exactly 0 with variance 0 here.
    values, _, log_evidence = design._moments.expect(state.n, state.y)
    assert 0 < abs(values[0, 0]) < 0.05
    assert 0 < values[0, 1] - values[0, 0] ** 2 < 0.01
    assert log_evidence[0] < -1200


@pytest.mark.parametrize(
    "settings", [{}, {"recommend": "mean"}, {"safety_cutoff": 0.9}, {"safety_cutoff": 0.5, "recommend": "mean"}], ids=str
)
def test_choices_with_many_patients_follow_sums_over_a_fine_grid(settings):
    """Posteriors narrower than the steps of a first grid: up to 400 patients a dose."""
    target, cutoff = 0.25, settings.get("safety_cutoff", np.inf)
    rng = np.random.default_rng(5)
    n = rng.integers(1, 400, (400, 3))
    y = rng.binomial(n, rng.uniform(0.05, 0.3, (400, 1)) + np.array([0, 0.1, 0.2]))
    design = dsf.CRM(skeleton=SKELETON, target=target, final="model", **settings)
    chosen = design.select(States.counts(n, y)).dose
    # Simpson's rule on either side of the parameter at which the lowest dose has the target rate.
    edge, sd = np.log(np.log(target) / np.log(SKELETON[0])), 1.34**0.5
    grids = [np.linspace(low, high, 2001) for low, high in ((-9 * sd, edge), (edge, 9 * sd))]
    log_p = [np.exp(b)[:, None] * np.log(SKELETON) for b in grids]
    logs = [y @ lp.T + (n - y) @ np.log(-np.expm1(lp)).T - b**2 / (2 * sd**2) for b, lp in zip(grids, log_p, strict=True)]
    most = np.concatenate(logs, axis=1).max(axis=1, keepdims=True)
    toxic, other = (
        np.array([simpson(np.exp(log - most) * f, x=b) for f in (np.ones_like(b), b, *np.exp(lp).T)])
        for b, lp, log in zip(grids, log_p, logs, strict=True)
    )
    evidence, mean, *rates = toxic + other
    over = toxic[0] / evidence
    if settings.get("recommend") == "mean":
        p = (np.array(rates) / evidence).T
    else:
        p = np.array(SKELETON) ** np.exp(mean / evidence)[:, None]
    distance = np.abs(p - target)
    nearest = np.where(over > cutoff, -1, distance.argmin(axis=1))
    # No set is so near a tie that the sums, right to 1e-8, could not tell.
    assert np.diff(np.sort(distance, axis=1)[:, :2], axis=1).min() > 1e-6
    assert np.abs(over - cutoff).min() > 1e-6
    np.testing.assert_array_equal(chosen, nearest)
    assert set(chosen.tolist()) == ({-1, 0, 1, 2} if "safety_cutoff" in settings else {0, 1, 2})


@pytest.mark.parametrize(
    ("settings", "outcomes", "levels"),
    [
        ({}, "1NNN", (1, 2)),
        ({}, "1NNN 2NNT", (1, 2)),
        ({"no_skip": "off"}, "1NNN", (1, 2, 3)),
        ({"no_skip": "off"}, "1NNN 2NNT", (1, 2)),
        ({"no_skip": "off", "coherence": "off"}, "1NNN 2NNT", (1, 2, 3)),
        ({"safety_cutoff": 0.8}, "1TTT", ()),
    ],
)
def test_admissible_levels_are_those_within_reach(settings, outcomes, levels):
    assert dsf.decide(dsf.CRM(skeleton=SKELETON, target=0.25, max_n=12, **settings), outcomes).admissible == levels


def test_not_reached_means_a_further_level_would_be_given():
    """A level above the top, at the same spacing, is nearest to the target exactly where the flag is up."""
    short = dsf.CRM(skeleton=dsf.skeleton(0.05, target=0.25, mtd_level=2, n_doses=3), target=0.25, final="model")
    longer = dsf.CRM(skeleton=dsf.skeleton(0.05, target=0.25, mtd_level=2, n_doses=4), target=0.25, final="model")
    for n in range(0, 13, 3):
        for y in range(n + 1):
            three = short.select(States.counts(np.array([[3, 3, n]]), np.array([[0, 0, y]])))
            four = longer.select(States.counts(np.array([[3, 3, n, 0]]), np.array([[0, 0, y, 0]])))
            assert bool(three.not_reached[0]) == (four.dose[0] == 3)


def test_undecided_states_are_refitted():
    """A state whose estimate is moved onto a boundary is settled by the finer grid, not by the first one's error."""
    design = dsf.CRM(skeleton=SKELETON, target=0.25, model="logistic")
    state = States.counts(np.array([[9, 12, 9]]), np.array([[1, 3, 4]]))
    estimate = design._moments.expect(state.n, state.y)[0][0, 0]
    for shift, dose in ((-1e-9, 1), (1e-9, 0)):
        edges = np.array([estimate + shift, estimate + 5.0])
        moved = dsf.CRM(skeleton=SKELETON, target=0.25, model="logistic")
        moved.__dict__["_boundaries"] = edges
        assert moved._evaluate(state.n, state.y)[0][0] == dose


WIDE = (0.05, 0.12, 0.25, 0.40, 0.55)


@pytest.mark.parametrize(
    ("outcomes", "levels"),
    [
        # Level without restrictions; with no skipping above the last dose, above the highest tried; with both coherences too.
        ("1NNN", (4, 2, 2, 2)),
        ("1NNN 2NNN 1NNN", (5, 2, 3, 3)),
        # A quarter of the latest cohort is the target itself.
        ("2NNNN 2NNNT", (3, 2, 2, 2)),
        ("3TTT 2NNN", (1, 1, 1, 2)),
        ("3TTT 2NNT", (1, 1, 1, 1)),
    ],
)
def test_restrictions_on_the_next_dose(outcomes, levels):
    free = {"no_skip": "off", "coherence": "off"}
    for settings, level in zip((free, {}, {"no_skip": "tried"}, {"no_skip": "tried", "coherence": "both"}), levels, strict=True):
        assert dsf.decide(dsf.CRM(skeleton=WIDE, target=0.25, **settings), outcomes).level == level, settings


@pytest.mark.parametrize("by", ["beta", "model"])
def test_safety_rule(by):
    """2 of 3 at the lowest dose stop the trial where P(p_1 > target), worked out otherwise, is above the cutoff."""
    n, y = np.array([3, 0, 0]), np.array([2, 0, 0])
    curve = dsf.CRM(skeleton=SKELETON, target=0.25).curve
    below = integral(curve, n, y, lambda b: 1.0, high=curve.crossing(0, 0.25)) / integral(curve, n, y, lambda b: 1.0)
    # A Beta(3, 2) variable is above .25 where at most 2 of 4 uniform numbers are below it.
    chance = bdtr(2, 4, 0.25) if by == "beta" else below
    for shift, level in ((-1e-6, None), (1e-6, 1)):
        design = dsf.CRM(skeleton=SKELETON, target=0.25, safety_cutoff=chance + shift, safety_by=by)
        assert dsf.decide(design, "1NTT").level == level
    # Two patients are too few to judge by, unless the design says otherwise.
    settings = {"skeleton": SKELETON, "target": 0.25, "safety_cutoff": 0.8, "safety_by": by}
    assert dsf.decide(dsf.CRM(**settings), "1TT").level == 1
    assert dsf.decide(dsf.CRM(**settings, safety_min_n=2), "1TT").level is None


def test_final_choice():
    for final, mtd in (("tried", "1"), ("model", "4")):
        assert dsf.decide(dsf.CRM(skeleton=WIDE, target=0.25, max_n=3, final=final), "1NNN").mtd == mtd
    # Nearest to the target would be level 3. Mean rates at 1 and 4 are .084 and .424, those of the curve at its mean .062 and .428.
    state = States.counts([[3, 0, 0, 3, 3]], [[1, 0, 0, 1, 0]])
    for recommend, dose in (("mean", 0), ("plug-in", 3)):
        assert dsf.CRM(skeleton=WIDE, target=0.25, recommend=recommend).select(state).dose == dose


def test_not_reached_by_mean_rates():
    named = dsf.CRM(skeleton=SKELETON, target=0.25, recommend="mean").select(
        States.counts([[3, 3, 12], [3, 3, 12]], [[0, 0, 0], [0, 0, 3]])
    )
    assert named.dose.tolist() == [2, 2]
    assert named.not_reached.tolist() == [True, False]


@pytest.mark.parametrize("intercept", [1.0, 5.0])
def test_logistic_curve_of_other_intercepts(intercept):
    curve = CURVES["logistic"](skeleton=SKELETON, prior_sd=1.0, intercept=intercept)
    rates = expit(intercept + np.exp(0.4) * (logit(np.array(SKELETON)) - intercept))
    np.testing.assert_allclose(curve.probabilities(0.4)[0], rates, rtol=0, atol=1e-14)


def test_not_reached_below_a_given_rate():
    state = States.counts([[3, 3, 12]], [[0, 0, 2]])
    design = dsf.CRM(skeleton=SKELETON, target=0.25)
    estimate = float(design.fit("1NNN 2NNN 3NNNNNNNNNNTT").plug_in[2])
    for shift, not_reached in ((-1e-6, False), (1e-6, True)):
        named = design.with_settings(not_reached_below=estimate + shift).select(state)
        assert (named.dose[0], named.not_reached[0]) == (2, not_reached)


# Faults that these tests must notice.

CEILING = "dosefind.designs.model_based:ModelBased.ceiling"

FAULTS = {
    "the prior's standard deviation is a variance": (
        "dosefind.models.base:OneParameterCurve.parameters",
        lambda _: lambda self, z, xp=np: (self.prior_sd**2 * z[0],),
        test_published_small_cases,
    ),
    "the intercept has no effect": (
        "dosefind.models.logistic:Logistic.scale",
        lambda old: lambda self, p: old(self, p) - self.intercept + 3.0,
        test_logistic_curve_of_other_intercepts,
    ),
    "a dose that nobody was given is the MTD": ("dosefind.designs.crm:CRM.conclude", setting(final="model"), test_final_choice),
    "escalation after a toxic cohort": (CEILING, setting(coherence="off"), test_restrictions_on_the_next_dose),
    "a level is skipped": (CEILING, setting(no_skip="off"), test_restrictions_on_the_next_dose),
    "de-escalation after a cohort without a DLT": (
        "dosefind.designs.model_based:ModelBased.kept_up",
        lambda _: lambda self, states, dose, ceiling: dose,
        test_restrictions_on_the_next_dose,
    ),
    "an integral ends further up": (
        "dosefind.posterior.quadrature:below_weights",
        lambda old: lambda z, step, bound: old(z, step, np.asarray(bound) + 0.01),
        test_quadrature_against_adaptive_integration,
    ),
    "an integral has no error": (
        "dosefind.posterior.quadrature:_difference",
        lambda old: lambda fine, coarse: 0 * old(fine, coarse),
        partial(test_quadrature_against_adaptive_integration, "logistic", (60, 60, 80), (3, 15, 30)),
    ),
    "nothing lies beyond a grid": (
        "dosefind.posterior.quadrature:_beyond",
        lambda old: lambda *given: 0 * old(*given),
        test_the_error_estimate_covers_what_a_grid_cuts_off,
    ),
}

test_fault_is_caught = faults(FAULTS)
