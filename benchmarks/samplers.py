"""How fast are the samplers, what do they cost to compile, and are they right?

The same simulated data sets of every model are sampled with every sampler. A sampler that cannot run has a row with the reason.

Samplers
    nutpie and PyMC's own NUTS are those of the package; nutpie runs its chains side by side, PyMC one after another. NumPyro
    takes the same models through PyMC's translation to JAX and runs the chains side by side. It is here for comparison only:
    compiled once like the others, it still needs many times as long as nutpie a data set. All follow the same settings: 4
    chains of 1,000 draws after 1,000 for tuning, and the mean acceptance rate that the package asks of the model.

Data
    Trials of 6, 15 and 30 patients in turn, escalated three at a time under random DLT rates (`benchmarks.posterior`); for
    the hierarchical models two such trials at once.

How it is measured
    Each model is sampled by each sampler in a process of its own. "Compile, cold" is what building the fit takes with empty
    caches on the disk, and what the first data set takes more than the same one takes a second time, which some samplers
    use to compile; "again" is the same in the next process, with what the first left on the disk. Importing is in neither.
    "Seconds a data set" are wall-clock, until the draws are there. ESS is the smallest bulk or tail effective sample size of the
    parameters and of each dose's DLT probability, over those seconds; the median over data sets. R-hat is the largest, and
    divergences are those of all data sets. Memory is what the peak resident set grew by after the imports.

    "Worst error" is the largest distance from quadrature, in Monte Carlo standard errors, of so many figures: the means of the
    parameters and of the DLT probabilities, and the probabilities that these lie below two cut points, in each data set.
    Beside it stands what the largest of so many independent standard normal errors exceeds in one of 20 cases; figures of one
    data set hang together, and a standard error is itself an estimate. The hierarchical models have no such reference here: the
    tests hold them against an integral.
"""

from __future__ import annotations

import argparse
import importlib
import math
import os
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.special import ndtri

from benchmarks.measure import ChildFailed, in_child, peak_resident, recorded, timed
from benchmarks.picture import Line, Panel, lines
from benchmarks.posterior import DOSES, RATES, SKELETON, data_sets
from benchmarks.study import Study, circumstances
from dosefind import BivariateNormal, InputError, Logistic, Logistic2, Power
from dosefind._check import whole
from dosefind.models import Curve, Exchangeable, Exnex, HierarchicalLogistic, TrialDoses
from dosefind.posterior.exact import ExactFit, ExactPosterior
from dosefind.posterior.hierarchical import SETTINGS as HIERARCHICAL_SETTINGS
from dosefind.posterior.hierarchical import HierarchicalFit, HierarchicalPosterior
from dosefind.posterior.mcmc import LAST_SEED, SAMPLERS, NutsFit, NutsPosterior, NutsSettings, Sampler

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PATIENTS = (6, 15, 30)
SEED, SETS, QUICK_SETS, MOST_SETS = 20240607, 12, 3, 1000
# The sampler of the goals, and seconds a data set on a compiled model.
GOAL_SAMPLER, GOAL, HIERARCHICAL_GOAL = "nutpie", 0.15, 0.4
# What has to be installed for a sampler, and how.
NEEDS = {"nutpie": ("nutpie", "dosefind[nuts]"), "numpyro": ("numpyro", "numpyro")}
MIB = 2**20


