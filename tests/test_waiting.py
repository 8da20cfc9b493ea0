"""Decide now, or wait: predictive probabilities against published values, draws and sums; decisions by the rules of `next`."""

import dataclasses
from itertools import product

import numpy as np
import pytest

import dosefind as dsf
from dosefind.models import Cloglog, Logistic2, Power
from dosefind.posterior.pending import Followed, at_rates, predicted
from dosefind.protocol import Protocol
from dosefind.show.content import Table, as_string
from dosefind.show.pages.conduct import conduct_report
from dosefind.show.pages.next_dose import next_dose as page
from dosefind.show.pages.waiting import waiting_blocks, waiting_lines
from dosefind.show.terminal import as_lines
from dosefind.tasks.next_dose import next_dose
from dosefind.tasks.waiting import Answer
from dosefind.timing import Onset

from .made_up import day, event, patient, trial
from .peers import ROOT, published

REFS = {item["id"]: item for item in published("time_refs")["items"]}
NOW = 200
CONFIG = ROOT / "configs/nct05962762.toml"


# Predictive distribution -------------------------------------------------------------------------------------------------


def tite_crm(skeleton, patients, target):
    """TITE-CRM with the power curve, a plain grid: patients (level, weight, DLT); the level closest to the target."""
    b = np.linspace(-9, 9, 4001) * 1.34**0.5
    b = b[(np.exp(b) < 500) & (np.exp(b) > 1e-8)]
    p = np.array(skeleton) ** np.exp(b)[:, None]
    log = -(b**2) / (2 * 1.34)
    with np.errstate(divide="ignore"):
        for level, weight, dlt in patients:
            rate = p[:, level - 1]
            log = log + (np.log(rate) if dlt else np.log1p(-weight * rate))
    share = np.exp(log - log.max())
    estimate = np.array(skeleton) ** np.exp((share * b).sum() / share.sum())
    return int(np.abs(estimate - target).argmin()) + 1


def decided(inputs, known, pending, later):
    """Probability of each level of the TITE-CRM after some days: at most one level up, never up after a new DLT."""
    skeleton, window = inputs["skeleton"], inputs["window"]
    n, y = np.zeros(len(skeleton), int), np.zeros(len(skeleton), int)
    for level, dlt in known:
        n[level - 1] += 1
        y[level - 1] += dlt
    groups = [Followed(level, 1, days, min(days + later, window), window) for level, days in pending]
    found = predicted(Power(skeleton=tuple(skeleton)), n, y, groups, Onset())
    highest = max(level for level, _ in [*known, *pending])
    by_level: dict[str, float] = {}
    for way, chance in zip(found.ways, found.probability, strict=True):
        complete = [(level, 1.0, dlt) for level, dlt in known]
        followed = [(level, min(days + later, window) / window, dlt) for (level, days), dlt in zip(pending, way, strict=True)]
        level = min(tite_crm(skeleton, [*complete, *followed], inputs["target"]), highest + (not any(way)))
        by_level[str(level)] = by_level.get(str(level), 0.0) + chance
    assert found.probability.sum() == pytest.approx(1, abs=1e-12)
    return by_level


@pytest.mark.parametrize("days", [14, 28])
def test_book_example_is_the_reference(days):
    inputs, expected = REFS["waiting_p124_open"]["inputs"], REFS["waiting_p124_open"]["expected"]
    pending = list(zip(inputs["level"], inputs["follow_up"], strict=True))
    assert decided(inputs, [], pending, days) == pytest.approx(expected[str(days)], abs=1e-5)


@pytest.mark.parametrize("days", [34, 63])
def test_course_with_a_dlt_is_the_reference(days):
    inputs, expected = REFS["waiting_course_dlt"]["inputs"], REFS["waiting_course_dlt"]["expected"]
    each = list(zip(inputs["level"], inputs["follow_up"], inputs["dlt"], strict=True))
    known = [(level, dlt) for level, followed, dlt in each if dlt or followed == 84]
    pending = [(level, followed) for level, followed, dlt in each if not dlt and followed < 84]
    assert decided(inputs, known, pending, days) == pytest.approx(expected["later"][str(days)], abs=1e-5)


