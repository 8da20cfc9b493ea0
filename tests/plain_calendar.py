"""A calendar written plainly, one trial and one day at a time, to check the batched one of `dosefind.operating.calendar`."""

import math
from dataclasses import dataclass

import numpy as np

from dosefind.exposure import PartCourses, intervals_of
from dosefind.operating.simulation import CHUNK, Latent
from dosefind.trial import COUNT, States, TimedStates


def clock_days(clock, number):
    """Days from the first infusion to that of this number."""
    return clock.treatment.infusion_days[number - 1] - 1


@dataclass
class Person:
    start: int
    dose: int
    known: int
    kind: str


def latent_numbers(seed, trials):
    """Latent numbers of the first chunk, by stream."""
    return {stream: Latent(seed, 0, trials, *stream) for stream in ((), (2,), (4,), (5,))}


def arrivals(clock, seed, trial, count=400):
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, 0, 3))))
    return clock.accrual.arrivals(random.random((count, CHUNK)), count)[:, trial].tolist()


class PlainTrial:
    """One trial on a calendar, day by day."""

    def __init__(self, design, truth, clock, latent, days_of_candidates, trial):
        self.design, self.truth, self.clock, self.latent, self.trial = design, truth, clock, latent, trial
        self.coming = list(days_of_candidates)
        self.people, self.queue = [], []
        self.turned_away = self.waited = self.gone = self.decisions = 0
        self.cohort, self.size, self.plan, self.number = [], 0, None, 0

    def counts(self, day, pending=False):
        n, y, c = (np.zeros((1, len(self.truth)), COUNT) for _ in range(3))
        for person in self.people:
            if person.known > day:
                if pending:
                    n[0, person.dose] += 1
                    c[0, person.dose] += 1
            elif person.kind != "lost":
                n[0, person.dose] += 1
                y[0, person.dose] += person.kind == "dlt"
        return n, y, c

    def wanted(self, day):
        """The dose index for the next patient, "wait" or "stop"."""
        if self.design.reads == "pending":
            n, y, c = self.counts(day, pending=True)
            last = np.full(1, self.people[-1].dose if self.people else -1, COUNT)
            one, none = np.full(1, len(self.people), COUNT), np.zeros(1, COUNT)
            state = TimedStates(n, y, last, (one > 0).astype(COUNT), none, one, np.zeros((1, 0), COUNT), pending=c)
            dose = int(self.design.decide(state).dose[0])
            return {-1: "stop", -2: "wait"}.get(dose, dose)
        members = [person for person in self.cohort if not (person.kind == "lost" and person.known <= day)]
        if self.plan is not None and len(members) < self.size:
            return self.plan
        if any(person.known > day for person in self.people):
            return "wait"
        n, y, _ = self.counts(day)
        last = np.full(1, -1 if self.plan is None else self.plan, COUNT)
        counted = [person for person in self.cohort if person.kind != "lost"]
        of_cohort = (np.full(1, len(counted), COUNT), np.full(1, sum(one.kind == "dlt" for one in counted), COUNT))
        decision = self.design.decide(States(n, y, last, *of_cohort, np.full(1, self.number, COUNT), np.zeros((1, 0), COUNT)))
        self.decisions += 1
        if decision.dose[0] < 0:
            return "stop"
        self.plan, self.size, self.cohort = int(decision.dose[0]), int(decision.size[0]), []
        self.number += 1
        return self.plan

    def allowed(self, dose, day):
        treatment = self.clock.treatment
        for person in self.people:
            joins = person in self.cohort if self.design.reads == "complete" else person.dose == dose
            if person.known > day and not joins and (person.dose == dose or treatment.no_overlap):
                return False
        stagger = treatment.stagger
        if stagger is not None and (stagger.levels == "all" or dose + 1 in stagger.levels):
            there = [person.start for person in self.people if person.dose == dose]
            if there and day < (there[-1] if stagger.patients == "every" else there[0]) + stagger.days:
                return False
        return self.design.reads == "complete" or self.gates(dose, day)

    def gates(self, dose, day):
        gates = self.clock.gates
        if not self.people:
            return True
        latest = self.people[-1].dose
        here = [person for person in self.people if person.dose == latest]
        pending = [person for person in here if person.known > day]
        known = [person for person in here if person.known <= day and person.kind != "lost"]
        if gates.suspend_pending is not None and len(pending) > gates.suspend_pending * (len(pending) + len(known)):
            return False
        if dose <= latest:
            return True
        if gates.complete is not None and len(known) < gates.complete and pending:
            return False
        if gates.each_pending is not None:
            least = math.ceil(gates.each_pending * self.clock.window)
            if any(day - person.start < least for person in pending):
                return False
        if gates.infused is not None:
            after = clock_days(self.clock, gates.infused.number)
            # Who leaves, or has a DLT, on the day of an infusion does not have it.
            had = [person for person in here if person.start + after <= day and person.known > person.start + after]
            will = [person for person in pending if person.start + after > day]
            if len(had) < gates.infused.patients and (pending or len(had) + len(will) >= gates.infused.patients):
                return False
        first = min(person.start for person in self.people if person.dose >= latest)
        return gates.one_followed is None or day - first >= gates.one_followed

    def enrol(self, dose, day):
        clock, number = self.clock, (np.array([len(self.people)]), np.array([self.trial]))
        drawn = {stream: float(self.latent[stream](*number)[0]) for stream in self.latent}
        rate, window = self.truth[dose], clock.window
        toxic = drawn[()] < rate
        onset = float(clock.onset.time(drawn[(2,)], rate, window)) if toxic else math.inf
        causes = [("dropout", (4,), clock.dropout), ("progression", (5,), clock.progression)]
        leaves = [(float(clock.discontinuation.time(c, np.array(drawn[s]), window)), ending) for c, s, ending in causes]
        leave, ending = min(leaves, key=lambda pair: pair[0])
        # A DLT and the end of the window come before a patient leaves on the same day.
        after, kind = (onset, "dlt") if toxic else (window, "complete")
        after = min(max(math.ceil(after - 1e-9), 1), window)
        if leave < math.inf and max(math.ceil(leave - 1e-9), 1) < after:
            after, kind = max(math.ceil(leave - 1e-9), 1), {"not-evaluable": "lost", "no-dlt": "complete", "dlt": "dlt"}[ending]
        person = Person(day, dose, day + after, kind)
        self.people.append(person)
        self.cohort.append(person)

    def run(self, most=20_000):
        capacity = math.inf if self.clock.accrual.queue == "unlimited" else self.clock.accrual.queue
        patience = self.clock.accrual.patience_days
        always = self.clock.accrual.process == "always"
        for day in range(most):
            if patience is not None:
                stay = [candidate for candidate in self.queue if candidate + patience >= day]
                self.gone += len(self.queue) - len(stay)
                self.queue = stay
            while not always and self.coming and self.coming[0] <= day:
                self.queue.append(self.coming.pop(0))
            while True:
                wanted = self.wanted(day)
                if wanted == "stop":
                    self.end = day
                    return self
                if wanted == "wait" or not self.allowed(wanted, day) or not (self.queue or always):
                    break
                if not always:
                    self.waited += day - self.queue.pop(0)
                self.enrol(wanted, day)
            while len(self.queue) > capacity:
                self.queue.pop()
                self.turned_away += 1
        raise AssertionError("the trial does not end")


