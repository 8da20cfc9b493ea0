"""Endpoints by dose and visit: statistics recomputed independently, missing values by reason, events, derivations of the data."""

from collections import Counter
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from scipy import stats

import dosefind as dsf
from dosefind.cli import main
from dosefind.endpoints import censored_mean, meld
from dosefind.show.content import Figure, Table, as_string
from dosefind.show.pages.endpoints import Shown, endpoints
from dosefind.show.terminal import as_lines
from dosefind.tasks.endpoints import BASELINE, MISSING_REASONS, POOLED

from . import peers
from .planted import faults

CONFIG = peers.ROOT / "configs" / "nct05948982.toml"
TRIAL = dsf.load_trial(CONFIG)
FIRST = date(2024, 1, 2)
COLUMNS = "subject,dose,infusion_1,infusion_2,infusion_3,last_contact,dlt,discontinued,reason,died"
# Patients with all infusions; one withdrawn after the second, one dead on day 100, one with a transplant on day 120.
PEOPLE = """
A-1,1,2024-01-02,2024-01-30,2024-02-27,2025-02-20,no,,,
A-2,1,2024-01-02,2024-01-30,2024-02-27,2025-02-20,no,,,
A-3,1,2024-01-02,2024-01-30,2024-02-27,2025-02-20,no,,,
B-1,2,2024-01-02,2024-01-30,,2024-02-10,no,2024-02-10,WITHDRAWAL BY SUBJECT,
B-2,2,2024-01-02,2024-01-30,2024-02-27,2024-04-10,no,,,2024-04-10
B-3,2,2024-01-02,2024-01-30,2024-02-27,2025-02-20,no,,,
"""
HEAD = "subject,parameter,value,unit,day,time_point,lloq"


def read(folder, rows, people=PEOPLE, protocol=TRIAL.protocol):
    (folder / "patients.csv").write_text(f"{COLUMNS}\n{people.strip()}\n")
    (folder / "m.csv").write_text("\n".join([HEAD, *rows]) + "\n")
    patients = dsf.read_patients(folder / "patients.csv", protocol)
    return patients, dsf.read_measurements(folder / "m.csv", patients, protocol)


def summarize(folder, rows, as_of=date(2025, 3, 1), trial=TRIAL, **more):
    return dsf.summarize_endpoints(trial, *read(folder, rows, protocol=trial.protocol, **more), as_of)


def analysed(found, parameter):
    return {(value.subject, value.visit): value for value in found.values if value.parameter == parameter}


ALB = [
    *("A-1,ALB,30,g/L,-10,,", "A-1,ALB,31,g/L,-1,,", "A-1,ALB,34,g/L,85,,"),
    *("A-2,ALB,28,g/L,-1,,", "A-2,ALB,27,g/L,84,,", "A-2,ALB,29.5,g/L,86,,"),
    *("A-3,ALB,35,g/L,-1,,", "A-3,ALB,33,g/L,90,,"),
    *("B-1,ALB,30,g/L,-1,,", "B-2,ALB,30,g/L,-1,,", "B-2,ALB,31,g/L,85,,", "B-3,ALB,30,g/L,-1,,", "B-3,ALB,32,g/L,85,,"),
]


def test_statistics_of_a_visit(tmp_path):
    """Mean, SD, median, range and t interval of changes, by NumPy and SciPy (1e-12): two equally near values, so the later one."""
    found = summarize(tmp_path, ALB)
    cell = found.cells["ALB", 1, "week 12"]
    values, changes = np.array([34, 29.5, 33]), np.array([3, 1.5, -2])
    low, high = stats.t.interval(0.95, 2, changes.mean(), stats.sem(changes))
    stated = [cell.mean, cell.sd, cell.median, cell.smallest, cell.largest, cell.change_mean, cell.change_sd]
    expected = [values.mean(), values.std(ddof=1), 33, 29.5, 34, changes.mean(), changes.std(ddof=1)]
    np.testing.assert_allclose(stated, expected, atol=1e-12)
    np.testing.assert_allclose([cell.change_low, cell.change_high, cell.change_median], [low, high, 1.5], atol=1e-12)
    assert (cell.n, cell.n_change, cell.treated, cell.missed) == (3, 3, 3, 0)
    two = found.cells["ALB", 2, "week 12"]
    assert (two.n, two.withdrawn, two.died, two.treated, two.on_study) == (2, 1, 0, 3, 2)
    pooled = found.cells["ALB", POOLED, BASELINE]
    assert (pooled.n, pooled.mean) == (6, pytest.approx(np.mean([31, 28, 35, 30, 30, 30])))
    assert Counter(extra.why for extra in found.extra) == {
        "another value is the baseline": 1,
        "another value is analysed at the visit": 1,
    }


def test_mean_of_the_screening_values_as_baseline(tmp_path):
    table = TRIAL.protocol.model_dump(exclude_unset=True) | {"assumed": {}}
    other = dsf.Trial.of(dsf.Protocol.read(table | {"endpoints": table["endpoints"] | {"baseline": "mean"}}))
    found = summarize(tmp_path, ALB, trial=other)
    value = analysed(found, "ALB")["A-1", "week 12"]
    assert (value.baseline, value.change) == (30.5, 3.5)
    assert not [extra for extra in found.extra if extra.subject == "A-1"]


