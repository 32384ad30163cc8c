"""Draws against the posterior's exact joint distribution, by Monte Carlo."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from svgp import kernels, likelihoods, means
from svgp.models import SVGP
from svgp.models.pathwise import FunctionDraws, row_noise

DRAWS = 4000
# The largest of 156 covariances at 4,000 draws is some 4 standard deviations off; random features of 2,048
# frequencies add 1.6% of the variance, as large as one of these deviations.
LARGEST = {True: 6.5, False: 4.5}

KERNELS = {
    "squared_exponential": lambda: kernels.SquaredExponential(1.3, [0.7, 1.0]),
    "matern12": lambda: kernels.Matern12(1.3, [0.7, 1.0]),
    "two_latents": lambda: kernels.Matern52([1.3, 0.6], [[0.7, 1.0], [1.2, 0.5]]),
    "sum": lambda: (
        kernels.Matern32(1.0, 0.6)
        + kernels.Linear([0.5, 0.2])
        + kernels.White(0.2)
        + kernels.Constant(0.3) * kernels.Matern52(1.0, 2.0)
    ),
    "product": lambda: (
        kernels.Matern32(1.2, 0.6, active_dims=[1])
        * (kernels.SquaredExponential(1.0, 1.0, active_dims=[0]) + kernels.Constant(0.5))
    ),
    "without_features": lambda: kernels.Matern32(1.0, 0.6) * kernels.Linear([0.5, 0.8]) + kernels.White(0.1),
}


def model_of(kernel: kernels.Kernel, *, whiten: bool = False) -> SVGP:
    rng = np.random.default_rng(2)
    latents = (kernel.K_diag(np.zeros((1, 2))).shape[:-1].as_list() or [1])[0]
    return SVGP(
        kernel,
        likelihoods.Gaussian(0.1),
        rng.uniform(-2, 2, (8, 2)),
        q_mean=rng.normal(size=(latents, 8)),
        q_sqrt=np.tril(0.2 * rng.normal(size=(latents, 8, 8)), -1) + 0.3 * np.eye(8),
        whiten=whiten,
        mean=means.Constant(np.arange(latents) + 1.0),
    )


@pytest.fixture(scope="module")
def inputs() -> np.ndarray:
    X = np.random.default_rng(3).uniform(-2.5, 2.5, (12, 2))
    X[1] = X[0] + 0.05
    return X


@pytest.mark.parametrize("name", KERNELS)
def test_draws_have_the_posterior_mean_and_covariance(name, inputs):
    model = model_of(KERNELS[name](), whiten=name == "matern12")
    mean, joint = (x.numpy() for x in model.predict_f(inputs, full_cov=True))  # [N, L], [L, N, N]
    draws = FunctionDraws(model, DRAWS, seed=1, reference=inputs)
    assert draws.exact_features == (name != "without_features")
    F = draws(inputs)  # [K, N, L]
    error = np.sqrt(np.diagonal(joint, axis1=1, axis2=2).T / DRAWS)
    assert np.max(np.abs(F.mean(axis=0) - mean) / error) < 4.0
    for covariance, f in zip(joint, F.transpose(2, 1, 0), strict=True):
        variance = np.diag(covariance)
        error = np.sqrt((covariance**2 + np.outer(variance, variance)) / DRAWS)  # of a sample covariance
        assert np.max(np.abs(np.cov(f) - covariance) / error) < LARGEST[draws.exact_features]


@pytest.mark.parametrize(
    "kernel",
    [
        lambda: kernels.Matern32([1.3, 0.7], [[0.7, 1.0], [1.5, 0.3]]),
        lambda: kernels.RationalQuadratic([1.3, 0.7], [[0.7, 1.0], [1.5, 0.3]], [0.8, 3.0]),
        lambda: kernels.Separate([kernels.Matern12(1.3, 0.7), kernels.SquaredExponential(0.7, [1.0, 0.5])]),
    ],
    ids=["matern32", "rational_quadratic", "separate"],
)
def test_many_frequencies_give_the_covariance_itself(kernel):
    X = np.random.default_rng(0).normal(size=(9, 2))
    parts = kernel().features(2, 100_000, np.random.default_rng(2))
    products = sum(Phi @ Phi.swapaxes(1, 2) for Phi in (part(X) for part in parts))
    # A standard deviation of at most v / sqrt(2 m): 0.003.
    np.testing.assert_allclose(products, kernel().K(X), atol=0.013)
    diagonal = np.diagonal(products, axis1=1, axis2=2)
    np.testing.assert_allclose(diagonal, np.broadcast_to(kernel().K_diag(X), diagonal.shape), rtol=1e-12)


def test_a_draw_is_one_function_however_its_rows_are_asked_for(inputs):
    for name in ("sum", "without_features"):  # both with noise that belongs to a row
        model = model_of(KERNELS[name]())
        draws = FunctionDraws(model, 3, seed=4, reference=inputs)
        whole = draws(inputs)
        np.testing.assert_allclose(draws(inputs[::-1])[:, ::-1], whole, atol=1e-7)
        np.testing.assert_allclose(draws(inputs[5:6]), whole[:, 5:6], atol=1e-7)
        again = FunctionDraws(model, 3, seed=4, reference=inputs)(inputs)
        np.testing.assert_array_equal(again, whole)
        assert np.abs(FunctionDraws(model, 3, seed=5, reference=inputs)(inputs) - whole).max() > 0.1


def test_variance_is_whole_far_from_what_a_draw_without_features_was_made_for(inputs):
    model = model_of(kernels.Matern32(1.0, 0.6) * kernels.Linear([0.5, 0.8]))
    far = np.array([[5.0, 4.0], [-4.0, 5.0], [4.5, -4.5]])
    F = FunctionDraws(model, DRAWS, reference=inputs)(far)[..., 0]
    np.testing.assert_allclose(F.var(axis=0), model.predict_f(far)[1][:, 0], rtol=0.1)


def test_no_rows_and_a_float32_model():
    rng = np.random.default_rng(0)
    kernel = kernels.Matern32(1.0, [0.7, 1.0], dtype=tf.float32)
    model = SVGP(kernel, likelihoods.Gaussian(0.1, dtype=tf.float32), rng.normal(size=(5, 2)), jitter=1e-5)
    draws = FunctionDraws(model, 2)
    assert draws(np.zeros((0, 2))).shape == (2, 0, 1) and draws(np.zeros((1, 2))).dtype == np.float64


def test_noise_of_a_row_is_normal_and_its_own():
    X = np.random.default_rng(0).normal(size=(4000, 3))
    noise = row_noise(X, 2, 5, seed=3)  # [L, N, K]
    assert noise.shape == (2, 4000, 5)
    flat = noise.transpose(1, 0, 2).reshape(4000, -1)
    # 10 columns of 4,000: standard error 0.016 of a mean or a correlation.
    assert np.abs(flat.mean(axis=0)).max() < 0.06 and np.abs(flat.std(axis=0) - 1).max() < 0.05
    assert np.abs(np.corrcoef(flat.T) - np.eye(10)).max() < 0.07
    np.testing.assert_array_equal(row_noise(X[7:8], 2, 5, seed=3), noise[:, 7:8])
