"""Nearest rows in the kernel's own space, exactly: inputs divided by its lengthscales.

Two questions are answered: which of all rows are nearest to a point (prediction), and which of the rows
*before* row i in a fixed random order are nearest to it (evidence: any order gives a valid density, and a
random one leaves early rows with far neighbours and late ones with near neighbours, which suits both).

A k-d tree (SciPy's) takes about `2^E` leaves a query, where E is how many directions the scaled rows really
extend in; where that is more than all distances take, these come from blocked products (scikit-learn's, which
keeps the nearest of a block while it is in the cache). On a GPU all distances are taken there
(`svgp.models.neighbours.device_search`) unless a tree on the host visits far less. All give the same rows but
for ties; the answer is always the same for the same rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.spatial import KDTree

from svgp.linalg.host import blas, threads
from svgp.models.neighbours.device_search import NONE, DeviceSearch

LEAF = 64  # rows of a leaf of the tree: 16 take as long in 4 columns, a third longer in 8
# Nanoseconds on one core: a leaf that a query visits; a pair of rows where all distances are taken, and each
# column more. Timed with 3,000 to 160,000 normal rows: both take as long with some 10,000 rows in 8 columns,
# with 40,000 to 160,000 in 10.
VISIT, PAIR, COLUMN = 200.0, 2.1, 0.035
# The same of a pair on a GPU: eight bytes are written and read twice, at 1 to 3 TB/s. Not timed on one.
PAIR_ON_DEVICE = 0.03
TOGETHER = 128  # queries whose order among themselves does not matter
GROWTH = 1.25  # of the rows that are searched for those that come next in order
FEW = 1024  # rows among which all distances are always quicker
SAMPLE = 2000  # points from which their spread is taken
TIE = 64.0  # roundings of the largest squared distance by which equally near rows are told apart


# Points `[B, E]` and how many are wanted -> distances and indices `[B, count]`, nearest first.
Search = Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]]


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
    squared distance, little more than rounding would. `on_device`: whether one is there to search.
    """

    def __init__(self, X: np.ndarray, scales: np.ndarray, on_device: bool = False) -> None:
        self.on_device = on_device
        self.kept = np.isfinite(scales)
        self.scales = scales[self.kept]
        inputs = np.asarray(X, np.float64)[:, self.kept]
        self.origin = inputs.mean(axis=0) if len(inputs) else np.zeros(inputs.shape[1])  # [E - 1]
        self.points = self.scaled(X)  # [N, E]
        largest = float(np.max(np.einsum("nd,nd->n", self.points, self.points), initial=0.0)) or 1.0
        ranks = np.random.default_rng([len(X), 31]).permutation(len(X))
        self._handicaps = TIE * float(np.finfo(np.float64).eps) * largest * ranks  # [N]
        self.points[:, -1] = np.sqrt(self._handicaps)
        self._search = search_of(self.points, on_device)

    def of_rows(self, X: np.ndarray) -> Nearest:
        """The same measure of distance for other rows X `[N, D]`."""
        scales = np.full(len(self.kept), np.inf)
        scales[self.kept] = self.scales
        return Nearest(X, scales, self.on_device)

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
        distances[:, :found], indices[:, :found] = self._search(points, found)
        return indices, self._without_handicap(indices, distances, found)

    def _without_handicap(self, indices: np.ndarray, distances: np.ndarray, found: int) -> np.ndarray:
        squares = distances[:, :found] ** 2 - self._handicaps[indices[:, :found]]
        distances[:, :found] = np.sqrt(np.maximum(squares, 0.0))
        return distances


def earlier_neighbours(
    X: np.ndarray, scales: np.ndarray, order: np.ndarray, count: int, on_device: bool = False
) -> np.ndarray:
    """For each row of X `[N, D]` its `count` nearest among the rows before it in `order`: `[N, count]`.

    `order [N]` lists the rows, the first first. Nearest first; NONE where fewer rows come before.
    A search among the first 1.25 s rows in order serves rows s to 1.25 s: more are asked for than wanted,
    since some come later, and asked for again where not enough came before. `on_device`: whether there is a
    device to search, which sees each pair once.
    """
    N = len(X)
    neighbours: np.ndarray = np.full((N, count), NONE, np.int64)
    if count == 0 or N < 2:
        return neighbours
    kept = np.isfinite(scales)
    inputs = np.asarray(X, np.float64)[order][:, kept]
    points = np.ascontiguousarray((inputs - inputs.mean(axis=0)) / scales[kept])  # in order
    found: np.ndarray = np.full((N, count), NONE, np.int64)  # positions in order
    if on_device and device_is_quicker(points):
        found = DeviceSearch(points).earlier(count)
        neighbours[order] = np.where(found == NONE, NONE, order[found])
        return neighbours
    first = min(N, max(FEW, 4 * count))
    found[:first] = _earliest(points[:first], count)
    start = first
    while start < N:
        stop = min(N, int(GROWTH * start))
        found[start:stop] = _earlier(points[:stop], start, count)
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


