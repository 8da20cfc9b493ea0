"""Units of doses are compared by their meaning: every spelling of one unit is that unit, and no other unit is."""

import string
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dosefind import InputError, load_protocol
from dosefind.protocol import Doses
from dosefind.units import factor, read_unit, same_unit, wrong_unit

from .planted import faults

SAME = {
    "10^6 cells/kg": (
        *("10^6 CELLS/kg", "10^6 CELLS/KG", "10^6 cell/kg", "10^6  cells / kg", "10^6\u00a0cells/kg", "10⁶ cells/kg", "10⁶/kg"),
        *("x10^6 cells/kg", "x 10^6 cells/kg", "× 10⁶ cells/kg", "1x10^6 cells/kg", "1 x 10^6 cells/kg", "*10^6 cells/kg"),
        *("1E6 cells/kg", "1e6 cells/kg", "1e+06 cells/kg", "1.0E6 cells/kg", "10**6 cells/kg", "10*6/kg", "10^6/kg"),
        *("million cells/kg", "millions of cells per kg", "1,000,000 cells/kg", "1000000 cells/kg", "10^6 cells kg-1"),
        *("10^6 cells kg^-1", "10^6 cells·kg⁻¹", "10^6 cells/kilogram"),
    ),
    "mg": ("MG", "mg ", "milligram", "Milligrams", "㎎", "1000 ug"),
    "mg/m^2": ("mg/m²", "mg/m2", "mg/m**2", "mg/sq m", "mg/sq. m", "mg/sqm", "mg per square metre", "MG/M2", "mg m-2", "mg per m2"),
    "µg/kg": ("μg/kg", "mcg/kg", "ug/kg", "MCG/KG", "UG/KG", "ug/Kg", "microgram/kg", "micrograms per kilogram", "ng/g"),
    "mM": ("mmol/L", "mmol/l", "millimolar"),
    "mL": ("ml", "ML", "cc", "millilitre", "milliliters"),
    "IU/kg": ("iu/kg", "IU/KG"),
    "10^13 vg/kg": ("1e13 vg/kg", "1E13 VG/kg"),
    "10^6 CD34+ cells/kg": ("1e6 CD34+ CELLS/KG", "million CD34+ cells per kg"),
    "mg/kg/day": ("mg/kg/d", "mg/kg per day"),
    "MBq": ("MBQ", "megabecquerel"),
    "tablets": ("tablet", "TABLETS"),
}
# Another unit, and how many of the first make it, if they are of one kind.
OTHER = [
    ("10^6 cells/kg", "cells/kg", Fraction(1, 10**6)),
    ("10^6 cells/kg", "10^7 cells/kg", 10),
    ("10^6 cells/kg", "10E6 cells/kg", 10),
    ("10^6 cells/kg", "106 cells/kg", Fraction(106, 10**6)),
    ("10^6 cells/kg", "10^6 cells", None),
    ("10^6 cells/kg", "10^6 CAR-T cells/kg", None),
    ("10^6 cells/kg", "10^6 viable cells/kg", None),
    ("10^6 cells/kg", "10^6 vg/kg", None),
    ("10^6 cells/kg", "10^6 cells//kg", None),
    ("10^6 cells/kg", "10^6 cells/", None),
    ("10^6 cells/kg", "1,000 cells/kg", None),
    ("10^6 CD34+ cells/kg", "10^6 cells/kg", None),
    ("mg", "Mg", 10**9),
    ("mg", "ug", Fraction(1, 1000)),
    ("mg", "g", 1000),
    ("mg", "mM", None),
    ("mg", "mg/kg", None),
    ("mg", "", None),
    ("mg/m^2", "mg/m", None),
    ("mg/m^2", "mg/m3", None),
    ("mg/m^2", "mg/kg", None),
    ("mg/m^2", "ug/m2", Fraction(1, 1000)),
    ("µg/kg", "mg/kg", 1000),
    ("µg/kg", "Ug/kg", None),
    ("µg/kg", "mL/L", None),
    ("mM", "MM", 10**9),
    ("mM", "mm", None),
    ("IU/kg", "U/kg", None),
    ("IU/kg", "kIU/kg", 1000),
    ("MBq", "mBq", Fraction(1, 10**9)),
    ("MBq", "mCi", None),
    ("mAU", "MAU", None),
    ("mg/kg/day", "mg/kg/week", None),
]


@pytest.mark.parametrize(("unit", "spelling"), [(unit, spelling) for unit, own in SAME.items() for spelling in own])
def test_spellings_of_one_unit(unit, spelling):
    assert same_unit(unit, spelling)
    assert same_unit(spelling, unit)
    assert wrong_unit(spelling, unit) is None


@pytest.mark.parametrize(("unit", "other", "number"), OTHER)
def test_other_units_are_distinguished_with_their_factor(unit, other, number):
    assert not same_unit(unit, other)
    assert not same_unit(other, unit)
    assert factor(other, unit) == number
    words = wrong_unit(other, unit) or ""
    assert repr(unit) in words
    assert "units are not converted" in words
    assert (repr(other) in words) == (number is not None)


def test_spellings_of_different_units_never_meet():
    units = {unit: [unit, *own] for unit, own in SAME.items()}
    for unit, own in units.items():
        for other, others in units.items():
            assert unit == other or not any(same_unit(one, two) for one in own for two in others)


@given(st.text(alphabet=string.ascii_letters + string.digits + " /^*+-.,µμ²⁶·×x()", max_size=30), st.text(max_size=10))
def test_any_text_is_compared_without_an_error(unit, other):
    assert same_unit(unit, unit)
    assert same_unit(unit, other) == same_unit(other, unit)
    assert (wrong_unit(unit, other) is None) == same_unit(unit, other)
    read_unit(unit)


@pytest.mark.parametrize("unit", ["10^99" * 40, "10^99 " * 30 + "mg", "1e99 " * 30, "9" * 150, "mg " * 60])
def test_a_unit_of_nonsense_is_refused_quickly(unit):
    assert not same_unit(unit, "mg")
    assert wrong_unit(unit, "mg")


@pytest.mark.parametrize("unit", ["mcg/kg", "μg/kg", "ug per kg", "UG/KG"])
def test_the_unit_of_the_reference_dose_may_be_spelled_otherwise(unit):
    doses = Doses.read({"amounts": [1, 3], "unit": "µg/kg", "reference": {"amount": 3, "unit": unit}})
    assert doses.reference.amount == 3


@pytest.mark.parametrize("unit", ["mg/kg", "µg", "Mg/kg", "10^6 cells/kg"])
def test_another_unit_of_the_reference_dose_is_refused(unit):
    with pytest.raises(InputError) as error:
        Doses.read({"amounts": [1, 3], "unit": "µg/kg", "reference": {"amount": 3, "unit": unit}})
    assert [(problem.where, problem.value) for problem in error.value.problems] == [("reference.unit", unit)]


def test_configs_of_the_project_have_units_that_are_understood():
    assert read_unit(load_protocol("configs/nct05962762.toml").doses.unit) == read_unit("1e6 cells per kilogram")


# Faults that these tests must notice.

FAULTS = {
    "every unit is the unit wanted": (
        "dosefind.units:same_unit",
        lambda _: lambda one, other: True,
        test_other_units_are_distinguished_with_their_factor,
    ),
}

test_fault_is_caught = faults(FAULTS)