class Numpyro(Sampler):
    """NUTS by NumPyro, on PyMC's model in JAX; compiled once, as the data are arguments of what is compiled."""

    name: ClassVar[str] = "numpyro"

    def __init__(self, model: Any, names: Sequence[str], settings: NutsSettings) -> None:
        # PyMC first: it gives JAX a device for each chain.
        from pymc.sampling.jax import get_jaxified_graph  # isort: skip
        import jax
        import numpyro
        from numpyro.distributions import ImproperUniform, constraints
        from numpyro.infer import MCMC, NUTS
        from pytensor.graph.replace import clone_replace

        self.free = [variable.name for variable in model.free_RVs]
        self.data = {variable.name: variable for variable in model.data_vars}
        shapes = {name: start.shape for name, start in zip(self.free, model.initial_point().values(), strict=True)}
        inputs = [variable.type() for variable in self.data.values()]

        def in_jax(outputs: list[Any]) -> Callable[..., Any]:
            with_inputs = clone_replace(outputs, replace=dict(zip(self.data.values(), inputs, strict=True)))
            return get_jaxified_graph(inputs=[*model.value_vars, *inputs], outputs=with_inputs)

        density = in_jax([model.logp()])
        wanted = in_jax(model.replace_rvs_by_values([model[name] for name in names]))

        def again(*data: Any) -> None:
            point = [numpyro.sample(name, ImproperUniform(constraints.real, (), shapes[name])) for name in self.free]
            numpyro.factor("density", density(*point, *data)[0])

        def follow(draws: list[Any], data: list[Any]) -> Any:
            return jax.vmap(jax.vmap(lambda point: wanted(*point, *data)))(draws)

        self._follow = jax.jit(follow)
        self._mcmc = lru_cache(
            lambda target_accept: MCMC(
                NUTS(again, target_accept_prob=target_accept),
                num_warmup=settings.tune,
                num_samples=settings.draws,
                num_chains=settings.chains,
                chain_method="parallel",
                progress_bar=False,
                jit_model_args=True,
            )
        )

    def sample(
        self, data: Mapping[str, np.ndarray], starts: Mapping[str, np.ndarray], seed: int, target_accept: float
    ) -> tuple[list[np.ndarray], np.ndarray]:
        import jax

        given = [np.asarray(data.get(name, variable.get_value()), variable.dtype) for name, variable in self.data.items()]
        begin = {name: np.asarray(starts[name], float) for name in self.free}
        mcmc = self._mcmc(target_accept)
        mcmc.run(jax.random.PRNGKey(seed), *given, init_params=begin, extra_fields=("diverging",))
        draws = mcmc.get_samples(group_by_chain=True)
        found = self._follow([draws[name] for name in self.free], given)
        return [np.asarray(one) for one in found], np.asarray(mcmc.get_extra_fields(group_by_chain=True)["diverging"])


# Those of dosefind, and one that only this benchmark runs: it joins the registry in the process that measures it.
TRIED = (*SAMPLERS, Numpyro.name)


# Models ---------------------------------------------------------------------------------------------------------------


class Case(ABC):
    """A model with its data sets."""

    settings: NutsSettings
    goal: float
    # Why there is nothing exact to compare with, where there is not.
    no_reference: str | None = None

    @abstractmethod
    def fit(self, sampler: str, settings: NutsSettings) -> Any:
        """What is compiled once."""

    @abstractmethod
    def data(self, count: int, seed: int) -> list[Any]:
        """So many data sets."""

    @abstractmethod
    def posterior(self, fit: Any, data: Any, seed: int) -> Any:
        """The posterior after one of them: this is what is timed."""

    @abstractmethod
    def diagnostics(self, posterior: Any) -> dict[str, Any]:
        """Those of a `DrawnPosterior`."""

    def errors(self, posterior: Any) -> dict[str, float]:
        """Distance from quadrature of each figure, in its Monte Carlo standard errors."""
        return {}


class OneCurve(Case):
    """A curve, of which quadrature gives every figure."""

    settings, goal = NutsSettings(), GOAL

    def __init__(self, curve: Curve) -> None:
        self.curve, self.exact = curve, ExactFit(curve, RATES)

    def fit(self, sampler: str, settings: NutsSettings) -> NutsFit:
        return NutsFit(self.curve, settings, sampler=sampler)

    def data(self, count: int, seed: int) -> list[Any]:
        return _in_turn([list(zip(*data_sets(patients, count, seed=seed), strict=True)) for patients in PATIENTS])

    def posterior(self, fit: NutsFit, data: Any, seed: int) -> NutsPosterior:
        return NutsPosterior(fit, *data, seed)

    def diagnostics(self, posterior: NutsPosterior) -> dict[str, Any]:
        return posterior.diagnostics()

    def errors(self, posterior: NutsPosterior) -> dict[str, float]:
        exact = ExactPosterior(self.exact, posterior.n, posterior.y)
        levels = range(1, self.curve.n_doses + 1)
        figures = {
            "mean of {}": (self.curve.parameter_names, posterior.parameters()[0], exact.parameters()[0]),
            "mean of p at level {}": (levels, posterior.moments()[0], exact.moments()[0]),
        }
        for rate in RATES:
            figures[f"P(p < {rate}) at level {{}}"] = (levels, posterior.below(rate), exact.below(rate))
        return {
            words.format(name): float(distance)
            for words, (names, ours, right) in figures.items()
            for name, distance in zip(names, np.abs(ours.value - right.value) / ours.error, strict=True)
        }


