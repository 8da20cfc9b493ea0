"""The front of all studies: ``python -m benchmarks --help`` lists them, ``python -m benchmarks NAME`` runs one.

A study is found by its file (see `benchmarks.study`); ``python -m benchmarks compare OLD.json NEW.json`` holds two results of one
study against each other.
"""

from __future__ import annotations

import ast
import sys
import textwrap
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from benchmarks.study import question_of
from dosefind import InputError, terminal
from dosefind._check import one_of

FOLDER = Path(__file__).parent
COMPARE = "compare"


def studies(folder: Path = FOLDER) -> dict[str, str]:
    """Each study and its question, read from its file without running it."""
    found = {}
    for path in sorted(folder.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        targets = [target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
        if any(isinstance(target, ast.Name) and target.id == "STUDY" for target in targets):
            found[path.stem] = question_of(ast.get_docstring(tree))
    return found


def overview() -> str:
    lines = ["usage: python -m benchmarks STUDY [--quick] [--out FOLDER] [--force] ...", ""]
    commands = studies() | {
        f"{COMPARE} OLD.json NEW.json": "What has changed between two results of one study, and is it more than noise?"
    }
    for name, question in commands.items():
        lines += [f"  {name}", textwrap.indent(textwrap.fill(question, 110), 6 * " ")]
    ending = (
        "Each study prints its tables and saves them as JSON, with machine, versions, load and settings, and a picture as SVG and "
        "PNG. --quick takes less than two minutes on two cores. python -m benchmarks STUDY --help says how it measures."
    )
    return "\n".join([*lines, "", textwrap.fill(ending, 116)])


def main(words: Sequence[str] | None = None) -> int:
    """Run a study, or compare two results; return the exit status. No text of a file or an argument controls the terminal."""
    with terminal.guarded():
        try:
            status = _run(words)
            sys.stdout.flush()
            return status
        except BrokenPipeError:
            # Whoever read what is printed has read enough.
            return 1
        except OSError as error:
            print(f"python -m benchmarks: error: {error}", file=sys.stderr)
            return 1


def _run(words: Sequence[str] | None) -> int:
    words = sys.argv[1:] if words is None else list(words)
    if not words or words[0] in ("-h", "--help"):
        print(overview())
        return 0 if words else 2
    try:
        name = one_of("study", words[0], [*studies(), COMPARE])
    except InputError as error:
        print(f"python -m benchmarks: error: {error}", file=sys.stderr)
        return 2
    module = import_module(f"benchmarks.{name}")
    return module.main(words[1:]) if name == COMPARE else module.STUDY.main(words[1:])


if __name__ == "__main__":
    sys.exit(main())
