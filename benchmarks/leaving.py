"""What do the ways to handle patients who drop out without a DLT cost, and what do they select?

NCT05962762 (one infusion, 28 days) with DLT rates of 10%, 25% and 40%, so that the middle dose is the MTD, two candidates per 28
days, uniform days to DLT, and drop-out with probability 20% by the end of the window, independently of DLTs. Patients who drop out
without a DLT are replaced; replaced and read by the model with a weight; counted without a DLT; or counted as DLTs. Designs that
count whole patients have no weights. Every design treats the same latent patients; every figure has its Monte Carlo standard error.

Without --quick the rows are also stored in benchmarks/results/leaving.json, from where the documentation takes its table.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

import dosefind as dsf
from benchmarks.picture import Line, Panel, lines
from benchmarks.study import Study, circumstances
from dosefind.provenance import versions, write_whole

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["STUDY", "handling_table", "of_handling", "stored"]

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results" / "leaving.json"
SEED, TRIALS, QUICK_TRIALS, PER_28_DAYS, SCENARIO, DROPOUT = 1, 2000, 20, 2.0, "middle is MTD", 0.2
HANDLINGS = {"not-evaluable": "replaced", "weight": "replaced, with a weight", "no-dlt": "no DLT", "dlt": "DLT"}
WHOLE = ("3+3", "boin")
MODELS: dict[str, dict[str, Any]] = {"tite-crm": {"kind": "tite-crm", "skeleton": [0.1, 0.25, 0.4]}}
FIGURES = {
    "correct": "true MTD, %",
    "overdose": "overdose, %",
    "none": "no MTD, %",
    "n": "evaluable",
    "lost": "replaced",
    "dlts": "DLTs counted",
    "days": "days",
}


def trial(handling: str, models: bool) -> dsf.Trial:
    """NCT05962762 with this handling of drop-outs: its designs with a model and TITE-CRM, or those that count whole patients."""
    table = dsf.load_trial(ROOT / "configs" / "nct05962762.toml").protocol.model_dump(exclude_unset=True)
    own = table["designs"]
    designs = MODELS | {name: own[name] for name in ("crm", "blrm")} if models else {name: own[name] for name in WHOLE}
    changed = {
        "assumed": {},
        "binding": next(iter(designs)),
        "designs": designs,
        "discontinuation": {"dropout": DROPOUT},
        "evaluability": table["evaluability"] | {"dropout": handling},
    }
    return dsf.Trial.of(dsf.Protocol.read({key: value for key, value in (table | changed).items() if key != "borrowing"}))


def of_handling(handling: str, n_trials: int, models: bool) -> Iterator[dict[str, Any]]:
    """The figures of the designs with one handling, each with its Monte Carlo standard error."""
    asked = trial(handling, models)
    made = dsf.calendar(asked, n_trials=n_trials, seed=SEED, per_28_days=[PER_28_DAYS], scenarios=[SCENARIO])
    for design in asked.designs:
        found = made.sel(overlap="as written", design=design).isel(accrual=0, scenario=0)
        figures: dict[str, float] = {}
        for suffix in ("", "_se"):
            each = {name: float(found[f"{name}{suffix}"]) for name in ("correct", "lost", "days")}
            # DLTs of different doses are not independent: an upper bound of the error.
            each |= {"dlts": float(found[f"dlts{suffix}"].sum()), "n": float(found[f"mean_n{suffix}"])}
            each |= {"none": float(found[f"selected{suffix}"][0]), "overdose": float(found[f"overdose_selected{suffix}"])}
            figures |= {f"{name}{suffix}": value for name, value in each.items()}
        yield {"name": f"{design}/{handling}", "status": "done", "n_trials": n_trials} | figures


def rows(options: argparse.Namespace, progress: Console) -> Iterator[dict[str, Any]]:
    found = []
    for handling in HANDLINGS:
        for models in (True,) if handling == "weight" else (True, False):
            for row in of_handling(handling, QUICK_TRIALS if options.quick else TRIALS, models):
                found.append(row)
                yield row
    if not options.quick:
        content = {"study": STUDY.name, "seed": SEED, "versions": versions(), "rows": found}
        text = json.dumps(content, indent=1) + "\n"
        write_whole(RESULTS.parent, {RESULTS.name: lambda path: path.write_text(text, encoding="utf-8")})


def show(console: Console, rows: list[dict[str, Any]]) -> None:
    console.print(handling_table(rows).to_string())


def stored() -> list[dict[str, Any]]:
    """The rows of the stored result."""
    return json.loads(RESULTS.read_text(encoding="utf-8"))["rows"]


def handling_table(rows: list[dict[str, Any]] | None = None) -> pd.DataFrame:
    """The figures by design and handling, with standard errors in parentheses; without rows those stored."""
    import pandas as pd

    table = {}
    for row in stored() if rows is None else rows:
        design, _, handling = row["name"].partition("/")
        table[design, HANDLINGS[handling]] = [_with_error(name, row[name], row[f"{name}_se"]) for name in FIGURES]
    order = [(design, words) for design in (*WHOLE, "crm", "blrm", *MODELS) for words in HANDLINGS.values()]
    frame = pd.DataFrame({key: table[key] for key in order if key in table}, index=list(FIGURES.values())).T
    frame.index.names = ["design", "drop-outs"]
    return frame


def _with_error(name: str, value: float, error: float) -> str:
    """A figure with its Monte Carlo standard error."""
    if name in ("correct", "overdose", "none"):
        return f"{100 * value:.1f} ({100 * error:.1f})"
    return f"{value:.0f} ({error:.0f})" if name == "days" else f"{value:.2f} ({error:.2f})"


def draw(content: Mapping[str, Any]) -> Axes:
    """Selection of each design with each handling."""
    each = [Line(*reversed(row["name"].split("/")), row) for row in content["rows"]]
    panels = [
        Panel("True MTD selected", "share of the trials", "correct", "{:.2f}".format),
        Panel("Overdose selected", "share of the trials", "overdose", "{:.2f}".format),
        Panel("Days", "of the trial", "days", "{:,.0f}".format),
    ]
    return lines(content["question"], circumstances(content), each, panels)


STUDY = Study(
    __file__,
    __doc__,
    quick=f"{QUICK_TRIALS} trials instead of {TRIALS:,}",
    rows=rows,
    show=show,
    draw=draw,
    figures={"correct": "more", "overdose": "less", "dlts": "less", "days": "less"},
)

if __name__ == "__main__":
    raise SystemExit(STUDY.main())
