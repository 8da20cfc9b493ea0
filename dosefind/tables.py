"""Labelled results as tables for a terminal; no computation."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from . import terminal
from .conduct import OTHER_LEVEL
from .provenance import named_column
from .tasks.holds import trigger_words
from .tasks.standing import (
    Caution,
    PartCount,
    RecordCaution,
    cautions,
    doses_in_question,
    event_state,
    event_words,
    leading_events,
    overturned,
    part_counts,
    readings,
    record_cautions,
    standing,
)

if TYPE_CHECKING:
    import pandas as pd

    from .chain import Chain
    from .decisions import Recorded
    from .evaluability import Evaluated, SeriousEvent, Status
    from .patients import Patient
    from .tasks import NextDose

__all__ = [
    "Aside",
    "assumed",
    "frame",
    "next_dose",
    "record_words",
    "rules",
    "sensitivity",
    "show",
    "unfolded",
]

# Text is folded at the terminal's width, at most here; so are headings of tables, which take what they need for their figures.
_WIDTH = 118
_TABLE_WIDTH = 1000
_INDENT = "    "
# Whether lines and tables are made for a place that folds them itself.
_UNFOLDED = ContextVar("_UNFOLDED", default=False)
# A column of words is at least so wide, and for its sake others are folded to no less than this.
_LEAST_WORDS, _LEAST_CELL = 18, 10
# A cell of words in a table of figures is folded at this.
_FOLDED = 40
# Notes on the data that are shown without details.
_NOTES = 8
# Stands for the second column of a sign that takes two: no character (Unicode, section 23.7), so that no text has it.
_FILLER = "\ufdd0"
# Times the lowest or highest dose beyond which an amount is not given.
FAR = 10
# A numerical error below this is not shown: it is far below the last digit.
LEAST_ERROR = 1e-6
# Reasons for which a smaller share of trials ends are not shown.
LEAST_SHARE = 0.005


class Aside(Group):
    """What a reader may look up, under its title: a notebook shows it on demand."""


@contextmanager
def unfolded() -> Iterator[None]:
    """Make lines and tables as wide as they are, for a browser to fold."""
    token = _UNFOLDED.set(True)
    try:
        yield
    finally:
        _UNFOLDED.reset(token)


def show(content: Any) -> None:
    """Print to standard output, without trailing blanks; bold and dim only where it is a terminal that wants it."""
    # NO_COLOR (https://no-color.org) alone would keep bold and dim.
    colours = None if os.environ.get("NO_COLOR") else "auto"
    console = Console(highlight=False, markup=False, emoji=False, width=_TABLE_WIDTH, color_system=colours)
    with console.capture() as capture:
        console.print(_visible(content, terminal.encoding_of(sys.stdout)))
    terminal.send(sys.stdout, "".join(f"{line.rstrip()}\n" for line in capture.get().split("\n")).removesuffix("\n"))


def _visible(part: Any, encoding: str) -> Any:
    """Return a piece in which no text of data controls the terminal, in characters that it can print."""
    if isinstance(part, str):
        return terminal.shown(part, encoding)
    if isinstance(part, Text):
        return Text(terminal.shown(part.plain, encoding), part.style)
    if isinstance(part, Group):
        return Group(*(_visible(one, encoding) for one in part.renderables))
    if isinstance(part, Table):
        for column in part.columns:
            column.header = _visible(column.header, encoding)
            column._cells = [_visible(one, encoding) for one in column.cells]
    return part


def version(attrs: Mapping[str, Any]) -> list[Text]:
    """Which version of the protocol a result is of, where the config has amendments."""
    if not attrs.get("amended_on"):
        return []
    return [_folded(f"Protocol version of {attrs['protocol_version']}. The config has amendments of {attrs['amended_on']}.")]


def method(attrs: Mapping[str, Any]) -> str:
    """How operating characteristics were computed, and with what error."""
    if attrs["method"] != "simulated":
        return f"Method: {attrs['method']}, no Monte Carlo error."
    trials = f"{attrs['n_trials']:,} trials a scenario, seed {attrs['seed']}"
    return f"Method: {attrs['method']}, {trials}; \u00b1 is one standard error."


def next_dose(found: NextDose, details: bool = False) -> Group:
    """Return what leads, the next step, doses, what would follow, patients, designs, deviations and decisions as tables.

    ``details`` adds each patient's rule and rows, the next step of every other design in each case, the paths of the next cohorts,
    the rules of the other designs and all assumptions.
    """
    attrs, tables = found.attrs, found.tables
    assumed_cut = " (assumed: the last date in the data)" if attrs["as_of_assumed"] else ""
    none = [Text(f"{_INDENT}none")]
    # Deviations are from the primary design only.
    others = [f"rules of {name}" for name in found.proposals if name != found.binding]
    left = tables["findings"] if details else tables["findings"].loc[~tables["findings"]["rule"].isin(others)]
    parts: list[Any] = [
        _folded(f"{attrs['protocol']}: data cutoff {attrs['as_of']}{assumed_cut}.", style="bold"),
        *version(attrs),
        *_answer(found),
        Text("\nPatients and DLTs by dose", "bold"),
        *_doses_so_far(found),
        *_following(found),
        *(_who_counts(found) if found.evaluated.statuses else []),
        _folded(attrs["closing"]),
        *_notes(json.loads(attrs["notes"]), details),
        Text("\nNext step by design", "bold"),
        _wrapped(_designs(found), "reason"),
        *[Text("\nDeviations", "bold"), *([_wrapped(left, "finding")] if len(left) else none), *_assumed_rules(found)],
        *[
            Text("\nDecisions of the committee", "bold"),
            *([_indented(_decided(*one)) for one in zip(found.recorded, found.followed, strict=True)] or none),
        ],
        *(_details(found, tables) if details else []),
    ]
    every, assumptions = json.loads(attrs["rules"]), json.loads(attrs["assumptions"])
    bearing = assumptions if details else [one for one in assumptions if _bears(one[0], found.binding)]
    parts.append(rules(every if details else {found.binding: every[found.binding]}))
    parts.append(Aside(Text("\nPause rules", "bold"), *map(_indented, json.loads(attrs["pause"]))))
    parts.append(assumed(bearing, attrs["without_effect"] if details else ""))
    if not details:
        left = f"the {len(assumptions) - len(bearing)} other assumptions" if len(bearing) < len(assumptions) else "more"
        parts.append(Text())
        parts.append(
            _folded(f"--details adds each patient's rule, the other designs in each case, paths, their rules, and {left}.")
        )
    return Group(*parts)


def _notes(notes: list[str], details: bool) -> list[Text]:
    """Notes, of which those on single rows can be as many as there are rows."""
    more = 0 if details else max(0, len(notes) - _NOTES)
    last = [_indented(f"and {more:,} more notes: --details")] if more else []
    # What was made of the data as a whole comes after what was made of their rows.
    return [*map(_indented, notes[more:]), *last]


def _bears(key: str, binding: str) -> bool:
    """Return whether the next step by the primary design depends on the assumption under a key."""
    tables = ("dlt", "evaluability", "treatment", "limits", "pause")
    return key.split(".")[0] in tables or key in (f"designs.{binding}", "target.rate")


def _doses_so_far(found: NextDose) -> list[Any]:
    """Return patients and DLTs by dose, with the upper limit of the DLT rate from these alone."""
    doses = found.doses
    limits = zip(doses["upper_limit"], doses["counted"], strict=True)
    shown = doses.assign(upper_limit=[f"{100 * limit:.0f}%" if n else "-" for limit, n in limits])
    table = _grid(shown.rename(columns={"counted": "outcome known", "dlts": "DLTs", "upper_limit": "upper limit"}))
    words = (
        f"Doses in {found.attrs['unit']}. Upper limit: one-sided 95% limit of the DLT rate, from the patients at that dose alone."
    )
    pending = f"; pending: {found.attrs['pending']}" if found.attrs["pending"] else ""
    return [table, _folded(f"Known outcomes by cohort: {found.attrs['outcomes'] or 'none yet'}{pending}."), _folded(words)]


def _following(found: NextDose) -> list[Any]:
    """Return the next steps by the primary design: by pending outcomes where it waits, else by outcomes of the next patients."""
    name = found.binding
    if found.proposal.action == "wait":
        title = f"Next step by {name}, by the pending outcomes (ways: number of assignments of outcomes to patients)"
        own = named_column("design", name)
        return [Text(), _folded(title, style="bold"), _wrapped(found.completions.loc[:, ["further DLTs", "ways", own]], own)]
    if found.proposal.level is None:
        return []
    row = found.what_if.set_index("design").loc[name].drop("next")
    cases = [f"{_INDENT}{dlts}: {words}" for dlts, words in row.items() if words]
    title = f"Next step by {name} after the next patients" + " ('or': depends on pending outcomes)" * bool(found.attrs["pending"])
    return [Text(), _folded(title, style="bold"), *map(Text, cases)]


def _who_counts(found: NextDose) -> list[Any]:
    """Return one row per patient, with the reason for the status in a few words, and the days of the window."""
    audit = found.evaluated.audit().drop(columns=["source", "rule"])
    audit["status"] = audit["status"].replace("dlt", "DLT")
    people = zip(found.evaluated.statuses, found.evaluated.patients, strict=True)
    audit["note"] = [_noted(status, patient) for status, patient in people]
    audit = audit.drop(columns=["part", "assigned", "administered"], errors="ignore")
    audit.columns = ["subject", "cohort", "level", "status", "first\ninfusion", "window\nends", "note"]
    words = (
        f"The first infusion is on day 1 and the DLT window ends with day {last_days(found.evaluated)}: a DLT that begins on that "
        "day counts, and a patient who was followed up to it without one is complete."
    )
    return [Text("\nEvaluability for DLT", "bold"), _wrapped(audit, "note"), _folded(words)]


def last_days(evaluated: Evaluated) -> str:
    """Return the last day of the DLT window; several where an amendment has changed it, in the order of the patients."""
    return " or ".join(dict.fromkeys(str((status.end - status.first).days + 1) for status in evaluated.statuses))


def _noted(status: Status, patient: Patient) -> str:
    """Return a note on a patient: the part of the trial, what explains the status, and a dose that is not the assigned one."""
    part = "" if status.part == "escalation" or status.rule.startswith(status.part) else status.part
    # Events of DLT grade that do not meet the definition, unless the patient has a DLT.
    events = len(status.source) - len(patient.source)
    return "; ".join(filter(None, (part, _explained(status, events), administered_words(patient))))


def administered_words(patient: Patient) -> str:
    """Return the amounts assigned and administered where they differ; empty where they do not."""
    if patient.as_assigned:
        return ""
    return f"assigned {patient.amount:g}, administered {', '.join(f'{amount:g}' for amount in patient.administered)}"


def _explained(status: Status, events: int) -> str:
    """Return what explains the status of a patient in few words."""
    if status.kind == "not evaluable" or status.unresolved:
        return status.rule
    said = adjudicated(status)
    if status.kind == "dlt" and status.closed is not None:
        return "; ".join(filter(None, (f"day {(status.closed - status.first).days + 1}", said)))
    told = f"by {status.replaced_by}" if status.replaced_by else ""
    if status.kind == "pending":
        whole = (status.end - status.first).days
        told, known = f"{status.days_to_go} of {whole} days to go", round(status.fraction * whole)
        told += f", followed up for {known} {'day' if known == 1 else 'days'} only" if known < whole - status.days_to_go else ""
    grave = f"{_count(events, 'event')} of DLT grade not meeting the definition" if events else ""
    return "; ".join(filter(None, (told, said, grave)))


def _details(found: NextDose, tables: dict[str, pd.DataFrame]) -> list[Any]:
    """What a meeting looks up."""
    audit = tables["audit"].loc[:, ["subject", "rule", "source"]]
    parts: list[Any] = [Text("\nReason for each status", "bold"), _wrapped(audit, "rule")] if len(audit) else []
    if len(tables["completions"]):
        title = "Next step by design, by the pending outcomes (ways: number of assignments of outcomes to patients)"
        parts += [Text(), _folded(title, style="bold"), *_blocks(tables["completions"], 2)]
    if len(tables["what-if"]):
        title = "Next step by design after the next patients ('or': depends on pending outcomes)"
        parts += [Text(), _folded(title, style="bold"), _wrapped(tables["what-if"], "next")]
    if len(found.paths):
        after = found.paths.attrs["after"] or "nobody"
        supposed = " (supposing no DLT among those pending and those who fill the cohort)" if found.supposes else ""
        title = f"The next cohorts of {found.binding} after {after}{supposed}, and their probability by scenario"
        said = found.paths.loc[:, ["path", "ways", "next", "mtd", "not_reached", "reason"]]
        chances = found.paths.drop(columns=list(said.columns[1:]))
        said = said.rename(columns={"mtd": "MTD", "not_reached": "not\nreached"})
        parts += [Text(), _folded(title, style="bold"), _wrapped(said, "reason"), *_blocks(chances, 1)]
    return parts


def _first(found: NextDose) -> list[Text]:
    """What leads: serious events, pause rules that have fired, overdue outcomes, patients at a dose not in the protocol."""
    lines: list[Text] = []
    if events := leading_events(found):
        waiting = [event for event in events if event_state(found, event) == "waits"]
        shown = events[: max(len(waiting), _EVENTS)]
        lines.append(_folded(f"Serious events: {len(events)}, waiting for adjudication: {len(waiting)}.", style="bold"))
        lines += [_indented(f"{_event(found, event)}.") for event in shown]
        if more := len(events) - len(shown):
            lines.append(_indented(f"and {more} more: the table serious of --out."))
    lines += [_folded(f"{_raised(trigger_words(pause))}.", style="bold") for pause in found.holds.pauses]
    if found.unseen:
        lines.append(_folded(f"Serious events cannot all be seen: {'; '.join(_unseen(found))}.", style="bold"))
    if changed := overturned(found):
        lines.append(_folded(f"DLTs overturned by adjudication: {len(changed)}.", style="bold"))
        lines += [_indented(f"{status.subject}: {adjudicated(status)}.") for status in changed]
    if overdue := found.overdue:
        names = ", ".join(f"{status.subject} since {status.end}" for status in overdue)
        lines.append(_folded(f"{_count(len(overdue), 'outcome')} overdue: {names}.", style="bold"))
    lines += [_folded(f"Dose not in the protocol, counted by no design: {alarm}.", style="bold") for alarm in found.alarms]
    lines += [
        _folded(f"{OTHER_LEVEL.capitalize()}: {one.words}.", style="bold") for one in found.findings if one.rule == OTHER_LEVEL
    ]
    return lines


# Serious events in the first lines, unless more wait for adjudication, and names of patients in a sentence.
_EVENTS = _NAMED = 5


def _event(found: NextDose, event: SeriousEvent) -> str:
    """A serious event with its level and its adjudication."""
    level = "" if event.level is None else f" (level {event.level})"
    said = event.adjudication
    words = {"waits": "waits for adjudication", "untreated": f"{event.part}: holds nothing", "open": "no adjudication on file"}
    state = words.get(event_state(found, event), "")
    if said is not None:
        state = f"adjudicated on {said.adjudicated_on}: {said.conclusion}"
    return f"{_raised(event_words(found, event))}{level}: {state}"


def _unseen(found: NextDose) -> list[str]:
    """What the data do not say of serious events, in words."""
    unseen, everybody = found.unseen, len(found.evaluated.statuses)
    words = []
    if unseen.no_table:
        of = "" if len(unseen.no_table) == everybody else f" for {_names(unseen.no_table)}"
        words.append(f"the data have no table of adverse events{of}")
    if unseen.no_seriousness:
        words.append("the data do not say which adverse events are serious")
    if unseen.not_given:
        number = f"{_count(unseen.not_given, 'event')} related to treatment, or of open relationship"
        words.append(f"seriousness is not given for {number} ({_names(unseen.subjects)})")
    return words


def _names(subjects: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = len(subjects) - _NAMED
    return ", ".join(subjects[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def adjudicated(status: Status) -> str:
    """Return the adjudication of a patient's outcome in words, with the outcome by the definition alone where it is another one."""
    said = status.adjudication
    if said is None:
        return ""
    alone = {"dlt": "DLT", "complete": "no DLT"}.get(status.derived or "", status.derived)
    return f"adjudicated {said.conclusion} on {said.adjudicated_on}" + (f"; by the definition alone: {alone}" if alone else "")


