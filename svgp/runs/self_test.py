"""A few seconds that show whether this machine computes what it should."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from svgp.config import Config
from svgp.data import load_dataset
from svgp.errors import SvgpError
from svgp.linalg import logdet
from svgp.models import build_model
from svgp.runs.evaluation import Evaluator
from svgp.runs.outcomes import score
from svgp.training import make_method
from svgp.training.device import choose_device

_CONFIG = {
    "data": {"dataset": {"name": "curve", "rows": 200}},
    "model": {"inducing": {"count": 20}},
    "train": {"method": "adam", "batch_size": 100, "learning_rate": 0.05},
}
_STEPS = 200


@dataclass(frozen=True)
class Check:
    """One thing that was tried, whether it came out right, and what was seen."""

    name: str
    passed: bool
    seen: str


def self_test() -> Iterator[Check]:
    """Try a gradient against finite differences, and a small fit; a check that raises has failed."""
    for name, test in (("gradient of log|K|", _gradient), ("a small fit", _fit)):
        try:
            yield Check(name, *test())
        except (SvgpError, tf.errors.OpError, ArithmeticError) as error:
            yield Check(name, False, str(error))


def _gradient() -> tuple[bool, str]:
    """d log|K| / dK = K^-1, against central differences along a random symmetric direction."""
    rng = np.random.default_rng(0)
    root = rng.standard_normal((20, 20))
    K = tf.constant(root @ root.T + 20.0 * np.eye(20))
    direction = rng.standard_normal((20, 20))
    direction += direction.T
    with tf.GradientTape() as tape:
        tape.watch(K)
        value = logdet(K)
    written = float(tf.reduce_sum(tape.gradient(value, K) * direction))
    step = 1e-5
    difference = float(logdet(K + step * direction) - logdet(K - step * direction)) / (2.0 * step)
    error = abs(written - difference) / abs(difference)
    # Central differences leave about step^2 + 1e-16 / step, relative.
    return error < 1e-6, f"relative difference {error:.1e} from finite differences"


def _fit() -> tuple[bool, str]:
    config = Config.from_dict(_CONFIG)
    dataset = load_dataset(config.data, config.model.likelihood)
    assert dataset.X_test is not None and dataset.Y_test is not None
    with tf.device(choose_device("auto")):
        model, _ = build_model(config.model, dataset.X, dataset.Y, columns=dataset.columns)
        evaluator = Evaluator(model)
        before = evaluator.elbo(dataset.X, dataset.Y)
        method = make_method(model, dataset.X, dataset.Y, config.train)
        for _ in range(_STEPS):
            method.advance()
        after = evaluator.elbo(dataset.X, dataset.Y)
        rmse = score(evaluator, dataset.columns, dataset.X_test, dataset.Y_test)["rmse"]
    seen = f"ELBO {before:.1f} -> {after:.1f} in {_STEPS} steps, test RMSE {rmse:.3f} with noise of 0.1"
    return after > before and rmse < 0.2, seen
