"""TITE-BOIN: thresholds and tables of its three rules against published ones, and what pending outcomes may not change."""

import math
import re
from dataclasses import fields, replace

import numpy as np
import pytest

from dosefind import InputError
from dosefind.designs import BOIN, TITEBOIN
from dosefind.designs.base import Beside
from dosefind.operating.calendar import Clock, run
from dosefind.operating.lattice import lattice as enumerated
from dosefind.outcomes import Rates
from dosefind.protocol import Treatment
from dosefind.timing import Accrual, Onset
from dosefind.trial import COUNT, WAIT, FollowUps, States, TimedStates

from .contract import check_design
from .follow_up_lattice import lattice as exact_lattice
from .follow_up_lattice import timed, with_news
from .peers import published, table
from .planted import faults

REFS = {item["id"]: item for item in published("tite_refs")["items"]}
WINDOW, LONG = 100, 3650
RULES = ("app-2025", "imputation", "ess")


def design(rule, target=0.3, **settings):
    return TITEBOIN(**{"rule": rule, "target": target, "window_days": WINDOW} | settings)


def states(n, y, pending, days, dose=1, n_doses=3, window=WINDOW):
    """Trials at a dose, all at once; days is a list of follow-up per trial."""
    count = len(n)
    at = np.arange(count)
    three = np.zeros((3, count, n_doses), COUNT)
    three[0, :, :dose] = 3
    three[:, at, dose] = n, y, pending
    wide = max(map(len, days), default=0)
    of_patients = np.full((2, count, wide), -1)
    for row, each in enumerate(days):
        of_patients[0, row, : len(each)], of_patients[1, row, : len(each)] = dose, each
    none = np.zeros(count, COUNT)
    followed = FollowUps(window, of_patients[0], of_patients[1], none)
    last = none + COUNT(dose)
    made = (three[0], three[1], last, three[0, :, dose], three[1, :, dose], none + COUNT(2), np.zeros((count, 0), COUNT))
    return TimedStates(*made, pending=three[2], follow_ups=followed)


def moves(plan, *args, **settings):
    """+1, 0, -1, or "wait" of each state."""
    made = states(*args, **settings)
    dose = plan.with_settings(n_doses=made.n_doses).decide(made).dose
    return ["wait" if each == WAIT else int(each - last) for each, last in zip(dose, made.last, strict=True)]


def spread(total, patients, window=WINDOW):
    """Days of patients with this sum, as even as possible."""
    each, rest = divmod(total, max(patients, 1))
    found = [each + (place < rest) for place in range(patients)]
    assert max(found, default=0) <= window
    return found


# Published tables -------------------------------------------------------------------------------------------------------

CODES = {"E": "escalate", "S": "stay", "D": "de-escalate", "DE": "eliminate", "SUS": "wait"}
CODES |= {"ES": "stay/escalate", "SD": "de-escalate/stay"}


@pytest.mark.parametrize(("item", "rule"), [("titeboin_table_S1", "imputation"), ("titeboin_table_C25", "app-2025")])
def test_table_is_the_published_one(item, rule):
    cells = REFS[item]["expected"]["cells"]
    window = LONG
    plan = design(rule, REFS[item]["inputs"]["target"], window_days=window)
    found = plan.pending_table(max_n=18).set_index(["n_patients", "dlts", "pending"])
    for n, y, c, code, threshold in cells:
        eliminated = (n, y, c) not in found.index
        row = None if eliminated else found.loc[(n, y, c)]
        move = "eliminate" if row is None else row.move
        # The published tables de-escalate and eliminate before they suspend, as the design does.
        assert move == CODES[code], (n, y, c, code)
        if threshold is not None:
            days = row.escalate_from_days if code == "ES" else row.deescalate_to_days
            # Published to two decimals.
            assert abs(days / window - threshold) <= 0.005 + 1 / window, (n, y, c)
    assert len(cells) == {"titeboin_table_S1": 320, "titeboin_table_C25": 38}[item]


