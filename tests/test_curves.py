"""Curves: every one keeps the contract, the contract catches wrong ones, and the complementary log-log curve is right."""

import os
import re
import shutil
import subprocess
import sys
from typing import Annotated, ClassVar

import numpy as np
import pytest
from click.testing import CliRunner
from pydantic import Field
from scipy.integrate import quad
from scipy.special import log_ndtr, ndtri

import dosefind as dsf
from docs.blocks import blocks_of
from dosefind.cli import main
from dosefind.config import build_curves, build_designs
from dosefind.models import CURVES, BivariateNormal, Hazard, Logistic, Logistic2, Power, one_parameter
from dosefind.models.base import OneParameterCurve
from dosefind.models.cloglog import Cloglog
from dosefind.posterior.exact import ExactFit, ExactPosterior

from . import curve_contract as contract
from .curve_contract import check_curve
from .peers import ROOT

SKELETON = (0.08, 0.2, 0.35)
PRIOR = BivariateNormal(mean=(-1.7, 0.0), sd=(1.5, 0.7), correlation=-0.3)
TWO = {"doses": (1.0, 3.0, 5.0), "reference": 3.0, "prior": PRIOR}
SHIPPED = {
    **{kind: curve(skeleton=SKELETON) for kind, curve in one_parameter().items()},
    "logistic, intercept 1": Logistic(skeleton=SKELETON, intercept=1.0, prior_sd=0.8),
    "cloglog, two doses": Cloglog(skeleton=(0.2, 0.6), prior_sd=2.0),
    "logistic-2": Logistic2(**TWO),
    "hazard": Hazard(**TWO, interval_days=(28, 28, 28)),
    "hazard, carry-over": Hazard(**TWO, interval_days=(14, 28), accumulation="carry-over", rho=0.3, background=0.02),
    "hazard, of an infusion": Hazard(**TWO, interval_days=(28, 28), accumulation="trend", delta=0.4, over="infusion"),
    "mixture": Logistic2(**{**TWO, "prior": (PRIOR, BivariateNormal(mean=(0.0, 0.3), sd=(1.0, 0.5)))}),
}


@pytest.mark.parametrize(
    "curve",
    [
        pytest.param(curve, id=name, marks=pytest.mark.slow if name.startswith("hazard, ") else ())
        for name, curve in SHIPPED.items()
    ],
)
def test_contract(curve):
    check_curve(curve)


def test_every_kind_is_under_contract():
    assert {type(curve) for curve in SHIPPED.values()} == {*CURVES.values()}


# The contract on curves that are wrong


class Rising(Power):
    """A larger parameter makes it more toxic."""

    ceiling: ClassVar[float] = 1.0

    def scale(self, p):
        return -super().scale(p)

    def log_at(self, u, xp=np):
        return super().log_at(-u, xp)


class Wavy(OneParameterCurve):
    """Not monotone."""

    kind: ClassVar[str] = "wavy"
    title: ClassVar[str] = "Wavy curve"
    source: ClassVar[str] = "this test"

    def scale(self, p):
        return np.log1p(-np.asarray(p)) - np.log(p)

    def log_at(self, u, xp=np):
        logit = -u + 1.5 * xp.sin(2 * xp.clip(u, -50, 50))
        return -xp.logaddexp(0.0, -logit), -xp.logaddexp(0.0, logit)


class OtherScale(Power):
    """The scale is not the inverse of the curve."""

    def scale(self, p):
        return 1.1 * super().scale(p)


class TooHigh(Logistic):
    """Says that it reaches every rate."""

    ceiling: ClassVar[float] = 1.0


class TooLow(Power):
    """Says that it never reaches a half."""

    ceiling: ClassVar[float] = 0.5


class NoSum(Power):
    """P(DLT) and P(no DLT) do not sum to 1."""

    def log_at(self, u, xp=np):
        log_p, _ = super().log_at(u, xp)
        return log_p, xp.log(-xp.expm1(1.1 * log_p))


class Underflow(Power):
    """The logarithm is taken of a rate that has underflowed."""

    def log_at(self, u, xp=np):
        with np.errstate(all="ignore"):
            p = xp.exp(-xp.exp(u))
            return xp.log(p), xp.log1p(-p)


class OtherBound(Power):
    """The bound is one of the parameter, not of its standard coordinate."""

    def bound(self, rate, at, rest=()):
        return self.scale(rate) - at


class OtherTensors(Power):
    """Another curve where it is sampled."""

    def log_at(self, u, xp=np):
        return super().log_at(u if xp is np else 1.001 * u, xp)


