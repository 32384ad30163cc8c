from __future__ import annotations

import itertools

import numpy as np
import pytest

from svgp.errors import ModelError
from svgp.rows import ArrayRows
from svgp.training.batches import Batches


def taken(batches: Batches, start: int, count: int) -> list[np.ndarray]:
    return [X.numpy()[:, 0] for X, _ in itertools.islice(batches.starting_at(start), count)]


@pytest.fixture
def numbered() -> tuple[np.ndarray, np.ndarray]:
    X = np.arange(23.0)[:, None]
    return X, 10.0 * X


def test_an_epoch_visits_every_row_once_and_keeps_the_last_part(numbered):
    batches = Batches(*numbered, batch_size=5, seed=1)
    rows = taken(batches, 0, batches.steps_per_epoch)
    assert [len(part) for part in rows] == [5, 5, 5, 5, 3]
    assert sorted(np.concatenate(rows)) == list(range(23))


def test_the_order_is_numpys_permutation_of_seed_and_epoch(numbered):
    batches = Batches(*numbered, batch_size=5, seed=7)
    second_epoch = np.concatenate(taken(batches, 5, 5))
    np.testing.assert_array_equal(second_epoch, np.random.default_rng([7, 1]).permutation(23))


def test_starting_in_the_middle_gives_the_same_batches(numbered):
    batches = Batches(*numbered, batch_size=5, seed=2)
    for late, early in zip(taken(batches, 8, 6), taken(batches, 0, 14)[8:], strict=True):
        np.testing.assert_array_equal(late, early)


def test_inputs_and_targets_stay_together(numbered):
    X, Y = next(Batches(*numbered, batch_size=50, seed=0).starting_at(0))
    assert X.shape == (23, 1)
    np.testing.assert_array_equal(10.0 * X, Y)


def test_shapes_that_disagree_are_refused():
    with pytest.raises(ModelError, match=r"\(3, 1\) and \(2, 1\)"):
        Batches(np.zeros((3, 1)), np.zeros((2, 1)), batch_size=2, seed=0)


@pytest.mark.parametrize("kind", [ArrayRows, type("ReadRows", (), {})])
def test_an_iterator_has_no_thread_that_tunes_and_that_its_end_would_wait_for(numbered, kind, monkeypatch):
    batches = Batches(*numbered, batch_size=5)
    monkeypatch.setattr("svgp.training.batches.ArrayRows", kind)  # else read by the rows' own `batches`
    iterator = batches.starting_at(3)
    expected = numbered[0][batches.rows(3)] if kind is ArrayRows else None
    X, _ = next(iterator)
    assert X.shape == (5, 1) and (expected is None or np.array_equal(X, expected))
    assert iterator._dataset.options().autotune.enabled is False
