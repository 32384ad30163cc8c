"""Functions drawn from the posterior, to be evaluated wherever and as often as one likes.

A draw of the prior is moved to agree with a draw of the inducing values (Matheron's rule; Wilson et al. 2020,
"Efficiently sampling functions from Gaussian process posteriors", eq. 12). Whitened, with L L^T = Kuu +
jitter I, v ~ q(v) and e ~ N(0, jitter + white noise):

    f(x) = f0(x) + k(x, Z) L^-T (v - L^-1 (f0(Z) + e)) + mean(x)

- Where the kernel has explicit features (`svgp.kernels.features`), f0 = Phi w: the draws are functions with a
  formula, the same at every call. Their mean is that of q(f); the covariance's error is that of the features,
  about 1 / sqrt(2 m) of what the inducing points leave unexplained, for m frequencies.
- For other kernels the residual process f - E[f | u] is drawn at up to `PIVOTS` reference rows, those where
  most of it is left (a Cholesky factorisation with pivots), and carried to other rows by its own conditional
  mean. What a row then lacks of its variance is added, independent of other rows. All variances are exact,
  and the covariances of the reference rows where they are no more than `PIVOTS`.

Noise that belongs to a row (a white kernel's, and that last remainder) is a hash of the row's inputs: the
same row has the same value, whenever it is asked for.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from scipy.linalg import solve_triangular
from scipy.special import ndtri

from svgp.errors import NumericalError
from svgp.kernels.features import Noise
from svgp.linalg import factorise

FREQUENCIES = 2048  # 1.6% error in the prior covariance, below what 100 draws could show
PIVOTS = 1024
ENTRIES = 1 << 22  # numbers of one matrix at a time: 32 MiB
SPENT = 1e-9  # of the prior variance: a residual that is rounding


class FunctionDraws:
    """`count` draws from the posterior of an SVGP, of all its Q functions; a snapshot of the model.

    draws(X) -> [K, N, Q] at scaled inputs X [N, D], in float64. Cost: K M + K F operations a row and F
    cosines, F = 2 `frequencies`, and nothing that grows faster than N. The same `seed` gives the same
    functions. `reference` [n, D]: rows near which they will be asked for, needed where the kernel has no
    features (see above; `exact_features` says), then the draws are good near these. `residual_scale [Q]`:
    times what the inducing points leave of each function's variance (`svgp.models.predictive.calibration`).
    Raises NumericalError where Kuu fails.
    """

    def __init__(
        self,
        model: Any,
        count: int,
        *,
        seed: int = 0,
        frequencies: int = FREQUENCIES,
        reference: Any = None,
        residual_scale: np.ndarray | None = None,
    ) -> None:
        self.count, self.seed, self.kernel, self.mean = count, seed, model.kernel, model.mean
        rng = np.random.default_rng([seed, 11])
        self.Z, self._outputs = np.asarray(model.Z, np.float64), model.outputs  # [M, D] or [L, M, D]
        self._latents, size = model.num_latent, model.num_inducing
        Kuu = _stacked(model.kernel.K(self.Z, dtype=tf.float64), 2)
        factor = factorise(tf.constant(Kuu), model.jitter)
        self._L_inverse, jitter = factor.L_inverse.numpy(), factor.jitter.numpy()  # [1 or L, M, M], [1 or L]
        m, root = (np.asarray(tf.convert_to_tensor(x), np.float64) for x in (model.q_mean, model.q_root()))
        if not model.whiten:
            m, root = (self._L_inverse @ m[..., None])[..., 0], self._L_inverse @ root
        xi = rng.normal(size=(self._latents, size, count))
        values = m[..., None] + root @ xi  # [L, M, K] draws of v
        D = self.Z.shape[-1]
        parts = model.kernel.features(D, frequencies, rng)
        self.exact_features = parts is not None
        self._parts = [part for part in parts or () if not isinstance(part, Noise)]
        white = sum((part.variance for part in parts or () if isinstance(part, Noise)), np.zeros(1))  # [L']
        self._deviation = np.sqrt(np.broadcast_to(white, self._latents))  # [L] of noise of a row's own
        self._pivots: np.ndarray | None = None
        if parts is None:
            self._draw_residual(
                self.Z.reshape(-1, D) if reference is None else np.asarray(reference, np.float64), rng
            )
        else:
            wide = [part(self.Z.reshape(-1, D)[:1]).shape[-1] for part in self._parts]
            self._weights = [rng.normal(size=(self._latents, features, count)) for features in wide]
            noise = np.sqrt(jitter + white)[:, None, None] * rng.normal(size=values.shape)
            prior = self._L_inverse @ (self._prior_at_points() + noise)
            self._pull_prior = self._L_inverse.swapaxes(-1, -2) @ prior  # [L, M, K]
        self._pull = self._L_inverse.swapaxes(-1, -2) @ values  # [L, M, K]
        self._residual_root = 1.0 if residual_scale is None else np.sqrt(residual_scale)  # or [Q]
        if not np.isfinite(self._pull).all():
            raise NumericalError("posterior draws: Kuu has no factor; raise model.jitter")

    def __call__(self, X: Any) -> np.ndarray:
        """The functions at X [N, D]: [K, N, Q]."""
        X = np.asarray(X, np.float64)
        # Of a row: its features, or its covariances with the points; and its draws.
        width = max(1, self._latents) * max(self.count, self.Z.shape[-2], 2 * FREQUENCIES)
        step = max(64, ENTRIES // width)
        blocks = [self._block(X[start : start + step]) for start in range(0, len(X), step)]
        if not blocks:
            return np.zeros((self.count, 0, self._outputs.num_functions(self._latents)))
        return np.concatenate(blocks, axis=1)

    def _block(self, X: np.ndarray) -> np.ndarray:
        Kfu = _stacked(self.kernel.K(X, self.Z, dtype=tf.float64), 2)  # [1 or L, n, M]
        explained = Kfu @ self._pull  # [L, n, K]
        if self._pivots is None:
            f = self._prior(X) - Kfu @ self._pull_prior
            deviation = self._deviation[:, None]
        else:
            rows = self._residual_factor(X, Kfu)  # [1 or L, n, r]
            f = rows @ self._residual_draws
            left = self._residual_variance(X, Kfu) - np.sum(rows**2, -1)  # [1 or L, n]
            deviation = np.sqrt(np.maximum(left, 0.0)) + np.zeros((self._latents, 1))
        if np.any(deviation):
            f += deviation[..., None] * row_noise(X, self._latents, self.count, self.seed)
        both = (self._outputs.values(part.transpose(2, 1, 0)) for part in (explained, f))  # [K, n, Q]
        functions, residual = both
        return functions + self._residual_root * residual + np.asarray(self.mean(X), np.float64)

    def _prior(self, X: np.ndarray) -> np.ndarray:
        f = np.zeros((self._latents, len(X), self.count))
        for part, weights in zip(self._parts, self._weights, strict=True):
            f += part(X) @ weights
        return f

    def _prior_at_points(self) -> np.ndarray:
        if self.Z.ndim == 2:
            return self._prior(self.Z)
        return np.stack([self._prior(Z)[latent] for latent, Z in enumerate(self.Z)])  # each at its own

    def _draw_residual(self, reference: np.ndarray, rng: np.random.Generator) -> None:
        """Pivots among the reference rows, and what the residual process is there."""
        if len(reference) > 4 * PIVOTS:
            reference = reference[rng.choice(len(reference), 4 * PIVOTS, replace=False)]
        reference = np.unique(reference, axis=0)
        Kfu = _stacked(self.kernel.K(reference, self.Z, dtype=tf.float64), 2)
        A = Kfu @ self._L_inverse.swapaxes(-1, -2)  # [1 or L, n, M]
        R = _stacked(self.kernel.K(reference, dtype=tf.float64), 2) - A @ A.swapaxes(-1, -2)  # [1 or L, n, n]
        prior = np.mean(np.diagonal(R, axis1=-2, axis2=-1) + np.sum(A**2, -1), -1)  # [1 or L]
        chosen = most_left(R / prior[:, None, None], min(PIVOTS, len(reference)))
        self._pivots = reference[chosen]  # [r, D]
        self._pivot_A = A[:, chosen]  # [1 or L, r, M]
        own = R[:, chosen][:, :, chosen] + SPENT * prior[:, None, None] * np.eye(len(chosen))
        self._pivot_L = np.linalg.cholesky(own) if len(chosen) else own  # [1 or L, r, r]
        self._residual_draws = rng.normal(size=(self._latents, len(chosen), self.count))

    def _residual_factor(self, X: np.ndarray, Kfu: np.ndarray) -> np.ndarray:
        """R(x, pivots) L_p^-T, [1 or L, n, r]: rows whose inner products are what the pivots explain of R."""
        assert self._pivots is not None
        if not len(self._pivots):
            return np.zeros((*Kfu.shape[:2], 0))
        A = Kfu @ self._L_inverse.swapaxes(-1, -2)
        R = _stacked(self.kernel.K(X, self._pivots, dtype=tf.float64), 2) - A @ self._pivot_A.swapaxes(-1, -2)
        solved = [solve_triangular(L, r.T, lower=True).T for L, r in zip(self._pivot_L, R, strict=True)]
        return np.stack(solved)

    def _residual_variance(self, X: np.ndarray, Kfu: np.ndarray) -> np.ndarray:
        A = Kfu @ self._L_inverse.swapaxes(-1, -2)
        return _stacked(self.kernel.K_diag(X, dtype=tf.float64), 1) - np.sum(A**2, -1)  # [1 or L, n]


def row_noise(X: np.ndarray, latents: int, count: int, seed: int) -> np.ndarray:
    """Standard normal numbers [L, N, K] by seed, latent, draw and the row's inputs X [N, D] alone."""
    with np.errstate(over="ignore"):
        key = np.full(len(X), np.uint64(seed & (2**64 - 1)))
        for column in (X + 0.0).T:  # -0.0 is 0.0
            key = _mixed(key ^ np.ascontiguousarray(column).view(np.uint64))
        streams: np.ndarray = np.arange(1, latents * count + 1, dtype=np.uint64).reshape(latents, 1, count)
        bits = _mixed(key[None, :, None] + streams * np.uint64(0x9E3779B97F4A7C15))
    return ndtri(((bits >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53)


def _mixed(x: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser (Steele, Lea & Flood 2014): each bit of x changes half of the result's."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def most_left(R: np.ndarray, count: int) -> np.ndarray:
    """Rows `[r]` where most of R [L', n, n] is left, summed over its matrices, until nothing is."""
    left = np.diagonal(R, axis1=-2, axis2=-1).copy()  # [L', n]
    factor = np.zeros((len(R), count, R.shape[-1]))
    chosen: list[int] = []
    for step in range(count):
        best = int(np.argmax(left.sum(0)))
        if left[:, best].max() < SPENT * 10.0:
            break
        scale = np.sqrt(np.maximum(left[:, best], SPENT))[:, None]  # [L', 1]
        known = np.einsum("lm,lmn->ln", factor[:, :step, best], factor[:, :step])
        factor[:, step] = (R[:, best] - known) / scale
        left = np.maximum(left - factor[:, step] ** 2, 0.0)
        left[:, best] = 0.0
        chosen.append(best)
    return np.asarray(chosen, int)


def _stacked(x: Any, rank: int) -> np.ndarray:
    """An array with an axis for latents in front: one, where they share it."""
    array = np.asarray(x, np.float64)
    return array[None] if array.ndim == rank else array
