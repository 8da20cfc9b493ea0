"""TITE-CRM: posteriors against dfcrm and a fine grid, weights, and what pending outcomes may not change."""

import math
from dataclasses import fields

import numpy as np
import pytest

from dosefind import InputError
from dosefind.designs import CRM, TITECRM
from dosefind.operating.calendar import Clock, run
from dosefind.operating.lattice import lattice as enumerated
from dosefind.outcomes import Rates
from dosefind.protocol import Treatment
from dosefind.timing import Accrual
from dosefind.trial import COUNT, FollowUps, States, TimedStates

from .contract import check_design
from .follow_up_lattice import lattice as exact_lattice
from .follow_up_lattice import timed, with_news
from .peers import numbers, published, table
from .planted import faults

REFS = {item["id"]: item for item in published("tite_refs")["items"]}
SKELETON = (0.05, 0.12, 0.25, 0.4, 0.55)
MODELS = {"empiric": "power", "logistic": "logistic"}


def design(skeleton=SKELETON, window=84, **settings):
    return TITECRM(**{"skeleton": tuple(skeleton), "target": 0.25, "window_days": window} | settings)


def of_dfcrm(row):
    more = {"intercept": float(row.intcpt)} if row.model == "logistic" else {}
    return design(numbers(row.skeleton), target=row.target, model=MODELS[row.model], prior_sd=row.prior_sd, **more)


# Posteriors -------------------------------------------------------------------------------------------------------------


def test_posterior_is_that_of_dfcrm_and_the_exact_integral():
    """dfcrm integrates to a relative 1e-4 at best; the integrals were made on 200,001 nodes."""
    rows = table("tite_crm_posterior").merge(table("tite_crm_posterior_check"), on="id")
    assert len(rows) > 75
    for row in rows.itertuples():
        levels, dlts, weights = (
            [*map(kind, numbers(cell))] for kind, cell in ((int, row.level), (int, row.dlt), (float, row.weights))
        )
        fitted = of_dfcrm(row).fit_weighted(levels, dlts, weights)
        assert float(fitted.estimate) == pytest.approx(row.estimate_exact, abs=1e-9), row.id
        assert float(fitted.variance) == pytest.approx(row.post_var_exact, abs=1e-9), row.id
        assert fitted.plug_in.values == pytest.approx(numbers(row.ptox_exact), abs=1e-9), row.id
        assert int(fitted.recommended) == row.mtd_exact, row.id
        if not math.isnan(row.estimate):
            assert float(fitted.estimate) == pytest.approx(row.estimate, abs=1e-6), row.id
            assert float(fitted.variance) == pytest.approx(row.post_var, abs=1e-6), row.id


def test_linear_weights_are_those_of_dfcrm():
    rows = table("tite_crm_posterior")
    for row in rows[rows.scheme == "linear"].itertuples():
        plan = of_dfcrm(row).with_settings(window_days=int(row.obswin))
        dlts = [int(each) for each in numbers(row.dlt)]
        fitted = plan.fit_patients([int(each) for each in numbers(row.level)], dlts, numbers(row.followup))
        assert fitted.weight.values == pytest.approx(numbers(row.weights), abs=1e-12)


def test_random_data_sets_of_dfcrm():
    """Linear and adaptive weights, both curves."""
    item = REFS["titecrm_rows_open"]
    for data, expected in zip(item["inputs"]["rows"], item["expected"], strict=True):
        plan = design(data["skeleton"], target=data["target"], model=MODELS[data["model"]], window=int(data["window"]))
        fitted = plan.fit_weighted(data["level"], data["dlt"], expected["weights"])
        assert float(fitted.estimate) == pytest.approx(expected["estimate"], abs=1e-6)
        assert float(fitted.variance) == pytest.approx(expected["post_var"], abs=1e-6)
        assert int(fitted.recommended) == expected["mtd"]
        if data["scheme"] == "linear":
            by_days = plan.fit_patients(data["level"], data["dlt"], data["follow_up"])
            assert by_days.weight.values == pytest.approx(expected["weights"], abs=1e-12)


