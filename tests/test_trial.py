"""A trial is built once, and a setting says which key of the protocol gives its value."""

from collections import Counter
from datetime import date
from typing import Annotated, ClassVar

import pytest
from pydantic import Field

import dosefind as dsf
from dosefind import summaries
from dosefind.config import protocol_schema
from dosefind.designs import DESIGNS, ThreePlusThree, replay
from dosefind.designs.base import Design, Probability
from dosefind.operating import lattice, walk
from dosefind.protocol import FromTrial
from dosefind.tasks import stamp, without_dlts
from dosefind.tasks import steps as tasks_steps

from . import made_up
from .peers import ROOT

CONFIG = ROOT / "configs" / "nct05962762.toml"


class Windowed(ThreePlusThree):
    """A design with settings of its own that the trial gives; no other file names them."""

    kind: ClassVar[str] = "windowed"

    rate: Annotated[Probability, FromTrial("target.rate")]
    weeks: Annotated[float, FromTrial("treatment.dlt_window_days", lambda days: days / 7, "the DLT window"), Field(le=5)]
    group: Annotated[tuple[int, int] | None, FromTrial("limits.group")] = None
    margin: float = 0.5


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setitem(DESIGNS, "windowed", Windowed)


def protocol(**tables):
    """A shipped protocol with other tables."""
    return dsf.Protocol.read(dsf.load_protocol(CONFIG).model_dump(exclude_unset=True) | {"assumed": {}} | tables)


def small():
    """A protocol with few designs, one of them with a prior, and a curve that is quick."""
    full = dsf.load_protocol(CONFIG)
    designs = {name: full.designs[name] for name in ("3+3", "crm", "boin")}
    return protocol(designs=designs, curves={"power": full.curves["power"]})


def of(*designs, **tables):
    own = {f"own-{number}": {"kind": "windowed", **table} for number, table in enumerate(designs, start=1)}
    return dsf.Trial.of(protocol(designs={**own, "3+3": {"kind": "3+3"}}, **tables))


# Where a setting's value comes from.


def test_setting_takes_the_value_of_its_key(registered):
    trial = of({})
    own, given = trial.designs["own-1"], trial.protocol
    assert (own.rate, own.weeks, own.group) == (given.target.rate, given.treatment.dlt_window_days / 7, given.limits.group)
    # Those of every design; a setting that a class states anew, as the 3+3 its cohort size, keeps its origin.
    assert (own.start, own.cohort_size, own.max_n, own.n_doses) == (1, 3, given.limits.max_n, given.n_doses)


def test_table_of_the_design_comes_first(registered):
    assert [design.rate for design in list(of({"rate": 0.2}, {}).designs.values())[:2]] == [0.2, 0.25]


def test_error_states_the_origin_of_the_value(registered):
    long = protocol().treatment.model_dump(exclude_unset=True) | {"dlt_window_days": 42}
    with pytest.raises(dsf.InputError, match=r"designs\.own-1\.weeks = 6\.0: .* \(it comes from the DLT window\)"):
        of({}, treatment=long)
    # One that the table gives is the table's.
    with pytest.raises(dsf.InputError, match=r"designs\.own-1\.weeks = 7\.0: [^()]*$"):
        of({"weeks": 7.0})


def test_schema_does_not_require_what_the_trial_gives(registered):
    kinds = protocol_schema()["properties"]["designs"]["patternProperties"]["^[A-Za-z0-9+_-]{1,40}$"]["oneOf"]
    required = {one["properties"]["kind"]["const"]: one["required"] for one in kinds}
    assert required["windowed"] == ["kind"]


def test_other_target_reaches_the_setting_that_takes_it(registered):
    target = protocol().target.model_dump(exclude_unset=True) | {"sensitivity": [0.30]}
    trial = of({}, {"rate": 0.2}, target=target)
    there = trial.at_targets[0.30]
    assert (there["own-1"].rate, there["own-2"].rate) == (0.30, 0.2)
    # What does not depend on the target is the same design.
    assert [there[name] is trial.designs[name] for name in trial.designs] == [False, True, True]
    words = dsf.compare(trial)["target"].attrs["definition"]
    assert "own-2 keeps its own rate = 0.2" in words
    assert "3+3 has no target" in words
    assert "own-1" not in words


def test_only_defaults_are_assumed_and_a_key_that_is_taken_has_an_effect(registered):
    found = stamp(of({}))
    assumed = {key: value for key, value, _ in found["assumptions"]}
    assert "margin = 0.5" in assumed["designs.own-1"]
    defaults = {setting.partition(" = ")[0] for setting in assumed["designs.own-1"].split(", ")}
    assert not defaults & {"rate", "weeks", "group", "max_n", "start", "n_doses"}
    assert "limits.group" not in found["without_effect"].split(", ")
    assert "limits.group" in stamp(of({"group": [3, 6]}))["without_effect"].split(", ")


# Built once.


@pytest.fixture
def built(monkeypatch):
    """How often a design of the same settings was built."""
    counts, build = Counter(), Design.__init__

    def counted(self, /, **settings):
        build(self, **settings)
        counts[f"{type(self).__name__}({self.model_dump(exclude_unset=True)})"] += 1

    monkeypatch.setattr(Design, "__init__", counted)
    return counts