class ManyTrials(Case):
    """Trials that borrow from one another."""

    settings, goal = HIERARCHICAL_SETTINGS, HIERARCHICAL_GOAL
    no_reference = "no exact reference here"

    def __init__(self, model: HierarchicalLogistic) -> None:
        self.model = model

    def fit(self, sampler: str, settings: NutsSettings) -> HierarchicalFit:
        return HierarchicalFit(self.model, settings, sampler=sampler)

    def data(self, count: int, seed: int) -> list[Any]:
        by_patients = []
        for patients in PATIENTS:
            # The first trials' data sets are not the second's.
            drawn = [data_sets(patients, count, len(trial.doses), seed + at) for at, trial in enumerate(self.model.trials)]
            each = zip(*(zip(*one, strict=True) for one in drawn), strict=True)
            by_patients.append([dict(zip(self.model.names, one, strict=True)) for one in each])
        return _in_turn(by_patients)

    def posterior(self, fit: HierarchicalFit, data: Any, seed: int) -> HierarchicalPosterior:
        return HierarchicalPosterior(fit, data, seed)

    def diagnostics(self, posterior: HierarchicalPosterior) -> dict[str, Any]:
        found = [trial.diagnostics() for trial in posterior.trials.values()]
        least = {name: min(one[name] for one in found) for name in ("ess_bulk", "ess_tail")}
        return found[0] | least | {"rhat": max(one["rhat"] for one in found)}


def _in_turn(by_patients: list[list[Any]]) -> list[Any]:
    """The first data set of each number of patients, the second, ...: as many as there are of one number."""
    return [by_patients[at % len(by_patients)][at] for at in range(len(by_patients[0]))]


def cases() -> dict[str, Case]:
    """The models by name."""
    usual = BivariateNormal(mean=(-0.85, 0.0), sd=(1.0, 0.5))
    mixed = (usual.model_copy(update={"weight": 3.0}), BivariateNormal(mean=(1.0, 0.3), sd=(1.5, 0.7), correlation=0.3))
    spread = {"mu": BivariateNormal(mean=(-1.7, 0.0), sd=(1.5, 0.7)), "tau_scale": (0.5, 0.25)}
    trials: dict[str, Any] = {
        "pooled": "DLT over 28 days after one infusion",
        "trials": (TrialDoses(name="first", doses=(1.0, 3.0, 5.0)), TrialDoses(name="second", doses=(1.0, 2.0, 4.0))),
        "reference": 3.0,
    }
    exnex = Exnex(weight=0.5, prior=BivariateNormal(mean=(-1.7, 0.0), sd=(2.0, 1.0)))
    return {
        "power": OneCurve(Power(skeleton=SKELETON)),
        "logistic": OneCurve(Logistic(skeleton=SKELETON)),
        "logistic-2": OneCurve(Logistic2(doses=DOSES, reference=8.0, prior=usual)),
        "mixture": OneCurve(Logistic2(doses=DOSES, reference=8.0, prior=mixed)),
        "ex": ManyTrials(HierarchicalLogistic(exchangeable=Exchangeable(rho=0.0, **spread), **trials)),
        "exnex": ManyTrials(HierarchicalLogistic(exchangeable=Exchangeable(rho="uniform", **spread), exnex=exnex, **trials)),
    }


