"""What every dose-toxicity curve must keep, whatever its form; a curve's test file runs `check_curve` on its settings.

Each check is a function of its own, so that one that fails says what is wrong: probabilities that are none, a curve that falls with
the dose, a bound that is not where the rate is, another curve for PyTensor than for NumPy, a scale without inverse.
"""

import numpy as np
import pytest
from scipy.stats import norm

from dosefind import CRM, InputError
from dosefind._check import describe
from dosefind.models import CURVES, Curve, OneParameterCurve
from dosefind.models.elicitation import indifference_intervals, skeleton
from dosefind.posterior.exact import ExactFit, ExactPosterior

RATES = (0.05, 0.16, 0.25, 0.33, 0.6)


def check_curve(curve: Curve, *, tensors: bool = True) -> None:
    """Run the whole contract.

    Parameters
    ----------
    curve
        A curve of at least two doses, with a normal prior or a mixture of such.
    tensors
        Whether it is sampled too; a curve that uses SciPy's functions is for quadrature alone.
    """
    check_probabilities(curve)
    check_monotone(curve)
    check_bound(curve)
    if tensors:
        check_tensors(curve)
    check_posterior(curve)
    check_variants(curve)
    check_words(curve)
    check_kind(curve)
    if isinstance(curve, OneParameterCurve):
        check_prior(curve)
        check_uniform(curve, tensors=tensors)
        check_scale(curve)
        check_tails(curve)
        check_options(curve)
        check_ceiling(curve)
        check_boundaries(curve)
        if CURVES.get(curve.kind) is type(curve):
            check_crm(curve)


def lines(curve: Curve, ends: float, count: int = 401) -> np.ndarray:
    """Standard coordinates on lines along the first, at three places of the others, ``(lines, nodes, parameters)``."""
    first = np.linspace(-ends, ends, count)
    return np.array([np.column_stack([first, *np.full((curve.n_parameters - 1, count), at)]) for at in (-1.0, 0.0, 1.0)])


def parts(curve: Curve) -> list[Curve]:
    return [one for _, one in curve.components]


def logits(curve: Curve, z: np.ndarray) -> np.ndarray:
    log_p, log_q = curve.at(z)
    return log_p - log_q


def check_probabilities(curve: Curve) -> None:
    """P(DLT) and P(no DLT) sum to 1 and keep their logarithms within 8 prior standard deviations."""
    assert curve.coordinates.shape == (curve.n_doses,)
    for part in parts(curve):
        for z in lines(part, 8.0):
            log_p, log_q = part.at(z)
            assert log_p.shape == log_q.shape == (len(z), curve.n_doses)
            assert np.isfinite(log_p).all()
            assert np.isfinite(log_q).all()
            # 1e-12: rounding of two exponentials, of logarithms of up to some thousand.
            np.testing.assert_allclose(np.exp(log_p) + np.exp(log_q), 1, rtol=0, atol=1e-12)


def check_monotone(curve: Curve) -> None:
    """Rates rise with the dose, and with the first coordinate where the curve says so, else they fall."""
    sign = 1 if curve.rises else -1
    for part in parts(curve):
        for ends, least in ((8.0, -1e-9), (2.0, 0.0)):
            # Far out two doses may have rates that differ by less than rounding.
            for z in lines(part, ends):
                found = logits(part, z)
                assert np.all(np.diff(found, axis=1) > least * np.abs(found[:, 1:]).clip(1))
                assert np.all(sign * np.diff(found, axis=0) > least * np.abs(found[1:]).clip(1))


