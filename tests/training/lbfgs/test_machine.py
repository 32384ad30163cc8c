"""L-BFGS in a box: minima, limits, what it keeps and forgets, and the same bits after a stop."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from svgp.training.lbfgs.line_search import CURVATURE, DECREASE, Point, between, search
from svgp.training.lbfgs.machine import MEMORY, Lbfgs


def rosenbrock(x):
    value = float(np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2))
    gradient = np.zeros_like(x)
    gradient[1:] += 200.0 * (x[1:] - x[:-1] ** 2)
    gradient[:-1] += -400.0 * x[:-1] * (x[1:] - x[:-1] ** 2) - 2.0 * (1.0 - x[:-1])
    return value, gradient


def make_quadratic(size=30, seed=0):
    """A convex function with its Hessian's eigenvalues from .01 to 100, and its minimum."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(size, size)))[0]
    hessian = basis * np.geomspace(0.01, 100.0, size) @ basis.T
    minimum = rng.normal(size=size)
    return lambda x: (0.5 * (x - minimum) @ hessian @ (x - minimum), hessian @ (x - minimum)), minimum


def make_machine():
    return Lbfgs(np.full(5, -1.0), np.tile([-2.0, 2.0], (5, 1)))


def evaluations_to_end(machine, objective):
    seen = []

    def counted(x):
        seen.append(x)
        return objective(x)

    while machine.advance(counted) is not None:
        pass
    return len(seen)


def test_finds_the_minimum_of_rosenbrock():
    machine = make_machine()
    evaluations_to_end(machine, rosenbrock)
    np.testing.assert_allclose(machine.x, 1.0, atol=1e-4)
    assert "decreased" in machine.finished or "gradient" in machine.finished


@pytest.mark.parametrize("size", [5, 50])
def test_takes_about_as_many_evaluations_as_scipy(size):
    start = np.random.default_rng(0).uniform(-1.0, 0.5, size)
    own = evaluations_to_end(Lbfgs(start, np.tile([-np.inf, np.inf], (size, 1))), rosenbrock)
    options = {"maxcor": MEMORY, "ftol": 1e-10, "gtol": 1e-7}
    scipys = minimize(rosenbrock, start, jac=True, method="L-BFGS-B", options=options).nfev
    assert own < 2 * scipys


