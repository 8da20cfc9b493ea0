"""Dose-toxicity curves, one file a curve; this registry names them."""

from .base import Curve, OneParameterCurve
from .hierarchical import Exchangeable, Exnex, HierarchicalLogistic, TrialDoses
from .logistic import Logistic
from .logistic2 import BivariateNormal, Logistic2
from .power import Power

__all__ = [
    "CURVES",
    "ONE_PARAMETER",
    "BivariateNormal",
    "Curve",
    "Exchangeable",
    "Exnex",
    "HierarchicalLogistic",
    "Logistic",
    "Logistic2",
    "OneParameterCurve",
    "Power",
    "TrialDoses",
]

CURVES: dict[str, type[Curve]] = {curve.kind: curve for curve in (Power, Logistic, Logistic2)}
# Those that the CRM takes.
ONE_PARAMETER: dict[str, type[OneParameterCurve]] = {
    kind: curve for kind, curve in CURVES.items() if issubclass(curve, OneParameterCurve)
}
