"""What shape standardised residuals have: normal, or a mixture of normals of several widths.

The nonparametric maximum-likelihood estimate of a scale mixture on a fixed grid of scales (Kiefer & Wolfowitz
1956; Koenker & Mizera 2014): a concave problem, solved by expectation-maximisation. Whatever share of rows
lies far off, or almost exactly on its prediction, the mixture's quantiles say so; its variance is finite.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

SCALES = 24
NARROWEST = 0.03  # of the median |z|: targets that repeat exactly must not make densities infinite
WIDEST = 4.0  # of the largest |z|: what has not been seen yet may lie farther out
PRIOR_ROWS = 1.0  # spread evenly over the scales, so that none has no weight at all
ITERATIONS = 300
_LOG_2PI = float(np.log(2.0 * np.pi))


class Shape(NamedTuple):
    """A mixture `sum_k weights_k N(0, scales_k^2)` of standardised residuals."""

    scales: np.ndarray  # [K]
    weights: np.ndarray  # [K]

    def log_density(self, z: np.ndarray) -> np.ndarray:
        """`[T]` of standardised residuals `[T]`."""
        return np.logaddexp.reduce(np.log(self.weights) + _log_normal(z, self.scales), axis=1)


NORMAL = Shape(np.ones(1), np.ones(1))


def fit_shape(z: np.ndarray) -> Shape:
    """The mixture that makes the standardised residuals z `[T]` most probable."""
    size = np.abs(z[np.isfinite(z)])
    middle = float(np.median(size)) if len(size) else 0.0
    if middle <= 0.0:
        return NORMAL
    scales = np.geomspace(NARROWEST * middle, WIDEST * max(float(size.max()), middle), SCALES)
    log_parts = _log_normal(size, scales)  # [T, K]
    parts = np.exp(log_parts - log_parts.max(axis=1, keepdims=True))
    weights = np.full(SCALES, 1.0 / SCALES)
    for _ in range(ITERATIONS):
        owed = (parts / (parts @ weights)[:, None]).sum(axis=0) * weights + PRIOR_ROWS / SCALES
        weights = owed / owed.sum()
    return Shape(scales, weights)


def _log_normal(z: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """log N(z | 0, scales^2) `[T, K]`."""
    return -0.5 * (_LOG_2PI + (z[:, None] / scales) ** 2) - np.log(scales)
