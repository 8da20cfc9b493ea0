"""The posterior of a trial: DLT rates, MTD, support for an RP2D, what it will conclude, and how much of it is the prior."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .._check import MISSING, InputError, Problem, number, one_of, probability, whole
from ..config import Trial
from ..designs import Design
from ..designs.base import Beside
from ..designs.replay import departures, followed
from ..efficacy.responses import Responses
from ..evaluability import Course
from ..evaluability.courses import NO_INFORMATION
from ..figures import BORROWING, ESTIMATES
from ..interruption import noticed
from ..models import Curve, Hazard, TwoParameterCurve
from ..posterior.administered import administered_among, at_amounts, in_likelihood
from ..posterior.base import Figure, Posterior
from ..posterior.exact import ExactPosterior
from ..posterior.mixture import MixedQuadrature
from ..posterior.quadrature import ROUGH_WIDTH
from ..protocol import Protocol
from ..provenance import encoded, sampler_versions
from ..shown import Shown
from ..summaries import (
    QUANTILES,
    conclusions,
    name_rp2d,
    probabilities,
    recommended,
    summary,
    support_words,
    upper_limit,
)
from ..threads import one_thread
from ..trial import Administered, Cohort, States, Weighted, check_cohorts, choice_labels, notation
from ..words import _, counted, n_patients
from .borrowing import Borrowed, borrow_from, borrowed, borrowing_of
from .efficacy import check_treated, joined, response_counts
from .periods import by_period, by_reading, course_rows, courses_data, intervals_among, per_infusion, posterior_of
from .stamps import stamp
from .steps import cohorts_of

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Analysis", "amounts_among", "analyze", "chosen_curve", "counts_of", "other_priors", "p_over", "weights_among"]


@dataclass(frozen=True)
class Analysis(Shown):
    """The posterior of a trial, summarised.

    Attributes
    ----------
    summary
        Labelled results, see `analyze`.
    posterior, prior
        The posterior and the prior that they come from.
    """

    summary: xr.Dataset
    posterior: Posterior
    prior: Posterior

    @one_thread
    def tree(self, draws: int = 4000, seed: int = 1) -> xr.DataTree:
        """Return the summary at the root, and the groups of ArviZ: posterior and prior draws of parameters and DLT rates, DLTs
        predicted in as many patients, and the data: DLTs observed, patients given. Attributes are those of a NetCDF file.

        Parameters
        ----------
        draws
            About how many draws.
        seed
            Seed of the predicted DLTs.
        """
        import xarray as xr

        rng = np.random.default_rng(seed)
        at = {"dose": self.summary["dose"].values}
        # ArviZ looks for every observed variable among the predicted ones.
        groups = {
            "/": self.summary.assign_attrs(encoded(self.summary.attrs)),
            "/observed_data": xr.Dataset({"y": ("dose", self.posterior.y)}, at),
            "/constant_data": xr.Dataset({"n": ("dose", self.posterior.n)}, at),
        }
        for name, one in (("posterior", self.posterior), ("prior", self.prior)):
            theta = one.draws(draws)
            p = probabilities(one.curve, theta)
            axes = {"chain": np.arange(theta.shape[0]), "draw": np.arange(theta.shape[1])}
            values = {key: (("chain", "draw"), theta[..., i]) for i, key in enumerate(one.curve.parameter_names)}
            groups[f"/{name}"] = xr.Dataset(values | {"p": (("chain", "draw", "dose"), p)}, axes | at)
            # Patients and DLTs are those of whole courses, also where the rates shown are per infusion.
            predicted = rng.binomial(self.posterior.n, probabilities(one.curve.counted, theta))
            groups[f"/{name}_predictive"] = xr.Dataset({"y": (("chain", "draw", "dose"), predicted)}, axes | at)
        return xr.DataTree.from_dict(groups)

    def quantiles(
        self,
        probabilities: Sequence[float] = QUANTILES,
        amounts: Sequence[float] | np.ndarray | None = None,
        *,
        prior: bool = False,
    ) -> xr.DataArray:
        """Return quantiles of the DLT rate, at the dose levels or at any dose amounts.

        Parameters
        ----------
        probabilities
            Probabilities of the quantiles; by default those of the summary's median and 95% interval.
        amounts
            Dose amounts in the protocol's unit, for a curve on a dose scale; the dose levels by default.
        prior
            Whether the quantiles are those before any data.

        Returns
        -------
        xarray.DataArray
            Rates over (dose, quantile), or (amount, quantile) where amounts are given; their error in probability is below
            1e-6 by quadrature, and the Monte Carlo error of draws by NUTS.

        Raises
        ------
        InputError
            If amounts are asked of a curve that has a rate at its levels only, or anything is out of range.

        Examples
        --------
        >>> from dosefind import load_trial
        >>> found = analyze(load_trial("configs/nct05962762.toml"), "1NNN 2NNN 3NNT")
        >>> found.quantiles((0.1, 0.9), (2, 4)).round(3).values
        array([[0.006, 0.162],
               [0.033, 0.323]])
        """
        import xarray as xr

        at = [probability("probabilities", one) for one in probabilities]
        posterior = self.prior if prior else self.posterior
        coords = {"quantile": at}
        if amounts is None:
            dim, doses, coordinates = "dose", self.summary["dose"].values, None
        else:
            dim, doses = "amount", np.array([_amount(amount) for amount in amounts])
            if not posterior.curve.on_dose_scale:
                raise InputError(Problem("amounts", doses.tolist(), f"{posterior.curve.title} has DLT rates at its levels only"))
            coordinates = posterior.curve.coordinate(doses)
        rates = posterior.quantiles(at, coordinates)
        return xr.DataArray(rates, {dim: doses} | coords, (dim, "quantile"), name="dlt_rate")

    def __repr__(self) -> str:
        made = self.summary.attrs
        after = made["outcomes"] or "no data"
        return f"Analysis of {made['protocol']} after {after}: {support_words(made)} ({made['rp2d_reason']})"


def _amount(value: Any) -> float:
    amount = number("amounts", value, "dose amounts, above 0")
    if not 0 < amount < np.inf:
        raise InputError(Problem("amounts", value, "must be dose amounts, above 0"))
    return amount


@one_thread
def analyze(
    trial: Trial | Protocol,
    outcomes: str | Sequence[Cohort] = "",
    *,
    others: Sequence[Cohort] = (),
    administered: Sequence[Administered] = (),
    weighted: Sequence[Weighted] = (),
    courses: Sequence[Course] = (),
    responses: str | Responses | None = None,
    curve: str | None = None,
    borrow: Mapping[str, str | Sequence[Cohort]] | None = None,
    engine: Literal["quadrature", "nuts"] | None = None,
    draws: int = 1000,
    seed: int = 1,
    predicts: bool = True,
    say: Callable[[str], None] | None = None,
) -> Analysis:
    """Return the posterior of the dose-toxicity curve and of the MTD, and the support for an RP2D, given the data so far.

    Parameters
    ----------
    trial
        The trial, from `load_trial`, or its protocol.
    outcomes
        Outcome notation such as ``"1NNN 2NNT"``, or cohorts.
    others
        Counts beside the escalation (backfill, expansion), as `Evaluated.beside` has them: the posterior uses them. What each
        design will conclude is then not predicted.
    administered
        Patients among these counts whose administered dose differs from that of their level, as `Evaluated.administered` has them:
        curves and designs on a dose scale use the amount administered. Not with ``borrow``.
    weighted
        Patients, not among these counts, who left without a DLT and have a weight, as `Evaluated.weighted` has them. Attribute
        ``rp2d_left_as_dlts`` has the dose that meets the rule for an RP2D if all of them are counted as patients with a DLT. By
        quadrature only; what designs that count whole patients will conclude is then not predicted.
    courses
        Courses of the patients as far as they have been followed up, as `Evaluated.courses` has them: curves of the hazard per
        infusion use them in place of the counts, which must be those of the same patients. With ``engine="nuts"`` only where
        something is borrowed per infusion (``pooled = "infusions"``). What a design that reads exposure will conclude is then not
        predicted.
    responses
        Outcomes of the efficacy endpoint, as `response_outcomes` has them, or responses and patients of each dose as text, such as
        ``"0/3 1/6 2/6"``. The protocol needs a table ``efficacy``. The summary then has the response rates (or changes) by dose,
        the expected utility and what is known of the best dose, and the attribute ``efficacy``.
    curve
        Name of one of the protocol's curves; the first by default.
    borrow
        Outcomes of the trials of the protocol's table ``borrowing``, by name: their curves and this trial's are then one
        hierarchical model. Nothing is borrowed without it.
    engine
        "quadrature": exact, the default. "nuts": sampled by PyMC, four chains, every result with its Monte Carlo standard error
        (``<name>_se``); with diagnostics, and no dose for an RP2D where these fail; the default where something is borrowed,
        which is always sampled. The comparison of curves is by quadrature all the same.
    draws, seed
        Draws of each chain and seed, for "nuts".
    predicts
        Whether to predict what each design will conclude, which enumerates every possible course of the rest of the trial.
    say
        Called with what is being done, where it takes long.

    Returns
    -------
    Analysis
        Its ``summary`` has estimates over ``dose`` (posterior mean, sd, median, 95% interval, probabilities of lying below, in and
        above the target interval, the same a priori, the prior effective sample size), the posterior of the MTD (``mtd_level``)
        and, for curves on a dose scale, quantiles of the MTD as a dose; the dose that meets the rule for an RP2D (attribute
        ``rp2d``) with its reason; what each design will conclude (``conclusion``); that dose and
        P(overdose) by each of the protocol's curves, without borrowing; with borrowing, the effective sample size of the other
        trials' data (``borrowed_n``), which are then part of the prior information; attributes as those of `compare`. Each
        variable has its ``definition``; ``warnings`` say where the prior decides.

    Raises
    ------
    InputError
        If the protocol has no curves, the name is not among them, or the outcomes cannot be read.

    Examples
    --------
    >>> from dosefind import load_trial
    >>> found = analyze(load_trial("configs/nct05962762.toml"), "1NNN 2NNN 3NNT")
    >>> found.summary.p_over.round(3).values
    array([0.003, 0.029, 0.216])
    """
    samples = _engine(engine, curve, borrow) == "nuts"
    trial = Trial.of(trial)
    protocol, designs, curves = trial.protocol, trial.without_calendar, trial.curves
    if isinstance(responses, str) and protocol.efficacy is not None and protocol.efficacy.kind != "response":
        allowed = f"has no meaning with efficacy.kind = {protocol.efficacy.kind!r}: give patients with their assessments"
        raise InputError(Problem("responses", responses, allowed))
    outcomes_of_efficacy = response_counts(responses, protocol.n_doses)
    if outcomes_of_efficacy is not None and protocol.efficacy is None:
        raise InputError(Problem("efficacy", MISSING, "the config needs this table: endpoint and days of the assessment"))
    whole("draws", draws, 10, 1_000_000)
    whole("seed", seed, 0, 2**32 - 1)
    chosen, cohorts = chosen_curve(trial, outcomes, curve)
    n, y = counts_of(cohorts, others, protocol.n_doses)
    if isinstance(responses, str) and outcomes_of_efficacy is not None:
        check_treated(outcomes_of_efficacy, n)
    administered = amounts_among(administered, n, y, borrow)
    # A hazard per infusion uses the days of patients who left, who need no weight, also where it is sampled.
    by_infusion = borrow is not None and bool(courses) and borrowing_of(trial).by_infusion
    weighted = weights_among(weighted, len(n), samples=samples and not by_infusion)
    if courses and samples and not by_infusion:
        allowed = "are used by quadrature only, or by borrowing with pooled = 'infusions'"
        raise InputError(Problem("courses", len(courses), allowed))
    by_curve = {name: _posterior(protocol, one, n, y, administered, weighted, courses) for name, one in curves.items()}
    designs = {name: design.with_weighted(weighted) if design.reads_weights else design for name, design in designs.items()}
    states = {name: followed(design, cohorts, protocol.n_doses) for name, design in designs.items()}
    now, before = by_curve[chosen], _posterior(protocol, curves[chosen], 0 * n, 0 * y)
    found: Borrowed | None = None
    said: dict[str, Any] = {}
    if borrow is not None:
        found, said = _borrowed(trial, (n, y), courses, borrow, draws, seed, say or _silent)
        now, before = found.own
    elif samples:
        now, before = _sampled(curves[chosen], n, y, administered, draws, seed, say or _silent)
    result = _figures(protocol, now, before, by_curve)
    if (hazard := _hazard_of_course(now.curve, protocol)) is not None:
        result, of_course = _with_course(result, hazard, now, courses, n, y, protocol)
        said |= of_course | {"warnings": [*said.get("warnings", []), *of_course.get("warnings", [])]}
    whole_only = not weighted or all(design.reads_weights for design in designs.values())
    # The rest of the trial is followed by counts of complete courses, which such a design does not have.
    by_counts = not courses or all(design.reads != "exposure" for design in designs.values())
    if predicts and not others and whole_only and by_counts:
        at_amounts_given = {name: one.with_administered(administered) for name, one in designs.items()}
        result = result.assign(_conclusions(at_amounts_given, {name: one[-1] for name, one in states.items()}, now))
    result = result.assign_coords(design=list(designs), choice=choice_labels(protocol.n_doses), curve=list(curves))
    if outcomes_of_efficacy is not None:
        # By quadrature its error is far below that of any comparison.
        error = result["p_over_se"].values if "p_over_se" in result else np.zeros(len(n))
        over = Figure(result["p_over"].values, error)
        variables, coordinates, of_efficacy = joined(protocol, outcomes_of_efficacy, now, over, by_curve)
        result, said = result.assign_coords(coordinates).assign(variables), said | {"efficacy": of_efficacy}
    by_other = _("{dose} without borrowing, with the curve {curve}") if found else _("{dose} with the curve {curve}")
    differing = _by_other_curves(result, by_other)
    if found is None:
        differing += _moved_by_prior(protocol, curves[chosen], n, y, administered, weighted, courses)
    else:
        result = result.assign(found.figures()).assign_coords(trial=list(found.now.model.names))
        for variable, quantity in BORROWING.items():
            result[variable].attrs["definition"] = _(quantity.definition)
    # Cohorts of known outcomes leave out patients whose course is under way, who are part of these data.
    compared = {} if courses and isinstance(now.curve, Hazard) else designs
    deviations = {
        name: departures(design, cohorts, protocol.n_doses, states[name], under_way=True) for name, design in compared.items()
    }
    made = said | {
        "method": "sampled" if now.samples else "exact",
        "curve_used": "hierarchical" if found else chosen,
        "curve_rules": {name: one.sentences() for name, one in curves.items()},
        "outcomes": notation(cohorts),
        "others": notation(others),
        "deviations": {name: list(found) for name, found in deviations.items() if found},
        "pooled_upper_limit": float(upper_limit(n.sum(), y.sum())),
        "warnings": [
            *_warnings(result, protocol, differing),
            *_doubts(before, found),
            *said.get("warnings", []),
            *_amounts_in_words(administered, protocol, _without_courses(curves, courses)),
        ],
    }
    if weighted:
        made |= _left_as_dlts(protocol, curves[chosen], n, y, administered, weighted)
        made["warnings"].append(_weights_in_words(weighted, made["rp2d_left_as_dlts"], result.attrs["rp2d"]))
    return Analysis(
        result.assign_attrs(made | stamp(trial, borrows=found is not None, assesses=responses is not None)), now, before
    )


def _hazard_of_course(curve: Curve, protocol: Protocol) -> Hazard | None:
    """Return the hazard of each infusion with the protocol's days; ``None`` for another curve, or a hazard of the whole course."""
    if not isinstance(curve, Hazard):
        return None
    days = protocol.treatment.interval_days
    if len(curve.interval_days) != len(days):
        return None
    # Trials that borrow from one another share the parameters of an infusion, not its days.
    after = curve.follow_up_days or protocol.treatment.after_course
    return curve.model_copy(update={"interval_days": days, "follow_up_days": after})


