"""The page on the validation of each result, measured when the page is built.

It calls the tests' own functions, those that read a file under ``tests/reference``, and records every comparison that they make:
the difference between the numbers, and the tolerance of the test. The reasons for the tolerances are the comments next to them, the
sources are stated in the reference files. A test that fails stops the build, and so does one that has no title here.
"""

from __future__ import annotations

import importlib
import inspect
import itertools
import json
import re
import sys
import tokenize
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd

__all__ = ["write"]

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "tests" / "reference"

# Test with a reference file -> title.
TITLES = {
    "test_three_plus_three.test_peer_exact_values": "3+3: selection, patients and DLTs, with and without de-escalation",
    "test_three_plus_three.test_published_wheeler": "3+3: published selection probabilities",
    "test_three_plus_three.test_published_path_counts": "3+3: number of paths by number of doses",
    "test_boin.test_peer_exact_values": "BOIN: selection, patients and DLTs",
    "test_boin.test_peer_boundaries": "BOIN: boundaries and decision tables",
    "test_boin.test_peer_selections": "BOIN: the dose selected",
    "test_boin.test_peer_estimates": "BOIN: isotonic estimates, intervals, P(overdose)",
    "test_boin.test_published_boundaries_and_tables": "BOIN: published boundaries and decision table",
    "test_boin.test_published_selections": "BOIN: published selections and estimates",
    "test_boin.test_published_trial_replay": "BOIN: a published trial, cohort by cohort",
    "test_interval_designs.test_decisions_of_peers": "mTPI-2, Keyboard and i3+3: decision tables, ties apart",
    "test_interval_designs.test_keyboard_boundaries_of_its_package": "Keyboard: boundaries and elimination",
    "test_interval_designs.test_published_trials_of_mtpi2": "mTPI-2: published decisions",
    "test_titration_and_limits.test_every_titration_of_boin_by_its_package": "BOIN with titration: trials, patient by patient",
    "test_titration_and_limits.test_operating_characteristics_of_titration": "BOIN with titration: selection, patients",
    "test_crm.test_peer_exact_values": "CRM: selection, patients and DLTs",
    "test_crm.test_peer_fits": "CRM: posterior of the parameter, curve with its interval, evidence, dose",
    "test_crm.test_peer_maximum_likelihood": "CRM: maximum likelihood",
    "test_crm.test_published_fits_of_cheung": "CRM: a published fit under both curves",
    "test_crm.test_published_trial_replay": "CRM: a published trial, patient by patient",
    "test_crm.test_published_maximum_likelihood_path": "CRM: a published path of maximum likelihood estimates",
    "test_crm.test_published_small_cases": "CRM: two small published fits",
    "test_crm.test_peer_skeletons": "Skeletons from indifference intervals",
    "test_crm.test_peer_indifference_intervals": "Indifference intervals of a skeleton",
    "test_efficacy_randomised.test_published_size_of_two_doses": "Randomised comparison of two doses: a published sample size",
    "test_posterior.test_peer_two_parameter_posteriors": "Two-parameter logistic curve: posterior and evidence",
    "test_posterior.test_published_two_parameter_trial": "Two-parameter logistic curve: a published trial",
    "test_posterior.test_published_uniform_prior": "One-parameter logistic curve with a uniform prior: a published posterior",
    "test_monitoring.test_peer_beta_binomial": "Pause rules: Bayesian beta-binomial boundary and its crossing probabilities",
    "test_monitoring.test_peer_pocock": "Pause rules: Pocock boundary and its crossing probabilities",
    "test_analyze.test_the_published_sepsis_trial": "Upper limits without a curve: a published trial without DLTs",
}
# Tests without a reference file that compute a quantity in a second way.
SECOND_WAYS = {
    "test_crm.test_quadrature_against_adaptive_integration": "Quadrature of one-parameter curves against adaptive integration",
    "test_crm.test_quadrature_of_a_posterior_far_from_its_prior": "The same for a posterior far from a narrow prior",
    "test_posterior.test_windows_by_hand": "DLT rates over several windows with a common hazard, by hand",
    "test_operating.test_certain_scenarios_are_exact": "Operating characteristics if every outcome is certain",
    "test_operating.test_probabilities_sum_to_one": "Probabilities of all final states sum to one",
    "test_operating.test_paths_are_the_unmerged_walk": "The merged enumeration against every single path",
    "test_operating.test_walk_from_the_middle_of_a_trial": "The enumeration from the middle of a trial against single paths",
    "test_operating.test_reference_against_every_multinomial_outcome": "The non-parametric optimal benchmark against every outcome",
    "test_three_plus_three.test_plain_rule_of_the_protocol_agrees": "3+3 against a plain rule of ten lines",
    "test_boin.test_plain_rule_agrees": "BOIN against a plain rule of ten lines",
    "test_monitoring.test_crossing_against_every_sequence_of_outcomes": "Probability of a pause against every sequence of outcomes",
    "test_efficacy_binary.test_independent_doses_are_beta": "Response rates of independent doses against the beta distribution",
    "test_efficacy_utility.test_two_doses_with_known_toxicity_by_integration": "P(largest utility) of two doses by a midpoint rule",
    "test_efficacy_continuous.test_evidence_of_a_flat_response_by_integration": "Evidence of a flat dose-response by integration",
}

