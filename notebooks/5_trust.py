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
# # Validation
#
# A result that cannot be checked is an opinion. **Do two ways of computing the same quantity agree in this installation: quadrature
# and sampling, exact and simulated operating characteristics, the posterior and the parameters from which the data were
# generated?**
#
# Agreement is measured by differences in units of the Monte Carlo error. Of many independent differences about one in three should
# exceed one error, one in twenty should exceed two, and hardly any should exceed four.

# %%
import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
from IPython.display import Markdown
from scipy.stats import norm

import dosefind as dsf

trial = dsf.load_trial("../configs/nct05962762.toml")
protocol = trial.protocol
outcomes = "1NNN 2NNN 3NNT"

# %% [markdown]
# ## Quadrature against NUTS
#
# The posterior of the two-parameter logistic curve, once as an integral with a stated numerical error, once as four chains of draws
# by NUTS. The two engines share only the curve's equations, its prior and the reading of the data.

# %%
exact = dsf.analyze(trial, outcomes)
drawn = dsf.analyze(trial, outcomes, engine="nuts", draws=2000, seed=7)


def differences(names):
    """Return both engines' values, and their difference in Monte Carlo errors of the draws."""
    rows = []
    for name in names:
        for level in exact.summary.dose.values:
            integral, sampled = (found.summary.sel(dose=level) for found in (exact, drawn))
            error = float(sampled[f"{name}_se"])
            rows.append(
                {
                    "quantity": f"{name}, level {level}",
                    "quadrature": float(integral[name]),
                    "NUTS": float(sampled[name]),
                    "± error": error,
                    "difference / error": (float(sampled[name]) - float(integral[name])) / error,
                }
            )
    return pd.DataFrame(rows).set_index("quantity")


by_engine = differences(["mean", "sd", "p_under", "p_target", "p_over"])
by_engine.style.format({"quadrature": "{:.4f}", "NUTS": "{:.4f}", "± error": "{:.4f}", "difference / error": "{:+.1f}"}).set_uuid(
    "engines"
)

# %% jupyter={"source_hidden": true} tags=["remove-input"]
a = drawn.summary.attrs
Markdown(
    f"""The largest difference is {by_engine["difference / error"].abs().max():.1f} Monte Carlo errors. (These values come from one set of draws,
so their differences are correlated.) Quadrature states a largest error of {exact.summary.attrs["largest_error"]:.0e}. NUTS reports R-hat of at most
{a["rhat"]:.3f}, an effective sample size of at least {a["ess_bulk"]:.0f}, and {a["divergences"]} divergences; if these were inadequate, no RP2D
would have been derived from the draws."""
)

# %% [markdown]
# ## Exact against simulated
#
# The operating characteristics of four designs of the protocol, exact and simulated with 2,000 trials. The design's rules are the
# same code in both; the comparison checks the enumeration, its merging of states, and the algebra that turns multiplicities into
# probabilities.

# %%
designs = {name: protocol.designs[name] for name in ("3+3", "crm", "boin-6", "blrm-6")}
four = protocol.model_copy(update={"designs": designs, "target": protocol.target.model_copy(update={"sensitivity": ()})})
trials = 2000
walked = dsf.compare(four)
simulated = dsf.compare(four, method="simulate", n_trials=trials, seed=11)
p = walked.selected.values
# The standard error of a proportion is known from the exact probability.
error = np.sqrt(p * (1 - p) / trials)
possible = error > 1e-9
rare = (trials * p < 5) | (trials * (1 - p) < 5)
usual = (simulated.selected.values - p)[possible & ~rare] / error[possible & ~rare]
# The median of the largest of the same number of independent differences.
typical = norm.ppf((1 + 0.5 ** (1 / usual.size)) / 2)
counted = pd.DataFrame(
    {
        "of the differences, %": [100 * np.mean(np.abs(usual) > k) for k in (1, 2, 3, 4)],
        "expected, %": [31.7, 4.6, 0.3, 0.006],
    },
    index=pd.Index([1, 2, 3, 4], name="errors exceeded"),
)
counted.round(1)

# %% jupyter={"source_hidden": true} tags=["remove-input"]
Markdown(
    f"""These are {usual.size} probabilities with at least five expected trials on either side. The largest of these differences is
{np.abs(usual).max():.1f} errors; of {usual.size} independent ones the largest would be about {typical:.1f}. They are not fully independent, because all designs
and scenarios share the same simulated patients. All probabilities agree to within
{100 * np.abs(simulated.selected.values - p).max():.1f} percentage points."""
)

# %% [markdown]
# ## A calculation by hand
#
# The probability that the 3+3 selects no dose is that of two or more DLTs among the first three patients, or of one, followed by at
# least one among the next three. By hand and by the enumeration, in each scenario:

