"""Content as HTML: a report as one file, a page as part of a notebook. Templates escape all text and load nothing from outside."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from html import escape
from itertools import count
from typing import TYPE_CHECKING, Any

from .content import Document, Other, Page

if TYPE_CHECKING:
    from jinja2 import Template

__all__ = ["as_fragment", "as_html", "in_frame"]


def as_html(document: Document) -> str:
    """Return a document as the text of an HTML file; the same text for the same document."""
    # What is counted through the document, in the order of the template.
    numbers = {"table": count(1), "figure": count(1), "region": count(1)}

    def number(what: str) -> str:
        n = next(numbers[what])
        return f"region-{n}" if what == "region" else f"{document.labels[what]} {n}."

    return _template("report").render(doc=document, kind=_kind, number=number, other=lambda _: "")


def as_fragment(page: Page) -> str:
    """Return a page as HTML within a notebook."""
    regions = count(1)
    # Within one notebook, no two results have regions of one name.
    name = sha256(repr((page.title, page.blocks)).encode("utf-8", "backslashreplace")).hexdigest()[:12]

    def number(what: str) -> str:
        return f"dosefind-{name}-{next(regions)}" if what == "region" else ""

    def other(block: Other) -> str:
        return block.result._repr_html_()

    return _template("notebook").render(page=page, kind=_kind, number=number, other=other)


def in_frame(document: Document) -> str:
    """Return a document within a notebook, whose styles it neither takes nor changes."""
    return f'<iframe title="report" sandbox="" style="width: 100%; height: 40em" srcdoc="{escape(as_html(document))}"></iframe>'


def _kind(block: Any) -> str:
    return type(block).__name__


@cache
def _template(name: str) -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("dosefind.show", ".")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template(f"{name}.html.jinja")