@pytest.mark.parametrize("highest", [0.5, 0.9])
def test_ends_where_scipy_does_at_the_limits(highest):
    start = np.random.default_rng(0).uniform(-1.0, 0.3, 20)
    bounds = np.tile([-2.0, highest], (20, 1))
    machine = Lbfgs(start, bounds)
    evaluations_to_end(machine, rosenbrock)
    options = {"ftol": 1e-14, "gtol": 1e-9}
    best = minimize(rosenbrock, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    assert machine.x.max() == highest
    np.testing.assert_allclose(machine.x, best.x, atol=1e-4)


def test_never_asks_outside_the_box():
    bounds = np.column_stack([np.linspace(-1.5, -0.5, 8), np.linspace(0.2, 3.0, 8)])

    def watched(x):
        assert np.all((bounds[:, 0] <= x) & (x <= bounds[:, 1]))
        return rosenbrock(x)

    machine = Lbfgs(np.full(8, -5.0), bounds)  # which begins outside
    while machine.advance(watched) is not None:
        pass
    assert np.any(machine.x == bounds[:, 1])


def test_a_saved_machine_continues_bit_for_bit_also_after_a_step_was_cut_short():
    machine, calls = make_machine(), []

    def counting(x):
        calls.append(x)
        if len(calls) == 9:
            raise KeyboardInterrupt
        return rosenbrock(x)

    with pytest.raises(KeyboardInterrupt):
        while True:
            machine.advance(counting)
    state = {name: value.copy() for name, value in machine.state().items()}
    twin = Lbfgs(np.zeros(5), np.tile([-2.0, 2.0], (5, 1)))
    twin.load_state(state)
    assert np.array_equal(twin.x, machine.x)
    for _ in range(12):  # the interrupted one goes on as well
        assert np.array_equal(machine.advance(rosenbrock), twin.advance(rosenbrock))


def test_an_ended_machine_is_an_ended_one_when_it_was_loaded():
    machine = make_machine()
    evaluations_to_end(machine, rosenbrock)
    twin = make_machine()
    twin.load_state(machine.state())
    assert twin.finished == machine.finished and twin.advance(rosenbrock) is None


def test_after_a_change_of_the_objective_its_memory_serves():
    """The same curvature, another minimum: far fewer evaluations than from nothing."""
    objective, _ = make_quadratic()
    machine = Lbfgs(np.zeros(30), np.tile([-np.inf, np.inf], (30, 1)))
    evaluations_to_end(machine, objective)
    shift = 0.1 * np.random.default_rng(1).normal(size=30)
    fresh = Lbfgs(machine.x, machine.bounds)
    machine.renew()
    assert not machine.finished
    carried = evaluations_to_end(machine, lambda x: objective(x - shift))
    anew = evaluations_to_end(fresh, lambda x: objective(x - shift))
    np.testing.assert_allclose(machine.answer[0], 0.0, atol=1e-8)
    assert carried < 0.7 * anew


def test_of_coordinates_that_were_moved_the_memory_is_forgotten():
    objective, _ = make_quadratic()
    machine = Lbfgs(np.zeros(30), np.tile([-np.inf, np.inf], (30, 1)))
    for _ in range(10):
        machine.advance(objective)
    moved = machine.x * (1.0 + 1e-15)
    moved[[3, 7]] += 1.0
    before = machine.state()["steps"].copy()
    machine.renew(moved, objective(moved))
    after = machine.state()["steps"]
    assert not np.any(after[:, [3, 7]]) and np.any(before[:, 3])
    np.testing.assert_array_equal(np.delete(after, [3, 7], 1), np.delete(before, [3, 7], 1))
    np.testing.assert_array_equal(machine.x, moved)
    value = machine.answer[0]
    machine.advance(objective)
    assert machine.answer[0] < value


def test_where_the_memory_points_uphill_it_is_dropped():
    objective, _ = make_quadratic()
    machine = Lbfgs(np.zeros(30), np.tile([-np.inf, np.inf], (30, 1)))
    for _ in range(5):
        machine.advance(objective)
    state = machine.state()
    machine.load_state({**state, "changes": 1e-12 * state["changes"]})  # steps of a million lengths
    value = machine.answer[0]
    machine.advance(objective)
    assert machine.answer[0] < value and not machine.finished


def test_no_step_that_decreases_is_the_end():
    machine = Lbfgs(np.ones(3), np.tile([-9.0, 9.0], (3, 1)))
    gradient = np.ones(3)
    assert machine.advance(lambda x: (float(np.sum((x - 1.0) ** 2)), gradient)) is None  # it lies
    assert machine.finished == "no step decreases the objective"


def test_values_that_are_not_finite_send_the_search_back():
    def partly(x):
        value, gradient = rosenbrock(x)
        return (value, gradient) if np.all(x < 0.0) else (np.nan, np.full_like(x, np.nan))

    machine = make_machine()
    values = []
    for _ in range(5):
        machine.advance(partly)
        values.append(machine.answer[0])
    assert np.all(np.isfinite(values)) and np.all(np.diff(values) < 0.0)


@pytest.mark.parametrize("first", [1e-3, 1.0, 300.0])
def test_the_line_search_ends_where_both_conditions_hold(first):
    def at(step):
        value = (step - 2.0) ** 2 + 0.5 * np.cos(3.0 * step)
        slope = 2.0 * (step - 2.0) - 1.5 * np.sin(3.0 * step)
        enough = value <= start.value + DECREASE * step * start.slope
        return Point(step, np.array([step]), value, np.array([slope]), slope, enough)

    start = Point(0.0, np.zeros(1), 4.5, np.zeros(1), -4.0, True)
    point = search(at, start, first)
    assert point.enough and abs(point.slope) <= CURVATURE * 4.0


def test_between_two_points_is_the_minimum_of_the_cubic():
    def at(step):  # with its minimum at 1
        return Point(step, np.zeros(0), step**3 - 3.0 * step, np.zeros(0), 3.0 * step**2 - 3.0, True)

    assert between(at(0.5), at(1.7)) == pytest.approx(1.0)
    assert between(at(1.7), at(0.5)) == pytest.approx(1.0)
    assert between(at(0.99), at(3.0)) == pytest.approx(0.99 + 0.1 * 2.01)  # not next to an end
