"""Mutants of the functions that a change touches: which of them does no test notice?

``python -m tests.mutants`` changes one operator, number or argument at a time in a function of the package that differs from the
base, and runs the tests that reach this line, until one fails. What survives is listed: a gap of the tests, or
a mutant that means the same. ``python -m tests.mutants dosefind/designs --limit 500`` takes a random sample over whole files.

The operators are mutmut's. Which test reaches which line is recorded by the tests themselves, where this module is loaded as a
plugin: ``python -m pytest -p tests.mutants --reach FOLDER``; with ``--touched`` in the functions of the change alone, which takes
the tests a twentieth longer instead of two thirds. A mutant is tried in a process forked from one that has imported
everything: the code of the function is replaced there.
"""

from __future__ import annotations

import argparse
import ast
import collections
import contextlib
import functools
import gc
import importlib
import json
import os
import pkgutil
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest

import dosefind

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "dosefind"
# Seconds of tests that a mutant has to survive, by the time that they take without it; the others are ignored.
MOST_SECONDS = 15
# Where tests take this many times as long as without the mutant, or seconds on top, the mutant has been noticed.
TIMES, SLACK = 5, 10
TOOL, EVENTS = sys.monitoring.PROFILER_ID, sys.monitoring.events
# Sentences are not held by tests; what an assignment gives is changed by the other operators.
LEFT_OUT = ("operator_string", "operator_dict_arguments", "operator_assignment")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--reach", metavar="FOLDER", help="write there which lines of the package each test reaches")
    parser.addoption("--touched", action="store_true", help="with --reach: only lines of the functions that the change touches")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--reach", None):
        watched = touched(base_of_change()) if config.getoption("--touched") else None
        config.pluginmanager.register(_Recorder(Path(config.getoption("--reach")), watched))


class _Recorder:
    """Writes the seconds of each test that passes, and the tests that reach each line of each function, one file a process.

    Of all functions, a line is seen once in each test, as every test begins anew; of some functions, each time that it runs.
    """

    def __init__(self, folder: Path, watched: set[str] | None) -> None:
        self._watched = watched
        self._path = folder / f"{os.environ.get('PYTEST_XDIST_WORKER', 'main')}.json"
        self._tests: dict[str, float] = {}
        # Places of the tests in their own table, as their names would make megabytes.
        self._lines: dict[str, dict[int, list[int]]] = collections.defaultdict(lambda: collections.defaultdict(list))
        self._reached: set[tuple[str, int]] = set()
        sys.monitoring.use_tool_id(TOOL, "tests.mutants")
        sys.monitoring.register_callback(TOOL, EVENTS.PY_START, self._started)
        sys.monitoring.register_callback(TOOL, EVENTS.LINE, self._at)
        sys.monitoring.set_events(TOOL, EVENTS.PY_START)

    def _started(self, code: CodeType, _: int) -> object:
        if code.co_filename.startswith(f"{PACKAGE}{os.sep}") and (self._watched is None or _name(code) in self._watched):
            sys.monitoring.set_local_events(TOOL, code, EVENTS.LINE)
        return sys.monitoring.DISABLE

    def _at(self, code: CodeType, line: int) -> object:
        self._reached.add((_name(code), line))
        return sys.monitoring.DISABLE if self._watched is None else None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._reached.clear()
        if self._watched is None:
            sys.monitoring.restart_events()
        result = yield
        if item.nodeid in self._tests:
            for function, line in self._reached:
                self._lines[function][line].append(len(self._tests) - 1)
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            self._tests[report.nodeid] = report.duration

    def pytest_sessionfinish(self) -> None:
        sys.monitoring.set_events(TOOL, EVENTS.NO_EVENTS)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps({"tests": self._tests, "lines": self._lines}))


def name_of(path: Path, qualname: str) -> str:
    """Name of the function or method that some code is in: ``dosefind/designs/boin.py::BOIN.propose``."""
    return f"{path.relative_to(ROOT).as_posix()}::{qualname.partition('.<locals>')[0]}"


@functools.cache
def _name(code: CodeType) -> str:
    return name_of(Path(code.co_filename), code.co_qualname)


