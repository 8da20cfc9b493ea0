"""Endpoints: scores against published values, survival with competing events, windows and baselines."""

import numpy as np
import pytest
from scipy.stats import CensoredData, ecdf

import dosefind as dsf
from dosefind.endpoints import (
    Record,
    aalen_johansen,
    asas,
    assign,
    baseline,
    child_pugh,
    cldq,
    eq5d5l_china,
    kaplan_meier,
    meld,
    meld_3,
    meld_na,
    midpoint_windows,
)
from dosefind.endpoints.scores import CLDQ, implausible

from . import peers

KNOWN = {item["id"]: item for item in peers.published("endpoints")["items"]}
SI = {"bilirubin_unit": "umol/L", "creatinine_unit": "umol/L"}
US = {"bilirubin_unit": "mg/dL", "creatinine_unit": "mg/dL"}
RECORD = {"day 28": 28, "day 56": 56, "week 12": 85, "week 20": 141, "week 32": 225, "week 56": 393}


def test_meld_of_its_reference():
    """To the three decimals of the reference."""
    given, known = KNOWN["meld_transplantr"]["inputs"], KNOWN["meld_transplantr"]["expected"]
    found = meld(given["bili_umol"], given["inr"], given["cr_umol"], etiology=given["etiology"], **SI)
    assert float(found) == pytest.approx(known["meld"], abs=5e-4)
    for row in KNOWN["meld_computed"]["rows"]:
        if "bili_mgdl" in row:
            assert float(meld(row["bili_mgdl"], row["inr"], row["cr_mgdl"], **US)) == pytest.approx(row["meld"], abs=1e-9)


def test_meld_na_by_authors():
    """Kim's to the three decimals of the reference; Biggins' and UNOS' by hand (1e-9)."""
    given, known = KNOWN["meld_na_kim2008"]["inputs"], KNOWN["meld_na_kim2008"]["expected"]
    score = meld(given["bili_mgdl"], given["inr"], given["cr_mgdl"], **US)
    assert float(meld_na(score, given["na"], "kim-2008")) == pytest.approx(known["meld_na"], abs=5e-4)
    assert float(meld_na(20.0, 130, "biggins-2006")) == pytest.approx(20 + 1.59 * 5, abs=1e-9)
    assert float(meld_na(20.0, 130, "unos-2016")) == pytest.approx(20 + 1.32 * 7 - 0.033 * 20 * 7, abs=1e-9)
    assert float(meld_na(11.0, 125, "unos-2016")) == 11.0
    formulas = ("kim-2008", "biggins-2006", "unos-2016")
    assert np.ptp([float(meld_na(20.0, 125, formula)) for formula in formulas]) > 3
    for formula, low, high in (("kim-2008", 125, 140), ("biggins-2006", 120, 135), ("unos-2016", 125, 137)):
        assert float(meld_na(20.0, 100, formula)) == float(meld_na(20.0, low, formula))
        assert float(meld_na(20.0, 160, formula)) == float(meld_na(20.0, high, formula)) == pytest.approx(20)


def test_bounds_of_meld():
    assert float(meld(5, 0.8, 40, bounded=True, **SI)) == 6.0
    assert float(meld(0.2, 0.8, 0.4, bounded=True, **US)) == 6.0
    assert float(meld(5, 0.8, 40, **SI)) < 0
    assert float(meld(2.3, 2.0, 1.0, dialysis=True, bounded=True, **US)) == 31.0
    assert float(meld(40, 8.0, 9.0, bounded=True, **US)) == 40.0
    assert float(meld(2.0, 1.5, 1.2, etiology=0, **US)) == pytest.approx(float(meld(2.0, 1.5, 1.2, **US)) - 6.43, abs=1e-12)


def test_meld_3_written_out():
    """The sum once more, term by term in base-10 logarithms, for random patients; rounded values, so equal."""
    rng = np.random.default_rng(1)
    ten = np.log(10)
    for _patient in range(200):
        bili, inr, cr = rng.uniform(0.3, 20), rng.uniform(0.8, 4), rng.uniform(0.4, 6)
        na, alb, female = rng.uniform(115, 145), rng.uniform(1, 5), bool(rng.random() < 0.5)
        b, i, c = max(bili, 1), max(inr, 1), min(max(cr, 1), 3)
        n, a = 137 - min(max(na, 125), 137), 3.5 - min(max(alb, 1.5), 3.5)
        total = 6 + (1.33 if female else 0) + 4.56 * ten * np.log10(b) + 0.82 * n - 0.24 * n * ten * np.log10(b)
        total += 9.09 * ten * np.log10(i) + 11.14 * ten * np.log10(c) + 1.85 * a - 1.83 * a * ten * np.log10(c)
        found = float(meld_3(bili, inr, cr, na, 10 * alb, female=female, albumin_unit="g/L", **US))
        assert found == min(max(round(total), 6), 40) or abs(total % 1 - 0.5) < 1e-9


