"""BOIN: the contract, R BOIN's boundaries and selections, published tables, and a plain rule."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import bdtr

import dosefind as dsf
from dosefind.trial import States

from . import peers
from .contract import check_design
from .planted import faults, setting

VARIANTS = [
    {},
    {"max_n_per_dose": 6},
    {"stay_at_1_of_3": True},
    {"extra_safe": True},
    {"bound_mtd": True},
    {"stop_n": 6, "stop_n_at": "any"},
    {"stop_n": 6, "stop_n_at": "chosen"},
    {"stop_n": 6, "stop_n_at": "stay"},
    {"stop_n": 6, "stop_n_at": 1},
    {"cohort_size": (1, 2, 3), "max_n": 11},
    {"max_n": 8, "max_n_per_dose": 4},
    {"start": 2, "p_saf": 0.1, "p_tox": 0.4},
]


@pytest.mark.parametrize("settings", VARIANTS, ids=str)
def test_contract(settings):
    check_design(dsf.BOIN(**{"target": 0.25, "max_n": 12, **settings}))


def test_peer_exact_values():
    for key, rows in peers.table("exact_boin").groupby(["target", "ncohort", "cohortsize", "scenario"]):
        target, cohorts, size, scenario = key
        truth = peers.SCENARIOS[scenario]
        walked = dsf.lattice(dsf.BOIN(target=target), n_doses=len(truth), cohort_size=int(size), max_n=int(cohorts * size))
        # 1e-12: the peer's own rounding.
        assert peers.worst_difference(walked.under([truth]), rows) < 1e-12


def test_peer_boundaries():
    for row in peers.table("boin_lambda").itertuples():
        # 1e-12: printed in full.
        np.testing.assert_allclose(dsf.BOIN(target=row.target).boundaries, (row.lambda_e, row.lambda_d), rtol=0, atol=1e-12)
    rows = peers.table("boin_boundary")
    assert set(rows.extrasafe) == {True, False}
    for (target, extra_safe), some in rows.groupby(["target", "extrasafe"]):
        ours = dsf.BOIN(target=target, extra_safe=bool(extra_safe)).table(max_n=int(some.n.max())).loc[some.n]
        for name in ours.columns:
            pd.testing.assert_series_equal(
                ours[name].reset_index(drop=True),
                some[name].astype("Int64").reset_index(drop=True),
                check_names=False,
                obj=f"{target} {name}",
            )


def test_peer_selections():
    rows = peers.table("boin_select_mtd")
    assert len(rows) == 400
    for (target, extra_safe, bound), some in rows.groupby(["target", "extrasafe", "boundMTD"]):
        design = dsf.BOIN(target=target, extra_safe=bool(extra_safe), bound_mtd=bool(bound))
        for row in some.itertuples():
            chosen = design.select(States.counts(np.array([peers.numbers(row.n)]), np.array([peers.numbers(row.y)]))).dose[0] + 1
            assert chosen == (0 if row.MTD == 99 else row.MTD), row


def test_peer_estimates():
    cases = peers.table("boin_select_mtd").drop_duplicates("id").set_index("id")
    for case, rows in peers.table("boin_select_mtd_est").groupby("id"):
        rows = rows.sort_values("dose")
        ours = dsf.BOIN(target=cases.loc[case, "target"]).estimates(rows.n.to_numpy(), rows.y.to_numpy())
        for name, theirs in {"estimate": "phat", "lower": "ci_lo", "upper": "ci_hi", "p_overdose": "p_overdose"}.items():
            # 1e-10: the reference's rounding.
            np.testing.assert_allclose(ours[name], rows[theirs], rtol=0, atol=1e-10, err_msg=f"{case} {name}")


def test_published_boundaries_and_tables():
    item = peers.published("boin_boundaries")
    ours = np.array([dsf.BOIN(target=t).boundaries for t in item["target"]])
    np.testing.assert_allclose(ours[:, 0], item["lambda_e"], rtol=0, atol=item["tolerance"])
    np.testing.assert_allclose(ours[:, 1], item["lambda_d"], rtol=0, atol=item["tolerance"])
    item = peers.published("boin_decision_table_target030")
    table = dsf.BOIN(target=0.30).table(max_n=30).loc[item["inputs"]["n"]]
    for name in ("escalate_if_dlt_le", "deescalate_if_dlt_ge", "eliminate_if_dlt_ge"):
        assert table[name].tolist() == item[name]


def test_table_ends_at_the_cap_on_a_dose():
    whole, capped = dsf.BOIN(target=0.30).table(max_n=30), dsf.BOIN(target=0.30, max_n_per_dose=6).table(max_n=30)
    pd.testing.assert_frame_equal(capped, whole.loc[:6])
    assert len(dsf.BOIN(target=0.30, max_n_per_dose=6).table(max_n=3)) == 3


def test_published_selections():
    cases = peers.published("boin_select_mtd_example")["cases"] + peers.published("boin_select_mtd_R_reference")["cases"]
    for case in cases:
        design = dsf.BOIN(target=case["target"], extra_safe=case.get("extrasafe", False), bound_mtd=case.get("boundMTD", False))
        chosen = design.select(States.counts(np.array(case["n"]), np.array(case["y"]))).dose[0] + 1
        assert chosen == (0 if case["mtd"] == 99 else case["mtd"]), case
        if "isotonic_2dp" in case:
            estimates = design.estimates(case["n"], case["y"])["estimate"].dropna()
            # Half a unit of the second digit, which is all that the reference prints.
            np.testing.assert_allclose(estimates, case["isotonic_2dp"], rtol=0, atol=0.005 + 1e-9)


def test_published_trial_replay():
    item = peers.published("boin_trial_replay")
    for path, level in item["path_then_recommended_dose"]:
        assert dsf.decide(dsf.BOIN(target=item["inputs"]["target"]), path, n_doses=item["inputs"]["num_doses"]).level == level


def test_tie_at_the_upper_boundary_stays():
    # 1 DLT in 4 is exactly the boundary when the toxic rate is chosen so.
    design = dsf.BOIN(target=0.20, p_tox=0.3033)
    upper = design.boundaries[1]
    exact = dsf.BOIN(target=0.20, p_tox=_rate_with_boundary(0.25))
    assert abs(exact.boundaries[1] - 0.25) < 1e-12 < abs(upper - 0.25)
    assert dsf.decide(exact, "1NNN 2NNNT", n_doses=3).action == "stay"


def _rate_with_boundary(boundary):
    from scipy.optimize import brentq

    return brentq(lambda rate: dsf.BOIN(target=0.20, p_tox=rate).boundaries[1] - boundary, 0.25, 0.40, xtol=1e-15)


def test_at_target_025_agrees_with_the_protocols_rules():
    """Escalate at 0/3, 1/6, stay at 1/3 with the option, de-escalate at 2/3, 2/6; 2/3 at the lowest dose treats three more."""
    design = dsf.BOIN(target=0.25, stay_at_1_of_3=True)
    actions = {path: dsf.decide(design, path, n_doses=3) for path in ("2NNN", "2NNT", "2NTT", "2NNNNNT", "2NNNNTT", "1NTT")}
    assert [actions[path].action for path in ("2NNN", "2NNT", "2NTT", "2NNNNNT", "2NNNNTT")] == [
        "escalate",
        "stay",
        "de-escalate",
        "escalate",
        "de-escalate",
    ]
    assert actions["1NTT"].action == "stay"
    # P(p > .25 | 2 of 3) = .9492 lies just below the cutoff.
    assert round(bdtr(2, 4, 0.25), 4) == 0.9492


def plain_boin(trial):
    """BOIN at target 0.30 from its published table."""
    escalate, deescalate = {3: 0, 6: 1, 9: 2, 12: 2}, {3: 2, 6: 3, 9: 4, 12: 5}
    shut = _eliminated(trial)
    n, y = trial.n[trial.level - 1], trial.y[trial.level - 1]
    level = trial.level + (y <= escalate[n]) - (y >= deescalate[n])
    level = min(max(level, 1), trial.n_doses, shut - 1)
    return level or None


def _eliminated(trial):
    eliminate = {3: 3, 6: 4, 9: 5, 12: 7}
    toxic = [level for level, (n, y) in enumerate(zip(trial.n, trial.y, strict=True), start=1) if n and y >= eliminate[n]]
    return min(toxic, default=trial.n_doses + 1)


def test_plain_rule_agrees():
    rule = dsf.design_from_rule(plain_boin, choose=lambda trial: None, max_n=12)
    for truth in ([0.05, 0.15, 0.30], [0.3, 0.45, 0.6]):
        plain, ours = (dsf.lattice(design, n_doses=3).under([truth]) for design in (rule, dsf.BOIN(target=0.30, max_n=12)))
        for name in ("patients", "dlts", "sample_size"):
            np.testing.assert_allclose(plain[name], ours[name], rtol=0, atol=1e-14)


_LOWER_AND_SMALLER = ("cohort 2 was at level 1; the design recommended level 2", "cohort 2 had 2 patients; the design planned 3")


@pytest.mark.parametrize(
    ("settings", "outcomes", "says"),
    [
        ({}, "1NNN", "escalate to level 2, 3 patients: 0 DLTs in 3 patients at level 1, a rate of 0.0%, at most 23.6%"),
        (
            {},
            "1NNN 2TTT",
            "de-escalate to level 1, 3 patients: 3 DLTs in 3 patients at level 2, a rate of 100.0%, above 35.9%; "
            "level 2 and above are eliminated",
        ),
        (
            {},
            "1TTT",
            "stop, no MTD: 3 DLTs in 3 patients at level 1, a rate of 100.0%, above 35.9%; level 1 and above are eliminated: "
            "stopped for safety: the lowest dose exceeds the toxicity limit, so no dose is the MTD",
        ),
        ({"max_n": 6}, "1NNN 2NNN", "stop, MTD level 2: the maximum sample size is reached"),
    ],
)
def test_decisions_in_words(settings, outcomes, says):
    assert str(dsf.decide(dsf.BOIN(target=0.30, **settings), outcomes, n_doses=3)) == says


@pytest.mark.parametrize(
    ("settings", "outcomes", "deviations"),
    [
        ({}, "1NNN 2NNN 3NNT", ()),
        ({"cohort_size": (1, 2), "max_n": 4}, "1N 2NN 3N", ()),
        (
            {},
            "1TTT 1NNN 1NNN",
            (
                "the design would have stopped after cohort 1: "
                "stopped for safety: the lowest dose exceeds the toxicity limit, so no dose is the MTD",
            ),
        ),
        ({}, "1NNN 3NNN", ("cohort 2 was at level 3; the design recommended level 2",)),
        ({}, "1N 1NN", ("cohort 1 had 1 patient; the design planned 3", *_LOWER_AND_SMALLER)),
        ({"max_n": 5}, "1NNN 2NNN", ("cohort 2 brought the trial to 6 patients, above the maximum sample size of 5",)),
        ({"max_n": 6}, "1NNN 2NNN 3NNN", ("the design would have stopped after cohort 2: the maximum sample size is reached",)),
        ({"max_n_per_dose": 4}, "1NNT 1NNN", ("cohort 2 brought level 1 to 6 patients, above the maximum of 4 per dose",)),
    ],
)
def test_deviations_from_the_design_are_reported(settings, outcomes, deviations):
    step = dsf.decide(dsf.BOIN(target=0.30, **settings), outcomes, n_doses=3)
    assert tuple(map(str, step.deviations)) == deviations
    assert str(step).splitlines()[1:] == [f"  deviation: {words}" for words in deviations]


@pytest.mark.parametrize(
    ("settings", "outcomes", "level", "size"),
    [
        ({"max_n_per_dose": 6}, "1NNT", 1, 3),
        ({"max_n_per_dose": 6}, "1NNT 1NNT", None, 0),
        ({"max_n_per_dose": 4}, "1NNT", 1, 1),
        ({"max_n": 8}, "1NNN 2NNT", 2, 2),
        ({"max_n": 6}, "1NNN 2NNT", None, 0),
        ({"stop_n": 6}, "1NNT 1NN", 2, 3),
        ({"stop_n": 6}, "1NNT 1NNN", None, 0),
        ({"stop_n": 6, "stop_n_at": "chosen"}, "1NNT 1NNN", 2, 3),
        ({"stop_n": 6, "stop_n_at": "chosen"}, "1NNT 1NNN 2TTT", None, 0),
        ({"stop_n": 6, "stop_n_at": "stay"}, "1NNT 1NNN 2TTT", 1, 3),
        ({"stop_n": 6, "stop_n_at": "stay"}, "1NNT 1NNT", None, 0),
        ({"stop_n": 3, "stop_n_at": 2}, "1NNN", 2, 3),
        ({"stop_n": 3, "stop_n_at": 2}, "1NNN 2NNN", None, 0),
        ({"cohort_size": (1, 2, 3)}, "", 1, 1),
        ({"cohort_size": (1, 2, 3)}, "1N", 2, 2),
        ({"cohort_size": (1, 2, 3)}, "1N 2NN 3NNN", 3, 3),
    ],
)
def test_limits_that_all_designs_share(settings, outcomes, level, size):
    step = dsf.decide(dsf.BOIN(target=0.30, **settings), outcomes, n_doses=3)
    assert (step.level, step.size) == (level, size)


def test_default_overly_toxic_rate_must_be_a_rate():
    """It is 1.4 times the target."""
    assert dsf.BOIN(target=0.71).rates[1] == pytest.approx(0.994, abs=1e-12)
    with pytest.raises(dsf.InputError, match="p_tox"):
        dsf.BOIN(target=0.72)


def test_rules_say_where_the_boundaries_come_from():
    text = " ".join(dsf.BOIN(target=0.25, p_tox=0.4).rules())
    assert "subtherapeutic, p_saf = 0.15 (0.6 times the target), and the rate deemed overly toxic, p_tox = 0.4." in text
    assert "at a rate equal to the upper boundary, stay" in text
    assert "(DLTs + 0.05) / (patients + 0.1)" in text


def test_not_reached_where_the_top_dose_would_escalate():
    # 1 of 6 is below the boundary of .236, 2 of 6 is not; the top dose is named after both.
    named = dsf.BOIN(target=0.30).select(States.counts([[3, 3, 6], [3, 3, 6]], [[0, 0, 1], [0, 0, 2]]))
    assert named.dose.tolist() == [2, 2]
    assert named.not_reached.tolist() == [True, False]


# Faults that these tests must notice.

PROPOSE, CONCLUDE = (f"dosefind.designs.interval:IntervalDesign.{name}" for name in ("propose", "conclude"))
DECIDE = "dosefind.designs.base:Design.decide"


FAULTS = {
    "the boundaries change places": (
        "dosefind.designs.boin:BOIN.boundaries",
        lambda old: property(lambda self: old.fget(self)[::-1]),
        test_published_boundaries_and_tables,
    ),
    "the rate deemed too low is half the target": (
        "dosefind.designs.boin:BOIN.rates",
        lambda old: property(lambda self: (self.p_saf or self.target / 2, old.fget(self)[1])),
        test_published_boundaries_and_tables,
    ),
    "pooled estimates are not weighted": (
        "dosefind.isotonic:pool",
        lambda old: lambda values, weights, tried: old(values, np.ones_like(weights), tried),
        test_published_selections,
    ),
    "a dose is eliminated at 80%": (
        "dosefind.designs.interval:IntervalDesign.fewest_eliminated",
        setting(cutoff=0.8),
        test_peer_exact_values,
    ),
    "the 1 of 3 rule is not obeyed": (PROPOSE, setting(stay_at_1_of_3=False), test_at_target_025_agrees_with_the_protocols_rules),
    "the top dose is never exceeded by the MTD": (
        CONCLUDE,
        lambda old: lambda self, states: replace(old(self, states), not_reached=np.zeros(len(states), bool)),
        test_not_reached_where_the_top_dose_would_escalate,
    ),
    "patients at any dose stop the trial": (
        DECIDE,
        lambda old: (
            lambda self, states, beside=None: old(self.with_settings(stop_n_at="any") if self.stop_n else self, states, beside)
        ),
        test_limits_that_all_designs_share,
    ),
}

test_fault_is_caught = faults(FAULTS)
