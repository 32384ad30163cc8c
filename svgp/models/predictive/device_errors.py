"""What several predictions leave open together, by TensorFlow's operations: what a GPU does.

The formulas are those of `svgp.models.predictive.joint` and `draws`. Weights of neighbours, sparse on the
host, are dense here: beside a kernel of all neighbours of two batches, which is made on the device and is
bound by memory, the products with them are little. What goes up is what predictions have brought down.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse
import tensorflow as tf

from svgp.kernels.features import Part, Waves

_WIDE = tf.float64


def product(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """A B `[..., n, m]`."""
    return np.asarray(tf.matmul(tf.constant(A, _WIDE), tf.constant(B, _WIDE)))


def solved(L: np.ndarray, c: np.ndarray) -> np.ndarray:
    """`c L^-T` for a lower triangle L `[r, r]` and c `[t, r]`."""
    found = tf.linalg.triangular_solve(tf.constant(L, _WIDE), tf.constant(c.T, _WIDE))
    return np.asarray(tf.transpose(found))


def weighed(
    K: tf.Tensor, left: scipy.sparse.csr_matrix, right: scipy.sparse.csr_matrix, at: np.ndarray,
    other_at: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """`left K right^T - at other_at^T` `[t, t']`."""
    found = tf.matmul(tf.constant(left.toarray(), _WIDE), tf.cast(K, _WIDE))  # [t, U' + t']
    found = tf.matmul(found, tf.constant(right.toarray(), _WIDE), transpose_b=True)
    return np.asarray(found - tf.matmul(tf.constant(at), tf.constant(other_at), transpose_b=True))


def features_left(
    part: Part, X: np.ndarray, at: np.ndarray, seen: np.ndarray, b: scipy.sparse.csr_matrix, near: np.ndarray,
    w: np.ndarray, chunk: int,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """`psi w [t, K]` and the squares `[t]` of psi = Phi(X) - at seen - b Phi(near), of one latent GP.

    `chunk` rows of `near [U, D]` at a time.
    """
    psi = _features(part, X) - tf.matmul(tf.constant(at), tf.constant(seen))  # [t, F]
    for start in range(0, len(near), chunk):
        some = slice(start, start + chunk)
        psi -= tf.matmul(tf.constant(b[:, some].toarray()), _features(part, near[some]))
    return np.asarray(tf.matmul(psi, tf.constant(w))), np.asarray(tf.reduce_sum(psi**2, 1))


def _features(part: Any, X: np.ndarray) -> tf.Tensor:
    """Phi `[n, F]`; waves are made on the device, all others are a few numbers a row."""
    if not isinstance(part, Waves):
        return tf.constant(part(X)[0], _WIDE)
    frequencies = part.frequencies[0]  # [m, D]
    phase = tf.matmul(tf.constant(X, _WIDE), tf.constant(frequencies), transpose_b=True)
    scale = float(np.sqrt(part.variance[0] / len(frequencies)))
    return scale * tf.concat([tf.cos(phase), tf.sin(phase)], -1)
