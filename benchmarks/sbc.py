"""Is the posterior of every model and engine that of its model? Simulation-based calibration of all of them.

``python -m benchmarks.sbc`` simulates 1,000 data sets for each model, engine and layout, under a seed and again under the next, and
saves a file a case in ``benchmarks/results/sbc``; see `dosefind.calibration`. What is done is kept in a cache folder, so a run
that was interrupted goes on where it stopped. ``--only`` takes some cases, ``--quick`` a tenth of the data sets.

One layout is fixed, in the other a design assigns the patients. For each seed all quantities and layouts of a case together are
found wrong with a probability of at most 1% where nothing is. A case passes if it passes under the first seed or, failing that,
under the next; both are stored. The seed was set before the first run.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from dosefind import BLRM, CRM, BivariateNormal, InputError, Logistic, Logistic2, Power, ThreePlusThree, calibrate
from dosefind._check import one_of, whole
from dosefind.calibration.bands import excess, histogram
from dosefind.calibration.sbc import described
from dosefind.models import Exchangeable, Exnex, HierarchicalLogistic, TrialDoses
from dosefind.provenance import write_whole

SETS, SEED, LEVEL = 1000, 20261101, 0.01
RESULTS = Path(__file__).parent / "results" / "sbc"
DOSES, SKELETON = (1.0, 3.0, 5.0), (0.1, 0.2, 0.3)
PRIOR = BivariateNormal(mean=(-1.7, 0.0), sd=(1.5, 0.7), correlation=-0.3)
MIXTURE = (PRIOR.model_copy(update={"weight": 3.0}), BivariateNormal(mean=(0.0, 0.3), sd=(1.0, 0.5), correlation=0.4))
OWN = (BivariateNormal(mean=(-1.0, 0.2), sd=(1.8, 0.8)), BivariateNormal(mean=(-2.0, 0.0), sd=(1.0, 0.6), correlation=0.4))


@dataclass(frozen=True)
class Case:
    """A model, its engine, and the layouts under which it is calibrated."""

    model: Any
    engine: str
    layouts: dict[str, Any]

    def described(self) -> dict[str, Any]:
        return described(self.model, self.layouts, engine=self.engine)


def _several(rho: float | str, exnex: Exnex | None, infusions: int) -> HierarchicalLogistic:
    return HierarchicalLogistic(
        pooled="DLT over 28 days after one infusion",
        trials=(
            TrialDoses(name="AS", doses=DOSES),
            TrialDoses(name="DLC", doses=(1.0, 4.0), infusions=infusions, windows=infusions),
        ),
        reference=3.0,
        exchangeable=Exchangeable(mu=PRIOR, tau_scale=(0.6, 0.3), rho=rho),
        exnex=exnex,
    )


def _cases() -> Iterator[tuple[str, Case]]:
    fixed = (3, 6, 6)
    by_crm = {"fixed": fixed, "crm": CRM(skeleton=SKELETON, target=0.25, max_n=18)}
    by_blrm = {"fixed": fixed, "blrm": BLRM(doses=DOSES, reference=3.0, prior=PRIOR, target=0.25, interval=(0.16, 0.33), max_n=18)}
    curves = {
        "power": (Power(skeleton=SKELETON), by_crm),
        "logistic": (Logistic(skeleton=SKELETON), by_crm),
        "logistic-uniform": (Logistic(skeleton=SKELETON, uniform=(0.2, 3.0)), by_crm),
        "logistic-2": (Logistic2(doses=DOSES, reference=3.0, prior=PRIOR), by_blrm),
        "logistic-2-mixture": (Logistic2(doses=DOSES, reference=3.0, prior=MIXTURE, windows=2.0), by_blrm),
    }
    for engine in ("quadrature", "nuts"):
        for name, (curve, layouts) in curves.items():
            yield f"{name}-{engine}", Case(curve, engine, layouts)
    by_rule = {"fixed": {"AS": fixed, "DLC": (3, 6)}, "3+3": {"AS": ThreePlusThree(), "DLC": ThreePlusThree()}}
    several = {"ex": _several(0.3, None, 1), "exnex": _several("uniform", Exnex(weight=(0.5, 0.8), prior=OWN), 3)}
    for name, model in several.items():
        yield f"hierarchical-{name}-nuts", Case(model, "hierarchical-nuts", by_rule)


CASES = dict(_cases())


def run_of(found: Any) -> dict[str, Any]:
    """One seed's result as it is stored: of each quantity how far it leaves its band, and its PIT values as a histogram."""
    layouts: dict[str, Any] = {}
    for label in found.layout.values:
        layouts[str(label)] = {}
        for name in found.quantity.values:
            one = found.sel(layout=label, quantity=name)
            counts = " ".join(map(str, histogram(one.pit.to_numpy())))
            rounded = {"excess": round(float(one.excess), 6), "resolution": float(f"{float(one.resolution.max()):.2g}")}
            layouts[str(label)][str(name)] = rounded | {"histogram": counts}
    return {"seed": found.attrs["seed"], "passed": bool(found.passed.all()), "layouts": layouts}


