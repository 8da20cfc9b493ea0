"""Dose assigned and dose administered: where each is read, what is one infusion, who is evaluable, what is a deviation."""

from collections import Counter
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dosefind as dsf
from dosefind.conduct import OTHER_LEVEL, findings
from dosefind.evaluability import evaluate
from dosefind.intake.assigned import ArmNames, matched
from dosefind.intake.writing import csv_text, plain_tables, sdtm_domains

from .made_up import day, event, patient, protocol, trial
from .patient_files import write_csv, write_domains
from .planted import faults
from .quick import examples

AS, DLC = "nct05962762", "nct05948982"
UNIT = "10^6 cells/kg"
DAY = "2024-03-01"
# Three infusions within the DLT window, at the doses of the first protocol.
COURSE = protocol(AS, treatment={"infusion_days": [1, 29, 57], "dlt_window_days": 84})


def subject(given, arms=None, name="S1", **cells):
    """Rows of DM and EX of one subject; ``given`` has (start, amount) pairs."""
    dm = {"USUBJID": name, "RFPENDTC": "2024-06-01"} | (arms or {})
    ex = [
        {"USUBJID": name, "EXTRT": "UCMSC", "EXDOSE": amount, "EXDOSU": UNIT, "EXSTDTC": start} | cells for start, amount in given
    ]
    return dm, ex


def read(folder, *subjects, rules=None, **more):
    """Patients of an SDTM folder with these subjects, all of whose rows are accounted for."""
    rules = rules or protocol(AS)
    tables = {"dm": [dm for dm, _ in subjects], "ex": [row for _, rows in subjects for row in rows], **more}
    tables = {
        name: [dict.fromkeys({key: "" for row in rows for key in row}, "") | row for row in rows] for name, rows in tables.items()
    }
    found = dsf.read_patients(write_domains(folder / "sdtm", tables, "csv"), rules)
    named = Counter(source for one in found.patients for source in one.source)
    named += Counter(event.source for one in found.patients for event in one.events or ())
    named += Counter(row.source for row in found.listed)
    assert found.rows == sum(map(len, tables.values())) == named.total() == len(named)
    return found


def only(folder, given, arms=None, rules=None, **cells):
    (one,) = read(folder, subject(given, arms, **cells), rules=rules).patients
    return one


# The assigned level.


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("DL1", 1),
        ("dl 02", 2),
        ("Dose level 3", 3),
        ("DOSE_LEVEL_2", 2),
        ("LEVEL1", 1),
        ("Level 1: 1 (10^6 cells/kg)", 1),
        ("UC-MSC 3 x 10^6 cells/kg", 2),
        ("5 × 10⁶ cells / kg", 3),
        ("Cohort 2, dose level 1", 1),
        ("1.0 x 10^6 cells/kg (DL1)", 1),
        ("DL2, 3 x 10^6 cells/kg", 2),
        # Minus one, a cohort, no such level, two levels, a number and an amount that disagree.
        ("DL-1", None),
        ("Level -1", None),
        ("Cohort 1", None),
        ("Level 4", None),
        ("Level 0", None),
        ("DL1A", None),
        ("Level 1.5", None),
        ("DL1 to DL2", None),
        ("Dose level 1/2", None),
        ("1 to 3 x 10^6 cells/kg", None),
        ("1-3 x 10^6 cells/kg", None),
        ("2 x 10^6 cells/kg", None),
        ("Level 2 (1 x 10^6 cells/kg)", None),
        ("1,000 x 10^6 cells/kg", None),
        ("1 x 10^6 cells/kg/day", None),
        ("UC-MSC", None),
        ("A", None),
        ("", None),
    ],
)
def test_names_of_arms(name, level):
    assert ArmNames(protocol(AS)).level(name) == level


@pytest.mark.parametrize(
    ("unit", "name", "level"),
    [("mg", "100 mg", 1), ("mg", "100MG BID", 1), ("mg", "100 mg/m2", None), ("mg/m^2", "100 mg/m^2", 1), ("mg", "1100 mg", None)],
)
def test_amounts_in_names_need_the_unit(unit, name, level):
    doses = {"amounts": [100, 200, 300], "unit": unit, "reference": {"amount": 200, "unit": unit}}
    assert ArmNames(protocol(AS, doses=doses)).level(name) == level


