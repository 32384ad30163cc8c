"""How `model.bound: ppgpr` trains: by adam alone, judged by what it raises, with the ELBO told beside it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from svgp.config.train import TrainConfig
from svgp.errors import ModelError, TrainingDiverged
from svgp.kernels import Matern32
from svgp.likelihoods import Gaussian, Poisson
from svgp.models import SVGP
from svgp.training import LoopState, Schedule, Stop, make_method, train_steps
from svgp.training.methods.adam import Adam
from svgp.training.methods.base import Method, StepRecord
from svgp.training.methods.registry import choose

EVERY = Schedule(log_every=1)


def small(bound="ppgpr", likelihood=Gaussian, rows=40):
    rng = np.random.default_rng(0)
    X = rng.uniform(-2.0, 2.0, (rows, 1))
    # Half of the rows are ten times noisier than the others, which one noise variance cannot say.
    Y = np.sin(3.0 * X) + np.where(X > 0, 0.5, 0.05) * rng.normal(size=X.shape)
    if likelihood is Poisson:
        Y = rng.poisson(np.exp(1.0 + np.sin(X))).astype(float)
    Z = np.linspace(-2.0, 2.0, 5)[:, None]
    model = SVGP(Matern32(lengthscales=[0.5]), likelihood(), Z, num_data=rows, whiten=True, bound=bound)
    return model, X, Y


def config(method="adam", **more):
    given = {"method": method, "batch_size": 1000, "learning_rate": 0.03, "seed": 1, **more}
    return SimpleNamespace(**{**dict(TrainConfig()), **given})


@pytest.mark.parametrize("likelihood", [Gaussian, Poisson])
def test_adam_raises_the_objective_and_tells_the_elbo(likelihood):
    model, X, Y = small(likelihood=likelihood)
    first = float(model.objective((X, Y)))
    adam = Adam(model, X, Y, config())
    for _ in range(149):
        adam.advance()
    before = float(model.elbo((X, Y))), float(model.objective((X, Y)))
    last = adam.advance().values()
    np.testing.assert_allclose(last[[0, 5]], before, rtol=1e-9)
    assert last[5] > first + 5.0 and last[5] > last[0]


def test_it_predicts_better_where_the_noise_varies_and_has_a_lower_elbo():
    found = {}
    for bound in ("standard", "ppgpr"):
        model, X, Y = small(bound, rows=200)
        adam = Adam(model, X, Y, config())
        for _ in range(400):
            adam.advance()
        found[bound] = float(model.elbo((X, Y))), float(tf.reduce_mean(model.predict_log_density((X, Y))))
    assert found["ppgpr"][0] < found["standard"][0]
    assert found["ppgpr"][1] > found["standard"][1]


@pytest.mark.parametrize("name", ["natgrad", "collapsed"])
def test_methods_that_maximise_the_elbo_refuse(name):
    with pytest.raises(ModelError, match=f"train.method: {name} looks for the q.u. of the highest ELBO"):
        make_method(*small(), config(name))


def test_auto_takes_adam_and_says_why():
    model, X, _ = small()
    choice = choose(model, len(X), config("auto"))
    assert choice.method is Adam and str(choice) == (
        "method adam: minibatch Adam, since model.bound: ppgpr is no ELBO, whose best q(u) the others find; "
        "learning rate 0.03, as the config says"
    )
    assert choose(small("standard")[0], len(X), config("auto")).method.name == "collapsed"


class Falling(Method):
    """An objective that rises while the ELBO falls, or the other way round."""

    name = "adam"

    def __init__(self, rises: str) -> None:
        self.rises, self.model = rises, SimpleNamespace(num_data=2, trainable_variables=[], priors=None)

    def advance(self):
        self.step += 1
        elbo, objective = (-self.step, self.step) if self.rises == "objective" else (self.step, -self.step)
        return StepRecord(self.step, float(self.step), np.array([elbo, 0.0, 0.0, 0.0, 0.0, objective, 1.0]))

    def state(self):
        return {}

    def load_state(self, state):
        pass


@pytest.mark.parametrize("rises, steps", [("objective", 20), ("elbo", 4)])
def test_patience_judges_what_is_trained(rises, steps):
    method, state = Falling(rises), LoopState()
    stop = Stop(max_steps=20, patience=3)
    rows = [step.row for step in train_steps(method, stop, schedule=EVERY, state=state)]
    assert len(rows) == steps
    assert (
        rows[-1]["objective"] == -rows[-1]["elbo"]
        and rows[-1]["objective_per_row"] == rows[-1]["objective"] / 2
    )


def test_a_row_of_a_bound_has_no_objective_of_its_own():
    model, X, Y = small("standard")
    steps = train_steps(Adam(model, X, Y, config()), Stop(max_steps=2), schedule=EVERY, state=LoopState())
    assert all("objective" not in step.row for step in steps)


def test_an_objective_that_is_not_finite_changes_nothing_and_is_diagnosed():
    model, X, Y = small()
    adam = Adam(model, X, Y, config())
    adam.advance()
    before = model.q_mean.numpy()
    model.likelihood.predict_log_density = lambda *_: tf.fill([len(X)], tf.constant(np.nan, tf.float64))
    adam.compiled_step = adam._update  # not the graph that was traced before
    with pytest.raises(TrainingDiverged, match="the predictive log density is not finite"):
        list(train_steps(adam, Stop(max_steps=3), schedule=EVERY, state=LoopState()))
    np.testing.assert_array_equal(model.q_mean.numpy(), before)
