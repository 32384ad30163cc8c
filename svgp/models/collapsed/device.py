"""The two passes over the rows by TensorFlow's operations: what a GPU does, chunk by chunk.

The formulas are those of `svgp.models.collapsed.bound`. A chunk of X and of the residuals goes up, the
`[M, M]` sums and the gradient stay on the device until the last chunk, and only they, and the errors
`[N, P]`, come down. Triangles are multiplied by strips (`svgp.linalg.blocks`): in units of M^2 N operations
1.25 for A and for each sum of products, and on the way back 1.25 for A again, 2, and 1.25 where tight.
Together 3.75 + 4.5 for the tight bound, where the host takes 3 + 3 (4 for rows whose A is not kept); counted
by TensorFlow's profiler in tests/models/collapsed/test_device.py.

It is taken where the host's BLAS is not: on a GPU, or inside `svgp.linalg.backend("tensorflow")`. Several
devices (`svgp.replicas`) take chunks in turn, each with sums of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from svgp.linalg import blocks
from svgp.models.collapsed.device_sums import DeviceSums, on_host
from svgp.models.collapsed.panels import Stopped
from svgp.models.collapsed.posterior import OptimalPosterior, row_adjoint
from svgp.models.collapsed.statistics import Frame, Statistics
from svgp.replicas import replicas
from svgp.rows import Block

ENTRIES = 1 << 23  # of one [M, C] matrix, 64 MiB; about six of them are alive at a time


class DeviceLane(NamedTuple):
    """The gradient's sums over rows, in the order of the variables, as `KernelRows.gradients` takes them."""

    sums: list[np.ndarray]


