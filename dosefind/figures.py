"""Every result that is shown: its label, unit, digits and definition, each in one place.

A definition has places for what it depends on, such as ``{target}``; `defined` fills them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from .words import _, marked

__all__ = [
    "BORROWING",
    "CALENDAR",
    "EFFICACY",
    "ENDPOINTS",
    "ESTIMATES",
    "OPERATING",
    "OPTIMUM",
    "WAITING",
    "Quantity",
    "defined",
    "in_percent",
    "percent",
    "written",
]


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
            "{too_far} (the target plus a margin of {margin})"
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
            "lies below the rate stated in its rules; a design made from a rule of your own never reports this)"
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
            "expected minimum duration in days: each cohort starts when the DLT windows of the previous cohort have ended, and "
            "patients are enrolled as early as allowed"
        ),
        marked("min. days"),
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
            "else the lowest; none if the lowest dose has a share above {too_far} (the target plus a margin of {margin}); a "
            "benchmark, not a bound"
        ),
        marked("benchmark"),
        "%",
    ),
    "reference_correct": Quantity(
        marked("probability that the benchmark selects the true MTD"), marked("benchmark, correct selection"), "%"
    ),
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

CALENDAR: dict[str, Quantity] = {
    "p_true": OPERATING["p_true"],
    "true_mtd": Quantity(
        marked(
            "dose whose true DLT rate is nearest to the target, the lower dose on ties; none if the lowest dose is too far above it"
        ),
        marked("true MTD"),
    ),
    "reads": Quantity(
        marked("whether the design decides from complete outcomes only (complete) or also with outcomes pending (pending)")
    ),
    "title": Quantity(marked("title of the design with its rule, where several rules have one name, otherwise empty")),
    "on_complete_data": Quantity(marked("the same design deciding on complete data only, empty if there is none")),
    "days": Quantity(
        marked("days from the first patient's start to the last outcome that the trial needed, mean"), marked("days"), "days", 0
    ),
    "days_quantile": Quantity(marked("quantiles of that duration over {trials} trials"), marked("days, 10% to 90%"), "days", 0),
    "days_decided": Quantity(
        marked(
            "that duration for the primary design, mean, if a cohort ended, or its last outcomes were not awaited, where no "
            "outcome still open could change the decision"
        ),
        marked("days, cohorts ended once decided"),
        "days",
        0,
    ),
    "last_start": Quantity(marked("days from the first start to the last start, mean"), marked("days to last start"), "days", 0),
    "turned_away": Quantity(
        marked("candidates who arrived while no patient could start and the queue was full, until the end of the trial, mean"),
        marked("turned away"),
        "patients",
    ),
    "gone": Quantity(marked("candidates who waited and left, mean"), marked("left the queue"), "patients"),
    "waiting": Quantity(
        marked("days that a patient waited from arrival to start, mean over the patients of a trial, then over trials"),
        marked("waiting days"),
        "days",
    ),
    "closed": Quantity(
        marked("days on which the trial needed a patient or an outcome and no candidate could start, mean"),
        marked("days closed"),
        "days",
        0,
    ),
    "decisions": Quantity(
        marked(
            "decisions to treat at a dose or to stop, mean: one per cohort for a design that waits for complete outcomes, one per "
            "patient for a design that decides with outcomes pending"
        ),
        marked("decisions"),
    ),
    "with_pending": Quantity(marked("decisions made while outcomes were pending, mean"), marked("with outcomes pending")),
    "bold": Quantity(
        marked(
            "decisions with outcomes pending that complete outcomes of the same patients would have reversed to a lower dose or a "
            "stop, mean"
        ),
        marked("too bold"),
        digits=2,
    ),
    "cautious": Quantity(
        marked(
            "decisions with outcomes pending that complete outcomes of the same patients would have reversed to a higher dose, mean"
        ),
        marked("too cautious"),
        digits=2,
    ),
    "above": Quantity(
        marked(
            "patients started on a decision with outcomes pending at a dose that complete outcomes of the patients before them "
            "would have closed, mean; 0 for a design that awaits outcomes, whatever is found among the patients of one cohort"
        ),
        marked("started at a closed dose"),
        "patients",
        2,
    ),
    "lost": Quantity(
        marked("patients who discontinued before their assessment period ended, are not evaluable and were replaced, mean"),
        marked("replaced"),
        "patients",
    ),
    "evaluable": Quantity(
        marked("probability that a patient is evaluable, given discontinuation and how patients who discontinue are handled"),
        marked("evaluable"),
        "%",
    ),
    "rate_counted": Quantity(
        marked(
            "DLT rate among evaluable patients, as they are counted; with patients who discontinue replaced it exceeds the true "
            "DLT rate, because an early DLT is seen and a patient without a DLT must stay to the end"
        ),
        marked("DLT rate as counted"),
        "%",
    ),
    "unfinished": Quantity(marked("probability that candidates run out before the trial ends"), marked("unfinished"), "%"),
    "mean_n": Quantity(marked("evaluable patients, mean"), marked("patients"), "patients"),
    "patients": OPERATING["patients"],
    "dlts": OPERATING["dlts"],
    "selected": OPERATING["selected"],
    "untried": Quantity(marked("probability that a dose without patients is selected"), marked("untried dose"), "%"),
    "correct": OPERATING["correct"],
    "overdose_selected": Quantity(
        marked("probability that an overdose is selected: a dose with a true DLT rate above the limit of the config"),
        marked("overdose"),
        "%",
    ),
}
"""Operating characteristics of a design on a calendar, by their names in `dosefind.calendar`'s result."""

