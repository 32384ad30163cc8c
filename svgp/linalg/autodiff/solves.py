"""Inverses, linear systems and least squares, with their adjoints by hand.

One QR factorisation each: it works in batches, for complex matrices and under XLA alike, does not fail on a
singular matrix, and does not square the condition number of a least-squares problem. The backward passes
reuse it. Adjoints: M. B. Giles, "An extended collection of matrix derivative results for forward and reverse
mode algorithmic differentiation", 2008, sections 2.2 and 2.3.

A matrix singular to working precision (a column within n rounding units, relative to its length, of the span
of those to its left) gives NaN for that member of the batch alone; no exception comes out of a graph.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from svgp.errors import ModelError
from svgp.linalg.autodiff.attach import (
    Deferred,
    any_matrix,
    attach,
    hermitian_part,
    matrix_and_rhs,
    nan_where,
    square_matrix,
)


def inverse(A: Any) -> tf.Tensor:
    """C = A^-1 for `A [..., n, n]`.

    Adjoint: `A_bar = -C^H C_bar C^H` (Giles 2008, 2.2.3). Real and complex, batches, eager, graph and
    XLA, differentiable to any order. NaN where A is singular to working precision.
    Raises ModelError for a matrix that is not square or an integer dtype.
    """
    A = square_matrix(A, "inverse")
    return inverse_from(A, inverse_value(A))


def inverse_from(A: tf.Tensor, C: tf.Tensor) -> tf.Tensor:
    """A^-1, known already as the constant C, with its derivatives."""
    return attach(C, [A], _inverse_adjoint)


def _inverse_adjoint(gradients: Any, inputs: Any, C: Any, constants: Any) -> list[tf.Tensor]:
    C_adjoint = tf.linalg.adjoint(inverse_from(inputs[0], C))  # [..., n, n]
    return [-C_adjoint @ gradients[0] @ C_adjoint]


def inverse_value(A: tf.Tensor) -> tf.Tensor:
    """A^-1 by QR; NaN where singular. Without derivatives."""
    Q, R = _qr(A)
    return _back_substitute(R, tf.linalg.adjoint(Q))  # [..., n, n]


def solve(A: Any, B: Any, *, adjoint: bool = False) -> tf.Tensor:
    """X of `A X = B`, or of `A^H X = B` with `adjoint`, for `A [..., n, n]` and `B [..., n, k]`.

    Adjoints: `B_bar = A^-H X_bar`, `A_bar = -B_bar X^H` (Giles 2008, 2.3.1); with `adjoint`,
    `B_bar = A^-1 X_bar`, `A_bar = -X B_bar^H`. Batches broadcast. Real and complex, eager, graph and XLA,
    differentiable to any order. NaN where A is singular to working precision.
    Raises ModelError for shapes or dtypes that do not fit.
    """
    A, B = matrix_and_rhs(square_matrix(A, "solve"), B, "solve")
    return _solve(A, B, adjoint, Deferred(_qr, A))


def _solve(A: tf.Tensor, B: tf.Tensor, adjoint: bool, factor: Deferred, X: Any = None) -> tf.Tensor:
    if X is None:
        (Q, R), constant = factor(), tf.stop_gradient(B)
        if adjoint:
            X = Q @ tf.linalg.triangular_solve(R, constant, lower=False, adjoint=True)  # [..., n, k]
        else:
            X = _back_substitute(R, tf.matmul(Q, constant, adjoint_a=True))  # [..., n, k]
    return attach(X, [A, B], partial(_solve_adjoint, adjoint), [factor])


def _solve_adjoint(adjoint: bool, gradients: Any, inputs: Any, value: Any, constants: Any) -> list[tf.Tensor]:
    (A, B), (factor,) = inputs, constants
    X = _solve(A, B, adjoint, factor, value)  # [..., n, k]
    B_bar = _solve(A, gradients[0], not adjoint, factor)  # [..., n, k]
    return [_matrix_bar(B_bar, X, adjoint), B_bar]


def _matrix_bar(B_bar: tf.Tensor, X: tf.Tensor, adjoint: bool) -> tf.Tensor:
    left, right = (X, B_bar) if adjoint else (B_bar, X)
    return -tf.matmul(left, right, adjoint_b=True)  # [..., n, n]


def triangular_solve(T: Any, B: Any, *, lower: bool = True, adjoint: bool = False) -> tf.Tensor:
    """X of `T X = B`, or of `T^H X = B` with `adjoint`, for a triangle `T [..., n, n]` and `B [..., n, k]`.

    Only the named triangle of T is read, and `T_bar`, as in `solve`, is zero outside of it (Giles 2008,
    2.3.1). Batches broadcast. Real and complex, eager, graph and XLA, differentiable to any order.
    A zero on the diagonal gives infinities or NaN in that member of the batch.
    Raises ModelError for shapes or dtypes that do not fit.
    """
    T, B = matrix_and_rhs(square_matrix(T, "triangular_solve"), B, "triangular_solve")
    return _triangular_solve(T, B, lower, adjoint)


def _triangular_solve(T: tf.Tensor, B: tf.Tensor, lower: bool, adjoint: bool, X: Any = None) -> tf.Tensor:
    if X is None:
        constants = tf.stop_gradient(T), tf.stop_gradient(B)
        X = tf.linalg.triangular_solve(*constants, lower=lower, adjoint=adjoint)  # [..., n, k]
    return attach(X, [T, B], partial(_triangular_solve_adjoint, lower, adjoint))


def _triangular_solve_adjoint(
    lower: bool, adjoint: bool, gradients: Any, inputs: Any, value: Any, constants: Any
) -> list[tf.Tensor]:
    T, B = inputs
    X = _triangular_solve(T, B, lower, adjoint, value)  # [..., n, k]
    B_bar = _triangular_solve(T, gradients[0], lower, not adjoint)  # [..., n, k]
    triangle = (-1, 0) if lower else (0, -1)
    return [tf.linalg.band_part(_matrix_bar(B_bar, X, adjoint), *triangle), B_bar]


def lstsq(A: Any, B: Any, *, l2_regularizer: Any = 0.0) -> tf.Tensor:
    """Least squares: the X `[..., n, k]` of least `|A X - B|^2 + l |X|^2`, `A [..., m, n]`, `B [..., m, k]`.

    With l = 0: the least-squares solution for m >= n and the solution of least norm for m < n. With
    R = B - A X (derived from the normal equations; compare Golub & Pereyra, SIAM J. Numer. Anal. 10, 1973):

    - m >= n: `T = (A^H A + l I)^-1 X_bar`, `B_bar = A T`, `A_bar = R T^H - B_bar X^H`, `l_bar = -<T, X>`;
    - m < n, where `X = A^H Y`: `B_bar = (A A^H + l I)^-1 A X_bar`, `l_bar = -<B_bar, Y>`,
      `A_bar = Y (X_bar - A^H B_bar)^H - B_bar X^H`.

    The value comes from a QR factorisation of [A; sqrt(l) I] (of A^H for m < n). Batches broadcast. Real and
    complex, eager, graph and XLA, differentiable to any order. NaN where l = 0 and A has not full rank to
    working precision.
    Raises ModelError for shapes or dtypes that do not fit, a negative l, and sizes m, n unknown to a graph.
    """
    A, B = matrix_and_rhs(any_matrix(A, "lstsq"), B, "lstsq")
    rows, columns = A.shape[-2:]
    if rows is None or columns is None:
        raise ModelError(f"lstsq: got shape {A.shape}, expected known numbers of rows and columns")
    ridge = tf.convert_to_tensor(l2_regularizer, A.dtype.real_dtype)  # []
    known = tf.get_static_value(ridge)
    if ridge.shape.rank != 0 or (known is not None and not known >= 0):
        raise ModelError(f"lstsq: got l2_regularizer {l2_regularizer}, expected a number >= 0")
    if rows >= columns:
        return _overdetermined(A, B, ridge, Deferred(_ridge_qr, A, ridge))
    return _underdetermined(A, B, ridge, Deferred(_ridge_qr, tf.linalg.adjoint(A), ridge))


def _overdetermined(
    A: tf.Tensor, B: tf.Tensor, ridge: tf.Tensor, factor: Deferred, X: Any = None
) -> tf.Tensor:
    if X is None:
        Q, R = factor()
        X = _back_substitute(R, tf.matmul(Q, tf.stop_gradient(B), adjoint_a=True))  # [..., n, k]
    return attach(X, [A, B, ridge], _overdetermined_adjoint, [factor])


def _overdetermined_adjoint(gradients: Any, inputs: Any, value: Any, constants: Any) -> list[tf.Tensor]:
    (X_bar,), (A, B, ridge), (factor,) = gradients, inputs, constants
    X = _overdetermined(A, B, ridge, factor, value)  # [..., n, k]
    T = _normal_solve(A, X_bar, ridge, factor)  # [..., n, k]
    B_bar = A @ T  # [..., m, k]
    A_bar = tf.matmul(B - A @ X, T, adjoint_b=True) - tf.matmul(B_bar, X, adjoint_b=True)  # [..., m, n]
    return [A_bar, B_bar, -_inner(T, X)]


def _underdetermined(
    A: tf.Tensor, B: tf.Tensor, ridge: tf.Tensor, factor: Deferred, X: Any = None
) -> tf.Tensor:
    if X is None:
        Q, R = factor()  # of A^H
        X = Q @ tf.linalg.triangular_solve(R, tf.stop_gradient(B), lower=False, adjoint=True)  # [..., n, k]
    return attach(X, [A, B, ridge], _underdetermined_adjoint, [factor])


def _underdetermined_adjoint(gradients: Any, inputs: Any, value: Any, constants: Any) -> list[tf.Tensor]:
    (X_bar,), (A, B, ridge), (factor,) = gradients, inputs, constants
    X = _underdetermined(A, B, ridge, factor, value)  # [..., n, k]
    A_adjoint = tf.linalg.adjoint(A)  # [..., n, m]
    Y = _normal_solve(A_adjoint, B, ridge, factor)  # [..., m, k]
    B_bar = _normal_solve(A_adjoint, A @ X_bar, ridge, factor)  # [..., m, k]
    rest = X_bar - A_adjoint @ B_bar  # [..., n, k]
    A_bar = tf.matmul(Y, rest, adjoint_b=True) - tf.matmul(B_bar, X, adjoint_b=True)  # [..., m, n]
    return [A_bar, B_bar, -_inner(B_bar, Y)]


def _normal_solve(A: tf.Tensor, V: tf.Tensor, ridge: tf.Tensor, factor: Deferred, T: Any = None) -> tf.Tensor:
    """T of `(A^H A + l I) T = V` for a tall A, by `R^H R = A^H A + l I`."""
    if T is None:
        R = factor()[1]  # [..., n, n]
        half = tf.linalg.triangular_solve(R, tf.stop_gradient(V), lower=False, adjoint=True)  # [..., n, k]
        T = _back_substitute(R, half)  # [..., n, k]
    return attach(T, [A, V, ridge], _normal_solve_adjoint, [factor])


def _normal_solve_adjoint(gradients: Any, inputs: Any, value: Any, constants: Any) -> list[tf.Tensor]:
    (T_bar,), (A, V, ridge), (factor,) = gradients, inputs, constants
    T = _normal_solve(A, V, ridge, factor, value)  # [..., n, k]
    V_bar = _normal_solve(A, T_bar, ridge, factor)  # [..., n, k]
    matrix_bar = -2 * hermitian_part(tf.matmul(V_bar, T, adjoint_b=True))  # [..., n, n]
    return [A @ matrix_bar, V_bar, -_inner(V_bar, T)]


def _back_substitute(R: tf.Tensor, B: tf.Tensor) -> tf.Tensor:
    return tf.linalg.triangular_solve(R, B, lower=False)


def _inner(X: tf.Tensor, Y: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.math.real(tf.math.conj(X) * Y))  # []


def _ridge_qr(A: tf.Tensor, ridge: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The rows of Q that belong to A, and R, of [A; sqrt(l) I] for a tall A `[..., m, n]`."""
    rows, columns = A.shape[-2:]
    foot = tf.cast(tf.sqrt(ridge), A.dtype) * tf.eye(columns, dtype=A.dtype)  # [n, n]
    foot = tf.broadcast_to(foot, tf.concat([tf.shape(A)[:-2], [columns, columns]], 0))  # [..., n, n]
    Q, R = _qr(tf.concat([A, foot], -2))
    return Q[..., :rows, :], R


def _qr(A: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Q and R without gradient; R is NaN where a column lies in the span of those before it."""
    A = tf.stop_gradient(A)
    Q, R = tf.linalg.qr(A)  # [..., m, n], [..., n, n]
    distance = tf.abs(tf.linalg.diag_part(R))  # [..., n]
    length = tf.linalg.norm(tf.abs(A), axis=-2)  # [..., n]
    unit = np.finfo(A.dtype.real_dtype.as_numpy_dtype).eps
    size = tf.cast(tf.shape(A)[-1], length.dtype)
    return Q, nan_where(tf.reduce_any(distance <= size * unit * length, -1), R)
