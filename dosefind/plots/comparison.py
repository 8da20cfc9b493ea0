"""Charts of a comparison of designs: the doses selected as MTD and the patients treated at each dose, by scenario."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._check import InputError, Problem
from ..figures import in_percent, percent
from ..words import _, counted, marked
from .layout import TALLEST, available, distinct, dose_label, drawing, filled, key, notes, room, rows, title, width_of
from .style import (
    BLUE,
    FAINT,
    INCH,
    INK,
    RULE,
    SKY,
    TOO_TOXIC,
    boxes,
    describe,
    dose_text,
    listed,
    shown,
    spoken,
    ticks,
    write,
)

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

__all__ = ["allocation", "pages", "selection"]

# Type size of the rows, and height of a line of it, in points.
_SIZE, _LINE = 7.0, 8.4
# Width of the names of designs at least, where they are long, and of the label of the vertical axis.
_NAMES, _LABEL = 60.0, 20.0


def selection(comparison: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Draw the doses that each design selects as MTD, one row per design under each scenario.

    Parameters
    ----------
    comparison
        What `dosefind.compare` returned.
    ax
        Axes to draw on; new ones by default, as high as the rows need.

    Returns
    -------
    matplotlib.axes.Axes
    """
    oc = _comparison(comparison, "selected")
    choices = [str(choice) for choice in oc["choice"].values]
    bars = _selection_bars(oc)
    shares, errors = bars.length, bars.error
    grid = _grid(oc, bars, ax)
    with drawing(ax, grid.height(*shares.shape[:2]) / 72 * INCH) as ax:
        _matrix(ax, oc, bars, grid, 1)
        title(ax, _("{trial}: selected as MTD, %\u00a0of\u00a0trials").format(trial=shown(oc.attrs["protocol"])))
        key(ax, _handles("true", "above", "below"), [_("the true MTD"), _("above it"), _("below it, or none")])
    return describe(
        ax,
        _("Doses selected as MTD by each design, {trial}").format(trial=spoken(oc.attrs["protocol"])),
        *_sentences(oc, lambda design, d, s: _selected(design, shares[d, s], choices, errors if errors is None else errors[d, s])),
        _method(oc),
    )


def _selection_bars(oc: xr.Dataset) -> _Bars:
    shares = oc["selected"].transpose("design", "scenario", "choice").values
    return _Bars(shares, _errors(oc, "selected", "choice"), [lambda at: in_percent(float(shares[at]))], _("100% of trials"))


