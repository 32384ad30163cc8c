"""The evidence with neighbours by TensorFlow's operations: what a GPU does, panel by panel.

The formulas are those of `svgp.models.neighbours.evidence` and `conditional`, and so are the blocks. Of a
block X, the residuals and the numbers of neighbours go up; A, At, the factors of all C and, on the way back,
the adjoints of At stay there, as do the `[M, M]` sums and the gradient until the last block; only they, and
the adjoints of the residuals `[N, P]`, come down. Panels are padded to one size: a graph is made once.

Adjoints are gathered, not scattered: a row of A_bar is a sum over the sets that the row is in, in their
order. So the same numbers come out each time, which additions in the order of a GPU's threads would not give.
Several devices (`svgp.replicas`) have blocks of their own.

In M^2 N operations: 1.25 for A, 1.25 for the sum; back 2 for B^-1 at, 1.25 for X and 1.25 through L.

Taken where the host's BLAS is not: on a GPU, or inside `svgp.linalg.backend("tensorflow")`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from svgp.linalg import blocks
from svgp.models.collapsed.device import DeviceLane
from svgp.models.collapsed.device_sums import DeviceSums, on_host
from svgp.models.collapsed.kernels import compiled
from svgp.models.collapsed.panels import Stopped
from svgp.models.collapsed.posterior import OptimalPosterior
from svgp.models.collapsed.statistics import Statistics
from svgp.models.neighbours.blocks import Block, Blocks
from svgp.models.neighbours.device_conditional import residual, weights, with_one
from svgp.models.neighbours.device_panels import Entries, Panel, panels
from svgp.models.neighbours.process import ResidualProcess
from svgp.replicas import replicas

ENTRIES = 1 << 24  # of one [C, m + 1, M] array, 128 MiB; about three of them are alive at a time

ALIKE = 64  # rows by which panels differ where graphs are shared

_WIDE = tf.float64


class Conditioned(NamedTuple):
    """What neighbours make of the rows of a panel: as in `conditional`, C by its factor."""

    at: tf.Tensor  # [C, M]
    yt: tf.Tensor  # [C, P]
    b: tf.Tensor  # [C, m]
    D: tf.Tensor  # [C]
    factor: tf.Tensor  # [C, m, m] lower


class Held(NamedTuple):
    """What a block's rows have been found to be."""

    X: tf.Tensor  # [U, D]
    r: tf.Tensor  # [U, P]
    A: tf.Tensor  # [U, M]
    panels: list[tuple[Panel, Conditioned]]


class DeviceAdjoint(NamedTuple):
    """Sums of the second pass, on the host."""

    r_bar: np.ndarray  # [N, P] of the residuals y - mean
    moments: list[np.ndarray]  # one [M, M], X's lower triangle
    squared_error: float  # sum e^2 / D
    noise_bar: float