CURVES = [
    Power(skeleton=(0.1, 0.2, 0.35)),
    Cloglog(skeleton=(0.1, 0.2, 0.35)),
    Logistic2(doses=(1.0, 3.0, 5.0), reference=3.0, prior={"mean": [-2.2, 0.0], "sd": [2.0, 1.0]}),
]
ONSETS = [Onset(), Onset(kind="weibull", late=0.7), Onset(kind="piecewise", parts=(0.6, 0.3, 0.1))]


@pytest.mark.parametrize("onset", ONSETS, ids=lambda onset: onset.kind)
@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.kind)
def test_predictive_distribution_is_that_of_drawn_dlt_times(curve, onset):
    """Times to DLT are drawn from the prior, and draws that contradict what is known are rejected: DLTs by the later day."""
    rng = np.random.default_rng(4)
    window, draws = 28, 400_000
    z = rng.normal(size=(draws, curve.n_parameters))
    p = np.exp(curve.at(z)[0])
    # Level 1: 3 patients complete; level 2: followed 20 and 8 days; level 3: 8 days.
    pending = [(2, 20), (2, 8), (3, 8)]
    later = 9
    accepted = (rng.random((draws, 3)) >= p[:, :1]).all(axis=1)
    new = []
    for level, followed in pending:
        rate = p[:, level - 1]
        toxic = rng.random(draws) < rate
        when = np.where(toxic, onset.time(rng.random(draws), rate, window), np.inf)
        accepted &= when > followed
        new.append(when <= min(followed + later, window))
    drawn = np.stack(new, axis=1)[accepted]
    groups = [Followed(level, 1, followed, min(followed + later, window), window) for level, followed in pending]
    found = predicted(curve, np.array([3, 0, 0]), np.zeros(3, int), groups, onset)
    assert found.probability.sum() == pytest.approx(1, abs=1e-12)
    assert found.error < 1e-8
    for way, chance in zip(found.ways, found.probability, strict=True):
        share, error = (drawn == way).all(axis=1).mean(), np.sqrt(chance * (1 - chance) / len(drawn))
        assert abs(share - chance) < 3.3 * max(error, 1e-12) or abs(share - chance) < 3 / len(drawn)


def test_patients_with_the_same_follow_up_are_counted_together():
    """Grouped and apart, the number of DLTs has the same distribution; the outcomes are not independent."""
    curve = CURVES[0]
    apart = predicted(curve, np.zeros(3, int), np.zeros(3, int), [Followed(2, 1, 7, 21, 28)] * 3, Onset())
    grouped = predicted(curve, np.zeros(3, int), np.zeros(3, int), [Followed(2, 3, 7, 21, 28)], Onset())
    by_sum = [sum(chance for way, chance in zip(apart.ways, apart.probability, strict=True) if sum(way) == k) for k in range(4)]
    assert grouped.probability == pytest.approx(by_sum, abs=1e-12)
    one = apart.probability.reshape(2, 2, 2)[1].sum()
    assert apart.probability[-1] > 2 * one**3


def test_probabilities_at_stated_rates_are_the_formula():
    groups = [Followed(1, 2, 7, 14, 28), Followed(3, 1, 0, 28, 28)]
    found = at_rates(np.array([0.1, 0.25, 0.4]), groups, Onset())
    one = 0.1 * 0.25 / (1 - 0.25 * 0.1)
    expected = [first * second for first, second in product([(1 - one) ** 2, 2 * one * (1 - one), one**2], [0.6, 0.4])]
    assert found.probability == pytest.approx(expected, abs=1e-14)


# Dates and decisions -----------------------------------------------------------------------------------------------------


