from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from svgp.config.train import TrainConfig
from svgp.errors import NumericalError, RunError
from svgp.kernels import Matern32
from svgp.likelihoods import Bernoulli, Gaussian, Poisson, StudentT
from svgp.models import SVGP
from svgp.training.lbfgs.machine import Lbfgs
from svgp.training.methods.adam import Adam
from svgp.training.methods.natgrad import NaturalGradient
from svgp.training.methods.natgrad_whole import WholeNaturalGradient
from svgp.training.methods.registry import choose, make_method

LIKELIHOODS = {
    "gaussian": lambda: Gaussian(0.1),
    "student_t": lambda: StudentT(0.1, df=3.0),
    "bernoulli": Bernoulli,
    "poisson": Poisson,
}


def make(kind, *, rows=60, inducing=12, **options):
    generator = np.random.default_rng(4)
    X = generator.uniform(-2.0, 2.0, (rows, 1))
    f = np.sin(2.0 * X)  # [rows, 1]
    Y = f + 0.1 * generator.normal(size=f.shape)
    if kind == "bernoulli":
        Y = (generator.uniform(size=f.shape) < 0.5 + 0.45 * f).astype(float)
    if kind == "poisson":
        Y = generator.poisson(np.exp(1.5 + f)).astype(float)
    if kind == "student_t":
        Y[::6] += generator.normal(size=Y[::6].shape) * 5.0  # outliers
    kernel, Z = Matern32(variance=1.2, lengthscales=[0.8]), np.linspace(-2.0, 2.0, inducing)[:, None]
    return SVGP(kernel, LIKELIHOODS[kind](), Z, num_data=rows, **options), X, Y


def settings(**more):
    values = {**dict(TrainConfig()), "method": "natgrad", "batch_size": 1000, "seed": 1, **more}
    return SimpleNamespace(**values)


DIAGONAL = {"q_diag": True, "whiten": True}


@pytest.fixture(scope="module")
def pool(pool_of):
    return pool_of(
        lambda kind, **options: WholeNaturalGradient(*make(kind, rows=40, inducing=8, **options), settings())
    )


@pytest.fixture(scope="module")
def wide_reference(publishing_once):
    """The bound that natural gradients reach in float64."""
    model, X, Y = make("poisson")
    method = publishing_once(NaturalGradient(model, X, Y, settings(method="auto")))
    for _ in range(25):
        method.advance()
    method.publish()
    return float(model.elbo((X, Y)))


@pytest.mark.parametrize(
    ("kind", "options"), [("student_t", {}), ("bernoulli", {}), ("poisson", {}), ("poisson", DIAGONAL)]
)
def test_the_gradient_is_that_of_the_bound_with_q_maximised_out(kind, options, pool):
    method = pool(kind, **options)
    x = method.optimiser.x
    _, gradient = method._evaluate(x)
    direction = np.random.default_rng(0).normal(size=len(x)) * 1e-3
    values = [method._evaluate(x + sign * direction)[0] for sign in (1.0, -1.0)]
    np.testing.assert_allclose(values[0] - values[1], 2.0 * gradient @ direction, rtol=2e-3, atol=1e-7)


@pytest.mark.parametrize("kind", LIKELIHOODS)
def test_reaches_what_twenty_times_as_many_adam_steps_reach(kind, pool):
    method = pool(kind)
    model = method.model
    rival, X, Y = make(kind, rows=40, inducing=8, whiten=True)
    adam = Adam(rival, X, Y, settings(learning_rate=0.05))
    for _ in range(6):
        record = method.advance()
    for _ in range(120):
        adam.advance()
    reached = float(model.elbo((X, Y)))
    assert reached == pytest.approx(record.values()[0], rel=1e-8)
    # Both climb to a local optimum of Z; without a log-concave likelihood the two may differ.
    assert reached >= float(rival.elbo((X, Y))) - (0.3 if kind == "student_t" else 0.01)


