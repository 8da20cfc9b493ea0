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
# # How good can a design be?
#
# A comparison says which of some designs is the best, not how far it is from the best that is possible. With 18 patients at three
# doses the best policy under a prior is found exactly, in a fraction of a second. **What does each design give away, and how?**

# %%
import pandas as pd
from IPython.display import Markdown

import dosefind as dsf

trial = dsf.load_trial("../configs/nct05962762.toml")
found = dsf.optimum(trial)
found

# %% jupyter={"source_hidden": true} tags=["remove-input"]
own = found.sel(prior="logistic-2")
boin, three = own.sel(design="boin"), own.sel(design="3+3")
Markdown(
    f"""Under the prior of the logistic curve the best policy selects the true MTD with probability {100 * float(own.value[0]):.1f}%, BOIN with
{100 * float(boin.value):.1f}%, the 3+3 with {100 * float(three.value):.1f}%. Better use of the same data would add
{100 * float(three.final_choice):.1f} points to the 3+3; the rest, {100 * float(three.allocation):.1f} points, is lost by where and how long
it treats."""
)

# %% [markdown]
# ## Points are bought with DLTs and patients
#
# The optimum has no reason to spare patients. At rising costs of a DLT it becomes another policy; the line below is the most that
# is possible for its expected number of DLTs.

# %%
dsf.plots.frontier(found, "logistic-2")

# %%
at = own[["utility", "at_same_cost", "dlts", "patients"]].drop_vars("prior").to_dataframe()
at["possible with no more DLTs and patients"] = at.pop("at_same_cost")
at.round(3)

# %% [markdown]
# ## What a safety rule costs
#
# Each rule takes something from what is possible. It is a price, not a fault: the prior may be wrong.

# %%
(100 * found.price.to_pandas().T).round(2)

# %% [markdown]
# ## The policy as a design
#
# The policy is a design like any other: its decisions can be read, and it can be judged in scenarios outside its prior. Here it was
# found under the scenarios of the config, with a cost of 0.02 per DLT.

# %%
protocol = trial.protocol
best = dsf.Optimal(
    truths=tuple(protocol.scenarios.values()),
    target=protocol.target.rate,
    interval=protocol.target.interval,
    max_n=protocol.limits.max_n,
    cost_per_dlt=0.02,
)
steps = ["1NNN", "1NNT", "1NTT", "1NNN 2NNT", "1NNN 2NTT"]
pd.Series({outcomes: str(dsf.decide(best, outcomes)) for outcomes in steps})

# %%
dsf.lattice(best).under({"steep": (0.02, 0.10, 0.60), "flat": (0.15, 0.20, 0.25)}).selected.to_pandas().round(3)

# %% [markdown]
# ## The answer

# %% jupyter={"source_hidden": true} tags=["remove-input"]
small, free = own.sel(design="boin-6"), own.sel(design="boin")
Markdown(
    f"""With 18 patients BOIN is within {100 * float(free.regret):.1f} points of the best that is possible under this prior, and the CRM within
{100 * float(own.sel(design="crm").regret):.1f}: other rules can add little. At most six patients per dose cost BOIN another
{100 * float(small.regret - free.regret):.1f} points, although the best policy with that limit loses only
{100 * float(found.price.sel(prior="logistic-2", constraint="at most 6 patients per dose")):.1f}: most of the loss is the design's, not the limit's.
The 3+3 gives away {100 * float(three.regret):.1f} points; with its few DLTs and patients {100 * float(three.at_same_cost):.1f} points are
possible, where it reaches {100 * float(three.utility):.1f}. All of it holds under this prior: the optimum is a bound and a diagnosis, not a
design for a protocol."""
)
