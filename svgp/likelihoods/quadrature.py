"""Gauss-Hermite quadrature: expectations under f ~ N(mean, variance), elementwise."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

NODES = 20  # exact for polynomials in f up to degree 39; the error of a log-likelihood is far below its noise

Function = Callable[[tf.Tensor], tf.Tensor]


def gauss_hermite(num: int = NODES) -> tuple[np.ndarray, np.ndarray]:
    """Nodes t and weights w with sum w h(t) = E[h(t)], t ~ N(0, 1); weights sum to one."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(num)
    return nodes, weights / math.sqrt(2.0 * math.pi)


def expectation(function: Function, mean: tf.Tensor, variance: tf.Tensor) -> tf.Tensor:
    """E[function(f)]; `function` maps [20, ...] to [20, ...]. Shapes: mean, variance [...] -> [...]."""
    F, weights = _points(mean, variance)  # [Q, ...], [Q]
    return tf.tensordot(weights, function(F), axes=1)  # [...]


def log_expectation(log_function: Function, mean: tf.Tensor, variance: tf.Tensor) -> tf.Tensor:
    """log E[exp(log_function(f))], summed in logs so that tails do not vanish. Shapes as `expectation`."""
    F, weights = _points(mean, variance)  # [Q, ...], [Q]
    log_weights = tf.reshape(tf.math.log(weights), [-1] + [1] * (F.shape.rank - 1))
    return tf.reduce_logsumexp(log_weights + log_function(F), axis=0)  # [...]


def _points(mean: tf.Tensor, variance: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    nodes, weights = gauss_hermite()
    nodes = tf.reshape(tf.constant(nodes, mean.dtype), [-1] + [1] * mean.shape.rank)
    # A variance of zero, or just below from rounding, keeps a finite derivative.
    deviation = tf.sqrt(tf.maximum(variance, np.finfo(mean.dtype.as_numpy_dtype).tiny ** 0.5))
    return mean + deviation * nodes, tf.constant(weights, mean.dtype)  # [Q, ...], [Q]
