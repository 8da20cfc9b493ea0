"""Pause rules on a number of patients in a trial with patients: when they fire, and what a decision to resume releases."""

import itertools
import json

import pytest

import dosefind as dsf
from dosefind.decisions import Recorded, read_decisions, record_decision, released_subjects, released_text
from dosefind.evaluability import evaluate
from dosefind.evaluability.serious import DEATH, RELATED_SERIOUS, RELATED_SEVERE
from dosefind.monitoring import Counts, boundary, crossed, crossing, fired
from dosefind.patients import AdverseEvent
from dosefind.protocol import BetaBinomialBoundary, Pause, PocockBoundary
from dosefind.provenance import HASH
from dosefind.tasks.holds import holds_of, safety_counts, subjects_of, trigger_words

from .made_up import day, patient, protocol, trial
from .planted import every_case, faults

POCOCK = {"kind": "pocock", "rate": 0.2, "max_n": 6}


def adverse(start, grade=3, related="possibly related", serious=None, outcome=None):
    return AdverseEvent(
        "fever", grade, related, None if start is None else day(start), "ae.csv row 1", serious=serious, outcome=outcome
    )


def pauses(data, rules, known=(), when=None):
    evaluated = evaluate(data, rules, None if when is None else day(when), replay=when is not None)
    return holds_of(evaluated, rules, known).pauses


def one_by_one(*events, level=1):
    """Patients treated one per week; a related serious event on the second day of each patient with an event."""
    people = [
        patient(f"P{n}", level, 7 * n, events=(adverse(7 * n + 1, serious=True),) if has else ())
        for n, has in enumerate(events, start=1)
    ]
    return trial(*people, last=7 * len(people) + 3)


def resumed(rules, data, when=None, **fields):
    """A decision to resume on these data, with nothing decided before."""
    found = dsf.next_dose(rules, data, None if when is None else day(when), replay=when is not None)
    return found.record("resume", "reviewed")._replace(**fields)


# When a rule fires.


@pytest.mark.parametrize(
    "rule", [PocockBoundary(kind="pocock", rate=0.2, alpha=0.3), BetaBinomialBoundary(kind="beta-binomial", rate=0.3, least_n=2)]
)
@pytest.mark.parametrize("rate", [0.1, 0.4])
def test_probability_that_boundary_fires_is_that_of_crossing(rule, rate):
    """Enumerate all outcomes of 9 patients."""
    pause, n, share = Pause(boundary=rule, any_death=False), 9, 0.0
    for outcomes in itertools.product((0, 1), repeat=n):
        if fired(pause, [(1, Counts(1, serious=event)) for event in outcomes], n):
            share += rate ** sum(outcomes) * (1 - rate) ** (n - sum(outcomes))
    # 1e-13: rounding of up to 512 terms.
    assert share == pytest.approx(crossing(boundary(rule, n), rate).probability[0], abs=1e-13)


def test_probability_of_a_pause_of_trials_is_that_of_crossing():
    """Enumerate all trials of 6 patients treated one by one, judged at the end."""
    rules, n, rate, share = protocol(pause={"boundary": POCOCK | {"alpha": 0.3}, "any_death": False}), 6, 0.3, 0.0
    for outcomes in itertools.product((0, 1), repeat=n):
        if pauses(one_by_one(*outcomes), rules):
            share += rate ** sum(outcomes) * (1 - rate) ** (n - sum(outcomes))
    expected = crossing(boundary(rules.pause.boundary, rules.pause_max_n), rate).probability[0]
    assert 0.1 < expected < 0.9
    # 1e-14: rounding of 64 terms.
    assert share == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize("by", ["trial", "dose"])
def test_boundary_stays_fired_when_more_patients_are_treated(by):
    rules = protocol(pause={"boundary": POCOCK, "by": by})
    (first,) = pauses(one_by_one(1, 1, 1), rules)
    assert (first.events, first.n) == (3, 3)
    limits = boundary(rules.pause.boundary, rules.pause_max_n, up_to=20)
    last = max(n for n in range(3, 21) if limits[n] <= 3)
    (later,) = pauses(one_by_one(1, 1, 1, *[0] * 17), rules)
    assert (later.events, later.n, later.limit) == (3, last, 3)
    assert last < 20
    assert later.level == (1 if by == "dose" else None)


