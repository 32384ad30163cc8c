"""Sums and products of kernels."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from svgp.errors import ModelError
from svgp.kernels.base import Kernel
from svgp.kernels.features import Part, product

if TYPE_CHECKING:
    from svgp.kernels.start import Start


class Combination(Kernel):
    """Kernels combined elementwise; each part keeps its own active dimensions.

    Nested combinations of the same kind are flattened. Raises ModelError where there are no parts
    or they differ in type.
    """

    kernels: tuple[Kernel, ...]

    def __init__(self, kernels: Sequence[Kernel], *, name: str | None = None) -> None:
        parts: list[Kernel] = []
        for kernel in kernels:
            same = isinstance(kernel, Combination) and type(kernel) is type(self)
            parts.extend(kernel.kernels if same else [kernel])
        dtypes = {kernel.dtype.name for kernel in parts}
        if len(dtypes) != 1:
            found = f"of types {sorted(dtypes)}" if parts else "without any"
            raise ModelError(
                f"{type(self).__name__}: kernels {found}; expected at least one, all of one dtype"
            )
        super().__init__(dtype=parts[0].dtype, name=name)
        self.kernels = tuple(parts)

    @property
    def parts(self) -> tuple[Kernel, ...]:
        return self.kernels

    def _check_columns(self, D: int) -> None:
        for kernel in self.kernels:
            kernel._check_columns(D)


class Sum(Combination):
    """k = k1 + k2 + ...: the covariance of a sum of independent functions."""

    @classmethod
    def arguments(cls, start: Start, stated: dict[str, Any]) -> dict[str, Any]:
        """Each of k parts starts at variance / k."""
        share = start.variance / len(stated["sum"])
        return {"kernels": [start.kernel(part, variance=share) for part in stated["sum"]]}

    def _covariance(self, X: tf.Tensor, X2: tf.Tensor | None, dtype: tf.DType) -> tf.Tensor:
        return reduce(operator.add, [k.K(X, X2, dtype=dtype) for k in self.kernels])  # [..., N, N2]

    def _variances(self, X: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        return reduce(operator.add, [k.K_diag(X, dtype=dtype) for k in self.kernels])  # [..., N]

    def features(self, D: int, count: int, rng: np.random.Generator) -> list[Part] | None:
        """Those of all parts; None where one has none."""
        found = [k.features(D, count, rng) for k in self.kernels]
        return None if any(parts is None for parts in found) else [p for parts in found for p in parts or ()]

    def input_lengthscales(self, D: int) -> tf.Tensor:
        """The shortest of the parts' lengthscales in each input, [..., D]."""
        return reduce(tf.minimum, [k.input_lengthscales(D) for k in self.kernels])


class Grouped(Sum):
    """The sum of one kernel for each of several groups of inputs, each with a variance of its own."""

    @classmethod
    def arguments(cls, start: Start, stated: dict[str, Any]) -> dict[str, Any]:
        """Each of k groups starts at variance / k."""
        share, base = start.variance / len(stated["groups"]), stated["base"]
        sections = [base.model_copy(update={"inputs": list(group)}) for group in stated["groups"]]
        return {"kernels": [start.kernel(section, variance=share) for section in sections]}


class Product(Combination):
    """k = k1 k2 ...: elementwise, itself a covariance (Schur product theorem)."""

    @classmethod
    def arguments(cls, start: Start, stated: dict[str, Any]) -> dict[str, Any]:
        """Each of k parts starts at variance^(1/k)."""
        share = start.variance ** (1.0 / len(stated["product"]))
        return {"kernels": [start.kernel(part, variance=share) for part in stated["product"]]}

    def _covariance(self, X: tf.Tensor, X2: tf.Tensor | None, dtype: tf.DType) -> tf.Tensor:
        return reduce(operator.mul, [k.K(X, X2, dtype=dtype) for k in self.kernels])  # [..., N, N2]

    def _variances(self, X: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        return reduce(operator.mul, [k.K_diag(X, dtype=dtype) for k in self.kernels])  # [..., N]

    def features(self, D: int, count: int, rng: np.random.Generator) -> list[Part] | None:
        """Each part of one factor times each part of the next; None where a product has no features."""
        product_so_far: list[Part] | None = None
        for kernel in self.kernels:
            parts = kernel.features(D, count, rng)
            if parts is None:
                return None
            if product_so_far is not None:
                pairs = [product(one, other) for one in product_so_far for other in parts]
                parts = [part for part in pairs if part is not None]
                if len(parts) < len(pairs):
                    return None
            product_so_far = parts
        return product_so_far

    def input_lengthscales(self, D: int) -> tf.Tensor:
        """1/l^2 = sum of the parts' 1/l^2, exact for squared exponentials, [..., D]."""
        squares = [k.input_lengthscales(D) ** -2 for k in self.kernels]
        return tf.math.rsqrt(reduce(operator.add, squares))
