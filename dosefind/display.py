"""What a notebook shows of each result: the tables that the terminal prints, with a picture where there is one; and progress.

`content` says what is shown of a kind of result, in the same pieces as `tables`; a further kind is one more function there, and
`Shown` among the bases of its class. `html` makes HTML of the pieces, in which every text is escaped. Nothing here prints or
samples, and nothing comes here before something is shown.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import singledispatch
from html import escape
from importlib.util import find_spec
from itertools import groupby
from typing import Any

import numpy as np
import xarray as xr
from pydantic import BaseModel
from rich.console import Group
from rich.table import Table
from rich.text import Text

from . import plots, tables, terminal
from .config import Trial
from .designs import Design
from .evaluability import Evaluated
from .models import Curve, HierarchicalLogistic
from .models.elicited import ElicitedPrior
from .operating.lattice import Lattice
from .patients import Patients
from .posterior.base import Posterior
from .protocol import Protocol
from .results import Dataset, restored
from .show.html import as_fragment
from .show.pages.comparison import comparison
from .tables import Aside
from .tasks import Analysis, NextDose, NextStep, Synthetic
from .tasks.next_dose import Recommendation
from .tasks.stamps import plain
from .threads import one_thread
from .trial import States

__all__ = ["content", "html", "progress"]

# Rows of a table beyond which no more are shown.
_ROWS = 60
_POINT = "    "
# Variables, dimensions and attributes without which a dataset is not shown as the tables of a comparison, of one design, or of a
# calibration.
_COMPARED = {"selected", "patients", "dlts", "stopped", "true_mtd", "highest_mtd", "reference_selected", "sample_size", "p_true"}
_COMPARED |= {"dose_amount", "overdose_selected", "mean_n", "above_mtd", "days", "correct"}
_DIMENSIONS, _SAID = {"design", "scenario", "n_patients", "reason"}, {"protocol", "rules"}
_OF_ONE_DESIGN = {"selected", "patients", "dlts", "not_reached", "any_dlt", "p_true"}
_CALIBRATED = {"ecdf", "excess", "passed", "lower", "upper"}


@dataclass(frozen=True)
class _Made:
    """HTML that is put in as it is: a picture of ours, xarray's view."""

    html: str


@one_thread
def html(result: Any) -> str:
    """What a notebook shows of a result.

    Parameters
    ----------
    result
        Whatever `content` knows.
    """
    with tables.unfolded():
        return f'<div class="dosefind" style="max-width: 75em">{"".join(_blocks(content(result)))}</div>'


# What is shown


@singledispatch
def content(result: Any) -> list[Any]:
    """The pieces of which a result is shown: texts and tables of rich's, and what is already HTML."""
    raise TypeError(f"nothing says how a {type(result).__name__} is shown")


@content.register
def _(one: Design) -> list[Any]:
    return [Text(one.title, "bold"), *_points(one.rules())]


@content.register(NextStep)
@content.register(Recommendation)
def _(step: NextStep | Recommendation) -> list[Any]:
    levels = ", ".join(map(str, step.admissible)) or "none"
    lines = [Text(step.words, "bold"), Text(f"Reason: {step.reason}."), Text(f"Levels that the rules leave open: {levels}.")]
    if isinstance(step, NextStep):
        lines += [Text(f"Assumed: {step.assumes}.")] if step.assumes else []
        lines += [Text("Deviations from the design", "bold"), *_points(step.deviations)] if step.deviations else []
    return lines


@content.register
def _(found: NextDose) -> list[Any]:
    return [tables.next_dose(found)]


@content.register
def _(found: Analysis) -> list[Any]:
    return [*_picture(plots.curve, found), tables.analysis(found.summary)]


@content.register
def _(one: Posterior) -> list[Any]:
    import pandas as pd

    (mean, sd), quantiles = one.moments(), one.quantiles((0.5, 0.025, 0.975))
    rates = {"mean": mean.value, "sd": sd.value} | dict(zip(("median", "2.5%", "97.5%"), quantiles.T, strict=True))
    if one.samples:
        rates |= {"se of the mean": mean.error}
    doses = pd.DataFrame({"level": np.arange(1, len(one.n) + 1), "patients": one.n, "DLTs": one.y} | rates)
    of_curve = zip(one.curve.parameter_names, *(figure.value for figure in one.parameters()), strict=True)
    points = [f"{name}: mean {mean:.4g}, sd {sd:.4g}" for name, mean, sd in of_curve]
    points += [
        f"{name}: {value:.4g}" if isinstance(value, float) else f"{name}: {value}" for name, value in one.diagnostics().items()
    ]
    points += [f"Not to be trusted: {problem}" for problem in one.problems()]
    return [tables.frame(doses, f"DLT rates by dose: {one.curve.title}, by {one.engine}"), *_points(points)]


