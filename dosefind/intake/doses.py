"""Matching an amount in the data to a dose level of the protocol, by the digits shown."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from itertools import pairwise

__all__ = ["match_level", "with_thousands"]

# Relative difference up to which two floating-point numbers are the same amount: 0.1 * 3 and 0.3.
_SAME = 1e-9
# Minimum number of significant digits of an amount in the data that is read as rounded from the protocol: the rounding then changes
# it by 0.5% or less, so that "1" is never read as 1.4.
_LEAST_SHOWN = 3
# Minimum number of significant digits of an amount in the protocol that is itself read as rounded (a step of a Fibonacci scheme
# written as 3.12901): an amount with fewer, such as 2.5 or 100, is taken as exact.
_LEAST_STATED = 5


def match_level(amount: str | float, amounts: Sequence[float]) -> int | None:
    """Return the level, from 1, of the dose that equals an amount to the digits shown.

    Two amounts are equal if they are the same floating-point number to a relative difference of 1e-9, or if one of them is the
    other rounded to the digits that it shows. An amount in the data must show at least three significant digits for that, an
    amount in the protocol at least five, and half a unit of the last digit must be below half of the smallest gap between doses,
    so that the rounding can never lead to another level.

    Parameters
    ----------
    amount
        The amount as written in the data, so that trailing zeros count as digits; a number shows the digits of its
        shortest decimal form.
    amounts
        The doses of the protocol in ascending order, in the unit of the amount.

    Returns
    -------
    int or None
        The level; ``None`` if no dose equals the amount, or if it is not a finite number above 0.

    Examples
    --------
    >>> fibonacci = (2.352637, 3.12900721, 4.1615795893)
    >>> [match_level(amount, fibonacci) for amount in ("3.12901", 3.129, "3.1", "4.16", "3.12902")]
    [2, 2, None, 3, None]
    >>> match_level(0.1 * 3, (0.1, 0.2, 0.3))
    3
    """
    text = str(amount).strip()
    try:
        shown = Decimal(text)
    except InvalidOperation:
        return None
    # Decimal also accepts NaN, underscores, digits outside ASCII, and exponents beyond those of a floating-point number.
    if not text.isascii() or "_" in text or not shown.is_finite() or not 0 < float(shown) < math.inf:
        return None
    known = [Decimal(repr(float(dose))) for dose in amounts]
    same = [level for level, dose in enumerate(amounts, start=1) if math.isclose(float(shown), dose, rel_tol=_SAME)]
    if same:
        return min(same, key=lambda level: abs(known[level - 1] - shown))
    gap = min((high - low for low, high in pairwise(known)), default=Decimal("Infinity"))
    equal = [level for level, dose in enumerate(known, start=1) if _is_rounded(shown, dose, gap)]
    return equal[0] if len(equal) == 1 else None


def with_thousands(text: str, amounts: Sequence[float]) -> float | None:
    """Return the dose that text states if its point is a thousands separator, as in 1.000, or ``None`` if it is not a dose.

    Examples
    --------
    >>> with_thousands("1.000", (500, 1000)), with_thousands("1.000", (0.5, 1)), with_thousands("1.0", (1, 1000))
    (1000.0, None, None)
    """
    if re.fullmatch(r"[1-9][0-9]{0,2}\.[0-9]{3}", text) is None:
        return None
    level = match_level(text.replace(".", ""), amounts)
    return None if level is None else float(amounts[level - 1])


def _is_rounded(shown: Decimal, stated: Decimal, gap: Decimal) -> bool:
    """Return whether one of two amounts is the other rounded, to enough digits and to a unit small relative to the gap."""
    exact = stated.normalize()
    return any(
        len(rounded.as_tuple().digits) >= fewest and abs(shown - stated) <= _unit(rounded) / 2 < gap / 2
        for rounded, fewest in ((shown, _LEAST_SHOWN), (exact, _LEAST_STATED))
    )


def _unit(amount: Decimal) -> Decimal:
    """Return one unit of the last digit shown by an amount."""
    return Decimal(1).scaleb(int(amount.as_tuple().exponent))
