"""The cohort of each patient: as the data give it, or derived by a rule that is printed."""

from __future__ import annotations

from itertools import pairwise

from .._check import shown_key
from .cells import Findings
from .entries import Draft, Entry

__all__ = ["cohorts_of"]


def cohorts_of(found: Findings, draft: Draft, sizes: int | tuple[int, ...]) -> dict[str, int]:
    """Cohort of every patient, by subject; what is wrong with replacements and given cohorts becomes a finding."""
    entries = sorted(draft.entries, key=lambda entry: (entry.first, entry.subject))
    replaced = _replaced(found, draft, entries)
    if draft.has_cohorts:
        return _given(found, entries, replaced)
    found.notes.append(_rule(sizes))
    if any(entry.level is None for entry in entries):
        found.notes.append("a dose that is none of the protocol's neither ends a cohort nor begins one, unless the cohort is full")
    return _derived(found, entries, replaced, (sizes,) if isinstance(sizes, int) else sizes)


def _rule(sizes: int | tuple[int, ...]) -> str:
    size = str(sizes) if isinstance(sizes, int) else f"{', '.join(map(str, sizes))} (the last repeated)"
    return (
        "cohorts are derived: patients in the order of their first infusion (on one day, of their identifiers); a new cohort "
        f"begins where the dose changes or the cohort has its {size} patients; a replacement joins the cohort of the patient "
        "replaced and does not count toward its size"
    )


def _replaced(found: Findings, draft: Draft, entries: list[Entry]) -> dict[str, str]:
    """Whom each replacement replaces, of those who were treated; anybody else has no cohort to join."""
    by_subject = {entry.subject: entry for entry in entries}
    taken: dict[str, str] = {}
    replaced: dict[str, str] = {}
    for entry in entries:
        if entry.replaces is None:
            continue
        whom = entry.replaces.text
        if whom == entry.subject:
            found.refuse(entry.replaces, "must be another subject than the patient's own")
        elif whom not in draft.subjects:
            found.refuse(entry.replaces, "must be a subject of this table")
        elif whom in taken:
            found.refuse(entry.replaces, f"is replaced by subject {shown_key(taken[whom])} already")
        elif whom in by_subject and by_subject[whom].first > entry.first:
            found.refuse(entry.replaces, "is a patient whose first infusion was later than that of the replacement")
        elif whom in by_subject:
            replaced[entry.subject] = whom
        taken.setdefault(whom, entry.subject)
    for entry in entries:
        seen = {entry.subject}
        whom = replaced.get(entry.subject)
        while whom is not None and whom not in seen:
            seen.add(whom)
            whom = replaced.get(whom)
        if whom == entry.subject and entry.replaces is not None:
            found.refuse(entry.replaces, "patients replace each other in a circle")
            del replaced[entry.subject]
    return replaced


def _derived(found: Findings, entries: list[Entry], replaced: dict[str, str], sizes: tuple[int, ...]) -> dict[str, int]:
    cohorts: dict[str, int] = {}
    number, size, level = 0, 0, None
    for entry in entries:
        if entry.subject in replaced:
            continue
        full = number > 0 and size == sizes[min(number, len(sizes)) - 1]
        if number == 0 or full or (None not in (entry.level, level) and entry.level != level):
            number, size, level = number + 1, 0, None
        size, level = size + 1, entry.level if level is None else level
        cohorts[entry.subject] = number
    levels = {entry.subject: entry.level for entry in entries}
    for entry in entries:
        whom = replaced.get(entry.subject)
        while whom is not None and whom not in cohorts:
            whom = replaced[whom]
        if whom is not None:
            cohorts[entry.subject] = cohorts[whom]
            if entry.replaces and None not in (entry.level, levels[whom]) and entry.level != levels[whom]:
                found.refuse(entry.replaces, "is a patient of another dose, whose cohort a replacement cannot join")
    return cohorts


def _given(found: Findings, entries: list[Entry], replaced: dict[str, str]) -> dict[str, int]:
    given = [(*entry.cohort, entry) for entry in entries if entry.cohort is not None]
    cohorts = {entry.subject: number for number, _, entry in given}
    dosed: dict[int, Entry] = {}
    for number, cell, entry in given:
        if entry.level is None:
            continue
        other = dosed.setdefault(number, entry)
        if other.level != entry.level:
            found.refuse(cell, f"subject {shown_key(other.subject)} of this cohort has another dose, and a cohort has one")
    for entry in entries:
        whom = replaced.get(entry.subject)
        if whom in cohorts and entry.cohort and entry.cohort[0] != cohorts[whom]:
            found.refuse(entry.cohort[1], "must be the cohort of the patient replaced")
    ordered = sorted((one for one in given if one[2].subject not in replaced), key=lambda one: (one[2].first, one[0]))
    for before, after in pairwise(ordered):
        if after[0] < before[0]:
            subject = shown_key(before[2].subject)
            found.refuse(
                after[1], f"subject {subject} of a later cohort was infused earlier: cohorts are numbered in the order of dates"
            )
    return cohorts
