"""The decision table of a design: the decision after each number of DLTs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ...words import _
from ..content import Page, Paragraph, Section, Table, Text, data, filled, table, text
from . import common
from .comparison import reason_words
from .paths import decision_words

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
    # The columns do not show this, and the decisions are wrong without it.
    assumes = [Paragraph(text(table.attrs["assumes"]))] if "assumes" in table.attrs else []
    blocks = (*common.version(stamp), *assumes, decisions(table), Paragraph(common.assumed_words(stamp)))
    meant = Section("definitions", text(_("Definitions")), (Paragraph(text(table.attrs["note"])),), detail=True)
    return Page(title, blocks, (meant, common.rules(stamp), common.assumptions(stamp)))


def explained(table: pd.DataFrame) -> Text:
    """Return what a decision table supposes, and what its entries mean."""
    return text(" ".join(table.attrs[name] for name in ("assumes", "note") if name in table.attrs))


def decisions(found: pd.DataFrame, caption: Text = ()) -> Table:
    """Return a decision table with levels and reasons in words."""
    if "escalate_from_days" in found:
        return _by_follow_up(found, caption)
    if "move" in found:
        heads = (_("patients"), _("DLTs"), _("pending"), _("decision"))
        return table(caption, heads, _by_pending(found), numeric={0, 1, 2})
    if "next" not in found:
        heads = {
            "n_patients": _("patients at the dose"),
            "escalate_if_dlt_le": _("escalate if DLTs at most"),
            "deescalate_if_dlt_ge": _("de-escalate if DLTs at least"),
            "eliminate_if_dlt_ge": _("eliminate the dose if DLTs at least"),
            "stop_lowest_if_dlt_ge": _("at the lowest dose, stop if DLTs at least"),
        }
        rows = ((_("never") if str(cell) == "<NA>" else str(cell) for cell in row) for row in found.itertuples(index=False))
        return table(caption, (heads[name] for name in map(str, found.columns)), rows, numeric=range(len(heads)))
    heads = (_("level"), _("patients"), _("DLTs"), _("decision"))
    rows = _in_ranges(found)
    reasons: dict[str, set[str]] = {}
    for words, reason in (decision for *_row, decisions in rows for decision in decisions if decision[1]):
        reasons.setdefault(words, set()).add(reason)
    # The reason of a decision to stop that is the same throughout the table is said once.
    once = {words: each.pop() for words, each in reasons.items() if len(each) == 1}
    together = common.alike((words, reason) for words, reason in once.items())
    words = _("{reason} ({decisions})")
    notes = (common.raised(words.format(reason=reason, decisions="; ".join(said))) for reason, said in together.items())
    cells = ((*row, _entry(decisions, once)) for *row, decisions in rows)
    return table(caption, heads, cells, notes=notes, numeric={1, 2})


def _by_follow_up(found: pd.DataFrame, caption: Text) -> Table:
    """Return a decision table with thresholds in patient-days, one row for consecutive pending outcomes with the same decision."""
    words = {
        "escalate": _("escalate"),
        "stay": _("stay"),
        "de-escalate": _("de-escalate"),
        "eliminate": _("eliminate the dose"),
        "wait": _("suspend accrual"),
    }
    rows: list[list[Any]] = []
    for n, dlts, pending, move, up, down in found.itertuples(index=False):
        days = ["" if str(cell) == "<NA>" else str(cell) for cell in (up, down)]
        if rows and rows[-1][:2] == [n, dlts] and rows[-1][4:] == [move, *days] and not any(days):
            rows[-1][3] = pending
        else:
            rows.append([n, dlts, pending, pending, move, *days])
    # From little to much follow-up.
    then = _(", then ")
    cells = [
        (
            *(str(n), str(dlts), str(low) if low == high else f"{low}\u2013{high}"),
            *(then.join(words[part] for part in move.split("/")), up, down),
        )
        for n, dlts, low, high, move, up, down in rows
    ]
    heads = (_("patients"), _("DLTs"), _("pending"), _("decision"), _("escalate from days"), _("de-escalate up to days"))
    note = common.raised(found.attrs["thresholds"])
    return table(caption, heads, cells, notes=(note,), numeric={0, 1, 2, 4, 5})


def _by_pending(found: pd.DataFrame) -> list[tuple[str, str, str, str]]:
    """Return the rows, one for consecutive numbers of pending outcomes that lead to the same decision."""
    words = {"escalate": _("escalate"), "stay": _("stay"), "wait": _("wait"), "not tolerated": _("not tolerated")}
    rows: list[list[Any]] = []
    for n, dlts, pending, move in found[["n_patients", "dlts", "pending", "move"]].itertuples(index=False):
        if rows and rows[-1][:2] == [n, dlts] and rows[-1][4] == move:
            rows[-1][3] = pending
        else:
            rows.append([n, dlts, pending, pending, move])
    return [
        (str(n), str(dlts), str(low) if low == high else f"{low}\u2013{high}", words[move]) for n, dlts, low, high, move in rows
    ]


def _in_ranges(found: pd.DataFrame) -> list[tuple[str, str, str, list[tuple[str, str]]]]:
    """Return the rows, one for consecutive numbers of DLTs that lead to the same decisions, each in words with its reason."""
    entries: dict[tuple[int, int, int], list[tuple[str, str]]] = {}
    for row in found.to_dict("records"):
        reason = reason_words(row["reason"]) if row["reason"] else ""
        entries.setdefault((row["level"], row["n"], row["dlts"]), []).append((decision_words(row), reason))
    rows: list[list[Any]] = []
    for (level, n, dlts), decisions in entries.items():
        if rows and rows[-1][:2] == [level, n] and rows[-1][3] == dlts - 1 and rows[-1][4] == decisions:
            rows[-1][3] = dlts
        else:
            rows.append([level, n, dlts, dlts, decisions])
    return [
        (str(level), str(n), str(low) if low == high else f"{low}\u2013{high}", decisions)
        for level, n, low, high, decisions in rows
    ]


def _entry(decisions: Iterable[tuple[str, str]], once: Mapping[str, str]) -> str:
    """Return decisions in words, with the reason of a stop where it is not said once for the whole table."""
    with_reason = _("{decision} ({reason})")
    return _(" or ").join(
        with_reason.format(decision=words, reason=reason) if reason and words not in once else words for words, reason in decisions
    )