class NoDerivative(Power):
    """The right values, whose derivative is lost."""

    def log_at(self, u, xp=np):
        if xp is not np:
            from pytensor.gradient import zero_grad

            u = 0.5 * u + 0.5 * zero_grad(u)
        return super().log_at(u, xp)


class CutOff(Logistic):
    """Rates next to 0 are cut off."""

    def log_at(self, u, xp=np):
        log_p, log_q = super().log_at(u, xp)
        return xp.clip(log_p, -27.0, 0.0), log_q


class Rounds(Power):
    """log(1 - p) is cut off where p is next to 1."""

    def log_at(self, u, xp=np):
        log_p, log_q = super().log_at(u, xp)
        return log_p, xp.clip(log_q, -27.0, 0.0)


class AlwaysNormal(Power):
    """The uniform prior has no effect."""

    def parameters(self, z, xp=np):
        return (self.prior_sd * z[0],)


class BoundOfNormal(Power):
    """The bound is that under the normal prior."""

    def bound(self, rate, at, rest=()):
        return (self.scale(rate) - at) / self.prior_sd


class OtherPower(Power):
    """It has the kind of another curve."""

    kind: ClassVar[str] = "logistic"


class OffCentre(Power):
    """The prior mean is not 0."""

    def parameters(self, z, xp=np):
        return (super().parameters(z, xp)[0] + 0.1,)


class OffSkeleton(Power):
    """At the prior mean the curve is not its skeleton."""

    @property
    def coordinates(self):
        return super().coordinates - 0.01


class Wordless(Power):
    """Its sentences do not end."""

    def sentences(self):
        return [sentence.rstrip(".") for sentence in super().sentences()]


class NoVariant(Power):
    """Its variants are itself."""

    def variants(self):
        yield "prior sd", "x 1", self


class Unstated(Power):
    """Settings without a word."""

    tail: float = 1.0


class NoEffect(Power):
    """An option without effect.

    Attributes
    ----------
    skeleton, prior_sd, uniform
        As of every one-parameter curve.
    tail
        Nothing.
    """

    tail: float = 1.0


class Upside(Logistic2):
    """Says that rates fall with the first coordinate."""

    rises: ClassVar[bool] = False


class OtherReference(Logistic2):
    """The bound is that of another curve."""

    def bound(self, rate, at, rest):
        return super().bound(rate, at + 0.1, rest)


WRONG = {
    "rises in its parameter": (Rising, contract.check_monotone),
    "not monotone": (Wavy, contract.check_monotone),
    "scale is not the inverse": (OtherScale, contract.check_scale),
    "ceiling too high": (TooHigh, contract.check_ceiling),
    "ceiling too low": (TooLow, contract.check_ceiling),
    "probabilities without sum": (NoSum, contract.check_probabilities),
    "underflow": (Underflow, contract.check_probabilities),
    "low rates cut off": (CutOff, contract.check_tails),
    "high rates cut off": (Rounds, contract.check_tails),
    "uniform prior": (AlwaysNormal, contract.check_uniform),
    "bound of the uniform prior": (BoundOfNormal, contract.check_uniform),
    "kind of another curve": (OtherPower, contract.check_kind),
    "option without effect": (NoEffect, contract.check_options),
    "bound of the parameter": (OtherBound, contract.check_bound),
    "integrals up to that bound": (OtherBound, contract.check_posterior),
    "other tensors": (OtherTensors, contract.check_tensors),
    "wrong derivative": (NoDerivative, contract.check_tensors),
    "prior mean": (OffCentre, contract.check_prior),
    "skeleton": (OffSkeleton, contract.check_prior),
    "sentences": (Wordless, contract.check_words),
    "docstring": (Unstated, contract.check_words),
    "variants": (NoVariant, contract.check_variants),
    "direction of two parameters": (Upside, contract.check_monotone),
    "bound of two parameters": (OtherReference, contract.check_bound),
}


@pytest.mark.parametrize(("wrong", "check"), WRONG.values(), ids=WRONG)
def test_contract_catches_a_wrong_curve(wrong, check):
    curve = wrong(**TWO) if issubclass(wrong, Logistic2) else wrong(skeleton=SKELETON)
    right = SHIPPED["logistic-2"] if issubclass(wrong, Logistic2) else SHIPPED["power"]
    check(right)
    with pytest.raises(AssertionError):
        check(curve)
    with pytest.raises(AssertionError):
        check_curve(curve)


