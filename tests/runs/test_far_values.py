"""A run on inputs with values far outside the rest: the same from predict, export and slopes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
import tensorflow as tf

import svgp
from svgp.runs.export import export

RNG = np.random.default_rng(5)
ROWS = 400
X = RNG.standard_normal((ROWS, 2))
X[RNG.random(ROWS) < 0.1, 0] *= 1e4
Y = np.where(np.abs(X[:, 0]) > 10.0, 0.0, np.sin(2.0 * X[:, 0])) + X[:, 1] + 0.1 * RNG.standard_normal(ROWS)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("far")
    pyarrow.csv.write_csv(pa.table({"a": X[:, 0], "b": X[:, 1], "y": Y}), folder / "t.csv")
    (folder / "c.yaml").write_text(
        "data: {path: t.csv, target: y}\nmodel: {inducing: {count: 30}, neighbours: {count: 0}}\n"
        "train: {max_steps: 25}\n"
    )
    return svgp.train(folder / "c.yaml", run_dir=folder / "run")


def test_the_bulk_is_learned(run):
    """Without it predictions are the mean: RMSE .86."""
    assert run.metrics["test.rmse"] < 0.5


def test_points_are_shown_in_the_units_of_the_table(run):
    Z = run.unscale_inputs(run.inducing_inputs())
    assert np.abs(Z[:, 0]).max() > 100.0 and np.median(np.abs(Z[:, 0])) < 10.0


def test_a_saved_model_says_what_the_run_says(run, tmp_path):
    served = tf.saved_model.load(str(export(run, tmp_path / "served")))
    found = served.signatures["serving_default"](inputs=tf.constant(X[:50]))
    wanted = run.predict({"a": X[:50, 0], "b": X[:50, 1]})
    np.testing.assert_allclose(found["mean"].numpy()[:, 0], wanted.mean, atol=1e-8)
    np.testing.assert_allclose(found["std"].numpy()[:, 0], wanted.std, rtol=1e-6)


def test_slopes_are_by_the_units_of_the_table(run):
    rows = X[np.abs(X[:, 0]) < 2.0][:20]
    step = np.array([1e-4, 0.0])
    above, below = (run.predict({"a": x[:, 0], "b": x[:, 1]}).mean for x in (rows + step, rows - step))
    found = run.gradient({"a": rows[:, 0], "b": rows[:, 1]})[:, 0]
    difference = (above - below) / 2e-4
    assert np.median(np.abs(found - difference)) < 1e-4 * np.abs(difference).max()
    far = np.array([[2e4, 0.0]])
    assert abs(run.gradient({"a": far[:, 0], "b": far[:, 1]})[0, 0]) < 1e-3
