"""Where f starts, from the training targets: what a likelihood says of it. Plain NumPy.

A latent that stands for a logarithm (a log rate, a log scale) may lie far from the prior mean, zero. With g
what the targets say about f, f needs a prior variance of at least V = mean(g^2): counts near 10^5 have an f
near 11.5. About its level f only has to vary by v = max(1, var g), and two things keep it at that:

- Lengthscales: those by the evidence of g, times sqrt(V / v): near rows then differ under variance V by what
  they do under v (`regression_of`). Shorter ones let rates between the points run over all sizes.
- q(u), at the prior with V = 132, would expect rates of exp(V / 2) = 10^28, where neither gradients nor
  natural gradients find back. It starts at mean g, and with v / V of the prior covariance.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

MAD_TO_STD = 1.4826  # of a normal distribution


@dataclass(frozen=True, eq=False)
class Targets:
    """Training targets as a likelihood sees them when it is made."""

    Y: np.ndarray  # [N, P] scaled, without a missing value
    extras: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))  # [N, E]
    classes: int = 0  # of a classification
    variance: np.ndarray = field(default_factory=lambda: np.ones(1))  # [P], 1 where a target is constant

    @property
    def outputs(self) -> int:
        """P."""
        return self.Y.shape[1]


class Level(NamedTuple):
    """Of what the targets say about f: mean of each latent, mean square, variance about the mean.

    q(u) of a latent whose prior variance is above `around` starts at the mean, the others at the prior.
    """

    mean: np.ndarray  # [Q]
    square: float
    around: float | np.ndarray  # [] or [Q]


class LatentStart(NamedTuple):
    """What the starting values of kernel and q(u) come from."""

    # [n, P] about unit variance or not: of these the exact GP's evidence is asked; None: lengthscales by rule
    regressed: np.ndarray | None
    variance: float | np.ndarray  # prior variance of f, [] or [Q]
    spread: np.ndarray  # [P] variance of the targets, from which noise takes its share
    level: Level | None = None  # where q(u) starts; None: at the prior
    stretch: float = 1.0  # how much longer than the evidence's lengthscales are, and wider f than it varies


def regression_of(g: np.ndarray, variance: float, level: Level | None = None) -> LatentStart:
    """Lengthscales by the evidence of g [N, P], a rough idea of f that each row has, with all its noise.

    Half of the rows of a class are on the wrong side of any line, and the evidence still tells which inputs
    matter and over what distance. Where f needs a prior of V = `level.square` to reach its level and varies
    by v = `level.around` alone, lengthscales are sqrt(V / v) times as long, since near rows then differ by as
    much: `V (1 - k(r / l))` is about `3 V r^2 / (2 l^2)`.
    """
    stretch = 1.0 if level is None else float(np.sqrt(max(1.0, level.square / float(np.max(level.around)))))
    return LatentStart(g - g.mean(axis=0), variance, variance_of(g), level, stretch)


def level_of(g: np.ndarray, least: float = 1.0) -> Level:
    """Of g [N, Q]; mean square and variance are at least `least`."""
    square, around = float(np.mean(g**2)), float(g.var(axis=0).mean())
    return Level(g.mean(axis=0), max(least, square), max(least, around))


def variance_of(Y: np.ndarray, robust: bool = False) -> np.ndarray:
    """Of each column of Y [N, P], 1 where it is constant; `robust`: by the median absolute deviation."""
    variance = Y.var(axis=0)  # [P]
    if robust:
        by_median = (MAD_TO_STD * np.median(np.abs(Y - np.median(Y, axis=0)), axis=0)) ** 2
        variance = np.where(by_median > 0, by_median, variance)
    return np.where(variance > 0, variance, 1.0)