def test_order_of_first_infusion_decides():
    """Three events among the last patients do not reach the limit that three among the first do."""
    rules = protocol(pause={"boundary": POCOCK})
    assert pauses(one_by_one(1, 1, 1, *[0] * 17), rules)
    assert not pauses(one_by_one(*[0] * 17, 1, 1, 1), rules)


def test_fired_by_dose_counts_each_level_separately():
    pause = Pause(boundary=PocockBoundary(kind="pocock", rate=0.2), by="dose", any_death=False)
    patients = [(2, Counts(1, serious=1)), (1, Counts(1)), (2, Counts(1, serious=1)), (None, Counts(1, serious=1)), (1, Counts(1))]
    patients += [(2, Counts(1, serious=1)), *[(2, Counts(1))] * 9]
    (found,) = fired(pause, patients, 6)
    assert (found.level, found.events) == (2, 3)
    assert found.n < 12


@pytest.mark.parametrize(
    ("grade", "related", "serious", "outcome", "kinds", "counts"),
    [
        (5, "possibly related", None, "fatal", {DEATH, RELATED_SEVERE}, 1),
        (5, None, None, "fatal", {DEATH, RELATED_SEVERE}, 1),
        (5, "unrelated", True, "fatal", {DEATH}, 0),
        # What threatens life is serious where the data do not say; not where they say that it is not.
        (4, "possibly related", None, None, {RELATED_SEVERE, RELATED_SERIOUS}, 1),
        (4, "possibly related", False, None, {RELATED_SEVERE}, 0),
        (2, "possibly related", True, None, {RELATED_SERIOUS}, 1),
    ],
)
def test_related_death_counts_as_related_serious_event(grade, related, serious, outcome, kinds, counts):
    rules = protocol(pause={"related_serious": 2})
    people = [patient(f"P{n}", 1, 7 * n, events=(adverse(7 * n + 1, grade, related, serious, outcome),)) for n in (1, 2)]
    data = trial(*people, last=30)
    evaluated = evaluate(data, rules)
    assert {kind for event in evaluated.serious for kind in event.kinds} >= kinds
    assert [found.counts.related_serious for found in safety_counts(evaluated)] == [counts] * 2
    assert [pause.events for pause in pauses(data, rules)] == ([2] if counts else [])


def test_words_name_the_event_of_the_boundary():
    assert "related event of grade 4 or worse" in trigger_words(
        pauses(one_by_one(1, 1, 1), protocol(pause={"boundary": POCOCK}))[0]
    )
    events = [patient(f"P{n}", 1, 7 * n, events=(adverse(7 * n + 1),)) for n in (1, 2, 3)]
    (found,) = pauses(trial(*events, last=30), protocol(pause={"boundary": POCOCK, "event": "dlt"}))
    assert (found.event, found.events) == ("dlt", 3)
    assert "a DLT" in trigger_words(found)


# What a decision to resume releases.


def reported(late_onset, last=40):
    """Two patients with related serious events and a third whose event, of an earlier onset, may be reported later."""
    third = () if late_onset is None else (adverse(*late_onset, serious=True),)
    people = [patient(f"P{n}", 1, 7 * n, events=(adverse(7 * n + 1, serious=True),)) for n in (1, 2)]
    return trial(*people, patient("P3", 1, 21, events=third), last=last)


RELATED = {"related_serious": 2}


def test_resume_lists_pauses_and_subjects():
    rules = protocol(pause=RELATED | {"boundary": POCOCK, "by": "dose"})
    decision = resumed(rules, one_by_one(1, 0, 1, 1))
    subjects = frozenset({"P1", "P3", "P4"})
    assert released_subjects(decision.released) == {("related-serious", 1): subjects, ("boundary", 1): subjects}
    assert dsf.next_dose(rules, one_by_one(1, 0, 1, 1)).record("wait", "so").released == ""
    # Nothing in force is not the empty field of earlier files.
    assert resumed(rules, one_by_one(0, 0)).released == "{}"


