"""Cholesky and symmetric eigendecompositions, with their adjoints by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from svgp.linalg.autodiff.attach import attach, hermitian_part, like, nan_where, square_matrix
from svgp.linalg.factor import lower_and_inverse
from svgp.linalg.xla import will_be_compiled

_REFINEMENTS = 2  # from 1e-6, where XLA's routine stops, to rounding: convergence is quadratic
_CLOSE = 1e-2  # how far from the identity a refinement is still one


def cholesky(K: Any) -> tf.Tensor:
    """Lower factor L of a positive-definite Hermitian `K = L L^H [..., n, n]`, whose lower triangle is read.

    Adjoint: `K_bar = herm(L^-H Phi(L^H L_bar) L^-1)`, with Phi the lower triangle with its diagonal halved
    and herm(X) = (X + X^H) / 2 (Murray, "Differentiation of the Cholesky decomposition", 2016, section 3):
    products with the inverse that comes with the factor. Real and complex, batches, eager, graph and XLA,
    differentiable to any order.

    Where K is not positive definite, value and gradient are NaN throughout that member of the batch.
    Raises ModelError for a matrix that is not square or an integer dtype.
    """
    K = square_matrix(K, "cholesky")
    L, L_inverse = lower_and_inverse(K)  # [..., n, n] both
    failed = tf.reduce_any(tf.math.is_nan(tf.math.real(tf.linalg.diag_part(L))), -1)  # [...]
    return _cholesky(K, nan_where(failed, tf.linalg.band_part(L, -1, 0)), L_inverse)


def _cholesky(K: tf.Tensor, L: tf.Tensor, L_inverse: tf.Tensor) -> tf.Tensor:
    return attach((L, L_inverse), [K], _cholesky_adjoint)[0]


def _cholesky_adjoint(gradients: Any, inputs: Any, value: Any, constants: Any) -> list[tf.Tensor]:
    L = _cholesky(inputs[0], *value)  # [..., n, n]
    L_inverse = _lower_inverse(L, value[1])  # [..., n, n]
    P = _half_lower(tf.matmul(L, gradients[0], adjoint_a=True))  # [..., n, n]
    return [hermitian_part(tf.matmul(L_inverse, P @ L_inverse, adjoint_a=True))]


def _lower_inverse(L: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    return attach(value, [L], _lower_inverse_adjoint)


def _lower_inverse_adjoint(gradients: Any, inputs: Any, value: Any, constants: Any) -> list[tf.Tensor]:
    C_adjoint = tf.linalg.adjoint(_lower_inverse(inputs[0], value))  # [..., n, n]
    return [-tf.linalg.band_part(C_adjoint @ gradients[0] @ C_adjoint, -1, 0)]


def _half_lower(X: tf.Tensor) -> tf.Tensor:
    lower = tf.linalg.band_part(X, -1, 0)
    return lower - tf.linalg.diag(tf.linalg.diag_part(lower)) / 2


def eigh(K: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Eigenvalues `w [..., n]`, ascending, and vectors `V [..., n, n]` of a Hermitian `K = V diag(w) V^H`.

    Only the lower triangle of K is read. Adjoint (Giles 2008, 3.1, symmetrised):
    `K_bar = herm(V (diag(w_bar) + F o (V^H V_bar)) V^H)` with `F_ij = 1 / (w_j - w_i)`, and F_ij = 0 on the
    diagonal and where two eigenvalues agree to 10 n rounding units of the largest. So the gradient is finite
    at repeated eigenvalues, and the true one for functions of the eigenvalues alone (symmetric in those that
    coincide) and of the projections onto whole eigenspaces. It is not for `V f(w) V^H` with a repeated w:
    that derivative within the eigenspace needs f'(w), which no gradient of w and V carries.

    Real and complex, batches, eager, graph and XLA, differentiable to any order. A member of the batch
    that is not finite gives NaN. Raises ModelError for a matrix that is not square or an integer dtype.
    """
    K = square_matrix(K, "eigh")
    return _eigh(K, *_eigh_value(tf.stop_gradient(K)))


def _eigh(K: tf.Tensor, w: tf.Tensor, V: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return attach((w, V), [K], _eigh_adjoint)


def _eigh_adjoint(gradients: Any, inputs: Any, value: Any, constants: Any) -> list[tf.Tensor]:
    w_bar, V_bar = gradients
    w, V = _eigh(inputs[0], *value)  # [..., n], [..., n, n]
    F = like(_inverse_gaps(w), V)  # [..., n, n]
    inner = tf.linalg.diag(like(w_bar, V)) + F * tf.matmul(V, V_bar, adjoint_a=True)
    return [hermitian_part(V @ tf.matmul(inner, V, adjoint_b=True))]


def _inverse_gaps(w: tf.Tensor) -> tf.Tensor:
    """F_ij = 1 / (w_j - w_i), zero where the two coincide to rounding. `[..., n, n]`"""
    gap = w[..., None, :] - w[..., :, None]  # [..., n, n]
    rounding = 10 * tf.cast(tf.shape(w)[-1], w.dtype) * np.finfo(w.dtype.as_numpy_dtype).eps
    apart = tf.abs(gap) > rounding * tf.reduce_max(tf.abs(w), -1)[..., None, None]
    apart |= tf.math.is_nan(gap)
    # Both branches of a `where` are differentiated, so the one that is dropped must be harmless too.
    return tf.where(apart, 1 / tf.where(apart, gap, tf.ones_like(gap)), tf.zeros_like(gap))


def _eigh_value(K: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    finite = tf.reduce_all(tf.math.is_finite(tf.abs(K)), [-2, -1])  # [...]
    K = tf.where(finite[..., None, None], K, tf.zeros_like(K))
    w, V = tf.linalg.eigh(K)
    if will_be_compiled():
        w, V = _refined(K, V)
    nan = tf.cast(float("nan"), w.dtype)
    return tf.where(finite[..., None], tf.math.real(w), tf.math.real(nan)), nan_where(~finite, V)


def _refined(K: tf.Tensor, V: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Eigenpairs from nearly right vectors (Ogita & Aishima, Japan J. Indust. Appl. Math. 35, 2018).

    XLA's Jacobi method on a CPU stops at vectors right to about 1e-6, with wrong eigenvalues if complex.
    """
    lower = tf.linalg.band_part(K, -1, 0)
    K = lower + tf.linalg.adjoint(lower - tf.linalg.diag(tf.linalg.diag_part(lower)))  # [..., n, n]
    for _ in range(_REFINEMENTS):
        R = tf.eye(tf.shape(K)[-1], dtype=K.dtype) - tf.matmul(V, V, adjoint_a=True)  # [..., n, n]
        S = tf.matmul(V, K @ V, adjoint_a=True)  # [..., n, n]
        w = tf.math.real(tf.linalg.diag_part(S)) / (1 - tf.math.real(tf.linalg.diag_part(R)))  # [..., n]
        E = like(_inverse_gaps(w), K) * (S + like(w, K)[..., None, :] * R)  # [..., n, n]
        E = tf.where((tf.abs(E) == 0) | (tf.abs(E) > _CLOSE), R / 2, E)  # too close to tell apart
        V = V + V @ E
    return w, V
