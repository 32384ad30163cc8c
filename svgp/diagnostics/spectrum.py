"""Two numbers from the eigenvalues of a covariance matrix."""

from __future__ import annotations

import numpy as np


def condition_number(eigenvalues: np.ndarray, precision: float) -> float:
    """Largest over smallest eigenvalue; at most 1 / `precision`, the rounding of the dtype.

    A smaller (or negative) smallest eigenvalue is rounding error, and so would be a larger ratio.
    """
    largest = float(np.max(eigenvalues))
    return largest / max(float(np.min(eigenvalues)), precision * largest)


def effective_rank(eigenvalues: np.ndarray) -> float:
    """`exp(-sum_i p_i log p_i)`, `p_i = lambda_i / sum lambda`: from 1 (rank one) to M (all equal).

    The number of directions among which the variance is spread. Source: Roy and Vetterli (2007).
    """
    kept = eigenvalues[eigenvalues > 0]
    p = kept / kept.sum()
    return float(np.exp(-np.sum(p * np.log(p))))
