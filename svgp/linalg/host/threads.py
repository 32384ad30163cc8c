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
from contextlib import contextmanager
from functools import lru_cache
from itertools import count
from queue import SimpleQueue
from typing import Any

import tensorflow as tf

from svgp.cores import cores

# Handing a block to another thread costs about as much as this many operations.
SMALLEST_SHARE = 4_000_000

_here = threading.local()
_lock = threading.Lock()
_jobs: SimpleQueue[_Job] = SimpleQueue()
_helpers: list[threading.Thread] = []
_depth = 0
_before: list[int] = []


@lru_cache(maxsize=1)
def workers() -> int:
    """Threads to use: as TensorFlow was told, in code or by the environment, else all cores we may run on.

    Asked for at each product, and TensorFlow takes 50 to 100 microseconds to answer: so it is asked once. It
    would not let the number change after its first operation in any case.
    """
    return int(tf.config.threading.get_intra_op_parallelism_threads()) or cores()


def free_workers() -> int:
    """The same, but one inside a task of `run`: the other threads have tasks of their own."""
    return 1 if getattr(_here, "busy", False) else workers()


def pieces(length: int, operations: float, least: int = 16) -> list[slice]:
    """Cut `length` rows or columns into a slice for each thread that the work is enough for."""
    share = max(1, min(free_workers(), int(operations / SMALLEST_SHARE), length // least))
    edges = [round(length * index / share) for index in range(share + 1)]
    return [slice(start, stop) for start, stop in zip(edges[:-1], edges[1:], strict=True)]


def run_all(tasks: Sequence[Callable[[], Any]]) -> None:
    """Do all tasks, each as soon as a thread is free, and return when all are done.

    The calling thread takes its share. Start the longest tasks first: the others fill the gaps. The first
    exception of a task is raised here, after all have ended. Inside a task, tasks are done one by one.
    """
    helpers = min(free_workers(), len(tasks)) - 1
    if helpers < 1:
        for task in tasks:
            task()
        return
    job = _Job(tasks)
    inbox = _inbox(helpers)
    for _ in range(helpers):
        inbox.put(job)
    job.work()
    job.all_ended.acquire()
    if job.errors:
        raise job.errors[0]


class _Job:
    """Tasks that several threads take from, each the next one: `next` of a counter is atomic in CPython.

    A helper that wakes late finds nothing left, and nobody waits for it: handing work over takes about
    20 microseconds, where a pool of futures takes 100.
    """

    def __init__(self, tasks: Sequence[Callable[[], Any]]) -> None:
        self.tasks, self.errors = tasks, list[BaseException]()
        self._taken, self._ended = count(), count(1)
        self.all_ended = threading.Lock()
        self.all_ended.acquire()

    def work(self) -> None:
        """Take tasks and do them until none is left."""
        _here.busy = True
        try:
            while (index := next(self._taken)) < len(self.tasks):
                try:
                    self.tasks[index]()
                except BaseException as error:
                    self.errors.append(error)
                finally:
                    if next(self._ended) == len(self.tasks):
                        self.all_ended.release()
        finally:
            _here.busy = False


def _inbox(helpers: int) -> SimpleQueue[_Job]:
    """Where jobs are put for at least so many threads, which sleep while it is empty."""
    with _lock:
        while len(_helpers) < helpers:
            thread = threading.Thread(target=_help, name=f"svgp-blas-{len(_helpers)}", daemon=True)
            _helpers.append(thread)
            thread.start()
    return _jobs


def _help() -> None:
    while True:
        job = _jobs.get()
        job.work()
        del job  # its arrays must not live until the next one comes


def _forget_threads() -> None:
    """After a fork only the thread that forked goes on."""
    global _jobs, _lock
    _lock, _jobs = threading.Lock(), SimpleQueue()
    _helpers.clear()


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """BLAS uses one thread for each call inside the block; what was set before comes back after."""
    global _depth, _before
    controls = _controls()
    with _lock:
        _depth += 1
        if _depth == 1:
            _before = [get_threads() for get_threads, _ in controls]
            for _, set_threads in controls:
                set_threads(1)
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0:
                for (_, set_threads), before in zip(controls, _before, strict=True):
                    set_threads(before)


@lru_cache(maxsize=1)
def _controls() -> list[tuple[Callable[[], int], Callable[[int], Any]]]:
    """How to read and set the number of threads of the OpenBLAS that SciPy uses, and of NumPy's own.

    Called directly, not through threadpoolctl, which since 3.7 ignores all threads but the first that sets
    it, and the graph calls us from TensorFlow's threads. Another BLAS is left alone: MKL and Accelerate share
    a busy machine without help.
    """
    import scipy.linalg  # noqa: F401  (loads the library that is to be found)
    from threadpoolctl import ThreadpoolController

    found = []
    for library in ThreadpoolController().select(internal_api="openblas").lib_controllers:
        for prefix, suffix in ((p, s) for p in ("scipy_", "") for s in ("", "64_", "_64")):
            names = [f"{prefix}openblas_{verb}_num_threads{suffix}" for verb in ("get", "set")]
            if all(hasattr(library.dynlib, name) for name in names):
                found.append((getattr(library.dynlib, names[0]), getattr(library.dynlib, names[1])))
                break
    return found


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)
