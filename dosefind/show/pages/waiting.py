"""Decide now or wait: the lines on the first screen, and the tables of dates and of pending patients with their basis."""

from __future__ import annotations

from collections.abc import Sequence

from ...figures import WAITING, defined, in_percent, percent, written
from ...tasks.waiting import AtDate, Event, Waiting
from ...timing import Onset
from ...words import _, counted, marked, n_days
from ..content import Block, Bullets, Column, Table, Text, data, filled, text

__all__ = ["waiting_blocks", "waiting_lines"]

# Share of the changes in one direction from which on "nearly always" and "mostly" are said.
_NEARLY_ALWAYS, _MOSTLY = 0.9, 0.5

_ONSETS = {
    "uniform": marked("uniform over the DLT window"),
    "weibull": marked("Weibull, {late} of the DLTs in the second half of the DLT window"),
    "log-logistic": marked("log-logistic, {late} of the DLTs in the second half of the DLT window"),
    "piecewise": marked("shares {parts} in equal parts of the DLT window"),
    "per-infusion": marked("a hazard after each infusion, with shares {parts} of the infusions"),
}


def waiting_lines(found: Waiting | None, document: bool = False) -> list[Text]:
    """Return how probably waiting changes the decision and until when, and what to weigh before an escalation now.

    Parameters
    ----------
    found
        The result, if there is one.
    document
        Whether the lines are in a report, which has a section on it.
    """
    if found is None:
        return []
    lines = []
    if found.untested_below:
        lines.append(text(_("Caution: no patient at a lower dose has a complete outcome.")))
    most = found.most
    if most is None:
        if found.refused:
            lines.append(filled(_("When to decide cannot be worked out: {reason}."), reason=found.refused))
        return lines
    if found.bold:
        words = _("Caution: the escalation now would be reversed or changed by {day} with probability {p}.")
        lines.insert(0, filled(words, day=str(most.day), p=_chances(found, most.day, "differs")))
    lines.append((*_change(found, most), *filled(_(" Assumed: {basis}."), basis=_basis(found))))
    if found.last is not None and found.last not in (found.as_of, most.day):
        lines.append(filled(_("From {day} on, no outcome still to come changes the decision."), day=str(found.last)))
    return lines


def _change(found: Waiting, most: AtDate) -> Text:
    """Return the probability of another decision, and its direction."""
    days = n_days((most.day - found.as_of).days)
    own = {"day": str(most.day), "days": days, "p": _chances(found, most.day, "differs")}
    if most.differs < 1e-12:
        return text(_("No outcome that becomes known on a stated date changes the decision."))
    if found.today.words == "wait":
        last = [one for one in found.dates if one.day == most.day][-1 if found.rates else 0]
        best, chance = max((pair for pair in last.decisions.items() if pair[0].words != "wait"), key=lambda pair: pair[1])
        first = min(one.day for one in found.dates if one.differs > 1e-12)
        if first == most.day:
            words = _("By {day} ({days}) there is a decision with probability {p}, most likely {best} ({chance}).")
        else:
            words = _(
                "By {day} ({days}) there is a decision with probability {p}, most likely {best} ({chance}); by {first} with "
                "probability {early}."
            )
        more = {"best": best.words, "chance": percent(chance), "first": str(first), "early": _chances(found, first, "differs")}
        return filled(words, **own, **more)
    words = _("Waiting until {day} ({days}) changes the decision with probability {p}.")
    for share, always, nearly, mostly in (
        (
            most.lower / most.differs,
            _("Waiting until {day} ({days}) changes the decision with probability {p}, always downwards."),
            _("Waiting until {day} ({days}) changes the decision with probability {p}, nearly always downwards."),
            _("Waiting until {day} ({days}) changes the decision with probability {p}, mostly downwards."),
        ),
        (
            most.higher / most.differs,
            _("Waiting until {day} ({days}) changes the decision with probability {p}, always upwards."),
            _("Waiting until {day} ({days}) changes the decision with probability {p}, nearly always upwards."),
            _("Waiting until {day} ({days}) changes the decision with probability {p}, mostly upwards."),
        ),
    ):
        if share > _MOSTLY:
            words = always if share > 1 - 1e-9 else nearly if share >= _NEARLY_ALWAYS else mostly
    return filled(words, **own)


