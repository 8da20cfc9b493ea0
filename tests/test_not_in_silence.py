"""A death, a DLT or a serious event that stands where nothing reads it is read under its other name, refused or noted."""

import re
import zipfile
from datetime import date
from pathlib import Path

import pytest

from dosefind import InputError, evaluate, load_protocol, read_patients
from dosefind.evaluability.serious import EARLY, RELATED_SERIOUS, RELATED_SEVERE, early_events, serious_events
from dosefind.intake.deaths import is_death, is_fatal_outcome, is_understood_outcome, resembles_death
from dosefind.intake.letters import has_look_alikes, one_slip, plain_letters
from dosefind.intake.unread import topic_of
from dosefind.tasks.holds import safety_counts

from .made_up import protocol

AS = load_protocol(Path(__file__).parents[1] / "configs" / "nct05962762.toml")
PEOPLE = "subject,level,infusion_1,last_contact{more}\nP1,1,2024-03-01,2024-06-01{none}\nP2,2,2024-04-01,2024-06-01{cells}\n"
EVENTS = "subject,term,{columns}\nP2,{term},{cells}\n"


def people(more="", cells=""):
    """A table of two patients, the second with these cells."""
    return PEOPLE.format(more=more and f",{more}", cells=more and f",{cells}", none="," * (bool(more) + more.count(",")))


def read(folder, patients=None, events=None):
    """The second patient of a trial in dosefind's own layout, and the notes."""
    (folder / "patients.csv").write_text(patients or people(), encoding="utf-8")
    if events is not None:
        (folder / "events.csv").write_text(events, encoding="utf-8")
    found = read_patients(folder / "patients.csv", AS, events=None if events is None else folder / "events.csv")
    return found.patients[1], found.notes


def one_event(folder, columns, cells, term="Sepsis"):
    patient, _ = read(folder, events=EVENTS.format(columns=columns, cells=cells, term=term))
    return patient, patient.events[0]


def refused(what, *arguments):
    """The places that one error names."""
    with pytest.raises(InputError) as error:
        what(*arguments)
    return " ".join(problem.where for problem in error.value.problems)


# Columns under another name.


@pytest.mark.parametrize(
    "name",
    ["dlt?", "DLT (y/n)", "dlts", "dlt_yn", "dlt_flag", "had_dlt", "Dose_Limiting_Toxicity", "dose limiting toxicity", "ＤＬＴ"],
)
def test_a_dlt_column_under_another_spelling_is_read(tmp_path, name):
    patient, notes = read(tmp_path, people(f"{name},date of DLT", "yes,2024-04-10"))
    assert (patient.dlt, patient.dlt_date) == (True, date(2024, 4, 10))
    assert any("read as dlt" in note for note in notes)


@pytest.mark.parametrize(
    "name",
    [
        "dlt_comment",
        "n_dlts",
        "evaluable_set",
        "worst_grade",
        "is_alive",
        "vital_status",
        "sae_yes",
        "autopsy",
        "sev",
        "tox",
        "os_event",
        "seroius",
        "unrelated",
        "outcom",
    ],
)
def test_an_unread_column_whose_name_decides_about_a_dose_is_refused(tmp_path, name):
    """Unless it is empty, when it can hide nothing."""
    assert f"column {name}" in refused(read, tmp_path, people(name, "x"))
    read(tmp_path, people(name, ""))


@pytest.mark.parametrize(
    "name", ["comment", "tumor_grade", "donor_relation", "site", "hospital", "created", "width", "deadline", "stage"]
)
def test_other_unread_columns_are_noted(tmp_path, name):
    _, notes = read(tmp_path, people(name, "x"))
    assert any(name in note for note in notes)


def test_a_second_column_of_dlts_is_refused(tmp_path):
    assert "column dlt_yn" in refused(read, tmp_path, people("dlt,dlt_yn", "no,yes"))
    assert "column dlt_yn" in refused(read, tmp_path, people("dlt_yn,dlt_flag", "no,yes"))


@pytest.mark.parametrize("name", ["dlt", "DLT?", "DLT (y/n)", "dltfl"])
def test_dlts_in_the_table_of_events_are_flags_of_the_investigator(tmp_path, name):
    assert one_event(tmp_path, f"grade,{name}", "2,yes")[1].flagged_dlt is True


