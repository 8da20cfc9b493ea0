# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Your own design and your own curve
#
# **How much code does a new design or a new dose-toxicity curve need before it can be compared, calibrated, tabulated, analysed and
# reported like the others?** About twenty lines or fewer. These are two examples that dosefind does not include.

# %%
import tempfile
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import pandas as pd
from IPython.display import Markdown
from pydantic import Field

import dosefind as dsf
from dosefind.designs import DESIGNS, IntervalDesign
from dosefind.designs.rules import at_least
from dosefind.models import CURVES, OneParameterCurve

# %% [markdown]
# ## A design: cumulative cohorts
#
# The cumulative cohort design (Ivanova, Flournoy and Chung 2007, Journal of Statistical Planning and Inference 137:2316-2327,
# doi:10.1016/j.jspi.2006.07.009) compares the observed DLT rate at the dose with the target. Escalate at or below the target minus
# a margin, de-escalate at or above the target plus the margin, otherwise stay. For targets up to 0.25 its authors use a margin of
# 0.09.
#
# A design that decides by the numbers of patients and DLTs at the current dose only defines one method, `move`, for many trials at
# once: `n` and `y` are arrays. Elimination of overly toxic doses, the final selection by isotonic estimates as in BOIN, the rule
# for backfill, the maximum sample size, cohorts and stopping rules are inherited from the base class.


# %%
class CumulativeCohorts(IntervalDesign):
    """The cumulative cohort design.

    Attributes
    ----------
    margin
        Distance of the DLT rate at the dose from the target that leads to escalation or de-escalation.
    """

    kind: ClassVar[str] = "cumulative-cohorts"
    title: ClassVar[str] = "Cumulative cohorts"
    source: ClassVar[str] = "Ivanova, Flournoy and Chung (2007), doi:10.1016/j.jspi.2006.07.009"
    margin: Annotated[float, Field(gt=0, lt=0.5, description="half the width of the interval around the target")] = 0.09

    def move(self, n, y):
        up = at_least((self.target - self.margin) * n, y)
        return up.astype(int) - at_least(y, (self.target + self.margin) * n)

    def move_sentences(self):
        low, high = self.target - self.margin, self.target + self.margin
        return [
            f"Escalate if the DLT rate at the dose is at most {low:g}, de-escalate if it is at least {high:g}, otherwise stay.",
        ]


DESIGNS["cumulative-cohorts"] = CumulativeCohorts
mine = CumulativeCohorts(target=0.25, max_n=18, n_doses=3)
mine

# %% [markdown]
# `DESIGNS["cumulative-cohorts"]` is its entry in the registry, so that a protocol's file can use it, in this process: for use in
# the `dosefind` command, a design needs its class and its line in the registry in dosefind's own folder. It can make decisions
# immediately:

# %%
dsf.decide(mine, "1NNN 2NNT")

# %% [markdown]
# At 1 of 3 BOIN de-escalates at this target; this design stays, because 0.333 is below 0.34.
#
# A rule of a few lines can also be a plain function of one trial: `dsf.design_from_rule(rule, choose=...)`. It is slower, and
# equally exact.
#
# ## A curve with proportional hazards
#
# Let the cumulative hazard of a DLT over the window be that of a skeleton times exp(-b), so that p = 1 - exp(-H exp(-b)) with H =
# -log(1 - skeleton). Then a window of twice the length is a shift of b by -log 2. A curve with one parameter is defined by a
# decreasing scale u(p) on which b is a shift, and by its inverse: log p and log(1 - p), without loss of precision.


# %%
class OneHazard(OneParameterCurve):
    """Cumulative hazards of the skeleton times exp(-b)."""

    kind: ClassVar[str] = "one-hazard"
    title: ClassVar[str] = "Proportional hazards curve"
    source: ClassVar[str] = "this page"

    def scale(self, p: Any) -> Any:
        return -np.log(-np.log1p(-np.asarray(p)))

    def log_at(self, u: Any, xp: Any = np) -> tuple[Any, Any]:
        log_q = -xp.exp(-u)
        return xp.log(-xp.expm1(log_q)), log_q


CURVES["one-hazard"] = OneHazard
skeleton = (0.12, 0.25, 0.40)
curve = OneHazard(skeleton=skeleton, prior_sd=1.0)
curve

# %% [markdown]
# `xp` is NumPy for quadrature and PyTensor for sampling, so both engines use the same two lines. The first check of a new curve is
# calibration: data sets are simulated from the prior, and the true parameter must be uniformly distributed over its posterior.

# %%
found = dsf.calibrate(curve, {"3 each": (3, 3, 3), "by cohorts": mine}, n_sets=200, seed=1)
found.passed.to_pandas()

# %% [markdown]
# ## Both in a protocol
#
# A protocol's file uses them like any other; the keys of their settings are checked, with a message that states what is allowed.

