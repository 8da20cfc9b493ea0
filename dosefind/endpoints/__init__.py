"""Efficacy and quality-of-life endpoints: scores as pure functions, visit windows and baselines, survival with competing events."""

from .scores import asas, child_pugh, cldq, eq5d5l_china, meld, meld_3, meld_na
from .survival import Incidence, Survival, aalen_johansen, kaplan_meier
from .visits import Record, Visit, assign, baseline, midpoint_windows

__all__ = [
    "Incidence",
    "Record",
    "Survival",
    "Visit",
    "aalen_johansen",
    "asas",
    "assign",
    "baseline",
    "child_pugh",
    "cldq",
    "eq5d5l_china",
    "kaplan_meier",
    "meld",
    "meld_3",
    "meld_na",
    "midpoint_windows",
]
