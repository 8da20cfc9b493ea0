"""The page of endpoints by dose and visit, and their section in the conduct report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

import numpy as np

from ...endpoints.schedule import Parameter
from ...figures import ENDPOINTS, percent
from ...intake.measurements import UNDATED_EVENT, UNTREATED_ROW
from ...tasks.endpoints import BASELINE, MISSING_REASONS, POOLED, ByVisit, EndpointSummary, Timed
from ...words import _, counted, marked, n_patients
from ..content import Block, Bullets, Definitions, Figure, Note, Page, Paragraph, Section, Table, Text, data, filled, table, text
from . import common

__all__ = ["Shown", "endpoints"]

_REASONS = {
    "not due": marked("not yet due"),
    "missed": marked("missed"),
    "died": marked("died"),
    "transplant": marked("after transplant"),
    "withdrawn": marked("withdrawn"),
    "no infusion": marked("infusion not given"),
}
_EXTRA = {
    "another value is the baseline": marked("before the first infusion, but another value is the baseline"),
    "another value is analysed at the visit": marked("in the window of a visit, but another value is analysed"),
    "in no window": marked("in the window of no visit"),
    "after transplant": marked("after a transplant"),
    "after death": marked("after the recorded death"),
    "of another version of the protocol": marked("no parameter of the protocol version in force"),
    "after the data cutoff date": marked("after the data cutoff date"),
    "not treated by the data cutoff date": marked("of a patient not treated by the data cutoff date"),
    "no event": marked("no event by that day"),
    "event before the first infusion": marked("event before the first infusion"),
    "deaths are read with the patients": marked("time to death, read with the patients"),
}
_RULES = {
    "last": marked("last before infusion 1"),
    "mean": marked("mean before infusion 1"),
    "day-1": marked("day 1, stated before"),
    "none": marked("none"),
}
_DASH = "\u2013"
# Most rows of a table of single records on the page; the files have all of them.
_MOST = 40


def endpoints(found: EndpointSummary) -> Page:
    """Return the page of endpoints by dose and visit.

    Parameters
    ----------
    found
        What `dosefind.summarize_endpoints` returned.
    """
    shown = Shown(found)
    title = filled(
        _("{protocol}: endpoints at the data cutoff date {day}"), protocol=data(found.attrs["protocol"]), day=found.attrs["as_of"]
    )
    caution = shown.cautions()
    note = (Note(_("Cautions"), caution, warning=True),) if caution else ()
    blocks = (
        Bullets(shown.answers()),
        *shown.main(),
        *note,
        *common.version(found.attrs),
        Paragraph(common.assumed_words(found.attrs)),
    )
    details = tuple(section.as_detail() for section in shown.sections())
    return Page(title, blocks, (*details, common.assumptions(found.attrs)))


class Shown:
    """Blocks and sections of a summary of endpoints."""

    def __init__(self, found: EndpointSummary) -> None:
        self.found, self.endpoints = found, found.endpoints

    @cached_property
    def visit(self) -> str | None:
        """Return the visit that is shown first: the config's, or the last one with values of the main parameters."""
        if self.endpoints.main_visit is not None:
            return self.endpoints.main_visit
        names = self.endpoints.planned(self.main_parameters[0]) if self.main_parameters else {}
        seen = [name for name in names if self.found.cells[self.main_parameters[0], POOLED, name].n]
        return seen[-1] if seen else next(iter(names), None)

    @cached_property
    def main_parameters(self) -> list[str]:
        """Return the parameters that are shown first: the config's, or the first ones with visits."""
        if self.endpoints.main:
            return list(self.endpoints.main)
        return [key for key, one in self.endpoints.parameters.items() if one.kind == "change" and one.schedule is not None][:5]

    def parameters(self, *kinds: str) -> Iterator[tuple[str, Parameter]]:
        """Yield the parameters of some kinds, with their keys."""
        for key, parameter in self.endpoints.parameters.items():
            if parameter.kind in kinds:
                yield key, parameter

    # First screen.

    def answers(self) -> tuple[Text, ...]:
        """Return what the page answers: patients, changes, survival and events, missing values and rows."""
        found = self.found
        by_level = "; ".join(
            _("level {level}: {n}").format(level=level, n=n) for level, n in found.treated.items() if level != POOLED
        )
        n_measures = len(self.endpoints.measures)
        words = counted(
            "{treated} treated ({by_level}); {n} measure of the protocol.",
            "{treated} treated ({by_level}); {n} measures of the protocol.",
            n_measures,
            treated=n_patients(found.treated[POOLED]),
            by_level=by_level,
        )
        items = [text(words)]
        items += [answer for key in self.main_parameters[:1] if (answer := self._change_answer(key))]
        items += self._event_answers()
        items.append(self._missing_answer())
        items.append(self._row_answer())
        items.append(text(_("Descriptive: no hypothesis is tested, and no value is carried forward.")))
        return tuple(items)

    def _change_answer(self, key: str) -> Text | None:
        """Return the mean changes of a parameter by dose at the main visit."""
        if self.visit is None:
            return None
        parts = []
        for level in self.found.levels:
            cell = self.found.cells[key, level, self.visit]
            if cell.n_change:
                change = self._interval(cell.change_mean, cell.change_low, cell.change_high, self.endpoints.parameters[key].digits)
                parts.append(_("level {level} {change}").format(level=level, change=change))
        if not parts:
            return filled(_("{parameter} at {visit}: no value yet."), parameter=data(key), visit=data(self.visit))
        words = _("{parameter} at {visit}, mean change: {changes}; {better}.")
        better = {"lower": _("lower is better"), "higher": _("higher is better")}
        own = better.get(self.endpoints.parameters[key].better or "", _("no direction is stated"))
        return filled(words, parameter=data(key), visit=data(self.visit), changes="; ".join(parts), better=own)

    def _event_answers(self) -> list[Text]:
        items = []
        for key, parameter in self.parameters("survival"):
            row = self._timed(key, POOLED)
            words = _("{parameter} on day {day}: {rate}, events {events} ({by_level}).")
            items.append(
                filled(
                    words,
                    parameter=data(_capital(parameter.label)),
                    day=self.endpoints.rate_day,
                    rate=self._rate(row),
                    events=f"{row.events}/{row.treated}",
                    by_level=self._by_level(key),
                )
            )
        events = [
            _("{event} {events}").format(event=parameter.label, events=f"{row.events}/{row.treated}")
            for key, parameter in self.parameters("event")
            if (row := self._timed(key, POOLED))
        ]
        if events:
            items.append(filled(_("Events: {events}."), events=data("; ".join(events))))
        return items

    def _by_level(self, key: str) -> str:
        rows = (self._timed(key, level) for level in self.found.levels)
        return "; ".join(_("level {level}: {events}").format(level=row.level, events=f"{row.events}/{row.treated}") for row in rows)

    def _missing_answer(self) -> Text:
        reasons = Counter(one.reason for one in self.found.missing)
        expected = len(self.found.missing) + sum(value.visit != BASELINE for value in self.found.values)
        each = ", ".join(f"{_(_REASONS[reason])} {reasons[reason]:,}" for reason in MISSING_REASONS if reasons[reason])
        words = _("Missing: {missing} of {expected} values of patients and visits ({reasons}).")
        return text(words.format(missing=f"{len(self.found.missing):,}", expected=f"{expected:,}", reasons=each or _("none")))

    def _row_answer(self) -> Text:
        found = self.found
        listed, extra = len(found.listed), len(found.extra)
        used = found.attrs["rows"] - listed - extra
        words = _("{rows} rows of measurements read: {used} used, {extra} extra, {listed} not used.")
        return text(words.format(rows=f"{found.attrs['rows']:,}", used=f"{used:,}", extra=f"{extra:,}", listed=f"{listed:,}"))

    def main(self) -> tuple[Block, ...]:
        """Return the table of mean changes at the main visit, with missing values by reason."""
        if self.visit is None:
            return ()
        levels = self.found.levels
        heads = [_("parameter"), *(self._level_head(level) for level in levels)]
        rows = []
        for key in self.main_parameters:
            cells = [self.found.cells[key, level, self.visit] for level in levels]
            rows.append([data(key), *(self._change(key, cell) if cell.n_change else _DASH for cell in cells)])
        first = self.main_parameters[0]
        cells = [self.found.cells[first, level, self.visit] for level in levels]
        rows.append([_("with a value"), *(str(cell.n) for cell in cells)])
        for reason in MISSING_REASONS:
            numbers = [getattr(cell, reason.replace(" ", "_")) for cell in cells]
            if any(numbers):
                rows.append([_(_REASONS[reason]), *map(str, numbers)])
        rows.append([_("treated"), *(str(cell.treated) for cell in cells)])
        words = _("Change from baseline at {visit}, n: mean (95% interval); missing values of {parameter}.")
        caption = filled(words, visit=data(self.visit), parameter=data(first))
        return (table(caption, heads, rows),)

    def cautions(self, *, hides: bool = False) -> tuple[Text, ...]:
        """Return what limits the validity of the results; ``hides`` leaves out what is of single patients."""
        found, items = self.found, []
        if found.differences:
            by_field = Counter(one.field for one in found.differences)
            each = ", ".join(f"{name} {n}" for name, n in by_field.items())
            words = _("{n} differences from what the data derived ({fields}): see the details.")
            items.append(filled(words, n=len(found.differences), fields=data(each)))
        if found.warnings:
            n, first = len(found.warnings), found.warnings[0]
            words = counted("{n} implausible value.", "{n} implausible values.", n)
            if not hides:
                words = counted("{n} implausible value: {first}.", "{n} implausible values, the first {first}.", n, first=first)
            items.append(text(words))
        late = sum(one.why == "after death" for one in found.extra)
        if late:
            words = counted("{n} measurement is after a recorded death.", "{n} measurements are after a recorded death.", late)
            items.append(text(words))
        undated = Counter(found.undated)
        rows = Counter(row.reason for row in found.listed)
        if n := undated.total() + rows[_(UNDATED_EVENT)]:
            words = counted("{n} event without a full date is not counted.", "{n} events without a full date are not counted.", n)
            items.append(text(words))
        if n := rows[_(UNTREATED_ROW)]:
            items.append(text(counted("{n} row is of no treated patient.", "{n} rows are of no treated patient.", n)))
        if found.without_baseline:
            each = ", ".join(f"{key} {n}" for key, n in found.without_baseline.items())
            words = _("Patients with values but no baseline, by parameter: {parameters}.")
            items.append(filled(words, parameters=data(each)))
        if found.ineligible:
            each = ", ".join(f"{key} {len(subjects)}" for key, subjects in found.ineligible.items())
            words = _("Patients whose baseline is outside the criteria of the protocol, by parameter: {parameters}.")
            items.append(filled(words, parameters=data(each)))
        if other := found.attrs.get("other_dose"):
            words = counted(
                "{n} patient had a dose not in the protocol: counted among all doses only.",
                "{n} patients had a dose not in the protocol: counted among all doses only.",
                other,
            )
            items.append(text(words))
        if found.attrs["as_of_assumed"]:
            items.append(text(_("The data cutoff date is assumed: the last date in the data.")))
        return tuple(items)

    # Details.

    def sections(self, *, hides: bool = False, pictures: bool = False) -> list[Detail]:
        """Return the sections in their order, with ``pictures`` in a report; ``hides`` leaves out what is of single patients."""
        found = [
            Detail("endpoint-changes", _("Change from baseline by dose and visit"), self._changes(pictures and not hides)),
            Detail("endpoint-events", _("Survival and cumulative incidence"), self._events(pictures)),
            Detail("endpoint-liver", _("Liver safety"), self._liver(hides, pictures)),
            Detail("endpoint-shares", _("Values below the limit of quantification"), self._shares()),
            Detail("endpoint-ratios", _("Ratio to baseline"), self._ratios(pictures and not hides)),
            Detail("endpoint-shifts", _("Shift from baseline"), self._shifts()),
            Detail("endpoint-missing", _("Missing values"), self._missing()),
            Detail("endpoint-rows", _("Measurements that are not analysed"), self._not_analysed(hides)),
            Detail("endpoint-differences", _("Differences from the data's own derivations"), self._differences(hides)),
            Detail("endpoint-methods", _("Visits, parameters and definitions"), self._methods()),
        ]
        return [detail for detail in found if detail.blocks]

    def section(self, *, hides: bool = False) -> Section:
        """Return the section of a report, with pictures."""
        caution = self.cautions(hides=hides)
        note = (Note(_("Cautions"), caution, warning=True),) if caution else ()
        inner = tuple(detail.as_section() for detail in self.sections(hides=hides, pictures=True))
        hashed = filled(_("The measurements have SHA-256 {digits}."), digits=self.found.attrs["measurements_sha256"])
        blocks = (Bullets(self.answers()), *self.main(), *note, Paragraph(hashed))
        return Section("endpoints", text(_("Endpoints")), blocks, inner)

    def _changes(self, pictures: bool) -> tuple[Block, ...]:
        blocks: list[Block] = []
        for key, parameter in self.parameters("change"):
            if not any(self.found.cells[key, POOLED, name].n for name in (BASELINE, *self.endpoints.planned(key))):
                continue
            if key in self.main_parameters:
                blocks += [*self._picture("changes", key, pictures), self._full(key, parameter)]
            else:
                blocks.append(self._short(key, parameter))
        return tuple(blocks)

    def _picture(self, name: str, key: str, pictures: bool) -> tuple[Block, ...]:
        if not pictures:
            return ()
        from ... import plots

        caption = filled(_("{parameter}: every patient, and the estimates by dose."), parameter=data(self._label(key)))
        return (Figure(getattr(plots, name)(self.found, key), caption),)

    def _full(self, key: str, parameter: Parameter) -> Table:
        """Return every statistic of a parameter by dose and visit."""
        heads = [_("level"), _("visit"), _("n"), _("mean"), _("SD"), _("median (range)"), _("change: n"), _("mean (95% interval)")]
        rows = []
        for level in (*self.found.levels, POOLED):
            for name in (BASELINE, *self.endpoints.planned(key)):
                cell = self.found.cells[key, level, name]
                place = [self._level(level) if name == BASELINE else "", self._visit_name(name), f"{cell.n}/{cell.treated}"]
                spread = self._median(cell.median, cell.smallest, cell.largest, parameter.digits)
                change = self._interval(cell.change_mean, cell.change_low, cell.change_high, parameter.digits)
                numbers = [self._number(cell.mean, parameter.digits), self._number(cell.sd, parameter.digits)]
                rows.append([*place, *numbers, spread, str(cell.n_change) if name != BASELINE else "", change])
        return table(self._caption(key), heads, rows, numeric=(2, 3, 4, 5, 6, 7))

    def _short(self, key: str, parameter: Parameter) -> Table:
        """Return baseline and mean changes of a parameter, one column per dose."""
        levels = self.found.levels
        rows = []
        for name in (BASELINE, *self.endpoints.planned(key)):
            cells = [self.found.cells[key, level, name] for level in levels]
            if name == BASELINE:
                shown = [self._mean(cell, parameter.digits) for cell in cells]
            else:
                shown = [self._change(key, cell) if cell.n_change else _DASH for cell in cells]
            rows.append([self._visit_name(name), *shown])
        return table(self._caption(key), [_("visit"), *(self._level_head(level) for level in levels)], rows)

    def _caption(self, key: str) -> Text:
        parameter = self.endpoints.parameters[key]
        words = _("{parameter}{unit}: baseline mean (SD; n), then n: mean change (95% interval){measure}.")
        if key in self.main_parameters:
            words = _("{parameter}{unit}: n of treated, values and changes from baseline{measure}.")
        unit = f", {parameter.unit}" if parameter.unit else ""
        measure = _("; measure {measure}").format(measure=parameter.measure) if parameter.measure else ""
        return filled(words, parameter=data(_capital(parameter.label)), unit=data(unit), measure=data(measure))

    def _events(self, pictures: bool) -> tuple[Block, ...]:
        heads = [_("event"), _("level"), _("events"), _("share (exact 95% limits)")]
        heads += [_("competing"), filled(_("estimate on day {day} (95% limits)"), day=self.endpoints.rate_day)]
        rows, figures = [], []
        for key, parameter in self.parameters("survival", "event"):
            for place, level in enumerate((*self.found.levels, POOLED)):
                row = self._timed(key, level)
                share = row.events / row.treated if row.treated else np.nan
                limits = _("{low} to {high}").format(low=percent(row.share_low), high=percent(row.share_high))
                first = data(_capital(parameter.label)) if place == 0 else ""
                cells = [f"{row.events}/{row.treated}", f"{percent(share)} ({limits})"]
                competing = str(row.competing) if row.kind == "incidence" else _DASH
                rows.append([first, self._level(level), *cells, competing, self._rate(row)])
            # Where no patient had the event, the table says all.
            figures += self._picture("events", key, pictures and self._timed(key, POOLED).events > 0)
        if not rows:
            return ()
        caption = _("Events among treated patients; survival by Kaplan-Meier, cumulative incidence by Aalen-Johansen.")
        return (table(caption, heads, rows, numeric=(2, 3, 4, 5)), *figures)

    def _liver(self, hides: bool, pictures: bool) -> tuple[Block, ...]:
        peaks = self.found.peaks
        if not peaks:
            return ()
        above = [peak for peak in peaks if peak.alt > 3 and peak.bilirubin > 2]
        words = _(
            "ALT above 3 times and total bilirubin above 2 times the upper limit of normal after the first infusion: {n} of "
            "{patients}. Bilirubin was above 2 times at baseline already in {before}; it is raised in decompensated cirrhosis, so "
            "the region is not evidence of Hy's law here."
        )
        before = sum(peak.bilirubin_baseline > 2 for peak in peaks)
        blocks: list[Block] = [Paragraph(text(words.format(n=len(above), patients=n_patients(len(peaks)), before=before)))]
        if pictures and not hides:
            from ... import plots

            blocks.append(Figure(plots.liver(self.found), text(_("Largest ALT and bilirubin of each patient."))))
        if not hides:
            rows = [
                [
                    data(peak.subject),
                    self._level(peak.level or POOLED) if peak.level else _DASH,
                    f"{peak.alt:.1f} ({peak.alt_day})",
                    f"{peak.bilirubin:.1f} ({peak.bilirubin_day})",
                    self._number(peak.bilirubin_baseline, 1),
                ]
                for peak in sorted(peaks, key=lambda peak: (peak.level or 0, peak.subject))
            ]
            heads = [_("patient"), _("level"), _("ALT (day)"), _("bilirubin (day)"), _("bilirubin at baseline")]
            caption = _("Largest value after the first infusion, in multiples of the upper limit of normal, with its study day.")
            blocks.append(table(caption, heads, rows, numeric=(2, 3, 4)))
        return tuple(blocks)

    def _shares(self) -> tuple[Block, ...]:
        blocks = []
        table_of = {(row.parameter, row.level, row.visit): row for row in self.found.shares}
        for key, parameter in self.parameters("detection"):
            rows = []
            for name in (BASELINE, *self.endpoints.planned(key)):
                cells = []
                for level in (*self.found.levels, POOLED):
                    row = table_of[key, level, name]
                    cells.append(f"{row.not_detected} / {row.below} / {row.quantified}")
                rows.append([self._visit_name(name), *cells])
            heads = [_("visit"), *(self._level_head(level) for level in (*self.found.levels, POOLED))]
            words = _("{parameter}: patients not detected / below the limit of quantification / quantified.")
            blocks.append(table(filled(words, parameter=data(_capital(parameter.label))), heads, rows))
        return tuple(blocks)

    def _ratios(self, pictures: bool) -> tuple[Block, ...]:
        blocks: list[Block] = []
        table_of = {(row.parameter, row.level, row.visit): row for row in self.found.ratios}
        for key, parameter in self.parameters("ratio"):
            names = list(self.endpoints.planned(key))
            if not any(table_of[key, POOLED, name].n for name in names):
                continue
            rows = []
            for name in names:
                cells = []
                for level in self.found.levels:
                    row = table_of[key, level, name]
                    censored = _(", {n} censored").format(n=row.censored) if row.censored else ""
                    estimate = self._interval(row.ratio, row.low, row.high, 2)
                    cells.append(_("{n}: {ratio}{censored}").format(ratio=estimate, n=row.n, censored=censored) if row.n else _DASH)
                pooled = table_of[key, POOLED, name]
                other = [self._number(value, 2) for value in (pooled.ratio, pooled.ratio_half, pooled.ratio_limit)]
                rows.append([self._visit_name(name), *cells, " / ".join(other)])
            heads = [_("visit"), *(self._level_head(level) for level in self.found.levels), _("all: ML / half / limit")]
            words = _("{parameter}: n: ratio of geometric means to baseline (95% interval).")
            note = _(
                "All doses together: by maximum likelihood, and with half the limit of quantification or the limit itself in place "
                "of values below it."
            )
            blocks += self._picture("ratios", key, pictures)
            blocks.append(table(filled(words, parameter=data(_capital(parameter.label))), heads, rows, notes=(note,)))
        return tuple(blocks)

    def _shifts(self) -> tuple[Block, ...]:
        blocks = []
        for key, parameter in self.endpoints.parameters.items():
            if not parameter.shift:
                continue
            own = [row for row in self.found.shifts if row.parameter == key]
            rows = []
            for level in (*self.found.levels, POOLED):
                before = dict.fromkeys([*parameter.shift, ""])
                for name in before:
                    cells = []
                    for visit in self.endpoints.planned(key):
                        now = {row.after: row.n for row in own if (row.level, row.visit, row.before) == (level, visit, name)}
                        ordered = [after for after in before if after in now]
                        cells.append(", ".join(f"{after or _('missing')}: {now[after]}" for after in ordered))
                    if any(cells):
                        words = _("{level}, {baseline}")
                        rows.append([filled(words, level=self._level(level), baseline=data(name or _("none"))), *cells])
            heads = [_("level, baseline"), *(data(visit) for visit in self.endpoints.planned(key))]
            words = _("{parameter}: class at each visit, with the number of patients, by class at baseline.")
            blocks.append(table(filled(words, parameter=data(_capital(parameter.label))), heads, rows, numeric=()))
        return tuple(blocks)

    def _missing(self) -> tuple[Block, ...]:
        by_parameter: dict[str, Counter[str]] = {}
        for one in self.found.missing:
            by_parameter.setdefault(one.parameter, Counter())[one.reason] += 1
        seen = Counter(value.parameter for value in self.found.values if value.visit != BASELINE)
        rows = []
        for key, parameter in self.endpoints.parameters.items():
            if parameter.timed:
                continue
            gone = by_parameter.get(key, Counter())
            expected = self.found.treated[POOLED] * len(self.endpoints.planned(key))
            rows.append([data(key), str(seen[key]), *(str(gone[reason]) for reason in MISSING_REASONS), str(expected)])
        heads = [_("parameter"), _("with a value"), *(_(_REASONS[reason]) for reason in MISSING_REASONS), _("treated times visits")]
        caption = _("Values and missing values by reason: each row adds up to the treated patients times the visits.")
        return (table(caption, heads, rows),)

    def _not_analysed(self, hides: bool) -> tuple[Block, ...]:
        extra = Counter(one.why for one in self.found.extra)
        listed = Counter(row.reason for row in self.found.listed)
        rows = [[_(_EXTRA[why]), f"{n:,}"] for why, n in extra.items()] + [[data(why), f"{n:,}"] for why, n in listed.items()]
        if not rows:
            return ()
        caption = _("Rows that are not analysed at a visit, by reason; each is in the tables extra and listed of the files.")
        blocks: list[Block] = [table(caption, [_("reason"), _("rows")], rows)]
        if self.found.notes:
            blocks.append(common.points(self.found.notes))
        if self.found.warnings and not hides:
            blocks += [Paragraph(text(_("Implausible values:"))), common.points(self.found.warnings[:_MOST])]
        return tuple(blocks)

    def _differences(self, hides: bool) -> tuple[Block, ...]:
        if not self.found.differences:
            return ()
        if hides:
            by_field = Counter((one.parameter, one.field) for one in self.found.differences)
            rows = [[data(key), data(name), str(n)] for (key, name), n in by_field.items()]
            return (table(_("Differences by parameter and variable."), [_("parameter"), _("variable"), _("rows")], rows),)
        rows = [
            [data(one.source), data(one.subject), data(one.parameter), data(one.field), data(one.given or _DASH), one.own or _DASH]
            for one in self.found.differences[:_MOST]
        ]
        heads = [_("row"), _("patient"), _("parameter"), _("variable"), _("in the data"), _("own")]
        rest = len(self.found.differences) - len(rows)
        notes = (counted("and {n} more row", "and {n} more rows", rest),) if rest else ()
        return (table(_("Derivations that differ; own values are shown everywhere."), heads, rows, notes=notes, numeric=(4, 5)),)

    def _methods(self) -> tuple[Block, ...]:
        terms = [(text(_(one.label)), (text(f"{_(one.definition)}."),)) for one in ENDPOINTS.values()]
        visits = [
            [
                data(name),
                str(visit.day),
                _DASH if visit.infusion is None else str(visit.infusion),
                f"{self.found.windows[name].first}{_DASH}{self.found.windows[name].last}",
            ]
            for name, visit in self.endpoints.visits.items()
        ]
        words = _(
            "Visits with their windows where infusions are given as planned: up to the middle between visits, but never after the "
            "next planned infusion; after an infusion, within {days}. The value nearest to the day is analysed, the later one on "
            "ties."
        )
        n = self.endpoints.infusion_visit_days
        within = counted("{n} day", "{n} days", n)
        blocks: list[Block] = [
            Definitions(tuple(terms)),
            table(words.format(days=within), [_("visit"), _("day"), _("after infusion"), _("window")], visits),
        ]
        rows = [
            [
                data(key),
                data(_capital(parameter.label)),
                data(parameter.unit or _DASH),
                data(parameter.measure or _DASH),
                _DASH if parameter.timed else _(_RULES[self.endpoints.rule_of(key)]),
            ]
            for key, parameter in self.endpoints.parameters.items()
        ]
        heads = [_("parameter"), _("name"), _("unit"), _("measure"), _("baseline")]
        blocks.append(
            table(_("Parameters, with the measure of the protocol and the rule of the baseline."), heads, rows, numeric=())
        )
        return tuple(blocks)

    # Cells.

    def _timed(self, key: str, level: int) -> Timed:
        return next(row for row in self.found.timed if (row.parameter, row.level) == (key, level))

    def _rate(self, row: Timed) -> str:
        if not np.isfinite(row.rate):
            return _("not reached by follow-up")
        if not np.isfinite(row.low):
            return percent(row.rate)
        return _("{rate} ({low} to {high})").format(rate=percent(row.rate), low=percent(row.low), high=percent(row.high))

    def _change(self, key: str, cell: ByVisit) -> str:
        digits = self.endpoints.parameters[key].digits
        change = self._interval(cell.change_mean, cell.change_low, cell.change_high, digits)
        return _("{n}: {change}").format(change=change, n=cell.n_change)

    def _mean(self, cell: ByVisit, digits: int) -> str:
        if not cell.n:
            return _DASH
        mean, sd = self._number(cell.mean, digits), self._number(cell.sd, digits)
        return _("{mean} ({sd}; {n})").format(mean=mean, sd=sd, n=cell.n)

    def _median(self, median: float, low: float, high: float, digits: int) -> str:
        if not np.isfinite(median):
            return _DASH
        low_text, high_text = self._number(low, digits), self._number(high, digits)
        return _("{median} ({low}, {high})").format(median=self._number(median, digits), low=low_text, high=high_text)

    def _interval(self, value: float, low: float, high: float, digits: int) -> str:
        if not np.isfinite(value):
            return _DASH
        if not np.isfinite(low):
            return self._number(value, digits)
        low_text, high_text = self._number(low, digits), self._number(high, digits)
        return _("{value} ({low}, {high})").format(value=self._number(value, digits), low=low_text, high=high_text)

    @staticmethod
    def _number(value: float, digits: int) -> str:
        # A zero has no sign.
        return f"{round(value, digits) + 0.0:.{digits}f}" if np.isfinite(value) else _DASH

    def _label(self, key: str) -> str:
        return _capital(self.endpoints.parameters[key].label)

    def _level(self, level: int) -> str:
        return _("all") if level == POOLED else str(level)

    def _level_head(self, level: int) -> str:
        return _("all doses") if level == POOLED else _("level {level}").format(level=level)

    def _visit_name(self, name: str) -> Any:
        return _("baseline") if name == BASELINE else data(name)


class Detail:
    """A section that a terminal prints on demand, and a report as a whole."""

    def __init__(self, name: str, title: str, blocks: Iterable[Block]) -> None:
        self.name, self.title, self.blocks = name, title, tuple(blocks)

    def as_detail(self) -> Section:
        """Return the section of a page."""
        return Section(self.name, text(self.title), self.blocks, detail=True)

    def as_section(self) -> Section:
        """Return the section of a report."""
        return Section(self.name, text(self.title), self.blocks)


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
