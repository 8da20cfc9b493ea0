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

trial = dsf.load_trial("../configs/nct05962762.toml")
protocol = trial.protocol
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
oc = dsf.compare(trial)
main = ["3+3", "crm", "boin", "blrm"]
correct = (100 * oc.correct).to_pandas().round(1)
correct.loc["reference"] = (100 * oc.reference_correct).to_pandas().round(1)
correct

# %% [markdown]
# These are the probabilities, in percent, that the true MTD is named: the dose whose rate is nearest to the target, or none where
# even the lowest dose exceeds the target by more than ten percentage points. The last row is a yardstick, not a design: what could be
# known if the outcome of each of 18 patients at every dose were seen (O'Quigley, Paoletti and Maccario 2002,
# doi:10.1093/biostatistics/3.1.51). A design can beat it in a scenario towards which it leans, and then pays for it in another.
#
# Many protocols mean something else by the MTD: the highest dose whose rate is *at most* the target. Where a dose lies a little above the
# target the two differ, and then so does what counts as right:

# %%
either = pd.DataFrame({"MTD, nearest to 25%": oc.true_mtd.to_pandas(), "MTD, highest with at most 25%": oc.highest_mtd.to_pandas()})
by_highest = (100 * oc.correct_highest).to_pandas().round(1)
either.join(by_highest.T.add_suffix(", %")[[f"{name}, %" for name in main]])

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

Where the first dose is already the MTD, the 3+3 names it in {p.sel(design="3+3", scenario="low is MTD"):.1f}%, CRM in
{p.sel(design="crm", scenario="low is MTD"):.1f}%: in {100 * few:.0f}% of such trials the 3+3 names no dose at all, because two DLTs
end it. BLRM is more cautious still: {p.sel(design="blrm", scenario="low is MTD"):.1f}%, and no dose in
{100 * oc.selected.sel(design="blrm", scenario="low is MTD", choice="none"):.0f}%. That caution serves both where every dose is too toxic: the
3+3 stops rightly in {p.sel(design="3+3", scenario="all toxic"):.1f}%, BLRM in {p.sel(design="blrm", scenario="all toxic"):.1f}%, CRM only in
{p.sel(design="crm", scenario="all toxic"):.1f}%.

By the other definition the MTD of the scenario "top is MTD" is level {oc.highest_mtd.sel(scenario="top is MTD").item()}, and the order is
turned round: BLRM {by_highest.loc["blrm", "top is MTD"]:.1f}%, BOIN {by_highest.loc["boin", "top is MTD"]:.1f}%, 3+3
{by_highest.loc["3+3", "top is MTD"]:.1f}%, CRM {by_highest.loc["crm", "top is MTD"]:.1f}%. A protocol has to say which it means before designs
can be compared for it."""
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
can tell; then it is named, by `boin-6` even after three DLTs in six."""
)

# %% [markdown]
# ## Does that hang on the six scenarios?
#
# The scenarios are made up, six of them. A walked design answers for any number of truths, so we draw 400 from a prior and average: that of
# the protocol's file (median DLT rate 10% at the middle dose, widely spread), which is an assumption of ours, as no record states one. It is
# also the prior and the curve of the BLRM, which is thereby judged on its home ground. Now there is a Monte Carlo error, that of the 400
# truths. The same truths serve every design, so differences between designs are less uncertain than each figure is.

# %%
curve = dsf.Logistic2(doses=protocol.doses.amounts, reference=3, prior=dsf.BivariateNormal(mean=(-2.2, 0.0), sd=(2.0, 1.0)))
z = np.random.default_rng(1).normal(size=(400, 2))
truths = np.exp(curve.at(z)[0])
many = protocol.model_copy(update={"scenarios": {f"truth {i}": tuple(row) for i, row in enumerate(truths.tolist())}})
drawn = dsf.compare(many)
n = drawn.sizes["scenario"]


