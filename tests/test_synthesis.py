"""Synthetic trials: they obey the protocol where nothing else is asked, and every file of one reads back to the same trial."""

import csv
import json
import math
import re
import shlex
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from click.testing import CliRunner

import dosefind as dsf
from dosefind import InputError, synthesize
from dosefind.cli import main
from dosefind.tasks.synthesis import FILES, KINDS

from .peers import ROOT, published

NAMES = ("nct05962762", "nct05948982")
# Without the designs that do not bind, which only take time here.
AS, DLC = (
    rules.model_copy(update={"designs": {"3+3": rules.designs["3+3"]}, "assumed": {}})
    for rules in (dsf.load_protocol(ROOT / "configs" / f"{name}.toml") for name in NAMES)
)
SEEDS = range(1, 23)
# Kind of a deviation to the rule of conduct that finds it.
RULES = {"schedule": "infusion off its schedule", "stagger": "patients too close together", "dose": "dose not in the protocol"}


@pytest.fixture(scope="module")
def obedient():
    """Twenty-two trials, half under each protocol, in which nobody deviates and every fifth leaves."""
    rules = [(AS, DLC)[seed % 2] for seed in SEEDS]
    made = (synthesize(rule, "middle is MTD", seed=seed, dropout=0.2, deviate=0) for rule, seed in zip(rules, SEEDS, strict=True))
    return list(zip(rules, made, strict=True))


def bare(patients):
    """The patients without the rows that they come from, which no two formats share."""
    return [replace(one, source=(), events=tuple(event._replace(source="") for event in one.events)) for one in patients.patients]


def before(made, number):
    """The trial before its patient of this place (from 0) entered."""
    there = made.patients.patients[:number]
    return replace(made.patients, patients=there, rows=len(there) + sum(len(one.events) for one in there))


def three_plus_three(cohorts, n_doses):
    """The protocols' 3+3 written again in the plainest way: the level after these cohorts, or that it stops."""
    level = cohorts[-1][0]
    n = sum(size for at, size, _ in cohorts if at == level)
    y = sum(dlts for at, _, dlts in cohorts if at == level)
    if y >= 2 or (level == n_doses and (n, y) in ((3, 0), (6, 1))):
        return "stop"
    return level if (n, y) == (3, 1) else level + 1


# The trial


@pytest.mark.slow
def test_a_trial_obeys_the_protocol(obedient):
    for rules, made in obedient:
        found = dsf.next_dose(rules, made.patients, adjudications=made.adjudications)
        leavers = {one.subject for one in made.patients.patients if one.discontinued}
        # Whoever leaves does not have every infusion; nothing else is found.
        assert all(one.rule == "partial course" and set(one.subjects) <= leavers for one in found.findings)
        assert "3+3" not in found.deviations
        assert found.proposal.action == "stop"
        assert found.proposal.words == made.about["ended"]
        assert made.deviations == ()
        assert not found.evaluated.n_pending


@pytest.mark.slow
def test_a_trial_obeys_the_protocol_as_it_is_read_word_for_word(obedient):
    """The same without the package's own rules: level by level, window by window, week by week."""
    for rules, made in obedient:
        cohorts = {}
        window = timedelta(days=rules.treatment.dlt_window_days)
        people = made.patients.patients
        for place, one in enumerate(people):
            earlier = people[:place]
            closed = [min(filter(None, (other.dlt_date, other.discontinued, other.infusions[0] + window))) for other in earlier]
            assert all(day <= one.infusions[0] for other, day in zip(earlier, closed, strict=True) if other.level != one.level)
            same = [other for other in earlier if other.level == one.level]
            assert one.level != 3 or not same or (one.infusions[0] - same[-1].infusions[0]).days >= 7
            counts = one.discontinued is None
            if counts:
                level, size, dlts = cohorts.get(one.cohort, (one.level, 0, 0))
                cohorts[one.cohort] = (level, size + 1, dlts + one.dlt)
                assert level == one.level
            if one.replaces:
                (whom,) = [other for other in earlier if other.subject == one.replaces]
                assert (whom.cohort, whom.level) == (one.cohort, one.level)
                assert whom.discontinued <= one.infusions[0]
        done = list(cohorts.values())
        assert done[0][0] == 1
        for number in range(1, len(done)):
            assert done[number][0] == three_plus_three(done[:number], 3)
        assert three_plus_three(done, 3) == "stop"
        # A cohort is full, but for the last where two DLTs end the trial before.
        assert all(size == 3 for _, size, _ in done[:-1])
        assert done[-1][1] == 3 or sum(dlts for level, _, dlts in done if level == done[-1][0]) >= 2


