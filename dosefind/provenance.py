"""Where results come from, files that are written whole or not at all, and CSV files that are only added to."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache, partial
from importlib import metadata
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from . import __version__
from ._check import InputError, Problem
from .interruption import undisturbed, written

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

try:
    import fcntl
except ImportError:
    # Windows has no such locks: there what a killed process left stays until somebody removes it.
    fcntl = None

__all__ = [
    "AddedTo",
    "as_json",
    "check_text",
    "file_names",
    "harmless",
    "refuse_to_overwrite",
    "sampler_versions",
    "save_dataset",
    "save_table",
    "save_tables",
    "table_names",
    "tables_as_json",
    "versions",
    "write_whole",
]

# What each row of a CSV says of where it comes from.
_STAMPED = ("config", "config_sha256", "data_sha256", "as_of", "outcomes", "curve_used", "rp2d", "method", "seed", "versions")
_SAMPLING = ("pymc", "pytensor", "nutpie", "arviz")
_PACKAGES = ("numpy", "scipy", "xarray", "pandas")
# Longest text that a person gives for a record.
_LONGEST = 2000
# Seconds for which another process may hold the lock of a file that is added to.
_SECONDS = 20
# Text that a spreadsheet would take for a formula gets an apostrophe before it; so does text that looks as if it had one already.
_LIKE_A_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_MARK = b"\xef\xbb\xbf"


@cache
def _version(name: str) -> str:
    """Version of an installed package; a file is read for it, so once."""
    return metadata.version(name)


def versions() -> dict[str, str]:
    """Versions that a result depends on."""
    return {"dosefind": __version__, "python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}}


def sampler_versions() -> dict[str, str]:
    """Versions that draws depend on besides; without those that are not installed."""
    found = {}
    for name in _SAMPLING:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = _version(name)
    return found


def refuse_to_overwrite(folder: Path, names: list[str], force: bool) -> None:
    """Raise `InputError` if the folder cannot take these files; called before any work is done."""
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    if not nearest.is_dir():
        raise InputError("is a file, not a folder", source=str(nearest))
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError("is a folder in which nothing may be written", source=str(nearest))
    blocked = [name for name in names if (folder / name).is_dir()]
    if blocked:
        raise InputError(f"has a folder named {blocked[0]}, where a file must go", source=str(folder))
    there = [name for name in names if (folder / name).exists()]
    if there and not force:
        raise InputError(f"has {', '.join(there)} already; --force overwrites", source=str(folder))


def write_whole(folder: Path, files: Mapping[str, bytes | Callable[[Path], object]], *, force: bool = True) -> None:
    """Write files into a folder, each appearing under its name only when all are complete: all or none.

    Files of a process that was killed while it wrote are removed; those of a living one are recognised by the lock on them.

    Parameters
    ----------
    folder
        Made if it is not there.
    files
        From file name, with a folder in front if it is to have one, to what the file holds, or a function that writes to the path
        given to it.
    force
        Whether files that are there may be overwritten.

    Raises
    ------
    InputError
        If a file cannot be written, or ``force`` is off and another process has made a file of one of these names; then nothing
        is written.
    """
    below = sorted({(folder / name).parent for name in files} - {folder})
    made = [path for path in (*below, folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder)
        with _scratch(folder) as scratch:
            for name, content in files.items():
                path = scratch / name
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(content) if isinstance(content, bytes) else content(path)
            with _locked(folder), undisturbed():
                for path in below:
                    path.mkdir(exist_ok=True)
                _give_names(scratch, folder, list(files), force)
                written.get([]).append(f"{', '.join(files)} to {folder}")
    except BaseException as error:
        for path in made:
            with contextlib.suppress(OSError):
                path.rmdir()
        if isinstance(error, OSError):
            raise InputError(f"{error.strerror or 'cannot be written'}: nothing was written", source=str(folder)) from None
        raise


def _give_names(scratch: Path, folder: Path, names: list[str], force: bool) -> None:
    """Move complete files to their names; where one cannot be moved, undo what was done and raise."""
    undo: list[Callable[[], object]] = []
    try:
        for place, name in enumerate(names):
            path, earlier = folder / name, scratch / f".before-{place}"
            if not force:
                _link(scratch / name, path)
                undo.append(path.unlink)
                continue
            was_there = os.path.lexists(path)
            # Without links, as on some network drives, a file that was overwritten is not brought back.
            with contextlib.suppress(OSError):
                os.link(path, earlier)
            os.replace(scratch / name, path)
            if earlier.exists():
                undo.append(partial(os.replace, earlier, path))
            elif not was_there:
                undo.append(path.unlink)
    except BaseException:
        for step in reversed(undo):
            with contextlib.suppress(OSError):
                step()
        raise


def _link(path: Path, name: Path) -> None:
    """Give a file its name unless there is one of that name, which no check beforehand can tell for certain."""
    try:
        try:
            os.link(path, name)
        except FileExistsError:
            raise
        except OSError:
            # Without links, as on some network drives, the name is taken by an empty file first.
            name.open("xb").close()
            os.replace(path, name)
    except FileExistsError:
        raise InputError(
            f"has {name.name} already, made by another process in the meantime: nothing was written; --force overwrites",
            source=str(name.parent),
        ) from None


_SCRATCH = ".writing-dosefind-"


@contextlib.contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """Make a folder for files that are not complete, locked while this process lives, and remove it in the end."""
    path, lock = folder, None
    try:
        with undisturbed():
            while lock is None:
                path = Path(tempfile.mkdtemp(dir=folder, prefix=_SCRATCH))
                lock = _lock(path)
        yield path
    finally:
        with undisturbed():
            if path != folder:
                shutil.rmtree(path, ignore_errors=True)
            _release(lock)


def _remove_abandoned(folder: Path) -> None:
    """Remove what killed processes have left: the system has released their locks."""
    for path in folder.glob(f"{_SCRATCH}*"):
        lock = None if path.is_symlink() else _lock(path)
        if lock is not None and lock != _NO_LOCK:
            shutil.rmtree(path, ignore_errors=True)
        _release(lock)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, so that of two results written at once one follows the other."""
    lock = _lock(folder)
    for _ in range(round(20 * _SECONDS)):
        if lock is not None:
            break
        Event().wait(1 / 20)
        lock = _lock(folder)
    try:
        if lock is None:
            raise InputError(f"is being written by another process for more than {_SECONDS} seconds: try again", source=str(folder))
        yield
    finally:
        _release(lock)


