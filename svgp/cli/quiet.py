"""Importing TensorFlow: without what it prints at import, and in half the time it takes by itself."""

from __future__ import annotations

import gc
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


def import_tensorflow() -> None:
    """Import TensorFlow, look for devices, import ours; messages are shown only where the import fails.

    They come from C++, before its log is set up, and go to the process's stderr past Python's: that
    oneDNN is on, that no CUDA driver is there. Neither is anything to act on.

    TensorFlow imports a Keras, of which nothing is used here. The older one TensorFlow Probability needs
    anyway; the newer one would bring matplotlib, pandas and scikit-learn with it, a second and a half.
    TensorFlow Probability comes first: imported after TensorFlow it loads all of itself at once, half a
    second, where otherwise it loads what is asked for.
    """
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    with held_back_stderr(), without_collections():
        import tensorflow_probability  # noqa: F401

        # isort: split
        import tensorflow as tf

        import svgp.runs.launch  # noqa: F401

        tf.config.list_physical_devices("GPU")


@contextmanager
def without_collections() -> Iterator[None]:
    """No collection of garbage in the block, and none ever of what it leaves: modules are no garbage."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if was_on:
            gc.enable()


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
