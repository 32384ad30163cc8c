"""Predictions of transformed targets in original units: against SciPy's log-normal, and as densities."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
import scipy.integrate
import scipy.stats
import tensorflow as tf

from svgp import kernels, likelihoods
from svgp.data import Columns
from svgp.models import SVGP
from svgp.models.predictive import Predictive
from svgp.runs.evaluation import Evaluator
from svgp.runs.export import export
from svgp.runs.outcomes import predict, score

RNG = np.random.default_rng(2)
TABLE = pa.table({"x": RNG.random(200), "y": np.exp(0.8 * RNG.standard_normal(200)) + 0.1})


def make_run(transform: str) -> SimpleNamespace:
    columns = Columns.fit(TABLE, task="regression", inputs=["x"], targets=["y"], transform=transform)
    model = SVGP(
        kernels.Matern32(0.7, 1.0), likelihoods.Gaussian(0.2), RNG.standard_normal((5, 1)), num_data=200,
        q_mean=0.5 * RNG.standard_normal((1, 5)), q_sqrt=0.3 * np.eye(5)[None], whiten=True,
    )  # fmt: skip
    X, Y = columns.transform_inputs(TABLE), columns.transform_targets(TABLE)
    parts = {"model": model, "columns": columns, "X": X, "Y": Y}
    return SimpleNamespace(**parts, evaluator=Evaluator(model), predictive=Predictive(model))


def test_the_logarithm_gives_log_normal_predictions():
    run = make_run("log")
    mean, variance = (part[:, 0] for part in run.evaluator.latent(run.X))
    shift, scale = run.columns.target_mean[0], run.columns.target_scale[0]
    s = scale * np.sqrt(variance + 0.2)
    truth = scipy.stats.lognorm(s, scale=np.exp(shift + scale * mean))
    said = predict(run.evaluator, run.columns, run.X)
    np.testing.assert_allclose(said.mean, truth.mean(), rtol=1e-8)
    np.testing.assert_allclose(said.std, truth.std(), rtol=1e-6)
    levels = np.array(said.levels)[:, None]
    np.testing.assert_allclose(said.quantiles.T, truth.ppf(levels), rtol=1e-9)
    y = TABLE["y"].to_numpy()
    found = score(run.evaluator, run.columns, run.X, run.Y)
    np.testing.assert_allclose(found["nlpd"], -truth.logpdf(y).mean(), rtol=1e-9)
    np.testing.assert_allclose(found["rmse"], np.sqrt(np.mean((truth.mean() - y) ** 2)), rtol=1e-7)
    inside = (truth.ppf(0.25) <= y) & (y <= truth.ppf(0.75))
    np.testing.assert_allclose(found["coverage_50"], inside.mean(), rtol=1e-12)


@pytest.mark.parametrize("transform", ["log", "quantile"])
def test_the_density_integrates_to_one_and_its_mean_is_the_mean(transform):
    run = make_run(transform)
    X = run.X[:1]

    def density(y: np.ndarray) -> np.ndarray:
        Y = run.columns.transform_targets(pa.table({"y": y}))
        latent = (np.repeat(part, len(Y), axis=0) for part in run.evaluator.latent(X))
        log_density = run.model.likelihood.predict_log_density(*latent, Y).numpy()
        return np.exp(log_density + run.columns.log_slope(Y)[:, 0])

    said = predict(run.evaluator, run.columns, X, [1e-7, 1 - 1e-7])
    grid = np.linspace(*said.quantiles[0], 1001)
    values = density(grid)
    assert abs(scipy.integrate.trapezoid(values, grid) - 1) < 0.01
    np.testing.assert_allclose(scipy.integrate.trapezoid(values * grid, grid), said.mean[0], rtol=0.01)


@pytest.mark.parametrize("transform", ["log", "quantile"])
def test_the_saved_model_says_the_same(transform, tmp_path):
    run = make_run(transform)
    said = predict(run.evaluator, run.columns, run.X)
    served = tf.saved_model.load(str(export(run, tmp_path / "s"))).signatures["serving_default"]
    got = served(inputs=tf.constant(TABLE["x"].to_numpy()[:, None]))
    for name in ("mean", "std", "quantiles"):
        np.testing.assert_allclose(np.asarray(got[name])[:, 0], getattr(said, name), rtol=1e-7, err_msg=name)
