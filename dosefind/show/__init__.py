"""What people see of results: pages for a terminal and a notebook, and the report that a committee reads.

A page or a report is a tree of content (`content`), made once from what a task found (`pages`), and rendered by `terminal`, `html`,
`pdf` and `docx`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

from .._check import InputError, Problem
from ..config import Trial
from ..intake.measurements import Measurements
from ..patients import Patients
from ..protocol import Protocol
from ..threads import one_thread
from ..validation import SelfCheck
from ..words import in_language
from .report import Report

__all__ = ["Report", "protocol_text", "report", "validation_record"]


@one_thread
def report(
    trial: Trial | Protocol,
    patients: Patients | None = None,
    as_of: date | None = None,
    *,
    replay: bool = False,
    design: str | None = None,
    curve: str | None = None,
    decisions: Path | str | None = None,
    adjudications: Path | str | None = None,
    final: bool = False,
    measurements: Measurements | None = None,
    language: str = "en",
    progress: Callable[[float, int], None] | None = None,
) -> Report:
    """Return the report that a committee reads.

    Parameters
    ----------
    trial
        The trial, from `load_trial`, or its protocol.
    patients
        The patients, from `read_patients`: the conduct report. Without them, the design report.
    as_of, replay, design, decisions, adjudications, final
        Data cutoff date, whether to go back to it, the primary design, the files of decisions and adjudications, and whether this
        is the final analysis; as for `dosefind.next_dose`, and with ``patients`` only.
    curve
        Name of one of the protocol's curves; the first by default.
    measurements
        Measurements of the endpoints, from `read_measurements`: the report then has them by dose and visit.
    language
        Language of the report's own words; so far "en".
    progress
        Called with the number of designs done and of all while they are compared.

    Returns
    -------
    Report
        The report. Its ``save`` writes the files; its ``html()`` is the text of the HTML file, its ``pdf()`` and ``docx()`` the
        bytes of the others. Its date is the data cutoff date, or that of the protocol version.

    Raises
    ------
    InputError
        If an argument is not what the tasks take, or a package is missing: ``pip install 'dosefind[report]'``.

    Examples
    --------
    >>> from dosefind import load_trial
    >>> found = report(load_trial("configs/nct05962762.toml"))  # doctest: +SKIP
    >>> found.date  # doctest: +SKIP
    '2023-08-30'
    """
    trial = Trial.of(trial)
    if patients is None:
        given = {"as_of": as_of, "replay": replay or None, "design": design, "decisions": decisions, "adjudications": adjudications}
        given |= {"final": final or None, "measurements": measurements}
        for name, value in given.items():
            if value is not None:
                raise InputError(Problem(name, value, "has a meaning with patients only"))
        from .pages.design import design_report

        with in_language(language):
            return Report.of(design_report(trial, curve=curve, progress=progress))
    from .pages.conduct import conduct_report

    with in_language(language):
        return Report.of(
            conduct_report(
                *(trial, patients, as_of),
                replay=replay,
                design=design,
                curve=curve,
                decisions=decisions,
                adjudications=adjudications or (),
                final=final,
                measurements=measurements,
            )
        )


@one_thread
def protocol_text(
    trial: Trial | Protocol,
    *,
    design: str | None = None,
    curve: str | None = None,
    language: str = "en",
    progress: Callable[[float, int], None] | None = None,
) -> Report:
    """Return the statistical section of a protocol, to be pasted into it.

    It is about the primary design; the other designs are compared in an annex. Whatever the protocol does not state is marked as a
    query to the author, ``[QUERY n: ...]``, and listed at the end.

    Parameters
    ----------
    trial
        The trial, from `load_trial`, or its protocol.
    design
        Name of the primary design; the config's by default.
    curve
        Name of one of the protocol's curves; the first by default.
    language
        Language of the section's own words; so far "en".
    progress
        Called with the number of designs done and of all while they are compared.

    Returns
    -------
    Report
        The section. Its ``save_as("section.docx")`` writes a Word file, ``save_as("section.md")`` Markdown. Its date is that of the
        protocol version.

    Raises
    ------
    InputError
        If the protocol has no design or curve of that name.

    Examples
    --------
    >>> from dosefind import load_trial
    >>> section = protocol_text(load_trial("configs/nct05962762.toml"))  # doctest: +SKIP
    >>> section.save_as("section.docx")  # doctest: +SKIP
    ['section.docx']
    """
    from .pages.protocol_text import protocol_text as written

    with in_language(language):
        return Report.of(written(Trial.of(trial), design=design, curve=curve, progress=progress))


@one_thread
def validation_record(found: SelfCheck, on: date, *, language: str = "en") -> Report:
    """Return the validation record of an installation, for the files of the sponsor.

    Parameters
    ----------
    found
        The result of `dosefind.selfcheck`.
    on
        Date of the record: dosefind does not read the clock.
    language
        Language of the record's own words; so far "en".

    Returns
    -------
    Report
        The record. Its ``save_as("record.pdf")`` writes a file.

    Examples
    --------
    >>> from datetime import date
    >>> from dosefind import selfcheck
    >>> validation_record(selfcheck(["BOIN rates"]), date(2024, 3, 14)).date
    '2024-03-14'
    """
    from .pages.selfcheck import record

    with in_language(language):
        return Report.of(record(found, on))
