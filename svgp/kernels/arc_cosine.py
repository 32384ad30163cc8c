"""The arc-cosine kernel: an infinitely wide layer of a network with steps, ramps or squared ramps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from svgp.errors import ModelError
from svgp.kernels.inner import WeightedInputs, with_diagonal


class ArcCosine(WeightedInputs):
    """k = v / pi (s(x, x) s(x', x'))^(n/2) J_n(theta), cos theta = s(x, x') / sqrt(s(x, x) s(x', x')).

    s(x, x') = b + sum_d w_d x_d x'_d (Cho & Saul 2009, eq. 3), for `order` n of 0, 1 or 2:

        J_0 = pi - theta      J_1 = sin theta + (pi - theta) cos theta
        J_2 = 3 sin theta cos theta + (pi - theta) (1 + 2 cos^2 theta)

    Gradients are taken by c = cos theta, with the derivatives written out: dJ_1/dc = pi - theta and
    dJ_2/dc = 4 sin theta + 4 (pi - theta) c are finite at c = 1, where that of arccos is not;
    dJ_0/dc = 1 / sin theta is not, a kink, and 0 is taken there, the mean of both sides.
    """

    def __init__(
        self,
        order: int = 0,
        variance: Any = 1.0,
        weight_variances: Any = 1.0,
        bias_variance: Any = 1.0,
        *,
        active_dims: Sequence[int] | None = None,
        dtype: tf.DType = tf.float64,
        name: str | None = None,
    ) -> None:
        super().__init__(
            variance, weight_variances, bias_variance, active_dims=active_dims, dtype=dtype, name=name
        )
        if order not in (0, 1, 2):
            raise ModelError(f"{self.name}: order {order!r}; expected 0, 1 or 2")
        self.order = order

    @classmethod
    def arguments(cls, start: Any, stated: dict[str, Any]) -> dict[str, Any]:
        found = super().arguments(start, stated)
        if "variance" not in stated and found["order"]:
            # Of standardised inputs, which add up to s(x, x) on average.
            weights = np.broadcast_to(found["weight_variances"], len(start.columns))
            size = float(np.sum(weights * start.spread**2)) + found["bias_variance"]
            found["variance"] = start.variance / ({1: 1.0, 2: 3.0}[found["order"]] * size ** found["order"])
        return found

    def _covariance(self, X: tf.Tensor, X2: tf.Tensor | None, dtype: tf.DType) -> tf.Tensor:
        left = tf.sqrt(self._norms(X))[..., :, None]  # [..., N, 1]
        right = left if X2 is None else tf.sqrt(self._norms(X2))[..., :, None]
        right = tf.linalg.matrix_transpose(right)  # [..., 1, N2]
        size = left * right
        cosine = tf.clip_by_value(self._products(X, X if X2 is None else X2) / size, -1.0, 1.0)
        scale = tf.cast(self.variance, X.dtype)[..., None, None] / np.pi
        K = scale * angular(self.order)(cosine) * size**self.order  # [..., N, N2]
        if X2 is None:
            K = with_diagonal(K, self._variances(X, X.dtype))
        return tf.cast(K, dtype)

    def _variances(self, X: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        scale = (1.0, 1.0, 3.0)[self.order] * tf.cast(self.variance, X.dtype)[..., None]
        return tf.cast(scale * self._norms(X) ** self.order, dtype)  # [..., N]


def angular(order: int) -> Callable[[tf.Tensor], tf.Tensor]:
    """J_n as a function of c = cos theta in [-1, 1], with its derivative."""

    @tf.custom_gradient
    def J(c: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        theta, sine = tf.acos(c), tf.sqrt(tf.maximum((1.0 - c) * (1.0 + c), 0.0))
        rest = np.pi - theta
        if order == 0:
            value, slope = rest, tf.math.reciprocal_no_nan(sine)
        elif order == 1:
            value, slope = sine + rest * c, rest
        else:
            value, slope = 3.0 * sine * c + rest * (1.0 + 2.0 * c * c), 4.0 * (sine + rest * c)
        return value, lambda J_bar: J_bar * slope

    return J
