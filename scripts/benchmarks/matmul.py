"""How fast this machine multiplies matrices: SciPy's BLAS on all cores, and TensorFlow."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.linalg
import tensorflow as tf

from benchmarks.channel import Channel


def rates(dtype: str, size: int, repeats: int) -> dict[str, float]:
    """Operations a second (multiply and add count as two) of one product of two [size, size] matrices."""
    A = np.random.default_rng(0).normal(size=(size, size)).astype(dtype)
    gemm = scipy.linalg.get_blas_funcs("gemm", dtype=A.dtype)
    tensor = tf.constant(A)
    multiply = tf.function(lambda x: tf.matmul(x, x), autograph=False)
    contenders: dict[str, Callable[[], Any]] = {
        "SciPy": lambda: gemm(1.0, A.T, A.T),  # of Fortran-ordered arrays: nothing is copied
        "TensorFlow": lambda: multiply(tensor).shape,
    }
    found = {}
    for name, product in contenders.items():
        times = []
        for _ in range(repeats + 1):
            start = time.perf_counter()
            product()
            times.append(time.perf_counter() - start)
        found[name] = 2.0 * size**3 / min(times[1:])
    return found


if __name__ == "__main__":
    channel = Channel()
    while True:
        channel.answer(**rates(**channel.receive()))
