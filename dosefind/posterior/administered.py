"""Posteriors that use the administered doses of patients, for curves on a dose scale, and the weights of patients who left.

Elsewhere patients are counted by their assigned level, each in full. The likelihood of patients with other amounts, or
with a weight, is that of a curve with the same parameters and prior and additional doses. Therefore these patients are counted
at further doses of that curve, an ordinary engine computes the posterior, and only the doses of the levels are shown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from .._check import InputError, Problem, number, of_type, whole
from ..models import Curve, TwoParameterCurve
from ..patients import SAME_AMOUNT
from ..trial import Administered, Weighted
from .exact import REPORTED, ExactPosterior, exact_fit
from .weighted import PartlyFollowed

if TYPE_CHECKING:
    from .mcmc import DrawnPosterior, NutsFit

__all__ = ["AtAmounts", "administered_among", "at_amounts", "exact_posterior", "in_likelihood"]


@dataclass(frozen=True)
class AtAmounts:
    """A curve, and the patients who do not count in full at the dose of their level.

    Attributes
    ----------
    curve
        The curve, whose doses are those of the levels.
    administered
        Patients whose administered dose differs from that of their level, who are included in the counts of their level; none
        unless the curve is on a dose scale.
    weighted
        Patients with a weight, who are at the dose of their level and not included in its counts.
    """

    curve: Curve
    administered: tuple[Administered, ...] = ()
    weighted: tuple[Weighted, ...] = ()

    @cached_property
    def extended(self) -> Curve:
        """Return the same curve with the doses of the levels and the administered amounts, then the shares of patients in part."""
        shares = tuple((int(self._levels[level - 1]), weight) for level, weight in self._shares)
        return PartlyFollowed(curve=self._at_each_amount, shares=shares) if shares else self._at_each_amount

    @cached_property
    def _at_each_amount(self) -> Curve:
        if not isinstance(self.curve, TwoParameterCurve):
            return self.curve
        amounts = list(self.curve.doses)
        for patients in self.administered:
            if not any(math.isclose(patients.amount, known, rel_tol=SAME_AMOUNT) for known in amounts):
                amounts.append(patients.amount)
        return self.curve if len(amounts) == self.curve.n_doses else self.curve.model_copy(update={"doses": tuple(sorted(amounts))})

    @cached_property
    def _shares(self) -> tuple[tuple[int, float], ...]:
        """Return each level and weight."""
        return tuple(dict.fromkeys((patient.level, patient.weight) for patient in self.weighted))

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
        if not self.weighted:
            return moved[0], moved[1]
        in_part = np.zeros((*np.shape(n)[:-1], len(self._shares)), int)
        for patient in self.weighted:
            in_part[..., self._shares.index((patient.level, patient.weight))] += (
                np.asarray(n)[..., patient.level - 1] >= patient.place
            )
        return np.concatenate([moved[0], in_part], axis=-1), np.concatenate([moved[1], 0 * in_part], axis=-1)

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
        at = self._at_each_amount.coordinates
        return np.searchsorted(at, self.curve.coordinates) if self.administered else np.arange(self.curve.n_doses)

    @cached_property
    def _moved(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the counts to subtract at each level, ``(2, levels)``, and to add at each dose of the extended curve."""
        there = np.zeros((2, self._at_each_amount.n_doses), int)
        for patients in self.administered:
            doses = np.array(self._at_each_amount.doses)  # type: ignore[attr-defined]
            there[:, np.abs(doses - patients.amount).argmin()] += (patients.n, patients.dlts)
        return _by_level(self.administered, self.curve.n_doses), there


def at_amounts(curve: Curve, administered: Sequence[Administered], weighted: Sequence[Weighted] = ()) -> AtAmounts | None:
    """Return a curve with patients at their administered amounts and with their weights, or ``None`` where these change nothing.

    Raises
    ------
    InputError
        If a level is not among those of the curve, an amount is not positive, or a number of patients or a weight is not possible.
    """
    amounts = _checked(administered, curve.n_doses) if administered and isinstance(curve, TwoParameterCurve) else ()
    # A weight of 0 has no likelihood.
    in_part = tuple(patient for patient in _checked_weights(weighted, curve.n_doses) if patient.weight > 0)
    return AtAmounts(curve, amounts, in_part) if amounts or in_part else None


def in_likelihood(weighted: Sequence[Weighted], n_doses: int) -> tuple[Weighted, ...]:
    """Return patients with a weight, checked, all of them in the likelihood of any counts.

    Raises
    ------
    InputError
        As in `at_amounts`.
    """
    return tuple(patient._replace(place=0) for patient in _checked_weights(weighted, n_doses))


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
    weighted: Sequence[Weighted] = (),
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
    weighted
        Patients with a weight, who are not among ``n``.
    """
    # Frozen settings are hashable, which pyright does not see.
    at = at_amounts(curve, administered, in_likelihood(weighted, curve.n_doses))
    return ExactPosterior(exact_fit(curve, rates, at), n, y, tolerance)  # type: ignore[arg-type]


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


def _checked_weights(weighted: Sequence[Weighted], n_doses: int) -> tuple[Weighted, ...]:
    of_type("weighted", weighted, Sequence, "of Weighted(level, weight), from dosefind.trial")
    found = []
    for place, given in enumerate(weighted, start=1):
        name = f"weighted[{place}]"
        if not isinstance(given, Weighted):
            raise InputError(Problem(name, given, "must be Weighted(level, weight), from dosefind.trial"))
        level = whole(f"{name}.level", given.level, 1, n_doses)
        weight = number(f"{name}.weight", given.weight, "a share from 0 to 1")
        if not 0 <= weight <= 1:
            raise InputError(Problem(f"{name}.weight", given.weight, "must be a share from 0 to 1"))
        found.append(Weighted(level, float(weight), whole(f"{name}.place", given.place, 0)))
    return tuple(sorted(found, key=lambda patient: patient.place))


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