def reasons(found, parameter, visit):
    return {one.subject: one.reason for one in found.missing if (one.parameter, one.visit) == (parameter, visit)}


def test_each_reason_of_a_missing_value(tmp_path):
    rows = ["B-3,TRANSPLANT,yes,,120,,", "B-3,ALT,40,U/L,141,,", "A-1,ALT,40,U/L,57,post,"]
    found = summarize(tmp_path, rows, as_of=FIRST + timedelta(days=149))
    assert reasons(found, "ALT", "week 20") == {
        **dict.fromkeys(("A-1", "A-2", "A-3"), "not due"),
        "B-1": "withdrawn",
        "B-2": "died",
        "B-3": "transplant",
    }
    assert reasons(found, "ALT", "day 57") == dict.fromkeys(("A-2", "A-3", "B-2", "B-3"), "missed") | {"B-1": "withdrawn"}
    assert [extra.why for extra in found.extra] == ["after transplant"]
    # Who had one infusion and stays on study has no visit of the second one.
    people = "A-1,1,2024-01-02,,,2025-02-20,no,,,"
    one = summarize(tmp_path, ["A-1,ALT,40,U/L,30,,"], people=people)
    assert reasons(one, "ALT", "day 29") == {"A-1": "no infusion"}
    assert analysed(one, "ALT")["A-1", "day 28"].day == 30


def test_days_on_which_reasons_begin_and_follow_up_ends(tmp_path):
    """On the last day of a window and on the day of an event; the window of week 12 ends on day 113, that of day 56 on day 70."""
    day = {number: (FIRST + timedelta(days=number - 1)).isoformat() for number in (29, 57, 70, 113, 120, 200)}
    people = f"""
A-1,1,{FIRST},{day[29]},{day[57]},{day[113]},no,,,{day[113]}
A-2,1,{FIRST},{day[29]},{day[57]},{day[70]},no,{day[70]},WITHDRAWAL BY SUBJECT,
A-3,1,{FIRST},{day[29]},{day[57]},{day[120]},no,,,
A-4,1,{FIRST},{day[29]},{day[57]},{day[120]},no,,,
"""
    rows = ["A-3,TRANSPLANT,yes,,113,,", "A-3,TRANSPLANT,yes,,118,,", "A-3,TRANSPLANT,yes,,115,,", "A-3,ALB,30,g/L,113,,"]
    rows += ["A-2,ALB,31,g/L,90,,", "A-3,CD4,300,10^6/L,114,,"]
    found = summarize(tmp_path, rows, people=people, as_of=date.fromisoformat(day[113]))
    assert reasons(found, "ALT", "week 12") == {"A-1": "died", "A-2": "withdrawn", "A-3": "transplant", "A-4": "missed"}
    assert reasons(found, "ALT", "day 56") == {"A-1": "missed", "A-2": "withdrawn", "A-3": "missed", "A-4": "missed"}
    # The value of the day of the transplant is one before it.
    assert analysed(found, "ALB")["A-3", "week 12"].value == 30
    before = summarize(tmp_path, rows, people=people, as_of=date.fromisoformat(day[113]) - timedelta(days=1))
    assert reasons(before, "ALT", "week 12") == {"A-1": "not due", "A-2": "withdrawn", "A-3": "not due", "A-4": "not due"}
    last = summarize(tmp_path, rows, people=people, as_of=date.fromisoformat(day[200]))
    times = {(one.subject, one.parameter): (one.day, one.cause) for one in last.follow_up}
    assert times["A-1", "OS"] == (113, "death")
    # Withdrawn on day 70, and seen once more on day 90.
    assert times["A-2", "OS"] == (90, "")
    assert times["A-3", "OS"] == (120, "")
    assert times["A-3", "TRANSPLANT"] == (113, "event")
    assert times["A-3", "TFS"] == (113, "transplant")


def test_the_latest_contact_does_not_outlast_a_withdrawal(tmp_path):
    people = f"A-1,1,{FIRST},,,2024-12-01,no,2024-03-01,LOST TO FOLLOW-UP,"
    found = summarize(tmp_path, ["A-1,ALB,30,g/L,-1,,"], people=people)
    (one,) = (one for one in found.follow_up if one.parameter == "OS")
    assert (one.day, one.cause) == (60, "")


def test_every_patient_is_counted_once_at_every_visit(synthetic):
    """From the tables as saved: values and missing ones by reason add up to the treated patients, levels to all of them."""
    _patients, found = synthetic
    table = found.tables["by-visit"].query("visit != 'baseline'")
    gone = table[[reason.replace(" ", "_") for reason in MISSING_REASONS]].sum(axis=1)
    assert (table.n + gone == table.treated).all()
    by_level = table[table.level != POOLED].groupby(["parameter", "visit"])[["treated", "n", "missed"]].sum()
    pooled = table[table.level == POOLED].set_index(["parameter", "visit"])[["treated", "n", "missed"]]
    assert (by_level.sort_index() == pooled.sort_index()).all().all()
    values = found.tables["values"]
    assert not values.duplicated(["subject", "parameter", "visit"]).any()
    rows = found.attrs["rows"]
    events = {seen.source for seen in _patients[1].values if seen.kind == "event"}
    used = {*values[~values.derived].source, *found.tables["extra"].source, *found.tables["listed"].source, *events}
    assert len(used) == rows