class DevicePasses:
    """Both passes for one model; `columns` of X, `outputs` P, rows in chunks of `chunk` (None: by memory)."""

    def __init__(
        self, model: Any, variables: Sequence[tf.Variable], columns: int, outputs: int, chunk: int | None
    ) -> None:
        self.model, self.variables = model, list(variables)
        size = int(model.Z.shape[0])
        self._sizes = size, outputs
        self._chunk = chunk or max(256, ENTRIES // size)
        rows, targets = tf.TensorSpec([None, columns], tf.float64), tf.TensorSpec([None, outputs], tf.float64)
        square, thin = tf.TensorSpec([size, size], tf.float64), tf.TensorSpec([size, outputs], tf.float64)
        noises = tf.TensorSpec([None], tf.float64)
        self._functions = {
            (name, tight, whitened): tf.function(
                getattr(self, name)(tight, whitened), input_signature=signature, autograph=False
            )
            for tight, whitened in ((True, True), (False, True), (False, False))
            for name, signature in (
                ("_first", [rows, targets, square, noises]),
                ("_second", [rows, targets, square, square, thin, thin, noises]),
            )
        }
        self._begin()

    def _begin(self) -> None:
        """Forget all sums."""
        self._sums = [DeviceSums() for _ in range(replicas().count)]  # of each device

    def release(self) -> None:
        """There are no panels that are kept."""

    def begin_first(self, frame: Frame, *, keep: bool, gradient: bool) -> None:
        """Pass 1 begins; nothing is kept, and the sums are those for the gradient."""
        self._begin()
        self._frame, self._rows = frame, 0

    def add_first(self, block: Block, R: np.ndarray, keep_going: Callable[[], bool]) -> None:
        """Pass 1 over a block of rows X `[n, D]` with residuals R `[n, P]`. Raises Stopped."""
        frame, X = self._frame, np.asarray(block.X, np.float64)
        add = self._functions["_first", frame.tight, frame.whitened]
        operands = _everywhere(frame.L_inverse, frame.noise)
        for chunks in self._chunks(X, R, keep_going):
            self._shared(chunks, lambda number, x, r: add(x, r, *operands[number]))
        self._rows += len(R)

    def statistics(self) -> Statistics:
        """The sums of pass 1, on the host."""
        frame, rows, total = self._frame, self._rows, on_host(self._sums)
        if not total:  # a worker without rows
            return Statistics.zero(*self._sizes, frame.tight, len(frame.noise))
        gram, projection, weighted, prior, *sums = total
        # squares, log_ratio, shrinkage
        return Statistics(gram, projection, weighted if frame.tight else None, rows, float(prior), *sums)

    def begin_second(self, posterior: OptimalPosterior) -> None:
        """Pass 2 begins."""
        self._begin()
        self._posterior, self._right = posterior, row_adjoint(posterior)

    def add_second(self, block: Block, R: np.ndarray, keep_going: Callable[[], bool]) -> np.ndarray:
        """Pass 2 over a block of rows: the errors e `[n, P]`. Raises Stopped."""
        posterior, X = self._posterior, np.asarray(block.X, np.float64)
        frame, weights = posterior.frame, posterior.weights  # [M, P]
        pull = self._functions["_second", frame.tight, frame.whitened]
        own = posterior.mean if frame.whitened else weights  # of what a chunk holds
        arrays = (frame.L_inverse, self._right, own, weights, frame.noise)
        operands = _everywhere(*arrays)
        errors: list[tf.Tensor] = []
        for chunks in self._chunks(X, R, keep_going):
            errors += self._shared(chunks, lambda number, x, r: pull(x, r, *operands[number]), heads=1)
        return np.concatenate([np.asarray(e) for e in errors])

    @property
    def lanes(self) -> list[DeviceLane]:
        """What pass 2 has left: the gradient through Kuf and kff."""
        total = on_host(self._sums)
        return [DeviceLane(total or [np.zeros(v.shape) for v in self.variables])]

    def _shared(
        self, chunks: list[tuple[np.ndarray, np.ndarray]], work: Callable[..., Sequence[Any]], heads: int = 0
    ) -> list[tf.Tensor]:
        """Chunks to devices, one each; what `work` gives is added to their sums but for the `heads`."""

        def on(number: int) -> list[tf.Tensor]:
            if number >= len(chunks):
                return []
            found = list(work(number, *(tf.constant(a, tf.float64) for a in chunks[number])))
            self._sums[number].add(*found[heads:])
            return found[:heads]

        return [x for found in replicas().each(on) for x in found]

    def _chunks(
        self, X: np.ndarray, R: np.ndarray, keep_going: Callable[[], bool]
    ) -> Iterator[list[tuple[np.ndarray, np.ndarray]]]:
        """As many as there are devices at a time."""
        step = self._chunk * replicas().count
        for start in range(0, len(X), step):
            if not keep_going():
                raise Stopped
            starts = range(start, min(start + step, len(X)), self._chunk)
            rows = [slice(first, first + self._chunk) for first in starts]
            yield [(X[part], R[part]) for part in rows]

    def _kernel(self, X: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Kuf `[M, C]` and kff `[C]`."""
        kernel = self.model.kernel
        return kernel.K(self.model.Z, X, dtype=tf.float64), kernel.K_diag(X, dtype=tf.float64)

    def _first(self, tight: bool, whitened: bool) -> Callable[..., tuple[tf.Tensor, ...]]:
        def sums(X: tf.Tensor, r: tf.Tensor, L_inverse: tf.Tensor, noise: tf.Tensor) -> tuple[tf.Tensor, ...]:
            Kuf, kff = self._kernel(X)
            A = blocks.lower_product(L_inverse, Kuf) if whitened else Kuf  # [M, C]
            zero, rows = tf.zeros([], tf.float64), tf.ones_like(kff)[None]  # [1, C]
            weighted, log_ratio, shrinkage = zero, tf.zeros_like(noise), tf.zeros_like(noise)
            if tight:
                d = _residual(A, kff)[:, None]  # [C, 1]
                weighted = blocks.weighted_gram(A, tf.reduce_sum(1.0 / (noise + d), 1)[None])
                log_ratio = tf.reduce_sum(tf.math.log1p(d / noise), 0)  # [K]
                shrinkage = tf.reduce_sum(d / (noise + d), 0) / noise
            gram = blocks.weighted_gram(A, rows)  # [M, M]
            numbers = (tf.reduce_sum(kff), tf.reduce_sum(r * r, 0), log_ratio, shrinkage)
            return gram, tf.matmul(A, r), weighted, *numbers

        return sums

    def _second(self, tight: bool, whitened: bool) -> Callable[..., tuple[tf.Tensor, ...]]:
        def adjoints(
            X: tf.Tensor, r: tf.Tensor, L_inverse: tf.Tensor, right: tf.Tensor, own: tf.Tensor,
            weights: tf.Tensor, noise: tf.Tensor,
        ) -> tuple[tf.Tensor, ...]:  # fmt: skip
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(self.variables)
                Kuf, kff = self._kernel(X)
            A = blocks.lower_product(L_inverse, Kuf) if whitened else Kuf  # [M, C]
            e = r - tf.matmul(A, own, transpose_a=True)  # [C, P]
            share = tf.cast(tf.shape(r)[1] / tf.size(noise), tf.float64)
            d = _residual(A, kff) if tight else tf.zeros_like(kff)  # [C]
            w = share * tf.reduce_sum(1.0 / (noise + d[:, None]), 1)  # [C]
            Kuf_bar = tf.matmul(right, A, transpose_a=True)  # [M, C]
            if tight:
                Kuf_bar = blocks.lower_product(L_inverse, Kuf_bar + A * w, transpose=True)
            Kuf_bar += tf.matmul(weights, e / noise, transpose_b=True)
            found = tape.gradient(
                [Kuf, kff], self.variables, output_gradients=[Kuf_bar, -0.5 * w],
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )  # fmt: skip
            return e, *(tf.cast(tf.convert_to_tensor(g), tf.float64) for g in found)

        return adjoints


def _everywhere(*arrays: Any) -> list[list[tf.Tensor]]:
    """The arrays on each device."""
    return replicas().each(lambda _: [tf.constant(a, tf.float64) for a in arrays])


def _residual(A: tf.Tensor, kff: tf.Tensor) -> tf.Tensor:
    """`d = kff - colsum(A o A)` `[C]`, not below zero, where rounding could put it."""
    return tf.maximum(kff - tf.reduce_sum(A * A, 0), 0.0)
