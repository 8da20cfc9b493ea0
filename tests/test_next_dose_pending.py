"""The next dose by a design that decides with pending outcomes: the published table of the rolling six, with dated patients."""

from dataclasses import replace

import numpy as np
import pytest

import dosefind as dsf
from dosefind.config import build_designs
from dosefind.decisions import record_decision
from dosefind.starts import NO_WAIT, gated
from dosefind.tasks.next_dose import next_dose
from dosefind.tasks.proposals import Asked, propose_next
from dosefind.timing import NEVER, Gates, Infused

from .made_up import day, event, patient, trial
from .peers import ROOT, published

ROWS = next(item for item in published("time_refs")["items"] if item["id"] == "rolling6_table")["expected"]["rows"]
NOW = 200


def protocol(no_overlap=False, **changed):
    table = dsf.load_protocol(ROOT / "configs/nct05962762.toml").model_dump(exclude_unset=True)
    table |= {"designs": {"rolling-6": {"kind": "rolling-6"}, "3+3": {"kind": "3+3"}}, "curves": {}, "assumed": {}}
    table.pop("borrowing", None)
    table["treatment"] = {"infusion_days": [1], "dlt_window_days": 28, "no_overlap": no_overlap}
    return dsf.Protocol.read(table | changed)


def at_level(level, start, known=0, dlts=0, pending=0, prefix="P", **fields):
    """Patients treated at a level within two days, so that no outcome was known at a start: some complete by day ``start + 28``."""
    found = []
    for number in range(known + pending):
        subject, first = f"{prefix}{level}{number + 1}", start + (number >= known)
        events = (event(start + 27, row=10 * level + number + 1),) if number < dlts else ()
        found.append(patient(subject, level, first, events=events, **fields))
    return found


def asked(*patients, rules=None, now=NOW, **options):
    return next_dose(rules or protocol(), trial(*patients, last=now), day(now), **options)


# Published table --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_dated_patients_are_decided_as_the_published_table(row):
    n, evaluable, dlts, expected = row
    found = asked(*at_level(1, 100, known=3), *at_level(2, NOW - 28, evaluable, dlts, n - evaluable)).proposal
    answer = {"same": ("start" if n == 0 else "stay", 2), "escalate": ("escalate", 3), "suspend": ("wait", None)}
    answer["de-escalate"] = ("de-escalate", 1)
    action, level = answer[expected]
    if n == 0:
        action = "escalate"
    assert (found.action, found.level) == (action, level)
    assert found.size == (level is not None)
    # What is known later: the day is that of the last window needed, everybody pending having started a day later.
    if expected == "suspend":
        assert found.until == day(NOW + 1)


def test_strict_where_dose_groups_must_not_overlap():
    patients = [*at_level(1, 100, known=3), *at_level(2, NOW - 28, known=5, pending=1)]
    assert asked(*patients, rules=protocol(no_overlap=True)).proposal.action == "wait"
    assert asked(*patients).proposal.level == 3


def test_suspension_ends_with_the_first_window_that_lets_the_design_decide():
    """Six at level 1, three pending: one may stay pending, so the second of the three windows is enough."""
    pending = [patient(f"Q{number}", 1, NOW - 28 + 3 * number) for number in (1, 2, 3)]
    first = at_level(1, NOW - 28, known=3)
    found = asked(*first, *pending).proposal
    assert (found.action, found.until) == ("wait", day(NOW + 6))
    strict = asked(*first, *pending, rules=protocol(no_overlap=True)).proposal
    assert (strict.action, strict.until) == ("wait", day(NOW + 9))
    # With a DLT, all outcomes are needed.
    toxic = asked(*at_level(1, NOW - 28, known=3, dlts=1), *pending).proposal
    assert (toxic.action, toxic.until) == ("wait", day(NOW + 9))


# Safety rules -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("late", [False, True])
def test_late_dlt_at_a_lower_dose_closes_every_dose_above(late):
    """Level 1 has six patients and 1 DLT, level 2 two patients pending; a second DLT at level 1 is adjudicated late."""
    first = at_level(1, 100, known=6, dlts=1)
    first[5] = replace(first[5], events=(event(110, row=99),) if late else ())
    found = asked(*first, *at_level(2, NOW - 10, pending=2)).proposal
    if late:
        assert (found.action, found.mtd) == ("stop", "none")
    else:
        assert (found.action, found.level) == ("stay", 2)
        assert 2 in found.admissible


