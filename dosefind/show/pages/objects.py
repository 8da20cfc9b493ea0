"""What a notebook shows of each kind of object: a page for each class, found by `page`.

A further kind is one more function here, and `Shown` among the bases of its class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial, singledispatch
from importlib.util import find_spec
from typing import Any

import numpy as np
import xarray as xr
from pydantic import BaseModel

from ... import plots
from ...config import Trial
from ...designs import Design
from ...evaluability import Evaluated
from ...figures import OPERATING, in_percent, written
from ...intake.measurements import Measurement, Measurements
from ...models import Curve, HierarchicalLogistic
from ...models.elicited import ElicitedPrior
from ...operating.lattice import Lattice
from ...patients import Patients
from ...posterior.base import Posterior
from ...protocol import Protocol
from ...results import Dataset, restored
from ...tasks import Analysis, EndpointSummary, NextDose, NextStep, Synthetic
from ...tasks.next_dose import Recommendation
from ...tasks.stamps import plain
from ...tasks.synthesis import WARNING
from ...trial import States
from ...words import _, counted, n_patients
from ..content import Block, Bullets, Figure, Other, Page, Paragraph, Section, Table, Text, data, filled, table, text
from . import common
from .analysis import analysis
from .comparison import comparison
from .endpoints import endpoints
from .next_dose import next_dose
from .optimum import optimum

__all__ = ["page"]

# Rows of a table beyond which no more are shown.
_ROWS = 60
# Variables, dimensions and attributes without which a dataset is not shown as the page of a comparison, of one design, or of a
# calibration.
_COMPARED = {
    *("selected", "patients", "dlts", "stopped", "true_mtd", "highest_mtd", "reference_selected", "sample_size", "p_true"),
    *("dose_amount", "correct", "overdose_selected", "mean_n", "above_mtd", "days", "max_n_per_dose"),
}
_DIMENSIONS = {"design", "scenario", "n_patients", "reason"}
_ATTRIBUTES = {"protocol", "rules", "reasons", "target_rate", "overdose_limit"}
_OF_ONE_DESIGN = {"selected", "patients", "dlts", "not_reached", "any_dlt", "p_true"}
_OF_OPTIMUM = {"value", "regret", "allocation", "final_choice", "at_same_cost", "in_scenario", "frontier_utility", "price"}
_CALIBRATED = {"ecdf", "excess", "passed", "lower", "upper"}


@singledispatch
def page(result: Any) -> Page:
    """Return the page of a result or of settings."""
    raise TypeError(f"no page shows a {type(result).__name__}")


@page.register
def _next_dose(found: NextDose) -> Page:
    return next_dose(found)


@page.register
def _analysis(found: Analysis) -> Page:
    answer = analysis(found.summary)
    shown = picture(plots.curve, found, _("DLT rate by dose: posterior median, 95% interval, data and target."))
    return replace(answer, blocks=(*answer.blocks, *shown))


@page.register
def _design(design: Design) -> Page:
    return Page(text(data(design.title)), (common.points(design.rules()),))


@page.register(NextStep)
@page.register(Recommendation)
def _step(step: NextStep | Recommendation) -> Page:
    levels = ", ".join(map(str, step.admissible)) or _("none")
    blocks: list[Block] = [
        Paragraph(filled(_("Reason: {reason}."), reason=data(step.reason))),
        Paragraph(filled(_("Levels within the limits of the design: {levels}."), levels=levels)),
    ]
    sections: list[Section] = []
    if isinstance(step, NextStep):
        if step.assumes:
            blocks.append(Paragraph(filled(_("Assumed: {assumption}."), assumption=data(step.assumes))))
        if step.deviations:
            sections.append(
                Section("deviations", text(_("Deviations from the design")), (common.points(map(str, step.deviations)),))
            )
    return Page(text(step.words), tuple(blocks), tuple(sections))


@page.register
def _posterior(posterior: Posterior) -> Page:
    (mean, sd), quantiles = posterior.moments(), posterior.quantiles((0.5, 0.025, 0.975))
    heads = [_("level"), _("patients"), _("DLTs"), _("mean, %"), _("SD, %"), _("median, %"), "2.5%", "97.5%"]
    if posterior.samples:
        heads.append(_("SE of the mean, %"))
    rows = []
    for d in range(len(posterior.n)):
        shares = [mean.value[d], sd.value[d], *quantiles[d], *([mean.error[d]] if posterior.samples else [])]
        rows.append([str(d + 1), str(posterior.n[d]), str(posterior.y[d]), *(in_percent(share) for share in shares)])
    of_curve = zip(posterior.curve.parameter_names, *(figure.value for figure in posterior.parameters()), strict=True)
    lines = [
        filled(_("{parameter}: mean {mean}, SD {sd}"), parameter=name, mean=f"{mean:.4g}", sd=f"{sd:.4g}")
        for name, mean, sd in of_curve
    ]
    lines += [
        text(f"{name}: {value:.4g}" if isinstance(value, float) else f"{name}: {value}")
        for name, value in posterior.diagnostics().items()
    ]
    problems = [filled(_("The posterior cannot be trusted: {problem}."), problem=problem) for problem in posterior.problems()]
    title = filled(_("DLT rates by dose: {curve}, by {engine}"), curve=data(posterior.curve.title), engine=posterior.engine)
    return Page(title, (*map(Paragraph, problems), _table(heads, rows), Bullets(tuple(lines))))


@page.register(Curve)
@page.register(HierarchicalLogistic)
def _curve(curve: Curve | HierarchicalLogistic) -> Page:
    if isinstance(curve, Curve):
        title = text(data(curve.title))
    else:
        title = filled(_("Hierarchical model of {trials}"), trials=data(", ".join(curve.names)))
    return Page(title, (common.points(curve.sentences()),))


@page.register
def _settings(settings: BaseModel) -> Page:
    fields = type(settings).model_fields.items()
    rows = [
        [name, str(plain(getattr(settings, name))), _(field.description) if field.description else ""] for name, field in fields
    ]
    heads = [_("setting"), _("value"), _("meaning")]
    return Page(text(type(settings).__name__), (_table(heads, rows),))


@page.register
def _protocol(protocol: Protocol) -> Page:
    target, limits = protocol.target, protocol.limits
    low, high = (f"{100 * end:.3g}%" for end in target.interval)
    rate, within = f"{100 * target.rate:.3g}%", f"{100 * protocol.rp2d.limit:.3g}%"
    cohorts = _("{size} patients, at most {most} in total").format(size=plain(limits.cohort_size), most=limits.max_n)
    rows = [
        [_("doses"), protocol.doses.words],
        [_("infusions on day"), str(plain(protocol.treatment.infusion_days))],
        [_("DLT window"), protocol.timing_words()],
        [_("target DLT rate"), _("{rate}, interval {low} to {high}").format(rate=rate, low=low, high=high)],
        [_("cohorts"), cohorts],
        [_("designs"), ", ".join(protocol.designs)],
        [_("curves"), ", ".join(protocol.curves) or _("none")],
        [_("RP2D"), _("rule {rule}, P(overdose) below {limit}").format(rule=protocol.rp2d.rule, limit=within)],
    ]
    if protocol.amended_on:
        versions = [_("version"), str(protocol.record.version_date)], [_("amendments"), ", ".join(map(str, protocol.amended_on))]
        rows = [*versions, *rows]
    heads = [_("scenario"), *(_("level {level}").format(level=level) for level in range(1, protocol.n_doses + 1))]
    truths = [[name, *(f"{100 * rate:.3g}" for rate in rates)] for name, rates in protocol.scenarios.items()]
    assumed = [[key, str(plain(value)), why] for key, value, why in protocol.assumptions()]
    scenarios = _table(heads, truths, _("Scenarios: true DLT rates, %."))
    listed = _table([_("setting"), _("value"), _("reason")], assumed)
    title = filled("{id}: {title}", id=data(protocol.record.id), title=data(protocol.record.title))
    sections = (Section("assumptions", text(_("Assumptions")), (listed,), detail=True),)
    return Page(title, (_table(["", _("value")], rows), scenarios), sections)


@page.register
def _trial(trial: Trial) -> Page:
    return page(trial.protocol)


@page.register
def _lattice(lattice: Lattice) -> Page:
    return Page(text(data(repr(lattice))), (common.points(lattice.design.rules()),))


@page.register
def _states(states: States) -> Page:
    rows = [
        [", ".join(f"{dlts}/{n}" for dlts, n in zip(y, n, strict=True)), _("none") if last < 0 else str(last + 1)]
        for n, y, last in zip(states.n[:_ROWS], states.y[:_ROWS], states.last[:_ROWS], strict=True)
    ]
    title = text(counted("{n} trial in progress", "{n} trials in progress", len(states)))
    return Page(title, (_table([_("DLTs / patients by level"), _("latest level")], rows), *_more(len(states))))


@page.register
def _patients(patients: Patients) -> Page:
    heads = [_("subject"), _("level"), _("infusions"), _("last contact"), _("DLT"), _("discontinued"), _("adverse events")]
    rows = [
        [
            patient.subject,
            _given(patient.level),
            ", ".join(day.isoformat() for day in patient.infusions),
            _given(patient.last_contact),
            {True: _("yes"), False: _("no"), None: _("not stated")}[patient.dlt],
            _given(patient.discontinued),
            _("no table") if patient.events is None else str(len(patient.events)),
        ]
        for patient in patients.patients[:_ROWS]
    ]
    title = filled(
        _("{patients}, {rows}; last date {date}"),
        patients=n_patients(len(patients.patients)),
        rows=counted("{n} row read", "{n} rows read", patients.rows),
        date=str(patients.last_date),
    )
    listed = [filled("{row}: {reason}", row=data(row.source), reason=data(row.reason)) for row in patients.listed[:_ROWS]]
    left_out = Section("rows", text(_("Rows without a patient")), (Bullets(tuple(listed)),), detail=True)
    blocks = (_table(heads, rows), *_more(len(patients.patients)), *_notes(patients.notes))
    return Page(title, blocks, (left_out,) if listed else ())


@page.register
def _measurements(measured: Measurements) -> Page:
    heads = [_("subject"), _("parameter"), _("study day"), _("value"), _("time point"), _("visit")]
    rows = [
        [seen.subject, seen.parameter, str(seen.day), _measured(seen), seen.time_point, seen.visit]
        for seen in measured.values[:_ROWS]
    ]
    title = filled(
        _("{values}, {rows}"),
        values=counted("{n} measurement", "{n} measurements", len(measured.values)),
        rows=counted("{n} row read", "{n} rows read", measured.rows),
    )
    listed = [filled("{row}: {reason}", row=data(row.source), reason=data(row.reason)) for row in measured.listed[:_ROWS]]
    left_out = Section("rows", text(_("Rows without a measurement")), (Bullets(tuple(listed)),), detail=True)
    blocks = (_table(heads, rows), *_more(len(measured.values)), *_notes((*measured.warnings[:_ROWS], *measured.notes)))
    return Page(title, blocks, (left_out,) if listed else ())


def _measured(seen: Measurement) -> str:
    if seen.kind in ("event", "no event", "not detected"):
        return {"event": _("event"), "no event": _("no event"), "not detected": _("not detected")}[seen.kind]
    sign = {"below": "< ", "above": "> "}.get(seen.kind, "")
    return f"{sign}{seen.value:g}"


@page.register
def _endpoints(found: EndpointSummary) -> Page:
    own = endpoints(found)
    of_change = [key for key in found.endpoints.main if found.endpoints.parameters[key].kind == "change"]
    words = _("Change from baseline of every patient, and the mean of each dose with its 95% interval.")
    shown = [block for key in of_change[:1] for block in picture(partial(plots.changes, parameter=key), found, words)]
    return replace(own, blocks=(*own.blocks, *shown))


@page.register
def _evaluated(evaluated: Evaluated) -> Page:
    audit = evaluated.audit()
    shown = audit.astype(object).where(audit.notna(), "").head(_ROWS)
    blocks = (
        _table(list(map(str, shown.columns)), [list(map(str, row)) for row in shown.itertuples(index=False)]),
        *_more(len(audit)),
    )
    return Page(text(_("Evaluability for DLT")), (*blocks, Paragraph(text(data(evaluated.closing()))), *_notes(evaluated.notes)))


@page.register
def _synthetic(synthetic: Synthetic) -> Page:
    told = {name: value for name, value in synthetic.about.items() if name not in ("deviations", "versions")}
    rows = [[name.replace("_", " "), str(plain(value))] for name, value in told.items()]
    own = page(synthetic.patients)
    patients = Section("patients", own.title, own.blocks, own.sections)
    return Page(text(WARNING), (_table(["", _("value")], rows),), (patients,))


@page.register
def _elicited(prior: ElicitedPrior) -> Page:
    words = _("Largest difference between a stated DLT rate and the prior's: {misfit} percentage points.")
    blocks: list[Block] = [*picture(plots.prior, prior, _("Prior of the DLT rate by dose.")), framed(prior.table())]
    blocks.append(Paragraph(filled(words, misfit=in_percent(prior.misfit))))
    if prior.at_bound:
        blocks.append(Paragraph(filled(_("At the end of its range: {names}."), names=", ".join(prior.at_bound))))
    curve = Section("curve", text(_("Prior")), (common.points(prior.curve().sentences()),), detail=True)
    return Page(text(_("Stated quantiles of the DLT rate, and those of the prior")), tuple(blocks), (curve,))


@page.register
def _dataset(dataset: Dataset) -> Page:
    """Return our page where all that it shows is there, with xarray's view below."""
    own = _page_of(restored(dataset)) if all(dataset.sizes.values()) else None
    view = (Other(_Plain(dataset)),)
    if own is None:
        return Page((), view)
    more = Section("xarray", text(_("All results by name (xarray)")), view, detail=True)
    return Page(own.title, own.blocks, (*own.sections, more))


