"""Measurements of endpoints as read: every row used or listed, values beyond limits kept as such, broken cells refused by place."""

from collections import Counter
from datetime import date

import pytest

import dosefind as dsf
from dosefind.intake.writing import csv_text

from . import peers

CONFIG = peers.ROOT / "configs" / "nct05948982.toml"
PROTOCOL = dsf.load_protocol(CONFIG)
PEOPLE = """subject,dose,infusion_1,infusion_2,infusion_3,last_contact,dlt,discontinued,reason,died
A-1,1,2024-01-02,2024-01-30,2024-02-27,2025-02-20,no,,,
A-2,2,2024-01-09,2024-02-06,2024-03-05,2025-02-20,no,,,
"""
HEAD = "subject,parameter,value,unit,date,day,time_point,visit,lloq,uln"


@pytest.fixture(scope="module")
def patients(tmp_path_factory):
    return people(tmp_path_factory.mktemp("people"))


def people(folder, text=PEOPLE):
    (folder / "patients.csv").write_text(text)
    return dsf.read_patients(folder / "patients.csv", PROTOCOL)


def read(folder, patients, *rows, head=HEAD, name="m.csv", protocol=PROTOCOL):
    (folder / name).write_text("\n".join([head, *rows]) + "\n")
    return dsf.read_measurements(folder / name, patients, protocol)


def one(folder, patients, row, **more):
    found = read(folder, patients, row, **more)
    assert len(found.values) == 1
    return found.values[0]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("A-1,ALT,41,U/L,2024-01-01,,,,,", ("ALT", -1, "value", 41.0, "")),
        ("A-1,ALT,41.5,U/L,,28,,,,", ("ALT", 28, "value", 41.5, "")),
        ("A-1,alt,4.1e1,u/l,2024-01-02,1,pre,,,", ("ALT", 1, "value", 41.0, "pre")),
        ("A-1,alanine aminotransferase,41,U/L,2024-01-02T09:30,,Post-infusion,,,", ("ALT", 1, "value", 41.0, "post")),
        ("A-1,TBIL,40,\u00b5mol/L,2024-01-29,,,,,", ("BILI", 28, "value", 40.0, "")),
        ("A-1,IL-6,< 1.5,pg/mL,,2,,,,", ("IL6", 2, "below", 1.5, "")),
        ("A-1,IL-6,<1.5 pg/mL,pg/mL,,2,,,,", ("IL6", 2, "below", 1.5, "")),
        ("A-1,IL-6,< LLOQ,pg/mL,,2,,,1.5,", ("IL6", 2, "below", 1.5, "")),
        ("A-1,IL-6,BLQ,pg/mL,,2,,,1.5,", ("IL6", 2, "below", 1.5, "")),
        ("A-1,IL-6,> 1000,pg/mL,,2,,,,", ("IL6", 2, "above", 1000.0, "")),
        ("A-1,HBV-DNA,not detected,IU/mL,,28,,,,", ("HBVDNA", 28, "not detected", None, "")),
        ("A-1,HBV-DNA,Target Not Detected,,,28,,,10,", ("HBVDNA", 28, "not detected", 10.0, "")),
        ("A-1,HBV-DNA,< LLOQ,IU/mL,,28,,,20,", ("HBVDNA", 28, "below", 20.0, "")),
        ("A-1,HBV-DNA,310,IU/mL,,28,,,20,", ("HBVDNA", 28, "value", 310.0, "")),
        ("A-1,EQ5D,11111,,,28,,,,", ("EQ5D", 28, "value", 1.0, "")),
        ("A-1,EQ5D,0.8,,,28,,,,", ("EQ5D", 28, "value", 0.8, "")),
        ("A-1,ECOG,2,,,85,,,,", ("ECOG", 85, "value", 2.0, "")),
        ("A-1,INR,1.4,ratio,,28,,,,", ("INR", 28, "value", 1.4, "")),
        ("A-1,Hepatocellular carcinoma,yes,,,200,,,,", ("HCC", 200, "event", None, "")),
        ("A-1,HCC,no,,,200,,,,", ("HCC", 200, "no event", None, "")),
        ("A-1,TREG,5.5,%,,28,,,,", ("TREG", 28, "value", 5.5, "")),
        ("A-1,CD4,350,10^6/L,,28,,,,", ("CD4", 28, "value", 350.0, "")),
    ],
)
def test_values_of_each_kind(tmp_path, patients, row, expected):
    found = one(tmp_path, patients, row)
    assert (found.parameter, found.day, found.kind, found.value, found.time_point) == expected
    assert (found.subject, found.source) == ("A-1", "m.csv row 2")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("A-9,ALT,41,U/L,2024-01-01,,,,,", "not a treated patient"),
        ("A-1,glucose,5.2,mmol/L,2024-01-01,,,,,", "another parameter"),
        ("A-1,ALT,,U/L,2024-01-01,,,,,", "no result"),
        ("A-1,ALT,not done,U/L,2024-01-01,,,,,", "no result"),
        ("A-1,ALT,41,U/L,2024-01,,,,,", "no full date"),
        ("A-1,OS,yes,,2024-05-01,,,,,", "read with the patients"),
        ("A-1,HCC,,,2024-05-01,,,,,", "no result"),
    ],
)
def test_rows_without_a_value_are_listed_with_the_reason(tmp_path, patients, row, reason):
    found = read(tmp_path, patients, row)
    assert found.values == ()
    assert [reason in listed.reason for listed in found.listed] == [True]
    assert found.rows == 1