@pytest.mark.parametrize("name", ["dose-limiting", "is_dlt", "dlt_date", "dlt_comment"])
def test_other_columns_of_dlts_in_the_table_of_events_are_refused(tmp_path, name):
    assert "column" in refused(one_event, tmp_path, f"grade,{name}", "2,yes")


@pytest.mark.parametrize("name", ["evaluable", "Evaluable?", "DLT evaluable"])
def test_the_column_of_evaluability_is_read(tmp_path, name):
    assert read(tmp_path, people(name, "no"))[0].evaluable is False


@pytest.mark.parametrize("columns", ["evaluable,evaluable_reason", "evaluable,reason", "left_treatment,left_treatment_reason"])
def test_a_death_in_a_reason_that_reports_none_is_refused(tmp_path, columns):
    """Such as the reason why a patient is not evaluable; a reason for leaving follow-up reports the death itself."""
    day = "no" if "evaluable" in columns else "2024-04-20"
    text = people(columns, f"{day},patient died")
    assert "subject P2" in refused(read, tmp_path, text)
    assert read(tmp_path, people(f"died,{columns}", f"2024-06-01,{day},patient died"))[0].died


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("deceased", "yes"),
        ("dead", "yes"),
        ("dthdtc", "2024-05-20"),
        ("date_death", "2024-05-20"),
        ("Death Date", "2024-05-20"),
        ("death_dt", "2024-05-20"),
        ("died_on", "2024-05-20"),
        ("fatal", "yes"),
    ],
)
def test_deaths_of_patients_under_another_spelling_are_read(tmp_path, name, cell):
    patient, _ = read(tmp_path, people(name, cell))
    assert patient.died == date(2024, 5, 20) if cell != "yes" else patient.died is not None


@pytest.mark.parametrize(
    ("columns", "cells"),
    [
        ("comment", "patient died 20 April"),
        ("status", "Death"),
        ("notes", "succumbed to sepsis"),
        ("", "found dead"),
        ("remark", "Pat. verstorben"),
        ("remark", "d\u200bied"),
    ],
)
def test_a_death_in_an_unread_column_is_refused_unless_it_is_known(tmp_path, columns, cells):
    read(tmp_path, people(f"died,{columns}", f"2024-05-20,{cells}"))
    assert "subject P2" in refused(read, tmp_path, people(f"replaces,{columns}", f",{cells}"))
    assert "events.csv row 2" in refused(one_event, tmp_path, f"grade,{columns}", f"2,{cells}")


@pytest.mark.parametrize(
    "text", ["DLT: hepatitis", "SAE reported", "Hospitalized 3 April", "life-threatening event", "dose-limiting"]
)
def test_free_text_about_dlts_and_serious_events_is_noted(tmp_path, text):
    (tmp_path / "a").mkdir()
    for _, notes in (
        read(tmp_path, people("comment", text)),
        read(tmp_path / "a", people(), EVENTS.format(columns="comment", cells=text, term="Rash")),
    ):
        assert any(note.startswith("P2: comment ") or " P2: comment " in note for note in notes)
    assert not any("P2: comment " in note for note in read(tmp_path, people("comment", f"no {text}"))[1]) or not text.startswith(
        ("DLT", "SAE")
    )


@pytest.mark.parametrize("text", ["no deaths", "consent expired", "deceased donor", "suicide attempt", "near-fatal"])
def test_unread_text_without_a_death_is_no_finding(tmp_path, text):
    read(tmp_path, people("comment", text))


# Columns of the table of events.


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("aesdth", "Y"),
        ("results_in_death", "yes"),
        ("Results in death?", "yes"),
        ("fatal", "yes"),
        ("death", "yes"),
        ("aeout", "FATAL"),
        ("event_outcome", "fatal"),
        ("Event outcome", "died"),
    ],
)
def test_fatal_events_under_another_spelling_are_read(tmp_path, name, cell):
    patient, event = one_event(tmp_path, f"grade,related,start,{name}", f"3,not related,2024-05-20,{cell}")
    assert patient.died == date(2024, 5, 20)
    assert is_death(event.outcome)


@pytest.mark.parametrize(
    "name", ["is_serious", "serious_event", "ser", "saer", "AESER", "serious?", "hospitalisation", "Life-threatening"]
)
def test_serious_events_under_another_spelling_are_read(tmp_path, name):
    _, event = one_event(tmp_path, f"grade,related,start,{name}", "3,not related,2024-05-20,yes")
    assert event.serious is True