class Probit(OneParameterCurve):
    """Probit curve with a slope of its own.

    Attributes
    ----------
    skeleton
        DLT probability of each dose at b = 0, strictly increasing.
    prior_sd
        Prior standard deviation of b.
    uniform
        Bounds between which exp(b) is uniform a priori, instead of the normal prior.
    slope
        Slope on the normal scale.
    """

    kind: ClassVar[str] = "probit"
    title: ClassVar[str] = "Probit curve"
    source: ClassVar[str] = "this test"
    slope: Annotated[float, Field(gt=0)] = 1.0

    def scale(self, p):
        return -ndtri(p) / self.slope

    def log_at(self, u, xp=np):
        return log_ndtr(-u * self.slope), log_ndtr(u * self.slope)


class Cauchit(OneParameterCurve):
    """The distribution function of Cauchy, with tails so heavy that rates come slowly near 0 and 1.

    Attributes
    ----------
    skeleton, prior_sd, uniform
        As of every one-parameter curve.
    """

    kind: ClassVar[str] = "cauchit"
    title: ClassVar[str] = "Cauchit curve"
    source: ClassVar[str] = "this test"

    def scale(self, p):
        return 1 / np.tan(np.pi * np.asarray(p))

    def log_at(self, u, xp=np):
        return xp.log(xp.arctan2(1.0, u) / np.pi), xp.log(xp.arctan2(1.0, -u) / np.pi)


def test_curve_with_heavy_tails_keeps_the_contract(monkeypatch):
    monkeypatch.setitem(CURVES, "cauchit", Cauchit)
    check_curve(Cauchit(skeleton=SKELETON))


def test_curve_whose_rates_rise_with_its_scale_is_refused():
    class Falling(Power):
        def log_at(self, u, xp=np):
            return super().log_at(-u, xp)

    with pytest.raises(dsf.InputError, match=r"keeps every rate below 0\.000"):
        Falling(skeleton=SKELETON)


def test_option_that_no_config_can_give_is_found(monkeypatch):
    curve = Probit(skeleton=SKELETON, slope=2.0)
    check_curve(curve, tensors=False)
    monkeypatch.setitem(CURVES, "probit", Probit)
    with pytest.raises(AssertionError, match="slope"):
        check_curve(curve, tensors=False)


class PlainProbit(Probit):
    """Probit curve.

    Attributes
    ----------
    skeleton, prior_sd, uniform
        As of every one-parameter curve.
    """

    slope: ClassVar[float] = 1.0


def test_registered_curve_drives_the_crm(monkeypatch):
    with pytest.raises(dsf.InputError, match=f"model = 'probit': must be '{next(iter(one_parameter()))}', "):
        dsf.CRM(skeleton=SKELETON, target=0.25, model="probit")
    monkeypatch.setitem(CURVES, "probit", PlainProbit)
    contract.check_crm(PlainProbit(skeleton=SKELETON))
    with pytest.raises(dsf.InputError, match="intercept = 2 has no effect with model = 'probit'"):
        dsf.CRM(skeleton=SKELETON, target=0.25, model="probit", intercept=2)


# The complementary log-log curve


def rates(b, skeleton):
    """By the formula: the probability of no DLT is that of the skeleton to the power exp(-b)."""
    return 1 - (1 - np.array(skeleton)) ** np.exp(-b)


def test_cloglog_by_its_formula():
    curve = Cloglog(skeleton=SKELETON)
    for b in (-3.0, -0.5, 0.0, 0.7, 2.0):
        # 1e-12: rounding.
        np.testing.assert_allclose(curve.probabilities(b)[0], rates(b, SKELETON), rtol=1e-12)
        hazards = -np.log1p(-curve.probabilities(b)[0])
        np.testing.assert_allclose(hazards / hazards[0], np.log1p(-np.array(SKELETON)) / np.log1p(-SKELETON[0]), rtol=1e-12)