@dataclass
class Reach:
    """How long tests take, and which of them reach which line of which function."""

    tests: dict[str, float] = field(default_factory=dict)
    lines: dict[str, dict[int, set[str]]] = field(default_factory=lambda: collections.defaultdict(dict))

    @classmethod
    def read(cls, folder: Path) -> Reach:
        reach = cls()
        for path in sorted(folder.glob("*.json")):
            found = json.loads(path.read_text())
            reach.tests |= found["tests"]
            names = list(found["tests"])
            for function, lines in found["lines"].items():
                for line, places in lines.items():
                    reach.lines[function].setdefault(int(line), set()).update(names[place] for place in places)
        return reach

    @functools.cached_property
    def breadth(self) -> collections.Counter[str]:
        """How many lines of the package each test reaches."""
        return collections.Counter(test for lines in self.lines.values() for tests in lines.values() for test in tests)

    def of(self, mutant: Mutant) -> list[str]:
        """Tests of a mutant, those first that reach few lines of the package, as they are about the line.

        They are followed by others of the same files, for which a fixture may have reached it.
        """
        lines = self.lines.get(mutant.function, {})
        reaching = lines.get(mutant.line) or set[str]().union(*lines.values())
        files = {test.partition("::")[0] for test in reaching}
        beside = {test for test in self.tests if test.partition("::")[0] in files} - reaching
        ordered = sorted(reaching, key=lambda test: (self.breadth[test], self.tests[test]))
        ordered += sorted(beside, key=self.tests.__getitem__)
        chosen, seconds = [], 0.0
        for test in ordered:
            if seconds + self.tests[test] <= MOST_SECONDS:
                chosen.append(test)
                seconds += self.tests[test]
        return chosen or ordered[:1]


@dataclass(frozen=True)
class Mutant:
    """A function with one thing changed."""

    path: Path
    function: str
    line: int
    operator: str
    old: str
    new: str
    text: Callable[[], str] = field(repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT).as_posix()}:{self.line} {self.function.partition('::')[2]}: {self.old} -> {self.new}"


def functions(path: Path) -> dict[str, range]:
    """Lines of each function and method of a file, by their names."""
    found = {}

    def look(nodes: Sequence[ast.stmt], within: str) -> None:
        for node in nodes:
            if isinstance(node, ast.ClassDef):
                look(node.body, f"{within}{node.name}.")
            elif isinstance(node, ast.FunctionDef):
                first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
                found[name_of(path, within + node.name)] = range(first, (node.end_lineno or first) + 1)

    look(ast.parse(path.read_text(encoding="utf-8")).body, "")
    return found


def touched(base: str) -> set[str]:
    """Names of the functions of the package that differ from a commit."""
    names, path = set(), None
    for line in _git("diff", "--unified=0", "--no-renames", base, "--", "dosefind").splitlines():
        if line.startswith("+++ "):
            path = ROOT / line[6:] if line.endswith(".py") else None
        elif path is not None and (hunk := re.match(r"@@ -\S+ \+(\d+)(?:,(\d+))? @@", line)):
            first, count = int(hunk[1]), int(hunk[2] or 1)
            # Where lines were only taken out, their place is between two lines.
            changed = range(first, first + count) if count else range(first, first + 2)
            names |= {name for name, lines in functions(path).items() if max(lines[0], changed[0]) <= min(lines[-1], changed[-1])}
    return names


def base_of_change() -> str:
    """Where the present branch left main, or else the commit before."""
    with contextlib.suppress(subprocess.CalledProcessError):
        for main in ("main", "origin/main"):
            base = _git("merge-base", "HEAD", main).strip()
            if base != _git("rev-parse", "HEAD").strip():
                return base
    return "HEAD~1"


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True).stdout


