"""Counts of any kind and size give the right answer or one clear error: none is read modulo 65,536, cut off or guessed."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest

import dosefind as dsf
from dosefind import monitoring
from dosefind._check import MOST_COUNTED
from dosefind.designs.replay import departures, state_after
from dosefind.protocol import PocockBoundary
from dosefind.summaries import upper_limit
from dosefind.tasks.steps import next_step
from dosefind.trial import Cohort, States

BOIN = dsf.BOIN(target=0.3, n_doses=2)
CRM = dsf.CRM(target=0.3, skeleton=(0.1, 0.3))
CONFIG = "configs/nct05962762.toml"

NO_COUNTS = {
    "fraction": [3.9, 3],
    "text": ["3", "3"],
    "bytes": [b"3", 3],
    "masked": np.ma.array([3, 3], mask=[False, True]),
    "two rows": [[3, 3], [3, 3]],
    "three axes": np.zeros((1, 1, 2), int),
    "complex": [3 + 0j, 3],
    "dates": [date(2024, 1, 1)] * 2,
    "days": np.array([3, 3], "m8[D]"),
    "NaN": [float("nan"), 3],
    "infinite": [float("inf"), 3],
    "none": [None, 3],
    "pandas missing": pd.array([pd.NA, 3], dtype="Int64"),
    "boolean": [True, 3],
    "booleans": np.array([True, True]),
    "65542 of 32 bits": np.array([65542, 3], np.int32),
    "65539": [65539, 0],
    "32768": [32768, 0],
    "huge": [10**30, 3],
    "largest unsigned": np.array([2**64 - 1, 3], np.uint64),
    "negative": [-1, 3],
    "ragged": [[3], [3, 3]],
    "mapping": {"a": 3},
    "number": 3,
    "nothing": None,
    "empty": [],
    "set": {3, 4},
    "one text": "33",
    "too many in total": [MOST_COUNTED, 1],
}


@pytest.mark.parametrize("values", NO_COUNTS.values(), ids=NO_COUNTS)
@pytest.mark.parametrize("call", [BOIN.estimates, States.counts], ids=["estimates", "States.counts"])
def test_other_values_than_counts_are_rejected(call, values):
    if call == States.counts and values is NO_COUNTS["two rows"]:
        return  # a batch of two trials, of which y has one
    with pytest.raises(dsf.InputError, match=r"^[ny] = "):
        call(values, [0, 0])


@pytest.mark.parametrize("kind", ["fraction", "text", "complex", "NaN", "none", "boolean", "65539", "huge", "negative"])
def test_upper_limit_rejects_other_values_than_counts(kind):
    with pytest.raises(dsf.InputError):
        upper_limit(NO_COUNTS[kind], [0, 0])


@pytest.mark.parametrize(
    "kind", [int, np.int8, np.uint8, np.int64, np.uint64, float, np.float16, object], ids=lambda kind: kind.__name__
)
def test_every_kind_of_whole_numbers_is_read(kind):
    assert BOIN.estimates(np.array([3, 6], kind), np.array([0, 2], kind)).equals(BOIN.estimates([3, 6], [0, 2]))


def test_the_most_patients_are_counted_right():
    found = BOIN.estimates([MOST_COUNTED - 3, 3], [3000, 0])
    assert found["patients"].tolist() == [MOST_COUNTED - 3, 3]
    assert States.counts([MOST_COUNTED, 0], [0, 0]).total.tolist() == [MOST_COUNTED]


COHORTS = {
    "fraction": Cohort(1, 3.9, 0),
    "text": Cohort(1, "3", 0),
    "NaN": Cohort(1, float("nan"), 0),
    "none": Cohort(1, None, 0),
    "boolean": Cohort(1, True, 0),
    "complex": Cohort(1, 3 + 0j, 0),
    "date": Cohort(1, date(2024, 1, 1), 0),
    "pandas missing": Cohort(1, pd.NA, 0),
    "huge": Cohort(1, 10**30, 0),
    "65539": Cohort(1, 65539, 65536),
    "65542 of 32 bits": Cohort(1, np.int32(65542), 0),
    "negative": Cohort(1, -3, 0),
    "array": Cohort(1, np.array([3, 3]), 0),
    "more DLTs": Cohort(1, 3, 4),
    "DLTs as text": Cohort(1, 3, "0"),
    "no level": Cohort(None, 3, 0),
    "level as fraction": Cohort(1.5, 3, 0),
    "level as text": Cohort("1", 3, 0),
    "huge level": Cohort(10**30, 3, 0),
    "level 65537": Cohort(65537, 3, 0),
    "level 0": Cohort(0, 3, 0),
}
CALLS = {
    "decide": lambda cohorts: dsf.decide(BOIN, cohorts),
    "decide by the CRM": lambda cohorts: dsf.decide(CRM, cohorts),
    "analyze": lambda cohorts: dsf.analyze(dsf.load_protocol(CONFIG), cohorts),
    "analyze, beside": lambda cohorts: dsf.analyze(dsf.load_protocol(CONFIG), "1NNN", others=cohorts),
    "sensitivity": lambda cohorts: dsf.sensitivity(dsf.load_protocol(CONFIG), cohorts),
    "sensitivity, beside": lambda cohorts: dsf.sensitivity(dsf.load_protocol(CONFIG), "1NNN", others=cohorts),
    "state_after": lambda cohorts: state_after(BOIN, cohorts, 2),
    "departures": lambda cohorts: departures(BOIN, cohorts, 2),
}


@pytest.mark.parametrize("cohort", COHORTS.values(), ids=COHORTS)
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_cohort_of_no_counts_is_refused(call, cohort):
    with pytest.raises(dsf.InputError):
        call([cohort])


@pytest.mark.parametrize("call", [CALLS["decide"], CALLS["state_after"], CALLS["analyze"], CALLS["analyze, beside"]])
@pytest.mark.parametrize("cohorts", [33, 40, 66])
def test_more_patients_than_a_trial_can_have_are_refused(call, cohorts):
    with pytest.raises(dsf.InputError, match=str(MOST_COUNTED)):
        call([Cohort(1, 1000, 0)] * cohorts)


@pytest.mark.parametrize("n", [MOST_COUNTED + 1, 32767, 32768, 65539, 2**31, -1])
def test_states_made_by_hand_are_checked(n):
    state = replace(States.counts([3, 0], [0, 0]), n=np.array([[n, 0]], np.int64))
    for call in (BOIN.decide, BOIN.select, CRM.decide, CRM.select):
        with pytest.raises(dsf.InputError, match=r"states\.n"):
            call(state)


@pytest.mark.slow
def test_counts_beside_the_escalation_are_added_right_or_refused():
    step = next_step(BOIN, [Cohort(1, 3, 0)], 2, [Cohort(1, 20_000, 0)])
    assert step.level == 2
    for others in ([Cohort(1, MOST_COUNTED, 0)], [Cohort(1, 20_000, 0), Cohort(2, 20_000, 0)], [Cohort(1, 65_539, 0)]):
        with pytest.raises(dsf.InputError, match=str(MOST_COUNTED)):
            next_step(BOIN, [Cohort(1, 3, 0)], 2, others)


@pytest.mark.slow
@pytest.mark.parametrize("max_n", [10**30, 65537, 2.5, "30", None, True, -1, 0, float("nan")])
def test_sizes_out_of_range_are_refused(max_n):
    rule = PocockBoundary(kind="pocock", rate=0.1)
    for call in (lambda: monitoring.boundary(rule, max_n), lambda: BOIN.table(max_n=max_n)):
        with pytest.raises(dsf.InputError, match="max_n"):
            call()
    with pytest.raises(dsf.InputError):
        dsf.lattice(BOIN, max_n=max_n) if max_n is not None else dsf.lattice(BOIN)


def test_the_data_of_too_many_patients_are_refused(tmp_path):
    """40,000 patients were an index out of range."""
    day = date(2024, 1, 1)
    rows = "".join(f"S{number},1,{day},{date(2024, 2, 1)},no\n" for number in range(MOST_COUNTED + 1))
    path = tmp_path / "patients.csv"
    path.write_text("subject,level,infusion_1,last_contact,dlt\n" + rows)
    with pytest.raises(dsf.InputError, match=r"patients\.csv.*30,001.*30,000"):
        dsf.read_patients(path, dsf.load_protocol(CONFIG))


DURATIONS = {
    "days": np.timedelta64(3, "D"),
    "nanoseconds": np.timedelta64(3, "ns"),
    "a date": np.datetime64(3, "ns"),
    "bytes": b"3",
    "a bytearray": bytearray(b"\x03"),
    "a text": "3",
    "a duration of pandas": pd.Timedelta(3),
}
TAKE_NUMBERS = {
    "a level": lambda value: dsf.decide(BOIN, [Cohort(value, 3, 0)]),
    "patients": lambda value: dsf.decide(BOIN, [Cohort(1, value, 0)]),
    "DLTs": lambda value: dsf.decide(BOIN, [Cohort(1, 3, value)]),
    "doses": lambda value: dsf.lattice(dsf.BOIN(target=0.3, max_n=6), n_doses=value),
    "a cohort's size": lambda value: dsf.lattice(BOIN, cohort_size=value, max_n=6),
    "the largest sample": lambda value: dsf.lattice(BOIN, max_n=value),
    "trials": lambda value: dsf.simulate(dsf.BOIN(target=0.3, max_n=6), [[0.1, 0.3]], n_trials=value),
    "a seed": lambda value: dsf.simulate(dsf.BOIN(target=0.3, max_n=6), [[0.1, 0.3]], n_trials=10, seed=value),
    "a setting": lambda value: dsf.BOIN(target=0.3, max_n_per_dose=value),
    "a target": lambda value: dsf.BOIN(target=value),
    "a probability": lambda value: dsf.BOIN(target=0.3, cutoff=value),
    "true rates": lambda value: dsf.lattice(BOIN, max_n=6).under([[0.1, value]]),
    "a limit": lambda value: dsf.lattice(BOIN, max_n=6).under([[0.1, 0.2]], overdose_limit=value),
    "a rule's answer": lambda value: dsf.lattice(
        dsf.design_from_rule(lambda trial: value, choose=lambda trial: 1, cohort_size=3, max_n=6), n_doses=3
    ),
}


@pytest.mark.parametrize("value", DURATIONS.values(), ids=DURATIONS)
@pytest.mark.parametrize("call", TAKE_NUMBERS.values(), ids=TAKE_NUMBERS)
def test_durations_dates_and_bytes_are_no_numbers(call, value):
    """NumPy's durations are integers by their class, bytes a sequence of integers."""
    with pytest.raises(dsf.InputError):
        call(value)