# %%
text = Path("../configs/nct05962762.toml").read_text()
text = text.replace(
    "[curves.logistic-2]",
    """[designs.cumulative]
kind = "cumulative-cohorts"
margin = 0.09

[curves.one-hazard]
kind = "one-hazard"
skeleton = [0.12, 0.25, 0.40]
prior_sd = 1.0

[curves.logistic-2]""",
    1,
)
with tempfile.TemporaryDirectory() as folder:
    config = Path(folder) / "with-my-own.toml"
    config.write_text(text)
    trial = dsf.load_trial(config)
    protocol = trial.protocol
    try:
        config.write_text(text.replace("margin = 0.09", "margin = 0.5"))
        dsf.compare(dsf.load_trial(config))
    except dsf.InputError as error:
        message = str(error).replace(folder, "...")
Markdown(f"With `margin = 0.5` the file is rejected:\n\n```text\n{message}\n```")

# %% [markdown]
# ### Comparison
#
# All possible courses of its trial are enumerated, as for the designs in dosefind; no result has a Monte Carlo error.

# %%
oc = dsf.compare(trial)
few = ["3+3", "boin", "cumulative", "crm"]
(100 * oc.correct.sel(design=few)).to_pandas().round(1)

# %%
dsf.plots.selection(oc.sel(design=few, scenario=["top is MTD", "middle is MTD", "all toxic"]))

# %% [markdown]
# The same by simulation, with 4,000 trials; differences in Monte Carlo errors:

# %%
truths = {name: protocol.scenarios[name] for name in ("top is MTD", "middle is MTD", "all toxic")}
simulated = dsf.simulate(mine, truths, n_trials=4000, seed=5)
walked = dsf.lattice(mine).under(truths)
errors = (walked.selected * (1 - walked.selected) / 4000) ** 0.5
((simulated.selected - walked.selected) / errors).to_pandas().round(1)

# %% [markdown]
# ### Decision table and paths
#
# The decision for each number of DLTs among the patients at a dose; then every path of the next two cohorts after a first one
# without a DLT, with its probability in each scenario:

# %%
dsf.decision_table(trial, "cumulative").head(9)

# %%
ways = dsf.paths(trial, "cumulative", outcomes="1NNN", cohorts=2)
ways.head(8).round(3)

# %% [markdown]
# ### Analysis
#
# The posterior with the new curve: the data are one cohort at each level and one DLT at the top. `conclusion` is the predicted
# conclusion of each design, including the new one.

# %%
posterior = dsf.analyze(trial, "1NNN 2NNN 3NNT", curve="one-hazard")
s = posterior.summary
dsf.plots.intervals(posterior)

# %%
(100 * s.conclusion.sel(design=few)).to_pandas().round(1)

# %% [markdown]
# The same by NUTS, from the same two lines of the curve, and the difference in Monte Carlo errors:

# %%
sampled = dsf.analyze(trial, "1NNN 2NNN 3NNT", curve="one-hazard", engine="nuts").summary
pd.DataFrame(
    {
        "quadrature": s.p_over.to_pandas(),
        "NUTS": sampled.p_over.to_pandas(),
        "± error": sampled.p_over_se.to_pandas(),
        "difference / error": ((sampled.p_over - s.p_over) / sampled.p_over_se).to_pandas(),
    }
).round(4)

# %% [markdown]
# ### Report
#
# The design report includes both, with the rules in the sentences written above.

# %% jupyter={"source_hidden": true} tags=["remove-input"]
report = dsf.report(trial, curve="one-hazard").html()
rule = mine.sentences()[0]
Markdown(
    f"""The report is one HTML file of {len(report) / 1e6:.1f} MB; it mentions the design {report.count("cumulative")} times, and includes its rule "{rule}":
{"yes" if rule in report else "no"}."""
)

# %% [markdown]
# ## The answer

# %% jupyter={"source_hidden": true} tags=["remove-input"]
worst = float(abs((simulated.selected - walked.selected) / errors).max())
p = 100 * oc.correct
Markdown(
    f"""**About twenty lines for the design, ten for the curve, and one each to register them.** The design is compared exactly (it selects the MTD in
{p.sel(design="cumulative", scenario="middle is MTD"):.1f}% of trials if that is the middle dose, BOIN in
{p.sel(design="boin", scenario="middle is MTD"):.1f}%), its simulation agrees with the exact results to {worst:.1f} Monte Carlo errors, and the curve
is integrated and sampled; its calibration shows no departure ({int(found.passed.sum())} of {found.passed.size} quantities within their bands),
which checks the engine on this curve, not that the curve's equation is the intended one.

To add one to dosefind itself, put the class in its own file and its name in the registry, with a test that runs the shared contract:
see `CONTRIBUTING.md`."""
)
