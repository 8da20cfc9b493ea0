"""What people ask of dosefind, one function a command: protocol and data in, labelled result out.

The command line, notebooks and reports call these and nothing below them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ._check import MISSING, InputError, Problem, of_type, one_of, whole
from .config import build_curves, build_designs
from .designs import Design
from .models import Curve
from .operating.lattice import lattice
from .operating.metrics import Standards, above_mtd, definitions, judged
from .operating.paths import paths_of
from .operating.reference import reference_selection
from .operating.simulation import simulated_figures
from .operating.tally import FIGURES, Figures
from .operating.walk import DEFAULT_MEMORY
from .posterior.base import Figure, Posterior
from .posterior.exact import ExactPosterior, exact_fit
from .protocol import Assumption, Protocol
from .provenance import sampler_versions, versions
from .summaries import DEFINITIONS as SUMMARY_DEFINITIONS
from .summaries import conclusion, mtd_labels, probabilities, recommended, summary, upper_limit
from .trial import Cohort, States, choice_labels, parse_outcomes

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["Analysis", "NextStep", "analyze", "compare", "decide", "decision_table", "paths", "sensitivity", "stamp"]


@dataclass(frozen=True)
class NextStep:
    """What a design does next in one trial, and why.

    Attributes
    ----------
    action
        "start", "escalate", "stay", "de-escalate" or "stop".
    level
        Level of the next cohort, ``None`` to stop.
    size
        Patients of the next cohort.
    reason
        Why, in words.
    admissible
        Levels that the design's rules leave open for the next cohort; none at the planned end.
    mtd
        Where the trial stops: "none" or the level named as MTD.
    not_reached
        Where the trial stops: whether the top dose is named and the rule would have escalated from it.
    assumes
        What was assumed to decide, empty if nothing.
    deviations
        Where the outcomes are not those of a trial that followed the design, in words; none if they are.
    """

    action: Literal["start", "escalate", "stay", "de-escalate", "stop"]
    level: int | None
    size: int
    reason: str
    admissible: tuple[int, ...]
    mtd: str | None = None
    not_reached: bool = False
    assumes: str = ""
    deviations: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.level is None:
            named = "no MTD" if self.mtd == "none" else f"MTD level {self.mtd}"
            beyond = ", not reached (that level or above)" if self.not_reached else ""
            text = f"stop, {named}{beyond}: {self.reason}"
        else:
            move = f"{self.action} {'to' if 'escalate' in self.action else 'at'} level {self.level}"
            text = f"{move}, {self.size} patient{'s' * (self.size != 1)}: {self.reason}"
        text = f"{text} ({self.assumes})" if self.assumes else text
        return "\n".join([text, *(f"  deviation: {words}" for words in self.deviations)])


def decide(design: Design, outcomes: str | Sequence[Cohort], *, n_doses: int | None = None) -> NextStep:
    """What the design does next in one trial, and why.

    Outcomes that the design would not have led to are accepted, for real trials deviate; the answer lists where they do.

    Parameters
    ----------
    design
        The design.
    outcomes
        Outcome notation such as ``"1NNN 2NNT"``, or cohorts.
    n_doses
        Number of dose levels. If neither this nor the design says it, a level above the highest one treated is assumed to
        exist, and the result says so.

    Returns
    -------
    NextStep

    Raises
    ------
    InputError
        If the outcomes are not in the notation, or name a level that there is not.

    Examples
    --------
    >>> from dosefind import BOIN
    >>> print(decide(BOIN(target=0.30), "1NNN 2NNT", n_doses=3))
    stay at level 2, 3 patients: 1 DLT in 3 patients at level 2, a rate of 0.333 between 0.236 and 0.359
    """
    of_type("design", design, Design, "such as BOIN(target=0.25)")
    cohorts = _cohorts(outcomes)
    known = n_doses if n_doses is not None else design.known_doses
    highest = max((c.level for c in cohorts), default=design.start)
    levels = known if known is not None else highest + 1
    whole("n_doses", levels, 1, 30)
    design = design.with_settings(n_doses=levels)
    state = design.state_after(cohorts, levels)
    decision = design.decide(state)
    level = int(decision.dose[0]) + 1
    name = design.reasons[int(decision.reason[0])]
    stops = level == 0
    selection = design.select(state) if stops else None
    reason = design.because(state)
    if selection is not None and selection.dose[0] < 0 and name in ("max_n", "dose_full", "n_at_dose"):
        reason += "; no dose qualifies as MTD"
    return NextStep(
        action="stop" if stops else name,  # type: ignore[arg-type]
        level=None if stops else level,
        size=int(decision.size[0]),
        reason=reason,
        admissible=tuple((np.flatnonzero(decision.admissible[0]) + 1).tolist()),
        mtd=None if selection is None else choice_labels(levels)[int(selection.dose[0]) + 1],
        not_reached=selection is not None and bool(selection.not_reached[0]),
        assumes="" if known is not None else f"n_doses not given: level {levels} is assumed to exist",
        deviations=design.deviations(cohorts, levels),
    )


def _cohorts(outcomes: str | Sequence[Cohort]) -> list[Cohort]:
    """Cohorts of outcomes that may be in the notation."""
    if isinstance(outcomes, str) or not isinstance(outcomes, Sequence) or not all(isinstance(c, Cohort) for c in outcomes):
        return parse_outcomes(outcomes)  # type: ignore[arg-type]
    return list(outcomes)


def compare(
    protocol: Protocol,
    *,
    method: Literal["exact", "simulate"] = "exact",
    n_trials: int = 10_000,
    seed: int = 1,
    memory_limit: int = DEFAULT_MEMORY,
    progress: Callable[[int, int], None] | None = None,
) -> xr.Dataset:
    """Operating characteristics of the protocol's designs under its scenarios.

    Parameters
    ----------
    protocol
        The protocol, from `load_protocol`.
    method
        "exact": every way in which a trial can go, without Monte Carlo error. "simulate": Monte Carlo on shared latent patients.
    n_trials, seed
        Trials for each scenario and seed, for "simulate".
    memory_limit
        Bytes that an exact walk may hold at a time.
    progress
        Called with the number of designs done and of all after each, those made for other targets included.

    Returns
    -------
    xarray.Dataset
        Figures over (design, scenario) and, where they have one, their own dimension (dose, choice, reason, n_patients);
        each variable's ``definition`` says what it is. ``selected_by_target`` and ``correct_by_target`` (target, ...) repeat
        the choice at the protocol's other targets. ``reference_*`` (scenario, ...) is the non-parametric reference.
        Simulated figures have a standard error in ``<name>_se``. Attributes: protocol, hash, versions, seed, assumptions,
        rules of each design.

    Examples
    --------
    >>> from dosefind import load_protocol
    >>> oc = compare(load_protocol("configs/nct05962762.toml"))
    >>> oc.selected.sel(design="3+3", scenario="middle is MTD").round(3).values
    array([0.094, 0.363, 0.375, 0.168])
    """
    of_type("protocol", protocol, Protocol, "load_protocol reads one from a file")
    one_of("method", method, ("exact", "simulate"))
    whole("n_trials", n_trials, 2)
    whole("seed", seed, 0)
    target = protocol.target
    standards = Standards(target.rate, target.interval, target.mtd_margin, target.overdose_limit)
    truths = protocol.truths
    designs = build_designs(protocol)
    done, total = 0, len(designs) * (1 + len(target.sensitivity))

    def figures_of(design: Design) -> tuple[Figures, Figures]:
        nonlocal done
        if method == "simulate":
            found = simulated_figures(design, truths, n_trials, seed, target.overdose_limit, protocol.least_days)
        else:
            walked = lattice(design, memory_limit=memory_limit)
            found = walked.figures(truths, target.overdose_limit, protocol.least_days), {}
        done += 1
        if progress is not None:
            progress(done, total)
        return found

    values, errors = _stacked(designs, {name: figures_of(design) for name, design in designs.items()})
    chances = judged(values["selected"], truths, standards)
    values |= chances | {"above_mtd": above_mtd(values["treated_from"], truths, standards)}
    if method == "simulate":
        errors |= {name: np.sqrt(np.maximum(p * (1 - p), 0) / n_trials) for name, p in chances.items()}
        errors["above_mtd"] = above_mtd(errors["treated_from"], truths, standards)
    result = _dataset(protocol, designs, values, errors, standards)
    result = result.assign(_reference(protocol, standards)).assign(_other_targets(protocol, standards, figures_of))
    for name, text in definitions(standards).items():
        if name in result:
            result[name].attrs["definition"] = text
    if "target" in result:
        result["target"].attrs["definition"] = _made_anew(protocol, designs)
    result["days"].attrs["definition"] += f" ({protocol.timing_words()})"
    sentences = {reason: design.explain(reason) for design in designs.values() for reason in design.reasons}
    result["reason"].attrs["definition"] = json.dumps(sentences)
    made = {"method": "exact", "seed": seed} if method == "exact" else {"method": "simulated", "n_trials": n_trials, "seed": seed}
    return result.assign_attrs(made | stamp(protocol))


def _stacked(designs: Mapping[str, Design], figures: dict[str, tuple[Figures, Figures]]) -> tuple[Figures, Figures]:
    """Figures of all designs with a leading design axis, ragged dimensions padded with 0; their standard errors alike."""
    reasons = _all_reasons(designs)
    largest = max(f["sample_size"].shape[1] for f, _ in figures.values())

    def common(name: str, design: Design, array: np.ndarray) -> np.ndarray:
        if FIGURES[name] == "n_patients":
            return np.pad(array, ((0, 0), (0, largest - array.shape[1])))
        if FIGURES[name] == "reason":
            wide = np.zeros((len(array), len(reasons)))
            wide[:, [reasons.index(r) for r in design.reasons]] = array
            return wide
        return array

    return tuple(  # type: ignore[return-value]
        {
            name: np.stack([common(name, designs[d], pair[part][name]) for d, pair in figures.items()])
            for name in next(iter(figures.values()))[part]
        }
        for part in (0, 1)
    )


def _all_reasons(designs: Mapping[str, Design]) -> list[str]:
    """Reasons for which a trial of any of the designs can end, in the order in which they first come up."""
    return list(dict.fromkeys(reason for design in designs.values() for reason in design.reasons))


def _dataset(
    protocol: Protocol, designs: Mapping[str, Design], values: Figures, errors: Figures, standards: Standards
) -> xr.Dataset:
    import xarray as xr

    truths = protocol.truths
    labels = np.array(choice_labels(protocol.n_doses))

    def variables(table: Figures, suffix: str = "") -> dict[str, Any]:
        own = {name: FIGURES.get(name) for name in table}
        return {
            f"{name}{suffix}": (("design", "scenario", *((own[name],) if own[name] else ())), array)
            for name, array in table.items()
        }

    data = variables(values) | variables(errors, "_se")
    data["p_true"] = (("scenario", "dose"), truths)
    data["n_acceptable"] = ("scenario", standards.acceptable(truths).sum(axis=1))
    data["true_mtd"] = ("scenario", labels[standards.true_mtd(truths) + 1])
    data["highest_mtd"] = ("scenario", labels[standards.highest_below(truths) + 1])
    amounts = xr.Variable("dose", list(protocol.doses.amounts), {"units": protocol.doses.unit})
    coords = {
        "design": list(designs),
        "scenario": list(protocol.scenarios),
        "dose": np.arange(1, protocol.n_doses + 1),
        "dose_amount": amounts,
        "choice": labels,
        "reason": _all_reasons(designs),
        "n_patients": np.arange(values["sample_size"].shape[-1]),
    }
    return xr.Dataset(data, coords)


def _reference(protocol: Protocol, standards: Standards) -> dict[str, Any]:
    """The reference benchmark in every scenario, at the protocol's largest sample."""
    both = [reference_selection(truth, standards.target, standards.margin, protocol.limits.max_n) for truth in protocol.truths]
    nearest, highest = (np.array(choice) for choice in zip(*both, strict=True))
    by_nearest, by_highest = (judged(choice, protocol.truths, standards) for choice in (nearest, highest))
    return {
        "reference_selected": (("scenario", "choice"), nearest),
        "reference_correct": ("scenario", by_nearest["correct"]),
        "reference_correct_highest": ("scenario", by_highest["correct_highest"]),
    }


