"""Signals that end a process: raised as exceptions that leave no partial output, and deferred while files are renamed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

__all__ = ["Ended", "noticed", "raised", "undisturbed", "written"]

# SIGHUP does not exist on Windows.
_ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))

written: ContextVar[list[str]] = ContextVar("written")
"""Description of what has been written so far, if a caller has set a list for it: an interruption may come right after."""


class Ended(BaseException):
    """A signal other than SIGINT that asks the process to end.

    Attributes
    ----------
    signal
        Number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by signal {number}")
        self.signal = number


@contextmanager
def raised() -> Iterator[None]:
    """Raise `Ended` in this block on SIGTERM and SIGHUP, so that open resources are cleaned up as after an interruption.

    A signal that the process ignores, as SIGHUP under ``nohup``, or that already has a handler, is left unchanged.
    """

    def end(number: int, _: Any) -> None:
        raise Ended(number)

    default = [number for number in _ENDING if signal.getsignal(number) is signal.SIG_DFL]
    with _handling(default, end):
        yield


class _Interrupted(BaseException):
    """An interruption that no code handles as another exception."""


@contextmanager
def noticed() -> Iterator[None]:
    """Let an interruption end this block, however the code inside handles a `KeyboardInterrupt`, and then raise it.

    PyMC treats it as a request for the draws made so far, and returns them as if they were complete.
    """
    came: list[int] = []

    def interrupt(number: int, _: Any) -> None:
        came.append(number)
        raise _Interrupted

    try:
        with _handling([signal.SIGINT] if callable(signal.getsignal(signal.SIGINT)) else [], interrupt):
            yield
    except _Interrupted:
        raise KeyboardInterrupt from None
    if came:
        raise KeyboardInterrupt


@contextmanager
def undisturbed() -> Iterator[None]:
    """Defer signals that end the process to the end of this block, which must be short."""
    came: list[int] = []
    active = [number for number in _ENDING if signal.getsignal(number) not in (None, signal.SIG_IGN)]
    try:
        with _handling(active, lambda number, _: came.append(number)):
            yield
    finally:
        for number in dict.fromkeys(came):
            signal.raise_signal(number)


@contextmanager
def _handling(numbers: list[int], handler: Callable[[int, Any], object]) -> Iterator[None]:
    """Handle these signals in this block; only the main thread may set handlers, and only there are they called."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[int, Any] = {}
    try:
        for number in numbers:
            before[number] = signal.signal(number, handler)
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
