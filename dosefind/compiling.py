"""Compiled loops. Importing this module takes half a second, so that only modules loaded for large batches do."""

from __future__ import annotations

from collections.abc import Callable

from numba import njit

__all__ = ["compiled"]


def compiled[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """Return the function compiled at its first call, and stored on disk unless no folder for that can be written."""
    try:
        return njit(cache=True)(function)
    except RuntimeError:
        return njit(function)