# Windows of the specification, and the number of infusions before which a sample must be taken.
WINDOWS = {
    "day 28": (28, 2, 42, 1), "day 56": (56, 43, 70, 2), "week 12": (85, 71, 113, 3), "week 20": (141, 114, 183, 3),
    "week 32": (225, 184, 309, 3), "week 56": (393, 310, 420, 3),
}  # fmt: skip


def test_every_analysed_value_by_a_second_reading_of_the_file(synthetic):
    """Values and changes of all patients at calendar visits, chosen from the CSV by another few lines."""
    (patients, _measured, folder), found = synthetic
    rows = pd.read_csv(folder / "measurements.csv", keep_default_na=False)
    by_subject = {patient.subject: patient for patient in patients.patients}
    gone = {(extra.subject, extra.source) for extra in found.extra if extra.why in ("after transplant", "after death")}
    compared = 0
    for key in ("ALB", "BILI", "CD4", "SF36-GH", "LSM"):
        own = analysed(found, key)
        for subject, patient in by_subject.items():
            first = patient.infusions[0]
            days = [(day - first).days + 1 for day in patient.infusions]
            taken = []
            for row in rows[(rows.subject == subject) & (rows.parameter == key)].itertuples():
                # In a CSV the header is row 1. A sample after an infusion, on its day, is of the visit of that day.
                if (subject, f"measurements.csv row {row.Index + 2}") not in gone and row.time_point != "post":
                    day = (date.fromisoformat(row.date) - first).days
                    taken.append((day + 1 if day >= 0 else day, row.time_point, float(row.value)))
            before = [value for day, _point, value in sorted(taken) if -14 <= day < 0]
            for visit, (target, low, high, most) in WINDOWS.items():
                if visit not in TRIAL.protocol.endpoints.planned(key):
                    continue
                inside = [
                    (abs(day - target), -day, value)
                    for day, point, value in taken
                    if low <= day <= high and (len(days) <= most or day < days[most] or (day == days[most] and point == "pre"))
                ]
                known = own.get((subject, visit))
                assert (known is None) == (not inside), (key, subject, visit)
                if known is not None:
                    value = min(inside)[2]
                    assert known.value == value
                    assert known.change == (pytest.approx(value - before[-1], abs=1e-12) if before else None)
                    compared += 1
    assert compared > 250


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthetic")
    made = dsf.synthesize(TRIAL, "none toxic", seed=3, endpoints=True)
    made.write(folder)
    patients = dsf.read_patients(folder / "patients.csv", TRIAL.protocol, events=folder / "events.csv")
    measured = dsf.read_measurements(folder / "measurements.csv", patients, TRIAL.protocol)
    return (patients, measured, folder), dsf.summarize_endpoints(TRIAL, patients, measured)


def sample_after_infusion(tmp_path):
    """A sample after the infusion of day 29 is never of day 28, and one after the first infusion is never a baseline."""
    rows = ["A-1,ALT,40,U/L,29,post,", "A-2,ALT,40,U/L,29,,", "A-3,ALT,40,U/L,29,pre,", "B-3,ALT,99,U/L,1,post,"]
    found = analysed(summarize(tmp_path, [*rows, "B-3,ALT,50,U/L,28,,", "B-2,ALT,99,U/L,1,,"]), "ALT")
    assert ("A-1", "day 28") not in found
    assert ("A-2", "day 28") not in found
    assert {("A-1", "day 29"), ("A-3", "day 28"), ("B-3", "day 1")} <= set(found)
    assert not [value for (_subject, visit), value in found.items() if visit == BASELINE]
    assert found["B-3", "day 28"].change is None
    assert found["B-3", "day 1"].value == 99


def transplant_in_its_incidence(tmp_path):
    """Of three patients one is transplanted and one dies: incidence one third by hand, and neither is censored."""
    rows = ["B-3,TRANSPLANT,yes,,120,,", "A-1,TRANSPLANT,no,,300,,"]
    found = summarize(tmp_path, rows)
    row = next(row for row in found.timed if (row.parameter, row.level) == ("TRANSPLANT", 2))
    # The patient withdrawn on day 40 is censored; of two at risk on day 100 one dies, and the other is transplanted on day 120.
    assert (row.events, row.competing, row.rate) == (1, 1, pytest.approx(0.5, abs=1e-12))
    causes = {one.subject: one.cause for one in found.follow_up if one.parameter == "TRANSPLANT"}
    assert (causes["B-3"], causes["B-2"], causes["B-1"], causes["A-1"]) == ("event", "death", "", "")
    free = next(row for row in found.timed if (row.parameter, row.level) == ("TFS", 2))
    overall = next(row for row in found.timed if (row.parameter, row.level) == ("OS", 2))
    assert (free.events, free.rate) == (2, 0.0)
    assert (overall.events, overall.rate) == (1, pytest.approx(0.5, abs=1e-12))


test_sample_after_infusion_is_not_of_the_visit_before_it = sample_after_infusion
test_transplant_is_never_censored_in_its_own_incidence = transplant_in_its_incidence