def test_resume_agrees_only_where_a_pause_rule_has_fired():
    """With a serious event that waits, and no pause rule, the recommendation is to wait."""
    rules = protocol(pause=RELATED)
    both = [patient(f"P{n}", 1, 7 * n, events=(adverse(7 * n + 1, 2, serious=True),)) for n in (1, 2)]
    assert resumed(rules, trial(*both)).override == "no"
    one = trial(both[0], patient("P2", 1, 14))
    assert resumed(rules, one).override == "yes"
    assert dsf.next_dose(rules, one).holds.events


@pytest.mark.slow
def test_starts_during_a_pause_are_findings(tmp_path):
    """P1 and P2 have an event on days 8 and 15, P3 starts on day 15, P4 and P5 on days 22 and 29."""
    rules = protocol(pause=RELATED)
    people = [patient(f"P{n}", 1, 7 * n, events=(adverse(7 * n + 1, 2, serious=True),) if n < 3 else ()) for n in (1, 2)]
    people += [patient(name, 1, start) for name, start in (("P3", 15), ("P4", 22), ("P5", 29))]
    data, path = trial(*people, last=40), tmp_path / "decisions.csv"

    def paused(decisions=None):
        found = dsf.next_dose(rules, data, decisions=decisions)
        return [(one.subjects, one.dates) for one in found.findings if one.rule == "started during a pause"]

    assert paused() == [((name, "P1", "P2"), (day(start),)) for name, start in (("P4", 22), ("P5", 29))]
    # The committee met on day 25, on data of day 23.
    record_decision(path, resumed(rules, data, 23, meeting=day(25)))
    assert paused(path) == [(("P4", "P1", "P2"), (day(22),))]
    assert dsf.next_dose(protocol(), data).findings == tuple(
        one for one in dsf.next_dose(rules, data).findings if one.rule != "started during a pause"
    )


def test_resume_releases_until_a_further_patient_has_an_event():
    rules = protocol(pause=RELATED)
    decision = resumed(rules, one_by_one(1, 1))
    assert pauses(one_by_one(1, 1), rules, [decision]) == ()
    assert pauses(one_by_one(1, 1, 0, 0), rules, [decision]) == ()
    (found,) = pauses(one_by_one(1, 1, 0, 1), rules, [decision])
    assert (found.events, found.n) == (3, 4)
    again = resumed(rules, one_by_one(1, 1, 0, 1))
    assert pauses(one_by_one(1, 1, 0, 1), rules, [decision, again]) == ()


@pytest.mark.parametrize("onset", [25, None])
def test_event_reported_after_resume_pauses_whatever_its_onset(onset):
    rules = protocol(pause=RELATED)
    decision = resumed(rules, reported(None))
    assert decision.as_of == day(40)
    assert pauses(reported(None), rules, [decision]) == ()
    (found,) = pauses(reported((onset,)), rules, [decision])
    assert found.events == 3


@pytest.mark.parametrize("onset", [25, None, 45])
def test_resume_of_an_earlier_file_releases_nothing(onset):
    """It does not say what the committee knew."""
    rules = protocol(pause=RELATED)
    decision = resumed(rules, reported(None), released="")
    data = reported((onset,), last=50)
    assert pauses(data, rules, [decision])
    later = resumed(rules, data)
    assert pauses(data, rules, [decision, later]) == ()


def test_resume_before_a_pause_releases_nothing():
    rules = protocol(pause=RELATED)
    decision = resumed(rules, one_by_one(1, 0))
    assert [pause.events for pause in pauses(one_by_one(1, 0, 1), rules, [decision])] == [2]


