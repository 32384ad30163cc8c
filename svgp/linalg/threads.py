"""BLAS calls on several cores, by splitting the work ourselves.

OpenBLAS's own threads meet at barriers inside every call and wait there by spinning. On a machine that has
anything else to do (a second run, a data loader, TensorFlow's own threads) one late thread stalls all of
them: with 11 runnable processes on 4 cores a training step was measured to take 75 times as long, where
TensorFlow's took 10. So BLAS runs single-threaded here, and independent blocks of one product go to a pool
whose threads sleep when they have nothing to do.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import tensorflow as tf

# Handing a block to another thread costs about as much as this many operations.
SMALLEST_SHARE = 4_000_000

_worker = threading.local()
_lock = threading.Lock()
_depth = 0
_before = 1


def workers() -> int:
    """Threads to use: as TensorFlow was told, in code or by the environment, else all cores we may run on."""
    told = tf.config.threading.get_intra_op_parallelism_threads()
    for name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"):
        value = os.environ.get(name, "")
        told = told or (int(value) if value.isdigit() else 0)
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return int(told) or available


def pieces(length: int, operations: float, least: int = 16) -> list[slice]:
    """Cut `length` rows or columns into a slice for each thread that the work is enough for."""
    count = max(1, min(workers(), int(operations / SMALLEST_SHARE), length // least))
    edges = [round(length * index / count) for index in range(count + 1)]
    return [slice(start, stop) for start, stop in zip(edges[:-1], edges[1:], strict=True)]


def run(tasks: Sequence[Callable[[], Any]]) -> None:
    """Do all tasks, the first one on the calling thread, and return when all are done.

    A task's exception is raised here, after the others have ended. Inside a task the tasks are done one by
    one: a thread of the pool that waited for others of the pool could wait forever.
    """
    if len(tasks) < 2 or getattr(_worker, "busy", False):
        for task in tasks:
            task()
        return
    futures = [_pool().submit(task) for task in tasks[1:]]
    try:
        tasks[0]()
    finally:
        wait(futures)
    for future in futures:
        future.result()


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """SciPy's BLAS uses one thread for each call inside the block; what was set before comes back after."""
    global _depth, _before
    get_threads, set_threads = _controls()
    with _lock:
        _depth += 1
        if _depth == 1:
            _before = get_threads()
            set_threads(1)
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0:
                set_threads(_before)


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    def mark() -> None:
        _worker.busy = True

    return ThreadPoolExecutor(max(workers() - 1, 1), thread_name_prefix="svgp-blas", initializer=mark)


@lru_cache(maxsize=1)
def _controls() -> tuple[Callable[[], int], Callable[[int], Any]]:
    """How to read and set the number of threads of the OpenBLAS that SciPy uses.

    Called directly, not through threadpoolctl, which since 3.7 ignores all threads but the first that sets
    it, and the graph calls us from TensorFlow's threads. Where SciPy uses another BLAS nothing is set: MKL
    and Accelerate share a busy machine without help.
    """
    import scipy.linalg  # noqa: F401  (loads the library that is to be found)
    from threadpoolctl import ThreadpoolController

    for library in ThreadpoolController().select(internal_api="openblas").lib_controllers:
        for prefix in ("scipy_", ""):
            for suffix in ("", "64_", "_64"):
                names = [f"{prefix}openblas_{verb}_num_threads{suffix}" for verb in ("get", "set")]
                if "numpy.libs" not in library.filepath and all(hasattr(library.dynlib, n) for n in names):
                    return getattr(library.dynlib, names[0]), getattr(library.dynlib, names[1])
    return lambda: 1, lambda threads: None
