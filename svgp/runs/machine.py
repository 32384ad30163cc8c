"""How fast this machine is, on as many cores as a run has: measured in a tenth of a second. No TensorFlow.

Three numbers stand for all work: products of matrices, elementwise work on large arrays, and Python itself,
in which imports, compilation, calls and pictures are done on one core.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from svgp.cores import cores

_SIZE, _TIMED_S = 512, 0.05  # of the products that are timed, and for how long
_SHORT_S = 0.01  # of elementwise work: three times of some milliseconds may all fall where others work, too
SHARE_OF_PRODUCTS = 0.9  # of the product rate that a step's products reach
# So many take as long as all that is done to one entry of a panel [M, B], on one core. Mostly it is passes:
# NumPy's exponential in float64 takes 1.3 ns with AVX-512, 5.5 without, a pass about the same.
_EXPONENTIALS, _PASSES = 2.0, 110.0
_LOOP, _LOOP_S = 20_000, 0.7e-3  # of Python on the machine that the constants of `svgp.runs.work` are from


@dataclass(frozen=True)
class Machine:
    """Products' operations a second and seconds of work on an entry of a panel, on all cores of a run.

    `pace`: how long Python takes for anything, in units of the machine that the constants are from.
    """

    rate: float
    entry_s: float
    pace: float = 1.0

    def seconds(self, operations: float, entries: float) -> float:
        """Of products of so many operations, and of work on so many entries."""
        return operations / (SHARE_OF_PRODUCTS * self.rate) + entries * self.entry_s


def machine(kind: Any = np.float64) -> Machine:
    """This one, for arrays of this type; of a GPU, where TensorFlow is here and sees one, its products.

    A machine that has something else to do is as slow as it is found.
    """
    rate = product_rate(kind)
    entry_s = (_EXPONENTIALS * exponential_seconds(kind) + _PASSES * pass_seconds(kind)) / cores()
    pace = _best(lambda: sum(k % 7 for k in range(_LOOP))) / _LOOP_S
    on_device = _device_rate(kind)
    if on_device is not None:
        entry_s, rate = entry_s * min(1.0, rate / on_device), on_device
    return Machine(rate, entry_s, pace)


def product_rate(kind: Any = np.float64) -> float:
    """Operations a second of matrix products [512, 512] in this type, on as many cores as a run has."""
    a = np.ones((_SIZE, _SIZE), kind)
    out = a @ a
    with threadpool_limits(cores(), "blas"):
        return 2.0 * _SIZE**3 / _best(lambda: np.matmul(a, a, out=out))


def exponential_seconds(kind: Any = np.float64) -> float:
    """Seconds of one of many exponentials in this type, on one core."""
    x = np.linspace(-1.0, 1.0, 1 << 17, dtype=kind)
    return _best(lambda: np.exp(x), _SHORT_S) / len(x)


def pass_seconds(kind: Any = np.float64) -> float:
    """Seconds that one of many products of two numbers takes in this type, on one core."""
    x = np.linspace(0.5, 1.0, 1 << 17, dtype=kind)
    out = np.empty_like(x)
    return _best(lambda: np.multiply(x, x, out=out), _SHORT_S) / len(x)


def _device_rate(kind: Any) -> float | None:
    """The rate of a GPU that TensorFlow sees; None where it sees none, or has not been imported."""
    tf = sys.modules.get("tensorflow")
    if tf is None:
        return None
    with suppress(Exception):  # a device that cannot be asked is none
        if tf.config.list_logical_devices("GPU"):
            size = 8 * _SIZE
            a = tf.ones([size, size], kind)
            return 2.0 * size**3 / _best(lambda: tf.reduce_max(tf.matmul(a, a)).numpy())
    return None


def _best(work: Callable[[], Any], least_s: float = _TIMED_S) -> float:
    """Seconds of the fastest of three times, or of as many as there are in `least_s`."""
    best, times, end = math.inf, 0, time.perf_counter() + least_s
    while times < 3 or time.perf_counter() < end:
        began = time.perf_counter()
        work()
        best, times = min(best, time.perf_counter() - began), times + 1
    return best