def _with_course(
    result: xr.Dataset,
    curve: Hazard,
    now: Posterior,
    courses: Sequence[Course],
    n: np.ndarray,
    y: np.ndarray,
    protocol: Protocol,
) -> tuple[xr.Dataset, dict[str, Any]]:
    """Return the results with those by period and by reading of the courses, and the course in words."""

    def posterior(of_period: Hazard) -> Posterior:
        if isinstance(now, ExactPosterior):
            return posterior_of(n, y, (), (), courses, of_period, (protocol.target.interval[1],))
        # Loaded with the sampler, which has been run.
        from ..posterior.mcmc import DrawnPosterior

        assert isinstance(now, DrawnPosterior)
        return now.with_curve(of_period)

    found = by_period(curve, posterior, courses, n, protocol)
    # Other readings of the same data are compared by quadrature.
    if isinstance(now, ExactPosterior):
        found |= by_reading(curve, courses, n, y, protocol)
    coords = {name: found.pop(name) for name in ("period", "reading") if name in found}
    return result.assign_coords(coords).assign(found), _course_in_words(curve, courses, protocol)


def _course_in_words(curve: Hazard, courses: Sequence[Course], protocol: Protocol) -> dict[str, Any]:
    """Return the course as planned, the target in both terms, and the courses as far as they have been followed up."""
    rate, infusions = protocol.target.rate, len(curve.interval_days)
    per_course = curve.over != "infusion"
    both = (rate, per_infusion(rate, infusions)) if per_course else (1 - (1 - rate) ** infusions, rate)
    each = course_rows(curve, courses)
    lacking = [course.subject for course in courses if course.left_out == _(NO_INFORMATION)]
    sentence = counted(
        "{n} patient is left out of the courses, because nothing is known on DLTs: {patients}.",
        "{n} patients are left out of the courses, because nothing is known on DLTs: {patients}.",
        len(lacking),
        patients=", ".join(lacking),
    )
    found: dict[str, Any] = {"warnings": [sentence]} if lacking else {}
    return found | {"course": {"infusions": infusions, "target_course": both[0], "target_infusion": both[1], "patients": each}}


