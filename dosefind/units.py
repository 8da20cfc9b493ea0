"""Comparison of dose units by their meaning, whatever their spelling; nothing is ever converted.

A unit is read as a factor and powers of base units, from a closed list of the units in which doses are given (SI prefixes with
gram, litre, mole, becquerel and so on), of words for cells and of spellings of powers of ten. The case of m and M is kept, as mg is
not Mg; a unit in capitals only, as in SAS data, is read if only one unit can be meant (MG, UG, KG). Words that are in no
list are units of their own.
"""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

__all__ = ["Unit", "factor", "read_unit", "same_unit", "wrong_unit"]


class Unit(NamedTuple):
    """A unit: its factor and the powers of its base units by name, sorted.

    The name of a base unit in the denominator begins with a slash, because the kilograms in mg/kg are not those of the product.
    """

    factor: Fraction
    powers: tuple[tuple[str, int], ...]


_LONGEST = 200
# Factors between units that a message states; other factors do not suggest a mistaken unit.
_LEAST_NAMED = Fraction(1, 10**15)
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
_MICRO = "\u03bc"  # NFKC turns the micro sign, U+00B5, into this Greek letter.
_PREFIXES = {"G": 9, "M": 6, "k": 3, "h": 2, "d": -1, "c": -2, "m": -3, _MICRO: -6, "u": -6, "n": -9, "p": -12, "f": -15}
_LONG_PREFIXES = {"giga": 9, "mega": 6, "kilo": 3, "deci": -1, "centi": -2, "milli": -3, "micro": -6, "nano": -9, "pico": -12}
# Symbols with their meaning: a power of ten and base units.
_SYMBOLS: dict[str, tuple[int, dict[str, int]]] = {
    "g": (0, {"g": 1}),
    "m": (0, {"m": 1}),
    "L": (-3, {"m": 3}),
    "l": (-3, {"m": 3}),
    "mol": (0, {"mol": 1}),
    "M": (3, {"mol": 1, "m": -3}),
    "Bq": (0, {"Bq": 1}),
    "Ci": (0, {"Ci": 1}),
    "Gy": (0, {"Gy": 1}),
    "Sv": (0, {"Sv": 1}),
    "IU": (0, {"IU": 1}),
    "U": (0, {"U": 1}),
    "Eq": (0, {"Eq": 1}),
    "eq": (0, {"Eq": 1}),
}
_WORDS: dict[str, tuple[int, dict[str, int]]] = {
    **{name: _SYMBOLS[symbol] for name, symbol in (("gram", "g"), ("gramme", "g"), ("litre", "L"), ("liter", "L"))},
    **{name: _SYMBOLS[symbol] for name, symbol in (("metre", "m"), ("meter", "m"), ("mole", "mol"), ("molar", "M"))},
    **{name: _SYMBOLS[symbol] for name, symbol in (("becquerel", "Bq"), ("curie", "Ci"), ("gray", "Gy"), ("sievert", "Sv"))},
    "unit": _SYMBOLS["U"],
}
# Irregular spellings; those in capitals cannot be another unit of a dose.
_SPELLINGS = {
    "mcg": "ug",
    "MCG": "ug",
    "Mcg": "ug",
    "UG": "ug",
    "MG": "mg",
    "NG": "ng",
    "KG": "kg",
    "Kg": "kg",
    "G": "g",
    "GM": "g",
    "gm": "g",
    "ML": "mL",
    "UL": "uL",
    "MMOL": "mmol",
    "UMOL": "umol",
    "NMOL": "nmol",
    "MOL": "mol",
    "iu": "IU",
    "MBQ": "MBq",
    "MCI": "mCi",
    "GBQ": "GBq",
    "KBQ": "kBq",
    "GY": "Gy",
    "mEQ": "mEq",
    "MEQ": "mEq",
    "sqm": "m2",
    "cc": "mL",
}
_TIMES = {"h": "hour", "hr": "hour", "hrs": "hour", "d": "day", "wk": "week", "min": "minute"}
_MULTIPLES = {"thousand": 3, "million": 6, "mio": 6, "billion": 9}
_CELL = "cell"
_NUMBER = r"10(?:\^|\*\*?)[+-]?[0-9]{1,2}|[0-9]{1,3}(?:,[0-9]{3}){2,5}|[0-9]{1,20}(?:\.[0-9]{1,20})?(?:[eE][+-]?[0-9]{1,2})?"
_TOKEN = re.compile(
    rf"\s*(?:(?P<divide>/|\bper\b)|(?P<times>[*\u00b7\u22c5\u00d7]|\bof\b|(?<![^\W\d_])[xX](?=\s*1|\s))"
    rf"|(?P<number>{_NUMBER})|(?P<named>[^\W\d_]+(?:-[^\W\d_]+)*\d*\+)"
    r"|(?P<word>[^\W\d_]+(?:-[^\W\d_]+)*)(?:(?:\^|\*\*)(?P<power>[+-]?[0-9])|(?P<plain>-?[1-3]))?(?!\d))\s*"
)


