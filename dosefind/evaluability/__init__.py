"""Which patients are evaluable for DLT at a data cutoff, and with which outcome.

``evaluated`` has the records that designs and reports read, ``serious`` the events that hold enrolment, ``verdict`` the rules for
one patient, ``cohorts`` groups and replacements, ``judging`` puts them together. A further rule is one function in ``verdict``.
"""

from .evaluated import KINDS, OUTSIDE, UNTREATED, Completion, DesignCounts, Evaluated, Members, Status
from .judging import evaluate, known_by
from .serious import SeriousEvent

__all__ = [
    "KINDS",
    "OUTSIDE",
    "UNTREATED",
    "Completion",
    "DesignCounts",
    "Evaluated",
    "Members",
    "SeriousEvent",
    "Status",
    "evaluate",
    "known_by",
]
