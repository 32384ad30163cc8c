"""Panels of rows `[M, C]` on their way between TensorFlow's kernels and BLAS, with few copies.

Every panel goes into memory that already exists: fresh pages cost more than the arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from svgp.linalg import blas

PANEL_ENTRIES = 1 << 21  # 16 MiB: large for BLAS and TensorFlow's threads, small beside M^2 when M is large
FEWEST_ROWS = 256


class Workspace:
    """One aligned buffer for panels of up to `entries` numbers; every view of it is contiguous."""

    def __init__(self, entries: int) -> None:
        self._flat = blas.aligned_empty((entries,), np.float64)

    def panel(self, rows: int, columns: int) -> np.ndarray:
        """An uninitialised `[rows, columns]` view."""
        return self._flat[: rows * columns].reshape(rows, columns)

    def copy_of(self, tensor: tf.Tensor) -> np.ndarray:
        """The matrix in this buffer, as float64."""
        source = np.asarray(tensor)  # a view of the tensor's memory on a CPU
        panel = self.panel(*source.shape)
        np.copyto(panel, source)
        return panel


def as_tensor(panel: np.ndarray, like: tf.Tensor) -> tf.Tensor:
    """The panel as a tensor of the type of `like`; its memory is shared: use it before that changes."""
    if like.dtype != tf.float64 or "GPU" in like.device:
        return tf.convert_to_tensor(panel.astype(like.dtype.as_numpy_dtype))
    return tf.experimental.dlpack.from_dlpack(panel.__dlpack__())


def row_ranges(rows: int, inducing: int, chunk: int | None = None) -> Iterator[slice]:
    """Consecutive ranges of rows whose panels `[inducing, C]` hold about PANEL_ENTRIES numbers."""
    chunk = chunk or max(FEWEST_ROWS, PANEL_ENTRIES // inducing)
    for start in range(0, rows, chunk):
        yield slice(start, min(start + chunk, rows))
