"""What shows that tests notice faults: a fault that is not noticed is an error, and a mutant that survives is listed."""

import json
import subprocess
import sys

import pytest

from . import mutants, test_rules
from .planted import check_caught

RULES = mutants.PACKAGE / "designs" / "rules.py"


@pytest.mark.faults
@pytest.mark.parametrize(
    ("fault", "remark"),
    [(lambda old: old, "was not noticed"), (lambda _: "no number", "made the package raise, which shows nothing")],
)
def test_fault_that_is_not_noticed_is_an_error(fault, remark):
    with pytest.raises(pytest.fail.Exception, match=remark):
        check_caught("dosefind.designs.rules:TIE", fault, test_rules.test_rounding_is_a_tie)


def test_mutants_differ_from_the_function_and_from_each_other():
    pytest.importorskip("mutmut")
    names = {"dosefind/designs/rules.py::nearest_isotonic"}
    made = [mutant.text() for mutant in mutants.mutants_of(RULES, names)]
    assert len(set(made) | {RULES.read_text(encoding="utf-8")}) == len(made) + 1 > 5
    (lines,) = [span for name, span in mutants.functions(RULES).items() if name in names]
    for text in made:
        before, after = (one.splitlines() for one in (RULES.read_text(encoding="utf-8"), text))
        assert {number for number, pair in enumerate(zip(before, after, strict=True), 1) if len(set(pair)) > 1} <= set(lines)


@pytest.mark.faults
def test_mutants_that_survive_are_listed(tmp_path):
    """A test of the highest dose alone notices mutants of this function; of others, which it is said to reach, it notices none."""
    pytest.importorskip("mutmut")
    test = "tests/test_rules.py::test_which_dose_is_taken"
    lines = mutants.functions(RULES)
    reached = {name: {line: [0] for line in span} for name, span in lines.items() if name.endswith(("::highest", "::at_least"))}
    (tmp_path / "main.json").write_text(json.dumps({"tests": {test: 0.1}, "lines": reached}))
    command = [sys.executable, "-m", "tests.mutants", str(RULES), "--reach", str(tmp_path), "--limit", "40"]
    said = subprocess.run(command, cwd=mutants.ROOT, capture_output=True, text=True, check=True).stdout
    verdicts = [line.split(maxsplit=2) for line in said.partition("survivors")[0].splitlines()[1:] if line]
    found = {(verdict, words.partition(":")[0]) for verdict, _, words in verdicts}
    assert ("caught", "highest") in found
    assert ("SURVIVED", "at_least") in found
    assert ("unreached", "above") in found