def protocol(*designs, curves=True, **changed):
    table = dsf.load_protocol(CONFIG).model_dump(exclude_unset=True)
    table["designs"] = {name: table["designs"][name] for name in designs if name in table["designs"]} or table["designs"]
    if "rolling-6" in designs:
        table["designs"] = {"rolling-6": {"kind": "rolling-6"}}
    table["curves"] = table["curves"] if curves else {}
    for name in ("borrowing", "onset", "accrual"):
        table.pop(name, None)
    return Protocol.read(table | {"assumed": {}} | changed)


def running(dlts=0, starts=(NOW - 25, NOW - 22, NOW - 19)):
    """Three complete at level 1, three pending at level 2, of whom the first may have a DLT."""
    first = [patient(f"A{number}", 1, 100) for number in range(3)]
    events = (event(NOW - 2, row=9),) if dlts else ()
    return [*first, *(patient(f"B{n}", 2, start, events=events if n < dlts else ()) for n, start in enumerate(starts))]


def waiting(rules, patients, **options):
    found = next_dose(rules, trial(*patients, last=NOW), day(NOW), **options)
    return found, found.waiting


@pytest.mark.parametrize("design", ["3+3", "boin", "crm", "blrm"])
def test_each_date_has_the_decisions_of_the_patients_as_they_would_be(design):
    """Each way in which outcomes come out is put into the data, and `next_dose` asked anew on that date."""
    rules = protocol(design)
    patients = running()
    _, found = waiting(rules, patients)
    ends = [NOW + 3, NOW + 6, NOW + 9]
    assert [one.day for one in found.dates] == [day(end) for end in ends]
    curve = dsf.load_trial(CONFIG).designs[design].curve if design in ("crm", "blrm") else None
    assert found.of_design == (curve is not None)
    curve = curve or dsf.load_trial(CONFIG).curves["logistic-2"]
    for one, end in zip(found.dates, ends, strict=True):
        groups = [Followed(2, 1, days, min(days + end - NOW, 28), 28) for days in (25, 22, 19)]
        chances = predicted(curve, np.array([3, 0, 0]), np.zeros(3, int), groups, Onset())
        expected: dict[str, float] = {}
        for way, chance in zip(chances.ways, chances.probability, strict=True):
            later = [
                patient(f"B{n}", 2, start, events=(event(min(end, start + 28), row=n + 1),) if dlt else ())
                for n, (start, dlt) in enumerate(zip((NOW - 25, NOW - 22, NOW - 19), way, strict=True))
            ]
            then = next_dose(rules, trial(*patients[:3], *later, last=end), day(end)).proposal
            words = then.action if then.level is None and then.action != "stop" else f"level {then.level}"
            words = f"stop {then.mtd}" if then.action == "stop" else f"fill {words}" if then.action == "fill" else words
            expected[words] = expected.get(words, 0.0) + chance
        assert sorted(one.decisions.values()) == pytest.approx(sorted(expected.values()), abs=1e-9)
        assert sum(one.decisions.values()) == pytest.approx(1, abs=1e-12)
        assert one.new_dlt == pytest.approx(1 - chances.probability[0], abs=1e-9)
    assert found.last == day(NOW + 9)
    assert found.dates[-1].differs == pytest.approx(1, abs=1e-12)


def test_last_date_comes_before_the_last_window_where_the_rest_does_not_matter():
    """Two DLTs in two patients at level 1 of the 3+3: nothing that the third patient may have changes the stop."""
    patients = [patient(f"A{n}", 1, NOW - 10 + n, events=(event(NOW - 1, row=n + 1),) if n < 2 else ()) for n in range(3)]
    found, when = waiting(protocol("3+3"), patients)
    assert found.proposal.action == "stop"
    assert when.last == day(NOW)
    assert all(one.differs == 0 for one in when.dates)


