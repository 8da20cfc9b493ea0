"""Borrowing per infusion without sampling: an exact check of the posterior by NUTS.

Given the between-trial standard deviations, the likelihood of a trial as a function of the means over trials is the likelihood of
its parameters convolved with a normal density; so is the prior of one trial given the others. Convolutions on an even grid are
products of Fourier transforms, and the standard deviations are integrated by Gauss-Legendre.
"""

import numpy as np
from scipy import fft

# Half-normal standard deviations beyond this number of scales have a probability of 7e-6.
_MOST = 4.5
_WIDTH = 7


def own_trial(log_likelihoods, mu, tau_scale, nodes=256, spreads=14):
    """Return the grids of log alpha and log beta, and the posterior weights of the first trial, ``(nodes, nodes)``.

    ``log_likelihoods`` is a function from parameters (..., 2) to the log-likelihood of each trial, (..., trials); the between-trial
    correlation is 0.
    """
    mean, sd, scale = (np.array(values) for values in (mu.mean, mu.sd, tau_scale))
    width = _WIDTH * np.hypot(sd, 2 * scale)
    axes = [np.linspace(m - w, m + w, nodes, endpoint=False) for m, w in zip(mean, width, strict=True)]
    theta = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    found = log_likelihoods(theta)
    likelihoods = np.exp(np.moveaxis(found - found.max(axis=(0, 1)), -1, 0))
    step = [axis[1] - axis[0] for axis in axes]
    first, second = 2 * np.pi * np.fft.fftfreq(nodes, step[0])[:, None], 2 * np.pi * np.fft.rfftfreq(nodes, step[1])[None]
    of_means = np.exp(-(((theta - mean) / sd) ** 2).sum(axis=-1) / 2)
    others = [fft.rfft2(values) for values in likelihoods[1:]]
    places, weights = np.polynomial.legendre.leggauss(spreads)
    places = (places + 1) / 2 * _MOST
    weights = weights * np.exp(-(places**2) / 2)
    prior = np.zeros((nodes, nodes))
    for i, j in np.ndindex(spreads, spreads):
        normal = np.exp(-((first * scale[0] * places[i]) ** 2 + (second * scale[1] * places[j]) ** 2) / 2)
        given = of_means.copy()
        for other in others:
            given *= np.maximum(fft.irfft2(other * normal, s=given.shape), 0)
        prior += weights[i] * weights[j] * fft.irfft2(fft.rfft2(given) * normal, s=given.shape)
    posterior = np.maximum(prior, 0) * likelihoods[0]
    return *axes, posterior / posterior.sum()


def mean_and_overdose(log_alpha, log_beta, weights, log_total, limit):
    """Return the mean DLT rate and P(rate >= limit) at each dose, where the hazard is ``alpha * exp(log_total(beta))`` by dose."""
    total = log_total(np.exp(log_beta))
    hazard = np.exp(np.clip(log_alpha[:, None, None] + total, -700, 700))
    mean = (weights[..., None] * -np.expm1(-hazard)).sum(axis=(0, 1))
    # The part of a node's cell beyond the limit, a half-line in log alpha.
    edge = np.log(-np.log1p(-limit)) - total
    share = np.clip((log_alpha[:, None, None] - edge) / (log_alpha[1] - log_alpha[0]) + 0.5, 0, 1)
    return mean, (weights[..., None] * share).sum(axis=(0, 1))