@pytest.mark.parametrize("name", ["toxicity_grade", "CTCAE grade", "aetoxgr", "Grade "])
def test_grades_under_another_spelling_are_read(tmp_path, name):
    assert one_event(tmp_path, f"{name},causality,onset", "4,related,2024-05-20")[1][1:4] == (4, "related", date(2024, 5, 20))


@pytest.mark.parametrize(
    "name", ["date_of_death", "dod", "max_grade", "sae_number", "outcome_code", "causality_code", "death_date"]
)
def test_unread_columns_of_events_that_decide_are_refused(tmp_path, name):
    assert f"column {name}" in refused(one_event, tmp_path, f"grade,{name}", "2,2024-05-20")


@pytest.mark.parametrize(
    ("name", "topic"),
    [
        ("AESDTH", "deaths"),
        ("DTHFL", "deaths"),
        ("width", None),
        ("SAE?", "seriousness"),
        ("relative_day", None),
        ("d.l.t.", "DLTs"),
        ("evaluable", "evaluability"),
        ("aesev", "severity"),
    ],
)
def test_topics_of_names(name, topic):
    assert topic_of(name) == topic


# Words for death.


@pytest.mark.parametrize(
    "term",
    [
        "Fatal pulmonary embolism",
        "Death due to sepsis",
        "Death NOS",
        "Found dead",
        "Suicide",
        "Cardiac arrest (patient died)",
        "Plötzlicher Herztod",
        "Mort subite",
    ],
)
def test_a_term_that_reports_a_death_is_fatal(tmp_path, term):
    patient, event = one_event(tmp_path, "grade,related,start", "4,not related,2024-05-20", term)
    assert (patient.died, event.outcome, event.serious) == (date(2024, 5, 20), "fatal", True)


@pytest.mark.parametrize(
    "term", ["Suicide attempt", "Cell death", "Near-fatal asthma", "Fear of death", "Expired product administered"]
)
def test_a_term_that_reports_no_death_is_not_fatal(tmp_path, term):
    patient, event = one_event(tmp_path, "grade,related,start,serious", "4,not related,2024-05-20,", term)
    assert (patient.died, event.outcome, event.serious) == (None, None, None)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "demise",
            "Succumbed to illness",
            "not alive",
            "no longer alive",
            "dies",
            "patient dies",
            "killed",
            "perished",
            "passed away",
        ),
        *("Tod", "Exitus", "verstorben", "Todesfall", "tödlich", "décès", "décédé", "DÉCÉDÉE", "deces", "mort", "mortelle"),
        *("FATAL\u200b", "d\u00adied", "ＤＩＥＤ", "Diеd", "fаtal", "ﬀ fatal", "DEAТH", "† 20.04.2026", "†"),
    ],
)
def test_words_for_death(text):
    assert is_death(text)


@pytest.mark.parametrize(
    "text", ["", "diet", "method", "alive", "not fatal", "tot. bilirubin", "resolved", "hospitalised", "immortal", None]
)
def test_words_that_report_no_death(text):
    assert not is_death(text)


def test_codes_of_outcomes(tmp_path):
    """ICH E2B(R3), E.i.7: 5 is fatal."""
    assert [code for code in "0123456" if is_fatal_outcome(code)] == ["5"]
    patient, event = one_event(tmp_path, "grade,related,start,outcome", "4,not related,2024-05-20,5")
    assert (patient.died, event.outcome) == (date(2024, 5, 20), "fatal")


@pytest.mark.parametrize("outcome", ["recovеred", "fatl", "Daeth", "diied", "deceasd", "fa", "D", "deceas"])
def test_an_outcome_close_to_a_word_for_death_is_refused(tmp_path, outcome):
    assert resembles_death(outcome)
    assert "outcome" in refused(one_event, tmp_path, "grade,outcome", f"3,{outcome}")


@pytest.mark.parametrize(
    "outcome",
    [
        "RECOVERED/RESOLVED",
        "NOT RECOVERED/NOT RESOLVED",
        "Recovered with sequelae",
        "ongoing",
        "unknown",
        "3",
        "non-fatal",
        "Alive",
    ],
)
def test_known_outcomes(outcome):
    assert is_understood_outcome(outcome)
    assert not resembles_death(outcome)
    assert not is_fatal_outcome(outcome)


