"""Every result that is shown: its label, unit, digits and definition, each in one place.

A definition has places for what it depends on, such as ``{target}``; `defined` fills them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .words import _, marked

__all__ = ["OPERATING", "Quantity", "defined", "written"]


@dataclass(frozen=True)
class Quantity:
    """A result.

    Attributes
    ----------
    definition
        What it is, with places for what it depends on.
    label
        What it is called where it is shown; empty for one that is only saved.
    unit
        "%": a probability, a fraction between 0 and 1 that is printed in percent; else what is counted.
    digits
        Decimals that are printed.
    """

    definition: str
    label: str = ""
    unit: Literal["%", "patients", "DLTs", "days", "responses", ""] = ""
    digits: int = 1


OPERATING: dict[str, Quantity] = {
    "p_true": Quantity(marked("true DLT rate of the dose in this scenario"), marked("true DLT rate"), "%"),
    "true_mtd": Quantity(
        marked(
            "dose whose true DLT rate is nearest to {target}, the lower dose on ties; none if the lowest dose has a rate above "
            "{too_far} (the target plus the margin target.mtd_margin = {margin})"
        ),
        marked("true MTD"),
    ),
    "true_mtd_by_target": Quantity(marked("true MTD for another target, with the margin in proportion")),
    "highest_mtd": Quantity(
        marked("highest dose whose true DLT rate is at most {target}, else none"), marked("alternative true MTD (alt.)")
    ),
    "selected": Quantity(marked("probability that the design selects this dose, or none, as MTD"), marked("selected as MTD"), "%"),
    "not_reached": Quantity(
        marked(
            "probability that the top dose is selected and the design's rule would have escalated from it (CRM: its estimate there "
            "lies below the rate stated in its rules; a design made by design_from_rule never reports this)"
        ),
        marked("MTD not reached"),
        "%",
    ),
    "correct": Quantity(marked("probability that the true MTD is selected"), marked("correct selection"), "%"),
    "correct_highest": Quantity(marked("probability that the alternative true MTD is selected"), marked("correct (alt.)"), "%"),
    "n_acceptable": Quantity(marked("number of doses with a true DLT rate in [{low}, {high})")),
    "acceptable": Quantity(
        marked("probability that a dose with a true DLT rate in [{low}, {high}) is selected; - where there is no such dose"),
        marked("acceptable dose"),
        "%",
    ),
    "under_selected": Quantity(
        marked("probability that a dose below the true MTD is selected, or no dose where there is an MTD"),
        marked("below the MTD"),
        "%",
    ),
    "over_selected": Quantity(
        marked("probability that a dose above the true MTD is selected, or any dose where there is no MTD"),
        marked("above the MTD"),
        "%",
    ),
    "overdose_selected": Quantity(
        marked("probability that an overdose is selected: a dose with a true DLT rate above {limit}"),
        marked("overdose"),
        "%",
    ),
    "patients": Quantity(marked("expected number of patients treated at the dose"), marked("patients"), "patients"),
    "dlts": Quantity(marked("expected number of DLTs at the dose"), marked("DLTs"), "DLTs", 2),
    "responses": Quantity(marked("expected number of responses at the dose"), marked("responses"), "responses", 2),
    "treated_from": Quantity(marked("expected number of patients treated at the dose or above")),
    "max_n_per_dose": Quantity(marked("most patients that the design treats at one dose; 0 for no limit")),
    "mean_n": Quantity(marked("expected total number of patients"), marked("total patients"), "patients"),
    "sample_size": Quantity(marked("probability of this total number of patients")),
    "above_mtd": Quantity(
        marked("expected number of patients treated above the true MTD"), marked("patients above MTD"), "patients"
    ),
    "any_dlt": Quantity(marked("probability of at least one DLT in the trial"), marked("any DLT"), "%"),
    "over_60": Quantity(
        marked("probability that more than 60% of the patients are treated at doses with a true DLT rate above {limit}"),
        marked(">60% overdosed"),
        "%",
    ),
    "over_80": Quantity(
        marked("probability that more than 80% of the patients are treated at doses with a true DLT rate above {limit}"),
        marked(">80% overdosed"),
        "%",
    ),
    "days": Quantity(
        marked(
            "expected minimum duration in days: every cohort waits for the DLT windows of the one before, and patients arrive as "
            "soon as they are allowed"
        ),
        marked("days"),
        "days",
        0,
    ),
    "stopped": Quantity(
        marked(
            "probability that the trial ends for this reason; a trial that ends for a reason other than safety can still select "
            "no dose"
        )
    ),
    "selected_by_target": Quantity(
        marked("selected as MTD, each design made anew for another target as far as its own settings leave that open")
    ),
    "correct_by_target": Quantity(
        marked(
            "probability that the true MTD for that target is selected; missing where a design chooses by an interval that does "
            "not contain the target"
        )
    ),
    "reference_selected": Quantity(
        marked(
            "non-parametric optimal benchmark: selection with every patient's outcome known at every dose, at the same maximum "
            "sample size: the dose whose share of DLTs is nearest to {target}; of two shares equally far below and above, such as "
            "4 and 5 in 18 from 0.25, the lower; of doses with equal counts the highest where their share is below the target, "
            "else the lowest; none if the lowest dose has a share above {too_far} (the target plus the margin target.mtd_margin = "
            "{margin}); a benchmark, not a bound"
        ),
        marked("benchmark"),
        "%",
    ),
    "reference_correct": Quantity(marked("probability that the benchmark selects the true MTD"), marked("benchmark"), "%"),
    "reference_correct_highest": Quantity(
        marked(
            "probability that the highest dose whose share of DLTs is at most the target, a choice other than the benchmark's, is "
            "the alternative true MTD"
        ),
        marked("benchmark, correct (alt.)"),
        "%",
    ),
}
"""Operating characteristics of a design, by their names in `dosefind.compare`'s result."""


def defined(quantities: Mapping[str, Quantity], **values: Any) -> dict[str, str]:
    """Return the definition of each quantity, with the values that it depends on."""
    return {name: _(quantity.definition).format(**values) for name, quantity in quantities.items()}


def written(quantity: Quantity, value: float, error: float | None = None) -> str:
    """Return a value as it is printed, with its standard error where it has one.

    Examples
    --------
    >>> written(OPERATING["correct"], 0.3751)
    '37.5'
    >>> written(OPERATING["correct"], 0.3751, 0.0048)
    '37.5 \u00b10.5'
    """
    scale = 100 if quantity.unit == "%" else 1
    text = f"{scale * value:.{quantity.digits}f}"
    return text if error is None else f"{text} \u00b1{scale * error:.1g}"
