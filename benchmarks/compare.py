"""What has changed between two results of one study, and is it more than noise?

``python -m benchmarks compare OLD.json NEW.json`` prints every figure that both files have with its ratio, new to old, what else
differs (machine, load, versions, settings), and which rows only one of them has.

The rule
    Where both files hold the runs of a figure, these are ranked together. The ranks of one file's runs are held against all ways
    to share them out: the exact two-sided test of Wilcoxon, Mann and Whitney. A ratio exceeds the noise if ranks so far apart
    have a probability of at most 1% where nothing has changed. So of 100 figures that have not changed about one is called
    changed, and the last line says how many to expect. Five runs against five can show it, if none of one file lies among those of
    the other; fewer cannot, whatever the ratio, and the row says so. Figures of one row are not independent: seconds and fits a
    second are the same runs.

    The test sees how runs of one file scatter, not what moves all of them: another load, a throttled processor. For this, every
    study times a fixed piece of work between its rows, the yardstick. A figure in seconds, or in so many a second, exceeds the
    noise only if the test finds the same with the new runs put right by the yardstick's ratio. That is only a correction: under
    load some things are slowed down more than others, and the runs of one figure are made one after another, so two results of the
    same code differ more often than in one of 100. Compare such two to see by how much, and believe results of a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.study import circumstances
from dosefind import InputError

__all__ = ["Change", "changes", "differences", "main", "read"]

LEVEL = 0.01
# What every result of a study has, and of what kind it is.
KINDS: dict[str, type] = dict.fromkeys(("machine", "versions", "settings", "yardstick", "figures"), dict) | {
    "study": str,
    "rows": list,
}


@dataclass(frozen=True)
class Change:
    """A figure in two results.

    Attributes
    ----------
    row, figure, better
        Its row, its name, and what is better: "less" or "more".
    old, new, runs
        Its values, and all runs where they are known.
    machine
        What the ratio would be if only the machine had changed.
    """

    row: str
    figure: str
    better: str
    old: float
    new: float
    runs: tuple[list[float], list[float]] | None
    machine: float = 1.0

    @property
    def ratio(self) -> float:
        """New to old; not a number from 0."""
        return 1.0 if self.old == self.new else self.new / self.old if self.old else math.nan

    @property
    def chance(self) -> float | None:
        """How probable ranks so far apart are where nothing has changed; none without enough runs."""
        if self.runs is None or 2 / math.comb(sum(map(len, self.runs)), len(self.runs[0])) > LEVEL:
            return None
        from scipy.stats import mannwhitneyu

        old, new = self.runs
        side = "less" if self.new < self.old else "greater"
        put_right = [one / self.machine for one in new]
        # Twice the larger of two one-sided: both tests have to find the same. Equal values, which readings of a clock hardly
        # have, are counted against a difference.
        each = [float(mannwhitneyu(some, old, alternative=side, method="exact").pvalue) for some in (new, put_right)]
        return min(1.0, 2 * max(each))

    @property
    def exceeds(self) -> bool:
        """Whether the ratio exceeds the noise."""
        return self.chance is not None and self.chance <= LEVEL

    @property
    def verdict(self) -> str:
        if f"{self.ratio:.3g}" == "1" and self.chance is None:
            return "equal"
        word = "better" if (self.new < self.old) == (self.better == "less") else "worse"
        if self.runs is None:
            return f"{word}, or noise (measured once)"
        if self.chance is None:
            return f"{word}, too few runs ({len(self.runs[0])}, {len(self.runs[1])})"
        p = f"p = {self.chance:.2g}"
        return f"{word.upper()}, beyond the noise ({p})" if self.exceeds else f"within the noise ({p})"


def read(path: Path) -> dict[str, Any]:
    """The result of a study."""
    source = str(path)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(error.strerror or "cannot be read", source=source) from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"is no JSON: {error}", source=source) from None
    said = "is no result of a study: `python -m benchmarks STUDY` writes one as STUDY.json"
    if not isinstance(found, dict):
        raise InputError(said, source=source)
    for key, kind in KINDS.items():
        if not isinstance(found.get(key), kind):
            raise InputError(f"{said}; this has no {key!r} of the kind that they have", source=source)
    try:
        circumstances(found)
        slowness(found, found)
    except (KeyError, IndexError, TypeError, ZeroDivisionError):
        raise InputError(f"{said}; this does not say on which machine, or under what load", source=source) from None
    if not all(isinstance(row, dict) and isinstance(row.get("name"), str) for row in found["rows"]):
        raise InputError(f"{said}; this has a row without a name", source=source)
    return found


def figures(row: Mapping[str, Any], wanted: Mapping[str, str]) -> Iterator[tuple[str, str, float, list[float] | None]]:
    """Of a row and the tables in it: the path of each wanted figure, its name, its value, and its runs where they are known."""
    runs = row.get("runs")
    for key, value in row.items():
        if isinstance(value, Mapping) and key != "runs":
            for path, name, number, each in figures(value, wanted):
                yield f"{key}: {path}", name, number, each
        elif key in wanted and isinstance(value, int | float) and not isinstance(value, bool):
            each = runs.get(key) if isinstance(runs, Mapping) else None
            known = isinstance(each, list) and each and all(isinstance(one, int | float) for one in each)
            yield key, key, float(value), each if known else None


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """Every figure that two results share, in the order of the new one."""
    if old["study"] != new["study"]:
        raise InputError(f"two results of one study are compared; these are of {old['study']!r} and {new['study']!r}")
    wanted = {key: better for key, better in new["figures"].items() if key in old["figures"]}
    before = {row["name"]: {path: (value, runs) for path, _, value, runs in figures(row, wanted)} for row in old["rows"]}
    found, slower = [], slowness(old, new)
    for row in new["rows"]:
        for path, name, value, runs in figures(row, wanted):
            if path in before.get(row["name"], {}):
                value_before, runs_before = before[row["name"]][path]
                both = (runs_before, runs) if runs_before and runs else None
                machine = 1.0
                if "second" in name:
                    machine = slower["cpu_seconds" if "cpu" in name else "seconds"] ** (1 if wanted[name] == "less" else -1)
                found.append(Change(row["name"], path.replace("_", " "), wanted[name], value_before, value, both, machine))
    return found


def slowness(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, float]:
    """How many times as long the same work took when the new result was made, by the clock and by the processor."""
    return {key: new["yardstick"][key] / old["yardstick"][key] for key in ("seconds", "cpu_seconds")}


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What differs between two results besides their figures, as lines."""
    found = []
    for part in ("machine", "versions", "settings"):
        keys = [key for key in {**old[part], **new[part]} if not key.startswith("load_average")]
        found += [
            f"{part}, {key.replace('_', ' ')}: {_said(old[part], key)} -> {_said(new[part], key)}"
            for key in keys
            if old[part].get(key) != new[part].get(key)
        ]
    for one, other, words in ((old, new, "the old"), (new, old, "the new")):
        names = {row["name"] for row in other["rows"]}
        only = [row["name"] for row in one["rows"] if row["name"] not in names]
        if only:
            found.append(f"rows in {words} file only: {', '.join(only)}")
    return found