def test_overdue_patient_is_pending():
    """Without an assessment after the window the outcome is pending; no date can be named, as data are missing."""
    overdue = at_level(1, NOW - 60, known=6, last_contact=NOW - 50)
    found = asked(*overdue)
    assert len(found.overdue) == 6
    assert (found.proposal.action, found.proposal.until) == ("wait", None)


def test_patient_under_adjudication_is_pending():
    """Two of three outcomes are known; the third patient died after the window, which awaits adjudication.

    Known as complete, the three would escalate. Pending, the next patient is treated at the same dose, once the hold is released.
    """
    patients = at_level(1, NOW - 60, known=2)
    held = patient("S1", 1, NOW - 60, events=(event(NOW - 20, grade=5, related="possibly related", serious=True),))
    found = asked(*patients, held)
    assert found.evaluated["S1"].held
    assert found.proposal.action == "hold"
    by_its_rules = propose_next(Asked(build_designs(protocol())["rolling-6"], 3), found.evaluated, ((),), None)
    assert (by_its_rules.action, by_its_rules.level) == ("stay", 1)
    as_counted = propose_next(Asked(build_designs(protocol())["rolling-6"], 3), found.evaluated.as_counted(), ((),), None)
    assert (as_counted.action, as_counted.level) == ("escalate", 2)


def test_not_evaluable_patient_is_replaced():
    """One of three leaves early: two of two without a DLT are not enough, and the next patient is treated at the same level."""
    patients = at_level(1, NOW - 60, known=2)
    lost = patient("L1", 1, NOW - 60, discontinued=NOW - 55, reason="withdrew consent")
    found = asked(*patients, lost).proposal
    assert (found.action, found.level) == ("stay", 1)
    assert asked(*patients, lost, patient("R1", 1, NOW - 50, replaces="L1")).proposal.level == 2


def test_only_lost_patient_at_a_dose_keeps_the_trial_there():
    lost = patient("L1", 2, NOW - 20, discontinued=NOW - 15, reason="withdrew consent")
    found = asked(*at_level(1, 100, known=3), lost).proposal
    assert (found.action, found.level, found.size) == ("fill", 2, 1)


def test_patients_beside_the_escalation_can_close_a_dose_and_do_not_dilute_it():
    """Two of four backfilled patients with a DLT close level 1 for the next patients; pending ones neither close nor dilute."""
    here = at_level(1, 100, known=3), at_level(2, NOW - 10, pending=2)
    toxic = at_level(1, 150, known=4, dlts=2, prefix="B", part="backfill")
    many = at_level(1, NOW - 10, pending=12, prefix="C", part="backfill")
    backfilled = protocol(evaluability={"pooled_parts": ["backfill"], "dropout": "not-evaluable", "progression": "not-evaluable"})
    assert asked(*here[0], *here[1], *many, rules=backfilled).proposal.level == 2
    found = asked(*here[0], *here[1], *toxic, rules=backfilled).proposal
    assert (found.action, found.mtd) == ("stop", "none")
    # Twelve more without a DLT would open the dose again, so nobody is treated before that is known.
    assert asked(*here[0], *here[1], *toxic, *many, rules=backfilled).proposal.action == "wait"


def test_stop_that_a_pending_outcome_can_change_is_awaited():
    """Level 2 is not tolerated, level 1 has six patients, one of them started late and pending, one with a DLT."""
    first = [*at_level(1, 100, known=5, dlts=1), patient("Late", 1, NOW - 5)]
    found = asked(*first, *at_level(2, NOW - 40, known=2, dlts=2)).proposal
    assert found.action == "wait"
    assert {step.mtd for _, step in found.completions} == {"1", "none"}
    assert found.awaited.patients == ("Late",)


def test_unplanned_cohort_is_read_both_ways():
    """Level 3 is begun while level 2 is not: the more cautious reading is level 2."""
    found = asked(*at_level(1, 100, known=3), *at_level(2, NOW - 20, pending=2), *at_level(3, NOW - 10, pending=2))
    assert found.proposal.level == 2
    assert found.proposal.other_reading is not None