def test_rolling_six_is_asked_about_what_is_known_at_each_date():
    """Three complete and two pending without a DLT: today the same dose, and escalation once both are known."""
    patients = [patient(f"A{n}", 1, NOW - 28) for n in range(3)] + [patient(f"B{n}", 1, NOW - 27 + 5 * n) for n in range(2)]
    rules = protocol("rolling-6", treatment={"infusion_days": [1], "dlt_window_days": 28, "no_overlap": False})
    found, when = waiting(rules, patients)
    assert (found.proposal.action, found.proposal.level) == ("stay", 1)
    first, last = when.dates
    # Both pending patients would need a DLT by the day on which the first window ends.
    assert first.decisions[when.today] == pytest.approx(1 - first.lower, abs=1e-12)
    assert first.lower < 1e-4
    assert last.higher == pytest.approx(1 - last.new_dlt, abs=1e-12)
    assert when.last == day(NOW + 6)


def test_stated_rates_where_no_curve_is_stated():
    _, found = waiting(protocol("3+3", curves=False), running())
    assert found.rates == (0.10, 0.25, 0.40)
    assert found.curve == ""
    assert len(found.dates) == 9
    at_a_quarter = next(one for one in found.dates if one.rate == 0.25)
    assert at_a_quarter.new_dlt == pytest.approx(
        1 - np.prod([1 - 0.25 * 3 / 28 / (1 - 0.25 * days / 28) for days in (25, 22, 19)]), abs=1e-12
    )


def test_onset_of_the_protocol_is_used_and_assumed_if_not_stated():
    late = {"kind": "weibull", "late": 0.9}
    _, stated = waiting(protocol("3+3", onset=late), running())
    _, assumed = waiting(protocol("3+3"), running())
    assert (stated.onset_assumed, assumed.onset_assumed) == (False, True)
    # The shipped configs state a uniform distribution and mark it as assumed.
    assert waiting(dsf.load_protocol(CONFIG), running())[1].onset_assumed
    assert stated.onset.late == 0.9
    assert stated.dates[0].new_dlt > assumed.dates[0].new_dlt


def test_patients_without_an_assessment_stay_pending_at_every_date():
    overdue = patient("B9", 2, NOW - 60, last_contact=NOW - 50)
    _, found = waiting(protocol("3+3"), [*running()[:5], overdue])
    assert {one.subject: one.left_out for one in found.patients}["B9"] == "unassessed"
    assert found.last is None
    assert len(found.dates) == 2


