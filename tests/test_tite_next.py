"""The next dose by TITE-BOIN and TITE-CRM, with dated patients: follow-up, dates at which it matters, weights, the table."""

from dataclasses import fields, is_dataclass, replace

import numpy as np
import pytest

import dosefind as dsf
from dosefind.config import build_designs
from dosefind.show.pages.conduct import conduct_report
from dosefind.show.pages.design import design_report
from dosefind.show.pages.next_dose import next_dose as page_of
from dosefind.show.pages.table import decision_table
from dosefind.show.terminal import as_lines
from dosefind.tasks.next_dose import next_dose
from dosefind.tasks.stamps import stamp

from .made_up import day, event, patient, trial
from .peers import ROOT

CRM = {"kind": "tite-crm", "skeleton": [0.1, 0.25, 0.4], "max_n": 18, "cohort_size": 1}


def protocol(design, **changed):
    table = dsf.load_protocol(ROOT / "configs/nct05962762.toml").model_dump(exclude_unset=True)
    table |= {"designs": {"primary": design}, "curves": {}, "assumed": {}}
    table.pop("borrowing", None)
    table["treatment"] = {"infusion_days": [1], "dlt_window_days": 28, "no_overlap": False}
    return dsf.Protocol.read(table | changed)


def asked(design, *patients, now, **changed):
    return next_dose(protocol(design, **changed), trial(*patients, last=now), day(now))


def six(y=1, starts=(90, 92)):
    """Six at level 1: a complete cohort of three, y of them with a DLT, and three of whom two started later."""
    known = [patient(f"K{number}", 1, 10 + number, events=(event(20, row=number),) * (number <= y)) for number in range(1, 4)]
    return [*known, patient("K4", 1, 45), *(patient(f"P{number}", 1, start) for number, start in enumerate(starts, start=1))]


def test_the_rule_of_the_software_is_the_default():
    """With three patients and one pending, escalation awaits a quarter of the window: 7 of 28 days."""
    patients = [patient("P1", 1, 1), patient("P2", 1, 2), patient("P3", 1, 60)]
    for rule, action in [({}, "wait"), ({"rule": "app-2025"}, "wait"), ({"rule": "imputation"}, "escalate")]:
        found = asked({"kind": "tite-boin", **rule}, *patients, now=66).proposal
        assert found.action == action, rule
        assert (rule or {"rule": "app-2025"})["rule"] in found.reason
    found = asked({"kind": "tite-boin"}, *patients, now=66).proposal
    assert found.until == day(67)
    assert asked({"kind": "tite-boin"}, *patients, now=67).proposal.action == "escalate"


def test_a_threshold_in_patient_days_is_a_date():
    """One DLT in six, two pending: escalate from 39 of 56 patient-days on, as the table has it."""
    design = {"kind": "tite-boin", "rule": "imputation"}
    table = dsf.decision_table(protocol(design), "primary").set_index(["n_patients", "dlts", "pending"])
    needed = int(table.loc[(6, 1, 2), "escalate_from_days"])
    assert needed == 39
    # On day 111 the two have been followed for 21 and 19 days, 40 in total; on day 110 for 38.
    before, after = (asked(design, *six(), now=now) for now in (110, 111))
    assert (before.proposal.action, after.proposal.action) == ("stay", "escalate")
    # Asked a week before, the date is in the table of dates.
    early = asked(design, *six(), now=104).waiting
    dated = [one for one in early.dates if any(reason.kind == "follow-up" for reason in one.reasons)]
    # At each of the stated DLT rates.
    assert [one.day for one in dated] == [day(111)] * 3
    assert all(one.differs > 0.5 for one in dated)
    assert [sum(one.decisions.values()) for one in dated] == pytest.approx([1, 1, 1], abs=1e-12)


def test_decisions_on_later_dates_use_the_follow_up_of_that_date():
    """The same outcomes known on two dates are two questions."""
    found = asked({"kind": "tite-boin", "rule": "imputation"}, *six(starts=(90, 100)), now=104).waiting
    words = [max(one.decisions, key=one.decisions.get).words for one in found.dates]
    assert words[0] != words[-1]
    assert found.last is not None


