"""The table ``endpoints`` of a config: the record's measures with their visits, windows of each patient, refused settings."""

import copy
import re
import tomllib

import pytest

import dosefind as dsf
from dosefind.endpoints import Record, assign, baseline, windows_of

from . import peers
from .planted import faults

CONFIG = peers.ROOT / "configs" / "nct05948982.toml"
PROTOCOL = dsf.load_protocol(CONFIG)
ENDPOINTS = PROTOCOL.endpoints
PLANNED = PROTOCOL.treatment.infusion_days
MEASURES = peers.published("nct05948982_measures")["measures"]


def days_of(time_frame):
    """Days after the first infusion in a time frame as the record prints it; none for a time to an event."""
    found = set()
    for part in time_frame.split(","):
        if match := re.fullmatch(r"\s*(?:Week ?|W)(\d+)\s*", part):
            found.add(7 * int(match[1]) + 1)
        elif match := re.fullmatch(r"\s*Day (\d+)\s*", part):
            found.add(int(match[1]))
    return found


def visits(infusions=PLANNED, endpoints=ENDPOINTS):
    return windows_of(endpoints, PLANNED, infusions)


def test_config_has_every_measure_of_the_record_with_its_visits():
    assert list(ENDPOINTS.measures) == sorted(MEASURES, key=lambda name: (name[0] == "e", int(name.split()[1])))
    for measure, keys in ENDPOINTS.measures.items():
        stated = days_of(MEASURES[measure]["time_frame"])
        for key in keys:
            assert {visit.day for visit in ENDPOINTS.planned(key).values()} == stated, (measure, key)
            screened = "Day -14" in MEASURES[measure]["time_frame"]
            assert (ENDPOINTS.rule_of(key) == "last") == (screened or ENDPOINTS.parameters[key].timed), key
    assert len(ENDPOINTS.measures) == 48


def test_windows_of_the_specification():
    """Midpoints between the visits that follow no single infusion; a day of an infusion belongs to the visit after it."""
    found = {name: (visit.first, visit.last) for name, visit in visits().items() if not visit.after}
    assert list(found.values()) == [(2, 42), (43, 70), (71, 113), (114, 183), (184, 309), (310, 420)]
    after = {name: (visit.first, visit.last) for name, visit in visits().items() if visit.after}
    # Within a day of the visit, and up to the middle between visits, which is part of the earlier one.
    days = [(1, 1), (2, 2), (3, 4), (6, 8), (29, 29), (30, 30), (31, 32), (34, 36), (57, 57), (58, 58), (59, 60), (63, 65)]
    assert list(after.values()) == days


def test_visits_after_an_infusion_move_with_it():
    late = visits((1, 33))
    assert (late["day 29"].target, late["day 35"].target) == (33, 39)
    assert not {"day 57", "day 58", "day 59", "day 64"} & set(late)
    assert late["week 12"].target == 85
    # A sample after the second infusion, given early, is not the visit before it.
    early = visits((1, 27, 57))
    assert assign([Record(28, 1.0)], [early["day 28"], early["day 56"]], (1, 27, 57)) == ({}, {0: ""})
    assert assign([Record(27, 1.0, "pre")], [early["day 28"], early["day 29"]], (1, 27, 57)) == ({"day 28": 0}, {})
    assert assign([Record(27, 1.0, "post")], [early["day 28"], early["day 29"]], (1, 27, 57)) == ({"day 29": 0}, {})


def sample_after_infusion():
    """A sample of day 29 after the infusion is never of day 28, whatever else there is."""
    both = [visits()["day 28"], visits()["day 29"]]
    for point in ("", "post"):
        assert assign([Record(29, 1.0, point)], both, PLANNED)[0] == {"day 29": 0}
        assert assign([Record(29, 1.0, point)], both[:1], PLANNED)[0] == {}
        assert assign([Record(57, 1.0, point)], [visits()["day 56"]], PLANNED)[0] == {}
    assert assign([Record(29, 1.0, "pre")], both, PLANNED)[0] == {"day 28": 0}


