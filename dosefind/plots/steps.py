"""Charts of the steps of a trial: the flow chart of a design, and the tree of the paths of the next cohorts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from .._check import InputError, Problem, of_type
from ..protocol import Protocol
from ..provenance import named_column
from ..trial import parse_outcomes
from ..words import _, counted, n_days, n_patients
from .layout import TALLEST, available, distinct, drawing, filled, line_height, notes, room, title
from .style import FAINT, INCH, INK, RULE, amount, describe, listed, shown, spoken, unit, write

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["flow", "tree", "tree_fits"]

# Sizes in points: of the text, of the room around it in a box, between boxes.
_SIZE, _PAD, _GAP = 7.5, 4.0, 13.0
# Fills of the decisions, which their words repeat: light, so that dark text is legible on each.
_FILLS = {"up": "#BFE5D6", "stay": "#F0F0F0", "down": "#F3D3A4", "stop": "#F2C4B3", "": "white"}


# The tree of the paths.


@dataclass
class _Branch:
    """A place in the tree: what follows, or the decision where the path ends.

    Attributes
    ----------
    dlts
        Numbers of DLTs of the cohort that led here, the fewest and the most.
    rows
        Rows of the table that end here.
    level, n
        Level and patients of the cohort that follows; 0 where the path ends.
    then
        What follows each number of DLTs of that cohort.
    """

    dlts: tuple[int, int]
    rows: list[Mapping[str, Any]]
    level: int
    n: int
    then: list[_Branch]

    @property
    def leaves(self) -> list[_Branch]:
        return [leaf for branch in self.then for leaf in branch.leaves] if self.then else [self]


# Most scenarios whose probabilities stand beside a tree, and widths of its columns, in points.
_SCENARIOS, _SHARE, _STEP, _DECISION = 6, 27.0, 96.0, 96.0
# Least width of a cohort of a tree.
_LEAST_STEP = 70.0


def tree(table: pd.DataFrame, ax: Axes | None = None, *, name: str = "") -> Axes:
    """Draw the paths of the next cohorts as a tree, with the decision after each and its probability.

    Numbers of DLTs that lead to the same decision are one branch, with the sum of their probabilities.

    Parameters
    ----------
    table
        What `dosefind.paths` returned. Where it has more than six scenarios, the first six are shown.
    ax
        Axes to draw on; new ones by default.
    name
        Name of the design, for the title.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InputError
        If the paths do not fit on a page, or the table is another one.
    """
    root, leaves, depth, sizes, scenarios, kept, decisions, heads, high, above, tall = _laid_out(table)
    if tall > TALLEST:
        allowed = f"makes a tree of {len(leaves)} branches, more than fit on a page: look fewer cohorts ahead"
        raise InputError(Problem("table", f"{len(table)} paths", allowed))
    with drawing(ax, tall) as ax:
        wide, height = room(ax)
        ax.set_xlim(0, wide)
        ax.set_ylim(height, 0)
        ax.axis("off")
        step = min(_STEP, (wide - _DECISION - _SHARE * len(kept)) / max(depth, 1))
        _draw(ax, root, [above + high * (place + 0.5) for place in range(len(leaves))], 0.0, step, depth, len(sizes) == 1)
        right = depth * step
        for place, (leaf, words) in enumerate(zip(leaves, decisions, strict=True)):
            y, row = above + high * (place + 0.5), leaf.rows[0]
            _box(ax, right, y - high / 2 + 1, _DECISION, high - 2, words, _kind(row, leaf))
            for column, key in enumerate(kept.values()):
                share = f"{100 * sum(each[key] for each in leaf.rows):.1f}"
                write(ax, right + _DECISION + _SHARE * (column + 1) - 2, y, share, ha="right", va="center", size=_SIZE)
        for column, words in enumerate(heads):
            at = right + _DECISION + _SHARE * (column + 1) - 2
            write(ax, at, above - 4, words, ha="right", va="bottom", size=7.0, color=FAINT, linespacing=1.0)
        ax.plot([0, right + _DECISION + _SHARE * len(kept)], [above - 2] * 2, color=RULE, lw=0.6)
        heading = _("Dose paths: {design}").format(design=shown(name)) if name else _("Dose paths")
        title(ax, heading)
        said = [counted("Each cohort has {n} patient.", "Each cohort has {n} patients.", *sizes)] if len(sizes) == 1 else []
        said += [_("Beside a branch: DLTs of the cohort. On the right: probability of the path by scenario, %.")]
        if len(scenarios) > len(kept):
            said.append(
                _("The first {n} of {all} scenarios are shown.").format(n=len(kept), all=len(scenarios)),
            )
        notes(ax, *said)
    about = _("Dose paths of {design}").format(design=spoken(name)) if name else _("Dose paths")
    return describe(ax, about, *_sentences(root, kept))


class _Laid(NamedTuple):
    """A tree before it is drawn: its branches, what stands beside them, and their heights in points (all of it: in mm)."""

    root: _Branch
    leaves: list[_Branch]
    depth: int
    sizes: set[int]
    scenarios: dict[str, str]
    kept: dict[str, str]
    decisions: list[str]
    heads: list[str]
    high: float
    above: float
    tall: float


def _laid_out(table: Any) -> _Laid:
    records = _paths(table)
    root = _grown(records, 0, (0, 0))
    leaves, depth = root.leaves, max(len(cohorts) for cohorts, _row in records)
    begin = named_column("scenario", "")
    scenarios = {column.removeprefix(begin): column for column in map(str, table.columns) if column.startswith(begin)}
    kept = dict(list(scenarios.items())[:_SCENARIOS])
    decisions = [filled(_decision_words(leaf.rows[0]), _DECISION - _PAD, _SIZE) for leaf in leaves]
    sizes = {cohort.n for cohorts, _row in records for cohort in cohorts}
    lines = max([1 if len(sizes) > 1 else 0, *(words.count("\n") for words in decisions)]) + 1
    high = line_height(_SIZE) * lines + 4.0
    heads = distinct(list(kept), _SHARE - 3, 4, 7.0)
    above = line_height(7.0) * (max([words.count("\n") for words in heads], default=0) + 1) + 8.0
    return _Laid(
        root, leaves, depth, sizes, scenarios, kept, decisions, heads, high, above, (above + high * len(leaves)) * INCH / 72
    )


def tree_fits(table: pd.DataFrame) -> bool:
    """Return whether there are paths to draw as a tree, and whether it fits on a page; ``table`` is as of `tree`."""
    if not len(table) or not any(table["path"]):
        return False
    laid = _laid_out(table)
    return laid.tall <= TALLEST and laid.depth * _LEAST_STEP <= available(None) - _DECISION - _SHARE * len(laid.kept)


def _paths(table: Any) -> list[tuple[list[Any], Mapping[str, Any]]]:
    """Return each row of a table of paths with its cohorts."""
    names: set[str] = set(map(str, getattr(table, "columns", ())))
    if not {"path", "ways", "next", "mtd", "not_reached"} <= names:
        raise InputError(Problem("table", sorted(names), "must be what dosefind.paths returned"))
    return [(list(parse_outcomes(row["path"])), row) for row in table.to_dict("records")]


def _grown(records: Sequence[tuple[list[Any], Mapping[str, Any]]], depth: int, dlts: tuple[int, int]) -> _Branch:
    """Return the branch of these paths, which have their first ``depth`` cohorts in common."""
    if len(records[0][0]) <= depth:
        return _Branch(dlts, [row for _cohorts, row in records], 0, 0, [])
    cohort = records[0][0][depth]
    then: list[_Branch] = []
    for k in range(cohort.n + 1):
        own = [each for each in records if each[0][depth].dlts == k]
        if not own:
            continue
        branch = _grown(own, depth + 1, (k, k))
        last = then[-1] if then else None
        if last is not None and not branch.then and not last.then and _same(last.rows[0], branch.rows[0]):
            then[-1] = _Branch((last.dlts[0], k), [*last.rows, *branch.rows], 0, 0, [])
        else:
            then.append(branch)
    return _Branch(dlts, [], cohort.level, cohort.n, then)


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(one[name] == other[name] for name in ("next", "mtd", "not_reached"))


def _decision_words(row: Mapping[str, Any]) -> str:
    """Return the decision after a path in a few words."""
    if row["next"] != "stop":
        return _("next: level {level}").format(level=row["next"])
    return _("stop: {end}").format(end=_end_words(row))


def _kind(row: Mapping[str, Any], leaf: _Branch) -> str:
    """Return the fill of a decision: by the next level beside that of the last cohort."""
    cohorts = parse_outcomes(row["path"])
    if row["next"] == "stop" or not cohorts:
        return "stop" if row["next"] == "stop" else ""
    last, following = cohorts[-1].level, int(row["next"])
    return "up" if following > last else "down" if following < last else "stay"


def _draw(ax: Axes, branch: _Branch, rows: list[float], x: float, step: float, depth: int, alike: bool) -> float:
    """Draw a branch and all that follows in these rows; return its own height."""
    if not branch.then:
        return rows[0]
    box, places, used = step - 33.0, [], 0
    for each in branch.then:
        own = rows[used : used + len(each.leaves)]
        used += len(own)
        places.append((each, _draw(ax, each, own, x + step, step, depth - 1, alike)))
    y = (places[0][1] + places[-1][1]) / 2
    words = (_("level {level}") if alike else _("level {level}\nn = {n}")).format(level=branch.level, n=branch.n)
    tall = line_height(7.0) * (words.count("\n") + 1) + 3
    _box(ax, x, y - tall / 2, box, tall, words, "", 7.0)
    for each, at in places:
        bend = x + box + 7
        end = x + step if each.then else x + step * depth
        ax.plot([x + box, bend, bend, end], [y, y, at, at], color=INK, lw=0.7, solid_joinstyle="miter")
        low, high = each.dlts
        label = _span(low, high)
        patch = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
        write(ax, bend + 13, at, label, ha="center", va="center", size=_SIZE, bbox=patch)
    return y


def _box(ax: Axes, x: float, y: float, wide: float, tall: float, words: str, kind: str, size: float = _SIZE) -> None:
    """Draw a box with text in its middle."""
    from matplotlib.patches import Rectangle

    ax.add_patch(Rectangle((x, y), wide, tall, facecolor=_FILLS[kind], edgecolor=INK, lw=0.6))
    write(ax, x + wide / 2, y + tall / 2, words, ha="center", va="center", size=size, linespacing=1.15)


def _sentences(branch: _Branch, kept: Mapping[str, str], before: str = "") -> list[str]:
    """Return one sentence per decision."""
    found = []
    for each in branch.then:
        low, high = each.dlts
        dlts = counted("{n} DLT", "{n} DLTs", low) if low == high else _("{low} to {high} DLTs").format(low=low, high=high)
        here = _("{dlts} in {n} at level {level}").format(dlts=dlts, n=branch.n, level=branch.level)
        path = _("{before}, then {here}").format(before=before, here=here) if before else here
        if each.then:
            found += _sentences(each, kept, path)
            continue
        said = _("{path}: {decision}").format(path=path, decision=_decision_words(each.rows[0]))
        shares = [
            _("{share} in {scenario}").format(share=f"{100 * sum(row[key] for row in each.rows):.1f}%", scenario=spoken(scenario))
            for scenario, key in kept.items()
        ]
        found.append(f"{said} ({', '.join(shares)})." if shares else f"{said}.")
    return found


# The flow chart.


class _Move(NamedTuple):
    """A decision: its name, the fill, what leads to it, and what follows."""

    name: str
    kind: str
    when: list[str]
    then: str


# Most lines that lead to a decision, before the decision table is referred to.
_LINES = 9


def flow(
    table: pd.DataFrame,
    protocol: Protocol,
    ax: Axes | None = None,
    *,
    name: str = "",
    size: int | None = None,
    most: int | None = None,
) -> Axes:
    """Draw the flow chart of a design: from the first cohort to the selection of the MTD, with the DLTs that lead to each decision.

    Parameters
    ----------
    table
        What `dosefind.decision_table` returned.
    protocol
        The protocol: doses, cohorts, DLT window and limits.
    ax
        Axes to draw on; new ones by default.
    name
        Name of the design, for the title.
    size
        Patients of a cohort, where they are not those of the protocol.
    most
        Most patients at one dose, beyond which the design stops; ``None`` without such a limit.

    Returns
    -------
    matplotlib.axes.Axes
    """
    of_type("protocol", protocol, Protocol, "a protocol, from load_protocol")
    steps, moves = _steps(protocol, size), _moves(table, protocol, most)
    wide = available(ax)
    column = (wide - _LOOP - 1.0 - (len(moves) - 1) * _APART) / len(moves)
    texts = [filled(step, 0.7 * wide, _SIZE) for step in steps]
    bodies = [_body(move, column) for move in moves]
    tall = sum(_tall(text) + _GAP for text in texts) + max(map(_tall, bodies)) + _GAP
    with drawing(ax, tall * INCH / 72) as ax:
        ax.set_xlim(0, wide)
        ax.set_ylim(tall, 0)
        ax.axis("off")
        _draw_flow(ax, texts, moves, bodies, column)
        title(ax, _("Flow chart: {design}").format(design=shown(name)) if name else _("Flow chart"))
        if "next" in set(map(str, table.columns)):
            notes(
                ax,
                _("Counts are those at a level while the trial escalates."),
                _("A count under two decisions depends on the order of the outcomes."),
            )
    about = _("Flow chart of {design}").format(design=spoken(name)) if name else _("Flow chart")
    each = _("{move}: {when}. {then}")
    said = [f"{step.rstrip('.')}." for step in steps]
    said += [each.format(move=move.name, when="; ".join(move.when), then=f"{move.then.rstrip('.')}.") for move in moves]
    return describe(ax, about, *said)


# Room on the left for the way back to the next cohort, and between the decisions, in points.
_LOOP, _APART = 16.0, 6.0


def _tall(text: str) -> float:
    return line_height(_SIZE) * 1.05 * (text.count("\n") + 1) + 2 * _PAD


def _body(move: _Move, column: float) -> str:
    """Return the text of a decision's box."""
    parts = [move.name, *move.when, f"\u2192 {move.then}"]
    return "\n".join(filled(part, column - 2 * _PAD, _SIZE) for part in parts)


