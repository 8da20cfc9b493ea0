"""What a notebook shows of each result: the tables that the terminal prints, with a picture where there is one.

`content` says what is shown of a kind of result, in the same pieces as `tables`; a further kind is one more function there, and
`Shown` among the bases of its class. `html` makes HTML of the pieces, in which every text is escaped. Nothing here prints or
samples, and nothing comes here before something is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import singledispatch
from html import escape
from itertools import groupby
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from . import tables
from .tables import Aside
from .tasks import NextDose
from .threads import one_thread

__all__ = ["content", "html"]

_POINT = "    "


@dataclass(frozen=True)
class _Made:
    """HTML that is put in as it is: a picture of ours, xarray's view."""

    html: str


@one_thread
def html(result: Any) -> str:
    """What a notebook shows of a result.

    Parameters
    ----------
    result
        Whatever `content` knows.
    """
    with tables.unfolded():
        return f'<div class="dosefind" style="max-width: 75em">{"".join(_blocks(content(result)))}</div>'


# What is shown


@singledispatch
def content(result: Any) -> list[Any]:
    """The pieces of which a result is shown: texts and tables of rich's, and what is already HTML."""
    raise TypeError(f"nothing says how a {type(result).__name__} is shown")


@content.register
def _(found: NextDose) -> list[Any]:
    return [tables.next_dose(found)]


# HTML


def _blocks(parts: Iterable[Any]) -> Iterator[str]:
    """Each run of indented lines is a list."""
    for pointed, run in groupby(_flat(parts), _is_point):
        if pointed:
            yield f"<ul>{''.join(f'<li>{_text(one)}</li>' for one in run)}</ul>"
        else:
            yield from map(_block, run)


def _flat(parts: Iterable[Any]) -> Iterator[Any]:
    """The pieces without groups around them, but for those that are shown on demand, and without blanks."""
    for part in parts:
        if isinstance(part, Group) and not isinstance(part, Aside):
            yield from _flat(part.renderables)
        elif str(part).strip() or not isinstance(part, (str, Text)):
            yield part


def _is_point(part: Any) -> bool:
    return isinstance(part, Text) and part.plain.startswith(_POINT)


def _block(part: Any) -> str:
    if isinstance(part, _Made):
        return part.html
    if isinstance(part, Aside):
        title, *rest = part.renderables
        return f"<details><summary>{_text(title)}</summary>{''.join(_blocks(rest))}</details>"
    if isinstance(part, Table):
        return _table(part)
    words = _text(part)
    return f"<p><strong>{words}</strong></p>" if isinstance(part, Text) and part.style == "bold" else f"<p>{words}</p>"


def _table(table: Table) -> str:
    # A notebook's own style aligns to the right; what is to the left is said of each cell.
    looks = ["" if column.justify == "right" else ' style="text-align: left"' for column in table.columns]
    head = "".join(f"<th{look}>{_text(column.header, '<br>')}</th>" for look, column in zip(looks, table.columns, strict=True))
    rows = []
    for row, cells in zip(table.rows, zip(*(column.cells for column in table.columns), strict=True), strict=True):
        dim = ' style="opacity: 0.7"' if row.style == "dim" else ""
        rows.append(
            f"<tr{dim}>{''.join(f'<td{look}>{_text(cell, "<br>")}</td>' for look, cell in zip(looks, cells, strict=True))}</tr>"
        )
    whole = f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
    return f'<div style="overflow-x: auto"><table style="text-align: right">{whole}</table></div>'


def _text(text: Any, new_line: str = " ") -> str:
    """A text, escaped; lines that were folded are joined by ``new_line``."""
    plain_text = text.plain if isinstance(text, Text) else str(text)
    return new_line.join(escape(line.strip()) for line in plain_text.strip().splitlines())
