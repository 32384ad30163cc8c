"""Which inducing points the others make superfluous."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import lapack
from scipy.spatial import cKDTree

REDUNDANT = 1e-4  # of a point's prior variance
LEAST_REDUNDANT = 1e-6  # the jitter's size: what it decides cannot be told from a rounding


@dataclass(frozen=True)
class Redundancy:
    """`order` `[M]`: points from most to least informative; `kept`: how many of these are needed."""

    order: np.ndarray
    kept: int

    @property
    def redundant(self) -> np.ndarray:
        """Indices, ascending, of the points that could go all at once."""
        return np.sort(self.order[self.kept :])


def redundant_points(Kuu: np.ndarray, threshold: float) -> Redundancy:
    """Points of `Kuu [M, M]` whose value the kept ones determine up to `threshold` of its variance.

    Pivoted Cholesky of the correlation matrix: keep the point with the largest variance given the
    kept ones, until all the others have `Var(u_m | kept) / Var(u_m) <= threshold`. The test of each
    point against *all* others, `1 / ((Kuu^-1)_mm k_mm)`, would call every point of a dense row of
    points redundant (each is known from its neighbours), though not all of them can go; here the
    count is of points that can be removed together. Two coinciding points count as one redundant.
    """
    scale = 1.0 / np.sqrt(np.diagonal(Kuu))  # [M]
    correlation = scale[:, None] * Kuu * scale  # [M, M]
    _, order, kept, _ = lapack.dpstrf(correlation, tol=threshold, lower=1, overwrite_a=1)
    return Redundancy(order=np.asarray(order, dtype=int) - 1, kept=int(kept))


def smallest_distance(scaled: np.ndarray) -> float | None:
    """Smallest Euclidean distance between two rows of `[M, D]`; None for a single row."""
    if len(scaled) < 2:
        return None
    distances, _ = cKDTree(scaled).query(scaled, k=2)  # [M, 2]
    return float(distances[:, 1].min())


def redundant_for_all(Kuu: np.ndarray, threshold: float) -> Redundancy:
    """The same for `Kuu [L, M, M]` of L latent GPs that share their points: that of the GP needing most."""
    return max((redundant_points(K, threshold) for K in Kuu), key=lambda found: found.kept)


def redundancy_threshold(Kuu: np.ndarray, noise: float | None) -> float:
    """Below which share of its prior variance a point of `Kuu [L, M, M]` is known from the others.

    1e-4, less where the Gaussian `noise` (variance; None: another likelihood) is small: 1% of noise over
    prior variance is a loss of at most 0.005 nats a row. Never below 1e-6, the size of the jitter.
    """
    if noise is None:
        return REDUNDANT
    prior = float(np.diagonal(Kuu, axis1=1, axis2=2).max())
    return float(np.clip(0.01 * noise / prior, LEAST_REDUNDANT, REDUNDANT))


def smallest_noise(likelihood: Any) -> float | None:
    """The smallest Gaussian noise variance, None for another likelihood."""
    structure = getattr(likelihood, "noise", None)
    if structure is None:
        return None
    return float(np.min(likelihood.noise_variance()))
