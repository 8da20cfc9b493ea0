"""The README's Python runs as it is written, and its commands are those that the CI runs."""

import re

from .peers import ROOT

README = (ROOT / "README.md").read_text()


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


def test_notebooks_run(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    pages = sorted((ROOT / "notebooks").glob("*.py"))
    assert pages
    for page in pages:
        exec(compile(page.read_text(), page.name, "exec"), {})
    assert "middle is MTD" in capsys.readouterr().out
