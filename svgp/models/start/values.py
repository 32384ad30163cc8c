"""Where hyperparameters start, from the training rows.

Inputs that matter about equally, scaled to unit spread, put two random rows at a squared distance of
`2 D / c^2` from each other when every lengthscale is `c` standard deviations. `c = sqrt(D)` makes that 2,
so a kernel starts neither flat nor as white noise, in any number of columns. What targets say about f
(numbers themselves, logarithms of counts, -1 and 1 of two classes) departs from it by the exact GP's evidence
on a small random subset: with a lengthscale for each input (ARD) each one is fitted
(`svgp.models.start.evidence`), else one factor is chosen among a few.

Variance and noise scale are the target's variance; for a Student-t, where a few outliers would set that,
the square of its normalised median absolute deviation. What the targets say about f, each likelihood knows
(`svgp.likelihoods.start`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.linalg

from svgp import likelihoods
from svgp.config.kernels import kernel_sections
from svgp.config.model import ModelConfig
from svgp.kernels.matern import Matern32
from svgp.likelihoods.start import Level
from svgp.linalg.host.threads import single_threaded_blas
from svgp.models.start.evidence import fit_lengthscales

SUBSET = 400  # rows on which the evidence is compared: a factorisation of them takes some milliseconds
LENGTHSCALE_FACTORS = (0.125, 0.25, 0.5, 1.0, 2.0)
NOISE_SHARES = (0.01, 0.1, 0.4)
TAIL = 5.0  # standard deviations beyond which a target counts no further in the evidence
UNTESTED_FACTOR = 0.5  # of sqrt(D) deviations: lengthscales where no evidence is asked


class StartValues(NamedTuple):
    """Values in the units of the model's (standardised) arrays."""

    lengthscales: np.ndarray  # [D]
    variance: float | np.ndarray  # prior variance of f, [] or [Q]
    noise_scale: np.ndarray  # [P] target variance from which a likelihood derives its noise
    notes: list[str]
    level: Level | None = None  # where q(u) starts; None: at the prior
    regressed: np.ndarray | None = None  # [N, P] what the targets say about f, where they say it
    stretch: float = 1.0  # of lengthscales, and of f's deviation, beyond what `regressed` says


def start_values(
    config: ModelConfig, X: np.ndarray, Y: np.ndarray, *, classes: int = 0, seed: int = 0
) -> StartValues:
    """The starting values for rows X [N, D], Y [N, P + E]; a setting in the config overrides them later.

    `classes`: how many there are of a classification.
    """
    spread, varies = column_spread(X)  # [D], [D]
    root = np.sqrt(max(1, np.count_nonzero(varies)))
    start = likelihoods.latent_start(config.likelihood, likelihoods.targets_of(config.likelihood, Y, classes))
    if start.regressed is None:
        return StartValues(UNTESTED_FACTOR * root * spread, start.variance, start.spread, [], start.level)
    lengthscales = lengthscales_of(config, X, start.regressed, spread=start.spread, seed=seed)
    return StartValues(
        start.stretch * lengthscales,
        start.variance,
        start.spread,
        [],
        start.level,
        start.regressed,
        start.stretch,
    )


def lengthscales_of(
    config: ModelConfig,
    X: np.ndarray,
    g: np.ndarray,
    *,
    spread: np.ndarray | None = None,
    seed: int = 0,
    subset: int = SUBSET,
) -> np.ndarray:
    """Lengthscales [D] by the exact evidence of some rows of g [N, P], whose variances are `spread` [P]."""
    deviation = np.sqrt(np.maximum(g.var(axis=0), 1e-300) if spread is None else spread)
    spread, varies = column_spread(X)  # [D], [D]
    root = np.sqrt(max(1, np.count_nonzero(varies)))
    rows = np.random.default_rng([seed, 7]).permutation(len(X))[:subset]
    few = (X[rows] - X.mean(axis=0)) / spread
    targets = np.clip((g[rows] - np.median(g[rows], axis=0)) / deviation, -TAIL, TAIL)
    targets = targets - targets.mean(axis=0)
    factors = np.full(X.shape[1], root)
    with single_threaded_blas():
        if has_ard(config.kernel) and np.any(targets):
            factors[varies] = fit_lengthscales(few[:, varies], targets)
        else:
            factors *= _best_factor(few / root, targets)
    return factors * spread


def column_spread(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The spread of each column (1 where it is constant) and whether it varies, `[D]` each.

    Standard deviation, but half the range of a column of two values: of a category that few rows have, the
    standard deviation is far below the one step that it can take, and lengthscales to match would cut these
    rows off from all others.
    """
    low, high = X.min(axis=0), X.max(axis=0)
    spread, varies = X.std(axis=0), high > low
    two = np.all((low == X) | (high == X), axis=0) & varies
    spread = np.where(two, 0.5 * (high - low), spread)
    varies &= spread > 0
    return np.where(varies, spread, 1.0), varies


def has_ard(kernel: Any) -> bool:
    """Whether any part of a kernel's config has a lengthscale for each input."""
    return any(getattr(part, "ard", False) for _, part in kernel_sections(kernel))


def _best_factor(X: np.ndarray, Y: np.ndarray) -> float:
    """Lengthscale factor with the highest exact evidence (Matérn 3/2, unit variance, noise maximised)."""
    square = np.sum(X**2, 1)
    distances = Matern32.scale * (square[:, None] + square - 2.0 * X @ X.T)  # [n, n]
    best, chosen = -np.inf, 0.5
    for factor in LENGTHSCALE_FACTORS:
        K = distances / factor**2
        Matern32.fill(K, np.empty_like(K), 1.0)
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
