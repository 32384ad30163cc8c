"""Minibatches without replacement whose order is a pure function of (seed, step)."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from svgp.errors import ModelError

_FOREVER = np.iinfo(np.int64).max


class Batches:
    """Rows of (X, Y) in batches: each epoch visits every row once, in a new order.

    Epoch e goes through `np.random.default_rng([seed, e]).permutation(N)`; its last batch may be
    smaller, and the ELBO's scale N / B is taken from the batch itself. A position is a step number
    and nothing else, so training resumes anywhere, exactly.

    X `[N, D]`, Y `[N, P]`. Raises ModelError where they disagree or are empty.
    """

    def __init__(
        self, X: np.ndarray, Y: np.ndarray, batch_size: int, seed: int, dtype: tf.DType = tf.float64
    ) -> None:
        if X.ndim != 2 or Y.ndim != 2 or len(X) != len(Y) or len(X) == 0:
            raise ModelError(f"batches: X and Y must be [N, D] and [N, P], got {X.shape} and {Y.shape}")
        self.num_data = len(X)
        self.batch_size = min(batch_size, self.num_data)
        self.steps_per_epoch = math.ceil(self.num_data / self.batch_size)
        self.seed = seed
        # The table stays in host memory: batches are small, and the GPU's memory is for the model.
        with tf.device("/CPU:0"):
            self._X = tf.constant(X, dtype)  # [N, D]
            self._Y = tf.constant(Y, dtype)  # [N, P]
        self._permutation = functools.lru_cache(maxsize=1)(self._new_permutation)

    @property
    def signature(self) -> list[tf.TensorSpec]:
        """Specs of one batch, with an unknown number of rows: one trace serves the last batch too."""
        X, Y = self._X, self._Y
        return [tf.TensorSpec([None, X.shape[1]], X.dtype), tf.TensorSpec([None, Y.shape[1]], Y.dtype)]

    def rows(self, step: int) -> np.ndarray:
        """Row numbers of the batch that step `step` (from 0) sees, `[B]`."""
        epoch, position = divmod(int(step), self.steps_per_epoch)
        start = position * self.batch_size
        return self._permutation(epoch)[start : start + self.batch_size]

    def starting_at(self, step: int) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
        """Endless batches (X `[B, D]`, Y `[B, P]`) from step `step` on, prefetched."""

        def gather(at: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            rows = tf.numpy_function(self.rows, [at], tf.int64, stateful=False)
            rows = tf.ensure_shape(rows, [None])  # [B]
            return tf.gather(self._X, rows), tf.gather(self._Y, rows)  # [B, D], [B, P]

        with tf.device("/CPU:0"):
            return iter(tf.data.Dataset.range(step, _FOREVER).map(gather).prefetch(2))

    def _new_permutation(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self.seed, epoch]).permutation(self.num_data).astype(np.int64)
