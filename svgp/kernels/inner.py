"""Weighted inner products of inputs, of which several kernels are functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from svgp.kernels.base import Kernel
from svgp.kernels.static import input_weights, same_batch
from svgp.parameters import positive

if TYPE_CHECKING:
    from svgp.kernels.start import Start


def inner_products(X: tf.Tensor, X2: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """x^T W x' for each pair: X [..., N, D], X2 [..., N2, D], weights [..., 1, D] or [] -> [..., N, N2]."""
    return tf.matmul(*same_batch(X * weights, X2), transpose_b=True)


def squared_norms(X: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """x^T W x: X [..., N, D] -> [..., N]."""
    return tf.reduce_sum(X * X * weights, -1)


def with_diagonal(K: tf.Tensor, diagonal: tf.Tensor) -> tf.Tensor:
    """K [..., N, N] with exactly this diagonal [..., N]."""
    return tf.linalg.set_diag(K, tf.broadcast_to(diagonal, tf.shape(K)[:-1]))


class WeightedInputs(Kernel):
    """A function of s(x, x') = b + sum_d w_d x_d x'_d: `variance [...]`, `weight_variances` w,
    `bias_variance` b.

    w is a scalar or [..., D], in one over the inputs' units squared; a last axis of 1 is shared.
    """

    def __init__(
        self,
        variance: Any = 1.0,
        weight_variances: Any = 1.0,
        bias_variance: Any = 1.0,
        *,
        active_dims: Sequence[int] | None = None,
        dtype: tf.DType = tf.float64,
        name: str | None = None,
    ) -> None:
        super().__init__(active_dims=active_dims, dtype=dtype, name=name)
        self.variance = positive(variance, f"{self.name}.variance", role="variance", dtype=dtype)
        self.weight_variances = positive(
            weight_variances, f"{self.name}.weight_variances", role="weight", dtype=dtype
        )
        self.bias_variance = positive(bias_variance, f"{self.name}.bias_variance", role="offset", dtype=dtype)

    @classmethod
    def arguments(cls, start: Start, stated: dict[str, Any]) -> dict[str, Any]:
        """Weights of one over the squared lengthscales, and as much bias as a column at its spread gives."""
        ard, weights = stated.pop("ard", True), start.lengthscales**-2.0
        found = {"variance": start.variance, "weight_variances": weights, "bias_variance": 1.0, **stated}
        if not ard:
            found["weight_variances"] = np.exp(np.mean(np.log(found["weight_variances"])))
        elif np.ndim(found["weight_variances"]) == 0:
            found["weight_variances"] = np.full(len(weights), found["weight_variances"])
        return found

    def _products(self, X: tf.Tensor, X2: tf.Tensor) -> tf.Tensor:
        bias = tf.cast(self.bias_variance, X.dtype)[..., None, None]
        return inner_products(X, X2, self._weights(X)) + bias  # [..., N, N2]

    def _norms(self, X: tf.Tensor) -> tf.Tensor:
        bias = tf.cast(self.bias_variance, X.dtype)[..., None]
        return squared_norms(X, self._weights(X)) + bias  # [..., N]

    def _weights(self, X: tf.Tensor) -> tf.Tensor:
        return input_weights(self.weight_variances, X, self.name)

    def _lengthscales(self, D: int) -> tf.Tensor:
        lengthscales = tf.math.rsqrt(tf.convert_to_tensor(self.weight_variances))
        return tf.broadcast_to(lengthscales, lengthscales.shape[:-1].concatenate(D))  # [..., D]