def amounts_among(
    administered: Sequence[Administered], n: np.ndarray, y: np.ndarray, borrow: Mapping[str, Any] | None
) -> tuple[Administered, ...]:
    """Return patients at other amounts than those of their levels, checked against the counts by level and against borrowing."""
    found = administered_among(administered, n, y)
    if found and borrow is not None:
        allowed = "contradicts borrow: the model of several trials uses the assigned dose of every patient"
        raise InputError(Problem("administered", [tuple(patients) for patients in found], allowed))
    return found


def weights_among(weighted: Sequence[Weighted], n_doses: int, *, samples: bool) -> tuple[Weighted, ...]:
    """Return patients with a weight, checked, and that no engine samples."""
    found = in_likelihood(weighted, n_doses)
    if found and samples:
        allowed = "contradicts an engine that samples: only the posterior by quadrature reads weights"
        raise InputError(Problem("weighted", [tuple(patient) for patient in found], allowed))
    return found


def _left_as_dlts(
    protocol: Protocol,
    curve: Curve,
    n: np.ndarray,
    y: np.ndarray,
    administered: Sequence[Administered],
    weighted: Sequence[Weighted],
) -> dict[str, Any]:
    """Return the weights, and P(overdose) and the dose that meets the rule for an RP2D with all who left as patients with a DLT."""
    more = np.bincount([patient.level - 1 for patient in weighted], minlength=len(n))
    found = _posterior(protocol, curve, n + more, y + more, administered)
    figure = p_over(found, protocol.target.interval[1])
    label = name_rp2d(found, figure, protocol.rp2d, protocol.utility).label
    return {
        "weighted": [{"level": patient.level, "weight": patient.weight} for patient in weighted],
        "p_over_left_as_dlts": figure.value.tolist(),
        "rp2d_left_as_dlts": label,
    }


