"""The polynomial kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from svgp.errors import ModelError
from svgp.kernels.inner import inner_products, squared_norms, with_diagonal
from svgp.kernels.static import Linear
from svgp.parameters import positive


class Polynomial(Linear):
    """k = (o + sum_d v_d x_d x'_d)^n: polynomials of degree n in all inputs together.

    `degree` n, a whole number; `variance` v as in `Linear`; `offset` o [...] weighs lower powers (GPflow's
    parameters; Rasmussen & Williams 2006, section 4.2.2).
    """

    def __init__(
        self,
        degree: int = 3,
        variance: Any = 1.0,
        offset: Any = 1.0,
        *,
        active_dims: Sequence[int] | None = None,
        dtype: tf.DType = tf.float64,
        name: str | None = None,
    ) -> None:
        super().__init__(variance, active_dims=active_dims, dtype=dtype, name=name)
        if int(degree) != degree or degree < 1:
            raise ModelError(f"{self.name}: degree {degree!r}; expected a whole number of at least 1")
        self.degree = int(degree)
        self.offset = positive(offset, f"{self.name}.offset", role="offset", dtype=dtype)

    @classmethod
    def arguments(cls, start: Any, stated: dict[str, Any]) -> dict[str, Any]:
        """Half of variance^(1/n) is offset, and D columns at their spread share the other half."""
        root = start.variance ** (1.0 / stated["degree"])
        offset = stated.pop("offset", 0.5 * root)
        if "variance" not in stated:
            shares = 0.5 * root / (len(start.columns) * start.spread**2)
            stated["variance"] = shares if stated.get("ard", True) else float(np.mean(shares))
        found = super().arguments(start, stated) if np.ndim(stated["variance"]) == 0 else stated
        found.pop("ard", None)
        return {**found, "offset": offset}

    def _covariance(self, X: tf.Tensor, X2: tf.Tensor | None, dtype: tf.DType) -> tf.Tensor:
        products = inner_products(X, X if X2 is None else X2, self._weights(X))  # [..., N, N2]
        K = (products + tf.cast(self.offset, X.dtype)[..., None, None]) ** self.degree
        if X2 is None:
            K = with_diagonal(K, self._variances(X, X.dtype))
        return tf.cast(K, dtype)

    def _variances(self, X: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        norms = squared_norms(X, self._weights(X)) + tf.cast(self.offset, X.dtype)[..., None]  # [..., N]
        return tf.cast(norms**self.degree, dtype)

    def _features(self, D: int, count: int, rng: np.random.Generator) -> Any:
        return None