TITLES = {
    "power": "power, 1 parameter",
    "logistic": "logistic, 1 parameter",
    "logistic-2": "logistic, 2 parameters",
    "mixture": "the same, mixture prior",
    "ex": "2 trials, exchangeable",
    "exnex": "2 trials, EXNEX",
}
# What --quick keeps: all samplers of one model, and the goals of the smallest model and of a hierarchical one.
QUICK = (f"power/{GOAL_SAMPLER}", "logistic-2/*", f"ex/{GOAL_SAMPLER}")


# Measuring ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cell:
    """One model sampled by one sampler."""

    model: str
    sampler: str
    sets: int
    seed: int
    chains: int = 4
    draws: int = 1000
    tune: int = 1000

    @property
    def name(self) -> str:
        return f"{self.model}/{self.sampler}"


def measure_cell(cell: Cell, again: bool) -> dict[str, Any]:
    """All figures of one cell, or why there are none; compiled a second time if ``again``."""
    row = {"name": cell.name, "model": cell.model, "sampler": cell.sampler}
    needed, how = NEEDS.get(cell.sampler, (None, None))
    if needed and find_spec(needed) is None:
        return row | {"status": f"not installed: pip install '{how}'"}
    with tempfile.TemporaryDirectory(prefix="dosefind-samplers-") as caches:
        try:
            row |= in_child(run_cell, cell, caches, fresh=True)
            if again and row["status"] == "done":
                second = in_child(run_cell, replace(cell, sets=1), caches, fresh=True)
                row["compile_again_seconds"] = second["compile_seconds"] if second["status"] == "done" else None
        except ChildFailed as failure:
            row["status"] = str(failure)
    return row


def run_cell(cell: Cell, caches: str | None = None) -> dict[str, Any]:
    """The figures of a cell, measured in this process; whatever goes wrong becomes its status."""
    if caches is not None:
        flags = filter(None, (os.environ.get("PYTENSOR_FLAGS"), f"base_compiledir={caches}"))
        os.environ["PYTENSOR_FLAGS"] = ",".join(flags)
    try:
        return _figures(cell)
    except Exception as error:
        first = (str(error).strip().splitlines() or [""])[0]
        return {"status": f"failed: {type(error).__name__}: {first}"}


def _figures(cell: Cell) -> dict[str, Any]:
    packages = ["arviz", "pymc", *(["pymc.sampling.jax"] if cell.sampler == "numpyro" else []), *NEEDS.get(cell.sampler, ())[:1]]
    _, importing = timed(lambda: [importlib.import_module(one) for one in packages])
    imported = peak_resident()
    if cell.sampler == Numpyro.name:
        SAMPLERS[Numpyro.name] = Numpyro
    case = cases()[cell.model]
    settings = replace(case.settings, chains=cell.chains, draws=cell.draws, tune=cell.tune)
    data = case.data(cell.sets, cell.seed)
    fit, building = _once(lambda: case.fit(cell.sampler, settings))
    _, first = _once(lambda: case.posterior(fit, data[0], cell.seed))
    compiled = peak_resident()
    sets = []
    for at, one in enumerate(data):
        posterior, seconds = _once(lambda at=at, one=one: case.posterior(fit, one, cell.seed + at))
        found = case.diagnostics(posterior)
        line = {"seconds": seconds} | {name: found[name] for name in ("rhat", "ess_bulk", "ess_tail", "divergences")}
        sets.append(line | {"errors": case.errors(posterior)})
    row = {
        "status": "done",
        "settings": {name: found[name] for name in ("chains", "draws", "tune", "target_accept")},
        "import_seconds": importing.clock[0],
        "build_seconds": building,
        "first_set_seconds": first,
        "compile_seconds": building + max(0.0, first - sets[0]["seconds"]),
        "bytes_after_import": imported,
        "bytes_after_compiling": compiled,
        "bytes_at_the_end": peak_resident(),
        "sets": sets,
    }
    return row | _over(sets) | {"no_reference": case.no_reference}


def _once(function: Callable[[], Any]) -> tuple[Any, float]:
    """What a function gives, and its seconds."""
    start = time.perf_counter()
    return function(), time.perf_counter() - start


