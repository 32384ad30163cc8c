"""`svgp.models.neighbours.conditional` in TensorFlow's operations: forward, for a whole panel at a time."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from svgp.models.neighbours.conditional import JITTERS

_WIDE = tf.float64


class Residual(NamedTuple):
    """Covariances of the residual process at the sets of C rows, a neighbour that is missing with zeros."""

    neighbours: tf.Tensor  # [C, m, m]
    cross: tf.Tensor  # [C, m]
    own: tf.Tensor  # [C] not below zero
    prior: tf.Tensor  # [] mean variance of the kernel


def residual(rows: tf.Tensor, K: tf.Tensor, present: tf.Tensor) -> Residual:
    """Of A `[C, m + 1, M]` and K `[C, m + 1, m + 1]` of the sets; `present [C, m]`."""
    R = K[:, :, :-1] - tf.matmul(rows, rows[:, :-1], transpose_b=True)  # [C, m + 1, m]
    here = tf.cast(present, _WIDE)  # [C, m]
    own = tf.maximum(K[:, -1, -1] - tf.reduce_sum(rows[:, -1] ** 2, 1), 0.0)
    among = R[:, :-1] * here[:, :, None] * here[:, None, :]
    return Residual(among, R[:, -1] * here, own, tf.reduce_mean(tf.linalg.diag_part(K)))


def weights(R: Residual, present: tf.Tensor, noise: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """b `[C, m]` and the factor of C `[C, m, m]`; `noise [C, m]` of the neighbours, or one number."""
    if not present.shape[1]:
        return R.cross, R.neighbours
    noises = tf.where(present, noise + tf.zeros_like(R.cross), tf.ones_like(R.cross))
    C = tf.linalg.set_diag(R.neighbours, tf.linalg.diag_part(R.neighbours) + noises)
    factor = definite_factor(C, R.prior)
    return tf.linalg.cholesky_solve(factor, R.cross[..., None])[..., 0], factor


def definite_factor(C: tf.Tensor, prior: tf.Tensor) -> tf.Tensor:
    """Cholesky factors `[C, m, m]`; those that have none get more on their diagonal, see JITTERS, or NaN."""
    levels = tf.constant(JITTERS[1:], _WIDE) * prior

    def failed(factor: tf.Tensor) -> tf.Tensor:
        return ~tf.reduce_all(tf.math.is_finite(tf.linalg.diag_part(factor)), -1)  # [C]

    def again(level: tf.Tensor, factor: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        eye = tf.eye(C.shape[-1], dtype=_WIDE)
        bad = failed(factor)[:, None, None]
        new = tf.linalg.cholesky(tf.where(bad, C + levels[level] * eye, eye))
        return level + 1, tf.where(bad, new, factor)

    found = tf.while_loop(
        lambda _, factor: tf.reduce_any(failed(factor)), again,
        (tf.constant(0), tf.linalg.cholesky(C)), maximum_iterations=len(JITTERS) - 1,
    )  # fmt: skip
    return found[1]


def with_one(b: tf.Tensor) -> tf.Tensor:
    """`bt = [-b; 1]` `[C, m + 1]`."""
    return tf.concat([-b, tf.ones([tf.shape(b)[0], 1], _WIDE)], 1)
