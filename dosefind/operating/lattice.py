"""An enumerated design: its final states, computed once, and its operating characteristics in any number of scenarios.

The probability of a final state is ``exp(log ways + y @ log p + (n - y) @ log(1 - p))``, and its multiplicity (``ways``) does not
depend on the true rates p; so all scenarios together are one matrix product, and no result has a Monte Carlo error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .._check import MISSING, InputError, Problem, curve_values, of_type, probability, rows_of_numbers, whole
from ..designs import Design, Selection
from ..designs.base import A_DESIGN
from ..designs.rules import TIE, above
from ..figures import OPERATING, defined
from ..outcomes import LOG_ZERO, Rates, cells, log_rates
from ..shown import Shown
from ..threads import one_thread
from ..trial import States, choice_labels
from .tally import FIGURES, OVERDOSE_SHARES, SUMS, Days, EndedTrials, Figures, weighted
from .walk import DEFAULT_MEMORY, Ends, walk

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["OVERDOSE_LIMIT", "Lattice", "labelled", "lattice", "named_truths", "safe_doses"]

OVERDOSE_LIMIT = 0.33
# Number of final states and scenarios whose probabilities are held at a time.
_ROWS, _TRUTHS = 2**13, 2**8


@dataclass(frozen=True)
class Lattice(Shown):
    """All final states of a design's trial.

    Attributes
    ----------
    design
        The design, with the limits used in the enumeration.
    n_doses
        Number of dose levels.
    ends
        The final states with their multiplicities.
    """

    design: Design
    n_doses: int
    ends: Ends

    @cached_property
    def selections(self) -> list[Selection]:
        """Yield the final selections in batches of final states."""
        ends, starts = self.ends, range(0, len(self.ends.n), 2**16)
        parts = ([values[i : i + 2**16] for values in (ends.n, ends.y, *ends.more)] for i in starts)
        return [self.design.select(States.of_checked(n, y, tuple(more))) for n, y, *more in parts]

    @cached_property
    def trials(self) -> EndedTrials:
        """Return the final states with the dose selected in each."""
        choice, not_reached = (np.concatenate([getattr(p, name) for p in self.selections]) for name in ("dose", "not_reached"))
        ends = self.ends
        return EndedTrials(self.design, ends.n, ends.y, choice, not_reached, ends.reason, ends.visited, ends.more)

    @property
    def margin(self) -> float:
        """Return the smallest distance of a posterior probability from the limit with which it is compared.

        The minimum is over all decisions and final selections; infinite if the design does not use such limits or does not report
        them.
        """
        return min([self.ends.margin, *(p.margin.min(initial=np.inf) for p in self.selections if p.margin is not None)])

    @one_thread
    def probabilities(self, truths: Any, rows: slice = slice(None)) -> np.ndarray:
        """Return the probability of each final state in each scenario, ``(states, scenarios)``."""
        return self._probabilities(_log_terms(Rates(curve_values("truths", truths, self.n_doses))), rows).T

    def _probabilities(self, log_terms: np.ndarray, rows: slice) -> np.ndarray:
        """Return the probabilities of some final states, ``(scenarios, rows)``, from `_log_terms`."""
        ends = self.ends
        n, *counts = (values[rows].T.astype(float) for values in (ends.n, ends.y, *ends.more))
        exponent = log_terms.T @ np.vstack([*cells(n, tuple(counts)), np.log(ends.ways[rows])])
        if log_terms.min() > LOG_ZERO:
            # exp is several times slower if it underflows; a probability of exactly 0 arises from certainty only.
            np.maximum(exponent, -700.0, out=exponent)
        return np.exp(exponent, out=exponent)

    @one_thread
    def figures(self, truths: np.ndarray | Rates, overdose_limit: float = OVERDOSE_LIMIT, days: Days | None = None) -> Figures:
        """Return all operating characteristics in each scenario, ``(scenarios, doses)``, as plain arrays."""
        trials, largest = self.trials, self.trials.largest_sample
        rates = truths if isinstance(truths, Rates) else Rates(truths)
        truths, log_terms = rates.dlt, _log_terms(rates)
        safe, which = np.unique(safe_doses(truths, overdose_limit), return_inverse=True)
        table: Figures = {}
        for start in range(0, len(self.ends.n), _ROWS):
            rows = slice(start, start + _ROWS)
            measures = trials.measures(rows, days, largest, safe)
            # Its mean is the total probability of all final states.
            measures["total"] = np.ones((len(measures["patients"]), 1))
            blocks = [
                weighted(measures, self._probabilities(log_terms[:, i : i + _TRUTHS], rows)) for i in range(0, len(truths), _TRUTHS)
            ]
            for name in measures:
                part = np.concatenate([block[name] for block in blocks])
                table[name] = table[name] + part if start else part
        worst = float(np.abs(table.pop("total") - 1).max())
        if worst > 1e-9:
            raise ArithmeticError(f"the probabilities of all final states of {self.design.title} sum to 1 only within {worst:.1e}")
        table |= {name: of_patients(table["patients"]) for name, of_patients in SUMS.items()}
        for name in OVERDOSE_SHARES:
            table[name] = np.take_along_axis(table[name], which[:, None], axis=1)
        return {name: table[name] if extent else table[name][:, 0] for name, extent in FIGURES.items() if name in table}

    @one_thread
    def under(
        self,
        truths: Any,
        *,
        responses: Any = None,
        both: Any = None,
        overdose_limit: float = OVERDOSE_LIMIT,
        days: Days | None = None,
    ) -> xr.Dataset:
        """Return operating characteristics in one or more scenarios, without Monte Carlo error.

        Parameters
        ----------
        truths
            True DLT rate at each dose: rows ``(scenarios, doses)``, or a mapping from names to rows.
        responses, both
            For a design that tracks them, in the same form: true response rate at each dose, and the probability of both DLT and
            response in a patient.
        overdose_limit
            A dose with a true DLT rate above it is an overdose.
        days
            Minimum duration of a trial from its patients and visits; see `Treatment.least_days`.

        Returns
        -------
        xarray.Dataset
            ``selected`` (scenario, choice: none, 1..D), ``patients`` and ``dlts`` (scenario, dose), ``not_reached``, ``any_dlt``,
            ``over_60`` and ``over_80`` (scenario), ``stopped`` (scenario, reason), ``sample_size`` (scenario, n_patients),
            ``p_true`` (scenario, dose), and ``days`` (scenario) if requested.

        Raises
        ------
        InputError
            If a scenario is not a row of probabilities that do not decrease with the dose, or responses are missing, not tracked or
            not probabilities consistent with the DLT rates.

        Examples
        --------
        >>> from dosefind import ThreePlusThree, lattice
        >>> oc = lattice(ThreePlusThree(), n_doses=3).under([[0.05, 0.15, 0.30]])
        >>> oc.selected.round(4).values
        array([[0.0266, 0.1813, 0.4006, 0.3915]])
        """
        names, rows = named_truths(truths, self.n_doses)
        probability("overdose_limit", overdose_limit)
        figures = self.figures(rates_of(self.design, rows, responses, both), overdose_limit, days)
        coords = {"scenario": names, "dose": np.arange(1, self.n_doses + 1)}
        attrs = {"method": "exact", "design": self.design.title, "states": self.ends.walked, "overdose_limit": overdose_limit}
        return (
            labelled(figures, self.design, coords, overdose_limit).assign(p_true=(("scenario", "dose"), rows)).assign_attrs(attrs)
        )

    def __repr__(self) -> str:
        return (
            f"Lattice of {self.design.title}: {self.n_doses} doses, {self.ends.walked:,} states walked, {len(self.ends.n):,} ends, "
            f"{self.ends.paths.sum():,.0f} paths"
        )


def _log_terms(rates: Rates) -> np.ndarray:
    """Return the rows of `log_rates` and 1, one column per scenario."""
    return np.vstack([log_rates(rates), np.ones(len(rates.dlt))])


def rates_of(design: Design, truths: np.ndarray, responses: Any, both: Any) -> Rates:
    """Return the true rates of the outcomes that a design tracks.

    Raises
    ------
    InputError
        If a rate is missing or not tracked, or the rates are not consistent with any joint probabilities.
    """
    given: dict[str, np.ndarray | None] = {}
    for name, track, values in (("responses", "response", responses), ("both", "both", both)):
        if (values is None) == (track in design.tracks):
            if values is None:
                raise InputError(Problem(name, MISSING, "required, because the design tracks it"))
            raise InputError(Problem(name, values, "must not be given: the design does not track it"))
        given[track] = None if values is None else _same_shape(name, values, truths)
    rates = Rates(truths, **given)
    if rates.both is not None and rates.response is not None:
        low, high = np.maximum(0, truths + rates.response - 1), np.minimum(truths, rates.response)
        wrong = np.argwhere((rates.both < low - TIE) | (rates.both > high + TIE))
        if len(wrong):
            row, dose = wrong[0]
            value, allowed = rates.both[row, dose], f"must be from {low[row, dose]:g} to {high[row, dose]:g} at level {dose + 1}"
            raise InputError(Problem("both", float(value), allowed))
    return rates


def _same_shape(name: str, values: Any, truths: np.ndarray) -> np.ndarray:
    array = rows_of_numbers(list(values.values()) if isinstance(values, Mapping) else values)
    if array is None or array.shape != truths.shape or not ((array >= 0) & (array <= 1)).all():
        allowed = f"must hold {truths.shape[0]} rows of {truths.shape[1]} probabilities, like truths"
        raise InputError(Problem(name, values, allowed))
    return array


@one_thread
def lattice(
    design: Design,
    *,
    n_doses: int | None = None,
    cohort_size: int | Sequence[int] | None = None,
    max_n: int | None = None,
    memory_limit: int = DEFAULT_MEMORY,
) -> Lattice:
    """Enumerate all final states of a design's trial exactly.

    Parameters
    ----------
    design
        The design.
    n_doses
        Number of dose levels; by default the design's own, if it has one.
    cohort_size, max_n
        Patients per cohort and maximum sample size, instead of the design's own.
    memory_limit
        Maximum memory of the enumeration in bytes.

    Returns
    -------
    Lattice

    Raises
    ------
    InputError
        If the design's settings and the arguments contradict each other, or the enumeration exceeds the memory limit.

    Examples
    --------
    >>> from dosefind import BOIN
    >>> lattice(BOIN(target=0.30), n_doses=5, cohort_size=3, max_n=30)
    Lattice of BOIN: 5 doses, 13,145 states walked, 6,564 ends, 282,586 paths
    """
    of_type("design", design, Design, A_DESIGN)
    changes = {
        "n_doses": n_doses,
        "cohort_size": tuple(cohort_size) if isinstance(cohort_size, list | range) else cohort_size,
        "max_n": max_n,
    }
    design = design.with_settings(**{name: value for name, value in changes.items() if value is not None})
    if design.known_doses is None:
        raise InputError(Problem("n_doses", None, f"{design.title} has no number of dose levels: state n_doses"))
    whole("memory_limit", memory_limit, 1)
    return Lattice(design, design.known_doses, walk(design, design.known_doses, memory_limit=memory_limit))


def safe_doses(truths: np.ndarray, overdose_limit: float) -> np.ndarray:
    """Return the number of doses that are not overdoses, ``(scenarios,)``."""
    return (~above(truths, overdose_limit)).sum(axis=1)


def named_truths(truths: Any, n_doses: int | None = None) -> tuple[list[str], np.ndarray]:
    """Return names and rows of the scenarios; rows without names are numbered from 1."""
    if isinstance(truths, Mapping) and not truths:
        raise InputError(Problem("truths", truths, "must hold at least one row, one probability per dose"))
    if isinstance(truths, Mapping):
        rows = [curve_values(f"truths[{name!r}]", row, n_doses)[0] for name, row in truths.items()]
        return [str(name) for name in truths], np.array(rows)
    rows = curve_values("truths", truths, n_doses)
    return [str(i) for i in range(1, len(rows) + 1)], rows


def labelled(
    values: dict[str, np.ndarray], design: Design, coords: Mapping[str, Any], overdose_limit: float, suffix: str = ""
) -> xr.Dataset:
    """Return the operating characteristics of one design as a dataset."""
    from ..results import Dataset

    meant = defined({name: OPERATING[name] for name in values}, limit=f"{overdose_limit:g}")

    data = {
        f"{name}{suffix}": (
            ("scenario", *((FIGURES[name],) if FIGURES[name] else ())),
            array,
            {"definition": f"standard error of {name}" if suffix else meant[name]},
        )
        for name, array in values.items()
    }
    extents = {
        "choice": choice_labels(len(coords["dose"])),
        "reason": list(design.reasons),
        "n_patients": np.arange(values["sample_size"].shape[1]),
    }
    return Dataset(data, coords={**coords, **extents})
