"""Courses of infusions in conduct: from patients to exposure, decisions with parts of courses, and the course in an analysis."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from click.testing import CliRunner

import dosefind as dsf
from dosefind.cli import main
from dosefind.days import Days
from dosefind.evaluability import evaluate
from dosefind.patients import Patient
from dosefind.show.pages.next_dose import next_dose as page_of
from dosefind.show.terminal import as_lines
from dosefind.tasks.next_dose import next_dose

from .contract import check_design
from .made_up import day, event, protocol, trial
from .peers import ROOT, published
from .planted import faults

REFS = {item["id"]: item for item in published("time_refs")["items"]}
CURVES = {"hazard": {"kind": "hazard", "prior": {"mean": [-3.349, 0.0], "sd": [2.0, 1.0]}}}
DESIGNS = {"course": {"kind": "blrm-course"}, "blrm": {"kind": "blrm", "prior": {"mean": [-2.2, 0.0], "sd": [2.0, 1.0]}}}


def config(designs=DESIGNS, **changed):
    table = protocol("nct05948982").model_dump(exclude_unset=True) | {
        "assumed": {},
        "designs": designs,
        "curves": CURVES,
        "binding": None,
    }
    table.pop("borrowing", None)
    # Their visits are those of three infusions.
    table.pop("endpoints", None)
    for key, values in changed.items():
        table[key] = table.get(key, {}) | values
    return dsf.Protocol.read(table)


def patient(subject, level, *infusions, **fields):
    """A patient by the days of the infusions, without adverse events unless some are given."""
    dates = {key: day(value) for key, value in fields.items() if key in ("last_contact", "dlt_date", "discontinued", "died")}
    given = {"amount": (1.0, 2.0, 4.0)[level - 1], "events": (), "source": (f"patients.csv row {subject}",)}
    return Patient(**{"subject": subject, "level": level, "infusions": tuple(map(day, infusions)), **given, **fields, **dates})


def ten():
    """The ten patients of the reference, each with its first infusion on day 1: five of them part-way."""
    rows = [(1, 84, 0, 3)] * 3 + [
        (2, 40, 1, 2),
        (2, 84, 0, 3),
        (2, 84, 0, 3),
        (2, 70, 0, 3),
        (2, 50, 0, 2),
        (2, 20, 0, 1),
        (1, 56, 0, 2),
    ]
    found = []
    for number, (level, days, dlt, given) in enumerate(rows, start=1):
        events = (event(1 + days, row=number),) if dlt else ()
        infusions = (1, 29, 57)[:given]
        found.append(patient(f"P{number}", level, *infusions, last_contact=1 + days, events=events))
    return trial(*found, last=85)


def exposure(evaluated):
    found = np.zeros((3, 3))
    for course in evaluated.courses:
        for interval in course.intervals:
            found[course.level - 1, len(interval.amounts) - 1] += interval.exposure + interval.until_events
    return found


# From patients to exposure ---------------------------------------------------------------------------------------------------


def test_reference_from_patients():
    evaluated = evaluate(ten(), config())
    expected = REFS["hazard_none"]["expected"]
    np.testing.assert_allclose(exposure(evaluated), expected["exposure"], rtol=0, atol=1e-12)
    with_dlt = [course for course in evaluated.courses if course.dlt]
    assert [(course.subject, course.days) for course in with_dlt] == [("P4", 40)]


def only(person, last=200, **changed):
    (course,) = evaluate(trial(person, last=last), config(**changed)).courses
    return course


def test_partial_and_changed_courses_by_hand():
    whole = only(patient("P1", 2, 1, 29, 57))
    assert [interval.exposure for interval in whole.intervals] == [1, 1, 1]
    # Left: exposure up to that day, though the patient is not evaluable.
    left = only(patient("P1", 2, 1, 29, discontinued=43, reason="withdrew"))
    assert [interval.exposure for interval in left.intervals] == [1, 0.5]
    # A reduced dose, and one that was not given.
    reduced = only(patient("P1", 2, 1, 29, 57, amounts=(2.0, 2.0, 1.0)))
    assert reduced.intervals[-1].amounts == (2.0, 2.0, 1.0)
    skipped = only(patient("P1", 2, 1, 57))
    assert [interval.amounts for interval in skipped.intervals] == [(2.0,), (2.0, 0.0), (2.0, 0.0, 2.0)]
    # Late by a week: the window ends with the third interval incomplete.
    late = only(patient("P1", 2, 1, 36, 64))
    assert [interval.exposure for interval in late.intervals] == [1, 1, 0.75]
    # A DLT on the day of the first infusion is on its first day of follow-up.
    first = only(patient("P1", 2, 1, events=(event(1),)))
    assert (first.days, first.intervals[0].events, first.intervals[0].until_events) == (1, 1, 1 / 28)
    # On the day of the second infusion, it precedes it.
    second = only(patient("P1", 2, 1, 29, events=(event(29),)))
    assert [(interval.amounts, interval.until_events) for interval in second.intervals] == [((2.0,), 1.0)]


def test_open_events_end_exposure_before_them():
    asked = only(patient("P1", 2, 1, 29, 57, events=(event(40, grade=None),)))
    assert (asked.days, asked.dlt) == (38, False)
    undated = only(patient("P1", 2, 1, 29, 57, events=(event(None),)))
    assert undated.intervals == ()


def test_partial_date_of_a_dlt_is_its_earliest_day():
    """The exposure before it is not known to be without a DLT on any later day."""
    february = Days("2024-02", date(2024, 2, 1), date(2024, 2, 29))
    events = event(32), event(None)._replace(days=february)
    dated, partial = (only(patient("P1", 2, 1, 29, 57, events=(found,))) for found in events)
    assert (dated.days, partial.days, partial.dlt) == (31, 31, True)
    assert partial.intervals == dated.intervals
    column = only(patient("P1", 2, 1, 29, 57, dlt=True, dlt_days=february, events=None))
    assert column.intervals == dated.intervals


ODD = {
    "infused on one day": [patient("A", 1, 1, last_contact=1)],
    "discontinued on the first day": [patient("A", 1, 1, discontinued=1, reason="withdrew")],
    "infused after discontinuing": [patient("A", 1, 1, 41, discontinued=20, reason="withdrew", last_contact=60)],
    "event after discontinuing": [patient("A", 1, 1, discontinued=20, reason="withdrew", last_contact=60, events=(event(41),))],
    "event before the first infusion": [patient("A", 1, 5, 33, last_contact=60, events=(event(4),))],
    "event on the last day": [patient("A", 1, 1, 29, 57, last_contact=90, events=(event(85),))],
    "event a day later": [patient("A", 1, 1, 29, 57, last_contact=90, events=(event(86),))],
    "infused after the window": [patient("A", 1, 1, 29, 147, last_contact=150)],
    "four infusions": [patient("A", 1, 1, 21, 41, 61, last_contact=90)],
    "delayed": [patient("A", 1, 1, 44, 72, last_contact=90)],
    "two DLTs": [patient("A", 1, 1, 29, 57, last_contact=90, events=(event(50, row=1), event(10, row=2)))],
    "DLTs on the first day": [patient(f"P{n}", 1, 1, last_contact=5, events=(event(1, row=n),)) for n in (1, 2, 3)],
    "top dose only": [patient(f"P{n}", 3, 1, last_contact=40) for n in (1, 2)],
    "tiny amount": [patient("A", 1, 1, 29, amounts=(1.0, 1e-6), last_contact=60)],
    "all at once": [patient(f"P{n}", 1 + n % 3, 1, last_contact=30) for n in range(9)],
}


@pytest.mark.parametrize("name", ODD)
def test_odd_courses(name):
    """Every patient has a course, no share is outside 0 to 1, a DLT has one interval with a hazard, and there is an answer."""
    made, people = config({"course": DESIGNS["course"]}), trial(*ODD[name], last=150)
    evaluated = evaluate(people, made)
    found = next_dose(made, people)
    assert [one.subject for one in evaluated.courses] == [one.subject for one in evaluated.statuses]
    for course in evaluated.courses:
        assert sum(interval.events for interval in course.intervals) == course.dlt
        assert all(0 <= interval.exposure + interval.until_events <= 1 for interval in course.intervals)
    assert all(0 <= share <= 1 for share in found.extrapolated)
    assert found.proposal.action in ("start", "fill", "escalate", "stay", "de-escalate", "stop", "wait", "hold")


@pytest.mark.parametrize("name", ["infused on one day", "four infusions", "tiny amount"])
def test_analysis_of_odd_courses(name):
    made = config({"course": DESIGNS["course"]})
    evaluated = evaluate(trial(*ODD[name], last=150), made)
    summary = dsf.analyze(made, evaluated.cohorts(), curve="hazard", courses=evaluated.courses, predicts=False).summary
    assert np.all((summary["extrapolated"] >= 0) & (summary["extrapolated"] <= 1))
    assert np.all(np.diff(summary["mean"]) > 0)
    assert np.all((summary["p_over"] >= 0) & (summary["p_over"] <= 1))


def test_patients_without_information():
    assert only(patient("P1", 2, 1, 29, events=None), last=30).left_out == "no information on DLTs"
    recorded = only(patient("P1", 2, 1, 29, 57, evaluable=False))
    assert recorded.left_out == "recorded or adjudicated not evaluable"
    assert recorded.intervals == ()


# The design ------------------------------------------------------------------------------------------------------------------

SETTINGS = {"doses": (1, 2, 4), "reference": 2, "prior": {"mean": (-3.35, 0.0), "sd": (2.0, 1.0)}, "interval": (0.16, 0.33)}


@pytest.mark.parametrize(
    "settings",
    [{}, {"choose": "highest", "completed_below": False}, {"accumulation": "carry-over", "rho": 0.3, "over": "infusion"}],
    ids=str,
)
def test_contract(settings):
    """With complete courses, by the counts alone."""
    design = dsf.CourseBLRM(**SETTINGS, target=0.25, interval_days=(28, 28, 28), max_n=12, **settings)
    check_design(design, n_doses=3)


# Decisions -------------------------------------------------------------------------------------------------------------------


def test_decision_from_exposure():
    """The P(overdose) of the reference, and the decision from it; complete courses alone would close more."""
    found = next_dose(config(), ten()).proposals["course"]
    expected = REFS["hazard_none"]["expected"]["p_over"]
    assert ", ".join(f"{100 * p:.1f}%" for p in expected) in found.reason


def three(level, first, *, cut, **fields):
    """A cohort of three, their infusions up to a day."""
    return [
        patient(f"{level}-{number}", level, *(d for d in (start, start + 28, start + 56) if d <= cut), last_contact=cut, **fields)
        for number, start in enumerate((first, first + 1, first + 2), start=1)
    ]


def test_first_at_a_dose_waits_for_a_completed_course():
    waits = next_dose(config(), trial(*three(1, 1, cut=60), last=60))
    assert (waits.proposals["course"].action, waits.proposals["course"].until) == ("wait", day(85))
    goes = next_dose(config(), trial(*three(1, 1, cut=85), last=85))
    assert (goes.proposals["course"].action, goes.proposals["course"].level) == ("escalate", 2)
    # The design that needs complete data waits for all three.
    assert goes.proposals["blrm"].action == "wait"
    free = {"course": {"kind": "blrm-course", "completed_below": False}}
    early = next_dose(config(free), trial(*three(1, 1, cut=60), last=60))
    assert (early.proposals["course"].action, early.proposals["course"].level) == ("escalate", 2)


def test_a_course_with_an_event_that_may_be_a_dlt_leads_no_higher_than_one_with_a_dlt():
    """Three complete courses and one part-way: with a DLT of that one the dose stays, and without data on it nobody knows."""
    free = {"course": {"kind": "blrm-course", "completed_below": False, "cohort_size": 1}}

    def asked(*events):
        people = [
            *(patient(name, 1, 1, 29, 57, last_contact=90) for name in "ABC"),
            patient("Q", 1, 60, last_contact=90, events=events),
        ]
        return next_dose(config(free, treatment={"no_overlap": False}), trial(*people, last=90))

    without, sure = asked().proposal, asked(event(70, row=9)).proposal
    assert (without.action, sure.action) == ("escalate", "stay")
    for unclear in ({"start": None}, {"start": 70, "related": None}, {"start": 70, "grade": None}):
        found = asked(event(row=9, **unclear))
        assert (found.evaluated.suspected, found.proposal.action) == (("Q",), "wait")
        assert found.proposal.awaited.missing_data == ("Q",)


def late_last(subject, *events):
    """A patient whose third infusion came on day 84 instead of 57: one day of the window is left after it."""
    return patient(subject, 1, 1, 57, 84, last_contact=95, events=events)


def test_an_event_soon_after_a_late_infusion_is_never_taken_as_no_dlt():
    """The window ends with day 85, 28 days after infusion 3 as planned. Events on days 90 and 112 may be DLTs, on 113 not."""
    on_time = patient("C", 1, 1, 29, 57, last_contact=95)

    def asked(*events, last=120):
        people = (late_last("A", *events), late_last("B"), replace(on_time))
        return next_dose(config({"3+3": {"kind": "3+3"}}), trial(*people, last=last))

    for start, open_ in ((85, False), (90, True), (112, True), (113, False), (None, True)):
        found = asked(event(start, row=9))
        assert found.evaluated.suspected == (("A",) if open_ else ()), start
        assert found.evaluated["A"].has_dlt == (start == 85)
    assert asked(event(90, row=9)).proposal.action == "wait"
    # Not related, or below the grade.
    assert asked(event(90, row=9, related="not related"), event(91, row=10, grade=2)).evaluated.suspected == ()
    # Nothing happened: complete, and the days that were left are stated.
    assert asked().short_after_last == (("A", 1, 28), ("B", 1, 28))
    # The same event after infusions on schedule is outside the window.
    regular = next_dose(config({"3+3": {"kind": "3+3"}}), trial(replace(on_time, events=(event(90, row=9),)), last=120))
    assert (regular.evaluated["C"].kind, regular.short_after_last) == ("complete", ())


def test_readings_of_a_trial_with_an_unplanned_cohort_have_the_courses_of_their_patients():
    """Seven patients at level 1 within two weeks, before any course is complete."""
    people = [
        patient(f"P{at}", 1, first, first + 28, first + 56, last_contact=80) for at, first in enumerate((1, 1, 4, 7, 10, 13, 13))
    ]
    found = next_dose(config(), trial(*people, last=80), design="course")
    assert found.proposals["course"].action in ("wait", "stay", "fill")


def test_gate_of_an_infusion():
    """Two patients have had infusion 2 before the first patient at the next dose: as given, and otherwise as planned."""
    free = {"course": {"kind": "blrm-course", "completed_below": False}}

    def start(*people, last, patients=2):
        gates = {"infused": {"number": 2, "patients": patients}}
        found = next_dose(config(free, gates=gates, treatment={"no_overlap": False}), trial(*people, last=last))
        assert (found.proposal.action, found.proposal.level) == ("escalate", 2)
        return found.start.day

    # On days 29 and 30, the third patient on day 31.
    assert start(*three(1, 1, cut=25), last=25) == day(30)
    assert start(*three(1, 1, cut=25), last=25, patients=3) == day(31)
    assert start(*three(1, 1, cut=35), last=35) <= day(35)
    # One that is overdue is not given today, and a patient who left has none.
    late = [patient("A", 1, 1, 29, last_contact=40), *(patient(name, 1, 2, last_contact=40) for name in "BC")]
    assert start(*late, last=40) == day(41)
    left = [patient("A", 1, 1, 29, last_contact=40), patient("B", 1, 2, discontinued=20, reason="withdrew")]
    left += [patient("C", 1, 20, last_contact=40), patient("D", 1, 21, last_contact=40)]
    assert start(*left, last=40) == day(48)
    with pytest.raises(dsf.InputError, match=r"gates.infused.number = 4.*at most 3"):
        config(gates={"infused": {"number": 4}})


def test_dlt_of_a_part_course_counts_at_once():
    people = [*three(1, 1, cut=85), *three(2, 86, cut=120)]
    before = next_dose(config(), trial(*people, last=120)).proposals["course"]
    with_dlt = [
        *people[:-2],
        *(
            patient(p.subject, 2, *(1 + (d - day(1)).days for d in p.infusions), last_contact=120, events=(event(110, row=n),))
            for n, p in enumerate(people[-2:], start=1)
        ),
    ]
    after = next_dose(config(), trial(*with_dlt, last=120)).proposals["course"]
    assert before.level == 2
    assert after.goes_down(2)


@pytest.mark.parametrize("number", [6, 10])
def test_all_courses_complete_is_the_design_on_counts(number):
    """With the interval of a DLT alone and one infusion, exposure and counts give the same P(overdose)."""
    treatment = {"infusion_days": [1], "dlt_window_days": 28}
    designs = {"course": {"kind": "blrm-course", "event_time": "interval"}}
    made = config(designs, treatment=treatment)
    people = [
        patient(f"P{n}", 1 + (n > 3) + (n > 6), 1 + n, last_contact=200, events=(event(10, row=n),) if n == 5 else ())
        for n in range(1, number + 1)
    ]
    evaluated = evaluate(trial(*people, last=200), made)
    design = dsf.Trial.of(made).designs["course"]
    by_exposure = next_dose(made, trial(*people, last=200)).proposals["course"]
    by_counts = dsf.decide(design, evaluated.cohorts())
    assert by_exposure.reason.split(";")[0] == by_counts.reason.split(";")[0]


def pending_three(last):
    infusions = (1, 29) if last > 29 else (1,)
    return trial(*(patient(f"1-{number}", 1, *infusions, last_contact=last) for number in (1, 2, 3)), last=last)


def test_decisions_on_later_dates_have_the_exposure_of_these_dates():
    """No outcome becomes known between two dates, but exposure does: on each the decision is that of the patients on that day."""
    early = {"course": {"kind": "blrm-course", "completed_below": False, "prior": {"mean": [-2.8, 0.0], "sd": [2.0, 1.0]}}}
    made = config(early, gates={"one_followed": 60, "each_pending": 0.1}, treatment={"no_overlap": False})
    dates = next_dose(made, pending_three(5)).waiting.dates
    assert [(one.day - day(1)).days for one in dates[:2]] == [9, 60]
    for one, level in zip(dates[:2], (1, 2), strict=True):
        # Without a DLT, which is most probable, and on the day itself.
        likely = max(one.decisions, key=one.decisions.get)
        assert (likely.words, one.decisions[likely]) == (f"level {level}", pytest.approx(1 - one.new_dlt, abs=1e-9))
        then = next_dose(made, pending_three(1 + (one.day - day(1)).days))
        assert then.proposal.level == level


def by_grid(exposure, events, hazards):
    """Expectation over the posterior of a hazard per infusion of exp(-sum of hazards), by level, by sums over a fine grid."""
    a, b = np.meshgrid(np.linspace(-14, 7, 700), np.linspace(-6, 6, 500), indexing="ij")
    weight = np.exp(-(((a + 3.349) / 2) ** 2) / 2 - b**2 / 2)
    free = np.zeros_like(a)
    for level, dose in enumerate((1.0, 2.0, 4.0)):
        log_h = np.minimum(a + np.exp(b) * np.log(dose / 2), 14)
        weight = weight * np.exp(events[level] * log_h - exposure[level] * np.exp(log_h))
        free = free - hazards[level] * np.exp(log_h)
    return (weight * np.exp(free)).sum() / weight.sum()


def test_probability_of_a_dlt_by_a_later_date():
    """With all courses so far, also of those who left: 1 - E[exp(-hazards until then)], patient by patient."""
    people = [
        patient("A", 1, 1, 29, 57, last_contact=85),
        patient("B", 2, 1, 29, last_contact=50, events=(event(41, row=1),)),
        patient("C", 2, 30, 58, last_contact=80, discontinued=75, reason="withdrew"),
        patient("D", 2, 40, 68, last_contact=90),
        patient("E", 1, 60, 88, last_contact=90),
    ]
    found = next_dose(config({"course": DESIGNS["course"]}), trial(*people, last=90))
    exposure = [3 + 30 / 28, 40 / 28 + 45 / 28 + 50 / 28, 0]
    dates = {(one.day - day(90)).days: one for one in found.waiting.dates}
    ends = {"D": 124 - 90, "E": 144 - 90}
    assert found.waiting.by_courses
    assert {ends["D"], ends["E"]} <= dates.keys()
    for days, one in dates.items():
        ahead = [min(days, ends["E"]) / 28, min(days, ends["D"]) / 28, 0]
        expected = 1 - by_grid(exposure, [0, 1, 0], ahead)
        # The plain sum errs by up to 2e-7 at the edges of its box.
        assert one.new_dlt == pytest.approx(expected, abs=1e-6), days


# Targets and periods ---------------------------------------------------------------------------------------------------------


def test_target_of_an_infusion():
    """The same hazard: 25% per infusion is 57.8% per course, so that a target per infusion closes fewer doses."""
    only_course = {"course": DESIGNS["course"]}
    infusion = config(only_course, target={"over": "infusion"})
    design = dsf.Trial.of(infusion).designs["course"]
    assert (design.over, design.curve.over) == ("infusion", "infusion")
    by_course, by_infusion = (next_dose(made, ten()).proposals["course"] for made in (config(only_course), infusion))
    assert max(by_infusion.admissible) >= max(by_course.admissible)
    with pytest.raises(dsf.InputError, match=r"target.over.*0\.578 per course of 3 infusions"):
        dsf.Trial.of(config(target={"over": "infusion"}))


@pytest.mark.parametrize("over", ["course", "infusion"])
def test_design_on_counts_of_courses(over):
    """Outcomes are those of courses whatever the target is of: P(overdose) by sums over a fine grid."""
    design = dsf.CourseBLRM(**SETTINGS, target=0.25, interval_days=(28, 28, 28), max_n=12, over=over)
    a, b = np.linspace(-18, 8, 1301), np.linspace(-7, 7, 401)
    weight = np.exp(-(((a[:, None] + 3.35) / 2) ** 2) / 2 - b**2 / 2)
    for dose, n, y in ((1, 3, 0), (2, 3, 1)):
        h = np.maximum(np.exp(np.minimum(a[:, None] + np.exp(b) * np.log(dose / 2), 14)), 1e-300)
        weight = weight * np.exp(y * np.log(-np.expm1(-3 * h)) - (n - y) * 3 * h)
    below = (np.cumsum(weight, axis=0) - weight / 2) / weight.sum()
    expected = []
    for dose in (1, 2, 4):
        edge = np.log(-np.log1p(-0.33) / (3 if over == "course" else 1)) - np.exp(b) * np.log(dose / 2)
        expected.append(1 - sum(np.interp(edge[at], a, below[:, at]) for at in range(len(b))))
    found = dsf.decide(design, "1NNN 2NNT", n_doses=3)
    assert ", ".join(f"{100 * p:.1f}%" for p in expected) in found.reason


def test_target_over_is_assumed_with_several_infusions():
    keys = {assumption.key for assumption in config().assumptions()}
    assert "target.over" in keys
    once = config(treatment={"infusion_days": [1], "dlt_window_days": 28})
    assert "target.over" not in {assumption.key for assumption in once.assumptions()}
    assert "target.over" not in {assumption.key for assumption in config(target={"over": "course"}).assumptions()}


def test_analysis_of_part_courses():
    expected = REFS["hazard_none"]["expected"]
    evaluated = evaluate(ten(), config())
    given = {"others": evaluated.beside(), "courses": evaluated.courses, "predicts": False}
    found = dsf.analyze(config(), evaluated.cohorts(), curve="hazard", **given).summary
    np.testing.assert_allclose(found["mean"], expected["course_mean"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(found["p_over"], expected["p_over"], rtol=0, atol=1e-5)
    rows = dict(zip(found["period"].values, found["period_mean"].values, strict=True))
    np.testing.assert_allclose(rows["one infusion"], expected["first_infusion_mean"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(rows["course (84 days)"], expected["course_mean"], rtol=0, atol=1e-5)
    # Without a background and follow-up the year is the course.
    year = next(values for name, values in rows.items() if name.startswith("365 days") and "with 0 " in name)
    np.testing.assert_allclose(year, expected["course_mean"], rtol=0, atol=1e-5)
    # By hand: 11 of 12 intervals at level 1; at level 2, 12.43 of 15 and those of the patient with a DLT.
    observed = np.array(expected["exposure"]).sum(axis=1)
    np.testing.assert_allclose(found["extrapolated"], [1 - 11 / 12, 1 - observed[1] / (15 + 40 / 28), 1], rtol=0, atol=1e-12)


@pytest.mark.slow
def test_periods_of_a_sampled_hazard():
    """NUTS on counts of courses: the DLT rate in each period agrees with quadrature, each with its error."""
    exact, sampled = (
        dsf.analyze(config(), "1NNN 2NNT", engine=engine, predicts=False).summary for engine in ("quadrature", "nuts")
    )
    assert sampled.attrs["problems"] == []
    for name in ("period_mean", "period_p_over", "period_excess"):
        # Five errors; none is 0.
        assert np.all(np.abs(sampled[name] - exact[name]) < 5 * sampled[f"{name}_se"]), name
    assert list(sampled["period"].values) == list(exact["period"].values)


def test_background_is_not_charged_to_the_dose():
    table = CURVES | {"year": CURVES["hazard"] | {"background": 0.02}}
    made = config(curves=table)
    evaluated = evaluate(ten(), made)
    given = {"courses": evaluated.courses, "predicts": False}
    with_, without = (dsf.analyze(made, evaluated.cohorts(), curve=name, **given).summary for name in ("year", "hazard"))
    background = 1 - np.exp(-0.02 * 3)
    place = list(with_["period"].values).index("course (84 days)")
    excess = with_["period_excess"].values[place]
    np.testing.assert_allclose(with_["period_mean"].values[place] - background, excess, rtol=0, atol=1e-12)
    # One DLT that the background may have caused: the dose has less of it.
    assert np.all(excess < without["period_mean"].values[place])


def test_designs_that_read_exposure_are_left_out_without_a_calendar():
    table = config().model_dump(exclude_unset=True) | {"binding": "blrm"}
    made = dsf.Trial.of(dsf.Protocol.read(table))
    assert list(made.without_calendar) == ["blrm"]


# Pages and the command line --------------------------------------------------------------------------------------------------

EXAMPLE = ROOT / "examples" / "nct05948982" / "course"


@pytest.fixture(scope="module")
def committee():
    """The example of ten patients, five of them in the middle of the course."""
    return analysed()


def analysed():
    made = dsf.load_trial(EXAMPLE / "trial.toml")
    people = dsf.read_patients(EXAMPLE / "patients.csv", made.protocol, events=EXAMPLE / "events.csv")
    evaluated = evaluate(people, made.protocol)
    known = {"others": evaluated.beside(), "courses": evaluated.courses}
    return made, people, evaluated, dsf.analyze(made, evaluated.cohorts(), **known).summary


@pytest.mark.slow
def test_readings_of_the_same_data(committee):
    """By hand: a cloglog BLRM of the complete intervals; and the counts of complete courses."""
    made, _people, evaluated, found = committee
    reading = list(found["reading"].values)
    np.testing.assert_allclose(found["reading_mean"].values[0], found["mean"].values, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found["reading_p_over"].values[0], found["p_over"].values, rtol=0, atol=1e-12)
    complete = dsf.analyze(made, evaluated.cohorts(), predicts=False).summary
    place = reading.index("complete courses only")
    np.testing.assert_allclose(found["reading_mean"].values[place], complete["mean"], rtol=0, atol=1e-12)


# Of the example: level, days to the DLT or the end of follow-up, DLT, days of the infusions; each infusion has 28 days.
EXAMPLE_PATIENTS = [
    *[(1, 84, False, (0, 28, 56))] * 3,
    (2, 81, False, (0, 28, 56)),
    (2, 39, True, (0, 28)),
    (2, 44, False, (0, 28)),
    *[(2, 23, False, (0,))] * 2,
    (2, 16, False, (0,)),
    (2, 2, False, (0,)),
]


def log_likelihood(reading, log_h):
    """Log-likelihood of the patients of the example by a reading, at log hazards of an infusion by level: patient by patient."""
    total = 0.0
    for level, days, dlt, infusions in EXAMPLE_PATIENTS:
        # At extreme slopes a hazard has no number.
        h = np.maximum(np.exp(log_h[level]), 1e-300)
        if reading == "complete courses only":
            # A DLT counts at once, a patient in the middle of the course does not.
            total = total + (np.log(-np.expm1(-3 * h)) if dlt else -3 * h if days == 84 else 0.0)
            continue
        for start in infusions:
            share = min(days - start, 28) / 28
            if dlt and start == infusions[-1]:
                by_day = reading in (
                    "by course, parts of courses included",
                    "half of the hazard in the first quarter of an interval",
                )
                of_dlt = share**0.5 if reading.startswith("half") else share
                total = total + (log_h[level] - of_dlt * h if by_day else np.log(-np.expm1(-h)))
            elif reading == "by infusion, complete intervals only":
                total = total - (h if share == 1 else 0.0)
            else:
                total = total - (share**0.5 if reading.startswith("half") else share) * h
    return total


READINGS = [
    "by course, parts of courses included",
    "by infusion, complete intervals only",
    "complete courses only",
    "interval of a DLT instead of its day",
    "half of the hazard in the first quarter of an interval",
]


@pytest.mark.parametrize("reading", READINGS)
def test_readings_against_a_plain_grid(committee, reading):
    """Sums over a fine grid, patient by patient; P(overdose) by the distribution of log alpha at each slope."""
    *_others, found = committee
    a, b = np.linspace(-18, 8, 1301), np.linspace(-7, 7, 401)
    weight = np.exp(-(((a[:, None] + 3.349) / 2) ** 2) / 2 - b**2 / 2)
    log_h = {level: np.minimum(a[:, None] + np.exp(b) * np.log(dose / 2), 14) for level, dose in ((1, 1), (2, 2), (3, 4))}
    weight = weight * np.exp(log_likelihood(reading, log_h))
    weight /= weight.sum()
    place = list(found["reading"].values).index(reading)
    below = np.cumsum(weight, axis=0) - weight / 2
    for level, dose in ((1, 1), (2, 2), (3, 4)):
        mean = (weight * -np.expm1(-3 * np.exp(log_h[level]))).sum()
        # Measured: halving both steps changes the sums by less than 1e-7.
        assert found["reading_mean"].values[place][level - 1] == pytest.approx(mean, abs=1e-6)
        edge = np.log(-np.log1p(-0.33) / 3) - np.exp(b) * np.log(dose / 2)
        under = sum(np.interp(edge[at], a, below[:, at]) for at in range(len(b)))
        # Linear interpolation between nodes 0.017 apart: measured, below 2e-5.
        assert found["reading_p_over"].values[place][level - 1] == pytest.approx(1 - under, abs=5e-5)


def test_readings_of_the_example_in_order(committee):
    """Dropping incomplete intervals raises P(overdose), and an early hazard lowers it: the exposure so far then weighs more."""
    *_others, found = committee
    assert np.all(found["reading_p_over"].values[1] > found["p_over"].values)
    assert np.all(found["reading_p_over"].values[-1] < found["p_over"].values)
    assert {*READINGS, "trend of the hazard over the infusions"} == set(found["reading"].values)


def test_next_shows_the_exposure_of_each_patient(committee):
    """As the analysis does, with the share that is extrapolated on the first screen."""
    made, people, _evaluated, summary = committee
    found = next_dose(made, people)
    assert list(found.courses) == summary.attrs["course"]["patients"]
    np.testing.assert_allclose(found.extrapolated, summary["extrapolated"], rtol=0, atol=1e-12)
    saved = found.tables["courses"].set_index("subject")
    assert saved.loc["SYN-0005", "interval_2"] == 11 / 28
    page = page_of(found)
    first, details = (" ".join(as_lines(page, full, 80).split()) for full in (False, True))
    assert f"{100 * summary['extrapolated'].values[1]:.1f}% at level 2" in first
    assert "SYN-0005 2 2 39 yes 1.00 0.39 0.00" in details
    # Not where the primary design needs complete courses.
    other = next_dose(made, people, design="blrm")
    assert other.extrapolated == ()
    assert "at level 2" not in " ".join(as_lines(page_of(other), False, 80).split()).partition("Extrapolated")[2]


def test_both_targets_and_the_exposure_of_each_patient(committee):
    *_others, found = committee
    course = found.attrs["course"]
    assert (course["target_course"], round(course["target_infusion"], 4)) == (0.25, 0.0914)
    by_subject = {one["subject"]: one for one in course["patients"]}
    assert by_subject["SYN-0005"]["exposure"] == [1, 11 / 28, 0]
    assert by_subject["SYN-0004"]["exposure"] == [1, 1, 25 / 28]
    assert by_subject["SYN-0010"]["exposure"] == [2 / 28, 0, 0]
    observed = [2 + 25 / 28, 1 + 11 / 28, 1 + 16 / 28, 23 / 28, 23 / 28, 16 / 28, 2 / 28]
    planned = 6 * 3 + 1 + 11 / 28
    np.testing.assert_allclose(found["extrapolated"], [0, 1 - sum(observed) / planned, 1], rtol=0, atol=1e-12)


def test_patients_without_information_are_extrapolated_and_named(committee):
    made, *_others = committee
    people = dsf.read_patients(EXAMPLE / "patients.csv", made.protocol)
    evaluated = evaluate(people, made.protocol)
    found = dsf.analyze(made, evaluated.cohorts(), courses=evaluated.courses, predicts=False).summary
    assert found["extrapolated"].values[1] > 0.9
    assert any("SYN-0010" in words for words in found.attrs["warnings"])


def test_commands_on_the_example(committee):
    *_others, summary = committee
    given = ["--events", str(EXAMPLE / "events.csv")]
    people = ["analyze", str(EXAMPLE / "trial.toml"), "--patients", str(EXAMPLE / "patients.csv"), *given]
    run = CliRunner().invoke(main, people, env={"COLUMNS": "80"})
    assert run.exit_code == 0, run.output
    assert len(run.output.splitlines()) <= 40
    assert all(f"{100 * p:.1f}" in run.output for p in summary["p_over"].values)
    # At level 2: one infusion, the course, and the share extrapolated there.
    at_two = [*summary["period_mean"].values[[0, 2], 1], summary["extrapolated"].values[1]]
    assert all(f"{100 * value:.1f}%" in run.output for value in at_two)
    assert "9.1%" in run.output
    full = CliRunner().invoke(main, [*people, "--details"])
    assert all(f"{100 * p:.1f}" in full.output for p in summary["reading_p_over"].values.ravel())
    sampled = CliRunner().invoke(main, [*people, "--engine", "nuts"])
    assert sampled.exit_code == 2
    assert "courses = 10: are used by quadrature only" in sampled.stderr
    alone = CliRunner().invoke(main, ["analyze", str(EXAMPLE / "trial.toml"), *given])
    assert alone.exit_code == 2
    both = ["--patients", str(EXAMPLE / "patients.csv"), "--outcomes", "1NNN"]
    assert CliRunner().invoke(main, ["analyze", str(EXAMPLE / "trial.toml"), *both]).exit_code == 2


def test_decision_with_part_courses_of_the_example(committee):
    made, people, _evaluated, summary = committee
    found = next_dose(made, people)
    assert (found.binding, found.proposal.action, found.proposal.level) == ("blrm-course", "stay", 2)
    assert ", ".join(f"{100 * p:.1f}%" for p in summary["p_over"].values) in found.proposal.reason
    assert {found.proposals[name].action for name in ("blrm", "3+3")} == {"wait"}


def test_no_overlap_holds_the_start_and_not_the_decision():
    """Cohorts of one dose group at a time: with a patient pending at the dose below, the decision is made now and starts later."""
    only_course = {"course": DESIGNS["course"]}
    people = [*three(1, 1, cut=90), patient("1-4", 1, 12, 40, 68, last_contact=90)]
    found = next_dose(config(only_course), trial(*people, last=90))
    assert (found.proposal.action, found.proposal.level) == ("escalate", 2)
    assert found.start.day == day(12 + 84)


@pytest.mark.slow
def test_pending_patients_are_said_to_be_included(committee):
    """The counts are without the pending patients, P(overdose) is with them: for the designs that wait, both are without them."""
    made, people, *_others = committee
    by_course, by_outcome = (as_lines(page_of(next_dose(made, people, design=name)), False, 80) for name in ("blrm-course", "blrm"))
    assert ("by a hazard per" in " ".join(by_course.split()), "by a hazard per" in " ".join(by_outcome.split())) == (True, False)


FAULTS = {
    "incomplete intervals count as complete": (
        "dosefind.tasks.periods:_complete_only",
        lambda old: lambda interval: interval._replace(exposure=1.0),
        lambda: test_readings_against_a_plain_grid(analysed(), "by infusion, complete intervals only"),
    ),
    "the cumulative hazard rises evenly": (
        "dosefind.tasks.periods:_early",
        lambda old: lambda interval: interval,
        lambda: test_readings_against_a_plain_grid(analysed(), "half of the hazard in the first quarter of an interval"),
    ),
    "one answer for all dates": (
        "dosefind.tasks.waiting:_Future.__init__",
        lambda old: lambda self, *given, by_day: old(self, *given, by_day=False),
        test_decisions_on_later_dates_have_the_exposure_of_these_dates,
    ),
    "a patient who left has no exposure": (
        "dosefind.evaluability.evaluated:Evaluated.courses",
        lambda old: property(lambda self: tuple(one for one in old.fget(self) if one.subject != "C")),
        test_probability_of_a_dlt_by_a_later_date,
    ),
}

test_fault_is_caught = faults(FAULTS)