def _raised(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}"


def _answer(found: NextDose) -> list[Text]:
    """What next, how safe and how sure, after what leads."""
    proposal = found.proposal
    by = "" if proposal.decided is not None else f" ({found.binding}, primary design)"
    lines = [*_first(found), _folded(f"What next: {found.words}{by}.", style="bold")]
    if proposal.held is not None:
        lines.append(_indented(_on_hold(found)))
        lines.append(_indented(f"Without the hold, {found.binding} would: {proposal.held.words} ({proposal.held.reason})."))
    else:
        lines.append(_indented(f"{_raised(proposal.reason)}."))
    if found.holds and proposal.held is None:
        lines.append(_indented(_on_hold(found)))
    elif found.start is not None and proposal.held is None:
        day, words = found.start
        when = "" if day is None or day == found.evaluated.as_of else f"from {day}: "
        lines.append(
            _indented(f"The next patient may start {when}{words}." if day else f"The next patient may not start yet; {words}.")
        )
    lines += [_indented(_caution(found, one)) for one in cautions(found)]
    lines += _both_readings(found)
    lines += [_indented(f"{_part(count)}.") for count in part_counts(found)]
    others = [(name, one.words) for name, one in found.proposals.items() if one.words != proposal.words]
    if others:
        lines.append(_indented(f"Other designs differ: {'; '.join(f'{name}: {words}' for name, words in others)}."))
    elif len(found.proposals) > 1:
        after = "; next steps by outcome: --details" if proposal.action == "wait" else ""
        same = {"wait": "would wait", "hold": "are on hold"}.get(proposal.action, "agree")
        lines.append(_indented(f"All {len(found.proposals)} designs {same}{after}."))
    left = len(found.findings) + len(found.deviations.get(found.binding, ()))
    lines.append(
        _indented(f"Deviations from the protocol and from {found.binding}: {left or 'none'}{', listed below' * bool(left)}.")
    )
    if found.recorded:
        lines.append(_indented(f"Latest decision of the committee, {_decided(found.recorded[-1], '')}."))
    return [*lines, *_how_safe(found), *_how_sure(found)]