def _other_targets(protocol: Protocol, standards: Standards, figures_of: Any) -> dict[str, Any]:
    """Choices of the designs made for each of the protocol's other targets, and how often they are right for that target."""
    rates = protocol.target.sensitivity
    if not rates:
        return {}
    selected, correct, mtd = [], [], []
    for rate in rates:
        designs = build_designs(protocol, rate)
        chosen = np.stack([figures_of(design)[0]["selected"] for design in designs.values()])
        other = Standards(rate, standards.interval, standards.margin, standards.overdose_limit)
        selected.append(chosen)
        mtd.append(np.array(choice_labels(protocol.n_doses))[other.true_mtd(protocol.truths) + 1])
        correct.append(judged(chosen, protocol.truths, other)["correct"])
    return {
        "target": ("target", list(rates)),
        "true_mtd_by_target": (("target", "scenario"), np.array(mtd)),
        "selected_by_target": (("target", "design", "scenario", "choice"), np.array(selected)),
        "correct_by_target": (("target", "design", "scenario"), np.array(correct)),
    }


@dataclass(frozen=True)
class Analysis:
    """The posterior of a trial, summarised.

    Attributes
    ----------
    summary
        Labelled figures, see `analyze`.
    posterior, prior
        The posterior and the prior that they come from.
    """

    summary: xr.Dataset
    posterior: Posterior
    prior: Posterior

    def tree(self, draws: int = 4000, seed: int = 1) -> xr.DataTree:
        """Summary at the root, and the groups that ArviZ knows: draws of parameters and DLT rates a posteriori and a priori, DLTs
        predicted in as many patients, and the data.

        Parameters
        ----------
        draws
            About how many draws.
        seed
            Seed of the predicted DLTs.
        """
        import xarray as xr

        rng = np.random.default_rng(seed)
        counts = {"n": ("dose", self.posterior.n), "y": ("dose", self.posterior.y)}
        groups = {"/": self.summary, "/observed_data": xr.Dataset(counts, {"dose": self.summary["dose"].values})}
        for name, one in (("posterior", self.posterior), ("prior", self.prior)):
            theta = one.draws(draws)
            p = probabilities(one.curve, theta)
            axes = {"chain": np.arange(theta.shape[0]), "draw": np.arange(theta.shape[1])}
            values = {key: (("chain", "draw"), theta[..., i]) for i, key in enumerate(one.curve.parameter_names)}
            dose = {"dose": self.summary["dose"].values}
            groups[f"/{name}"] = xr.Dataset(values | {"p": (("chain", "draw", "dose"), p)}, axes | dose)
            predicted = rng.binomial(self.posterior.n, p)
            groups[f"/{name}_predictive"] = xr.Dataset({"y": (("chain", "draw", "dose"), predicted)}, axes | dose)
        return xr.DataTree.from_dict(groups)

    def _repr_html_(self) -> str:
        return self.summary._repr_html_()


