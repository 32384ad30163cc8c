"""Kernels of transformed inputs: k(x, x') = base(phi(x), phi(x'))."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence

import tensorflow as tf

from svgp.kernels.base import Kernel
from svgp.parameters import Hyperparameter, own_hyperparameters


class Mapped(Kernel):
    """A `base_kernel` behind a map of the inputs; its parameters are in the units of what the map gives."""

    def __init__(
        self, base_kernel: Kernel, *, active_dims: Sequence[int] | None = None, name: str | None = None
    ) -> None:
        super().__init__(active_dims=active_dims, dtype=base_kernel.dtype, name=name)
        self.base_kernel = base_kernel

    @abstractmethod
    def map(self, X: tf.Tensor) -> tf.Tensor:
        """phi(x) of the active columns in float64: [..., N, A] -> [..., N, F]."""

    @property
    def parts(self) -> tuple[Kernel, ...]:
        return (self.base_kernel,)

    def hyperparameters(self, columns: Sequence[int] | None) -> Iterator[Hyperparameter]:
        own = columns
        if columns is not None and self.active_dims is not None:
            own = [columns[d] for d in self.active_dims]
        yield from own_hyperparameters(self, own)
        yield from self.base_kernel.hyperparameters(self._columns_of_base(own))

    def _columns_of_base(self, columns: Sequence[int] | None) -> Sequence[int] | None:
        return None

    def _covariance(self, X: tf.Tensor, X2: tf.Tensor | None, dtype: tf.DType) -> tf.Tensor:
        mapped = None if X2 is None else self.map(X2)
        return self.base_kernel.K(self.map(X), mapped, dtype=dtype)  # [..., N, N2]

    def _variances(self, X: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        return self.base_kernel.K_diag(self.map(X), dtype=dtype)  # [..., N]
