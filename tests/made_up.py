"""Made-up patients for tests: study days instead of dates, rows numbered by themselves."""

from datetime import date, timedelta
from itertools import count

import dosefind as dsf
from dosefind.patients import AdverseEvent, Patient, Patients

from .peers import ROOT


def day(number):
    """Day of the made-up trial, which begins on 1 January 2024."""
    return date(2024, 1, 1) + timedelta(days=number - 1)


def protocol(name="nct05962762", **changed):
    """A shipped protocol with some keys of its tables changed: ``treatment={"no_overlap": False}``."""
    table = dsf.load_protocol(ROOT / "configs" / f"{name}.toml").model_dump(exclude_unset=True) | {"assumed": {}}
    for key, values in changed.items():
        table[key] = table.get(key, {}) | values
    return dsf.Protocol.read(table)


def event(start, grade=3, related="possibly related", term="fever", row=1, serious=None):
    return AdverseEvent(term, grade, related, None if start is None else day(start), f"ae.csv row {row}", serious)


def patient(subject, level, *infusions, **fields):
    """A patient by the days of the infusions; without adverse events unless some are given."""
    dates = {key: day(value) for key, value in fields.items() if key in ("last_contact", "dlt_date", "discontinued")}
    amounts = (1, 3, 5)
    given = {"amount": 2 if level is None else amounts[level - 1], "events": (), "source": (f"patients.csv row {subject}",)}
    return Patient(**{"subject": subject, "level": level, "infusions": tuple(map(day, infusions)), **given, **fields, **dates})


def trial(*patients, listed=(), last=None):
    """A trial of these patients, each row in its place; the data end on the last date there is, or on day ``last``."""
    rows = {row for one in patients for row in (*one.source, *(e.source for e in one.events or ()))}
    dates = [
        found
        for one in patients
        for found in (*one.infusions, one.last_contact, one.dlt_date, one.discontinued, *(e.start for e in one.events or ()))
        if found is not None
    ]
    end = max(dates) if last is None else day(last)
    return Patients(tuple(patients), tuple(listed), len(rows) + len(listed), (), end, "0" * 64, keeps_contacts=True)


def single_dose():
    """A trial under NCT05962762: one DLT in three, three more, one of whom leaves and is replaced; then the second dose."""
    rows = count(1)
    return trial(
        patient("A1", 1, 1),
        patient("A2", 1, 3, events=(event(10, row=next(rows)), event(5, grade=2, row=next(rows)))),
        patient("A3", 1, 5, events=(event(40, row=next(rows)),)),
        patient("A4", 1, 40),
        patient("A5", 1, 41, discontinued=50, reason="withdrew consent"),
        patient("A6", 1, 42, events=(event(45, related="unlikely", row=next(rows)),)),
        patient("A7", 1, 55, replaces="A5"),
        patient("A8", 2, 90),
        patient("A9", 2, 91),
        patient("A10", 2, 92),
    )


def three_doses():
    """A trial under NCT05948982: rescue treatment, a missed infusion, and a DLT on the last day of the window."""
    return trial(
        patient("B1", 1, 1, 29, 57),
        patient("B2", 1, 8, 36, discontinued=60, reason="Rescue treatment: albumin"),
        patient("B3", 1, 15, 43),
        patient("B4", 1, 71, 99, 127, events=(event(155),)),
        last=155,
    )