def test_follow_up_has_the_weights_of_the_design():
    patients = [patient("P1", 1, 1), patient("P2", 1, 40), patient("P3", 1, 54)]
    for settings, expected in [
        ({}, [21 / 28, 7 / 28]),
        ({"weights": "piecewise", "weight_parts": [0.0, 0.2, 0.3, 0.5]}, [0.5, 0.0]),
    ]:
        found = asked(CRM | settings, *patients, now=61)
        assert [one.weight for one in found.waiting.patients] == pytest.approx(expected, abs=1e-12)
        assert all(f"{weight:.2f}" in found.proposal.reason for weight in expected)


def test_a_late_dlt_bars_escalation():
    """After a start at level 1 an earlier patient has a DLT: the model would escalate."""
    known = [patient(f"K{number}", 1, number) for number in range(1, 12)]
    late = patient("L1", 1, 60, events=(event(80, row=1),))
    without = asked(CRM, *known, patient("L1", 1, 60), patient("P1", 1, 70), now=85).proposal
    assert (without.action, without.level) == ("escalate", 2)
    barred = asked(CRM, *known, late, patient("P1", 1, 70), now=85).proposal
    assert (barred.action, barred.level) == ("stay", 1)
    # Once a further patient has started, the DLT is no longer new.
    for started, new in [((), 1), ((patient("P2", 1, 85),), 0)]:
        evaluated = asked(CRM, *known, late, patient("P1", 1, 70), *started, now=90).evaluated
        assert evaluated.one_by_one().known_now(follow_up=True).followed.late == new


def test_answer_is_the_posterior_with_the_weights_of_the_patients():
    """Also for a patient who left and keeps the weight of the follow-up."""
    patients = [
        *(patient(f"K{number}", 1, number) for number in range(1, 4)),
        patient("D1", 1, 35, events=(event(40, row=1),)),
        patient("L1", 1, 36, discontinued=50, reason="withdrew consent"),
        patient("P1", 1, 60),
        patient("P2", 1, 62),
    ]
    rules = {"dropout": "weight", "progression": "not-evaluable"}
    found = asked(CRM, *patients, now=70, evaluability=rules)
    fitted = dsf.TITECRM(skeleton=(0.1, 0.25, 0.4), target=0.25, window_days=28).fit_patients(
        [1, 1, 1, 1, 1, 1, 1], [0, 0, 0, 1, 0, 0, 0], [28, 28, 28, 5, 14, 10, 8]
    )
    shown = ", ".join(f"{100 * rate:.1f}%" for rate in fitted.plug_in.values)
    assert shown in found.proposal.reason
    assert found.proposal.level == min(int(fitted.recommended), 3)


DESIGNS = {
    "tite-crm": CRM,
    "tite-boin": {"kind": "tite-boin", "rule": "imputation", "cohort_size": 1, "max_n": 18},
    "rolling-6": {"kind": "rolling-6"},
}
MAY_BE = {
    "no date": {"start": None},
    "relationship not recorded": {"start": 65, "related": None},
    "grade not recorded": {"start": 65, "grade": None},
}


@pytest.mark.parametrize("may_be", MAY_BE)
@pytest.mark.parametrize("design", ["tite-crm", "tite-boin", "rolling-6"])
def test_an_event_that_may_be_a_dlt_is_no_follow_up_without_one(design, may_be):
    """Nobody is treated at a higher dose than if it were a DLT, and the patient's follow-up ends before it."""
    ranks = []
    for dlts in ((), (event(5),)):
        known = [patient("K1", 1, 1, events=dlts), patient("K2", 1, 2), patient("K3", 1, 3)]
        found, sure = (
            asked(DESIGNS[design], *known, patient("P", 1, 60, events=(event(row=9, **case),)), now=80)
            for case in (MAY_BE[may_be], {"start": 65})
        )
        assert found.evaluated.suspected == ("P",)
        followed = found.evaluated.known_now(follow_up=True).followed.patients
        assert (1, 0 if MAY_BE[may_be]["start"] is None else 4, 28) in followed
        answer, worst = found.proposal, sure.proposal
        assert answer.action in ("wait", "stop") or (answer.level or 0) <= (worst.level or 0), answer.reason
        ranks.append(answer.action)
        if answer.action == "wait" and answer.awaited.missing_data:
            assert answer.awaited.missing_data == ("P",)
            assert answer.until is None
    assert "wait" in ranks


