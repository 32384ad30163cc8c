"""What the training rows nearest to a point add to its sparse prediction.

With the residual process R of `svgp.models.neighbours`, residuals r of the training rows and their noise
variances lam, a row whose nearest training rows are n gets

    b = (beta R[n, n] + diag(c lam_n))^-1 beta R[n, *]
    mean += b^T r_n         variance of f = s* + beta R[*, *] - beta R[*, n] b

with beta and c of `svgp.models.predictive.calibration` (1 where nothing was fitted). Source: Sang & Huang
2012 ("full-scale approximation"), with neighbours in the place of tapering as in Datta et al. 2016.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from svgp.linalg.host import threads
from svgp.models.collapsed.panels import kept_bytes
from svgp.models.neighbours import NONE, Nearest, ResidualProcess, kernel_scales
from svgp.models.neighbours.conditional import grams, index_sets
from svgp.models.neighbours.search import cluster_order

BATCH = 256  # queries at a time: neighbours of near ones overlap


class Ingredients(NamedTuple):
    """What is known of rows before c and beta are: covariances of the residual process, and residuals."""

    covariance: np.ndarray  # [T, m, m] R[n, n]; zero where a neighbour is missing
    cross: np.ndarray  # [T, m] R[n, *]
    own: np.ndarray  # [T] R[*, *], not below zero
    neighbours: np.ndarray  # [T, m] training rows, or NONE
    distances: np.ndarray  # [T, m] in lengthscales


class Correction(NamedTuple):
    """By row and latent GP, for f without noise."""

    mean: np.ndarray  # [Q, L] to be added
    residual: np.ndarray  # [Q, L] variance that is left of the residual process
    nearest: np.ndarray  # [Q] distance of the nearest training row, in lengthscales


class NeighbourRows:
    """The training rows as predictions see them: X `[N, D]`, residuals and noise variances `[N, L]`.

    `model` has `kernel`, `Z` and `jitter`, and one kernel for all latents. A snapshot. Rows' projections
    `[N, M]` are kept where they fit in the memory that panels may take, else made anew for each batch.
    """

    def __init__(
        self, model: Any, X: np.ndarray, residual: np.ndarray, noise: np.ndarray, count: int
    ) -> None:
        self.X = np.ascontiguousarray(X, np.float64)
        self.residual, self.noise = np.asarray(residual, np.float64), np.asarray(noise, np.float64)
        self.count = min(count, len(X))
        self.process = ResidualProcess(model, X.shape[1])
        self.nearest = Nearest(self.X, kernel_scales(model.kernel, self.X))
        self._projected: np.ndarray | None = None

    def correct(self, X: np.ndarray, noise: np.ndarray, residual: np.ndarray) -> Correction:
        """Of rows X `[Q, D]`, with c and beta `[L]` each."""
        shape = (len(X), len(noise))
        found = Correction(np.empty(shape), np.empty(shape), np.empty(len(X)))

        def fill(rows: np.ndarray) -> None:
            parts = self.ingredients(X[rows])
            for latent, (c, beta) in enumerate(zip(noise, residual, strict=True)):
                mean, left = self.solve(parts, latent, float(c), float(beta))
                found.mean[rows, latent], found.residual[rows, latent] = mean, left
            found.nearest[rows] = parts.distances[:, 0]

        self._project_all()
        order = cluster_order(self.nearest.scaled(X)) if len(X) > BATCH else np.arange(len(X))
        batches = [order[start : start + BATCH] for start in range(0, len(X), BATCH)]
        with threads.single_threaded_blas():
            threads.run_all([partial(fill, rows) for rows in batches])
        return found

    def ingredients(self, X: np.ndarray, without: np.ndarray | None = None) -> Ingredients:
        """Of rows X `[T, D]`; `without [T]`: the training rows that they are, which do not count."""
        X = np.ascontiguousarray(X, np.float64)
        neighbours, distances = self._nearest(X, without)
        used, place = np.unique(neighbours[neighbours != NONE], return_inverse=True)
        local = np.full(neighbours.shape, NONE)
        local[neighbours != NONE] = len(X) + place
        sets, present = index_sets(np.arange(len(X)), local)  # [T, m + 1], [T, m]
        pool = np.concatenate([X, self.X[used]])
        A = np.concatenate([self._project(X), self._rows(used)])  # [U, M]
        R = self.process.kernel.sets(pool[sets])[0] - grams(A, sets)  # [T, m + 1, m + 1]
        covariance = np.where(present[:, :, None] & present[:, None, :], R[:, :-1, :-1], 0.0)
        cross = np.where(present, R[:, :-1, -1], 0.0)
        return Ingredients(covariance, cross, np.maximum(R[:, -1, -1], 0.0), neighbours, distances)

    def values(self, values: np.ndarray, neighbours: np.ndarray, missing: float) -> np.ndarray:
        """`values [N]` of training rows at `neighbours [T, m]`, `missing` where there is none."""
        return np.where(neighbours == NONE, missing, values[neighbours])

    def solve(self, parts: Ingredients, latent: int, c: float, beta: float) -> tuple[np.ndarray, np.ndarray]:
        """Mean and left variance `[T]` of the residual process, for one latent GP."""
        r = self.values(self.residual[:, latent], parts.neighbours, 0.0)
        lam = self.values(self.noise[:, latent], parts.neighbours, 1.0)
        C = beta * parts.covariance
        prior = float(np.mean(parts.own)) if len(parts.own) else 1.0
        # A row twice, without noise, must not make C singular.
        np.einsum("tii->ti", C)[...] += np.maximum(c * lam, 1e-10 * beta * prior + np.finfo(float).tiny)
        b = np.linalg.solve(C, beta * parts.cross[..., None])[..., 0]  # [T, m]
        left = beta * (parts.own - np.einsum("tm,tm->t", parts.cross, b))
        return np.einsum("tm,tm->t", b, r), np.maximum(left, 0.0)

    def _nearest(self, X: np.ndarray, without: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        if without is None:
            return self.nearest.query(X, self.count)
        neighbours, distances = self.nearest.query(X, self.count + 1)
        others = neighbours != without[:, None]
        # Among many equal rows the row itself may not be there: then the farthest goes.
        others[others.all(axis=1), -1] = False
        shape = (len(X), self.count)
        return neighbours[others].reshape(shape), distances[others].reshape(shape)

    def _project(self, X: np.ndarray) -> np.ndarray:
        return self.process.project(X)

    def _project_all(self) -> None:
        size = len(self.process.frame.L)
        if self._projected is None and 8 * size * len(self.X) <= kept_bytes():
            self._projected = self._project(self.X)

    def _rows(self, rows: np.ndarray) -> np.ndarray:
        return self._project(self.X[rows]) if self._projected is None else self._projected[rows]
