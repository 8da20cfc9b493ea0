"""Labelled results that display themselves: an `xarray.Dataset` in every respect, shown in a notebook with its tables on top.

Among their attributes are records (assumptions, rules by design, deviations), which files hold as JSON: those listed in ``_JSON``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr
from pydantic import TypeAdapter

from .chain import Chain
from .protocol import Assumption
from .provenance import encoded
from .shown import Shown
from .trial import Departure

__all__ = ["Dataset", "decoded", "read_result", "restored"]

# The dimensions of datasets in the order in which they are made, and the variables that lack such a dimension.
_ORDER = ("target", "overlap", "accrual", "design", "scenario", "layout")
_WITHOUT = {
    "scenario": {"max_n_per_dose", "reads", "title", "on_complete_data"},
    "design": {"p_true", "n_acceptable", "true_mtd", "highest_mtd", "true_mtd_by_target", "days_decided", "days_decided_se"}
    | {"reference_selected", "reference_correct", "reference_correct_highest"},
    "layout": {"lower", "upper"},
    "overlap": {"p_true", "true_mtd", "reads", "title", "on_complete_data", "days_decided", "days_decided_se"},
    "accrual": {"p_true", "true_mtd", "reads", "title", "on_complete_data"},
}


# Attributes that files hold as JSON, and what they are made of where that is more than lists, mappings, numbers and text. Earlier
# versions wrote deviations as sentences.
_JSON = {
    *(
        "assumptions",
        "borrowing",
        "calendar_only",
        "chains",
        "curve_rules",
        "curves",
        "deviations",
        "efficacy",
        "layout_settings",
        "layouts",
        "notes",
    ),
    *("pause", "ramp"),
    *("problems", "reasons", "rules", "sampler_versions", "settings", "utility_rules", "versions", "warnings"),
}
_MADE_OF: dict[str, Any] = {
    "assumptions": list[Assumption],
    "chains": list[Chain] | int,
    "deviations": dict[str, list[Departure | str]] | list[Departure | str],
}


class Dataset(Shown, xr.Dataset):
    """A dataset that a notebook shows as the tables printed on the command line, with xarray's own view below.

    A selection from it (`sel`, a list of variables) is shown as xarray shows it if the tables need parts that were dropped.
    """

    __slots__ = ()

    def to_netcdf(self, path: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Write as `xarray.Dataset.to_netcdf` does, records among the attributes as JSON; `dosefind.read_result` reads them.

        A file is written by h5netcdf unless `engine` or `format` says otherwise: xarray's own choice depends on its version.
        """
        if path is not None and not args and not kwargs.keys() & {"engine", "format"}:
            kwargs["engine"] = "h5netcdf"
        return xr.Dataset.to_netcdf(self.assign_attrs(encoded(self.attrs)), path, *args, **kwargs)


def restored(dataset: xr.Dataset) -> xr.Dataset:
    """Return a dataset with its dimensions in their usual order, restoring a dimension from which one label was selected."""
    for name in ("overlap", "accrual", "design", "scenario", "layout"):
        if name in dataset.coords and not dataset[name].ndim:
            label, bare = dataset[name].item(), dataset.drop_vars(name)
            varying = [variable for variable in bare.data_vars if variable not in _WITHOUT.get(name, set())]
            dataset = bare.assign({variable: bare[variable].expand_dims({name: [label]}) for variable in varying})
    return dataset.transpose(*_ORDER, ..., missing_dims="ignore")


def read_result(path: Path | str) -> Dataset:
    """Return a result from the NetCDF file in which it was saved, its attributes as they were.

    Parameters
    ----------
    path
        The file, as ``dosefind compare`` or ``dosefind analyze`` saves it, or as the method ``to_netcdf`` of a result writes it.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from dosefind import compare, load_trial
    >>> oc = compare(load_trial("configs/nct05962762.toml"))
    >>> with TemporaryDirectory() as folder:
    ...     oc.to_netcdf(f"{folder}/oc.nc")
    ...     read_result(f"{folder}/oc.nc").identical(oc)
    True
    """
    saved = xr.load_dataset(path, engine="h5netcdf", decode_times=False)
    if "reason" in saved.coords and "reasons" not in saved.attrs:
        # Earlier versions wrote the sentences of the reasons beside their names.
        saved.attrs["reasons"] = saved["reason"].attrs["definition"]
    return Dataset(saved.data_vars, saved.coords, decoded(saved.attrs))


def decoded(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of a file, NetCDF or JSON, as a result has them; the reverse of `dosefind.provenance.encoded`."""
    found = {key: json.loads(value) if key in _JSON and isinstance(value, str) else value for key, value in attrs.items()}
    return found | {key: TypeAdapter(made).validate_python(found[key]) for key, made in _MADE_OF.items() if key in found}
