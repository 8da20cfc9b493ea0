"""The report for the meeting that decides what next: a trial with patients, at a data cut."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import tables
from ..adjudications import Adjudicated
from ..evaluability import KINDS, Status
from ..patients import Patients
from ..plots.style import listed
from ..protocol import Protocol
from ..tasks import Analysis, NextDose, analyze, next_dose, sensitivity
from ..tasks.stamps import n_assumed
from .content import (
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
from .words import Words

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["conduct_report"]


class _Trial(NamedTuple):
    """A trial at its data cut: what next, and the posterior where the protocol has a curve."""

    case: Case
    found: NextDose
    analysis: Analysis | None

    @property
    def say(self) -> Words:
        return self.case.say

    @property
    def summary(self) -> xr.Dataset:
        assert self.analysis is not None
        return self.analysis.summary


def conduct_report(
    protocol: Protocol,
    patients: Patients,
    as_of: date | None,
    words: Words,
    *,
    replay: bool = False,
    design: str | None = None,
    curve: str | None = None,
    decisions: Path | str | None = None,
    adjudications: Path | str | Sequence[Adjudicated] = (),
) -> Document:
    """The conduct report; parameters as of `dosefind.report`."""
    found = next_dose(protocol, patients, as_of, replay=replay, design=design, decisions=decisions, adjudications=adjudications)
    others = found.evaluated.beside()
    protocol = protocol.in_force(found.evaluated.as_of)
    cohorts = found.evaluated.cohorts()
    analysis = analyze(protocol, cohorts, others=others, curve=curve) if protocol.curves or curve is not None else None
    trial = _Trial(Case(words, protocol), found, analysis)
    sections = [_summary(trial), _patients(trial)]
    if analysis is not None:
        varied = sensitivity(protocol, cohorts, others=others, curve=curve)
        sections += [_rates(trial), _mtd(trial), _conclusion(trial)]
        sections.append(
            Section(
                "sensitivity",
                words("sensitivity.title"),
                (sensitivity_table(trial.case, varied, words("sensitivity.table")),),
            )
        )
    sections += [_designs(trial), _deviations(trial), _method(trial), limits(trial.case, "conduct")]
    # A page to sign is one page.
    sections += [replace(assumed(trial.case, found.attrs), own_page=True), _signatures(trial)]
    cut = found.attrs["as_of"]
    return Document(
        title=words("conduct.title", protocol=data(protocol.record.id)),
        subtitle=words("conduct.subtitle", cut=cut),
        language=words.language,
        date=cut,
        facts=_facts(trial),
        sections=tuple(sections),
        labels=words.table("labels"),
    )


def _facts(trial: _Trial) -> Any:
    attrs, say = trial.found.attrs, trial.say
    cut = say("facts.cut_assumed", cut=attrs["as_of"]) if attrs["as_of_assumed"] else text(attrs["as_of"])
    more = (("cut", cut), ("binding", text(data(trial.found.binding))), ("data_hash", trial.case.hash(attrs["data_sha256"])))
    return facts(trial.case, attrs, *more)


# The first page: what next, how safe, how sure.


def _summary(trial: _Trial) -> Section:
    alarms, uncounted = tuple(text(data(one)) for one in trial.found.alarms), trial.say.plain("answers.uncounted")
    blocks: list[Block] = [Note(uncounted, alarms, warning=True)] if alarms else []
    blocks += [Answers((_next(trial), _safe(trial), _sure(trial))), _glance(trial)]
    if trial.analysis is not None:
        blocks += warnings(trial.case, trial.summary)
    assumptions = trial.say("short.assumed", n=n_assumed(trial.found.attrs))
    blocks.append(Note(trial.say.plain("short.assumed_title"), (assumptions,)))
    return Section("summary", trial.say("answers.title"), tuple(blocks), own_page=True)


def _next(trial: _Trial) -> Answer:
    say, found, one = trial.say, trial.found, trial.found.proposal
    because = [say("answers.by_binding", design=data(found.binding), words=say.stopped(one.reason))]
    if found.start is not None and found.start.day is None:
        because.append(say("answers.no_start", words=found.start.words.removeprefix("no date can be named: ")))
    elif found.start is not None:
        because.append(say("answers.start", day=str(found.start.day), words=found.start.words))
    others = [(name, other) for name, other in found.proposals.items() if other.words != one.words]
    n = len(found.proposals)
    if n == 1:
        because.append(say("answers.alone"))
    elif not others:
        because.append(say("answers.agree_to_wait" if one.action == "wait" else "answers.agree", n=str(n)))
    else:
        which = _joined([say("answers.differs", design=data(name), next=other.words) for name, other in others])
        because.append(say("answers.differ", differing=str(len(others)), n=str(n), which=which))
    if stopped := _had_stopped(found):
        because.append(say("answers.had_stopped", designs=data(stopped)))
    if found.recorded:
        last = found.recorded[-1]
        key = "answers.last_override" if last.override == "yes" else "answers.last_decision"
        said = {"decision": data(last.decision), "recommendation": data(last.recommendation), "design": data(last.binding)}
        because.append(say(key, day=str(last.as_of), **said))
        before = sum(one.override == "yes" for one in found.recorded[:-1])
        if before:
            because.append(say("answers.overrides", n=before, all=len(found.recorded)))
    answer = say("answers.settle_first", words=one.words) if found.alarms else say.sentence(one.words)
    return Answer(say.plain("answers.next"), answer, tuple(because))


def _had_stopped(found: NextDose) -> str:
    """Designs by whose rules the trial was over before the last of its patients were treated."""
    return ", ".join(name for name, words in found.deviations.items() if any("had stopped" in one for one in words))


def _joined(parts: Sequence[Text], between: str = "; ") -> Text:
    """Texts as one."""
    return tuple(run for place, part in enumerate(parts) for run in (*(text(between) if place else ()), *part))


def _safe(trial: _Trial) -> Answer:
    say, found = trial.say, trial.found
    cohorts = found.evaluated.cohorts()
    n, y = sum(one.n for one in cohorts), sum(one.dlts for one in cohorts)
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


def _over(trial: _Trial) -> list[Text]:
    """What the posterior says of the dose that would be next, and the data alone of all doses."""
    say, summary, level = trial.say, trial.summary, trial.found.proposal.level
    words, high = [], percent(summary.attrs["interval"][1], 0)
    key = "answers.over_next"
    if level is None and summary.attrs["rp2d"] != "none":
        level, key = int(summary.attrs["rp2d"]), "answers.over_named"
    if level is not None:
        tried = bool(summary["n"].values[level - 1])
        over = f"{_share(summary, 'p_over', level - 1)}%"
        words.append(say(key if tried else "answers.over_next_prior", level=level, high=high, over=over))
        if tried:
            here = trial.found.doses.to_dict("records")[level - 1]
            dlts, patients = say("count.dlts", n=here["dlts"]), say("count.patients", n=here["counted"])
            limit = percent(here["upper_limit"], 0)
            words.append(say("answers.own", level=level, limit=limit, dlts=dlts, patients=patients))
    here = [one.level for one in trial.found.evaluated.statuses if one.kind == "pending" and one.level not in (None, level)]
    if here:
        highest = max(here)
        over = f"{_share(summary, 'p_over', highest - 1)}%"
        pending = say("count.patients", n=here.count(highest))
        words.append(say("answers.over_pending", level=highest, high=high, over=over, patients=pending))
    if (summary["n"].values > 0).sum() > 1:
        words.append(say("answers.pooled", limit=percent(summary.attrs["pooled_upper_limit"], 0)))
    return words


def _share(summary: xr.Dataset, name: str, at: Any) -> str:
    """A probability in percent, with its Monte Carlo standard error where it has one."""
    return tables.share({one: summary[one].values for one in (name, f"{name}_se") if one in summary}, name, at)


def _glance(trial: _Trial) -> Table:
    """Data and posterior by dose, the row of no dose first."""
    say, case, cohorts = trial.say, trial.case, trial.found.evaluated.cohorts()
    statuses = trial.found.evaluated.statuses
    columns = (case.column("level"), Column(say("patients.dose", unit=data(case.unit)), True))
    columns += tuple(Column(say(f"patients.{key}"), True) for key in ("treated", "pending", "counted", "dlt", "lost"))
    rows = []
    for level, dose in enumerate(case.protocol.doses.amounts, start=1):
        here = [one.kind for one in statuses if one.level == level]
        counts = (sum(getattr(one, name) for one in cohorts if one.level == level) for name in ("n", "dlts"))
        lost = here.count("not evaluable") + here.count("replaced")
        rows.append([str(level), f"{dose:g}", str(len(here)), str(here.count("pending")), *map(str, counts), str(lost)])
    if trial.analysis is None:
        return Table(say("answers.glance"), columns, tuple(tuple(map(text, row)) for row in rows))
    summary, binding = trial.summary, trial.found.binding
    columns += (Column(say("answers.over"), True), Column(say("answers.mtd_here"), True))
    columns += (Column(say("answers.named", design=data(binding)), True),)
    design = summary["design"].values.tolist().index(binding)
    rows.insert(0, [say.plain("answers.none"), *[""] * 6])
    for place, row in enumerate(rows):
        row += ["" if place == 0 else _share(summary, "p_over", place - 1), _share(summary, "mtd", place)]
        row.append(_share(summary, "conclusion", (design, place)))
    rates = {"high": percent(summary.attrs["interval"][1], 0), "target": percent(summary.attrs["target"], 0)}
    note = say("answers.glance_note", curve=data(summary.attrs["curve_used"]), **rates)
    return Table(say("answers.glance"), columns, tuple(tuple(map(text, row)) for row in rows), (note,))


def _sure(trial: _Trial) -> Answer:
    say = trial.say
    question = say.plain("answers.sure")
    if trial.analysis is None:
        return Answer(question, say("answers.no_curve"), (say("answers.no_curve_why"),))
    summary = trial.summary
    chances = summary["mtd"].values
    likeliest = int(chances.argmax())
    if chances[likeliest] > 0.5:
        answer = say("answers.mtd", where=_where(trial, likeliest), p=f"{_share(summary, 'mtd', likeliest)}%")
    else:
        # The likeliest of several parts, none of which has half of the probability, is no answer.
        answer = say("answers.mtd_open", where=_where(trial, likeliest), p=f"{_share(summary, 'mtd', likeliest)}%")
    return Answer(question, answer, (_rp2d(trial, "answers.rp2d"), *_concluded(trial)))


def _concluded(trial: _Trial) -> list[Text]:
    """What the binding design will most probably name, where the trial goes on."""
    say, summary = trial.say, trial.summary
    if trial.found.proposal.action == "stop":
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


def _rp2d(trial: _Trial, key: str) -> Text:
    say, attrs = trial.say, trial.summary.attrs
    named = say("answers.rp2d_none") if attrs["rp2d"] == "none" else say("answers.rp2d_level", level=attrs["rp2d"])
    return say(key, rp2d=named, reason=say.sentence(attrs["rp2d_reason"]))


# Who counts.


def _went(trial: _Trial) -> list[Block]:
    """The trial as it went, in a picture; who is at a dose that the protocol does not have is shown with what would count."""
    from ..plots import trial as picture

    evaluated = trial.found.evaluated
    if not evaluated.statuses:
        return []
    audit = evaluated.audit().assign(status=[one.otherwise or one.kind for one in evaluated.statuses])
    return [Figure(picture(audit, protocol=trial.case.protocol), trial.say("patients.went"))]


def _patients(trial: _Trial) -> Section:
    say, case, evaluated = trial.say, trial.case, trial.found.evaluated
    blocks = _went(trial)
    if evaluated.statuses:
        columns = (case.column("subject"), *(case.column(name, True) for name in ("cohort", "level")))
        columns += (Column(say("patients.dose", unit=data(case.unit)), True), case.column("status"))
        given = {one.subject: one.amount for one in evaluated.patients}
        rows = tuple(
            (
                text(data(one.subject)),
                text("" if one.cohort is None else str(one.cohort)),
                text(str(one.level)) if one.level is not None else say("common.unknown_level"),
                text(f"{given[one.subject]:g}"),
                _status(trial, one),
            )
            for one in sorted(evaluated.statuses, key=lambda one: (one.cohort or 0, one.first, one.subject))
        )
        blocks += [
            Table(say("patients.profile"), columns, rows, (say("patients.status", last=tables.last_days(evaluated)),)),
            _counts(trial),
        ]
    else:
        blocks.append(Paragraph(say("patients.nobody")))
    notes = [say.sentence(evaluated.closing()), *(say.sentence(note) for note in evaluated.notes)]
    return Section("patients", say("patients.title"), (*blocks, Bullets(tuple(notes))))


def _status(trial: _Trial, one: Status) -> Text:
    """A patient's status; of who is in no count, what it would be."""
    said = trial.say(f"status.{(one.otherwise or one.kind).replace(' ', '_')}")
    return said if one.otherwise is None else trial.say("patients.uncounted", status=said)


