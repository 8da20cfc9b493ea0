"""Designs, one file a design; this registry names them for configs and commands."""

from .base import Decision, Design, Proposal, Selection
from .blrm import BLRM
from .boin import BOIN
from .crm import CRM
from .interval import IntervalDesign
from .plain import PlainRule, Trial, design_from_rule
from .three_plus_three import ThreePlusThree

__all__ = [
    "BLRM",
    "BOIN",
    "CRM",
    "DESIGNS",
    "Decision",
    "Design",
    "IntervalDesign",
    "PlainRule",
    "Proposal",
    "Selection",
    "ThreePlusThree",
    "Trial",
    "design_from_rule",
]

DESIGNS: dict[str, type[Design]] = {design.kind: design for design in (ThreePlusThree, CRM, BOIN, BLRM)}