# Stands for the lock where the system, the file system or the folder's permissions allow none.
_NO_LOCK = -1


def _lock(folder: Path) -> int | None:
    """Lock a folder until `_release` or the end of the process; ``None`` if another process locked or removed it."""
    if fcntl is None:
        return _NO_LOCK
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        return None if isinstance(error, FileNotFoundError) else _NO_LOCK
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        gone = os.fstat(handle).st_nlink == 0
    except OSError as error:
        os.close(handle)
        return None if isinstance(error, BlockingIOError) else _NO_LOCK
    if gone:
        os.close(handle)
        return None
    return handle


def _release(lock: int | None) -> None:
    if lock is not None and lock != _NO_LOCK:
        os.close(lock)


def as_json(result: xr.Dataset | pd.DataFrame, stamp: Mapping[str, Any] | None = None) -> str:
    """A result as JSON text: attributes or ``stamp``, coordinates and variables with their definitions; a table as rows.

    A missing figure is null.
    """
    import pandas as pd

    if isinstance(result, pd.DataFrame):
        # pandas would write a date as milliseconds.
        dated = [name for name in result.columns if any(isinstance(cell, date) for cell in result[name])]
        texts = {name: result[name].map(_iso) for name in dated}
        rows = json.loads(str(result.assign(**texts).to_json(orient="records", double_precision=15)))
        content = {"attrs": {key: _decoded(value) for key, value in (stamp or {}).items()}, "rows": rows}
    else:
        content = _with_null(result.to_dict())
        content["attrs"] = {key: _decoded(value) for key, value in content["attrs"].items()}
    return json.dumps(content, indent=1, allow_nan=False, default=str)


