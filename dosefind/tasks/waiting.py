"""Decide now, or wait: the probability of every decision of the primary design at the dates on which outcomes become known.

At each date, every way in which DLTs can have occurred by then is worked out: its probability given all data, with pending patients
by their follow-up (`dosefind.posterior.pending`), and the decision of the design on the patients as they would then be, by the same
rules as now. So nothing is simulated. The probabilities assume a curve with its prior, or stated DLT rates, and the distribution of
the days to DLT; both are part of the result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from itertools import product
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from ..config import Trial
from ..designs import TITECRM, Design
from ..evaluability import Evaluated, Status
from ..models import Curve, Hazard
from ..posterior.pending import MOST_WAYS, Followed, Predicted, Shares, at_rates, predicted
from ..protocol import Protocol
from ..provenance import named_column
from ..shown import Shown
from ..threads import one_thread
from ..timing import Gates, Onset
from .periods import courses_data
from .proposals import Recommendation, short

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["STATED_RATES", "Answer", "AtDate", "Event", "FollowUp", "Waiting", "when_to_decide"]

STATED_RATES = (0.10, 0.25, 0.40)
"""DLT rates at every dose under which the probabilities are shown if the protocol states no curve."""

# Probability that the decision differs, above which an escalation now is a caution.
_CAUTION = 0.10


class Answer(NamedTuple):
    """A decision of the design in a few words, and the dose to which it leads.

    Attributes
    ----------
    words
        "level 2", "complete level 1", "wait", "hold", "stop, MTD level 1", ...
    rank
        Level of the next patients, or of the MTD if it stops, 0 for none; ``None`` to wait or hold.
    """

    words: str
    rank: int | None

    @classmethod
    def of(cls, proposal: Recommendation) -> Answer:
        """Return the decision of a proposal."""
        if proposal.action in ("wait", "hold"):
            return cls(proposal.action, None)
        words = short(proposal)
        if proposal.level is not None:
            return cls(words, proposal.level)
        return cls(words, 0 if proposal.mtd in (None, "none") else int(proposal.mtd))


class FollowUp(NamedTuple):
    """A patient whose outcome can still change, as the probabilities use it.

    Attributes
    ----------
    subject
        The identifier supplied by the user.
    level
        Dose level from 1.
    days, window
        Days followed without a DLT by the data cutoff date, and days in the DLT window.
    weight
        Share of the days to DLT that has passed, at a DLT rate equal to the target; with TITE-CRM its own weight.
    ends
        Last day of the DLT window.
    left_out
        Why no outcome is predicted: "unassessed" if data are missing, "adjudication" if an adjudication is due; else empty.
    """

    subject: str
    level: int
    days: int
    window: int
    weight: float
    ends: date
    left_out: Literal["", "unassessed", "adjudication"] = ""


class Event(NamedTuple):
    """What becomes known or possible on a date.

    Attributes
    ----------
    kind
        "window": a DLT window ends; "start": earliest start per protocol; "gate": the follow-up that escalation needs is reached;
        "follow-up": by this day's follow-up of pending patients alone the design decides otherwise than on the day before.
    subject
        Patient whose window ends; otherwise empty.
    """

    kind: Literal["window", "start", "gate", "follow-up"]
    subject: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.subject}" if self.subject else self.kind


class AtDate(NamedTuple):
    """What is known and decided by a date, under one assumption on the DLT rates.

    Attributes
    ----------
    rate
        DLT rate stated for every dose; ``None`` under the posterior of the curve.
    day
        The date.
    reasons
        Events of that date.
    decisions
        Probability of each decision.
    new_dlt, differs, lower, higher
        Probabilities of at least one further DLT by then, and that the decision then differs from that of today, is lower, is
        higher. A decision that is awaited today is compared with the current dose.
    """

    rate: float | None
    day: date
    reasons: tuple[Event, ...]
    decisions: dict[Answer, float]
    new_dlt: float
    differs: float
    lower: float
    higher: float


@dataclass(frozen=True)
class Waiting(Shown):
    """Whether to decide now or to wait, for the primary design.

    Attributes
    ----------
    as_of
        Data cutoff date.
    design
        Name of the primary design.
    today
        Its decision now.
    up
        Whether that is an escalation.
    patients
        Patients whose outcomes can still change.
    dates
        The dates, under each assumption on the DLT rates in turn.
    last
        First date from which on no outcome still to come changes the decision; the data cutoff date if none does now, ``None`` if
        it can depend on outcomes for which no date can be given.
    curve, curve_rules
        The curve whose posterior gives the probabilities, in words, and its prior; empty if DLT rates are stated.
    of_design
        Whether the curve is that of the design itself.
    known
        Patients with a known outcome and their DLTs by level, from which the posterior is computed.
    onset, onset_assumed
        Distribution of the days to DLT, and whether it is an assumption: not in the config, or marked there as assumed.
    weights
        Weights of the design in words if it has its own: the days to DLT are then those of its weights, not of ``onset``.
    refused
        Why there are no dates although outcomes are pending; otherwise empty.
    untested_below
        Whether no patient at a lower dose has a complete outcome although the decision is a dose above the first.
    by_courses
        Whether the posterior is that of the courses as far as they have been followed up, and the days to DLT are those of the
        design's hazard per infusion.
    error
        Largest numerical error of a probability.
    """

    as_of: date
    design: str
    today: Answer
    up: bool
    patients: tuple[FollowUp, ...]
    dates: tuple[AtDate, ...] = ()
    last: date | None = None
    curve: str = ""
    curve_rules: tuple[str, ...] = ()
    of_design: bool = False
    known: tuple[tuple[int, int], ...] = ()
    onset: Onset = field(default_factory=Onset)
    onset_assumed: bool = True
    weights: str = ""
    refused: str = ""
    untested_below: bool = False
    by_courses: bool = False
    error: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.dates)

    @property
    def rates(self) -> tuple[float, ...]:
        """Return the DLT rates stated for every dose; none under a curve."""
        return tuple(dict.fromkeys(one.rate for one in self.dates if one.rate is not None))

    @property
    def most(self) -> AtDate | None:
        """Return the date on which the decision differs from that of today with the highest probability; the first such date."""
        return max(self.dates, key=lambda one: (round(one.differs, 12), -one.day.toordinal()), default=None)

    @property
    def bold(self) -> bool:
        """Return whether the design escalates now although the outcomes to come change that with a probability above 10%."""
        return self.up and self.most is not None and self.most.differs > _CAUTION

    @property
    def table(self) -> pd.DataFrame:
        """Return one row per assumption and date: probabilities of each decision, of a further DLT and of another decision."""
        import pandas as pd

        answers = list(dict.fromkeys(answer for one in self.dates for answer in one.decisions))
        rows = [
            {
                "assumes": self.curve if one.rate is None else f"DLT rate {one.rate:g} at every dose",
                "date": one.day.isoformat(),
                "days": (one.day - self.as_of).days,
                "events": "; ".join(map(str, one.reasons)),
                "p_new_dlt": one.new_dlt,
                "p_differs": one.differs,
                "p_lower": one.lower,
                "p_higher": one.higher,
                **{named_column("p", answer.words): one.decisions.get(answer, 0.0) for answer in answers},
            }
            for one in self.dates
        ]
        return pd.DataFrame(rows)

    @property
    def basis(self) -> pd.DataFrame:
        """Return what the probabilities rest on, one row per item."""
        import pandas as pd

        items = {
            "data cutoff": self.as_of.isoformat(),
            "design": self.design,
            "decision today": self.today.words,
            "nothing changes from": "" if self.last is None else self.last.isoformat(),
            "curve": self.curve,
            "curve of the design": "yes" if self.of_design else "no",
            "prior": " ".join(self.curve_rules),
            "DLT rates": ", ".join(f"{rate:g}" for rate in self.rates),
            "known outcomes by level": "; ".join(f"{level}: {y}/{n}" for level, (n, y) in enumerate(self.known, start=1)),
            "onset": self.onset.kind,
            "onset late share": "" if self.onset.late is None else f"{self.onset.late:g}",
            "onset parts": ", ".join(f"{part:g}" for part in self.onset.parts),
            "onset of infusions": self.onset.pattern or ", ".join(f"{hazard:g}" for hazard in self.onset.hazards),
            "onset assumed": "yes" if self.onset_assumed else "no",
            "weights of the design, in place of the onset": self.weights,
            "courses included": "yes" if self.by_courses else "no",
            "largest numerical error": f"{self.error:.1g}",
            "not worked out because": self.refused,
        }
        return pd.DataFrame(list(items.items()), columns=["item", "value"])

    @property
    def follow_up(self) -> pd.DataFrame:
        """Return one row per patient whose outcome can still change."""
        import pandas as pd

        rows = [one._asdict() | {"ends": one.ends.isoformat()} for one in self.patients]
        return pd.DataFrame(rows, columns=list(FollowUp._fields))


@one_thread
def when_to_decide(
    evaluated: Evaluated,
    trial: Trial,
    binding: str,
    design: Design,
    proposal: Recommendation,
    answer: Callable[[Evaluated], Recommendation],
    start: date | None,
) -> Waiting:
    """Return the probability of every decision of the primary design at each date on which outcomes become known.

    Parameters
    ----------
    evaluated
        The patients at the data cutoff.
    trial
        The trial by the protocol in force.
    binding, design
        Name of the primary design, and the design.
    proposal
        What it does now.
    answer
        Function from patients to what the design does.
    start
        Earliest start of the next patients, if there is one.

    Returns
    -------
    Waiting
        Without dates if no outcome is pending, or if no date or too many ways make them impossible, with the reason.
    """
    protocol = trial.protocol
    onset = protocol.days_to_dlt
    open_ = [status for status in evaluated.statuses if status.open and status.level is not None]
    shares = _ByWeights(design) if isinstance(design, TITECRM) else onset
    patients = tuple(_follow_up(status, evaluated.days_without_dlt(status), shares, protocol) for status in open_)
    made = Waiting(
        as_of=evaluated.as_of,
        design=binding,
        today=Answer.of(proposal),
        up=proposal.action == "escalate",
        patients=patients,
        last=None if any(one.left_out for one in patients) else evaluated.as_of,
        onset=onset,
        onset_assumed=protocol.onset is None or any(key.partition(".")[0] == "onset" for key in protocol.assumed),
        weights=design.weight_words() if isinstance(design, TITECRM) else "",
        untested_below=_untested_below(evaluated, proposal),
    )
    pending = [status for status, one in zip(open_, patients, strict=True) if not one.left_out]
    if not pending:
        return made
    # Where exposure or follow-up is read, the decision depends on the day as well as on the outcomes.
    future = _Future(evaluated, pending, answer, by_day=design.reads in ("follow-up", "exposure"))
    if future.n_ways > MOST_WAYS:
        words = f"{len(pending)} pending outcomes can come out in {future.n_ways:,} ways, more than {MOST_WAYS}"
        return replace(made, last=None, refused=words)
    name, curve, own = _curve_of(trial, design)
    known = _known(evaluated, protocol.n_doses)
    courses = None
    if design.reads == "exposure" and isinstance(curve, Hazard):
        courses = courses_data(curve, evaluated.courses, known[:, 0], known[:, 1])
    current = max((status.level or 0 for status in evaluated.statuses if status.part == "escalation"), default=0)
    if evaluated.members:
        current = evaluated.members[-1].level
    found, error = [], 0.0
    dates = _dates(evaluated, protocol, design, pending, start)
    if design.reads == "follow-up":
        changes = future.changes(sorted(day for day, _ in dates))
        dates = sorted({**{day: (Event("follow-up"),) for day in changes}, **dict(dates)}.items())
    for rate in (None,) if curve is not None else STATED_RATES:
        for day, reasons in dates:
            groups = future.groups(day)
            if curve is not None:
                # Courses have the amounts that were administered, and the days of patients who left.
                amounts, weights = ((), ()) if courses is not None else (evaluated.administered, evaluated.weighted)
                chance = predicted(curve, known[:, 0], known[:, 1], groups, shares, amounts, weights, courses)
            else:
                chance = at_rates(np.full(protocol.n_doses, rate), groups, shares)
            error = max(error, chance.error)
            found.append(_at_date(rate, day, reasons, future.decisions(day, chance), chance, made.today, current))
    return replace(
        made,
        dates=tuple(found),
        last=None if made.last is None else future.last([one.day for one in found], made.today),
        curve=name,
        curve_rules=() if curve is None else tuple(curve.sentences()),
        of_design=own,
        known=tuple((int(n), int(y)) for n, y in known),
        by_courses=courses is not None,
        error=error,
    )


class _ByWeights(NamedTuple):
    """Days to DLT by the weights of a design: its likelihood and the probabilities rest on the same distribution."""

    design: TITECRM

    def share(self, day: float, rate: np.ndarray, window: float) -> np.ndarray:
        """Return the share of the DLTs that have occurred by the end of a day."""
        return self.design.weight(day * self.design.window_days / window) + 0 * rate


def _follow_up(status: Status, days: int, shares: Shares, protocol: Protocol) -> FollowUp:
    window = (status.end - status.first).days
    left_out = "adjudication" if status.held else "unassessed" if status.unresolved else ""
    weight = float(shares.share(days, np.array(protocol.target.rate), window))
    return FollowUp(status.subject, status.level or 0, days, window, weight, status.end, left_out)


def _untested_below(evaluated: Evaluated, proposal: Recommendation) -> bool:
    """Return whether a dose above the first is recommended and no patient at a lower dose has a complete outcome."""
    level = proposal.level or 0
    below = (one for one in evaluated.statuses if one.counts and not one.open and one.level is not None and one.level < level)
    return level > 1 and proposal.action != "start" and not any(below)


def _curve_of(trial: Trial, design: Design) -> tuple[str, Curve | None, bool]:
    """Return the curve of a design that has one, otherwise the first of the protocol, with its name, and which of both it is."""
    own = getattr(design, "curve", None)
    if isinstance(own, Curve):
        return own.title, own, True
    return next(((name, curve, False) for name, curve in trial.curves.items()), ("", None, False))


def _known(evaluated: Evaluated, n_doses: int) -> np.ndarray:
    """Return patients with a known outcome and their DLTs, (doses, 2)."""
    found = np.zeros((n_doses, 2), int)
    for status in evaluated.statuses:
        if status.counts and not status.open and status.level is not None:
            found[status.level - 1] += (1, status.kind == "dlt")
    return found


def _dates(
    evaluated: Evaluated, protocol: Protocol, design: Design, pending: Sequence[Status], start: date | None
) -> list[tuple[date, tuple[Event, ...]]]:
    """Return the dates after the data cutoff with their events: windows, the earliest start, gates."""
    events = [(status.end, Event("window", status.subject)) for status in pending]
    if start is not None:
        events.append((start, Event("start")))
    gates = protocol.gates or Gates()
    if design.reads != "complete" and evaluated.members:
        here = [status for status in pending if status.level == evaluated.members[-1].level]
        followed = gates.days_each_pending(protocol.treatment.dlt_window_days)
        if followed is not None and here:
            events.append((max(status.first for status in here) + timedelta(days=followed), Event("gate")))
        if gates.infused is not None:
            planned = timedelta(days=protocol.treatment.infusion_days[gates.infused.number - 1] - 1)
            events += [(status.first + planned, Event("gate")) for status in here]
        if gates.one_followed is not None and here:
            events.append((min(status.first for status in here) + timedelta(days=gates.one_followed), Event("gate")))
    found: dict[date, list[Event]] = {}
    for day, event in sorted(events):
        if day > evaluated.as_of:
            found.setdefault(day, []).append(event)
    return [(day, tuple(dict.fromkeys(named))) for day, named in found.items()]


def _at_date(
    rate: float | None,
    day: date,
    reasons: tuple[Event, ...],
    decisions: list[Answer],
    chance: Predicted,
    today: Answer,
    current: int,
) -> AtDate:
    """Return the probabilities of each decision at a date."""
    by_answer: dict[Answer, float] = {}
    compared = current if today.rank is None else today.rank
    new = differs = lower = higher = 0.0
    for way, answer, probability in zip(chance.ways, decisions, chance.probability.tolist(), strict=True):
        by_answer[answer] = by_answer.get(answer, 0.0) + probability
        new += probability * any(way)
        if answer != today:
            differs += probability
            lower += probability * (answer.rank is not None and answer.rank < compared)
            higher += probability * (answer.rank is not None and answer.rank > compared)
    ordered = dict(sorted(by_answer.items(), key=lambda pair: (-1 if pair[0].rank is None else pair[0].rank, pair[0].words)))
    return AtDate(rate, day, reasons, ordered, new, differs, lower, higher)


class _Future:
    """The patients as they can be on later dates, and what the design would then do, each worked out once."""

    def __init__(
        self, evaluated: Evaluated, pending: Sequence[Status], answer: Callable[[Evaluated], Recommendation], *, by_day: bool
    ) -> None:
        self.evaluated, self.answer, self.by_day = evaluated, answer, by_day
        place = {subject: at for at, group in enumerate(evaluated.groups) for subject in group.subjects}
        alike: dict[tuple[object, ...], list[Status]] = {}
        for status in pending:
            key = place.get(status.subject), status.level, status.first, status.end, status.fraction, status.informed
            alike.setdefault(key, []).append(status)
        # Patients who cannot be told apart: at one dose, in one cohort, with one follow-up.
        self.alike = list(alike.values())
        self._known: dict[tuple[date | None, tuple[tuple[int, int, bool], ...]], Answer] = {}

    @property
    def n_ways(self) -> int:
        """Return the number of ways in which outcomes can come out."""
        return math.prod(len(group) + 1 for group in self.alike)

    def groups(self, day: date) -> list[Followed]:
        """Return the groups with their follow-up now and by a date."""
        found = []
        for group in self.alike:
            one = group[0]
            window = (one.end - one.first).days
            now = self.evaluated.days_without_dlt(one)
            found.append(Followed(one.level or 0, len(group), now, max(now, min((day - one.first).days, window)), window))
        return found

    def changes(self, days: Sequence[date]) -> list[date]:
        """Return the days on which the decision without a further DLT changes between the data cutoff and some dates, in order.

        Without a DLT follow-up only raises what may be given, so that a change is found by halving the days between two dates; of
        several changes between them, one.
        """
        found, before, none = [], self.evaluated.as_of, self._none()
        for end in days:
            # By the day before the date itself.
            low, high = before, end - timedelta(days=1)
            before = end
            if high > low and (answer := self._decision(low, none)) != self._decision(high, none):
                while (high - low).days > 1:
                    middle = low + (high - low) // 2
                    low, high = (middle, high) if self._decision(middle, none) == answer else (low, middle)
                found.append(high)
        return found

    def decisions(self, day: date, chance: Predicted) -> list[Answer]:
        """Return the decision at a date after each way in which the outcomes can have come out."""
        return [self._decision(day, way) for way in chance.ways]

    def _decision(self, day: date, way: Sequence[int]) -> Answer:
        # What is known of each group, by which the decision is determined: its DLTs, and whether the others are complete.
        outcomes = tuple((dlts, len(group), group[0].end <= day) for dlts, group in zip(way, self.alike, strict=True))
        key = day if self.by_day else None, outcomes
        if key not in self._known:
            self._known[key] = Answer.of(self.answer(self._then(day, way)))
        return self._known[key]

    def _then(self, day: date, way: Sequence[int]) -> Evaluated:
        """Return the patients on a date if the first of each group had the DLTs."""
        pairs = zip(way, self.alike, strict=True)
        return self.evaluated.later(day, {status.subject for dlts, group in pairs for status in group[:dlts]})

    def last(self, days: Sequence[date], today: Answer) -> date:
        """Return the first of the data cutoff date and some dates from which on no outcome changes the decision."""
        end = max(days)
        ends = {way: self._decision(end, way) for way in self._ways(self._none())}
        if all(answer == today for answer in ends.values()):
            return self.evaluated.as_of
        for day in sorted(set(days)):
            if all(
                ends[further] == self._decision(day, way)
                for way in self._ways(self._none())
                for further in self._ways(way, [group[0].end > day for group in self.alike])
            ):
                return day
        return end

    def _none(self) -> tuple[int, ...]:
        return (0,) * len(self.alike)

    def _ways(self, way: Sequence[int], open_: Sequence[bool] | None = None) -> Iterator[tuple[int, ...]]:
        """Yield the ways with at least these DLTs, further ones in the open groups only."""
        still = [True] * len(self.alike) if open_ is None else open_
        most = [len(group) if here else dlts for group, dlts, here in zip(self.alike, way, still, strict=True)]
        return product(*(range(dlts, high + 1) for dlts, high in zip(way, most, strict=True)))