def _over(sets: list[dict[str, Any]]) -> dict[str, Any]:
    """Figures over all data sets."""
    seconds = [one["seconds"] for one in sets]
    rates = {f"ess_{kind}_per_second": [one[f"ess_{kind}"] / one["seconds"] for one in sets] for kind in ("bulk", "tail")}
    found: dict[str, Any] = recorded({"seconds": seconds} | rates) | {"least_seconds": min(seconds), "most_seconds": max(seconds)}
    # A figure that is not a number counts as the worst.
    found["rhat"] = max((one["rhat"] for one in sets), key=lambda rhat: math.inf if math.isnan(rhat) else rhat)
    found["divergences"] = sum(one["divergences"] for one in sets)
    errors = [(value, f"{name}, data set {at + 1}") for at, one in enumerate(sets) for name, value in one["errors"].items()]
    if errors:
        worst, where = max(errors, key=lambda one: math.inf if math.isnan(one[0]) else one[0])
        found |= {"worst_error": worst, "worst_error_of": where, "compared": len(errors), "chance_limit": chance_limit(len(errors))}
        found |= {f"share_beyond_{limit}": sum(not value <= limit for value, _ in errors) / len(errors) for limit in (2, 3)}
    return found


def chance_limit(count: int) -> float:
    """What the largest of so many independent standard normal errors exceeds in one of 20 cases."""
    return float(-ndtri((1 - 0.95 ** (1 / count)) / 2))


# Showing --------------------------------------------------------------------------------------------------------------


def print_rows(console: Console, rows: list[dict[str, Any]]) -> None:
    done = [row for row in rows if row["status"] == "done"]
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for head in ("\nmodel", "\nsampler"):
        table.add_column(head, no_wrap=True)
    timing = ("compile\ncold, s", "\nagain", "data set\nmedian", "in s\nleast", "\nmost")
    for head in (*timing, "ESS / s\nbulk", "\ntail", "worst\nR-hat", "di-\nverg.", "worst\nerror of", "mem.\nMiB"):
        table.add_column(head, justify="right", no_wrap=True)
    for before, row in zip([None, *done], done, strict=False):
        if before and before["model"] != row["model"]:
            table.add_row()
        again, worst = row.get("compile_again_seconds"), row.get("worst_error")
        table.add_row(
            row["model"],
            row["sampler"],
            f"{row['compile_seconds']:.1f}",
            "" if again is None else f"{again:.1f}",
            *(f"{row[name]:.3f}" if row[name] < 1 else f"{row[name]:.2f}" for name in ("seconds", "least_seconds", "most_seconds")),
            *(f"{row[f'ess_{kind}_per_second']:,.0f}" for kind in ("bulk", "tail")),
            f"{row['rhat']:.3f}",
            str(row["divergences"]),
            "" if worst is None else f"{worst:.1f} of {row['compared']}",
            f"{(row['bytes_at_the_end'] - row['bytes_after_import']) / MIB:.0f}",
        )
    if done:
        console.print(table)
    for line in notes(rows):
        console.print(line, highlight=False, markup=False)


def notes(rows: list[dict[str, Any]]) -> list[str]:
    """What the table does not say: how far chance goes, and why some rows are not in it."""
    found = []
    counts = sorted({row["compared"] for row in rows if "compared" in row})
    if counts:
        limits = ", ".join(f"{chance_limit(count):.1f} of {count}" for count in counts)
        found.append(f"Errors in Monte Carlo standard errors; chance alone exceeds {limits} in 1 of 20 cases.")
    reasons: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row["status"] != "done":
            reasons.setdefault((row["sampler"], row["status"]), []).append(row["model"])
        elif row["no_reference"]:
            reasons.setdefault(("worst error", row["no_reference"]), []).append(row["model"])
    found += [f"{what} ({', '.join(dict.fromkeys(models))}): {why}" for (what, why), models in reasons.items()]
    return found


