"""A stop that is asked for ends a step between two panels, wherever it is, and nothing of the run changes."""

from __future__ import annotations

import numpy as np
import pytest

from svgp.config import ModelConfig
from svgp.config.train import TrainConfig
from svgp.kernels import Matern32
from svgp.likelihoods import Gaussian
from svgp.linalg.host import threads
from svgp.models import SVGP
from svgp.models.collapsed import panels
from svgp.models.neighbours import on_host
from svgp.models.replacement import Plan
from svgp.stopping import StopAsked
from svgp.training import make_method
from svgp.training.methods import evidence, replacing
from svgp.training.methods.collapsed import Collapsed
from svgp.workers import present

RNG = np.random.default_rng(4)
X = RNG.uniform(-2, 2, size=(120, 2))
Y = np.sin(4.0 * X[:, :1]) + 0.5 * np.cos(3.0 * X[:, 1:]) + 0.1 * RNG.normal(size=(120, 1))


class Looks:
    """Stands in for the sign that a signal sets: asked for at the `at`-th look at it, and from there on."""

    def __init__(self, at=None):
        self.at, self.count = at, 0

    @property
    def asked(self):
        self.count += 1
        return self.at is not None and self.count >= self.at


@pytest.fixture(autouse=True)
def short_panels(monkeypatch):
    # One lane looks for all: with more of them, as on a machine of many cores, there are fewer looks.
    for module in (threads, on_host):
        monkeypatch.setattr(module, "workers", lambda: 1)
    monkeypatch.setattr(panels, "FEWEST_ROWS", 40)
    monkeypatch.setattr(panels, "PANEL_ENTRIES", 40)


def make(*, staged=False, replace=False, **train):
    model = SVGP(Matern32(1.0, [2.0, 2.0]), Gaussian(0.3), X[:8], num_data=len(X), bound="tight")
    neighbours = ModelConfig.model_validate({"neighbours": {"count": 8}}).neighbours
    model.neighbours = neighbours if staged else None
    model.replace_redundant = replace
    return make_method(model, X, Y, TrainConfig(**{"max_epochs": None, "method": "collapsed", **train}))


def copied(state):
    return {name: np.array(value) for name, value in state.items()}


def outcome(method, steps):
    """Records from here to so many steps, and the state without clocks."""
    records = []
    while method.step < steps:
        records.append(method.advance().values().tolist())
    state = copied(method.state())
    return records, {n: a for n, a in state.items() if not n.endswith(("elapsed", "spent"))}


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def evaluated_again(monkeypatch):
    """As where the line search accepts another point than the last one that it looked at."""
    for kind in (Collapsed, evidence.EvidenceFit):

        def accept(self, x, before=kind._accept):
            self._trial = None
            before(self, x)

        monkeypatch.setattr(kind, "_accept", accept)


@pytest.mark.parametrize(
    ("options", "steps", "again"),
    [
        ({}, 5, True),
        ({"subset_rows": 70, "max_steps": 4}, 4, False),  # the last step has a pass over all rows
        ({"replace": True}, 4, False),
        ({"staged": True, "max_steps": 6}, 6, False),
        ({"staged": True, "max_steps": 4}, 4, True),
    ],
    ids=["collapsed", "last pass", "replacing", "evidence", "evidence again"],
)
def test_a_step_that_is_stopped_anywhere_is_taken_again_to_the_last_bit(options, steps, again, monkeypatch):
    def plan(model, X, seed):
        rng, Z = np.random.default_rng(seed), model.Z.numpy()
        Z[:1] = X[rng.integers(len(X))]
        return Plan(np.arange(1), Z)

    monkeypatch.setattr(replacing, "plan_replacement", plan)
    monkeypatch.setattr(evidence, "STEPS", 1)  # neighbours are searched for anew within the test
    monkeypatch.setattr(evidence, "MOVED", 0.02)
    if again:
        evaluated_again(monkeypatch)
    group, looks = present(), Looks()
    monkeypatch.setattr(group, "stop", looks)
    machine, rest = make(**options), make(**options)
    start = copied(machine.state())
    wanted, whole = outcome(machine, steps)
    stops = looks.count
    assert stops > 4 * steps  # panels, and not steps
    where = set()
    for at in [*range(1, stops, max(1, stops // 12)), stops]:
        machine.load_state(copied(start))
        monkeypatch.setattr(group, "stop", Looks(at))
        before = []
        with pytest.raises(StopAsked):
            while machine.step < steps:
                before.append(machine.advance().values().tolist())
        where.add(machine.step)
        monkeypatch.setattr(group, "stop", Looks())
        rest.load_state(copied(machine.state()))
        after, state = outcome(rest, steps)
        assert before + after == wanted
        assert_same(state, whole)
    assert len(where) >= steps - 1
    if "subset_rows" in options:  # where the last stop was
        assert machine.state()["under_way"][0] and rest.state()["seen"] == len(X)


def test_a_stage_that_was_left_stays_left():
    machine, rest = (make(staged=True, max_steps=6) for _ in range(2))
    machine.advance()
    assert machine.next_stage() and machine.first_is_over()
    rest.load_state(copied(machine.state()))
    assert rest.first_is_over()