# %%
q = protocol.truths[:, 0]
none = 1 - (1 - q) ** 3 - 3 * q * (1 - q) ** 2 + 3 * q * (1 - q) ** 2 * (1 - (1 - q) ** 3)
walk = walked.selected.sel(design="3+3", choice="none").values
by_hand = pd.DataFrame({"by hand": none, "by enumeration": walk}, index=list(protocol.scenarios)).assign(difference=walk - none)
by_hand.style.format({"by hand": "{:.6f}", "by enumeration": "{:.6f}", "difference": "{:.0e}"}).set_uuid("hand")

# %% [markdown]
# ## Simulation-based calibration
#
# Two engines that agree may share an error. Simulation-based calibration compares an engine with the model itself: parameters are
# drawn from the prior, data from the parameters, and the posterior mass below the true parameter must be uniform between 0 and 1
# over many data sets (Talts and others 2018, arXiv:1804.06788). This is a small run with the CRM's curve and patients assigned by
# the CRM:

# %%
power = dsf.Power(skeleton=(0.1, 0.2, 0.3))
crm = dsf.CRM(skeleton=(0.1, 0.2, 0.3), target=0.25, max_n=18)
small = dsf.calibrate(power, {"3, 6, 6": (3, 6, 6), "by CRM": crm}, n_sets=100, seed=1, progress=dsf.progress("data sets"))
small.excess.to_pandas().round(3)

# %% jupyter={"source_hidden": true} tags=["remove-input"]
Markdown(
    f"""At 0 or below, the distribution function stays within its simultaneous band, by this distance at the closest point;
{int(small.passed.sum())} of {small.passed.size} stay within. A correct posterior leaves any of these bands with a total probability of
{100 * small.attrs["level"]:.0f}%."""
)

# %% [markdown]
# The full runs take too long for this page: every model and engine, two layouts each, with two seeds, 1,000 data sets per layout.
# They are stored, each with the command that repeats it. A test compares them with the code: it fails if the sources on which a
# result depends have changed since.

# %%
rows, left = [], []
for path in sorted(Path("../benchmarks/results/sbc").glob("*.json")):
    content = path.read_bytes()
    stored = json.loads(content)
    worst = [
        max(quantity["excess"] for layout in run["layouts"].values() for quantity in layout.values()) for run in stored["runs"]
    ]
    left += [stored["case"] for run in stored["runs"] if not run["passed"]]
    rows.append(
        {
            "case": stored["case"],
            "data sets": stored["n_sets"],
            "largest excess over the band, by seed": ", ".join(f"{excess:+.3f}" for excess in worst),
            "passes": "yes" if stored["passed"] else "NO",
            "sha256 of the file": hashlib.sha256(content).hexdigest()[:12],
            "made by": stored["command"],
        }
    )
stored = pd.DataFrame(rows).set_index("case")
with pd.option_context("display.max_colwidth", None):
    display(stored)  # noqa: F821 (of IPython)

# %% jupyter={"source_hidden": true} tags=["remove-input"]
Markdown(
    f"""A correct posterior leaves its bands in a run with a probability of at most 1%, so at least one of {2 * len(stored)} runs does with at most
{100 * (1 - 0.99 ** (2 * len(stored))):.0f}%. Here {len(left) or "none"} did{": " + ", ".join(left) if left else ""}. A case passes if it passes under
its first seed or, failing that, under the next; both are stored. Staying within the bands of 1,000 data sets is not a proof: an error may be too
small to be detected."""
)

# %% [markdown]
# ## The answer

# %% jupyter={"source_hidden": true} tags=["remove-input"]
Markdown(
    f"""**They agree.** Quadrature and NUTS to {by_engine["difference / error"].abs().max():.1f} Monte Carlo errors in {len(by_engine)} quantities;
exact and simulated operating characteristics to {np.abs(usual).max():.1f} errors in {usual.size} probabilities; the enumeration and a calculation by hand to
{np.abs(by_hand["difference"]).max():.0e}. Calibration shows no departure in {2 * len(stored) - len(left)} of {2 * len(stored)} runs
({", ".join(left) or "none"} left its bands with one seed and not with the other).

This does not show that the curve's equation is the intended one, because the data sets are drawn with the same code (comparisons with published fits and
with R packages show that), nor that the *assumptions* are valid for a trial: a curve that increases with the dose, exchangeable patients, consistent judgement
of DLTs. No check of software can show this. The tests add comparisons with other software (R's BOIN, dfcrm and escalation, whose rules were
enumerated there) and with published tables; `README.md` states the precision."""
)
