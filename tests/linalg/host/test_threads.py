"""Work split over threads: same results, nested, from several threads, with errors."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from svgp.linalg.host import blas, threads, triangular


@pytest.fixture
def cores(monkeypatch):
    """Pretend that this process has some number of cores; every piece of work is worth a thread."""

    def pretend(count):
        monkeypatch.setattr(threads, "workers", lambda: count)
        monkeypatch.setattr(threads, "SMALLEST_SHARE", 1)

    return pretend


@pytest.mark.parametrize("length", [1, 15, 16, 33, 1000])
@pytest.mark.parametrize("count", [1, 3, 64])
def test_pieces_cover_everything_once(length, count, cores):
    cores(count)
    found = threads.pieces(length, 1e12)
    assert [i for piece in found for i in range(length)[piece]] == list(range(length))
    assert len(found) == max(1, min(count, length // 16))
    assert len(threads.pieces(length, 0.0)) == 1


def test_small_work_stays_on_one_thread():
    assert len(threads.pieces(10_000, threads.SMALLEST_SHARE)) == 1


def everything(seed=0):
    rng = np.random.default_rng(seed)
    A, B = rng.normal(size=(130, 90)), rng.normal(size=(90, 110))
    T = np.tril(rng.normal(size=(90, 90))) + 5 * np.eye(90)
    out, left, right, factor = np.empty((130, 110)), B.copy(), A.copy(), T @ T.T
    with threads.single_threaded_blas():
        blas.product(A, B, out)
        blas.triangular_product(T, left)
        blas.triangular_product_right(right, T)
        gram = blas.weighted_gram(A, rng.normal(size=90))
        inverse = np.empty_like(factor)
        triangular.cholesky_and_inverse(factor, inverse)
    return out, left, right, gram, factor, inverse


def test_one_thread_or_four_give_the_same(cores):
    cores(1)
    alone = everything()
    cores(4)
    together = everything()
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13, atol=1e-12)
    for one, other in zip(together, everything(), strict=True):
        np.testing.assert_array_equal(one, other)  # and the same bits each time


def test_several_python_threads_at_once(cores):
    cores(4)
    expected = [everything(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as callers:
        for _ in range(5):
            for got, wanted in zip(callers.map(everything, range(4)), expected, strict=True):
                for one, other in zip(got, wanted, strict=True):
                    np.testing.assert_array_equal(one, other)


def test_nested_work_does_not_wait_for_itself(cores):
    cores(2)  # one thread beside the caller: a task that waited for another would wait forever
    done = []

    def inner():
        done.append(1)

    def outer():
        threads.run_all([inner, inner, inner])

    caller = threading.Thread(target=lambda: threads.run_all([outer, outer, outer]), daemon=True)
    caller.start()
    caller.join(20)
    assert not caller.is_alive() and len(done) == 9


def test_nothing_to_do():
    threads.run_all([])


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_an_error_is_raised_after_the_other_tasks_have_ended(bad, cores):
    cores(3)
    ended = []

    def task(index):
        if index == bad:
            raise ValueError(f"task {index}")
        threading.Event().wait(0.02)
        ended.append(index)

    with pytest.raises(ValueError, match=f"task {bad}"):
        threads.run_all([lambda i=i: task(i) for i in range(3)])
    assert sorted(ended) == [i for i in range(3) if i != bad]


def test_blas_is_single_threaded_inside_and_as_before_outside():
    for get, put in threads._controls():
        before = get()
        try:
            put(2)
            if get() != 2:
                pytest.skip("BLAS here has no threads that we set")
            with threads.single_threaded_blas():
                assert get() == 1
                with threads.single_threaded_blas():
                    assert get() == 1
                assert get() == 1
            assert get() == 2
            with pytest.raises(ValueError), threads.single_threaded_blas():
                raise ValueError
            assert get() == 2
            _overlap(get)
            assert get() == 2
        finally:
            put(before)


def _overlap(get):
    """Two threads whose blocks overlap: the first to leave must not switch the other's threads on."""
    entered, left, seen = threading.Event(), threading.Event(), []

    def other():
        with threads.single_threaded_blas():
            entered.set()
            left.wait(10)
            seen.append(get())

    thread = threading.Thread(target=other)
    with threads.single_threaded_blas():
        thread.start()
        assert entered.wait(10)
    left.set()
    thread.join()
    assert seen == [1]


def test_workers_is_a_positive_number():
    assert threads.workers() >= 1
