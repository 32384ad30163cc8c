"""Rows left out say whether training has helped the predictions of classes."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from svgp.config.train import TrainConfig
from svgp.kernels import Matern32
from svgp.likelihoods import Bernoulli, Poisson
from svgp.models import SVGP
from svgp.models.dual.full import FullDual
from svgp.training.methods import natgrad
from svgp.training.methods.held_out import RESTORED, HeldOut
from svgp.training.methods.natgrad import NaturalGradient
from svgp.training.methods.natgrad_whole import WholeNaturalGradient

pytestmark = pytest.mark.usefixtures("published_without_graphs")


def make(rows=600):
    generator = np.random.default_rng(4)
    X = generator.uniform(-2.0, 2.0, (rows, 1))
    Y = (generator.uniform(size=X.shape) < 0.5 + 0.48 * np.sin(3.0 * X)).astype(float)
    kernel, Z = Matern32(variance=4.0, lengthscales=[0.7]), np.linspace(-2.0, 2.0, 8)[:, None]
    return SVGP(kernel, Bernoulli(), Z, num_data=rows), X, Y


def settings(**more):
    return SimpleNamespace(**{**dict(TrainConfig()), "method": "natgrad", "seed": 1, **more})


def test_the_better_of_two_sets_of_values_is_found():
    model, X, Y = make()
    judge = HeldOut(FullDual(model), X, Y, seed=0)
    assert judge.better() is None  # nothing has changed
    lengths = np.array([40.0])
    model.kernel.lengthscales.assign(lengths)  # nearly a constant
    better = judge.better()
    assert better is judge.candidates[0]
    np.testing.assert_allclose(model.kernel.lengthscales.numpy(), lengths)  # left as it was
    reverse = HeldOut(FullDual(model), X, Y, seed=0)
    model.kernel.lengthscales.assign(np.array([0.7]))
    assert reverse.better() is None
    judge.restore(better)
    assert model.kernel.lengthscales.numpy() == pytest.approx([0.7])


def test_one_length_in_the_unit_of_the_inputs_is_a_candidate():
    model, X, Y = make()
    model.kernel.lengthscales.assign(np.array([40.0]))
    model.common_lengths = np.array([0.7])
    judge = HeldOut(FullDual(model), X, Y, seed=0)
    better = judge.better()
    assert better is judge.candidates[1]
    judge.restore(better)
    assert model.kernel.lengthscales.numpy() == pytest.approx([0.7])
    assert model.kernel.variance.numpy() == pytest.approx(4.0)


def test_only_classes_with_enough_rows_are_judged():
    model, X, Y = make()
    whole = settings(max_seconds=None)
    assert HeldOut.applies(model, 600, whole) and not HeldOut.applies(model, 100, whole)
    assert not HeldOut.applies(model, 10**10, whole)
    assert not HeldOut.applies(SVGP(Matern32(), Poisson(), X[:8], num_data=600), 600, whole)


def test_nor_where_judging_would_take_far_longer_than_the_run_may():
    model, _, _ = make()
    rows = 10**7  # 60 climbs of q(u) at 8 points: some six seconds
    assert HeldOut.applies(model, rows, settings(max_seconds=60.0))
    assert not HeldOut.applies(model, rows, settings(max_seconds=6.0))


def test_batches_end_where_training_makes_it_worse(monkeypatch):
    monkeypatch.setattr(natgrad, "JUDGED", 3)
    method = NaturalGradient(*make(), settings(batch_size=100, learning_rate=0.5))
    method._counters["taken"].assign(20.0)  # past the warm-up: hyperparameters move at once
    start = method.model.kernel.lengthscales.numpy()
    monkeypatch.setattr(HeldOut, "better", lambda self: self.candidates[0])
    method.advance()
    method.advance()
    assert method.ended is None and abs(method.model.kernel.lengthscales.numpy() / start - 1.0) > 0.01
    method.advance()
    np.testing.assert_allclose(method.model.kernel.lengthscales.numpy(), start)
    assert "rows left out" in method.ended and RESTORED in method.notes
    assert not method.finish()  # once
    again = NaturalGradient(*make(), settings(batch_size=100, learning_rate=0.5))
    again.load_state(method.state())
    assert again.ended == method.ended


@pytest.mark.parametrize("kind", [NaturalGradient, WholeNaturalGradient])
def test_at_the_end_as_well(kind, monkeypatch):
    given = settings(batch_size=100 if kind is NaturalGradient else 1000)
    method = kind(*make(), given)
    first = method.model.kernel.lengthscales.numpy()
    method.advance()
    monkeypatch.setattr(HeldOut, "better", lambda self: None)
    assert not method.finish() and RESTORED not in method.notes
    monkeypatch.setattr(HeldOut, "better", lambda self: self.candidates[0])
    assert method.finish() and RESTORED in method.notes
    np.testing.assert_allclose(method.model.kernel.lengthscales.numpy(), first)
    resumed = kind(*make(), given)
    resumed.load_state(method.state())
    assert not resumed.finish() and RESTORED in resumed.notes  # judged once, in a run that goes on as well
    model, X, Y = make()
    FullDual(model).publish(X, Y, whole=True)  # q at its best there
    assert float(method.model.elbo((X, Y))) == pytest.approx(float(model.elbo((X, Y))), abs=1e-3)