def _weights_in_words(weighted: Sequence[Weighted], label: str, rp2d: str) -> str:
    """State the patients with a weight, and the dose with all of them counted as DLTs."""
    each = ", ".join(_("level {level}: {share}").format(level=patient.level, share=f"{patient.weight:.0%}") for patient in weighted)
    same = _("the same dose meets the limit") if label == rp2d else _("the dose that meets the limit is {dose}")
    return counted(
        "{n} patient left without a DLT and has a weight by the days followed ({each}); with a DLT instead, {same}.",
        "{n} patients left without a DLT and have a weight by the days followed ({each}); with DLTs instead, {same}.",
        len(weighted),
        each=each,
        same=same.format(dose=_level(label)),
    )


def _amounts_in_words(administered: Sequence[Administered], protocol: Protocol, curves: Mapping[str, Curve]) -> list[str]:
    """State which curves use administered doses that differ from those of the levels."""
    names = [name for name, curve in curves.items() if at_amounts(curve, administered) is not None]
    if not names:
        return []
    each = _("{patients} of level {level} at {dose}")
    listed = ", ".join(
        each.format(patients=n_patients(patients.n), level=patients.level, dose=f"{patients.amount:.4g}")
        for patients in administered
    )
    words = _("Curves on a dose scale ({curves}) use the administered dose, in {unit}: {patients}.")
    return [words.format(curves=", ".join(names), unit=protocol.doses.unit, patients=listed)]