@pytest.mark.parametrize("method", ["imputation", "ess"])
@pytest.mark.parametrize("target", [0.2, 0.3])
def test_table_is_that_of_simfastboin(method, target):
    rows = table("tite_boin_tables")
    rows = rows[(rows.method == method) & (rows.target == target)]
    window = LONG
    # Its rule "ess" needs two known outcomes to escalate.
    more = {"known_first": 2} if method == "ess" else {}
    plan = design(method, target, window_days=window, **more)
    low, high = plan.boundaries
    assert low == pytest.approx(rows.lambda_e.iloc[0], abs=1e-12)
    assert high == pytest.approx(rows.lambda_d.iloc[0], abs=1e-12)
    words = {"E": 1, "S": 0, "D": -1, "DE": -1, "SUS": "wait"}
    cells, expected = [], []
    for row in rows.itertuples():
        n, y, c = row.n, row.dlts, row.pending
        known = n - c if method == "ess" else 0
        up, down = (None if math.isnan(value) else value - known for value in (row.escalate_from, row.deescalate_to))
        parts = row.decision.split("/")
        # Follow-up on both sides of each threshold, within what is possible.
        edges = [edge for edge in (up, down) if edge is not None and 0 < edge < c]
        asked = sorted({0.0, float(c), *(edge + by for edge in edges for by in (-1e-3, 1e-3))})
        for windows in (each for each in asked if 0 <= each <= c):
            if up is not None and windows >= up:
                code = "E"
            elif down is not None and windows <= down:
                code = "D"
            else:
                code = parts[0] if len(parts) == 1 else "S"
            if code == "E" and parts[0] == "SUS":
                code = "SUS"
            cells.append((n, y, c, spread(round(windows * window), c, window)))
            expected.append(words[code])
    found = moves(plan, *(list(column) for column in zip(*cells, strict=True)), window=window)
    wrong = [(*cell, ours, theirs) for cell, ours, theirs in zip(cells, found, expected, strict=True) if ours != theirs]
    assert not wrong
    assert len(cells) > 450


def test_ess_is_that_of_titegboin():
    rows = table("tite_boin_ess")
    waits = 0
    for (target, window), part in rows.groupby(["target", "window_days"]):
        plan = design("ess", target, window_days=int(window), most_pending=0.5, known_first=0)
        days = [spread(int(total), int(c), int(window)) for total, c in zip(part.followup_days, part.pending, strict=True)]
        found = moves(plan, part.n.tolist(), part.dlts.tolist(), part.pending.tolist(), days, window=int(window))
        for row, move in zip(part.itertuples(), found, strict=True):
            if row.suspend and 0 < row.dlts / row.n > plan.boundaries[1]:
                # It suspends accrual where the DLTs so far lead to de-escalation whatever the pending outcomes are.
                assert move == -1
            elif row.suspend:
                assert move == "wait", row
                waits += 1
            else:
                assert move == row.next_dose - 2, row
    assert waits > 50


def test_thresholds_by_effective_sample_size_are_the_closed_form():
    expected = REFS["titeboin_ess_thresholds"]["expected"]
    plan = design("ess", window_days=LONG)
    low, high = plan.boundaries
    assert (low, high) == pytest.approx((expected["lambda_e"], expected["lambda_d"]), abs=1e-9)
    assert 1 / low == pytest.approx(expected["escalate_at_ess_per_dlt"], abs=1e-9)
    row = plan.pending_table(max_n=6).set_index(["n_patients", "dlts", "pending"]).loc[(6, 1, 3)]
    # Three known: an effective sample size from 4.2285 on escalates, up to 2.7892 de-escalates.
    assert row.escalate_from_days == math.ceil(LONG * (expected["escalate_at_ess_per_dlt"] - 3))


def test_example_of_titegboin_stays():
    item = REFS["titegboin_next"]
    inputs = item["inputs"]
    n, y, c = inputs["n"][4], inputs["y"][4], inputs["pending"][4]
    plan = design("ess", inputs["target"], window_days=inputs["window"], most_pending=0.5)
    days = spread(inputs["total_follow_up_days"][4], c, inputs["window"])
    assert moves(plan, [n], [y], [c], [days], window=inputs["window"]) == [item["expected"]["next_dose"] - 5]


