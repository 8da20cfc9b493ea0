"""Where results come from, files that are written whole or not at all, and CSV files that are only added to."""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import json
import math
import os
import platform
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from datetime import date
from functools import cache, partial
from importlib import metadata
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from . import __version__
from ._check import InputError, Problem
from .chain import Chain, check_chain, is_hash, row_hash
from .given_files import read_if_there
from .interruption import undisturbed, written

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import xarray as xr

try:
    import fcntl
except ImportError:
    # Windows has no such locks: there what a killed process left stays until somebody removes it.
    fcntl = None

__all__ = [
    "DIGITS",
    "HASH",
    "REPRODUCIBLE",
    "AddedTo",
    "as_json",
    "check_text",
    "day_of",
    "encoded",
    "file_names",
    "harmless",
    "named_column",
    "original",
    "refuse_to_overwrite",
    "rounded",
    "sampler_versions",
    "save_dataset",
    "save_table",
    "save_tables",
    "table_names",
    "tables_as_json",
    "versions",
    "write_whole",
]

# Significant digits and most decimals of a saved value. Other vector instructions change exact results by up to 1e-14 of their
# size and probabilities by 1e-15 (measured on the shipped config with OpenBLAS kernels for Haswell, Zen, SkylakeX and Prescott).
DIGITS = 12
# What a result says of another run.
REPRODUCIBLE = (
    "The same for any number of threads and worker processes. Exact results on another type of CPU agree within 1e-12, relative to "
    f"values above 1; saved values are rounded to {DIGITS} significant digits and at most {DIGITS} decimals, so that files agree "
    "unless a value lies next to a rounding boundary. Draws by NUTS depend on the type of CPU and on the versions."
)
# What each row of a CSV says of where it comes from.
_STAMPED = ("config", "config_sha256", "data_sha256", "as_of", "outcomes", "curve_used", "rp2d", "method", "seed", "versions")
_SAMPLING = ("pymc", "pytensor", "nutpie", "arviz")
_PACKAGES = ("numpy", "scipy", "xarray", "pandas")
# Longest text that a person gives for a record.
_LONGEST = 2000
# Seconds for which another process may hold the lock of a file that is added to.
_SECONDS = 20
# Most bytes of a file that is only added to: thousands of rows, and far less than would take long to read.
_LARGEST = 2**24
# Characters of a row that a message shows.
_NAMED = 200
# Text that a spreadsheet would take for a formula gets an apostrophe before it; so does text that looks as if it had one already.
_LIKE_A_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_MARK = b"\xef\xbb\xbf"
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
# Column of the hashes in files that are only added to.
HASH = "row_sha256"
# What the columns of each kind of name hold: the variable of a NetCDF file, which has the names along a dimension of their own.
_BY_NAME = {"scenario": "probability", "design": "next_step"}


def named_column(kind: str, name: str) -> str:
    """Return the column of a table for a name that a user chose: "scenario: NAME" or "design: NAME".

    No column of dosefind's own begins so, and no two names have the same column.
    """
    return f"{kind}: {name}"


@cache
def _version(name: str) -> str:
    """Return the version of an installed package, read from a file only once."""
    return metadata.version(name)


