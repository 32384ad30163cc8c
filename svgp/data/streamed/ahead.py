"""Reading ahead: the next part is read in a thread while the present one is worked on."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import TypeVar

T = TypeVar("T")
_END = object()


def read_ahead(parts: Iterator[T], depth: int = 1) -> Iterator[T]:
    """The same parts, up to `depth` + 1 of them read before they are asked for.

    What reading raises is raised here. The thread ends when the iterator does, or is dropped.
    """
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
            for part in parts:
                if not put(part):
                    return
            put(_END)
        except BaseException as error:
            put(error)

    threading.Thread(target=read, daemon=True, name="svgp-read-ahead").start()
    try:
        while (item := ready.get()) is not _END:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
