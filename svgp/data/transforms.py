"""Monotone maps of a target before it is standardised, and back: log, and normal scores of its quantiles.

With z = (T(y) - mean) / scale the density of y is p(y) = p(z) T'(y) / scale, quantiles map one to one, and
the mean is an integral: E[y] = int T^-1(mean + scale z) p(z) dz.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtri

from svgp.errors import DataError

_KNOTS = 101  # of a quantile transform: enough for any shape, few enough that each rests on many rows
_ROWS_A_KNOT = 10


class Transform(ABC):
    """T(y), increasing; T^-1; and the logarithm of T'."""

    name: str

    @abstractmethod
    def forward(self, y: np.ndarray) -> np.ndarray:
        """T(y), elementwise; NaN stays NaN."""

    @abstractmethod
    def inverse(self, t: np.ndarray) -> np.ndarray:
        """T^-1(t), elementwise."""

    @abstractmethod
    def log_slope(self, y: np.ndarray) -> np.ndarray:
        """log T'(y), elementwise."""

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"type": self.name}


@dataclass(frozen=True)
class Log(Transform):
    """T(y) = log y."""

    name = "log"

    def forward(self, y: np.ndarray) -> np.ndarray:
        """log y."""
        return np.log(y)

    def inverse(self, t: np.ndarray) -> np.ndarray:
        """exp t."""
        return np.exp(t)

    def log_slope(self, y: np.ndarray) -> np.ndarray:
        """- log y."""
        return -np.log(y)


@dataclass(frozen=True, eq=False)
class Quantile(Transform):
    """T(y): the normal score of y among the training targets, linear between `y` and `t` [K] and beyond."""

    name = "quantile"
    y: np.ndarray
    t: np.ndarray

    def forward(self, y: np.ndarray) -> np.ndarray:
        """The line through the two knots around each value."""
        return _lines(y, self.y, self.t)

    def inverse(self, t: np.ndarray) -> np.ndarray:
        """The same lines, backwards."""
        return _lines(t, self.t, self.y)

    def log_slope(self, y: np.ndarray) -> np.ndarray:
        """Of the line around each value."""
        slopes = np.log(np.diff(self.t) / np.diff(self.y))
        return np.where(np.isnan(y), np.nan, slopes[_segments(y, self.y)])

    def to_dict(self) -> dict[str, Any]:
        """With the knots."""
        return {"type": self.name, "y": self.y.tolist(), "t": self.t.tolist()}


def fit_transform(name: str, values: np.ndarray, where: str) -> Transform | None:
    """The transform of this name for the training targets `values` [N]; None for none. Raises DataError."""
    values = values[~np.isnan(values)]
    if name == "none":
        return None
    if name == "log":
        if len(values) and values.min() <= 0:
            raise DataError(
                f"{where}: data.target_transform: log needs positive values, and the least is"
                f" {values.min():g}; use quantile, or add a constant to the column"
            )
        return Log()
    return _quantile(values, where)


def transform_from_dict(data: Mapping[str, Any] | None) -> Transform | None:
    """The inverse of `Transform.to_dict`. Raises DataError for an unknown type."""
    if data is None:
        return None
    if data["type"] == "log":
        return Log()
    if data["type"] == "quantile":
        return Quantile(np.asarray(data["y"], np.float64), np.asarray(data["t"], np.float64))
    raise DataError(f"the stored columns are damaged: unknown target transform {data['type']!r}")


def _quantile(values: np.ndarray, where: str) -> Quantile:
    count = int(np.clip(len(values) // _ROWS_A_KNOT, 3, _KNOTS))
    inner = np.arange(1, count) / count
    shares = np.concatenate([[0.5 / len(values)], inner, [1.0 - 0.5 / len(values)]]) if len(values) else inner
    y = np.quantile(values, shares, method="inverted_cdf") if len(values) else shares
    # Of a value that many rows have only one knot is left, at the middle of its shares.
    knots, place = np.unique(y, return_inverse=True)
    if len(knots) < 3:
        raise DataError(
            f"{where}: data.target_transform: quantile needs a target of many values, and it has about"
            f" {len(knots)}; use none"
        )
    t = np.bincount(place, weights=ndtri(shares)) / np.bincount(place)
    return Quantile(knots, t)


def _segments(x: np.ndarray, knots: np.ndarray) -> np.ndarray:
    return np.clip(np.searchsorted(knots, x, side="right") - 1, 0, len(knots) - 2)


def _lines(x: np.ndarray, knots: np.ndarray, values: np.ndarray) -> np.ndarray:
    x = np.asarray(x, np.float64)
    place = _segments(x, knots)
    slopes = np.diff(values) / np.diff(knots)
    return values[place] + (x - knots[place]) * slopes[place]