def analyze(
    protocol: Protocol,
    outcomes: str | Sequence[Cohort] = "",
    *,
    curve: str | None = None,
    engine: Literal["quadrature", "nuts"] = "quadrature",
    draws: int = 1000,
    seed: int = 1,
    say: Callable[[str], None] | None = None,
) -> Analysis:
    """Posterior of the dose-toxicity curve, of the MTD and of the RP2D, given the data so far.

    Parameters
    ----------
    protocol
        The protocol, from `load_protocol`.
    outcomes
        Outcome notation such as ``"1NNN 2NNT"``, or cohorts.
    curve
        Name of one of the protocol's curves; the first by default.
    engine
        "quadrature": exact. "nuts": sampled by PyMC, four chains, every figure with its Monte Carlo standard error
        (``<name>_se``); with diagnostics, and no RP2D where these fail. The comparison of curves is by quadrature all the same.
    draws, seed
        Draws of each chain and seed, for "nuts".
    say
        Called with what is being done, where it takes long.

    Returns
    -------
    Analysis
        Its ``summary`` has figures over ``dose`` (posterior mean, sd, median, 95% interval, probabilities of lying below, in and
        above the target interval, the same a priori, what the prior is worth), the posterior of the MTD (``mtd_level``) and, for
        curves on a dose scale, quantiles of the MTD as a dose; the RP2D with its reason; what each design will conclude
        (``conclusion``); the RP2D and P(over) by each of the protocol's curves; attributes as those of `compare`. Each
        variable's ``definition`` says what it is, and ``warnings`` (JSON) where the prior decides.

    Raises
    ------
    InputError
        If the protocol has no curves, the name is not among them, or the outcomes cannot be read.

    Examples
    --------
    >>> from dosefind import load_protocol
    >>> found = analyze(load_protocol("configs/nct05962762.toml"), "1NNN 2NNN 3NNT")
    >>> found.summary.p_over.round(3).values
    array([0.003, 0.029, 0.216])
    """
    one_of("engine", engine, ("quadrature", "nuts"))
    whole("draws", draws, 10, 1_000_000)
    whole("seed", seed, 0, 2**32 - 1)
    curves, chosen, cohorts = _chosen(protocol, outcomes, curve)
    designs = build_designs(protocol)
    # Checked once, by the design that comes first: what a cohort may be does not depend on the design.
    states = {name: design.state_after(cohorts, protocol.n_doses) for name, design in designs.items()}
    state = next(iter(states.values()))
    n, y = state.n[0].astype(int), state.y[0].astype(int)
    by_curve = {name: _posterior(protocol, one, n, y) for name, one in curves.items()}
    now, before = by_curve[chosen], _posterior(protocol, curves[chosen], 0 * n, 0 * y)
    if engine == "nuts":
        now, before = _sampled(curves[chosen], n, y, draws, seed, say or (lambda _: None))
    target = protocol.target
    result = summary(
        now,
        before,
        target=target.rate,
        interval=target.interval,
        limit=protocol.rp2d.limit,
        amounts=protocol.doses.amounts,
        unit=protocol.doses.unit,
    )
    below = {name: one.below(target.interval[1]) for name, one in by_curve.items()}
    over = {name: Figure(1 - figure.value, figure.error) for name, figure in below.items()}
    rp2d = {name: recommended(n, figure, protocol.rp2d.limit).label for name, figure in over.items()}
    ends = [conclusion(design, states[name], now) for name, design in designs.items()]
    said = SUMMARY_DEFINITIONS
    if now.samples:
        result["conclusion_se"] = (("design", "choice"), np.array([figure.error for figure in ends]))
    result = result.assign(
        conclusion=(("design", "choice"), np.array([figure.value for figure in ends]), {"definition": said["conclusion"]}),
        p_over_by_curve=(("curve", "dose"), np.array([figure.value for figure in over.values()]), {"definition": said["p_over"]}),
        rp2d_by_curve=("curve", list(rp2d.values()), {"definition": "RP2D by the same rule under each curve"}),
    ).assign_coords(design=list(designs), choice=choice_labels(protocol.n_doses), curve=list(curves))
    made = {
        "method": "sampled" if now.samples else "exact",
        "curve_used": chosen,
        "curve_rules": json.dumps({name: one.sentences() for name, one in curves.items()}),
        "outcomes": _notation(cohorts),
        "target": target.rate,
        "interval": list(target.interval),
        "rp2d_limit": protocol.rp2d.limit,
        "pooled_upper_limit": float(upper_limit(n.sum(), y.sum())),
        "warnings": json.dumps(_where_the_prior_decides(result, rp2d, chosen)),
    }
    if now.samples:
        made["sampler_versions"] = json.dumps(sampler_versions())
    return Analysis(result.assign_attrs(made | stamp(protocol)), now, before)