@pytest.mark.slow
def test_every_patient_enters_where_the_design_would_have_them(obedient):
    for rules, made in obedient[4:10]:
        for place, one in enumerate(made.patients.patients):
            if place:
                said = made.adjudications
                found = dsf.next_dose(rules, before(made, place), one.infusions[0], replay=True, adjudications=said)
                assert found.proposal.level == one.level
                assert found.start.day <= one.infusions[0]


@pytest.mark.slow
def test_a_trial_that_shows_everything(obedient):
    """Over thirty trials: escalation, DLTs, expansion to six, dropouts with their replacements, every way to end."""
    ends = {made.about["ended"] for _, made in obedient}
    assert {"stop, no MTD", "stop, MTD level 1", "stop, MTD level 2"} <= ends
    assert sum(made.about["replaced"] for _, made in obedient) > 10
    assert any("2NNT 2NNN" in made.about["outcomes"] for _, made in obedient)
    events = [event for _, made in obedient for one in made.patients.patients for event in one.events]
    assert {event.grade for event in events} >= {1, 2, 3, 4}
    assert len({event.related for event in events}) == 5


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "rules"), [("schedule", DLC), ("stagger", AS), ("dose", AS)])
def test_simulated_deviations_are_found(kind, rules):
    made_any = 0
    for seed in SEEDS[:4]:
        made = synthesize(rules, [0.02, 0.03, 0.05], seed=seed, dropout=0, deviate=0.3, kinds=[kind])
        found = dsf.next_dose(rules, made.patients, adjudications=made.adjudications)
        expected = {one.subject for one in made.deviations}
        assert {one.kind for one in made.deviations} <= {kind}
        # A patient at a dose that is not in the protocol is a dose group besides.
        groups = {"two dose groups at once", "group started before the last window closed"} if kind == "dose" else set()
        assert {one.rule for one in found.findings} <= {RULES[kind], *groups}
        assert {one.subjects[-1] for one in found.findings if one.rule == RULES[kind]} == expected
        assert set(KINDS) == set(RULES)
        made_any += len(expected)
        for subject in expected if kind == "dose" else ():
            assert found.evaluated[subject].kind == "not evaluable"
    assert made_any > 2


@pytest.mark.slow
def test_dlts_have_the_true_probability(obedient):
    """Of patients who count. DLTs less those expected add up to zero on average wherever a trial stops, as a martingale does."""
    excess, variance, days = np.zeros(3), np.zeros(3), []
    for rules, made in obedient:
        for one in made.patients.patients:
            rate = made.about["DLT rates"][one.level - 1]
            if one.discontinued is None:
                excess[one.level - 1] += one.dlt - rate
                variance[one.level - 1] += rate * (1 - rate)
            if one.dlt:
                days.append((one.dlt_date - one.infusions[0]).days / rules.treatment.dlt_window_days)
    # Within four Monte Carlo standard errors, at each dose and in all; days are uniform on the window.
    assert (variance > 5).all()
    assert (abs(excess) < 4 * np.sqrt(variance)).all()
    assert abs(excess.sum()) < 4 * math.sqrt(variance.sum())
    assert len(days) > 40
    assert abs(np.mean(days) - 0.5) < 4 * math.sqrt(1 / 12 / len(days))
    assert 0 <= min(days) < max(days) <= 1