BROKEN = [
    # Column, what is wrong in a row of ALT, IL6, ..., and a part of what is allowed.
    ("value", "A-1,ALT,high,U/L,,28,,,,", "number"),
    ("value", 'A-1,ALT,"1,5",U/L,,28,,,,', "decimal comma"),
    ("value", 'A-1,ALT,"1,500",U/L,,28,,,,', "separator of thousands"),
    ("value", "A-1,ALT,41 U/L,U/L,,28,,,,", "without anything after it"),
    ("value", "A-1,ALT,1e99,U/L,,28,,,,", "number"),
    ("value", "A-1,ALT,inf,U/L,,28,,,,", "number"),
    ("value", "A-1,IL6,ND,pg/mL,,2,,,,", "not detected"),
    ("value", "A-1,IL6,negative,pg/mL,,2,,,,", "not detected"),
    ("value", "A-1,IL6,< LLOQ,pg/mL,,2,,,,", "lloq"),
    ("value", "A-1,IL6,< 0,pg/mL,,2,,,,", "above 0"),
    ("value", "A-1,IL6,0,pg/mL,,2,,,,", "above 0"),
    ("value", "A-1,IL6,-2,pg/mL,,2,,,,", "above 0"),
    ("value", "A-1,IL6,< 1.5 ng/L,pg/mL,,2,,,,", "pg/mL"),
    ("value", "A-1,HBVDNA,-5,IU/mL,,28,,,,", "negative"),
    ("value", "A-1,ECOG,6,,,85,,,,", "0 to 5"),
    ("value", "A-1,ECOG,-1,,,85,,,,", "0 to 5"),
    ("value", "A-1,SF36-PF,101,,,28,,,,", "0 to 100"),
    ("value", "A-1,CLDQ,28,,,28,,,,", "29 to 203"),
    ("value", "A-1,CHILDPUGH,16,,,28,,,,", "5 to 15"),
    ("value", "A-1,MELD-B,41,,,28,,,,", "6 to 40"),
    ("value", "A-1,EQ5D,11116,,,28,,,,", "five digits"),
    ("value", "A-1,EQ5D,1.2,,,28,,,,", "five digits"),
    ("value", "A-1,ECOG,1.5,,,85,,,,", "whole"),
    ("value", "A-1,ASCITES,0.5,,,28,,,,", "whole"),
    ("value", "A-1,BILI,0,umol/L,,28,,,,", "above 0"),
    ("value", "A-1,INR,-1,,,28,,,,", "above 0"),
    ("value", "A-1,HCC,maybe,,,200,,,,", "yes or no"),
    ("unit", "A-1,ALT,41,,,28,,,,", "'U/L'"),
    ("unit", "A-1,ALT,41,ukat/L,,28,,,,", "not converted"),
    ("unit", "A-1,BILI,2.1,mg/dL,,28,,,,", "'umol/L'"),
    ("unit", "A-1,ALB,3.1,g/dL,,28,,,,", "'g/L'"),
    ("unit", "A-1,INR,1.2,s,,28,,,,", "empty"),
    ("unit", "A-1,IL6,< 1.5,,,2,,,,", "'pg/mL'"),
    ("date", "A-1,ALT,41,U/L,,,,,,", "full date"),
    ("date", "A-1,ALT,41,U/L,05/03/2024,,,,,", "ambiguous"),
    ("date", "A-1,ALT,41,U/L,2024-02-30,,,,,", "date"),
    ("date", "A-1,ALT,41,U/L,45000,,,,,", "format the cell"),
    ("date", "A-1,ALT,41,U/L,2011-02-03,,,,,", "ten years"),
    ("day", "A-1,ALT,41,U/L,,0,,,,", "no day 0"),
    ("day", "A-1,ALT,41,U/L,,1.5,,,,", "whole number"),
    ("day", "A-1,ALT,41,U/L,2024-01-29,29,,,,", "28"),
    ("time_point", "A-1,ALT,41,U/L,2024-01-02,,2 h,,,", "pre or post"),
    ("time_point", "A-1,ALT,41,U/L,2024-01-02,,pre or post,,,", "pre or post"),
    ("lloq", "A-1,IL6,< LLOQ,pg/mL,,2,,,-1,", "above 0"),
    ("uln", "A-1,ALT,41,U/L,,28,,,,forty", "above 0"),
    ("subject", ",ALT,41,U/L,,28,,,,", "empty"),
    ("parameter", "A-1,,41,U/L,,28,,,,", "empty"),
]


