"""What people ask of dosefind, one function a command: protocol and data in, labelled result out.

The command line, notebooks and reports call these and nothing below them.
"""

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
