"""Faults that the tests must notice: each is planted alone in a copy of the package, and its named test must then fail.

``python -m tests.faults`` plants all of them, ``python -m tests.faults NAME ...`` some, ``--list`` names them; run from the
root of the repository, on a system that can fork. Before any fault, the named tests must pass on the copies as they are.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from py_compile import PycInvalidationMode

ROOT = Path(__file__).parents[1]
# What the named tests read, besides the package itself.
COPIED = ("dosefind", "docs", "tests", "benchmarks", "configs", "examples", "pyproject.toml", "README.md", "ARCHITECTURE.md")
WORKERS = 2
# A test takes seconds; a fault that makes it run on counts as not caught.
SECONDS = 120
# Run first in each copy, so that a fault is never planted in a package that nobody imports.
PROBE = "tests/test_the_copy.py"
PROBE_TEXT = """from pathlib import Path

import dosefind


def test_the_copied_package_is_imported():
    assert Path(dosefind.__file__).resolve().parents[1] == Path(__file__).resolve().parents[1]
"""
# Reads once what tests import of other packages, and has each run of pytest in a process forked from there: reading them anew
# takes longer than most of the tests. A line of its input is one run, a line of its output that run's exit status.
SERVER = """import gc
import json
import os
import signal
import sys

import arviz, dask.array, docx, html5lib, hypothesis, jinja2, matplotlib.pyplot, numpy, pandas, pymc, pytest  # noqa
import pydantic.fields, pydantic.types, rich.console, scipy.optimize, scipy.stats, xarray  # noqa

gc.freeze()
for line in sys.stdin:
    arguments, output, seconds = json.loads(line)
    child = os.fork()
    if child == 0:
        signal.alarm(seconds)
        to, nothing = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), os.open(os.devnull, os.O_RDONLY)
        for number, target in enumerate((nothing, to, to)):
            os.dup2(target, number)
        sys.exit(pytest.main(arguments))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@dataclass(frozen=True)
class Fault:
    """One text of the package replaced by another.

    Attributes
    ----------
    name
        What goes wrong, in a few words.
    file
        Path within the package, or from there.
    old, new
        The text, which must occur exactly once in the file, and what takes its place.
    test
        The pytest node id, within ``tests``, that must fail.
    """

    name: str
    file: str
    old: str
    new: str
    test: str

    @property
    def node(self) -> str:
        return f"tests/{self.test}"

    def planted(self, text: str) -> str:
        """The file's text with the fault in it."""
        if text.count(self.old) != 1:
            raise StaleFault(f"{self.name!r}: {self.old!r} occurs {text.count(self.old)} times in dosefind/{self.file}, not once")
        return text.replace(self.old, self.new)


class StaleFault(Exception):
    """A fault whose text is no longer in the package."""


@dataclass(frozen=True)
class Outcome:
    """What became of one fault."""

    fault: Fault
    caught: bool
    seconds: float
    remark: str

    def __str__(self) -> str:
        verdict = "caught" if self.caught else f"NOT CAUGHT ({self.remark})"
        return f"{verdict}  {self.fault.name}  [{self.fault.file}]  {self.fault.test}  {self.seconds:.1f} s"


RULES = "designs/rules.py"
THREE = "designs/three_plus_three.py"
BOIN = "designs/boin.py"
CRM = "designs/crm.py"
BASE = "designs/base.py"
CURVE = "models/base.py"
LOGISTIC = "models/logistic.py"
LOGISTIC2 = "models/logistic2.py"
SKELETONS = "models/elicitation.py"
MODEL_BASED = "designs/model_based.py"
QUADRATURE = "posterior/quadrature.py"
BLRM = "designs/blrm.py"
EXACT = "posterior/exact.py"
MIXTURE = "posterior/mixture.py"
NUTS = "posterior/mcmc.py"
HIERARCHICAL = "models/hierarchical.py"
BORROWED = "posterior/hierarchical.py"
SUMMARIES = "summaries.py"
WALK = "operating/walk.py"
LATTICE = "operating/lattice.py"
TALLY = "operating/tally.py"
SIMULATION = "operating/simulation.py"
REFERENCE = "operating/reference.py"
METRICS = "operating/metrics.py"
PATHS = "operating/paths.py"
PROTOCOL = "protocol.py"
STUDY = "../benchmarks/study.py"
FRONT = "../benchmarks/__main__.py"
CHANGES = "../benchmarks/compare.py"
PEERS = "../benchmarks/peers.py"
EVALUATED = "evaluability/evaluated.py"
VERDICT = "evaluability/verdict.py"
JUDGED = "evaluability/events.py"
COHORTS = "evaluability/cohorts.py"
JUDGING = "evaluability/judging.py"
WINDOW = "evaluability/window.py"
CONDUCT = "conduct.py"
NEXT = "tasks/next_dose.py"
PROPOSALS = "tasks/proposals.py"
DECISIONS = "decisions.py"
PROVENANCE = "provenance.py"
SYNTHESIS = "tasks/synthesis.py"

BORROWING = "borrowing.py"
SAMPLED = "tasks/borrowing.py"
PLOTS = "plots/"

