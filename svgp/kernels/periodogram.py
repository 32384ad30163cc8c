"""Which periods the data show, from the Lomb-Scargle periodogram: rows need not be evenly spaced."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.signal import lombscargle

ROWS = 1000  # that are looked at: a fraction of a second
FREQUENCIES = 2000  # from half a period in the whole range to one in four mean distances between rows
FALLBACK = 2.0  # spreads of the column, where the data tell nothing


def dominant_periods(start: Any) -> np.ndarray:
    """The period [A] that explains most of the targets, for each of the kernel's columns by itself."""
    if start.rows is None or start.targets is None or len(start.rows) < 8:
        return FALLBACK * start.spread
    found = [peaks(x, start.targets[:, 0], 1, start.seed) for x in start.rows.T]
    pairs = zip(found, start.spread, strict=True)
    return np.array([1.0 / rate[0] if len(rate) else FALLBACK * spread for rate, spread in pairs])


def peaks(x: np.ndarray, y: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """Up to `count` frequencies (periods per unit of x) at which y, less its trend, swings most.

    x and y are [n]; the strongest first. Empty where x has fewer than four values.
    """
    chosen = np.random.default_rng([seed, 11]).permutation(len(x))[:ROWS]
    x, y = x[chosen], y[chosen]
    known = np.isfinite(y)
    x, y = x[known], y[known]
    levels = np.unique(x)
    if len(levels) < 4:
        return np.zeros(0)
    spread = float(np.ptp(x))
    highest = max(2.0, len(levels) / 4.0)
    frequencies = np.linspace(0.5, highest, FREQUENCIES) / spread
    trend = np.polynomial.Polynomial.fit(x, y, 1)
    power = lombscargle(x, y - trend(x), 2.0 * np.pi * frequencies)
    inner: np.ndarray = np.flatnonzero((power[1:-1] >= power[:-2]) & (power[1:-1] >= power[2:])) + 1
    return frequencies[inner[np.argsort(-power[inner], kind="stable")][:count]]