def averaged(correct, means):
    """Percentages averaged over the truths and differences from the 3+3, each with its Monte Carlo error."""
    better = correct - correct.sel(design="3+3", drop=True)
    columns = {f"{means}, %": correct.mean("scenario"), "± error": correct.std("scenario") / n**0.5}
    columns |= {"better than 3+3 by": better.mean("scenario"), "± error of that": better.std("scenario") / n**0.5}
    return pd.DataFrame({name: 100 * value.to_pandas() for name, value in columns.items()})


average = averaged(drawn.correct, "nearest dose named").assign(
    patients=drawn.mean_n.mean("scenario").to_pandas(), **{"above the MTD": drawn.above_mtd.mean("scenario").to_pandas()}
)
average.round(1)

# %% [markdown]
# And by the other definition, the highest dose with a rate of at most 25%:

# %%
other = averaged(drawn.correct_highest, "highest dose named")
other.round(1)

# %% [markdown]
# How often each kind of truth comes up in this prior, and who is right then, by the nearest dose:

# %%
kinds = drawn.correct.groupby(drawn.true_mtd).mean().sel(design=main).to_pandas().T
(100 * kinds).round(1).assign(
    **{"share of truths": pd.Series(drawn.true_mtd.values).value_counts(normalize=True).mul(100).round(1)}
)

# %% jupyter={"source_hidden": true} tags=["remove-input"]
mtd = drawn.true_mtd.values
named = mtd != "none"
rates = truths[named, mtd[named].astype(int) - 1]
harmless = np.mean(truths[mtd == "3", 2] < 0.16)
Markdown(
    f"""Of the truths whose MTD is level 3, {100 * harmless:.0f}% have a rate below 16% there: the average is mostly about naming a top dose that
is harmless. And the nearest dose is not always a safe one: in {100 * np.mean(rates > 0.33):.0f}% of the truths that have an MTD its rate is above
33%, at most {100 * rates.max():.0f}%."""
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
also, its_error = other["better than 3+3 by"], other["± error of that"]


def by(gains, errors, *names):
    return ", ".join(f"{name.upper()} {gains[name]:+.1f} ± {errors[name]:.1f}" for name in names)


Markdown(
    f"""**That depends on what is called the MTD. To name the dose nearest to 25%, CRM and BOIN would, by a few percentage points, for nearly
twice the patients; to name the highest dose with at most 25%, hardly.** Averaged over the prior, the share of trials that name the nearest dose
differs from that of the 3+3, in percentage points (± one Monte Carlo error), by: {by(gain, error, "crm", "boin", "blrm")}. By the highest dose:
{by(also, its_error, "crm", "boin", "blrm")}. They treat {average.loc["crm", "patients"]:.0f}, {average.loc["boin", "patients"]:.0f} and
{average.loc["blrm", "patients"]:.0f} patients on average, the 3+3 {average.loc["3+3", "patients"]:.0f}; above the nearest dose they treat
{average.loc["crm", "above the MTD"]:.1f}, {average.loc["boin", "above the MTD"]:.1f} and {average.loc["blrm", "above the MTD"]:.1f}, the 3+3
{average.loc["3+3", "above the MTD"]:.1f}. With at most six patients a dose the differences are
{by(gain, error, "crm-6", "boin-6", "blrm-6")} by the nearest dose, {by(also, its_error, "crm-6", "boin-6", "blrm-6")} by the highest.

If groups of six are fixed, the capped CRM and BOIN name the nearest dose more often where there is one, and stop too rarely where every dose is
too toxic; the capped BLRM loses where the top dose is right or all are harmless, is about equal or better below, and stops rightly more often.
If {protocol.limits.max_n} patients may be treated, use them: BOIN by a table on one page, CRM if the dose nearest to the target is wanted and the
top dose is likely to be it, BLRM if an overdose weighs more than the right dose. All of this is under scenarios and a prior that are assumed;
with your own in the protocol's file this page answers for them."""
)
