"""Outcomes of the efficacy endpoint per patient: intake, estimand, counts by dose, and the record joined with toxicity."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from click.testing import CliRunner

import dosefind as dsf
from dosefind.cli import main
from dosefind.efficacy.binary import IndependentPrior
from dosefind.efficacy.continuous import ChangePosterior, ChangePrior
from dosefind.efficacy.randomised import randomised_stage
from dosefind.efficacy.responses import Responses, outcome_of, response_outcomes
from dosefind.efficacy.utility import expected_utility
from dosefind.evaluability import known_by
from dosefind.intake.writing import csv_text, plain_tables
from dosefind.patients import Assessment
from dosefind.show.content import Answers, Bullets, Figure, as_string
from dosefind.show.pages.efficacy import Shown

from . import made_up, peers
from .planted import faults

CONFIG = peers.ROOT / "configs" / "nct05962762.toml"
UTILITIES = {"response": 100.0, "neither": 40.0, "response_and_dlt": 60.0, "dlt": 0.0}
BINARY = {"endpoint": "ASAS20", "days": [71, 113], "utilities": UTILITIES, "limits": {"p_best": 0.8, "loss": 3.0}}
CHANGE = {
    "endpoint": "MELD",
    "kind": "change",
    "days": [71, 113],
    "better": "lower",
    "residual_sd": 4.0,
    "worst": 8.0,
    "points": [[-8.0, 100.0], [0.0, 40.0], [8.0, 0.0]],
    "dlt_loss": 40.0,
    "unit": "points",
}
HEAD = "subject,dose,infusion_1,last_contact,dlt,dlt_date,discontinued,reason,died,response,response_date,rescue"
PEOPLE = """
A-1,1,2024-01-01,2024-06-01,no,,,,,yes,2024-03-25,
A-2,1,2024-01-15,2024-06-01,no,,,,,no,2024-04-08,
A-3,1,2024-01-29,2024-06-01,no,,,,,,,2024-03-01
A-4,3,2024-03-01,2024-06-01,no,,,,,yes,2024-05-24,2024-04-20
A-5,3,2024-03-10,2024-04-20,no,,2024-04-20,withdrawal by subject,,,,
A-6,3,2024-03-20,2024-06-01,no,,,,,,,
A-7,5,2024-02-01,2024-03-20,no,,,,2024-03-20,,,
A-8,5,2024-01-20,2024-06-01,yes,2024-02-02,,,,yes,2024-02-20,
"""


def protocol(**efficacy):
    table = dsf.load_protocol(CONFIG).model_dump(exclude_unset=True) | {"assumed": {}}
    return dsf.Protocol.read(table | {"efficacy": efficacy})


AS = protocol(**BINARY)


def read(folder, rules, people=PEOPLE, head=HEAD, assessments=None):
    (folder / "patients.csv").write_text(f"{head}\n{people.strip()}\n")
    beside = None
    if assessments is not None:
        beside = folder / "assessments.csv"
        beside.write_text(assessments)
    return dsf.read_patients(folder / "patients.csv", rules, assessments=beside)


def outcomes(folder, rules, cut=date(2024, 6, 1), **data):
    found = response_outcomes(dsf.evaluate(read(folder, rules, **data), rules, cut), rules)
    return found, {one.subject: (one.kind, one.value) for one in found.outcomes}


def test_outcome_of_each_patient(tmp_path):
    """Rescue and death are composite, a withdrawal is missing, and a visit on another day is not the assessment."""
    found, by_patient = outcomes(tmp_path, AS)
    assert by_patient == {
        "A-1": ("known", 1.0),
        "A-2": ("known", 0.0),
        "A-3": ("known", 0.0),
        "A-4": ("known", 0.0),
        "A-5": ("missing", None),
        "A-6": ("pending", None),
        "A-7": ("known", 0.0),
        "A-8": ("missing", None),
    }
    assert [found.n.tolist(), found.responses.tolist()] == [[3, 1, 1], [1, 0, 0]]
    assert [found.pending.tolist(), found.missing.tolist(), found.composite.tolist()] == [[0, 1, 0], [0, 1, 1], [1, 1, 1]]
    # Every patient is counted once, whatever the outcome.
    assert (found.n + found.pending + found.missing).sum() == 8
    later = outcomes(tmp_path, AS, date(2024, 8, 1))[1]
    assert later["A-6"] == ("missing", None)


FIRST = date(2024, 1, 1)
# Days of assessments with their results, of death and of leaving, the data cutoff day, and the outcome; the days are 71 to 113.
BOUNDS = [
    ({71: 1}, None, None, 300, ("known", 1.0)),
    ({113: 1}, None, None, 300, ("known", 1.0)),
    ({70: 1}, None, None, 300, ("missing", None)),
    ({114: 1}, None, None, 300, ("missing", None)),
    # Of two equally far from the middle, day 92, the later one; else the nearer one.
    ({91: 0, 93: 1}, None, None, 300, ("known", 1.0)),
    ({90: 0, 93: 1, 113: 0}, None, None, 300, ("known", 1.0)),
    ({}, None, None, 112, ("pending", None)),
    ({}, None, None, 113, ("missing", None)),
    ({}, 113, None, 300, ("known", 0.0)),
    ({}, 114, None, 300, ("missing", None)),
    ({80: 1}, 80, None, 300, ("known", 1.0)),
    ({80: 1}, 79, None, 300, ("known", 0.0)),
    ({}, None, 100, 105, ("missing", None)),
    ({}, None, 113, 112, ("pending", None)),
]  # fmt: skip


@pytest.mark.parametrize(("seen", "died", "left", "cut", "outcome"), BOUNDS)
def test_bounds_of_the_days(seen, died, left, cut, outcome):
    """Day 1 is the day of the first infusion, and the first and the last day of the assessment belong to it."""

    def on(day):
        return FIRST + timedelta(days=day - 1)

    patient = made_up.patient("P1", 1, 1)
    patient = replace(
        patient,
        infusions=(FIRST,),
        last_contact=None,
        died=None if died is None else on(died),
        discontinued=None if left is None else on(left),
        assessments=tuple(Assessment(float(value), on(day), "row") for day, value in seen.items()),
    )
    found = outcome_of(known_by(patient, on(cut)), 1, AS.efficacy, on(cut))
    assert (found.kind, found.value) == outcome


@pytest.mark.parametrize(
    ("left", "cut", "outcome"), [(40, 50, "pending"), (40, 112, "pending"), (40, 113, 0.0), (None, 112, "pending")]
)
def test_no_response_is_not_counted_before_the_visit_is_over(left, cut, outcome):
    """With missing assessments as no response, a patient who left would otherwise count before those who stayed."""
    day = [FIRST + timedelta(days=each - 1) for each in (left or 1, cut)]
    patient = replace(
        made_up.patient("P1", 1, 1), infusions=(FIRST,), last_contact=None, discontinued=None if left is None else day[0]
    )
    found = outcome_of(known_by(patient, day[1]), 1, AS.efficacy.model_copy(update={"missing": "no-response"}), day[1])
    assert (found.kind if found.value is None else found.value) == outcome


def test_strategies_of_the_estimand(tmp_path):
    observed = outcomes(tmp_path, protocol(**BINARY, rescue="treatment-policy"))[1]
    assert (observed["A-4"], observed["A-3"], observed["A-7"]) == (("known", 1.0), ("missing", None), ("known", 0.0))
    failed = outcomes(tmp_path, protocol(**BINARY, missing="no-response"))[1]
    assert failed["A-8"] == ("known", 0.0)
    # A-5 left before a visit that is not over yet.
    assert failed["A-5"] == failed["A-6"] == ("pending", None)


def test_death_after_the_assessment_leaves_it_as_it_was(tmp_path):
    people = (
        "B-1,1,2024-01-01,2024-05-01,no,,,,2024-05-01,yes,2024-03-25,\nB-2,1,2024-01-02,2024-03-26,no,,,,2024-03-26,yes,2024-03-26,"
    )
    assert set(outcomes(tmp_path, AS, people=people)[1].values()) == {("known", 1.0)}


def test_replay_does_not_know_later_assessments(tmp_path):
    patients = read(tmp_path, AS)
    found = response_outcomes(dsf.evaluate(patients, AS, date(2024, 3, 1), replay=True), AS)
    kinds = {one.subject: one.kind for one in found.outcomes}
    assert kinds["A-1"] == "pending"
    assert kinds["A-3"] == "known"


CHANGES = """
C-1,1,2024-01-01,2024-06-01,no,,,,,-2.5,2024-03-25,,14
C-2,1,2024-01-02,2024-06-01,no,,,,,1,2024-03-25,,16.5
C-3,3,2024-01-03,2024-06-01,no,,,,,-6,2024-03-25,,18
C-4,5,2024-01-04,2024-02-10,no,,,,2024-02-10,,,,20
"""


def test_change_with_its_baseline(tmp_path):
    rules = protocol(**CHANGE)
    found, by_patient = outcomes(tmp_path, rules, people=CHANGES, head=f"{HEAD},response_baseline")
    assert by_patient == {"C-1": ("known", -2.5), "C-2": ("known", 1.0), "C-3": ("known", -6.0), "C-4": ("known", 8.0)}
    assert [one.baseline for one in found.outcomes] == [14.0, 16.5, 18.0, 20.0]
    summary = dsf.analyze(rules, "1NN 2N 3N", responses=found).summary
    again = ChangePosterior(
        *((1, 3, 5), [1, 1, 2, 3], [-2.5, 1.0, -6.0, 8.0], ChangePrior(residual_sd=4.0)),
        baseline=[14, 16.5, 18, 20],
        better="lower",
    )
    np.testing.assert_allclose(summary["change_mean"], again.mean(), rtol=1e-12)
    among = summary.attrs["efficacy"]["among"]
    np.testing.assert_allclose(summary["p_best_change"], again.p_best(among, ties="shared"), rtol=1e-12)
    worth = again.predictive_mean(CHANGE["points"]) - 40.0 * summary["mean"].values
    np.testing.assert_allclose(summary["expected_utility_of_change"], worth, rtol=1e-9)


def test_choice_by_a_change_has_limits_and_sensitivities(tmp_path):
    """Decided only within the stated limits; each smallest change, made in the config, makes two doses equal."""
    people = {"people": CHANGES, "head": f"{HEAD},response_baseline"}
    loose = protocol(**CHANGE, limits={"p_best": 0.0, "loss": 100.0})
    found = outcomes(tmp_path, loose, **people)[0]
    given = "1NN 2N 3N"
    assert not dsf.analyze(loose, given, responses=found).summary.attrs["efficacy"]["undecided"]
    tight = protocol(**CHANGE, limits={"p_best": 0.999, "loss": 0.001})
    record = dsf.analyze(tight, given, responses=found).summary.attrs["efficacy"]
    assert {"p_best", "loss"} <= set(record["because"])
    levels = {bar["outcome"] for bar in record["tornado"]}
    assert levels == {"dlt_loss", *(f"{change:g}" for change, _utility in CHANGE["points"])}
    altered = [one for one in record["smallest_changes"] if one["change"] is not None]
    assert altered
    for one in altered:
        changed = dict(CHANGE)
        if one["outcome"] == "dlt_loss":
            changed["dlt_loss"] = CHANGE["dlt_loss"] + one["change"]
        else:
            changed["points"] = [(x, u + one["change"] * (f"{x:g}" == one["outcome"])) for x, u in CHANGE["points"]]
        worth = dsf.analyze(protocol(**changed), given, responses=found).summary["expected_utility_of_change"].values
        assert worth[one["level"] - 1] == pytest.approx(worth[record["choice"] - 1], abs=1e-7)


def test_more_response_outcomes_than_patients_are_refused():
    with pytest.raises(dsf.InputError, match="level 2 has 3"):
        dsf.analyze(AS, "1NNN 2NNN", responses="1/3 2/4 0/0")
    assert dsf.analyze(AS, "1NNN 2NNN", responses="1/3 2/3 0/0").summary.attrs["efficacy"]["among"] == [1, 2]


def test_comparison_by_utility_is_that_of_the_posteriors():
    record = dsf.analyze(AS, "1NNNNNN 2NNNNNN 3NNNNNT", responses="1/6 3/6 4/6").summary.attrs["efficacy"]
    found = record["settle_by_utility"]
    assert sorted(found["levels"])[-1] == 3
    assert np.all(np.diff(found["p_correct"]) > 0)
    assert np.all(np.diff(found["gain"]) > 0)
    assert min(found["gain"]) > 0


def test_death_needs_the_worst_change(tmp_path):
    rules = protocol(**{key: value for key, value in CHANGE.items() if key != "worst"})
    with pytest.raises(dsf.InputError, match=r"efficacy\.worst.*C-4"):
        outcomes(tmp_path, rules, people=CHANGES, head=f"{HEAD},response_baseline")


LONG = """subject,parameter,visit,date,value,baseline
A-1,MELD,Baseline,2023-12-30,15,Y
A-1,MELD,Week 12,2024-03-25,12,
A-1,MELD,Week 8,2024-02-26,13,
A-1,ALT,Week 12,2024-03-25,40,
A-2,MELD,Baseline,2024-01-14,17,Y
A-2,MELD,Week 12,2024-04-08,,
A-3,MELD,Week 12,2024-04-22,11,
"""


def test_long_table_of_parameters_and_visits(tmp_path):
    """One visit within the days is read, every other row is kept or listed with its reason, and none is lost."""
    rules = protocol(**CHANGE, visit="Week 12")
    head, people = HEAD.split(",response")[0], "\n".join(line.rsplit(",", 3)[0] for line in PEOPLE.strip().splitlines())
    patients = read(tmp_path, rules, people, head, LONG)
    assert patients.rows == 8 + 7
    assert [(one.source.rpartition(" ")[2], one.reason) for one in patients.listed] == [
        ("5", "not used: another parameter"),
        ("7", "not used: no result"),
    ]
    found = response_outcomes(dsf.evaluate(patients, rules, date(2024, 6, 1)), rules)
    by_patient = {one.subject: (one.kind, one.value, one.baseline) for one in found.outcomes}
    assert by_patient["A-1"] == ("known", -3.0, 15.0)
    # No result of the visit, and no baseline.
    assert by_patient["A-2"] == ("missing", None, 17.0)
    assert by_patient["A-3"][0] == "missing"


def test_the_sheet_of_a_workbook_is_read_as_the_table(tmp_path):
    """The same rows from the sheet ``assessments``, each kept or listed; without an endpoint the sheet is refused."""
    openpyxl = pytest.importorskip("openpyxl")
    rules = protocol(**CHANGE, visit="Week 12")
    head, people = HEAD.split(",response")[0], "\n".join(line.rsplit(",", 3)[0] for line in PEOPLE.strip().splitlines())
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, lines in (("patients", [head, *people.splitlines()]), ("assessments", LONG.strip().splitlines())):
        sheet = book.create_sheet(title)
        for line in lines:
            sheet.append([cell or None for cell in line.split(",")])
    book.save(tmp_path / "trial.xlsx")
    found = dsf.read_patients(tmp_path / "trial.xlsx", rules)
    wanted = read(tmp_path, rules, people, head, LONG)
    assert found.rows == wanted.rows
    assert [one.reason for one in found.listed] == [one.reason for one in wanted.listed]
    seen, known = ([[(a.value, a.day) for a in p.assessments] for p in data.patients] for data in (found, wanted))
    assert seen == known
    with pytest.raises(dsf.InputError, match="assessments, which needs the table efficacy"):
        dsf.read_patients(tmp_path / "trial.xlsx", dsf.load_protocol(CONFIG))


def test_columns_and_a_table_exclude_each_other(tmp_path):
    with pytest.raises(dsf.InputError, match=r"row 2.*second result"):
        read(tmp_path, AS, assessments="subject,value,date\nA-1,yes,2024-03-25\n")


def test_names_of_adam_are_read(tmp_path):
    rules = protocol(**BINARY)
    head, people = HEAD.split(",response")[0], "\n".join(line.rsplit(",", 3)[0] for line in PEOPLE.strip().splitlines())
    table = "USUBJID,PARAMCD,AVISIT,ADT,AVALC\nA-1,ASAS20,Week 12,2024-03-25,Y\nA-2,ASAS20,Week 12,2024-04-08,N\n"
    patients = read(tmp_path, rules, people, head, table)
    found = response_outcomes(dsf.evaluate(patients, rules, date(2024, 6, 1)), rules)
    assert (found.n.tolist(), found.responses.tolist()) == ([2, 0, 1], [1, 0, 0])


def test_assessments_beside_sdtm(tmp_path):
    """A folder of SDTM domains has no endpoint: its assessments are a table of their own, with every row kept or listed."""
    made = dsf.synthesize(protocol(**BINARY), "low", seed=3, response=[0.2, 0.5, 0.5])
    made.write(tmp_path / "trial")
    seen = [(patient.subject, patient.assessments[0]) for patient in made.patients.patients if patient.assessments]
    rows = [f"{subject},ASAS20,{one.day},{'Y' if one.value else 'N'}" for subject, one in seen]
    (tmp_path / "adeff.csv").write_text("\n".join(["USUBJID,PARAMCD,ADT,AVALC", *rows, f"{seen[0][0]},BASDAI,2024-01-01,3"]))
    patients = dsf.read_patients(tmp_path / "trial" / "sdtm-csv", made.protocol, assessments=tmp_path / "adeff.csv")
    found, wanted = (response_outcomes(dsf.evaluate(data, made.protocol), made.protocol) for data in (patients, made.patients))
    assert (found.n == wanted.n).all()
    assert (found.responses == wanted.responses).all()
    assert [one.reason for one in patients.listed] == ["not used: another parameter"]


BAD = [
    (BINARY, "A-1,1,2024-01-01,2024-06-01,no,,,,,perhaps,2024-03-25,", "row 2.*response.*yes or no"),
    (BINARY, "A-1,1,2024-01-01,2024-06-01,no,,,,,yes,2023-03-25,", "row 2.*response_date.*first infusion"),
    (BINARY, "A-1,1,2024-01-01,2024-06-01,no,,,,,,2024-03-25,", "row 2.*response.*response_date"),
    (BINARY, "A-1,1,2024-01-01,2024-06-01,no,,,,,yes,2024-03-25,2023-12-01", "row 2.*rescue.*first infusion"),
    (CHANGE, "A-1,1,2024-01-01,2024-06-01,no,,,,,better,2024-03-25,", "row 2.*response.*number"),
    (CHANGE, "A-1,1,2024-01-01,2024-06-01,no,,,,,1e12,2024-03-25,", "row 2.*response.*number"),
]


@pytest.mark.parametrize(("efficacy", "people", "message"), BAD)
def test_bad_outcomes_are_named(tmp_path, efficacy, people, message):
    with pytest.raises(dsf.InputError, match=message):
        read(tmp_path, protocol(**efficacy), people)


BAD_TABLES = [
    ("subject,value,date\nA-1,yes,2024-03-25\nA-1,no,2024-03-25\n", "row 3.*second result"),
    ("subject,value\nX-9,yes\n", "X-9.*not a subject"),
    ("subject,day\nA-1,3\n", "value or change.*missing"),
    ("subject,value,date\nA-1,yes,25 March\n", "row 2.*date"),
]


@pytest.mark.parametrize(("table", "message"), BAD_TABLES)
def test_bad_tables_are_named(tmp_path, table, message):
    head, people = HEAD.split(",response")[0], "\n".join(line.rsplit(",", 3)[0] for line in PEOPLE.strip().splitlines())
    with pytest.raises(dsf.InputError, match=message):
        read(tmp_path, AS, people, head, table)


def test_assessments_need_the_table_of_the_config(tmp_path):
    rules = dsf.load_protocol(CONFIG)
    with pytest.raises(dsf.InputError, match="table efficacy"):
        read(tmp_path, rules, assessments=LONG)
    with pytest.raises(dsf.InputError, match="efficacy"):
        dsf.analyze(rules, "1NNN", responses="1/3 0/0 0/0")


def test_an_amendment_can_change_the_endpoint():
    table = AS.model_dump(exclude_unset=True) | {"amendment": [{"date": date(2024, 2, 1), "efficacy": {"days": [80, 120]}}]}
    (_, first), (_, second) = dsf.Protocol.read(table).versions
    assert (first.efficacy.days, second.efficacy.days) == ((71, 113), (80, 120))


BAD_CONFIGS = [
    ({"days": [113, 71]}, "days"),
    ({"utilities": {"response": 30.0, "neither": 40.0, "response_and_dlt": 60.0, "dlt": 0.0}}, "efficacy.utilities"),
    ({"least_rate": 0.2}, "least_rate and futility"),
    ({"kind": "change", "utilities": None}, "better and residual_sd"),
    ({"worst": 3.0}, "needs kind"),
    ({"limits": {"p_best": 80.0, "loss": 3.0}}, r"limits\.p_best"),
    ({"prior": [0.0, 1.0]}, "prior"),
]


@pytest.mark.parametrize(("changed", "message"), BAD_CONFIGS)
def test_bad_configs_are_named(changed, message):
    with pytest.raises(dsf.InputError, match=message):
        protocol(**BINARY | changed)


@pytest.mark.parametrize(("efficacy", "people", "head"), [(BINARY, PEOPLE, HEAD), (CHANGE, CHANGES, f"{HEAD},response_baseline")])
def test_written_and_read_back(tmp_path, efficacy, people, head):
    """A negative change is written as a number, not as text that a spreadsheet could take for a formula."""
    patients = read(tmp_path, protocol(**efficacy), people, head)
    text = csv_text(plain_tables(patients)["patients"])
    again = read(tmp_path, protocol(**efficacy), text.partition("\n")[2], text.partition("\n")[0])

    def recorded(found):
        return [(patient.rescued, [seen._replace(source="") for seen in patient.assessments]) for patient in found.patients]

    assert recorded(patients) == recorded(again)


def test_synthetic_trial_has_the_endpoint():
    """Simulated responses are read as recorded, and no other part of the trial changes with them."""
    trial = dsf.load_trial(CONFIG)
    plain = dsf.synthesize(trial, "low", seed=3)
    for efficacy, truth in ((BINARY, [0.0, 1.0, 1.0]), (CHANGE, [-1.0, -2.0, -3.0])):
        made = dsf.synthesize(protocol(**efficacy), "low", seed=3, response=truth)
        pairs = zip(made.patients.patients, plain.patients.patients, strict=True)
        assert all(patient.infusions == other.infusions for patient, other in pairs)
        found = response_outcomes(dsf.evaluate(made.patients, made.protocol), made.protocol)
        assert found.n.sum() > 5
        if efficacy is BINARY:
            assert (found.responses == found.n * np.array(truth)).all()
    with pytest.raises(dsf.InputError, match="response"):
        dsf.synthesize(protocol(**BINARY), "low", response=[0.2, 0.4])
    with pytest.raises(dsf.InputError, match="efficacy"):
        dsf.synthesize(trial, "low", response=[0.2, 0.4, 0.5])


# The record joined with toxicity.

OUTCOMES = "1NNN 1NNN 2NNN 2NNN 3NNT 3NNN"


def test_joined_record_is_that_of_its_parts():
    found = dsf.analyze(AS, OUTCOMES, responses="1/6 3/6 4/6")
    summary, record = found.summary, found.summary.attrs["efficacy"]
    response = IndependentPrior(doses=(1.0, 3.0, 5.0)).after([6, 6, 6], [1, 3, 4])
    again = expected_utility(found.posterior, response, AS.efficacy.utilities, (1, 2, 3))
    np.testing.assert_allclose(summary["expected_utility"][0], again.mean.value, rtol=1e-12)
    np.testing.assert_allclose(summary["p_largest_utility"][0], again.p_best.value, rtol=1e-12)
    np.testing.assert_allclose(summary["expected_loss"][0], again.loss.value, rtol=1e-12)
    assert record["choice"] == again.choice().level
    assert record["undecided"]
    assert record["because"] == ["p_best", "loss"]
    assert summary.sizes["response_prior"] == 3
    stage = randomised_stage(response, (2, 3), 20)
    assert record["settle"]["levels"] == [2, 3]
    assert record["settle"]["p_correct"][record["settle"]["sizes"].index(20)] == stage.p_correct
    np.testing.assert_allclose(summary["utility_by_prior_times"][1], summary["expected_utility"][0], rtol=1e-12)
    np.testing.assert_allclose(summary["utility_by_curve"][0], summary["expected_utility"][0], rtol=1e-12)


def test_missing_assessments_in_both_directions():
    nobody = np.zeros(3, int)
    given = Responses(np.array([6, 5, 6]), np.array([1, 3, 4]), nobody, np.array([0, 1, 0]), nobody)
    summary = dsf.analyze(AS, OUTCOMES, responses=given).summary
    for place, counts in enumerate(("1/6 3/6 4/6", "1/6 4/6 4/6")):
        again = dsf.analyze(AS, OUTCOMES, responses=counts).summary["expected_utility"].values[0]
        np.testing.assert_allclose(summary["utility_by_missing"].values[place], again, rtol=1e-12)


def test_overdoses_and_futile_doses_are_not_considered():
    rules = protocol(**BINARY, least_rate=0.2, futility=0.5)
    record = dsf.analyze(rules, "1NNNNNN 2NNNNNN 3NNTTTT", responses="0/6 3/6 6/6").summary.attrs["efficacy"]
    assert record["excluded"] == {"overdose": [3], "futile": [1]}
    assert record["among"] == [2]
    assert record["settle"] is None


UNKNOWN = [
    ("1NNN 2NNN 3NNN", "0/3 0/3 0/3", {"no_responses"}),
    ("1NNN", "1/3 0/0 0/0", {"one_dose_tried", "untried_doses"}),
    ("1NNN 2NNN 3NNN", "0/0 0/0 0/0", {"dlt_data_without_responses"}),
    ("", "1/3 2/3 1/3", {"responses_without_dlt_data"}),
    ("", "0/0 0/0 0/0", {"no_patients"}),
]


@pytest.mark.parametrize(("given", "responses", "codes"), UNKNOWN)
def test_what_is_not_known_is_said(given, responses, codes):
    record = dsf.analyze(AS, given, responses=responses).summary.attrs["efficacy"]
    assert {one["code"] for one in record["unknown"]} >= codes
    assert record["undecided"]
    if "no_patients" in codes or codes & {"responses_without_dlt_data", "dlt_data_without_responses"}:
        assert record["choice"] is None


def test_a_dose_alone_is_not_compared():
    """With one dose considered no P(largest utility) is shown, and of untried doses no utility, which would be the prior's."""
    shown = Shown(dsf.analyze(AS, "1NNN", responses="1/3 0/0 0/0").summary)
    rows = [[as_string(cell) for cell in row] for row in shown.by_dose().rows]
    assert [row[-2:] for row in rows] == [["\u2013", "\u2013"]] * 3
    assert [row[-3] for row in rows][1:] == ["\u2013", "\u2013"]
    assert "undecided" in as_string(shown.answers()[0])
    # Each level without data is named in one caution.
    assert sum("levels 2, 3" in as_string(words) or "level 2" in as_string(words) for words in shown.cautions()) <= 1