def _draw_flow(ax: Axes, texts: Sequence[str], moves: Sequence[_Move], bodies: Sequence[str], column: float) -> None:
    """Draw the steps one below the other, and the decisions side by side below them."""
    wide, y = ax.get_xlim()[1], 0.0
    middle, across = _LOOP + (wide - _LOOP) / 2, 0.74 * wide
    arrow: dict[str, Any] = {"arrowstyle": "-|>", "color": INK, "lw": 0.8, "shrinkA": 0, "shrinkB": 0}
    back = 0.0
    for place, text in enumerate(texts):
        high = _tall(text)
        _box(ax, middle - across / 2, y, across, high, text, "")
        if place == 1:
            back = y + high / 2
        y += high + _GAP
        if place < len(texts) - 1:
            ax.annotate("", (middle, y), (middle, y - _GAP), arrowprops=arrow)
    bar, high = y - _GAP / 2, max(map(_tall, bodies))
    lefts = [_LOOP + place * (column + _APART) for place in range(len(moves))]
    ax.plot([middle, middle], [y - _GAP, bar], color=INK, lw=0.8)
    ax.plot([lefts[0] + column / 2, lefts[-1] + column / 2], [bar, bar], color=INK, lw=0.8)
    for left, move, body in zip(lefts, moves, bodies, strict=True):
        ax.annotate("", (left + column / 2, y), (left + column / 2, bar), arrowprops=arrow)
        _box(ax, left, y, column, high, body, move.kind)
    # The way back to the next cohort, from every decision but the stop.
    on = [left + column / 2 for left, move in zip(lefts, moves, strict=True) if move.kind != "stop"]
    end = y + high + _GAP / 2
    for x in on:
        ax.plot([x, x], [y + high, end], color=INK, lw=0.8)
    ax.plot([on[-1], 3.0, 3.0], [end, end, back], color=INK, lw=0.8)
    ax.annotate("", (middle - across / 2, back), (3.0, back), arrowprops=arrow)


