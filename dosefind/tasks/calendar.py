"""What a protocol's designs cost in time: duration, candidates turned away, decisions on pending outcomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .._check import InputError, Problem, number, one_of, seed_of, some_of, whole
from ..blocks import blocks_of, run
from ..config import Trial, build_designs
from ..designs import Design
from ..figures import CALENDAR, defined
from ..operating.calendar import Clock
from ..operating.lattice import lattice
from ..operating.metrics import judged
from ..operating.simulation import CHUNK, MOST_TRIALS
from ..operating.timed import QUANTILES, TIMED, Timed
from ..outcomes import Rates
from ..protocol import Protocol
from ..timing import MOST_PER_28_DAYS, Discontinuation
from ..trial import choice_labels
from .comparison import standards_of, with_progress
from .stamps import stamp

if TYPE_CHECKING:
    import xarray as xr
    from distributed import Client

__all__ = ["calendar", "middle_scenario", "nearest_to_middle", "overlap_rows"]


def calendar(
    trial: Trial | Protocol,
    *,
    n_trials: int = 2_000,
    seed: int = 1,
    per_28_days: Sequence[float] | None = None,
    cohorts: Literal["complete", "until-decided"] = "complete",
    scenarios: Sequence[str] | None = None,
    compared: xr.Dataset | None = None,
    workers: int | Client = 1,
    cache: str | Path | None = None,
    progress: Callable[[float, int], None] | None = None,
) -> xr.Dataset:
    """Return what the protocol's designs cost in time under its scenarios, by simulation.

    Parameters
    ----------
    trial
        The trial, from `load_trial`, or its protocol, which states how candidates arrive (table ``accrual``).
    n_trials, seed
        Trials for each design, accrual rate and scenario, and seed.
    per_28_days
        Accrual rates in candidates per 28 days; by default that of the protocol and those of ``accrual.sensitivity``.
    cohorts
        "complete": every cohort is treated in full and its outcomes are awaited, as in `compare`; "until-decided": a cohort ends
        where no outcome still open can change the decision, as `next_dose` recommends.
    scenarios
        Names of the scenarios; by default all of the protocol.
    compared
        The exact result of `compare` for the same trial, so that its designs are not enumerated again.
    workers
        Number of processes, or a Dask client; the result does not depend on it.
    cache
        Folder in which completed blocks of trials are stored; see `dosefind.simulate`.
    progress
        Called after each block of trials with the number of designs done, the latest in part, and the total number.

    Returns
    -------
    xarray.Dataset
        Over (overlap, accrual, design, scenario) and, where they have one, their own dimension (dose, choice, quantile); each
        variable's ``definition`` says what it is, and ``<name>_se`` is its Monte Carlo standard error, 0 for the selection of a
        design whose selection is exact. A design that is a version of one that waits for complete data is followed by the latter,
        named "<name>, complete data", unless the protocol has it. ``overlap`` is "as written" and, where the protocol forbids dose
        groups that overlap and that makes a difference, "if allowed". With complete cohorts, ``days_decided`` (accrual, scenario)
        is the mean duration of a primary design that awaits outcomes if its cohorts ended as with "until-decided". With a table
        ``discontinuation``, ``evaluable`` and ``rate_counted`` (scenario, dose) are the probability that a patient is evaluable
        and the DLT rate among evaluable patients. The attribute ``weighed`` states the causes of discontinuation after which
        designs read a weight.

    Raises
    ------
    InputError
        If the protocol does not state how candidates arrive, or an argument is not valid.

    Examples
    --------
    >>> from dosefind import load_trial
    >>> made = calendar(load_trial("configs/nct05962762.toml"), n_trials=100, per_28_days=[2.0])
    >>> made.days.dims
    ('overlap', 'accrual', 'design', 'scenario')
    """
    trial = Trial.of(trial)
    if scenarios is not None:
        trial = _with_scenarios(trial, scenarios)
    stated, trial = trial, _beside_complete_data(trial)
    protocol = trial.protocol
    one_of("cohorts", cohorts, ("complete", "until-decided"))
    whole("n_trials", n_trials, 2, MOST_TRIALS)
    seed_of(seed)
    clock = Clock.of(protocol, cohorts)
    rates = _accrual_rates(protocol, per_28_days)
    variants = _by_overlap(trial, clock)
    clocks = {
        overlap: [own.at_rate(rate) if np.isfinite(rate) else own for rate in rates] for overlap, (_, own) in variants.items()
    }
    truths = protocol.truths
    named = {(overlap, name): design for overlap, (designs, _) in variants.items() for name, design in designs.items()}
    primary = trial.primary, trial.designs[trial.primary]
    ends_early = cohorts == "complete" and primary[1].reads == "complete"
    if ends_early:
        named[_DECIDED, primary[0]] = primary[1]
        clocks[_DECIDED] = [replace(at, cohorts="until-decided") for at in clocks["as written"]]
    jobs = {key: [Timed(design, Rates(truths), at, seed) for at in clocks[key[0]]] for key, design in named.items()}
    pieces = len(blocks_of(n_trials, CHUNK))
    owners = [key for key, own in jobs.items() for _ in range(len(own) * pieces)]
    made: dict[tuple[str, str], list[_Figures]] = {}
    with closing(run([job for own in jobs.values() for job in own], n_trials, workers, cache)) as done:
        results = with_progress(done, owners, progress)
        for key, own in jobs.items():
            made[key] = [job.figures(islice(results, pieces), n_trials) for job in own]
    for key, design in named.items():
        if all(_exact(design, at) for at in clocks[key[0]]):
            exact = _exact_figures(key[1], design, protocol, compared)
            for values, errors in made[key]:
                # Where candidates run out, trials are cut short.
                to_the_end = values["unfinished"] == 0
                for name, known in exact.items():
                    at = to_the_end.reshape(-1, *[1] * (known.ndim - 1))
                    values[name], errors[name] = np.where(at, known, values[name]), np.where(at, 0.0, errors[name])
    result = _dataset(trial, variants, made, rates, n_trials)
    if ends_early:
        meant = defined(CALENDAR, trials=f"{n_trials:,}")["days_decided"]
        for suffix, part, words in (("", 0, meant), ("_se", 1, "standard error of days_decided")):
            values = [at[part]["days"] for at in made[_DECIDED, primary[0]]]
            result[f"days_decided{suffix}"] = (("accrual", "scenario"), values, {"definition": words})
    if clock.discontinuation != Discontinuation():
        meant = defined(CALENDAR, trials=f"{n_trials:,}")
        named = zip(("evaluable", "rate_counted"), clock.as_counted(truths), strict=True)
        result = result.assign({name: (("scenario", "dose"), values, {"definition": meant[name]}) for name, values in named})
        leaving, rules = clock.discontinuation, protocol.evaluability
        if weighed := [cause for cause in rules.weighs if getattr(leaving, cause) > 0]:
            result.attrs["weighed"] = weighed
    return result.assign_attrs(
        {"method": "simulated", "n_trials": n_trials, "seed": seed, "cohorts": cohorts}
        | ({} if clock.accrual.per_28_days is None else {"per_28_days": clock.accrual.per_28_days})
        | ({"ramp": [step.model_dump() for step in clock.accrual.ramp]} if clock.accrual.ramp else {})
        | {"primary_design": trial.primary}
        | stamp(stated, timed=True)
    )


def middle_scenario(protocol: Protocol) -> str:
    """Return the first scenario whose true MTD is the middle level, or the nearest to it."""
    levels = standards_of(protocol).true_mtd(protocol.truths) + 1
    return list(protocol.scenarios)[nearest_to_middle(levels, protocol.n_doses)]


def nearest_to_middle(levels: Sequence[int] | np.ndarray, n_doses: int) -> int:
    """Return the index of the first of the levels, 0 for none, that is nearest to the middle one."""
    return int(np.argmin(np.abs(np.asarray(levels) - (n_doses + 1) / 2)))


def overlap_rows(days: np.ndarray) -> list[tuple[int, int]]:
    """Return overlap and design of each row of a table: a second row for a design for which overlap makes a difference.

    Parameters
    ----------
    days : (overlap, accrual, design, ...) array
        Mean durations.
    """
    overlaps, _, designs, *_ = days.shape
    same = [all(np.array_equal(days[0, :, d], other[:, d], equal_nan=True) for other in days[1:]) for d in range(designs)]
    return [(overlap, d) for d in range(designs) for overlap in range(1 if same[d] else overlaps)]


def _beside_complete_data(trial: Trial) -> Trial:
    """Return the trial with each design that decides with pending outcomes followed by the same on complete data only."""
    designs: dict[str, Design] = {}
    for name, design in trial.designs.items():
        designs[name] = design
        waits = design.on_complete_data()
        if waits is not None and waits not in trial.designs.values():
            designs[f"{name}, complete data"] = waits
    return replace(trial, designs=designs)


def _with_scenarios(trial: Trial, names: Sequence[str]) -> Trial:
    """Return the trial with some of its scenarios; designs do not depend on them."""
    every = trial.protocol.scenarios
    listed = some_of("scenarios", names, f"of names of scenarios: {', '.join(every)}")
    chosen = {one_of("scenarios", name, every): every[name] for name in listed}
    if not chosen:
        raise InputError(Problem("scenarios", list(names), f"must hold at least one of {', '.join(every)}"))
    return replace(trial, protocol=trial.protocol.model_copy(update={"scenarios": chosen}))


# The primary design with cohorts that end once decided, beside the two of `_by_overlap`.
_DECIDED = "until decided"
_Figures = tuple[dict[str, np.ndarray], dict[str, np.ndarray]]
_Variants = Mapping[str, tuple[Mapping[str, Design], Clock]]


def _accrual_rates(protocol: Protocol, given: Sequence[float] | None) -> list[float]:
    """Return the accrual rates in order; a single one that is not a number for a process without a rate."""
    accrual = protocol.accrual
    assert accrual is not None
    if accrual.per_28_days is None:
        if given is not None:
            raise InputError(Problem("per_28_days", given, f"has no effect with accrual.process = {accrual.process!r}"))
        return [float("inf") if accrual.process == "always" else float("nan")]
    if given is None:
        return sorted({accrual.per_28_days, *accrual.sensitivity})
    allowed = f"above 0 and at most {MOST_PER_28_DAYS} candidates per 28 days"
    listed = some_of("per_28_days", given, f"of rates {allowed}")
    if not listed:
        raise InputError(Problem("per_28_days", [], "must hold at least one rate"))
    found = [number("per_28_days", rate, allowed) for rate in listed]
    for value in found:
        if not 0 < value <= MOST_PER_28_DAYS:
            raise InputError(Problem("per_28_days", value, f"must be {allowed}"))
    return sorted(set(found))


def _by_overlap(trial: Trial, clock: Clock) -> _Variants:
    """Return the designs and the clock as the protocol has them, and as they would be if dose groups were allowed to overlap.

    The second holds only designs for which that makes a difference: those that decide with pending outcomes, or whose cohorts end
    before all outcomes are known.
    """
    variants: dict[str, tuple[Mapping[str, Design], Clock]] = {"as written": (trial.designs, clock)}
    if not clock.treatment.no_overlap:
        return variants
    differs = {name for name, design in trial.designs.items() if design.reads != "complete" or clock.cohorts != "complete"}
    if differs:
        free = clock.overlapping()
        tables = {name: table for name, table in trial.protocol.designs.items() if name in differs}
        allowed = trial.protocol.model_copy(update={"treatment": free.treatment, "designs": tables})
        built = _beside_complete_data(replace(trial, protocol=allowed, designs=build_designs(allowed))).designs
        variants["if allowed"] = ({name: design for name, design in built.items() if name in differs}, free)
    return variants


def _exact_figures(name: str, design: Design, protocol: Protocol, compared: xr.Dataset | None) -> dict[str, np.ndarray]:
    """Return the exact selection, patients and DLTs of a design in each scenario."""
    if compared is None or name not in compared["design"].values:
        found = lattice(design).figures(protocol.truths)
        return {name: found[name] for name in _EXACT}
    own = compared.sel(design=name, scenario=list(protocol.scenarios))
    return {figure: own[figure].transpose("scenario", ...).values for figure in _EXACT}


# Operating characteristics that do not depend on the calendar of a design that waits.
_EXACT = ("selected", "patients", "dlts", "mean_n")


def _exact(design: Design, clock: Clock) -> bool:
    """Return whether the selection of a design on a calendar is exact: it waits for complete outcomes, and no patient leaves."""
    leaves = clock.discontinuation
    return design.reads == "complete" and clock.cohorts == "complete" and not (leaves.dropout or leaves.progression)


def _dataset(
    trial: Trial, variants: _Variants, made: Mapping[tuple[str, str], list[_Figures]], rates: list[float], n_trials: int
) -> xr.Dataset:
    """Return the operating characteristics with labels; where overlap makes no difference, both have the same values."""
    import xarray as xr

    from ..results import Dataset

    protocol, standards = trial.protocol, standards_of(trial.protocol)
    names, overlaps = list(trial.designs), list(variants)

    def stacked(part: int, name: str) -> np.ndarray:
        found = [[made.get((overlap, design), made["as written", design]) for design in names] for overlap in overlaps]
        values = [[[at[part][name] for at in of_design] for of_design in row] for row in found]
        return np.moveaxis(np.array(values), 1, 2)

    dims = ("overlap", "accrual", "design", "scenario")
    extents = {None: (), "dose": ("dose",), "choice": ("choice",)}
    meant = defined(CALENDAR, trials=f"{n_trials:,}")
    data: dict[str, Any] = {}
    for name, extent in TIMED.items():
        data[name] = ((*dims, *extents[extent]), stacked(0, name), {"definition": meant[name]})
        data[f"{name}_se"] = ((*dims, *extents[extent]), stacked(1, name), {"definition": f"standard error of {name}"})
    data["days_quantile"] = ((*dims, "quantile"), stacked(0, "days_quantile"), {"definition": meant["days_quantile"]})
    chances = judged(data["selected"][1], protocol.truths, standards)
    exact = ~data["selected_se"][1].any(axis=-1)
    for name in ("correct", "overdose_selected"):
        error = np.where(exact, 0.0, np.sqrt(np.maximum(chances[name] * (1 - chances[name]), 0) / n_trials))
        data[name] = (dims, chances[name], {"definition": meant[name]})
        data[f"{name}_se"] = (dims, error, {"definition": f"standard error of {name}"})
    labels = np.array(choice_labels(protocol.n_doses))
    data["true_mtd"] = ("scenario", labels[standards.true_mtd(protocol.truths) + 1], {"definition": meant["true_mtd"]})
    data["p_true"] = (("scenario", "dose"), protocol.truths, {"definition": meant["p_true"]})
    data["reads"] = ("design", [design.reads for design in trial.designs.values()], {"definition": meant["reads"]})
    waits = {name: design.on_complete_data() for name, design in trial.designs.items()}
    known = {name: next((other for other, one in trial.designs.items() if one == own), "") for name, own in waits.items()}
    titles = [design.title * (design.title != type(design).title) for design in trial.designs.values()]
    data["title"] = ("design", titles, {"definition": meant["title"]})
    data["on_complete_data"] = ("design", list(known.values()), {"definition": meant["on_complete_data"]})
    amounts = xr.Variable("dose", list(protocol.doses.amounts), {"units": protocol.doses.unit})
    coords = {
        "overlap": overlaps,
        "accrual": ("accrual", rates, {"units": "candidates per 28 days"}),
        "design": names,
        "scenario": list(protocol.scenarios),
        "dose": np.arange(1, protocol.n_doses + 1),
        "dose_amount": amounts,
        "choice": labels,
        "quantile": list(QUANTILES),
    }
    return Dataset(data, coords)
