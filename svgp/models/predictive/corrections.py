"""What the training rows nearest to a point add to its sparse prediction.

With the residual process R of `svgp.models.neighbours`, residuals r of the training rows and their noise
variances lam, a row whose nearest training rows are n gets

    b = (R[n, n] + rho diag(lam_n))^-1 R[n, *]
    mean += b^T r_n         variance of f = s* + beta (R[*, *] - R[*, n] b)

with beta of `svgp.models.predictive.calibration` (1 where nothing was fitted), which says how wide and leaves
the mean alone; s* is what q(u) leaves. After the fact r are cavity residuals, of a model whose noise covers
what the inducing points leave: rho says how much of it is noise. Where q(v) = N(w, S S^T) was found
together with the neighbours (`joint`), rho is 1, r are plain, `y - mean`, and what q leaves is `|S^T at|^2`,
`at = a* - sum_j b_j a_nj`: with all rows as neighbours that is the exact posterior. Source: Sang & Huang 2012
("full-scale approximation"), with neighbours in the place of tapering as in Datta et al. 2016.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
import tensorflow as tf

from svgp.linalg.backend import use_host
from svgp.linalg.host import blas, threads
from svgp.models.collapsed.panels import kept_bytes
from svgp.models.neighbours import NONE, Nearest, ResidualProcess, kernel_scales
from svgp.models.neighbours.conditional import gathered
from svgp.models.neighbours.search import cluster_order
from svgp.models.predictive.on_device import SEARCHED, Answer, DeviceRows

BATCH = 256  # queries at a time: neighbours of near ones overlap
SMALLEST_NOISE = 1e-10  # of the prior variance
SHARED = 2  # times as long takes a pair that all rows of a batch share, looked up, as one of a row's own
ROWS = 1024  # from which that is taken


class Ingredients(NamedTuple):
    """What is known of rows before c and beta are: covariances of the residual process."""

    covariance: np.ndarray  # [T, m, m] R[n, n]; zero where a neighbour is missing
    cross: np.ndarray  # [T, m] R[n, *]
    own: np.ndarray  # [T] R[*, *], not below zero
    neighbours: np.ndarray  # [T, m] training rows, or NONE
    distances: np.ndarray  # [T, m] in lengthscales


class Found(NamedTuple):
    """Rows and the training rows nearest to them."""

    X: np.ndarray  # [T, D]
    neighbours: np.ndarray  # [T, m] training rows, or NONE
    distances: np.ndarray  # [T, m] in lengthscales

    def take(self, rows: np.ndarray) -> Found:
        """Some of them."""
        return Found(*(x[rows] for x in self))


class Conditioned(NamedTuple):
    """Of T rows, for f without noise: what their neighbours make of them, latent by latent."""

    found: Found
    A: np.ndarray  # [T, M]
    b: np.ndarray  # [L, T, m] zero where a neighbour is missing
    at: np.ndarray  # [L, T, M] a* - sum_j b_j a_nj
    mean: np.ndarray  # [T, L] b^T r_n
    residual: np.ndarray  # [T, L] variance that is left of the residual process
    prior: np.ndarray  # [T] that variance before neighbours have a say


class Correction(NamedTuple):
    """By row and latent GP, for f without noise."""

    mean: np.ndarray  # [Q, L] to be added to that of q(f); where q(u) was found jointly the whole of it
    residual: np.ndarray  # [Q, L] variance that is left of the residual process
    explained: np.ndarray | None  # [Q, L] what q(u) leaves, where it was found jointly
    nearest: np.ndarray  # [Q] distance of the nearest training row, in lengthscales
    prior: np.ndarray  # [Q] variance of the residual process before neighbours have a say


class Whitened(Protocol):
    """q(v) = N(q_mean, q_sqrt q_sqrt^T): `[L, M]` and `[L, M, M]`."""

    @property
    def q_mean(self) -> np.ndarray: ...

    @property
    def q_sqrt(self) -> np.ndarray: ...


class NeighbourRows:
    """The training rows as predictions see them: X `[N, D]`, residuals and noise variances `[N, L]`.

    `model` has `kernel`, `Z` and `jitter`, and one kernel for all latents. `joint`: its q(u), where that was
    found together with the neighbours. `ratio [L]`: rho; default: ones. `process`: the model's residual
    process, where there is one already. A snapshot. Rows' projections
    `[N, M]` are kept where they fit in the memory that panels may take, else made anew for each batch.
    """

    def __init__(
        self,
        model: Any,
        X: np.ndarray,
        residual: np.ndarray,
        noise: np.ndarray,
        count: int,
        joint: Whitened | None = None,
        ratio: np.ndarray | None = None,
        process: ResidualProcess | None = None,
    ) -> None:
        self.model, self.joint = model, joint
        self.X = np.ascontiguousarray(X, np.float64)
        self.residual, self.noise = np.asarray(residual, np.float64), np.asarray(noise, np.float64)
        self.ratio = np.ones(self.noise.shape[1]) if ratio is None else np.asarray(ratio, np.float64)
        self.count = min(count, len(X))
        self.process = process or ResidualProcess(model, X.shape[1])
        on_host = use_host(tf.zeros([1, 1], tf.float64))
        self.nearest = Nearest(self.X, kernel_scales(model.kernel, self.X), on_device=not on_host)
        # A row twice, without noise, must not make the neighbours' covariance singular.
        self.floor = SMALLEST_NOISE * float(np.mean(model.kernel.K_diag(self.X[:ROWS])))
        self._kept: list[np.ndarray] = []  # A of all rows
        self._device = None if on_host else DeviceRows(model.kernel, X.shape[1])

    @property
    def on_device(self) -> bool:
        """Whether a device does what is done of predictions: there, not where the host's BLAS is."""
        return self._device is not None

    def with_count(self, count: int) -> NeighbourRows:
        """The same rows, of which predictions see so many; what is kept of them is shared."""
        other = copy.copy(self)
        other.count = min(count, len(self.X))
        return other

    def with_ratio(self, ratio: np.ndarray) -> NeighbourRows:
        """The same rows with another rho `[L]`."""
        other = copy.copy(self)
        other.ratio = np.asarray(ratio, np.float64)
        return other

    def of_rows(
        self,
        X: np.ndarray,
        residual: np.ndarray,
        noise: np.ndarray,
        joint: Whitened,
        process: ResidualProcess,
    ) -> NeighbourRows:
        """Other rows of the same kernel; `joint`: the q(u) that was found with them, through `process`."""
        other = copy.copy(self)
        other.X, other.residual, other.noise = np.ascontiguousarray(X), residual, noise
        other.joint, other.process, other._kept = joint, process, []
        other.count = min(self.count, len(X))
        other.nearest = self.nearest.of_rows(X)
        return other

    def correct(self, X: np.ndarray, residual: np.ndarray) -> Correction:
        """Of rows X `[Q, D]`, with beta `[L]`."""
        shape = (len(X), len(residual))
        explained = None if self.joint is None else np.empty(shape)
        nearest, prior = np.empty((2, len(X)))
        out = Correction(np.empty(shape), np.empty(shape), explained, nearest, prior)

        def fill(rows: np.ndarray, batch: Conditioned) -> None:
            out.mean[rows], out.residual[rows] = batch.mean, batch.residual
            out.nearest[rows], out.prior[rows] = batch.found.distances[:, 0], batch.prior
            if explained is not None:
                out.mean[rows] = self.joint_mean(batch)
                explained[rows] = self._explained(batch.at)

        def take(rows: np.ndarray, found: Found, answer: Answer) -> None:
            out.mean[rows], out.residual[rows] = answer.mean, residual * np.asarray(answer.left)
            out.nearest[rows], out.prior[rows] = found.distances[:, 0], answer.prior
            if explained is not None:
                out.mean[rows] += np.asarray(answer.sparse) + np.asarray(self.model.mean(found.X))
                explained[rows] = answer.explained

        self._searched(X, lambda rows, found: fill(rows, self._condition(found, residual)), take)
        return out

    def conditioned(
        self,
        X: np.ndarray,
        residual: np.ndarray,
        use: Callable[[np.ndarray, Conditioned], None],
    ) -> None:
        """`use(rows, batch)`, on several threads, for batches of X `[Q, D]`, with beta `[L]`."""

        def take(rows: np.ndarray, found: Found, answer: Answer) -> None:
            A, b, at, mean, left = (np.asarray(x) for x in answer[:5])
            use(rows, Conditioned(found, A, b, at, mean, residual * left, np.asarray(answer.prior)))

        self._searched(X, lambda rows, found: use(rows, self._condition(found, residual)), take)

    def _searched(
        self,
        X: np.ndarray,
        on_host: Callable[[np.ndarray, Found], None],
        on_device: Callable[[np.ndarray, Found, Answer], None],
    ) -> None:
        """One of the two for batches of rows of X `[Q, D]`: their numbers and what was found of them."""
        X = np.ascontiguousarray(X, np.float64)
        for start in range(0, len(X), SEARCHED):
            found = self.find(X[start : start + SEARCHED])

            def task(rows: np.ndarray, start: int = start, found: Found = found) -> None:
                on_host(start + rows, found.take(rows))

            def take(rows: np.ndarray, answer: Answer, start: int = start, found: Found = found) -> None:
                on_device(start + rows, found.take(rows), answer)

            if self._device is not None:
                self._device.answers(self, found, take)
            else:
                self._in_batches(found, task)

    def find(self, X: np.ndarray) -> Found:
        """Rows X `[T, D]` with their neighbours."""
        return Found(X, *self.nearest.query(X, self.count))

    def joint_mean(self, batch: Conditioned) -> np.ndarray:
        """The mean of f `[T, L]`, where q(u) was found jointly."""
        assert self.joint is not None
        weights = np.asarray(self.joint.q_mean, np.float64)
        sparse = np.stack([blas.times_vector(batch.A, column) for column in weights], axis=1)
        return batch.mean + sparse + np.asarray(self.model.mean(batch.found.X))

    def left_out(self, X: np.ndarray, without: np.ndarray) -> Ingredients:
        """Of training rows X `[T, D]`, numbers `without [T]`: what is known of them from the others."""
        found = self._find_others(np.ascontiguousarray(X, np.float64), without)
        T, m = len(X), self.count
        whole = Ingredients(np.empty((T, m, m)), np.empty((T, m)), np.empty(T), *found[1:])

        def fill(rows: np.ndarray) -> None:
            batch = found.take(rows)
            for part, _, parts in self._ingredients(batch, self.process.project(batch.X)):
                for into, values in zip(whole[:3], parts[:3], strict=True):
                    into[rows[part]] = values

        def fill_from(rows: np.ndarray, answer: Answer) -> None:
            for into, values in zip(whole[:3], (answer.among, answer.cross, answer.prior), strict=True):
                into[rows] = values

        if self._device is not None:
            self._device.answers(self, found, fill_from)
            return whole
        self._in_batches(found, fill)
        return whole

    def weights(self, parts: Ingredients, latent: int) -> np.ndarray:
        """b `[T, m]` of one latent GP."""
        C = parts.covariance.copy()
        # At the neighbours alone: of half a million rows the rest would take longer than all else.
        lam = self.variances(latent, np.where(parts.neighbours == NONE, 0, parts.neighbours))
        np.einsum("tii->ti", C)[...] += np.where(parts.neighbours == NONE, 1.0, lam)
        return np.linalg.solve(C, parts.cross[..., None])[..., 0]

    def apply(self, parts: Ingredients, latent: int, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What weights b `[T, m]` add to the mean, and what is left of residual variance: `[T]` both."""
        r = self.values(self.residual[:, latent], parts.neighbours, 0.0)
        left = parts.own - np.einsum("tm,tm->t", parts.cross, b)
        return np.einsum("tm,tm->t", b, r), np.maximum(left, 0.0)

    def variances(self, latent: int, rows: Any = slice(None)) -> np.ndarray:
        """`rho lam` of one latent GP at these rows `[...]`, and no less than keeps equal rows apart."""
        return np.maximum(self.ratio[latent] * self.noise[rows, latent], self.floor)

    def values(self, values: np.ndarray, neighbours: np.ndarray, missing: float) -> np.ndarray:
        """`values [N]` of training rows at `neighbours [T, m]`, `missing` where there is none."""
        return np.where(neighbours == NONE, missing, values[neighbours])

    def _in_batches(self, found: Found, task: Callable[[np.ndarray], None]) -> None:
        """`task(rows)` for all rows, near ones together."""
        if not self._kept and 8 * len(self.process.frame.L) * len(self.X) <= kept_bytes():
            self._kept.append(self.process.project(self.X))
        T = len(found.X)
        order = cluster_order(self.nearest.scaled(found.X)) if T > BATCH else np.arange(T)
        batches = [order[start : start + BATCH] for start in range(0, T, BATCH)]
        with threads.single_threaded_blas():
            threads.run_all([partial(task, rows) for rows in batches])

    def _condition(self, found: Found, residual: np.ndarray) -> Conditioned:
        (T, m), L = found.neighbours.shape, len(residual)
        A = self.process.project(found.X)  # [T, M]
        out = Conditioned(
            found, A, np.empty((L, T, m)), np.empty((L, *A.shape)), np.empty((T, L)), np.empty((T, L)),
            np.empty(T),
        )  # fmt: skip
        for part, rows, parts in self._ingredients(found, A):
            out.prior[part] = parts.own
            for latent, beta in enumerate(residual):
                b = self.weights(parts, latent)
                out.mean[part, latent], left = self.apply(parts, latent, b)
                out.residual[part, latent] = beta * left
                out.b[latent, part] = b
                out.at[latent, part] = A[part] - np.matmul(b[:, None, :], rows)[:, 0]
        return out

    def _ingredients(self, found: Found, A: np.ndarray) -> Iterator[tuple[slice, np.ndarray, Ingredients]]:
        """Ranges of a batch's rows, A of their neighbours `[t, m, M]` for a moment, and what is known."""
        present = found.neighbours != NONE
        used, place = np.unique(found.neighbours[present], return_inverse=True)
        places: np.ndarray = np.zeros(found.neighbours.shape, np.int64)  # anywhere, if it is missing
        places[present] = place
        T, m = places.shape
        whole, K = None, np.empty(0)
        if SHARED * (len(used) + T) ** 2 < T * (m + 1) ** 2:
            # With few inputs and many neighbours all pairs of a batch are fewer than each row's own pairs.
            pool = self._kept[0][used] if self._kept else self.process.project(self.X[used])
            whole = self._residual_covariance(np.concatenate([self.X[used], found.X]), np.vstack([pool, A]))
            sets = np.column_stack([places, len(used) + np.arange(T)])
            own = np.diag(whole)[len(used) :]
        else:
            near = self.X[np.where(present, found.neighbours, 0)]  # [T, m, D]
            K = self.process.kernel.sets(np.concatenate([near, found.X[:, None]], 1))[0]  # [T, m + 1, m + 1]
            own = K[:, -1, -1] - np.einsum("tm,tm->t", A, A)  # [T]
            if self._kept:
                pool, places = self._kept[0], np.where(present, found.neighbours, 0)
            else:
                pool = self.process.project(self.X[used])
        own = np.maximum(own, 0.0)
        for part, rows in gathered(pool, places):
            if whole is None:
                R = K[part, :-1, :-1] - np.matmul(rows, rows.transpose(0, 2, 1))  # [t, m, m]
                cross = K[part, :-1, -1] - np.matmul(rows, A[part, :, None])[..., 0]  # [t, m]
            else:
                both = whole[sets[part, :, None], sets[part, None, :]]
                R, cross = both[:, :-1, :-1], both[:, :-1, -1]
            if not (here := present[part]).all():
                R, cross = R * (here[:, :, None] & here[:, None, :]), cross * here
            yield part, rows, Ingredients(R, cross, own[part], found.neighbours[part], found.distances[part])

    def _residual_covariance(self, X: np.ndarray, A: np.ndarray) -> np.ndarray:
        """R of rows X `[U, D]`, A `[U, M]`, all by all."""
        K = self.process.kernel.sets(X[None])[0][0]
        return blas.mirror_lower(blas.gram(A, -1.0, K))

    def _explained(self, at: np.ndarray) -> np.ndarray:
        """`|S^T at|^2` `[T, L]` for at `[L, T, M]`, which is overwritten."""
        assert self.joint is not None
        for latent, matrix in enumerate(at):
            blas.triangular_product_right(matrix, np.asarray(self.joint.q_sqrt[latent], np.float64))
        return np.einsum("ltm,ltm->tl", at, at)

    def _find_others(self, X: np.ndarray, without: np.ndarray) -> Found:
        """The same, but for the row itself."""
        neighbours, distances = self.nearest.query(X, self.count + 1)
        others = neighbours != without[:, None]
        # Among many equal rows the row itself may not be there: then the farthest goes.
        others[others.all(axis=1), -1] = False
        shape = (len(X), self.count)
        return Found(X, neighbours[others].reshape(shape), distances[others].reshape(shape))
