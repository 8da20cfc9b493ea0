"""Counts in library calls: every public call refuses what cannot be patients and DLTs, and accepts every form of what can."""

import numpy as np
import pandas as pd
import pytest

import dosefind as dsf
from dosefind import InputError, States, plots
from dosefind._check import MOST_COUNTED, counts
from dosefind.designs.replay import departures, state_after
from dosefind.posterior.exact import ExactFit, ExactPosterior
from dosefind.posterior.mcmc import CompiledFit, Drawn, DrawnPosterior, NutsFit, NutsPosterior, NutsSettings
from dosefind.summaries import upper_limit
from dosefind.trial import COUNT, Cohort, check_cohorts

from .peers import ROOT

BOIN = dsf.BOIN(target=0.25, n_doses=3)
CURVE = dsf.Power(skeleton=(0.1, 0.2, 0.3))
EXACT = ExactFit(CURVE)
PROTOCOL = dsf.load_protocol(ROOT / "configs" / "nct05962762.toml")
TRIAL = dsf.TrialDoses(name="A", doses=(1.0, 3.0, 5.0))
HIERARCHICAL = dsf.HierarchicalLogistic(
    pooled="DLT",
    trials=(TRIAL,),
    reference=3.0,
    exchangeable=dsf.Exchangeable(mu=dsf.BivariateNormal(mean=(-2.0, 0.0), sd=(1.0, 1.0)), tau_scale=(0.5, 0.25), rho=0.0),
)
THETA = np.zeros((2, 10, 1))


def select(n, y):
    nothing = np.zeros(1, COUNT)
    return BOIN.select(States(n, y, nothing - 1, nothing, nothing, nothing, np.zeros((1, 0), COUNT)))


@pytest.fixture
def nuts(monkeypatch):
    """A fit whose sampler draws zeros, so that no model is compiled."""
    monkeypatch.setattr(CompiledFit, "__init__", lambda self, *_: setattr(self, "settings", NutsSettings()))
    monkeypatch.setattr(CompiledFit, "_drawn", lambda *_: Drawn({"z": THETA[..., 0]}, 0, {}))
    return NutsFit(CURVE)


# Calls that take the counts of one trial, and those that take a batch too.
ONE_TRIAL = {
    "BOIN.estimates": BOIN.estimates,
    "ExactPosterior": lambda n, y: ExactPosterior(EXACT, n, y),
    "ExactPosterior by name": lambda n, y: ExactPosterior(y=y, n=n, fit=EXACT),
    "DrawnPosterior": lambda n, y: DrawnPosterior(CURVE, n, y, THETA, 0, {}),
    "Curve.to_pymc": CURVE.to_pymc,
    "HierarchicalLogistic.tables": lambda n, y: HIERARCHICAL.tables({"A": (n, y)}),
}
BATCH = {"States.counts": States.counts}
COMPILED = {"NutsFit.sample": lambda fit, n, y: fit.sample(n, y, 1), "NutsPosterior": lambda fit, n, y: NutsPosterior(fit, n, y, 1)}

