"""Courses of infusions on a calendar: hazards of the infusions, exposure in whole days, and designs that read it."""

from dataclasses import replace

import numpy as np
import pytest

import dosefind as dsf
from benchmarks import course_designs
from dosefind.config import build_designs
from dosefind.exposure import intervals_of, planned_days
from dosefind.operating.calendar import Clock, run
from dosefind.outcomes import Rates
from dosefind.timing import Onset

from .made_up import day, protocol
from .plain_calendar import PlainCourseTrial, arrivals, latent_numbers
from .test_replay import BEGIN, Course

TRUTH = np.array([[0.1, 0.25, 0.4]])
CURVES = {"hazard": {"kind": "hazard", "prior": {"mean": [-3.349, 0.0], "sd": [2.0, 1.0]}}}
ONSET = {"kind": "per-infusion", "pattern": "even"}
PATTERNS = [
    {"pattern": "even"},
    {"pattern": "early"},
    {"pattern": "late"},
    {"pattern": "sensitising", "factor": 2.0},
    {"hazards": [0.0, 1.0, 3.0]},
]


def config(design=(), onset=ONSET, **changed):
    """NCT05948982 with the BLRM of a course alone."""
    table = protocol("nct05948982").model_dump(exclude_unset=True)
    table |= {"designs": {"course": {"kind": "blrm-course", **dict(design)}}, "curves": CURVES, "binding": None, "onset": onset}
    table.pop("borrowing", None)
    for key, values in changed.items():
        table[key] = table.get(key, {}) | values
    return dsf.Protocol.read(table)


# Hazards of the infusions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_hazards_of_infusions_give_the_course_and_the_days(pattern):
    onset = config(onset={"kind": "per-infusion", **pattern}).days_to_dlt
    hazard = onset.hazard(TRUTH[0])
    assert hazard.shape == (3, 3)
    np.testing.assert_allclose(-np.expm1(-hazard.sum(axis=1)), TRUTH[0], rtol=1e-12)
    # By the end of each interval; half of an interval's hazard is in its first half.
    by_end = -np.expm1(-np.cumsum(hazard, axis=1)) / TRUTH[0][:, None]
    np.testing.assert_allclose(onset.share(np.array([28, 56, 84]), TRUTH[0][:, None], 84), by_end, rtol=1e-12)
    half = -np.expm1(-hazard[:, 0] - hazard[:, 1] / 2) / TRUTH[0]
    np.testing.assert_allclose(onset.share(42.0, TRUTH[0], 84), half, rtol=1e-12)
    shares = np.linspace(0.01, 1, 34)
    np.testing.assert_allclose(onset.share(onset.time(shares, 0.4, 84), 0.4, 84), shares, rtol=0, atol=1e-12)


def test_patterns_by_hand():
    by_name = {name: Onset(kind="per-infusion", pattern=name, interval_days=(28, 28, 28)) for name in ("even", "early", "late")}
    # The hazard of a course with a DLT rate of 25% is 0.2877.
    np.testing.assert_allclose(by_name["even"].hazard(0.25), [0.0959, 0.0959, 0.0959], atol=5e-5)
    np.testing.assert_allclose(by_name["early"].hazard(0.25), [0.2301, 0.0288, 0.0288], atol=5e-5)
    np.testing.assert_allclose(by_name["late"].hazard(0.25), [0.0288, 0.0288, 0.2301], atol=5e-5)
    doubled = Onset(kind="per-infusion", pattern="sensitising", factor=2.0, interval_days=(28, 28, 28))
    np.testing.assert_allclose(doubled.hazard(0.25), np.array([1, 2, 4]) * 0.2877 / 7, atol=5e-5)


@pytest.mark.parametrize(
    ("onset", "where"),
    [
        ({"kind": "per-infusion"}, "onset.pattern"),
        ({"kind": "per-infusion", "pattern": "even", "hazards": [1.0, 1.0, 1.0]}, "onset.pattern"),
        ({"kind": "per-infusion", "pattern": "sensitising"}, "onset.factor"),
        ({"kind": "per-infusion", "pattern": "even", "factor": 2.0}, "onset.factor"),
        ({"kind": "per-infusion", "hazards": [1.0, 1.0]}, "onset.hazards"),
        ({"kind": "per-infusion", "hazards": [0.0, 0.0, 0.0]}, "onset.hazards"),
        ({"kind": "per-infusion", "pattern": "even", "interval_days": [28, 28, 60]}, "onset.interval_days"),
        ({"kind": "uniform", "pattern": "even"}, "onset.pattern"),
    ],
    ids=str,
)
def test_refused(onset, where):
    with pytest.raises(dsf.InputError) as caught:
        config(onset=onset)
    assert [problem.where for problem in caught.value.problems] == [where]


