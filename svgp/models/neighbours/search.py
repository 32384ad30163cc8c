"""Nearest rows in the kernel's own space, exactly: inputs divided by its lengthscales.

Two questions are answered: which of all rows are nearest to a point (prediction), and which of the rows
*before* row i in a fixed random order are nearest to it (evidence: any order gives a valid density, and a
random one leaves early rows with far neighbours and late ones with near neighbours, which suits both).

A k-d tree (SciPy's, whose queries run on all cores) takes about `2^E` leaves a query, where E is how many
directions the scaled rows really extend in; where that is more than all rows, distances come from blocked
matrix products instead, at 2 D operations and a few reads for each pair. Both give the same rows but for
ties; the answer is always the same for the same rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.spatial import KDTree

from svgp.linalg.host import blas, threads

NONE = -1  # in the place of a neighbour that does not exist
LEAF = 16  # rows of a leaf of the tree
# In operations of a product: a leaf that a query visits, and what choosing among distances costs for each.
# Timed on 36,000 rows: with 4 normal inputs the tree is quicker by 12, with 8 uniform ones by 3, with 8
# normal ones they are even, with 12 distances are quicker by 5.
VISIT, CHOICE = 2500.0, 4.0
FEW = 1024  # rows among which products are always quicker
BLOCK = 1 << 22  # distances held at a time
SAMPLE = 2000  # points from which their spread is taken
TIE = 64.0  # roundings of the largest squared distance by which equally near rows are told apart


def kernel_scales(kernel: Any, X: np.ndarray) -> np.ndarray:
    """What each input `[D]` is divided by so that distance means what it means to the kernel.

    The kernel's lengthscales, the shortest where several latents have their own; infinite where an input does
    not matter. A kernel without any finite one (linear, say) takes each column's standard deviation.
    """
    D = X.shape[1]
    lengthscales = np.asarray(kernel.input_lengthscales(D), np.float64).reshape(-1, D).min(axis=0)
    if np.any(np.isfinite(lengthscales)):
        return lengthscales
    spread = X.std(axis=0)
    return np.where(spread > 0, spread, np.inf)


class Nearest:
    """The rows X `[N, D]` nearest to any point, where `scales [D]` (infinite: ignored) measure distance.

    Of rows that are equally near (the same row several times, numbers on a grid) a fixed random ranking
    decides: not rounding, which differs with the rows that are asked for together, and not the rows' order,
    which the target may follow. A further coordinate, zero for a query, adds a multiple of the rank to each
    squared distance, little more than rounding would.
    """

    def __init__(self, X: np.ndarray, scales: np.ndarray) -> None:
        self.kept = np.isfinite(scales)
        self.scales = scales[self.kept]
        inputs = np.asarray(X, np.float64)[:, self.kept]
        self.origin = inputs.mean(axis=0) if len(inputs) else np.zeros(inputs.shape[1])  # [E - 1]
        self.points = self.scaled(X)  # [N, E]
        largest = float(np.max(np.einsum("nd,nd->n", self.points, self.points), initial=0.0)) or 1.0
        ranks = np.random.default_rng([len(X), 31]).permutation(len(X))
        self._handicaps = TIE * float(np.finfo(np.float64).eps) * largest * ranks  # [N]
        self.points[:, -1] = np.sqrt(self._handicaps)
        self._norms: np.ndarray | None = None
        tree = tree_is_quicker(self.points)
        self._tree = KDTree(self.points, leafsize=LEAF, balanced_tree=False) if tree else None

    def scaled(self, X: np.ndarray) -> np.ndarray:
        """X `[B, D]` where distance is measured: `[B, E]`, the inputs that matter, and a zero."""
        points = np.zeros((len(X), len(self.scales) + 1))
        points[:, :-1] = (np.asarray(X, np.float64)[:, self.kept] - self.origin) / self.scales
        return points

    def query(self, X: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Indices `[B, count]`, nearest first, and distances (in lengthscales) of the rows nearest to X.

        Where there are fewer than `count` rows the rest is NONE, at an infinite distance.
        """
        return self.query_scaled(self.scaled(X), count)

    def query_scaled(self, points: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The same for points `[B, E]` that `scaled` made."""
        indices: np.ndarray = np.full((len(points), count), NONE, np.int64)
        distances = np.full((len(points), count), np.inf)
        found = min(count, len(self.points))
        if found == 0 or len(points) == 0:
            return indices, distances
        if self._tree is not None:
            d, i = self._tree.query(points, found, workers=threads.workers())
            indices[:, :found], distances[:, :found] = i.reshape(-1, found), d.reshape(-1, found)
            return indices, self._without_handicap(indices, distances, found)
        if self._norms is None:
            self._norms = np.einsum("nd,nd->n", self.points, self.points)
        step = max(1, BLOCK // len(self.points))
        for start in range(0, len(points), step):
            rows = slice(start, start + step)
            squares = _squared_distances(points[rows], self.points, self._norms)
            indices[rows, :found], distances[rows, :found] = _smallest(squares, found)
        return indices, self._without_handicap(indices, distances, found)

    def _without_handicap(self, indices: np.ndarray, distances: np.ndarray, found: int) -> np.ndarray:
        squares = distances[:, :found] ** 2 - self._handicaps[indices[:, :found]]
        distances[:, :found] = np.sqrt(np.maximum(squares, 0.0))
        return distances


def earlier_neighbours(X: np.ndarray, scales: np.ndarray, order: np.ndarray, count: int) -> np.ndarray:
    """For each row of X `[N, D]` its `count` nearest among the rows before it in `order`: `[N, count]`.

    `order [N]` lists the rows, the first first. Nearest first; NONE where fewer rows come before.
    A tree over the first 2s rows in order serves rows s to 2s: more of them are asked for than wanted, since
    some come later, and asked for again where not enough came before.
    """
    N = len(X)
    neighbours: np.ndarray = np.full((N, count), NONE, np.int64)
    if count == 0 or N < 2:
        return neighbours
    kept = np.isfinite(scales)
    inputs = np.asarray(X, np.float64)[order][:, kept]
    points = np.ascontiguousarray((inputs - inputs.mean(axis=0)) / scales[kept])  # in order
    found: np.ndarray = np.full((N, count), NONE, np.int64)  # positions in order
    first = min(N, max(FEW, 4 * count))
    found[:first] = _earlier_by_products(points, slice(0, first), count)
    start = first
    while start < N:
        stop = min(N, 2 * start)
        if tree_is_quicker(points[:stop]):
            found[start:stop] = _earlier_by_tree(points[:stop], start, count)
        else:
            found[start:stop] = _earlier_by_products(points, slice(start, stop), count)
        start = stop
    neighbours[order] = np.where(found == NONE, NONE, order[found])
    return neighbours


def random_order(rows: int, seed: int) -> np.ndarray:
    """The fixed random order of the rows `[N]` that evidence is computed in."""
    return np.random.default_rng([seed, 13]).permutation(rows)


def cluster_order(points: np.ndarray, leaf: int = 32) -> np.ndarray:
    """An order of the rows `points [N, E]` in which near rows stand near each other: `[N]`.

    Halves at the median of the widest direction, again and again down to `leaf` rows: any stretch of the
    order is a few boxes, whose rows have most of their neighbours among themselves.
    """
    order = np.arange(len(points))
    todo = [(0, len(points))]
    while todo:
        start, stop = todo.pop()
        if stop - start <= leaf or points.shape[1] == 0:
            continue
        rows = order[start:stop]
        own = points[rows]
        widest = int(np.argmax(own.max(axis=0) - own.min(axis=0)))
        middle = (stop - start) // 2
        order[start:stop] = rows[np.argpartition(own[:, widest], middle, kind="introselect")]
        todo += [(start, start + middle), (start + middle, stop)]
    return order


def tree_is_quicker(points: np.ndarray) -> bool:
    """Whether a tree over `points [N, E]` takes fewer operations a query than all distances."""
    N, E = points.shape
    if N <= FEW or E == 0:
        return False
    return VISIT * 2.0 ** min(effective_dimension(points), 60.0) < N * (2.0 * E + CHOICE)


def effective_dimension(points: np.ndarray) -> float:
    """How many directions points extend in: `(tr C)^2 / |C|^2` of their covariance C, from some of them."""
    some = points[:: max(1, len(points) // SAMPLE)]
    centred = some - some.mean(axis=0)
    C = np.empty((points.shape[1],) * 2)
    blas.product(centred, centred, C, transpose_a=True)
    squares = float(np.sum(C**2))
    return float(np.trace(C)) ** 2 / squares if squares > 0 else 0.0


def _earlier_by_tree(points: np.ndarray, start: int, count: int) -> np.ndarray:
    """For the points from `start` on the nearest before each, by a tree over all `points`."""
    stop = len(points)
    tree = KDTree(points, leafsize=LEAF, balanced_tree=False)
    found: np.ndarray = np.full((stop - start, count), NONE, np.int64)
    missing = np.arange(start, stop)
    asked = 2 * count + 8
    while len(missing):
        asked = min(asked, stop)
        _, near = tree.query(points[missing], asked, workers=threads.workers())
        is_earlier = near < missing[:, None]
        enough = (is_earlier.sum(axis=1) >= count) | (asked == stop)
        found[missing[enough] - start] = _first_of(near[enough], is_earlier[enough], count)
        missing, asked = missing[~enough], 2 * asked
    return found


def _first_of(near: np.ndarray, wanted: np.ndarray, count: int) -> np.ndarray:
    """The first `count` entries of each row of `near [B, k]` that are wanted, in their order."""
    place = np.argsort(~wanted, axis=1, kind="stable")[:, :count]
    chosen = np.take_along_axis(near, place, 1)
    return np.where(np.take_along_axis(wanted, place, 1), chosen, NONE)


def _earlier_by_products(points: np.ndarray, rows: slice, count: int) -> np.ndarray:
    """For the points in `rows` the nearest before each, from all distances."""
    norms = np.einsum("nd,nd->n", points, points)
    found: np.ndarray = np.full((rows.stop - rows.start, count), NONE, np.int64)
    step = max(1, BLOCK // rows.stop)
    for start in range(rows.start, rows.stop, step):
        stop = min(start + step, rows.stop)
        squares = _squared_distances(points[start:stop], points[:stop], norms[:stop])
        squares[np.arange(stop) >= np.arange(start, stop)[:, None]] = np.inf
        kept = min(count, stop)
        indices, distances = _smallest(squares, kept)
        found[start - rows.start : stop - rows.start, :kept] = np.where(np.isinf(distances), NONE, indices)
    return found


def _squared_distances(points: np.ndarray, others: np.ndarray, norms: np.ndarray) -> np.ndarray:
    """`[B, N]` from one product; below zero by rounding, maybe."""
    squares = np.empty((len(points), len(others)))
    if points.shape[1] == 0:
        squares.fill(0.0)
        return squares
    blas.product(points, others, squares, transpose_b=True, alpha=-2.0)
    squares += norms
    squares += np.einsum("bd,bd->b", points, points)[:, None]
    return squares


def _smallest(squares: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns and square roots of the `count` smallest entries of each row, the smallest first."""
    if count < squares.shape[1]:
        columns = np.argpartition(squares, count - 1, axis=1)[:, :count]
    else:
        columns = np.broadcast_to(np.arange(squares.shape[1]), squares.shape)
    values = np.take_along_axis(squares, columns, 1)
    place = np.argsort(values, axis=1, kind="stable")
    values = np.sqrt(np.maximum(np.take_along_axis(values, place, 1), 0.0))
    return np.take_along_axis(columns, place, 1), values
