"""Scores of predictions, and whether their uncertainty can be trusted. Plain NumPy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from svgp.errors import ModelError

LEVELS = (0.5, 0.9, 0.95)


@dataclass(frozen=True)
class Calibration:
    """A curve of what was said against what happened.

    expected `[K]`, observed `[K]` in [0, 1], weight `[K]`: rows behind each point.
    """

    expected: np.ndarray
    observed: np.ndarray
    weight: np.ndarray


def rmse(actual: np.ndarray, predicted: np.ndarray) -> float:
    """`sqrt(mean((y - mean)^2))` over all entries, in the target's units."""
    actual, predicted = _same_shape(actual, predicted)
    return float(np.sqrt(np.mean((actual - predicted) ** 2)))


def nlpd(log_density: np.ndarray) -> float:
    """`-mean(log p(y_n))` in nats a row, from the log densities `[N]` of the test rows."""
    return float(-np.mean(np.asarray(log_density, dtype=np.float64)))


def coverage(actual: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> float:
    """Share of targets with `lower <= y <= upper`."""
    actual, lower = _same_shape(actual, lower)
    actual, upper = _same_shape(actual, upper)
    return float(np.mean((lower <= actual) & (actual <= upper)))


def normal_coverages(
    actual: np.ndarray, mean: np.ndarray, std: np.ndarray, levels: tuple[float, ...] = LEVELS
) -> dict[float, float]:
    """Coverage of the central intervals `mean +- ndtri((1 + level) / 2) std`, one for each level."""
    actual, mean = _same_shape(actual, mean)
    widths = {
        level: ndtri(0.5 + level / 2) * np.asarray(std, dtype=np.float64).reshape(mean.shape)
        for level in levels
    }
    return {level: coverage(actual, mean - width, mean + width) for level, width in widths.items()}


def quantile_levels(levels: tuple[float, ...] = LEVELS) -> list[float]:
    """The quantiles that bound the central intervals: all `(1 - level)/2`, then all `(1 + level)/2`."""
    return [0.5 - level / 2 for level in levels] + [0.5 + level / 2 for level in levels]


def quantile_coverages(
    actual: np.ndarray, quantiles: np.ndarray, levels: tuple[float, ...] = LEVELS
) -> dict[float, float]:
    """Coverage of central intervals from `quantiles [N, P, 2 K]` at `quantile_levels(levels)`."""
    quantiles = np.asarray(quantiles, dtype=np.float64)
    actual = np.asarray(actual, dtype=np.float64).reshape(quantiles.shape[:-1])  # [N, P]
    half = len(levels)
    return {
        level: coverage(actual, quantiles[..., k], quantiles[..., half + k]) for k, level in enumerate(levels)
    }


def regression_calibration(
    actual: np.ndarray, mean: np.ndarray, std: np.ndarray, points: int = 19
) -> Calibration:
    """Nominal against empirical coverage of central normal intervals, levels 1/(K+1) ... K/(K+1)."""
    levels = tuple(np.arange(1, points + 1) / (points + 1))
    observed = normal_coverages(actual, mean, std, levels)
    weight = np.full(points, float(np.size(actual)))
    return Calibration(np.array(levels), np.array([observed[level] for level in levels]), weight)


def quantile_calibration(actual: np.ndarray, quantiles: np.ndarray, levels: tuple[float, ...]) -> Calibration:
    """Nominal against empirical coverage of the intervals that `quantiles [N, P, 2 K]` bound.

    The predictive distribution's own quantiles at `quantile_levels(levels)`, whatever its shape.
    """
    observed = quantile_coverages(actual, quantiles, levels)
    weight = np.full(len(levels), float(np.size(actual)))
    return Calibration(np.array(levels), np.array([observed[level] for level in levels]), weight)


def accuracy(labels: np.ndarray, probability: np.ndarray) -> float:
    """Share of labels (0 or 1) on the side of 1/2 where the probability of 1 lies; 1/2 counts as 1."""
    labels, probability = _labels(labels, probability)
    return float(np.mean((probability >= 0.5) == (labels == 1)))


def reliability(labels: np.ndarray, probability: np.ndarray, bins: int = 15) -> Calibration:
    """Mean probability of class 1 against its observed share, in `bins` equal-width bins of [0, 1].

    Empty bins are left out. A probability on an edge falls into the upper bin, 1 into the last.
    """
    labels, probability = _labels(labels, probability)
    chosen = np.minimum((probability * bins).astype(int), bins - 1)  # [N]
    weight = np.bincount(chosen, minlength=bins).astype(float)  # [bins]
    full = weight > 0
    expected = np.bincount(chosen, weights=probability, minlength=bins)[full] / weight[full]
    observed = np.bincount(chosen, weights=labels, minlength=bins)[full] / weight[full]
    return Calibration(expected, observed, weight[full])


def ece(labels: np.ndarray, probability: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error `sum_b (n_b / N) |observed_b - expected_b|` over the bins of `reliability`.

    Source: Naeini et al. (2015), on the probability of class 1.
    """
    curve = reliability(labels, probability, bins)
    return float(np.sum(curve.weight * np.abs(curve.observed - curve.expected)) / curve.weight.sum())


def class_accuracy(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Share of labels (codes 0 to K - 1) whose class has the largest of `probabilities [N, K]`."""
    labels = np.ravel(labels).astype(int)
    return float(np.mean(probabilities.argmax(axis=1) == labels))


def class_reliability(labels: np.ndarray, probabilities: np.ndarray, bins: int = 15) -> Calibration:
    """Probability of the most probable class against how often it is the right one, as `reliability`."""
    right = (probabilities.argmax(axis=1) == np.ravel(labels).astype(int)).astype(float)  # [N]
    return reliability(right, np.clip(probabilities.max(axis=1), 0.0, 1.0), bins)


def class_ece(labels: np.ndarray, probabilities: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error of the most probable class (Guo et al. 2017), `probabilities [N, K]`."""
    curve = class_reliability(labels, probabilities, bins)
    return float(np.sum(curve.weight * np.abs(curve.observed - curve.expected)) / curve.weight.sum())


def confusion(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """How many rows of each class (first index) are taken for each (second): `[K, K]`."""
    classes = probabilities.shape[1]
    pairs = np.ravel(labels).astype(int) * classes + probabilities.argmax(axis=1)
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def _same_shape(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`[N]` and `[N, 1]` are the same; nothing else is stretched."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.shape != b.shape and (a.size != b.size or a.shape[:1] != b.shape[:1]):
        raise ModelError(f"scores: arrays of shape {a.shape} and {b.shape} do not belong together")
    if a.size == 0:
        raise ModelError("scores: there are no rows to score")
    return a, b.reshape(a.shape)


def _labels(labels: np.ndarray, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    labels, probability = _same_shape(np.ravel(labels), np.ravel(probability))
    if not np.isin(labels, (0.0, 1.0)).all():
        raise ModelError(f"scores: labels must be 0 or 1, got {np.unique(labels)[:5].tolist()}")
    if not ((probability >= 0) & (probability <= 1)).all():
        raise ModelError("scores: probabilities must lie in [0, 1]")
    return labels, probability
