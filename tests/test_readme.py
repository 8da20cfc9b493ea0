"""The README's Python runs as it is written, and its commands are those that the CI runs."""

import re
import shlex

import pytest
from click.testing import CliRunner

from dosefind.cli import main

from .peers import ROOT

README = (ROOT / "README.md").read_text()


@pytest.mark.slow
def test_python_blocks_run(monkeypatch):
    monkeypatch.chdir(ROOT)
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 2
    names: dict = {}
    for block in blocks:
        exec(block, names)
    assert abs(float(names["oc"].selected.sum()) - 1) < 1e-12


def test_commands_are_the_ones_that_ci_runs():
    commands = re.findall(r"```sh\n(.*?)\n```", README, re.DOTALL)
    assert commands[0].endswith("dosefind compare configs/nct05962762.toml")
    assert commands[1].endswith("-m pytest")
    script = (ROOT / ".ci" / "run").read_text()
    assert "-m pytest" in script
    assert "dosefind compare" in script


@pytest.mark.slow
def test_samples_are_what_the_commands_print(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "80")
    commands = "(?:compare|table|paths|analyze)"
    samples = re.findall(rf"```sh\n([^`]*?dosefind {commands} [^`]*?)\n```[^`]*?```text\n(.*?)\n```", README, re.DOTALL)
    shown = re.search(r"```text\n(NCT05962762: comparison.*?)\n```", README, re.DOTALL)[1]
    compare = "dosefind compare configs/nct05962762.toml"
    for command, lines in ((compare, shown), *samples):
        printed = "\n" + CliRunner().invoke(main, shlex.split(command.split("dosefind ", 1)[1])).stdout
        for line in lines.splitlines():
            assert f"\n{line}" in printed
    assert [command.split()[0] for command, _ in samples] == [".venv/bin/dosefind"] * 3