def test_example_of_the_book():
    item = REFS["titecrm_cheung_p124"]
    data, expected = item["inputs"], item["expected"]
    plan = design(data["skeleton"], window=data["window"])
    fitted = plan.fit_patients(data["level"], data["dlt"], data["follow_up"])
    assert float(fitted.estimate) == pytest.approx(expected["estimate"], abs=1e-5)
    assert fitted.plug_in.values == pytest.approx(expected["p_plug_in"], abs=1e-5)
    assert int(fitted.recommended) == expected["mtd"]
    book = published("tite_crm_cheung2011_p124")["independent_check"]
    assert fitted["mean"].values == pytest.approx(book["exact_posterior_mean"], abs=1e-5)


@pytest.mark.parametrize("model", ["power", "logistic", "cloglog"])
def test_posterior_is_that_of_a_fine_grid(model):
    """On 20,001 nodes over plus and minus ten prior standard deviations; both agree to 1e-9."""
    plan = design((0.05, 0.15, 0.3), model=model)
    levels, dlts, days = [1, 1, 2, 2, 2, 3, 3, 3], [0, 0, 1, 0, 0, 0, 1, 0], [84, 70, 12, 84, 33, 20, 40, 0]
    fitted = plan.fit_patients(levels, dlts, days)
    b = np.linspace(-10, 10, 20_001) * plan.prior_sd
    p = np.exp(plan.curve.log_at(plan.curve.coordinates[:, None] + b)[0])
    density = np.exp(-((b / plan.prior_sd) ** 2) / 2)
    for level, dlt, day in zip(levels, dlts, days, strict=True):
        density *= p[level - 1] if dlt else 1 - day / 84 * p[level - 1]
    density /= density.sum()
    assert float(fitted.estimate) == pytest.approx(density @ b, abs=1e-9)
    assert fitted["mean"].values == pytest.approx(p @ density, abs=1e-9)


# Weights ----------------------------------------------------------------------------------------------------------------


def test_weights_are_the_closed_forms():
    item = REFS["weights_closed_form"]
    window, days = item["inputs"]["window"], item["inputs"]["follow_up"]
    schemes = {
        "linear": {},
        "thirds": {"weights": "piecewise", "weight_parts": (0.1, 0.2, 0.7)},
        "schedule": {"weights": "by-schedule", "interval_days": (28, 28, 28)},
    }
    for name, settings in schemes.items():
        assert design(window=window, **settings).weight(days) == pytest.approx(item["expected"][name], abs=1e-12)
    # Intervals of other lengths, with follow-up after the last.
    uneven = design(window=84, weights="by-schedule", interval_days=(14, 42))
    assert uneven.weight([0, 7, 14, 35, 56, 70, 84]) == pytest.approx([0, 0.25, 0.5, 0.75, 1, 1, 1])


def test_weights_by_schedule_with_follow_up_after_the_intervals():
    """Two intervals of 28 days in a window of 84: by default no DLT is expected after them; otherwise a stated share."""
    plan = design(window=84, weights="by-schedule", interval_days=(28, 28))
    days = [0, 14, 28, 56, 70, 84]
    assert plan.weight(days) == pytest.approx([0, 0.25, 0.5, 1, 1, 1], abs=1e-12)
    rest = plan.with_settings(follow_up_share=0.1)
    assert rest.weight(days) == pytest.approx([0, 0.225, 0.45, 0.9, 0.95, 1], abs=1e-12)
    # The words say when the weight is full.
    said = [next(rule for rule in one.rules() if "weight w" in rule) for one in (plan, rest, design(window=84))]
    assert "over the intervals of 2 infusions (56 days)" in said[0]
    assert "28 days" in said[0]
    assert "0.9" in said[1]
    assert "DLT window of 84 days" in said[2]
    assert plan.in_force()["follow_up_share"] == 0
    for wrong in ({"weights": "linear"}, {"weights": "by-schedule", "interval_days": (42, 42)}):
        with pytest.raises(InputError, match="follow_up_share"):
            design(window=84, follow_up_share=0.1, **wrong)
        assert "follow_up_share" not in design(window=84, **wrong).in_force()


