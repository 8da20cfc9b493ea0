"""Cells as R, pandas, SAS and Excel write them: each spelling is read as what it says, or refused with what it may be."""

import math
from datetime import date, datetime
from pathlib import Path

import pytest

from dosefind import InputError, load_protocol, read_patients
from dosefind.intake import read_counts
from dosefind.intake.grades import grade_of, why_no_grade
from dosefind.intake.missing import SPELLINGS
from dosefind.trial import Cohort

from . import patient_files as made
from .patient_files import write_csv, write_domains, write_xlsx

PATH = Path(__file__).parents[1] / "configs" / "nct05962762.toml"
CONFIG = PATH.read_text(encoding="utf-8")
AS = load_protocol(PATH)
DLT_WORDS = CONFIG.replace("[dlt]", '[dlt]\nunrelated = ["no", "WORD"]')
PERSON = {"subject": "A-1", "dose": "1", "infusion_1": "2024-03-01"}
MISSING = (
    *("NA", "N/A", "n/a", "NaN", "nan", "<NA>", "NULL", "null", "None", "NaT", "#N/A", "#NA"),
    *(".", ".A", ".Z", "._", "-", "\u2013"),
)
NONE_IS_A_WORD = {("related", "None"), ("outcome", "None")}
EMPTY_EVENTS = [
    (column, spelling) for column in ("grade", "related", "start", "serious", "outcome", "organ_class") for spelling in MISSING
]


def person(folder, **cells):
    """The one patient of a table of two rows; the other is S-2, for whom every cell but those required is empty."""
    row = PERSON | cells
    other = dict.fromkeys(row, "") | PERSON | {"subject": "S-2"} | ({"cohort": "1"} if "cohort" in row else {})
    found = read_patients(write_csv(folder / "patients.csv", [row, other]), AS)
    return next(patient for patient in found.patients if patient.subject != "S-2"), found


def event(folder, **cells):
    people = write_csv(folder / "patients.csv", [PERSON])
    rows = [{"subject": "A-1", "term": "Rash", "grade": "3", "related": "yes", "start": "2024-03-02"} | cells]
    found = read_patients(people, AS, events=write_csv(folder / "events.csv", rows))
    return (found.patients[0].events or [])[0], found


def refused(call):
    with pytest.raises(InputError) as error:
        call()
    return error.value.problems


@pytest.mark.parametrize("spelling", MISSING)
@pytest.mark.parametrize(
    "column", ["infusion_2", "last_contact", "dlt", "dlt_date", "discontinued", "reason", "replaces", "died", "level"]
)
def test_a_missing_value_of_a_patient_is_an_empty_cell(spelling, column, tmp_path):
    extra = {"discontinued": ""} if column == "reason" else {"dlt": ""} if column == "dlt_date" else {}
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    read, found = person(tmp_path / "a", **extra, **{column: spelling})
    empty, _ = person(tmp_path / "b", **extra, **{column: ""})
    assert read == empty
    assert sum(spelling in note for note in found.notes) == (spelling != ".")


@pytest.mark.parametrize(("column", "spelling"), [cell for cell in EMPTY_EVENTS if cell not in NONE_IS_A_WORD])
def test_a_missing_value_of_an_event_is_an_empty_cell(column, spelling, tmp_path):
    read, _ = event(tmp_path, **{column: spelling})
    assert getattr(read, column) is None


@pytest.mark.parametrize("spelling", MISSING)
@pytest.mark.parametrize("column", ["subject", "dose"])
def test_a_required_cell_that_is_missing_is_refused_as_written(spelling, column, tmp_path):
    problems = refused(lambda: person(tmp_path, **{column: spelling}))
    assert [problem.value for problem in problems] == [spelling]
    assert spelling in problems[0].allowed
    assert "missing value" in problems[0].allowed


@pytest.mark.parametrize("word", ["none", "None", "NONE", "no", "unrelated"])
def test_none_in_a_column_of_relationships_says_not_related(word, tmp_path):
    assert event(tmp_path, related=word)[0].related == word
    assert AS.dlt.is_related(word) is False