def test_units_give_the_same_score():
    """17.1 and 88.4 umol/L a mg/dL, as in the record."""
    assert float(meld(17.1 * 3, 1.7, 88.4 * 1.5, **SI)) == pytest.approx(float(meld(3, 1.7, 1.5, **US)), abs=1e-12)
    assert implausible("bilirubin", 3.0, "umol/L") == "mg/dL"
    assert implausible("creatinine", 130.0, "mg/dL") == "umol/L"
    assert implausible("bilirubin", 40.0, "umol/L") == implausible("creatinine", 1.2, "mg/dL") == ""


@pytest.mark.parametrize(
    ("measured", "points", "grade"),
    [
        ({"bilirubin": 33.9, "albumin": 35.1, "inr": 1.69, "ascites": 0, "encephalopathy": 0}, 5, "A"),
        ({"bilirubin": 34, "albumin": 35, "inr": 1.7, "ascites": 1, "encephalopathy": 1}, 10, "C"),
        ({"bilirubin": 51, "albumin": 28, "inr": 2.3, "ascites": 1, "encephalopathy": 2}, 10, "C"),
        ({"bilirubin": 51.1, "albumin": 27.9, "inr": 2.31, "ascites": 2, "encephalopathy": 3}, 15, "C"),
        ({"bilirubin": 40, "albumin": 36, "inr": 1.0, "ascites": 0, "encephalopathy": 0}, 6, "A"),
        ({"bilirubin": 40, "albumin": 30, "inr": 1.0, "ascites": 0, "encephalopathy": 0}, 7, "B"),
    ],
)
def test_child_pugh_at_its_cut_offs(measured, points, grade):
    found = child_pugh(**measured, bilirubin_unit="umol/L", albumin_unit="g/L")
    assert (float(found[0]), str(found[1])) == (points, grade)


def test_child_pugh_with_other_cut_offs_and_units():
    same = {"ascites": 0, "encephalopathy": 0, "albumin_unit": "g/L"}
    assert float(child_pugh(3.0, 29, bilirubin_unit="mg/dL", inr=1.0, **same)[0]) == 5 + 1 + 1
    other = child_pugh(3.0, 29, bilirubin_unit="mg/dL", inr=1.0, cutoffs={"albumin g/L": (35, 30)}, **same)
    assert float(other[0]) == 5 + 1 + 2
    assert float(child_pugh(1.0, 40, bilirubin_unit="mg/dL", pt_prolonged=5, **same)[0]) == 6
    missing = child_pugh([1.0, np.nan], 40, bilirubin_unit="mg/dL", inr=1.0, **same)
    assert np.isnan(missing[0]).tolist() == [False, True]
    assert missing[1].tolist() == ["A", ""]


def test_eq5d5l_of_its_reference():
    """To the three decimals of the value set."""
    given, known = KNOWN["eq5d5l_china"]["inputs"], KNOWN["eq5d5l_china"]["expected"]
    np.testing.assert_allclose(eq5d5l_china(given["states"]), known["index"], atol=5e-4)


def test_cldq_domains():
    known = KNOWN["cldq_domains"]["expected"]
    assert {name: list(items) for name, items in CLDQ.items()} == {name: known[name] for name in CLDQ}
    assert sorted(item for items in CLDQ.values() for item in items) == list(range(1, 30))
    answers = np.random.default_rng(2).integers(1, 8, 29).astype(float)
    found = cldq(answers)
    domains = [np.mean([answers[item - 1] for item in items]) for items in CLDQ.values()]
    assert float(found["overall"]) == pytest.approx(np.mean(domains), abs=1e-12)
    assert float(found["sum"]) == answers.sum()
    answers[0] = np.nan
    missing = cldq(answers)
    assert np.isnan(missing["abdominal"])
    assert np.isnan(missing["sum"])
    assert float(cldq(answers, least_answered=0.5)["abdominal"]) == pytest.approx(answers[[4, 16]].mean())


def test_asas_responses():
    assert bool(asas([5, 5, 5, 5], [4, 4, 4, 5.9], 20))
    assert not bool(asas([5, 5, 5, 5], [4, 4, 4, 6], 20))
    assert not bool(asas([4, 4, 4, 4], [3.1, 3.1, 3.1, 4], 20))
    assert bool(asas([5, 5, 5, 5], [3, 3, 3, 5], 40))
    assert not bool(asas([5, 5, 5, 5], [3, 3, 3, 5.1], 40))
    assert np.isnan(asas([5, 5, 5, np.nan], [3, 3, 3, 5], 20))


