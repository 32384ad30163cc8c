"""What the training rows nearest to a point add to its sparse prediction.

With the residual process R of `svgp.models.neighbours`, residuals r of the training rows and their noise
variances lam, a row whose nearest training rows are n gets

    b = (beta R[n, n] + diag(c lam_n))^-1 beta R[n, *]
    mean += b^T r_n         variance of f = s* + beta R[*, *] - beta R[*, n] b

with beta and c of `svgp.models.predictive.calibration` (1 where nothing was fitted); s* is what q(u) leaves.
After the fact r are cavity residuals. Where q(v) = N(w, S S^T) was found together with the neighbours
(`joint`: by the evidence), r are plain ones, `y - mean`, and what q leaves is `|S^T at|^2`,
`at = a* - sum_j b_j a_nj`: with all rows as neighbours that is the exact posterior. Source: Sang & Huang 2012
("full-scale approximation"), with neighbours in the place of tapering as in Datta et al. 2016.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Any, NamedTuple

import numpy as np

from svgp.linalg.host import blas, threads
from svgp.models.collapsed.panels import kept_bytes
from svgp.models.neighbours import NONE, Nearest, ResidualProcess, kernel_scales
from svgp.models.neighbours.conditional import combination, grams, index_sets, with_one
from svgp.models.neighbours.search import cluster_order
from svgp.models.predictive.sparse import SparseRows

BATCH = 256  # queries at a time: neighbours of near ones overlap
SMALLEST_NOISE = 1e-10  # of the prior variance
ROWS = 1024  # from which that is taken


class Ingredients(NamedTuple):
    """What is known of rows before c and beta are: covariances of the residual process."""

    covariance: np.ndarray  # [T, m, m] R[n, n]; zero where a neighbour is missing
    cross: np.ndarray  # [T, m] R[n, *]
    own: np.ndarray  # [T] R[*, *], not below zero
    neighbours: np.ndarray  # [T, m] training rows, or NONE
    distances: np.ndarray  # [T, m] in lengthscales


class Pool(NamedTuple):
    """Rows of A, and which of them belong to a row."""

    A: np.ndarray  # [U, M]
    sets: np.ndarray  # [T, m + 1] neighbours, and the row itself


class Correction(NamedTuple):
    """By row and latent GP, for f without noise."""

    mean: np.ndarray  # [Q, L] to be added to that of q(f); where q(u) was found jointly the whole of it
    residual: np.ndarray  # [Q, L] variance that is left of the residual process
    explained: np.ndarray | None  # [Q, L] what q(u) leaves, where it was found jointly
    nearest: np.ndarray  # [Q] distance of the nearest training row, in lengthscales


class NeighbourRows:
    """The training rows as predictions see them: X `[N, D]`, residuals and noise variances `[N, L]`.

    `model` has `kernel`, `Z` and `jitter`, and one kernel for all latents. `joint`: its q(u), where that was
    found together with the neighbours. A snapshot. Rows' projections `[N, M]` are kept where they fit in the
    memory that panels may take, else made anew for each batch.
    """

    def __init__(
        self,
        model: Any,
        X: np.ndarray,
        residual: np.ndarray,
        noise: np.ndarray,
        count: int,
        joint: SparseRows | None = None,
    ) -> None:
        self.model, self.joint = model, joint
        self.X = np.ascontiguousarray(X, np.float64)
        self.residual, self.noise = np.asarray(residual, np.float64), np.asarray(noise, np.float64)
        self.count = min(count, len(X))
        self.process = ResidualProcess(model, X.shape[1])
        self.nearest = Nearest(self.X, kernel_scales(model.kernel, self.X))
        # A row twice, without noise, must not make the neighbours' covariance singular.
        self.floor = SMALLEST_NOISE * float(np.mean(model.kernel.K_diag(self.X[:ROWS])))
        self._kept: tuple[np.ndarray, np.ndarray] | None = None
        self._lock = threading.Lock()  # of the room behind the kept rows

    def with_count(self, count: int) -> NeighbourRows:
        """The same rows, of which predictions see so many; what is kept of them is shared."""
        other = copy.copy(self)
        other.count = min(count, len(self.X))
        return other

    def correct(self, X: np.ndarray, noise: np.ndarray, residual: np.ndarray) -> Correction:
        """Of rows X `[Q, D]`, with c and beta `[L]` each."""
        shape = (len(X), len(noise))
        explained = None if self.joint is None else np.empty(shape)
        found = Correction(np.empty(shape), np.empty(shape), explained, np.empty(len(X)))

        def fill(rows: np.ndarray, slot: int) -> None:
            parts, pool = self._ingredients(X[rows], None, slot)
            for latent, (c, beta) in enumerate(zip(noise, residual, strict=True)):
                b = self.weights(parts, latent, float(c), float(beta))
                found.mean[rows, latent], found.residual[rows, latent] = self.apply(parts, latent, beta, b)
                if explained is not None:
                    explained[rows, latent] = self._explained(pool, latent, b)
                    found.mean[rows, latent] += self._sparse_mean(pool, latent)
            if self.joint is not None:
                found.mean[rows] += np.asarray(self.joint.model.mean(X[rows]))
            found.nearest[rows] = parts.distances[:, 0]

        self._in_batches(X, fill)
        return found

    def left_out(self, X: np.ndarray, without: np.ndarray) -> tuple[Ingredients, np.ndarray | None]:
        """Of training rows X `[T, D]`, numbers `without [T]`: what is known of them from the others.

        And, where q(u) was found jointly, what it leaves of each `[T, L]`, at c = beta = 1.
        """
        T, m, latents = len(X), self.count, self.residual.shape[1]
        found = Ingredients(
            np.empty((T, m, m)), np.empty((T, m)), np.empty(T), np.empty((T, m), np.int64), np.empty((T, m))
        )
        explained = None if self.joint is None else np.empty((T, latents))

        def fill(rows: np.ndarray, slot: int) -> None:
            parts, pool = self._ingredients(X[rows], without[rows], slot)
            for whole, part in zip(found, parts, strict=True):
                whole[rows] = part
            if explained is not None:
                for latent in range(latents):
                    b = self.weights(parts, latent, 1.0, 1.0)
                    explained[rows, latent] = self._explained(pool, latent, b)

        self._in_batches(X, fill)
        return found, explained

    def weights(self, parts: Ingredients, latent: int, c: float, beta: float) -> np.ndarray:
        """b `[T, m]` of one latent GP."""
        lam = self.values(self.noise[:, latent], parts.neighbours, 1.0)
        C = beta * parts.covariance
        np.einsum("tii->ti", C)[...] += np.maximum(c * lam, beta * self.floor)
        return np.linalg.solve(C, beta * parts.cross[..., None])[..., 0]

    def apply(
        self, parts: Ingredients, latent: int, beta: float, b: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """What the weights b `[T, m]` add to the mean, and the variance that is left: `[T]` both."""
        r = self.values(self.residual[:, latent], parts.neighbours, 0.0)
        left = beta * (parts.own - np.einsum("tm,tm->t", parts.cross, b))
        return np.einsum("tm,tm->t", b, r), np.maximum(left, 0.0)

    def values(self, values: np.ndarray, neighbours: np.ndarray, missing: float) -> np.ndarray:
        """`values [N]` of training rows at `neighbours [T, m]`, `missing` where there is none."""
        return np.where(neighbours == NONE, missing, values[neighbours])

    def _in_batches(self, X: np.ndarray, fill: Callable[[np.ndarray, int], None]) -> None:
        """`fill(rows, slot)` for all rows of X, near ones together; tasks under way have different slots."""
        self._project_all()
        order = cluster_order(self.nearest.scaled(X)) if len(X) > BATCH else np.arange(len(X))
        batches = [order[start : start + BATCH] for start in range(0, len(X), BATCH)]
        slots: SimpleQueue[int] = SimpleQueue()
        for slot in range(threads.workers()):
            slots.put(slot)

        def task(rows: np.ndarray) -> None:
            slot = slots.get()
            try:
                fill(rows, slot)
            finally:
                slots.put(slot)

        with self._lock, threads.single_threaded_blas():
            threads.run_all([partial(task, rows) for rows in batches])

    def _project_all(self) -> None:
        """Inputs and A of all training rows, with room behind them for each thread's rows in hand."""
        size, count = len(self.process.frame.L), len(self.X) + threads.workers() * BATCH
        if self._kept is not None or 8 * size * count > kept_bytes():
            return
        points, A = np.empty((count, self.X.shape[1])), np.empty((count, size))
        points[: len(self.X)] = self.X
        self.process.project(self.X, out=A[: len(self.X)])
        self._kept = points, A

    def _ingredients(self, X: np.ndarray, without: np.ndarray | None, slot: int) -> tuple[Ingredients, Pool]:
        X = np.ascontiguousarray(X, np.float64)
        neighbours, distances = self._nearest(X, without)
        points, A, own_rows, places = self._pool(X, neighbours, slot)
        sets, present = index_sets(own_rows, places)  # [T, m + 1], [T, m]
        R = self.process.kernel.sets(points[sets])[0] - grams(A, sets)  # [T, m + 1, m + 1]
        covariance = np.where(present[:, :, None] & present[:, None, :], R[:, :-1, :-1], 0.0)
        cross = np.where(present, R[:, :-1, -1], 0.0)
        own = np.maximum(R[:, -1, -1], 0.0)
        return Ingredients(covariance, cross, own, neighbours, distances), Pool(A, sets)

    def _pool(
        self, X: np.ndarray, neighbours: np.ndarray, slot: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Inputs and A of the rows that matter, where X is among them, and where its neighbours are."""
        if self._kept is not None:
            points, A = self._kept
            rows = slice(len(self.X) + slot * BATCH, len(self.X) + slot * BATCH + len(X))
            points[rows] = X
            self.process.project(X, out=A[rows])
            return points, A, np.arange(rows.start, rows.stop), neighbours
        used, place = np.unique(neighbours[neighbours != NONE], return_inverse=True)
        local = np.full(neighbours.shape, NONE)
        local[neighbours != NONE] = len(X) + place
        points = np.concatenate([X, self.X[used]])
        return points, self.process.project(points), np.arange(len(X)), local

    def _explained(self, pool: Pool, latent: int, b: np.ndarray) -> np.ndarray:
        assert self.joint is not None
        at = combination(pool.sets, with_one(b), len(pool.A)) @ pool.A  # [T, M]
        blas.triangular_product_right(at, np.asarray(self.joint.q_sqrt[latent], np.float64))
        return np.einsum("tm,tm->t", at, at)

    def _sparse_mean(self, pool: Pool, latent: int) -> np.ndarray:
        """a*^T w, without the mean function."""
        assert self.joint is not None
        weights = np.asarray(self.joint.q_mean[latent], np.float64)
        first = pool.sets[0, -1]  # a batch's own rows stand together
        return blas.times_vector(pool.A[first : first + len(pool.sets)], weights)

    def _nearest(self, X: np.ndarray, without: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        if without is None:
            return self.nearest.query(X, self.count)
        neighbours, distances = self.nearest.query(X, self.count + 1)
        others = neighbours != without[:, None]
        # Among many equal rows the row itself may not be there: then the farthest goes.
        others[others.all(axis=1), -1] = False
        shape = (len(X), self.count)
        return neighbours[others].reshape(shape), distances[others].reshape(shape)
