"""Random trials are written in every format, in odd spellings that are right, and read back to the same patients."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from dosefind import InputError, evaluate, load_protocol, read_patients
from dosefind.patients import Patients
from dosefind.protocol import Doses, Intake

from .odd_files import records_of, write_adam, write_own, write_sdtm
from .patient_files import write_csv, write_domains
from .random_trials import CALENDAR, Dice, expected, random_trial

CONFIGS = Path(__file__).parents[1] / "configs"
AS, HBV = (load_protocol(CONFIGS / f"{name}.toml") for name in ("nct05962762", "nct05948982"))
PROTOCOLS = (AS, HBV, AS.model_copy(update={"doses": Doses(amounts=(0.1, 0.3, 0.9), unit="mg")}))
FORMATS = {
    "CSV": ("own", write_own, ("csv",)),
    "Excel": ("own", write_own, ("xlsx",)),
    "SDTM": ("SDTM", write_sdtm, ("csv", "xpt", "mixed")),
    "ADaM": ("ADaM", write_adam, ("csv", "xpt", "mixed")),
}
NAMED = Intake(dlt_flag="DLTFL", dlt_date="DLTDTC", cohort="COHORTN")
TRIALS = 130
QUICK = 10


def comparable(patient):
    """Return the public fields of a patient, sets of days as sets, without the rows and columns that they were read from."""
    fields = {name: getattr(patient, name) for name in patient.__dataclass_fields__}
    del fields["source"], fields["assigned_by"]
    fields["amount"], fields["amounts"] = round(patient.amount, 9), tuple(round(amount, 9) for amount in patient.amounts)
    fields["dlt_days"] = patient.dlt_days and days_of(patient.dlt_days)
    fields["events"] = patient.events and sorted(map(comparable_event, patient.events), key=repr)
    return fields


def comparable_event(event):
    fields = event._asdict() | {"source": "", "supplements": (), "days": None}
    return fields | {"start": (event.start, () if event.start else days_of(event.possible))}


def days_of(days):
    return tuple(day for day in CALENDAR if day in days)


def judged(patients, protocol):
    """Return the statuses of patients, or the places of the error."""
    try:
        found = evaluate(patients, protocol)
    except InputError as error:
        return [problem.allowed.partition(":")[0] for problem in error.problems]
    keys = ("subject", "cohort", "level", "kind", "first", "end", "closed", "days_to_go", "fraction", "replaced_by", "unresolved")
    more = ("otherwise", "part", "pooled", "held", "overdue", "assessed", "derived", "recorded")
    return [{key: getattr(status, key) for key in (*keys, *more)} for status in found.statuses]


def check(number, name, folder):
    layout, write, kinds = FORMATS[name]
    trial = random_trial(Dice([20260717, number]), PROTOCOLS)
    dice = Dice([20260718, number, list(FORMATS).index(name)])
    written = write(trial, folder / "data" if layout != "own" else folder, dice.pick(kinds), dice)
    protocol = trial.protocol.model_copy(update={"intake": NAMED}) if written.named else trial.protocol
    found = read_patients(written.data, protocol, events=written.events)
    wanted = expected(trial, layout, written.named)
    assert [comparable(patient) for patient in found.patients] == [comparable(patient) for patient in wanted]
    # Records: as many as were written, as another reader counts, and each named once.
    named = [row for patient in found.patients for row in patient.rows()] + [listed.source for listed in found.listed]
    assert found.rows == written.records == sum(map(records_of, written.files)) == len(named) == len(set(named))
    assert len(found.listed) == written.listed
    last = max(day for patient in wanted for _, day in patient.dates())
    keeps = layout != "SDTM" and trial.with_contacts
    assert (found.last_date, found.keeps_contacts) == (last, keeps)
    by_hand = Patients(wanted, (), len(named), (), last, "", keeps)
    numbered = _numbered(by_hand)
    statuses = judged(found, trial.protocol)
    assert statuses == judged(numbered, trial.protocol)
    if statuses and isinstance(statuses[0], dict):
        kinds = {status["subject"]: status["kind"] for status in statuses}
        dlts = {person.subject for person in trial.treated if person.has_dlt and person.level is not None}
        assert {kinds[subject] for subject in dlts} <= {"dlt"}
    return isinstance(statuses[0], dict)


def _numbered(patients):
    """Return patients whose rows are numbered through, as `evaluate` wants each row once."""
    rows = iter(range(patients.rows * 2 + 1000))
    people = tuple(
        replace(
            patient,
            source=(f"row {next(rows)}",),
            events=None
            if patient.events is None
            else tuple(event._replace(source=f"row {next(rows)}") for event in patient.events),
        )
        for patient in patients.patients
    )
    return replace(patients, patients=people, rows=sum(len(patient.rows()) for patient in people))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("number", range(QUICK))
def test_trial_is_read_back_as_it_was(number, name, tmp_path):
    check(number, name, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("first", range(QUICK, TRIALS, 10))
def test_further_trials_are_read_back_as_they_were(first, name, tmp_path):
    for number in range(first, first + 10):
        folder = tmp_path / str(number)
        folder.mkdir()
        check(number, name, folder)


# Misreadings that such trials have shown, each with its siblings.

PERSON = {"subject": "A-1", "level": "1", "infusion_1": "2024-03-05", "last_contact": "2024-04-20"}
DM = {"USUBJID": "A-1", "RFPENDTC": "2024-04-20"}
EX = {"USUBJID": "A-1", "EXDOSE": "1", "EXDOSU": "10^6 cells/kg", "EXSTDTC": "2024-03-05"}
AE = {"USUBJID": "A-1", "AEDECOD": "Fever", "AETOXGR": "3", "AESTDTC": "2024-03-07"}
ADSL = {"USUBJID": "A-1", "LSTALVDT": "2024-04-20"}
ADEX = {"USUBJID": "A-1", "ADOSE": "1", "ADOSEU": "10^6 cells/kg", "ASTDT": "2024-03-05"}


def own(folder, event, **person):
    events = write_csv(folder / "events.csv", [{"subject": "A-1", "term": "Fever", **event}])
    return read_patients(write_csv(folder / "patients.csv", [PERSON | person]), AS, events=events).patients[0]


def sdtm(folder, **domains):
    tables = {"dm": [DM], "ex": [EX], **domains}
    return read_patients(write_domains(folder / "sdtm", tables, "csv"), AS).patients[0]


@pytest.mark.parametrize("column", ["related", "causality", "Relationship", "relatedness", "AEREL", "Relationship to treatment"])
@pytest.mark.parametrize("word", ["None", "NONE", "none"])
def test_none_says_not_related_whatever_the_name_of_the_column(column, word, tmp_path):
    patient = own(tmp_path, {"grade": "3", "start": "2024-03-07", column: word})
    assert patient.events[0].related == word
    assert evaluate(read_patients(tmp_path / "patients.csv", AS, events=tmp_path / "events.csv"), AS)["A-1"].kind == "complete"


@pytest.mark.parametrize("column", ["outcome", "AEOUT", "Event outcome"])
def test_none_is_an_outcome_whatever_the_name_of_the_column(column, tmp_path):
    assert own(tmp_path, {"start": "2024-03-07", column: "None"}).events[0].outcome == "None"


def test_none_in_a_supplement_says_not_related(tmp_path):
    supplement = {"RDOMAIN": "AE", "USUBJID": "A-1", "IDVAR": "AESEQ", "IDVARVAL": "1", "QLABEL": "Relationship to UC-MSC"}
    ae, suppae = [AE | {"AESEQ": "1"}], [supplement | {"QNAM": "AEREL1", "QVAL": "None"}]
    assert sdtm(tmp_path, ae=ae, suppae=suppae).events[0].related == "None"


@pytest.mark.parametrize("word", ["U", "UNK", "unknown", "not known"])
def test_unknown_dlt_of_a_subject_without_an_infusion(word, tmp_path):
    rows = [PERSON | {"dlt": "no"}, dict.fromkeys(PERSON, "") | {"subject": "A-2", "dlt": word}]
    found = read_patients(write_csv(tmp_path / "patients.csv", rows), AS)
    assert [listed.source for listed in found.listed] == ["patients.csv row 3"]


@pytest.mark.parametrize(
    "end", ["2024-03-20", "2024-03-20 00:00:00", "2024-03-20 14:05", "2024-03-20T14:05", "2024-03-20T23:59:59+01:00"]
)
def test_event_began_by_its_end_whatever_the_time_of_day(end, tmp_path):
    of_own = own(tmp_path, {"start": "2024-03", "end": end})
    of_sdtm = sdtm(tmp_path, ae=[AE | {"AESTDTC": "2024-03", "AEENDTC": end}])
    assert [patient.events[0].days.latest for patient in (of_own, of_sdtm)] == [date(2024, 3, 20)] * 2


@pytest.mark.parametrize(
    ("end", "latest"),
    [
        ({"AENDT": "2024-03-20"}, date(2024, 3, 20)),
        ({"AENDT": "2024-03-20", "AENDTF": ""}, date(2024, 3, 20)),
        ({"AENDT": "2024-02-15", "AENDTF": "D"}, date(2024, 2, 29)),
        ({"AENDT": "2023-06-15", "AENDTF": "M"}, date(2023, 12, 31)),
        ({"AENDT": "2024-03-20", "AENDTF": "Y"}, None),
        ({"AENDT": "2024-03-31", "AENDTF": "D", "AEENDTC": "2024-03-10/2024-03-22"}, date(2024, 3, 22)),
        ({"AENDT": "", "AEENDTC": "2024-03-20"}, date(2024, 3, 20)),
    ],
)
def test_event_of_adam_began_by_its_end(end, latest, tmp_path):
    """The start is known to the year, or not at all, so that the end decides."""
    event = {"USUBJID": "A-1", "AEDECOD": "Fever", "ATOXGR": "3", "AREL": "Y", "ASTDT": "", **end}
    tables = {"adsl": [ADSL], "adex": [ADEX], "adae": [event]}
    (patient,) = read_patients(write_domains(tmp_path / "adam", tables, "csv"), AS).patients
    assert patient.events[0].possible.latest == latest


def test_date_or_class_as_collected_is_read_where_that_of_the_analysis_is_empty(tmp_path):
    event = {"USUBJID": "A-1", "AEDECOD": "Fever", "ATOXGR": "3", "AREL": "Y", "ASTDT": "2024-03-10"}
    event |= {"AENDT": "", "AEENDTC": "2024-03-20", "AESOC": "", "AEBODSYS": "General disorders"}
    tables = {"adsl": [ADSL], "adex": [ADEX], "adae": [event]}
    (read,) = read_patients(write_domains(tmp_path / "adam", tables, "csv"), AS).patients[0].events
    assert (read.end, read.organ_class) == (date(2024, 3, 20), "General disorders")


@pytest.mark.parametrize(
    "death",
    [
        {"ds": [{"USUBJID": "A-1", "DSCAT": "DISPOSITION EVENT", "DSDECOD": "DEATH", "DSSTDTC": "2024-04-20"}]},
        {"ds": [{"USUBJID": "A-1", "DSCAT": "OTHER EVENT", "DSDECOD": "Died", "DSSTDTC": "2024-04-20"}]},
        {"dd": [{"USUBJID": "A-1", "DDDTC": "2024-04-20"}]},
        {"dm": [DM | {"DTHDTC": "2024-04-20"}]},
    ],
)
def test_event_began_by_the_day_of_death_whichever_record_has_it(death, tmp_path):
    patient = sdtm(tmp_path, ae=[AE | {"AESTDTC": "2024-04"}], **death)
    assert (patient.died, patient.events[0].days.latest) == (date(2024, 4, 20), date(2024, 4, 20))


def test_event_began_by_the_day_of_leaving_by_death(tmp_path):
    full = own(tmp_path, {"start": "2024-04"}, discontinued="2024-04-20", reason="Death")
    assert (full.died, full.events[0].days.latest) == (date(2024, 4, 20), date(2024, 4, 20))
    # The earliest day of a partial date of leaving is not known to be the day of death.
    partly = own(tmp_path, {"start": "2024-04"}, discontinued="2024-04", reason="Death")
    assert (partly.died, partly.events[0].days.latest) == (date(2024, 4, 1), date(2024, 4, 30))


def test_stated_variable_without_any_record(tmp_path):
    """Supplemental qualifiers have records of values only: before the first DLT there is no day of one."""
    named = AS.model_copy(update={"intake": NAMED.model_copy(update={"cohort": None})})
    supplement = {"RDOMAIN": "DM", "USUBJID": "A-1", "QLABEL": "DLT", "QNAM": "DLTFL", "QVAL": "N"}
    tables = {"dm": [DM], "ex": [EX], "suppdm": [supplement]}
    found = read_patients(write_domains(tmp_path / "sdtm", tables, "csv"), named)
    assert found.patients[0].dlt is False
    assert any("DLTDTC" in note for note in found.notes)
    # A flag that is nowhere is still an error, and so is a day that is nowhere beside a DLT.
    without = tables | {"suppdm": [supplement | {"QNAM": "OTHER"}]}
    with pytest.raises(InputError, match="DLTFL"):
        read_patients(write_domains(tmp_path / "without", without, "csv"), named)
    with pytest.raises(InputError, match="day of the DLT"):
        read_patients(write_domains(tmp_path / "yes", tables | {"suppdm": [supplement | {"QVAL": "Y"}]}, "csv"), named)


@pytest.mark.parametrize("text", ["1001.0", "1001.", "1001.00"])
def test_identifier_with_a_fraction_of_zeros_is_the_whole_number(text, tmp_path):
    rows = [
        PERSON | {"subject": "1001", "replaces": ""},
        PERSON | {"subject": "1002", "infusion_1": "2024-03-09", "replaces": text},
    ]
    events = write_csv(tmp_path / "events.csv", [{"subject": text, "term": "Fever"}])
    found = read_patients(write_csv(tmp_path / "patients.csv", rows), AS, events=events)
    assert [(patient.subject, patient.replaces, len(patient.events)) for patient in found.patients] == [
        ("1001", None, 1),
        ("1002", "1001", 0),
    ]
    assert sum("whole numbers" in note for note in found.notes) == 2
    domains = {"dm": [DM | {"USUBJID": "1001"}], "ex": [EX | {"USUBJID": text}], "ae": [AE | {"USUBJID": text}]}
    (patient,) = read_patients(write_domains(tmp_path / "sdtm", domains, "csv"), AS).patients
    assert (patient.subject, len(patient.events)) == ("1001", 1)


@pytest.mark.parametrize("text", ["1001.5", "01001", "1001.01", "A1001.0", "1003.0"])
def test_another_identifier_is_refused(text, tmp_path):
    events = write_csv(tmp_path / "events.csv", [{"subject": text, "term": "Fever"}])
    with pytest.raises(InputError, match="is not a subject"):
        read_patients(write_csv(tmp_path / "patients.csv", [PERSON | {"subject": "1001"}]), AS, events=events)


def test_identifier_that_stands_in_both_spellings_is_kept(tmp_path):
    rows = [PERSON | {"subject": "1001"}, PERSON | {"subject": "1001.0", "infusion_1": "2024-03-09"}]
    events = write_csv(tmp_path / "events.csv", [{"subject": "1001.0", "term": "Fever"}, {"subject": "1001", "term": "Rash"}])
    found = read_patients(write_csv(tmp_path / "patients.csv", rows), AS, events=events)
    assert [(patient.subject, patient.events[0].term) for patient in found.patients] == [("1001", "Rash"), ("1001.0", "Fever")]
