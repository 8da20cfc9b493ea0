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
# # Efficacy and dose selection
#
# Eighteen synthetic patients at three doses, with DLTs and responses. **Which dose do the data support for phase 2, and what would
# settle it?**
#
# The config states the endpoint (ASAS20 at week 12), the estimand and the utilities. The utilities are assumed for this example;
# in a trial they are the sponsor's.

# %%
import numpy as np
import pandas as pd
from IPython.display import Markdown

import dosefind as dsf
from dosefind.efficacy.binary import IndependentPrior

folder = "../examples/nct05962762/dose-selection"
trial = dsf.load_trial(f"{folder}/trial.toml")
patients = dsf.read_patients(f"{folder}/patients.csv", trial.protocol, events=f"{folder}/events.csv")
evaluated = dsf.evaluate(patients, trial.protocol)
responses = dsf.response_outcomes(evaluated, trial.protocol)
found = dsf.analyze(trial, evaluated.cohorts(), responses=responses)
found

# %% [markdown]
# ## Every patient
#
# A rescue before week 12 is no response: leaving the patient out would make the dose look better. A missing assessment of a patient
# without rescue is not evaluable, and is listed.

# %%
pd.DataFrame(
    [(one.subject, one.level, one.kind, one.value, one.rule) for one in responses.outcomes if one.kind != "known" or one.composite]
)

# %% [markdown]
# ## Response rates
#
# Independent doses borrow nothing from each other; a plateau and a logistic-quadratic curve do. With few patients they disagree.

# %%
dsf.plots.efficacy(found)

# %% [markdown]
# ## Expected utility
#
# The utilities are 100 for a response without a DLT, 40 for neither, 60 for a response with a DLT and 0 for a DLT without a
# response.

# %%
dsf.plots.utility(found)

# %%
s = found.summary
columns = {"E(U)": "expected_utility", "P(largest), %": "p_largest_utility", "expected loss": "expected_loss"}
table = {
    (prior, head): s[name].sel(response_prior=prior).values for prior in s.response_prior.values for head, name in columns.items()
}
pd.DataFrame(
    {key: (100 * value if "%" in key[1] else value).round(1) for key, value in table.items()}, index=s.dose.values
).T.unstack()

# %% [markdown]
# ## How often six patients per dose find the best one
#
# With true response rates of 20%, 30% and 50% and six patients per dose, enumerated exactly, ties counted as a share:

# %%
from scipy.stats import binom

rates, counts = (0.2, 0.3, 0.5), np.arange(7)
chance = np.einsum("a,b,c->abc", *(binom.pmf(counts, 6, rate) for rate in rates))
grid = np.stack(np.meshgrid(counts, counts, counts, indexing="ij"))
best = grid == grid.max(axis=0)
right = float((chance * best[2] / best.sum(axis=0)).sum())
Markdown(f"The largest observed share is at the best dose in {100 * right:.0f} of 100 trials.")

# %% [markdown]
# ## A randomised comparison
#
# With the posterior of this trial as the prior, levels 2 and 3 are randomised with n patients each and the dose with the higher
# observed rate is selected. The probability that it is the better one is a sum over all outcomes:

# %%
after = IndependentPrior(doses=trial.protocol.doses.amounts).after(responses.n, responses.responses)
sizes = (10, 20, 40, 80)
stages = [dsf.randomised_stage(after, (2, 3), n) for n in sizes]
pd.DataFrame(
    {"P(correct selection), %": [round(100 * stage.p_correct, 1) for stage in stages]},
    index=pd.Index(sizes, name="patients per dose"),
)

# %% [markdown]
# ## The answer

# %% jupyter={"source_hidden": true} tags=["remove-input"]
record = s.attrs["efficacy"]
level = record["choice"]
Markdown(
    f"""The expected utility is largest at level {level}, with P(largest utility) {100 * s.p_largest_utility.values[0, level - 1]:.0f}% and an expected
loss of {s.expected_loss.values[0, level - 1]:.1f} if it is chosen now; with a plateau it is largest at level {record["by_prior"][1]}, and with a
logistic-quadratic curve at level {record["by_prior"][2]}. By the limits of the config this is {"undecided" if record["undecided"] else "decided"}. A comparison of levels 2 and 3 with 40
patients each selects the better one with probability {100 * stages[2].p_correct:.0f}%. The committee decides."""
)