class _Plain:
    """A dataset as xarray itself shows it; our attributes are long texts, of use to programs."""

    def __init__(self, dataset: xr.Dataset) -> None:
        self._dataset = dataset

    def _repr_html_(self) -> str:
        with xr.set_options(display_expand_attrs=False):
            return xr.Dataset._repr_html_(self._dataset)


def _page_of(dataset: xr.Dataset) -> Page | None:
    names, whole = {str(name) for name in dataset.variables}, _every_level(dataset)
    compared = whole and names >= _COMPARED and set(dataset.dims) >= _DIMENSIONS and set(dataset.attrs) >= _ATTRIBUTES
    if compared and "units" in dataset["dose_amount"].attrs:
        return comparison(dataset)
    if whole and names >= _OF_ONE_DESIGN and "design" in dataset.attrs and dataset["selected"].dims == ("scenario", "choice"):
        return _one_design(dataset)
    if names >= _OF_OPTIMUM and {"prior", "design", "scenario", "point", "constraint"} == set(dataset.dims):
        return optimum(dataset)
    if names >= _CALIBRATED and dataset["excess"].dims == ("layout", "quantity"):
        return _calibration(dataset)
    return None


def _every_level(dataset: xr.Dataset) -> bool:
    """Return whether no dose and no choice has been left out: they are told apart by their places."""
    return {"choice", "dose"} <= set(dataset.dims) and dataset.sizes["choice"] == dataset.sizes["dose"] + 1


