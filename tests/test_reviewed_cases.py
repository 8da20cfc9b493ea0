"""Cases that a statistician's reading and an attack brought up: short cohorts, amendments of size, conflicts, adjudications."""

from dataclasses import replace

import numpy as np
import pytest

import dosefind as dsf
from dosefind.adjudications import Adjudicated, EventKey
from dosefind.decisions import Recorded, read_decisions, record_decision, released_subjects, released_text, renumbered
from dosefind.designs.base import Beside
from dosefind.designs.replay import state_after
from dosefind.evaluability import evaluate
from dosefind.evaluability.serious import known_at
from dosefind.tasks.next_dose import next_dose
from dosefind.trial import COUNT, parse_outcomes

from .made_up import day, event, patient, protocol, trial
from .peers import ROOT
from .planted import faults

CONFIG = ROOT / "configs" / "nct05962762.toml"


def rules(*more, **changed):
    """The shipped protocol with the 3+3, BOIN and CRM."""
    table = dsf.load_protocol(CONFIG).model_dump(exclude_unset=True)
    table["designs"] = {name: table["designs"][name] for name in ("3+3", "boin", "crm")}
    table.pop("borrowing", None)
    return dsf.Protocol.read(table | {"curves": {}, "assumed": {}} | changed)


def cohorts(text, gap=40, part=None, first=1):
    """Patients of cohorts in the outcome notation, L for one who left on day 10 without a DLT."""
    patients = []
    for token in text.split():
        for place, outcome in enumerate(token[1:]):
            start, subject = first + place, f"{part or 'P'}{len(patients) + 1}"
            fields = {"discontinued": start + 9, "reason": "withdrew"} if outcome == "L" else {}
            events = (event(start + 3, row=1000 * first + place),) if outcome == "T" else ()
            patients.append(patient(subject, int(token[0]), start, events=events, part=part, **fields))
        first += gap
    return patients


def answers(people, protocol_=None):
    found = next_dose(protocol_ or rules(), trial(*people, last=400))
    return {name: (one.action, one.level if one.level else one.mtd) for name, one in found.proposals.items()}


# By hand. 3+3: 0 DLTs at the top is tolerated; 2 of 3 toxic. BOIN at 0.25: 0 of 3 up, at the top stay; 2 of 3 down. A cohort that
# lacks patients is completed first, as each answer was on the day; what comes of the cohorts above it is the other reading.
SHORT = {
    "1NNL 2NNN 3NNN": {"3+3": ("fill", 1, "3"), "boin": ("fill", 1, 3), "crm": ("fill", 1, 3)},
    "1NNL 2NNN 3TTN": {"3+3": ("fill", 1, "2"), "boin": ("fill", 1, 2), "crm": ("fill", 1, 2)},
    "1NNN 2NNL 3NNN": {"3+3": ("fill", 2, "3"), "boin": ("fill", 2, 3), "crm": ("fill", 2, 3)},
    "1NNL 2N": {"3+3": ("fill", 1), "boin": ("fill", 1, 2), "crm": ("fill", 1, 2)},
    # The current cohort is short itself.
    "1NNN 2NNN 3NNL": {"3+3": ("fill", 3), "boin": ("fill", 3), "crm": ("fill", 3)},
}


@pytest.mark.parametrize("text", SHORT)
def test_a_cohort_short_of_a_dropout_is_completed_first_and_what_lies_above_is_shown(text):
    found = next_dose(rules(), trial(*cohorts(text), last=400))
    shown = {}
    for name, one in found.proposals.items():
        other = one.other_reading
        shown[name] = (one.action, one.level)
        if other is not None and other.level != one.level:
            shown[name] += (other.level or other.mtd,)
    assert shown == SHORT[text]


def test_an_amendment_of_the_cohort_size_leaves_past_cohorts_as_they_were():
    amended = rules(amendment=[{"date": day(200), "limits": {"cohort_size": 4}}], designs={"boin": {"kind": "boin"}})
    assert answers(cohorts("1NNN 2NNN 3NNN"), amended)["boin"] == ("stay", 3)
    assert answers(cohorts("1NNN 2NNN 3NNN", first=201), amended)["boin"][0] == "fill"


def test_a_conflict_with_a_backfilled_dose_never_raises_the_dose():
    """2 of 3 at the current dose goes down, whatever the pooled rate; two doses in conflict: the lower answer."""
    design = dsf.BOIN(target=0.25)

    def level(text, n, y):
        beside = Beside(*(np.array(counts, COUNT) for counts in (n, y)))
        return int(design.decide(state_after(design, parse_outcomes(text), 4), beside).dose[0]) + 1

    clean = "1NNN 2NNN 2NNN 2NNN 2NNN"
    assert level(f"{clean} 3NTT", (3, 0, 0, 0), (2, 0, 0, 0)) == 2
    for own in range(4):
        for below in range(4):
            text = f"{clean} 3{'N' * (3 - own)}{'T' * own}"
            here = level(text, (3, 3, 0, 0), (below, 1, 0, 0))
            for more in (level(text, (3, 3, 0, 0), (min(below + 1, 3), 1, 0, 0)), level(text, (3, 3, 0, 0), (below, 2, 0, 0))):
                assert more <= here


