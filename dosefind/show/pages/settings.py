"""What settings of a config are called in a report: the label that a person gives them, in place of their key."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from ...tasks.stamps import plain
from ...words import _, marked
from ..content import Run, Text, data, filled, text

__all__ = ["SETTINGS", "setting_words", "value_words"]

SETTINGS: dict[str, str] = {
    "record": marked("Trial"),
    "record.id": marked("Registry number"),
    "record.title": marked("Title"),
    "record.population": marked("Population"),
    "record.product": marked("Investigational product"),
    "record.version_date": marked("Date of the protocol version"),
    "record.source": marked("Source"),
    "doses": marked("Doses"),
    "doses.amounts": marked("Dose levels"),
    "doses.unit": marked("Unit of the dose"),
    "doses.reference": marked("Reference dose of the dose-toxicity curve"),
    "doses.reference.amount": marked("Reference dose"),
    "doses.reference.unit": marked("Unit of the reference dose"),
    "doses.tolerance": marked("Largest difference between administered and planned dose (share)"),
    "doses.arms": marked("Dose level of each arm"),
    "treatment": marked("Treatment"),
    "treatment.infusion_days": marked("Study days of the infusions"),
    "treatment.dlt_window_days": marked("Length of the DLT window (days)"),
    "treatment.window": marked("DLT window covers"),
    "treatment.infusion_tolerance_days": marked("Allowed shift of an infusion (days)"),
    "treatment.split_days": marked("Days over which a split infusion counts as one"),
    "treatment.stagger": marked("Staggering interval"),
    "treatment.stagger.days": marked("Staggering interval (days)"),
    "treatment.stagger.levels": marked("Staggered dose levels"),
    "treatment.stagger.patients": marked("Staggered patients"),
    "treatment.no_overlap": marked("Sequential dose groups"),
    "dlt": marked("Definition of a DLT"),
    "dlt.least_grade": marked("Minimum CTCAE grade"),
    "dlt.least_grade_by_term": marked("Minimum grade of single terms"),
    "dlt.excluded_terms": marked("Terms that are not a DLT"),
    "dlt.related": marked("Words for a related event"),
    "dlt.unrelated": marked("Words for an unrelated event"),
    "dlt.not_assessed": marked("Words for a relationship not assessed"),
    "dlt.grade_by_severity": marked("Grade of each severity"),
    "dlt.liver_grading": marked("Grading of liver tests"),
    "evaluability": marked("Evaluability for DLT"),
    "evaluability.dropout": marked("Discontinuation before the end of the DLT window"),
    "evaluability.progression": marked("Progression or rescue treatment in the DLT window"),
    "evaluability.partial_course": marked("Course with missed infusions"),
    "evaluability.least_dose": marked("Minimum share of the planned dose"),
    "evaluability.pooled_parts": marked("Other parts whose patients are included"),
    "evaluability.progression_words": marked("Words for progression or rescue"),
    "evaluability.recorded": marked("Recorded decisions on evaluability"),
    "evaluability.least_infusions": marked("Minimum number of infusions"),
    "evaluability.least_days": marked("Minimum follow-up (days)"),
    "limits": marked("Cohorts and sample size"),
    "limits.cohort_size": marked("Cohort size"),
    "limits.max_n": marked("Maximum sample size"),
    "limits.group": marked("Patients per dose group, minimum and maximum"),
    "limits.start_level": marked("Starting level"),
    "pause": marked("Pause rules"),
    "pause.any_death": marked("Pause after any death"),
    "pause.related_serious": marked("Pause after this number of patients with a related serious event"),
    "pause.boundary": marked("Pause boundary"),
    "pause.boundary.kind": marked("Kind of boundary"),
    "pause.boundary.rate": marked("Acceptable event rate"),
    "pause.boundary.cutoff": marked("Cutoff of the posterior probability"),
    "pause.boundary.a": marked("Beta prior, first parameter"),
    "pause.boundary.b": marked("Beta prior, second parameter"),
    "pause.boundary.least_n": marked("Patients from which the boundary applies"),
    "pause.boundary.max_n": marked("Patients for which the boundary is made"),
    "pause.boundary.alpha": marked("Probability of crossing at the acceptable rate"),
    "pause.event": marked("Event of the boundary"),
    "pause.by": marked("Patients counted together"),
    "target": marked("Target"),
    "target.rate": marked("Target DLT rate"),
    "target.interval": marked("Acceptable DLT rates"),
    "target.mtd_margin": marked("Margin above the target within which the lowest dose can be the MTD"),
    "target.overdose_limit": marked("DLT rate above which a dose is an overdose"),
    "target.over": marked("Period of the target DLT rate"),
    "target.sensitivity": marked("Other target DLT rates"),
    "rp2d": marked("Support for the RP2D"),
    "rp2d.limit": marked("Limit of P(overdose)"),
    "rp2d.rule": marked("Choice among the qualifying doses"),
    "utility": marked("Utilities"),
    "utility.response": marked("Utility of a response without a DLT"),
    "utility.response_and_dlt": marked("Utility of a response with a DLT"),
    "utility.neither": marked("Utility of neither"),
    "utility.dlt": marked("Utility of a DLT without a response"),
    "utility.efficacy": marked("Response rate of each dose"),
    "utility.efficacy_n": marked("Weight of the response rates (patients)"),
    "scenarios": marked("Scenarios of true DLT rates"),
    "binding": marked("Choice of the primary design"),
    "accrual": marked("Accrual"),
    "onset": marked("Time to DLT"),
    "discontinuation": marked("Discontinuation over time"),
    "gates": marked("Gates for escalation"),
    "efficacy": marked("Efficacy"),
    "borrowing": marked("Borrowing from another trial"),
}
"""Labels of settings, by their keys in a config."""

_NAMED = {"designs": marked("Settings of the design {name}"), "curves": marked("Settings of the curve {name}")}


def setting_words(key: str) -> Text:
    """Return the label of a setting, or its key where it has none."""
    if key in SETTINGS:
        return text(_(SETTINGS[key]))
    part, _dot, name = key.partition(".")
    if part in _NAMED:
        return filled(_(_NAMED[part]), name=data(name))
    return (*text(_(SETTINGS[part])), Run(": "), data(name)) if part in SETTINGS else text(data(key))


# Settings that are rates, printed in percent.
_RATES = {
    *("target.rate", "target.interval", "target.mtd_margin", "target.overdose_limit", "target.sensitivity", "rp2d.limit"),
    *("pause.boundary.rate", "pause.boundary.cutoff", "pause.boundary.alpha", "evaluability.least_dose", "doses.tolerance"),
    "utility.efficacy",
}
# Values that a config has as codes.
_CODES: dict[str, dict[str, str]] = {
    "treatment.window": {"course": marked("the whole course of infusions"), "first-infusion": marked("the first infusion only")},
    "treatment.stagger.patients": {
        "every": marked("every patient"),
        "first": marked("patients after the first patient at a dose"),
    },
    "dlt.liver_grading": {"as-recorded": marked("as recorded"), "baseline": marked("relative to an abnormal baseline")},
    "pause.event": {"serious": marked("related serious event, related event of grade 4 or worse, or death"), "dlt": marked("DLT")},
    "pause.by": {"trial": marked("in the whole trial"), "dose": marked("at each dose level")},
    "target.over": {"course": marked("the whole course"), "infusion": marked("each infusion")},
    "rp2d.rule": {"toxicity": marked("the highest"), "utility": marked("the one with the largest expected utility")},
    "evaluability.recorded": {
        "exclude": marked("followed if they exclude a patient without a DLT"),
        "follow": marked("followed if they exclude or include a patient without a DLT"),
    },
    **{
        f"evaluability.{name}": {
            "not-evaluable": marked("not evaluable, replaced"),
            "no-dlt": marked("counts without a DLT"),
            "dlt": marked("counts with a DLT"),
            "weight": marked("replaced; the part of the window followed is in the likelihood"),
        }
        for name in ("dropout", "progression", "partial_course")
    },
}


def value_words(key: str, value: Any) -> str:
    """Return the value of a setting as a person reads it: rates in percent, codes in words."""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, (tuple, list)):
        return ", ".join(value_words(key, one) for one in value)
    if isinstance(value, BaseModel):
        return ", ".join(f"{name} {value_words(f'{key}.{name}', getattr(value, name))}" for name in type(value).model_fields)
    if key in _RATES and isinstance(value, (int, float)):
        return f"{100 * value:.4g}%"
    if key in _CODES and value in _CODES[key]:
        return _(_CODES[key][value])
    return f"{value:g}" if isinstance(value, float) else str(plain(value))
