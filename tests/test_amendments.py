"""Dated amendments: versions of a protocol, their checks, and what patients and designs are judged by."""

import json
from dataclasses import replace
from datetime import date, timedelta

import pytest
from click.testing import CliRunner

import dosefind as dsf
from dosefind.cli import main
from dosefind.conduct import findings
from dosefind.config import build_designs, protocol_schema
from dosefind.decisions import read_decisions, record_decision
from dosefind.evaluability import Completion, Followed, evaluate
from dosefind.protocol import Amendment
from dosefind.show.pages.next_dose import last_days
from dosefind.tasks import stamp
from dosefind.tasks.next_dose import next_dose
from dosefind.tasks.proposals import Asked
from dosefind.trial import Cohort

from .made_up import day, event, patient, trial
from .peers import ROOT
from .planted import faults

CONFIG = (ROOT / "configs" / "nct05962762.toml").read_text()
# What every version of the shipped config needs once it has a fourth level.
FOUR = """
scenarios."none toxic" = [0.01, 0.02, 0.03, 0.04]
scenarios.low = [0.02, 0.05, 0.10, 0.15]
scenarios."top is MTD" = [0.02, 0.05, 0.15, 0.27]
scenarios."middle is MTD" = [0.10, 0.25, 0.40, 0.50]
scenarios."low is MTD" = [0.25, 0.40, 0.55, 0.65]
scenarios."all toxic" = [0.45, 0.60, 0.70, 0.80]
"""
WINDOW = '[[amendment]]\ndate = 2024-05-01\nversion = "2.0"\nwhy = "late events"\ntreatment.dlt_window_days = 42\n'
LEVEL = f"[[amendment]]\ndate = 2024-06-01\ndoses.amounts = [1, 3, 5, 7]\nlimits.max_n = 24\n{FOUR}"


def load(folder, *amendments, config=CONFIG):
    path = folder / "trial.toml"
    path.write_text("\n".join((config, *amendments)))
    return dsf.load_protocol(path)


def after(number):
    """Day of the made-up trial, counted from the day of the first amendment, which is day 0."""
    return number + (date(2024, 5, 1) - date(2024, 1, 1)).days + 1


def test_versions_by_date(tmp_path):
    protocol = load(tmp_path, WINDOW, LEVEL)
    assert [when for when, _ in protocol.versions] == [date(2023, 8, 30), date(2024, 5, 1), date(2024, 6, 1)]
    first, second, third = (version for _, version in protocol.versions)
    assert first is protocol
    assert protocol.in_force(date(2020, 1, 1)) is protocol
    assert protocol.in_force(date(2024, 4, 30)) is protocol
    assert protocol.in_force(date(2024, 5, 1)) is second
    assert protocol.in_force(date(2030, 1, 1)) is third
    assert [v.treatment.dlt_window_days for v in (first, second, third)] == [28, 42, 42]
    assert [v.n_doses for v in (first, second, third)] == [3, 3, 4]
    assert [v.limits.max_n for v in (first, second, third)] == [18, 18, 24]
    # The rest of a changed table stays, stagger included.
    assert second.treatment.stagger == first.treatment.stagger
    for version in (second, third):
        assert version.in_force(date(2020, 1, 1)) is version
        assert (version.file, version.sha256) == (protocol.file, protocol.sha256)
        assert version.amended_on == protocol.amended_on == (date(2024, 5, 1), date(2024, 6, 1))
    assert (protocol.amendment[0].version, protocol.amendment[0].why) == ("2.0", "late events")


def test_protocol_without_amendments_is_its_only_version(tmp_path):
    protocol = load(tmp_path)
    assert protocol.versions == ((date(2023, 8, 30), protocol),)
    assert protocol.in_force(date(2099, 1, 1)) is protocol
    assert protocol.without_amendments() is protocol
    assert protocol.amended_on == ()
    amended = load(tmp_path, WINDOW)
    assert amended.without_amendments().model_dump() == protocol.model_dump()
    assert amended.without_amendments().in_force(date(2099, 1, 1)).treatment.dlt_window_days == 28