def test_patient_started_during_a_suspension_is_a_deviation():
    """Six at level 1 are pending when a seventh starts."""
    patients = [*at_level(1, NOW - 10, pending=6), patient("Seventh", 1, NOW - 5)]
    found = asked(*patients).deviations["rolling-6"]
    assert [(one.kind, one.subject) for one in found] == [("suspended", "Seventh")]
    assert not asked(*patients[:6]).deviations.get("rolling-6")


# Starts and gates -------------------------------------------------------------------------------------------------------


def test_patient_at_the_same_dose_does_not_wait_for_windows_there():
    found = asked(*at_level(1, NOW - 10, pending=2))
    assert (found.proposal.level, found.start.day) == (1, day(NOW))


def test_staggering_interval_delays_the_next_patient():
    treatment = {
        "infusion_days": [1],
        "dlt_window_days": 28,
        "no_overlap": True,
        "stagger": {"days": 7, "levels": "all", "patients": "every"},
    }
    found = asked(patient("P1", 1, NOW - 3), rules=protocol(treatment=treatment))
    assert found.start.day == day(NOW + 4)


@pytest.mark.parametrize(
    ("gates", "start"),
    [
        ({"complete": 6}, None),
        ({"each_pending": 0.5}, NOW + 13),
        ({"one_followed": 60}, NOW + 32),
        ({"suspend_pending": 0.1}, None),
        ({"complete": 5, "each_pending": 0.01, "one_followed": 28, "suspend_pending": 0.5}, NOW),
    ],
    ids=str,
)
def test_gates_hold_back_the_first_patient_of_the_next_dose(gates, start):
    """Five of six at level 1 are known; the sixth started yesterday."""
    found = asked(*at_level(1, NOW - 28, known=5), patient("P6", 1, NOW - 1), rules=protocol(gates=gates))
    assert found.proposal.level == 2
    assert found.start.day == (None if start is None else day(start))


@pytest.mark.parametrize("tried", [1, 2], ids=["a new dose", "a dose tried before"])
def test_gates_also_hold_for_going_up_again(tried):
    """Three patients at level 1 are known, one is pending; nothing changes if others were treated at level 2 in between."""
    level = np.array([1, 1, *[tried] * 2, 1, 1])[:, None]
    start = np.array([0, 0, 30, 30, 60, 85])[:, None]
    pending = np.arange(6)[:, None] == 5
    gates = Gates(complete=6, each_pending=0.5, one_followed=100, suspend_pending=0.9, infused=Infused(number=2, patients=6))
    given = {"gates": gates, "window": 28, "infused": start + 30}
    found = gated(level, start, ~pending, pending, np.array([1]), np.array([2]), **given)
    last = NEVER if tried == 2 else 115
    assert [day.item() for day in found] == [NEVER, 99, 100, last, NO_WAIT]
    assert (gated(level, start, ~pending, pending, np.array([1]), np.array([1]), **given).day == NO_WAIT).all()


# Committee, paths, what-if ----------------------------------------------------------------------------------------------


def test_what_if_paths_and_completions_of_a_design_that_decides_with_pending_outcomes():
    found = asked(*at_level(1, 100, known=3), *at_level(2, NOW - 10, pending=2))
    one = found.what_if.set_index("design").loc["rolling-6"]
    assert one["1 DLT"] == "level 2; or level 1"
    assert len(found.completions) == 3
    assert found.completions["design: rolling-6"].tolist()[-1] == "level 1"
    assert len(found.paths)


@pytest.mark.slow
def test_one_more_dlt_never_raises_the_dose():
    rank = {"escalate": 3, "stay": 2, "wait": 2, "de-escalate": 1, "stop": 0}
    for n in range(1, 7):
        for evaluable in range(n + 1):
            rows = [
                asked(*at_level(1, 100, known=3), *at_level(2, NOW - 28, evaluable, dlts, n - evaluable)).proposal.action
                for dlts in range(min(evaluable, 3) + 1)
            ]
            assert [rank[action] for action in rows] == sorted((rank[action] for action in rows), reverse=True)


def test_decision_of_the_committee_to_stop_is_kept(tmp_path):
    path = tmp_path / "decisions.csv"
    patients = at_level(1, 100, known=3)
    record_decision(path, asked(*patients, now=150).record("MTD 1", "as seen"))
    found = asked(*patients, *at_level(2, NOW - 10, pending=2), decisions=path)
    assert found.proposal.decided is not None
    assert found.proposal.decided[1].level == 2