@pytest.mark.parametrize(
    ("arms", "cells", "level", "by"),
    [
        ({"ARMCD": "DL1", "ARM": "Dose level 1"}, {}, 1, "ARMCD"),
        ({"ARM": "1 x 10^6 cells/kg"}, {}, 1, "ARM"),
        # The actual arm before the planned one, the arm before the row of the infusion.
        ({"ARMCD": "DL2", "ACTARMCD": "DL1"}, {}, 1, "ACTARMCD"),
        ({"ARMCD": "DL1", "ACTARMCD": "UNPLANNED"}, {}, 1, "ARMCD"),
        ({"ARM": "DL1"}, {"EXTRT": "UCMSC DL3"}, 1, "ARM"),
        ({"ARM": "A"}, {"EXTRT": "UCMSC 3 x 10^6 cells/kg"}, 2, "EXTRT"),
        ({}, {"EPOCH": "DOSE LEVEL 3"}, 3, "EPOCH"),
        ({"ARM": "Arm B"}, {}, 2, "ARM"),
        # No assignment: by the amount.
        ({"ARM": "Cohort 3"}, {}, 1, None),
        ({}, {}, 1, None),
    ],
)
def test_where_the_assignment_is_read(tmp_path, arms, cells, level, by):
    rules = protocol(AS, doses={"arms": {"arm b": 2}})
    one = only(tmp_path, [(DAY, "1")], arms, rules, **cells)
    amount = (1, 3, 5)[level - 1]
    assert (one.level, one.amount, one.assigned_by) == (level, amount, by)
    assert one.administered == (1,)
    assert one.amounts == (() if level == 1 else (1,))


def test_arms_that_disagree_and_arms_that_say_nothing_are_noted(tmp_path):
    found = read(
        tmp_path,
        subject([(DAY, "1")], {"ARMCD": "DL1", "ACTARMCD": "DL2"}, "S1"),
        subject([(DAY, "1")], {"ARMCD": "ARM-X", "ACTARMCD": ""}, "S2"),
    )
    assert any(note.startswith("subject S1: ACTARMCD assigns level 2, and ARMCD level 1") for note in found.notes)
    assert any("ARM-X" in note and "doses.arms" in note for note in found.notes)
    assert [one.level for one in found.patients] == [2, 1]


def test_the_arm_of_a_subject_on_placebo_assigns_nothing(tmp_path):
    one = only(tmp_path, [(DAY, "0")], {"ARM": "Dose level 1"}, EXTRT="PLACEBO")
    assert (one.part, one.level, one.assigned_by) == ("placebo", None, None)


@pytest.mark.parametrize(
    ("columns", "level", "by"),
    [
        ({"TRT01A": "UC-MSC 3 x 10^6 cells/kg"}, 2, "TRT01A"),
        ({"ACTARM": "DL1", "TRT01A": "DL2"}, 1, "ACTARM"),
        ({"DOSE01P": "3", "DOSE01U": UNIT}, 2, "DOSE01P"),
        ({"DOSE01P": "3"}, 2, "DOSE01P"),
        ({"DOSE01P": "3", "DOSE01U": "mg"}, 1, None),
        ({"TRT01P": "Dose level 3"}, 3, "TRT01P"),
    ],
)
def test_assignments_of_adam(tmp_path, columns, level, by):
    """ADOSE is the dose administered, whatever the amount collected in EXDOSE."""
    adex = {"USUBJID": "S1", "ASTDT": DAY, "ADOSE": "0.9", "EXDOSE": "1", "ADOSEU": UNIT, "PARAMCD": "DOSE", "AVAL": "7"}
    rules = protocol(AS, doses={"tolerance": 0.15})
    tables = {"adsl": [{"USUBJID": "S1", "LSTALVDT": "2024-06-01"} | columns], "adex": [adex, adex | {"PARAMCD": "DUR"}]}
    found = dsf.read_patients(write_domains(tmp_path / "adam", tables, "csv"), rules)
    (one,) = found.patients
    assert (one.level, one.assigned_by, one.administered) == (level, by, (0.9,))
    assert (found.rows, len(found.listed)) == (3, 1)


# Amounts without an assignment.


