"""Printing: no text of data controls a terminal, every locale can print it, and closed streams are ignored."""

import io
import json
import os
import re
import subprocess
import sys
import traceback
import unicodedata

import pandas as pd
import pytest
from click.testing import CliRunner
from rich.cells import cell_len

from dosefind import terminal
from dosefind.cli import main
from dosefind.provenance import as_json
from dosefind.show.content import Bullets, Column, Note, Page, Paragraph, Section, Table, as_string, data, text
from dosefind.show.terminal import show

from .peers import ROOT

CONFIG = ROOT / "configs" / "nct05962762.toml"
MIDWAY = ROOT / "examples" / "nct05962762" / "midway"

# Sequences that move the cursor, colour, ring, link or hide, and characters that reorder text or are not seen.
HOSTILE = {
    "colour": "\x1b[31mred\x1b[0m",
    "clear": "\x1b[2J\x1b[H",
    "title": "\x1b]0;title\x07",
    "link": "\x1b]8;;https://example.org\x1b\\text\x1b]8;;\x1b\\",
    "bell": "a\x07b",
    "back": "a\x08b",
    "return": "a\rb",
    "vertical tab": "a\x0bb\x0cc",
    "null": "a\0b",
    "delete": "a\x7fb",
    "C1": "\x9b31mred\x9d0;t\x9c\x85",
    "bidi": "\u202eabc\u202c\u2066d\u2069\u061c\u200f",
    "zero width": "a\u200bb\u200cc\u200dd\u2060e\ufefff",
    "separators": "a\u2028b\u2029c",
    "soft hyphen": "a\u00adb",
    "tags": "a\U000e0041b",
    "surrogate": "a\udcff\udce9b",
}


def controls(text):
    """Characters of a text that a terminal obeys, reorders by or does not show."""
    return {sign for sign in text if sign != "\n" and unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Zl", "Zp", "Co")}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1", "cp1252"])
def test_hostile_text_is_written_out(kind, encoding):
    text = terminal.shown(HOSTILE[kind], encoding)
    assert not controls(text)
    text.encode(encoding)
    # Nothing is dropped, and what was harmless stays.
    assert len(text) > len(HOSTILE[kind])
    assert "".join(sign for sign in HOSTILE[kind] if sign.isascii() and sign.isalpha())[:1] in text


@pytest.mark.parametrize("text", ["plain", "two\nlines", "\u00e4 \u6f22 \u00b1 \u2264 \u00d7", "[red]a[/] [link=x] :smile:", ""])
def test_ordinary_text_is_shown_as_it_is(text):
    assert terminal.shown(text) == text


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("ascii", "+- <= x - \\xe4 \\u6f22"),
        ("latin-1", "\u00b1 <= \u00d7 - \u00e4 \\u6f22"),
        ("cp1252", "\u00b1 <= \u00d7 \u2013 \u00e4 \\u6f22"),
    ],
)
def test_characters_that_an_encoding_lacks_are_replaced(encoding, text):
    assert terminal.shown("\u00b1 \u2264 \u00d7 \u2013 \u00e4 \u6f22", encoding) == text