def censors_events(old):
    return lambda days, cause: old(days, [None if one == "event" else one for one in cause])


def censors_competing(old):
    return lambda days, cause: old(days, ["event" if one == "event" else None for one in cause])


def on_any_day(old):
    return lambda records, visits, infusions: old(records, visits, [day + 100 for day in infusions])


def all_before(old):
    return lambda records, screening=-14: [k for k, record in enumerate(records) if record.day <= 1]


FAULTS = {
    "a transplant censored in its own incidence": (
        "dosefind.tasks.endpoints:aalen_johansen", censors_events, transplant_in_its_incidence
    ),
    "a death censored in the incidence of transplant": (
        "dosefind.tasks.endpoints:aalen_johansen", censors_competing, transplant_in_its_incidence
    ),
    "a sample on the day of an infusion before it": ("dosefind.tasks.endpoints:assign", on_any_day, sample_after_infusion),
    "a sample of day 1 as baseline": ("dosefind.tasks.endpoints:baseline_records", all_before, sample_after_infusion),
}  # fmt: skip
test_fault_is_caught = faults(FAULTS)


def test_times_to_events_and_their_limits(tmp_path):
    """Kaplan-Meier by hand, exact limits by SciPy's binomial test (1e-9), and events from the patients' adverse events."""
    (tmp_path / "events.csv").write_text(
        "subject,term,grade,related,start\nA-1,Hepatic failure,3,no,2024-03-01\nA-2,hepatic failure,2,no,2023-12-01\n"
    )
    (tmp_path / "patients.csv").write_text(f"{COLUMNS}\n{PEOPLE.strip()}\n")
    (tmp_path / "m.csv").write_text(f"{HEAD}\nA-2,LIVFAIL,yes,,50,,\nA-3,HCC,yes,,-5,,\n")
    patients = dsf.read_patients(tmp_path / "patients.csv", TRIAL.protocol, events=tmp_path / "events.csv")
    measured = dsf.read_measurements(tmp_path / "m.csv", patients, TRIAL.protocol)
    found = dsf.summarize_endpoints(TRIAL, patients, measured, date(2025, 3, 1))
    row = next(row for row in found.timed if (row.parameter, row.level) == ("LIVFAIL", 1))
    exact = stats.binomtest(2, 3).proportion_ci(method="exact")
    assert (row.events, row.treated, row.rate) == (2, 3, pytest.approx(2 / 3))
    np.testing.assert_allclose([row.share_low, row.share_high], [exact.low, exact.high], atol=1e-9)
    days = {one.subject: one.day for one in found.follow_up if one.parameter == "LIVFAIL"}
    assert (days["A-1"], days["A-2"]) == (60, 50)
    assert [extra.why for extra in found.extra] == ["event before the first infusion"]
    pooled = next(row for row in found.timed if (row.parameter, row.level) == ("OS", POOLED))
    # Five at risk on day 100, because one was censored on day 40.
    assert pooled.rate == pytest.approx(4 / 5, abs=1e-12)


def test_scores_are_calculated_from_one_sample(tmp_path):
    """MELD and Child-Pugh of components of the same day; a recorded score is kept, and a different one is a finding."""
    parts = ("BILI,{},umol/L", "INR,{},", "CREAT,{},umol/L", "ALB,{},g/L", "ASCITES,{},", "ENCEPH,{},")
    rows = []
    for day, numbers in ((-1, (54, 2.0, 170, 30, 1, 0)), (28, (40, 1.6, 100, 33, 0, 1)), (85, (30, 1.4, 90, 36, 0, 0))):
        rows += [f"A-1,{part.format(number)},{day},," for part, number in zip(parts, numbers, strict=True)]
    rows += ["A-1,MELD,18.6,,28,,", "A-1,CHILDPUGH,9,,28,,"]
    found = summarize(tmp_path, rows)
    units = {"bilirubin_unit": "umol/L", "creatinine_unit": "umol/L"}
    own, score = analysed(found, "MELD"), analysed(found, "CHILDPUGH")
    assert own["A-1", BASELINE].value == pytest.approx(float(meld(54, 2.0, 170, **units)))
    assert own["A-1", "week 12"].change == pytest.approx(float(meld(30, 1.4, 90, **units)) - float(meld(54, 2.0, 170, **units)))
    assert (own["A-1", "day 28"].value, own["A-1", "day 28"].derived) == (18.6, False)
    # 54 and 30, 2.0, mild ascites, none: 3 + 2 + 2 + 2 + 1; then 2 + 2 + 1 + 1 + 2 recorded as 9; then 1 + 1 + 1 + 1 + 1.
    assert [score["A-1", visit].value for visit in (BASELINE, "day 28", "week 12")] == [10, 9, 5]
    assert [(one.parameter, one.given, one.own) for one in found.differences] == [
        ("CHILDPUGH", "9", "8"),
        ("MELD", "18.6", "16.09"),
    ]
    shifts = {
        (row.before, row.after): row.n
        for row in found.shifts
        if (row.parameter, row.level, row.visit) == ("CHILDPUGH", 1, "week 12")
    }
    assert shifts == {("C", "A"): 1, ("", ""): 2}
    bounded = analysed(found, "MELD-B")["A-1", BASELINE].value
    assert bounded == float(meld(54, 2.0, 170, bounded=True, **units))