@content.register(Curve)
@content.register(HierarchicalLogistic)
def _(one: Curve | HierarchicalLogistic) -> list[Any]:
    title = one.title if isinstance(one, Curve) else f"Model of {', '.join(one.names)}"
    return [Text(title, "bold"), *_points(one.sentences())]


@content.register
def _(one: BaseModel) -> list[Any]:
    fields = type(one).model_fields.items()
    rows = [{"setting": name, "value": plain(getattr(one, name)), "what it is": field.description or ""} for name, field in fields]
    return [_facts(rows, type(one).__name__)]


@content.register
def _(one: Protocol) -> list[Any]:
    import pandas as pd

    doses, target, limits = one.doses, one.target, one.limits
    rows = {
        "doses": doses.words,
        "infusions on day": plain(one.treatment.infusion_days),
        "DLT window": one.timing_words(),
        "target DLT rate": f"{target.rate:g}, interval {target.interval[0]:g} to {target.interval[1]:g}",
        "cohorts": f"{plain(limits.cohort_size)} patients, at most {limits.max_n} in all",
        "designs": ", ".join(one.designs),
        "curves": ", ".join(one.curves) or "none",
        "RP2D": f"the rule {one.rp2d.rule!r}, P(over) below {one.rp2d.limit:g}",
    }
    if one.amended_on:
        rows = {"version": str(one.record.version_date), "amendments": ", ".join(map(str, one.amended_on)), **rows}
    truths = pd.DataFrame(one.truths, columns=[f"level {level}" for level in range(1, one.n_doses + 1)])
    truths.insert(0, "scenario", list(one.scenarios))
    assumed = [(key, plain(value), why) for key, value, why in one.assumptions()]
    return [
        Text(f"{one.record.id}: {one.record.title}", "bold"),
        _facts([{"": name, "value": value} for name, value in rows.items()]),
        tables.frame(truths, "Scenarios: true DLT rates"),
        tables.assumed(assumed),
    ]


@content.register
def _(one: Trial) -> list[Any]:
    return content(one.protocol)


@content.register
def _(one: Lattice) -> list[Any]:
    return [Text(repr(one), "bold"), *_points(one.design.rules())]


@content.register
def _(one: States) -> list[Any]:
    import pandas as pd

    rows = [
        {"DLTs / patients by level": _tallies(n, y), "latest level": "none" if last < 0 else str(last + 1)}
        for n, y, last in zip(one.n[:_ROWS], one.y[:_ROWS], one.last[:_ROWS], strict=True)
    ]
    return [tables.frame(pd.DataFrame(rows), f"{len(one)} trials in progress"), *_more(len(one))]


@content.register
def _(one: Patients) -> list[Any]:
    import pandas as pd

    rows = [
        {
            "subject": patient.subject,
            "level": _given(patient.level),
            "infusions": ", ".join(day.isoformat() for day in patient.infusions),
            "last contact": _given(patient.last_contact),
            "DLT": {True: "yes", False: "no", None: "not said"}[patient.dlt],
            "discontinued": _given(patient.discontinued),
            "adverse events": "no table" if patient.events is None else str(len(patient.events)),
        }
        for patient in one.patients[:_ROWS]
    ]
    title = f"{len(one.patients)} patients, {one.rows} rows read, last date {one.last_date}"
    listed = [f"{row.source}: {row.reason}" for row in one.listed[:_ROWS]]
    return [
        tables.frame(pd.DataFrame(rows), title),
        *_more(len(one.patients)),
        *([Text("Rows that make no patient", "bold"), *_points(listed)] if listed else []),
        *_points(one.notes),
    ]


@content.register
def _(one: Evaluated) -> list[Any]:
    audit = one.audit()
    shown = audit.astype(object).where(audit.notna(), "")
    return [tables.frame(shown.head(_ROWS), "Who counts"), *_more(len(audit)), Text(one.closing()), *_points(one.notes)]


@content.register
def _(one: Synthetic) -> list[Any]:
    warning, *_ = str(one).splitlines()
    facts = [
        {"": name.replace("_", " "), "value": str(plain(value))}
        for name, value in one.about.items()
        if name not in ("deviations", "versions")
    ]
    return [Text(warning, "bold"), _facts(facts), *content(one.patients)]


