"""Which files there are: a table of patients, or a folder with domains; the reader of each kind of file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from .._check import InputError, shown_key
from . import csv_file, excel, xpt
from .cells import Table

__all__ = ["READERS", "Found", "domains", "patient_tables"]

Reader = Callable[[Path, bytes, Callable[[str], str]], list[Table]]

# Kind of file by the end of its name.
READERS: dict[str, Reader] = {".csv": csv_file.read, ".xlsx": excel.read, ".xpt": xpt.read}
# Kinds of a file of dosefind's own layout; and of CDISC domains.
_TABLES = (".csv", ".xlsx")
_DOMAINS = (".csv", ".xpt")


class Found(NamedTuple):
    """Tables by their part, what was left aside, and the hash of the files."""

    tables: dict[str, Table]
    notes: list[str]
    sha256: str


def patient_tables(data: Path, events: Path | None, with_labs: bool = False) -> Found:
    """The tables of patients and, if there are any, of adverse events and, if wanted, of liver tests."""
    hashes = Hashes()
    sheets = _read(data, hashes)
    people = _named(sheets, "patients") or sheets[0]
    tables, left = {"patients": people}, [sheet for sheet in sheets if sheet is not people]
    beside = _named(left, "events")
    if beside is not None and events is not None:
        raise InputError("has a sheet of events, and a file of events is given too", source=str(data))
    if events is not None and events.name == data.name:
        raise InputError("has the name of the table of patients: rows could not be told apart", source=str(events))
    if events is not None:
        tables["events"] = _read(events, hashes)[0]
    elif beside is not None:
        tables["events"] = beside
        left.remove(beside)
    labs = _named(left, "labs") if with_labs else None
    if labs is not None:
        tables["labs"] = labs
        left.remove(labs)
    for name, table in tables.items():
        if not table.columns:
            raise InputError("is empty", source=table.name)
        if not table.rows and name == "patients":
            raise InputError("has a header and no rows", source=table.name)
    notes = [f"sheets not used: {', '.join(shown_key(sheet.name) for sheet in left)}"] if left else []
    return Found(tables, notes, hashes.together())


def domains(folder: Path, names: Iterable[str], files: dict[str, list[Path]]) -> Found:
    """The tables of some domains, of those that the folder has."""
    hashes = Hashes()
    tables = {}
    for name in names:
        if len(files.get(name, [])) > 1:
            both = " and ".join(sorted(path.name for path in files[name]))
            raise InputError(f"has {both}, of which one must go", source=str(folder))
        for path in files.get(name, []):
            tables[name] = READERS[path.suffix.lower()](path, hashes.read(path), str.upper)[0]
    return Found(tables, [], hashes.together())


def domain_files(folder: Path) -> dict[str, list[Path]]:
    """Files of a folder that may hold a domain, by the name of the domain."""
    files: dict[str, list[Path]] = {}
    try:
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() in _DOMAINS and path.is_file():
                files.setdefault(path.stem.lower(), []).append(path)
    except OSError as error:
        raise InputError(error.strerror or "cannot be read", source=str(folder)) from None
    return files


class Hashes:
    """Reads files, and keeps their hashes."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}

    def read(self, path: Path) -> bytes:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InputError(error.strerror or "cannot be read", source=str(path)) from None
        if not content:
            raise InputError("is empty", source=str(path))
        self.add(path.name, content)
        return content

    def add(self, name: str, content: bytes) -> None:
        """Keep the hash of a file with this content."""
        self.files[name] = hashlib.sha256(content).hexdigest()

    def together(self) -> str:
        """The hash of the one file; of several, that of the lines that ``sha256sum`` prints for them, by name."""
        if len(self.files) == 1:
            return next(iter(self.files.values()))
        lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(self.files.items()))
        return hashlib.sha256(lines.encode()).hexdigest()


def _read(path: Path, hashes: Hashes) -> list[Table]:
    if path.suffix.lower() not in _TABLES:
        allowed = "must be a table as .csv or .xlsx, or a folder with CDISC domains as .xpt or .csv"
        raise InputError(allowed if path.exists() else "No such file or directory", source=str(path))
    return READERS[path.suffix.lower()](path, hashes.read(path), str.lower)


def _named(sheets: list[Table], title: str) -> Table | None:
    return next((sheet for sheet in sheets if sheet.name.lower().endswith(f".xlsx sheet {title}")), None)
