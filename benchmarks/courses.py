"""Time of part courses: one posterior, and `next` with part courses beside `next` without them.

Run: ``python -m benchmarks.courses``. CPU time, median of alternating runs, so that only the ratios depend on the design.

- one posterior of a hazard per infusion, after further data of a trial, and of the two-parameter logistic curve;
- `next` for a trial with a cohort of three in the middle of the course, by the BLRM of a course and by the BLRM, which waits for
  complete outcomes; and for the same patients with complete courses;
- the same for ten patients who all start on one day, five of them in the middle of the course: cohorts that no design had planned,
  with several readings of the trial.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from statistics import median
from time import process_time

import numpy as np

import dosefind as dsf
from dosefind.evaluability import evaluate
from dosefind.models import Hazard, Logistic2
from dosefind.patients import Patient, Patients
from dosefind.posterior.exact import ExactPosterior, exact_fit
from dosefind.tasks.next_dose import next_dose
from dosefind.tasks.periods import courses_data

FIRST = date(2024, 1, 1)
RUNS = 15


def trial(**designs: dict) -> dsf.Trial:
    table = dsf.load_trial("configs/nct05948982.toml").protocol.model_dump(exclude_unset=True)
    hazard = {"kind": "hazard", "prior": {"mean": [-3.349, 0.0], "sd": [2.0, 1.0]}}
    logistic = {"kind": "logistic-2", "prior": {"mean": [-2.2, 0.0], "sd": [2.0, 1.0]}}
    changed = {"assumed": {}, "binding": None, "designs": designs, "curves": {"hazard": hazard, "logistic-2": logistic}}
    return dsf.Trial.of(dsf.Protocol.read({key: value for key, value in (table | changed).items() if key != "borrowing"}))


def patients(cut: int) -> Patients:
    """Two cohorts of three, the second from day 90."""
    found = []
    for level, first in ((1, 1), (2, 90)):
        for place in range(3):
            days = [day for day in (first + place, first + place + 28, first + place + 56) if day <= cut]
            infusions = tuple(FIRST + timedelta(days=day - 1) for day in days)
            source = (f"row {level}.{place}",)
            last, name = FIRST + timedelta(days=cut - 1), f"{level}.{place}"
            amount = float(2 ** (level - 1))
            found.append(Patient(name, level, amount, infusions, last_contact=last, events=(), source=source))
    return Patients(tuple(found), (), len(found), (), FIRST + timedelta(days=cut - 1), "0" * 64, keeps_contacts=True)


def at_once(*, complete: bool) -> Patients:
    """Ten patients who start on one day, one with a DLT; of the others five are followed up in part unless all are complete."""
    found = []
    for number, (level, days) in enumerate([(1, 84)] * 3 + [(2, days) for days in (40, 84, 84, 70, 50, 20)] + [(1, 56)], start=1):
        dlt = days == 40
        followed = 84 if complete and not dlt else days
        infusions = tuple(FIRST + timedelta(days=day) for day in (0, 28, 56) if day < followed)
        last, source = FIRST + timedelta(days=followed), (f"row {number}",)
        known = {"dlt": True, "dlt_date": last, "events": None} if dlt else {"events": ()}
        found.append(Patient(f"P{number}", level, float(2 ** (level - 1)), infusions, last_contact=last, source=source, **known))
    return Patients(tuple(found), (), len(found), (), FIRST + timedelta(days=84), "0" * 64, keeps_contacts=True)


def medians(*runs: Callable[[int], object]) -> list[float]:
    """Return the median CPU time of each in milliseconds; the first run of each fills its caches."""
    times: list[list[float]] = [[] for _ in runs]
    for number in range(RUNS + 1):
        for place, run in enumerate(runs):
            start = process_time()
            run(number)
            times[place].append(1e3 * (process_time() - start))
    return [median(each[1:]) for each in times]


def main() -> None:
    made = trial(course={"kind": "blrm-course"})
    hazard_curve, logistic_curve = (made.curves[name] for name in ("hazard", "logistic-2"))
    assert isinstance(hazard_curve, Hazard)
    assert isinstance(logistic_curve, Logistic2)
    by_course, by_outcome = made, trial(blrm={"kind": "blrm"})
    evaluated = [evaluate(patients(120 + number), made.protocol) for number in range(RUNS + 1)]

    rates, counts = (*made.protocol.target.interval, made.protocol.target.rate), (np.array([3, 3, 0]), np.array([0, 0, 0]))

    def posterior(curve: Hazard | Logistic2) -> Callable[[int], object]:
        def run(number: int) -> object:
            data = courses_data(curve, evaluated[number].courses, *counts) if isinstance(curve, Hazard) else None
            return ExactPosterior(exact_fit(curve, rates, data), *counts)  # type: ignore[arg-type]

        return run

    hazard, logistic = medians(posterior(hazard_curve), posterior(logistic_curve))
    print(f"one posterior: hazard with part courses {hazard:.1f} ms, two-parameter logistic curve {logistic:.1f} ms")
    part, whole = patients(125), patients(400)
    times = medians(
        lambda _: next_dose(by_course, part), lambda _: next_dose(by_outcome, part), lambda _: next_dose(by_course, whole)
    )
    of_part, of_outcome, of_whole = times
    print(f"next, three part courses: {of_part:.1f} ms")
    print(f"next, the BLRM on the same patients: {of_outcome:.1f} ms (ratio {of_part / of_outcome:.2f})")
    print(f"next, the same patients with complete courses: {of_whole:.1f} ms (ratio {of_part / of_whole:.2f})")
    some, every = at_once(complete=False), at_once(complete=True)
    of_some, of_every = medians(lambda _: next_dose(by_course, some), lambda _: next_dose(by_course, every))
    print(f"next, ten patients at once: {of_some:.1f} ms, with complete courses {of_every:.1f} ms (ratio {of_some / of_every:.2f})")


if __name__ == "__main__":
    main()