def test_all_pending_is_said():
    nobody, three = np.zeros(3, int), np.array([3, 0, 0])
    found = dsf.analyze(AS, "1NNN", responses=Responses(nobody, nobody, three, nobody, nobody)).summary.attrs["efficacy"]
    assert "all_responses_pending" in {one["code"] for one in found["unknown"]}


def test_without_utilities_doses_are_not_compared():
    rules = protocol(endpoint="ASAS20", days=[71, 113])
    summary = dsf.analyze(rules, OUTCOMES, responses="1/6 3/6 4/6").summary
    assert "expected_utility" not in summary
    assert "choice" not in summary.attrs["efficacy"]
    assert rules.efficacy.utilities is None


@pytest.mark.parametrize("given", ["1/6 3/6", "7/6 3/6 1/6", "a/6 3/6 1/6", "1-6 3/6 1/6", ""])
def test_bad_counts_of_responses_are_named(given):
    with pytest.raises(dsf.InputError, match="responses"):
        dsf.analyze(AS, OUTCOMES, responses=given)


def _outcomes():
    with TemporaryDirectory() as folder:
        test_outcome_of_each_patient(Path(folder))


FAULTS = {
    "a death left out": ("dosefind.efficacy.responses:_events", lambda old: lambda patient, efficacy: [], _outcomes),
    "a visit on any day": (
        "dosefind.efficacy.responses:_study_day",
        lambda old: lambda patient, day: old(patient, day) + 40,
        _outcomes,
    ),
}
test_fault_is_caught = faults(FAULTS)


