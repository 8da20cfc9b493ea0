"""The command line as its users meet it: what goes where, formats, files, exit status."""

import contextlib
import json
import os
import re
import subprocess
import sys

import pytest
from click.testing import CliRunner

from dosefind import load_trial
from dosefind.cli import main

from .peers import ROOT

CONFIG = str(ROOT / "configs" / "nct05962762.toml")


def run(*words):
    result = CliRunner().invoke(main, list(words))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_compare_prints_the_answer_and_with_details_all():
    short, whole = run("compare", CONFIG), run("compare", CONFIG, "--details")
    for result in (short, whole):
        assert result.exit_code == 0
        assert result.stderr == ""
        assert "\x1b" not in result.stdout
        assert all(line == line.rstrip() for line in result.stdout.splitlines())
        assert max(map(len, result.stdout.splitlines())) <= 118
    assert "--details" in short.stdout
    assert "--details" not in whole.stdout
    assert len(short.stdout) < 0.2 * len(whole.stdout)
    # 3+3 under .10, .25, .40, worked out by the recursion of the contract.
    middle = whole.stdout[whole.stdout.index("\nmiddle is MTD: ") :]
    for label, figure in (("none", "9.4"), ("level 1", "36.3"), ("level 2", "37.5"), ("level 3", "16.8")):
        assert re.search(rf"^{label} +([\d.]+)", middle, re.MULTILINE)[1] == figure
    # What is assumed, with its reason.
    assert {"target.rate", "target.mtd_margin"} <= set(whole.stdout.split())


def test_a_day_that_cannot_be_read_is_shown_one_that_can():
    done = run("next", CONFIG, "--data", CONFIG, "--as-of", "14.3.2024")
    assert done.exit_code == 2
    assert "'14.3.2024' is not a day such as 2024-03-14" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "keys"),
    [
        (("compare",), {"attrs", "coords", "data_vars", "dims"}),
        (("table", "--design", "boin"), {"attrs", "rows"}),
        (("table", "--design", "crm"), {"attrs", "rows"}),
        (("paths", "--design", "crm-6", "--cohorts", "3"), {"attrs", "rows"}),
    ],
)
def test_json_and_files(words, keys, tmp_path):
    command, *options = words
    result = run(command, CONFIG, *options, "--json", "--seed", "3", "--out", str(tmp_path / "out"))
    content = json.loads(result.stdout)
    assert set(content) == keys
    assert content["attrs"]["config_sha256"]
    assert content["attrs"]["versions"]
    assert "Maximum sample size 18; the last cohort is reduced if necessary." in list(content["attrs"]["rules"].values())[-1]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(
        f"{command}{end}" for end in (".csv", ".json", ".nc", "-assumed.csv")
    )
    assert json.loads((tmp_path / "out" / f"{command}.json").read_text()) == content
    again = run(command, CONFIG, *options, "--out", str(tmp_path / "out"))
    assert again.exit_code == 2
    assert "--force overwrites" in again.stderr
    assert again.stdout == ""
    assert run(command, CONFIG, *options, "--out", str(tmp_path / "out"), "--force").exit_code == 0


def test_paths_after_outcomes():
    text = run("paths", CONFIG, "--design", "3+3", "--cohorts", "1", "--outcomes", "1NNN 2NNT", "--details").stdout
    assert "after 1NNN 2NNT" in text
    # What is assumed of this design, and not of the others.
    assert re.search(r"^designs\.3\+3 ", text, re.MULTILINE)
    assert "designs.crm" not in text
    assert "2TTT" in text
    assert "deviate" not in text
    # Its rules, in the sentences of a comparison, and no other design's.
    for rule in load_trial(CONFIG).designs["3+3"].rules():
        assert rule in " ".join(text.split())
    assert "Target DLT rate" not in text


def test_paths_say_where_the_outcomes_deviate():
    stopped = "the design would have stopped after cohort 1: the lowest dose has too many DLTs, so no dose is the MTD"
    text = run("paths", CONFIG, "--design", "3+3", "--outcomes", "1NTT 1NNN").stdout
    assert f"{stopped[1:]}." in " ".join(text.split())
    attrs = json.loads(run("paths", CONFIG, "--design", "3+3", "--outcomes", "1NTT 1NNN", "--json").stdout)["attrs"]
    assert attrs["note"].endswith(f"The outcomes so far deviate from the design: {stopped}.")
    assert [(found["kind"], found["cohort"]) for found in attrs["deviations"]] == [("stopped", 2)]


def test_schema_is_json():
    assert json.loads(run("schema").stdout)["properties"]["designs"]


def test_help_and_version():
    assert run("--version").stdout.startswith("dosefind, version ")
    for command in ("compare", "table", "paths", "schema"):
        text = run(command, "--help").stdout
        assert "--json" in text
        assert "--seed" in text


@pytest.mark.slow
@pytest.mark.parametrize("module", ["dosefind", "dosefind.cli"])
def test_as_a_process_in_a_pipe(module):
    env = {**os.environ, "NO_COLOR": "1", "COLUMNS": "80"}
    process = subprocess.run(
        [sys.executable, "-m", module, "table", CONFIG, "--design", "boin"],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert process.stderr == ""
    assert "de-escalate" in process.stdout


def test_python_m_dosefind_shows_its_own_usage_and_exit_status():
    command = [sys.executable, "-m", "dosefind", "compare"]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == run("compare").exit_code == 2
    assert process.stderr.startswith("Usage: python -m dosefind compare ")


def in_a_terminal(*words, **env):
    """What a command writes to a terminal."""
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "dosefind.cli", *words]
    inherited = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs, env={**inherited, "TERM": "xterm", **env})
    os.close(theirs)
    text = ""
    # Linux ends a terminal whose other side is closed with an error.
    with open(ours, encoding="utf-8", errors="replace") as terminal, contextlib.suppress(OSError):
        while part := terminal.read(1024):
            text += part
    assert process.wait() == 0
    return text


@pytest.mark.slow
def test_no_color_means_no_bold_either():
    words = ("table", CONFIG, "--design", "boin")
    assert "\x1b[1m" in in_a_terminal(*words)
    assert "\x1b" not in in_a_terminal(*words, NO_COLOR="1")


@pytest.mark.slow
def test_a_narrow_terminal_cuts_nothing():
    text = in_a_terminal("compare", CONFIG, COLUMNS="60")
    assert "\u2026" not in text
    assert "boin-6-stay" in text


@pytest.mark.slow
def test_a_full_disk_is_one_line():
    command = f"{sys.executable} -m dosefind.cli compare {CONFIG} > /dev/full"
    process = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert process.returncode == 1
    assert process.stderr == "dosefind: error: No space left on device\n"


@pytest.mark.slow
def test_a_closed_pipe_ends_quietly():
    command = f"{sys.executable} -m dosefind.cli compare {CONFIG} | head -1"
    process = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert process.stderr == ""


def test_help_of_every_command_has_two_examples():
    for name, command in main.commands.items():
        shown = (command.epilog or "").splitlines()
        examples = [line for line in shown if line.startswith(f"  dosefind {name} ") or line == f"  dosefind {name}"]
        assert len(examples) >= 2, name
