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
# Before the first patient there is a prior, whether it was chosen deliberately or not. **How can a prior be elicited from
# clinicians, what does it predict, and how much does it influence the result?**

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
# Clinicians do not think in means and standard deviations of log α. A clinician may say: "At the lowest dose I would be surprised
# (one in ten) by a DLT rate above 15%, and equally by one below 0.5%. At the highest dose I would be surprised by less than 5% or
# more than 60%." These are the 10% and 90% quantiles of two DLT rates, and they determine the prior of the two-parameter logistic
# curve, if its parameters are uncorrelated. The quantiles here are an example; no clinician was asked.

# %%
elicited = dsf.prior_from_quantiles({1: {0.1: 0.005, 0.9: 0.15}, 5: {0.1: 0.05, 0.9: 0.60}}, reference=3)
elicited.table().round(4)

# %% jupyter={"source_hidden": true} tags=["remove-input"]
mean, sd = elicited.prior.mean, elicited.prior.sd
Markdown(
    f"""Fitted: log α with mean {mean[0]:.2f} and standard deviation {sd[0]:.2f}, log β with mean {mean[1]:.2f} and standard deviation
{sd[1]:.2f}, at a reference dose of 3 × 10⁶ cells/kg. The largest difference between an elicited rate and the prior's is
{elicited.misfit:.1g}: four statements, four numbers."""
)

# %% [markdown]
# Statements can contradict the curve. Someone who is certain about the lowest and the highest dose, and knows nothing of the one
# between, describes a curve that is not of this form; the misfit shows it:

# %%
torn = dsf.prior_from_quantiles({1: {0.1: 0.05, 0.9: 0.06}, 3: {0.1: 0.06, 0.9: 0.50}, 5: {0.1: 0.55, 0.9: 0.60}}, reference=3)
torn.table().round(3)

# %% jupyter={"source_hidden": true} tags=["remove-input"]
Markdown(
    f"""The largest difference is {torn.misfit:.2f}: this prior does not represent the statements, and should be discussed with the clinician
{f"(at the limit of its range: {', '.join(torn.at_bound)})" if torn.at_bound else ""}. Check `misfit` first."""
)

# %% [markdown]
# ## Prior predictions
#
# A prior is best judged by its predictions. For the first cohort of three at each dose: the probability of 0, 1, 2 and 3 DLTs, by
# quadrature.

# %%
dsf.plots.prior(elicited, protocol=protocol)

# %%
predicted = elicited.predictive(3, doses)
(100 * predicted).round(1)

# %% jupyter={"source_hidden": true} tags=["remove-input"]
Markdown(
    f"""It predicts no DLT in {100 * predicted.loc[1.0, 0]:.0f}% of first cohorts at the lowest dose, and two or more in
{100 * predicted.loc[5.0, [2, 3]].sum():.0f}% of first cohorts at the highest. If the clinicians do not expect this, the four numbers
above do not represent their opinion. If the first cohort then shows 3 DLTs of 3 at the lowest dose, which the prior gives
{100 * predicted.loc[1.0, 3]:.1f}%, prior and data disagree, and the prior should be questioned before the posterior is used."""
)

# %% [markdown]
# ## Minimally informative priors
#
# Two bounds may be sufficient: the rate of the lowest dose is above 40% with probability 5%, that of the highest below 10% with
# probability 5%. The minimally informative prior (Neuenschwander, Branson and Gsponer 2008, doi:10.1002/sim.3230) contains little
# more information than that. It is compared below with the prior of the protocol's file and the clinician's:

# %%
minimal = dsf.minimally_informative_prior(doses, reference=3, lowest=(0.4, 0.05), highest=(0.1, 0.05))
minimal.table().round(3)

# %% jupyter={"source_hidden": true} tags=["remove-input"]
reached = 100 * minimal.quantiles((0.05, 0.95))
Markdown(
    f"""The method uses three quantiles at every dose, nine for a prior with five parameters: the largest difference is {minimal.misfit:.3f}, with
the {", ".join(minimal.at_bound)} at the limit of its range ({minimal.prior.correlation:.2f}). A higher rate is then almost certainly associated with a
steeper slope, which was not stated. The two statements themselves are nearly met: the 95% quantile at the lowest dose is
{reached.loc[1.0, 0.95]:.1f}% (stated: 40%), the 5% quantile at the highest {reached.loc[5.0, 0.05]:.1f}% (stated: 10%)."""
)

