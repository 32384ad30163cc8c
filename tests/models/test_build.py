"""From a config to a model that is ready to train."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from svgp import kernels
from svgp.config.model import ModelConfig
from svgp.models.build import FLOAT32_JITTER, build_model


def columns(count=3):
    return SimpleNamespace(
        input_names=[f"x{d}" for d in range(count)], input_mean=np.zeros(count), input_scale=np.ones(count)
    )


def built(precision="float64", outputs=1, seed=0, scale=1.0, **settings):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 3))
    Y = scale * (np.sin(X[:, :1] + np.arange(outputs)) + 0.1 * rng.normal(size=(120, outputs)))
    settings = {"inducing": {"count": 10}, **settings}
    config = ModelConfig.model_validate(settings)
    model, notes = build_model(config, X, Y, columns=columns(), seed=seed, precision=precision)
    return model, (X, Y), notes


@pytest.mark.parametrize("posterior", ["full", "diagonal"])
@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("outputs", [1, 2])
def test_q_starts_at_the_prior(posterior, whiten, outputs):
    model, data, _ = built(posterior={"type": posterior, "whiten": whiten}, outputs=outputs)
    assert model.num_latent == outputs and model.num_data == 120
    if posterior == "full" or whiten:
        np.testing.assert_allclose(model.kl(), 0.0, atol=1e-9)
    else:  # the best diagonal: every factor of two away from it costs
        best = float(model.kl())
        for factor in (0.5, 2.0):
            model.q_sqrt.assign(factor * model.q_sqrt)
            assert float(model.kl()) > best
            model.q_sqrt.assign(model.q_sqrt / factor)
    assert np.isfinite(model.elbo(data))


@pytest.mark.parametrize(
    "settings", [{}, {"posterior": {"whiten": True}}, {"posterior": {"type": "diagonal"}}]
)
@pytest.mark.parametrize("rate", [1e5, 2.0])
def test_counts_start_at_their_level(settings, rate):
    """At the prior, whose variance counts near 1e5 make 133, q would expect rates of exp(66)."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    Y = rng.poisson(rate * np.exp(0.3 * np.sin(2 * X[:, :1]))).astype(float)
    config = ModelConfig.model_validate(
        {"likelihood": {"type": "poisson"}, "inducing": {"count": 30}, **settings}
    )
    model, _ = build_model(config, X, Y, columns=columns())
    expected = model.predict_y(X)[0].numpy()
    assert rate / 10 < np.median(expected) < 10 * rate
    assert float(model.elbo((X, Y))) / 200 > -10 * rate
    if rate < 10 and not model.q_diag:
        assert float(model.kl()) == pytest.approx(0.0, abs=1e-9)  # the prior itself


@pytest.mark.parametrize(
    ("precision", "parameters", "batch"),
    [
        ("float64", tf.float64, tf.float64),
        ("float32", tf.float32, tf.float32),
        ("mixed", tf.float64, tf.float32),
    ],
)
def test_precision_is_that_of_every_part(precision, parameters, batch):
    model, data, _ = built(precision, mean="linear", likelihood={"type": "student_t"}, bound="tight")
    assert {variable.dtype for variable in model.variables} == {parameters}
    assert (model.dtype, model.batch_dtype) == (parameters, batch)
    assert model.elbo(data).dtype == parameters and np.isfinite(model.elbo(data))
    assert int(model.elbo_parts(data).repairs) == 0


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_jitter_is_relative_to_the_prior_variance(scale):
    model, _, _ = built(scale=scale)
    mean_diagonal = np.mean(np.diag(model.Kuu()))
    np.testing.assert_allclose(model.jitter, 1e-6 * mean_diagonal, rtol=1e-9)
    for precision in ("float32", "mixed"):
        model, _, _ = built(precision, scale=scale)
        np.testing.assert_allclose(model.jitter, FLOAT32_JITTER * mean_diagonal, rtol=1e-5)
    model, _, _ = built(jitter=1e-4, kernel={"type": "linear"})
    np.testing.assert_allclose(model.jitter, 1e-4 * np.mean(np.diag(model.Kuu())), rtol=1e-9)


def test_config_reaches_the_model():
    model, _, notes = built(
        kernel={"sum": [{"type": "matern52", "variance": 2.0, "lengthscales": 3.0}, {"type": "constant"}]},
        inducing={"count": 7, "init": "random", "trainable": False},
        bound="tight",
        posterior={"type": "diagonal", "whiten": True},
    )
    assert isinstance(model.kernel, kernels.Sum) and isinstance(model.kernel.kernels[0], kernels.Matern52)
    np.testing.assert_allclose(model.kernel.kernels[0].variance, 2.0)
    assert model.num_inducing == 7 and not model.Z.trainable and model.Z is not None
    assert (model.bound.name, model.q_diag, model.whiten) == ("tight", True, True)
    assert all(variable is not model.Z for variable in model.trainable_variables)
    assert isinstance(notes, list)


def test_a_seed_gives_one_model():
    first, again, other = (built(seed=seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.Z, again.Z)
    np.testing.assert_array_equal(first.q_sqrt, again.q_sqrt)
    assert not np.array_equal(first.Z, other.Z)
