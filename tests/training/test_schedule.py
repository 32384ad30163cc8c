"""When a run looks at itself."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from svgp.config.train import TrainConfig
from svgp.training.methods.adam import Adam
from svgp.training.methods.collapsed import Collapsed
from svgp.training.schedule import Schedule, grows


def of(method, *, rows=0, test_rows=0, steps_per_epoch=1, **train):
    machine = object.__new__(method)  # what it says of itself is enough
    machine.steps_per_epoch = steps_per_epoch
    machine.model = SimpleNamespace(num_inducing=10, judged=False, submodules=())
    return Schedule.of(TrainConfig(**train), machine, rows=rows, test_rows=test_rows)


def test_rarer_growth_is_among_the_more_frequent():
    often = {number for number in range(1, 3000) if grows(number, 1.1)}
    seldom = {number for number in range(1, 3000) if grows(number, 1.1**4)}
    assert seldom < often and len(seldom) < len(often) / 2


def test_new_places_come_at_the_start_and_no_more_often_than_evaluations():
    batches, iterations = Schedule(steps_per_epoch=4), Schedule(iterative=True)
    assert batches.replacement_due(0) and iterations.replacement_due(0)
    assert [step for step in range(1, 13) if batches.replacement_due(step)] == [4, 8, 12]
    places = {step for step in range(1, 300) if iterations.replacement_due(step)}
    assert places < {step for step in range(1, 300) if iterations.evaluation_due(step)}
    assert places == {step for step in range(1, 300) if iterations.diagnosis_due(step)} and len(places) < 18


def test_some_twenty_diagnoses_where_the_end_is_known_and_ever_fewer_where_it_is_not():
    known = of(Adam, max_epochs=200)
    assert [step for step in range(1, 201) if known.diagnosis_due(step)] == list(range(10, 201, 10))
    unknown = of(Adam, max_epochs=None, max_seconds=9.0)
    assert [step for step in range(1, 201) if unknown.diagnosis_due(step)] == [1, 2, 4, 8, 16, 32, 64, 128]


@pytest.mark.parametrize("method, every", [(Collapsed, 34.0), (Adam, 1.0)])
def test_a_large_test_set_is_predicted_less_often_where_an_epoch_is_one_step(method, every):
    assert of(method, rows=100, test_rows=1000).evaluate_every == every


def test_a_model_that_is_brought_up_to_date_at_length_is_looked_at_less_often():
    """Twice as long for steps as for q, which takes as long as 24 of them: every 48th step."""
    machine = SimpleNamespace(publish_steps=24.0, steps_per_epoch=2, iterative=False)
    schedule = Schedule.of(TrainConfig(), machine)
    assert [step for step in range(1, 150) if schedule.evaluation_due(step)] == [48, 96, 144]
    assert Schedule.of(TrainConfig(evaluate_every=30.0), machine).evaluate_every == 30.0


def test_checkpoints_follow_the_clock():
    assert Schedule(checkpoint_every=5.0).checkpoint_due(12.0, 7.0)
    assert not Schedule(checkpoint_every=5.0).checkpoint_due(11.9, 7.0)
