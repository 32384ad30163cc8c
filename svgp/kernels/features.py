"""Prior functions as sums of explicit features: f(x) = Phi(x) w with w ~ N(0, I) has covariance Phi Phi^T.

A stationary kernel v g(r) is the Fourier transform of a spectral density. With m frequencies drawn from it,

    Phi(x) = sqrt(v / m) [cos(x^T omega_1) ... cos(x^T omega_m), sin(x^T omega_1) ... sin(x^T omega_m)]

has E[Phi(x) Phi(x')^T] = k(x, x') (Rahimi & Recht 2007; the pairs of Sutherland & Schneider 2015), exact for
x = x' and with a standard deviation of at most v / sqrt(2 m) elsewhere. A squared exponential has normal
frequencies, a Matern nu those of Student's t with 2 nu degrees of freedom (Rasmussen & Williams 2006, eq.
4.15), divided by the lengthscales. Frequencies of a product are sums of frequencies; sums of kernels are
lists of parts. White noise has no features: it is a part of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Waves:
    """A stationary part: `frequencies [L', m, D]` (radians per unit of each input) and `variance [L']`."""

    frequencies: np.ndarray
    variance: np.ndarray

    def __call__(self, X: np.ndarray) -> np.ndarray:
        phase = X @ self.frequencies.swapaxes(-1, -2)  # [L', n, m]
        scale = np.sqrt(self.variance / self.frequencies.shape[-2])[:, None, None]
        return scale * np.concatenate([np.cos(phase), np.sin(phase)], axis=-1)  # [L', n, 2 m]

    def scaled(self, factor: np.ndarray) -> Waves:
        return replace(self, variance=self.variance * factor)


@dataclass(frozen=True)
class Slopes:
    """Straight lines through the origin, `variance [L', D]` of each input's slope: exact."""

    variance: np.ndarray

    def __call__(self, X: np.ndarray) -> np.ndarray:
        return X * np.sqrt(self.variance)[:, None, :]  # [L', n, D]

    def scaled(self, factor: np.ndarray) -> Slopes:
        return replace(self, variance=self.variance * factor[:, None])


@dataclass(frozen=True)
class Offset:
    """One unknown number, `variance [L']`: exact."""

    variance: np.ndarray

    def __call__(self, X: np.ndarray) -> np.ndarray:
        return np.sqrt(self.variance)[:, None, None] * np.ones((1, len(X), 1))  # [L', n, 1]

    def scaled(self, factor: np.ndarray) -> Offset:
        return replace(self, variance=self.variance * factor)


@dataclass(frozen=True)
class Noise:
    """White noise, `variance [L']`: independent from row to row."""

    variance: np.ndarray

    def scaled(self, factor: np.ndarray) -> Noise:
        return replace(self, variance=self.variance * factor)


Part = Waves | Slopes | Offset | Noise


def student_frequencies(shape: tuple[int, ...], degrees: float, rng: np.random.Generator) -> np.ndarray:
    """Frequencies `[m, D]` for unit lengthscales: multivariate t, or normal for infinite degrees."""
    normal = rng.normal(size=shape)
    if np.isinf(degrees):
        return normal
    return normal / np.sqrt(rng.chisquare(degrees, (*shape[:-1], 1)) / degrees)


def embedded(part: Part, active: tuple[int, ...], D: int) -> Part:
    """`part`, of the `active` columns, as one of all D columns."""
    field = {Waves: "frequencies", Slopes: "variance"}.get(type(part))
    if field is None or active == tuple(range(D)):
        return part
    values = getattr(part, field)
    wide = np.zeros((*values.shape[:-1], D))
    wide[..., list(active)] = values
    return replace(part, **{field: wide})


def product(one: Part, other: Part) -> Part | None:
    """The part whose covariance is the product of two; None where that has no simple features."""
    if isinstance(one, Offset):
        return other.scaled(one.variance)
    if isinstance(other, Offset):
        return one.scaled(other.variance)
    if isinstance(one, Waves) and isinstance(other, Waves):
        return Waves(one.frequencies + other.frequencies, one.variance * other.variance)
    if isinstance(one, Noise) and isinstance(other, (Waves, Noise)):
        return one.scaled(other.variance)
    if isinstance(other, Noise) and isinstance(one, Waves):
        return other.scaled(one.variance)
    return None


def stacked(part: Part, place: int, latents: int) -> Part:
    """`part`, of one latent GP, as one of `latents`, nothing for the others."""
    mask = (np.arange(latents) == place).astype(float)  # [L]
    if isinstance(part, Slopes):
        return Slopes(part.variance * mask[:, None])
    return replace(part, variance=part.variance * mask)
