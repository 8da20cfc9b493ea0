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
# The protocol gives 1, 3 or 5 × 10⁶ cells/kg and escalates by 3+3. **Would CRM, BOIN or BLRM name the right dose more often, and
# what would that cost in patients, DLTs and time?**
#
# The protocol's file holds what the trial's record says, and names whatever the record does not say as assumed: the target DLT rate
# of 25% and the scenarios below are of that kind. No DLT rate of this product is known.

# %%
import numpy as np
import pandas as pd
from IPython.display import Markdown

import dosefind as dsf

protocol = dsf.load_protocol("../configs/nct05962762.toml")
protocol

# %% [markdown]
# ## Four designs, every way in which a trial can go
#
# Nothing is simulated here. Each design is walked through every outcome of every cohort, so that a figure is a sum over all ways in
# which the trial can go, and has no Monte Carlo error.
#
# A comparison is fair where the designs may treat as many patients. The 3+3 treats at most six at a dose; CRM, BOIN and BLRM without
# such a cap use up to 18 in all. The protocol's file therefore has each of them twice, with the cap of six (`crm-6`, `boin-6`,
# `blrm-6`) and without.

# %%
oc = dsf.compare(protocol)
main = ["3+3", "crm", "boin", "blrm"]
correct = (100 * oc.correct).to_pandas().round(1)
correct.loc["reference"] = (100 * oc.reference_correct).to_pandas().round(1)
correct

# %% [markdown]
# These are the probabilities, in percent, that the true MTD is named: the dose whose rate is nearest to the target, or none where
# even the lowest dose exceeds the target by more than ten percentage points. The last row is a yardstick, not a design: what could be
# known if the outcome of each of 18 patients at every dose were seen (O'Quigley, Paoletti and Maccario 2002,
# doi:10.1093/biostatistics/3.1.51). A design can beat it in a scenario towards which it leans, and then pays for it in another.

# %%
dsf.plots.selection(oc.sel(design=main, scenario=["top is MTD", "middle is MTD", "low is MTD", "all toxic"]))

# %% jupyter={"source_hidden": true} tags=["remove-input"]
p = 100 * oc.correct
few = oc.selected.sel(design="3+3", scenario="low is MTD", choice="none")
Markdown(
    f"""Where the middle dose is the MTD, BOIN names it in {p.sel(design="boin", scenario="middle is MTD"):.1f}% of trials, CRM in
{p.sel(design="crm", scenario="middle is MTD"):.1f}% and the 3+3 in {p.sel(design="3+3", scenario="middle is MTD"):.1f}%. Where the top
dose is the MTD the order changes: CRM {p.sel(design="crm", scenario="top is MTD"):.1f}%, BOIN
{p.sel(design="boin", scenario="top is MTD"):.1f}%, 3+3 {p.sel(design="3+3", scenario="top is MTD"):.1f}%, BLRM
{p.sel(design="blrm", scenario="top is MTD"):.1f}%: BLRM's overdose control holds it back.

The 3+3 is furthest behind where the first dose is already the MTD ({p.sel(design="3+3", scenario="low is MTD"):.1f}% against
{p.sel(design="crm", scenario="low is MTD"):.1f}% of CRM): in {100 * few:.0f}% of such trials it names no dose at all, because two DLTs
end it. The same caution serves it where every dose is too toxic: it stops rightly in
{p.sel(design="3+3", scenario="all toxic"):.1f}%, CRM in {p.sel(design="crm", scenario="all toxic"):.1f}% and BLRM in
{p.sel(design="blrm", scenario="all toxic"):.1f}%."""
)

# %% [markdown]
# ## What it costs
#
# Patients in all, those treated above the true MTD, the probability of any DLT, and the least calendar time that the rules of the
# protocol allow (no patient is late), where the middle dose is the MTD:

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
    f"""What the others gain they pay for: BOIN without a cap treats {cost.loc["boin", "patients"]:.1f} patients where the 3+3 treats
{cost.loc["3+3", "patients"]:.1f}, sees {cost.loc["boin", "DLTs"]:.1f} DLTs instead of {cost.loc["3+3", "DLTs"]:.1f}, and takes
{cost.loc["boin", "days, at least"] / cost.loc["3+3", "days, at least"]:.1f} times as long. With the cap of six the prices are closer
({cost.loc["boin-6", "patients"]:.1f} patients), and so is the probability of naming the MTD
({p.sel(design="boin-6", scenario="middle is MTD"):.1f}% against {p.sel(design="3+3", scenario="middle is MTD"):.1f}%): of BOIN's
advantage in this scenario, {gained:.1f} percentage points, {unbound:.1f} come with the larger sample.

The cap has a price of its own. Where every dose is too toxic, `boin-6` and `crm-6` stop without an MTD in only
{p.sel(design="boin-6", scenario="all toxic"):.1f}% of trials, since the first dose is full at six patients before their safety rules
can tell; then it is named."""
)