@pytest.mark.parametrize("design", ["tite-crm", "tite-boin"])
def test_an_outcome_that_is_overdue_is_not_awaited_as_if_only_time_were_missing(design):
    """Two of three at level 2 are complete; of the third nothing is known since the first day. With a DLT of that patient the dose
    would not be raised, so that the design waits for the data.
    """
    known = [patient(f"K{number}", 1, number, last_contact=100) for number in range(1, 4)]
    here = [patient("A", 2, 40, last_contact=100), patient("B", 2, 41, last_contact=100)]
    found = asked(DESIGNS[design], *known, *here, patient("C", 2, 42, last_contact=42), now=100)
    assert [status.subject for status in found.evaluated.overdue] == ["C"]
    assert (found.proposal.action, found.proposal.awaited.missing_data) == ("wait", ("C",))
    assert asked(DESIGNS[design], *known, *here, patient("C", 2, 42, last_contact=100), now=100).proposal.action == "escalate"


def test_a_patient_of_whom_no_data_would_show_a_dlt_has_no_follow_up_without_one():
    """Neither adverse events nor an assessment: 20 of 28 days on treatment say nothing on DLTs."""
    known = [patient(f"K{number}", 1, number) for number in range(1, 4)]
    found = asked(CRM, *known, patient("P", 1, 60, events=None), now=80)
    fitted = dsf.TITECRM(skeleton=(0.1, 0.25, 0.4), target=0.25, window_days=28).fit_patients([1] * 4, [0] * 4, [28, 28, 28, 0])
    shown = ", ".join(f"{100 * rate:.1f}%" for rate in fitted.plug_in.values)
    assert shown in found.proposal.reason
    assert [one.days for one in found.waiting.patients] == [0]


def test_a_stop_that_follow_up_can_avert_is_awaited():
    # All of them started before the first DLT.
    toxic = [patient(f"K{number}", 1, 1, events=(event(4, row=number),)) for number in (1, 2)]
    pending = [patient(f"P{number}", 1, 2) for number in range(1, 7)]
    design = CRM | {"skeleton": [0.25, 0.35, 0.5], "safety_cutoff": 0.8}
    found = asked(design, *toxic, *pending, now=5).proposal
    assert (found.action, found.level) == ("wait", None)
    until = (found.until - day(1)).days + 1
    assert asked(design, *toxic, *pending, now=until).proposal.action != "wait"
    assert asked(design, *toxic, *pending, now=until - 1).proposal.action == "wait"


def test_treated_as_decided_is_no_departure():
    """What the design would have done when each patient started is judged with the follow-up of that day."""
    patients = [patient("P1", 1, 1), patient("P2", 1, 11), patient("P3", 1, 21), patient("P4", 2, 40), patient("P5", 2, 50)]
    design = CRM | {"skeleton": [0.05, 0.25, 0.4]}
    reached = []
    for number in range(1, len(patients)):
        first = (patients[number].infusions[0] - day(1)).days + 1
        reached.append(asked(design, *patients[:number], now=first).proposal.level)
    found = asked(design, *patients, now=60)
    departed = {one.subject for one in found.deviations.get("primary", ())}
    expected = {one.subject for one, level in zip(patients[1:], reached, strict=True) if one.level != level}
    assert departed == expected
    assert np.unique(reached).size > 1


def written(document):
    """Every text of a report."""
    words, parts = [], [document]
    while parts:
        part = parts.pop()
        if isinstance(part, str):
            words.append(part)
        elif is_dataclass(part) and not isinstance(part, type):
            parts += [getattr(part, field.name) for field in fields(part)]
        elif isinstance(part, list | tuple):
            parts += part
    return " | ".join(reversed(words))


