"""Mixtures of latent GPs, against GPflow and in plain matrices."""

from __future__ import annotations

import gpflow
import numpy as np
import pytest
import tensorflow as tf

from svgp import kernels, likelihoods, means
from svgp.errors import ModelError
from svgp.models import SVGP
from svgp.models.outputs import Coregion, Mixing, principal_weights
from svgp.models.pathwise import FunctionDraws

RNG = np.random.default_rng(6)
M, L, P, N = 7, 2, 3, 11
Z, X = RNG.normal(size=(M, 2)), RNG.normal(size=(N, 2))
Y = RNG.normal(size=(N, P))
W = RNG.normal(size=(P, L))
Q_MEAN, Q_SQRT = RNG.normal(size=(L, M)), np.tril(0.2 * RNG.normal(size=(L, M, M)), -1) + 0.5 * np.eye(M)
VARIANCES, LENGTHSCALES = [1.2, 0.7], [[0.8, 1.3], [0.5, 2.0]]


def model_of(outputs=None, *, bound="standard", likelihood=None, **options) -> SVGP:
    parts = zip(VARIANCES, LENGTHSCALES, strict=True)
    kernel = kernels.Separate([kernels.Matern52(v, scales) for v, scales in parts])
    outputs = Mixing(W) if outputs is None else outputs
    likelihood = likelihood or likelihoods.Gaussian([0.2, 0.3, 0.4])
    return SVGP(
        kernel, likelihood, Z, num_data=40, q_mean=Q_MEAN, q_sqrt=Q_SQRT, outputs=outputs, bound=bound,
        mean=means.Constant([0.1, -0.2, 0.3]), **options,
    )  # fmt: skip


