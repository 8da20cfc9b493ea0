"""The cache of a calibration: a damaged file is not taken, nor a result of code that has changed; workers end with their parent."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.__main__ import main as benchmarks_main
from benchmarks.sbc import CASES, stored
from dosefind import InputError, Power, calibrate
from dosefind.blocks import run
from dosefind.blocks.fingerprint import UnknownError, fingerprint
from dosefind.calibration.engines import ByQuadrature
from dosefind.calibration.jobs import DataSets

from .peers import ROOT

POWER = Power(skeleton=(0.1, 0.3))


class Quick(ByQuadrature):
    """Random numbers in place of results."""

    def one(self, layout, label, seed, index):
        return np.random.default_rng((seed, index)).random((2, 4))


def together(kind, label, folder, seed=1):
    return np.concatenate(list(run([DataSets(kind, POWER, None, label, (3, 3), seed)], 30, cache=folder)))


def results(folder, seed=4):
    return together(Quick, "fixed", folder, seed)


def flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def saved(change):
    """Write the rows as changed, in the place of those that were there."""

    def damage(path):
        rows = change(np.load(path))
        with path.open("wb") as file:
            np.save(file, rows)

    return damage


def pickled(path):
    with path.open("wb") as file:
        np.save(file, np.array([{"a": 1}, None], dtype=object), allow_pickle=True)


def a_folder(path):
    path.unlink()
    path.mkdir()


def a_pipe(path):
    path.unlink()
    os.mkfifo(path)


DAMAGE = {
    "one bit": flipped,
    "NaN": saved(lambda rows: np.full_like(rows, np.nan)),
    "infinity": saved(lambda rows: np.full_like(rows, np.inf)),
    "PIT of 7": saved(lambda rows: rows + 7),
    "negative PIT": saved(lambda rows: -rows),
    "float32": saved(lambda rows: rows.astype(np.float32)),
    "integers": saved(lambda rows: rows.astype(int)),
    "text": saved(lambda rows: rows.astype(str)),
    "complex": saved(lambda rows: rows.astype(complex)),
    "other byte order": saved(lambda rows: rows.astype(rows.dtype.newbyteorder())),
    "two dimensions": saved(lambda rows: rows[:, 0]),
    "no dimension": saved(lambda rows: np.float64(0.5)),
    "fewer quantities": saved(lambda rows: rows[..., :1]),
    "fewer sets": saved(lambda rows: rows[:-1]),
    "more sets": saved(lambda rows: np.concatenate([rows, rows])),
    "reversed": saved(lambda rows: rows[::-1]),
    "objects": pickled,
    "empty": lambda path: path.write_bytes(b""),
    "header only": lambda path: path.write_bytes(path.read_bytes()[:128]),
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-9]),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "ZIP": lambda path: path.write_bytes(b"PK\x03\x04" + path.read_bytes()[4:]),
    "pickle": lambda path: path.write_bytes(b"\x80\x04N."),
    "not NumPy": lambda path: path.write_text("pit,0.5\n"),
    "folder": a_folder,
    "pipe": a_pipe,
    "dangling link": lambda path: (path.unlink(), path.symlink_to("nowhere")),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damaged_chunk_is_recomputed(damage, tmp_path):
    right = results(tmp_path)
    first = sorted(tmp_path.glob("*/*.npy"))[0]
    whole = first.read_bytes()
    damage(first)
    if first.is_dir():
        # What is in the way is not removed.
        with pytest.raises(InputError, match=str(tmp_path)):
            results(tmp_path)
        return
    np.testing.assert_array_equal(results(tmp_path), right)
    assert first.read_bytes() == whole


def test_chunk_of_another_job_is_not_taken(tmp_path):
    results(tmp_path, seed=5)
    (other,) = tmp_path.iterdir()
    right = results(tmp_path)
    (own,) = set(tmp_path.iterdir()) - {other}
    for path in own.iterdir():
        path.unlink()
    for path in other.iterdir():
        path.rename(own / path.name)
    np.testing.assert_array_equal(results(tmp_path), right)


def test_cache_that_is_a_file_is_refused_before_any_work(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(Quick, "one", lambda *_: pytest.fail("work was done"))
    with pytest.raises(InputError, match="file"):
        results(tmp_path / "file")


class Unfinished(ByQuadrature):
    """An engine with results that cannot be PIT values."""

    def one(self, layout, label, seed, index):
        return np.full((2, 3), np.nan)


def test_impossible_results_are_not_kept(tmp_path):
    together(Unfinished, "a", tmp_path)
    assert not list(tmp_path.glob("*/*.npy"))


# Code of the user's own

CURVE = """
import sys
from typing import ClassVar
import numpy as np
from scipy.special import log_ndtr, ndtri
import dosefind as dsf
from dosefind.models.base import OneParameterCurve
{before}

