"""A polynomial of each input."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from svgp.errors import ModelError
from svgp.means.functions import Mean
from svgp.means.start import MeanStart


class Polynomial(Mean):
    """m(x) = b + sum_d sum_p x_d^p A_dp, with trainable `weights` A [D, degree, L] and `offset` b [L].

    Without products of inputs: their number grows with a power of D. Raises ModelError for other shapes.
    """

    def __init__(
        self, weights: Any, offset: Any = 0.0, *, dtype: tf.DType = tf.float64, name: str | None = None
    ) -> None:
        super().__init__(dtype=dtype, name=name)
        weights = np.asarray(weights, self.dtype.as_numpy_dtype)
        if weights.ndim != 3 or not np.all(np.isfinite(weights)):
            raise ModelError(f"{self.name}: weights {weights.shape}, expected finite [D, degree, L]")
        self.weights = tf.Variable(weights, name="weights")
        offset = np.broadcast_to(np.asarray(offset, self.dtype.as_numpy_dtype), weights.shape[2])
        self.offset = tf.Variable(offset, name="offset")

    @classmethod
    def arguments(cls, start: MeanStart, stated: dict[str, Any]) -> dict[str, Any]:
        """Zero everywhere."""
        return {"weights": np.zeros((start.num_inputs, stated["degree"], start.num_latent)),
                "offset": np.zeros(start.num_latent)}  # fmt: skip

    def __call__(self, X: Any) -> tf.Tensor:
        X = tf.cast(tf.convert_to_tensor(X, dtype_hint=self.dtype), self.dtype)  # [N, D]
        D, degree, _ = self.weights.shape
        if X.shape.rank == 2 and X.shape[1] not in (None, D):
            raise ModelError(f"{self.name}: {X.shape[1]} input columns, expected {D}")
        total = self.offset + tf.zeros([tf.shape(X)[0], 1], self.dtype)  # [N, L]
        power = tf.ones_like(X)
        for p in range(degree):
            power = power * X
            total += tf.matmul(power, self.weights[:, p, :])
        return total