def _sampled(
    curve: Curve, n: np.ndarray, y: np.ndarray, draws: int, seed: int, say: Callable[[str], None]
) -> tuple[Posterior, Posterior]:
    """Posterior and prior by NUTS."""
    from time import perf_counter

    from .posterior.mcmc import NutsPosterior, NutsSettings, nuts_fit

    say("compiling the model, which takes longer than sampling it")
    start = perf_counter()
    fit = nuts_fit(curve, NutsSettings(draws=draws))  # type: ignore[arg-type]
    compiled = perf_counter()
    found = NutsPosterior(fit, n, y, seed), NutsPosterior(fit, 0 * n, 0 * y, seed)
    say(f"compiled in {compiled - start:.1f} s, sampled in {perf_counter() - compiled:.1f} s by {fit.sampler.name}")
    return found


def sensitivity(protocol: Protocol, outcomes: str | Sequence[Cohort] = "", *, curve: str | None = None) -> pd.DataFrame:
    """What the answer hangs on besides the data: one row a change, everything else as in `analyze`.

    Parameters
    ----------
    protocol, outcomes, curve
        As for `analyze`.

    Returns
    -------
    pandas.DataFrame
        What is ``varied`` (the curve, the target, the prior's standard deviations and means, the skeleton, the reference dose)
        and its ``value``; the ``rp2d``; the most probable ``mtd`` and its probability ``p_mtd``; and P(over) at each level,
        ``over_1``, ... ``attrs["note"]`` says what is counted as over.

    Examples
    --------
    >>> from dosefind import load_protocol
    >>> table = sensitivity(load_protocol("configs/nct05962762.toml"), "1NNN 2NNN 3NNT")
    >>> table[["varied", "value", "rp2d"]].head(3)
                varied             value rp2d
    0      as analysed        logistic-2    3
    1            curve  logistic-2-tight    3
    2            curve             power    3
    """
    import pandas as pd

    curves, chosen, cohorts = _chosen(protocol, outcomes, curve)
    state = next(iter(build_designs(protocol).values())).state_after(cohorts, protocol.n_doses)
    n, y = state.n[0].astype(int), state.y[0].astype(int)
    rate, high = protocol.target.rate, protocol.target.interval[1]
    labels = mtd_labels(protocol.n_doses)
    rows = []
    for varied, value, one, target in _variants(protocol, curves, chosen):
        found = ExactPosterior(exact_fit(one, tuple({high, rate if target is None else target})), n, y)  # type: ignore[arg-type]
        below = found.below(high)
        over = Figure(1 - below.value, below.error)
        mtd = found.mtd(rate if target is None else target).value
        row = {"varied": varied, "value": value, "rp2d": recommended(n, over, protocol.rp2d.limit).label}
        row |= {"mtd": labels[int(mtd.argmax())], "p_mtd": float(mtd.max())}
        rows.append(row | {f"over_{level}": float(p) for level, p in enumerate(over.value, start=1)})
    table = pd.DataFrame(rows)
    table.attrs["note"] = (
        f"After {_notation(cohorts) or 'no data'}. over_k: probability that the DLT rate at level k is {high:g} or more; mtd: the "
        f"most probable of {', '.join(labels)} at the target {rate:g} unless varied."
    )
    return table