@pytest.mark.parametrize("outcome", ["transferred", "gone", "genesen", "code 7"])
def test_an_unknown_outcome_is_noted(tmp_path, outcome):
    _, notes = read(tmp_path, events=EVENTS.format(columns="grade,outcome", cells=f"2,{outcome}", term="Rash"))
    assert any("outcomes not recognised" in note and outcome in note for note in notes)


def test_letters():
    assert plain_letters("Décès А1\u200b") == "deces a1"
    assert [has_look_alikes(text) for text in ("Diеd", "died", "умер", "A1")] == [True, False, False, False]
    assert [one_slip("fatal", other) for other in ("fatl", "fatall", "faatl", "fetal", "fatal", "total")] == [True] * 4 + [
        False
    ] * 2


# SDTM and ADaM.

DM = "USUBJID,RFPENDTC{more}\nS1,2024-06-01{none}\nS2,2024-06-02{cells}\n"
EX = "USUBJID,EXTRT,EXDOSE,EXDOSU,EXSTDTC\nS1,UCMSC,1,10^6 cells/kg,2024-03-01\nS2,UCMSC,1,10^6 cells/kg,2024-03-02\n"
AE = "USUBJID,AESTDTC,AEREL,{columns}\nS2,2024-05-14,NOT RELATED,{cells}\n"


def domains(folder, **tables):
    """The second subject of a trial in SDTM, and the notes; ``tables`` replace or add domains."""
    for name, text in {"dm": DM.format(more="", none="", cells=""), "ex": EX, **tables}.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    found = read_patients(folder, AS)
    return next(patient for patient in found.patients if patient.subject == "S2"), found.notes


@pytest.mark.parametrize(
    ("decoded", "term"),
    [
        ("Cardiac arrest", "Patient died of cardiac arrest"),
        ("Cardiac arrest", "DEATH"),
        ("Pulmonary embolism", "Fatal embolism"),
        ("Sepsis", "décès"),
    ],
)
def test_a_reported_term_that_reports_a_death_is_fatal(tmp_path, decoded, term):
    patient, _ = domains(tmp_path, ae=AE.format(columns="AEDECOD,AETERM,AETOXGR", cells=f"{decoded},{term},4"))
    assert patient.died == date(2024, 5, 14)
    assert patient.events[0].term == decoded


@pytest.mark.parametrize(
    ("table", "columns"),
    [("ae", "AEDECOD,AETOXGR,AETOXGR"), ("ae", "AEDECOD,AETOXGR,aetoxgr"), ("ae", "AEDECOD,AESDTH,AESDTH"), ("dm", "DTHFL,dthfl")],
)
def test_a_variable_that_stands_there_twice_is_refused(tmp_path, table, columns):
    cells = re.sub("[^,]+", "Y", columns)
    text = AE.format(columns=columns, cells=cells) if table == "ae" else DM.format(more=f",{columns}", none=",,", cells=f",{cells}")
    assert f"column {columns.rpartition(',')[2].upper()}" in refused(lambda: domains(tmp_path, **{table: text}))


def test_an_unread_column_that_stands_there_twice_is_refused(tmp_path):
    assert "column comment" in refused(read, tmp_path, people("comment,Comment", "died,x"))


# Workbooks and folders.


def workbook(folder, sheets, name="trial.xlsx"):
    """A workbook of these sheets, each a list of rows."""
    import openpyxl

    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(folder / name)
    return folder / name


ROWS = [["subject", "level", "infusion_1"], ["P1", "1", "2024-03-01"], ["P2", "2", "2024-04-01"]]
OF_EVENTS = [["subject", "term", "grade"], ["P2", "Sepsis", "5"]]


def resized(path, reference):
    """The workbook with another statement of the size of its first sheet."""
    with zipfile.ZipFile(path) as book:
        parts = {name: book.read(name) for name in book.namelist()}
    name = "xl/worksheets/sheet1.xml"
    parts[name], times = re.subn(rb'<dimension ref="[^"]*"', b'<dimension ref="' + reference + b'"', parts[name])
    assert times == 1
    with zipfile.ZipFile(path, "w") as book:
        for part, data in parts.items():
            book.writestr(part, data)
    return path


@pytest.mark.parametrize("reference", [b"A1:C2", b"A1", b"A1:A3", b"A1:B99"])
def test_all_rows_of_a_sheet_are_read_whatever_size_it_states(tmp_path, reference):
    found = read_patients(resized(workbook(tmp_path, {"patients": ROWS}), reference), AS)
    assert [patient.level for patient in found.patients] == [1, 2]


