"""Spellings of a missing value in R, pandas, SAS and Excel, read as empty cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from .._check import shown_key
from ..protocol import DLT, plain_words
from ..words import _
from .cells import Absent, Table
from .unread import topic_of

__all__ = ["SPELLINGS", "empty_missing", "is_missing"]

_NONE = frozenset({"None", "none", "NONE"})
_SAS = frozenset({".", "._", *(f".{letter}" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ")})
_NAMES = ("NA", "N/A", "N.A.", "NaN", "NaT", "<NA>", "NULL", "#N/A", "#NA", "(null)", "<NULL>")
# Missing values of R (NA, NaN, NULL), pandas (<NA>, NaN, NaT, None), SAS (., .A to .Z, ._), Excel (#N/A) and SQL (NULL), and the
# dash of manually completed tables. Words such as "unknown" are not included: they are read in columns that allow them.
SPELLINGS = frozenset(
    {spelling for name in _NAMES for spelling in (name, name.upper(), name.lower(), name.capitalize())}
    | {"-", "--", "\u2013", "\u2014"}
    | _SAS
    | _NONE
)
_ABSENT = {spelling: Absent.written_as(spelling) for spelling in SPELLINGS}
# Columns in which "none" is a word: not related, no outcome, no event. It is kept there unchanged, and also in columns of
# relationships to treatment and of outcomes, whatever their name.
_WORDS = frozenset({"term", "AETERM", "AEDECOD", "AEOUT", "DSDECOD", "DSTERM"})
_RELATION, _OUTCOME = "relationship to treatment", "outcomes"


def is_missing(text: str) -> bool:
    """Return whether a cell of numbers, dates or flags has no value."""
    return not text or text in SPELLINGS


def _spellings(column: str, relations: dict[str, Absent], words: dict[str, Absent]) -> dict[str, Absent]:
    """Return the spellings of a missing value in a column: those of relationships, of other words, or all."""
    topic = topic_of(column)
    if column == "AREL" or topic == _RELATION:
        return relations
    return words if column in _WORDS or topic == _OUTCOME else _ABSENT


def empty_missing(tables: Iterable[Table], dlt: DLT) -> list[str]:
    """Empty the cells with a spelling of a missing value; return notes on the spellings, except a single point of SAS.

    In columns of terms, outcomes and relationships "none" remains a word, and in those of relationships so does every spelling that
    the protocol lists among its own words.
    """
    own = {plain_words(word) for word in (*dlt.related, *dlt.unrelated, *dlt.not_assessed)}
    words = {spelling: absent for spelling, absent in _ABSENT.items() if spelling not in _NONE}
    relations = {spelling: absent for spelling, absent in words.items() if plain_words(spelling) not in own}
    notes = []
    for table in tables:
        counted: Counter[str] = Counter()
        read = {name: _spellings(name, relations, words) for name in table.columns}
        for row in table.rows:
            for column, text in row.cells.items():
                if text in read[column]:
                    if column == "QVAL" and text not in relations and topic_of(row.cells.get("QNAM", "")) == _RELATION:
                        continue
                    row.cells[column] = read[column][text]
                    counted[text] += 1
        counted.pop(".", None)
        if counted:
            listed = ", ".join(f"{shown_key(spelling)} ({number:,})" for spelling, number in sorted(counted.items()))
            notes.append(_("{table}: cells read as empty: {cells}").format(table=table.name, cells=listed))
    return notes
