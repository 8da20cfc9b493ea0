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
# # Zero DLTs
#
# Six patients at each of three doses, eighteen in total, without a single DLT. **What does 0/6 at each dose show, and what does it
# not show?**
#
# The protocol is NCT05962762 (1, 3, 5 × 10⁶ cells/kg). The outcome is hypothetical, not observed: groups of six fixed in advance,
# as reported by many first trials of cells. The designs of the protocol's file would not treat six at each dose without a DLT;
# their courses are shown below.

# %%

import pandas as pd
from IPython.display import Markdown
from scipy.stats import beta

import dosefind as dsf

trial = dsf.load_trial("../configs/nct05962762.toml")
protocol = trial.protocol
outcomes = "1NNN 1NNN 2NNN 2NNN 3NNN 3NNN"
found = dsf.analyze(trial, outcomes)
s = found.summary
dsf.plots.trial(outcomes, protocol=protocol)

# %% [markdown]
# ## Without a model
#
# If the DLT rate at a dose is p, six patients have no DLT with probability (1 - p)⁶. Rates at which this is below 5% are excluded
# with 95% confidence (one-sided): the exact limit of Clopper and Pearson (1934, doi:10.1093/biomet/26.4.404) is 1 - 0.05^(1/n), as
# if the number of patients had been fixed in advance.

# %%
limits = pd.DataFrame({"patients, no DLT": [3, 6, 9, 12, 18, 27]})
limits["rate excluded above, %"] = (100 * (1 - 0.05 ** (1 / limits["patients, no DLT"]))).round(1)
limits["P(no DLT) at 25%, %"] = (100 * 0.75 ** limits["patients, no DLT"]).round(1)
limits["P(no DLT) at 33%, %"] = (100 * 0.67 ** limits["patients, no DLT"]).round(1)
limits.set_index("patients, no DLT")

# %% jupyter={"source_hidden": true} tags=["remove-input"]
needed = {rate: next(n for n in range(1, 100) if 1 - 0.05 ** (1 / n) < rate) for rate in (0.33, 0.25, 0.10)}
Markdown(
    f"""So 0/6 excludes rates above {100 * s.upper_limit[2]:.0f}% and no lower rates: a dose at which a quarter of the patients have a DLT has
0/6 in {100 * 0.75**6:.0f} of 100 trials. Excluding 33% requires {needed[0.33]} patients without a DLT at that dose, excluding 25%
{needed[0.25]}, excluding 10% {needed[0.1]}.

All eighteen together exclude rates above {100 * s.attrs["pooled_upper_limit"]:.0f}% for the *average* over the patients
treated. If toxicity increases with dose, the lowest dose is below the average, so the limit also holds for the lowest dose. It does not hold
for the top dose, which is the dose of interest."""
)

# %% [markdown]
# ## With a model
#
# A dose-toxicity curve shares information between doses: if 3 × 10⁶ cells/kg is harmless, 5 is unlikely to be very toxic. With the
# protocol's two-parameter logistic curve:

# %%
dsf.plots.curve(found)

# %%
dsf.plots.prior_posterior(found)

# %% jupyter={"source_hidden": true} tags=["remove-input"]
Markdown(
    f"""P(overdose) at the top dose, the probability that its rate is 33% or more, decreases from {100 * s.prior_p_over[2]:.0f}% before the data to
{100 * s.p_over[2]:.1f}%. Six patients alone do not give such a strong result: their limit is {100 * s.upper_limit[2]:.0f}%, above 33%.
The difference is due to the curve and its prior. dosefind states this in the warnings of the analysis:

"""
    + "\n".join(f"> - {words}" for words in s.attrs["warnings"])
)

# %% [markdown]
# ## Influence of the prior
#
# One assumption is changed at a time: another curve, a tighter or wider prior, another median of the rate or of the slope, another
# reference dose. P(overdose) in percent:

# %%
table = dsf.sensitivity(trial, outcomes)
over = [f"over_{level}" for level in (1, 2, 3)]
shown = table[~table["varied"].isin(["target", "RP2D limit", "overdose from"])]
shown.assign(**(100 * shown[over]).round(2)).drop(columns=["mtd", "p_mtd"])

# %% jupyter={"source_hidden": true} tags=["remove-input"]
curves = shown["over_3"]
Markdown(
    f"""P(overdose) at the top dose is between {100 * curves.min():.2f}% and {100 * curves.max():.2f}% in these analyses. Note that the *wider* prior gives
a *smaller* P(overdose). A vague prior on the parameters is not vague about the rates: it has much of its mass near 0% and near 100%,
and zero DLTs leave the part near 0%.

The table changes one assumption at a time. The following table has two priors of another kind: one fitted to two cautious statements (the minimally
informative prior of the notebook on priors: a rate above 40% at the lowest dose has probability 5%, and so has one below 10% at the highest), and one that
expects toxicity to increase steeply from a low dose. It also has the six patients treated at the top dose, with a uniform prior and no curve:"""
)

# %%
minimal = dsf.minimally_informative_prior(protocol.doses.amounts, reference=3, lowest=(0.4, 0.05), highest=(0.1, 0.05))
steep = dsf.BivariateNormal(mean=(-1.1, 1.0), sd=(1.0, 0.5))
kinds = {"minimally informative": minimal.prior, "steep": steep}
under = {
    name: dsf.analyze(
        protocol.model_copy(update={"curves": {name: {"kind": "logistic-2", "prior": prior.model_dump(exclude_defaults=True)}}}),
        outcomes,
    ).summary
    for name, prior in kinds.items()
}
others = pd.DataFrame(
    {
        name: {
            "over_3": 100 * float(summary.p_over[2]),
            "before the data": 100 * float(summary.prior_p_over[2]),
            "3 or above": 100 * float(summary.mtd[-1]),
        }
        for name, summary in under.items()
    }
).T
others.loc["no curve, uniform prior"] = [100 * beta.sf(0.33, 1, 7), 67.0, float("nan")]
others.round(1)

# %% jupyter={"source_hidden": true} tags=["remove-input"]
Markdown(
    f"""From {100 * curves.min():.1f}% to {others["over_3"].max():.0f}%: the data lower P(overdose) under each of these priors, by an amount
that depends on the prior. With the steep prior, a committee would be reassured much less."""
)

# %% [markdown]
# ## The MTD is not determined
#
# Without a DLT the data do not bound the curve from above.

# %%
dsf.plots.mtd(found)

# %% jupyter={"source_hidden": true} tags=["remove-input"]
amount = s.mtd_amount.sel(quantile=[0.025, 0.5]).values
prior_top, top = float(s.prior_mtd[-1]), float(s.mtd[-1])
lower = {name: float(summary.mtd_amount.sel(quantile=0.025)) for name, summary in under.items()}
Markdown(
    f"""The posterior probability of "3 or above" is {100 * top:.1f}% (before the data: {100 * prior_top:.0f}%). This shows where the MTD
is *not*: not among the lower doses. The data do not show where it is. On the dose scale the median is {amount[1]:.0f} × 10⁶ cells/kg,
{amount[1] / 5:.0f} times the highest dose: this number is determined by the prior of the slope and is not an estimate. The lower end depends more on
the data, but also on the prior: the MTD is above {amount[0]:.1f} × 10⁶ cells/kg with probability 97.5% under this prior, above
{lower["minimally informative"]:.1f} under the minimally informative one and {lower["steep"]:.1f} under the steep one."""
)

# %% [markdown]
# The designs escalate after three patients without a DLT, so none of them treats six at each dose. At the end of a trial without a
# DLT they stop and select level 3: the 3+3 after three patients per dose, BOIN after three, three and all the others at the top.
# Designs that would have continued to a higher dose report that the MTD is *not reached*: the recommended dose is then the highest
# one tried (the maximum administered dose), not the highest one tolerable.

