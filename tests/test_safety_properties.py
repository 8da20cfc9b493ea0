"""Safety properties of what comes next, over random trials that do not go by the book.

Trials have cohorts of the planned and of other sizes, early, extra and out-of-order patients, dropouts, replacements, several open
cohorts, and patients of every part. ``DOSEFIND_EXAMPLES`` sets the number of examples of all properties together, and
``DOSEFIND_COUNTS=1`` prints how often one more DLT raises the dose of a two-parameter model.
"""

import importlib
import os
import random
from dataclasses import replace
from datetime import date
from functools import cache
from typing import NamedTuple

import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, assume, event, example, given, settings
from hypothesis import strategies as st

import dosefind as dsf
from dosefind.adjudications import Adjudicated
from dosefind.config import build_designs
from dosefind.evaluability import evaluate
from dosefind.tasks.next_dose import next_dose
from dosefind.tasks.proposals import Asked, readings_of
from dosefind.trial import Cohort, notation

from . import made_up
from .made_up import day, patient, trial
from .peers import ROOT
from .quick import examples

EXAMPLES = int(os.environ.get("DOSEFIND_EXAMPLES", "1000"))
WINDOW = 28
LEVELS = (1, 2, 3)
# Ways in which outcomes can come out beyond which an example takes too long.
MOST_WAYS = 200

DESIGNS = {
    "3+3": {"kind": "3+3"},
    "3+3-six": {"kind": "3+3", "six_at_mtd": True, "six_at_top": True},
    "3+3-expand": {"kind": "3+3", "expand_after_two": True},
    "boin": {"kind": "boin"},
    "crm": {"kind": "crm", "skeleton": [0.12, 0.25, 0.40]},
    "crm-safe": {"kind": "crm", "skeleton": [0.12, 0.25, 0.40], "safety_cutoff": 0.95, "safety_by": "beta"},
}
WITHOUT_EXPANSION = tuple(name for name in DESIGNS if name != "3+3-expand")
STAGGERS = (
    None,
    {"days": 7, "levels": "all", "patients": "every"},
    {"days": 7, "levels": "all", "patients": "first"},
    {"days": 10, "levels": (3,), "patients": "every"},
)


