"""`model.inducing.keep_in_range`: Z stays where the data are, in each method; without it Z leaves."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from svgp.config import ModelConfig
from svgp.config.train import TrainConfig
from svgp.models import build_model
from svgp.training import make_method

COLUMNS = SimpleNamespace(input_names=["a", "b"], input_mean=np.zeros(2), input_scale=np.ones(2))


def distances(method, keep, batch_size):
    """How far beyond the data's box the farthest point is, after each step of training."""
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, size=(150, 2))
    Y = np.exp(X.sum(1, keepdims=True)) + 0.05 * rng.normal(size=(150, 1))  # steepest in a corner
    config = ModelConfig.model_validate(
        {
            "inducing": {"count": 6, "init": "random", "keep_in_range": keep},
            "posterior": {"whiten": True},
            "kernel": {"type": "squared_exponential"},
        }
    )
    model, _ = build_model(config, X, Y, columns=COLUMNS)
    # Natural gradients with all rows in a batch take L-BFGS for the points, if no rate is asked for.
    # In batches they move points by a tenth of the rate.
    rate = {("natgrad", 150): None, ("natgrad", 50): 1.0}.get((method, batch_size), 0.1)
    settings = TrainConfig(method=method, batch_size=batch_size, learning_rate=rate)
    machine = make_method(model, X, Y, settings)
    while True:
        machine.advance()
        Z = model.Z.numpy()
        yield float(np.maximum(X.min(0) - Z, Z - X.max(0)).max())


@pytest.mark.parametrize(
    ("method", "batch_size"), [("adam", 150), ("natgrad", 150), ("natgrad", 50), ("collapsed", 150)]
)
def test_points_stay_in_the_range_of_the_data(method, batch_size):
    free = distances(method, False, batch_size)
    left = next(step for step, distance in zip(range(1, 61), free, strict=False) if distance > 0.05)
    kept = list(itertools.islice(distances(method, True, batch_size), left + 3))
    assert max(kept) <= 1e-12
