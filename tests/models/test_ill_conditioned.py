"""Matrices that a Cholesky factorisation refuses: repaired in the graph, counted, and never NaN."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from svgp import kernels, likelihoods, linalg
from svgp.models import SVGP

KERNELS = [kernels.SquaredExponential, kernels.Matern12, kernels.Matern32, kernels.Matern52]
M, B, D = 12, 20, 2


@pytest.fixture(params=["host", "tensorflow"])
def who(request):
    with linalg.backend(request.param):
        yield request.param


def step_of(model):
    @tf.function(autograph=False)
    def step(X, Y):
        with tf.GradientTape() as tape:
            parts = model.elbo_parts((X, Y))
        return parts, tape.gradient(parts.elbo, model.trainable_variables)

    return step


def assign_problem(model, rng):
    """Duplicate or nearly equal points, lengthscales 1e-3 to 1e3 of the data's range, noise down to 1e-6."""
    dtype = model.dtype.as_numpy_dtype
    X = rng.normal(size=(B, D))
    Z = X[rng.choice(B, M)] if rng.random() < 0.7 else rng.normal(size=(M, D))
    Z = Z + 1e-6 * rng.normal(size=Z.shape) if rng.random() < 0.3 else Z
    Z = Z[:1] + 0 * Z if rng.random() < 0.1 else Z
    root = np.tril(0.1 * rng.normal(size=(M, M)))
    np.fill_diagonal(root, 10 ** rng.uniform(-2, 0, M))
    model.Z.assign(Z.astype(dtype))
    model.kernel.lengthscales.assign((10 ** rng.uniform(-3, 3, D)).astype(dtype))
    model.kernel.variance.assign(dtype(10 ** rng.uniform(-2, 2)))
    model.likelihood.variance.assign(dtype(1e-6 + 10 ** rng.uniform(-6.5, 0)))
    model.q_mean.assign(rng.normal(size=(1, M)).astype(dtype))
    model.q_sqrt.assign(root[None].astype(dtype))
    return tf.constant(X, model.dtype), tf.constant(rng.normal(size=(B, 1)), model.dtype)


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.__name__)
@pytest.mark.parametrize("dtype", [tf.float32, tf.float64], ids=lambda dtype: dtype.name)
def test_a_thousand_random_problems_have_no_nan_and_count_every_repair(dtype, kernel):
    """125 for each kernel and type; half of them whitened, on either backend."""
    case = KERNELS.index(kernel)
    with linalg.backend("tensorflow" if case % 2 else "host"):
        noise = likelihoods.Gaussian(0.1, dtype=dtype)
        model = SVGP(kernel(1.0, np.ones(D), dtype=dtype), noise, np.zeros((M, D)), 1000, whiten=case >= 2)
        step, rng, repaired = step_of(model), np.random.default_rng(case), 0
        for _ in range(125):
            parts, gradients = step(*assign_problem(model, rng))
            for values in (parts.elbo, *gradients):
                assert np.isfinite(values).all()
            repairs, jitter = int(parts.repairs), float(parts.jitter)
            assert (jitter > 1.001 * model.jitter) == (repairs > 0)
            repaired += repairs > 0
    # 1e-6 is always enough in float64; in float32 a prior variance above one makes it too little.
    assert repaired >= 5 if dtype == tf.float32 else repaired == 0


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64], ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("trouble", ["duplicates", "long lengthscales"])
def test_repairs_are_counted_eagerly_and_in_a_graph(trouble, graph, dtype, who):
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(B, D)), rng.normal(size=B)
    Z = np.repeat(X[:6], 2, axis=0) if trouble == "duplicates" else X[:M]
    scales = np.full(D, 1.0 if trouble == "duplicates" else 1e3)
    noise = likelihoods.Gaussian(0.1, dtype=dtype)
    model = SVGP(kernels.SquaredExponential(1.0, scales, dtype=dtype), noise, Z, jitter=0.0)
    step = step_of(model)
    parts, _ = (step if graph else step.python_function)(
        tf.constant(X, dtype), tf.constant(Y[:, None], dtype)
    )
    assert int(parts.repairs) >= 1 and np.isfinite(parts.elbo)
    np.testing.assert_allclose(parts.jitter, 10.0 ** (int(parts.repairs) - 7), rtol=1e-4)
    fixed = SVGP(model.kernel, noise, Z, jitter=float(parts.jitter))
    assert int(fixed.elbo_parts((X, Y)).repairs) == 0
    np.testing.assert_allclose(fixed.elbo((X, Y)), parts.elbo, rtol=1e-3 if dtype == tf.float32 else 1e-7)
    np.testing.assert_allclose(model.kl(), parts.kl, rtol=1e-2 if dtype == tf.float32 else 1e-6)


def test_only_the_latent_in_trouble_is_repaired(who):
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(B, D)), rng.normal(size=(B, 3))
    kernel = kernels.SquaredExponential(np.ones(3), np.array([[1.0], [1e8], [0.5]]))
    model = SVGP(kernel, likelihoods.Gaussian(0.1), 10.0 * rng.normal(size=(5, D)), jitter=0.0)
    factor = model.factor()
    assert factor.repairs[0] == factor.repairs[2] == 0 < factor.repairs[1]
    np.testing.assert_array_equal(factor.jitter[::2], [0.0, 0.0])
    parts = model.elbo_parts((X, Y))
    assert int(parts.repairs) == int(factor.repairs[1]) and parts.jitter == factor.jitter[1]


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("where", ["Z", "lengthscales", "variance"])
def test_nan_gives_nan_and_ends(where, graph, who):
    rng = np.random.default_rng(0)
    X, Y = tf.constant(rng.normal(size=(B, D))), tf.constant(rng.normal(size=(B, 1)))
    model = SVGP(kernels.Matern32(1.0, np.ones(D)), likelihoods.Gaussian(0.1), rng.normal(size=(M, D)))
    bad = model.Z if where == "Z" else getattr(model.kernel, where).pretransformed_input
    bad.assign(np.nan + bad)
    step = step_of(model)
    parts, gradients = step(X, Y) if graph else step.python_function(X, Y)
    assert np.isnan(parts.elbo) and int(parts.repairs) == 0 and float(parts.jitter) == model.jitter
    assert all(np.isnan(gradient).any() for gradient in gradients[:1])
    assert np.isnan(model.predict_f(X)[0]).all()