@pytest.mark.parametrize(("column", "row", "allowed"), BROKEN)
def test_broken_cells_are_refused_by_place(tmp_path, patients, column, row, allowed):
    """Row, column and value, and what is allowed; a good row beside it does not hide the broken one."""
    with pytest.raises(dsf.InputError) as found:
        read(tmp_path, patients, "A-2,ALT,30,U/L,,28,,,,", row)
    (problem,) = found.value.problems
    assert problem.where.startswith("row 3")
    assert problem.where.endswith(column)
    assert allowed in problem.allowed


def test_there_are_forty_broken_inputs():
    assert len({row for _column, row, _allowed in BROKEN}) >= 40


@pytest.mark.parametrize(
    ("head", "missing"),
    [("subject,value,unit,date", "parameter"), ("subject,parameter,unit,date", "value"), ("parameter,value,date", "subject")],
)
def test_missing_columns_are_refused(tmp_path, patients, head, missing):
    with pytest.raises(dsf.InputError, match=missing):
        read(tmp_path, patients, head=head)


def test_config_without_endpoints_and_folders_without_domains_are_refused(tmp_path, patients):
    other = dsf.load_protocol(peers.ROOT / "configs" / "nct05962762.toml")
    with pytest.raises(dsf.InputError, match="endpoints"):
        read(tmp_path, patients, protocol=other)
    with pytest.raises(dsf.InputError, match="no domain"):
        dsf.read_measurements(tmp_path / "..", patients, PROTOCOL)
    (tmp_path / "m.txt").write_text("subject")
    with pytest.raises(dsf.InputError, match=r"\.csv"):
        dsf.read_measurements(tmp_path / "m.txt", patients, PROTOCOL)
    for name in ("lb.csv", "adlb.csv"):
        (tmp_path / name).write_text("USUBJID\n")
    with pytest.raises(dsf.InputError, match="both"):
        dsf.read_measurements(tmp_path, patients, PROTOCOL)


def test_implausible_values_are_warned_of_and_kept(tmp_path, patients):
    rows = ("A-1,BILI,2.1,umol/L,,28,,,,", "A-1,CREAT,1.1,umol/L,,28,,,,", "A-1,ALB,3.4,g/L,,28,,,,", "A-1,INR,20,,,28,,,,")
    found = read(tmp_path, patients, *rows, "A-1,BILI,40,umol/L,,56,,,,")
    assert len(found.values) == 5
    assert [warning.rpartition(" ")[2] for warning in found.warnings] == ["mg/dL", "mg/dL", "g/dL", "implausible"]


def test_other_names_of_columns_are_noted(tmp_path, patients):
    found = read(tmp_path, patients, "A-1,ALT,41,U/L,28,x", head="USUBJID,PARAMCD,AVAL,AVALU,ADY,comment")
    assert len(found.values) == 1
    assert any("comment" in note for note in found.notes)


def sdtm(folder, **domains):
    for name, (head, *rows) in domains.items():
        (folder / f"{name}.csv").write_text("\n".join([head, *rows]) + "\n")
    return folder


