"""A document as one HTML file: nothing is loaded from outside, no script, and every text of the tree is escaped by the template."""

from __future__ import annotations

from functools import cache
from itertools import count
from typing import TYPE_CHECKING, Any

from .content import Document

if TYPE_CHECKING:
    from jinja2 import Template

__all__ = ["as_html", "in_frame"]


def as_html(document: Document) -> str:
    """The document as the text of an HTML file; the same text for the same document."""
    # What is counted through the document, in the order of the template.
    numbers = {"table": count(1), "figure": count(1), "region": count(1)}
    return _template().render(doc=document, kind=_kind, number=lambda what: next(numbers[what]))


def in_frame(document: Document) -> str:
    """The document within a notebook, whose styles it neither takes nor changes."""
    from html import escape

    return f'<iframe title="report" sandbox="" style="width: 100%; height: 40em" srcdoc="{escape(as_html(document))}"></iframe>'


def _kind(block: Any) -> str:
    return type(block).__name__


@cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("dosefind.reports", ".")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template("report.html.jinja")
