"""svgp, driven as `svgp train` drives it: config defaults, method by name (`auto` chooses).

Predictions are those of `svgp predict`: calibrated, and with neighbours, but for `sparse`, which is `auto`
with the inducing points alone, as the model says. What predictions are fitted with after training (seconds)
counts as evaluation and is not timed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.quality_problem import Problem
from benchmarks.quality_trainer import Prediction, Settings, serve
from svgp.config import Config
from svgp.models import Predictive, build_model, fit_predictive
from svgp.training import make_method


class Ours:
    """Hyperparameters start where svgp puts them by itself; only Z is given."""

    def __init__(self, problem: Problem, settings: Settings) -> None:
        D = problem.X.shape[1]
        with tempfile.TemporaryDirectory() as folder:
            Z = Path(folder) / "Z.npy"
            np.save(Z, problem.Z)
            train = {
                "method": "auto" if settings.method == "sparse" else settings.method,
                "seed": settings.seed,
                "batch_size": settings.batch_size,
                "max_seconds": settings.seconds,
                "max_epochs": None,
                "precision": settings.dtype,
            }
            self._neighbours: Any = 0 if settings.method == "sparse" else "auto"
            model = {
                "inducing": {"count": len(problem.Z), "init": "file", "path": str(Z)},
                "neighbours": {"count": self._neighbours},
            }
            config = Config.from_dict(
                {"data": {"path": str(Z), "target": "y"}, "model": model, "train": train}
            )
            # The arrays are standardised already, and so is Z.
            columns = SimpleNamespace(
                input_names=[f"x{d}" for d in range(1, D + 1)],
                input_mean=np.zeros(D),
                input_scale=np.ones(D),
                scale_inputs=np.asarray,
            )
            self.model, _ = build_model(
                config.model, problem.X, problem.Y, columns=columns, num_data=len(problem.X),
                seed=settings.seed, precision=settings.dtype,
            )  # fmt: skip
        self._method = make_method(self.model, problem.X, problem.Y, config.train)
        self.label = self._method.name
        self._problem, self._seed = problem, settings.seed

    def train(self, tick: Callable[[], None]) -> None:
        while not self._method.converged:
            self._method.advance().values()  # waits for the step to end
            tick()

    def predict(self) -> Prediction:
        self._method.publish()  # some methods bring the model's q(u) up to date only when they are asked
        problem = self._problem
        if self._neighbours:
            predictive = fit_predictive(
                self.model, problem.X, problem.Y, neighbours=self._neighbours, seed=self._seed,
                own=self._method.neighbour_model, unseen=self._method.unseen,
            )  # fmt: skip
        else:
            predictive = Predictive(self.model)
        latent, likelihood = predictive.latent(problem.X_test), predictive.likelihood
        mean, variance = likelihood.predict_mean_and_var(*latent)
        ends = likelihood.predict_quantiles(*latent, [0.025, 0.975]).numpy()[:, 0]  # [N_test, 2]
        y = problem.Y_test[:, 0]
        log_density = likelihood.predict_log_density(*latent, problem.Y_test).numpy()
        inside = (ends[:, 0] <= y) & (ends[:, 1] >= y)
        return Prediction(mean.numpy(), variance.numpy(), log_density, inside)


if __name__ == "__main__":
    serve(Ours)
