"""How the residual variance enters the bound."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from svgp.models.bounds import BOUNDS


def test_there_are_two_bounds_and_an_objective():
    assert tuple(BOUNDS) == ("standard", "tight", "ppgpr")


@pytest.mark.parametrize("likelihood", ["student_t", "probit", "poisson"])
def test_a_residual_scale_of_one_is_the_standard_bound(likelihood, small_model):
    standard, data = small_model(likelihood, latents=2)
    tight, _ = small_model(likelihood, latents=2, bound="tight")
    assert standard.residual_scale is None
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


@pytest.mark.parametrize("likelihood", ["student_t", "probit", "logit", "poisson"])
def test_lower_bounds_are_in_order_for_other_likelihoods(likelihood, small_model):
    """standard <= tight at its best v, and tight <= evidence at any v: 20 problems each, three rows.

    The evidence of three rows is an integral over f in three dimensions, here by 32^3 Gauss-Hermite nodes.
    """
    rng = np.random.default_rng(2)
    nodes, weights = np.polynomial.hermite_e.hermegauss(32)
    grid = np.stack(np.meshgrid(nodes, nodes, nodes, indexing="ij"), -1).reshape(-1, 3)
    log_weights = np.log(np.prod(np.meshgrid(weights, weights, weights), 0).ravel()) - 1.5 * np.log(2 * np.pi)
    standard, _ = small_model(likelihood, inducing=2, rows=3, num_data=3)
    tight, (X, Y) = small_model(likelihood, inducing=2, rows=3, num_data=3, bound="tight")
    log_prob = tf.function(tight.likelihood.log_prob, autograph=False)
    bounds = tf.function(lambda X, Y: (standard.elbo((X, Y)), tight.elbo((X, Y))), autograph=False)
    better = []
    for _ in range(20):
        shift = rng.normal(size=3)
        for model in (standard, tight):
            model.q_mean.assign(shift[None, :2])
            model.kernel.variance.assign(np.exp(0.5 * shift[2]))
        X = rng.normal(size=(3, 2))
        F = grid @ np.linalg.cholesky(tight.kernel.K(X).numpy()).T  # [nodes, 3]
        joint = sum(log_prob(F[:, n : n + 1], np.full((len(F), 1), Y[n, 0])) for n in range(3))
        evidence = float(tf.reduce_logsumexp(log_weights + joint))
        found = []
        for v in (0.05, 0.2, 0.5, 0.8, 1.0, 1.5):
            tight.residual_scale.assign(np.array([v]))
            lower, higher = bounds(tf.constant(X), tf.constant(Y))
            found.append(float(higher))
        assert max(found) <= evidence + 1e-6
        assert float(lower) == pytest.approx(found[4], rel=1e-12)  # and so not above the best
        better.append(max(found) > found[4])
    assert any(better)  # v = 1 is not always it
