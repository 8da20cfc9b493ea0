"""Labelled results that show themselves: an `xarray.Dataset` in every respect, in a notebook with its tables on top."""

from __future__ import annotations

import xarray as xr

from .shown import Shown

__all__ = ["Dataset", "restored"]

# The dimensions of our datasets in the order in which they are made, and what in them has no such dimension.
_ORDER = ("target", "design", "scenario", "layout")
_WITHOUT = {
    "scenario": {"max_n_per_dose"},
    "design": {"p_true", "n_acceptable", "true_mtd", "highest_mtd", "true_mtd_by_target"}
    | {"reference_selected", "reference_correct", "reference_correct_highest"},
    "layout": {"lower", "upper"},
}


class Dataset(Shown, xr.Dataset):
    """A dataset that a notebook shows as the tables that the command line prints, xarray's own view below.

    What is taken out of it (`sel`, a list of variables) is shown as xarray shows it, where the tables need what is no longer there.
    """

    __slots__ = ()


def restored(one: xr.Dataset) -> xr.Dataset:
    """A dataset of ours with its dimensions in their order, and with one of which a single label was selected, as ``sel`` does."""
    for name in ("design", "scenario", "layout"):
        if name in one.coords and not one[name].ndim:
            label, bare = one[name].item(), one.drop_vars(name)
            here = [variable for variable in bare.data_vars if variable not in _WITHOUT.get(name, set())]
            one = bare.assign({variable: bare[variable].expand_dims({name: [label]}) for variable in here})
    return one.transpose(*_ORDER, ..., missing_dims="ignore")
