"""The report for the meeting that decides on the next step of a trial with patients, at a data cutoff date."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ...adjudications import Adjudicated
from ...config import Trial
from ...efficacy.responses import response_outcomes
from ...evaluability import HIDDEN, KINDS, NO_LEVEL, UNTREATED, SafetyEvent, Status, safety_events, safety_set
from ...evaluability.evaluated import Kind
from ...figures import percent
from ...intake.measurements import Measurements
from ...patients import Patient, Patients
from ...protocol import Protocol
from ...summaries import support_words
from ...tasks import Analysis, NextDose, analyze, next_dose, sensitivity, summarize_endpoints
from ...tasks.stamps import plain
from ...tasks.standing import DoseInQuestion, contradiction, doses_in_question, overdose_range
from ...words import _, language, marked, n_patients
from ..content import (
    Answer,
    Answers,
    Block,
    Definitions,
    Document,
    Figure,
    Note,
    Paragraph,
    Run,
    Section,
    Signature,
    Space,
    Table,
    Text,
    data,
    filled,
    table,
    text,
)
from . import common, efficacy, endpoints
from .analysis import Estimates, engine_words
from .comparison import LEAST_SHARE
from .next_dose import Conduct, adjudicated, kind_words, window_words
from .paths import Paths
from .pieces import assumed, facts, labels, limits, method, sensitivity_table, short_hash
from .waiting import waiting_blocks

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["conduct_report"]


@dataclass(frozen=True)
class _Report:
    """A trial at its data cutoff date: the next step, and the posterior where the protocol has a curve.

    Attributes
    ----------
    protocol
        The protocol in force at the data cutoff date.
    shown
        The next step as it is shown.
    analysis
        The posterior; ``None`` without a curve.
    blinded
        Whether nothing may show which patients were not given the product.
    amended
        The protocol with its amendments, by which patients are judged.
    """

    protocol: Protocol
    shown: Conduct
    analysis: Analysis | None
    blinded: bool
    amended: Protocol

    @property
    def found(self) -> NextDose:
        return self.shown.found

    @property
    def hides(self) -> bool:
        """Return whether there are patients whose assignment a blinded report must not show."""
        return self.shown.hides

    @property
    def terms(self) -> bool:
        """Return whether terms of adverse events and reasons in the words of the data are shown."""
        return self.protocol.report.terms

    @property
    def estimates(self) -> Estimates:
        assert self.analysis is not None
        return Estimates(self.analysis.summary)


def conduct_report(
    trial: Trial,
    patients: Patients,
    as_of: date | None,
    *,
    replay: bool = False,
    design: str | None = None,
    curve: str | None = None,
    decisions: Path | str | None = None,
    adjudications: Path | str | Sequence[Adjudicated] = (),
    final: bool = False,
    measurements: Measurements | None = None,
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
    analyzed = current
    if found.binding not in current.without_calendar:
        # The conclusion is predicted for the primary design, one that decides with outcomes pending too.
        analyzed = replace(current, protocol=protocol.model_copy(update={"binding": found.binding}))
    # By the reading that the answer takes: cohorts set aside stand beside the escalation.
    read = found.evaluated_for(found.binding)
    cohorts, others, given = read.cohorts(), read.beside(), read.administered
    wanted = protocol.curves or curve is not None
    # What a design selects can depend on outcomes still to come outside the escalation too.
    predicts = not any(read.open[len(read.members) :])
    responses = response_outcomes(evaluated, protocol)
    known = {"curve": curve, "others": others, "administered": given, "weighted": read.weighted}
    given = {"courses": read.courses, "responses": responses, "predicts": predicts}
    analysis = analyze(analyzed, cohorts, **known, **given) if wanted else None
    there = any(status.part in UNTREATED for status in evaluated.statuses)
    blinded = there if protocol.report.blinded is None else protocol.report.blinded
    shown = Conduct.of(found, blinded=blinded, document=True)
    report = _Report(protocol, shown, analysis, blinded, trial.protocol)
    sections = [_summary(report), _events(report), _safety(report), _patients(report)]
    if analysis is not None:
        varied = sensitivity(current, cohorts, **known, courses=read.courses)
        sections += [_rates(report), _mtd(report), *_infusions(report), *_efficacy(report), _conclusion(report)]
        caption = text(_("Dose within the limit, MTD and P(overdose) with one assumption changed at a time."))
        table = sensitivity_table(varied, caption)
        sections.append(Section("sensitivity", text(_("Sensitivity analysis")), (table,)))
    if blocks := waiting_blocks(found.waiting, hides=report.hides):
        sections.append(Section("waiting", text(_("Decide now or wait")), blocks))
    attrs = found.attrs
    if measurements is not None:
        measured = summarize_endpoints(trial, patients, measurements, evaluated.as_of)
        sections.append(endpoints.Shown(measured).section(hides=report.hides))
        own = [one for one in measured.attrs["assumptions"] if one.key.startswith("endpoints")]
        attrs = attrs | {"assumptions": [*attrs["assumptions"], *own]}
    sections += [_designs(report), _deviations(report), _method(report), limits(report.protocol, "conduct")]
    # A page to sign is one page.
    sections += [replace(assumed(attrs), own_page=True), _signatures()]
    cut = found.attrs["as_of"]
    return Document(
        title=filled(_("{protocol}: report for the dose-escalation meeting"), protocol=data(protocol.record.id)),
        subtitle=filled(_("Data cutoff {day}"), day=cut),
        language=language(),
        date=cut,
        facts=_facts(report),
        sections=tuple(sections),
        labels=labels(),
    )


def _facts(report: _Report) -> Definitions:
    attrs = report.found.attrs
    cut = text(attrs["as_of"])
    if attrs["as_of_assumed"]:
        cut = filled(_("{day} (assumed: the last date in the data)"), day=attrs["as_of"])
    more = (("cut", cut), ("binding", text(report.shown.design)), ("data_hash", short_hash(attrs["data_sha256"])))
    return facts(report.protocol, attrs, *more)


# The first page: what leads, then what next, how safe, how sure.


def _summary(report: _Report) -> Section:
    shown = report.shown
    answers = Answers((shown.next(), shown.safe(_limits(report)), _sure(report)))
    blocks: list[Block] = [*shown.leading(), answers, _glance(report)]
    assumptions = common.assumed_words(report.found.attrs)
    notes = [] if report.analysis is None else [*report.estimates.untrusted(), *report.estimates.cautions()]
    # In one note, so that the first page is one page.
    last = notes.pop() if notes else Note(_("Cautions"), ())
    blocks += [*notes, replace(last, items=(*last.items, assumptions))]
    return Section("summary", text(_("Summary")), tuple(blocks), own_page=_on_one_page(blocks))


# Lines of notes, and of the longest answer beside them, for which the first page surely has room; letters per line of each.
_ROOM, _NOTE_LINE, _ANSWER_LINE, _LEAD_LINE = 38, 95, 36, 24


def _on_one_page(blocks: Iterable[Block]) -> bool:
    """Return whether the summary surely fits on one page, so that it can end its page without leaving the next one almost empty."""

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


def _limits(report: _Report) -> list[Text]:
    """Return P(overdose) at the doses in question with its range over the curves, and the limits from the data alone."""
    questions, shown = doses_in_question(report.found), report.shown
    if report.analysis is None:
        return shown.limits()
    # After a de-escalation the range is that at the dose of the next patients.
    lines = [line for question in questions for line in _overdose(report, question, ranges=question is questions[-1])]
    levels = [question.level for question in questions]
    waiting = [status.level for status in report.found.evaluated.statuses if status.kind == "pending" and status.level is not None]
    if here := [level for level in waiting if level not in levels]:
        highest = max(here)
        own = {"patients": n_patients(here.count(highest)), "p": report.estimates.percent("p_over", highest - 1)}
        words = _("At level {level}, where {patients} are pending, P(overdose) is {p}.")
        if here.count(highest) == 1:
            words = _("At level {level}, where {patients} is pending, P(overdose) is {p}.")
        lines.append(filled(words, level=highest, **own))
    return lines


# Why a dose is in question, as of `DoseInQuestion.why`.
_WHY = {
    "next": marked("the dose of the next patients"),
    "without hold": marked("the dose of the next patients but for the hold"),
    "MTD": marked("the level selected as MTD"),
    "current": marked("the latest dose of the escalation"),
    "cause": marked("the dose whose DLTs led to this answer"),
}


def _overdose(report: _Report, question: DoseInQuestion, ranges: bool) -> list[Text]:
    """Return P(overdose) at one dose, with its range over the curves if asked for, and the limit from that dose alone."""
    found, level = report.estimates, question.level
    high, over = percent(found.attrs["interval"][1], 0), overdose_range(found.summary, level)
    words = _("P(overdose), the probability that the DLT rate is {high} or more, is {p} at level {level}, {why}.")
    lines = [filled(words, high=high, p=found.percent("p_over", level - 1), level=level, why=_(_WHY[question.why]))]
    if ranges and len(found.values("curve")) > 1:
        words = _("Over the curves of the config it ranges from {low} ({low_curve}) to {high} ({high_curve}).")
        ends = {"low_curve": data(over.low_curve), "high_curve": data(over.high_curve)}
        lines.append(filled(words, low=percent(over.low), high=percent(over.high), **ends))
    if report.found.doses.to_dict("records")[level - 1]["counted"]:
        return [*lines, report.shown.limit(question)]
    words = _("No outcome is known at level {level}, so this depends on the curve and its prior.")
    return [*lines, filled(words, level=level)]


def _glance(report: _Report) -> Table:
    """Return data and posterior by dose, the row of no dose first."""
    heads, rows = report.shown.dose_rows()
    caption = filled(_("Doses at a glance ({unit})."), unit=data(report.shown.unit))
    if report.analysis is None:
        return table(caption, heads, rows, numeric=range(len(heads)))
    found, design = report.estimates, report.shown.design
    predicted = "conclusion" in found.summary
    heads += (_("P(overdose), %"), _("MTD here, %"))
    heads += (filled(_("{design} selects it, %"), design=design),) if predicted else ()
    rows.insert(0, [_("none"), *[""] * (len(rows[0]) - 1)])
    for place, row in enumerate(rows):
        row += ["" if place == 0 else found.written("p_over", place - 1), found.written("mtd", place)]
        if predicted:
            row.append(found.written("conclusion", (_place_of(found, report.found.binding), place)))
    words = _(
        "P(overdose): probability that the DLT rate is {high} or more. MTD: the highest level whose DLT rate is at most {target}; "
        "none if that of level 1 is above it; at the top level, that level or above. By the curve {curve}, without pending "
        "patients."
    )
    if found.with_courses:
        words = _(
            "P(overdose): probability that the DLT rate is {high} or more. MTD: the highest level whose DLT rate is at most "
            "{target}; none if that of level 1 is above it; at the top level, that level or above. By the curve {curve}, pending "
            "patients included as far as followed up."
        )
    rates = {"high": percent(found.attrs["interval"][1], 0), "target": percent(found.attrs["target"], 0)}
    notes = [filled(words, curve=data(found.attrs["curve_used"]), **rates)]
    if predicted:
        words = _("Selected by {design}: predicted conclusion of the trial, given the current data.")
        notes.append(filled(words, design=design))
    return table(caption, heads, rows, notes=notes, numeric=range(len(heads)))


def _place_of(found: Estimates, design: str) -> int:
    return found.values("design").tolist().index(design)


def _sure(report: _Report) -> Answer:
    shown, question = report.shown, _("How sure?")
    stated = [one for one in (shown.ended(),) if one] + shown.on_mtd()
    if report.analysis is None:
        words = _(
            "Without a curve in the config (such as [curves.logistic-2]) there is no posterior and no measure of uncertainty."
        )
        return Answer(question, text(_("The config has no dose-toxicity curve.")), (*stated, text(words)))
    found = report.estimates
    chances = found.values("mtd")
    most = int(chances.argmax())
    # The most likely of several places, none of which has half of the probability, is no answer.
    words = _("The MTD is uncertain: most likely {place}, {p}.")
    if chances[most] > 0.5:
        words = _("MTD most likely {place}: {p}.")
    answer = filled(words, place=found.place(most), p=found.percent("mtd", most))
    because = [*_contradicted(report), *stated, _support(found), *efficacy.Shown(found.summary).answers(), *_predicted(report)]
    return Answer(question, answer, tuple(because))


def _efficacy(report: _Report) -> tuple[Section, ...]:
    """Return efficacy and dose selection, where the protocol has an endpoint."""
    found, analysis = efficacy.Shown(report.estimates.summary), report.analysis
    if not found.record or analysis is None:
        return ()
    return found.section(document=True, hides=report.hides, figures=_efficacy_figures(report, analysis))


def _efficacy_figures(report: _Report, analysis: Analysis) -> tuple[Block, ...]:
    """Return pictures of every patient and of the expected utility; none of patients where some must not be shown."""
    from ... import plots

    found: list[Block] = []
    if not report.hides:
        words = _("Every patient with a known outcome, and the estimates by dose.")
        found.append(Figure(plots.efficacy(analysis), text(words)))
    if {"expected_utility", "expected_utility_of_change"} & set(analysis.summary):
        found.append(Figure(plots.utility(analysis), text(_("Expected utility by dose."))))
    return tuple(found)


def _contradicted(report: _Report) -> list[Text]:
    """Return that the recommendation contradicts the posterior, where it does."""
    found, proposal = report.estimates, report.found.proposal
    against = contradiction(report.found, found.summary)
    if against is None:
        return []
    place = {"place": found.place(against.place), "p": percent(against.p)}
    if proposal.decided is not None:
        words = _("The committee's decision ({decision}) contradicts this: by the posterior the MTD is most likely {place}, {p}.")
        return [filled(words, decision=data(proposal.decided[0]), **place)]
    words = _("{design} ({recommendation}) contradicts this: by the posterior the MTD is most likely {place}, {p}.")
    return [filled(words, design=report.shown.design, recommendation=(proposal.held or proposal).words, **place)]


def _support(found: Estimates) -> Text:
    """Return the dose that meets the rule for an RP2D, with the reason."""
    words = _("{support}. {reason}")
    return filled(words, support=support_words(found.attrs), reason=common.raised(found.attrs["rp2d_reason"]))


def _predicted(report: _Report) -> list[Text]:
    """Return what the primary design will most probably select, where the trial goes on."""
    found = report.estimates
    if report.found.proposal.action == "stop" or "conclusion" not in found.summary:
        return []
    at = _place_of(found, report.found.binding)
    chances, top = found.values("conclusion")[at], float(found.values("conclusion_not_reached")[at])
    place = int(chances.argmax())
    words = _("Predicted conclusion of {design}, given these data: no MTD ({p}).")
    if place:
        words = _("Predicted conclusion of {design}, given these data: MTD level {level} ({p}).")
    lines = [filled(words, design=report.shown.design, level=place, p=found.percent("conclusion", (at, place)))]
    if place == len(chances) - 1 and top >= LEAST_SHARE:
        words = _("With probability {p} that is the top dose without an MTD reached: the MTD is that dose or above.")
        lines.append(filled(words, p=percent(top)))
    return lines


# The second page: events, and patients without a known outcome.


def _events(report: _Report) -> Section:
    """Return every DLT, serious event and event of grade 3 or worse; patients not evaluable; pending patients."""
    blocks: list[Block] = [_event_table(report), *_adjudications(report), *_lost(report), *_pending(report)]
    if report.blinded:
        words = _(
            "Patients on placebo or control are shown in the dose group of their cohort, or no patient is shown with a dose; no "
            "table splits by assignment, and conclusions on single patients and events are left out. Counts by dose for the "
            "designs are of patients who were given the product."
        )
        blocks.append(Note(_("Blinded"), (text(words),)))
    return Section("events", text(_("Events, and patients without a known outcome")), tuple(blocks))


def _event_table(report: _Report) -> Block:
    evaluated = report.found.evaluated
    events = safety_events(evaluated, report.amended, report.blinded)
    if not events:
        words = _("The data have no table of adverse events; no DLT and no death has been reported.")
        if any(patient.events is not None for patient in evaluated.patients):
            words = _("No DLT, serious event or event of grade 3 or worse has been reported.")
        return Paragraph(text(words))
    heads = [_("subject"), _("level"), _("day"), *([_("term")] if report.terms else [])]
    numeric = {1, 2, len(heads)}
    heads += [_("grade"), _("relationship"), _("serious"), _("outcome")]
    words = _("Day 1 is the day of the first infusion.")
    # Beside the counts of the designs, a conclusion would tell which patient was not given the product.
    if not report.hides:
        heads += [_("by definition"), _("adjudicated")]
        words = _(
            "Day 1 is the day of the first infusion. By definition: whether the event is a DLT by the protocol's definition, or by "
            "the DLT column of the data. Adjudicated: the conclusion on file."
        )
    rows = ((data(event.subject), *_event_cells(report, event)[: len(heads) - 1]) for event in events)
    caption = _("DLTs, serious events and events of grade 3 or worse, of all treated patients in the whole follow-up.")
    return table(caption, heads, rows, notes=(words,), numeric=numeric)


_DERIVED = {"DLT": marked("DLT"), "not a DLT": marked("not a DLT"), "open": marked("open")}


def _event_cells(report: _Report, one: SafetyEvent) -> list[str | Run]:
    """Return the cells of an event after that of the patient."""
    event = one.event
    cells: list[str | Run] = [_group_words(one.group), _event_day(one)]
    if report.terms:
        alone = _("death, without an adverse event") if one.death else _("DLT, without an adverse event")
        cells.append(data(event.term) if event else alone)
    if event is None:
        cells += ["", ""]
    else:
        cells.append(_("not given") if event.grade is None else str(event.grade))
        cells.append(_("not given") if event.related is None else data(event.related))
    serious = None if event is None else event.serious
    cells.append(_("yes") if serious is True or one.death else _("no") if serious is False else "")
    outcome = data(event.outcome) if event and event.outcome else ""
    cells += [_("fatal") if one.death else outcome, _(_DERIVED[one.derived])]
    return [*cells, one.adjudicated or (_("waits for adjudication") if one.waits else "")]


def _event_day(one: SafetyEvent) -> str | Run:
    """Return the study day of an event, or its partial date."""
    if one.study_day is not None:
        return str(one.study_day)
    return data(one.event.days.text) if one.event is not None and one.event.days and one.event.days.text else ""


def _group_words(group: str) -> str:
    """Return a dose group as a cell."""
    return {NO_LEVEL: _("not in the protocol"), HIDDEN: _("not shown")}.get(group, group)


def _adjudications(report: _Report) -> list[Block]:
    """Return adjudications in force, with their reasons; none where a conclusion would tell who was not given the product."""
    rows = []
    for one in () if report.hides else report.found.adjudicated:
        event = _("DLT assessment as a whole") if one.of_assessment else data(one.term) if report.terms else _("adverse event")
        dated = ("" if one.event_date is None else str(one.event_date), "" if one.grade is None else str(one.grade))
        cells = (data(one.subject), event, *dated, one.conclusion, str(one.adjudicated_on), data(one.adjudicated_by))
        rows.append((*cells, *([data(one.reason)] if report.terms else [])))
    heads = (_("subject"), _("adjudicated event"), _("onset"), _("grade"), _("conclusion"), _("adjudicated on"), _("by"))
    heads += (_("reason"),) if report.terms else ()
    return [table(_("Adjudications on file."), heads, rows, numeric={3})] if rows else []


def _lost(report: _Report) -> list[Block]:
    """Return patients who are not evaluable for DLT, with the reason."""
    evaluated = report.found.evaluated
    reasons = {patient.subject: patient.reason for patient in evaluated.patients}
    lost = [
        status
        for status in evaluated.statuses
        if status.kind in ("not evaluable", "replaced") and not (report.blinded and status.part in UNTREATED)
    ]
    if not lost:
        return []
    terms = report.terms and any(reasons[status.subject] for status in lost)
    heads = (_("subject"), _("level"), _("reason"), *((_("reason for leaving, as in the data"),) if terms else ()))
    rows = []
    for status in lost:
        group = _group_words(report.shown.groups[status.subject])
        row = (data(status.subject), group, data(status.reason))
        rows.append((*row, data(reasons[status.subject] or "")) if terms else row)
    return [table(_("Patients not evaluable for DLT, with the reason."), heads, rows, numeric={1})]


def _pending(report: _Report) -> list[Block]:
    """Return patients without a known outcome: end of the window and last contact."""
    evaluated = report.found.evaluated
    contacts = {patient.subject: patient.last_contact for patient in evaluated.patients}
    waiting = [status for status in evaluated.statuses if (status.otherwise or status.kind) == "pending"]
    if not waiting:
        return []
    heads = (_("subject"), _("level"), _("DLT window ends"), _("last contact"), _("days to go"), _("note"))
    rows = []
    for status in waiting:
        contact = contacts[status.subject]
        held = status.held and not report.hides
        note = _("overdue") if status.overdue else _("waits for adjudication") if held else ""
        cells = (str(status.end), "" if contact is None else str(contact), str(status.days_to_go), note)
        rows.append((data(status.subject), _group_words(report.shown.groups[status.subject]), *cells))
    words = _("Open question on {subject}: {question}")
    questions = [
        filled(words, subject=data(status.subject), question=data(question.words))
        for status in waiting
        for question in status.questions
    ]
    return [table(_("Patients without a known outcome."), heads, rows, notes=questions, numeric={1})]


def _safety(report: _Report) -> Section:
    """Return the safety set: adverse events by dose, worst grades, and terms where they are shown."""
    found = safety_set(report.found.evaluated, report.blinded)
    by_level = found["safety"].to_dict("records")
    counts = {
        "treated": _("treated"),
        "ae_patients": _("with an AE"),
        "ae_events": _("AEs"),
        "grade3_patients": _("with grade 3 or worse"),
        "grade3_events": _("events of grade 3 or worse"),
        "sae_patients": _("with an SAE"),
        "sae_events": _("SAEs"),
        "deaths": _("deaths"),
    }
    worst = {"worst_none": _("no AE"), **{f"worst_{grade}": str(grade) for grade in range(1, 6)}}
    worst["worst_unknown"] = _("grade not given")
    untold = (text(_("\u2013: not stated in the data.")),) if found["safety"].isna().any(axis=None) else ()
    intro = _(
        "All treated patients, evaluable for DLT or not, of every part of the trial, in the whole follow-up from the first "
        "infusion on."
    )
    caption = _("Adverse events by dose level: patients with at least one event, and number of events.")
    blocks: list[Block] = [Paragraph(text(intro)), _by_group(by_level, counts, caption, untold)]
    if any(patient.events is not None for patient in report.found.evaluated.patients):
        caption = _("Patients by the worst grade of their adverse events, by dose level.")
        blocks.append(_by_group(by_level, worst, caption))
    terms = found["terms"]
    if len(terms) and report.terms:
        blocks.append(_terms(terms, [str(row["level"]) for row in by_level]))
    return Section("safety", text(_("Safety set")), tuple(blocks))


def _by_group(counted: Sequence[dict[Any, Any]], heads: dict[str, str], caption: str, notes: tuple[Text, ...] = ()) -> Table:
    """Return counts of the safety set, one row per dose group."""
    rows = ((_row_words(row["level"]), *(_count_cell(row[key]) for key in heads)) for row in counted)
    return table(caption, (_("level"), *heads.values()), rows, notes=notes)


def _row_words(level: str) -> str:
    """Return a dose group at the head of a row."""
    return _("all") if level == "all" else _group_words(level)


def _level_words(level: str) -> str:
    """Return a dose group at the head of a column."""
    return common.level_words(level) if level.isdigit() else _row_words(level)


def _count_cell(value: Any) -> str:
    """Return a count; a dash where the data do not state it."""
    return "\u2013" if value is None or str(value) == "<NA>" else str(value)


def _terms(terms: pd.DataFrame, levels: Iterable[str]) -> Table:
    """Return patients (events) by system organ class, term and dose group."""
    classes = any(terms["organ_class"])
    first = [*([_("system organ class")] if classes else []), _("term")]
    heads = [*first, *map(_level_words, levels), _("worst grade")]
    rows = []
    for key, own in terms.groupby(["organ_class", "term"], sort=False):
        organ_class, term = cast(tuple[str, str], key)
        at = own.set_index("level")
        cells = [f"{at.loc[level, 'patients']} ({at.loc[level, 'events']})" if level in at.index else "0" for level in levels]
        head = [data(organ_class or "\u2013")] if classes else []
        rows.append((*head, data(term), *cells, _count_cell(at.loc["all", "worst_grade"])))
    caption = _("Patients (events) by system organ class and term, by dose level.")
    return table(caption, heads, rows, numeric=range(len(first), len(heads)))


# Who is evaluable.


def _course(report: _Report) -> list[Block]:
    """Return the course of the trial in pictures, of patients who were given the product: in order of treatment, and by date."""
    from ...plots import calendar
    from ...plots import trial as picture

    statuses = report.found.evaluated.statuses
    treated = [status for status in statuses if status.part not in UNTREATED]
    # The picture has each patient at the dose given, so that a blinded one would show who is missing.
    if not treated or report.hides:
        return []
    audit = report.found.evaluated.audit().assign(status=[one.otherwise or one.kind for one in statuses])
    shown = audit.loc[audit["subject"].isin([status.subject for status in treated])]
    course = Figure(picture(shown, protocol=report.protocol), text(_("Course of the trial, patient by patient.")))
    met = [one.meeting or one.as_of for one in report.found.recorded]
    by_date = calendar(report.found.evaluated, protocol=report.protocol, decisions=met)
    return [course, Figure(by_date, text(_("DLT windows and follow-up by date, with the decisions of the committee.")))]


def _patients(report: _Report) -> Section:
    evaluated, groups = report.found.evaluated, report.shown.groups
    blocks = _course(report)
    if evaluated.statuses:
        dose = filled(_("dose, {unit}"), unit=data(report.shown.unit))
        given = {patient.subject: _dose_given(report, patient) for patient in evaluated.patients}
        rows = (
            (
                data(one.subject),
                "" if one.cohort is None or groups[one.subject] == HIDDEN else str(one.cohort),
                _group_words(groups[one.subject]),
                given[one.subject],
                _status(report, one),
            )
            for one in sorted(evaluated.statuses, key=lambda one: (0 if report.hides else one.cohort or 0, one.first, one.subject))
        )
        heads, notes = (_("subject"), _("cohort"), _("level"), dose, _("status")), (window_words(evaluated),)
        profile = table(_("DLT profile: every patient, by cohort."), heads, rows, notes=notes, numeric={1, 2, 3})
        blocks += [profile, _counts(report)]
    else:
        blocks.append(Paragraph(text(_("No patient had been treated by the data cutoff date."))))
    return Section("patients", text(_("Patients")), (*blocks, report.shown.notes()))


def _dose_given(report: _Report, patient: Patient) -> Text:
    """Return the dose administered, with the assigned one where it differs; that of the dose group where the report is blinded."""
    group = report.shown.groups[patient.subject]
    if report.blinded and group != NO_LEVEL:
        return text(f"{report.protocol.doses.amounts[int(group) - 1]:g}" if group.isdigit() else "")
    if patient.as_assigned:
        return text(f"{patient.amount:g}")
    amounts = ", ".join(f"{amount:g}" for amount in patient.administered)
    return filled(_("{administered} (assigned {assigned})"), administered=amounts, assigned=f"{patient.amount:g}")


def _status(report: _Report, one: Status) -> Text:
    """Return the status of a patient, including patients excluded from the counts, and the part of the trial."""
    said = kind_words(one.otherwise or one.kind)
    if report.hides and (one.otherwise or one.kind) in _KNOWN:
        return text(_("outcome known"))
    in_part = filled(_("{status}; {part}"), status=said, part=_(one.part))
    if one.part in UNTREATED:
        return text(said) if report.blinded else in_part
    if one.otherwise is not None:
        return filled(_("{status}; counted by no design"), status=said)
    if one.adjudication is not None and not report.hides:
        said = _("{status}; {adjudicated}").format(status=said, adjudicated=adjudicated(one))
    return text(said) if one.part == "escalation" else filled(_("{status}; {part}"), status=said, part=_(one.part))


# Kinds of status of a known outcome, which a blinded report does not tell apart.
_KNOWN: tuple[Kind, ...] = ("dlt", "complete")


def _counts(report: _Report) -> Table:
    """Return the number of patients of each dose group by status."""
    statuses, groups = report.found.evaluated.statuses, report.shown.groups
    heads = {"dlt": _("with a DLT"), "complete": _("without a DLT")}
    kinds: list[tuple[str, tuple[Kind, ...]]] = [(heads.get(kind, kind_words(kind)), (kind,)) for kind in KINDS]
    if report.hides:
        kinds = [(_("outcome known"), _KNOWN), *(one for one in kinds if one[1][0] not in _KNOWN)]
    dose = filled(_("dose, {unit}"), unit=data(report.shown.unit))
    shown = (_("level"), dose, _("treated"), *(head for head, _kinds in kinds))
    amounts = {str(level): f"{dose:g}" for level, dose in enumerate(report.protocol.doses.amounts, start=1)}
    listed = [*amounts, *sorted({*groups.values()} - {*amounts, HIDDEN})] if HIDDEN not in groups.values() else []
    rows = []
    for group in (*listed, None):
        here = [status.otherwise or status.kind for status in statuses if group in (None, groups[status.subject])]
        cells = [str(len(here)), *(str(sum(map(here.count, of))) for _head, of in kinds)]
        head = _("all") if group is None else _group_words(group)
        rows.append((head, "" if group is None else amounts.get(group, ""), *cells))
    return table(_("Patients by dose."), shown, rows)


# What the data say of the doses.


def _rates(report: _Report) -> Section:
    from ...plots import curve, intervals, prior_posterior

    found, analysis = report.estimates, report.analysis
    assert analysis is not None
    words = _("No outcome is known yet: this is the prior. ")
    if found.attrs["outcomes"]:
        words = _("Posterior after {outcomes}. Patients whose outcome is pending are not included. ")
    if found.with_courses:
        words = _("Posterior after {outcomes}. Patients whose outcome is pending are included as far as followed up. ")
    intro = (*filled(words, outcomes=found.attrs["outcomes"]), *found.source())
    blocks: tuple[Block, ...] = (
        Paragraph(intro),
        Figure(curve(analysis), text(_("DLT rate by dose: posterior median, 95% interval, data and target."))),
        found.by_dose(),
        Figure(intervals(analysis), text(_("Posterior probabilities of underdose, target interval and overdose."))),
        *found.further(),
    )
    words = _(
        "The prior, and the posterior given the data. Where the prior effective sample size (ESS) is as large as the number of "
        "patients, the result depends on the prior as much as on the data."
    )
    picture = Figure(prior_posterior(analysis), text(_("DLT rate of each dose before the data and now.")))
    inner = Section("prior", text(_("Prior beside posterior")), (Paragraph(text(words)), picture))
    return Section("rates", text(_("DLT rates")), blocks, (inner,))


def _mtd(report: _Report) -> Section:
    from ...plots import mtd

    found, analysis, shown = report.estimates, report.analysis, report.shown
    assert analysis is not None
    picture = Figure(mtd(analysis), text(_("Where the MTD lies, before the data and now.")))
    words = _(
        "Here the MTD is the highest level whose DLT rate is at most {target}. A design selects its MTD by its own rule, such as "
        "the dose whose estimated rate is nearest to {target}, which can be higher: the two can differ by a level."
    )
    lines = [one for one in (found.mtd_amount(),) if one]
    lines.append(filled(words, target=percent(found.attrs["target"], 0)))
    stated = [*((shown.ended(),) if shown.ended() else ()), *shown.on_mtd(), _support(found)]
    blocks: list[Block] = [picture, found.mtd(), *map(Paragraph, (*lines, *stated))]
    if undecided := found.undecided():
        blocks.append(Note(_("Cautions"), undecided))
    if "utility" in found.summary:
        blocks += found.utilities()
    blocks.append(found.by_curve())
    return Section("mtd", text(_("MTD, and support for the RP2D")), tuple(blocks))


def _infusions(report: _Report) -> list[Section]:
    """Return the course of infusions, where the curve is a hazard per infusion."""
    return [replace(one, detail=False) for one in report.estimates.course(hides=report.hides)]


def _conclusion(report: _Report) -> Section:
    found, title = report.estimates, text(_("Predicted conclusion of the trial"))
    if "conclusion" not in found.summary:
        words = _("The conclusion is not predicted, because patients outside the escalation are part of the data.")
        if found.with_courses:
            words = _("The conclusion is not predicted, because a design uses parts of courses.")
        return Section("conclusion", title, (Paragraph(text(words)),))
    intro = _(
        "The predictive distribution of the MTD that each design will select at its planned end, if the trial follows it from "
        "here and the DLT rates are as in the posterior. Patients whose outcome is pending are left out, as if they were still to "
        "be treated."
    )
    words = _(
        "By the known outcomes alone these designs would have stopped, although patients were treated after that (see the section "
        "on deviations): {designs}."
    )
    stopped = report.shown.stopped
    notes = (filled(words, designs=data(stopped)),) if stopped else ()
    return Section("conclusion", title, (Paragraph(text(intro)), found.predicted(notes=notes)))


# What the designs recommend, and what was decided.


def _designs(report: _Report) -> Section:
    shown = report.shown
    caption = filled(_("Dose paths of the next cohorts of {design}."), design=data(report.found.binding))
    tree = Paths(report.found.paths).tree(report.found.binding, caption)
    blocks = (shown.designs(), *tree, *shown.by_outcome(report.protocol.scenarios))
    rules = common.rules_of(report.found.attrs["rules"], _("Every design"))
    inner = Section("rules", text(_("Rules of the designs")), (Paragraph(text(_("Rules as implemented by each design."))), rules))
    return Section("designs", text(_("Next step by each design")), blocks, (inner,))


def _deviations(report: _Report) -> Section:
    blocks = (*report.shown.deviations(), *report.shown.decisions())
    return Section("deviations", text(_("Deviations and decisions")), blocks)


def _method(report: _Report) -> Section:
    analysis, first = report.analysis, []
    if analysis is not None:
        attrs = analysis.summary.attrs
        words = _("The posterior is by {engine}. Curve: {curve}.")
        first.append(filled(words, engine=engine_words(attrs), curve=data(attrs["curve_used"])))
    section = method(report.found.attrs, first, None if analysis is None else analysis.summary)
    section = replace(section, blocks=(*section.blocks, *_amendments(report)))
    if analysis is None:
        return section
    inner = replace(common.definitions(report.estimates.quantities, analysis.summary), detail=False)
    return replace(section, sections=(*section.sections, inner))


def _amendments(report: _Report) -> list[Block]:
    """Return what each amendment changed, with the values before and after."""
    rows = []
    for change in report.amended.changes:
        later = change.date > report.found.evaluated.as_of
        words = _("{day} (after the data cutoff)") if later else "{day}"
        values = (_("not given") if value is None else str(plain(value)) for value in (change.before, change.after))
        cells = (change.version or "", change.key, *values, change.why or "")
        rows.append((filled(words, day=str(change.date)), *map(data, cells)))
    heads = (_("in force from"), _("version"), _("key of the config"), _("before"), _("after"), _("reason"))
    return [table(_("Amendments of the protocol: what changed."), heads, rows, numeric=())] if rows else []


def _signatures() -> Section:
    heads = (_("role"), _("name"), _("signature"), _("date"))
    people = (_("Chair of the committee"), _("Principal investigator"), _("Medical monitor"), _("Statistician"))
    blocks: tuple[Block, ...] = (
        Space(text(_("Decision of the committee:")), 2),
        Space(text(_("Reason, in particular where it differs from the recommendation:")), 4),
        Signature(text(_("Signatures.")), heads, people),
    )
    return Section("signatures", text(_("Decision and signatures")), blocks)