def mutants_of(path: Path, names: set[str]) -> Iterator[Mutant]:
    """Every mutant of some functions of a file."""
    import libcst
    from libcst.metadata import MetadataWrapper, PositionProvider
    from mutmut.mutation.mutators import mutation_operators, operator_if_exp

    # A condition that always or never holds, in statements and comprehensions as in expressions.
    operators = [*mutation_operators, (libcst.If, operator_if_exp), (libcst.CompIf, operator_if_exp)]
    wrapper = MetadataWrapper(libcst.parse_module(path.read_text(encoding="utf-8")))
    places = wrapper.resolve(PositionProvider)
    lines = {name: span for name, span in functions(path).items() if name in names}

    def look(node: libcst.CSTNode, name: str | None) -> Iterator[Mutant]:
        # What an error says, and text in general, is not held by tests; annotations and decorators are not run again.
        if isinstance(node, (libcst.Raise, libcst.FormattedString, libcst.Annotation, libcst.Decorator)):
            return
        if isinstance(node, (libcst.FunctionDef, libcst.ClassDef)) and name is None:
            name = next((one for one, span in lines.items() if places[node].start.line in span), None)
        if name is not None:
            for kind, operator in operators:
                if isinstance(node, kind) and operator.__name__ not in LEFT_OUT:
                    for new in operator(node):
                        if operator.__name__ == "operator_arg_removal" and not fewer_named(node, new):
                            continue
                        yield Mutant(
                            path, name, places[node].start.line, operator.__name__, code(node), code(new), planted(node, new)
                        )
        for child in node.children:
            yield from look(child, name)

    def fewer_named(old: libcst.Call, new: libcst.Call) -> bool:
        # Without an argument given by its place, or with None for one, a call mostly raises, which shows nothing.
        by_place = [[one for one in call.args if not one.keyword] for call in (old, new)]
        return by_place[0] == by_place[1] and len(new.args) < len(old.args)

    def code(node: libcst.CSTNode) -> str:
        shown = node.test if isinstance(node, libcst.If) else node
        return " ".join(libcst.Module([]).code_for_node(shown).split())

    def planted(old: libcst.CSTNode, new: Any) -> Callable[[], str]:
        return lambda: wrapper.module.deep_replace(old, new).code

    yield from look(wrapper.module, None)


def spread(mutants: list[Mutant], key: Callable[[Mutant], object]) -> list[Mutant]:
    """Order mutants so that each group comes first with one of its own, then with a second, and so on."""
    seen: collections.Counter[object] = collections.Counter()
    ranks = []
    for mutant in mutants:
        ranks.append(seen[key(mutant)])
        seen[key(mutant)] += 1
    return [mutants[place] for place in sorted(range(len(mutants)), key=ranks.__getitem__)]


