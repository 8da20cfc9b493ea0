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
# # Priors
#
# Before the first patient there is a prior, whether somebody has thought about it or not. **How is one made from what clinicians can say,
# what does it expect to see, and how much of the answer will be due to it?**

# %%
import numpy as np
import pandas as pd
from IPython.display import Markdown

import dosefind as dsf

trial = dsf.load_trial("../configs/nct05962762.toml")
protocol = trial.protocol
doses = protocol.doses.amounts

# %% [markdown]
# ## From two statements at two doses
#
# Nobody thinks in means and standard deviations of log α. A clinician may say: "At the lowest dose I would be surprised (one in ten) by a
# DLT rate above 15%, and equally by one below 0.5%. At the highest dose I would be surprised by less than 5% or more than 60%." These are
# the 10% and 90% quantiles of two DLT rates, and they fix the prior of the two-parameter logistic curve, given that its parameters are
# uncorrelated. The quantiles here are an example; no clinician was asked.

# %%
said = dsf.prior_from_quantiles({1: {0.1: 0.005, 0.9: 0.15}, 5: {0.1: 0.05, 0.9: 0.60}}, reference=3)
said.table().round(4)

# %% jupyter={"source_hidden": true} tags=["remove-input"]
mean, sd = said.prior.mean, said.prior.sd
Markdown(
    f"""Fitted: log α with mean {mean[0]:.2f} and standard deviation {sd[0]:.2f}, log β with mean {mean[1]:.2f} and standard deviation
{sd[1]:.2f}, at a reference dose of 3 × 10⁶ cells/kg. The largest difference between a rate asked for and the prior's is
{said.misfit:.1g}: four statements, four numbers."""
)

# %% [markdown]
# Statements can contradict the curve. Someone who is sure of the lowest and the highest dose, and knows nothing of the one between, asks for
# what no curve of this form has; the misfit says so:

# %%
torn = dsf.prior_from_quantiles({1: {0.1: 0.05, 0.9: 0.06}, 3: {0.1: 0.06, 0.9: 0.50}, 5: {0.1: 0.55, 0.9: 0.60}}, reference=3)
torn.table().round(3)

# %% jupyter={"source_hidden": true} tags=["remove-input"]
Markdown(
    f"""The largest difference is {torn.misfit:.2f}: this prior does not say what was said, and should go back to whoever said it
{f"(at the end of its range: {', '.join(torn.at_bound)})" if torn.at_bound else ""}. Look at `misfit` before anything else."""
)

# %% [markdown]
# ## What the prior expects to see
#
# A prior is best judged by what it predicts. For the first cohort of three at each dose: the probability of 0, 1, 2 and 3 DLTs, by
# quadrature.

# %%
dsf.plots.prior(said, protocol=protocol)

# %%
predicted = said.predictive(3, doses)
(100 * predicted).round(1)

# %% jupyter={"source_hidden": true} tags=["remove-input"]
Markdown(
    f"""It expects no DLT in {100 * predicted.loc[1.0, 0]:.0f}% of first cohorts at the lowest dose, and two or more in
{100 * predicted.loc[5.0, [2, 3]].sum():.0f}% of first cohorts at the highest. If that is not what the clinicians expect, the four numbers
above are not what they meant. If the first cohort then shows 3 DLTs of 3 at the lowest dose, which the prior gives
{100 * predicted.loc[1.0, 3]:.1f}%, prior and data disagree, and the prior should be questioned before the posterior is used."""
)

# %% [markdown]
# ## When nobody can say anything
#
# Two bounds may be enough: the rate of the lowest dose is above 40% with probability 5%, that of the highest below 10% with probability
# 5%. The minimally informative prior (Neuenschwander, Branson and Gsponer 2008, doi:10.1002/sim.3230) says little more than that. Beside it
# the prior of the protocol's file, and the clinician's:

# %%
minimal = dsf.minimally_informative_prior(doses, reference=3, lowest=(0.4, 0.05), highest=(0.1, 0.05))
minimal.table().round(3)

# %% jupyter={"source_hidden": true} tags=["remove-input"]
reached = 100 * minimal.quantiles((0.05, 0.95))
Markdown(
    f"""The recipe asks for three quantiles at every dose, nine of a prior with five numbers: the largest difference is {minimal.misfit:.3f}, with
the {", ".join(minimal.at_bound)} at the end of its range ({minimal.prior.correlation:.2f}). With that a higher rate goes with a steeper slope almost
surely, which nobody has said. The two statements themselves are met nearly: the 95% quantile at the lowest dose is
{reached.loc[1.0, 0.95]:.1f}% (asked: 40%), the 5% quantile at the highest {reached.loc[5.0, 0.05]:.1f}% (asked: 10%)."""
)

# %%
shipped = dsf.BivariateNormal(mean=(-2.2, 0.0), sd=(2.0, 1.0))
priors = {"clinician": said.prior, "minimal": minimal.prior, "shipped": shipped}

