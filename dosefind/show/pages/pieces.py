"""Pieces that both reports have, and the one place where figures become text for them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ... import tables
from ...plots.style import amount, unit
from ...provenance import named_column
from ..catalogue import Words
from ..content import Block, Bullets, Column, Definitions, Paragraph, Run, Section, Table, Text, data, text

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from ...protocol import Protocol

__all__ = ["Case", "assumed", "dose_table", "facts", "frame", "limits", "method", "percent", "rules", "sensitivity_table"]


def percent(rate: float, digits: int = 1) -> str:
    """A probability in percent."""
    return f"{100 * rate:.{digits}f}%"


class Case(NamedTuple):
    """What every piece needs: the words, and the protocol whose doses it names."""

    say: Words
    protocol: Protocol

    def dose(self, level: int) -> Run:
        """Amount of a level with its unit."""
        return data(amount(self.protocol.doses.amounts[level - 1], self.unit))

    @property
    def unit(self) -> str:
        """Unit of the doses, its powers raised."""
        return unit(self.protocol.doses.unit)

    def hash(self, digits: str) -> Text:
        """The beginning of a hash, which the section on how everything was computed gives as a whole."""
        return self.say("facts.hash", digits=digits[:12])

    def column(self, name: str, numeric: bool = False) -> Column:
        """Column of a task's table; one that the catalogue does not name has its own name as heading."""
        return Column(text(self.say.table("columns").get(name, None) or data(name)), numeric)

    def reason(self, name: str) -> str:
        """What a design calls a reason, in words."""
        return self.say.table("reasons").get(name, name.replace("_", " "))

    def with_reasons(self, table: pd.DataFrame) -> pd.DataFrame:
        """A design's decisions with levels and reasons in words: of paths, or the entries of a decision table."""
        shown = table.copy()
        if "reason" in table:
            shown["reason"] = [self.reason(name) for name in table["reason"]]
        elif "next" in table:
            shown["next"] = [self._entry(words) for words in table["next"]]
        return shown

    def _entry(self, words: str) -> str:
        """An entry of a decision table: "2" as the level that it is, and a reason by its name in brackets in words."""
        named = re.sub(r"\((\w+)\)", lambda found: f"({self.reason(found[1])})", words)
        return re.sub(r"(?:^|(?<= or ))\d+", lambda found: self.say.plain("oc.level", level=found[0]), named)

    def columns(self, *keys: str, numeric_from: int = 1) -> tuple[Column, ...]:
        """Columns by keys of the catalogue, those from a place on numeric."""
        return tuple(Column(self.say(key), place >= numeric_from) for place, key in enumerate(keys))


def frame(
    case: Case,
    table: pd.DataFrame,
    caption: Text,
    *notes: Text,
    shares: Iterable[str] = (),
    headings: Mapping[str, Text] | None = None,
) -> Table:
    """Return a task's data frame; columns in ``shares``, and those of scenarios, are probabilities, shown in percent."""
    of_scenarios = (str(name) for name in table.columns if str(name).startswith(named_column("scenario", "")))
    shares, headings = {*shares, *of_scenarios}, headings or {}
    numeric = {str(name): str(table[name].dtype) not in ("object", "str", "bool") for name in table.columns}
    columns = tuple(
        Column(headings[name], number) if name in headings else case.column(name, number) for name, number in numeric.items()
    )

    def cell(name: str, value: Any) -> Text:
        if name in shares:
            return text(f"{100 * value:.1f}")
        shown = "" if value is None else tables.cell(value)
        return text(shown if numeric[name] else data(shown))

    records = table.to_dict("records")
    return Table(caption, columns, tuple(tuple(cell(str(n), v) for n, v in row.items()) for row in records), notes)


def facts(case: Case, stamp: Mapping[str, Any], *more: tuple[str, Text]) -> Definitions:
    """What a report is of: protocol, config, versions; ``more`` as keys of the catalogue with what is said."""
    record = case.protocol.record
    software = ", ".join(f"{name} {one}" for name, one in json.loads(stamp["versions"]).items())
    said: list[tuple[str, Text]] = [
        ("protocol", text(data(record.id))),
        ("trial", text(data(record.title))),
        ("product", text(data(record.product))),
        ("version", text(record.version_date.isoformat())),
        *more,
        ("config", text(data(stamp["config"]))),
        ("config_hash", case.hash(stamp["config_sha256"])),
        ("software", text(software)),
    ]
    return Definitions(tuple((case.say(f"facts.{key}"), (words,)) for key, words in said if words != (Run(""),)))


def dose_table(case: Case, summary: xr.Dataset, caption: Text) -> Table:
    """DLT rates by dose: moments, interval, probabilities of the target interval, with Monte Carlo errors where there are any."""
    say, values = case.say, {str(name): variable.values for name, variable in summary.variables.items()}
    low, high = summary.attrs["interval"]
    keys = ("dlts_of_n", "mean", "sd", "median", "interval", "under", "target", "over")
    columns = (
        case.column("level"),
        Column(say("patients.dose", unit=data(case.unit)), True),
        *(Column(say(f"posterior.{key}"), True) for key in keys),
    )
    rows = []
    for d, level in enumerate(values["dose"]):
        cells = [
            str(level),
            f"{values['dose_amount'][d]:g}",
            f"{values['dlts'][d]}/{values['n'][d]}" if values["n"][d] else "\u2013",
        ]
        cells += [tables.share(values, name, d) for name in ("mean", "sd")]
        cells += [f"{100 * values['median'][d]:.1f}", f"{100 * values['lower'][d]:.1f} to {100 * values['upper'][d]:.1f}"]
        cells += [tables.share(values, name, d) for name in ("p_under", "p_target", "p_over")]
        rows.append(tuple(map(text, cells)))
    note = say("posterior.rates", unit=data(case.unit), low=percent(low, 0), high=percent(high, 0))
    return Table(caption, columns, tuple(rows), (note,))