# What holds for every rule ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
def test_contract(rule):
    check_design(design(rule, max_n=9))


@pytest.mark.parametrize("options", [{}, {"stay_at_1_of_3": True, "down_at_2_of_6": True, "bound_mtd": True}])
@pytest.mark.parametrize("rule", RULES)
def test_with_nothing_pending_it_is_boin(rule, options):
    plan, plain = design(rule, 0.27, n_doses=3, **options), BOIN(target=0.27, n_doses=3, **options)
    assert plan.on_complete_data() == plain
    counts = [(n, y) for n in range(1, 19) for y in range(n + 1)]
    n, y = (list(column) for column in zip(*counts, strict=True))
    timed = states(n, y, [0] * len(n), [[]] * len(n))
    complete = States(**{field.name: getattr(timed, field.name) for field in fields(States)})
    assert plan.decide(timed).dose.tolist() == plain.decide(complete).dose.tolist()
    assert plan.decide(complete).dose.tolist() == plain.decide(complete).dose.tolist()


def every_count(most=9):
    """Every (n, y, c) with eight amounts of follow-up, which all pending patients share."""
    found = [
        (n, y, c, [age] * c)
        for n in range(1, most + 1)
        for y in range(n + 1)
        for c in range(n - y + 1)
        for age in ([0, 10, 24, 25, 26, 50, 75, 99] if c else [0])
    ]
    return [list(column) for column in zip(*found, strict=True)]


@pytest.mark.parametrize("target", [0.2, 0.25, 0.3])
@pytest.mark.parametrize("rule", RULES)
def test_a_dlt_never_raises_the_dose_and_follow_up_never_lowers_it(rule, target):
    """A pending patient who has a DLT, or completes, or is followed up for longer; to wait is neither."""
    plan = design(rule, target)
    n, y, c, days = every_count()
    now = moves(plan, n, y, c, days)

    def compared(then, sign):
        return [
            (n[row], y[row], c[row], days[row][:1], now[row], move)
            for row, move in zip(rows, then, strict=True)
            if "wait" not in (now[row], move) and sign * (move - now[row]) < 0
        ]

    rows = [row for row, pending in enumerate(c) if pending]
    each = [[values[row] for row in rows] for values in (n, y, c)]
    fewer = [pending - 1 for pending in each[2]]
    rest = [days[row][1:] for row in rows]
    toxic = moves(plan, each[0], [dlts + 1 for dlts in each[1]], fewer, rest)
    assert not compared(toxic, -1)
    assert not compared(moves(plan, each[0], each[1], fewer, rest), 1)
    older = [[min(age + 20, WINDOW) for age in days[row]] for row in rows]
    assert not compared(moves(plan, each[0], each[1], each[2], older), 1)


@pytest.mark.parametrize("rule", RULES)
def test_a_dlt_can_turn_a_wait_into_treatment(rule):
    """The listed exception: never at a dose above the one to which the same outcome without a DLT leads."""
    plan = design(rule)
    n, y, c, days = every_count()
    rows = [row for row, now in enumerate(moves(plan, n, y, c, days, dose=0)) if now == "wait" and c[row]]
    each = [[values[row] for row in rows] for values in (n, y, c)]
    fewer, rest = [pending - 1 for pending in each[2]], [days[row][1:] for row in rows]
    toxic = moves(plan, each[0], [dlts + 1 for dlts in each[1]], fewer, rest, dose=0)
    free = moves(plan, each[0], each[1], fewer, rest, dose=0)
    treats = [(then, other) for then, other in zip(toxic, free, strict=True) if then in (0, 1)]
    assert treats
    assert all(other == "wait" or other >= then for then, other in treats)
    assert "still waits with a DLT" in plan.exceptions()
    never = design(rule, most_pending=1.0, known_first=0, followed_first=0.0, rests_at_lowest=False)
    assert "wait" not in moves(never, n, y, c, days, dose=0)
    assert not never.exceptions()


