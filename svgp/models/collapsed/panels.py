"""How the rows are shared out among threads: lanes, each with memory of its own for panels `[C, M]`.

A lane does everything for its panels (kernel, products, adjoint, sums) on one thread: no hand-over
between threads inside a panel, and the elementwise work runs in parallel as the products do. Which panel
goes to which lane is fixed, and so is the order in which lanes' sums are added: results can be repeated bit
for bit with the same number of threads.

What the first pass over the rows makes of a panel the second one needs again: as many panels as fit in a
fixed amount of memory are kept between the two, the others are made anew, with the same result.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from svgp.linalg.host import blas, threads

PANEL_ENTRIES = 1 << 19  # 4 MiB; timed from 2^17 to 2^19, larger ones pass Python's lock around less often
SHARED_ENTRIES = 1 << 22  # where all threads share a panel: large, since each product is split among them
FEWEST_ROWS = 256
LARGEST_LANES = 2048  # inducing points; every lane has an [M, M] sum or two, above this there is but one lane
KEPT_BYTES = 1 << 30  # of panels between the two passes, and never more than an eighth of the memory


class Stopped(Exception):
    """Raised between two panels where `keep_going()` says no; nothing has changed."""


@dataclass
class Panel:
    """Memory for what some rows need."""

    values: np.ndarray  # [C, M] Kfu, later A^T where the frame is whitened
    slope: np.ndarray  # [C, M] what a kernel wants to have when the panel's adjoint comes
    scratch: np.ndarray  # [C, M]
    kff: np.ndarray  # [C]


class Lane:
    """Memory for a panel of up to `rows` rows, and what a kernel keeps between a panel and its adjoint."""

    def __init__(self, rows: int, size: int) -> None:
        self._flat = [blas.aligned_empty((rows * size,), np.float64) for _ in range(3)]
        self._size = size
        self.tape: Any = None  # of the panel under way
        self.sums: Any = None  # of the gradient
        self.set_sums: Any = None  # of the gradient through small sets of points

    def panel(self, rows: int) -> Panel:
        """Uninitialised, in the same memory each time."""
        values, slope, scratch = (flat[: rows * self._size].reshape(rows, self._size) for flat in self._flat)
        return Panel(values, slope, scratch, np.empty(rows))


class Lanes:
    """Up to `rows` rows at a time in panels, dealt out to as many lanes as there are threads."""

    def __init__(self, rows: int, size: int, chunk: int | None = None) -> None:
        self._size = size
        self._kept: dict[int, Panel] = {}  # by the first row
        alone = size > LARGEST_LANES
        self._wanted = chunk or max(FEWEST_ROWS, (SHARED_ENTRIES if alone else PANEL_ENTRIES) // size)
        self._most = 1 if alone else min(threads.workers(), max(1, -(-rows // self._wanted)))
        self.panels = self._cut(rows)
        self._longest = min(max(rows, 1), self._wanted)  # other numbers of rows may be cut into longer panels
        self.lanes = [Lane(self._longest, size) for _ in range(self._most)]
        room = kept_bytes() // (2 * 8 * size * self._longest)  # panels
        # The first ones: dealt out in turn, so that each lane has as many of them.
        self._keep_below = self.panels[room].start if room < len(self.panels) else room * self._longest

    def panel(self, lane: Lane, rows: slice, first: int = 0) -> Panel:
        """A panel to be filled; of its own memory where it is to be kept until `kept` is asked for it.

        first: the number of the row that `rows` is counted from.
        """
        own = lane.panel(rows.stop - rows.start)
        place = first + rows.start
        if place >= self._keep_below:
            return own
        if place not in self._kept:
            values, slope = (blas.aligned_empty(own.values.shape, np.float64) for _ in range(2))
            self._kept[place] = Panel(values, slope, own.scratch, own.kff)
        self._kept[place].scratch = own.scratch
        return self._kept[place]

    def kept(self, rows: slice, first: int = 0) -> Panel | None:
        """What `panel` gave for these rows, as it was left; None for one that is not kept."""
        return self._kept.get(first + rows.start)

    def release(self) -> None:
        """Forget the panels that were kept."""
        self._kept.clear()

    def run(
        self,
        work: Callable[[Lane, int, slice], None],
        keep_going: Callable[[], bool],
        rows: int | None = None,
    ) -> None:
        """`work(lane, number of the lane, rows)` for each panel of so many `rows` (None: of all).

        Raises Stopped, and what `work` raises.
        """
        whole = rows is None or rows == self.panels[-1].stop
        run_panels(self.lanes, self.panels if whole or rows is None else self._cut(rows), work, keep_going)

    def _cut(self, rows: int) -> list[slice]:
        panels = max(1, -(-rows // self._wanted))
        count = min(self._most, panels)
        panels = -(-panels // count) * count  # as many for each
        edges = [round(rows * index / panels) for index in range(panels + 1)]
        return [slice(*both) for both in zip(edges[:-1], edges[1:], strict=True)]


def run_panels(
    lanes: Sequence[Lane],
    panels: Sequence[slice],
    work: Callable[[Lane, int, slice], None],
    keep_going: Callable[[], bool],
) -> None:
    """`work(lane, number of the lane, rows)` for each panel, dealt out to the lanes in turn."""
    stop = threading.Event()

    def panels_of(number: int) -> None:
        try:
            for rows in panels[number :: len(lanes)]:
                if number == 0 and not stop.is_set() and not keep_going():
                    stop.set()
                if stop.is_set():
                    return
                work(lanes[number], number, rows)
        except BaseException:
            stop.set()
            raise

    threads.run_all([partial(panels_of, number) for number in range(len(lanes))])
    if stop.is_set():
        raise Stopped


def kept_bytes() -> int:
    """How much memory kept panels may take."""
    try:
        there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not on every system
        return KEPT_BYTES // 4
    return min(KEPT_BYTES, there // 8)


def row_ranges(rows: int, inducing: int, chunk: int | None = None) -> Iterator[slice]:
    """Consecutive ranges of rows whose panels `[inducing, C]` hold about 2^21 numbers."""
    chunk = chunk or max(FEWEST_ROWS, (1 << 21) // inducing)
    for start in range(0, rows, chunk):
        yield slice(start, min(start + chunk, rows))


def times_thin(matrix: np.ndarray, thin: np.ndarray, transpose: bool = False) -> np.ndarray:
    """`matrix thin`, or `matrix^T thin`, for a `thin` matrix of P columns; no threads of NumPy's BLAS."""
    return np.stack([blas.times_vector(matrix, column, transpose) for column in thin.T], axis=1)
