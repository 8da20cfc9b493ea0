"""What is shown of a result, as a tree of plain values: a page or a document of sections, a section of blocks.

Nothing here depends on how content looks, and no renderer depends on what it is about: a renderer has one case for each kind of
block, so a new page or a new design needs no change there. All text goes through `Run`, which writes invisible characters out.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from string import Formatter
from typing import TYPE_CHECKING, Any, Literal

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
    "Other",
    "Page",
    "Paragraph",
    "Run",
    "Section",
    "Signature",
    "Space",
    "Table",
    "Text",
    "as_string",
    "data",
    "escaped",
    "filled",
    "shares",
    "table",
    "text",
]

# The two format characters that change how letters of some scripts join; every other one is invisible or reorders text.
_JOINERS = "\u200c\u200d"
# Most rows and letters of a table that does not begin on one page and end on the next.
_SHORT, _SHORT_LETTERS = 20, 2500
# Tables of more columns are set in smaller type.
_WIDE = 8
# Letters of a word beyond which it is broken rather than its column widened.
_LONGEST_WORD = 24
# Letters of a cell that are kept in one line, and of a heading if there is room.
_HEADING = 14
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
        set off. "query": an open question to the author, in brackets, to be found and answered.
    """

    text: str
    kind: Literal["plain", "data", "strong", "query"] = "plain"

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", _seen(self.text))


Text = tuple[Run, ...]
"""Text of several kinds."""


def text(words: str | Run | Text) -> Text:
    """Return words as `Text`."""
    if isinstance(words, str):
        return (Run(words),)
    return (words,) if isinstance(words, Run) else words


def as_string(words: Text) -> str:
    """Return the text without its kinds."""
    return "".join(run.text for run in words)


def data(words: object) -> Run:
    """Return a text that a user gave."""
    return Run(str(words), "data")


def filled(sentence: str, **values: Any) -> Text:
    """Return a sentence with its places filled: by a `Run` or a `Text` as it is, by anything else as plain text.

    Examples
    --------
    >>> as_string(filled("{design} selects level {level}.", design=data("3+3"), level=2))
    '3+3 selects level 2.'
    """
    runs: list[Run] = []
    for literal, name, _, _ in Formatter().parse(sentence):
        if literal:
            runs.append(Run(literal))
        if name is not None:
            value = values[name]
            runs += value if isinstance(value, tuple) else [value if isinstance(value, Run) else Run(str(value))]
    return tuple(runs)


def _seen(words: str) -> str:
    return words if words.isprintable() else "".join(map(_character, words))


def _character(one: str) -> str:
    if one in "\n\t":
        return " "
    return escaped(one) if unicodedata.category(one) in _UNSEEN and one not in _JOINERS else one


def escaped(one: str) -> str:
    r"""Return a character by its number: ``\u202e``."""
    return f"\\u{ord(one):04x}"


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
    """What a reader must not miss; ``warning`` if it limits the validity of the results."""

    title: str
    items: tuple[Text, ...]
    warning: bool = False


@dataclass(frozen=True)
class Definitions:
    """Terms, each with its definition."""

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
        Cells, one per column.
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

    @property
    def small(self) -> bool:
        """Return whether it has many columns and is set in smaller type."""
        return len(self.columns) > _WIDE

    @property
    def short(self) -> bool:
        """Return whether it fits on one page and is kept there."""
        letters = sum(len(run.text) for row in self.rows for cell in row for run in cell)
        return len(self.rows) <= _SHORT and letters <= _SHORT_LETTERS

    def widths(self, line: int) -> tuple[float, ...]:
        """Return the letters of each column on a line of ``line`` letters: those of its longest cell, if there is room.

        A column that has to be narrower than its longest cell keeps room for its longest word, and a heading may always wrap.
        """
        least, wanted = [], []
        for one, *cells in zip(self.columns, *self.rows, strict=True):
            heading, *said = map(as_string, (one.heading, *cells))
            # A short cell is like a word.
            words = [*heading.split(), *(word for each in said for word in ([each] if len(each) <= _HEADING else each.split()))]
            least.append(2 + min(max(map(_letters, words), default=0), _LONGEST_WORD))
            longest = max((_letters(each) for each in (heading[:_HEADING], *said)), default=0)
            wanted.append(max(least[-1], 2 + min(longest, line)))
        # Where even words do not fit, all are narrower, so that no column lies beyond the page.
        fits = min(1.0, line / sum(least))
        return tuple(fits * width for width in shares(least, wanted, line))


