"""Pictures of a comparison of designs: what each names as MTD, and whom it treats where, under each scenario."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._check import InputError, Problem
from .style import (
    BLUE,
    FAINT,
    INK,
    RULE,
    SKY,
    TOO_TOXIC,
    amount,
    boxes,
    describe,
    drawing,
    foot,
    key,
    listed,
    said,
    shown,
    title,
    unit,
    write,
)

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

__all__ = ["allocation", "selection"]

# Height of a row in mm, how many rows the heads of the columns take, and how much of a column its longest bar takes.
_ROW, _HEADS, _LONGEST = 3.8, 2.0, 0.58
# With more columns than these there is room for the shortest words only.
_BRIEF = 6


def selection(comparison: xr.Dataset, ax: Axes | None = None) -> Axes:
    """What each design names as MTD, a row a design under each scenario.

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
    shares = oc["selected"].transpose("design", "scenario", "choice").values
    heads = ["none", *(_head(oc, level) for level in range(len(choices) - 1))]
    errors = _errors(oc, "selected", "choice")
    bars = _Bars(shares, errors, lambda at: f"{100 * shares[at]:.1f}")
    with drawing(ax, _height(oc)) as ax:
        _matrix(ax, oc, bars, heads, 1)
        title(ax, f"{shown(oc.attrs['protocol'], 24)}: named as MTD, % of trials{_rates_are_true(len(heads))}", above=20)
        key(ax, _handles("true", "above", "below"), ["the true MTD", "above it", "below it, or none"])
    return describe(
        ax,
        f"What each design names as MTD, {said(oc.attrs['protocol'])}",
        *_sentences(oc, lambda d, s: _named(shares[d, s], choices, errors if errors is None else errors[d, s])),
        _simulated(oc),
    )


