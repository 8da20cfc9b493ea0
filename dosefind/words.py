"""Sentences that a person reads, marked where they stand so that they can be translated.

A sentence is one literal with named places, ``_("{design} selects level {level}").format(...)``: a translation can put the places
in another order. A sentence that counts is given in both forms to `counted`. `in_language` says which catalogue is read; without a
catalogue the English of the code is shown.
"""

from __future__ import annotations

import gettext
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from ._check import one_of

__all__ = ["_", "counted", "in_language", "language", "languages", "marked", "n_days", "n_dlts", "n_patients"]

_FOLDER = Path(__file__).parent / "locale"
_ENGLISH = "en", gettext.NullTranslations()
_CURRENT: ContextVar[tuple[str, gettext.NullTranslations]] = ContextVar("_CURRENT", default=_ENGLISH)


def _(message: str) -> str:
    """Return a sentence in the current language."""
    return _CURRENT.get()[1].gettext(message)


def counted(singular: str, plural: str, n: int, **values: Any) -> str:
    """Return the form of a sentence for a number, with the number in its place ``{n}`` and other values in their places.

    Examples
    --------
    >>> counted("{n} patient at level {level}", "{n} patients at level {level}", 2, level=1)
    '2 patients at level 1'
    """
    return _CURRENT.get()[1].ngettext(singular, plural, n).format(n=n, **values)


def n_patients(n: int) -> str:
    """Return a number of patients in words."""
    return counted("{n} patient", "{n} patients", n)


def n_dlts(n: int) -> str:
    """Return a number of DLTs in words."""
    return counted("{n} DLT", "{n} DLTs", n)


def n_days(n: int) -> str:
    """Return a number of days in words."""
    return counted("{n} day", "{n} days", n)


def marked[T: str](message: T) -> T:
    """Mark a sentence that is translated where it is shown, as in a table that is made once."""
    return message


def language() -> str:
    """Return the code of the current language."""
    return _CURRENT.get()[0]


def languages() -> list[str]:
    """Return the codes of the languages that sentences are available in."""
    return ["en", *sorted(path.parents[1].name for path in _FOLDER.glob("*/LC_MESSAGES/dosefind.mo"))]


@contextmanager
def in_language(code: str, catalogue: gettext.NullTranslations | None = None) -> Iterator[None]:
    """Show sentences in a language.

    Parameters
    ----------
    code
        Code of the language, such as "en".
    catalogue
        Its catalogue; by default that of the package.

    Raises
    ------
    InputError
        If there is no catalogue of it.
    """
    if catalogue is None:
        one_of("language", code, languages())
        catalogue = _ENGLISH[1] if code == "en" else gettext.translation("dosefind", _FOLDER, [code])
    token = _CURRENT.set((code, catalogue))
    try:
        yield
    finally:
        _CURRENT.reset(token)