def _steps(protocol: Protocol, size: int | None) -> list[str]:
    """Return what comes before a decision."""
    limits, treatment = protocol.limits, protocol.treatment
    sizes = size or limits.cohort_size
    planned = (
        n_patients(sizes) if isinstance(sizes, int) else _("{sizes} patients in turn").format(sizes=", ".join(map(str, sizes)))
    )
    dose = amount(protocol.doses.amounts[limits.start_level - 1], unit(shown(protocol.doses.unit, 40)))
    start = _("Start at level {level} ({dose}); cohorts of {size}; maximum sample size {max_n}")
    found = [start.format(level=limits.start_level, dose=dose, size=planned, max_n=limits.max_n)]
    treat = _("Treat the next cohort at the current level; follow each patient for the DLT window of {days}")
    stagger = treatment.stagger
    if stagger is not None:
        treat = _(
            "Treat the next cohort at the current level, at least {apart} between patients at {levels}; follow each patient for "
            "the DLT window of {days}"
        )
        levels = _("every level")
        if stagger.levels != "all":
            levels = _("level {levels}").format(levels=listed([str(level) for level in stagger.levels]))
        found.append(treat.format(apart=n_days(stagger.days), levels=levels, days=n_days(treatment.dlt_window_days)))
    else:
        found.append(treat.format(days=n_days(treatment.dlt_window_days)))
    found.append(_("Serious event not adjudicated, or a pause rule met: enrolment and escalation pause until it is adjudicated"))
    found.append(_("Count patients evaluable for DLT (n) and DLTs at the current level"))
    return found