def _engine(engine: str | None, curve: str | None, borrow: Any) -> str:
    """Return the requested engine, or the only one that is available."""
    chosen = one_of("engine", engine or ("quadrature" if borrow is None else "nuts"), ("quadrature", "nuts"))
    if borrow is not None and (chosen, curve) != ("nuts", None):
        key, value = ("engine", chosen) if curve is None else ("curve", curve)
        raise InputError(Problem(key, value, "contradicts borrow: what is borrowed has a curve of its own, and is sampled"))
    return chosen


def _figures(protocol: Protocol, now: Posterior, before: Posterior, by_curve: Mapping[str, ExactPosterior]) -> xr.Dataset:
    """Return everything about doses, MTD and the dose that meets the rule for an RP2D, with what they are judged by."""
    target, utility = protocol.target, protocol.utility
    result = summary(
        now,
        before,
        target=target.rate,
        interval=target.interval,
        rule=protocol.rp2d,
        amounts=protocol.doses.amounts,
        unit=protocol.doses.unit,
        utility=utility,
    )
    made: dict[str, Any] = {"target": target.rate, "interval": list(target.interval), "rp2d_limit": protocol.rp2d.limit}
    made["rp2d_rule"] = protocol.rp2d.rule
    if utility is not None:
        made["utility_rules"] = utility.sentences()
    if now.samples:
        made["sampler_versions"] = sampler_versions()
    return result.assign(_under_each_curve(protocol, by_curve)).assign_attrs(made)


