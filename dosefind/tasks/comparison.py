"""Operating characteristics of a protocol's designs under its scenarios."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .._check import one_of, seed_of, whole
from ..blocks import blocks_of, run
from ..config import Trial, origins
from ..designs import Design
from ..operating.lattice import Lattice, lattice
from ..operating.metrics import Standards, above_mtd, definitions, judged
from ..operating.reference import reference_selection
from ..operating.simulation import CHUNK, MOST_TRIALS, Simulation
from ..operating.tally import FIGURES, Figures
from ..operating.walk import DEFAULT_MEMORY
from ..outcomes import Rates
from ..protocol import Protocol, Target
from ..threads import one_thread
from ..trial import choice_labels
from ..words import _, counted
from .stamps import plain, stamp

if TYPE_CHECKING:
    import xarray as xr
    from distributed import Client

__all__ = ["compare", "standards_of", "with_progress"]


@one_thread
def compare(
    trial: Trial | Protocol,
    *,
    method: Literal["exact", "simulate"] = "exact",
    n_trials: int = 10_000,
    seed: int = 1,
    memory_limit: int = DEFAULT_MEMORY,
    workers: int | Client = 1,
    cache: str | Path | None = None,
    lattices: dict[str, Lattice] | None = None,
    progress: Callable[[float, int], None] | None = None,
) -> xr.Dataset:
    """Return operating characteristics of the protocol's designs under its scenarios.

    Parameters
    ----------
    trial
        The trial, from `load_trial`, or its protocol.
    method
        "exact": every possible trial is enumerated, without Monte Carlo error. "simulate": Monte Carlo on shared latent patients.
    n_trials, seed
        Trials for each scenario and seed, for "simulate".
    memory_limit
        Bytes that an exact walk may hold at a time.
    workers, cache
        Number of processes or a Dask client, and folder in which completed blocks of trials are stored, for "simulate"; see
        `dosefind.simulate`.
    lattices
        Where the enumerated designs are put by name, so that `optimum` need not enumerate them again; for "exact".
    progress
        Called with the number of designs done, the latest in part, and the total number.

    Returns
    -------
    xarray.Dataset
        Operating characteristics over (design, scenario) and, where they have one, their own dimension (dose, choice, reason,
        n_patients); each variable's ``definition`` says what it is. ``selected_by_target`` and ``correct_by_target`` (target,
        ...) repeat the choice at the protocol's other targets. ``reference_*`` (scenario, ...) is the non-parametric optimal
        benchmark. Simulated results have a standard error in ``<name>_se``. Attributes: protocol, hash, versions, seed,
        assumptions, rules of each design.

    Examples
    --------
    >>> from dosefind import load_trial
    >>> oc = compare(load_trial("configs/nct05962762.toml"))
    >>> oc.selected.sel(design="3+3", scenario="middle is MTD").round(3).values
    array([0.094, 0.363, 0.375, 0.168])
    """
    trial = Trial.of(trial)
    protocol = trial.protocol
    one_of("method", method, ("exact", "simulate"))
    whole("n_trials", n_trials, 2, MOST_TRIALS)
    seed_of(seed)
    target, standards, truths = protocol.target, standards_of(protocol), protocol.truths
    designs = trial.without_calendar
    others = {rate: _applicable(made, rate) for rate, made in trial.at_targets.items()}

    # Each design, and each that is another at another target: None stands for the protocol's own.
    wanted: dict[tuple[str, float | None], Design] = {}
    for name, design in designs.items():
        wanted[name, None] = design
        wanted |= {(name, rate): made[name] for rate, made in others.items() if made.get(name, design) is not design}
    owners = [name for name, _ in wanted]
    # The minimum duration supposes that every cohort is awaited.
    days = {key: protocol.treatment.least_days if design.reads == "complete" else _no_days for key, design in wanted.items()}
    found: dict[tuple[str, float | None], tuple[Figures, Figures]] = {}
    if method == "simulate":
        jobs = {key: Simulation(design, Rates(truths), seed, days[key]) for key, design in wanted.items()}
        pieces = len(blocks_of(n_trials, CHUNK))
        with closing(run(list(jobs.values()), n_trials, workers, cache)) as done:
            results = with_progress(done, [name for name in owners for _ in range(pieces)], progress)
            for key, job in jobs.items():
                found[key] = job.figures(islice(results, pieces), n_trials, target.overdose_limit)
    else:

        def walked(key: tuple[str, float | None]) -> Lattice:
            made = lattice(wanted[key], memory_limit=memory_limit)
            if lattices is not None and key[1] is None:
                lattices[key[0]] = made
            return made

        exact = (walked(key).figures(truths, target.overdose_limit, days[key]) for key in wanted)
        found = {key: (figures, {}) for key, figures in zip(wanted, with_progress(exact, owners, progress), strict=True)}
    figures = {name: found[name, None] for name in designs}
    at_targets = {
        rate: {name: found.get((name, rate), figures[name])[0]["selected"] for name in designs if name in made}
        for rate, made in others.items()
    }
    values, errors = _stacked(designs, figures)
    chances = judged(values["selected"], truths, standards)
    values |= chances | {"above_mtd": above_mtd(values["treated_from"], truths, standards)}
    if method == "simulate":
        errors |= {name: np.sqrt(np.maximum(p * (1 - p), 0) / n_trials) for name, p in chances.items()}
        errors["above_mtd"] = above_mtd(errors["treated_from"], truths, standards)
    result = _dataset(protocol, designs, values, errors, standards)
    result = result.assign(_reference(protocol, standards)).assign(_other_targets(protocol, list(designs), at_targets))
    for name, text in definitions(standards).items():
        if name in result:
            result[name].attrs["definition"] = text
    if "target" in result:
        result["target"].attrs["definition"] = _made_anew(protocol, designs)
    result["days"].attrs["definition"] += f" ({protocol.timing_words()})"
    sentences = {reason: design.explain(reason) for design in designs.values() for reason in design.reasons}
    made = {"method": "exact", "seed": seed} if method == "exact" else {"method": "simulated", "n_trials": n_trials, "seed": seed}
    left_out = [name for name in trial.designs if name not in designs]
    made |= {"primary_design": trial.primary, "calendar_only": left_out}
    made |= {"target_rate": target.rate, "overdose_limit": target.overdose_limit}
    return result.assign_attrs(made | {"reasons": sentences} | stamp(trial))


def with_progress[T](
    results: Iterable[T], owners: Sequence[Hashable], progress: Callable[[float, int], None] | None
) -> Iterator[T]:
    """Yield results, each after the number of owners that are done, the latest in part, and their total number are reported."""
    parts, done = Counter(owners), Counter[Hashable]()
    for owner, result in zip(owners, results, strict=True):
        done[owner] += 1
        if progress is not None:
            progress(sum(done[name] / parts[name] for name in done), len(parts))
        yield result


def _no_days(n: np.ndarray, visits: np.ndarray) -> np.ndarray:
    return np.full(len(n), np.nan)


def standards_of(protocol: Protocol) -> Standards:
    """Return the standards by which the protocol's scenarios are judged."""
    return _standards(protocol.target)


