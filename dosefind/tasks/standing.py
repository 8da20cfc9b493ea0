"""Where a trial stands for those who decide: readings, counts of other parts, MTD or maximum administered dose, and what the
posterior says of the dose in question and of the recommendation.

All of these are facts read off a `NextDose`, and off the summary of an `Analysis` where there is one; reports and terminal put them
into words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np

from ..chain import Chain
from ..decisions import Recorded
from ..evaluability import UNTREATED, SeriousEvent, Status
from ..evaluability.serious import DEATH
from ..words import _, counted
from .next_dose import NextDose
from .proposals import Recommendation

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "Caution",
    "Contradiction",
    "DoseInQuestion",
    "OverdoseRange",
    "PartCount",
    "Readings",
    "RecordCaution",
    "Standing",
    "cautions",
    "contradiction",
    "dose_in_question",
    "doses_in_question",
    "event_state",
    "event_words",
    "leading_events",
    "overdose_range",
    "overturned",
    "part_counts",
    "readings",
    "record_cautions",
    "standing",
]


# Numbers of rows that a caution lists.
_ROWS = 20


class Readings(NamedTuple):
    """The two readings of cohorts that the primary design would not have started.

    Attributes
    ----------
    subjects
        Patients of these cohorts.
    inside, outside
        What the design would do if they are read as part of the escalation, and as outside it.
    taken
        Which is taken: the more cautious one.
    """

    subjects: tuple[str, ...]
    inside: Recommendation
    outside: Recommendation
    taken: Literal["inside", "outside"]

    @property
    def agree(self) -> bool:
        """Return whether both give the same next step."""
        return self.inside.words == self.outside.words


def readings(proposal: Recommendation) -> Readings | None:
    """Return both readings of a proposal; ``None`` where there is one only."""
    taken = proposal.held or proposal
    other = taken.other_reading
    if other is None:
        return None
    if taken.set_aside:
        return Readings(taken.set_aside, other, taken, "outside")
    return Readings(other.set_aside, taken, other, "inside")


class PartCount(NamedTuple):
    """Known outcomes of a part outside the escalation at one level, and the designs that count them.

    Attributes
    ----------
    part
        Part of the trial.
    level
        Dose level from 1.
    n, dlts
        Patients with a known outcome, and patients with a DLT.
    added_by, not_added_by
        Designs, by name, that add them to the counts of the escalation, and that do not.
    """

    part: str
    level: int
    n: int
    dlts: int
    added_by: tuple[str, ...]
    not_added_by: tuple[str, ...]


def part_counts(found: NextDose) -> tuple[PartCount, ...]:
    """Return the known outcomes of pooled patients outside the escalation, with the designs that count them."""
    added = tuple(name for name, counts in found.counts.items() if counts.others)
    left = tuple(name for name in found.counts if name not in added)
    rows = []
    for group in found.evaluated.others:
        kinds = [found.evaluated[subject].kind for subject in group.subjects]
        dlts = kinds.count("dlt")
        if n := dlts + kinds.count("complete"):
            rows.append(PartCount(group.part, group.level, n, dlts, added, left))
    return tuple(rows)


class Standing(NamedTuple):
    """What can be said of the MTD.

    Attributes
    ----------
    ended
        Whether the escalation has ended by the primary design and nothing is open: no outcome, no hold.
    mtd
        MTD by the primary design, where it has ended with one that was reached.
    maximum_administered
        Level of the maximum administered dose, where it has ended and the MTD was not reached.
    recorded
        Latest decision of the committee on the MTD.
    rp2d
        Latest decision of the committee on the RP2D.
    """

    ended: bool
    mtd: int | None
    maximum_administered: int | None
    recorded: Recorded | None
    rp2d: Recorded | None = None


def standing(found: NextDose) -> Standing:
    """Return whether the escalation has ended, with which MTD or maximum administered dose, and what the committee recorded."""
    recorded = [_latest(found, about) for about in ("MTD", "RP2D")]
    proposal, evaluated = found.proposal, found.evaluated
    open_ = evaluated.n_pending or any(evaluated.open) or found.holds or evaluated.unplaced
    if proposal.action != "stop" or open_:
        return Standing(False, None, None, *recorded)
    level = None if proposal.mtd in (None, "none") else int(proposal.mtd)
    if not proposal.not_reached:
        return Standing(True, level, None, *recorded)
    given = [status.level for status in evaluated.statuses if status.level is not None]
    return Standing(True, None, max(given, default=level), *recorded)


def _latest(found: NextDose, about: Literal["MTD", "RP2D"]) -> Recorded | None:
    """Return the latest decision of the committee on the MTD or on the RP2D, with the level numbers in force now."""
    return next((decision for decision in reversed(found.decided) if decision.about == about), None)


class DoseInQuestion(NamedTuple):
    """The dose that P(overdose) is wanted of.

    Attributes
    ----------
    level
        Dose level from 1.
    why
        "next": of the next patients; "without hold": of the next patients, but for a hold; "MTD": selected; "current": where the
        latest patients of the escalation are; "cause": of the DLTs after which the design stops without an MTD or de-escalates.
    """

    level: int
    why: Literal["next", "without hold", "MTD", "current", "cause"]


def doses_in_question(found: NextDose) -> tuple[DoseInQuestion, ...]:
    """Return the doses in question: that of `dose_in_question`, and after a de-escalation that of the next patients too."""
    first = dose_in_question(found)
    if first is None:
        return ()
    proposal = found.proposal.held or found.proposal
    if first.why != "cause" or proposal.level is None:
        return (first,)
    return first, DoseInQuestion(proposal.level, "without hold" if found.proposal.held else "next")


def dose_in_question(found: NextDose) -> DoseInQuestion | None:
    """Return the dose in question; ``None`` before the first patient, where none would come next.

    Where the design de-escalates, it is the dose with the highest observed DLT rate above the one recommended; where the design
    stops without an MTD, the lowest dose with a DLT.
    """
    proposal = found.proposal.held or found.proposal
    if (cause := _cause(found, proposal)) is not None:
        return DoseInQuestion(cause, "cause")
    if proposal.level is not None:
        return DoseInQuestion(proposal.level, "without hold" if found.proposal.held else "next")
    if proposal.action == "stop" and proposal.mtd not in (None, "none"):
        return DoseInQuestion(int(proposal.mtd), "MTD")
    members = found.evaluated.members
    return DoseInQuestion(members[-1].level, "current") if members else None


def _cause(found: NextDose, proposal: Recommendation) -> int | None:
    """Return the level of the DLTs after which a design de-escalates, or stops without an MTD; ``None`` with other proposals."""
    rows = [(row["level"], row["dlts"] / row["counted"]) for row in found.doses.to_dict("records") if row["dlts"]]
    if proposal.action == "stop" and proposal.mtd in (None, "none"):
        return min((level for level, _ in rows), default=None)
    if proposal.action == "de-escalate" and proposal.level is not None:
        above = [(rate, -level) for level, rate in rows if level > proposal.level]
        return -max(above)[1] if above else None
    return None


class Caution(NamedTuple):
    """What a committee must weigh beside the answer of the design.

    Attributes
    ----------
    kind
        "closed": no outcome still to come opens this level again, nor those above. "pooled": with the patients beside the
        escalation, more than one in six had a DLT at the MTD or the dose of the next patients, which the design does not add.
        "uncounted": DLTs of patients whom no design counts. "decision": by the data now the design leads below the MTD that the
        committee decided on.
    level
        Dose level; ``None`` for "uncounted".
    n, dlts
        Patients and DLTs; 0 for "closed" and "decision".
    closes_at
        DLTs among as many patients at which the design closes the dose, for "pooled"; else 0.
    """

    kind: Literal["closed", "pooled", "uncounted", "decision"]
    level: int | None
    n: int = 0
    dlts: int = 0
    closes_at: int = 0


class RecordCaution(NamedTuple):
    """What a committee must know of a file of decisions or adjudications.

    Attributes
    ----------
    kind
        "altered": rows were changed by hand, or a row directly above one was removed, added or moved. "unprotected": rows have no
        hash, so that a change to them would not be noticed.
    file
        Name of the file.
    rows
        Numbers of the rows: each that of its first line in the file.
    """

    kind: Literal["altered", "unprotected"]
    file: str
    rows: tuple[int, ...]

    @property
    def numbers(self) -> str:
        """Return numbers of the rows as text; of many that follow one another, the first and the last."""
        more = len(self.rows) - _ROWS
        if len(self.rows) > 2 and self.rows[-1] - self.rows[0] == len(self.rows) - 1:
            return _("{first} to {last}").format(first=self.rows[0], last=self.rows[-1])
        shown = ", ".join(map(str, self.rows[:_ROWS]))
        return counted("{names} and {n} more", "{names} and {n} more", more, names=shown) if more > 0 else shown


def cautions(found: NextDose) -> tuple[Caution | RecordCaution, ...]:
    """Return what a committee must weigh beside the answer of the primary design."""
    proposal = found.proposal
    made: list[Caution | RecordCaution] = []
    level = _level_in_view(found)
    if proposal.decided is not None and level is not None and proposal.decided[1].leads_below(level):
        made.append(Caution("decision", level))
    if found.closed_from is not None:
        made.append(Caution("closed", found.closed_from))
    counts = found.counts[found.binding]
    n, dlts = (
        sum(getattr(one, name) for one in (*counts.cohorts, *counts.closing) if one.level == level) for name in ("n", "dlts")
    )
    beside = sum(one.dlts for one in counts.closing if one.level == level)
    if beside and dlts >= 2 and 6 * dlts > n > 3 * dlts:
        made.append(Caution("pooled", level, n, dlts, -(-n // 3)))
    uncounted = [
        status for status in found.evaluated.statuses if status.part not in UNTREATED and not (status.pooled and status.counts)
    ]
    if with_dlt := sum(one.has_dlt for one in uncounted):
        made.append(Caution("uncounted", None, len(uncounted), with_dlt))
    return (*made, *record_cautions(found.chains))


def record_cautions(chains: Sequence[Chain]) -> tuple[RecordCaution, ...]:
    """Return cautions about changes by hand in files of decisions and adjudications, and about rows without a hash."""
    altered = [RecordCaution("altered", chain.file, chain.altered) for chain in chains if chain.altered]
    bare = [RecordCaution("unprotected", chain.file, chain.without_hash) for chain in chains if chain.without_hash]
    return (*altered, *bare)


def _level_in_view(found: NextDose) -> int | None:
    """Return the level of the next patients, or the MTD where the design stops."""
    proposal = found.proposal.held or found.proposal
    if proposal.level is not None:
        return proposal.level
    return int(proposal.mtd) if proposal.mtd not in (None, "none") else None


class OverdoseRange(NamedTuple):
    """P(overdose) of a dose by the curve used, and its range over the curves of the config.

    Attributes
    ----------
    level
        Dose level from 1.
    p
        P(overdose) by the curve used.
    low, low_curve, high, high_curve
        Lowest and highest P(overdose) by any curve of the config, each by quadrature, and the name of that curve.
    """

    level: int
    p: float
    low: float
    low_curve: str
    high: float
    high_curve: str


def overdose_range(summary: xr.Dataset, level: int) -> OverdoseRange:
    """Return P(overdose) of a dose with its range over the curves of the config.

    Parameters
    ----------
    summary
        Summary of an `Analysis`.
    level
        Dose level from 1.
    """
    by_curve = summary["p_over_by_curve"].values[:, level - 1]
    names = [str(name) for name in summary["curve"].values]
    low, high = int(np.argmin(by_curve)), int(np.argmax(by_curve))
    p = float(summary["p_over"].values[level - 1])
    return OverdoseRange(level, p, float(by_curve[low]), names[low], float(by_curve[high]), names[high])


class Contradiction(NamedTuple):
    """A recommendation that contradicts the most likely place of the MTD.

    Attributes
    ----------
    action
        What is recommended: as of `Recommendation`.
    level
        Level recommended for the next patients, or selected as MTD; 0 where no dose is selected.
    place
        Most likely place of the MTD: 0 below the lowest level, a level, or the top level for that level or above.
    p
        Posterior probability of that place.
    """

    action: str
    level: int
    place: int
    p: float


def contradiction(found: NextDose, summary: xr.Dataset) -> Contradiction | None:
    """Return in what way the recommendation contradicts the most likely place of the MTD; ``None`` where it does not.

    Next patients contradict it above the most likely MTD, and below it after a de-escalation; a stop does where the MTD that the
    design selects is another. A stop that selects the top dose as not reached agrees with "the top level or above".

    Parameters
    ----------
    found
        What comes next.
    summary
        Summary of an `Analysis` of the same data.
    """
    proposal = found.proposal.held or found.proposal
    chances = summary["mtd"].values
    place = int(chances.argmax())
    if proposal.action == "stop" and proposal.mtd is None:
        return None
    if proposal.action == "stop":
        level = 0 if proposal.mtd == "none" else int(proposal.mtd or 0)
        against = level != place
    elif proposal.level is None:
        return None
    else:
        level = proposal.level
        against = level > place or (proposal.action == "de-escalate" and level < place)
    return Contradiction(proposal.action, level, place, float(chances[place])) if against else None


EventState = Literal["waits", "open", "untreated", "adjudicated"]
"""States of a serious event, in the order in which terminal and report list them."""


def event_state(found: NextDose, event: SeriousEvent) -> EventState:
    """Return where the adjudication of a serious event stands.

    Returns
    -------
    str
        "adjudicated"; "waits": it holds the trial until it is adjudicated; "untreated": it holds nothing, because the patient is
        not given the product; "open": it holds nothing by the protocol's pause rules.
    """
    if event.adjudication is not None:
        return "adjudicated"
    if event.part in UNTREATED:
        return "untreated"
    return "waits" if event in found.holds.events else "open"


def event_words(found: NextDose, event: SeriousEvent) -> str:
    """Return a serious event in a few words; a death whose day the data do not have is given with the last day known."""
    patient = next(one for one in found.evaluated.patients if one.subject == event.subject)
    if DEATH not in event.kinds or patient.died_recorded or event.study_day is None:
        return event.words
    words = _("death of {subject}, day of death not recorded; last known day {day}")
    return words.format(subject=event.subject, day=event.study_day)


def leading_events(found: NextDose) -> tuple[SeriousEvent, ...]:
    """Return the serious events as they lead terminal and report: those that wait first, then those without adjudication."""
    order: tuple[EventState, ...] = get_args(EventState)
    return tuple(sorted(found.serious, key=lambda event: order.index(event_state(found, event))))


def overturned(found: NextDose) -> tuple[Status, ...]:
    """Return the patients with a DLT by the protocol's definition, or by the DLT column, and another outcome by adjudication."""
    return tuple(
        status
        for status in found.evaluated.statuses
        if status.derived == "dlt" and status.kind != "dlt" and status.part not in UNTREATED
    )
