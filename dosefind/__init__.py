"""Phase 1 dose-finding trials: exact comparison of designs, dose decisions, and posteriors with stated errors.

Names are loaded on first use, so that importing the package is fast.
"""

from __future__ import annotations

import importlib
from typing import Any

from .shown import shown_by

__version__ = "0.1.0"

_HOMES = {
    "Adjudicated": "adjudications",
    "Analysis": "tasks",
    "BLRM": "designs",
    "BOIN": "designs",
    "BivariateNormal": "models",
    "CRM": "designs",
    "CourseBLRM": "designs",
    "DecisionTable": "designs",
    "EndpointSummary": "tasks",
    "Exchangeable": "models",
    "Exnex": "models",
    "Explorer": "show.explore",
    "Hazard": "models",
    "HierarchicalFit": "posterior.hierarchical",
    "HierarchicalLogistic": "models",
    "HierarchicalPosterior": "posterior.hierarchical",
    "I3Plus3": "designs",
    "InputError": "_check",
    "Keyboard": "designs",
    "Optimal": "designs",
    "Lattice": "operating.lattice",
    "Logistic": "models",
    "Logistic2": "models",
    "MTPI2": "designs",
    "Measurements": "intake",
    "NextDose": "tasks",
    "NextStep": "tasks",
    "Power": "models",
    "Protocol": "protocol",
    "RollingSix": "designs",
    "SelfCheck": "validation",
    "States": "trial",
    "Synthetic": "tasks",
    "TITEBOIN": "designs",
    "TITECRM": "designs",
    "ThreePlusThree": "designs",
    "Trial": "config",
    "TrialDoses": "models",
    "analyze": "tasks",
    "calibrate": "calibration.sbc",
    "calendar": "tasks",
    "optimum": "tasks",
    "compare": "tasks",
    "compare_priors": "tasks",
    "decide": "tasks",
    "decision_table": "tasks",
    "design_from_rule": "designs",
    "evaluate": "evaluability",
    "explore": "show.explore",
    "indifference_intervals": "models.elicitation",
    "lattice": "operating.lattice",
    "load_protocol": "config",
    "load_trial": "config",
    "minimally_informative_prior": "models.elicited",
    "next_dose": "tasks",
    "paths": "tasks",
    "patients_needed": "efficacy.randomised",
    "plots": "plots",
    "prior_from_quantiles": "models.elicited",
    "progress": "show.notebook",
    "protocol_text": "show",
    "randomised_stage": "efficacy.randomised",
    "read_adjudications": "adjudications",
    "read_measurements": "intake",
    "read_patients": "intake",
    "read_result": "results",
    "record_adjudication": "adjudications",
    "report": "show",
    "response_outcomes": "efficacy.responses",
    "select": "tasks",
    "selfcheck": "validation",
    "sensitivity": "tasks",
    "settle": "tasks",
    "simulate": "operating.simulation",
    "skeleton": "models.elicitation",
    "summarize_endpoints": "tasks",
    "synthesize": "tasks",
    "validation_record": "show",
}

__all__ = ["__version__", *_HOMES]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'dosefind' has no attribute {name!r}")
    home = importlib.import_module(f".{_HOMES[name]}", __name__)
    # A name equal to its module is the module itself.
    value = home if _HOMES[name] == name else getattr(home, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})


# What shows results in a notebook is loaded where one is shown.
shown_by(lambda result: importlib.import_module(".show.notebook", __name__).html(result))