def test_tasks_on_one_trial_build_nothing(built):
    rules, patients = small(), made_up.single_dose()
    built.clear()
    trial = dsf.Trial.of(rules)
    trial.check()
    once = set(built.values())
    built.clear()
    dsf.compare(trial)
    dsf.analyze(trial, "1NNN 2NNT")
    dsf.sensitivity(trial, "1NNN 2NNT")
    dsf.paths(trial, "boin", cohorts=1)
    for name in trial.designs:
        dsf.decision_table(trial, name)
    without_dlts(trial)
    dsf.next_dose(trial, patients)
    dsf.synthesize(trial, [0.1, 0.2, 0.3])
    stamp(trial)
    assert once == {1}
    assert not built


@pytest.mark.slow
@pytest.mark.parametrize("patients", [None, made_up.single_dose()], ids=["design", "conduct"])
def test_report_builds_each_design_once(built, patients):
    rules = small()
    built.clear()
    dsf.report(rules, patients)
    assert set(built.values()) == {1}


@pytest.fixture
def walks(monkeypatch):
    """How often the courses of a design's trial were enumerated from the same state."""
    counts, old = Counter(), walk.walk

    def counted(design, n_doses, *, begin=None, **more):
        counts[repr(design), 0 if begin is None else int(begin.n.sum())] += 1
        return old(design, n_doses, begin=begin, **more)

    for module in (lattice, summaries):
        monkeypatch.setattr(module, "walk", counted)
    return counts


@pytest.mark.slow
def test_design_report_enumerates_each_design_once(walks):
    trial = dsf.Trial.of(small())
    dsf.report(trial)
    assert {repr(design) for design in trial.designs.values()} <= {design for design, _ in walks}
    assert set(walks.values()) == {1}
    assert {n for _, n in walks} == {0}


def test_conclusions_are_predicted_on_request(walks):
    trial = dsf.Trial.of(small())
    found = dsf.analyze(trial, "1NNN 2NNT", predicts=False).summary
    assert not walks
    whole = dsf.analyze(trial, "1NNN 2NNT").summary
    assert set(walks.values()) == {1}
    assert found.identical(whole.drop_vars(["conclusion", "conclusion_not_reached"]))


@pytest.fixture
def steps(monkeypatch):
    """How often a design was taken from the same state of a trial to the same next cohort."""
    counts, later = Counter(), replay.state_later

    def counted(design, state, cohort):
        counts[repr(design), *(getattr(state, name).tobytes() for name in ("n", "y", "last", "cohorts")), cohort] += 1
        return later(design, state, cohort)

    for module in (replay, tasks_steps):
        monkeypatch.setattr(module, "state_later", counted)
    return counts


@pytest.mark.parametrize(
    "task",
    [
        lambda trial: dsf.analyze(trial, "1NNN 2NNN 3NNT"),
        lambda trial: dsf.sensitivity(trial, "1NNN 2NNN 3NNT"),
        lambda trial: dsf.next_dose(trial, made_up.single_dose()),
        lambda trial: dsf.paths(trial, "boin", outcomes="1NNN 2NNT"),
        lambda trial: dsf.decide(trial.designs["crm"], "1NNN 2NNT"),
        without_dlts,
    ],
    ids=["analyze", "sensitivity", "next_dose", "paths", "decide", "without_dlts"],
)
def test_trial_is_followed_once(steps, task):
    task(dsf.Trial.of(small()))
    assert set(steps.values()) <= {1}


def test_version_in_force_is_built_once(built):
    changed = protocol(amendment=[{"date": date(2024, 5, 1), "limits": {"max_n": 24}}])
    built.clear()
    trial = dsf.Trial.of(changed)
    assert dsf.Trial.of(trial) is trial
    before, after = trial.in_force(date(2024, 4, 30)), trial.in_force(date(2024, 5, 1))
    assert before is trial
    assert after is trial.in_force(date(2025, 1, 1))
    assert [one.designs["boin"].max_n for one in (before, after)] == [18, 24]
    assert after.protocol is changed.in_force(date(2024, 5, 1))
    assert set(built.values()) == {1}


def test_error_in_an_amended_design_states_the_amendment():
    changed = protocol(amendment=[{"date": date(2024, 5, 1), "designs": {"boin": {"cutoff": 2.0}}}])
    with pytest.raises(
        dsf.InputError, match=r"amendment\[1\]\.designs\.boin\.cutoff = 2\.0: .* \(protocol as amended on 2024-05-01\)"
    ):
        dsf.Trial.of(changed).check()


def test_protocol_gives_the_same_as_its_trial():
    assert dsf.load_protocol(CONFIG) == dsf.load_trial(CONFIG).protocol
    trial = dsf.Trial.of(small())
    assert dsf.analyze(trial.protocol, "1NNN 2NNT").summary.identical(dsf.analyze(trial, "1NNN 2NNT").summary)


def test_invalid_trials_are_rejected():
    with pytest.raises(dsf.InputError, match=r"^trial = 'nothing': must be a Trial or a Protocol: load_trial reads one"):
        dsf.compare("nothing")