def test_changes_key_by_key_with_the_value_before(tmp_path):
    changes = load(tmp_path, WINDOW, LEVEL).changes
    assert changes[0] == (date(2024, 5, 1), "2.0", "late events", "treatment.dlt_window_days", 28, 42)
    rows = {(one.date, one.key): (one.before, one.after) for one in changes[1:]}
    assert rows[date(2024, 6, 1), "doses.amounts"] == ((1, 3, 5), [1, 3, 5, 7])
    assert rows[date(2024, 6, 1), "limits.max_n"] == (18, 24)
    assert rows[date(2024, 6, 1), "scenarios.low"] == ((0.02, 0.05, 0.10), [0.02, 0.05, 0.10, 0.15])
    again = "[[amendment]]\ndate = 2024-07-01\ntreatment.dlt_window_days = 35\nlimits.group = [3, 9]\n"
    (_, window, *_) = load(tmp_path, WINDOW, again).changes
    assert (window.key, window.before, window.after) == ("treatment.dlt_window_days", 42, 35)
    assert load(tmp_path).changes == ()


def test_settings_of_designs_are_merged(tmp_path):
    text = '[[amendment]]\ndate = 2024-05-01\ndesigns."3+3".six_at_mtd = true\ndesigns.crm.skeleton = [0.1, 0.25, 0.4]\n'
    before, amended = (version for _, version in load(tmp_path, text).versions)
    assert [build_designs(version)["3+3"].six_at_mtd for version in (before, amended)] == [False, True]
    assert amended.designs["crm"]["safety_cutoff"] == 0.95
    assert build_designs(amended)["crm"].skeleton == (0.1, 0.25, 0.4)
    assert list(amended.designs) == list(before.designs)


def test_changed_keys_count_as_stated_unless_marked(tmp_path):
    text = """[[amendment]]
date = 2024-05-01
dlt.least_grade = 2
limits.max_n = 24
rp2d.limit = 0.3
assumed."rp2d.limit" = "not in the amendment"
"""
    before, amended = ({one.key: one for one in version.assumptions()} for _, version in load(tmp_path, text).versions)
    assert {"dlt", "limits.max_n", "rp2d.limit", "record.version_date", "target.rate"} <= set(before)
    assert not {"dlt", "dlt.least_grade", "limits.max_n", "record.version_date"} & set(amended)
    assert (amended["rp2d.limit"].value, amended["rp2d.limit"].why) == (0.3, "not in the amendment")
    assert amended["target.rate"] == before["target.rate"]
    # The rest of a table that was marked as a whole keeps its reason.
    assert amended["dlt.related"].why == before["dlt"].why


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("[[amendment]]\ntreatment.dlt_window_days = 42\n", "amendment[1].date"),
        ("[[amendment]]\ndate = 2024-05-01\n", "amendment[1]"),
        ("[[amendment]]\ndate = 2024-05-01\nwhy = 'so'\nassumed.target = 'so'\n", "amendment[1]"),
        ("[[amendment]]\ndate = 2023-08-30\ntreatment.dlt_window_days = 42\n", "amendment[1].date"),
        (f"{WINDOW}\n{WINDOW}", "amendment[2].date"),
        (f"{LEVEL}\n{WINDOW}", "amendment[2].date"),
        ("[[amendment]]\ndate = 2024-05-01\nrecord.id = 'X'\n", "amendment[1].record.id"),
        ("[[amendment]]\ndate = 2024-05-01\nrecord.version_date = 2024-05-01\n", "amendment[1].record.version_date"),
        ("[[amendment]]\ndate = 2024-05-01\ndoses.unit = 'mg'\n", "amendment[1].doses.unit"),
        ("[[amendment]]\ndate = 2024-05-01\ntreatment.dlt_window = 42\n", "amendment[1].treatment.dlt_window"),
        ("[[amendment]]\ndate = 2024-05-01\ntreatmnt.dlt_window_days = 42\n", "amendment[1].treatmnt"),
        ("[[amendment]]\ndate = 2024-05-01\ntreatment = 42\n", "amendment[1].treatment"),
        ("[[amendment]]\ndate = 2024-05-01\ntreatment.dlt_window_days = 0\n", "amendment[1].treatment.dlt_window_days"),
        ("[[amendment]]\ndate = 2024-05-01\ntarget.rate = 0.4\n", "amendment[1].target"),
        ("[[amendment]]\ndate = 2024-05-01\nbinding = 'keyboard'\n", "amendment[1].binding"),
        ("[[amendment]]\ndate = 2024-05-01\nlimits.max_n = 24\nassumed.'limits.n' = 'x'\n", "amendment[1].assumed.limits.n"),
        ("[[amendment]]\ndate = 2024-05-01\ndoses.amounts = [1, 5, 7]\n", "amendment[1].doses.amounts"),
        ("[[amendment]]\ndate = 2024-05-01\ndoses.amounts = [1, 3, 5, 7]\n", "amendment[1].scenarios.none toxic"),
        ("[[amendment]]\ndate = 2024-05-01\ndesigns.'3+3'.six = true\n", "amendment[1].designs.3+3.six"),
        (f"{WINDOW}\n[[amendment]]\ndate = 2024-06-01\ncurves.power.prior_sd = -1\n", "amendment[2].curves.power.prior_sd"),
        (f"{WINDOW}\n[[amendment]]\ndate = 2024-06-01\nborrowing.dose = 'none'\n", "amendment[2].borrowing.dose"),
    ],
)
def test_wrong_amendment_is_named_with_its_key(tmp_path, text, where):
    with pytest.raises(dsf.InputError) as error:
        load(tmp_path, text)
    assert where in [problem.where for problem in error.value.problems]
    assert all(problem.where.startswith(where.partition("]")[0]) for problem in error.value.problems)
    assert str(error.value).startswith(str(tmp_path / "trial.toml"))


