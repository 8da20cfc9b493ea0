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
# # Which design for NCT05962762?
#
# The protocol gives 1, 3 or 5 × 10⁶ cells/kg and escalates by 3+3. **Would CRM, BOIN or BLRM select the right dose more often, and
# at what cost in patients, DLTs and time?**
#
# The protocol's file contains what the trial's record states, and marks everything else as assumed, such as the target DLT rate of
# 25% and the scenarios below. No DLT rate of this product is known.

# %%
import numpy as np
import pandas as pd
from IPython.display import Markdown

import dosefind as dsf

trial = dsf.load_trial("../configs/nct05962762.toml")
protocol = trial.protocol
protocol

# %% [markdown]
# ## Four designs, compared exactly
#
# Nothing is simulated here. Each design is evaluated on every outcome of every cohort, so that each result is a sum over all
# possible courses of the trial and has no Monte Carlo error.
#
# A comparison is fair if the designs may treat the same number of patients. The 3+3 treats at most six per dose; CRM, BOIN and BLRM
# without such a limit use up to 18 in total. The protocol's file therefore has each of them twice, with the limit of six (`crm-6`,
# `boin-6`, `blrm-6`) and without.

# %%
oc = dsf.compare(trial)
main = ["3+3", "crm", "boin", "blrm"]
correct = (100 * oc.correct).to_pandas().round(1)
correct.loc["benchmark"] = (100 * oc.reference_correct).to_pandas().round(1)
correct

# %% [markdown]
# These are the probabilities, in percent, of selecting the true MTD: the dose whose DLT rate is closest to the target, or none if
# even the lowest dose exceeds the target by more than ten percentage points. The last row is a benchmark, not a design: the
# selection if the outcome of each of 18 patients were known at every dose (O'Quigley, Paoletti and Maccario 2002,
# doi:10.1093/biostatistics/3.1.51). A design can exceed it in a scenario that it favours, at the expense of another.
#
# Many protocols define the MTD differently: the highest dose whose DLT rate is *at most* the target. If a dose is slightly above
# the target the two definitions differ, and so does the probability of a correct selection:

# %%
either = pd.DataFrame({"MTD, closest to 25%": oc.true_mtd.to_pandas(), "MTD, highest with at most 25%": oc.highest_mtd.to_pandas()})
by_highest = (100 * oc.correct_highest).to_pandas().round(1)
either.join(by_highest.T.add_suffix(", %")[[f"{name}, %" for name in main]])

# %%
dsf.plots.selection(oc.sel(design=main, scenario=["top is MTD", "middle is MTD", "low is MTD", "all toxic"]))

# %% jupyter={"source_hidden": true} tags=["remove-input"]
p = 100 * oc.correct
few = oc.selected.sel(design="3+3", scenario="low is MTD", choice="none")
Markdown(
    f"""If the middle dose is the MTD, BOIN selects it in {p.sel(design="boin", scenario="middle is MTD"):.1f}% of trials, CRM in
{p.sel(design="crm", scenario="middle is MTD"):.1f}% and the 3+3 in {p.sel(design="3+3", scenario="middle is MTD"):.1f}%. If the top
dose is the MTD the order changes: CRM {p.sel(design="crm", scenario="top is MTD"):.1f}%, BOIN
{p.sel(design="boin", scenario="top is MTD"):.1f}%, 3+3 {p.sel(design="3+3", scenario="top is MTD"):.1f}%, BLRM
{p.sel(design="blrm", scenario="top is MTD"):.1f}%: BLRM's overdose control restrains it.

If the first dose is already the MTD, the 3+3 selects it in {p.sel(design="3+3", scenario="low is MTD"):.1f}%, CRM in
{p.sel(design="crm", scenario="low is MTD"):.1f}%: in {100 * few:.0f}% of such trials the 3+3 selects no dose, because two DLTs
end it. BLRM is even more cautious: {p.sel(design="blrm", scenario="low is MTD"):.1f}%, and no dose in
{100 * oc.selected.sel(design="blrm", scenario="low is MTD", choice="none"):.0f}%. That caution helps both if all doses are overly toxic: the
3+3 stops correctly in {p.sel(design="3+3", scenario="all toxic"):.1f}%, BLRM in {p.sel(design="blrm", scenario="all toxic"):.1f}%, CRM only in
{p.sel(design="crm", scenario="all toxic"):.1f}%.

By the other definition the MTD of the scenario "top is MTD" is level {oc.highest_mtd.sel(scenario="top is MTD").item()}, and the order is
reversed: BLRM {by_highest.loc["blrm", "top is MTD"]:.1f}%, BOIN {by_highest.loc["boin", "top is MTD"]:.1f}%, 3+3
{by_highest.loc["3+3", "top is MTD"]:.1f}%, CRM {by_highest.loc["crm", "top is MTD"]:.1f}%. A protocol must state its definition before designs
can be compared."""
)