@pytest.mark.parametrize("word", ["NA", "n/a", "NULL", "N.A."])
def test_a_word_of_the_protocol_is_no_missing_value(word, tmp_path):
    (tmp_path / "c.toml").write_text(DLT_WORDS.replace("WORD", word), encoding="utf-8")
    protocol = load_protocol(tmp_path / "c.toml")
    people = write_csv(tmp_path / "patients.csv", [PERSON])
    events = write_csv(tmp_path / "events.csv", [{"subject": "A-1", "term": "Rash", "related": word}])
    (read,) = read_patients(people, protocol, events=events).patients[0].events or []
    assert read.related == word


@pytest.mark.parametrize("kind", ["csv", "xpt"])
@pytest.mark.parametrize("layout", [made.sdtm, made.adam])
@pytest.mark.parametrize("spelling", ["NA", ".", "NaN", "NULL", ".A"])
def test_domains_with_missing_values_are_those_with_empty_cells(layout, kind, spelling, tmp_path):
    tables = layout(*made.trial(12))
    keep = {name for name in ("EXDOSE", "LSTALVDT", "EOSDT", "ASTDT", "TRTSDT") if kind == "xpt"}
    spelled = {
        name: [{key: cell if cell or key in keep else spelling for key, cell in row.items()} for row in rows]
        for name, rows in tables.items()
    }
    empty = read_patients(write_domains(tmp_path / "a", tables, kind), AS)
    read = read_patients(write_domains(tmp_path / "b", spelled, kind), AS)
    assert (read.patients, read.listed) == (empty.patients, empty.listed)


def test_every_spelling_of_a_missing_value_is_short_and_none_is_a_number():
    assert all(1 <= len(spelling) <= 6 and not any(map(str.isdigit, spelling)) for spelling in SPELLINGS)
    assert not {"no", "none known", "unknown", "NO", "N", "0", ""} & SPELLINGS


@pytest.mark.parametrize("text", ["1", "1.0", "1.00", "1e0", "+1", "1.", "10E-1", " 1 ", "\u00a01\u202f", "\ufeff1\u200b", "01"])
def test_spellings_of_the_number_1(text, tmp_path):
    read, _ = person(tmp_path, dose=text, level=text, cohort=text)
    assert (read.level, read.amount, read.cohort) == (1, 1.0, 1)


THOUSANDS = {
    "1,000": ("1000", "1.000"),
    "3,000": ("3000", "3.000"),
    "12,500": ("12500", "12.500"),
    "1,000,000": ("1000000",),
    "1,000.5": ("1000.5",),
    "1 000": ("1000", "1"),
    "1\u00a0000": ("1000", "1"),
    "1\u202f000": ("1000", "1"),
    "1'000": ("1000", "1"),
    "1\u2019000": ("1000", "1"),
    "1.000,5": ("1000.5",),
    "1.000.000": ("1000000",),
    "1,5": ("point",),
}


@pytest.mark.parametrize(("text", "readings"), THOUSANDS.items())
def test_a_separator_of_thousands_is_refused_with_its_readings(text, readings, tmp_path):
    problems = refused(lambda: person(tmp_path, dose=text))
    assert [problem.value for problem in problems] == [text]
    assert all(reading in problems[0].allowed for reading in readings)
    counts = tmp_path / "counts.csv"
    counts.write_text(f'dose,n,dlts\n"{text}",3,0\n', encoding="utf-8")
    problems = refused(lambda: read_counts(counts, (1, 3, 1000, 12500)))
    assert [problem.where for problem in problems] == ["row 2.dose"]
    assert all(reading in problems[0].allowed for reading in readings)


@pytest.mark.parametrize("text", ["3 mg", "3mg", "1.5 x", "3 (reduced)", "three", "~3", "<3", "3-5", "#REF!"])
def test_a_dose_is_a_number_alone(text, tmp_path):
    (problem,) = refused(lambda: person(tmp_path, dose=text))
    assert problem.value == text
    assert ("without anything after it" in problem.allowed) == (text in ("3 mg", "3mg", "1.5 x"))