@pytest.mark.parametrize("title", ["AE", "AEs", "Adverse events", "adverse_events", "Events"])
def test_a_sheet_of_events_under_another_name_is_read(tmp_path, title):
    found = read_patients(workbook(tmp_path, {"patients": ROWS, title: OF_EVENTS}), AS)
    assert found.patients[1].events[0].grade == 5


@pytest.mark.parametrize("title", ["events 2026", "Sheet2", "patients (2)", "SAE", "notes"])
def test_a_sheet_with_data_that_is_not_read_is_refused(tmp_path, title):
    path = workbook(tmp_path, {"patients": ROWS, title: OF_EVENTS})
    with pytest.raises(InputError, match=r"which is not read") as error:
        read_patients(path, AS)
    assert title in str(error.value)


@pytest.mark.parametrize("title", ["README", "Notes", "codebook", "Data dictionary"])
def test_a_sheet_without_data_is_noted(tmp_path, title):
    found = read_patients(workbook(tmp_path, {"patients": ROWS, title: [["died", "day of death"]], "Sheet9": []}), AS)
    assert any(title in note and "Sheet9" not in note for note in found.notes)


def test_further_sheets_of_events_are_refused(tmp_path):
    for name, sheets in {"a": {"AE": OF_EVENTS, "aes": OF_EVENTS}, "b": {"events": OF_EVENTS, "AE": OF_EVENTS}}.items():
        path = workbook(tmp_path, {"patients": ROWS, **sheets}, f"{name}.xlsx")
        with pytest.raises(InputError, match="AE"):
            read_patients(path, AS)
        people_alone = workbook(tmp_path, {"patients": ROWS}, f"people-{name}.xlsx")
        with pytest.raises(InputError, match="AE"):
            read_patients(people_alone, AS, events=workbook(tmp_path, sheets, f"events-{name}.xlsx"))


@pytest.mark.parametrize(
    "name", ["ae1.csv", "ae_2.csv", "ex2.csv", "AE (1).xpt", "aes.csv", "ae.xlsx", "AE.sas7bdat", "dm-old.csv"]
)
def test_a_further_file_of_a_domain_is_refused(tmp_path, name):
    (tmp_path / name).write_text("USUBJID\nS2\n")
    with pytest.raises(InputError, match=re.escape(name)):
        domains(tmp_path, ae=AE.format(columns="AEDECOD", cells="Rash"))


@pytest.mark.parametrize("name", ["lb.csv", "exam.csv", "aedefs.pdf", "adtte.csv"])
def test_other_files_are_left_aside(tmp_path, name):
    (tmp_path / name).write_text("USUBJID\nS2\n")
    _, notes = domains(tmp_path)
    assert any(name in note for note in notes) == name.endswith(".csv")


# DLTs and deaths of ADaM.

ADSL = "USUBJID,LSTALVDT{more}\nS1,2024-06-01{none}\nS2,2024-06-02{cells}\n"
ADAE = "USUBJID,AEDECOD,ATOXGR,AREL,ASTDT,{columns}\nS2,Hepatitis,3,RELATED,2024-03-20,{cells}\n"


def adam(folder, columns="", cells="", adae=None, rules=AS):
    """The second subject of a trial in ADaM whose ADSL has these cells, and the notes."""
    none = "," * (bool(columns) + columns.count(","))
    (folder / "adsl.csv").write_text(ADSL.format(more=columns and f",{columns}", none=none, cells=columns and f",{cells}"))
    (folder / "adex.csv").write_text(EX)
    if adae is not None:
        (folder / "adae.csv").write_text(adae)
    found = read_patients(folder, rules)
    return found.patients[1], found.notes


@pytest.mark.parametrize(
    ("columns", "cells", "dlt"),
    [
        ("CRIT1,CRIT1FL,CRIT2,CRIT2FL", "grade >= 2,Y,Protocol DLT,Y", True),
        ("CRIT1,CRIT1FL,CRIT2,CRIT2FL", "Protocol DLT,N,DLT by the committee,Y", True),
        ("CRIT1,CRIT1FL,CRIT2,CRIT2FL", "grade >= 2,Y,Protocol DLT,N", False),
        ("DLTFL,CRIT10,CRIT10FL", "N,Dose-limiting toxicity,Y", True),
        ("CRIT3,CRIT3FL", "DLT-evaluable,Y", None),
    ],
)
def test_any_criterion_that_speaks_of_dlts_is_read(tmp_path, columns, cells, dlt):
    patient, _ = adam(tmp_path, adae=ADAE.format(columns=columns, cells=cells))
    assert (patient.dlt, patient.dlt_date) == (dlt, date(2024, 3, 20) if dlt else None)


