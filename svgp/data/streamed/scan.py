"""What one pass over the rows gathers: counts, moments, extent, and a uniform sample."""

from __future__ import annotations

import numpy as np

from svgp.data.held_out import mixed


class Sums:
    """Rows, means, squared deviations and range of columns, merged chunk by chunk.

    Chan, Golub and LeVeque (1983): with n1, n2 rows and means m1, m2,
    `M2 = M2_1 + M2_2 + (m2 - m1)^2 n1 n2 / (n1 + n2)`. Nothing cancels.
    """

    def __init__(self, columns: int) -> None:
        self.rows = 0
        self._present = np.zeros(columns)  # values that are not missing
        self.mean, self._squares = np.zeros(columns), np.zeros(columns)
        self.low, self.high = np.full(columns, np.inf), np.full(columns, -np.inf)

    def add(self, values: np.ndarray) -> None:
        """Take in `values` `[n, K]`; NaN is a value that is not there."""
        if not len(values):
            return
        there = ~np.isnan(values)
        count = there.sum(axis=0)  # [K]
        mean = np.where(there, values, 0.0).sum(axis=0) / np.maximum(count, 1)
        total = np.maximum(self._present + count, 1)
        shift = mean - self.mean
        self._squares += np.where(there, (values - mean) ** 2, 0.0).sum(axis=0)
        self._squares += shift**2 * (self._present * count / total)
        self.mean += shift * (count / total)
        self._present += count
        self.rows += len(values)
        self.low = np.minimum(self.low, np.where(there, values, np.inf).min(axis=0))
        self.high = np.maximum(self.high, np.where(there, values, -np.inf).max(axis=0))

    def keep(self, places: np.ndarray) -> None:
        """Forget the columns that are not among `places`."""
        for name in ("_present", "mean", "_squares", "low", "high"):
            setattr(self, name, getattr(self, name)[places])

    @property
    def std(self) -> np.ndarray:
        """Population standard deviations `[K]`, exactly 0 for a constant."""
        return np.where(self.high > self.low, np.sqrt(self._squares / np.maximum(self._present, 1)), 0.0)


class Sample:
    """A uniform sample of at most `limit` rows without replacement, in the order in which they came.

    Those with the smallest random priority, a hash of the row's number and the seed: a table's rows alone
    decide, not the chunks that they come in.
    """

    def __init__(self, limit: int, seed: int = 0) -> None:
        self.limit, self._seed, self._seen = limit, np.uint64(seed), 0
        self._parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []  # priority, number, values
        self._held, self._worst = 0, np.uint64(2**64 - 1)

    def add(self, values: np.ndarray) -> None:
        """Take in the next rows, `values` `[n, K]`."""
        numbers: np.ndarray = np.arange(self._seen, self._seen + len(values), dtype=np.uint64)
        self._seen += len(values)
        priority = mixed(mixed(numbers) ^ self._seed)
        keep = priority <= self._worst
        self._parts.append((priority[keep], numbers[keep], values[keep]))
        self._held += int(keep.sum())
        if self._held > 1.25 * self.limit:  # each shrinking copies all of them
            self._shrink()

    def rows(self, limit: int | None = None) -> np.ndarray:
        """The sample, `[n, K]`; or the part of it that a sample of at most `limit` rows would have been."""
        self._shrink()
        priority, _, values = self._parts[0]
        if limit is None or limit >= len(values):
            return values
        return values[np.sort(np.argpartition(priority, limit)[:limit])]

    def keep(self, places: np.ndarray) -> None:
        """Forget the columns that are not among `places`."""
        self._parts = [(priority, numbers, values[:, places]) for priority, numbers, values in self._parts]

    def _shrink(self) -> None:
        priority, numbers, values = (np.concatenate(part) for part in zip(*self._parts, strict=True))
        if len(priority) > self.limit:
            chosen = np.argpartition(priority, self.limit)[: self.limit]
            self._worst = priority[chosen].max()
            chosen = chosen[np.argsort(numbers[chosen])]
            priority, numbers, values = priority[chosen], numbers[chosen], values[chosen]
        self._parts, self._held = [(priority, numbers, values)], len(priority)
