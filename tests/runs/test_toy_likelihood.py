"""A likelihood from outside of the package: its class, its section, and nothing else."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
import tensorflow as tf

import svgp
from svgp.config import Config
from svgp.config.base import setting
from svgp.config.likelihoods import LIKELIHOODS, LikelihoodSection, Task
from svgp.likelihoods import Likelihood
from svgp.parameters import positive


class Logistic(Likelihood):
    """y = f + scale e, e from the logistic distribution: what no one here has written."""

    task = "regression"

    def __init__(self, scale: float = 0.2, *, dtype: Any = tf.float64, name: str | None = None) -> None:
        super().__init__(dtype=dtype, name=name)
        self.scale = positive(scale, "scale", role="scale", dtype=dtype)

    def _log_density(self, F: tf.Tensor, Y: tf.Tensor, *extras: tf.Tensor) -> tf.Tensor:
        z = (Y - F) / tf.convert_to_tensor(self.scale)
        return -z - 2.0 * tf.math.softplus(-z) - tf.math.log(tf.convert_to_tensor(self.scale))

    def _moments(self, F: tf.Tensor, *extras: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return F, tf.zeros_like(F) + (np.pi**2 / 3.0) * tf.convert_to_tensor(self.scale) ** 2

    def _quantiles(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, levels: tf.Tensor, *extras: tf.Tensor
    ) -> tf.Tensor:
        deviation = tf.sqrt(f_var + self._moments(f_mean)[1])
        return f_mean[..., None] + deviation[..., None] * tf.math.ndtri(levels)


class LogisticLikelihood(LikelihoodSection):
    """Logistic noise."""

    example: ClassVar[str] = "{type: logistic_noise}"
    builds: ClassVar[str] = f"{__name__}.Logistic"
    task: ClassVar[Task] = "regression"
    suits: ClassVar[str] = "a number with logistic noise"

    type: Literal["logistic_noise"] = setting(..., "logistic noise")
    scale: float = setting(0.3, "noise scale to start from", unit="standardised units", gt=0)


@pytest.fixture
def registered() -> Any:
    LIKELIHOODS.register(LogisticLikelihood)
    yield
    LIKELIHOODS.forget("logistic_noise")


def test_it_trains_predicts_and_opens_again(tmp_path: Any, registered: None, no_plots: None) -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 6, 120)
    y = 10.0 * np.sin(x) + rng.logistic(size=120)
    pa.csv.write_csv(pa.table({"x": x, "y": y}), tmp_path / "t.csv")
    config = Config.from_dict(
        {
            "data": {"path": str(tmp_path / "t.csv"), "target": "y", "test": {"fraction": 0.25}},
            "model": {
                "likelihood": {"type": "logistic_noise"}, "inducing": {"count": 10},
                "neighbours": {"count": 0},
            },
            "train": {"max_steps": 4},
        }
    )  # fmt: skip
    svgp.train(config, run_dir=tmp_path / "run")
    run = svgp.load_run(tmp_path / "run")
    assert run.metrics["method"] == "natgrad" and run.metrics["test.rmse"] < 4.0
    assert isinstance(run.model.likelihood, Logistic)
    assert 0.05 < float(tf.convert_to_tensor(run.model.likelihood.scale)) < 0.3  # of 7 units of deviation
    assert set(run.predict({"x": [1.0]}).to_columns()) >= {"y_mean", "y_std", "y_q025"}
