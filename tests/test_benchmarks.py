"""Benchmarks: the front finds each study, a study saves whole or not at all, a comparison tells noise, R is read strictly."""

import dataclasses
import io
import itertools
import json
import math
import os
import shlex
import stat
import subprocess
import sys
import unicodedata
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from benchmarks import __main__ as front
from benchmarks import compare, peers
from benchmarks.measure import Runs, Yardstick, timed
from benchmarks.picture import Line, Panel, lines
from benchmarks.study import Study, question_of
from dosefind import InputError
from dosefind.plots import alt_text

STUDIES = ("intake", "operating", "posterior", "report", "samplers", "sbc")


# The front


def test_each_study_is_listed_with_its_question(capsys):
    assert front.main(["--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    for name in STUDIES:
        study = import_module(f"benchmarks.{name}").STUDY
        assert study.name == name
        assert set(study.figures.values()) <= {"less", "more"}
        assert study.question.endswith("?")
        assert f"{name} {study.question}" in said
    assert "compare OLD.json NEW.json" in said


def test_a_study_is_found_by_its_file(tmp_path):
    (tmp_path / "mine.py").write_text('"""Is it\nso? And more."""\nimport no_such_module\nSTUDY = no_such_module.Study()\n')
    (tmp_path / "helper.py").write_text('"""Is this one too?"""\nOTHER = 1\n')
    assert front.studies(tmp_path) == {"mine": "Is it so?"}


def test_the_front_runs_a_study(tmp_path, monkeypatch, capsys, plain):
    monkeypatch.setattr(import_module("benchmarks.intake"), "STUDY", made(tmp_path))
    assert front.main(["intake", "--quick", "--out", str(tmp_path / "out")]) == 0
    assert "MISSED  at most 0 s" in capsys.readouterr().out


def test_no_such_study(capsys):
    assert front.main(["operatng"]) == 2
    assert "did you mean 'operating'?" in capsys.readouterr().err
    assert front.main([]) == 2


# A study


@pytest.fixture
def plain(monkeypatch):
    """No matplotlib, which spares the time of a picture."""
    monkeypatch.setattr("benchmarks.study.find_spec", lambda name: None)


def made(tmp_path, found=None, **settings):
    """A study of two rows."""
    rows = [{"name": "a", "status": "done", "seconds": 1.0, "error": math.nan}, {"name": "b", "status": "not installed"}]

    def draw(content):
        each = [Line("all", row["name"], row, None if row["status"] == "done" else row["status"]) for row in content["rows"]]
        return lines(content["question"], "foot", each, [Panel("Seconds", "of all", "seconds")])

    return Study(
        str(tmp_path / "mine.py"),
        "Is it\nso? And more.",
        quick="less",
        rows=found or (lambda options, progress: iter(rows)),
        show=lambda console, rows: console.print(f"{len(rows)} rows"),
        draw=draw,
        goals=lambda rows: [{"text": "at most 0 s", "reached": False}],
        figures={"seconds": "less"},
        **settings,
    )


def test_what_a_study_saves(tmp_path):
    study = made(tmp_path, options=lambda parser: parser.add_argument("--cache", type=Path, default=tmp_path))
    folder = tmp_path / "out"
    assert study.main(["--quick", "--out", str(folder)]) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["mine.json", "mine.png", "mine.svg"]
    content = json.loads((folder / "mine.json").read_text())
    assert (content["study"], content["question"], content["settings"]) == ("mine", "Is it so?", {"quick": True})
    assert {"cpu", "cores", "load_average_at_start", "load_average_at_end"} <= content["machine"].keys()
    assert {"dosefind", "numpy"} <= content["versions"].keys()
    assert content["rows"][0]["error"] is None
    assert content["to_reach"] == [{"text": "at most 0 s", "reached": False}]
    # Where the files lie on this machine is nobody's business.
    assert str(tmp_path) not in (folder / "mine.json").read_text()
    assert compare.read(folder / "mine.json")["figures"] == {"seconds": "less"}


def test_files_that_are_there_stay(tmp_path, capsys, plain):
    (tmp_path / "mine.json").write_text("mine")
    with pytest.raises(SystemExit, match="2"):
        made(tmp_path).main(["--out", str(tmp_path)])
    assert "has mine.json already; --force overwrites" in capsys.readouterr().err
    assert (tmp_path / "mine.json").read_text() == "mine"
    assert made(tmp_path).main(["--out", str(tmp_path), "--force"]) == 0
    assert made(tmp_path, renewed=True).main(["--out", str(tmp_path)]) == 0


def test_a_file_is_no_folder(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        made(tmp_path).main(["--out", str(tmp_path / "mine.json")])
    assert "must be a folder, which gets mine.json" in capsys.readouterr().err


def test_interrupted(tmp_path, capsys):
    def found(options, progress):
        yield {"name": "a", "status": "done"}
        raise KeyboardInterrupt

    assert made(tmp_path, found).main(["--out", str(tmp_path / "out")]) == 130
    shown = capsys.readouterr()
    assert "1 rows" in shown.out
    assert "interrupted: nothing is saved" in shown.err
    assert list(tmp_path.iterdir()) == []


def test_the_exit_status_of_a_failure(tmp_path, plain):
    assert made(tmp_path, failed=lambda rows: True).main(["--out", str(tmp_path / "out")]) == 1


def test_without_matplotlib(tmp_path, capsys, plain):
    assert made(tmp_path).main(["--out", str(tmp_path / "out")]) == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.json"]
    assert "there will be no picture, as matplotlib is not installed" in capsys.readouterr().err


@pytest.mark.parametrize(("low", "high"), [(0.11, 0.19), (2.0, 9.0), (0.001, 500.0)])
def test_a_logarithmic_axis_has_numbers_to_read_it_by(low, high):
    each = [Line("", "one", {"seconds": low}), Line("", "two", {"seconds": high})]
    ax = lines("How long?", "", each, [Panel("Seconds", "log", "seconds", log=True)])
    left, right = ax.get_xlim()
    assert sum(left <= tick <= right for tick in ax.get_xticks()) >= 3


def test_a_picture_says_its_numbers():
    panels = [Panel("Seconds", "log", "seconds", log=True, bound="goal"), Panel("Error", "", "error", "{:.1f}".format)]
    each = [
        Line("one", "a", {"seconds": 0.25, "goal": 0.1, "error": 2.0}),
        Line("one", "b", {"seconds": 3, "error": math.nan}),
        Line("two", "$x$", {}, "not installed"),
    ]
    said = alt_text(lines("Is it so?", "foot", each, panels))
    assert said == "Is it so. one, a: Seconds 0.25, Error 2.0. one, b: Seconds 3.00. two, $x$: not installed."


def test_a_study_of_nothing_is_drawn():
    lines("Is it so?", "foot", [], [Panel("Seconds", "", "seconds")])


def test_sbc_leaves_the_stored_results(tmp_path):
    sbc = import_module("benchmarks.sbc")
    options = sbc.STUDY.arguments(["--quick", "--out", str(tmp_path)])
    assert options.results == tmp_path / "cases"
    assert sbc.STUDY.arguments(["--out", str(tmp_path), "--only", "power-quadrature"]).results == sbc.RESULTS
    with pytest.raises(SystemExit, match="2"):
        sbc.STUDY.arguments(["--out", str(tmp_path), "--only", "power-quadrature", "--sets", "20"])


@pytest.mark.slow
def test_sbc_goes_on_and_saves_each_case(tmp_path, capsys):
    sbc = import_module("benchmarks.sbc")
    words = ["--only", "power-quadrature", "--sets", "20", "--workers", "1", "--out", str(tmp_path / "out")]
    words += ["--results", str(tmp_path / "results"), "--cache", str(tmp_path / "cache")]
    assert [sbc.STUDY.main(words) for _ in range(2)] == [0, 0]
    kept = sbc.stored("power-quadrature", tmp_path / "results")
    assert (kept["n_sets"], [run["seed"] for run in kept["runs"]]) == (20, [sbc.SEED, sbc.SEED + 1])
    row = json.loads((tmp_path / "out" / "sbc.json").read_text())["rows"][0]
    assert row["passed"]
    assert row["least_excess_1"] <= row["most_excess_1"] <= 0


@pytest.mark.slow
def test_operating_from_walk_to_picture(tmp_path, capsys):
    operating = import_module("benchmarks.operating")
    assert operating.STUDY.main(["--only", "3+3/3/10x3", "--out", str(tmp_path)]) == 0
    assert "3+3" in capsys.readouterr().out
    content = json.loads((tmp_path / "operating.json").read_text())
    (row,) = content["rows"]
    assert (row["status"], row["states"] > row["ends"] > 10) == ("done", True)
    assert [row["truths"][count]["status"] for count in ("1", "100", "10000")] == ["done"] * 3
    compared = compare.changes(content, content)
    assert {"seconds", "truths: 10000: seconds"} <= {one.figure for one in compared}
    done = {"status": "done", "exact": {"seconds": 0.01}, "simulated": {"seconds": 0.1}, "r_seconds": 3.0}
    peer = {"part": "peers", "package": "BOIN", "design": "boin", "trials": 1000, "worst_difference_in_standard_errors": 1.5}
    said = alt_text(operating.draw(content | {"rows": [done | peer, row]}))
    assert "Exact and R, BOIN boin, 1,000 trials: Seconds, exact 0.0100, Simulated and exact 1.50." in said
    capsys.readouterr()
    with pytest.raises(SystemExit, match="2"):
        operating.STUDY.arguments(["--only", "3+4", "--out", str(tmp_path / "new")])
    assert "the rows are 3+3/3/10x3, " in " ".join(capsys.readouterr().err.split())
    # A row is found by the name that it is printed under.
    options = operating.STUDY.arguments(["--only", "fits/power/48", "--out", str(tmp_path / "new")])
    assert [name for name, _, _ in operating.jobs(options) if operating.wanted(name, options)] == ["fits/power"]


def test_a_study_that_measured_nothing_has_failed(tmp_path, capsys):
    study = dataclasses.replace(made(tmp_path), rows=lambda options, progress: [{"name": "a", "status": "not installed"}])
    assert study.main(["--out", str(tmp_path / "out")]) == 1


def test_a_study_of_reports_says_what_is_missing(tmp_path, monkeypatch, capsys):
    report = import_module("benchmarks.report")
    monkeypatch.setitem(sys.modules, "docx", None)
    with pytest.raises(SystemExit, match="2"):
        report.STUDY.main(["--out", str(tmp_path)])
    assert "a report needs python-docx, which is not installed: pip install 'dosefind[report]'" in capsys.readouterr().err


def test_goals_of_fits():
    operating = import_module("benchmarks.operating")
    goal = operating.Goal("fits", "fits/power", "1e-6", 100.0)
    rows = [
        {"name": "fits/power/48", "grid": "48", "worst_error": 1e-3, "fits_per_second": 500.0, "fits_per_cpu_second": 500.0},
        {"name": "fits/power/64", "grid": "64", "worst_error": 1e-7, "fits_per_second": 50.0, "fits_per_cpu_second": 200.0},
    ]
    assert not operating.judge(goal, rows)["reached"]
    assert operating.judge(dataclasses.replace(goal, figure="1e-2"), rows)["reached"]
    assert not operating.judge(dataclasses.replace(goal, figure="1e-9"), rows)["reached"]
    assert operating.judge(goal, []) is None


def test_posterior_rows_to_goals_and_picture():
    posterior = import_module("benchmarks.posterior")
    curve, patients = next(iter(posterior.GOALS))
    rows = [
        {"curve": curve, "patients": patients, "grid": grid, "worst_error": error, "fits_per_second": speed}
        for grid, error, speed in (("coarse", 1e-3, 9e9), ("fine", 0.0, 3e4), (posterior.ADAPTIVE, 1e-8, 1e4))
    ]
    assert [goal["reached"] for goal in posterior.goals(rows)] == [True]
    assert [goal["reached"] for goal in posterior.goals(rows[::2])] == [False]
    said = alt_text(posterior.draw({"question": "Is it so?", "rows": rows, "machine": MACHINE}))
    assert f"{curve}, {patients} patients, adaptive, to 1e-06: 10,000 fits a second, error 1e-08." in said


# Measuring


def test_runs_are_kept_with_their_median():
    record = Runs([2.0, 1.0, 4.0], [1.0, 1.0, 1.0]).record(fits=8)
    assert (record["seconds"], record["cpu_seconds"]) == (2.0, 1.0)
    assert (record["fits_per_second"], record["fits_per_cpu_second"]) == (4.0, 8.0)
    assert record["runs"]["fits_per_second"] == [4.0, 8.0, 2.0]


def test_what_is_short_runs_five_times():
    assert len(timed(lambda: None)[1].clock) == 5


@pytest.mark.slow
def test_the_yardstick_is_not_read_all_the_time():
    yardstick = Yardstick()
    for every in (1e9, 1e9, 0, 0):
        yardstick.read(every)
    assert len(yardstick.runs.clock) == len(yardstick.runs.processor) == 3


# Comparing

QUIET = {"seconds": 0.01, "cpu_seconds": 0.01}
MACHINE = {"cpu": "some", "cores": 2, "load_average_at_start": [0.1], "load_average_at_end": [1.2]}
OLD = [1.0, 1.1, 1.2, 1.3, 1.4]


def result(rows, **more):
    names = {"seconds": "less", "fits_per_second": "more", "peak_mb": "less"}
    plain = {"study": "mine", "question": "Is it so?", "machine": MACHINE, "versions": {"numpy": "1"}, "settings": {"quick": True}}
    return plain | {"figures": names, "yardstick": QUIET, "rows": rows} | more


def timing(name, runs, figure="seconds"):
    return {"name": name, "status": "done", figure: float(np.median(runs)), "runs": {figure: list(runs)}}


def change(old, new, figure="seconds", machine=1.0):
    before, after = result([timing("a", old, figure)]), result([timing("a", new, figure)])
    after["yardstick"] = {name: machine * value for name, value in QUIET.items()}
    (found,) = compare.changes(before, after)
    return found


@pytest.mark.parametrize(("n", "m", "called"), [(5, 5, 2), (6, 5, 4)])
def test_the_error_of_the_rule(n, m, called):
    """Of all ways to share out n + m different runs, so many are called changed: at most 1%."""
    runs = set(range(1, n + m + 1))
    each = [change(sorted(runs - set(new)), new).exceeds for new in itertools.combinations(sorted(runs), m)]
    assert sum(each) == called
    assert sum(each) / math.comb(n + m, m) <= compare.LEVEL


def test_a_change_beyond_the_noise():
    slower = change(OLD, [2.0, 2.2, 2.4, 2.6, 2.8])
    # 2 of 252 ways to share out ten runs are as far apart.
    assert slower.chance == pytest.approx(2 / 252, rel=1e-12)
    assert (slower.ratio, slower.verdict) == (2.0, "WORSE, beyond the noise (p = 0.0079)")
    assert change(OLD, [0.5, 0.6, 0.7, 0.8, 0.9]).verdict.startswith("BETTER, beyond")
    assert change(OLD, [2.0, 2.2, 2.4, 2.6, 2.8], "fits_per_second").verdict.startswith("BETTER, beyond")
    assert change(OLD, [1.05, 1.15, 1.25, 1.35, 1.45]).verdict.startswith("within the noise")
    assert change(OLD, OLD).chance == 1


def test_what_a_slower_machine_explains():
    doubled = [2 * one for one in OLD]
    assert change(OLD, doubled).exceeds
    assert not change(OLD, doubled, machine=2.0).exceeds
    assert not change(OLD, [one / 2 for one in OLD], "fits_per_second", machine=2.0).exceeds
    # Memory has nothing to do with it.
    assert change(OLD, doubled, "peak_mb", machine=2.0).exceeds
    # A machine that was faster explains no slower run, and gives no weight to noise.
    assert change(OLD, doubled, machine=0.5).exceeds
    assert not change(OLD, [1.05, 1.15, 1.25, 1.35, 1.45], machine=0.1).exceeds


def test_too_few_runs_and_none():
    assert change([1, 2, 3], [4, 5, 6]).verdict == "worse, too few runs (3, 3)"
    once = result([{"name": "a", "status": "done", "peak_mb": 2.0}]), result([{"name": "a", "status": "done", "peak_mb": 1}])
    assert compare.changes(*once)[0].verdict == "better, or noise (measured once)"
    assert math.isnan(compare.Change("a", "seconds", "less", 0.0, 1.0, None).ratio)


def test_only_what_both_have_is_compared():
    weighed = {"truths": {"1": {"seconds": 1.0}, "2": {"status": "refused"}}}
    old = result([timing("a", OLD) | weighed | {"doses": 5}, timing("b", OLD)])
    new = result([timing("a", OLD) | weighed, timing("c", OLD)], versions={"numpy": "2"}, machine=MACHINE | {"cores": 8})
    assert [(one.row, one.figure) for one in compare.changes(old, new)] == [("a", "seconds"), ("a", "truths: 1: seconds")]
    assert compare.differences(old, new) == [
        "machine, cores: 2 -> 8",
        "versions, numpy: 1 -> 2",
        "rows in the old file only: b",
        "rows in the new file only: c",
    ]


def test_a_comparison_as_it_is_printed(tmp_path, capsys):
    paths = [tmp_path / "old.json", tmp_path / "new.json"]
    for path, factor in zip(paths, (1, 3), strict=True):
        rows = [timing("[bold] a", [factor * one for one in OLD]), timing("b", OLD)]
        path.write_text(json.dumps(result(rows)))
    assert front.main(["compare", *map(str, paths)]) == 0
    said = capsys.readouterr().out
    assert "same machine, versions and settings" in said
    assert "[bold] a" in said
    assert "1 of 2 ratios with enough runs exceed the noise: 1 worse, 0 better." in said
    assert "would call at most 1% of them so: about 0.0 here" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "No such file"),
        ("no json", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[1]", "is no result of a study"),
        ("{}", "has no 'machine'"),
        (json.dumps(result([])).replace("load_average", "load"), "on which machine"),
        (json.dumps(result([], yardstick={"seconds": 0, "cpu_seconds": 0})), "on which machine"),
        (json.dumps(result([{"seconds": 1}])), "a row without a name"),
        (json.dumps(result([], study="other")), "two results of one study are compared; these are of 'mine' and 'other'"),
    ],
)
def test_files_that_cannot_be_compared(tmp_path, capsys, text, said):
    (tmp_path / "old.json").write_text(json.dumps(result([])))
    if text is not None:
        (tmp_path / "new.json").write_text(text)
    with pytest.raises(SystemExit, match="2"):
        front.main(["compare", str(tmp_path / "old.json"), str(tmp_path / "new.json")])
    assert said in capsys.readouterr().err


HOSTILE = {
    "escape": "\x1b[2J\x1b]0;title\x07",
    "bell": "a\x07b",
    "return": "a\rb",
    "C1": "a\x9b31mb",
    "bidirectional": "a\u202egnp.exe",
    "line separator": "a\u2028b",
    "letters": "\u6f22\u5b57 \u00e4",
    "surrogate": "a\udc9bb",
}


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
@pytest.mark.parametrize(
    "words", [("{}",), ("compare", "{}.json", "b.json"), ("compare", "{}", "{}"), ("posterior", "--out", "{}", "--{}")]
)
@pytest.mark.parametrize("kind", HOSTILE)
def test_no_argument_controls_the_terminal(kind, words, encoding, monkeypatch):
    """Through the front itself: names are shown in signs that the stream has, and no traceback comes."""
    streams = {name: io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict") for name in ("stdout", "stderr")}
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, stream)
    given = [word.format(*[HOSTILE[kind]] * 2) for word in words]
    try:
        status = front.main(given)
    except SystemExit as ended:
        status = ended.code
    assert status == 2
    for stream in streams.values():
        stream.flush()
    found = {name: stream.buffer.getvalue().decode(encoding) for name, stream in streams.items()}
    assert "error: " in found["stderr"]
    assert found["stdout"] == ""
    assert not [sign for sign in found["stderr"] if sign != "\n" and unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Zl", "Zp")]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize(
    ("redirected", "status", "said"),
    [("> /dev/full", 1, "No space left"), (">&-", 0, ""), ("2>&-", 0, ""), (">&- 2>&-", 0, ""), ("2> /dev/full", 0, "")],
)
def test_streams_that_cannot_be_written(redirected, status, said):
    command = f"{shlex.quote(sys.executable)} -m benchmarks --help {redirected}"
    folder = Path(front.__file__).parents[1]
    found = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60, check=False, cwd=folder, env=os.environ)
    assert found.returncode == status
    assert said in found.stderr
    assert "Traceback" not in found.stderr


