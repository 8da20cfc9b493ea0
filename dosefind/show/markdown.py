"""A document as Markdown: headings, lists and pipe tables, with its pictures as files beside it.

A text of the content is never read as Markdown: every character that could mean something is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import quote

from .content import (
    Answers,
    Block,
    Bullets,
    Definitions,
    Document,
    Figure,
    Note,
    Paragraph,
    Run,
    Section,
    Signature,
    Space,
    Table,
    Text,
    text,
)

__all__ = ["as_markdown"]


def as_markdown(document: Document, stem: str) -> dict[str, str]:
    """Return a document as Markdown, and its pictures, by the names of their files.

    Parameters
    ----------
    document
        The document.
    stem
        Name of the files without their ends.

    Returns
    -------
    dict of str
        The text of ``stem.md``, and the SVG of each picture: ``stem-figure-1.svg`` and so on.
    """
    writer = _Writer(document.labels, stem)
    writer.lines = [f"# {_runs(document.title)}", "", _runs(document.subtitle), ""]
    writer.definitions(document.facts)
    for place, one in enumerate(document.sections, start=1):
        writer.section(one, 2, str(place))
    writer.paragraph(text(document.labels["footer"]))
    return {f"{stem}.md": "\n".join(writer.lines).rstrip() + "\n", **writer.pictures}


class _Writer:
    """Content as lines of Markdown."""

    def __init__(self, labels: dict[str, str], stem: str) -> None:
        self.labels, self.stem = labels, stem
        self.lines: list[str] = []
        self.pictures: dict[str, str] = {}
        self.tables = 0

    def section(self, one: Section, level: int, number: str) -> None:
        self.lines += [f"{'#' * min(level, 6)} {number} {_runs(one.title)}", ""]
        for each in one.blocks:
            self.block(each)
        for place, inner in enumerate(one.sections, start=1):
            self.section(inner, level + 1, f"{number}.{place}")

    def block(self, one: Block) -> None:
        match one:
            case Paragraph():
                self.paragraph(one.text)
            case Bullets():
                self.bullets(one.items)
            case Note():
                quoted = [f"**{_runs(text(one.title))}**", "", *(f"- {_runs(item)}" for item in one.items)]
                self.lines += [*(f"> {line}".rstrip() for line in quoted), ""]
            case Definitions():
                self.definitions(one)
            case Answers():
                for answer in one.items:
                    self.lines += [f"**{_runs(text(answer.question))}** {_runs(answer.answer)}", ""]
                    self.bullets(answer.because)
            case Table():
                self.table(one)
            case Figure():
                self.figure(one)
            case Signature():
                rows = [(text(person), *[()] * (len(one.columns) - 1)) for person in one.people]
                self.paragraph(one.caption)
                self.grid([text(heading) for heading in one.columns], rows, [False] * len(one.columns))
            case Space():
                self.paragraph(one.heading)
            case _:
                raise TypeError(f"no such block: {type(one).__name__}")

    def paragraph(self, words: Text) -> None:
        self.lines += [_runs(words), ""]

    def bullets(self, items: Sequence[Text]) -> None:
        self.lines += [*(f"- {_runs(item)}" for item in items), ""]

    def definitions(self, one: Definitions) -> None:
        for term, said in one.items:
            first, *more = said if len(said) == 1 else ("", *said)
            self.lines.append(f"- **{_runs(term)}**: {first and _runs(first)}".rstrip())
            self.lines += [f"  - {_runs(words)}" for words in more]
        self.lines.append("")

    def table(self, one: Table) -> None:
        self.tables += 1
        self.lines += [f"**{self.labels['table']} {self.tables}.** {_runs(one.caption)}", ""]
        self.grid([column.heading for column in one.columns], one.rows, [column.numeric for column in one.columns])
        for note in one.notes:
            self.paragraph(note)

    def grid(self, heads: Sequence[Text], rows: Sequence[Sequence[Text]], numeric: Sequence[bool]) -> None:
        self.lines += [_row(heads), f"| {' | '.join('---:' if number else '---' for number in numeric)} |", *map(_row, rows), ""]

    def figure(self, one: Figure) -> None:
        number = len(self.pictures) + 1
        name = f"{self.stem}-figure-{number}.svg"
        self.pictures[name] = one.svg
        self.lines += [f"![{_escaped(one.alt)}]({quote(name)})", ""]
        self.lines += [f"**{self.labels['figure']} {number}.** {_runs(one.caption)}", ""]


def _row(cells: Sequence[Text]) -> str:
    return f"| {' | '.join(map(_runs, cells))} |"


def _runs(words: Text) -> str:
    """Return a text in one line; at its beginning nothing stands for a list or a heading."""
    return re.sub(r"^(\s*)([-+=>]|\d+(?=[.)](?:\s|$)))", _at_start, "".join(map(_run, words)))


def _at_start(found: re.Match[str]) -> str:
    # Of a number, the point after it is escaped.
    return f"{found[1]}\\{found[2]}" if found[2] in "-+=>" else f"{found[1]}{found[2]}\\"


def _run(run: Run) -> str:
    if run.kind == "query":
        # The brackets stay, so that the query is found.
        return f"[{_escaped(run.text[1:-1])}]"
    return f"**{_escaped(run.text)}**" if run.kind == "strong" else _escaped(run.text)


def _escaped(words: str) -> str:
    return re.sub(r"([\\`*_{}\[\]#|~$&!])", r"\\\1", words).replace("<", "&lt;")
