"""What a kernel is: covariance matrices of a Gaussian process prior, and how they combine."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

import svgp.linalg  # noqa: F401  (turns TensorFloat-32 off)
from svgp.errors import ModelError
from svgp.kernels.features import Part, embedded
from svgp.parameters import Hyperparameter, own_hyperparameters

if TYPE_CHECKING:
    from svgp.kernels.combination import Product, Sum
    from svgp.kernels.start import Start


class Kernel(tf.Module):
    """A covariance function k(x, x').

    Hyperparameters may carry leading batch dimensions, one set for each latent GP: a variance of
    shape [L] gives covariances of shape [L, N, N2]. `active_dims` are the columns it acts on,
    all of them when None. Inputs of any float type are accepted and cast.
    """

    def __init__(
        self,
        *,
        active_dims: Sequence[int] | None = None,
        dtype: tf.DType = tf.float64,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        self.dtype = tf.as_dtype(dtype)
        self._active_dims = None if active_dims is None else tuple(int(d) for d in active_dims)

    @property
    def active_dims(self) -> tuple[int, ...] | None:
        """The input columns this kernel acts on; None means all."""
        return self._active_dims

    def K(self, X: Any, X2: Any = None, *, dtype: tf.DType | None = None) -> tf.Tensor:
        """k(X, X2), or the symmetric k(X, X) whose diagonal equals `K_diag(X)` exactly.

        Shapes: X [N, D], X2 [N2, D] -> [..., N, N2]; leading dimensions of inputs are batches, which
        broadcast with those of the hyperparameters. `dtype` is the type of the result (default:
        the kernel's own); distances are taken in float64 either way. Raises ModelError where the
        inputs are not matrices with the columns that the kernel expects.
        """
        X = self.columns(X)  # [N, D]
        X2 = None if X2 is None else self.columns(X2)  # [N2, D]
        return self._covariance(X, X2, dtype or self.dtype)  # [..., N, N2]

    def K_diag(self, X: Any, *, dtype: tf.DType | None = None) -> tf.Tensor:
        """The prior variances k(x_n, x_n). Shapes: X [N, D] -> [..., N]."""
        return self._variances(self.columns(X), dtype or self.dtype)  # [..., N]

    def __call__(self, X: Any, X2: Any = None) -> tf.Tensor:
        """The same as `K(X, X2)`."""
        return self.K(X, X2)

    def input_lengthscales(self, D: int) -> tf.Tensor:
        """The distance in each of D inputs over which the function changes, shape [..., D].

        Infinite for an input that the kernel does not depend on. Raises ModelError where an
        active dimension is not among the D columns.
        """
        active = range(D) if self.active_dims is None else self.active_dims
        self._check_columns(D)
        own = self._lengthscales(len(active))  # [..., A]
        never = tf.fill(tf.concat([tf.shape(own)[:-1], [1]], 0), tf.constant(float("inf"), own.dtype))
        position = {column: place for place, column in enumerate(active)}
        order = [position.get(column, len(active)) for column in range(D)]
        return tf.gather(tf.concat([own, never], -1), order, axis=-1)  # [..., D]

    def features(self, D: int, count: int, rng: np.random.Generator) -> list[Part] | None:
        """Explicit features of the prior over D inputs, at the present values (`svgp.kernels.features`).

        A list of parts that add up, with `count` random frequencies in each that has any; None where this
        kernel has no such form.
        """
        active = tuple(range(D)) if self.active_dims is None else self.active_dims
        self._check_columns(D)
        parts = self._features(len(active), count, rng)
        return None if parts is None else [embedded(part, active, D) for part in parts]

    @property
    def parts(self) -> tuple[Kernel, ...]:
        """The kernels that this one is made of, acting on the columns that it acts on."""
        return ()

    def hyperparameters(self, columns: Sequence[int] | None) -> Iterator[Hyperparameter]:
        """Every parameter of this kernel and its parts, with its role and its own of the input `columns`."""
        own = columns
        if columns is not None and self.active_dims is not None:
            own = [columns[d] for d in self.active_dims]
        yield from own_hyperparameters(self, own)
        for part in self.parts:
            yield from part.hyperparameters(own)

    @classmethod
    def arguments(cls, start: Start, stated: dict[str, Any]) -> dict[str, Any]:
        """What the constructor is called with: the config's `stated` settings, and the data's for the rest.

        `start` is what the data suggest for the columns that the kernel acts on; settings that the config
        leaves at null are not in `stated`.
        """
        return stated

    def __add__(self, other: Kernel) -> Sum:
        """k1 + k2: the covariance of the sum of two independent functions."""
        from svgp.kernels.combination import Sum

        return Sum([self, other])

    def __mul__(self, other: Kernel) -> Product:
        """k1 k2: the elementwise product, itself a covariance (Schur)."""
        from svgp.kernels.combination import Product

        return Product([self, other])

    def columns(self, X: Any) -> tf.Tensor:
        """X as a float64 tensor of the active columns [..., N, A]. Raises ModelError."""
        X = tf.cast(tf.convert_to_tensor(X, dtype_hint=tf.float64), tf.float64)
        if X.shape.rank is None or X.shape.rank < 2 or X.shape[-1] is None:
            raise ModelError(
                f"{self.name}: inputs have shape {X.shape}, expected [N, D] with a known D; "
                "for one input column use X[:, None]"
            )
        self._check_columns(int(X.shape[-1]))
        return X if self.active_dims is None else tf.gather(X, self.active_dims, axis=-1)

    def _check_columns(self, D: int) -> None:
        wrong = [d for d in self.active_dims or () if not 0 <= d < D]
        if wrong:
            raise ModelError(
                f"{self.name}: active_dims {wrong} are not among the {D} input columns (0 to {D - 1})"
            )

    @abstractmethod
    def _covariance(self, X: tf.Tensor, X2: tf.Tensor | None, dtype: tf.DType) -> tf.Tensor:
        """k(X, X2) on the active columns, [..., N, N2]."""

    @abstractmethod
    def _variances(self, X: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        """k(x, x) on the active columns, [..., N]."""

    def _features(self, D: int, count: int, rng: np.random.Generator) -> list[Part] | None:
        """Features over the D active columns; a kernel without any keeps this."""
        return None

    def _lengthscales(self, D: int) -> tf.Tensor:
        """Lengthscales of the active columns, [..., D]; a kernel without any keeps this one."""
        return tf.fill([D], tf.constant(float("inf"), self.dtype))
