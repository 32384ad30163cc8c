"""Counts whose log rate is uncertain: y ~ Poisson(exp(f)), f ~ N(m, v)."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

# 0.25 standard deviations apart: the rule is exact to 1e-6 while a step of the integrand is at least
# 0.22 deviations wide, below which `count_cdf` takes its other form.
_GRID = np.arange(-6.5, 6.51, 0.25)
_WEIGHTS = np.exp(-0.5 * _GRID**2) / np.exp(-0.5 * _GRID**2).sum()


def log_density_mode(mean: tf.Tensor, variance: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """The f that maximises y f - exp(f) - (f - m)^2 / (2 v), elementwise.

    With w = v exp(f) the condition is w + log w = c, c = m + v y + log v (the Lambert W function in
    logs), solved for q = log w by Newton's method; f = q - log v.
    """
    log_variance = tf.math.log(variance)
    c = mean + variance * y + log_variance
    q = tf.where(c > 1.0, tf.math.log(tf.maximum(c, 1.0)), c)
    for _ in range(8):  # quadratic from a start that is within log(c) of the root
        w = tf.exp(q)
        q -= (w + q - c) / (w + 1.0)
    return q - log_variance


def count_cdf(k: tf.Tensor, mean: tf.Tensor, variance: tf.Tensor) -> tf.Tensor:
    """P(y <= k) elementwise, float64, k >= 0; mostly to 1e-6, to 2e-3 where k is 0 and variance above 30.

    P(y <= k | f) is the upper incomplete gamma function Q(k + 1, exp(f)), averaged over a grid in f.
    Where f varies much more than a gamma variable does in logs the grid would leave steps, and
    `_gaussian_cdf` is as good.
    """
    F = mean[..., None] + tf.sqrt(variance)[..., None] * _GRID  # [..., G]
    rate = tf.exp(tf.minimum(F, 700.0))
    averaged = tf.reduce_sum(_WEIGHTS * tf.math.igammac(k[..., None] + 1.0, rate), -1)  # [...]
    return tf.where(variance > 20.0 * _trigamma(k + 1.0), _gaussian_cdf(k, mean, variance), averaged)


def count_quantiles(mean: tf.Tensor, variance: tf.Tensor, levels: tf.Tensor) -> tf.Tensor:
    """The smallest counts k with P(y <= k) >= level. Shapes: [N, P], [N, P], [Q] -> [N, P, Q].

    Bisection with the cheap form of the distribution function gives a bracket a few counts wide;
    its ends are checked, and the exact form finishes.
    """
    shape = tf.concat([tf.shape(mean), tf.shape(levels)], 0)
    mean = tf.broadcast_to(mean[..., None], shape)  # [N, P, Q]
    variance = tf.broadcast_to(tf.maximum(variance, 0.0)[..., None], shape)  # [N, P, Q]
    # Beyond m + 9 sqrt(v), and a Poisson beyond its mean + 40 deviations, lies less than 1e-18.
    largest_rate = tf.exp(tf.minimum(mean + 9.0 * tf.sqrt(variance), 700.0))
    top = tf.floor(largest_rate + 40.0 * tf.sqrt(largest_rate) + 40.0)
    bottom = tf.fill(shape, tf.constant(-1.0, tf.float64))
    guess = bisect(lambda k: _gaussian_cdf(k, mean, variance) >= levels, bottom, top)

    def reached(k: tf.Tensor) -> tf.Tensor:
        return (k >= 0.0) & (count_cdf(tf.maximum(k, 0.0), mean, variance) >= levels)

    margin = tf.floor(2.0 + 0.02 * guess)
    low, high = tf.maximum(guess - margin, -1.0), tf.minimum(guess + margin, top)
    too_high, too_low = reached(low), ~reached(high)
    below, above = tf.where(too_high, bottom, low), tf.where(too_low, top, high)
    return bisect(reached, tf.where(too_low, high, below), tf.where(too_high, low, above))


def _gaussian_cdf(k: tf.Tensor, mean: tf.Tensor, variance: tf.Tensor) -> tf.Tensor:
    """P(y <= k) = P(f < log g), g ~ Gamma(k + 1), with log g taken as Gaussian: exact as v or k grows."""
    shape = k + 1.0
    z = (tf.math.digamma(shape) - mean) * tf.math.rsqrt(variance + _trigamma(shape))
    return 0.5 * tf.math.erfc(-math.sqrt(0.5) * z)


def _trigamma(x: tf.Tensor) -> tf.Tensor:
    """The variance of log g, g ~ Gamma(x), to 1% from x = 1 up (the asymptotic series)."""
    return (1.0 + (0.5 + (1.0 - 0.2 / x**2) / (6.0 * x)) / x) / x


def bisect(reached: Callable[[tf.Tensor], tf.Tensor], low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
    """The smallest whole number that is `reached`, given that `low` is not and `high` is."""

    def middle(low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
        # Geometric steps while the bracket spans orders of magnitude.
        geometric = tf.floor(tf.sqrt(low + 2.0) * tf.sqrt(high))
        return tf.where(high > 4.0 * (low + 2.0), geometric, tf.floor(0.5 * (low + high)))

    def unfinished(low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
        centre = middle(low, high)
        return tf.reduce_any((centre > low) & (centre < high))

    def halve(low: tf.Tensor, high: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        centre = middle(low, high)
        done = reached(centre)
        return tf.where(done, low, centre), tf.where(done, centre, high)

    return tf.while_loop(unfinished, halve, (low, high), maximum_iterations=200)[1]