def _variants(protocol: Protocol, curves: Mapping[str, Curve], chosen: str) -> Iterator[tuple[str, str, Curve, float | None]]:
    """What is varied, its value, the curve, and the target if it is that."""
    base = curves[chosen]
    yield "as analysed", chosen, base, None
    for name, other in curves.items():
        if name != chosen:
            yield "curve", name, other, None
    for rate in protocol.target.sensitivity:
        yield "target", f"{rate:g}", base, rate
    for varied, value, other in base.variants():
        yield varied, value, other, None


def _chosen(protocol: Protocol, outcomes: Any, curve: str | None) -> tuple[dict[str, Curve], str, list[Cohort]]:
    """The protocol's curves, the name of the one to analyse with, and the cohorts."""
    of_type("protocol", protocol, Protocol, "load_protocol reads one from a file")
    curves = build_curves(protocol)
    if not curves:
        raise InputError(Problem("curves", MISSING, "the protocol has none: add a table such as [curves.logistic-2]"))
    return curves, next(iter(curves)) if curve is None else one_of("curve", curve, curves), _cohorts(outcomes)


def _notation(cohorts: Sequence[Cohort]) -> str:
    """Cohorts in outcome notation, each one's DLTs last."""
    return " ".join(f"{c.level}{'N' * (c.n - c.dlts)}{'T' * c.dlts}" for c in cohorts)


