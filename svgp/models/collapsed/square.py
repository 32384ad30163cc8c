"""The M^3 work of optimal posteriors: by the host's BLAS, or by TensorFlow's operations on a device.

A factorisation with its inverse, and triangles round a symmetric matrix; `on_device` is the frame's. In units
of M^3 operations `congruence` takes the host 1 + 1, and a device, by the strips of `svgp.linalg.blocks`,
1.25 + 0.94, or 1.25 twice where it is transposed. Only `[M, M]` matrices go up and come down.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from svgp.errors import NumericalError
from svgp.linalg import backend, blocks
from svgp.linalg.factor import lower_and_inverse
from svgp.linalg.host import blas
from svgp.linalg.host.triangular import cholesky_and_inverse


class Factored(NamedTuple):
    """Of B = I + A A^T / s2: S lower with `S S^T = B^-1`."""

    B: np.ndarray  # [M, M]
    sqrt: np.ndarray  # [M, M]
    covariance: np.ndarray  # [M, M]
    log_det: float


def factored(gram: np.ndarray, noise: float, on_device: bool) -> Factored:
    """From `gram [M, M]`, A A^T. Raises NumericalError where rounding has made B indefinite.

    B = U U^T with U upper triangular, so that S = U^-T is lower: the factor of B turned round, turned back.
    """
    B = gram / noise
    B[np.diag_indices_from(B)] += 1.0
    C = np.ascontiguousarray(B[::-1, ::-1])
    diagonal, sqrt, covariance = (_on_device if on_device else _on_host)(C)
    if not np.all(np.isfinite(diagonal)):
        raise NumericalError(
            "I + A A^T / noise is not positive definite: rounding has eaten the sums over rows"
        )
    return Factored(B, sqrt, covariance, 2.0 * float(np.sum(np.log(diagonal))))


def congruence(L: np.ndarray, X: np.ndarray, on_device: bool, *, transpose: bool = False) -> np.ndarray:
    """`L X L^T`, or `L^T X L`, for a lower triangle L and X symmetric `[M, M]`, which may be overwritten."""
    if on_device:
        triangle = tf.constant(L)
        half = tf.transpose(blocks.lower_product(triangle, tf.constant(X), transpose=transpose))
        if transpose:
            found = blocks.lower_product(triangle, half, transpose=True)
            return 0.5 * np.asarray(found + tf.transpose(found))
        return np.asarray(blocks.mirrored(blocks.lower_of_product(triangle, half)))
    blas.triangular_product(L, X, transpose=transpose)
    blas.triangular_product_right(X, L, transpose=not transpose)
    return 0.5 * (X + X.T)


def times_lower(X: np.ndarray, L: np.ndarray, on_device: bool) -> np.ndarray:
    """`X L` for a lower triangle L and X symmetric `[M, M]`, which may be overwritten."""
    if on_device:
        return np.asarray(tf.transpose(blocks.lower_product(tf.constant(L), tf.constant(X), transpose=True)))
    blas.triangular_product_right(X, L)
    return X


def lower_times_lower(A: np.ndarray, B: np.ndarray, on_device: bool) -> np.ndarray:
    """`A B` for lower triangles `[M, M]`."""
    if on_device:
        return np.asarray(blocks.lower_times_lower(tf.constant(A), tf.constant(B)))
    out = B.copy()
    blas.triangular_product(A, out)
    return out


def _on_host(C: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The diagonal of C's factor, not finite where it has none, S and B^-1."""
    inverse = blas.aligned_empty(C.shape, C.dtype)  # [M, M]
    if not cholesky_and_inverse(C, inverse):
        return np.full(len(C), np.nan), inverse, inverse
    sqrt = np.ascontiguousarray(inverse[::-1, ::-1].T)  # [M, M]
    return np.diag(C), sqrt, blas.mirror_lower(blas.gram(sqrt))


def _on_device(C: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same."""
    with backend("tensorflow"):
        L, inverse = lower_and_inverse(tf.constant(C))
    sqrt = tf.transpose(tf.reverse(inverse, [0, 1]))
    covariance = blocks.mirrored(blocks.lower_of_lower_times_upper(sqrt, sqrt))
    return tuple(np.asarray(x) for x in (tf.linalg.diag_part(L), sqrt, covariance))