def _one_design(dataset: xr.Dataset) -> Page:
    """Return operating characteristics of one design, one row per scenario."""
    values = {str(name): variable.values for name, variable in dataset.variables.items()}

    def cell(name: str, at: tuple[int, ...]) -> str:
        error = values[f"{name}_se"][at] if f"{name}_se" in values else None
        return written(OPERATING[name], values[name][at], error)

    choices = [common.level_words(label) for label in values["choice"]]
    heads = [
        _("scenario"),
        _("true DLT rates, %"),
        *choices,
        _(OPERATING["not_reached"].label),
        _("total patients"),
        _("total DLTs"),
    ]
    rows = []
    for s, scenario in enumerate(values["scenario"][:_ROWS]):
        rates = ", ".join(f"{100 * rate:.3g}" for rate in values["p_true"][s])
        selected = [cell("selected", (s, k)) for k in range(len(choices))]
        totals = f"{values['patients'][s].sum():.1f}", f"{values['dlts'][s].sum():.2f}"
        rows.append([str(scenario), rates, *selected, cell("not_reached", (s,)), *totals])
    title = filled(_("{design}: probability (%) that each level is selected as MTD"), design=data(dataset.attrs["design"]))
    return Page(title, (_table(heads, rows), Paragraph(_method(dataset)), *_more(len(values["scenario"]))))


