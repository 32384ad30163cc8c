"""`model.inducing.replace_redundant` in each method: counted, undone where it is no use, resumed exactly."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from svgp.config.train import TrainConfig
from svgp.errors import NumericalError
from svgp.kernels import Matern32
from svgp.likelihoods import Gaussian
from svgp.models import SVGP
from svgp.models.replacement import Plan
from svgp.training import make_method
from svgp.training.methods import natgrad_whole, replacing
from svgp.training.methods.adam import AdamOptimiser
from svgp.training.methods.replacing import Replacing

pytestmark = pytest.mark.usefixtures("published_without_graphs")

METHODS = [("adam", 20), ("natgrad", 20), ("natgrad", 60), ("collapsed", 60)]  # and rows a batch, of 60
COPIES = [2, 7, 9]  # of points 0, 1, 3


def make(method, batch_size=60, *, q_diag=False, whiten=True, on=True, **options):
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, size=(60, 2))
    Y = np.sin(2.0 * X.sum(1, keepdims=True)) + 0.1 * rng.normal(size=(60, 1))
    Z = X[:10].copy()
    Z[COPIES] = Z[[0, 1, 3]]
    model = SVGP(Matern32(1.0, [1.0, 1.0]), Gaussian(0.1), Z, num_data=60, whiten=whiten, q_diag=q_diag)
    if not whiten:
        model.q_sqrt.assign(0.1 * model.q_sqrt if q_diag else model.factor().L)
    model.replace_redundant = on
    # Natural gradients with all rows in a batch take L-BFGS for the points, if no rate is asked for.
    rate = None if (method, batch_size) == ("natgrad", 60) else 0.02
    settings = {"batch_size": batch_size, "learning_rate": rate, "seed": 3}
    return make_method(
        model, X, Y, SimpleNamespace(**{**dict(TrainConfig()), "method": method, **settings, **options})
    )


@pytest.fixture(scope="module")
def pool(pool_of):
    return pool_of(make)


@pytest.fixture(autouse=True)
def short_steps(monkeypatch):
    """Of natural gradients by L-BFGS: what is tested here happens between steps."""
    monkeypatch.setattr(natgrad_whole, "ITERATES", 1)


@pytest.fixture
def restless(monkeypatch):
    """One point, drawn by the seed, goes to a row that is drawn by the seed, whenever it is asked for."""

    def plan(model, X, seed):
        rng, Z = np.random.default_rng(seed), model.Z.numpy()
        moved = rng.integers(len(Z), size=1)
        Z[moved] = X[rng.integers(len(X))]
        return Plan(moved, Z)

    monkeypatch.setattr(replacing, "plan_replacement", plan)


def values(method):
    return {variable.name: variable.numpy() for variable in method.model.variables}


def assert_same(ours, theirs):
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


@pytest.mark.parametrize(("method", "batch_size"), METHODS)
def test_copies_move_at_the_first_step_and_are_counted(method, batch_size, pool):
    machine = pool(method, batch_size)
    assert isinstance(machine, Replacing) and machine.name == method and machine.replaced == 0
    records = [machine.advance() for _ in range(6)]
    assert machine.replaced == 3 and machine.step == 6
    assert np.isfinite([record.values() for record in records]).all()
    distances = np.linalg.norm(machine.model.Z.numpy()[:, None] - machine.model.Z.numpy(), axis=-1)
    assert distances[np.triu_indices(10, 1)].min() > 0.05
    assert machine.notes[-1] == "redundant inducing points re-placed: 3"


@pytest.mark.parametrize(("method", "batch_size"), METHODS)
def test_without_the_option_the_method_is_as_it_was(method, batch_size):
    machine = make(method, batch_size, on=False)
    assert not isinstance(machine, Replacing) and machine.replaced is None


@pytest.mark.parametrize(
    ("method", "batch_size", "kind"),
    [
        ("adam", 20, {}),
        ("adam", 20, {"q_diag": True, "whiten": False}),
        ("natgrad", 20, {"whiten": False}),
        ("natgrad", 20, {"q_diag": True}),
        ("natgrad", 60, {}),
        ("collapsed", 60, {}),
    ],
)
def test_interrupted_and_resumed_equals_uninterrupted(method, batch_size, kind, restless, pool):
    whole = pool(method, batch_size, **kind)
    counts = []
    for _ in range(9):
        whole.advance()
        counts.append(whole.replaced + whole._undone)
    assert 0 < counts[0] <= counts[5] < counts[-1]  # before and after the interruption
    whole.publish()
    wanted, replaced = values(whole), whole.replaced
    first = pool(method, batch_size, **kind)  # the same object, from the start
    for _ in range(6):
        first.advance()
    second = make(method, batch_size, **kind)
    second.load_state({name: np.array(array) for name, array in first.state().items()})
    assert (second.replaced, second.step) == (first.replaced, 6)
    for _ in range(3):
        second.advance()
    second.publish()
    assert second.replaced == replaced
    assert_same(wanted, values(second))


def test_a_move_that_does_not_pay_is_undone(monkeypatch):
    """The collapsed bound is known before a step is taken, and a gain by that step would hide a loss."""
    monkeypatch.setattr(replacing, "plan_replacement", lambda model, X, seed: None)
    machine, plain = make("collapsed"), make("collapsed", on=False)
    machine.advance(), plain.advance()
    far = np.full((10, 2), 3.0) + 0.01 * np.arange(10)[:, None]
    monkeypatch.setattr(
        replacing, "plan_replacement", lambda model, X, seed: Plan(np.arange(1, 10), far.copy())
    )
    for _ in range(3):
        assert machine.advance().values()[0] == plain.advance().values()[0]
    assert machine.replaced == 0 and machine._undone == 3
    assert "3 moves undone" in machine.notes[-1]
    assert_same(values(machine), values(plain))


@pytest.mark.parametrize(("method", "batch_size"), METHODS)
def test_a_failure_leaves_everything_as_it_was(method, batch_size, monkeypatch, pool, without_graphs):
    machine, plain = pool(method, batch_size), make(method, batch_size, on=False)
    if batch_size == 20:  # both without L-BFGS
        machine = make(method, batch_size)
        without_graphs(machine.method), without_graphs(plain)

    def fail(model, plan):
        model.Z.assign(plan.Z)
        raise NumericalError("as if Kuu had failed")

    monkeypatch.setattr(replacing, "replace_points", fail)
    for _ in range(3):
        machine.advance(), plain.advance()
    assert machine.replaced == 0 and machine._undone > 0
    for one in (machine, plain):
        one.publish()
    assert_same(values(machine), values(plain))


def test_iterations_are_interrupted_ever_more_seldom(monkeypatch, pool):
    asked = []
    monkeypatch.setattr(replacing, "plan_replacement", lambda model, X, seed: asked.append(seed[-1]))
    machine = pool("collapsed", 60)
    for _ in range(30):
        machine.advance()
    assert asked[0] == 0 and len(asked) < 14
    growth = np.divide(asked[6:], asked[5:-1])
    assert growth.min() > 1.2
    asked.clear()
    machine = pool("adam", 20)
    for _ in range(10):
        machine.advance()
    assert asked == [0, 3, 6, 9]  # once an epoch


def test_nothing_moves_in_the_last_tenth_of_the_time(monkeypatch):
    asked = []
    monkeypatch.setattr(replacing, "plan_replacement", lambda model, X, seed: asked.append(seed[-1]))
    machine = make("collapsed", max_seconds=1000.0)
    machine.advance()
    machine.method.spend(950.0)
    machine.advance()
    assert asked == [0]


@pytest.mark.parametrize("whiten", [True, False])
def test_adam_forgets_what_it_knew_of_points_that_moved(whiten):
    X = np.random.default_rng(1).normal(size=(6, 2))
    model = SVGP(Matern32(1.0, [1.0, 1.0]), Gaussian(0.1), X, num_data=50, whiten=whiten)
    optimiser = AdamOptimiser(model.trainable_variables, 0.01, model)
    for m, v in zip(optimiser.m, optimiser.v, strict=True):
        m.assign(np.full(m.shape, 2.0))
        v.assign(np.arange(1.0, 1.0 + np.prod(v.shape)).reshape(v.shape))
    before = [slot.numpy() for slot in optimiser.v]
    optimiser.forget(model, np.array([2, 4]))
    found = {
        x.name: (m.numpy(), v.numpy())
        for x, m, v in zip(optimiser.variables, optimiser.m, optimiser.v, strict=True)
    }
    old = {x.name: v for x, v in zip(optimiser.variables, before, strict=True)}
    m, v = found["Z:0"]
    assert m[:, 0].tolist() == [2, 2, 0, 2, 0, 2]
    np.testing.assert_array_equal(v[2], old["Z:0"].mean(axis=0))
    np.testing.assert_array_equal(v[3], old["Z:0"][3])
    assert found["q_mean:0"][0][0].tolist() == ([2, 2, 0, 0, 0, 0] if whiten else [2, 2, 0, 2, 0, 2])
    m, v = found["q_sqrt:0"]
    assert m[0, :, 0].tolist() == [2, 2, 0, 0, 0, 0]
    assert np.all(v[0, 2:] == old["q_sqrt:0"].mean()) and np.all(v[0, :2] == old["q_sqrt:0"][0, :2])
    others = [name for name in found if not name.startswith(("Z", "q_"))]
    assert len(others) == 3 and all(np.all(found[name][0] == 2.0) for name in others)
