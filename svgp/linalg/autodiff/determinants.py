"""Determinants and log-determinants, with their adjoints by hand.

det A has an adjoint at every matrix, singular ones included: its gradient is the adjugate, a polynomial.
log|A| has one wherever A^-1 exists.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from svgp.linalg.autodiff.adjugates import adjugate, triangular_determinant
from svgp.linalg.autodiff.attach import Deferred, attach, like, scale, square_matrix
from svgp.linalg.autodiff.solves import inverse_from, inverse_value
from svgp.linalg.backend import use_host
from svgp.linalg.factor import lower_and_inverse
from svgp.linalg.host import blas, triangular
from svgp.linalg.host.threads import single_threaded_blas
from svgp.linalg.xla import unitary_determinant, will_be_compiled


def det(A: Any) -> tf.Tensor:
    """Determinant `[...]` of `A [..., n, n]`.

    Adjoint (Jacobi): `A_bar = g adj(A)^H`, which is `g det(A) A^-T` for a real nonsingular A. The adjugate is
    computed without a division, so the gradient is exact at singular matrices too: of rank one at rank
    n - 1, zero below. The second derivative is exact at every matrix as well, third and higher ones where
    A is nonsingular (NaN elsewhere). Real and complex, batches, eager, graph and XLA (whose singular
    values give a second derivative to about 1e-7, and for a complex A only a nonsingular one).

    Products of n numbers over- and underflow; use `slogdet` for large matrices.
    Raises ModelError for a matrix that is not square or an integer dtype.
    """
    A = square_matrix(A, "det")
    return attach(_det_value(A), [A], _det_adjoint)


def _det_adjoint(gradients: Any, inputs: Any, value: Any, constants: Any) -> list[tf.Tensor]:
    return [scale(gradients[0], tf.linalg.adjoint(adjugate(inputs[0])))]


def _det_value(A: tf.Tensor) -> tf.Tensor:
    A = tf.stop_gradient(A)
    if not will_be_compiled():
        return tf.linalg.det(A)  # [...]
    Q, R = tf.linalg.qr(A)
    return unitary_determinant(Q) * triangular_determinant(R)  # [...]


def slogdet(A: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Sign `[...]` (of modulus one if complex) and `log|det A|` `[...]` (real) of `A [..., n, n]`.

    With A^-1 and C = A^-H, and incoming gradients s of the sign and g of the logarithm, the adjoint is
    `A_bar = g C` for a real A, whose sign is constant, and `A_bar = (g - i Im(conj(s) sign)) C` for a complex
    one (from d log det A = tr(A^-1 dA), Giles 2008, 2.2.4). Batches, eager, graph and XLA,
    differentiable to any order.

    A singular A gives sign 0 and -inf as far as rounding lets it be seen, and a gradient of NaN.
    Raises ModelError for a matrix that is not square or an integer dtype.
    """
    A = square_matrix(A, "slogdet")
    return _slogdet(A, _slogdet_value(A), Deferred(inverse_value, A))


def _slogdet(
    A: tf.Tensor, value: tuple[tf.Tensor, tf.Tensor], inverse: Deferred
) -> tuple[tf.Tensor, tf.Tensor]:
    return attach(value, [A], _slogdet_adjoint, [inverse])


def _slogdet_adjoint(gradients: Any, inputs: Any, value: Any, constants: Any) -> list[tf.Tensor]:
    (sign_bar, logarithm_bar), (A,), (inverse,) = gradients, inputs, constants
    weight = like(logarithm_bar, A)  # [...]
    if A.dtype.is_complex:
        sign, _ = _slogdet(A, value, inverse)  # [...]
        weight -= tf.complex(tf.zeros_like(logarithm_bar), tf.math.imag(tf.math.conj(sign_bar) * sign))
    return [scale(weight, tf.linalg.adjoint(inverse_from(A, inverse())))]


def _slogdet_value(A: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    A = tf.stop_gradient(A)
    if not will_be_compiled():
        sign, logarithm = tf.linalg.slogdet(A)
        return sign, tf.math.real(logarithm)
    Q, R = tf.linalg.qr(A)
    diagonal = tf.linalg.diag_part(R)  # [..., n]
    sign = unitary_determinant(Q) * tf.reduce_prod(tf.sign(diagonal), -1)  # [...]
    return sign, tf.reduce_sum(tf.math.log(tf.abs(diagonal)), -1)


def logdet(K: Any) -> tf.Tensor:
    """log|K| `[...]` (real) of a positive-definite (Hermitian) `K [..., n, n]`, whose lower triangle is read.

    `log|K| = 2 sum log L_ii` with `K = L L^H`; adjoint `K_bar = g K^-1`, `K^-1 = L^-H L^-1`: one
    factorisation serves the value and every derivative, as that of the inverse is made of
    products (Giles 2008, 2.2.3 and 2.2.4). Real and complex, batches, eager, graph and XLA.

    Where K is not positive definite the value and the gradient are NaN, in that member of the batch alone.
    Raises ModelError for a matrix that is not square or an integer dtype.
    """
    K = square_matrix(K, "logdet")
    L, L_inverse = lower_and_inverse(K)  # [..., n, n] both
    value = 2 * tf.reduce_sum(tf.math.log(tf.math.real(tf.linalg.diag_part(L))), -1)  # [...]
    return attach(value, [K], _logdet_adjoint, [Deferred(_gram_of_lower, L_inverse)])


def _logdet_adjoint(gradients: Any, inputs: Any, value: Any, constants: Any) -> list[tf.Tensor]:
    return [scale(gradients[0], inverse_from(inputs[0], constants[0]()))]


def _gram_of_lower(T: tf.Tensor) -> tf.Tensor:
    """T^H T for a lower triangle T `[..., n, n]`: n^3 / 3 operations on the host, 2 n^3 by a full product."""
    if use_host(T):
        return tf.ensure_shape(tf.numpy_function(_host_gram_of_lower, [T], T.dtype, stateful=False), T.shape)
    return tf.matmul(T, T, adjoint_a=True)


def _host_gram_of_lower(T: np.ndarray) -> np.ndarray:
    result = blas.aligned_empty(T.shape, T.dtype)
    with single_threaded_blas():
        for index in np.ndindex(*T.shape[:-2]):
            triangular.lower_transposed_times_lower(T[index], T[index], result[index])
            blas.mirror_lower(result[index])
    return result
