"""Charts of the conduct of a trial: the patients in order of treatment and on a calendar, and the decision grid of a design."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from datetime import date
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._check import MOST_DOSES, InputError, Problem, of_type, one_of, whole
from ..evaluability import UNTREATED, Evaluated, Status
from ..protocol import Protocol
from ..trial import Cohort, check_cohorts
from ..words import _, counted, marked, n_patients
from .layout import (
    TALLEST,
    distinct,
    dose_label,
    drawing,
    filled,
    form_of,
    key,
    line_height,
    notes,
    room,
    rows,
    title,
    width_of,
)
from .style import (
    BLUE,
    FAINT,
    INCH,
    INK,
    ORANGE,
    RED,
    RULE,
    WIDTH,
    amount,
    boxes,
    describe,
    dose_text,
    listed,
    shown,
    spoken,
    ticks,
    write,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["calendar", "decisions", "trial"]

_NOTATION = (
    "must be a level and a capital N (no DLT), T (DLT) or P (pending) per patient, cohorts separated by blanks, such as '1NNN 2NTP'"
)
_LETTERS = {"N": "complete", "T": "dlt", "P": "pending"}
# Status of a patient: label and marker.
_STATUS: dict[str, tuple[str, dict[str, Any]]] = {
    "complete": (marked("no DLT"), {"marker": "o", "facecolor": "#A9CDE6", "edgecolor": BLUE, "linewidth": 1.0}),
    "dlt": (marked("DLT"), {"marker": "o", "facecolor": RED, "edgecolor": INK, "linewidth": 1.0}),
    "pending": (
        marked("pending"),
        {"marker": "o", "facecolor": "white", "edgecolor": INK, "linewidth": 1.0, "linestyle": (0, (2, 1.2))},
    ),
    "not evaluable": (marked("not evaluable"), {"marker": "D", "facecolor": "white", "edgecolor": FAINT, "linewidth": 1.0}),
    "replaced": (marked("not evaluable, replaced"), {"marker": "X", "facecolor": "white", "edgecolor": FAINT, "linewidth": 1.0}),
}
# Number of patients with a status, in a sentence.
_SENTENCE = {
    "complete": marked("{n} without a DLT"),
    "dlt": marked("{n} with a DLT"),
    "pending": marked("{n} pending"),
    "not evaluable": marked("{n} not evaluable"),
    "replaced": marked("{n} not evaluable, replaced"),
}


# Level and cohort of a patient whose dose is not in the protocol.
_ELSEWHERE = 0


# Parts of a chart's width that the axes of a trial and of a grid take; width that the name of a patient may have, in points.
_PLOT, _GRID, _LONGEST_NAME = 0.8, 0.88, 110.0


class _Patient(NamedTuple):
    subject: str
    cohort: int
    level: int
    status: str


def trial(outcomes: str | Sequence[Cohort] | pd.DataFrame, ax: Axes | None = None, *, protocol: Protocol | None = None) -> Axes:
    """Draw the course of the trial: patients in order of treatment, with dose level, cohort and status.

    Parameters
    ----------
    outcomes
        Outcome notation such as ``"1NNN 2NTP"``, in which P stands for a pending patient; cohorts, whose DLTs are
        drawn last as their order is not known; or a table with one row per patient in order of treatment and the columns
        ``subject``, ``cohort``, ``level`` and ``status`` (complete, dlt, pending, not evaluable, replaced), level and cohort
        missing where the dose is not in the protocol, and only the cohort missing outside the escalation.
    ax
        Axes to draw on; new ones by default.
    protocol
        The protocol, whose doses are shown on the vertical axis.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InputError
        If the outcomes cannot be read, or contain a level that the protocol does not have.

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
    levels = max([1, *(patient.level for patient in treated)]) if protocol is None else protocol.n_doses
    for patient in treated:
        if patient.level != _ELSEWHERE:
            whole(f"level of patient {spoken(patient.subject)}", patient.level, 1, levels)
    x = np.arange(1, len(treated) + 1)
    with drawing(ax, min(14 + 9 * max(levels, 2), 0.6 * TALLEST)) as ax:
        from matplotlib.lines import Line2D

        # Marks of neighbours do not touch.
        apart = _PLOT * room(ax)[0] / max(len(treated), 1)
        size = float(np.clip((0.8 * apart) ** 2, 2, 70))
        _cohorts(ax, treated, apart)
        for status, (words, look) in _STATUS.items():
            at = [i for i, patient in enumerate(treated) if patient.status == status]
            if at:
                drawn: dict[str, Any] = {**look, "linewidth": 1.0 if size > 20 else 0.5}
                mark = ax.scatter(x[at], [treated[i].level for i in at], size, zorder=3, clip_on=False, **drawn)
                handle = copy(mark)
                handle.set_sizes([max(size, 30.0)])
                key(ax, [handle], [_(words)])
        if len(treated) > 1:
            ax.step(x, [patient.level for patient in treated], where="mid", color=RULE, lw=1.0, zorder=1)
            key(ax, [Line2D([], [], color=RULE, lw=1.0)], [_("order of treatment")])
        elif not treated:
            write(ax, 0.5, 0.5, _("no patient has been treated"), transform=ax.transAxes, ha="center", va="center", color=FAINT)
        label = _("Patient") if named else _("Patient, in order of treatment")
        rows(ax, x, {"": distinct([patient.subject for patient in treated], _LONGEST_NAME)}, label, turn=named)
        _level_axis(ax, levels, protocol, any(patient.level == _ELSEWHERE for patient in treated))
        ax.set_xlim(0.3, max(len(treated), 1) + 0.7)
        if protocol is None:
            title(ax, _("Course of the trial"))
        else:
            title(ax, _("{trial}: course of the trial").format(trial=shown(protocol.record.id)))
    outcomes_known = [_(_SENTENCE[status]).format(n=n) for status in ("dlt", "pending") if (n := _count(treated, status))]
    start = _("Trial of {patients}, {outcomes}") if outcomes_known else _("Trial of {patients}")
    start = start.format(patients=n_patients(len(treated)), outcomes=listed(outcomes_known) if outcomes_known else "")
    return describe(ax, start, *_cohort_sentences(treated, protocol, named))


