"""What people ask of dosefind, one function a command: protocol and data in, labelled result out.

The command line, notebooks and reports call these and nothing below them.
"""

from .analysis import Analysis, analyze
from .comparison import compare
from .next_dose import NextDose, Proposal, next_dose
from .sensitivity import sensitivity
from .stamps import stamp
from .steps import NextStep, decide, decision_table, paths

__all__ = [
    "Analysis",
    "NextDose",
    "NextStep",
    "Proposal",
    "analyze",
    "compare",
    "decide",
    "decision_table",
    "next_dose",
    "paths",
    "sensitivity",
    "stamp",
]
