"""The base of results and settings that have their own display in a notebook.

What shows them is set from above: this module, like the results, needs to know nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["Shown", "shown_by"]

_SHOWN_BY: list[Callable[[Any], str]] = []


class Shown:
    """Base of results and settings that have their own display in a notebook."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        (show,) = _SHOWN_BY
        return show(self)


def shown_by(show: Callable[[Any], str]) -> None:
    """Set what makes HTML of a result."""
    _SHOWN_BY[:] = [show]
