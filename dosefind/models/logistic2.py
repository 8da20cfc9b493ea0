"""The two-parameter logistic curve on the dose scale, ``logit p_d = log alpha + beta log(d / reference)``.

(log alpha, log beta) is bivariate normal a priori, or a mixture of such priors: Neuenschwander, Branson and Gsponer (2008),
Statistics in Medicine 27:2420-2439, doi:10.1002/sim.3230.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field
from scipy.special import logit

from ..words import marked
from .two_parameter import TwoParameterCurve

__all__ = ["Logistic2", "over_windows"]


def over_windows(log_p: Any, log_q: Any, windows: Any, xp: Any = np) -> tuple[Any, Any]:
    """Return log p and log(1 - p) over several windows with a common hazard, from those over one window."""
    # If p is tiny, (1 - q^windows) / (1 - q) is close to the number of windows, but 0 / 0 in floating point.
    log_q1 = xp.minimum(log_q, -1e-8)
    return log_p + xp.log(xp.expm1(windows * log_q1) / xp.expm1(log_q1)), windows * log_q


class Logistic2(TwoParameterCurve):
    """Two-parameter logistic curve.

    Attributes
    ----------
    doses
        Dose amounts, strictly increasing.
    reference
        Dose at which the odds of a DLT are alpha, in the unit of the doses and of comparable size.
    prior
        Prior of (log alpha, log beta): means, standard deviations and correlation; or a list of such priors with weights.
    windows
        Length of a patient's DLT window relative to the window to which alpha and beta refer, at the same hazard: the DLT
        probability is 1 - (1 - p)^windows, an offset of log(windows) on the complementary log-log scale.

    Examples
    --------
    >>> from dosefind import BivariateNormal
    >>> prior = BivariateNormal(mean=(-1.7, 0.0), sd=(1.5, 0.7))
    >>> curve = Logistic2(doses=(1, 3, 5), reference=3, prior=prior)
    >>> np.exp(curve.at(np.zeros((1, 2)))[0]).round(3)
    array([[0.057, 0.154, 0.233]])
    """

    kind: ClassVar[str] = "logistic-2"
    title: ClassVar[str] = marked("Two-parameter logistic curve")
    source: ClassVar[str] = "Neuenschwander, Branson and Gsponer (2008), doi:10.1002/sim.3230"

    windows: Annotated[float, Field(gt=0, le=100, strict=True)] = 1.0

    def log_terms(self, theta: Sequence[Any], at: Any, xp: Any = np) -> tuple[Any, Any]:
        one_window = self.one_window(theta, at, xp)
        return one_window if self.windows == 1 else over_windows(*one_window, self.windows, xp)

    @staticmethod
    def one_window(theta: Sequence[Any], at: Any, xp: Any = np) -> tuple[Any, Any]:
        """Return log p and log(1 - p) over the window to which the parameters refer."""
        eta = theta[0] + xp.exp(theta[1]) * at
        return -xp.logaddexp(0.0, -eta), -xp.logaddexp(0.0, eta)

    def link(self, rate: Any) -> Any:
        # Over several windows, at the rate over one of them.
        return logit(rate if self.windows == 1 else -np.expm1(np.log1p(-rate) / self.windows))

    def sentences(self) -> list[str]:
        # Not at the top of the module, where `_` would be read as this in the code that a stored calibration ran.
        from ..words import _

        curve = _("Two-parameter logistic curve, logit p = log alpha + beta log(dose / {reference}).")
        lines = [curve.format(reference=f"{self.reference:g}")]
        if self.windows != 1:
            sentence = _("This is p over one window; over {windows} windows at the same hazard it is 1 - (1 - p)^{windows}.")
            lines.append(sentence.format(windows=f"{self.windows:g}"))
        return [*lines, *self.prior_sentences()]
