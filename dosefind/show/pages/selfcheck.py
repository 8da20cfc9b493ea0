"""The reference cases computed on the user's installation: a page, and the record for the files of the sponsor."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from ...validation import Checked, SelfCheck
from ...words import _, counted, language
from ..content import (
    Block,
    Bullets,
    Definitions,
    Document,
    Note,
    Page,
    Paragraph,
    Run,
    Section,
    Signature,
    Table,
    Text,
    data,
    filled,
    table,
    text,
)
from .pieces import labels

__all__ = ["record", "selfcheck"]


def selfcheck(found: SelfCheck) -> Page:
    """Return the page of the reference cases: ``found`` is the result of `dosefind.selfcheck`."""
    blocks = (Paragraph(_answer(found)), _table(found.checked), *_failures(found))
    title = filled(_("dosefind {version}: reference cases on this installation"), version=found.versions["dosefind"])
    return Page(title, blocks, (_sources(found),))


def record(found: SelfCheck, on: date) -> Document:
    """Return the validation record of an installation.

    Parameters
    ----------
    found
        The result of `dosefind.selfcheck`.
    on
        Date of the record, as the user states it.
    """
    intro = _(
        "The reference cases that are installed with dosefind were computed on this installation. Each is compared with values "
        "that were published or made by other software; the largest difference has to be within the tolerance."
    )
    result = Note(_("Result"), (_answer(found),), warning=not found.passed)
    blocks = (result, Paragraph(text(intro)), _table(found.checked), *_failures(found))
    first = Section("result", text(_("Result")), blocks)
    heads, people = (_("role"), _("name"), _("signature"), _("date")), (_("performed by"), _("reviewed by"))
    signed = Signature(text(_("Performed and reviewed by")), heads, people)
    limits = _(
        "The record shows that this installation computes what the references state. It does not show that a design, a prior or a "
        "scenario is suitable for a trial, and it does not replace the validation that the sponsor's procedures require."
    )
    last = Section("signatures", text(_("Signatures")), (Bullets((text(limits),)), signed))
    facts = {
        _("Date"): on.isoformat(),
        _("Software"): ", ".join(f"{name} {version}" for name, version in found.versions.items()),
        _("System"): found.machine,
        _("SHA-256 of the package"): found.package_sha256,
        _("Result"): _("passed") if found.passed else _("FAILED"),
    }
    return Document(
        title=filled(_("dosefind {version}: validation record"), version=found.versions["dosefind"]),
        subtitle=filled(_("Reference cases on this installation, {day}"), day=on.isoformat()),
        language=language(),
        date=on.isoformat(),
        facts=Definitions(tuple((text(term), (text(data(said)),)) for term, said in facts.items())),
        sections=(first, _sources(found), _hashes(found), last),
        labels=labels() | {"footer": _("Made by dosefind selfcheck from the reference cases installed with it.")},
    )


def _answer(found: SelfCheck) -> Text:
    """Return whether all cases passed."""
    n, failed = len(found.checked), sum(not one.passed for one in found.checked)
    if failed:
        words = _("{n} of {all} reference cases FAILED on this installation.").format(n=failed, all=n)
        return (Run(words, "strong"),)
    values = sum(one.n for one in found.checked)
    words = counted(
        "{n} reference case passed: {v} values agree.", "All {n} reference cases passed: {v} values agree.", n, v=values
    )
    return text(words)


def _table(checked: Iterable[Checked]) -> Table:
    heads = (_("reference case"), _("values"), _("largest difference"), _("tolerance"), _("result"))
    rows = [
        (one.case.name, str(one.n), _size(one.difference), _size(one.case.tolerance), _("passed") if one.passed else _("FAILED"))
        for one in checked
    ]
    return table(_("Reference cases with tolerance and largest difference."), heads, rows, numeric={1, 2, 3})


def _size(number: float) -> str:
    return "0" if number == 0 else f"{number:.2g}"


def _failures(found: SelfCheck) -> tuple[Block, ...]:
    items = tuple(
        filled(_("{name}: {error}"), name=one.case.name, error=data(one.error or _("the difference exceeds the tolerance")))
        for one in found.checked
        if not one.passed
    )
    return (Note(_("Failures"), items, warning=True),) if items else ()


def _sources(found: SelfCheck) -> Section:
    """Return what each case compares, the reason for its tolerance, and the sources of its references."""
    items = []
    for one in found.checked:
        case = one.case
        why = filled(_("Tolerance: {tolerance}, {why}."), tolerance=_size(case.tolerance), why=_(case.why))
        sources = tuple(filled(_("Source: {source}."), source=data(source.rstrip("."))) for source in case.sources())
        items.append((text(case.name), (text(f"{_(case.title)}."), why, *sources)))
    return Section("references", text(_("References and tolerances")), (Definitions(tuple(items)),), detail=True)


def _hashes(found: SelfCheck) -> Section:
    words = _(
        "SHA-256 of each file of the package, the references among them (validation/references). The hash of the package above is "
        "that of these lines: hash of a text with one line per file, its path, two spaces and its hash, in the order of the paths."
    )
    rows = [(path, data(digits)) for path, digits in sorted(found.files.items())]
    listed = table(_("Files of the package."), (_("file"), _("SHA-256")), rows, numeric=())
    return Section("files", text(_("Files")), (Paragraph(text(words)), listed))
