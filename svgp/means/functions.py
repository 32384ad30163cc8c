"""Mean functions m(x), one column for each latent GP."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
import tensorflow as tf

from svgp.errors import ModelError
from svgp.means.start import MeanStart


class Mean(tf.Module):
    """A mean function: inputs X [N, D] -> [N, L], in the units of the function."""

    def __init__(self, *, dtype: tf.DType = tf.float64, name: str | None = None) -> None:
        super().__init__(name=name)
        self.dtype = tf.as_dtype(dtype)

    @classmethod
    def arguments(cls, start: MeanStart, stated: dict[str, Any]) -> dict[str, Any]:
        """What the constructor is called with: the config's `stated` settings, and zeros for the rest."""
        return stated

    @abstractmethod
    def __call__(self, X: Any) -> tf.Tensor:
        """m(X). Shapes: X [N, D] -> [N, L]."""


class Zero(Mean):
    """m(x) = 0 for each of `num_latent` GPs; the choice for standardised targets."""

    def __init__(self, num_latent: int = 1, *, dtype: tf.DType = tf.float64, name: str | None = None) -> None:
        super().__init__(dtype=dtype, name=name)
        self.num_latent = num_latent

    @classmethod
    def arguments(cls, start: MeanStart, stated: dict[str, Any]) -> dict[str, Any]:
        return {"num_latent": start.num_latent}

    def __call__(self, X: Any) -> tf.Tensor:
        rows = tf.shape(tf.convert_to_tensor(X))[0]
        return tf.zeros([rows, self.num_latent], self.dtype)  # [N, L]


class Constant(Mean):
    """m(x) = c, with trainable `value` c: a scalar, or [L] for L latent GPs."""

    def __init__(self, value: Any = 0.0, *, dtype: tf.DType = tf.float64, name: str | None = None) -> None:
        super().__init__(dtype=dtype, name=name)
        self.value = tf.Variable(_finite(value, self, 1, "a scalar or [L]"), name="value")

    @classmethod
    def arguments(cls, start: MeanStart, stated: dict[str, Any]) -> dict[str, Any]:
        return {"value": np.zeros(start.num_latent)}

    def __call__(self, X: Any) -> tf.Tensor:
        rows = tf.shape(tf.convert_to_tensor(X))[0]
        # Not tf.tile: its gradient has integer operations that make oneDNN print an error.
        return tf.zeros([rows, 1], self.dtype) + tf.reshape(self.value, [1, -1])  # [N, L]


class Linear(Mean):
    """m(x) = x A + b, with trainable `slope` A [D, L] and `offset` b, a scalar or [L].

    Raises ModelError where the shapes do not fit together, or do not fit the inputs.
    """

    def __init__(
        self, slope: Any, offset: Any = 0.0, *, dtype: tf.DType = tf.float64, name: str | None = None
    ) -> None:
        super().__init__(dtype=dtype, name=name)
        slope = _finite(slope, self, 2, "[D, L]")
        offset = _finite(offset, self, 1, "a scalar or [L]")
        if slope.ndim != 2 or offset.size not in (1, slope.shape[1]):
            raise ModelError(
                f"{self.name}: slope {slope.shape} and offset {offset.shape}, expected [D, L] and [L]"
            )
        self.slope = tf.Variable(slope, name="slope")
        self.offset = tf.Variable(offset, name="offset")

    @classmethod
    def arguments(cls, start: MeanStart, stated: dict[str, Any]) -> dict[str, Any]:
        L = start.num_latent
        return {"slope": np.zeros([start.num_inputs, L]), "offset": np.zeros(L)}

    def __call__(self, X: Any) -> tf.Tensor:
        X = tf.cast(tf.convert_to_tensor(X, dtype_hint=self.dtype), self.dtype)  # [N, D]
        if X.shape.rank == 2 and X.shape[1] not in (None, self.slope.shape[0]):
            raise ModelError(f"{self.name}: {X.shape[1]} input columns, expected {self.slope.shape[0]}")
        return tf.matmul(X, self.slope) + self.offset  # [N, L]


def _finite(value: Any, mean: Mean, rank: int, expected: str) -> np.ndarray:
    array = np.asarray(value, mean.dtype.as_numpy_dtype)
    if array.ndim > rank or not np.all(np.isfinite(array)):
        raise ModelError(f"{mean.name}: expected finite numbers of shape {expected}, got {array.tolist()}")
    return array