class Probit(OneParameterCurve):
    '''Probit.'''
    kind: ClassVar[str] = "probit"
    title: ClassVar[str] = "Probit curve"
    source: ClassVar[str] = "x"
    def scale(self, p):
        return -{factor} * ndtri(p)
    def log_at(self, u, xp=np):
        return log_ndtr(-u / {factor}), log_ndtr(u / {factor})

model = Probit(skeleton=(0.1, 0.3), prior_sd=0.8)
"""
RULE = """
import dosefind as dsf
{before}

def rule(trial):
    "Go up, and down after a DLT."
    return max(1, min(trial.n_doses, trial.level + ({factor} if trial.last_y == 0 else -1)))

model = dsf.design_from_rule(rule, max_n=9)
"""
# What a curve or design uses, as text before it and as an expression in it; 1 is replaced by 2.
USES = {
    "literal": ("", "1"),
    "constant": ("FACTOR = 1", "FACTOR"),
    "function": ("def factor():\n    return 1", "factor()"),
    "function of a function": ("def inner():\n    return 1\ndef factor():\n    return inner()", "factor()"),
    "default": ("def factor(value=1):\n    return value", "factor()"),
    "keyword default": ("def factor(*, value=1):\n    return value", "factor()"),
    "closure": ("def made(value):\n    return lambda: value\nfactor = made(1)", "factor()"),
    "lambda in a table": ("TABLE = {'a': [lambda: 1]}", "TABLE['a'][0]()"),
    "cached function": ("from functools import cache\n@cache\ndef factor():\n    return 1", "factor()"),
    "partial": ("from functools import partial\nfactor = partial(max, 1)", "factor(0)"),
    "decorated function": (
        "from functools import wraps\ndef plain(f):\n    @wraps(f)\n    def g():\n        return f()\n    return g\n"
        "@plain\ndef factor():\n    return 1",
        "factor()",
    ),
    "class attribute": ("class Settings:\n    factor = 1", "Settings.factor"),
    "base class": ("class Base:\n    factor = 1\nclass Settings(Base):\n    pass", "Settings.factor"),
    "method": ("class Settings:\n    def factor(self):\n        return 1", "Settings().factor()"),
    "property": ("class Settings:\n    @property\n    def factor(self):\n        return 1\nS = Settings()", "S.factor"),
    "object": ("class Settings:\n    def __init__(self):\n        self.factor = 1\nS = Settings()", "S.factor"),
    "slots": (
        "class Settings:\n    __slots__ = ('factor',)\n    def __init__(self):\n        self.factor = 1\nS = Settings()",
        "S.factor",
    ),
    "dataclass": ("from dataclasses import dataclass\n@dataclass\nclass S:\n    factor: int = 1", "S().factor"),
    "named tuple": ("from collections import namedtuple\nS = namedtuple('S', 'factor')(1)", "S.factor"),
    "enumeration": ("from enum import Enum\nclass S(Enum):\n    A = 1", "S.A.value"),
    "array": ("import numpy as np\nA = np.array([0, 1])", "int(A[1])"),
    "array of objects": ("import numpy as np\nA = np.array([None, 1], dtype=object)", "A[1]"),
    "set": ("A = frozenset({0, 1})", "max(A)"),
    "by name": ("FACTOR = 1", "globals()['FACTOR']"),
    "generator": ("def factors():\n    yield 1", "next(factors())"),
    "comprehension": ("FACTORS = (1,)", "[one for one in FACTORS][0]"),
    "decimal": ("from decimal import Decimal\nD = Decimal(1)", "int(D)"),
}


def key_of(text, kind):
    names = {"__name__": "__main__"}
    exec(compile(text, "<string>", "exec"), names)
    if kind is RULE:
        return fingerprint(names["model"])
    return DataSets(ByQuadrature, names["model"], None, "a", (3, 3), 1).key()


@pytest.mark.parametrize("template", [CURVE, RULE], ids=["curve", "rule"])
@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_changed_code_is_seen(template, use):
    before, factor = use
    one = template.format(before=before, factor=factor)
    other = template.format(before=before.replace("1", "2"), factor=factor.replace("1", "2") if factor == "1" else factor)
    assert one != other
    keys = [key_of(text, template) for text in (one, other, one)]
    assert keys[0] == keys[2] != keys[1]


def test_comments_and_unused_names_do_not_count():
    one = CURVE.format(before="FACTOR = 1", factor="FACTOR")
    other = one.replace("FACTOR = 1", "# A comment.\n\nFACTOR = 1\nOTHER = 2")
    assert key_of(one, CURVE) == key_of(other, CURVE)


MODULES = {
    "import in the script": ("import helper", "helper.factor()"),
    "from import in the script": ("from helper import factor", "factor()"),
    "constant of a module": ("import helper", "helper.FACTOR"),
    "import in the function": ("def factor():\n    import helper\n    return helper.factor()", "factor()"),
    "from import in the function": ("def factor():\n    from helper import factor as f\n    return f()", "factor()"),
    "module of a package": ("import package.inner", "package.inner.factor()"),
    "from a package, in the function": ("def factor():\n    from package import inner\n    return inner.factor()", "factor()"),
}


@pytest.mark.parametrize("use", MODULES.values(), ids=MODULES)
def test_changed_module_is_seen(use, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    keys = []
    for value in (1, 2, 1):
        text = f"FACTOR = {value}\ndef factor():\n    return FACTOR\n"
        (tmp_path / "package").mkdir(exist_ok=True)
        for path in ("helper.py", "package/inner.py"):
            (tmp_path / path).write_text(text)
        (tmp_path / "package/__init__.py").write_text("")
        for name in ("helper", "package", "package.inner"):
            sys.modules.pop(name, None)
        __import__("importlib").invalidate_caches()
        keys.append(key_of(CURVE.format(before=use[0], factor=use[1]), CURVE))
    for name in ("helper", "package", "package.inner"):
        sys.modules.pop(name, None)
    assert keys[0] == keys[2] != keys[1]


UNKNOWN = {
    "lock": ("import threading\nLOCK = threading.Lock()", "(1 if LOCK else 2)"),
    "open file": ("import os\nFILE = open(os.devnull)", "(1 if FILE else 2)"),
    "code in a text": ("", "eval('1')"),
    "import by name": ("import importlib", "importlib.import_module('math').floor(1)"),
}


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.parametrize("use", UNKNOWN.values(), ids=UNKNOWN)
def test_code_that_cannot_be_compared_is_not_cached(use, tmp_path):
    names = {"__name__": "__main__"}
    exec(compile(CURVE.format(before=use[0], factor=use[1]), "<string>", "exec"), names)
    with pytest.raises(UnknownError):
        fingerprint(names["model"])
    with pytest.warns(UserWarning, match=str(tmp_path)):
        found = calibrate(names["model"], {"a": (3, 3)}, engine=Quick, n_sets=20, cache=tmp_path)
    assert not list(tmp_path.iterdir())
    assert found.sizes["set"] == 20
    assert found.attrs["source"].startswith("unknown")
    getattr(names.get("FILE"), "close", int)()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["stdin", "-c", "file"])
def test_changed_curve_in_another_process(how, tmp_path):
    prints = []
    for factor, cache in ((1.0, "cache"), (3.0, "cache"), (3.0, None)):
        text = CURVE.format(before=f"def factor():\n    return {factor}", factor="factor()")
        text += (
            f"\nfound = dsf.calibrate(model, {{'a': (3, 3)}}, n_sets=20, cache={cache!r})\nprint(found.pit.values.tobytes().hex())"
        )
        (tmp_path / "script.py").write_text(text)
        command = {"stdin": ["-"], "-c": ["-c", text], "file": ["script.py"]}[how]
        done = subprocess.run(
            [sys.executable, *command],
            input=text if how == "stdin" else None,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        prints.append(done.stdout)
    assert prints[0] != prints[1] == prints[2]


# Processes

LONG = """
import os, sys, time
from dosefind import Power, calibrate
from dosefind.calibration.engines import ByQuadrature

