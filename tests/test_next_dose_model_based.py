"""What next with CRM and BLRM as the binding design: made-up trials replayed day by day, and what must not change the answer."""

import random
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

import dosefind as dsf
from dosefind.evaluability import evaluate
from dosefind.patients import Patients
from dosefind.tasks.next_dose import next_dose
from dosefind.tasks.steps import next_step

from .made_up import day, event, patient, trial
from .peers import ROOT
from .test_next_dose import dose_of, short_of

KINDS = ("crm", "crm-6", "blrm", "blrm-6")
# Ways in which pending outcomes can come out, beyond which a table takes its time and nobody reads it.
MOST = 16
# A seed does not get simpler by being smaller.
FAST = (Phase.explicit, Phase.reuse, Phase.generate)


def protocol(name, config="nct05962762"):
    """A shipped protocol with one design, which binds."""
    table = dsf.load_protocol(ROOT / "configs" / f"{config}.toml").model_dump(exclude_unset=True)
    table |= {"designs": {name: table["designs"][name]}, "binding": name, "assumed": {}}
    table.pop("borrowing", None)
    return dsf.Protocol.read(table)


RULES = {(name, config): protocol(name, config) for name in KINDS for config in ("nct05962762", "nct05948982")}


def answer(found):
    """All that the result says of what next, and of how the trial was run."""
    return (found.proposals, found.findings, found.deviations, found.start, found.doses.to_dict("list"))


def other_future(data: Patients, cut, change: random.Random) -> Patients:
    """The same trial up to a day, and another one from then on: later patients gone or another dose, outcomes turned round."""
    people = []
    for one in data.patients:
        if one.infusions[0] > cut:
            if change.random() < 0.5:
                people.append(replace(one, level=1, amount=1.0, events=(), discontinued=None, reason=None))
            continue
        events = [e for e in one.events or () if e.start is None or e.start <= cut]
        if change.random() < 0.5:
            source = f"made up {one.subject}"
            events.append(event(1, row=0)._replace(start=cut + timedelta(days=change.randint(1, 40)), source=source))
        left = one.discontinued
        later = left is not None and left > cut
        people.append(
            replace(
                one,
                infusions=tuple(when for when in one.infusions if when <= cut),
                events=tuple(events),
                discontinued=None if later else left,
                reason=None if later else one.reason,
                last_contact=one.last_contact if one.last_contact is None or one.last_contact <= cut else cut + timedelta(days=3),
                # A column for the whole trial is as of its end.
                dlt=None,
                dlt_date=None,
            )
        )
    rows = {row for one in people for row in (*one.source, *(e.source for e in one.events or ()))}
    end = max(found for one in people for _, found in one.dates())
    return replace(data, patients=tuple(people), listed=(), rows=len(rows), last_date=max(end, cut))


def without_column(data: Patients) -> Patients:
    """DLTs by the adverse events alone: a DLT column says of the end of the trial what nobody knew before."""
    return replace(data, patients=tuple(replace(one, dlt=None, dlt_date=None) for one in data.patients))


def replayed(name, config, seed, days, change):
    rules = RULES[name, config]
    made = dsf.synthesize(rules, (0.1, 0.25, 0.4), seed=seed, dropout=0.2, deviate=0.2)
    data = without_column(made.patients)
    first = data.patients[0].infusions[0]
    span = (data.last_date - first).days
    for share in days:
        cut = first + timedelta(days=round(share * span))
        if sum(1 for _ in evaluate(data, rules, cut, replay=True).completions()) > MOST:
            continue
        now = answer(next_dose(rules, data, cut, replay=True))
        assert answer(next_dose(rules, other_future(data, cut, change), cut, replay=True)) == now
        mixed = list(data.patients)
        change.shuffle(mixed)
        assert answer(next_dose(rules, replace(data, patients=tuple(mixed)), cut, replay=True)) == now


RANDOM = st.randoms(use_true_random=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["crm-6", "blrm-6"])
@settings(deadline=None, max_examples=2, phases=FAST)
@given(seed=st.integers(1, 1000), days=st.lists(st.floats(0, 1), min_size=1, max_size=3), change=RANDOM)
def test_nothing_that_was_not_known_is_used(name, seed, days, change):
    replayed(name, "nct05962762", seed, days, change)


@pytest.mark.slow
@pytest.mark.parametrize("config", ["nct05962762", "nct05948982"])
@pytest.mark.parametrize("name", KINDS)
@settings(deadline=None, max_examples=2, phases=FAST)
@given(seed=st.integers(1, 10**6), change=RANDOM)
def test_nothing_that_was_not_known_is_used_on_any_of_many_days(name, config, seed, change):
    replayed(name, config, seed, [step / 15 for step in range(16)], change)


# Outcomes in the order of the patients, three a cohort: none, a DLT, or left early.
PEOPLE = st.lists(st.tuples(st.integers(1, 3), st.sampled_from(["none", "none", "none", "dlt"])), min_size=1, max_size=9)