def _silent(words: str) -> None:
    """Say nothing of what is being done."""


def _borrowed(
    trial: Trial,
    own: tuple[np.ndarray, np.ndarray],
    courses: Sequence[Course],
    borrow: Mapping[str, str | Sequence[Cohort]],
    draws: int,
    seed: int,
    say: Callable[[str], None],
) -> tuple[Borrowed, dict[str, Any]]:
    """Return the posteriors of all trials, and the description of the borrowing."""
    borrowing, protocol = borrowing_of(trial), trial.protocol
    others, outcomes = borrow_from(borrowing, borrow)
    model = borrowing.model(protocol, intervals_among(courses))
    found = borrowed(model, own, others, draws, seed, say)
    words = {"borrowing": {"rules": found.now.model.sentences(), "outcomes": outcomes}}
    return found, words | {"warnings": borrowing.warnings(protocol)}


def _under_each_curve(protocol: Protocol, by_curve: Mapping[str, ExactPosterior]) -> dict[str, Any]:
    """Return P(overdose), and the dose that meets the rule for an RP2D, by each of the protocol's curves."""
    figures = [p_over(one, protocol.target.interval[1]) for one in by_curve.values()]
    named = zip(by_curve.values(), figures, strict=True)
    rp2d = [name_rp2d(one, figure, protocol.rp2d, protocol.utility).label for one, figure in named]
    values = np.array([figure.value for figure in figures])
    high = f"{100 * protocol.target.interval[1]:.3g}%"
    names = ("p_over_by_curve", "rp2d_by_curve")
    over, within = ({"definition": _(ESTIMATES[name].definition).format(high=high)} for name in names)
    return {names[0]: (("curve", "dose"), values, over), names[1]: ("curve", rp2d, within)}


def p_over(posterior: Posterior, high: float) -> Figure:
    """Return the probability that each dose overdoses."""
    below = posterior.below(high)
    return Figure(1 - below.value, below.error)


def counts_of(cohorts: Sequence[Cohort], others: Sequence[Cohort], n_doses: int) -> tuple[np.ndarray, np.ndarray]:
    """Return patients and DLTs at each dose, those beside the escalation included."""
    n, y = np.zeros(n_doses, int), np.zeros(n_doses, int)
    for cohort in check_cohorts(cohorts, n_doses):
        n[cohort.level - 1] += cohort.n
        y[cohort.level - 1] += cohort.dlts
    beside = Beside.of(others, n_doses)
    return (n, y) if beside is None else (n + beside.n, y + beside.y)


