"""What people ask of dosefind, one function a command: protocol and data in, labelled result out.

The command line, notebooks and reports call these and nothing below them.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .analysis import Analysis, analyze
    from .calendar import calendar
    from .comparison import compare
    from .efficacy import settle
    from .endpoints import EndpointSummary, summarize_endpoints
    from .next_dose import NextDose, Recommendation, next_dose
    from .optimum import optimum
    from .priors import compare_priors
    from .sensitivity import sensitivity
    from .stamps import stamp
    from .steps import NextStep, decide, decision_table, paths, select, without_dlts
    from .synthesis import FILES as SYNTHETIC_FILES
    from .synthesis import MEASURED_FILES, Synthetic, synthesize

_HOMES = {
    "MEASURED_FILES": "synthesis",
    "SYNTHETIC_FILES": "synthesis",
    "Analysis": "analysis",
    "EndpointSummary": "endpoints",
    "NextDose": "next_dose",
    "NextStep": "steps",
    "Recommendation": "next_dose",
    "Synthetic": "synthesis",
    "analyze": "analysis",
    "calendar": "calendar",
    "compare": "comparison",
    "compare_priors": "priors",
    "decide": "steps",
    "decision_table": "steps",
    "next_dose": "next_dose",
    "optimum": "optimum",
    "paths": "steps",
    "select": "steps",
    "sensitivity": "sensitivity",
    "settle": "efficacy",
    "stamp": "stamps",
    "summarize_endpoints": "endpoints",
    "synthesize": "synthesis",
    "without_dlts": "steps",
}

__all__ = [
    "MEASURED_FILES",
    "SYNTHETIC_FILES",
    "Analysis",
    "EndpointSummary",
    "NextDose",
    "NextStep",
    "Recommendation",
    "Synthetic",
    "analyze",
    "calendar",
    "compare",
    "compare_priors",
    "decide",
    "decision_table",
    "next_dose",
    "optimum",
    "paths",
    "select",
    "sensitivity",
    "settle",
    "stamp",
    "summarize_endpoints",
    "synthesize",
    "without_dlts",
]


class _Tasks(ModuleType):
    """A module that loads what it names on first use, so that a command loads its own task only."""

    def __setattr__(self, name: str, value: object) -> None:
        # A task may have the name of its module, which importing that module would put in its place.
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), _NAMED.get(name, name))
        setattr(self, name, value)
        return value


# Names under which a task has something that is named otherwise in its module.
_NAMED = {"SYNTHETIC_FILES": "FILES"}
sys.modules[__name__].__class__ = _Tasks