def allocation(comparison: xr.Dataset, ax: Axes | None = None) -> Axes:
    """How many patients each design treats at each dose, and how many of them have a DLT, under each scenario.

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
    heads = [_head(oc, level) for level in range(treated.shape[2])]
    most = max(treated.max(), 1e-9)
    errors = _errors(oc, "patients", "dose")
    brief = len(heads) > _BRIEF

    def text(at: tuple[int, int, int]) -> str:
        return f"{treated[at]:.1f}" if brief else f"{treated[at]:.1f} ({toxic[at]:.1f})"

    bars = _Bars(treated / most, None if errors is None else errors / most, text, toxic / most)
    with drawing(ax, _height(oc)) as ax:
        _matrix(ax, oc, bars, heads, 0)
        what = f"mean number of patients{'' if brief else ' (of DLTs)'}{_rates_are_true(len(heads))}"
        title(ax, f"{shown(oc.attrs['protocol'], 24)}: {what}", above=20)
        key(ax, _handles(*_LOOKS), ["at the true MTD", "above it", "below it", "of these with a DLT"])
    doses = oc["dose"].values

    def words(d: int, s: int) -> str:
        at = [f"{treated[d, s, k]:.1f} patients and {toxic[d, s, k]:.2f} DLTs at level {dose}" for k, dose in enumerate(doses)]
        return f"treats {listed(at)}"

    return describe(ax, f"Patients and DLTs at each dose, {said(oc.attrs['protocol'])}", *_sentences(oc, words), _simulated(oc))


class _Bars(NamedTuple):
    """Bars of a matrix: lengths and standard errors as shares of the longest, the text beside, a dark part within."""

    length: np.ndarray
    error: np.ndarray | None
    text: Callable[[tuple[int, int, int]], str]
    dark: np.ndarray | None = None


def _matrix(ax: Axes, oc: xr.Dataset, bars: _Bars, heads: list[str], first_level: int) -> None:
    """A bar for each design, scenario and column, the rows of a scenario below its name and its true DLT rates."""
    designs, scenarios, columns = bars.length.shape
    names = [shown(name, 20) for name in oc["design"].values]
    size = 7.5 if columns <= _BRIEF else 6.5
    true = oc["p_true"].values
    shapes: dict[str, list[tuple[float, float, float, float]]] = {look: [] for look in _LOOKS}
    for k, head in enumerate(heads):
        write(ax, k, -0.3, head, ha="left", va="bottom", size=size)
    for s, scenario in enumerate(oc["scenario"].values):
        mtd = str(oc["true_mtd"].values[s])
        top = s * (designs + 1.7)
        ax.axhline(top, color=RULE, lw=0.6)
        write(ax, -0.04, top + 0.6, shown(scenario, 24), ha="right", va="center", weight="bold", size=7.5)
        for level in range(true.shape[1]):
            mark = " = MTD" if mtd == str(level + 1) else ""
            rate = f"{100 * true[s, level]:.3g}%"
            rate = f"true {rate}{mark}" if columns <= _BRIEF else f"{rate}{'*' * bool(mark)}"
            look: dict[str, Any] = {"weight": "bold"} if mark else {"color": FAINT}
            write(ax, first_level + level, top + 0.6, rate, va="center", size=size, **look, in_layout=False)
        for d in range(designs):
            y = top + 1.6 + d
            write(ax, -0.04, y, names[d], ha="right", va="center", size=7.5)
            for k in range(columns):
                at = (d, s, k)
                shapes[_look(k - first_level + 1, mtd)].append((k, y - 0.36, _LONGEST * bars.length[at], 0.72))
                if bars.dark is not None:
                    shapes["dark"].append((k, y + 0.04, _LONGEST * bars.dark[at], 0.32))
                _bar_end(ax, k, y, bars, at, size)
    for name, corners in shapes.items():
        boxes(ax, corners, **_LOOKS[name])
    ax.set_xlim(0, columns)
    ax.set_ylim(scenarios * (designs + 1.7), -_HEADS)
    ax.set_axis_off()
    if bars.error is not None:
        foot(ax, -1, _simulated(oc))


def _bar_end(ax: Axes, x: float, y: float, bars: _Bars, at: tuple[int, int, int], size: float) -> None:
    """The text beside a bar, and its standard error."""
    end = length = _LONGEST * float(bars.length[at])
    if bars.error is not None:
        error = _LONGEST * float(bars.error[at])
        ax.plot([x + max(0.0, length - error), x + end + error], [y, y], color=INK, lw=0.8, marker="|", ms=3.5, mew=0.8)
        end += error + 0.015
    write(ax, x + end + 0.015, y, bars.text(at), va="center", size=size, in_layout=False)


# How bars look: of the true MTD, above it, below it or of none; and the dark part of a bar, which is drawn last.
_LOOKS: dict[str, dict[str, Any]] = {
    "true": {"facecolor": BLUE, "lw": 0.0},
    "above": TOO_TOXIC,
    "below": {"facecolor": SKY, "lw": 0.0},
    "dark": {"facecolor": INK, "lw": 0.0},
}


def _look(level: int, mtd: str) -> str:
    """How the bar of a level (0: none) looks where the true MTD is ``mtd``."""
    if str(level) == mtd or (level == 0 and mtd == "none"):
        return "true"
    return "above" if level > (0 if mtd == "none" else int(mtd)) else "below"


def _handles(*looks: str) -> list[Any]:
    from matplotlib.patches import Patch

    return [Patch(**_LOOKS[look]) for look in looks]


def _height(oc: xr.Dataset) -> float:
    """Height of the picture in mm."""
    return 14 + 6 * (oc.attrs.get("method") == "simulated") + _ROW * (oc.sizes["scenario"] * (oc.sizes["design"] + 1.7) + _HEADS)


def _head(oc: xr.Dataset, level: int) -> str:
    dose_unit = unit(shown(oc["dose_amount"].attrs["units"], 16)) if oc.sizes["dose"] < _BRIEF else ""
    return f"level {level + 1}\n{amount(oc['dose_amount'].values[level], dose_unit)}"


def _rates_are_true(columns: int) -> str:
    """What the rates of a scenario are, where there is no room to say so beside each."""
    return "; beside a scenario its true DLT rates, * MTD" if columns > _BRIEF else ""


def _comparison(oc: Any, *names: str) -> xr.Dataset:
    import xarray as xr

    from ..results import restored

    if not isinstance(oc, xr.Dataset) or any(name not in oc for name in (*names, "p_true", "true_mtd", "dose_amount")):
        raise InputError(Problem("comparison", type(oc).__name__, "must be what dosefind.compare returned"))
    return restored(oc)


def _errors(oc: xr.Dataset, name: str, dim: str) -> np.ndarray | None:
    """Monte Carlo standard errors, where there are any."""
    return oc[f"{name}_se"].transpose("design", "scenario", dim).values if f"{name}_se" in oc else None


def _named(shares: np.ndarray, choices: list[str], errors: np.ndarray | None) -> str:
    plus = ["" if errors is None else f" \u00b1 {100 * error:.1g}%" for error in (shares if errors is None else errors)]
    levels = [choice if choice == "none" else f"level {choice}" for choice in choices]
    return f"names {listed([f'{level} in {100 * p:.1f}%{e}' for level, p, e in zip(levels, shares, plus, strict=True)])}"


def _sentences(oc: xr.Dataset, words: Callable[[int, int], str]) -> list[str]:
    """A sentence for each scenario and design."""
    found = []
    for s, scenario in enumerate(oc["scenario"].values):
        true = listed([f"{100 * p:.3g}%" for p in oc["p_true"].values[s]])
        mtd = str(oc["true_mtd"].values[s])
        which = "no dose is the MTD" if mtd == "none" else f"level {mtd} is the MTD"
        found.append(f"Scenario {said(scenario)}, with true DLT rates of {true}, where {which}:")
        parts = [f"{said(design)} {words(d, s)}" for d, design in enumerate(oc["design"].values)]
        found.append(f"{'; '.join(parts)}.")
    return found


def _simulated(oc: xr.Dataset) -> str:
    if oc.attrs.get("method") != "simulated":
        return "The figures are exact."
    return f"The figures are of {oc.attrs['n_trials']} simulated trials a scenario; lines at the bars' ends are one standard error."