def _conclusions(designs: Mapping[str, Design], states: Mapping[str, States], now: Posterior) -> dict[str, Any]:
    """Return the predicted conclusion of each design."""
    ends = conclusions(list(designs.values()), [states[name] for name in designs], now)
    found: dict[str, Any] = {}
    for suffix, figures in (("", [figure.value for figure in ends]), ("_se", [figure.error for figure in ends])):
        if not suffix or now.samples:
            array = np.array(figures)
            found[f"conclusion{suffix}"] = (("design", "choice"), array[:, :-1])
            found[f"conclusion_not_reached{suffix}"] = ("design", array[:, -1])
    for name in ("conclusion", "conclusion_not_reached"):
        found[name] = (*found[name], {"definition": _(ESTIMATES[name].definition)})
    return found


def _sampled(
    curve: Curve,
    n: np.ndarray,
    y: np.ndarray,
    administered: Sequence[Administered],
    draws: int,
    seed: int,
    say: Callable[[str], None],
) -> tuple[Posterior, Posterior]:
    """Return posterior and prior by NUTS."""
    from time import perf_counter

    from ..posterior.mcmc import NutsPosterior, NutsSettings, nuts_fit

    say("compiling the model, which takes longer than sampling it")
    settings, start = NutsSettings(draws=draws), perf_counter()
    at = at_amounts(curve, administered)
    fit = nuts_fit(curve if at is None else at.extended, settings)  # type: ignore[arg-type]
    compiled = perf_counter()
    sample = partial(NutsPosterior, fit) if at is None else partial(at.sampled, fit)
    with noticed():
        found = sample(n, y, seed), sample(0 * n, 0 * y, seed)
    say(f"compiled in {compiled - start:.1f} s, sampled in {perf_counter() - compiled:.1f} s by {fit.sampler.name}")
    return found


def chosen_curve(trial: Trial, outcomes: Any, curve: str | None) -> tuple[str, list[Cohort]]:
    """Return the name of the curve to analyse with, and the cohorts."""
    curves = trial.curves
    if not curves:
        raise InputError(Problem("curves", MISSING, "the protocol has none: add a table such as [curves.logistic-2]"))
    return next(iter(curves)) if curve is None else one_of("curve", curve, curves), cohorts_of(outcomes)


def _posterior(
    protocol: Protocol,
    curve: Curve,
    n: np.ndarray,
    y: np.ndarray,
    administered: Sequence[Administered] = (),
    weighted: Sequence[Weighted] = (),
    courses: Sequence[Course] = (),
) -> ExactPosterior:
    return posterior_of(n, y, administered, weighted, courses, curve, (*protocol.target.interval, protocol.target.rate))


def _without_courses(curves: Mapping[str, Curve], courses: Sequence[Course]) -> dict[str, Curve]:
    """Return the curves that use the counts of patients, not their courses."""
    return {name: curve for name, curve in curves.items() if not (courses and isinstance(curve, Hazard))}


def _level(label: str) -> str:
    """Return a dose that meets the rule, or that none does."""
    return _("none") if label == "none" else _("level {level}").format(level=label)


def _warnings(result: xr.Dataset, protocol: Protocol, others: Sequence[str]) -> list[str]:
    """Return in words what the data do not show, where the prior ESS is as large as the data, and what depends on little.

    ``others`` tells the other assumptions under which another dose meets the rule for the RP2D.
    """
    n, limit, high = result["n"].values, protocol.rp2d.limit, protocol.target.interval[1]
    over, worth = result["p_over"].values, result["prior_effective_n"].values
    borrows = "borrowed_n" in result
    words = []
    if not result["dlts"].any():
        if borrows:
            source = _("estimates of higher DLT rates depend on the curve, its prior and the borrowed data")
        else:
            source = _("estimates of higher DLT rates depend on the curve and its prior")
        none = _("No outcome of this trial is known: {source}.")
        known = _("No DLT among the {n} known outcomes of this trial: the data alone do not identify an MTD, and {source}.")
        words.append((known if n.any() else none).format(n=n.sum(), source=source))
    if len(heavy := np.flatnonzero(worth >= n) + 1):
        # Both numbers are in the table of DLT rates.
        sentence = counted(
            "At level {levels}, the prior effective sample size is at least the number of known outcomes.",
            "At levels {levels}, the prior effective sample size is at least the number of known outcomes.",
            len(heavy),
            levels=", ".join(map(str, heavy)),
        )
        words.append(sentence)
    if result.attrs["rp2d"] != "none":
        level = int(result.attrs["rp2d"])
        alone = float(result["upper_limit"].values[level - 1])
        if alone >= high:
            sentence = _(
                "P(overdose) at level {level} depends on the curve: the patients at that level alone do not exclude DLT rates up "
                "to {upper} (one-sided 95% limit)."
            )
            words.append(sentence.format(level=level, upper=f"{alone:.0%}"))
    near = _("P(overdose) at level {level}, {p}, is near the limit of {limit}.")
    for level in np.flatnonzero((n > 0) & (np.abs(over - limit) < _NEAR)) + 1:
        words.append(near.format(level=level, p=f"{over[level - 1]:.1%}", limit=f"{100 * limit:g}%"))
    if others:
        sentence = _("The dose that meets the limit ({dose}) depends on the curve and its prior: {others}.")
        words.append(sentence.format(dose=_level(result.attrs["rp2d"]), others=", ".join(others)))
    return words


