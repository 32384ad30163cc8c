"""Predictions of q(f): against dense formulas, the prior, and exact GP regression."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from svgp import kernels, likelihoods
from svgp.models import SVGP

STRUCTURES = [
    {},
    {"latents": 3, "separate": True, "mean": "linear"},
    {"latents": 3, "mean": "constant"},
    {"q_diag": True},
]


@pytest.mark.parametrize("structure", STRUCTURES, ids=str)
@pytest.mark.parametrize("whiten", [False, True])
def test_marginals_are_the_dense_formulas(structure, whiten, small_model):
    model, (X, _) = small_model(whiten=whiten, **structure)
    mean, covariance = model.predict_f(X, full_cov=True)
    Kuu, Kuf, Kff = (
        np.broadcast_to(K, (model.num_latent, *K.shape[-2:]))
        for K in (model.Kuu().numpy(), model.kernel.K(model.Z, X).numpy(), model.kernel.K(X).numpy())
    )
    for latent in range(model.num_latent):
        K = Kuu[latent] + model.jitter * np.eye(model.num_inducing)
        m, root = model.q_mean[latent].numpy(), model.q_root()[latent].numpy()
        if whiten:
            L = np.linalg.cholesky(K)
            m, root = L @ m, L @ root
        P = np.linalg.solve(K, Kuf[latent])  # [M, N]
        expected = Kff[latent] - Kuf[latent].T @ P + P.T @ root @ root.T @ P
        np.testing.assert_allclose(mean[:, latent], P.T @ m + model.mean(X)[:, latent], rtol=1e-9, atol=1e-10)
        np.testing.assert_allclose(covariance[latent], expected, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("structure", STRUCTURES, ids=str)
def test_the_diagonal_of_a_joint_covariance_is_the_marginal_variance(structure, small_model):
    model, (X, _) = small_model(**structure)
    for at in (X, model.Z.numpy(), np.concatenate([X, X])):
        mean, variance = model.predict_f(at)
        joint_mean, joint = model.predict_f(at, full_cov=True)
        np.testing.assert_array_equal(mean, joint_mean)
        np.testing.assert_array_equal(tf.linalg.diag_part(joint), tf.transpose(variance))
        np.testing.assert_allclose(joint, tf.linalg.matrix_transpose(joint), atol=1e-13)


@pytest.mark.parametrize(("dtype", "jitter"), [(tf.float32, 1e-2), (tf.float64, 1e-10)])
def test_no_variance_is_negative_where_the_inducing_points_say_all(dtype, jitter):
    rng = np.random.default_rng(0)
    Z = rng.uniform(-1, 1, (40, 1))  # 40 points within two lengthscales: the residual is all rounding
    model = SVGP(
        kernels.SquaredExponential(1e4, 1.0, dtype=dtype),
        likelihoods.Gaussian(0.1, dtype=dtype),
        Z,
        q_sqrt=1e-6 * np.eye(40),
        jitter=jitter,
    )
    X = np.concatenate([Z, rng.uniform(-1, 1, (200, 1))])
    q = model.marginals(X)
    for variance in (model.predict_f(X)[1], tf.linalg.diag_part(model.predict_f(X, full_cov=True)[1])):
        assert np.isfinite(variance).all() and np.min(variance) >= 0.0
    assert np.min(q.residual) >= 0.0 and np.min(q.explained) >= 0.0
    assert np.isfinite(model.predict_log_density((X, np.zeros(len(X))))).all()


@pytest.mark.parametrize("whiten", [False, True])
def test_far_from_everything_the_prediction_is_the_prior(whiten, small_model):
    model, _ = small_model(latents=3, separate=True, whiten=whiten, mean="constant")
    far = np.full((1, 2), 1e3)
    mean, variance = model.predict_f(far)
    np.testing.assert_allclose(mean[0], model.mean.value, rtol=1e-12)
    np.testing.assert_allclose(variance[0], model.kernel.variance, rtol=1e-12)
    noise = tf.convert_to_tensor(model.likelihood.variance)
    np.testing.assert_allclose(model.predict_y(far)[1][0], variance[0] + noise, rtol=1e-12)
    q = model.marginals(far)
    np.testing.assert_allclose(q.residual, q.prior, rtol=1e-12)


def test_with_all_points_inducing_it_is_exact_regression(set_optimal_q):
    rng = np.random.default_rng(0)
    X, y, at = rng.normal(size=(15, 2)), rng.normal(size=15), rng.normal(size=(7, 2))
    model = SVGP(kernels.Matern32(1.2, 0.8), likelihoods.Gaussian(0.1), X, jitter=1e-10)
    set_optimal_q(model, X, y)
    noisy = np.asarray(model.kernel.K(X)) + 0.1 * np.eye(15)
    cross, prior = np.asarray(model.kernel.K(X, at)), np.asarray(model.kernel.K(at))
    mean, covariance = model.predict_f(at, full_cov=True)
    np.testing.assert_allclose(mean[:, 0], cross.T @ np.linalg.solve(noisy, y), rtol=1e-6)
    np.testing.assert_allclose(covariance[0], prior - cross.T @ np.linalg.solve(noisy, cross), atol=1e-7)


@pytest.mark.parametrize("structure", STRUCTURES, ids=str)
@pytest.mark.parametrize("likelihood", ["gaussian", "poisson"])
def test_predictions_agree_with_the_bound(likelihood, structure, small_model):
    """The bound's own operation and the posterior's formulas give one and the same q(f)."""
    model, (X, Y) = small_model(likelihood, num_data=None, **structure)
    mean, variance = model.predict_f(X)
    expected = tf.reduce_sum(model.likelihood.expected_log_likelihood(mean, variance, Y))
    np.testing.assert_allclose(model.elbo_parts((X, Y)).expected_log_likelihood, expected, rtol=1e-9)


def test_a_posterior_is_a_snapshot(small_model):
    model, (X, _) = small_model(latents=3)
    posterior = model.posterior()
    for full in (False, True):
        for got, expected in zip(posterior.predict_f(X, full), model.predict_f(X, full), strict=True):
            np.testing.assert_array_equal(got, expected)
    before = posterior.predict_f(X)[0]
    model.q_mean.assign(2.0 * model.q_mean)
    np.testing.assert_array_equal(posterior.predict_f(X)[0], before)
    np.testing.assert_allclose(model.predict_f(X)[0], 2.0 * before, rtol=1e-12)


def test_a_prediction_is_differentiable_in_its_inputs(small_model):
    model, (X, _) = small_model()
    posterior, x = model.posterior(), tf.constant(X)
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.add_n([tf.reduce_sum(part) for part in posterior.predict_f(x)])
    gradient, step = tape.gradient(total, x), 1e-6 * np.random.default_rng(0).normal(size=X.shape)

    def at(x):
        return sum(float(tf.reduce_sum(part)) for part in posterior.predict_f(x))

    np.testing.assert_allclose(np.sum(gradient * step), (at(X + step) - at(X - step)) / 2, rtol=1e-6)
