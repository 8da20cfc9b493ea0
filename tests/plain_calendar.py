"""A calendar written plainly, one trial and one day at a time, to check the batched one of `dosefind.operating.calendar`."""

import math
from dataclasses import dataclass

import numpy as np

from dosefind.operating.simulation import CHUNK, Latent
from dosefind.trial import COUNT, States, TimedStates


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
        if dose <= max(person.dose for person in self.people):
            return True
        if gates.complete is not None and len(known) < gates.complete and pending:
            return False
        if gates.each_pending is not None:
            least = math.ceil(gates.each_pending * self.clock.window)
            if any(day - person.start < least for person in pending):
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
