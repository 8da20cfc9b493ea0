"""A trial as planned, and its sections: of the primary design, and of the designs beside it.

The design report and the section for a protocol are made of these sections, so that no number is written twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._check import one_of
from ...config import Trial
from ...figures import OPERATING, written
from ...policies import TooLarge
from ...protocol import Protocol
from ...tasks import Analysis, analyze, calendar, compare, compare_priors, optimum, sensitivity, without_dlts
from ...tasks import decision_table as table_of
from ...tasks import paths as paths_of
from ...tasks.calendar import middle_scenario
from ...tasks.stamps import stamp
from ...words import _, language
from ..content import Block, Bullets, Document, Figure, Paragraph, Section, Table, Text, data, filled, table, text
from . import common
from .analysis import Estimates, engine_words
from .calendar import calendar_section
from .comparison import Comparison
from .optimum import optimum_section
from .paths import Paths
from .pieces import facts, labels, sensitivity_table
from .table import decisions, explained

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from ...operating.lattice import Lattice

__all__ = [
    "RARE",
    "Plan",
    "all_operating",
    "all_rules",
    "all_sensitivities",
    "best_policy",
    "decision_tables",
    "detection",
    "document",
    "durations",
    "exact",
    "first_paths",
    "flow_chart",
    "own_operating",
    "paths_table",
    "prior",
    "references",
    "rules",
    "scenarios",
    "sensitivities",
    "sizes",
    "tree",
    "zero",
    "zero_table",
    "zero_words",
]

RARE = 0.10
"""Probability per patient of an event whose detection is stated."""


@dataclass(frozen=True)
class Plan:
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
    curve
        Name of the curve that was asked for, if any.
    lattices
        Enumerations of the designs, for further results.
    """

    trial: Trial
    oc: xr.Dataset
    binding: str
    zero: pd.DataFrame
    prior: Analysis | None
    stamp: dict[str, Any]
    curve: str | None = None
    lattices: Mapping[str, Lattice] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        trial: Trial,
        *,
        design: str | None = None,
        curve: str | None = None,
        progress: Callable[[float, int], None] | None = None,
    ) -> Plan:
        """Return the plan of a trial; ``design``: another primary design than the config's."""
        if design is not None:
            one_of("design", design, trial.designs)
            trial = replace(trial, protocol=trial.protocol.model_copy(update={"binding": design}))
        # First what is quick, so that an unknown curve is refused at once.
        prior = analyze(trial, curve=curve, predicts=False) if trial.protocol.curves or curve is not None else None
        lattices: dict[str, Lattice] = {}
        oc = compare(trial, lattices=lattices, progress=progress)
        made = stamp(trial, conducts=True)
        return cls(trial, oc, trial.primary, without_dlts(trial), prior, made, curve, lattices)

    @property
    def protocol(self) -> Protocol:
        return self.trial.protocol

    @cached_property
    def found(self) -> Comparison:
        return Comparison.of(self.oc)

    @property
    def place(self) -> int:
        """Return the place of the primary design in the comparison."""
        return self.found.designs.index(self.binding)

    @property
    def others(self) -> list[str]:
        """Return the names of the other designs of the protocol."""
        return [name for name in self.protocol.designs if name != self.binding]

    @property
    def at_one_dose(self) -> int:
        """Return the most patients that the primary design treats at one dose; 0 for no limit."""
        return int(self.found.values("max_n_per_dose")[self.place])

    @cached_property
    def priors(self) -> pd.DataFrame:
        """Return the correct selection of designs with other priors."""
        return compare_priors(self.trial)

    @property
    def outcomes_of_zero(self) -> str:
        """Return outcomes of the trial of the primary design without a DLT."""
        return str(self.zero.set_index("design").loc[self.binding, "path"])


# Trials per design and accrual rate.
_CALENDARS = 500