def test_reason_at_the_lowest_dose():
    """Two DLTs in three patients and one just started: more than one DLT is imputed, and there is no lower dose."""
    for rule in RULES:
        plan = design(rule, n_doses=3, most_pending=1.0, rests_at_lowest=False)
        timed = states([4], [2], [1], [[0]], dose=0)
        assert plan.decide(timed).dose.tolist() == [0]
        words = plan.because(timed)
        assert "there is no lower dose" in words
        assert all(float(rate) <= 100 for rate in re.findall(r"([0-9.]+)%", words)), words
        assert "there is no lower dose" not in plan.because(states([4], [2], [1], [[0]], dose=1))
        assert "there is no lower dose" not in plan.because(states([4], [0], [1], [[90]], dose=0))


@pytest.mark.parametrize("rule", RULES)
def test_over_the_lattice_a_dlt_never_raises_the_dose_and_follow_up_never_lowers_it(rule):
    """Every state that a trial can reach with a candidate every third of the window, and every pending patient in it."""
    plan, visited = of_lattice(rule, cohort_size=1), set()
    exact_lattice(plan, TRUTH, 3, 84, visited)
    keys = [key for key in visited if key[2]]
    now = plan.propose(timed(keys, 3, 28, 84)).dose
    kinds, places, changed = zip(*with_news(keys, 3), strict=True)
    then, before, toxic = plan.propose(timed(list(changed), 3, 28, 84)).dose, now[list(places)], np.array(kinds) == "dlt"
    # To wait is neither higher nor lower.
    known = (then != WAIT) & (before != WAIT)
    assert known.sum() > 500
    assert (then[known & toxic] <= before[known & toxic]).all()
    assert (then[known & ~toxic] >= before[known & ~toxic]).all()


@pytest.mark.parametrize("rule", RULES)
def test_a_wait_can_always_be_resolved(rule):
    """Once all pending patients are followed up to the end there is an answer, and nobody waits without a pending patient."""
    plan = design(rule)
    n, y, c, days = every_count()
    found = moves(plan, n, y, c, days)
    assert all(pending for pending, move in zip(c, found, strict=True) if move == "wait")
    assert "wait" not in moves(plan, n, y, [0] * len(n), [[]] * len(n))


def test_escalation_awaits_a_quarter_of_the_window():
    """In whole days: 22.5 of 90 days are 23."""
    plan = design("app-2025", window_days=90)
    for days, move in ([22, "wait"], [23, 1]):
        assert moves(plan, [3], [0], [1], [[days]], window=90) == [move]
    assert moves(design("imputation", window_days=90), [3], [0], [1], [[0]], window=90) == [1]
    # At the top dose escalation is not possible: nothing is awaited.
    assert moves(plan, [3], [0], [1], [[5]], dose=2, window=90) == [0]


def test_dlts_that_de_escalate_in_any_case_are_not_awaited():
    for rule in RULES:
        assert moves(design(rule, most_pending=0.5), [6], [3], [3], [[0, 0, 0]]) == [-1]


def test_elimination_counts_the_pending_patients_and_comes_first():
    # P(p > 0.3) with 3 DLTs in 3 patients is above 0.95, with 3 in 6 it is not.
    plan = design("imputation", n_doses=3)
    gone = plan.decide(states([3], [3], [0], [[]], dose=0))
    assert gone.dose.tolist() == [-1]
    assert plan.reasons[gone.reason[0]] == "too_toxic"
    assert plan.decide(states([6], [3], [3], [[0, 0, 0]], dose=0)).dose.tolist() == [0]


def test_two_dlts_in_six_de_escalate_with_outcomes_pending():
    plan = design("app-2025", down_at_2_of_6=True)
    # Also where accrual would be suspended; without the option these stay or are suspended.
    args = [6, 6, 6], [2, 2, 1], [1, 4, 1], [[99], [50] * 4, [99]]
    assert moves(plan, *args) == [-1, -1, 1]
    assert moves(design("app-2025"), *args) == [0, "wait", 1]
    assert BOIN(target=0.3, down_at_2_of_6=True).table(6).deescalate_if_dlt_ge[6] == 2