def _count(treated: Sequence[_Patient], status: str) -> int:
    return sum(patient.status == status for patient in treated)


def _cohorts(ax: Axes, treated: Sequence[_Patient], apart: float) -> None:
    """Shade every other cohort, and write the cohorts' numbers above them, as many as there is room for."""
    # Patients without a cohort are drawn in the current one.
    numbers = list(accumulate((patient.cohort for patient in treated), lambda before, here: here or before))
    starts = [i for i in range(len(treated)) if i == 0 or numbers[i] != numbers[i - 1]]
    look: dict[str, Any] = {"textcoords": "offset points", "va": "center", "color": FAINT, "size": 7, "annotation_clip": False}
    if treated:
        ax.annotate(_("cohort"), (0, 1), (-5, -6), xycoords="axes fraction", ha="right", **look)
    bands = list(pairwise([*starts, len(treated)] if starts else ()))
    for start, end in bands[1::2]:
        ax.axvspan(start + 0.5, end + 0.5, facecolor="#F2F2F2", edgecolor="none", zorder=0)
    middles, words = [(start + end + 1) / 2 for start, end in bands], [str(numbers[start] or "\u2013") for start, _end in bands]
    every = form_of(words, np.array(middles) * apart, (-np.inf, np.inf), turn=False).every
    for middle, number in list(zip(middles, words, strict=True))[::every]:
        ax.annotate(number, (middle, 1), (0, -6), xycoords=("data", "axes fraction"), ha="center", **look)


def _level_axis(ax: Axes, levels: int, protocol: Protocol | None, elsewhere: bool) -> None:
    at = np.arange(1, levels + 1)
    words = [_("level {level}").format(level=level) for level in at]
    if protocol is not None:
        words = [f"{dose_text(dose)} ({level})" for dose, level in zip(protocol.doses.amounts, words, strict=True)]
    low, high = 0.5 - elsewhere, levels + 0.85
    every = int(np.ceil((high - low) * line_height(8) / room(ax)[1]))
    at, words = at[::every], words[::every]
    if elsewhere:
        at, words = np.append(0, at), [filled(_("dose not in the protocol"), 70), *words]
        # Its place does not show how high the dose was.
        ax.axhline(0.5, color=FAINT, lw=0.8, ls=":", zorder=1)
    ticks(ax, "y", at, words)
    ax.set_ylim(low, high)
    ax.set_ylabel(_("Dose level") if protocol is None else dose_label(protocol.doses.unit))