def _said(part: Mapping[str, Any], key: str) -> str:
    return "none" if part.get(key) is None else str(part[key])


def show(console: Console, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Print what has changed."""
    found = changes(old, new)
    for words, one in (("old", old), ("new", new)):
        console.print(f"{words}: {circumstances(one)}", soft_wrap=True)
    for line in differences(old, new) or ["same machine, versions and settings"]:
        console.print(line, soft_wrap=True)
    slower = slowness(old, new)
    text = f"The yardstick, a fixed piece of work, took {slower['seconds']:.3g} times as long"
    console.print(f"{text} in the new one, and {slower['cpu_seconds']:.3g} times of the processor's time.", soft_wrap=True)
    console.print("Put right: the ratio that would be left if all that takes time were as much slower or faster.", soft_wrap=True)
    console.print()
    if not found:
        console.print("The two files have no figure in common.")
        return
    console.print(f"{new['study']}: {new.get('question', '')}", soft_wrap=True)
    table = Table(box=None, padding=(0, 2, 0, 0))
    numbers = ("old", "new", "ratio", "put right")
    for heading in ("row", "figure", *numbers, ""):
        table.add_column(heading, justify="right" if heading in numbers else "left", overflow="fold")
    row = None
    # What has changed comes first.
    for one in sorted(found, key=lambda one: not one.exceeds):
        ratios = ["from 0"] * 2 if math.isnan(one.ratio) else [f"{one.ratio:.3g}", f"{one.ratio / one.machine:.3g}"]
        table.add_row(one.row if one.row != row else "", one.figure, f"{one.old:.4g}", f"{one.new:.4g}", *ratios, one.verdict)
        row = one.row
    console.print(table)
    for line in closing(found):
        console.print(line, soft_wrap=True)


def closing(found: Sequence[Change]) -> list[str]:
    """What the table amounts to."""
    tested, moved = [one for one in found if one.chance is not None], [one for one in found if one.exceeds]
    worse = sum("WORSE" in one.verdict for one in moved)
    return [
        f"{len(moved)} of {len(tested)} ratios with enough runs exceed the noise: {worse} worse, {len(moved) - worse} better. "
        f"If the machine had been equally fast throughout, chance alone would call at most {LEVEL:.0%} of them so: about "
        f"{LEVEL * len(tested):.1f} here. It hardly ever is: two results of the same code differ in more of them, up to a third of "
        "those of the shortest runs. Believe what repeats: make both results again, and compare those.",
        "Seconds and so many a second are the same runs. `python -m benchmarks compare --help` states the rule, and what it does "
        "not see.",
    ]


def main(words: Sequence[str] | None = None) -> int:
    look = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m benchmarks compare", description=__doc__, formatter_class=look)
    for name in ("old", "new"):
        parser.add_argument(name, type=Path, metavar=f"{name.upper()}.json")
    options = parser.parse_args(words)
    console = Console(width=None if sys.stdout.isatty() else 140, markup=False, highlight=False)
    try:
        show(console, read(options.old), read(options.new))
    except InputError as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
