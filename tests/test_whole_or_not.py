"""Files appear under their names when all are complete, and a process that is ended leaves nothing half done."""

import errno
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import xarray as xr
from click.testing import CliRunner

from dosefind import InputError, provenance
from dosefind.cli import main
from dosefind.interruption import Ended, noticed, raised, undisturbed

from .peers import ROOT

CONFIG = ROOT / "configs" / "nct05962762.toml"
TABLE = ("table", str(CONFIG), "--design", "boin")
FILES = {"a.csv": b"one", "b.json": b"two", "below/c.xpt": b"three"}


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def run(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def started(code, *words, **options):
    """Start Python with some code, which writes a line once it is where the test wants it."""
    process = subprocess.Popen([sys.executable, "-c", code, *map(str, words)], stdout=subprocess.PIPE, text=True, **options)
    assert process.stdout.readline()
    return process


WRITING = """
import sys, time
from pathlib import Path
from dosefind.provenance import write_whole
def slowly(path):
    path.write_bytes(b"half")
    print("writing", flush=True)
    time.sleep(100)
write_whole(Path(sys.argv[1]), {"a.csv": b"all", "b.csv": slowly})
"""


def test_a_result_leaves_its_files_only(tmp_path):
    provenance.write_whole(tmp_path / "new" / "out", FILES, force=False)
    assert content(tmp_path / "new" / "out") == FILES


@pytest.mark.parametrize("name", FILES)
def test_a_file_made_in_the_meantime_is_kept(name, tmp_path):
    def meanwhile(path):
        path.write_bytes(b"mine")
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"theirs")

    with pytest.raises(InputError) as caught:
        provenance.write_whole(tmp_path, {**FILES, "z.csv": meanwhile}, force=False)
    assert name.rpartition("/")[2] in str(caught.value)
    assert content(tmp_path) == {name: b"theirs"}


@pytest.mark.parametrize("name", FILES)
def test_force_overwrites_a_file_made_in_the_meantime(name, tmp_path):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"theirs")
    provenance.write_whole(tmp_path, FILES)
    assert content(tmp_path) == FILES


def test_a_link_to_nowhere_is_kept(tmp_path):
    (tmp_path / "a.csv").symlink_to(tmp_path / "gone")
    with pytest.raises(InputError):
        provenance.write_whole(tmp_path, FILES, force=False)
    assert (tmp_path / "a.csv").is_symlink()
    assert content(tmp_path) == {}


def test_a_file_system_without_links(tmp_path, monkeypatch):
    def no_links(*_):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    provenance.write_whole(tmp_path, FILES, force=False)
    assert content(tmp_path) == FILES
    with pytest.raises(InputError):
        provenance.write_whole(tmp_path, {"b.json": b"new", "n.csv": b"new"}, force=False)
    provenance.write_whole(tmp_path, {"b.json": b"new"})
    assert content(tmp_path) == {**FILES, "b.json": b"new"}


@pytest.mark.parametrize("force", [False, True])
def test_names_already_given_are_taken_back(force, tmp_path):
    (tmp_path / "b.json").mkdir()
    earlier = {"a.csv": b"earlier"} if force else {}
    for name, held in earlier.items():
        (tmp_path / name).write_bytes(held)
    with pytest.raises(InputError):
        provenance.write_whole(tmp_path, FILES, force=force)
    assert content(tmp_path) == earlier