def test_backfilled_doses_are_read_with_outcomes_pending():
    plan = design("app-2025", n_doses=3)
    timed = states([6], [1], [4], [[10] * 4])
    for dlts, dose in ([0, WAIT], [4, WAIT], [6, -1]):
        beside = Beside(np.array([6, 0, 0], COUNT), np.array([dlts, 0, 0], COUNT))
        decision = plan.decide(timed, beside)
        assert decision.dose.tolist() == [dose]
        assert ("eliminated" in plan.because(timed, beside)) == (dose == -1)
    # The own data de-escalate whatever the backfilled ones are.
    toxic = states([6], [3], [3], [[10] * 3])
    assert plan.decide(toxic, Beside(np.array([6, 0, 0], COUNT), np.zeros(3, COUNT))).dose.tolist() == [0]
    # Escalation that waits for follow-up is held there too.
    young = states([3], [0], [1], [[10]])
    assert plan.decide(young, Beside(np.array([6, 0, 0], COUNT), np.zeros(3, COUNT))).dose.tolist() == [WAIT]


def test_every_output_says_which_rule():
    for rule in RULES:
        plan = design(rule, n_doses=3)
        assert rule in plan.title
        assert any(f"rule = {rule}" in sentence for sentence in plan.rules())
        assert f"rule {rule}" in plan.because(states([6], [1], [2], [[40, 50]]))


def test_settings_are_checked():
    for wrong, key in [({"rule": "2018"}, "rule"), ({"most_pending": 1.5}, "most_pending"), ({"window_days": 0}, "window_days")]:
        with pytest.raises(InputError, match=key):
            design(**{"rule": "ess"} | wrong)
    assert design("ess").in_force()["known_first"] == 3
    assert design("app-2025", followed_first=0.0).in_force()["followed_first"] == 0.0


def test_nobody_followed_up_and_no_dlt_is_no_reason_to_de_escalate():
    """With an effective sample size of 0 and no DLT, both boundaries hold with equality."""
    plan = design("ess", known_first=0)
    assert moves(plan, [2, 2], [0, 1], [2, 1], [[0, 0], [0]]) == [1, -1]


# On a calendar ----------------------------------------------------------------------------------------------------------


def clock(window, **accrual):
    return Clock(Treatment(infusion_days=(1,), dlt_window_days=window, no_overlap=False), Accrual(**accrual))


LATTICE = REFS["lattice_titeboin_m3"]
TRUTH = LATTICE["inputs"]["p_true"]


def of_lattice(rule="imputation", **settings):
    return design(rule, 0.25, window_days=84, n_doses=3, max_n=12, **settings)


def test_exact_lattice_is_the_reference():
    found, expected = exact_lattice(of_lattice(), TRUTH, 3, 84), LATTICE["expected"]
    assert found["mass"] == pytest.approx(1, abs=1e-12)
    for name, key in [("selected", "select_none_then_doses"), ("n", "N"), ("y", "Y"), ("turned_away", "turned_away_mean")]:
        assert found[name] == pytest.approx(expected[key], abs=1e-9), name
    last = {str(gap): chance for gap, chance in found["last_start"].items() if chance > 1e-15}
    assert last == pytest.approx(expected["last_start"], abs=1e-9)


@pytest.mark.parametrize(
    ("rule", "settings"),
    [
        ("app-2025", {}),
        *(
            pytest.param(rule, more, marks=pytest.mark.slow)
            for rule, more in (("imputation", {}), ("ess", {}), ("ess", {"cohort_size": 1}), ("app-2025", {"cohort_size": 2}))
        ),
    ],
)
def test_fixed_accrual_is_the_exact_lattice(rule, settings):
    """Candidates every third of the window, none waiting; within 3.3 standard errors of 10,000 trials."""
    plan = of_lattice(rule, **settings)
    expected = exact_lattice(plan, TRUTH, 3, 84)
    made = run(plan, Rates(np.array([TRUTH])), clock(84, process="fixed", per_28_days=1.0), 10_000, 3)
    trials = len(made.ended.choice)
    for choice, chance in enumerate(expected["selected"]):
        assert abs(((made.ended.choice == choice - 1).mean() - chance) / np.sqrt(chance * (1 - chance) / trials)) < 3.3
    pairs = [(made.ended.n, expected["n"]), (made.ended.y, expected["y"])]
    mean = sum(gap * chance for gap, chance in expected["last_start"].items())
    pairs += [(made.last_start[:, None] / 28, [mean]), (made.turned_away_by_last_start[:, None], [expected["turned_away"]])]
    for values, means in pairs:
        error = values.std(axis=0) / np.sqrt(trials)
        assert (np.abs(values.mean(axis=0) - means) < 3.3 * error).all()