# %%
full = {"3+3": dsf.ThreePlusThree(), "BOIN": dsf.BOIN(target=0.25, max_n=18, n_doses=3)}
steps = {"3+3": "1NNN 2NNN 3NNN", "BOIN": "1NNN 2NNN 3NNN 3NNN 3NNN 3NNN"}
rows = [f"| {name} | `{steps[name]}` | {dsf.decide(design, steps[name], n_doses=3).words} |" for name, design in full.items()]
Markdown("\n".join(["| design | after | recommendation |", "|:--|:--|:--|", *rows]))

# %% [markdown]
# The 3+3 needs only three patients at each dose, nine in total. The limits of the first table are then those of 0/3: rates up to
# 63% at the top dose remain possible. The three probabilities of each dose, after nine patients and after eighteen, in percent:

# %%
nine = dsf.analyze(trial, "1NNN 2NNN 3NNN").summary
parts = ["p_under", "p_target", "p_over", "upper_limit"]
both = {"0/3 each": nine, "0/6 each": s}
pd.concat({name: (100 * summary[parts].drop_vars("dose_amount").to_pandas()).round(1) for name, summary in both.items()}, axis=1)

# %% [markdown]
# ## Probability of a trial without DLTs
#
# The probability of a trial without any DLT, in percent, in each of the protocol's scenarios: with six patients at each dose, and
# with the designs, which stop or continue by their own rules:

# %%
rates = pd.DataFrame(protocol.truths, index=list(protocol.scenarios), columns=["level 1", "level 2", "level 3"])
oc = dsf.compare(trial).sel(design=["3+3", "boin-6", "boin"])
by_design = (100 * (1 - oc.any_dlt)).to_pandas().T
none = (100 * ((1 - rates) ** 6).prod(axis=1)).to_frame("six per dose").join(by_design)
rates.join(none.round(1))

# %% jupyter={"source_hidden": true} tags=["remove-input"]
six, rule = none["six per dose"], none["3+3"]
Markdown(
    f"""With six patients per dose, zero DLTs is expected if the product is harmless ({six["none toxic"]:.0f}% of trials), common if
rates are low ({six["low"]:.0f}%), and rare if the top dose is the MTD ({six["top is MTD"]:.1f}%). With the protocol's 3+3 it is not rare even
then: {rule["top is MTD"]:.0f}%, and {rule["middle is MTD"]:.0f}% if the middle dose is the MTD and the top dose is overly toxic.

Not all patients contain information on the top dose. If toxicity increases with the dose, an observation at a high dose also applies to the lower doses,
but not the reverse: rates of 1%, 2% and 27% increase too, and give no DLT with six patients per dose with probability {100 * 0.99**6 * 0.98**6 * 0.73**6:.0f}%.
Only the six patients treated at the top dose are evidence against 25% there; the rest comes from the form of the curve and its prior."""
)

# %% [markdown]
# ## The answer

# %% jupyter={"source_hidden": true} tags=["remove-input"]
Markdown(
    f"""**0/6 at each dose shows** that the top dose's DLT rate is at most {100 * s.upper_limit[2]:.0f}% (95% one-sided, from the patients treated at that dose),
that the average over the doses is at most {100 * s.attrs["pooled_upper_limit"]:.0f}%, and, given a curve that increases with the dose and a
weak prior, that an overdose at the top dose is unlikely: P(overdose) {100 * s.p_over[2]:.1f}%, from {100 * curves.min():.1f}% to
{others["over_3"].max():.0f}% over the priors considered. With nine patients instead of eighteen it is {100 * nine.p_over[2]:.1f}%.

**It does not show** the MTD. "3 or above" has {100 * top:.0f}% ({others["3 or above"].min():.0f}% under the steep prior): under such a
curve and prior no dose tried is likely to exceed the target. It does not follow that level 3 is the MTD; how far above 5 × 10⁶ cells/kg it is depends on the prior.
Nor do the patients treated at the top dose exclude a rate of 25% there. Report the RP2D with both limits, and the MTD as not reached."""
)