@pytest.mark.parametrize(
    ("amount", "tolerance", "level"),
    [
        ("1.000", 0.0, 1),
        ("0.98", 0.0, None),
        ("1.03", 0.0, None),
        ("0.98", 0.05, 1),
        ("1.03", 0.05, 1),
        ("0.95", 0.05, 1),
        ("1.05", 0.05, 1),
        ("1.06", 0.05, None),
        ("3.15", 0.05, 2),
        ("2.0", 0.19, None),
        ("2.5", 0.19, 2),
    ],
)
def test_the_tolerance_is_set(tmp_path, amount, tolerance, level):
    rules = protocol(AS, doses={"tolerance": tolerance})
    one = only(tmp_path, [(DAY, amount)], rules=rules)
    assert one.level == level
    assert one.administered == (float(amount),)
    assert one.amount == (float(amount) if level is None else rules.doses.amounts[level - 1])
    assert matched(amount, rules.doses) == (level, float(amount))


@pytest.mark.parametrize(
    ("amounts", "tolerance", "allowed"),
    [
        ([1, 3, 5], 0.2, "must be below 0.2"),
        ([1, 3, 5], 0.5, "must be below 0.2"),
        ([1, 1.1, 5], 0.05, "must be below 0.04545"),
        ([10, 20, 21], 0.03, "must be below 0.02381"),
    ],
)
def test_a_tolerance_of_half_the_gap_is_refused(amounts, tolerance, allowed):
    doses = {"amounts": amounts, "reference": {"amount": amounts[1], "unit": UNIT}}
    with pytest.raises(dsf.InputError, match=rf"doses\.tolerance.* {allowed}"):
        protocol(AS, doses=doses | {"tolerance": tolerance})
    assert protocol(AS, doses=doses | {"tolerance": 0.02}).doses.tolerance == 0.02


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.integers(1, 400), min_size=2, max_size=6, unique=True), st.floats(0.5, 3), st.floats(0, 0.999))
def test_an_amount_is_within_the_tolerance_of_one_dose_at_most(amounts, times, share):
    rules = protocol(AS).doses.model_copy(update={"amounts": tuple(map(float, sorted(amounts)))})
    tolerance = share * rules.largest_tolerance
    amount = times * amounts[0]
    near = [known for known in rules.amounts if abs(amount - known) <= tolerance * known]
    assert len(near) <= 1


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"doses": {"tolerance": -0.1}}, "doses.tolerance"),
        ({"doses": {"tolerance": "5%"}}, "doses.tolerance"),
        ({"doses": {"arms": {"A": 4}}}, "doses.arms.A"),
        ({"doses": {"arms": {"A": 0}}}, "doses.arms.A"),
        ({"doses": {"arms": {"Arm A": 1, "arm_a": 2}}}, "doses.arms.arm_a"),
        ({"treatment": {"split_days": -1}}, "treatment.split_days"),
        ({"evaluability": {"least_dose": 1.1}}, "evaluability.least_dose"),
        ({"evaluability": {"least_dose": True}}, "evaluability.least_dose"),
    ],
)
def test_settings_out_of_range_are_refused(changed, place):
    with pytest.raises(dsf.InputError, match=place.replace(".", r"\.")):
        protocol(AS, **changed)


def test_days_of_a_split_dose_stay_below_the_days_between_infusions():
    with pytest.raises(dsf.InputError, match="split_days = 28 must be below 28"):
        protocol(DLC, treatment={"split_days": 28})
    assert protocol(DLC, treatment={"split_days": 27}).treatment.split_days == 27


def test_defaults_show_as_assumptions():
    assumed = {one.key: one.value for one in protocol(AS).assumptions()}
    keys = ("doses.tolerance", "treatment.split_days", "evaluability.least_dose")
    assert [assumed[key] for key in keys] == [0, 0, 0.8]
    stated = {"doses": {"tolerance": 0.0}, "treatment": {"split_days": 0}, "evaluability": {"least_dose": 0.8}}
    assert not set(keys) & {one.key for one in protocol(AS, **stated).assumptions()}


