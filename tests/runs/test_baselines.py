"""A line beside the model: targets that are one, exactly."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from svgp.rows import ArrayRows
from svgp.runs.baselines import on_linear_regression

SLOPES = np.array([3.0, -2.0, 0.5])
COLUMNS = SimpleNamespace(targets_of=lambda Y: Y, unscale_mean=lambda Y: 10.0 * Y + 7.0)


def rows(count, seed, noise=0.1):
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(count, 3))
    return ArrayRows(X, (X @ SLOPES + noise * generator.normal(size=count))[:, None])


def said(rmse, train=None, test=None, likelihood="gaussian"):
    train, test = train or rows(400, 0), test or rows(200, 1)
    return on_linear_regression({"test.rmse": rmse}, COLUMNS, train, test, likelihood=likelihood)


def test_a_model_that_is_worse_than_the_line_hears_by_how_much():
    # Noise of 0.1 in scaled units is an RMSE of 1 in the target's.
    (found,) = said(1.5)
    assert "against 1.5" in found and "model.mean=linear" in found
    assert float(found.split("RMSE ")[1].split()[0]) == pytest.approx(1.0, rel=0.1)
    assert said(1.01) == [] and said(0.2) == []


def test_the_remedy_depends_on_the_likelihood():
    assert "type=gaussian" in said(1.5, likelihood="student_t")[0]
    assert "svgp init" in said(1.5, likelihood="poisson")[0]
    assert said(1.5, likelihood="quantile") == []  # its prediction is no mean


def test_missing_targets_and_columns_that_repeat_are_no_trouble():
    train, test = rows(400, 0), rows(200, 1)
    train.Y[::7], test.Y[::5] = np.nan, np.nan
    twice = [
        ArrayRows(np.hstack([part.X, part.X, np.ones((part.count, 1))]), part.Y) for part in (train, test)
    ]
    assert "RMSE 1" in said(1.5, *twice)[0] or "RMSE 0.9" in said(1.5, *twice)[0]


def test_a_table_that_is_sorted_is_seen_from_end_to_end(monkeypatch):
    # The first rows alone have x near its minimum, from where a line of this curve leads far astray.
    monkeypatch.setattr("svgp.runs.baselines.ROWS", 100)
    x = np.linspace(-1.0, 1.0, 1000)[:, None]
    bent = ArrayRows(x, np.maximum(x, 0.0))
    assert float(said(9.0, bent, bent)[0].split("RMSE ")[1].split()[0]) < 2.0


def test_scores_without_an_error_in_units_are_left_alone():
    assert on_linear_regression({}, COLUMNS, rows(9, 0), rows(9, 1), likelihood="bernoulli") == []
    assert on_linear_regression({"test.rmse": 9.0}, COLUMNS, rows(9, 0), None, likelihood="gaussian") == []