class Slow(ByQuadrature):
    def one(self, layout, label, seed, index):
        open(os.path.join(label, str(os.getpid())), "w").close()
        time.sleep(3)
        return super().one(layout, label, seed, index)

if __name__ == "__main__":
    calibrate(Power(skeleton=(0.1, 0.3)), {sys.argv[1]: (3, 3)}, engine=Slow, n_sets=50, workers=2, cache=sys.argv[2])
"""


def alive(process):
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are read from /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_with_their_parent(number, tmp_path):
    (tmp_path / "started").mkdir()
    (tmp_path / "script.py").write_text(textwrap.dedent(LONG))
    parent = subprocess.Popen(
        [sys.executable, tmp_path / "script.py", tmp_path / "started", tmp_path / "cache"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(600):
            workers = [int(path.name) for path in (tmp_path / "started").iterdir()]
            if len(workers) == 2:
                break
            time.sleep(0.1)
        assert len(workers) == 2
        parent.send_signal(number)
        # A chunk would take 75 seconds.
        assert parent.wait(timeout=20) != 0
        for _ in range(100):
            if not any(map(alive, workers)):
                break
            time.sleep(0.1)
        assert not any(map(alive, workers))
    finally:
        parent.kill()
        parent.wait()
    assert not list(tmp_path.glob("cache/*/*.npy"))


class Interrupted(Quick):
    """Answers an interruption with a result, as PyMC's sampler does."""

    def one(self, layout, label, seed, index):
        try:
            if index == 3:
                signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            pass
        return super().one(layout, label, seed, index)


