"""How far each design is from the best that is possible: optimum, regret and its parts, frontier, price of constraints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .._check import InputError, Problem, number, one_of, whole
from ..config import Trial
from ..designs import Design
from ..designs.optimal import CLOSING, Optimal
from ..figures import OPTIMUM, defined
from ..models import Curve, Hazard
from ..operating.lattice import Lattice, lattice
from ..operating.walk import DEFAULT_MEMORY
from ..policies import Actions, Policy, Stakes, TooLarge, count_states, solve
from ..protocol import Protocol
from ..threads import one_thread
from .stamps import stamp

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["BEST", "BINDING", "curves_of", "optimum"]

BEST = "optimum"
"""Name of the best policy among the designs of a result."""

BINDING = ", binding"
"""Ending of the name of a constraint whose closed doses cannot be selected either."""

# True curves that stand for a prior, unless there are more states than this.
_CURVES, _FEW_STATES = 1024, 20_000
# Utility gained by another policy at the same DLTs and patients below which the search ends; the linear program rounds at 1e-7.
_ENOUGH = 1e-6
_MOST_STEPS = 200
# Prices of a DLT along the frontier, in shares of the utility that no trial leaves to gain, for each DLT of the optimum.
_ALONG = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5)


@one_thread
def optimum(
    trial: Trial | Protocol,
    *,
    utility: Literal["correct", "distance", "acceptable"] = "correct",
    cost_per_patient: float = 0.0,
    cost_per_dlt: float = 0.0,
    cost_per_overdose: float = 0.0,
    n_curves: int | None = None,
    lattices: Mapping[str, Lattice] | None = None,
    memory_limit: int = DEFAULT_MEMORY,
    progress: Callable[[float, int], None] | None = None,
) -> xr.Dataset:
    """Return the best policy under weighted true curves, and how far each of the trial's designs is from it.

    It is a bound on what any design can do under these curves, and a diagnosis, not a design for a protocol. The best policy is
    found by exact backward induction with the trial's cohorts and maximum sample size, without skipping of untried levels.

    Parameters
    ----------
    trial
        The trial, from `load_trial`, or its protocol.
    utility
        "correct": 1 for selecting the true MTD; "distance": minus the distance of the DLT rate at the selected dose from the
        target; "acceptable": 1 for selecting a dose with an acceptable DLT rate. Where there is no MTD, the utility of concluding
        so is 1, or 0 as a distance.
    cost_per_patient, cost_per_dlt, cost_per_overdose
        Costs of each patient, each DLT and each patient treated at an overdose, in units of utility.
    n_curves
        Number of true curves that stand for the prior of each of the trial's curves; by default 1,024, and 256 in large problems.
    lattices
        The trial's designs as `compare` enumerated them, so that this is not done again.
    memory_limit
        Maximum memory of the backward induction in bytes.
    progress
        Called with the number of priors done, the latest in part, and their total number.

    Returns
    -------
    xarray.Dataset
        Of the designs that decide from complete outcomes with the trial's cohorts and no more patients; ``left_out`` lists the
        others. By prior: the trial's scenarios with equal weights, and each of its curves. ``value`` (prior, design) is the
        expected utility less costs of the optimum and of each design, ``regret`` what is missing to the optimum, the sum of
        ``allocation`` and ``final_choice``; ``at_same_cost`` is the highest expected utility of any policy with no more DLTs and
        patients than the design; ``in_scenario`` (prior, design, scenario) the utility less costs in each scenario alone.
        ``value_error`` (prior,) is by how much the optimum differs with half as many true curves.
        ``frontier_*`` (prior, point) are policies for rising costs of a DLT, ``price`` (prior, constraint) what each constraint
        costs the optimum. Each variable's ``definition`` says what it is.

    Raises
    ------
    InputError
        If the trial has no maximum sample size, a cohort size is not constant, an argument is not valid, or the problem is too
        large for the memory limit.

    Examples
    --------
    >>> from dosefind import load_trial
    >>> found = optimum(load_trial("configs/nct05962762.toml"), n_curves=64)
    >>> found.value.sel(prior="scenarios", design=["optimum", "3+3"]).round(3).values
    array([0.766, 0.643])
    """
    trial = Trial.of(trial)
    one_of("utility", utility, ("correct", "distance", "acceptable"))
    costs = {"cost_per_patient": cost_per_patient, "cost_per_dlt": cost_per_dlt, "cost_per_overdose": cost_per_overdose}
    for name, cost in costs.items():
        if not 0 <= number(name, cost, "from 0 to 1000") <= 1000:
            raise InputError(Problem(name, cost, "must be from 0 to 1000"))
    protocol = trial.protocol
    if not isinstance(protocol.limits.cohort_size, int):
        allowed = "must be one number: the best policy depends on counts only, and not on the number of the cohort"
        raise InputError(Problem("limits.cohort_size", list(protocol.limits.cohort_size), allowed))
    settings = {"utility": utility} | {name: float(cost) for name, cost in costs.items()}
    try:
        states = count_states(
            _best(protocol, protocol.truths, np.ones(len(protocol.truths)), settings).actions, protocol.n_doses, memory_limit
        )
    except TooLarge as error:
        raise _of_config(error) from None
    n_curves = (_CURVES if states <= _FEW_STATES else _CURVES // 4) if n_curves is None else whole("n_curves", n_curves, 2, 100_000)
    priors = _priors(trial, n_curves)
    every = {name: made for name, made in trial.designs.items() if not isinstance(made, Optimal)}
    designs = {name: made for name, made in every.items() if _comparable(made, protocol)}
    known = lattices or {}
    walked = {name: known[name] if name in known else lattice(design) for name, design in designs.items()}
    found, alone = [], None
    coarser = _priors(trial, max(2, n_curves // 2))
    for index, (name, (truths, weights)) in enumerate(priors.items()):
        best = _best(protocol, truths, weights, settings)
        # The first prior is that of the scenarios.
        alone = alone or best.stakes

        def within(share: float, index: int = index) -> None:
            if progress is not None:
                progress(index + share, len(priors))

        # Scenarios are what they are; half as many curves show the error of representing a prior by curves.
        half = best.stakes if len(coarser[name][0]) == len(truths) else _best(protocol, *coarser[name], settings).stakes
        try:
            found.append(_under(best, half, walked, alone, protocol.limits.group, memory_limit, within))
        except TooLarge as error:
            raise _of_config(error) from None
    result = _dataset(trial, list(priors), list(designs), found)
    counted = {"n_curves": n_curves, "curves": {name: len(weights) for name, (_, weights) in priors.items()}}
    counted["left_out"] = [name for name in every if name not in designs]
    counted["without_patients"] = [name for name, one in zip(priors, found, strict=True) if not one["treats"]]
    made = {"method": "exact", "primary_design": trial.primary, **settings, **counted}
    return result.assign_attrs(made | stamp(trial))


def _of_config(error: TooLarge) -> TooLarge:
    """Return the error with the place in the config."""
    return TooLarge([Problem(f"limits.{problem.where}", problem.value, problem.allowed) for problem in error.problems])


def curves_of(curve: Curve, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return true DLT rates that stand for the prior of a curve, with weights.

    Parameters
    ----------
    curve
        The curve with its prior.
    count
        About how many; a Sobol sequence moved to the middle of its cells (mid-points with one parameter), of each component of a
        mixture a share.

    Returns
    -------
    (curves, doses) array, (curves,) array
        Rates and weights, which sum to 1.
    """
    from scipy.special import ndtri

    rates, weights = [], []
    for weight, component in curve.components:
        own = max(2, round(count * weight))
        points = ((np.arange(own) + 0.5) / own)[:, None] if component.n_coordinates == 1 else _spread(component.n_coordinates, own)
        rates.append(np.exp(component.at(ndtri(points))[0]))
        weights.append(np.full(len(points), weight / len(points)))
    return np.concatenate(rates), np.concatenate(weights)