N, Y = [3, 3, 6], [0, 1, 2]
BAD = {
    "more DLTs than patients": (N, [0, 4, 2], "y"),
    "negative patients": ([3, -3, 6], Y, "n"),
    "negative DLTs": (N, [0, -1, 2], "y"),
    "fractional": (N, [0, 0.5, 2], "y"),
    "fractional array": (np.array([3.0, 3.0, 5.5]), Y, "n"),
    "NaN": ([3, float("nan"), 6], Y, "n"),
    "NaN array": (N, np.array([0, np.nan, 2]), "y"),
    "infinite": ([3, float("inf"), 6], Y, "n"),
    "beyond 16 bits": ([3, 65_539, 6], Y, "n"),
    "beyond 16 bits, array": (np.array([3, 65_539, 6]), Y, "n"),
    "beyond 64 bits": ([3, 2**64 + 3, 6], Y, "n"),
    "unsigned beyond 63 bits": (np.array([3, 2**64 - 1, 6], np.uint64), Y, "n"),
    "sum beyond 16 bits": ([20_000, 20_000, 20_000], Y, "n"),
    "text": (N, ["0", "1", "2"], "y"),
    "one text": ("336", "012", "n"),
    "text array": (np.array(["3", "3", "6"]), Y, "n"),
    "bytes": ([b"3", 3, 6], Y, "n"),
    "masked": (np.ma.array(N, mask=[0, 1, 0]), Y, "n"),
    "masked entry": (N, [0, np.ma.masked, 2], "y"),
    "complex": (np.array([3 + 1j, 3, 6]), Y, "n"),
    "complex without imaginary part": ([3 + 0j, 3, 6], Y, "n"),
    "None": (None, Y, "n"),
    "None among DLTs": (N, [0, None, 2], "y"),
    "pandas NA": (N, [0, pd.NA, 2], "y"),
    "pandas NA in a Series": (pd.Series([3, None, 6], dtype="Int64"), Y, "n"),
    "pandas NaT": ([3, pd.NaT, 6], Y, "n"),
    "boolean": (N, [False, True, 2], "y"),
    "boolean array": (N, np.array([False, True, True]), "y"),
    "boolean Series": (N, pd.Series([False, True, True]), "y"),
    "durations": (np.array(N, "timedelta64[D]"), Y, "n"),
    "scalar": (3, 0, "n"),
    "ragged": ([[3, 3], [6]], Y, "n"),
    "three dimensions": ([[N]], [[Y]], "n"),
    "no dose": ([], [], "n"),
    "a mapping": ({"1": 3}, Y, "n"),
    "unequal lengths": (N, [0, 1], "y"),
}


def refused(call, n, y, name):
    with pytest.raises(InputError) as caught:
        call(n, y)
    [problem] = caught.value.problems
    assert problem.where.split(".")[-1] == name
    assert problem.allowed


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("call", ONE_TRIAL | BATCH)
def test_bad_counts_are_refused_by_name(call, case):
    refused((ONE_TRIAL | BATCH)[call], *BAD[case])


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("call", COMPILED)
def test_bad_counts_are_refused_before_sampling(call, case, nuts):
    refused(lambda n, y: COMPILED[call](nuts, n, y), *BAD[case])


@pytest.mark.parametrize("call", ONE_TRIAL)
def test_one_trial_is_not_a_batch(call):
    refused(ONE_TRIAL[call], [N, N], [Y, Y], "n")


@pytest.mark.parametrize("call", sorted(set(ONE_TRIAL) - {"BOIN.estimates"}))
def test_number_of_doses_is_that_of_the_curve(call):
    refused(ONE_TRIAL[call], [3, 3], [0, 1], "n")


GOOD = {
    "lists": (N, Y),
    "tuples": (tuple(N), tuple(Y)),
    "int64": (np.array(N), np.array(Y)),
    "int16": (np.array(N, np.int16), np.array(Y, np.int8)),
    "unsigned": (np.array(N, np.uint8), np.array(Y, np.uint64)),
    "NumPy scalars": ([np.int64(one) for one in N], [np.int16(one) for one in Y]),
    "Series": (pd.Series(N), pd.Series(Y, index=[7, 8, 9])),
    "nullable Series": (pd.Series(N, dtype="Int64"), pd.Series(Y, dtype="UInt8")),
    "Series of objects": (pd.Series(N, dtype=object), pd.Series(Y, dtype=object)),
    "whole floats": ([3.0, 3, 6.0], np.array(Y, float)),
    "nothing masked": (np.ma.array(N), np.ma.array(Y, mask=[0, 0, 0])),
    "range": (N, range(3)),
}


@pytest.mark.parametrize("case", GOOD)
def test_good_counts_are_read_exactly(case):
    n, y = GOOD[case]
    states = States.counts(n, y)
    assert (states.n.tolist(), states.y.tolist()) == ([N], [Y])
    assert states.n.dtype == states.y.dtype == COUNT
    assert BOIN.estimates(n, y)[["patients", "dlts"]].to_numpy().T.tolist() == [N, Y]
    posterior = ExactPosterior(EXACT, n, y)
    assert (posterior.n.tolist(), posterior.y.tolist()) == (N, Y)
    assert posterior.log_evidence == ExactPosterior(EXACT, np.array(N), np.array(Y)).log_evidence
    assert DrawnPosterior(CURVE, n, y, THETA, 0, {}).y.tolist() == Y