def sensitivity_table(case: Case, table: pd.DataFrame, caption: Text) -> Table:
    """What the answer hangs on besides the data."""
    over = [str(name) for name in table.columns if str(name).startswith("over_")]
    headings = {name: case.say("columns.over", level=name.removeprefix("over_")) for name in over}
    # The note names columns as the table of the library does. No curve, whatever its name, is followed by these words.
    over_k = "P(overdose), level k"
    heads = {"over_k:": f"{over_k}:", "over_k is": f"{over_k} is", "rp2d:": "Dose within the limit:", " mtd:": " MTD:"}
    note = table.attrs["note"]
    for name, shown in heads.items():
        note = note.replace(name, shown)
    return frame(case, table, caption, text(note), shares=["p_mtd", *over], headings=headings)


def rules(case: Case, by_design: Mapping[str, Sequence[str]], every: str) -> Definitions:
    """What designs or curves say of themselves; what all say, once, and one like another by what sets it apart."""
    shared = [one for one in next(iter(by_design.values())) if all(one in said for said in by_design.values())]
    shared = shared if len(by_design) > 1 else []
    whole: dict[str, list[str]] = {}
    items: list[tuple[Text, tuple[Text, ...]]] = []
    for name, said in by_design.items():
        own = [one for one in said if one not in shared]
        like = _like(case, own, whole)
        if not like:
            whole[name] = own
        items.append((text(data(name)), like or tuple(map(text, own))))
    return Definitions((*items, *([(text(every), tuple(map(text, shared)))] if shared else [])))


# Most sentences by which a design is told from another rather than as a whole.
_APART = 2


def _like(case: Case, own: Sequence[str], told: Mapping[str, Sequence[str]]) -> tuple[Text, ...]:
    """The rules of a design by those of the most like one of those told; none where no one has most of them."""
    if not told:
        return ()
    name, others = min(told.items(), key=lambda item: len({*own} ^ {*item[1]}))
    added, dropped = [one for one in own if one not in others], [one for one in others if one not in own]
    if len(added) + len(dropped) > min(_APART, len(own) - 1):
        return ()
    lines = [case.say("rules.added", design=data(name), rule=one) for one in added]
    lines += [case.say("rules.dropped", design=data(name), rule=one) for one in dropped]
    return tuple(lines) or (case.say("rules.same", design=data(name)),)


def assumed(case: Case, stamp: Mapping[str, Any], id_: str = "assumed") -> Section:
    """What no record states, and what has no effect."""
    say = case.say
    rows = tuple(
        (
            text(data(key)),
            say("assumed.many") if key.startswith(("scenarios", "designs")) else text(data(value)),
            text(data(why)),
        )
        for key, value, why in json.loads(stamp["assumptions"])
    )
    columns = case.columns("assumed.key", "assumed.value", "assumed.why", numeric_from=3)
    unused = stamp["without_effect"]
    notes = (say("assumed.without_effect", keys=unused),) if unused else ()
    blocks: tuple[Block, ...] = (Paragraph(say("assumed.intro")), Table(say("assumed.table"), columns, rows, notes))
    return Section(id_, say("assumed.title"), blocks)


def method(case: Case, stamp: Mapping[str, Any], first: Sequence[Text], summary: xr.Dataset | None) -> Section:
    """How everything was computed: first what is particular to the report, then hashes, versions and the curves."""
    say = case.say
    versions = ", ".join(f"{name} {one}" for name, one in json.loads(stamp["versions"]).items())
    lines = [*first, say("method.hashes", config=data(stamp["config"]), config_hash=stamp["config_sha256"])]
    if "data_sha256" in stamp:
        lines.append(say("method.data", data_hash=stamp["data_sha256"]))
    lines += [say("method.versions", versions=versions), say("method.same")]
    inner = []
    if summary is not None:
        by_curve = rules(case, json.loads(summary.attrs["curve_rules"]), "")
        inner.append(Section("curves", say("method.curves"), (by_curve,)))
    return Section("method", say("method.title"), (Bullets(tuple(lines)),), tuple(inner))


def limits(case: Case, own: Literal["planned", "conduct"]) -> Section:
    """What the analysis cannot say: of a trial as planned or one with patients, and of both."""
    items = [case.say(f"limits.{own}.{key}") for key in case.say.table(f"limits.{own}")]
    items += [
        case.say(f"limits.both.{key}")
        for key in case.say.table("limits.both")
        if not (key == "efficacy" and case.protocol.utility is not None)
    ]
    return Section("limits", case.say("limits.title"), (Bullets(tuple(items)),))


Progress = Callable[[int, int], None] | None
