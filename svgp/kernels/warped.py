"""Inputs that are stretched here and squeezed there before a kernel sees them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from svgp.kernels.base import Kernel
from svgp.kernels.mapped import Mapped
from svgp.kernels.static import input_weights
from svgp.parameters import positive

EDGE = 1e-4  # of the range: inputs outside count as at its ends, where powers have finite slopes


class Warped(Mapped):
    """k(x, x') = base(phi(x), phi(x')), phi_d = low + (high - low) (1 - (1 - u^a_d)^b_d), u = x scaled to
    (0, 1).

    The Kumaraswamy distribution function (Snoek, Swersky, Zemel & Adams 2014 use the beta's): a, b above 0, a
    scalar or [D]; 1 and 1 leave the inputs alone. `low` and `high` [D] are the ends of the range, inputs
    beyond them count as at the end. Units and lengthscales of the base remain those of the inputs.
    """

    def __init__(
        self,
        base_kernel: Kernel,
        low: Any,
        high: Any,
        a: Any = 1.0,
        b: Any = 1.0,
        *,
        active_dims: Sequence[int] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(base_kernel, active_dims=active_dims, name=name)
        dtype = base_kernel.dtype
        self.low = tf.Variable(np.asarray(low, float), trainable=False, dtype=tf.float64, name="low")
        self.high = tf.Variable(np.asarray(high, float), trainable=False, dtype=tf.float64, name="high")
        self.a = positive(a, f"{self.name}.a", role="shape", dtype=dtype)
        self.b = positive(b, f"{self.name}.b", role="shape", dtype=dtype)

    @classmethod
    def arguments(cls, start: Any, stated: dict[str, Any]) -> dict[str, Any]:
        """No warp, over the range of the data and a tenth more on each side."""
        D = len(start.columns)
        low, high = np.zeros(D), np.ones(D)
        if start.rows is not None and len(start.rows):
            low, high = start.rows.min(axis=0), start.rows.max(axis=0)
        margin = 0.1 * np.where(high > low, high - low, 1.0)
        ends = {"low": low - margin, "high": high + margin}
        return {"base_kernel": start.kernel(stated["base"]), **ends, "a": np.ones(D), "b": np.ones(D)}

    def map(self, X: tf.Tensor) -> tf.Tensor:
        """The warped inputs, in their own units: [..., N, D] -> [..., N, D]."""
        spread = self.high - self.low
        u = tf.clip_by_value((X - self.low) / spread, EDGE, 1.0 - EDGE)  # [..., N, D]
        a, b = input_weights(self.a, X, self.name), input_weights(self.b, X, self.name)
        return self.low + spread * (1.0 - (1.0 - u**a) ** b)

    def _columns_of_base(self, columns: Sequence[int] | None) -> Sequence[int] | None:
        return columns

    def _lengthscales(self, D: int) -> tf.Tensor:
        return self.base_kernel.input_lengthscales(D)