def passes(run: dict[str, Any], level: float) -> bool:
    """Whether a stored run passes, worked out again from its histograms."""
    histograms = [one["histogram"].split() for layout in run["layouts"].values() for one in layout.values()]
    counts = np.array(histograms, int)
    return bool((excess(counts, level / len(counts)) <= 0).all())


def record(name: str, case: Case, runs: list[dict[str, Any]], n_sets: int) -> dict[str, Any]:
    """The content of a case's file."""
    said = {"case": name, "command": f"python -m benchmarks.sbc --only {name}", "n_sets": n_sets, "level": LEVEL}
    return said | case.described() | {"passed": any(run["passed"] for run in runs), "runs": runs}


def summary(stored: dict[str, Any]) -> str:
    """One line: whether a case passes, under which seeds, and its quantity nearest to its band or furthest beyond."""
    each = [
        (one["excess"], quantity, layout, run["seed"])
        for run in stored["runs"]
        for layout, quantities in run["layouts"].items()
        for quantity, one in quantities.items()
    ]
    beyond, quantity, layout, seed = max(each)
    seeds = ", ".join(f"{run['seed']} {'passes' if run['passed'] else 'FAILS'}" for run in stored["runs"])
    place = f"{quantity} in {layout}, seed {seed}: {abs(beyond):.3f} {'beyond' if beyond > 0 else 'within'} its band"
    return f"{'passed' if stored['passed'] else 'FAILED'}  {stored['case']}: {seeds}; {place}"


@contextmanager
def _workers(options: argparse.Namespace) -> Iterator[Any]:
    """Processes, or a client of a Dask cluster: of the address given, or a local one."""
    if options.dask is None:
        yield options.workers
        return
    from distributed import Client, LocalCluster

    with ExitStack() as stack:
        address = options.dask
        if not address:
            local = LocalCluster(n_workers=options.workers, threads_per_worker=1, dashboard_address=None)
            address = stack.enter_context(local)
        yield stack.enter_context(Client(address))


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sbc", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="+", default=list(CASES), metavar="CASE", help=f"of {', '.join(CASES)}")
    parser.add_argument("--sets", type=int, default=SETS, help="data sets of each layout and seed; default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="a tenth of the data sets")
    parser.add_argument("--seed", type=int, default=SEED, help="the first of two seeds; default: %(default)s")
    parser.add_argument("--workers", type=int, default=2, help="processes; default: %(default)s")
    parser.add_argument("--dask", nargs="?", const="", metavar="ADDRESS", help="a Dask cluster; without an address, a local one")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="FOLDER", help="default: %(default)s")
    parser.add_argument("--cache", type=Path, default=Path("out-sbc"), metavar="FOLDER", help="default: %(default)s")
    parser.add_argument("--force", action="store_true", help="overwrite results of more data sets")
    options = parser.parse_args(words)
    options.sets = max(20, options.sets // 10) if options.quick else options.sets
    try:
        for name in options.only:
            one_of("--only", name, CASES)
        whole("--sets", options.sets, 20)
        whole("--workers", options.workers, 1, 1000)
        larger = [name for name in options.only if (kept := stored(name, options.out)) and kept["n_sets"] > options.sets]
        if larger and not options.force:
            raise InputError(f"{options.out} has a result of more data sets for {', '.join(larger)}; --force overwrites")
    except InputError as error:
        parser.error(str(error))
    return options


def stored(name: str, folder: Path = RESULTS) -> dict[str, Any] | None:
    """The stored result of a case, if there is one."""
    path = folder / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def main(words: list[str] | None = None) -> int:
    options = arguments(words)
    console = Console(width=None if sys.stdout.isatty() else 160)
    shown = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    start, failed = time.perf_counter(), []
    with _workers(options) as workers, shown:
        everything = shown.add_task("data sets", total=sum(4 * options.sets for _ in options.only))
        for number, name in enumerate(options.only):
            case, began, runs = CASES[name], time.perf_counter(), []
            shown.update(everything, description=name)
            for turn, seed in enumerate((options.seed, options.seed + 1)):

                def step(done: int, total: int, before: int = (2 * number + turn) * 2 * options.sets) -> None:
                    shown.update(everything, completed=before + done)

                settings = {"n_sets": options.sets, "seed": seed, "level": LEVEL, "workers": workers, "cache": options.cache}
                runs.append(run_of(calibrate(case.model, case.layouts, engine=case.engine, progress=step, **settings)))
            found = record(name, case, runs, options.sets)
            text = json.dumps(found, indent=1) + "\n"
            write_whole(options.out, {f"{name}.json": lambda path, text=text: path.write_text(text, encoding="utf-8")})
            console.print(f"{summary(found)} ({time.perf_counter() - began:.0f} s)", highlight=False, soft_wrap=True)
            failed += [] if found["passed"] else [name]
    console.print(f"{len(options.only) - len(failed)} of {len(options.only)} pass; {time.perf_counter() - start:.0f} s in all")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