ESTIMATES: dict[str, Quantity] = {
    "n": Quantity(marked("patients treated whose outcome is known"), marked("patients"), "patients", 0),
    "dlts": Quantity(marked("patients with a DLT"), marked("DLTs"), "DLTs", 0),
    "mean": Quantity(marked("posterior mean of the DLT rate"), marked("mean"), "%"),
    "sd": Quantity(marked("posterior standard deviation of the DLT rate"), marked("SD"), "%"),
    "median": Quantity(marked("posterior median of the DLT rate"), marked("median"), "%"),
    "lower": Quantity(marked("2.5% quantile of the DLT rate: lower end of the 95% interval"), marked("95% interval, lower"), "%"),
    "upper": Quantity(marked("97.5% quantile of the DLT rate: upper end of the 95% interval"), marked("95% interval, upper"), "%"),
    "p_under": Quantity(
        marked("probability that the DLT rate is below the target interval, [{low}, {high})"), marked("P(underdose)"), "%"
    ),
    "p_target": Quantity(
        marked("probability that the DLT rate is in the target interval, [{low}, {high})"), marked("P(target)"), "%"
    ),
    "p_over": Quantity(marked("probability that the DLT rate is {high} or more"), marked("P(overdose)"), "%"),
    "prior_mean": Quantity(marked("prior mean of the DLT rate"), marked("prior mean"), "%"),
    "prior_p_over": Quantity(marked("P(overdose) before any data"), marked("prior P(overdose)"), "%"),
    "prior_effective_n": Quantity(
        marked("prior effective sample size (ESS) at the dose: that of the beta prior with the same mean and variance"),
        marked("prior ESS"),
        "patients",
    ),
    "upper_limit": Quantity(
        marked(
            "one-sided {confidence} upper limit of the DLT rate from the patients treated at that dose alone (Clopper-Pearson), as "
            "if their number had been fixed in advance"
        ),
        marked("upper limit, patients at this dose only"),
        "%",
    ),
    "mtd": Quantity(
        marked("posterior probability of the MTD: below the lowest level, at a level, at the top level or above"),
        marked("posterior of the MTD"),
        "%",
    ),
    "prior_mtd": Quantity(marked("probability of the MTD before any data"), marked("prior of the MTD"), "%"),
    "mtd_amount": Quantity(
        marked("quantile of the dose at which the DLT rate is the target"), marked("dose at the target DLT rate")
    ),
    "parameter_mean": Quantity(marked("posterior mean of the parameter")),
    "parameter_sd": Quantity(marked("posterior standard deviation of the parameter")),
    "utility": Quantity(
        marked(
            "expected utility of a patient's outcome at the dose, from 0 to 100, by the utilities and the efficacy of the config"
        ),
        marked("expected utility"),
    ),
    "utility_sd": Quantity(
        marked("standard deviation of that utility, from the uncertainty about toxicity and efficacy"), marked("SD of the utility")
    ),
    "p_best": Quantity(
        marked("probability that the dose has the largest utility of all, by draws"), marked("P(largest utility)"), "%"
    ),
    "prior_effective_n_alone": Quantity(
        marked("prior effective sample size (ESS) at the dose without the other trials' data"),
        marked("ESS without the other trials"),
        "patients",
    ),
    "borrowed_n": Quantity(
        marked(
            "effective sample size (ESS) that the other trials' data add at the dose: the ESS before this trial's own data, with "
            "them minus without them"
        ),
        marked("ESS borrowed"),
        "patients",
    ),
    "tau_mean": Quantity(
        marked("posterior mean of the standard deviation of the parameter between trials"), marked("between-trial SD"), digits=3
    ),
    "tau_prior_mean": Quantity(marked("between-trial SD before any data"), marked("between-trial SD, prior"), digits=3),
    "p_exchangeable": Quantity(
        marked("posterior probability that the trial is exchangeable with the others"), marked("P(exchangeable)"), "%"
    ),
    "p_exchangeable_prior": Quantity(marked("P(exchangeable) before any data"), marked("P(exchangeable), prior"), "%"),
    "p_over_by_curve": Quantity(
        marked("probability that the DLT rate is {high} or more under each curve, by quadrature"),
        marked("P(overdose) by curve"),
        "%",
    ),
    "rp2d_by_curve": Quantity(marked("dose within the limit by the same rule under each curve"), marked("dose within the limit")),
    "period_mean": Quantity(
        marked("posterior mean of the DLT rate in the period from the first infusion, background included (total risk)"),
        marked("total risk"),
        "%",
    ),
    "period_excess": Quantity(
        marked("that DLT rate minus the probability of a DLT from the background alone (excess risk)"), marked("excess risk"), "%"
    ),
    "period_p_over": Quantity(
        marked("probability that the DLT rate in the period is {high} or more"), marked("P(overdose) in the period"), "%"
    ),
    "period_background": Quantity(
        marked("probability of a DLT in the period from the background alone"), marked("background risk"), "%"
    ),
    "extrapolated": Quantity(
        marked(
            "share of the planned exposure of the patients treated at the dose that has not been observed; after a DLT none is "
            "planned"
        ),
        marked("extrapolated"),
        "%",
    ),
    "reading_mean": Quantity(
        marked("posterior mean of the DLT rate with the courses read in this way"), marked("DLT rate by reading"), "%"
    ),
    "reading_p_over": Quantity(
        marked("probability that the DLT rate is {high} or more with the courses read in this way"),
        marked("P(overdose) by reading"),
        "%",
    ),
    "conclusion": Quantity(
        marked(
            "predictive probability that the design selects the dose, or none, as MTD at its planned end, given the data now, "
            "under the posterior of the curve used"
        ),
        marked("predicted conclusion"),
        "%",
    ),
    "conclusion_not_reached": Quantity(
        marked("predictive probability that the design selects the top dose and would have escalated from it"),
        marked("MTD not reached"),
        "%",
    ),
}
"""What a posterior says, by the names in `dosefind.analyze`'s result."""