@pytest.mark.parametrize("text", ["1,000", "1 000", "1'000", "1.5", "1,5", "one"])
@pytest.mark.parametrize("column", ["level", "cohort"])
def test_a_whole_number_with_a_separator_is_refused(text, column, tmp_path):
    assert [problem.value for problem in refused(lambda: person(tmp_path, **{column: text}))] == [text]


def test_a_point_between_thousands_is_refused_where_the_protocol_has_both_doses(tmp_path):
    counts = tmp_path / "counts.csv"
    counts.write_text("dose,n,dlts\n1.000,3,0\n")
    assert read_counts(counts, (0.5, 1)) == [Cohort(2, 3, 0)]
    for amounts in ((1, 1000), (500, 1000)):
        (problem,) = refused(lambda amounts=amounts: read_counts(counts, amounts))
        assert problem.value == "1.000"
        assert "1 or 1000" in problem.allowed


@pytest.mark.parametrize(
    ("text", "dlt"),
    [(text, True) for text in ("yes", "Yes ", "Y", "TRUE", "True", "T", "t", "1", "1.0", "1e0")]
    + [(text, False) for text in ("no", " NO", "n", "FALSE", "False", "F", "0", "0.0", "0.00", "+0")]
    + [(text, None) for text in ("", "U", "UNK", "unknown", "NA", ".")],
)
def test_yes_and_no(text, dlt, tmp_path):
    read, _ = person(tmp_path, dlt=text, dlt_date="2024-03-03" if dlt else "", last_contact="2024-04-02")
    assert read.dlt is dlt
    assert event(tmp_path, serious=text)[0].serious is dlt


@pytest.mark.parametrize("text", ["maybe", "2", "1,0", "y/n", "ja", "1.5", "yes?"])
def test_neither_yes_nor_no(text, tmp_path):
    assert [problem.value for problem in refused(lambda: person(tmp_path, dlt=text))] == [text]


@pytest.mark.parametrize("text", ["U", "unknown", "UNK", "not known"])
def test_an_unknown_death_is_not_read_as_alive(text, tmp_path):
    assert [problem.value for problem in refused(lambda: person(tmp_path, died=text))] == [text]


GRADES = (
    *("3", "3.0", "3.", "3.00", "3e0", "+3", "Grade 3", "GRADE 3", "grade 3.0", "grade3", "Grade: 3", "G3", "g 3", "Gr. 3", "Gr 3"),
    *("CTCAE 3", "CTCAE Grade 3", "CTC grade 3", "NCI CTCAE grade 3", "NCI-CTCAE 3", "Toxicity Grade 3", "3 - Severe", "3-Severe"),
    *("3 (severe)", "Grade 3 (severe)", "Grade 3 - Severe", "GRADE_3", "3: severe", "3=SEVERE", "Grade 3, severe"),
)
NO_GRADES = (
    *("III", "Grade III", "iv", "severe", "Severe", "mild", "2-3", "2/3", "3 or 4", "Grade 2 to 3", ">=3", "3+", "\u22653", "3,0"),
    *(
        "0",
        "6",
        "3.5",
        "-3",
        "33",
        "Grade",
        "Grade 3 (mild)",
        "3 - moderate",
        "3 severe?",
        "Grade 3 4",
        "high",
        "3 of 5",
        "Grade 6",
    ),
)


@pytest.mark.parametrize("text", GRADES)
def test_spellings_of_grade_3(text, tmp_path):
    assert grade_of(text) == 3
    assert event(tmp_path, grade=text)[0].grade == 3


@pytest.mark.parametrize(
    ("text", "grade"),
    [
        ("1 - Mild", 1),
        ("2 (Moderate)", 2),
        ("4 - Life-threatening", 4),
        ("Grade 4 (life threatening)", 4),
        ("5 - Death", 5),
        ("G5", 5),
    ],
)
def test_grades_with_their_words(text, grade):
    assert grade_of(text) == grade