@pytest.mark.parametrize("case", ["lists", "int64", "Series", "whole floats"])
def test_good_counts_are_sampled(case, nuts):
    assert NutsPosterior(nuts, *GOOD[case], 1).n.tolist() == N


def test_a_batch_of_states():
    assert States.counts([N, N], [Y, [0, 0, 0]]).n.tolist() == [N, N]
    assert States.counts(pd.DataFrame([N, N]), np.array([Y, Y])).y.tolist() == [Y, Y]
    assert len(States.counts(np.zeros((0, 3), int), np.zeros((0, 3), int))) == 0
    refused(States.counts, [N, N], [Y, [0, 4, 2]], "y")
    refused(States.counts, [N, N], [Y], "y")


def test_the_largest_counts_do_not_wrap():
    thirds = [MOST_COUNTED // 3] * 3
    assert States.counts(thirds, [0, 0, 0]).total == sum(thirds)
    # Room for the cohorts that a design may still add.
    assert np.iinfo(COUNT).max >= MOST_COUNTED + 1000
    assert counts(thirds, thirds)[1].sum() == sum(thirds)
    assert dsf.BOIN(target=0.25).select(States.counts(thirds, [0, 0, 0])).dose == 2


SHAPED = np.array([N], COUNT), np.array([Y], COUNT)
BAD_STATES = {
    "lists": ([N], [Y], "states.n"),
    "one dimension": (SHAPED[0][0], SHAPED[1][0], "states.n"),
    "floats": (SHAPED[0].astype(float), SHAPED[1], "states.n"),
    "booleans": (SHAPED[0], SHAPED[1] > 0, "states.y"),
    "more DLTs than patients": (SHAPED[0], SHAPED[0] + 1, "states.y"),
    "negative": (SHAPED[0], SHAPED[1] - 1, "states.y"),
    "None": (None, None, "states.n"),
}


@pytest.mark.parametrize("case", BAD_STATES)
def test_selection_refuses_states_that_no_trial_has(case):
    n, y, where = BAD_STATES[case]
    with pytest.raises(InputError) as caught:
        select(n, y)
    assert caught.value.problems[0].where == where


@pytest.mark.parametrize("ask", [BOIN.select, BOIN.decide])
@pytest.mark.parametrize("states", [None, (N, Y), np.array([N])])
def test_designs_take_states_alone(ask, states):
    with pytest.raises(InputError) as caught:
        ask(states)
    assert caught.value.problems[0].where == "states"


BAD_COHORTS = {
    "more DLTs than patients": (Cohort(1, 3, 4), "dlts of cohort 1"),
    "negative patients": (Cohort(1, -3, 0), "n of cohort 1"),
    "nobody": (Cohort(1, 0, 0), "n of cohort 1"),
    "negative DLTs": (Cohort(1, 3, -1), "dlts of cohort 1"),
    "fractional": (Cohort(1, 3, 0.5), "dlts of cohort 1"),
    "NaN": (Cohort(1, float("nan"), 0), "n of cohort 1"),
    "overflowing": (Cohort(1, 65_539, 0), "n of cohort 1"),
    "text": (Cohort(1, "3", 0), "n of cohort 1"),
    "text level": (Cohort("1", 3, 0), "level of cohort 1"),
    "masked": (Cohort(1, 3, np.ma.masked), "dlts of cohort 1"),
    "complex": (Cohort(1, 3, 0j), "dlts of cohort 1"),
    "complex level": (Cohort(1 + 0j, 3, 0), "level of cohort 1"),
    "None": (Cohort(1, 3, None), "dlts of cohort 1"),
    "no level": (Cohort(None, 3, 0), "level of cohort 1"),
    "pandas NA": (Cohort(1, pd.NA, 0), "n of cohort 1"),
    "pandas NA level": (Cohort(pd.NA, 3, 0), "level of cohort 1"),
    "boolean": (Cohort(1, 3, True), "dlts of cohort 1"),
    "boolean level": (Cohort(True, 3, 0), "level of cohort 1"),
    "array": (Cohort(1, np.array([3, 3]), 0), "n of cohort 1"),
}
# 33,000 patients: more than 16 bits hold.
TOO_MANY = [Cohort(1, 1000, 0)] * 33
BY_COHORTS = {
    "decide": lambda cohorts: dsf.decide(BOIN, cohorts),
    "decide without the number of doses": lambda cohorts: dsf.decide(dsf.ThreePlusThree(), cohorts),
    "analyze": lambda cohorts: dsf.analyze(PROTOCOL, cohorts),
    "sensitivity": lambda cohorts: dsf.sensitivity(PROTOCOL, cohorts),
    "analyze with borrowing": lambda cohorts: dsf.analyze(PROTOCOL, "", borrow={"NCT05948982": cohorts}),
    "state_after": lambda cohorts: state_after(BOIN, cohorts, 3),
    "departures": lambda cohorts: departures(BOIN, cohorts, 3),
    "plots.trial": plots.trial,
}


@pytest.mark.parametrize("case", [*BAD_COHORTS, "sum"])
@pytest.mark.parametrize("call", BY_COHORTS)
def test_bad_cohorts_are_refused_by_name(call, case):
    cohort, where = BAD_COHORTS.get(case, (None, "patients in total"))
    with pytest.raises(InputError) as caught:
        BY_COHORTS[call](TOO_MANY if cohort is None else [cohort])
    place = "borrow.NCT05948982: " if "borrowing" in call else ""
    assert [problem.where for problem in caught.value.problems] == [place + where]


@pytest.mark.parametrize("as_given", [float, np.int64, np.float32])
def test_cohorts_of_whole_numbers_of_any_kind(as_given):
    given = [Cohort(1, as_given(3), as_given(0)), Cohort(np.int64(2), as_given(3), as_given(1))]
    plain = [Cohort(1, 3, 0), Cohort(2, 3, 1)]
    assert all(type(value) is int for cohort in check_cohorts(given) for value in cohort)
    assert dsf.decide(BOIN, given) == dsf.decide(BOIN, plain) == dsf.decide(BOIN, "1NNN 2NNT")
    assert dsf.analyze(PROTOCOL, given).summary.attrs["outcomes"] == "1NNN 2NNT"


def test_a_subclass_of_its_own_is_checked_too():
    class Mine(ExactPosterior):
        def __init__(self, n, y):
            super().__init__(EXACT, n, y)

    refused(Mine, [3, 3, 3], [0, 4, 0], "y")
    refused(Mine, N, [0, 1], "y")
    assert Mine(N, Y).n.tolist() == N


TAKE_N_DOSES = {
    "state_after": lambda n_doses: state_after(BOIN, [], n_doses),
    "simulate": lambda n_doses: dsf.simulate(BOIN, [[0.1, 0.2, 0.3]], n_doses=n_doses, n_trials=10),
    "lattice": lambda n_doses: dsf.lattice(BOIN, n_doses=n_doses, max_n=6),
    "decide": lambda n_doses: dsf.decide(BOIN, "1NNN", n_doses=n_doses),
}


@pytest.mark.parametrize("bad", [-1, 0, 1.5, float("nan"), "3", True, 3 + 0j, np.ma.masked, pd.NA, [3], 100])
@pytest.mark.parametrize("call", TAKE_N_DOSES)
def test_number_of_doses_is_checked(call, bad):
    with pytest.raises(InputError) as caught:
        TAKE_N_DOSES[call](bad)
    assert caught.value.problems[0].where == "n_doses"


@pytest.mark.parametrize("bad", [-1, 1.5, float("nan"), 2**40, "3", None, True, 3 + 0j, np.ma.masked, pd.NA, [[3], [3, 3]]])
def test_upper_limit_refuses_bad_counts(bad):
    refused(upper_limit, bad, 0, "n")
    refused(upper_limit, 3, bad, "y")


def test_upper_limit_broadcasts():
    assert upper_limit(3, 0) == upper_limit(3.0, [0])[0]
    assert upper_limit(np.array([3, 6]), 0).shape == (2,)
    refused(upper_limit, [3, 6], [1, 1, 1], "y")
    refused(upper_limit, [3, 6], 4, "y")
