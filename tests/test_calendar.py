"""Calendars: starts, pending outcomes and durations, against arithmetic, closed forms, exact lattices and a plain day-by-day loop.

Simulated figures are compared within 3.3 Monte Carlo standard errors; calendars without randomness to the day.
"""

from typing import ClassVar

import numpy as np
import pytest

import dosefind as dsf
from dosefind import BOIN, CRM, InputError, ThreePlusThree, simulate
from dosefind.designs import TITEBOIN, TITECRM, Design, Proposal, RollingSix, Selection
from dosefind.designs.replay import state_after
from dosefind.designs.rules import highest
from dosefind.operating.calendar import Clock, run
from dosefind.operating.simulation import CHUNK
from dosefind.outcomes import Rates
from dosefind.protocol import Stagger, Treatment
from dosefind.timing import Accrual, Discontinuation, Gates, Onset
from dosefind.trial import COUNT, TimedStates, parse_outcomes

from .peers import ROOT, published
from .plain_calendar import PlainTrial, arrivals, latent_numbers

REFS = {item["id"]: item for item in published("time_refs")["items"]}
HIGH = Stagger(days=7, levels=(3,))
TRUTH = np.array([[0.1, 0.25, 0.4]])


def clock(window=28, stagger=None, no_overlap=True, cohorts="complete", **rest):
    accrual = {
        name: rest.pop(name) for name in ("process", "per_28_days", "queue", "patience_days", "days", "ramp") if name in rest
    }
    treatment = Treatment(infusion_days=(1,), dlt_window_days=window, stagger=stagger, no_overlap=no_overlap)
    return Clock(treatment, Accrual(**accrual), cohorts=cohorts, **rest)


def z(values, expected):
    values = np.asarray(values, float)
    return (values.mean() - expected) / (values.std() / np.sqrt(len(values)))


class OneByOneExpansion(Design):
    """The 3+3 of the reference: three at once, then one by one, every window awaited; two DLTs at a dose stop at once."""

    kind = "expansion-one-by-one"
    title = "3+3, expansion one by one"
    source = "-"
    own_reasons: ClassVar = {"toxic": "two DLTs", "top": "the top dose is tolerated"}

    def planned_size(self, states, dose):
        return np.where(states.at(states.n, dose) >= 3, 1, 3)

    def propose(self, states):
        n, y = states.here(states.n), states.here(states.y)
        up = ((n == 3) & (y == 0)) | ((n == 6) & (y <= 1))
        top = states.last == states.n_doses - 1
        return Proposal(np.minimum(states.last + up, states.n_doses - 1), {"toxic": y >= 2, "top": up & top})

    def conclude(self, states):
        tolerated = ((states.n >= 3) & (states.y == 0)) | ((states.n >= 6) & (states.y <= 1))
        return Selection(highest(tolerated & ~np.logical_or.accumulate(states.y >= 2, axis=1)), np.ones(len(states), bool))

    def sentences(self):
        return []


# Deterministic calendars ------------------------------------------------------------------------------------------------


def test_protocol_calendar_without_a_dlt():
    expected = REFS["calendar_as_protocol"]["expected"]
    made = run(ThreePlusThree(n_doses=3), Rates(np.zeros((1, 3))), clock(stagger=HIGH, process="always"), 2, 1)
    assert made.starts[0].tolist() == [day for cohort in expected["starts"] for day in cohort]
    assert made.days.tolist() == [expected["end"]] * 2


def test_protocol_calendar_with_a_candidate_every_ten_days():
    expected = REFS["calendar_as_every10_queue"]["expected"]
    accrual = {"process": "fixed", "per_28_days": 2.8, "queue": "unlimited"}
    made = run(ThreePlusThree(n_doses=3), Rates(np.zeros((1, 3))), clock(stagger=HIGH, **accrual), 2, 1)
    assert made.starts[0].tolist() == [day for cohort in expected["starts"] for day in cohort]
    assert (made.days[0], made.waited[0]) == (expected["end"], expected["waited_days_total"])