def test_a_stored_calibration_is_no_result_of_a_study():
    with pytest.raises(InputError, match="is no result of a study"):
        compare.read(import_module("benchmarks.sbc").RESULTS / "power-quadrature.json")


# R. The packages themselves are not run here: a program answers in R's place, in the form that peers.R answers in.

GIVEN = peers.Scenario((0.05, 0.25, 0.5), 4, 3, 0.3, 1)
ANSWER = ("dosefind-peers,1", "package,BOIN,2.7.2", "R,4.5.1", "trials,1000", "seconds,1.25", "selected,0.125,0.25,0.5,0.125")


def answered(**changed):
    lines = [changed.get(line.partition(",")[0], line) for line in ANSWER]
    return "".join(f"{line}\n" for line in lines if line is not None)


def test_an_answer_is_read():
    found = peers.parsed(answered(), 1000, 4)
    assert found["selected"] == [0.125, 0.25, 0.5, 0.125]
    assert (found["package_version"], found["r_version"], found["seconds"]) == ("2.7.2", "4.5.1", 1.25)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dosefind-peers,1\nmissing,BOIN\n", "not installed: the R package BOIN"),
        ("", "no answer in the agreed form"),
        ("hello\n" + answered(), "no answer in the agreed form"),
        (answered() + "more,1\n", "no answer in the agreed form"),
        (answered(seconds=None), "no answer in the agreed form"),
        (answered(trials="trials,999"), "other values than asked for"),
        (answered(seconds="seconds,NA"), "other values than asked for"),
        (answered(seconds="seconds,-1"), "other values than asked for"),
        (answered(package="package,BOIN"), "other values than asked for"),
        (answered(selected="selected,0.5,0.5"), "other values than asked for"),
        (answered(selected="selected,0.5,0.5,0.5,0.5"), "other values than asked for"),
        (answered(selected="selected,0.5,0.5,0.5,-0.5"), "other values than asked for"),
        (answered(selected="selected,NaN,0.5,0.5,0"), "other values than asked for"),
    ],
)
def test_another_answer_is_none(text, said):
    with pytest.raises(peers.NoAnswer, match=said):
        peers.parsed(text, 1000, 4)