def test_settle_is_the_comparison_of_the_posterior():
    """The default levels have the highest rates; the number needed is the first that reaches the wanted probability."""
    found = dsf.settle(AS, "1/6 3/6 4/6", wanted=0.75)
    after = IndependentPrior(doses=(1.0, 3.0, 5.0)).after([6, 6, 6], [1, 3, 4])
    assert found.attrs["levels"] == [2, 3]
    needed = dsf.patients_needed(after, (2, 3), 0.75)
    assert found.attrs["needed"] == needed.n
    for n, p in zip(found["n"], found["p_correct"], strict=True):
        assert p == randomised_stage(after, (2, 3), n).p_correct
    assert dsf.settle(AS, "1/6 3/6 4/6", levels=(1, 3), wanted=0.999, most=3).attrs["needed"] == 0
    for given, message in (("1/6 0/0 0/0", "two doses"), ("1/6", "responses")):
        with pytest.raises(dsf.InputError, match=message):
            dsf.settle(AS, given)
    with pytest.raises(dsf.InputError, match="efficacy"):
        dsf.settle(protocol(**CHANGE), "1/6 3/6 4/6")


COMMANDS = [
    (["analyze", "--patients", "patients.csv"], 0, "Undecided"),
    (["analyze", "--outcomes", "1NNN 2NNN 3NNT", "--responses", "0/3 1/3 2/3"], 0, "P(largest utility)"),
    (["analyze", "--outcomes", "1NNN", "--responses", "1/6"], 2, "responses"),
    (["analyze", "--patients", "patients.csv", "--responses", "1/6 0/0 0/0"], 2, "--assessments"),
    (["analyze", "--outcomes", "1NNN", "--assessments", "x.csv"], 2, "need --patients"),
    (["settle", "--patients", "patients.csv"], 0, "patients per dose"),
    (["settle", "--responses", "1/6 3/6 4/6", "--levels", "1,2,3", "--margin", "0.1"], 0, "levels 1, 2, 3"),
    (["settle"], 2, "either --responses or --patients"),
    (["settle", "--responses", "1/6 3/6 4/6", "--levels", "1,x"], 2, "--levels"),
]


