"""Pictures of the conduct of a trial: the trial as it went, and what a design does next."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._check import MOST_DOSES, InputError, Problem, of_type, one_of, whole
from ..protocol import Protocol
from ..trial import Cohort, check_cohorts, notation
from .style import (
    BLUE,
    FAINT,
    INK,
    ORANGE,
    RED,
    RULE,
    amount,
    boxes,
    describe,
    drawing,
    key,
    listed,
    patients,
    said,
    shown,
    ticks,
    title,
    unit,
    write,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["decisions", "trial"]

_NOTATION = (
    "must be a level and a capital N (no DLT), T (DLT) or P (pending) a patient, cohorts separated by blanks, such as '1NNN 2NTP'"
)
_LETTERS = {"N": "complete", "T": "dlt", "P": "pending"}
# Status: words, and how a patient is drawn.
_STATUS: dict[str, tuple[str, dict[str, Any]]] = {
    "complete": ("no DLT", {"marker": "o", "facecolor": "#A9CDE6", "edgecolor": BLUE, "linewidth": 1.0}),
    "dlt": ("DLT", {"marker": "o", "facecolor": RED, "edgecolor": INK, "linewidth": 1.0}),
    "pending": ("pending", {"marker": "o", "facecolor": "white", "edgecolor": INK, "linewidth": 1.0, "linestyle": (0, (2, 1.2))}),
    "not evaluable": ("not evaluable", {"marker": "D", "facecolor": "white", "edgecolor": FAINT, "linewidth": 1.0}),
    "replaced": ("not evaluable, replaced", {"marker": "X", "facecolor": "white", "edgecolor": FAINT, "linewidth": 1.0}),
}
# How a sentence says what the key of the picture says more shortly.
_SENTENCE = {"complete": "without a DLT", "dlt": "with a DLT"}


# Level and cohort of who was given a dose that the protocol does not have.
_ELSEWHERE = 0


class _Patient(NamedTuple):
    subject: str
    cohort: int
    level: int
    status: str


def trial(outcomes: str | Sequence[Cohort] | pd.DataFrame, ax: Axes | None = None, *, protocol: Protocol | None = None) -> Axes:
    """The trial as it went, patient by patient, the dose level on the vertical axis.

    Parameters
    ----------
    outcomes
        Outcome notation such as ``"1NNN 2NTP"``, in which P stands for a patient who is still pending; cohorts, whose DLTs are
        drawn last as their order is not known; or a table with a row a patient in the order of treatment and the columns
        ``subject``, ``cohort``, ``level`` and ``status`` (complete, dlt, pending, not evaluable, replaced), level and cohort
        missing where the dose is not in the protocol, and the cohort alone missing outside the escalation.
    ax
        Axes to draw on; new ones by default.
    protocol
        The protocol, whose doses are named on the vertical axis.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InputError
        If the outcomes cannot be read, or name a level that the protocol has not.

    Examples
    --------
    >>> from dosefind.plots import alt_text
    >>> print(alt_text(trial("1NNN 2NTP")))
    Trial of 6 patients, 1 with a DLT and 1 pending. Cohort 1, level 1: 3 without a DLT. Cohort 2, level 2: 1
    without a DLT, 1 with a DLT and 1 pending.
    """
    treated, named = _patients(outcomes)
    if protocol is not None:
        of_type("protocol", protocol, Protocol, "load_protocol reads one from a file")
    levels = max([1, *(one.level for one in treated)]) if protocol is None else protocol.n_doses
    for one in treated:
        if one.level != _ELSEWHERE:
            whole(f"level of patient {said(one.subject)}", one.level, 1, levels)
    x = np.arange(1, len(treated) + 1)
    size = float(np.clip(5200 / max(len(treated), 1), 16, 70))
    with drawing(ax, 34 + 9 * max(levels, 2)) as ax:
        _cohorts(ax, treated)
        ax.step(x, [one.level for one in treated], where="mid", color=RULE, lw=1.0, zorder=1)
        used = []
        for status, (words, look) in _STATUS.items():
            at = [i for i, one in enumerate(treated) if one.status == status]
            if at:
                mark = ax.scatter(x[at], [treated[i].level for i in at], size, zorder=3, clip_on=False, **look)
                used.append((mark, words))
        if used:
            key(ax, [mark for mark, _ in used], [words for _, words in used])
        else:
            write(ax, 0.5, 0.5, "nobody has been treated", transform=ax.transAxes, ha="center", va="center", color=FAINT)
        every = max(1, -(-len(treated) // 40))
        labels = [shown(one.subject, 14) for one in treated][::every]
        upright = max(map(len, labels), default=0) * len(labels) > 75
        ticks(ax, "x", x[::every], labels, rotation=90 if upright else 0)
        ax.set_xlabel("subject" if named else "patient, in the order of treatment")
        _level_axis(ax, levels, protocol, any(one.level == _ELSEWHERE for one in treated))
        ax.set_xlim(0.3, max(len(treated), 1) + 0.7)
        name = "" if protocol is None else f"{shown(protocol.record.id, 24)}: "
        title(ax, f"{name}the trial as it went", above=20 if treated else 6)
    counted = [
        f"{n} {words}" for words, n in (("with a DLT", _count(treated, "dlt")), ("pending", _count(treated, "pending"))) if n
    ]
    start = f"Trial of {patients(len(treated))}" + (f", {listed(counted)}" if counted else "")
    return describe(ax, start, *_cohort_sentences(treated, protocol, named))


def _count(treated: Sequence[_Patient], status: str) -> int:
    return sum(one.status == status for one in treated)


def _cohorts(ax: Axes, treated: Sequence[_Patient]) -> None:
    """Bands behind the cohorts, every other one shaded, with their numbers."""
    # Patients without a cohort stand in the one that was current.
    numbers = list(accumulate((one.cohort for one in treated), lambda before, here: here or before))
    starts = [i for i in range(len(treated)) if i == 0 or numbers[i] != numbers[i - 1]]
    for band, (start, end) in enumerate(pairwise([*starts, len(treated)] if starts else ())):
        if band % 2:
            ax.axvspan(start + 0.5, end + 0.5, facecolor="#F2F2F2", edgecolor="none", zorder=0)
        words = f"cohort {numbers[start]}" if band == 0 and end - start > 1 else str(numbers[start] or "\u2013")
        ax.annotate(
            words,
            ((start + end + 1) / 2, 1),
            (0, -6),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="center",
            va="center",
            color=FAINT,
            size=7,
        )


def _level_axis(ax: Axes, levels: int, protocol: Protocol | None, elsewhere: bool) -> None:
    at = np.arange(1, levels + 1)
    words = [f"level {level}" for level in at]
    if protocol is not None:
        words = [f"{dose:g} ({level})" for dose, level in zip(protocol.doses.amounts, words, strict=True)]
    ticks(ax, "y", np.arange(0, levels + 1) if elsewhere else at, ["another dose", *words] if elsewhere else words)
    if elsewhere:
        # Its place says nothing of how high the dose was.
        ax.axhline(0.5, color=FAINT, lw=0.8, ls=":", zorder=1)
    ax.set_ylim(0.5 - elsewhere, levels + 0.85)
    ax.set_ylabel("dose" if protocol is None else f"dose, {unit(shown(protocol.doses.unit, 24))}")


def _cohort_sentences(treated: Sequence[_Patient], protocol: Protocol | None, named: bool) -> list[str]:
    groups: dict[tuple[int, int], list[_Patient]] = {}
    for one in treated:
        groups.setdefault((one.cohort, one.level), []).append(one)
    found = []
    for (cohort, level), group in groups.items():
        where = f"Cohort {cohort}, level {level}" if cohort != _ELSEWHERE else f"Outside the escalation, level {level}"
        where = where if level != _ELSEWHERE else "At a dose that the protocol does not have"
        doses = None if protocol is None else protocol.doses
        dose = "" if doses is None or level == _ELSEWHERE else f" ({amount(doses.amounts[level - 1], said(doses.unit))})"
        parts = [
            f"{_count(group, status)} {_SENTENCE.get(status, words)}"
            for status, (words, _) in _STATUS.items()
            if _count(group, status)
        ]
        toxic = [said(one.subject) for one in group if one.status == "dlt"] if named else []
        who = f" (DLT: {', '.join(toxic)})" if toxic else ""
        found.append(f"{where}{dose}: {listed(parts)}{who}.")
    return found


def _patients(outcomes: Any) -> tuple[list[_Patient], bool]:
    """Patients in the order of treatment, and whether their subjects are named."""
    import pandas as pd

    if isinstance(outcomes, str):
        return _from_notation(outcomes), False
    if isinstance(outcomes, Sequence) and all(isinstance(one, Cohort) for one in outcomes):
        return _from_notation(notation(check_cohorts(outcomes))), False
    records = _records(outcomes)
    names: Any = getattr(outcomes, "columns", ())
    if records is None or any(name not in names for name in _Patient._fields):
        allowed = f"must be outcome notation, cohorts, or a table with the columns {', '.join(_Patient._fields)}"
        raise InputError(Problem("outcomes", outcomes if records is None else list(names), allowed))
    rows = []
    for number, row in enumerate(records, start=1):
        where = f"outcomes.row {number}"
        if pd.isna(row["level"]):
            level = cohort = _ELSEWHERE
        else:
            level = whole(f"{where}.level", row["level"], 1, MOST_DOSES)
            cohort = _ELSEWHERE if pd.isna(row["cohort"]) else whole(f"{where}.cohort", row["cohort"], 1)
        rows.append(_Patient(str(row["subject"]), cohort, level, one_of(f"{where}.status", row["status"], _STATUS)))
    return rows, True


def _records(table: Any) -> list[dict[str, Any]] | None:
    """Rows of a data frame; None where it is not one."""
    import pandas as pd

    return [dict(row) for row in table.to_dict("records")] if isinstance(table, pd.DataFrame) else None


def _from_notation(text: str) -> list[_Patient]:
    found: list[_Patient] = []
    for cohort, token in enumerate(text.split(), start=1):
        match = re.fullmatch(r"([1-9][0-9]?)([NTP]+)", token)
        if match is None:
            raise InputError(Problem("outcomes", token, _NOTATION))
        found += [_Patient(str(len(found) + i), cohort, int(match[1]), _LETTERS[c]) for i, c in enumerate(match[2], start=1)]
    return found


class _Cell(NamedTuple):
    """A cell of a grid: its column, its DLTs, what is done (one of `_ACTS`), and the text in it."""

    column: int
    dlts: int
    act: str
    text: str


_ACTS: dict[str, tuple[str, str, str]] = {
    "E": ("E: escalate", "#9BD3BC", INK),
    "S": ("S: stay", "#ECECEC", INK),
    "D": ("D: de-escalate", ORANGE, INK),
    "DU": ("DU: de-escalate, dose eliminated", RED, "white"),
    "stop": ("\u00d7: stop, with the MTD (\u2013 none, + not reached)", "#4D4D4D", "white"),
    "or": ("depends on the order", "white", INK),
}


def decisions(table: pd.DataFrame, ax: Axes | None = None, *, name: str = "") -> Axes:
    """The decision grid of a design: what follows each number of DLTs among the patients at a dose.

    Parameters
    ----------
    table
        What `dosefind.decision_table` returned, or the table of a BOIN.
    ax
        Axes to draw on; new ones by default.
    name
        Name of the design, for the title.

    Returns
    -------
    matplotlib.axes.Axes
    """
    cells, columns, headings = _cells(table)
    rows = max((cell.dlts for cell in cells), default=0) + 1
    # Width and height of a cell in mm.
    wide, high = 135 / max(len(columns), 1), min(5.2, 120 / rows)
    with drawing(ax, max(60.0, 34 + high * rows)) as ax:
        from matplotlib.patches import Patch

        for act, (_, fill, _) in _ACTS.items():
            corners = [(cell.column - 0.5, cell.dlts - 0.5, 1.0, 1.0) for cell in cells if cell.act == act]
            boxes(ax, corners, facecolor=fill, edgecolor="white", lw=0.8)
        for cell in cells:
            ink = _ACTS[cell.act][2]
            lines = cell.text.split("\n")
            size = min(7.5, 4.3 * wide / max(map(len, lines)), 2.1 * high / len(lines))
            if size >= 3.5:
                write(
                    ax,
                    cell.column,
                    cell.dlts,
                    cell.text,
                    ha="center",
                    va="center",
                    size=size,
                    color=ink,
                    linespacing=0.95,
                    in_layout=False,
                )
        for start, words in headings:
            if start:
                ax.axvline(start - 0.5, color=INK, lw=0.8)
            write(ax, start - 0.4, rows - 0.35, words, va="bottom", size=7.5)
        used = [act for act in _ACTS if any(cell.act == act for cell in cells)]
        key(ax, [Patch(facecolor=_ACTS[act][1], edgecolor=RULE) for act in used], [_ACTS[act][0] for act in used])
        every = max(1, -(-len(columns) // 36))
        ticks(ax, "x", range(0, len(columns), every), columns[::every])
        each = max(1, -(-rows // 30))
        ticks(ax, "y", range(0, rows, each), [str(k) for k in range(0, rows, each)])
        ax.set_xlabel("patients at the dose")
        ax.set_ylabel("of these with a DLT")
        ax.set_xlim(-0.5, len(columns) - 0.5)
        ax.set_ylim(-0.5, rows - 0.5 + 0.9 * bool(headings))
        ax.tick_params(length=0)
        title(ax, f"What next{f' by {shown(name)}' if name else ''}", above=20)
    return describe(ax, f"Decision grid{f' of {said(name)}' if name else ''}", *_grid_sentences(cells, columns, headings))


def _cells(table: Any) -> tuple[list[_Cell], list[str], list[tuple[int, str]]]:
    """Cells, the number of patients of each column, and headings with the column where each begins."""
    if _records(table) is not None and table.index.name == "n_patients":
        table = table.reset_index()
    names: set[str] = set(getattr(table, "columns", ()))
    if {"n_patients", "escalate_if_dlt_le", "deescalate_if_dlt_ge", "eliminate_if_dlt_ge"} <= names:
        return _boundary_cells(table), [str(n) for n in table["n_patients"]], []
    if {"level", "n", "dlts", "next"} <= names:
        return _climb_cells(table)
    raise InputError(Problem("table", sorted(map(str, names)), "must be what dosefind.decision_table returned"))


def _boundary_cells(table: pd.DataFrame) -> list[_Cell]:
    import pandas as pd

    found = []
    for column, row in enumerate(table.to_dict("records")):
        n = int(row["n_patients"])
        # A boundary that there is not lies beyond all patients.
        last, down, out = (
            beyond if pd.isna(row[name]) else int(row[name])
            for name, beyond in (("escalate_if_dlt_le", -1), ("deescalate_if_dlt_ge", n + 1), ("eliminate_if_dlt_ge", n + 1))
        )
        for k in range(n + 1):
            act = "DU" if k >= out else "D" if k >= down else "E" if k <= last else "S"
            found.append(_Cell(column, k, act, act))
    return found


def _climb_cells(table: pd.DataFrame) -> tuple[list[_Cell], list[str], list[tuple[int, str]]]:
    records = table.to_dict("records")
    places = sorted({(int(row["level"]), int(row["n"])) for row in records})
    found = []
    for row in records:
        level = int(row["level"])
        acts = [_act(words, level) for words in str(row["next"]).split(" or ")]
        act = acts[0][0] if len({act for act, _ in acts}) == 1 else "or"
        found.append(_Cell(places.index((level, int(row["n"]))), int(row["dlts"]), act, "\nor ".join(text for _, text in acts)))
    of_column = [level for level, _ in places]
    headings = [(of_column.index(level), f"level {level}") for level in sorted(set(of_column))]
    return found, [str(n) for _, n in places], headings


def _act(words: str, level: int) -> tuple[str, str]:
    """What is done and its text, of an entry of a decision table: the next level, or "stop: MTD 2 (reason)"."""
    if words.isdigit():
        act = "E" if int(words) > level else "D" if int(words) < level else "S"
        return act, f"{act} {words}"
    named = re.match(r"stop: MTD (\d+)(, not reached)?", words)
    mtd = named[1] + "+" * bool(named[2]) if named else "\u2013"
    return "stop", f"\u00d7 {mtd}"


def _grid_sentences(cells: Sequence[_Cell], columns: Sequence[str], headings: Sequence[tuple[int, str]]) -> list[str]:
    """A sentence a column: which numbers of DLTs lead to what."""
    starts = dict(headings)
    found, place = [], ""
    for column, n in enumerate(columns):
        place = f"At {starts[column]}, " if column in starts else place
        by_text: dict[str, list[str]] = {}
        for cell in sorted((cell for cell in cells if cell.column == column), key=lambda cell: cell.dlts):
            by_text.setdefault(_spoken(cell), []).append(str(cell.dlts))
        parts = [f"{listed(dlts)} DLT{'s' * (dlts != ['1'])}: {act}" for act, dlts in by_text.items()]
        begin = f"{place or 'Of '}{'of ' * bool(place)}{patients(int(n))}"
        found.append(f"{begin}, {'; '.join(parts)}.")
    return found


def _spoken(cell: _Cell) -> str:
    """What is done at a cell, in words."""
    verbs = {"E": "escalate", "S": "stay", "D": "de-escalate", "DU": "de-escalate and eliminate the dose"}
    parts = []
    for text in cell.text.split("\nor "):
        act, _, rest = text.partition(" ")
        if act == "\u00d7":
            parts.append(f"stop, {'no MTD' if rest == '\u2013' else f'MTD level {rest}'}")
        else:
            parts.append(f"{verbs[act]}{f' to level {rest}' if rest and act != 'S' else ''}")
    return " or ".join(parts)
