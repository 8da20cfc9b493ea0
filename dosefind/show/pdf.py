"""A document as PDF by typst: tagged, with bookmarks, and the same bytes for the same document and versions.

The content goes as JSON into the one template ``report.typ``, which puts every text in as a string and so never reads it as markup.
Fonts are those in typst's wheel and matplotlib's DejaVu Sans, never the system's. What DejaVu Sans has can always be shown;
any other character is written as an escape, and a warning names it.
"""

from __future__ import annotations

import json
import re
import tempfile
import unicodedata
import warnings
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..plots.style import glyphs
from .content import Document, Figure, Run, Section, Table, escaped

__all__ = ["as_pages", "as_pdf"]

# Letters after which a word that is longer may break, and the least length of such a word.
_PIECE, _LONG = 6, 24
# Letters of a line of a table, in normal and in small type.
_LINE, _LINE_SMALL = 98, 114


def as_pdf(document: Document) -> bytes:
    """Return the document as the bytes of a PDF file that meets PDF/UA-1."""
    made = _compiled(document, format="pdf", pdf_standards=["ua-1"])
    assert isinstance(made, bytes)
    return made


def as_pages(document: Document) -> list[str]:
    """Return each page of the PDF as SVG, for a page that shows what a report looks like."""
    made = _compiled(document, format="svg")
    return [page.decode() for page in ([made] if isinstance(made, bytes) else made)]


def _compiled(document: Document, **kind: Any) -> Any:
    """Return what typst makes of a document; what it cannot show is a warning."""
    import matplotlib
    import typst

    plain = _Plain()
    content = json.dumps(plain(document), ensure_ascii=False)
    fonts = typst.Fonts(include_system_fonts=False, font_paths=[Path(matplotlib.get_data_path(), "fonts", "ttf")])
    # Its stub wants all paths of one type with the bytes of the template.
    compiled: Any = typst.compile_with_warnings
    # A folder with nothing in it is all that the template could read.
    with tempfile.TemporaryDirectory() as nothing:
        made, said = compiled(
            Path(__file__).with_name("report.typ").read_bytes(),
            root=Path(nothing),
            font_paths=fonts,
            sys_inputs={"document": content},
            timestamp=datetime.fromisoformat(document.date).replace(tzinfo=UTC),
            **kind,
        )
    if plain.missing:
        named = ", ".join(map(_named, sorted(plain.missing)))
        warnings.warn(
            f"the fonts of the PDF do not have every character, and these are written as escapes there: {named}", stacklevel=2
        )
    for one in said:
        warnings.warn(f"typst says of the PDF: {one.message}", stacklevel=2)
    return made


class _Plain:
    """Content as what JSON has: each object with the name of its class as ``is``, and what no font has as escapes."""

    def __init__(self) -> None:
        self.known = glyphs()
        self.missing: set[str] = set()

    def __call__(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.shown(value)
        if isinstance(value, Run):
            return {"kind": value.kind, "text": _pieces(self.shown(value.text))}
        if isinstance(value, Figure):
            return {"is": "Figure", "svg": value.svg, "alt": self.shown(value.alt), "caption": self(value.caption)}
        if isinstance(value, Table):
            widths = value.widths(_LINE_SMALL if value.small else _LINE)
            look = {"small": value.small, "short": value.short, "widths": widths}
            return {"is": "Table"} | look | {name: self(getattr(value, name)) for name in ("caption", "columns", "rows", "notes")}
        if is_dataclass(value):
            leads = {"leads": list(value.leads)} if isinstance(value, Section) else {}
            return {"is": type(value).__name__} | leads | {field.name: self(getattr(value, field.name)) for field in fields(value)}
        if isinstance(value, dict):
            return {key: self(one) for key, one in value.items()}
        return [self(one) for one in value] if isinstance(value, tuple) else value

    def shown(self, words: str) -> str:
        lacking = {sentence for sentence in words if ord(sentence) not in self.known}
        self.missing |= lacking
        return "".join(escaped(sentence) if sentence in lacking else sentence for sentence in words) if lacking else words


def _pieces(words: str) -> list[str]:
    """Return text in pieces between which a line may break: only a word that is too long for a line has more than one."""
    parts = re.split(rf"(\S{{{_LONG},}})", words)
    # Every second part is such a word.
    return [one for place, part in enumerate(parts) for one in (re.findall(rf".{{1,{_PIECE}}}", part) if place % 2 else [part])]


def _named(one: str) -> str:
    return f"{one} (U+{ord(one):04X} {unicodedata.name(one, 'without a name')})"
