"""The contender's side of the protocol: a JSON object a line, questions on standard input, answers back.

Standard library only: contenders run in the environments of other libraries.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any


class Channel:
    """Questions of the parent process, and where the answers go."""

    def __init__(self) -> None:
        self._answers = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)  # what a library prints is no answer
        _die_with_parent()

    def receive(self) -> dict[str, Any]:
        """The next question. Ends the process where there is none any more."""
        line = sys.stdin.readline()
        if not line:
            os._exit(0)  # at once: threads of a library may be in the middle of something
        return json.loads(line)

    def answer(self, **values: Any) -> None:
        """Send `values`."""
        print(json.dumps(values), file=self._answers, flush=True)


def _die_with_parent() -> None:
    """A parent that is killed cannot end its workers, and a paused one would stay for ever (Linux)."""
    set_death_signal = 1
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(set_death_signal, signal.SIGKILL)


def peak_mib() -> float:
    """This process's largest resident memory so far (Linux; elsewhere what the system says, unscaled)."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024
    except (OSError, IndexError):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