def test_level_numbers_of_arms_where_an_amendment_changes_the_numbers(tmp_path):
    """DL2 can be the number of before the amendment: 3, or of after it: 2. An amount, or a list of arms, says which."""
    table = protocol(AS).model_dump(exclude_unset=True)
    scenarios = {name: [rates[0], *rates] for name, rates in table["scenarios"].items()}
    table |= {"designs": {"3+3": {"kind": "3+3"}}, "binding": "3+3", "curves": {}}
    table["amendment"] = [{"date": date(2024, 6, 1), "doses": {"amounts": [1, 2, 3, 5]}, "scenarios": scenarios}]
    amended = dsf.Protocol.read(table)
    assert amended.renumbers_levels
    one = only(tmp_path, [(DAY, "3")], {"ARM": "DL2"}, amended)
    assert (one.level, one.assigned_by) == (3, None)
    assert ArmNames(amended.versions[-1][1]).level("DL2, 3 x 10^6 cells/kg") == 3
    for number, (dose, level) in enumerate([("3", 3), ("2.9", None)]):
        path = tmp_path / f"patients{number}.csv"
        path.write_text(f"subject,level,dose,infusion_1\nA-1,3,{dose},{DAY}\n")
        if level is None:
            with pytest.raises(dsf.InputError, match="level = '3': needs the column dose too"):
                dsf.read_patients(path, amended)
        else:
            assert dsf.read_patients(path, amended).patients[0].level == level
    table["doses"] = table["doses"] | {"arms": {"A": 2}}
    with pytest.raises(dsf.InputError, match=r"doses\.arms.*must be stated again"):
        dsf.Protocol.read(table)
    table["amendment"][0]["doses"]["arms"] = {"A": 3}
    amended = dsf.Protocol.read(table)
    assert ArmNames(amended.versions[-1][1]).level("A") == 3


# One infusion in several records.


@pytest.mark.parametrize(
    ("rows", "split", "days", "administered"),
    [
        ([(f"{DAY}T09:00", "0.5"), (f"{DAY}T11:00", "0.5")], 0, 1, (1,)),
        ([(DAY, "0.5"), (DAY, "0.5")], 0, 1, (1,)),
        ([(DAY, "0.3"), (DAY, "0.3"), (DAY, "0.4")], 0, 1, (1,)),
        ([(DAY, "0.1"), (DAY, "0.2"), (DAY, "0.7")], 0, 1, (1,)),
        ([(f"{DAY}T22:00", "0.5"), ("2024-03-02T02:00", "0.5")], 1, 1, (1,)),
        ([(DAY, "0.25"), ("2024-03-02", "0.25"), ("2024-03-03", "0.5")], 2, 1, (1,)),
        # The days count from the first record, not from the one before.
        ([(DAY, "0.5"), ("2024-03-02", "0.5"), ("2024-03-03", "1")], 1, 2, (1, 1)),
        ([(DAY, "0.5"), ("2024-03-02", "0.5")], 0, 2, (0.5, 0.5)),
        ([(DAY, "1"), (DAY, "2")], 0, 1, (3,)),
    ],
)
def test_records_of_one_infusion(tmp_path, rows, split, days, administered):
    rules = protocol(AS, treatment={"split_days": split})
    one = only(tmp_path, rows, {"ARMCD": "DL1"}, rules)
    assert len(one.infusions) == days
    assert one.infusions[0] == date(2024, 3, 1)
    assert one.administered == administered
    assert len(one.source) == 1 + len(rows)


def test_bags_without_an_assignment_are_matched_by_their_sum(tmp_path):
    for place, (bags, level) in enumerate([(("0.5", "0.5"), 1), (("1", "2"), 2), (("0.7", "0.9"), None), (("2.5", "2.5"), 3)]):
        folder = tmp_path / str(place)
        folder.mkdir()
        one = only(folder, [(f"{DAY}T0{hour}:00", bag) for hour, bag in enumerate(bags)])
        assert (one.level, one.administered) == (level, (sum(map(float, bags)),))


