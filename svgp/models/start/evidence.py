"""Lengthscales from the exact GP evidence of a few rows: which inputs matter, before training begins.

With K = (1 - s) k(X / l) + s I for standardised targets, Matérn 3/2 and noise share s, L-BFGS maximises

    log N(Y | 0, K) - sum_d (log l_d - log sqrt(D))^2 / (2 SPREAD^2)

in log l and s. A sparse bound started with one length for all inputs cannot tell which of them matter where
most do not: with 32 inputs of which 4 count (pumadyn32nm) it ends as noise around a constant, at RMSE 1.0,
while the evidence of 400 rows names the four. The prior keeps what so few rows say within reach of more.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg
from scipy.optimize import minimize

from svgp.kernels.matern import Matern32

SPREAD = 1.5  # of the prior of log l: within a factor e^3 of the root of the dimension
STEPS = 40  # of L-BFGS
# Times sqrt(D): within the limits of L-BFGS; tighter ones cost pumadyn32nm 0.2 nats a row.
REACH = (1 / 32, 100.0)
NOISE = (1e-4, 0.99)  # limits of the noise share; a few rows often fit exactly
STARTS = (0.1, 0.7)  # of the noise share: the second where the first ends with a length that is hardly one


def fit_lengthscales(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    """Lengthscales `[D]` for inputs X `[n, D]` of unit spread and targets Y `[n, P]` of about unit variance.

    Starts from sqrt(D), with a tenth noise. Two starts ended at the same lengths on each UCI set tried:
    pumadyn32nm, kin40k, bike, pol, elevators, airfoil and yacht. Where most is noise, as of labels, the
    search may end in what explains it as a function without any smoothness: it starts again then, with more
    noise.
    Costs about 40 factorisations `[n, n]`: a second of one core for 400 rows.
    """
    return fit_evidence(X, Y)[0]


def fit_evidence(X: np.ndarray, Y: np.ndarray) -> tuple[np.ndarray, float]:
    """The same lengthscales `[D]`, and the share of noise."""
    D = X.shape[1]
    if D == 0:
        return np.ones(0), STARTS[0]
    value, lengths, share = _best_lengths(X, Y, STARTS[0])
    if np.any(lengths < REACH[0] * np.sqrt(D)):
        again = _best_lengths(X, Y, STARTS[1])
        lengths, share = again[1:] if again[0] < value else (lengths, share)
    return np.sqrt(D) * np.clip(lengths / np.sqrt(D), *REACH), share


def _best_lengths(X: np.ndarray, Y: np.ndarray, noise: float) -> tuple[float, np.ndarray, float]:
    """The objective where L-BFGS ends that starts with such a share of noise, lengthscales [D] and share."""
    D = X.shape[1]
    start: np.ndarray = np.append(np.full(D, 0.5 * np.log(D)), np.log(noise))
    limits = [(None, None)] * D + [(np.log(NOISE[0]), np.log(NOISE[1]))]
    found = minimize(
        negative_evidence, start, args=(X, Y), jac=True, method="L-BFGS-B", bounds=limits,
        options={"maxiter": STEPS},
    )  # fmt: skip
    return float(found.fun), np.exp(found.x[:D]), float(np.exp(found.x[D]))


def negative_evidence(theta: np.ndarray, X: np.ndarray, Y: np.ndarray) -> tuple[float, np.ndarray]:
    """The objective to be minimised and its gradient at theta = (log l `[D]`, log s).

    With G = (P K^-1 - V V^T) / 2, V = K^-1 Y, and W = 3 (1 - s) G o exp(-r), the gradient in log l_d is
    `sum_ij W_ij (z_id - z_jd)^2` = 2 (rowsum(W)^T z_d^2 - z_d^T W z_d), z = x / l. No pass over `[n, n]` more
    than needed: of K^-1 o exp(-r) the lower half serves, `(v v^T o E) z = v o (E (v o z))` are products with
    E, and `tr G dK/ds` follows from K^-1 K = I.
    """
    D, targets = X.shape[1], Y.shape[1]
    share = np.exp(theta[D])
    Z = X * np.exp(-theta[:D])  # [n, D]
    square = Matern32.scale * np.sum(Z * Z, 1)
    K = (-2.0 * Matern32.scale * Z) @ Z.T  # [n, n], symmetric: its rows are LAPACK's columns
    K += square[:, None]
    K += square
    np.fill_diagonal(K, 0.0)
    decay = np.empty_like(K)
    Matern32.fill(K, decay, 1.0)
    K *= 1.0 - share
    K[np.diag_indices_from(K)] += share
    L, info = scipy.linalg.lapack.dpotrf(K.T, lower=1, overwrite_a=1)
    if info != 0 or not np.isfinite(L.diagonal()).all():  # a wild step: the line search turns back
        return 1e25, np.zeros_like(theta)
    V, _ = scipy.linalg.lapack.dpotrs(L, Y, lower=1)  # [n, P]
    away = theta[:D] - 0.5 * np.log(D)
    value = 0.5 * np.sum(Y * V) + targets * np.log(L.diagonal()).sum()
    inverse, _ = scipy.linalg.lapack.dpotri(L, lower=1, overwrite_c=1)  # its lower half, zeros above
    trace = 0.5 * (targets * np.trace(inverse) - np.sum(V * V))  # of G
    inverse *= decay.T
    inverse[np.diag_indices_from(inverse)] *= 0.5
    sums = targets * (inverse.sum(1) + inverse.sum(0))  # of the rows of 2 G o exp(-r)
    moved = 2.0 * targets * np.sum(Z * (inverse @ Z), 0)  # z_d^T (2 G o exp(-r)) z_d, [D]
    for v in V.T:
        pulled = decay @ np.column_stack([v, v[:, None] * Z])  # [n, 1 + D]
        sums -= v * pulled[:, 0]
        moved -= np.sum(v[:, None] * Z * pulled[:, 1:], 0)
    by_length = 3.0 * (1.0 - share) * (sums @ (Z * Z) - moved) + away / SPREAD**2  # [D]
    by_share = share / (1.0 - share) * (trace - 0.5 * (targets * len(X) - np.sum(V * Y)))
    return value + 0.5 * float(away @ away) / SPREAD**2, np.append(by_length, by_share)