def test_wrong_weights_are_refused():
    for wrong, key in [
        ({"weights": "adaptive"}, "weights"),
        ({"weights": "piecewise"}, "weight_parts"),
        ({"weight_parts": (0.5, 0.5)}, "weight_parts"),
        ({"weights": "piecewise", "weight_parts": (0.5, 0.4)}, "sum 1"),
        ({"weights": "by-schedule"}, "interval_days"),
        ({"weights": "by-schedule", "interval_days": (60, 60)}, "window_days"),
    ]:
        with pytest.raises(InputError, match=key):
            design(**wrong)
    for wrong in ([1, 2], [0], [2]), ([1], [0], [1.5]), ([9], [0], [1.0]):
        with pytest.raises(InputError):
            design().fit_weighted(*wrong)


# Decisions --------------------------------------------------------------------------------------------------------------


def states(patients, n_doses, window=84, late=0):
    """Trials from lists of (dose index, DLT, days followed or None for complete); the last patient is the latest cohort."""
    count = len(patients)
    n, y, c = np.zeros((3, count, n_doses), COUNT)
    pending = [[(dose, days) for dose, dlt, days in each if not dlt and days is not None] for each in patients]
    wide = max(map(len, pending), default=0)
    at, days = np.full((count, wide), -1), np.zeros((count, wide), int)
    for row, each in enumerate(patients):
        for dose, dlt, followed in each:
            n[row, dose] += 1
            y[row, dose] += dlt
            c[row, dose] += not dlt and followed is not None
        for place, (dose, followed) in enumerate(pending[row]):
            at[row, place], days[row, place] = dose, followed
    last, last_y = (np.array([each[-1][part] for each in patients], COUNT) for part in (0, 1))
    one = np.ones(count, COUNT)
    made = n, y, last, one, last_y, one * np.array([len(each) for each in patients], COUNT), np.zeros((count, 0), COUNT)
    return TimedStates(*made, pending=c, follow_ups=FollowUps(window, at, days, one * COUNT(late)))


def random_trials(count, n_doses, seed=4, window=84):
    random = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        size = random.integers(1, 12)
        doses, dlts = np.sort(random.integers(0, n_doses, size)), random.random(size) < 0.25
        days = [None if random.random() < 0.4 else int(random.integers(0, window + 1)) for _ in range(size)]
        found.append([(int(d), int(t), None if t else u) for d, t, u in zip(doses, dlts, days, strict=True)])
    return found


@pytest.mark.parametrize("recommend", ["plug-in", "mean"])
def test_contract(recommend):
    check_design(design((0.1, 0.25, 0.4), recommend=recommend, cohort_size=3, max_n=9, safety_cutoff=0.95))


@pytest.mark.parametrize(
    "settings",
    [{}, {"recommend": "mean"}, {"model": "logistic", "safety_cutoff": 0.9, "coherence": "both"}, {"weights": "by-schedule"}],
    ids=str,
)
def test_with_all_weights_1_it_is_the_crm_bit_for_bit(settings):
    if settings.get("weights"):
        settings = settings | {"interval_days": (28, 28)}
    plan = design(**settings)
    plain = plan.on_complete_data()
    assert type(plain) is CRM
    # Pending, but followed up to the end of the window; by the schedule from day 56 on.
    patients = [[(d, t, u if u is None else 84) for d, t, u in each] for each in random_trials(200, 5)]
    timed = states(patients, 5)
    complete = States(**{field.name: getattr(timed, field.name) for field in fields(States)})
    for one in (timed, complete):
        ours, theirs = plan.propose(one), plain.propose(complete)
        assert ours.dose.tolist() == theirs.dose.tolist()
        assert np.array_equal(ours.open, theirs.open)
    levels, dlts = ([part + 1 for part, _, _ in patients[0]], [t for _, t, _ in patients[0]])
    outcomes = " ".join(f"{level}{'NT'[dlt]}" for level, dlt in zip(levels, dlts, strict=True))
    ours, theirs = plan.fit_patients(levels, dlts, [84] * len(levels)), plain.fit(outcomes)
    for name in ("estimate", "variance", "plug_in", "mean", "log_evidence"):
        assert np.array_equal(ours[name].values, theirs[name].values), name