def check_bound(curve: Curve) -> None:
    """At the bound of a rate the dose has that rate."""
    # A curve that shows another period than that of the counts has components with the likelihood of the counts.
    for part in parts(curve) if curve.counted is curve else [curve]:
        for rest in ((-1.0,), (0.0,), (1.0,)):
            others = [np.array(at) for at in rest * (part.n_parameters - 1)]
            for rate in RATES:
                if rate >= getattr(part, "ceiling", 1.0):
                    continue
                bounds = np.asarray(part.bound(rate, part.coordinates, others), float)
                for dose, bound in enumerate(bounds):
                    if abs(bound) < 8:
                        z = np.array([[bound, *(float(at) for at in others)]])
                        # 1e-9: a rate at a bound of up to 8, whose rounding the curve's slope multiplies.
                        np.testing.assert_allclose(np.exp(part.at(z)[0][0, dose]), rate, rtol=1e-9)


def check_tensors(curve: Curve) -> None:
    """PyTensor has the curve that NumPy has, and its derivatives."""
    import pytensor
    import pytensor.tensor as pt

    pooled = curve.pooled
    z = pt.dvector("z")
    theta = pooled.parameters(tuple(z[i] for i in range(curve.n_parameters)), pt)
    terms = pooled.log_terms(theta, curve.coordinates, pt)
    slopes = [pytensor.grad(term[dose], z) for term in terms for dose in range(curve.n_doses)]
    found = pytensor.function([z], [*terms, *slopes], mode="FAST_COMPILE")
    for at in (z for line in lines(pooled, 3.0, 7) for z in line):
        log_p, log_q, *gradients = found(at)
        ours = pooled.at(at[None])
        # 1e-10: rounding of the same operations in another order.
        np.testing.assert_allclose((log_p, log_q), (ours[0][0], ours[1][0]), rtol=1e-10, atol=1e-12)
        steps = 1e-5 * np.eye(curve.n_parameters)
        (up_p, up_q), (down_p, down_q) = pooled.at(at + steps), pooled.at(at - steps)
        expected = np.concatenate([(up_p - down_p).T, (up_q - down_q).T]) / 2e-5
        # Central differences: the square of the step, and rounding divided by it.
        np.testing.assert_allclose(gradients, expected, rtol=1e-5, atol=1e-6)


def check_posterior(curve: Curve) -> None:
    """Quadrature has the evidence, the mean rates and P(rate below 0.25) of a plain sum over a fine grid."""
    step = 1 / 200 if curve.n_parameters == 1 else 1 / 20
    line = np.arange(-8, 8 + step / 2, step)
    z = np.column_stack([axis.ravel() for axis in np.meshgrid(*[line] * curve.n_parameters, indexing="ij")])
    prior = step**curve.n_parameters * norm.pdf(z).prod(axis=1)
    n = np.arange(3, 3 + curve.n_doses)
    for y in (0 * n, np.minimum(n, np.arange(curve.n_doses)), n - 1):
        evidence, mean, below = 0.0, np.zeros(curve.n_doses), np.zeros(curve.n_doses)
        for share, part in curve.components:
            log_p, log_q = part.at(z)
            weight = share * prior * np.exp(log_p @ y + log_q @ (n - y))
            evidence += weight.sum()
            # The rates shown, where they are of another period than the counts.
            shown = log_p if curve.counted is curve else curve.at(z)[0]
            mean += weight @ np.exp(shown)
            below += weight @ (shown < np.log(0.25))
        ours = ExactPosterior(ExactFit(curve, (0.25,)), n, y)
        # 1e-8: ten times the error that quadrature states at most; the sum converges faster than any power of its step.
        np.testing.assert_allclose(ours.log_evidence, np.log(evidence), rtol=0, atol=1e-8)
        np.testing.assert_allclose(ours.moments()[0].value, mean / evidence, rtol=0, atol=1e-8)
        # A sum of indicators errs by a node's weight: a step times a density of up to about 2, on each side.
        np.testing.assert_allclose(ours.below(0.25).value, below / evidence, rtol=0, atol=4 * step)


def check_variants(curve: Curve) -> None:
    """Variants are curves of the same kind that differ in something, each with words for it."""
    for what, value, other in curve.variants():
        assert what
        assert value
        assert type(other) is type(curve)
        assert other != curve


