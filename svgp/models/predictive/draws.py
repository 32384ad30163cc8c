"""Functions drawn from what predictions with neighbours say, to be evaluated wherever one likes.

In the letters of `svgp.models.predictive.joint` a draw is `mean(x) + (at or a)^T S xi + d(x)`, xi ~ N(0, I).
d is drawn by Matheron's rule with each row's own neighbours, from a draw f0 of the prior and of the noise:

    d(x) = sqrt(beta) (f0(x) - b^T f0(n) - at^T L^-1 (f0(Z) + jitter noise)) - b^T e_n

- Where the kernel has features, f0 = Phi w, so that a draw is one function, the same at every call. A row's
  d is scaled so that its variance is exactly what the prediction says; correlations have the features' error.
- For other kernels d is drawn at up to PIVOTS reference rows and carried to others by its conditional mean;
  what a row then lacks of its variance is added, independent of other rows.

Noise that belongs to a row is a hash of its inputs, that of a training row of its number.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg import solve_triangular

from svgp.kernels.features import Noise
from svgp.models.pathwise import FREQUENCIES, SPENT, FunctionDraws, most_left, row_noise
from svgp.models.predictive import device_errors
from svgp.models.predictive.corrections import Conditioned
from svgp.models.predictive.joint import LocalErrors, neighbour_weights, nugget

PIVOTS = 256
CHUNK = 1024  # rows whose features are in memory at a time


def predictive_draws(
    predictive: Any, count: int, *, seed: int = 0, frequencies: int = FREQUENCIES, reference: Any = None
) -> FunctionDraws | NeighbourDraws:
    """`count` functions of what `predictive` says; draws(X) -> `[K, N, Q]` at scaled inputs X `[N, D]`.

    Without noise. The same `seed` gives the same functions. `reference [n, D]`: rows near which they will be
    asked for, needed where the kernel has no features. Raises NumericalError where Kuu fails.
    """
    if predictive.neighbours is None:
        scale = predictive.calibration.residual
        return FunctionDraws(
            predictive.model, count, seed=seed, frequencies=frequencies, reference=reference,
            residual_scale=scale,
        )  # fmt: skip
    return NeighbourDraws(predictive, count, seed, frequencies, reference)


class NeighbourDraws:
    """Draws of a `Predictive` with neighbours (see `predictive_draws`)."""

    def __init__(self, predictive: Any, count: int, seed: int, frequencies: int, reference: Any) -> None:
        own = predictive.calibration
        self._product = device_errors.product if predictive.neighbours.on_device else np.matmul
        self.predictive, self.count, self.seed = predictive, count, seed
        self.rows = predictive.neighbours
        self.errors = LocalErrors(self.rows, own.residual)
        rng = np.random.default_rng([seed, 11])
        kernel, Z = self.rows.model.kernel, self.rows.model.Z.numpy()
        root = np.asarray(predictive.source.q_sqrt, np.float64)  # [L, M, M]
        self._latents, size = root.shape[:2]
        self._spread = self._product(root, rng.normal(size=(self._latents, size, count)))  # [L, M, K]
        parts = kernel.features(Z.shape[1], frequencies, rng)
        self.exact_features = parts is not None
        if parts is None:
            self._draw_at(np.asarray(Z if reference is None else reference, np.float64), rng)
            return
        self._parts = [part for part in parts if not isinstance(part, Noise)]
        self._white = float(sum(np.sum(part.variance) for part in parts if isinstance(part, Noise)))
        self._L_inverse = self.rows.process.frame.L_inverse
        at_Z = [part(Z)[0] for part in self._parts]  # [M, F]
        self._weights = [rng.normal(size=(self._latents, Phi.shape[1], count)) for Phi in at_Z]
        self._seen = [self._product(self._L_inverse, Phi) for Phi in at_Z]
        self._jitter = self.rows.process.frame.jitter + self._white
        noise = np.sqrt(self._jitter) * rng.normal(size=self._spread.shape)
        self._noise_at_Z = self._product(self._L_inverse, noise)  # [L, M, K]

    def __call__(self, X: Any) -> np.ndarray:
        """The functions at X `[N, D]`: `[K, N, Q]`."""
        X = np.asarray(X, np.float64)
        draws: np.ndarray = np.empty((self._latents, len(X), self.count))

        def fill(rows: np.ndarray, batch: Conditioned) -> None:
            draw = self._by_features if self.exact_features else self._by_pivots
            seen = batch.A if self.rows.joint is None else batch.at
            draws[:, rows] = self._product(seen, self._spread) + self._mean(batch).T[:, :, None] + draw(batch)

        self.rows.conditioned(X, self.errors.residual, fill)
        return draws.transpose(2, 1, 0)

    def _mean(self, batch: Conditioned) -> np.ndarray:
        """`[t, L]`."""
        if self.rows.joint is not None:
            return self.rows.joint_mean(batch)
        return batch.mean + np.asarray(self.predictive.sparse.parts(batch.found.X).mean, np.float64)

    def _by_features(self, batch: Conditioned) -> np.ndarray:
        """d `[L, t, K]`."""
        used, weights = neighbour_weights(batch.found.neighbours, batch.b)
        own = row_noise(batch.found.X, self._latents, self.count, self.seed)  # [L, t, K]
        theirs = row_noise(used[:, None].astype(np.float64), self._latents, self.count, self.seed + 1)
        d = np.empty(own.shape)
        for latent, (b, at) in enumerate(zip(weights, batch.at, strict=True)):
            beta = self.errors.residual[latent]
            drawn = np.sqrt(self._white) * own[latent] - self._product(at, self._noise_at_Z[latent])  # [t, K]
            variance = self._white + self._jitter * np.sum(
                self._product(at, self._L_inverse) ** 2, axis=1
            )  # [t]
            for part, seen, w in zip(self._parts, self._seen, self._weights, strict=True):
                left = device_errors.features_left if self.rows.on_device else _features_left
                values, squares = left(part, batch.found.X, at, seen, b, self.rows.X[used], w[latent], CHUNK)
                drawn += values
                variance += squares
            lam = self.errors.variances(latent, used)  # [U]
            drawn = np.sqrt(beta) * drawn - b @ (np.sqrt(lam)[:, None] * theirs[latent])
            variance = beta * variance + b.multiply(b) @ lam
            scale = np.sqrt(batch.residual[:, latent] / np.maximum(variance, np.finfo(float).tiny))
            d[latent] = scale[:, None] * drawn
        return d

    def _draw_at(self, reference: np.ndarray, rng: np.random.Generator) -> None:
        """d where most of it is left among some of the reference rows."""
        reference = np.unique(reference, axis=0)
        if len(reference) > 4 * PIVOTS:
            reference = reference[rng.choice(len(reference), 4 * PIVOTS, replace=False)]
        C = self.errors.covariance(self.errors.at(reference))  # [L, n, n]
        # White noise is nothing that a row could carry to another.
        white = nugget(self.rows.model.kernel, reference)  # [n]
        np.einsum("lnn->ln", C)[...] -= self.errors.residual[:, None] * white
        scale = np.maximum(np.diagonal(C, axis1=1, axis2=2).mean(axis=1), np.finfo(float).tiny)  # [L]
        chosen = most_left(C / scale[:, None, None], min(PIVOTS, len(reference)))
        self._pivots = self.errors.at(reference[chosen])
        own = C[:, chosen][:, :, chosen] + SPENT * scale[:, None, None] * np.eye(len(chosen))
        self._factor = np.linalg.cholesky(own) if len(chosen) else own  # [L, r, r]
        self._pivot_draws = rng.normal(size=(self._latents, len(chosen), self.count))

    def _by_pivots(self, batch: Conditioned) -> np.ndarray:
        """d `[L, t, K]`."""
        d = row_noise(batch.found.X, self._latents, self.count, self.seed)
        carried = np.zeros((self._latents, len(batch.A), self._factor.shape[-1]))
        if carried.size:
            C = self.errors.covariance(batch, self._pivots)  # [L, t, r]
            for latent, (L, c) in enumerate(zip(self._factor, C, strict=True)):
                carried[latent] = device_errors.solved(L, c) if self.rows.on_device else _solved(L, c)
        left = np.maximum(batch.residual.T - np.sum(carried**2, axis=2), 0.0)  # [L, t]
        d *= np.sqrt(left)[:, :, None]
        return d + self._product(carried, self._pivot_draws)


def _solved(L: np.ndarray, c: np.ndarray) -> np.ndarray:
    """`c L^-T` for a lower triangle L `[r, r]` and c `[t, r]`."""
    return solve_triangular(L, c.T, lower=True).T


def _features_left(
    part: Any, X: np.ndarray, at: np.ndarray, seen: np.ndarray, b: Any, near: np.ndarray, w: np.ndarray,
    chunk: int,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """`psi w [t, K]` and the squares `[t]` of psi = Phi(X) - at seen - b Phi(near), of one latent GP."""
    psi = part(X)[0] - at @ seen  # [t, F]
    for start in range(0, len(near), chunk):
        some = slice(start, start + chunk)
        psi -= b[:, some] @ part(near[some])[0]
    return psi @ w, np.sum(psi**2, axis=1)
