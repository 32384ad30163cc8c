"""Stationary kernels against their formulas, finite differences, and an independent library."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from svgp.errors import ModelError
from svgp.kernels import (
    Cosine,
    Matern12,
    Matern32,
    Matern52,
    NeuralNetwork,
    SpectralMixture,
    SquaredExponential,
)

KERNELS = [SquaredExponential, Matern12, Matern32, Matern52]

# From Rasmussen & Williams 2006, section 4.2, as functions of r.
FORMULAS = {
    SquaredExponential: lambda r: np.exp(-0.5 * r**2),
    Matern12: lambda r: np.exp(-r),
    Matern32: lambda r: (1 + np.sqrt(3) * r) * np.exp(-np.sqrt(3) * r),
    Matern52: lambda r: (1 + np.sqrt(5) * r + 5 * r**2 / 3) * np.exp(-np.sqrt(5) * r),
}
LENGTHSCALES = np.array([0.5, 1.0, 2.0])


def points(rows, columns=3, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, columns))


def direct(kind, X, Z, variance, lengthscales):
    """The formula on explicit differences: no expansion, no cancellation."""
    r2 = np.sum(((X[:, None] - Z[None]) / lengthscales) ** 2, -1)
    return variance * FORMULAS[kind](np.sqrt(r2))


def gradients(kernel, X, Z, weights):
    """The weighted sum of K(X, Z) (K(X) where Z is None) and its gradients: inputs, then parameters."""
    inputs = [tf.constant(x) for x in (X, Z) if x is not None]
    parameters = [kernel.lengthscales, kernel.variance]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        values = [tf.convert_to_tensor(p) for p in parameters]
        total = tf.reduce_sum(tf.cast(weights, kernel.dtype) * kernel.K(*inputs))
    del values
    return total, tape.gradient(total, inputs + list(kernel.trainable_variables))


def numeric(function, x, step=1e-6):
    """Central differences of a scalar function of an array."""
    gradient = np.zeros_like(x)
    for index in np.ndindex(*x.shape):
        shift = np.zeros_like(x)
        shift[index] = step
        gradient[index] = (function(x + shift) - function(x - shift)) / (2 * step)
    return gradient


@pytest.mark.parametrize("kind", KERNELS)
def test_matrix_is_the_formula(kind):
    X, Z = points(7), points(5, seed=1)
    kernel = kind(1.7, LENGTHSCALES)
    np.testing.assert_allclose(kernel.K(X, Z), direct(kind, X, Z, 1.7, LENGTHSCALES), rtol=1e-13)
    np.testing.assert_allclose(kernel(X), direct(kind, X, X, 1.7, LENGTHSCALES), rtol=1e-13)


@pytest.mark.parametrize("kind", KERNELS)
@pytest.mark.parametrize("variance", [1e-8, 0.1, 1.7, 3e5])
def test_diagonal_is_exactly_the_variance(kind, variance):
    X = 100.0 * points(40)
    kernel = kind(variance, 0.01)
    np.testing.assert_array_equal(np.diag(kernel.K(X)), np.asarray(kernel.K_diag(X)))
    np.testing.assert_array_equal(np.asarray(kernel.K_diag(X)), float(tf.convert_to_tensor(kernel.variance)))


@pytest.mark.parametrize("kind", KERNELS)
@pytest.mark.parametrize("square", [False, True])
def test_gradients_are_finite_differences(kind, square):
    X, Z = points(5), None if square else points(4, seed=1)
    weights = points(5, 5 if square else 4, seed=2)  # not symmetric
    kernel = kind(1.7, LENGTHSCALES)
    _, (*inputs, log_lengthscales, log_variance) = gradients(kernel, X, Z, weights)

    def total(X=X, Z=Z, variance=1.7, lengthscales=LENGTHSCALES):
        return np.sum(weights * direct(kind, X, X if Z is None else Z, variance, lengthscales))

    np.testing.assert_allclose(inputs[0], numeric(lambda x: total(X=x), X), atol=2e-8)
    if not square:
        np.testing.assert_allclose(inputs[1], numeric(lambda z: total(Z=z), Z), atol=2e-8)
    by_lengthscale = numeric(lambda s: total(lengthscales=s), LENGTHSCALES)
    np.testing.assert_allclose(log_lengthscales, LENGTHSCALES * by_lengthscale, atol=2e-8)
    by_variance = numeric(lambda v: total(variance=v), np.array(1.7))
    np.testing.assert_allclose(log_variance, 1.7 * by_variance, atol=2e-8)


@pytest.mark.parametrize("kind", [SquaredExponential, Matern32, Matern52])
def test_gradients_are_those_of_automatic_differentiation(kind):
    X, Z, weights = points(30), points(20, seed=1), points(30, 20, seed=2)
    kernel = kind(1.7, LENGTHSCALES)
    _, ours = gradients(kernel, X, Z, weights)
    naive = {
        SquaredExponential: lambda r: tf.exp(-0.5 * r**2),
        Matern32: lambda r: (1 + np.sqrt(3) * r) * tf.exp(-np.sqrt(3) * r),
        Matern52: lambda r: (1 + np.sqrt(5) * r + 5 * r**2 / 3) * tf.exp(-np.sqrt(5) * r),
    }[kind]
    inputs = [tf.constant(X), tf.constant(Z)]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        scaled = (inputs[0][:, None] - inputs[1][None]) / tf.convert_to_tensor(kernel.lengthscales)
        r = tf.sqrt(tf.reduce_sum(scaled**2, -1))
        total = tf.reduce_sum(weights * tf.convert_to_tensor(kernel.variance) * naive(r))
    theirs = tape.gradient(total, inputs + list(kernel.trainable_variables))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("kind", KERNELS)
@pytest.mark.parametrize("square", [False, True])
def test_gradients_at_coincident_points(kind, square):
    """Finite, and those of the points that do differ: k is flat (or symmetric, Matern12) at r = 0."""
    X = np.repeat(points(3), 2, axis=0)
    Z = None if square else X[::-1].copy()
    weights = points(6, 6, seed=2)
    _, found = gradients(kind(1.7, LENGTHSCALES), X, Z, weights)
    assert all(np.all(np.isfinite(g)) for g in found)
    other = X if Z is None else Z
    difference = (X[:, None] - other[None]) / LENGTHSCALES  # [N, N2, D]
    r = np.sqrt(np.sum(difference**2, -1))
    step = 1e-6
    slope = np.where(r > 0, (FORMULAS[kind](r + step) - FORMULAS[kind](np.abs(r - step))) / (2 * step), 0.0)
    per_pair = (weights * 1.7 * slope / np.where(r > 0, r, 1.0))[..., None] * difference / LENGTHSCALES
    expected = per_pair.sum(1) - (per_pair.sum(0) if square else 0.0)
    np.testing.assert_allclose(found[0], expected, atol=1e-7)


@pytest.mark.parametrize("kind", KERNELS)
def test_data_far_from_the_origin_loses_nothing(kind):
    """At 1e6 the inputs themselves are rounded to 1e-10; the matrix and its gradient add nothing to it."""
    X, Z, weights = points(20), points(15, seed=1), points(20, 15, seed=2)
    kernel = kind(1.7, LENGTHSCALES)
    far_X, far_Z = X + 1e6, Z + 1e6
    near_X, near_Z = far_X - 1e6, far_Z - 1e6  # the same differences, exactly
    near, near_gradients = gradients(kernel, near_X, near_Z, weights)
    far, far_gradients = gradients(kernel, far_X, far_Z, weights)
    np.testing.assert_allclose(kernel.K(far_X, far_Z), kernel.K(near_X, near_Z), rtol=1e-9)
    np.testing.assert_allclose(far, near, rtol=1e-9)
    for a, b in zip(far_gradients, near_gradients, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8)


ROWS_APART = [Matern32(), SquaredExponential(), Cosine(lengthscales=[1.3, 0.7, 0.9])]
ROWS_APART += [SpectralMixture([0.5, 0.5], [[0.1, 0.2, 0.1]] * 2, [[0.1, 0.3, 0.2]] * 2)]


@pytest.mark.parametrize("kernel", ROWS_APART, ids=lambda kernel: kernel.name)
def test_a_row_far_from_all_others_costs_them_no_digits(kernel):
    """What is predicted for a row must not depend on the rows that it is predicted with."""
    X, Z = points(11), points(6, seed=1)
    with_far = np.vstack([X, [[-1e12, 1e12, 0.0]], X[:2]])
    alone, square = kernel.K(X, Z), kernel.K(X)
    np.testing.assert_allclose(kernel.K(with_far, Z)[:11], alone, atol=1e-13)
    np.testing.assert_allclose(kernel.K(Z, with_far)[:, :11], tf.transpose(alone), atol=1e-13)
    np.testing.assert_allclose(kernel.K(with_far)[:11, :11], square, atol=1e-13)


def test_large_inputs_leave_a_neural_network_kernel_finite():
    """The arcsine's argument is one but for rounding there; its slope at one is infinite."""
    X, kernel = 1e9 + points(8), NeuralNetwork()
    with tf.GradientTape() as tape:
        K = kernel.K(X, X + 1.0) + kernel.K(X)
    slopes = tape.gradient(K, kernel.trainable_variables)
    assert np.isfinite(K).all() and all(np.isfinite(slope).all() for slope in slopes)


