"""The predictive log-likelihood objective: closed form, Monte Carlo, finite differences, Jensen."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import tensorflow as tf

from svgp import kernels, likelihoods
from svgp.errors import ModelError
from svgp.models import SVGP
from svgp.models.bounds import require_elbo
from svgp.parameters import named_variables

LIKELIHOODS = ["gaussian", "student_t", "probit", "logit", "poisson"]


@pytest.mark.parametrize("latents", [1, 3])
@pytest.mark.parametrize("whiten", [False, True])
def test_for_gaussian_noise_it_is_the_closed_form(latents, whiten, small_model):
    """N/B sum_n log N(y_n | m_n, v_n + s2) - KL, written out."""
    model, (X, Y) = small_model(latents=latents, whiten=whiten, bound="ppgpr", mean="linear")
    mean, variance = (np.asarray(x) for x in model.predict_f(X))
    total = variance + np.asarray(tf.convert_to_tensor(model.likelihood.variance))
    log_density = -0.5 * (np.log(2.0 * np.pi * total) + (Y - mean) ** 2 / total)
    expected = 40 / 9 * log_density.sum() - float(model.kl())
    np.testing.assert_allclose(model.objective((X, Y)), expected, rtol=1e-10)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_it_is_what_monte_carlo_says(likelihood, small_model):
    model, (X, Y) = small_model(likelihood, bound="ppgpr", rows=4, num_data=4)
    mean, variance = (np.asarray(x)[:, 0] for x in model.predict_f(X))
    rng, count = np.random.default_rng(0), 100_000
    F = mean + np.sqrt(variance) * rng.normal(size=(count, 4))
    log_density = np.asarray(model.likelihood.log_prob(F.reshape(-1, 1), np.tile(Y, (count, 1))))
    density = np.exp(log_density).reshape(count, 4)
    estimate = np.log(density.mean(0)).sum() - float(model.kl())
    error = np.sqrt(np.sum((density.std(0) / density.mean(0)) ** 2) / count)
    assert abs(float(model.objective((X, Y))) - estimate) < 5.0 * error
    assert error < 0.02


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_every_gradient_is_that_of_finite_differences(likelihood, small_model, slopes):
    whiten = LIKELIHOODS.index(likelihood) % 2 == 0
    model, data = small_model(likelihood, latents=2, whiten=whiten, bound="ppgpr", mean="constant")
    found = slopes(lambda: model.objective(data), named_variables(model))
    for name, (gradient, difference) in found.items():
        np.testing.assert_allclose(gradient, difference, rtol=5e-7, atol=5e-7, err_msg=name)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_it_is_never_below_the_elbo_which_is_the_standard_bound(likelihood, small_model):
    """Jensen's inequality on 20 random problems for each of five likelihoods, at random q(u)."""
    model, (X, Y) = small_model(likelihood, latents=2, bound="ppgpr")
    standard, _ = small_model(likelihood, latents=2)
    both = tf.function(lambda X, Y: (*model.elbo_parts((X, Y)), standard.elbo((X, Y))), autograph=False)
    rng = np.random.default_rng(1)
    for _ in range(20):
        for name, variable in named_variables(model).items():
            value = variable + rng.normal(size=variable.shape) * (0.3 if name == "q_sqrt" else 0.7)
            variable.assign(tf.linalg.band_part(value, -1, 0) if name == "q_sqrt" else value)
            named_variables(standard)[name].assign(variable)
        parts = both(X + rng.normal(size=X.shape), Y)
        elbo, objective, other = float(parts[0]), float(parts[5]), float(parts[6])
        assert elbo == pytest.approx(other, rel=1e-12)
        assert objective >= elbo - 1e-9 * abs(elbo)


@pytest.mark.parametrize("bound", ["standard", "tight"])
def test_for_a_bound_the_objective_is_the_elbo(bound, small_model):
    model, data = small_model("poisson", bound=bound)
    parts = model.elbo_parts(data)
    assert parts.objective is parts.elbo
    assert float(model.objective(data)) == float(model.elbo(data))


@pytest.mark.parametrize("likelihood", ["gaussian", "poisson"])
def test_minibatches_average_to_the_whole(likelihood, small_model):
    model, (X, Y) = small_model(likelihood, rows=12, num_data=12, bound="ppgpr")
    parts = [model.objective((X[rows], Y[rows])) for rows in np.split(np.arange(12), 4)]
    np.testing.assert_allclose(np.mean(parts), model.objective((X, Y)), rtol=1e-12)


def test_objective_and_elbo_come_from_one_pass_over_the_kernel(small_model, monkeypatch):
    model, data = small_model(bound="ppgpr")
    module, calls = importlib.import_module("svgp.models.svgp"), []
    marginals = module.marginals
    monkeypatch.setattr(module, "marginals", lambda *a, **k: calls.append(1) or marginals(*a, **k))
    parts = model.elbo_parts(data)
    assert len(calls) == 1 and parts.objective > parts.elbo


def test_predictions_are_those_of_any_svgp(small_model):
    model, (X, Y) = small_model(bound="ppgpr")
    standard, _ = small_model()
    for ours, theirs in zip(model.predict_y(X), standard.predict_y(X), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(model.predict_log_density((X, Y)), standard.predict_log_density((X, Y)))


def test_methods_that_maximise_the_elbo_can_ask(small_model):
    model = SVGP(kernels.Matern32(), likelihoods.Gaussian(), np.zeros((3, 2)), bound="ppgpr")
    with pytest.raises(
        ModelError, match="natgrad looks for the q.u. of the highest ELBO.*train.method: adam"
    ):
        require_elbo(model, "natgrad")
    require_elbo(small_model()[0], "natgrad")