def _cohort_sentences(treated: Sequence[_Patient], protocol: Protocol | None, named: bool) -> list[str]:
    groups: dict[tuple[int, int], list[_Patient]] = {}
    for patient in treated:
        groups.setdefault((patient.cohort, patient.level), []).append(patient)
    found = []
    for (cohort, level), group in groups.items():
        doses = None if protocol is None else protocol.doses
        at_level = _("level {level}").format(level=level)
        if doses is not None and level != _ELSEWHERE:
            dose = amount(doses.amounts[level - 1], spoken(doses.unit))
            at_level = _("level {level} ({dose})").format(level=level, dose=dose)
        if level == _ELSEWHERE:
            sentence = _("At a dose not in the protocol: {patients}.")
        elif cohort == _ELSEWHERE:
            sentence = _("Outside the escalation, {level}: {patients}.")
        else:
            sentence = _("Cohort {cohort}, {level}: {patients}.")
        there = listed([_(words).format(n=n) for status, words in _SENTENCE.items() if (n := _count(group, status))])
        toxic = [spoken(patient.subject) for patient in group if patient.status == "dlt"] if named else []
        if toxic:
            there = _("{patients} (DLT: {subjects})").format(patients=there, subjects=", ".join(toxic))
        found.append(sentence.format(cohort=cohort, level=at_level, patients=there))
    return found


def _patients(outcomes: Any) -> tuple[list[_Patient], bool]:
    """Return patients in order of treatment, and whether their subjects are named."""
    import pandas as pd

    if isinstance(outcomes, str):
        return _of_cohorts(map(_parsed, outcomes.split())), False
    if isinstance(outcomes, Sequence) and all(isinstance(cohort, Cohort) for cohort in outcomes):
        return _of_cohorts((one.level, "N" * (one.n - one.dlts) + "T" * one.dlts) for one in check_cohorts(outcomes)), False
    records = _records(outcomes)
    names: Any = getattr(outcomes, "columns", ())
    if records is None or any(name not in names for name in _Patient._fields):
        allowed = f"must be outcome notation, cohorts, or a table with the columns {', '.join(_Patient._fields)}"
        raise InputError(Problem("outcomes", outcomes if records is None else list(names), allowed))
    found = []
    for number, row in enumerate(records, start=1):
        where = f"outcomes.row {number}"
        if pd.isna(row["level"]):
            level = cohort = _ELSEWHERE
        else:
            level = whole(f"{where}.level", row["level"], 1, MOST_DOSES)
            cohort = _ELSEWHERE if pd.isna(row["cohort"]) else whole(f"{where}.cohort", row["cohort"], 1)
        found.append(_Patient(str(row["subject"]), cohort, level, one_of(f"{where}.status", row["status"], _STATUS)))
    return found, True


def _records(table: Any) -> list[dict[str, Any]] | None:
    """Return the rows of a data frame; None for anything else."""
    import pandas as pd

    return [dict(row) for row in table.to_dict("records")] if isinstance(table, pd.DataFrame) else None


def _parsed(token: str) -> tuple[int, str]:
    """Return level and letters of a cohort in outcome notation."""
    match = re.fullmatch(r"([1-9][0-9]?)([NTP]+)", token)
    if match is None:
        raise InputError(Problem("outcomes", token, _NOTATION))
    return int(match[1]), match[2]


def _of_cohorts(cohorts: Iterable[tuple[int, str]]) -> list[_Patient]:
    """Return patients by level and letters of their cohorts."""
    found: list[_Patient] = []
    for cohort, (level, letters) in enumerate(cohorts, start=1):
        found += [_Patient(str(len(found) + i), cohort, level, _LETTERS[letter]) for i, letter in enumerate(letters, start=1)]
    return found


# Height of a lane in mm, width that a lane's label may have in points, and intervals of the dates below the axes in days.
_LANE, _LANE_LABEL, _INTERVALS = 4.0, 90.0, (7, 14, 28, 56, 91, 182, 364, 728, 1456)
# Parts of a lane: label and look. They differ in grey and in their hatch.
_PARTS: dict[str, tuple[str, dict[str, Any]]] = {
    "followed": (marked("followed up in the DLT window"), {"facecolor": "#A9CDE6", "edgecolor": BLUE, "lw": 0.5}),
    "to go": (marked("DLT window still to go"), {"facecolor": "white", "edgecolor": FAINT, "lw": 0.5}),
    "overdue": (
        marked("not assessed: follow-up overdue"),
        {"facecolor": ORANGE, "edgecolor": INK, "lw": 0.5, "hatch": "////"},
    ),
}


