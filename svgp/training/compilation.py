"""A training step as one graph, which XLA compiles on a GPU; where it cannot, the graph runs as it is.

XLA fuses the elementwise work of a step (kernel matrices and their adjoints are a dozen sweeps over `[M, B]`)
into few kernels. A batch of another size compiles once more: an epoch's last one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from svgp.replicas import replicas
from svgp.workers import present

logger = logging.getLogger(__name__)

# What TensorFlow raises where XLA has no kernel for an operation, or not the libraries that it needs.
_REFUSALS = (
    tf.errors.InvalidArgumentError,
    tf.errors.UnimplementedError,
    tf.errors.InternalError,
    tf.errors.NotFoundError,
    tf.errors.FailedPreconditionError,
)


class CompiledStep:
    """`function` as a `tf.function` of tensors like `signature`; `xla` None: where there is a GPU, and
    no other worker or device, whose messages XLA does not carry.

    The first call decides: XLA compiles before it runs anything, so a step that it refuses has changed
    nothing, and is taken by the graph as it is, from then on, with a warning in the log and `why` set.
    """

    def __init__(
        self, function: Callable[..., Any], signature: Sequence[tf.TensorSpec], *, xla: bool | None = None
    ) -> None:
        self._function, self._signature = function, list(signature)
        alone = present().alone and replicas().alone
        self.xla = alone and bool(tf.config.list_logical_devices("GPU")) if xla is None else xla
        self.why = ""  # XLA was given up
        self._graph = self._make(self.xla)
        self._proven = not self.xla

    def __call__(self, *tensors: Any) -> Any:
        if self._proven:
            return self._graph(*tensors)
        try:
            result = self._graph(*tensors)
        except _REFUSALS as error:
            self.why = str(error.message).splitlines()[0][:200]
            logger.warning("XLA cannot compile this step, which runs as a graph instead: %s", self.why)
            self.xla, self._graph = False, self._make(False)
            result = self._graph(*tensors)
        self._proven = True
        return result

    def traces(self) -> int:
        """How often a graph was made: once, whatever the sizes of batches."""
        return int(self._graph.experimental_get_tracing_count())

    def _make(self, xla: bool) -> Any:
        return tf.function(
            self._function, input_signature=self._signature, autograph=False, jit_compile=xla or None
        )