def _chances(found: Waiting, day: object, name: str) -> str:
    """Return a probability on a date, one for each stated DLT rate."""
    return _(" or ").join(percent(getattr(one, name)) for one in found.dates if one.day == day)


def _basis(found: Waiting) -> Text:
    """Return the curve or the DLT rates, and the distribution of the days to DLT, in few words."""
    if found.by_courses:
        return text(_("the design's own hazard per infusion, further infusions as planned"))
    onset = _("by the weights of the design") if found.weights else _onset(found)
    if found.rates:
        rates = ", ".join(percent(rate, 0) for rate in found.rates)
        return filled(_("a DLT rate of {rates} at every dose, days to DLT {onset}"), rates=rates, onset=onset)
    words = _("the curve {curve}, days to DLT {onset}")
    if found.of_design:
        words = _("the design's own curve, days to DLT {onset}")
    return filled(words, curve=data(found.curve), onset=onset)


def _onset(found: Waiting) -> str:
    onset: Onset = found.onset
    late = "" if onset.late is None else percent(onset.late, 0)
    return _(_ONSETS[onset.kind]).format(late=late, parts=", ".join(percent(part, 0) for part in onset.shares))


def waiting_blocks(found: Waiting | None, hides: bool = False) -> tuple[Block, ...]:
    """Return the tables of dates and of pending patients, and what the probabilities rest on.

    Parameters
    ----------
    found
        The result, if there is one.
    hides
        Whether no patient may be shown, as who is pending would tell who was given the product.
    """
    if found is None or not found.patients:
        return ()
    tables = [_dates(found, rate, hides) for rate in (found.rates or (None,))] if found.dates else []
    patients = () if hides else (_patients(found),)
    lines = [*waiting_lines(found, document=True), *_rests_on(found)]
    return (*tables, *patients, Bullets(tuple(lines)))


def _dates(found: Waiting, rate: float | None, hides: bool) -> Table:
    dates = [one for one in found.dates if one.rate == rate]
    answers = list(dict.fromkeys(answer for one in dates for answer in one.decisions))
    answers.sort(key=lambda one: (-1 if one.rank is None else one.rank, one.words))
    heads = [Column(text(_("date"))), Column(text(_("days")), True), Column(text(_("what becomes known")))]
    heads += [Column(text(_(WAITING[name].label)), True) for name in ("p_new_dlt", "p_differs")]
    heads += [Column(text(data(answer.words)), True) for answer in answers]
    rows = []
    for one in dates:
        cells = [text(str(one.day)), text(str((one.day - found.as_of).days)), _events(one.reasons, hides)]
        cells += [text(written(WAITING[name], value)) for name, value in (("p_new_dlt", one.new_dlt), ("p_differs", one.differs))]
        rows.append((*cells, *(text(in_percent(one.decisions.get(answer, 0.0))) for answer in answers)))
    words = _(
        "Decision of {design} on later dates, probabilities in %. Today: {today}. New DLT: {p_new_dlt}. Differs: {p_differs}. The "
        "other columns: probability of each decision."
    )
    if rate is not None:
        words = _(
            "Decision of {design} on later dates if the DLT rate is {rate} at every dose, probabilities in %. Today: {today}. New "
            "DLT: {p_new_dlt}. Differs: {p_differs}. The other columns: probability of each decision."
        )
    means = defined(WAITING)
    own = {"design": data(found.design), "today": data(found.today.words), "rate": "" if rate is None else percent(rate, 0)}
    caption = filled(words, p_new_dlt=means["p_new_dlt"], p_differs=means["p_differs"], **own)
    return Table(caption, tuple(heads), tuple(rows))


