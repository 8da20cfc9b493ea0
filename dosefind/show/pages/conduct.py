"""The report for the meeting that decides what next: a trial with patients, at a data cut."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from ... import tables
from ...adjudications import Adjudicated
from ...config import Trial
from ...decisions import Recorded
from ...evaluability import (
    HIDDEN,
    KINDS,
    NO_LEVEL,
    UNTREATED,
    SafetyEvent,
    SeriousEvent,
    Status,
    dose_groups,
    safety_events,
    safety_set,
)
from ...patients import Patient, Patients
from ...plots.style import listed
from ...protocol import Protocol
from ...provenance import named_column
from ...summaries import support_words
from ...tasks import Analysis, NextDose, analyze, next_dose, sensitivity
from ...tasks.holds import trigger_words
from ...tasks.stamps import n_assumed, plain
from ...tasks.standing import (
    Caution,
    DoseInQuestion,
    RecordCaution,
    cautions,
    contradiction,
    doses_in_question,
    event_state,
    event_words,
    leading_events,
    overdose_range,
    overturned,
    part_counts,
    readings,
    standing,
)
from ..catalogue import Words
from ..content import (
    Answer,
    Answers,
    Block,
    Bullets,
    Column,
    Document,
    Figure,
    Note,
    Paragraph,
    Section,
    Signature,
    Space,
    Table,
    Text,
    data,
    text,
)
from .pieces import (
    Case,
    assumed,
    definitions,
    dose_table,
    facts,
    frame,
    limits,
    method,
    percent,
    rules,
    sensitivity_table,
    warnings,
)

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["conduct_report"]


class _Trial(NamedTuple):
    """A trial at its data cutoff: the next step, and the posterior where the protocol has a curve.

    ``blinded`` tells whether nothing may show who was not given the product; ``groups`` has the dose group of each patient;
    ``amended`` is the protocol with its amendments, by which patients are judged.
    """

    case: Case
    found: NextDose
    analysis: Analysis | None
    blinded: bool
    groups: dict[str, str]
    amended: Protocol

    @property
    def hides(self) -> bool:
        """Whether there are patients whose assignment a blinded report must not show."""
        return self.blinded and any(status.part in UNTREATED for status in self.found.evaluated.statuses)

    @property
    def say(self) -> Words:
        return self.case.say

    @property
    def summary(self) -> xr.Dataset:
        assert self.analysis is not None
        return self.analysis.summary


def conduct_report(
    trial: Trial,
    patients: Patients,
    as_of: date | None,
    words: Words,
    *,
    replay: bool = False,
    design: str | None = None,
    curve: str | None = None,
    decisions: Path | str | None = None,
    adjudications: Path | str | Sequence[Adjudicated] = (),
    final: bool = False,
) -> Document:
    """Return the conduct report; parameters as of `dosefind.report`."""
    found = next_dose(
        *(trial, patients, as_of),
        replay=replay,
        design=design,
        decisions=decisions,
        adjudications=adjudications,
        final=final,
    )
    # Designs and limits are those in force at the data cutoff date; a patient is judged by the version of the first infusion.
    evaluated, current = found.evaluated, trial.in_force(found.evaluated.as_of)
    protocol = current.protocol
    # By the reading that the answer takes: cohorts set aside stand beside the escalation.
    read = found.evaluated_for(found.binding)
    cohorts, others, given = read.cohorts(), read.beside(), read.administered
    wanted = protocol.curves or curve is not None
    analysis = analyze(current, cohorts, curve=curve, others=others, administered=given) if wanted else None
    if analysis is not None and not others and any(read.open[len(read.members) :]):
        # What a design selects can depend on outcomes still to come outside the escalation too.
        analysis = replace(analysis, summary=analysis.summary.drop_vars(["conclusion", "conclusion_not_reached"]))
    there = any(status.part in UNTREATED for status in evaluated.statuses)
    blinded = there if protocol.report.blinded is None else protocol.report.blinded
    meeting = _Trial(Case(words, protocol), found, analysis, blinded, dose_groups(evaluated, blinded), trial.protocol)
    sections = [_summary(meeting), _events(meeting), _safety(meeting), _patients(meeting)]
    if analysis is not None:
        varied = sensitivity(current, cohorts, curve=curve, others=others, administered=given)
        sections += [_rates(meeting), _mtd(meeting), _conclusion(meeting)]
        sections.append(
            Section(
                "sensitivity",
                words("sensitivity.title"),
                (sensitivity_table(meeting.case, varied, words("sensitivity.table")),),
            )
        )
    sections += [_designs(meeting), _deviations(meeting), _method(meeting), limits(meeting.case, "conduct")]
    # A page to sign is one page.
    sections += [replace(assumed(meeting.case, found.attrs), own_page=True), _signatures(meeting)]
    cut = found.attrs["as_of"]
    return Document(
        title=words("conduct.title", protocol=data(protocol.record.id)),
        subtitle=words("conduct.subtitle", cut=cut),
        language=words.language,
        date=cut,
        facts=_facts(meeting),
        sections=tuple(sections),
        labels=words.table("labels"),
    )


def _facts(trial: _Trial) -> Any:
    attrs, say = trial.found.attrs, trial.say
    cut = say("facts.cut_assumed", cut=attrs["as_of"]) if attrs["as_of_assumed"] else text(attrs["as_of"])
    more = (("cut", cut), ("binding", text(data(trial.found.binding))), ("data_hash", trial.case.hash(attrs["data_sha256"])))
    return facts(trial.case, attrs, *more)


# The first page: what leads, then what next, how safe, how sure.


def _summary(trial: _Trial) -> Section:
    blocks: list[Block] = [*_leading(trial), Answers((_next(trial), _safe(trial), _sure(trial))), _glance(trial)]
    assumptions = trial.say("answers.assumed", n=n_assumed(trial.found.attrs))
    cautions = [] if trial.analysis is None else warnings(trial.case, trial.summary)
    # In one note, so that the first page is one page.
    last = cautions.pop() if cautions else Note(trial.say.plain("answers.bear"), ())
    blocks += [*cautions, replace(last, items=(*last.items, assumptions))]
    return Section("summary", trial.say("answers.title"), tuple(blocks), own_page=_on_one_page(blocks))


# Lines of notes, and of the longest answer beside them, for which the first page surely has room; letters per line of each.
_ROOM, _NOTE_LINE, _ANSWER_LINE, _LEAD_LINE = 38, 95, 36, 24


def _on_one_page(blocks: Iterable[Block]) -> bool:
    """Whether the summary surely fits on one page, so that it can end its page without leaving the next one almost empty."""

    def lines(words: Text, letters: int) -> int:
        return -(-sum(len(run.text) for run in words) // letters)

    notes, answers = 0.0, 0
    for block in blocks:
        if isinstance(block, Note):
            notes += 1.5 + sum(lines(item, _NOTE_LINE) for item in block.items)
        if isinstance(block, Answers):
            tall = [
                sum(lines(item, _ANSWER_LINE) for item in one.because) + 2 * lines(one.answer, _LEAD_LINE) for one in block.items
            ]
            answers = max(tall)
    # Lines of answers are set in smaller type.
    return notes + 0.8 * answers <= _ROOM


# Serious events on the first page, unless more wait for adjudication.
_FIRST_PAGE = 5


def _leading(trial: _Trial) -> list[Block]:
    """Serious events, pause rules that have fired, overdue outcomes, patients at a dose that is not in the protocol."""
    say, found, blocks = trial.say, trial.found, []
    events, waiting = leading_events(found), len([one for one in found.serious if event_state(found, one) == "waits"])
    if events:
        shown = events[: max(waiting, _FIRST_PAGE)]
        items = [_serious(trial, event) for event in shown]
        items += [say("leading.more", n=len(events) - len(shown))] if len(events) > len(shown) else []
        title = say.plain("leading.serious_blinded" if trial.hides else "leading.serious", n=len(events), waiting=waiting)
        blocks.append(Note(title, tuple(items), warning=bool(waiting)))
    if found.holds.pauses:
        items = tuple(say.sentence(trigger_words(one)) for one in found.holds.pauses)
        blocks.append(Note(say.plain("leading.pauses"), items, warning=True))
    if found.unseen:
        blocks.append(Note(say.plain("leading.unseen"), tuple(_unseen(trial)), warning=True))
    # Beside the counts of the designs, a conclusion would tell who was not given the product.
    if (changed := overturned(found)) and not trial.hides:
        blocks.append(Note(say.plain("leading.overturned", n=len(changed)), tuple(_overturned(trial, one) for one in changed)))
    if overdue := found.overdue:
        since = [say("leading.since", subject=data(status.subject), day=str(status.end)) for status in overdue]
        blocks.append(Note(say.plain("leading.overdue", n=len(overdue)), (_joined(since, ", "),), warning=True))
    if found.alarms:
        alarms = tuple(text(data(alarm)) for alarm in found.alarms)
        blocks.append(Note(say.plain("answers.uncounted"), alarms, warning=True))
    return blocks


def _unseen(trial: _Trial) -> list[Text]:
    """What the data do not say of serious events."""
    say, unseen = trial.say, trial.found.unseen
    words = []
    if unseen.no_table:
        everybody = len(unseen.no_table) == len(trial.found.evaluated.statuses)
        who = data(_some(unseen.no_table))
        words.append(say("leading.no_table") if everybody else say("leading.no_table_of", who=who))
    if unseen.no_seriousness:
        words.append(say("leading.no_seriousness"))
    if unseen.not_given:
        words.append(say("leading.not_given", n=unseen.not_given, who=data(_some(unseen.subjects))))
    return words


def _overturned(trial: _Trial, status: Status) -> Text:
    """A DLT by the definition with the adjudication that made the outcome another one."""
    said = status.adjudication
    assert said is not None
    given = {"conclusion": said.conclusion, "day": str(said.adjudicated_on), "by": data(said.adjudicated_by)}
    return trial.say("leading.overturned_by", subject=data(status.subject), **given)


_STATES = {"waits": "leading.waits", "open": "leading.open", "untreated": "leading.untreated"}


def _serious(trial: _Trial, event: SeriousEvent) -> Text:
    """A serious event with its dose group and its adjudication; no term."""
    say, said, group = trial.say, event.adjudication, trial.groups[event.subject]
    if trial.hides:
        state = say("leading.state_blinded")
    elif said is None:
        state = say(_STATES[event_state(trial.found, event)], part=event.part)
    else:
        state = say("leading.adjudicated", day=str(said.adjudicated_on), conclusion=said.conclusion, by=data(said.adjudicated_by))
    level = say("leading.level", level=group) if group.isdigit() else text("")
    words = event_words(trial.found, event)
    words = f"{words[:1].upper()}{words[1:]}"
    return say("leading.event", words=data(words), level=level, state=state)


def _next(trial: _Trial) -> Answer:
    say, found, one = trial.say, trial.found, trial.found.proposal
    because = [] if one.held else [say("answers.by_binding", design=data(found.binding), words=say.stopped(one.reason))]
    if one.decided is not None:
        because = [say.sentence(one.reason)]
    if found.holds:
        because += _held(trial)
    elif found.start is not None:
        if found.start.day is None:
            because.append(say("answers.no_start", words=found.start.words.removeprefix("no date can be named: ")))
        elif found.start.day == found.evaluated.as_of:
            because.append(say("answers.start_now", words=found.start.words))
        else:
            because.append(say("answers.start", day=str(found.start.day), words=found.start.words))
    because += [*(_caution(trial, one) for one in cautions(found)), *_readings(trial), *_parts(trial)]
    others = [(name, other) for name, other in found.proposals.items() if other.words != one.words]
    n = len(found.proposals)
    if n == 1:
        because.append(say("answers.alone"))
    elif not others:
        key = {"wait": "answers.agree_to_wait", "hold": "answers.all_held"}.get(one.action, "answers.agree")
        because.append(say(key, n=str(n)))
    else:
        which = _joined([say("answers.differs", design=data(name), next=other.words) for name, other in others])
        because.append(say("answers.differ", differing=str(len(others)), n=str(n), which=which))
    if stopped := _had_stopped(found):
        because.append(say("answers.had_stopped", designs=data(stopped)))
    because += _last_decision(trial)
    settles = found.alarms and not found.holds
    answer = say("answers.settle_first", words=found.words) if settles else say.sentence(found.words)
    return Answer(say.plain("answers.next"), answer, tuple(because))


def _caution(trial: _Trial, one: Caution | RecordCaution) -> Text:
    """What a committee must weigh beside the answer."""
    say = trial.say
    if isinstance(one, RecordCaution):
        key = "answers.altered" if one.kind == "altered" else "answers.unprotected"
        return say(key, n=len(one.rows), rows=one.numbers, file=data(one.file))
    level = str(one.level)
    decided = trial.found.proposal.decided
    if one.kind == "decision" and decided is not None:
        own = {"words": decided[1].words, "reason": decided[1].reason}
        return say("answers.below_decision", design=data(trial.found.binding), decision=data(decided[0]), **own)
    if one.kind == "closed":
        return say("answers.closed", level=level)
    counts = {"dlts": say("count.dlts", n=one.dlts), "n": say("count.patients", n=one.n)}
    if one.kind == "pooled":
        return say("answers.pooled", level=level, closes=str(one.closes_at), **counts)
    return say("answers.uncounted_dlts", **counts)


def _held(trial: _Trial) -> list[Text]:
    """What must come before enrolment goes on, and what the design would do without the hold."""
    say, found = trial.say, trial.found
    held = found.proposal.held
    until = [say("answers.until_adjudicated", n=len(found.holds.events))] if found.holds.events else []
    until += [say("answers.until_resumed")] if found.holds.pauses else []
    if found.holds.unplaced:
        who = data(listed([status.subject for status in found.holds.unplaced]))
        until.append(say("answers.until_settled", who=who))
    words = [say("answers.on_hold", until=_joined(until, say.plain("answers.and")))]
    if held is not None:
        words.append(say("answers.without_hold", design=data(found.binding), words=held.words, reason=held.reason))
    return words


def _readings(trial: _Trial) -> list[Text]:
    """Both readings of cohorts that the primary design had not planned, and which is taken."""
    say, both = trial.say, readings(trial.found.proposal)
    if both is None:
        return []
    who = {"who": data(_some(both.subjects)), "design": data(trial.found.binding)}
    if both.agree:
        return [say("answers.same_reading", **who)]
    key = "answers.taken_inside" if both.taken == "inside" else "answers.taken_outside"
    return [say("answers.readings", inside=both.inside.words, outside=both.outside.words, taken=say(key), **who)]


def _some(names: Sequence[str]) -> str:
    """A few names, and how many more there are."""
    more = len(names) - _FIRST_PAGE
    return listed(names) if more <= 0 else f"{', '.join(names[:_FIRST_PAGE])} and {more} more"


def _parts(trial: _Trial) -> list[Text]:
    """What each design counts of the parts outside the escalation."""
    say, found = trial.say, []
    for count in part_counts(trial.found):
        by = [say("answers.added", designs=data(", ".join(count.added_by)))] if count.added_by else []
        by += [say("answers.not_added", designs=data(", ".join(count.not_added_by)))] if count.not_added_by else []
        values = {"patients": say("count.patients", n=count.n), "dlts": say("count.dlts", n=count.dlts), "level": count.level}
        found.append(say("answers.part", part=count.part.capitalize(), by=_joined(by, ", "), **values))
    return found


def _last_decision(trial: _Trial) -> list[Text]:
    """The latest decision of the committee, and how many before it differ from the recommendation."""
    say, recorded = trial.say, trial.found.recorded
    if not recorded:
        return []
    last = recorded[-1]
    key = "answers.last_override" if last.override == "yes" else "answers.last_decision"
    said = {"decision": data(last.decision), "recommendation": data(last.recommendation), "design": data(last.binding)}
    before = sum(one.override == "yes" for one in recorded[:-1])
    more = [say("answers.overrides", n=before, all=len(recorded))] if before else []
    return [say(key, when=_met(trial, last), **said), *more]


def _met(trial: _Trial, one: Recorded) -> Text:
    """Date of the meeting with the data cutoff date, or that date alone where no meeting is on file."""
    if one.meeting is None:
        return trial.say("answers.cutoff", day=str(one.as_of))
    return trial.say("answers.meeting", meeting=str(one.meeting), day=str(one.as_of))


def _had_stopped(found: NextDose) -> str:
    """Designs by whose rules the trial was over before the last of its patients were treated."""
    return ", ".join(name for name, departed in found.deviations.items() if any(one.kind == "stopped" for one in departed))


def _joined(parts: Sequence[Text], between: str = "; ") -> Text:
    """Texts as one."""
    return tuple(run for place, part in enumerate(parts) for run in (*(text(between) if place else ()), *part))


def _safe(trial: _Trial) -> Answer:
    say, found = trial.say, trial.found
    doses = found.doses.to_dict("records")
    n, y = (sum(row[name] for row in doses) for name in ("counted", "dlts"))
    seen = say("answers.seen", dlts=say("count.dlts", n=y), patients=say("count.patients", n=n)) if n else say("answers.nobody")
    because = []
    unplaced = found.evaluated.unplaced
    if unplaced:
        dlts = say("count.dlts", n=sum(one.otherwise == "dlt" for one in unplaced))
        because.append(say("answers.unplaced", n=say("count.patients", n=len(unplaced)), dlts=dlts))
    waiting = [subject for subjects in found.evaluated.pending for subject in subjects]
    if waiting:
        because.append(say("answers.pending", who=data(listed(waiting))))
    if trial.analysis is not None:
        because += _over(trial)
    left = len(found.findings) + len(found.deviations.get(found.binding, ()))
    because.append(say("answers.left", n=left) if left else say("answers.no_deviations"))
    return Answer(say.plain("answers.safe"), seen, tuple(because))


_WHERE = {
    "next": "answers.where_next",
    "without hold": "answers.where_without_hold",
    "MTD": "answers.where_mtd",
    "current": "answers.where_current",
    "cause": "answers.where_cause",
}


def _over(trial: _Trial) -> list[Text]:
    """P(overdose) at the doses in question with its range over the curves, and the limits from the data alone."""
    say, summary, questions = trial.say, trial.summary, doses_in_question(trial.found)
    # After a de-escalation the range is that at the dose of the next patients.
    words = [line for question in questions for line in _over_at(trial, question, ranges=question is questions[-1])]
    shown = [question.level for question in questions]
    waiting = [one.level for one in trial.found.evaluated.statuses if one.kind == "pending" and one.level is not None]
    here = [level for level in waiting if level not in shown]
    if here:
        highest = max(here)
        over = f"{_share(summary, 'p_over', highest - 1)}%"
        pending = say("count.patients", n=here.count(highest))
        words.append(say("answers.over_pending", level=highest, over=over, patients=pending))
    return words


def _over_at(trial: _Trial, question: DoseInQuestion, ranges: bool) -> list[Text]:
    """P(overdose) at one dose, with its range over the curves if asked for, and the limit from the data of that dose alone."""
    say, summary, level = trial.say, trial.summary, question.level
    high, found = percent(summary.attrs["interval"][1], 0), overdose_range(summary, level)
    p = f"{_share(summary, 'p_over', level - 1)}%"
    words = [say("answers.over", level=level, where=say(_WHERE[question.why]), high=high, p=p)]
    if ranges and len(summary["curve"]) > 1:
        ends = {"low": percent(found.low), "low_curve": data(found.low_curve), "high_curve": data(found.high_curve)}
        words.append(say("answers.over_range", high=percent(found.high), **ends))
    here = trial.found.doses.to_dict("records")[level - 1]
    if here["counted"]:
        dlts, patients = say("count.dlts", n=here["dlts"]), say("count.patients", n=here["counted"])
        return [*words, say("answers.own", level=level, limit=percent(here["upper_limit"], 0), dlts=dlts, patients=patients)]
    return [*words, say("answers.over_prior", level=level)]


def _share(summary: xr.Dataset, name: str, at: Any) -> str:
    """A probability in percent, with its Monte Carlo standard error where it has one."""
    return tables.share({one: summary[one].values for one in (name, f"{name}_se") if one in summary}, name, at)


def _glance(trial: _Trial) -> Table:
    """Data and posterior by dose, the row of no dose first."""
    say, case, statuses = trial.say, trial.case, trial.found.evaluated.statuses
    columns = (case.column("level"), Column(say("patients.dose", unit=data(case.unit)), True))
    columns += tuple(Column(say(f"patients.{key}"), True) for key in ("treated", "pending", "counted", "dlt", "lost"))
    rows = []
    for row in trial.found.doses.to_dict("records"):
        lost = sum(one.level == row["level"] and one.kind in ("not evaluable", "replaced") for one in statuses)
        counts = (row[name] for name in ("treated", "pending", "counted", "dlts"))
        rows.append([str(row["level"]), f"{row['dose']:g}", *map(str, counts), str(lost)])
    if trial.analysis is None:
        return Table(say("answers.glance"), columns, tuple(tuple(map(text, row)) for row in rows))
    summary, binding = trial.summary, trial.found.binding
    predicted = "conclusion" in summary
    columns += (Column(say("answers.over_head"), True), Column(say("answers.mtd_here"), True))
    columns += (Column(say("answers.selects", design=data(binding)), True),) if predicted else ()
    rows.insert(0, [say.plain("answers.none"), *[""] * 6])
    for place, row in enumerate(rows):
        row += ["" if place == 0 else _share(summary, "p_over", place - 1), _share(summary, "mtd", place)]
        if predicted:
            design = summary["design"].values.tolist().index(binding)
            row.append(_share(summary, "conclusion", (design, place)))
    rates = {"high": percent(summary.attrs["interval"][1], 0), "target": percent(summary.attrs["target"], 0)}
    notes = [say("answers.glance_note", curve=data(summary.attrs["curve_used"]), **rates)]
    notes += [say("answers.glance_selects", design=data(binding))] if predicted else []
    return Table(say("answers.glance"), columns, tuple(tuple(map(text, row)) for row in rows), tuple(notes))


def _sure(trial: _Trial) -> Answer:
    say = trial.say
    question = say.plain("answers.sure")
    if trial.analysis is None:
        return Answer(question, say("answers.no_curve"), (*_standing(trial), say("answers.no_curve_why")))
    summary = trial.summary
    chances = summary["mtd"].values
    likeliest = int(chances.argmax())
    # The most likely of several places, none of which has half of the probability, is no answer.
    key = "answers.mtd" if chances[likeliest] > 0.5 else "answers.mtd_open"
    answer = say(key, where=_where(trial, likeliest), p=f"{_share(summary, 'mtd', likeliest)}%")
    against = []
    if (found := contradiction(trial.found, summary)) is not None:
        proposal = trial.found.proposal
        place = {"where": _where(trial, found.place), "p": percent(found.p)}
        if proposal.decided is not None:
            against = [say("answers.decision_contradicts", decision=data(proposal.decided[0]), **place)]
        else:
            next_ = (proposal.held or proposal).words
            against = [say("answers.contradicts", design=data(trial.found.binding), words=next_, **place)]
    return Answer(question, answer, (*against, *_standing(trial), *_concluded(trial)))


def _standing(trial: _Trial) -> list[Text]:
    """The MTD or the maximum administered dose once the escalation has ended, the decision of the committee, and its support."""
    say, now, design = trial.say, standing(trial.found), data(trial.found.binding)
    words = []
    if now.mtd is not None and trial.found.proposal.decided is not None:
        words.append(say("standing.mtd_decided", level=now.mtd, dose=trial.case.dose(now.mtd)))
    elif now.mtd is not None:
        words.append(say("standing.mtd", design=design, level=now.mtd, dose=trial.case.dose(now.mtd)))
    elif now.maximum_administered is not None:
        words.append(say("standing.mad", level=now.maximum_administered, dose=trial.case.dose(now.maximum_administered)))
    elif now.ended:
        words.append(say("standing.no_mtd", design=design))
    elif trial.found.proposal.action == "stop":
        words.append(say("standing.not_yet"))
    decided = [one for one in (now.recorded, now.rp2d) if one is not None]
    words += [say("standing.recorded", decision=data(one.decision), when=_met(trial, one)) for one in decided]
    if now.rp2d is None and (now.ended or now.recorded is not None):
        words.append(say("standing.not_recorded"))
    if trial.analysis is not None:
        words.append(_support(trial))
    return words


def _support(trial: _Trial) -> Text:
    """The dose that meets the rule for an RP2D, with the reason."""
    attrs = trial.summary.attrs
    return trial.say("standing.support", dose=support_words(attrs), reason=trial.say.sentence(attrs["rp2d_reason"]))


def _concluded(trial: _Trial) -> list[Text]:
    """What the binding design will most probably name, where the trial goes on."""
    say, summary = trial.say, trial.summary
    if trial.found.proposal.action == "stop" or "conclusion" not in summary:
        return []
    at = summary["design"].values.tolist().index(trial.found.binding)
    chances, top = summary["conclusion"].values[at], float(summary["conclusion_not_reached"].values[at])
    place = int(chances.argmax())
    named = say("answers.concluded_level", level=place) if place else say("answers.concluded_none")
    share = f"{_share(summary, 'conclusion', (at, place))}%"
    words = [say("answers.conclusion", design=data(trial.found.binding), named=named, p=share)]
    if place == len(chances) - 1 and top >= tables.LEAST_SHARE:
        words.append(say("answers.reached", p=percent(top)))
    return words


def _where(trial: _Trial, place: int) -> Text:
    """Where the MTD lies: one part of the partition, the first of which is below every level and the last one open upwards."""
    last = len(trial.summary["mtd_level"]) - 1
    if place == 0:
        return trial.say("where.below", level=1)
    return trial.say("where.above" if place == last else "where.at", level=place)


# The second page: events, and patients without a known outcome.


def _events(trial: _Trial) -> Section:
    """Every DLT, serious event and event of grade 3 or worse; patients who are not evaluable; patients who are pending."""
    say = trial.say
    blocks: list[Block] = [_event_table(trial), *_adjudications(trial), *_lost(trial), *_pending(trial)]
    if trial.blinded:
        blocks.append(Note(say.plain("events.blinded_title"), (say("events.blinded"),)))
    return Section("events", say("events.title"), tuple(blocks))


def _event_table(trial: _Trial) -> Block:
    say, evaluated = trial.say, trial.found.evaluated
    events = safety_events(evaluated, trial.amended, trial.blinded)
    if not events:
        known = any(patient.events is not None for patient in evaluated.patients)
        return Paragraph(say("events.none" if known else "events.unknown"))
    terms = trial.case.protocol.report.terms
    keys = ["level", "day", *(["term"] if terms else []), "grade", "relationship", "serious", "outcome", "derived", "adjudicated"]
    numeric = {"level", "day", "grade"}
    # Beside the counts of the designs, a conclusion would tell who was not given the product.
    last = len(keys) - (2 if trial.hides else 0)
    columns = (trial.case.column("subject"), *(Column(say(f"events.{key}"), key in numeric) for key in keys[:last]))
    rows = tuple((text(data(one.subject)), *_event_cells(trial, one, terms)[:last]) for one in events)
    return Table(say("events.table"), columns, rows, (say("events.note_blinded" if trial.hides else "events.note"),))


_DERIVED = {"DLT": "events.is_dlt", "not a DLT": "events.no_dlt", "open": "events.open"}


def _event_cells(trial: _Trial, one: SafetyEvent, terms: bool) -> list[Text]:
    """Cells of an event after that of the patient."""
    say, event = trial.say, one.event
    unknown = say("events.not_given")
    what = text(data(event.term)) if event else say("events.death" if one.death else "events.dlt_column")
    serious = None if event is None else event.serious
    yes = serious is True or one.death
    cells = [_group_words(trial, one.group), _event_day(one)]
    cells += [what] if terms else []
    cells.append(text("") if event is None else unknown if event.grade is None else text(str(event.grade)))
    cells.append(text("") if event is None else unknown if event.related is None else text(data(event.related)))
    cells.append(say("events.yes") if yes else say("events.no") if serious is False else text(""))
    cells.append(say("events.fatal") if one.death else text(data(event.outcome)) if event and event.outcome else text(""))
    cells.append(say(_DERIVED[one.derived]))
    cells.append(text(one.adjudicated) if one.adjudicated else say("events.waits") if one.waits else text(""))
    return cells


def _event_day(one: SafetyEvent) -> Text:
    """The study day of an event, or its partial date."""
    if one.study_day is not None:
        return text(str(one.study_day))
    return text(data(one.event.days.text)) if one.event is not None and one.event.days and one.event.days.text else text("")


def _group_words(trial: _Trial, group: str) -> Text:
    """A dose group as a cell."""
    if group == NO_LEVEL:
        return trial.say("common.unknown_level")
    return trial.say("events.hidden") if group == HIDDEN else text(group)


def _adjudications(trial: _Trial) -> list[Block]:
    """Adjudications in force, with their reasons; none where a conclusion would tell who was not given the product."""
    say, rows = trial.say, []
    terms = trial.case.protocol.report.terms
    for one in () if trial.hides else trial.found.adjudicated:
        event = say("events.assessment") if one.of_assessment else text(data(one.term)) if terms else say("events.event")
        cells = [text(data(one.subject)), event, text("" if one.event_date is None else str(one.event_date))]
        cells += [text("" if one.grade is None else str(one.grade)), text(one.conclusion), text(str(one.adjudicated_on))]
        rows.append((*cells, text(data(one.adjudicated_by)), *([text(data(one.reason))] if terms else [])))
    keys = ["about", "onset", "grade", "conclusion", "on", "by", *(["reason"] if terms else [])]
    columns = (trial.case.column("subject"), *(Column(say(f"events.{key}"), key == "grade") for key in keys))
    return [Table(say("events.adjudications"), columns, tuple(rows))] if rows else []


def _lost(trial: _Trial) -> list[Block]:
    """Patients who are not evaluable for DLT, with the reason."""
    say, evaluated = trial.say, trial.found.evaluated
    reasons = {patient.subject: patient.reason for patient in evaluated.patients}
    lost = [
        status
        for status in evaluated.statuses
        if status.kind in ("not evaluable", "replaced") and not (trial.blinded and status.part in UNTREATED)
    ]
    if not lost:
        return []
    terms = trial.case.protocol.report.terms and any(reasons[status.subject] for status in lost)
    columns = (trial.case.column("subject"), Column(say("events.level"), True), Column(say("events.why")))
    columns += (Column(say("events.left")),) if terms else ()
    rows = []
    for status in lost:
        # Without the events that were looked at, which the table above has, and without the key of the setting.
        rule = status.rule.partition("; adverse event")[0].partition(" (evaluability.")[0]
        row = (text(data(status.subject)), _group_words(trial, trial.groups[status.subject]), text(data(rule)))
        rows.append((*row, text(data(reasons[status.subject] or ""))) if terms else row)
    return [Table(say("events.lost"), columns, tuple(rows))]


def _pending(trial: _Trial) -> list[Block]:
    """Patients without a known outcome: end of the window and last contact."""
    say, evaluated = trial.say, trial.found.evaluated
    contacts = {patient.subject: patient.last_contact for patient in evaluated.patients}
    waiting = [status for status in evaluated.statuses if (status.otherwise or status.kind) == "pending"]
    if not waiting:
        return []
    keys = ("window_ends", "last_contact", "to_go", "state")
    columns = (trial.case.column("subject"), Column(say("events.level"), True), *(Column(say(f"events.{key}")) for key in keys))
    rows = []
    for status in waiting:
        contact = contacts[status.subject]
        held = status.held and not trial.hides
        state = say("events.overdue") if status.overdue else say("events.waits") if held else text("")
        cells = (str(status.end), "" if contact is None else str(contact), str(status.days_to_go))
        group = _group_words(trial, trial.groups[status.subject])
        rows.append((text(data(status.subject)), group, *map(text, cells), state))
    questions = [
        say("events.question", subject=data(status.subject), question=data(question.words))
        for status in waiting
        for question in status.questions
    ]
    return [Table(say("events.pending"), columns, tuple(rows), tuple(questions))]


def _safety(trial: _Trial) -> Section:
    """The safety set: adverse events by dose, worst grades, and terms where they are shown."""
    say, found = trial.say, safety_set(trial.found.evaluated, trial.blinded)
    table = found["safety"].to_dict("records")
    counts = ("treated", "ae_patients", "ae_events", "grade3_patients", "grade3_events", "sae_patients", "sae_events", "deaths")
    grades = [f"worst_{grade}" for grade in range(1, 6)]
    worst = ("worst_none", *grades, "worst_unknown")
    heading = Column(say("safety.level"))
    blocks: list[Block] = [
        Paragraph(say("safety.intro")),
        Table(
            say("safety.table"),
            (heading, *(Column(say(f"safety.{key}"), True) for key in counts)),
            tuple((_row_words(trial, row["level"]), *(_count_cell(row[key]) for key in counts)) for row in table),
            (say("safety.not_told"),) if found["safety"].isna().any(axis=None) else (),
        ),
    ]
    if any(patient.events is not None for patient in trial.found.evaluated.patients):
        shown = [text(key[-1]) if key in grades else say(f"safety.{key}") for key in worst]
        columns = (heading, *(Column(words, True) for words in shown))
        rows = tuple((_row_words(trial, row["level"]), *(_count_cell(row[key]) for key in worst)) for row in table)
        blocks.append(Table(say("safety.worst"), columns, rows))
    terms = found["terms"]
    if len(terms) and trial.case.protocol.report.terms:
        blocks.append(_terms(trial, terms, [str(row["level"]) for row in table]))
    return Section("safety", say("safety.title"), tuple(blocks))


def _row_words(trial: _Trial, level: str) -> Text:
    """Dose group at the head of a row."""
    return trial.say("patients.all") if level == "all" else _group_words(trial, level)


def _level_words(trial: _Trial, level: str) -> Text:
    """Dose group at the head of a column."""
    return trial.say("oc.level", level=level) if level.isdigit() else _row_words(trial, level)


def _count_cell(value: Any) -> Text:
    """A count; a dash where the data do not tell it."""
    return text("\u2013" if value is None or str(value) == "<NA>" else str(value))


def _terms(trial: _Trial, terms: pd.DataFrame, levels: Iterable[str]) -> Table:
    """Patients (events) by system organ class, term and dose group."""
    say = trial.say
    classes = any(terms["organ_class"])
    columns = (Column(say("safety.class")),) if classes else ()
    columns += (Column(say("safety.term")), *(Column(_level_words(trial, level), True) for level in levels))
    columns += (Column(say("safety.worst_head"), True),)
    rows = []
    for key, own in terms.groupby(["organ_class", "term"], sort=False):
        organ_class, term = cast(tuple[str, str], key)
        at = own.set_index("level")
        cells = [f"{at.loc[level, 'patients']} ({at.loc[level, 'events']})" if level in at.index else "0" for level in levels]
        head = [text(data(organ_class or "\u2013"))] if classes else []
        rows.append((*head, text(data(term)), *map(text, cells), _count_cell(at.loc["all", "worst_grade"])))
    return Table(say("safety.terms"), columns, tuple(rows))


# Who is evaluable.


def _went(trial: _Trial) -> list[Block]:
    """The trial as it went, in a picture, of patients who were given the product."""
    from ...plots import trial as picture

    statuses = trial.found.evaluated.statuses
    treated = [status for status in statuses if status.part not in UNTREATED]
    # The picture has each patient at the dose given, so that a blinded one would show who is missing.
    if not treated or trial.hides:
        return []
    audit = trial.found.evaluated.audit().assign(status=[one.otherwise or one.kind for one in statuses])
    shown = audit.loc[audit["subject"].isin([status.subject for status in treated])]
    return [Figure(picture(shown, protocol=trial.case.protocol), trial.say("patients.went"))]


def _patients(trial: _Trial) -> Section:
    say, case, evaluated = trial.say, trial.case, trial.found.evaluated
    blocks = _went(trial)
    if evaluated.statuses:
        columns = (case.column("subject"), *(case.column(name, True) for name in ("cohort", "level")))
        columns += (Column(say("patients.dose", unit=data(case.unit)), True), case.column("status"))
        given = {one.subject: _dose_given(trial, one) for one in evaluated.patients}
        rows = tuple(
            (
                text(data(one.subject)),
                text("" if one.cohort is None or trial.groups[one.subject] == HIDDEN else str(one.cohort)),
                _group_words(trial, trial.groups[one.subject]),
                given[one.subject],
                _status(trial, one),
            )
            for one in sorted(evaluated.statuses, key=lambda one: (0 if trial.hides else one.cohort or 0, one.first, one.subject))
        )
        blocks += [
            Table(say("patients.profile"), columns, rows, (say("patients.status", last=tables.last_days(evaluated)),)),
            _counts(trial),
        ]
    else:
        blocks.append(Paragraph(say("patients.nobody")))
    notes = [say.sentence(evaluated.closing()), *(say.sentence(note) for note in evaluated.notes if not trial.hides)]
    return Section("patients", say("patients.title"), (*blocks, Bullets(tuple(notes))))


def _dose_given(trial: _Trial, patient: Patient) -> Text:
    """Return the dose administered, with the assigned one where it differs; that of the dose group where the report is blinded."""
    group = trial.groups[patient.subject]
    if trial.blinded and group != NO_LEVEL:
        return text(f"{trial.case.protocol.doses.amounts[int(group) - 1]:g}" if group.isdigit() else "")
    if patient.as_assigned:
        return text(f"{patient.amount:g}")
    amounts = ", ".join(f"{amount:g}" for amount in patient.administered)
    return trial.say("patients.administered", administered=amounts, assigned=f"{patient.amount:g}")


def _status(trial: _Trial, one: Status) -> Text:
    """Status of a patient, including patients excluded from the counts, and the part of the trial."""
    say = trial.say
    said = say(f"status.{(one.otherwise or one.kind).replace(' ', '_')}")
    if trial.hides and (one.otherwise or one.kind) in _KNOWN:
        return say("patients.counted")
    if one.part in UNTREATED:
        return said if trial.blinded else say("patients.part", status=said, part=one.part)
    if one.otherwise is not None:
        return say("patients.uncounted", status=said)
    if one.adjudication is not None and not trial.hides:
        said = say("patients.adjudicated", status=said, words=tables.adjudicated(one))
    return said if one.part == "escalation" else say("patients.part", status=said, part=one.part)


# Kinds of status of a known outcome, which a blinded report does not tell apart.
_KNOWN = ("dlt", "complete")


def _counts(trial: _Trial) -> Table:
    """Patients of each dose group by status."""
    say, case, statuses = trial.say, trial.case, trial.found.evaluated.statuses
    kinds: dict[str, tuple[str, ...]] = {kind.replace(" ", "_"): (kind,) for kind in KINDS}
    if trial.hides:
        kinds = {"counted": _KNOWN} | {key: kind for key, kind in kinds.items() if key not in _KNOWN}
    columns = (
        case.column("level"),
        Column(say("patients.dose", unit=data(case.unit)), True),
        Column(say("patients.treated"), True),
        *(Column(say(f"patients.{key}"), True) for key in kinds),
    )
    amounts = {str(level): f"{dose:g}" for level, dose in enumerate(case.protocol.doses.amounts, start=1)}
    groups = [*amounts, *sorted({*trial.groups.values()} - {*amounts, HIDDEN})] if HIDDEN not in trial.groups.values() else []
    rows = []
    for group in groups:
        here = [one.otherwise or one.kind for one in statuses if trial.groups[one.subject] == group]
        cells = [str(len(here)), *(str(sum(map(here.count, kind))) for kind in kinds.values())]
        rows.append((_group_words(trial, group), text(amounts.get(group, "")), *map(text, cells)))
    everybody = [one.otherwise or one.kind for one in statuses]
    cells = ["", str(len(everybody)), *(str(sum(map(everybody.count, kind))) for kind in kinds.values())]
    rows.append((say("patients.all"), *map(text, cells)))
    return Table(say("patients.counts"), columns, tuple(rows))


# What the data say of the doses.


def _rates(trial: _Trial) -> Section:
    from ...plots import curve, intervals, prior_posterior

    assert trial.analysis is not None
    say, case, summary = trial.say, trial.case, trial.summary
    attrs = summary.attrs
    made = {"curve": data(attrs["curve_used"]), "engine": tables.engine(attrs)}
    intro = say("posterior.made", outcomes=attrs["outcomes"], **made) if attrs["outcomes"] else say("posterior.made_prior", **made)
    intro += say("posterior.others", others=attrs["others"]) if attrs["others"] else ()
    pooled = say("posterior.pooled", limit=percent(attrs["pooled_upper_limit"], 0))
    blocks: tuple[Block, ...] = (
        Paragraph(intro),
        *([Paragraph(pooled)] if (summary["n"].values > 0).sum() > 1 else []),
        Figure(curve(trial.analysis), say("posterior.curve")),
        dose_table(case, summary, say("posterior.doses")),
        Figure(intervals(trial.analysis), say("posterior.intervals")),
    )
    prior: tuple[Block, ...] = (
        Paragraph(say("prior.intro")),
        Figure(prior_posterior(trial.analysis), say("prior.picture")),
        _prior_beside(trial),
    )
    return Section("rates", say("posterior.title"), blocks, (Section("prior", say("prior.title"), prior),))


def _prior_beside(trial: _Trial) -> Table:
    say, values = trial.say, {str(name): variable.values for name, variable in trial.summary.variables.items()}
    keys = ("over_before", "over_now", "mean_before", "mean_now", "worth", "treated", "alone")
    columns = (trial.case.column("level"), *(Column(say(f"prior.{key}"), True) for key in keys))
    rows = []
    for d, level in enumerate(values["dose"]):
        cells = [f"{100 * values[name][d]:.1f}" for name in ("prior_p_over", "p_over", "prior_mean", "mean")]
        cells += [f"{values['prior_effective_n'][d]:.1f}", str(values["n"][d])]
        cells.append(f"{100 * values['upper_limit'][d]:.0f}" if values["n"][d] else "\u2013")
        rows.append(tuple(map(text, (str(level), *cells))))
    return Table(say("prior.table"), columns, tuple(rows))


def _mtd(trial: _Trial) -> Section:
    from ...plots import mtd

    assert trial.analysis is not None
    say, summary = trial.say, trial.summary
    values = {str(name): variable.values for name, variable in summary.variables.items()}
    labels = [str(label) for label in values["mtd_level"]]
    columns = (Column(say("mtd.when")), *(Column(_where(trial, place), True) for place in range(len(labels))))
    before = [f"{100 * p:.1f}" for p in values["prior_mtd"]]
    now = [tables.share(values, "mtd", place) for place in range(len(labels))]
    rows = tuple((say(f"mtd.{key}"), *map(text, cells)) for key, cells in (("before", before), ("now", now)))
    on_scale = tables.mtd_amount(values, summary["dose_amount"].attrs["units"])
    rates = {"target": percent(summary.attrs["target"], 0)}
    caption = say("mtd.table", **rates)
    blocks: list[Block] = [Figure(mtd(trial.analysis), say("mtd.picture"))]
    notes = (text(data(on_scale)),) if on_scale else ()
    blocks.append(Table(caption, columns, rows, (*notes, say("mtd.two_meanings", **rates))))
    blocks += [Paragraph(line) for line in _standing(trial)]
    if summary.attrs["undecided"] and not json.loads(summary.attrs["problems"]):
        blocks.append(Note(say.plain("answers.bear"), (say("mtd.undecided"),)))
    if "utility" in values:
        blocks.append(_utility(trial, values))
    blocks.append(_by_curve(trial, values))
    return Section("mtd", say("mtd.title"), tuple(blocks))


def _utility(trial: _Trial, values: dict[str, Any]) -> Table:
    say = trial.say
    columns = (
        trial.case.column("level"),
        *(Column(say(f"mtd.{key}"), True) for key in ("utility_mean", "utility_sd", "utility_best")),
    )
    rows = [
        (str(level), tables.share(values, "utility", d, 1), f"{values['utility_sd'][d]:.1f}", tables.share(values, "p_best", d))
        for d, level in enumerate(values["dose"])
    ]
    return Table(say("mtd.utility"), columns, tuple(tuple(map(text, row)) for row in rows))


def _by_curve(trial: _Trial, values: dict[str, Any]) -> Table:
    say = trial.say
    columns = (Column(say("mtd.curve")), trial.case.column("rp2d", True))
    columns += tuple(Column(say("columns.over", level=level), True) for level in values["dose"])
    rows = []
    for place, name in enumerate(values["curve"]):
        cells = [str(values["rp2d_by_curve"][place]), *(f"{100 * p:.1f}" for p in values["p_over_by_curve"][place])]
        rows.append((text(data(name)), *map(text, cells)))
    return Table(say("mtd.by_curve"), columns, tuple(rows))


def _conclusion(trial: _Trial) -> Section:
    say = trial.say
    values = {str(name): variable.values for name, variable in trial.summary.variables.items()}
    if "conclusion" not in values:
        return Section("conclusion", say("conclusion.title"), (Paragraph(say("conclusion.others")),))
    labels = [text(label) if label == "none" else say("oc.level", level=label) for label in values["choice"]]
    columns = (trial.case.column("design"), *(Column(label, True) for label in labels))
    columns += (Column(say("conclusion.not_reached"), True),)
    rows = []
    for d, name in enumerate(values["design"]):
        cells = [tables.share(values, "conclusion", (d, place)) for place in range(len(labels))]
        rows.append((text(data(name)), *map(text, (*cells, tables.share(values, "conclusion_not_reached", d)))))
    stopped = _had_stopped(trial.found)
    notes = (say("conclusion.stopped", designs=data(stopped)),) if stopped else ()
    table = Table(say("conclusion.table"), columns, tuple(rows), notes)
    return Section("conclusion", say("conclusion.title"), (Paragraph(say("conclusion.intro")), table))


# What the designs say, and what was decided.


def _designs(trial: _Trial) -> Section:
    say, case, found = trial.say, trial.case, trial.found
    binding = data(found.binding)
    shown = found.designs if any(found.designs["admissible"]) else found.designs.drop(columns="admissible")
    blocks: list[Block] = [frame(case, shown, say("designs.table", binding=binding))]
    if len(found.completions):
        blocks.append(frame(case, _by_completion(trial), say("designs.completions", binding=binding)))
    if len(found.what_if):
        either = any("; or " in str(cell) for row in found.what_if.to_dict("records") for cell in row.values())
        blocks.append(frame(case, found.what_if, say("designs.what_if"), *([say("designs.either")] if either else [])))
    # Of a trial that no cohort follows there is no path, only what is supposed of those pending.
    if len(found.paths) and any(found.paths["path"]):
        after = found.paths.attrs["after"] or say.plain("designs.nobody")
        supposed = say.plain("designs.supposed") if found.supposes else ""
        caption = say("designs.paths", binding=binding, after=after, supposed=supposed)
        rates = "; ".join(f"{name}: {', '.join(f'{100 * p:.3g}%' for p in true)}" for name, true in case.protocol.scenarios.items())
        note = say("designs.scenarios", rates=data(rates))
        blocks.append(frame(case, case.with_reasons(found.paths), caption, note))
    inner = Section(
        "rules",
        say("method.rules"),
        (Paragraph(say("method.rules_intro")), rules(case, json.loads(found.attrs["rules"]), say.plain("method.every"))),
    )
    return Section("designs", say("designs.title"), tuple(blocks), (inner,))


def _by_completion(trial: _Trial) -> pd.DataFrame:
    """A row a way in which the pending outcomes can come out: what the binding design would do, and which others would not."""
    found = trial.found
    own = named_column("design", found.binding)
    shown = found.completions.loc[:, ["further DLTs", "ways", own]]
    others = {name: named_column("design", name) for name in found.proposals if name != found.binding}
    said = [
        "; ".join(f"{name}: {row[one]}" for name, one in others.items() if row[one] != row[own])
        for row in found.completions.to_dict("records")
    ]
    return shown.assign(**{trial.say.plain("designs.others"): said})


def _deviations(trial: _Trial) -> Section:
    say, case, found, every = trial.say, trial.case, trial.found, trial.found.tables["findings"]
    # Only the design that binds can be deviated from; what others would have done is for comparison.
    beside = every["rule"].isin([f"rules of {name}" for name in found.deviations if name != found.binding])
    left, other = every.loc[~beside], every.loc[beside, ["rule", "finding"]]
    blocks: list[Block] = [Paragraph(say("deviations.none"))]
    if len(left):
        rules = ", ".join(found.assumed_rules)
        blocks = [frame(case, left, say("deviations.table"), *([say("deviations.assumed", rules=rules)] if rules else []))]
    if len(other):
        blocks.append(frame(case, other, say("deviations.beside", binding=data(found.binding))))
    if trial.found.recorded:
        numbered = found.tables["recorded"].astype(object).fillna("").astype(str)
        numbered.insert(0, "number", [str(number) for number in range(1, len(numbered) + 1)])
        shown = numbered.filter(["number", "meeting", "as_of", "recommendation", "decision", "override", "reason"])
        shown["followed"] = found.followed
        blocks.append(frame(case, shown, say("deviations.recorded")))
        about = numbered.filter(["number", "attendees", "conditions", "protocol_version", "software_version"])
        blocks.append(frame(case, about, say("deviations.recorded_about")))
    else:
        blocks.append(Paragraph(say("deviations.no_recorded")))
    return Section("deviations", say("deviations.title"), tuple(blocks))


def _method(trial: _Trial) -> Section:
    say, analysis = trial.say, trial.analysis
    first = []
    if analysis is not None:
        attrs = analysis.summary.attrs
        first.append(say("method.posterior", engine=tables.engine(attrs), curve=data(attrs["curve_used"])))
    section = method(trial.case, trial.found.attrs, first, None if analysis is None else analysis.summary)
    section = replace(section, blocks=(*section.blocks, *_amendments(trial)))
    if analysis is None:
        return section
    said = definitions(tables.ANALYSED | say.table("analysed"), analysis.summary)
    inner = Section("definitions", say("method.definitions"), (said,))
    return replace(section, sections=(*section.sections, inner))


def _amendments(trial: _Trial) -> list[Block]:
    """What each amendment changed, with the values before and after."""
    say, rows = trial.say, []
    for change in trial.amended.changes:
        later = change.date > trial.found.evaluated.as_of
        when = say("amendments.later", date=str(change.date)) if later else text(str(change.date))
        given = (change.before, change.after)
        values = (say.plain("events.not_given") if value is None else tables.cell(plain(value)) for value in given)
        cells = (change.version or "", change.key, *values, change.why or "")
        rows.append((when, *(text(data(cell)) for cell in cells)))
    columns = tuple(Column(say(f"amendments.{key}")) for key in ("date", "version", "key", "before", "after", "why"))
    return [Table(say("amendments.table"), columns, tuple(rows))] if rows else []


def _signatures(trial: _Trial) -> Section:
    say = trial.say
    columns = tuple(say.plain(f"signature.{key}") for key in ("role", "name", "signature", "date"))
    people = tuple(say.plain(f"signature.{key}") for key in ("chair", "investigator", "monitor", "statistician"))
    blocks: tuple[Block, ...] = (
        Space(say("signature.intro"), 2),
        Space(say("signature.reason"), 4),
        Signature(say("signature.caption"), columns, people),
    )
    return Section("signatures", say("signature.title"), blocks)
