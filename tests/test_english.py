"""Text uses the standard terms of the field: strings, docstrings and comments of the code, and the pages of documentation.

To extend the check to further folders, add them to `PLACES`; to add a term, add a row to `TERMS`.
"""

import ast
import io
import re
import tokenize

import pytest

from .peers import ROOT

# Files and folders that are checked.
PLACES = (
    *("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs", "notebooks", "configs"),
    *(
        f"dosefind/{folder}"
        for folder in ("calibration", "designs", "efficacy", "evaluability", "intake", "models", "operating", "posterior")
    ),
    *("dosefind/__init__.py", "dosefind/_check.py", "dosefind/adjudications.py", "dosefind/borrowing.py", "dosefind/chain.py"),
    "dosefind/endpoints",
    *("dosefind/conduct.py", "dosefind/config.py", "dosefind/days.py", "dosefind/decisions.py", "dosefind/given_files.py"),
    *("dosefind/interruption.py", "dosefind/isotonic.py", "dosefind/monitoring.py", "dosefind/outcomes.py", "dosefind/patients.py"),
    *("dosefind/protocol.py", "dosefind/results.py", "dosefind/terminal.py", "dosefind/threads.py", "dosefind/trial.py"),
    "dosefind/units.py",
)
# Files and folders of which only the terms are checked.
TERMS_ONLY = (
    *("dosefind/cli.py", "dosefind/figures.py", "dosefind/provenance.py", "dosefind/shown.py", "dosefind/summaries.py"),
    *("dosefind/words.py", "dosefind/plots", "dosefind/show", "dosefind/tasks"),
)
# Pages with the results of other folders, or generated; and a file whose words are in saved examples.
EXCEPT = ("docs/_build", "docs/_static", "dosefind/tasks/synthesis.py")

# A pattern to avoid, the standard term, and an example that the pattern must find.
TERMS = (
    (r"\bnam(?:e|es|ed|ing) (?:as|the|a|no|an)(?: \w+)* (?:MTD|RP2D)\b", "selects, selected as MTD", "the dose named as MTD"),
    (r"\bthe dose (?:that )?(?:it|each) names\b", "the dose selected", "the dose that it names"),
    (r"\b(?:the|a|each|every|one|all|which|under) truths?\b", "scenario(s) (true DLT rates)", "under each truth"),
    (r"\btoo toxic\b", "exceeds the toxicity limit; overly toxic; not tolerated", "the dose is too toxic"),
    (r"\blargest sample\b", "maximum sample size", "the largest sample"),
    (r"\b(?:size|patients) in all\b", "total sample size", "patients in all"),
    (r"\bbinding design\b|\bdesign (?:that|which) binds\b|\bdesign binds\b", "primary design", "the design that binds"),
    (r"\bwho counts?\b|\bthose who count\b|\bcounted nowhere\b", "evaluable for DLT; DLT-evaluable set", "who counts"),
    (r"\b(?:each|every|no|all|these|its|reported|plain) figures?\b(?! \d)", "results, estimates, values", "every figure is exact"),
    (r"\bP\(over\)", "P(overdose)", "P(over) at the top dose"),
    (r"\bworths?\b", "effective sample size (of a prior); utilities (of outcomes)", "patients that it is worth"),
    (r"\blikeliest\b", "most likely", "the likeliest dose"),
    (r"\bhang(?:s|ing)? on\b", "depends on; is sensitive to", "what the answer hangs on"),
    (r"\bleast (?:calendar )?time\b", "minimum duration", "least calendar time"),
    (r"\bways? (?:in which|that) (?:a|the|its) trial\b", "exact enumeration; courses of a trial", "every way that a trial can go"),
    (r"\bmade[- ]up\b", "synthetic; simulated", "a made-up trial"),
    (r"\bfill(?:s|ed)? (?:the|a) cohort\b", "complete the current cohort", "fill the cohort"),
    (r"\bnon-parametric reference\b|\breference benchmark\b", "non-parametric optimal benchmark", "the non-parametric reference"),
    (r"\bdose of none\b|\bnone of the protocol's\b", "dose not in the protocol", "a dose of none"),
    (r"\bown patients\b", "patients treated at that dose", "the dose's own patients"),
    (r"\ban override\b", "committee decision that differs from the design's recommendation", "an override"),
    (r"\bdata cuts?\b(?!off)", "data cutoff date", "at the data cut"),
    (r"\bdoses? planned\b", "assigned dose", "the dose planned"),
    (r"\b(?:the|a|no) relation\b", "relationship to treatment", "a word for the relation"),
    (r"\bno overlap\b", "sequential dose groups", "no overlap of groups"),
    (r"\bgrave\b", "of grade 3 or worse (not meeting the DLT definition)", "a grave event"),
    (r"\bas the rules go\b", "per protocol", "as the rules go"),
    (r"\bso many\b", "n; this number of", "after so many cohorts"),
    (r"\bwhoever\b|(?-i:^Of (?:what|which|whom)\b|^Who (?:was|is|has|had|gives)\b)", "a clause with its noun", "Of what"),
    (r"\bnobody (?:had|has had|received|is|was|has been)\b", "no patient had", "nobody had a DLT"),
    (
        r"\b(?:rows?|columns?|patients?|entry|entries|file|one|size|probability|probabilities|number) a "
        r"(?:dose|patient|cohort|trial|level|design|scenario|state|table|group|setting|coordinate|quantity|parameter|path)\b",
        "per",
        "one row a patient",
    ),
)  # fmt: skip


