"""Pages of the reference: every public name, from its docstring. A name in no group stops the build."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path
from typing import Any

import dosefind

__all__ = ["GROUPS", "write"]

# Page: title, introduction, names. A name of the package is written alone, others with their module.
GROUPS: dict[str, tuple[str, str, list[str]]] = {
    "tasks": (
        "From a protocol to a result",
        "One function per question: from protocol and data to a labelled result. The command line calls the same functions.",
        [
            *(
                "load_trial",
                "Trial",
                "load_protocol",
                "Protocol",
                "compare",
                "decision_table",
                "paths",
                "decide",
                "NextStep",
                "select",
            ),
            *(
                "analyze",
                "Analysis",
                "sensitivity",
                "compare_priors",
                "optimum",
                "read_result",
                "report",
                "protocol_text",
                "show.Report",
                "selfcheck",
                "SelfCheck",
                "validation_record",
                "explore",
                "Explorer",
                "InputError",
            ),
        ],
    ),
    "patients": (
        "Patients and the next dose",
        "From a data set to evaluability for DLT and the next dose.",
        [
            *("read_patients", "intake.read_counts", "patients.Patients", "patients.Patient", "evaluate", "evaluability.Evaluated"),
            *("evaluability.Status", "next_dose", "NextDose", "decisions.record_decision", "synthesize", "Synthetic"),
            *("Adjudicated", "record_adjudication", "read_adjudications", "adjudications.in_force"),
            *("adjudications.event_to_adjudicate", "adjudications.EventKey", "trial.Administered"),
        ],
    ),
    "endpoints": (
        "Endpoints",
        "From measurements to results by dose and visit; and the pure functions: scores from measured values, visit windows and "
        "baselines, survival with competing events, means of censored values.",
        [
            *("read_measurements", "Measurements", "intake.measurements.Measurement", "summarize_endpoints", "EndpointSummary"),
            *("endpoints.Endpoints", "endpoints.Parameter", "endpoints.PlannedVisit"),
            *("endpoints.meld", "endpoints.meld_na", "endpoints.meld_3", "endpoints.child_pugh", "endpoints.eq5d5l_china"),
            *("endpoints.cldq", "endpoints.asas", "endpoints.Record", "endpoints.Visit", "endpoints.midpoint_windows"),
            *("endpoints.assign", "endpoints.baseline", "endpoints.kaplan_meier", "endpoints.Survival"),
            *("endpoints.aalen_johansen", "endpoints.Incidence", "endpoints.windows_of", "endpoints.baseline_records"),
            *("endpoints.given_before", "endpoints.censored_mean", "endpoints.mean_interval", "endpoints.Mean"),
        ],
    ),
    "efficacy": (
        "Efficacy and dose selection",
        "Outcomes of the efficacy endpoint, their posteriors, expected utility, and randomised comparisons of doses.",
        [
            *("response_outcomes", "efficacy.responses.Responses", "efficacy.responses.ResponseOutcome", "protocol.Efficacy"),
            *("efficacy.binary.IndependentPrior", "efficacy.binary.Plateau", "efficacy.binary.LogisticQuadratic"),
            *("efficacy.binary.BetaResponse", "efficacy.binary.CurveResponse"),
            *("efficacy.continuous.ChangePrior", "efficacy.continuous.ChangePosterior"),
            *("efficacy.utility.expected_utility", "efficacy.utility.ExpectedUtility", "protocol.OutcomeUtilities"),
            *(
                "settle",
                "randomised_stage",
                "patients_needed",
                "efficacy.randomised.RandomisedStage",
                "efficacy.randomised.two_dose_stage",
            ),
        ],
    ),
    "designs": (
        "Designs",
        "Settings are given by name. Every design has the shared limits in addition to its own; `Design` at the end is the base of "
        "all "
        "designs, including your own.",
        [
            *(
                "ThreePlusThree",
                "CRM",
                "BOIN",
                "BLRM",
                "MTPI2",
                "Keyboard",
                "I3Plus3",
                "DecisionTable",
                "RollingSix",
                "CourseBLRM",
                "Optimal",
                "TITEBOIN",
                "TITECRM",
            ),
            "design_from_rule",
            *(
                "designs.TrialSoFar",
                "designs.Design",
                "designs.IntervalDesign",
                "designs.AroundTarget",
                "designs.model_based.ModelBased",
                "designs.FromTrial",
            ),
            *("designs.Proposal", "designs.Decision", "designs.Selection", "designs.replay.state_after"),
            *("designs.replay.departures", "trial.Departure", "States"),
        ],
    ),
    "operating": (
        "Operating characteristics",
        "Exact enumeration, Monte Carlo simulation, and trials on a calendar.",
        [
            *("lattice", "Lattice", "simulate", "calendar"),
            *("timing.Accrual", "timing.Onset", "timing.Discontinuation", "timing.Gates"),
        ],
    ),
    "curves": (
        "Curves and priors",
        "Dose-toxicity curves with their priors, and functions that derive a skeleton or a prior. `Curve` at the end is the base "
        "of your own curves.",
        [
            *(
                "Power",
                "Logistic",
                "Logistic2",
                "Hazard",
                "BivariateNormal",
                "skeleton",
                "indifference_intervals",
                "prior_from_quantiles",
            ),
            *("minimally_informative_prior", "models.elicited.ElicitedPrior", "models.base.OneParameterCurve", "models.Curve"),
        ],
    ),
    "posteriors": (
        "Posteriors",
        "The two engines behind `analyze`, for direct use.",
        [
            *("posterior.base.Posterior", "posterior.base.Figure", "posterior.exact.ExactFit", "posterior.exact.ExactPosterior"),
            *("posterior.mcmc.NutsFit", "posterior.mcmc.NutsPosterior", "posterior.mcmc.NutsSettings"),
        ],
    ),
    "hierarchical": (
        "Several trials",
        "Trials that borrow from one another.",
        ["HierarchicalLogistic", "TrialDoses", "Exchangeable", "Exnex", "HierarchicalFit", "HierarchicalPosterior"],
    ),
    "calibration": (
        "Calibration",
        "Comparison of each posterior with that of its model.",
        ["calibrate", "calibration.engines.Engine", "calibration.bands.bands"],
    ),
}


def write(source: Path) -> None:
    """Write the pages into ``reference/api``."""
    folder = source / "reference" / "api"
    folder.mkdir(parents=True)
    plots = import_module("dosefind.plots")
    pictures = [f"plots.{name}" for name in plots.__all__]
    groups = GROUPS | {"plots": ("Figures", "Each takes a result and returns matplotlib axes.", pictures)}
    rest = {"progress": ("Jupyter", "Additions for notebooks.", ["progress"])} if "progress" in dosefind.__all__ else {}
    groups |= rest
    missing = set(dosefind.__all__) - {"__version__", "plots"} - {name for _, _, names in groups.values() for name in names}
    if missing:
        raise LookupError(f"docs/api.py puts no public name of dosefind in a group: {', '.join(sorted(missing))}")
    for page, (title, says, names) in groups.items():
        parts = [title, "=" * len(title), "", says, "", *(line for name in names for line in _entry(name))]
        (folder / f"{page}.rst").write_text("\n".join(parts) + "\n", encoding="utf-8")
    listing = "\n   ".join(groups)
    head = "Python\n======\n\n``import dosefind as dsf`` is fast: a name is loaded on first use.\n\n"
    (folder / "index.rst").write_text(f"{head}.. toctree::\n   :maxdepth: 2\n\n   {listing}\n", encoding="utf-8")


def _entry(name: str) -> list[str]:
    module, _, last = name.rpartition(".")
    home = f"dosefind.{module}" if module else "dosefind"
    value = getattr(import_module(home), last)
    if not inspect.isclass(value):
        return [f".. autofunction:: {home}.{last}", ""]
    own = ", ".join(_documented(value))
    return [f".. autoclass:: {home}.{last}", *([f"   :members: {own}"] if own else []), ""]


def _documented(kind: type[Any]) -> list[str]:
    """Return the names that a class itself defines and documents."""
    return [
        name
        for name, value in vars(kind).items()
        if not name.startswith(("_", "model_")) and _is_function(value) and _function(value).__doc__
    ]


def _is_function(value: Any) -> bool:
    """Return whether a member is a method or a property."""
    return inspect.isfunction(_function(value))


def _function(value: Any) -> Any:
    """Return the function behind a method or a property."""
    for name in ("fget", "func", "__func__"):
        value = getattr(value, name, None) or value
    return value