@content.register
def _(one: ElicitedPrior) -> list[Any]:
    met = f"Largest difference between a rate asked for and the prior's: {one.misfit:.3f}."
    bound = [Text(f"At the end of its range: {', '.join(one.at_bound)}.")] if one.at_bound else []
    return [
        *_picture(plots.prior, one),
        tables.frame(one.table(), "What was asked for, and what the prior gives"),
        Text(met),
        *bound,
        tables.rules({"": one.curve().sentences()}, "Prior"),
    ]


@content.register
def _(one: Dataset) -> list[Any]:
    """Our tables where all that they show is there, then xarray's view."""
    # Our attributes are long texts, of use to programs.
    with xr.set_options(display_expand_attrs=False):
        whole = xr.Dataset._repr_html_(one)
    own = _tables_of(restored(one)) if all(one.sizes.values()) else []
    if not own:
        return [_Made(whole)]
    view: list[Any] = [Text("As xarray shows it: every figure by its name", "bold"), _Made(whole)]
    return [*own, Aside(*view)]


def _tables_of(one: xr.Dataset) -> list[Any]:
    names, whole = {str(name) for name in one.variables}, _every_level(one)
    if (
        whole
        and names >= _COMPARED
        and set(one.dims) >= _DIMENSIONS
        and set(one.attrs) >= _SAID
        and "units" in one["dose_amount"].attrs
    ):
        return [_Made(as_fragment(comparison(one)))]
    if whole and names >= _OF_ONE_DESIGN and "design" in one.attrs and one["selected"].dims == ("scenario", "choice"):
        return [_one_design(one)]
    if names >= _CALIBRATED and one["excess"].dims == ("layout", "quantity"):
        return [_calibration(one)]
    return []


def _every_level(one: xr.Dataset) -> bool:
    """No dose and no choice has been left out: the tables tell them apart by their places."""
    return {"choice", "dose"} <= set(one.dims) and one.sizes["choice"] == one.sizes["dose"] + 1


def _one_design(one: xr.Dataset) -> Group:
    """Operating characteristics of one design: a row a scenario."""
    import pandas as pd

    values = {str(name): variable.values for name, variable in one.variables.items()}
    rows = []
    for s, scenario in enumerate(values["scenario"][:_ROWS]):
        row = {"scenario": str(scenario), "true DLT rates": ", ".join(f"{p:g}" for p in values["p_true"][s])}
        for k, label in enumerate(values["choice"]):
            row["none" if label == "none" else f"level {label}"] = tables.share(values, "selected", (s, k))
        row["not reached"] = tables.share(values, "not_reached", (s,))
        row["patients in all"] = f"{values['patients'][s].sum():.1f}"
        row["DLTs in all"] = f"{values['dlts'][s].sum():.2f}"
        rows.append(row)
    title = f"{one.attrs['design']}: probability (%) that each level is named as MTD"
    note = tables.method(one.attrs)
    return Group(tables.frame(pd.DataFrame(rows), title, note), *_more(len(values["scenario"])))


def _calibration(one: xr.Dataset) -> Group:
    import pandas as pd

    rows = [
        {
            "layout": str(layout),
            "quantity": str(quantity),
            "beyond its band by": float(at["excess"]),
            "passed": "yes" if at["passed"] else "NO",
        }
        for layout in one["layout"].values
        for quantity in one["quantity"].values
        for at in (one.sel(layout=layout, quantity=quantity),)
    ]
    sets = f"{one.attrs['n_sets']} data sets a layout, seed {one.attrs['seed']}" if "n_sets" in one.attrs else ""
    title = f"Simulation-based calibration: {'passed' if bool(one['passed'].all()) else 'FAILED'}. {sets}".strip()
    return tables.frame(pd.DataFrame(rows), title, "Below 0: within its band, by so much at the nearest point.")


def _given(value: Any) -> str:
    return "" if value is None else str(value)


def _points(lines: Iterable[object]) -> list[Text]:
    return [Text(f"{_POINT}{line}") for line in lines]


def _more(rows: int) -> list[Text]:
    return [Text(f"{rows - _ROWS} more are not shown.")] if rows > _ROWS else []


def _facts(rows: list[dict[str, Any]], title: str = "") -> Group:
    import pandas as pd

    return tables.frame(pd.DataFrame(rows).astype(str), title)


def _tallies(n: np.ndarray, y: np.ndarray) -> str:
    return ", ".join(f"{dlts}/{patients}" for dlts, patients in zip(y, n, strict=True))


