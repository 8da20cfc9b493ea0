"""The report of a design before the first patient: what goes into a protocol and to an ethics committee."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from pydantic import BaseModel

from ... import tables
from ...config import Trial
from ...figures import OPERATING
from ...protocol import Protocol
from ...tasks import Analysis, analyze, compare, compare_priors, decision_table, paths, sensitivity, without_dlts
from ...tasks.stamps import plain, stamp
from ...words import _
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
    Table,
    as_string,
    data,
    text,
)
from . import common
from .comparison import Comparison
from .pause_rules import pause_section
from .pieces import Case, assumed, dose_table, facts, frame, limits, method, percent, rules, sensitivity_table

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["design_report"]


class _Plan(NamedTuple):
    """A trial as planned: operating characteristics, the trial without a DLT, and what is assumed of the curve, if there is one."""

    case: Case
    trial: Trial
    oc: xr.Dataset
    values: dict[str, Any]
    binding: str
    zero: pd.DataFrame
    prior: Analysis | None
    # What the results rest on, and what is assumed of the conduct of the trial, which the report tells too.
    stamp: dict[str, Any]

    @property
    def say(self) -> Words:
        return self.case.say

    @property
    def protocol(self) -> Protocol:
        return self.case.protocol

    @property
    def outcomes_of_zero(self) -> str:
        """The trial of the binding design without a DLT."""
        return str(self.zero.set_index("design").loc[self.binding, "path"])


def design_report(
    trial: Trial, words: Words, *, curve: str | None = None, progress: Callable[[int, int], None] | None = None
) -> Document:
    """The design report; parameters as of `dosefind.report`."""
    protocol = trial.protocol
    # First what is quick, so that a curve that there is not is refused at once.
    prior = analyze(trial, curve=curve) if protocol.curves or curve is not None else None
    oc = compare(trial, progress=progress)
    values = {str(name): variable.values for name, variable in oc.variables.items()}
    binding = protocol.binding or next(iter(protocol.designs))
    case, rests_on = Case(words, protocol), stamp(trial, conducts=True)
    plan = _Plan(case, trial, oc, values, binding, without_dlts(trial), prior, rests_on)
    sections = [_summary(plan), _protocol(plan), _rules(plan), pause_section(plan.case), _tables(plan), _operating(plan)]
    sections += [_sizes(plan), _paths(plan)]
    if prior is not None:
        sections.append(_prior(plan, prior))
    sections += [_zero(plan, curve), _sensitivity(plan, curve), _method(plan), limits(plan.case, "planned")]
    sections.append(assumed(plan.case, plan.stamp))
    sections.append(_checklist(plan, sections))
    version = protocol.record.version_date.isoformat()
    return Document(
        title=words("design.title", protocol=data(protocol.record.id)),
        subtitle=words("design.subtitle", date=version),
        language=words.language,
        date=version,
        facts=facts(plan.case, oc.attrs, ("binding", text(data(binding)))),
        sections=tuple(sections),
        labels=words.table("labels"),
    )


# The first page.


def _summary(plan: _Plan) -> Section:
    say = plan.say
    found = Comparison.of(plan.oc)
    answers = Answers((_what(plan),))
    note = Note(say.plain("short.assumed_title"), (common.assumed_words(plan.stamp),))
    blocks = (answers, Bullets(found.verdicts()), found.at_a_glance(), found.costs(), note)
    return Section("summary", say("short.title"), blocks, own_page=True)


def _what(plan: _Plan) -> Answer:
    say, protocol = plan.say, plan.protocol
    target, sizes = protocol.target, protocol.limits.cohort_size
    doses = ", ".join(f"{one:g}" for one in protocol.doses.amounts)
    rates = {"target": percent(target.rate, 0), "low": percent(target.interval[0], 0), "high": percent(target.interval[1], 0)}
    others = [name for name in protocol.designs if name != plan.binding]
    compared = {"design": data(plan.binding), "scenarios": len(protocol.scenarios), "others": data(", ".join(others))}
    because = (
        say("short.limits", cohort=str(plain(sizes)), max_n=protocol.limits.max_n, start=protocol.limits.start_level),
        say("short.target", days=protocol.treatment.dlt_window_days, **rates),
        say("short.binding" if others else "short.alone", **compared),
    )
    answer = say(
        "short.doses", n_doses=protocol.n_doses, product=data(protocol.record.product), doses=doses, unit=data(plan.case.unit)
    )
    return Answer(say.plain("short.trial"), answer, because)


# What the trial is.


def _protocol(plan: _Plan) -> Section:
    say, protocol = plan.say, plan.protocol
    parts = [_part(plan, name) for name in _PARTS if getattr(protocol, name) is not None]
    source = data(protocol.record.source) if protocol.record.source else say("protocol.no_source")
    blocks: tuple[Block, ...] = (
        Paragraph(say("protocol.intro", source=source)),
        *parts,
        _scenarios(plan),
    )
    return Section("protocol", say("protocol.title"), blocks)


# Parts of a protocol that are described: designs, curves and scenarios have sections of their own.
_PARTS = ("record", "doses", "treatment", "dlt", "evaluability", "limits", "pause", "target", "rp2d", "utility")


def _part(plan: _Plan, part: str) -> Table:
    """A part of the protocol, setting by setting in the words of its own schema, with where each value comes from."""
    say = plan.say
    why = {key: reason for key, _, reason in json.loads(plan.stamp["assumptions"])}
    pause, rows = plan.protocol.pause, []
    idle = {f"pause.{name}" for name in pause.unused if name not in pause.model_fields_set}
    for key, words, value in _described(getattr(plan.protocol, part), part):
        if key in idle:
            continue
        reason = next((why[table] for table in _prefixes(key) if table in why), None)
        origin = say("protocol.record") if reason is None else say("protocol.assumed", why=data(reason))
        rows.append((text(f"{words[:1].upper()}{words[1:]}"), text(data(value)), origin))
    columns = plan.case.columns("protocol.key", "protocol.value", "protocol.origin", numeric_from=3)
    return Table(say(f"protocol.parts.{part}"), columns, tuple(rows))


def _described(table: BaseModel, prefix: str) -> Iterator[tuple[str, str, str]]:
    for name, field in type(table).model_fields.items():
        value = getattr(table, name)
        if isinstance(value, BaseModel) and name != "reference":
            yield from _described(value, f"{prefix}.{name}")
        elif value is not None and value != () and value != {}:
            words = field.description or f"{prefix}.{name}"
            yield f"{prefix}.{name}", words, _value(value)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (tuple, list)):
        return ", ".join(map(_value, value))
    if isinstance(value, BaseModel):
        return ", ".join(f"{name} {_value(getattr(value, name))}" for name in type(value).model_fields)
    return f"{value:g}" if isinstance(value, float) else str(plain(value))


def _prefixes(key: str) -> list[str]:
    """A key and the tables that it is in, the nearest first."""
    parts = key.split(".")
    return [".".join(parts[:n]) for n in range(len(parts), 0, -1)]


def _scenarios(plan: _Plan) -> Table:
    say, values = plan.say, plan.values
    columns = (Column(say("protocol.scenario")), *(Column(say("oc.level", level=level), True) for level in values["dose"]))
    columns += (Column(text(_(OPERATING["true_mtd"].label)), True), Column(text(_(OPERATING["highest_mtd"].label)), True))
    rows = []
    for s, scenario in enumerate(values["scenario"]):
        cells = [*(f"{100 * p:.3g}" for p in values["p_true"][s]), str(values["true_mtd"][s]), str(values["highest_mtd"][s])]
        rows.append((text(data(scenario)), *map(text, cells)))
    return Table(say("protocol.scenarios"), columns, tuple(rows))


def _rules(plan: _Plan) -> Section:
    say = plan.say
    said = rules(plan.case, json.loads(plan.oc.attrs["rules"]), say.plain("rules.every"))
    return Section("rules", say("rules.title"), (Paragraph(say("rules.intro")), said))


def _tables(plan: _Plan) -> Section:
    from ...plots import decisions

    say, inner = plan.say, []
    for number, name in enumerate(plan.protocol.designs, start=1):
        table = decision_table(plan.trial, name)
        shown = _in_ranges(plan, plan.case.with_reasons(table))
        blocks: tuple[Block, ...] = (
            Figure(decisions(table, name=name), say("decisions.picture", design=data(name))),
            frame(plan.case, shown, say("decisions.table", design=data(name)), text(table.attrs["note"])),
        )
        inner.append(Section(f"decisions-{number}", text(data(name)), blocks))
    return Section("decisions", say("decisions.title"), (Paragraph(say("decisions.intro")),), tuple(inner))


def _in_ranges(plan: _Plan, table: pd.DataFrame) -> pd.DataFrame:
    """A decision table with one row for numbers of DLTs in a row that lead to the same."""
    if "next" not in table:
        return table
    same = ["level", "n", "next"]
    begins = (table[same] != table[same].shift()).any(axis=1) | (table["dlts"] != table["dlts"].shift() + 1)
    groups = table.groupby(begins.cumsum())
    shown = groups.first()
    ends = zip(shown["dlts"], groups["dlts"].last(), strict=True)
    shown["dlts"] = [str(low) if low == high else plan.say.plain("decisions.range", low=low, high=high) for low, high in ends]
    return shown


# What the designs do.


def _operating(plan: _Plan) -> Section:
    from ...plots import allocation, selection

    say = plan.say
    blocks: tuple[Block, ...] = (
        Paragraph(say("method.exact")),
        Figure(selection(plan.oc), say("oc.selection")),
        Figure(allocation(plan.oc), say("oc.allocation")),
    )
    found = Comparison.of(plan.oc)
    inner = (*found.by_scenario(), found.ends(), common.definitions(OPERATING, plan.oc))
    return Section("operating", say("oc.title"), (*blocks, found.doses()), inner)


def _sizes(plan: _Plan) -> Section:
    say, values = plan.say, plan.values
    columns = (plan.case.column("design"), *(Column(text(data(name)), True) for name in values["scenario"]))
    sizes, days = [], []
    for d, name in enumerate(values["design"]):
        cells = []
        for s in range(len(values["scenario"])):
            low, high = _percentiles(values["sample_size"][d, s], values["n_patients"])
            cells.append(say("sizes.cell", mean=f"{values['mean_n'][d, s]:.1f}", low=low, high=high))
        sizes.append((text(data(name)), *cells))
        days.append((text(data(name)), *(text(f"{one:.0f}") for one in values["days"][d])))
    note = text(f"{plan.oc['days'].attrs['definition']}.")
    blocks: tuple[Block, ...] = (
        Paragraph(say("sizes.intro")),
        Table(say("sizes.table"), columns, tuple(sizes)),
        Table(say("sizes.days"), columns, tuple(days), (note,)),
    )
    return Section("sample-size", say("sizes.title"), blocks)


def _percentiles(chances: np.ndarray, numbers: np.ndarray) -> tuple[int, int]:
    """The 5th and the 95th percentile of a distribution of whole numbers; rounding of its sum does not move them."""
    low, high = np.searchsorted(np.cumsum(chances), (0.05 - 1e-12, 0.95 - 1e-12))
    return int(numbers[low]), int(numbers[high])


def _paths(plan: _Plan) -> Section:
    say, design = plan.say, data(plan.binding)
    table = plan.case.with_reasons(paths(plan.trial, plan.binding, cohorts=2))
    shown = frame(plan.case, table, say("paths.table", design=design))
    return Section("paths", say("paths.title"), (Paragraph(say("paths.intro", design=design)), shown))


# What is assumed, and what hangs on it.


def _prior(plan: _Plan, prior: Analysis) -> Section:
    from ...plots import curve

    say, attrs = plan.say, prior.summary.attrs
    intro = say("before.intro", curve=data(attrs["curve_used"]), engine=say.sentence(tables.engine(attrs)))
    blocks: tuple[Block, ...] = (
        Paragraph(intro),
        Figure(curve(prior), say("before.table")),
        dose_table(plan.case, prior.summary, say("before.table")),
    )
    return Section("prior", say("before.title"), blocks)


def _zero(plan: _Plan, curve: str | None) -> Section:
    say, table = plan.say, plan.zero.copy()
    table["not_reached"] = [say.plain("zero.not_reached" if one else "zero.reached") for one in table["not_reached"]]
    blocks: list[Block] = [Paragraph(say("zero.intro")), frame(plan.case, table, say("zero.table"))]
    if plan.prior is None:
        blocks.append(Paragraph(say("zero.no_curve")))
    else:
        outcomes = plan.outcomes_of_zero
        found = analyze(plan.trial, outcomes, curve=curve)
        caption = say("zero.posterior", outcomes=outcomes, design=data(plan.binding))
        blocks.append(dose_table(plan.case, found.summary, caption))
        blocks.append(Bullets(tuple(map(text, json.loads(found.summary.attrs["warnings"])))))
    return Section("no-dlt", say("zero.title"), tuple(blocks))


def _sensitivity(plan: _Plan, curve: str | None) -> Section:
    say, blocks = plan.say, list[Block]()
    if "target" in plan.oc.dims:
        blocks += [block for section in Comparison.of(plan.oc).other_targets() for block in section.blocks]
    if len(varied := compare_priors(plan.trial)):
        blocks.append(_priors(plan, varied))
    if plan.prior is not None:
        outcomes = plan.outcomes_of_zero
        table = sensitivity(plan.trial, outcomes, curve=curve)
        caption = say("sensitivity.table_zero", outcomes=outcomes, design=data(plan.binding))
        blocks.append(sensitivity_table(plan.case, table, caption))
    return Section("sensitivity", say("sensitivity.title"), tuple(blocks or [Paragraph(say("sensitivity.none"))]))


def _priors(plan: _Plan, varied: pd.DataFrame) -> Table:
    """Designs with their priors as they are, tighter and wider."""
    say, names = plan.say, plan.values["design"].tolist()
    columns = (plan.case.column("design"), Column(say("priors.scale"), True))
    columns += tuple(Column(text(data(name)), True) for name in plan.values["scenario"])
    rows = []
    for name, each in varied.groupby("design", sort=False):
        given = {1.0: plan.values["correct"][names.index(name)]}
        figures = given | {row[1]: np.array(row[2:]) for row in each.itertuples(index=False, name=None)}
        for scale, chances in sorted(figures.items()):
            cells = (say.plain("priors.no_start") if np.isnan(p) else f"{100 * p:.1f}" for p in chances)
            rows.append((text(data(name)), text(f"{scale:g}"), *map(text, cells)))
    return Table(say("priors.table"), columns, tuple(rows), (say("priors.note"),))


def _method(plan: _Plan) -> Section:
    return method(plan.case, plan.oc.attrs, [plan.say("method.exact")], None if plan.prior is None else plan.prior.summary)


def _checklist(plan: _Plan, sections: Sequence[Section]) -> Section:
    """Which topics of the reporting guidelines are answered where; of the sections that there are."""
    say, titles = plan.say, {one.id: f"{number} {as_string(one.title)}" for number, one in enumerate(sections, 1)}
    rows = []
    for item in say.items("checklist"):
        found = [titles[one] for one in item["sections"] if one in titles]
        rows.append(tuple(map(text, (item["topic"], item.get("item", ""), item["asks"], "; ".join(found)))))
    columns = plan.case.columns("checklist.topic", "checklist.item", "checklist.asks", "checklist.where", numeric_from=4)
    intro = say("checklist.intro", spirit=say("checklist.spirit"), consort=say("checklist.consort"))
    table = Table(say("checklist.table"), columns, tuple(rows), (say("checklist.note"),))
    return Section("checklist", say("checklist.title"), (Paragraph(intro), table))
