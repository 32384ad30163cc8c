"""Latents with inducing points of their own, Z [L, M, D]: independent latents are so many models of one."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from svgp import kernels, likelihoods
from svgp.config import ModelConfig, TrainConfig
from svgp.diagnostics import inducing_diagnostics
from svgp.errors import ModelError
from svgp.inducing import further_points
from svgp.models import SVGP
from svgp.models.pathwise import FunctionDraws
from svgp.models.predictive import SparseRows
from svgp.training import make_method

RNG = np.random.default_rng(4)
L, M, N = 2, 6, 40
Z, X = RNG.normal(size=(L, M, 2)), RNG.normal(size=(N, 2))
Y = np.stack([np.sin(2 * X[:, 0]), X[:, 1]], axis=1) + 0.2 * RNG.normal(size=(N, L))
Q_MEAN, Q_SQRT = RNG.normal(size=(L, M)), np.tril(0.2 * RNG.normal(size=(L, M, M)), -1) + 0.5 * np.eye(M)


def kernel_of(kind: str) -> kernels.Kernel:
    if kind == "shared":
        return kernels.Matern52(1.2, [0.8, 1.3])
    if kind == "batch":
        return kernels.Matern52([1.2, 0.7], [[0.8, 1.3], [0.5, 2.0]])
    return kernels.Separate([kernels.Matern52(1.2, [0.8, 1.3]), kernels.Matern32(0.7, [0.5, 2.0])])


def single(kernel: kernels.Kernel, latent: int) -> kernels.Kernel:
    if isinstance(kernel, kernels.Separate):
        return kernel.kernels[latent]
    variance = np.atleast_1d(tf.convert_to_tensor(kernel.variance))
    lengthscales = np.atleast_2d(tf.convert_to_tensor(kernel.lengthscales))
    return kernels.Matern52(variance[latent % len(variance)], lengthscales[latent % len(lengthscales)])


def model_of(kind: str, **options) -> SVGP:
    likelihood = likelihoods.Gaussian(0.3)
    return SVGP(kernel_of(kind), likelihood, Z, q_mean=Q_MEAN, q_sqrt=Q_SQRT, **options)


@pytest.mark.parametrize("kind", ["shared", "batch", "separate"])
def test_it_is_a_model_for_each_latent(kind):
    model = model_of(kind)
    assert model.separate_points and (model.num_latent, model.num_inducing) == (L, M)
    each = [
        SVGP(single(model.kernel, k), likelihoods.Gaussian(0.3), Z[k], q_mean=Q_MEAN[k], q_sqrt=Q_SQRT[k])
        for k in range(L)
    ]
    bound = sum(one.elbo((X, Y[:, k])) for k, one in enumerate(each))
    np.testing.assert_allclose(model.elbo((X, Y)), bound, rtol=1e-12)
    np.testing.assert_allclose(model.kl(), sum(one.kl() for one in each), rtol=1e-12)
    for got, expected in zip(
        model.predict_f(X), zip(*(one.predict_f(X) for one in each), strict=True), strict=True
    ):
        np.testing.assert_allclose(got, np.concatenate(expected, axis=1), rtol=1e-10)
    sparse = SparseRows(model).parts(X)
    np.testing.assert_allclose(sparse.variance, model.predict_f(X)[1], rtol=1e-9)


def test_draws_follow_q():
    model = model_of("separate")
    draws = FunctionDraws(model, 4000, seed=1)(X[:5])  # [K, n, L]
    mean, variance = (np.asarray(x) for x in model.predict_f(X[:5]))
    assert np.all(np.abs(draws.mean(axis=0) - mean) < 5 * np.sqrt(variance / 4000))
    np.testing.assert_allclose(draws.var(axis=0), variance, rtol=0.15)


def test_natural_gradients_reach_each_optimum():
    """One whole step is exact for Gaussian noise: the optimum is that of each latent's model alone."""
    config = TrainConfig(method="natgrad", batch_size=N, learning_rate=1e-9, max_steps=1)
    model = model_of("separate", num_data=N)
    method = make_method(model, X, Y, config)
    method.advance()
    method.publish()
    for k in range(L):
        one = SVGP(single(model.kernel, k), likelihoods.Gaussian(0.3), Z[k], num_data=N)
        Kuu = one.Kuu().numpy() + one.jitter * np.eye(M)
        Kuf = one.kernel.K(Z[k], X).numpy()
        exact = Kuu @ np.linalg.solve(Kuu + Kuf @ Kuf.T / 0.3, Kuf @ Y[:, k]) / 0.3
        np.testing.assert_allclose(model.q_mean[k], exact, rtol=1e-5, atol=1e-6)


def test_diagnostics_count_all_points_of_all_sets():
    near = Z.copy()
    near[1, 3] = near[1, 0]  # two points of the second latent coincide: one is redundant
    model = SVGP(kernel_of("separate"), likelihoods.Gaussian(0.3), near, num_data=N)
    row = inducing_diagnostics(model, X, Z, step=3, epoch=1.0)
    assert row["count"] == L * M and len(row["kl_by_point"]) == len(row["explained_by_point"]) == L * M
    assert row["redundant"] == 1 and row["redundant_points"][0] in (M, M + 3)
    assert row["smallest_distance"] == 0.0 and row["moved_max"] > 0 and row["unmoved"] == L * M - 1
    np.testing.assert_allclose(row["kl"], model.kl(), rtol=1e-5)


def test_further_points_are_those_that_all_sets_lack():
    covered = X[np.abs(X[:, 0]) < 0.7]
    both = np.stack([covered[:12], covered[:12]])
    new = further_points(X, both, 3, kernels.Matern52(1.0, 0.5), jitter=1e-8)
    expected = further_points(X, both[0], 3, kernels.Matern52(1.0, 0.5), jitter=1e-8)
    np.testing.assert_array_equal(new, expected)


def test_what_does_not_fit_is_said():
    with pytest.raises(ModelError, match=r"Z has shape \(3, 6, 2\).*2 latent functions; expected \[M, D\]"):
        SVGP(kernel_of("separate"), likelihoods.Gaussian(0.3), RNG.normal(size=(3, M, 2)))
    with pytest.raises(ModelError, match="one set of inducing points for all outputs"):
        make_method(model_of("shared", num_data=N), X, Y, TrainConfig(method="collapsed"))
    with pytest.raises(ValueError, match="shared: false gives each its own"):
        ModelConfig.model_validate({"inducing": {"shared": False, "replace_redundant": True}})
