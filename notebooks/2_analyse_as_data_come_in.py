# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Sequential analysis of NCT05948982
#
# Three infusions of 1, 2 or 4 × 10⁶ cells/kg and a DLT window of twelve weeks: this trial accumulates data slowly. **What do its
# data show after each cohort, and what changes if it borrows from NCT05962762, the trial of the same cells with one infusion?**
#
# No data of either trial are available. The patients below are synthetic, simulated from a seed (`dosefind synthesize`; true DLT
# rates 10%, 25% and 40%): they show the course of the analysis, and nothing about the product.

# %%
from datetime import date

import pandas as pd
from IPython.display import Markdown

import dosefind as dsf

trial = dsf.load_trial("../configs/nct05948982.toml")
protocol = trial.protocol
folder = "../examples/nct05948982/complete"
patients = dsf.read_patients(f"{folder}/patients.csv", protocol, events=f"{folder}/events.csv")

# %% [markdown]
# ## Evaluability for DLT
#
# A patient is evaluable for DLT once the outcome of the window is known. A patient who discontinues early without a DLT is
# replaced, as the file assumes; a patient still in the window is pending, and the outcome is not guessed. The column *rule* gives
# the reason for each status. The trial is replayed at four data cutoff dates: later data are ignored. This is the second:

# %%
cuts = [date(2023, 10, 24), date(2024, 2, 20), date(2024, 8, 1), date(2024, 10, 12)]
known = {cut: dsf.evaluate(patients, protocol, cut, replay=True) for cut in cuts}
known[cuts[1]]

# %% [markdown]
# At the third cutoff the cohort at the highest dose has had one DLT, and three more patients are in their window. The protocol's
# 3+3, the primary design, then recommends:

# %%
dsf.next_dose(trial, patients, as_of=cuts[2], replay=True).proposal

# %% [markdown]
# At the last cutoff, the 3+3 and the designs with which it is compared:

# %%
recommendations = dsf.next_dose(trial, patients, as_of=cuts[3], replay=True).designs.set_index("design")[["binding", "next"]]
with pd.option_context("display.max_colwidth", None):
    display(recommendations)  # noqa: F821 (of IPython)

# %% [markdown]
# ## Results at each cutoff
#
# The posterior is that of a two-parameter logistic curve with the weak prior of the protocol's file, by quadrature: its values have
# a numerical error below 10⁻⁶ and no Monte Carlo error. P(overdose) is the probability that a dose's DLT rate is 33% or more. It is
# not an estimate of the rate, although both are percentages. The RP2D is the highest dose tried with P(overdose) below 25%.

# %%
alone = {cut: dsf.analyze(trial, evaluated.cohorts()) for cut, evaluated in known.items()}


def course(by_cut, error=False):
    """Return P(overdose) by data cutoff date, in percent, with its Monte Carlo error if it has one."""
    rows = []
    for cut, analysis in by_cut.items():
        s = analysis.summary
        row = {"data cutoff": cut.isoformat(), "outcomes": s.attrs["outcomes"]}
        for level in s.dose.values:
            at = s.sel(dose=level)
            row[f"overdose, level {level}"] = f"{100 * at.p_over:.1f}" + (f" ± {100 * at.p_over_se:.1g}" if error else "")
        rows.append(row | {"RP2D": s.attrs["rp2d"]})
    return pd.DataFrame(rows).set_index("data cutoff")


course(alone)

# %%
dsf.plots.curve(alone[cuts[2]])

# %%
dsf.plots.curve(alone[cuts[3]])

# %% jupyter={"source_hidden": true} tags=["remove-input"]
last = alone[cuts[3]].summary
third = alone[cuts[2]].summary
Markdown(
    f"""With one DLT in three at the highest dose its P(overdose) is {100 * third.p_over[2]:.1f}%, just
{"below" if third.p_over[2] < 0.25 else "above"} the limit of 25%, with an estimated rate (posterior mean) of {100 * third["mean"][2]:.0f}%;
three more patients without a DLT change it to {100 * last.p_over[2]:.1f}%. The RP2D is then level
{last.attrs["rp2d"]}. But the six patients treated at this level, one with a DLT, do not exclude rates up to {100 * last.upper_limit[2]:.0f}%
(one-sided 95% limit): the rest is due to the curve, its prior, and the six patients at the lower doses."""
)

# %% [markdown]
# ## Posterior of the MTD
#
# The MTD, the dose at which the curve reaches 25%, need not be one of the three doses. The posterior is a partition: below the
# lowest dose, at a level (between it and the next), or at the top dose *or anywhere above*. "3 or above" does not mean that level 3
# is the MTD.

# %%
dsf.plots.mtd(alone[cuts[3]])

# %% [markdown]
# ## Borrowing from NCT05962762
#
# Borrowing is off unless requested, and the protocol's file states its assumptions: DLT windows of 28 days and of 84 days are
# treated as one and three windows with a common hazard, doses are compared per infusion, and the two trials' curves are
# exchangeable with a moderate spread. No record states any of this. It is also another model than the one above: its prior refers
# to one window of 28 days at the reference dose of both trials, so it is a more cautious prior for the 84 days, before anything is
# borrowed. First, therefore, this model without data of the other trial:

