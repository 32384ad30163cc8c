"""A small network of dense layers: in front of a kernel, or as a mean function."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from svgp.errors import ModelError


class Network(tf.Module):
    """Dense layers of the given `sizes`, inputs first, tanh between them: [..., N, sizes[0]] -> [..., N,
    sizes[-1]].

    Weights start from N(0, 1 / width) (LeCun 1998), drawn from `seed`; biases at zero.
    """

    def __init__(
        self, sizes: Sequence[int], *, seed: int = 0, dtype: tf.DType = tf.float64, name: str | None = None
    ) -> None:
        super().__init__(name=name)
        if len(sizes) < 2 or min(sizes) < 1:
            raise ModelError(
                f"{self.name}: layers of {list(sizes)} units; expected one or more of at least 1"
            )
        rng = np.random.default_rng([seed, 17])
        self.dtype, kind = tf.as_dtype(dtype), tf.as_dtype(dtype).as_numpy_dtype
        pairs = list(zip(sizes[:-1], sizes[1:], strict=True))
        weights = [rng.normal(size=pair) / np.sqrt(pair[0]) for pair in pairs]
        self.weights = [tf.Variable(w.astype(kind), name=f"weights_{i}") for i, w in enumerate(weights)]
        self.biases = [tf.Variable(np.zeros(b, kind), name=f"biases_{i}") for i, (_, b) in enumerate(pairs)]

    def __call__(self, X: Any) -> tf.Tensor:
        """The last layer's values, without a tanh."""
        H = tf.cast(tf.convert_to_tensor(X), self.dtype)
        for layer, (weights, biases) in enumerate(zip(self.weights, self.biases, strict=True)):
            H = tf.tanh(H) if layer else H
            # Not a matrix product with leading dimensions: its gradient is slow.
            H = tf.tensordot(H, weights, 1) + biases  # [..., N, width]
        return H

    def standardise(self, X: np.ndarray) -> None:
        """Scale and shift the last layer so that its values at rows X [n, D] have mean 0 and deviation 1."""
        values = np.asarray(self(X), np.float64)  # [n, F]
        spread = values.std(axis=0)
        spread = np.where(spread > 1e-8, spread, 1.0)
        kind = self.dtype.as_numpy_dtype
        self.weights[-1].assign((self.weights[-1].numpy() / spread).astype(kind))
        self.biases[-1].assign(((self.biases[-1].numpy() - values.mean(axis=0)) / spread).astype(kind))
