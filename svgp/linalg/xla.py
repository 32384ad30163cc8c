"""Which graphs XLA will compile, and a determinant for them: it has no LU factorisation."""

from __future__ import annotations

import tensorflow as tf
from tensorflow.python.ops import control_flow_util


def will_be_compiled() -> bool:
    """Whether XLA will compile what is being traced."""
    return not tf.executing_eagerly() and control_flow_util.GraphOrParentsInXlaContext(
        tf.compat.v1.get_default_graph()
    )


def unitary_determinant(W: tf.Tensor) -> tf.Tensor:
    """Determinant `[...]`, of modulus one, of unitary matrices `W [..., n, n]`, without gradient."""
    W = tf.stop_gradient(W)
    if not will_be_compiled():
        return tf.linalg.det(W)
    return _eliminate(W)


def _eliminate(W: tf.Tensor) -> tf.Tensor:
    """Determinant by Gaussian elimination with partial pivoting, in operations that XLA can compile."""
    size = tf.shape(W)[-1]
    rows = tf.range(size)  # [n]

    def step(k: tf.Tensor, W: tf.Tensor, determinant: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        at_k = tf.cast(rows == k, W.dtype)  # [n]
        column = tf.linalg.matvec(W, at_k)  # [..., n]
        candidates = tf.where(rows >= k, tf.abs(column), -tf.ones_like(tf.abs(column)))  # [..., n]
        best = tf.argmax(candidates, axis=-1, output_type=tf.int32)  # [...]
        at_best = tf.cast(rows == best[..., None], W.dtype)  # [..., n]
        row_k = tf.linalg.matvec(W, at_k, transpose_a=True)  # [..., n]
        row_best = tf.linalg.matvec(W, at_best, transpose_a=True)  # [..., n]
        exchange = (at_best - at_k)[..., :, None] * (row_k - row_best)[..., None, :]  # [..., n, n]
        pivot = tf.reduce_sum(column * at_best, -1)  # [...]
        W = W + exchange
        multipliers = tf.linalg.matvec(W, at_k) / pivot[..., None]  # [..., n]
        multipliers = tf.where(rows > k, multipliers, tf.zeros_like(multipliers))
        W = W - multipliers[..., :, None] * row_best[..., None, :]
        swapped = tf.cast(tf.where(best == k, 1, -1), W.dtype)  # [...]
        return k + 1, W, determinant * pivot * swapped

    start = (tf.constant(0), W, tf.ones_like(W[..., 0, 0]))
    return tf.while_loop(lambda k, W, determinant: k < size, step, start)[2]
