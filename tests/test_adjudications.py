"""Adjudications on file: validation, the append-only file, which are in force, and the command."""

import csv
from datetime import date, timedelta

import pytest
from click.testing import CliRunner

import dosefind as dsf
from dosefind.adjudications import (
    RELATIONSHIPS,
    Adjudicated,
    EventKey,
    event_to_adjudicate,
    in_force,
    read_adjudications,
    record_adjudication,
)
from dosefind.cli import main
from dosefind.patients import AdverseEvent
from dosefind.protocol import DLT

from .made_up import day, event, patient
from .peers import ROOT
from .planted import faults


def adjudicated(**changed):
    given = {
        "as_of": day(30),
        "adjudicated_on": day(33),
        "protocol": "X",
        "data_sha256": "0" * 64,
        "subject": "A1",
        "event_date": day(10),
        "term": "fever",
        "grade": 3,
        "conclusion": "not a DLT",
        "adjudicated_by": "safety board",
        "reason": "explained by an infection",
    }
    return Adjudicated(**given | changed)


def test_record_and_read_round_trip(tmp_path):
    path = tmp_path / "adjudications.csv"
    rows = [
        adjudicated(reason='=HYPERLINK("x"), "quoted",\nand a second line', term="-itis", adjudicated_by="@board"),
        adjudicated(event_date=None, term="", grade=None, conclusion="not evaluable", reason="'=as it is"),
        adjudicated(as_of=day(31), event_date=None, grade=None, conclusion="DLT"),
    ]
    for row in rows:
        before = path.read_bytes() if path.exists() else b""
        record_adjudication(path, row)
        assert path.read_bytes().startswith(before)
    record_adjudication(path, adjudicated(protocol="OTHER"))
    assert read_adjudications(path, "X") == rows
    assert [row.of_assessment for row in rows] == [False, True, False]
    assert read_adjudications(tmp_path / "none.csv", "X") == []
    with path.open(newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("as_of", "2024-01-30"),
        ("adjudicated_on", None),
        ("protocol", ""),
        ("subject", " "),
        ("subject", "A\x1b[2J"),
        ("event_date", "2024-01-10"),
        ("event_date", day(31)),
        ("term", "x" * 2001),
        ("grade", 0),
        ("grade", 6),
        ("grade", 3.0),
        ("grade", True),
        ("conclusion", "no DLT"),
        ("adjudicated_by", ""),
        ("adjudicated_by", "x" * 201),
        ("reason", " \n"),
        ("reason", "a\x00"),
    ],
)
def test_wrong_field_is_not_written(tmp_path, field, value):
    with pytest.raises(dsf.InputError) as error:
        record_adjudication(tmp_path / "adjudications.csv", adjudicated(**{field: value}))
    assert [problem.where for problem in error.value.problems] == [field]
    assert list(tmp_path.iterdir()) == []