def said(subject, when, term, grade, conclusion, as_of):
    start = None if when is None else day(when)
    return Adjudicated(day(as_of), day(as_of), "NCT05962762", "", subject, start, term, grade, conclusion, "board", "because")


def status(one, *adjudications, until=120):
    return evaluate(trial(one, last=until), protocol(), adjudications=adjudications)


def test_an_adjudication_of_one_event_leaves_the_others():
    dlt, other = event(5, row=1, term="hepatitis"), event(40, grade=4, row=2, term="embolism")
    one = patient("A", 1, 1, events=(dlt, other))
    for conclusion in ("not a DLT", "not evaluable"):
        found = status(one, said("A", 40, "embolism", 4, conclusion, 60))
        assert found["A"].kind == "dlt"
        assert not any(event.holds for event in found.serious)
    same_day = replace(one, events=(event(40, grade=4, row=1, term="rash"), event(40, grade=4, row=2, term="embolism")))
    found = status(same_day, said("A", 40, "rash", 4, "not a DLT", 60))
    assert {one.event.term: one.holds for one in found.serious} == {"embolism": True, "rash": False}


def test_an_adjudication_before_the_death_does_not_settle_it():
    fatal = event(40, grade=4, row=1, term="embolism")._replace(outcome="fatal")
    one = patient("A", 1, 1, events=(fatal,), died=day(58))
    before, after = (said("A", 40, "embolism", 4, "not a DLT", as_of)._replace(fatal="yes") for as_of in (45, 60))
    assert [event.holds for event in status(one, after._replace(fatal="")).serious] == [True]
    assert [event.holds for event in status(one, before).serious] == [True]
    assert [event.holds for event in status(one, after).serious] == [False]
    assert [event.holds for event in status(one, said("A", 58, "death", 5, "not a DLT", 60)).serious] == [False]
    assert [event.holds for event in status(one, said("A", 58, "rash", None, "not a DLT", 60)).serious] == [True]


def test_a_worse_or_newly_graded_event_is_adjudicated_again():
    one = patient("A", 1, 1, events=(event(40, grade=4, row=1, term="embolism"),))
    for grade, holds in ((4, False), (3, True), (None, True), (5, False)):
        assert [event.holds for event in status(one, said("A", 40, "embolism", grade, "not a DLT", 60)).serious] == [holds]


def test_assessment_does_not_cover_later_events():
    one = patient("A", 1, 1, events=None, dlt=True, dlt_date=20)
    assert status(one, said("A", None, "", None, "not a DLT", 10))["A"].kind == "dlt"
    assessed = said("A", None, "", None, "not a DLT", 40)
    assert status(one, assessed._replace(dlt_column="yes"))["A"].kind == "complete"
    # The DLT column said nothing yet, or was not recorded.
    assert status(one, assessed)["A"].kind == "dlt"
    overdue = patient("B", 1, 1, events=None, last_contact=10)
    assert status(overdue).overdue
    assert status(overdue, said("B", None, "", None, "not a DLT", 40))["B"].kind == "complete"
    assert status(overdue, said("B", None, "", None, "not evaluable", 40))["B"].kind == "not evaluable"


def test_a_death_is_serious_and_so_is_what_threatens_life():
    """Where the data do not say whether an event is serious."""
    kinds = {}
    for grade, related in ((5, "related"), (4, "related"), (5, "not related"), (3, "related")):
        found = status(patient("A", 1, 1, events=(event(40, grade=grade, related=related),)))
        kinds[grade, related] = {kind for one in found.serious for kind in one.kinds}
    assert "related serious event" in kinds[5, "related"] & kinds[4, "related"]
    assert kinds[5, "not related"] == {"death"}
    assert kinds[3, "related"] == set()


def test_deaths_hold_unless_the_protocol_says_otherwise():
    one = patient("A", 1, 1, died=day(60))
    assert [event.holds for event in evaluate(trial(one, last=120), protocol()).serious] == [True]
    assert [event.holds for event in evaluate(trial(one, last=120), protocol(pause={"any_death": False})).serious] == [False]


# Events, reports and numbers that change after a decision or an adjudication.


@pytest.mark.parametrize(
    ("then", "later", "again"),
    [
        (("unlikely", None), ("possibly related", None), True),
        (("unlikely", None), (None, None), True),
        ((None, None), ("related", None), True),
        (("related", None), ("unlikely", None), False),
        (("related", False), ("related", True), True),
        (("related", None), ("related", True), True),
        (("related", True), ("related", True), False),
        (("related", True), ("unlikely", False), False),
    ],
)
def test_an_event_that_has_become_worse_is_adjudicated_again(then, later, again):
    dlt = protocol().dlt
    first, second = (event(40, 4, related, "embolism")._replace(serious=serious) for related, serious in (then, later))
    known = known_at(patient("A", 1, 1, events=(first,)), EventKey(day(40), "embolism", 4), dlt)
    on_file = said("A", 40, "embolism", 4, "not a DLT", 60)._replace(**known._asdict())
    holds = [one.holds for one in status(patient("A", 1, 1, events=(second,)), on_file).serious]
    assert any(holds) is again