def test_too_many_different_follow_ups_are_refused_with_the_reason():
    rules = protocol("boin", treatment={"infusion_days": [1], "dlt_window_days": 28, "no_overlap": False})
    patients = [patient(f"A{n}", 1, NOW - 20 + n) for n in range(9)]
    _, found = waiting(rules, patients)
    assert not found
    assert "512" in found.refused
    grouped = [patient(f"A{n}", 1, NOW - 20 + n // 3) for n in range(9)]
    assert waiting(rules, grouped)[1]


def test_escalation_with_outcomes_that_may_reverse_it_is_a_caution():
    """Rolling six escalates at (6, 0, 1); a caution depends on the probability, not on the design."""
    rules = protocol("rolling-6", treatment={"infusion_days": [1], "dlt_window_days": 28, "no_overlap": False})
    five = [patient(f"A{n}", 1, 150) for n in range(3)] + [patient(f"A{n}", 1, 151) for n in (3, 4)]
    found, when = waiting(rules, [*five, patient("P", 1, NOW - 1)])
    assert found.proposal.action == "escalate"
    assert when.up
    assert not when.bold


def test_dose_without_a_complete_outcome_below_is_a_caution():
    rules = protocol("boin", treatment={"infusion_days": [1], "dlt_window_days": 28, "no_overlap": False})
    patients = [patient(f"B{n}", 2, NOW - 10 + n) for n in range(2)]
    found, when = waiting(rules, patients)
    assert when.untested_below == (found.proposal.level == 2)
    assert not waiting(rules, running())[1].untested_below


def test_nothing_pending_needs_no_dates():
    _, found = waiting(protocol("3+3"), [patient(f"A{n}", 1, 100) for n in range(3)])
    assert not found
    assert found.patients == ()


def test_six_pending_patients_have_six_dates():
    rules = dsf.Trial.of(
        protocol("3+3", treatment={"infusion_days": [1], "dlt_window_days": 28, "no_overlap": True}, scenarios={"A": [0.1] * 3})
    )
    patients = [patient(f"A{n}", 1, 100) for n in range(3)] + [patient(f"B{n}", 2, NOW - 25 + 3 * n) for n in range(6)]
    found = next_dose(rules, trial(*patients, last=NOW), day(NOW)).when()
    assert len(found.dates) == 6
    assert len(found.patients) == 6


# Shown -------------------------------------------------------------------------------------------------------------------


def shown_tables(blocks):
    return [block for block in blocks if isinstance(block, Table)]


def test_page_and_report_show_the_probabilities_of_the_result():
    """The first screen has the largest probability of another decision; the tables have every probability of every date."""
    rules = protocol("crm")
    found, when = waiting(rules, running())
    first = as_lines(page(found), width=80)
    assert len(first.splitlines()) <= 40
    assert f"{100 * when.most.differs:.1f}%" in first
    assert str(when.most.day) in first
    dates, patients = shown_tables(waiting_blocks(when))
    for row, one in zip(dates.rows, when.dates, strict=True):
        cells = [as_string(cell) for cell in row]
        assert cells[:2] == [str(one.day), str((one.day - when.as_of).days)]
        assert [float(cell) for cell in cells[3:5]] == pytest.approx([100 * one.new_dlt, 100 * one.differs], abs=0.05)
        assert sum(float(cell) for cell in cells[5:]) == pytest.approx(100, abs=0.2)
    assert [[as_string(cell) for cell in row[:5]] for row in patients.rows] == [
        [one.subject, str(one.level), str(one.days), str(one.window), f"{one.weight:.3f}"] for one in when.patients
    ]
    document = conduct_report(dsf.Trial.of(rules), trial(*running(), last=NOW), day(NOW))
    (section,) = [section for section in document.sections if section.id == "waiting"]
    assert shown_tables(section.blocks)[0] == dates


def test_saved_tables_have_the_probabilities_and_what_they_rest_on(tmp_path):
    found, when = waiting(protocol("3+3", curves=False), running())
    table = found.tables["waiting"]
    assert len(table) == len(when.dates)
    assert table.filter(like="p: ").sum(axis=1).tolist() == pytest.approx([1] * len(table), abs=1e-12)
    assert table["p_differs"].tolist() == [one.differs for one in when.dates]
    assert found.tables["follow-up"]["weight"].tolist() == [one.weight for one in when.patients]
    basis = dict(found.tables["waiting-basis"].values.tolist())
    assert basis["onset"] == "uniform"
    assert basis["onset assumed"] == "yes"
    assert basis["DLT rates"] == "0.1, 0.25, 0.4"


def test_blinded_report_names_no_pending_patient():
    _, when = waiting(protocol("3+3"), running())
    hidden = as_string(tuple(run for block in waiting_blocks(when, hides=True) for run in runs(block)))
    assert not any(one.subject in hidden for one in when.patients)
    assert any(
        one.subject in as_string(tuple(run for block in waiting_blocks(when) for run in runs(block))) for one in when.patients
    )


def runs(block):
    """Every piece of text of a block."""
    if isinstance(block, Table):
        for line in (block.caption, *(column.heading for column in block.columns), *(cell for row in block.rows for cell in row)):
            yield from line
    else:
        for item in block.items:
            yield from item


def test_cautions_are_on_the_first_screen():
    """An escalation that is probably reversed, and a dose above doses without a complete outcome."""
    _, when = waiting(protocol("3+3"), running())
    bold = dataclasses.replace(
        when, up=True, today=Answer("level 3", 3), dates=tuple(one._replace(differs=0.2) for one in when.dates)
    )
    assert bold.bold
    assert "20.0%" in as_string(waiting_lines(bold)[0])
    untested = dataclasses.replace(when, dates=(), untested_below=True)
    assert len(waiting_lines(untested)) == 1
    assert len(waiting_lines(dataclasses.replace(untested, untested_below=False))) == 0
