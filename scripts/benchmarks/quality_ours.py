"""svgp, driven as `svgp train` drives it: config defaults, method by name (`auto` chooses)."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import tensorflow as tf

from benchmarks.quality_problem import Problem
from benchmarks.quality_trainer import Prediction, Settings, serve
from svgp.config import Config
from svgp.models import build_model
from svgp.training import make_method

CHUNK = 8192


class Ours:
    """Hyperparameters start where svgp puts them by itself; only Z is given."""

    def __init__(self, problem: Problem, settings: Settings) -> None:
        D = problem.X.shape[1]
        with tempfile.TemporaryDirectory() as folder:
            Z = Path(folder) / "Z.npy"
            np.save(Z, problem.Z)
            train = {
                "method": settings.method,
                "seed": settings.seed,
                "batch_size": settings.batch_size,
                "max_seconds": settings.seconds,
                "max_epochs": None,
                "precision": settings.dtype,
            }
            config = Config.from_dict(
                {
                    "data": {"path": str(Z), "target": "y"},
                    "model": {"inducing": {"count": len(problem.Z), "init": "file", "path": str(Z)}},
                    "train": train,
                }
            )
            # The arrays are standardised already, and so is Z.
            columns = SimpleNamespace(
                input_names=[f"x{d}" for d in range(1, D + 1)], input_mean=np.zeros(D), input_scale=np.ones(D)
            )
            self.model, _ = build_model(
                config.model, problem.X, problem.Y, columns=columns, num_data=len(problem.X),
                seed=settings.seed, precision=settings.dtype,
            )  # fmt: skip
        self._method = make_method(self.model, problem.X, problem.Y, config.train)
        self.label = self._method.name
        self._test = (problem.X_test, problem.Y_test)
        self._predict = tf.function(self._chunk, autograph=False, reduce_retracing=True)

    def train(self, tick: Callable[[], None]) -> None:
        while not self._method.converged:
            self._method.advance().values()  # waits for the step to end
            tick()

    def predict(self) -> Prediction:
        self._method.publish()  # some methods bring the model's q(u) up to date only when they are asked
        X, Y = (tf.constant(array, self.model.dtype) for array in self._test)
        chunks = [self._predict(X[i : i + CHUNK], Y[i : i + CHUNK]) for i in range(0, len(X), CHUNK)]
        return Prediction(*(np.concatenate(parts) for parts in zip(*chunks, strict=True)))

    def _chunk(self, X: tf.Tensor, Y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        q = self.model.predict_f(X)
        mean, variance = self.model.likelihood.predict_mean_and_var(*q)
        return mean, variance, self.model.likelihood.predict_log_density(*q, Y)


if __name__ == "__main__":
    serve(Ours)
