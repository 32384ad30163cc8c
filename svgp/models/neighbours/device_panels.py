"""How a block of rows and their neighbours is laid out for a device: panels forward, ranges of rows back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from svgp.models.neighbours.blocks import Block


class Panel(NamedTuple):
    """C rows of a block, of which the last ones may be there to fill it up."""

    sets: tf.Tensor  # [C, m + 1] int32, as of `index_sets`
    present: tf.Tensor  # [C, m] bool
    real: tf.Tensor  # [C] 1, and 0 for a row that fills up


def panels(block: Block, size: int) -> Iterator[Panel]:
    """The block's own rows, `size` at a time; the last one is filled up."""
    for start in range(0, block.own, size):
        rows = slice(start, start + size)
        lacking = size - len(block.sets[rows])
        around = ((0, lacking), (0, 0))
        sets = np.pad(block.sets[rows], around).astype(np.int32)
        real = (np.arange(size) < size - lacking).astype(np.float64)
        yield Panel(tf.constant(sets), tf.constant(np.pad(block.present[rows], around)), tf.constant(real))


class Entries:
    """In which sets each row of a block is; of the last block it is remembered."""

    def __init__(self) -> None:
        self._last: tuple[Block, np.ndarray, np.ndarray] | None = None

    def ranges(self, block: Block, room: int) -> Iterator[tuple[slice, tuple[tf.Tensor, ...]]]:
        """Ranges of rows that are in up to `room` sets, and those: own row, place, row of the range.

        Each `[E]` int32, sorted by the row; the place is that in `sets`, flat.
        """
        if self._last is None or self._last[0] is not block:
            flat = block.sets.ravel()
            ends = np.cumsum(np.bincount(flat, minlength=len(block.rows)))
            self._last = block, np.argsort(flat, kind="stable"), ends
        _, order, ends = self._last
        start = done = 0
        while start < len(block.rows):
            stop = max(start + 1, int(np.searchsorted(ends, done + room, side="right")))
            places = order[done : ends[stop - 1]]
            found = (places // block.sets.shape[1], places, block.sets.ravel()[places] - start)
            yield slice(start, stop), tuple(tf.constant(x, tf.int32) for x in found)
            start, done = stop, int(ends[stop - 1])
