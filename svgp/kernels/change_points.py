"""Functions that behave differently before and after some places of an input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from typing import Any

import numpy as np
import tensorflow as tf

from svgp.errors import ModelError
from svgp.kernels.base import Kernel
from svgp.kernels.inner import with_diagonal
from svgp.parameters import Hyperparameter, positive, unconstrained


class ChangePoints(Kernel):
    """k = sum_i w_i(x) k_i(x, x') w_i(x'), w_i = sigma_{i-1} (1 - sigma_i) (Lloyd et al. 2014).

    sigma_i(x) = 1 / (1 + exp(-s_i (x - c_i))) at C `locations` c (sorted), with `steepness` s, a scalar or
    [C]; `kernels` are C + 1, each acting on all columns, and x in sigma is column `switch_dim`. GPflow's
    parameters.
    """

    def __init__(
        self,
        kernels: Sequence[Kernel],
        locations: Any,
        steepness: Any = 1.0,
        *,
        switch_dim: int = 0,
        active_dims: Sequence[int] | None = None,
        name: str | None = None,
    ) -> None:
        locations = np.atleast_1d(np.asarray(locations, float))
        if len(kernels) != len(locations) + 1:
            raise ModelError(
                f"ChangePoints: {len(kernels)} kernels for {len(locations)} locations; "
                f"expected {len(locations) + 1}, one before, between and after them"
            )
        if np.ndim(steepness) and len(np.atleast_1d(steepness)) != len(locations):
            raise ModelError(f"ChangePoints: steepness {steepness}; expected one, or {len(locations)}")
        super().__init__(active_dims=active_dims, dtype=kernels[0].dtype, name=name)
        self.kernels = tuple(kernels)
        self.switch_dim = int(switch_dim)
        self.locations = unconstrained(locations, f"{self.name}.locations", role="location", dtype=self.dtype)
        self.steepness = positive(steepness, f"{self.name}.steepness", role="rate", dtype=self.dtype)

    @classmethod
    def arguments(cls, start: Any, stated: dict[str, Any]) -> dict[str, Any]:
        """Changes at even shares of the rows, each within about a tenth of the column's spread."""
        parts = [start.kernel(part) for part in stated["kernels"]]
        switch = 0
        if "switch" in stated:
            switch = [start.names[column] for column in start.columns].index(stated["switch"])
        spread = float(start.spread[switch])
        shares = np.arange(1, len(parts)) / len(parts)
        places = shares if start.rows is None else np.quantile(start.rows[:, switch], shares)
        return {
            "kernels": parts,
            "locations": stated.get("locations", places),
            "steepness": stated.get("steepness", 10.0 / spread),
            "switch_dim": switch,
        }

    @property
    def parts(self) -> tuple[Kernel, ...]:
        return self.kernels

    def hyperparameters(self, columns: Sequence[int] | None) -> Iterator[Hyperparameter]:
        for found in super().hyperparameters(columns):
            own = found.parameter is self.locations or found.parameter is self.steepness
            if own and found.columns is not None:
                found = found._replace(columns=(found.columns[self.switch_dim],))
            yield found

    def _covariance(self, X: tf.Tensor, X2: tf.Tensor | None, dtype: tf.DType) -> tf.Tensor:
        left = self._weights(X)  # [..., N, C + 1]
        right = left if X2 is None else self._weights(X2)
        parts = []
        for i, kernel in enumerate(self.kernels):
            weights = left[..., :, None, i] * right[..., None, :, i]  # [..., N, N2]
            parts.append(tf.cast(weights, dtype) * kernel.K(X, X2, dtype=dtype))
        K = reduce(tf.add, parts)
        return K if X2 is not None else with_diagonal(K, self._variances(X, dtype))

    def _variances(self, X: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        weights = tf.cast(self._weights(X) ** 2, dtype)  # [..., N, C + 1]
        return reduce(
            tf.add, [weights[..., i] * k.K_diag(X, dtype=dtype) for i, k in enumerate(self.kernels)]
        )

    def _weights(self, X: tf.Tensor) -> tf.Tensor:
        """How much each kernel counts at each row: [..., N, C + 1]."""
        locations = tf.sort(tf.cast(self.locations, X.dtype))  # [C]
        x = X[..., self.switch_dim : self.switch_dim + 1]  # [..., N, 1]
        after = tf.cast(self.steepness, X.dtype) * (x - locations)  # [..., N, C]
        ones = tf.ones_like(x)
        return tf.concat([ones, tf.sigmoid(after)], -1) * tf.concat([tf.sigmoid(-after), ones], -1)

    def _lengthscales(self, D: int) -> tf.Tensor:
        return reduce(tf.minimum, [kernel.input_lengthscales(D) for kernel in self.kernels])