# %% [markdown]
# ## Patients, DLTs and duration
#
# Total sample size, patients treated above the true MTD, probability of any DLT, and the minimum duration under the rules of the
# protocol (with immediate accrual), if the middle dose is the MTD:

# %%
figures = {"mean_n": "patients", "above_mtd": "above the MTD", "any_dlt": "any DLT, %", "days": "days, at least"}
cost = oc[list(figures)].sel(scenario="middle is MTD").drop_vars("scenario").to_pandas().rename(columns=figures)
cost["any DLT, %"] *= 100
cost = cost.assign(DLTs=oc.dlts.sel(scenario="middle is MTD").sum("dose").to_pandas()).round(1)
cost

# %%
dsf.plots.allocation(oc.sel(design=main, scenario=["middle is MTD"]))

# %% jupyter={"source_hidden": true} tags=["remove-input"]
boin, boin6, rule = (float(p.sel(design=name, scenario="middle is MTD")) for name in ("boin", "boin-6", "3+3"))
gained, unbound = boin - rule, boin - boin6
Markdown(
    f"""The gain of the other designs has a cost: BOIN without a limit treats {cost.loc["boin", "patients"]:.1f} patients while the 3+3 treats
{cost.loc["3+3", "patients"]:.1f}, has {cost.loc["boin", "DLTs"]:.1f} DLTs instead of {cost.loc["3+3", "DLTs"]:.1f}, and takes
{cost.loc["boin", "days, at least"] / cost.loc["3+3", "days, at least"]:.1f} times as long. With the limit of six the costs are closer
({cost.loc["boin-6", "patients"]:.1f} patients), and so is the probability of selecting the MTD
({p.sel(design="boin-6", scenario="middle is MTD"):.1f}% against {p.sel(design="3+3", scenario="middle is MTD"):.1f}%): of BOIN's
advantage in this scenario, {gained:.1f} percentage points, {unbound:.1f} are due to the larger sample size.

The limit has its own cost. If all doses are overly toxic, `boin-6` and `crm-6` stop without an MTD in only
{p.sel(design="boin-6", scenario="all toxic"):.1f}% of trials, because the first dose has its six patients before their safety rules
can stop the trial; it is then selected, by `boin-6` even after three DLTs in six."""
)

# %% [markdown]
# ## Sensitivity to the scenarios
#
# The six scenarios are synthetic. An enumerated design gives results for any number of scenarios, so we draw 400 from a prior and
# average: the prior of the protocol's file (median DLT rate 10% at the middle dose, widely spread), which is our assumption,
# because no record states one. It is also the prior and the curve of the BLRM, which is therefore favoured. There is now a Monte
# Carlo error, that of the 400 scenarios. All designs use the same scenarios, so differences between designs are less uncertain than
# each result.

# %%
curve = dsf.Logistic2(doses=protocol.doses.amounts, reference=3, prior=dsf.BivariateNormal(mean=(-2.2, 0.0), sd=(2.0, 1.0)))
z = np.random.default_rng(1).normal(size=(400, 2))
truths = np.exp(curve.at(z)[0])
many = protocol.model_copy(update={"scenarios": {f"scenario {i}": tuple(row) for i, row in enumerate(truths.tolist())}})
drawn = dsf.compare(many)
n = drawn.sizes["scenario"]


def averaged(correct, means):
    """Return percentages averaged over the scenarios and differences from the 3+3, each with its Monte Carlo error."""
    better = correct - correct.sel(design="3+3", drop=True)
    columns = {f"{means}, %": correct.mean("scenario"), "± error": correct.std("scenario") / n**0.5}
    columns |= {"better than 3+3 by": better.mean("scenario"), "± error of that": better.std("scenario") / n**0.5}
    return pd.DataFrame({name: 100 * value.to_pandas() for name, value in columns.items()})


average = averaged(drawn.correct, "closest dose selected").assign(
    patients=drawn.mean_n.mean("scenario").to_pandas(), **{"above the MTD": drawn.above_mtd.mean("scenario").to_pandas()}
)
average.round(1)

# %% [markdown]
# By the other definition, the highest dose with a rate of at most 25%:

# %%
other = averaged(drawn.correct_highest, "highest dose selected")
other.round(1)

# %% [markdown]
# The frequency of each true MTD under this prior, with the probability of a correct selection, by the closest dose:

# %%
kinds = drawn.correct.groupby(drawn.true_mtd).mean().sel(design=main).to_pandas().T
(100 * kinds).round(1).assign(
    **{"share of scenarios": pd.Series(drawn.true_mtd.values).value_counts(normalize=True).mul(100).round(1)}
)

# %% jupyter={"source_hidden": true} tags=["remove-input"]
mtd = drawn.true_mtd.values
exists = mtd != "none"
rates = truths[exists, mtd[exists].astype(int) - 1]
harmless = np.mean(truths[mtd == "3", 2] < 0.16)
Markdown(
    f"""Of the scenarios whose MTD is level 3, {100 * harmless:.0f}% have a rate below 16% there: the average mainly reflects selecting a harmless
top dose. And the closest dose is not always safe: in {100 * np.mean(rates > 0.33):.0f}% of the scenarios with an MTD its rate is above
33%, at most {100 * rates.max():.0f}%."""
)

# %% [markdown]
# ## A single trial
#
# Averages hide the course of a single trial. After no DLT in three patients at the first dose and one in three at the second:

# %% jupyter={"source_hidden": true} tags=["remove-input"]
blrm = dsf.BLRM(
    doses=protocol.doses.amounts,
    reference=3,
    prior=dsf.BivariateNormal(mean=(-2.2, 0.0), sd=(2.0, 1.0)),
    target=0.25,
    interval=(0.16, 0.33),
    max_n=18,
)
crm = dsf.CRM(skeleton=dsf.skeleton(0.05, target=0.25, mtd_level=2, n_doses=3), target=0.25, max_n=18)
boin = dsf.BOIN(target=0.25, max_n=18)
designs = {"3+3": dsf.ThreePlusThree(), "CRM": crm, "BOIN": boin, "BLRM": blrm}
steps = {name: dsf.decide(design, "1NNN 2NNT", n_doses=3) for name, design in designs.items()}
rows = [f"| {name} | {step.words} | {step.reason} |" for name, step in steps.items()]
Markdown("\n".join(["| design | next step | reason |", "|:--|:--|:--|", *rows]))

# %% [markdown]
# The same data lead to two recommendations: BOIN uses only the patients treated at that dose, 1 DLT in 3, and de-escalates. The
# models also use the three patients without a DLT at the lower dose, and stay. The 3+3 has a rule for this case.

# %% [markdown]
# ## The answer

# %% jupyter={"source_hidden": true} tags=["remove-input"]
gain, error = average["better than 3+3 by"], average["± error of that"]
also, its_error = other["better than 3+3 by"], other["± error of that"]


def by(gains, errors, *names):
    return ", ".join(f"{name.upper()} {gains[name]:+.1f} ± {errors[name]:.1f}" for name in names)


Markdown(
    f"""**That depends on the definition of the MTD. For the dose closest to 25%, CRM and BOIN would, by a few percentage points, with nearly
twice the patients; for the highest dose with at most 25%, hardly.** Averaged over the prior, the share of trials that select the closest dose
differs from that of the 3+3, in percentage points (± one Monte Carlo error), by: {by(gain, error, "crm", "boin", "blrm")}. By the highest dose:
{by(also, its_error, "crm", "boin", "blrm")}. They treat {average.loc["crm", "patients"]:.0f}, {average.loc["boin", "patients"]:.0f} and
{average.loc["blrm", "patients"]:.0f} patients on average, the 3+3 {average.loc["3+3", "patients"]:.0f}; above the closest dose they treat
{average.loc["crm", "above the MTD"]:.1f}, {average.loc["boin", "above the MTD"]:.1f} and {average.loc["blrm", "above the MTD"]:.1f}, the 3+3
{average.loc["3+3", "above the MTD"]:.1f}. With at most six patients per dose the differences are
{by(gain, error, "crm-6", "boin-6", "blrm-6")} by the closest dose, {by(also, its_error, "crm-6", "boin-6", "blrm-6")} by the highest.

If groups of six are fixed, CRM and BOIN with this limit select the closest dose more often if there is one, and stop too rarely if all doses are
overly toxic; BLRM with this limit is worse if the top dose is the MTD or all doses are harmless, is about equal or better otherwise, and stops correctly
more often. If {protocol.limits.max_n} patients may be treated, use them: BOIN by a table on one page, CRM if the dose closest to the target is wanted and
is likely to be the top dose, BLRM if avoiding an overdose matters more than selecting the right dose. All of this depends on assumed scenarios and an
assumed prior; with your own in the protocol's file this page gives the corresponding results."""
)
