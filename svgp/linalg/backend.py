"""Who does the products: SciPy's BLAS on the host's memory, or TensorFlow's own operations.

On a CPU the host's BLAS is two to four times faster (see `svgp.linalg.host.blas`), but a graph that calls it
cannot be compiled by XLA, saved, or run on a GPU. So it is used where it can be and is worth it:

- `"host"`: BLAS, wherever the dtype is float32 or float64;
- `"tensorflow"`: TensorFlow's operations only (for a SavedModel that other processes will open);
- `"auto"` (the default): BLAS, except on a GPU and in what XLA will compile.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import tensorflow as tf

from svgp.errors import ModelError
from svgp.linalg import paths
from svgp.linalg.xla import will_be_compiled

_BACKENDS = ("auto", "host", "tensorflow")
_backend: ContextVar[str] = ContextVar("svgp_linalg_backend", default="auto")


@contextmanager
def backend(name: str) -> Iterator[None]:
    """Choose who does the products inside a `with` block (at trace time for a `tf.function`).

    `name` is "auto", "host" or "tensorflow"; anything else raises ModelError.
    """
    if name not in _BACKENDS:
        raise ModelError(f"linalg backend {name!r}: expected one of {', '.join(_BACKENDS)}")
    token = _backend.set(name)
    try:
        yield
    finally:
        _backend.reset(token)


def use_host(x: tf.Tensor, *, size: int | None = None) -> bool:
    """Whether the host's BLAS should work on `x` in this scope; `size`: M, where that decides."""
    if x.dtype not in (tf.float32, tf.float64):
        return False
    chosen = _backend.get()
    if chosen != "auto":
        return chosen == "host"
    if size is not None and size < paths.current().smallest(x.dtype):
        return False
    return not will_be_compiled() and not _on_gpu(x)


def _on_gpu(x: tf.Tensor) -> bool:
    device = tf.DeviceSpec.from_string(x.device) if x.device else None
    if device is not None and device.device_type is not None:
        return device.device_type == "GPU"
    return bool(tf.config.list_logical_devices("GPU"))