def versions() -> dict[str, str]:
    """Return versions that a result depends on."""
    return {"dosefind": __version__, "python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}}


def sampler_versions() -> dict[str, str]:
    """Return further versions that draws depend on, without packages that are not installed."""
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
    """Return a result as JSON text: attributes or ``stamp``, coordinates and variables with their definitions; a table as rows.

    A missing value is null. A value beyond the range of floating-point numbers, 1.8e308, is the text "infinity" or "-infinity".
    """
    import pandas as pd

    if isinstance(result, pd.DataFrame):
        result, stamp = _rounded_table(result), _rounded_stamp(stamp or {})
        content = {"attrs": stamp, "rows": _rows(result)}
    else:
        content = rounded(result).to_dict()
    return _json_text(content)


def rounded(result: xr.Dataset) -> xr.Dataset:
    """Return a dataset as it is saved, its values rounded to `DIGITS` significant digits and at most as many decimals.

    The last digits of a value depend on the type of the CPU. A value with a unit keeps all significant digits, as a dose can be
    a small number of large units. Coordinates are inputs, and stay as they are.
    """
    changed = {
        name: variable.copy(data=_round(variable.to_numpy(), "units" in variable.attrs))
        for name, variable in result.data_vars.items()
        if variable.dtype == "float64"
    }
    return result.assign(changed).assign_attrs(_rounded_stamp(result.attrs))


def _rounded_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table as it is saved: as `rounded`, a dose in place of a value with a unit."""

    def saved(name: str, column: pd.Series) -> Any:
        return _round(column.to_numpy(), "dose" in name) if column.dtype == "float64" else column

    return type(table)({name: saved(str(name), column) for name, column in table.items()}, index=table.index)


def _round(values: np.ndarray, has_unit: bool) -> np.ndarray:
    import numpy as np

    def significant(some: np.ndarray) -> np.ndarray:
        return np.array([float(f"{value:.{DIGITS - 1}e}") for value in some.ravel().tolist()]).reshape(some.shape)

    if has_unit:
        return significant(values)
    # Digits before the decimal point.
    digits = np.searchsorted(10.0 ** np.arange(309), np.abs(values), side="right")
    made = np.array(values)
    for whole in np.unique(digits[np.isfinite(values)]).tolist():
        rows = digits == whole
        # Larger powers of ten than 1e22 are no exact numbers.
        made[rows] = np.round(values[rows], DIGITS - whole) if whole <= DIGITS + 22 else significant(values[rows])
    # No negative zero, whose sign would be that of an error.
    return made + 0.0


def _rounded_stamp(stamp: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes with rounded numbers."""
    return {
        key: round(float(f"{value:.{DIGITS - 1}e}"), DIGITS) if isinstance(value, float) else value for key, value in stamp.items()
    }


def _json_text(content: Any) -> str:
    return json.dumps(_plain(content), indent=1, allow_nan=False, default=str)


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table, each by column."""
    import pandas as pd

    return [
        {name: None if cell is pd.NA or cell is pd.NaT else cell for name, cell in row.items()} for row in table.to_dict("records")
    ]


def _plain(value: Any) -> Any:
    """Return nested records, tables and lists with what JSON has no number for as null or text."""
    if is_dataclass(value):
        value = vars(value)
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "infinity" if value > 0 else "-infinity"
    return value


def save_dataset(result: xr.Dataset, folder: Path, stem: str, tree: xr.DataTree | None = None, *, force: bool = True) -> list[str]:
    """Write a dataset as CSV (one value per row, with the assumptions), JSON and NetCDF; return the file names.

    A ``tree`` that has the dataset at its root takes its place in the NetCDF file. Values are `rounded`; ``force`` is that of
    `write_whole`.
    """
    import xarray as xr

    result = rounded(result)
    tree = None if tree is None else tree.map_over_datasets(rounded)
    files = {
        f"{stem}.csv": lambda path: _write_csv(_tidy(result), result.attrs, path),
        f"{stem}.json": lambda path: path.write_text(as_json(result) + "\n", encoding="utf-8"),
        f"{stem}.nc": lambda path: path.write_bytes(_netcdf(xr.DataTree(result) if tree is None else tree)),
        f"{stem}-assumed.csv": lambda path: _write_assumed(result.attrs, path),
    }
    write_whole(folder, files, force=force)
    return list(files)


def save_table(table: pd.DataFrame, stamp: Mapping[str, Any], folder: Path, stem: str, *, force: bool = True) -> list[str]:
    """Write a table as CSV (and what was assumed), JSON and NetCDF, with `rounded` values; return the file names."""
    import xarray as xr

    table, stamp = _rounded_table(table), _rounded_stamp(stamp)
    files = {
        f"{stem}.csv": lambda path: _write_csv(table, stamp, path),
        f"{stem}.json": lambda path: path.write_text(as_json(table, stamp) + "\n", encoding="utf-8"),
        f"{stem}.nc": lambda path: path.write_bytes(_netcdf(xr.DataTree(_for_netcdf(table).assign_attrs(stamp)))),
        f"{stem}-assumed.csv": lambda path: _write_assumed(stamp, path),
    }
    write_whole(folder, files, force=force)
    return list(files)


def tables_as_json(tables: Mapping[str, pd.DataFrame], stamp: Mapping[str, Any]) -> str:
    """Return several tables as JSON text: ``stamp``, and each table's rows under its name; values as in `as_json`."""
    rows = {name: _rows(_rounded_table(table)) for name, table in tables.items()}
    return _json_text({"attrs": _rounded_stamp(stamp), **rows})


def save_tables(
    tables: Mapping[str, pd.DataFrame], stamp: Mapping[str, Any], folder: Path, stem: str, *, force: bool = True
) -> list[str]:
    """Write several tables with `rounded` values, each as CSV, all as one JSON, and what was assumed; return the file names."""
    tables, stamp = {name: _rounded_table(table) for name, table in tables.items()}, _rounded_stamp(stamp)
    files: dict[str, Callable[[Path], object]] = {
        f"{stem}-{name}.csv": lambda path, table=table: _write_csv(table, stamp, path) for name, table in tables.items()
    }
    files[f"{stem}-assumed.csv"] = lambda path: _write_assumed(stamp, path)
    files[f"{stem}.json"] = lambda path: path.write_text(tables_as_json(tables, stamp) + "\n", encoding="utf-8")
    write_whole(folder, files, force=force)
    return list(files)


def table_names(stem: str, names: Iterable[str]) -> list[str]:
    """Return names of the files in which tables of these names are saved."""
    return [*(f"{stem}-{name}.csv" for name in (*names, "assumed")), f"{stem}.json"]


def file_names(stem: str) -> list[str]:
    """Return names of the files in which a result is saved."""
    return [*(f"{stem}.{kind}" for kind in ("csv", "json", "nc")), f"{stem}-assumed.csv"]


def _tidy(result: xr.Dataset) -> pd.DataFrame:
    """Return one row per result: name, coordinates, value and standard error, if any; true MTDs as columns."""
    import pandas as pd

    frames = []
    for name, variable in result.data_vars.items():
        if str(name).endswith("_se") or not variable.dims or variable.dtype.kind == "U":
            continue
        frame = variable.drop_vars("dose_amount", errors="ignore").to_series().rename("value").reset_index()
        frame.insert(0, "figure", name)
        if f"{name}_se" in result:
            frame["standard_error"] = result[f"{name}_se"].to_series().to_numpy()
        if "scenario" in variable.dims and "true_mtd" in result:
            # The names of the doses that are right stand beside the results of their scenario and target.
            beside = result["true_mtd_by_target"] if "target" in variable.dims else result["true_mtd"]
            rows = frame[list(beside.dims)]
            frame["true_mtd"] = rows.merge(beside.to_series().rename("true_mtd").reset_index(), how="left")["true_mtd"]
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def _write_csv(table: pd.DataFrame, stamp: Mapping[str, Any], path: Path) -> None:
    """Write a CSV whose every row says where it comes from, and whose text no spreadsheet takes for a formula.

    A column of the table itself stays as it is: a decision on file has a data cutoff date of its own.
    """
    stamp = encoded(stamp)
    stamped = table.assign(**{key: stamp[key] for key in _STAMPED if key in stamp and key not in table})
    text = stamped.select_dtypes(["object", "string"]).columns
    stamped[text] = stamped[text].map(harmless)
    stamped.columns = [harmless(column) for column in stamped.columns]
    stamped.to_csv(path, index=False)


def _write_assumed(stamp: Mapping[str, Any], path: Path) -> None:
    """Write the assumptions of the result."""
    import pandas as pd

    assumed = pd.DataFrame(stamp.get("assumptions", []), columns=["key", "value", "why"])
    _write_csv(assumed.astype(object), stamp, path)


def harmless(cell: Any) -> Any:
    """Return a cell of a table as a CSV file has it: text that a spreadsheet would take for a formula begins with an apostrophe.

    So does text that looks as if it had one already. Two texts never get the same cell, and `original` gives each back.

    Examples
    --------
    >>> [harmless(text) for text in ("=x", "'=x", "x")]
    ["'=x", "''=x", 'x']
    """
    return f"'{cell}" if isinstance(cell, str) and _LIKE_A_FORMULA.match(cell) else cell


def original(cell: str) -> str:
    """Return the text that `harmless` made a cell of."""
    return cell[1:] if cell[:1] == "'" and _LIKE_A_FORMULA.match(cell) else cell


def _for_netcdf(table: pd.DataFrame) -> xr.Dataset:
    """Return a table as a dataset over its rows; columns of names that a user chose are one variable, over the names."""
    plain = table.astype({name: "float64" for name in table.columns if str(table[name].dtype) == "Int64"})
    plain = plain.reset_index(drop=True).rename_axis("row")
    of_kind = {kind: [name for name in plain.columns if name.startswith(named_column(kind, ""))] for kind in _BY_NAME}
    result = plain.drop(columns=[name for columns in of_kind.values() for name in columns]).to_xarray()
    for kind, columns in of_kind.items():
        if columns:
            names = [name.removeprefix(named_column(kind, "")) for name in columns]
            result = result.assign({_BY_NAME[kind]: (("row", kind), plain[columns].to_numpy())}).assign_coords({kind: names})
    return result


def _netcdf(tree: xr.DataTree) -> bytes:
    """Return a tree of datasets as a NetCDF file made in memory: HDF5 can crash the process where a disk is full."""
    import h5netcdf
    from xarray.backends import H5NetCDFStore

    buffer = io.BytesIO()
    with h5netcdf.File(buffer, "w") as file:
        for node in tree.subtree:
            root = node.path == tree.path
            store = H5NetCDFStore(file, group=None if root else node.path, mode="a")
            node.to_dataset(inherit=root).assign_attrs(encoded(node.attrs)).dump_to_store(store)
    return buffer.getvalue()


def encoded(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    """Return attributes as NetCDF and CSV hold them: numbers, lists of numbers and text as they are, records as JSON."""
    return {key: json.dumps(_plain(value)) if _is_record(value) else value for key, value in attrs.items()}


def _is_record(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return not value or not all(isinstance(entry, int | float) for entry in value)
    return isinstance(value, dict)


class OnFile(Protocol):
    """One row of a file that is only added to."""

    @property
    def protocol(self) -> str:
        """Return the identifier of the protocol."""
        ...

    @property
    def as_of(self) -> date:
        """Return the data cutoff date of the data on which the row is based."""
        ...


@dataclass(frozen=True)
class AddedTo[Row: OnFile]:
    """A CSV file with a header, to which rows are only ever added, each with a hash that chains it to the row above.

    A process that adds a row holds a lock, an empty hidden file beside the CSV, so that of two rows added at once neither is lost.
    The system releases the lock of a process that has ended. A symbolic link is followed, and the file keeps its permissions, its
    owner and its other names.

    Attributes
    ----------
    noun
        What a row is, in messages: "decision".
    columns
        Names of the columns, without the hash.
    earlier
        Numbers of columns that earlier versions wrote, the first of ``columns``, with or without hashes. Such a file is read, and
        gets the other columns, empty, when a row is added; the hashes of its rows stay.
    parse
        Function that makes a row of its cells, or raises `InputError`.
    """

    noun: str
    columns: tuple[str, ...]
    earlier: tuple[int, ...]
    parse: Callable[[Mapping[str, str]], Row]

    def read(self, path: Path) -> tuple[list[tuple[int, Row]], Chain]:
        """Return the rows, each with its number, and what their hashes show; no rows where there is no such file.

        The number of a row is that of its first line in the file, the header being line 1.

        Raises
        ------
        InputError
            If the file cannot be read or is not one that `add` writes; the message names file, row, column, value and what is
            allowed.
        """
        rows, chain, _ = self._read(path, read_if_there(path, _LARGEST))
        return rows, chain

    def add(self, path: Path, row: Row, cells: Sequence[date | int | str | None]) -> None:
        """Add a row to the file, which is made if it is not there.

        Parameters
        ----------
        path
            The file.
        row
            The row.
        cells
            Its cells, one per column; ``None`` is an empty cell, a date is written in ISO form.

        Raises
        ------
        InputError
            If the row is on file already or dated before the last one, the file is damaged or cannot be written, or another process
            holds the lock for too long. The file is then as it was.
        """
        import filelock

        target = _target(path)
        lock = target.with_name(f".{target.name}.lock")
        try:
            # Every user with write access to the folder may use the lock.
            mode = stat.S_IRUSR | stat.S_IWUSR | target.parent.stat().st_mode & 0o066
            with filelock.FileLock(lock, timeout=_SECONDS, mode=mode):
                self._add(path, target, row, ["" if cell is None else str(cell) for cell in cells])
        except filelock.Timeout:
            raise InputError(
                f"is being written by somebody else for more than {_SECONDS} seconds: try again", source=str(path)
            ) from None
        except OSError as error:
            raise InputError(error.strerror or "cannot be written", source=str(lock)) from None

    def _add(self, path: Path, target: Path, row: Row, cells: list[str]) -> None:
        old = read_if_there(path, _LARGEST)
        on_file, _, last = self._read(path, old)
        rows = [one for _, one in on_file]
        before = max((one.as_of for one in rows if one.protocol == row.protocol), default=row.as_of)
        if before > row.as_of:
            allowed = f"lies before the last {self.noun} on file, of {before}: {self.noun}s are only added"
            raise InputError(Problem("as_of", row.as_of.isoformat(), allowed), source=str(path))
        if row in rows:
            allowed = f"has this {self.noun} already, in row {on_file[rows.index(row)][0]}, with the same text in every column"
            raise InputError(allowed, source=str(path))
        text = io.StringIO()
        lines = csv.writer(text, lineterminator="\n")
        if not old:
            lines.writerow((*self.columns, HASH))
        elif len(self._raw(path, old)[0][1]) <= len(self.columns):
            old = self._widened(path, old)
        elif not old.endswith(b"\n"):
            text.write("\n")
        lines.writerow([*map(harmless, cells), row_hash(last, cells)])
        new = (old or b"") + text.getvalue().encode()
        # A file that could not be read again would be worse than no row.
        if [one for _, one in self._read(path, new)[0]] != [*rows, row]:
            raise InputError(f"cannot hold this {self.noun}: it would not be read back unchanged", source=str(path))
        _put(target, new)

    def _read(self, path: Path, content: bytes | None) -> tuple[list[tuple[int, Row]], Chain, str]:
        """Return the rows of a file's content, what their hashes show, and the hash from which the next row goes on."""
        rows: list[tuple[int, Row]] = []
        hashed: list[tuple[int, list[Sequence[str]], str]] = []
        first: dict[tuple[str, ...], int] = {}
        last: dict[str, date] = {}
        lines = self._raw(path, content)
        header = lines[0][1] if lines else [""]
        for number, raw in lines[1:]:
            cells, stored = self._full(raw, hashed=header[-1] == HASH)
            cells = [*map(original, cells)]
            try:
                if stored and not is_hash(stored):
                    raise InputError(Problem(HASH, stored, "must be a hash of 64 hexadecimal digits, or empty"))
                row = self.parse(dict(zip(self.columns, cells, strict=True)))
                before = last.get(row.protocol, date.min)
                if row.as_of < before:
                    allowed = f"lies before {before} in a row above it: {self.noun}s are only added, in the order of their dates"
                    raise InputError(Problem("as_of", row.as_of.isoformat(), allowed))
            except InputError as error:
                raise InputError(error.within(f"row {number}"), source=str(path)) from None
            if (above := first.setdefault(tuple(cells), number)) != number:
                raise InputError(f"row {number} repeats row {above}: each {self.noun} is recorded once", source=str(path))
            last[row.protocol] = row.as_of
            rows.append((number, row))
            # A hash of an earlier version covers the columns of that version.
            covered: list[Sequence[str]] = [cells, *(cells[:n] for n in self.earlier if not any(cells[n:]))]
            hashed.append((number, covered, stored))
        return rows, *check_chain(path.name, hashed)

    def _full(self, row: list[str], *, hashed: bool) -> tuple[list[str], str]:
        """Return the cells of a row, empty in the columns that its file lacks, and its hash, empty without one."""
        cells = row[:-1] if hashed else row
        return [*cells, *[""] * (len(self.columns) - len(cells))], row[-1] if hashed else ""

    def _raw(self, path: Path, content: bytes | None) -> list[tuple[int, list[str]]]:
        """Return the rows with the header, each with its number, cells as they are in the file; no rows where there is no file."""
        if content is None:
            return []
        try:
            # A spreadsheet program that has saved the file may have put a mark before it.
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise InputError("is not UTF-8 text", source=str(path)) from None
        lines = csv.reader(io.StringIO(text, newline=""), strict=True)
        rows, number = [], 1
        try:
            for row in lines:
                rows.append((number, row))
                number = lines.line_num + 1
        except csv.Error as error:
            raise InputError(f"is damaged at line {lines.line_num}: {error}", source=str(path)) from None
        full = (*self.columns, HASH)
        header = tuple(rows[0][1]) if rows else ()
        widths = (len(self.columns), *self.earlier)
        if header not in {known for n in widths for known in (full[:n], (*full[:n], HASH))}:
            columns = ", ".join(full)
            if not header:
                raise InputError(f"is empty: must begin with the columns {columns}, or not be there", source=str(path))
            raise InputError(f"must begin with the columns {columns}; row 1 is {','.join(header)[:_NAMED]!r}", source=str(path))
        for number, row in rows[1:]:
            if len(row) != len(header):
                raise InputError(f"row {number} has {len(row)} cells: must have {len(header)}", source=str(path))
        return rows

    def _widened(self, path: Path, old: bytes) -> bytes:
        """Return the file of an earlier version with the columns it lacks, empty; mark, line ends and cells stay as they were."""
        text = io.StringIO()
        ending = "\r\n" if old.partition(b"\n")[0].endswith(b"\r") else "\n"
        lines = csv.writer(text, lineterminator=ending)
        lines.writerow((*self.columns, HASH))
        (_, header), *rows = self._raw(path, old)
        for _, row in rows:
            cells, stored = self._full(row, hashed=header[-1] == HASH)
            lines.writerow([*cells, stored])
        return (_MARK if old.startswith(_MARK) else b"") + text.getvalue().encode()


def day_of(column: str, cell: str) -> date:
    """Return the date in a cell of a record.

    Raises
    ------
    InputError
        If it is not a date as it is written there.
    """
    try:
        if _DAY.fullmatch(cell):
            return date.fromisoformat(cell)
    except ValueError:
        pass
    raise InputError(Problem(column, cell, "must be a date such as 2024-03-14"))


def check_text(name: str, text: object, longest: int = _LONGEST, *, required: bool = True, purpose: str = "") -> str:
    """Return text that a person gave for a record; raise `InputError` if it is too long, has control characters or is missing."""
    least = 1 if required else 0
    if isinstance(text, str) and len(text) <= longest and text.replace("\n", "").isprintable() and (text.strip() or not required):
        return text
    allowed = f"must be text of {least} to {longest} characters without control characters" + (f": {purpose}" if purpose else "")
    raise InputError(Problem(name, text, allowed))


def _target(path: Path) -> Path:
    """Return the file that a symbolic link stands for, or the path itself; raise `InputError` if it cannot be written."""
    target = Path(os.path.realpath(path))
    if target.exists() and not os.access(target, os.W_OK):
        raise InputError("is read-only", source=str(path))
    if not os.access(target.parent, os.W_OK | os.X_OK):
        allowed = "is a folder in which nothing may be written" if target.parent.is_dir() else "is not a folder"
        raise InputError(allowed, source=str(target.parent))
    return target


def _put(path: Path, content: bytes) -> None:
    """Give a file new content, whole or not at all; permissions, owner, extended attributes and other names stay."""
    if not path.exists():
        write_whole(path.parent, {path.name: content})
        return
    before = path.stat()
    if before.st_nlink > 1 or not _may_own(before):
        _put_in_place(path, content)
        return

    def write(new: Path) -> None:
        new.write_bytes(content)
        made = new.stat()
        if (made.st_uid, made.st_gid) != (before.st_uid, before.st_gid):
            os.chown(new, before.st_uid, before.st_gid)
        shutil.copystat(path, new)
        os.utime(new)

    write_whole(path.parent, {path.name: write})


def _may_own(file: os.stat_result) -> bool:
    """Return whether a new file can be given the owner and the group of another one."""
    if not hasattr(os, "geteuid"):
        return True
    return os.geteuid() == 0 or (file.st_uid == os.geteuid() and file.st_gid in {os.getegid(), *os.getgroups()})


def _put_in_place(path: Path, content: bytes) -> None:
    """Give a file new content, not shorter than the old one, in place; after an error the old content is put back."""
    old = path.read_bytes()
    same = len(old) if content.startswith(old) else 0
    with path.open("r+b", buffering=0) as file:
        try:
            file.seek(same)
            if file.write(content[same:]) < len(content) - same:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file.fileno())
        except OSError as error:
            file.seek(same)
            file.write(old[same:])
            file.truncate(len(old))
            raise InputError(error.strerror or "cannot be written", source=str(path)) from None