def _record_caution(one: RecordCaution) -> str:
    """A caution about a file of decisions or adjudications in words."""
    many = len(one.rows) > 1
    rows = f"{'Rows' if many else 'Row'} {one.numbers} of {one.file}"
    if one.kind == "altered":
        return f"{rows} {'were' if many else 'was'} changed by hand, or a row directly above was removed, added or moved."
    return f"{rows} {'have' if many else 'has'} no hash: a change by hand would not be noticed."


def _caution(found: NextDose, one: Caution | RecordCaution) -> str:
    """A caution in words."""
    if isinstance(one, RecordCaution):
        return _record_caution(one)
    if one.kind == "decision" and found.proposal.decided is not None:
        decision, own = found.proposal.decided
        return f"By the data now, {found.binding} leads below the decision {decision}: {own.words} ({own.reason})."
    if one.kind == "closed":
        return f"Level {one.level} and all above are closed, whatever the outcomes still to come."
    if one.kind == "pooled":
        rate = f"{_count(one.dlts, 'DLT')} in {_count(one.n, 'patient')} at level {one.level}"
        closes = f"the dose closes at {one.closes_at} in {one.n}"
        return f"With the patients beside the escalation: {rate}, more than one in six; {closes}."
    return f"{_raised(_count(one.dlts, 'DLT'))} in {_count(one.n, 'patient')} whom no design counts."