def test_an_interrupted_chunk_is_not_kept(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        together(Interrupted, "a", tmp_path)
    assert not list(tmp_path.glob("*/*.npy"))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# The study


@pytest.mark.parametrize("words", [["--seed", "-1"], ["--seed", str(2**32 - 1)], ["--seed", "1.5"], ["--sets", "-3"]])
def test_study_refuses_a_bad_number(words, capsys, tmp_path):
    with pytest.raises(SystemExit) as ended:
        benchmarks_main(["sbc", "--quick", "--out", str(tmp_path), *words])
    assert ended.value.code == 2
    assert words[0] in capsys.readouterr().err


def cut(text):
    return text[: len(text) // 2]


@pytest.mark.parametrize(
    "damage",
    [cut, lambda text: "", lambda text: "[]", lambda text: "{}", lambda text: text.replace('"n_sets": ', '"n_sets": "x", "n": ')],
    ids=["cut short", "empty", "a list", "no entries", "n_sets a text"],
)
def test_damaged_stored_result_is_one_error(damage, capsys, tmp_path):
    name = next(iter(CASES))
    text = (ROOT / "benchmarks" / "results" / "sbc" / f"{name}.json").read_text()
    (tmp_path / f"{name}.json").write_text(damage(text))
    with pytest.raises(InputError, match=name):
        stored(name, tmp_path)
    with pytest.raises(SystemExit) as ended:
        benchmarks_main(["sbc", "--only", name, "--results", str(tmp_path), "--out", str(tmp_path / "out")])
    assert ended.value.code == 2
    assert f"{name}.json" in capsys.readouterr().err
