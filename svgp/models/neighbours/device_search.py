"""Nearest rows by TensorFlow's operations: all distances by products, and the nearest by top-k.

What a GPU does in the place of a tree, which it cannot walk well. Exact, in blocks: of Q queries and C rows
at a time `|p|^2 - 2 q^T p` is made (a query's own norm does not change the order), and the nearest of
the block join those of the blocks before it. 2 E operations a pair, E columns, and its distance is written
and read. Distances of the chosen ones are taken from differences, as a tree takes them.

For rows each of which sees earlier ones alone the later ones of a block are masked, and blocks that hold none
but later ones are not made: half of all pairs, and no more neighbours are asked for than are wanted.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from svgp.models.collapsed.kernels import compiled

QUERIES, ROWS = 1024, 1 << 14  # of a block: 128 MiB of distances
NONE = -1

_WIDE = tf.float64


class DeviceSearch:
    """The rows `points [N, E]`, N > 0, on the device."""

    def __init__(self, points: np.ndarray) -> None:
        starts = range(0, len(points), ROWS)
        self._points = points
        self._blocks = [tf.constant(points[start : start + ROWS], _WIDE) for start in starts]

    def query(self, queries: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Distances and indices `[B, count]` of the rows nearest to `queries [B, E]`, nearest first."""
        return self._nearest(queries, np.full(len(queries), len(self._points)), count)

    def earlier(self, count: int) -> np.ndarray:
        """For each row the `count` nearest of those before it `[N, count]`; NONE where there are fewer."""
        return self._nearest(self._points, np.arange(len(self._points)), count)[1]

    def _nearest(self, queries: np.ndarray, limits: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Among the rows of numbers below `limits [B]`, which do not fall."""
        distances = np.full((len(queries), count), np.inf)
        found: np.ndarray = np.full((len(queries), count), NONE, np.int64)
        for start in range(0, len(queries), QUERIES):
            some = slice(start, start + QUERIES)
            own = queries[some]
            x, limit = tf.constant(own, _WIDE), tf.constant(limits[some], tf.int32)
            best = tf.fill([len(own), count], tf.constant(-np.inf, _WIDE)), tf.fill([len(own), count], NONE)
            for first in range(0, int(limits[some][-1]), ROWS):
                best = _joined(x, limit, self._blocks[first // ROWS], tf.constant(first), *best)
            near = found[some] = np.asarray(best[1])
            apart = own[:, None] - self._points[near]  # [Q, count, E]
            distances[some] = np.where(near == NONE, np.inf, np.sqrt(np.einsum("qce,qce->qc", apart, apart)))
        return distances, found


def _joined_graph(
    queries: tf.Tensor, limits: tf.Tensor, points: tf.Tensor, first: tf.Tensor, nearness: tf.Tensor,
    rows: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:  # fmt: skip
    """`nearness` and `rows [Q, count]`, the best so far, with those of a block that begins at row `first`."""
    count, size = tf.shape(rows)[1], tf.shape(points)[0]
    own = 2.0 * tf.matmul(queries, points, transpose_b=True) - tf.reduce_sum(points * points, 1)  # [Q, C]
    numbers = first + tf.range(size)
    own = tf.where(numbers < limits[:, None], own, tf.constant(-np.inf, _WIDE))
    values, places = tf.math.top_k(own, tf.minimum(count, size))
    both = tf.concat([nearness, values], 1)
    chosen = tf.where(values > -np.inf, first + places, NONE)
    best, places = tf.math.top_k(both, count)
    return best, tf.gather(tf.concat([rows, chosen], 1), places, batch_dims=1)


_numbers, _number, _rows = (tf.TensorSpec([None] * rank, tf.int32) for rank in (1, 0, 2))
_matrix = tf.TensorSpec([None, None], _WIDE)
# One graph for all searches: the evidence's second stage makes a new one at each of its looks.
_joined = compiled(_joined_graph, [_matrix, _numbers, _matrix, _number, _matrix, _rows])