def _standards(target: Target) -> Standards:
    return Standards(target.rate, target.interval, target.mtd_margin, target.overdose_limit)


def _stacked(designs: Mapping[str, Design], figures: dict[str, tuple[Figures, Figures]]) -> tuple[Figures, Figures]:
    """Return results of all designs, with standard errors, along a leading design axis; ragged dimensions are padded with 0."""
    reasons = _all_reasons(designs)
    largest = max(f["sample_size"].shape[1] for f, _ in figures.values())

    def common(name: str, design: Design, array: np.ndarray) -> np.ndarray:
        if FIGURES[name] == "n_patients":
            return np.pad(array, ((0, 0), (0, largest - array.shape[1])))
        if FIGURES[name] == "reason":
            wide = np.zeros((len(array), len(reasons)))
            wide[:, [reasons.index(r) for r in design.reasons]] = array
            return wide
        return array

    return tuple(  # type: ignore[return-value]
        {
            name: np.stack([common(name, designs[d], pair[part][name]) for d, pair in figures.items()])
            for name in next(iter(figures.values()))[part]
        }
        for part in (0, 1)
    )


def _all_reasons(designs: Mapping[str, Design]) -> list[str]:
    """Return the reasons for which a trial of any of the designs can stop, in the order of their first occurrence."""
    return list(dict.fromkeys(reason for design in designs.values() for reason in design.reasons))


