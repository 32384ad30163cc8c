"""Ctrl-C and SIGTERM as a request that is read between two pieces of work."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

from svgp.errors import Interrupted
from svgp.workers import present

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
STDERR = 2


class StopRequest:
    """Within the block, the first SIGINT or SIGTERM sets `asked`; the second does what it always did.

    Passes over the rows hear of it at once, by `present().stop`. Once `saved` holds a message, a signal
    raises Interrupted with that where it arrives. Outside the main thread, where Python takes no signals,
    nothing changes and `asked` stays None.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.asked: str | None = None  # the signal's name
        self.saved = ""  # what to say where nothing is lost that was not saved
        self._tell = tell
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopRequest:
        present().stop.listen()
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._first) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()
        present().stop.close()

    def _first(self, number: int, frame: FrameType | None) -> None:
        self._restore()
        self.asked = signal.Signals(number).name
        present().stop.ask()
        if self.saved:
            raise Interrupted(f"{self.asked} {self.saved}")
        line = f"{self.asked}: stopping and saving; once more to quit at once"
        try:
            self._tell(line)
        except RuntimeError:
            # The signal came within a write to that stream, which Python lets nobody enter twice.
            os.write(STDERR, f"{line}\n".encode())

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