def record_words(chains: Sequence[Chain]) -> list[str]:
    """Return cautions about changes by hand in files of decisions and adjudications in words."""
    return [_record_caution(one) for one in record_cautions(chains)]


def _on_hold(found: NextDose) -> str:
    """What must come before enrolment goes on."""
    waiting = len(found.holds.events)
    until = [f"{_count(waiting, 'serious event')} {'is' if waiting == 1 else 'are'} adjudicated"] if waiting else []
    until += ["the committee has decided to resume after the pause rule"] if found.holds.pauses else []
    outside = ", ".join(status.subject for status in found.holds.unplaced)
    until += [f"the committee has decided on a level, or to resume, knowing of the DLT of {outside}"] if outside else []
    return f"On hold until {' and '.join(until)}."


def _both_readings(found: NextDose) -> list[Text]:
    """Both readings of unplanned cohorts, and which is taken."""
    both = readings(found.proposal)
    if both is None:
        return []
    who = f"{_names(both.subjects)}: treated where {found.binding} had not planned it"
    if both.agree:
        return [_indented(f"{who}; read as part of the escalation or as outside it, the next step is the same.")]
    words = f"read as part of the escalation: {both.inside.words}; read as outside it: {both.outside.words}"
    taken = "inside" if both.taken == "inside" else "outside"
    return [_indented(f"{who}; {words}. The more cautious reading is taken: {taken} the escalation.")]