def test_every_wrong_field_is_named():
    with pytest.raises(dsf.InputError) as error:
        record_adjudication("adjudications.csv", adjudicated(grade=9, conclusion="", reason=""))
    assert [problem.where for problem in error.value.problems] == ["grade", "conclusion", "reason"]


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("as_of", "30.1.2024"),
        ("adjudicated_on", ""),
        ("event_date", "January"),
        ("event_date", "2024-03-01"),
        ("grade", "6"),
        ("grade", "3.0"),
        ("grade", " 3"),
        ("conclusion", "dlt"),
        ("subject", ""),
        ("adjudicated_by", ""),
        ("reason", ""),
    ],
)
def test_wrong_cell_is_named_by_row_and_column_and_file_left_alone(tmp_path, column, cell):
    path = tmp_path / "adjudications.csv"
    record_adjudication(path, adjudicated())
    with path.open(newline="") as file:
        header, row = csv.reader(file)
    row[header.index(column)] = cell
    with path.open("a", newline="") as file:
        csv.writer(file, lineterminator="\n").writerow(row)
    content = path.read_bytes()
    for call in (lambda: read_adjudications(path, "X"), lambda: record_adjudication(path, adjudicated())):
        with pytest.raises(dsf.InputError) as error:
            call()
        assert [(problem.where, str(problem.value)) for problem in error.value.problems] == [(f"row 3.{column}", cell)]
        assert error.value.source == str(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("content", [b"as_of\n", b"\xff", b"\n", ",".join(Adjudicated._fields).encode() + b"\n2024-01-30,X\n"])
def test_damaged_file_is_left_alone(tmp_path, content):
    path = tmp_path / "adjudications.csv"
    path.write_bytes(content)
    with pytest.raises(dsf.InputError, match=r"adjudications\.csv: "):
        record_adjudication(path, adjudicated())
    assert path.read_bytes() == content


def test_earlier_data_cutoff_is_refused(tmp_path):
    path = tmp_path / "adjudications.csv"
    record_adjudication(path, adjudicated())
    before = path.read_bytes()
    with pytest.raises(dsf.InputError) as error:
        record_adjudication(path, adjudicated(as_of=day(29)))
    assert error.value.problems[0].where == "as_of"
    assert path.read_bytes() == before
    # Another protocol has its own order.
    record_adjudication(path, adjudicated(as_of=day(29), protocol="OTHER"))


def test_latest_per_event_is_in_force():
    first, other = adjudicated(), adjudicated(grade=4)
    assessment = adjudicated(event_date=None, term="", grade=None)
    later = adjudicated(as_of=day(40), conclusion="DLT", term="Fever")
    of_another = adjudicated(as_of=day(41), subject="A2")
    every = [first, other, assessment, later, of_another]
    assert in_force(every, day(29)) == []
    assert in_force(every, day(30)) == [first, other, assessment]
    assert in_force(every, day(40)) == [other, assessment, later]
    assert in_force(every, day(99)) == [other, assessment, later, of_another]
    # On the same data, the later entry holds.
    assert in_force([first, first._replace(conclusion="DLT")], day(30))[0].conclusion == "DLT"


def test_event_to_adjudicate():
    mild, grave = event(4, grade=2, term="rash"), event(6, grade=3)
    one = patient("A1", 1, 1, events=(mild, grave))
    assert event_to_adjudicate(one, DLT()) == EventKey(day(6), "fever", 3)
    for asked in ("1", day(4).isoformat()):
        assert event_to_adjudicate(one, DLT(), asked) == EventKey(day(4), "rash", 2)
    assert event_to_adjudicate(one, DLT(), "none") == EventKey()
    assert event_to_adjudicate(patient("A1", 1, 1, events=(mild, event(9, grade=5))), DLT(), "death").grade == 5


class Serious(AdverseEvent):
    serious = True


def test_serious_event_and_death_without_an_event_of_grade_5():
    dead, mild = patient("A1", 1, 1, events=(event(4, grade=2),)), event(6, grade=2, term="rash")
    object.__setattr__(dead, "died", day(9))
    assert event_to_adjudicate(dead, DLT(), "death") == EventKey(day(9), "death", 5)
    serious = patient("A1", 1, 1, events=(event(4, grade=2), Serious(*mild)))
    assert event_to_adjudicate(serious, DLT()) == EventKey(day(6), "rash", 2)
    unrelated = patient("A1", 1, 1, events=(event(4), Serious(*mild._replace(related="no"))))
    assert event_to_adjudicate(unrelated, DLT()) == EventKey(day(4), "fever", 3)


@pytest.mark.parametrize(
    ("events", "asked", "candidates"),
    [
        ((), None, ()),
        ((event(4, grade=2),), None, ("day 4; grade 2",)),
        ((event(4), event(4, term="rash"), event(9, grade=1)), None, ("1 (2024-01-04, day 4; grade 3; fever)", "2 (2024-01-04")),
        ((event(4), event(4, term="rash"), event(9)), day(4).isoformat(), ("day 4; grade 3; rash",)),
        ((event(4),), "2", ("day 4; grade 3",)),
        ((event(4),), day(5).isoformat(), ("day 4; grade 3",)),
        ((event(None, grade=None),), None, ("no start date; grade not recorded",)),
        ((event(4),), "death", ()),
        ((event(4),), "fever", ()),
    ],
)
def test_absent_or_ambiguous_event_lists_candidates(events, asked, candidates):
    with pytest.raises(dsf.InputError) as error:
        event_to_adjudicate(patient("A1", 1, 1, events=events), DLT(), asked)
    assert all(candidate in str(error.value) for candidate in candidates)
    assert "possibly related" not in str(error.value)
    if asked == day(4).isoformat():
        assert "day 9" not in str(error.value)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "trial.toml").write_bytes((ROOT / "configs" / "nct05962762.toml").read_bytes())
    rows = ["subject,level,infusion_1,name", "A1,1,2024-01-01,MARKER", "A2,1,2024-01-03,MARKER"]
    (tmp_path / "patients.csv").write_text("\n".join(rows) + "\n")
    events = ["subject,term,grade,related,start,note"]
    events += [f"A2,fever,{grade},related,{date(2024, 1, 9) + timedelta(days=grade)},MARKER" for grade in (2, 3)]
    (tmp_path / "ae.csv").write_text("\n".join(events) + "\n")
    return tmp_path


