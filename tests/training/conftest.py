"""A tiny stand-in for a model: a regression whose "ELBO" is cheap, and that can be made to fail."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from svgp.config.train import TrainConfig


class Elbo(NamedTuple):
    elbo: Any
    expected_log_likelihood: Any
    kl: Any
    jitter: Any
    repairs: Any
    objective: Any


class LineModel(tf.Module):
    """Gaussian log-likelihood of a line, with a KL-like penalty; it has what the trainer looks at."""

    def __init__(self, num_data: int, inputs: int = 2) -> None:
        super().__init__()
        self.slope = tf.Variable(tf.ones([inputs, 1], tf.float64), name="slope")
        self.offset = tf.Variable(tf.zeros([1], tf.float64), name="offset")
        self.Z = tf.constant(np.eye(inputs))
        self.num_data = num_data
        self.jitter, self.dtype = 1e-6, tf.float64
        self.inducing_range, self.replace_redundant, self.priors = None, False, None
        self.kernel = SimpleNamespace(input_lengthscales=lambda D: np.ones(D))
        self.poison = tf.Variable(float("inf"), trainable=False, dtype=tf.float64)  # rows above it give NaN

    def elbo_parts(self, batch: Any) -> Any:
        X, Y = batch
        scale = self.num_data / tf.cast(tf.shape(X)[0], tf.float64)
        error = Y - X @ self.slope - self.offset  # [B, 1]
        expected = -0.5 * scale * tf.reduce_sum(error**2)
        expected = tf.where(
            tf.reduce_any(tf.greater(X, self.poison)), tf.constant(np.nan, tf.float64), expected
        )
        kl = 0.5 * tf.reduce_sum(self.slope**2)
        return Elbo(expected - kl, expected, kl, tf.constant(1e-6, tf.float64), tf.constant(0), expected - kl)

    def Kuu(self) -> tf.Tensor:
        return tf.eye(2, dtype=tf.float64)


@pytest.fixture
def table() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    X = generator.normal(size=(53, 2))
    return X, X @ np.array([[2.0], [-1.0]]) + 0.5


@pytest.fixture
def settings() -> SimpleNamespace:
    return SimpleNamespace(**{**dict(TrainConfig()), "batch_size": 10, "learning_rate": 0.05, "seed": 3})


@pytest.fixture
def line_model() -> type[LineModel]:
    return LineModel
