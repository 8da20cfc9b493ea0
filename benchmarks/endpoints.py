"""How long do the endpoints of a trial take, from the files to the tables, and their annex in a report?

A synthetic trial under the config of NCT05948982, with all patients that it may have, its 48 measures and every visit, is read as a
long table and as SDTM, and summarized; then the section of the report is made with its charts, and rendered as HTML, PDF and Word.
Seconds are the median of the runs, by the clock and by the processor. The goals are five seconds from the files to the tables, and
fifteen for the section in the three formats.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from benchmarks.measure import timed
from benchmarks.picture import Line, Panel, lines
from benchmarks.study import Study, circumstances
from dosefind import EndpointSummary, load_trial, read_measurements, read_patients, summarize_endpoints, synthesize

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CONFIG = Path(__file__).parents[1] / "configs" / "nct05948982.toml"
# From files to tables, and for the section of a report, in seconds.
TABLES, SECTION = 5.0, 15.0


def annex(found: EndpointSummary) -> int:
    """Make the section of a report in three formats; return its bytes."""
    from dosefind.show.content import Definitions, Document, text
    from dosefind.show.pages.endpoints import Shown
    from dosefind.show.pages.pieces import labels
    from dosefind.show.report import Report

    section = Shown(found).section()
    made = Document(text("Endpoints"), (), "en", found.attrs["as_of"], Definitions(()), (section,), labels())
    report = Report.of(made)
    return len(report.html()) + len(report.pdf()) + len(report.docx())


def rows(options: argparse.Namespace, progress: Console) -> Iterator[dict[str, Any]]:
    trial = load_trial(CONFIG)
    made = synthesize(trial, "none toxic", design="3+3" if options.quick else "crm", seed=4, endpoints=True, dropout=0.05)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made.write(folder)

        def summarized(data: str, measurements: str, events: str | None) -> EndpointSummary:
            patients = read_patients(folder / data, trial.protocol, events=None if events is None else folder / events)
            return summarize_endpoints(trial, patients, read_measurements(folder / measurements, patients, trial.protocol))

        tasks: dict[str, tuple[Callable[[], Any], float]] = {
            "long table": (lambda: summarized("patients.csv", "measurements.csv", "events.csv"), TABLES),
            "SDTM, CSV": (lambda: summarized("sdtm-csv", "sdtm-csv", None), TABLES),
            "SDTM, XPT": (lambda: summarized("sdtm-xpt", "sdtm-xpt", None), TABLES),
        }
        found = None
        for task, (run, goal) in tasks.items():
            with progress.status(task):
                found, runs = timed(run, 3)
            counted = {"rows": found.attrs["rows"], "patients": found.treated[0], "measures": len(found.endpoints.measures)}
            yield {"name": task, "status": "done", "goal": goal, **counted, **runs.record()}
        assert found is not None
        with progress.status("section"):
            size, runs = timed(lambda: annex(found), 1 if options.quick else 3)
        yield {"name": "section of the report", "status": "done", "goal": SECTION, "bytes": size, **runs.record()}


def show(console: Console, rows: list[dict[str, Any]]) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("from", "rows", "patients", "measures", "seconds", "of the processor", "to be at most"):
        table.add_column(heading, justify="left" if heading == "from" else "right")
    for row in rows:
        counts = (f"{row[name]:,}" if name in row else "" for name in ("rows", "patients", "measures"))
        table.add_row(row["name"], *counts, f"{row['seconds']:.2f}", f"{row['cpu_seconds']:.2f}", f"{row['goal']:g}")
    console.print(table)


def goals(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "text": f"{row['name']}: {row['seconds']:.2f} s, to be at most {row['goal']:g} s",
            "reached": row["seconds"] <= row["goal"],
        }
        for row in rows
    ]


def draw(content: Mapping[str, Any]) -> Axes:
    """Seconds of each way."""
    each = [Line("from files to tables, and the section", row["name"], row) for row in content["rows"]]
    panel = Panel("Seconds", "median of the runs; grey: to be reached", "seconds", bound="goal")
    return lines(content["question"], circumstances(content), each, (panel,))


STUDY = Study(
    __file__,
    __doc__,
    quick="nine patients or more in place of eighteen, one run of the section",
    rows=rows,
    show=show,
    draw=draw,
    goals=goals,
    figures={"seconds": "less", "cpu_seconds": "less"},
)

if __name__ == "__main__":
    raise SystemExit(STUDY.main())