def test_calendar_of_the_software_of_2025():
    """Starts on days 0, 0 and 80: the next cohort awaits 22.5 days of follow-up of the third patient, in whole days 23."""
    item = REFS["titeboin_app_replay"]
    window, (first, second) = item["inputs"]["window"], item["expected"]["decision_days"]
    plan = design("app-2025", window_days=window, n_doses=3, max_n=6)
    on = clock(window, process="dates", days=(0, 0, 80, 95, 118, 133), queue=1)
    made = run(plan, Rates(np.zeros((1, 3))), on, 1, 1)
    assert first == 95
    assert made.starts[0].tolist() == [0, 0, 80, math.ceil(second), 118, 133]
    assert made.doses[0].tolist() == [0, 0, 0, 1, 1, 1]
    assert made.days[0] == math.ceil(item["expected"]["end"])


@pytest.mark.parametrize("rule", ["app-2025", *(pytest.param(rule, marks=pytest.mark.slow) for rule in RULES[1:])])
def test_slow_accrual_is_the_exact_enumeration(rule):
    """No outcome is pending when a cohort is decided, so that every trial is one of BOIN's."""
    plan = of_lattice(rule)
    # Three at once, so that nothing becomes known within a cohort.
    slow = clock(20, process="dates", days=tuple(candidate // 3 * 30 for candidate in range(60)), queue=2)
    made = run(plan, Rates(np.array([TRUTH])), slow, 3000, 5)
    whole = run(plan.on_complete_data(), Rates(np.array([TRUTH])), slow, 3000, 5)
    # A trial can stop before the last outcome of a cohort is known.
    assert (made.with_pending <= (made.ended.choice < 0)).all()
    assert not (made.bold | made.cautious).any()
    for name in ("choice", "n", "y"):
        assert np.array_equal(getattr(made.ended, name), getattr(whole.ended, name))
    selected = enumerated(plan).under([TRUTH]).selected.values[0]
    shares = np.array([(made.ended.choice == choice).mean() for choice in range(-1, 3)])
    assert (np.abs(shares - selected) < 3.3 * np.sqrt(selected * (1 - selected) / 3000)).all()


def test_an_eliminated_dose_does_not_come_back():
    """Patients whose outcomes are pending count for elimination: as they grow in number it could be undone."""
    plan = design("ess", window_days=84, n_doses=3, max_n=24, cohort_size=1)
    made = run(plan, Rates(np.array([[0.2, 0.5, 0.7]])), clock(84, process="poisson", per_28_days=4.0, queue=2), 200, 2)
    limits = plan.table(max_n=24).eliminate_if_dlt_ge
    closed = 0
    for starts, doses, known, dlt in zip(made.starts, made.doses, made.known, made.dlt, strict=True):
        for dose in range(3):
            for day in np.unique(known[dlt & (doses == dose)]):
                treated = (doses == dose) & (starts < day)
                dlts = int((treated & dlt & (known <= day)).sum())
                least = limits[int(treated.sum())]
                if str(least) != "<NA>" and dlts >= least:
                    closed += 1
                    assert not ((doses >= dose) & (starts >= day) & (starts < 2**30)).any()
    assert closed > 40


@pytest.mark.slow
def test_durations_of_simfastboin():
    """Published in whole months: within the rounding and 3.3 standard errors of a simulation of each.

    One candidate waits while accrual is suspended, as the next gap begins at a start there.
    """
    item = REFS["titeboin_OC_rates"]
    data, month = item["inputs"], 30
    window = data["window"] * month
    size = data["cohorts"] * data["cohort_size"]
    plan = design("imputation", data["target"], window_days=window, n_doses=5, max_n=size, stop_n=data["n_stop"], stop_n_at="any")
    for rate, published_months in zip(data["rates"], item["expected"]["duration_mean"], strict=True):
        on = clock(window, process="poisson", per_28_days=rate * 28 / month, queue=1)
        made = run(plan, Rates(np.array([data["p_true"]])), replace(on, onset=Onset(kind="weibull", late=0.5)), 2000, 1)
        months = made.days / month
        assert abs(months.mean() - published_months) < 0.5 + 3.3 * months.std() * math.sqrt(2 / 2000)


def test_suspended_accrual_goes_on_with_the_next_outcome_not_with_the_next_candidate():
    """One program waits for another arrival, and decides only then."""
    plan = design("imputation", window_days=28, n_doses=3, max_n=6)
    # Three at once, a fourth who waits from day 5 on: accrual is suspended until two of the three windows have ended.
    on = clock(28, process="dates", days=(0, 1, 2, 5, 300, 400), queue=1)
    made = run(plan, Rates(np.zeros((1, 3))), on, 1, 1)
    assert made.starts[0, :4].tolist() == [0, 1, 2, 29]
    assert made.doses[0, 3] == 1


# Faults -----------------------------------------------------------------------------------------------------------------

BOIN_FILE = "dosefind.designs.tite_boin:TITEBOIN"


def _shifted(change):
    """Return a fault of the thresholds: they are asked about other counts."""
    return lambda old: lambda rule, n, y, pending, *rest: old(rule, *change(n, y, pending), *rest)


FAULTS = {
    # The odds are those of all patients.
    "pending patients as known": (
        "dosefind.designs.tite_boin:thresholds",
        _shifted(lambda n, y, pending: (n, y, 0 * pending)),
        lambda: test_table_is_the_published_one("titeboin_table_S1", "imputation"),
    ),
    "known patients only": (
        "dosefind.designs.tite_boin:thresholds",
        _shifted(lambda n, y, pending: (np.maximum(n - pending, 1), y, 0 * pending)),
        lambda: test_table_is_that_of_simfastboin("ess", 0.3),
    ),
    # The gate is forgotten: nobody needs follow-up before escalation.
    "no gate": (f"{BOIN_FILE}.gate_days", lambda old: property(lambda self: 0), test_escalation_awaits_a_quarter_of_the_window),
    # A suspended trial goes on.
    "no suspension": (
        f"{BOIN_FILE}._awaiting",
        lambda old: lambda self, states, found, suspended, gated: found,
        test_suspended_accrual_goes_on_with_the_next_outcome_not_with_the_next_candidate,
    ),
    # Elimination counts known outcomes only.
    "elimination without the pending": (
        "dosefind.designs.interval:IntervalDesign._moved",
        lambda old: lambda self, states, move: old(self, replace(states, n=states.n - states.pending), move),
        test_elimination_counts_the_pending_patients_and_comes_first,
    ),
}

test_fault_is_caught = faults(FAULTS)


@pytest.mark.parametrize(
    "settings", [{}, {"rule": "imputation", "rests_at_lowest": True}, {"rule": "ess", "rests_at_lowest": True}]
)
def test_pending_patients_do_not_keep_an_eliminated_lowest_dose_in_use(settings):
    """3 DLTs in 3 known patients stop BOIN; with pending patients beside them nobody further is treated there."""
    design = TITEBOIN(target=0.25, n_doses=3, max_n=18, window_days=28, **settings)
    for pending in (1, 2, 3, 4):
        for days in (0, 20):
            n, y, c = np.zeros((3, 1, 3), np.int16)
            n[0, 0], y[0, 0], c[0, 0] = 3 + pending, 3, pending
            state = States.of_checked(n, y)
            at = FollowUps(28, np.zeros((1, pending), int), np.full((1, pending), days), np.zeros(1, np.int16))
            fields = vars(state) | {"last": np.zeros(1, np.int16), "cohorts": np.full(1, 2, np.int16)}
            decision = design.decide(TimedStates(**fields, pending=c, follow_ups=at))
            assert decision.dose[0] != 0
