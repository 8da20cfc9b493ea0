"""The report of a design before the first patient: what goes into a protocol and to an ethics committee.

Its sections are about the primary design; what concerns the other designs stands in the annex.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from pydantic import BaseModel

from ...config import Trial
from ...figures import percent
from ...plots.style import unit
from ...tasks.stamps import plain
from ...words import _, marked
from ..content import (
    Answer,
    Answers,
    Block,
    Bullets,
    Document,
    Note,
    Paragraph,
    Section,
    Table,
    as_string,
    data,
    filled,
    table,
    text,
)
from . import common, plan
from .pause_rules import pause_section
from .pieces import assumed, limits, method
from .plan import Plan
from .settings import setting_words, value_words

__all__ = ["design_report"]


def design_report(trial: Trial, *, curve: str | None = None, progress: Callable[[float, int], None] | None = None) -> Document:
    """Return the design report; parameters as of `dosefind.report`."""
    planned = Plan.of(trial, curve=curve, progress=progress)
    protocol = planned.protocol
    sections = [_summary(planned), _protocol(planned), plan.rules(planned), pause_section(protocol), _decisions(planned)]
    sections += [plan.own_operating(planned), plan.sizes(planned, own=True), _paths(planned)]
    if planned.prior is not None:
        sections.append(plan.prior(planned.prior))
    sections += [plan.zero(planned), plan.sensitivities(planned), _method(planned), limits(protocol, "planned")]
    sections += [assumed(planned.stamp), plan.references(planned, [planned.binding])]
    sections += [_checklist(sections), _annex(planned)]
    return plan.document(planned, _("{protocol}: design report"), _("Protocol version of {day}"), sections)


def _decisions(planned: Plan) -> Section:
    intro = Paragraph(text(_("The decision of the primary design after each number of DLTs.")))
    (own,) = plan.decision_tables(planned, [planned.binding])
    return Section("decisions", text(_("Decision table")), (intro,), (own,))


def _paths(planned: Plan) -> Section:
    """Return the paths of the first two cohorts of the primary design."""
    found = plan.first_paths(planned)
    words = _("Every path of the first two cohorts of {design}, the decision after it, and its probability.")
    intro = Paragraph(filled(words, design=data(planned.binding)))
    return Section("paths", text(_("Dose paths")), (intro, *plan.tree(planned, found), *found.by_decision()))


def _annex(planned: Plan) -> Section:
    """Return what concerns the other designs, and what is only looked up."""
    inner = [plan.paths_table(planned, plan.first_paths(planned))]
    if planned.others:
        shown = plan.decision_tables(planned, planned.others)
        intro = Paragraph(text(_("The decision of each other design after each number of DLTs.")))
        title = text(_("Decision tables of the other designs"))
        inner += [plan.all_rules(planned), Section("other-decisions", title, (intro,), shown)]
    inner += [plan.all_operating(planned), plan.sizes(planned), plan.zero_table(planned), *plan.all_sensitivities(planned)]
    inner += [*plan.durations(planned), *plan.best_policy(planned)]
    words = _("The designs with which the primary design was compared, and tables to look up.")
    return Section("annex", text(_("Annex: comparison of the designs")), (Paragraph(text(words)),), tuple(inner))


# The first page.


def _summary(planned: Plan) -> Section:
    found = planned.found
    note = Note(_("Assumptions"), (common.assumed_words(planned.stamp),))
    answers = Answers((_what(planned), _detection(planned)))
    blocks = (answers, Bullets(found.verdicts()), found.at_a_glance(), found.costs(), note)
    return Section("summary", text(_("Summary")), blocks, own_page=True)


def _what(planned: Plan) -> Answer:
    protocol = planned.protocol
    target, size = protocol.target, protocol.limits
    answer = filled(
        _("{n} dose levels of {product}: {doses} ({unit})"),
        n=protocol.n_doses,
        product=data(protocol.record.product),
        doses=", ".join(f"{dose:g}" for dose in protocol.doses.amounts),
        unit=data(unit(protocol.doses.unit)),
    )
    others = [name for name in planned.found.designs if name != planned.binding]
    words = _("Primary design: {design}; compared with {others} under {scenarios} scenarios.")
    if not others:
        words = _("Design: {design}; evaluated under {scenarios} scenarios.")
    compared = {"design": data(planned.binding), "scenarios": len(protocol.scenarios), "others": data(", ".join(others))}
    rates = {"target": target.rate, "low": target.interval[0], "high": target.interval[1]}
    because = (
        filled(
            _("Cohorts of {cohort} patients, maximum sample size {max_n}, starting at level {start}."),
            cohort=str(plain(size.cohort_size)),
            max_n=size.max_n,
            start=size.start_level,
        ),
        filled(
            _("Target DLT rate {target} in a window of {days} days; DLT rates from {low} to below {high} are acceptable."),
            days=protocol.treatment.dlt_window_days,
            **{name: f"{100 * rate:g}%" for name, rate in rates.items()},
        ),
        filled(words, **compared),
    )
    return Answer(_("What trial is this?"), answer, because)


def _detection(planned: Plan) -> Answer:
    """Return the probability of seeing at least one event that is rare, in the patients of a cohort, of a dose and of the trial."""
    found = plan.detection(planned)
    items = tuple(filled(_("{n} patients ({where}): {p}"), n=n, where=where, p=percent(p)) for n, where, p in found)
    question = _("How likely is it to see an event that occurs in {rate} of patients?").format(rate=f"{100 * plan.RARE:g}%")
    n, _where, p = found[-1]
    answer = filled(_("{p} at least once in {n} patients"), p=percent(p), n=n)
    return Answer(question, answer, items)


# What the trial is.


def _protocol(planned: Plan) -> Section:
    protocol = planned.protocol
    parts = [_part(planned, name) for name in _PARTS if getattr(protocol, name) is not None]
    source = data(protocol.record.source or _("the config"))
    words = _("From {source}. What the protocol does not state is marked as assumed, with the reason.")
    blocks: tuple[Block, ...] = (Paragraph(filled(words, source=source)), *parts)
    return Section("protocol", text(_("Protocol")), blocks)


# Parts of a protocol that are described, with their captions: designs, curves and scenarios have sections of their own.
_PARTS = {
    "record": marked("The trial."),
    "doses": marked("Doses."),
    "treatment": marked("Treatment and DLT window."),
    "dlt": marked("Definition of a DLT."),
    "evaluability": marked("Evaluability of patients without a DLT who did not complete the window."),
    "limits": marked("Cohorts and sample size."),
    "pause": marked("Pause rules."),
    "target": marked("Target, and standards of a correct selection."),
    "rp2d": marked("Support for the RP2D."),
    "utility": marked("Utilities of the outcomes."),
}


def _part(planned: Plan, part: str) -> Table:
    """Return a part of the protocol, setting by setting, with the origin of each value."""
    why = {key: reason for key, _value, reason in planned.stamp["assumptions"]}
    pause, rows = planned.protocol.pause, []
    idle = {f"pause.{name}" for name in pause.unused if name not in pause.model_fields_set}
    for key, value in _described(getattr(planned.protocol, part), part):
        if key in idle:
            continue
        reason = next((why[table] for table in _prefixes(key) if table in why), None)
        origin = _("protocol") if reason is None else filled(_("assumed: {reason}"), reason=data(reason))
        rows.append((setting_words(key), data(value), origin))
    return table(_(_PARTS[part]), (_("setting"), _("value"), _("origin")), rows, numeric=())


def _described(table: BaseModel, prefix: str) -> Iterator[tuple[str, str]]:
    for name in type(table).model_fields:
        value = getattr(table, name)
        if isinstance(value, BaseModel) and name != "reference":
            yield from _described(value, f"{prefix}.{name}")
        elif value is not None and value != () and value != {}:
            yield f"{prefix}.{name}", value_words(f"{prefix}.{name}", value)


def _prefixes(key: str) -> list[str]:
    """Return a key and the tables that it is in, the nearest first."""
    parts = key.split(".")
    return [".".join(parts[:n]) for n in range(len(parts), 0, -1)]


def _method(planned: Plan) -> Section:
    return method(planned.oc.attrs, [plan.exact()], None if planned.prior is None else planned.prior.summary)


# Topics of the reporting guidelines: topic, item of CONSORT-DEFINE, what is asked, ids of the sections that answer.
_CHECKLIST: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    (marked("Title"), "1a", marked("Identification as an early phase dose-finding trial."), ("summary",)),
    (marked("Objectives"), "2b", marked("Objectives, such as safety and the recommended dose."), ("summary", "protocol")),
    (
        marked("Trial design"),
        "3a.1",
        marked("Rules of escalation and de-escalation, number of dose groups, and planned adaptations."),
        ("rules", "decisions"),
    ),
    (marked("Course of the trial"), "3a.2", marked("Diagram of the course of the trial."), ("decisions", "paths")),
    (marked("Participants"), "", marked("Evaluable patients, and handling of those who are not evaluable."), ("protocol",)),
    (
        marked("Interventions"),
        "",
        marked("Dose levels with unit and schedule, and the starting level with its reason."),
        ("protocol", "assumed"),
    ),
    (marked("Outcomes"), "", marked("Definition of a DLT and its window."), ("protocol",)),
    (
        marked("Sample size"),
        "",
        marked("Planned number of patients, in total and per dose, with reasons."),
        ("sample-size", "protocol"),
    ),
    (
        marked("Interim decisions and stopping"),
        "",
        marked(
            "Timing and data of decisions to escalate, stay, de-escalate or stop; selection of the MTD and the recommended dose."
        ),
        ("rules", "pause", "decisions", "no-dlt"),
    ),
    (
        marked("Statistical methods"),
        "",
        marked("Model and prior with their reasons, and operating characteristics under several scenarios."),
        ("prior", "operating", "method"),
    ),
    (marked("Further analyses"), "", marked("Sensitivity to targets, priors and curves."), ("sensitivity",)),
    (marked("Assumptions"), "", marked("Assumptions with reasons, and limits of the analysis."), ("assumed", "limits")),
)


def _checklist(sections: Sequence[Section]) -> Section:
    """Return where the topics of the reporting guidelines are answered, of the sections that there are."""
    titles = {section.id: f"{number} {as_string(section.title)}" for number, section in enumerate(sections, 1)}
    rows = []
    for topic, item, asked, answered in _CHECKLIST:
        found = [titles[one] for one in answered if one in titles]
        rows.append((_(topic), item, _(asked), "; ".join(found)))
    heads = (_("topic"), _("item"), _("requirement"), _("section"))
    intro = _(
        "Topics of the reporting guidelines for protocols and reports of dose-finding trials that are covered here, paraphrased: "
        "SPIRIT-DEFINE ({spirit}) for the protocol and CONSORT-DEFINE ({consort}) for the report. Topics that are not listed are "
        "not covered."
    )
    dois = {"spirit": "doi:10.1136/bmj-2023-076386", "consort": "doi:10.1136/bmj-2023-076387"}
    note = _(
        "Item numbers refer to the CONSORT-DEFINE checklist; SPIRIT-DEFINE has corresponding items for protocols, with different "
        "numbers."
    )
    caption = _("Topics of SPIRIT-DEFINE and CONSORT-DEFINE, and the sections that cover them.")
    listed = table(caption, heads, rows, notes=(note,), numeric=())
    return Section("checklist", text(_("Reporting guidelines")), (Paragraph(filled(intro, **dois)), listed))