def table(
    caption: str | Text,
    heads: Iterable[str | Run | Text],
    rows: Iterable[Iterable[str | Run | Text]],
    *,
    notes: Iterable[str | Text] = (),
    numeric: Collection[int] | None = None,
) -> Table:
    """Return a table from words; ``numeric`` are the places of columns of numbers, by default all but the first."""
    columns = (Column(text(head), place > 0 if numeric is None else place in numeric) for place, head in enumerate(heads))
    return Table(text(caption), tuple(columns), tuple(tuple(map(text, row)) for row in rows), tuple(map(text, notes)))


def shares(least: Sequence[float], wanted: Sequence[float], line: float) -> tuple[float, ...]:
    """Return widths between the least and the wanted ones: what is left of a line is shared in proportion to what is wanted."""
    more = sum(wanted) - sum(least)
    share = min(1.0, max(line - sum(least), 0) / more) if more else 0.0
    return tuple(low + share * (high - low) for low, high in zip(least, wanted, strict=True))


def _letters(words: str) -> float:
    """Return the width of words, in lower-case letters."""
    return len(words) + 0.4 * sum(letter.isupper() for letter in words)


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

    @cached_property
    def svg(self) -> str:
        """Return the picture as SVG, with its alternative text; made once for all formats."""
        from ..plots import as_svg

        return as_svg(self.picture)

    @property
    def alt(self) -> str:
        """Return the picture in words."""
        from ..plots import alt_text

        return alt_text(self.picture)


@dataclass(frozen=True)
class Signature:
    """Lines to sign on: for each of ``people`` a name, a signature and a date, under ``columns``."""

    caption: Text
    columns: tuple[str, ...]
    people: tuple[str, ...]


@dataclass(frozen=True)
class Space:
    """Room of some lines to write in, under a heading."""

    heading: Text
    lines: int


@dataclass(frozen=True)
class Other:
    """What another library shows of a result in a notebook, such as xarray's view; left out elsewhere."""

    result: Any


Block = Paragraph | Bullets | Note | Definitions | Answers | Table | Figure | Signature | Space | Other


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
    detail
        Whether a reader looks it up on demand: a terminal and a notebook show its title, with a way to the rest.
    """

    id: str
    title: Text
    blocks: tuple[Block, ...]
    sections: tuple[Section, ...] = ()
    own_page: bool = False
    detail: bool = False

    @property
    def leads(self) -> tuple[bool, ...]:
        """Return for each block whether it introduces the next one, a table or figure, and stays on one page with it in print."""
        pairs = zip_longest(self.blocks, self.blocks[1:])
        return tuple(isinstance(one, Paragraph) and isinstance(following, (Table, Figure)) for one, following in pairs)


@dataclass(frozen=True)
class Page:
    """What a terminal or a notebook shows of a result: the answer first, details on demand.

    Attributes
    ----------
    title
        Its title.
    blocks
        What answers the question, on one screen.
    sections
        The rest.
    """

    title: Text
    blocks: tuple[Block, ...]
    sections: tuple[Section, ...] = ()


@dataclass(frozen=True, repr=False)
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

    def __repr__(self) -> str:
        return f"{as_string(self.title)}: {len(self.sections)} sections"


def _all(sections: Sequence[Section]) -> Iterable[Section]:
    for one in sections:
        yield one
        yield from _all(one.sections)
