"""Where results come from, and files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import json
import math
import os
import platform
import tempfile
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib import metadata
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import __version__
from ._check import InputError

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = [
    "as_json",
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


def write_whole(folder: Path, files: Mapping[str, bytes | Callable[[Path], object]]) -> None:
    """Write files into a folder, each appearing under its name only when all are complete.

    Parameters
    ----------
    folder
        Made if it is not there.
    files
        From file name, with a folder in front if it is to have one, to what the file holds, or a function that writes to the path
        given to it.
    """
    below = sorted({(folder / name).parent for name in files} - {folder})
    made = [path for path in (*below, folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as scratch:
            for name, content in files.items():
                path = Path(scratch) / name
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(content) if isinstance(content, bytes) else content(path)
            for path in below:
                path.mkdir(exist_ok=True)
            for name in files:
                os.replace(Path(scratch) / name, folder / name)
    except BaseException as error:
        for path in made:
            with contextlib.suppress(OSError):
                path.rmdir()
        if isinstance(error, OSError):
            raise InputError(error.strerror or "cannot be written", source=str(folder)) from None
        raise


def as_json(result: xr.Dataset | pd.DataFrame, stamp: Mapping[str, Any] | None = None) -> str:
    """A result as JSON text: attributes or ``stamp``, coordinates and variables with their definitions; a table as rows.

    A missing figure is null.
    """
    import pandas as pd

    if isinstance(result, pd.DataFrame):
        rows = json.loads(str(result.to_json(orient="records", double_precision=15)))
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


def save_dataset(result: xr.Dataset, folder: Path, stem: str, tree: xr.DataTree | None = None) -> list[str]:
    """Write a dataset as CSV (one figure a row, and what was assumed), JSON and NetCDF; return the file names.

    A ``tree`` that has the dataset at its root takes its place in the NetCDF file.
    """
    files = {
        f"{stem}.csv": lambda path: _write_csv(_tidy(result), result.attrs, path),
        f"{stem}.json": lambda path: path.write_text(as_json(result) + "\n", encoding="utf-8"),
        f"{stem}.nc": lambda path: (result if tree is None else tree).to_netcdf(path, engine="h5netcdf"),
        f"{stem}-assumed.csv": lambda path: _write_assumed(result.attrs, path),
    }
    write_whole(folder, files)
    return list(files)


def save_table(table: pd.DataFrame, stamp: Mapping[str, Any], folder: Path, stem: str) -> list[str]:
    """Write a table as CSV (and what was assumed), JSON and NetCDF; return the file names."""
    files = {
        f"{stem}.csv": lambda path: _write_csv(table, stamp, path),
        f"{stem}.json": lambda path: path.write_text(as_json(table, stamp) + "\n", encoding="utf-8"),
        f"{stem}.nc": lambda path: _for_netcdf(table).assign_attrs(stamp).to_netcdf(path, engine="h5netcdf"),
        f"{stem}-assumed.csv": lambda path: _write_assumed(stamp, path),
    }
    write_whole(folder, files)
    return list(files)


def tables_as_json(tables: Mapping[str, pd.DataFrame], stamp: Mapping[str, Any]) -> str:
    """Several tables as JSON text: ``stamp``, and each table's rows under its name."""
    rows = {name: json.loads(as_json(table))["rows"] for name, table in tables.items()}
    return json.dumps({"attrs": {key: _decoded(value) for key, value in stamp.items()}, **rows}, indent=1, allow_nan=False)


def save_tables(tables: Mapping[str, pd.DataFrame], stamp: Mapping[str, Any], folder: Path, stem: str) -> list[str]:
    """Write several tables, each as CSV, all as one JSON, and what was assumed; return the file names."""
    files: dict[str, Callable[[Path], object]] = {
        f"{stem}-{name}.csv": lambda path, table=table: _write_csv(table, stamp, path) for name, table in tables.items()
    }
    files[f"{stem}-assumed.csv"] = lambda path: _write_assumed(stamp, path)
    files[f"{stem}.json"] = lambda path: path.write_text(tables_as_json(tables, stamp) + "\n", encoding="utf-8")
    write_whole(folder, files)
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
    """CSV whose every row says where it comes from, and whose text no spreadsheet takes for a formula."""
    stamped = table.assign(**{key: stamp[key] for key in _STAMPED if key in stamp})
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


def _for_netcdf(table: pd.DataFrame) -> xr.Dataset:
    plain = table.astype({name: "float64" for name in table.columns if str(table[name].dtype) == "Int64"})
    return plain.reset_index(drop=True).rename_axis("row").to_xarray()


def _decoded(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) and value[:1] in "[{" else value
    except json.JSONDecodeError:
        return value
