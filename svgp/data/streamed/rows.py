"""Rows of a Parquet table that stay on the disk: read, checked and scaled each time they are asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from svgp.data.columns import Columns
from svgp.data.split import held_out_by_hash
from svgp.data.streamed.ahead import Pace, read_ahead
from svgp.data.streamed.pieces import Pieces
from svgp.rows import Block, Moments, Rows
from svgp.rows.base import BLOCK_ROWS, part_of_batch

WINDOW = 1 << 18  # rows that are shuffled together, at least; those of whole row groups


@dataclass(frozen=True)
class Split:
    """Which rows of a table are meant: those that the hash holds out, or those that it leaves."""

    fraction: float
    seed: int
    held_out: bool


@dataclass(frozen=True, eq=False)
class Reader:
    """How a row group becomes the rows that a model sees."""

    pieces: Pieces
    columns: Columns
    drop_missing: bool = False
    split: Split | None = None

    def raw(self, number: int) -> Iterator[np.ndarray]:
        """Values `[n, D + P + E]` in original units of the complete rows of a row group, in slices."""
        unscaled = self.columns.unscaled()
        for table in self.pieces.slices(number, self.columns.raw_names):
            table = self._complete(unscaled, table)
            yield np.concatenate(
                [unscaled.transform_inputs(table), unscaled.transform_targets(table)], axis=1
            )

    def chosen(self, number: int) -> Iterator[np.ndarray]:
        """The same, of the rows that the split means."""
        for values in self.raw(number):
            yield values if self.split is None else values[self.mask(values) == self.split.held_out]

    def mask(self, values: np.ndarray) -> np.ndarray:
        """Which of the rows `values` `[n, D + P + E]` are held out."""
        assert self.split is not None
        return held_out_by_hash(self.columns, values, self.split.fraction, self.split.seed)

    @property
    def names(self) -> list[str]:
        """Of the columns of values: inputs, targets, extra columns of the likelihood."""
        columns = self.columns
        return [*columns.input_names, *columns.target_names, *columns.extras.values()]

    def read(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """X and Y of a row group's rows, scaled."""
        return self.columns.scale(np.concatenate(list(self.chosen(number))))

    def _complete(self, unscaled: Columns, table: pa.Table) -> pa.Table:
        if not self.drop_missing:
            return table
        keep = unscaled.complete_rows(table, targets=True)
        return table if keep.all() else table.filter(pa.array(keep))


class ParquetRows(Rows):
    """Rows that a `Reader` reads from the row groups `numbers`, which have `counts` rows each.

    Epochs go through the row groups in a random order. As many as make up WINDOW rows are read together and
    shuffled; the next ones are read meanwhile. A window's place in the epoch follows from the counts, so a
    step is found again by reading its window alone. Memory: two windows, or two of the largest row groups.
    """

    in_memory = False

    def __init__(
        self,
        reader: Reader,
        counts: np.ndarray,
        extent: tuple[np.ndarray, np.ndarray],
        moments: Moments,
        sample: tuple[np.ndarray, np.ndarray],
        numbers: Sequence[int] | None = None,
        pace: Pace | None = None,
        near: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> None:
        self.reader, self._counts = reader, counts
        self.pace = pace or Pace()
        self._numbers = np.arange(len(counts)) if numbers is None else np.asarray(numbers)
        self._extent, self._moments, self._sample = extent, moments, sample
        self._near = near
        self.count = int(counts[self._numbers].sum())
        self.inputs, self.outputs = sample[0].shape[1], sample[1].shape[1]

    def extent(self) -> tuple[np.ndarray, np.ndarray]:
        return self._extent

    def moments(self) -> Moments:
        return self._moments

    def sample(self) -> tuple[np.ndarray, np.ndarray]:
        return self._sample

    def near(self) -> tuple[np.ndarray, np.ndarray]:
        return self._near or self._sample

    def blocks(self, rows: int | None = None) -> Iterator[Block]:
        size, start = rows or BLOCK_ROWS, 0
        for X, Y in regrouped(read_ahead(self._read_all(self._numbers), pace=self.pace), size):
            yield Block(start, X, Y)
            start += len(X)

    def batches(
        self, size: int, seed: int, start: int = 0, shard: tuple[int, int] = (0, 1)
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        epoch, position = divmod(start, math.ceil(self.count / size))
        while True:
            parts = self._epoch(epoch, position * size, seed)
            for X, Y in regrouped(read_ahead(parts, pace=self.pace), size):
                part = part_of_batch(len(X), shard)
                yield X[part], Y[part]
            epoch, position = epoch + 1, 0

    def shard(self, index: int, count: int) -> Rows:
        """Whole row groups, about as many rows for each."""
        if count == 1:
            return self
        ends = np.cumsum(self._counts[self._numbers])
        middle = ends - 0.5 * self._counts[self._numbers]
        own = np.floor(middle / ends[-1] * count).astype(int) == index
        return ParquetRows(
            self.reader,
            self._counts,
            self._extent,
            self._moments,
            self._sample,
            self._numbers[own],
            self.pace,
            self._near,
        )

    @property
    def notes(self) -> list[str]:
        return self.pace.describe()

    def _read_all(self, numbers: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for number in numbers:
            if self._counts[number]:
                X, Y = self.reader.read(int(number))
                self.pace.rows += len(X)
                yield X, Y

    def _epoch(self, epoch: int, skip: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The rows of an epoch without the first `skip`, a window at a time."""
        order = np.random.default_rng([seed, epoch]).permutation(self._numbers)
        for place, window in enumerate(windows(order, self._counts)):
            rows = int(self._counts[window].sum())
            if skip >= rows:
                skip -= rows
                continue
            X, Y = (np.concatenate(part) for part in zip(*self._read_all(window), strict=True))
            shuffled = np.random.default_rng([seed, epoch, place]).permutation(rows)[skip:]
            skip = 0
            yield X[shuffled], Y[shuffled]


def windows(order: np.ndarray, counts: np.ndarray) -> Iterator[np.ndarray]:
    """Consecutive row groups of `order` that together have WINDOW rows or more; the last may have fewer."""
    start, rows = 0, 0
    for stop, number in enumerate(order, 1):
        rows += int(counts[number])
        if rows >= WINDOW or (stop == len(order) and rows):
            yield order[start:stop]
            start, rows = stop, 0


def regrouped(
    parts: Iterator[tuple[np.ndarray, np.ndarray]], size: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The same rows in the same order, `size` at a time; the last may be fewer."""
    held: list[tuple[np.ndarray, np.ndarray]] = []
    rows = 0
    for part in parts:
        held.append(part)
        rows += len(part[0])
        if rows < size:
            continue
        X, Y = (np.concatenate(both) if len(held) > 1 else both[0] for both in zip(*held, strict=True))
        whole = rows - rows % size
        for start in range(0, whole, size):
            yield X[start : start + size], Y[start : start + size]
        held, rows = [(X[whole:], Y[whole:])], rows - whole
    if rows:
        X, Y = (np.concatenate(both) for both in zip(*held, strict=True))
        yield X, Y