def _posterior(protocol: Protocol, curve: Curve, n: np.ndarray, y: np.ndarray) -> ExactPosterior:
    # Frozen settings have a hash, which pyright does not see.
    fit = exact_fit(curve, (*protocol.target.interval, protocol.target.rate))  # type: ignore[arg-type]
    return ExactPosterior(fit, n, y)


def _where_the_prior_decides(result: xr.Dataset, rp2d: Mapping[str, str], chosen: str) -> list[str]:
    """In words: doses at which the prior is worth as much as the patients, and curves that would name another RP2D."""
    words = []
    for level, worth, n in zip(result["dose"].values, result["prior_effective_n"].values, result["n"].values, strict=True):
        if worth >= n:
            patients = "nobody was" if n == 0 else f"{n} patient{'s were' if n != 1 else ' was'}"
            words.append(f"At level {level} {patients} treated; the prior is worth {worth:.1f} there.")
    others = [f"{name!r} names {level}" for name, level in rp2d.items() if level != rp2d[chosen]]
    if others:
        words.append(f"The RP2D hangs on the curve and its prior: {chosen!r} names {rp2d[chosen]}, {', '.join(others)}.")
    return words


def _made_anew(protocol: Protocol, designs: Mapping[str, Design]) -> str:
    """How far designs are made anew for another target: what their own tables fix stays."""
    kept = []
    for name, design in designs.items():
        table = protocol.designs[name]
        # A skeleton said by its indifference interval is a table, and is calibrated to the target at hand.
        fixed = {key: table[key] for key in design.tied_to_target if key in table and not isinstance(table[key], Mapping)}
        if "target" not in type(design).model_fields:
            kept.append(f"{name} has no target")
        elif "interval" in type(design).model_fields:
            kept.append(f"{name} chooses by the target interval, which stays")
        elif fixed:
            kept.append(f"{name} keeps its own {_plain(fixed)}")
    return "; ".join(["DLT rate for which each design is made anew", *kept])


