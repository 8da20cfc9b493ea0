"""Evaluability for DLT of each patient at a data cutoff date, with the outcome.

``evaluated`` has the records that designs and reports read, ``events`` judges single adverse events, ``serious`` has the events
that put enrolment on hold, ``verdict`` has the rules for one patient, ``cohorts`` groups and replacements, ``judging`` combines
them, and ``safety_set`` has all treated patients with the whole follow-up. Another rule is one function in ``verdict``.
"""

from .courses import Course
from .evaluated import KINDS, MOST_BY_COHORT, OUTSIDE, UNTREATED, Completion, DesignCounts, Evaluated, Followed, Members, Status
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
    "Course",
    "DesignCounts",
    "Evaluated",
    "Followed",
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
