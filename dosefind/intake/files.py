"""The files of a trial: a table of patients, or a folder with domains; and the reader of each kind of file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from .._check import InputError, shown_key
from ..given_files import is_folder, read_file
from ..words import _
from . import csv_file, excel, xpt
from .cells import Row, Table, checked
from .letters import flat

__all__ = [
    "READERS",
    "Found",
    "domain_files",
    "domains",
    "patient_tables",
    "refuse_further_files",
    "survival",
    "table_beside",
    "table_of",
]

Reader = Callable[[Path, bytes, Callable[[str], str]], list[Table]]

# Kind of file by its suffix.
READERS: dict[str, Reader] = {".csv": csv_file.read, ".xlsx": excel.read, ".xpt": xpt.read}
# Maximum size of each kind of file in bytes, which takes about ten seconds to read. A record of a transport file is mostly blanks.
_MOST = {".csv": 20_000_000, ".xlsx": 20_000_000, ".xpt": 200_000_000}
# Kinds of file for dosefind's own layout, and for CDISC domains.
_TABLES = (".csv", ".xlsx")
_DOMAINS = (".csv", ".xpt")
# The sheet of liver tests, which is noted if the protocol does not use it for grading.
_LABS = "labs"
# The sheet of assessments of the efficacy endpoint, for a config that has one.
_ASSESSMENTS = "assessments"
# Kinds of file with data that are not read here.
_DATA = (
    *_DOMAINS,
    ".xlsx",
    ".xls",
    ".xlsm",
    ".ods",
    ".sas7bdat",
    ".txt",
    ".tsv",
    ".dat",
    ".json",
    ".xml",
    ".parquet",
    ".rds",
    ".sav",
)
# Domains that may not be read but may report a death: subject status, comments, supplements of subjects, times to an event.
_SURVIVAL = ("ss", "co", "suppdm", "suppds", "adtte")
# Names of a sheet of adverse events besides ``events``; of sheets without data of patients; columns that only data have.
_EVENTS = ("ae", "aes", "adverseevent", "adverseevents")
_NO_DATA = (
    *(
        "readme",
        "note",
        "notes",
        "comment",
        "comments",
        "codebook",
        "dictionary",
        "datadictionary",
        "legend",
        "key",
        "info",
        "about",
    ),
    *(
        "cover",
        "title",
        "contents",
        "instructions",
        "lists",
        "list",
        "lookup",
        "lookups",
        "changelog",
        "version",
        "metadata",
        "units",
    ),
    *("variables", "glossary", "documentation", "help"),
)
_SUBJECT = ("subject", "usubjid", "subjid", "patient", "patient_id", "subject_id")


class Found(NamedTuple):
    """Tables by their part, parts not used, and the hash of the files together and of each."""

    tables: dict[str, Table]
    notes: list[str]
    sha256: str
    files: dict[str, str]


def patient_tables(data: Path, events: Path | None, with_labs: bool = False, with_assessments: bool = False) -> Found:
    """Return the tables of patients and, if there are any, of adverse events and, if requested, of liver tests and assessments."""
    hashes = Hashes()
    sheets = _read(data, hashes)
    people = _named(sheets, "patients") or sheets[0]
    tables, left = {"patients": people}, [sheet for sheet in sheets if sheet is not people]
    beside = _of_events(left, data)
    if beside is not None and events is not None:
        raise InputError("has a sheet of events, but a file of events is given too", source=str(data))
    if events is not None and events.name == data.name:
        raise InputError("has the same name as the table of patients: rows could not be distinguished", source=str(events))
    notes = []
    if events is not None:
        others = _read(events, hashes)
        tables["events"] = _of_events(others, events) or others[0]
        notes += _left_aside([sheet for sheet in others if sheet is not tables["events"]], events)
    elif beside is not None:
        tables["events"] = beside
        left.remove(beside)
    for title, wanted in ((_LABS, with_labs), (_ASSESSMENTS, with_assessments)):
        sheet = _named(left, title) if wanted else None
        if sheet is not None:
            tables[title] = sheet
            left.remove(sheet)
    for name, table in tables.items():
        if not table.columns:
            raise InputError("is empty", source=table.name)
        if not table.rows and name == "patients":
            raise InputError("has a header but no rows", source=table.name)
    return _found(tables, _left_aside(left, data) + notes, hashes)


def table_beside(found: Found, name: str, path: Path) -> Found:
    """Return the tables with one more, from a file of its own, and the hash of all files."""
    if path.name in found.files:
        raise InputError("has the same name as another file of these data: rows could not be distinguished", source=str(path))
    hashes = Hashes()
    hashes.files |= found.files
    sheets = _read(path, hashes)
    table = checked(_named(sheets, name) or sheets[0])
    if not table.columns:
        raise InputError("is empty", source=str(path))
    notes = [*found.notes, *(f"{table.name}: {note}" for note in table.notes)]
    return Found(found.tables | {name: table}, notes, hashes.together(), hashes.files)


def table_of(path: Path, title: str) -> Found:
    """Return the one table of a file by this title: the sheet of that name, or the first."""
    hashes = Hashes()
    sheets = _read(path, hashes)
    table = _named(sheets, title) or sheets[0]
    if not table.columns:
        raise InputError("is empty", source=str(path))
    return _found({title: table}, _left_aside([sheet for sheet in sheets if sheet is not table], path), hashes)


def domains(folder: Path, names: Iterable[str], files: dict[str, list[Path]]) -> Found:
    """Return the tables of the domains that are in the folder."""
    hashes = Hashes()
    tables = {}
    for name in names:
        if len(files.get(name, [])) > 1:
            both = " and ".join(sorted(path.name for path in files[name]))
            raise InputError(f"has {both}: remove one of them", source=str(folder))
        for path in files.get(name, []):
            tables[name] = _domain(path, hashes)
    return _found(tables, [], hashes)


def _found(tables: dict[str, Table], notes: list[str], hashes: Hashes) -> Found:
    """Return the used tables with their own notes; raise `InputError` if any has a problem."""
    own = [f"{table.name}: {note}" for table in tables.values() for note in checked(table).notes]
    return Found(tables, notes + own, hashes.together(), hashes.files)


def _domain(path: Path, hashes: Hashes) -> Table:
    return READERS[path.suffix.lower()](path, hashes.read(path), str.upper)[0]


def domain_files(folder: Path) -> dict[str, list[Path]]:
    """Return the files of a folder that may hold a domain, by the name of the domain."""
    files: dict[str, list[Path]] = {}
    try:
        for path in sorted(folder.iterdir()):
            # A broken link and a named pipe are files that cannot be read, not missing files.
            if path.suffix.lower() in _DOMAINS and not is_folder(path):
                files.setdefault(path.stem.lower(), []).append(path)
    except OSError as error:
        raise InputError(error.strerror or "cannot be read", source=str(folder)) from None
    return files


def refuse_further_files(folder: Path, names: Iterable[str]) -> None:
    """Reject files with the name of a used domain and a number or another word, or in a format that is not read.

    Raises
    ------
    InputError
        If there is any such file: it may hold rows of the domain.
    """
    domain = re.compile(rf"({'|'.join(names)})s?(?![a-z])")
    further = sorted(
        path.name
        for path in folder.iterdir()
        if not is_folder(path) and path.suffix.lower() in _DATA and (match := domain.match(path.stem.lower()))
        if not (match[0] == path.stem.lower() == match[1] and path.suffix.lower() in _DOMAINS)
    )
    if further:
        shown = ", ".join(map(shown_key, further[:12]))
        allowed = (
            f"has {shown}, which is not read and may hold rows of a domain that is read: put them into its one file as .xpt or .csv"
        )
        raise InputError(f"{allowed}, or take them out of the folder", source=str(folder))


def survival(folder: Path, read: Iterable[str]) -> dict[str, Table]:
    """Return tables that are not read but may report a death: vital status, comments, survival.

    Of times to an event, only observed deaths are kept: uncensored rows of overall survival.
    """
    hashes, found = Hashes(), {}
    for name, paths in domain_files(folder).items():
        if name not in _SURVIVAL or name in read:
            continue
        for path in paths:
            table = checked(_domain(path, hashes))
            kept = [row for row in table.rows if name != "adtte" or _is_observed_death(row)]
            found[path.name] = Table(table.name, table.columns, kept)
    return found


def _is_observed_death(row: Row) -> bool:
    return row.cell("PARAMCD").text.upper().startswith(("OS", "DTH", "DEATH")) and row.cell("CNSR").text == "0"


class Hashes:
    """Reads files of the kinds of `READERS`, and stores their hashes."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}

    def read(self, path: Path) -> bytes:
        content = read_file(path, _MOST[path.suffix.lower()], "remove rows and columns that no result depends on")
        if not content:
            raise InputError("is empty", source=str(path))
        self.add(path.name, content)
        return content

    def add(self, name: str, content: bytes) -> None:
        """Store the hash of a file with this content."""
        self.files[name] = hashlib.sha256(content).hexdigest()

    def together(self) -> str:
        """Return the hash of a single file; for several files, that of the lines that ``sha256sum`` prints for them, by name."""
        if len(self.files) == 1:
            return next(iter(self.files.values()))
        lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(self.files.items()))
        return hashlib.sha256(lines.encode()).hexdigest()