@pytest.mark.parametrize("recommend", ["plug-in", "mean"])
def test_batch_is_each_posterior_alone_in_double_precision(recommend):
    """The first pass is in single precision: 1,500 trials decided together as each by its own posterior."""
    plan = design(recommend=recommend, no_skip="off", coherence="off")
    patients = random_trials(1500, 5, seed=11)
    together = plan.propose(states(patients, 5)).dose
    for each, dose in zip(patients[::15], together[::15], strict=True):
        level, dlt, days = zip(*((d + 1, t, 84 if u is None else u) for d, t, u in each), strict=True)
        assert int(plan.fit_patients(level, dlt, days).recommended) == dose + 1


def test_a_dlt_never_raises_the_dose_and_follow_up_never_lowers_it():
    plan = design(no_skip="off", coherence="off")
    patients = [each for each in random_trials(600, 5, seed=7) if any(u is not None for *_, u in each)]
    now = plan.propose(states(patients, 5)).dose

    def changed(change):
        found = []
        for each in patients:
            place = next(place for place, (*_, days) in enumerate(each) if days is not None)
            found.append([change(one) if at == place else one for at, one in enumerate(each)])
        return plan.propose(states(found, 5)).dose

    assert (changed(lambda one: (one[0], 1, None)) <= now).all()
    assert (changed(lambda one: (one[0], 0, min(one[2] + 15, 84))) >= now).all()
    assert (changed(lambda one: (one[0], 0, None)) >= now).all()


def test_no_escalation_at_the_first_decision_after_a_dlt():
    """Of dfcrm's rules that is promised only; here also for a late DLT of an earlier patient."""
    patients = [[(0, 0, None)] * 6 + [(0, 1, None)] + [(0, 0, None)] * 8 + [(0, 0, 40)]]
    plan = design(no_skip="last")
    assert plan.propose(states(patients, 5)).dose.tolist() == [1]
    assert plan.propose(states(patients, 5, late=1)).dose.tolist() == [0]
    assert plan.with_settings(coherence="off").propose(states(patients, 5, late=1)).dose.tolist() == [1]
    own = [[*patients[0], (0, 1, None)]]
    assert plan.propose(states(own, 5)).dose.tolist() == [0]


def test_follow_up_of_0_days_is_possible():
    """One program refuses it. A patient just started has no weight."""
    plan = design(no_skip="off", coherence="off")
    with_start, without = ([[(1, 0, None), (1, 1, None), *more]] for more in ([(1, 0, 0)], []))
    ours, theirs = (plan._answers(states(each, 5))[0].tolist() for each in (with_start, without))
    assert ours == theirs


def test_a_dlt_on_the_last_day_counts_in_full():
    """One program returns no number for a DLT on the last day of the window."""
    fitted = design().fit_patients([1, 2], [0, 1], [84, 84])
    assert np.isfinite(fitted.estimate)
    assert fitted.weight.values.tolist() == [1, 1]


def test_final_choice_is_among_the_doses_tried():
    n, y = [[3, 3, 0, 0, 0]], [[0, 0, 0, 0, 0]]
    assert design().select(States.counts(n, y)).dose.tolist() == [1]
    assert design(final="model").select(States.counts(n, y)).dose.tolist() == [4]


def test_safety_rule_counts_pending_patients_and_by_the_model_their_weight():
    # P(p > 0.25) under Beta(3, 3) is 0.896; by the model, with weights below one eighth, 0.956.
    toxic = [[(0, 1, None), (0, 1, None), (0, 0, 10), (0, 0, 5)]]
    for settings, stops in [({"safety_by": "beta"}, False), ({"safety_by": "model"}, True)]:
        plan = design((0.2, 0.3, 0.4), safety_cutoff=0.92, **settings)
        assert (plan.decide(states(toxic, 3)).dose[0] == -1) == stops, settings


# On a calendar ----------------------------------------------------------------------------------------------------------


def clock(window, no_overlap=False, **accrual):
    return Clock(Treatment(infusion_days=(1,), dlt_window_days=window, no_overlap=no_overlap), Accrual(**accrual))


EXACT = REFS["titecrm_exact_A"]


def of_lattice(**settings):
    data = EXACT["inputs"]
    rules = {"n_doses": 3, "max_n": data["n"], "final": "model", "coherence": "off", "target": data["target"]}
    return design(data["skeleton"], **(rules | settings))


