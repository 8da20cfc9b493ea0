"""How long does it take to read the tables of 10,000 patients, in every format, and how much memory?

``python -m benchmarks.intake`` writes a generated trial (made up from a seed, three adverse events a patient) as CSV, Excel, SDTM
and ADaM, reads each with `read_patients`, prints a table and saves it as JSON with machine, versions and load. ``--quick`` takes
1,000 subjects. Seconds are the median of three runs, or those of one run of at least a second, by the clock and by the processor;
memory is the largest that Python's own allocations reach while the same is read again. The goal is five seconds for CSV and XPT; a
missed goal is printed, never an error.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.measure import load_average, machine, timed
from dosefind import InputError, load_protocol, read_patients
from dosefind.provenance import refuse_to_overwrite, versions, write_whole
from tests import patient_files as made

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


def measure(n: int) -> list[dict[str, Any]]:
    protocol = load_protocol(CONFIG)
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for name, (data, events) in inputs(Path(folder), n).items():

            def read(data: Path = data, events: Path | None = events) -> Any:
                return read_patients(data, protocol, events=events)

            found, runs = timed(read)
            record = runs.record()
            line = {"format": name, "rows": found.rows, "patients": len(found.patients), "peak_mb": peak(read)}
            goal = {"goal": None if name == "Excel" else GOAL}
            lines.append(line | goal | record)
    return lines


def shown(n: int, lines: list[dict[str, Any]]) -> Table:
    table = Table(title=f"{n:,} subjects", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for heading in ("format", "rows", "patients", "seconds", "of the processor", "MB", "goal"):
        table.add_column(heading, justify="left" if heading == "format" else "right")
    for line in lines:
        goal = "none" if line["goal"] is None else "reached" if line["seconds"] <= line["goal"] else "MISSED"
        seconds = (f"{line[name]:.2f}" for name in ("seconds", "cpu_seconds"))
        table.add_row(line["format"], f"{line['rows']:,}", f"{line['patients']:,}", *seconds, f"{line['peak_mb']:.0f}", goal)
    return table


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.intake", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="1,000 subjects in place of 10,000")
    parser.add_argument("--out", type=Path, default=Path("intake.json"), metavar="FILE.json", help="default: %(default)s")
    parser.add_argument("--force", action="store_true", help="overwrite the file if it is there")
    options = parser.parse_args()
    try:
        refuse_to_overwrite(options.out.parent, [options.out.name], options.force)
    except InputError as error:
        parser.error(str(error))
    return options


def main() -> None:
    options = arguments()
    console = Console(width=None if sys.stdout.isatty() else 120)
    load, n = load_average(), 1000 if options.quick else 10_000
    lines = measure(n)
    console.print(shown(n, lines), "")
    stamp = machine() | {"load_average_at_start": load, "load_average_at_end": load_average()}
    console.print(f"{stamp['cpu']}, {stamp['cores']} cores, load {load[0]} to {stamp['load_average_at_end'][0]}")
    text = json.dumps({"machine": stamp, "versions": versions(), "subjects": n, "rows": lines}, indent=1) + "\n"
    write_whole(options.out.parent, {options.out.name: lambda path: path.write_text(text, encoding="utf-8")})
    console.print(f"saved {options.out}")


if __name__ == "__main__":
    main()