def _picture(draw: Callable[..., Any], result: Any) -> list[_Made]:
    """A picture, where matplotlib is there to draw it."""
    return [_Made(plots.as_svg(draw(result)))] if find_spec("matplotlib") else []


# HTML


def _blocks(parts: Iterable[Any]) -> Iterator[str]:
    """Each run of indented lines is a list."""
    for pointed, run in groupby(_flat(parts), _is_point):
        if pointed:
            yield f"<ul>{''.join(f'<li>{_text(one)}</li>' for one in run)}</ul>"
        else:
            yield from map(_block, run)


def _flat(parts: Iterable[Any]) -> Iterator[Any]:
    """The pieces without groups around them, but for those that are shown on demand, and without blanks."""
    for part in parts:
        if isinstance(part, Group) and not isinstance(part, Aside):
            yield from _flat(part.renderables)
        elif str(part).strip() or not isinstance(part, (str, Text)):
            yield part


def _is_point(part: Any) -> bool:
    return isinstance(part, Text) and part.plain.startswith(_POINT)


def _block(part: Any) -> str:
    if isinstance(part, _Made):
        return part.html
    if isinstance(part, Aside):
        title, *rest = part.renderables
        return f"<details><summary>{_text(title)}</summary>{''.join(_blocks(rest))}</details>"
    if isinstance(part, Table):
        return _table(part)
    words = _text(part)
    return f"<p><strong>{words}</strong></p>" if isinstance(part, Text) and part.style == "bold" else f"<p>{words}</p>"


def _table(table: Table) -> str:
    # A notebook's own style aligns to the right; what is to the left is said of each cell.
    looks = ["" if column.justify == "right" else ' style="text-align: left"' for column in table.columns]
    head = "".join(f"<th{look}>{_text(column.header, '<br>')}</th>" for look, column in zip(looks, table.columns, strict=True))
    rows = []
    for row, cells in zip(table.rows, zip(*(column.cells for column in table.columns), strict=True), strict=True):
        dim = ' style="opacity: 0.7"' if row.style == "dim" else ""
        rows.append(
            f"<tr{dim}>{''.join(f'<td{look}>{_text(cell, "<br>")}</td>' for look, cell in zip(looks, cells, strict=True))}</tr>"
        )
    whole = f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
    return f'<div style="overflow-x: auto"><table style="text-align: right">{whole}</table></div>'


def _text(text: Any, new_line: str = " ") -> str:
    """A text, escaped; lines that were folded are joined by ``new_line``."""
    plain_text = text.plain if isinstance(text, Text) else str(text)
    return new_line.join(escape(line.strip()) for line in plain_text.strip().splitlines())


# Progress


def progress(what: str) -> Callable[[int, int], None] | None:
    """Something that counts what is done, for the argument ``progress`` of whatever takes long.

    In a notebook it is a bar that goes when all is done, on a terminal a line on standard error; where neither is, there is
    nobody to see it.

    Parameters
    ----------
    what
        What is counted, such as "designs" or "data sets".

    Returns
    -------
    callable or None
        To be called with the number done and the number of all.

    Examples
    --------
    >>> from dosefind import compare, load_protocol, progress
    >>> oc = compare(load_protocol("configs/nct05962762.toml"), progress=progress("designs"))
    """
    if (bar := _notebook()) is not None:
        return lambda done, total: bar(_bar(what, done, total))
    if not sys.stderr.isatty():
        return None

    def show(done: int, total: int) -> None:
        line = f"{done:,} of {total:,} {what}" if done < total else " " * 40 + "\r"
        terminal.send(sys.stderr, f"\r{line}")
        sys.stderr.flush()

    return show


def _notebook() -> Callable[[str], None] | None:
    """Shows HTML in place of what it showed before, where a notebook is there to show it."""
    # It is loaded where there is a notebook, and not needed elsewhere.
    ipython: Any = sys.modules.get("IPython")
    if ipython is None or not hasattr(ipython.get_ipython(), "kernel"):
        return None
    shown: list[Any] = []

    def show(text: str) -> None:
        one: Mapping[str, str] = {"text/html": text, "text/plain": ""}
        if shown:
            shown[0].update(one, raw=True)
        else:
            shown.append(ipython.display.display(one, raw=True, display_id=True))

    return show


def _bar(what: str, done: int, total: int) -> str:
    if done >= total:
        return ""
    return f'<progress value="{done}" max="{total}"></progress> {done:,} of {total:,} {escape(what)}'