def test_an_upgrade_in_the_window_is_a_dlt_again():
    unrelated = event(10, 3, "unlikely", "fever")
    on_file = said("A", 10, "fever", 3, "not a DLT", 30)._replace(relationship="unrelated")
    one = patient("A", 1, 1, events=(unrelated,))
    assert status(one, on_file)["A"].kind == "complete"
    assert status(replace(one, events=(unrelated._replace(related="related"),)), on_file)["A"].kind == "dlt"


def test_a_retraction_takes_back_the_adjudications_of_an_event():
    one = patient("A", 1, 1, events=(event(10, 4, term="fever"), event(40, 4, term="embolism", row=2)))
    on_file = [said("A", 10, "fever", 4, "not a DLT", 50), said("A", 40, "embolism", 4, "not a DLT", 50)]
    retracted = said("A", 10, "fever", 4, "retracted", 60)
    assert status(one, *on_file)["A"].kind == "complete"
    found = status(one, *on_file, retracted)
    assert found["A"].kind == "dlt"
    assert {event.event.term: event.holds for event in found.serious} == {"fever": True, "embolism": False}
    again = said("A", 10, "fever", 4, "DLT", 61)
    assert not any(event.holds for event in status(one, *on_file, retracted, again).serious)


def test_a_dlt_reported_after_a_decision_reopens_it(tmp_path):
    """After 1 of 3 the committee opens level 2 on day 60; a DLT of day 10 that is reported later was not known to it."""
    rules_, path = protocol(), tmp_path / "decisions.csv"
    first = [patient("A1", 1, 1, events=(event(5, row=1),)), patient("A2", 1, 8), patient("A3", 1, 15)]
    record_decision(path, next_dose(rules_, trial(*first, last=60), day(60)).record("level 2", "three more are not needed"))
    (decision,) = read_decisions(path, "NCT05962762")
    assert decision.known_dlts == {"A1"}
    more = [*first, patient("B1", 2, 61), patient("B2", 2, 62)]
    late = [first[0], replace(first[1], events=(event(10, row=2),)), *more[2:]]

    def decided(people, file=path):
        return "decided on it" in next_dose(rules_, trial(*people, last=120), day(120), decisions=file).proposal.reason

    assert decided(more)
    assert not decided(late)
    # An earlier version did not record which DLTs were known: none is taken for known.
    old = tmp_path / "old.csv"
    record_decision(old, decision._replace(with_dlt=""))
    assert read_decisions(old, "NCT05962762")[0].known_dlts == frozenset()
    assert not decided(late, old)


@pytest.mark.parametrize("text", ["[1]", '{"A": 1}', "A1", '["A1"'])
def test_subjects_with_a_dlt_are_a_list_of_subjects(tmp_path, text):
    one = next_dose(protocol(), trial(patient("A1", 1, 1), last=40)).record("wait", "so")._replace(with_dlt=text)
    with pytest.raises(dsf.InputError) as error:
        record_decision(tmp_path / "decisions.csv", one)
    assert error.value.problems[0].where == "with_dlt"


@pytest.mark.parametrize(
    ("decision", "then", "now", "renumbered_"),
    [
        ("level 2", (1, 3), (1, 2, 3), "level 3"),
        ("MTD 1", (1, 3), (0.5, 1, 3), "MTD 2"),
        ("level 2", (1, 3), (1, 3, 5), "level 2"),
        ("MTD none", (1, 3), (0.5, 1, 3), "MTD none"),
        ("RP2D 1", (1, 3), (0.5, 1, 3), "RP2D 2"),
        ("RP2D none", (1, 3), (0.5, 1, 3), "RP2D none"),
        ("add dose 2", (1, 3), (1, 2, 3), "add dose 2"),
    ],
)
def test_decisions_have_the_numbers_of_the_present_version(decision, then, now, renumbered_):
    released = released_text({("boundary", 2): ["A1"], ("related-serious", None): ["A2"]})
    one = Recorded(day(30), "X", "", "", "3+3", "", decision, "no", "so", released=released)
    found = renumbered(one, then, now)
    assert found.decision == renumbered_
    assert released_subjects(found.released) == {("boundary", now.index(then[1]) + 1): {"A1"}, ("related-serious", None): {"A2"}}


# Faults that these tests must notice.

FAULTS = {
    "a decision keeps the number of a level that has another now": (
        "dosefind.decisions:renumbered",
        lambda _: lambda one, then, now: one,
        test_decisions_have_the_numbers_of_the_present_version,
    ),
}

test_fault_is_caught = faults(FAULTS)