@pytest.mark.parametrize(
    ("rows", "arm", "level", "administered", "noted"),
    [
        # A row entered twice, or twice the dose: never a higher level, and always said.
        ([(DAY, "1"), (DAY, "1")], "DL1", 1, (2,), True),
        ([(DAY, "1"), (DAY, "1")], "", 1, (2,), True),
        ([(DAY, "1"), (DAY, "1"), (DAY, "1")], "", 1, (3,), True),
        # Two bags of half the dose are as alike.
        ([(DAY, "0.5"), (DAY, "0.5")], "", 1, (1,), False),
        ([(DAY, "0.5"), (DAY, "0.5")], "DL1", 1, (1,), False),
        # Two starts are two bags.
        ([(f"{DAY}T09:00", "1.5"), (f"{DAY}T10:00", "1.5")], "", 2, (3,), False),
    ],
)
def test_a_row_that_may_be_entered_twice(tmp_path, rows, arm, level, administered, noted):
    found = read(tmp_path, subject(rows, {"ARM": arm}))
    (one,) = found.patients
    assert (one.level, one.administered) == (level, administered)
    assert any("entered twice" in note for note in found.notes) == noted
    wrong = findings(evaluate(found, protocol(AS)), protocol(AS))
    assert bool(wrong) == noted


def test_an_infusion_over_midnight_is_one(tmp_path):
    one = only(tmp_path, [(f"{DAY}T22:00", "1")], {"ARM": "DL1"}, EXENDTC="2024-03-02T01:00")
    assert (one.infusions, one.amounts) == ((date(2024, 3, 1),), ())


# The plain table.


@pytest.mark.parametrize(
    ("columns", "cells", "level", "administered"),
    [
        ("level,dose", "1,1", 1, (1,)),
        ("level,dose", "1,0.98", 1, (0.98,)),
        ("assigned,dose", "1,0.6", 1, (0.6,)),
        ("assigned,dose", "1,3", 1, (3,)),
        ("dose,administered", "1,0.85", 1, (0.85,)),
        ("level,dose_given", "2,5", 2, (5,)),
        ("level,administered", "2,", 2, (3,)),
        ("assigned", "5", 3, (5,)),
        ("level,assigned,dose", "2,3,2.9", 2, (2.9,)),
    ],
)
def test_columns_of_the_plain_table(tmp_path, columns, cells, level, administered):
    path = tmp_path / "patients.csv"
    path.write_text(f"subject,{columns},infusion_1\nA-1,{cells},{DAY}\n")
    (one,) = dsf.read_patients(path, protocol(AS)).patients
    assert (one.level, one.amount, one.administered) == (level, (1, 3, 5)[level - 1], administered)


def test_an_amount_for_each_infusion(tmp_path):
    path = tmp_path / "patients.csv"
    path.write_text(
        "subject,level,infusion_1,administered_1,infusion_2,administered_2,infusion_3\n"
        "A-1,1,2024-03-01,0.6,2024-03-29,,2024-04-26\nA-2,1,2024-03-02,,2024-03-30,1,\n"
    )
    found = dsf.read_patients(path, COURSE)
    assert [one.amounts for one in found.patients] == [(0.6, 1, 1), ()]


@pytest.mark.parametrize(
    ("columns", "cells", "place"),
    [
        ("level,dose", "1,3", "dose = '3': contradicts the level, which is dose 1"),
        ("level,assigned", "1,3", "assigned = '3': contradicts the level"),
        (
            "dose,administered,infusion_2",
            "1,0.6,2024-04-01",
            "administered = '0.6': is the amount of one infusion, but there are 2",
        ),
        ("dose,administered", "1,0", "administered = '0': must be a number above 0"),
        ("dose,administered", "1,1000000", "administered = '1000000': is 10^6 times the dose 1"),
        ("dose,administered,dose_given", "1,0.6,0.7", "dose_given = '0.7': contradicts administered"),
        ("dose,administered_2", "1,0.6", "column administered_2: needs the column infusion_2 too"),
        ("level,dose,administered", "1,0.98,0.6", "dose = '0.98': contradicts the assigned dose"),
    ],
)
def test_columns_that_contradict_each_other(tmp_path, columns, cells, place):
    path = tmp_path / "patients.csv"
    path.write_text(f"subject,{columns},infusion_1\nA-1,{cells},{DAY}\n")
    with pytest.raises(dsf.InputError) as error:
        dsf.read_patients(path, protocol(AS))
    assert place in str(error.value)


COURSES = st.tuples(st.integers(1, 3), st.lists(st.sampled_from((1.0, 0.6, 0.85, 1.2)), min_size=1, max_size=3))


