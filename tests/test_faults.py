"""The faults of `tests.faults`: none is stale, and each turns its named test red."""

import ast
import os

import pytest

from .faults import FAULTS, ROOT, run


def test_no_fault_is_stale():
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
    functions = {}
    for fault in FAULTS:
        text = fault.planted((ROOT / "dosefind" / fault.file).read_text(encoding="utf-8"))
        # A module that cannot be read would fail every test, which shows nothing.
        if fault.file.endswith(".py"):
            ast.parse(text)
        file, _, function = fault.node.partition("::")
        if file not in functions:
            tests = ast.parse((ROOT / file).read_text(encoding="utf-8")).body
            functions[file] = {node.name for node in tests if isinstance(node, ast.FunctionDef)}
        assert function.partition("[")[0] in functions[file], fault.test


@pytest.mark.faults
@pytest.mark.skipif(not hasattr(os, "fork"), reason="faults are planted in forked processes")
def test_every_fault_is_caught():
    lines = []
    caught, total = run(FAULTS, lines.append)
    print(lines[-1])
    assert total >= 40
    assert caught == total, "\n".join(line for line in lines if not line.startswith("caught"))