def test_settings_of_scores_and_criteria_of_the_protocol(tmp_path):
    """Albumin of 29 has 3 points by the other cut-off; cholestatic cirrhosis 6.43 less; 12 is the highest score of the criteria."""
    parts = ("BILI,60,umol/L", "INR,2.4,", "CREAT,100,umol/L", "ALB,29,g/L", "ASCITES,2,", "ENCEPH,0,")
    rows = [f"A-1,{part},-1,," for part in parts]
    table = TRIAL.protocol.model_dump(exclude_unset=True) | {"assumed": {}}
    other = {"child_pugh": {"albumin g/L": [35.0, 30.0]}, "meld_etiology": 0}
    changed = dsf.Trial.of(dsf.Protocol.read(table | {"endpoints": table["endpoints"] | other}))
    first, second = summarize(tmp_path, rows), summarize(tmp_path, rows, trial=changed)
    place = "A-1", BASELINE
    assert (analysed(first, "CHILDPUGH")[place].value, analysed(second, "CHILDPUGH")[place].value) == (12, 13)
    scores = [analysed(found, "MELD")[place].value for found in (first, second)]
    assert scores[0] - scores[1] == pytest.approx(6.43)
    assert first.ineligible == {}
    assert second.ineligible == {"CHILDPUGH": ("A-1",)}


def test_values_below_a_limit_have_no_part_in_means(tmp_path):
    rows = ["A-1,AFP,5,ug/L,-3,,", "A-1,AFP,< 1.3,ug/L,85,,", "A-2,AFP,4,ug/L,-3,,", "A-2,AFP,6,ug/L,85,,"]
    cell = summarize(tmp_path, rows).cells["AFP", 1, "week 12"]
    assert (cell.n, cell.censored, cell.mean, cell.n_change, cell.change_mean) == (2, 1, 6, 1, 2)


def test_shares_of_hbv_dna(tmp_path):
    rows = ["A-1,HBVDNA,not detected,IU/mL,28,,", "A-2,HBVDNA,< LLOQ,IU/mL,28,,20", "A-3,HBVDNA,400,IU/mL,28,,20"]
    row = next(row for row in summarize(tmp_path, rows).shares if (row.level, row.visit) == (1, "day 28"))
    assert (row.n, row.not_detected, row.below, row.quantified) == (3, 1, 1, 1)


def cytokines(values, base=("10", "20", "5")):
    rows = [f"A-{k + 1},IL6,{value},pg/mL,1,pre," for k, value in enumerate(base)]
    return [*rows, *(f"A-{k + 1},IL6,{value},pg/mL,2,," for k, value in enumerate(values))]


def ratio(found, level=1, visit="day 2"):
    return next(row for row in found.ratios if (row.parameter, row.level, row.visit) == ("IL6", level, visit))


def test_ratios_of_geometric_means(tmp_path):
    """Without censoring by hand (1e-12); with it by SciPy's fit of censored data, which stops at 1e-4 of its parameters."""
    row = ratio(summarize(tmp_path, cytokines(("20", "10", "20"))))
    logs = np.log([2, 0.5, 4])
    low, high = stats.t.interval(0.95, 2, logs.mean(), stats.sem(logs))
    np.testing.assert_allclose([row.ratio, row.low, row.high], np.exp([logs.mean(), low, high]), rtol=1e-12)
    row = ratio(summarize(tmp_path, cytokines(("20", "< 4", "20"))))
    fitted = stats.norm.fit(stats.CensoredData(uncensored=np.log([2, 4]), left=np.log([0.2])))
    assert row.censored == 1
    assert row.ratio == pytest.approx(np.exp(fitted[0]), rel=5e-4)
    assert row.ratio_limit == pytest.approx(np.exp(np.log([2, 0.2, 4]).mean()))
    assert row.ratio_half == pytest.approx(np.exp(np.log([2, 0.1, 4]).mean()))
    # A baseline below its limit: the ratio is above what the limit gives.
    row = ratio(summarize(tmp_path, cytokines(("20", "10", "20"), base=("10", "20", "< 5"))))
    fitted = stats.norm.fit(stats.CensoredData(uncensored=np.log([2, 0.5]), right=np.log([4])))
    assert row.ratio == pytest.approx(np.exp(fitted[0]), rel=5e-4)
    most = ratio(summarize(tmp_path, cytokines(("20", "< 4", "< 4"))))
    assert np.isnan(most.ratio)
    assert (most.n, most.censored) == (3, 2)


def test_cytokines_without_a_time_point_have_no_baseline(tmp_path):
    rows = ["A-1,IL6,10,pg/mL,1,,", "A-1,IL6,20,pg/mL,2,,", "A-2,IL6,10,pg/mL,-3,,", "A-2,IL6,20,pg/mL,2,,"]
    found = summarize(tmp_path, rows)
    assert found.without_baseline == {"IL6": 2}
    assert (ratio(found).n, ratio(found).without_baseline) == (0, 2)


