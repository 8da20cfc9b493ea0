"""Semantic faults, beside the tests that must notice them.

A fault replaces one public name of the package by something that breaks a rule. Each is tried in a process of its own, forked from
the one that runs the tests, so that nothing of it is left behind. What a mutation operator makes as well (a bound off by one, a
comparison turned round) is left to `tests.mutants`.
"""

from __future__ import annotations

import gc
import importlib
import inspect
import itertools
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pytest

__all__ = ["check_caught", "every_case", "faults", "setting"]

CAUGHT, NOT_CAUGHT, FAILS_WITHOUT, BROKEN = range(4)
REMARKS = {
    NOT_CAUGHT: "was not noticed",
    FAILS_WITHOUT: "has a test that fails without it",
    BROKEN: "made the package raise, which shows nothing",
}
# A fault that makes a test run on counts as not noticed.
SECONDS = 120


def faults(table: Mapping[str, tuple[str, Callable[[Any], Any], Callable[[], Any]]]) -> Callable[..., Any]:
    """Return a test that tries each fault, by its name: what it replaces, the fault and the test, as for `check_caught`."""

    @pytest.mark.faults
    @pytest.mark.skipif(not hasattr(os, "fork"), reason="a fault is tried in a forked process")
    @pytest.mark.parametrize("name", table)
    def test_fault_is_caught(name: str) -> None:
        check_caught(*table[name])

    return test_fault_is_caught


def every_case(test: Callable[..., Any], *given: Any) -> Callable[[], None]:
    """Return a test with all its parameters, one case after the other, and a folder of its own where it wants one."""
    if given:
        return partial(test, *given)

    def run() -> None:
        wants_folder = "tmp_path" in inspect.signature(test).parameters
        for case in _cases(test):
            if wants_folder:
                with tempfile.TemporaryDirectory() as folder:
                    test(**case, tmp_path=Path(folder))
            else:
                test(**case)

    return run


def setting(**values: Any) -> Callable[[Any], Any]:
    """Return a fault of a method of settings: it answers as if these settings had these values."""

    def fault(old: Any) -> Any:
        return lambda self, *given, **named: old(self.with_settings(**values), *given, **named)

    return fault


def check_caught(target: str, fault: Callable[[Any], Any], test: Callable[[], Any]) -> None:
    """Check that a test passes, and that it fails once the fault is there.

    Parameters
    ----------
    target
        What the fault replaces: module and name, such as ``dosefind.conduct:waits`` or ``dosefind.designs.boin:BOIN.propose``.
    fault
        Makes the replacement from what it replaces.
    test
        The test. Only a failed assertion counts: a fault that makes the package raise shows nothing.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        outcome = BROKEN
        try:
            signal.alarm(SECONDS)
            outcome = _outcome(target, fault, test)
        finally:
            os._exit(outcome)
    found = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if found != CAUGHT:
        pytest.fail(f"the fault in {target} {REMARKS.get(found, f'ended the process with {found}')}")


def _outcome(target: str, fault: Callable[[Any], Any], test: Callable[[], Any]) -> int:
    # That a test of the suite passes without the fault is shown by itself.
    of_the_suite, test = getattr(test, "__name__", "").startswith("test_"), every_case(test)
    try:
        if not of_the_suite:
            test()
    except BaseException:
        traceback.print_exc()
        return FAILS_WITHOUT
    try:
        forget()
        _plant(target, fault)
        test()
    except (AssertionError, pytest.fail.Exception):
        return CAUGHT
    except BaseException:
        traceback.print_exc()
        return BROKEN
    return NOT_CAUGHT


def _plant(target: str, fault: Callable[[Any], Any]) -> None:
    module, _, path = target.partition(":")
    *owners, name = path.split(".")
    owner: Any = importlib.import_module(module)
    for part in owners:
        owner = getattr(owner, part)
    old = vars(owner)[name]
    new = fault(old)
    setattr(owner, name, new)
    if not owners and callable(old):
        # Whoever imported a function by its name has it under that name.
        for other in [one for key, one in sys.modules.items() if key.startswith(("dosefind", "tests"))]:
            for key in [key for key, value in vars(other).items() if value is old]:
                setattr(other, key, new)


def forget() -> None:
    """Drop whatever the package has worked out and kept."""
    for module in [one for key, one in sys.modules.items() if key.startswith(("dosefind", "tests"))]:
        for value in list(vars(module).values()):
            if callable(getattr(value, "cache_clear", None)):
                value.cache_clear()
    for one in gc.get_objects():
        kind = type(one)
        if str(kind.__module__).startswith("dosefind") and hasattr(one, "__dict__"):
            for name in [name for name in vars(one) if isinstance(getattr(kind, name, None), cached_property)]:
                del vars(one)[name]


def _cases(test: Callable[..., Any]) -> Iterator[dict[str, Any]]:
    """Parameters of each case of a parametrized test."""
    sets = []
    for mark in getattr(test, "pytestmark", []):
        if mark.name == "parametrize":
            names = [name.strip() for name in mark.args[0].split(",")] if isinstance(mark.args[0], str) else list(mark.args[0])
            values = [getattr(one, "values", one) if hasattr(one, "marks") else one for one in mark.args[1]]
            several = [value if len(names) > 1 or hasattr(value, "marks") else (value,) for value in values]
            sets.append([dict(zip(names, value, strict=True)) for value in several])
    for combined in itertools.product(*sets):
        yield {name: value for one in combined for name, value in one.items()}
