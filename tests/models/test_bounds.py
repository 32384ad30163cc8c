"""How the residual variance enters the bound."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from svgp.models.bounds import BOUNDS


def test_there_are_two_bounds_and_an_objective():
    assert BOUNDS == ("standard", "tight", "ppgpr")


@pytest.mark.parametrize("likelihood", ["student_t", "probit", "poisson"])
def test_a_residual_scale_of_one_is_the_standard_bound(likelihood, small_model):
    standard, data = small_model(likelihood, latents=2)
    tight, _ = small_model(likelihood, latents=2, bound="tight")
    assert not hasattr(standard, "residual_scale")
    np.testing.assert_allclose(tight.residual_scale, [1.0, 1.0], rtol=1e-15)
    np.testing.assert_allclose(tight.elbo(data), standard.elbo(data), rtol=1e-13)


@pytest.mark.parametrize("num_data", [None, 40])
def test_every_row_of_the_data_set_pays_for_the_residual_scale(num_data, small_model):
    model, (X, Y) = small_model("poisson", latents=2, bound="tight", num_data=num_data)
    v = np.array([0.5, 2.0])
    model.residual_scale.assign(v)
    q = model.marginals(X)
    rows = model.likelihood.expected_log_likelihood(q.mean, q.explained + v * q.residual, Y)
    price = 0.5 * np.sum(v - np.log(v) - 1.0)
    expected = (num_data or len(X)) * (np.mean(rows) - price)
    np.testing.assert_allclose(model.elbo_parts((X, Y)).expected_log_likelihood, expected, rtol=1e-10)


def test_the_best_residual_scale_for_gaussian_noise_is_the_closed_form(small_model):
    """v = s2 / (s2 + d) for each row makes the generic bound the one that prices log(1 + d / s2) / 2."""
    model, (X, Y) = small_model(bound="tight", rows=1, num_data=1)
    q = model.marginals(X)
    d, noise = float(q.residual[0, 0]), float(tf.convert_to_tensor(model.likelihood.variance))
    v = noise / (noise + d)
    generic = model.likelihood.expected_log_likelihood(q.mean, q.explained + v * q.residual, Y)
    generic -= 0.5 * (v - np.log(v) - 1.0)
    np.testing.assert_allclose(model.elbo_parts((X, Y)).expected_log_likelihood, generic[0], rtol=1e-12)


def test_the_tight_bound_prices_every_output_by_its_own_noise(small_model):
    tight, data = small_model(latents=3, bound="tight")
    standard, _ = small_model(latents=3)
    d = standard.marginals(data[0]).residual / tf.convert_to_tensor(standard.likelihood.variance)
    gain = 0.5 * tf.reduce_sum(d - tf.math.log1p(d))
    np.testing.assert_allclose(tight.elbo(data) - standard.elbo(data), 40 / 9 * gain, rtol=1e-9)
    assert gain > 0
