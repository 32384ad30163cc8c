"""Rows and their neighbours in a bounded memory: blocks of near rows, each with its outside neighbours.

All rows make one block where `[N, M]` numbers fit, and what the first pass over them computes the second one
uses again. Otherwise rows are cut into blocks along an order in which near rows stand together, so that most
neighbours of a block are its own rows; the others are computed for it as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from svgp.models.collapsed.panels import kept_bytes
from svgp.models.neighbours.conditional import index_sets
from svgp.models.neighbours.search import NONE, cluster_order

ARRAYS = 4  # of [rows, M] that a block holds
GROWTH = 2.0  # about how many more rows a block has with its outside neighbours
FEWEST_ROWS = 256


@dataclass
class Block:
    """`rows [U]` of the data: the block's own ones first, `own` of them, then their other neighbours.

    `sets [own, m + 1]` and `present [own, m]` as of `index_sets`, in positions within `rows`.
    """

    rows: np.ndarray
    own: int
    sets: np.ndarray
    present: np.ndarray


class Blocks:
    """Blocks for neighbours `[N, m]` of the rows `points [N, E]`, and M inducing points.

    `own_rows`: a block's, for tests; by default as many as fit in the memory that panels may take. `shard`:
    (k, K) for the k-th of K parts of all blocks.
    """

    def __init__(
        self, points: np.ndarray, neighbours: np.ndarray, size: int, own_rows: int | None = None,
        shard: tuple[int, int] = (0, 1),
    ) -> None:  # fmt: skip
        self._neighbours = neighbours
        self._order = cluster_order(points)
        N = len(points)
        room = kept_bytes() // (8 * ARRAYS * size)
        most = own_rows or (N if room >= N else max(FEWEST_ROWS, int(room / GROWTH)))
        index, shards = shard
        count = -(-max(1, -(-N // most)) // shards) * shards  # as many for each
        self._edges = [round(N * index / count) for index in range(count + 1)]
        self._numbers = range(index, count, shards)
        self._single = self._block(index) if len(self._numbers) == 1 else None

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[Block]:
        if self._single is not None:
            return iter([self._single])
        return map(self._block, self._numbers)

    def _block(self, number: int) -> Block:
        own = self._order[self._edges[number] : self._edges[number + 1]]
        neighbours = self._neighbours[own]
        place = np.full(len(self._order), NONE)
        place[own] = np.arange(len(own))
        wanted = np.unique(neighbours[neighbours != NONE])
        outside = wanted[place[wanted] == NONE]
        place[outside] = np.arange(len(own), len(own) + len(outside))
        local = np.where(neighbours == NONE, NONE, place[neighbours])
        sets, present = index_sets(np.arange(len(own)), local)
        return Block(np.concatenate([own, outside]), len(own), sets, present)