def _moves(table: Any, protocol: Protocol, most: int | None) -> list[_Move]:
    """Return the decisions with the counts that lead to each."""
    names: set[str] = set(map(str, getattr(table, "columns", ())))
    ends = [_("maximum sample size of {n} reached").format(n=protocol.limits.max_n)]
    if most is not None:
        ends.append(_("the chosen level has {n}").format(n=n_patients(most)))
    when: dict[str, list[str]] = {"up": [], "stay": [], "down": [], "stop": []}
    if {"n_patients", "escalate_if_dlt_le", "deescalate_if_dlt_ge", "eliminate_if_dlt_ge"} <= names:
        when = _by_boundary(table, protocol, most)
    elif {"level", "n", "dlts", "next", "mtd", "not_reached"} <= names:
        when = _by_level(table)
    elif "move" not in names:
        raise InputError(Problem("table", sorted(names), "must be what dosefind.decision_table returned"))
    words = {
        "up": (_("Escalate"), _("one level up")),
        "stay": (_("Stay"), _("same level")),
        "down": (_("De-escalate"), _("a lower level")),
        "stop": (_("Stop"), _("select the MTD, or none")),
    }
    found = []
    for kind, lines in when.items():
        said = lines if 0 < len(lines) <= _LINES else [_("as in the decision table")]
        if kind == "stop":
            said = [*(said if lines else []), *ends]
        elif not lines and "move" not in names:
            continue
        found.append(_Move(words[kind][0], kind, said, words[kind][1]))
    return found


