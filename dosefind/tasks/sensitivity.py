"""What the posterior of a trial depends on besides the data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from .._check import InputError, Problem
from ..borrowing import Borrowing
from ..config import Trial
from ..evaluability import Course
from ..exposure import Interval
from ..models import Curve
from ..posterior.base import Posterior
from ..protocol import Protocol
from ..summaries import mtd_labels, name_rp2d
from ..threads import one_thread
from ..trial import Administered, Cohort, Weighted, notation
from .analysis import amounts_among, chosen_curve, counts_of, other_priors, p_over, weights_among
from .borrowing import Counts, borrow_from, borrowing_of, sampling
from .periods import intervals_among, posterior_of

if TYPE_CHECKING:
    import pandas as pd

    from ..posterior.hierarchical import HierarchicalPosterior

__all__ = ["sensitivity"]


@one_thread
def sensitivity(
    trial: Trial | Protocol,
    outcomes: str | Sequence[Cohort] = "",
    *,
    others: Sequence[Cohort] = (),
    administered: Sequence[Administered] = (),
    weighted: Sequence[Weighted] = (),
    courses: Sequence[Course] = (),
    curve: str | None = None,
    borrow: Mapping[str, str | Sequence[Cohort]] | None = None,
    draws: int = 1000,
    seed: int = 1,
    say: Callable[[str], None] = lambda words: None,
) -> pd.DataFrame:
    """Return the sensitivity of the posterior: one row per change of an assumption, everything else as in `analyze`.

    Parameters
    ----------
    trial, outcomes, others, administered, weighted, courses, curve, borrow
        As for `analyze`.
    draws, seed, say
        As for `analyze`, where something is borrowed; courses are then used if the hazard per infusion is pooled.

    Returns
    -------
    pandas.DataFrame
        What is ``varied`` (the curve, the prior's standard deviations and means, the skeleton, the reference dose; where
        something is borrowed whether it is, the mean and the spread of the trials, the weight of their being exchangeable, the
        reference dose, the dose scale and what is pooled; the target with the rate from which a dose overdoses in proportion
        (`Target.at`), that rate alone, the limit of the RP2D) and its ``value``; the ``rp2d``, "not to be trusted" where the
        draws are not; the most probable ``mtd`` and its probability ``p_mtd``; P(overdose) at each level, ``over_1``, ..., with
        Monte Carlo standard errors ``se_1``, ..., and ``se_mtd`` of ``p_mtd``, where something is borrowed; and by which
        ``target``, lowest rate of an overdose (``overdose_from``) and ``limit`` of P(overdose) each row is judged.
        ``attrs["note"]`` says what is counted as over, and which changes move the RP2D.

    Examples
    --------
    >>> from dosefind import load_trial
    >>> table = sensitivity(load_trial("configs/nct05962762.toml"), "1NNN 2NNN 3NNT")
    >>> table[["varied", "value", "rp2d"]].head(3)
                varied             value rp2d
    0      as analysed        logistic-2    3
    1            curve  logistic-2-tight    3
    2            curve             power    3
    """
    import pandas as pd

    if borrow is not None and curve is not None:
        raise InputError(Problem("curve", curve, "contradicts borrow: what is borrowed has a curve of its own"))
    trial = Trial.of(trial)
    protocol, curves = trial.protocol, trial.curves
    chosen, cohorts = chosen_curve(trial, outcomes, curve)
    n, y = counts_of(cohorts, others, protocol.n_doses)
    borrowing = None if borrow is None else borrowing_of(trial)
    if borrowing is not None and not borrowing.by_infusion:
        # Other quantities than the hazard per infusion are those of whole courses.
        courses = ()
    amounts = amounts_among(administered, n, y, borrow)
    weights = weights_among(weighted, len(n), samples=borrow is not None and not courses)
    exact = partial(posterior_of, n, y, amounts, weights, courses, tolerance=_ENOUGH)
    base = _Case(partial(exact, curves[chosen]), protocol.target.rate, protocol.target.interval[1], protocol.rp2d.limit)
    if borrow is None or borrowing is None:  # the second for type checkers
        cases = [("as analysed", chosen, base), *_by_curve(base, curves, chosen, exact)]
    else:
        data = {protocol.record.id: (n, y), **borrow_from(borrowing, borrow)[0]}
        sample = sampling(borrowing.model(protocol), draws, seed, say)
        cases = list(_by_borrowing(base, protocol, borrowing, data, intervals_among(courses), sample))
    cases += _by_standard(cases[0][2], protocol)
    table = pd.DataFrame([_row(varied, value, case, protocol, borrow is not None) for varied, value, case in cases])
    table.attrs |= {"outcomes": notation(cohorts), "curve_used": chosen, "rp2d_rule": protocol.rp2d.rule}
    table.attrs["note"] = _note(table, base, chosen, notation(cohorts), mtd_labels(protocol.n_doses), _RULES[protocol.rp2d.rule])
    return table


@dataclass(frozen=True)
class _Case:
    """What an answer depends on besides the data: the posterior (of the rates that are asked of it), target, least overdose, limit
    on P(overdose).
    """

    posterior: Callable[[tuple[float, ...]], Posterior]
    target: float
    high: float
    limit: float


def _row(varied: str, value: str, case: _Case, protocol: Protocol, errors: bool) -> dict[str, object]:
    found = case.posterior((case.high, case.target) if case.high != case.target else (case.high,))
    over, mtd = p_over(found, case.high), found.mtd(case.target)
    place = int(mtd.value.argmax())
    row: dict[str, object] = {"varied": varied, "value": value}
    rule = protocol.rp2d.model_copy(update={"limit": case.limit})
    row["rp2d"] = "not to be trusted" if found.problems() else name_rp2d(found, over, rule, protocol.utility).label
    row |= {"mtd": mtd_labels(protocol.n_doses)[place], "p_mtd": round(float(mtd.value[place]), 12)}
    row |= {f"over_{level}": float(p) for level, p in enumerate(over.value, start=1)}
    if errors:
        row |= {f"se_{level}": float(p) for level, p in enumerate(over.error, start=1)}
        row["se_mtd"] = float(np.broadcast_to(mtd.error, mtd.value.shape)[place])
    return row | {"target": case.target, "overdose_from": case.high, "limit": case.limit}


# Error of the results in a row, of which three digits are shown and two compared.
_ENOUGH = 1e-6


def _by_curve(
    base: _Case, curves: Mapping[str, Curve], chosen: str, exact: Callable[..., Posterior]
) -> Iterator[tuple[str, str, _Case]]:
    """Yield other curves, and other priors of the chosen one."""
    for name, other in curves.items():
        if name != chosen:
            yield "curve", name, replace(base, posterior=partial(exact, other))
    for varied, value, other in other_priors(curves[chosen]):
        yield varied, value, replace(base, posterior=partial(exact, other))


def _by_borrowing(
    base: _Case,
    protocol: Protocol,
    borrowing: Borrowing,
    data: Counts,
    intervals: Sequence[Interval],
    sample: Callable[..., HierarchicalPosterior],
) -> Iterator[tuple[str, str, _Case]]:
    """Yield the analysis with borrowing, without borrowing, and with other assumptions on it."""
    name = protocol.record.id
    own = data[name]
    for varied, value, one in (("as analysed", "borrowing", borrowing), *borrowing.variants(protocol)):
        if intervals and not one.by_infusion:
            # Whole courses would be other data.
            continue
        try:
            trial = sample(one.model(protocol, intervals), data).trials[name]
        except InputError as error:
            # A reference dose within reach of the doses on one scale may be out of reach on another.
            raise InputError(f"sensitivity to borrowing, {varied} {value}: {error}") from None
        yield varied, value, replace(base, posterior=lambda rates, trial=trial: trial)
        if one is borrowing:
            nobody = {other: ([0] * len(n), [0] * len(n)) for other, (n, _) in data.items()}
            unshared = sample(one.model(protocol, intervals), {**nobody, name: own}).trials[name]
            yield "borrowing", "no data of others", replace(base, posterior=lambda rates, trial=unshared: trial)
            yield "borrowing", "off", base


def _by_standard(base: _Case, protocol: Protocol) -> Iterator[tuple[str, str, _Case]]:
    """Yield other targets and limits."""
    for rate in protocol.target.sensitivity:
        high = protocol.target.at(rate).interval[1]
        yield "target", f"{rate:g} with overdose from {high:.3g}", replace(base, target=rate, high=high)
    for name, value, key, step in (("overdose from", base.high, "high", 0.05), ("RP2D limit", base.limit, "limit", 0.10)):
        for varied in (round(value - step, 6), round(value + step, 6)):
            if 0.05 <= varied <= 0.95:
                yield name, f"{varied:g}", replace(base, **{key: varied})


_RULES = {
    "toxicity": "the highest dose with a known outcome whose",
    "utility": "the dose of the largest expected utility, of those with a known outcome whose",
}


def _note(table: pd.DataFrame, base: _Case, curve: str, outcomes: str, labels: list[str], rule: str) -> str:
    first = table["rp2d"].iloc[0]
    moved = table.loc[table["rp2d"] != first, ["varied", "value", "rp2d"]].to_numpy()
    flips = [f"{varied} {value} (to {rp2d})" for varied, value, rp2d in moved]
    errors = (
        " se_k, se the largest: its Monte Carlo standard error, of quadrature the numerical one. Without data of others the "
        f"prior is that of all trials; off, that of the curve {curve}."
        if "se_1" in table
        else ""
    )
    return (
        f"After {outcomes or 'no data'}. over_k: probability that the DLT rate at level k is {base.high:g} or more;{errors} "
        f"rp2d: {rule} over_k is below {base.limit:g}, as support for the RP2D, which the committee decides; mtd: the most "
        f"probable of {', '.join(labels)} at the target {base.target:g}; each unless varied. A reference dose is varied with the "
        "prior's numbers kept. "
        f"That dose, {first} as analysed, is changed by: {', '.join(flips) or 'none of these'}."
    )
