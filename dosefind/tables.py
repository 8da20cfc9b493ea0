"""Labelled results as tables for a terminal; no computation."""

from __future__ import annotations

import json
import os
import shutil
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["assumed", "comparison", "frame", "rules", "show"]

# Text is folded at the terminal's width, at most here; tables take what they need, so that no figure is ever cut.
_WIDTH = 118
_TABLE_WIDTH = 1000
_INDENT = "    "

# Figure, heading, whether it is a probability (shown in percent), digits.
_CHOICE = [
    ("not_reached", "not\nreached", True, 1),
    ("correct", "correct", True, 1),
    ("correct_highest", "correct\n(alt.)", True, 1),
    ("acceptable", "accept-\nable", True, 1),
    ("under_selected", "below\nMTD", True, 1),
    ("over_selected", "above\nMTD", True, 1),
]
_COST = [
    ("mean_n", "all", False, 1),
    ("above_mtd", "above\nMTD", False, 1),
    ("any_dlt", "any\nDLT %", True, 1),
    ("over_60", ">60%\nover %", True, 1),
    ("over_80", ">80%\nover %", True, 1),
    ("days", "days", False, 0),
]


def show(content: Any) -> None:
    """Print to standard output, without trailing blanks; bold and dim only where it is a terminal that wants it."""
    # NO_COLOR (https://no-color.org) alone would keep bold and dim.
    colours = None if os.environ.get("NO_COLOR") else "auto"
    console = Console(highlight=False, markup=False, emoji=False, width=_TABLE_WIDTH, color_system=colours)
    with console.capture() as capture:
        console.print(content)
    print("\n".join(line.rstrip() for line in capture.get().splitlines()))


def comparison(oc: xr.Dataset) -> Group:
    """A comparison of designs: two tables a scenario, targets, rules, definitions, assumptions."""
    values = {str(name): variable.values for name, variable in oc.variables.items()}
    unit = oc.dose_amount.attrs["units"]
    doses = ", ".join(f"{level} = {amount:g}" for level, amount in zip(values["dose"], values["dose_amount"], strict=True))
    simulated = oc.attrs["method"] == "simulated"
    error = (
        f"{oc.attrs['n_trials']:,} trials a scenario, seed {oc.attrs['seed']}; \u00b1 is one standard error"
        if simulated
        else "no Monte Carlo error"
    )
    made = f"Method: {oc.attrs['method']}, {error}."
    parts: list[Any] = [
        Text(f"{oc.attrs['protocol']}: designs compared under {len(values['scenario'])} scenarios. {made}", "bold"),
        Text(f"Dose levels, {unit}: {doses}."),
        *([Text("A standard error of 0, where all trials agreed, is no proof of certainty.")] if simulated else []),
    ]
    for scenario in range(len(values["scenario"])):
        parts += _scenario(values, scenario)
    if "target" in oc.dims:
        parts.append(_by_target(values, oc.target.attrs["definition"]))
    parts.append(rules(json.loads(oc.attrs["rules"])))
    parts.append(_ends(json.loads(oc.reason.attrs["definition"]), values))
    parts.append(_definitions({str(name): variable.attrs.get("definition", "") for name, variable in oc.variables.items()}))
    parts.append(assumed(json.loads(oc.attrs["assumptions"]), oc.attrs["without_effect"]))
    return Group(*parts)


def frame(table: pd.DataFrame, title: str, note: str = "") -> Group:
    """A data frame as it is, under its title and note."""
    out = _table()
    for name in table.columns:
        text = str(table[name].dtype) in ("object", "str")
        out.add_column(str(name), justify="left" if text else "right")
    for row in table.itertuples(index=False):
        out.add_row(*(_cell(value) for value in row))
    return Group(Text(title, "bold"), *([_folded(note)] if note else []), out)


def _scenario(values: dict[str, Any], scenario: int) -> list[Any]:
    rates = ", ".join(f"{p:g}" for p in values["p_true"][scenario])
    mtd, alternative = values["true_mtd"][scenario], values["highest_mtd"][scenario]
    title = f"\n{values['scenario'][scenario]}: true DLT rates {rates}; true MTD {mtd}" + (
        f" (alternative: {alternative})" if alternative != mtd else ""
    )
    choice = _table()
    choice.add_column("named as\nMTD, %")
    for label in (*values["choice"], *(heading for _, heading, _, _ in _CHOICE)):
        choice.add_column(str(label), justify="right")
    cost = _table()
    cost.add_column("patients\n/ DLTs")
    for level in values["dose"]:
        cost.add_column(f"at {level}", justify="right")
    for heading in (heading for _, heading, _, _ in _COST):
        cost.add_column(heading, justify="right")
    cost.add_column("ends because, %", no_wrap=True)
    for design, name in enumerate(values["design"]):
        at = (design, scenario)
        named = [_figure(values, "selected", (*at, k), True, 1) for k in range(len(values["choice"]))]
        choice.add_row(str(name), *named, *(_figure(values, figure, at, percent, digits) for figure, _, percent, digits in _CHOICE))
        treated = [_treated(values, (*at, k)) for k in range(len(values["dose"]))]
        cost.add_row(
            str(name),
            *treated,
            *(_figure(values, figure, at, percent, digits) for figure, _, percent, digits in _COST),
            _reasons(values, at),
        )
    reference = {"correct": values["reference_correct"], "correct_highest": values["reference_correct_highest"]}
    named = [f"{100 * p:.1f}" for p in values["reference_selected"][scenario]]
    choice.add_row(
        "reference",
        *named,
        *(f"{100 * reference[name][scenario]:.1f}" if name in reference else "" for name, *_ in _CHOICE),
        style="dim",
    )
    return [Text(title, "bold"), choice, cost]