class _Trials:
    """Tries mutants in the place of pytest's own loop over tests, once these are collected."""

    def __init__(self, mutants: Sequence[Mutant], reach: Reach, budget: float) -> None:
        self.mutants, self.reach, self.budget = mutants, reach, budget
        self.found: dict[str, list[Mutant]] = collections.defaultdict(list)
        self._sound: dict[str, bool] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        from .planted import forget

        for module in pkgutil.walk_packages(dosefind.__path__, "dosefind."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
        forget()
        session.config.pluginmanager.unregister(name="terminalreporter")
        self._items = {item.nodeid: item for item in session.items}
        self._functions: dict[CodeType, list[FunctionType]] = collections.defaultdict(list)
        for one in gc.get_objects():
            if type(one) is FunctionType and one.__code__.co_filename.startswith(str(PACKAGE)):
                self._functions[one.__code__].append(one)
        gc.freeze()
        started = time.monotonic()
        for mutant in self.mutants:
            if time.monotonic() - started > self.budget:
                break
            verdict = self._try(mutant)
            self.found[verdict].append(mutant)
            print(f"{verdict:9} {mutant}", flush=True)
        return True

    def _try(self, mutant: Mutant) -> str:
        codes = self._changed(mutant)
        if not codes:
            return "same code"
        while True:
            tests = [test for test in self.reach.of(mutant) if test in self._items and self._sound.get(test, True)]
            if not tests:
                return "unreached"
            failed = self._run(tests, codes)
            if failed is None:
                return "SURVIVED"
            if failed == "" or self._is_sound(failed):
                return "caught"

    def _is_sound(self, test: str) -> bool:
        """Whether a test passes here without any mutant."""
        if test not in self._sound:
            self._sound[test] = self._run([test], {}) is None
        return self._sound[test]

    def _changed(self, mutant: Mutant) -> dict[FunctionType, CodeType]:
        old, new = (
            list(_codes(compile(text, str(mutant.path), "exec", dont_inherit=True)))
            for text in (mutant.path.read_text(encoding="utf-8"), mutant.text())
        )
        return {
            function: after
            for before, after in zip(old, new, strict=False)
            if before != after and before.co_qualname == after.co_qualname and before.co_freevars == after.co_freevars
            for function in self._functions.get(before, ())
        }

    def _run(self, tests: list[str], codes: dict[FunctionType, CodeType]) -> str | None:
        """Name of the first test that fails, or none; empty where the process took too long or ended by itself."""
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.setpgid(0, 0)
            nothing = os.open(os.devnull, os.O_RDWR)
            for number in range(3):
                os.dup2(nothing, number)
            try:
                for function, code in codes.items():
                    function.__code__ = code
                os.write(writing, (self._first_failure(tests) or "passed").encode())
            finally:
                os._exit(0)
        os.close(writing)
        deadline = time.monotonic() + SLACK + TIMES * sum(self.reach.tests[test] for test in tests)
        while (ended := os.waitpid(child, os.WNOHANG)[0]) == 0 and time.monotonic() < deadline:
            time.sleep(0.005)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        if not ended:
            os.waitpid(child, 0)
        with os.fdopen(reading) as pipe:
            said = pipe.read() if ended else ""
        return None if said == "passed" else said

    def _first_failure(self, tests: list[str]) -> str | None:
        failed = []

        class Watch:
            def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
                failed.extend([report.nodeid] * report.failed)

        items = [self._items[test] for test in tests]
        items[0].config.pluginmanager.register(Watch())
        for item, after in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
            if failed:
                return failed[0]
        return None


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield from _codes(one)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("path", nargs="*", type=Path, help="files or folders, all of whose functions are taken")
    parser.add_argument("--base", help="commit from which the change is counted; where the branch left main, or the commit before")
    parser.add_argument("--limit", type=int, help="how many mutants, chosen at random, the same number from each file")
    parser.add_argument("--budget", type=float, default=float("inf"), help="seconds after which no further mutant is tried")
    parser.add_argument("--seed", type=int, default=1, help="of the order in which mutants are tried")
    parser.add_argument("--reach", type=Path, help="folder of what tests reach; without it the quick tests are run to record it")
    given = parser.parse_args(words)
    if given.path:
        paths = [file for path in given.path for file in (sorted(path.rglob("*.py")) if path.is_dir() else [path])]
        names = {name for path in paths for name in functions(path.resolve())}
    else:
        names = touched(given.base or base_of_change())
    by_file: dict[Path, set[str]] = collections.defaultdict(set)
    for name in sorted(names):
        by_file[ROOT / name.partition("::")[0]].add(name)
    mutants = [mutant for path, some in by_file.items() for mutant in mutants_of(path, some)]
    random.Random(given.seed).shuffle(mutants)
    chosen = spread(spread(mutants, lambda one: (one.function, one.operator)), lambda one: one.path)[: given.limit]
    print(f"{len(names)} functions, {len(mutants)} mutants, of which {len(chosen)} are tried", flush=True)
    if not chosen:
        return 0
    with tempfile.TemporaryDirectory() as folder:
        # What fails under a mutant is no example to begin with the next time.
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(Path(folder) / "hypothesis")
        if given.reach is None:
            options = ["-q", "-p", "tests.mutants", "--reach", folder]
            subprocess.run([sys.executable, "-m", "pytest", *options], cwd=ROOT, check=True)
        reach = Reach.read(given.reach or Path(folder))
        trials = _Trials(chosen, reach, given.budget)
        files = sorted({test.partition("::")[0] for mutant in chosen for test in reach.of(mutant)})
        # Snapshots that no test of this process compares are no fault.
        options = ["-qq", "-s", "-n", "0", "-p", "no:cacheprovider", "-m", "", "--snapshot-warn-unused"]
        status = pytest.main([*options, *files], plugins=[trials]) if files else 0
    if status:
        print(f"the tests could not be collected (pytest's exit status {int(status)})", file=sys.stderr)
        return 1
    survivors = trials.found["SURVIVED"] + trials.found["unreached"]
    tried = sum(map(len, trials.found.values()))
    print("\n".join(["", "survivors, by function:", *sorted(map(str, survivors))]) if survivors else "")
    counts = ", ".join(f"{len(some)} {verdict.lower()}" for verdict, some in sorted(trials.found.items()))
    print(f"{counts or 'none tried'}; {len(mutants) - tried} of {len(mutants)} mutants were not tried")
    return 0


if __name__ == "__main__":
    sys.exit(main())
