"""Predictive distributions that are mixtures over f: their quantiles, and densities where noise is sharp.

F(y) = E[F(y | f)] over f ~ N(m, v) is an average over a fine grid in f (an eighth of a deviation apart:
exact to 1e-6 unless the noise is narrower than a ninth of f's own deviation), inverted by bisection.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from svgp.likelihoods.poisson_mixture import bisect
from svgp.likelihoods.quadrature import log_expectation

_GRID = np.arange(-6.5, 6.51, 0.125)
_WEIGHTS = np.exp(-0.5 * _GRID**2) / np.exp(-0.5 * _GRID**2).sum()
STEPS = 50  # of a bisection: a bracket of 100 units ends at 1e-13

# (y [..., K, 1], F [..., 1, G]) -> P(y' <= y | F) [..., K, G]
Distribution = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def mixture_cdf(cdf: Distribution, y: tf.Tensor, mean: tf.Tensor, variance: tf.Tensor) -> tf.Tensor:
    """E[cdf(y | f)] under f ~ N(mean, variance); y [N, P, K], mean and variance [N, P], float64."""
    deviation = tf.sqrt(tf.maximum(variance, 0.0))
    F = mean[..., None] + deviation[..., None] * _GRID  # [N, P, G]
    return tf.reduce_sum(_WEIGHTS * cdf(y[..., None], F[..., None, :]), -1)  # [N, P, K]


def continuous_quantiles(
    cdf: Distribution, mean: tf.Tensor, variance: tf.Tensor, levels: tf.Tensor, low: tf.Tensor, high:
    tf.Tensor, back: Callable[[tf.Tensor], tf.Tensor] = tf.identity,
) -> tf.Tensor:  # fmt: skip
    """Quantiles [N, P, K] at `levels` [K]; y = back(t), `back` increasing, t in low to high [N, P]."""
    shape = tf.concat([tf.shape(mean), tf.shape(levels)], 0)
    low, high = (tf.broadcast_to(x[..., None], shape) for x in (low, high))  # [N, P, K]

    def halve(step: tf.Tensor, low: tf.Tensor, high: tf.Tensor) -> tuple[tf.Tensor, ...]:
        centre = 0.5 * (low + high)
        below = mixture_cdf(cdf, back(centre), mean, variance) < levels
        return step + 1, tf.where(below, centre, low), tf.where(below, high, centre)

    _, low, high = tf.while_loop(lambda step, *_: step < STEPS, halve, (tf.constant(0), low, high))
    return back(0.5 * (low + high))


def whole_quantiles(
    cdf: Distribution, mean: tf.Tensor, variance: tf.Tensor, levels: tf.Tensor, top: tf.Tensor
) -> tf.Tensor:
    """The smallest whole numbers k from 0 with P(y <= k) >= level, [N, P, K]; `top` [N, P] is one surely."""
    shape = tf.concat([tf.shape(mean), tf.shape(levels)], 0)
    bottom = tf.fill(shape, tf.constant(-1.0, tf.float64))

    def reached(k: tf.Tensor) -> tf.Tensor:
        return (k >= 0.0) & (mixture_cdf(cdf, tf.maximum(k, 0.0), mean, variance) >= levels)

    return bisect(reached, bottom, tf.broadcast_to(top[..., None], shape))


def centred_log_expectation(
    log_density: Callable[[tf.Tensor], tf.Tensor],
    derivatives: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
    mean: tf.Tensor,
    variance: tf.Tensor,
) -> tf.Tensor:
    """log E[exp(log_density(f))], f ~ N(mean, variance), for a density that is log-concave in f.

    Quadrature around the integrand's own peak, with the peak's own width: nodes around the mean would miss it
    where an observation pins f far more sharply than its variance does. `derivatives` gives the first and
    second one of `log_density`; the peak is found by Newton's method, in steps of at most two deviations.
    """
    variance = tf.maximum(variance, tf.cast(1e-12, variance.dtype))
    far = 2.0 * tf.sqrt(variance)
    mode = mean
    for _ in range(12):
        slope, bend = derivatives(mode)
        step = (slope - (mode - mean) / variance) / (1.0 / variance - bend)
        mode = mode + tf.clip_by_value(step, -far, far)
    # The integral does not depend on where the nodes lie: no gradient is lost.
    mode = tf.stop_gradient(mode)
    width = tf.stop_gradient(1.0 / (1.0 / variance - derivatives(mode)[1]))

    def correction(F: tf.Tensor) -> tf.Tensor:
        prior = -0.5 * ((F - mean) ** 2 / variance + tf.math.log(variance / width))
        return log_density(F) + prior + 0.5 * (F - mode) ** 2 / width

    return log_expectation(correction, mode, width)


def normal_cdf(x: tf.Tensor) -> tf.Tensor:
    """Phi(x)."""
    return 0.5 * tf.math.erfc(-math.sqrt(0.5) * x)


def wide(*tensors: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """The same in float64."""
    return tuple(tf.cast(x, tf.float64) for x in tensors)