BORROWING: dict[str, Quantity] = {
    name: replace(ESTIMATES[name], definition=definition, label=label)
    for name, definition, label in (
        (
            "prior_mean",
            marked("mean of the DLT rate given the other trials' data, before this trial's own"),
            marked("mean before own data"),
        ),
        (
            "prior_p_over",
            marked("P(overdose) given the other trials' data, before this trial's own"),
            marked("P(overdose) before own data"),
        ),
        (
            "prior_mtd",
            marked("probability of the MTD given the other trials' data, before this trial's own"),
            marked("MTD before own data"),
        ),
        (
            "prior_effective_n",
            marked(
                "effective sample size (ESS) of the prior and the other trials' data at the dose: that of the beta prior with the "
                "mean and variance before this trial's own data"
            ),
            marked("ESS before own data"),
        ),
    )
}
"""What is known before a trial's own data where it borrows from others, in place of what is known before any data."""

EFFICACY: dict[str, Quantity] = {
    "response_n": Quantity(marked("patients with a known outcome of the efficacy endpoint"), marked("known"), "patients", 0),
    "responses": Quantity(marked("responses among these patients"), marked("responses"), "responses", 0),
    "response_pending": Quantity(marked("patients whose assessment is not due yet"), marked("pending"), "patients", 0),
    "response_missing": Quantity(marked("patients whose assessment is missing"), marked("missing"), "patients", 0),
    "response_composite": Quantity(
        marked("patients whose outcome is that of a death or rescue before the assessment"),
        marked("death or rescue"),
        "patients",
        0,
    ),
    "response_prior_mean": Quantity(marked("prior mean of the response rate, independent doses"), marked("prior mean"), "%"),
    "response_mean": Quantity(marked("posterior mean of the response rate"), marked("response rate"), "%"),
    "response_lower": Quantity(marked("2.5% quantile of the response rate"), marked("95% interval, lower"), "%"),
    "response_upper": Quantity(marked("97.5% quantile of the response rate"), marked("95% interval, upper"), "%"),
    "expected_utility": Quantity(
        marked("expected utility of a patient's outcome, from 0 to 100, by the sponsor's utilities"), marked("expected utility")
    ),
    "expected_utility_error": Quantity(marked("numerical error of the expected utility")),
    "p_largest_utility": Quantity(
        marked("probability that the dose has the largest utility of the doses considered"), marked("P(largest utility)"), "%"
    ),
    "p_largest_utility_error": Quantity(marked("numerical error of that probability")),
    "expected_loss": Quantity(
        marked("expected difference between the largest utility and that of the dose, in utility: the loss of choosing it now"),
        marked("expected loss"),
    ),
    "expected_loss_error": Quantity(marked("numerical error of the expected loss")),
    "utility_by_prior_times": Quantity(
        marked("expected utility with the information of the prior of the response rates multiplied"),
        marked("expected utility by prior"),
    ),
    "utility_by_missing": Quantity(
        marked("expected utility with every missing assessment counted as no response, or as a response"),
        marked("utility by missing assessments"),
    ),
    "utility_by_curve": Quantity(marked("expected utility by each dose-toxicity curve of the config"), marked("utility by curve")),
    "change_mean": Quantity(marked("posterior mean of the mean change at the dose"), marked("mean change"), digits=2),
    "change_lower": Quantity(marked("2.5% quantile of the mean change"), marked("95% interval, lower"), digits=2),
    "change_upper": Quantity(marked("97.5% quantile of the mean change"), marked("95% interval, upper"), digits=2),
    "p_best_change": Quantity(
        marked("probability that the dose has the best mean change of the doses considered; doses equal under a shape share it"),
        marked("P(best mean change)"),
        "%",
    ),
    "change_loss": Quantity(
        marked("expected difference between the best mean change and that of the dose, in the unit of the change"),
        marked("expected loss"),
        digits=2,
    ),
    "change_by_prior_times": Quantity(
        marked("posterior mean of the mean change with the information of its prior multiplied"),
        marked("mean change by prior"),
        digits=2,
    ),
    "utility_of_change_by_curve": Quantity(
        marked("expected utility of a new patient's change by each dose-toxicity curve of the config"), marked("utility by curve")
    ),
    "expected_utility_of_change": Quantity(
        marked("expected utility of a new patient's change, less that of a DLT, by the sponsor's utilities"),
        marked("expected utility"),
    ),
}
"""Efficacy and dose selection, by their names in `dosefind.analyze`'s result."""

