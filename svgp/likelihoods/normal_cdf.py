"""log Phi, the logarithm of the standard normal distribution function, over the whole line."""

from __future__ import annotations

import math

import tensorflow as tf

# Left of this the asymptotic series has all digits; right of it Phi itself is far from underflow.
FAR = {tf.float32: -8.0, tf.float64: -25.0}
# Phi(x) = phi(x) / -x * (1 - 1 / x^2 + 3 / x^4 - 15 / x^6 + ...), Abramowitz & Stegun 1964, eq. 26.2.12.
SERIES = (1.0, -1.0, 3.0, -15.0, 105.0, -945.0, 10395.0, -135135.0)
LOG_ROOT = 0.5 * math.log(2.0 * math.pi)


@tf.custom_gradient
def log_normal_cdf(x: tf.Tensor) -> tf.Tensor:
    """log Phi(x), accurate (with its gradient) from -1e10 up, where Phi itself would be zero."""
    far, near, away = _split(x)
    tail = _tail(near)
    by_tail = tf.where(near > 0.0, tf.math.log1p(-tail), tf.math.log(tail))
    by_series = tf.math.log(_series(away) / -away) - 0.5 * away * away - LOG_ROOT
    return tf.where(far, by_series, by_tail), lambda upstream: upstream * _slope(x)


def _slope(x: tf.Tensor) -> tf.Tensor:
    """phi(x) / Phi(x)."""
    far, near, away = _split(x)
    tail = _tail(near)
    by_tail = tf.exp(-0.5 * near * near - LOG_ROOT) / tf.where(near > 0.0, 1.0 - tail, tail)
    return tf.where(far, -away / _series(away), by_tail)


def _split(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Whether x is far left, and x for either formula: where it is not meant, at the border."""
    border = tf.constant(FAR[x.dtype], x.dtype)
    far = x < border
    return far, tf.where(far, border, x), tf.where(far, x, border)


def _tail(x: tf.Tensor) -> tf.Tensor:
    """Phi(-|x|)."""
    return 0.5 * tf.math.erfc(math.sqrt(0.5) * tf.abs(x))


def _series(x: tf.Tensor) -> tf.Tensor:
    u = 1.0 / (x * x)
    total = SERIES[-1] * u
    for coefficient in SERIES[-2:0:-1]:
        total = (total + coefficient) * u
    return 1.0 + total
