"""Semantic faults as patches, beside the tests that must notice them.

A fault replaces one name of the package by something that breaks a rule; the test must pass without it and fail with it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pytest

__all__ = ["check_caught"]


def check_caught(target: str, fault: Callable[[Any], Any], test: Callable[[], None]) -> None:
    """Check that a test notices a fault.

    Parameters
    ----------
    target
        What the fault replaces: module and name, such as ``dosefind.conduct:waits`` or ``dosefind.designs.boin:BOIN.propose``.
    fault
        Makes the replacement from what it replaces.
    test
        The test, with its arguments filled in. Only a failed assertion counts: a fault that makes the package raise shows nothing.
    """
    test()
    module, _, path = target.partition(":")
    *owners, name = path.split(".")
    owner: Any = importlib.import_module(module)
    for part in owners:
        owner = getattr(owner, part)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, fault(vars(owner)[name]))
        try:
            test()
        except AssertionError:
            return
    pytest.fail(f"the fault in {target} was not noticed")
