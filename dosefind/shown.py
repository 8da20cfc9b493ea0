"""The base of results and settings that a notebook shows in a way of their own.

What shows them is set from above: this module, like the results, needs to know nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["Shown", "shown_by"]

_SHOWN_BY: list[Callable[[Any], str]] = []


class Shown:
    """Base of whatever a notebook shows in a way of its own."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        (show,) = _SHOWN_BY
        return show(self)


def shown_by(show: Callable[[Any], str]) -> None:
    """Set what makes HTML of a result."""
    _SHOWN_BY[:] = [show]
