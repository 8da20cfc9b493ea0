"""What the site asks of Sphinx beyond its extensions: pages whose blocks are run, and equations as MathML."""

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
# Sizes of brackets, which MathML finds by itself.
_SIZES = re.compile(r"\\[bB]igg?[lr]?(?![A-Za-z])")


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx of both."""
    for name in ("arviz", "pytensor"):
        plain_logging.getLogger(name).setLevel(plain_logging.WARNING)
    app.connect("source-read", _run_blocks)
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": False}


def _run_blocks(app: Sphinx, name: str, source: list[str]) -> None:
    """Run the blocks of a Markdown page and put their results after them."""
    if Path(app.env.doc2path(name)).suffix != ".md":
        return
    pictures = Path(app.srcdir) / "_pictures"
    pictures.mkdir(exist_ok=True)

    def keep(svg: str) -> str:
        path = pictures / f"{name.replace('/', '-')}-{hashlib.sha256(svg.encode()).hexdigest()[:8]}.svg"
        path.write_text(svg, encoding="utf-8")
        return f"/_pictures/{path.name}"

    with tempfile.TemporaryDirectory() as folder:
        source[0] = rendered(source[0], run_page(source[0], Path(folder), name), keep)


def _inline(writer: Any, node: nodes.math) -> None:
    writer.body.append(_mathml(node, as_block=False))
    raise nodes.SkipNode


def _block(writer: Any, node: nodes.math_block) -> None:
    writer.body.append(f'<div class="equation">{_mathml(node, as_block=True)}</div>\n')
    raise nodes.SkipNode


def _mathml(node: nodes.Element, *, as_block: bool) -> str:
    """The equation in MathML, which browsers set without a script or a font from elsewhere."""
    tex = _SIZES.sub("", node.astext().strip()).replace(r"\dots", r"\ldots")
    try:
        return tex2mathml(rf"\begin{{aligned}}{tex}\end{{aligned}}" if as_block and r"\\" in tex else tex, as_block=as_block)
    except Exception as error:
        _log.warning("equation %r cannot be set: %s", tex, error, location=node)
        return ""
