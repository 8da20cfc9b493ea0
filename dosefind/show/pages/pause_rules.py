"""The section on pause rules: the rules in words, the boundary as ranges, and exact probabilities of a pause."""

from __future__ import annotations

import numpy as np

from ...figures import in_percent, percent
from ...monitoring import boundary, crossing, nominal_level, ranges
from ...protocol import PocockBoundary, Protocol
from ...words import _
from ..content import Block, Bullets, Paragraph, Section, Table, Text, filled, table, text

__all__ = ["pause_section"]

# True event rates of the table; the rate of the boundary is added.
_RATES = tuple(round(0.05 * step, 2) for step in range(1, 11))


def pause_section(protocol: Protocol) -> Section:
    """Return the section on the pause rules of a protocol."""
    title, pause = text(_("Pause rules")), protocol.pause
    sentences = protocol.pause_rules()
    if not pause.counts_patients:
        return Section("pause", title, (Paragraph(text(sentences[0])),))
    blocks: list[Block] = [Bullets(tuple(map(text, sentences)))]
    max_n, by_trial = protocol.pause_max_n, pause.by == "trial"
    if pause.related_serious is not None:
        limits = np.maximum(np.arange(max_n + 1) + 1, pause.related_serious)
        limits[pause.related_serious :] = pause.related_serious
        rule = _(
            "Number of patients with a related serious event: probability of a pause and expected numbers by true event rate, "
            "among at most {n} treated patients."
        )
        if not by_trial:
            rule = _(
                "Number of patients with a related serious event: probability of a pause and expected numbers by true event rate, "
                "among at most {n} treated patients at one dose level."
            )
        blocks.append(_crossing(limits, filled(rule, n=max_n), _rate_of(_("a related serious event"))))
    if pause.boundary is not None:
        limits = boundary(pause.boundary, max_n)
        event = _("a DLT")
        if pause.event == "serious":
            event = _("a related serious event, a related event of grade 4 or worse, or death")
        if (limits > np.arange(max_n + 1)).all():
            words = _("This boundary never pauses the trial: no number of events among up to {n} treated patients reaches it.")
            blocks.append(Paragraph(filled(words, n=max_n)))
        else:
            rule = _(
                "Boundary: probability of a pause and expected numbers by true event rate, among at most {n} treated patients."
            )
            if not by_trial:
                rule = _(
                    "Boundary: probability of a pause and expected numbers by true event rate, among at most {n} treated patients "
                    "at one dose level."
                )
            blocks.append(_ranges(protocol, limits))
            blocks.append(_crossing(limits, filled(rule, n=max_n), _rate_of(event), pause.boundary.rate))
    return Section("pause", title, tuple(blocks))


def _ranges(protocol: Protocol, limits: np.ndarray) -> Table:
    """Return the boundary as a table: one row per range of numbers of treated patients."""
    rows = []
    for low, high, events in ranges(limits):
        treated = str(low) if low == high else filled(_("{low} to {high}"), low=low, high=high)
        rows.append((treated, _("no pause") if events is None else filled(_("{events} or more"), events=events)))
    caption = _("Boundary: patients with an event at which enrolment pauses, by number of treated patients at a dose level.")
    if protocol.pause.by == "trial":
        caption = _("Boundary: patients with an event at which enrolment pauses, by number of treated patients in the trial.")
    beyond = _(
        "The boundary is evaluated after each patient. If more patients are treated, it continues with the same cutoff or nominal "
        "level."
    )
    notes, rule = [text(beyond)], protocol.pause.boundary
    if isinstance(rule, PocockBoundary):
        level = f"{100 * nominal_level(rule, protocol.pause_max_n):.3g}%"
        words = _("Nominal level of the one-sided binomial test of an event rate of {rate}: {level}.")
        notes.insert(0, filled(words, level=level, rate=percent(rule.rate)))
    return table(caption, (_("treated patients"), _("patients with an event")), rows, notes=notes, numeric=())


def _rate_of(event: str) -> Text:
    words = _(
        "True event rate: the probability per patient of {event}, assumed to be the same for all patients counted together, and "
        "independent between them. Means are at the first pause, or at the maximum number of patients if there is none."
    )
    return filled(words, event=event)


def _crossing(limits: np.ndarray, caption: Text, event: Text, rate: float | None = None) -> Table:
    """Return the exact properties of a rule: one row per true event rate."""
    rates: set[float] = {*_RATES, *(() if rate is None else (rate,))}
    found = crossing(limits, np.array(sorted(rates)))
    rows = (
        (f"{100 * true:.4g}", in_percent(chance), f"{patients:.1f}", f"{events:.1f}")
        for true, chance, patients, events in zip(*found, strict=True)
    )
    heads = (
        _("true event rate, %"),
        _("probability of a pause, %"),
        _("treated patients, mean"),
        _("patients with an event, mean"),
    )
    notes = [event]
    if rate is not None:
        notes.append(filled(_("The acceptable event rate of the boundary is {rate}."), rate=percent(rate)))
    exact = _(
        "Exact enumeration, no Monte Carlo error. The operating characteristics of the designs in this report do not include "
        "pauses."
    )
    return table(caption, heads, rows, notes=(*notes, exact), numeric=range(4))