@pytest.mark.parametrize(("words", "status", "text"), COMMANDS)
def test_commands(words, status, text):
    folder = peers.ROOT / "examples" / "nct05962762" / "dose-selection"
    command, *options = [str(folder / word) if word == "patients.csv" else word for word in words]
    found = CliRunner().invoke(main, [command, str(folder / "trial.toml"), *options])
    assert found.exit_code == status
    assert text in found.output


def test_saved_and_read_back(tmp_path):
    found = dsf.analyze(AS, OUTCOMES, responses="1/6 3/6 4/6")
    found.tree(draws=20).to_netcdf(tmp_path / "found.nc", engine="h5netcdf")
    again = dsf.read_result(tmp_path / "found.nc")
    assert again.attrs["efficacy"] == found.summary.attrs["efficacy"]
    np.testing.assert_array_equal(again["p_largest_utility"], found.summary["p_largest_utility"])


@pytest.mark.slow
def test_draws_of_toxicity_give_the_same_record():
    """With the DLT rates by NUTS, within five of the stated errors of quadrature."""
    exact, drawn = (
        dsf.analyze(AS, OUTCOMES, responses="1/6 3/6 4/6", engine=engine, draws=300).summary for engine in ("quadrature", "nuts")
    )
    for name in ("expected_utility", "p_largest_utility", "expected_loss"):
        error = exact[f"{name}_error"].values + drawn[f"{name}_error"].values
        assert (np.abs(exact[name].values - drawn[name].values) <= 5 * error + 1e-6).all()