# %% [markdown]
# ## Does that hang on the six scenarios?
#
# The scenarios are made up, six of them. A walked design answers for any number of truths, so we draw 400 from the protocol's own
# prior (median DLT rate 10% at the middle dose, widely spread) and average. Now there is a Monte Carlo error, that of the 400 truths.
# The same truths serve every design, so differences between designs are less uncertain than each figure is.

# %%
curve = dsf.Logistic2(doses=protocol.doses.amounts, reference=3, prior=dsf.BivariateNormal(mean=(-2.2, 0.0), sd=(2.0, 1.0)))
z = np.random.default_rng(1).normal(size=(400, 2))
truths = np.exp(curve.at(z)[0])
many = protocol.model_copy(update={"scenarios": {f"truth {i}": tuple(row) for i, row in enumerate(truths.tolist())}})
drawn = dsf.compare(many)
better = drawn.correct - drawn.correct.sel(design="3+3", drop=True)
n = drawn.sizes["scenario"]
average = pd.DataFrame(
    {
        "correct, %": 100 * drawn.correct.mean("scenario").to_pandas(),
        "± error": 100 * drawn.correct.std("scenario").to_pandas() / n**0.5,
        "better than 3+3 by": 100 * better.mean("scenario").to_pandas(),
        "± error of that": 100 * better.std("scenario").to_pandas() / n**0.5,
        "patients": drawn.mean_n.mean("scenario").to_pandas(),
        "above the MTD": drawn.above_mtd.mean("scenario").to_pandas(),
    }
)
average.round(1)

# %% [markdown]
# How often each kind of truth comes up in this prior, and who is right then:

# %%
kinds = drawn.correct.groupby(drawn.true_mtd).mean().sel(design=main).to_pandas().T
(100 * kinds).round(1).assign(
    **{"share of truths": pd.Series(drawn.true_mtd.values).value_counts(normalize=True).mul(100).round(1)}
)

# %% [markdown]
# ## In one trial
#
# Averages hide what a committee will live with. After no DLT among three at the first dose and one among three at the second:

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
asked = {"3+3": dsf.ThreePlusThree(), "CRM": crm, "BOIN": boin, "BLRM": blrm}
steps = {name: dsf.decide(design, "1NNN 2NNT", n_doses=3) for name, design in asked.items()}
rows = [f"| {name} | {step.words} | {step.reason} |" for name, step in steps.items()]
Markdown("\n".join(["| design | next | why |", "|:--|:--|:--|", *rows]))

# %% [markdown]
# The same data, two answers: BOIN looks at the level's own rate, 1 in 3, and goes down. The models weigh in that nobody of three had a
# DLT below, and stay. The 3+3 has a rule for it.

# %% [markdown]
# ## The answer

# %% jupyter={"source_hidden": true} tags=["remove-input"]
gain, error = average["better than 3+3 by"], average["± error of that"]
Markdown(
    f"""**CRM and BOIN would, by a few percentage points, for nearly twice the patients; BLRM would not.** Averaged
over the prior, CRM names the right dose more often than the 3+3 by {gain["crm"]:.1f} ± {error["crm"]:.1f} percentage points, BOIN by
{gain["boin"]:.1f} ± {error["boin"]:.1f}; BLRM differs by {gain["blrm"]:.1f} ± {error["blrm"]:.1f} (each ± one Monte Carlo error). They
treat {average.loc["crm", "patients"]:.0f}, {average.loc["boin", "patients"]:.0f} and {average.loc["blrm", "patients"]:.0f} patients on
average, the 3+3 {average.loc["3+3", "patients"]:.0f}; above the MTD they treat {average.loc["crm", "above the MTD"]:.1f},
{average.loc["boin", "above the MTD"]:.1f} and {average.loc["blrm", "above the MTD"]:.1f}, the 3+3
{average.loc["3+3", "above the MTD"]:.1f}. With at most six patients a dose the differences are {gain["crm-6"]:.1f} (CRM),
{gain["boin-6"]:.1f} (BOIN) and {gain["blrm-6"]:.1f} (BLRM).

If groups of six are fixed, the capped CRM and BOIN gain where a dose is right and lose where none is; the capped BLRM does the
reverse. If
{protocol.limits.max_n} patients may be treated, use them: BOIN by a table on one page, CRM if the top dose is likely to be the MTD, BLRM
if an overdose weighs more than the right dose. All of this is under scenarios and a prior that are assumed; with your own in the protocol's
file this page answers for them."""
)