def printing(encoding, call):
    """What a call writes to a standard output and a standard error of this encoding."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict") for _ in range(2)]
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = streams
    try:
        with terminal.guarded():
            call()
        for one in streams:
            one.flush()
    finally:
        sys.stdout, sys.stderr = before
    return [one.buffer.getvalue().decode(encoding) for one in streams]


def page_of(heads, *rows):
    """A page with one table, the columns after the first numeric."""
    columns = tuple(Column(text(head), place > 0) for place, head in enumerate(heads))
    return Page(text("title"), (Table(text("caption"), columns, tuple(tuple(map(text, row)) for row in rows)),))


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_tables_show_hostile_cells_columns_and_titles(kind, encoding):
    words = HOSTILE[kind]
    columns = (Column(text("name")), Column(text(data(words))), Column(text("n"), True))
    rows = (tuple(map(text, (data(words), "[red]x[/]", "1"))), tuple(map(text, ("b", data(words), "2"))))
    table = Table(text(data(words)), columns, rows, (text(data(words)),))
    blocks = (table, Paragraph(text(data(words))), Note(words, (text(data(words)),)), Bullets((text(data(words)),)))
    page = Page(text(data(words)), blocks, (Section("more", text(data(words)), blocks),))
    out, err = printing(encoding, lambda: show(page))
    assert not controls(out)
    assert err == ""
    assert "[red]x[/]" in out
    if kind not in ("return", "vertical tab", "separators", "C1"):
        # Blanks fold lines, as any blank does.
        assert terminal.shown(as_string(text(data(words))), encoding) in out


@pytest.mark.parametrize("cells", [["\u6f22\u5b57", "ab"], ["\uff21\uff22", "\u00e4"], ["\u6f22" * 60, "b"], ["a\u0301", "b"]])
def test_columns_stay_below_one_another_with_wide_characters(cells, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    out, _ = printing("utf-8", lambda: show(page_of(("name", "n"), *zip(cells, ("10", "20"), strict=True))))
    lines = [line for line in out.splitlines() if line.endswith(("10", "20"))]
    assert len(lines) == 2
    assert cell_len(lines[0]) == cell_len(lines[1])
    assert max(map(cell_len, out.splitlines())) <= 60


def test_wide_text_is_folded_at_the_width_that_it_takes(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    words = "\u6f22\u5b57" * 100
    out, _ = printing("utf-8", lambda: show(Page(text("title"), (Paragraph(text(words)),))))
    assert max(map(cell_len, out.splitlines())) <= 80
    assert "".join(out.split()).count("\u6f22\u5b57") == 100


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1", "cp1252"])
def test_table_lines_are_drawn_in_every_encoding(encoding):
    out, _ = printing(encoding, lambda: show(page_of(("a\u00b1", "b"), ("1", "2"))))
    assert re.search("^(\u2500+|-+)$", out, re.MULTILINE)


@pytest.mark.parametrize("kind", HOSTILE)
def test_json_stays_valid_with_the_data_as_they_are(kind):
    text = as_json(pd.DataFrame({"name": ["x"]}), {"note": HOSTILE[kind]})
    out, _ = printing("ascii", lambda: print(text))
    assert not controls(out)
    assert json.loads(out)["attrs"]["note"] == HOSTILE[kind]


def test_tracebacks_pass_the_same_place():
    def fail():
        try:
            raise ValueError("a\x1b[31m\u2264")
        except ValueError:
            traceback.print_exc()

    _, err = printing("ascii", fail)
    assert "a\\x1b[31m<=" in err
    assert not controls(err)


# The commands.


def run(*arguments):
    found = CliRunner().invoke(main, list(map(str, arguments)))
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    assert not controls(found.output), controls(found.output)
    return found


ARGUMENTS = [name for name in HOSTILE if name not in ("null", "surrogate")]


@pytest.mark.parametrize("kind", ARGUMENTS)
@pytest.mark.parametrize(
    "arguments",
    [
        ("{}",),
        ("--{}",),
        ("compare", "--{}"),
        ("compare", "{}.toml"),
        ("compare", CONFIG, "--method", "{}"),
        ("paths", CONFIG, "--design", "{}"),
        ("analyze", CONFIG, "--outcomes", "{}"),
        ("next", CONFIG, "--data", "{}.csv"),
        ("next", CONFIG, "--data", "x.csv", "--as-of", "{}"),
        ("report", CONFIG, "--out", "out", "--format", "{}"),
    ],
)
def test_hostile_arguments_are_shown_in_one_error(kind, arguments):
    found = run(*(str(one).replace("{}", HOSTILE[kind]) for one in arguments))
    assert found.exit_code == 2
    assert found.stdout == ""
    assert found.stderr


@pytest.fixture
def folder(tmp_path):
    for file in (CONFIG, MIDWAY / "patients.csv", MIDWAY / "events.csv"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


@pytest.mark.parametrize("kind", ARGUMENTS)
def test_hostile_data_are_shown(folder, kind):
    text = HOSTILE[kind]
    events = folder / "events.csv"
    quoted = text.replace('"', '""')
    events.write_text(events.read_text(encoding="utf-8").replace("Pyrexia", f'"{quoted}"'), encoding="utf-8", newline="")
    out = folder / f"out{text}".replace("/", "")
    run("next", folder / CONFIG.name, "--data", folder / "patients.csv", "--events", events, "--out", out)
    (folder / "patients.csv").write_text(f'subject,level,"{quoted}"\nA,1,"{quoted}"\n', encoding="utf-8", newline="")
    run("next", folder / CONFIG.name, "--data", folder / "patients.csv")
    config = (folder / CONFIG.name).read_text(encoding="utf-8")
    for before, after in (('"low"', json.dumps(text)), ("cohort_size", json.dumps(text)), ('"3+3"', json.dumps(text))):
        (folder / "bad.toml").write_text(config.replace(before, after, 1), encoding="utf-8")
        run("table", folder / "bad.toml", "--design", "boin")


@pytest.mark.parametrize("name", ["[red]x[/]", "[link=https://example.org]x[/link]", ":smile:", "[/]", "[bold"])
def test_markup_in_data_is_shown_as_it_is(tmp_path, name):
    config = CONFIG.read_text(encoding="utf-8").replace('"none toxic"', json.dumps(name))
    (tmp_path / "c.toml").write_text(config, encoding="utf-8")
    found = run("paths", tmp_path / "c.toml", "--design", "3+3", "--cohorts", 1)
    assert found.exit_code == 0
    # A heading breaks a word of more than 24 letters.
    shown, whole = "".join(found.stdout.split()), "".join(name.split())
    assert all(whole[place : place + 24] in shown for place in range(0, len(whole), 24))


# As processes of their own.


def process(arguments, shell="", **environment):
    """Run a command in a shell line, in which {} is the command; give exit status, output and error as bytes."""
    words = f"{sys.executable} -m dosefind {arguments}"
    line = shell.replace("{}", words) if shell else words
    env = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHONUTF8", "PYTHONIO"))}
    done = subprocess.run(
        ["bash", "-c", line], capture_output=True, cwd=ROOT, env=env | {"LC_ALL": "C.UTF-8"} | environment, timeout=120, check=False
    )
    assert b"Traceback" not in done.stderr, done.stderr
    return done


C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.slow
def test_results_and_records_are_the_same_in_every_locale(tmp_path):
    """Names in data, paths and texts that are not ASCII; the C locale has none of them."""
    folder = tmp_path / "\u00e4\u6f22"
    folder.mkdir()
    config = CONFIG.read_text(encoding="utf-8").replace('"none toxic"', '"\u00e4 \u2264 \u6f22"')
    (folder / "k\u00f6n.toml").write_text(config, encoding="utf-8")
    table = "subject,cohort,level,dose,infusion_1,last_contact,dlt,dlt_date\n\u00c41,1,1,1,2023-09-04,2023-10-02,no,\n"
    (folder / "d\u00e4t.csv").write_text(table, encoding="utf-8")
    data = f"{folder}/k\u00f6n.toml --data {folder}/d\u00e4t.csv"
    written = []
    for name, environment in (("utf", {}), ("c", C_LOCALE)):
        done = process(f"next {data} --out {folder}/{name}\u00fc", **environment)
        assert done.returncode == 0, done.stderr
        files = {path.name: path.read_bytes() for path in (folder / f"{name}\u00fc").iterdir()}
        written.append(files)
    assert written[0] == written[1]
    reason = "f\u00fcr alle \u2013 \u2264"
    assert process(f"record {data} --decision wait --reason '{reason}'", **C_LOCALE).returncode == 0
    assert reason in (folder / "decisions.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("encoding", "environment"),
    [
        ("ascii", {"PYTHONIOENCODING": "ascii"}),
        ("ascii", C_LOCALE),
    ],
)
def test_errors_are_printed_in_every_locale(encoding, environment):
    done = process("compare $'\\xff\\xc3\\xa4\\u6f22.toml'", **environment)
    assert done.returncode == 2
    assert "\\xff" in done.stderr.decode(encoding)


NEXT = f"next {CONFIG} --data {MIDWAY}/patients.csv --events {MIDWAY}/events.csv"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "shell", "status"),
    [
        ("schema", "{} >&-", 0),
        ("schema", "{} <&- >&- 2>&-", 0),
        ("compare nowhere.toml", "{} >&- 2>&-", 2),
        ("schema", "{} > /dev/full", 1),
        ("--help", "{} > /dev/full", 1),
        ("nonsense", "{} 2> /dev/full", 2),
        ("schema", "{} | true; exit ${PIPESTATUS[0]}", 1),
        (f"{NEXT} --out OUT/o", "{} >&- 2>&-", 0),
        (f"{NEXT} --out OUT/o", "{} 2> >(true) > /dev/null", 0),
    ],
)
def test_closed_and_broken_streams(tmp_path, arguments, shell, status):
    done = process(arguments.replace("OUT", str(tmp_path)), shell)
    assert done.returncode == status, done
    assert b"Exception ignored" not in done.stderr
    if "OUT" in arguments:
        json.loads((tmp_path / "o" / "next.json").read_text(encoding="utf-8"))
        assert len(list((tmp_path / "o").iterdir())) == 16
