"""Where hyperparameters start, from the training rows.

Inputs that matter about equally, scaled to unit spread, put two random rows at a squared distance of
`2 D / c^2` from each other when every lengthscale is `c` standard deviations. `c = sqrt(D)` makes that 2,
so a kernel starts neither flat nor as white noise, in any number of columns. For a regression the factor
before `sqrt(D)` and the noise are then chosen among a few by exact GP regression's evidence on a small
random subset.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.linalg

from svgp.config.model import ModelConfig
from svgp.linalg.threads import single_threaded_blas

SUBSET = 400  # rows on which the evidence is compared: 12 Cholesky factorisations, a few milliseconds each
LENGTHSCALE_FACTORS = (0.125, 0.25, 0.5, 1.0, 2.0)
NOISE_SHARES = (0.01, 0.1, 0.4)


class StartValues(NamedTuple):
    """Values in the units of the model's (standardised) arrays."""

    lengthscales: np.ndarray  # [D]
    variance: float  # prior variance of f
    noise_scale: np.ndarray  # [P] target variance from which a likelihood derives its noise
    notes: list[str]


def start_values(config: ModelConfig, X: np.ndarray, Y: np.ndarray, *, seed: int = 0) -> StartValues:
    """The starting values for rows X [N, D], Y [N, P]; a setting in the config overrides them later."""
    spread = X.std(axis=0)  # [D]
    spread = np.where(spread > 0, spread, 1.0) * np.sqrt(max(1, np.count_nonzero(spread > 0)))
    if config.likelihood.task != "regression":
        return StartValues(0.5 * spread, 1.0, np.ones(Y.shape[1]), [])
    variance = Y.var(axis=0)  # [P]
    variance = np.where(variance > 0, variance, 1.0)
    rows = np.random.default_rng([seed, 7]).permutation(len(X))[:SUBSET]
    with single_threaded_blas():
        factor = _best_factor(X[rows] / spread, (Y[rows] - Y[rows].mean(0)) / np.sqrt(variance))
    return StartValues(factor * spread, float(variance.mean()), variance, [])


def _best_factor(X: np.ndarray, Y: np.ndarray) -> float:
    """Lengthscale factor with the highest exact evidence (Matérn 3/2, unit variance, noise maximised)."""
    square = np.sum(X**2, 1)
    distance = np.sqrt(3.0 * np.maximum(square[:, None] + square - 2.0 * X @ X.T, 0.0))  # [n, n]
    best, chosen = -np.inf, 0.5
    for factor in LENGTHSCALE_FACTORS:
        K = (1.0 + distance / factor) * np.exp(-distance / factor)
        eigenvalues, vectors = scipy.linalg.eigh(K)
        projected = (vectors.T @ Y) ** 2  # [n, P]
        for share in NOISE_SHARES:
            spectrum = (1.0 - share) * np.maximum(eigenvalues, 0.0) + share
            evidence = (
                -0.5 * np.sum(projected / spectrum[:, None]) - 0.5 * Y.shape[1] * np.log(spectrum).sum()
            )
            if evidence > best:
                best, chosen = evidence, factor
    return chosen