@settings(max_examples=examples(25), deadline=None)
@given(st.lists(COURSES, min_size=1, max_size=5))
def test_written_and_read_again(tmp_path_factory, drawn):
    rules = COURSE
    people = []
    for number, (level, shares) in enumerate(drawn):
        amounts = tuple(round(share * (1, 3, 5)[level - 1], 6) for share in shares)
        differ = set(shares) != {1.0}
        days = [1 + 28 * place for place in range(len(shares))]
        people.append(patient(f"S{number}", level, *days, amounts=amounts if differ else (), last_contact=200))
    tables = {"plain": plain_tables(trial(*people)), "sdtm": sdtm_domains(trial(*people), rules, "X")}
    folder = tmp_path_factory.mktemp("again")
    for layout, files in tables.items():
        (folder / layout).mkdir()
        for name, table in files.items():
            (folder / layout / f"{name}.csv").write_text(csv_text(table))
    found = {
        "plain": dsf.read_patients(folder / "plain" / "patients.csv", rules, events=folder / "plain" / "events.csv"),
        "sdtm": dsf.read_patients(folder / "sdtm", rules),
    }
    for back in found.values():
        assert [(one.subject, one.level, one.amount, one.amounts) for one in back.patients] == [
            (one.subject, one.level, one.amount, one.amounts) for one in people
        ]


# Evaluability and deviations.


@pytest.mark.parametrize(
    ("amount", "least", "kind"),
    [
        (0.6, None, "not evaluable"),
        (0.79, None, "not evaluable"),
        (0.8, None, "complete"),
        (0.85, None, "complete"),
        (2, None, "complete"),
        (0.6, 0.5, "complete"),
        (0.6, 0.0, "complete"),
        (0.95, 1.0, "not evaluable"),
        (1.0, 1.0, "complete"),
    ],
)
def test_the_least_dose_without_a_dlt(amount, least, kind):
    changed = {} if least is None else {"evaluability": {"least_dose": least}}
    clean = patient("S", 1, 1, amounts=(amount,))
    assert evaluate(trial(clean), protocol(AS, **changed), day(40))["S"].kind == kind
    # Until the window has ended the patient can still have a DLT, which always counts.
    assert evaluate(trial(clean), protocol(AS, **changed), day(20))["S"].kind == "pending"
    with_dlt = patient("S", 1, 1, amounts=(amount,), events=(event(5),))
    status = evaluate(trial(with_dlt), protocol(AS, **changed), day(40))["S"]
    assert (status.kind, status.level) == ("dlt", 1)


def test_the_least_dose_is_a_share_of_the_whole_course():
    """Three infusions are planned: 0.8 of them is 2.4; an infusion after the window, or beyond those planned, is not planned."""
    for amounts, kind in [((1, 1, 0.4), "complete"), ((1, 1, 0.3), "not evaluable"), ((0.4, 1, 1), "complete")]:
        one = patient("S", 1, 1, 29, 57, amounts=amounts)
        assert evaluate(trial(one), COURSE, day(100))["S"].kind == kind
    # An infusion on the last day of the window, day 85, is planned; the day after it is beside the course.
    for last, administered in ((85, (1 + 1 + 4) / 3), (86, 1.0)):
        one = patient("S", 1, 1, 29, last, amounts=(1, 1, 4))
        # 1e-12: rounding of a sum of three.
        assert evaluate(trial(one), COURSE, day(100))["S"].administered == pytest.approx(administered, rel=1e-12)
    # A missed infusion is judged by its own setting.
    short = patient("S", 1, 1, 29, amounts=(1, 0.9))
    changed = {"evaluability": {"partial_course": "no-dlt"}, "treatment": {"infusion_days": [1, 29, 57], "dlt_window_days": 84}}
    assert evaluate(trial(short), protocol(AS, **changed), day(100))["S"].kind == "complete"
    assert evaluate(trial(short), COURSE, day(100))["S"].kind == "not evaluable"
    halves = patient("S", 1, 1, 3, amounts=(0.5, 0.5))
    assert evaluate(trial(halves), protocol(AS), day(40))["S"].kind == "complete"


def test_a_dose_not_in_the_protocol_has_no_planned_dose():
    one = patient("S", None, 1, 29, 57, amounts=(2, 0.1, 0.1))
    assert evaluate(trial(one), COURSE, day(100))["S"].otherwise == "complete"