def _counts(trial: _Trial) -> Table:
    """Patients of each dose by status; those at a dose that the protocol does not have on a row of their own."""
    say, case, statuses = trial.say, trial.case, trial.found.evaluated.statuses
    kinds = {kind: kind.replace(" ", "_") for kind in KINDS}
    columns = (
        case.column("level"),
        Column(say("patients.dose", unit=data(case.unit)), True),
        Column(say("patients.treated"), True),
        *(Column(say(f"patients.{key}"), True) for key in kinds.values()),
    )
    levels: list[int | None] = list(range(1, case.protocol.n_doses + 1))
    if any(one.level is None for one in statuses):
        levels.append(None)
    rows = []
    for level in levels:
        here = [one.otherwise or one.kind for one in statuses if one.level == level]
        cells = [str(len(here)), *(str(here.count(kind)) for kind in kinds)]
        dose = "" if level is None else f"{case.protocol.doses.amounts[level - 1]:g}"
        name = say("common.unknown_level") if level is None else text(str(level))
        rows.append((name, text(dose), *map(text, cells)))
    everybody = [one.otherwise or one.kind for one in statuses]
    cells = ["", str(len(everybody)), *(str(everybody.count(kind)) for kind in kinds)]
    rows.append((say("patients.all"), *map(text, cells)))
    return Table(say("patients.counts"), columns, tuple(rows))


