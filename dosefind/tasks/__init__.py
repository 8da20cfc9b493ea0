"""What people ask of dosefind, one function a command: protocol and data in, labelled result out.

The command line, notebooks and reports call these and nothing below them.
"""

from .analysis import Analysis, analyze
from .comparison import compare
from .sensitivity import sensitivity
from .stamps import stamp
from .steps import NextStep, decide, decision_table, paths

__all__ = ["Analysis", "NextStep", "analyze", "compare", "decide", "decision_table", "paths", "sensitivity", "stamp"]
