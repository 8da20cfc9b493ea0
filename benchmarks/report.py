"""How long does a report take from the shell, and where do the seconds go?

``python -m benchmarks.report`` makes both reports of both shipped protocols, the conduct report on a shipped example: from the
shell as HTML and in all three formats, then stage by stage in a process that imports everything anew. It prints the seconds of
the imports, of the computation, of drawing the figures and of each renderer, with the sizes of the files, and saves them as
JSON with machine, versions and load. Figures are drawn while the content is made; they become SVG once for HTML and PDF, and
PNG within Word. The goals are 5 seconds to HTML from the shell, 12 seconds to all three formats, and 1.5 MB of HTML; a missed
goal is printed, never an error.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.measure import in_child, load_average, machine
from dosefind import InputError
from dosefind.provenance import refuse_to_overwrite, versions, write_whole

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
        import dosefind.reports.conduct_report
        import dosefind.reports.design_report

        assert all((docx, jinja2, matplotlib.backends, pandas, typst, xarray, dosefind.config, dosefind.reports))

    clocked("imports", imports)()
    from dosefind import load_protocol, plots, read_patients, report
    from dosefind.reports.content import Figure

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
        "report": f"{name}, {kind}",
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


def shown(lines: list[dict[str, Any]]) -> Table:
    table = Table(title="seconds", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for heading in ("report", *STAGES, "HTML, shell", "all, shell", "MB of HTML, PDF, Word", "goals"):
        table.add_column(heading, justify="left" if heading in ("report", "goals") else "right")
    for line in lines:
        sizes = ", ".join(f"{size:.2f}" for size in line["megabytes"].values())
        missed = [name for name, ok in reached(line).items() if not ok]
        table.add_row(
            line["report"],
            *(f"{line[stage]:.2f}" for stage in STAGES),
            *(f"{line[end]:.1f}" for end in ("to_html", "to_all")),
            sizes,
            f"MISSED: {', '.join(missed)}" if missed else "reached",
        )
    return table


def reached(line: dict[str, Any]) -> dict[str, bool]:
    size = line["megabytes"]["html"] <= LARGEST
    return {"HTML": line["to_html"] <= GOALS["html"], "all": line["to_all"] <= GOALS["all"], "size": size}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("report.json"), metavar="FILE.json", help="default: %(default)s")
    parser.add_argument("--force", action="store_true", help="overwrite the file if it is there")
    options = parser.parse_args()
    try:
        refuse_to_overwrite(options.out.parent, [options.out.name], options.force)
    except InputError as error:
        parser.error(str(error))
    return options


def main() -> None:
    options = arguments()
    console = Console(width=None if sys.stdout.isatty() else 160)
    load = load_average()
    lines = [in_child(measured, name, kind, fresh=True) for name in EXAMPLES for kind in ("design", "conduct")]
    console.print(shown(lines), "")
    stamp = machine() | {"load_average_at_start": load, "load_average_at_end": load_average()}
    console.print(f"{stamp['cpu']}, {stamp['cores']} cores, load {load[0]} to {stamp['load_average_at_end'][0]}")
    text = json.dumps({"machine": stamp, "versions": versions(), "goals": GOALS, "rows": lines}, indent=1) + "\n"
    write_whole(options.out.parent, {options.out.name: lambda path: path.write_text(text, encoding="utf-8")})
    console.print(f"saved {options.out}")


if __name__ == "__main__":
    main()
