"""What trains and scores asks of the rows: a small protocol, whether they are in memory or not."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

BLOCK_ROWS = 1 << 16  # of a block in order, where nobody asks for another number


class Block(NamedTuple):
    """Consecutive rows."""

    start: int  # number of the first one, from 0
    X: np.ndarray  # [n, D]
    Y: np.ndarray  # [n, P]


class Moments(NamedTuple):
    """Means and population standard deviations of the columns."""

    input_mean: np.ndarray  # [D]
    input_std: np.ndarray  # [D]
    target_mean: np.ndarray  # [P]
    target_std: np.ndarray  # [P]


class Rows(ABC):
    """N rows of inputs X `[N, D]` and targets Y `[N, P]`, in the units that a model sees.

    Whatever is asked twice is answered alike: order, sample and batches depend on the rows, the seed and the
    step alone. Memory is that of what is handed out.
    """

    in_memory: bool
    count: int  # N
    inputs: int  # D
    outputs: int  # P

    @abstractmethod
    def extent(self) -> tuple[np.ndarray, np.ndarray]:
        """Least and largest value of each input column, `[D]` each."""

    @abstractmethod
    def moments(self) -> Moments:
        """Means and standard deviations of all columns."""

    @abstractmethod
    def sample(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows at hand that stand for all, in their order: all of them where they are in memory or few.

        Else a uniform sample without replacement, drawn once. Starting values, inducing points, diagnostics
        and pictures are made from these.
        """

    def near(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows, as many as `sample` has or more, among which predictions look for neighbours."""
        return self.sample()

    @abstractmethod
    def blocks(self, rows: int | None = None) -> Iterator[Block]:
        """All rows in order, in blocks of `rows` (the last may be shorter; None: as suits them best)."""

    @abstractmethod
    def batches(
        self, size: int, seed: int, start: int = 0, shard: tuple[int, int] = (0, 1)
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Endless batches (X `[B, D]`, Y `[B, P]`) from step `start` on; each row once an epoch.

        An epoch is `ceil(N / size)` batches of `size` rows, the last maybe shorter, in an order that `seed`
        and the number of the epoch decide. shard: (k, K) hands out the k-th of K parts of each batch
        (of one with fewer than K rows all of it).
        """

    @abstractmethod
    def shard(self, index: int, count: int) -> Rows:
        """The `index`-th of `count` parts that together are these rows. `sample` is still that of all."""

    @property
    def notes(self) -> list[str]:
        """What a user should know of the reading, when it has ended, a line each."""
        return []

    def __len__(self) -> int:
        return self.count


def part_of_batch(rows: int, shard: tuple[int, int]) -> slice:
    """`part_of`, but all rows where there are too few to go round: each worker then finds the same."""
    return part_of(rows, shard) if rows >= shard[1] else slice(0, rows)


def part_of(rows: int, shard: tuple[int, int]) -> slice:
    """The k-th of K even parts of so many rows, for shard (k, K)."""
    index, count = shard
    return slice(round(rows * index / count), round(rows * (index + 1) / count))
