"""How the rows are shared out among threads: lanes, each with memory of its own for panels `[C, M]`.

A lane does everything for its panels (kernel, products, adjoint, sums) on one thread: no hand-over
between threads inside a panel, and the elementwise work runs in parallel as the products do. Which panel
goes to which lane is fixed, and so is the order in which lanes' sums are added: results can be repeated bit
for bit with the same number of threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from svgp.linalg import blas, threads

PANEL_ENTRIES = 1 << 19  # 4 MiB; timed from 2^17 to 2^19, larger ones pass Python's lock around less often
SHARED_ENTRIES = 1 << 22  # where all threads share a panel: large, since each product is split among them
FEWEST_ROWS = 256
LARGEST_LANES = 2048  # inducing points; every lane has an [M, M] sum or two, above this there is but one lane


class Stopped(Exception):
    """Raised between two panels where `keep_going()` says no; nothing has changed."""


class Lane:
    """Buffers for panels of up to `rows` rows, and what a kernel keeps between a panel and its adjoint."""

    def __init__(self, rows: int, size: int) -> None:
        self._flat = [blas.aligned_empty((rows * size,), np.float64) for _ in range(4)]
        self._size = size
        self.kept: Any = None  # of the panel under way
        self.sums: Any = None  # of the gradient

    def buffers(self, rows: int) -> list[np.ndarray]:
        """Four uninitialised `[rows, M]` arrays, the same memory each time."""
        return [flat[: rows * self._size].reshape(rows, self._size) for flat in self._flat]


class Lanes:
    """`rows` rows in panels, dealt out to as many lanes as there are threads."""

    def __init__(self, rows: int, size: int, chunk: int | None = None) -> None:
        alone = size > LARGEST_LANES
        wanted = chunk or max(FEWEST_ROWS, (SHARED_ENTRIES if alone else PANEL_ENTRIES) // size)
        panels = max(1, -(-rows // wanted))
        count = 1 if alone else min(threads.workers(), panels)
        panels = -(-panels // count) * count  # as many for each
        edges = [round(rows * index / panels) for index in range(panels + 1)]
        self.panels = [slice(*both) for both in zip(edges[:-1], edges[1:], strict=True)]
        longest = max(panel.stop - panel.start for panel in self.panels)
        self.lanes = [Lane(longest, size) for _ in range(count)]

    def run(self, work: Callable[[Lane, int, slice], None], keep_going: Callable[[], bool]) -> None:
        """`work(lane, number of the lane, rows)` for each panel. Raises Stopped, and what `work` raises."""
        stop = threading.Event()

        def panels_of(number: int) -> None:
            try:
                for rows in self.panels[number :: len(self.lanes)]:
                    if number == 0 and not stop.is_set() and not keep_going():
                        stop.set()
                    if stop.is_set():
                        return
                    work(self.lanes[number], number, rows)
            except BaseException:
                stop.set()
                raise

        threads.run([partial(panels_of, number) for number in range(len(self.lanes))])
        if stop.is_set():
            raise Stopped


def row_ranges(rows: int, inducing: int, chunk: int | None = None) -> Iterator[slice]:
    """Consecutive ranges of rows whose panels `[inducing, C]` hold about 2^21 numbers."""
    chunk = chunk or max(FEWEST_ROWS, (1 << 21) // inducing)
    for start in range(0, rows, chunk):
        yield slice(start, min(start + chunk, rows))


def times_thin(matrix: np.ndarray, thin: np.ndarray, transpose: bool = False) -> np.ndarray:
    """`matrix thin`, or `matrix^T thin`, for a `thin` matrix of P columns; no threads of NumPy's BLAS."""
    return np.stack([blas.times_vector(matrix, column, transpose) for column in thin.T], axis=1)
