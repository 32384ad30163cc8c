"""A certificate for Gaussian noise: the exact GP's log evidence lies between two computable numbers.

With K = Kff + s2 I, Q = Kfu Kuu^-1 Kuf, d = diag(Kff - Q), t = sum d, and r = y - mean:

    log|Q + s2 I|  <=  log|K|  <=  log|Q + s2 I| + sum log(1 + d / s2)
    r^T K^-1 r = v^T (r + e) + e^T K^-1 e   for any v with e = r - K v, and
    (Q + (t + s2) I)^-1  <=  K^-1  <=  (Q + s2 I)^-1   (as quadratic forms)

v = 0 gives the bounds of Titsias (2014, "Variational inference for Gaussian and determinantal point
processes") and, below, the tight collapsed bound; a few preconditioned conjugate-gradient steps towards
K v = r shrink e, and with it the gap between the quadratic terms (Artemev, Burt, van der Wilk 2021).
A step needs one product with Kff, N^2 / 2 kernel values, made tile by tile and never stored.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
import tensorflow as tf

from svgp.errors import ModelError
from svgp.models.collapsed.bound import CollapsedBound, Stopped
from svgp.models.collapsed.panels import row_ranges
from svgp.models.collapsed.posterior import OptimalPosterior, bound_from_sums

TILE = 2048  # rows and columns of Kff at a time


@dataclass(frozen=True)
class Certificate:
    """Bounds in nats for all rows, at the model's hyperparameters.

    `lower <= log evidence of the exact GP <= upper`; `elbo` is the model's collapsed bound; `log_det_gap` and
    `quadratic_gap` add up to at least `upper - lower`; `residual_share`: sum d / sum kff.
    """

    elbo: float
    lower: float
    upper: float
    log_det_gap: float
    quadratic_gap: float
    residual_share: float
    products: int
    rows: int

    @property
    def gap_per_row(self) -> float:
        """How much the ELBO can gain from more inducing points at most, in nats a row."""
        return (self.upper - self.elbo) / self.rows

    def summary(self) -> str:
        """What the numbers say, in one line."""
        return (
            f"at most {self.gap_per_row:.3g} nats per row are left to gain from more inducing points at "
            f"these hyperparameters (per row: ELBO {self.elbo / self.rows:.4g}, "
            f"upper bound {self.upper / self.rows:.4g})"
        )


def certificate(
    model: Any,
    X: np.ndarray,
    Y: np.ndarray,
    *,
    steps: int = 20,
    max_seconds: float | None = 30.0,
    tolerance: float = 1e-3,
) -> Certificate:
    """Bracket the log evidence of the exact GP of the model's prior and noise, X `[N, D]`, Y `[N, P]`.

    Conjugate gradients end after `steps`, `max_seconds` (a product under way is dropped), or when the
    quadratic terms differ by less than `tolerance` nats a row. `steps=0` costs no product with Kff.
    Raises ModelError where the model is not one for the collapsed bound, NumericalError where Kuu fails.
    """
    deadline = None if max_seconds is None else time.perf_counter() + max_seconds
    if model.likelihood.noise == "per_output":
        raise ModelError("the certificate is for one noise variance, and each output has its own")
    bound = CollapsedBound(model, X, Y, bound="tight", variables=())
    posterior, sums = bound.posterior()
    nystrom = Nystrom(bound, posterior, sums.prior)
    r = np.asarray(Y, np.float64).reshape(len(X), -1) - np.asarray(
        model.mean(tf.convert_to_tensor(X, tf.float64))
    )  # [N, P]
    count, outputs = r.shape
    state = Brackets(r, nystrom)
    product = KernelProduct(model.kernel, X, nystrom.noise, deadline)
    while state.products < steps and state.gap > tolerance * count * outputs:
        try:
            state.step(product)
        except Stopped:
            break
    spread = count * np.log(2.0 * np.pi * nystrom.noise) + float(posterior.log_det[0])
    common = -0.5 * outputs * spread
    log_det_gap = 0.5 * outputs * float(sums.log_ratio[0])
    elbo = bound_from_sums(posterior, sums)
    if not model.bound.is_tight:
        elbo -= 0.5 * outputs * nystrom.residual / nystrom.noise - log_det_gap
    lower = max(elbo, common - log_det_gap - 0.5 * state.high)
    upper = common - 0.5 * state.low
    return Certificate(
        elbo=elbo,
        lower=lower,
        upper=float(upper),
        log_det_gap=log_det_gap,
        quadratic_gap=0.5 * state.gap,
        residual_share=nystrom.residual / sums.prior,
        products=state.products,
        rows=count,
    )


class Nystrom:
    """Solves with Q + s I, s >= s2, by Woodbury's identity: `(x - A^T (s I + A A^T)^-1 A x) / s`."""

    def __init__(self, bound: CollapsedBound, posterior: OptimalPosterior, prior: float) -> None:
        self._bound, self._L_inverse = bound, posterior.frame.L_inverse
        self.noise = float(posterior.frame.noise[0])
        self._gram = self.noise * (posterior.B[0] - np.eye(len(posterior.B[0])))  # [M, M] A A^T
        self.residual = max(prior - float(np.trace(self._gram)), 0.0)
        self._shifts = (self.noise, self.noise + self.residual)
        eye = np.eye(len(self._gram))
        self._factors = [scipy.linalg.cho_factor(self._gram + s * eye, lower=True) for s in self._shifts]

    def solve(self, x: np.ndarray) -> list[np.ndarray]:
        """`(Q + s2 I)^-1 x` and `(Q + (t + s2) I)^-1 x` for x `[N, P]`, in two passes over the rows."""
        projected = np.zeros((len(self._gram), x.shape[1]))
        for rows, Kuf in self._panels():
            projected += Kuf @ x[rows]
        projected = self._L_inverse @ projected
        weights = [self._L_inverse.T @ scipy.linalg.cho_solve(f, projected) for f in self._factors]  # [M, P]
        results = [np.empty_like(x) for _ in weights]
        for rows, Kuf in self._panels():
            for result, weight, shift in zip(results, weights, self._shifts, strict=True):
                result[rows] = (x[rows] - Kuf.T @ weight) / shift
        return results

    def _panels(self) -> Any:
        model, (X, _) = self._bound.model, self._bound.rows.sample()
        for rows in row_ranges(len(X), len(self._gram)):
            yield rows, np.asarray(model.kernel.K(model.Z, X[rows]), np.float64)


