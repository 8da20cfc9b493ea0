"""The report of a design before the first patient: what goes into a protocol and to an ethics committee."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from pydantic import BaseModel

from .. import tables
from ..config import Trial
from ..protocol import Protocol
from ..tasks import Analysis, analyze, compare, compare_priors, decision_table, paths, sensitivity, without_dlts
from ..tasks.stamps import n_assumed, plain, stamp
from .content import (
    Answer,
    Answers,
    Block,
    Bullets,
    Column,
    Definitions,
    Document,
    Figure,
    Note,
    Paragraph,
    Section,
    Table,
    Text,
    as_string,
    data,
    text,
)
from .pause_rules import pause_section
from .pieces import Case, assumed, definitions, dose_table, facts, frame, limits, method, percent, rules, sensitivity_table
from .words import Words

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
    assumptions = say("short.assumed", n=n_assumed(plan.stamp))
    answers = Answers((_what(plan), _finds(plan), _costs(plan)))
    note = Note(say.plain("short.assumed_title"), (assumptions,))
    return Section("summary", say("short.title"), (answers, _glance(plan), note), own_page=True)


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


def _finds(plan: _Plan) -> Answer:
    """How often the binding design names the true MTD, beside the best of all designs."""
    say, oc = plan.say, plan.oc
    correct = oc["correct"].transpose("design", "scenario").values
    names = oc["design"].values.tolist()
    own = correct[names.index(plan.binding)]
    behind = correct.max(axis=0) - own
    because = []
    if len(names) > 1:
        # Equal to the last digit that is shown.
        leads = int((behind < 0.0005).sum())
        because.append(say("short.best_in", n=str(leads), scenarios=len(own)))
        s = int(behind.argmax())
        if behind[s] >= 0.0005:
            best = int(correct[:, s].argmax())
            figures = {"p": percent(own[s]), "best": percent(correct[best, s]), "name": data(names[best])}
            because.append(say("short.furthest", scenario=data(oc["scenario"].values[s]), **figures))
    answer = say("short.correct", design=data(plan.binding), low=percent(own.min(), 0), high=percent(own.max(), 0))
    return Answer(say.plain("short.find"), answer, tuple(because))


def _costs(plan: _Plan) -> Answer:
    say, own = plan.say, plan.oc.sel(design=plan.binding)
    figures = {"": own["mean_n"].values, "dlts_": own["dlts"].sum("dose").values, "over_": own["above_mtd"].values}
    figures["days_"] = own["days"].values
    digits = {"days_": 0}
    ends = {
        f"{name}{end}": f"{value:.{digits.get(name, 1)}f}"
        for name, array in figures.items()
        for end, value in (("low", array.min()), ("high", array.max()))
    }
    answer = say("short.patients", low=ends["low"], high=ends["high"])
    shown = {name: ends[name] for name in ends if name not in ("low", "high", "dlts_low", "dlts_high")}
    because = say("short.cost_is", low=ends["dlts_low"], high=ends["dlts_high"], **shown)
    return Answer(say.plain("short.cost"), answer, (because,))


def _glance(plan: _Plan) -> Table:
    """The binding design under each scenario, a row a scenario."""
    say, oc, own = plan.say, plan.oc, plan.oc.sel(design=plan.binding)
    (correct, mean_n), names = (
        (oc[name].transpose("design", "scenario").values for name in ("correct", "mean_n")),
        oc["design"].values,
    )
    keys = ("rates", "correct_head", "best", "reference", "mean_n", "over", "days")
    heads = {key: Column(say(f"short.{key}"), True) for key in keys}
    dlts = Column(text(tables.COMPARED["dlts"]), True)
    columns = (
        *(Column(say("protocol.scenario")), heads["rates"], Column(text(tables.COMPARED["true_mtd"]), True)),
        *(heads[key] for key in ("correct_head", "best", "reference", "mean_n")),
        *(dlts, heads["over"], heads["days"]),
    )
    rows = []
    for s, scenario in enumerate(oc["scenario"].values):
        best = int(correct[:, s].argmax())
        rows.append(
            (
                text(data(scenario)),
                text(", ".join(f"{100 * p:.3g}" for p in plan.values["p_true"][s])),
                text(str(plan.values["true_mtd"][s])),
                text(f"{100 * own['correct'].values[s]:.1f}"),
                say("short.best_is", p=f"{100 * correct[best, s]:.1f}", name=data(names[best]), n=f"{mean_n[best, s]:.1f}"),
                text(f"{100 * plan.values['reference_correct'][s]:.1f}"),
                text(f"{own['mean_n'].values[s]:.1f}"),
                text(f"{own['dlts'].sum('dose').values[s]:.1f}"),
                text(f"{own['above_mtd'].values[s]:.1f}"),
                text(f"{own['days'].values[s]:.0f}"),
            )
        )
    return Table(say("short.glance"), columns, tuple(rows), (say("short.glance_note"),))


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
    columns += (Column(text(tables.COMPARED["true_mtd"]), True), Column(text(tables.COMPARED["highest_mtd"]), True))
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
    from ..plots import decisions

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
    from ..plots import allocation, selection

    say = plan.say
    blocks: tuple[Block, ...] = (
        Paragraph(say("method.exact")),
        Figure(selection(plan.oc), say("oc.selection")),
        Figure(allocation(plan.oc), say("oc.allocation")),
    )
    inner = [_scenario(plan, s) for s in range(len(plan.values["scenario"]))]
    reasons = json.loads(plan.oc["reason"].attrs["definition"])
    shown = [name for k, name in enumerate(plan.values["reason"]) if plan.values["stopped"][..., k].max() >= tables.LEAST_SHARE]
    ends = Definitions(tuple((text(plan.case.reason(str(name))), (say.sentence(reasons[name]),)) for name in shown))
    inner.append(Section("ends", say("oc.ends_title"), (Paragraph(say("oc.least")), ends)))
    inner.append(Section("figures", say("oc.definitions"), (definitions(tables.COMPARED, plan.oc),)))
    return Section("operating", say("oc.title"), blocks, tuple(inner))


def _scenario(plan: _Plan, s: int) -> Section:
    """What is named and what it costs under one scenario: a row a figure, a column a design."""
    say, values = plan.say, plan.values
    scenario = data(values["scenario"][s])
    mtd, alternative = values["true_mtd"][s], values["highest_mtd"][s]
    rates = ", ".join(f"{100 * p:.3g}%" for p in values["p_true"][s])
    key = "oc.scenario" if mtd == alternative else "oc.scenario_alt"
    title = say(key, scenario=scenario, rates=rates, mtd=mtd, alt=alternative)
    blocks = (_choice(plan, s, say("oc.choice", scenario=scenario)), _cost(plan, s, say("oc.cost", scenario=scenario)))
    return Section(f"scenario-{s + 1}", title, blocks)


def _by_design(
    plan: _Plan, head: str, rows: Sequence[tuple[Text, Sequence[str]]], caption: Text, more: Sequence[Text] = ()
) -> Table:
    columns = (Column(plan.say(head)), *(Column(text(data(name)), True) for name in plan.values["design"]))
    columns += tuple(Column(one, True) for one in more)
    return Table(caption, columns, tuple((head, *map(text, cells)) for head, cells in rows))


def _choice(plan: _Plan, s: int, caption: Text) -> Table:
    say, values = plan.say, plan.values
    designs = range(len(values["design"]))
    rows: list[tuple[Text, Sequence[str]]] = []
    for k, label in enumerate(values["choice"]):
        cells = [tables.figure(values, "selected", (d, s, k), True, 1) for d in designs]
        head = text("none") if label == "none" else say("oc.level", level=label)
        rows.append((head, [*cells, f"{100 * values['reference_selected'][s, k]:.1f}"]))
    reference = {"correct": values["reference_correct"], "correct_highest": values["reference_correct_highest"]}
    for name, words, is_share, digits in tables.CHOICE:
        cells = [tables.figure(values, name, (d, s), is_share, digits) for d in designs]
        rows.append((text(words), [*cells, f"{100 * reference[name][s]:.1f}" if name in reference else ""]))
    return _by_design(plan, "oc.choice_head", rows, caption, (say("oc.reference"),))


def _cost(plan: _Plan, s: int, caption: Text) -> Table:
    say, values = plan.say, plan.values
    designs = range(len(values["design"]))
    rows: list[tuple[Text, Sequence[str]]] = []
    for name, key, digits in (("patients", "oc.patients_at", 1), ("dlts", "oc.dlts_at", 2)):
        for k, level in enumerate(values["dose"]):
            rows.append((say(key, level=level), [tables.figure(values, name, (d, s, k), False, digits) for d in designs]))
    for name, words, is_share, digits in tables.COST:
        rows.append((text(words), [tables.figure(values, name, (d, s), is_share, digits) for d in designs]))
    shares = values["stopped"][:, s]
    for k in sorted(np.flatnonzero(shares.max(axis=0) >= tables.LEAST_SHARE), key=lambda k: -shares[:, k].max()):
        cells = [f"{100 * p:.0f}" if p >= tables.LEAST_SHARE else "" for p in shares[:, k]]
        rows.append((say("oc.ends", reason=plan.case.reason(str(values["reason"][k]))), cells))
    return _by_design(plan, "oc.cost_head", rows, caption)


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
    from ..plots import curve

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
    say, values = plan.say, plan.values
    blocks: list[Block] = []
    if "target" in plan.oc.dims:
        blocks.append(_targets(plan, values))
    if len(varied := compare_priors(plan.trial)):
        blocks.append(_priors(plan, varied))
    if plan.prior is not None:
        outcomes = plan.outcomes_of_zero
        table = sensitivity(plan.trial, outcomes, curve=curve)
        caption = say("sensitivity.table_zero", outcomes=outcomes, design=data(plan.binding))
        blocks.append(sensitivity_table(plan.case, table, caption))
    return Section("sensitivity", say("sensitivity.title"), tuple(blocks or [Paragraph(say("sensitivity.none"))]))


def _targets(plan: _Plan, values: dict[str, Any]) -> Table:
    say = plan.say
    columns = (Column(say("targets.target"), True), plan.case.column("design"))
    columns += tuple(Column(text(data(name)), True) for name in values["scenario"])
    rows = []
    for t, target in enumerate(values["target"]):
        shown = text(percent(target, 0))
        rows.append((shown, say("targets.true_mtd"), *(text(str(one)) for one in values["true_mtd_by_target"][t])))
        for d, design in enumerate(values["design"]):
            cells = ("-" if np.isnan(p) else f"{100 * p:.1f}" for p in values["correct_by_target"][t, d])
            rows.append((shown, text(data(design)), *map(text, cells)))
    note = say("targets.definition", words=text(data(plan.oc["target"].attrs["definition"])))
    return Table(say("targets.table"), columns, tuple(rows), (note,))


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
