"""What a report says, as a tree of plain values: a document of sections, a section of blocks.

Nothing here knows how a report looks, and no renderer knows what a report is about: a renderer has one case for each kind of block,
so a new section or a new design needs no change there. All text goes through `Run`, which shows as an escape what nobody would see.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "Answer",
    "Answers",
    "Block",
    "Bullets",
    "Column",
    "Definitions",
    "Document",
    "Figure",
    "Note",
    "Paragraph",
    "Run",
    "Section",
    "Signature",
    "Space",
    "Table",
    "Text",
    "data",
    "text",
]

# The two format characters that change how letters of some scripts join; every other one is invisible or reorders text.
_JOINERS = "\u200c\u200d"
_UNSEEN = {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"}


@dataclass(frozen=True)
class Run:
    r"""Text of one kind.

    Attributes
    ----------
    text
        The text. What would not be seen, or would reorder its neighbours, is shown as an escape: ``\u202e``.
    kind
        "plain": the report's own words. "data": a text that a user gave, to be kept apart from its neighbours. "strong": to be
        set off.
    """

    text: str
    kind: Literal["plain", "data", "strong"] = "plain"

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", _seen(self.text))


Text = tuple[Run, ...]
"""Text of several kinds."""


def text(words: str | Run | Text) -> Text:
    """Words as `Text`."""
    if isinstance(words, str):
        return (Run(words),)
    return (words,) if isinstance(words, Run) else words


def data(words: object) -> Run:
    """A text that a user gave."""
    return Run(str(words), "data")


def _seen(words: str) -> str:
    return words if words.isprintable() else "".join(map(_character, words))


def _character(one: str) -> str:
    if one in "\n\t":
        return " "
    hidden = unicodedata.category(one) in _UNSEEN and one not in _JOINERS
    return f"\\u{ord(one):04x}" if hidden else one


@dataclass(frozen=True)
class Paragraph:
    """A paragraph."""

    text: Text


@dataclass(frozen=True)
class Bullets:
    """A list without an order."""

    items: tuple[Text, ...]


@dataclass(frozen=True)
class Note:
    """What a reader must not miss; ``warning`` where it limits what the figures are worth."""

    title: str
    items: tuple[Text, ...]
    warning: bool = False


@dataclass(frozen=True)
class Definitions:
    """Terms, each with what is said of it."""

    items: tuple[tuple[Text, tuple[Text, ...]], ...]


@dataclass(frozen=True)
class Answer:
    """A question of the reader, its answer in a few words, and what the answer rests on."""

    question: str
    answer: Text
    because: tuple[Text, ...]


@dataclass(frozen=True)
class Answers:
    """Questions and answers that belong together."""

    items: tuple[Answer, ...]


@dataclass(frozen=True)
class Column:
    """Heading of a table's column, and whether its cells are numbers."""

    heading: Text
    numeric: bool = False


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes
    ----------
    caption
        What it shows.
    columns
        The columns; the cells of the first one are headings of their rows.
    rows
        Cells, one a column.
    notes
        What is said below it.
    """

    caption: Text
    columns: tuple[Column, ...]
    rows: tuple[tuple[Text, ...], ...]
    notes: tuple[Text, ...] = ()

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"a row of {len(row)} cells in a table of {len(self.columns)} columns")


@dataclass(frozen=True)
class Figure:
    """A picture.

    Attributes
    ----------
    picture
        Axes from `dosefind.plots`, which bring their alternative text.
    caption
        What it shows.
    """

    picture: Axes
    caption: Text


@dataclass(frozen=True)
class Signature:
    """Lines to sign on: for each of ``people`` a name, a signature and a date, under ``columns``."""

    caption: Text
    columns: tuple[str, ...]
    people: tuple[str, ...]


@dataclass(frozen=True)
class Space:
    """Room of so many lines to write in, under a heading."""

    heading: Text
    lines: int


Block = Paragraph | Bullets | Note | Definitions | Answers | Table | Figure | Signature | Space


@dataclass(frozen=True)
class Section:
    """A section.

    Attributes
    ----------
    id
        Name to link to: lower-case letters and hyphens, once in a document.
    title
        Its heading.
    blocks
        What it says, in order.
    sections
        Sections within it.
    own_page
        Whether it ends its page in print.
    """

    id: str
    title: Text
    blocks: tuple[Block, ...]
    sections: tuple[Section, ...] = ()
    own_page: bool = False


@dataclass(frozen=True)
class Document:
    """A report.

    Attributes
    ----------
    title, subtitle
        Its titles.
    language
        Code of its language, such as "en".
    date
        Its date, ISO form: of the data, not of the day on which it was made.
    facts
        What it is of, in terms and values.
    sections
        Its sections.
    labels
        The renderers' own words by key: "contents", "skip", "table", "figure", ...
    """

    title: Text
    subtitle: Text
    language: str
    date: str
    facts: Definitions
    sections: tuple[Section, ...]
    labels: dict[str, str]

    def __post_init__(self) -> None:
        ids = [one.id for one in _all(self.sections)]
        if len(ids) != len(set(ids)):
            raise ValueError(f"two sections have one id: {', '.join(sorted({one for one in ids if ids.count(one) > 1}))}")

    def html(self) -> str:
        """The report as one HTML file, which loads nothing from outside."""
        from .html import as_html

        return as_html(self)

    def _repr_html_(self) -> str:
        from .html import in_frame

        return in_frame(self)


def _all(sections: Sequence[Section]) -> Iterable[Section]:
    for one in sections:
        yield one
        yield from _all(one.sections)
