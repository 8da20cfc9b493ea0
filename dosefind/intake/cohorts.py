"""The cohort of each patient, if the data give it; otherwise evaluability derives it from the evaluable patients."""

from __future__ import annotations

from itertools import pairwise

from .._check import shown_key
from .cells import Findings
from .entries import Draft, Entry

__all__ = ["cohorts_of"]


def cohorts_of(found: Findings, draft: Draft) -> dict[str, int]:
    """Return the cohort of every patient by subject, empty if the data give none; wrong replacements and cohorts are findings."""
    entries = sorted(draft.entries, key=lambda entry: (entry.first, entry.subject))
    replaced = _replaced(found, draft, entries)
    return _given(found, entries, replaced) if draft.has_cohorts else {}


def _replaced(found: Findings, draft: Draft, entries: list[Entry]) -> dict[str, str]:
    """Return the patient replaced by each replacement, among treated patients; replacements of others have no cohort to join."""
    by_subject = {entry.subject: entry for entry in entries}
    taken: dict[str, str] = {}
    replaced: dict[str, str] = {}
    for entry in entries:
        if entry.replaces is None:
            continue
        replaced_subject = entry.replaces.text
        if replaced_subject == entry.subject:
            found.refuse(entry.replaces, "must be another subject than the patient's own")
        elif replaced_subject not in draft.subjects:
            found.refuse(entry.replaces, "must be a subject of this table")
        elif replaced_subject in taken:
            found.refuse(entry.replaces, f"is already replaced by subject {shown_key(taken[replaced_subject])}")
        elif replaced_subject in by_subject and by_subject[replaced_subject].first > entry.first:
            found.refuse(entry.replaces, "is a patient whose first infusion was later than that of the replacement")
        elif replaced_subject in by_subject:
            replaced[entry.subject] = replaced_subject
        taken.setdefault(replaced_subject, entry.subject)
    for entry in entries:
        _same_dose(found, entry, by_subject, replaced)
        seen = {entry.subject}
        replaced_subject = replaced.get(entry.subject)
        while replaced_subject is not None and replaced_subject not in seen:
            seen.add(replaced_subject)
            replaced_subject = replaced.get(replaced_subject)
        if replaced_subject == entry.subject and entry.replaces is not None:
            found.refuse(entry.replaces, "patients replace one another in a cycle")
            del replaced[entry.subject]
    return replaced


def _same_dose(found: Findings, entry: Entry, by_subject: dict[str, Entry], replaced: dict[str, str]) -> None:
    """Report a replacement at another dose than the replaced patient; in data with cohorts the cohorts show it."""
    other = by_subject.get(replaced.get(entry.subject, ""))
    if other is not None and entry.replaces and None not in (entry.level, other.level) and entry.level != other.level:
        found.refuse(entry.replaces, "is a patient at another dose, whose cohort a replacement cannot join")


def _given(found: Findings, entries: list[Entry], replaced: dict[str, str]) -> dict[str, int]:
    given = [(*entry.cohort, entry) for entry in entries if entry.cohort is not None]
    cohorts = {entry.subject: number for number, _, entry in given}
    dosed: dict[int, Entry] = {}
    for number, cell, entry in given:
        if entry.level is None:
            continue
        other = dosed.setdefault(number, entry)
        if other.level != entry.level:
            found.refuse(cell, f"subject {shown_key(other.subject)} of this cohort has another dose, but a cohort has one dose")
    for entry in entries:
        replaced_subject = replaced.get(entry.subject)
        if replaced_subject in cohorts and entry.cohort and entry.cohort[0] != cohorts[replaced_subject]:
            found.refuse(entry.cohort[1], "must be the cohort of the patient replaced")
    ordered = sorted(
        (patient for patient in given if patient[2].subject not in replaced), key=lambda patient: (patient[2].first, patient[0])
    )
    for before, after in pairwise(ordered):
        if after[0] < before[0]:
            subject = shown_key(before[2].subject)
            found.refuse(
                after[1], f"subject {subject} of a later cohort was infused earlier: cohorts are numbered in the order of dates"
            )
    return cohorts
