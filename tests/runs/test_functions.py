"""Draws, joint covariances and slopes of a run, in original units."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from svgp.data import read_table
from svgp.errors import ModelError
from svgp.runs.functions import Sampler

ROWS = {"x": [0.0, 1.0, -1.5], "z": [150.0, 250.0, 180.0], "colour": ["red", "green", "red"]}


def test_draws_spread_as_the_function_does_in_original_units(regression):
    draws = regression.sample(ROWS, 3000, seed=2)
    joint = regression.covariance(ROWS)
    assert draws.shape == (3000, 3) and joint.shape == (3, 3)
    said = regression.predict(ROWS)
    noise = float(np.asarray(regression.model.likelihood.variance)) * regression.columns.target_scale[0] ** 2
    mean, variance = regression.evaluator.latent(regression.columns.transform_inputs(pa.table(ROWS)))
    np.testing.assert_allclose(np.diag(joint), variance[:, 0] * regression.columns.target_scale[0] ** 2)
    assert noise > 0
    error = np.sqrt(np.diag(joint) / 3000)
    assert np.all(np.abs(draws.mean(axis=0) - regression.columns.unscale_mean(mean)[:, 0]) < 4 * error)
    assert np.all(np.abs(draws.mean(axis=0) - said.mean) < said.std)
    np.testing.assert_allclose(np.cov(draws.T), joint, atol=0.12 * joint.max())


def test_a_sampler_gives_the_same_functions_to_a_table_in_pieces(regression, tables, tmp_path):
    table = read_table(tables["regression"], text=["colour"])
    assert regression.predict_file(tables["regression"], tmp_path / "out.csv", samples=2, seed=3) == 60
    written = read_table(tmp_path / "out.csv")
    expected = regression.sample(table, 2, seed=3)
    for number in range(2):
        np.testing.assert_allclose(written[f"y_sample_{number + 1}"], expected[number], rtol=1e-9)
    X = regression.columns.transform_inputs(table)
    draw = Sampler(regression, 2, seed=3)
    np.testing.assert_allclose(np.concatenate([draw(X[:7]), draw(X[7:])], axis=1), expected, rtol=1e-9)


def test_slopes_are_those_of_the_predicted_mean(regression):
    slopes = regression.gradient(ROWS)
    assert slopes.shape == (3, 4)  # x, z, colour=green, colour=red
    for column, step in (("x", 1e-4), ("z", 1e-2)):
        up, down = ({**ROWS, column: np.asarray(ROWS[column]) + h} for h in (step, -step))
        difference = (regression.predict(up).mean - regression.predict(down).mean) / (2 * step)
        place = regression.columns.input_names.index(column)
        np.testing.assert_allclose(slopes[:, place], difference, rtol=1e-5, atol=1e-6 * np.abs(slopes).max())


def test_classes_have_draws_and_slopes_of_their_probability(make_config, no_plots):
    import svgp

    run = svgp.train(make_config("binary", max_steps=2))
    rows = {"x": [0.5, -1.0], "z": [150.0, 250.0]}
    draws = run.sample(rows, 400)
    assert draws.shape == (400, 2) and draws.min() >= 0 and draws.max() <= 1
    np.testing.assert_allclose(draws.mean(axis=0), run.predict(rows).probability, atol=0.1)
    up, down = ({**rows, "x": np.asarray(rows["x"]) + h} for h in (1e-4, -1e-4))
    difference = (run.predict(up).probability - run.predict(down).probability) / 2e-4
    np.testing.assert_allclose(run.gradient(rows)[:, 0], difference, rtol=1e-5)
    with pytest.raises(ModelError, match="0 draws"):
        run.sample(rows, 0)


def test_partial_dependence_is_the_mean_prediction_with_one_input_set(regression):
    from svgp.runs.dependence import partial_dependence

    found = {one.name: one for one in partial_dependence(regression, rows=7)}
    assert set(found) == set(regression.columns.input_names)
    assert found["colour=red"].grid.tolist() == [0.0, 1.0]  # a category's values, not a grid between them
    assert found["z"].curves.shape == (7, 24) and 100 <= found["z"].grid.min() < found["z"].grid.max() <= 300
    X = regression.dataset.X[np.random.default_rng(0).permutation(len(regression.dataset.X))[:7]].copy()
    x = regression.columns.input_names.index("x")
    X[:, x] = (found["x"].grid[5] - regression.columns.input_mean[x]) / regression.columns.input_scale[x]
    np.testing.assert_allclose(regression.predict_scaled(X).mean, found["x"].curves[:, 5], rtol=1e-9)
