"""Reports that a committee reads: what tasks found, as one tree of content (`content`), and the tree as a file (`html`, `pdf`,
`docx`).

`design_report` and `conduct_report` make the tree from tasks alone. A section of a report is a function that returns a `Section`;
its words stand in the catalogue ``words-en.toml``, its figures come from the same result as its tables. The room is not called
report because that is the name of the function.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

from .._check import InputError, Problem
from ..config import Trial
from ..patients import Patients
from ..protocol import Protocol
from ..threads import one_thread
from .content import Document
from .words import Words

__all__ = ["Document", "report"]


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
    language: str = "en",
    progress: Callable[[int, int], None] | None = None,
) -> Document:
    """Return the report that a committee reads.

    Parameters
    ----------
    trial
        The trial, from `load_trial`, or its protocol.
    patients
        What the data say, from `read_patients`: the conduct report. Without it, the design report.
    as_of, replay, design, decisions, adjudications, final
        Data cutoff, whether to go back to it, the primary design, the files of decisions and adjudications, and whether this is
        the final analysis; as for `dosefind.next_dose`, and with ``patients`` only.
    curve
        Name of one of the protocol's curves; the first by default.
    language
        Language of the report's own words; so far "en". Sentences that designs say of themselves are English.
    progress
        Called with the number of designs done and of all while they are compared.

    Returns
    -------
    Document
        The report. Its ``save`` writes the files; its ``html()`` is the text of the HTML file, its ``pdf()`` and ``docx()`` the
        bytes of the others. Its date is the data cut, or that of the protocol version.

    Raises
    ------
    InputError
        If anything is not what the tasks take, or a package is missing: ``pip install 'dosefind[report]'``.

    Examples
    --------
    >>> from dosefind import load_trial
    >>> found = report(load_trial("configs/nct05962762.toml"))  # doctest: +SKIP
    >>> found.date  # doctest: +SKIP
    '2023-08-30'
    """
    trial = Trial.of(trial)
    words = Words(language)
    if patients is None:
        given = {"as_of": as_of, "replay": replay or None, "design": design, "decisions": decisions, "adjudications": adjudications}
        given["final"] = final or None
        for name, value in given.items():
            if value is not None:
                raise InputError(Problem(name, value, "has a meaning with patients only"))
        from .design_report import design_report

        return design_report(trial, words, curve=curve, progress=progress)
    from .conduct_report import conduct_report

    return conduct_report(
        *(trial, patients, as_of, words),
        replay=replay,
        design=design,
        curve=curve,
        decisions=decisions,
        adjudications=adjudications or (),
        final=final,
    )