def _doubts(before: Posterior, found: Borrowed | None) -> list[str]:
    """Return cautions on prior draws that cannot be trusted; if posterior draws cannot be trusted, no dose is shown."""
    of_prior = _("The results of the prior cannot be trusted: {problems}.")
    cases = {_("The results before this trial's data cannot be trusted: {problems}.") if found else of_prior: before}
    if found:
        nothing = found.nothing.trials[found.nothing.model.names[0]]
        cases[_("The results before any data cannot be trusted: {problems}.")] = nothing
    doubted = {sentence: posterior.problems() for sentence, posterior in cases.items()}
    return [sentence.format(problems="; ".join(why)) for sentence, why in doubted.items() if why]


def _by_other_curves(result: xr.Dataset, how: str) -> list[str]:
    """Return the curves by which another dose meets the rule."""
    by_curve = zip(result["curve"].values, result["rp2d_by_curve"].values, strict=True)
    return [how.format(curve=name, dose=_level(level)) for name, level in by_curve if level != result.attrs["rp2d"]]


def other_priors(curve: Curve) -> Iterator[tuple[str, str, Curve]]:
    """Return curves that differ in one assumption on the prior: what is varied, its value, the curve.

    Of two parameters the median of the slope too, on which doses that have seen no DLT hang most.
    """
    yield from curve.variants()
    if isinstance(curve, TwoParameterCurve):
        for shift in (-1.0, 1.0):
            priors = tuple(one.model_copy(update={"mean": (one.mean[0], one.mean[1] + shift)}) for one in curve.priors)
            yield "mean log beta", f"{shift:+g}", curve.model_copy(update={"prior": priors})


def _moved_by_prior(
    protocol: Protocol,
    curve: Curve,
    n: np.ndarray,
    y: np.ndarray,
    administered: Sequence[Administered],
    weighted: Sequence[Weighted],
    courses: Sequence[Course],
) -> list[str]:
    """Return the changes of the prior of the curve by which another dose meets the rule, with that dose, in words."""
    high = protocol.target.interval[1]
    cases = {"": curve} | {f"{varied} {value}": other for varied, value, other in other_priors(curve)}
    named = {}
    for words, one in cases.items():
        if protocol.rp2d.rule != "toxicity":
            found = _posterior(protocol, one, n, y, administered, weighted, courses)
            named[words] = name_rp2d(found, p_over(found, high), protocol.rp2d, protocol.utility).label
            continue
        # Only P(overdose) is wanted, and only roughly.
        by_course = courses_data(one, courses, n, y) if isinstance(one, Hazard) else None
        at, levels = by_course or at_amounts(one, administered, weighted), one.coordinates
        quadrature = MixedQuadrature(one if at is None else at.extended, lambda nodes, levels=levels: 1 - nodes.below(high, levels))
        counts = (n[None], y[None]) if at is None else at.counts(n[None], y[None])
        over, error = quadrature.expect(*counts, _ROUGHLY, ROUGH_WIDTH)[:2]
        named[words] = recommended(n, Figure(over[0], error[0]), protocol.rp2d.limit).label
    sentence = _("{dose} with {change}")
    return [sentence.format(change=words, dose=_level(level)) for words, level in named.items() if level != named[""]]


# Error asked of P(overdose) where only the dose that meets the rule is wanted.
_ROUGHLY = 1e-3


# A probability this near to its limit is said to be near.
_NEAR = 0.05