def _read(path: Path, hashes: Hashes) -> list[Table]:
    if path.suffix.lower() not in _TABLES:
        allowed = "must be a table as .csv or .xlsx, or a folder with CDISC domains as .xpt or .csv"
        try:
            path.stat()
        except OSError as error:
            allowed = error.strerror or "cannot be read"
        raise InputError(allowed, source=str(path))
    return READERS[path.suffix.lower()](path, hashes.read(path), str.lower)


def _of_events(sheets: list[Table], path: Path) -> Table | None:
    """Return the sheet of adverse events, by its name, or ``None`` if there is none."""
    found = _named(sheets, "events")
    if found is not None:
        return found
    others = [sheet for sheet in sheets if flat(_title(sheet)) in _EVENTS]
    if len(others) > 1:
        names = " and ".join(_title(sheet) for sheet in others)
        raise InputError(
            f"has the sheets {names}: remove one of them, because there is one table of adverse events", source=str(path)
        )
    return others[0] if others else None


def _left_aside(sheets: list[Table], path: Path) -> list[str]:
    """Note the sheets that are not read; one with text is rejected, unless its name shows that it has no data of patients."""
    filled = [sheet for sheet in sheets if sheet.columns]
    for sheet in filled:
        if _title(sheet).lower() == _LABS:
            continue
        if _title(sheet).lower() == _ASSESSMENTS:
            raise InputError(
                "has the sheet assessments, which needs the table efficacy in the config: it says what is read of it",
                source=str(path),
            )
        if flat(_title(sheet)).rstrip("0123456789") not in _NO_DATA or any(column in _SUBJECT for column in sheet.columns):
            raise InputError(
                f"has the sheet {_title(sheet)}, which is not read: name it patients or events, or notes if it has no data, "
                "or delete it",
                source=str(path),
            )
    listed = ", ".join(shown_key(sheet.name) for sheet in filled)
    return [_("sheets not used: {sheets}").format(sheets=listed)] if filled else []


def _title(sheet: Table) -> str:
    return sheet.name.rpartition(".xlsx sheet ")[2] or sheet.name


def _named(sheets: list[Table], title: str) -> Table | None:
    return next((sheet for sheet in sheets if sheet.name.lower().endswith(f".xlsx sheet {title}")), None)