def _by_boundary(table: pd.DataFrame, protocol: Protocol, most: int | None) -> dict[str, list[str]]:
    """Return the counts of a table of boundaries at whole cohorts."""
    import pandas as pd

    sizes = protocol.limits.cohort_size
    step = sizes if isinstance(sizes, int) else sizes[0]
    when: dict[str, list[str]] = {"up": [], "stay": [], "down": [], "stop": []}
    for row in table.to_dict("records"):
        n = int(row["n_patients"])
        if n % step or n > (most or 4 * step):
            continue
        last = -1 if pd.isna(row["escalate_if_dlt_le"]) else int(row["escalate_if_dlt_le"])
        down, out = (n + 1 if pd.isna(row[key]) else int(row[key]) for key in ("deescalate_if_dlt_ge", "eliminate_if_dlt_ge"))
        lowest = row.get("stop_lowest_if_dlt_ge", row["eliminate_if_dlt_ge"])
        for kind, low, high in (("up", 0, last), ("stay", last + 1, down - 1), ("down", down, min(out - 1, n))):
            if low <= high:
                when[kind].append(_range(low, high, n))
        if out <= n:
            when["down"].append(_("{range}, level eliminated").format(range=_range(out, n, n)))
        if not pd.isna(lowest) and int(lowest) <= n:
            when["stop"].append(_range(int(lowest), n, n))
    if when["stop"]:
        when["stop"] = [_("lowest level: {ranges}").format(ranges=", ".join(when["stop"]))]
    return when


def _by_level(table: pd.DataFrame) -> dict[str, list[str]]:
    """Return the counts of a table by level, levels with the same counts together."""
    entries: dict[str, dict[int, dict[tuple[int, str], list[int]]]] = {"up": {}, "stay": {}, "down": {}, "stop": {}}
    for row in table.to_dict("records"):
        level, following = int(row["level"]), str(row["next"])
        kind, end = "stop", ""
        if following == "stop":
            end = _end_words(row)
        else:
            kind = "up" if int(following) > level else "down" if int(following) < level else "stay"
        entries[kind].setdefault(level, {}).setdefault((int(row["n"]), end), []).append(int(row["dlts"]))
    found: dict[str, list[str]] = {}
    for kind, levels in entries.items():
        together: dict[tuple[str, ...], list[int]] = {}
        for level, counts in levels.items():
            lines = []
            for (n, end), dlts in counts.items():
                words = ", ".join(_range(low, high, n) for low, high in _runs(dlts))
                lines.append(_("{range} ({end})").format(range=words, end=end) if end else words)
            together.setdefault(tuple(lines), []).append(level)
        each = _("level {levels}: {ranges}")
        found[kind] = [
            each.format(levels=", ".join(_span(*run) for run in _runs(where)), ranges=", ".join(words))
            for words, where in together.items()
        ]
    return found


def _end_words(row: Mapping[str, Any]) -> str:
    """Return what is selected where the trial stops."""
    if row["mtd"] == "none":
        return _("no MTD")
    return (_("level {level}, MTD not reached") if row["not_reached"] == "yes" else _("MTD level {level}")).format(level=row["mtd"])


def _runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Return whole numbers as runs of neighbours, each with its first and last."""
    found: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


def _span(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}\u2013{high}"


def _range(low: int, high: int, n: int) -> str:
    """Return numbers of DLTs among patients."""
    return _("{dlts} of {n}").format(dlts=_span(low, high), n=n)
