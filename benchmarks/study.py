"""What every study does: arguments, rows as they come, goals, and a JSON file and a picture that are written whole or not at all.

A study is a file of this folder that opens with its question and sets ``STUDY``; `benchmarks.__main__` finds it by that. It gives a
function that yields rows, each with a ``name`` of its own and a ``status`` ("done", or why there are no figures), one that prints
them, one that draws them, and which figures a comparison shows, each with what is better, "less" or "more". A row may hold further
tables. Where ``runs`` stands beside figures, it has the values of each figure in every run: a comparison tells the noise by them.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from benchmarks.measure import Yardstick, load_average, machine
from dosefind import InputError
from dosefind.provenance import refuse_to_overwrite, sampler_versions, versions, write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Row", "Study", "circumstances", "question_of"]

Row = dict[str, Any]
# Packages whose version is told where they are there, besides those on which every result depends.
OTHERS = ("matplotlib", "jinja2", "openpyxl", "pyreadstat", "numba", "numpyro", "jax")


def question_of(words: str | None) -> str:
    """The question that a module's docstring opens with."""
    return " ".join((words or "").partition("?")[0].split()) + "?"


@dataclass(frozen=True)
class Study:
    """One study.

    Attributes
    ----------
    file, words
        ``__file__`` and ``__doc__`` of its module.
    quick
        What ``--quick`` does, for the help.
    rows
        From the options, and a console for progress, to the rows, one at a time.
    show
        Prints the rows that there are.
    draw
        The picture of a result's content, described in words (`dosefind.plots.style.describe`).
    figures
        Which figures of the rows a comparison shows, and what is better: "less" or "more".
    goals
        From the rows to goals, each with ``text`` and whether it is ``reached``. A missed goal is printed, never an error.
    options, check
        Adds further arguments; raises `InputError` if they are of no use, and fills in what follows from others.
    failed
        Whether the exit status is 1; unless said otherwise, where nothing was measured.
    renewed
        Whether files of an earlier run may be replaced without ``--force``, as all in them is kept elsewhere.
    kept
        What is said to be kept of a run that was interrupted.
    width
        Of the output where it does not go to a terminal.
    """

    file: str
    words: str | None
    quick: str
    rows: Callable[[argparse.Namespace, Console], Iterable[Row]]
    show: Callable[[Console, list[Row]], None]
    draw: Callable[[Mapping[str, Any]], Axes]
    figures: Mapping[str, str]
    goals: Callable[[list[Row]], list[dict[str, Any]]] = lambda rows: []
    options: Callable[[argparse.ArgumentParser], object] = lambda parser: None
    check: Callable[[argparse.Namespace], object] = lambda options: None
    failed: Callable[[list[Row]], bool] = lambda rows: not any(row["status"] == "done" for row in rows)
    renewed: bool = False
    kept: str = "nothing is saved"
    width: int = 120
    name: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", Path(self.file).stem)

    @property
    def question(self) -> str:
        return question_of(self.words)

    @property
    def files(self) -> list[str]:
        """What is saved: the picture only where there is matplotlib."""
        return [f"{self.name}.{kind}" for kind in ("json", *(("svg", "png") if find_spec("matplotlib") else ()))]

    def arguments(self, words: Sequence[str] | None = None) -> argparse.Namespace:
        """The options; whatever is wrong with them ends the process with status 2, before anything is measured."""
        look = argparse.RawDescriptionHelpFormatter
        parser = argparse.ArgumentParser(f"python -m benchmarks {self.name}", description=self.words, formatter_class=look)
        parser.add_argument("--quick", action="store_true", help=self.quick)
        parser.add_argument("--out", type=Path, default=Path(f"out-{self.name}"), metavar="FOLDER", help="default: %(default)s")
        parser.add_argument("--force", action="store_true", help="overwrite files that are there")
        self.options(parser)
        options = parser.parse_args(words)
        try:
            if options.out.suffix in (".json", ".svg", ".png"):
                raise InputError(f"--out = {options.out}: must be a folder, which gets {', '.join(self.files)}")
            self.check(options)
            refuse_to_overwrite(options.out, self.files, options.force or self.renewed)
        except InputError as error:
            parser.error(str(error))
        return options

    def main(self, words: Sequence[str] | None = None) -> int:
        """Run the study, print and save it; return the exit status."""
        options = self.arguments(words)
        console = Console(width=None if sys.stdout.isatty() else self.width, markup=False, highlight=False)
        progress = Console(stderr=True, markup=False, highlight=False)
        rows: list[Row] = []
        if len(self.files) == 1:
            progress.print(
                "there will be no picture, as matplotlib is not installed: pip install 'dosefind[plots]'", soft_wrap=True
            )
        start, load, yardstick = time.perf_counter(), load_average(), Yardstick()
        yardstick.read()
        try:
            for row in self.rows(options, progress):
                rows.append(row)
                yardstick.read()
                text = f"{time.perf_counter() - start:7.1f} s  {row['name']}: {row['status']}"
                progress.print(text, soft_wrap=True)
        except KeyboardInterrupt:
            self.show(console, rows)
            progress.print(f"interrupted: {self.kept}")
            return 130
        self.show(console, rows)
        content = self.content(options, rows, time.perf_counter() - start, load, yardstick)
        for goal in content["to_reach"]:
            console.print(f"{'reached' if goal['reached'] else 'MISSED'}  {goal['text']}")
        console.print(f"{circumstances(content)}; {content['seconds']:.0f} s in all")
        self.save(options.out, content)
        console.print(f"saved {', '.join(self.files)} in {options.out}", soft_wrap=True)
        return int(self.failed(rows))

    def content(
        self, options: argparse.Namespace, rows: list[Row], seconds: float, load: list[float], yardstick: Yardstick
    ) -> dict[str, Any]:
        """What is saved as JSON. Where the files lie is left out."""
        kept = {key: value for key, value in vars(options).items() if key != "force" and not isinstance(value, Path)}
        found = versions() | sampler_versions()
        for package in OTHERS:
            with suppress(PackageNotFoundError):
                found[package] = version(package)
        return {
            "study": self.name,
            "question": self.question,
            "machine": machine() | {"load_average_at_start": load, "load_average_at_end": load_average()},
            "versions": found,
            "settings": kept,
            "seconds": seconds,
            "yardstick": yardstick.runs.record(),
            "figures": dict(self.figures),
            "to_reach": self.goals(rows),
            "rows": rows,
        }

    def save(self, folder: Path, content: Mapping[str, Any]) -> None:
        """Write all files or none."""

        def write(path: Path) -> None:
            if path.suffix == ".json":
                path.write_text(json.dumps(finite(content), indent=1, allow_nan=False) + "\n", encoding="utf-8")
                return
            from dosefind.plots import as_png, as_svg

            if path.suffix == ".svg":
                path.write_text(as_svg(picture) + "\n", encoding="utf-8")
            else:
                path.write_bytes(as_png(picture, 150))

        picture: Any = self.draw(content) if len(self.files) > 1 else None
        write_whole(folder, dict.fromkeys(self.files, write))


def circumstances(content: Mapping[str, Any]) -> str:
    """Machine and load of a result."""
    stamp = content["machine"]
    load = f"load {stamp['load_average_at_start'][0]} to {stamp['load_average_at_end'][0]}"
    return f"{stamp['cpu']}, {stamp['cores']} cores, {load}"


def finite(value: Any) -> Any:
    """The same with null where there is no number, which JSON has no word for."""
    if isinstance(value, Mapping):
        return {key: finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
