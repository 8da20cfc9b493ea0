"""Sentences are marked so that they can be translated: whole, with named places, and all of them."""

import ast
import gettext
import re
from functools import cache

import pytest
from babel.messages.extract import extract_from_dir

import dosefind as dsf
from dosefind.show.content import Run
from dosefind.show.pages.comparison import comparison
from dosefind.show.pages.conduct import conduct_report
from dosefind.show.pages.design import design_report
from dosefind.words import _, counted, in_language, languages

from .peers import ROOT

PACKAGE = ROOT / "dosefind"
LETTER = r"[^\W\d_]"
KEYWORDS = {"_": None, "marked": None, "counted": (1, 2)}


@cache
def messages():
    """All marked sentences as Babel finds them; of one that counts, both forms."""
    found = extract_from_dir(PACKAGE, method_map=[("**.py", "python")], keywords=KEYWORDS)
    every = (message for _file, _line, message, *_rest in found)
    return {form for message in every for form in (message if isinstance(message, tuple) else (message,))}


def marked_calls():
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KEYWORDS:
                yield path, node


def test_marked_sentences_are_literals():
    """Of a name or an f-string, Babel would find nothing; a module-level table is marked where it is made."""
    for path, node in marked_calls():
        for argument in node.args[: 2 if node.func.id == "counted" else 1]:
            if isinstance(argument, ast.Constant):
                assert argument.value in messages(), (path, argument.value)
                continue
            # Translated where it is shown: what a record or a table of marked sentences holds, as `Pseudo` checks.
            assert node.func.id == "_", (path, ast.unparse(node))


def test_places_of_sentences_have_names():
    """A translation can order names, and cannot order nameless places."""
    assert len(messages()) > 100
    for message in messages():
        assert not re.search(r"\{\W*\}|%[sd]", message), message
        # A format belongs to the value, which is written before it is put in.
        assert not re.search(r"\{\w+[:!]", message), message


class Pseudo(gettext.NullTranslations):
    """A language in which every sentence stands in brackets."""

    def gettext(self, message):
        assert message in messages(), message
        return f"\u27e6{message}\u27e7"

    def ngettext(self, one, other, n):
        return self.gettext(one if n == 1 else other)


def runs(part):
    """All text of a tree: tuples of runs, and the plain strings beside them."""
    if isinstance(part, tuple) and part and all(isinstance(run, Run) for run in part):
        yield part
    elif isinstance(part, (list, tuple)):
        for one in part:
            yield from runs(one)
    elif hasattr(part, "__dataclass_fields__"):
        for name in part.__dataclass_fields__:
            if name not in ("id", "picture"):
                yield from runs(getattr(part, name))
    elif isinstance(part, str):
        yield (Run(part),)


def outside(text):
    """What of the package's own words stands in no brackets."""
    depth, left = 0, ""
    for run in text:
        for sign in run.text if run.kind != "data" else "":
            depth += (sign == "\u27e6") - (sign == "\u27e7")
            left += sign if depth == 0 else ""
    assert depth == 0
    return left


def test_all_words_of_comparison_are_marked():
    """Names of the field that need no translation, and the rules of designs, are the only letters that stand outside."""
    oc = dsf.compare(dsf.load_trial(ROOT / "configs" / "nct05962762.toml"))
    with in_language("x", Pseudo()):
        page = comparison(oc)
    sections = [section for section in page.sections if section.id not in ("rules", "ends", "definitions")]
    for text in runs((page.title, page.blocks, tuple(sections))):
        assert not re.search(LETTER, outside(text)), text


@pytest.mark.slow
@pytest.mark.parametrize("conduct", [False, True])
def test_all_sentences_of_reports_are_in_the_catalogue(conduct):
    """Sentences that are translated where they are shown are marked where they are made."""
    config, folder = dsf.load_trial(ROOT / "configs" / "nct05962762.toml"), ROOT / "examples" / "nct05962762" / "midway"
    patients = dsf.read_patients(folder / "patients.csv", config.protocol, events=folder / "events.csv")
    with in_language("x", Pseudo()):
        found = conduct_report(config, patients, None) if conduct else design_report(config)
    assert not any(re.search(LETTER, outside(section.title)) for section in found.sections)


def test_language_is_back_afterwards():
    with in_language("x", Pseudo()):
        assert _("design") == "\u27e6design\u27e7"
        assert counted("{n} design", "{n} designs", 2) == "\u27e62 designs\u27e7"
    assert _("design") == "design"
    assert languages()[0] == "en"
    with pytest.raises(dsf.InputError, match="language"), in_language("tlh"):
        pass
