"""Minibatches without replacement, as tensors, whose order is a pure function of (seed, step)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from svgp.replicas import replicas
from svgp.rows import ArrayRows, as_rows
from svgp.workers import present

_FOREVER = np.iinfo(np.int64).max


class Batches:
    """Rows of (X, Y) in batches: each epoch visits every row once, in a new order.

    The last batch of an epoch may be smaller, and the ELBO's scale N / B is taken from the batch itself. A
    position is a step number and nothing else, so training resumes anywhere, exactly.

    Several workers share each step, and several devices of a worker: `batch_size` rows for each of them, of a
    batch that is so much larger.

    X, Y: `[N, D]` and `[N, P]`, or X `svgp.rows.Rows` and no Y. Raises ModelError where arrays disagree or
    are empty.
    """

    def __init__(
        self, X: Any, Y: Any = None, batch_size: int = 1024, seed: int = 0, dtype: tf.DType = tf.float64
    ) -> None:
        rows = as_rows(X, Y)
        self._rows, self._dtype = rows, dtype
        self.num_data = rows.count
        self.shard = present().shard
        together = batch_size * self.shard[1] * replicas().count  # rows of all workers
        self.batch_size = min(together, self.num_data)
        self.steps_per_epoch = math.ceil(self.num_data / self.batch_size)
        self.seed = seed
        if isinstance(rows, ArrayRows):
            # The table stays in host memory: batches are small, and the GPU's memory is for the model.
            with tf.device("/CPU:0"):
                self._X = tf.constant(rows.X, dtype)  # [N, D]
                self._Y = tf.constant(rows.Y, dtype)  # [N, P]

    @property
    def signature(self) -> list[tf.TensorSpec]:
        """Specs of one batch, with an unknown number of rows: one trace serves the last batch too."""
        widths = self._rows.inputs, self._rows.outputs
        return [tf.TensorSpec([None, width], self._dtype) for width in widths]

    def rows(self, step: int) -> np.ndarray:
        """Row numbers of the batch that step `step` (from 0) sees, `[B]`, where the rows are in memory."""
        assert isinstance(self._rows, ArrayRows)
        return self._rows.batch(step, self.batch_size, self.seed, self.shard)

    def at(self, step: int) -> tuple[tf.Tensor, tf.Tensor]:
        """The batch (X `[B, D]`, Y `[B, P]`) that step `step` sees."""
        return next(self.starting_at(step))

    def starting_at(self, step: int) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
        """Endless batches (X `[B, D]`, Y `[B, P]`) from step `step` on, prefetched."""
        options = tf.data.Options()
        # There is nothing to tune, and whoever drops an iterator waits for the thread that tunes: it looks up
        # every now and then, after long runs once a minute, with all of Python waiting.
        options.autotune.enabled = False
        with tf.device("/CPU:0"):
            found = self._gathered(step) if isinstance(self._rows, ArrayRows) else self._read(step)
            return iter(found.with_options(options))

    def _gathered(self, step: int) -> tf.data.Dataset:
        def gather(at: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            rows = tf.numpy_function(self.rows, [at], tf.int64, stateful=False)
            rows = tf.ensure_shape(rows, [None])  # [B]
            return tf.gather(self._X, rows), tf.gather(self._Y, rows)  # [B, D], [B, P]

        return tf.data.Dataset.range(step, _FOREVER).map(gather).prefetch(2)

    def _read(self, step: int) -> tf.data.Dataset:
        source = self._rows
        specs = tuple(tf.TensorSpec(spec.shape, tf.float64) for spec in self.signature)
        read = tf.data.Dataset.from_generator(
            lambda: source.batches(self.batch_size, self.seed, step, self.shard), output_signature=specs
        )
        return read.map(lambda X, Y: (tf.cast(X, self._dtype), tf.cast(Y, self._dtype))).prefetch(2)
