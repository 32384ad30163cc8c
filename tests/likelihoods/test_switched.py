"""Each output under a likelihood of its own: the sum of what the parts say."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from svgp.config import Config
from svgp.data import load_dataset
from svgp.errors import ConfigError, DataError, ModelError
from svgp.likelihoods import Bernoulli, Gaussian, Laplace, StudentT, Switched
from svgp.models import build_model, load_model, save_model
from svgp.runs.evaluation import Evaluator
from svgp.runs.outcomes.numbers import Numbers

RNG = np.random.default_rng(3)
MEAN, VARIANCE, Y = RNG.normal(size=(6, 3)), RNG.uniform(0.1, 1.0, (6, 3)), RNG.normal(size=(6, 3))
PARTS = (Gaussian(0.3), StudentT(0.4, 4.0), Laplace(0.7))


def test_each_number_is_that_of_the_part():
    whole = Switched(PARTS)
    for name in ("expected_log_likelihood", "predict_log_density"):
        apart = sum(
            getattr(part, name)(MEAN[:, p : p + 1], VARIANCE[:, p : p + 1], Y[:, p]).numpy()
            for p, part in enumerate(PARTS)
        )
        np.testing.assert_allclose(getattr(whole, name)(MEAN, VARIANCE, Y), apart, rtol=1e-12)
    np.testing.assert_allclose(
        whole.log_prob(MEAN, Y),
        sum(part.log_prob(MEAN[:, p : p + 1], Y[:, p]).numpy() for p, part in enumerate(PARTS)),
    )
    moments, quantiles = (
        whole.predict_mean_and_var(MEAN, VARIANCE),
        whole.predict_quantiles(MEAN, VARIANCE, [0.1, 0.9]),
    )
    assert quantiles.shape == (6, 3, 2)
    for p, part in enumerate(PARTS):
        own = MEAN[:, p : p + 1], VARIANCE[:, p : p + 1]
        for ours, theirs in zip(moments, part.predict_mean_and_var(*own), strict=True):
            np.testing.assert_allclose(ours[:, p : p + 1], theirs, rtol=1e-12)
        np.testing.assert_allclose(
            quantiles[:, p : p + 1], part.predict_quantiles(*own, [0.1, 0.9]), rtol=1e-9
        )
    assert len(whole.trainable_variables) == 3


def test_a_missing_target_counts_for_nothing():
    some = Y.copy()
    some[2, 1] = np.nan
    with_it, without = (Switched(PARTS).expected_log_likelihood(MEAN, VARIANCE, y).numpy() for y in (Y, some))
    own = PARTS[1].expected_log_likelihood(MEAN[2:3, 1:2], VARIANCE[2:3, 1:2], Y[2:3, 1]).numpy()
    np.testing.assert_allclose(with_it[2] - without[2], own[0])
    np.testing.assert_array_equal(np.delete(with_it, 2), np.delete(without, 2))


def test_what_does_not_go_together_is_refused():
    with pytest.raises(ModelError, match="Bernoulli cannot be one of several"):
        Switched([Gaussian(0.1), Bernoulli()])
    with pytest.raises(ModelError, match="function values have shape"):
        Switched(PARTS).log_prob(MEAN[:, :2], Y[:, :2])
    for part in ({"type": "bernoulli"}, {"type": "heteroskedastic"}):
        with pytest.raises(ConfigError, match=f"'{part['type']}' cannot be one of several"):
            config_of([{"type": "gaussian"}, part])


def config_of(parts, path="/nowhere.csv"):
    return Config.from_dict(
        {
            "data": {"path": str(path), "target": ["a", "b"]},
            "model": {"likelihood": {"type": "switched", "parts": parts}, "inducing": {"count": 5}},
        }
    )


class Columns:
    input_names, input_mean, input_scale, classes = ("x", "z"), 0.0, 1.0, None

    def to_dict(self):
        return {}


def test_from_a_config_and_back(tmp_path):
    config = config_of([{"type": "gaussian"}, {"type": "student_t", "df": 3.0}])
    X, targets = RNG.normal(size=(30, 2)), RNG.normal(size=(30, 2)) * [1.0, 3.0]
    model, _ = build_model(config.model, X, targets, columns=Columns())
    gaussian, student = model.likelihood.parts
    assert student.df == 3.0
    np.testing.assert_allclose(np.ravel(gaussian.noise_variance()), 0.1 * targets[:, 0].var(), rtol=1e-6)
    assert float(np.ravel(student.scale)[0]) > 2 * float(np.ravel(gaussian.noise_variance())[0]) ** 0.5
    assert np.isfinite(float(model.elbo((X, targets))))
    save_model(tmp_path / "m", model, config.model, columns=Columns(), precision="float64")
    again, _ = load_model(tmp_path / "m")
    np.testing.assert_array_equal(model.elbo((X, targets)), again.elbo((X, targets)))
    with pytest.raises(ModelError, match="2 likelihoods for 1 targets"):
        build_model(config.model, X, targets[:, :1], columns=Columns())


def test_a_number_and_a_count(tmp_path):
    """Each target is checked and scaled by its own task, and has a kernel and a start of its own."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0.0, 1.0, 200)
    columns = {
        "x": x,
        "a": 50.0 + 10.0 * np.sin(6 * x) + rng.normal(size=200),
        "b": rng.poisson(np.exp(6 + x)),
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    config = config_of([{"type": "gaussian"}, {"type": "poisson"}], tmp_path / "t.parquet")
    data = load_dataset(config.data, config.model.likelihood)
    assert data.columns.task == "regression+count"
    np.testing.assert_allclose(data.columns.target_scale[1], 1.0)
    assert abs(data.Y[:, 0].mean()) < 1e-9 and np.all(data.Y[:, 1] == np.round(data.Y[:, 1]))
    model, _ = build_model(config.model, data.X, data.Y, columns=data.columns)
    number, count = model.kernel.kernels
    low, high = (float(kernel.K_diag(data.X[:1])[0]) for kernel in (number, count))
    assert low < 2.0 < 30.0 < high  # log rates near 6.5
    np.testing.assert_allclose(model.predict_f(data.X)[0][:, 1], np.log(columns["b"].mean()), atol=0.5)
    found = Numbers().score(Evaluator(model), data.columns, data.X, data.Y)
    assert {"coverage_90", "rmse_a", "rmse_b"} <= set(found) and np.isfinite(found["nlpd"])
    save_model(tmp_path / "m", model, config.model, columns=data.columns, precision="float64")
    again, _ = load_model(tmp_path / "m")
    np.testing.assert_array_equal(model.elbo((data.X, data.Y)), again.elbo((data.X, data.Y)))
    columns["b"] = columns["b"] + 0.5
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    with pytest.raises(DataError, match="target 'b' has a fraction"):
        load_dataset(config.data, config.model.likelihood)