def _python(text):
    """Yield line and text of each comment, docstring and string of Python code."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for number, line in enumerate(node.value.splitlines()):
                yield node.lineno + number, line


def _lines(path):
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return list(_python(text))
    if path.suffix == ".md":
        # What a command prints is the text of other files.
        text = re.sub(r"^```text$.*?^```$", lambda block: "\n" * block[0].count("\n"), text, flags=re.DOTALL | re.MULTILINE)
    return list(enumerate(text.splitlines(), start=1))


def _plain(line):
    """Return a line without code in it: names in backticks, options and links."""
    return re.sub(r"``[^`]*``|`[^`]*`|--[a-z-]+|\]\([^)]*\)|\{doc\}", "", line)


def files(places):
    """Return the text files of some files and folders of the project."""
    found = [path for place in places for path in ([ROOT / place] if (ROOT / place).is_file() else (ROOT / place).rglob("*"))]
    kinds = (".py", ".md", ".rst", ".toml", ".jinja", ".typ")
    names = [path for path in found if path.suffix in kinds and "__pycache__" not in path.parts]
    return sorted(path for path in names if not str(path.relative_to(ROOT)).startswith(EXCEPT))


def private_words(path):
    """Return each line of a file with a term to avoid, and the standard term."""
    found = []
    for number, line in _lines(path):
        for pattern, term, _ in TERMS:
            if hit := re.search(pattern, _plain(line), re.IGNORECASE):
                found.append(f"{path.relative_to(ROOT)}:{number}: {hit[0]!r}: use {term!r}")
    return found


@pytest.mark.parametrize("place", [*PLACES, *TERMS_ONLY])
def test_text_uses_the_terms_of_the_field(place):
    paths = files([place])
    assert paths
    assert [words for path in paths for words in private_words(path)] == []


def test_each_pattern_finds_its_example():
    for pattern, _, example in TERMS:
        assert re.search(pattern, example, re.IGNORECASE), pattern


def test_terms_are_found_in_strings_docstrings_and_comments(tmp_path):
    code = '"""Who counts."""\n\n\ndef f(n):\n    # The likeliest dose.\n    return f"{n} patients in all"\n'
    assert [line for line, text in _python(code) if any(re.search(p, _plain(text), re.IGNORECASE) for p, _, _ in TERMS)] == [
        5,
        1,
        6,
    ]


# Verbs with which the docstrings of functions begin.
VERBS = frozenset(
    word
    for words in (
        "Add Append Attach Begin Build Calculate Check Compare Compute Copy Count Defer Describe Discard Draw Empty End Enumerate",
        "Exclude Fill Find Follow Give Group Handle Identify Judge Keep Let List Load Make Map Merge Move Note Open Pass Print",
        "Put Raise Rank Read Record Refuse Reject Render Report Restore Return Run Save Select Send Set Show Silence Simulate Sort",
        "Start State Store Walk Write Yield",
    )
    for word in words.split()
)


@pytest.mark.parametrize("place", [place for place in PLACES if place.startswith("dosefind")])
def test_docstrings_of_functions_begin_with_a_verb(place):
    wrong = []
    for path in files([place]):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and (words := ast.get_docstring(node)) and words.split()[0] not in VERBS:
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}: {words.splitlines()[0]}")
    assert wrong == []


# Names of variables that say nothing of what they hold.
VAGUE = frozenset({"here", "one", "ones", "said", "so", "what", "who", "whoever", "whom"})


@pytest.mark.parametrize("place", [place for place in PLACES if place.startswith("dosefind")])
def test_variables_are_named_after_what_they_hold(place):
    vague = []
    for path in files([place]):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = node.id if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) else getattr(node, "arg", None)
            if name in VAGUE:
                vague.append(f"{path.relative_to(ROOT)}:{node.lineno}: {name}")
    assert vague == []