def calendar(
    evaluated: Evaluated, ax: Axes | None = None, *, protocol: Protocol | None = None, decisions: Sequence[date] = ()
) -> Axes:
    """Draw the trial as a calendar: a lane per patient with the DLT window, follow-up, outcome, and overdue follow-up.

    Parameters
    ----------
    evaluated
        The patients at a data cutoff date, such as ``dosefind.evaluate`` returns.
    ax
        Axes to draw on; new ones by default.
    protocol
        The protocol, whose name is shown.
    decisions
        Days on which the committee decided.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> from dosefind import evaluate, load_protocol, read_patients
    >>> from dosefind.plots import alt_text
    >>> protocol = load_protocol("configs/nct05962762.toml")
    >>> patients = read_patients("examples/nct05962762/midway/patients.csv", protocol)
    >>> alt_text(calendar(evaluate(patients, protocol)))[:67]
    'Calendar of 7 patients at the data cutoff 2023-11-20, 2 pending. SY'
    """
    of_type("evaluated", evaluated, Evaluated, "dosefind.evaluate returns one; of next_dose's result, its evaluated")
    lanes = [status for status in evaluated.statuses if status.part not in UNTREATED]
    cutoff = evaluated.as_of
    first = min([cutoff, *(status.first for status in lanes)])
    last = max([cutoff, *(max(status.end, status.closed or status.end) for status in lanes)])
    with drawing(ax, min(14 + _LANE * max(len(lanes), 2), 0.75 * TALLEST)) as ax:
        from matplotlib.lines import Line2D
        from matplotlib.patches import Patch

        days = {name: [] for name in _PARTS}
        for place, status in enumerate(lanes):
            for name, begin, end in _lane(status, cutoff):
                days[name].append(((begin - first).days, place - 0.36, max((end - begin).days, 0.0), 0.72))
        used = [name for name, corners in days.items() if corners]
        for name in used:
            boxes(ax, days[name], zorder=2, **_PARTS[name][1])
        key(ax, [Patch(**_PARTS[name][1]) for name in used], [_(_PARTS[name][0]) for name in used])
        apart = room(ax)[1] / max(len(lanes), 1)
        size = float(np.clip((0.6 * apart) ** 2, 3, 45))
        for name, (words, look) in _STATUS.items():
            at = [place for place, status in enumerate(lanes) if _kind(status) == name and name != "pending"]
            if at and name != "complete":
                drawn: dict[str, Any] = {**look, "linewidth": 0.8}
                x = [(_closing(lanes[place]) - first).days for place in at]
                mark = ax.scatter(x, at, size, zorder=4, clip_on=False, **drawn)
                handle = copy(mark)
                handle.set_sizes([max(size, 30.0)])
                key(ax, [handle], [_(words)])
        ax.axvline((cutoff - first).days, color=INK, lw=1.0, zorder=3)
        key(ax, [Line2D([], [], color=INK, lw=1.0)], [_("data cutoff {date}").format(date=cutoff)])
        met = sorted({day for day in decisions if first <= day <= last})
        for day in met:
            ax.axvline((day - first).days, color=RED, lw=0.8, ls=(0, (3, 2)), zorder=1)
        if met:
            key(ax, [Line2D([], [], color=RED, lw=0.8, ls=(0, (3, 2)))], [_("decision of the committee")])
        if not lanes:
            write(ax, 0.5, 0.5, _("no patient has been treated"), transform=ax.transAxes, ha="center", va="center", color=FAINT)
        _lane_labels(ax, lanes)
        _dates(ax, first, last)
        heading = _("Patients by date") if protocol is None else _("{trial}: patients by date")
        title(ax, heading.format(trial="" if protocol is None else shown(protocol.record.id)))
    pending = sum(_kind(status) == "pending" for status in lanes)
    overdue = sum(status.overdue for status in lanes)
    more = [words.format(n=n) for words, n in ((_("{n} pending"), pending), (_("{n} overdue"), overdue)) if n]
    start = (
        _("Calendar of {patients} at the data cutoff {date}, {more}")
        if more
        else _("Calendar of {patients} at the data cutoff {date}")
    )
    start = start.format(patients=n_patients(len(lanes)), date=cutoff, more=listed(more) if more else "")
    met_words = _("Decisions of the committee: {dates}.").format(dates=", ".join(map(str, met))) if met else ""
    return describe(ax, start, *map(_lane_sentence, lanes), met_words)