@pytest.mark.parametrize(
    ("call", "where"),
    [
        (lambda: meld(0, 1.2, 80, **SI), "bilirubin"),
        (lambda: meld(20, -1, 80, **SI), "inr"),
        (lambda: meld(20, 1.2, np.inf, **SI), "creatinine"),
        (lambda: meld(20, 1.2, 80, bilirubin_unit="mmol/L", creatinine_unit="umol/L"), "bilirubin_unit"),
        (lambda: meld(20, 1.2, 80, etiology=2, **SI), "etiology"),
        (lambda: meld("high", 1.2, 80, **SI), "bilirubin"),
        (lambda: meld_na(20, 130, "transplantr"), "formula"),
        (lambda: child_pugh(20, 30, bilirubin_unit="umol/L", albumin_unit="g/L", ascites=0, encephalopathy=0), "inr"),
        (lambda: child_pugh(20, 30, bilirubin_unit="umol/L", albumin_unit="g/L", ascites=4, encephalopathy=0, inr=1), "ascites"),
        (lambda: child_pugh(20, 30, bilirubin_unit="umol/L", albumin_unit="g/L", ascites=0, encephalopathy=1.5, inr=1), "enceph"),
        (lambda: eq5d5l_china("11116"), "states"),
        (lambda: eq5d5l_china(["1111"]), "states"),
        (lambda: cldq([0] * 29), "items"),
        (lambda: cldq([3] * 28), "items"),
        (lambda: asas([5, 5, 5], [4, 4, 4], 20), "before"),
        (lambda: asas([5, 5, 5, 11], [4, 4, 4, 4], 20), "before"),
        (lambda: asas([5, 5, 5, 5], [4, 4, 4, 4], 50), "share"),
        (lambda: kaplan_meier([1, np.nan], [True, False]), "days"),
        (lambda: kaplan_meier([1, 2], [True]), "event"),
        (lambda: aalen_johansen([1, 2], ["death"]), "cause"),
        (lambda: midpoint_windows({"a": 56, "b": 28}, 2, 90), "targets"),
        (lambda: midpoint_windows({"a": 28}, 30, 90), "targets"),
        (lambda: baseline([Record(0, 1.0)]), "day"),
        (lambda: baseline([Record(1, 1.0, "after")]), "time_point"),  # pyright: ignore[reportArgumentType]
    ],
)
def test_what_cannot_be_is_refused_by_name(call, where):
    with pytest.raises(dsf.InputError) as found:
        call()
    assert where in str(found.value)


def test_kaplan_meier_of_textbook_data():
    """Survival to 1e-12 as stated; limits equal SciPy's."""
    given, known = KNOWN["km_6mp"]["inputs"], KNOWN["km_6mp"]["expected"]
    times, event = np.array(given["times"], float), np.array(given["event"], bool)
    found = kaplan_meier(times, event)
    np.testing.assert_array_equal(found.days, known["at"])
    np.testing.assert_allclose(found.probability, known["survival"], atol=1e-12)
    curve = ecdf(CensoredData(uncensored=times[event], right=times[~event])).sf
    limits = curve.confidence_interval(method="log-log")
    place = np.searchsorted(curve.quantiles, found.days)
    np.testing.assert_allclose(found.low, limits.low.probabilities[place], atol=1e-12)
    np.testing.assert_allclose(found.high, limits.high.probabilities[place], atol=1e-12)
    assert found.at(5)[0] == 1.0
    assert found.at(10)[0] == pytest.approx(known["survival"][2], abs=1e-12)


def test_incidence_without_competing_events_is_kaplan_meier():
    """Its complement, with Greenwood's error written out (1e-12); the reference's third error has a slip of 2e-8."""
    given, known = KNOWN["km_6mp"]["inputs"], KNOWN["km_6mp"]["expected"]
    found = aalen_johansen(given["times"], ["relapse" if event else None for event in given["event"]])
    np.testing.assert_allclose(found.by_cause["relapse"], 1 - np.array(known["survival"]), atol=1e-12)
    times, event = np.array(given["times"]), np.array(given["event"], bool)
    risk = np.array([(times >= day).sum() for day in known["at"]])
    dead = np.array([(event & (times == day)).sum() for day in known["at"]])
    greenwood = np.array(known["survival"]) * np.sqrt(np.cumsum(dead / (risk * (risk - dead))))
    np.testing.assert_allclose(found.error["relapse"], greenwood, atol=1e-12)
    np.testing.assert_allclose(found.error["relapse"], known["greenwood_se"], atol=3e-8)