def test_elbo_and_gradients_are_those_of_gpflow():
    """GPflow 2's LinearCoregionalization with shared inducing points, equal parameters, one noise."""
    mine = model_of(likelihood=likelihoods.Gaussian(0.3), whiten=True, jitter=1e-6)
    parts = zip(VARIANCES, LENGTHSCALES, strict=True)
    theirs = gpflow.models.SVGP(
        gpflow.kernels.LinearCoregionalization(
            [gpflow.kernels.Matern52(variance=v, lengthscales=scales) for v, scales in parts], W=W
        ),
        gpflow.likelihoods.Gaussian(0.3),
        gpflow.inducing_variables.SharedIndependentInducingVariables(gpflow.inducing_variables.InducingPoints(Z)),
        mean_function=gpflow.functions.Constant(np.array([0.1, -0.2, 0.3])),
        num_latent_gps=L, q_mu=Q_MEAN.T, q_sqrt=Q_SQRT, whiten=True, num_data=40,
    )  # fmt: skip
    ours = {"W": mine.outputs.W, "Z": mine.Z, "q_mean": mine.q_mean, "q_sqrt": mine.q_sqrt}
    other = {
        "W": theirs.kernel.W.unconstrained_variable,
        "Z": theirs.inducing_variable.inducing_variable.Z.unconstrained_variable,
        "q_mean": theirs.q_mu.unconstrained_variable,
    }
    with tf.GradientTape() as tape:
        elbo = mine.elbo((X, Y))
    gradients = tape.gradient(elbo, ours)
    with tf.GradientTape() as tape:
        expected = theirs.elbo((X, Y))
    wanted = tape.gradient(expected, other)
    assert float(elbo) == pytest.approx(float(expected), rel=1e-9)
    for name in ("W", "Z"):
        np.testing.assert_allclose(gradients[name], wanted[name], rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(gradients["q_mean"], tf.transpose(wanted["q_mean"]), rtol=1e-7, atol=1e-8)
    for one, two in zip(mine.predict_f(X), theirs.predict_f(X), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-8)
    joint = theirs.predict_f(X, full_output_cov=True)[1]
    np.testing.assert_allclose(mine.predict_f(X, full_output_cov=True)[1], joint, rtol=1e-8, atol=1e-12)


def test_every_gradient_agrees_with_differences(slopes):
    model = model_of(bound="tight")
    variables = {str(i): v for i, v in enumerate(model.trainable_variables) if "q_sqrt" not in v.name}
    for by_hand, difference in slopes(lambda: model.elbo((X, Y)), variables).values():
        assert by_hand == pytest.approx(difference, rel=1e-5, abs=1e-6)


def test_coregion_is_a_covariance_between_outputs():
    kappa = np.array([0.3, 0.2, 0.4])
    outputs = Coregion(W[:, :1], kappa)
    weights = np.asarray(outputs.weights())
    np.testing.assert_allclose(weights @ weights.T, W[:, :1] @ W[:, :1].T + np.diag(kappa))
    model = SVGP(kernels.Matern32(1.0, 1.0), likelihoods.Gaussian(0.1), Z, num_latent=4, outputs=outputs)
    model.q_sqrt.assign(np.broadcast_to(model.factor().L, (4, M, M)))  # the prior
    _, between = model.predict_f(X, full_output_cov=True)
    np.testing.assert_allclose(between, np.broadcast_to(weights @ weights.T, (N, P, P)), rtol=1e-5)
    assert model.num_columns == P and model.num_functions == P and model.num_latent == 4


def test_joint_rows_and_draws_of_a_mixture_agree():
    model = model_of()
    mean, joint = (x.numpy() for x in model.predict_f(X, full_cov=True))  # [N, Q], [Q, N, N]
    np.testing.assert_allclose(np.diagonal(joint, axis1=1, axis2=2).T, model.predict_f(X)[1], rtol=1e-9)
    draws = FunctionDraws(model, 4000, seed=1)(X)
    error = np.sqrt(np.diagonal(joint, axis1=1, axis2=2).T / 4000)
    assert np.max(np.abs(draws.mean(axis=0) - mean) / error) < 4.0
    for covariance, f in zip(joint, draws.transpose(2, 1, 0), strict=True):
        variance = np.diag(covariance)
        error = np.sqrt((covariance**2 + np.outer(variance, variance)) / 4000)
        assert np.max(np.abs(np.cov(f) - covariance) / error) < 6.5
    with pytest.raises(ModelError, match="not both"):
        model.predict_f(X, full_cov=True, full_output_cov=True)


def test_the_tight_bound_is_a_bound_that_is_tighter():
    from scipy.stats import multivariate_normal

    noise, Wp = np.array([0.05, 0.1, 0.2]), W
    tight, standard = model_of(bound="tight"), model_of()
    for model in (tight, standard):
        model.num_data = N
        model.likelihood.variance.assign(noise)
    K = np.asarray(tight.kernel.K(X))  # [L, N, N]
    full = sum(np.kron(k, np.outer(w, w)) for k, w in zip(K, Wp.T, strict=True))  # rows by outputs
    full += np.kron(np.eye(N), np.diag(noise))
    offset = np.tile([0.1, -0.2, 0.3], N)
    evidence = multivariate_normal(offset, full).logpdf(Y.ravel())
    assert float(standard.elbo((X, Y))) < float(tight.elbo((X, Y))) <= evidence


def test_other_likelihoods_take_the_standard_bound():
    model = model_of(bound="tight", likelihood=likelihoods.Bernoulli())
    assert str(model.bound) == "standard"
    assert np.isfinite(float(model.elbo((X, (Y > 0).astype(float)))))


@pytest.mark.parametrize("latents", [1, 2, 5])
def test_weights_start_at_the_principal_components(latents):
    true = np.array([[2.0, 0.0], [1.5, 1.0], [0.0, 1.0]])
    data = RNG.normal(size=(4000, 2)) @ true.T + 0.1 * RNG.normal(size=(4000, 3))
    data[::7, 2] = np.nan
    weights, rest = principal_weights(data, latents, np.nanvar(data, axis=0))
    assert weights.shape == (3, latents) and np.all(rest >= 0)
    if latents >= 2:
        np.testing.assert_allclose(weights[:, :3] @ weights[:, :3].T, true @ true.T, atol=0.25)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ModelError, match="for 3 latent functions, and the model has 2"):
        model_of(Mixing(np.ones((3, 3))))
    with pytest.raises(ModelError, match="expected finite numbers"):
        Mixing([[np.nan]])
    with pytest.raises(ModelError, match="kappa has shape"):
        Coregion(np.ones((3, 1)), [1.0])


def test_the_hyperparameters_of_each_kernel_are_known():
    kernel = model_of().kernel
    roles = sorted(found.role for found in kernel.hyperparameters([0, 1]))
    assert roles == ["lengthscale", "lengthscale", "variance", "variance"]
    assert kernel.K(X).shape == (2, N, N) and kernel.K_diag(X).shape == (2, N)
