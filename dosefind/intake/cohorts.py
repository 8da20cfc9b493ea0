"""The cohort of each patient, where the data give it; else evaluability derives it, for it hangs on who counts."""

from __future__ import annotations

from itertools import pairwise

from .._check import shown_key
from .cells import Findings
from .entries import Draft, Entry

__all__ = ["cohorts_of"]


def cohorts_of(found: Findings, draft: Draft) -> dict[str, int]:
    """Return cohort of every patient, by subject, nobody where the data give none; wrong replacements and cohorts become findings."""
    entries = sorted(draft.entries, key=lambda entry: (entry.first, entry.subject))
    replaced = _replaced(found, draft, entries)
    return _given(found, entries, replaced) if draft.has_cohorts else {}


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
        _same_dose(found, entry, by_subject, replaced)
        seen = {entry.subject}
        whom = replaced.get(entry.subject)
        while whom is not None and whom not in seen:
            seen.add(whom)
            whom = replaced.get(whom)
        if whom == entry.subject and entry.replaces is not None:
            found.refuse(entry.replaces, "patients replace each other in a circle")
            del replaced[entry.subject]
    return replaced


def _same_dose(found: Findings, entry: Entry, by_subject: dict[str, Entry], replaced: dict[str, str]) -> None:
    """Return a replacement has the dose of the patient replaced; in data with cohorts these say it."""
    whom = by_subject.get(replaced.get(entry.subject, ""))
    if whom is not None and entry.replaces and None not in (entry.level, whom.level) and entry.level != whom.level:
        found.refuse(entry.replaces, "is a patient of another dose, whose cohort a replacement cannot join")


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
