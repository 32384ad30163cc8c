"""The stage on the evidence ends where rows that were kept out of it gain no more."""

from __future__ import annotations

import numpy as np
import pytest

from svgp.config import ModelConfig, TrainConfig
from svgp.errors import NumericalError
from svgp.kernels import SquaredExponential
from svgp.likelihoods import Gaussian
from svgp.models import SVGP
from svgp.models.neighbours.evidence import NeighbourEvidence
from svgp.models.predictive.taken_out import find_posterior
from svgp.training.loop import LoopState, Stop, reason_to_stop
from svgp.training.methods import staged, unseen_gain
from svgp.training.methods.registry import make_method
from svgp.training.methods.unseen_gain import LEAST, UnseenGain

RNG = np.random.default_rng(9)
X = RNG.uniform(-2, 2, size=(300, 1))
Y = np.sin(2.0 * X) + 0.3 * RNG.normal(size=(300, 1))
STOP = Stop(tolerance=1e-12)


def svgp(points=X[:6]):
    model = SVGP(SquaredExponential(1.0, [1.0]), Gaussian(0.09), points, num_data=len(X))
    model.neighbours = ModelConfig.model_validate({"neighbours": {"count": 8}}).neighbours
    return model


def method(**train):
    return make_method(
        svgp(), X, Y, TrainConfig(**{"subset_rows": 240, "max_steps": 60, "max_epochs": None, **train})
    )


def test_a_look_finds_the_exact_density_where_all_rows_are_neighbours(monkeypatch):
    own = svgp()
    find_posterior(own, X[:100], Y[:100], 0)
    evidence = NeighbourEvidence(own, X[:100], Y[:100], count=99, variables=())
    staged.assign_posterior(own, evidence.posterior())
    gain = UnseenGain(X[100:], Y[100:])
    fits = []
    monkeypatch.setattr(
        "svgp.models.predictive.left_out.loo.fit",
        lambda predict, error, *_: fits.append(predict) or unseen_gain_as_it_is(predict, error),
    )
    gain.look(10, 0.0, own, X[:100], Y[:100], 100)
    K = np.asarray(own.kernel.K(X))
    A = K[:100, :100] + 0.09 * np.eye(100)
    mean = K[100:, :100] @ np.linalg.solve(A, Y[:100])
    variance = 1.09 - np.sum(K[100:, :100] * np.linalg.solve(A, K[:100, 100:]).T, axis=1)
    errors = (Y[100:] - mean)[:, 0]
    exact = np.mean(-0.5 * (np.log(2 * np.pi * variance) + errors**2 / variance))
    assert fits and gain.best == pytest.approx(exact, abs=1e-6)


def unseen_gain_as_it_is(predict, error):
    from svgp.models.predictive import leave_one_out

    return leave_one_out.as_it_is(predict, error)


NOISE = np.sin(np.arange(300.0))  # of mean 0, about


def looked_at(monkeypatch, densities):
    """A gain of which each look finds the next of these densities."""
    rest = iter(densities)

    def found(*_):
        value = next(rest)
        if value is None:
            raise NumericalError("no factor")
        return type("Rows", (), {"judge": lambda self, calibrate: type("V", (), {"best": value + NOISE})})()

    monkeypatch.setattr(unseen_gain, "seen_jointly", lambda *_: None)
    monkeypatch.setattr(unseen_gain, "predicted", found)
    return UnseenGain(X, Y)


def test_it_is_over_after_two_looks_without_a_gain_and_not_before(monkeypatch):
    gain = looked_at(monkeypatch, [1.0, 1.0 + 0.9 * LEAST, 1.0 + 1.1 * LEAST, None, 1.0 + 2.0 * LEAST])
    steps, verdicts = [], []
    for _ in range(5):
        steps.append(gain.due)
        gain.look(gain.due, 0.0, None, X, Y, 16)
        verdicts.append(gain.verdict)
    assert steps == [10, 15, 23, 35, 53]
    assert verdicts[:4] == [None] * 4  # one without, a gain, one that could not be computed
    assert verdicts[4].startswith("converged: 300 rows left out are predicted no better than 23 steps after")