def test_every_table_can_be_amended_and_the_schema_knows_its_keys():
    own = {"date", "version", "why"}
    # The rules on parts have days of their own; variables of the data have one name in a trial.
    assert set(Amendment.model_fields) == own | set(dsf.Protocol.model_fields) - {"amendment", "parts", "intake"}
    schema = protocol_schema()
    tables = schema["$defs"]["Amendment"]["properties"]
    amended = schema["$defs"]["AmendedTreatment"]
    assert tables["treatment"]["allOf"][0]["$ref"] == "#/$defs/AmendedTreatment"
    assert set(amended["properties"]) == set(schema["$defs"]["Treatment"]["properties"])
    assert "required" in schema["$defs"]["Treatment"]
    assert "required" not in amended
    text = json.dumps(schema)
    for name in schema["$defs"]:
        assert f'"#/$defs/{name}"' in text, name
    assert {ref.partition('"')[0] for ref in text.split('"#/$defs/')[1:]} == set(schema["$defs"])


def test_a_start_is_judged_by_the_rules_of_its_day(tmp_path):
    """Sequential dose groups are given up by an amendment: who started before it, while another group was open, deviated."""
    protocol = load(tmp_path, "[[amendment]]\ndate = 2024-05-01\ntreatment.no_overlap = false\n")
    rules = {}
    for start in (-20, 40):
        people = trial(patient("A1", 1, after(start)), patient("B1", 2, after(start + 5)))
        found = evaluate(people, protocol, day(after(start + 60)))
        rules[start] = [finding.rule for finding in findings(found, protocol)]
    assert rules == {-20: ["group started before the last window closed"], 40: []}


def test_staggering_of_an_amendment_is_asked_of_patients_treated_since(tmp_path):
    text = '[[amendment]]\ndate = 2024-05-01\ntreatment.stagger = { days = 7, levels = "all", patients = "every" }\n'
    protocol = load(tmp_path, text)
    people = [patient(f"A{place}", 1, after(start)) for place, start in enumerate((-3, -1, 2, 4), start=1)]
    found = findings(evaluate(trial(*people, last=after(60)), protocol), protocol)
    assert [(one.rule, one.subjects) for one in found] == [
        ("patients too close together", ("A2", "A3")),
        ("patients too close together", ("A3", "A4")),
    ]


def test_each_patient_has_the_window_of_the_first_infusion(tmp_path):
    protocol = load(tmp_path, WINDOW)
    people = [patient("A1", 1, after(-10)), patient("A2", 1, after(-1)), patient("A3", 1, after(0)), patient("A4", 1, after(5))]
    found = evaluate(trial(*people, last=after(60)), protocol)
    assert [(one.end - one.first).days for one in found.statuses] == [28, 28, 42, 42]
    assert {one.kind for one in found.statuses} == {"complete"}
    # 30 days after the amendment only those treated before it are complete.
    found = evaluate(trial(*people, last=after(60)), protocol, day(after(30)), replay=True)
    assert [one.kind for one in found.statuses] == ["complete", "complete", "pending", "pending"]
    assert [found[subject].days_to_go for subject in ("A3", "A4")] == [12, 17]
    # An event 35 days after the first infusion is a DLT of a patient treated since the amendment only.
    late = [patient("A1", 1, after(-1), events=(event(after(34)),)), patient("A2", 1, after(0), events=(event(after(35), row=2),))]
    assert [one.kind for one in evaluate(trial(*late, last=after(60)), protocol).statuses] == ["complete", "dlt"]