def _part(count: PartCount) -> str:
    """A part of the trial outside the escalation, with what each design counts of it."""
    counted = [f"counted by {', '.join(count.added_by)}"] if count.added_by else []
    counted += [f"not added by {', '.join(count.not_added_by)}"] if count.not_added_by else []
    patients = f"{_count(count.n, 'patient')} at level {count.level}, {_count(count.dlts, 'DLT')}"
    return f"{_raised(count.part)}: {patients}; {', '.join(counted)}"


def _how_safe(found: NextDose) -> list[Text]:
    """DLTs so far, and the upper limit of the DLT rate at the doses in question."""
    doses = found.doses.to_dict("records")
    n, dlts = (sum(row[name] for row in doses) for name in ("counted", "dlts"))
    seen = f"{_count(dlts, 'DLT')} in {_count(n, 'patient')} with a known outcome" if n else "no outcome is known yet"
    lines = [_folded(f"How safe: {seen}.", style="bold")]
    for question in doses_in_question(found):
        row = doses[question.level - 1]
        own = f"{_count(row['dlts'], 'DLT')} in {_count(row['counted'], 'patient')}; these alone allow a DLT rate of up to "
        own += f"{100 * row['upper_limit']:.0f}% (one-sided 95% limit)" if row["counted"] else ""
        lines.append(_indented(f"At level {question.level}: {own if row['counted'] else 'no outcome is known'}."))
    return lines