class Brackets:
    """Conjugate gradients on K v = r, preconditioned by Q + s2 I, with bounds on r^T K^-1 r at each step.

    Columns are separate systems that share their products.
    """

    def __init__(self, r: np.ndarray, nystrom: Nystrom) -> None:
        self._r, self._nystrom = r, nystrom
        self._v, self._e = np.zeros_like(r), r.copy()  # [N, P]
        self.products = 0
        self.low, self.high = 0.0, np.inf
        self._z = self._update_bounds()
        self._p = self._z.copy()

    @property
    def gap(self) -> float:
        """Upper less lower bound of r^T K^-1 r, summed over the columns."""
        return self.high - self.low

    def step(self, product: Callable[[np.ndarray], np.ndarray]) -> None:
        """One step; bounds only tighten. What `product` raises leaves everything as it was."""
        Kp = product(self._p)
        before = np.sum(self._e * self._z, 0)  # [P]
        alpha = before / np.sum(self._p * Kp, 0)
        self._v += alpha * self._p
        self._e -= alpha * Kp
        self.products += 1
        self._z = self._update_bounds()
        self._p = self._z + (np.sum(self._e * self._z, 0) / before) * self._p

    def _update_bounds(self) -> np.ndarray:
        """Tighten both bounds; returns the preconditioned error."""
        narrow, wide = self._nystrom.solve(self._e)
        common = float(np.sum(self._v * (self._r + self._e)))
        self.low = max(self.low, common + float(np.sum(self._e * wide)))
        self.high = min(self.high, common + float(np.sum(self._e * narrow)))
        return narrow


class KernelProduct:
    """`(Kff + s2 I) x` for x `[N, P]`, by tiles of the upper half. Raises Stopped after the deadline."""

    def __init__(self, kernel: Any, X: np.ndarray, noise: float, deadline: float | None) -> None:
        self._kernel, self._noise, self._deadline = kernel, noise, deadline
        self._X = tf.convert_to_tensor(X, tf.float64)
        wide = tf.TensorSpec([None, X.shape[1]], tf.float64)
        thin = tf.TensorSpec([None, None], tf.float64)
        self._off = tf.function(self._off_diagonal, input_signature=[wide, wide, thin, thin], autograph=False)
        self._on = tf.function(self._diagonal, input_signature=[wide, thin], autograph=False)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        result = self._noise * x
        x = tf.convert_to_tensor(x)
        starts = range(0, len(result), TILE)
        tiles = [slice(start, min(start + TILE, len(result))) for start in starts]
        for i, rows in enumerate(tiles):
            result[rows] += self._on(self._X[rows], x[rows]).numpy()
            for columns in tiles[i + 1 :]:
                if self._deadline is not None and time.perf_counter() > self._deadline:
                    raise Stopped
                above, below = self._off(self._X[rows], self._X[columns], x[rows], x[columns])
                result[rows] += above.numpy()
                result[columns] += below.numpy()
        return result

    def _diagonal(self, X: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        return tf.matmul(tf.cast(self._kernel.K(X), tf.float64), x)  # [C, P]

    def _off_diagonal(
        self, X: tf.Tensor, X2: tf.Tensor, x: tf.Tensor, x2: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        K = tf.cast(self._kernel.K(X, X2), tf.float64)  # [C, C2]
        return tf.matmul(K, x2), tf.matmul(K, x, transpose_a=True)
