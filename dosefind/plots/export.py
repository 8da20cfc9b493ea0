"""Charts as SVG, PNG and PDF: the same bytes for the same result, with the alternative text inside the SVG."""

from __future__ import annotations

import hashlib
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from .._check import InputError, Problem, whole
from ..provenance import write_whole
from .style import alt_text, settings, words_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["as_png", "as_svg", "save"]

_SVG, _LINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"


def as_svg(chart: Axes | Figure) -> str:
    """Return a chart as an SVG element, for a file of its own or within HTML.

    Text is drawn as outlines, so that it looks the same everywhere; a title and a description contain it in words. Ids begin
    with a hash of the chart, and no style sheet applies outside it.

    Parameters
    ----------
    chart
        Axes that one of the functions of `dosefind.plots` returned, or their figure.
    """
    words = words_of(chart)
    # Before the hash is computed, as the prefixes are part of it.
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _LINK)
    root = ElementTree.fromstring(_bytes(chart, "svg", {"Date": None, "Creator": None, "Format": None, "Type": None}))
    for parent in list(root.iter()):
        for child in list(parent):
            # matplotlib's rules would apply to every element of the page; the attributes of the root replace them.
            if child.tag in (f"{{{_SVG}}}style", f"{{{_SVG}}}metadata"):
                parent.remove(child)
    own = f"p{hashlib.sha256(ElementTree.tostring(root) + alt_text(chart).encode()).hexdigest()[:12]}"
    _own_ids(root, own)
    title, text = ElementTree.Element(f"{{{_SVG}}}title"), ElementTree.Element(f"{{{_SVG}}}desc")
    title.text, text.text = "; ".join(each.title for each in words), alt_text(chart)
    title.set("id", f"{own}-title")
    text.set("id", f"{own}-desc")
    root[:0] = [title, text]
    root.attrib |= {
        "role": "img",
        "aria-labelledby": f"{own}-title {own}-desc",
        "style": "stroke-linejoin: round; stroke-linecap: butt; max-width: 100%; height: auto",
    }
    return ElementTree.tostring(root, encoding="unicode")


def _own_ids(root: ElementTree.Element, own: str) -> None:
    """Make every id with a reference short and unique to this chart; drop the others, and blanks between elements."""
    used = {name for element in root.iter() for key, value in element.attrib.items() for name in _references(key, value)}
    names = {name: f"{own}-{place:x}" for place, name in enumerate(sorted(used))}
    for element in root.iter():
        element.tail = None
        if not (element.text or "").strip():
            element.text = None
        # Where a letter of a text stands, in hundredths of the type size: shorter, and no difference is seen.
        if element.tag == f"{{{_SVG}}}use" and (moved := re.fullmatch(r"translate\(([\d.]+) 0\)", element.get("transform", ""))):
            del element.attrib["transform"]
            element.set("x", f"{float(moved[1]):.1f}".removesuffix(".0"))
        if (own_id := element.attrib.pop("id", None)) in names:
            element.set("id", names[own_id])
        for key, value in element.attrib.items():
            for name in _references(key, value):
                value = value.replace(f"#{name}", f"#{names[name]}")
            element.set(key, value)


def _references(key: str, value: str) -> list[str]:
    """Return the ids to which an attribute refers."""
    if "#" not in value:
        return []
    return [value[1:]] if key == f"{{{_LINK}}}href" and value.startswith("#") else re.findall(r"url\(#([^)]+)\)", value)


def as_png(chart: Axes | Figure, dpi: int = 300) -> bytes:
    """Return a chart as PNG.

    Parameters
    ----------
    chart
        Axes that one of the functions of `dosefind.plots` returned, or their figure.
    dpi
        Dots per inch.
    """
    return _bytes(chart, "png", {"Software": None}, whole("dpi", dpi, 20, 1200))


def save(chart: Axes | Figure, path: str | Path) -> None:
    """Write a chart to a file, whole or not at all.

    Parameters
    ----------
    chart
        Axes that one of the functions of `dosefind.plots` returned, or their figure.
    path
        The file, which ends in .svg, .png (300 dots per inch) or .pdf; an existing file is replaced.
    """
    path = Path(path)
    kinds = {
        ".svg": lambda: f"{as_svg(chart)}\n".encode(),
        ".png": lambda: as_png(chart),
        ".pdf": lambda: _bytes(chart, "pdf", _pdf_words(chart)),
    }
    if path.suffix not in kinds:
        raise InputError(Problem("path", str(path), f"must end in {', '.join(kinds)}"))
    write_whole(path.parent, {path.name: kinds[path.suffix]()})


def _pdf_words(chart: Axes | Figure) -> dict[str, Any]:
    return {
        "Title": "; ".join(words.title for words in words_of(chart)),
        "Subject": alt_text(chart),
        "Creator": None,
        "Producer": None,
        "CreationDate": None,
    }


def _bytes(chart: Axes | Figure, kind: str, metadata: dict[str, Any], dpi: float = 100.0) -> bytes:
    """Return the chart's figure as a file of a kind; the figure keeps its canvas, resolution and colour."""
    from matplotlib.backend_bases import get_registered_canvas_class

    figure: Any = chart.get_figure(root=True)
    canvas, own_dpi, face = figure.canvas, figure.dpi, figure.get_facecolor()
    buffer = io.BytesIO()
    with settings():
        try:
            figure.set_facecolor("white")
            figure.dpi = dpi
            # By its canvas: Figure.savefig would draw everything twice to find out where to crop it.
            getattr(get_registered_canvas_class(kind)(figure), f"print_{kind}")(buffer, metadata=metadata)
        finally:
            figure.set_canvas(canvas)
            figure.dpi = own_dpi
            figure.set_facecolor(face)
    return buffer.getvalue()