@pytest.mark.parametrize(
    ("rules", "starts", "turned_away"),
    [
        # A queue of one: candidates of days 21 and 28 compete for it; that of day 21 waits until day 28, when another one starts.
        ({"queue": 1}, [0, 7, 14, 42, 42, 49, 77, 77, 84], 6),
        ({"queue": 0}, [0, 7, 14, 42, 49, 56, 84, 91, 98], 9),
        ({"queue": "unlimited", "patience_days": 7}, [0, 7, 14, 42, 42, 49, 77, 77, 84], 0),
    ],
)
def test_queue_and_patience(rules, starts, turned_away):
    made = run(ThreePlusThree(n_doses=3), Rates(np.zeros((1, 3))), clock(process="fixed", per_28_days=4.0, **rules), 1, 1)
    assert made.starts[0].tolist() == starts
    assert made.turned_away[0] == turned_away


def test_candidates_on_stated_days_and_their_end():
    accrual = {"process": "dates", "days": (0, 3, 3, 40, 41)}
    made = run(ThreePlusThree(n_doses=3), Rates(np.zeros((1, 3))), clock(**accrual), 1, 1)
    assert made.starts[0].tolist() == [0, 3, 3, 40, 41]
    assert made.unfinished.all()
    assert made.ended.reason[0] == -1


def test_ramp_of_accrual():
    accrual = Accrual(process="fixed", per_28_days=1.0, ramp=[{"day": 56, "per_28_days": 4.0}])
    assert accrual.arrivals(np.zeros((6, 1)), 6)[:, 0].tolist() == [0, 28, 56, 63, 70, 77]


# Closed forms -----------------------------------------------------------------------------------------------------------


def test_duration_of_a_trial_that_waits_is_its_closed_form():
    inputs, expected = REFS["calendar_wait_closed_form"]["inputs"], REFS["calendar_wait_closed_form"]["expected"]
    # A fortieth of a day as the unit: in whole days a candidate of the closing day can start, which is half a day earlier.
    fine = 40
    rate = 28 * inputs["rate_per_day"] / fine
    made = run(
        ThreePlusThree(n_doses=3),
        Rates(np.zeros((1, 3))),
        clock(window=28 * fine, process="poisson", per_28_days=rate, no_overlap=False),
        CHUNK,
        1,
    )
    assert abs(z(made.days / fine, expected["days_mean"])) < 3.3
    assert abs(z(made.turned_away, expected["turned_away_mean"])) < 3.3
    # The standard error of a standard deviation is about sd / sqrt(2 trials).
    assert abs(made.days.std() / fine - expected["days_sd"]) < 3.3 * expected["days_sd"] / np.sqrt(2 * CHUNK)


def test_whole_days_shorten_each_wait_by_half_a_day():
    made = run(ThreePlusThree(n_doses=3), Rates(np.zeros((1, 3))), clock(process="poisson", per_28_days=2.0), CHUNK, 1)
    # Sum over k >= 1 of P(third arrival on day k or later), for the two cohorts that wait; 28/2 days between candidates.
    days = np.arange(1, 2000) / 14
    wait = (np.exp(-days) * (1 + days + days**2 / 2)).sum()
    assert abs(z(made.days, 3 * 28 + 2 * 14 + 2 * wait)) < 3.3


@pytest.mark.parametrize("case", range(3))
def test_weibull_with_a_stated_late_share(case):
    row = REFS["weibull_late_open"]["expected"][case]
    onset, p, window = Onset(kind="weibull", late=row["late"]), row["p"], row["window"]
    assert p * onset.share(window / 2, p, window) == pytest.approx(row["F_half"], abs=1e-10)
    days = np.array([3.0, 10.0, 20.0])
    curve = -np.expm1(-row["rate"] * days ** row["shape"])
    assert p * onset.share(days, p, window) == pytest.approx(curve, abs=1e-10)
    assert onset.time(onset.share(days, p, window), p, window) == pytest.approx(days, abs=1e-8)


