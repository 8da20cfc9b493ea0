"""Labelled results as tables for a terminal; no computation."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from . import terminal

if TYPE_CHECKING:
    import pandas as pd


__all__ = [
    "Aside",
    "assumed",
    "frame",
    "rules",
    "sensitivity",
    "show",
]

# Text is folded at the terminal's width, at most here; so are headings of tables, which take what they need for their figures.
_WIDTH = 118
_TABLE_WIDTH = 1000
_INDENT = "    "
# A column of words is at least so wide, and for its sake others are folded to no less than this.
_LEAST_WORDS, _LEAST_CELL = 18, 10
# A cell of words in a table of figures is folded at this.
_FOLDED = 40
# Stands for the second column of a sign that takes two: no character (Unicode, section 23.7), so that no text has it.
_FILLER = "\ufdd0"
# Times the lowest or highest dose beyond which an amount is not given.
FAR = 10
# A numerical error below this is not shown: it is far below the last digit.
LEAST_ERROR = 1e-6


class Aside(Group):
    """What a reader may look up, under its title: a notebook shows it on demand."""


def show(content: Any) -> None:
    """Print to standard output, without trailing blanks; bold and dim only where it is a terminal that wants it."""
    # NO_COLOR (https://no-color.org) alone would keep bold and dim.
    colours = None if os.environ.get("NO_COLOR") else "auto"
    console = Console(highlight=False, markup=False, emoji=False, width=_TABLE_WIDTH, color_system=colours)
    with console.capture() as capture:
        console.print(_visible(content, terminal.encoding_of(sys.stdout)))
    terminal.send(sys.stdout, "".join(f"{line.rstrip()}\n" for line in capture.get().split("\n")).removesuffix("\n"))


def _visible(part: Any, encoding: str) -> Any:
    """Return a piece in which no text of data controls the terminal, in characters that it can print."""
    if isinstance(part, str):
        return terminal.shown(part, encoding)
    if isinstance(part, Text):
        return Text(terminal.shown(part.plain, encoding), part.style)
    if isinstance(part, Group):
        return Group(*(_visible(one, encoding) for one in part.renderables))
    if isinstance(part, Table):
        for column in part.columns:
            column.header = _visible(column.header, encoding)
            column._cells = [_visible(one, encoding) for one in column.cells]
    return part


def version(attrs: Mapping[str, Any]) -> list[Text]:
    """Which version of the protocol a result is of, where the config has amendments."""
    if not attrs.get("amended_on"):
        return []
    return [_folded(f"Protocol version of {attrs['protocol_version']}. The config has amendments of {attrs['amended_on']}.")]


def _wrapped(table: pd.DataFrame, words: str) -> Table:
    """A table whose column of words is folded into what width is left, and where that is too little, so are the widest others."""
    told = table.astype(object).where(table.notna(), "").astype(str).map(terminal.shown)
    taken = {
        name: max(1, *(cell_len(line) for text in (name, *told[name]) for line in text.splitlines()))
        for name in told.columns
        if name != words
    }
    while (width := _width() - sum(taken.values()) - 2 * len(taken) - 2) < _LEAST_WORDS and max(taken.values()) > _LEAST_CELL:
        taken[max(taken, key=taken.__getitem__)] -= 1
    out = _table()
    for name in told.columns:
        out.add_column(str(name))
    for row in told.to_dict("records"):
        out.add_row(*("\n".join(_lines(text, taken.get(name, max(width, _LEAST_WORDS)))) for name, text in row.items()))
    return out


def _heading(name: Any) -> list[str]:
    """Lines of a heading: one of several words is folded, as those of scenarios over their probabilities."""
    return _lines(str(name), 8, break_long_words=False)


def frame(table: pd.DataFrame, title: str, note: str = "") -> Group:
    """A data frame as it is, under its title and note."""
    return Group(_folded(title, style="bold"), *([_folded(note)] if note else []), _grid(table))


def _grid(table: pd.DataFrame) -> Table:
    out = _table()
    for name in table.columns:
        text = str(table[name].dtype) in ("object", "str")
        out.add_column("\n".join(_heading(name)), justify="left" if text else "right")
    for row in table.itertuples(index=False):
        out.add_row(*("\n".join(_lines(cell(value), _FOLDED)) for value in row))
    return out


def sensitivity(table: pd.DataFrame, title: str, note: str = "") -> Group:
    """What the answer hangs on, as `dosefind.sensitivity` gives it; of the Monte Carlo errors the largest of each row."""
    shares = [name for name in table.columns if name.startswith(("p_", "over_"))]
    errors = [name for name in table.columns if name.startswith("se_")]
    shown = table.assign(
        varied=table["varied"] + " " + table["value"], **{name: table[name].map("{:.3f}".format) for name in shares}
    )
    if errors:
        shown["se"] = [f"{error:.1g}" if error > LEAST_ERROR else "" for error in table[errors].max(axis=1)]
    kept = shown.drop(columns=["value", *errors])
    return Group(_folded(title, style="bold"), *([_folded(note)] if note else []), _wrapped(kept, "varied"))


ANALYSED = {
    "mean": "mean",
    "sd": "sd",
    "median": "median",
    "p_under": "under",
    "p_target": "target",
    "p_over": "over",
    "prior_p_over": "over before",
    "prior_mean": "mean before",
    "prior_effective_n": "prior ESS",
    "upper_limit": "limit alone",
    "mtd": "MTD",
    "utility": "expected utility",
    "p_best": "largest",
    "borrowed_n": "borrowed",
    "conclusion": "named in the end",
    "conclusion_not_reached": "not reached",
}


def engine(attrs: dict[str, Any]) -> str:
    """How a posterior was worked out, with its error or its diagnostics."""
    if "largest_error" in attrs:
        return f"quadrature (largest error {attrs['largest_error']:.0e}, of quantiles {attrs['quantile_error']:.0e} in probability)"
    diagnosed = (
        f"{attrs['chains']} chains of {attrs['draws']} draws by {attrs['sampler']}, R-hat at most {attrs['rhat']:.3f}, effective "
        f"sample size at least {attrs['ess_bulk']:.0f} (bulk) and {attrs['ess_tail']:.0f} (tail), "
        f"{attrs['divergences']} divergences"
    )
    return f"NUTS ({diagnosed}; \u00b1 is one Monte Carlo standard error)"


def share(values: dict[str, Any], name: str, at: Any, scale: float = 100, digits: int = 1, before: str = " ") -> str:
    """A figure, in percent by default, with its standard error where it has one, ``before`` which comes what parts them."""
    error = values.get(f"{name}_se")
    text = f"{scale * values[name][at]:.{digits}f}"
    return text if error is None else f"{text}{before}\u00b1{scale * error[at]:.1g}"


def mtd_amount(values: dict[str, Any], unit: str) -> str:
    """The MTD on the dose scale in a sentence; nothing where the curve has no dose scale."""
    if "mtd_amount" not in values:
        return ""
    doses = values["dose_amount"]
    # What lies far outside the doses is the curve's extrapolation: how far, nobody can know.
    least, most = doses[0] / FAR, doses[-1] * FAR
    low, lower, median, upper, high = (
        f"below {least:g}" if a < least else f"above {most:g}" if a > most else f"{a:.3g}" for a in values["mtd_amount"]
    )
    outside = f"{100 * values['mtd'][0]:.1f}% below the lowest dose, {100 * values['mtd'][-1]:.1f}% at or above the top dose"
    return f"On the dose scale ({unit}): median {median}, quartiles {lower} and {upper}, 95% interval {low} to {high}; {outside}."


def rules(sentences: dict[str, list[str]], title: str = "") -> Aside:
    """The rules of each design, or of whatever the title says, in sentences."""
    parts = [Text(f"\n{title or ('Designs' if len(sentences) > 1 else 'Design')}", "bold")]
    for name, own in sentences.items():
        parts.append(Text(f"{name}"))
        parts += [_indented(sentence) for sentence in own]
    return Aside(*parts)


def assumed(assumptions: Iterable[Sequence[Any]], without_effect: str = "") -> Aside:
    """What no record states: key, value, reason; and the keys that no figure here depends on."""
    lines = [Text("\nAssumed, because no record states it", "bold")]
    for key, value, why in assumptions:
        shown = "" if key.startswith(("scenarios", "designs")) else f" = {value}"
        lines.append(_indented(f"{key}{shown}: {why}"))
    if without_effect:
        lines.append(_folded(f"Given in the config, but no figure here depends on it: {without_effect}."))
    return Aside(*lines)


def _width() -> int:
    return max(60, min(_WIDTH, shutil.get_terminal_size((_WIDTH, 24)).columns))


def _folded(text: str, first: str = "", rest: str = "", style: str = "") -> Text:
    lines = _lines(text, _width(), initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)
    return Text("\n".join(lines), style)


def _lines(text: str, width: int, **options: Any) -> list[str]:
    """Return text as it is shown, folded at the columns that it takes on a terminal, where some signs take two."""
    text = terminal.shown(text)
    if text.isascii() or cell_len(text) <= len(text):
        return textwrap.wrap(text, width, **options)
    filled = "".join(sign + _FILLER * (cell_len(sign) - 1) for sign in text)
    # A fold can part a sign from its filler, which then is one column more.
    return [line.replace(_FILLER, "") for line in textwrap.wrap(filled, max(width - 1, 1), **options)]


def _indented(text: str) -> Text:
    return _folded(text, _INDENT, _INDENT * 2)


def _table() -> Table:
    return Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)


def cell(value: Any) -> str:
    """A cell of a data frame."""
    if isinstance(value, float):
        return f"{value:.3g}"
    return "never" if str(value) == "<NA>" else str(value)
