"""Is the posterior of every model and engine that of its model? Simulation-based calibration of all of them.

1,000 data sets are simulated for each model, engine and layout, under a seed and again under the next, and a file a case is saved
in ``benchmarks/results/sbc``; see `dosefind.calibration`. What is done is kept in a cache folder, so a run that was interrupted
goes on where it stopped. Machine, load and seconds are in ``--out``, which each run writes anew: the results are in the files of
the cases.

One layout is fixed, in the other a design assigns the patients. For each seed all quantities and layouts of a case together are
found wrong with a probability of at most 1% where nothing is. A case passes if it passes under the first seed or, failing that,
under the next; both are stored. The seed was set before the first run.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from benchmarks.picture import Line, Panel, lines
from benchmarks.study import Study, circumstances
from dosefind import BLRM, CRM, BivariateNormal, InputError, Logistic, Logistic2, Power, ThreePlusThree, calibrate
from dosefind._check import one_of, whole
from dosefind.calibration.bands import excess, histogram
from dosefind.calibration.sbc import described
from dosefind.models import Cloglog, Exchangeable, Exnex, Hazard, HierarchicalLogistic, TrialDoses
from dosefind.posterior.mcmc import LAST_SEED
from dosefind.provenance import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SETS, SEED, LEVEL = 1000, 20261101, 0.01
# What a stored result is of: it is valid as long as none of this changes. The rest of its file is words, versions and results.
COMPARED = ("engine", "model_settings", "layout_settings", "settings", "source")
RESULTS = Path(__file__).parent / "results" / "sbc"
# What --quick runs, and how many data sets of an engine: two minutes on two cores.
QUICK = ("power-quadrature", "logistic-quadrature", "logistic-2-quadrature", "power-nuts", "logistic-2-nuts")
QUICK_SETS = {"quadrature": 100, "nuts": 20}
DOSES, SKELETON = (1.0, 3.0, 5.0), (0.1, 0.2, 0.3)
PRIOR = BivariateNormal(mean=(-1.7, 0.0), sd=(1.5, 0.7), correlation=-0.3)
STEADY = BivariateNormal(mean=(-2.8, 0.0), sd=(1.5, 0.5), correlation=-0.3)
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
        "cloglog": (Cloglog(skeleton=SKELETON), by_crm),
        "logistic-2": (Logistic2(doses=DOSES, reference=3.0, prior=PRIOR), by_blrm),
        "logistic-2-mixture": (Logistic2(doses=DOSES, reference=3.0, prior=MIXTURE, windows=2.0), by_blrm),
    }
    per_infusion = Hazard(doses=DOSES, reference=3.0, prior=STEADY, interval_days=(28, 28, 28))
    curves["hazard"] = (per_infusion, by_blrm)
    for engine in ("quadrature", "nuts"):
        for name, (curve, layouts) in curves.items():
            yield f"{name}-{engine}", Case(curve, engine, layouts)
    # Who is treated at which dose does not depend on the data here; how far each course has come is random.
    by_size = {"few": (3, 3, 3), "more": (6, 9, 9)}
    yield "hazard-courses", Case(per_infusion, "courses", by_size)
    carried = per_infusion.model_copy(update={"accumulation": "carry-over", "rho": 0.3})
    yield "hazard-carry-over-courses", Case(carried, "courses", by_size)
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
    command = f"python -m benchmarks sbc --only {name}{'' if n_sets == SETS else f' --sets {n_sets}'}"
    said = {"case": name, "command": command, "n_sets": n_sets, "level": LEVEL}
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


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", nargs="+", metavar="CASE", help=f"of {', '.join(CASES)}")
    parser.add_argument("--sets", type=int, help=f"data sets of each layout and seed; default: {SETS}")
    parser.add_argument("--seed", type=int, default=SEED, help="the first of two seeds; default: %(default)s")
    parser.add_argument("--workers", type=int, default=2, help="processes; default: %(default)s")
    parser.add_argument("--dask", nargs="?", const="", metavar="ADDRESS", help="a Dask cluster; without an address, a local one")
    parser.add_argument(
        "--results", type=Path, metavar="FOLDER", help=f"of the files of the cases; default: {RESULTS}, with --quick in --out"
    )
    parser.add_argument("--cache", type=Path, default=Path("out-sbc"), metavar="FOLDER", help="default: %(default)s")


def check(options: argparse.Namespace) -> None:
    """Raise `InputError` for what cannot be run, or would overwrite a result of more data sets; fill in the defaults."""
    options.only = options.only or list(QUICK if options.quick else CASES)
    options.results = options.results or (options.out / "cases" if options.quick else RESULTS)
    for name in options.only:
        one_of("--only", name, CASES)
    if options.sets is not None:
        whole("--sets", options.sets, 20)
    whole("--workers", options.workers, 1, 1000)
    # The second seed is the next one.
    whole("--seed", options.seed, 0, LAST_SEED - 1)
    kept = {name: found["n_sets"] for name in options.only if (found := stored(name, options.results))}
    larger = [name for name, sets in kept.items() if sets > sets_of(name, options)]
    if larger and not options.force:
        raise InputError(f"{options.results} has a result of more data sets for {', '.join(larger)}; --force overwrites")


def sets_of(name: str, options: argparse.Namespace) -> int:
    """How many data sets a case takes of each layout and seed."""
    return options.sets or (QUICK_SETS["quadrature" if name.endswith("-quadrature") else "nuts"] if options.quick else SETS)


def stored(name: str, folder: Path = RESULTS) -> dict[str, Any] | None:
    """Return the stored result of a case, if there is one.

    Raises `InputError` if the file does not hold such a result, as when it was cut short.
    """
    path = folder / f"{name}.json"
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(error.strerror or "cannot be read", source=str(path)) from None
    except ValueError as error:
        raise InputError(f"is not JSON ({error}); delete it, or run the case again elsewhere", source=str(path)) from None
    if not isinstance(found, dict) or found.get("case") != name or type(found.get("n_sets")) is not int or not found.get("runs"):
        raise InputError(f"is not a result of the case {name}: it must have case, n_sets and runs", source=str(path))
    return found


def rows(options: argparse.Namespace, progress: Console) -> Iterator[dict[str, Any]]:
    """Run and save each case."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=progress,
    )
    with _workers(options) as workers, bar:
        everything = bar.add_task("data sets", total=sum(4 * sets_of(name, options) for name in options.only))
        for name in options.only:
            case, began, runs, sets = CASES[name], time.perf_counter(), [], sets_of(name, options)
            bar.update(everything, description=name)
            before = bar.tasks[0].completed
            for turn, seed in enumerate((options.seed, options.seed + 1)):

                def step(done: int, total: int, before: float = before + 2 * turn * sets) -> None:
                    bar.update(everything, completed=before + done)

                settings = {"n_sets": sets, "seed": seed, "level": LEVEL, "workers": workers, "cache": options.cache}
                runs.append(run_of(calibrate(case.model, case.layouts, engine=case.engine, progress=step, **settings)))
            found = record(name, case, runs, sets)
            text = json.dumps(found, indent=1) + "\n"
            write_whole(options.results, {f"{name}.json": lambda path, text=text: path.write_text(text, encoding="utf-8")})
            beyond = {
                f"{end}_excess_{turn}": how(one["excess"] for layout in run["layouts"].values() for one in layout.values())
                for turn, run in enumerate(runs, 1)
                for end, how in (("least", min), ("most", max))
            }
            row = {"name": name, "status": "done", "engine": case.engine, "n_sets": sets, "passed": found["passed"]}
            yield row | {"summary": summary(found), "seconds": time.perf_counter() - began} | beyond


