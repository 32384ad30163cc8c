"""Test rows by a hash of the row: the same rows are held out however many others there are.

Each value's 64 bits and a key made of its column's name go through the finalizer of SplitMix64 (Steele, Lea
and Flood 2014); the sum over a row's values (zeros left out: a category may get levels) is mixed with the
seed, and the row is held out where that is below the fraction of 2^64. Equal rows stay together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np


def held_out_rows(values: np.ndarray, names: Sequence[str], fraction: float, seed: int) -> np.ndarray:
    """Mask `[n]` of the held-out rows among `values` `[n, K]`, in original units, with columns `names`."""
    return mixed(row_hashes(values, names) + np.uint64(seed)) < np.uint64(fraction * 2.0**64)


def row_hashes(values: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """A number of 64 bits for each row of `values` `[n, K]`; the order of the columns does not matter."""
    total: np.ndarray = np.zeros(len(values), np.uint64)
    for column, name in zip(values.T, names, strict=True):
        key = np.frombuffer(hashlib.sha256(name.encode()).digest()[:8], np.uint64)[0]
        bits = np.ascontiguousarray(column, np.float64).view(np.uint64)
        hashed = mixed(bits ^ key)
        hashed[column == 0.0] = 0
        total += hashed
    return total


def mixed(x: np.ndarray) -> np.ndarray:
    """SplitMix64's finalizer of `x` `[n]`, uint64: each bit depends on all others."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
    return x ^ (x >> np.uint64(31))