NO_RATES = {
    "text": [["0.1", "0.3"]],
    "masked": np.ma.array([[0.1, 0.3]], mask=[[False, True]]),
    "booleans": [[False, True]],
    "booleans among objects": np.array([[False, 1]], object),
    "durations": np.array([[0, 1]], "m8[D]"),
    "dates": np.array([[0, 1]], "M8[D]"),
    "complex": [[0.1, 0.3 + 0j]],
    "none": [[0.1, None]],
    "pandas missing": [[0.1, pd.NA]],
    "ragged": [[0.1], [0.1, 0.3]],
    "three axes": np.full((1, 1, 2), 0.1),
    "empty": [],
    "a set": {0.1, 0.3},
}


@pytest.mark.parametrize("rates", NO_RATES.values(), ids=NO_RATES)
def test_what_are_no_rates_is_refused(rates):
    walked = dsf.lattice(BOIN, max_n=6)
    for call in (walked.under, walked.probabilities, lambda given: dsf.simulate(BOIN.with_settings(max_n=6), given, n_trials=10)):
        with pytest.raises(dsf.InputError):
            call(rates)


@pytest.mark.parametrize(
    "rates",
    [
        [[0.25, 0.5]],
        (0.25, 0.5),
        np.array([0.25, 0.5], np.float32),
        np.array([[0.25, 0.5]], object),
        pd.DataFrame([[0.25, 0.5]]),
        [[np.float64(0.25), np.float16(0.5)]],
        np.ma.array([[0.25, 0.5]], mask=False),
    ],
    ids=["lists", "one row", "single precision", "objects", "a frame", "scalars of NumPy", "nothing masked"],
)
def test_rates_of_any_kind_of_number(rates):
    walked = dsf.lattice(BOIN, max_n=6)
    np.testing.assert_array_equal(walked.probabilities(rates), walked.probabilities([[0.25, 0.5]]))