# Exposure ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("intervals", "follow_up"), [((28, 28, 28), 0), ((14, 28, 7), 20), ((21,), 5)])
def test_days_by_interval_are_those_of_the_courses_of_patients(intervals, follow_up):
    lengths = (*intervals, *((follow_up,) if follow_up else ()))
    planned, total = np.cumsum([0, *intervals[:-1]]).tolist(), sum(lengths)
    for days in range(total + 1):
        given = [(at, 1.0) for at in planned if at < days or at == 0]
        for dlt in (False, True) if days else (False,):
            expected = np.zeros((2, len(lengths)))
            for part in intervals_of(given, intervals, total, days, dlt):
                place = len(intervals) if part.follow_up else len(part.amounts) - 1
                expected[:, place] += (part.exposure + part.until_events) * lengths[place], part.events
            found = planned_days(lengths, np.array([days]), np.array([dlt]))
            np.testing.assert_allclose(np.vstack(found), expected, rtol=0, atol=1e-9)


# Trials -----------------------------------------------------------------------------------------------------------------------

CASES = {
    "as written": {"limits": {"cohort_size": 1}},
    "cohorts": {},
    "overlap": {"limits": {"cohort_size": 1}, "treatment": {"no_overlap": False}},
    "cohorts, overlap": {"treatment": {"no_overlap": False}},
    "early": {"onset": {"kind": "per-infusion", "pattern": "early"}, "treatment": {"no_overlap": False}},
    "always": {"limits": {"cohort_size": 1, "max_n": 9}, "accrual": {"process": "always"}, "treatment": {"no_overlap": False}},
    "late, no gate": {
        "design": {"completed_below": False, "choose": "highest"},
        "onset": {"kind": "per-infusion", "pattern": "late"},
        "limits": {"cohort_size": 1},
        "treatment": {"no_overlap": False},
    },
    "second infusion of two patients": {
        "design": {"completed_below": False},
        "limits": {"cohort_size": 1},
        "gates": {"infused": {"number": 2, "patients": 2}},
        "discontinuation": {"dropout": 0.3},
        "treatment": {"no_overlap": False},
    },
    "leaving": {"discontinuation": {"dropout": 0.3}, "treatment": {"no_overlap": False}},
    "follow-up, trend": {
        "design": {"accumulation": "carry-over", "rho": 0.3, "follow_up_share": 0.1},
        "treatment": {"dlt_window_days": 112, "no_overlap": False},
    },
}


def made_of(case):
    changed = dict(CASES[case])
    accrual = {"accrual": changed.pop("accrual")} if "accrual" in changed else {}
    return dsf.Protocol.read(config(**changed).model_dump(exclude_unset=True) | accrual)


def compare(case, trials, seed):
    made_from = made_of(case)
    clock, design = Clock.of(made_from), build_designs(made_from)["course"]
    made, latent = run(design, Rates(TRUTH), clock, trials, seed), latent_numbers(seed, trials)
    for trial in range(trials):
        plain = PlainCourseTrial(design, TRUTH[0], clock, latent, arrivals(clock, seed, trial), trial).run()
        first, used = plain.people[0].start, len(plain.people)
        where = f"trial {trial}"
        assert made.starts[trial][:used].tolist() == [person.start - first for person in plain.people], where
        assert made.doses[trial][:used].tolist() == [person.dose for person in plain.people], where
        assert made.known[trial][:used].tolist() == [person.known - first for person in plain.people], where
        assert (made.starts[trial][used:] == 2**30).all(), where
        found = [getattr(made, name)[trial] for name in ("days", "turned_away", "waited")]
        assert found == [plain.end - first, plain.turned_away, plain.waited], where


@pytest.mark.parametrize("case", ["as written", "cohorts, overlap", "second infusion of two patients"])
def test_trials_are_those_of_a_plain_loop_over_days(case):
    compare(case, 1, 1)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_many_trials_are_those_of_a_plain_loop_over_days(case):
    compare(case, 5, 2)