def test_mean_of_censored_values():
    """Against SciPy's maximum likelihood and a numerical information matrix, for random samples."""
    rng = np.random.default_rng(5)
    for _sample in range(20):
        x = rng.normal(1, 2, 12)
        below, above = x < -0.5, x > 4
        if (below | above).sum() > 6:
            continue
        values = np.where(below, -0.5, np.where(above, 4, x))
        found = censored_mean(values, below, above)
        known = ~(below | above)
        data = stats.CensoredData(uncensored=values[known], left=values[below], right=values[above])
        assert found.mean == pytest.approx(stats.norm.fit(data)[0], abs=2e-3)
        at = np.array([found.mean, found.sd])

        def likelihood(mean, sd, parts=(values[known], values[below], values[above])):
            of = stats.norm(mean, sd)
            return of.logpdf(parts[0]).sum() + of.logcdf(parts[1]).sum() + of.logsf(parts[2]).sum()

        h, steps = 1e-4, np.eye(2) * 1e-4
        second = [[sum(s * t * likelihood(*(at + s * a + t * b)) for s in (1, -1) for t in (1, -1)) for b in steps] for a in steps]
        error = np.sqrt(np.linalg.inv(-np.array(second) / (4 * h * h))[0, 0])
        # The numerical second derivative is good to about 1e-6.
        assert found.high - found.mean == pytest.approx(stats.t.ppf(0.975, 11) * error, rel=1e-4)


def test_what_contradicts_or_lacks_a_date_is_said_first(tmp_path):
    (tmp_path / "events.csv").write_text("subject,term,grade,related,start\nA-1,Hepatic failure,3,no,2024-04\n")
    (tmp_path / "patients.csv").write_text(f"{COLUMNS}\n{PEOPLE.strip()}\n")
    rows = ("A-2,HCC,yes,,2024-05", "B-2,ALT,40,U/L,2024-06-01", "X-1,ALT,40,U/L,2024-06-01", "A-1,BILI,2,umol/L,2024-01-01")
    (tmp_path / "m.csv").write_text("\n".join(["subject,parameter,value,unit,date", *rows]) + "\n")
    patients = dsf.read_patients(tmp_path / "patients.csv", TRIAL.protocol, events=tmp_path / "events.csv")
    found = dsf.summarize_endpoints(TRIAL, patients, dsf.read_measurements(tmp_path / "m.csv", patients, TRIAL.protocol))
    assert found.undated == {"LIVFAIL": 1}
    assert [extra.why for extra in found.extra] == ["after death"]
    said = " ".join(map(as_string, Shown(found).cautions()))
    for words in (
        "1 measurement is after a recorded death",
        "2 events without a full date",
        "1 row is of no treated patient",
        "A-1",
    ):
        assert words in said
    assert "A-1" not in " ".join(map(as_string, Shown(found).cautions(hides=True)))


def test_config_with_events_only(tmp_path):
    table = TRIAL.protocol.model_dump(exclude_unset=True) | {"assumed": {}}
    table["endpoints"] = {"parameters": {"HCC": {"label": "liver cancer", "kind": "event"}}}
    trial = dsf.Trial.of(dsf.Protocol.read(table))
    found = summarize(tmp_path, ["A-1,HCC,yes,,50,,"], trial=trial)
    lines = as_lines(endpoints(found), width=80, details=True)
    assert "liver cancer 1/6" in lines
    assert found.by_visit == ()


def test_amended_endpoints_are_those_in_force(tmp_path):
    """A parameter that an amendment adds is read, and is analysed from its date on."""
    table = TRIAL.protocol.model_dump(exclude_unset=True) | {"assumed": {}}
    added = {"parameters": {"NH3": {"label": "ammonia", "unit": "umol/L", "schedule": "scores"}}}
    trial = dsf.Trial.of(dsf.Protocol.read(table | {"amendment": [{"date": date(2024, 6, 1), "endpoints": added}]}))
    rows = ["A-1,NH3,40,umol/L,85,,"]
    early, late = (summarize(tmp_path, rows, trial=trial, as_of=day) for day in (date(2024, 5, 1), date(2025, 3, 1)))
    assert [extra.why for extra in early.extra] == ["of another version of the protocol"]
    assert analysed(late, "NH3")["A-1", "week 12"].value == 40


def test_liver_tests_are_multiples_of_their_limits(tmp_path):
    rows = [
        "A-1,ALT,40,U/L,-1,,",
        "A-1,ALT,200,U/L,28,,",
        "A-1,ALT,400,U/L,1,pre,",
        "A-1,BILI,42,umol/L,-1,,",
        "A-1,BILI,63,umol/L,56,,",
    ]
    (peak,) = summarize(tmp_path, rows).peaks
    assert (peak.subject, peak.alt, peak.alt_day, peak.bilirubin, peak.bilirubin_day) == ("A-1", 5.0, 28, 3.0, 56)
    assert peak.bilirubin_baseline == 2.0


def test_later_measurements_are_not_used(tmp_path):
    found = summarize(tmp_path, ALB, as_of=FIRST + timedelta(days=60))
    assert {extra.why for extra in found.extra} == {"another value is the baseline", "after the data cutoff date"}
    assert found.cells["ALB", 1, "week 12"].not_due == 3
    assert found.attrs["as_of"] == "2024-03-02"