def _with_null(value: Any) -> Any:
    """Nested tables and lists with null in place of a missing figure, for which JSON has no other word."""
    if isinstance(value, dict):
        return {key: _with_null(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_with_null(entry) for entry in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def save_dataset(result: xr.Dataset, folder: Path, stem: str, tree: xr.DataTree | None = None, *, force: bool = True) -> list[str]:
    """Write a dataset as CSV (one figure a row, and what was assumed), JSON and NetCDF; return the file names.

    A ``tree`` that has the dataset at its root takes its place in the NetCDF file. ``force`` is that of `write_whole`.
    """
    import xarray as xr

    files = {
        f"{stem}.csv": lambda path: _write_csv(_tidy(result), result.attrs, path),
        f"{stem}.json": lambda path: path.write_text(as_json(result) + "\n", encoding="utf-8"),
        f"{stem}.nc": lambda path: path.write_bytes(_netcdf(xr.DataTree(result) if tree is None else tree)),
        f"{stem}-assumed.csv": lambda path: _write_assumed(result.attrs, path),
    }
    write_whole(folder, files, force=force)
    return list(files)


def save_table(table: pd.DataFrame, stamp: Mapping[str, Any], folder: Path, stem: str, *, force: bool = True) -> list[str]:
    """Write a table as CSV (and what was assumed), JSON and NetCDF; return the file names."""
    import xarray as xr

    files = {
        f"{stem}.csv": lambda path: _write_csv(table, stamp, path),
        f"{stem}.json": lambda path: path.write_text(as_json(table, stamp) + "\n", encoding="utf-8"),
        f"{stem}.nc": lambda path: path.write_bytes(_netcdf(xr.DataTree(_for_netcdf(table).assign_attrs(stamp)))),
        f"{stem}-assumed.csv": lambda path: _write_assumed(stamp, path),
    }
    write_whole(folder, files, force=force)
    return list(files)


def tables_as_json(tables: Mapping[str, pd.DataFrame], stamp: Mapping[str, Any]) -> str:
    """Several tables as JSON text: ``stamp``, and each table's rows under its name."""
    rows = {name: json.loads(as_json(table))["rows"] for name, table in tables.items()}
    return json.dumps({"attrs": {key: _decoded(value) for key, value in stamp.items()}, **rows}, indent=1, allow_nan=False)


def save_tables(
    tables: Mapping[str, pd.DataFrame], stamp: Mapping[str, Any], folder: Path, stem: str, *, force: bool = True
) -> list[str]:
    """Write several tables, each as CSV, all as one JSON, and what was assumed; return the file names."""
    files: dict[str, Callable[[Path], object]] = {
        f"{stem}-{name}.csv": lambda path, table=table: _write_csv(table, stamp, path) for name, table in tables.items()
    }
    files[f"{stem}-assumed.csv"] = lambda path: _write_assumed(stamp, path)
    files[f"{stem}.json"] = lambda path: path.write_text(tables_as_json(tables, stamp) + "\n", encoding="utf-8")
    write_whole(folder, files, force=force)
    return list(files)


def table_names(stem: str, names: Iterable[str]) -> list[str]:
    """Names of the files in which tables of these names are saved."""
    return [*(f"{stem}-{name}.csv" for name in (*names, "assumed")), f"{stem}.json"]


def file_names(stem: str) -> list[str]:
    """Names of the files in which a result is saved."""
    return [*(f"{stem}.{kind}" for kind in ("csv", "json", "nc")), f"{stem}-assumed.csv"]


def _tidy(result: xr.Dataset) -> pd.DataFrame:
    """One row a figure: its name, its coordinates, its value and its standard error if it has one; true MTDs as columns."""
    import pandas as pd

    frames = []
    for name, variable in result.data_vars.items():
        if str(name).endswith("_se") or not variable.dims or variable.dtype.kind == "U":
            continue
        frame = variable.drop_vars("dose_amount", errors="ignore").to_series().rename("value").reset_index()
        frame.insert(0, "figure", name)
        if f"{name}_se" in result:
            frame["standard_error"] = result[f"{name}_se"].to_series().to_numpy()
        if "scenario" in variable.dims:
            # The names of the doses that are right stand beside the figures of their scenario and target.
            beside = result["true_mtd_by_target"] if "target" in variable.dims else result["true_mtd"]
            rows = frame[list(beside.dims)]
            frame["true_mtd"] = rows.merge(beside.to_series().rename("true_mtd").reset_index(), how="left")["true_mtd"]
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def _write_csv(table: pd.DataFrame, stamp: Mapping[str, Any], path: Path) -> None:
    """Write a CSV whose every row says where it comes from, and whose text no spreadsheet takes for a formula.

    A column of the table itself stays as it is: a decision on file has a data cutoff date of its own.
    """
    stamped = table.assign(**{key: stamp[key] for key in _STAMPED if key in stamp and key not in table})
    text = stamped.select_dtypes(["object", "string"]).columns
    stamped[text] = stamped[text].map(harmless)
    stamped.columns = [harmless(column) for column in stamped.columns]
    stamped.to_csv(path, index=False)


def _write_assumed(stamp: Mapping[str, Any], path: Path) -> None:
    """What the result rests on without being stated in any record."""
    import pandas as pd

    assumed = pd.DataFrame(json.loads(stamp.get("assumptions", "[]")), columns=["key", "value", "why"])
    _write_csv(assumed.astype(object), stamp, path)


def harmless(cell: Any) -> Any:
    """A cell of a table that no spreadsheet takes for a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def _iso(cell: Any) -> Any:
    return cell.isoformat() if isinstance(cell, date) else cell


def _for_netcdf(table: pd.DataFrame) -> xr.Dataset:
    plain = table.astype({name: "float64" for name in table.columns if str(table[name].dtype) == "Int64"})
    return plain.reset_index(drop=True).rename_axis("row").to_xarray()


def _netcdf(tree: xr.DataTree) -> bytes:
    """A tree of datasets as a NetCDF file made in memory: HDF5 can crash the process where a disk is full."""
    import h5netcdf
    from xarray.backends import H5NetCDFStore

    buffer = io.BytesIO()
    with h5netcdf.File(buffer, "w") as file:
        for node in tree.subtree:
            root = node.path == tree.path
            store = H5NetCDFStore(file, group=None if root else node.path, mode="a")
            node.to_dataset(inherit=root).dump_to_store(store)
    return buffer.getvalue()


def _decoded(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) and value[:1] in "[{" else value
    except json.JSONDecodeError:
        return value


@dataclass(frozen=True)
class AddedTo:
    """A CSV file with a header, to which rows are only ever added.

    A process that adds a row holds a lock, an empty hidden file beside the CSV, so that of two rows added at once neither is lost.
    The system releases the lock of a process that has ended.

    Attributes
    ----------
    noun
        What a row is, in messages: "decision".
    columns
        Names of the columns.
    earlier
        Numbers of columns that earlier versions wrote, the first of ``columns``. Such a file is read, and gets the other columns,
        empty, when a row is added.
    """

    noun: str
    columns: tuple[str, ...]
    earlier: tuple[int, ...] = ()

    def rows(self, path: Path) -> list[list[str]]:
        """Return the rows without the header, one cell per column; none where there is no such file.

        Raises
        ------
        InputError
            If the file cannot be read, or is not a CSV file with these columns.
        """
        return [[*map(_unescaped, row), *[""] * (len(self.columns) - len(row))] for row in self._raw(path)[1:]]

    def day(self, path: Path, row: int, column: str, cell: str) -> date:
        """Return the date in a cell; ``row`` is the row's number in the file, the header being row 1.

        Raises
        ------
        InputError
            If it is not a date in ISO form.
        """
        try:
            return date.fromisoformat(cell)
        except ValueError:
            raise InputError(Problem(f"row {row}.{column}", cell, "must be a date such as 2024-03-14"), source=str(path)) from None

    def add(self, path: Path, cells: Sequence[date | int | str | None], check: Callable[[], None]) -> None:
        """Add a row to the file, which is made if it is not there.

        Parameters
        ----------
        path
            The file.
        cells
            One value per column; ``None`` is an empty cell, a date is written in ISO form.
        check
            Called while the lock is held, before anything is written; raises if the row must not be added to the file.

        Raises
        ------
        InputError
            If the file is damaged or cannot be written, or another process holds the lock for too long.
        """
        import filelock

        lock = path.with_name(f".{path.name}.lock")
        try:
            with filelock.FileLock(lock, timeout=_SECONDS):
                check()
                self._add(path, cells)
        except filelock.Timeout:
            raise InputError(
                f"is being written by somebody else for more than {_SECONDS} seconds: try again", source=str(path)
            ) from None
        except OSError as error:
            raise InputError(error.strerror or "cannot be written", source=str(lock)) from None

    def check_order(self, path: Path, rows: Iterable[tuple[str, date]]) -> None:
        """Raise `InputError` if a row, of which protocol and data cutoff date are given, is dated before an earlier one."""
        last: dict[str, date] = {}
        for number, (protocol, as_of) in enumerate(rows, 2):
            if as_of < last.get(protocol, date.min):
                allowed = (
                    f"lies before {last[protocol]} in a row above it: {self.noun}s are only added, in the order of their dates"
                )
                raise InputError(Problem(f"row {number}.as_of", as_of.isoformat(), allowed), source=str(path))
            last[protocol] = as_of

    def refuse_before(self, path: Path, last: date | None, as_of: date) -> None:
        """Raise `InputError` if a row's data cutoff date lies before that of the last row."""
        if last is not None and last > as_of:
            allowed = f"lies before the last {self.noun} on file, of {last}: {self.noun}s are only added"
            raise InputError(Problem("as_of", as_of.isoformat(), allowed), source=str(path))

    def _raw(self, path: Path) -> list[list[str]]:
        """Return the rows with the header, each cell as it is in the file."""
        try:
            # A spreadsheet program that has saved the file may have put a mark before it.
            text = _content(path).decode("utf-8-sig")
        except UnicodeDecodeError:
            raise InputError("is not UTF-8 text", source=str(path)) from None
        if not text:
            return []
        try:
            rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
        except csv.Error as error:
            raise InputError(f"is damaged: {error}", source=str(path)) from None
        width = next((n for n in (len(self.columns), *self.earlier) if tuple(rows[0]) == self.columns[:n]), None)
        if width is None:
            raise InputError(f"must begin with the columns {', '.join(self.columns)}", source=str(path))
        for number, row in enumerate(rows[1:], 2):
            if len(row) != width:
                raise InputError(f"row {number} has {len(row)} cells: must have {width}", source=str(path))
        return rows

    def _add(self, path: Path, cells: Sequence[date | int | str | None]) -> None:
        text = io.StringIO()
        lines = csv.writer(text, lineterminator="\n")
        old, rows = _content(path), self._raw(path)
        if not rows:
            lines.writerow(self.columns)
        elif len(rows[0]) < len(self.columns):
            old = self._widened(old, rows)
        elif not old.endswith(b"\n"):
            text.write("\n")
        lines.writerow(["" if cell is None else _escaped(str(cell)) for cell in cells])
        write_whole(path.parent, {path.name: old + text.getvalue().encode()})

    def _widened(self, old: bytes, rows: list[list[str]]) -> bytes:
        """Return the file of an earlier version with the columns it lacks, empty; mark, line ends and cells stay as they were."""
        text = io.StringIO()
        ending = "\r\n" if old.partition(b"\n")[0].endswith(b"\r") else "\n"
        lines = csv.writer(text, lineterminator=ending)
        lines.writerow(self.columns)
        lines.writerows([*row, *[""] * (len(self.columns) - len(row))] for row in rows[1:])
        return (_MARK if old.startswith(_MARK) else b"") + text.getvalue().encode()


def check_text(name: str, text: object, longest: int = _LONGEST, *, required: bool = True, purpose: str = "") -> str:
    """Return text that a person gave for a record; raise `InputError` if it is too long, has control characters or is missing."""
    least = 1 if required else 0
    if isinstance(text, str) and len(text) <= longest and text.replace("\n", "").isprintable() and (text.strip() or not required):
        return text
    allowed = f"must be text of {least} to {longest} characters without control characters" + (f": {purpose}" if purpose else "")
    raise InputError(Problem(name, text, allowed))


def _content(path: Path) -> bytes:
    """Return the bytes of a file; none if it is not there."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise InputError(error.strerror or "cannot be read", source=str(path)) from None


def _escaped(cell: str) -> str:
    return f"'{cell}" if _LIKE_A_FORMULA.match(cell) else cell


def _unescaped(cell: str) -> str:
    return cell[1:] if cell[:1] == "'" and _LIKE_A_FORMULA.match(cell) else cell
