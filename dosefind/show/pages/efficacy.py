"""Efficacy and dose selection: the utility of each dose, how much of it is due to the prior, and what would settle the choice.

It supports the decision of the committee on the RP2D and never declares one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ...figures import EFFICACY, in_percent, percent, written
from ...plots.style import amount, unit
from ...words import _, counted, marked
from ..content import Block, Bullets, Note, Page, Paragraph, Section, Table, Text, data, filled, table, text
from . import common

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Shown", "settled"]

_OUTCOMES = {
    "response": marked("response, no DLT"),
    "neither": marked("neither"),
    "response_and_dlt": marked("response and DLT"),
    "dlt": marked("DLT, no response"),
}
_UNKNOWN = {
    "no_patients": marked("No patient has a known outcome of either kind: all estimates are the prior's."),
    "one_dose_tried": marked(
        "Responses are known at {levels} only: what is said of the other doses is the prior's, or extrapolated."
    ),
    "untried_doses": marked("No response outcome is known at {levels}: nothing there is estimated from patients at that dose."),
    "all_responses_pending": marked("No response outcome is known yet; some are pending at {levels}."),
    "responses_pending": marked("Response outcomes are pending at {levels}, and are not in these estimates."),
    "no_responses": marked("No patient responded: the data bound the response rates from above, and do not rank the doses."),
    "every_patient_responded": marked(
        "Every patient responded: the data bound the response rates from below, and do not rank the doses."
    ),
    "responses_without_dlt_data": marked(
        "At {levels} responses are known and no DLT outcome is: the DLT rate there is the curve's."
    ),
    "dlt_data_without_responses": marked("At {levels} DLT outcomes are known and no response outcome is."),
}
_BECAUSE = {
    "no_limits_stated": marked("the config states no limits for a decision"),
    "one_dose": marked("only one dose is considered, so no doses are compared"),
    "tie": marked("another dose has the same expected utility"),
    "p_best": marked("P(largest utility) of {p} is below the limit of {limit}"),
    "p_best_change": marked("P(best mean change) of {p} is below the limit of {limit}"),
    "loss": marked("the expected loss of {loss} is above the limit of {limit}"),
    "no_admissible_dose": marked("no dose is considered"),
    "draws": marked("the draws of the posterior of toxicity cannot be trusted"),
    "near_limit": marked("P(overdose) of a dose is within its numerical error of the limit"),
}
_EXCLUDED = {
    "untried": marked("Not considered, because no outcome of DLT or of efficacy is known there: {levels}."),
    "overdose": marked("Not considered, because P(overdose) is not below {limit}: {levels}."),
    "futile": marked("Not considered, because of the rule on futility: {levels}."),
}
_KINDS = {"pending": marked("pending"), "missing": marked("missing"), "outside": marked("not counted")}
_SHAPES = {
    "flat": marked("flat"),
    "linear": marked("linear in log dose"),
    "emax": marked("Emax"),
    "sigmoid": marked("sigmoid Emax"),
    "plateau": marked("plateau"),
    "umbrella": marked("umbrella"),
}


@dataclass(frozen=True)
class Shown:
    """Efficacy and dose selection of an analysis, as pages show it.

    Attributes
    ----------
    summary
        The summary of an `Analysis`.
    """

    summary: xr.Dataset

    @property
    def record(self) -> dict[str, Any]:
        """Return the record; empty where no responses were given."""
        return self.summary.attrs.get("efficacy", {})

    @property
    def of_change(self) -> bool:
        return self.record.get("kind") == "change"

    def values(self, name: str) -> np.ndarray:
        return self.summary[name].values

    def _written(self, name: str, at: Any) -> str:
        value = float(self.values(name)[at])
        return "\u2013" if np.isnan(value) else written(EFFICACY[name], value)

    def _with_error(self, name: str, at: Any) -> str:
        """Return a value with its numerical error where that could be seen."""
        value, error = float(self.values(name)[at]), float(self.values(f"{name}_error")[at])
        if np.isnan(value):
            return "\u2013"
        scale = 100 if EFFICACY[name].unit == "%" else 1
        return written(EFFICACY[name], value, error if scale * error >= _SEEN else None)

    # The first screen.

    def main(self) -> tuple[Block, ...]:
        """Return the main table; nothing without responses."""
        return (self.by_dose(),) if self.record else ()

    def answers(self) -> tuple[Text, ...]:
        """Return the dose with the largest expected utility, and whether the data decide it; nothing without responses."""
        if not self.record:
            return ()
        record, endpoint = self.record, data(self.record["endpoint"])
        if not record["utilities_stated"]:
            words = _("{endpoint}: the config states no utilities, so doses are not compared by utility.")
            return (filled(words, endpoint=endpoint),)
        level = record["choice"]
        if level is None:
            return (filled(_("{endpoint}: no dose is considered, so none is compared."), endpoint=endpoint),)
        if len(record["among"]) == 1:
            words = _("{endpoint}: undecided, because only level {level} is considered: no doses are compared.")
            return (filled(words, endpoint=endpoint, level=level),)
        if self.of_change:
            words = _(
                "{endpoint}: largest expected utility at level {level}; P(best mean change) there {p}, expected loss {loss} {unit}."
            )
            if not record["unit"]:
                words = _(
                    "{endpoint}: largest expected utility at level {level}; P(best mean change) there {p}, expected loss {loss}."
                )
            p, loss = percent(float(self.values("p_best_change")[level - 1])), self._written("change_loss", level - 1)
            found = filled(words, endpoint=endpoint, level=level, p=p, loss=loss, unit=data(record["unit"]))
            return (found, self.decided())
        words = _("{endpoint}: largest expected utility at level {level}; P(largest utility) {p}, expected loss {loss} of 100.")
        p = f"{self._with_error('p_largest_utility', (0, level - 1))}%"
        found = filled(words, endpoint=endpoint, level=level, p=p, loss=self._with_error("expected_loss", (0, level - 1)))
        return (found, self.decided())

    def decided(self) -> Text:
        """Return whether the stated limits pass."""
        record, level = self.record, self.record["choice"]
        if not record["undecided"]:
            words = _("The stated limits on P(largest utility) and on the expected loss pass; the committee decides.")
            if self.of_change:
                words = _("The stated limits on P(best mean change) and on the expected loss pass; the committee decides.")
            return text(words)
        limits = record["limits"] or {"p_best": 0.0, "loss": 0.0}
        p = self.values("p_best_change")[level - 1] if self.of_change else self.values("p_largest_utility")[0, level - 1]
        loss = self._written("change_loss", level - 1) if self.of_change else self._written("expected_loss", (0, level - 1))
        places = {
            "p_best": {"p": percent(float(p)), "limit": percent(limits["p_best"])},
            "loss": {"loss": loss, "limit": f"{limits['loss']:g}"},
        }
        reasons = []
        for code in record["because"]:
            own = "p_best_change" if code == "p_best" and self.of_change else code
            reasons.append(_(_BECAUSE[own]).format(**places.get(code, {})))
        return filled(_("Undecided: {reasons}."), reasons="; ".join(reasons))

    def by_dose(self) -> Table:
        """Return responses, response rate and utility by dose under the first prior."""
        return self._changes() if self.of_change else self._responses()

    def _own(self, d: int, responses: bool) -> list[str]:
        """Return level, patients with a known outcome and, where there are any, pending patients."""
        known = self.values("response_n")[d]
        own = f"{self.values('responses')[d]}/{known}" if responses else str(known)
        return [
            str(self.values("dose")[d]),
            own if known else "\u2013",
            *([str(self.values("response_pending")[d])] if self.waits else []),
        ]

    @property
    def waits(self) -> bool:
        return bool(self.values("response_pending").any())

    def _interval(self, low: str, high: str, at: Any) -> str:
        return "\u2013".join(self._written(name, at) for name in (low, high))

    def _responses(self) -> Table:
        compared = "expected_utility" in self.summary
        heads = [_("level"), _("responses/n"), *([_("pending")] if self.waits else []), _("response rate"), _("95% interval")]
        heads += [_("expected utility"), _("P(largest utility)"), _("expected loss")] if compared else []
        rows = []
        for d in range(self.summary.sizes["dose"]):
            row = [
                *self._own(d, True),
                self._written("response_mean", (0, d)),
                self._interval("response_lower", "response_upper", (0, d)),
            ]
            if compared:
                # Without a response outcome it would be that of the prior alone.
                row.append(self._written("expected_utility", (0, d)) if self.values("response_n")[d] else "\u2013")
                row += [
                    self._with_error(name, (0, d)) if self._compared(d) else "\u2013"
                    for name in ("p_largest_utility", "expected_loss")
                ]
            rows.append(row)
        words = _("{endpoint} by dose: rates and probabilities in %, independent Beta({a}, {b}) priors.")
        a, b = (f"{value:g}" for value in self.record["prior"])
        return table(filled(words, endpoint=data(self.record["endpoint"]), a=a, b=b), heads, rows)

    def _compared(self, d: int) -> bool:
        """Return whether a dose is compared with another one."""
        return d + 1 in self.record["among"] and len(self.record["among"]) > 1

    def _changes(self) -> Table:
        utility = "expected_utility_of_change" in self.summary
        heads = [_("level"), _("n"), *([_("pending")] if self.waits else []), _("mean change"), _("95% interval")]
        heads += [_("P(best), %"), _("expected loss"), *([_("expected utility")] if utility else [])]
        rows = []
        for d in range(self.summary.sizes["dose"]):
            considered = self._compared(d)
            low, high = (self._written(name, d) for name in ("change_lower", "change_upper"))
            row = [*self._own(d, False), self._written("change_mean", d), _("{low} to {high}").format(low=low, high=high)]
            row += [self._written(name, d) if considered else "\u2013" for name in ("p_best_change", "change_loss")]
            rows.append([*row, self._written("expected_utility_of_change", d)] if utility else row)
        better = _("lower is better") if self.record["better"] == "lower" else _("higher is better")
        places = {"endpoint": data(self.record["endpoint"]), "unit": data(self.record["unit"] or "\u2013"), "better": better}
        return table(filled(_("{endpoint} by dose: change and its expected loss in {unit}, {better}."), **places), heads, rows)

    def cautions(self) -> tuple[Text, ...]:
        """Return what the data leave open, and the doses that are not considered."""
        if not self.record:
            return ()
        unknown = {one["code"]: one["levels"] for one in self.record["unknown"]}
        # Each level without data is named once.
        named = {level for levels in unknown.values() for level in levels}
        if "one_dose_tried" in unknown:
            unknown.pop("untried_doses", None)
        items = [text(_(_UNKNOWN[code]).format(levels=_levels(levels))) for code, levels in unknown.items()]
        if self.waits and self.values("response_composite").any():
            words = _(
                "A death or rescue is known at once and other outcomes only at the assessment: while outcomes are pending, these "
                "estimates lean towards the worse outcome."
            )
            items.append(text(words))
        limit = f"{100 * self.summary.attrs['rp2d_limit']:g}%"
        for code, levels in self.record["excluded"].items():
            if code == "untried" and named.issuperset(levels):
                continue
            items.append(text(_(_EXCLUDED[code]).format(levels=_levels(levels), limit=limit)))
        missing, composite = (int(self.values(f"response_{name}").sum()) for name in ("missing", "composite"))
        if missing or composite:
            words = _("Patients with a missing assessment (not evaluable): {missing}; death or rescue: {composite}.")
            items.append(filled(words, missing=missing, composite=composite))
        if self.of_change and self.record["without_baseline"]:
            n = self.record["without_baseline"]
            items.append(
                text(
                    counted(
                        "The baseline of {n} patient is not known, so changes are not adjusted for baseline.",
                        "The baselines of {n} patients are not known, so changes are not adjusted for baseline.",
                        n,
                    )
                )
            )
        by_prior = self.record.get("by_prior", [])
        if len(set(by_prior)) > 1:
            each = [
                _("{prior}: level {level}").format(prior=prior, level=level)
                for prior, level in zip(self.values("response_prior"), by_prior, strict=True)
            ]
            items.append(
                filled(_("The dose with the largest expected utility depends on the prior: {each}."), each="; ".join(each))
            )
        return tuple(items)

    # Details.

    def section(self, *, document: bool = False, hides: bool = False, figures: tuple[Block, ...] = ()) -> tuple[Section, ...]:
        """Return the section; in a ``document`` with the first screen and pictures; ``hides`` leaves out the patients."""
        if not self.record:
            return ()
        note = (Note(_("Cautions"), self.cautions(), warning=True),) if self.cautions() else ()
        first = (Bullets(self.answers()), *self.main(), *note, *figures) if document else ()
        sections = [Section("estimand", text(_("Estimand and utilities")), (common.points(self.record["rules"]),))]
        if self.of_change:
            sections += self._of_change()
        else:
            sections += self._sensitivities()
        if self.record["patients"] and not hides:
            sections.append(Section("responses", text(_("Outcome of each patient")), (self._patients(),)))
        title = text(_("Efficacy and dose selection"))
        if document:
            return (Section("efficacy", title, first, tuple(sections)),)
        blocks: list[Block] = []
        for section in sections:
            blocks += section.blocks
        return (Section("efficacy", title, tuple(blocks), detail=True),)

    def _sensitivities(self) -> list[Section]:
        a, b = self.record["prior"]
        shares = [percent((a + b) / (a + b + float(n))) for n in self.values("response_n")]
        words = _(
            "Independent doses: the prior has mean {mean} and an effective sample size of {n}; its share in the response rate is "
            "{shares}. Utilities, their differences and the expected loss are on the scale of the utilities, from 0 to 100."
        )
        by_level = [
            _("{share} at level {level}").format(share=share, level=level)
            for share, level in zip(shares, self.values("dose"), strict=True)
        ]
        share = words.format(shares=", ".join(by_level), mean=percent(a / (a + b)), n=f"{a + b:g}")
        blocks: list[Block] = [self._by_prior(), common.points([*self.record["priors"], share])]
        found = [Section("priors-of-response", text(_("Priors of the response rates")), tuple(blocks))]
        if "expected_utility" in self.summary:
            found.append(
                Section(
                    "utilities",
                    text(_("Sensitivity to utilities and priors")),
                    (self._scaled(), *self._of_utilities()),
                )
            )
        if self.record["settle"] is not None:
            found.append(Section("settle", text(_("What would settle the choice")), (*self._by_utility(), *self.settle())))
        return found

    def _of_utilities(self) -> tuple[Block, ...]:
        return (self._tornado(), *self._smallest()) if self.record["tornado"] else ()

    def _of_change(self) -> list[Section]:
        """Return shapes, prior and, with utilities, the sensitivity to them."""
        heads = [_("information of the prior times"), *(filled(_("level {level}"), level=level) for level in self.values("dose"))]
        rows = [
            [f"{times:g}", *(self._written("change_by_prior_times", (k, d)) for d in range(len(heads) - 1))]
            for k, times in enumerate(self.values("prior_times"))
        ]
        scaled = table(_("Mean change with the information of its prior multiplied."), heads, rows)
        found = [
            self._shapes(),
            Section("priors-of-change", text(_("Prior of the change")), (common.points(self.record["priors"]), scaled)),
        ]
        if "tornado" in self.record:
            heads = [_("curve of the DLT rates"), *heads[1:]]
            rows = [
                [data(curve), *(self._written("utility_of_change_by_curve", (k, d)) for d in range(len(heads) - 1))]
                for k, curve in enumerate(self.values("curve"))
            ]
            by_curve = table(_("Expected utility by dose-toxicity curve."), heads, rows)
            title = text(_("Sensitivity to utilities and curves"))
            found.append(Section("utilities", title, (by_curve, *self._of_utilities())))
        return found

    def _outcome(self, name: str) -> str:
        """Return in words of what a utility is stated."""
        if name in _OUTCOMES:
            return _(_OUTCOMES[name])
        return _("loss by a DLT") if name == "dlt_loss" else _("change of {change}").format(change=name)

    def _by_utility(self) -> tuple[Block, ...]:
        """Return randomised comparisons by utility of the two doses with the highest, with the value of their information."""
        found = self.record.get("settle_by_utility")
        if found is None:
            return ()
        low, high = found["levels"]
        level = self.record["choice"]
        now = float(self.values("expected_loss")[0, level - 1])
        words = _(
            "Randomised comparison of levels {low} and {high} by expected utility, after DLTs and responses of n patients per "
            "dose, averaged over both posteriors. Gain: by how much it is expected to raise the utility of the dose selected, from "
            "0 to 100; the expected loss of choosing now is {loss}."
        )
        heads = (_("patients per dose"), _("P(correct selection)"), _("gain in utility"), _("gain per further patient"))
        rows = []
        columns = [found[name] for name in ("sizes", "p_correct", "p_correct_error", "gain", "gain_error")]
        for n, p, p_error, gain, gain_error in zip(*columns, strict=True):
            at = f"{percent(p)} \u00b1{percent(p_error)}" if 100 * p_error >= _SEEN else percent(p)
            up = f"{gain:.1f} \u00b1{gain_error:.1f}" if gain_error >= _SEEN else f"{gain:.1f}"
            rows.append((str(n), at, up, f"{gain / (2 * n):.3f}"))
        return (table(filled(words, low=low, high=high, loss=f"{now:.1f}"), heads, rows),)

    def _by_prior(self) -> Table:
        compared = "expected_utility" in self.summary
        heads = [_("prior"), _("level"), _("response rate"), _("95% interval")]
        heads += [_("expected utility"), _("P(largest utility)"), _("expected loss")] if compared else []
        rows = []
        for k, prior in enumerate(self.values("response_prior")):
            for d, level in enumerate(self.values("dose")):
                interval = self._interval("response_lower", "response_upper", (k, d))
                row = [prior if d == 0 else "", str(level), self._written("response_mean", (k, d)), interval]
                row += [self._with_error(_COMPARED[0], (k, d))] if compared else []
                row += [self._with_error(name, (k, d)) if self._compared(d) else "\u2013" for name in _COMPARED[1:] if compared]
                rows.append(row)
        words = _(
            "Response rate and utility under three priors, %: with few patients they differ, which is what they are shown for; "
            "\u00b1 is the numerical error."
        )
        return table(words, heads, rows)

    def _scaled(self) -> Table:
        heads = [_("assumption"), *(filled(_("level {level}"), level=level) for level in self.values("dose"))]
        rows: list[list[Any]] = []
        for k, times in enumerate(self.values("prior_times")):
            label = _("prior of the response rates, information times {times}").format(times=f"{times:g}")
            rows.append([label, *(self._written("utility_by_prior_times", (k, d)) for d in range(len(heads) - 1))])
        for k, curve in enumerate(self.values("curve")):
            label = filled(_("DLT rates by the curve {curve}"), curve=data(curve))
            rows.append([label, *(self._written("utility_by_curve", (k, d)) for d in range(len(heads) - 1))])
        for k, read in enumerate(self.values("missing_as") if "missing_as" in self.summary.coords else ()):
            label = _("missing assessments counted as {outcome}").format(outcome=read)
            rows.append([label, *(self._written("utility_by_missing", (k, d)) for d in range(len(heads) - 1))])
        return table(_("Expected utility with one assumption changed at a time: priors, curves and missing data."), heads, rows)

    def _tornado(self) -> Table:
        heads = [
            _("utility of"),
            _("set to"),
            *(filled(_("level {level}"), level=level) for level in self.values("dose")),
            _("largest at"),
        ]
        rows = []
        for bar in self.record["tornado"]:
            for value, means, level in zip(bar["values"], bar["means"], bar["levels"], strict=True):
                shown = (f"{mean:.1f}" for mean in means)
                rows.append([self._outcome(bar["outcome"]), f"{value:g}", *shown, common.level_words(level or "none")])
        return table(
            _("Expected utility with one utility of the sponsor changed by up to 10, most influential first."), heads, rows
        )

    def _smallest(self) -> tuple[Block, ...]:
        items, none = [], []
        for one in self.record["smallest_changes"]:
            name = self._outcome(one["outcome"])
            if one["change"] is None:
                none.append(name)
                continue
            words = _("{outcome}: a change by {change} alters the choice to level {level}.")
            items.append(filled(words, outcome=name, change=f"{one['change']:+.1f}", level=one["level"]))
        if none:
            words = _("{outcomes}: no utility from 0 to 100 that keeps the order of the outcomes alters the choice.")
            items.append(filled(words, outcomes="; ".join(none)))
        return (Paragraph(text(_("Smallest change of one utility that alters the choice:"))), Bullets(tuple(items)))

    def settle(self) -> tuple[Block, ...]:
        """Return exact properties of a randomised comparison of the two doses with the highest response rates."""
        found = self.record["settle"]
        if found is None:
            return ()
        low, high = found["levels"]
        words = _(
            "Randomised comparison of levels {low} and {high} by response rate alone, without DLTs and utilities, averaged over "
            "the posterior of independent doses; the best of the two has an expected response rate of {best}."
        )
        caption = filled(words, low=low, high=high, best=percent(found["rate_best"]))
        return (_comparisons(caption, zip(found["sizes"], found["p_correct"], found["rate_selected"], strict=True)),)

    def _shapes(self) -> Section:
        rows = [(_(_SHAPES[name]), percent(weight)) for name, weight in self.record["shapes"].items()]
        shown = table(
            _("Posterior weight of each kind of dose-response shape; all had the same prior weight."),
            (_("shape"), _("weight")),
            rows,
        )
        words = (
            _("The changes are adjusted for baseline.")
            if self.record["adjusted"]
            else _("The changes are not adjusted for baseline.")
        )
        said = [*text(words)]
        if self.record["p_equal"] is not None and len(self.record["among"]) > 1:
            ties = _(
                " Doses that are equal under a shape (flat, or beyond a plateau) share P(best); the probability that all doses "
                "considered are equal is {equal}."
            )
            said += filled(ties, equal=percent(self.record["p_equal"]))
        return Section("shapes", text(_("Dose-response shapes")), (shown, Paragraph(tuple(said))))

    def _patients(self) -> Table:
        rows = []
        for one in self.record["patients"]:
            level = "\u2013" if one["level"] is None else str(one["level"])
            if one["kind"] != "known":
                outcome = _(_KINDS[one["kind"]])
            elif self.of_change:
                outcome = f"{one['value']:g}"
            else:
                outcome = _("response") if one["value"] else _("no response")
            row = [data(one["subject"]), level, outcome, one["rule"]]
            if self.of_change:
                row.insert(2, "\u2013" if one["baseline"] is None else f"{one['baseline']:g}")
            rows.append(row)
        heads = [_("patient"), _("level"), *([_("baseline")] if self.of_change else []), _("outcome"), _("reason")]
        return table(_("Outcome of each patient in the efficacy endpoint."), heads, rows, numeric=(1,))

    def dose(self, level: int) -> str:
        """Return the amount of a level with its unit."""
        return amount(float(self.values("dose_amount")[level - 1]), unit(self.summary["dose_amount"].attrs["units"]))


def _comparisons(caption: Text, rows: Iterable[tuple[int, float, float]], margin: float = 0.0) -> Table:
    """Return randomised comparisons by number of patients per dose."""
    heads = (_("patients per dose"), _("P(correct selection)"), _("response rate of the dose selected"))
    note = _(
        "The dose with the higher observed rate is selected, the lower dose on ties; probabilities are sums over all outcomes."
    )
    if margin:
        note = _("Of observed rates closer than the margin the lower dose is selected; probabilities are sums over all outcomes.")
    return table(caption, heads, ((str(n), percent(p), percent(rate)) for n, p, rate in rows), notes=(note,))


def settled(found: pd.DataFrame, stamp: Mapping[str, Any]) -> Page:
    """Return the page of randomised comparisons of doses.

    Parameters
    ----------
    found
        The result of `dosefind.settle`.
    stamp
        Attributes of the result, as `dosefind.tasks.stamps.stamp` has them.
    """
    attrs = found.attrs
    title = filled(_("{protocol}: what would settle the choice of a dose"), protocol=data(stamp["protocol"]))
    places: dict[str, Any] = {"levels": _levels(attrs["levels"]), "wanted": percent(attrs["wanted"]), "most": attrs["most"]}
    words = _("No number up to {most} patients per dose selects the correct one of {levels} with a probability of {wanted}.")
    if attrs["needed"]:
        at = found["n"].tolist().index(attrs["needed"])
        places |= {"n": attrs["needed"], "p": percent(found["p_correct"].tolist()[at])}
        words = _("{n} patients per dose select the correct one of {levels} with a probability of {p} ({wanted} wanted).")
    caption = _("Randomised comparison of {levels}, averaged over the posterior of independent doses.")
    if attrs["margin"]:
        caption = _(
            "Randomised comparison of {levels}, averaged over the posterior of independent doses; a higher dose is correct, "
            "and selected, if its rate is higher by more than {margin} percentage points."
        )
    rows = zip(found["n"].tolist(), found["p_correct"].tolist(), found["rate_selected"].tolist(), strict=True)
    best = filled(_("The best of these doses has an expected response rate of {best}."), best=percent(attrs["rate_best"]))
    lines = [filled(words, **places)]
    if attrs["needed"]:
        again = _("It is the smallest such number; as observed rates are discrete, a larger one can be slightly below it again.")
        lines.append(text(again))
    by_rate = _(
        "This compares response rates, without DLTs and utilities; 'analyze --details' compares two doses by expected utility."
    )
    blocks = (
        Bullets((*lines, best, text(by_rate), text(_("The committee decides.")))),
        _comparisons(filled(caption, margin=in_percent(attrs["margin"]), **places), rows, attrs["margin"]),
        Paragraph(common.assumed_words(stamp)),
    )
    return Page(title, blocks, (common.assumptions(stamp),))


def _levels(levels: list[int]) -> str:
    listed = ", ".join(map(str, levels))
    return counted("level {levels}", "levels {levels}", len(levels), levels=listed)


_COMPARED = ("expected_utility", "p_largest_utility", "expected_loss")
# An error of less than half of the last digit shown is not.
_SEEN = 0.05