@lru_cache(maxsize=1024)
def read_unit(text: str) -> Unit | None:
    """Return the meaning of a unit, or ``None`` if its spelling is not recognised."""
    rest = _plain(text)
    value, powers = Fraction(1), dict[str, int]()
    direction, at, needs = 1, 0, False
    if not rest or len(rest) > _LONGEST:
        return None
    while at < len(rest):
        token = _TOKEN.match(rest, at)
        if token is None:
            return None
        at = token.end()
        if token["divide"]:
            if needs:
                return None
            direction, needs = -1, True
            continue
        if token["times"]:
            if needs:
                return None
            continue
        ten, found = _meaning(token)
        if token["number"] and not _number(token["number"]):
            return None
        value *= (_number(token["number"]) if token["number"] else Fraction(10) ** ten) ** direction
        for name, power in found.items():
            name = name if direction * power > 0 else f"/{name}"
            powers[name] = powers.get(name, 0) + abs(power)
        direction, needs = 1, False
    if needs or value <= 0:
        return None
    return Unit(value, tuple(sorted(powers.items())))


def same_unit(unit: str, other: str) -> bool:
    """Return whether two units have the same meaning.

    Examples
    --------
    >>> [same_unit("ug/kg", text) for text in ("µg/kg", "mcg per kg", "UG/KG", "mg/kg", "Ug/kg")]
    [True, True, True, False, False]
    >>> [same_unit("10^6 cells/kg", text) for text in ("1E6 cells/kg", "10⁶ Cells / kg", "million cells/kg", "cells/kg")]
    [True, True, True, False]
    """
    return _plain(unit) == _plain(other) or factor(unit, other) == 1


def factor(unit: str, other: str) -> Fraction | None:
    """Return how many of the second unit make one of the first, or ``None`` if they are not comparable or not recognised."""
    first, second = read_unit(unit), read_unit(other)
    if first is None or second is None:
        return None
    alike = first.powers == second.powers or _without_cells(first) == second.powers or first.powers == _without_cells(second)
    return first.factor / second.factor if alike else None


def wrong_unit(found: str, wanted: str, owner: str = "the protocol") -> str | None:
    """Return what is wrong with a unit that should be that of ``owner``, in words, or ``None`` if they have the same meaning."""
    if same_unit(found, wanted):
        return None
    number = factor(found, wanted)
    if number is None or not _LEAST_NAMED <= number <= 1 / _LEAST_NAMED:
        return f"must be the unit of {owner}, {wanted!r}: units are not converted"
    return f"must be the unit of {owner}, {wanted!r}: 1 {found!r} is {_shown(number)} {wanted!r}, and units are not converted"


def _plain(text: str) -> str:
    """Return a unit in comparable characters: superscripts as powers, the micro sign as the Greek letter, single spaces."""
    raised = re.sub(r"[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+", lambda digits: f"^{digits[0].translate(_SUPERSCRIPTS)}", text)
    plain = unicodedata.normalize("NFKC", raised).replace("\u2212", "-")
    return " ".join(re.sub(r"\b[sS][qQ](?:\.|uare)? ?([mM])(?:et(?:er|re)s?)?\b", r"\1^2", plain).split())


def _meaning(token: re.Match[str]) -> tuple[int, dict[str, int]]:
    """Return the power of ten and the base units of one word with its exponent."""
    if token["number"]:
        return 0, {}
    word = token["word"] or token["named"]
    power = int(token["power"] or token["plain"] or 1)
    # M is molar, but its square can only be the square metre.
    ten, found = _SYMBOLS["m"] if word == "M" and abs(power) == 2 else _word(word)
    return ten * power, {name: power * own for name, own in found.items()}


def _word(word: str) -> tuple[int, dict[str, int]]:
    spelling = _SPELLINGS.get(word, word)
    if spelling == "m2":
        return 0, {"m": 2}
    if spelling in _SYMBOLS:
        return _SYMBOLS[spelling]
    for prefix, ten in _PREFIXES.items():
        if spelling.startswith(prefix) and spelling[len(prefix) :] in _SYMBOLS:
            own, found = _SYMBOLS[spelling[len(prefix) :]]
            # The prefix in a cubed unit is not cubed here: mL is a thousandth of a litre.
            return ten + own, found
    folded = spelling.casefold()
    single = _TIMES.get(folded, folded.removesuffix("s") if len(folded) > 3 else folded)
    if single in _MULTIPLES:
        return _MULTIPLES[single], {}
    for prefix, ten in [("", 0), *_LONG_PREFIXES.items()]:
        if single.startswith(prefix) and single[len(prefix) :] in _WORDS:
            own, found = _WORDS[single[len(prefix) :]]
            return ten + own, found
    # The case of a leading m is kept: it may be the prefix of a unit that is in no list.
    return 0, {f"{spelling[0]}{single[1:]}?" if spelling[0] in "mM" and len(spelling) < 4 else single: 1}


def _number(text: str) -> Fraction:
    power = re.fullmatch(r"10(?:\^|\*\*?)([+-]?\d+)", text)
    return Fraction(10) ** int(power[1]) if power else Fraction(text.replace(",", ""))


def _without_cells(unit: Unit) -> tuple[tuple[str, int], ...]:
    """Return the powers without cells, which are a pure number, unless something else is counted: 10^6 cells/kg is 10^6/kg."""
    counted = [(name, power) for name, power in unit.powers if name[0] != "/"]
    return tuple(power for power in unit.powers if power[0] != _CELL) if counted == [(_CELL, 1)] else unit.powers


def _shown(number: Fraction) -> str:
    """Return a factor as usually written: 0.001, 1000 or 10^6."""
    for power in (*range(-15, -4), *range(5, 16)):
        if number == Fraction(10) ** power:
            return f"10^{power}"
    return f"{float(number):.10g}"
