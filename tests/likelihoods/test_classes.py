"""Softmax and robust-max: bounds that must hold, Monte Carlo, GPflow, and the toy likelihood's way in."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import logsumexp, softmax

from svgp.errors import ModelError
from svgp.likelihoods import Bernoulli, Ordinal, RobustMax, Softmax
from svgp.likelihoods.softmax import tilted_bound

K, N = 4, 30


@pytest.fixture(scope="module")
def rows() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return (
        1.5 * rng.normal(size=(N, K)),
        rng.uniform(0.05, 1.5, size=(N, K)),
        rng.integers(0, K, (N, 1)) * 1.0,
    )


@pytest.fixture(scope="module")
def draws(rows: tuple[np.ndarray, ...]) -> np.ndarray:
    mean, variance, _ = rows
    return mean + np.sqrt(variance) * np.random.default_rng(1).normal(size=(40_000, N, K))


def test_the_tilted_bound_is_one_and_close(rows: tuple[np.ndarray, ...], draws: np.ndarray) -> None:
    mean, variance, _ = rows
    values = logsumexp(draws, -1)
    error = values.std(0) / np.sqrt(len(draws))
    gap = np.asarray(tilted_bound(tf.constant(mean), tf.constant(variance))) - values.mean(0)
    assert np.all(gap > -5 * error) and gap.mean() < 0.05
    # Jensen's, logsumexp(m + v / 2), is far from it.
    assert np.mean(logsumexp(mean + variance / 2, -1) - values.mean(0)) > 5 * gap.mean()
    np.testing.assert_allclose(
        tilted_bound(tf.constant(mean), tf.zeros([N, K], tf.float64)), logsumexp(mean, -1), rtol=1e-12
    )


def test_softmax_is_monte_carlo(rows: tuple[np.ndarray, ...], draws: np.ndarray) -> None:
    mean, variance, Y = rows
    likelihood, p = Softmax(K), softmax(draws, -1).mean(0)
    found = np.asarray(likelihood.class_probabilities(mean, variance))
    np.testing.assert_allclose(found, p, atol=5e-3)
    np.testing.assert_allclose(found.sum(1), 1.0, rtol=1e-12)
    own = np.take_along_axis(p, Y.astype(int), 1)[:, 0]
    np.testing.assert_allclose(likelihood.predict_log_density(mean, variance, Y), np.log(own), atol=0.05)
    np.testing.assert_allclose(
        likelihood.log_prob(mean, Y), np.log(np.take_along_axis(softmax(mean, -1), Y.astype(int), 1)[:, 0])
    )
    assert np.all(
        likelihood.predict_log_density(mean, variance, Y) > likelihood.expected_log_likelihood(*rows)
    )


def test_two_classes_are_a_logit_of_the_difference(rows: tuple[np.ndarray, ...]) -> None:
    mean, variance, Y = (x[:, :2] for x in rows)
    p = Softmax(2).class_probabilities(mean, variance)[:, 1:]
    logit = Bernoulli("logit").predict_mean_and_var(
        mean[:, 1:] - mean[:, :1], variance.sum(1, keepdims=True)
    )[0]
    np.testing.assert_allclose(p, logit, atol=3e-3)


def test_robust_max_is_gpflows_and_monte_carlo(rows: tuple[np.ndarray, ...], draws: np.ndarray) -> None:
    gpflow = pytest.importorskip("gpflow")
    mean, variance, Y = rows
    theirs = gpflow.likelihoods.MultiClass(K, gpflow.likelihoods.RobustMax(K, 1e-3))
    ours, X = RobustMax(K), np.zeros((N, 1))
    np.testing.assert_allclose(
        ours.expected_log_likelihood(mean, variance, Y),
        np.ravel(theirs.variational_expectations(X, mean, variance, Y.astype(int))), rtol=1e-3, atol=1e-3,
    )  # fmt: skip
    largest = np.stack([(draws.argmax(-1) == k).mean(0) for k in range(K)], 1)
    expected = largest * (1 - 1e-3) + (1 - largest) * 1e-3 / (K - 1)
    np.testing.assert_allclose(ours.class_probabilities(mean, variance), expected, atol=0.02)


@pytest.mark.parametrize("likelihood", [Softmax(K), RobustMax(K)], ids=["softmax", "robust_max"])
def test_gradients_are_differences(likelihood: Softmax, rows: tuple[np.ndarray, ...]) -> None:
    mean, variance, Y = rows
    inputs = [tf.constant(mean), tf.constant(variance)]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        total = tf.reduce_sum(likelihood.expected_log_likelihood(*inputs, Y))
    for place, gradient in enumerate(tape.gradient(total, inputs)):
        direction = np.random.default_rng(place).normal(size=mean.shape)
        ends = []
        for sign in (1, -1):
            moved = [x + sign * 1e-5 * direction * (i == place) for i, x in enumerate((mean, variance))]
            ends.append(float(tf.reduce_sum(likelihood.expected_log_likelihood(*moved, Y))))
        slope = float(np.sum(np.asarray(gradient) * direction))
        # The bound's a is held: exact only where a is at its best, to 1e-5 here.
        assert slope == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=3e-5, abs=1e-6)


def test_levels_of_an_ordinal_are_those_of_draws() -> None:
    likelihood, rng = Ordinal([-0.8, 0.1, 1.2]), np.random.default_rng(2)
    mean, variance = np.array([[-1.0], [0.3], [2.0]]), np.array([[0.2], [1.0], [0.5]])
    f = mean[:, 0] + np.sqrt(variance[:, 0]) * rng.normal(size=(200_000, 3)) + rng.normal(size=(200_000, 3))
    level = np.searchsorted([-0.8, 0.1, 1.2], f)
    shares = np.stack([(level == k).mean(0) for k in range(4)], 1)
    np.testing.assert_allclose(likelihood.class_probabilities(mean, variance), shares, atol=5e-3)
    first, second = likelihood.predict_mean_and_var(mean, variance)
    np.testing.assert_allclose(first[:, 0], level.mean(0), atol=0.02)
    np.testing.assert_allclose(second[:, 0], level.var(0), atol=0.03)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Softmax(1), "num_classes must be at least 2"),
        (lambda: RobustMax(3, 1.5), "epsilon must lie between 0 and 1"),
        (lambda: Ordinal([0.3, 0.1]), "bin_edges must be ascending"),
        (lambda: Ordinal([0.3], sigma=0.0), "sigma must be above 0"),
        (lambda: Softmax(3).num_latent(2), "takes one target of classes"),
        (lambda: Softmax(3).predict_quantiles(np.ones((2, 3)), np.ones((2, 3)), [0.5]), "no quantiles"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(make: object, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        make()  # type: ignore[operator]