def _method(dataset: xr.Dataset) -> Text:
    """Return how operating characteristics were computed, and with what error."""
    if dataset.attrs["method"] != "simulated":
        return text(_("Exact, no Monte Carlo error."))
    words = _("Simulated: {trials} trials per scenario, seed {seed}; \u00b1 is one standard error.")
    return filled(words, trials=f"{dataset.attrs['n_trials']:,}", seed=dataset.attrs["seed"])


def _calibration(dataset: xr.Dataset) -> Page:
    rows = []
    for layout in dataset["layout"].values:
        for quantity in dataset["quantity"].values:
            own = dataset.sel(layout=layout, quantity=quantity)
            rows.append([str(layout), str(quantity), f"{float(own['excess']):.3g}", _("yes") if own["passed"] else _("NO")])
    heads = [_("layout"), _("quantity"), _("distance from its band"), _("passed")]
    words = _("Simulation-based calibration: FAILED.")
    if bool(dataset["passed"].all()):
        words = _("Simulation-based calibration: passed.")
    blocks: list[Block] = []
    if "n_sets" in dataset.attrs:
        sets = _("{sets} data sets per layout, seed {seed}.")
        blocks.append(Paragraph(filled(sets, sets=dataset.attrs["n_sets"], seed=dataset.attrs["seed"])))
    note = text(_("A negative distance lies within the band, by that much at the nearest point."))
    return Page(text(words), (*blocks, _table(heads, rows, notes=(note,))))


