"""train.subset_rows: auto takes all rows where they are affordable, and else as many as the time allows."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from svgp.training.methods.affordable import EVALUATIONS, FEWEST, MOST_OPERATIONS, rows_to_fit


def config(subset_rows="auto", max_seconds=None):
    return SimpleNamespace(subset_rows=subset_rows, max_seconds=max_seconds)


def test_all_rows_where_an_evaluation_of_them_is_affordable():
    assert rows_to_fit(config(), 40_000, 512) is None
    assert rows_to_fit(config(None), 10**9, 4096) is None and rows_to_fit(config(77), 10**9, 10) == 77
    most = int(MOST_OPERATIONS / (3 * 1000**2))
    assert rows_to_fit(config(), most, 1000) is None and rows_to_fit(config(), most + 1, 1000) < most


def test_else_what_the_time_allows():
    found = rows_to_fit(config(), 10**7, 1000)
    # At 50 GFLOP/s the evaluations of these rows take ten minutes.
    assert EVALUATIONS * 7 * 1000**2 * found / 5e10 == pytest.approx(600.0, rel=1e-3)
    assert rows_to_fit(config(max_seconds=3600.0), 10**7, 1000) == pytest.approx(4.2 * found, rel=1e-3)
    assert rows_to_fit(config(max_seconds=1.0), 10**7, 1000) == FEWEST
    assert rows_to_fit(config(), 10**9, 1000) == found  # more rows, the same fit
