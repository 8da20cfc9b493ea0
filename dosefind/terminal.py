r"""Printing in which no text from data controls a terminal, and which every encoding can print.

Texts of data, file names and arguments can contain escape sequences, which a terminal would obey, and characters that are invisible
or reorder text. `shown` writes each of them out, such as ``\x1b``, and replaces characters missing in the stream's encoding.
`guarded` passes everything that a command prints through it; only the package's own styles are sent unchanged, by `send`.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, TextIO

__all__ = ["argument", "encoding_of", "guarded", "send", "shown"]

# All characters other than printable ASCII and the line end.
_UNUSUAL = re.compile(r"[^\n\x20-\x7e]")
_FOREIGN = re.compile(r"[^\x00-\x7f]")
# Characters used in the package's own text and tables, for encodings that lack them.
_PLAIN = {
    "\u00b1": "+-",
    "\u2264": "<=",
    "\u2265": ">=",
    "\u00d7": "x",
    "\u2013": "-",
    "\u2014": "-",
    "\u2212": "-",
    "\u2500": "-",
    "\u2026": "...",
    "\u2018": "'",
    "\u2019": "'",
    "\u201c": '"',
    "\u201d": '"',
    "\u00a0": " ",
}


def shown(text: str, encoding: str = "utf-8") -> str:
    r"""Return text as it is shown: control characters and invisible characters are written out, line ends are kept.

    Parameters
    ----------
    text
        Any text. Text from bytes that are UTF-8 in a locale that is not is read as UTF-8.
    encoding
        Encoding of the stream. Characters that it lacks are replaced by similar ones, or written out.

    Examples
    --------
    >>> print(shown("\x1b[31mred\u202e"))
    \x1b[31mred\u202e
    >>> print(shown("5 \u00b1 1 \u00b5g", "ascii"))
    5 +- 1 \xb5g
    """
    if not _UNUSUAL.search(text):
        return text
    return _UNUSUAL.sub(lambda found: _sign(found[0], encoding), argument(text))


@lru_cache(4096)
def _sign(sign: str, encoding: str) -> str:
    """Return one character as it is shown."""
    code = ord(sign)
    if 0xDC80 <= code <= 0xDCFF:
        # A byte that is not text.
        return f"\\x{code - 0xDC00:02x}"
    if sign.isprintable() or unicodedata.category(sign) == "Zs":
        try:
            sign.encode(encoding)
            return sign
        except UnicodeEncodeError:
            if sign in _PLAIN:
                return _PLAIN[sign]
    if sign in "\t\r":
        return {"\t": "\\t", "\r": "\\r"}[sign]
    # JSON has this form only.
    if code == 0x7F:
        return "\\u007f"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def argument(text: str) -> str:
    r"""Return text from the command line or a file name, read as UTF-8 if the locale could not read it.

    Examples
    --------
    >>> argument("f\udcc3\udcbcr") == "f\u00fcr"
    True
    """
    if text.isascii() or not any("\udc80" <= sign <= "\udcff" for sign in text):
        return text
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeError:
        return text


class _Guarded:
    """A text stream that shows what is written to it, or ``None`` for a closed stream.

    Parameters
    ----------
    stream
        The stream.
    needed
        Whether errors of the stream are raised. A message that nobody can read raises none.
    """

    # What click checks before it looks for a stream of bytes below this one.
    encoding = "utf-8"
    errors = "strict"

    def __init__(self, stream: TextIO | None, needed: bool) -> None:
        self.stream, self._needed = stream, needed

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError("only text is written here")
        self.send(shown(text, encoding_of(self.stream)))
        return len(text)

    def send(self, text: str) -> None:
        """Write text that has already passed `shown`."""
        # Writing nothing, as click does to test a stream, must not report it as broken.
        with self._errors():
            if text and self.stream is not None:
                self.stream.write(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        with self._errors():
            if self.stream is not None:
                self.stream.flush()

    def isatty(self) -> bool:
        return self.stream is not None and self.stream.isatty()

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            _forget(self.stream)
            if self._needed:
                raise
            self.stream = None

    def __getattr__(self, name: str) -> Any:
        # Other attributes that libraries ask of a stream.
        return getattr(self.stream, name)


def encoding_of(stream: Any) -> str:
    """Return the encoding of a stream, UTF-8 if it is not stated."""
    inner = stream.stream if isinstance(stream, _Guarded) else stream
    return getattr(inner, "encoding", None) or "utf-8"


def send(stream: Any, text: str) -> None:
    """Write text that has already passed `shown`, with the package's styles and cursor movements, in characters of the stream."""
    encoding = encoding_of(stream)
    text = _FOREIGN.sub(lambda found: _sign(found[0], encoding), text)
    stream.send(text) if isinstance(stream, _Guarded) else stream.write(text)


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """Pass what is printed through `shown`, and ignore standard streams that are closed.

    Otherwise a file opened while a standard stream is closed would get the number of that stream, and whatever a library prints
    there would end up in the file.
    """
    if isinstance(sys.stdout, _Guarded):
        yield
        return
    _open_closed()
    before = sys.stdout, sys.stderr
    # They have the attributes that printing needs of a text stream.
    sys.stdout, sys.stderr = _Guarded(before[0], needed=True), _Guarded(before[1], needed=False)  # type: ignore[assignment]
    try:
        yield
    except Exception:
        if before[1] is not sys.__stderr__:
            sys.stdout, sys.stderr = before
        # In a separate process, the traceback that follows is shown like all other text.
        raise
    except BaseException:
        sys.stdout, sys.stderr = before
        raise
    sys.stdout, sys.stderr = before


def _open_closed() -> None:
    """Open the null device under the number of each standard stream that is closed."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is taken.
            os.open(os.devnull, os.O_RDWR)


def _forget(stream: Any) -> None:
    """Discard the unwritten output of a broken stream, also when the process ends."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)
