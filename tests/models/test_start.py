"""Starting values: the rule that the module states, on data where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from svgp.config.model import ModelConfig
from svgp.models.start import LENGTHSCALE_FACTORS, start_values

REGRESSION, COUNTS = ModelConfig(), ModelConfig.model_validate({"likelihood": {"type": "poisson"}})


def rows(columns=4, count=300, seed=0):
    return np.random.default_rng(seed).normal(size=(count, columns))


@pytest.mark.parametrize("columns", [1, 4, 30])
def test_classes_and_counts_start_at_half_the_root_of_the_dimension(columns):
    X = rows(columns) * np.geomspace(1e-3, 1e3, columns)
    start = start_values(COUNTS, X, np.ones((300, 1)))
    np.testing.assert_allclose(start.lengthscales, 0.5 * np.sqrt(columns) * X.std(0), rtol=1e-12)
    assert start.variance == 1.0


def test_a_regression_takes_the_factor_with_the_best_evidence():
    X = rows(2)
    smooth = start_values(REGRESSION, X, X.sum(1, keepdims=True))
    rough = start_values(REGRESSION, X, np.sin(12 * X.sum(1, keepdims=True)))
    scale = np.sqrt(2.0) * X.std(0)
    np.testing.assert_allclose(smooth.lengthscales, max(LENGTHSCALE_FACTORS) * scale)
    assert np.all(rough.lengthscales < 0.5 * scale)


def test_units_of_inputs_and_targets_are_followed():
    X, scales = rows(3), np.array([1e-6, 1.0, 1e6])
    Y = np.sin(X[:, :1])
    plain, scaled = start_values(REGRESSION, X, Y), start_values(REGRESSION, X * scales, 1e3 * Y + 7.0)
    np.testing.assert_allclose(scaled.lengthscales, plain.lengthscales * scales, rtol=1e-9)
    np.testing.assert_allclose(scaled.variance, 1e6 * plain.variance, rtol=1e-9)
    np.testing.assert_allclose(scaled.noise_scale, 1e6 * Y.var(0), rtol=1e-9)


def test_constant_columns_and_targets_are_harmless():
    X = rows(3)
    X[:, 1] = 5.0
    start = start_values(REGRESSION, X, np.full((300, 2), 3.0))
    assert np.all(np.isfinite(start.lengthscales)) and np.all(start.lengthscales > 0)
    np.testing.assert_array_equal(start.noise_scale, [1.0, 1.0])
    np.testing.assert_allclose(start.lengthscales[0] / X[:, 0].std(), start.lengthscales[1], rtol=1e-12)


def test_few_rows_and_a_seed():
    X = rows(2, 2000)
    Y = np.sin(3 * X[:, :1])
    first, again = (start_values(REGRESSION, X, Y, seed=4) for _ in range(2))
    np.testing.assert_array_equal(first.lengthscales, again.lengthscales)
    assert np.isfinite(start_values(REGRESSION, X[:1], Y[:1]).lengthscales).all()
