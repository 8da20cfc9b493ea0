"""Outcomes still to come are counted by dose where they are many, and every answer is that of counting them by cohort."""

import random
from datetime import date, timedelta

import pytest

from dosefind import load_protocol, read_patients
from dosefind.evaluability import Evaluated
from dosefind.tasks import next_dose, proposals

from .peers import ROOT

FIRST, CUT = date(2023, 9, 1), date(2199, 1, 1)


def trial(tmp_path, draw):
    """A few cohorts at levels of all kinds, most outcomes open, some known, some patients lost, some beside the escalation."""
    lines = ["subject,cohort,level,part,infusion_1,last_contact,dlt,dlt_date,discontinued,reason"]
    number, day = 0, FIRST
    for cohort in range(draw.randint(4, 6)):
        level = draw.choice((1, 1, 1, 2, 2, 3))
        day += timedelta(days=draw.choice((3, 40)))
        for _ in range(draw.randint(1, 3)):
            number += 1
            left = day + timedelta(days=5)
            tail = {
                "open": ",,,,",
                "no": f"{day + timedelta(days=30)},no,,,",
                "yes": f"{day + timedelta(days=30)},yes,{day + timedelta(days=4)},,",
                "lost": f"{left},no,,{left},moved away",
            }[draw.choices(("open", "no", "yes", "lost"), (6, 1, 1, 1))[0]]
            part = draw.choices(("escalation", "backfill"), (8, 1))[0]
            lines.append(f"S{number:02d},{cohort + 1 if part == 'escalation' else ''},{level},{part},{day},{tail}")
    path = tmp_path / "patients.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def compared(found):
    """What a committee reads of each design, without the order in which possible answers are listed."""
    shown = {}
    for name, one in found.proposals.items():
        reason = one.reason.partition(": ")[0] if one.action in ("wait", "fill") else one.reason
        steps = {(step.level, step.size, step.action, step.mtd, step.not_reached, step.admissible) for _, step in one.completions}
        shown[name] = (
            one.words,
            reason,
            one.admissible,
            one.until,
            one.set_aside,
            steps,
            sum(way.ways for way, _ in one.completions),
        )
    return shown, found.words


def by_level(evaluated, completions):
    """Ways and answers for each number of further DLTs by level, added up from whatever counts there are."""
    added = {}
    for way, step in completions:
        at = {}
        for group, dlts in zip(evaluated.groups, way.dlts, strict=True):
            at[group.level] = at.get(group.level, 0) + dlts
        key = tuple(sorted((level, dlts) for level, dlts in at.items() if dlts))
        ways, answers = added.get(key, (0, set()))
        added[key] = ways + way.ways, answers | {(step.level, step.mtd, step.not_reached)}
    return added


# Seeds of trials in which some cohorts are exchangeable.
@pytest.mark.parametrize(
    "seed", [2, 9, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (4, 8, 10, 13, 16, 20, 26, 34, 36, 37))]
)
def test_counting_by_dose_answers_as_counting_by_cohort(seed, tmp_path, monkeypatch):
    protocol = load_protocol(ROOT / "configs" / "nct05962762.toml")
    data = read_patients(trial(tmp_path, random.Random(seed)), protocol)
    # Whatever is open is counted by dose; and what was planned is looked at in the same way in both.
    monkeypatch.setattr(proposals, "MOST_BY_COHORT", 1)
    pooled = next_dose(protocol, data, CUT)
    monkeypatch.setattr(Evaluated, "by_dose", lambda self, apart: self)
    full = next_dose(protocol, data, CUT)
    assert compared(pooled) == compared(full)
    assert any(len(pooled.proposals[name].completions) < len(one.completions) for name, one in full.proposals.items())
    for name in full.proposals:
        one, other = pooled.proposals[name], full.proposals[name]
        assert len(one.completions) <= len(other.completions)
        assert by_level(pooled.evaluated_for(name), one.completions) == by_level(full.evaluated_for(name), other.completions)
    assert pooled.what_if.columns.tolist() == full.what_if.columns.tolist()
    for column in pooled.what_if:
        assert [set(cell.split("; or ")) for cell in pooled.what_if[column]] == [
            set(cell.split("; or ")) for cell in full.what_if[column]
        ]
