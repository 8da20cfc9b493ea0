"""Data in places that are not read: columns under other names, and deaths in columns that are not read.

A column that is not read is rejected if its name is about data that determine a dose decision, and so is a cell that reports a
death that no other record gives. Another certain spelling is added to the layout's own list of names, another topic to `_TOPICS`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from ..protocol import plain_words
from ..words import _
from .cells import Findings, Row, Table
from .deaths import is_death, is_fatal_outcome
from .entries import Draft
from .letters import flat, one_slip, plain_letters

__all__ = [
    "OF_TRIAL",
    "SAYS_NO_DEATH",
    "known_deaths",
    "note_mentions",
    "refuse_deaths",
    "refuse_deaths_of_domains",
    "refuse_names",
    "renamed",
    "topic_of",
]

_FATAL = 5
# A misspelt name is searched among names of at least this length: shorter names are one typing error from many words.
_SHORTEST = 5


SAYS_NO_DEATH = frozenset({"", "n", "no", "0", "false", "alive", "u", "unk", "unknown", "n/a", "na", "not applicable", "none", "-"})
"""Values in a column named after deaths that report none, in plain words."""


class _Topic(NamedTuple):
    """The topic of a name: by a part of the name, by a whole word, or by its beginning."""

    name: str
    parts: tuple[str, ...]
    words: tuple[str, ...] = ()
    begins: tuple[str, ...] = ()
    # Whether names about the disease, the donor or the time before treatment are excluded.
    of_treatment: bool = False


_TOPICS = (
    _Topic("DLTs", ("dlt", "doselimiting", "limitingtox", "limitierend")),
    _Topic(
        "deaths",
        (
            "death",
            "deceas",
            "fatal",
            "mortal",
            "demise",
            "vitalstat",
            "survival",
            "lethal",
            "exitus",
            "verstorben",
            "autopsy",
            "osevent",
            "lifestat",
            "survstat",
        ),
        ("dead", "died", "dies", "dod", "alive", "tod", "deces", "killed"),
        ("dth", "aesdth"),
    ),
    _Topic(
        "seriousness",
        ("serious", "lifethreat", "hospitali", "susar"),
        ("sae", "saes", "ser", "saer", "hosp"),
        ("aeser", "aeslife", "aeshosp", "aesdisab", "aescong", "aesmie"),
    ),
    _Topic(
        "relationship to treatment",
        ("related", "relation", "causal", "attribut", "imputab", "suspect"),
        (),
        ("aerel",),
        of_treatment=True,
    ),
    _Topic("grades", ("grade", "ctcae", "toxgr", "toxicit", "toxizitat"), ("tox", "ctc", "gr"), of_treatment=True),
    _Topic("severity", ("severe", "severity", "intensity"), ("sev",), ("aesev",), of_treatment=True),
    _Topic("evaluability", ("evaluab", "analysisset")),
    _Topic("outcomes", ("outcome",), (), ("aeout",), of_treatment=True),
)
_OF_OTHERS = ("donor", "tumo", "histolog", "baseline", "disease", "family", "history")


# Mentions of DLTs and serious events in free text, and phrases that deny them.
_MENTION = re.compile(r"\b(dlts?|dose limiting|saes?|susars?|life threatening|hospitali[sz](ed|ation))\b")
_NO_MENTION = re.compile(r"\b(no|non|not a|without) (dlts?|dose limiting|saes?|susars?|life threatening|hospitali[sz]ation)\b")
# Variables of CDISC whose texts are those of the trial.
OF_TRIAL = re.compile(r"CRIT\d|SMQ|CQ\d|PARAM|TRT|ARM|ACTARM|STUDY|SITE|DOMAIN|USUBJID|SUBJID|DTH|.*(TESTCD|TEST)$")


def topic_of(name: str) -> str | None:
    """Return the topic of a column name among those that determine a dose decision, or ``None`` if there is none."""
    whole, words = flat(name), re.findall(r"[^\W_]+", plain_letters(name))
    of_others = any(part in whole for part in _OF_OTHERS)
    for topic in _TOPICS:
        if topic.of_treatment and of_others:
            continue
        if any(part in whole for part in topic.parts) or whole.startswith(topic.begins or ("\0",)) or set(words) & set(topic.words):
            return topic.name
    return None


def renamed(found: Findings, table: Table, names: Mapping[str, Iterable[str]]) -> Table:
    """Return a table with columns renamed to the names that are read, with a note; ``names`` has their other spellings.

    Spellings are compared without case, punctuation and spaces. A column is renamed only if the table has none of that name and
    no other column would get it; the others are left to `refuse_names`.
    """
    known = {flat(other): name for name, others in names.items() for other in (name, *others)}
    wanted = {column: known[flat(column)] for column in table.columns if column not in names and flat(column) in known}
    new = {
        column: name
        for column, name in wanted.items()
        if not table.has(name) and list(wanted.values()).count(name) == 1 and table.columns.count(column) == 1
    }
    if not new:
        return table
    words = _("{column} read as {name}")
    read = ", ".join(words.format(column=column, name=name) for column, name in new.items())
    found.notes.append(_("{table}: columns {columns}").format(table=table.name, columns=read))
    rows = [replace(row, cells={new.get(column, column): text for column, text in row.cells.items()}) for row in table.rows]
    return Table(table.name, tuple(new.get(column, column) for column in table.columns), rows)


def refuse_names(
    found: Findings, table: Table, unread: Iterable[str], advice: Mapping[str, str], names: Iterable[str]
) -> list[str]:
    """Reject unread columns whose name is about data that determine a dose decision; return the other columns.

    Parameters
    ----------
    found
        Receives the findings.
    table
        The table of the columns.
    unread
        Columns that are not read.
    advice
        Advice on a column, by topic.
    names
        Columns that are read and determine a dose decision; a misspelling of one that the table lacks is rejected as well.
    """
    missing = [name for name in names if len(name) >= _SHORTEST and not table.has(name)]
    left = []
    for column in unread:
        topic = topic_of(column)
        near = next((name for name in missing if len(column) >= _SHORTEST and one_slip(column, name)), None)
        if (topic is None and near is None) or not any(row.cells[column] for row in table.rows):
            left.append(column)
        elif topic is None:
            found.column(table, column, f"is not read: rename it to {near}, if that is intended, or delete the column")
        else:
            found.column(table, column, f"is about {topic} and is not read: {advice[topic]}, or delete the column")
    return left


def known_deaths(draft: Draft) -> set[str]:
    """Return the subjects whose death is reported by a record that is read."""
    dead = {
        entry.subject
        for entry in draft.entries
        if entry.died or entry.dead or entry.deaths or (is_death(entry.reason) and entry.discontinued)
    }
    for subject, events in (draft.events or {}).items():
        if any(event.grade == _FATAL or is_fatal_outcome(event.outcome) for event in events):
            dead.add(subject)
    return dead


def refuse_deaths(found: Findings, draft: Draft, table: Table, columns: Iterable[str], where: str) -> None:
    """Reject cells of columns that report the death of a patient whose death is in no record that is read.

    Parameters
    ----------
    found
        Receives the findings.
    draft
        Patients and events as read.
    table
        The table of the columns.
    columns
        Columns that are not read.
    where
        Where a death should be recorded.
    """
    qualifiers = table.has("QNAM") and table.has("QVAL")
    columns = [name for name in columns if not qualifiers or name not in ("QNAM", "QLABEL")]
    reporting = {name: texts for name in columns if (texts := {text for text in _texts(table, name) if is_death(text)})}
    if not reporting and not qualifiers:
        return
    treated = {entry.subject for entry in draft.entries} - known_deaths(draft)
    for row in table.rows:
        if row.subject not in treated:
            continue
        column = next((name for name, texts in reporting.items() if row.cells[name] in texts), None)
        if qualifiers and _is_death_of_qualifier(row):
            column = "QVAL"
        if column is not None:
            found.refuse(row.cell(column), f"reports a death that is not read as one: {where}")


def _texts(table: Table, column: str) -> set[str]:
    """Return the distinct texts of a column that have any."""
    return {text for row in table.rows if (text := row.cells.get(column))}


def note_mentions(found: Findings, table: Table, columns: Iterable[str]) -> None:
    """Note the cells of unread columns that mention a DLT or a serious event."""
    read = {column: {text: word for text in _texts(table, column) if (word := _mention(text)) is not None} for column in columns}
    speaking = {column: words for column, words in read.items() if words}
    if not speaking:
        return
    for row in table.rows:
        for column, words in speaking.items():
            mention = words.get(row.cells[column])
            if mention is not None:
                words = _("{row}: {column} mentions {mention} and is not read")
                found.notes.append(words.format(row=found.place(row), column=column, mention=repr(mention)).lstrip())


def _mention(text: str) -> str | None:
    """Return the word for a DLT or a serious event in a text."""
    plain = " ".join(re.split(r"[\s_-]+", plain_letters(text)))
    mention = _MENTION.search(_NO_MENTION.sub(" ", plain))
    return None if mention is None else mention[0]


def _is_death_of_qualifier(row: Row) -> bool:
    """Return whether a supplemental qualifier reports a death, by its name or label and a value that does not deny it."""
    name, label, value = (row.cell(column).text for column in ("QNAM", "QLABEL", "QVAL"))
    return (topic_of(name) == "deaths" or is_death(label)) and plain_words(value) not in SAYS_NO_DEATH


def refuse_deaths_of_domains(found: Findings, draft: Draft, tables: Mapping[str, Table]) -> None:
    """Reject cells of CDISC domains that report the death of a patient whose death is in no record that is read.

    Criteria, queries of terms, parameters and treatments are ignored: their texts are those of the trial and not of the patient.
    """
    for table in tables.values():
        columns = [name for name in table.columns if not OF_TRIAL.match(name)]
        refuse_deaths(found, draft, table, columns, "give it in DTHFL, DTHDTC or DTHDT, or in the outcome of an event (AEOUT)")
