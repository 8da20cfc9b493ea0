"""What a notebook shows of results, and progress there and on a terminal. Nothing here prints a result or samples."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from html import escape
from typing import Any

from .. import terminal
from ..threads import one_thread
from ..words import _
from .html import as_fragment

__all__ = ["html", "progress"]


@one_thread
def html(result: Any) -> str:
    """Return what a notebook shows of a result.

    Parameters
    ----------
    result
        A result or settings that `dosefind.show.pages.objects.page` knows.
    """
    from .pages.objects import page

    return as_fragment(page(result))


def progress(what: str) -> Callable[[int, int], None] | None:
    """Return a callable that counts what is done, for the argument ``progress`` of whatever takes long.

    In a notebook it is a bar that goes when all is done, on a terminal a line on standard error; elsewhere there is nobody to see
    it.

    Parameters
    ----------
    what
        What is counted, such as "designs" or "data sets".

    Returns
    -------
    callable or None
        To be called with the number done and the total number.

    Examples
    --------
    >>> from dosefind import compare, load_protocol, progress
    >>> oc = compare(load_protocol("configs/nct05962762.toml"), progress=progress("designs"))
    """
    if (bar := _notebook()) is not None:
        return lambda done, total: bar(_bar(what, done, total))
    if not sys.stderr.isatty():
        return None

    def show(done: int, total: int) -> None:
        line = _counted(what, done, total) if done < total else " " * 40 + "\r"
        terminal.send(sys.stderr, f"\r{line}")
        sys.stderr.flush()

    return show


def _counted(what: str, done: int, total: int) -> str:
    return _("{done} of {total} {what}").format(done=f"{done:,}", total=f"{total:,}", what=what)


def _notebook() -> Callable[[str], None] | None:
    """Return what shows HTML in place of what it showed before, where a notebook is there to show it."""
    # It is loaded where there is a notebook, and not needed elsewhere.
    ipython: Any = sys.modules.get("IPython")
    if ipython is None or not hasattr(ipython.get_ipython(), "kernel"):
        return None
    handles: list[Any] = []

    def show(text: str) -> None:
        content: Mapping[str, str] = {"text/html": text, "text/plain": ""}
        if handles:
            handles[0].update(content, raw=True)
        else:
            handles.append(ipython.display.display(content, raw=True, display_id=True))

    return show


def _bar(what: str, done: int, total: int) -> str:
    if done >= total:
        return ""
    return f'<progress value="{done}" max="{total}"></progress> {escape(_counted(what, done, total))}'