class PlainCourseTrial(PlainTrial):
    """One trial of a design that reads the exposure of courses, each patient's course by its intervals."""

    def __init__(self, *given):
        super().__init__(*given)
        # Cohorts of the escalation, each a planned size and its patients.
        self.cohorts = []

    def courses(self, day, cohorts, finished=False):
        """The courses so far of all patients in some cohorts; the counts of those who are not lost."""
        treatment, doses = self.clock.treatment, self.design.doses
        planned = np.cumsum([0, *treatment.interval_days[:-1]]).tolist()
        intervals, (n, y, complete, pending) = [], np.zeros((4, len(doses)), int)
        for person in (one for _, members in cohorts for one in members):
            known = person.known <= day
            end = min(day, person.known) if known or not finished else person.start + self.clock.window
            days, dlt = end - person.start, known and person.kind == "dlt"
            given = [(at, doses[person.dose]) for at in planned if at < days or at == 0]
            intervals += intervals_of(given, treatment.interval_days, self.clock.window, days, dlt)
            if known and person.kind == "lost":
                continue
            n[person.dose] += 1
            y[person.dose] += dlt
            complete[person.dose] += days >= self.clock.window and not dlt
            pending[person.dose] += not known and not finished
        return PartCourses(tuple(intervals), tuple(n.tolist()), tuple(y.tolist()), tuple(complete.tolist())), pending

    def decided(self, day, cohorts, further=0, dlts=0, finished=False):
        """What the design decides after some cohorts, with further patients of the last whose outcomes are known."""
        courses, pending = self.courses(day, cohorts, finished)
        n, y = np.array(courses.n), np.array(courses.y)
        last, own_n, own_y = -1, 0, 0
        if cohorts:
            own = [one for one in cohorts[-1][1] if not (one.known <= day and one.kind == "lost")]
            last, own_n = cohorts[-1][1][0].dose, len(own) + further
            own_y = sum(one.kind == "dlt" and one.known <= day for one in own) + dlts
            n[last] += further
            y[last] += dlts
        after, own_size, own_dlts, number = (np.array([value], COUNT) for value in (last, own_n, own_y, len(cohorts)))
        state = TimedStates(
            n[None].astype(COUNT),
            y[None].astype(COUNT),
            after,
            own_size,
            own_dlts,
            number,
            np.zeros((1, 0), COUNT),
            pending=pending[None].astype(COUNT),
            courses=(courses,),
        )
        decision = self.design.decide(state)
        # By three patients or more at the lowest dose.
        self.too_toxic = self.design.reasons[int(decision.reason[0])] == "too_toxic" and n[0] >= 3
        return int(decision.dose[0]), int(decision.size[0])

    def wanted(self, day):
        news = not self.people or any(person.known == day for person in self.people)
        if not (news or self.queue or self.clock.accrual.process == "always"):
            # Nobody could start, and nothing has become known.
            return "wait"
        dose = self.answer(day)
        size, fills = self.size, self.fills
        if dose == -1 and any(one.known > day for one in self.people):
            # A stop that would not follow if no pending patient had a DLT is awaited.
            dose = -2 if self.answer(day, finished=True) != -1 else -1
        self.size, self.fills = size, fills
        return {-1: "stop", -2: "wait"}.get(dose, dose)

    def answer(self, day, finished=False):
        """The dose for the next patient, with what a cohort in progress makes of it; as if no pending patient had a DLT."""
        dose, size = self.decided(day, self.cohorts, finished=finished)
        self.size, self.fills, too_toxic = size, False, self.too_toxic
        if self.cohorts and self.design.one_size != 1:
            planned, members = self.cohorts[-1]
            there = sum(not (one.known <= day and one.kind == "lost") for one in members)
            if there < planned:
                return self.short(day, members[0].dose, planned - there, dose, too_toxic, finished)
        return dose

    def short(self, day, dose, missing, now, too_toxic, finished):
        """The dose for the next patient where a cohort is short of patients, and ``now`` the design's answer without them."""
        before, size = self.decided(day, self.cohorts[:-1], finished=finished)
        if before != dose:
            if before != -2 and (now == -2 or before < now):
                self.size = size
                return before
            return now
        if too_toxic:
            return now
        ends = [self.decided(day, self.cohorts, missing, dlts, finished) for dlts in range(missing + 1)]
        down = all(-1 <= end < dose for end, _ in ends)
        if down and -1 <= now < dose:
            return now
        if down and len({end for end, _ in ends}) == 1:
            self.size = ends[0][1]
            return ends[0][0]
        self.fills = True
        return dose

    def enrol(self, dose, day):
        super().enrol(dose, day)
        if self.fills:
            self.cohorts[-1][1].append(self.people[-1])
        else:
            self.cohorts.append((self.size, [self.people[-1]]))