def test_exact_lattice_is_the_reference():
    """No coherence, and the final choice may be a dose that nobody received, as in dfcrm's simulator."""
    data, expected = EXACT["inputs"], EXACT["expected"]
    found = exact_lattice(of_lattice(), data["p_true"], data["arrivals_per_window"], 84)
    assert found["mass"] == pytest.approx(1, abs=1e-12)
    assert found["selected"] == pytest.approx([0, *expected["select"]], abs=1e-8)
    assert found["n"] == pytest.approx(expected["N"], abs=1e-8)
    assert found["y"] == pytest.approx(expected["Y"], abs=1e-8)
    theirs = expected["dfcrm_titesim"]
    for ours, selected in zip(found["selected"][1:], theirs["select"], strict=True):
        assert abs(selected - ours) < 3.3 * math.sqrt(ours * (1 - ours) / theirs["trials"])


@pytest.mark.parametrize(
    "settings",
    [
        {"final": "tried", "coherence": "escalation", "recommend": "mean"},
        *(
            pytest.param(more, marks=pytest.mark.slow)
            for more in (
                {},
                {"weights": "piecewise", "weight_parts": (0.2, 0.3, 0.5), "coherence": "escalation"},
                {"cohort_size": 2, "coherence": "escalation"},
            )
        ),
    ],
    ids=str,
)
def test_fixed_accrual_is_the_exact_lattice(settings):
    """Candidates every third of the window; within 3.3 standard errors of 10,000 trials."""
    plan, truth, trials = of_lattice(**settings), EXACT["inputs"]["p_true"], 10_000
    expected = exact_lattice(plan, truth, 3, 84)
    made = run(plan, Rates(np.array([truth])), clock(84, process="fixed", per_28_days=1.0), trials, 3)
    for choice, chance in enumerate(expected["selected"]):
        if chance:
            assert abs(((made.ended.choice == choice - 1).mean() - chance) / np.sqrt(chance * (1 - chance) / trials)) < 3.3
    for values, means in [(made.ended.n, expected["n"]), (made.ended.y, expected["y"])]:
        assert (np.abs(values.mean(axis=0) - means) < 3.3 * values.std(axis=0) / np.sqrt(trials)).all()


@pytest.mark.parametrize("settings", [{}, {"recommend": "mean", "coherence": "escalation"}], ids=str)
def test_over_the_lattice_a_dlt_never_raises_the_dose_and_follow_up_never_lowers_it(settings):
    """Every state that the trial of the exact lattice can reach, and every pending patient in it."""
    plan, visited = of_lattice(**settings), set()
    exact_lattice(plan, EXACT["inputs"]["p_true"], 3, 84, visited)
    keys = [key for key in visited if key[2]]
    assert len(keys) > 1000
    now = plan.propose(timed(keys, 3, 28, 84)).dose
    kinds, places, changed = zip(*with_news(keys, 3), strict=True)
    then, before = plan.propose(timed(list(changed), 3, 28, 84)).dose, now[list(places)]
    toxic = np.array(kinds) == "dlt"
    assert (then[toxic] <= before[toxic]).all()
    assert (then[~toxic] >= before[~toxic]).all()
    assert (then != before).any()


def test_slow_accrual_is_the_exact_enumeration():
    plan, truth = of_lattice(coherence="escalation", final="tried"), EXACT["inputs"]["p_true"]
    slow = clock(20, process="dates", days=tuple(30 * place for place in range(60)))
    plan = plan.with_settings(window_days=20)
    made, whole = (run(one, Rates(np.array([truth])), slow, 2000, 5) for one in (plan, plan.on_complete_data()))
    for name in ("choice", "n", "y"):
        assert np.array_equal(getattr(made.ended, name), getattr(whole.ended, name))
    assert not made.with_pending.any()
    selected = enumerated(plan).under([truth]).selected.values[0]
    shares = np.array([(made.ended.choice == choice).mean() for choice in range(-1, 3)])
    assert (np.abs(shares - selected) <= 3.3 * np.sqrt(selected * (1 - selected) / 2000)).all()


