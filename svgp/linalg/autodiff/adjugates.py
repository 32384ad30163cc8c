"""The adjugate: the derivative of a determinant, finite and exact at singular matrices.

adj(A) = det(A) A^-1 is a polynomial in the entries of A, so nothing here divides. From A = Q R it is
det(Q) adj(R) Q^H, and the adjugate of a triangle follows from those of its diagonal blocks.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from svgp.linalg.autodiff.attach import Deferred, attach, like
from svgp.linalg.autodiff.solves import inverse, inverse_from, inverse_value
from svgp.linalg.xla import unitary_determinant, will_be_compiled

SingularValues = tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]


def adjugate(A: tf.Tensor) -> tf.Tensor:
    """Transposed cofactors `[..., n, n]` of `A [..., n, n]`: `A adj(A) = det(A) I`.

    Adjoint: `A_bar = D(A^H)[G]` with the derivative D of the adjugate, see `_derivative`.
    """
    return _adjugate(A, _adjugate_value(A), [Deferred(_spectrum, A), Deferred(inverse_value, A)])


def _adjugate(A: tf.Tensor, X: tf.Tensor, constants: list[Deferred]) -> tf.Tensor:
    return attach(X, [A], _adjugate_adjoint, constants)


def _adjugate_adjoint(gradients: Any, inputs: Any, X: Any, constants: Any) -> list[tf.Tensor]:
    (G,), (A,), (spectrum, inverse) = gradients, inputs, constants
    if spectrum():
        return [_derivative(tf.linalg.adjoint(A), G, Deferred(_swap, *spectrum()))]
    X_adjoint = tf.linalg.adjoint(_adjugate(A, X, constants))  # [..., n, n]
    C_adjoint = tf.linalg.adjoint(inverse_from(A, inverse()))  # [..., n, n]
    return [_nonsingular_derivative(G, X_adjoint, C_adjoint)]


def _adjugate_value(A: tf.Tensor) -> tf.Tensor:
    Q, R = tf.linalg.qr(tf.stop_gradient(A))
    adjugate_R = _triangular_adjugate(R)  # [..., n, n]
    return unitary_determinant(Q)[..., None, None] * tf.matmul(adjugate_R, Q, adjoint_b=True)


def triangular_determinant(R: tf.Tensor) -> tf.Tensor:
    return tf.reduce_prod(tf.linalg.diag_part(R), -1)  # [...]


def _triangular_adjugate(R: tf.Tensor) -> tf.Tensor:
    """adj(R) of an upper triangle by doubling: for blocks of size b with adjugates X and determinants d,

    adj [[R1, S], [0, R2]] = [[d2 X1, -X1 S X2], [0, d1 X2]].
    """
    size = R.shape[-1] if R.shape[-1] is not None else tf.shape(R)[-1]
    rows = tf.range(size)  # [n]

    def double(block: tf.Tensor, X: tf.Tensor, d: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        own = rows // block  # [n] which block a row is in
        across = (own[:, None] % 2 == 0) & (own[None, :] == own[:, None] + 1)  # [n, n] the blocks S
        partner = tf.bitwise.bitwise_xor(own, 1) * block  # [n] a row of the block's partner
        sibling = tf.gather(d, tf.minimum(partner, size - 1), axis=-1)  # [..., n] its determinant
        sibling = tf.where(partner < size, sibling, tf.ones_like(sibling))
        S = tf.where(across, R, tf.zeros_like(R))
        return 2 * block, sibling[..., None, :] * X - X @ S @ X, d * sibling

    d = tf.linalg.diag_part(R)  # [..., n] determinant of the block that a row is in
    X = tf.linalg.diag(tf.ones_like(d))  # [..., n, n] block-diagonal adjugates
    if isinstance(size, int):
        block = 1
        while block < size:
            block, X, d = double(block, X, d)
        return X
    return tf.while_loop(lambda block, X, d: block < size, double, (tf.constant(1), X, d))[1]


def _derivative(A: tf.Tensor, B: tf.Tensor, spectrum: Deferred) -> tf.Tensor:
    """D(A)[B], the derivative of adj(A) in the direction B, exact at every rank.

    With `A = U diag(s) V^H`, b = U^H B V and P_ij the product of all s but s_i and s_j,
    `D(A)[B] = det(U V^H) V (diag_i(sum_{k != i} P_ik b_kk) - offdiag(P_ij b_ij)) U^H`. As a map of B its
    adjoint is D(A^H). Where A is nonsingular it is `tr(A^-1 B) adj(A) - adj(A) B A^-1`, and its own
    derivative in A is taken from there.
    """
    value = _derivative_value(spectrum(), tf.stop_gradient(B))  # [..., n, n]
    return attach(value, [A, B], _second_derivative, [spectrum])


def _second_derivative(gradients: Any, inputs: Any, value: Any, constants: Any) -> list[tf.Tensor]:
    (G,), (A, B), (spectrum,) = gradients, inputs, constants
    with tf.GradientTape() as tape:
        tape.watch(A)
        D = _nonsingular_derivative(B, adjugate(A), inverse(A))  # [..., n, n]
    A_bar = tape.gradient(D, A, output_gradients=G)
    return [A_bar, _derivative(tf.linalg.adjoint(A), G, Deferred(_swap, *spectrum()))]


def _derivative_value(spectrum: SingularValues, B: tf.Tensor) -> tf.Tensor:
    s, U, V, phase = spectrum
    b = tf.matmul(U, B, adjoint_a=True) @ V  # [..., n, n]
    P = like(_products_without_two(s), b)  # [..., n, n]
    diagonal = tf.linalg.matvec(P, tf.linalg.diag_part(b))  # [..., n]
    inner = tf.linalg.diag(diagonal) - P * b  # [..., n, n]
    return phase[..., None, None] * (V @ tf.matmul(inner, U, adjoint_b=True))  # [..., n, n]


def _nonsingular_derivative(B: tf.Tensor, X: tf.Tensor, C: tf.Tensor) -> tf.Tensor:
    """The same from the adjugate X and the inverse C of A."""
    return tf.linalg.trace(C @ B)[..., None, None] * X - X @ B @ C


def _products_without_two(s: tf.Tensor) -> tf.Tensor:
    """P_ij = product of s over all but i and j `[..., n, n]`, zero on the diagonal, without dividing."""
    before = tf.math.cumprod(s, axis=-1, exclusive=True)  # [..., n]
    after = tf.math.cumprod(s, axis=-1, exclusive=True, reverse=True)  # [..., n]
    index = tf.range(tf.shape(s)[-1])
    upper = index[:, None] < index[None, :]  # [n, n]
    between = tf.where(upper, s[..., None, :], tf.ones_like(s)[..., None, :])  # [..., n, n]
    between = tf.math.cumprod(between, axis=-1, exclusive=True)
    P = before[..., :, None] * between * after[..., None, :]  # [..., n, n]
    P = tf.where(upper, P, tf.zeros_like(P))
    return P + tf.linalg.matrix_transpose(P)


def _spectrum(A: tf.Tensor) -> SingularValues | tuple[()]:
    """s, U, V and det(U V^H) of `A = U diag(s) V^H`; nothing where XLA has no such routine."""
    if A.dtype.is_complex and will_be_compiled():
        return ()
    s, U, V = tf.linalg.svd(A)
    return s, U, V, unitary_determinant(tf.matmul(U, V, adjoint_b=True))


def _swap(s: tf.Tensor, U: tf.Tensor, V: tf.Tensor, phase: tf.Tensor) -> SingularValues:
    """The singular values of the adjoint."""
    return s, V, U, tf.math.conj(phase)