@pytest.mark.parametrize("text", NO_GRADES)
def test_invalid_grades_are_rejected(text, tmp_path):
    assert grade_of(text) is None
    (problem,) = refused(lambda: event(tmp_path, grade=text))
    assert (problem.value, problem.allowed) == (text, why_no_grade(text))
    assert "must be a CTCAE grade from 1 to 5" in problem.allowed


def test_each_kind_of_wrong_grade_has_its_own_reason():
    kinds = [why_no_grade(text) for text in ("III", "2-3", "severe", "3 - mild", "7")]
    assert len(set(kinds)) == 5
    assert why_no_grade("3.5") == why_no_grade("7")


@pytest.fixture
def fibonacci(tmp_path):
    """The protocol with steps of a Fibonacci scheme."""
    (tmp_path / "c.toml").write_text(CONFIG.replace("[1, 3, 5]", "[2.352637, 3.12900721, 4.1615795893]"), encoding="utf-8")
    return load_protocol(tmp_path / "c.toml")


@pytest.mark.parametrize("text", ["3.12901", "3.12900721", "3.129", "3.129007210000001", "3.13"])
def test_a_dose_to_the_digits_shown_in_every_layout(text, fibonacci, tmp_path):
    people = [made.trial(1)[0][0] | {"dose": text}]
    files = [
        write_csv(tmp_path / "p.csv", people),
        write_xlsx(tmp_path / "p.xlsx", {"patients": people}),
        write_domains(tmp_path / "sdtm", {k: v for k, v in made.sdtm(people, []).items() if v}, "csv"),
        write_domains(tmp_path / "adam", {k: v for k, v in made.adam(people, []).items() if v}, "xpt"),
    ]
    read = [read_patients(path, fibonacci).patients[0] for path in files]
    assert [(patient.level, patient.amount) for patient in read] == [(2, 3.12900721)] * 4
    counts = tmp_path / "counts.csv"
    counts.write_text(f"dose,n,dlts\n{text},3,1\n")
    assert read_counts(counts, fibonacci.doses.amounts) == [Cohort(2, 3, 1)]


@pytest.mark.parametrize("text", ["3.1", "3", "3.2", "3.12902"])
def test_a_dose_that_differs_in_a_digit_shown_is_not_in_the_protocol(text, fibonacci, tmp_path):
    read = read_patients(write_csv(tmp_path / "p.csv", [PERSON | {"dose": text}]), fibonacci).patients[0]
    assert (read.level, read.amount) == (None, float(text))
    counts = tmp_path / "counts.csv"
    counts.write_text(f"dose,n,dlts\n{text},3,1\n")
    assert [problem.value for problem in refused(lambda: read_counts(counts, fibonacci.doses.amounts))] == [text]


@pytest.mark.parametrize("value", [3.0, 3, "3.0", 0.1 * 30, 1 + 2 + 4e-16])
def test_numbers_of_a_spreadsheet(value, tmp_path):
    import openpyxl

    book = openpyxl.Workbook()
    sheet = book.create_sheet("patients")
    sheet.append(["subject", "dose", "infusion_1", "last_contact", "dlt", "died"])
    sheet.append(["A-1", value, datetime(2024, 3, 1), date(2024, 4, 2), False, "NA"])
    sheet.append(["A-2", value, datetime(2024, 3, 1, 9, 30), "#N/A", None, None])
    book.save(tmp_path / "p.xlsx")
    first, second = read_patients(tmp_path / "p.xlsx", AS).patients
    assert (first.level, first.dlt, second.level, second.last_contact) == (2, False, 2, None)


