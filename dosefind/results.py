"""Labelled results that show themselves: an `xarray.Dataset` in every respect, in a notebook with its tables on top."""

from __future__ import annotations

import xarray as xr

from ._check import Shown

__all__ = ["Dataset"]


class Dataset(Shown, xr.Dataset):
    """A dataset that a notebook shows as the tables that the command line prints, xarray's own view below.

    What is taken out of it (`sel`, a list of variables) is shown as xarray shows it, where the tables need what is no longer there.
    """

    __slots__ = ()
