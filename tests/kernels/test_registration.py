"""A kernel from another package: a class, a config section, and nothing else to be edited."""

from __future__ import annotations

import sys
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
import tensorflow as tf

import svgp
from svgp.config import KERNELS, Config, OnInputs
from svgp.config.base import setting
from svgp.kernels import Kernel
from svgp.kernels.start import Start
from svgp.parameters import positive
from svgp.training.lbfgs.box import box


class Toy(Kernel):
    """k = v exp(-|x - x'|^2 / 2) cos(2 pi w^T (x - x')) with w = 1 / period: waves that fade."""

    def __init__(
        self, variance: Any, period: Any, *, active_dims: Any = None, dtype: Any = tf.float64
    ) -> None:
        super().__init__(active_dims=active_dims, dtype=dtype)
        self.variance = positive(variance, "toy.variance", role="variance", dtype=dtype)
        self.period = positive(period, "toy.period", role="period", dtype=dtype)

    @classmethod
    def arguments(cls, start: Start, stated: dict[str, Any]) -> dict[str, Any]:
        return {"variance": start.variance, "period": 3.0 * start.spread, **stated}

    def _covariance(self, X: tf.Tensor, X2: tf.Tensor | None, dtype: tf.DType) -> tf.Tensor:
        difference = X[..., :, None, :] - (X if X2 is None else X2)[..., None, :, :]  # [N, N2, D]
        phase = tf.reduce_sum(2.0 * np.pi * difference / tf.cast(self.period, X.dtype), -1)
        fade = tf.exp(-0.5 * tf.reduce_sum(difference**2, -1))
        return tf.cast(tf.cast(self.variance, X.dtype) * fade * tf.cos(phase), dtype)

    def _variances(self, X: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        return tf.cast(self.variance, dtype) * tf.ones(tf.shape(X)[:-1], dtype)


class ToyKernel(OnInputs):
    """Waves that fade."""

    example: ClassVar[str] = "{type: toy}"
    builds: ClassVar[str] = "toy_package.Toy"

    type: Literal["toy"] = setting(..., "waves that fade")
    variance: float | None = setting(None, "its variance", unit="squared target units", role="variance", gt=0)
    period: float | None = setting(None, "its period", unit="input units", role="period", gt=0)


@pytest.fixture(scope="module", autouse=True)
def toy() -> None:
    package = type(sys)("toy_package")
    package.Toy = Toy
    sys.modules["toy_package"] = package
    KERNELS.register(ToyKernel)
    yield
    KERNELS.forget("toy")
    del sys.modules["toy_package"]


def test_it_trains_is_saved_and_predicts(tmp_path, no_plots) -> None:
    prior = {"type": "lognormal", "median": 2.0, "sigma": 0.5}
    config = Config.from_dict(
        {
            "data": {"dataset": {"name": "curve", "rows": 80}},
            "model": {
                "kernel": {"sum": [{"type": "toy", "period": 2.0}, {"type": "linear"}]},
                "inducing": {"count": 8},
                "priors": {"period": prior},
            },
            "train": {"method": "collapsed", "max_steps": 3},
        }
    )
    assert Config.from_dict(config.to_dict()) == config
    run = svgp.train(config, run_dir=tmp_path / "run")
    period = float(run.model.kernel.kernels[0].period.numpy().squeeze())
    assert np.isfinite(run.metrics["test.nlpd"]) and abs(period - 2.0) > 1e-6  # it was trained
    X = np.linspace(-1, 1, 5)[:, None]
    again = svgp.load_run(tmp_path / "run").model.predict_f(X)[0]
    np.testing.assert_allclose(again, run.model.predict_f(X)[0])


def test_its_period_is_bounded_and_has_its_prior() -> None:
    rng = np.random.default_rng(0)
    X, Y = 10.0 * rng.normal(size=(50, 2)), rng.normal(size=(50, 1))
    kernel = svgp.kernels.from_config(
        ToyKernel(type="toy", inputs=["b"]), ["a", "b"], lengthscales=[1.0, 1.0], variance=1.0, X=X
    )
    np.testing.assert_allclose(kernel.period, 3.0 * X[:, 1:].std(0))
    model = svgp.models.SVGP(kernel, svgp.likelihoods.Gaussian(0.1), X[:3])
    low, high = box(model, [kernel.period.pretransformed_input], X, Y)[0]
    np.testing.assert_allclose(np.exp([low, high]), [1e-3 * X[:, 1].std(), 1e3 * X[:, 1].std()])
    model.priors = Config.from_dict(
        {
            "data": {"dataset": "curve"},
            "model": {
                "kernel": {"type": "toy"},
                "priors": {"period": {"type": "gamma", "shape": 2, "rate": 1}},
            },
        }
    ).model.priors
    assert svgp.models.priors.log_prior(model) != 0.0