def _how_sure(found: NextDose) -> list[Text]:
    """The MTD once the escalation has ended, what the committee recorded, and where the posterior is."""
    now = standing(found)
    if now.mtd is not None:
        by = found.binding if found.proposal.decided is None else "the committee"
        answer = f"the escalation has ended; MTD by {by}: level {now.mtd}"
    elif now.maximum_administered is not None:
        answer = (
            f"the escalation has ended without reaching an MTD; maximum administered dose (MAD): level {now.maximum_administered}"
        )
    elif now.ended:
        answer = "the escalation has ended; no dose is selected as MTD"
    elif found.proposal.action == "stop":
        answer = "the design stops, but not every outcome and adjudication is known"
    else:
        answer = "the escalation has not ended"
    lines = [_folded(f"How sure: {answer}.", style="bold")]
    decided = [one for one in (now.recorded, now.rp2d) if one is not None]
    lines += [_indented(f"Recorded by the committee on {_met(one)}: {one.decision}.") for one in decided]
    if now.rp2d is None and (now.ended or now.recorded is not None):
        lines.append(_indented("The RP2D is decided by the committee; no decision on it is on file."))
    lines.append(_indented("Posterior of DLT rates and MTD, P(overdose) by curve: dosefind analyze, dosefind report."))
    return lines


def _designs(found: NextDose) -> pd.DataFrame:
    """Return designs with the same next step and reason in one row, that of the primary design first."""
    shown = found.designs.drop(columns=["differs"]).sort_values("binding", ascending=False, kind="stable")
    shown["design"] = shown["design"].where(shown["binding"] == "", shown["design"] + " (primary)")
    together = shown.groupby(["next", "admissible", "reason"], sort=False)["design"].agg(", ".join).reset_index()
    return together.loc[:, ["design", "next", "admissible", "reason"]]


def _assumed_rules(found: NextDose) -> list[Text]:
    """Which of the rules that were left are none of the record's."""
    rules = ", ".join(found.assumed_rules)
    return [_folded(f"Assumed, as the record does not state it: {rules}.")] if rules else []


def _met(row: Recorded) -> str:
    """Date of the meeting with the data cutoff date, or that date alone where no meeting is on file."""
    return f"{row.as_of} (data cutoff)" if row.meeting is None else f"{row.meeting} (data cutoff {row.as_of})"