WAITING: dict[str, Quantity] = {
    "p_new_dlt": Quantity(marked("probability that at least one pending patient has a DLT by that date"), marked("new DLT"), "%"),
    "p_differs": Quantity(
        marked("probability that the decision of the design on that date differs from that of today"), marked("differs"), "%"
    ),
    "p_lower": Quantity(marked("probability that it is a lower dose, or a stop with a lower MTD"), marked("lower"), "%"),
    "p_higher": Quantity(marked("probability that it is a higher dose, or a stop with a higher MTD"), marked("higher"), "%"),
    "weight": Quantity(
        marked(
            "share of the days to DLT that has passed without a DLT by the data cutoff date, at the target DLT rate; of a TITE-CRM "
            "the weight of the patient in its likelihood"
        ),
        marked("weight"),
        digits=3,
    ),
}
"""Whether to decide now or to wait, by the names in the tables of `dosefind.next_dose`."""

ENDPOINTS: dict[str, Quantity] = {
    "treated": Quantity(marked("patients with an infusion by the data cutoff date"), marked("treated"), "patients"),
    "n": Quantity(marked("patients with a value at the visit, quantified or beyond a limit"), marked("n"), "patients"),
    "mean": Quantity(marked("mean of the quantified values"), marked("mean")),
    "sd": Quantity(marked("standard deviation"), marked("SD")),
    "median": Quantity(marked("median, with the smallest and the largest value"), marked("median (range)")),
    "change": Quantity(
        marked("mean change from each patient's baseline, with its 95% t interval; no adjustment, no test"),
        marked("mean change (95% interval)"),
    ),
    "survival": Quantity(
        marked(
            "Kaplan-Meier estimate beyond the day, with log-log limits; a transplant ends survival without transplantation only"
        ),
        marked("survival"),
        "%",
    ),
    "incidence": Quantity(
        marked("Aalen-Johansen estimate by the day; a patient with a competing event can no longer have the event"),
        marked("cumulative incidence"),
        "%",
    ),
    "share": Quantity(
        marked("patients with an event among those treated, with exact (Clopper-Pearson) 95% limits"), marked("share"), "%"
    ),
    "ratio": Quantity(
        marked(
            "ratio of geometric means to baseline; values below the limit of quantification are censored (maximum likelihood on "
            "logarithms), and there is no estimate if more than half of the ratios are censored"
        ),
        marked("ratio (95% interval)"),
        digits=2,
    ),
}