def durations(plan: Plan) -> list[Section]:
    """Return how long the trial takes, if the protocol states how candidates arrive."""
    if plan.protocol.accrual is None:
        return []
    scenario = middle_scenario(plan.protocol)
    made = calendar(plan.trial, n_trials=_CALENDARS, scenarios=[scenario], compared=plan.oc)
    return [calendar_section(made)]


# Memory of a best policy that is found in about a second, and true curves that stand for a prior.
_LITTLE, _CURVES = 8 * 2**20, 256


def best_policy(plan: Plan) -> list[Section]:
    """Return how far the designs are from the best policy, if that is found in seconds."""
    limits = plan.protocol.limits
    if limits.max_n is None or not isinstance(limits.cohort_size, int):
        return []
    try:
        return [optimum_section(optimum(plan.trial, n_curves=_CURVES, lattices=plan.lattices, memory_limit=_LITTLE))]
    except TooLarge:
        return []


def detection(plan: Plan) -> list[tuple[int, str, float]]:
    """Return for a cohort, the maximum at one dose and the maximum sample size: patients, where, and P(a rare event is seen)."""
    protocol, sizes = plan.protocol, plan.protocol.limits.cohort_size
    places = {
        (sizes if isinstance(sizes, int) else sizes[0]): _("a cohort"),
        plan.at_one_dose: _("the maximum at one dose"),
        protocol.limits.max_n: _("the maximum sample size"),
    }
    return sorted((n, where, 1 - (1 - RARE) ** n) for n, where in places.items() if n)


def scenarios(plan: Plan) -> Table:
    """Return the true DLT rates of each scenario, with its MTD."""
    found = plan.found
    mtds = ("true_mtd", "highest_mtd")
    heads = (_("scenario"), *map(common.level_words, found.values("dose")), *(_(OPERATING[name].label) for name in mtds))
    rows = []
    for s, scenario in enumerate(found.scenarios):
        cells = (f"{100 * p:.3g}" for p in found.values("p_true")[s])
        rows.append((data(scenario), *cells, *(common.choice(found.values(name)[s]) for name in mtds)))
    return table(_("Scenarios: true DLT rates, %."), heads, rows)


def rules(plan: Plan) -> Section:
    """Return the rules of the primary design."""
    own = common.rules_of({plan.binding: plan.stamp["rules"][plan.binding]}, "")
    words = _("Rules of the primary design, {design}, as implemented.")
    return Section("rules", text(_("Rules of the primary design")), (Paragraph(filled(words, design=data(plan.binding))), own))


def all_rules(plan: Plan) -> Section:
    """Return the rules of every design."""
    words = common.rules_of(plan.stamp["rules"], _("Every design"))
    intro = Paragraph(text(_("Rules as implemented by each design.")))
    return Section("all-rules", text(_("Rules of every design")), (intro, words))


def decision_tables(plan: Plan, names: Sequence[str]) -> tuple[Section, ...]:
    """Return the decision table of each of these designs, with its picture."""
    from ...plots import decisions as decisions_plot

    places, inner = list(plan.protocol.designs), []
    for name in names:
        found = table_of(plan.trial, name)
        caption = filled(_("Decisions of {design}."), design=data(name))
        # Decisions that also depend on pending outcomes are shown as a table only.
        picture = () if "move" in found else (Figure(decisions_plot(found, name=name), caption),)
        shown = decisions(found, filled(_("Decision table of {design}."), design=data(name)))
        blocks = (flow_chart(plan, name), *picture, shown, Paragraph(explained(found)))
        inner.append(Section(f"decisions-{places.index(name) + 1}", text(data(name)), blocks))
    return tuple(inner)


def exact() -> Text:
    """Return that the operating characteristics have no Monte Carlo error."""
    return text(_("The operating characteristics are exact: every possible trial is enumerated, so there is no Monte Carlo error."))


