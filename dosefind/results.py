"""Labelled results that display themselves: an `xarray.Dataset` in every respect, shown in a notebook with its tables on top."""

from __future__ import annotations

import xarray as xr

from .shown import Shown

__all__ = ["Dataset", "restored"]

# The dimensions of datasets in the order in which they are made, and the variables that lack such a dimension.
_ORDER = ("target", "overlap", "accrual", "design", "scenario", "layout")
_WITHOUT = {
    "scenario": {"max_n_per_dose", "reads"},
    "design": {"p_true", "n_acceptable", "true_mtd", "highest_mtd", "true_mtd_by_target"}
    | {"reference_selected", "reference_correct", "reference_correct_highest"},
    "layout": {"lower", "upper"},
    "overlap": {"p_true", "true_mtd", "reads"},
    "accrual": {"p_true", "true_mtd", "reads"},
}


class Dataset(Shown, xr.Dataset):
    """A dataset that a notebook shows as the tables printed on the command line, with xarray's own view below.

    A selection from it (`sel`, a list of variables) is shown as xarray shows it if the tables need parts that were dropped.
    """

    __slots__ = ()


def restored(dataset: xr.Dataset) -> xr.Dataset:
    """Return a dataset with its dimensions in their usual order, restoring a dimension from which one label was selected."""
    for name in ("overlap", "accrual", "design", "scenario", "layout"):
        if name in dataset.coords and not dataset[name].ndim:
            label, bare = dataset[name].item(), dataset.drop_vars(name)
            varying = [variable for variable in bare.data_vars if variable not in _WITHOUT.get(name, set())]
            dataset = bare.assign({variable: bare[variable].expand_dims({name: [label]}) for variable in varying})
    return dataset.transpose(*_ORDER, ..., missing_dims="ignore")
