"""A stationary covariance matrix and its adjoint, each in one sweep over [N, N2].

The matrix is a function of squared distances r2 between scaled inputs. Written by hand, the
adjoint needs one elementwise product, W = K_bar o dK/d(r2), and two thin products with it:

    X_bar = 2 (W 1 o X - W Z)        Z_bar = 2 (W^T 1 o Z - W^T X)

which also carry the lengthscales, since X and Z arrive divided by them. Automatic
differentiation of the same formula makes about three times as many sweeps, and NaN at r2 = 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

Adjoint = Callable[[tf.Tensor], tf.Tensor]


class Profile(NamedTuple):
    """How a kernel falls with distance.

    `evaluate(a, log_v)` takes a = scale * r2 and the log variance and returns K and a function
    K_bar -> W / factor, so that constants touch [N, D] and never [N, N2].
    """

    scale: float
    factor: float
    evaluate: Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, Adjoint]]


def radial_covariance(
    profile: Profile, X: tf.Tensor, Z: tf.Tensor | None, variance: tf.Tensor, dtype: tf.DType
) -> tf.Tensor:
    """K [..., N, N2] in `dtype` from scaled, centred float64 inputs; Z None means K(X, X).

    Shapes: X [..., N, D], Z [..., N2, D], variance [...], all with the same batch dimensions.
    K(X, X) has exactly `variance` on its diagonal and no gradient from it to X.
    """
    symmetric = Z is None

    @tf.custom_gradient
    def covariance(X: tf.Tensor, Z: tf.Tensor, variance: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        a = tf.cast(tf.maximum(_squared_distances(X, Z, profile.scale), 0.0), dtype)  # [..., N, N2]
        K, slope = profile.evaluate(a, tf.math.log(variance)[..., None, None])  # [..., N, N2]
        if symmetric:
            K = tf.linalg.set_diag(K, tf.repeat(variance[..., None], tf.shape(K)[-1], axis=-1))

        def adjoint(K_bar: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            W = slope(K_bar)  # [..., N, N2]
            if symmetric:
                W = tf.linalg.set_diag(W, tf.zeros_like(W[..., 0]))
            X_bar = _input_adjoint(W, X, Z, profile.factor)  # [..., N, D]
            Z_bar = _input_adjoint(W, Z, X, profile.factor, transpose=True)  # [..., N2, D]
            # Row sums first, the rest in float64: a float32 sum of N * N2 terms loses digits.
            rows = tf.cast(tf.reduce_sum(K_bar * K, -1), tf.float64)  # [..., N]
            variance_bar = tf.cast(tf.reduce_sum(rows, -1), variance.dtype) / variance  # [...]
            return X_bar, Z_bar, variance_bar

        return K, adjoint

    return covariance(X, X if Z is None else Z, tf.cast(variance, dtype))


def _squared_distances(X: tf.Tensor, Z: tf.Tensor, scale: float) -> tf.Tensor:
    """scale * |x - z|^2 as one product [-2x, |x|^2, 1] [z, 1, |z|^2]^T, unclamped, [..., N, N2]."""
    X_norm = tf.reduce_sum(X * X, -1, keepdims=True)  # [..., N, 1]
    Z_norm = tf.reduce_sum(Z * Z, -1, keepdims=True)  # [..., N2, 1]
    left = tf.concat([-2.0 * scale * X, scale * X_norm, scale * tf.ones_like(X_norm)], -1)  # [..., N, D + 2]
    right = tf.concat([Z, tf.ones_like(Z_norm), Z_norm], -1)  # [..., N2, D + 2]
    return tf.matmul(left, right, transpose_b=True)  # [..., N, N2]


def _input_adjoint(
    W: tf.Tensor, X: tf.Tensor, Z: tf.Tensor, factor: float, transpose: bool = False
) -> tf.Tensor:
    """2 factor (W 1 o X - W Z), row sums and product from one multiplication by [Z, 1]."""
    ones = tf.ones_like(Z[..., :1])
    moments = tf.matmul(W, tf.cast(tf.concat([Z, ones], -1), W.dtype), transpose_a=transpose)
    moments = tf.cast(moments, X.dtype)  # [..., N, D + 1]
    return 2.0 * factor * (moments[..., -1:] * X - moments[..., :-1])  # [..., N, D]
