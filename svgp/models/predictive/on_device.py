"""What neighbours add to predictions, by TensorFlow's operations: what a GPU does, batch by batch.

The formulas are those of `svgp.models.predictive.corrections`. A stays on the device for all training rows
where it fits, else the rows that a batch needs are projected there. Batches are padded to a power of two:
there are few graphs, and folds of the same rows share them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import tensorflow as tf

from svgp.models.collapsed.kernels import compiled
from svgp.models.collapsed.panels import kept_bytes
from svgp.models.neighbours import NONE
from svgp.models.neighbours.device_conditional import residual, weights
from svgp.models.neighbours.search import cluster_order

if TYPE_CHECKING:
    from svgp.models.predictive.corrections import Found, NeighbourRows

ENTRIES = 1 << 24  # of one [Q, m + 1, M] array, 128 MiB
MOST_QUERIES = 1024
PROJECTED = 1 << 14  # rows at a time
SEARCHED = 1 << 16  # queries whose neighbours are found at a time

_WIDE = tf.float64


class Answer(NamedTuple):
    """Of T queries, in the letters of `corrections`; beta is not in it yet."""

    A: tf.Tensor  # [T, M]
    b: tf.Tensor  # [L, T, m]
    at: tf.Tensor  # [L, T, M]
    mean: tf.Tensor  # [T, L] b^T r_n
    left: tf.Tensor  # [T, L]
    explained: tf.Tensor  # [T, L] |S^T at|^2; zero without a q
    sparse: tf.Tensor  # [T, L] A w; zero without a q
    prior: tf.Tensor  # [T]
    among: tf.Tensor  # [T, m, m] R[n, n]
    cross: tf.Tensor  # [T, m] R[n, *]


class DeviceRows:
    """Graphs for one kernel, and what is kept of training rows between two calls."""

    def __init__(self, kernel: Any, columns: int) -> None:
        self._kernel, self._columns = kernel, columns
        self._graphs: dict[tuple[int, ...], Callable[..., Any]] = {}
        points, square = tf.TensorSpec([None, columns], _WIDE), tf.TensorSpec([None, None], _WIDE)
        self._project = compiled(self._project_graph, [points, points, square])
        self._kept: tuple[NeighbourRows, tf.Tensor] | None = None

    def answers(self, rows: NeighbourRows, found: Found, use: Callable[[np.ndarray, Answer], None]) -> None:
        """`use(numbers, answer)` for batches of the queries `found`, of training rows `rows`."""
        (T, m), M = found.neighbours.shape, len(rows.process.frame.L)
        most = max(8, min(MOST_QUERIES, ENTRIES // ((m + 1) * M)))
        most = min(1 << (most.bit_length() - 1), 1 << (max(T, 1) - 1).bit_length())
        L_inverse, Z = tf.constant(rows.process.frame.L_inverse), tf.constant(rows.process.points())
        whole = self._whole(rows, Z, L_inverse)
        q = self._q(rows, M)
        order = np.arange(T) if whole is not None else cluster_order(rows.nearest.scaled(found.X))
        for start in range(0, T, most):
            batch = order[start : start + most]
            part = found.take(np.pad(batch, (0, most - len(batch)), mode="edge"))
            present = part.neighbours != NONE
            places = np.where(present, part.neighbours, 0)  # [Q, m]
            near = rows.X[places]  # [Q, m, D]
            r, lam = (np.stack(x, 2) for x in zip(*self._noisy(rows, places), strict=True))  # [Q, m, L]
            pool = whole
            if pool is None:
                used, places = np.unique(places, return_inverse=True)
                pool = self._projected(rows.X[used], Z, L_inverse)
            graph = self._graph(most, m, r.shape[2])
            arrays = (part.X, near, r, lam)
            answer = graph(
                *(tf.constant(x, _WIDE) for x in arrays), tf.constant(present),
                tf.constant(places.reshape(present.shape), tf.int32), pool, Z, L_inverse, *q,
            )  # fmt: skip
            use(batch, _first(Answer(*answer), len(batch)))

    # ---- what goes up

    def _noisy(self, rows: NeighbourRows, places: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Residuals and noise variances of neighbours, latent by latent."""
        latents = range(rows.residual.shape[1])
        return [(rows.residual[places, latent], rows.variances(latent, places)) for latent in latents]

    @staticmethod
    def _q(rows: NeighbourRows, M: int) -> tuple[tf.Tensor, tf.Tensor]:
        """w `[L, M]` and S `[L, M, M]`; zero where q was not found together with neighbours."""
        if rows.joint is None:
            L = rows.residual.shape[1]
            return tf.zeros([L, M], _WIDE), tf.zeros([L, M, 0], _WIDE)
        return tf.constant(rows.joint.q_mean, _WIDE), tf.constant(rows.joint.q_sqrt, _WIDE)

    def _whole(self, rows: NeighbourRows, Z: tf.Tensor, L_inverse: tf.Tensor) -> tf.Tensor | None:
        """A of all training rows, where there is room for it."""
        if 8 * len(rows.X) * len(Z) > kept_bytes():
            return None
        if self._kept is None or self._kept[0].X is not rows.X or self._kept[0].process is not rows.process:
            self._kept = rows, self._projected(rows.X, Z, L_inverse)
        return self._kept[1]

    def _projected(self, X: np.ndarray, Z: tf.Tensor, L_inverse: tf.Tensor) -> tf.Tensor:
        starts = range(0, max(len(X), 1), PROJECTED)
        parts = [tf.constant(X[start : start + PROJECTED], _WIDE) for start in starts]
        return tf.concat([self._project(x, Z, L_inverse) for x in parts], 0)

    # ---- graphs

    def _project_graph(self, X: tf.Tensor, Z: tf.Tensor, L_inverse: tf.Tensor) -> tf.Tensor:
        """A `[n, M]`."""
        return tf.matmul(self._kernel.K(X, Z, dtype=_WIDE), L_inverse, transpose_b=True)

    def _graph(self, queries: int, m: int, latents: int) -> Callable[..., Any]:
        key = queries, m, latents
        if key not in self._graphs:
            D, L = self._columns, latents
            shapes = ([queries, D], [queries, m, D], [queries, m, L], [queries, m, L])
            ends = ([None, None], [None, D], [None, None], [L, None], [L, None, None])
            self._graphs[key] = compiled(
                self._answer_graph,
                [
                    *(tf.TensorSpec(shape, _WIDE) for shape in shapes),
                    tf.TensorSpec([queries, m], tf.bool),
                    tf.TensorSpec([queries, m], tf.int32),
                    *(tf.TensorSpec(shape, _WIDE) for shape in ends),
                ],
            )
        return self._graphs[key]

    def _answer_graph(
        self, X: tf.Tensor, near: tf.Tensor, r: tf.Tensor, lam: tf.Tensor, present: tf.Tensor,
        places: tf.Tensor, pool: tf.Tensor, Z: tf.Tensor, L_inverse: tf.Tensor, w: tf.Tensor, S: tf.Tensor,
    ) -> Answer:  # fmt: skip
        A = self._project_graph(X, Z, L_inverse)  # [Q, M]
        rows = tf.concat([tf.gather(pool, places), A[:, None]], 1)  # [Q, m + 1, M]
        R = residual(rows, self._kernel.K(tf.concat([near, X[:, None]], 1), dtype=_WIDE), present)
        parts = []
        for latent in range(r.shape[2]):
            b, _ = weights(R, present, lam[:, :, latent])
            at = A - tf.matmul(b[:, None, :], rows[:, :-1])[:, 0]  # [Q, M]
            mean = tf.reduce_sum(b * tf.where(present, r[:, :, latent], tf.zeros_like(b)), 1)
            left = tf.maximum(R.own - tf.reduce_sum(R.cross * b, 1), 0.0)
            explained = tf.reduce_sum(tf.matmul(at, S[latent]) ** 2, 1)
            parts.append((b, at, mean, left, explained))
        b, at, *columns = (list(x) for x in zip(*parts, strict=True))
        mean, left, explained = (tf.stack(x, 1) for x in columns)  # [Q, L] each
        sparse = tf.matmul(A, w, transpose_b=True)  # [Q, L]
        return Answer(
            A, tf.stack(b), tf.stack(at), mean, left, explained, sparse, R.own, R.neighbours, R.cross
        )


def _first(answer: Answer, rows: int) -> Answer:
    """Without what a batch was filled up with."""
    ours = {name: x[:rows] for name, x in answer._asdict().items()}
    return Answer(**{**ours, "b": answer.b[:, :rows], "at": answer.at[:, :rows]})