# What a protocol records for readers and for conduct, but no figure of a design depends on.
_RECORDED_ONLY = ("treatment.infusion_days", "treatment.no_overlap", "limits.group", "doses.reference")


def _without_effect(protocol: Protocol) -> list[str]:
    """Keys that are given and that nothing depends on."""
    used = {
        field for one in (*build_designs(protocol).values(), *build_curves(protocol).values()) for field in type(one).model_fields
    }
    found = []
    for key in _RECORDED_ONLY:
        part, name = key.split(".")
        if getattr(getattr(protocol, part), name) is not None and name not in used:
            found.append(key)
    return found


def stamp(protocol: Protocol, design: str | None = None) -> dict[str, Any]:
    """What a result needs to be made again, and what it rests on: attributes that NetCDF can hold.

    Of a result of one ``design``, the rules of the others and what is assumed of them are left out.
    """
    built = {name: made for name, made in build_designs(protocol).items() if design in (None, name)}
    assumed = [a for a in _assumed(protocol, built) if not a.key.startswith("designs.") or a.key.split(".")[1] in built]
    return {
        "protocol": protocol.record.id,
        "config": protocol.file,
        "config_sha256": protocol.sha256,
        "versions": json.dumps(versions()),
        "without_effect": ", ".join(_without_effect(protocol)),
        "assumptions": json.dumps([[a.key, _plain(a.value), a.why] for a in assumed]),
        "rules": json.dumps({name: made.rules() for name, made in built.items()}),
    }


def _assumed(protocol: Protocol, designs: Mapping[str, Design]) -> list[Assumption]:
    """What the protocol assumes, and the settings of each design that neither its table nor the trial gives."""
    found = protocol.assumptions()
    for name, design in designs.items():
        unset = {key: value for key, value in design.in_force().items() if key not in design.model_fields_set}
        found.append(_by_default(f"designs.{name}", unset))
    for name, curve in build_curves(protocol).items():
        unset = {key: getattr(curve, key) for key in type(curve).model_fields if key not in curve.model_fields_set}
        shown = {key: value for key, value in unset.items() if value is not None}
        if shown:
            found.append(_by_default(f"curves.{name}", shown))
    return found


def _by_default(key: str, unset: Mapping[str, Any]) -> Assumption:
    shown = {name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in unset.items()}
    return Assumption(key, shown, f"defaults of this kind of {key.split('s.')[0]}: {_plain(shown)}")