# An analysis data set with the columns of pharmaverseadam's ADLB that are read, among others of it.
ADLB = """STUDYID,USUBJID,LBSEQ,LBTESTCD,LBSTRESU,LBDTC,TRTSDT,ADT,ADY,PARAMCD,PARAM,AVAL,AVALC,BASE,CHG,ABLFL,ANRHI,DTYPE,AVISIT,\
AVISITN,ANL01FL
S,A-1,1,ALT,U/L,2023-12-22,2024-01-02,2023-12-22,-11,ALT,Alanine Aminotransferase (U/L),50,,44,,,45,,,,
S,A-1,2,ALT,U/L,2024-01-01,2024-01-02,2024-01-01,-1,ALT,Alanine Aminotransferase (U/L),44,,44,0,Y,45,,Baseline,0,Y
S,A-1,3,ALT,U/L,2024-01-29,2024-01-02,2024-01-29,28,ALT,Alanine Aminotransferase (U/L),40,,44,-4,,45,,Day 28,28,Y
S,A-1,4,ALT,U/L,2024-02-05,2024-01-02,2024-02-05,35,ALT,Alanine Aminotransferase (U/L),41,,44,-3,,45,,,,
S,A-1,5,ALT,U/L,2024-03-26,2024-01-02,2024-03-26,85,ALT,Alanine Aminotransferase (U/L),38,,44,-6,,45,,Week 12,85,Y
S,A-1,,ALT,U/L,,2024-01-02,,,ALT,Alanine Aminotransferase (U/L),38,,44,-6,,45,LOCF,Week 20,141,Y
S,A-1,,ALT,U/L,,2024-01-02,,,ALT,Alanine Aminotransferase (U/L),41,,44,-3,,45,MAXIMUM,POST-BASELINE MAXIMUM,9998,
S,A-2,1,ALT,U/L,2023-12-30,2024-01-02,2023-12-30,-3,ALT,Alanine Aminotransferase (U/L),60,,60,0,Y,45,,Baseline,0,Y
S,A-2,2,ALT,U/L,2024-03-25,2024-01-02,2024-03-25,84,ALT,Alanine Aminotransferase (U/L),55,,60,-5,,45,,Week 12,85,Y
"""
ADTTE = """USUBJID,PARAMCD,PARAM,AVAL,STARTDT,ADT,CNSR,EVNTDESC
A-1,HCC,Time to liver cancer,400,2024-01-02,2025-02-04,1,END OF STUDY
A-2,HCC,Time to liver cancer,200,2024-01-02,2024-07-19,0,LIVER CANCER
B-2,OS,Overall survival,99,2024-01-02,2024-04-09,0,DEATH
B-3,TFS,Survival without transplantation,120,2024-01-02,2024-04-30,0,TRANSPLANT
"""


def adam(folder, adlb=ADLB, adtte=ADTTE):
    (folder / "patients.csv").write_text(f"{COLUMNS}\n{PEOPLE.strip()}\n")
    patients = dsf.read_patients(folder / "patients.csv", TRIAL.protocol)
    (folder / "adam").mkdir(exist_ok=True)
    for name, text in (("adlb", adlb), ("adtte", adtte)):
        (folder / "adam" / f"{name}.csv").write_text(text)
    measured = dsf.read_measurements(folder / "adam", patients, TRIAL.protocol)
    return dsf.summarize_endpoints(TRIAL, patients, measured, date(2025, 3, 1))


def test_analysis_data_sets_agree_with_own_derivations(tmp_path):
    """Own baseline, change and visit equal those given; values carried forward are listed; the death given is a day early."""
    found = adam(tmp_path)
    assert [(one.field, one.subject, one.given, one.own) for one in found.differences] == [("AVAL", "B-2", "99", "100")]
    values = analysed(found, "ALT")
    places = (("A-1", BASELINE), ("A-1", "day 28"), ("A-1", "week 12"), ("A-2", BASELINE), ("A-2", "week 12"))
    assert {place: value.value for place, value in values.items()} == dict(zip(places, (44, 40, 38, 60, 55), strict=True))
    assert [row.reason for row in found.listed] == [
        "not used: a derived record (LOCF)",
        "not used: a derived record (MAXIMUM)",
    ]
    assert reasons(found, "ALT", "week 20")["A-1"] == "missed"
    (event,) = (one for one in found.follow_up if one.parameter == "HCC" and one.cause == "event")
    assert (event.subject, event.day) == ("A-2", 200)


@pytest.mark.parametrize(
    ("old", "new", "field", "given", "own"),
    [
        ("40,,44,-4", "40,,50,-4", "BASE", "50", "44"),
        ("38,,44,-6,,45,,Week 12", "38,,44,-5,,45,,Week 12", "CHG", "-5", "-6"),
        ("Week 12,85,Y\nS,A-1,,ALT", "Week 20,141,Y\nS,A-1,,ALT", "AVISIT", "Week 20", "week 12"),
        ("60,,60,0,Y", "60,,60,0,", "AVISIT", "", ""),
        ("50,,44,,,45", "50,,44,,Y,45", "ABLFL", "Y", ""),
    ],
)
def test_differences_from_the_data_are_findings(tmp_path, old, new, field, given, own):
    assert ADLB.count(old) == 1
    found = [one for one in adam(tmp_path, ADLB.replace(old, new)).differences if one.field != "AVAL"]
    if not given:
        # A flag that is empty is not stated, and is no difference.
        assert found == []
        return
    assert [(one.field, one.given, one.own) for one in found] == [(field, given, own)]
    assert found[0].source.startswith("adlb.csv row")


