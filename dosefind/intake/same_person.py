"""Identifiers that may be those of one person: equal but for case, look-alike letters, zeros before a number, and separators."""

from __future__ import annotations

import re

from .._check import shown_key
from .cells import Findings, Row, Table
from .letters import plain_letters

__all__ = ["person", "refuse_same_person"]

_PART = re.compile(r"\d+|[^\W\d_]+")


def person(subject: str) -> tuple[str, ...]:
    """Return the words and numbers of an identifier: ``A-01`` and ``a1`` are one person, ``1-11`` and ``11-1`` are two."""
    parts = [part.lstrip("0") or "0" if part.isdigit() else part for part in _PART.findall(plain_letters(subject))]
    return tuple(parts) or (subject,)


def refuse_same_person(found: Findings, table: Table) -> None:
    """Refuse subjects of the table of patients who may be one person under two identifiers, whose events could be split."""
    seen: dict[tuple[str, ...], Row] = {}
    for row in table.rows:
        if not row.subject:
            continue
        first = seen.setdefault(person(row.subject), row)
        if first.subject != row.subject:
            found.refuse(
                row.subject_cell,
                f"may be the person of row {first.number}, {shown_key(first.subject[:80])}: one person has one row "
                "and one identifier; identifiers of two persons must differ in more than case, zeros, separators and look-alikes",
            )
