"""MAP by each method: a strong prior is seen in the result, and the ELBO stays what it is without one."""

from __future__ import annotations

import numpy as np
import pytest

from svgp.config import PriorsConfig
from svgp.config.train import TrainConfig
from svgp.kernels import Matern32
from svgp.likelihoods import Gaussian
from svgp.models import SVGP
from svgp.models.priors import log_prior, set_priors
from svgp.training import METHODS, LoopState, Schedule, Stop, make_method, train_steps

pytestmark = pytest.mark.usefixtures("published_without_graphs")

PRIORS = {
    "noise": {"type": "lognormal", "median": 0.3, "sigma": 0.01},
    "lengthscales": {"type": "lognormal", "median": 2.0, "sigma": 0.01},
}


def trained(method, steps, priors):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 1))
    Y = np.sin(3.0 * X) + 0.1 * rng.normal(size=(100, 1))
    model = SVGP(Matern32(1.0, [1.0]), Gaussian(0.1), X[:10], num_data=100, whiten=True)
    set_priors(model, PriorsConfig.model_validate(priors))
    config = TrainConfig(method=method, batch_size=100, learning_rate=0.1)
    machine = make_method(model, X, Y, config)
    schedule = Schedule(evaluate_every=steps, log_every=1)
    *_, last = train_steps(machine, Stop(max_steps=steps), schedule=schedule, state=LoopState())
    return model, last.row, (X, Y)


@pytest.mark.parametrize(("method", "steps"), [("adam", 60), ("collapsed", 20), ("natgrad", 70)])
def test_a_strong_prior_is_obeyed(method, steps):
    if method not in METHODS:
        pytest.skip(f"{method} is not registered")
    model, row, data = trained(method, steps, PRIORS)
    assert float(model.likelihood.variance.numpy()) == pytest.approx(0.3, rel=0.05)
    assert model.kernel.lengthscales.numpy()[0] == pytest.approx(2.0, rel=0.05)
    assert row["log_prior"] == pytest.approx(float(log_prior(model)), rel=1e-9)
    # The bound of these data at these hyperparameters, without the prior's nats.
    assert row["elbo"] == pytest.approx(float(model.elbo(data)), rel=0.02)


def test_without_one_the_data_decide():
    model, row, _ = trained("collapsed", 20, {})
    assert "log_prior" not in row
    assert float(model.likelihood.variance.numpy()) < 0.1


def test_a_subset_takes_its_share_of_the_prior():
    """L-BFGS sees (N/n) F_n + log p: with a prior this strong the subset makes no difference to its mode."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 1))
    model = SVGP(Matern32(1.0, [1.0]), Gaussian(0.1), X[:10], num_data=200)
    set_priors(model, PriorsConfig.model_validate(PRIORS))
    config = TrainConfig(subset_rows=50)
    method = METHODS["collapsed"](model, X, np.sin(3.0 * X), config)
    evaluation = method.bound.evaluate()
    value, _ = method._objective(evaluation)
    assert -200.0 * value == pytest.approx(4.0 * evaluation.bound + float(log_prior(model)), rel=1e-12)
