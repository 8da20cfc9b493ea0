"""Skeletons from an indifference interval, and the intervals that a skeleton implies.

A skeleton is calibrated so that neighbouring doses are distinguished exactly at the edges of an interval around the
target: Lee and Cheung (2009), Clinical Trials 6:227-238, doi:10.1177/1740774509105076. On the scale u(p) of a
one-parameter curve, on which its parameter is a shift, that skeleton is equally spaced, so it has a closed form.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from .._check import MOST_DOSES, InputError, Problem, Settings, curve_values, number, one_of, probability, whole
from ..threads import one_thread
from ..words import marked
from . import OneParameterCurve, one_parameter

__all__ = ["Indifference", "indifference_intervals", "skeleton"]


class Indifference(Settings):
    """A skeleton defined by its indifference interval, target -+ halfwidth, and the prior MTD level."""

    halfwidth: Annotated[float, Field(gt=0, lt=0.5, strict=True)] = Field(
        description=marked("half the width of the interval of DLT rates around the target within which doses are not distinguished")
    )
    mtd_level: Annotated[int, Field(ge=1, strict=True)] = Field(description=marked("prior MTD level (from 1)"))

    def levels(self, target: float, n_doses: int, model: str, **options: float) -> tuple[float, ...]:
        """Return the skeleton as numbers, one per dose."""
        return skeleton(self.halfwidth, target=target, mtd_level=self.mtd_level, n_doses=n_doses, model=model, **options)


@one_thread
def skeleton(
    halfwidth: float, *, target: float, mtd_level: int, n_doses: int, model: str = "power", **options: float
) -> tuple[float, ...]:
    """Return the skeleton with indifference intervals ``target`` -+ ``halfwidth`` at every dose (dfcrm's ``getprior``).

    Parameters
    ----------
    halfwidth
        Half the width of the indifference interval.
    target
        Target DLT rate.
    mtd_level
        Prior MTD level (from 1); its skeleton value is the target.
    n_doses
        Number of dose levels.
    model
        Kind of the one-parameter curve, such as "power" or "logistic".
    **options
        Settings specific to that curve, such as the ``intercept`` of the logistic curve, 3 by default.

    Returns
    -------
    tuple of float
        One probability per dose, strictly increasing.

    Raises
    ------
    InputError
        If the interval or the skeleton extends beyond (0, 1), the curve is unknown, or it has no such option.

    Examples
    --------
    >>> [round(p, 3) for p in skeleton(0.05, target=0.25, mtd_level=2, n_doses=3)]
    [0.157, 0.25, 0.355]
    """
    target, halfwidth = probability("target", target), number("halfwidth", halfwidth, "a number")
    kind, options = _kind(model, options)
    curve = kind.of_options(**options)
    whole("n_doses", n_doses, 1, MOST_DOSES)
    whole("mtd_level", mtd_level, 1, n_doses)
    if not 0 < halfwidth < min(target, curve.ceiling - target):
        allowed = f"must be above 0 and keep target -+ halfwidth inside (0, {curve.ceiling:.4g})"
        raise InputError(Problem("halfwidth", halfwidth, allowed))
    step = curve.scale(target + halfwidth) - curve.scale(target - halfwidth)
    u = curve.scale(target) + step * (np.arange(1, n_doses + 1) - mtd_level)
    values = np.exp(curve.log_at(u)[0])
    if not (np.all(np.diff(values) > 0) and values[0] > 1e-300):
        raise InputError(Problem("halfwidth", halfwidth, f"too wide: the skeleton {values.tolist()} extends beyond (0, 1)"))
    return tuple(values.tolist())


@one_thread
def indifference_intervals(
    skeleton: tuple[float, ...], *, target: float, model: str = "power", **options: float
) -> dict[str, np.ndarray]:
    """Return the parameter values at which each dose is recommended, and the DLT rates there (dfcrm's ``crmsens``).

    Parameters
    ----------
    skeleton, target, model, **options
        See `skeleton`.

    Returns
    -------
    dict
        ``parameter`` (doses, 2): the values of b between which the dose is closest to the target, the outermost ones
        infinite. ``rate`` (doses, 2): the DLT rate of the lower neighbour at the lower of these values and of the upper
        neighbour at the upper, NaN if there is no neighbour; in the limit of many patients the recommended dose has a
        true rate in this interval (Cheung and Chappell 2002, Biometrics 58:671-674, doi:10.1111/j.0006-341X.2002.00671.x).

    Examples
    --------
    >>> indifference_intervals((0.1, 0.25, 0.4), target=0.25)["rate"].round(3)
    array([[  nan, 0.336],
           [0.164, 0.321],
           [0.179,   nan]])
    """
    target, values = probability("target", target), curve_values("skeleton", skeleton)[0]
    kind, options = _kind(model, options)
    ceiling = kind.of_options(**options).ceiling
    if np.any(np.diff(values) <= 0) or values[0] <= 0 or values[-1] >= ceiling:
        raise InputError(Problem("skeleton", skeleton, f"must be strictly increasing probabilities inside (0, {ceiling:.4g})"))
    settings: dict[str, Any] = {"skeleton": tuple(values.tolist()), **options}
    curve = kind(**settings)
    inner = curve.boundaries(target)
    edges = np.concatenate([[-np.inf], inner, [np.inf]])
    p = curve.probabilities(inner)
    boundary = np.arange(curve.n_doses - 1)
    rate = np.full((curve.n_doses, 2), np.nan)
    rate[1:, 0] = p[boundary, boundary]
    rate[:-1, 1] = p[boundary, boundary + 1]
    return {"parameter": np.column_stack([edges[:-1], edges[1:]]), "rate": rate}


def _kind(model: str, options: Mapping[str, float]) -> tuple[type[OneParameterCurve], dict[str, float]]:
    """Return the curve of this kind, and its options, if it has them."""
    kinds = one_parameter()
    kind = kinds[one_of("model", model, kinds)]
    for name in options:
        if name not in kind.options():
            raise InputError(Problem(name, options[name], f"has no effect with model = {model!r}"))
    return kind, {name: number(name, value, "a number") for name, value in options.items()}