def test_pause_released_once_stays_released_after_another_resume():
    """The second decision lists only the pause that was in force then."""
    rules = protocol(pause=RELATED | {"by": "dose"})
    first = resumed(rules, one_by_one(1, 1))
    lower = [patient(f"P{n}", 1, 7 * n, events=(adverse(7 * n + 1, serious=True),)) for n in (1, 2)]
    upper = [patient(f"Q{n}", 2, 100 + 7 * n, events=(adverse(101 + 7 * n, serious=True),)) for n in (1, 2)]
    data = trial(*lower, *upper, last=130)
    (held,) = pauses(data, rules, [first])
    assert held.level == 2
    evaluated = evaluate(data, rules)
    assert subjects_of(held, evaluated) == ("Q1", "Q2")
    listed = released_text({("related-serious", 2): ["Q1", "Q2"]})
    assert pauses(data, rules, [first, first._replace(as_of=day(130), released=listed)]) == ()


@pytest.mark.parametrize("subject", ['A "2"', "A;2: B@1", "=1+1", "Ä,5", "\n"])
def test_released_keeps_any_subject_on_file(tmp_path, subject):
    path, listed = tmp_path / "decisions.csv", {("related-serious", None): [subject, "A1"], ("boundary", 2): []}
    record_decision(path, resumed(protocol(), one_by_one(0, 0), released=released_text(listed), override="no"))
    (read,) = read_decisions(path, "NCT05962762")
    assert released_subjects(read.released) == {rule: frozenset(subjects) for rule, subjects in listed.items()}


WRONG = [
    "x",
    "[]",
    "3",
    '{"death": []}',
    '{"boundary@0": []}',
    '{"boundary@x": []}',
    '{"boundary": "A1"}',
    '{"boundary": [1]}',
    "[" * 9999,
]


@pytest.mark.parametrize("released", WRONG)
def test_wrong_released_is_neither_written_nor_read(tmp_path, released):
    path, decision = tmp_path / "decisions.csv", resumed(protocol(), one_by_one(0, 0))
    with pytest.raises(dsf.InputError) as error:
        record_decision(path, decision._replace(released=released))
    assert [problem.where for problem in error.value.problems] == ["released"]
    record_decision(path, decision)
    path.write_text(
        path.read_text(encoding="utf-8").replace(",{}", "," + json.dumps(released).replace('\\"', '""')), encoding="utf-8"
    )
    with pytest.raises(dsf.InputError) as error:
        read_decisions(path, "NCT05962762")
    assert [problem.where for problem in error.value.problems] == ["row 2.released"]


def test_file_that_ends_with_conditions_is_read_and_added_to(tmp_path):
    path, decision = tmp_path / "decisions.csv", resumed(protocol(), one_by_one(0, 0))
    record_decision(path, decision._replace(released=""))
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([lines[0].removesuffix(",released"), lines[1].removesuffix(",")]) + "\n", encoding="utf-8")
    assert read_decisions(path, "NCT05962762") == [decision._replace(released="")]
    record_decision(path, decision)
    assert read_decisions(path, "NCT05962762") == [decision._replace(released=""), decision]
    assert path.read_text(encoding="utf-8").splitlines()[0] == ",".join((*Recorded._fields, HASH))


def _judged_at_the_end(pause, patients, most):
    by_level = {}
    for level, counts in patients:
        by_level[level] = by_level[level] + counts if level in by_level else counts
    return crossed(pause, by_level, most)


FAULTS = {
    "to resume is always as recommended": (
        "dosefind.tasks.next_dose:agrees",
        lambda old: lambda decision, *given: decision == "resume" or old(decision, *given),
        test_resume_agrees_only_where_a_pause_rule_has_fired,
    ),
    "to resume releases whatever comes later": (
        "dosefind.tasks.holds:holds_of",
        lambda old: (
            lambda evaluated, protocol, known: old(evaluated, protocol, known)._replace(
                **({"pauses": ()} if any(one.decision == "resume" for one in known) else {})
            )
        ),
        every_case(test_resume_of_an_earlier_file_releases_nothing),
    ),
    "a pause is over when more patients are treated": (
        "dosefind.monitoring:fired",
        lambda _: _judged_at_the_end,
        test_order_of_first_infusion_decides,
    ),
}

test_fault_is_caught = faults(FAULTS)
