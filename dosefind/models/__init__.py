"""Dose-toxicity curves, one per file, and the registry of their names."""

from .base import Curve, OneParameterCurve
from .cloglog import Cloglog
from .hazard import Hazard, Observed
from .hierarchical import Exchangeable, Exnex, HierarchicalLogistic, TrialDoses
from .hierarchical_hazard import Exposed, HierarchicalHazard, exposed
from .logistic import Logistic
from .logistic2 import Logistic2
from .power import Power
from .two_parameter import BivariateNormal, TwoParameterCurve

__all__ = [
    "CURVES",
    "BivariateNormal",
    "Cloglog",
    "Curve",
    "Exchangeable",
    "Exnex",
    "Exposed",
    "Hazard",
    "HierarchicalHazard",
    "HierarchicalLogistic",
    "Logistic",
    "Logistic2",
    "Observed",
    "OneParameterCurve",
    "Power",
    "TrialDoses",
    "TwoParameterCurve",
    "exposed",
    "one_parameter",
]

CURVES: dict[str, type[Curve]] = {
    curve.kind: curve
    for curve in (
        Power,
        Logistic,
        Cloglog,
        Logistic2,
        Hazard,
    )
}


def one_parameter() -> dict[str, type[OneParameterCurve]]:
    """Return the curves available to the CRM, by kind."""
    return {kind: curve for kind, curve in CURVES.items() if issubclass(curve, OneParameterCurve)}