def _kind(status: Status) -> str:
    return status.otherwise or status.kind


def _closing(status: Status) -> date:
    return status.closed or status.end


def _lane(status: Status, cutoff: date) -> list[tuple[str, date, date]]:
    """Return the parts of a patient's lane: what was followed up, what is to go or overdue."""
    closed = _closing(status)
    if _kind(status) != "pending":
        return [("followed", status.first, min(closed, status.end))]
    followed = status.first + (status.end - status.first) * status.fraction
    name = "overdue" if status.overdue else "to go"
    return [("followed", status.first, followed), (name, followed, max(cutoff, status.end) if status.overdue else status.end)]


def _lane_labels(ax: Axes, lanes: Sequence[Status]) -> None:
    """Label every lane with subject and level, as far as there is room."""
    names = distinct([status.subject for status in lanes], _LANE_LABEL)
    levels = ["-" if status.level is None else str(status.level) for status in lanes]
    every = max(1, int(np.ceil(len(lanes) * line_height(8) / room(ax)[1])))
    words = [f"{name}  {level}" for name, level in zip(names, levels, strict=True)]
    ticks(ax, "y", np.arange(len(lanes))[::every], words[::every])
    ax.set_ylim(max(len(lanes), 1) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.set_ylabel(_("Patient and dose level"))


def _dates(ax: Axes, first: date, last: date) -> None:
    """Write dates below the axes, as many as there is room for."""
    span = max((last - first).days, 1)
    # Part of the axes that a date takes, with its distance from the next one.
    part = (width_of(str(first), 8) + 8) / (_PLOT * room(ax)[0])
    every = next((days for days in _INTERVALS if days >= part * span), span + 1)
    at = np.arange(0, max((1 - part) * span, 0) + 1, every)
    words = [str(date.fromordinal(first.toordinal() + int(day))) for day in at]
    rows(ax, at, {"": words}, _("Date"), align=0.0, turn=False)
    ax.set_xlim(-0.02 * span - 0.5, 1.02 * span + 0.5)


def _lane_sentence(status: Status) -> str:
    """Return the lane of a patient in words."""
    kind, words = _kind(status), _("{status}, {day}")
    if kind in ("dlt", "complete"):
        words = _("DLT on {day}") if kind == "dlt" else _("no DLT by {end}")
    elif kind == "pending":
        words = _("overdue since {end}") if status.overdue else _("pending until {end}")
    words = words.format(status=_(_STATUS[kind][0]), day=_closing(status), end=status.end)
    sentence = _("{subject}, level {level}, from {first}: {words}.")
    if status.level is None:
        sentence = _("{subject}, a dose not in the protocol, from {first}: {words}.")
    return sentence.format(subject=spoken(status.subject), level=status.level, first=status.first, words=words)


class _Cell(NamedTuple):
    """A cell of a grid: its column, its DLTs, and the decisions, each a key of `_ACTS` and the level or MTD where it has one."""

    column: int
    dlts: int
    decisions: tuple[tuple[str, str], ...]

    @property
    def act(self) -> str:
        """Return the decision, or that it depends on the order of the outcomes."""
        return self.decisions[0][0] if len({act for act, _level in self.decisions}) == 1 else "or"

    @property
    def text(self) -> str:
        return _("\nor ").join(f"{_STOP if act == 'stop' else act} {level}".strip() for act, level in self.decisions)


# Marks of a stop, and of a stop without an MTD.
_STOP, _NO_MTD = "\u00d7", "\u2013"
# Meaning of a colour, with the letters of the cells where these have texts, and colours.
_ACTS: dict[str, tuple[str, str, str]] = {
    "E": (marked("E: escalate"), "#A3DAC3", INK),
    "S": (marked("S: stay"), "#F0F0F0", INK),
    "D": (marked("D: de-escalate"), ORANGE, INK),
    "DU": (marked("DU: de-escalate, dose eliminated"), RED, "white"),
    "stop": (marked("\u00d7: stop and select the MTD (\u2013 none, + MTD not reached)"), "#3A3A3A", "white"),
    "or": (marked("depends on the order of the outcomes"), "white", INK),
}
# Meaning of a colour where the cells have no text.
_COLOURS = {
    "E": marked("escalate"),
    "S": marked("stay"),
    "D": marked("de-escalate"),
    "DU": marked("de-escalate, dose eliminated"),
    "stop": marked("stop"),
    "or": marked("depends on the order of the outcomes"),
}


def decisions(table: pd.DataFrame, ax: Axes | None = None, *, name: str = "") -> Axes:
    """Draw the decision grid of a design: the decision for each number of DLTs and patients at a dose.

    Parameters
    ----------
    table
        What `dosefind.decision_table` returned, or the table of an interval design.
    ax
        Axes to draw on; new ones by default.
    name
        Name of the design, for the title.

    Returns
    -------
    matplotlib.axes.Axes
    """
    cells, columns, headings = _cells(table)
    deep = max((cell.dlts for cell in cells), default=0) + 1
    with drawing(ax, _grid_height(cells, len(columns), deep)) as ax:
        from matplotlib.patches import Patch

        wide, high = _GRID * room(ax)[0] / max(len(columns), 1), room(ax)[1] / deep
        texts = _cell_texts(cells, wide, high)
        # Without text, a hatch shows the decisions that look alike in grey.
        hatch = {} if texts else {"D": "\\\\\\", "DU": "////"}
        used = [act for act in _ACTS if any(cell.act == act for cell in cells)]
        for act in used:
            corners = [(cell.column - 0.5, cell.dlts - 0.5, 1.0, 1.0) for cell in cells if cell.act == act]
            edge = 0.8 if texts else 0.3
            boxes(ax, corners, facecolor=_ACTS[act][1], edgecolor="white", lw=edge, hatch=hatch.get(act))
        for cell, text in zip(cells, texts, strict=False):
            look: dict[str, Any] = {"size": 7, "color": _ACTS[cell.act][2], "linespacing": 0.95, "in_layout": False}
            write(ax, cell.column, cell.dlts, text, ha="center", va="center", **look)
        for start, _level in headings[1:]:
            ax.axvline(start - 0.5, color=INK, lw=0.8)
        fills = [Patch(facecolor=_ACTS[act][1], edgecolor="white" if act in hatch else RULE, hatch=hatch.get(act)) for act in used]
        key(ax, fills, [_(_ACTS[act][0] if texts else _COLOURS[act]) for act in used])
        ends = [*(start for start, _level in headings), len(columns)]
        ax.set_xlim(-0.5, max(len(columns), 1) - 0.5)
        ax.set_ylim(-0.5, deep - 0.5)
        rows(ax, np.arange(len(columns)), {_("patients"): columns}, _("Number of patients at the dose"), turn=False)
        if headings:
            middles = [(start + end - 1) / 2 for start, end in pairwise(ends)]
            levels = [str(level) for _start, level in headings]
            rows(ax, middles, {_("level"): levels}, _("Number of patients at the dose, by dose level"), turn=False)
            notes(ax, _("Blank: cannot occur under the design."))
        each = int(np.ceil(line_height(8) / high))
        ticks(ax, "y", range(0, deep, each), [str(k) for k in range(0, deep, each)])
        ax.set_ylabel(_("DLTs"))
        ax.tick_params(length=0)
        title(ax, _("Decision grid: {design}").format(design=shown(name)) if name else _("Decision grid"))
    heading = _("Decision grid of {design}").format(design=spoken(name)) if name else _("Decision grid")
    return describe(ax, heading, *_grid_sentences(cells, columns, headings))


def _cell_texts(cells: Sequence[_Cell], wide: float, high: float) -> list[str]:
    """Return the texts of the cells, on one line or on several; none where there is no room for all of them."""
    for texts in ([cell.text for cell in cells], ["\n".join(cell.text.split()) for cell in cells]):
        tallest = max((text.count("\n") + 1 for text in texts), default=1)
        if all(width_of(text, 7) + 1 <= wide for text in texts) and 7 * tallest + 2 <= high:
            return texts
    return []


def _grid_height(cells: Sequence[_Cell], columns: int, deep: int) -> float:
    """Return the height of a grid in mm, enough for the text of its cells if the chart then fits on a page."""
    tallest, wide = 0.7 * TALLEST, _GRID * WIDTH / INCH * 72 / max(columns, 1)
    for high in (5.2, 6.5, 9.0, 12.0):
        if high * deep <= tallest and _cell_texts(cells, wide, high / INCH * 72):
            return max(20.0, high * deep)
    return max(20.0, min(4.0 * deep, tallest))


def _cells(table: Any) -> tuple[list[_Cell], list[str], list[tuple[int, int]]]:
    """Return cells, the number of patients of each column, and headings with the column where each begins."""
    if _records(table) is not None and table.index.name == "n_patients":
        table = table.reset_index()
    names: set[str] = set(getattr(table, "columns", ()))
    if {"n_patients", "escalate_if_dlt_le", "deescalate_if_dlt_ge", "eliminate_if_dlt_ge"} <= names:
        return _boundary_cells(table), [str(n) for n in table["n_patients"]], []
    if {"level", "n", "dlts", "next", "mtd", "not_reached"} <= names:
        return _climb_cells(table)
    raise InputError(Problem("table", sorted(map(str, names)), "must be what dosefind.decision_table returned"))


def _boundary_cells(table: pd.DataFrame) -> list[_Cell]:
    import pandas as pd

    found = []
    for column, row in enumerate(table.to_dict("records")):
        n = int(row["n_patients"])
        # A boundary that does not exist is beyond all patients.
        last, down, out = (
            beyond if pd.isna(row[name]) else int(row[name])
            for name, beyond in (("escalate_if_dlt_le", -1), ("deescalate_if_dlt_ge", n + 1), ("eliminate_if_dlt_ge", n + 1))
        )
        for k in range(n + 1):
            act = "DU" if k >= out else "D" if k >= down else "E" if k <= last else "S"
            found.append(_Cell(column, k, ((act, ""),)))
    return found


def _climb_cells(table: pd.DataFrame) -> tuple[list[_Cell], list[str], list[tuple[int, int]]]:
    entries: dict[tuple[int, int, int], list[tuple[str, str]]] = {}
    for row in table.to_dict("records"):
        level, n, dlts = (int(row[name]) for name in ("level", "n", "dlts"))
        entries.setdefault((level, n, dlts), []).append(_act(row, level))
    places = sorted({place[:2] for place in entries})
    found = [_Cell(places.index((level, n)), dlts, tuple(acts)) for (level, n, dlts), acts in entries.items()]
    of_column = [level for level, _n in places]
    headings = [(of_column.index(level), level) for level in sorted(set(of_column))]
    return found, [str(n) for _level, n in places], headings


def _act(row: Mapping[str, Any], level: int) -> tuple[str, str]:
    """Return the decision of a row of a decision table, and the next level, or the MTD where the trial stops."""
    following = str(row["next"])
    if following == "stop":
        return "stop", _NO_MTD if row["mtd"] == "none" else f"{row['mtd']}{'+' * (row['not_reached'] == 'yes')}"
    return "E" if int(following) > level else "D" if int(following) < level else "S", following


def _grid_sentences(cells: Sequence[_Cell], columns: Sequence[str], headings: Sequence[tuple[int, int]]) -> list[str]:
    """Return one sentence per column: the numbers of DLTs that lead to each decision."""
    starts = dict(headings)
    found, level = [], None
    for column, n in enumerate(columns):
        level = starts.get(column, level)
        by_text: dict[str, list[str]] = {}
        for cell in sorted((cell for cell in cells if cell.column == column), key=lambda cell: cell.dlts):
            by_text.setdefault(_decision(cell), []).append(str(cell.dlts))
        parts = [
            counted("{dlts} DLT: {act}", "{dlts} DLTs: {act}", int(dlts[0]) if len(dlts) == 1 else 2, dlts=listed(dlts), act=act)
            for act, dlts in by_text.items()
        ]
        sentence = _("With {patients}, {decisions}.") if level is None else _("At level {level} with {patients}, {decisions}.")
        found.append(sentence.format(level=level, patients=n_patients(int(n)), decisions="; ".join(parts)))
    return found


def _decision(cell: _Cell) -> str:
    """Return the decision of a cell in words."""
    alone = {"E": _("escalate"), "S": _("stay"), "D": _("de-escalate"), "DU": _("de-escalate and eliminate the dose")}
    to_level = {"E": _("escalate to level {level}"), "S": _("stay"), "D": _("de-escalate to level {level}")}
    parts = []
    for act, level in cell.decisions:
        if act == "stop":
            parts.append(_("stop, no MTD") if level == _NO_MTD else _("stop, MTD level {level}").format(level=level))
        else:
            parts.append(to_level[act].format(level=level) if level else alone[act])
    return _(" or ").join(parts)