def pages(comparison: xr.Dataset) -> list[xr.Dataset]:
    """Split a comparison by scenario into parts whose charts each fit on a page without being reduced.

    Parameters
    ----------
    comparison
        What `dosefind.compare` returned.

    Returns
    -------
    list of xarray.Dataset
        Comparisons for `selection` and `allocation`, with about the same number of scenarios each.

    Examples
    --------
    >>> from dosefind import compare, load_trial
    >>> [part.sizes["scenario"] for part in pages(compare(load_trial("configs/nct05962762.toml")))]
    [6]
    """
    oc = _comparison(comparison, "selected")
    designs, scenarios, _ = (bars := _selection_bars(oc)).length.shape
    grids = list(_grids(oc, bars, available(None) - _LABEL, True))
    # As many scenarios as fit where there is room for numbers; without numbers where there never is.
    grids = [grid for grid in grids if grid.text] or grids
    tallest = _tallest(oc)
    most = max(sum(grid.height(designs, n + 1) <= tallest for n in range(scenarios)) for grid in grids)
    parts = np.array_split(np.arange(scenarios), -(-scenarios // max(most, 1)))
    return [oc.isel(scenario=part) for part in parts]


def allocation(comparison: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Draw the mean numbers of patients and DLTs of each design at each dose, under each scenario.

    Parameters
    ----------
    comparison
        What `dosefind.compare` returned.
    ax
        Axes to draw on; new ones by default, as high as the rows need.

    Returns
    -------
    matplotlib.axes.Axes
    """
    oc = _comparison(comparison, "patients", "dlts")
    treated, toxic = (oc[name].transpose("design", "scenario", "dose").values for name in ("patients", "dlts"))
    most = max(treated.max(), 1e-9)
    errors = _errors(oc, "patients", "dose")
    texts: list[_Text] = [lambda at: f"{treated[at]:.1f} ({toxic[at]:.1f})", lambda at: f"{treated[at]:.1f}"]
    full = _("{n} patients").format(n=f"{most:.1f}")
    bars = _Bars(treated / most, None if errors is None else errors / most, texts, full, toxic / most)
    grid = _grid(oc, bars, ax)
    with drawing(ax, grid.height(*treated.shape[:2]) / 72 * INCH) as ax:
        _matrix(ax, oc, bars, grid, 0)
        words = _(_MEAN_PATIENTS_AND_DLTS) if grid.text is texts[0] else _("{trial}: mean number of patients at each dose")
        title(ax, words.format(trial=shown(oc.attrs["protocol"])))
        key(ax, _handles(*_LOOKS), [_("at the true MTD"), _("above it"), _("below it"), _("patients with a DLT")])
    doses = oc["dose"].values

    def treats(design: str, d: int, s: int) -> str:
        each = _("{patients} patients and {dlts} DLTs at level {level}")
        at = [
            each.format(patients=f"{treated[d, s, k]:.1f}", dlts=f"{toxic[d, s, k]:.2f}", level=dose)
            for k, dose in enumerate(doses)
        ]
        return _("{design} treats {patients}").format(design=design, patients=listed(at))

    heading = _("Patients and DLTs at each dose, {trial}").format(trial=spoken(oc.attrs["protocol"]))
    return describe(ax, heading, *_sentences(oc, treats), _method(oc))


_MEAN_PATIENTS_AND_DLTS = marked("{trial}: mean number of patients (of DLTs) at each dose")


_Place = tuple[int, int, int]
_Text = Callable[[_Place], str]


class _Bars(NamedTuple):
    """Bars of a matrix of design, scenario and column.

    Attributes
    ----------
    length, error
        Lengths and their standard errors, as shares of a full bar.
    texts
        The number of a bar, in full and then more briefly.
    full
        What a full bar stands for.
    dark
        Length of the dark part of a bar.
    """

    length: np.ndarray
    error: np.ndarray | None
    texts: Sequence[_Text]
    full: str
    dark: np.ndarray | None = None

    def number_width(self, text: _Text) -> float:
        """Return the width of the widest number in points."""
        designs, scenarios, columns = map(range, self.length.shape)
        return max(width_of(text(at), _SIZE) for at in product(designs, scenarios, columns))


class _Grid(NamedTuple):
    """Sizes of a matrix in points.

    Attributes
    ----------
    gutter, column
        Width of the names on the left, and of a column.
    number
        Width of the number beside a bar; 0 where it is above the bar or missing.
    pitch, bar
        Height of a row, and of a bar.
    text
        The number of a bar; None where there is no room for numbers.
    lines
        Lines that the name of a design takes.
    heads
        Lines above the rows of each scenario for its name, 0 where that is beside its true DLT rates.
    rates
        How true DLT rates are written.
    """

    gutter: float
    column: float
    number: float
    pitch: float
    bar: float
    text: _Text | None
    lines: int
    heads: int
    rates: _Rates

    @property
    def longest(self) -> float:
        """Return the length of a full bar as a share of a column."""
        return 1 - (self.number + 8 if self.number else 4) / self.column

    @property
    def row(self) -> float:
        """Return the height of the row of a design."""
        return max(self.pitch, self.lines * _LINE)

    @property
    def head(self) -> float:
        """Return the height of what is above the rows of a scenario, with a gap."""
        return self.heads * _LINE + self.rates.height + 5.0

    def height(self, designs: int, scenarios: int) -> float:
        """Return the height of the matrix."""
        return max(scenarios * (self.head + designs * self.row) + 2.0, 40.0)


class _Rates(NamedTuple):
    """True DLT rates of the scenarios as they are written above the bars."""

    texts: list[list[str]]
    turned: bool
    explained: bool

    @property
    def height(self) -> float:
        """Return the height of a row of rates."""
        return max(width_of(text, _SIZE, "bold") for row in self.texts for text in row) + 3 if self.turned else _LINE

    @classmethod
    def of(cls, oc: xr.Dataset, column: float) -> _Rates:
        """Choose the most explicit form that fits into a column."""
        rates = oc["p_true"].values
        of_mtds = [[str(level + 1) == mtd for level in range(rates.shape[1])] for mtd in map(str, oc["true_mtd"].values)]
        forms = (
            (_("true {rate}%"), _("true {rate}% = MTD"), True),
            ("{rate}%", _("{rate}% = MTD"), False),
            ("{rate}%", "{rate}%*", False),
            ("{rate}", "{rate}*", False),
        )
        texts: list[list[str]] = []
        for plain, of_mtd, explained in forms:
            texts = [
                [(of_mtd if mark else plain).format(rate=f"{100 * rate:.3g}") for rate, mark in zip(row, marks, strict=True)]
                for row, marks in zip(rates, of_mtds, strict=True)
            ]
            if all(width_of(text, _SIZE, "bold") + 4 <= column for row in texts for text in row):
                return cls(texts, False, explained)
        return cls(texts, True, False)


def _grids(oc: xr.Dataset, bars: _Bars, width: float, own: bool) -> Iterator[_Grid]:
    """Yield possible sizes of a matrix, beginning with the most explicit one."""
    columns = bars.length.shape[2]
    names, scenarios = (distinct(list(oc[dim].values), np.inf) for dim in ("design", "scenario"))
    beside_rates = [wide for name in scenarios if (wide := width_of(name, _SIZE, "bold")) <= _NAMES]
    wanted = max([*(width_of(name, _SIZE) for name in names), *beside_rates, 30.0]) + 3
    least = min(wanted, _NAMES)
    for text in (*bars.texts, None):
        number = bars.number_width(text) if text else 0.0
        for beside, pitch in ((True, 10.8), (True, _LINE), (False, 14.0)) if text else ((False, 10.8), (False, _LINE)):
            room_for = number + (32 if bars.error is None else 38) if beside else max(number + 5, 27)
            gutter = max(least, min(wanted, width - columns * room_for)) if own else wanted
            column = (width - gutter * own) / columns
            if text and column < room_for:
                continue
            needed = max(filled(name, gutter, _SIZE).count("\n") + 1 for name in names)
            apart = any(width_of(name, _SIZE, "bold") > gutter for name in scenarios)
            heads = apart * max(filled(name, width, _SIZE, "bold").count("\n") + 1 for name in scenarios)
            bar = 0.72 * pitch if beside or not text else 3.2
            for lines in range(min(needed, 3), 0, -1):
                yield _Grid(gutter, column, number * beside, pitch, bar, text, lines, heads, _Rates.of(oc, column))


def _tallest(oc: xr.Dataset) -> float:
    """Return the height in points that a page leaves for the matrix, without title, key, heads and notes."""
    name, label = shown(oc.attrs["protocol"]), dose_label(oc["dose_amount"].attrs["units"])
    width = available(None)
    lines = filled(_(_MEAN_PATIENTS_AND_DLTS).format(trial=name), width, 9, "bold"), filled(label, width / 2, 8.5)
    return TALLEST / INCH * 72 - 94 - 11 * sum(text.count("\n") for text in lines)


def _grid(oc: xr.Dataset, bars: _Bars, ax: Axes | None) -> _Grid:
    """Return the first of the possible sizes with which the chart fits on a page, or else the lowest one."""
    designs, scenarios, _ = bars.length.shape
    grids = list(_grids(oc, bars, available(ax) - _LABEL, ax is None))
    tallest = _tallest(oc)
    fits = (grid for grid in grids if grid.height(designs, scenarios) <= tallest)
    return next(fits, min(grids, key=lambda grid: grid.height(designs, scenarios)))


def _matrix(ax: Axes, oc: xr.Dataset, bars: _Bars, grid: _Grid, first_level: int) -> None:
    """Draw a bar for each design, scenario and column, the rows of a scenario below its name and its true DLT rates."""
    designs, scenarios, columns = bars.length.shape
    names = distinct(list(oc["design"].values), grid.gutter, grid.lines, _SIZE)
    lines = [line for name in names for line in name.split("\n")]
    left = max(width_of(line, _SIZE) for line in lines)
    wide = left + columns * grid.column if grid.heads else grid.gutter
    titles = distinct(list(oc["scenario"].values), wide, max(grid.heads, 1), _SIZE, "bold")
    shapes: dict[str, list[tuple[float, float, float, float]]] = {look: [] for look in _LOOKS}
    places: dict[float, tuple[str, str]] = {}
    for s, mtd in enumerate(map(str, oc["true_mtd"].values)):
        top = s * (grid.head + designs * grid.row)
        ax.axhline(top, color=RULE, lw=0.6)
        rates = top + 3.0 + grid.heads * _LINE + grid.rates.height / 2
        if grid.heads:
            _scenario_title(ax, titles[s], left, top + 3.0 + grid.heads * _LINE / 2)
        else:
            places[rates] = (titles[s], "bold")
        for level, text in enumerate(grid.rates.texts[s]):
            look: dict[str, Any] = {"weight": "bold"} if mtd == str(level + 1) else {"color": FAINT}
            turned = {"rotation": 90} if grid.rates.turned else {}
            write(ax, first_level + level, rates, text, va="center", size=_SIZE, in_layout=False, **look, **turned)
        for d in range(designs):
            y = top + grid.head + (d + 0.5) * grid.row
            places[y] = (names[d], "normal")
            for k in range(columns):
                at, x = (d, s, k), float(k)
                upper = y + (_LINE - grid.pitch / 2 if grid.text and not grid.number else -grid.bar / 2)
                shapes[_look(k - first_level + 1, mtd)].append((x, upper, grid.longest * bars.length[at], grid.bar))
                if bars.dark is not None:
                    shapes["dark"].append((x, upper + grid.bar * 0.55, grid.longest * bars.dark[at], grid.bar * 0.45))
                _number(ax, x, y, upper + grid.bar / 2, bars, at, grid)
    if not grid.number:
        ax.vlines(np.arange(columns), 0, grid.height(designs, scenarios), color=RULE, lw=0.4)
    for name, corners in shapes.items():
        boxes(ax, corners, **_LOOKS[name])
    ax.set_xlim(0, columns)
    ax.set_ylim(grid.height(designs, scenarios), 0)
    _gutter(ax, places)
    heads = {
        _("level"): [*[_("none")] * first_level, *(str(dose) for dose in oc["dose"].values)],
        _("dose"): [*[""] * first_level, *map(dose_text, oc["dose_amount"].values)],
    }
    rows(ax, np.arange(columns), heads, dose_label(oc["dose_amount"].attrs["units"]), above=True, align=0.0)
    rates = "" if grid.rates.explained else _("Beside or below a scenario: its true DLT rates in percent; * true MTD.")
    width = "" if grid.number else _("A bar as wide as its column is {full}.").format(full=bars.full)
    notes(ax, rates, width, _method(oc))


def _gutter(ax: Axes, places: dict[float, tuple[str, str]]) -> None:
    """Write the names on the left, each at its height."""
    ticks(ax, "y", list(places), [name for name, _weight in places.values()], size=_SIZE)
    labels: Any = ax.get_yticklabels()
    for label, (_name, weight) in zip(labels, places.values(), strict=True):
        label.set_weight(weight)
    tall = room(ax)[1]
    ax.set_ylabel(_("Design, by scenario") if tall > 90 else _("Design"))
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.set_xticks([])


def _scenario_title(ax: Axes, text: str, left: float, y: float) -> None:
    """Write the name of a scenario over the whole width."""
    where: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "annotation_clip": False}
    ax.annotate(text, (0, y), (-left - 5, 0), va="center", size=_SIZE, weight="bold", parse_math=False, in_layout=False, **where)


def _number(ax: Axes, x: float, y: float, middle: float, bars: _Bars, at: _Place, grid: _Grid) -> None:
    """Write the number of a bar beside or above it, and draw its standard error."""
    end = length = grid.longest * float(bars.length[at])
    if bars.error is not None:
        error = grid.longest * float(bars.error[at])
        low = max(0.0, length - error)
        ax.plot([x + low, x + end + error], [middle] * 2, color=INK, lw=0.8, marker="|", ms=min(3.5, grid.bar), mew=0.8)
        end += error + 2 / grid.column
    if grid.text and grid.number:
        write(ax, x + end + 2 / grid.column, y, grid.text(at), va="center", size=_SIZE, in_layout=False)
    elif grid.text:
        write(ax, x, y - grid.pitch / 2 + _LINE / 2, grid.text(at), va="center", size=_SIZE, in_layout=False)


# Looks of bars: of the true MTD, above it, below it or none; and of the dark part of a bar, which is drawn last.
_LOOKS: dict[str, dict[str, Any]] = {
    "true": {"facecolor": BLUE, "lw": 0.0},
    "above": TOO_TOXIC,
    "below": {"facecolor": SKY, "lw": 0.0},
    "dark": {"facecolor": INK, "lw": 0.0},
}


def _look(level: int, mtd: str) -> str:
    """Return the look of the bar of a level (0: none) where the true MTD is ``mtd``."""
    if str(level) == mtd or (level == 0 and mtd == "none"):
        return "true"
    return "above" if level > (0 if mtd == "none" else int(mtd)) else "below"


def _handles(*looks: str) -> list[Any]:
    from matplotlib.patches import Patch

    return [Patch(**_LOOKS[look]) for look in looks]


def _comparison(oc: Any, *names: str) -> xr.Dataset:
    import xarray as xr

    from ..results import restored

    if not isinstance(oc, xr.Dataset) or any(name not in oc for name in (*names, "p_true", "true_mtd", "dose_amount")):
        raise InputError(Problem("comparison", type(oc).__name__, "must be what dosefind.compare returned"))
    return restored(oc)


def _errors(oc: xr.Dataset, name: str, dim: str) -> np.ndarray | None:
    """Return Monte Carlo standard errors, where there are any."""
    return oc[f"{name}_se"].transpose("design", "scenario", dim).values if f"{name}_se" in oc else None


def _selected(design: str, shares: np.ndarray, choices: list[str], errors: np.ndarray | None) -> str:
    plus = ["" if errors is None else f" \u00b1 {100 * error:.1g}%" for error in (shares if errors is None else errors)]
    words = {choice: _("none in {share}") if choice == "none" else _("level {level} in {share}") for choice in choices}
    each = [
        words[choice].format(level=choice, share=f"{percent(p)}{e}") for choice, p, e in zip(choices, shares, plus, strict=True)
    ]
    return _("{design} selects {choices}").format(design=design, choices=listed(each))


def _sentences(oc: xr.Dataset, words: Callable[[str, int, int], str]) -> list[str]:
    """Return a sentence for each scenario, and one for its designs."""
    found = []
    for s, scenario in enumerate(oc["scenario"].values):
        true = listed([f"{100 * p:.3g}%" for p in oc["p_true"].values[s]])
        mtd = str(oc["true_mtd"].values[s])
        if mtd == "none":
            sentence = _("Scenario {scenario}, with true DLT rates of {rates}, where no dose is the MTD: {designs}.")
        else:
            sentence = _("Scenario {scenario}, with true DLT rates of {rates}, where level {level} is the MTD: {designs}.")
        parts = [words(spoken(design), d, s) for d, design in enumerate(oc["design"].values)]
        found.append(sentence.format(scenario=spoken(scenario), rates=true, level=mtd, designs="; ".join(parts)))
    return found


def _method(oc: xr.Dataset) -> str:
    if oc.attrs.get("method") != "simulated":
        return _("Results are exact.")
    return counted(
        "Results of {n} simulated trial per scenario; lines at the ends of bars: \u00b1 one standard error.",
        "Results of {n} simulated trials per scenario; lines at the ends of bars: \u00b1 one standard error.",
        oc.attrs["n_trials"],
    )