def _figure(values: dict[str, Any], name: str, at: tuple[int, ...], percent: bool, digits: int) -> str:
    if name == "acceptable" and values["n_acceptable"][at[1]] == 0:
        return "-"
    scale = 100 if percent else 1
    text = f"{scale * values[name][at]:.{digits}f}"
    error = values.get(f"{name}_se")
    return text if error is None else f"{text}\n\u00b1{scale * error[at]:.1g}"


def _treated(values: dict[str, Any], at: tuple[int, ...]) -> str:
    text = f"{values['patients'][at]:.1f} / {values['dlts'][at]:.2f}"
    return f"{text}\n\u00b1{values['patients_se'][at]:.1g} / {values['dlts_se'][at]:.1g}" if "patients_se" in values else text


def _reasons(values: dict[str, Any], at: tuple[int, int]) -> str:
    shares = sorted(zip(values["stopped"][at], values["reason"], strict=True), key=lambda pair: -pair[0])
    return "\n".join(f"{reason} {100 * p:.0f}" for p, reason in shares if p >= 0.005)


def _by_target(values: dict[str, Any], definition: str) -> Group:
    table = _table()
    table.add_column("target", justify="right")
    table.add_column("design")
    for name in values["scenario"]:
        table.add_column(str(name), justify="right")
    for t, target in enumerate(values["target"]):
        table.add_row(f"{target:g}", "true MTD", *map(str, values["true_mtd_by_target"][t]), style="dim")
        for d, design in enumerate(values["design"]):
            table.add_row("", str(design), *(f"{100 * p:.1f}" for p in values["correct_by_target"][t, d]))
    title = "\nOther targets: probability (%) that the MTD for that target is named"
    return Group(Text(title, "bold"), _folded(f"Target: {definition}."), table)


def rules(designs: dict[str, list[str]]) -> Group:
    """The rules of each design, in sentences."""
    parts = [Text("\nDesigns" if len(designs) > 1 else "\nDesign", "bold")]
    for name, sentences in designs.items():
        parts.append(Text(f"{name}"))
        parts += [_indented(sentence) for sentence in sentences]
    return Group(*parts)


def _ends(sentences: dict[str, str], values: dict[str, Any]) -> Group:
    """Why trials end, for the reasons that come up."""
    shown = [name for name, share in zip(values["reason"], values["stopped"].max(axis=(0, 1)), strict=True) if share >= 0.005]
    lines = [Text("\nWhy trials end (shares of 0.5% or more are shown)", "bold")]
    return Group(*lines, *(_indented(f"{name}: {sentences[name]}.") for name in shown))


def _definitions(texts: dict[str, str]) -> Group:
    headings = {
        "true_mtd": "true MTD",
        "highest_mtd": "alternative (alt.)",
        "selected": "named as MTD",
        "patients": "patients",
        "dlts": "DLTs",
    }
    headings |= {name: heading.replace("-\n", "").replace("\n", " ") for name, heading, _, _ in (*_CHOICE, *_COST)}
    headings |= {
        "under_selected": "below MTD (choice)",
        "over_selected": "above MTD (choice)",
        "above_mtd": "above MTD (patients)",
        "mean_n": "all",
    }
    headings |= {"reference_selected": "reference", "reference_correct_highest": "reference, correct (alt.)"}
    lines = [Text("\nWhat the columns mean", "bold")]
    lines += [_indented(f"{heading}: {texts[name]}.") for name, heading in headings.items() if texts.get(name)]
    return Group(*lines)


def assumed(assumptions: Iterable[Sequence[Any]], without_effect: str = "") -> Group:
    """What no record states: key, value, reason; and the keys that no figure here depends on."""
    lines = [Text("\nAssumed, because no record states it", "bold")]
    for key, value, why in assumptions:
        shown = "" if key.startswith(("scenarios", "designs")) else f" = {value}"
        lines.append(_indented(f"{key}{shown}: {why}"))
    if without_effect:
        lines.append(_folded(f"Recorded, but no figure here depends on it: {without_effect}."))
    return Group(*lines)


def _folded(text: str, first: str = "", rest: str = "") -> Text:
    width = max(60, min(_WIDTH, shutil.get_terminal_size((_WIDTH, 24)).columns))
    return Text(textwrap.fill(text, width, initial_indent=first, subsequent_indent=rest))


def _indented(text: str) -> Text:
    return _folded(text, _INDENT, _INDENT * 2)


def _table() -> Table:
    return Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "never" if str(value) == "<NA>" else str(value)
