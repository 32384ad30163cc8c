"""Each output under a likelihood of its own: the sum of what the parts say."""

from __future__ import annotations

import numpy as np
import pytest

from svgp.config import Config
from svgp.errors import ConfigError, ModelError
from svgp.likelihoods import Bernoulli, Gaussian, Laplace, StudentT, Switched
from svgp.models import build_model, load_model, save_model

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
    with pytest.raises(ConfigError, match="'poisson' is for another task"):
        config_of([{"type": "gaussian"}, {"type": "poisson"}])


def config_of(parts):
    return Config.from_dict(
        {
            "data": {"path": "/nowhere.csv", "target": ["a", "b"]},
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
