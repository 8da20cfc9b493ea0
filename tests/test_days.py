"""Partial dates and intervals are sets of days: held against sets made by brute force from the parts of the text."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dosefind.days import ANY_DAY, read_days

# Years around a leap year.
YEARS = (2023, 2024, 2025)
EVERY_DAY = [date(2022, 1, 1) + timedelta(days=n) for n in range(5 * 365 + 1)]

years = st.none() | st.sampled_from(YEARS)
months = st.none() | st.integers(1, 12)
days = st.none() | st.integers(1, 31)
parts = st.tuples(years, months, days)
windows = st.tuples(st.dates(date(2022, 6, 1), date(2026, 6, 30)), st.integers(0, 120)).map(
    lambda pair: (pair[0], pair[0] + timedelta(days=pair[1]))
)


def text_of(year, month, day):
    """A date in the form of SDTM: a hyphen for a part that is not known, the parts on the right omitted."""
    shown = ["-" if year is None else f"{year:04d}", "-" if month is None else f"{month:02d}", "-" if day is None else f"{day:02d}"]
    while shown and shown[-1] == "-":
        shown.pop()
    return "-".join(shown)


def brute(year, month, day):
    return {one for one in EVERY_DAY if year in (None, one.year) and month in (None, one.month) and day in (None, one.day)}


def expected(members, first, end):
    inside = sum(first <= one <= end for one in members)
    return True if inside == len(members) else None if inside else False


@given(parts, windows)
def test_partial_date_is_the_set_of_its_days(given_parts, window):
    text, members = text_of(*given_parts), brute(*given_parts)
    if not members:
        with pytest.raises(ValueError, match="not a calendar day"):
            read_days(text)
        return
    found = read_days(text)
    assert {one for one in EVERY_DAY if one in found} == members
    assert found.within(*window) is expected(members, *window)
    assert found.meets(*window) is (expected(members, *window) is not False)
    assert found.certain == (next(iter(members)) if None not in given_parts else None)
    if given_parts[0] is not None:
        assert (found.earliest, found.latest) == (min(members), max(members))
    else:
        assert (found.earliest, found.latest) == (None, None)


@given(st.tuples(st.sampled_from(YEARS), months, days), st.tuples(st.sampled_from(YEARS), months, days), windows)
def test_interval_goes_from_first_day_to_last_day(start, end, window):
    begins, ends = brute(*start), brute(*end)
    text = f"{text_of(*start)}/{text_of(*end)}"
    if not begins or not ends or max(ends) < min(begins):
        with pytest.raises(ValueError, match=r"not a calendar day|before it begins"):
            read_days(text)
        return
    members = {one for one in EVERY_DAY if min(begins) <= one <= max(ends)}
    found = read_days(text)
    assert {one for one in EVERY_DAY if one in found} == members
    assert found.within(*window) is expected(members, *window)


@given(parts.filter(lambda one: brute(*one)), windows)
def test_narrowed_set_is_the_intersection(given_parts, window):
    found, members = read_days(text_of(*given_parts)), brute(*given_parts)
    both = found.narrowed(*window)
    inside = {one for one in members if window[0] <= one <= window[1]}
    if not inside:
        assert both is None
        return
    assert both is not None
    assert (both.earliest, both.latest) == (min(inside), max(inside))
    assert {one for one in EVERY_DAY if one in both} == inside
    before = found.narrowed(not_after=window[1])
    assert before is not None
    assert {one for one in EVERY_DAY if one in before} == {one for one in members if one <= window[1]}
    assert before.latest == max(one for one in members if one <= window[1])


@pytest.mark.parametrize(
    ("text", "same_as"),
    [
        ("2024-03-05T14:30", "2024-03-05"),
        ("2024-03-05T14:30:05.123+02:00", "2024-03-05"),
        ("2024-03-05T-:30", "2024-03-05"),
        ("2024-03-05T14:-", "2024-03-05"),
        ("2024-03-05T14", "2024-03-05"),
        ("2024-03-05/2024-03-05", "2024-03-05"),
        ("2024-03-05T10:00/2024-03-05T10:30", "2024-03-05"),
        ("2024-03/2024-03", "2024-03"),
        ("2024-03-01/2024-03-31", "2024-03"),
        ("2024-03--", "2024-03"),
        ("2024--", "2024"),
        ("2024----", "2024"),
        ("2024/2024-12-31", "2024"),
        ("2024---15T10:00", "2024---15"),
        ("--03-15T10:00", "--03-15"),
        ("--03-01/--03-31", "--03"),
        ("---15", "-----15"),
        ("----15", "-----15"),
        ("-----T07:15", ""),
        ("T07:15", ""),
    ],
)
def test_forms_that_mean_the_same_days(text, same_as):
    assert [one for one in EVERY_DAY if one in read_days(text)] == [one for one in EVERY_DAY if one in read_days(same_as)]


def test_interval_without_years_goes_over_the_end_of_the_year():
    found = read_days("--12-20/--01-10")
    assert date(2023, 12, 25) in found
    assert date(2024, 1, 10) in found
    assert date(2024, 1, 11) not in found
    assert date(2024, 12, 19) not in found


def test_interval_of_days_without_month_is_any_day():
    assert all(one in read_days("---05/---20") for one in EVERY_DAY[:400])


@pytest.mark.parametrize(
    "text",
    [
        *(
            "2023-02-29",
            "2024-02-30",
            "--02-30",
            "--04-31",
            "2024-13",
            "2024-00",
            "--13",
            "--00",
            "----32",
            "2024---32",
            "2024-03-00",
        ),
        *("2100-02-29", "0000", "0000-03"),
    ],
)
def test_day_that_the_calendar_does_not_have_is_refused(text):
    with pytest.raises(ValueError, match="not a calendar day"):
        read_days(text)


@pytest.mark.parametrize("text", ["2024-03-20/2024-03-05", "2024/2023", "2024-05/2024-03", "2024-03-05/2023---31"])
def test_interval_that_ends_before_it_begins_is_refused(text):
    with pytest.raises(ValueError, match="before it begins"):
        read_days(text)


@pytest.mark.parametrize("text", ["2024-03-05/--03-20", "--03/2024-04", "2024/-----", "-----/2024"])
def test_interval_with_a_year_at_one_end_is_refused(text):
    with pytest.raises(ValueError, match="year at both ends"):
        read_days(text)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "03/05/2024",
            "05.03.2024",
            "5 Mar 2024",
            "20240305",
            "2024-3-5",
            "2024-3",
            "24-03-05",
            "45356",
            "March 2024",
            "2024-UN-UN",
        ),
        *(
            "2024-03-05/",
            "/2024-03-05",
            "2024-03-05/20",
            "2024-01-01/2024-02-01/2024-03-01",
            "2024-03-05/P3D",
            "2024-03-05 / 2024-03-06",
        ),
        *("-", "--", "2024-", "2024-03-", "2024Q1", "2024-W10", "2024-065", "٢٠٢٤", "2024-03-05x", "2024 - 03"),
    ],
)
def test_text_that_is_not_iso_is_refused(text):
    with pytest.raises(ValueError, match=r"ISO form|not a calendar day|year at both ends"):
        read_days(text)


@pytest.mark.parametrize("text", ["1899", "2200-01-01", "1850-03", "2201---15"])
def test_year_out_of_range_is_refused(text):
    with pytest.raises(ValueError, match="from 1900 to 2199"):
        read_days(text)


def test_empty_text_is_any_day():
    assert read_days("") == ANY_DAY
    assert ANY_DAY.within(date(2024, 1, 1), date(2024, 12, 31)) is None
    assert str(ANY_DAY) == "no date"
    assert str(read_days("2024-03")) == "2024-03"
