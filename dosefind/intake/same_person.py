"""Identifiers that belong, or may belong, to the same person.

A whole number with a fraction of zeros is that number. Identifiers that are equal except for case, look-alike letters, zeros before
a number and separators are rejected.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from .._check import shown_key
from ..words import _
from .cells import Findings, Row, Table
from .letters import plain_letters

__all__ = ["person", "read_whole_numbers", "refuse_same_person"]

_PART = re.compile(r"\d+|[^\W\d_]+")
_WHOLE = re.compile(r"(\d+)(?:\.0*)?", re.ASCII)
_IDENTIFIERS = ("subject", "USUBJID", "SUBJID")


def person(subject: str) -> tuple[str, ...]:
    """Return the words and numbers of an identifier: ``A-01`` and ``a1`` are one person, ``1-11`` and ``11-1`` are two."""
    parts = [part.lstrip("0") or "0" if part.isdigit() else part for part in _PART.findall(plain_letters(subject))]
    return tuple(parts) or (subject,)


def refuse_same_person(found: Findings, table: Table) -> None:
    """Reject subjects of the table of patients who may be one person with two identifiers, whose events could be split."""
    seen: dict[tuple[str, ...], Row] = {}
    for row in table.rows:
        if not row.subject:
            continue
        first = seen.setdefault(person(row.subject), row)
        if first.subject != row.subject:
            found.refuse(
                row.subject_cell,
                f"may be the same person as in row {first.number}, {shown_key(first.subject[:80])}: one person has one row "
                "and one identifier; identifiers of two persons must differ in more than case, zeros, separators and look-alikes",
            )


def read_whole_numbers(found: Findings, people: Table, tables: Iterable[Table]) -> None:
    """Read identifiers such as 1001.0 as those of the subject 1001, with a note.

    Data frames and spreadsheets write whole numbers in this way in a column with an empty cell. An identifier that is itself a
    subject is kept.

    Parameters
    ----------
    found
        Receives the notes.
    people
        The table of patients or subjects.
    tables
        All tables, whose cells are changed in place.
    """
    subjects = {row.subject for row in people.rows}
    matches = [match for subject in subjects if (match := _WHOLE.fullmatch(subject))]
    times = Counter(match[1] for match in matches)
    known = {match[1]: match[0] for match in matches if times[match[1]] == 1}
    for table in tables if known else ():
        count = 0
        for column in (next((name for name in _IDENTIFIERS if table.has(name)), ""), "replaces"):
            for row in table.rows if table.has(column) else ():
                text = row.cells[column]
                if text and text not in subjects and (match := _WHOLE.fullmatch(text)) and match[1] in known:
                    row.cells[column] = known[match[1]]
                    count += 1
        if count:
            words = _("{table}: identifiers with a fraction of zeros, such as 1001.0, read as whole numbers: {n}")
            found.notes.append(words.format(table=table.name, n=f"{count:,}"))
