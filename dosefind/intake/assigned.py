"""The dose level assigned in the data, read from the names of arms, treatments and epochs; and the level of an amount."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from ..protocol import Doses, Protocol, plain_words
from .doses import match_level

__all__ = ["ArmNames", "Assignment", "matched"]

_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
# "DL-1" is dose level minus one in many protocols, so a hyphen never separates the word from the number.
_LEVEL = re.compile(
    r"(?<![^\W_])(?:dl|(?:dos(?:e|age)[ _]*)?(?:level|lvl)|dose[-]level)[ _]*0*([0-9]{1,3})(?![\w.])", re.IGNORECASE
)
# A number after one of these is the end of a range or another item of a list.
_MORE = re.compile(r"\s*(?:/|-|to|or|and|then|,|&|\+)\s*\d", re.IGNORECASE)
_NUMBER = r"(?<![\w.,^/+-])([0-9]+(?:\.[0-9]+)?|\.[0-9]+)"


class Assignment(NamedTuple):
    """An assigned dose level (from 1) and the column or variable of the assignment."""

    level: int
    by: str


class ArmNames:
    """Names of arms, treatments and epochs read as dose levels.

    A name is first looked up in ``doses.arms`` of the protocol. Otherwise it assigns a level if it states an amount of the
    protocol with its unit ("1 x 10^6 cells/kg"), a level number ("Dose level 1", "DL1", "LEVEL1"), or both. A name with
    two levels, or with a number and an amount that disagree, assigns none. A cohort is not a level.

    Parameters
    ----------
    protocol
        The latest version of the protocol. If an amendment changes the numbers of levels, a number alone assigns none: it can
        be the number before the amendment.
    """

    def __init__(self, protocol: Protocol) -> None:
        self._doses, self._numbers = protocol.doses, not protocol.renumbers_levels
        self._arms = {plain_words(arm): level for arm, level in protocol.doses.arms.items()}
        self._amount = _amount_pattern(protocol.doses.unit)
        self.level = lru_cache(maxsize=1024)(self._level)

    def _level(self, text: str) -> int | None:
        """Return the level assigned by a name, or ``None`` if it assigns none."""
        mapped = self._arms.get(plain_words(text))
        if mapped is not None:
            return mapped
        by_amount, by_number = self._by_amount(text), self._by_number(text)
        if len(by_amount) > 1 or len(by_number) > 1 or (by_amount and by_amount[0] is None):
            return None
        if by_amount:
            return by_amount[0] if not by_number or not self._numbers or by_number == by_amount else None
        return by_number[0] if by_number and self._numbers else None

    def without_level(self, text: str) -> str:
        """Return the name of a treatment without its level or amount."""
        if plain_words(text) in self._arms:
            return ""
        rest = _LEVEL.sub(" ", self._amount.sub(" ", _plain(text)))
        return " ".join(re.findall(r"[^\W_]+", rest.casefold()))

    def _by_amount(self, text: str) -> list[int | None]:
        """Return the levels of all amounts in a name, each once; ``None`` for an amount not in the protocol."""
        return _each_once(_plain(text), self._amount, lambda number: match_level(number, self._doses.amounts))

    def _by_number(self, text: str) -> list[int | None]:
        levels = range(1, len(self._doses.amounts) + 1)
        # Without the amounts, so that "DL2, 3 mg" is not read as a list of levels.
        rest = self._amount.sub(" ; ", _plain(text))
        found = _each_once(rest, _LEVEL, lambda number: int(number) if int(number) in levels else None)
        return [None, None] if None in found else found


def _plain(text: str) -> str:
    """Return a text with powers as digits after a circumflex and a single sign for multiplication."""
    powers = re.sub(r"(?<=10)([⁰¹²³⁴⁵⁶⁷⁸⁹]+)", r"^\1", text).translate(_SUPERSCRIPTS)
    return powers.replace("**", "^").replace("×", "x").replace("µ", "μ")


def _each_once(plain: str, pattern: re.Pattern[str], level_of: Callable[[str], int | None]) -> list[int | None]:
    """Return the levels of all matches of a pattern, each once, and also ``None`` for a range or list of numbers."""
    found: list[int | None] = []
    for match in pattern.finditer(plain):
        before = re.search(r"\d\s*(?:to|or|and)\s*$", plain[: match.start()], re.IGNORECASE)
        found.append(None if before or _MORE.match(plain, match.end()) else level_of(match[1]))
    return list(dict.fromkeys(found))


def _amount_pattern(unit: str) -> re.Pattern[str]:
    """Return a pattern of a number with the protocol's unit, whatever the spaces, the case and the spelling of powers."""
    letters = re.sub(r"\s", "", _plain(unit)).removeprefix("x").removeprefix("*")
    spelled = r"\s*".join(map(re.escape, letters))
    return re.compile(rf"{_NUMBER}\s*[x*·]?\s*\(?\s*[x*·]?\s*{spelled}(?![\w/^*²³])", re.IGNORECASE)


def matched(amount: str | float, doses: Doses) -> tuple[int | None, float]:
    """Return the level of an amount and the administered amount.

    An amount that equals a dose to the digits shown is that dose. Another amount within ``doses.tolerance`` of a dose has its
    level and is otherwise unchanged; the tolerance is below half the smallest gap, so that it applies to one dose only.

    Parameters
    ----------
    amount
        A number above 0, as written in the data or as a sum.
    doses
        The doses of the protocol.
    """
    level = match_level(amount, doses.amounts)
    if level is not None:
        return level, float(doses.amounts[level - 1])
    value = float(amount)
    near = (
        level
        for level, known in enumerate(doses.amounts, start=1)
        if doses.tolerance and abs(value - known) <= doses.tolerance * known * (1 + _ROUNDING)
    )
    return next(near, None), value


# Relative rounding error of the difference and the product, so that 0.95 is within 0.05 of 1.
_ROUNDING = 1e-9