def own_operating(plan: Plan) -> Section:
    """Return the operating characteristics of the primary design, one column per scenario."""
    from ...plots import selection

    own = plan.oc.sel(design=[plan.binding])
    caption = filled(_("Selection of the MTD by {design}, by scenario."), design=data(plan.binding))
    blocks: tuple[Block, ...] = (
        Paragraph(exact()),
        scenarios(plan),
        Figure(selection(own), caption),
        *plan.found.of_design(plan.place),
    )
    inner = (plan.found.ends(plan.place), common.definitions(OPERATING, plan.oc))
    return Section("operating", text(_("Operating characteristics")), blocks, inner)


def all_operating(plan: Plan) -> Section:
    """Return the operating characteristics of every design."""
    from ...plots import allocation, pages, selection

    found, parts = plan.found, pages(plan.oc)
    selected, treated = (
        _("Selection of the MTD by each design, by scenario."),
        _("Expected patients and DLTs at each dose, by scenario."),
    )
    blocks: tuple[Block, ...] = (
        *(Figure(selection(part), text(selected)) for part in parts),
        *(Figure(allocation(part), text(treated)) for part in parts),
        found.doses(),
        *found.left_out(),
    )
    return Section("all-operating", text(_("Operating characteristics of every design")), blocks, found.by_scenario())


def sizes(plan: Plan, *, own: bool = False) -> Section:
    """Return the distribution of the sample size, and the minimum duration: of the primary design or of every design."""
    found = plan.found
    heads, counts, days = (_("design"), *map(data, found.scenarios)), [], []
    for d, name in enumerate(found.designs):
        if own and d != plan.place:
            continue
        cells = []
        for s in range(len(found.scenarios)):
            low, high = _percentiles(found.values("sample_size")[d, s], found.values("n_patients"))
            mean = written(OPERATING["mean_n"], found.values("mean_n")[d, s])
            cells.append(filled(_("{mean} ({low} to {high})"), mean=mean, low=low, high=high))
        counts.append((data(name), *cells))
        days.append((data(name), *(written(OPERATING["days"], each) for each in found.values("days")[d])))
    note = common.raised(plan.oc["days"].attrs["definition"])
    intro = _("Numbers of patients and minimum duration if every decision is made at once and patients are always available.")
    of_size, of_days = (
        _("Number of patients: mean (5th to 95th percentile), by scenario."),
        _("Minimum duration in days: mean, by scenario."),
    )
    if own:
        of_size, of_days = (
            _("Patients treated by the primary design: mean (5th to 95th percentile), by scenario."),
            _("Minimum duration of the primary design in days: mean, by scenario."),
        )
    blocks: tuple[Block, ...] = (
        Paragraph(text(intro)),
        table(of_size, heads, counts),
        table(of_days, heads, days, notes=(note,)),
    )
    if own:
        return Section("sample-size", text(_("Sample size and duration")), blocks)
    return Section("all-sample-sizes", text(_("Sample size and duration of every design")), blocks)


def _percentiles(chances: np.ndarray, numbers: np.ndarray) -> tuple[int, int]:
    """Return the 5th and the 95th percentile of a distribution of whole numbers; rounding of its sum does not move them."""
    low, high = np.searchsorted(np.cumsum(chances), (0.05 - 1e-12, 0.95 - 1e-12))
    return int(numbers[low]), int(numbers[high])


def first_paths(plan: Plan) -> Paths:
    """Return the paths of the first two cohorts of the primary design."""
    return Paths(paths_of(plan.trial, plan.binding, cohorts=2))


def document(plan: Plan, title: str, subtitle: str, sections: Sequence[Section]) -> Document:
    """Return sections as a document; ``title`` has a place for the protocol, ``subtitle`` for the day of its version."""
    protocol = plan.protocol
    version = protocol.record.version_date.isoformat()
    return Document(
        title=filled(title, protocol=data(protocol.record.id)),
        subtitle=filled(subtitle, day=version),
        language=language(),
        date=version,
        facts=facts(protocol, plan.oc.attrs, ("binding", text(data(plan.binding)))),
        sections=tuple(sections),
        labels=labels(),
    )


