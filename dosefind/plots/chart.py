"""Axes that display themselves in a notebook; loaded with the first chart, as this module needs matplotlib."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes

from .export import as_png, as_svg
from .style import alt_text

__all__ = ["Chart"]


class Chart(Axes):
    """Axes on a figure that is unknown to pyplot, so that a notebook displays them once, as the value of a cell."""

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
        alt = {"alt": alt_text(self)}
        kinds = ("image/svg+xml", "image/png")
        return dict(zip(kinds, (as_svg(self), as_png(self, 144)), strict=True)), dict.fromkeys(kinds, alt)