FAULTS = (
    Fault(
        "utility: a response with a DLT worth that of a response",
        SUMMARIES,
        "b1 = utility.response_and_dlt - utility.dlt - a1",
        "b1 = utility.response - utility.dlt - a1",
        "test_utility.py::test_figures_against_draws",
    ),
    Fault(
        "utility: efficacy taken as known",
        SUMMARIES,
        "e_square = e**2 + e * (1 - e) / (size + 1)",
        "e_square = e**2",
        "test_utility.py::test_figures_against_draws",
    ),
    Fault(
        "utility: the RP2D whose P(over) is at the limit",
        SUMMARIES,
        "    among = np.flatnonzero((n > 0) & (p_over.value < limit))",
        "    among = np.flatnonzero(n > 0)",
        "test_utility.py::test_rule",
    ),
    Fault(
        "utility: the worst dose",
        SUMMARIES,
        "level = int(among[np.argmax(worth.mean[among])]) + 1",
        "level = int(among[np.argmin(worth.mean[among])]) + 1",
        "test_utility.py::test_rule",
    ),
    Fault(
        "borrowing: the longer window as one",
        BORROWING,
        'windows=trial.dlt_window_days / self._days(protocol) if self.pooled == "windows" else 1.0,',
        "windows=1.0,",
        "test_borrowing.py::test_windows_and_dose_scales_by_hand",
    ),
    Fault(
        "borrowing: a cumulative dose of one infusion",
        BORROWING,
        'infusions=trial.infusions if self.dose == "cumulative" else 1,',
        "infusions=1,",
        "test_borrowing.py::test_windows_and_dose_scales_by_hand",
    ),
    Fault(
        "borrowing: the curve of a trial at the sums of its infusions",
        HIERARCHICAL,
        "reference = self.reference / trial.infusions",
        "reference = self.reference",
        "test_borrowing.py::test_windows_and_dose_scales_by_hand",
    ),
    Fault(
        "borrowing: a reference dose that moves with the scale",
        BORROWING,
        'update = {"dose": dose, "reference": self.reference * times, "pooled": pooled}',
        'update = {"dose": dose, "pooled": pooled}',
        "test_borrowing.py::test_what_is_varied",
    ),
    Fault(
        "borrowing: what is pooled need not be said",
        BORROWING,
        "        if value is None:\n            raise",
        "        if value == 0:\n            raise",
        "test_borrowing.py::test_bad_tables",
    ),
    Fault(
        "borrowing: the last cohort at a level only",
        SAMPLED,
        "n[cohort.level - 1] += cohort.n",
        "n[cohort.level - 1] = cohort.n",
        "test_borrowing.py::test_outcomes_of_the_others",
    ),
    Fault(
        "borrowing: what is assumed of it shown though nothing is borrowed",
        "tasks/stamps.py",
        'idle = {"borrowing": not borrows, ',
        'idle = {"borrowing": False, ',
        "test_borrowing.py::test_without_borrowing_nothing_is_said_of_it",
    ),
    # Rules that designs share
    Fault(
        "above without the tie tolerance",
        RULES,
        "> np.asarray(bound) + TIE",
        "> np.asarray(bound)",
        "test_rules.py::test_rounding_is_a_tie",
    ),
    Fault(
        "above counts a tie",
        RULES,
        "> np.asarray(bound) + TIE",
        "> np.asarray(bound) - TIE",
        "test_operating.py::test_true_mtds_and_what_is_judged_by_them",
    ),
    Fault(
        "at_least without the tie tolerance",
        RULES,
        ">= np.asarray(bound) - TIE",
        ">= np.asarray(bound)",
        "test_rules.py::test_rounding_is_a_tie",
    ),
    Fault(
        "at_least does not count a tie",
        RULES,
        ">= np.asarray(bound) - TIE",
        ">= np.asarray(bound) + TIE",
        "test_operating.py::test_true_mtds_and_what_is_judged_by_them",
    ),
    Fault(
        "nearest takes the last on ties",
        RULES,
        "np.argmax(distance <= closest + TIE, axis=1)",
        "distance.shape[1] - 1 - np.argmax((distance <= closest + TIE)[:, ::-1], axis=1)",
        "test_operating.py::test_true_mtds_and_what_is_judged_by_them",
    ),
    Fault(
        "nearest without the tie tolerance",
        RULES,
        "distance <= closest + TIE",
        "distance <= closest",
        "test_rules.py::test_rounding_is_a_tie",
    ),
    Fault(
        "nearest among all, not the admissible",
        RULES,
        "np.where(admissible, np.abs(values - target), np.inf)",
        "np.abs(values - target)",
        "test_rules.py::test_which_dose_is_taken",
    ),
    Fault(
        "highest takes the first",
        RULES,
        "doses - 1 - np.argmax(allowed[:, ::-1], axis=1)",
        "np.argmax(allowed, axis=1)",
        "test_rules.py::test_which_dose_is_taken",
    ),
    # 3+3
    Fault(
        "tolerated from two patients on",
        THREE,
        "(n >= 3) & (y == 0)",
        "(n >= 2) & (y == 0)",
        "test_three_plus_three.py::test_decisions_in_words",
    ),
    Fault(
        "1 of 6 is not tolerated",
        THREE,
        "(n >= 6) & (y == 1)",
        "(n >= 6) & (y == 0)",
        "test_three_plus_three.py::test_decisions_in_words",
    ),
    Fault(
        "1 of 3 is tolerated",
        THREE,
        "(n >= 6) & (y == 1)",
        "(n >= 3) & (y == 1)",
        "test_three_plus_three.py::test_decisions_in_words",
    ),
    Fault(
        "toxic from three DLTs on",
        THREE,
        "toxic = (y >= 2)",
        "toxic = (y >= 3)",
        "test_three_plus_three.py::test_decisions_in_words",
    ),
    Fault(
        "expand_after_two ignored",
        THREE,
        "toxic = (y >= 2) & ((n >= 6) | (not self.expand_after_two))",
        "toxic = (y >= 2)",
        "test_three_plus_three.py::test_decisions_in_words",
    ),
    Fault(
        "expand_after_two always on",
        THREE,
        "toxic = (y >= 2) & ((n >= 6) | (not self.expand_after_two))",
        "toxic = (y >= 2) & (n >= 6)",
        "test_three_plus_three.py::test_decisions_in_words",
    ),
    Fault(
        "six_at_mtd ignored on the way",
        THREE,
        "self.six_at_top, self.six_at_mtd)",
        "self.six_at_top, False)",
        "test_three_plus_three.py::test_decisions_in_words",
    ),
    Fault(
        "six_at_mtd ignored in the final choice",
        THREE,
        "np.full(states.n.shape, not self.six_at_mtd)",
        "np.full(states.n.shape, True)",
        "test_three_plus_three.py::test_decisions_in_words",
    ),
    Fault(
        "six_at_top ignored on the way",
        THREE,
        "self.six_at_top, self.six_at_mtd)",
        "False, self.six_at_mtd)",
        "test_three_plus_three.py::test_decisions_in_words",
    ),
    Fault(
        "six_at_top ignored in the final choice",
        THREE,
        "& (not self.six_at_top)",
        "& True",
        "test_three_plus_three.py::test_decisions_in_words",
    ),
    Fault(
        "the toxic dose is the MTD",
        THREE,
        "highest(tolerated & admissible & (enough | (states.n >= 6)))",
        "highest(states.n > 0)",
        "test_three_plus_three.py::test_decisions_in_words",
    ),
    Fault(
        "a tolerated dose above a toxic one is the MTD",
        THREE,
        "highest(tolerated & admissible &",
        "highest(tolerated &",
        "test_three_plus_three.py::test_decisions_in_words",
    ),
    Fault(
        "groups filled to four",
        THREE,
        "return 3 - states.at(states.n, dose) % 3",
        "return 4 - states.at(states.n, dose) % 4",
        "test_three_plus_three.py::test_decisions_in_words",
    ),
    Fault(
        "escalation back to a toxic dose",
        THREE,
        "np.minimum(highest_open, below_toxic)",
        "highest_open",
        "test_three_plus_three.py::test_decisions_in_words",
    ),
    Fault(
        "a tolerated dose left behind after a lower one",
        THREE,
        "highest(tolerated & admissible) + 1",
        "0",
        "test_three_plus_three.py::test_decisions_in_words",
    ),
    Fault(
        "an MTD at the top counts as reached",
        THREE,
        "return dose, np.ones(len(states), bool)",
        "return dose, np.zeros(len(states), bool)",
        "test_three_plus_three.py::test_decisions_in_words",
    ),
    # BOIN
    Fault(
        "boundaries swapped",
        BOIN,
        "return float(escalation), float(deescalation)",
        "return float(deescalation), float(escalation)",
        "test_boin.py::test_published_boundaries_and_tables",
    ),
    Fault(
        "p_saf is half the target",
        BOIN,
        "_TOO_LOW, _TOO_TOXIC = 0.6, 1.4",
        "_TOO_LOW, _TOO_TOXIC = 0.5, 1.4",
        "test_boin.py::test_published_boundaries_and_tables",
    ),
    Fault(
        "p_tox is 1.5 times the target",
        BOIN,
        "_TOO_LOW, _TOO_TOXIC = 0.6, 1.4",
        "_TOO_LOW, _TOO_TOXIC = 0.6, 1.5",
        "test_boin.py::test_published_boundaries_and_tables",
    ),
    Fault(
        "no escalation at the boundary",
        BOIN,
        "(y <= escalate_le[n])",
        "(y < escalate_le[n])",
        "test_boin.py::test_published_trial_replay",
    ),
    Fault(
        "de-escalation above its limit only",
        BOIN,
        "(y >= deescalate_ge[n])",
        "(y > deescalate_ge[n])",
        "test_boin.py::test_at_target_025_agrees_with_the_protocols_rules",
    ),
    Fault(
        "a rate equal to the upper boundary de-escalates",
        BOIN,
        "np.floor(high * n + TIE).astype(int) + 1",
        "np.ceil(high * n - TIE).astype(int)",
        "test_boin.py::test_tie_at_the_upper_boundary_stays",
    ),
    Fault(
        "elimination without all doses above",
        BOIN,
        "return ~np.logical_or.accumulate(toxic, axis=1)",
        "return ~toxic",
        "test_boin.py::test_peer_exact_values",
    ),
    Fault(
        "elimination from two patients on",
        BOIN,
        "_MIN_ELIMINATION = 3",
        "_MIN_ELIMINATION = 2",
        "test_boin.py::test_peer_boundaries",
    ),
    Fault(
        "elimination from four patients on",
        BOIN,
        "_MIN_ELIMINATION = 3",
        "_MIN_ELIMINATION = 4",
        "test_boin.py::test_published_boundaries_and_tables",
    ),
    Fault(
        "elimination under Beta(0.5, 0.5)",
        BOIN,
        "dlts + 1.0, np.maximum(patients - dlts, 0) + 1.0",
        "dlts + 0.5, np.maximum(patients - dlts, 0) + 0.5",
        "test_boin.py::test_published_boundaries_and_tables",
    ),
    Fault(
        "an eliminated dose is given again",
        BOIN,
        "np.minimum(wanted, admissible.sum(axis=1) - 1)",
        "wanted",
        "test_boin.py::test_plain_rule_agrees",
    ),
    Fault(
        "extra_safe ignored in decisions",
        BOIN,
        "toxic[:, 0] |= states.y[:, 0] >= stop_ge[states.n[:, 0]]",
        "pass",
        "test_boin.py::test_peer_selections",
    ),
    Fault(
        "stay_at_1_of_3 also at 2 of 3",
        BOIN,
        "escalate[3:4], deescalate[3:4] = 0, 2",
        "escalate[3:4], deescalate[3:4] = 0, 3",
        "test_boin.py::test_at_target_025_agrees_with_the_protocols_rules",
    ),
    Fault(
        "stay_at_1_of_3 ignored",
        BOIN,
        "escalate[3:4], deescalate[3:4] = 0, 2",
        "pass",
        "test_boin.py::test_at_target_025_agrees_with_the_protocols_rules",
    ),
    Fault(
        "bound_mtd ignored",
        BOIN,
        "if self.bound_mtd:",
        "if False:",
        "test_boin.py::test_peer_selections",
    ),
    Fault(
        "untried doses in the final choice",
        BOIN,
        "tried = (states.n > 0) & self._admissible(states)",
        "tried = self._admissible(states)",
        "test_boin.py::test_published_selections",
    ),
    Fault(
        "eliminated doses in the final choice",
        BOIN,
        "tried = (states.n > 0) & self._admissible(states)",
        "tried = states.n > 0",
        "test_boin.py::test_peer_selections",
    ),
    Fault(
        "estimates weighted by variance, not precision",
        BOIN,
        "(a + b) ** 2 * (a + b + 1) / (a * b)",
        "(a * b) / ((a + b) ** 2 * (a + b + 1))",
        "test_boin.py::test_published_selections",
    ),
    Fault(
        "estimates not weighted",
        BOIN,
        "(a + b) ** 2 * (a + b + 1) / (a * b)",
        "np.ones(a.shape)",
        "test_boin.py::test_published_selections",
    ),
    Fault(
        "estimates with a Beta(0.5, 0.5) prior",
        BOIN,
        "_PRIOR, _TAIL = 0.05",
        "_PRIOR, _TAIL = 0.5",
        "test_boin.py::test_published_selections",
    ),
    Fault(
        "final ties to the lowest dose",
        BOIN,
        "np.where(below.any(axis=1), highest(below), np.argmax(closest, axis=1))",
        "np.argmax(closest, axis=1)",
        "test_boin.py::test_peer_selections",
    ),
    Fault(
        "final ties to the highest dose",
        BOIN,
        "np.where(below.any(axis=1), highest(below), np.argmax(closest, axis=1))",
        "highest(closest)",
        "test_boin.py::test_peer_selections",
    ),
    Fault(
        "not reached only below the escalation limit",
        BOIN,
        "top_y <= self._limits",
        "top_y < self._limits",
        "test_boin.py::test_not_reached_where_the_top_dose_would_escalate",
    ),
    # CRM
    Fault(
        "coherence off",
        MODEL_BASED,
        "toxic_cohort = at_least(states.last_y, self.target * states.last_n)",
        "toxic_cohort = np.zeros(len(states), bool)",
        "test_crm.py::test_restrictions_on_the_next_dose",
    ),
    Fault(
        "coherence above the target only",
        MODEL_BASED,
        "at_least(states.last_y, self.target",
        "np.greater(states.last_y, self.target",
        "test_crm.py::test_restrictions_on_the_next_dose",
    ),
    Fault(
        "coherence both: de-escalation after a cohort without DLT",
        MODEL_BASED,
        'if self.coherence != "both":\n            return dose',
        "if True:\n            return dose",
        "test_crm.py::test_restrictions_on_the_next_dose",
    ),
    Fault(
        "coherence both: no de-escalation after one DLT either",
        MODEL_BASED,
        "np.where(states.last_y == 0,",
        "np.where(states.last_y <= 1,",
        "test_crm.py::test_restrictions_on_the_next_dose",
    ),
    Fault(
        "skipping one level",
        MODEL_BASED,
        "np.minimum(ceiling, base + 1)",
        "np.minimum(ceiling, base + 2)",
        "test_crm.py::test_restrictions_on_the_next_dose",
    ),
    Fault(
        "no_skip tried treated as last",
        MODEL_BASED,
        'base = states.last if self.no_skip == "last" else',
        "base = states.last if True else",
        "test_crm.py::test_restrictions_on_the_next_dose",
    ),
    Fault(
        "no_skip last treated as tried",
        MODEL_BASED,
        'base = states.last if self.no_skip == "last" else',
        "base = states.last if False else",
        "test_crm.py::test_restrictions_on_the_next_dose",
    ),
    Fault(
        "safety rule one patient late",
        CRM,
        "(n[:, 0] >= self.safety_min_n)",
        "(n[:, 0] > self.safety_min_n)",
        "test_crm.py::test_safety_rule",
    ),
    Fault(
        "safety rule from the first patient on",
        CRM,
        "(n[:, 0] >= self.safety_min_n)",
        "(n[:, 0] >= 1)",
        "test_crm.py::test_safety_rule",
    ),
    Fault(
        "safety cutoff ignored",
        CRM,
        "return above(p_over, self.safety_cutoff)",
        "return above(p_over, 1.0)",
        "test_crm.py::test_safety_rule",
    ),
    Fault(
        "safety by the other posterior",
        CRM,
        'by_beta = self.safety_by == "beta"',
        'by_beta = self.safety_by != "beta"',
        "test_crm.py::test_safety_rule",
    ),
    Fault(
        "final choice of an untried dose",
        CRM,
        'if self.final == "tried":',
        "if False:",
        "test_crm.py::test_final_choice",
    ),
    Fault(
        "plug-in on the wrong side of the boundaries",
        CRM,
        "above(values[:, 0], self._boundaries[:, None])",
        "above(self._boundaries[:, None], values[:, 0])",
        "test_crm.py::test_published_trial_replay",
    ),
    Fault(
        "prior variance for the standard deviation",
        CRM,
        "= 1.34**0.5",
        "= 1.34",
        "test_crm.py::test_published_small_cases",
    ),
    Fault(
        "a skeleton need not increase strictly",
        CRM,
        "any(b <= a for a, b in",
        "any(b < a for a, b in",
        "test_bad_input.py::test_broken_config[skeleton level]",
    ),
    Fault(
        "spacing above the top dose missing",
        CRM,
        "[0, -2])",
        "[0, -1])",
        "test_crm.py::test_not_reached_means_a_further_level_would_be_given",
    ),
    Fault(
        "not_reached_below ignored",
        CRM,
        "if self.not_reached_below is not None:",
        "if False:",
        "test_crm.py::test_not_reached_below_a_given_rate",
    ),
    Fault(
        "not reached on the wrong side, by mean rates",
        CRM,
        "above(self._top_edge[0], rates[:, -1])",
        "above(rates[:, -1], self._top_edge[0])",
        "test_crm.py::test_not_reached_by_mean_rates",
    ),
    Fault(
        "final choice by the plug-in where it is by mean rates",
        CRM,
        'rates = values[:, 2:] if self.recommend == "mean" else self.curve.probabilities(values[:, 0])\n        return',
        "rates = self.curve.probabilities(values[:, 0])\n        return",
        "test_crm.py::test_final_choice",
    ),
    Fault(
        "undecided states taken as decided",
        CRM,
        "return (margin > worst + TIE) | (worst < FLOOR)",
        "return margin > -1",
        "test_crm.py::test_undecided_states_are_refitted",
    ),
    Fault(
        "variance without the square of the mean",
        CRM,
        "variance = square - estimate**2",
        "variance = square",
        "test_crm.py::test_peer_fits",
    ),
    Fault(
        "95% interval for the 90% one",
        CRM,
        "ndtri(0.95)",
        "ndtri(0.975)",
        "test_crm.py::test_peer_fits",
    ),
    # Curves, skeletons
    Fault(
        "power scale with the sign changed",
        "models/power.py",
        "return np.log(-np.log(p))",
        "return -np.log(-np.log(p))",
        "test_crm.py::test_published_small_cases",
    ),
    Fault(
        "logistic scale with the sign changed",
        LOGISTIC,
        "self.intercept - np.log(p) + np.log1p",
        "self.intercept + np.log(p) - np.log1p",
        "test_crm.py::test_published_small_cases",
    ),
    Fault(
        "intercept ignored on the scale",
        LOGISTIC,
        "np.maximum(self.intercept - np.log(p)",
        "np.maximum(3.0 - np.log(p)",
        "test_crm.py::test_logistic_curve_of_other_intercepts",
    ),
    Fault(
        "intercept ignored in the curve",
        LOGISTIC,
        "logit = self.intercept",
        "logit = 3.0",
        "test_crm.py::test_logistic_curve_of_other_intercepts",
    ),
    Fault(
        "crossing with the sign changed",
        CURVE,
        "float(self.scale(rate) - self.scale(self.skeleton[dose]))",
        "float(self.scale(self.skeleton[dose]) - self.scale(rate))",
        "test_crm.py::test_not_reached_means_a_further_level_would_be_given",
    ),
    Fault(
        "boundaries at half the target",
        CURVE,
        "total > 2 * target",
        "total > target",
        "test_crm.py::test_peer_indifference_intervals",
    ),
    Fault(
        "DLTs counted among the patients without",
        CURVE,
        "log_q[0] @ (n - y)",
        "log_q[0] @ n",
        "test_crm.py::test_published_maximum_likelihood_path",
    ),
    Fault(
        "indifference interval twice as wide",
        SKELETONS,
        "step * (np.arange",
        "2 * step * (np.arange",
        "test_crm.py::test_peer_skeletons",
    ),
    Fault(
        "mtd_level one too high",
        SKELETONS,
        "np.arange(1, n_doses + 1) - mtd_level",
        "np.arange(n_doses) - mtd_level",
        "test_crm.py::test_peer_skeletons",
    ),
    Fault(
        "indifference rate of the wrong neighbour",
        SKELETONS,
        "p[boundary, boundary + 1]",
        "p[boundary, boundary]",
        "test_crm.py::test_peer_indifference_intervals",
    ),
    # Quadrature
    Fault(
        "coarse values without their double weight",
        QUADRATURE,
        "coarse=2 ** len(steps) * self._integrands",
        "coarse=self._integrands",
        "test_crm.py::test_published_small_cases",
    ),
    Fault(
        "error estimate ignored",
        QUADRATURE,
        "return values, SAFETY * difference, total",
        "return values, 0 * difference, total",
        "test_crm.py::test_quadrature_against_adaptive_integration[n4-y4-logistic]",
    ),
    Fault(
        "unsettled data sets not done again",
        QUADRATURE,
        "while len(pending):",
        "while False:",
        "test_crm.py::test_quadrature_against_adaptive_integration[n4-y4-logistic]",
    ),
    Fault(
        "indicator in place of sinc weights",
        QUADRATURE,
        "return 0.5 + sici(np.pi * (bound - z) / step)[0] / np.pi",
        "return (z < bound).astype(float)",
        "test_crm.py::test_quadrature_against_adaptive_integration[n0-y0-power]",
    ),
    Fault(
        "log prior without the square",
        QUADRATURE,
        "-(z**2).sum(axis=1) / 2",
        "-np.abs(z).sum(axis=1) / 2",
        "test_crm.py::test_published_small_cases",
    ),
    Fault(
        "log prior without the root in its constant",
        QUADRATURE,
        "np.log(steps / np.sqrt(2 * np.pi))",
        "np.log(steps / (2 * np.pi))",
        "test_crm.py::test_quadrature_against_adaptive_integration[n0-y0-power]",
    ),
    Fault(
        "underflow guard removed",
        QUADRATURE,
        "< SAFE_LOG:",
        "< -1e9:",
        "test_crm.py::test_fit_of_a_large_trial_does_not_underflow",
    ),
    Fault(
        "tail beyond the grid left out of the error",
        QUADRATURE,
        "return values, error + beyond, log_evidence",
        "return values, error, log_evidence",
        "test_crm.py::test_the_error_estimate_covers_what_a_grid_cuts_off",
    ),
    Fault(
        "rounding of single precision left out of its error",
        QUADRATURE,
        "error += rounding[:, None] + _beyond",
        "error += _beyond",
        "test_crm.py::test_single_precision_is_within_its_own_error[mean-power]",
    ),
    Fault(
        "grid that cuts a posterior off made finer, not wider",
        QUADRATURE,
        "beyond.max(axis=1) > error.max(axis=1)",
        "beyond.max(axis=1) > np.inf",
        "test_crm.py::test_quadrature_of_a_posterior_far_from_its_prior",
    ),
    # Posteriors, the designs that hang on them, and what is said of them
    Fault(
        "correlation left out of a bound",
        LOGISTIC2,
        "- rho * rest[0]",
        "",
        "test_posterior.py::test_peer_two_parameter_posteriors",
    ),
    Fault(
        "correlated part with its whole standard deviation",
        LOGISTIC2,
        "(1 - rho**2) ** 0.5 * z[0]",
        "z[0]",
        "test_posterior.py::test_peer_two_parameter_posteriors",
    ),
    Fault(
        "reference dose ignored",
        LOGISTIC2,
        "np.log(amount) - np.log(self.reference)",
        "np.log(amount)",
        "test_posterior.py::test_peer_two_parameter_posteriors",
    ),
    Fault(
        "slope not exponentiated",
        LOGISTIC2,
        "xp.exp(theta[1]) * at",
        "theta[1] * at",
        "test_posterior.py::test_peer_two_parameter_posteriors",
    ),
    Fault(
        "weights of a mixture not normalised",
        LOGISTIC2,
        "one.weight / total",
        "one.weight",
        "test_posterior.py::test_figures_agree_with_each_other[(0, 0, 0)-(0, 0, 0)-mixture]",
    ),
    Fault(
        "uniform prior on the logarithm",
        "models/base.py",
        "xp.log(low + (high - low) * below)",
        "low + (high - low) * below",
        "test_posterior.py::test_published_uniform_prior",
    ),
    Fault(
        "prior weights of a mixture ignored",
        MIXTURE,
        "log_evidence + self.log_weights[:, None]",
        "log_evidence + 0 * self.log_weights[:, None]",
        "test_posterior.py::test_mixture_weights_are_evidence",
    ),
    Fault(
        "evidence of a mixture's parts ignored",
        MIXTURE,
        "log_evidence + self.log_weights[:, None]",
        "0 * log_evidence + self.log_weights[:, None]",
        "test_posterior.py::test_mixture_weights_are_evidence",
    ),
    Fault(
        "spread about zero",
        EXACT,
        "square - mean**2",
        "square",
        "test_posterior.py::test_peer_two_parameter_posteriors",
    ),
    Fault(
        "probability of another cut point",
        EXACT,
        "(2 + self.fit.rates.index(rate))",
        "(1 + self.fit.rates.index(rate))",
        "test_posterior.py::test_peer_two_parameter_posteriors",
    ),
    Fault(
        "quantile of the other tail",
        EXACT,
        "self._chance(lambda nodes: chance(nodes, x), more) - wanted",
        "self._chance(lambda nodes: chance(nodes, x), more) - 1 + wanted",
        "test_posterior.py::test_published_uniform_prior",
    ),
    Fault(
        "draws' second coordinate not weighted",
        EXACT,
        "np.bincount(column, weight)",
        "np.bincount(column) / len(column)",
        "test_posterior.py::test_draws_have_the_posterior_s_moments[(3, 3, 3)-(0, 0, 1)-two]",
    ),
    Fault(
        "MTD's partition upside down",
        "posterior/base.py",
        "edges[:-1] - edges[1:]",
        "edges[1:] - edges[:-1]",
        "test_posterior.py::test_figures_agree_with_each_other[(3, 3, 3)-(0, 0, 1)-power]",
    ),
    Fault(
        "RP2D at the limit",
        SUMMARIES,
        "p_over.value[tried] < limit",
        "p_over.value[tried] <= limit",
        "test_analyze.py::test_rp2d_by_the_toxicity_rule",
    ),
    Fault(
        "RP2D among doses that nobody received",
        SUMMARIES,
        "tried = np.flatnonzero(n > 0)",
        "tried = np.arange(len(n))",
        "test_analyze.py::test_rp2d_by_the_toxicity_rule",
    ),
    Fault(
        "undecided within one error only",
        SUMMARIES,
        "<= 3 * p_over.error",
        "<= p_over.error",
        "test_analyze.py::test_a_probability_near_the_limit_is_undecided",
    ),
    Fault(
        "upper limit of half a DLT more",
        SUMMARIES,
        "betaincinv(y + 1,",
        "betaincinv(y + 0.5,",
        "test_analyze.py::test_upper_limits_that_anybody_can_check",
    ),
    Fault(
        "the error of an effective size is that of the mean alone",
        SUMMARIES,
        "np.hypot(per_mean * mean.error, per_sd * sd.error)",
        "np.abs(per_mean * mean.error)",
        "test_analyze.py::test_the_error_of_an_effective_size_holds",
    ),
    Fault(
        "a reference dose out of another trial's reach is tried",
        "borrowing.py",
        "if dose != self.reference and all(low <= dose <= high for low, high in reaches):",
        "if dose != self.reference:",
        "test_borrowing.py::test_what_is_varied_within_reach_alone",
    ),
    Fault(
        "effective size one patient too large",
        SUMMARIES,
        "/ s**2 - 1,",
        "/ s**2,",
        "test_analyze.py::test_effective_size_of_a_beta_prior_is_its_own",
    ),
    Fault(
        "overdose from the lower end of the interval",
        SUMMARIES,
        "Figure(1 - high.value, high.error)",
        "Figure(1 - low.value, high.error)",
        "test_analyze.py::test_targets_and_cut_points_are_the_protocol_s",
    ),
    Fault(
        "conclusion with each state's probability given the data dropped",
        SUMMARIES,
        "walked.ends.ways * np.exp(log_evidence)",
        "np.exp(log_evidence)",
        "test_analyze.py::test_conclusion_of_a_trial_that_is_over",
    ),
    Fault(
        "prior that has seen the data",
        "tasks/analysis.py",
        "curves[chosen], 0 * n, 0 * y",
        "curves[chosen], n, y",
        "test_analyze.py::test_no_dlt_at_all",
    ),
    Fault(
        "overdose control by the lower end of the interval",
        BLRM,
        "below_high = nodes.below(interval[1], at)",
        "below_high = nodes.below(interval[0], at)",
        "test_blrm.py::test_decisions_follow_the_posterior[tried-target]",
    ),
    Fault(
        "highest dose and likeliest target exchanged",
        BLRM,
        'if self.choose == "highest":\n            return highest(among)',
        'if self.choose != "highest":\n            return highest(among)',
        "test_blrm.py::test_kept_up_only_where_safe",
    ),
    Fault(
        "kept up at a dose that is not admissible",
        BLRM,
        "np.where((dose >= 0) & states.at(safe, kept), kept, dose)",
        "kept",
        "test_blrm.py::test_kept_up_only_where_safe",
    ),
    Fault(
        "level beyond the top twice as far",
        BLRM,
        "(at[-1] - at[-2] if",
        "(2 * (at[-1] - at[-2]) if",
        "test_blrm.py::test_decisions_follow_the_posterior[tried-target]",
    ),
    Fault(
        "first dose not held against the prior",
        BLRM,
        "if at_least(p_over, self.ewoc):",
        "if False:",
        "test_blrm.py::test_refusals",
    ),
    Fault(
        "more DLTs than patients in a table of counts",
        "intake/counts.py",
        '_whole(row, "dlts", 0, n)',
        '_whole(row, "dlts", 0, 1000)',
        "test_bad_input.py::test_broken_counts",
    ),
    Fault(
        "intake: the last of two disposition events counts",
        "intake/leaving.py",
        'now is None or (day.day, reason or "") < (now.day, now_reason or "")',
        'now is None or (day.day, reason or "") > (now.day, now_reason or "")',
        "test_intake.py::test_the_first_of_several_disposition_events",
    ),
    Fault(
        "intake: a partial date begins with its month",
        "intake/entries.py",
        "    return days.certain, None if days.certain else days, cell",
        "    return days.earliest, None if days.certain else days, cell",
        "test_intake.py::test_a_partial_date_of_an_event_is_noted",
    ),
    Fault(
        "intake: an imputed date of ADaM is taken as given",
        "intake/entries.py",
        "    if flag:\n        collected",
        "    if flag and not cell.text:\n        collected",
        "test_intake.py::test_the_same_trial_in_every_format",
    ),
    Fault(
        "intake: the unit of a dose is not looked at",
        "intake/cdisc.py",
        "if not placebo and (wrong := wrong_unit(unit.text, protocol.doses.unit)) is not None:",
        "if False:",
        "test_intake.py::test_broken_sdtm",
    ),
    Fault(
        "intake: cells are taken for 10^6 cells",
        "intake/entries.py",
        "if math.isclose(amount, known * factor, rel_tol=1e-9) and matched(amount, doses)[0] is None:",
        "if False:",
        "test_intake.py::test_broken_tables",
    ),
    Fault(
        "intake: a row without infusion is left out and not listed",
        "intake/entries.py",
        "        self.absent[subject] = reason\n        self.listed.append(Listed(row.source, reason))",
        "        self.absent[subject] = reason",
        "test_intake.py::test_no_row_is_lost_and_no_order_counts",
    ),
    Fault(
        "intake: adverse events in the order of their rows",
        "intake/entries.py",
        "        events.sort(key=",
        "        sorted(events, key=",
        "test_intake.py::test_no_row_is_lost_and_no_order_counts",
    ),
    Fault(
        "intake: a quote that swallows rows is a cell",
        "intake/cells.py",
        'elif "\\n" in cell or "\\r" in cell:',
        "elif False:",
        "test_intake.py::test_broken_tables",
    ),
    Fault(
        "intake: SAS days counted from 1970",
        "intake/xpt.py",
        "_EPOCH = date(1960, 1, 1)",
        "_EPOCH = date(1970, 1, 1)",
        "test_intake.py::test_the_same_trial_in_every_format",
    ),
    Fault(
        "intake: a formula is read as its text",
        "intake/excel.py",
        'if kind == "f":',
        "if False:",
        "test_intake.py::test_broken_workbooks",
    ),
    Fault(
        "intake: a subject in two rows",
        "intake/entries.py",
        "        if subject in seen:",
        "        if False:",
        "test_intake.py::test_broken_tables",
    ),
    Fault(
        "intake: a DLT after the last contact",
        "intake/entries.py",
        "entry.dlt_date.day > entry.last_contact.day",
        "False",
        "test_intake.py::test_broken_tables",
    ),
    Fault(
        "largest margin in place of the smallest",
        "operating/walk.py",
        "min(p.margin for p in parts)",
        "max(p.margin for p in parts)",
        "test_blrm.py::test_the_walk_tells_its_smallest_margin",
    ),
    Fault(
        "RP2D named from draws that cannot be trusted",
        SUMMARIES,
        "    if problems:",
        "    if False:",
        "test_analyze.py::test_no_rp2d_from_draws_that_cannot_be_trusted",
    ),
    Fault(
        "quantiles never held against a finer grid",
        EXACT,
        "for more in range(1, _FINEST + 1):",
        "for more in range(0):",
        "test_posterior.py::test_narrow_posteriors_and_deep_quantiles[sd1-0.0-n1-y1]",
    ),
    Fault(
        "a narrow posterior's box too small",
        QUADRATURE,
        "log_density > log_density.max() - REGION",
        "log_density > log_density.max() - 1.0",
        "test_posterior.py::test_narrow_posteriors_and_deep_quantiles[sd2-0.0-n2-y2]",
    ),
    # NUTS
    Fault(
        "PyMC's likelihood counts a patient with a DLT as one without, too",
        CURVE,
        "(n - y) * log_q",
        "n * log_q",
        "test_nuts.py::test_pymc_s_model_is_ours[power]",
    ),
    Fault(
        "uniform prior not uniform in PyMC's model",
        CURVE,
        "0.5 * xp.erfc(-z[0] / 2**0.5)",
        "0.5 * xp.erfc(-z[0])",
        "test_nuts.py::test_pymc_s_model_is_ours[uniform]",
    ),
    Fault(
        "components of a mixture weigh the same in PyMC's model",
        LOGISTIC2,
        "return weight, (mean - np.array(pooled.mean))",
        "return weight * 0 + 1 / len(weight), (mean - np.array(pooled.mean))",
        "test_nuts.py::test_pymc_s_model_is_ours[mixture]",
    ),
    Fault(
        "chains all start in the first component",
        LOGISTIC2,
        "np.arange(count) % len(mean)",
        "np.arange(count) * 0",
        "test_nuts.py::test_chains_start_in_each_component_in_turn",
    ),
    Fault(
        "continuous MTD on the wrong side of the reference",
        LOGISTIC2,
        "return (logit(self._in_one_window(rate)) - theta[0]) * np.exp",
        "return (theta[0] - logit(rate)) * np.exp",
        "test_nuts.py::test_figures_follow_from_the_draws",
    ),
    Fault(
        "a rate over several windows taken for one over one",
        LOGISTIC2,
        "return rate if self.windows == 1 else",
        "return rate if self.windows else",
        "test_posterior.py::test_windows_by_hand",
    ),
    Fault(
        "a longer window without more DLTs",
        LOGISTIC2,
        "return log_p + xp.log(xp.expm1(windows * log_q1) / xp.expm1(log_q1)), windows * log_q",
        "return log_p, log_q",
        "test_posterior.py::test_windows_by_hand",
    ),
    Fault(
        "hierarchical: the window of a trial not that of its curve",
        HIERARCHICAL,
        "prior=self.exchangeable.mu, windows=trial.windows)",
        "prior=self.exchangeable.mu)",
        "test_hierarchical.py::test_a_window_of_its_own",
    ),
    Fault(
        "a probability that no draw falls in has no error",
        NUTS,
        "np.fmax(error, (1 - 0.05 ** (1 / size)) / 3)",
        "error",
        "test_nuts.py::test_no_probability_is_without_error",
    ),
    Fault(
        "draws taken for independent",
        NUTS,
        'mcse(draws, method="mean")',
        "draws.std(axis=(0, 1)) / draws[..., 0].size ** 0.5",
        "test_nuts.py::test_errors_are_monte_carlo_standard_errors",
    ),
    Fault(
        "R-hat that is not a number passes",
        NUTS,
        'found["rhat"] <= LARGEST_RHAT',
        'not found["rhat"] > LARGEST_RHAT',
        "test_nuts.py::test_problems_in_words",
    ),
    Fault(
        "draws that diverged are not drawn again",
        NUTS,
        "if not diverged.any():",
        "if True:",
        "test_nuts.py::test_problems_in_words",
    ),
    Fault(
        "divergences pass",
        NUTS,
        "self._divergences == 0",
        "True",
        "test_nuts.py::test_problems_in_words",
    ),
    Fault(
        "MTD counts the doses above it",
        NUTS,
        "at_most[..., :-1] & ~at_most[..., 1:]",
        "at_most[..., :-1]",
        "test_nuts.py::test_figures_follow_from_the_draws",
    ),
    # Limits that all designs share
    Fault(
        "one cohort more than max_n",
        BASE,
        "states.total >= self.max_n",
        "states.total > self.max_n",
        "test_boin.py::test_limits_that_all_designs_share",
    ),
    Fault(
        "the last cohort is not cut short",
        BASE,
        "size = np.minimum(size, self.max_n - states.total)",
        "pass",
        "test_boin.py::test_limits_that_all_designs_share",
    ),
    Fault(
        "a cohort may overfill a dose",
        BASE,
        "size = np.minimum(size, self.max_n_per_dose - states.at(states.n, dose))",
        "pass",
        "test_boin.py::test_limits_that_all_designs_share",
    ),
    Fault(
        "a dose is full one patient late",
        BASE,
        "at_chosen >= self.max_n_per_dose",
        "at_chosen > self.max_n_per_dose",
        "test_boin.py::test_limits_that_all_designs_share",
    ),
    Fault(
        "stop_n one patient late",
        BASE,
        "count >= self.stop_n",
        "count > self.stop_n",
        "test_boin.py::test_limits_that_all_designs_share",
    ),
    Fault(
        "stop_n_at stay treated as chosen",
        BASE,
        '(dose == states.last) | (self.stop_n_at == "chosen")',
        "dose >= 0",
        "test_boin.py::test_limits_that_all_designs_share",
    ),
    Fault(
        "stop_n_at chosen treated as stay",
        BASE,
        '(dose == states.last) | (self.stop_n_at == "chosen")',
        "dose == states.last",
        "test_boin.py::test_limits_that_all_designs_share",
    ),
    Fault(
        "stop_n_at one level too high",
        BASE,
        "states.n[:, self.stop_n_at - 1]",
        "states.n[:, self.stop_n_at]",
        "test_boin.py::test_limits_that_all_designs_share",
    ),
    Fault(
        "start one level too high",
        BASE,
        "np.where(empty, self.start - 1, dose)",
        "np.where(empty, self.start, dose)",
        "test_three_plus_three.py::test_decisions_in_words",
    ),
    Fault(
        "max_n hides why a design ended by itself",
        BASE,
        "planned_end & ~ends_by_itself",
        "planned_end",
        "test_three_plus_three.py::test_decisions_in_words",
    ),
    Fault(
        "sizes of a varying cohort one cohort early",
        BASE,
        "np.minimum(states.cohorts, len(sizes) - 1)",
        "np.minimum(states.cohorts + 1, len(sizes) - 1)",
        "test_boin.py::test_limits_that_all_designs_share",
    ),
    Fault(
        "not reached below the top dose",
        BASE,
        "(dose == states.n_doses - 1) & escalates",
        "escalates",
        "test_three_plus_three.py::test_contract[{}]",
    ),
    # The walk
    Fault(
        "binomial coefficient missing",
        WALK,
        "front.ways[parent] * _choose(int(size.max()))[size, dlts]",
        "front.ways[parent]",
        "test_operating.py::test_pooling_of_binomials_is_a_binomial",
    ),
    Fault(
        "states merged whatever follows",
        WALK,
        "label = group * 128 + part.code",
        "label = group * 128",
        "test_plain.py::test_contract",
    ),
    Fault(
        "states merged whatever is remembered",
        WALK,
        "label = label * MOST_MEMORY + column",
        "label = label * MOST_MEMORY",
        "test_plain.py::test_states_that_differ_in_memory_alone_stay_apart",
    ),
    Fault(
        "visits not weighted by ways",
        WALK,
        "(part.visits * part.ways[:, None, None])[order], starts) / ways[:, None, None]",
        "part.visits[order], starts) / np.diff(np.append(starts, len(order)))[:, None, None]",
        "test_operating.py::test_varying_cohorts_count_their_visits",
    ),
    Fault(
        "company of the first patient counted at every visit",
        WALK,
        "(visits[each, 0, dose] == 0) & (size > 1)",
        "size > 1",
        "test_operating.py::test_varying_cohorts_count_their_visits",
    ),
    Fault(
        "memory check removed",
        WALK,
        "if needed > memory_limit:",
        "if False:",
        "test_bad_input.py::test_a_walk_too_large_says_how_far_it_got_and_what_to_change",
    ),
    Fault(
        "memory check without the next cohort",
        WALK,
        "if needed > memory_limit:",
        "if held > memory_limit:",
        "test_operating.py::test_one_byte_less_than_needed_is_too_little",
    ),
    Fault(
        "key check removed in the walk",
        WALK,
        "raise ArithmeticError(SHARED_KEY)",
        "pass",
        "test_operating.py::test_states_that_share_a_key_are_noticed",
    ),
    Fault(
        "key check removed in a batch",
        "trial.py",
        "raise ArithmeticError(SHARED_KEY)",
        "pass",
        "test_operating.py::test_states_that_share_a_key_are_noticed",
    ),
    # Figures
    Fault(
        "log of 0 is not a number",
        LATTICE,
        "np.maximum(np.log(truths), _LOG_ZERO)",
        "np.log(truths)",
        "test_operating.py::test_certain_truths_are_exact",
    ),
    Fault(
        "a rate at the limit is an overdose",
        LATTICE,
        "~above(truths, overdose_limit)",
        "truths < overdose_limit",
        "test_operating.py::test_overdosing_shares_are_strict",
    ),
    Fault(
        "exactly 60% counts as more",
        TALLY,
        "10 * from_dose > tenths",
        "10 * from_dose >= tenths",
        "test_operating.py::test_overdosing_shares_are_strict",
    ),
    Fault(
        "treated_from one dose too high",
        TALLY,
        "from_dose[:, :-1]",
        "from_dose[:, 1:]",
        "test_operating.py::test_figures_agree_with_each_other",
    ),
    Fault(
        "sample size one patient too small",
        TALLY,
        "_indicator(total.astype(int), largest_sample + 1)",
        "_indicator(total.astype(int) - 1, largest_sample + 1)",
        "test_operating.py::test_figures_agree_with_each_other",
    ),
    Fault(
        "any_dlt from two DLTs on",
        TALLY,
        "y.sum(axis=1) > 0",
        "y.sum(axis=1) > 1",
        "test_operating.py::test_figures_agree_with_each_other",
    ),
    Fault(
        "each cohort begins with the last patient of the one before",
        SIMULATION,
        "first = states.total[rest].astype(int)",
        "first = np.maximum(states.total[rest].astype(int) - 1, 0)",
        "test_protocols.py::test_simulated_comparison_is_near_the_exact_one",
    ),
    Fault(
        "seed ignored",
        SIMULATION,
        "SeedSequence((seed, chunk))",
        "SeedSequence((1, chunk))",
        "test_operating.py::test_simulation_is_paired_and_reproducible",
    ),
    Fault(
        "every chunk has the same patients",
        SIMULATION,
        "SeedSequence((seed, chunk))",
        "SeedSequence((seed, 0))",
        "test_operating.py::test_chunks_have_their_own_patients",
    ),
    Fault(
        "standard error of one trial, not of the mean",
        SIMULATION,
        "- mean**2, 0) / n_trials)",
        "- mean**2, 0))",
        "test_operating.py::test_simulated_standard_errors_are_those_of_the_mean",
    ),
    Fault(
        "simulated cohorts not counted",
        SIMULATION,
        "visits[going, 0, dose] += 1",
        "pass",
        "test_protocols.py::test_simulated_comparison_is_near_the_exact_one",
    ),
    Fault(
        "reference: ties to the last",
        REFERENCE,
        "distance[:, None] < distance - TIE",
        "distance[:, None] <= distance + TIE",
        "test_operating.py::test_reference_against_every_multinomial_outcome",
    ),
    Fault(
        "reference: equal counts below the target to the lower dose",
        REFERENCE,
        "(np.eye(n + 1, dtype=bool) & (counts < n * target - TIE))",
        "False",
        "test_operating.py::test_reference_against_every_multinomial_outcome",
    ),
    Fault(
        "reference: margin ignored",
        REFERENCE,
        "above(counts / n, target + margin)",
        "above(counts / n, target)",
        "test_operating.py::test_reference_against_every_multinomial_outcome",
    ),
    Fault(
        "reference: highest strictly below the target",
        REFERENCE,
        "np.floor(n_patients * target + TIE)",
        "np.ceil(n_patients * target - TIE) - 1",
        "test_operating.py::test_reference_against_every_multinomial_outcome",
    ),
    Fault(
        "margin of the true MTD ignored",
        METRICS,
        "self.target + self.margin), -1",
        "self.target), -1",
        "test_operating.py::test_true_mtds_and_what_is_judged_by_them",
    ),
    Fault(
        "highest strictly below the target",
        METRICS,
        "highest(~above(truths, self.target))",
        "highest(~at_least(truths, self.target))",
        "test_operating.py::test_a_rate_at_the_target_is_not_above_it",
    ),
    Fault(
        "the interval's upper end is acceptable",
        METRICS,
        "~at_least(truths, self.interval[1])",
        "~above(truths, self.interval[1])",
        "test_operating.py::test_true_mtds_and_what_is_judged_by_them",
    ),
    Fault(
        "chosen below and above the MTD swapped",
        METRICS,
        '"under_selected": index < mtd',
        '"under_selected": index > mtd',
        "test_operating.py::test_true_mtds_and_what_is_judged_by_them",
    ),
    Fault(
        "patients at the MTD count as above it",
        METRICS,
        "standards.true_mtd(truths) + 1",
        "standards.true_mtd(truths)",
        "test_operating.py::test_true_mtds_and_what_is_judged_by_them",
    ),
    Fault(
        "ways of a path without the binomial coefficient",
        PATHS,
        "ways[parent] * comb(sizes, dlts)",
        "ways[parent]",
        "test_operating.py::test_paths_are_the_unmerged_walk",
    ),
    Fault(
        "path probabilities with the patients so far",
        PATHS,
        'np.array(table["n"].tolist()) - before.n',
        'np.array(table["n"].tolist())',
        "test_operating.py::test_walk_from_the_middle_of_a_trial",
    ),
    # Protocols
    Fault(
        "a stagger for every patient, the first too",
        PROTOCOL,
        "gaps = n - cohorts if",
        "gaps = n if",
        "test_protocols.py::test_least_calendar_time_by_hand",
    ),
    Fault(
        "staggered levels ignored",
        PROTOCOL,
        'np.ones(self.n_doses, bool) if stagger.levels == "all" else',
        "np.ones(self.n_doses, bool) if True else",
        "test_protocols.py::test_least_calendar_time_by_hand",
    ),
    Fault(
        "the DLT window counts once",
        PROTOCOL,
        "cohorts.sum(axis=1) * float(",
        "(cohorts.sum(axis=1) > 0) * float(",
        "test_protocols.py::test_least_calendar_time_by_hand",
    ),
    Fault(
        "a stagger after the first patient holds for every one",
        PROTOCOL,
        'n - cohorts if stagger.patients == "every" else',
        "n - cohorts if True else",
        "test_protocols.py::test_least_calendar_time_of_other_staggers",
    ),
    Fault(
        "unit of the reference dose unchecked",
        PROTOCOL,
        'if (wrong := wrong_unit(self.reference.unit, self.unit, "the doses")) is not None:',
        "if False:",
        "test_bad_input.py::test_broken_config[reference dose in another unit]",
    ),
    Fault(
        "target outside its interval accepted",
        PROTOCOL,
        "if not low <= self.rate < high:",
        "if False:",
        "test_bad_input.py::test_broken_config[rate outside the interval]",
    ),
    Fault(
        "defaults not listed as assumed",
        PROTOCOL,
        "return marked + [",
        "return marked or [",
        "test_protocols.py::test_shipped_protocols[nct05962762-amounts0]",
    ),
    Fault(
        "defaults under a marked table listed twice",
        PROTOCOL,
        "if not key.startswith(tables)",
        "if True",
        "test_protocols.py::test_what_is_under_a_marked_table_is_not_listed_again",
    ),
    Fault(
        "words for the relation compared by their letters' case",
        PROTOCOL,
        ".casefold().split()",
        ".split()",
        "test_evaluability.py::test_which_event_is_a_dlt",
    ),
    # Who counts
    Fault(
        "DLT window a day too long",
        WINDOW,
        ".treatment.dlt_window_days)",
        ".treatment.dlt_window_days + 1)",
        "test_evaluability.py::test_the_window_ends_on_its_last_day",
    ),
    Fault(
        "DLT window a day too short",
        WINDOW,
        ".treatment.dlt_window_days)",
        ".treatment.dlt_window_days - 1)",
        "test_evaluability.py::test_the_window_ends_on_its_last_day",
    ),
    Fault(
        "an event before the first infusion counts",
        JUDGED,
        "in_window(event, first, last) is True, is_before(event, first)",
        "in_window(event, first, last) is not False or is_before(event, first), is_before(event, first)",
        "test_events_as_collected.py::test_an_event_that_worsens_is_a_dlt_or_open_in_every_layout",
    ),
    Fault(
        "a replaced patient counts",
        EVALUATED,
        'kinds.count("dlt") + kinds.count("complete")',
        'kinds.count("dlt") + kinds.count("complete") + kinds.count("replaced")',
        "test_evaluability.py::test_a_replaced_patient_does_not_count",
    ),
    Fault(
        "a pending patient counts as complete",
        EVALUATED,
        'kinds.count("dlt") + kinds.count("complete")',
        'kinds.count("dlt") + kinds.count("complete") + kinds.count("pending")',
        "test_evaluability.py::test_completions_by_hand",
    ),
    Fault(
        "an unrelated event is a DLT",
        JUDGED,
        "dlt.is_related(event.related) is False",
        "False",
        "test_evaluability.py::test_which_event_is_a_dlt",
    ),
    Fault(
        "a relation not assessed is one",
        JUDGED,
        "if protocol.dlt.is_related(event.related) is None:",
        "if event.related is None:",
        "test_evaluability.py::test_how_words_for_the_relation_are_read",
    ),
    Fault(
        "a relation not assessed is none",
        PROTOCOL,
        '((*self.not_assessed, ""), None)',
        '((*self.not_assessed, ""), False)',
        "test_evaluability.py::test_how_words_for_the_relation_are_read",
    ),
    Fault(
        "remote is related",
        PROTOCOL,
        '"none", "remote", "doubtful"',
        '"none", "doubtful"',
        "test_evaluability.py::test_how_words_for_the_relation_are_read",
    ),
    Fault(
        "an unknown word is said for the first event only",
        JUDGING,
        "; {len(events)} events have it",
        "",
        "test_evaluability.py::test_an_unknown_word_is_said_once",
    ),
    Fault(
        "how words were read is not said",
        JUDGING,
        "            *_words_read(infused, protocol),\n",
        "",
        "test_evaluability.py::test_how_words_were_read_is_said",
    ),
    Fault(
        "amounts within a course are not compared",
        CONDUCT,
        "    _doses_administered,\n",
        "",
        "test_conduct.py::test_amounts_that_differ_within_a_course",
    ),
    Fault(
        "a level minus one is read as level one",
        "intake/assigned.py",
        r"(?:level|lvl)|dose[-]level)[ _]*0*",
        r"(?:level|lvl)|dose[-]level)[ _-]*0*",
        "test_dose_administered.py::test_names_of_arms",
    ),
    Fault(
        "the planned arm before the actual one",
        "intake/infusions.py",
        '("ACTARMCD", "ACTARM", "TRT01A", "ARMCD", "ARM", "TRT01P")',
        '("ARMCD", "ARM", "TRT01P", "ACTARMCD", "ACTARM", "TRT01A")',
        "test_dose_administered.py::test_where_the_assignment_is_read",
    ),
    Fault(
        "the days of a split dose count from the record before",
        "intake/infusions.py",
        "found[-1][0].day.day).days <= split_days",
        "found[-1][-1].day.day).days <= split_days",
        "test_dose_administered.py::test_records_of_one_infusion",
    ),
    Fault(
        "a row entered twice raises the level",
        "intake/infusions.py",
        "    if assigned is None and _repeat(infusions[0]):",
        "    if False:",
        "test_dose_administered.py::test_a_row_that_may_be_entered_twice",
    ),
    Fault(
        "a tolerance of half the gap is allowed",
        PROTOCOL,
        "        if self.tolerance >= largest:",
        "        if self.tolerance > largest:",
        "test_dose_administered.py::test_a_tolerance_of_half_the_gap_is_refused",
    ),
    Fault(
        "a patient with little of the dose and no DLT is evaluable",
        VERDICT,
        "        or _too_little_given(patient, protocol)\n",
        "",
        "test_dose_administered.py::test_the_least_dose_without_a_dlt",
    ),
    Fault(
        "the dose of another level is a dose like any other",
        CONDUCT,
        "    if level is not None and patient.level is not None:",
        "    if False:",
        "test_dose_administered.py::test_deviations_in_dose",
    ),
    Fault(
        "amounts of infusions to come are known",
        JUDGING,
        "patient.amounts[: sum(day <= cut for day in patient.infusions)]",
        "patient.amounts",
        "test_evaluability.py::test_amounts_of_later_infusions_are_not_known",
    ),
    Fault(
        "two who record a decision at once",
        PROVENANCE,
        "with filelock.FileLock(lock, timeout=_SECONDS, mode=mode):",
        "if True:",
        "test_next_dose.py::test_of_decisions_recorded_at_once_none_is_lost",
    ),
    Fault(
        "a lock is left behind",
        PROVENANCE,
        "filelock.FileLock(lock, timeout=_SECONDS, mode=mode)",
        "filelock.SoftFileLock(lock, timeout=_SECONDS)",
        "test_next_dose.py::test_a_lock_that_is_held_ends_in_a_message_and_one_left_behind_does_not_block",
    ),
    Fault(
        "least grade of a DLT off by one",
        JUDGED,
        "event.grade < least",
        "event.grade <= least",
        "test_evaluability.py::test_which_event_is_a_dlt",
    ),
    Fault(
        "an unclear event is no DLT",
        VERDICT,
        "or _unclear_event(patient, protocol)",
        "or None",
        "test_evaluability.py::test_which_event_is_a_dlt",
    ),
    Fault(
        "terms left out are not",
        PROTOCOL,
        "in map(plain_words, self.excluded_terms)",
        "in ()",
        "test_evaluability.py::test_the_definition_is_a_setting",
    ),
    Fault(
        "a DLT column is not held against the events",
        JUDGING,
        "if made and not patient.dlt:",
        "if False:",
        "test_evaluability.py::test_a_column_that_disagrees_stops",
    ),
    Fault(
        "whoever left has no DLT",
        VERDICT,
        "_with_dlt(patient, protocol, cut, whole_data)\n",
        "_left_early(patient, protocol) or _with_dlt(patient, protocol, cut, whole_data)\n",
        "test_evaluability.py::test_leaving_early",
    ),
    Fault(
        "leaving on the last day of the window is leaving early",
        VERDICT,
        "left >= end",
        "left > end",
        "test_evaluability.py::test_leaving_early",
    ),
    Fault(
        "progression taken for dropout",
        VERDICT,
        '"progression" if progression and not died else "dropout"',
        '"dropout"',
        "test_evaluability.py::test_leaving_early",
    ),
    Fault(
        "part of the course is complete",
        VERDICT,
        "or _part_of_the_course(patient, protocol)",
        "or None",
        "test_evaluability.py::test_part_of_the_course",
    ),
    Fault(
        "follow-up that is behind the data cut goes unseen",
        VERDICT,
        "cut if patient.last_contact is None else min(patient.last_contact, cut)",
        "cut",
        "test_evaluability.py::test_follow_up_that_is_behind_the_data_cut",
    ),
    Fault(
        "a patient with a DLT is replaced",
        COHORTS,
        'if verdict.kind == "not evaluable"}',
        'if verdict.kind != "pending"}',
        "test_evaluability.py::test_whoever_counts_is_not_replaced",
    ),
    Fault(
        "a replay knows later events",
        JUDGING,
        "_begun(e.start, e.days, cut))",
        "True)",
        "test_evaluability.py::test_the_single_dose_trial_date_by_date",
    ),
    Fault(
        "a replay knows later DLTs of the column",
        JUDGING,
        "told = patient.dlt is not True or _begun(patient.dlt_date, patient.dlt_days, cut)",
        "told = True",
        "test_evaluability.py::test_a_dlt_column_is_replayed_by_its_date",
    ),
    Fault(
        "a replay knows who will leave",
        JUDGING,
        "patient.discontinued <= cut",
        "patient.discontinued",
        "test_evaluability.py::test_the_single_dose_trial_date_by_date",
    ),
    Fault(
        "a replay knows later infusions",
        JUDGING,
        "tuple(day for day in patient.infusions if day <= cut)",
        "patient.infusions",
        "test_evaluability.py::test_the_single_dose_trial_date_by_date",
    ),
    Fault(
        "dates after the data cut accepted",
        JUDGING,
        "if later and not replay:",
        "if False:",
        "test_evaluability.py::test_dates_after_the_data_cut_are_an_error_unless_replayed",
    ),
    Fault(
        "lost rows go unseen",
        JUDGING,
        "if found != patients.rows or",
        "if",
        "test_evaluability.py::test_rows_in_are_rows_out",
    ),
    Fault(
        "whoever leaves later leaves a place in the cohort",
        COHORTS,
        " and v.closed is not None and v.closed <= day for",
        " for",
        "test_evaluability.py::test_cohorts_are_derived",
    ),
    Fault(
        "every completion has one way",
        EVALUATED,
        "math.comb(n, t)",
        "1",
        "test_evaluability.py::test_completions_by_hand",
    ),
    # Conduct
    Fault(
        "stagger a day too long",
        CONDUCT,
        "if gap < rules.stagger.days:",
        "if gap <= rules.stagger.days:",
        "test_conduct.py::test_patients_too_close_together",
    ),
    Fault(
        "stagger a day too short",
        CONDUCT,
        "if gap < rules.stagger.days:",
        "if gap < rules.stagger.days - 1:",
        "test_conduct.py::test_patients_too_close_together",
    ),
    Fault(
        "every patient waits for the first alone",
        CONDUCT,
        'own[-1:] if stagger.patients == "every" else own[:1]',
        "own[:1]",
        "test_conduct.py::test_patients_too_close_together",
    ),
    Fault(
        "a group waits a day longer than the window",
        CONDUCT,
        "<= start.first < _closes(status)",
        "<= start.first <= _closes(status)",
        "test_conduct.py::test_a_group_started_before_the_last_window_closed",
    ),
    Fault(
        "overlapping dose groups go unseen",
        CONDUCT,
        "    _two_groups_at_once,\n",
        "",
        "test_conduct.py::test_two_dose_groups_at_once",
    ),
    Fault(
        "one patient too many on a dose",
        CONDUCT,
        "len(counted) > most:",
        "len(counted) > most + 1:",
        "test_conduct.py::test_too_many_patients_on_a_dose",
    ),
    Fault(
        "the tolerance of the infusion schedule excluded",
        CONDUCT,
        "> treatment.infusion_tolerance_days:",
        ">= treatment.infusion_tolerance_days > 0:",
        "test_conduct.py::test_an_infusion_off_its_schedule",
    ),
    Fault(
        "an infusion is missed on the day on which it is due",
        CONDUCT,
        "< trial.evaluated.as_of",
        "<= trial.evaluated.as_of",
        "test_conduct.py::test_a_partial_course",
    ),
    Fault(
        "the next group does not wait for pending outcomes",
        CONDUCT,
        "if slot.level is None else None) or treatment.no_overlap:",
        "if slot.level is None else None):",
        "test_conduct.py::test_who_may_start_in_the_single_dose_trial",
    ),
    Fault(
        "a cohort does not wait for the one before at its dose",
        CONDUCT,
        "if level in (slot.level, slot.near if",
        "if level in (None, slot.near if",
        "test_conduct.py::test_where_groups_may_overlap_a_cohort_waits_for_the_one_before_at_its_dose",
    ),
    Fault(
        "patients who are not given the product are waited for",
        CONDUCT,
        "if status.part in UNTREATED:\n            continue",
        "if False:\n            continue",
        "test_conduct.py::test_nobody_waits_for_patients_who_are_not_given_the_product",
    ),
    Fault(
        "the next patient may start before the stagger",
        CONDUCT,
        "slot.start + timedelta(days=stagger.days)",
        "slot.start + timedelta(days=stagger.days - 1)",
        "test_conduct.py::test_at_the_high_dose_the_next_patient_waits_seven_days",
    ),
    Fault(
        "falling rates accepted",
        "_check.py",
        "(np.diff(array, axis=1) < 0)",
        "(np.diff(array, axis=1) < -2)",
        "test_bad_input.py::test_broken_config[scenario falls]",
    ),
    Fault(
        "the trial's settings replace those of a design",
        "config.py",
        "**{**known, **settings}",
        "**{**settings, **known}",
        "test_protocols.py::test_a_designs_own_table_comes_before_the_trials_settings",
    ),
    Fault(
        "hash of another text",
        "config.py",
        "hashlib.sha256(content)",
        "hashlib.sha256(path.name.encode())",
        "test_protocols.py::test_hash_is_that_of_the_file",
    ),
    Fault(
        "decision table follows other levels",
        "tasks/steps.py",
        "if int(decision.dose[0]) != level - 1:",
        "if False:",
        "test_protocols.py::test_decision_tables",
    ),
    Fault(
        "other targets: designs made for the protocol's own",
        "tasks/comparison.py",
        "_applicable(build_designs(protocol, rate), rate)",
        "_applicable(build_designs(protocol), rate)",
        "test_protocols.py::test_comparison_holds_together",
    ),
    Fault(
        "other targets: judged by the protocol's own",
        "tasks/comparison.py",
        "_standards(protocol.target.at(rate))",
        "_standards(protocol.target)",
        "test_protocols.py::test_other_targets_are_judged_by_their_own_mtd",
    ),
    Fault(
        "no level assumed above the highest one treated",
        "tasks/steps.py",
        "known if known is not None else highest + 1",
        "known if known is not None else highest",
        "test_three_plus_three.py::test_without_the_number_of_doses_one_more_is_assumed",
    ),
    Fault(
        "deviations: a stopped trial that goes on unsaid",
        BASE,
        "found += [] if stopped else",
        "found += [] if True else",
        "test_boin.py::test_deviations_from_the_design_are_said",
    ),
    Fault(
        "deviations: another level unsaid",
        BASE,
        "if dose != cohort.level - 1:",
        "if False:",
        "test_boin.py::test_deviations_from_the_design_are_said",
    ),
    Fault(
        "DLTs read as patients without",
        "trial.py",
        'letters.count("T")',
        'letters.count("N")',
        "test_three_plus_three.py::test_decisions_in_words",
    ),
    Fault(
        "outcomes one level too high",
        BASE,
        "(cohort.level - 1, cohort.n, cohort.dlts)",
        "(cohort.level % n_doses, cohort.n, cohort.dlts)",
        "test_three_plus_three.py::test_decisions_in_words",
    ),
    Fault(
        "isotonic means not weighted",
        "isotonic.py",
        "weights = np.where(tried, weights, 0.0)",
        "weights = np.where(tried, 1.0, 0.0)",
        "test_isotonic.py::test_agrees_with_scipy",
    ),
    # Trials that borrow
    Fault(
        "hierarchical: spread between trials without its scale",
        HIERARCHICAL,
        'tau = given["tau_scale"] * xp.exp(free["log_spread"])',
        'tau = xp.exp(free["log_spread"])',
        "test_hierarchical.py::test_shapes_by_hand",
    ),
    Fault(
        "hierarchical: half-normal without its Jacobian",
        HIERARCHICAL,
        "np.log(2 / np.pi) / 2 + value - ",
        "np.log(2 / np.pi) / 2 - ",
        "test_hierarchical.py::test_pymc_s_model_is_ours[fixed]",
    ),
    Fault(
        "hierarchical: weight of being exchangeable turned round",
        HIERARCHICAL,
        "math.logaddexp(math.log(between) + ex, math.log1p(-between) + own)",
        "math.logaddexp(math.log1p(-between) + ex, math.log(between) + own)",
        "test_hierarchical.py::test_pymc_s_model_is_ours[exnex]",
    ),
    Fault(
        "hierarchical: correlation between trials ignored",
        HIERARCHICAL,
        "first = rho[..., None] * z[..., 1] + xp.sqrt",
        "first = 0 * rho[..., None] * z[..., 1] + xp.sqrt",
        "test_hierarchical.py::test_shapes_by_hand",
    ),
    Fault(
        "hierarchical: a trial in another unit not noticed",
        HIERARCHICAL,
        "low, high = reach(trial.amounts)",
        "low, high = reach(self.trials[0].amounts)",
        "test_hierarchical.py::test_bad_models",
    ),
    Fault(
        "hierarchical: every trial drawn as exchangeable",
        BORROWED,
        ".random(self.p_ex.shape) < self.p_ex",
        ".random(self.p_ex.shape) < 2",
        "test_hierarchical.py::test_a_trial_is_drawn_as_exchangeable_as_often_as_it_is",
    ),
    Fault(
        "hierarchical: a new trial without spread",
        BORROWED,
        'population({**self._free, "z": z}, ',
        'population({**self._free, "z": 0 * z}, ',
        "test_hierarchical.py::test_a_new_trial_is_spread_about_mu",
    ),
    Fault(
        "hierarchical: what trials share not watched",
        BORROWED,
        "np.concatenate([super()._watched, self._shared], axis=-1)",
        "super()._watched",
        "test_hierarchical.py::test_what_is_shared_is_watched",
    ),
    # Calibration
    Fault(
        "calibration: bands of each point alone",
        "calibration/bands.py",
        "least, most = _tails(n_sets, low)",
        "least, most = _tails(n_sets, np.log(level))",
        "test_calibration.py::test_band_is_left_as_often_as_it_says",
    ),
    Fault(
        "calibration: draws not thinned",
        "calibration/engines.py",
        "MOST_DRAWS, SHARE_OF_ESS = 200, 0.5",
        "MOST_DRAWS, SHARE_OF_ESS = 200, 50.0",
        "test_calibration.py::test_ranks_among_draws_that_hang_together_are_uniform",
    ),
    Fault(
        "calibration: ties count as below",
        "calibration/engines.py",
        "below + rng.random(len(truth)) * (ties + 1)",
        "below + ties + rng.random(len(truth))",
        "test_calibration.py::test_ties_are_placed_at_random",
    ),
    Fault(
        "calibration: the likelihood not compared",
        "calibration/engines.py",
        "[theta, log_p - log_q, likelihood]",
        "[theta, log_p - log_q, 0 * likelihood]",
        "test_calibration.py::test_ignored_data_fail_by_the_likelihood_alone[power-quadrature]",
    ),
    Fault(
        "calibration: another grid's step in the second parameter",
        "calibration/engines.py",
        "step = float(np.diff(np.unique(line)).min())",
        "step = nodes.step / 4",
        "test_calibration.py::test_pit_values_against_a_plain_sum",
    ),
    Fault(
        "calibration: data of another dose",
        "calibration/engines.py",
        "rng.binomial(n, p)",
        "rng.binomial(n, p[::-1])",
        "test_calibration.py::test_data_follow_the_layout",
    ),
    Fault(
        "calibration: the seed without effect",
        "calibration/engines.py",
        "np.random.default_rng((seed, index, stream,",
        "np.random.default_rng((0, index, stream,",
        "test_calibration.py::test_results_do_not_depend_on_what_else_is_run",
    ),
    Fault(
        "calibration: level not shared among quantities",
        "calibration/sbc.py",
        "each = level / (len(labels) * len(names))",
        "each = level",
        "test_calibration.py::test_result_is_labelled_and_stamped",
    ),
    Fault(
        "calibration: nothing found again",
        "calibration/chunks.py",
        "if valid(rows, chunk):\n                return rows",
        "if False:\n                return rows",
        "test_calibration.py::test_a_killed_run_goes_on",
    ),
    Fault(
        "calibration: seeds share what is kept",
        "calibration/runner.py",
        "self.label, self.layout, self.seed\n",
        "self.label, self.layout\n",
        "test_calibration.py::test_a_killed_run_goes_on",
    ),
    Fault(
        "calibration: a process that died ends the run",
        "calibration/runner.py",
        "if attempt == PATIENCE:",
        "if attempt < PATIENCE:",
        "test_calibration.py::test_processes_give_the_same_bits_although_one_dies",
    ),
    Fault(
        "calibration: docstrings in the hash",
        "calibration/runner.py",
        'fields["body"] = node.body[1:]',
        'fields["body"] = node.body',
        "test_calibration.py::test_hash_sees_code_and_not_prose",
    ),
    # Made-up trials
    Fault(
        "synthesis: a made-up DLT with the probability of another dose",
        SYNTHESIS,
        "person.toxic < self.rates[level - 1]",
        "person.toxic < self.rates[0]",
        "test_synthesis.py::test_the_examples_are_made_by_their_commands",
    ),
    Fault(
        "synthesis: a patient enters when the data are complete and not when the trial is open",
        SYNTHESIS,
        "too_early = opens is None or opens > day",
        "too_early = False",
        "test_synthesis.py::test_the_examples_are_made_by_their_commands",
    ),
    Fault(
        "synthesis: infusions go on after a DLT",
        SYNTHESIS,
        "stops = min((at for at in (left, onset) if at is not None), default=math.inf)",
        "stops = math.inf if left is None else left",
        "test_synthesis.py::test_the_examples_are_made_by_their_commands",
    ),
    Fault(
        "synthesis: a replacement names nobody",
        SYNTHESIS,
        "replace(one, cohort=cohort, replaces=replaces)",
        "replace(one, cohort=cohort)",
        "test_synthesis.py::test_the_examples_are_made_by_their_commands",
    ),
    Fault(
        "synthesis: a trial under way that knows what is to come",
        SYNTHESIS,
        "return known if known.dlt or known.discontinued or end <= until else replace(known, dlt=None)",
        "return replace(known, dlt=one.dlt)",
        "test_synthesis.py::test_a_trial_under_way_is_what_was_known_then",
    ),
    Fault(
        "synthesis: a made-up stagger that is kept",
        SYNTHESIS,
        "return opens is not None and opens <= day",
        "return False",
        "test_synthesis.py::test_what_deviates_is_what_is_found",
    ),
    Fault(
        "writing: transport files with the time of writing",
        "intake/writing.py",
        "path.write_bytes(head + content[_HEAD:])",
        "path.write_bytes(content)",
        "test_synthesis.py::test_transport_files_have_the_day_of_the_data",
    ),
    Fault(
        "writing: no disposition of those who left",
        "intake/writing.py",
        "    if day is not None:\n        yield _left(one, words, day)\n",
        "    if words == _COMPLETED:\n        yield _left(one, words, day)\n",
        "test_synthesis.py::test_every_file_reads_back_to_the_same_trial",
    ),
    Fault(
        "intake: cohorts that the data give are not read",
        "intake/reading.py",
        "cohorts = cohorts_of(found, draft)",
        "cohorts = {}",
        "test_intake.py::test_cohorts_as_given",
    ),
    # Files
    Fault(
        "formulas in CSV not escaped",
        PROVENANCE,
        'return f"\'{cell}" if isinstance',
        "return cell if isinstance",
        "test_protocols.py::test_formulas_in_names_are_text_in_csv",
    ),
    Fault(
        "a picture's over and under change places",
        PLOTS + "posterior.py",
        'for name in ("over", "target", "under")}\n    looks',
        'for name in ("under", "target", "over")}\n    looks',
        "test_plots.py::test_intervals_show_the_three_probabilities",
    ),
    Fault(
        "a picture reads mathematics into a subject",
        PLOTS + "style.py",
        "setter(np.asarray(at), list(labels), parse_math=False, **look)",
        "setter(np.asarray(at), list(labels), parse_math=True, **look)",
        "test_plots.py::test_hostile_text_is_drawn_as_text",
    ),
    Fault(
        "a picture draws what turns the direction of writing",
        PLOTS + "style.py",
        "c if c.isprintable() else",
        "c if True else",
        "test_plots.py::test_hostile_text_is_drawn_as_text",
    ),
    Fault(
        "ids of two pictures on a page are the same",
        PLOTS + "export.py",
        'f"{own}-{place:x}"',
        'f"id-{place:x}"',
        "test_plots.py::test_svg_says_what_it_shows_and_leaks_nothing",
    ),
    Fault(
        "a picture's style sheet reaches the rest of the page",
        PLOTS + "export.py",
        'if child.tag in (f"{{{_SVG}}}style", f"{{{_SVG}}}metadata"):',
        'if child.tag == f"{{{_SVG}}}metadata":',
        "test_plots.py::test_svg_says_what_it_shows_and_leaks_nothing",
    ),
    Fault(
        "a picture takes the user's settings",
        PLOTS + "style.py",
        'return style.context(["default", LOOK])',
        "return style.context([LOOK])",
        "test_plots.py::test_the_same_bytes_in_another_process_and_under_other_settings",
    ),
    Fault(
        "the curve is drawn unbroken beyond the doses tried",
        PLOTS + "posterior.py",
        "(tried.max() if len(tried) else 0.0)",
        "amounts.max()",
        "test_plots.py::test_beyond_the_highest_dose_tried_the_curve_is_broken",
    ),
    Fault(
        "a choice above the true MTD looks like one below",
        PLOTS + "comparison.py",
        'if level > (0 if mtd == "none" else int(mtd)) else',
        'if level > (9 if mtd == "none" else int(mtd)) else',
        "test_plots.py::test_what_is_named_above_the_mtd_is_hatched",
    ),
    Fault(
        "a pending patient is drawn as one without a DLT",
        PLOTS + "conduct.py",
        '"P": "pending"',
        '"P": "complete"',
        "test_plots.py::test_trial_patient_by_patient",
    ),
    Fault(
        "the grid stays where the boundary says de-escalate",
        PLOTS + "conduct.py",
        'else "D" if k >= down else',
        'else "D" if k > down else',
        "test_plots.py::test_decision_grid_is_the_boundary_table",
    ),
    Fault(
        "draws that cannot be trusted are not said to be so on a picture",
        PLOTS + "posterior.py",
        "*(() if self.problems else sentences), self.trust,",
        "*sentences,",
        "test_plots.py::test_sampled_figures_show_error_and_diagnostics",
    ),
    Fault(
        "the prior predictive counts each order of outcomes once",
        "models/elicited.py",
        "comb(total, k) * (weight",
        "1 * (weight",
        "test_plots.py::test_prior_predictive_is_the_evidence_of_first_cohorts",
    ),
    Fault(
        "quantiles at dose amounts take the amounts for coordinates",
        "tasks/analysis.py",
        "coordinates = posterior.curve.coordinate(doses)",
        "coordinates = doses",
        "test_plots.py::test_quantiles_at_amounts_are_those_of_the_levels",
    ),
    # What next with patients, and the committee's decisions
    Fault(
        "a cohort that the committee opened is not filled",
        PROPOSALS,
        'or own.action == "fill":',
        "or True:",
        "test_next_dose.py::test_a_cohort_that_the_committee_opened_is_filled",
    ),
    Fault(
        "the committee's decision binds every design",
        NEXT,
        "opened = {binding: _opened_by(known, evaluated)}",
        "opened = dict.fromkeys(designs, _opened_by(known, evaluated))",
        "test_next_dose.py::test_a_cohort_that_the_committee_opened_is_filled",
    ),
    Fault(
        "a decision on an earlier cohort opens the next",
        NEXT,
        "if one.as_of > before",
        "if one.as_of >= before",
        "test_next_dose.py::test_a_decision_on_the_cohort_before_opens_none",
    ),
    Fault(
        "the first decision counts, not the last",
        NEXT,
        "for one in reversed(known) if one.as_of",
        "for one in known if one.as_of",
        "test_next_dose.py::test_which_decision_opens_a_cohort",
    ),
    Fault(
        "a decision for another level opens a cohort",
        NEXT,
        'last.decision != f"level {latest.level}"',
        'not last.decision.startswith("level")',
        "test_next_dose.py::test_which_decision_opens_a_cohort",
    ),
    Fault(
        "a DLT after the decision changes nothing",
        NEXT,
        "return None if with_dlt - last.known_dlts or reopened else last",
        "return last",
        "test_next_dose.py::test_a_dlt_that_the_committee_did_not_know_of_ends_its_decision",
    ),
    Fault(
        "what would follow forgets the DLTs of the next patients",
        PROPOSALS,
        "Cohort(proposal.level or 0, proposal.size, dlts)",
        "Cohort(proposal.level or 0, proposal.size, 0)",
        "test_next_dose_model_based.py::test_a_decision_now_is_that_of_every_completion",
    ),
    Fault(
        "pending patients stand in the upper limit",
        NEXT,
        'for which in (("dlt",), ("dlt", "complete"))',
        'for which in (("dlt",), ("dlt", "complete", "pending"))',
        "test_next_dose.py::test_next_prints_the_answer_first",
    ),
    Fault(
        "paths do not say that the MTD is not reached",
        PATHS,
        '"yes" if beyond and d < 0',
        '"yes" if not beyond and d < 0',
        "test_next_dose.py::test_paths_two_cohorts_on",
    ),
    Fault(
        "a reason by its code",
        BASE,
        "return reason if reason in _MOVES else self.explain(reason)",
        "return reason",
        "test_next_dose.py::test_no_code_of_a_reason_is_printed_where_words_are_meant",
    ),
    Fault(
        "a deviation by its code",
        BASE,
        "the design had stopped after cohort {done}: {self.explain(reason)}",
        "the design had stopped after cohort {done}: {reason}",
        "test_next_dose.py::test_no_code_of_a_reason_is_printed_where_words_are_meant",
    ),
    Fault(
        "deviations from designs that do not bind",
        "tables.py",
        'tables["findings"].loc[~tables["findings"]["rule"].isin(others)]',
        'tables["findings"]',
        "test_next_dose.py::test_deviations_that_are_shown_are_those_that_are_counted",
    ),
    Fault(
        "who is taken as followed up goes unsaid",
        JUDGING,
        "if one.subject in without and found.kind in hang]",
        "if False]",
        "test_evaluability.py::test_what_is_left_out_or_assumed_is_named",
    ),
    Fault(
        "an empty last contact beside others is taken as followed up",
        JUDGING,
        "one if one.last_contact else",
        "one if True else",
        "test_evaluability.py::test_an_empty_last_contact_beside_others_is_not_taken_as_followed_up",
    ),
    Fault(
        "a grave related event without an infusion is only listed",
        "intake/entries.py",
        "    if is_related:\n        found.refuse(related,",
        "    if False:\n        found.refuse(related,",
        "test_intake.py::test_a_grave_related_event_needs_an_infusion",
    ),
    Fault(
        "a formula in the row of who was not infused is not seen",
        "intake/plain.py",
        "            for column in (*_OPTIONAL, *_DIED, *_EVALUABLE, *_REASONS, *_LEFT_TREATMENT, *_ADMINISTERED):",
        "            for column in ():",
        "test_intake.py::test_broken_workbooks",
    ),
    Fault(
        "a cohort is filled whatever further DLTs there are",
        PROPOSALS,
        "return True, [step if gone else",
        "return True, [step if False else",
        "test_next_dose.py::test_further_dlts_that_end_a_cohort_are_shown",
    ),
    Fault(
        "a DLT at a dose of none of the levels does not keep anybody waiting",
        "tasks/holds.py",
        "if one.has_dlt and one.subject not in seen)",
        "if False)",
        "test_next_dose.py::test_who_is_in_no_count_is_named_first",
    ),
    Fault(
        "a patient at a dose of none of the levels hides the sentinel",
        CONDUCT,
        "else own[:1])",
        "else own[:1] if not near else [])",
        "test_conduct.py::test_a_dose_of_none_of_the_levels_is_waited_for",
    ),
    Fault(
        "who left shows that last contacts are kept",
        JUDGING,
        "for one in infused if one.discontinued is None)",
        "for one in infused)",
        "test_evaluability.py::test_an_empty_last_contact_beside_others_is_not_taken_as_followed_up",
    ),
    Fault(
        "a decision is held against the patients of its own day",
        NEXT,
        "if one.as_of < other.first <= until)",
        "if one.as_of <= other.first <= until)",
        "test_report.py::test_what_followed_a_decision_is_shown",
    ),
    Fault(
        "nobody waits for a patient at a dose of none of the levels",
        CONDUCT,
        "near=status.level or above",
        "near=status.level or 0",
        "test_conduct.py::test_a_dose_of_none_of_the_levels_is_waited_for",
    ),
    Fault(
        "a dose above the top one is near no level",
        CONDUCT,
        "if patient.amount <= amount), len(amounts))",
        "if patient.amount <= amount), 0)",
        "test_conduct.py::test_a_dose_of_none_of_the_levels_is_waited_for",
    ),
    Fault(
        "the last of those who start in turn is a stagger too early",
        CONDUCT,
        "(size - 1) * stagger.days",
        "(size - 2) * stagger.days",
        "test_conduct.py::test_those_after_the_next_patient_start_in_turn",
    ),
    Fault(
        "the 3+3 shows doses two levels up as open",
        THREE,
        "open_ = admissible & (index <= highest_open[:, None])",
        "open_ = admissible",
        "test_next_dose.py::test_what_is_open_is_one_level_up_at_most",
    ),
    Fault(
        "BOIN shows doses two levels up as open",
        BOIN,
        "open_ = admissible & (np.arange(states.n_doses) <= (states.last + (move > 0))[:, None])",
        "open_ = admissible",
        "test_next_dose.py::test_what_is_open_is_one_level_up_at_most",
    ),
    Fault(
        "a quantile outside the values first looked between is not found",
        EXACT,
        "if near is not None and ((at_low >= 0) | (at_high <= 0)).any():",
        "if False:",
        "test_posterior.py::test_roots_outside_the_values_first_looked_between",
    ),
    Fault(
        "the notes that say most are left out",
        "tables.py",
        "notes[more:]",
        "notes[:_NOTES]",
        "test_next_dose.py::test_of_many_notes_some_are_shown",
    ),
    Fault(
        "designs with other reasons in one row",
        "tables.py",
        'groupby(["next", "admissible", "reason"], sort=False)',
        'groupby(["next"], sort=False)',
        "test_next_dose.py::test_designs_that_answer_alike_share_a_row",
    ),
    Fault(
        "a cohort is not filled",
        PROPOSALS,
        "if not _begun(asked, evaluated, part[0]):",
        "if True:",
        "test_next_dose.py::test_boin_and_crm_at_some_dates",
    ),
    Fault(
        "a design fills the cohort of another",
        PROPOSALS,
        "if not _begun(asked, evaluated, part[0]):",
        "if False:",
        "test_next_dose.py::test_a_cohort_is_filled_by_the_design_that_began_it_only",
    ),
    Fault(
        "who fills a cohort that is left is waited for",
        PROPOSALS,
        "    if all(left):",
        "    if all(left) and _agree([end for each in ends for end in each]):",
        "test_next_dose.py::test_nobody_else_is_treated_where_it_makes_no_difference",
    ),
    Fault(
        "a stop whatever the third outcome waits for it",
        PROPOSALS,
        "and _agree(flat):",
        "and not flat:",
        "test_next_dose.py::test_a_safety_rule_that_needs_three_patients_does_not_wait_for_the_third",
    ),
    Fault(
        "the first completion decides",
        PROPOSALS,
        "    if not _agree(steps):",
        "    if not steps:",
        "test_next_dose.py::test_completions_by_hand",
    ),
    Fault(
        "waits for the first of the pending windows",
        PROPOSALS,
        "max(one.end for one in pending)",
        "min(one.end for one in pending)",
        "test_next_dose.py::test_three_infusions_date_by_date",
    ),
    Fault(
        "a date named while data are wanting",
        PROPOSALS,
        "until = None if unknown else",
        "until =",
        "test_next_dose.py::test_the_reason_names_whose_data_are_wanting",
    ),
    Fault(
        "filled up to one too few",
        PROPOSALS,
        "[0]) - counted)",
        "[0]) - counted - 1)",
        "test_next_dose.py::test_three_infusions_date_by_date",
    ),
    Fault(
        "the next patients forget who is pending",
        NEXT,
        "ways = read[name].completions()",
        "ways = list(read[name].completions())[:1]",
        "test_next_dose.py::test_what_would_follow_by_hand",
    ),
    Fault(
        "the MTD not reached goes unsaid",
        "tasks/steps.py",
        "{', not reached (that level or above)' if not_reached else ''}",
        "",
        "test_next_dose.py::test_the_3_plus_3_date_by_date[the top dose is tolerated]",
    ),
    Fault(
        "the option for the binding design is not read",
        NEXT,
        "design if design is not None else protocol.binding or next(iter(designs))",
        "protocol.binding or next(iter(designs))",
        "test_next_dose.py::test_which_design_binds",
    ),
    Fault(
        "decisions of later days shown",
        NEXT,
        "[one for one in decided if one.as_of <= evaluated.as_of]",
        "decided",
        "test_next_dose.py::test_an_override_shows_from_then_on",
    ),
    Fault(
        "the group of the 3+3 does not bind",
        NEXT,
        "(None if designs[binding].bound_by_group else protocol.limits.max_n)",
        "protocol.limits.max_n",
        "test_next_dose.py::test_a_cohort_is_filled_by_the_design_that_began_it_only",
    ),
    Fault(
        "an override passes for agreement",
        NEXT,
        'override="no" if self._agrees(decision) else "yes"',
        'override="no" if self._agrees(decision) or self.proposal.level else "yes"',
        "test_next_dose.py::test_what_agrees_with_the_recommendation",
    ),
    Fault(
        "decisions on another protocol shown",
        DECISIONS,
        " if one.protocol == protocol]",
        "]",
        "test_next_dose.py::test_an_override_shows_from_then_on",
    ),
    Fault(
        "a formula in the reason",
        PROVENANCE,
        'return f"\'{cell}" if isinstance(cell, str) and _LIKE_A_FORMULA.match(cell) else cell',
        "return cell",
        "test_next_dose.py::test_decisions_are_only_added",
    ),
    Fault(
        "line ends of the file of decisions changed",
        PROVENANCE,
        '(old or b"") + text',
        '(old or b"").replace(b"\\r\\n", b"\\n") + text',
        "test_next_dose.py::test_what_another_program_saved_is_kept",
    ),
    Fault(
        "a row of decisions run together with the last",
        PROVENANCE,
        '    elif not old.endswith(b"\\n"):',
        "    elif not old:",
        "test_next_dose.py::test_what_another_program_saved_is_kept",
    ),
    Fault(
        "a decision dated before the last one",
        PROVENANCE,
        "before > row.as_of",
        "not before",
        "test_next_dose.py::test_nothing_is_recorded_before_what_is_on_file",
    ),
    Fault(
        "a cut file of decisions taken as whole",
        PROVENANCE,
        'newline=""), strict=True)',
        'newline=""), strict=False)',
        "test_next_dose.py::test_a_damaged_file_is_left_alone",
    ),
    Fault(
        "a level that the protocol does not have",
        DECISIONS,
        "> len(amounts)",
        "> len(amounts) + 99",
        "test_next_dose.py::test_decisions_of_no_known_form",
    ),
    Fault(
        "rows of later events counted among the patients'",
        JUDGING,
        "if all(day > cut for day in one.infusions)]",
        "if not one.infusions]",
        "test_next_dose.py::test_rows_of_who_comes_later_are_listed_with_their_events",
    ),
    Fault(
        "reports: text is not escaped",
        "reports/html.py",
        "autoescape=True",
        "autoescape=False",
        "test_report.py::test_a_new_section_appears_and_an_unknown_block_is_an_error",
    ),
    Fault(
        "reports: characters that nobody sees are written as they are",
        "reports/content.py",
        "words if words.isprintable() else",
        "words if words else",
        "test_report.py::test_characters_that_nobody_sees_are_named",
    ),
    Fault(
        "reports: an introduction is left on the page before its table",
        "reports/report.typ",
        "if leads { block(sticky: true,",
        "if leads { block(sticky: false,",
        "test_report_files.py::test_what_introduces_a_table_or_picture_is_on_its_page",
    ),
    Fault(
        "reports: a range of DLTs ends where it begins",
        "reports/design_report.py",
        'groups["dlts"].last()',
        'groups["dlts"].first()',
        "test_report.py::test_every_section_is_there",
    ),
    Fault(
        "reports: rows of a decision table that are not neighbours are made one",
        "reports/design_report.py",
        "(table[same] != table[same].shift()).any(axis=1)",
        "(table[same[:2]] != table[same[:2]].shift()).any(axis=1)",
        "test_report.py::test_every_section_is_there",
    ),
    Fault(
        "reports: what a kindred design leaves out is not said",
        "reports/pieces.py",
        "rule=one) for one in dropped]",
        "rule=one) for one in dropped[1:]]",
        "test_report.py::test_rules_told_by_those_of_another_design_are_its_rules",
    ),
    Fault(
        "reports: an override is told as a decision like any other",
        "reports/conduct_report.py",
        '"answers.last_override" if last.override == "yes"',
        '"answers.last_override" if last.override == "no"',
        "test_report.py::test_overrides_of_the_committee_are_shown",
    ),
    Fault(
        "reports: limits of a trial with patients are said of a planned one",
        "reports/design_report.py",
        'limits(plan.case, "planned")',
        'limits(plan.case, "conduct")',
        "test_report.py::test_limits_are_those_of_the_report",
    ),
    Fault(
        "conduct: every rule is taken for the record's",
        "tasks/next_dose.py",
        "if SETTINGS.get(one.rule) in assumed}",
        "if SETTINGS.get(one.rule) in ()}",
        "test_report.py::test_a_deviation_from_an_assumed_rule_says_so",
    ),
    Fault(
        "conduct: every rule is taken for assumed",
        "tasks/next_dose.py",
        "if SETTINGS.get(one.rule) in assumed}",
        "if SETTINGS.get(one.rule)}",
        "test_report.py::test_a_deviation_from_an_assumed_rule_says_so",
    ),
    Fault(
        "plots: who was given another dose opens a cohort",
        "plots/conduct.py",
        "lambda before, here: here or before",
        "lambda before, here: here",
        "test_plots.py::test_a_patient_at_a_dose_of_none_of_the_levels",
    ),
    Fault(
        "plots: an MTD that was not reached looks as any other",
        "plots/conduct.py",
        '"+" * bool(named[2])',
        '"+" * 0',
        "test_plots.py::test_decision_grid_of_a_climb",
    ),
    Fault(
        "decisions: an MTD that was not reached is named as any other",
        "tasks/steps.py",
        "', not reached' * bool(selection.not_reached[0])",
        "', not reached' * 0",
        "test_protocols.py::test_decision_tables",
    ),
    Fault(
        "priors: a CRM's prior is made wider where it is to be tighter",
        "designs/crm.py",
        "prior_sd=scale * self.prior_sd",
        "prior_sd=self.prior_sd / scale",
        "test_protocols.py::test_designs_with_tighter_priors_are_those_of_a_config_that_has_them",
    ),
    Fault(
        "priors: of a BLRM's prior only log alpha's standard deviation is scaled",
        "designs/blrm.py",
        "tuple(scale * sd for sd in one.sd)",
        "(scale * one.sd[0], one.sd[1])",
        "test_protocols.py::test_designs_with_tighter_priors_are_those_of_a_config_that_has_them",
    ),
    Fault(
        "reports: the row of the prior as it is has another design's figures",
        "reports/design_report.py",
        'plan.values["correct"][names.index(name)]',
        'plan.values["correct"][0]',
        "test_report.py::test_designs_with_other_priors_stand_in_the_design_report",
    ),
    Fault(
        "reports: who is in no count is shown as any other",
        "reports/conduct_report.py",
        "    if found.alarms:\n",
        "    if not found.alarms:\n",
        "test_report.py::test_who_is_in_no_count_stands_at_the_top",
    ),
    Fault(
        "decisions: the first patient after a decision stands for those treated otherwise",
        "tasks/next_dose.py",
        "first = (otherwise or later)[0]",
        "first = later[0]",
        "test_next_dose.py::test_who_is_treated_otherwise_after_a_decision_is_named",
    ),
    Fault(
        "levels in the column of doses leave everybody uncounted",
        NEXT,
        "and given <= set(levels):",
        "and given < set():",
        "test_next_dose.py::test_levels_in_the_column_of_doses_are_refused",
    ),
    Fault(
        "reports: P(over) where patients are pending is that of the level below",
        "reports/conduct_report.py",
        "'p_over', highest - 1)",
        "'p_over', highest - 2)",
        "test_standing.py::test_the_report_gives_p_overdose_where_patients_are_pending",
    ),
    Fault(
        "reports: P(over) of the level below on the first page",
        "reports/conduct_report.py",
        '_share(summary, "p_over", place - 1)',
        '_share(summary, "p_over", max(place - 2, 0))',
        "test_report.py::test_first_page_answers_what_next_how_safe_how_sure",
    ),
    Fault(
        "reports: what designs that do not bind would have done counts as a deviation",
        "reports/conduct_report.py",
        "len(found.deviations.get(found.binding, ()))",
        "sum(map(len, found.deviations.values()))",
        "test_report.py::test_first_page_answers_what_next_how_safe_how_sure",
    ),
    Fault(
        "reports: deviations of conduct are not counted",
        "reports/conduct_report.py",
        "left = len(found.findings) +",
        "left = 0 * len(found.findings) +",
        "test_report.py::test_deviations_of_conduct_and_of_the_binding_design_are_counted",
    ),
    Fault(
        "reports: prior and posterior change places",
        "reports/conduct_report.py",
        'for name in ("prior_p_over", "p_over", "prior_mean", "mean")]',
        'for name in ("p_over", "prior_p_over", "prior_mean", "mean")]',
        "test_report.py::test_posterior_and_predictions_are_those_of_the_analysis",
    ),
    Fault(
        "reports: the 10th percentile of the sample size is called the 5th",
        "reports/design_report.py",
        "(0.05 - 1e-12, 0.95 - 1e-12)",
        "(0.10 - 1e-12, 0.95 - 1e-12)",
        "test_report.py::test_sample_sizes_are_percentiles_of_the_distribution",
    ),
    Fault(
        "reports: what is assumed is said to be in the record",
        "reports/design_report.py",
        'say("protocol.record") if reason is None else',
        'say("protocol.record") if reason is not None or key else',
        "test_report.py::test_every_section_is_there",
    ),
    Fault(
        "reports: a data cut that is assumed is not said to be",
        "reports/conduct_report.py",
        'if attrs["as_of_assumed"] else',
        'if not attrs["as_of"] else',
        "test_report.py::test_the_date_is_that_of_the_data_or_of_the_version",
    ),
    Fault(
        "reports: decisions have the reasons of the code",
        "reports/pieces.py",
        """get(name, name.replace("_", " "))""",
        """get("", name)""",
        "test_report.py::test_every_section_is_there",
    ),
    Fault(
        "reports: typst reads texts as markup",
        "reports/report.typ",
        "run.text.join(h(0.01pt))",
        'eval(run.text.join(), mode: "markup")',
        "test_report_files.py::test_hostile_texts_are_only_shown",
    ),
    Fault(
        "reports: the PDF drops the first row of a table",
        "reports/report.typ",
        "..one.rows.map(row => cells",
        "..one.rows.slice(1).map(row => cells",
        "test_report_files.py::test_tables_of_the_three_formats_are_those_of_the_content",
    ),
    Fault(
        "reports: nobody hears of a character that no font has",
        "reports/pdf.py",
        "if plain.missing:",
        "if not plain:",
        "test_report_files.py::test_a_character_that_no_font_has_is_named",
    ),
    Fault(
        "reports: the command keeps warnings to itself",
        "cli.py",
        """_say(f"Warning: {one.message}.")""",
        "str(one)",
        "test_report_files.py::test_the_command_passes_a_warning_on",
    ),
    Fault(
        "reports: the PDF has no language",
        "reports/report.typ",
        "lang: doc.language,",
        'lang: "zz",',
        "test_report_files.py::test_the_pdf_is_tagged_and_has_title_language_date_and_bookmarks",
    ),
    Fault(
        "reports: pictures of the Word file have no words",
        "reports/docx.py",
        """about.set("descr", one.alt)""",
        """about.set("descr", "")""",
        "test_report_files.py::test_pictures_bring_their_alternative_text",
    ),
    Fault(
        "reports: the Word file is of the day on which it is made",
        "reports/docx.py",
        "about.created = about.modified = day",
        "about.created = about.modified = datetime.now()",
        "test_report_files.py::test_the_word_file_has_styles_headers_captions_and_properties",
    ),
    Fault(
        "reports: the head of a table stands on its first page only",
        "reports/docx.py",
        """look.append(_element("w:tblHeader"))""",
        "pass",
        "test_report_files.py::test_the_word_file_has_styles_headers_captions_and_properties",
    ),
    Fault(
        "reports: the Word file's directory has the clock's time",
        "reports/docx.py",
        "zipfile.ZipInfo(name, stamp)",
        "zipfile.ZipInfo(name, datetime.now().timetuple()[:6])",
        "test_report_files.py::test_the_same_bytes_in_two_processes",
    ),
    Fault(
        "benchmarks: a comparison calls one in ten changed",
        CHANGES,
        "LEVEL = 0.01",
        "LEVEL = 0.1",
        "test_benchmarks.py::test_the_error_of_the_rule[5-5-2]",
    ),
    Fault(
        "benchmarks: a comparison tests one side only",
        CHANGES,
        "return min(1.0, 2 * max(each))",
        "return min(1.0, max(each))",
        "test_benchmarks.py::test_the_error_of_the_rule[5-5-2]",
    ),
    Fault(
        "benchmarks: the machine's own slowness counts as a change",
        CHANGES,
        "return min(1.0, 2 * max(each))",
        "return min(1.0, 2 * each[0])",
        "test_benchmarks.py::test_what_a_slower_machine_explains",
    ),
    Fault(
        "benchmarks: a faster machine makes noise a change",
        CHANGES,
        "return min(1.0, 2 * max(each))",
        "return min(1.0, 2 * each[1])",
        "test_benchmarks.py::test_what_a_slower_machine_explains",
    ),
    Fault(
        "benchmarks: a slower machine is held against a speed",
        CHANGES,
        '** (1 if wanted[name] == "less" else -1)',
        "** 1",
        "test_benchmarks.py::test_what_a_slower_machine_explains",
    ),
    Fault(
        "benchmarks: more is worse",
        CHANGES,
        '(self.new < self.old) == (self.better == "less")',
        "self.new < self.old",
        "test_benchmarks.py::test_a_change_beyond_the_noise",
    ),
    Fault(
        "benchmarks: three runs are enough",
        CHANGES,
        "> LEVEL:\n            return None",
        "> 1:\n            return None",
        "test_benchmarks.py::test_too_few_runs_and_none",
    ),
    Fault(
        "benchmarks: rows of one file only go unsaid",
        CHANGES,
        'if row["name"] not in names',
        "if not names",
        "test_benchmarks.py::test_only_what_both_have_is_compared",
    ),
    Fault(
        "benchmarks: results of two studies are compared",
        CHANGES,
        'if old["study"] != new["study"]:',
        'if not old["study"]:',
        "test_benchmarks.py::test_files_that_cannot_be_compared",
    ),
    Fault(
        "benchmarks: every file is a study",
        FRONT,
        'target.id == "STUDY"',
        "target.id.isupper()",
        "test_benchmarks.py::test_a_study_is_found_by_its_file",
    ),
    Fault(
        "benchmarks: an unknown study is no error",
        FRONT,
        "file=sys.stderr)\n        return 2",
        "file=sys.stderr)\n        return 0",
        "test_benchmarks.py::test_no_such_study",
    ),
    Fault(
        "benchmarks: a study overwrites without --force",
        STUDY,
        "options.force or self.renewed",
        "True",
        "test_benchmarks.py::test_files_that_are_there_stay",
    ),
    Fault(
        "benchmarks: an interrupted study ends well",
        STUDY,
        "return 130",
        "return 0",
        "test_benchmarks.py::test_interrupted",
    ),
    Fault(
        "benchmarks: a failed study ends well",
        STUDY,
        "return int(self.failed(rows))",
        "return 0",
        "test_benchmarks.py::test_the_exit_status_of_a_failure",
    ),
    Fault(
        "benchmarks: a result tells where its files lie",
        STUDY,
        'key != "force" and not isinstance(value, Path)',
        'key != "force"',
        "test_benchmarks.py::test_what_a_study_saves",
    ),
    Fault(
        "benchmarks: R answers for another number of trials",
        PEERS,
        "int(done) == trials and",
        "",
        "test_benchmarks.py::test_another_answer_is_none",
    ),
    Fault(
        "benchmarks: R's selections need not sum to one",
        PEERS,
        "abs(selected.sum() - 1) < 1e-9",
        "selected.sum() > 0",
        "test_benchmarks.py::test_another_answer_is_none",
    ),
    Fault(
        "benchmarks: lines after R's answer are passed over",
        PEERS,
        "[one[0] for one in found] != list(KEYS)",
        "[one[0] for one in found][:5] != list(KEYS)",
        "test_benchmarks.py::test_another_answer_is_none",
    ),
    Fault(
        "benchmarks: what R lacks is a failure",
        PEERS,
        'lines[1].startswith("missing,")',
        'lines[1].startswith("gone,")',
        "test_benchmarks.py::test_another_answer_is_none",
    ),
    Fault(
        "benchmarks: R's error in standard errors of a single trial",
        PEERS,
        "np.maximum(exact * (1 - exact), 0) / trials",
        "np.maximum(exact * (1 - exact), 0)",
        "test_benchmarks.py::test_what_r_is_asked_and_what_is_made_of_its_answer",
    ),
    Fault(
        "docs: a page whose code warns is built",
        "../docs/blocks.py",
        'warnings.simplefilter("error")',
        'warnings.simplefilter("ignore")',
        "test_docs.py::test_a_block_that_does_not_run_is_named",
    ),
    Fault(
        "docs: a command that fails is shown as one that does not",
        "../docs/blocks.py",
        "if result.exit_code != (2 if fails else 0):",
        "if result.exit_code not in (0, 2):",
        "test_docs.py::test_a_block_that_does_not_run_is_named",
    ),
    Fault(
        "docs: the value of a hidden block is hidden too",
        "../docs/blocks.py",
        'if "quiet" in block.options:',
        'if {"quiet", "hide"} & set(block.options):',
        "test_docs.py::test_a_page_shows_what_its_blocks_gave",
    ),
    Fault(
        "docs: the page of validation keeps the smallest difference",
        "../docs/validation.py",
        "max(self.largest.get(allowed, 0.0), difference)",
        "min(self.largest.get(allowed, 0.0), difference)",
        "test_docs.py::test_what_the_validation_page_notes",
    ),
    Fault(
        "docs: the page of a config leaves out the tables within a table",
        "../docs/config_keys.py",
        "if inner is not None:",
        "if inner is None and value:",
        "test_docs.py::test_every_public_name_and_setting_has_its_place",
    ),
    Fault(
        "display: text is not escaped",
        "display.py",
        "new_line.join(escape(line.strip()) for line",
        "new_line.join(line.strip() for line",
        "test_display.py::test_what_comes_from_data_is_text",
    ),
    Fault(
        "display: what is counted is not escaped in a bar",
        "display.py",
        "{total:,} {escape(what)}'",
        "{total:,} {what}'",
        "test_display.py::test_names_of_scenarios_layouts_and_rules_are_text",
    ),
    Fault(
        "display: tables are folded as on a terminal",
        "tables.py",
        "    return _TABLE_WIDTH if _UNFOLDED.get() else max",
        "    return max",
        "test_display.py::test_tables_are_not_folded_as_on_a_terminal",
    ),
    Fault(
        "display: the terminal stays unfolded after something was shown",
        "tables.py",
        "        _UNFOLDED.reset(token)",
        "        pass",
        "test_display.py::test_tables_are_not_folded_as_on_a_terminal",
    ),
    Fault(
        "display: what may be looked up is not folded away",
        "display.py",
        "    if isinstance(part, Aside):\n        title, *rest",
        "    if isinstance(part, str):\n        title, *rest",
        "test_display.py::test_a_comparison_shows_the_printed_figures",
    ),
    Fault(
        "display: a bar stays when all is done",
        "display.py",
        '    if done >= total:\n        return ""\n    return f\'<progress',
        '    if done > total:\n        return ""\n    return f\'<progress',
        "test_display.py::test_progress_is_a_bar_in_a_notebook_and_goes",
    ),
    Fault(
        "display: progress is written where nobody sees it",
        "display.py",
        "    if not sys.stderr.isatty():\n        return None\n\n    def show(done",
        '    if not hasattr(sys.stderr, "isatty"):\n        return None\n\n    def show(done',
        "test_display.py::test_progress_is_a_line_on_a_terminal_and_nothing_elsewhere",
    ),
    Fault(
        "display: a failed calibration is said to have passed",
        "display.py",
        "bool(one['passed'].all()) else",
        "bool(one['passed'].size) else",
        "test_display.py::test_a_failed_calibration_says_so",
    ),
    Fault(
        "display: deviations of a trial are not shown",
        "display.py",
        "*_points(step.deviations)] if step.deviations else []",
        "] if step.deviations else []",
        "test_display.py::test_decisions_show_action_and_reason",
    ),
    Fault(
        "display: a long table is cut without a word",
        "display.py",
        'are not shown.")] if rows > _ROWS else []',
        'are not shown.")] if rows < 0 else []',
        "test_display.py::test_long_tables_end",
    ),
    Fault(
        "sensitivity: the slope is varied by the spread of the slope",
        "tasks/analysis.py",
        'update={"mean": (one.mean[0], one.mean[1] + shift)}',
        'update={"mean": (one.mean[0], one.mean[1] + shift * one.sd[0])}',
        "test_elicited.py::test_sensitivity_varies_one_thing_at_a_time",
    ),
    Fault(
        "display: tables read dimensions by their places",
        "results.py",
        'return one.transpose(*_ORDER, ..., missing_dims="ignore")',
        "return one",
        "test_display.py::test_the_order_of_dimensions_does_not_change_what_is_shown",
    ),
    Fault(
        "display: a table of some of the doses",
        "display.py",
        ' and one.sizes["choice"] == one.sizes["dose"] + 1',
        "",
        "test_display.py::test_what_the_tables_cannot_show_is_shown_as_xarray_shows_it",
    ),
    Fault(
        "display: pydantic's methods complete with Tab",
        "_check.py",
        " - {*dir(BaseModel)})",
        ")",
        "test_display.py::test_tab_completes_what_is_of_use",
    ),
    Fault(
        "a design may name a dose that is not there",
        "designs/base.py",
        "dose.min() >= NO_DOSE and dose.max() < n_doses",
        "dose.min() >= NO_DOSE and dose.max() <= n_doses",
        "test_plain.py::test_answers_that_are_no_dose_and_no_reason_are_errors",
    ),
    Fault(
        "a stop may have a reason that is none",
        "designs/base.py",
        "reason.max() < len(self.reasons)",
        "reason.max() < 1000",
        "test_plain.py::test_answers_that_are_no_dose_and_no_reason_are_errors",
    ),
    Fault(
        "display: dir shows what is not public",
        "__init__.py",
        "return sorted({*__all__, *(",
        "return sorted({*globals(), *__all__, *(",
        "test_display.py::test_dir_lists_the_public_names_alone",
    ),
)