@pytest.mark.slow
@pytest.mark.parametrize("case", ["one-stage-poisson", "titecrm_C_linear"])
def test_operating_characteristics_of_dfcrm(case):
    """dfcrm's simulator: Poisson accrual, uniform time to DLT, no coherence, any final choice; 3.3 standard errors of both."""
    if case == "titecrm_C_linear":
        data, theirs = REFS[case]["inputs"], REFS[case]["expected"]["own"]
        skeleton, per_window, truth = data["skeleton"], data["patients_per_window"], data["p_true"]
        selected, patients, trials = theirs["select"], theirs["N"], theirs["trials"]
        duration = REFS[case]["expected"]["duration_exact"]["mean"] / data["window"]
    else:
        data = next(row for row in published("tite_crm_oc")["scenarios"] if row["name"] == case)
        skeleton, per_window, truth = data["prior"], data["rate"], data["PI"]
        selected, patients, trials = data["selected"], data["patients"], data["trials"]
        duration = data["duration_mean"] / data["obswin"]
    window, own = 840, 4000
    plan = design(skeleton, window=window, target=data["target"], final="model", coherence="off", max_n=data["n"], n_doses=5)
    made = run(plan, Rates(np.array([truth])), clock(window, process="poisson", per_28_days=28 * per_window / window), own, 7)
    for choice, chance in enumerate(selected):
        share = (made.ended.choice == choice).mean()
        assert abs(share - chance) < 3.3 * math.sqrt(chance * (1 - chance) * (1 / own + 1 / trials)), (choice, share, chance)
    error = made.ended.n.std(axis=0) * math.sqrt(1 / own + 1 / trials)
    assert (np.abs(made.ended.n.mean(axis=0) - patients) < 3.3 * error).all()
    # It counts the first gap, and every window in full; whole days add half a day at most to each.
    last = made.last_start / window
    error = last.std() * math.sqrt(1 / own + 1 / trials)
    assert abs(last.mean() + 1 + 1 / per_window - duration) < 3.3 * error + 1 / window


# Faults -----------------------------------------------------------------------------------------------------------------

CRM_FILE = "dosefind.designs.tite_crm:TITECRM"
FAULTS = {
    # Patients who started lately count in full.
    "no weights": (f"{CRM_FILE}.weight", lambda old: lambda self, days: np.ones(np.shape(days)), test_example_of_the_book),
    # A late DLT bars nothing.
    "late DLTs": (
        f"{CRM_FILE}.ceiling",
        lambda old: lambda self, states: CRM.ceiling(self, states),
        test_no_escalation_at_the_first_decision_after_a_dlt,
    ),
    # Pending patients are left out until their outcomes are known.
    "pending patients left out": (
        "dosefind.posterior.followed:FollowedQuadrature.settle_followed",
        lambda old: lambda self, n, y, dose, days, settled: old(self, n, y, 0 * dose - 1, days, settled),
        test_exact_lattice_is_the_reference,
    ),
    # They count as patients without a DLT.
    "pending patients in full": (
        "dosefind.posterior.followed:FollowedQuadrature.settle_followed",
        lambda old: lambda self, n, y, dose, days, settled: old(self, n, y, dose, 0 * days + len(self.weights) - 1, settled),
        test_exact_lattice_is_the_reference,
    ),
    # Nobody has been followed up.
    "no follow-up": (
        "dosefind.operating.calendar:_Run._follow_ups",
        lambda old: lambda self, *given: (found := old(self, *given))._replace(days=0 * found.days),
        lambda: test_fixed_accrual_is_the_exact_lattice({}),
    ),
}

test_fault_is_caught = faults(FAULTS)


def test_pending_patients_do_not_dilute_the_beta_stop():
    """3 DLTs in 3 known patients stop the CRM with a Beta safety rule, however many are pending beside them."""
    settings = {"skeleton": (0.1, 0.25, 0.4), "target": 0.25, "max_n": 18, "safety_cutoff": 0.95, "safety_by": "beta"}
    design = TITECRM(**settings, window_days=28)
    for pending in (1, 3, 5):
        n, y, c = np.zeros((3, 1, 3), np.int16)
        n[0, 0], y[0, 0], c[0, 0] = 3 + pending, 3, pending
        state = States.of_checked(n, y)
        at = FollowUps(28, np.zeros((1, pending), int), np.zeros((1, pending), int), np.zeros(1, np.int16))
        fields = vars(state) | {"last": np.zeros(1, np.int16), "cohorts": np.full(1, 2, np.int16)}
        decision = design.decide(TimedStates(**fields, pending=c, follow_ups=at))
        assert decision.dose[0] < 0