@pytest.mark.parametrize("size", [0, 100, 3000, 20_000])
@pytest.mark.parametrize("words", [TABLE, ("schema",)], ids=["table", "schema"])
def test_a_limit_on_the_size_of_files(words, size, tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    out = tmp_path / "out"
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        result = run(*words, "--out", out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert result.exit_code in (0, 2)
    if result.exit_code == 2:
        assert str(out) in result.stderr
        assert "nothing was written" in result.stderr
        assert result.stdout == ""
        assert not out.exists()
    else:
        run(*words, "--out", tmp_path / "whole")
        assert content(out) == content(tmp_path / "whole")


def test_a_transport_file_that_is_cut_short(tmp_path, monkeypatch):
    pyreadstat = pytest.importorskip("pyreadstat")
    write = pyreadstat.write_xport

    def cut(frame, path, **options):
        write(frame, path, **options)
        os.truncate(path, os.path.getsize(path) // 160 * 80)

    monkeypatch.setattr(pyreadstat, "write_xport", cut)
    result = run("synthesize", CONFIG, "--truth", "low", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "nothing was written" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_what_a_killed_process_left_is_removed(number, tmp_path):
    process = started(WRITING, tmp_path)
    process.send_signal(number)
    assert process.wait(60) == -number
    process.stdout.close()
    assert [path.name[:9] for path in tmp_path.iterdir()] == [".writing-"]
    provenance.write_whole(tmp_path, FILES)
    assert content(tmp_path) == FILES


def test_files_of_a_living_process_are_kept(tmp_path):
    process = started(WRITING, tmp_path)
    try:
        process.send_signal(signal.SIGSTOP)
        provenance.write_whole(tmp_path, FILES)
        left = content(tmp_path)
        assert {name: left[name] for name in FILES} == FILES
        assert sorted(left[name] for name in left if name not in FILES) == [b"all", b"half"]
    finally:
        process.kill()
        process.wait(60)
        process.stdout.close()


def test_other_hidden_folders_are_kept(tmp_path):
    for name in (".writing-notes", ".writing", "writing-dosefind-x"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine").write_bytes(b"mine")
    before = content(tmp_path)
    provenance.write_whole(tmp_path, FILES)
    assert content(tmp_path) == {**before, **FILES}


COMMAND = """
import sys, time
from dosefind import tasks
from dosefind.cli import main
def never(*given, **named):
    print("working", flush=True)
    time.sleep(100)
tasks.decision_table = never
main(sys.argv[1:])
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_command_that_is_ended(number, tmp_path):
    process = started(COMMAND, *TABLE, "--out", tmp_path / "out", stderr=subprocess.PIPE)
    process.send_signal(number)
    out, error = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert out == ""
    assert error.startswith("dosefind: ")
    assert "nothing was written" in error
    assert "Traceback" not in error
    assert list(tmp_path.iterdir()) == []


def test_an_ignored_signal_stays_ignored(tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with raised():
            signal.raise_signal(signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_signal_comes_after_what_must_not_be_disturbed():
    done = []

    def work():
        with undisturbed():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGINT)
            done.append("all")

    with raised(), pytest.raises((Ended, KeyboardInterrupt)):
        work()
    assert done == ["all"]


def test_an_interruption_after_the_files_have_their_names_says_so(tmp_path, monkeypatch):
    give = provenance._give_names

    def interrupted(*given):
        give(*given)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(provenance, "_give_names", interrupted)
    result = run("schema", "--out", tmp_path)
    assert result.exit_code == 130
    assert "schema.json" in result.stderr
    assert "nothing was written" not in result.stderr
    assert list(content(tmp_path)) == ["schema.json"]


@pytest.mark.parametrize("swallowed", [KeyboardInterrupt, BaseException])
def test_an_interruption_that_is_swallowed_is_raised(swallowed):
    def work():
        with noticed():
            try:
                signal.raise_signal(signal.SIGINT)
            except swallowed:
                return "the draws made so far"
        return "all draws"

    with pytest.raises(KeyboardInterrupt):
        work()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("closed", "status", "files"),
    [(">&-", 0, 4), ("2>&-", 0, 4), ("<&-", 0, 4), (">&- 2>&- <&-", 0, 4), (">/dev/full", 1, 4), ("2>/dev/full", 0, 4)],
)
def test_standard_files_that_are_closed_or_full(closed, status, files, tmp_path):
    """Who closes standard output wants no table; a full one is an error. Files are written whole in each case."""
    out = tmp_path / "out"
    line = f'"{sys.executable}" -m dosefind table "{CONFIG}" --design boin --out "{out}" {closed}'
    shown = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    assert shown.returncode == status
    assert "Traceback" not in shown.stderr
    assert len(content(out)) == files
    run(*TABLE, "--out", tmp_path / "whole")
    assert content(out) == content(tmp_path / "whole")


def test_a_full_disk_is_told_of_help_too():
    with Path("/dev/full").open("w") as full:
        shown = subprocess.run(
            [sys.executable, "-m", "dosefind", "--help"], stdout=full, stderr=subprocess.PIPE, text=True, check=False, cwd=ROOT
        )
    assert shown.returncode == 1
    assert shown.stderr.startswith("dosefind: error: ")


@pytest.mark.slow
def test_netcdf_is_the_same_bytes_and_the_same_result(tmp_path):
    for name in ("one", "two"):
        assert run("analyze", CONFIG, "--outcomes", "1NNN 2NNT", "--out", tmp_path / name).exit_code == 0
    assert content(tmp_path / "one") == content(tmp_path / "two")
    tree = xr.open_datatree(tmp_path / "one" / "analyze.nc", engine="h5netcdf")
    assert tree.attrs["outcomes"] == "1NNN 2NNT"
    tree.close()