# %%
nothing = {cut: dsf.analyze(trial, evaluated.cohorts(), borrow={"NCT05962762": ""}, draws=2000) for cut, evaluated in known.items()}
course(nothing, error=True)

# %% jupyter={"source_hidden": true} tags=["remove-input"]
Markdown("\n".join(f"> - {words}" for words in nothing[cuts[3]].summary.attrs["warnings"] if "window" in words))

# %% [markdown]
# The other trial's outcomes are given in the call. Suppose it has treated three patients at each dose without a DLT; or, in
# contrast, that it has had three DLTs among its first six patients (computed here for the third and fourth cutoff of this trial).
# Their effect is the difference from the table above.

# %%
friendly, hostile = "1NNN 2NNN 3NNN", "1NNT 2NTT"
with_friendly = {
    cut: dsf.analyze(trial, evaluated.cohorts(), borrow={"NCT05962762": friendly}, draws=2000) for cut, evaluated in known.items()
}
course(with_friendly, error=True)

# %%
with_hostile = {cut: dsf.analyze(trial, known[cut].cohorts(), borrow={"NCT05962762": hostile}, draws=2000) for cut in cuts[2:]}
course(with_hostile, error=True)

# %% [markdown]
# These posteriors are sampled (NUTS, four chains), so each value has a Monte Carlo error (± one standard error), and diagnostics:

# %% jupyter={"source_hidden": true} tags=["remove-input"]
made = with_friendly[cuts[2]].summary
Markdown(
    f"""R-hat is at most {made.attrs["rhat"]:.3f}, the effective sample size at least {made.attrs["ess_bulk"]:.0f} (bulk) and
{made.attrs["ess_tail"]:.0f} (tail), with {made.attrs["divergences"]} divergences in {made.attrs["chains"] * made.attrs["draws"]:,} draws."""
)

# %% [markdown]
# The effective sample size of the other trial's data, in patients at each dose of this trial, before its own data (± one Monte
# Carlo standard error):

# %%
pd.DataFrame(
    {
        "outcomes of the other trial": [friendly, hostile],
        **{
            f"level {level}": [
                f"{float(at.borrowed_n):.1f} ± {float(at.borrowed_n_se):.1f}"
                for at in (analyses[cuts[2]].summary.sel(dose=level) for analyses in (with_friendly, with_hostile))
            ]
            for level in (1, 2, 3)
        },
    }
)

# %% [markdown]
# ## In the middle of a course
#
# Three infusions, four weeks apart: at a meeting most patients are in the middle of the course. A hazard per infusion includes each of
# them as far as followed up. The same ten patients (`examples/nct05948982/course`, five of them in the middle of the course) read by
# course, by infusion, and by complete courses only:

# %%
folder = "../examples/nct05948982/course"
course = dsf.load_trial(f"{folder}/trial.toml")
ten = dsf.read_patients(f"{folder}/patients.csv", course.protocol, events=f"{folder}/events.csv")
evaluated = dsf.evaluate(ten, course.protocol)
by_course = dsf.analyze(course, evaluated.cohorts(), others=evaluated.beside(), courses=evaluated.courses).summary
pd.DataFrame(
    {
        "reading": by_course.reading.values[:3],
        **{
            f"P(overdose), level {level}": [f"{100 * p:.1f}%" for p in by_course.reading_p_over.sel(dose=level).values[:3]]
            for level in (1, 2, 3)
        },
    }
)

# %% [markdown]
# Complete courses only drop the patients without a DLT who are in the middle of the course and count the DLT at once: DLT rates are too
# high while patients are pending.

# %% [markdown]
# ## The answer


# %% jupyter={"source_hidden": true} tags=["remove-input"]
def over(by_cut, cut, level):
    at = by_cut[cut].summary.sel(dose=level)
    return f"{100 * at.p_over:.0f}%" + (f" ± {100 * at.p_over_se:.1g}" if "p_over_se" in at else "")


Markdown(
    f"""**After the DLT at the highest dose (third cutoff), its P(overdose) is {over(alone, cuts[2], 3)} from this trial's data alone. In the model
that can borrow it is {over(nothing, cuts[2], 3)} before anything is borrowed, {over(with_friendly, cuts[2], 3)} if nine patients of
NCT05962762 had no DLT, and {over(with_hostile, cuts[2], 3)} if three of six had one.** The RP2D would be
{alone[cuts[2]].summary.attrs["rp2d"]}, {nothing[cuts[2]].summary.attrs["rp2d"]}, {with_friendly[cuts[2]].summary.attrs["rp2d"]} and
{with_hostile[cuts[2]].summary.attrs["rp2d"]}. At the end, with twelve patients in this trial, P(overdose) is {over(alone, cuts[3], 3)},
{over(nothing, cuts[3], 3)}, {over(with_friendly, cuts[3], 3)} and {over(with_hostile, cuts[3], 3)}.

The difference between the first two values is due to the other prior, not to the other trial. Borrowing changes the result most if the trial has few patients
of its own, and it depends on the assumptions on windows and doses. `dsf.sensitivity(trial, outcomes, borrow=...)` varies these assumptions one at a time; a
committee should see both analyses, the one without borrowing first."""
)