def test_each_patient_has_the_definition_of_a_dlt_of_the_first_infusion(tmp_path):
    text = "[[amendment]]\ndate = 2024-05-01\ndlt.least_grade = 2\ndlt.not_assessed = ['unclear']\ndlt.related = ['unknown']\n"
    protocol = load(tmp_path, text + "dlt.unrelated = ['no']\n")
    people = [
        patient("A1", 1, after(-2), events=(event(after(0), grade=2, related="related"),)),
        patient("A2", 1, after(-1), events=(event(after(1), related="unknown", row=2),)),
        patient("A3", 1, after(0), events=(event(after(1), grade=2, related="unknown", row=3),)),
    ]
    found = evaluate(trial(*people, last=after(60)), protocol)
    assert [one.kind for one in found.statuses] == ["complete", "pending", "dlt"]
    # A word is read as the patient's version reads it, and one that this version does not know is an error.
    stranger = patient("A4", 1, after(3), events=(event(after(4), related="related", row=4),))
    with pytest.raises(dsf.InputError, match="A4"):
        evaluate(trial(*people, stranger, last=after(60)), protocol)


def test_dlt_column_is_checked_against_the_patients_own_window(tmp_path):
    protocol = load(tmp_path, WINDOW)
    early = patient("A1", 1, after(-1), dlt=True, dlt_date=after(34), events=None)
    late = patient("A2", 1, after(0), dlt=True, dlt_date=after(35), events=None)
    assert evaluate(trial(late, last=after(60)), protocol)["A2"].kind == "dlt"
    with pytest.raises(dsf.InputError, match="A1"):
        evaluate(trial(early, late, last=after(60)), protocol)


