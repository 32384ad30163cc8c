"""What every likelihood promises: expectations, gradients, shapes, agreement with another library."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from svgp.errors import ModelError
from svgp.likelihoods import Bernoulli, Gaussian, Poisson, StudentT

ROWS = 6
OBSERVATIONS = {
    "regression": [[0.3], [-1.0], [2.0], [0.0], [5.0], [1.0]],
    "binary": [[0.0], [1.0], [0.0], [1.0], [0.0], [1.0]],
    "count": [[0.0], [1.0], [2.0], [7.0], [3.0], [0.0]],
}
BUILD = {
    "gaussian": lambda **o: Gaussian(0.3, **o),
    "student_t": lambda **o: StudentT(0.4, 4.0, **o),
    "probit": lambda **o: Bernoulli("probit", **o),
    "logit": lambda **o: Bernoulli("logit", **o),
    "poisson": lambda **o: Poisson(**o),
}
NAMES = list(BUILD)


def problem(name, seed=0):
    rng = np.random.default_rng(seed)
    likelihood = BUILD[name]()
    Y = np.array(OBSERVATIONS[likelihood.task])
    return likelihood, rng.normal(size=(ROWS, 1)), rng.uniform(0.05, 1.0, size=(ROWS, 1)), Y


def dense(function, mean, variance):
    """E[function(f)] for each row by the trapezoidal rule on 20,001 points over +-10 deviations."""
    t = np.linspace(-10.0, 10.0, 20_001)[:, None, None]
    weights = np.exp(-0.5 * t**2) / np.exp(-0.5 * t**2).sum()
    return np.sum(weights * np.asarray(function(mean + np.sqrt(variance) * t)), axis=0)  # [N, 1]


@pytest.mark.parametrize("name", NAMES)
def test_expected_log_likelihood_is_the_integral(name):
    likelihood, mean, variance, Y = problem(name)
    expected = dense(lambda F: likelihood._log_density(tf.constant(F), Y), mean, variance)[:, 0]
    found = likelihood.expected_log_likelihood(mean, variance, Y)
    assert found.shape == (ROWS,)
    # Student-t is the one whose log density 39 degrees of polynomial do not quite follow.
    np.testing.assert_allclose(found, expected, rtol=1e-3 if name == "student_t" else 1e-7)


@pytest.mark.parametrize("name", ["student_t", "poisson"])
def test_expected_log_likelihood_is_monte_carlo(name):
    likelihood, mean, variance, Y = problem(name)
    draws = mean + np.sqrt(variance) * np.random.default_rng(1).normal(size=(100_000, ROWS, 1))
    samples = likelihood._log_density(tf.constant(draws), Y).numpy()[..., 0]  # [S, N]
    found = likelihood.expected_log_likelihood(mean, variance, Y).numpy()
    error = samples.std(0) / np.sqrt(len(samples))
    assert np.all(np.abs(found - samples.mean(0)) < 5 * error + 1e-3 * np.abs(found))


@pytest.mark.parametrize("name", NAMES)
def test_predictive_density_is_the_integral(name):
    likelihood, mean, variance, Y = problem(name)
    expected = np.log(dense(lambda F: np.exp(likelihood._log_density(tf.constant(F), Y)), mean, variance))[
        :, 0
    ]
    np.testing.assert_allclose(likelihood.predict_log_density(mean, variance, Y), expected, rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_predictive_moments_are_the_integrals(name):
    likelihood, mean, variance, _ = problem(name)
    first = dense(lambda F: likelihood._moments(tf.constant(F))[0], mean, variance)
    square = dense(lambda F: likelihood._moments(tf.constant(F))[0] ** 2, mean, variance)
    noise = dense(lambda F: likelihood._moments(tf.constant(F))[1], mean, variance)
    found_mean, found_variance = likelihood.predict_mean_and_var(mean, variance)
    np.testing.assert_allclose(found_mean, first, rtol=1e-9)
    np.testing.assert_allclose(found_variance, square + noise - first**2, rtol=1e-7)


@pytest.mark.parametrize("method", ["expected_log_likelihood", "predict_log_density"])
@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_finite_differences(name, method):
    likelihood, mean, variance, Y = problem(name)
    function = getattr(likelihood, method)
    inputs = [tf.constant(mean), tf.constant(variance)]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        total = tf.reduce_sum(function(*inputs, Y))
    found = tape.gradient(total, [*inputs, *likelihood.trainable_variables])
    step = 1e-5
    for place, gradient in enumerate(found[:2]):
        shift = [step * (place == 0), step * (place == 1)]
        up = function(mean + shift[0], variance + shift[1], Y)
        down = function(mean - shift[0], variance - shift[1], Y)
        np.testing.assert_allclose(gradient[:, 0], (up - down) / (2 * step), rtol=1e-6, atol=1e-8)
    for variable, gradient in zip(likelihood.trainable_variables, found[2:], strict=True):
        start = variable.numpy()
        sums = []
        for sign in (1, -1):
            variable.assign(start + sign * step)
            sums.append(float(tf.reduce_sum(function(mean, variance, Y))))
        variable.assign(start)
        np.testing.assert_allclose(gradient, (sums[0] - sums[1]) / (2 * step), rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_no_uncertainty_is_the_log_probability(name):
    likelihood, mean, variance, Y = problem(name)
    expected = likelihood.log_prob(mean, Y)
    for method in (likelihood.expected_log_likelihood, likelihood.predict_log_density):
        np.testing.assert_allclose(method(mean, 0.0 * variance, Y), expected, rtol=1e-6)
        slightly_negative = tf.fill([ROWS, 1], tf.constant(-1e-18, tf.float64))  # what rounding leaves
        assert np.all(np.isfinite(method(mean, slightly_negative, Y)))


@pytest.mark.parametrize("name", NAMES)
def test_jensen(name):
    """E[log p] <= log E[p]: the ELBO's data term is below the predictive density."""
    likelihood, mean, variance, Y = problem(name, seed=3)
    gap = likelihood.predict_log_density(mean, variance, Y) - likelihood.expected_log_likelihood(
        mean, variance, Y
    )
    assert np.all(gap > 0.0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_far_tails_keep_values_and_gradients_finite(name, dtype):
    likelihood = BUILD[name](dtype=dtype)
    mean = tf.constant([[-1e4], [-200.0], [-30.0], [30.0], [200.0], [1e4]], dtype)
    variance = tf.constant([[1e-12], [1e-3], [1.0], [50.0], [1e-6], [1.0]], dtype)
    Y = tf.constant(OBSERVATIONS[likelihood.task], dtype)
    for method in (likelihood.expected_log_likelihood, likelihood.predict_log_density):
        with tf.GradientTape() as tape:
            tape.watch([mean, variance])
            value = method(mean, variance, Y)
        assert np.all(np.isfinite(value)) and value.dtype == dtype
        found = tape.gradient(value, [mean, variance, *likelihood.trainable_variables])
        assert all(np.all(np.isfinite(g)) for g in found if g is not None)


def test_compiled_like_eager_with_unknown_rows():
    """All likelihoods in one graph: XLA takes a fraction of what it takes for one after another."""
    problems = [problem(name) for name in NAMES]
    tensors = [tf.constant(x) for _, *arrays in problems for x in arrays]

    def everything(*tensors):
        found = []
        for number, (likelihood, *_) in enumerate(problems):
            given = tensors[3 * number : 3 * number + 3]
            found += [likelihood.expected_log_likelihood(*given), likelihood.predict_log_density(*given)]
        return found

    signature = [tf.TensorSpec([None, 1], tf.float64)] * len(tensors)
    graph = tf.function(everything, input_signature=signature, autograph=False)
    compiled = tf.function(everything, jit_compile=True, autograph=False)
    together = (everything(*tensors), graph(*tensors), compiled(*tensors))
    for name, eager, by_graph, by_xla in zip(np.repeat(NAMES, 2), *together, strict=True):
        np.testing.assert_allclose(by_graph, eager, err_msg=name)
        np.testing.assert_allclose(by_xla, eager, rtol=1e-10, err_msg=name)


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_never_broadcast_against_rows(name):
    likelihood, mean, variance, Y = problem(name)
    expected = likelihood.expected_log_likelihood(mean, variance, Y)
    np.testing.assert_array_equal(likelihood.expected_log_likelihood(mean, variance, Y[:, 0]), expected)
    for wrong in (Y[:1], Y[:3], Y.T, np.tile(Y, 2)):
        with pytest.raises(ModelError, match="function values have shape"):
            likelihood.expected_log_likelihood(mean, variance, wrong)
    with pytest.raises(ModelError, match="expected the same"):
        likelihood.predict_log_density(mean, variance[:3], Y)
    with pytest.raises(ModelError, match="function values have shape"):
        likelihood.log_prob(mean[:, 0], Y)


@pytest.mark.parametrize("name", NAMES)
def test_unknown_rows_that_differ_fail_when_the_graph_runs(name):
    likelihood, mean, variance, Y = problem(name)
    shapes = [tf.TensorSpec([None, 1], tf.float64)] * 2 + [tf.TensorSpec([None], tf.float64)]
    traced = tf.function(likelihood.expected_log_likelihood, input_signature=shapes, autograph=False)
    for one, other in ((slice(None), slice(1)), (slice(1), slice(None))):
        with pytest.raises(tf.errors.InvalidArgumentError, match="rows_of_F_and_Y_differ"):
            traced(mean[one], variance[one], Y[other, 0])


@pytest.mark.parametrize("name", NAMES)
def test_outputs_add_up(name):
    likelihood, mean, variance, Y = problem(name)
    both = [np.concatenate([x, x[::-1]], 1) for x in (mean, variance, Y)]
    for method in (likelihood.expected_log_likelihood, likelihood.predict_log_density):
        single = method(mean, variance, Y).numpy()
        np.testing.assert_allclose(method(*both), single + single[::-1], rtol=1e-12)
    assert [m.shape for m in likelihood.predict_mean_and_var(*both[:2])] == [(ROWS, 2), (ROWS, 2)]


@pytest.mark.parametrize("name", NAMES)
def test_gpflow_agrees(name):
    gpflow = pytest.importorskip("gpflow")
    likelihood, mean, variance, Y = problem(name)
    theirs = {
        "gaussian": lambda: gpflow.likelihoods.Gaussian(0.3),
        "student_t": lambda: gpflow.likelihoods.StudentT(0.4, 4.0),
        # Its own probit is floored at 1e-3; ours is not.
        "probit": lambda: gpflow.likelihoods.Bernoulli(
            invlink=lambda f: 0.5 * tf.math.erfc(-f / np.sqrt(2.0))
        ),
        "logit": lambda: gpflow.likelihoods.Bernoulli(invlink=tf.sigmoid),
        "poisson": lambda: gpflow.likelihoods.Poisson(),
    }[name]()
    X = np.zeros((ROWS, 1))
    expected = theirs.variational_expectations(X, mean, variance, Y)
    np.testing.assert_allclose(likelihood.expected_log_likelihood(mean, variance, Y), expected, rtol=1e-9)
    np.testing.assert_allclose(likelihood.log_prob(mean, Y), theirs.log_prob(X, mean, Y), rtol=1e-10)


@pytest.mark.parametrize("name", ["gaussian", "student_t", "poisson"])
def test_quantiles_are_those_of_draws(name):
    likelihood, mean, variance, _ = problem(name)
    rng = np.random.default_rng(5)
    F = mean + np.sqrt(variance) * rng.normal(size=(ROWS, 200_000))
    draw = {
        "gaussian": lambda: F + np.sqrt(0.3) * rng.normal(size=F.shape),
        "student_t": lambda: F + 0.4 * rng.standard_t(4.0, size=F.shape),
        "poisson": lambda: rng.poisson(np.exp(F)),
    }[name]()
    levels = [0.05, 0.5, 0.9]
    found = likelihood.predict_quantiles(mean, variance, levels)
    assert found.shape == (ROWS, 1, 3)
    # The share of draws at or below a quantile is its level: at least, for counts.
    below = np.stack([(draw <= q[:, None] + 1e-9).mean(1) for q in found.numpy()[:, 0].T], -1)
    strictly = np.stack([(draw < q[:, None] - 1e-9).mean(1) for q in found.numpy()[:, 0].T], -1)
    assert np.all(below > np.array(levels) - 5e-3) and np.all(strictly < np.array(levels) + 5e-3)


@pytest.mark.parametrize("level", [0.0, 1.0, -0.1, 95.0])
def test_levels_are_probabilities(level):
    with pytest.raises(ModelError, match="between 0 and 1"):
        Gaussian().predict_quantiles(np.zeros((2, 1)), np.ones((2, 1)), [0.5, level])


def test_tasks():
    tasks = {name: BUILD[name]().task for name in NAMES}
    assert [tasks[name] for name in ("gaussian", "student_t")] == ["regression", "regression"]
    assert [tasks[name] for name in ("probit", "logit", "poisson")] == ["binary", "binary", "count"]


def test_student_t_with_a_scale_for_each_output_is_its_outputs_apart():
    rng = np.random.default_rng(5)
    mean, variance = rng.normal(size=(7, 2)), rng.uniform(0.01, 1.0, size=(7, 2))
    Y, scales, levels = mean + rng.normal(size=(7, 2)), [0.1, 0.5], [0.1, 0.5, 0.9]
    both = StudentT(scale=scales, df=4.0)
    parts = [StudentT(scale=scale, df=4.0) for scale in scales]
    columns = [(mean[:, i : i + 1], variance[:, i : i + 1], Y[:, i : i + 1]) for i in range(2)]
    densities = [part.predict_log_density(*c).numpy() for part, c in zip(parts, columns, strict=True)]
    np.testing.assert_allclose(both.predict_log_density(mean, variance, Y), sum(densities), rtol=1e-12)
    quantiles = [
        part.predict_quantiles(c[0], c[1], levels).numpy() for part, c in zip(parts, columns, strict=True)
    ]
    np.testing.assert_allclose(
        both.predict_quantiles(mean, variance, levels), np.concatenate(quantiles, 1), rtol=1e-9, atol=1e-12
    )
