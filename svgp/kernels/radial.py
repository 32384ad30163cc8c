"""A stationary covariance matrix and its adjoint, each in one sweep over [N, N2].

The matrix is a function of the squared distances r2 between scaled inputs x = X / l, z = Z / l.
By hand, its adjoint needs one elementwise product, W = K_bar o dK/d(r2), one thin product
W [z, 1], which gives W z and the row sums p = W 1, and the column sums q = W^T 1:

    X_bar = 2 (p o x - W z) / l          l_bar = -2 (p^T x^2 + q^T z^2 - 2 sum_n x o (W z)) / l
    Z_bar = 2 (q o z - W^T x) / l        v_bar = sum(K_bar o K) / v

Only Z_bar takes a second product: a graph that does not ask for it does not compute it, so the
inputs that are trained (the inducing ones) go first. Automatic differentiation of the same formula
makes about three times as many sweeps, and NaN at r2 = 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

CENTRE_ROWS = 9  # of each side, from whose median distances are measured


def centre_of(X: tf.Tensor, Z: tf.Tensor | None = None) -> tf.Tensor:
    """A place amid the rows X [..., N, D] and Z [..., N2, D], to be subtracted from both: [..., 1, D].

    The median of a few rows, column by column. Of the mean a single row far from all others would cost the
    others all their digits: |x|^2 + |z|^2 - 2xz knows them to eps times the squared distance from here.
    """
    sides = [_spread_rows(side) for side in (X, Z) if side is not None]
    if len(sides) == 2 and sides[0].shape[:-2] != sides[1].shape[:-2]:
        sides = sides[:1]
    columns = tf.sort(tf.linalg.matrix_transpose(tf.concat(sides, -2)))  # [..., D, n]
    count = tf.shape(columns)[-1] if columns.shape[-1] is None else columns.shape[-1]
    return tf.stop_gradient(tf.expand_dims(columns[..., (count - 1) // 2], -2))


def _spread_rows(X: tf.Tensor) -> tf.Tensor:
    """Up to CENTRE_ROWS rows, evenly spread."""
    if (known := X.shape[-2]) is not None:  # one operation instead of a dozen
        return X[..., :: max(1, (known - 1) // CENTRE_ROWS + 1), :]
    rows = tf.shape(X)[-2]
    return tf.gather(X, tf.range(0, rows, (rows - 1) // CENTRE_ROWS + 1), axis=-2)


def radial_covariance(
    kind: Any,
    X: tf.Tensor,
    Z: tf.Tensor | None,
    lengthscales: tf.Tensor,
    variance: tf.Tensor,
    shapes: Sequence[tf.Tensor],
    dtype: tf.DType,
) -> tf.Tensor:
    """K [..., N, N2] in `dtype` from centred float64 inputs; Z None means K(X, X).

    `kind` is a subclass of `Stationary`, whose docstring says what it states. Shapes: X [..., N, D],
    Z [..., N2, D], lengthscales [..., D], variance [...] and each of `shapes` [...], all with the same
    batch dimensions. K(X, X) has exactly `variance` on its diagonal, which gives X no gradient.
    """
    symmetric = Z is None

    @tf.custom_gradient
    def covariance(
        X: tf.Tensor, Z: tf.Tensor, lengthscales: tf.Tensor, variance: tf.Tensor, *shapes: tf.Tensor
    ) -> tuple[tf.Tensor, Callable]:
        scale = tf.expand_dims(lengthscales, -2)  # [..., 1, D]; a tenth of the dispatch of [..., None, :]
        x, z = X / scale, Z / scale  # [..., N, D], [..., N2, D]
        a = tf.maximum(tf.cast(_squared_distances(x, z, kind.scale), dtype), 0.0)  # [..., N, N2]
        if symmetric:
            a = _set_diagonal(a, tf.zeros([], dtype))
        K, saved = kind.forward(a, tf.math.log(variance)[..., None, None], *shapes)  # [..., N, N2]
        if symmetric:  # exp(log v) may be one bit off v
            K = _set_diagonal(K, variance)

        def adjoint(K_bar: tf.Tensor) -> tuple[tf.Tensor, ...]:
            W, products, *by_shape = kind.backward(K_bar, K, saved, *shapes)  # [..., N, N2] each
            moments = tf.cast(tf.matmul(W, _with_ones(z, dtype)), X.dtype)  # [..., N, D + 1]
            Wz, rows = tf.split(moments, [X.shape[-1], 1], -1)  # [..., N, D], [..., N, 1]
            # 1^T W by the matrix product: half the time of a reduction down the columns on a CPU.
            ones = tf.ones_like(rows, dtype)  # [..., N, 1]
            columns = tf.cast(tf.matmul(W, ones, transpose_a=True), X.dtype)  # [..., N2, 1]
            # x^T W, not W^T x: the thin factor is the cheap one to transpose.
            xW = tf.cast(tf.matmul(tf.linalg.matrix_transpose(tf.cast(x, dtype)), W), X.dtype)
            twice = 2.0 * kind.factor / scale  # [..., 1, D]
            X_bar = twice * (rows * x - Wz)  # [..., N, D]
            Z_bar = twice * (columns * z - tf.linalg.matrix_transpose(xW))  # [..., N2, D]
            spread = _total(rows * x * x) + _total(columns * z * z) - 2.0 * _total(x * Wz)  # [..., D]
            lengthscales_bar = -tf.squeeze(twice, -2) * spread  # [..., D]
            # Row sums first, the rest in float64: a float32 sum of N * N2 terms loses digits.
            product_rows = tf.cast(tf.reduce_sum(products, -1), X.dtype)  # [..., N]
            variance_bar = tf.cast(tf.reduce_sum(product_rows, -1), dtype) / variance  # [...]
            shape_rows = (tf.cast(tf.reduce_sum(terms, -1), X.dtype) for terms in by_shape)  # [..., N]
            shapes_bar = [tf.cast(tf.reduce_sum(rows, -1), dtype) for rows in shape_rows]  # [...]
            return X_bar, Z_bar, lengthscales_bar, variance_bar, *shapes_bar

        return K, adjoint

    others = [tf.cast(value, dtype) for value in (variance, *shapes)]
    return covariance(X, X if Z is None else Z, lengthscales, *others)


def _squared_distances(x: tf.Tensor, z: tf.Tensor, scale: float) -> tf.Tensor:
    """scale * |x - z|^2 as one product [-2x, |x|^2, 1] [z, 1, |z|^2]^T, unclamped, [..., N, N2]."""
    x_norm = tf.reduce_sum(x * x, -1, keepdims=True)  # [..., N, 1]
    z_norm = tf.reduce_sum(z * z, -1, keepdims=True)  # [..., N2, 1]
    left = tf.concat([-2.0 * scale * x, scale * x_norm, scale * tf.ones_like(x_norm)], -1)  # [..., N, D + 2]
    right = tf.concat([z, tf.ones_like(z_norm), z_norm], -1)  # [..., N2, D + 2]
    return tf.matmul(left, right, transpose_b=True)  # [..., N, N2]


def _set_diagonal(matrix: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """The matrix with `value` [...] on its diagonal; in a graph it is done in place."""
    shape = matrix.shape[:-1] if matrix.shape.is_fully_defined() else tf.shape(matrix)[:-1]
    return tf.linalg.set_diag(matrix, tf.broadcast_to(tf.expand_dims(value, -1), shape))


def _with_ones(z: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    return tf.cast(tf.concat([z, tf.ones_like(z[..., :1])], -1), dtype)  # [..., N2, D + 1]


def _total(terms: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(terms, -2)
