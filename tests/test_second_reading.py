"""Cases that a second reading brought up: what is known when, what is released by what, and that names decide nothing."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

import dosefind as dsf
from dosefind.adjudications import Adjudicated, EventKey, read_adjudications, record_adjudication
from dosefind.decisions import read_decisions, record_decision
from dosefind.designs.base import Beside
from dosefind.designs.replay import state_after
from dosefind.evaluability import evaluate
from dosefind.evaluability.serious import known_at
from dosefind.tasks.next_dose import next_dose
from dosefind.tasks.standing import cautions
from dosefind.trial import COUNT, parse_outcomes

from .made_up import day, event, patient, protocol, trial
from .test_reviewed_cases import cohorts, rules


def answer(found):
    one = found.proposal
    return (one.action, one.mtd) if one.action == "stop" else (one.action, one.level)


def ask(people, design="3+3", last=200, known=(), tmp_path=None, **changed):
    """The answer for some patients, after decisions on file."""
    path = None
    if known:
        path = tmp_path / "decisions.csv"
        path.unlink(missing_ok=True)
        for one in known:
            record_decision(path, one)
    return next_dose(rules(**changed), trial(*people, last=last), day(last), design=design, decisions=path)


# An incomplete cohort.


@pytest.mark.parametrize("design", ["3+3", "boin", "crm"])
@pytest.mark.parametrize("start", [81, 60])
def test_a_dlt_below_never_makes_part_of_a_cohort_lead_upward(design, start):
    """Level 2 has 0 of 1; the cohort before it leads there, or, with more DLTs, back to level 1."""
    level = {}
    for dlts in range(4):
        first = cohorts("1" + "T" * dlts + "N" * (3 - dlts))
        people = [*first, patient("C1", 2, start)]
        one = ask(people, design).proposal
        level[dlts] = one.level if one.level is not None else 0
    assert level[0] == 2
    assert all(level[more] <= level[fewer] for more in level for fewer in level if more >= fewer)
    assert max(level.values()) <= 2


def test_backfill_dlt_does_not_lift_an_incomplete_cohort():
    def level(*outcomes):
        beside = [
            patient(f"B{n}", 1, 60, events=(event(62, row=n + 1),) if t else (), part="backfill") for n, t in enumerate(outcomes)
        ]
        return ask([*cohorts("1NNN"), patient("C1", 2, 59), *beside], "boin").proposal.level

    assert level(False, False) == 2
    assert level(True, False) <= 2


# The 3+3 and patients beside the escalation, or beyond its group.


def proposed(text, n=(0, 0, 0, 0), y=(0, 0, 0, 0), **settings):
    design = dsf.ThreePlusThree(**settings)
    beside = Beside(*(np.array(counts, COUNT) for counts in (n, y))) if any(n) else None
    state = state_after(design, parse_outcomes(text), 4)
    decision = design.decide(state, beside)
    return int(decision.dose[0]) + 1, design.because(state, beside)


@pytest.mark.parametrize(
    ("text", "n", "y", "level", "shown"),
    [
        # 5 of 16 and 2 of 7 at the current dose: fewer than one in three close nothing, and nobody goes above them.
        ("1NNN 2NNN", (0, 13, 0, 0), (0, 5, 0, 0), 2, "level 2"),
        ("1NNN 2NNN", (0, 4, 0, 0), (0, 2, 0, 0), 2, "level 2"),
        ("1NNN 2NNN", (0, 97, 0, 0), (0, 33, 0, 0), 2, "level 2"),
        ("1NNN 2NNN", (0, 97, 0, 0), (0, 34, 0, 0), 0, "34 DLTs in 100 patients at level 2"),
        # The same at a dose below: the trial stays where it is, and ends there with six.
        ("1NNN 2NNN", (13, 0, 0, 0), (5, 0, 0, 0), 2, "level 2"),
        ("1NNN 2NNNNNN", (13, 0, 0, 0), (5, 0, 0, 0), 0, "more than 1 in 6"),
        # 2 of 15 is at most one in six, and a single DLT beside the escalation bars nothing.
        ("1NNN 2NNN", (0, 12, 0, 0), (0, 2, 0, 0), 3, "level 2"),
        ("1NNN 2NNN", (1, 0, 0, 0), (1, 0, 0, 0), 3, "level 2"),
        # A DLT beyond the group of three: six are needed before anything above it is given.
        ("1NNN 2NNN 3NNN 1T", (0, 0, 0, 0), (0, 0, 0, 0), 1, "1 DLT in 4 patients at level 1"),
        ("1NNN 2NNN 3NNN 1TN", (0, 0, 0, 0), (0, 0, 0, 0), 1, "1 DLT in 5 patients at level 1"),
        ("1NNN 2NNN 3NNN 1TNN", (0, 0, 0, 0), (0, 0, 0, 0), 4, "level 1"),
    ],
)
def test_no_dose_is_given_above_more_than_one_dlt_in_six(text, n, y, level, shown):
    found, reason = proposed(text, n, y)
    assert found == level
    assert shown in reason


@pytest.mark.parametrize("settings", [{}, {"six_at_mtd": True}, {"six_at_top": True}, {"expand_after_two": True}])
def test_ordinary_trials_never_meet_the_bar(settings):
    """On every path of the design, no dose below the current one has more than one DLT in six without being too toxic."""
    design = dsf.ThreePlusThree(**settings)
    states, done = [state_after(design, [], 4)], 0
    while states:
        state = states.pop()
        decision = design.decide(state)
        dose, size = int(decision.dose[0]), int(decision.size[0])
        if dose < 0:
            continue
        done += 1
        for dlts in range(size + 1):
            after = state.follow(slice(None), *(np.full(1, value, COUNT) for value in (dose, size, dlts)))
            n, y = after.n[0][:dose], after.y[0][:dose]
            assert not ((6 * y > n) & ~((y >= 2) & (n >= (6 if design.expand_after_two else 3)))).any()
            states.append(after)
    assert done > 10


def test_reason_states_the_dose_that_closes():
    assert "at level 2" in proposed("1NNN 2NNN 3NNN", (0, 3, 0, 0), (0, 2, 0, 0), six_at_mtd=True)[1]


# Stops, holds, and decisions.


def test_a_pending_patient_comes_before_a_stop_at_the_top():
    people = [*cohorts("1NNN 2NNN 3NNN"), patient("Z", 3, 190)]
    found = ask(people, last=200)
    assert found.proposal.action in ("wait", "hold", "fill", "stay")


def test_death_holds_a_stop_that_selects_the_top_dose():
    fatal = event(150, grade=5, row=99, term="embolism")
    first = cohorts("1NNN 2NNN 3NNN")
    assert answer(ask(first)) == ("stop", "3")
    assert ask([*first[:-1], replace(first[-1], events=(fatal,))]).proposal.action == "hold"
    toxic = cohorts("1NNN 2NNN 3TTN")
    assert answer(ask([*toxic[:-1], replace(toxic[-1], events=(fatal,))])) == ("stop", "2")


@pytest.mark.parametrize("part", ["run-in", "expansion"])
@pytest.mark.parametrize("level", [1, 2])
def test_uncounted_dlt_holds_until_a_decision_that_knew_it(tmp_path, part, level):
    people = [*cohorts("1NNN"), patient("R1", level, 60, part=part, events=(event(62, row=500),))]
    changed = {"evaluability": {"pooled_parts": []}}
    found = ask(people, **changed)
    assert found.proposal.action == "hold"
    assert [one.subject for one in found.holds.unplaced] == ["R1"]
    assert [(one.kind, one.n, one.dlts) for one in cautions(found)] == [("uncounted", 1, 1)]
    before = ask(people[:-1], last=50, **changed).record("level 2", "so")
    assert ask(people, known=[before], tmp_path=tmp_path, **changed).proposal.action == "hold"
    after = found.record("level 2", "the run-in had another schedule")
    assert not ask(people, known=[after], tmp_path=tmp_path, **changed).holds


@pytest.mark.parametrize("decision", ["stop", "MTD 1", "MTD none"])
def test_a_committee_that_has_stopped_is_not_asked_to_escalate(tmp_path, decision):
    people = cohorts("1NNN 2NNN")
    stop = ask(people).record(decision, "benefit is not seen")
    found = ask([*people], known=[stop], tmp_path=tmp_path)
    assert found.proposal.action == "stop"
    assert found.proposal.mtd == (decision.split()[1] if " " in decision else None)
    assert found.words.startswith("stop")
    again = stop._replace(decision="level 3", override="no")
    assert answer(ask(people, known=[again], tmp_path=tmp_path)) == ("escalate", 3)


def test_a_decision_that_outcomes_have_reopened_no_longer_fills(tmp_path):
    people = cohorts("1NNN 2NNN")
    level3 = ask(people, last=80).record("level 3", "so")
    c1 = patient("C1", 3, 90)
    assert answer(ask([*people, c1], known=[level3], tmp_path=tmp_path, last=130)) == ("fill", 3)
    unclear = replace(people[3], events=(event(45, grade=None, row=700),))
    found = ask([*people[:3], unclear, *people[4:], c1], known=[level3], tmp_path=tmp_path, last=130)
    assert "decided on it" not in found.proposal.reason


def test_rows_out_of_the_order_of_their_dates_are_refused(tmp_path):
    one = ask(cohorts("1NNN")).record("level 2", "so")
    path = tmp_path / "decisions.csv"
    record_decision(path, one)
    record_decision(path, one._replace(as_of=day(210)))
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], lines[2], lines[1]]) + "\n")
    with pytest.raises(dsf.InputError) as error:
        read_decisions(path, "NCT05962762")
    assert error.value.problems[0].where == "row 3.as_of"


@pytest.mark.parametrize(
    ("toxic", "clean", "expected"),
    [(2, 9, []), (4, 9, [("pooled", 2, 16, 4, 6)]), (5, 8, [("pooled", 2, 16, 5, 6)]), (1, 2, [])],
)
def test_a_pooled_rate_that_closes_nothing_is_cautioned(toxic, clean, expected):
    beside = [
        patient(f"E{n}", 2, 100, part="expansion", events=(event(103, row=600 + n),) if n < toxic else ())
        for n in range(toxic + clean)
    ]
    assert [tuple(one) for one in cautions(ask([*cohorts("1NNN 2NNN 3TTN"), *beside]))] == expected


def test_doses_closed_for_good_are_listed():
    people = [*(patient(f"A{n}", 1, 1 + n) for n in range(3)), *cohorts("2TT", first=4)]
    found = ask(people, last=20)
    assert found.proposal.action == "wait"
    assert [(one.kind, one.level) for one in cautions(found)] == [("closed", 2)]


# Adjudications.


def said(one, key, conclusion="not a DLT", as_of=60):
    known = known_at(one, key, protocol().dlt)._asdict()
    return Adjudicated(
        day(as_of),
        day(as_of),
        "NCT05962762",
        "",
        one.subject,
        key.date,
        key.term,
        key.grade,
        conclusion,
        "board",
        "because",
        **known,
    )


def status(one, *adjudications, until=120):
    return evaluate(trial(one, last=until), protocol(), adjudications=adjudications)


def test_a_death_after_the_adjudication_holds_whatever_its_day():
    alive = patient("A", 1, 1, events=(event(40, grade=4, term="embolism")._replace(outcome="not recovered"),))
    on_file = said(alive, EventKey(day(40), "embolism", 4))
    assert not any(one.holds for one in status(alive, on_file).serious)
    fatal = replace(alive, events=(alive.events[0]._replace(outcome="fatal"),))
    for died in (None, day(40), day(58), day(70)):
        assert any(one.holds for one in status(replace(fatal, died=died), on_file).serious)
    assert not any(one.holds for one in status(fatal, said(fatal, EventKey(day(40), "embolism", 4))).serious)


def test_a_second_event_of_the_same_day_and_term_holds():
    one = patient("A", 1, 1, events=(event(40, grade=4, term="seizure"),))
    on_file = said(one, EventKey(day(40), "seizure", 4))
    assert not any(event.holds for event in status(one, on_file).serious)
    twins = replace(one, events=(*one.events, event(40, grade=4, term="Seizure", row=2)))
    assert all(event.holds for event in status(twins, on_file).serious)


def test_an_assessment_leaves_events_that_came_in_later():
    one = patient("A", 1, 1)
    on_file = said(one, EventKey(), as_of=60)
    assert status(one, on_file)["A"].kind == "complete"
    for unclear in (event(15, grade=None), event(15, related=None), event(None)):
        assert status(replace(one, events=(unclear,)), on_file)["A"].kind == "pending"
    assert status(replace(one, dlt=True, dlt_date=day(15), events=None), on_file)["A"].kind == "dlt"


def test_another_event_of_that_day_does_not_clear_the_dlt_column():
    both = (event(20, grade=2, term="headache"), event(20, grade=None, term="hepatitis", row=2))
    one = patient("A", 1, 1, dlt=True, dlt_date=20, events=both)
    assert status(one, said(one, EventKey(day(20), "headache", 2)))["A"].kind == "dlt"
    same = replace(one, events=(event(20, grade=3, term="hepatitis"),))
    assert status(same, said(same, EventKey(day(20), "hepatitis", 3)))["A"].kind == "complete"


def test_confirmed_dlts_at_a_dose_between_levels_hold():
    x = patient("X1", None, 12, dlt=True, dlt_date=14, events=None)
    people = [*cohorts("1NNN"), x]
    for conclusion in ("DLT", "not a DLT"):
        found = next_dose(rules(), trial(*people, last=90), day(90), adjudications=[said(x, EventKey(), conclusion)])
        assert bool(found.holds.unplaced) is (conclusion == "DLT")


@pytest.mark.parametrize(("on", "wrong"), [(39, True), (40, False), (61, False), (500, True)])
def test_an_adjudication_is_dated_after_the_event_and_soon_after_the_data(tmp_path, on, wrong):
    one = patient("A", 1, 1, events=(event(40, grade=4, term="embolism"),))
    found = said(one, EventKey(day(40), "embolism", 4))._replace(adjudicated_on=day(on))
    if not wrong:
        record_adjudication(tmp_path / "a.csv", found)
        assert read_adjudications(tmp_path / "a.csv", "NCT05962762") == [found]
        return
    with pytest.raises(dsf.InputError) as error:
        record_adjudication(tmp_path / "a.csv", found)
    assert [problem.where for problem in error.value.problems] == ["adjudicated_on"]


# Names and order.


@pytest.mark.slow
@pytest.mark.parametrize("design", ["3+3", "boin", "crm"])
def test_names_do_not_affect_decisions(design):
    """Two patients of one day at different levels, one with a DLT, under every assignment of names."""
    given = [(2, ()), (1, (event(42, row=800),)), (2, ()), (2, ())]
    answers = set()
    for names in permutations("WXYZ"):
        people = [patient(name, level, 40, events=events) for name, (level, events) in zip(names, given, strict=True)]
        answers.add(answer(ask([*cohorts("1NNN"), *people], design)))
    assert len(answers) == 1


def test_names_do_not_affect_pauses():
    pause = {"event": "dlt", "boundary": {"kind": "pocock", "rate": 0.2, "alpha": 0.1}}
    fired = set()
    for toxic in (6, 7):
        people = []
        for n in range(1, 8):
            start = 7 * min(n, 6)
            events = (event(start + 1, row=n),) if n in (1, 2, toxic) else ()
            people.append(patient(f"P{n}", 1, start, events=events))
        fired.add(bool(next_dose(protocol(pause=pause), trial(*people, last=300), day(300)).holds.pauses))
    assert len(fired) == 1


def test_a_later_patient_above_the_current_dose_is_a_cohort_of_its_own():
    people = [*cohorts("1NN"), patient("S", 3, 80, events=(event(83, row=900),)), *cohorts("2NNN", first=81)]
    people = [*people[:3], *(replace(one, subject=f"Q{n}") for n, one in enumerate(people[3:]))]
    last = patient("S2", 3, 102, events=(event(104, row=901),))
    found = ask([*people, last], "boin")
    assert found.proposal.level is None or found.proposal.level <= 2


@pytest.mark.parametrize(("contact", "assessed"), [(20, False), (29, True), (60, True)])
def test_a_dlt_column_assesses_what_was_followed_up(contact, assessed):
    one = patient("A", 1, 1, dlt=False, last_contact=contact, events=None)
    found = status(one)["A"]
    assert (found.assessed, found.kind == "complete", found.overdue) == (assessed, assessed, not assessed)


def test_overdue_and_held_stand_beside_each_other():
    one = patient("A", 1, 1, last_contact=20, events=(event(60, grade=4, term="embolism"),))
    found = status(one)
    assert found["A"].held
    assert [status.subject for status in found.overdue] == ["A"]


def test_any_death_pauses_by_the_version_in_force_at_the_death():
    amended = protocol(pause={"any_death": False})
    table = amended.model_dump(exclude_unset=True)
    table["amendment"] = [{"date": day(30), "pause": {"any_death": True}}]
    one = patient("A", 1, 1, died=day(60))
    for rules_, holds in ((amended, False), (dsf.Protocol.read(table), True)):
        found = evaluate(trial(one, last=90), rules_)
        assert any(event.holds for event in found.serious) is holds


def test_a_pause_by_dose_counts_patients_between_levels():
    pause = {"related_serious": 2, "by": "dose"}
    people = [patient(f"X{n}", None, n, amount=4, events=(event(40, row=n)._replace(serious=True),)) for n in (1, 2)]
    found = next_dose(
        protocol(pause=pause),
        trial(*people, last=90),
        day(90),
        adjudications=[said(one, EventKey(day(40), "fever", 3)) for one in people],
    )
    assert [one.level for one in found.holds.pauses] == [2]


def test_the_conclusion_is_not_predicted_by_the_reading_that_is_not_taken():
    """The fourth patient with a DLT is read as part of the escalation, the next ones as outside it."""
    people = [*cohorts("1NNN"), patient("X", 1, 40, events=(event(43, row=950),)), *cohorts("2NNN", first=80)]
    people = [*people[:4], *(replace(one, subject=f"Q{n}") for n, one in enumerate(people[4:]))]
    found = ask(people, last=200)
    read = found.evaluated_for("3+3")
    assert found.proposal.set_aside
    assert sum(one.n for one in read.cohorts()) == len(people) - len(found.proposal.set_aside)
    assert sum(one.n for one in read.beside()) == len(found.proposal.set_aside)
