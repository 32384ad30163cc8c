"""Each training row as if it had not been seen: sites, and q without the row's own one.

A row enters q(u) as a Gaussian factor, its site: precision `lam = -2 b` and mean `y = mean + a / lam`, with a
and b the derivatives of its expected log-likelihood by mean and variance of q(f) (Khan & Lin 2017; t-SVGP).
Of Gaussian noise s2 that is `lam = 1 / s2` and the target itself. Taken out of the marginal N(mean, s):

    mean_c = (mean - s lam y) / (1 - s lam)      s_c = s / (1 - s lam)

which for the optimal q is leave-one-out in closed form: `y - mean_c = (y - mean) / (1 - h)`, `h = s / s2`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from svgp.models.predictive.sparse import Parts

LEAST_LEFT = 0.02  # of 1 - s lam: a q that is not the optimum may claim more than all of a row's own part
WEAKEST = 1e-8  # of 1 / kff: a site of less precision says nothing
ROWS = 1 << 16  # at a time


class Cavities(NamedTuple):
    """By row and latent GP."""

    mean: np.ndarray  # [N, L] of q(f) without the row
    explained: np.ndarray  # [N, L] its variance from q(u), without the row
    target: np.ndarray  # [N, L] the mean of the site; of Gaussian noise the observation itself
    noise: np.ndarray  # [N, L] 1 / precision of the site
    invalid: int  # sites without a positive precision, which are taken to say nothing

    @property
    def residual(self) -> np.ndarray:
        """What the row says that the others do not, `[N, L]`."""
        return self.target - self.mean


def cavities(likelihood: Any, parts: Parts, Y: np.ndarray) -> Cavities:
    """Of the rows with q(f) `parts` and observations Y `[N, P]`."""
    mean, s = (np.asarray(x, np.float64) for x in (parts.mean, parts.explained))
    prior = float(np.mean(parts.variance)) or 1.0
    if is_gaussian(likelihood):
        noise = np.broadcast_to(np.asarray(likelihood.noise_variance(), np.float64), mean.shape)
        precision, target, invalid = 1.0 / noise, np.asarray(Y, np.float64), 0
    else:
        a, b = _derivatives(likelihood, parts, Y)
        precision = -2.0 * b
        weak = ~(precision > WEAKEST / prior) | ~np.isfinite(a)
        invalid = int(np.sum(precision < 0.0))
        precision = np.where(weak, WEAKEST / prior, precision)
        target = mean + np.where(weak, 0.0, a) / precision
    return without_sites(parts, target, 1.0 / precision, invalid)


def without_sites(parts: Parts, target: np.ndarray, noise: np.ndarray, invalid: int = 0) -> Cavities:
    """Of rows whose sites, means `target` and variances `noise` `[N, L]`, are known."""
    mean, s = (np.asarray(x, np.float64) for x in (parts.mean, parts.explained))
    left = np.maximum(1.0 - s / noise, LEAST_LEFT)
    residual = (target - mean) / left
    return Cavities(target - residual, s / left, target, noise, invalid)


def is_gaussian(likelihood: Any) -> bool:
    """Whether noise is Gaussian, of one variance or one for each output: not known of each row."""
    return likelihood.noise in ("shared", "per_output")


def _derivatives(likelihood: Any, parts: Parts, Y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each row's expected log-likelihood by the mean and the variance of each latent: `[N, L]` both."""
    found = []
    for start in range(0, len(Y), ROWS):
        rows = slice(start, start + ROWS)
        mean, variance = tf.constant(parts.mean[rows]), tf.constant(parts.variance[rows])
        with tf.GradientTape() as tape:
            tape.watch([mean, variance])
            value = tf.reduce_sum(likelihood.expected_log_likelihood(mean, variance, Y[rows]))
        found.append([np.asarray(g, np.float64) for g in tape.gradient(value, [mean, variance])])
    a, b = (np.concatenate(column) for column in zip(*found, strict=True))
    return a, b