@pytest.mark.parametrize(
    "onset",
    [
        Onset(),
        Onset(kind="log-logistic", late=0.8),
        Onset(kind="piecewise", parts=(0.2, 0.0, 0.8)),
        Onset(kind="weibull", late=0.3),
    ],
)
def test_days_to_dlt_have_their_distribution(onset):
    drawn = np.random.default_rng(3).random(20_000)
    assert onset.share(onset.time(drawn, 0.3, 84), 0.3, 84) == pytest.approx(drawn, abs=1e-9)
    assert onset.share([0, 84], 0.3, 84) == pytest.approx([0, 1], abs=1e-12)
    if onset.late is not None:
        assert onset.share(42, 0.3, 84) == pytest.approx(1 - onset.late, abs=1e-12)


@pytest.mark.parametrize("case", range(2))
def test_replacing_patients_who_leave_raises_the_dlt_rate(case):
    row = REFS["dropout_replacement_open"]["expected"][case]
    leaving = Discontinuation(dropout=row["dropout"])
    plan = BOIN(target=0.25, n_doses=1, max_n=30, cohort_size=30)
    made = run(plan, Rates(np.array([[row["p"]]])), clock(3_650, process="always", discontinuation=leaving), 4000, 1)
    evaluable = (made.starts < 2**30).sum(axis=1) - made.lost
    assert evaluable.tolist() == [30] * 4000
    assert abs(z(made.ended.y[:, 0] / 30, row["dlt_rate_among_evaluable"])) < 3.3
    # Patients until the 30th evaluable one: negative binomial. A long window has hardly two times on one day, as in the formula.
    assert abs(z(made.lost, 30 / row["evaluable"] - 30)) < 3.3


@pytest.mark.parametrize("ending", ["no-dlt", "dlt"])
def test_patients_who_leave_are_counted_as_stated(ending):
    leaving = Discontinuation(dropout=0.3, progression=0.2)
    plan = BOIN(target=0.25, n_doses=1, max_n=30, cohort_size=30)
    rules = {"discontinuation": leaving, "dropout": ending, "progression": ending}
    made = run(plan, Rates(np.array([[0.2]])), clock(3_650, process="always", **rules), 2000, 1)
    assert (made.ended.n == 30).all()
    assert not made.lost.any()
    stay = 0.7 * 0.8
    # Either the DLTs before leaving, at a constant rate of leaving, or all patients but those who complete without a DLT.
    expected = 0.2 * (1 - stay) / -np.log(stay) if ending == "no-dlt" else 1 - 0.8 * stay
    assert abs(z(made.ended.y[:, 0] / 30, expected)) < 3.3


