"""The decision table of a design: the decision after each number of DLTs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ...words import _
from ..content import Column, Page, Paragraph, Section, Table, Text, data, filled, text
from . import common
from .comparison import reason_words

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["decision_table", "decisions", "explained"]


def decision_table(table: pd.DataFrame, stamp: Mapping[str, Any], *, design: str) -> Page:
    """Return the page of a decision table.

    Parameters
    ----------
    table
        The result of `dosefind.decision_table`.
    stamp
        Attributes of the result, as `dosefind.tasks.stamps.stamp` has them.
    design
        Name of the design.
    """
    title = filled(_("{protocol}: decision table of {design}"), protocol=data(stamp["protocol"]), design=data(design))
    blocks = (*common.version(stamp), decisions(table), Paragraph(common.assumed_words(stamp)))
    meant = Section("definitions", text(_("Definitions")), (Paragraph(explained(table)),), detail=True)
    return Page(title, blocks, (meant, common.rules(stamp), common.assumptions(stamp)))


def explained(table: pd.DataFrame) -> Text:
    """Return what the entries of a decision table mean."""
    return text(table.attrs["note"])


def decisions(table: pd.DataFrame, caption: Text = ()) -> Table:
    """Return a decision table with levels and reasons in words."""
    if "next" not in table:
        heads = {
            "n_patients": _("patients at the dose"),
            "escalate_if_dlt_le": _("escalate if DLTs at most"),
            "deescalate_if_dlt_ge": _("de-escalate if DLTs at least"),
            "eliminate_if_dlt_ge": _("eliminate the dose if DLTs at least"),
            "stop_lowest_if_dlt_ge": _("at the lowest dose, stop if DLTs at least"),
        }
        columns = tuple(Column(text(heads[name]), True) for name in map(str, table.columns))
        rows = [
            tuple(text(_("never") if str(cell) == "<NA>" else str(cell)) for cell in row) for row in table.itertuples(index=False)
        ]
        return Table(caption, columns, tuple(rows))
    heads = (_("level"), _("patients"), _("DLTs"), _("decision"))
    columns = tuple(Column(text(head), 0 < place < 3) for place, head in enumerate(heads))
    rows = _in_ranges(table)
    once = _reasons(entry for *_row, entry in rows)
    cells = tuple(tuple(map(text, (*row, _entry(entry, once)))) for *row, entry in rows)
    by_reason: dict[str, list[str]] = {}
    for words, reason in once.items():
        by_reason.setdefault(reason, []).append(words)
    notes = tuple(
        text(common.raised(_("{reason} ({decisions})").format(reason=reason, decisions="; ".join(words))))
        for reason, words in by_reason.items()
    )
    return Table(caption, columns, cells, notes)


def _in_ranges(table: pd.DataFrame) -> list[tuple[str, str, str, str]]:
    """Return the rows, one for consecutive numbers of DLTs that lead to the same decision, the decision as in the table."""
    rows: list[list[Any]] = []
    for row in table.to_dict("records"):
        level, n, dlts, following = (row[name] for name in ("level", "n", "dlts", "next"))
        if rows and rows[-1][:2] == [level, n] and rows[-1][3] == dlts - 1 and rows[-1][4] == following:
            rows[-1][3] = dlts
        else:
            rows.append([level, n, dlts, dlts, following])
    return [
        (str(level), str(n), str(low) if low == high else f"{low}\u2013{high}", following)
        for level, n, low, high, following in rows
    ]


def _reasons(entries: Iterable[str]) -> dict[str, str]:
    """Return the reason of each decision to stop that has the same reason throughout the table, which is then said once."""
    found: dict[str, set[str]] = {}
    for entry in entries:
        for words, reason in map(_decision, entry.split(_OR)):
            if reason:
                found.setdefault(words, set()).add(reason)
    return {words: next(iter(reasons)) for words, reasons in found.items() if len(reasons) == 1}


def _entry(entry: str, once: Mapping[str, str]) -> str:
    """Return an entry in words, with the reason of a stop where it is not said once for the whole table."""
    said = []
    for words, reason in map(_decision, entry.split(_OR)):
        with_reason = _("{decision} ({reason})").format(decision=words, reason=reason)
        said.append(with_reason if reason and words not in once else words)
    return _(" or ").join(said)


def _decision(entry: str) -> tuple[str, str]:
    """Return a single decision of an entry in words, and the reason of a stop: ``2`` is a level, a reason stands in brackets."""
    if entry.isdigit():
        return common.level_words(entry), ""
    found = re.fullmatch(r"stop: (?:no MTD|MTD (\d+)(, not reached)?) \((\w+)\)", entry)
    if found is None:
        raise ValueError(f"{entry!r} is no entry of a decision table")
    level, beyond, reason = found.groups()
    return common.stop_words(level, bool(beyond)), reason_words(reason)


# Between the decisions of an entry that depends on the order of the outcomes.
_OR = " or "
