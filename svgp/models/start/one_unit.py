"""Inputs that share a unit: lengthscales that are one length in that unit.

The pixels of a picture, parts of a mixture, replies on one scale: a column that hardly varies says little
there. Divided by its own deviation it says as much as any other, and where rows are few for so many columns
the evidence makes use of what it says by chance. A distance in the common unit needs no fit.
"""

from __future__ import annotations

import numpy as np

SPANS = 0.5  # of the common range, that half of the columns have at least
UNLIKE = 3.0  # ratio of largest to least deviation, below which the common unit is the standardised one


def common_lengths(X: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray | None:
    """Lengthscales [D], in the units of X [N, D], that are one length in those of its columns X scale + mean.

    sqrt(D) root mean square deviations long. None where the columns hardly share a unit: half of them must
    span half of the range of them all, and their deviations must differ.
    """
    low, high = (end(axis=0) * scale + mean for end in (X.min, X.max))  # [D]
    varies = high > low
    if np.count_nonzero(varies) < 2:
        return None
    spans, deviations = (high - low)[varies], (X.std(axis=0) * scale)[varies]
    whole = high[varies].max() - low[varies].min()
    if np.median(spans) < SPANS * whole or deviations.max() < UNLIKE * deviations.min():
        return None
    return np.sqrt(len(spans) * np.mean(deviations**2)) / scale
