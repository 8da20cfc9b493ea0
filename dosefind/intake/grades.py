"""CTCAE grades in the spellings of the data."""

from __future__ import annotations

import re
from functools import lru_cache

from ..protocol import plain_words

__all__ = ["grade_of", "why_no_grade"]

_GRADE = re.compile(
    r"(?:(?:nci[- ]?)?ctc(?:ae)?,? )?(?:(?:toxicity )?(?:grade|gr\.?|g)[ :]?)?\s?(?P<number>\+?\d(?:\.0*)?(?:e\+?0+)?)"
    r"(?:\s?[-:=,\u2013\u2014]?\s?\(?(?P<words>[a-z][a-z -]*[a-z])\)?)?",
    re.IGNORECASE | re.ASCII,
)
# The name of each grade in CTCAE (Common Terminology Criteria for Adverse Events v5.0, NCI, 27 November 2017, page 2), with usual
# short forms.
_SEVERITY = {
    1: ("mild", "asymptomatic"),
    2: ("moderate",),
    3: ("severe",),
    4: ("life threatening", "potentially life threatening", "disabling"),
    5: ("death", "fatal", "death related to ae"),
}
_ROMAN = re.compile(r"(?:grade )?(?:i{1,3}|iv|v)", re.IGNORECASE)
_TWO = re.compile(r"(?:grade )?\d ?(?:-|/|\u2013|to|or|and) ?\d|(?:grade )?(?:[<>\u2265\u2264]=? ?\d|\d ?\+)", re.IGNORECASE)


@lru_cache(maxsize=1024)
def grade_of(text: str) -> int | None:
    """Return the grade stated by a cell, from 1 to 5, or ``None`` if it states none, several, or contradictory words.

    Examples
    --------
    >>> [grade_of(text) for text in ("3", "3.0", "Grade 3", "G3", "CTCAE 3", "3 - Severe", "Grade 3 (severe)")]
    [3, 3, 3, 3, 3, 3, 3]
    >>> [grade_of(text) for text in ("III", "severe", "2-3", "3.5", "Grade 3 (mild)", "0")]
    [None, None, None, None, None, None]
    """
    found = _GRADE.fullmatch(" ".join(text.replace("_", " ").split()))
    if found is None:
        return None
    grade = int(float(found["number"]))
    words = found["words"]
    if grade not in _SEVERITY or (words is not None and plain_words(words) not in _SEVERITY[grade]):
        return None
    return grade


def why_no_grade(text: str, least: int = 1) -> str:
    """Return the problem with a cell that states no grade; ``least`` is the lowest grade allowed there."""
    plain = plain_words(text)
    found = _GRADE.fullmatch(" ".join(text.split()))
    allowed = f"must be a CTCAE grade from {least} to 5, or empty if unknown"
    if _ROMAN.fullmatch(plain):
        return f"{allowed}: a Roman numeral is not read, write its digit"
    if _TWO.fullmatch(" ".join(text.split())):
        return f"{allowed}: it may be more than one grade, write the one that was reached"
    if any(plain in words for words in _SEVERITY.values()):
        return f"{allowed}: it is a severity, which is not a CTCAE grade"
    if found is not None and found["words"] is not None and float(found["number"]) in _SEVERITY:
        return f"{allowed}: its words are not those of that grade"
    return allowed
