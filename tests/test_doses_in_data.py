"""Doses in data equal a dose of the protocol to the digits shown, and never by a wider rounding."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dosefind.intake.doses import match_level

FIBONACCI = (2.352637, 3.12900721, 4.1615795893)


@pytest.mark.parametrize(
    "amount", ["3.12900721", "3.129007210000001", "3.12901", "3.129", "3.13", "3.1290", 3.129, 3.12901, "+3.129", "0.312901e1"]
)
def test_an_amount_rounded_to_the_digits_shown_is_the_dose(amount):
    assert match_level(amount, FIBONACCI) == 2


@pytest.mark.parametrize(
    "amount",
    [
        "3.1",
        "3",
        3.0,
        "3.12902",
        "3.128",
        "3.12",
        "3.14",
        "3.1291",
        "31.2901",
        "-3.129",
        "0",
        "nan",
        "inf",
        "",
        "x",
        "3_129e-3",
        "\u0663.129",
        "3.129e99999999999",
        "3.129e-99999999999",
    ],
)
def test_an_amount_with_few_or_other_digits_is_no_dose(amount):
    assert match_level(amount, FIBONACCI) is None


@pytest.mark.parametrize(
    ("amount", "amounts", "level"),
    [
        (0.1 * 3, (0.1, 0.2, 0.3), 3),
        ("0.30000000000000004", (0.1, 0.2, 0.3), 3),
        (0.7 + 0.1, (0.4, 0.8), 2),
        (np.float64(1.1) * 3, (1.1, 3.3), 2),
        (100 / 3 * 3, (50, 100), 2),
        ("1", (1.4, 2.8), None),
        ("1.4", (1, 3), None),
        ("1.0", (1.04, 3), None),
        ("1.00", (1.004, 3), 1),
        ("100", (100.4, 200.8), 1),
        ("100", (104, 200), None),
        ("1e2", (100.4, 200.8), None),
        ("1e2", (100, 200), 1),
        # A round amount of the protocol is exact: what was given near it is another amount.
        ("100.4", (100, 200), None),
        ("12.54", (12.5, 25), None),
        ("3.12900721", (2.35264, 3.12901), 2),
        # Two doses that the digits shown cannot tell apart.
        ("3.12", (3.121, 3.122), None),
        ("3.12", (3.118, 3.126), None),
        ("3.121", (3.121, 3.122), 1),
        ("1.00", (1.004, 1.014), None),
        ("1.005", (1.0, 1.01), None),
        ("2.5", (2.5,), 1),
        ("2.50", (2.504,), 1),
    ],
)
def test_digits_shown_decide(amount, amounts, level):
    assert match_level(amount, amounts) == level


@given(st.lists(st.floats(0.001, 1e6), min_size=1, max_size=12, unique=True), st.integers(3, 15), st.data())
def test_a_match_is_the_nearest_dose_within_half_a_percent(doses, digits, data):
    amounts = sorted(doses)
    dose = data.draw(st.sampled_from(amounts))
    text = f"{dose:.{digits - 1}e}"
    level = match_level(text, amounts)
    if level is not None:
        assert abs(amounts[level - 1] - float(text)) == min(abs(amount - float(text)) for amount in amounts)
        assert amounts[level - 1] == pytest.approx(float(text), rel=0.00501)
    assert match_level(dose, amounts) == amounts.index(dose) + 1