@pytest.mark.slow
def test_reports_state_what_is_needed_to_repeat_the_analysis():
    """Weights, W, follow-up of each patient, prior, rule and data cutoff; also of designs that are not the primary one."""
    designs = {"boin": {"kind": "boin"}, "crm": CRM, "tite": {"kind": "tite-boin", "rule": "ess"}}
    curve = {"power": {"kind": "power", "skeleton": [0.1, 0.25, 0.4]}}
    few = protocol(
        {"kind": "boin"},
        designs=designs,
        curves=curve,
        scenarios={"A": [0.1, 0.25, 0.4]},
        target={"rate": 0.25, "interval": [0.16, 0.33]},
    )
    patients = [patient("P1", 1, 1), patient("P2", 1, 40), patient("P3", 1, 54)]
    found = written(conduct_report(dsf.Trial.of(few), trial(*patients, last=61), day(61), design="crm"))
    for words in ("weights = linear", "0.750", "0.250", "normal prior", day(61).isoformat(), "days followed"):
        assert words in found, words
    found = written(design_report(dsf.Trial.of(few)))
    for words in ("rule = ess", "weights = linear", "escalate from days"):
        assert words in found, words


def test_cohorts_are_those_of_the_protocol():
    """As for other designs; each version on complete data has the same cohorts, and a size of 1 is a setting of the design."""
    rules = {name: value for name, value in CRM.items() if name != "cohort_size"}
    for settings, size in (({}, 3), ({"cohort_size": 1}, 1)):
        made = dsf.Protocol.read(protocol(rules | settings).model_dump(exclude_unset=True) | {"accrual": {"per_28_days": 4.0}})
        found = dsf.calendar(made, n_trials=2)
        plan = build_designs(made)["primary"]
        assert (plan.cohort_size, plan.on_complete_data().cohort_size) == (size, size)
        said = next(one for one in found.attrs["assumptions"] if one.key == "designs.primary")
        assert "cohort_size" not in str(said.value)
    # Three patients are treated at the first dose, whatever their follow-up.
    first = asked(rules, patient("P1", 1, 1), now=3).proposal
    assert (first.action, first.level, first.size) == ("fill", 1, 2)


def test_rules_say_what_escalation_awaits():
    people = [patient("P1", 1, 1), patient("P2", 1, 20)]
    for gates, words in (
        ({}, "no gates"),
        ({"gates": {"complete": 1}}, "1 known outcome at"),
        ({"gates": {"complete": 2, "each_pending": 0.25}}, "7 days of follow-up of every pending"),
        ({"gates": {"one_followed": 14}}, "14 days of follow-up of one"),
        ({"gates": {"suspend_pending": 0.5}}, "more than 50%"),
    ):
        rules = asked(CRM, *people, now=30, **gates).attrs["rules"]["primary"]
        assert any(words in rule for rule in rules), (gates, rules)
    assert not any("gate" in rule for rule in asked({"kind": "boin"}, *people, now=30).attrs["rules"]["primary"])


def test_probabilities_of_later_decisions_are_those_of_the_weights():
    """All DLTs in the second half by the weights, whatever the protocol's days to DLT: by hand, on a plain grid."""
    people = [patient("P1", 1, 1), patient("P2", 1, 40), patient("P3", 1, 54)]
    late = CRM | {"weights": "piecewise", "weight_parts": [0.0, 1.0]}
    found = asked(late, *people, now=61, onset={"kind": "piecewise", "parts": [1.0, 0.0]}).waiting
    z = np.linspace(-10, 10, 20_001)
    p = 0.1 ** np.exp(np.sqrt(1.34) * z)
    # P1 is complete; P2 has been followed for 21 days, weight 0.5, P3 for 7, weight 0.
    density = np.exp(-(z**2) / 2) * (1 - p) * (1 - 0.5 * p)
    # At the end of the window of P2, P3 has been followed for 14 days: no further DLT of P3 is possible by then.
    expected = (density * 0.5 * p / (1 - 0.5 * p)).sum() / density.sum()
    first = next(one for one in found.dates if any(event.subject == "P2" for event in one.reasons))
    assert first.day == day(68)
    assert first.new_dlt == pytest.approx(expected, abs=1e-6)
    assert "0.0%, 100.0%" in found.weights
    # As the design's weights are the days to DLT, the protocol's make no difference.
    again = asked(late, *people, now=61).waiting
    assert [one.decisions for one in again.dates] == [one.decisions for one in found.dates]