def check_words(curve: Curve) -> None:
    """Sentences are sentences, every setting is in the docstring, and settings survive a round trip."""
    for text in (curve.kind, curve.title, curve.source):
        assert text
    for sentence in curve.sentences():
        assert sentence[0].isupper()
        assert sentence.endswith(".")
    schema = type(curve).model_json_schema()
    describe(schema, type(curve))
    for setting, entry in schema["properties"].items():
        assert entry.get("description"), setting
    assert type(curve)(**curve.model_dump(exclude_unset=True)) == curve


def check_kind(curve: Curve) -> None:
    """No other curve of the registry has the kind: it would be replaced."""
    other = CURVES.get(curve.kind, type(curve))
    assert other.__name__ == type(curve).__name__, f"the kind {curve.kind!r} is that of {other.__name__}"


def check_prior(curve: OneParameterCurve) -> None:
    """The parameter is normal with mean 0, where the curve is its skeleton."""
    z = np.linspace(-3, 3, 13)
    np.testing.assert_allclose(curve.parameters((z,))[0], curve.prior_sd * z, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(np.exp(curve.at(np.zeros((1, 1)))[0][0]), curve.skeleton, rtol=1e-10)
    np.testing.assert_allclose(curve.probabilities(0.0)[0], curve.skeleton, rtol=1e-10)


def check_uniform(curve: OneParameterCurve, *, tensors: bool = True) -> None:
    """With the uniform prior too the bounds, the posterior and what is sampled are those of the curve."""
    low, high = 0.3, 4.0
    other = curve.model_copy(update={"prior_sd": type(curve).model_fields["prior_sd"].default, "uniform": (low, high)})
    z = np.linspace(-3, 3, 13)
    # 1e-12: rounding.
    np.testing.assert_allclose(np.exp(other.parameters((z,))[0]), low + (high - low) * norm.cdf(z), rtol=1e-12)
    check_bound(other)
    check_posterior(other)
    if tensors:
        check_tensors(other)


def check_scale(curve: OneParameterCurve) -> None:
    """The scale falls in the rate, `log_at` is its inverse, and the parameter is a shift on it."""
    p = np.concatenate([np.geomspace(1e-9, 0.01, 50), np.linspace(0.02, 0.98, 97)]) * curve.ceiling
    u = curve.scale(p)
    assert np.isfinite(u).all()
    assert np.all(np.diff(u) < 0)
    np.testing.assert_allclose(np.exp(curve.log_at(u)[0]), p, rtol=1e-9)
    for b in (-0.7, 0.4):
        np.testing.assert_allclose(curve.scale(curve.probabilities(b)[0]), curve.scale(np.array(curve.skeleton)) + b, atol=1e-9)
        for dose in range(curve.n_doses):
            rate = float(curve.probabilities(b)[0, dose])
            np.testing.assert_allclose(curve.crossing(dose, rate), b, rtol=0, atol=1e-9)


def check_tails(curve: OneParameterCurve) -> None:
    """Far out log p, and log(1 - p) where rates come near 1, are still those of the curve, not of a rate cut off or rounded."""
    log_p = np.linspace(-1.0, np.log(1e-200), 60)
    # 1e-9: rounding of a scale value of up to some hundred, which a curve may raise to a power.
    np.testing.assert_allclose(
        curve.log_at(curve.scale(curve.ceiling * np.exp(log_p)))[0], np.log(curve.ceiling) + log_p, rtol=1e-9
    )
    if curve.ceiling == 1:
        far = curve.log_at(curve.scale(0.5) - np.linspace(0, 30, 61))[1]
        assert np.isfinite(far).all()
        assert np.all(np.diff(far) < 0)


def check_options(curve: OneParameterCurve) -> None:
    """Every option changes the curve."""
    for name in curve.options():
        other = curve.model_copy(update={name: 1.1 * getattr(curve, name) + 0.1})
        assert np.abs(other.probabilities(-0.5) - curve.probabilities(-0.5)).max() > 1e-6, name


def check_ceiling(curve: OneParameterCurve) -> None:
    """Rates come as near to the ceiling as one likes and never beyond, and a skeleton that reaches it is refused."""
    assert 0 < curve.ceiling <= 1
    near = curve.ceiling * (1 - np.geomspace(1e-2, 1e-7, 6))
    u = curve.scale(near)
    assert np.isfinite(u).all()
    np.testing.assert_allclose(np.exp(curve.log_at(u)[0]), near, rtol=1e-9)
    # 1e-9: rounding of an exponential.
    assert np.all(np.exp(curve.log_at(u[-1] - np.geomspace(1.0, 500.0, 20))[0]) <= curve.ceiling * (1 + 1e-9))
    if curve.ceiling < 1:
        with pytest.raises(InputError):
            type(curve)(**{**curve.model_dump(), "skeleton": (curve.ceiling / 2, (1 + curve.ceiling) / 2)})


def check_boundaries(curve: OneParameterCurve) -> None:
    """Between two boundaries a dose is nearest to the target."""
    target = 0.8 * curve.skeleton[0] + 0.2 * curve.skeleton[-1]
    edges = curve.boundaries(target)
    assert np.all(np.diff(edges) > 0)
    for at, b in enumerate(edges):
        p = curve.probabilities(b)[0]
        np.testing.assert_allclose(target - p[at], p[at + 1] - target, rtol=0, atol=1e-9)
    middles = (edges[1:] + edges[:-1]) / 2
    for at, b in enumerate([edges[0] - 1, *middles, edges[-1] + 1]):
        assert np.argmin(np.abs(curve.probabilities(b)[0] - target)) == at


def check_crm(curve: OneParameterCurve) -> None:
    """A curve of the registry drives the CRM with its options, and its skeletons have the intervals that they are made of."""
    for name in curve.options():
        # A curve's option is a setting of the CRM of the same name, so that a config can give it.
        assert name in CRM.model_fields, name
        assert CRM.model_fields[name].get_default() == type(curve).model_fields[name].get_default()
    options = {name: getattr(curve, name) for name in curve.options()}
    target = curve.skeleton[1]
    design = CRM(skeleton=curve.skeleton, target=target, model=curve.kind, prior_sd=curve.prior_sd, **options)
    assert design.curve == curve
    assert curve.form in design.rules()[0]
    found = design.fit("1NNN 2NNT")
    n, y = np.zeros(curve.n_doses, int), np.zeros(curve.n_doses, int)
    n[:2], y[1] = 3, 1
    theta = ExactPosterior(ExactFit(curve), n, y).parameters()[0].value[0]
    # 1e-8: ten times the error that quadrature states at most.
    np.testing.assert_allclose(found.estimate, theta, rtol=0, atol=1e-8)
    assert found.recommended == 1 + np.argmin(np.abs(curve.probabilities(theta)[0] - target))
    halfwidth = 0.2 * min(target, curve.ceiling - target)
    levels = skeleton(halfwidth, target=target, mtd_level=2, n_doses=4, model=curve.kind, **options)
    rates = indifference_intervals(levels, target=target, model=curve.kind, **options)["rate"]
    np.testing.assert_allclose(levels[1], target, rtol=1e-9)
    np.testing.assert_allclose(rates[1:, 0], target - halfwidth, rtol=0, atol=1e-9)
    np.testing.assert_allclose(rates[:-1, 1], target + halfwidth, rtol=0, atol=1e-9)
    calibrated = CRM(
        skeleton={"halfwidth": halfwidth, "mtd_level": 2},
        n_doses=4,
        target=target,
        model=curve.kind,
        prior_sd=curve.prior_sd,
        **options,
    )
    assert calibrated.levels == levels