# Replayed by `next` -----------------------------------------------------------------------------------------------------------


class Replayed(Course):
    """One simulated trial of courses as dated patients."""

    def patients(self, number, now):
        found = []
        for person in super().patients(number, now):
            at = int(person.subject[1:]) - 1
            start, known = BEGIN + int(self.starts[at]), BEGIN + int(self.known[at])
            planned = [start + one - 1 for one in self.rules.treatment.infusion_days]
            given = [one for one in planned if one == start or (one <= now and one < known)]
            amount = self.rules.doses.amounts[person.level - 1]
            found.append(replace(person, amount=amount, infusions=tuple(map(day, given))))
        return found

    def before(self, number, since, until, always):
        """On days with news before the next start, `next` does not stop."""
        for _ in self.going_on(number, since, until):
            pass


# With few patients pending at once, as `next` looks at every way in which their outcomes can come out.
REPLAYED = {
    "as written": {"accrual": 1.0, "limits": {"cohort_size": 1, "max_n": 6}},
    "overlap": {"accrual": 1.5, "limits": {"cohort_size": 1, "max_n": 6}, "treatment": {"no_overlap": False}},
    "second infusion of two patients": {
        "accrual": 1.5,
        "design": {"completed_below": False},
        "limits": {"cohort_size": 1, "max_n": 6},
        "gates": {"infused": {"number": 2, "patients": 2}},
        "treatment": {"no_overlap": False},
    },
    "cohorts": {"accrual": 1.0, "limits": {"max_n": 6}},
    "cohorts, overlap": {"accrual": 1.5, "limits": {"max_n": 6}, "treatment": {"no_overlap": False}},
}


def replay(case, trials, seed):
    changed = dict(REPLAYED[case])
    accrual = {"process": "fixed", "per_28_days": changed.pop("accrual"), "queue": 1}
    rules = dsf.Protocol.read(config(**changed).model_dump(exclude_unset=True) | {"accrual": accrual})
    made = run(build_designs(rules)["course"], Rates(TRUTH), Clock.of(rules), trials, seed)
    for row in range(trials):
        Replayed(made, row, rules).check(always=False)


@pytest.mark.parametrize("case", ["overlap"])
def test_trial_is_decided_by_next_as_by_the_calendar(case):
    replay(case, 1, 3)


@pytest.mark.slow
@pytest.mark.parametrize("case", REPLAYED)
def test_trials_are_decided_by_next_as_by_the_calendar(case):
    replay(case, 3, 4)


# The stored figures of the documentation ------------------------------------------------------------------------------------------


def stored_again(pattern, designs):
    """The stored rows of these designs, each with its figures worked out again."""
    kept = {row["name"]: row for row in course_designs.stored()}
    for row in course_designs.of_designs(pattern, course_designs.TRIALS, {name: course_designs.DESIGNS[name] for name in designs}):
        before = kept[row["name"]]
        assert row.keys() == before.keys()
        for key, value in row.items():
            # 1e-9: rounding by another number of threads or another machine.
            assert value == (before[key] if isinstance(value, str) else pytest.approx(before[key], abs=1e-9)), (row["name"], key)


def test_stored_figures_of_designs_on_complete_courses():
    stored_again("sensitising", ["3+3", "rolling-6"])


@pytest.mark.slow
def test_stored_figures_of_the_design_of_a_course():
    stored_again("late", ["BLRM-course"])


def test_stored_figures_are_of_every_design_and_hazard():
    names = {row["name"] for row in course_designs.stored() if not row["name"].startswith("borrowing/")}
    each = [*course_designs.DESIGNS, *(f"{name}, overlap" for name in course_designs.OVERLAPPING)]
    assert names == {f"{pattern}/{design}" for pattern in course_designs.PATTERNS for design in each}
    for row in course_designs.stored():
        # Every simulated figure has an error.
        if row["name"].partition("/")[2].removesuffix(", overlap") in course_designs.OVERLAPPING:
            # A design without a safety rule always treats everybody and always selects a dose.
            certain = {"none": 0, "n": 18}
            assert all(row[f"{name}_se"] > 0 or row[name] == certain[name] for name in course_designs.FIGURES)
