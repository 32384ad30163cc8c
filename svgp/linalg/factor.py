"""One factorisation of a positive-definite matrix: L, its inverse, and the jitter that it took.

Nothing here is differentiated. The operations that use a factor (`logdet`, the marginals of q(f)) carry it
along as a constant and attach their hand-written adjoints to the matrix itself.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from svgp.linalg.backend import use_host
from svgp.linalg.host import blas
from svgp.linalg.host.threads import single_threaded_blas
from svgp.linalg.host.triangular import cholesky_and_inverse

RETRIES = 6  # how often the jitter grows tenfold before a matrix is given up
RELATIVE_JITTER = 1e-6  # of the mean diagonal: where the retries start

# A pivot is what a diagonal entry has left when others are subtracted: below about ten roundings of that
# entry it is made of them. Cholesky still ends, but its L^-1 is off by 100%: half of 1,500 random
# ill-conditioned float32 matrices with a pivot below one rounding, 1% at ten, none above 16.
SMALLEST_PIVOT = 10.0  # roundings of the diagonal entry

# Below this size one Cholesky call beats another level of recursion; on a GPU every level is a dozen
# kernel launches, and the vendor's own blocked routine wins up to the sizes used here.
_CPU_LEAF, _GPU_LEAF = 128, 4096


class Factor(NamedTuple):
    """`L L^T = K + jitter I`, with `L_inverse = L^-1`. NaN throughout where no jitter was enough."""

    L: tf.Tensor  # [..., M, M] lower
    L_inverse: tf.Tensor  # [..., M, M] lower
    jitter: tf.Tensor  # [...] absolute: what was added to the diagonal
    repairs: tf.Tensor  # [...] int32: how many times it had to grow


def factorise(K: tf.Tensor, jitter: float = 0.0) -> Factor:
    """Factor `K + jitter I`, growing the jitter where that is not positive definite to working precision.

    The first try adds `jitter`; each further one, for the members of the batch that failed, at least
    1e-6 of the mean diagonal and ten times more than the last, six times at most. A failure is a pivot
    `L_ii^2` below ten roundings of its `K_ii`. All of it happens inside the graph. Where K holds a NaN or an
    infinity nothing is tried again. K is `[..., M, M]`, symmetric; only its lower triangle is read. No
    gradient flows.
    """
    K = tf.stop_gradient(tf.convert_to_tensor(K))  # [..., M, M]
    if use_host(K):
        dtype, integer = K.dtype, tf.int32
        L, L_inverse, used, repairs = tf.numpy_function(
            lambda matrix: _host_factorise(matrix, jitter), [K], [dtype, dtype, dtype, integer]
        )
        L, L_inverse = tf.ensure_shape(L, K.shape), tf.ensure_shape(L_inverse, K.shape)
        used, repairs = tf.ensure_shape(used, K.shape[:-2]), tf.ensure_shape(repairs, K.shape[:-2])
        return Factor(L, L_inverse, used, repairs)
    return _graph_factorise(K, jitter)


def lower_and_inverse(K: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """L and L^-1 of `K = L L^T [..., M, M]`, without gradient; NaN where K is not positive definite.

    One blocked recursion gives both: everything above a leaf is a matrix product, which runs on all
    cores where Cholesky and triangular solves run on one. 2/3 M^3 operations.
    """
    K = tf.stop_gradient(tf.convert_to_tensor(K))
    if use_host(K):
        L, L_inverse = tf.numpy_function(_host_lower_and_inverse, [K], [K.dtype, K.dtype])
        return tf.ensure_shape(L, K.shape), tf.ensure_shape(L_inverse, K.shape)
    return _recurse(K, _leaf(K))


def _leaf(K: tf.Tensor) -> int:
    return _GPU_LEAF if tf.config.list_logical_devices("GPU") else _CPU_LEAF


def _recurse(K: tf.Tensor, leaf: int) -> tuple[tf.Tensor, tf.Tensor]:
    n = K.shape[-1]
    if n is None or n <= leaf:
        L = tf.linalg.cholesky(K)  # [..., n, n]
        return L, tf.linalg.triangular_solve(L, tf.eye(tf.shape(K)[-1], dtype=K.dtype) + tf.zeros_like(L))
    h = leaf * max(1, round(n / leaf / 2))
    L11, inverse11 = _recurse(K[..., :h, :h], leaf)
    L21 = tf.matmul(K[..., h:, :h], inverse11, adjoint_b=True)  # [..., n-h, h]
    L22, inverse22 = _recurse(K[..., h:, h:] - tf.matmul(L21, L21, adjoint_b=True), leaf)
    inverse21 = -tf.matmul(inverse22, tf.matmul(L21, inverse11))  # [..., n-h, h]
    zeros = tf.zeros_like(L21)
    zeros = tf.linalg.adjoint(zeros)  # [..., h, n-h]
    return _assemble(L11, zeros, L21, L22), _assemble(inverse11, zeros, inverse21, inverse22)


def _assemble(a: tf.Tensor, b: tf.Tensor, c: tf.Tensor, d: tf.Tensor) -> tf.Tensor:
    return tf.concat([tf.concat([a, b], -1), tf.concat([c, d], -1)], -2)


def _graph_factorise(K: tf.Tensor, jitter: float) -> Factor:
    size = tf.shape(K)[-1]
    eye = tf.eye(size, dtype=K.dtype)  # [M, M]
    least = RELATIVE_JITTER * tf.reduce_mean(tf.linalg.diag_part(K), -1)  # [...]
    used = tf.zeros_like(least) + tf.constant(jitter, K.dtype)
    repairs = tf.zeros_like(least, tf.int32)
    L, L_inverse = _recurse(K + used[..., None, None] * eye, _leaf(K))
    rounding = tf.constant(SMALLEST_PIVOT * np.finfo(K.dtype.as_numpy_dtype).eps, K.dtype)

    def failed(L: tf.Tensor, L_inverse: tf.Tensor, used: tf.Tensor) -> tf.Tensor:
        smallest = rounding * (tf.linalg.diag_part(K) + used[..., None])  # [..., M]
        pivots = tf.linalg.diag_part(L) ** 2  # [..., M]
        # NaN in any pivot reaches the last row of the inverse.
        sound = (pivots >= smallest) & tf.math.is_finite(pivots) & tf.math.is_finite(L_inverse[..., -1, :])
        return ~tf.reduce_all(sound, -1)  # [...]

    def again(L: tf.Tensor, L_inverse: tf.Tensor, used: tf.Tensor, repairs: tf.Tensor) -> Factor:
        bad = failed(L, L_inverse, used)  # [...]
        grows = bad & tf.reduce_all(tf.math.is_finite(tf.linalg.band_part(K, -1, 0)), [-2, -1])
        used = tf.where(grows, tf.maximum(10.0 * used, least), used)
        new, new_inverse = _recurse(K + used[..., None, None] * eye, _GPU_LEAF)
        lost = (bad & failed(new, new_inverse, used))[..., None, None]
        new, new_inverse = (tf.where(lost, tf.constant(np.nan, K.dtype), x) for x in (new, new_inverse))
        mask = bad[..., None, None]
        return Factor(
            tf.where(mask, new, L),
            tf.where(mask, new_inverse, L_inverse),
            used,
            repairs + tf.cast(grows, tf.int32),
        )

    return tf.while_loop(
        lambda L, L_inverse, used, repairs: tf.reduce_any(failed(L, L_inverse, used)),
        again,
        Factor(L, L_inverse, used, repairs),
        maximum_iterations=RETRIES,
    )


def _host_lower_and_inverse(K: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    matrices = K.reshape((-1, *K.shape[-2:]))
    L, inverse = blas.aligned_empty(matrices.shape, K.dtype), blas.aligned_empty(matrices.shape, K.dtype)
    for index, matrix in enumerate(matrices):
        _factor_into(matrix, 0.0, L[index], inverse[index], smallest_pivot=0.0)
    return L.reshape(K.shape), inverse.reshape(K.shape)


def _host_factorise(K: np.ndarray, jitter: float) -> tuple[np.ndarray, ...]:
    matrices = K.reshape((-1, *K.shape[-2:]))
    L, inverse = blas.aligned_empty(matrices.shape, K.dtype), blas.aligned_empty(matrices.shape, K.dtype)
    used = np.full(len(matrices), jitter, K.dtype)
    repairs: np.ndarray = np.zeros(len(matrices), np.int32)
    for index, matrix in enumerate(matrices):
        least = RELATIVE_JITTER * np.trace(matrix) / max(matrix.shape[-1], 1)
        while not _factor_into(matrix, used[index], L[index], inverse[index]):
            if repairs[index] == RETRIES or not np.isfinite(np.tril(matrix)).all():
                break
            used[index] = max(10.0 * used[index], least)
            repairs[index] += 1
    batch = K.shape[:-2]
    return L.reshape(K.shape), inverse.reshape(K.shape), used.reshape(batch), repairs.reshape(batch)


def _factor_into(
    K: np.ndarray,
    jitter: float,
    L: np.ndarray,
    inverse: np.ndarray,
    smallest_pivot: float = SMALLEST_PIVOT,
) -> bool:
    """Factor `K + jitter I` into `L` and `inverse`; both are NaN, and the answer False, where it fails."""
    np.copyto(L, K)
    diagonal = np.einsum("ii->i", L)  # a view
    diagonal += jitter
    smallest = smallest_pivot * np.finfo(K.dtype).eps * diagonal
    with single_threaded_blas():
        found = cholesky_and_inverse(L, inverse)
    pivots = diagonal * diagonal
    if found and np.all(pivots >= smallest) and np.all(np.isfinite(pivots)):
        return True
    L.fill(np.nan)
    inverse.fill(np.nan)
    return False
