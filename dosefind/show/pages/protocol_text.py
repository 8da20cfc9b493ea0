"""The statistical section of a protocol, to be pasted: made of the sections of the plan, in the order of SPIRIT 2025.

Whatever the protocol does not state is a query to the author, ``[QUERY n: ...]``, which a search in the file finds and a table at
the end lists. A further query is one line where its subject is written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...config import Trial
from ...figures import percent
from ...plots.style import amount, unit
from ...protocol import Protocol
from ...words import _, counted, marked, n_days
from ..content import (
    Block,
    Bullets,
    Definitions,
    Document,
    Paragraph,
    Run,
    Section,
    Text,
    as_string,
    data,
    filled,
    table,
    text,
)
from . import common, plan
from .pause_rules import pause_section
from .pieces import method
from .plan import Plan
from .settings import setting_words, value_words

__all__ = ["protocol_text"]

# Guidance on cell therapy products; what it asks for is for the author to confirm.
_CBER = (
    "US Food and Drug Administration, Center for Biologics Evaluation and Research. Considerations for the design of early-phase "
    "clinical trials of cellular and gene therapy products: guidance for industry. June 2015. Docket FDA-2013-D-0576."
)
_NMPA = (
    "Center for Drug Evaluation, National Medical Products Administration (China). Technical guideline for clinical trials of "
    "human stem cells and their derived cell therapy products (trial version). Notice No. 37 of 2023, 21 June 2023. In Chinese."
)


@dataclass
class _Queries:
    """The open questions to the author, numbered in the order in which they are asked.

    Attributes
    ----------
    protocol
        The protocol.
    assumed
        Values and reasons of the settings that the protocol does not state, by key; each is asked once.
    asked
        Subject, words and section of each question.
    section
        Number of the section that is being written.
    """

    protocol: Protocol
    assumed: dict[str, list[tuple[Any, str]]]
    asked: list[tuple[Text, str, str]] = field(default_factory=list)
    section: str = ""

    @classmethod
    def of(cls, planned: Plan) -> _Queries:
        assumed: dict[str, list[tuple[Any, str]]] = {}
        for key, value, reason in planned.stamp["assumptions"]:
            assumed.setdefault(key, []).append((value, reason))
        return cls(planned.protocol, assumed)

    def ask(self, subject: str | Text, words: str) -> Text:
        """Return a question to the author."""
        said = text(subject)
        self.asked.append((said, words, self.section))
        one = _("[QUERY {n}: {subject}. {words}]")
        return (Run(one.format(n=len(self.asked), subject=as_string(said), words=words), "query"),)

    def about(self, *tables: str) -> tuple[Bullets, ...]:
        """Return the questions on settings of these tables that have not been asked, as a list; nothing if there are none."""
        keys = [key for key in self.assumed if any(key == table or key.startswith(f"{table}.") for table in tables)]
        # What is asked of several designs or curves in the same words is asked once.
        alike: dict[tuple[str, str], list[str]] = {}
        for key in keys:
            part = key.partition(".")[0]
            words = _asked(self.protocol, key, self.assumed.pop(key))
            alike.setdefault((part if part in _SEVERAL else key, words), []).append(key)
        found = tuple(self.ask(_subject(each), words) for (_part, words), each in alike.items())
        return (Bullets(found),) if found else ()


_SEVERAL = {"designs": marked("Settings of the designs {names}"), "curves": marked("Settings of the curves {names}")}


def _subject(keys: Sequence[str]) -> Text:
    """Return what a question is about: a setting, or several designs or curves."""
    if len(keys) == 1:
        return setting_words(keys[0])
    names = ", ".join(key.partition(".")[2] for key in keys)
    return filled(_(_SEVERAL[keys[0].partition(".")[0]]), names=data(names))


def _asked(protocol: Protocol, key: str, entries: list[tuple[Any, str]]) -> str:
    """Return what is asked about a setting: its value, unless it is a whole table of the config, and the reason for it."""
    defaults, said = False, []
    for value, reason in entries:
        if reason.startswith("defaults of this kind of"):
            defaults = True
            continue
        default = reason.startswith("dosefind's default")
        shown = "" if isinstance(value, str) and " = " in value else value_words(key, _value_of(protocol, key, value))
        if shown and default:
            said.append(_("Value: {value}, the software's default.").format(value=shown))
        elif default:
            said.append(_("The software's default."))
        elif shown:
            said.append(_("Assumed: {value}; {reason}.").format(value=shown, reason=reason.rstrip(".")))
        else:
            said.append(_("Assumed: {reason}.").format(reason=reason.rstrip(".")))
    if defaults:
        said.append(_("Settings that are not given are the software's defaults, as the rules state them."))
    said.append(_("Confirm or replace."))
    return " ".join(said)


def _value_of(protocol: Protocol, key: str, written: Any) -> Any:
    """Return the value of a setting of the protocol by its key, or what is written of it where it is none."""
    found: Any = protocol
    for name in key.split("."):
        found = getattr(found, name, None)
    return written if found is None else found


def protocol_text(
    trial: Trial,
    *,
    design: str | None = None,
    curve: str | None = None,
    progress: Callable[[float, int], None] | None = None,
) -> Document:
    """Return the statistical section of a protocol; parameters as of `dosefind.protocol_text`."""
    planned = Plan.of(trial, design=design, curve=curve, progress=progress)
    protocol, queries = planned.protocol, _Queries.of(planned)
    writers: list[tuple[str, str, Callable[[Plan, _Queries], list[Block]]]] = [
        ("design", _("Trial design and rationale"), _design),
        ("definitions", _("Definitions"), _definitions),
        ("escalation", _("Dose escalation"), _escalation),
        ("sample-size", _("Sample size"), _sample_size),
        ("selection", _("Analysis sets, selection of the MTD and recommended dose"), _selection),
        ("operating", _("Operating characteristics"), _operating),
        ("sensitivity", _("Sensitivity analysis"), _sensitivity),
        ("stopping", _("Stopping and pausing rules"), _stopping),
        ("interim", _("Interim decisions and conduct"), _interim),
        ("method", _("Software and statistical methods"), _methods),
    ]
    sections = []
    for number, (name, title, write) in enumerate(writers, start=1):
        queries.section = str(number)
        sections.append(Section(name, text(title), tuple(write(planned, queries))))
    sections.append(plan.references(planned, list(protocol.designs), (_CBER, _NMPA)))
    queries.section = str(len(sections) + 1)
    annex = _annex(planned, queries) if planned.others else ()
    sections += annex
    queries.section = str(len(sections) + 1)
    sections.append(_listed(queries))
    title = _("{protocol}: statistical section of the protocol")
    return plan.document(planned, title, _("Draft for the protocol version of {day}"), sections)


def _doses(protocol: Protocol) -> str:
    each = _("level {level}, {dose}")
    words = unit(protocol.doses.unit)
    return "; ".join(each.format(level=level, dose=amount(dose, words)) for level, dose in enumerate(protocol.doses.amounts, 1))


def _design(planned: Plan, queries: _Queries) -> list[Block]:
    """Return what trial it is, why this design, and who may start when."""
    protocol = planned.protocol
    record, limits, treatment = protocol.record, protocol.limits, protocol.treatment
    words = _(
        "{id} is a dose-finding trial. Population: {population}. Investigational product: {product}. The primary objective of the "
        "dose escalation is to determine the maximum tolerated dose (MTD) among {n} dose levels: {doses}."
    )
    about = {"id": data(record.id), "product": data(record.product), "population": data(record.population)}
    first = filled(words, **about, n=protocol.n_doses, doses=data(_doses(protocol)))
    days = ", ".join(map(str, treatment.infusion_days))
    given = counted(
        "Each patient receives one infusion, on day {{days}}, and is treated at one dose level only.",
        "Each patient receives {n} infusions, on days {{days}}, and is treated at one dose level only.",
        len(treatment.infusion_days),
    )
    chosen = filled(
        _(
            "Doses are escalated by the {design}, starting at level {start} ({dose}). At most {max_n} patients are treated, as "
            "many at a time as the rules of section 3 state."
        ),
        design=_named(planned),
        start=limits.start_level,
        dose=data(amount(protocol.doses.amounts[limits.start_level - 1], unit(protocol.doses.unit))),
        max_n=limits.max_n,
    )
    blocks: list[Block] = [Paragraph(first), Paragraph(filled(given, days=days)), Paragraph(chosen), Paragraph(_why(planned))]
    blocks.append(Bullets(tuple(map(text, _starts(protocol)))))
    asked = (
        queries.ask(_("Objectives and estimands"), _("State the primary and secondary objectives, and the phase of the trial.")),
        queries.ask(
            _("Choice of the design"),
            _("State why this design was chosen, with the comparison in the annex or other evidence."),
        ),
        queries.ask(
            _("Starting dose and dose steps"),
            _("State the non-clinical and clinical data that justify the starting dose, the highest dose and the steps."),
        ),
    )
    blocks += [Bullets(asked), *queries.about("record", "binding", "doses", "treatment", "limits.start_level")]
    return blocks


def _named(planned: Plan) -> Text:
    """Return what the primary design is called."""
    title = planned.trial.designs[planned.binding].title
    if title == planned.binding:
        return filled(_("{title} design"), title=title)
    return filled(_("{title} design ({name})"), title=title, name=data(planned.binding))


def _why(planned: Plan) -> Text:
    """Return how often the design selects the true MTD and an overdose."""
    found, d = planned.found, planned.place
    correct, overdose, patients = (found.values(name).mean(axis=1) for name in ("correct", "overdose_selected", "mean_n"))
    words = _(
        "Over the {n} scenarios of true DLT rates below, this design selects the true MTD in {correct} of trials on average, and a "
        "dose whose true DLT rate exceeds {limit} in {overdose}, with a mean of {patients} patients."
    )
    limit = f"{100 * planned.oc.attrs['overdose_limit']:.3g}%"
    numbers = {"correct": percent(correct[d]), "overdose": percent(overdose[d]), "patients": f"{patients[d]:.1f}"}
    return filled(words, n=len(found.scenarios), limit=limit, **numbers)


def _starts(protocol: Protocol) -> list[str]:
    """Return who may start when."""
    treatment = protocol.treatment
    found = [_("Dose groups may overlap in time.")]
    if treatment.no_overlap:
        found = [_("Dose groups are sequential: a group starts only after the DLT windows of all earlier patients have ended.")]
    stagger = treatment.stagger
    if stagger is None:
        return [*found, _("No staggering interval between the patients of a dose group is required.")]
    where = _("At every dose level")
    if stagger.levels != "all":
        where = _("At dose level {levels}").format(levels=", ".join(map(str, stagger.levels)))
    words = _("{where}, each patient starts at least {days} after the previous patient.")
    if stagger.patients == "first":
        words = _("{where}, the second patient starts at least {days} after the first patient at that dose.")
    return [*found, words.format(where=where, days=n_days(stagger.days))]


_LEFT = {
    "not-evaluable": marked("is not evaluable and is replaced"),
    "no-dlt": marked("counts as a patient without a DLT"),
    "dlt": marked("counts as a patient with a DLT"),
    "weight": marked("is replaced, and contributes the part of the window that was followed to the model"),
}


def _definitions(planned: Plan, queries: _Queries) -> list[Block]:
    """Return the definitions on which the design rests."""
    protocol = planned.protocol
    target, rule = protocol.target, protocol.rp2d
    low, high, limit = (f"{100 * rate:g}%" for rate in (*target.interval, target.overdose_limit))
    items: list[tuple[str, list[str]]] = [
        (_("Dose-limiting toxicity (DLT)"), _dlt(protocol)),
        (_("DLT window"), _window(protocol)),
        (_("Evaluable for DLT"), _evaluable(protocol)),
        (
            _("Target DLT rate"),
            [
                _(
                    "{rate}; DLT rates from {low} to below {high} are acceptable, and a dose with a DLT rate above {limit} is an "
                    "overdose."
                ).format(rate=f"{100 * target.rate:g}%", low=low, high=high, limit=limit)
            ],
        ),
        (
            _("Maximum tolerated dose (MTD)"),
            [
                _(
                    "The dose that the rules of section {number} select at the end of the escalation. \u201cMTD not reached\u201d "
                    "means that the highest dose is selected and the rules would have escalated from it: the MTD is that dose or "
                    "above."
                ).format(number=3)
            ],
        ),
        (
            _("Recommended dose (RP2D)"),
            [
                _(
                    "Chosen by the committee. It is supported by the probability that the DLT rate of a dose is {limit} or more, "
                    "P(overdose), which has to be below {p}."
                ).format(limit=high, p=f"{100 * rule.limit:g}%")
            ],
        ),
    ]
    blocks: list[Block] = [Definitions(tuple((text(term), tuple(map(text, said))) for term, said in items))]
    asked = (
        queries.ask(
            _("Grading and attribution"),
            _(
                "State the version of CTCAE, who assesses the relationship to treatment, and events that are a DLT whatever their "
                "grade."
            ),
        ),
    )
    return [*blocks, Bullets(asked), *queries.about("dlt", "evaluability", *_TARGET, "rp2d", "utility", "efficacy")]


# Settings of the target that definitions rest on.
_TARGET = ("target.rate", "target.interval", "target.mtd_margin", "target.overdose_limit", "target.over")


def _dlt(protocol: Protocol) -> list[str]:
    dlt = protocol.dlt
    words = _(
        "An adverse event of CTCAE grade {grade} or worse, at least possibly related to treatment, that begins in the DLT window."
    )
    found = [words.format(grade=dlt.least_grade)]
    found += [_("{term}: from grade {grade}.").format(term=term, grade=grade) for term, grade in dlt.least_grade_by_term.items()]
    if dlt.excluded_terms:
        found.append(_("Not a DLT at any grade: {terms}.").format(terms=", ".join(dlt.excluded_terms)))
    if dlt.liver_grading == "baseline":
        found.append(_("Liver tests are graded relative to an abnormal baseline (CTCAE version 5.0)."))
    return found


def _window(protocol: Protocol) -> list[str]:
    treatment = protocol.treatment
    found = [_("{days} from the first infusion.").format(days=n_days(treatment.dlt_window_days))]
    if len(treatment.infusion_days) > 1:
        whole = _("It covers the whole course of infusions.")
        found.append(whole if treatment.window == "course" else _("It covers the first infusion only."))
    return found


def _evaluable(protocol: Protocol) -> list[str]:
    rules = protocol.evaluability
    share = f"{100 * rules.least_dose:g}%"
    found = [
        _("Every patient with a DLT is evaluable."),
        _("A patient without a DLT is evaluable after the whole DLT window with at least {share} of the planned dose.").format(
            share=share
        ),
        _("A patient without a DLT who discontinues before the end of the window {then}.").format(then=_(_LEFT[rules.dropout])),
        _("A patient without a DLT who has progression or rescue treatment in the window {then}.").format(
            then=_(_LEFT[rules.progression])
        ),
    ]
    if len(protocol.treatment.infusion_days) > 1 and protocol.treatment.window == "course":
        words = _("A patient without a DLT who was followed up, but missed an infusion, {then}.")
        found.append(words.format(then=_(_LEFT[rules.partial_course])))
    return found


def _escalation(planned: Plan, queries: _Queries) -> list[Block]:
    """Return the rules, the decision table and the first paths."""
    rules = planned.stamp["rules"][planned.binding]
    intro = filled(_("The rules of the {design}:"), design=_named(planned))
    (decisions,) = plan.decision_tables(planned, [planned.binding])
    found = plan.first_paths(planned)
    then = _("The decision after each path of the first two cohorts, and its probability in each scenario:")
    blocks: list[Block] = [
        Paragraph(intro),
        common.points(rules),
        *decisions.blocks,
        Paragraph(text(then)),
        *plan.tree(planned, found),
        *found.by_decision(),
    ]
    return [*blocks, *queries.about(f"designs.{planned.binding}", "limits.cohort_size")]


def _sample_size(planned: Plan, queries: _Queries) -> list[Block]:
    """Return the maximum sample size with what it can show."""
    max_n = planned.protocol.limits.max_n
    words = _(
        "At most {n} evaluable patients are treated. The sample size follows from the rules of escalation and not from the test of "
        "a hypothesis. With {n} patients, the probability of observing at least one event that occurs in {rate} of patients is "
        "{p}. If none of {n} patients has a DLT, the one-sided 95% upper confidence limit of the DLT rate, averaged over the doses "
        "given, is {upper}."
    )
    rate = f"{100 * plan.RARE:g}%"
    said = filled(words, n=max_n, rate=rate, p=percent(1 - (1 - plan.RARE) ** max_n), upper=percent(_upper(max_n)))
    full = planned.at_one_dose
    if 0 < full < max_n:
        more = _(
            " At most {n} patients are treated at one dose: the probability of observing such an event there is {p}, and the upper "
            "limit of the DLT rate at that dose if none of {n} patients has a DLT is {upper}."
        )
        said += filled(more, n=full, p=percent(1 - (1 - plan.RARE) ** full), upper=percent(_upper(full)))
    rows = [
        (where, str(n), *(percent(1 - (1 - share) ** n).removesuffix("%") for share in _SEEN), percent(_upper(n)).removesuffix("%"))
        for n, where, _p in plan.detection(planned)
    ]
    heads = (
        _("patients in"),
        _("n"),
        *(_("P(\u22651 event) at a rate of {rate}, %").format(rate=f"{100 * share:g}%") for share in _SEEN),
        _("upper 95% limit after 0 DLTs, %"),
    )
    note = _("Upper limit: one-sided exact (Clopper-Pearson) 95% confidence limit of the DLT rate if no patient of n has a DLT.")
    caption = _("Probability of observing at least one event, and upper limit of the DLT rate if none is observed.")
    blocks: list[Block] = [Paragraph(said), table(caption, heads, rows, notes=(note,)), *plan.sizes(planned, own=True).blocks]
    asked = queries.ask(
        _("Replacement and accrual"),
        _("State the expected number of patients to be replaced, the number to be enrolled, sites, and the accrual rate."),
    )
    return [*blocks, Bullets((asked,)), *queries.about("limits", "accrual", "discontinuation", "gates")]


# Event rates whose detection is tabulated.
_SEEN = (0.05, plan.RARE, 0.20)


def _upper(n: int) -> float:
    """Return the one-sided exact 95% upper limit of a rate after no event in n patients."""
    return 1 - 0.05 ** (1 / n)


def _selection(planned: Plan, queries: _Queries) -> list[Block]:
    """Return the sets of patients, the final selection, and what is estimated."""
    zero = plan.zero(planned)
    sets = (
        _("Safety set: all patients who received any amount of the product. Adverse events are summarised in this set."),
        _("DLT-evaluable set: the patients evaluable for DLT as defined above. Escalation and the MTD use this set."),
    )
    words = _(
        "The MTD is selected by the rules of section 3 from the patients and DLTs at each dose. The recommended dose is decided by "
        "the committee from all safety data, including events that are not DLTs and events after the DLT window, and is not the "
        "result of a rule alone."
    )
    blocks: list[Block] = [common.points(sets), Paragraph(text(words))]
    if planned.prior is not None:
        blocks += plan.prior(planned.prior).blocks
    asked = queries.ask(
        _("Analysis sets"), _("These definitions are a proposal. Confirm or replace them, and add the other analyses.")
    )
    return [*blocks, *zero.blocks, Bullets((asked,)), *queries.about("curves", "borrowing")]


def _operating(planned: Plan, queries: _Queries) -> list[Block]:
    own = plan.own_operating(planned)
    (meant,) = (section for section in own.sections if section.id == "definitions")
    blocks = list(own.blocks)
    if planned.trial.designs[planned.binding].reads != "complete":
        words = _(
            "This design decides with outcomes pending. The results below are those of accrual so slow that every outcome is known "
            "at each decision."
        )
        blocks.insert(0, Paragraph(text(words)))
    return [*blocks, *meant.blocks, *queries.about("scenarios")]


def _sensitivity(planned: Plan, queries: _Queries) -> list[Block]:
    return [*plan.sensitivities(planned).blocks, *queries.about("target.sensitivity")]


def _stopping(planned: Plan, queries: _Queries) -> list[Block]:
    """Return how often the design ends the trial and why, and the rules that pause it."""
    found = planned.found
    words = _("The rules of section 3 end the escalation. The probability of each end, in each scenario:")
    blocks: list[Block] = [Paragraph(text(words)), *found.ends_of(planned.place), *found.ends(planned.place).blocks]
    blocks += [Paragraph((Run(_("Pausing rules."), "strong"),)), *pause_section(planned.protocol).blocks]
    asked = [
        queries.ask(
            _("Stopping of the trial"),
            _(
                "State who may suspend or stop the trial for reasons other than these rules, and how it is resumed; confirm "
                "against FDA CBER (2015), sections on the treatment plan and on monitoring, and against the NMPA guideline (2023)."
            ),
        )
    ]
    if not planned.protocol.pause.counts_patients:
        words = _(
            "No rule counts patients with related serious events. State one, with its probability of a pause, or why none is "
            "needed."
        )
        asked.append(queries.ask(_("Rule on serious events"), words))
    return [*blocks, Bullets(tuple(asked)), *queries.about("pause")]


def _interim(planned: Plan, queries: _Queries) -> list[Block]:
    """Return when decisions are made, from which data, and how they are recorded."""
    treatment = planned.protocol.treatment
    made = planned.trial.designs[planned.binding]
    when = _("A decision is made when all patients of a cohort have had a DLT or completed the DLT window of {days}.")
    if made.reads != "complete":
        when = _("Decisions may be made while outcomes in the DLT window of {days} are pending, by the rules of section 3.")
    said = [
        when.format(days=n_days(treatment.dlt_window_days)),
        _(
            "For each decision the data are cut off at a stated date; evaluability, DLTs, deviations and the recommendation of the "
            "design are listed in a conduct report that is kept with the decision."
        ),
        _(
            "The committee may decide for a lower dose than recommended, or for no further patients, at any time. A decision for a "
            "higher dose than the rules allow is a deviation from the protocol."
        ),
        _("Patients who are not evaluable are replaced at the same dose; they remain in the safety set."),
        _(
            "A death, a related serious event or a related event of grade 4 or worse, at any time, holds escalation and enrolment "
            "until it is adjudicated."
        ),
    ]
    asked = (
        queries.ask(_("Conduct"), _("These statements are how the software reads a trial. Confirm or replace each.")),
        queries.ask(_("Safety review committee"), _("State its members, charter, quorum and the time within which it decides.")),
        queries.ask(
            _("Follow-up after the DLT window"),
            _(
                "State the length of safety and long-term follow-up of the cell product, and how late events enter decisions; "
                "confirm against FDA CBER (2015), section on monitoring and follow-up, and the NMPA guideline (2023)."
            ),
        ),
        queries.ask(
            _("Interval between patients"),
            _("Confirm the staggering interval and the interval between dose groups against the same guidelines."),
        ),
    )
    return [common.points(said), Bullets(asked)]


def _methods(planned: Plan, queries: _Queries) -> list[Block]:
    whole = method(planned.oc.attrs, [plan.exact()], None if planned.prior is None else planned.prior.summary)
    words = _("The section follows SPIRIT 2025 and its extension for dose-finding trials, SPIRIT-DEFINE (references).")
    inner = [block for section in whole.sections for block in section.blocks]
    return [Paragraph(text(words)), *whole.blocks, *inner, *queries.about("onset")]


def _annex(planned: Plan, queries: _Queries) -> tuple[Section, ...]:
    """Return the other designs: rules, and results beside the primary design."""
    words = _("The primary design was compared with the following designs. They are not part of the protocol.")
    every = plan.all_rules(planned)
    found = planned.found
    blocks: list[Block] = [
        Paragraph(text(words)),
        Bullets(found.verdicts()),
        found.at_a_glance(),
        found.costs(),
        *found.left_out(),
        *every.blocks,
    ]
    return (Section("annex", text(_("Annex: designs compared")), (*blocks, *queries.about("designs"))),)


def _listed(queries: _Queries) -> Section:
    """Return all questions, those asked here for want of another place first."""
    title = _("Queries for the author")
    rest = queries.about(*queries.assumed)
    rows = ((str(number), subject, words, section) for number, (subject, words, section) in enumerate(queries.asked, start=1))
    intro = _(
        "This draft states settings that the protocol does not. Each is marked [QUERY n: ...] where it is used. Delete a query "
        "when it is answered, and this section before the protocol is signed."
    )
    heads = (_("query"), _("subject"), _("to be confirmed or written"), _("section"))
    listed = table(_("Open queries."), heads, rows, numeric=())
    return Section("queries", text(title), (Paragraph(text(intro)), *rest, listed))