def _priors(trial: Trial, count: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return true curves and weights by name: the scenarios, and the prior of each curve."""
    truths = trial.protocol.truths
    found = {"scenarios": (truths, np.full(len(truths), 1 / len(truths)))}
    found |= {name: curves_of(curve, count) for name, curve in trial.curves.items() if not isinstance(curve, Hazard)}
    if len(found) == 1:
        # Without a curve: any increasing rates, uniformly.
        points = _spread(truths.shape[1], count)
        found["increasing rates"] = np.sort(points, axis=1), np.full(len(points), 1 / len(points))
    return found


def _spread(dimensions: int, count: int) -> np.ndarray:
    """Return a Sobol sequence of at least ``count`` points, a power of 2, each in the middle of its cell of the unit cube."""
    from scipy.stats import qmc

    count = 2 ** int(np.ceil(np.log2(count)))
    return qmc.Sobol(dimensions, scramble=False).random(count) + 0.5 / count


def _comparable(design: Design, protocol: Protocol) -> bool:
    """Return whether the policies among which the optimum is sought include what a design does: its cohorts and sample size."""
    limits = protocol.limits
    cohorts = design.cohort_size == limits.cohort_size and design.cohort_size_by_dose is None and not design.titration
    return design.reads == "complete" and cohorts and (design.max_n is None or design.max_n <= limits.max_n)


def _best(protocol: Protocol, truths: np.ndarray, weights: np.ndarray, settings: Mapping[str, Any]) -> Optimal:
    """Return the best policy with the cohorts and the maximum sample size of the protocol."""
    limits, target = protocol.limits, protocol.target
    return Optimal(
        truths=tuple(map(tuple, truths.tolist())),
        weights=tuple(weights.tolist()),
        target=target.rate,
        interval=target.interval,
        mtd_margin=target.mtd_margin,
        overdose_limit=target.overdose_limit,
        start=limits.start_level,
        cohort_size=limits.cohort_size,
        max_n=limits.max_n,
        **settings,
    )


def _under(
    best: Optimal,
    half: Stakes,
    walked: Mapping[str, Lattice],
    in_scenario: Stakes,
    group: tuple[int, int] | None,
    memory_limit: int,
    progress: Callable[[float], None],
) -> dict[str, Any]:
    """Return all results under one prior."""
    stakes, actions = best.stakes, replace(best.actions, treats=False)
    pool = _Pool(stakes, actions, memory_limit)
    policy = pool.at(None)
    steps, done = len(_ALONG) + len(walked) + 2 * len(CLOSING) + 2, 1
    progress(done / steps)
    row = {"value": policy.value, "utility": policy.utility, "patients": policy.patients, "dlts": policy.dlts}
    rows = [row | {"bayes": policy.value, "at_same_cost": policy.utility}]
    stops = int(policy.table[(0,) * stakes.n_doses].item()) - stakes.n_doses
    # Where the costs exceed what a trial adds, the best policy concludes without a patient.
    alone = [_in_scenarios(lattice(best), in_scenario) if stops < 0 else in_scenario.utility[:, stops]]
    for one in walked.values():
        figures = one.figures(stakes.truths)
        patients, dlts = figures["patients"], figures["dlts"]
        cost = float(stakes.weights @ (patients * stakes.cost).sum(axis=1))
        utility = float(stakes.weights @ (figures["selected"] * stakes.utility).sum(axis=1))
        totals = {"patients": float(stakes.weights @ patients.sum(axis=1)), "dlts": float(stakes.weights @ dlts.sum(axis=1))}
        bayes = float(one.ends.ways @ stakes.concluded(one.ends.n, one.ends.y).max(axis=1))
        same = pool.at_most(totals["dlts"], totals["patients"])
        rows.append({"value": utility - cost, "utility": utility, **totals, "bayes": bayes - cost, "at_same_cost": same})
        alone.append(_in_scenarios(one, in_scenario))
        done += 1
        progress(done / steps)
    nothing = stakes.without_trial
    known = float(stakes.weights @ stakes.utility.max(axis=1))
    frontier = []
    for share in _ALONG:
        frontier.append(pool.at((share * (policy.utility - nothing) / max(policy.dlts, 1e-9), 0.0)))
        done += 1
        progress(done / steps)
    prices = {"no skipping": solve(stakes, replace(actions, skips=True), memory_limit=memory_limit).value - policy.value}
    most = 6 if group is None else group[1]
    capped = replace(actions, max_n_per_dose=most)
    prices[f"at most {most} patients per dose"] = policy.value - solve(stakes, capped, memory_limit=memory_limit).value
    for name in CLOSING:
        closing = best.with_settings(closing=(name,)).actions.closing
        for place, binding in ((name, False), (f"{name}{BINDING}", True)):
            bound = replace(actions, closing=closing, binding=binding)
            prices[place] = policy.value - solve(stakes, bound, memory_limit=memory_limit).value
            done += 1
            progress(done / steps)
    progress(1.0)
    error = 0.0
    if not np.array_equal(half.truths, stakes.truths):
        error = abs(policy.value - solve(half, actions, memory_limit=memory_limit).value)
    found = {"rows": rows, "alone": alone, "nothing": nothing, "known": known, "frontier": frontier, "prices": prices}
    return found | {"error": error, "treats": stops < 0}


class _Pool:
    """Best policies at different costs of a DLT and of a patient under one prior, found when they are wanted."""

    def __init__(self, stakes: Stakes, actions: Actions, memory_limit: int) -> None:
        self._stakes, self._actions, self._memory = stakes, actions, memory_limit
        self._found: dict[tuple[float, float] | None, Policy] = {}

    def at(self, prices: tuple[float, float] | None) -> Policy:
        """Return the best policy at the stated costs, or at these costs of a DLT and of a patient alone."""
        if prices not in self._found:
            stakes = self._stakes
            if prices is not None:
                stakes = replace(stakes, cost=prices[0] * stakes.truths + prices[1])
            self._found[prices] = solve(stakes, self._actions, in_parts=True, memory_limit=self._memory)
        return self._found[prices]

    def at_most(self, dlts: float, patients: float) -> float:
        """Return the highest expected utility of a policy, or of a lottery of policies, with no more DLTs and patients than given.

        The best lottery of the policies found so far is a linear program; its prices of a DLT and of a patient give the policy that
        would improve it most, until none does.
        """
        from scipy.optimize import linprog

        self.at((0.0, 0.0))
        nothing = self._stakes.without_trial
        bound, reached = np.inf, nothing
        for _step in range(_MOST_STEPS):
            points = [(nothing, 0.0, 0.0), *((p.utility, p.dlts, p.patients) for p in self._found.values())]
            utility, toxic, treated = np.array(points, float).T
            made = linprog(
                -utility,
                np.array([toxic, treated]),
                [dlts, patients],
                np.ones((1, len(points))),
                [1.0],
                bounds=(0, None),
                method="highs",
            )
            reached = -made.fun
            prices = tuple(np.maximum(-made.ineqlin.marginals, 0.0).tolist())
            bound = self.at(prices).value + prices[0] * dlts + prices[1] * patients
            if bound - reached < _ENOUGH:
                return float(reached)
        raise ArithmeticError(f"the utility at {dlts:g} DLTs and {patients:g} patients is known only within {bound - reached:.1e}")


def _in_scenarios(walked: Lattice, stakes: Stakes) -> np.ndarray:
    """Return the utility less costs of a design in each scenario."""
    figures = walked.figures(stakes.truths)
    return (figures["selected"] * stakes.utility).sum(axis=1) - (figures["patients"] * stakes.cost).sum(axis=1)


def _dataset(trial: Trial, priors: Sequence[str], designs: Sequence[str], found: Sequence[Mapping[str, Any]]) -> xr.Dataset:
    """Return the results with labels and definitions."""
    from ..results import Dataset

    names = [BEST, *designs]

    def column(name: str) -> np.ndarray:
        return np.array([[row[name] for row in one["rows"]] for one in found], float)

    value, bayes = column("value"), column("bayes")
    by_design = ("prior", "design")
    data: dict[str, Any] = {name: (by_design, column(name)) for name in ("value", "utility", "dlts", "patients", "at_same_cost")}
    data["allocation"] = (by_design, value[:, :1] - bayes)
    data["final_choice"] = (by_design, bayes - value)
    data["regret"] = (by_design, data["allocation"][1] + data["final_choice"][1])
    data["in_scenario"] = (("prior", "design", "scenario"), np.array([one["alone"] for one in found]))
    data["without_trial"] = ("prior", np.array([one["nothing"] for one in found]))
    data["value_error"] = ("prior", np.array([one["error"] for one in found]))
    data["with_truth"] = ("prior", np.array([one["known"] for one in found]))
    for name in ("utility", "dlts", "patients"):
        data[f"frontier_{name}"] = (("prior", "point"), np.array([[getattr(p, name) for p in one["frontier"]] for one in found]))
    data["price"] = (("prior", "constraint"), np.array([list(one["prices"].values()) for one in found]))
    meant = defined(OPTIMUM)
    coords = {
        "prior": list(priors),
        "design": names,
        "scenario": list(trial.protocol.scenarios),
        "point": np.arange(1, len(_ALONG) + 1),
        "constraint": list(found[0]["prices"]),
    }
    return Dataset({name: (dims, values, {"definition": meant[name]}) for name, (dims, values) in data.items()}, coords)
