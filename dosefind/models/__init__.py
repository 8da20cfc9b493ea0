"""Dose-toxicity curves, one per file, and the registry of their names."""

from .base import Curve, OneParameterCurve
from .cloglog import Cloglog
from .hierarchical import Exchangeable, Exnex, HierarchicalLogistic, TrialDoses
from .logistic import Logistic
from .logistic2 import BivariateNormal, Logistic2
from .power import Power

__all__ = [
    "CURVES",
    "BivariateNormal",
    "Cloglog",
    "Curve",
    "Exchangeable",
    "Exnex",
    "HierarchicalLogistic",
    "Logistic",
    "Logistic2",
    "OneParameterCurve",
    "Power",
    "TrialDoses",
    "one_parameter",
]

CURVES: dict[str, type[Curve]] = {
    curve.kind: curve
    for curve in (
        Power,
        Logistic,
        Cloglog,
        Logistic2,
    )
}


def one_parameter() -> dict[str, type[OneParameterCurve]]:
    """Return the curves available to the CRM, by kind."""
    return {kind: curve for kind, curve in CURVES.items() if issubclass(curve, OneParameterCurve)}