def stand_in(folder, monkeypatch, program):
    """A program that is found as Rscript."""
    path = folder / "Rscript"
    path.write_text(f"#!{sys.executable}\nimport sys\n{program}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(folder))


def test_what_r_is_asked_and_what_is_made_of_its_answer(tmp_path, monkeypatch):
    boin = dataclasses.replace(peers.PEERS[0], quick_trials=1000)
    said = tmp_path / "asked.txt"
    stand_in(tmp_path, monkeypatch, f"open({str(said)!r}, 'w').write('\\n'.join(sys.argv[1:]))\nprint({answered()!r}, end='')")
    row = peers.measure(GIVEN, boin, quick=True)
    assert row["status"] == "done"
    option, script, *words = said.read_text().splitlines()
    assert (option, Path(script)) == ("--vanilla", peers.SCRIPT)
    asked = dict(word.split("=") for word in words)
    assert asked | {"skeleton": ""} == {
        "truth": "0.05,0.25,0.5",
        "skeleton": "",
        "design": "boin",
        "target": "0.3",
        "cohorts": "4",
        "size": "3",
        "trials": "1000",
        "seed": "1",
    }
    assert row["r_seconds_with_start"] > 0
    exact = np.array(row["selected_exact"])
    assert exact.sum() == pytest.approx(1, abs=1e-12)
    worst = np.abs(np.array([0.125, 0.25, 0.5, 0.125]) - exact) / np.sqrt(exact * (1 - exact) / 1000)
    assert row["worst_difference_in_standard_errors"] == pytest.approx(worst.max(), rel=1e-9)
    text = io.StringIO()
    peers.show(
        Console(file=text, width=180), [row, {"package": "dfcrm", "design": "crm-power", "status": "not installed: Rscript"}]
    )
    assert "BOIN 2.7.2" in text.getvalue()
    assert "R, dfcrm (crm-power): not installed: Rscript" in text.getvalue()


def test_r_that_fails(tmp_path, monkeypatch):
    stand_in(tmp_path, monkeypatch, "sys.exit('Error in library: no')")
    assert peers.measure(GIVEN, peers.PEERS[0], True)["status"] == "failed: Rscript ended with status 1: 'Error in library: no'"


def test_no_r_at_all(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert peers.measure(GIVEN, peers.PEERS[0], True)["status"] == "not installed: Rscript"


@pytest.mark.parametrize("peer", peers.PEERS, ids=lambda peer: peer.design)
def test_r_as_it_is_on_this_machine(peer):
    """Where there is R, its script runs: what is missing is named, and what is there agrees with the exact answer."""
    row = peers.measure(GIVEN, dataclasses.replace(peer, quick_trials=50), quick=True)
    assert row["status"] in ("done", "not installed: Rscript", f"not installed: the R package {peer.package}")
    # Five standard errors: chance alone goes beyond once in a million.
    assert row.get("worst_difference_in_standard_errors", 0) < 5


def test_the_question_is_what_a_docstring_opens_with():
    assert question_of("How fast,\nand how right? By numbers.") == "How fast, and how right?"
