"""Where a model of counts starts: its f is a log rate, whose level may be far from the prior mean, zero.

With g = log(y + 1/2), f needs a prior variance of at least V = mean(g^2): counts near 10^5 an f near 11.5.
About its level f only has to vary by v = max(1, var g), and two things keep it at that:

- Lengthscales: two random rows, at a squared distance of `2 D` standard deviations, differ under variance V
  by what v allows, `2 V (1 - k(r / l)) = 2 v`, when `l = sqrt(3 D (V / v - 1))`: of the Matérn 3/2,
  `1 - k(r / l)` is about `3 r^2 / (2 l^2)`. Shorter ones let rates between the points run over all sizes.
- q(u), at the prior with V = 132, would expect rates of exp(V / 2) = 10^28, where neither gradients nor
  natural gradients find back. It starts at mean g, and with v / V of the prior covariance.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class CountLevel(NamedTuple):
    """Of log rates: mean of each output, mean square (at least 1), variance about the mean (at least 1)."""

    mean: np.ndarray  # [P]
    square: float
    around: float


def count_level(Y: np.ndarray) -> CountLevel:
    """Of the counts Y `[N, P]`."""
    g = np.log(np.maximum(Y, 0.0) + 0.5)  # [N, P]
    return CountLevel(g.mean(axis=0), max(1.0, float(np.mean(g**2))), max(1.0, float(g.var(axis=0).mean())))


def length_factor(level: CountLevel, shortest: float) -> float:
    """Lengthscale over `sqrt(D)` standard deviations; never below `shortest`, which small counts get."""
    return float(np.sqrt(shortest**2 + 3.0 * max(0.0, level.square / level.around - 1.0)))