def test_certain_scenarios():
    tolerated = synthesize(AS, [0, 0, 0], dropout=0, deviate=0)
    assert tolerated.about["outcomes"] == "1NNN 2NNN 3NNN"
    toxic = synthesize(AS, [1, 1, 1], dropout=0, deviate=0, gap=3000)
    # After the second DLT nobody else is treated.
    assert (toxic.about["outcomes"], toxic.about["ended"]) == ("1TT", "stop, no MTD")


def test_another_rate_leaves_the_rest_of_a_patient_as_it_was():
    one, other = (synthesize(AS, [0.2, 0.2, 0.2], seed=4, dropout=rate, deviate=0).patients.patients[0] for rate in (0, 1e-9))
    assert one == other


# A trial under way


def test_a_trial_under_way_is_what_was_known_then():
    rules, seed = AS, 8
    ended = synthesize(rules, "middle is MTD", seed=seed)
    day = date(2023, 12, 20)
    made = synthesize(rules, "middle is MTD", seed=seed, until=day)
    assert made.about["ended"] == "under way on 2023-12-20"
    assert made.patients.last_date == day
    now, then = dsf.evaluate(made.patients, rules, day), dsf.evaluate(ended.patients, rules, day, replay=True)
    assert now.n_pending == made.about["pending"] > 0
    plain = [(one.subject, one.kind, one.cohort, one.first, one.closed) for one in now.statuses]
    assert plain == [(one.subject, one.kind, one.cohort, one.first, one.closed) for one in then.statuses]
    assert all(one.dlt is None for one in made.patients.patients if now[one.subject].kind == "pending")


# Files


@pytest.mark.slow
@pytest.mark.parametrize("rules", [AS, DLC], ids=NAMES)
@pytest.mark.parametrize("until", [None, date(2023, 12, 20)])
def test_every_file_reads_back_to_the_same_trial(rules, until, tmp_path):
    for seed in (3, 8, 10):
        made = synthesize(rules, "middle is MTD", seed=seed, until=until, kinds=list(KINDS))
        folder = tmp_path / str(seed)
        assert sorted(made.write(folder)) == sorted(FILES)
        assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*.*")) == sorted(FILES)
        plain = dsf.read_patients(folder / "patients.csv", rules, events=folder / "events.csv")
        assert plain == made.patients
        # SDTM has no variable for cohorts, DLTs and replacements.
        without = [replace(one, cohort=None, dlt=None, dlt_date=None, replaces=None) for one in bare(made.patients)]
        for kind in ("csv", "xpt"):
            read = dsf.read_patients(folder / f"sdtm-{kind}", rules)
            assert bare(read) == without
            # Yet who counts, and in which cohort, comes out the same.
            assert dsf.evaluate(read, rules).members == dsf.evaluate(plain, rules).members
            assert dsf.next_dose(rules, read).proposal.words == dsf.next_dose(rules, plain).proposal.words
            assert dsf.next_dose(rules, read).attrs["outcomes"] == made.about["outcomes"].replace("none", "")


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        synthesize(DLC, "top is MTD", seed=5).write(tmp_path / name)
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in FILES)
    assert synthesize(DLC, "top is MTD", seed=6).patients != synthesize(DLC, "top is MTD", seed=5).patients


def test_transport_files_have_the_day_of_the_data(tmp_path):
    made = synthesize(AS, [0, 0, 0], seed=1, dropout=0, deviate=0, until=date(2023, 9, 10))
    made.write(tmp_path / "out")
    content = (tmp_path / "out" / "sdtm-xpt" / "dm.xpt").read_bytes()
    assert made.patients.last_date == date(2023, 9, 10)
    assert content.count(b"10SEP23:00:00:00") == 4