_TWO_WAYS = """## Results computed in two ways

These have no reference file: the second computation is part of the test."""

_LEAD = """# Validation of each result

This page was measured when the site was built: the functions of the test suite that compare a result with a reference were run,
and each comparison was recorded. *Worst difference* is the largest difference between a number of dosefind and the
reference's, absolute, or as a proportion if the tolerance says "of the value"; *allowed* is the tolerance of the test. Sources and
reasons are given below, under the number of the result. Everything here is also run, and must pass, whenever the test suite runs.

A tolerance is derived from the rounding of the reference, from the error that its authors state, or from the error of the
computation with which it is compared.
"""


@dataclass
class Seen:
    """The comparisons of a test.

    Attributes
    ----------
    largest
        Largest difference, by tolerance, in words.
    count
        Number of values compared.
    """

    largest: dict[str, float] = field(default_factory=dict)
    count: int = 0

    def note(self, ours: Any, theirs: Any, rtol: float, atol: float) -> None:
        """Note a comparison; if the tolerance is a proportion of the value, so is the difference."""
        ours, theirs = np.broadcast_arrays(np.asarray(ours, float), np.asarray(theirs, float))
        both = np.isfinite(ours) & np.isfinite(theirs)
        ours, theirs = ours[both], theirs[both]
        relative = rtol > 0 and atol == 0
        scale = np.where(theirs != 0, np.abs(theirs), 1.0) if relative else 1.0
        allowed = f"{rtol:.2g} of the value" if relative else f"{atol:.2g}" if atol else "none"
        self.keep(allowed, float((np.abs(ours - theirs) / scale).max(initial=0.0)), int(both.sum()))

    def keep(self, allowed: str, difference: float, count: int) -> None:
        """Keep the largest difference for each tolerance."""
        self.largest[allowed] = max(self.largest.get(allowed, 0.0), difference)
        self.count += count


