"""Posteriors of curves on a dose scale that use the administered doses of patients.

Elsewhere patients are counted by their assigned level. The likelihood of patients with other amounts is that of a curve with the
same parameters and prior and additional doses. Therefore these patients are counted at the dose of their amount in that curve, an
ordinary engine computes the posterior, and only the doses of the levels are shown.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from .._check import InputError, Problem, number, of_type, whole
from ..models import Curve, Logistic2
from ..patients import SAME_AMOUNT
from ..trial import Administered
from .base import Figure
from .exact import REPORTED, ExactFit, ExactPosterior, exact_fit
from .mixture import MixedQuadrature
from .quadrature import Nodes

if TYPE_CHECKING:
    from .mcmc import DrawnPosterior, NutsFit

__all__ = ["AtAmounts", "administered_among", "at_amounts", "exact_posterior"]


@dataclass(frozen=True)
class AtAmounts:
    """A curve on a dose scale, and the patients whose administered dose differs from that of their level.

    Attributes
    ----------
    curve
        The curve, whose doses are those of the levels.
    administered
        The patients, who are included in the counts of their level.
    """

    curve: Logistic2
    administered: tuple[Administered, ...]

    @cached_property
    def extended(self) -> Logistic2:
        """Return the same curve with the doses of the levels and the administered amounts."""
        amounts = list(self.curve.doses)
        for patients in self.administered:
            if not any(math.isclose(patients.amount, known, rel_tol=SAME_AMOUNT) for known in amounts):
                amounts.append(patients.amount)
        return self.curve if len(amounts) == self.curve.n_doses else self.curve.model_copy(update={"doses": tuple(sorted(amounts))})

    def counts(self, n: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return counts by level ``(..., levels)`` as counts by dose of the extended curve ``(..., doses)``.

        Raises
        ------
        InputError
            If the counts do not include the patients.
        """
        if not self.includes(n, y).all():
            raise _not_among(self.administered)
        away, there = self._moved
        moved = [np.zeros((*np.shape(n)[:-1], there.shape[1]), int) for _ in away]
        for place, values in enumerate((n, y)):
            moved[place][..., self._levels] = values - away[place]
            moved[place] += there[place]
        return moved[0], moved[1]

    def includes(self, n: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return whether counts by level ``(..., levels)`` include the patients, ``(...)``."""
        return _include(n, y, self._moved[0])

    def sampled(self, fit: NutsFit, n: np.ndarray, y: np.ndarray, seed: int) -> DrawnPosterior:
        """Return the posterior at the levels by NUTS, or the prior of the same fit if the counts are zero.

        Parameters
        ----------
        fit
            Fit of the extended curve.
        n, y : (levels,) arrays
            Patients and DLTs by assigned level.
        seed
            See `NutsPosterior`.
        """
        from .mcmc import DrawnPosterior

        nobody = np.zeros(self.extended.n_doses, int)
        drawn = fit.sample(*(self.counts(n, y) if n.any() else (nobody, nobody)), seed)
        # Draws of the parameters do not depend on the doses shown.
        theta = np.stack(list(drawn.draws.values()), axis=-1)
        return DrawnPosterior(self.curve, n, y, theta, drawn.divergences, drawn.made)

    @cached_property
    def _levels(self) -> np.ndarray:
        """Return the position of each level among the doses of the extended curve."""
        return np.searchsorted(self.extended.doses, self.curve.doses)

    @cached_property
    def _moved(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the counts to subtract at each level, ``(2, levels)``, and to add at each dose of the extended curve."""
        doses = np.array(self.extended.doses)
        there = np.zeros((2, len(doses)), int)
        for patients in self.administered:
            there[:, np.abs(doses - patients.amount).argmin()] += (patients.n, patients.dlts)
        return _by_level(self.administered, self.curve.n_doses), there


def at_amounts(curve: Curve, administered: Sequence[Administered]) -> AtAmounts | None:
    """Return a curve with patients at their administered amounts, or ``None`` without such patients or a dose scale.

    Raises
    ------
    InputError
        If a level is not among those of the curve, an amount is not positive, or a number of patients is not possible.
    """
    if not administered or not isinstance(curve, Logistic2):
        return None
    return AtAmounts(curve, _checked(administered, curve.n_doses))


def administered_among(administered: Sequence[Administered], n: np.ndarray, y: np.ndarray) -> tuple[Administered, ...]:
    """Return patients at other amounts, checked to be included in the counts by level.

    Raises
    ------
    InputError
        If they are not, or as in `at_amounts`.
    """
    found = _checked(administered, len(n))
    if not _include(n, y, _by_level(found, len(n))):
        raise _not_among(found)
    return found


def exact_posterior(
    curve: Curve,
    n: np.ndarray,
    y: np.ndarray,
    rates: tuple[float, ...] = (),
    administered: Sequence[Administered] = (),
    tolerance: float = REPORTED,
) -> ExactPosterior:
    """Return the posterior by quadrature, with patients at their administered amounts if the curve is on a dose scale.

    Parameters
    ----------
    curve
        The curve with its prior.
    n, y : (levels,) arrays
        Patients and DLTs by assigned level.
    rates
        Cut points, see `ExactFit`.
    administered
        Patients whose administered dose differs from that of their level.
    tolerance
        See `ExactPosterior`.
    """
    at = at_amounts(curve, administered)
    # Frozen settings are hashable, which pyright does not see.
    if at is None:
        return ExactPosterior(exact_fit(curve, rates), n, y, tolerance)  # type: ignore[arg-type]
    return _Posterior(_fit(at, rates), n, y, tolerance)


class _Fit(ExactFit):
    """Posterior summaries at the levels for counts by level, under the likelihood of the extended curve."""

    def __init__(self, at: AtAmounts, rates: Sequence[float]) -> None:
        super().__init__(at.curve, rates)
        self.at = at
        self.quadrature = MixedQuadrature(at.extended, self._columns)

    def expect(self, n: np.ndarray, y: np.ndarray, tolerance: float = REPORTED) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return super().expect(*self.at.counts(n, y), tolerance)

    def shares(self, n: np.ndarray, y: np.ndarray) -> np.ndarray:
        return super().shares(*self.at.counts(n, y))

    def _columns(self, nodes: Nodes) -> np.ndarray:
        levels, theta = self.curve.coordinates, nodes.parameters()
        p = nodes.probabilities(levels)
        return np.column_stack([theta, theta**2, p, p**2, *(nodes.below(rate, levels) for rate in self.rates)])


@lru_cache(maxsize=8)
def _fit(at: AtAmounts, rates: tuple[float, ...]) -> _Fit:
    return _Fit(at, rates)


class _Posterior(ExactPosterior):
    """The posterior after counts by level, using the fit of an extended curve."""

    fit: _Fit

    def below(self, rate: float) -> Figure:
        if rate in self.fit.rates:
            return super().below(rate)
        return type(self)(_fit(self.fit.at, (rate,)), self.n, self.y).below(rate)

    def quantiles(self, probabilities: Sequence[float], at: np.ndarray | None = None) -> np.ndarray:
        return self._extended.quantiles(probabilities, self.curve.coordinates if at is None else at)

    def mtd_quantiles(self, target: float, probabilities: Sequence[float]) -> np.ndarray:
        return self._extended.mtd_quantiles(target, probabilities)

    def expected(self, function: Callable[[np.ndarray], np.ndarray], doses: np.ndarray, tolerance: float) -> Figure:
        return self._extended.expected(function, doses, tolerance)

    def draws(self, count: int) -> np.ndarray:
        return self._extended.draws(count)

    def diagnostics(self) -> dict[str, Any]:
        return super().diagnostics() | {"quantile_error": self._extended.diagnostics()["quantile_error"]}

    @cached_property
    def _extended(self) -> ExactPosterior:
        """Return the posterior of the extended curve, for values that do not depend on its doses."""
        at = self.fit.at
        return ExactPosterior(exact_fit(at.extended, ()), *at.counts(self.n, self.y), _UNUSED)  # type: ignore[arg-type]


# Error requested of values that are not used.
_UNUSED = 1e-3


def _checked(administered: Sequence[Administered], n_doses: int) -> tuple[Administered, ...]:
    of_type("administered", administered, Sequence, "of Administered(level, amount, n, dlts), from dosefind.trial")
    found = []
    for place, given in enumerate(administered, start=1):
        name = f"administered[{place}]"
        if not isinstance(given, tuple | list) or len(given) != len(Administered._fields):
            raise InputError(Problem(name, given, "must be Administered(level, amount, n, dlts), from dosefind.trial"))
        level, amount, n, dlts = given
        level = whole(f"{name}.level", level, 1, n_doses)
        if not 0 < number(f"{name}.amount", amount, "an amount above 0") < math.inf:
            raise InputError(Problem(f"{name}.amount", amount, "must be an amount above 0"))
        n = whole(f"{name}.n", n, 1)
        found.append(Administered(level, float(amount), n, whole(f"{name}.dlts", dlts, 0, n)))
    return tuple(found)


def _by_level(administered: Sequence[Administered], n_doses: int) -> np.ndarray:
    """Return patients and DLTs by assigned level, ``(2, levels)``."""
    found = np.zeros((2, n_doses), int)
    for patients in administered:
        found[:, patients.level - 1] += (patients.n, patients.dlts)
    return found


def _include(n: np.ndarray, y: np.ndarray, patients: np.ndarray) -> np.ndarray:
    return ((y >= patients[1]) & (n - y >= patients[0] - patients[1])).all(axis=-1)


def _not_among(administered: Sequence[Administered]) -> InputError:
    allowed = "must be patients and DLTs included in those of their level"
    return InputError(Problem("administered", [tuple(patients) for patients in administered], allowed))