def search_of(points: np.ndarray, on_device: bool = False) -> Search:
    """The quicker search among `points [N, E]`, on all threads, or where there is a device on that."""
    if on_device and device_is_quicker(points):
        return DeviceSearch(points).query
    if tree_is_quicker(points):
        return _Tree(points).query
    from sklearn.neighbors import NearestNeighbors  # half a second, and not every command searches

    return NearestNeighbors(algorithm="brute").fit(points).kneighbors if len(points) else _nothing


class _Tree:
    """A k-d tree that is walked through in its own order.

    Rows of a leaf lie together in memory, and a query comes after its neighbours: what one has brought into
    the cache the next one finds. In another order a query of 200,000 rows takes three times as long in 4 and
    in 8 columns.
    """

    def __init__(self, points: np.ndarray) -> None:
        self._rows = KDTree(points, leafsize=LEAF, balanced_tree=False).indices
        self._tree = KDTree(points[self._rows], leafsize=LEAF, balanced_tree=False)

    def query(self, queries: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """See `Search`."""
        order = cluster_order(queries, TOGETHER)
        distances: np.ndarray = np.empty((len(queries), count))
        near: np.ndarray = np.empty((len(queries), count), np.int64)
        # A list of ranks: the answer has a column for each, also for one.
        found = self._tree.query(queries[order], range(1, count + 1), workers=threads.workers())
        distances[order], near[order] = found[0], self._rows[found[1]]
        return distances, near


def _nothing(queries: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    return np.empty((len(queries), 0)), np.empty((len(queries), 0), np.int64)


def tree_is_quicker(points: np.ndarray) -> bool:
    """Whether a tree over `points [N, E]` answers a query sooner than all distances."""
    N, E = points.shape
    if N <= FEW or E == 0:
        return False
    return VISIT * 2.0 ** min(effective_dimension(points), 60.0) < N * (PAIR + COLUMN * E)


def device_is_quicker(points: np.ndarray) -> bool:
    """Whether a device has all distances of a query to `points [N, E]` before a tree answers on the host."""
    N, E = points.shape
    visited = VISIT * 2.0 ** min(effective_dimension(points), 60.0)
    return N > 0 and visited > N * PAIR_ON_DEVICE


def effective_dimension(points: np.ndarray) -> float:
    """How many directions points extend in: `(tr C)^2 / |C|^2` of their covariance C, from some of them."""
    some = points[:: max(1, len(points) // SAMPLE)]
    centred = some - some.mean(axis=0)
    C = np.empty((points.shape[1],) * 2)
    blas.product(centred, centred, C, transpose_a=True)
    squares = float(np.sum(C**2))
    return float(np.trace(C)) ** 2 / squares if squares > 0 else 0.0


def _earlier(points: np.ndarray, start: int, count: int) -> np.ndarray:
    """For the points from `start` on the nearest before each."""
    stop = len(points)
    search = search_of(points)
    found: np.ndarray = np.full((stop - start, count), NONE, np.int64)
    missing = np.arange(start, stop)
    asked = int(GROWTH * count) + count // 4 + 4
    while len(missing):
        asked = min(asked, stop)
        _, near = search(points[missing], asked)
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


def _earliest(points: np.ndarray, count: int) -> np.ndarray:
    """For the first few points in order the nearest before each, from all distances."""
    squares = np.einsum("nd,nd->n", points, points)[:, None] - 2.0 * (points @ points.T)
    squares = squares + np.einsum("nd,nd->n", points, points)
    squares[np.triu_indices(len(points))] = np.inf
    found: np.ndarray = np.full((len(points), count), NONE, np.int64)
    kept = min(count, len(points))
    # Selected first and sorted then: sorting whole rows took half of finding q(u) for a thousand rows.
    nearest = np.sort(np.argpartition(squares, kept - 1, axis=1)[:, :kept], axis=1)
    order = np.argsort(np.take_along_axis(squares, nearest, 1), axis=1, kind="stable")
    nearest = np.take_along_axis(nearest, order, 1)
    found[:, :kept] = np.where(np.isinf(np.take_along_axis(squares, nearest, 1)), NONE, nearest)
    return found
