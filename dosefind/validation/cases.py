"""The reference cases: what is computed, with what it is compared, and the tolerance with its reason."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..designs import BOIN, CRM, MTPI2, Design, Keyboard, ThreePlusThree
from ..models import BivariateNormal, Logistic2
from ..monitoring import boundary, crossing
from ..operating.lattice import lattice
from ..posterior.exact import ExactFit, ExactPosterior
from ..protocol import BetaBinomialBoundary, PocockBoundary
from ..trial import States
from ..words import marked

Pairs = Iterator[tuple[Any, Any]]

__all__ = ["CASES", "FOLDER", "Case"]

FOLDER = Path(__file__).parent / "references"
"""Folder of the references."""

# True DLT rates of the scenarios that the references name.
_SCENARIOS = {
    "s3_a": (0.05, 0.15, 0.30),
    "s3_b": (0.02, 0.05, 0.10),
    "s3_d": (0.30, 0.45, 0.60),
    "s5_a": (0.05, 0.15, 0.30, 0.45, 0.60),
    "s5_b": (0.30, 0.45, 0.55, 0.65, 0.75),
    "s5_c": (0.10, 0.30, 0.45, 0.60, 0.70),
    "s5_d": (0.02, 0.05, 0.12, 0.30, 0.45),
}
_MODELS: dict[str, Any] = {"empiric": "power", "logistic": "logistic"}


@dataclass(frozen=True)
class Case:
    """A reference case.

    Attributes
    ----------
    name
        Its name.
    title
        What is compared.
    files
        Files of the references.
    tolerance
        Largest difference; 0: equal.
    why
        Reason for the tolerance.
    compute
        Returns pairs of what was computed and what is expected.
    """

    name: str
    title: str
    files: tuple[str, ...]
    tolerance: float
    why: str
    compute: Callable[[], Pairs]

    def sources(self) -> tuple[str, ...]:
        """Return the source of each reference, as its file states it."""
        found: list[str] = []
        for file in self.files:
            words = (FOLDER / file).read_text(encoding="utf-8")
            if file.endswith(".csv"):
                found.append(words.partition("\n")[0].lstrip("# ").removeprefix("source: ").removeprefix("Source: "))
                continue
            source = json.loads(words)["source"]
            found += [source] if isinstance(source, str) else source
        return tuple(dict.fromkeys(found))


def _table(name: str) -> Any:
    """Return a table of references; its cells are of any type."""
    import pandas as pd

    return pd.read_csv(FOLDER / f"{name}.csv", comment="#")


def _published(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def _numbers(cell: object) -> tuple[float, ...]:
    return tuple(float(part) for part in str(cell).split(";"))


def _walked(design: Design, rows: Any, scenario: str, **limits: int) -> Pairs:
    """Return selection, patients and DLTs of a design beside those of one scenario; dose 0 stands for none."""
    rows, truth = rows.sort_values("dose"), _SCENARIOS[scenario]
    oc = lattice(design, n_doses=len(truth), **limits).under([truth])
    yield oc.selected.values[0], rows["prob_select"].to_numpy()
    yield oc.patients.values[0], rows["exp_n"].to_numpy()[1:]
    yield oc.dlts.values[0], rows["exp_tox"].to_numpy()[1:]


def _three_plus_three() -> Pairs:
    for (deescalate, scenario), rows in _table("exact_3p3").groupby(["allow_deescalate", "scenario"]):
        yield from _walked(ThreePlusThree(six_at_mtd=bool(deescalate)), rows, scenario)


def _three_plus_three_published() -> Pairs:
    item = _published("three_plus_three_exact")
    checks = (item["independent_check"]["exact_enumeration_deesc"], item["independent_check"]["exact_enumeration_no_deesc"])
    for case, check in zip(item["wheeler"], checks, strict=True):
        truth = case["p_true"]
        oc = lattice(ThreePlusThree(six_at_mtd=case["allow_deescalate"]), n_doses=len(truth)).under([truth])
        yield oc.selected.values[0], check


def _boin_rates() -> Pairs:
    for row in _table("boin_lambda").itertuples():
        yield BOIN(target=row.target).boundaries, (row.lambda_e, row.lambda_d)


def _boin_rates_published() -> Pairs:
    item = _published("boin_boundaries")
    ours = np.array([BOIN(target=target).boundaries for target in item["target"]])
    yield ours[:, 0], item["lambda_e"]
    yield ours[:, 1], item["lambda_d"]


def _whole(column: Any) -> np.ndarray:
    """Return a column of whole numbers, -1 where there is none."""
    return column.astype("Float64").fillna(-1).to_numpy(float)


def _boin_tables() -> Pairs:
    for (target, extra_safe), rows in _table("boin_boundary").groupby(["target", "extrasafe"]):
        ours = BOIN(target=target, extra_safe=bool(extra_safe)).table(max_n=int(rows["n"].max())).loc[rows["n"]]
        for name in ours.columns:
            yield _whole(ours[name]), _whole(rows[name])


def _boin_walked() -> Pairs:
    for (target, cohorts, size, scenario), rows in _table("exact_boin").groupby(["target", "ncohort", "cohortsize", "scenario"]):
        yield from _walked(BOIN(target=target), rows, scenario, cohort_size=int(size), max_n=int(cohorts * size))


def _boin_selected() -> Pairs:
    for case in _published("boin_select_mtd_R_reference")["cases"]:
        design = BOIN(target=case["target"], extra_safe=case["extrasafe"], bound_mtd=case["boundMTD"])
        chosen = design.select(States.counts(np.array([case["n"]]), np.array([case["y"]]))).dose[0] + 1
        yield chosen, 0 if case["mtd"] == 99 else case["mtd"]


def _crm_walked() -> Pairs:
    keys = ["model", "target", "ncohort", "cohortsize", "skeleton", "scenario"]
    for (model, target, cohorts, size, skeleton, scenario), rows in _table("exact_dfcrm").groupby(keys):
        design = CRM(skeleton=_numbers(skeleton), target=target, model=_MODELS[model], final="model")
        yield from _walked(design, rows, scenario, cohort_size=int(size), max_n=int(cohorts * size))


def _crm_fits(name: str) -> Pairs:
    for row in _table("dfcrm_crm").itertuples():
        design: Any = CRM(skeleton=_numbers(row.skeleton), target=row.target, model=_MODELS[str(row.model)])
        given = zip(_numbers(row.level), _numbers(row.tox), strict=True)
        fit = design.fit(" ".join(f"{int(level)}{'T' if dlt else 'N'}" for level, dlt in given))
        if name == "fine grid":
            yield (float(fit.estimate), float(fit.variance)), (row.hp_estimate, row.hp_post_var)
        else:
            yield fit.plug_in, _numbers(row.ptox)
            yield float(fit.recommended), float(row.mtd)


def _crm_fine() -> Pairs:
    return _crm_fits("fine grid")


def _crm_printed() -> Pairs:
    return _crm_fits("package")


def _blrm() -> Pairs:
    groups = _table("blrm_exact").groupby(["dataset", "prior", "dref"], sort=False)
    for (_key, rows), given in zip(groups, _table("blrm_exact_params").itertuples(), strict=True):
        mean, sd = (given.mu_logalpha, given.mu_logbeta), (given.sd_logalpha, given.sd_logbeta)
        prior: Any = BivariateNormal(mean=mean, sd=sd, correlation=float(given.rho))
        curve: Any = Logistic2(doses=tuple(rows["dose"].astype(float)), reference=float(given.dref), prior=prior)
        ours = ExactPosterior(ExactFit(curve, (0.16, 0.33)), rows["n"].to_numpy(), rows["y"].to_numpy())
        moments, under = ours.moments(), ours.below(0.16).value
        yield moments[0].value, rows["mean"].to_numpy()
        yield moments[1].value, rows["sd"].to_numpy()
        yield under, rows["p_under"].to_numpy()
        yield 1 - ours.below(0.33).value, rows["p_over"].to_numpy()


def _keyboard() -> Pairs:
    for target, rows in _table("keyboard_boundaries").groupby("target"):
        rows = rows[rows["n"] >= 3]
        ours = Keyboard(target=target).table(int(rows["n"].max())).loc[rows["n"]]
        for name in ("escalate_if_dlt_le", "deescalate_if_dlt_ge"):
            yield _whole(ours[name]), _whole(rows[name])


def _mtpi2() -> Pairs:
    moves = {"E": 1, "S": 0, "D": -1, "DU": -1}
    design: Any = MTPI2(target=0.3, n_doses=5)
    for counts, letter in _published("mtpi2_guo2017_fig3")["decisions_at_middle_dose(y/n)"].items():
        y, n = map(int, counts.split("/"))
        yield design.move(np.array([n]), np.array([y]))[0], moves[letter]
        out = _whole(design.table(n)["eliminate_if_dlt_ge"])[-1]
        yield float(0 <= out <= y), float(letter == "DU")


def _beta_binomial() -> Pairs:
    item = _published("stoppingrule_beta_binomial")
    # The cutoff is printed with seven digits, and stands for a probability that does not pause.
    cutoff = item["cutoff_printed"] + 4e-7
    rule = BetaBinomialBoundary(kind="beta-binomial", rate=item["rate"], cutoff=cutoff, a=item["a"], b=item["b"], least_n=1)
    limits = boundary(rule, 30)
    yield limits[1:], item["limits_from_1"]
    yield crossing(limits, item["true_rates"]).probability, item["probability"]


def _pocock() -> Pairs:
    item = _published("clinfun_toxbdry")["continuous"]
    limits = boundary(PocockBoundary(kind="pocock", rate=item["rate"], alpha=item["alpha"]), item["max_n"])
    found = crossing(limits, item["true_rates"])
    yield found.probability, item["probability"]


CASES = (
    Case(
        "3+3",
        marked("3+3: exact probabilities of selection, patients and DLTs, against an enumeration with the rules of R's escalation"),
        ("exact_3p3.csv",),
        1e-13,
        marked("rounding of the reference"),
        _three_plus_three,
    ),
    Case(
        "3+3 published",
        marked("3+3: probabilities of selection against two independent enumerations of published scenarios"),
        ("three_plus_three_exact.json",),
        5e-5 + 1e-12,
        marked("half a unit of the last printed digit"),
        _three_plus_three_published,
    ),
    Case(
        "BOIN rates",
        marked("BOIN: boundaries of the DLT rate, against R's BOIN"),
        ("boin_lambda.csv",),
        1e-12,
        marked("printed in full"),
        _boin_rates,
    ),
    Case(
        "BOIN rates published",
        marked("BOIN: boundaries of the DLT rate, against the published table"),
        ("boin_boundaries.json",),
        5e-4,
        marked("half a unit of the last printed digit"),
        _boin_rates_published,
    ),
    Case(
        "BOIN tables",
        marked("BOIN: decision tables with elimination, against R's BOIN"),
        ("boin_boundary.csv",),
        0.0,
        marked("whole numbers"),
        _boin_tables,
    ),
    Case(
        "BOIN selections",
        marked("BOIN: dose selected as MTD, against R's BOIN"),
        ("boin_select_mtd_R_reference.json",),
        0.0,
        marked("whole numbers"),
        _boin_selected,
    ),
    Case(
        "BOIN",
        marked("BOIN: exact probabilities of selection, patients and DLTs, against an enumeration with R's BOIN"),
        ("exact_boin.csv",),
        1e-12,
        marked("rounding of the reference"),
        _boin_walked,
    ),
    Case(
        "CRM",
        marked("CRM: exact probabilities of selection, patients and DLTs, against an enumeration with R's dfcrm"),
        ("exact_dfcrm.csv",),
        1e-9,
        marked("error of the reference"),
        _crm_walked,
    ),
    Case(
        "CRM fits",
        marked("CRM: posterior mean and variance of the parameter, against the same posterior on a fine grid"),
        ("dfcrm_crm.csv",),
        1e-9,
        marked("error of the reference"),
        _crm_fine,
    ),
    Case(
        "CRM dfcrm",
        marked("CRM: estimated DLT rates and recommended dose, against R's dfcrm"),
        ("dfcrm_crm.csv",),
        1e-5,
        marked("error of the integration in R"),
        _crm_printed,
    ),
    Case(
        "BLRM",
        marked("BLRM: posterior means, standard deviations and interval probabilities, against a fine grid"),
        ("blrm_exact.csv", "blrm_exact_params.csv"),
        1e-8,
        marked("error of the reference"),
        _blrm,
    ),
    Case(
        "Keyboard",
        marked("Keyboard: decision tables, against R's Keyboard"),
        ("keyboard_boundaries.csv",),
        0.0,
        marked("whole numbers"),
        _keyboard,
    ),
    Case(
        "mTPI-2",
        marked("mTPI-2: decisions and elimination, against the published figure"),
        ("mtpi2_guo2017_fig3.json",),
        0.0,
        marked("letters of the figure"),
        _mtpi2,
    ),
    Case(
        "beta-binomial boundary",
        marked("Pause rule, beta-binomial: boundary and probabilities of a pause, against R's stoppingrule"),
        ("stoppingrule_beta_binomial.json",),
        5e-9,
        marked("half a unit of the last printed digit"),
        _beta_binomial,
    ),
    Case(
        "Pocock boundary",
        marked("Pause rule, Pocock: probabilities of a pause, against R's clinfun"),
        ("clinfun_toxbdry.json",),
        5e-4,
        marked("half a unit of the last printed digit"),
        _pocock,
    ),
)
"""The reference cases, in the order of the record."""