def test_report_has_the_section():
    """The conduct report shows the section with both charts; a blinded one with placebo does not show single patients."""
    folder = peers.ROOT / "examples" / "nct05962762" / "dose-selection"
    trial = dsf.load_trial(folder / "trial.toml")
    patients = dsf.read_patients(folder / "patients.csv", trial.protocol, events=folder / "events.csv")
    sections = dsf.report(trial, patients).sections
    (section,) = (part for part in sections if part.id == "efficacy")
    pictures = [block for block in section.blocks if isinstance(block, Figure)]
    assert len(pictures) == 2
    assert {part.id for part in section.sections} >= {"estimand", "utilities", "settle", "responses"}
    assert any("Undecided" in as_string(item) for block in section.blocks if isinstance(block, Bullets) for item in block.items)
    # The first page states it too.
    answers = next(block for block in sections[0].blocks if isinstance(block, Answers))
    assert any("ASAS20" in as_string(reason) for answer in answers.items for reason in answer.because)
    evaluated = dsf.evaluate(patients, trial.protocol)
    responses = response_outcomes(evaluated, trial.protocol)
    shown = Shown(dsf.analyze(trial, evaluated.cohorts(), responses=responses, predicts=False).summary)
    (hidden,) = shown.section(document=True, hides=True)
    assert "responses" not in {part.id for part in hidden.sections}


def test_counts_of_responses_are_refused_for_a_change():
    config = peers.ROOT / "examples" / "nct05948982" / "dose-selection" / "trial.toml"
    with pytest.raises(dsf.InputError, match="responses"):
        dsf.analyze(dsf.load_trial(config), "1NNN 2NNN 3NNT", responses="0/3 1/3 2/3")


def test_a_posterior_that_cannot_be_trusted_decides_nothing(monkeypatch):
    """Draws with problems, or P(overdose) within its error of the limit, leave the choice undecided, with the reason."""
    from dosefind.posterior.exact import ExactPosterior

    trial = dsf.load_trial(peers.ROOT / "examples" / "nct05962762" / "dose-selection" / "trial.toml")
    given = ("1NNN 2NNN 3NNT", {"responses": "0/3 1/3 2/3"})
    plain = dsf.analyze(trial, given[0], **given[1]).summary.attrs["efficacy"]
    assert "draws" not in plain["because"]
    monkeypatch.setattr(ExactPosterior, "problems", lambda self: ["r-hat 1.5"])
    doubted = dsf.analyze(trial, given[0], **given[1]).summary.attrs["efficacy"]
    assert doubted["undecided"]
    assert "draws" in doubted["because"]
