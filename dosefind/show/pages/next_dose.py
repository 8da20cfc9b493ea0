"""The next step of a trial: what must be settled first, what the primary design recommends, how safe and how sure that is.

`next_dose` is what a terminal and a notebook show. The conduct report takes the same notes, answers and tables from `Conduct`,
so that a fact has one wording wherever it is read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...chain import Chain
from ...conduct import OTHER_LEVEL
from ...decisions import Recorded
from ...evaluability import UNTREATED, Evaluated, SeriousEvent, Status, dose_groups
from ...evaluability.evaluated import KIND_WORDS, Kind
from ...figures import in_percent, percent
from ...patients import Patient
from ...plots.style import amount, listed, unit
from ...provenance import named_column
from ...tasks import NextDose
from ...tasks.holds import trigger_words
from ...tasks.standing import (
    Caution,
    DoseInQuestion,
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
from ...words import _, counted, n_dlts, n_patients
from ..content import (
    Answer,
    Answers,
    Block,
    Bullets,
    Definitions,
    Note,
    Page,
    Paragraph,
    Run,
    Section,
    Table,
    Text,
    as_string,
    data,
    filled,
    table,
    text,
)
from . import common
from .comparison import reason_words
from .waiting import waiting_blocks, waiting_lines

__all__ = ["Conduct", "adjudicated", "kind_words", "last_days", "next_dose", "record_words"]

# Serious events on the first screen, unless more wait for adjudication; names of patients in a sentence.
_FIRST = 5


# Statuses of a patient, as of `Status.kind`.
def next_dose(found: NextDose) -> Page:
    """Return the page of the next step of a trial.

    Parameters
    ----------
    found
        The result of `dosefind.next_dose`.
    """
    shown = Conduct.of(found)
    blocks = (
        *common.version(found.attrs),
        *shown.leading(),
        Answers((shown.next(), shown.safe(shown.limits()), shown.sure())),
        shown.doses(),
        *shown.next_steps(),
        Paragraph(common.assumed_words(found.attrs)),
    )
    sections = (
        *_section("evaluability", _("Evaluability for DLT"), shown.evaluability()),
        *_section("course", _("Course of infusions"), shown.course()),
        *_section("waiting", _("Decide now or wait"), waiting_blocks(found.waiting)),
        *_section("designs", _("Next steps by design and outcome"), (shown.designs(), *shown.by_outcome())),
        *_section("deviations", _("Deviations and decisions"), (*shown.deviations(), *shown.decisions())),
        *_section("notes", _("Notes"), (shown.notes(),)),
        common.rules(found.attrs),
        *_section("pause", _("Pause rules"), (common.points(found.pause_rules),)),
        common.assumptions(found.attrs),
    )
    return Page(shown.title(), blocks, sections)


def _section(id_: str, title: str, blocks: Sequence[Block]) -> tuple[Section, ...]:
    return (Section(id_, text(title), tuple(blocks), detail=True),) if blocks else ()


@dataclass(frozen=True)
class Conduct:
    """The next step of a trial as the page and the report show it.

    Attributes
    ----------
    found
        The result of `dosefind.next_dose`.
    groups
        Dose group of each patient.
    hides
        Whether there are patients whose assignment a blinded report must not show.
    document
        Whether it is shown in a report, which has sections on events and designs.
    """

    found: NextDose
    groups: Mapping[str, str]
    hides: bool = False
    document: bool = False

    @classmethod
    def of(cls, found: NextDose, *, blinded: bool = False, document: bool = False) -> Conduct:
        """Return the next step of a trial; ``blinded`` where nothing may show which patients were not given the product."""
        hides = blinded and any(status.part in UNTREATED for status in found.evaluated.statuses)
        return cls(found, dose_groups(found.evaluated, blinded), hides, document)

    @property
    def design(self) -> Run:
        """Return the primary design."""
        return data(self.found.binding)

    def dose(self, level: int) -> Run:
        """Return the dose of a level with its unit."""
        return data(amount(self.found.amounts[level - 1], self.unit))

    @property
    def unit(self) -> str:
        """Return the unit of the doses, its powers raised."""
        return unit(self.found.attrs["unit"])

    def title(self) -> Text:
        attrs = self.found.attrs
        words = _("{protocol}: data cutoff {day}")
        if attrs["as_of_assumed"]:
            words = _("{protocol}: data cutoff {day} (assumed: the last date in the data)")
        return filled(words, protocol=data(attrs["protocol"]), day=attrs["as_of"])

    # What must be settled first.

    def leading(self) -> tuple[Note, ...]:
        """Return what leads: serious events, pause rules that have fired, overdue outcomes, doses that are not in the protocol."""
        found = self.found
        notes = [*self._serious(), *self._pauses(), *self._unseen()]
        # Beside the counts of the designs, a conclusion would tell which patient was not given the product.
        if (changed := overturned(found)) and not self.hides:
            title = as_string(filled(_("DLTs overturned by adjudication: {n}"), n=len(changed)))
            notes.append(Note(title, tuple(map(self._overturned, changed))))
        # Deaths and other serious events lead already.
        if suspected := [subject for subject in found.evaluated.suspected if not found.evaluated[subject].held]:
            items = [
                filled("{subject}: {reason}", subject=data(subject), reason=data(found.evaluated[subject].rule))
                for subject in suspected[:_FIRST]
            ]
            if (more := len(suspected) - _FIRST) > 0:
                items.append(filled(_("{n} more are in the table of statuses."), n=more))
            title = counted("{n} possible DLT: data are missing", "{n} possible DLTs: data are missing", len(suspected))
            notes.append(Note(title, tuple(items), True))
        if overdue := found.overdue:
            since = [filled(_("{subject} since {day}"), subject=data(status.subject), day=str(status.end)) for status in overdue]
            notes.append(Note(counted("{n} outcome overdue", "{n} outcomes overdue", len(overdue)), (joined(since, ", "),), True))
        if found.alarms:
            words = _("{subject}: dose {dose} is not in the protocol; the status at a dose of the protocol would be: {status}.")
            items = tuple(
                filled(words, subject=data(one.subject), dose=f"{one.amount:g}", status=kind_words(one.kind))
                for one in found.alarms
            )
            title = _("Dose not in the protocol, counted by no design: settle this before any decision")
            notes.append(Note(title, items, True))
        if other := [finding for finding in found.findings if finding.rule == OTHER_LEVEL]:
            items = tuple(text(data(common.raised(one.words))) for one in other)
            notes.append(Note(_("Dose of another level administered"), items, True))
        return tuple(notes)

    def _serious(self) -> tuple[Note, ...]:
        found, events = self.found, leading_events(self.found)
        if not events:
            return ()
        waiting = sum(event_state(found, event) == "waits" for event in events)
        shown = events[: max(waiting, _FIRST)]
        items = [self._event(event) for event in shown]
        if more := len(events) - len(shown):
            words = (
                _("{n} more are in the section on events.")
                if self.document
                else _("{n} more are in the table “serious” of the saved result.")
            )
            items.append(filled(words, n=more))
        words = _("Serious events: {n}") if self.hides else _("Serious events: {n}, waiting for adjudication: {waiting}")
        return (Note(words.format(n=len(events), waiting=waiting), tuple(items), bool(waiting)),)

    def _event(self, event: SeriousEvent) -> Text:
        """Return a serious event with its dose group and its adjudication; no term."""
        words, said, group = event_words(self.found, event), event.adjudication, self.groups[event.subject]
        sentence = _("{event} (level {level}): {state}.") if group.isdigit() else _("{event}: {state}.")
        states = {
            "waits": _("waits for adjudication"),
            "open": _("no adjudication on file"),
            "untreated": _("{part}: holds nothing"),
            # The name of the adjudicator is in the report only.
            "adjudicated": _("adjudicated on {day} by {by}: {conclusion}")
            if self.document
            else _("adjudicated on {day}: {conclusion}"),
        }
        if self.hides:
            state = text(_("adjudication in the unblinded report"))
        else:
            own = {} if said is None else {"day": str(said.adjudicated_on), "by": data(said.adjudicated_by)}
            own |= {"part": event.part, "conclusion": "" if said is None else said.conclusion}
            state = filled(states[event_state(self.found, event)], **own)
        return filled(sentence, event=data(f"{words[:1].upper()}{words[1:]}"), level=group, state=state)

    def _overturned(self, status: Status) -> Text:
        """Return a DLT by the definition with the adjudication that made the outcome another one."""
        said = status.adjudication
        assert said is not None
        words = _("{subject}: a DLT by the definition; adjudicated {conclusion} on {day}.")
        if self.document:
            words = _("{subject}: a DLT by the definition; adjudicated {conclusion} on {day} by {by}.")
        given = {"conclusion": said.conclusion, "day": str(said.adjudicated_on), "by": data(said.adjudicated_by)}
        return filled(words, subject=data(status.subject), **given)

    def _pauses(self) -> tuple[Note, ...]:
        if not self.found.holds.pauses:
            return ()
        items = tuple(text(common.raised(trigger_words(pause))) for pause in self.found.holds.pauses)
        return (Note(_("Pause rules that have fired"), items, True),)

    def _unseen(self) -> tuple[Note, ...]:
        """Return what the data do not say of serious events."""
        unseen = self.found.unseen
        if not unseen:
            return ()
        items: list[Text] = []
        if unseen.no_table:
            everybody = len(unseen.no_table) == len(self.found.evaluated.statuses)
            words = _("The data have no table of adverse events for {subjects}.")
            everywhere = text(_("The data have no table of adverse events."))
            items.append(everywhere if everybody else filled(words, subjects=_some(unseen.no_table)))
        if unseen.no_seriousness:
            items.append(text(_("The data do not state which adverse events are serious.")))
        if unseen.not_given:
            # The number is in its place, that of the subjects still open.
            words = counted(
                "Seriousness is not given for {n} event that is related to treatment or of unknown relationship ({{subjects}}).",
                "Seriousness is not given for {n} events that are related to treatment or of unknown relationship ({{subjects}}).",
                unseen.not_given,
            )
            items.append(filled(words, subjects=_some(unseen.subjects)))
        return (Note(_("Serious events may be incomplete"), tuple(items), True),)

    # What next.

    def next(self) -> Answer:
        """Return the recommendation with its reason, hold or start, what to weigh beside it, and what other designs recommend."""
        found, proposal = self.found, self.found.proposal
        because = [*self._reason(), *self._left(), *(self._held() if found.holds else self._start())]
        because += waiting_lines(found.waiting, self.document)
        because += [*(self._caution(one) for one in cautions(found)), *self._readings(), *map(_part, part_counts(found))]
        because += [*self._others(), *self._stopped(), *self._last_decision()]
        answer = text(common.raised(found.words))
        if found.alarms and not found.holds:
            words = _("First settle the dose not in the protocol. By the counts alone: {recommendation}.")
            answer = filled(words, recommendation=found.words)
        elif proposal.decided is not None:
            answer = text(data(common.raised(found.words)))
        return Answer(_("What next?"), answer, tuple(because))

    def _reason(self) -> list[Text]:
        proposal = self.found.proposal
        if proposal.decided is not None:
            return [text(data(common.raised(proposal.reason)))]
        if proposal.held is not None:
            return []
        return [filled(_("{design}, the primary design: {reason}"), design=self.design, reason=common.ended(proposal.reason))]

    def _left(self) -> list[Text]:
        """Return the patients who left and have a weight, and the recommendation with all of them counted as DLTs."""
        found = self.found
        if not found.left_as_dlts:
            return []
        left = found.evaluated.weighted
        each = ", ".join(_("level {level}: {share}").format(level=one.level, share=f"{one.weight:.0%}") for one in left)
        sentence = counted(
            "{n} patient left without a DLT, is replaced and has a weight in the model ({each}). Counted as a DLT: {{next}}.",
            "{n} patients left without a DLT, are replaced and have a weight in the model ({each}). Counted as DLTs: {{next}}.",
            len(left),
            each=each,
        )
        instead = found.left_as_dlts[found.binding]
        return [filled(sentence, next=str(instead) if instead.action == "wait" else instead.words)]

    def _held(self) -> list[Text]:
        """Return what must come before enrolment goes on, and what the design would do without the hold."""
        holds, held, until = self.found.holds, self.found.proposal.held, []
        if holds.events:
            words = counted("the serious event is adjudicated", "all {n} serious events are adjudicated", len(holds.events))
            until.append(text(words))
        if holds.pauses:
            until.append(text(_("the committee has decided to resume after the pause rule")))
        if holds.unplaced:
            subjects = data(listed([status.subject for status in holds.unplaced]))
            words = _("the committee has decided on a level, or to resume, knowing of the DLT of {subjects}")
            until.append(filled(words, subjects=subjects))
        lines = [filled(_("On hold until {conditions}."), conditions=joined(until, _(" and ")))]
        if held is not None:
            words = _("Without the hold, {design}, the primary design, would: {recommendation} ({reason}).")
            lines.append(filled(words, design=self.design, recommendation=held.words, reason=held.reason))
        return lines

    def _start(self) -> list[Text]:
        """Return the earliest start of the next patient."""
        start = self.found.start
        if start is None:
            return []
        words = _("The next patient may start from {day}: {why}.")
        if start.day is None:
            words = _("The next patient may not start yet, and the earliest date cannot be stated: {why}.")
        elif start.day == self.found.evaluated.as_of:
            words = _("The next patient may start {why}.")
        return [filled(words, day=str(start.day), why=start.words)]

    def _caution(self, one: Caution | RecordCaution) -> Text:
        """Return what a committee must weigh beside the answer."""
        if isinstance(one, RecordCaution):
            return _record_caution(one)
        decided = self.found.proposal.decided
        if one.kind == "decision" and decided is not None:
            words = _("By the data now, {design} leads below the decision {decision}: {recommendation} ({reason}).")
            own = {"recommendation": decided[1].words, "reason": decided[1].reason}
            return filled(words, design=self.design, decision=data(decided[0]), **own)
        if one.kind == "closed":
            return filled(_("Level {level} and all above are closed, whatever the outcomes still to come."), level=one.level)
        counts = {"dlts": n_dlts(one.dlts), "patients": n_patients(one.n)}
        if one.kind == "pooled":
            words = _(
                "With the patients beside the escalation: {dlts} in {patients} at level {level}, more than one in six; the dose "
                "closes at {closes} DLTs in as many patients."
            )
            return filled(words, level=one.level, closes=one.closes_at, **counts)
        return filled(_("{dlts} in {patients} counted by no design."), **counts)

    def _readings(self) -> list[Text]:
        """Return both readings of cohorts that the primary design had not planned, and which is taken."""
        both = readings(self.found.proposal)
        if both is None:
            return []
        decided = [subject for subject in both.subjects if subject in self.found.treated_as_decided]
        unplanned = [subject for subject in both.subjects if subject not in decided]
        said = []
        if unplanned:
            words = _("{subjects}: treated where {design} had not planned it.")
            said.append(filled(words, subjects=_some(unplanned), design=self.design))
        if decided:
            words = _("{subjects}: treated as the committee decided, before it knew of every DLT that is known now.")
            said.append(filled(words, subjects=_some(decided)))
        if both.agree:
            words = _("Read as part of the escalation or as outside it, the next step is the same.")
            return [joined([*said, text(words)], " ")]
        words = _(
            "Read as part of the escalation: {inside}; read as outside it: {outside}. The more cautious reading is taken: {taken}."
        )
        taken = _("inside the escalation") if both.taken == "inside" else _("outside the escalation")
        read = filled(words, inside=both.inside.words, outside=both.outside.words, taken=taken)
        return [joined([*said, read], " ")]

    def _others(self) -> list[Text]:
        """Return what the other designs recommend, in few words."""
        proposals, own = self.found.proposals, self.found.proposal
        differ = [name for name, one in proposals.items() if one.words != own.words]
        n = len(proposals)
        if n == 1:
            return [text(_("No other design is compared."))]
        if not differ:
            words = _("All {n} designs of the config agree.")
            if own.action == "wait":
                words = _("All {n} designs of the config would wait; their next steps by outcome are in the section on designs.")
            if own.action == "hold":
                words = _("All {n} designs of the config are on hold.")
            return [filled(words, n=n)]
        if not self.document:
            return []
        words = _("{differing} of {n} designs differ: {which}. Reasons are in the section on designs.")
        which = [
            filled(_("{designs}: {recommendation}"), designs=data(", ".join(names)), recommendation=said)
            for said, names in common.alike((name, proposals[name].words) for name in differ).items()
        ]
        return [filled(words, differing=len(differ), n=n, which=joined(which))]

    @property
    def stopped(self) -> str:
        """Return the designs whose rules would have stopped the trial before the last patients were treated."""
        departed = self.found.deviations.items()
        return ", ".join(name for name, each in departed if any(one.kind == "stopped" for one in each))

    def _stopped(self) -> list[Text]:
        """Return by whose rules the trial had ended; on a page, that stands among the deviations."""
        if not (self.document and self.stopped):
            return []
        return [filled(_("Designs whose rules would already have stopped the trial: {designs}."), designs=data(self.stopped))]

    def _last_decision(self) -> list[Text]:
        """Return the latest decision of the committee, and how many before it differ from the recommendation."""
        recorded = self.found.recorded
        if not recorded:
            return []
        last = recorded[-1]
        words = _("Latest decision of the committee on file: {decision}, as recommended, {when}.")
        if last.override == "yes":
            words = _(
                "Latest decision of the committee on file: {decision}, {when}; it differs from the recommendation of {design}: "
                "{recommendation}."
            )
        own = {"decision": data(last.decision), "recommendation": data(last.recommendation), "design": data(last.binding)}
        said = filled(words, when=when(last), **own)
        said += filled(_(" Reason given: {reason}"), reason=data(common.ended(last.reason)))
        if last.conditions:
            said += filled(_(" Conditions: {conditions}"), conditions=data(common.ended(last.conditions)))
        before = sum(decision.override == "yes" for decision in recorded[:-1])
        earlier = counted(
            "{n} earlier decision of {{all}} on file differs from the recommendation.",
            "{n} earlier decisions of {{all}} on file differ from the recommendation.",
            before,
        )
        return [said, *([filled(earlier, all=len(recorded))] if before else [])]

    # How safe, how sure.

    def safe(self, limits: Sequence[Text]) -> Answer:
        """Return the DLTs so far, with what limits the DLT rate, and the number of deviations."""
        found = self.found
        rows = found.doses.to_dict("records")
        n, dlts = (sum(row[name] for row in rows) for name in ("counted", "dlts"))
        seen = filled(_("{dlts} in {patients} with a known outcome."), dlts=n_dlts(dlts), patients=n_patients(n))
        because: list[Text] = []
        if unplaced := found.evaluated.unplaced:
            words = counted(
                "{n} more patient at a dose not in the protocol: {{dlts}}, counted by no design.",
                "{n} more patients at a dose not in the protocol: {{dlts}}, counted by no design.",
                len(unplaced),
            )
            because.append(filled(words, dlts=n_dlts(sum(status.otherwise == "dlt" for status in unplaced))))
        because += self._pending()
        because += [*self._short_after_last(), *self._extrapolated()]
        left = len(found.findings) + len(found.deviations.get(found.binding, ()))
        words = _("No deviation from the protocol or from {design} was found.")
        if left:
            words = _("Deviations from the protocol and from {design}: {n} (section on deviations).")
        because += [*limits, filled(words, design=self.design, n=left)]
        return Answer(_("How safe?"), seen if n else text(_("No outcome is known yet.")), tuple(because))

    def _short_after_last(self) -> list[Text]:
        """Return the complete patients whose last infusion was late."""
        found = self.found.short_after_last
        if not found:
            return []
        each = ", ".join(_("{subject} ({days})").format(subject=subject, days=days) for subject, days, _planned in found)
        words = _(
            "Caution: complete, although after a late infusion fewer than the planned {planned} days of the DLT window were left "
            "(days): {subjects}."
        )
        return [filled(words, planned=found[0][2], subjects=data(each))]

    def _pending(self) -> list[Text]:
        """Return the pending patients, and what the primary design reads of them."""
        found = self.found
        waiting = [subject for subjects in found.evaluated.pending for subject in subjects]
        if not waiting:
            return []
        words = _("Pending: {subjects}; these results are without them.")
        if any(way.courses is not None for way, _step in (found.proposal.held or found.proposal).completions):
            words = _(
                "Pending: {subjects}; the counts and limits are without them, P(overdose) by a hazard per infusion includes "
                "them as far as followed up."
            )
            if len(found.uninformed) == len(waiting):
                words = _("Pending: {subjects}; these results, P(overdose) included, are without them.")
            elif found.uninformed:
                words = _(
                    "Pending: {subjects}; the counts and limits are without them, P(overdose) by a hazard per infusion includes "
                    "those with information on DLTs, as far as followed up."
                )
        lines = [filled(words, subjects=data(listed(waiting)))]
        if found.uninformed:
            words = counted(
                "Caution: no information on DLTs of {n} pending patient (neither adverse events nor a DLT assessment), taken as "
                "not followed up: {{subjects}}.",
                "Caution: no information on DLTs of {n} pending patients (neither adverse events nor a DLT assessment), taken as "
                "not followed up: {{subjects}}.",
                len(found.uninformed),
            )
            lines.append(filled(words, subjects=data(listed(found.uninformed))))
        return lines

    def _extrapolated(self) -> list[Text]:
        """Return the share of the planned exposure not observed yet, at each dose with patients, if the primary design reads it."""
        rows = zip(self.found.doses.to_dict("records"), self.found.extrapolated, strict=False)
        one = _("{share} at level {level}")
        each = [one.format(share=percent(share), level=row["level"]) for row, share in rows if row["treated"]]
        words = _("Extrapolated, as exposure planned and not observed yet: {shares}.")
        return [filled(words, shares=", ".join(each))] if each else []

    def course(self) -> tuple[Block, ...]:
        """Return the exposure of each patient, where a design reads it."""
        return (common.exposure(self.found.courses),) if self.found.courses else ()

    def limits(self) -> list[Text]:
        """Return the upper limit of the DLT rate at the doses in question."""
        return [self.limit(question) for question in doses_in_question(self.found)]

    def limit(self, question: DoseInQuestion) -> Text:
        """Return the upper limit of the DLT rate at a dose, from the patients at that dose alone."""
        row = self.found.doses.to_dict("records")[question.level - 1]
        if not row["counted"]:
            return filled(_("At level {level}, no outcome is known."), level=question.level)
        words = _("At level {level} alone, {dlts} in {patients} cannot rule out a DLT rate of up to {limit} (one-sided 95% limit).")
        counts = {"dlts": n_dlts(row["dlts"]), "patients": n_patients(row["counted"])}
        return filled(words, level=question.level, limit=percent(row["upper_limit"], 0), **counts)

    def sure(self) -> Answer:
        """Return whether the escalation has ended, and with what, as far as it can be said without a posterior."""
        answer = self.ended() or text(_("The escalation has not ended."))
        words = _("Posterior of DLT rates, MTD and P(overdose): dosefind analyze, report.")
        return Answer(_("How sure?"), answer, (*self.on_mtd(), text(words)))

    def ended(self) -> Text:
        """Return the MTD or the maximum administered dose once the escalation has ended; nothing while it goes on."""
        now = standing(self.found)
        level = now.maximum_administered if now.mtd is None else now.mtd
        own = {} if level is None else {"level": level, "dose": self.dose(level)}
        if now.mtd is not None and self.found.proposal.decided is not None:
            words = _("The escalation has ended. MTD by the committee: level {level} ({dose}).")
        elif now.mtd is not None:
            words = _("The escalation has ended. MTD by {design}: level {level} ({dose}).")
        elif now.maximum_administered is not None:
            words = _("The escalation has ended without reaching an MTD. Maximum administered dose (MAD): level {level} ({dose}).")
        elif now.ended:
            words = _("The escalation has ended; {design} selects no dose as MTD.")
        elif self.found.proposal.action == "stop":
            words = _("The design stops, but not every outcome and adjudication is known: no dose is stated as the MTD yet.")
        else:
            return ()
        return filled(words, design=self.design, **own)

    def on_mtd(self) -> list[Text]:
        """Return the decisions of the committee on MTD and RP2D, and whether one on the RP2D is wanted."""
        now = standing(self.found)
        words = _("Decision of the committee on file ({when}): {decision}.")
        decided = [one for one in (now.recorded, now.rp2d) if one is not None]
        lines = [filled(words, decision=data(decision.decision), when=when(decision)) for decision in decided]
        if now.rp2d is None and (now.ended or now.recorded is not None):
            lines.append(text(_("The RP2D is decided by the committee; no decision on it is on file.")))
        return lines

    # Tables.

    def dose_rows(self) -> tuple[tuple[str | Text, ...], list[list[str]]]:
        """Return headings and rows of the patients and DLTs by dose."""
        heads = (_("level"), _("dose"), _("treated"), _("pending"), _("outcome known"), _("DLTs"), _("not evaluable"))
        rows = []
        for row in self.found.doses.to_dict("records"):
            here = [status for status in self.found.evaluated.statuses if status.level == row["level"]]
            lost = sum(one.kind in ("not evaluable", "replaced") for one in here)
            counts = (row[name] for name in ("treated", "pending", "counted", "dlts"))
            rows.append([str(row["level"]), f"{row['dose']:g}", *map(str, counts), str(lost)])
        return heads, rows

    def doses(self) -> Table:
        """Return patients and DLTs by dose, with the upper limit of the DLT rate from these alone."""
        heads, rows = self.dose_rows()
        limits = zip(self.found.doses["upper_limit"], self.found.doses["counted"], strict=True)
        shown = (percent(limit, 0) if n else "\u2013" for limit, n in limits)
        cells = ((*row, limit) for row, limit in zip(rows, shown, strict=True))
        outcomes = self.found.attrs["outcomes"]
        note = filled(_("Known outcomes by cohort: {outcomes}."), outcomes=outcomes or _("none yet"))
        words = _("Patients, DLTs and one-sided 95% upper limit of each dose alone ({unit}):")
        caption = filled(words, unit=data(self.unit))
        return table(caption, (*heads, _("upper limit")), cells, notes=(note,), numeric=range(len(heads) + 1))

    def next_steps(self) -> tuple[Block, ...]:
        """Return the next step of each design; nothing where all agree."""
        if len({proposal.words for proposal in self.found.proposals.values()}) < 2:
            return ()
        # Cohorts of different sizes at the same level are one item.
        steps = ((name, one.words if one.level is None else (one.action, one.level)) for name, one in self._in_order())
        items = tuple(map(self._together, common.alike(steps).values()))
        differ = sum(proposal.words != self.found.proposal.words for proposal in self.found.proposals.values())
        words = _("Next step by design ({differing} of {n} differ from the primary design):")
        return Paragraph(filled(words, differing=differ, n=len(self.found.proposals))), Definitions(items)

    def _together(self, names: Sequence[str]) -> tuple[Text, tuple[Text, ...]]:
        """Return designs with the same next step, and the step; a cohort size that fewer of them have is in parentheses."""
        proposals = self.found.proposals
        sizes = common.alike((name, proposals[name].size) for name in names)
        most = max(sizes, key=lambda size: len(sizes[size]))
        others = [
            filled(_("{designs}: {patients}"), designs=data(", ".join(with_size)), patients=n_patients(size))
            for size, with_size in sizes.items()
            if size != most
        ]
        step = text(data(proposals[sizes[most][0]].words))
        if others:
            step = filled(_("{step} ({others})"), step=step, others=joined(others))
        return text(data(", ".join(map(self._name, names)))), (step,)

    def _in_order(self) -> list[tuple[str, Any]]:
        """Return the recommendation of each design, the primary one first."""
        return sorted(self.found.proposals.items(), key=lambda item: item[0] != self.found.binding)

    def _name(self, design: str) -> str:
        if design != self.found.binding or len(self.found.proposals) == 1:
            return design
        return _("{design} (primary)").format(design=design)

    def designs(self) -> Table:
        """Return designs with their next step, the levels that their rules allow, and the reason."""
        rows = [
            (self._name(name), (one.words, "none" if one.action == "stop" else ", ".join(map(str, one.admissible)), one.reason))
            for name, one in self._in_order()
        ]
        caption = filled(
            _(
                "Next step by each design; {design} is the primary design. Admissible levels are those that the rules of a design "
                "allow for the next patients; none where it stops."
            ),
            design=self.design,
        )
        heads = (_("design"), _("next step"), _("admissible levels"), _("reason"))
        return _listed(caption, heads, ((", ".join(names), *cells) for cells, names in common.alike(rows).items()))

    def by_outcome(self, scenarios: Mapping[str, Sequence[float]] | None = None) -> tuple[Table, ...]:
        """Return the next steps by pending outcomes and by outcomes of the next patients, and the paths of the next cohorts.

        Parameters
        ----------
        scenarios
            True DLT rates by scenario, where they are to be stated.
        """
        found, tables = self.found, []
        if len(found.completions):
            own, others = (
                named_column("design", found.binding),
                [proposal for proposal in found.proposals if proposal != found.binding],
            )
            rows = []
            for row in found.completions.to_dict("records"):
                said = {other: row[named_column("design", other)] for other in others}
                differ = "; ".join(f"{one}: {words}" for one, words in said.items() if words != row[own])
                rows.append((row["further DLTs"], str(row["ways"]), row[own], differ))
            words = _(
                "Next step by {design}, and the designs that differ, by the pending outcomes. Multiplicity: number of assignments "
                "of the outcomes to patients."
            )
            heads = (_("further DLTs"), _("multiplicity"), _("next step"), _("designs that differ"))
            tables.append(_listed(filled(words, design=self.design), heads, rows, numeric={1}))
        if len(found.what_if):
            names = [str(name) for name in found.what_if.columns if name not in ("design", "next")]
            after = [(row["design"], tuple(row[name] for name in names)) for row in found.what_if.to_dict("records")]
            rows = [(", ".join(designs), *cells) for cells, designs in common.alike(after).items()]
            either = _("Where a cell has more than one answer, it depends on the pending outcomes.")
            notes = (either,) if found.evaluated.n_completions > 1 else ()
            tables.append(_listed(_("Next step after the DLTs among the next patients."), (_("design"), *names), rows, notes))
        return (*tables, *self._paths(scenarios))

    def _paths(self, scenarios: Mapping[str, Sequence[float]] | None) -> tuple[Table, ...]:
        """Return the paths of the next cohorts; none of a trial that no cohort follows."""
        paths = self.found.paths
        if not len(paths) or not any(paths["path"]):
            return ()
        first, own = ("path", "ways", "next", "mtd", "not_reached", "reason"), named_column("scenario", "")
        chances = [str(name) for name in paths.columns if name not in first]
        words = _("The next cohorts of {design} after {outcomes}: decisions, and their probability by scenario in percent.")
        if self.found.supposes:
            words = _(
                "The next cohorts of {design} after {outcomes}: decisions, and their probability by scenario in percent. "
                "Assumed: no pending patient has a DLT, nor any patient who completes the current cohort."
            )
        caption = filled(words, design=self.design, outcomes=paths.attrs["after"] or _("no patient"))
        heads = [_("outcomes"), _("multiplicity"), _("next"), _("MTD"), _("MTD not reached"), _("reason")]
        heads += (name.removeprefix(own) for name in chances)
        rows = []
        for row in paths.to_dict("records"):
            then = (_cell(row[name]) for name in ("next", "mtd", "not_reached"))
            shares = (in_percent(row[name]) for name in chances)
            rows.append((row["path"], str(row["ways"]), *then, reason_words(str(row["reason"])), *shares))
        notes: tuple[Text, ...] = ()
        if scenarios is not None:
            rates = "; ".join(f"{name}: {', '.join(f'{100 * p:.3g}%' for p in true)}" for name, true in scenarios.items())
            notes = (filled(_("True DLT rates by level under the scenarios, which are assumed: {rates}."), rates=data(rates)),)
        return (_listed(caption, heads, rows, notes, {1, *range(len(first), len(heads))}),)

    def evaluability(self) -> tuple[Table, ...]:
        """Return the status of each patient with a note and the days of the window, and the reason with its rows."""
        evaluated = self.found.evaluated
        if not evaluated.statuses:
            return ()
        rows, reasons = [], []
        for status, patient in zip(evaluated.statuses, evaluated.patients, strict=True):
            cells = ("" if one is None else str(one) for one in (status.cohort, status.level))
            days = (str(status.first), str(status.end))
            rows.append((status.subject, *cells, kind_words(status.kind), *days, _noted(status, patient)))
            reasons.append((status.subject, status.rule, "; ".join(status.source)))
        heads = (_("subject"), _("cohort"), _("level"), _("status"), _("first infusion"), _("window ends"), _("note"))
        statuses = _listed(_("Status of each patient."), heads, rows, (window_words(evaluated),))
        heads = (_("subject"), _("reason"), _("rows of the data"))
        return statuses, _listed(_("Reason for each status."), heads, reasons)

    def deviations(self) -> tuple[Block, ...]:
        """Return deviations from the protocol and from the primary design, and cohorts in which other designs differ."""
        found = self.found
        left = [(finding.rule, ", ".join(finding.subjects), finding.words) for finding in found.findings]
        rules = {name: _("rules of {design}").format(design=name) for name in found.deviations}
        left += [(rules[found.binding], "", str(one)) for one in found.deviations.get(found.binding, ())]
        # Only the primary design can be deviated from; what others would have done is for comparison.
        others = [(name, each) for name, each in found.deviations.items() if name != found.binding]
        beside = [(rules[name], str(one)) for name, each in others for one in each]
        blocks: list[Block] = [Paragraph(text(_("No deviation from the protocol was found.")))]
        if left:
            assumed = _("Rules that the record does not state, assumed in the config: {rules}.")
            notes = (filled(assumed, rules=", ".join(found.assumed_rules)),) if found.assumed_rules else ()
            caption = _("Deviations from the protocol, or from the rules of the primary design.")
            blocks = [_listed(caption, (_("rule"), _("subjects"), _("finding")), left, notes)]
        if beside:
            words = _("Cohorts in which other designs differ. {design} is the primary design, so these are not deviations.")
            blocks.append(_listed(filled(words, design=self.design), (_("rule"), _("finding")), beside))
        return tuple(blocks)

    def decisions(self) -> tuple[Block, ...]:
        """Return the decisions of the committee on file, with what followed each."""
        recorded = self.found.recorded
        if not recorded:
            return (Paragraph(text(_("No decision is on file."))),)
        said, about = [], []
        for number, (one, followed) in enumerate(zip(recorded, self.found.followed, strict=True), start=1):
            days = (_cell(one.meeting), str(one.as_of))
            said.append((str(number), *days, one.recommendation, one.decision, one.override, one.reason, followed))
            about.append((str(number), one.attendees, one.conditions, _cell(one.protocol_version), one.software_version))
        heads = (_("number"), _("meeting"), _("data cutoff"), _("recommended"), _("decision"), _("differs from recommendation"))
        first = _listed(_("Decisions of the committee on file."), (*heads, _("reason"), _("what followed")), said)
        heads = (_("number"), _("attendees"), _("conditions"), _("protocol version of"), "dosefind")
        return first, _listed(_("Attendees, conditions and versions of these decisions."), heads, about)

    def notes(self) -> Bullets:
        """Return what was read, and what was made of it."""
        notes = () if self.hides else self.found.notes
        return Bullets(tuple(text(data(common.raised(one))) for one in (self.found.evaluated.closing(), *notes)))


# Words.


def record_words(chains: Sequence[Chain]) -> list[str]:
    """Return cautions about changes by hand in files of decisions and adjudications in words."""
    return [as_string(_record_caution(one)) for one in record_cautions(chains)]


def _record_caution(one: RecordCaution) -> Text:
    """Return a caution about a file of decisions or adjudications."""
    if one.kind == "altered":
        words = _("Rows {rows} of {file} were changed by hand, or a row directly above was removed, added or moved.")
        if len(one.rows) == 1:
            words = _("Row {rows} of {file} was changed by hand, or a row directly above was removed, added or moved.")
    else:
        words = _("Rows {rows} of {file} have no hash: a change by hand would not be noticed.")
        if len(one.rows) == 1:
            words = _("Row {rows} of {file} has no hash: a change by hand would not be noticed.")
    return filled(words, rows=one.numbers, file=data(one.file))


def _part(count: PartCount) -> Text:
    """Return a part of the trial outside the escalation, with what each design counts of it."""
    words = _("{part}: {patients} at level {level}, {dlts}; not counted by {others}.")
    if not count.not_added_by:
        words = _("{part}: {patients} at level {level}, {dlts}; counted by all designs.")
    elif not count.added_by:
        words = _("{part}: {patients} at level {level}, {dlts}; counted by no design.")
    own = {"part": count.part.capitalize(), "level": count.level, "others": data(", ".join(count.not_added_by))}
    return filled(words, patients=n_patients(count.n), dlts=n_dlts(count.dlts), **own)


def when(row: Recorded) -> Text:
    """Return the date of the meeting with the data cutoff date, or that date alone where no meeting is on file."""
    if row.meeting is None:
        return filled(_("data cutoff {day}"), day=str(row.as_of))
    return filled(_("meeting of {meeting}, data cutoff {day}"), meeting=str(row.meeting), day=str(row.as_of))


def kind_words(kind: Kind) -> str:
    """Return a status in words."""
    return _(KIND_WORDS[kind])


def window_words(evaluated: Evaluated) -> Text:
    """Return which days the DLT window has."""
    words = _(
        "The first infusion is on day 1 and the DLT window ends with day {last}: a DLT that begins on that day counts, and a "
        "patient followed up to that day without a DLT is complete."
    )
    return filled(words, last=last_days(evaluated))


def last_days(evaluated: Evaluated) -> str:
    """Return the last day of the DLT window; several where an amendment has changed it, in the order of the patients."""
    days = dict.fromkeys(str((status.end - status.first).days + 1) for status in evaluated.statuses)
    return _(" or ").join(days)


def adjudicated(status: Status) -> str:
    """Return the adjudication of a patient's outcome, with the outcome by the definition alone where it is another one."""
    said = status.adjudication
    if said is None:
        return ""
    words = _("adjudicated {conclusion} on {day}")
    if status.derived:
        words = _("adjudicated {conclusion} on {day}; by the definition alone: {derived}")
    derived = _("no DLT") if status.derived == "complete" else kind_words(status.derived or status.kind)
    return words.format(conclusion=said.conclusion, day=said.adjudicated_on, derived=derived)


