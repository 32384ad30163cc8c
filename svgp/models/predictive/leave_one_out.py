"""Fitting what `calibration` holds: the density of training rows that were left out, as high as it goes.

For a row with cavity residual r (`cavities`) the prediction of r is a mean and a variance; the variance
depends on c and beta, and where neighbours correct a model after the fact the mean on c / beta. The two are
found under Student-t errors, which a few far rows do not bend, the shape of the errors then by
`tails.fit_shape`; where that gains nothing errors stay normal, and c and beta are found so.
"""

from __future__ import annotations

from collections.abc import Callable
from math import lgamma
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

from svgp.models.predictive.corrections import Ingredients
from svgp.models.predictive.tails import NORMAL, Shape, fit_shape

# Gains that are less do not pay for a change: what a prediction says is then what the model says. Optimism of
# leaving out a row that Z and kernel have seen was about as much (README).
LEAST_GAIN, LEAST_TOTAL = 0.01, 10.0  # nats a row; nats in all
BOUNDS = ((1e-4, 20.0), (1e-4, 20.0), (0.7, 200.0))  # c, beta, degrees of freedom
STARTS = ((0.9, 0.9, 5.0), (0.1, 1.0, 5.0))

# (c, beta) -> mean and variance [T] of r, noise included
Prediction = Callable[[float, float], tuple[np.ndarray, np.ndarray]]


class Fit(NamedTuple):
    """The best that one kind of prediction can say of the rows left out, for one output."""

    noise: float  # c
    residual: float  # beta
    shape: Shape
    density: float  # mean log density of r, nats a row
    best: np.ndarray  # [T] of each, by the best that was found, which may not have been worth a change

    @property
    def reached(self) -> float:
        """The mean of these."""
        return float(np.mean(self.best))


def of_width(explained: np.ndarray, residual: np.ndarray, noise: float) -> Prediction:
    """Of errors r of a mean that is given: variances `[T]` that q(u) leaves, residual variances `[T]`, s2."""
    nothing = np.zeros_like(explained)
    return lambda c, beta: (nothing, c * noise + explained + beta * residual)


def from_neighbours(parts: Ingredients, explained: np.ndarray, near: np.ndarray, noise: float) -> Prediction:
    """By neighbours whose cavity residuals are `near [T, m]`; c / beta weighs them.

    One eigendecomposition a row serves all c and beta.
    """
    values, vectors = np.linalg.eigh(parts.covariance)  # [T, m], [T, m, m]
    values = np.maximum(values, 0.0)
    cross, near = (np.einsum("tji,tj->ti", vectors, x) for x in (parts.cross, near))

    def predict(c: float, beta: float) -> tuple[np.ndarray, np.ndarray]:
        weights = cross / (values + c / beta * noise)  # [T, m]
        left = beta * np.maximum(parts.own - np.sum(weights * cross, axis=1), 0.0)
        return np.sum(weights * near, axis=1), c * noise + left + explained

    return predict


def as_it_is(predict: Prediction, r: np.ndarray) -> Fit:
    """c = beta = 1, normal errors."""
    densities = _normal(predict, r, 1.0, 1.0)
    return Fit(1.0, 1.0, NORMAL, float(np.mean(densities)), densities)


def fit(predict: Prediction, r: np.ndarray, beta_too: bool = True) -> Fit:
    """c, beta (or without `beta_too` 1) and the shape for cavity residuals r `[T]`."""
    plain = as_it_is(predict, r)
    predict = predict if beta_too else _of_noise(predict)
    c, beta = _fit_scalars(predict, r, tails=False)
    densities = _normal(predict, r, c, beta)
    normal = Fit(c, beta, NORMAL, float(np.mean(densities)), densities)
    c, beta = _fit_scalars(predict, r, tails=True)
    mean, variance = predict(c, beta)
    deviation = np.sqrt(variance)
    shape = fit_shape((r - mean) / deviation)
    densities = shape.log_density((r - mean) / deviation) - np.log(deviation)
    shaped = Fit(c, beta, shape, float(np.mean(densities)), densities)
    # A shape must be better than chance makes it; any change must be worth it.
    best = shaped if shaped.density - normal.density > LEAST_TOTAL / len(r) else normal
    chosen = best if is_better(best.density, plain.density, len(r)) else plain
    residual = chosen.residual if beta_too else 1.0
    return chosen._replace(residual=residual, best=max(best, plain, key=lambda fit: fit.density).best)


def _of_noise(predict: Prediction) -> Prediction:
    return lambda c, beta: predict(c, 1.0)


def is_better(density: float, than: float, rows: int) -> bool:
    """Whether a mean log density over so many rows is higher by more than chance and optimism explain."""
    return density - than > max(LEAST_GAIN, LEAST_TOTAL / max(rows, 1))


def _fit_scalars(predict: Prediction, r: np.ndarray, tails: bool) -> tuple[float, float]:
    """c and beta."""
    count = 3 if tails else 2
    low, high = np.log(np.array(BOUNDS[:count])).T

    def cost(x: np.ndarray) -> float:
        c, beta, *df = np.exp(np.clip(x, low, high))
        density = _student_t(predict, r, c, beta, df[0]) if tails else _normal(predict, r, c, beta)
        value = -float(np.mean(density))
        return value if np.isfinite(value) else 1e300

    options = {"maxiter": 150, "xatol": 3e-3, "fatol": 1e-5}
    starts = [np.log(np.array(start[:count])) for start in STARTS]
    found = [minimize(cost, start, method="Nelder-Mead", options=options) for start in starts]
    best = min(found, key=lambda result: result.fun)
    c, beta = np.exp(np.clip(best.x, low, high))[:2].tolist()
    return c, beta


def _normal(predict: Prediction, r: np.ndarray, c: float, beta: float) -> np.ndarray:
    mean, variance = predict(c, beta)
    return -0.5 * (np.log(2.0 * np.pi * variance) + (r - mean) ** 2 / variance)


def _student_t(predict: Prediction, r: np.ndarray, c: float, beta: float, df: float) -> np.ndarray:
    mean, variance = predict(c, beta)
    constant = lgamma(0.5 * (df + 1.0)) - lgamma(0.5 * df) - 0.5 * np.log(df * np.pi)
    return constant - 0.5 * (np.log(variance) + (df + 1.0) * np.log1p((r - mean) ** 2 / (df * variance)))
