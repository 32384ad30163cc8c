"""The devices of one process that share each step of a minibatch method: `tf.distribute.MirroredStrategy`.

The model's variables are plain ones and live on the first device; the others read them. In a step each device
goes through its part of the batch, what they find is added up on the first, and there the step is taken. A
process with one device has the same interface, and nothing of it is in its graphs. Workers
(`svgp.workers`) are processes, on one machine or many, and each may have several devices.

On logical devices of a processor it does the same, which is how it is tested.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any, TypeVar

import tensorflow as tf

Found = TypeVar("Found")


class Replicas:
    """`devices` such as `["GPU:0", "GPU:1"]`; none or one: whatever device is in scope."""

    def __init__(self, devices: Sequence[str] = ()) -> None:
        self.devices = tuple(devices)
        self._strategy: Any = None
        if len(self.devices) > 1:
            # Sums go to one device, where the variables are; to send them back to all would be for nothing.
            across = tf.distribute.ReductionToOneDevice()
            self._strategy = tf.distribute.MirroredStrategy(list(self.devices), cross_device_ops=across)

    @property
    def alone(self) -> bool:
        """Whether there is one device."""
        return self._strategy is None

    @property
    def count(self) -> int:
        """How many share a step."""
        return max(1, len(self.devices))

    def each(self, function: Callable[[int], Found]) -> list[Found]:
        """`function(number of the device)` on each device: in a graph that is made, or from a thread."""
        if self._strategy is None:
            return [function(0)]
        if tf.executing_eagerly():  # no step: passes over rows, where nothing is exchanged before the end
            contexts = [copy_context() for _ in self.devices]
            with ThreadPoolExecutor(self.count) as pool:
                runs = [pool.submit(context.run, self._on, n, function) for n, context in enumerate(contexts)]
                return [run.result() for run in runs]
        found: dict[int, Found] = {}

        def run() -> None:
            context = tf.distribute.get_replica_context()
            number = int(tf.get_static_value(context.replica_id_in_sync_group))
            found[number] = self._on(number, function)

        self._strategy.run(run)
        return [found[number] for number in range(self.count)]

    def _on(self, number: int, function: Callable[[int], Found]) -> Found:
        with tf.device(self.devices[number]):
            return function(number)

    def sum(self, parts: Sequence[Sequence[tf.Tensor]]) -> list[tf.Tensor]:
        """The sums of what each has found, tensor by tensor, on the first device."""
        if self._strategy is None:
            return list(parts[0])
        with tf.device(self.devices[0]):
            return [tf.add_n([tf.identity(x) for x in column]) for column in zip(*parts, strict=True)]

    def rows(self, *tensors: tf.Tensor) -> list[tuple[tf.Tensor, ...]]:
        """The rows of tensors `[B, ...]` that each device is to see, and `[]` what they count: 1.

        Of fewer rows than devices some see rows that are another's, which count 0.
        """
        if self._strategy is None:
            return [(*tensors, tf.ones([], tf.float64))]
        total = tf.shape(tensors[0])[0]
        parts = []
        for number in range(self.count):
            start, stop = total * number // self.count, total * (number + 1) // self.count
            counts = tf.cast(stop > start, tf.float64)
            start = tf.minimum(start, total - 1)
            parts.append((*(x[start : tf.maximum(stop, start + 1)] for x in tensors), counts))
        return parts


_present = Replicas()


def replicas() -> Replicas:
    """The devices that share steps now; one, unless inside `shared_by`."""
    return _present


@contextmanager
def shared_by(devices: Sequence[str]) -> Iterator[Replicas]:
    """Methods that are made and trained inside have their steps shared by these devices."""
    global _present
    before, _present = _present, Replicas(devices)
    try:
        yield _present
    finally:
        _present = before
