"""Importing TensorFlow without what it prints at import, whatever the log level."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


def import_tensorflow() -> None:
    """Import TensorFlow and look for devices; its messages are shown only where the import fails.

    They come from C++, before its log is set up, and go to the process's stderr past Python's: that
    oneDNN is on, that no CUDA driver is there. Neither is anything to act on.
    """
    with held_back_stderr():
        import tensorflow as tf
        import tensorflow_probability  # noqa: F401

        tf.config.list_physical_devices("GPU")


@contextmanager
def held_back_stderr() -> Iterator[None]:
    """Keep what is written to file descriptor 2 in the block, and let it out only if the block fails."""
    try:
        sys.stderr.flush()
        kept = os.dup(2)
    except (OSError, ValueError):  # closed: there is nothing to keep quiet
        yield
        return
    with tempfile.TemporaryFile() as store:
        os.dup2(store.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(kept, 2)
            store.seek(0)
            os.write(2, store.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