@pytest.mark.parametrize(
    ("columns", "cells"),
    [("CRIT1,CRIT1FL", "No DLT,Y"), ("ADLTFL", "Y"), ("DLT", "Y"), ("DLTYN", "Y"), ("CRIT2,CRIT2FL", "non-DLT,Y")],
)
def test_other_variables_of_dlts_are_refused(tmp_path, columns, cells):
    assert "column" in refused(lambda: adam(tmp_path, adae=ADAE.format(columns=columns, cells=cells)))


@pytest.mark.parametrize(
    ("table", "column"), [("ae", "AEDLTCOM"), ("dm", "DLT"), ("ex", "EXDLT"), ("dm", "DLTDT"), ("dm", "DLTFL")]
)
def test_variables_of_dlts_in_sdtm_are_refused(tmp_path, table, column):
    tables = {
        "ae": AE.format(columns=f"AEDECOD,{column}", cells="Rash,Y"),
        "dm": DM.format(more=f",{column}", none=",", cells=",Y"),
        "ex": "\n".join(line + (f",{column}" if line.startswith("USUBJID") else ",Y") for line in EX.splitlines()),
    }
    assert f"column {column}" in refused(lambda: domains(tmp_path, **{table: tables[table]}))


@pytest.mark.parametrize("column", ["DLTFL", "AEDLT"])
def test_flags_of_dlts_in_ae_are_read(tmp_path, column):
    patient, _ = domains(tmp_path, ae=AE.format(columns=f"AEDECOD,{column}", cells="Rash,Y"))
    assert patient.events[0].flagged_dlt is True


@pytest.mark.parametrize(("column", "cell"), [("TOXFL", "Y"), ("DLTFL", "Y"), ("CRIT4FL", "Y"), ("CRIT2FL", None)])
def test_variable_of_dlts_in_the_config_is_read_with_the_others(tmp_path, column, cell):
    """A criterion's flag is read where the criterion of the row speaks of DLTs; the one that the config names always is."""
    cells = {"TOXFL": "N", "DLTFL": "N", "CRIT4": "", "CRIT4FL": "N", "CRIT2": "grade 2", "CRIT2FL": "Y"}
    rules = protocol(intake={"dlt_flag": "TOXFL"})
    row = cells if cell is None else cells | {column: cell, "CRIT4": "Protocol DLT" if column == "CRIT4FL" else ""}
    text = ADAE.format(columns=",".join(row), cells=",".join(row.values()))
    patient, _ = adam(tmp_path, adae=text, rules=rules)
    assert (patient.dlt, patient.events[0].flagged_dlt) == (cell == "Y", cell == "Y")
    if column == "CRIT4FL":
        other = text + text.splitlines()[1].replace("Protocol DLT", "grade 2").replace("03-20", "03-10") + "\n"
        assert adam(tmp_path, adae=other, rules=rules)[0].dlt_date == date(2024, 3, 20)


@pytest.mark.parametrize(
    ("columns", "cells", "died"),
    [
        ("VITSTAT", "DEAD", True),
        ("LSTALVST", "died", True),
        ("VITSTAT", "ALIVE", False),
        ("DTHCGR1", "ADVERSE EVENT", True),
        ("DTHCGR1N", "0", False),
        ("DTHA30FL", "N", False),
        ("EOSSTT,EOSDT,DCSREAS,DCSREASP", "DISCONTINUED,2024-05-20,OTHER,PATIENT DIED", True),
        ("EOTSTT,EOTDT,DCTREAS,DCTREASP", "DISCONTINUED,2024-05-20,OTHER,Succumbed to sepsis", True),
    ],
)
def test_deaths_in_further_variables_of_adsl(tmp_path, columns, cells, died):
    assert (adam(tmp_path, columns, cells)[0].died is not None) == died