class Copy:
    """A copy of what the tests need, and a process that runs pytest in it; a context manager, which removes both."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="dosefind-faults-")
        self.root = Path(self._folder.name).resolve() / "copy"
        self._output = self.root.parent / "output.txt"
        self._fill()
        env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        env |= {
            "PYTHONPATH": str(self.root),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
            # No thread of pyarrow's allocator: a process is forked safely where there is but one.
            "JE_ARROW_MALLOC_CONF": "background_thread:false",
        }
        self._server = subprocess.Popen(
            [sys.executable, "-c", SERVER], cwd=self.root, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def _fill(self) -> None:
        """Copy the repository, and add the test that it is the copy that is imported.

        Bytecode of the package is held against the hash of its source whenever it is read: a file changed within the same second
        at the same size would else go unnoticed.
        """
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, self.root / name, ignore=shutil.ignore_patterns("__pycache__", "_build", ".*"))
            elif source.exists():
                shutil.copy2(source, self.root / name)
        (self.root / PROBE).write_text(PROBE_TEXT)
        compileall.compile_dir(self.root / "dosefind", quiet=1, invalidation_mode=PycInvalidationMode.CHECKED_HASH)

    def __enter__(self) -> Copy:
        return self

    def __exit__(self, *error: object) -> None:
        with self._server:
            self._server.terminate()
        self._folder.cleanup()

    def run_tests(self, nodes: Sequence[str], seconds: int) -> tuple[int, str]:
        """Exit status of pytest, or minus the number of the signal that ended it (after the seconds, SIGALRM), and its output."""
        options = ["-q", "-x", "-p", "no:cacheprovider", f"--basetemp={self.root.parent / 'temporary'}"]
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        print(json.dumps([[*options, *nodes], str(self._output), seconds]), file=self._server.stdin, flush=True)
        status = self._server.stdout.readline()
        if not status:
            raise RuntimeError("the process that runs pytest has ended")
        return int(status), self._output.read_text(encoding="utf-8", errors="replace")

    def plant(self, fault: Fault) -> Outcome:
        """Put the fault in, run its test, and take it out again."""
        path = self.root / "dosefind" / fault.file
        text = path.read_text(encoding="utf-8")
        started = time.perf_counter()
        path.write_text(fault.planted(text), encoding="utf-8")
        try:
            status, output = self.run_tests([fault.node], SECONDS)
        finally:
            path.write_text(text, encoding="utf-8")
        last = output.strip().splitlines()[-1] if output.strip() else "no output"
        # Status 1 also stands for an error in a fixture; a module that cannot be imported has status 2.
        caught = status == 1 and re.search(r"\b1 failed\b", last) is not None and "error" not in last
        return Outcome(fault, caught, time.perf_counter() - started, f"status {status}: {last}")


def run(faults: Sequence[Fault], say: Callable[[str], None] = print) -> tuple[int, int]:
    """Plant the faults one at a time in each of a few copies; return how many were caught, and how many there are.

    Raises
    ------
    StaleFault
        If the text of a fault does not occur exactly once in its file.
    RuntimeError
        If a named test fails without any fault.
    """
    for fault in faults:
        fault.planted((ROOT / "dosefind" / fault.file).read_text(encoding="utf-8"))
    with ExitStack() as stack:
        copies = [stack.enter_context(Copy()) for _ in range(WORKERS)]
        pool = stack.enter_context(ThreadPoolExecutor(WORKERS))
        nodes = list(dict.fromkeys(fault.node for fault in faults))
        shares = [[PROBE, *nodes[worker::WORKERS]] for worker in range(WORKERS)]
        for status, output in pool.map(Copy.run_tests, copies, shares, [5 * SECONDS] * WORKERS):
            if status != 0:
                raise RuntimeError(f"a named test does not pass without a fault (status {status}):\n{output}")
        say(f"{len(nodes)} named tests pass without a fault")
        free: queue.SimpleQueue[Copy] = queue.SimpleQueue()
        for copy in copies:
            free.put(copy)

        def one(fault: Fault) -> Outcome:
            copy = free.get()
            try:
                return copy.plant(fault)
            finally:
                free.put(copy)

        caught = 0
        for future in as_completed([pool.submit(one, fault) for fault in faults]):
            outcome = future.result()
            caught += outcome.caught
            say(str(outcome))
    say(f"caught {caught}/{len(faults)}")
    return caught, len(faults)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults", description="Plant faults, each of which a named test must notice."
    )
    parser.add_argument("name", nargs="*", help="faults to plant; all if none is named")
    parser.add_argument("--list", action="store_true", help="name the faults and plant none")
    given = parser.parse_args(words)
    known = {fault.name: fault for fault in FAULTS}
    unknown = [name for name in given.name if name not in known]
    if unknown:
        parser.error(f"no fault is called {unknown[0]!r}; --list names them")
    faults = [known[name] for name in given.name] or list(FAULTS)
    if given.list:
        for fault in faults:
            print(f"{fault.name}  [{fault.file}]  {fault.test}")
        return 0
    try:
        caught, total = run(faults, lambda line: print(line, flush=True))
    except (StaleFault, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    return int(caught < total)


if __name__ == "__main__":
    sys.exit(main())