# Exact lattices ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "design", "cohorts"),
    [
        ("lattice_3plus3_m3", OneByOneExpansion(n_doses=3, max_n=18), "until-decided"),
        ("lattice_rolling6_m3", RollingSix(n_doses=3, strict=False), "complete"),
    ],
)
def test_fixed_accrual_is_the_exact_lattice(item, design, cohorts):
    expected, trials = REFS[item]["expected"], 30_000
    rates, rules = Rates(np.array([REFS[item]["inputs"]["p_true"]])), {"process": "fixed", "per_28_days": 1.0, "no_overlap": False}
    parts = [run(design, rates, clock(window=84, cohorts=cohorts, **rules), CHUNK, 1, chunk) for chunk in range(trials // CHUNK)]
    chosen, last, away = (
        np.concatenate(found)
        for found in zip(*((part.ended.choice, part.last_start, part.turned_away_by_last_start) for part in parts), strict=True)
    )
    for choice, chance in enumerate(expected["select_none_then_doses"]):
        assert abs(((chosen == choice - 1).mean() - chance) / np.sqrt(chance * (1 - chance) / trials)) < 3.3
    assert abs(z(last / 28, expected["last_start_mean"])) < 3.3
    assert abs(z(away, expected["turned_away_mean"])) < 3.3
    for dose in range(3):
        assert abs(z(np.concatenate([part.ended.n[:, dose] for part in parts]), expected["N"][dose])) < 3.3
        assert abs(z(np.concatenate([part.ended.y[:, dose] for part in parts]), expected["Y"][dose])) < 3.3
    when = {int(start): chance for start, chance in expected["last_start"].items()}
    assert set((last // 28).tolist()) <= set(when)
    for start, chance in when.items():
        if chance > 0.01:
            assert abs(((last == 28 * start).mean() - chance) / np.sqrt(chance * (1 - chance) / trials)) < 3.9


# Rolling six ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", REFS["rolling6_table"]["expected"]["rows"], ids=str)
def test_rolling_six_decides_as_its_published_table(row):
    n, evaluable, dlts, expected = row
    if n == 0:
        return
    counts = [np.array([[3, count, 0]], COUNT) for count in (n, dlts, n - evaluable)]
    n_, y, c = counts[0], counts[1], counts[2]
    n_[0, 0], y[0, 0], c[0, 0] = 6, 0, 0
    one = np.ones(1, COUNT)
    decision = RollingSix(n_doses=3, strict=False).decide(
        TimedStates(n_, y, one, one, one * 0, one * n, np.zeros((1, 0), COUNT), pending=c)
    )
    dose = int(decision.dose[0])
    if expected == "de-escalate":
        # The dose below has six patients without a DLT: it is the MTD.
        assert dose == -1
    else:
        assert dose == {"same": 1, "escalate": 2, "suspend": -2}[expected]


def test_strict_rolling_six_awaits_all_six():
    n, c = np.array([[6, 0, 0]], COUNT), np.array([[1, 0, 0]], COUNT)
    none = np.zeros(1, COUNT)
    state = TimedStates(n, 0 * n, none, none + 1, none, none + 6, np.zeros((1, 0), COUNT), pending=c)
    assert RollingSix(n_doses=3, strict=True).decide(state).dose.tolist() == [-2]
    assert RollingSix(n_doses=3, strict=False).decide(state).dose.tolist() == [1]


@pytest.mark.parametrize("late", [0, 1])
def test_late_dlt_at_a_lower_dose_closes_every_dose_above(late):
    n, y, c = np.array([[6, 2, 0]], COUNT), np.array([[1 + late, 0, 0]], COUNT), np.array([[0, 2, 0]], COUNT)
    one = np.ones(1, COUNT)
    state = TimedStates(n, y, one, one, 0 * one, 8 * one, np.zeros((1, 0), COUNT), pending=c)
    decision = RollingSix(n_doses=3).decide(state)
    assert decision.dose.tolist() == [-1 if late else 1]
    assert decision.admissible[0, 1] == (not late)


def test_wait_is_refused_where_nothing_is_pending():
    class Waits(RollingSix):
        def propose(self, states):
            return Proposal(np.full(len(states), -2))

    n, one = np.array([[3, 0]], COUNT), np.ones(1, COUNT)
    state = TimedStates(n, 0 * n, 0 * one, one, 0 * one, one, np.zeros((1, 0), COUNT), pending=0 * n)
    with pytest.raises(InputError, match="waits for pending outcomes"):
        Waits(n_doses=2).decide(state)


# Reductions -------------------------------------------------------------------------------------------------------------

DESIGNS = [
    ThreePlusThree(n_doses=3, max_n=18),
    BOIN(target=0.25, n_doses=3, max_n=18),
    CRM(target=0.25, skeleton=(0.15, 0.25, 0.35), max_n=18),
    RollingSix(n_doses=3, max_n=18),
]


@pytest.mark.parametrize("design", DESIGNS, ids=lambda design: design.title)
def test_slow_accrual_is_the_simulation_without_a_calendar_trial_by_trial(design):
    truths = np.array([[0.05, 0.15, 0.30], [0.1, 0.25, 0.4], [0.3, 0.45, 0.6]])
    made = run(design, Rates(truths), clock(process="fixed", per_28_days=1.0, no_overlap=False), 2000, 4)
    oc = simulate(design, truths, n_trials=2000, seed=4)
    counts = made.ended.n.reshape(3, 2000, 3).mean(axis=1)
    assert counts == pytest.approx(oc.patients.values, abs=1e-12)
    chosen = made.ended.choice.reshape(3, 2000)
    shares = np.stack([(chosen == choice - 1).mean(axis=1) for choice in range(4)], axis=1)
    assert shares == pytest.approx(oc.selected.values, abs=1e-12)
    assert not made.with_pending.any()


@pytest.mark.parametrize("design", DESIGNS[:3], ids=lambda design: design.title)
def test_selection_of_a_design_that_waits_does_not_depend_on_accrual(design):
    slow, fast = (run(design, Rates(TRUTH), clock(process="poisson", per_28_days=rate), 1000, 2) for rate in (0.5, 8.0))
    assert np.array_equal(slow.ended.n, fast.ended.n)
    assert np.array_equal(slow.ended.choice, fast.ended.choice)
    assert slow.days.mean() > 2 * fast.days.mean()


RULES = [
    {"process": "poisson", "per_28_days": 2.0, "queue": 1},
    {"process": "poisson", "per_28_days": 6.0, "queue": 3, "patience_days": 9, "stagger": HIGH, "no_overlap": True},
    {"process": "uniform-gap", "per_28_days": 3.0, "queue": "unlimited", "stagger": Stagger(days=14, patients="first")},
    {"process": "fixed", "per_28_days": 4.0, "no_overlap": True, "discontinuation": Discontinuation(dropout=0.2)},
    {
        "process": "poisson",
        "per_28_days": 4.0,
        "discontinuation": Discontinuation(dropout=0.2, progression=0.1),
        "progression": "dlt",
        "onset": Onset(kind="weibull", late=0.8),
    },
    {"process": "always", "gates": Gates(complete=2, each_pending=0.25)},
    {"process": "poisson", "per_28_days": 8.0, "gates": Gates(one_followed=20, suspend_pending=0.5), "stagger": Stagger(days=3)},
]


@pytest.mark.parametrize("rules", RULES, ids=lambda rules: "-".join(map(str, list(rules.values())[:2])))
@pytest.mark.parametrize(
    "design", [DESIGNS[0], *(pytest.param(one, marks=pytest.mark.slow) for one in DESIGNS[1:])], ids=lambda design: design.title
)
def test_batch_is_the_plain_loop_over_days(design, rules):
    trials, seed = 12, 5
    rules = {"no_overlap": False, **rules}
    timed = clock(**rules)
    made = run(design, Rates(TRUTH), timed, trials, seed)
    latent = latent_numbers(seed, trials)
    for trial in range(trials):
        plain = PlainTrial(design, TRUTH[0], timed, latent, arrivals(timed, seed, trial), trial).run()
        first = plain.people[0].start
        used = len(plain.people)
        assert made.starts[trial][:used].tolist() == [person.start - first for person in plain.people]
        assert made.doses[trial][:used].tolist() == [person.dose for person in plain.people]
        assert made.known[trial][:used].tolist() == [person.known - first for person in plain.people]
        assert (made.starts[trial][used:] == 2**30).all()
        found = [getattr(made, name)[trial] for name in ("days", "turned_away", "gone", "waited")]
        assert found == [plain.end - first, plain.turned_away, plain.gone, plain.waited]


@pytest.mark.parametrize(
    "design",
    [
        TITEBOIN(target=0.25, window_days=28, n_doses=3, max_n=18),
        TITEBOIN(target=0.25, window_days=28, n_doses=3, max_n=12, cohort_size=(1, 3), rule="ess"),
        TITEBOIN(target=0.15, window_days=28, n_doses=3, max_n=18, cohort_size=5, extra_safe=True, rule="imputation"),
        TITECRM(skeleton=(0.1, 0.25, 0.4), target=0.25, window_days=28, n_doses=3, max_n=18, safety_cutoff=0.8),
        TITECRM(skeleton=(0.1, 0.25, 0.4), target=0.25, window_days=28, n_doses=3, max_n=18, max_n_per_dose=7),
        TITECRM(skeleton=(0.1, 0.25, 0.4), target=0.25, window_days=28, n_doses=3, max_n=18, stop_n=9),
        TITECRM(skeleton=(0.1, 0.25, 0.4), target=0.25, window_days=28, n_doses=3, max_n=18),
    ],
    ids=["tite-boin", "in turn", "large cohorts", "safety rule", "full dose", "stopping rule", "tite-crm"],
)
def test_trials_that_need_no_answer_are_as_if_they_were_asked(design):
    """Where patients can leave, and be it with a probability of next to nothing, a design is asked at every event."""
    for accrual in ({"per_28_days": 4.0}, {"per_28_days": 6.0, "queue": 2}):
        rules = {"process": "poisson", "no_overlap": False} | accrual
        some, every = (
            run(design, Rates(TRUTH), clock(**rules, discontinuation=leaving), 500, 4)
            for leaving in (Discontinuation(), Discontinuation(dropout=1e-12))
        )
        for name in ("n", "y", "choice"):
            assert np.array_equal(getattr(some.ended, name), getattr(every.ended, name)), name
        for name in ("days", "closed", "decisions", "with_pending", "bold", "cautious", "above", "turned_away", "waited", "starts"):
            assert np.array_equal(getattr(some, name), getattr(every, name)), name


# What pending outcomes cost ---------------------------------------------------------------------------------------------


def test_decisions_that_complete_data_would_have_reversed():
    late = Onset(kind="piecewise", parts=(0.0, 1.0))
    truth = Rates(np.array([[0.9, 0.95, 0.99]]))
    fast = run(RollingSix(n_doses=3), truth, clock(process="always", onset=late, no_overlap=False), 500, 1)
    # Patients start at once while nothing is known: six at the lowest dose, of whom two or more nearly always have a DLT.
    assert (fast.doses[:, :6] == 0).all()
    assert fast.bold.mean() > 3.5
    assert (fast.above >= fast.bold - 1).all()
    assert not fast.cautious.any()
    slow = run(RollingSix(n_doses=3), truth, clock(process="fixed", per_28_days=1.0, onset=late, no_overlap=False), 500, 1)
    assert not slow.bold.any()
    assert not slow.with_pending.any()


def test_cohort_ends_early_where_its_outcomes_are_decided():
    truth = Rates(np.array([[0.6, 0.7, 0.8]]))
    rules = {"process": "fixed", "per_28_days": 3.0, "onset": Onset(kind="piecewise", parts=(1.0, 0.0, 0.0))}
    whole, early = (run(DESIGNS[0], truth, clock(cohorts=name, **rules), 2000, 3) for name in ("complete", "until-decided"))
    assert (whole.ended.n[:, 0] % 3 == 0).all()
    assert (early.ended.n[:, 0] == 2).any()
    assert (early.days <= whole.days).all()
    assert early.days.mean() < whole.days.mean()
    two = early.ended.n[:, 0] == 2
    assert (early.ended.y[two, 0] == 2).all()
    assert (early.ended.choice[two] == -1).all()


def test_settings_that_contradict_each_other_are_refused():
    for wrong, key in [
        ({"process": "poisson"}, "per_28_days"),
        ({"process": "always", "per_28_days": 2.0}, "per_28_days"),
        ({"process": "dates"}, "days"),
        ({"process": "dates", "days": (5, 3)}, "days"),
        ({"process": "fixed", "per_28_days": 2.0, "patience_days": 3}, "patience_days"),
        ({"process": "always", "queue": 3}, "queue"),
    ]:
        with pytest.raises(InputError, match=key):
            Accrual(**wrong)
    for wrong, key in [
        ({"kind": "weibull"}, "late"),
        ({"late": 0.5}, "late"),
        ({"kind": "piecewise", "parts": (0.5, 0.4)}, "parts"),
    ]:
        with pytest.raises(InputError, match=key):
            Onset(**wrong)


# Faults seen in other programs ------------------------------------------------------------------------------------------


def test_days_to_dlt_scale_with_the_window():
    """One program draws them on the first day whatever the window."""
    one = BOIN(target=0.25, n_doses=1, max_n=30, cohort_size=30)
    for window in (28, 280):
        made = run(one, Rates(np.array([[0.5]])), clock(window=window, process="always"), 300, 1)
        assert abs(z((made.known - made.starts)[made.dlt], (window + 1) / 2)) < 3.3


def test_a_late_dlt_is_not_known_before_its_day():
    """One program draws the outcome at the decision, so that late DLTs are known at once."""
    late = Onset(kind="piecewise", parts=(0.0, 0.0, 1.0))
    made = run(RollingSix(n_doses=3), Rates(np.array([[1.0, 1.0, 1.0]])), clock(process="always", onset=late), 20, 1)
    # All six start on the first day, because no DLT is known before day 19.
    assert (made.starts == 0).all()
    assert made.starts.shape == (20, 6)
    assert (made.known[made.dlt] > 18).all()


def test_news_before_the_next_start_changes_the_dose():
    """Some programs fix the dose when the last patient of a cohort arrives, and ignore what becomes known until the next start."""
    # One candidate on the day before the last window ends, when the rule would still escalate, and one after it.
    early = Onset(kind="piecewise", parts=(0.0, 1.0))
    days = (0, 0, 0, 0, 0, 0, 27, 40, 60, 80, 100, 120, 140, 160)
    made = run(RollingSix(n_doses=3), Rates(np.array([[0.4, 0.45, 0.5]])), clock(process="dates", days=days, onset=early), 400, 1)
    toxic = (made.dlt[:, :6] & (made.known[:, :6] <= 27)).sum(axis=1) >= 2
    assert toxic.any()
    assert (made.ended.choice[toxic] == -1).all()
    assert (made.starts[toxic][:, 6:] == 2**30).all()


def test_a_dlt_never_shortens_a_stagger():
    every = Stagger(days=14)
    truth = Rates(np.array([[0.5, 0.6, 0.7]]))
    for design in DESIGNS:
        made = run(design, truth, clock(process="always", stagger=every), 200, 1)
        for starts, doses in zip(made.starts, made.doses, strict=True):
            for dose in range(3):
                days = starts[doses == dose]
                assert (np.diff(days) >= 14).all()


def test_a_trial_ends_when_its_last_window_does_not_when_another_candidate_comes():
    """Asking only at the next candidate would add a gap to every duration."""
    made = run(ThreePlusThree(n_doses=3), Rates(np.zeros((1, 3))), clock(process="poisson", per_28_days=0.5), 200, 1)
    assert (made.days == made.last_start + 28).all()


def test_duration_is_counted_from_the_first_start():
    """Some programs count the first gap."""
    made = run(ThreePlusThree(n_doses=3), Rates(np.zeros((1, 3))), clock(process="dates", days=(50, *range(50, 400))), 1, 1)
    assert made.starts[0, 0] == 0
    # A day between the second and third patient of the first cohort, two within each of the others.
    assert made.days[0] == 3 * 28 + 1 + 2 + 2


@pytest.mark.parametrize("gates", [Gates(complete=2), Gates(suspend_pending=0.34), Gates(complete=6, each_pending=0.9)])
def test_gates_never_deadlock(gates):
    leaving = Discontinuation(dropout=0.5)
    made = run(RollingSix(n_doses=3), Rates(TRUTH), clock(process="always", gates=gates, discontinuation=leaving), 300, 1)
    assert not made.unfinished.any()


def test_more_than_thirty_patients_are_not_cut_off():
    made = run(BOIN(target=0.25, n_doses=3, max_n=60), Rates(TRUTH), clock(process="always"), 20, 1)
    assert (made.ended.n.sum(axis=1) == 60).all()


def test_a_late_weibull_differs_by_dose():
    onset = Onset(kind="weibull", late=0.5)
    early, later = (onset.share(7, rate, 28) for rate in (0.05, 0.6))
    assert abs(early - later) > 0.02
    assert onset.share(14, 0.05, 28) == pytest.approx(onset.share(14, 0.6, 28), abs=1e-12)


@pytest.mark.parametrize("strict", [False, True])
def test_decision_table_of_the_rolling_six_is_the_published_one(strict):
    """The table that people use, row by row; strict where six patients without a DLT need all outcomes."""
    protocol = dsf.load_protocol(ROOT / "configs" / "nct05962762.toml")
    table = protocol.model_dump(exclude_unset=True)
    table["designs"]["rolling-6"]["strict"] = strict
    found = dsf.decision_table(dsf.Protocol.read(table), "rolling-6").set_index(["n_patients", "dlts", "pending"])["move"]
    words = {"same": "stay", "escalate": "escalate", "suspend": "wait", "de-escalate": "not tolerated"}
    rows = [row for row in REFS["rolling6_table"]["expected"]["rows"] if row[0]]
    for n, evaluable, dlts, expected in rows:
        stricter = strict and (n, evaluable, dlts) == (6, 5, 0)
        assert found[n, dlts, n - evaluable] == ("wait" if stricter else words[expected])


@pytest.mark.parametrize(
    ("outcomes", "pending", "numbers"),
    [
        ("1N 1N 1N", (2, 0, 0), ["0 DLTs in 3 patients at level 1, 2 outcomes pending"]),
        ("1N 1T", (1, 0, 0), ["1 DLT in 2 patients at level 1, 1 outcome pending"]),
        ("1N 1N 1N 2T 2T", (0, 0, 0), ["2 DLTs in 2 patients at level 2", "0 DLTs in 3 patients at level 1"]),
        ("1T 1T", (0, 0, 0), ["2 DLTs in 2 patients at level 1"]),
        ("1N 1N 1N 2T 2T 1N 1N 1N", (1, 0, 0), ["2 DLTs in 2 patients at level 2", "6 patients at level 1, 1 outcome pending"]),
    ],
)
def test_rolling_six_gives_the_numbers_that_its_rule_reads(outcomes, pending, numbers):
    design = RollingSix(strict=True)
    state = state_after(design, parse_outcomes(outcomes), 3)
    timed = TimedStates(**vars(state), pending=np.array([pending], COUNT))
    assert all(words in design.because(timed) for words in numbers)


@pytest.mark.parametrize("seed", [1, 7])
def test_cohorts_that_end_early_stay_within_the_maximum_sample_size(seed):
    """A cohort after one that would not have begun is no larger than the number of patients left."""
    plan = TITEBOIN(target=0.25, window_days=28, max_n=30, n_doses=5)
    rates, accrual = np.array([[0.05, 0.15, 0.25, 0.40, 0.55]]), Accrual(process="poisson", per_28_days=2.0, queue=2)
    clock = Clock(Treatment(infusion_days=(1,), dlt_window_days=28, no_overlap=False), accrual, cohorts="until-decided")
    made = run(plan, Rates(rates), clock, 500, seed)
    assert made.ended.n.sum(axis=1).max() == 30
