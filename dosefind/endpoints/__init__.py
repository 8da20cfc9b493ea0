"""Efficacy and quality-of-life endpoints: scores as pure functions, visit windows and baselines, survival, and their settings."""

from .censored import Mean, censored_mean, mean_interval
from .schedule import Endpoints, Parameter, PlannedVisit
from .scores import asas, child_pugh, cldq, eq5d5l_china, meld, meld_3, meld_na
from .survival import Incidence, Survival, aalen_johansen, kaplan_meier
from .visits import Record, Visit, assign, baseline, baseline_records, given_before, midpoint_windows, windows_of

__all__ = [
    "Endpoints",
    "Incidence",
    "Mean",
    "Parameter",
    "PlannedVisit",
    "Record",
    "Survival",
    "Visit",
    "aalen_johansen",
    "asas",
    "assign",
    "baseline",
    "baseline_records",
    "censored_mean",
    "child_pugh",
    "cldq",
    "eq5d5l_china",
    "given_before",
    "kaplan_meier",
    "mean_interval",
    "meld",
    "meld_3",
    "meld_na",
    "midpoint_windows",
    "windows_of",
]
