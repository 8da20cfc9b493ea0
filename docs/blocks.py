"""The code blocks of a Markdown page: found, run in order, and shown with their output.

The Python blocks of a page share one namespace, all its blocks one separate folder with copies of `configs` and `examples`.
A command is run within this process. After a block the page shows the printed text and the value of its last expression; a figure
is shown as such, with its alternative text. Words after the language of a fence change this:

``hide``      the result is shown without the code
``quiet``     the code is shown without its result
``lines=N``   the first N lines of the result are shown
``fails``     a command that ends with exit status 2, whose message is shown
``norun``     a command for another shell; it must be one of `ELSEWHERE`
``save=F``    the block is the file F of the page's folder

The site runs its pages through `run_page`, so that a page that builds is a page that runs; the tests run the README.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import re
import shlex
import shutil
import textwrap
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from click.testing import CliRunner

__all__ = ["ELSEWHERE", "Block", "BlockFailed", "blocks_of", "rendered", "run_page"]

ROOT = Path(__file__).parents[1]
# Beginnings of commands that a page may show and that only a shell can run.
ELSEWHERE = ("git clone ", "python -m benchmarks", "python -m docs.build", "python -m pip install ", "python -m tests.mutants")
# Languages of blocks that are not run.
TEXTS = ("text", "json")
WIDTH = "88"
_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<code>.*?)^```[ ]*$", re.MULTILINE | re.DOTALL)


class BlockFailed(Exception):
    """A block did not do what its page states."""


@dataclass
class Block:
    """A fenced block, with its output.

    Attributes
    ----------
    language, options, code
        Content of its fence.
    line
        Line of the page on which it begins, from 1.
    span
        Its position in the page.
    output
        Printed text, and value.
    pictures
        SVG and alternative text of the figures.
    """

    language: str
    options: tuple[str, ...]
    code: str
    line: int
    span: tuple[int, int]
    output: str = ""
    pictures: list[tuple[str, str]] = field(default_factory=list)

    def option(self, name: str) -> str | None:
        """Return the value of an option such as ``lines=N``."""
        return next((word.partition("=")[2] for word in self.options if word.startswith(f"{name}=")), None)


def blocks_of(text: str) -> list[Block]:
    """Return the fenced blocks of a page, without directives."""
    found = []
    for match in _FENCE.finditer(text):
        language, *options = match["info"].split() or [""]
        if not language.startswith("{"):
            found.append(Block(language, tuple(options), match["code"], text.count("\n", 0, match.start()) + 1, match.span()))
    return found


def run_page(text: str, folder: Path, name: str = "page", shows: bool = False) -> list[Block]:
    """Run the blocks of a page in a separate folder.

    Parameters
    ----------
    text
        The page.
    folder
        An empty folder.
    name
        Name of the page in messages.
    shows
        Whether a command that prints nothing is a failure.

    Raises
    ------
    BlockFailed
        If a block raises, a command fails or succeeds against expectation, shows nothing, or a block cannot be run.
    """
    blocks = blocks_of(text)
    if any(block.language in ("python", "sh") for block in blocks):
        for part in ("configs", "examples"):
            shutil.copytree(ROOT / part, folder / part)
    names: dict[str, Any] = {"__name__": "page"}
    with _inside(folder):
        for block in blocks:
            try:
                _run(block, names)
            except Exception as error:
                raise BlockFailed(f"{name}, line {block.line}: {type(error).__name__}: {error}") from error
            shown = not {"quiet", "norun"} & set(block.options) and block.option("save") is None and block.language == "sh"
            if shows and shown and not block.output:
                raise BlockFailed(f"{name}, line {block.line}: nothing is shown")
    return blocks


def rendered(text: str, blocks: list[Block], picture: Any) -> str:
    """Return the page with the output of its blocks.

    Parameters
    ----------
    text
        The page.
    blocks
        Its blocks, after they were run.
    picture
        Called with an SVG; returns the path under which the page can show it.
    """
    parts, done = [], 0
    for block in blocks:
        start, end = block.span
        # Without a lexer of its own, a table of data is shown as text.
        language = "text" if block.language == "csv" else block.language
        code = "" if "hide" in block.options else f"```{language}\n{block.code}```"
        parts += [text[done:start], code, *_shown(block, picture)]
        done = end
    return "".join([*parts, text[done:]])


def _shown(block: Block, picture: Any) -> Iterator[str]:
    if "quiet" in block.options:
        return
    lines = [part for line in block.output.rstrip().splitlines() for part in _wrapped(line)]
    most = block.option("lines")
    if most and len(lines) > int(most):
        lines = [*lines[: int(most)], "..."]
    if lines:
        fence = "\n".join(lines)
        yield f"\n\n```{{code-block}} text\n:class: output\n\n{fence}\n```\n"
    for svg, words in block.pictures:
        yield f"\n\n```{{figure}} {picture(svg)}\n:alt: {json.dumps(words, ensure_ascii=False)}\n:figclass: plot\n```\n"


def _wrapped(line: str) -> list[str]:
    """Return a sentence wrapped over several lines; a row of a table is unchanged."""
    indent = len(line) - len(line.lstrip())
    if len(line) <= int(WIDTH) or "   " in line.strip():
        return [line]
    return textwrap.wrap(line, int(WIDTH), subsequent_indent=" " * (indent + 4), break_long_words=False)


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    """Work in a folder, with a terminal of a fixed width; warnings are errors."""
    before, width = Path.cwd(), os.environ.get("COLUMNS")
    os.chdir(folder)
    os.environ["COLUMNS"] = WIDTH
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield
    finally:
        os.chdir(before)
        if width is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = width


def _run(block: Block, names: dict[str, Any]) -> None:
    place = block.option("save")
    if place:
        path = Path(place)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.code)
    elif block.language == "python":
        _run_python(block, names)
    elif block.language == "sh":
        for command in block.code.replace("\\\n", " ").strip().splitlines():
            _run_command(block, command)
    elif block.language not in TEXTS:
        raise BlockFailed(f"a block of {block.language!r} cannot be run: it must be python, sh, {', '.join(TEXTS)} or saved")


def _run_command(block: Block, command: str) -> None:
    # As written in the README for a new machine.
    command = command.removeprefix(".venv/bin/")
    if "norun" in block.options:
        if not command.startswith(ELSEWHERE):
            raise BlockFailed(f"{command!r} is not among the commands that are not run")
        return
    program, *arguments = shlex.split(command, comments=True)
    if program != "dosefind":
        raise BlockFailed(f"{program!r} is not a command of this project")
    from dosefind.cli import main

    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    fails = "fails" in block.options
    if result.exit_code != (2 if fails else 0):
        raise BlockFailed(f"{command!r} ended with exit status {result.exit_code}: {result.output}")
    block.output += result.stderr if fails else result.stdout


def _run_python(block: Block, names: dict[str, Any]) -> None:
    tree = ast.parse(block.code)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, "<page>", "exec"), names)
        value = eval(compile(ast.Expression(last.value), "<page>", "eval"), names) if isinstance(last, ast.Expr) else None
    block.output = printed.getvalue() + _words(value, block)


def _words(value: Any, block: Block) -> str:
    """Return a value as text; a figure is added to the block's figures instead."""
    import pandas as pd

    if value is None:
        return ""
    from matplotlib.artist import Artist

    if isinstance(value, Artist):
        from dosefind import plots

        block.pictures.append((plots.as_svg(value), plots.alt_text(value)))
        return ""
    from .sketch import Picture

    if isinstance(value, Picture):
        block.pictures.append((value.svg, value.words))
        return ""
    with pd.option_context(
        "display.width", int(WIDTH), "display.max_columns", 30, "display.max_rows", 40, "display.max_colwidth", 70
    ):
        return repr(value)