def defined(quantities: Mapping[str, Quantity], **values: Any) -> dict[str, str]:
    """Return the definition of each quantity, with the values that it depends on."""
    return {name: _(quantity.definition).format(**values) for name, quantity in quantities.items()}


def in_percent(rate: float, digits: int = 1) -> str:
    """Return a probability in percent, without the sign."""
    return f"{100 * rate:z.{digits}f}"


def percent(rate: float, digits: int = 1) -> str:
    """Return a probability in percent."""
    return f"{in_percent(rate, digits)}%"


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


OPTIMUM: dict[str, Quantity] = {
    "value": Quantity(marked("expected utility less costs under the prior"), marked("utility less costs"), digits=3),
    "utility": Quantity(marked("expected utility under the prior, without costs"), marked("utility"), digits=3),
    "regret": Quantity(
        marked("what the design lacks to the optimum, in expected utility less costs: allocation and final choice together"),
        marked("regret"),
        digits=3,
    ),
    "allocation": Quantity(
        marked("the part of the regret that is due to which doses were given to how many patients, and when the trial ended"),
        marked("by allocation"),
        digits=3,
    ),
    "final_choice": Quantity(
        marked("the part of the regret that is due to the final choice: what the best choice from the same data would add"),
        marked("by final choice"),
        digits=3,
    ),
    "at_same_cost": Quantity(
        marked("highest expected utility of a policy, or of a lottery of policies, with no more DLTs and patients than the design"),
        marked("best at the same DLTs and patients"),
        digits=3,
    ),
    "dlts": Quantity(marked("expected number of patients with a DLT under the prior"), marked("DLTs"), "patients", 2),
    "patients": Quantity(marked("expected number of patients under the prior"), marked("patients"), "patients", 1),
    "in_scenario": Quantity(marked("expected utility less costs in one scenario"), marked("in the scenario"), digits=3),
    "without_trial": Quantity(
        marked("expected utility of the best conclusion without a trial"), marked("without a trial"), digits=3
    ),
    "value_error": Quantity(
        marked("numerical error of the optimum: its difference from that with half as many true curves for the prior of a curve"),
        marked("numerical error"),
        digits=3,
    ),
    "with_truth": Quantity(
        marked("expected utility of the best conclusion if the true rates were known"),
        marked("with the true rates known"),
        digits=3,
    ),
    "frontier_utility": Quantity(marked("expected utility of a policy of the frontier"), marked("utility"), digits=3),
    "frontier_dlts": Quantity(marked("its expected number of patients with a DLT"), marked("DLTs"), "patients", 2),
    "frontier_patients": Quantity(marked("its expected number of patients"), marked("patients"), "patients", 1),
    "price": Quantity(
        marked("what the constraint takes from the optimum, in expected utility less costs"), marked("price"), digits=3
    ),
}
"""Results of the optimum under a prior, by their names in `dosefind.optimum`'s result."""