def _events(reasons: Sequence[Event], hides: bool) -> Text:
    """Return what comes on a date."""
    closing = [event.subject for event in reasons if event.kind == "window"]
    kinds = {event.kind for event in reasons}
    parts: list[Text] = []
    if closing and hides:
        parts.append(text(counted("{n} DLT window ends", "{n} DLT windows end", len(closing))))
    elif closing:
        words = counted("DLT window of {{subjects}} ends", "DLT windows of {{subjects}} end", len(closing))
        parts.append(filled(words, subjects=data(", ".join(closing))))
    if "start" in kinds:
        parts.append(text(_("earliest start per protocol")))
    if "gate" in kinds:
        parts.append(text(_("follow-up required for escalation")))
    if "follow-up" in kinds:
        parts.append(text(_("follow-up changes the decision if there is no further DLT")))
    return tuple(run for place, part in enumerate(parts) for run in (*(text("; ") if place else ()), *part))


_LEFT_OUT = {
    "": "",
    "unassessed": marked("data are missing: taken as pending on every date"),
    "adjudication": marked("adjudication is due: taken as pending on every date"),
}


def _patients(found: Waiting) -> Table:
    heads = (
        Column(text(_("subject"))),
        Column(text(_("level")), True),
        Column(text(_("days followed")), True),
        Column(text(_("days in the window")), True),
        Column(text(_(WAITING["weight"].label)), True),
        Column(text(_("DLT window ends"))),
        Column(text(_("note"))),
    )
    rows = []
    for one in found.patients:
        note = _LEFT_OUT[one.left_out]
        cells = (str(one.level), str(one.days), str(one.window), written(WAITING["weight"], one.weight), str(one.ends))
        rows.append((text(data(one.subject)), *map(text, (*cells, _(note) if note else ""))))
    words = _("Patients whose outcomes can still change. Weight: {weight}.")
    return Table(filled(words, weight=defined(WAITING)["weight"]), heads, tuple(rows))


def _rests_on(found: Waiting) -> list[Text]:
    """Return what a reader needs to repeat the probabilities."""
    if not found.dates:
        return []
    lines = [filled(_("Data cutoff {day}; the probabilities are exact, not simulated."), day=str(found.as_of))]
    if found.error:
        lines.append(filled(_("Largest numerical error of a probability: {error}."), error=f"{found.error:.0e}"))
    lines += [text(data(rule)) for rule in found.curve_rules]
    counts = "; ".join(
        _("level {level}: {dlts} of {n}").format(level=level, dlts=y, n=n) for level, (n, y) in enumerate(found.known, start=1)
    )
    lines.append(filled(_("DLTs of patients with a known outcome: {counts}."), counts=counts))
    if found.by_courses:
        lines.append(text(_("All courses are included as far as followed up, also of patients who left.")))
        words = _(
            "A pending patient has a DLT by a later day with probability 1 - exp(-(H1 - H0)), with the cumulative hazards up to "
            "the two days if further infusions are given as planned, multiplied over the patients before the mean over the "
            "posterior is taken. On each date the design is asked about the patients as they would then be, with a new DLT on that "
            "date."
        )
        lines.append(text(words))
        lines.append(text(_("Assumed: no pending patient discontinues, and no further patient starts until then.")))
        return lines
    words = _("Days to DLT: {onset}, as stated in the protocol.")
    if found.onset_assumed:
        words = _("Days to DLT: {onset}, an assumption, as no record states it.")
    if found.weights:
        words = _(
            "Days to DLT: by the design's own weights, which its decisions rest on: {weights}. The days to DLT of the protocol "
            "({onset}) are those of the calendar, and are not used here."
        )
    lines.append(filled(words, onset=_onset(found), weights=found.weights))
    words = _(
        "A pending patient with DLT rate p and weight w has the likelihood 1 - w p; a DLT between weights w and v has probability "
        "p (v - w) / (1 - w p), multiplied over the patients before the mean over the posterior is taken. On each date the design "
        "is asked about the patients as they would then be."
    )
    if found.rates:
        words = _(
            "A pending patient with DLT rate p and weight w has a DLT before weight v with probability p (v - w) / (1 - w p). On "
            "each date the design is asked about the patients as they would then be."
        )
    lines.append(text(words))
    lines.append(text(_("Assumed: no pending patient discontinues, and no further patient starts until then.")))
    return lines