def shared(part):
    """Settings of a property that takes a part of all examples, in percent."""
    number = examples(max(1, EXAMPLES * part // 100))
    slow = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    phases = [phase for phase in Phase if phase is not Phase.explain]
    # The same examples on every run, but for the larger runs by hand.
    fixed = "DOSEFIND_EXAMPLES" not in os.environ
    return settings(deadline=None, derandomize=fixed, max_examples=number, suppress_health_check=slow, phases=phases)


@pytest.fixture(scope="module", autouse=True)
def _fast():
    """Leave out the tables of `next_dose` that no property reads, and ask a design once about the same counts."""
    module = importlib.import_module("dosefind.tasks.next_dose")
    real, known = module.Asked, {}

    def asked(design, n_doses, on=None):
        key = (type(design), design.model_dump_json(), n_doses)
        return known.setdefault(key, real(design, n_doses))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "Asked", asked)
        for name in ("_what_if", "_completions", "_paths"):
            patch.setattr(module, name, lambda *_: pd.DataFrame())
        patch.setattr(module, "_deviations", lambda *_: {})
        yield


@cache
def _rules(design, no_overlap, stagger):
    table = dsf.load_protocol(ROOT / "configs" / "nct05962762.toml").model_dump(exclude_unset=True)
    table["designs"], table["curves"], table["assumed"] = {design: DESIGNS.get(design, {"kind": design})}, {}, {}
    if design == "blrm":
        table["curves"] = {"l2": {"kind": "logistic-2", "prior": {"mean": [-2.2, 0.0], "sd": [2.0, 1.0]}}}
    table.pop("borrowing", None)
    table["limits"] = {"cohort_size": 3, "max_n": 24}
    table["treatment"] = {"infusion_days": [1], "dlt_window_days": WINDOW, "no_overlap": no_overlap}
    if STAGGERS[stagger]:
        table["treatment"]["stagger"] = STAGGERS[stagger]
    return dsf.Protocol.read(table)


class Person(NamedTuple):
    """A patient of a random trial: what happens, and how many days after the first infusion.

    ``outcome`` is "none", "dlt", "left", "unclear" (no grade), "died", "serious" (related grade 4) or "unrelated" (grade 5).
    """

    subject: str
    level: int | None
    start: int
    outcome: str = "none"
    after: int = 5
    part: str | None = None
    replaces: str | None = None

    @property
    def at(self):
        return self.start + self.after


def made(people, cut):
    """The data as they stand on the day of the data cutoff."""
    found = []
    for row, person in enumerate(people, start=1):
        if person.start > cut:
            continue
        known = person.at <= cut
        grade, related = {
            "dlt": (3, "related"),
            "unclear": (None, "related"),
            "serious": (4, "related"),
            "unrelated": (5, "not related"),
        }.get(person.outcome, (None, None))
        events = (made_up.event(person.at, grade, related, row=row),) if related and known else ()
        fields = {"discontinued": person.at} if person.outcome == "left" and known else {}
        if person.outcome == "died" and known:
            fields["died"] = day(person.at)
        found.append(
            patient(
                person.subject,
                person.level,
                person.start,
                amount=(1, 3, 5)[person.level - 1] if person.level else 2.5,
                events=events,
                part=person.part,
                replaces=person.replaces,
                source=(f"row {row}",),
                **fields,
            )
        )
    return trial(*found, last=cut)


def asked(people, cut, rules):
    """What comes next by the data of the day of the data cutoff."""
    data = made(people, cut)
    ways = 1
    for open_ in evaluate(data, rules, day(cut)).open:
        ways *= len(open_) + 1
    assume(ways <= MOST_WAYS)
    return next_dose(rules, data, day(cut))


# Random trials.

MILD = ("none", "none", "none", "none", "dlt", "left")
HOLDING = ("died", "serious", "unrelated")
GRAVE = (*MILD * 6, "unclear", *HOLDING)
PARTS = (None, None, None, "escalation", "backfill", "expansion", "run-in", "placebo", "control")


@st.composite
def trials(draw, outcomes=MILD, parts=PARTS, unlisted=False):
    """Cohorts, mostly of three and mostly at a level beside the one before, and patients whom nobody planned; with a data cutoff.

    In about a third of the trials every cohort has three patients and begins after the windows of the one before, and the last
    window is over.
    """
    people, start, level = [], 1, 1
    some = st.tuples(st.sampled_from(outcomes), st.integers(1, WINDOW))
    calm = draw(st.sampled_from((True, False, False)))

    def put(level, start, part):
        outcome, after = draw(some)
        people.append(Person(f"P{len(people) + 1:02}", level, start, outcome, after, part))

    for number in range(draw(st.integers(1, 4))):
        if number:
            level = min(max(level + draw(st.sampled_from((1, 1, 1, 0, 0, -1))), 1), 3)
            start += WINDOW if calm else draw(st.sampled_from((WINDOW, WINDOW, 10, 1, 0)))
        for _ in range(3 if calm else draw(st.sampled_from((3, 3, 3, 2, 1, 4)))):
            put(level, start, None)
            start += draw(st.sampled_from((1, 1, 7, 0)))
    last = start
    doses = (*LEVELS, None) if unlisted else LEVELS
    for _ in range(draw(st.integers(0, 1 if calm else 3))):
        put(draw(st.sampled_from(doses)), draw(st.integers(1, last + 20)), draw(st.sampled_from(parts)))
    late = st.integers(last + WINDOW, last + WINDOW + 20)
    cut = draw(late if calm else st.one_of(late, st.integers(last, last + WINDOW), st.integers(1, last)))
    left = [person for person in people if person.outcome == "left" and person.level]
    if left and draw(st.booleans()):
        gone = left[0]
        people.append(Person("R01", gone.level, gone.at + draw(st.integers(0, 9)), *draw(some), None, gone.subject))
    return people, cut


def rules(designs=tuple(DESIGNS), overlaps=(True, False)):
    return st.builds(_rules, st.sampled_from(designs), st.sampled_from(overlaps), st.integers(0, len(STAGGERS) - 1))


# 1. Rules of conduct.


def broken(people, cut, protocol, level, start, joins):
    """Rules of conduct that a patient who starts at a level on a day would break, by the words of the protocol alone."""
    day_of = (start - day(1)).days + 1
    given = [person for person in people if person.start <= cut and person.part not in ("placebo", "control")]
    known = {person.subject: person.outcome for person in given if person.at <= cut}
    found = []
    for person in given:
        outcome = known.get(person.subject, "none")
        in_window = person.after <= WINDOW
        if outcome in ("died", "serious", "unrelated"):
            found.append(f"{person.subject}: {outcome}, and nobody has adjudicated it")
        # From the first day of the window to its last the patient is followed; a DLT, or leaving before the last day, ends that.
        over = day_of >= person.start + WINDOW
        ended = (outcome in ("dlt", "serious") and in_window) or (outcome == "left" and person.after < WINDOW)
        unknown = outcome == "unclear" and in_window
        if (over or ended) and not unknown:
            continue
        if protocol.treatment.no_overlap and person.level != level:
            found.append(f"{person.subject} at another dose is still followed")
        if person.level == level and person.subject not in joins:
            found.append(f"{person.subject} of an earlier cohort at the level is still followed")
    stagger = protocol.treatment.stagger
    if stagger is not None and (stagger.levels == "all" or level in stagger.levels):
        here = sorted(person.start for person in given if person.level == level)
        before = here[-1:] if stagger.patients == "every" else here[:1]
        found += [f"{stagger.days} days after day {start} are not over" for start in before if day_of < start + stagger.days]
    return found


@pytest.mark.slow
@shared(20)
@given(trials(GRAVE, unlisted=True), rules())
def test_no_recommended_start_breaks_a_rule_of_conduct(drawn, protocol):
    """A day named for the next patient breaks none of the rules as `broken` reads them, without the code of `dosefind.conduct`."""
    people, cut = drawn
    found = asked(people, cut, protocol)
    level = found.proposal.level
    event(found.proposal.action)
    assert (found.start is None) == (level is None)
    if level is None or found.start.day is None:
        return
    event(f"{found.proposal.action}, start named")
    joins = found.evaluated_for(found.binding).members[-1].subjects if found.proposal.action == "fill" else ()
    assert found.start.day >= day(cut)
    assert broken(people, cut, protocol, level, found.start.day, joins) == []


# 2 and 3. Boldness: the level at which the next patients are enrolled; a stop counts as the MTD that it selects. A wait or a hold
# enrols nobody, and leads at least to the lowest and at most to the highest of what the outcomes still to come can give.


def rank(level, mtd):
    return level if level is not None else 0 if mtd in (None, "none") else int(mtd)


def reach(proposal):
    """The lowest and the highest dose that a proposal can lead to; a cohort that is completed can end after further DLTs."""
    shown = proposal.held or proposal
    ranks = [rank(step.level, step.mtd) for _, step in shown.completions]
    return min(ranks), max(ranks)


def readings(found, protocol):
    """Readings of unplanned cohorts, each as the subjects set aside; those without the added patient, where there are such."""
    (design,) = build_designs(protocol).values()
    members = found.evaluated.members
    asides = readings_of(Asked(design, protocol.n_doses), found.evaluated, ())
    found_ = [frozenset(subject for place in aside for subject in members[place].subjects) for aside in asides]
    return {aside - {"X"} for aside in found_ if "X" in aside} or set(found_)


def enrols_or_stops(found):
    return found.proposal.action not in ("wait", "hold")


@st.composite
def with_one_more(draw):
    people, cut = draw(trials())
    level, part = draw(st.sampled_from(LEVELS)), draw(st.sampled_from(PARTS))
    if draw(st.booleans()):
        added = Person("X", level, draw(st.integers(max(1, cut - WINDOW + 1), cut)), part=part)
    else:
        after = draw(st.integers(0, min(WINDOW, cut - 1)))
        added = Person("X", level, draw(st.integers(1, cut - after)), "dlt", after, part)
    return people, cut, added


@pytest.mark.slow
@shared(25)
@given(with_one_more(), rules(WITHOUT_EXPANSION))
def test_a_further_patient_pending_or_with_a_dlt_never_makes_the_answer_bolder(drawn, protocol):
    """An answer that is given now leads to no higher dose than the answer without the patient did.

    Limits, each with its counterexample (cohorts in outcome notation; `tests.test_out_of_order` holds them):

    - A stop counts as its MTD. 3+3, 1NNN 2NTT: stop, MTD level 1. With 1T on day 1: two more at level 1, which has 1 of 4.
    - A wait counts as the doses that its outcomes can lead to. BOIN, 1NNN and a fourth patient pending there: wait, level 1 or 2.
      With a fifth who has a DLT, 1 of 5 or 2 of 5: three more at level 1 now.
    - The added patient can make a cohort planned that was not, and its other reading is gone. BOIN, 1NNN, 1NNN on days 32 to 34 and
      2N on day 36, which is pending: complete the cohort at level 2, unless a DLT of 2N leads back to level 1. With 2T on day 9 the
      design goes back to level 1, so the second cohort there is planned, and 0 of 6 escalates to level 2.
    - A patient at another level is read as inside too, and other cohorts are planned then: not every reading of the others is tried
      with this patient set aside.
    - The 3+3 that treats six in any case (``expand_after_two``) is left out: two DLTs in five, with the cohort under way, end it as
      soon as no further patient can change that; in cohorts that are complete it treats the sixth, to the letter of its rule.
    """
    people, cut, added = drawn
    before, after = asked(people, cut, protocol), asked([*people, added], cut, protocol)
    event(f"{before.proposal.action} to {after.proposal.action}")
    if not readings(before, protocol) <= readings(after, protocol):
        event("a cohort is no longer unplanned, or is another one")
        return
    if enrols_or_stops(after):
        (low, high), (lower, higher) = reach(before.proposal), reach(after.proposal)
        assert lower <= low
        assert higher <= high
    # A patient before others can move them to other cohorts, whose outcomes are waited for or not.
    same = after.proposal.level is not None and after.proposal.level == before.proposal.level
    if same and added.start > max(person.start for person in people):
        assert (after.start.day or date.max) >= (before.start.day or date.max)


@pytest.mark.slow
@shared(15)
@given(trials(), rules(), st.data())
def test_one_more_dlt_never_raises_the_dose(drawn, protocol, data):
    """A complete patient who had a DLT instead leads to no higher dose, a stop counting as its MTD.

    For the 3+3, BOIN and one-parameter CRM; see below for two-parameter models. Where it waits now nobody is enrolled; where it
    waited, an answer given now is among the doses that its outcomes could lead to.
    """
    people, cut = drawn
    before = asked(people, cut, protocol)
    pooled = {status.subject for status in before.evaluated.statuses if status.counts and status.kind == "complete"}
    assume(pooled)
    chosen = data.draw(st.sampled_from(sorted(pooled)))
    toxic = [person._replace(outcome="dlt", after=5) if person.subject == chosen else person for person in people]
    after = asked(toxic, cut, protocol)
    event(f"{before.proposal.action} to {after.proposal.action}")
    if enrols_or_stops(after):
        assert reach(after.proposal)[1] <= reach(before.proposal)[1]


@pytest.mark.parametrize("dlt", [False, True])
def test_cohort_without_evaluable_patients_is_outside_where_the_cohorts_before_are(dlt):
    """The design leads to P08's cohort only after those that were treated too early, so that it is outside with these."""
    starts = ((1, 1), (2, 30), (2, 31), (2, 32), (2, 61), (2, 62), (2, 91))
    people = [Person(f"P{number:02}", level, start) for number, (level, start) in enumerate(starts, 1)]
    people.append(Person("P08", 2, 92, "left", 1))
    if dlt:
        people[4] = people[4]._replace(outcome="dlt")
    found = next_dose(_rules("crm", True, 0), made(people, 121), day(121))
    assert (found.proposal.action, found.proposal.level, found.proposal.size) == ("fill", 1, 2)


def one_more_dlt(count, seed):
    """Random states of a BLRM, before and after one DLT more, where that DLT raises the dose; a stop counts as its MTD."""
    (design,) = build_designs(_rules("blrm", False, 0)).values()
    draw, asked_of = random.Random(seed), Asked(design, 3)
    raised = []
    for _ in range(count):
        level, cohorts = 1, []
        for _ in range(draw.randint(1, 5)):
            size = draw.randint(1, 4)
            cohorts.append(Cohort(level, size, sum(draw.random() < 0.25 for _ in range(size))))
            # Mostly as the design goes on, and at times a level up or down.
            wanted = asked_of.step(cohorts).level
            level = min(max(level + draw.choice((1, -1)), 1), 3) if wanted is None or draw.random() < 0.2 else wanted
        place = draw.choice([at for at, cohort in enumerate(cohorts) if cohort.dlts < cohort.n] or [None])
        if place is None:
            continue
        more = [*cohorts]
        more[place] = more[place]._replace(dlts=more[place].dlts + 1)
        before, after = asked_of.step(cohorts), asked_of.step(more)
        if rank(after.level, after.mtd) > rank(before.level, before.mtd):
            raised.append((notation(cohorts), notation(more)))
    return raised


def test_one_more_dlt_can_raise_the_dose_of_a_two_parameter_model():
    """A DLT at a low dose flattens a two-parameter curve, so that a higher dose can look less toxic: it is not clamped."""
    (design,) = build_designs(_rules("blrm", False, 0)).values()
    before, after = (dsf.decide(design, f"{first} 2NNN 2NNN 3NT", n_doses=3).level for first in ("1NNN", "1NNT"))
    assert (before, after) == (2, 3)
    if os.environ.get("DOSEFIND_COUNTS") == "1":
        raised = one_more_dlt(2000, seed=1)
        print(f"\none more DLT raises the dose of the BLRM in {len(raised)} of 2000 random states, such as {raised[:5]}")


# 4 and 5. Parts of the trial.


@pytest.mark.slow
@shared(12)
@given(
    trials(),
    rules(),
    st.lists(st.tuples(st.sampled_from(GRAVE), st.integers(1, 40), st.integers(0, 40)), min_size=1, max_size=4),
    st.data(),
)
def test_placebo_control_and_run_in_change_no_proposal(drawn, protocol, events, data):
    people, cut = drawn
    part = data.draw(st.sampled_from(("placebo", "control", "run-in")))
    added = [
        Person(f"X{n}", data.draw(st.sampled_from((*LEVELS, None) if part != "run-in" else LEVELS)), start, outcome, after, part)
        for n, (outcome, start, after) in enumerate(events)
    ]
    before, after = asked(people, cut, protocol), asked([*people, *added], cut, protocol)
    if part != "run-in":
        assert after.proposals == before.proposals
        assert (after.start, after.holds) == (before.start, before.holds)
        return
    unheld = [{name: one.held or one for name, one in found.proposals.items()} for found in (before, after)]
    assert unheld[0] == unheld[1]
    # An event without a grade holds after the window; in it, it keeps the outcome open.
    grave = [one for one in added if one.outcome in HOLDING or (one.outcome == "unclear" and one.after > WINDOW)]
    # A DLT of run-in, which no design counts, holds too.
    grave += [one for one in added if one.outcome == "dlt" and one.after <= WINDOW]
    held = any(one.start <= cut and one.at <= cut for one in grave)
    assert bool(after.holds) == (held or bool(before.holds))


@pytest.mark.slow
@shared(10)
@given(trials(parts=(None, "escalation", "run-in")), rules(), st.data())
def test_clean_backfill_and_expansion_patients_drive_nothing(drawn, protocol, data):
    people, cut = drawn
    levels = data.draw(
        st.lists(st.tuples(st.sampled_from(LEVELS), st.sampled_from(("backfill", "expansion"))), min_size=1, max_size=12)
    )
    added = [
        Person(f"X{n:02}", level, data.draw(st.integers(1, max(1, cut - WINDOW))), part=part)
        for n, (level, part) in enumerate(levels)
    ]
    assume(cut > WINDOW)
    before, after = asked(people, cut, protocol), asked([*people, *added], cut, protocol)
    # A cohort of which nobody counts is kept where the design leads there, on which backfill can have a say.
    with_counts = [
        [
            (one.level, counting)
            for one in found.evaluated.members
            if (counting := [s for s in one.subjects if found.evaluated[s].counts])
        ]
        for found in (before, after)
    ]
    assert with_counts[0] == with_counts[1]
    assert after.proposal.size == before.proposal.size or not protocol.binding
    # Patients of unplanned cohorts read as outside the escalation are pooled with these, so that 2 DLTs in 6 can become 2 in 7.
    if "3+3" in after.binding and before.proposal.other_reading is None:
        assert (after.proposal.action, after.proposal.level, after.proposal.size) == (
            *(before.proposal.action, before.proposal.level),
            before.proposal.size,
        )
        assert after.proposal.mtd == before.proposal.mtd


# 6 and 7. What may make no difference.


# 8. A trial that does what was answered.


@pytest.mark.slow
@shared(3)
@given(st.integers(0, 2**32), rules(WITHOUT_EXPANSION))
# A serious event, adjudicated late as a DLT, leads back while a cohort is under way.
@example(57788, _rules("crm", True, 2))
def test_trial_that_does_what_was_answered_has_one_reading(seed, protocol):
    """Patients come as recommended, one by one, some days late; some leave, have DLTs, or events that are adjudicated later.

    Nobody is read as treated where the design had not planned it, whatever came after a level had begun, and no rule is broken.

    Limit: a design leaves a cohort before it is complete where no outcome of further patients would keep the trial there, and one
    of its patients can leave after that. Trials are followed up to there.
    """
    draw, people, said, now = random.Random(seed), [], {}, 1

    def enrol(level):
        outcome = draw.choice(("none",) * 12 + ("dlt", "dlt", "left", "serious", "died"))
        # A serious event comes after the window, so that it is no DLT before it is adjudicated.
        after = draw.randint(WINDOW + 1, 70) if outcome == "serious" else draw.randint(1, WINDOW - 1)
        people.append(Person(f"P{len(people) + 1:02}", level, now, outcome, after))
        if outcome in HOLDING:
            said[people[-1]] = draw.randint(0, 25), draw.choice(("DLT", "not a DLT"))

    enrol(1)
    while len(people) < 20:
        adjudicated = []
        for person, (later, conclusion) in said.items():
            if (on := person.at + later) <= now:
                about = (day(person.at), "fever", 4) if person.outcome == "serious" else (day(person.at), "death", None)
                made_on = (day(on), day(on), "NCT05962762", "0" * 64, person.subject)
                adjudicated.append(Adjudicated(*made_on, *about, conclusion, "committee", "so"))
        adjudicated.sort(key=lambda one: one.as_of)
        found = next_dose(protocol, made(people, now), day(now), adjudications=adjudicated)
        assert found.proposal.other_reading is None
        assert found.findings == ()
        current = found.evaluated.members[-1].subjects
        short = sum(found.evaluated[subject].counts for subject in current) < 3
        if found.proposal.action == "stop" or (found.proposal.action == "de-escalate" and short):
            break
        start = found.start.day if found.start is not None else None
        if start == day(now):
            enrol(found.proposal.level)
            now += draw.choice((0, 1, 1, 5))
        else:
            now += draw.choice((1, 3, 9)) if start is None else (start - day(now)).days


def essence(found):
    proposal = found.proposal
    return (
        proposal.action,
        proposal.level,
        proposal.size,
        proposal.mtd,
        proposal.not_reached,
        proposal.until,
        None if found.start is None else found.start.day,
    )


@shared(10)
@given(trials(GRAVE), rules(), st.randoms(use_true_random=False))
def test_order_of_rows_and_names_change_nothing(drawn, protocol, shuffle: random.Random):
    """Rows come in any order, and names change while those of patients first treated on the same day keep their order.

    Limit: where the data give no cohorts and the cohort is full with one of two patients of the same day, the first by name joins
    it. 3+3, level 1: two patients on day 1 (one left on day 2), one on day 2, two on day 3 (one left on day 4) and one on day 4 who
    replaces the latter. On day 4 the answer is to wait until day 31 or day 32.
    """
    people, cut = drawn
    days = sorted({person.start for person in people})
    shuffle.shuffle(days)
    new = {person.subject: f"Q{days.index(person.start):02}-{person.subject}" for person in people}
    renamed = [person._replace(subject=new[person.subject], replaces=new.get(person.replaces)) for person in people]
    shuffle.shuffle(renamed)
    assert essence(asked(renamed, cut, protocol)) == essence(asked(people, cut, protocol))


@pytest.mark.slow
@shared(8)
@given(trials(GRAVE), rules())
def test_replay_equals_the_data_of_the_day(drawn, protocol):
    people, cut = drawn
    later = made(people, max(person.at for person in people) + 60)
    now = asked(people, cut, protocol)
    back = next_dose(protocol, replace(later), day(cut), replay=True)
    assert back.proposals == now.proposals
    assert (back.start, back.holds) == (now.start, now.holds)
