"""Rows and their neighbours in a bounded memory: blocks of near rows, each with its outside neighbours.

All rows make one block where `[N, M]` numbers fit, and what the first pass over them computes the second one
uses again. Otherwise rows are cut into blocks along an order in which near rows stand together, so that most
neighbours of a block are its own rows; the others are computed for it as well. How many others there are
depends on the data (twice as many rows at 16 neighbours in two dimensions, several times in many): blocks are
made smaller until the largest fits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from svgp.models.collapsed.panels import kept_bytes
from svgp.models.neighbours.conditional import index_sets
from svgp.models.neighbours.search import NONE, cluster_order

GROWTH = 2.0  # about how many more rows a block has with its outside neighbours: tried first
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
    (k, K) for the k-th of K parts of all blocks; `devices`: that share these, as many blocks for each.
    """

    def __init__(
        self, points: np.ndarray, neighbours: np.ndarray, size: int, own_rows: int | None = None,
        shard: tuple[int, int] = (0, 1), devices: int = 1,
    ) -> None:  # fmt: skip
        self._neighbours = neighbours
        self._order = cluster_order(points)
        N, members, room = len(points), neighbours.shape[1] + 1, kept_bytes() // 8
        index, self._shards = shard
        self._devices = devices
        if own_rows is None and numbers_held(N, N, size, members) > room:
            own_rows = int(room / numbers_held(GROWTH, 1, size, members))
            while not self._cut(own_rows, size, members) <= room and own_rows > FEWEST_ROWS:
                own_rows = int(0.8 * own_rows)
            own_rows = max(own_rows, FEWEST_ROWS)
        self._cut(own_rows or N, size, members)
        self._numbers = range(index, len(self._edges) - 1, self._shards)
        self._single = self._block(index) if len(self._numbers) == 1 else None

    @property
    def may_be_kept(self) -> bool:
        """Whether each device has one block alone, so that there is room for what it is found to be."""
        return len(self) == self._devices

    def of(self, device: int) -> Iterator[Block]:
        """The blocks of one of the devices."""
        return iter(self) if self._devices == 1 else map(self._block, self._numbers[device :: self._devices])

    def _cut(self, own_rows: int, size: int, members: int) -> float:
        """Cut the rows into blocks of up to so many; the numbers that the largest one holds."""
        together = self._shards * self._devices
        count = -(-max(1, -(-len(self._order) // own_rows)) // together) * together  # as many for each
        self._edges = [round(len(self._order) * index / count) for index in range(count + 1)]
        blocks = [self._rows(number) for number in range(count)] if count > 1 else []
        return max((numbers_held(len(o) + len(x), len(o), size, members) for o, x in blocks), default=0)

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def longest(self) -> int:
        """The most own rows that a block has."""
        return max((self._edges[n + 1] - self._edges[n] for n in self._numbers), default=0)

    def __iter__(self) -> Iterator[Block]:
        if self._single is not None:
            return iter([self._single])
        return map(self._block, self._numbers)

    def _rows(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """A block's own rows and their neighbours outside."""
        own = self._order[self._edges[number] : self._edges[number + 1]]
        wanted: np.ndarray = np.zeros(len(self._order), bool)
        neighbours = self._neighbours[own]
        wanted[neighbours[neighbours != NONE]] = True
        wanted[own] = False
        return own, np.flatnonzero(wanted)

    def _block(self, number: int) -> Block:
        own, outside = self._rows(number)
        neighbours = self._neighbours[own]
        place = np.full(len(self._order), NONE)
        place[own] = np.arange(len(own))
        place[outside] = np.arange(len(own), len(own) + len(outside))
        local = np.where(neighbours == NONE, NONE, place[neighbours])
        sets, present = index_sets(np.arange(len(own)), local)
        return Block(np.concatenate([own, outside]), len(own), sets, present)


def numbers_held(rows: float, own: float, size: int, members: int) -> float:
    """By a block: `[rows, M]` twice, `[own, M]` twice, and three matrices of each own row's set."""
    return 2.0 * size * (rows + own) + 3.0 * members**2 * own
