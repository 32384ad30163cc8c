"""Rows in memory: what each of the protocol's answers is, and that parts make up the whole."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from svgp.errors import ModelError
from svgp.rows import ArrayRows, as_rows

X = np.arange(22.0).reshape(11, 2)
Y = np.arange(11.0)


def test_what_is_asked_of_rows():
    rows = as_rows(X, Y)
    assert as_rows(rows) is rows
    assert (len(rows), rows.inputs, rows.outputs) == (11, 2, 1)
    np.testing.assert_array_equal(rows.extent(), [[0.0, 1.0], [20.0, 21.0]])
    found = rows.moments()
    np.testing.assert_allclose(found.input_mean, [10.0, 11.0])
    np.testing.assert_allclose(found.target_std, np.sqrt(10.0))  # of 0 ... 10
    blocks = list(rows.blocks(4))
    assert [block.start for block in blocks] == [0, 4, 8]
    np.testing.assert_array_equal(np.concatenate([block.Y for block in blocks])[:, 0], Y)


def test_an_epoch_sees_each_row_once_and_goes_on_from_any_step():
    rows = ArrayRows(X, Y)
    steps = list(islice(rows.batches(4, seed=3), 6))  # two epochs of 3 batches
    for epoch in (steps[:3], steps[3:]):
        np.testing.assert_array_equal(np.sort(np.concatenate([y for _, y in epoch])[:, 0]), Y)
    later = next(rows.batches(4, seed=3, start=4))
    np.testing.assert_array_equal(later[0], steps[4][0])
    assert not np.array_equal(steps[0][1], steps[3][1])


def test_parts_of_a_batch_and_of_the_rows_make_up_the_whole():
    rows = ArrayRows(X, Y)
    whole = next(rows.batches(7, seed=0))[1]
    parts = [next(rows.batches(7, seed=0, shard=(k, 3)))[1] for k in range(3)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    shards = [rows.shard(k, 3) for k in range(3)]
    np.testing.assert_array_equal(np.concatenate([b.X for s in shards for b in s.blocks()]), X)
    np.testing.assert_array_equal(shards[1].sample()[0], X)


def test_arrays_that_do_not_fit_are_refused():
    with pytest.raises(ModelError, match=r"\(11, 2\)"):
        as_rows(X, Y[:5])