def test_table_says_what_it_supposes_of_follow_up():
    trial = dsf.load_trial(ROOT / "examples/nct05948982/course/trial.toml")
    course = dsf.decision_table(trial, "blrm-course").attrs["assumes"]
    assert "84 days" in course
    found = dsf.decision_table(protocol(CRM), "primary")
    assert "28 days" in found.attrs["assumes"]
    # It is the table of the same design on complete data.
    plain = dsf.decision_table(
        protocol({name: value for name, value in CRM.items() if name != "kind"} | {"kind": "crm"}), "primary"
    )
    assert found.equals(plain)
    assert "assumes" not in plain.attrs
    page = as_lines(decision_table(found, stamp(protocol(CRM), "primary"), design="primary"), width=1000)
    assert found.attrs["assumes"] in page


SILENT = {"events": None}


def test_follow_up_that_says_nothing_on_dlts_is_no_follow_up():
    """Without adverse events and a DLT assessment, a pending patient has no weight and adds no days; the DLT of another counts."""
    known = [patient("K1", 1, 1), patient("K2", 1, 2, events=(event(20, row=1),))]
    for starts in ((45,), (45, 50)):
        silent = [patient(f"S{start}", 1, start, **SILENT) for start in starts]
        young = [patient(f"S{start}", 1, 60) for start in starts]
        for design in (CRM, {"kind": "tite-boin", "rule": "ess", "cohort_size": 1, "known_first": 0}):
            found, started = (asked(design, *known, *late, now=60) for late in (silent, young))
            assert found.uninformed == tuple(f"S{start}" for start in starts)
            assert started.uninformed == ()
            assert found.proposal.reason == started.proposal.reason
            assert found.proposal.level == started.proposal.level
            assert [one.weight for one in found.waiting.patients] == [0.0] * len(starts)
    # From the first day the design decides with what would have been seen by then.
    told = asked(CRM, *known, *(patient(f"S{start}", 1, start) for start in (45, 50)), now=60)
    assert told.proposal.reason != asked(CRM, *known, *silent, now=60).proposal.reason
    page = as_lines(page_of(found), width=1000)
    assert "no information on DLTs of 2 pending patients" in page
    # Nor has a patient who left, of whom nothing is known, a weight above 0.
    rules = {"dropout": "weight", "progression": "not-evaluable"}
    gone = patient("L1", 1, 30, discontinued=50, reason="withdrew consent", **SILENT)
    left = asked(CRM, *known, gone, now=60, evaluability=rules)
    assert left.evaluated["L1"].weight in (None, 0.0)


def test_a_course_that_says_nothing_on_dlts_is_not_included():
    """With one pending patient, with several, and with some on whom there is information."""
    made = dsf.load_trial(ROOT / "examples/nct05948982/course/trial.toml")
    people = [patient(f"P{number}", 1, 1 + number, amount=1) for number in range(3)]
    silent = [replace(one, events=None) for one in people]
    for given, lacking, words in (
        (silent[:1], ("P0",), "P(overdose) included, are without them"),
        (silent, ("P0", "P1", "P2"), "P(overdose) included, are without them"),
        ([people[0], *silent[1:]], ("P1", "P2"), "those with information on DLTs"),
        (people, (), "includes them as far as followed up"),
    ):
        found = next_dose(made, trial(*given, last=40), day(40))
        assert found.uninformed == lacking
        page = as_lines(page_of(found), width=1000)
        assert words in page
        assert ("Caution: no information on DLTs" in page) == bool(lacking)
        observed = found.extrapolated[0]
        assert (observed == 1.0) == (len(lacking) == len(given))
    # The recommendation is that from the informed patients alone, with the others as just started.
    some = next_dose(made, trial(people[0], *silent[1:], last=40), day(40))
    alone = next_dose(made, trial(people[0], *(patient(f"P{n}", 1, 40, amount=1) for n in (1, 2)), last=40), day(40))
    assert (some.proposal.action, some.proposal.level) == (alone.proposal.action, alone.proposal.level)


@pytest.mark.parametrize("kind", ["boin", "tite-boin"])
def test_no_more_patients_than_are_left_after_a_cohort_that_would_not_have_begun(kind):
    """Five of six patients are treated, two of them where the design had not planned it: one is left, not a cohort."""
    known = [patient("K1", 1, 1, events=(event(5),)), patient("K2", 1, 2), patient("K3", 1, 3)]
    found = asked({"kind": kind, "max_n": 6}, *known, patient("L1", 2, 40), patient("L2", 2, 41), now=100).proposal
    assert (found.action, found.level, found.size) == ("stay", 1, 1)
    assert "33.3%" in found.reason
