# ---
# jupyter:
#   jupytext:
#     text_representation:
#       format_name: percent
# ---

# %% [markdown]
# # Which design for NCT05962762?
#
# The protocol escalates 1, 3 and 5 x10^6 cells/kg by 3+3. What would CRM and BOIN do instead, and how often would each be right?
# This page opens in Jupyter with jupytext, and runs as a plain script.

# %%
import dosefind as dsf

protocol = dsf.load_protocol("configs/nct05962762.toml")
oc = dsf.compare(protocol)

# %% [markdown]
# Nothing here is simulated: each figure is a sum over every way in which the trial can go. The probability that the true MTD
# is named, in percent, by design and scenario:

# %%
correct = (100 * oc.correct).to_pandas().round(1)
print(correct)

# %% [markdown]
# The 3+3 is far behind where the first dose is already the MTD, and ahead where every dose is too toxic, both because it stops at
# two DLTs. It is also the shortest and treats the fewest: what the others gain they pay for with patients and time.

# %%
print(oc[["mean_n", "above_mtd", "days"]].sel(scenario="middle is MTD").to_dataframe().drop(columns="scenario").round(1))

# %% [markdown]
# What next after one DLT among three patients at the middle dose? Each design answers with its reason.

# %%
for design in (dsf.ThreePlusThree(), dsf.BOIN(target=0.25), dsf.BOIN(target=0.25, stay_at_1_of_3=True)):
    print(dsf.decide(design, "1NNN 2NNT", n_doses=3))