def adjudicate(folder, *words, on="2024-02-03"):
    data = ("--data", str(folder / "patients.csv"), "--events", str(folder / "ae.csv"))
    given = ("--by", "Dr. Vogt", "--on", on, "--reason", "an infection")
    return CliRunner().invoke(main, ["adjudicate", str(folder / "trial.toml"), *data, *given, *words])


def test_command_records_beside_config(folder):
    found = adjudicate(folder, "--as-of", "2024-02-01", "--subject", "A2", "--conclusion", "not a DLT")
    assert (found.exit_code, found.stdout) == (0, "")
    again = adjudicate(folder, "--as-of", "2024-02-01", "--subject", "A1", "--event", "none", "--conclusion", "not evaluable")
    assert again.exit_code == 0
    first, second = read_adjudications(folder / "adjudications.csv", "NCT05962762")
    patients = dsf.read_patients(folder / "patients.csv", dsf.load_protocol(folder / "trial.toml"), events=folder / "ae.csv")
    assert first == Adjudicated(
        *(date(2024, 2, 1), date(2024, 2, 3), "NCT05962762", patients.sha256, "A2", date(2024, 1, 12), "fever", 3),
        *("not a DLT", "Dr. Vogt", "an infection", first.relationship, "", "no", "", 1),
    )
    assert first.relationship in RELATIONSHIPS
    assert second.of_assessment
    assert (second.relationship, second.serious, second.fatal) == ("", "", "")
    assert "MARKER" not in (folder / "adjudications.csv").read_text() + found.stderr


def test_command_replays(folder):
    words = ("--subject", "A2", "--conclusion", "DLT", "--as-of", "2024-01-11")
    assert "request a replay" in adjudicate(folder, *words).stderr
    # On that day the event of grade 3 had not begun.
    assert "grade 2" in (absent := adjudicate(folder, *words, "--replay")).stderr
    assert "grade 3;" not in absent.stderr
    assert adjudicate(folder, *words, "--replay", "--event", "1").exit_code == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--subject", "A9", "--conclusion", "DLT"), "subject = 'A9'"),
        (("--subject", "A2", "--conclusion", "yes"), "--conclusion"),
        (("--subject", "A1", "--conclusion", "DLT"), "subject A1 has no event of grade 3 or worse"),
        (("--subject", "A1", "--conclusion", "DLT", "--event", "death"), "subject A1 has no date of death"),
        (("--subject", "A2", "--conclusion", "DLT", "--on", "3.2.2024"), "--on"),
    ],
)
def test_wrong_command_writes_nothing(folder, words, says):
    found = adjudicate(folder, *words)
    assert (found.exit_code, found.stdout) == (2, "")
    assert says in found.stderr
    assert "MARKER" not in found.stderr
    assert not (folder / "adjudications.csv").exists()


FAULTS = {
    "the first adjudication of an event is in force": (
        "dosefind.adjudications:in_force",
        lambda old: lambda adjudications, as_of: old(list(adjudications)[::-1], as_of),
        test_latest_per_event_is_in_force,
    ),
}

test_fault_is_caught = faults(FAULTS)