def _decided(row: Recorded, after: str) -> str:
    against = f" (override: {row.binding} recommended: {row.recommendation})" if row.override == "yes" else ""
    conditions = f"conditions: {row.conditions.rstrip('.')}" if row.conditions else ""
    reason = f"reason given: {row.reason.rstrip('.')}"
    when = row.as_of if row.meeting is None else _met(row)
    return "; ".join(filter(None, (f"{when}: {row.decision}{against}", reason, conditions, after)))


def _blocks(table: pd.DataFrame, first: int) -> list[Any]:
    """A table in blocks as wide as there is room for, each with the first so many columns."""
    widths = [2 + max(map(cell_len, [*_heading(name), *map(terminal.shown, map(cell, table[name]))])) for name in table.columns]
    blocks: list[list[int]] = [[]]
    for place in range(first, len(widths)):
        if blocks[-1] and sum(widths[:first]) + sum(widths[at] for at in (*blocks[-1], place)) > _width():
            blocks.append([])
        blocks[-1].append(place)
    return [_grid(table.iloc[:, [*range(first), *block]]) for block in blocks]


def _wrapped(table: pd.DataFrame, words: str) -> Table:
    """A table whose column of words is folded into what width is left, and where that is too little, so are the widest others."""
    told = table.astype(object).where(table.notna(), "").astype(str).map(terminal.shown)
    taken = {
        name: max(1, *(cell_len(line) for text in (name, *told[name]) for line in text.splitlines()))
        for name in told.columns
        if name != words
    }
    while (width := _width() - sum(taken.values()) - 2 * len(taken) - 2) < _LEAST_WORDS and max(taken.values()) > _LEAST_CELL:
        taken[max(taken, key=taken.__getitem__)] -= 1
    out = _table()
    for name in told.columns:
        out.add_column(str(name))
    for row in told.to_dict("records"):
        out.add_row(*("\n".join(_lines(text, taken.get(name, max(width, _LEAST_WORDS)))) for name, text in row.items()))
    return out


def _heading(name: Any) -> list[str]:
    """Lines of a heading: one of several words is folded, as those of scenarios over their probabilities."""
    return [str(name)] if _UNFOLDED.get() else _lines(str(name), 8, break_long_words=False)


def frame(table: pd.DataFrame, title: str, note: str = "") -> Group:
    """A data frame as it is, under its title and note."""
    return Group(_folded(title, style="bold"), *([_folded(note)] if note else []), _grid(table))


def _grid(table: pd.DataFrame) -> Table:
    out = _table()
    for name in table.columns:
        text = str(table[name].dtype) in ("object", "str")
        out.add_column("\n".join(_heading(name)), justify="left" if text else "right")
    for row in table.itertuples(index=False):
        out.add_row(*("\n".join(_lines(cell(value), _FOLDED)) for value in row))
    return out


def sensitivity(table: pd.DataFrame, title: str, note: str = "") -> Group:
    """What the answer hangs on, as `dosefind.sensitivity` gives it; of the Monte Carlo errors the largest of each row."""
    shares = [name for name in table.columns if name.startswith(("p_", "over_"))]
    errors = [name for name in table.columns if name.startswith("se_")]
    shown = table.assign(
        varied=table["varied"] + " " + table["value"], **{name: table[name].map("{:.3f}".format) for name in shares}
    )
    if errors:
        shown["se"] = [f"{error:.1g}" if error > LEAST_ERROR else "" for error in table[errors].max(axis=1)]
    kept = shown.drop(columns=["value", *errors])
    return Group(_folded(title, style="bold"), *([_folded(note)] if note else []), _wrapped(kept, "varied"))


ANALYSED = {
    "mean": "mean",
    "sd": "sd",
    "median": "median",
    "p_under": "under",
    "p_target": "target",
    "p_over": "over",
    "prior_p_over": "over before",
    "prior_mean": "mean before",
    "prior_effective_n": "prior ESS",
    "upper_limit": "limit alone",
    "mtd": "MTD",
    "utility": "expected utility",
    "p_best": "largest",
    "borrowed_n": "borrowed",
    "conclusion": "named in the end",
    "conclusion_not_reached": "not reached",
}