@pytest.mark.parametrize(
    ("n", "y"),
    [((3, 3, 0), (0, 1, 0)), ((3, 6, 9), (0, 0, 0)), ((6, 0, 3), (6, 0, 3)), ((9, 12, 9), (1, 3, 4)), ((60, 60, 80), (3, 15, 30))],
)
@pytest.mark.parametrize("prior_sd", [1.34**0.5, 0.6])
def test_cloglog_against_adaptive_integration(n, y, prior_sd):
    """Evidence, mean of the parameter, mean rates and P(rate below 0.25) from the formula and SciPy's quad alone."""
    n, y = np.array(n), np.array(y)

    def integral(function, low=-8 * prior_sd, high=8 * prior_sd):
        def density(b):
            p = rates(b, SKELETON)
            # The logarithm of 1 - p from the formula, as p may be next to 1.
            log_q = np.exp(-b) * np.log1p(-np.array(SKELETON))
            return (
                function(b) * np.exp(y @ np.log(p) + (n - y) @ log_q - b**2 / (2 * prior_sd**2)) / (prior_sd * np.sqrt(2 * np.pi))
            )

        inner = np.linspace(low, high, 9)[1:-1]
        return quad(density, low, high, points=inner, epsabs=1e-300, epsrel=1e-12, limit=500)[0]

    ours = ExactPosterior(ExactFit(Cloglog(skeleton=SKELETON, prior_sd=prior_sd), (0.25,)), n, y)
    evidence = integral(lambda b: 1.0)
    # 1e-9: what the adaptive integration delivers, and the error that quadrature states at most.
    close = {"rtol": 0, "atol": 1e-9}
    np.testing.assert_allclose(ours.log_evidence, np.log(evidence), **close)
    np.testing.assert_allclose(ours.parameters()[0].value[0], integral(lambda b: b) / evidence, **close)
    for dose in range(3):
        np.testing.assert_allclose(
            ours.moments()[0].value[dose], integral(lambda b, d=dose: rates(b, SKELETON)[d]) / evidence, **close
        )
        bound = -np.log(np.log1p(-0.25) / np.log1p(-SKELETON[dose]))
        np.testing.assert_allclose(ours.below(0.25).value[dose], integral(lambda b: 1.0, low=bound) / evidence, **close)


def test_cloglog_skeleton_by_hand():
    """Lee and Cheung: at the edge between two doses the lower has the rate target - halfwidth, the upper target + halfwidth."""
    found = dsf.skeleton(0.05, target=0.25, mtd_level=2, n_doses=4, model="cloglog")
    ratio = np.log(0.7) / np.log(0.8)
    # Hazards that rise by the same factor from dose to dose, that of the edges of the interval.
    np.testing.assert_allclose(found, 1 - 0.75 ** (ratio ** np.array([-1.0, 0.0, 1.0, 2.0])), rtol=1e-12)


@pytest.mark.parametrize(
    "settings", [{}, {"recommend": "mean", "safety_cutoff": 0.9}, {"final": "model", "no_skip": "off"}], ids=str
)
def test_cloglog_operating_characteristics_by_simulation(settings):
    design = dsf.CRM(skeleton=SKELETON, target=0.25, model="cloglog", max_n=18, **settings)
    truths, n_trials = [[0.05, 0.15, 0.30], [0.30, 0.45, 0.60], [0.1, 0.25, 0.4]], 20_000
    exact, simulated = dsf.lattice(design).under(truths), dsf.simulate(design, truths, n_trials=n_trials, seed=3)
    p = exact.selected.values
    # Five standard errors of a share of so many trials; 1e-9 where it is 0 or 1.
    assert np.all(np.abs(simulated.selected.values - p) <= 5 * np.sqrt(p * (1 - p) / n_trials) + 1e-9)
    for name in ("patients", "dlts"):
        mean, error = simulated[name].values, simulated[f"{name}_se"].values
        assert np.all(np.abs(mean - exact[name].values) <= 5 * error + 1e-9)


def test_cloglog_selects_by_its_own_posterior():
    """Every final choice of a small trial, from a sum over a fine grid of the formula."""
    design = dsf.CRM(skeleton=SKELETON, target=0.25, model="cloglog", max_n=9, final="model")
    b = np.linspace(-10, 10, 20_001)
    p = np.array([rates(at, SKELETON) for at in b])
    prior = -(b**2) / (2 * 1.34)
    ends = dsf.lattice(design).ends
    assert len(ends.n) > 15
    named = design.select(dsf.States.counts(ends.n, ends.y)).dose
    for n, y, dose in zip(ends.n, ends.y, named, strict=True):
        log_q = np.exp(-b)[:, None] * np.log1p(-np.array(SKELETON))
        log_weight = np.log(np.maximum(p, 1e-300)) @ y + log_q @ (n - y) + prior
        weight = np.exp(log_weight - log_weight.max())
        distance = np.abs(rates(weight @ b / weight.sum(), SKELETON) - 0.25)
        assert dose == np.argmin(distance)


