"""Random trials as files: own layout (CSV, Excel), SDTM and ADaM (CSV, XPT), in odd spellings that are right.

A second writer, independent of `dosefind.intake.writing`: tables of typed values, of which each medium has its own spellings.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from dosefind.patients import Part

from .random_trials import FATAL, NEVER, ONE, Dice, Event, Person, Trial, When

__all__ = ["Written", "records_of", "write_adam", "write_own", "write_sdtm"]

# Kinds of columns: how a value of them is spelled.
ID, OTHER_ID, TEXT, WORD, FLAG, OPEN_FLAG = "id", "id of another table", "text", "word", "flag", "open flag"
DAY, GRADE, COUNT, AMOUNT = "day", "grade", "count", "amount"
# Numbers in a transport file, days from 1960-01-01 or plain ones; elsewhere as DAY, GRADE, COUNT or AMOUNT.
SAS_DAY, SAS_GRADE, SAS_COUNT, SAS_AMOUNT, SAS_NUMBER = "sas day", "sas grade", "sas count", "sas amount", "sas number"
_NUMERIC = {SAS_DAY: DAY, SAS_GRADE: GRADE, SAS_COUNT: COUNT, SAS_AMOUNT: AMOUNT, SAS_NUMBER: TEXT}
MISSING = ("", "", "", "", "NA", ".", "NaN", "N/A", "NULL", "-", "  ", "<NA>")
SEVERITY = {1: "Mild", 2: "Moderate", 3: "Severe", 4: "Life-threatening", 5: "Death"}
UNITS = {
    "10^6 cells/kg": ("10^6 cells/kg", "10^6 CELLS/kg", "x10^6 cells/kg", "1E6 cells/kg", "million cells/kg", "10⁶ cells / kg"),
    "mg": ("mg", "MG", "milligram", "mg "),
}
AMOUNT_NAMES = {
    "10^6 cells/kg": ("{:g} x 10^6 cells/kg", "{:g}x10^6 cells/kg", "UC-MSC {:g} × 10⁶ cells/kg", "{:g} X10^6 CELLS/KG"),
    "mg": ("{:g} mg", "Product {:g} MG", "{:g}mg"),
}
PARTS: dict[Part, tuple[str, ...]] = {
    "escalation": ("escalation", "Dose escalation", "ESCALATION"),
    "backfill": ("backfill", "Back-fill", "BACKFILL"),
    "expansion": ("expansion", "Dose expansion"),
    "run-in": ("run-in", "Run in", "lead-in"),
    "placebo": ("placebo", "PLACEBO"),
    "control": ("control", "Control"),
}
# Columns that mean nothing here, with their texts.
OWN_EXTRA = {
    "sex": "MF",
    "age": ("34", "61", "NA"),
    "site": ("701", "Köln"),
    "comment": ("", "seen, then sent home", 'said "fine"'),
}
CDISC_EXTRA = {
    "AGE": ("34", "61"),
    "SEX": "MF",
    "SITEID": ("701", "702"),
    "VISIT": ("WEEK 2", "BASELINE"),
    "COUNTRY": ("DEU", "CHN"),
}


@dataclass
class Sheet:
    """A table before it is written: its columns with their kinds, its rows, and how many of them make no patient and no event."""

    name: str
    kinds: dict[str, str]
    rows: list[dict[str, Any]] = field(default_factory=list)
    listed: int = 0
    ordered: bool = False

    def add(self, row: dict[str, Any], listed: bool = False) -> None:
        self.rows.append(row)
        self.listed += listed

    def used(self) -> Sheet:
        """Return the table without the columns that no row fills, the first columns aside."""
        if not self.rows:
            return self
        keep = [name for place, name in enumerate(self.kinds) if place == 0 or any(row.get(name) is not None for row in self.rows)]
        return Sheet(self.name, {name: self.kinds[name] for name in keep}, self.rows, self.listed, self.ordered)


@dataclass(frozen=True)
class Written:
    """What was written: the data, the file of events beside them, all files, how many records, and how many to be listed.

    ``named`` says that the config must name the variables of DLTs and cohorts.
    """

    data: Path
    events: Path | None
    files: tuple[Path, ...]
    records: int
    listed: int
    named: bool = False


# Values in the spellings of a text file.


def spelled(dice: Dice, kind: str, value: Any) -> str:
    """Return a value as a text file has it."""
    kind = _NUMERIC.get(kind, kind)
    if value is None:
        if kind == OPEN_FLAG and dice.chance(0.3):
            return dice.pick(("U", "unknown", "UNK"))
        return dice.pick(MISSING if kind == WORD else (*MISSING, "None", "NaT"))
    return _spelled(dice, kind, value) + dice.pick(("", "", "", "", " ", "   ", "\u00a0"))


def _spelled(dice: Dice, kind: str, value: Any) -> str:
    if kind in (FLAG, OPEN_FLAG):
        return dice.pick(("yes", "Y", "Yes", "TRUE", "1", "1.0", "t") if value else ("no", "N", "No", "FALSE", "0", "0.0", "f"))
    if kind == GRADE:
        word = SEVERITY.get(value)
        forms = (
            "{}",
            "{}",
            "{}.0",
            "Grade {}",
            "GRADE {}",
            "G{}",
            "CTCAE {}",
            *(("{} - " + word.upper(), "Grade {} (" + word + ")") if word else ()),
        )
        return dice.pick(forms if value else forms[:4]).format(value)
    if kind == COUNT:
        return dice.pick(("{}", "{}", "{}.0", "0{}", "+{}", "{}e0")).format(value)
    if kind == AMOUNT:
        return dice.pick(
            (f"{value:g}", f"{value:g}0" if "." in f"{value:g}" else f"{value:g}.00", repr(_noisy(value)), f"{value:e}")
        )
    if kind == OTHER_ID and str(value).isdigit() and not str(value).startswith("0"):
        # A whole number of a data frame whose column has an empty cell.
        return f"{value}.0" if dice.chance(0.3) else str(value)
    if kind == DAY:
        when = value if isinstance(value, When) else When(value.isoformat(), frozenset({value}))
        if re.fullmatch(r"\d{4}-\d\d-\d\d", when.text):
            return when.text + dice.pick(
                ("", "", "", "T09:30", "T00:00:00", " 00:00:00", "T23:59:59Z", "T09:30:00+01:00", " 14:05")
            )
        return when.text
    return str(value)


def _noisy(value: float) -> float:
    """Return a number as arithmetic leaves it, such as 0.1 * 3."""
    return value * 0.1 * 10 if value * 0.1 * 10 != value else value * (1 + 2**-52)


# Files.


def write_text(path: Path, sheet: Sheet, dice: Dice, upper: bool, wanted: Sequence[str] = ()) -> None:
    """Write a CSV file: with or without a byte order mark, quotes, blank lines and blank rows, in any case and order of columns."""
    columns = dice.shuffled(list(sheet.kinds)) if dice.chance(0.7) else list(sheet.kinds)
    if sheet.rows and dice.chance(0.1):
        # Row names, as R and data frames write them: a first column without a name.
        columns = ["", *columns]
        sheet = replace(sheet, kinds={"": TEXT, **sheet.kinds}, rows=[row | {"": place} for place, row in enumerate(sheet.rows, 1)])
    heads = [_head(dice, name, upper) if name else "" for name in columns]
    quote_all, end = dice.chance(0.2), dice.pick(("\n", "\r\n"))
    rows = sheet.rows if sheet.ordered else dice.shuffled(sheet.rows)
    lines = [",".join(_quoted(head, quote_all) for head in heads)]
    if dice.chance(0.1):
        lines.insert(0, "")
    for row in rows:
        lines.append(",".join(_quoted(spelled(dice, sheet.kinds[name], row.get(name)), quote_all) for name in columns))
        if dice.chance(0.05):
            lines.append(dice.pick(("", "," * (len(columns) - 1), " " + "," * (len(columns) - 1))))
    text = end.join(lines) + dice.pick(("", end, end + end))
    path.write_bytes((b"\xef\xbb\xbf" if dice.chance(0.3) else b"") + text.encode())


def _head(dice: Dice, name: str, upper: bool) -> str:
    if upper:
        return dice.pick((name, name, name, name.lower(), name.title()))
    return dice.pick((name, name, name, name.upper(), name.capitalize(), f" {name} "))


def _quoted(text: str, always: bool) -> str:
    return '"' + text.replace('"', '""') + '"' if always or any(sign in text for sign in ',"\n\r') else text


def write_book(path: Path, sheets: Sequence[Sheet], dice: Dice) -> None:
    """Write a workbook: dates as dates, date-times or text, numbers as numbers or text, blank rows between others."""
    import openpyxl

    book = openpyxl.Workbook(write_only=True)
    for sheet in sheets:
        page = book.create_sheet(sheet.name)
        columns = dice.shuffled(list(sheet.kinds))
        if dice.chance(0.1):
            page.append([])
        page.append([_head(dice, name, upper=False) for name in columns])
        for row in sheet.rows if sheet.ordered else dice.shuffled(sheet.rows):
            page.append([_in_cell(dice, sheet.kinds[name], row.get(name)) for name in columns])
            if dice.chance(0.05):
                page.append([None, " "])
    if dice.chance(0.2):
        book.create_sheet(dice.pick(("README", "Notes", "codebook"))).append(["written for a test"])
    book.save(path)


def _in_cell(dice: Dice, kind: str, value: Any) -> Any:
    if value is None:
        return dice.pick((None, None, None, spelled(dice, kind, value)))
    if dice.chance(0.25):
        return spelled(dice, kind, value)
    day = value.day if isinstance(value, When) else value
    if kind == DAY and isinstance(day, date):
        return dice.pick((day, datetime.combine(day, time()), datetime.combine(day, time(9, 30))))
    if kind == DAY and isinstance(value, When) and re.fullmatch(r"\d{4}", value.text):
        # A spreadsheet takes a year for a number.
        return int(value.text)
    if kind in (FLAG, OPEN_FLAG):
        return dice.pick((bool(value), int(value), spelled(dice, kind, value)))
    if kind in (GRADE, COUNT):
        return dice.pick((int(value), float(value)))
    if kind == AMOUNT:
        return dice.pick((float(value), _noisy(value), int(value) if float(value).is_integer() else value))
    if kind == ID and str(value).isdigit() and not str(value).startswith("0"):
        return dice.pick((int(value), float(value), str(value)))
    return spelled(dice, kind, value)


def write_transport(path: Path, sheet: Sheet, dice: Dice) -> None:
    """Write a SAS transport file: dates of ADaM and doses as numbers, everything else as text."""
    import pandas as pd
    import pyreadstat

    rows = dice.shuffled(sheet.rows)
    table = {}
    lower = dice.chance(0.2)
    for name in dice.shuffled(list(sheet.kinds)):
        kind = sheet.kinds[name]
        values = [row.get(name) for row in rows]
        if kind in _NUMERIC:
            table[name.lower() if lower else name] = pd.Series([_sas_number(kind, value) for value in values], dtype=float)
        else:
            table[name.lower() if lower else name] = pd.Series([spelled(dice, kind, value).rstrip() for value in values], dtype=str)
    pyreadstat.write_xport(pd.DataFrame(table), path, file_format_version=5, table_name=path.stem.upper()[:8])


def _sas_number(kind: str, value: Any) -> float:
    if value is None:
        return float("nan")
    if kind == SAS_DAY:
        return float((value - date(1960, 1, 1)).days)
    return _noisy(value) if kind == SAS_AMOUNT else float(value)


# Records of a file, counted without the readers.


def records_of(path: Path) -> int:
    """Return how many records with any text a file has below its header, by another reader than the one that is tested."""
    if path.suffix == ".csv":
        # No cell has a line break, so that a record is a line with more than separators.
        lines = re.split(r"\r?\n", path.read_text(encoding="utf-8-sig"))
        return sum(line.strip(' ,"') != "" for line in lines) - 1
    return _records_of_book(path) if path.suffix == ".xlsx" else _records_of_transport(path.read_bytes())


def _records_of_book(path: Path) -> int:
    space = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
    records = 0
    with zipfile.ZipFile(path) as archive:
        shared: list[str] = []
        if "xl/sharedStrings.xml" in archive.namelist():
            shared = [
                "".join(item.itertext()) for item in ElementTree.parse(io.BytesIO(archive.read("xl/sharedStrings.xml"))).getroot()
            ]
        for name in archive.namelist():
            if not name.startswith("xl/worksheets/sheet"):
                continue
            filled = 0
            for row in ElementTree.parse(io.BytesIO(archive.read(name))).getroot().iter(f"{space}row"):
                texts = []
                for cell in row.iter(f"{space}c"):
                    text = "".join(cell.itertext())
                    texts.append(shared[int(text)] if cell.get("t") == "s" else text)
                filled += any(text.strip() for text in texts)
            # The header, or the one line of a sheet without data.
            records += filled - 1
    return records


def _records_of_transport(content: bytes) -> int:
    """Count the observations by the lengths of the variables (SAS technical note TS-140, version 5)."""
    head = content.index(b"HEADER RECORD*******NAMESTR")
    variables, size = int(content[head + 54 : head + 58]), 140
    start = head + 80
    length = sum(int.from_bytes(content[start + k * size + 4 : start + k * size + 6]) for k in range(variables))
    data = content[content.index(b"HEADER RECORD*******OBS") + 80 :]
    if length < 80:
        raise AssertionError("a record shorter than a card cannot be told from padding")
    return len(data) // length


# Own layout.


def write_own(trial: Trial, folder: Path, kind: str, dice: Dice) -> Written:
    """Write the own layout: patients with events beside them as CSV, or both in a workbook."""
    people, events = _own_people(trial, dice), _own_events(trial, dice)
    sheets = [people, events] if trial.with_events else [people]
    records, listed = sum(len(sheet.rows) for sheet in sheets), sum(sheet.listed for sheet in sheets)
    if kind == "xlsx":
        path = folder / "trial.xlsx"
        people.name, events.name = (
            dice.pick(("patients", "Patients")),
            dice.pick(("events", "AE", "Adverse events", "Adverse_Events")),
        )
        write_book(path, dice.shuffled(sheets), dice)
        return Written(path, None, (path,), records, listed)
    paths = [folder / f"{sheet.name}.csv" for sheet in sheets]
    for path, sheet in zip(paths, sheets, strict=True):
        write_text(path, sheet, dice, upper=False)
    return Written(paths[0], paths[1] if trial.with_events else None, tuple(paths), records, listed)


_OTHER_NAMES = {
    "dlt": ("dlt", "DLT (y/n)", "had_dlt", "DLT flag"),
    "dlt_date": ("dlt_date", "DLT onset date", "Date of DLT"),
    "died": ("died", "death_date", "DOD", "Date of death"),
    "evaluable": ("evaluable", "DLT evaluable", "evaluable for DLT"),
    "evaluable_reason": ("evaluable_reason", "reason_not_evaluable"),
    "grade": ("grade", "CTCAE grade", "aetoxgr"),
    "related": ("related", "causality", "Relationship to treatment", "aerel"),
    "start": ("start", "Onset date", "aestdtc"),
    "outcome": ("outcome", "aeout", "Event outcome"),
    "serious": ("serious", "SAE", "Serious (y/n)", "aeser"),
}


def _renamed(sheet: Sheet, dice: Dice) -> Sheet:
    """Return the table with some columns under another usual name."""
    new = {name: dice.pick(_OTHER_NAMES.get(name, (name,))) if dice.chance(0.4) else name for name in sheet.kinds}
    rows = [{new.get(name, name): value for name, value in row.items()} for row in sheet.rows]
    return Sheet(sheet.name, {new[name]: kind for name, kind in sheet.kinds.items()}, rows, sheet.listed, sheet.ordered)


def _with_extra(sheet: Sheet, dice: Dice, extra: dict[str, Sequence[str]]) -> Sheet:
    names = [name for name in extra if name not in sheet.kinds and dice.chance(0.4)]
    sheet.kinds |= dict.fromkeys(names, TEXT)
    for row in sheet.rows:
        row |= {name: dice.pick(extra[name]) for name in names}
    return sheet


def _own_people(trial: Trial, dice: Dice) -> Sheet:
    most = max(len(person.infusions) for person in trial.people)
    style = dice.pick(("level", "dose", "both", "assigned"))
    if style == "level" and any(person.treated and person.level is None and not person.untreated_arm for person in trial.people):
        style = "both"
    days = {f"infusion_{number}": DAY for number in range(1, most + 1)}
    differ = any(person.level and set(person.administered) != {trial.amounts[person.level - 1]} for person in trial.treated)
    given = {f"administered_{number}": AMOUNT for number in range(1, most + 1)} if differ or dice.chance(0.2) else {}
    if most == 1 and given and dice.chance(0.5):
        given = {dice.pick(("administered", "dose_given")): AMOUNT}
    kinds = {
        "subject": ID,
        **{"level": {"level": COUNT}, "dose": {"dose": AMOUNT}, "assigned": {"assigned": AMOUNT}}.get(style, {}),
    }
    kinds |= {"level": COUNT, "dose": AMOUNT} if style == "both" else {}
    kinds |= {**days, **given, "part": TEXT, "died": DAY, "discontinued": DAY, "reason": TEXT}
    kinds |= {"left_treatment": DAY, "left_treatment_reason": TEXT, "evaluable": FLAG, "evaluable_reason": TEXT}
    kinds |= {"last_contact": DAY} if trial.with_contacts else {}
    kinds |= {"dlt": OPEN_FLAG, "dlt_date": DAY} if trial.with_dlts else {}
    kinds |= {"cohort": COUNT, "replaces": OTHER_ID} if trial.with_cohorts else {}
    sheet = Sheet("patients", kinds)
    for person in trial.people:
        sheet.add(_own_person(trial, person, style, list(given), dice), listed=not person.treated)
    optional = ("part", "died", "left_treatment", "evaluable", "replaces")
    empty = [name for name in optional if name in kinds and all(row.get(name) is None for row in sheet.rows) and dice.chance(0.7)]
    empty += [f"{name}_reason" for name in empty if f"{name}_reason" in kinds]
    sheet.kinds = {name: kind for name, kind in kinds.items() if name not in empty}
    return _renamed(_with_extra(sheet, dice, OWN_EXTRA), dice)


def _own_person(trial: Trial, person: Person, style: str, given: Sequence[str], dice: Dice) -> dict[str, Any]:
    row: dict[str, Any] = {"subject": person.subject}
    if not person.treated:
        return row
    row |= {f"infusion_{number}": day for number, day in enumerate(person.infusions, start=1)}
    if person.untreated_arm:
        row |= {"dose": 0} if style in ("dose", "both") and dice.chance(0.5) else {}
    elif person.level is None:
        row |= {"assigned" if style == "assigned" else "dose": person.administered[0]}
    else:
        amount = trial.amounts[person.level - 1]
        row |= {"level": person.level} if style in ("level", "both") else {}
        row |= {"assigned" if style == "assigned" else "dose": amount} if style != "level" else {}
        if set(person.administered) != {amount} or (given and dice.chance(0.5)):
            row |= dict(zip(given, person.administered, strict=False))
    row["part"] = None if person.part is None else dice.pick(PARTS[person.part])
    row["last_contact"] = person.last_contact
    row["died"] = None if person.by_leaving else _Yes() if person.died is NEVER else person.died
    if person.left is not None:
        row |= {"discontinued": person.left[0], "reason": person.left[1]}
    if person.stopped is not None:
        row |= {"left_treatment": person.stopped[0], "left_treatment_reason": person.stopped[1]}
    row |= {"dlt": person.dlt, "dlt_date": person.dlt_day, "cohort": person.cohort, "replaces": person.replaces}
    return row | {"evaluable": person.evaluable, "evaluable_reason": person.evaluable_reason}


class _Yes(When):
    """A death whose day is not known, in a column of days."""

    def __init__(self) -> None:
        super().__init__("yes", frozenset())


def _own_events(trial: Trial, dice: Dice) -> Sheet:
    kinds = {
        "subject": OTHER_ID,
        "term": WORD,
        "grade": GRADE,
        "related": WORD,
        "start": DAY,
        "serious": OPEN_FLAG,
        "outcome": WORD,
    }
    kinds |= {
        "organ_class": TEXT,
        "initial_grade": GRADE,
        "end": DAY,
        "severity": TEXT,
        "worsened": DAY,
        "treatment_emergent": FLAG,
    }
    kinds |= {"dlt": FLAG}
    sheet = Sheet("events", kinds)
    for person in trial.people:
        for event in person.events:
            row = {"subject": person.subject, "term": event.term, "grade": event.grade, "related": event.related}
            row |= {"start": None if event.start is NEVER else event.start, "serious": event.serious, "outcome": event.outcome}
            row |= {"organ_class": event.organ_class, "initial_grade": event.initial_grade, "severity": event.severity}
            row |= {
                "end": _Ongoing() if event.ongoing else event.ended,
                "worsened": event.worsened,
                "treatment_emergent": event.emergent,
            }
            sheet.add(row | {"dlt": event.flagged}, listed=not person.treated)
    sheet.kinds = {
        name: kind
        for name, kind in kinds.items()
        if name in ("subject", "term", "grade", "related", "start") or _filled(sheet, name)
    }
    return _renamed(_with_extra(sheet, dice, OWN_EXTRA), dice)


class _Ongoing(When):
    def __init__(self) -> None:
        super().__init__("ongoing", frozenset())


def _filled(sheet: Sheet, name: str) -> bool:
    return any(row.get(name) is not None for row in sheet.rows)


# CDISC.


def _arm(trial: Trial, person: Person, style: str, dice: Dice) -> tuple[str, str]:
    """Return the name and the code of the arm; ``style`` says whether it states a level, an amount or neither."""
    if person.part == "placebo":
        return "Placebo", "PBO"
    if person.part == "control":
        return "Control", "CTRL"
    if person.level is None or style == "none":
        return "UC-MSC", "A"
    level, amount = person.level, trial.amounts[person.level - 1]
    if style == "amount":
        return dice.pick(AMOUNT_NAMES[trial.protocol.doses.unit]).format(amount), "A"
    return dice.pick((f"Dose level {level}", f"DOSE LEVEL {level}", f"Level {level}")), dice.pick((f"DL{level}", f"LEVEL{level}"))


def _arm_style(trial: Trial, dice: Dice) -> str:
    """Return how arms name levels; where the first amount is not the assigned one they must."""
    differ = any(person.level and person.administered[0] != trial.amounts[person.level - 1] for person in trial.treated)
    return dice.pick(("level", "amount") if differ else ("level", "amount", "none"))


def _exposures(trial: Trial, person: Person, dice: Dice) -> list[tuple[date, float]]:
    """Return the records of exposure: now and then an infusion is in two of them."""
    records = []
    for day, amount in zip(person.infusions, person.administered, strict=True):
        split = amount > 0 and amount * 4 == int(amount * 4) and dice.chance(0.05)
        records += [(day, amount / 4), (day, amount * 3 / 4)] if split else [(day, amount)]
    return records


def write_sdtm(trial: Trial, folder: Path, kind: str, dice: Dice) -> Written:
    """Write DM, EX, DS, and AE and SUPPAE where there are events, and SUPPDM or DM for decisions on evaluability."""
    style = _arm_style(trial, dice)
    dm = Sheet(
        "dm",
        {
            "USUBJID": ID,
            "STUDYID": TEXT,
            "RFENDTC": DAY,
            "RFPENDTC": DAY,
            "ARMCD": TEXT,
            "ARM": TEXT,
            "PART": TEXT,
            "DTHDTC": DAY,
            "DTHFL": FLAG,
        },
    )
    ex = Sheet(
        "ex",
        {
            "USUBJID": OTHER_ID,
            "STUDYID": TEXT,
            "EXTRT": TEXT,
            "EXDOSE": SAS_AMOUNT,
            "EXDOSU": TEXT,
            "EXSTDTC": DAY,
            "EXENDTC": DAY,
            "EXOCCUR": TEXT,
        },
    )
    ds = Sheet(
        "ds", {"USUBJID": ID, "STUDYID": TEXT, "DSDECOD": WORD, "DSTERM": WORD, "DSCAT": TEXT, "DSSCAT": TEXT, "DSSTDTC": DAY}
    )
    suppdm = Sheet("suppdm", {"USUBJID": ID, "STUDYID": TEXT, "RDOMAIN": TEXT, "QNAM": TEXT, "QLABEL": TEXT, "QVAL": TEXT})
    actual, decisions_in_dm = dice.chance(0.5), dice.chance(0.3)
    dm.kinds |= {"ACTARMCD": TEXT, "ACTARM": TEXT} if actual else {}
    dm.kinds |= {"DLTEVLFL": FLAG, "DLTEVLRS": TEXT} if decisions_in_dm else {}
    named, in_dm = trial.with_dlts and trial.with_cohorts and dice.chance(0.7), dice.chance(0.5)
    dm.kinds |= {"DLTFL": FLAG, "DLTDTC": DAY, "COHORTN": SAS_COUNT} if named and in_dm else {}
    dd = Sheet("dd", {"USUBJID": ID, "STUDYID": TEXT, "DDDTC": DAY, "DDTEST": TEXT})
    in_dd = trial.with_contacts and dice.chance(0.2)
    study = {"STUDYID": "A STUDY THAT WAS NEVER DONE, WITH A LONG NAME SO THAT EACH RECORD IS LONGER THAN A CARD OF 80"}
    for person in trial.people:
        own = {"USUBJID": person.subject, **study}
        out = not person.treated
        arm, code = ("Screen Failure", "SCRNFAIL") if out else _arm(trial, person, style, dice)
        row = own | {"ARM": arm, "ARMCD": code} | ({"ACTARM": arm, "ACTARMCD": code} if actual else {})
        contact_in_ds = not out and person.left is None and person.died is None and person.stopped is None and dice.chance(0.2)
        contact_in_ds = contact_in_ds and person.last_contact is not None and person.last_contact.day is not None
        if not out:
            row |= {"RFPENDTC": None if contact_in_ds else person.last_contact, "RFENDTC": person.infusions[-1]}
            row |= {
                "PART": None
                if person.part is None or (person.untreated_arm and dice.chance(0.5))
                else dice.pick(PARTS[person.part])
            }
            death = _death(person)
            if in_dd and "DTHDTC" in death:
                dd.add(own | {"DDDTC": death.pop("DTHDTC"), "DDTEST": "Cause of Death"})
            row |= death
            facts = {"DLTFL": person.dlt, "DLTDTC": person.dlt_day, "COHORTN": person.cohort}
            row |= facts if named and in_dm else {}
            for name, value in facts.items() if named and not in_dm else ():
                if value is not None:
                    text = ("Y" if value else "N") if name == "DLTFL" else value.text if name == "DLTDTC" else str(value)
                    suppdm.add(own | {"RDOMAIN": "DM", "QNAM": name, "QLABEL": name.title(), "QVAL": text})
        ds.add(
            own | {"DSDECOD": "INFORMED CONSENT OBTAINED", "DSCAT": "PROTOCOL MILESTONE", "DSSTDTC": date(2024, 1, 2)}, listed=True
        )
        for event in _dispositions(person, contact_in_ds, dice):
            ds.add(own | event, listed=out)
        if person.evaluable is not None and decisions_in_dm:
            row |= {"DLTEVLFL": person.evaluable, "DLTEVLRS": person.evaluable_reason}
        elif person.evaluable is not None:
            supp = own | {"RDOMAIN": "DM"}
            suppdm.add(supp | {"QNAM": "DLTEVLFL", "QLABEL": "Evaluable for DLT", "QVAL": "Y" if person.evaluable else "N"})
            if person.evaluable_reason is not None:
                suppdm.add(supp | {"QNAM": "DLTEVLRS", "QLABEL": "Reason", "QVAL": person.evaluable_reason})
        if dice.chance(0.1):
            suppdm.add(own | {"RDOMAIN": "DM", "QNAM": "SAFETY", "QLABEL": "Safety population", "QVAL": "Y"}, listed=True)
        dm.add(row, listed=out)
        _fill_exposures(trial, person, ex, own, dice)
    sheets = [
        dm,
        ex,
        *([ds] if dice.chance(0.8) or _needs_ds(trial, dm) else []),
        *([suppdm] if suppdm.rows else []),
        *([dd] if dd.rows else []),
    ]
    if trial.with_events:
        sheets += _sdtm_events(trial, study, dice)
    used = [_with_extra(_keep(sheet, ("DLTFL", "DLTDTC", "COHORTN", "AEDECOD", "AESTDTC")), dice, CDISC_EXTRA) for sheet in sheets]
    return replace(_write_domains(used, folder, kind, dice), named=named)


def _needs_ds(trial: Trial, dm: Sheet) -> bool:
    contacts = {row["USUBJID"]: row.get("RFPENDTC") for row in dm.rows}
    return any(
        person.left or person.stopped or (person.last_contact is not None and contacts[person.subject] is None)
        for person in trial.treated
    )


def _death(person: Person) -> dict[str, Any]:
    if person.died is None or person.by_leaving:
        return {}
    return {"DTHFL": True, "DTHDTC": None if person.died is NEVER else person.died}


def _dispositions(person: Person, contact_in_ds: bool, dice: Dice) -> list[dict[str, Any]]:
    row = {"DSCAT": "DISPOSITION EVENT"}
    if not person.treated:
        return [row | {"DSDECOD": "SCREEN FAILURE", "DSSTDTC": date(2024, 1, 3)}]
    rows = []
    if person.left is not None:
        day, reason = person.left
        of_itself = reason in ("LOST TO FOLLOW-UP", "WITHDRAWAL BY SUBJECT")
        category = {"DSCAT": "OTHER EVENT"} if of_itself and dice.chance(0.3) else {}
        rows.append(row | {"DSDECOD": reason, "DSTERM": reason, "DSSTDTC": day} | category)
    if person.stopped is not None:
        day, reason = person.stopped
        rows.append(row | {"DSDECOD": reason, "DSSCAT": "STUDY TREATMENT", "DSSTDTC": day})
    if contact_in_ds:
        rows.append(row | {"DSDECOD": "COMPLETED", "DSSCAT": "STUDY PARTICIPATION", "DSSTDTC": person.last_contact})
    return rows


def _fill_exposures(trial: Trial, person: Person, sheet: Sheet, own: dict[str, Any], dice: Dice) -> None:
    unit, product = trial.protocol.doses.unit, "UC-MSC"
    treatment = {"placebo": "PLACEBO", "control": "Control"}.get(person.part or "", product)
    for day, amount in _exposures(trial, person, dice):
        row = own | {"EXTRT": treatment, "EXDOSE": amount, "EXDOSU": dice.pick(UNITS[unit]), "EXSTDTC": day}
        sheet.add(row | {"EXENDTC": day if dice.chance(0.7) else None, "EXOCCUR": "Y" if dice.chance(0.3) else None})
    if person.treated and not person.untreated_arm and dice.chance(0.05):
        # An infusion that was planned and not given, and one of no amount.
        later = person.infusions[-1] + 9 * ONE
        given = {"EXDOSE": person.administered[-1], "EXOCCUR": "N"} if dice.chance(0.5) else {"EXDOSE": 0.0}
        sheet.add(own | {"EXTRT": product, "EXDOSU": unit, "EXSTDTC": later, **given}, listed=True)


def _sdtm_events(trial: Trial, study: dict[str, str], dice: Dice) -> list[Sheet]:
    numeric_grade, decoded = dice.chance(0.3), dice.chance(0.7)
    grade = "AETOXGRN" if numeric_grade else "AETOXGR"
    kinds = {
        "USUBJID": ID,
        "STUDYID": TEXT,
        "AESEQ": SAS_NUMBER,
        "AETERM": WORD,
        "AEDECOD": WORD,
        grade: SAS_GRADE if numeric_grade else GRADE,
    }
    kinds |= {
        "AEREL": WORD,
        "AESTDTC": DAY,
        "AEENDTC": DAY,
        "AEENRTPT": TEXT,
        "AESER": FLAG,
        "AESHOSP": FLAG,
        "AESDTH": FLAG,
        "AEOUT": WORD,
    }
    kinds |= {"AESOC": TEXT, "AESEV": TEXT, "AEITOXGR": GRADE, "AEDLT": FLAG, "AESPID": TEXT}
    numbered = dice.chance(0.3)
    ae = Sheet("ae", kinds)
    suppae = Sheet(
        "suppae",
        {
            "USUBJID": ID,
            "STUDYID": TEXT,
            "RDOMAIN": TEXT,
            "IDVAR": TEXT,
            "IDVARVAL": TEXT,
            "QNAM": TEXT,
            "QLABEL": TEXT,
            "QVAL": TEXT,
        },
    )
    supplemented = dice.chance(0.5)
    number = 0
    for person in trial.people:
        for event in person.events:
            number += 1
            own = {"USUBJID": person.subject, **study}
            row = own | _cdisc_event(event, decoded, dice) | {"AESEQ": number, grade: event.grade, "AEITOXGR": event.initial_grade}
            row |= {"AESTDTC": None if event.start is NEVER else event.start, "AEENDTC": event.ended}
            row |= {"AEDLT": event.flagged, "AESPID": f"E{number:02d}" if numbered else None}
            supp = own | {"RDOMAIN": "AE", "IDVAR": "AESEQ", "IDVARVAL": str(number)}
            if event.worsened is not None:
                suppae.add(
                    supp | {"QNAM": "AEWORDTC", "QLABEL": "Date of Worsening", "QVAL": event.worsened.isoformat()},
                    not person.treated,
                )
            if event.emergent is not None:
                suppae.add(
                    supp | {"QNAM": "AETRTEM", "QLABEL": "Treatment Emergent Flag", "QVAL": "Y" if event.emergent else "N"},
                    not person.treated,
                )
            if event.initial_grade is not None and supplemented:
                row["AEITOXGR"] = None
                suppae.add(
                    supp | {"QNAM": "AEITOXGR", "QLABEL": "Initial Grade", "QVAL": str(event.initial_grade)}, not person.treated
                )
            ae.add(row, listed=not person.treated)
    if not ae.rows:
        # A table without a record is a table: it says that there was no event.
        ae.kinds = {name: kinds[name] for name in ("USUBJID", "STUDYID", "AEDECOD", grade, "AESTDTC")}
        return [ae]
    return [ae, suppae] if suppae.rows else [ae]


def _cdisc_event(event: Event, decoded: bool, dice: Dice) -> dict[str, Any]:
    row: dict[str, Any] = {"AETERM": event.term.lower() if decoded else event.term, "AEDECOD": event.term if decoded else None}
    row |= {
        "AEREL": event.related,
        "AEOUT": event.outcome,
        "AESOC": event.organ_class,
        "AESEV": event.severity,
        "AESER": event.serious,
    }
    row |= {"AEENRTPT": "ONGOING" if event.ongoing else None}
    if event.serious and dice.chance(0.2):
        row |= {"AESER": None, "AESHOSP": True}
    return row | ({"AESDTH": True} if event.grade == FATAL and dice.chance(0.5) else {})


def write_adam(trial: Trial, folder: Path, kind: str, dice: Dice) -> Written:
    """Write ADSL and ADEX, and ADAE where there are events."""
    style, study = (
        _arm_style(trial, dice),
        {"STUDYID": "A STUDY THAT WAS NEVER DONE, WITH A LONG NAME SO THAT EACH RECORD IS LONGER THAN A CARD OF 80"},
    )
    arm_name = dice.pick(("TRT01A", "ACTARM", "ARM"))
    kinds = {
        "USUBJID": ID,
        "STUDYID": TEXT,
        arm_name: TEXT,
        "PART": TEXT,
        "EOSSTT": TEXT,
        "EOSDT": SAS_DAY,
        "DCSREAS": TEXT,
        "EOTSTT": TEXT,
    }
    kinds |= {"EOTDT": SAS_DAY, "DCTREAS": TEXT, "DTHDT": SAS_DAY, "DTHDTC": DAY, "DTHFL": FLAG, "DLTEVLFL": FLAG, "DLTEVLRS": TEXT}
    kinds |= {"LSTALVDT": SAS_DAY} if trial.with_contacts else {}
    kinds |= {"DLTFL": FLAG, "DLTDT": DAY} if trial.with_dlts and not trial.flags_are_dlts else {}
    kinds |= {"COHORTN": SAS_COUNT} if trial.with_cohorts else {}
    adsl, dose, unit = Sheet("adsl", kinds), dice.pick(("ADOSE", "EXDOSE")), dice.pick(("ADOSEU", "EXDOSU"))
    adex = Sheet(
        "adex", {"USUBJID": ID, "STUDYID": TEXT, "PARAMCD": TEXT, "ASTDT": SAS_DAY, dose: SAS_AMOUNT, unit: TEXT, "EXTRT": TEXT}
    )
    parameters = dice.chance(0.5)
    for person in trial.people:
        own = {"USUBJID": person.subject, **study}
        arm = _arm(trial, person, style, dice)[0] if person.treated else "Screen Failure"
        adsl.add(own | {arm_name: arm} | (_subject_level(person, dice) if person.treated else {}), listed=not person.treated)
        treatment = {"placebo": "PLACEBO", "control": "Control"}.get(person.part or "", "UC-MSC")
        for day, amount in _exposures(trial, person, dice):
            row = own | {"ASTDT": day, dose: amount, unit: dice.pick(UNITS[trial.protocol.doses.unit]), "EXTRT": treatment}
            adex.add(row | {"PARAMCD": "DOSE" if parameters else None})
            if parameters and dice.chance(0.3):
                adex.add(row | {"PARAMCD": "TDOSE"}, listed=True)
    sheets = [_keep(adsl, ("LSTALVDT", "EOSDT", "EOTDT", "DLTFL", "DLTDT")), adex.used()]
    if trial.with_events:
        sheets.append(_adam_events(trial, study, dice))
    return _write_domains([_with_extra(sheet, dice, CDISC_EXTRA) for sheet in sheets], folder, kind, dice)


def _keep(sheet: Sheet, names: Sequence[str]) -> Sheet:
    used = sheet.used()
    return Sheet(
        sheet.name,
        {name: kind for name, kind in sheet.kinds.items() if name in used.kinds or name in names},
        sheet.rows,
        sheet.listed,
    )


def _subject_level(person: Person, dice: Dice) -> dict[str, Any]:
    contact = None if person.last_contact is None else min(day for day in person.last_contact.days if day >= person.infusions[-1])
    row: dict[str, Any] = {"LSTALVDT": contact, "DLTFL": person.dlt, "DLTDT": person.dlt_day, "COHORTN": person.cohort}
    row |= {"DLTEVLFL": person.evaluable, "DLTEVLRS": person.evaluable_reason}
    row["PART"] = None if person.part is None or (person.untreated_arm and dice.chance(0.5)) else dice.pick(PARTS[person.part])
    if person.left is not None:
        row |= {
            "EOSSTT": dice.pick(("DISCONTINUED", "Discontinued", "WITHDRAWN")),
            "EOSDT": person.left_on,
            "DCSREAS": person.left[1],
        }
    else:
        row |= {"EOSSTT": dice.pick(("ONGOING", "Ongoing", None))}
    if person.stopped is not None:
        row |= {"EOTSTT": "DISCONTINUED", "EOTDT": person.stopped[0], "DCTREAS": person.stopped[1]}
    if person.died is not None and not person.by_leaving:
        day = person.died.day
        row |= {"DTHFL": True} | ({"DTHDT": day} if day is not None else {"DTHDTC": None if person.died is NEVER else person.died})
    return row


def _adam_events(trial: Trial, study: dict[str, str], dice: Dice) -> Sheet:
    numeric_grade, decoded, collected = dice.chance(0.3), dice.chance(0.7), dice.chance(0.5)
    grade = "ATOXGRN" if numeric_grade else "ATOXGR"
    kinds = {
        "USUBJID": ID,
        "STUDYID": TEXT,
        "AETERM": WORD,
        "AEDECOD": WORD,
        grade: SAS_GRADE if numeric_grade else GRADE,
        "AREL": WORD,
    }
    kinds |= {"ASTDT": SAS_DAY, "ASTDTF": TEXT, "AENDT": SAS_DAY, "AENDTF": TEXT, "AEENRTPT": TEXT, "AESER": FLAG, "AESHOSP": FLAG}
    kinds |= {
        "AESDTH": FLAG,
        "AEOUT": WORD,
        "AESOC": TEXT,
        "AESEV": TEXT,
        "AITOXGR": GRADE,
        "TRTEMFL": FLAG,
        "AESTDTC": DAY,
        "AEENDTC": DAY,
    }
    flag_name = dice.pick(("DLTFL", "CRIT1FL")) if trial.flags_are_dlts else "AEDLT"
    kinds |= {flag_name: FLAG} | ({"CRIT1": TEXT} if flag_name == "CRIT1FL" else {})
    sheet = Sheet("adae", kinds)
    for person in trial.people:
        for event in person.events:
            row = {"USUBJID": person.subject, **study} | _cdisc_event(event, decoded, dice)
            row["AREL"] = row.pop("AEREL")
            row |= {grade: event.grade, "AITOXGR": event.initial_grade, "TRTEMFL": event.emergent, flag_name: event.flagged}
            row |= {"CRIT1": "Dose-limiting toxicity"} if flag_name == "CRIT1FL" else {}
            day, flag = _imputed(event.start)
            row |= {"ASTDT": day, "ASTDTF": flag}
            if event.start is not NEVER and (flag == "?" or collected):
                row |= {"AESTDTC": event.start, "ASTDTF": "D" if flag == "?" else flag}
            if event.ended is not None:
                day, flag = _imputed(event.ended)
                row |= {
                    "AENDT": day,
                    "AENDTF": "D" if flag == "?" else flag,
                    "AEENDTC": event.ended if flag == "?" or collected else None,
                }
            sheet.add(row, listed=not person.treated)
    return _keep(sheet, ("AEDECOD", "ASTDT", flag_name, "CRIT1"))


def _imputed(when: When) -> tuple[date | None, str | None]:
    """Return the imputed date and its flag; the flag ``?`` where no flag leaves the same days."""
    if when is NEVER:
        return None, None
    if when.day is not None and re.fullmatch(r"\d{4}-\d\d-\d\d", when.text):
        return when.day, None
    first = min(when.days)
    if re.fullmatch(r"\d{4}-\d\d(--)?", when.text):
        return first, "D"
    return (first, "M") if re.fullmatch(r"\d{4}(----)?", when.text) else (first, "?")


def _write_domains(sheets: Sequence[Sheet], folder: Path, kind: str, dice: Dice) -> Written:
    folder.mkdir()
    files = []
    for sheet in sheets:
        own = dice.pick(("csv", "xpt")) if kind == "mixed" else kind
        # A transport file without a record cannot be written here.
        own = own if sheet.rows else "csv"
        path = folder / f"{dice.pick((sheet.name, sheet.name.upper()))}.{own}"
        write_transport(path, sheet, dice) if own == "xpt" else write_text(path, sheet, dice, upper=True)
        files.append(path)
    return Written(folder, None, tuple(files), sum(len(sheet.rows) for sheet in sheets), sum(sheet.listed for sheet in sheets))
