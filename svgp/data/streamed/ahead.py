"""Reading ahead: the next part is read in a thread while the present one is worked on."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
_END = object()


@dataclass
class Pace:
    """How fast rows were read, and how fast they were wanted."""

    rows: int = 0
    reading_s: float = 0.0  # of the thread that reads
    waited_s: float = 0.0  # for it, by whoever works on the rows
    worked_s: float = 0.0  # on them

    def describe(self) -> list[str]:
        """A line, or none where nothing was read."""
        if not self.rows or not self.reading_s or not self.worked_s + self.waited_s:
            return []
        spent = self.worked_s + self.waited_s
        return [
            f"{self.rows:,} rows read at {self.rows / self.reading_s:,.0f} a second, used at "
            f"{self.rows / spent:,.0f}; {100 * self.waited_s / spent:.0f}% of that time went into waiting"
        ]


def read_ahead(parts: Iterator[T], depth: int = 1, pace: Pace | None = None) -> Iterator[T]:
    """The same parts, up to `depth` + 1 of them read before they are asked for.

    What reading raises is raised here. The thread ends when the iterator does, or is dropped. The seconds
    that it and its user take are added to `pace`.
    """
    pace = pace or Pace()
    ready: queue.Queue = queue.Queue(maxsize=depth)
    stop = threading.Event()

    def put(item: object) -> bool:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def read() -> None:
        try:
            began = time.perf_counter()
            for part in parts:
                pace.reading_s += time.perf_counter() - began
                if not put(part):
                    return
                began = time.perf_counter()
            put(_END)
        except BaseException as error:
            put(error)

    threading.Thread(target=read, daemon=True, name="svgp-read-ahead").start()
    try:
        while True:
            began = time.perf_counter()
            item = ready.get()
            pace.waited_s += time.perf_counter() - began
            if item is _END:
                return
            if isinstance(item, BaseException):
                raise item
            began = time.perf_counter()
            yield item
            pace.worked_s += time.perf_counter() - began
    finally:
        stop.set()