@pytest.mark.parametrize(
    ("column", "cell"), [("SSREAS", "patient died"), ("COMMENT", "DEATH 20 May"), ("OUTCOME", "fatal"), ("X", "décès")]
)
def test_a_death_in_another_variable_is_refused(tmp_path, column, cell):
    for table, text in (
        ("dm", DM.format(more=f",{column}", none=",", cells=f",{cell}")),
        ("ae", AE.format(columns=f"AEDECOD,{column}", cells=f"Rash,{cell}")),
    ):
        (tmp_path / table).mkdir()
        assert f"S2, {column}" in refused(lambda: domains(tmp_path / table, **{table: text}))  # noqa: B023
    domains(tmp_path, dm=DM.format(more=f",DTHFL,{column}", none=",,", cells=f",Y,{cell}"))


# Placebo, and persons.


@pytest.mark.parametrize("arm", ["ARM", "ACTARM", "TRT01A", "ACTARM,ARM"])
def test_a_dose_of_the_product_in_an_arm_of_placebo_is_refused(tmp_path, arm):
    dm = DM.format(more=f",{arm}", none="," * (1 + arm.count(",")), cells=",".join(["", *["Placebo"] * (1 + arm.count(","))]))
    assert "S2, EXTRT" in refused(lambda: domains(tmp_path, dm=dm))


@pytest.mark.parametrize(
    ("one", "other"), [("B1", "b1"), ("A1", "А1"), ("A-1", "A-01"), ("A-001", "A 1"), ("01-001", "1_1"), ("S１", "S1")]
)
def test_one_person_under_two_identifiers_is_refused(tmp_path, one, other):
    text = people().replace("P1", one).replace("P2", other)
    assert "row 3" in refused(read, tmp_path, text)


@pytest.mark.parametrize(("one", "other"), [("1-11", "11-1"), ("A1", "A10"), ("A-1-1", "A-11"), ("S-A1", "S-B1")])
def test_two_persons_are_two(tmp_path, one, other):
    read(tmp_path, people().replace("P1", one).replace("P2", other))


def test_one_person_under_two_identifiers_of_a_domain_is_refused(tmp_path):
    assert "row 3" in refused(lambda: domains(tmp_path, dm="USUBJID\nS2\ns-02\n"))


# Deaths without an infusion, deaths in domains that are not read, events before the first infusion.


@pytest.mark.parametrize(
    ("columns", "cells"),
    [("died", "2024-05-20"), ("death", "yes"), ("discontinued,reason", "2024-05-20,died"), ("comment", "patient died")],
)
def test_the_death_of_a_patient_with_a_dose_and_no_infusion_is_refused(tmp_path, columns, cells):
    """Without a dose it is noted."""
    text = people(columns, "," * columns.count(",")) + f"P3,{{}},,,{cells}\n"
    assert "subject P3" in refused(read, tmp_path, text.format(3))
    _, notes = read(tmp_path, text.format(""))
    assert any("P3" in note and "died without an infusion" in note for note in notes)


@pytest.mark.parametrize(
    ("columns", "cells", "term"),
    [
        ("grade", "5", "Sepsis"),
        ("outcome", "fatal", "Sepsis"),
        ("outcome", "5", "Sepsis"),
        ("aesdth", "Y", "Sepsis"),
        ("grade", "4", "Death"),
    ],
)
def test_a_fatal_event_of_a_patient_with_a_dose_and_no_infusion_is_refused(tmp_path, columns, cells, term):
    events = EVENTS.format(columns=f"related,{columns}", cells=f"not related,{cells}", term=term).replace("\nP2", "\nP3")
    assert "subject P3" in refused(read, tmp_path, people() + "P3,3,,\n", events)
    read(tmp_path, people() + "P3,,,\n", events)