def tree(plan: Plan, found: Paths) -> tuple[Figure, ...]:
    """Return the paths of the first two cohorts as a picture."""
    return found.tree(plan.binding, filled(_("Dose paths of the first two cohorts of {design}."), design=data(plan.binding)))


def flow_chart(plan: Plan, name: str) -> Figure:
    """Return the flow chart of a design."""
    from ...plots import flow

    made = plan.trial.designs[name]
    size = made.cohort_size if isinstance(made.cohort_size, int) else None
    picture = flow(table_of(plan.trial, name), plan.protocol, name=name, size=size, most=made.max_n_per_dose)
    return Figure(picture, filled(_("Flow chart of {design}."), design=data(name)))


def paths_table(plan: Plan, found: Paths) -> Section:
    """Return every path with its reason and probabilities."""
    caption = filled(
        _("Paths of the first two cohorts of {design} (DLTs of a cohort last; orders: in which patients can have these outcomes)."),
        design=data(plan.binding),
    )
    return Section("all-paths", text(_("Dose paths with reasons")), (found.by_path(caption), *found.probabilities()))


# The prior, and what the results depend on.


def prior(found_prior: Analysis) -> Section:
    """Return the prior of the DLT rates."""
    from ...plots import curve

    found, caption = Estimates(found_prior.summary), text(_("Prior of the DLT rate by dose."))
    words = _("The prior of the curve {curve}, before any data, by {engine}.")
    intro = filled(words, curve=data(found_prior.summary.attrs["curve_used"]), engine=engine_words(found_prior.summary.attrs))
    blocks = (Paragraph(intro), Figure(curve(found_prior), caption), found.by_dose(), *found.further(), found.mtd())
    return Section("prior", text(_("Prior of the DLT rates")), blocks)


def _course(row: Mapping[str, Any]) -> tuple[str, str]:
    """Return whether the MTD is reached without a DLT, in words, and why the trial ends."""
    reached = _("no: the MTD is that level or above") if row["not_reached"] else _("yes")
    return reached, row["reason"]


def zero_table(plan: Plan) -> Section:
    """Return the course of the trial by each design if no patient has a DLT."""
    heads = (_("design"), _("outcomes"), _("patients"), _("MTD"), _("MTD reached"), _("reason for the end"))
    rows = []
    for row in plan.zero.to_dict("records"):
        rows.append((data(row["design"]), row["path"], str(row["patients"]), common.choice(row["mtd"]), *_course(row)))
    listed = table(_("The trial without a DLT."), heads, rows, numeric={2, 3})
    return Section("all-no-dlt", text(_("Trial without a DLT by every design")), (listed,))


def zero_words(plan: Plan) -> Text:
    """Return the course of the trial by the primary design if no patient has a DLT."""
    row = plan.zero.set_index("design").loc[plan.binding].to_dict()
    words = _("If no patient has a DLT, {design} treats {patients} patients ({outcomes}) and selects no dose: {reason}.")
    if row["mtd"] != "none":
        words = _(
            "If no patient has a DLT, {design} treats {patients} patients ({outcomes}) and selects MTD level {mtd}: {reason}."
        )
    if row["not_reached"]:
        words = _(
            "If no patient has a DLT, {design} treats {patients} patients ({outcomes}) and selects level {mtd}, MTD not reached "
            "(the MTD is that level or above): {reason}."
        )
    names = {"patients": row["patients"], "outcomes": row["path"], "mtd": row["mtd"], "reason": row["reason"]}
    return filled(words, design=data(plan.binding), **names)


