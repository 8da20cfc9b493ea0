"""What do designs for a course of infusions cost and select if the hazard is early, even, late or sensitising?

NCT05948982 (three infusions, 84 days) with DLT rates of 10%, 25% and 40% per course, so that the middle dose is the MTD, and two
candidates per 28 days. The 3+3, BOIN, rolling six and BLRM read complete courses; the BLRM of a course reads parts of them, also if
its dose groups may overlap. Every figure has its Monte Carlo standard error, 0 where the selection is exact.

Borrowing
    The posterior of the committee's example (examples/nct05948982/course) that borrows from NCT05962762, one infusion and nine
    patients without a DLT: by windows, per infusion, with parts of courses, and by cumulative dose.

Without --quick the rows are also stored in benchmarks/results/course_designs.json, from where the documentation takes its tables.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

import dosefind as dsf
from benchmarks.picture import Line, Panel, lines
from benchmarks.study import Study, circumstances
from dosefind.evaluability import evaluate
from dosefind.protocol import Protocol
from dosefind.provenance import sampler_versions, versions, write_whole

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["STUDY", "borrowing_table", "hazard_table", "stored"]

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results" / "course_designs.json"
SEED, TRIALS, QUICK_TRIALS, PER_28_DAYS, SCENARIO = 1, 2000, 20, 2.0, "middle is MTD"
# Of each of four chains.
DRAWS = 4000
PATTERNS: dict[str, dict[str, Any]] = {
    "early": {"pattern": "early"},
    "even": {"pattern": "even"},
    "late": {"pattern": "late"},
    "sensitising": {"pattern": "sensitising", "factor": 2.0},
}
HAZARD = {"mean": [-3.349, 0.0], "sd": [2.0, 1.0]}
DESIGNS: dict[str, dict[str, Any]] = {
    "3+3": {"kind": "3+3"},
    "BOIN": {"kind": "boin"},
    "rolling-6": {"kind": "rolling-6"},
    "BLRM": {"kind": "blrm", "prior": {"mean": [-2.2, 0.0], "sd": [2.0, 1.0]}},
    "BLRM-course": {"kind": "blrm-course", "prior": HAZARD},
    "TITE-BOIN": {"kind": "tite-boin"},
    "TITE-CRM": {"kind": "tite-crm", "skeleton": {"halfwidth": 0.05, "mtd_level": 2}},
}
# Those that gain time if dose groups may overlap, which is shown too.
OVERLAPPING = ("BLRM-course", "TITE-BOIN", "TITE-CRM")
FIGURES = {
    "correct": "true MTD, %",
    "none": "no MTD, %",
    "overdose": "overdose, %",
    "n": "patients",
    "dlts": "DLTs",
    "above": "above the MTD",
    "days": "days",
    "with_pending": "pending decisions",
    "bold": "too bold",
    "cautious": "too cautious",
}
OTHER, OUTCOMES = "NCT05962762", "1NNN 2NNN 3NNN"
BORROWED: dict[str, dict[str, Any]] = {
    "windows": {"pooled": "windows"},
    "infusions": {"pooled": "infusions"},
    "infusions, parts of courses": {"pooled": "infusions"},
    "cumulative, parts of courses": {"pooled": "infusions", "dose": "cumulative", "reference": 9.0},
}


def trial(pattern: Mapping[str, Any], designs: Mapping[str, Any] = DESIGNS) -> dsf.Trial:
    """NCT05948982 with these designs and this hazard of the infusions."""
    table = dsf.load_trial(ROOT / "configs" / "nct05948982.toml").protocol.model_dump(exclude_unset=True)
    curves = {"hazard": {"kind": "hazard", "prior": HAZARD}}
    changed = {"assumed": {}, "binding": None, "designs": designs, "curves": curves, "onset": {"kind": "per-infusion", **pattern}}
    return dsf.Trial.of(Protocol.read({key: value for key, value in (table | changed).items() if key != "borrowing"}))


def of_designs(pattern: str, n_trials: int, designs: Mapping[str, Any] = DESIGNS) -> Iterator[dict[str, Any]]:
    """The figures of every design under one hazard, each with its Monte Carlo standard error."""
    given = {"n_trials": n_trials, "seed": SEED, "per_28_days": [PER_28_DAYS], "scenarios": [SCENARIO]}
    made = dsf.calendar(trial(PATTERNS[pattern], designs), **given)
    for design in designs:
        overlaps = ("as written", "if allowed") if design in OVERLAPPING else ("as written",)
        for overlap in overlaps:
            found = made.sel(overlap=overlap, design=design).isel(accrual=0, scenario=0)
            figures = {}
            for suffix in ("", "_se"):
                selected, n, dlts = (found[f"{name}{suffix}"].values for name in ("selected", "patients", "dlts"))
                each = {name: float(found[f"{name}{suffix}"]) for name in ("correct", "days", "with_pending", "bold", "cautious")}
                each |= {"n": float(found[f"mean_n{suffix}"]), "none": float(selected[0]), "above": float(n[2])}
                # DLTs of different doses are not independent: an upper bound of the error.
                each |= {"dlts": float(dlts.sum()), "overdose": float(found[f"overdose_selected{suffix}"])}
                figures |= {f"{name}{suffix}": value for name, value in each.items()}
            name = design if overlap == "as written" else f"{design}, overlap"
            yield {"name": f"{pattern}/{name}", "status": "done", "n_trials": n_trials} | figures


def of_borrowing(kind: str) -> dict[str, Any]:
    """The DLT rate of the course and P(overdose) by dose, with Monte Carlo standard errors."""
    folder = ROOT / "examples" / "nct05948982" / "course"
    table = dsf.load_protocol(ROOT / "configs" / "nct05948982.toml").borrowing | BORROWED[kind]
    protocol = dsf.load_protocol(folder / "trial.toml").model_copy(update={"borrowing": table})
    people = dsf.read_patients(folder / "patients.csv", protocol, events=folder / "events.csv")
    evaluated = evaluate(people, protocol)
    given: dict[str, Any] = {"courses": evaluated.courses} if "parts" in kind else {}
    given |= {"borrow": {OTHER: OUTCOMES}, "predicts": False, "draws": DRAWS, "seed": SEED}
    found = dsf.analyze(protocol, evaluated.cohorts(), **given).summary
    values = {name: found[name].values.tolist() for name in ("mean", "mean_se", "p_over", "p_over_se")}
    return {"name": f"borrowing/{kind}", "status": "done", "problems": found.attrs["problems"]} | values


def rows(options: argparse.Namespace, progress: Console) -> Iterator[dict[str, Any]]:
    if options.quick:
        for pattern in PATTERNS:
            yield from of_designs(pattern, QUICK_TRIALS)
        return
    found = []
    for row in chain(*(of_designs(pattern, TRIALS) for pattern in PATTERNS), map(of_borrowing, BORROWED)):
        found.append(row)
        yield row
    content = {"study": STUDY.name, "seed": SEED, "versions": versions() | sampler_versions(), "rows": found}
    text = json.dumps(content, indent=1) + "\n"
    write_whole(RESULTS.parent, {RESULTS.name: lambda path: path.write_text(text, encoding="utf-8")})


def show(console: Console, rows: list[dict[str, Any]]) -> None:
    for pattern in PATTERNS:
        if any(row["name"].startswith(f"{pattern}/") for row in rows):
            console.print(f"\n{pattern}\n{hazard_table(pattern, rows).to_string()}")
    if any(row["name"].startswith("borrowing/") for row in rows):
        console.print(f"\n{borrowing_table(rows).to_string()}")


def stored() -> list[dict[str, Any]]:
    """The rows of the stored result."""
    return json.loads(RESULTS.read_text(encoding="utf-8"))["rows"]


def hazard_table(pattern: str, rows: list[dict[str, Any]] | None = None) -> pd.DataFrame:
    """The figures of the designs under one hazard, with standard errors in parentheses; without rows those stored."""
    import pandas as pd

    table = {}
    for row in stored() if rows is None else rows:
        of_pattern, _, design = row["name"].partition("/")
        if of_pattern == pattern:
            table[design] = [_with_error(name, row[name], row[f"{name}_se"]) for name in FIGURES]
    return pd.DataFrame(table, index=list(FIGURES.values())).T


def borrowing_table(rows: list[dict[str, Any]] | None = None) -> pd.DataFrame:
    """The DLT rate of the course and P(overdose) by dose, %, with standard errors; without rows those stored."""
    import pandas as pd

    table = {}
    for row in stored() if rows is None else rows:
        kind, _, name = row["name"].partition("/")
        if kind == "borrowing":
            for quantity, label in (("mean", "DLT rate"), ("p_over", "P(overdose)")):
                pairs = zip(row[quantity], row[f"{quantity}_se"], strict=True)
                table[name, label] = [f"{100 * value:.1f} \u00b1 {100 * error:.1f}" for value, error in pairs]
    frame = pd.DataFrame(table, index=["level 1", "level 2", "level 3"]).T
    frame.index.names = ["pooled", "%"]
    return frame


def _with_error(name: str, value: float, error: float) -> str:
    """A figure with its Monte Carlo standard error, which an exact one has not."""
    percent, digits = name in ("correct", "none", "overdose"), 0 if name == "days" else 2
    times, digits = (100, 1) if percent else (1, digits)
    shown = f"{times * value:.{digits}f}"
    return f"{shown} ({times * error:.{digits}f})" if error else shown


def draw(content: Mapping[str, Any]) -> Axes:
    """Selection and duration of each design under each hazard."""
    each = [Line(*row["name"].split("/"), row) for row in content["rows"] if not row["name"].startswith("borrowing/")]
    panels = [
        Panel("True MTD selected", "share of the trials", "correct", "{:.2f}".format),
        Panel("DLTs", "per trial", "dlts", "{:.2f}".format),
        Panel("Days", "of the trial", "days", "{:,.0f}".format),
    ]
    return lines(content["question"], circumstances(content), each, panels)


STUDY = Study(
    __file__,
    __doc__,
    quick=f"{QUICK_TRIALS} trials instead of {TRIALS:,}, without borrowing",
    rows=rows,
    show=show,
    draw=draw,
    figures={"correct": "more", "overdose": "less", "dlts": "less", "days": "less"},
)

if __name__ == "__main__":
    raise SystemExit(STUDY.main())
