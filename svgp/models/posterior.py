"""q(f), ready for repeated prediction: only TensorFlow operations, so that it can be saved and served."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf

from svgp.models.shapes import as_inputs

if TYPE_CHECKING:
    from svgp.models.svgp import SVGP


class Posterior(tf.Module):
    """q(f) with the factor of Kuu and the whitened q(v) computed once.

    A snapshot: it does not follow later changes of the model's q(u), Z or kernel.
    """

    def __init__(self, model: SVGP) -> None:
        super().__init__()
        factor = model.factor()
        self.kernel, self.mean, self.dtype = model.kernel, model.mean, model.dtype
        self.Z = tf.identity(model.Z)  # [M, D]
        self.L_inverse = factor.L_inverse  # [1 or L, M, M]
        q_mean, root = tf.convert_to_tensor(model.q_mean), model.q_root()  # [L, M], [L, M, M]
        if not model.whiten:
            q_mean = tf.linalg.matvec(self.L_inverse, q_mean)
            root = tf.matmul(self.L_inverse, root)
        self.q_mean, self.q_sqrt = q_mean, root  # of the whitened v

    def parts(self, X: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Mean, explained and residual variance of q(f) at X: [N, L] each; neither variance is negative."""
        return self._rows(X, *self._projections(X))

    def _rows(self, X: tf.Tensor, A: tf.Tensor, C: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        mean = tf.linalg.matvec(A, self.q_mean, transpose_a=True)  # [L, N]
        explained = tf.reduce_sum(C * C, -2)  # [L, N]
        prior = self.kernel.K_diag(X)  # [N] or [L, N]
        residual = tf.maximum(prior - tf.reduce_sum(A * A, -2), 0.0) + tf.zeros_like(explained)
        return tf.transpose(mean) + self.mean(X), tf.transpose(explained), tf.transpose(residual)

    def predict_f(self, X: Any, full_cov: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """Mean [N, L] and variance [N, L] of q(f); with `full_cov`, joint covariances [L, N, N]."""
        X = as_inputs(X, "X", self.dtype, columns=self.Z.shape[-1])
        A, C = self._projections(X)  # [1 or L, M, N], [L, M, N]
        mean, explained, residual = self._rows(X, A, C)
        if not full_cov:
            return mean, explained + residual
        covariance = self.kernel.K(X) - tf.matmul(A, A, transpose_a=True) + tf.matmul(C, C, transpose_a=True)
        # Rounding can leave the difference below zero where the inducing points say all.
        return mean, tf.linalg.set_diag(covariance, tf.transpose(explained + residual))  # [N, L], [L, N, N]

    def _projections(self, X: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        Kuf = self.kernel.K(self.Z, X)  # [M, N] or [L, M, N]
        A = tf.matmul(self.L_inverse, Kuf)  # [1 or L, M, N]
        return A, tf.matmul(self.q_sqrt, A, transpose_a=True)
