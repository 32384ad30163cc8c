"""q(f), ready for repeated prediction: only TensorFlow operations, so that it can be saved and served."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf

from svgp.errors import ModelError
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
        self.kernel, self.mean, self.outputs, self.dtype = (
            model.kernel,
            model.mean,
            model.outputs,
            model.dtype,
        )
        self.Z = tf.identity(model.Z)  # [M, D]
        self.L_inverse = factor.L_inverse  # [1 or L, M, M]
        q_mean, root = tf.convert_to_tensor(model.q_mean), model.q_root()  # [L, M], [L, M, M]
        if not model.whiten:
            q_mean = tf.linalg.matvec(self.L_inverse, q_mean)
            root = tf.matmul(self.L_inverse, root)
        self.q_mean, self.q_sqrt = q_mean, root  # of the whitened v

    def parts(self, X: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Mean, explained and residual variance of q(f) at X: [N, Q] each; neither variance is negative."""
        mean, explained, residual = self.outputs.functions(*self.latents(X))
        return mean + self.mean(X), explained, residual

    def latents(self, X: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The same of the latent GPs, [N, L] each, without the mean function."""
        return self._rows(X, *self._projections(X))

    def _rows(self, X: tf.Tensor, A: tf.Tensor, C: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        mean = tf.linalg.matvec(A, self.q_mean, transpose_a=True)  # [L, N]
        explained = tf.reduce_sum(C * C, -2)  # [L, N]
        prior = self.kernel.K_diag(X)  # [N] or [L, N]
        residual = tf.maximum(prior - tf.reduce_sum(A * A, -2), 0.0) + tf.zeros_like(explained)
        return tf.transpose(mean), tf.transpose(explained), tf.transpose(residual)  # [N, L]

    def predict_f(
        self, X: Any, full_cov: bool = False, full_output_cov: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Mean [N, Q] and variance [N, Q] of q(f).

        With `full_cov` joint covariances of the rows [Q, N, N] instead; with `full_output_cov` those of the
        functions, [N, Q, Q]. Raises ModelError for both at once.
        """
        if full_cov and full_output_cov:
            raise ModelError("predict_f: full_cov or full_output_cov, not both: draw functions instead")
        X = as_inputs(X, "X", self.dtype, columns=self.Z.shape[-1])
        A, C = self._projections(X)  # [1 or L, M, N], [L, M, N]
        mean, explained, residual = self._rows(X, A, C)
        f_mean, f_variance = self.outputs.functions(mean, explained + residual)
        f_mean += self.mean(X)  # [N, Q]
        W = self.outputs.weights()  # [Q, L]
        if full_output_cov:
            if W is None:
                return f_mean, tf.linalg.diag(f_variance)
            return f_mean, tf.einsum("pl,nl,ql->npq", W, explained + residual, W)
        if not full_cov:
            return f_mean, f_variance
        covariance = self.kernel.K(X) - tf.matmul(A, A, transpose_a=True) + tf.matmul(C, C, transpose_a=True)
        # Rounding can leave the difference below zero where the inducing points say all.
        covariance = tf.linalg.set_diag(covariance, tf.transpose(explained + residual))  # [L, N, N]
        return f_mean, covariance if W is None else tf.tensordot(W * W, covariance, 1)  # [Q, N, N]

    def _projections(self, X: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        Kuf = self.kernel.K(self.Z, X)  # [M, N] or [L, M, N]
        A = tf.matmul(self.L_inverse, Kuf)  # [1 or L, M, N]
        return A, tf.matmul(self.q_sqrt, A, transpose_a=True)