def _noted(status: Status, patient: Patient) -> str:
    """Return a note on a patient: the part of the trial, what explains the status, and a dose that is not the assigned one."""
    part = "" if status.part == "escalation" or status.part in UNTREATED else _(status.part)
    # Events of DLT grade that do not meet the definition, unless the patient has a DLT.
    events = len(status.source) - len(patient.source)
    given = ""
    if not patient.as_assigned:
        amounts = ", ".join(f"{amount:g}" for amount in patient.administered)
        given = _("assigned {assigned}, administered {administered}").format(assigned=f"{patient.amount:g}", administered=amounts)
    return "; ".join(filter(None, (part, *_explained(status, events), given)))


def _explained(status: Status, events: int) -> list[str]:
    """Return what explains the status of a patient in few words."""
    if status.has_weight:
        whole = (status.end - status.first).days
        words = _("left after {days} of {whole} days, replaced, weight {share}")
        return [words.format(days=status.days_followed, whole=whole, share=f"{status.weight:.0%}")]
    if status.kind == "not evaluable" or status.unresolved:
        return [status.rule]
    said = adjudicated(status)
    if status.kind == "dlt" and status.closed is not None:
        return [_("day {day}").format(day=(status.closed - status.first).days + 1), said]
    told = [_("by {subject}").format(subject=status.replaced_by)] if status.replaced_by else []
    if status.kind == "pending":
        whole = (status.end - status.first).days
        known = status.days_followed
        told = [_("{days} of {whole} days to go").format(days=status.days_to_go, whole=whole)]
        if known < whole - status.days_to_go:
            told.append(counted("followed up for {n} day only", "followed up for {n} days only", known))
    told.append(said)
    if events:
        told.append(
            counted(
                "{n} event of DLT grade not meeting the definition", "{n} events of DLT grade not meeting the definition", events
            )
        )
    return told


def _some(names: Sequence[str]) -> Run:
    """Return a few names, and how many more there are."""
    more = len(names) - _FIRST
    if more <= 0:
        return data(listed(names))
    return data(counted("{{names}} and {n} more", "{{names}} and {n} more", more).format(names=", ".join(names[:_FIRST])))


# Tables and texts.


def _listed(
    caption: str | Text,
    heads: Iterable[str],
    rows: Iterable[Iterable[str]],
    notes: Iterable[str | Text] = (),
    numeric: Collection[int] = (),
) -> Table:
    """Return a table whose cells may be texts of the data."""
    return table(caption, map(data, heads), (map(data, row) for row in rows), notes=notes, numeric=numeric)


def joined(parts: Sequence[Text], between: str = "; ") -> Text:
    """Return texts as one."""
    return tuple(run for place, part in enumerate(parts) for run in (*(text(between) if place else ()), *part))


def _cell(value: object) -> str:
    return "" if value is None or str(value) in ("nan", "<NA>", "NaT") else str(value)