def engine(attrs: dict[str, Any]) -> str:
    """How a posterior was worked out, with its error or its diagnostics."""
    if "largest_error" in attrs:
        return f"quadrature (largest error {attrs['largest_error']:.0e}, of quantiles {attrs['quantile_error']:.0e} in probability)"
    diagnosed = (
        f"{attrs['chains']} chains of {attrs['draws']} draws by {attrs['sampler']}, R-hat at most {attrs['rhat']:.3f}, effective "
        f"sample size at least {attrs['ess_bulk']:.0f} (bulk) and {attrs['ess_tail']:.0f} (tail), "
        f"{attrs['divergences']} divergences"
    )
    return f"NUTS ({diagnosed}; \u00b1 is one Monte Carlo standard error)"


def share(values: dict[str, Any], name: str, at: Any, scale: float = 100, digits: int = 1, before: str = " ") -> str:
    """A figure, in percent by default, with its standard error where it has one, ``before`` which comes what parts them."""
    error = values.get(f"{name}_se")
    text = f"{scale * values[name][at]:.{digits}f}"
    return text if error is None else f"{text}{before}\u00b1{scale * error[at]:.1g}"


def mtd_amount(values: dict[str, Any], unit: str) -> str:
    """The MTD on the dose scale in a sentence; nothing where the curve has no dose scale."""
    if "mtd_amount" not in values:
        return ""
    doses = values["dose_amount"]
    # What lies far outside the doses is the curve's extrapolation: how far, nobody can know.
    least, most = doses[0] / FAR, doses[-1] * FAR
    low, lower, median, upper, high = (
        f"below {least:g}" if a < least else f"above {most:g}" if a > most else f"{a:.3g}" for a in values["mtd_amount"]
    )
    outside = f"{100 * values['mtd'][0]:.1f}% below the lowest dose, {100 * values['mtd'][-1]:.1f}% at or above the top dose"
    return f"On the dose scale ({unit}): median {median}, quartiles {lower} and {upper}, 95% interval {low} to {high}; {outside}."


def rules(sentences: dict[str, list[str]], title: str = "") -> Aside:
    """The rules of each design, or of whatever the title says, in sentences."""
    parts = [Text(f"\n{title or ('Designs' if len(sentences) > 1 else 'Design')}", "bold")]
    for name, own in sentences.items():
        parts.append(Text(f"{name}"))
        parts += [_indented(sentence) for sentence in own]
    return Aside(*parts)


def assumed(assumptions: Iterable[Sequence[Any]], without_effect: str = "") -> Aside:
    """What no record states: key, value, reason; and the keys that no figure here depends on."""
    lines = [Text("\nAssumed, because no record states it", "bold")]
    for key, value, why in assumptions:
        shown = "" if key.startswith(("scenarios", "designs")) else f" = {value}"
        lines.append(_indented(f"{key}{shown}: {why}"))
    if without_effect:
        lines.append(_folded(f"Given in the config, but no figure here depends on it: {without_effect}."))
    return Aside(*lines)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _width() -> int:
    return _TABLE_WIDTH if _UNFOLDED.get() else max(60, min(_WIDTH, shutil.get_terminal_size((_WIDTH, 24)).columns))


def _folded(text: str, first: str = "", rest: str = "", style: str = "") -> Text:
    lines = _lines(text, _width(), initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)
    return Text("\n".join(lines), style)


def _lines(text: str, width: int, **options: Any) -> list[str]:
    """Return text as it is shown, folded at the columns that it takes on a terminal, where some signs take two."""
    text = terminal.shown(text)
    if text.isascii() or cell_len(text) <= len(text):
        return textwrap.wrap(text, width, **options)
    filled = "".join(sign + _FILLER * (cell_len(sign) - 1) for sign in text)
    # A fold can part a sign from its filler, which then is one column more.
    return [line.replace(_FILLER, "") for line in textwrap.wrap(filled, max(width - 1, 1), **options)]


def _indented(text: str) -> Text:
    return _folded(text, _INDENT, _INDENT * 2)


def _table() -> Table:
    return Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)


def cell(value: Any) -> str:
    """A cell of a data frame."""
    if isinstance(value, float):
        return f"{value:.3g}"
    return "never" if str(value) == "<NA>" else str(value)
