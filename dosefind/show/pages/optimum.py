"""How far each design is from the best policy under a prior: regret and its parts, frontier, price of constraints."""

from __future__ import annotations

from dataclasses import dataclass

import xarray as xr

from ... import plots
from ...figures import OPTIMUM
from ...results import restored
from ...tasks.optimum import BEST, BINDING
from ...words import _, counted, marked
from ..content import Block, Bullets, Figure, Note, Page, Paragraph, Section, Table, Text, data, filled, table, text
from . import common

__all__ = ["Optimum", "optimum", "optimum_blocks", "optimum_section"]

_UTILITIES = {
    "correct": marked("1 for selecting the true MTD"),
    "distance": marked("minus the distance of the DLT rate at the dose selected from the target"),
    "acceptable": marked("1 for selecting a dose with an acceptable DLT rate"),
}
_CONSTRAINTS = {
    "no skipping": marked("no skipping of untried levels (already in the optimum above)"),
    "elimination": marked("BOIN's elimination"),
    "two-of-six": marked("never again at a dose with 2 DLTs in 6 patients or fewer, or above it"),
    "ewoc": marked("no dose with P(overdose) above 25% under the prior (EWOC)"),
}
_NOT_SELECTED = marked("the same, and a closed dose is not selected")


def optimum(made: xr.Dataset) -> Page:
    """Return the page of an optimum.

    Parameters
    ----------
    made
        The result of `dosefind.optimum`.
    """
    found = Optimum.of(made)
    designs = counted("{n} design", "{n} designs", len(found.designs) - 1)
    title = filled(
        _("{protocol}: best policy under a prior, and {designs}"), protocol=data(made.attrs["protocol"]), designs=designs
    )
    first, second, *_rest = found.priors
    blocks = (
        *common.version(made.attrs),
        Bullets((*found.answers(first), *found.answers(second))),
        found.regrets(first),
        found.regrets(second),
        *found.cautions(),
        Paragraph((*found.meaning(), *found.left_out(), *common.assumed_words(made.attrs))),
    )
    return Page(title, blocks, found.sections())


def optimum_blocks(made: xr.Dataset) -> tuple[Block, ...]:
    """Return what the primary design gives away under each of the first two priors, in few lines."""
    found = Optimum.of(made)
    lines = tuple(line for prior in found.priors[:2] for line in found.answers(prior))
    return (Bullets(lines), Paragraph(text(_("A point is 0.01 of the expected utility, 1 for selecting the true MTD."))))


def optimum_section(made: xr.Dataset) -> Section:
    """Return how far each design is from the best policy, as a section of a report."""
    found = Optimum.of(made)
    blocks: list[Block] = [Paragraph((*found.meaning(), *found.left_out())), *found.cautions()]
    for prior in found.priors[:2]:
        caption = filled(_("Prior {prior}: highest expected utility by expected DLTs, and the designs."), prior=data(prior))
        blocks += [Bullets(found.answers(prior)), found.regrets(prior), Figure(plots.frontier(found.made, prior), caption)]
    blocks.append(found.prices())
    return Section("optimum", text(_("Best policy under a prior")), tuple(blocks))