@pytest.mark.parametrize("engine", ["quadrature", pytest.param("nuts", marks=pytest.mark.slow)])
def test_cloglog_is_calibrated(engine):
    layouts = {"fixed": (3, 6, 6), "crm": dsf.CRM(skeleton=SKELETON, target=0.25, max_n=18, model="cloglog")}
    found = dsf.calibrate(Cloglog(skeleton=SKELETON), layouts, engine=engine, n_sets=50, seed=1)
    assert found.passed.all(), found.excess.to_pandas()


# From a config

MIDWAY = ROOT / "examples" / "nct05962762" / "midway"
COMMANDS = {
    "compare": ["compare"],
    "simulated": ["compare", "--method", "simulate", "--trials", "100"],
    "analyze": ["analyze", "--outcomes", "1NNN 2NNT", "--curve", "cloglog"],
    "sensitivity": ["sensitivity", "--outcomes", "1NNN 2NNT", "--curve", "cloglog"],
    "table": ["table", "--design", "crm"],
    "paths": ["paths", "--design", "crm"],
    "next": ["next", "--data", MIDWAY / "patients.csv", "--events", MIDWAY / "events.csv"],
    "report": ["report", "--format", "html"],
}


def with_curve(kind):
    """The shipped config with another curve in its CRM and among its curves."""
    text = (ROOT / "configs" / "nct05962762.toml").read_text(encoding="utf-8")
    for old, new in (('[designs.crm]\nkind = "crm"\n', f'model = "{kind}"\n'), ('[curves.power]\nkind = "power"\n', None)):
        assert text.count(old) == 1
        text = text.replace(old, f"{old}{new}" if new else f'[curves.{kind}]\nkind = "{kind}"\n')
    return text.replace("curves.power", f"curves.{kind}")


@pytest.mark.parametrize(
    "words",
    [pytest.param(words, marks=pytest.mark.slow if name in ("next", "report") else ()) for name, words in COMMANDS.items()],
    ids=COMMANDS,
)
def test_cloglog_from_a_config(words, tmp_path):
    config = tmp_path / "trial.toml"
    config.write_text(with_curve("cloglog"), encoding="utf-8")
    command, *options = words
    found = CliRunner().invoke(main, [command, str(config), *map(str, options), "--out", str(tmp_path / "out")])
    assert found.exit_code == 0, found.output
    written = "".join(
        path.read_text(encoding="utf-8") for path in (tmp_path / "out").iterdir() if path.suffix in (".json", ".html")
    )
    assert "cloglog" in written


def test_config_and_python_build_the_same_cloglog(tmp_path):
    (tmp_path / "trial.toml").write_text(with_curve("cloglog"), encoding="utf-8")
    protocol = dsf.load_protocol(tmp_path / "trial.toml")
    levels = dsf.skeleton(0.05, target=protocol.target.rate, mtd_level=2, n_doses=3, model="cloglog")
    assert build_curves(protocol)["cloglog"] == Cloglog(skeleton=levels)
    assert build_designs(protocol)["crm"].curve == Cloglog(skeleton=levels)


# A curve as the page says: one file and one line

PAGE = ROOT / "docs" / "how-to" / "add-a-curve.md"


@pytest.mark.slow
def test_a_curve_is_one_file_and_one_line(tmp_path):
    """The class of the page in a copy of the package: it drives the CRM from a config."""
    shutil.copytree(ROOT / "dosefind", tmp_path / "dosefind", ignore=shutil.ignore_patterns("__pycache__"))
    page = PAGE.read_text(encoding="utf-8")
    code = next(block.code for block in blocks_of(page) if "class Probit" in block.code)
    (tmp_path / "dosefind" / "models" / "probit.py").write_text(code, encoding="utf-8")
    registry = tmp_path / "dosefind" / "models" / "__init__.py"
    text = registry.read_text(encoding="utf-8")
    (changes,) = [block.code for block in blocks_of(page) if block.language == "text"]
    for old, new in re.findall(r"^- (.*\n)((?:\+ .*\n)+)", changes, re.MULTILINE):
        assert text.count(old.rstrip("\n")) == 1
        text = text.replace(old.rstrip("\n"), re.sub(r"^\+ ", "", new, flags=re.MULTILINE).rstrip("\n"))
    registry.write_text(text, encoding="utf-8")
    (tmp_path / "trial.toml").write_text(with_curve("probit"), encoding="utf-8")
    command = [sys.executable, "-m", "dosefind", "compare", "trial.toml", "--out", "out"]
    subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)}, check=True, capture_output=True)
    assert "Probit curve, skeleton" in (tmp_path / "out" / "compare.json").read_text(encoding="utf-8")