@pytest.mark.parametrize("square", [False, True])
def test_compiled_like_eager_with_unknown_rows(square):
    """All kernels in one graph, each with its own tape: XLA takes half as long as for one after another."""
    X, Z = points(9), None if square else points(6, seed=1)
    weights = points(9, 9 if square else 6, seed=2)
    kernels = [kind(1.7, LENGTHSCALES) for kind in KERNELS]
    eager = [gradient for kernel in kernels for gradient in gradients(kernel, X, Z, weights)[1]]
    inputs = [x for x in (X, Z) if x is not None]

    def compiled(*inputs):
        found = []
        for kernel in kernels:
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                total = tf.reduce_sum(weights * kernel.K(*inputs))
            found += tape.gradient(total, list(inputs) + list(kernel.trainable_variables))
        return found

    signature = [tf.TensorSpec([None, 3], tf.float64) for _ in inputs]
    graph = tf.function(compiled, input_signature=signature, autograph=False)(*inputs)
    xla = tf.function(compiled, jit_compile=True, autograph=False)(*[tf.constant(x) for x in inputs])
    for a, b, c in zip(eager, graph, xla, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(c, a, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("kind", KERNELS)
def test_batches_of_hyperparameters_are_separate_kernels(kind):
    X, Z = points(6), points(4, seed=1)
    variances, lengthscales = np.array([0.5, 2.0]), np.array([[0.5, 1.0, 2.0], [3.0, 0.2, 1.0]])
    both = kind(variances, lengthscales)
    apart = [kind(v, row) for v, row in zip(variances, lengthscales, strict=True)]
    np.testing.assert_allclose(both.K(X, Z), [k.K(X, Z) for k in apart], rtol=1e-14)
    np.testing.assert_allclose(both.K(X), [k.K(X) for k in apart], rtol=1e-14)
    np.testing.assert_allclose(both.K_diag(X), [k.K_diag(X) for k in apart], rtol=1e-14)
    weights = points(8, 6, seed=2).reshape(2, 6, 4)
    _, (X_bar, Z_bar, *parameters) = gradients(both, X, Z, weights)
    separate = [gradients(k, X, Z, w)[1] for k, w in zip(apart, weights, strict=True)]
    np.testing.assert_allclose(X_bar, separate[0][0] + separate[1][0], rtol=1e-12)
    np.testing.assert_allclose(Z_bar, separate[0][1] + separate[1][1], rtol=1e-12)
    for place, found in enumerate(parameters, start=2):
        np.testing.assert_allclose(found, [g[place] for g in separate], rtol=1e-12)


def test_batched_variance_with_shared_lengthscales():
    X = points(6)
    kernel = Matern32([0.5, 2.0], LENGTHSCALES)
    np.testing.assert_allclose(kernel.K(X), [Matern32(v, LENGTHSCALES).K(X) for v in (0.5, 2.0)], rtol=1e-14)
    single = Matern32(1.0, [[0.5], [2.0]])  # one lengthscale for each of two latent GPs
    np.testing.assert_allclose(single.K(X), [Matern32(1.0, s).K(X) for s in (0.5, 2.0)], rtol=1e-14)
    assert single.K_diag(X).shape == (2, 6) and single.input_lengthscales(3).shape == (2, 3)


def test_batched_inputs():
    Z = points(8).reshape(2, 4, 3)  # inducing inputs of two latent GPs
    X = points(5, seed=1)
    kernel = Matern52([0.5, 2.0], [[1.0], [2.0]])
    expected = [Matern52(v, s).K(z, X) for v, s, z in zip((0.5, 2.0), (1.0, 2.0), Z, strict=True)]
    np.testing.assert_allclose(kernel.K(Z, X), expected, rtol=1e-13)


@pytest.mark.parametrize("kind", KERNELS)
def test_float32_keeps_duplicated_points_positive_definite(kind):
    """Distances come from float64, so only the rounding of the entries is left: a jitter of 1e-5 holds."""
    X = points(128, 2)
    X = np.concatenate([X, X + 1e-7 * points(128, 2, seed=1)])
    K = kind(1.0, 0.7, dtype=tf.float32).K(X)
    assert K.dtype == tf.float32
    exact = kind(1.0, 0.7).K(X)
    assert np.abs(K.numpy() - exact.numpy()).max() < 3e-7
    factor = tf.linalg.cholesky(tf.cast(K, tf.float32) + 1e-5 * tf.eye(256))
    assert np.all(np.isfinite(factor))


@pytest.mark.parametrize("kind", KERNELS)
def test_float32_gradients_are_near_float64(kind):
    X, Z, weights = points(60), points(50, seed=1), points(60, 50, seed=2)
    _, single = gradients(kind(1.7, LENGTHSCALES, dtype=tf.float32), X, Z, weights)
    _, double = gradients(kind(1.7, LENGTHSCALES), X, Z, weights)
    for a, b in zip(single, double, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4)


def test_result_type_can_differ_from_the_parameters():
    X, Z = points(6), points(4, seed=1)
    kernel = Matern32(1.7, LENGTHSCALES)
    K = kernel.K(X, Z, dtype=tf.float32)
    assert K.dtype == tf.float32 and kernel.K_diag(X, dtype=tf.float32).dtype == tf.float32
    np.testing.assert_allclose(K, kernel.K(X, Z), rtol=2e-6)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(kernel.K(X, Z, dtype=tf.float32))
    assert all(g.dtype == tf.float64 for g in tape.gradient(total, kernel.trainable_variables))


@pytest.mark.parametrize("lengthscale", [1e-12, 1e-6, 1e6, 1e12])
@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
@pytest.mark.parametrize("kind", KERNELS)
def test_extreme_lengthscales_stay_finite(kind, dtype, lengthscale):
    kernel = kind(1.0, lengthscale, dtype=dtype)
    total, found = gradients(kernel, points(10), None, np.ones((10, 10)))
    assert np.isfinite(total) and all(np.all(np.isfinite(g)) for g in found)
    assert np.max(kernel.K(points(10))) <= 1.0 + 1e-6


def test_second_derivatives():
    """The adjoint is itself differentiable; the Hessian of SE in X is known from its formula."""
    kernel, x = SquaredExponential(1.0, 1.0), tf.constant([[0.3]], tf.float64)
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            k = tf.reduce_sum(kernel.K(x, [[1.0]]))
        first = inner.gradient(k, x)
    second = outer.gradient(first, x)
    np.testing.assert_allclose(second, (0.7**2 - 1.0) * np.exp(-0.5 * 0.7**2), rtol=1e-12)


@pytest.mark.parametrize("kind", KERNELS)
def test_gpflow_agrees(kind):
    gpflow = pytest.importorskip("gpflow")
    X, Z, weights = points(12), points(9, seed=1), points(12, 9, seed=2)
    theirs = getattr(gpflow.kernels, kind.__name__)(1.7, LENGTHSCALES)
    total, (X_bar, Z_bar, *_) = gradients(kind(1.7, LENGTHSCALES), X, Z, weights)
    inputs = [tf.constant(X), tf.constant(Z)]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        their_total = tf.reduce_sum(weights * theirs.K(*inputs))
    np.testing.assert_allclose(total, their_total, rtol=1e-12)
    for a, b in zip((X_bar, Z_bar), tape.gradient(their_total, inputs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_wrong_inputs_are_refused():
    kernel = Matern32(1.0, LENGTHSCALES)
    with pytest.raises(ModelError, match=r"shape \(5,\), expected \[N, D\]"):
        kernel.K(np.zeros(5))
    with pytest.raises(ModelError, match="3 lengthscales for inputs with 2 columns"):
        kernel.K(np.zeros((5, 2)))
    with pytest.raises(ModelError, match="variance: must be finite and above 0"):
        Matern32(-1.0)
    with pytest.raises(ModelError, match="3 lengthscales for 2 active dimensions"):
        Matern32(1.0, LENGTHSCALES, active_dims=(0, 1))
    with pytest.raises(ModelError, match=r"active_dims \[4\] are not among the 3 input columns"):
        Matern32(active_dims=(0, 4)).K(np.zeros((5, 3)))


def test_checkpoints_hold_its_variables():
    kernel = Matern32(1.0, LENGTHSCALES)
    assert len(kernel.trainable_variables) == 2
    np.testing.assert_allclose(kernel.input_lengthscales(3), LENGTHSCALES)