def zero(plan: Plan) -> Section:
    """Return the course of the trial by the primary design without a DLT, and what the data would then say of the top dose."""
    blocks: list[Block] = [Paragraph(zero_words(plan))]
    if plan.prior is None:
        blocks.append(Paragraph(text(_("The config has no dose-toxicity curve, so there is no posterior to show."))))
    else:
        outcomes = plan.outcomes_of_zero
        found = Estimates(analyze(plan.trial, outcomes, curve=plan.curve, predicts=False).summary)
        words = _("Posterior after {outcomes}, the course of the trial under {design} if no patient has a DLT:")
        blocks.append(Paragraph(filled(words, outcomes=outcomes, design=data(plan.binding))))
        blocks += [Bullets(found.answers()), found.by_dose(), found.mtd(), *found.cautions()]
    return Section("no-dlt", text(_("Trial without a DLT")), tuple(blocks))


def sensitivities(plan: Plan) -> Section:
    """Return the sensitivity of the primary design to the target and its prior, and of the posterior to each assumption."""
    blocks: list[Block] = [block for section in plan.found.other_targets([plan.place]) for block in section.blocks]
    if len(plan.priors) and plan.binding in set(plan.priors["design"]):
        blocks.append(_priors(plan, [plan.binding]))
    if plan.prior is not None:
        outcomes = plan.outcomes_of_zero
        varied = sensitivity(plan.trial, outcomes, curve=plan.curve)
        words = _(
            "Sensitivity of the posterior after {outcomes}, the course under {design} without a DLT: level within the limit, most "
            "likely MTD with its probability (%), and P(overdose) at each level (%), one assumption changed at a time."
        )
        blocks.append(sensitivity_table(varied, filled(words, outcomes=outcomes, design=data(plan.binding))))
    none = Paragraph(text(_("No sensitivity analysis: the config has no curve and no other target.")))
    return Section("sensitivity", text(_("Sensitivity analysis")), tuple(blocks or [none]))


def all_sensitivities(plan: Plan) -> tuple[Section, ...]:
    """Return the sensitivity of every design to the target and its prior, where there is any."""
    blocks: list[Block] = [block for section in plan.found.other_targets() for block in section.blocks]
    if len(plan.priors):
        blocks.append(_priors(plan))
    if not blocks:
        return ()
    return (Section("all-sensitivity", text(_("Sensitivity of every design")), tuple(blocks)),)


def _priors(plan: Plan, names: Sequence[str] | None = None) -> Table:
    """Return the correct selection of designs with their priors as they are, tighter and wider."""
    found = plan.found
    heads = (_("design"), _("SDs of the prior times"), *map(data, found.scenarios))
    rows = []
    for name, each in plan.priors.groupby("design", sort=False):
        if names is not None and name not in names:
            continue
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
    if names is not None:
        caption = _("Correct selection with the prior of the primary design tighter and wider, % of trials, by scenario.")
    return table(caption, heads, rows, notes=(note,))


# Guidelines that the reports name.
_SPIRIT = (
    "Chan A-W, Boutron I, Hopewell S, et al. SPIRIT 2025 statement: updated guideline for protocols of randomised trials. BMJ "
    "2025; 389: e081477. doi:10.1136/bmj-2024-081477"
)
_DEFINE = (
    "Yap C, Rekowski J, Ursino M, et al. Enhancing quality and impact of early phase dose-finding clinical trial protocols: SPIRIT "
    "Dose-finding Extension (SPIRIT-DEFINE) guidance. BMJ 2023; 383: e076386. doi:10.1136/bmj-2023-076386"
)


def references(plan: Plan, names: Sequence[str], further: Sequence[str] = ()) -> Section:
    """Return the published sources of these designs, of the curves and of the guidelines, each once."""
    # The name of a design is the same in every language.
    kinds = [(made.title, made.source) for made in (plan.trial.designs[name] for name in names) if getattr(made, "source", "")]
    kinds += [(_(curve.title), curve.source) for curve in plan.trial.curves.values() if getattr(curve, "source", "")]
    found = [f"{title}: {source}." for title, source in kinds]
    listed = dict.fromkeys((*found, f"{_SPIRIT}.", f"{_DEFINE}.", *further))
    return Section("references", text(_("References")), (Bullets(tuple(map(text, listed))),))