def made(people):
    """Cohorts of three at a level, four days apart, given as cohorts."""
    patients = []
    for place, (level, what) in enumerate(people):
        level, start = people[place - place % 3][0], 1 + 4 * place
        events = (event(start + 5, row=place + 1),) if what == "dlt" else ()
        patients.append(patient(f"S{place + 1}", level, start, events=events, cohort=place // 3 + 1))
    return patients, 1 + 4 * len(people)


def nobody_who_counts(check):
    return settings(deadline=None, max_examples=8)(given(people=PEOPLE, after=st.integers(0, 30), at=st.integers(0, 40))(check))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["crm", "blrm"])
@nobody_who_counts
def test_patient_not_evaluable_changes_nothing(name, people, after, at):
    """Of a dose that the protocol does not have, with a DLT; lost and replaced by nobody; not yet treated at the data cut."""
    rules = RULES[name, "nct05962762"]
    patients, end = made(people)
    cut = end + after
    last = trial(*patients, last=200)
    assume(sum(1 for _ in evaluate(last, rules, day(cut), replay=True).completions()) <= MOST)
    now = next_dose(rules, last, day(cut), replay=True)
    start = max(2, min(at, cut - 2))
    level, cohort = patients[-1].level, patients[-1].cohort
    others = {
        "dose": patient("X", None, start, events=(event(start + 1, row=99),), cohort=90),
        "lost": patient("X", level, end, discontinued=end, events=(), cohort=cohort),
        "later": patient("X", level, cut + 1, events=(event(cut + 2, row=99),), cohort=cohort),
    }
    for which, other in others.items():
        found = next_dose(rules, trial(*patients, other, last=200), day(cut), replay=True)
        # A DLT at a dose that is not in the protocol holds enrolment, and changes nothing else.
        assert bool(found.holds) == (which == "dose")
        assert {design: one.held or one for design, one in found.proposals.items()} == now.proposals, which
        if which != "dose":
            assert found.what_if.equals(now.what_if)
            assert found.paths.equals(now.paths)
        assert found.doses[["counted", "dlts", "pending"]].equals(now.doses[["counted", "dlts", "pending"]])


@pytest.mark.parametrize("name", ["crm-6", "blrm-6"])
@settings(deadline=None, max_examples=8)
@given(people=PEOPLE, after=st.integers(0, 30))
def test_a_decision_now_is_that_of_every_completion(name, people, after):
    rules = RULES[name, "nct05962762"]
    patients, end = made(people)
    found = next_dose(rules, trial(*patients, last=200), day(end + after), replay=True)
    completions = list(found.evaluated_for(name).completions())
    assume(len(completions) <= MOST)
    design = dsf.config.build_designs(rules)[name]
    steps = [next_step(design, done.cohorts, 3, done.others) for done in completions]
    one = found.proposal
    if one.action == "wait":
        assert len({(step.level, step.size, step.mtd, step.not_reached) for _, step in one.completions}) > 1
    elif one.action != "fill" and short_of(found.evaluated_for(name), rules):
        assert all(dose_of(one) <= dose_of(step) for step in steps)
    elif one.action != "fill" and "no outcome of" not in one.reason:
        assert {(step.action, step.level, step.size, step.mtd) for step in steps} == {(one.action, one.level, one.size, one.mtd)}
        assert one.level is None or one.level in one.admissible
    # What would follow is what the design says of the counts with the next patients among them.
    if one.level is not None and one.action != "fill":
        row = found.what_if.iloc[0]
        for dlts in range(one.size + 1):
            after_next = [
                next_step(design, [*done.cohorts, dsf.trial.Cohort(one.level, one.size, dlts)], 3, done.others)
                for done in completions
            ]
            said = {f"level {step.level}" if step.level else "stop" for step in after_next}
            shown = row[f"{dlts} DLT{'s' * (dlts != 1)}"].split("; or ")
            assert said <= {words.split(",")[0] for words in shown}


@pytest.mark.parametrize("name", KINDS)
@settings(deadline=None, max_examples=6)
@given(st.data())
def test_a_trial_that_followed_its_design_is_decided_as_by_decide(name, data):
    rules = RULES[name, "nct05962762"]
    design, text, patients, start = dsf.config.build_designs(rules)[name], [], [], 1
    while (step := dsf.decide(design, " ".join(text), n_doses=3)).level and data.draw(st.integers(0, 4)):
        dlts = data.draw(st.integers(0, step.size))
        text.append(f"{step.level}{'N' * (step.size - dlts)}{'T' * dlts}")
        for place in range(step.size):
            events = (event(start + place + 3, row=len(patients) + 1),) if place < dlts else ()
            patients.append(patient(f"S{len(patients) + 1:02d}", step.level, start + place, events=events))
        start += 40
    assume(text)
    one = next_dose(rules, trial(*patients, last=start + 40)).proposal
    assert (one.action, one.level, one.size, one.mtd, one.not_reached, one.reason) == (
        *(step.action, step.level, step.size, step.mtd, step.not_reached),
        step.reason,
    )