# %%
shipped = dsf.BivariateNormal(mean=(-2.2, 0.0), sd=(2.0, 1.0))
priors = {"clinician": elicited.prior, "minimal": minimal.prior, "shipped": shipped}

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
                "P(overdose), %": 100 * float(at.p_over),
                "ESS, patients": float(at.prior_effective_n),
            }
        )
compared = pd.DataFrame(rows).set_index(["prior", "level"]).round(1)
compared

# %% jupyter={"source_hidden": true} tags=["remove-input"]
ess = compared["ESS, patients"].unstack("prior")
Markdown(
    f"""The prior effective sample size (ESS) is that of a beta prior with the same mean and variance, in patients at that dose. The shipped prior has an ESS of
{ess["shipped"].min():.1f} to {ess["shipped"].max():.1f} patients, the minimal one {ess["minimal"].min():.1f} to
{ess["minimal"].max():.1f}, the clinician's {ess["clinician"].min():.1f} to {ess["clinician"].max():.1f}. The clinician's prior outweighs a
cohort of three at every dose, and the minimal one does at the lowest: "minimally informative" is the name of a method, not a guarantee."""
)

# %% [markdown]
# ## Influence of the prior on the result
#
# Suppose the trial escalates to the top dose and has two DLTs in three patients there. The same data under the three priors:

# %%
outcomes = "1NNN 2NNN 3NTT"
analyses = {}
for name, prior in priors.items():
    own = protocol.model_copy(update={"curves": {name: {"kind": "logistic-2", "prior": prior.model_dump(exclude_defaults=True)}}})
    analyses[name] = dsf.analyze(own, outcomes)
pd.DataFrame(
    {
        name: {
            f"P(overdose) at level {level}, %": f"{100 * float(analysis.summary.p_over.sel(dose=level)):.1f}" for level in (1, 2, 3)
        }
        | {"RP2D": analysis.summary.attrs["rp2d"]}
        for name, analysis in analyses.items()
    }
)

# %%
dsf.plots.prior_posterior(analyses["shipped"])

# %% [markdown]
# One assumption changed at a time, starting from the shipped prior:

# %%
table = dsf.sensitivity(trial, outcomes)
over = [f"over_{level}" for level in (1, 2, 3)]
table.assign(**(100 * table[over]).round(1)).drop(columns=["mtd", "p_mtd"])

# %% jupyter={"source_hidden": true} tags=["remove-input"]
Markdown(f"> {table.attrs['note']}")

# %% [markdown]
# ## Predictive check
#
# A predictive check of one quantity, the number of DLTs at the top dose, in the same number of patients, with draws from the prior
# and from the posterior. The share of predicted trials with at least as many DLTs at the top dose as observed has a Monte Carlo
# error, that of 4,000 draws. The posterior check uses the data twice and is the less strict one; a share below 5% in either would
# be a reason to reconsider the prior.

# %%
tree = analyses["shipped"].tree(draws=4000, seed=1)
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
rp2d = {name: analysis.summary.attrs["rp2d"] for name, analysis in analyses.items()}
base = table["rp2d"].iloc[0]
moved = table[table["rp2d"] != base]
# Changes of the prior and the curve; the others change the definition of an overdose.
assumed = table[~table["varied"].isin(["target", "RP2D limit", "overdose from"])]
near = assumed[(assumed["over_2"] - 0.25).abs() < 0.01]
changes = "; ".join(f"{row.varied} {row.value} gives {row.rp2d}" for row in moved.itertuples()) or "none"
Markdown(
    f"""**A prior is elicited as quantiles of DLT rates at two doses, checked by its predictions for the first cohorts, and measured by its
effective sample size.** Here the clinician's prior has an ESS of up to {ess["clinician"].max():.0f} patients at a dose, the shipped one
{ess["shipped"].max():.0f}. After `{outcomes}` the three priors lead to RP2D {rp2d["clinician"]} (clinician), {rp2d["minimal"]} (minimal) and
{rp2d["shipped"]} (shipped). Of the {len(table) - 1} changes to the shipped prior, {len(moved)} change the RP2D from level
{base} ({changes}){"".join(f", and {row.varied} {row.value} nearly does: P(overdose) at level 2 is {100 * row.over_2:.1f}%, the limit 25%" for row in near.itertuples())}.

If a reasonable change of the prior changes the result, the data are not yet sufficient, and the report should say so."""
)
