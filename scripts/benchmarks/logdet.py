"""log|K| with its gradient by svgp.linalg, TensorFlow's autodiff through Cholesky, and PyTorch's.

`python -m benchmarks.logdet LIBRARY SIZE DTYPE` answers each question by the milliseconds of one run.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.channel import Channel, peak_mib

LIBRARIES = ("ours", "tensorflow", "pytorch")

SHORT = 50.0  # milliseconds; what takes less is run once untimed first, so that its threads are awake

Step = Callable[[], tuple[float, Any]]


def problem(size: int, dtype: str) -> Any:
    """A positive-definite matrix of condition number about 5, the same in every process."""
    import numpy as np

    A = np.random.default_rng(0).normal(size=(size, size)).astype(dtype)
    return A @ A.T / size + np.eye(size, dtype=dtype)


def ours(K: Any) -> Step:
    import tensorflow as tf

    from svgp import linalg

    @tf.function(autograph=False)
    def step(K: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with linalg.backend("auto" if tf.config.list_logical_devices("GPU") else "host"):
            return _value_and_gradient(tf, linalg.logdet, K)

    return _tensorflow_step(tf, step, K)


def tensorflow(K: Any) -> Step:
    import tensorflow as tf

    def logdet(K: tf.Tensor) -> tf.Tensor:
        return 2 * tf.reduce_sum(tf.math.log(tf.linalg.diag_part(tf.linalg.cholesky(K))))

    step = tf.function(lambda K: _value_and_gradient(tf, logdet, K), autograph=False)
    return _tensorflow_step(tf, step, K)


def _value_and_gradient(tf: Any, f: Callable[[Any], Any], K: Any) -> tuple[Any, Any]:
    with tf.GradientTape() as tape:
        tape.watch(K)
        value = f(K)
    return value, tape.gradient(value, K)


def _tensorflow_step(tf: Any, step: Callable[[Any], tuple[Any, Any]], K: Any) -> Step:
    K = tf.constant(K)

    def run() -> tuple[float, Any]:
        value, gradient = step(K)
        return float(value), gradient.numpy()  # waits for a GPU

    return run


def pytorch(K: Any) -> Step:
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    K = torch.from_numpy(K).to(device).requires_grad_()

    def run() -> tuple[float, Any]:
        value = 2 * torch.linalg.cholesky(K).diagonal().log().sum()
        (gradient,) = torch.autograd.grad(value, K)
        return value.item(), gradient.cpu().numpy()

    return run


def serve(library: str, size: int, dtype: str) -> None:
    """First the value and the gradient's trace, so that libraries can be compared; then times."""
    channel = Channel()
    factory = {"ours": ours, "tensorflow": tensorflow, "pytorch": pytorch}[library]
    warm = factory(problem(64, dtype))
    warm()
    before = peak_mib()
    run = factory(problem(size, dtype))
    value, gradient = run()
    channel.answer(value=value, trace=float(gradient.diagonal().astype("float64").sum()))
    elapsed = 0.0
    while True:
        channel.receive()
        if elapsed < SHORT:
            run()
        start = time.perf_counter()
        run()
        elapsed = 1e3 * (time.perf_counter() - start)
        channel.answer(ms=elapsed, mib=peak_mib() - before)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), sys.argv[3])