def baseline_before_infusion():
    """A sample after the first infusion is never a baseline."""
    for point in ("", "post"):
        assert baseline([Record(-3, 5.0), Record(1, 9.0, point), Record(2, 9.0, "pre")]) == 5.0
        assert baseline([Record(1, 9.0, point)], screening=None) is None


test_day_29_after_infusion_is_not_day_28 = sample_after_infusion
test_sample_after_infusion_is_no_baseline = baseline_before_infusion


def given_before_by_day(record, infusions):
    return sum(day < record.day for day in infusions)


def every_record_before(records, screening=-14):
    return [k for k, record in enumerate(records) if record.day <= 1 and record.day >= (screening or 1)]


FAULTS = {
    "a sample on the day of an infusion is before it": (
        "dosefind.endpoints.visits:given_before", lambda old: given_before_by_day, sample_after_infusion
    ),
    "day 1 is before the infusion": (
        "dosefind.endpoints.visits:baseline_records", lambda old: every_record_before, baseline_before_infusion
    ),
}  # fmt: skip


def refused(change):
    table = copy.deepcopy(tomllib.loads(CONFIG.read_text(encoding="utf-8")))
    change(table["endpoints"])
    with pytest.raises(dsf.InputError) as found:
        dsf.Protocol.read(table | {"assumed": {}})
    return str(found.value)


def at(*path, value):
    def change(table):
        for part in path[:-1]:
            table = table[part]
        table[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("path", "value", "allowed"),
    [
        (("screening",), 1, "-1"),
        (("baseline",), "first", "last"),
        (("main",), ["MELDS"], "MELD"),
        (("main",), ["HCC"], "MELD"),
        (("main_visit",), "day 29", "week 12"),
        (("child_pugh",), {"albumin": [35, 30]}, "albumin g/L"),
        (("meld_etiology",), 2, "1"),
        (("transplant",), "ALT", "TRANSPLANT"),
        (("transplant",), "LTX", "TRANSPLANT"),
        (("visits", "day 28", "day"), 0, "1"),
        (("visits", "day 28", "day"), 60, "increasing"),
        (("visits", "day 29", "infusion"), 4, "3"),
        (("visits", "day 2", "infusion"), 2, "29"),
        (("visits", "day 28", "window"), [30, 40], "28"),
        (("visits", "day 29", "window"), [29, 40], "leave it out"),
        (("last_day",), 300, "last_day"),
        (("schedules", "late"), ["week 12", "week 13"], "week 20"),
        (("schedules", "late"), ["week 20", "week 12"], "increasing"),
        (("parameters", "ALT", "schedule"), "weekly", "labs"),
        (("parameters", "BILI", "unit"), "mmol/L", "umol/L"),
        (("parameters", "HCC", "schedule"), "labs", "event"),
        (("parameters", "ALT", "plausible"), [9, 1], "order"),
        (("parameters", "ALT", "kind"), "value", "change"),
        (("parameters", "ALT", "terms"), ["Hepatitis"], "event"),
        (("parameters", "ALT", "codes"), ["AST"], "AST"),
        (("parameters", "ALT", "ulnn"), 40, "unknown key"),
        (("parameters", "ALT", "better"), "less", "lower"),
        (("parameters", "CHILDPUGH", "shift"), {"A": [5, 7], "B": [7, 9]}, "overlap"),
        (("parameters", "HBVDNA", "shift"), {"A": [5, 7]}, "change"),
        (("parameters", "HCC", "competing"), ["relapse"], "death"),
    ],
    ids=lambda value: ".".join(map(str, value)) if isinstance(value, tuple) else None,
)
def test_settings_that_cannot_be_are_refused(path, value, allowed):
    words = refused(at(*path, value=value))
    assert "endpoints" in words
    assert allowed in words


def test_derived_scores_need_their_parameters():
    assert "CREAT" in refused(lambda table: table["parameters"].pop("CREAT"))


test_fault_is_caught = faults(FAULTS)