@dataclass(frozen=True)
class Optimum:
    """An optimum as the pages show it.

    Attributes
    ----------
    made
        The result of `dosefind.optimum`.
    """

    made: xr.Dataset

    @classmethod
    def of(cls, made: xr.Dataset) -> Optimum:
        return cls(restored(made))

    @property
    def priors(self) -> list[str]:
        return [str(name) for name in self.made["prior"].values]

    @property
    def designs(self) -> list[str]:
        return [str(name) for name in self.made["design"].values]

    def value(self, name: str, prior: str, design: str) -> float:
        return float(self.made[name].sel(prior=prior, design=design))

    def answers(self, prior: str) -> tuple[Text, ...]:
        """Return what the primary design gives away, and what is possible at its DLTs and patients."""
        design = next((one for one in (self.made.attrs["primary_design"], *self.designs[1:]) if one in self.designs), None)
        if design is None:
            return ()
        words = _(
            "{prior}: {design} reaches {own} points, no trial {nothing}. It is {regret} below the optimum of {best}: "
            "{allocation} by allocation, {choice} by its final choice. With no more DLTs and patients, {same} are possible."
        )
        shown = {
            "own": points(self.value("value", prior, design)),
            "best": self.best(prior),
            "nothing": points(float(self.made["without_trial"].sel(prior=prior))),
            "regret": points(self.value("regret", prior, design)),
            "allocation": points(self.value("allocation", prior, design)),
            "choice": points(self.value("final_choice", prior, design)),
            "same": points(self.possible(prior, design)),
        }
        return (filled(words, prior=self.prior_words(prior), design=data(design), **shown),)

    def best(self, prior: str) -> str:
        """Return the optimum with its numerical error, where the prior of a curve is approximated."""
        shown, error = points(self.value("value", prior, BEST)), float(self.made["value_error"].sel(prior=prior))
        return shown if error < _UNSEEN else f"{shown} \u00b1{points(error)}"

    def cautions(self) -> tuple[Block, ...]:
        """Return where the weights or the costs make the optimum say little; nothing if they do not."""
        items = []
        for prior, curves in self.made.attrs["curves"].items():
            if curves == 1:
                words = _("{prior}: there is one only, so its policy knows the true rates, and no design can come near it.")
                items.append(filled(words, prior=self.prior_words(prior)))
        stopped = self.made.attrs["without_patients"]
        if stopped:
            words = _("At these costs the best policy treats no patient, and concludes without a trial, under: {priors}.")
            items.append(filled(words, priors=data(", ".join(stopped))))
        return (Note(_("Cautions"), tuple(items), warning=True),) if items else ()

    def possible(self, prior: str, design: str) -> float:
        """Return the most that is possible with no more DLTs and patients than a design, less the costs of the design."""
        costs = self.value("utility", prior, design) - self.value("value", prior, design)
        return self.value("at_same_cost", prior, design) - costs

    def prior_words(self, prior: str) -> Text:
        """Return a prior in words."""
        if prior == "scenarios":
            return text(_("Scenarios with equal weights"))
        if prior == "increasing rates":
            return text(_("Any increasing rates"))
        return filled(_("Prior of curve {curve}"), curve=data(prior))

    def regrets(self, prior: str) -> Table:
        """Return utility, regret and its parts, DLTs and patients, one row per design."""
        heads = (
            *(_("design"), _("points"), _("regret"), _("allocation"), _("choice"), _("patients"), _("DLTs")),
            _("possible"),
        )
        rows = []
        for design in self.designs:
            at = {name: self.value(name, prior, design) for name in _SHOWN}
            counts = f"{at.pop('patients'):.1f}", f"{at.pop('dlts'):.2f}"
            utility, regret, allocation, choice = map(points, at.values())
            same = points(self.possible(prior, design))
            name = text(_("optimum")) if design == BEST else text(data(design))
            rows.append((name, utility, regret, allocation, choice, *counts, same))
        words = _("{prior}, points (no trial {nothing}, rates known {known}):")
        ends = {key: points(float(self.made[name].sel(prior=prior))) for key, name in _ENDS}
        error = float(self.made["value_error"].sel(prior=prior))
        # Of the first two it is in the answer.
        if error >= _UNSEEN and prior not in self.priors[:2]:
            words = _("{prior}, points (optimum \u00b1{error}, no trial {nothing}, rates known {known}):")
            ends["error"] = points(error)
        return table(filled(words, prior=self.prior_words(prior), **ends), heads, rows)

    def meaning(self) -> Text:
        """Return what a point is and what the optimum is not."""
        costs = {name: self.made.attrs[f"cost_per_{name}"] for name in ("patient", "dlt", "overdose")}
        words = _("A point is 0.01 of expected utility: {utility}. ")
        charged = _("A patient costs {patient}, a DLT {dlt}, a patient at an overdose {overdose}. ")
        bound = _("The optimum is a bound and a diagnosis under its prior, not a design for a protocol. ")
        parts = _("Possible: with no more DLTs and patients. Priors of curves: {n} true curves, \u00b1 against half as many. ")
        said = (
            *filled(words, utility=_(_UTILITIES[self.made.attrs["utility"]])),
            *filled(parts, n=max(self.made.attrs["curves"].values())),
        )
        if any(costs.values()):
            said = (*said, *filled(charged, **{name: f"{100 * cost:g}" for name, cost in costs.items()}))
        return (*said, *text(bound))

    def left_out(self) -> Text:
        """Return the designs that are not compared with the optimum; nothing if there are none."""
        names = self.made.attrs["left_out"]
        if not names:
            return ()
        words = _("Left out (pending outcomes, other cohorts, more patients): {names}. ")
        return filled(words, names=data(", ".join(names)))

    def prices(self) -> Table:
        """Return what each constraint costs the optimum, one row per constraint and one column per prior."""
        rows = []
        for constraint in map(str, self.made["constraint"].values):
            values = (points(float(self.made["price"].sel(prior=prior, constraint=constraint)), 2) for prior in self.priors)
            rows.append((text(self.constraint_words(constraint)), *values))
        heads = (text(_("constraint")), *(text(data(prior)) for prior in self.priors))
        words = _(
            "Points that each constraint takes from the optimum, by prior. A rule that closes a dose to further patients does not "
            "keep it from being selected, unless the row says so:"
        )
        return table(text(words), heads, rows)

    def constraint_words(self, constraint: str) -> str:
        """Return a constraint in words."""
        if constraint.endswith(BINDING):
            return _(_NOT_SELECTED)
        return (
            _(_CONSTRAINTS[constraint])
            if constraint in _CONSTRAINTS
            else _("at most {n} patients per dose").format(n=constraint.split()[2])
        )

    def frontier(self, prior: str) -> Table:
        """Return the frontier of utility against DLTs and patients."""
        at = self.made.sel(prior=prior)
        columns = zip(*(at[f"frontier_{name}"].values.tolist() for name in ("utility", "dlts", "patients")), strict=True)
        rows = ((points(utility), f"{dlts:.2f}", f"{patients:.1f}") for utility, dlts, patients in columns)
        words = _("{prior}: best policies at rising costs of a DLT:")
        return table(filled(words, prior=self.prior_words(prior)), (_("points"), _("DLTs"), _("patients")), rows)

    def in_scenarios(self) -> Table:
        """Return the utility in each scenario alone, of the designs and of the policy that is best under each prior."""
        scenarios = [str(name) for name in self.made["scenario"].values]
        rows: list[tuple[Text, ...]] = []
        for prior in self.priors:
            at = self.made["in_scenario"].sel(prior=prior, design=BEST)
            name = filled(_("optimum, {prior}"), prior=data(prior))
            rows.append((name, *(text(points(float(at.sel(scenario=one)))) for one in scenarios)))
        for design in self.designs[1:]:
            at = self.made["in_scenario"].sel(prior=self.priors[0], design=design)
            rows.append((text(data(design)), *(text(points(float(at.sel(scenario=one)))) for one in scenarios)))
        heads = (text(_("design")), *(text(data(name)) for name in scenarios))
        return table(text(_("Points in each scenario alone; each optimum is that of its own prior:")), heads, rows)

    def sections(self) -> tuple[Section, ...]:
        """Return the details: other priors, frontiers, scenarios, prices, definitions, rules and assumptions."""
        by_prior = []
        for number, prior in enumerate(self.priors, start=1):
            # The first two are on the first screen.
            blocks = (*((self.regrets(prior),) if number > 2 else ()), self.frontier(prior))
            by_prior.append(Section(f"prior-{number}", self.prior_words(prior), blocks))
        title = text(_("Constraints, scenarios, frontiers and other priors"))
        return (
            Section("optimum-priors", title, (self.prices(), self.in_scenarios()), tuple(by_prior), detail=True),
            common.definitions(OPTIMUM, self.made),
            common.rules(self.made.attrs),
            common.assumptions(self.made.attrs),
        )


# A numerical error below this is not seen in points with one decimal.
_UNSEEN = 0.0005
_SHOWN = ("value", "regret", "allocation", "final_choice", "patients", "dlts")
_ENDS = (("nothing", "without_trial"), ("known", "with_truth"))


def points(value: float, digits: int = 1) -> str:
    """Return a utility in points, hundredths."""
    # No minus before zero.
    return f"{round(100 * value, digits) + 0.0:.{digits}f}"