def test_sdtm_domains(tmp_path, patients):
    """Character results beyond a limit, status, specimen, time points, procedures and clinical events."""
    lb = "USUBJID,LBTESTCD,LBTEST,LBORRES,LBSTRESC,LBSTRESN,LBSTRESU,LBSTNRHI,LBDTC,LBTPT,LBSTAT,LBSPEC,VISIT"
    folder = sdtm(
        tmp_path,
        lb=(
            lb,
            "A-1,ALT,Alanine Aminotransferase,41,41,41,U/L,45,2024-01-29,,,BLOOD,DAY 28",
            "A-1,IL6,Interleukin 6,<1.5,<1.5,,pg/mL,,2024-01-30,PRE-INFUSION,,BLOOD,DAY 28",
            "A-1,IL6,Interleukin 6,5,5,5,pg/mL,,2024-01-30T14:00,POST-INFUSION,,BLOOD,DAY 29",
            "A-1,BILI,Bilirubin,,,,umol/L,,2024-01-29,,NOT DONE,BLOOD,DAY 28",
            "A-1,BILI,Bilirubin,3,3,3,umol/L,,2024-01-29,,,URINE,DAY 28",
            "A-2,GLUC,Glucose,5,5,5,mmol/L,,2024-01-29,,,BLOOD,DAY 28",
        ),
        qs=("USUBJID,QSTESTCD,QSTEST,QSSTRESN,QSSTRESU,QSDTC", "A-1,CLDQSUM,CLDQ sum,140,,2024-01-29"),
        rs=("USUBJID,RSTESTCD,RSTEST,RSSTRESC,RSSTRESU,RSDTC", "A-1,ECOG,ECOG,1,,2024-03-26"),
        vs=("USUBJID,VSTESTCD,VSTEST,VSSTRESN,VSSTRESU,VSDTC,VSTPT", "A-1,LSM,Liver stiffness,22,kPa,2024-03-26,AFTER LYING DOWN"),
        pr=("USUBJID,PRTRT,PRSTDTC", "A-2,Liver transplantation,2024-06-01", "A-2,Paracentesis,2024-05-01"),
        ce=("USUBJID,CETERM,CESTDTC", "A-1,Hepatic failure,2024-09-01"),
    )
    found = dsf.read_measurements(folder, patients, PROTOCOL)
    assert [(seen.subject, seen.parameter, seen.kind, seen.value, seen.time_point) for seen in found.values] == [
        ("A-1", "ALT", "value", 41.0, ""),
        ("A-1", "IL6", "below", 1.5, "pre"),
        ("A-1", "IL6", "value", 5.0, "post"),
        ("A-1", "CLDQ", "value", 140.0, ""),
        ("A-1", "ECOG", "value", 1.0, ""),
        ("A-1", "LSM", "value", 22.0, ""),
        ("A-2", "TRANSPLANT", "event", None, ""),
        ("A-1", "LIVFAIL", "event", None, ""),
    ]
    assert found.values[0].upper_normal == 45
    assert Counter(row.reason.partition(": ")[2] for row in found.listed) == {
        "not done": 1,
        "another specimen": 1,
        "another parameter": 2,
    }
    assert found.rows == 12


@pytest.fixture(scope="module")
def synthetic():
    return dsf.synthesize(dsf.load_trial(CONFIG), "none toxic", seed=3, endpoints=True)


def test_long_table_and_sdtm_are_the_same_measurements(tmp_path, synthetic):
    """Of a synthetic trial: all 48 measures, with values beyond limits and missing ones; read from both without losing a row."""
    (tmp_path / "p").mkdir()
    for name, table in synthetic.tables.items():
        (tmp_path / f"{name}.csv").write_text(csv_text(table))
    for name, table in synthetic.domains.items():
        (tmp_path / "p" / f"{name}.csv").write_text(csv_text(table))
    protocol = synthetic.protocol
    patients = dsf.read_patients(tmp_path / "patients.csv", protocol, events=tmp_path / "events.csv")
    long = dsf.read_measurements(tmp_path / "measurements.csv", patients, protocol)
    domains = dsf.read_measurements(tmp_path / "p", dsf.read_patients(tmp_path / "p", protocol), protocol)
    assert long.rows == domains.rows == len(synthetic.measurements.rows)
    assert not long.listed
    assert not domains.listed
    assert sorted(seen[:6] for seen in long.values) == sorted(seen[:6] for seen in domains.values)
    kinds = Counter(seen.kind for seen in long.values)
    assert kinds["below"] > 50
    assert kinds["not detected"] > 10
    found = dsf.summarize_endpoints(synthetic.protocol, patients, long)
    with_values = {value.parameter for value in found.values} | {row.parameter for row in found.timed}
    assert {measure for measure, keys in protocol.endpoints.measures.items() if {*keys} <= with_values} == {
        *protocol.endpoints.measures
    }
    assert len(protocol.endpoints.measures) == 48
    assert {one.reason for one in found.missing} >= {"missed", "withdrawn", "no infusion"}


def test_workbooks_are_read_like_tables(tmp_path, patients):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.title = "measurements"
    book.active.append(["subject", "parameter", "value", "unit", "date", "time_point"])
    book.active.append(["A-1", "ALT", 41, "U/L", date(2024, 1, 29), None])
    book.active.append(["A-1", "IL6", "< 1.5", "pg/mL", date(2024, 1, 2), "pre"])
    book.create_sheet("notes").append(["times are local"])
    book.save(tmp_path / "m.xlsx")
    found = dsf.read_measurements(tmp_path / "m.xlsx", patients, PROTOCOL)
    assert [seen[1:6] for seen in found.values] == [("ALT", 28, "value", 41.0, ""), ("IL6", 1, "below", 1.5, "pre")]
    assert any("notes" in note for note in found.notes)
    book.create_sheet("more").append(["subject", "value"])
    book.save(tmp_path / "m.xlsx")
    with pytest.raises(dsf.InputError, match="more"):
        dsf.read_measurements(tmp_path / "m.xlsx", patients, PROTOCOL)