def show(console: Console, rows: list[dict[str, Any]]) -> None:
    for row in rows:
        console.print(f"{row['summary']} ({row['seconds']:.0f} s)", soft_wrap=True)
    console.print(f"{sum(row['passed'] for row in rows)} of {len(rows)} pass")


def draw(content: Mapping[str, Any]) -> Axes:
    """How far each case is from its bands under both seeds, and its seconds."""
    each = [
        Line(row["engine"], f"{row['name'].removesuffix('-' + row['engine'])}, {row['n_sets']:,} sets", row | {"band": 0.0})
        for row in content["rows"]
    ]
    panels = [
        Panel(
            f"Distance from the bands, seed {at}",
            "of the quantity furthest out, and down to the one furthest within; grey: the band, to the right is beyond it",
            f"most_excess_{at}",
            "{:.3f}".format,
            ends=(f"least_excess_{at}", f"most_excess_{at}"),
            bound="band",
        )
        for at in (1, 2)
    ]
    seconds = Panel("Seconds", "of both seeds, without what the cache had", "seconds", "{:,.0f}".format)
    return lines(content["question"], circumstances(content), each, [*panels, seconds])


STUDY = Study(
    __file__,
    __doc__,
    quick=f"{len(QUICK)} cases, with fewer data sets; the stored results stay",
    rows=rows,
    show=show,
    draw=draw,
    options=options,
    check=check,
    figures={"seconds": "less", "most_excess_1": "less", "most_excess_2": "less"},
    failed=lambda rows: not all(row["passed"] for row in rows),
    renewed=True,
    kept="what is done is in the cache; the same command goes on from there",
    width=160,
)

if __name__ == "__main__":
    raise SystemExit(STUDY.main())