def test_competing_events_are_not_censored():
    """All incidences and survival of any event add up to 1; 1 - Kaplan-Meier with the others censored is never less."""
    rng = np.random.default_rng(4)
    for _trial in range(20):
        days = rng.integers(1, 40, 18).astype(float)
        cause = [(None, "death", "transplant")[k] for k in rng.integers(0, 3, 18)]
        found = aalen_johansen(days, cause)
        whole = kaplan_meier(days, [one is not None for one in cause])
        np.testing.assert_allclose(sum(found.by_cause.values()) + whole.probability, 1, atol=1e-12)
        for name, incidence in found.by_cause.items():
            censored = kaplan_meier(days, [one == name for one in cause])
            for day, value in zip(found.days, incidence, strict=True):
                assert value <= 1 - censored.at(day)[0] + 1e-12


def test_error_of_incidence_is_that_of_repeated_trials():
    """The mean of the stated variances and the variance of 4,000 simulated estimates, within 15%: uncensored, so binomial."""
    rng = np.random.default_rng(6)
    estimates, variances = [], []
    for _trial in range(4000):
        days = rng.exponential(30, 18)
        cause = np.where(rng.random(18) < 0.4, "transplant", "death")
        found = aalen_johansen(days, list(cause))
        place = int(np.searchsorted(found.days, 20.0, side="right")) - 1
        estimates.append(found.by_cause.get("transplant", np.zeros(18))[place] if place >= 0 else 0.0)
        variances.append(found.error["transplant"][place] ** 2 if place >= 0 and "transplant" in found.error else 0.0)
    assert np.mean(variances) == pytest.approx(np.var(estimates), rel=0.15)


def test_windows_of_the_record():
    windows = {visit.name: (visit.first, visit.last) for visit in midpoint_windows(RECORD, 2, 420)}
    assert list(windows.values()) == [(2, 42), (43, 70), (71, 113), (114, 183), (184, 309), (310, 420)]


INFUSIONS = (1, 29, 57)
VISITS = midpoint_windows(RECORD, 2, 420, INFUSIONS)


@pytest.mark.parametrize(
    ("records", "analysed"),
    [
        ([Record(28, 1.0)], {"day 28": 0}),
        ([Record(29, 1.0, "pre")], {"day 28": 0}),
        ([Record(29, 1.0, "post")], {}),
        ([Record(29, 1.0)], {}),
        ([Record(33, 1.0)], {}),
        ([Record(57, 1.0, "post")], {}),
        ([Record(57, 1.0, "pre"), Record(55, 2.0)], {"day 56": 0}),
        ([Record(27, 1.0), Record(28, 2.0), Record(28, 3.0)], {"day 28": 2}),
        ([Record(84, 1.0), Record(86, 2.0)], {"week 12": 1}),
        ([Record(86, 2.0), Record(84, 1.0)], {"week 12": 0}),
        ([Record(1, 1.0, "pre"), Record(-1, 2.0), Record(421, 3.0)], {}),
        ([Record(113, 1.0), Record(114, 2.0)], {"week 12": 0, "week 20": 1}),
    ],
)
def test_records_of_visits(records, analysed):
    found, others = assign(records, VISITS, INFUSIONS)
    assert found == analysed
    # No record is lost.
    assert {*found.values(), *others} == set(range(len(records)))
    assert not {*found.values()} & {*others}


def test_sample_before_the_first_infusion_is_of_no_visit():
    """Also where the window of a visit begins on day 1."""
    first = midpoint_windows({"day 3": 3}, 1, 10, INFUSIONS)
    assert assign([Record(1, 1.0, "pre"), Record(-1, 1.0)], first, INFUSIONS)[0] == {}
    assert assign([Record(1, 1.0, "post")], first, INFUSIONS)[0] == {"day 3": 0}


def test_baselines():
    assert baseline([Record(-10, 4.0), Record(-1, 6.0)]) == 6.0
    assert baseline([Record(-10, 4.0), Record(-1, 6.0)], rule="mean") == 5.0
    assert baseline([Record(-20, 4.0)]) is None
    assert baseline([Record(1, 4.0)]) is None
    assert baseline([Record(1, 4.0, "post")]) is None
    assert baseline([Record(-1, 6.0), Record(1, 4.0, "pre")]) == 4.0
    # Without a screening visit, as for cytokines, only a sample stated to be before the infusion is a baseline.
    assert baseline([Record(-1, 6.0), Record(1, 4.0)], screening=None) is None
    assert baseline([Record(1, 4.0, "pre")], screening=None) == 4.0
