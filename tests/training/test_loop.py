from __future__ import annotations

import json

import numpy as np
import pytest

from svgp.errors import TrainingDiverged
from svgp.training.loop import LoopState, Stop, read_row, reason_to_stop, train_steps
from svgp.training.methods.adam import Adam
from svgp.training.schedule import Schedule


def steps_of(method, stop, state=None, **options):
    schedule = Schedule(method.steps_per_epoch, method.iterative, **{"log_every": 4, **options})
    return list(train_steps(method, stop, schedule=schedule, state=state or LoopState()))


@pytest.fixture
def adam(table, settings, line_model):
    return Adam(line_model(len(table[0])), *table, settings)  # 53 rows in batches of 10: 6 steps an epoch


def test_rows_are_due_every_few_steps_and_at_evaluations(adam):
    steps = steps_of(adam, Stop(max_epochs=2))
    assert [step.step for step in steps if step.row] == [4, 6, 8, 12]
    assert [step.step for step in steps if step.evaluate] == [6, 12]


@pytest.mark.parametrize("every, expected", [(0.5, [3, 6, 9, 12]), (2.0, [12]), (0.01, list(range(1, 13)))])
def test_evaluations_come_every_so_many_epochs(adam, every, expected):
    steps = steps_of(adam, Stop(max_epochs=2), evaluate_every=every)
    assert [step.step for step in steps if step.evaluate] == expected


def test_an_iterative_method_is_evaluated_ever_more_seldom(table, settings, line_model):
    settings.batch_size = 53
    adam = Adam(line_model(len(table[0])), *table, settings)
    adam.iterative = True
    steps = steps_of(adam, Stop(max_epochs=200))
    evaluated = [step.step for step in steps if step.evaluate]
    assert evaluated[:10] == list(range(1, 11))
    late = np.array([step for step in evaluated if step >= 40])
    assert np.all(np.diff(late) >= np.floor(0.1 * late[:-1] - 1.0)) and len(evaluated) < 50
    assert 0.9 * 200 < evaluated[-1] <= 200
    # A larger setting still holds: every tenth step at most.
    adam.step = 0
    evaluated = [
        step.step for step in steps_of(adam, Stop(max_steps=100), evaluate_every=10.0) if step.evaluate
    ]
    assert evaluated == list(range(10, 101, 10))


def test_a_row_is_the_mean_of_its_steps(adam):
    records = []
    advance = adam.advance
    adam.advance = lambda: records.append(advance()) or records[-1]
    row = steps_of(adam, Stop(max_steps=4))[-1].row
    elbo = np.mean([record.values()[0] for record in records])
    assert row["elbo"] == pytest.approx(elbo, rel=1e-14)
    assert row["elbo_per_row"] == pytest.approx(elbo / 53)
    assert row["elbo"] == pytest.approx(row["expected_log_likelihood"] - row["kl"])
    assert row["repairs"] == 0 and row["jitter"] == 1e-6 and row["wall_s"] > 0


def test_a_row_of_an_iterative_method_is_its_last_step(adam):
    # Its bounds are exact: a mean over iterates would be the bound of none of them.
    adam.iterative = True
    records = []
    advance = adam.advance
    adam.advance = lambda: records.append(advance()) or records[-1]
    row = steps_of(adam, Stop(max_steps=4))[-1].row
    assert row["elbo"] == records[-1].values()[0] != records[0].values()[0]
    assert row["kl"] == records[-1].values()[2]


@pytest.mark.parametrize(
    "stop, steps, reason",
    [
        (Stop(max_steps=5, max_epochs=3), 5, "max_steps: 5 steps done"),
        (Stop(max_epochs=1.5), 9, "max_epochs: 1.5 epochs done"),
        (Stop(max_seconds=0.0), 0, "max_seconds: 0 s of training done"),
    ],
)
def test_what_ends_a_run(adam, stop, steps, reason):
    state = LoopState()
    assert len(steps_of(adam, stop, state)) == steps
    assert reason_to_stop(adam, stop, state) == reason


def test_patience_ends_a_run_that_no_longer_improves(table, settings, line_model):
    settings.learning_rate = 0.0  # an ELBO that cannot improve: batches differ, epochs do not
    settings.batch_size = 53
    adam = Adam(line_model(len(table[0])), *table, settings)
    state = LoopState()
    steps = steps_of(adam, Stop(max_epochs=50, patience=3), state)
    assert state.evaluations_without_better == 3
    assert len(steps) < 10


def test_a_method_that_has_converged_ends_the_run(adam, monkeypatch):
    monkeypatch.setattr(Adam, "converged", True)
    assert steps_of(adam, Stop(max_epochs=50)) == []


def test_state_goes_through_json_exactly(adam):
    state = LoopState()
    steps_of(adam, Stop(max_steps=5), state)
    again = LoopState.from_dict(json.loads(json.dumps(state.to_dict())))
    assert len(again.pending) == 1
    assert again.to_dict() == state.to_dict()
    assert read_row(adam, again) == read_row(adam, state)


def test_divergence_names_the_step_and_leads_to_causes(adam):
    state = LoopState()
    steps_of(adam, Stop(max_steps=4), state)
    adam.model.poison.assign(-100.0)
    with pytest.raises(TrainingDiverged) as error:
        steps_of(adam, Stop(max_steps=12), state)
    message = str(error.value)
    assert "step 5 (epoch 0.83): the expected log-likelihood is not finite" in message
    assert "condition number of Kuu 1.0e+00" in message
    assert "(a)" in message and "(b)" in message and "(c)" in message
    assert "0 of 2 lie within" in message


def test_nothing_pending_gives_no_row(adam):
    assert read_row(adam, LoopState()) is None
