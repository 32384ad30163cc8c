"""The evidence as a second stage: its own model, its share of the run, resumed bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from svgp.config import ModelConfig, TrainConfig
from svgp.errors import NumericalError
from svgp.kernels import Matern32
from svgp.likelihoods import Gaussian
from svgp.linalg import backend
from svgp.models import SVGP
from svgp.models.collapsed.panels import Stopped
from svgp.models.neighbours.evidence import NeighbourEvidence
from svgp.models.neighbours.on_device import DevicePasses
from svgp.models.neighbours.on_host import HostPasses
from svgp.training.lbfgs import variables
from svgp.training.loop import LoopState, Stop, reason_to_stop
from svgp.training.methods import evidence as stage
from svgp.training.methods.registry import make_method
from svgp.training.methods.staged import Staged

RNG = np.random.default_rng(4)
X = RNG.uniform(-2, 2, size=(100, 2))
Y = np.sin(4.0 * X[:, :1]) + 0.5 * np.cos(3.0 * X[:, 1:]) + 0.1 * RNG.normal(size=(100, 1))


def method(**train):
    model = SVGP(Matern32(1.0, [2.0, 2.0]), Gaussian(0.3), X[:8], num_data=len(X), bound="tight")
    model.neighbours = ModelConfig.model_validate({"neighbours": {"count": 8}}).neighbours
    return make_method(model, X, Y, TrainConfig(**{"max_epochs": None, "max_steps": 8, **train}))


@pytest.fixture(scope="module")
def trained():
    found = method()
    records, states = [], {}
    for step in range(1, 9):
        records.append(found.advance())
        states[step] = {name: np.array(value) for name, value in found.state().items()}, found.evidence
    return found, records, states


def test_the_first_half_trains_the_sparse_model_and_the_second_leaves_it_alone(trained):
    found, records, states = trained
    assert isinstance(found, Staged) and found.first.step == 4 and found.steps_by_stage == [4, 4]
    values = np.stack([record.values() for record in records])
    assert np.all(values[4:, 0] == values[3, 0])  # the ELBO
    assert float(found.model.elbo((X, Y))) == pytest.approx(values[3, 0], abs=1e-3)
    for name, value in found.state().items():
        if name.startswith("first/model/"):
            np.testing.assert_array_equal(value, states[4][0][name])


def test_the_second_half_raises_the_evidence_of_a_model_of_its_own(trained):
    found, records, _ = trained
    evidences = np.array([record.values()[5] for record in records[4:]])
    assert evidences[-1] > evidences[0] and records[3].values()[5] == records[3].values()[0]
    model = found.neighbour_model
    assert not {id(v) for v in model.variables} & {id(v) for v in found.model.variables}
    scales = found._second._searched
    own = NeighbourEvidence(model, X, Y, count=stage.COUNT, scales=scales).evaluate()
    assert own.evidence == pytest.approx(found.evidence, rel=1e-9)
    mean = own.posterior.unwhitened()[0].T  # the model's q(u)
    np.testing.assert_allclose(model.q_mean, mean, rtol=1e-6, atol=1e-9)
    assert any("no bound" in note for note in found.notes)


def test_a_resumed_run_goes_on_bit_for_bit_in_either_stage(trained):
    whole, records, states = trained
    for split in (3, 6):
        rest, (state, evidence) = method(), states[split]
        rest.load_state(state)
        assert rest.evidence == evidence  # also where no further step is taken
        for record in records[split:]:
            np.testing.assert_array_equal(rest.advance().values(), record.values())
    for name, value in whole.state().items():
        if not name.endswith(("elapsed", "spent")):
            np.testing.assert_array_equal(rest.state()[name], value, err_msg=name)


def test_with_few_rows_for_its_coordinates_Z_stays_where_it_is(monkeypatch):
    monkeypatch.setattr("svgp.training.methods.staged.ROWS_A_COORDINATE", 1e6)
    found, rest = method(), method()
    for step in range(8):
        found.advance()
        if step == 5:
            rest.load_state({name: np.array(value) for name, value in found.state().items()})
    own = found.neighbour_model
    np.testing.assert_array_equal(own.Z.numpy(), found.model.Z.numpy())
    assert not np.allclose(own.kernel.lengthscales, found.model.kernel.lengthscales)
    for _ in range(2):
        rest.advance()
    assert rest.evidence == found.evidence


def test_neighbours_are_searched_for_again_where_lengthscales_move(trained, monkeypatch):
    monkeypatch.setattr(stage, "STEPS", 2)
    monkeypatch.setattr(stage, "MOVED", 0.02)
    found = method(max_steps=10)
    for _ in range(10):
        found.advance()
    assert found._second.searches > 1
    assert found.stage == found._second.searches  # each its own objective: convergence begins anew
    assert found.evidence > trained[0].evidence - 1.0


def test_q_of_all_rows_is_left_out_where_it_would_take_far_longer_than_there_is():
    found = method(subset_rows=60, max_steps=3, max_seconds=1000)
    for _ in range(3):
        found.advance()
    own, second = found.neighbour_model, found._second
    before = own.q_mean.numpy()
    second.seconds_an_evaluation = 1e6
    assert not found.finish()
    np.testing.assert_array_equal(own.q_mean, before)
    second.seconds_an_evaluation = 1e-3
    assert found.finish() and not np.allclose(own.q_mean, before)


def test_without_time_there_is_no_neighbour_model():
    found = method(max_steps=None, max_seconds=1e-9)
    for _ in range(3):
        found.advance()
    assert not found.converged and found.neighbour_model is None and found.evidence is None
    assert found.ended == "max_seconds: what is left of 1e-09 s is too short for a step"


def test_a_second_stage_that_the_clock_ends_has_not_converged_and_goes_on_with_more_time(monkeypatch):
    found, stop = method(max_steps=None, max_seconds=1000), Stop(max_seconds=1000, tolerance=1e-3)
    found.advance()
    found.next_stage()
    found.advance()
    evaluate = NeighbourEvidence.evaluate
    monkeypatch.setattr(NeighbourEvidence, "evaluate", lambda self, keep_going: raise_stopped())
    found.advance()
    assert "max_seconds: what is left" in reason_to_stop(found, stop, LoopState(wall_s=999.0))
    monkeypatch.setattr(NeighbourEvidence, "evaluate", evaluate)
    rest = method(max_steps=None, max_seconds=2000)
    rest.load_state(found.state())
    assert reason_to_stop(rest, Stop(max_seconds=2000), LoopState(wall_s=999.0)) is None
    before = rest.evidence
    rest.advance()
    assert rest.evidence > before


def test_an_evidence_without_a_value_is_not_called_converged(monkeypatch):
    found = method(max_steps=None)
    found.advance()
    found.next_stage()
    monkeypatch.setattr(NeighbourEvidence, "evaluate", lambda self, keep_going: raise_error())
    found.advance()
    assert "cannot be computed" in reason_to_stop(found, Stop(), LoopState())


def test_a_step_gives_the_variables_each_point_once_whatever_others_left_there(monkeypatch):
    one, other = (stage.EvidenceFit(stage.twin(method().model), X, Y, count=8) for _ in range(2))
    assert one.advance() and other.advance()
    given, before = [], variables.unpack
    monkeypatch.setattr(variables, "unpack", lambda *arguments: (given.append(1), before(*arguments)))
    passes = one.evidence.passes
    assert one.advance()
    assert 2 * len(given) == one.evidence.passes - passes  # two passes an evaluation
    other.model.Z.assign(np.zeros(other.model.Z.shape))
    assert other.advance()
    assert one.value == other.value
    other._pending, other._trial = other._anchor[0].copy(), None  # a stop came before all was done
    other.model.Z.assign(np.zeros(other.model.Z.shape))
    assert other.advance()
    for mine, its in zip(one.variables, other.variables, strict=True):
        np.testing.assert_array_equal(mine, its)


def raise_stopped():
    raise Stopped


def raise_error():
    raise NumericalError("no factor")


def test_the_second_stage_goes_the_same_way_by_a_gpu_s_operations():
    """Two accepted iterates of L-BFGS, forced on the processor."""
    values = {}
    for who in ("host", "tensorflow"):
        model = stage.twin(method().model)
        with backend(who):
            fit = stage.EvidenceFit(model, X[:60], Y[:60], count=4)
            assert fit.advance() and fit.advance()
        assert isinstance(fit.evidence._work, HostPasses if who == "host" else DevicePasses)
        values[who] = [fit.value, *(v.numpy() for v in fit.variables)]
    for one, other in zip(values["host"], values["tensorflow"], strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-7)


@pytest.mark.parametrize("neighbours", [{"count": 0}, {"count": 8, "fit": "after"}])
def test_no_second_stage_unless_it_is_wanted(neighbours):
    model = SVGP(Matern32(1.0, [2.0, 2.0]), Gaussian(0.3), X[:8], num_data=len(X))
    model.neighbours = ModelConfig.model_validate({"neighbours": neighbours}).neighbours
    assert not isinstance(make_method(model, X, Y, TrainConfig()), Staged)
