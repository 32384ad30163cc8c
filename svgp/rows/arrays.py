"""Rows in memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from svgp.errors import ModelError
from svgp.rows.base import Block, Moments, Rows, part_of, part_of_batch


class ArrayRows(Rows):
    """Two arrays, X `[N, D]` and Y `[N, P]`. Raises ModelError where they disagree or are empty."""

    in_memory = True

    def __init__(self, X: Any, Y: Any, *, whole: ArrayRows | None = None) -> None:
        X, Y = np.asarray(X), np.asarray(Y)
        Y = Y[:, None] if Y.ndim == 1 else Y
        if X.ndim != 2 or Y.ndim != 2 or len(X) != len(Y) or len(X) == 0:
            raise ModelError(f"rows: X and Y must be [N, D] and [N, P], got {X.shape} and {Y.shape}")
        self.X, self.Y = X, Y
        self.count, self.inputs, self.outputs = len(X), X.shape[1], Y.shape[1]
        self._whole = whole or self
        self._permutation = lru_cache(maxsize=1)(self._new_permutation)

    def extent(self) -> tuple[np.ndarray, np.ndarray]:
        return self.X.min(axis=0), self.X.max(axis=0)

    def moments(self) -> Moments:
        return Moments(self.X.mean(axis=0), self.X.std(axis=0), self.Y.mean(axis=0), self.Y.std(axis=0))

    def sample(self) -> tuple[np.ndarray, np.ndarray]:
        return self._whole.X, self._whole.Y

    def blocks(self, rows: int | None = None) -> Iterator[Block]:
        """All in one block, unless told otherwise."""
        size = rows or self.count
        for start in range(0, self.count, size):
            stop = min(start + size, self.count)
            yield Block(start, self.X[start:stop], self.Y[start:stop])

    def batches(
        self, size: int, seed: int, start: int = 0, shard: tuple[int, int] = (0, 1)
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        while True:
            chosen = self.batch(start, size, seed, shard)
            yield self.X[chosen], self.Y[chosen]
            start += 1

    def batch(self, step: int, size: int, seed: int, shard: tuple[int, int] = (0, 1)) -> np.ndarray:
        """Row numbers of the batch that step `step` (from 0) sees, `[B]`.

        Epoch e goes through `np.random.default_rng([seed, e]).permutation(N)`.
        """
        epoch, position = divmod(int(step), math.ceil(self.count / size))
        chosen = self._permutation(seed, epoch)[position * size : (position + 1) * size]
        return chosen[part_of_batch(len(chosen), shard)]

    def shard(self, index: int, count: int) -> Rows:
        if count == 1:
            return self
        part = part_of(self.count, (index, count))
        return ArrayRows(self.X[part], self.Y[part], whole=self._whole)

    def _new_permutation(self, seed: int, epoch: int) -> np.ndarray:
        return np.random.default_rng([seed, epoch]).permutation(self.count).astype(np.int64)


def as_rows(X: Any, Y: Any = None) -> Rows:
    """Rows as they are, or two arrays as rows: what every function that takes rows begins with."""
    return X if isinstance(X, Rows) else ArrayRows(X, Y)