def write(source: Path) -> None:
    """Write ``validation.md``."""
    found = dict(_with_references())
    untitled, gone = found.keys() - TITLES.keys(), TITLES.keys() - found.keys()
    if untitled or gone:
        raise LookupError(f"docs/validation.py: tests without a title {sorted(untitled)}, titles without a test {sorted(gone)}")
    peers, lines = _module("peers"), [_LEAD]
    for heading, titles in (("## Against other software and published results", TITLES), (_TWO_WAYS, SECOND_WAYS)):
        lines.append(f"{heading}\n\n| no. | result | numbers compared | allowed | worst difference |\n|---:|---|---:|---:|---:|")
        for name, title in titles.items():
            stem, _, function = name.partition(".")
            lines.append(_row(name, title, found.get(name, []), _measured(getattr(_module(stem), function), peers)))
        lines.append("")
    lines += [*_calibration(), "\n## Sources, tests and reasons\n"]
    for name, title in (TITLES | SECOND_WAYS).items():
        lines += _details(name, title, found.get(name, []))
    (source / "validation.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _with_references() -> Iterator[tuple[str, list[str]]]:
    """Yield tests that read reference files, and the files."""
    for path in sorted((ROOT / "tests").glob("test_*.py")):
        if "peers" not in path.read_text(encoding="utf-8"):
            continue
        module = _module(path.stem)
        for name, value in vars(module).items():
            if name.startswith("test_") and inspect.isfunction(value):
                files = re.findall(r'peers\.(?:table|published)\("(\w+)"\)', inspect.getsource(value))
                if files:
                    yield f"{path.stem}.{name}", list(dict.fromkeys(files))


def _module(name: str) -> Any:
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    return importlib.import_module(f"tests.{name}")


def _row(name: str, title: str, files: list[str], seen: Seen) -> str:
    """Return the line of a result in the table."""
    number, worst = _number(name), "<br>".join(f"{difference:.1e}" if difference else "0" for difference in seen.largest.values())
    allowed = "<br>".join(seen.largest)
    if not seen.count:
        cases = sum(_rows(_file(file)) for file in files)
        return f"| [{number}](#{_anchor(number)}) | {title} | {f'{cases:,} cases' if cases else 'all'} | none | equal |"
    return f"| [{number}](#{_anchor(number)}) | {title} | {seen.count:,} | {allowed} | {worst} |"


def _number(name: str) -> int:
    return [*TITLES, *SECOND_WAYS].index(name) + 1


def _anchor(number: int) -> str:
    return f"result-{number}"


def _details(name: str, title: str, files: list[str]) -> Iterator[str]:
    """Yield the source of a result's reference, and the reason for its tolerance."""
    stem, _, function = name.partition(".")
    number = _number(name)
    yield f"({_anchor(number)})=\n### {number}. {title}\n"
    for file in files:
        yield f"- Reference `tests/reference/{_file(file).name}`: {_source(_file(file))}"
    yield f"- Test `tests/{stem}.py::{function}`"
    reasons = _comments(getattr(_module(stem), function))
    if reasons:
        yield f"- Reason for the tolerance: {' '.join(reasons)}"
    yield ""


def _file(name: str) -> Path:
    return next(REFERENCE.glob(f"{name}.*"))


def _measured(test: Callable, peers: Any) -> Seen:
    """Run a test, every set of its parameters, and note its comparisons."""
    seen = Seen()
    with _noting(seen, peers, _stated(test)):
        for arguments in _parameters(test):
            test(**arguments)
    return seen


@contextmanager
def _noting(seen: Seen, peers: Any, allowed: str) -> Iterator[None]:
    allclose, array_equal, series_equal = (
        *(np.testing.assert_allclose, np.testing.assert_array_equal),
        pd.testing.assert_series_equal,
    )
    worst_difference = peers.worst_difference

    def close(actual: Any, desired: Any, rtol: float = 1e-7, atol: float = 0.0, **options: Any) -> None:
        seen.note(actual, desired, rtol, atol)
        allclose(actual, desired, rtol=rtol, atol=atol, **options)

    def equal(actual: Any, desired: Any, *args: Any, **options: Any) -> None:
        seen.note(actual, desired, 0.0, 0.0)
        array_equal(actual, desired, *args, **options)

    def same(left: pd.Series, right: pd.Series, **options: Any) -> None:
        seen.note(left.astype(float), right.astype(float), 0.0, 0.0)
        series_equal(left, right, **options)

    def worst(oc: Any, rows: pd.DataFrame) -> float:
        difference = worst_difference(oc, rows)
        # Selection of each dose and of none, patients and DLTs of each dose.
        seen.keep(allowed, difference, 3 * len(rows) - 2)
        return difference

    with (
        patch.object(np.testing, "assert_allclose", close),
        patch.object(np.testing, "assert_array_equal", equal),
        patch.object(pd.testing, "assert_series_equal", same),
        patch.object(peers, "worst_difference", worst),
    ):
        yield


def _parameters(test: Callable) -> Iterator[dict[str, Any]]:
    """Yield every set of arguments of a test."""
    axes = []
    for mark in getattr(test, "pytestmark", []):
        if mark.name == "parametrize":
            names, values = mark.args[:2]
            names = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
            axes.append([dict(zip(names, value if len(names) > 1 else (value,), strict=True)) for value in values])
    for chosen in itertools.product(*axes):
        yield {name: value for part in chosen for name, value in part.items()}


def _comments(test: Callable) -> list[str]:
    """Return the comments of a test, each in one piece."""
    found: list[str] = []
    last = -2
    for token in tokenize.generate_tokens(StringIO(inspect.getsource(test)).readline):
        if token.type == tokenize.COMMENT and "fmt:" not in token.string:
            text = token.string.lstrip("# ")
            if token.start[0] == last + 1 and found:
                found[-1] += f" {text}"
            else:
                found.append(text)
            last = token.start[0]
    return [text if text.endswith((".", ":")) else f"{text}." for text in found]


def _stated(test: Callable) -> str:
    """Return the tolerance of a test for `peers.worst_difference`."""
    return next(iter(re.findall(r"worst_difference\(.*\) < (\S+)", inspect.getsource(test))), "")


def _source(path: Path) -> str:
    if path.suffix == ".csv":
        line = path.read_text(encoding="utf-8").partition("\n")[0]
        return line.lstrip("# ").partition(":")[2].strip()
    source = json.loads(path.read_text(encoding="utf-8"))["source"]
    return "; ".join(source) if isinstance(source, list) else source


def _rows(path: Path) -> int:
    if path.suffix == ".csv":
        return len(pd.read_csv(path, comment="#"))
    cases = json.loads(path.read_text(encoding="utf-8")).get("cases", [])
    return len(cases)


def _calibration() -> Iterator[str]:
    """Yield the results of simulation-based calibration, from the stored files."""
    yield (
        "## Simulation-based calibration\n\n"
        "Parameters are drawn from the prior and data from them, and the position of the parameters in the "
        "posterior is recorded: uniform, if the posterior is correct ({doc}`/explanation/calibration`). A case passes if the "
        "distribution function of every quantity stays in its band with the first seed or, failing that, with the next; "
        "both are stored. *Nearest to the band* is the largest excess over it with either seed: at 0 or below nothing "
        "left it. These runs take hours and were not repeated for this page; the command repeats each.\n"
    )
    yield "| model and engine | data sets | quantities | seeds passed | nearest to the band | passed | command |"
    yield "|---|---:|---:|---:|---:|---|---|"
    for path in sorted((ROOT / "benchmarks" / "results" / "sbc").glob("*.json")):
        case = json.loads(path.read_text(encoding="utf-8"))
        each = [quantity["excess"] for run in case["runs"] for layout in run["layouts"].values() for quantity in layout.values()]
        quantities, good = len(each) // len(case["runs"]), sum(run["passed"] for run in case["runs"])
        yield (
            f"| {case['case']} | {case['n_sets']:,} | {quantities} | {good} of {len(case['runs'])} | {max(each):+.3f} "
            f"| {'yes' if case['passed'] else '**no**'} | `{case['command']}` |"
        )
