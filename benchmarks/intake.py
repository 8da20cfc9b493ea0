"""How long does it take to read the tables of 10,000 patients, in every format, and how much memory?

A generated trial (made up from a seed, three adverse events a patient) is written as CSV, Excel, SDTM and ADaM, and each is read
with `read_patients`. Seconds are the median of five runs, by the clock and by the processor; memory is the largest that Python's
own allocations reach while the same is read again. The goal is five seconds for CSV and XPT.
"""

from __future__ import annotations

import argparse
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from benchmarks.measure import timed
from benchmarks.picture import Line, Panel, lines
from benchmarks.study import Study, circumstances
from dosefind import load_protocol, read_patients
from tests import patient_files as made

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CONFIG = Path(__file__).parents[1] / "configs" / "nct05962762.toml"
GOAL = 5.0


def inputs(folder: Path, n: int) -> dict[str, tuple[Path, Path | None]]:
    """Files of one trial, by the name of the format: the data, and the events where they have a file of their own."""
    people, events = made.trial(n, rate=3.0)
    beside = made.write_csv(folder / "events.csv", events, made.EVENTS)
    return {
        "CSV": (made.write_csv(folder / "people.csv", people), beside),
        "Excel": (made.write_xlsx(folder / "trial.xlsx", {"patients": people, "events": events}), None),
        "SDTM, CSV": (made.write_domains(folder / "sdtm-csv", made.sdtm(people, events), "csv"), None),
        "SDTM, XPT": (made.write_domains(folder / "sdtm-xpt", made.sdtm(people, events), "xpt"), None),
        "ADaM, CSV": (made.write_domains(folder / "adam-csv", made.adam(people, events), "csv"), None),
        "ADaM, XPT": (made.write_domains(folder / "adam-xpt", made.adam(people, events), "xpt"), None),
    }


def peak(function: Callable[[], Any]) -> float:
    """Largest memory of Python's allocations meanwhile, in MB."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def rows(options: argparse.Namespace, progress: Console) -> Iterator[dict[str, Any]]:
    protocol = load_protocol(CONFIG)
    with tempfile.TemporaryDirectory() as folder:
        for name, (data, events) in inputs(Path(folder), 1000 if options.quick else 10_000).items():

            def read(data: Path = data, events: Path | None = events) -> Any:
                return read_patients(data, protocol, events=events)

            with progress.status(name):
                found, runs = timed(read, 5)
                row = {"name": name, "status": "done", "rows": found.rows, "patients": len(found.patients), "peak_mb": peak(read)}
            yield row | {"goal": None if name == "Excel" else GOAL} | runs.record()


def show(console: Console, rows: list[dict[str, Any]]) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("format", "rows", "patients", "seconds", "of the processor", "MB"):
        table.add_column(heading, justify="left" if heading == "format" else "right")
    for row in rows:
        seconds = (f"{row[name]:.2f}" for name in ("seconds", "cpu_seconds"))
        table.add_row(row["name"], f"{row['rows']:,}", f"{row['patients']:,}", *seconds, f"{row['peak_mb']:.0f}")
    console.print(table)


def goals(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "text": f"{row['name']}: {row['seconds']:.2f} s, to be at most {row['goal']:g} s",
            "reached": row["seconds"] <= row["goal"],
        }
        for row in rows
        if row["goal"] is not None
    ]


def draw(content: Mapping[str, Any]) -> Axes:
    """Seconds and memory of each format."""
    each = [Line(f"{row['patients']:,} patients with a row", row["name"], row) for row in content["rows"]]
    panels = (
        Panel("Seconds", "median of five runs; grey: to be reached", "seconds", bound="goal"),
        Panel("Memory, MB", "the largest of Python's allocations", "peak_mb", "{:,.0f}".format),
    )
    return lines(content["question"], circumstances(content), each, panels)


STUDY = Study(
    __file__,
    __doc__,
    quick="1,000 subjects in place of 10,000",
    rows=rows,
    show=show,
    draw=draw,
    goals=goals,
    figures={"seconds": "less", "cpu_seconds": "less", "peak_mb": "less"},
)

if __name__ == "__main__":
    raise SystemExit(STUDY.main())