def levels():
    """Nine patients without a DLT at three levels, all treated before the first amendment."""
    return [patient(f"P{n}", 1 + n // 3, after(-110 + 40 * (n // 3) + 8 * (n % 3))) for n in range(9)]


def test_level_added_on_top(tmp_path):
    protocol = load(tmp_path, WINDOW, LEVEL)
    data = trial(*levels(), last=after(60))
    before = next_dose(protocol, data, day(after(30)), replay=True)
    assert (before.amounts, before.proposal.mtd, before.proposal.not_reached) == ((1, 3, 5), "3", True)
    assert before.attrs["protocol_version"] == "2024-05-01"
    now = next_dose(protocol, data)
    assert (now.amounts, now.proposal.action, now.proposal.level) == ((1, 3, 5, 7), "escalate", 4)
    assert (now.attrs["protocol_version"], now.attrs["amended_on"]) == ("2024-06-01", "2024-05-01, 2024-06-01")
    assert now.attrs["config_sha256"] == before.attrs["config_sha256"] == protocol.sha256
    first = next_dose(protocol, data, day(after(-1)), replay=True)
    assert first.attrs["protocol_version"] == "2023-08-30"
    # A patient at the added level is at a dose that the protocol did not have before.
    more = trial(*levels(), replace(patient("P9", 3, after(29)), level=4, amount=7.0), last=after(60))
    assert evaluate(more, protocol)["P9"].level == 4
    assert evaluate(more, protocol, day(after(30)), replay=True)["P9"].level is None


def test_decision_keeps_the_version_in_force(tmp_path):
    protocol, path, data = load(tmp_path, WINDOW, LEVEL), tmp_path / "decisions.csv", trial(*levels(), last=after(60))
    for when in (after(-1), after(30), after(60)):
        found = next_dose(protocol, data, day(when), replay=True)
        record_decision(path, found.record("wait", "so"))
    recorded = read_decisions(path, "NCT05962762")
    assert [one.protocol_version for one in recorded] == [when for when, _ in protocol.versions]


def test_patients_are_read_against_the_levels_of_the_latest_version(tmp_path):
    protocol, path = load(tmp_path, WINDOW, LEVEL), tmp_path / "patients.csv"
    path.write_text("subject,level,infusion_1\nA1,4,2024-06-03\nA2,3,2024-03-01\n")
    found = dsf.read_patients(path, protocol).patients
    assert [(one.subject, one.level, one.amount) for one in found] == [("A2", 3, 5), ("A1", 4, 7)]


def test_level_added_below_needs_the_dose_of_each_patient(tmp_path):
    text = LEVEL.replace("[1, 3, 5, 7]", "[0.5, 1, 3, 5]")
    protocol, path = load(tmp_path, text), tmp_path / "patients.csv"
    path.write_text("subject,level,infusion_1\nA1,1,2024-03-01\n")
    with pytest.raises(dsf.InputError, match="row 2, subject A1, level = '1': needs the column dose"):
        dsf.read_patients(path, protocol)
    path.write_text("subject,dose,infusion_1\nA1,1,2024-03-01\n")
    patients = dsf.read_patients(path, protocol)
    # The level of a dose is that of the version in force at the data cut.
    assert [evaluate(patients, protocol, when)["A1"].level for when in (date(2024, 5, 31), date(2024, 6, 1))] == [1, 2]


def test_results_say_their_version(tmp_path):
    protocol = load(tmp_path, WINDOW)
    said = stamp(protocol)
    assert (said["protocol_version"], said["amended_on"]) == ("2023-08-30", "2024-05-01")
    assert "amendment" in said["without_effect"].split(", ")
    assert stamp(protocol.in_force(date(2024, 5, 1)))["protocol_version"] == "2024-05-01"
    assert stamp(load(tmp_path))["amended_on"] == ""
    load(tmp_path, WINDOW)
    rows = ["subject,level,infusion_1", "A1,1,2024-05-02"]
    (tmp_path / "patients.csv").write_text("\n".join(rows) + "\n")
    words = {
        ("next", "--data", str(tmp_path / "patients.csv")): "2024-05-01",
        ("table", "--design", "3+3"): "2023-08-30",
        ("analyze",): "2023-08-30",
    }
    for (command, *options), version in words.items():
        found = CliRunner().invoke(main, [command, str(tmp_path / "trial.toml"), *options])
        assert found.exit_code == 0, found.stderr
        assert f"Protocol version of {version}" in found.stdout


def test_notebook_shows_the_version_and_the_amendments(tmp_path):
    shown = [version._repr_html_() for _, version in load(tmp_path, WINDOW).versions]
    assert all("2024-05-01" in html for html in shown)
    assert "amendments" not in load(tmp_path)._repr_html_()


def test_synthetic_trial_has_the_version_in_force_when_it_opens(tmp_path):
    protocol = load(tmp_path, WINDOW)
    for start, days in ((date(2024, 4, 1), 28), (date(2024, 5, 1), 42)):
        made = dsf.synthesize(protocol, "low", seed=2, start=start, dropout=0, deviate=0)
        statuses = evaluate(made.patients, made.protocol).statuses
        assert {(one.end - one.first).days for one in statuses} == {days}


def test_last_days_of_windows_before_and_after_an_amendment(tmp_path):
    people = [patient("A1", 1, after(-10)), patient("A2", 1, after(0)), patient("A3", 1, after(5))]
    assert last_days(evaluate(trial(*people, last=after(60)), load(tmp_path, WINDOW))) == "29 or 43"
    assert last_days(evaluate(trial(*people, last=after(60)), load(tmp_path))) == "29"


@pytest.mark.slow
def test_report_is_of_the_version_in_force(tmp_path):
    protocol = load(tmp_path, WINDOW, LEVEL)
    found = dsf.report(protocol, trial(*levels(), last=after(60)))
    assert "2024-06-01" in str(found.facts)
    method = next(section for section in found.sections if section.id == "method")
    rows = [["".join(run.text for run in cell) for cell in row] for row in method.blocks[1].rows]
    assert rows[0] == ["2024-05-01", "2.0", "treatment.dlt_window_days", "28", "42", "late events"]
    assert [row[2] for row in rows] == [one.key for one in protocol.changes]


FAULTS = {
    "the latest version is in force on every day": (
        "dosefind.protocol:Protocol.in_force",
        lambda _: lambda self, day: self.versions[-1][1],
        test_each_patient_has_the_window_of_the_first_infusion,
    ),
}

test_fault_is_caught = faults(FAULTS)


INSERTED = """
[[amendment]]
date = 2024-03-20
doses.amounts = [1, 2, 3, 5]
treatment.stagger.levels = [4]
scenarios."none toxic" = [0.01, 0.02, 0.02, 0.03]
scenarios.low = [0.02, 0.03, 0.05, 0.10]
scenarios."top is MTD" = [0.05, 0.10, 0.15, 0.27]
scenarios."middle is MTD" = [0.10, 0.15, 0.25, 0.40]
scenarios."low is MTD" = [0.25, 0.30, 0.40, 0.55]
scenarios."all toxic" = [0.45, 0.50, 0.60, 0.70]
"""
# Dose and first infusion, 28 days followed: three by the 3+3 at the doses of the first version, and a group at the top dose.
STARTS = [(1, "2024-01-01"), (1, "2024-01-02"), (1, "2024-01-03"), (3, "2024-02-07"), (3, "2024-02-08"), (3, "2024-02-09")]
TOP = [(5, "2024-03-12"), (5, "2024-03-13"), (5, "2024-03-14")]


def inserted(folder, starts):
    protocol = load(folder, INSERTED)
    rows = ["subject,dose,infusion_1,last_contact"]
    for place, (dose, start) in enumerate(starts, start=1):
        rows.append(f"A{place},{dose},{start},{date.fromisoformat(start) + timedelta(28)}")
    (folder / "patients.csv").write_text("\n".join(rows) + "\n")
    (folder / "events.csv").write_text("subject,term,grade,related,start,serious\n")
    return protocol, dsf.read_patients(folder / "patients.csv", protocol, events=folder / "events.csv")


def test_cohorts_of_an_earlier_version_stay_planned_after_a_dose_is_inserted(tmp_path):
    """By the first version dose 3 followed dose 1: its cohort is part of the escalation, whatever doses were inserted later."""
    protocol, data = inserted(tmp_path, STARTS)
    before = next_dose(protocol, data, date(2024, 3, 19), replay=True)
    after_it = next_dose(protocol, data, date(2024, 3, 20), replay=True)
    assert [(one.proposal.action, one.amounts[one.proposal.level - 1]) for one in (before, after_it)] == [("escalate", 5)] * 2
    assert (after_it.proposal.set_aside, after_it.proposal.other_reading, after_it.deviations.get("3+3")) == ((), None, None)
    protocol, data = inserted(tmp_path, STARTS + TOP)
    found = next_dose(protocol, data, date(2024, 4, 12), replay=True)
    assert (found.proposal.action, found.proposal.mtd, found.proposal.set_aside) == ("stop", "4", ())


def test_staggering_is_by_the_level_numbers_of_the_version_in_force_at_the_start(tmp_path):
    protocol, data = inserted(tmp_path, STARTS + TOP)
    found = findings(evaluate(data, protocol, date(2024, 4, 12)), protocol)
    close = [one.subjects for one in found if one.rule == "patients too close together"]
    assert close == [("A7", "A8"), ("A8", "A9")]


def test_cohort_of_a_decision_is_treated_as_decided_though_dlts_came_to_be_known_after_it(tmp_path):
    """The answer is as cautious as without the decision, which did not know of the DLTs; the cohort is no deviation."""
    protocol, path = load(tmp_path), tmp_path / "decisions.csv"
    people = [patient(f"P{n}", 1 + n // 3, 1 + 36 * (n // 3) + n % 3) for n in range(6)]
    at = replace(next_dose(protocol, trial(*people, last=69), day(69)))
    record_decision(path, at.record("level 3", "as recommended"))
    late = [replace(one, events=(event(45),)) if n in (3, 4) else one for n, one in enumerate(people)]
    data = trial(*late, patient("P6", 3, 70), last=80)
    for decisions, decided in ((path, {"P6"}), (None, set())):
        found = next_dose(protocol, data, decisions=decisions)
        assert (found.proposal.action, found.proposal.mtd) == ("stop", "1")
        assert found.treated_as_decided == decided
        other = found.proposal.other_reading
        assert {*found.proposal.set_aside, *(other.set_aside if other else ())} == {"P6"}


def test_follow_up_in_a_shorter_window_is_rounded_down():
    """15 of 28 days are 7.5 of 14: a patient never has more follow-up than there was."""
    design = dsf.TITEBOIN(target=0.25, n_doses=3, window_days=14)
    asked = Asked(design, 3)
    halves = [
        Completion((0,), [Cohort(1, 3, 0)], 1, (), (Cohort(1, 1, 0),), None, Followed(((1, days, of),), 0))
        for days, of in ((15, 28), (7, 14), (8, 14))
    ]
    words = [asked.explained(step).reason for step in asked.after_each(halves)]
    assert words[0] == words[1] != words[2]
