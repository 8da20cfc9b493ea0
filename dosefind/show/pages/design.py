"""The report of a design before the first patient: what goes into a protocol and to an ethics committee."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel

from ...config import Trial
from ...figures import OPERATING, percent, written
from ...plots.style import unit
from ...policies import TooLarge
from ...protocol import Protocol
from ...tasks import Analysis, analyze, calendar, compare, compare_priors, optimum, sensitivity, without_dlts
from ...tasks import decision_table as table_of
from ...tasks import paths as paths_of
from ...tasks.calendar import middle_scenario
from ...tasks.stamps import plain, stamp
from ...words import _, language, marked
from ..content import (
    Answer,
    Answers,
    Block,
    Bullets,
    Document,
    Figure,
    Note,
    Paragraph,
    Section,
    Table,
    Text,
    as_string,
    data,
    filled,
    table,
    text,
)
from . import common
from .analysis import Estimates, engine_words
from .calendar import calendar_section
from .comparison import Comparison
from .optimum import optimum_section
from .paths import Paths
from .pause_rules import pause_section
from .pieces import assumed, facts, labels, limits, method, sensitivity_table
from .table import decisions, explained

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from ...operating.lattice import Lattice

__all__ = ["design_report"]

# Probability per patient of an event whose detection is stated.
_RARE = 0.10


@dataclass(frozen=True)
class _Plan:
    """A trial as planned.

    Attributes
    ----------
    trial
        The trial.
    oc
        Operating characteristics of its designs.
    binding
        Name of the primary design.
    zero
        The trial without a DLT, by design.
    prior
        The prior of the curve; ``None`` without a curve.
    stamp
        What the results depend on, with what is assumed of the conduct of the trial.
    """

    trial: Trial
    oc: xr.Dataset
    binding: str
    zero: pd.DataFrame
    prior: Analysis | None
    stamp: dict[str, Any]

    @property
    def protocol(self) -> Protocol:
        return self.trial.protocol

    @cached_property
    def found(self) -> Comparison:
        return Comparison.of(self.oc)

    @property
    def outcomes_of_zero(self) -> str:
        """Return outcomes of the trial of the primary design without a DLT."""
        return str(self.zero.set_index("design").loc[self.binding, "path"])


def design_report(trial: Trial, *, curve: str | None = None, progress: Callable[[float, int], None] | None = None) -> Document:
    """Return the design report; parameters as of `dosefind.report`."""
    protocol = trial.protocol
    # First what is quick, so that an unknown curve is refused at once.
    prior = analyze(trial, curve=curve, predicts=False) if protocol.curves or curve is not None else None
    lattices: dict[str, Lattice] = {}
    oc = compare(trial, lattices=lattices, progress=progress)
    binding = trial.primary
    plan = _Plan(trial, oc, binding, without_dlts(trial), prior, stamp(trial, conducts=True))
    sections = [_summary(plan), _protocol(plan), _rules(plan), pause_section(protocol), _tables(plan), _operating(plan)]
    sections += [*_calendar(plan), *_optimum(plan, lattices), _sizes(plan), _paths(plan)]
    if prior is not None:
        sections.append(_prior(prior))
    sections += [_zero(plan, curve), _sensitivity(plan, curve), _method(plan), limits(plan.protocol, "planned")]
    sections.append(assumed(plan.stamp))
    sections.append(_checklist(sections))
    version = protocol.record.version_date.isoformat()
    return Document(
        title=filled(_("{protocol}: design report"), protocol=data(protocol.record.id)),
        subtitle=filled(_("Protocol version of {day}"), day=version),
        language=language(),
        date=version,
        facts=facts(plan.protocol, oc.attrs, ("binding", text(data(binding)))),
        sections=tuple(sections),
        labels=labels(),
    )


# Trials per design and accrual rate.
_CALENDARS = 500


def _calendar(plan: _Plan) -> list[Section]:
    """Return how long the trial takes, if the protocol states how candidates arrive."""
    if plan.protocol.accrual is None:
        return []
    scenario = middle_scenario(plan.protocol)
    made = calendar(plan.trial, n_trials=_CALENDARS, scenarios=[scenario], compared=plan.oc)
    return [calendar_section(made)]


# Memory of a best policy that is found in about a second, and true curves that stand for a prior.
_LITTLE, _CURVES = 8 * 2**20, 256


def _optimum(plan: _Plan, lattices: Mapping[str, Lattice]) -> list[Section]:
    """Return how far the designs are from the best policy, if that is found in seconds."""
    limits = plan.protocol.limits
    if limits.max_n is None or not isinstance(limits.cohort_size, int):
        return []
    try:
        return [optimum_section(optimum(plan.trial, n_curves=_CURVES, lattices=lattices, memory_limit=_LITTLE))]
    except TooLarge:
        return []


# The first page.


def _summary(plan: _Plan) -> Section:
    found = plan.found
    note = Note(_("Assumptions"), (common.assumed_words(plan.stamp),))
    answers = Answers((_what(plan), _detection(plan)))
    blocks = (answers, Bullets(found.verdicts()), found.at_a_glance(), found.costs(), note)
    return Section("summary", text(_("Summary")), blocks, own_page=True)


def _what(plan: _Plan) -> Answer:
    protocol = plan.protocol
    target, planned = protocol.target, protocol.limits
    answer = filled(
        _("{n} dose levels of {product}: {doses} ({unit})"),
        n=protocol.n_doses,
        product=data(protocol.record.product),
        doses=", ".join(f"{dose:g}" for dose in protocol.doses.amounts),
        unit=data(unit(plan.protocol.doses.unit)),
    )
    others = [name for name in plan.found.designs if name != plan.binding]
    words = _("Primary design: {design}; compared with {others} under {scenarios} scenarios.")
    if not others:
        words = _("Design: {design}; evaluated under {scenarios} scenarios.")
    compared = {"design": data(plan.binding), "scenarios": len(protocol.scenarios), "others": data(", ".join(others))}
    rates = {"target": target.rate, "low": target.interval[0], "high": target.interval[1]}
    because = (
        filled(
            _("Cohorts of {cohort} patients, maximum sample size {max_n}, starting at level {start}."),
            cohort=str(plain(planned.cohort_size)),
            max_n=planned.max_n,
            start=planned.start_level,
        ),
        filled(
            _("Target DLT rate {target} in a window of {days} days; DLT rates from {low} to below {high} are acceptable."),
            days=protocol.treatment.dlt_window_days,
            **{name: f"{100 * rate:g}%" for name, rate in rates.items()},
        ),
        filled(words, **compared),
    )
    return Answer(_("What trial is this?"), answer, because)


def _detection(plan: _Plan) -> Answer:
    """Return the probability of seeing at least one event that is rare, in the patients of a cohort, of a dose and of the trial."""
    protocol, sizes = plan.protocol, plan.protocol.limits.cohort_size
    at_a_dose = int(plan.found.values("max_n_per_dose")[plan.found.designs.index(plan.binding)])
    places = {
        (sizes if isinstance(sizes, int) else sizes[0]): _("a cohort"),
        at_a_dose: _("the maximum at one dose"),
        protocol.limits.max_n: _("the maximum sample size"),
    }
    items = tuple(
        filled(
            _("{n} patients ({where}): {p}"),
            n=n,
            where=where,
            p=percent(1 - (1 - _RARE) ** n),
        )
        for n, where in sorted((n, where) for n, where in places.items() if n)
    )
    question = _("How likely is it to see an event that occurs in {rate} of patients?").format(rate=f"{100 * _RARE:g}%")
    n = protocol.limits.max_n
    answer = filled(_("{p} at least once in {n} patients"), p=percent(1 - (1 - _RARE) ** n), n=n)
    return Answer(question, answer, items)


# What the trial is.


def _protocol(plan: _Plan) -> Section:
    protocol = plan.protocol
    parts = [_part(plan, name) for name in _PARTS if getattr(protocol, name) is not None]
    source = data(protocol.record.source or _("the config"))
    words = _("From {source}. What the protocol does not state is marked as assumed, with the reason.")
    blocks: tuple[Block, ...] = (Paragraph(filled(words, source=source)), *parts, _scenarios(plan))
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


def _part(plan: _Plan, part: str) -> Table:
    """Return a part of the protocol, setting by setting in the words of its schema, with the origin of each value."""
    why = {key: reason for key, _value, reason in plan.stamp["assumptions"]}
    pause, rows = plan.protocol.pause, []
    idle = {f"pause.{name}" for name in pause.unused if name not in pause.model_fields_set}
    for key, words, value in _described(getattr(plan.protocol, part), part):
        if key in idle:
            continue
        reason = next((why[table] for table in _prefixes(key) if table in why), None)
        origin = _("protocol") if reason is None else filled(_("assumed: {reason}"), reason=data(reason))
        rows.append((f"{words[:1].upper()}{words[1:]}", data(value), origin))
    return table(_(_PARTS[part]), (_("setting"), _("value"), _("origin")), rows, numeric=())


def _described(table: BaseModel, prefix: str) -> Iterator[tuple[str, str, str]]:
    for name, field in type(table).model_fields.items():
        value = getattr(table, name)
        if isinstance(value, BaseModel) and name != "reference":
            yield from _described(value, f"{prefix}.{name}")
        elif value is not None and value != () and value != {}:
            words = _(field.description) if field.description else f"{prefix}.{name}"
            yield f"{prefix}.{name}", words, _value(value)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, (tuple, list)):
        return ", ".join(map(_value, value))
    if isinstance(value, BaseModel):
        return ", ".join(f"{name} {_value(getattr(value, name))}" for name in type(value).model_fields)
    return f"{value:g}" if isinstance(value, float) else str(plain(value))


def _prefixes(key: str) -> list[str]:
    """Return a key and the tables that it is in, the nearest first."""
    parts = key.split(".")
    return [".".join(parts[:n]) for n in range(len(parts), 0, -1)]


def _scenarios(plan: _Plan) -> Table:
    found = plan.found
    mtds = ("true_mtd", "highest_mtd")
    heads = (_("scenario"), *map(common.level_words, found.values("dose")), *(_(OPERATING[name].label) for name in mtds))
    rows = []
    for s, scenario in enumerate(found.scenarios):
        cells = (f"{100 * p:.3g}" for p in found.values("p_true")[s])
        rows.append((data(scenario), *cells, *(common.choice(found.values(name)[s]) for name in mtds)))
    return table(_("Scenarios: true DLT rates, %."), heads, rows)


def _rules(plan: _Plan) -> Section:
    rules = common.rules_of(plan.stamp["rules"], _("Every design"))
    return Section("rules", text(_("Designs and their rules")), (Paragraph(text(_("Rules as implemented by each design."))), rules))


def _tables(plan: _Plan) -> Section:
    from ...plots import decisions as decisions_plot

    inner = []
    for number, name in enumerate(plan.protocol.designs, start=1):
        found = table_of(plan.trial, name)
        caption = filled(_("Decisions of {design}."), design=data(name))
        # Decisions that also depend on pending outcomes are shown as a table only.
        picture = () if "move" in found else (Figure(decisions_plot(found, name=name), caption),)
        shown = decisions(found, filled(_("Decision table of {design}."), design=data(name)))
        inner.append(Section(f"decisions-{number}", text(data(name)), (*picture, shown, Paragraph(explained(found)))))
    intro = Paragraph(text(_("The decision of each design after each number of DLTs.")))
    return Section("decisions", text(_("Decision tables")), (intro,), tuple(inner))


# Operating characteristics.


def _exact() -> Text:
    return text(_("The operating characteristics are exact: every possible trial is enumerated, so there is no Monte Carlo error."))


def _operating(plan: _Plan) -> Section:
    from ...plots import allocation, pages, selection

    found, parts = plan.found, pages(plan.oc)
    selected, treated = (
        _("Selection of the MTD by each design, by scenario."),
        _("Expected patients and DLTs at each dose, by scenario."),
    )
    blocks: tuple[Block, ...] = (
        Paragraph(_exact()),
        *(Figure(selection(part), text(selected)) for part in parts),
        *(Figure(allocation(part), text(treated)) for part in parts),
        found.doses(),
    )
    inner = (*found.by_scenario(), found.ends(), common.definitions(OPERATING, plan.oc))
    return Section("operating", text(_("Operating characteristics")), blocks, inner)


def _sizes(plan: _Plan) -> Section:
    found = plan.found
    heads, sizes, days = (_("design"), *map(data, found.scenarios)), [], []
    for d, name in enumerate(found.designs):
        cells = []
        for s in range(len(found.scenarios)):
            low, high = _percentiles(found.values("sample_size")[d, s], found.values("n_patients"))
            mean = written(OPERATING["mean_n"], found.values("mean_n")[d, s])
            cells.append(filled(_("{mean} ({low} to {high})"), mean=mean, low=low, high=high))
        sizes.append((data(name), *cells))
        days.append((data(name), *(written(OPERATING["days"], each) for each in found.values("days")[d])))
    note = common.raised(plan.oc["days"].attrs["definition"])
    intro = _("Numbers of patients and minimum duration if every decision is made at once and patients are always available.")
    blocks: tuple[Block, ...] = (
        Paragraph(text(intro)),
        table(_("Number of patients: mean (5th to 95th percentile), by scenario."), heads, sizes),
        table(_("Minimum duration in days: mean, by scenario."), heads, days, notes=(note,)),
    )
    return Section("sample-size", text(_("Sample size and duration")), blocks)


def _percentiles(chances: np.ndarray, numbers: np.ndarray) -> tuple[int, int]:
    """Return the 5th and the 95th percentile of a distribution of whole numbers; rounding of its sum does not move them."""
    low, high = np.searchsorted(np.cumsum(chances), (0.05 - 1e-12, 0.95 - 1e-12))
    return int(numbers[low]), int(numbers[high])


def _paths(plan: _Plan) -> Section:
    design = data(plan.binding)
    found = Paths(paths_of(plan.trial, plan.binding, cohorts=2))
    intro = filled(_("Every path of the first two cohorts of {design}, the decision after it, and its probability."), design=design)
    caption = filled(
        _("Paths of the first two cohorts of {design} (DLTs of a cohort last; orders: in which patients can have these outcomes)."),
        design=design,
    )
    blocks = (Paragraph(intro), *found.by_decision(), found.by_path(caption), *found.probabilities())
    return Section("paths", text(_("Dose paths")), blocks)


# The prior, and what the results depend on.


def _prior(prior: Analysis) -> Section:
    from ...plots import curve

    found, caption = Estimates(prior.summary), text(_("Prior of the DLT rate by dose."))
    words = _("The prior of the curve {curve}, before any data, by {engine}.")
    intro = filled(words, curve=data(prior.summary.attrs["curve_used"]), engine=engine_words(prior.summary.attrs))
    blocks = (Paragraph(intro), Figure(curve(prior), caption), found.by_dose(), *found.further(), found.mtd())
    return Section("prior", text(_("Prior of the DLT rates")), blocks)


def _zero(plan: _Plan, curve: str | None) -> Section:
    heads = (_("design"), _("outcomes"), _("patients"), _("MTD"), _("MTD reached"), _("reason for the end"))
    rows = []
    for row in plan.zero.to_dict("records"):
        reached = _("no: the MTD is that level or above") if row["not_reached"] else _("yes")
        rows.append((data(row["design"]), row["path"], str(row["patients"]), common.choice(row["mtd"]), reached, row["reason"]))
    intro = _("The course of the trial by each design if no patient has a DLT, and what the data would then say of the top dose.")
    blocks: list[Block] = [Paragraph(text(intro)), table(_("The trial without a DLT."), heads, rows, numeric={2, 3})]
    if plan.prior is None:
        blocks.append(Paragraph(text(_("The config has no dose-toxicity curve, so there is no posterior to show."))))
    else:
        outcomes = plan.outcomes_of_zero
        found = Estimates(analyze(plan.trial, outcomes, curve=curve, predicts=False).summary)
        words = _("Posterior after {outcomes}, the course of the trial under {design} if no patient has a DLT:")
        blocks.append(Paragraph(filled(words, outcomes=outcomes, design=data(plan.binding))))
        blocks += [Bullets(found.answers()), found.by_dose(), found.mtd(), *found.cautions()]
    return Section("no-dlt", text(_("Trial without a DLT")), tuple(blocks))


def _sensitivity(plan: _Plan, curve: str | None) -> Section:
    blocks: list[Block] = [block for section in plan.found.other_targets() for block in section.blocks]
    if len(varied := compare_priors(plan.trial)):
        blocks.append(_priors(plan, varied))
    if plan.prior is not None:
        outcomes = plan.outcomes_of_zero
        varied = sensitivity(plan.trial, outcomes, curve=curve)
        words = _(
            "Sensitivity of the posterior after {outcomes}, the course under {design} without a DLT: level within the limit, most "
            "likely MTD with its probability (%), and P(overdose) at each level (%), one assumption changed at a time."
        )
        blocks.append(sensitivity_table(varied, filled(words, outcomes=outcomes, design=data(plan.binding))))
    none = Paragraph(text(_("No sensitivity analysis: the config has no curve and no other target.")))
    return Section("sensitivity", text(_("Sensitivity analysis")), tuple(blocks or [none]))


def _priors(plan: _Plan, varied: pd.DataFrame) -> Table:
    """Return the correct selection of designs with their priors as they are, tighter and wider."""
    found = plan.found
    heads = (_("design"), _("SDs of the prior times"), *map(data, found.scenarios))
    rows = []
    for name, each in varied.groupby("design", sort=False):
        given = {1.0: found.values("correct")[found.designs.index(str(name))]}
        figures = given | {row[1]: np.array(row[2:]) for row in each.itertuples(index=False, name=None)}
        for scale, chances in sorted(figures.items()):
            cells = (_("cannot start") if np.isnan(p) else written(OPERATING["correct"], p) for p in chances)
            rows.append((data(name), f"{scale:g}", *cells))
    note = _(
        "1: the prior of the config. A design whose results change much with its prior depends on it. Designs without a prior are "
        "not listed."
    )
    caption = _("Correct selection with the prior of a design tighter and wider, % of trials, by scenario.")
    return table(caption, heads, rows, notes=(note,))


def _method(plan: _Plan) -> Section:
    return method(plan.oc.attrs, [_exact()], None if plan.prior is None else plan.prior.summary)


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
