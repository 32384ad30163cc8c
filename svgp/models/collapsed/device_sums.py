"""Sums over rows that stay on the device that made them until all rows have been seen."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import tensorflow as tf


class DeviceSums:
    """Of one device; `total` is empty before anything was added."""

    def __init__(self) -> None:
        self.total: list[tf.Tensor] = []

    def add(self, *found: tf.Tensor) -> None:
        """Add tensors, as many and of the same shapes each time."""
        self.total = [a + b for a, b in zip(self.total, found, strict=True)] if self.total else list(found)


def on_host(devices: Iterable[DeviceSums]) -> list[np.ndarray]:
    """The sums of all devices; nothing, where none has found anything."""
    parts = [[np.array(x) for x in sums.total] for sums in devices if sums.total]
    return [np.sum(column, 0) for column in zip(*parts, strict=True)]