rows = []
for name, prior in priors.items():
    own = protocol.model_copy(update={"curves": {name: {"kind": "logistic-2", "prior": prior.model_dump(exclude_defaults=True)}}})
    s = dsf.analyze(own).summary
    for level in s.dose.values:
        at = s.sel(dose=level)
        rows.append(
            {
                "prior": name,
                "level": level,
                "mean, %": 100 * float(at["mean"]),
                "2.5%": 100 * float(at["lower"]),
                "median": 100 * float(at["median"]),
                "97.5%": 100 * float(at["upper"]),
                "over, %": 100 * float(at.p_over),
                "worth, patients": float(at.prior_effective_n),
            }
        )
compared = pd.DataFrame(rows).set_index(["prior", "level"]).round(1)
compared

# %% jupyter={"source_hidden": true} tags=["remove-input"]
worth = compared["worth, patients"].unstack("prior")
Markdown(
    f""""Worth" is the size of a beta prior with the same mean and variance: how many patients the prior weighs at that dose. The shipped prior is worth
{worth["shipped"].min():.1f} to {worth["shipped"].max():.1f} patients, the minimal one {worth["minimal"].min():.1f} to
{worth["minimal"].max():.1f}, the clinician's {worth["clinician"].min():.1f} to {worth["clinician"].max():.1f}. The clinician's outweighs a
cohort of three at every dose, and the minimal one does at the lowest: "minimally informative" is the name of a recipe, not a promise."""
)

# %% [markdown]
# ## How much of the answer is the prior?
#
# Suppose the trial goes to the top and sees two DLTs in three there. The same data under the three priors:

# %%
outcomes = "1NNN 2NNN 3NTT"
answers = {}
for name, prior in priors.items():
    own = protocol.model_copy(update={"curves": {name: {"kind": "logistic-2", "prior": prior.model_dump(exclude_defaults=True)}}})
    answers[name] = dsf.analyze(own, outcomes)
pd.DataFrame(
    {
        name: {f"over at level {level}, %": f"{100 * float(one.summary.p_over.sel(dose=level)):.1f}" for level in (1, 2, 3)}
        | {"RP2D": one.summary.attrs["rp2d"]}
        for name, one in answers.items()
    }
)

# %%
dsf.plots.prior_posterior(answers["shipped"])

# %% [markdown]
# And one assumption at a time, around the shipped prior:

# %%
table = dsf.sensitivity(trial, outcomes)
over = [f"over_{level}" for level in (1, 2, 3)]
table.assign(**(100 * table[over]).round(1)).drop(columns=["mtd", "p_mtd"])

# %% jupyter={"source_hidden": true} tags=["remove-input"]
Markdown(f"> {table.attrs['note']}")

# %% [markdown]
# ## Does the observed trial look like one that the prior expects?
#
# A predictive check of one figure, the DLTs at the top dose: in as many patients, drawn from the prior and from the posterior. The share
# of predicted trials with at least as many DLTs at the top dose as were seen has a Monte Carlo error, that of 4,000 draws. The check by the
# posterior uses the data twice and is the milder one; a share below 5% in either would call for another look at the prior.

# %%
tree = answers["shipped"].tree(draws=4000, seed=1)
seen = tree["observed_data"]["y"].sel(dose=3)
rows = {}
for group in ("prior_predictive", "posterior_predictive"):
    least = (tree[group]["y"].sel(dose=3) >= seen).values.ravel()
    rows[group.replace("_", " ")] = {
        "two or more DLTs of three at level 3, %": 100 * least.mean(),
        "± Monte Carlo error": 100 * np.sqrt(least.mean() * (1 - least.mean()) / least.size),
    }
pd.DataFrame(rows).T.round(1)

# %% [markdown]
# ## The answer

# %% jupyter={"source_hidden": true} tags=["remove-input"]
named = {name: one.summary.attrs["rp2d"] for name, one in answers.items()}
base = table["rp2d"].iloc[0]
moved = table[table["rp2d"] != base]
# Changes of the prior and the curve; the others change what is counted as too toxic.
assumed = table[~table["varied"].isin(["target", "RP2D limit", "overdose from"])]
near = assumed[(assumed["over_2"] - 0.25).abs() < 0.01]
which = "; ".join(f"{row.varied} {row.value} gives {row.rp2d}" for row in moved.itertuples()) or "none"
Markdown(
    f"""**A prior is made from quantiles of DLT rates at two doses, checked by what it predicts for the first cohorts, and weighed in
patients.** Here the clinician's prior is worth up to {worth["clinician"].max():.0f} patients at a dose, the shipped one
{worth["shipped"].max():.0f}. After `{outcomes}` the three priors name RP2D {named["clinician"]} (clinician), {named["minimal"]} (minimal) and
{named["shipped"]} (shipped). Of the {len(table) - 1} changes around the shipped prior, {len(moved)} move the RP2D away from level
{base} ({which}){"".join(f", and {row.varied} {row.value} nearly does: P(over) at level 2 is {100 * row.over_2:.1f}%, the limit 25%" for row in near.itertuples())}.

If a change that nobody could object to moves the answer, the answer is not in the data yet, and the report should say so."""
)
