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
    return _weighted(weights, function(F))  # [...]


def log_expectation(log_function: Function, mean: tf.Tensor, variance: tf.Tensor) -> tf.Tensor:
    """log E[exp(log_function(f))], summed in logs so that tails do not vanish. Shapes as `expectation`."""
    F, weights = _points(mean, variance)  # [Q, ...], [Q]
    log_weights = tf.reshape(tf.math.log(weights), [-1] + [1] * (F.shape.rank - 1))
    return tf.reduce_logsumexp(log_weights + log_function(F), axis=0)  # [...]


def _weighted(weights: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """`weights [Q]` times `values [Q, ...]`, as tensordot does it, which asks for shapes it need not know."""
    total = tf.matmul(weights[None], tf.reshape(values, [values.shape[0], -1]))  # [1, R]
    return tf.ensure_shape(tf.reshape(total, tf.shape(values)[1:]), values.shape[1:])


def _points(mean: tf.Tensor, variance: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    nodes, weights = gauss_hermite()
    nodes = tf.reshape(tf.constant(nodes, mean.dtype), [-1] + [1] * mean.shape.rank)
    # A variance of zero, or just below from rounding, keeps a finite derivative.
    deviation = tf.sqrt(tf.maximum(variance, np.finfo(mean.dtype.as_numpy_dtype).tiny ** 0.5))
    return mean + deviation * nodes, tf.constant(weights, mean.dtype)  # [Q, ...], [Q]


def product_expectation(function: Function, mean: tf.Tensor, variance: tf.Tensor) -> tf.Tensor:
    """E[function(f)] for pairs of independent latents; `function` maps [400, ..., 2] to [400, ...].

    Shapes: mean, variance [..., 2] -> [...].
    """
    F, weights = _pairs(mean, variance)  # [400, ..., 2], [400]
    return _weighted(weights, function(F))  # [...]


def product_log_expectation(log_function: Function, mean: tf.Tensor, variance: tf.Tensor) -> tf.Tensor:
    """log E[exp(log_function(f))] for pairs of independent latents. Shapes as `product_expectation`."""
    F, weights = _pairs(mean, variance)  # [400, ..., 2], [400]
    log_weights = tf.reshape(tf.math.log(weights), [-1] + [1] * (F.shape.rank - 2))
    return tf.reduce_logsumexp(log_weights + log_function(F), axis=0)  # [...]


def _pairs(mean: tf.Tensor, variance: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    first, weights = _points(mean[..., 0], variance[..., 0])  # [20, ...], [20]
    second, _ = _points(mean[..., 1], variance[..., 1])  # [20, ...]
    shape = tf.concat([[NODES, NODES], tf.shape(first)[1:]], 0)
    pairs = tf.stack([tf.broadcast_to(first[:, None], shape), tf.broadcast_to(second[None], shape)], -1)
    F = tf.reshape(pairs, tf.concat([[NODES * NODES], tf.shape(pairs)[2:]], 0))
    F = tf.ensure_shape(F, [NODES * NODES, *mean.shape])
    return F, tf.reshape(weights[:, None] * weights[None], [-1])  # [400, ..., 2], [400]