@pytest.mark.parametrize("options", [{}, {"q_diag": True}])
def test_state_continues_bit_for_bit(options, pool):
    straight = pool("poisson", **options)
    resumed = WholeNaturalGradient(*make("poisson", rows=40, inducing=8, **options), settings())
    for _ in range(2):
        straight.advance()
    middle = straight.state()
    resumed.load_state(middle)
    for name, array in middle.items():
        np.testing.assert_array_equal(resumed.state()[name], array, err_msg=name)
    for _ in range(2):
        np.testing.assert_array_equal(straight.advance().values(), resumed.advance().values())
    for name, array in straight.state().items():
        np.testing.assert_array_equal(array, resumed.state()[name], err_msg=name)


def test_state_of_the_method_with_a_learning_rate_is_refused():
    method = WholeNaturalGradient(*make("poisson"), settings())
    other = NaturalGradient(*make("poisson"), settings(learning_rate=0.1))
    with pytest.raises(RunError, match="learning_rate"):
        method.load_state(other.state())


def test_a_point_without_a_bound_sends_the_search_back(monkeypatch, pool):
    method = pool("poisson")
    settle, calls = method._compiled_settle, []

    def sometimes(X, Y):
        statistics, gradient, state = settle(X, Y)
        calls.append(None)
        bound = np.nan if len(calls) in (3, 4) else 1.0
        return statistics * tf.constant([bound, 1.0, 1.0, 1.0, 1.0, 1.0], tf.float64), gradient, state

    monkeypatch.setattr(method, "_compiled_settle", sometimes)
    first, second = method.advance().values(), method.advance().values()
    assert first[4] == 2.0 and second[4] == 0.0  # repairs
    assert np.isfinite(second).all() and second[0] > first[0]
    assert any("stepped back" in note for note in method.notes)


def test_no_bound_at_the_start_is_an_error(monkeypatch, pool):
    method = pool("gaussian")
    X, Y = method._data
    monkeypatch.setattr(method, "_data", (X, np.nan * Y))
    with pytest.raises(NumericalError, match="starting values"):
        method.advance()


def test_with_nothing_else_to_train_one_step_is_the_end():
    model, X, Y = make("poisson", rows=40, inducing=8)
    method = WholeNaturalGradient(model, X, Y, settings())
    method.posterior.hyperparameters = method.variables = []
    method.optimiser = Lbfgs(np.zeros(0), np.zeros((0, 2)))
    record = method.advance()
    assert method.converged
    method.load_state(method.state())
    assert method.converged
    assert float(model.elbo((X, Y))) == pytest.approx(record.values()[0], rel=1e-8)


@pytest.mark.parametrize(
    ("config", "expected", "words"),
    [
        ({}, WholeNaturalGradient, "none, hyperparameters by L-BFGS"),
        ({"batch_size": 59}, NaturalGradient, "0.1, the default of natgrad"),
        ({"learning_rate": 0.2}, NaturalGradient, "0.2, as the config says"),
        ({"method": "adam"}, Adam, "0.01, the default of adam"),
    ],
)
def test_the_batch_and_the_config_decide_how_hyperparameters_move(config, expected, words):
    model, X, Y = make("poisson")
    method = make_method(model, X, Y, settings(**config))
    assert type(method) is expected
    text = choose(model, len(X), settings(**config)).step_size
    assert words in text
    if method.learning_rate is not None:
        assert f"{method.learning_rate:g}" in text


@pytest.mark.parametrize("precision", ["float32", "mixed"])
def test_auto_takes_natural_gradients_in_any_precision(precision, wide_reference):
    reference, X, Y = make("poisson")
    narrow = tf.float32 if precision == "float32" else tf.float64
    kernel = Matern32(variance=1.2, lengthscales=[0.8], dtype=narrow)
    Z = np.asarray(reference.Z.numpy(), narrow.as_numpy_dtype)
    model = SVGP(kernel, Poisson(dtype=narrow), Z, num_data=60, jitter=1e-5, batch_dtype=tf.float32)
    config = settings(method="auto")
    assert choose(model, len(X), config).method is NaturalGradient
    method = make_method(model, X, Y, config)
    for _ in range(25):
        method.advance()
    method.publish()
    data = (X.astype(narrow.as_numpy_dtype), Y.astype(narrow.as_numpy_dtype))
    np.testing.assert_allclose(float(model.elbo(data)), wide_reference, atol=0.3)