# What the data say of the doses.


def _rates(trial: _Trial) -> Section:
    from ..plots import curve, intervals, prior_posterior

    assert trial.analysis is not None
    say, case, summary = trial.say, trial.case, trial.summary
    attrs = summary.attrs
    made = {"curve": data(attrs["curve_used"]), "engine": tables.engine(attrs)}
    intro = say("posterior.made", outcomes=attrs["outcomes"], **made) if attrs["outcomes"] else say("posterior.made_prior", **made)
    blocks: tuple[Block, ...] = (
        Paragraph(intro),
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
    from ..plots import mtd

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
    blocks.append(Paragraph(_rp2d(trial, "mtd.rp2d")))
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
        blocks.append(frame(case, case.with_reasons(found.paths), caption, note, shares=case.protocol.scenarios))
    inner = Section(
        "rules",
        say("method.rules"),
        (Paragraph(say("method.rules_intro")), rules(case, json.loads(found.attrs["rules"]), say.plain("method.every"))),
    )
    return Section("designs", say("designs.title"), tuple(blocks), (inner,))


def _by_completion(trial: _Trial) -> pd.DataFrame:
    """A row a way in which the pending outcomes can come out: what the binding design would do, and which others would not."""
    found = trial.found
    shown = found.completions.loc[:, ["further DLTs", "ways", found.binding]]
    others = [name for name in found.proposals if name != found.binding]
    said = [
        "; ".join(f"{name}: {row[name]}" for name in others if row[name] != row[found.binding])
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
        shown = found.tables["recorded"].filter(["as_of", "recommendation", "decision", "override", "reason"]).astype(str)
        shown["followed"] = found.followed
        blocks.append(frame(case, shown, say("deviations.recorded")))
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
    if analysis is None:
        return section
    said = definitions(tables.ANALYSED | say.table("analysed"), analysis.summary)
    inner = Section("definitions", say("method.definitions"), (said,))
    return Section(section.id, section.title, section.blocks, (*section.sections, inner))


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
