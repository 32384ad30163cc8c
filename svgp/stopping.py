"""A stop that someone asks for: long work looks at it between two pieces, on all workers of a run.

A worker that is told (Ctrl-C, SIGTERM: `svgp.training.interrupts`) passes it on by a key of TensorFlow's
coordination service, on which a thread of each other worker waits: the service that TensorFlow's own
PreemptionCheckpointHandler uses for that, but what is saved here is a run's own checkpoint.
"""

from __future__ import annotations

import threading

import tensorflow as tf
from tensorflow.python.eager import context

LOOK_S = 0.5  # between two looks at what the others say


class StopAsked(Exception):
    """Raised between two pieces of work where a stop was asked for; what was whole before still is."""


class StopSign:
    """Whether a stop was asked for, here or of one of the `shared` others."""

    def __init__(self, shared: bool = False) -> None:
        self._asked, self._ended = threading.Event(), threading.Event()
        self._shared, self._round = shared, 0
        self._watcher: threading.Thread | None = None

    @property
    def asked(self) -> bool:
        """Whether a stop was asked for since `listen`."""
        return self._asked.is_set()

    def ask(self) -> None:
        """Ask for a stop; may be called from a signal handler."""
        self._asked.set()

    def listen(self) -> None:
        """Nobody has asked yet; hear of the others from here on. All workers alike."""
        self.close()
        self._round += 1
        if self._shared:
            arguments = (f"svgp_stop_{self._round}", self._asked, self._ended)
            self._watcher = threading.Thread(target=_watch, args=arguments, daemon=True, name="svgp-stop")
            self._watcher.start()

    def close(self) -> None:
        """End the thread that listens, and forget that anybody has asked."""
        self._ended.set()
        if self._watcher is not None:
            self._watcher.join()
            self._watcher = None
        self._asked, self._ended = threading.Event(), threading.Event()


def _watch(key: str, asked: threading.Event, ended: threading.Event) -> None:
    """Until `ended`: tell the others once `asked` is set here, or set it once another has told."""
    service = context.context()
    while True:
        try:
            if asked.is_set():  # also where all has ended meanwhile: the others have yet to hear
                service.set_config_key_value(key, "asked")
                return
            if ended.is_set():
                return
            service.get_config_key_value(key, timeout_in_ms=int(1000 * LOOK_S))
            asked.set()
            return
        except tf.errors.AlreadyExistsError:  # another one was told as well
            return
        except tf.errors.DeadlineExceededError:
            continue
        except tf.errors.OpError:  # the service is gone: the next message between workers says so
            return
