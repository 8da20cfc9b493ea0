"""Text without differences of spelling: case, accents, invisible characters, letters that look like Latin ones.

Another letter of another script that looks like a Latin one is added to `_LOOK_ALIKES`.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["flat", "has_look_alikes", "one_slip", "plain_letters"]

# Lower-case letters of Cyrillic, Greek and other scripts that look like Latin ones in lower or upper case, a selection of the
# confusable characters of Unicode Technical Standard 39 (https://www.unicode.org/reports/tr39/).
_LOOK_ALIKES = str.maketrans(
    "авекмнорстухіїјѕһԁԛԝүґαβεζηικμνορτυχγıɑɡɪ",
    "abekmhopctyxiijshdqwyrabezhikmvoptuxyiagi",
)
_WORD = re.compile(r"[^\W\d_]+")


def plain_letters(text: str) -> str:
    """Return text in lower case, without accents and invisible characters, and with look-alike letters as Latin ones."""
    if text.isascii():
        return text.lower()
    shown = "".join(letter for letter in unicodedata.normalize("NFKC", text) if unicodedata.category(letter) != "Cf")
    parts = unicodedata.normalize("NFKD", shown.casefold())
    return "".join(letter for letter in parts if unicodedata.category(letter) != "Mn").translate(_LOOK_ALIKES)


def flat(text: str) -> str:
    """Return the letters and digits of a name, in plain letters: ``DLT (y/n)`` and ``dlt_yn`` are one name."""
    return "".join(letter for letter in plain_letters(text) if letter.isalnum())


def has_look_alikes(text: str) -> bool:
    """Return whether any word mixes Latin letters with letters of another script."""
    words = _WORD.findall(unicodedata.normalize("NFKC", text))
    return any(len({unicodedata.name(letter, "").partition(" ")[0] == "LATIN" for letter in word}) > 1 for word in words)


def one_slip(text: str, other: str) -> bool:
    """Return whether inserting, deleting or exchanging one letter, or swapping two, turns one text into the other."""
    if abs(len(text) - len(other)) > 1 or text == other:
        return False
    short, long = sorted((text, other), key=len)
    start = next((place for place, (left, right) in enumerate(zip(short, long, strict=False)) if left != right), len(short))
    if len(short) < len(long):
        return short[start:] == long[start + 1 :]
    swapped = short[start + 1 : start + 2] + short[start]
    return short[start + 1 :] == long[start + 1 :] or swapped + short[start + 2 :] == long[start:]
