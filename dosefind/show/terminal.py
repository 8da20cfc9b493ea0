"""Content on a terminal: the answer, and with ``details`` all the rest, in lines no wider than the terminal.

No text of data controls the terminal: `Run` has written invisible characters out.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table as Grid
from rich.text import Text as Styled

from .. import terminal
from ..words import _
from .content import (
    Answers,
    Block,
    Bullets,
    Definitions,
    Figure,
    Note,
    Other,
    Page,
    Paragraph,
    Section,
    Signature,
    Space,
    Table,
    Text,
    as_string,
    filled,
    shares,
    text,
)

__all__ = ["as_lines", "show"]

# Lines are no wider, however wide the terminal is, and no narrower.
_MOST, _LEAST = 118, 60
# Columns between two columns of a table.
_GAP = 2
# A column of words is at least so wide, if its longest cell is, narrower only where all columns then fit; a longer word is broken.
_WORDS, _NARROW_WORDS, _LONGEST_WORD = 18, 12, 24


def show(page: Page, details: bool = False) -> None:
    """Print a page on standard output; bold only where it is a terminal that wants it."""
    width = max(_LEAST, min(_MOST, shutil.get_terminal_size((_MOST, 24)).columns))
    terminal.send(sys.stdout, as_lines(page, details, width, None if os.environ.get("NO_COLOR") else "auto"))


def as_lines(page: Page, details: bool = False, width: int = 80, colours: str | None = None) -> str:
    """Return a page as lines of text, without trailing blanks.

    Parameters
    ----------
    page
        The page.
    details
        Whether sections that are looked up on demand are shown.
    width
        Columns of the terminal.
    colours
        Colour system of `rich.console.Console`; ``None`` for plain text.
    """
    console = Console(highlight=False, markup=False, emoji=False, width=width, color_system=colours)  # type: ignore[arg-type]
    with console.capture() as capture:
        for part in _page(page, details, width):
            console.print(part)
    lines = [line.rstrip() for line in capture.get().split("\n")]
    return "\n".join(lines).rstrip("\n") + "\n"


def _page(page: Page, details: bool, width: int) -> Iterator[RenderableType]:
    yield Styled(as_string(page.title), "bold")
    yield from _blocks(page.blocks, width)
    left: list[str] = []
    for section in page.sections:
        yield from _section(section, details, width, left)
    if left:
        yield Styled(as_string(filled(_("More with --details: {sections}."), sections="; ".join(left))))


def _section(section: Section, details: bool, width: int, left: list[str]) -> Iterator[RenderableType]:
    title = as_string(section.title)
    if section.detail and not details:
        left.append(f"{title[:1].lower()}{title[1:]}" if title[1:2].islower() else title)
        return
    yield ""
    yield Styled(title, "bold")
    yield from _blocks(section.blocks, width)
    for inner in section.sections:
        yield from _section(inner, details, width, left)


def _blocks(blocks: Iterable[Block], width: int) -> Iterator[RenderableType]:
    before: Block | None = None
    for block in blocks:
        # A table is set off from what stands before it.
        if isinstance(block, Table) and before is not None:
            yield ""
        yield from _block(block, width)
        before = block


def _block(block: Block, width: int) -> Iterator[RenderableType]:
    match block:
        case Paragraph():
            yield _styled(block.text)
        case Bullets():
            yield from _points(block.items)
        case Note():
            yield Styled(as_string(text(block.title)), "bold")
            yield from _points(block.items)
        case Definitions():
            for term, said in block.items:
                if len(said) == 1:
                    yield from _points([(*term, *filled(": "), *said[0])])
                else:
                    yield _styled(term)
                    yield from _points(said)
        case Answers():
            for answer in block.items:
                yield Styled(f"{as_string(text(answer.question))} {as_string(answer.answer)}", "bold")
                yield from _points(answer.because)
        case Table():
            if as_string(block.caption):
                yield _styled(block.caption)
            yield from _tables(block, width)
            yield from map(_styled, block.notes)
        case Figure() | Other() | Signature() | Space():
            # What cannot be shown in lines, and room to write in.
            pass


def _points(items: Iterable[Text]) -> Iterator[RenderableType]:
    for item in items:
        row = Grid.grid(padding=0)
        row.add_column(width=4)
        row.add_column(overflow="fold")
        row.add_row("  -", _styled(item))
        yield row


def _styled(words: Text) -> Styled:
    styled = Styled()
    for run in words:
        styled.append(run.text, "bold" if run.kind == "strong" else None)
    return styled


def _tables(table: Table, width: int) -> Iterator[RenderableType]:
    """Return a table as one grid, or, where its columns do not fit beside each other, as several with the same first column."""
    columns = [
        [as_string(column.heading), *map(as_string, cells)] for column, *cells in zip(table.columns, *table.rows, strict=True)
    ]
    numeric = [column.numeric for column in table.columns]
    # The last column has a blank after it too.
    width -= 1
    least = [_least(cells, number, _WORDS) for cells, number in zip(columns, numeric, strict=True)]
    narrow = [_least(cells, number, _NARROW_WORDS) for cells, number in zip(columns, numeric, strict=True)]
    if len(_side_by_side(least, width)) > len(_side_by_side(narrow, width)) == 1:
        least = narrow
    for place, block in enumerate(_side_by_side(least, width)):
        wanted = [max(least[at], *(cell_len(cell) for cell in columns[at][1:]), 1) for at in block]
        room = width - _GAP * (len(block) - 1)
        widths = [int(one) for one in shares([least[at] for at in block], wanted, room)]
        if place:
            yield ""
        yield _grid([columns[at] for at in block], [numeric[at] for at in block], widths)


def _least(cells: Sequence[str], number: bool, narrowest: int) -> int:
    """Return the least width of a column: that of its longest word, more for a column of words."""
    words = max((min(cell_len(word), _LONGEST_WORD) for cell in cells for word in cell.split()), default=1)
    longest = max(map(cell_len, cells))
    return max(words, 1 if number else min(longest, narrowest))


def _side_by_side(least: Sequence[int], width: int) -> list[list[int]]:
    """Return the columns that stand beside each other, the first in each group."""
    groups: list[list[int]] = [[0]]
    for place in range(1, len(least)):
        if len(groups[-1]) > 1 and sum(least[at] + _GAP for at in groups[-1]) + least[place] > width:
            groups.append([0])
        groups[-1].append(place)
    return groups


def _grid(columns: Sequence[Sequence[str]], numeric: Sequence[bool], widths: Sequence[int]) -> Grid:
    grid = Grid(box=SIMPLE_HEAD, padding=(0, _GAP - 1, 0, 0), show_edge=False)
    for (heading, *_cells), number, width in zip(columns, numeric, widths, strict=True):
        grid.add_column(heading, justify="right" if number else "left", width=width, overflow="fold")
    for row in zip(*(cells[1:] for cells in columns), strict=True):
        grid.add_row(*row)
    return grid
