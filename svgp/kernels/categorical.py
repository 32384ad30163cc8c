"""Kernels of categories: a learned covariance between levels, and the number of columns that differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from svgp.errors import ModelError
from svgp.kernels.base import Kernel
from svgp.kernels.inner import with_diagonal
from svgp.kernels.static import same_batch
from svgp.parameters import positive


class Categorical(Kernel):
    """k(x, x') = x^T B x', B = W W^T + diag(kappa): a covariance between the L levels of a category.

    x [L] is the one-hot code of a level, `loadings` W [L, R], `kappa` [L]. A row whose level is unknown, all
    zeros, counts as the mean of the levels: what x lacks of a sum of 1 is spread over them,
    x + (1 - sum x) / L. That is linear in x, so inducing points may lie between the levels, and k stays
    a covariance.
    """

    def __init__(
        self,
        loadings: Any,
        kappa: Any,
        *,
        active_dims: Sequence[int] | None = None,
        dtype: tf.DType = tf.float64,
        name: str | None = None,
    ) -> None:
        super().__init__(active_dims=active_dims, dtype=dtype, name=name)
        loadings = np.asarray(loadings, dtype.as_numpy_dtype)
        if loadings.ndim != 2 or len(np.atleast_1d(kappa)) != len(loadings):
            raise ModelError(f"{self.name}: loadings {loadings.shape}, expected [L, R] beside L kappas")
        self.loadings = tf.Variable(loadings, name="loadings")
        self.kappa = positive(kappa, f"{self.name}.kappa", role="variance", dtype=dtype)

    @classmethod
    def arguments(cls, start: Any, stated: dict[str, Any]) -> dict[str, Any]:
        """Half of the variance is common to all levels, half is each one's own."""
        names = {start.names[column].split("=")[0] for column in start.columns}
        if len(names) != 1:
            raise ModelError(
                f"model.kernel: a categorical kernel acts on the levels of one column, got "
                f"{', '.join(sorted(names))}: one such kernel for each, as a product or sum"
            )
        levels, rank = len(start.columns), min(stated["rank"], len(start.columns))
        variance = stated.get("variance", start.variance)
        # Not zero: where all columns but the first vanish, so does their gradient.
        loadings = (
            0.1 * np.sqrt(variance) * np.random.default_rng([start.seed, 19]).normal(size=(levels, rank))
        )
        loadings[:, 0] = np.sqrt(0.5 * variance)
        return {"loadings": loadings, "kappa": np.full(levels, 0.5 * variance)}

    def between_levels(self) -> tf.Tensor:
        """B [L, L], the prior covariance of the function's values at the levels."""
        loadings = tf.convert_to_tensor(self.loadings)
        return tf.matmul(loadings, loadings, transpose_b=True) + tf.linalg.diag(
            tf.convert_to_tensor(self.kappa)
        )

    def _covariance(self, X: tf.Tensor, X2: tf.Tensor | None, dtype: tf.DType) -> tf.Tensor:
        left = self._whole(X)  # [..., N, L]
        right = left if X2 is None else self._whole(X2)
        weighted = tf.tensordot(left, tf.cast(self.between_levels(), X.dtype), 1)
        K = tf.matmul(*same_batch(weighted, right), transpose_b=True)  # [..., N, N2]
        if X2 is None:
            K = with_diagonal(0.5 * (K + tf.linalg.matrix_transpose(K)), self._variances(X, X.dtype))
        return tf.cast(K, dtype)

    def _variances(self, X: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        whole = self._whole(X)
        weighted = tf.tensordot(whole, tf.cast(self.between_levels(), X.dtype), 1)
        return tf.cast(tf.reduce_sum(whole * weighted, -1), dtype)  # [..., N]

    def _whole(self, X: tf.Tensor) -> tf.Tensor:
        if X.shape[-1] != self.loadings.shape[0]:
            raise ModelError(f"{self.name}: {X.shape[-1]} columns for {self.loadings.shape[0]} levels")
        return X + (1.0 - tf.reduce_sum(X, -1, keepdims=True)) / float(self.loadings.shape[0])

    def _lengthscales(self, D: int) -> tf.Tensor:
        return tf.ones([D], self.dtype)  # from one level to another


class Hamming(Kernel):
    """k = v exp(-sum_c [x_c differs from x'_c] / l_c): rows are alike that agree in many columns.

    `groups` are the columns of each category c: of a one-hot block half the squared distance is 1 where two
    rows differ and 0 where they agree, and inducing points may lie between; a single column is compared
    as it is. `variance` v [...], `lengthscales` l [C].
    """

    def __init__(
        self,
        groups: Sequence[Sequence[int]],
        variance: Any = 1.0,
        lengthscales: Any = 1.0,
        *,
        active_dims: Sequence[int] | None = None,
        dtype: tf.DType = tf.float64,
        name: str | None = None,
    ) -> None:
        super().__init__(active_dims=active_dims, dtype=dtype, name=name)
        self._groups = tuple(tuple(int(d) for d in group) for group in groups)
        self.variance = positive(variance, f"{self.name}.variance", role="variance", dtype=dtype)
        lengthscales = np.broadcast_to(np.asarray(lengthscales, float), len(self._groups))
        self.lengthscales = positive(lengthscales, f"{self.name}.lengthscales", role="shape", dtype=dtype)

    @classmethod
    def arguments(cls, start: Any, stated: dict[str, Any]) -> dict[str, Any]:
        groups = column_groups([start.names[column] for column in start.columns])
        lengthscales = stated.get("lengthscales", float(len(groups)))
        return {
            "groups": groups,
            "variance": stated.get("variance", start.variance),
            "lengthscales": lengthscales,
        }

    def _covariance(self, X: tf.Tensor, X2: tf.Tensor | None, dtype: tf.DType) -> tf.Tensor:
        other = X if X2 is None else X2
        total: Any = 0.0
        rates = tf.unstack(1.0 / tf.cast(self.lengthscales, X.dtype))
        for group, rate in zip(self._groups, rates, strict=True):
            x, z = (tf.gather(side, group, axis=-1) for side in (X, other))
            if len(group) == 1:
                differ = tf.cast(x != tf.linalg.matrix_transpose(z), X.dtype)
            else:
                squares = tf.reduce_sum(x * x, -1)[..., :, None] + tf.reduce_sum(z * z, -1)[..., None, :]
                differ = 0.5 * squares - tf.matmul(x, z, transpose_b=True)
            total += rate * differ  # [..., N, N2]
        K = tf.cast(self.variance, X.dtype)[..., None, None] * tf.exp(-total)
        if X2 is None:
            K = with_diagonal(K, self._variances(X, X.dtype))
        return tf.cast(K, dtype)

    def _variances(self, X: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        return tf.cast(self.variance, dtype)[..., None] * tf.ones(tf.shape(X)[:-1], dtype)  # [..., N]

    def _lengthscales(self, D: int) -> tf.Tensor:
        owner = {d: c for c, group in enumerate(self._groups) for d in group}
        # exp(-|x - x'|^2 / (2 l)) between one-hot codes.
        return tf.gather(tf.sqrt(tf.convert_to_tensor(self.lengthscales)), [owner[d] for d in range(D)])


def column_groups(names: Sequence[str]) -> list[tuple[int, ...]]:
    """Positions of the columns of each input: the one-hot columns `name=level` of a category go together."""
    groups: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        groups.setdefault(name.partition("=")[0], []).append(place)
    return [tuple(group) for group in groups.values()]
