"""The interface of a posterior, for every engine."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .._check import counts
from ..models import Curve
from ..shown import Shown
from ..threads import one_thread, one_thread_methods

__all__ = ["Figure", "Posterior"]


class Figure(NamedTuple):
    """A value with its numerical or Monte Carlo error, arrays of the same shape."""

    value: np.ndarray
    error: np.ndarray


class Posterior(Shown, ABC):
    """The posterior of a dose-toxicity curve after one data set.

    Every engine takes the patients and DLTs as ``n`` and ``y``, which are checked here for all engines, before the engine
    uses them: counts that are not possible in a trial are an `InputError`.

    Attributes
    ----------
    curve
        The curve with its prior.
    n, y : (doses,) arrays
        Patients and DLTs.
    """

    engine: ClassVar[str]
    # Whether its values come from draws, with Monte Carlo standard errors; otherwise their errors are numerical.
    samples: ClassVar[bool]

    curve: Curve
    n: np.ndarray
    y: np.ndarray

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__init__" in vars(cls):
            cls.__init__ = _with_checked_counts(cls.__init__)
        one_thread_methods(cls)

    @abstractmethod
    def moments(self) -> tuple[Figure, Figure]:
        """Return the mean and standard deviation of each dose's DLT probability, ``(doses,)``."""

    @abstractmethod
    def parameters(self) -> tuple[Figure, Figure]:
        """Return the mean and standard deviation of each parameter, ``(parameters,)``."""

    @abstractmethod
    def below(self, rate: float) -> Figure:
        """Return the probability that each dose's DLT probability is below ``rate``, ``(doses,)``."""

    @abstractmethod
    def quantiles(self, probabilities: Sequence[float], at: np.ndarray | None = None) -> np.ndarray:
        """Return quantiles of each dose's DLT probability, ``(doses, probabilities)``.

        For a curve on a dose scale, other coordinates can be given as ``at``.
        """

    @abstractmethod
    def mtd_quantiles(self, target: float, probabilities: Sequence[float]) -> np.ndarray:
        """Return quantiles of the dose amount at which the DLT probability is ``target``, ``(probabilities,)``.

        They are 0 or infinity if further than any dose can be. Only for curves on a dose scale.
        """

    @abstractmethod
    def draws(self, count: int) -> np.ndarray:
        """Return draws of the parameters, ``(chains, draws, parameters)``, about ``count`` in total."""

    @abstractmethod
    def diagnostics(self) -> dict[str, Any]:
        """Return diagnostics of the numerical accuracy: name to number."""

    def problems(self) -> list[str]:
        """Return problems with the numerical accuracy, in words; empty if there are none."""
        return []

    @one_thread
    def mtd(self, target: float) -> Figure:
        """Return the posterior of the MTD as a partition, ``(doses + 1,)``.

        Below the lowest level (p_1 > target), level k (p_k <= target < p_k+1), the top level or above (p_D <= target).
        """
        below = self.below(target)
        edges = np.concatenate([[1.0], below.value, [0.0]])
        error = np.concatenate([[0.0], below.error, [0.0]])
        return Figure(edges[:-1] - edges[1:], np.hypot(error[:-1], error[1:]))


def _with_checked_counts(init: Callable[..., None]) -> Callable[..., None]:
    """Return the constructor of an engine, which receives ``n`` and ``y`` as checked integer arrays."""
    signature = inspect.signature(init)

    @wraps(init)
    def checked(*given: Any, **named: Any) -> None:
        bound = signature.bind(*given, **named)
        values = bound.arguments
        if "n" in values and "y" in values:
            curve = values.get("curve", getattr(values.get("fit"), "curve", None))
            values["n"], values["y"] = counts(values["n"], values["y"], getattr(curve, "n_doses", None))
        init(*bound.args, **bound.kwargs)

    return checked