def verdicts(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Seconds a data set against the goals."""
    models, found = cases(), []
    for row in rows:
        if row["sampler"] == GOAL_SAMPLER and row["status"] == "done":
            goal = models[row["model"]].goal
            text = f"{row['name']}: {goal:g} s a data set on a compiled model; {row['seconds']:.3f} s (median)"
            found.append({"text": text, "reached": row["seconds"] <= goal})
    return found


PANELS = (
    Panel(
        "Seconds a data set",
        "log scale; median, and from least to most; grey: at most this is to be reached",
        "seconds",
        log=True,
        ends=("least_seconds", "most_seconds"),
        bound="goal",
    ),
    Panel(
        "ESS a second, bulk",
        "log scale; least over parameters and doses, median over data sets",
        "ess_bulk_per_second",
        "{:,.0f}".format,
        log=True,
    ),
    Panel(
        "Seconds to compile",
        "with empty caches; hollow: in the next process",
        "compile_seconds",
        "{:.1f}".format,
        hollow=("compile_again_seconds",),
    ),
    Panel(
        "Worst error",
        "in standard errors; grey: chance alone goes beyond it in 1 of 20 cases",
        "worst_error",
        "{:.1f}".format,
        bound="chance_limit",
    ),
)


def draw(content: Mapping[str, Any]) -> Axes:
    """A line for each model and sampler, a panel for each figure."""
    limits, each = {name: case.goal for name, case in cases().items()}, []
    for row in content["rows"]:
        goal = {"goal": limits[row["model"]]} if row["sampler"] == GOAL_SAMPLER else {}
        remark = row["status"] if row["status"] != "done" else None
        each.append(Line(TITLES[row["model"]], row["sampler"], row | goal, remark))
    done = next((row["settings"] for row in content["rows"] if row["status"] == "done"), None)
    length = f"{done['chains']} chains of {done['draws']:,} draws after {done['tune']:,} for tuning; " if done else ""
    foot = f"{length}{content['settings']['sets']} data sets of each model. {circumstances(content)}."
    return lines(content["question"], foot, each, PANELS)


# The script -----------------------------------------------------------------------------------------------------------


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--only",
        metavar="PATTERN",
        help="only rows whose name contains this, * standing for anything; a name is such as power/nutpie or ex/pymc",
    )
    parser.add_argument("--sampler", action="append", choices=TRIED, help="only this sampler; may be given again")
    parser.add_argument(
        "--sets", type=int, metavar="N", help=f"data sets of each model; default: {SETS}, with --quick {QUICK_SETS}"
    )
    parser.add_argument(
        "--seed", type=int, default=SEED, metavar="N", help="data sets and draws follow from it; default: %(default)s"
    )


def check(options: argparse.Namespace) -> None:
    """Raise `InputError` unless there is something to run; fill in how many data sets."""
    if options.sets is None:
        options.sets = QUICK_SETS if options.quick else SETS
    whole("--sets", options.sets, 1, MOST_SETS)
    whole("--seed", options.seed, 0, LAST_SEED - MOST_SETS)
    chosen(options)


def chosen(options: argparse.Namespace) -> list[str]:
    """The names of the rows to make."""
    names = [f"{model}/{sampler}" for model in TITLES for sampler in options.sampler or TRIED]
    if options.quick:
        names = [name for name in names if any(fnmatch(name, kept) for kept in QUICK)]
    found = [name for name in names if fnmatch(name, f"*{options.only or ''}*")]
    if not found:
        raise InputError(f"nothing to run: --only must match one of {', '.join(names)}" if names else "nothing to run")
    return found


def rows(options: argparse.Namespace, progress: Console) -> Iterator[dict[str, Any]]:
    names = chosen(options)
    for at, name in enumerate(names, 1):
        with progress.status(f"{name} ({at} of {len(names)})"):
            row = measure_cell(Cell(*name.split("/"), options.sets, options.seed), again=not options.quick)
        yield row


STUDY = Study(
    __file__,
    __doc__,
    quick=f"only {', '.join(QUICK)}, with {QUICK_SETS} data sets each",
    rows=rows,
    show=print_rows,
    draw=draw,
    goals=verdicts,
    options=options,
    check=check,
    figures={
        "seconds": "less",
        "ess_bulk_per_second": "more",
        "ess_tail_per_second": "more",
        "compile_seconds": "less",
        "compile_again_seconds": "less",
        "worst_error": "less",
        "bytes_at_the_end": "less",
    },
    width=100,
)

if __name__ == "__main__":
    raise SystemExit(STUDY.main())