def test_synthetic_trial_states_that_it_is_synthetic(tmp_path):
    made = synthesize(AS, "low", seed=2)
    made.write(tmp_path / "out")
    assert (tmp_path / "out" / "README.txt").read_text().startswith("SYNTHETIC DATA: these patients do not exist.\n")
    assert all(one.subject.startswith("SYN-") for one in made.patients.patients)
    for name in ("dm", "ex", "ae", "ds"):
        with (tmp_path / "out" / "sdtm-csv" / f"{name}.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert {row["STUDYID"] for row in rows} == {"SYNTHETIC-NCT05962762"}
        assert {row["DOMAIN"] for row in rows} == {name.upper()}


def test_all_or_nothing_on_disk(tmp_path, monkeypatch):
    made = synthesize(AS, "low", seed=2)
    made.write(tmp_path / "out")
    with pytest.raises(InputError, match=r"has README.txt, patients.csv.*--force overwrites"):
        made.write(tmp_path / "out")
    made.write(tmp_path / "out", force=True)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pyreadstat.write_xport", full)
    with pytest.raises(InputError, match="No space left"):
        made.write(tmp_path / "other" / "place")
    assert not (tmp_path / "other").exists()


# What is shipped

EXAMPLES = (ROOT / "examples" / "README.md").read_text()
COMMANDS = [shlex.split(line)[1:] for line in re.findall(r"^dosefind .*$", EXAMPLES, re.MULTILINE)]


def kept(text):
    """A README of a synthetic trial without the lines that a new version or a change of the config changes."""
    return [line for line in text.splitlines() if not line.startswith(("Versions:", "config sha256:"))]


@pytest.mark.slow
@pytest.mark.parametrize("words", [words for words in COMMANDS if words[0] == "synthesize"], ids=lambda words: words[-1])
def test_the_examples_are_made_by_their_commands(words, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    shipped, again = ROOT / words[-1], tmp_path / "out"
    assert CliRunner().invoke(main, [*words[:-1], str(again)]).exit_code == 0
    assert sorted(str(path.relative_to(shipped)) for path in shipped.rglob("*.*")) == sorted(FILES)
    for name in FILES:
        if name.endswith(".csv"):
            assert (again / name).read_bytes() == (shipped / name).read_bytes(), name
    assert kept((again / "README.txt").read_text()) == kept((shipped / "README.txt").read_text())
    rules = dsf.load_protocol(words[1])
    # Another version of pyreadstat may write other bytes.
    assert bare(dsf.read_patients(again / "sdtm-xpt", rules)) == bare(dsf.read_patients(shipped / "sdtm-xpt", rules))


@pytest.mark.slow
def test_the_other_commands_of_the_examples(monkeypatch):
    monkeypatch.chdir(ROOT)
    # A report is written to a folder; tests of reports do that elsewhere.
    others = [words for words in COMMANDS if words[0] not in ("synthesize", "report")]
    assert [words[0] for words in others[:6]] == ["next", "next", "next", "next", "analyze", "analyze"]
    said = [CliRunner().invoke(main, [*words, "--details"]).stdout for words in others]
    assert "wait until" in said[0].lower() or "complete the current cohort" in said[0].lower()
    findings = json.loads(CliRunner().invoke(main, [*others[1], "--json"]).stdout)["findings"]
    assert {"patients too close together", "infusion off its schedule", "partial course"} <= {row["rule"] for row in findings}
    assert "data cutoff 2023-12-20" in said[2]
    # By courses so far, in both commands.
    assert all("17.1%" in printed for printed in said[3:5])
    # Published: 5, 5 and 5 patients without a DLT, partly inferred; one-sided 95% limits are 1 - 0.05^(1/5) and 1 - 0.05^(1/15).
    assert "1NNNNN 2NNNNN 3NNNNN" in said[-1]
    assert f"{100 * (1 - 0.05 ** (1 / 15)):.1f}%" in said[-1]
    (trial,) = [one for one in published("published_msc_trials")["trials"] if "30044959" in one["citation"]]
    with (ROOT / "examples" / "published" / "sepsis.csv").open() as file:
        rows = [(float(row["dose"]) * 1e6, int(row["n"]), int(row["dlts"])) for row in csv.DictReader(file)]
    assert rows == list(zip(trial["doses_cells_per_kg"], trial["n_per_dose"], trial["dlt_per_dose"], strict=True))


# Bad input, and the command


@pytest.mark.slow
@pytest.mark.parametrize(
    ("truth", "changed", "message"),
    [
        ("midle is MTD", {}, "truth = 'midle is MTD': must be one of .*did you mean 'middle is MTD'"),
        ([0.1, 0.2], {}, r"truth = \[0.1, 0.2\]: must hold 3 probabilities, one per dose"),
        ([0.1, 0.2, 1.2], {}, r"truth = \[0.1, 0.2, 1.2\]: must be probabilities in \[0, 1\]"),
        ([0.1, 0.3, 0.2], {}, r"truth = \[0.1, 0.3, 0.2\]: must not decrease with the dose"),
        ("low", {"seed": -1}, "seed = -1: must be a whole number, at least 0"),
        ("low", {"dropout": 1.5}, "dropout = 1.5: must be a probability from 0 to 1"),
        ("low", {"deviate": "often"}, "deviate = 'often': must be a probability from 0 to 1"),
        ("low", {"kinds": ["day"]}, "kinds = 'day': must be one of 'schedule', 'stagger', 'dose'"),
        ("low", {"gap": -1}, "gap = -1: must be a number of days from 0 to 3650"),
        ("low", {"start": "2024-01-01"}, "start = '2024-01-01': must be a date"),
        ("low", {"until": date(2020, 1, 1)}, "until = '2020-01-01': lies before the start of the trial, 2023-08-30"),
        ("low", {"until": date(2023, 8, 30), "seed": 2}, "until = '2023-08-30': no patient was treated by that day"),
        ("low", {"design": "4+4"}, "design = '4[+]4': must be one of '3[+]3'"),
        ("low", {"dropout": 1}, "with dropout = 1 and deviate = 0.1 the trial does not end: 72 patients were treated"),
    ],
)
def test_bad_input(truth, changed, message):
    with pytest.raises(InputError, match=message):
        synthesize(AS, truth, **changed)


def run(*words):
    return CliRunner().invoke(main, ["synthesize", str(ROOT / "configs" / "nct05962762.toml"), *words])


def test_the_command(tmp_path):
    out = tmp_path / "out"
    done = run("--truth", "0.1,0.25,0.4", "--seed", "8", "--out", str(out))
    assert done.exit_code == 0
    assert done.stdout == (out / "README.txt").read_text()
    assert "wrote README.txt, patients.csv" in done.stderr
    again = run("--truth", "middle is MTD", "--seed", "8", "--out", str(tmp_path / "again"), "--json")
    assert json.loads(again.stdout)["outcomes"] == "1NNN 2NNN 3NNT 3NNN"
    assert (out / "patients.csv").read_bytes() == (tmp_path / "again" / "patients.csv").read_bytes()
    # What there is is refused before anything is made.
    refused = run("--truth", "nonsense", "--out", str(out))
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "--force overwrites" in refused.stderr
    assert run("--truth", "low").exit_code == 2
    wrong = run("--truth", "0.1,x", "--out", str(tmp_path / "none"))
    assert wrong.exit_code == 2
    assert "truth = '0.1,x': must be one of" in wrong.stderr
    assert not (tmp_path / "none").exists()


def test_without_pyreadstat(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyreadstat", None)
    with pytest.raises(InputError, match=r"needs pyreadstat: pip install 'dosefind\[cdisc\]'"):
        synthesize(AS, "low").write(tmp_path / "out")
    assert not (tmp_path / "out").exists()