@pytest.mark.parametrize(
    ("text", "cohorts"),
    [
        ("level,n,dlts\n1.0,3.0,0.0\n", [Cohort(1, 3, 0)]),
        ("level,n,dlts\n+1,3e0,1.\n", [Cohort(1, 3, 1)]),
        ("level,dose,n,dlts\nNA,3,3,0\n", [Cohort(2, 3, 0)]),
        ("level,dose,n,dlts\n2,NA,3,0\n", [Cohort(2, 3, 0)]),
        ("dose,n,dlts\n3.0,\u00a03,0\n", [Cohort(2, 3, 0)]),
        ("dose,n,dlts\n0.30000000000000004e1,3,0\n", [Cohort(2, 3, 0)]),
    ],
)
def test_counts_in_other_spellings(text, cohorts, tmp_path):
    (tmp_path / "counts.csv").write_text(text, encoding="utf-8")
    assert read_counts(tmp_path / "counts.csv", (1, 3, 5)) == cohorts


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("counts.csv", "level;n;dlts\n1;3;0\n", "is separated by semicolons"),
        ("counts.csv", "level\tn\tdlts\n1\t3\t0\n", "is separated by tabs"),
        ("counts.csv", "level|n|dlts\n1|3|0\n", "is separated by vertical bars"),
        ("counts.xlsx", "level,n,dlts\n1,3,0\n", "must be a CSV file"),
        ("counts.csv", "dose,n,dlts\n1,000,3,0\n", "row 2: has 4 cells, but the header has 3"),
        ("counts.csv", "\nlevel,n,dlts\n\n1,3,0\n\n1,3,4\n", "row 6.dlts = '4': must be a whole number from 0 to 3"),
        ("counts.csv", "level,n,dlts\nNA,3,0\n", "row 2.level = 'NA': must be a whole number from 1 to 3"),
        ("counts.csv", "level,n,dlts\n1,NA,0\n", "row 2.n = 'NA': must be a whole number from 1 to 1000"),
        ("counts.csv", "level,n,dlts\n1,3,NA\n", "row 2.dlts = 'NA': must be a whole number from 0 to 3"),
        ("counts.csv", "dose,n,dlts\nNA,3,0\n", "row 2.dose = 'NA': must be one of the protocol's doses: 1, 3, 5"),
        ("counts.csv", 'level,n,dlts\n1,"3,0",0\n', "row 2.n = '3,0': must be a whole number from 1 to 1000"),
        ("counts.csv", "level,n,dlts\n1.5,3,0\n", "row 2.level = '1.5': must be a whole number from 1 to 3"),
    ],
)
def test_counts_that_are_refused(name, text, said, tmp_path):
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as error:
        read_counts(tmp_path / name, (1, 3, 5))
    assert said in str(error.value)


@pytest.mark.parametrize(
    "unit", ["10^6 CELLS/kg", "1E6 cells/kg", "x10^6 cells/kg", "million cells/kg", "10^6/kg", "10**6 cells / kg"]
)
def test_units_of_exposures_by_meaning(unit, tmp_path):
    tables = made.sdtm(*made.trial(3))
    tables["ex"] = [row | {"EXDOSU": unit} for row in tables["ex"]]
    assert len(read_patients(write_domains(tmp_path / "sdtm", tables, "csv"), AS).patients) == 3


@pytest.mark.parametrize("unit", ["cells/kg", "10^7 cells/kg", "mg", "10^6 cells", "NA", "", "10^6 CAR-T cells/kg"])
def test_other_units_of_exposures_are_refused(unit, tmp_path):
    tables = made.sdtm(*made.trial(3))
    tables["ex"] = [row | {"EXDOSU": unit} for row in tables["ex"]]
    problems = refused(lambda: read_patients(write_domains(tmp_path / "sdtm", tables, "csv"), AS))
    assert {problem.value for problem in problems} == {unit}
    assert all(repr(AS.doses.unit) in problem.allowed for problem in problems)


def test_a_grid_of_41_doses_is_read(tmp_path):
    amounts = tuple(25.0 * step for step in range(1, 42))
    (tmp_path / "counts.csv").write_text("dose,n,dlts\n1025,3,0\n25.0,3,0\n")
    assert read_counts(tmp_path / "counts.csv", amounts) == [Cohort(41, 3, 0), Cohort(1, 3, 0)]
    assert math.isclose(amounts[40], 1025)
