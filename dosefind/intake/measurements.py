"""Measurements of endpoints: a long table, or the domains LB, QS, RS, VS, PR, CE of SDTM and ADLB, ADQS, ADTTE of ADaM.

Every row is a measurement or an event of a treated patient, or is listed with the reason; this is checked. A layout is a `Columns`:
the names of the columns with each fact, so that a further domain is one more entry of ``LAYOUTS``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from .._check import InputError, of_type
from ..days import study_day
from ..endpoints.schedule import Endpoints, Parameter
from ..endpoints.scores import eq5d5l_china, implausible
from ..given_files import is_folder
from ..patients import Listed, Patient, Patients
from ..protocol import Protocol, plain_words
from ..shown import Shown
from ..words import _, marked
from .cells import Cell, Findings, Row, Table, number_of, partial_date, why_no_number
from .files import domain_files, domains, refuse_further_files, table_of
from .unread import renamed

__all__ = ["LAYOUTS", "UNDATED_EVENT", "UNTREATED_ROW", "Compared", "Measurement", "Measurements", "read_measurements"]

Kind = Literal["value", "below", "above", "not detected", "event", "no event"]


class Measurement(NamedTuple):
    """A value of a parameter, or an event.

    Attributes
    ----------
    subject, parameter
        Identifier of the patient, and key of the parameter in the config.
    day
        Study day; 1 for the day of the first infusion, -1 for the day before.
    kind
        "value"; "below" or "above" a limit of quantification, which is then the value; "not detected"; "event"; "no event", of a
        time without the event up to the day.
    value
        The value; ``None`` for events, and for "not detected" where no limit is known.
    time_point
        "pre" or "post" infusion; empty if the data do not say.
    visit
        Visit as named in the data.
    upper_normal
        Upper limit of normal in the data.
    source
        The row from which it was read.
    """

    subject: str
    parameter: str
    day: int
    kind: Kind
    value: float | None
    time_point: Literal["", "pre", "post"]
    visit: str
    upper_normal: float | None
    source: str

    @property
    def number(self) -> float | None:
        """Return the value if it is quantified."""
        return self.value if self.kind == "value" else None


class Compared(NamedTuple):
    """What an analysis data set derived for a row: baseline flag, baseline, change, analysis visit, analysis flag."""

    baseline_flag: bool | None
    baseline: float | None
    change: float | None
    visit: str
    analysed: bool | None


@dataclass(frozen=True)
class Measurements(Shown):
    """Measurements of the patients of a trial.

    Attributes
    ----------
    values
        Measurements and events, in the order of the rows.
    listed
        Rows that are not one, each with the reason.
    rows
        Number of rows read: equal to the number of values and listed rows.
    derived
        What analysis data sets derived, by the row.
    notes
        Statements of what was derived and how.
    warnings
        Values that are implausible, and what they may be.
    sha256
        Hash of the files' bytes.
    """

    values: tuple[Measurement, ...]
    listed: tuple[Listed, ...]
    rows: int
    derived: Mapping[str, Compared]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    sha256: str

    def __repr__(self) -> str:
        return f"{len(self.values):,} measurements of {self.rows:,} rows; {len(self.listed):,} rows listed"


class Columns(NamedTuple):
    """Names of the columns of a kind of table, in order of preference."""

    parameter: tuple[str, ...]
    value: tuple[str, ...] = ()
    unit: tuple[str, ...] = ()
    date: tuple[str, ...] = ()
    day: tuple[str, ...] = ()
    time_point: tuple[str, ...] = ()
    visit: tuple[str, ...] = ()
    lloq: tuple[str, ...] = ()
    upper_normal: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    specimen: tuple[str, ...] = ()
    derivation: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    censored: str = ""
    strict: bool = False

    @property
    def every(self) -> set[str]:
        """Return all names."""
        groups = (part for part in self if isinstance(part, tuple))
        return {name for group in groups for name in group} | ({self.censored} if self.censored else set())


def _sdtm(code: str) -> Columns:
    return Columns(
        parameter=(f"{code}TESTCD", f"{code}TEST"),
        value=(f"{code}STRESN", f"{code}STRESC", f"{code}ORRES"),
        unit=(f"{code}STRESU",),
        date=(f"{code}DTC",),
        day=(f"{code}DY",),
        time_point=(f"{code}TPT",),
        visit=("VISIT",),
        lloq=(f"{code}LLOQ",),
        upper_normal=(f"{code}STNRHI",),
        status=(f"{code}STAT",),
        specimen=(f"{code}SPEC",),
    )


def _procedures(code: str, words: str) -> Columns:
    return Columns(parameter=(f"{code}DECOD", words), date=(f"{code}STDTC",), day=(f"{code}STDY",), status=(f"{code}OCCUR",))


_BDS = Columns(
    parameter=("PARAMCD", "PARAM"),
    value=("AVAL", "AVALC"),
    unit=("AVALU", "LBSTRESU", "QSSTRESU"),
    date=("ADT", "ADTM", "LBDTC", "QSDTC"),
    day=("ADY",),
    time_point=("ATPT",),
    visit=("AVISIT",),
    lloq=("LLOQ", "ALLOQ"),
    upper_normal=("ANRHI", "A1HI", "LBSTNRHI"),
    derivation=("DTYPE",),
    flags=("ABLFL", "BASE", "CHG", "ANL01FL"),
)
_ADTTE = Columns(parameter=("PARAMCD", "PARAM"), value=("AVAL",), date=("ADT",), censored="CNSR")
LAYOUTS: dict[str, dict[str, Columns]] = {
    "SDTM": {
        **{name: _sdtm(name.upper()) for name in ("lb", "qs", "rs", "vs")},
        "pr": _procedures("PR", "PRTRT"),
        "ce": _procedures("CE", "CETERM"),
    },
    "ADaM": {"adlb": _BDS, "adqs": _BDS, "adtte": _ADTTE},
}
"""Columns of the domains that are read from a folder, by standard."""

_LONG = Columns(
    parameter=("parameter",),
    value=("value",),
    unit=("unit",),
    date=("date",),
    day=("day",),
    time_point=("time_point",),
    visit=("visit",),
    lloq=("lloq",),
    upper_normal=("uln",),
    strict=True,
)
_NAMES = {
    "subject": ("usubjid", "subjid"),
    "parameter": ("paramcd", "param", "test", "testcd"),
    "value": ("aval", "result"),
    "unit": ("avalu", "units"),
    "date": ("adt", "sample_date"),
    "day": ("ady", "study_day"),
    "time_point": ("timepoint", "atpt"),
    "visit": ("avisit",),
    "uln": ("anrhi", "upper_normal", "upper_limit"),
    "lloq": ("loq", "lower_limit"),
}
UNDATED_EVENT = marked("not used: an event without a full date")
"""Reason of a row that reports an event whose day is not known."""

UNTREATED_ROW = marked("not used: not a treated patient of these data")
"""Reason of a row of a subject who is not a treated patient."""

_LIMIT = re.compile(r"(?P<sign>[<>]=?|≤|≥)\s*(?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+))(?:\s*(?P<unit>\S.*))?")
_BELOW = ("< lloq", "<lloq", "below lloq", "blq", "bloq", "< loq", "<loq", "below limit of quantification", "< lloq detected")
_UNDETECTED = ("not detected", "undetected", "undetectable", "target not detected", "tnd", "below limit of detection", "< lod")
_AMBIGUOUS = ("nd", "n.d.", "neg", "negative", "-ve")
_NOT_DONE = ("not done", "not assessed", "no sample", "missing")
_PRE = re.compile(r"\b(?:pre|before)\b|\bpre[- ]?(?:dos|infus|treat)|\bpredose\b", re.IGNORECASE)
_POST = re.compile(r"\b(?:post|after)\b|\bpost[- ]?(?:dos|infus|treat)|\bpostdose\b", re.IGNORECASE)
_OF_INFUSION = re.compile(r"dos|infus|treat|\b(?:pre|post)\b", re.IGNORECASE)
_EMPTY_UNITS = ("", "1", "-", "none", "no unit", "ratio", "score", "points", "{score}")
_STATE = re.compile(r"[1-5]{5}")
# Largest value of any measurement.
_LARGEST = 1e12


def read_measurements(data: str | Path, patients: Patients, protocol: Protocol) -> Measurements:
    r"""Read the measurements of the endpoints of a config.

    Parameters
    ----------
    data
        A long table as .csv or .xlsx with one row per measurement, or a folder with domains as .xpt or .csv: LB, QS, RS, VS, PR and
        CE of SDTM, or ADLB, ADQS and ADTTE of ADaM. The columns are described below.
    patients
        The patients, from `read_patients`.
    protocol
        The protocol, with the table ``endpoints``; with amendments, that of the latest version.

    Returns
    -------
    Measurements
        Each row is a measurement or an event, or is listed with the reason; this is checked.

    Raises
    ------
    InputError
        If a file cannot be read, or its content is not valid. Every finding is counted, the first twenty are shown, each with its
        row, subject, column and value.

    Notes
    -----
    The long table:

    ``subject``, ``parameter``
        Identifier, and key, code or label of a parameter of the config, or a term of an event.
    ``value``
        A number; ``< 0.5`` or ``< LLOQ``; ``> 1000``; ``not detected``. Of an event: yes, or no for a time without the event. Of
        EQ-5D-5L: the index, or the five digits of the state. An empty value, or ``not done``, is listed.
    ``unit``
        Unit of the config; required where it has one. Units are never converted.
    ``date`` or ``day``
        Full date in ISO form, or study day: 1 for the day of the first infusion, -1 for the day before. A row with a partial date
        is listed.
    ``time_point``
        ``pre`` or ``post`` infusion, on the day of an infusion.
    ``visit``, ``lloq``, ``uln``
        Visit as named at the site; lower limit of quantification and upper limit of normal, in the unit of the value.

    In ADaM, rows with ``DTYPE`` (a value carried forward, a mean, a maximum) are listed and not used; ``ABLFL``, ``BASE``, ``CHG``,
    ``AVISIT`` and ``ANL01FL`` are compared with dosefind's own by `summarize_endpoints`.

    Examples
    --------
    >>> import tempfile, dosefind
    >>> protocol = dosefind.load_protocol("configs/nct05948982.toml")
    >>> people = "subject,dose,infusion_1,last_contact,dlt\nA-1,1,2024-03-05,2024-06-02,no\n"
    >>> table = "subject,parameter,value,unit,date\nA-1,ALT,41,U/L,2024-03-01\nA-1,IL6,< 1.5,pg/mL,2024-03-06\n"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sizes = [Path(folder, name).write_text(text) for name, text in (("p.csv", people), ("m.csv", table))]
    ...     found = read_measurements(Path(folder, "m.csv"), dosefind.read_patients(Path(folder, "p.csv"), protocol), protocol)
    >>> [(seen.parameter, seen.day, seen.kind, seen.value) for seen in found.values]
    [('ALT', -4, 'value', 41.0), ('IL6', 2, 'below', 1.5)]
    """
    of_type("patients", patients, Patients, "read_patients reads them from files")
    of_type("protocol", protocol, Protocol, "load_protocol reads one from a file")
    path = Path(data)
    endpoints = protocol.versions[-1][1].endpoints
    if endpoints is None:
        raise InputError("needs the table endpoints in the config, which says what is read of it", source=str(path))
    tables, notes, sha256 = _open(path)
    found = Findings(path, notes=notes)
    reader = _Reader(found, patients, endpoints)
    for table, columns in tables:
        reader.read(table, columns)
    found.stop()
    rows = [row.source for table, _columns in tables for row in table.rows]
    result = Measurements(
        values=tuple(reader.values),
        listed=tuple(reader.listed),
        rows=len(rows),
        derived=reader.derived,
        notes=tuple(found.notes),
        warnings=tuple(reader.warnings),
        sha256=sha256,
    )
    if Counter([seen.source for seen in result.values] + [row.source for row in result.listed]) != Counter(rows):
        raise AssertionError("a row was lost or counted twice; this is a defect of dosefind")
    return result


def _open(path: Path) -> tuple[list[tuple[Table, Columns]], list[str], str]:
    """Return the tables with their columns, notes, and the hash of the files."""
    if not is_folder(path):
        found = table_of(path, "measurements")
        return [(found.tables["measurements"], _LONG)], list(found.notes), found.sha256
    files = domain_files(path)
    present = {name: {key: columns for key, columns in layout.items() if key in files} for name, layout in LAYOUTS.items()}
    standards = [name for name, layout in present.items() if layout]
    wanted = "; ".join(f"{name}: {', '.join(layout).upper()}" for name, layout in LAYOUTS.items())
    if len(standards) != 1:
        words = "domains of both SDTM and ADaM: keep those of one of them" if standards else f"no domain of endpoints ({wanted})"
        raise InputError(f"has {words}", source=str(path))
    layout = present[standards[0]]
    refuse_further_files(path, layout)
    found = domains(path, layout, files)
    return [(found.tables[name], columns) for name, columns in layout.items()], list(found.notes), found.sha256


class _Reader:
    """Reads tables row by row into measurements, listed rows and findings."""

    def __init__(self, found: Findings, patients: Patients, endpoints: Endpoints) -> None:
        self.found, self.endpoints = found, endpoints
        self.patients: dict[str, Patient] = {patient.subject: patient for patient in patients.patients}
        self.values: list[Measurement] = []
        self.listed: list[Listed] = []
        self.derived: dict[str, Compared] = {}
        self.warnings: list[str] = []
        self.keys, self.parts = self._codes(), endpoints.parts
        self.terms = {plain_words(term): key for key, own in endpoints.parameters.items() for term in own.terms}

    def _codes(self) -> dict[str, str]:
        """Return the key of each parameter by its key, codes and label in plain words."""
        found: dict[str, str] = {}
        for key, parameter in self.endpoints.parameters.items():
            for word in (key, *parameter.codes):
                found[plain_words(word)] = key
        for key, parameter in self.endpoints.parameters.items():
            found.setdefault(plain_words(parameter.label), key)
        return found

    def read(self, table: Table, columns: Columns) -> None:
        """Read a table; its rows are not read if it lacks a column."""
        before = len(self.found.problems)
        if columns.strict:
            table = renamed(self.found, table, {name: others for name, others in _NAMES.items() if not table.has(name)})
            unread = self.found.columns(table, [("subject",), columns.parameter, columns.value, ("date", "day")], columns.every)
            if unread:
                words = _("{table}: columns not used: {columns}")
                self.found.notes.append(words.format(table=table.name, columns=", ".join(filter(None, unread))))
        else:
            required = [columns.parameter, *([columns.value] if columns.value else []), (*columns.date, *columns.day)]
            if columns.censored:
                required = [columns.parameter, columns.value, (columns.censored,)]
            self.found.columns(table, [("USUBJID", "SUBJID"), *required], columns.every)
        for row in table.rows if len(self.found.problems) == before else ():
            self._row(row, columns)

    def _list(self, row: Row, why: str) -> None:
        self.listed.append(Listed(row.source, why))

    def _row(self, row: Row, columns: Columns) -> None:
        found = self.found
        subject = found.subject(row)
        if subject is None:
            return
        patient = self.patients.get(subject)
        if patient is None:
            self._list(row, _(UNTREATED_ROW))
            return
        key = self._parameter(row, columns)
        if key is None:
            return
        parameter = self.endpoints.parameters[key]
        why = self._left_out(row, columns)
        if why:
            self._list(row, why)
            return
        if columns.censored:
            self._timed(row, columns, patient, key)
            return
        day, why = self._day(row, columns, patient)
        if day is None:
            if why:
                self._list(row, _(UNDATED_EVENT) if parameter.kind == "event" else why)
            return
        self._measured(row, columns, (subject, key, day), parameter)

    def _parameter(self, row: Row, columns: Columns) -> str | None:
        """Return the key of the parameter of a row; if there is none, the row is listed or a finding."""
        cells = [row.cell(name) for name in columns.parameter if row.cell(name).text]
        # A code decides, where there is one: a label may be that of a derived parameter. Terms of events have several columns.
        cells = cells[:1] if columns.value else cells
        if not cells:
            self.found.refuse(row.cell(*columns.parameter), "must not be empty")
            return None
        for cell in cells:
            words = plain_words(cell.text)
            # A label with its unit in parentheses, as in ADaM.
            for word in (words, plain_words(re.sub(r"\s*\([^()]*\)\s*$", "", cell.text))):
                key = self.keys.get(word) or self.terms.get(word)
                if key is not None:
                    return key
        self._list(row, _("not used: another parameter"))
        return None

    def _left_out(self, row: Row, columns: Columns) -> str:
        """Return why a row of a parameter is not used, if its status, derivation or specimen says so."""
        for name in columns.derivation:
            if row.cell(name).text:
                return _("not used: a derived record ({kind})").format(kind=row.cell(name).text[:40])
        for name in columns.status:
            word = plain_words(row.cell(name).text)
            if word in ("not done", "n", "no"):
                return _("not used: not done")
        if any(plain_words(row.cell(name).text) == "urine" for name in columns.specimen):
            return _("not used: another specimen")
        return ""

    def _day(self, row: Row, columns: Columns, patient: Patient) -> tuple[int | None, str]:
        """Return the study day of a row, or why the row is not used; neither if a cell is rejected."""
        found, first = self.found, patient.infusions[0]
        dated = next((row.cell(name) for name in columns.date if row.cell(name).text), None)
        counted_day = next((row.cell(name) for name in columns.day if row.cell(name).text), None)
        if dated is not None and partial_date(dated.text):
            return None, _("not used: no full date")
        day = None if dated is None else found.day(dated)
        if dated is not None and day is None:
            return None, ""
        own = None if day is None else study_day(first, day)
        if counted_day is not None:
            number = found.whole(counted_day, -3650, 36500)
            if number is None:
                return None, ""
            if number == 0:
                found.refuse(counted_day, "there is no day 0: day 1 is the day of the first infusion, day -1 the day before")
                return None, ""
            if own is not None and own != number:
                found.refuse(counted_day, f"must be {own}, the study day of {day}: the first infusion was on {first}")
                return None, ""
            own = number
        if own is None:
            cell = row.cell(*(columns.date or columns.day))
            if not columns.strict:
                return None, _("not used: no full date")
            found.refuse(cell, "must be a full date, or the column day a study day")
            return None, ""
        if not -3650 <= own <= 3650:
            found.refuse(dated or counted_day or row.cell(*columns.day), "must be within ten years of the first infusion")
            return None, ""
        return own, ""

    def _timed(self, row: Row, columns: Columns, patient: Patient, key: str) -> None:
        """Read a row of a time to an event: days from the first infusion, and whether it is censored."""
        found = self.found
        cell, flag = row.cell(*columns.value), row.cell(columns.censored)
        if not cell.text or not flag.text:
            self._list(row, _("not used: no result"))
            return
        days, censored = found.whole(cell, 1, 3650), found.whole(flag, 0, 99)
        if days is None or censored is None:
            return
        dated = next((row.cell(name) for name in columns.date if row.cell(name).text), None)
        day = None if dated is None else found.day(dated)
        if dated is not None and day is not None and study_day(patient.infusions[0], day) != days:
            own = study_day(patient.infusions[0], day)
            found.refuse(cell, f"must be {own}, the days from the first infusion to {day}, both included")
            return
        kind: Kind = "no event" if censored else "event"
        self.values.append(Measurement(patient.subject, key, days, kind, None, "", "", None, row.source))

    def _measured(self, row: Row, columns: Columns, place: tuple[str, str, int], parameter: Parameter) -> None:
        """Read the value of a row into a measurement, or list the row."""
        found = self.found
        subject, key, day = place
        if parameter.kind == "survival":
            self._list(row, _("not used: deaths are read with the patients"))
            return
        point = self._time_point(row, columns)
        visit = found.text(row.cell(*columns.visit)) or "" if columns.visit else ""
        upper = self._limit(row, columns.upper_normal)
        cell = self._value_cell(row, columns)
        if parameter.kind == "event":
            kind, value = self._event(cell, columns)
        else:
            kind, value = self._value(row, cell, columns, parameter)
            if kind == "value" and cell is not None and value is not None and not self._allowed(cell, key, parameter, value):
                return
        if kind is None or point is None:
            return
        if kind == "":
            self._list(row, _("not used: no result"))
            return
        if kind in ("value", "below", "above") and not self._unit_agrees(row, columns, parameter):
            return
        self.values.append(Measurement(subject, key, day, kind, value, point, visit, upper, row.source))
        if kind == "value" and value is not None:
            self._doubt(row, key, parameter, value)
        if columns.flags:
            self._compare(row, visit)

    def _value_cell(self, row: Row, columns: Columns) -> Cell | None:
        """Return the cell with the result: a number is preferred, unless another cell states that it is below or above a limit."""
        cells = [row.cell(name) for name in columns.value if row.cell(name).text]
        stated = next((cell for cell in cells if number_of(cell.text) is None), None)
        limited = stated is not None and (_LIMIT.fullmatch(stated.text) or plain_words(stated.text) in (*_BELOW, *_UNDETECTED))
        return stated if limited else next(iter(cells), None)

    def _event(self, cell: Cell | None, columns: Columns) -> tuple[Kind | Literal[""] | None, None]:
        if not columns.value:
            return "event", None
        if cell is None:
            return "", None
        flag = self.found.yes(cell)
        return (None if flag is None else "event" if flag else "no event"), None

    def _value(
        self, row: Row, cell: Cell | None, columns: Columns, parameter: Parameter
    ) -> tuple[Kind | Literal[""] | None, float | None]:
        """Return kind and value of a result: an empty kind if there is none, no kind if the cell is rejected."""
        found = self.found
        if cell is None or plain_words(cell.text) in _NOT_DONE:
            return "", None
        if found.text(cell) is None:
            return None, None
        words = plain_words(cell.text)
        before = len(found.problems)
        limit = self._limit(row, columns.lloq)
        if len(found.problems) > before:
            return None, None
        limit = parameter.lloq if limit is None else limit
        if words in _AMBIGUOUS:
            found.refuse(cell, "may be not detected or not done: write 'not detected', '< LLOQ', or leave it empty")
            return None, None
        if words in _UNDETECTED:
            return "not detected", limit
        if words in _BELOW:
            if limit is None:
                found.refuse(cell, "needs the limit: '< 0.5', the column lloq, or lloq of the parameter in the config")
                return None, None
            return "below", limit
        if (match := _LIMIT.fullmatch(cell.text)) is not None:
            if match["unit"] and not _same_unit(match["unit"], parameter.unit):
                found.refuse(cell, f"must be in {parameter.unit or 'no unit'}, the unit of the config: units are not converted")
                return None, None
            kind: Kind = "below" if match["sign"][0] in "<≤" else "above"
            value = float(match["number"])
            if value <= 0 and kind == "below":
                found.refuse(cell, "must be a limit above 0")
                return None, None
            return kind, value
        if parameter.derive == "eq5d5l-china" and _STATE.fullmatch(cell.text):
            return "value", float(eq5d5l_china(cell.text))
        value = number_of(cell.text)
        if value is None or abs(value) > _LARGEST:
            allowed = why_no_number(cell.text, "a number, '< ' and a limit, '< LLOQ', 'not detected', or empty")
            if parameter.shift and (value := self._class_value(words, parameter)) is not None:
                return "value", value
            found.refuse(cell, allowed)
            return None, None
        return self._in_limits(cell, parameter, value)

    def _class_value(self, words: str, parameter: Parameter) -> float | None:
        """Return the value of a class whose range is a single value, such as an ECOG grade in words."""
        return next((low for name, (low, high) in parameter.shift.items() if plain_words(name) == words and low == high), None)

    def _in_limits(self, cell: Cell, parameter: Parameter, value: float) -> tuple[Kind | None, float | None]:
        limits = parameter.limits
        if limits is not None and not limits[0] <= value <= limits[1]:
            five = ", or five digits from 1 to 5" if parameter.derive == "eq5d5l-china" else ""
            self.found.refuse(cell, f"must be from {limits[0]:g} to {limits[1]:g}, the limits of {parameter.label}{five}")
            return None, None
        if parameter.kind == "ratio" and value <= 0:
            self.found.refuse(cell, "must be above 0, because ratios are analysed: write '< LLOQ' or 'not detected'")
            return None, None
        if parameter.kind == "detection" and value < 0:
            self.found.refuse(cell, "must not be negative")
            return None, None
        return "value", value

    def _allowed(self, cell: Cell, key: str, parameter: Parameter, value: float) -> bool:
        """Return whether a value can be one of its parameter, also as a part of a score; otherwise it is a finding."""
        most = self.parts.get(key)
        if (parameter.whole or most is not None) and value != int(value):
            self.found.refuse(cell, "must be a whole number")
        elif most is not None and not 0 <= value <= most:
            self.found.refuse(cell, f"must be a whole number from 0 to {most}")
        elif key in self.parts and most is None and value <= 0:
            self.found.refuse(cell, "must be above 0")
        else:
            return True
        return False

    def _limit(self, row: Row, names: Iterable[str]) -> float | None:
        cell = next((row.cell(name) for name in names if row.cell(name).text), None)
        return None if cell is None else self.found.number(cell, "a number above 0, a limit in the unit of the value")

    def _time_point(self, row: Row, columns: Columns) -> Literal["", "pre", "post"] | None:
        """Return the time point of a row; ``None`` if its cell is rejected."""
        cell = row.cell(*columns.time_point) if columns.time_point else None
        if cell is None or not cell.text:
            return ""
        if self.found.text(cell) is None:
            return None
        before, after = _PRE.search(cell.text), _POST.search(cell.text)
        # "After lying down" says nothing of an infusion.
        of_infusion = columns.strict or _OF_INFUSION.search(cell.text)
        if of_infusion and bool(before) != bool(after):
            return "pre" if before else "post"
        if columns.strict or (before and after):
            self.found.refuse(cell, "must be pre or post (before or after the infusion of that day), or empty")
            return None
        return ""

    def _unit_agrees(self, row: Row, columns: Columns, parameter: Parameter) -> bool:
        """Return whether a row has the unit of the config; otherwise it is a finding."""
        names = [name for name in columns.unit if name in row.cells]
        cell = next((row.cell(name) for name in names if row.cell(name).text), None)
        words = "" if cell is None else cell.text
        if not words and not columns.strict:
            # ADaM states the unit in the label: Alanine Aminotransferase (U/L).
            label = row.cell("PARAM").text
            match = re.search(r"\(([^()]*)\)\s*$", label)
            words = match[1] if match else ""
        if _same_unit(words, parameter.unit):
            return True
        place = cell or row.cell(*(columns.unit or ("unit",)))
        if not words:
            self.found.refuse(place, f"must be {parameter.unit!r}, the unit of {parameter.label}: a unit is required")
        elif parameter.unit:
            self.found.refuse(place, f"must be {parameter.unit!r}, the unit of {parameter.label}: units are not converted")
        else:
            self.found.refuse(place, f"must be empty: {parameter.label} has no unit in the config")
        return False

    def _doubt(self, row: Row, key: str, parameter: Parameter, value: float) -> None:
        """Note a value that is implausible, with the unit that it is probably in."""
        name = {"BILI": "bilirubin", "CREAT": "creatinine", "ALB": "albumin"}.get(key, key.lower())
        other = implausible(name, value, parameter.unit)
        place = self.found.place(row)
        if other:
            words = _("{place}: {parameter} of {value} {unit} is implausible; it may be in {other}")
        elif parameter.plausible is not None and not parameter.plausible[0] <= value <= parameter.plausible[1]:
            words = _("{place}: {parameter} of {value} {unit} is implausible")
        else:
            return
        self.warnings.append(words.format(place=place, parameter=key, value=f"{value:g}", unit=parameter.unit, other=other))

    def _compare(self, row: Row, visit: str) -> None:
        """Keep what the data derived for a row."""
        numbers = []
        for name in ("BASE", "CHG"):
            cell = row.cell(name)
            number = number_of(cell.text) if cell.text else None
            if cell.text and number is None:
                self.found.refuse(cell, why_no_number(cell.text, "a number, or empty"))
            numbers.append(number)
        flag, used = self.found.yes(row.cell("ABLFL")), self.found.yes(row.cell("ANL01FL"))
        self.derived[row.source] = Compared(flag, numbers[0], numbers[1], visit, used)


def _same_unit(words: str, unit: str) -> bool:
    """Return whether two units are written alike, but for case, blanks, carets and the letter for micro."""
    if not unit:
        return plain_words(words) in _EMPTY_UNITS
    return _bare_unit(words) == _bare_unit(unit)


def _bare_unit(words: str) -> str:
    plain = words.replace("\u00b5", "u").replace("\u03bc", "u").replace("\u00d7", "").replace("^", "").replace("*", "")
    plain = re.sub(r"\s+", "", plain).casefold().replace("mcg", "ug").replace("x10", "10")
    return {"iu/l": "u/l", "ukat/l": "ukat/l", "10e6/l": "106/l", "ng/ml": "ug/l"}.get(plain, plain)