@pytest.mark.parametrize(
    ("arm", "reason", "is_refused"),
    [("Level 2", "", True), ("Not Treated", "", False), ("Screen Failure", "", False), ("Level 2", "ASSIGNED, NOT TREATED", False)],
)
def test_the_death_of_a_subject_with_an_arm_and_no_exposure(tmp_path, arm, reason, is_refused):
    dm = f'USUBJID,ACTARM,ARMNRS,DTHFL\nS1,Level 2,,\nS2,Level 2,,\nS3,{arm},"{reason}",Y\n'
    if is_refused:
        assert "S3, DTHFL" in refused(lambda: domains(tmp_path, dm=dm))
    else:
        assert any("S3: died without an infusion" in note for note in domains(tmp_path, dm=dm)[1])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ss", "USUBJID,SSTESTCD,SSSTRESC\nS2,SURVSTAT,{}\n"),
        ("co", "USUBJID,COVAL\nS2,{}\n"),
        ("suppdm", "USUBJID,QNAM,QVAL\nS2,STATUS,{}\n"),
        ("suppds", "USUBJID,QNAM,QLABEL,QVAL\nS2,STATUS,Status,{}\n"),
        ("adtte", "USUBJID,PARAMCD,CNSR,EVNTDESC\nS2,OS,0,{}\n"),
    ],
)
def test_a_death_in_a_domain_that_is_not_read_is_refused(tmp_path, name, text):
    assert f"{name}.csv row 2" in refused(lambda: domains(tmp_path, **{name: text.format("DEAD")}))
    domains(tmp_path, **{name: text.format("ALIVE")})
    domains(tmp_path, **{name: text.format("DEAD"), "dm": DM.format(more=",DTHFL", none=",", cells=",Y")})


@pytest.mark.parametrize(
    ("qualifier", "value"),
    [("DTHFL,Death flag", "Y"), ("STAT,Died in hospital", "Y"), ("DTHCAUS,Cause", "Sepsis"), ("X,Y", "died")],
)
def test_a_death_in_a_supplemental_qualifier_is_refused(tmp_path, qualifier, value):
    """Its name or its label reports a death and its value does not deny it, or its value reports it."""
    text = "USUBJID,QNAM,QLABEL,QVAL\nS2,{},{}\n"
    assert "S2, QVAL" in refused(lambda: domains(tmp_path, suppdm=text.format(qualifier, value)))
    domains(tmp_path, suppdm=text.format(qualifier, "N"))


@pytest.mark.parametrize(
    ("cells", "kinds"),
    [
        ("4,related,2024-03-31,", (EARLY, RELATED_SEVERE, RELATED_SERIOUS)),
        ("4,related,2023-04-20,no", (EARLY, RELATED_SEVERE)),
        ("3,related,2024-03-31,no", (EARLY,)),
        ("3,related,2024-03-25,no", (EARLY,)),
        ("3,related,2024-03-24,no", None),
        ("3,related,2023-04-01,no", (EARLY,)),
        ("3,related,2023-03-31,no", None),
        ("3,related,2023-07-28,no", (EARLY,)),
        ("3,related,2023-07-29,no", None),
        ("3,related,2022-04-20,no", None),
        ("3,related,2024-03,no", None),
        ("3,related,2023,no", None),
        ("2,related,2024-03-31,yes", (EARLY, RELATED_SERIOUS)),
        ("2,related,2024-03-31,no", None),
        ("4,not related,2024-03-31,yes", None),
        ("4,,2024-03-31,yes", None),
    ],
)
def test_related_event_of_grade_3_before_the_first_infusion_holds(tmp_path, cells, kinds):
    """Where a slip of the date is plausible: up to 7 days before, or a year before the DLT window or the 90 days after it.

    An event is noted if it is called related, whatever its grade and its date.
    """
    patient, _ = read(tmp_path, events=EVENTS.format(columns="grade,related,start,serious", cells=cells, term="Sepsis"))
    events = serious_events([patient], AS, ())
    assert [(event.kinds, event.holds) for event in events] == ([] if kinds is None else [(kinds, True)])
    assert len(early_events([patient], AS)) == (",related" in cells)
    if kinds and "03-31" in cells:
        assert events[0].study_day == -1


def test_an_event_that_a_worsening_explains_has_the_day_of_that(tmp_path):
    columns, cells = "grade,related,start,worsened", "4,related,2024-03-31,2024-04-03"
    patient, _ = read(tmp_path, events=EVENTS.format(columns=columns, cells=cells, term="Sepsis"))
    (event,) = serious_events([patient], AS, ())
    assert (event.day, event.study_day) == (date(2024, 4, 3), 3)


def test_an_early_event_does_not_count_for_pause_rules(tmp_path):
    (tmp_path / "patients.csv").write_text(people())
    (tmp_path / "events.csv").write_text(
        EVENTS.format(columns="grade,related,start,serious", cells="3,related,2024-03-31,no", term="Sepsis")
    )
    evaluated = evaluate(read_patients(tmp_path / "patients.csv", AS, events=tmp_path / "events.csv"), AS)
    assert [event.kinds for event in evaluated.serious] == [(EARLY,)]
    assert sum(counted.counts.serious for counted in safety_counts(evaluated)) == 0
