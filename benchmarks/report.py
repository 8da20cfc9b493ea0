"""How long does a report take from the shell, and where do the seconds go?

Both reports of both shipped protocols are made, the conduct report on a shipped example: from the shell as HTML and in all three
formats, and stage by stage in a process that imports everything anew: the imports, the computation, the figures and each
renderer. Figures are drawn while the content is made; they become SVG once for HTML and PDF, and PNG within Word. The goals are 5
seconds to HTML from the shell, 12 seconds to all three formats, and 1.5 MB of HTML. Everything is measured once.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from benchmarks.measure import ChildFailed, in_child
from benchmarks.picture import Line, Panel, lines
from benchmarks.study import Study, circumstances
from dosefind.show.report import FORMATS, can_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROOT = Path(__file__).parents[1]
EXAMPLES = {"nct05962762": "midway", "nct05948982": "complete"}
GOALS = {"html": 5.0, "all": 12.0}
LARGEST = 1.5
STAGES = ("imports", "computation", "figures", "svg", "html", "pdf", "docx")


def measured(name: str, kind: str) -> dict[str, Any]:
    """Seconds of every stage of one report; in a process that has just begun."""
    seconds = dict.fromkeys(STAGES, 0.0)

    def clocked(stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            start = time.perf_counter()
            result = function(*given, **named)
            seconds[stage] += time.perf_counter() - start
            return result

        return call

    def imports() -> None:
        import docx
        import jinja2
        import matplotlib.backends.backend_agg
        import matplotlib.backends.backend_svg
        import pandas
        import typst
        import xarray

        import dosefind.config
        import dosefind.show.pages.conduct
        import dosefind.show.pages.design

        assert all((docx, jinja2, matplotlib.backends, pandas, typst, xarray, dosefind.config, dosefind.show))

    clocked("imports", imports)()
    from dosefind import load_protocol, plots, read_patients, report
    from dosefind.show.content import Figure

    for picture in ("allocation", "curve", "decisions", "intervals", "mtd", "prior_posterior", "selection", "trial"):
        setattr(plots, picture, clocked("figures", getattr(plots, picture)))
    plots.as_svg = clocked("svg", plots.as_svg)

    def computed() -> Any:
        protocol = load_protocol(ROOT / "configs" / f"{name}.toml")
        if kind == "design":
            return report(protocol)
        patients, events = inputs(name, kind)
        return report(protocol, read_patients(patients, protocol, events=events))

    made = clocked("computation", computed)()
    seconds["computation"] -= seconds["figures"]
    files = {one: clocked(one, getattr(made, one))() for one in ("html", "pdf", "docx")}
    # The first renderer makes the SVG, which is counted by itself.
    seconds["html"] -= seconds["svg"]
    sizes = {one: len(file.encode() if isinstance(file, str) else file) / 1e6 for one, file in files.items()}
    figures = sum(isinstance(block, Figure) for section in made.sections for block in section.blocks)
    to_html, to_all = shell(name, kind, "html"), shell(name, kind, "html,pdf,docx")
    return {
        "name": f"{name}, {kind}",
        "status": "done",
        "figures": figures,
        "megabytes": sizes,
        "to_html": to_html,
        "to_all": to_all,
    } | seconds


def inputs(name: str, kind: str) -> list[Path]:
    """The tables of the patients of a conduct report, and of their adverse events."""
    folder = ROOT / "examples" / name / EXAMPLES[name]
    return [] if kind == "design" else [folder / "patients.csv", folder / "events.csv"]


def shell(name: str, kind: str, formats: str) -> float:
    """Seconds of the command, from its start to its end."""
    data = [word for option, path in zip(("--data", "--events"), inputs(name, kind), strict=False) for word in (option, str(path))]
    program = [sys.executable, "-c", "from dosefind.cli import main; main()"]
    with tempfile.TemporaryDirectory() as folder:
        given = ["report", str(ROOT / "configs" / f"{name}.toml"), *data, "--format", formats, "--out", folder]
        start = time.perf_counter()
        subprocess.run([*program, *given], check=True, capture_output=True)
        return time.perf_counter() - start


def check(options: argparse.Namespace) -> None:
    can_write(tuple(FORMATS))


def rows(options: argparse.Namespace, progress: Console) -> Iterator[dict[str, Any]]:
    for name in list(EXAMPLES)[: 1 if options.quick else None]:
        for kind in ("design", "conduct"):
            with progress.status(f"{name}, {kind}"):
                try:
                    row = in_child(measured, name, kind, fresh=True)
                except ChildFailed as failure:
                    row = {"name": f"{name}, {kind}", "status": str(failure)}
            yield row


def done(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if row["status"] == "done"]


def show(console: Console, rows: list[dict[str, Any]]) -> None:
    table = Table(title="seconds", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for heading in ("report", *STAGES, "HTML, shell", "all, shell", "MB of HTML, PDF, Word"):
        table.add_column(heading, justify="left" if heading == "report" else "right")
    for row in done(rows):
        sizes = ", ".join(f"{size:.2f}" for size in row["megabytes"].values())
        ends = (f"{row[end]:.1f}" for end in ("to_html", "to_all"))
        table.add_row(row["name"], *(f"{row[stage]:.2f}" for stage in STAGES), *ends, sizes)
    console.print(table)


def goals(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for row in done(rows):
        size = row["megabytes"]["html"]
        for words, value, bound, unit in (
            ("HTML from the shell", row["to_html"], GOALS["html"], "s"),
            ("all formats from the shell", row["to_all"], GOALS["all"], "s"),
            ("size of the HTML", size, LARGEST, "MB"),
        ):
            text = f"{row['name']}, {words}: {value:.2f} {unit}, to be at most {bound:g} {unit}"
            found.append({"text": text, "reached": value <= bound})
    return found


def draw(content: Mapping[str, Any]) -> Axes:
    """From the shell to a file, and where the seconds go."""
    each = []
    for row in content["rows"]:
        remark = None if row["status"] == "done" else row["status"]
        figures = row | {f"{name}_goal": goal for name, goal in GOALS.items()}
        each.append(Line("from the shell", row["name"], figures, remark))
    for row in done(content["rows"]):
        each += [Line(f"stages: {row['name']}", stage, {"stage": row[stage]}) for stage in STAGES]
    panels = (
        Panel("Seconds to HTML", "grey: to be reached", "to_html", "{:.1f}".format, bound="html_goal"),
        Panel("Seconds to all formats", "HTML, PDF and Word; grey: to be reached", "to_all", "{:.1f}".format, bound="all_goal"),
        Panel("Seconds of a stage", "in a process that imports everything anew", "stage"),
    )
    return lines(content["question"], circumstances(content), each, panels)


STUDY = Study(
    __file__,
    __doc__,
    quick="one protocol in place of two",
    rows=rows,
    show=show,
    draw=draw,
    goals=goals,
    figures=dict.fromkeys((*STAGES, "to_html", "to_all"), "less"),
    check=check,
    width=160,
)

if __name__ == "__main__":
    raise SystemExit(STUDY.main())
