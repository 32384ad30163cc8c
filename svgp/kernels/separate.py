"""A kernel for each latent GP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from svgp.errors import ModelError
from svgp.kernels.base import Kernel
from svgp.kernels.features import Part, stacked


class Separate(Kernel):
    """L kernels side by side: K [L, N, N2] has that of latent GP l in place l. Of any types.

    Inputs [N, D] are those of all; of inputs [L, N, D] each kernel takes its own. Raises ModelError where
    there is no kernel, or they differ in dtype.
    """

    def __init__(self, kernels: Sequence[Kernel], *, name: str | None = None) -> None:
        if len({kernel.dtype.name for kernel in kernels}) != 1:
            raise ModelError("Separate: expected at least one kernel for a latent GP, all of one dtype")
        super().__init__(dtype=kernels[0].dtype, name=name)
        self.kernels = tuple(kernels)

    @property
    def parts(self) -> tuple[Kernel, ...]:
        return self.kernels

    def K(self, X: Any, X2: Any = None, *, dtype: tf.DType | None = None) -> tf.Tensor:
        """[L, N, N2]."""
        each = zip(self.kernels, self._own(X), self._own(X2), strict=True)
        return tf.stack([kernel.K(x, x2, dtype=dtype) for kernel, x, x2 in each])

    def K_diag(self, X: Any, *, dtype: tf.DType | None = None) -> tf.Tensor:
        """[L, N]."""
        each = zip(self.kernels, self._own(X), strict=True)
        return tf.stack([kernel.K_diag(x, dtype=dtype) for kernel, x in each])

    def input_lengthscales(self, D: int) -> tf.Tensor:
        """[L, D]."""
        return tf.stack([kernel.input_lengthscales(D) for kernel in self.kernels])

    def features(self, D: int, count: int, rng: np.random.Generator) -> list[Part] | None:
        """Each part of each kernel, for its own latent GP alone; None where one has none."""
        found: list[Part] = []
        for place, kernel in enumerate(self.kernels):
            parts = kernel.features(D, count, rng)
            if parts is None:
                return None
            found += [stacked(part, place, len(self.kernels)) for part in parts]
        return found

    def _own(self, X: Any) -> list[Any]:
        """The inputs of each kernel."""
        if X is None:
            return [None] * len(self.kernels)
        X = tf.convert_to_tensor(X, dtype_hint=tf.float64)
        if X.shape.rank != 3:
            return [X] * len(self.kernels)
        if X.shape[0] != len(self.kernels):
            raise ModelError(
                f"{self.name}: inputs have shape {X.shape}, expected [N, D] or [{len(self.kernels)}, N, D], "
                "a set for each kernel"
            )
        return list(tf.unstack(X))

    def _check_columns(self, D: int) -> None:
        for kernel in self.kernels:
            kernel._check_columns(D)

    def _covariance(self, X: tf.Tensor, X2: tf.Tensor | None, dtype: tf.DType) -> tf.Tensor:
        raise AssertionError("K is overridden")

    def _variances(self, X: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        raise AssertionError("K_diag is overridden")