def test_what_was_seen_is_kept(monkeypatch):
    gain = looked_at(monkeypatch, [1.0, 0.5, 0.5])
    gain.look(10, 0.0, None, X, Y, 16)
    gain.look(15, 0.0, None, X, Y, 16)
    again = UnseenGain(X, Y)
    again.load_state(gain.state())
    assert vars(again).keys() == vars(gain).keys()
    for name, value in vars(gain).items():
        np.testing.assert_array_equal(getattr(again, name), value)
    again.look(23, 0.0, None, X, Y, 16)
    assert again.verdict is not None


def test_a_look_that_chance_may_explain_tells_nothing_while_the_evidence_rises(monkeypatch):
    rough, even = np.cos(np.arange(300.0)), np.zeros(300)
    assert unseen_gain.SURE * np.std(rough) / np.sqrt(300) == pytest.approx(
        0.12, abs=0.01
    )  # nats a row that chance explains

    def without(change, spread, evidence):
        gain = looked_at(monkeypatch, [1.0, 1.0 + change + spread])
        gain.look(10, 5.0, None, X, Y, 16)
        gain.look(15, evidence, None, X, Y, 16)
        return gain.without

    assert without(-0.03, rough, 5.1) == 0
    assert without(-0.03, rough, 5.01) == 1  # no more to be had
    assert without(-0.03, even, 5.1) == 1  # surely less
    assert without(0.5 * LEAST, even, 5.1) == 1  # surely not more
    assert without(-0.2, rough, 5.1) == 1
    assert without(np.nan, rough, 5.1) == 1
    # Less each time, and surely so, though the best one was not surely better.
    gain = looked_at(monkeypatch, [1.0, 0.97 + rough, 0.96 + rough])
    for step, evidence in ((10, 5.0), (15, 5.1), (23, 5.2)):
        gain.look(step, evidence, None, X, Y, 16)
    assert gain.without == 1


def test_a_first_look_that_could_not_be_computed_is_kept_as_well(monkeypatch):
    gain, again = looked_at(monkeypatch, [None, 1.0, 0.9]), UnseenGain(X, Y)
    gain.look(10, 1.0, None, X, Y, 16)
    again.load_state(gain.state())
    for found in (vars(again), {"best": again.best}):
        for name, value in found.items():
            np.testing.assert_array_equal(value, getattr(gain, name))
    again.look(15, 2.0, None, X, Y, 16)
    assert again.without == 0 and again.best == pytest.approx(1.0, abs=0.01)


def test_it_is_over_where_no_look_can_be_computed(monkeypatch):
    gain = looked_at(monkeypatch, [None, None])
    gain.look(10, 1.0, None, X, Y, 16)
    gain.look(15, 2.0, None, X, Y, 16)
    assert gain.verdict is not None


def test_one_look_more_is_waited_for_while_the_evidence_rises(monkeypatch):
    for rise, steps in ((0.0, 23), (0.1, 35)):
        gain = looked_at(monkeypatch, [1.0, 0.9, 0.8, 0.7])
        evidence = 0.0
        while gain.verdict is None:
            step, evidence = gain.due, evidence + rise
            gain.look(step, evidence, None, X, Y, 16)
        assert step == steps


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(staged, "FEWEST_LOOKED_AT", 50)
    monkeypatch.setattr(unseen_gain, "FIRST", 2)


def trained(found, steps=60):
    state = LoopState()
    while (reason := reason_to_stop(found, STOP, state)) is None and found.step < steps:
        found.advance()
    return reason


def test_training_ends_where_neighbours_say_nothing(few):
    found = method()
    assert trained(found).startswith("converged: 60 rows left out")
    assert found.neighbour_model is not None and found.step < 60


def test_not_without_a_tolerance_nor_where_no_rows_were_kept_out(few):
    for settings in ({"tolerance": None}, {"subset_rows": None}):
        found = method(**settings)
        while found.neighbour_model is None:
            found.advance()
        assert found._gain is None


def test_looks_go_on_after_a_resume_as_they_would_have(few):
    whole, rest = method(), method()
    while whole._gain is None or whole._gain.looks < 1:
        whole.advance()
    rest.load_state({name: np.array(value) for name, value in whole.state().items()})
    assert trained(rest) == trained(whole)
    assert rest.step == whole.step and rest.evidence == whole.evidence


def test_few_rows_that_neither_stage_saw_do_not_judge_predictions(few):
    found = method()
    trained(found)
    assert len(found._beyond_both(240)) == 60 and found.unseen is None