def _dataset(
    protocol: Protocol, designs: Mapping[str, Design], values: Figures, errors: Figures, standards: Standards
) -> xr.Dataset:
    import xarray as xr

    from ..results import Dataset

    truths = protocol.truths
    labels = np.array(choice_labels(protocol.n_doses))

    def variables(table: Figures, suffix: str = "") -> dict[str, Any]:
        own = {name: FIGURES.get(name) for name in table}
        return {
            f"{name}{suffix}": (("design", "scenario", *((own[name],) if own[name] else ())), array)
            for name, array in table.items()
        }

    data = variables(values) | variables(errors, "_se")
    data["p_true"] = (("scenario", "dose"), truths)
    data["n_acceptable"] = ("scenario", standards.acceptable(truths).sum(axis=1))
    data["true_mtd"] = ("scenario", labels[standards.true_mtd(truths) + 1])
    data["max_n_per_dose"] = ("design", [design.most_per_dose or 0 for design in designs.values()])
    data["highest_mtd"] = ("scenario", labels[standards.highest_below(truths) + 1])
    amounts = xr.Variable("dose", list(protocol.doses.amounts), {"units": protocol.doses.unit})
    coords = {
        "design": list(designs),
        "scenario": list(protocol.scenarios),
        "dose": np.arange(1, protocol.n_doses + 1),
        "dose_amount": amounts,
        "choice": labels,
        "reason": _all_reasons(designs),
        "n_patients": np.arange(values["sample_size"].shape[-1]),
    }
    return Dataset(data, coords)


def _reference(protocol: Protocol, standards: Standards) -> dict[str, Any]:
    """Return the non-parametric optimal benchmark in every scenario, at the protocol's maximum sample size."""
    both = [reference_selection(truth, standards.target, standards.margin, protocol.limits.max_n) for truth in protocol.truths]
    nearest, highest = (np.array(choice) for choice in zip(*both, strict=True))
    by_nearest, by_highest = (judged(choice, protocol.truths, standards) for choice in (nearest, highest))
    return {
        "reference_selected": (("scenario", "choice"), nearest),
        "reference_correct": ("scenario", by_nearest["correct"]),
        "reference_correct_highest": ("scenario", by_highest["correct_highest"]),
    }


def _applicable(designs: Mapping[str, Design], rate: float) -> dict[str, Design]:
    """Return the designs that apply to this target: not those that choose by an interval without it."""

    def looks_for(design: Design) -> bool:
        intervals = [getattr(design, name) for name in _settings_from("target.interval", design)]
        return all(low <= rate < high for low, high in intervals)

    return {name: design for name, design in designs.items() if looks_for(design)}


def _settings_from(key: str, design: Design) -> list[str]:
    """Return settings of a design whose values a key of the protocol gives where its table does not."""
    return [name for name, origin in origins(type(design)).items() if origin.key == key]


def _other_targets(protocol: Protocol, names: list[str], at_targets: Mapping[float, Mapping[str, np.ndarray]]) -> dict[str, Any]:
    """Return the choices of the designs made for each of the protocol's other targets, and how often they are right for it."""
    if not at_targets:
        return {}
    truths, labels = protocol.truths, np.array(choice_labels(protocol.n_doses))
    missing = np.full((len(truths), len(labels)), np.nan)
    selected, correct, mtd = [], [], []
    for rate, made in at_targets.items():
        chosen = np.stack([made.get(name, missing) for name in names])
        standards = _standards(protocol.target.at(rate))
        selected.append(chosen)
        mtd.append(labels[standards.true_mtd(truths) + 1])
        correct.append(judged(chosen, truths, standards)["correct"])
    return {
        "target": ("target", list(at_targets)),
        "true_mtd_by_target": (("target", "scenario"), np.array(mtd)),
        "selected_by_target": (("target", "design", "scenario", "choice"), np.array(selected)),
        "correct_by_target": (("target", "design", "scenario"), np.array(correct)),
    }


def _made_anew(protocol: Protocol, designs: Mapping[str, Design]) -> str:
    """Return what stays the same if designs are adapted to another target: settings fixed in their own tables."""
    without, by_interval, kept = [], [], []
    for name, design in designs.items():
        table = protocol.designs[name]
        # A skeleton said by its indifference interval is a table, and is calibrated to the target at hand.
        target = _settings_from("target.rate", design)
        tied = dict.fromkeys((*target, *design.tied_to_target))
        fixed = {key: table[key] for key in tied if key in table and not isinstance(table[key], Mapping)}
        if not target:
            without.append(name)
        elif _settings_from("target.interval", design):
            by_interval.append(name)
        elif fixed:
            kept.append(_("{design} keeps its own {settings}").format(design=name, settings=plain(fixed)))
    sentences = [_("DLT rate to which each design is adapted, with the margin of the MTD and half-widths in proportion")]
    if without:
        words = counted("{designs} has no target", "{designs} have no target", len(without), designs=", ".join(without))
        sentences.append(words)
    if by_interval:
        words = counted(
            "{designs} selects by the target interval, which is unchanged (- at targets outside it)",
            "{designs} select by the target interval, which is unchanged (- at targets outside it)",
            len(by_interval),
            designs=", ".join(by_interval),
        )
        sentences.append(words)
    return "; ".join([*sentences, *kept])
