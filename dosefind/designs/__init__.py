"""Dose-finding designs, one per file, and the registry that gives their names to configs and commands."""

from ..protocol import FromTrial
from .base import Decision, Design, Proposal, Selection
from .blrm import BLRM
from .blrm_course import CourseBLRM
from .boin import BOIN
from .crm import CRM
from .decision_table import DecisionTable
from .i3_plus_3 import I3Plus3
from .interval import AroundTarget, IntervalDesign
from .mtpi2 import MTPI2, Keyboard
from .optimal import Optimal
from .plain import PlainRule, TrialSoFar, design_from_rule
from .rolling_six import RollingSix
from .three_plus_three import ThreePlusThree
from .tite_boin import TITEBOIN
from .tite_crm import TITECRM

__all__ = [
    "BLRM",
    "BOIN",
    "CRM",
    "DESIGNS",
    "MTPI2",
    "TITEBOIN",
    "TITECRM",
    "AroundTarget",
    "CourseBLRM",
    "Decision",
    "DecisionTable",
    "Design",
    "FromTrial",
    "I3Plus3",
    "IntervalDesign",
    "Keyboard",
    "Optimal",
    "PlainRule",
    "Proposal",
    "RollingSix",
    "Selection",
    "ThreePlusThree",
    "TrialSoFar",
    "design_from_rule",
]

DESIGNS: dict[str, type[Design]] = {
    design.kind: design
    for design in (
        ThreePlusThree,
        CRM,
        BOIN,
        BLRM,
        MTPI2,
        Keyboard,
        I3Plus3,
        DecisionTable,
        RollingSix,
        CourseBLRM,
        Optimal,
        TITEBOIN,
        TITECRM,
    )
}
