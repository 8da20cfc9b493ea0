"""What a notebook shows of results, and progress there and on a terminal. Nothing here prints a result or samples."""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Callable, Mapping
from html import escape
from time import perf_counter
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


def progress(what: str) -> Callable[[float, int], None] | None:
    """Return a callable that counts what is done and estimates the time left, for the argument ``progress`` of whatever takes long.

    In a notebook it is a bar that goes when all is done, on a terminal a line on standard error; elsewhere there is nobody to see
    it.

    Parameters
    ----------
    what
        What is counted, such as "designs" or "data sets".

    Returns
    -------
    callable or None
        To be called with the number done, the latest in part if it is known, and the total number.

    Examples
    --------
    >>> from dosefind import compare, load_protocol, progress
    >>> oc = compare(load_protocol("configs/nct05962762.toml"), progress=progress("designs"))
    """
    # Seconds since the start, and what was done by then.
    times, amounts = [0.0], [0.0]
    start = perf_counter()

    def line(done: float, total: int) -> str:
        times.append(perf_counter() - start)
        amounts.append(done)
        # The second half of the time passed counts, so that stored results found at the start do not make the rest look quick.
        before = bisect_right(times, times[-1] / 2) - 1
        gained = done - amounts[before]
        left = _spoken((total - done) * (times[-1] - times[before]) / gained) if gained > 0 else ""
        return _("{done} of {total} {what}").format(done=f"{int(done):,}", total=f"{total:,}", what=what) + left

    if (bar := _notebook()) is not None:
        return lambda done, total: bar(_bar(line(done, total), done, total))
    if not sys.stderr.isatty():
        return None

    def show(done: float, total: int) -> None:
        text = line(done, total) if done < total else ""
        terminal.send(sys.stderr, f"\r{text:<60}" if text else f"\r{'':60}\r")
        sys.stderr.flush()

    return show


def _spoken(seconds: float) -> str:
    """Return the time left in words."""
    if seconds < 90:
        return _(", {n} s left").format(n=round(seconds))
    if seconds < 5400:
        return _(", {n} min left").format(n=round(seconds / 60))
    return _(", {n} h left").format(n=f"{seconds / 3600:.1f}")


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


def _bar(line: str, done: float, total: int) -> str:
    if done >= total:
        return ""
    return f'<progress value="{done:.6g}" max="{total}"></progress> {escape(line)}'
