"""Lengthscales that are one length in a unit that inputs share."""

from __future__ import annotations

import numpy as np
import pytest

from svgp.models.start.one_unit import common_lengths

SPREADS = np.array([1.0, 0.2, 0.9, 0.1, 1.1, 0.8])


def table(rows=400, seed=0):
    """Raw columns between -5 and 5 of which half hardly vary but for a few rows, and model inputs of them."""
    raw = np.random.default_rng(seed).normal(size=(rows, len(SPREADS))) * SPREADS
    raw[:2] = np.array([[-5.0], [5.0]])
    mean, scale = raw.mean(axis=0), raw.std(axis=0)
    return raw, (raw - mean) / scale, mean, scale


def test_columns_in_one_range_have_one_length_in_their_unit():
    raw, X, mean, scale = table()
    found = common_lengths(X, mean, scale)
    np.testing.assert_allclose(found * scale, found[0] * scale[0])
    assert found[0] * scale[0] == pytest.approx(np.sqrt(len(scale) * np.mean(raw.var(axis=0))))


@pytest.mark.parametrize("change", ["other units", "like deviations", "one column"])
def test_columns_that_share_no_unit_have_none(change):
    raw, X, mean, scale = table()
    if change == "other units":
        units = np.array([1.0, 100.0, 1e4, 1.0, 1.0, 1.0])
        mean, scale = mean * units, scale * units
    if change == "like deviations":
        scale = np.full_like(scale, scale[0])
    if change == "one column":
        X, mean, scale = X[:, :1], mean[:1], scale[:1]
    assert common_lengths(X, mean, scale) is None
