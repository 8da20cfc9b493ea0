"""Extensions of Sphinx for this site: pages whose blocks are run, equations as MathML, settings by name."""

from __future__ import annotations

import hashlib
import logging as plain_logging
import re
import tempfile
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging

from .blocks import rendered, run_page

__all__ = ["setup"]

_log = logging.getLogger(__name__)
# Commands that docutils lacks, or sets otherwise than LaTeX: sizes of brackets, dots, accents with an index, the space
# after the name of a function.
_REWRITTEN = [
    (re.compile(pattern), other)
    for pattern, other in (
        (r"\\[bB]igg?[lr]?(?=[(\[])", r"\\left"),
        (r"\\[bB]igg?[lr]?(?=[)\]])", r"\\right"),
        (r"\\[bB]igg?[lr]?(?![A-Za-z])", ""),
        (r"\\dots(?![A-Za-z])", r"\\ldots"),
        (r"\\(hat|tilde|bar)\s*\{?([A-Za-z])\}?", r"\\\1{\2}{}"),
        (r"(\\log|\\operatorname\{\w+\})(?=\s*\\?[A-Za-z])(?!\s*\\(?:big|left|Big))", r"\1\\,"),
    )
]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the three extensions with Sphinx."""
    for name in ("arviz", "pytensor"):
        plain_logging.getLogger(name).setLevel(plain_logging.WARNING)
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("source-read", _run_blocks)
    app.connect("autodoc-process-signature", _settings_by_name)
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": False}


def _run_blocks(app: Sphinx, name: str, source: list[str]) -> None:
    """Run the blocks of a Markdown page and insert their output after them."""
    if Path(app.env.doc2path(name)).suffix != ".md":
        return
    pictures = Path(app.srcdir) / "_pictures"
    pictures.mkdir(exist_ok=True)

    def keep(svg: str) -> str:
        path = pictures / f"{name.replace('/', '-')}-{hashlib.sha256(svg.encode()).hexdigest()[:8]}.svg"
        path.write_text(svg, encoding="utf-8")
        return f"/_pictures/{path.name}"

    with tempfile.TemporaryDirectory() as folder:
        source[0] = rendered(source[0], run_page(source[0], Path(folder), name, shows=True), keep)


def _settings_by_name(app: Sphinx, what: str, name: str, value: Any, *rest: Any) -> tuple[str, None] | None:
    """Return the signature of a class of settings: their names, and their defaults if there are any."""
    fields = getattr(value, "model_fields", None) if what == "class" else None
    if not fields:
        return None
    given = [
        name if field.is_required() else f"{name}={field.get_default(call_default_factory=True)!r}"
        for name, field in fields.items()
    ]
    return f"({', '.join(['*', *given])})", None


def _inline(writer: Any, node: nodes.math) -> None:
    writer.body.append(_mathml(node, as_block=False))
    raise nodes.SkipNode


def _block(writer: Any, node: nodes.math_block) -> None:
    writer.body.append(f'<div class="equation">{_mathml(node, as_block=True)}</div>\n')
    raise nodes.SkipNode


def _mathml(node: nodes.Element, *, as_block: bool) -> str:
    """Return the equation in MathML, which browsers set without a script or an external font."""
    tex = node.astext().strip()
    for pattern, other in _REWRITTEN:
        tex = pattern.sub(other, tex)
    try:
        return tex2mathml(rf"\begin{{aligned}}{tex}\end{{aligned}}" if as_block and r"\\" in tex else tex, as_block=as_block)
    except Exception as error:
        _log.warning("equation %r cannot be set: %s", tex, error, location=node)
        return ""