def test_broken_analysis_data_sets_are_refused(tmp_path):
    for old, new, where in (
        ("-4,,45", "minus,,45", "CHG"),
        ("2024-01-29,28,ALT", "2024-01-29,29,ALT", "ADY"),
        ("40,,44", "4O,,44", "AVAL"),
    ):
        with pytest.raises(dsf.InputError, match=where):
            adam(tmp_path, ADLB.replace(old, new))
    with pytest.raises(dsf.InputError, match="AVAL"):
        adam(tmp_path, adtte=ADTTE.replace("200,2024-01-02,2024-07-19", "201,2024-01-02,2024-07-19"))
    with pytest.raises(dsf.InputError, match="CNSR"):
        adam(tmp_path, adtte=ADTTE.replace("CNSR", "CENSOR"))


# The page.


def test_first_screen_answers_and_fits(synthetic):
    page = endpoints(synthetic[1])
    lines = as_lines(page, width=80).splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 80
    (table,) = (block for block in page.blocks if isinstance(block, Table))
    rows = {as_string(row[0]): [as_string(cell) for cell in row[1:]] for row in table.rows}
    found = synthetic[1]
    for place, level in enumerate(found.levels):
        cell = found.cells["MELD", level, "week 12"]
        n, _, rest = rows["MELD"][place].partition(": ")
        assert int(n) == cell.n_change
        numbers = [float(number.strip("(,)")) for number in rest.split()]
        np.testing.assert_allclose(numbers, [cell.change_mean, cell.change_low, cell.change_high], atol=0.0501)
        gone = [int(cells[place]) for name, cells in rows.items() if name not in (*found.endpoints.main, "treated")]
        assert sum(gone) == int(rows["treated"][place]) == cell.treated


def test_page_does_not_show_patients_who_must_be_hidden(synthetic):
    found = synthetic[1]
    shown = Shown(found)
    subjects = {value.subject for value in found.values}

    def text_of(details):
        cells = (
            cell for detail in details for block in detail.blocks if isinstance(block, Table) for row in block.rows for cell in row
        )
        return " ".join(map(as_string, cells))

    assert any(subject in text_of(shown.sections()) for subject in subjects)
    assert not any(subject in text_of(shown.sections(hides=True)) for subject in subjects)


def test_pages_of_endpoints(synthetic, snapshot):
    """The first screen, and which sections there are."""
    page = endpoints(synthetic[1])
    titles = "\n".join(as_string(section.title) for section in page.sections)
    assert f"{as_lines(page, width=80)}\n{titles}" == snapshot


@pytest.mark.slow
def test_section_of_the_conduct_report(tmp_path):
    """The same numbers as the page, with charts; nothing of single patients where they must be hidden; assumptions are listed."""
    rows = [*ALB, "B-3,ALT,200,U/L,85,,", "B-3,BILI,63,umol/L,85,,"]
    patients, measured = read(tmp_path, rows)
    made = dsf.report(TRIAL, patients, date(2025, 3, 1), measurements=measured)
    (section,) = (section for section in made.sections if section.id == "endpoints")
    (assumed,) = (section for section in made.sections if section.id == "assumed")
    keys = {as_string(row[0]) for block in assumed.blocks if isinstance(block, Table) for row in block.rows}
    assert {"endpoints.baseline", "endpoints.infusion_visit_days"} <= keys
    summary = summarize(tmp_path, rows)
    open_, closed = (
        [block for part in (whole, *whole.sections) for block in part.blocks]
        for whole in (section, Shown(summary).section(hides=True))
    )
    (cells,) = ([as_string(cell) for cell in row] for block in open_[:3] if isinstance(block, Table) for row in block.rows[2:3])
    for cell, level in zip(cells[1:], summary.levels, strict=True):
        known = summary.cells["ALB", level, "week 12"]
        assert cell.startswith(f"{known.n_change}: {known.change_mean:.1f} (")
    # Two of changes, one of liver safety, two of survival, which show no single patient by name; no patient had another event.
    assert [len([block for block in blocks if isinstance(block, Figure)]) for blocks in (open_, closed)] == [5, 2]
    words = {
        kind: " ".join(as_string(cell) for block in blocks if isinstance(block, Table) for row in block.rows for cell in row)
        for kind, blocks in (("open", open_), ("closed", closed))
    }
    assert "B-3" in words["open"]
    assert not any(subject in words["closed"] for subject in ("A-1", "B-2", "B-3"))


def test_command_writes_every_table(tmp_path, synthetic):
    folder = synthetic[0][2]
    given = [str(CONFIG), "--data", str(folder / "sdtm-csv")]
    result = CliRunner().invoke(main, ["endpoints", *given, "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    names = {path.stem for path in tmp_path.glob("*.csv")}
    assert {f"endpoints-{name}" for name in synthetic[1].tables} <= names
    alone = CliRunner().invoke(main, ["endpoints", str(CONFIG), "--data", str(folder / "patients.csv")])
    assert alone.exit_code == 2
    assert "--measurements" in alone.output
