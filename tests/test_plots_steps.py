"""The flow chart of a design and the tree of its paths: what they show is what the library found."""

import re

import pytest

import dosefind as dsf
from dosefind import plots
from dosefind.plots.steps import tree_fits

from .test_report import CONFIG


@pytest.fixture(scope="module")
def trial():
    return dsf.load_trial(CONFIG)


def drawn(ax):
    return [text.get_text() for text in ax.texts]


@pytest.mark.parametrize("name", ["3+3", "boin", "blrm-6"])
def test_branches_of_a_tree_have_the_decisions_and_probabilities_of_the_paths(trial, name):
    table = dsf.paths(trial, name, cohorts=2)
    ax = plots.tree(table, name=name)
    scenarios = [column for column in table.columns if column.startswith("scenario: ")]
    shares = [float(text) for text in drawn(ax) if re.fullmatch(r"\d+\.\d", text)]
    leaves = len(shares) // len(scenarios)
    assert leaves < len(table)
    # Every path is in a branch: by scenario the branches add up to 1, by decision to what the table says.
    for k in range(len(scenarios)):
        assert sum(shares[k :: len(scenarios)]) == pytest.approx(100, abs=0.05 * leaves + 1e-9)
    words = plots.alt_text(ax)
    for column, row in table.groupby("next", sort=False):
        said = [one for one in words.split(". ") if (f"next: level {column} " in one) or (column == "stop" and ": stop: " in one)]
        assert said
        total = sum(float(re.search(r"\(([\d.]+)%", one)[1]) for one in said)
        assert total == pytest.approx(100 * row[scenarios[0]].sum(), abs=0.05 * len(said) + 1e-9)


def test_a_stop_after_one_cohort_is_a_branch_of_its_own(trial):
    words = plots.alt_text(plots.tree(dsf.paths(trial, "3+3", cohorts=2)))
    # By hand: two or three DLTs in three at 45%: 3 * 0.45^2 * 0.55 + 0.45^3 = 42.5%.
    assert "2 to 3 DLTs in 3 at level 1: stop: no MTD" in words
    assert "42.5% in all toxic" in words


def test_a_tree_that_does_not_fit_is_refused(trial):
    many = dsf.paths(trial, "crm", cohorts=5)
    assert not tree_fits(many)
    with pytest.raises(dsf.InputError, match="look fewer cohorts ahead"):
        plots.tree(many)
    assert tree_fits(dsf.paths(trial, "crm", cohorts=2))
    assert not tree_fits(dsf.paths(trial, "3+3", cohorts=2, outcomes="1TTT"))


def test_flow_chart_has_the_counts_of_the_decision_table(trial):
    words = plots.alt_text(plots.flow(dsf.decision_table(trial, "3+3"), trial.protocol, name="3+3"))
    assert "Escalate: level 1\u20132: 0 of 3, 1 of 6." in words
    assert "Stay: level 1\u20133: 1 of 3." in words
    assert "level 1: 2\u20133 of 3 (no MTD), 2\u20134 of 6 (no MTD)" in words
    assert "DLT window of 28 days" in words
    assert "maximum sample size of 18 reached" in words
    # BOIN's boundaries at 25%, Liu and Yuan (2015): escalate at 0/3 and 1/6, de-escalate at 1/3 and 2/6, eliminate at 3/3 and 4/6.
    table = dsf.decision_table(trial, "boin-6")
    words = plots.alt_text(plots.flow(table, trial.protocol, name="boin-6", most=6))
    assert "Escalate: 0 of 3; 0\u20131 of 6." in words
    assert "De-escalate: 1\u20132 of 3; 3 of 3, level eliminated; 2\u20133 of 6; 4\u20136 of 6, level eliminated." in words
    assert "Stay" not in words
    assert "the chosen level has 6 patients" in words


def test_another_table_is_refused(trial):
    with pytest.raises(dsf.InputError, match="decision_table"):
        plots.flow(dsf.paths(trial, "3+3", cohorts=1).drop(columns="next"), trial.protocol)
    with pytest.raises(dsf.InputError, match="paths"):
        plots.tree(dsf.decision_table(trial, "boin"))