def _plain(value: Any) -> Any:
    """A setting's value as text that a reader can check against the config."""
    if isinstance(value, Mapping):
        return ", ".join(f"{k} = {_plain(v)}" for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(str(_plain(v)) for v in value)
    if hasattr(value, "model_dump"):
        return _plain(value.model_dump())
    return value if isinstance(value, (int, float, str)) else str(value)


def paths(protocol: Protocol, design: str, *, cohorts: int = 2, outcomes: str = "") -> pd.DataFrame:
    """Every path of the next cohorts of one of the protocol's designs, with the decision after each.

    Parameters
    ----------
    protocol
        The protocol.
    design
        Name of one of its designs.
    cohorts
        How many cohorts to look ahead.
    outcomes
        Outcomes so far, in outcome notation; none by default.

    Returns
    -------
    pandas.DataFrame
        One row a path; see `dosefind.operating.paths.paths_of`. The last columns are its probability under each scenario.
        ``attrs["note"]`` explains the columns, and says where the outcomes so far deviate from the design.
    """
    chosen = _named_design(protocol, design)
    done = parse_outcomes(outcomes)
    table = paths_of(chosen, done, protocol.n_doses, cohorts, protocol.truths, list(protocol.scenarios))
    deviations = chosen.deviations(done, protocol.n_doses)
    if deviations:
        table.attrs["note"] += f" The outcomes so far deviate from the design: {'; '.join(deviations)}."
    return table


def decision_table(protocol: Protocol, design: str) -> pd.DataFrame:
    """Decision table of one of the protocol's designs.

    Parameters
    ----------
    protocol
        The protocol.
    design
        Name of one of its designs.

    Returns
    -------
    pandas.DataFrame
        The design's own table where its decisions depend on the current dose alone; else the next level after each number of
        DLTs at each dose, reached by a straight climb, or the MTD and the reason where the trial stops. ``attrs["note"]`` says
        which.
    """
    chosen = _named_design(protocol, design)
    own = getattr(chosen, "table", None)
    if own is None:
        return _climb_table(chosen, protocol.n_doses)
    table = own(max_n=chosen.max_n or protocol.limits.max_n)
    table.attrs["note"] = (
        "DLTs among the patients at the current dose that lead to each move; elimination takes that dose and all above."
    )
    return table.reset_index()


def _named_design(protocol: Protocol, name: str) -> Design:
    """The protocol's design of that name."""
    of_type("protocol", protocol, Protocol, "load_protocol reads one from a file")
    designs = build_designs(protocol)
    return designs[one_of("design", name, designs)]


# Cohorts at one level that a decision table follows.
_TABLE_COHORTS = 4


def _climb_table(design: Design, n_doses: int) -> pd.DataFrame:
    """Next level after every outcome at each level, every lower one having been left without a DLT."""
    import pandas as pd

    found: dict[tuple[int, int, int], set[str]] = {}
    for level in range(design.start, n_doses + 1):
        below = _clean_climb(design, level, n_doses)
        front = {(): below} if below is not None else {}
        for _ in range(_TABLE_COHORTS):
            following: dict[tuple[int, ...], list[Cohort]] = {}
            for cohorts in front.values():
                decision = design.decide(design.state_after(cohorts, n_doses))
                if int(decision.dose[0]) != level - 1:
                    continue
                for dlts in range(int(decision.size[0]) + 1):
                    longer = [*cohorts, Cohort(level, int(decision.size[0]), dlts)]
                    here = [cohort for cohort in longer if cohort.level == level]
                    n, y = sum(c.n for c in here), sum(c.dlts for c in here)
                    found.setdefault((level, n, y), set()).add(_next_words(design, design.state_after(longer, n_doses)))
                    following[n, y, dlts] = longer
            front = following
    rows = [{"level": level, "n": n, "dlts": y, "next": " or ".join(sorted(found[level, n, y]))} for level, n, y in sorted(found)]
    table = pd.DataFrame(rows, columns=["level", "n", "dlts", "next"])
    goes_back = any(words.isdigit() and int(words) < level for (level, _, _), several in found.items() for words in several)
    table.attrs["note"] = (
        f"Next level after DLTs among n patients at a level, up to {_TABLE_COHORTS} cohorts there, each lower level having been "
        "left without a DLT; where the trial stops, the MTD and the reason; 'or' where it depends on the order of the outcomes."
    ) + " Rows hold on the way up: what follows at a level to which the trial comes back is not shown." * goes_back
    return table


def _next_words(design: Design, state: States) -> str:
    """Level of a single state's next cohort; where it stops, the MTD named and the reason's name."""
    decision = design.decide(state)
    if decision.dose[0] >= 0:
        return str(decision.dose[0] + 1)
    named = int(design.select(state).dose[0]) + 1
    return f"stop: {f'MTD {named}' if named else 'no MTD'} ({design.reasons[int(decision.reason[0])]})"


def _clean_climb(design: Design, level: int, n_doses: int) -> list[Cohort] | None:
    """Cohorts without a DLT after which the design first gives ``level``, if it ever does."""
    cohorts: list[Cohort] = []
    while True:
        decision = design.decide(design.state_after(cohorts, n_doses))
        dose = int(decision.dose[0])
        if dose == level - 1:
            return cohorts
        if dose < 0 or dose >= level or len(cohorts) > 100:
            return None
        cohorts.append(Cohort(dose + 1, int(decision.size[0]), 0))