class DevicePasses:
    """Both passes for the model of `process`, whose kernel is one of `TensorFlowSets`.

    `columns` of X, `outputs` P, `members`: m + 1; `longest`: own rows of a block, which are cut into panels
    that are alike; `panel_rows`: C, for tests. Without `variables` there is a first pass alone, by dense
    products in graphs for any M: rows that are taken out in turn, with the points at them, share these.
    """

    def __init__(
        self, process: ResidualProcess, variables: Sequence[tf.Variable], columns: int, outputs: int,
        members: int, longest: int, panel_rows: int | None,
    ) -> None:  # fmt: skip
        self.process, self.variables = process, list(variables)
        self._sizes = len(process.frame.L), outputs
        M, s = self._sizes[0] if self.variables else None, members
        most = max(8, min(4096, ENTRIES // (s * self._sizes[0])))
        rows = panel_rows or -(-longest // max(1, -(-longest // most))) or 1
        C = self.rows = rows if self.variables else -(-rows // ALIKE) * ALIKE
        X, r, A = (tf.TensorSpec([None, width], _WIDE) for width in (columns, outputs, M))
        number, square, thin = (tf.TensorSpec(shape, _WIDE) for shape in ([], [M, M], [M, outputs]))
        panel = Panel(
            tf.TensorSpec([C, s], tf.int32), tf.TensorSpec([C, s - 1], tf.bool), tf.TensorSpec([C], _WIDE)
        )
        shapes = ([C, M], [C, outputs], [C, s - 1], [C], [C, s - 1, s - 1])
        found = Conditioned(*(tf.TensorSpec(shape, _WIDE) for shape in shapes))
        entries, column = tf.TensorSpec([None], tf.int32), tf.TensorSpec([None], _WIDE)
        key = (C, s, columns, outputs)
        forward: tuple[Callable[..., Any], ...] | None = None if self.variables else process.graphs.get(key)
        if forward is None:
            forward = (
                compiled(self._project_graph, [X, tf.TensorSpec([M, columns], _WIDE), square]),
                compiled(self._transform_graph, [X, r, A, *panel, number]),
            )
        if not self.variables:
            process.graphs[key] = forward
        self._project, self._transform = forward
        self._rows_back = compiled(self._rows_back_graph, [X, r, A, *panel, *found, thin, square])
        self._pool_back = compiled(
            self._pool_back_graph, [X, A, A, A, r, column, column, entries, entries, entries, square]
        )
        self._entries = [Entries() for _ in range(replicas().count)]  # one a device
        self.lanes = [DeviceLane([])]

    def first(
        self, blocks: Blocks, X: np.ndarray, R: np.ndarray, keep_going: Callable[[], bool], keep: bool
    ) -> tuple[Statistics, list[Held] | None]:
        """The sums over these rows X `[N, D]`, R `[N, P]`; `keep`: and what each device's block is."""

        def on(device: int) -> tuple[DeviceSums, int, Held | None]:
            sums, rows, held = DeviceSums(), 0, None
            for block in blocks.of(device):
                held = self._held(block, X, R, keep_going, sums)
                rows += block.own
            return sums, rows, held

        parts, rows, kept = zip(*replicas().each(on), strict=True)
        found = on_host(parts)
        if not found:  # a worker without rows
            return Statistics.zero(*self._sizes, tight=False), None
        gram, projection, squares, log_ratio = found
        sums = Statistics(gram, projection, None, sum(rows), 0.0, squares, log_ratio[None], np.zeros(1))
        return sums, list(kept) if keep else None

    def second(
        self, posterior: OptimalPosterior, blocks: Blocks, kept: list[Held] | None, X: np.ndarray,
        R: np.ndarray, keep_going: Callable[[], bool],
    ) -> DeviceAdjoint:  # fmt: skip
        """The adjoints of all rows; the gradient through panels and sets is left in `lanes`."""
        M, r_bar = self._sizes[0], np.zeros_like(R)

        def on(device: int) -> tuple[DeviceSums, DeviceSums, list[tuple[np.ndarray, np.ndarray]]]:
            w, covariance = tf.constant(posterior.mean), tf.constant(posterior.covariance[0])
            L_inverse = tf.constant(posterior.frame.L_inverse)
            through_sets, through_panels, bars = DeviceSums(), DeviceSums(), []
            for block in blocks.of(device):
                held = kept[device] if kept else self._held(block, X, R, keep_going, None)
                back = self._sets_back(held, w, covariance, through_sets, keep_going)
                found = []
                for rows, entries in self._entries[device].ranges(block, max(1, ENTRIES // M)):
                    _look(keep_going)
                    bar, *sums = self._pool_back(held.X[rows], held.A[rows], *back, *entries, L_inverse)
                    found.append(bar)
                    through_panels.add(sums[0], *sums[1])
                bars.append((block.rows, np.concatenate([np.asarray(bar) for bar in found])))
            return through_sets, through_panels, bars

        sets, pools, bars = zip(*replicas().each(on), strict=True)
        for rows, bar in (pair for device in bars for pair in device):  # rows are in several blocks
            r_bar[rows] += bar
        if not (found := on_host(sets)):
            self.lanes = [DeviceLane([np.zeros(v.shape) for v in self.variables])]
            return DeviceAdjoint(r_bar, [np.zeros((M, M))], 0.0, 0.0)
        error, noise, *through_sets = found
        X_sum, *through_panels = on_host(pools)
        self.lanes = [DeviceLane([a + b for a, b in zip(through_sets, through_panels, strict=True)])]
        return DeviceAdjoint(r_bar, [X_sum], float(error), float(noise))

    # ---- what is done with a block

    def _held(
        self, block: Block, X: np.ndarray, R: np.ndarray, keep_going: Callable[[], bool],
        sums: DeviceSums | None,
    ) -> Held:  # fmt: skip
        frame, Z = self.process.frame, tf.constant(self.process.points(), _WIDE)
        noise, L_inverse = tf.constant(self.process.noise, _WIDE), tf.constant(frame.L_inverse)
        x, r = tf.constant(X[block.rows], _WIDE), tf.constant(R[block.rows], _WIDE)
        parts, step = [], max(256, ENTRIES // (4 * self._sizes[0]))
        for start in range(0, len(block.rows), step):
            _look(keep_going)
            parts.append(self._project(x[start : start + step], Z, L_inverse))
        held = Held(x, r, _joined(parts), [])
        for panel in panels(block, self.rows):
            _look(keep_going)
            found = self._transform(held.X, held.r, held.A, *panel, noise)
            if sums is not None:
                sums.add(*found[:4])
            held.panels.append((panel, Conditioned(*found[4:])))
        return held

    def _sets_back(
        self,
        held: Held,
        w: tf.Tensor,
        covariance: tf.Tensor,
        sums: DeviceSums,
        keep_going: Callable[[], bool],
    ) -> tuple[tf.Tensor, ...]:
        """`at_bar - ut`, At, yt_bar, bt and -u of own rows; to `sums`: e^2 / D, noise_bar, gradients."""
        parts = []
        for panel, found in held.panels:
            _look(keep_going)
            *arrays, error, noise, gradients = self._rows_back(
                held.X, held.r, held.A, *panel, *found, w, covariance
            )
            parts.append(arrays)
            sums.add(error, noise, *gradients)
        V, bt, u, yt_bar = (_joined(part) for part in zip(*parts, strict=True))
        return V, _joined([found.at for _, found in held.panels]), yt_bar, bt, u

    # ---- graphs

    def _project_graph(self, X: tf.Tensor, Z: tf.Tensor, L_inverse: tf.Tensor) -> tf.Tensor:
        """A `[n, M]`."""
        Kuf = self.process.model.kernel.K(Z, X, dtype=_WIDE)
        return tf.linalg.matrix_transpose(blocks.lower_product(L_inverse, Kuf))

    def _transform_graph(
        self, X: tf.Tensor, r: tf.Tensor, A: tf.Tensor, sets: tf.Tensor, present: tf.Tensor, real: tf.Tensor,
        noise: tf.Tensor,
    ) -> tuple[tf.Tensor, ...]:  # fmt: skip
        """The sums over a panel's rows, then what `Conditioned` names."""
        rows = tf.gather(A, sets)  # [C, m + 1, M]
        K = self.process.model.kernel.K(tf.gather(X, sets), dtype=_WIDE)  # [C, m + 1, m + 1]
        R = residual(rows, K, present)
        b, factor = weights(R, present, noise)
        rounding = float(np.finfo(np.float64).eps)
        D = R.own + noise - tf.reduce_sum(R.cross * b, 1)  # [C]
        D = tf.maximum(D, tf.maximum(noise, rounding * R.prior))
        bt = with_one(b)[:, None, :]  # [C, 1, m + 1]
        at, yt = tf.matmul(bt, rows)[:, 0], tf.matmul(bt, tf.gather(r, sets))[:, 0]  # [C, M], [C, P]
        inverse = real / D  # [C]
        gram = blocks.weighted_gram(tf.linalg.matrix_transpose(at), inverse[None])  # [M, M]
        scaled = yt * inverse[:, None]  # [C, P]
        squares, log_ratio = tf.reduce_sum(yt * scaled, 0), tf.reduce_sum(real * tf.math.log(D))
        return gram, tf.matmul(at, scaled, transpose_a=True), squares, log_ratio, at, yt, b, D, factor

    def _rows_back_graph(
        self, X: tf.Tensor, r: tf.Tensor, A: tf.Tensor, sets: tf.Tensor, present: tf.Tensor, real: tf.Tensor,
        at: tf.Tensor, yt: tf.Tensor, b: tf.Tensor, D: tf.Tensor, factor: tf.Tensor, w: tf.Tensor,
        covariance: tf.Tensor,
    ) -> tuple[Any, ...]:  # fmt: skip
        """`at_bar - ut [C, M]`, `bt [C (m + 1)]`, `-u` likewise, `yt_bar [C, P]`, sums and gradients."""
        outputs = tf.cast(self._sizes[1], _WIDE)
        e, v = yt - tf.matmul(at, w), tf.matmul(at, covariance)  # [C, P], [C, M]
        D_bar = tf.reduce_sum(e * e, 1) + outputs * (tf.reduce_sum(at * v, 1) - D)
        D_bar *= 0.5 * real / D**2  # [C]
        share = (real / D)[:, None]  # [C, 1]
        v = tf.matmul(e * share, w, transpose_b=True) - outputs * share * v
        yt_bar = -e * share
        rows, bt = tf.gather(A, sets), with_one(b)  # [C, m + 1, M], [C, m + 1]
        seen = tf.matmul(rows[:, :-1], v[:, :, None]) + tf.matmul(
            tf.gather(r, sets[:, :-1]), yt_bar[:, :, None]
        )  # [C, m, 1]
        b_bar = -tf.where(present[..., None], seen, tf.zeros_like(seen))
        q = tf.linalg.cholesky_solve(factor, b_bar)[..., 0] if b.shape[1] else b_bar[..., 0]  # [C, m]
        u = D_bar[:, None] * bt + tf.pad(q, [[0, 0], [0, 1]])  # [C, m + 1]
        v -= tf.matmul(u[:, None, :], rows)[:, 0]
        half = 0.5 * u[:, :, None] * bt[:, None, :]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self.variables)
            K = self.process.model.kernel.K(tf.gather(X, sets), dtype=_WIDE)
        gradients = self._gradients(tape, K, half + tf.linalg.matrix_transpose(half))
        error, noise_bar = tf.reduce_sum(e * e * share), tf.reduce_sum(u * bt)
        return v, tf.reshape(bt, [-1]), tf.reshape(-u, [-1]), yt_bar, error, noise_bar, gradients

    def _pool_back_graph(
        self, X: tf.Tensor, A: tf.Tensor, V: tf.Tensor, At: tf.Tensor, yt_bar: tf.Tensor, bt: tf.Tensor,
        minus_u: tf.Tensor, own: tf.Tensor, place: tf.Tensor, row: tf.Tensor, L_inverse: tf.Tensor,
    ) -> tuple[Any, ...]:  # fmt: skip
        """r_bar `[n, P]`, a part of X's lower triangle, and gradients, of n rows of a block."""
        weight = tf.gather(bt, place)[:, None]  # [E, 1]
        parts = weight * tf.gather(V, own) + tf.gather(minus_u, place)[:, None] * tf.gather(At, own)
        A_bar = tf.math.segment_sum(parts, row)  # [n, M]
        r_bar = tf.math.segment_sum(weight * tf.gather(yt_bar, own), row)  # [n, P]
        across = tf.linalg.matrix_transpose(A_bar)  # [M, n]
        moments = blocks.lower_gram(across, tf.linalg.matrix_transpose(A))
        Kuf_bar = blocks.lower_product(L_inverse, across, transpose=True)  # [M, n]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self.variables)
            Kuf = self.process.model.kernel.K(self.process.model.Z, X, dtype=_WIDE)
        return r_bar, moments, self._gradients(tape, Kuf, Kuf_bar)

    def _gradients(self, tape: tf.GradientTape, K: tf.Tensor, K_bar: tf.Tensor) -> list[tf.Tensor]:
        none = tf.UnconnectedGradients.ZERO
        found = tape.gradient(K, self.variables, output_gradients=K_bar, unconnected_gradients=none)
        return [tf.cast(tf.convert_to_tensor(g), _WIDE) for g in found]


def _joined(parts: Sequence[tf.Tensor]) -> tf.Tensor:
    return parts[0] if len(parts) == 1 else tf.concat(list(parts), 0)


def _look(keep_going: Callable[[], bool]) -> None:
    if not keep_going():
        raise Stopped
