"""The section on pause rules: the rules in words, the boundary as ranges, and exact probabilities of a pause."""

from __future__ import annotations

import numpy as np

from ...monitoring import boundary, crossing, nominal_level, ranges
from ...protocol import PocockBoundary
from ..content import Block, Bullets, Column, Paragraph, Section, Table, Text, text
from .pieces import Case, percent

__all__ = ["pause_section"]

# True event rates of the table; the rate of the boundary is added.
_RATES = tuple(round(0.05 * step, 2) for step in range(1, 11))


def pause_section(case: Case) -> Section:
    """Return the section on the pause rules of a protocol."""
    say, pause = case.say, case.protocol.pause
    sentences = case.protocol.pause_rules()
    if not pause.counts_patients:
        return Section("pause", say("pause.title"), (Paragraph(text(sentences[0])),))
    blocks: list[Block] = [Bullets(tuple(map(text, sentences)))]
    max_n = case.protocol.pause_max_n
    if pause.related_serious is not None:
        limits = np.maximum(np.arange(max_n + 1) + 1, pause.related_serious)
        limits[pause.related_serious :] = pause.related_serious
        blocks.append(_crossing(case, limits, say("pause.event_related"), say("pause.rule_related")))
    if pause.boundary is not None:
        limits = boundary(pause.boundary, max_n)
        event = say("pause.event_serious" if pause.event == "serious" else "pause.event_dlt")
        if (limits > np.arange(max_n + 1)).all():
            blocks.append(Paragraph(say("pause.never", max_n=max_n)))
        else:
            blocks.append(_ranges(case, limits))
            blocks.append(_crossing(case, limits, event, say("pause.rule_boundary"), pause.boundary.rate))
    return Section("pause", say("pause.title"), tuple(blocks))


def _ranges(case: Case, limits: np.ndarray) -> Table:
    """Return the boundary as a table: one row per range of numbers of treated patients."""
    say = case.say
    rows = []
    for low, high, events in ranges(limits):
        treated = text(str(low)) if low == high else say("decisions.range", low=low, high=high)
        rows.append((treated, say("pause.no_number") if events is None else say("pause.at_least", events=events)))
    caption = "pause.boundary_trial" if case.protocol.pause.by == "trial" else "pause.boundary_dose"
    notes, rule = [say("pause.beyond")], case.protocol.pause.boundary
    if isinstance(rule, PocockBoundary):
        level = nominal_level(rule, case.protocol.pause_max_n)
        notes.insert(0, say("pause.level", level=f"{100 * level:.3g}%", rate=percent(rule.rate)))
    return Table(say(caption), case.columns("pause.treated", "pause.events", numeric_from=2), tuple(rows), tuple(notes))


def _crossing(case: Case, limits: np.ndarray, event: Text, rule: Text, rate: float | None = None) -> Table:
    """Return the exact properties of a rule: one row per true event rate."""
    say, trial = case.say, case.protocol.pause.by == "trial"
    rates: set[float] = {*_RATES, *(() if rate is None else (rate,))}
    found = crossing(limits, np.array(sorted(rates)))
    rows = tuple(
        (text(f"{100 * true:.4g}"), text(f"{100 * chance:.1f}"), text(f"{patients:.1f}"), text(f"{events:.1f}"))
        for true, chance, patients, events in zip(*found, strict=True)
    )
    keys = ("pause.rate", "pause.probability", "pause.mean_n", "pause.mean_events")
    columns = tuple(Column(say(key), True) for key in keys)
    caption = say("pause.crossing_trial" if trial else "pause.crossing_dose", rule=rule, max_n=len(limits) - 1)
    notes = [say("pause.rate_is", event=event)]
    if rate is not None:
        notes.append(say("pause.acceptable", rate=percent(rate)))
    return Table(caption, columns, rows, (*notes, say("pause.exact")))
