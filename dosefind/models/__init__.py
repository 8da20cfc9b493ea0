"""Dose-toxicity curves, one file a curve; this registry names them."""

from .base import OneParameterCurve
from .logistic import Logistic
from .power import Power

__all__ = ["CURVES", "Logistic", "OneParameterCurve", "Power"]

CURVES: dict[str, type[OneParameterCurve]] = {"power": Power, "logistic": Logistic}