@pytest.mark.parametrize(
    ("one", "rule"),
    [
        (patient("S", 1, 1, amounts=(0.6,), assigned_by="ARMCD"), "dose administered is not the dose assigned"),
        (patient("S", 1, 1, amounts=(1.2,), assigned_by="ARMCD"), "dose administered is not the dose assigned"),
        (patient("S", 1, 1, amounts=(3,), assigned_by="ARMCD"), OTHER_LEVEL),
        (patient("S", 3, 1, amounts=(1,), assigned_by="ARMCD"), OTHER_LEVEL),
        (patient("S", 1, 1, 29, amounts=(1, 3)), OTHER_LEVEL),
        (patient("S", 1, 1, 29, amounts=(1, 3), assigned_by="ARMCD"), OTHER_LEVEL),
        (patient("S", 1, 1, 29, amounts=(1, 2)), "amounts within a course differ"),
        (patient("S", 1, 1, 29, amounts=(1, 2), assigned_by="level"), "dose administered is not the dose assigned"),
        (patient("S", 1, 1, 29, assigned_by="level"), None),
        (patient("S", None, 1, amount=0, part="placebo"), None),
    ],
)
def test_deviations_in_dose(one, rule):
    made = findings(evaluate(trial(one), COURSE, day(30)), COURSE)
    in_dose = [(found.rule, found.subjects, len(found.dates)) for found in made if found.rule != "partial course"]
    assert in_dose == ([] if rule is None else [(rule, ("S",), 1)])


def test_rules_use_the_first_of_two_levels():
    people = [patient(f"S{n}", 1, n, n + 28, n + 56, amounts=(1, 3, 3)) for n in (1, 2, 3)]
    found = dsf.next_dose(COURSE, trial(*people, last=200))
    assert found.attrs["outcomes"] == "1NNN"
    assert Counter(finding.rule for finding in found.findings) == {OTHER_LEVEL: 6}


def test_the_audit_names_both_doses_where_they_differ():
    same = evaluate(trial(patient("S", 1, 1), patient("T", 2, 60)), protocol(AS), day(100))
    assert not {"assigned", "administered"} & set(same.audit().columns)
    people = (patient("S", 1, 1, amounts=(0.6,), assigned_by="ARM"), patient("T", 2, 60), patient("U", None, 61))
    audit = evaluate(trial(*people), protocol(AS), day(100)).audit().set_index("subject")
    assert audit["administered"].to_dict() == {"S": "0.6", "T": "3", "U": "2"}
    assert audit["assigned"].iloc[:2].tolist() == [1, 3]
    assert audit["assigned"].isna()["U"]


def test_doses_given_later_are_not_known_before(tmp_path):
    one = patient("S", 1, 1, 29, amounts=(1, 0.2))
    known = evaluate(trial(one), COURSE, day(10), replay=True)
    assert known.patients[0].as_assigned
    assert findings(known, COURSE) == []


@pytest.mark.parametrize(("split", "bags"), [(0, ("1", "1")), (1, ("1", "1"))])
def test_a_dose_split_over_two_days_needs_the_setting(tmp_path, split, bags):
    """Read as two infusions, the second is a deviation; read as one, it is twice the dose assigned."""
    rules = protocol(AS, treatment={"split_days": split})
    found = read(tmp_path, subject([(DAY, bags[0]), ("2024-03-02", bags[1])], {"ARM": "DL1"}), rules=rules)
    (one,) = found.patients
    assert one.administered == ((2,) if split else (1, 1))
    assert {finding.rule for finding in findings(evaluate(found, rules), rules)} == (
        {"dose administered is not the dose assigned"} if split else {"infusion off its schedule"}
    )


def test_a_csv_of_doses_is_the_same_trial(tmp_path):
    people = [{"subject": "A-1", "level": "1", "dose": "1.03", "infusion_1": DAY}]
    (one,) = dsf.read_patients(write_csv(tmp_path / "patients.csv", people), protocol(AS)).patients
    two = only(tmp_path, [(DAY, "1.03")], {"ARMCD": "DL1"})
    assert (one.level, one.amount, one.amounts) == (two.level, two.amount, two.amounts) == (1, 1, (1.03,))


# Faults that these tests must notice.

FAULTS = {
    "whatever was assigned was given": (
        "dosefind.evaluability.window:dose_administered",
        lambda _: lambda patient, protocol: patient.amount,
        test_the_least_dose_without_a_dlt,
    ),
}

test_fault_is_caught = faults(FAULTS)
