"""Which patients are evaluable for DLT at a data cutoff, and with which outcome.

``evaluated`` has the records that designs and reports read, ``events`` judges single adverse events, ``serious`` has the events
that hold enrolment, ``verdict`` the rules for one patient, ``cohorts`` groups and replacements, ``judging`` puts them together, and
``safety_set`` has all treated patients with the whole follow-up. A further rule is one function in ``verdict``.
"""

from .evaluated import KINDS, MOST_BY_COHORT, OUTSIDE, UNTREATED, Completion, DesignCounts, Evaluated, Members, Status
from .events import Question
from .judging import evaluate, known_by
from .safety_set import ALL, HIDDEN, NO_LEVEL, SafetyEvent, UnseenSerious, dose_groups, safety_events, safety_set, unseen_serious
from .serious import SeriousEvent
from .verdict import recorded_reason

__all__ = [
    "ALL",
    "HIDDEN",
    "KINDS",
    "MOST_BY_COHORT",
    "NO_LEVEL",
    "OUTSIDE",
    "UNTREATED",
    "Completion",
    "DesignCounts",
    "Evaluated",
    "Members",
    "Question",
    "SafetyEvent",
    "SeriousEvent",
    "Status",
    "UnseenSerious",
    "dose_groups",
    "evaluate",
    "known_by",
    "recorded_reason",
    "safety_events",
    "safety_set",
    "unseen_serious",
]