# Pieces.


def picture(draw: Callable[..., Any], result: Any, caption: str) -> tuple[Figure, ...]:
    """Return a picture, where matplotlib is there to draw it."""
    return (Figure(draw(result), text(caption)),) if find_spec("matplotlib") else ()


def framed(frame: Any, caption: str = "") -> Table:
    """Return a data frame as a table."""
    numeric = [place for place, kind in enumerate(frame.dtypes) if str(kind) not in ("object", "str", "bool")]
    rows = (map(data, map(_cell, row)) for row in frame.itertuples(index=False))
    return table(caption, map(data, frame.columns), rows, numeric=numeric)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return "" if value is None else str(value)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "", notes: tuple[Text, ...] = ()) -> Table:
    """Return a table; a column all of whose cells are numbers is one of numbers."""
    rows = [list(row) for row in rows]
    numeric = [place for place in range(len(heads)) if rows and all(_is_number(row[place]) for row in rows)]
    return table(caption, map(data, heads), (map(data, row) for row in rows), notes=notes, numeric=numeric)


def _is_number(cell: str) -> bool:
    value = cell.partition(" \u00b1")[0]
    try:
        return np.isfinite(float(value))
    except ValueError:
        return False


def _given(value: Any) -> str:
    return "" if value is None else str(value)


def _more(rows: int) -> tuple[Block, ...]:
    if rows <= _ROWS:
        return ()
    return (Paragraph(text(counted("{n} more row is not shown.", "{n} more rows are not shown.", rows - _ROWS))),)


def _notes(notes: Iterable[str]) -> tuple[Block, ...]:
    items = tuple(text(data(note)) for note in notes)
    return (Bullets(items),) if items else ()
