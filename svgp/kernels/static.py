"""Kernels without a distance: linear, constant and white noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from svgp.errors import ModelError
from svgp.kernels.base import Kernel
from svgp.kernels.features import Noise, Offset, Part, Slopes
from svgp.parameters import positive

if TYPE_CHECKING:
    from svgp.kernels.start import Start

WHITE_SHARE = 0.01  # of the prior variance is where a white kernel starts


class Linear(Kernel):
    """k(x, x') = sum_d v_d x_d x'_d: straight lines through the origin (R&W 2006, section 4.2.2).

    `variance` v is a scalar or [..., D], in units of (function / input)^2; a last axis of 1 is shared.
    `input_lengthscales` is 1 / sqrt(v_d), the distance over which the function changes by one unit.
    """

    def __init__(
        self,
        variance: Any = 1.0,
        *,
        active_dims: Sequence[int] | None = None,
        dtype: tf.DType = tf.float64,
        name: str | None = None,
    ) -> None:
        super().__init__(active_dims=active_dims, dtype=dtype, name=name)
        self.variance = positive(variance, f"{self.name}.variance", role="variance", dtype=dtype)

    @classmethod
    def arguments(cls, start: Start, stated: dict[str, Any]) -> dict[str, Any]:
        """Each of D variances starts at variance / D, which standardised inputs add up to the whole."""
        D, ard = len(start.columns), stated.pop("ard", True)
        variance = stated.get("variance", start.variance / D)
        return {**stated, "variance": np.full(D, variance) if ard else variance}

    def _covariance(self, X: tf.Tensor, X2: tf.Tensor | None, dtype: tf.DType) -> tf.Tensor:
        X2 = X if X2 is None else X2
        weighted = tf.cast(X * self._weights(X), dtype)  # [..., N, D]
        return tf.matmul(*same_batch(weighted, tf.cast(X2, dtype)), transpose_b=True)  # [..., N, N2]

    def _variances(self, X: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        return tf.cast(tf.reduce_sum(X * X * self._weights(X), -1), dtype)  # [..., N]

    def _lengthscales(self, D: int) -> tf.Tensor:
        lengthscales = tf.math.rsqrt(tf.convert_to_tensor(self.variance))
        return tf.broadcast_to(lengthscales, lengthscales.shape[:-1].concatenate(D))  # [..., D]

    def _features(self, D: int, count: int, rng: np.random.Generator) -> list[Part]:
        variance = np.asarray(tf.convert_to_tensor(self.variance), np.float64)
        wide = np.broadcast_to(variance, (*variance.shape[:-1], D))
        return [Slopes(wide.reshape(-1, D))]

    def _weights(self, X: tf.Tensor) -> tf.Tensor:
        return input_weights(self.variance, X, self.name)


class Constant(Kernel):
    """k(x, x') = v: one unknown offset, with `variance` v of shape [...]."""

    def __init__(self, variance: Any = 1.0, *, dtype: tf.DType = tf.float64, name: str | None = None) -> None:
        super().__init__(dtype=dtype, name=name)
        self.variance = positive(variance, f"{self.name}.variance", role="variance", dtype=dtype)

    @classmethod
    def arguments(cls, start: Start, stated: dict[str, Any]) -> dict[str, Any]:
        return {"variance": start.variance, **stated}

    def _covariance(self, X: tf.Tensor, X2: tf.Tensor | None, dtype: tf.DType) -> tf.Tensor:
        variance = tf.cast(self.variance, dtype)[..., None, None]  # [..., 1, 1]
        return variance * tf.ones(_matrix_shape(X, X2), dtype)  # [..., N, N2]

    def _features(self, D: int, count: int, rng: np.random.Generator) -> list[Part]:
        return [Offset(np.asarray(tf.convert_to_tensor(self.variance), np.float64).reshape(-1))]

    def _variances(self, X: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        return tf.cast(self.variance, dtype)[..., None] * tf.ones(tf.shape(X)[:-1], dtype)  # [..., N]


class White(Kernel):
    """k(x_n, x_m) = v where n = m in K(X), and 0 between two separate sets of points, K(X, X2).

    Noise that belongs to the function values: `variance` v of shape [...].
    """

    def __init__(self, variance: Any = 1.0, *, dtype: tf.DType = tf.float64, name: str | None = None) -> None:
        super().__init__(dtype=dtype, name=name)
        self.variance = positive(variance, f"{self.name}.variance", role="variance", dtype=dtype)

    @classmethod
    def arguments(cls, start: Start, stated: dict[str, Any]) -> dict[str, Any]:
        """A nugget, not the signal: 1% of the prior variance."""
        return {"variance": WHITE_SHARE * start.variance, **stated}

    def _covariance(self, X: tf.Tensor, X2: tf.Tensor | None, dtype: tf.DType) -> tf.Tensor:
        if X2 is None:
            return tf.linalg.diag(self._variances(X, dtype))  # [..., N, N]
        shape = _matrix_shape(X, X2)
        batch = tf.broadcast_dynamic_shape(tf.shape(self.variance), shape[:-2])
        return tf.zeros(tf.concat([batch, shape[-2:]], 0), dtype)  # [..., N, N2]

    def _features(self, D: int, count: int, rng: np.random.Generator) -> list[Part]:
        return [Noise(np.asarray(tf.convert_to_tensor(self.variance), np.float64).reshape(-1))]

    def _variances(self, X: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        return tf.cast(self.variance, dtype)[..., None] * tf.ones(tf.shape(X)[:-1], dtype)  # [..., N]


def input_weights(parameter: Any, X: tf.Tensor, name: str) -> tf.Tensor:
    """A parameter `[]` or `[..., D]` as factors of X `[..., N, D]`. ModelError where it has other columns."""
    weights = tf.cast(parameter, X.dtype)
    if weights.shape.rank == 0:
        return weights
    found, D = weights.shape[-1], X.shape[-1]
    if found != 1 and D is not None and found != D:
        raise ModelError(f"{name}: {found} variances for inputs with {D} columns")
    return weights[..., None, :]  # [..., 1, D]


def _matrix_shape(X: tf.Tensor, X2: tf.Tensor | None) -> tf.Tensor:
    columns = X if X2 is None else X2
    batch = tf.broadcast_dynamic_shape(tf.shape(X)[:-2], tf.shape(columns)[:-2])
    return tf.concat([batch, tf.shape(X)[-2:-1], tf.shape(columns)[-2:-1]], 0)


def same_batch(left: tf.Tensor, right: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Matrices with equal leading dimensions: matmul's own broadcasting has a slow gradient."""
    if left.shape[:-2] == right.shape[:-2]:
        return left, right
    batch = tf.broadcast_static_shape(left.shape[:-2], right.shape[:-2])
    return tuple(tf.broadcast_to(x, tf.concat([batch, tf.shape(x)[-2:]], 0)) for x in (left, right))
