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

    Raises ModelError where there is none, or they differ in dtype.
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
        return tf.stack([kernel.K(X, X2, dtype=dtype) for kernel in self.kernels])

    def K_diag(self, X: Any, *, dtype: tf.DType | None = None) -> tf.Tensor:
        """[L, N]."""
        return tf.stack([kernel.K_diag(X, dtype=dtype) for kernel in self.kernels])

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

    def _check_columns(self, D: int) -> None:
        for kernel in self.kernels:
            kernel._check_columns(D)

    def _covariance(self, X: tf.Tensor, X2: tf.Tensor | None, dtype: tf.DType) -> tf.Tensor:
        raise AssertionError("K is overridden")

    def _variances(self, X: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        raise AssertionError("K_diag is overridden")
