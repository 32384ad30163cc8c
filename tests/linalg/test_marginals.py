"""The one operation for q(f) and its KL: against dense formulas and automatic differentiation."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from svgp.linalg import backend, factorise, marginals
from svgp.linalg.host import blas, strips, threads

M, B = 7, 11
SHAPES = {"one": (1, 1), "shared": (1, 3), "separate": (3, 3)}  # (factors, latents)


@pytest.fixture(params=["host", "tensorflow"])
def who(request):
    with backend(request.param):
        yield request.param


def inputs(shape, dtype=tf.float64, size=M, rows=B):
    factors, latents = SHAPES[shape]
    rng = np.random.default_rng(0)
    root = rng.normal(size=(factors, size + rows, size + rows))
    joint = root @ np.swapaxes(root, 1, 2) / size + 0.1 * np.eye(size + rows)
    q_sqrt = np.tril(0.3 * rng.normal(size=(latents, size, size))) + np.eye(size)
    arrays = [
        joint[:, :size, :size],
        joint[:, :size, size:],
        np.einsum("fbb->fb", joint[:, size:, size:]),
        rng.normal(size=(latents, size)),
        q_sqrt,
    ]
    return [tf.constant(array, dtype) for array in arrays]


def dense(Kuu, Kuf, kff, q_mean, q_sqrt, whiten):
    """The textbook formulas, which TensorFlow differentiates by itself."""
    K = (Kuu + tf.linalg.matrix_transpose(Kuu)) / 2
    L = tf.linalg.cholesky(K)
    A = tf.linalg.triangular_solve(L, Kuf)  # [1 or L, M, B]
    if not whiten:
        q_mean = tf.linalg.triangular_solve(L + tf.zeros_like(q_sqrt), q_mean[..., None])[..., 0]
        q_sqrt = tf.linalg.triangular_solve(L + tf.zeros_like(q_sqrt), q_sqrt)
    A = A + tf.zeros_like(q_sqrt[..., :1])
    C = tf.matmul(q_sqrt, A, transpose_a=True)
    squares = tf.reduce_sum(q_mean**2, -1) + tf.reduce_sum(q_sqrt**2, [-2, -1]) - q_mean.shape[-1]
    kl = 0.5 * squares - tf.reduce_sum(tf.math.log(tf.abs(tf.linalg.diag_part(q_sqrt))), -1)
    mean = tf.linalg.matvec(A, q_mean, transpose_a=True)
    return mean, tf.reduce_sum(C**2, -2), kff - tf.reduce_sum(A**2, -2), kl


def ours(Kuu, Kuf, kff, q_mean, q_sqrt, whiten):
    return marginals(Kuu, Kuf, kff, q_mean, q_sqrt, factorise(Kuu), whiten=whiten)


def gradients(function, tensors, weights, whiten):
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        outputs = function(*tensors, whiten)
        total = tf.add_n(
            [tf.reduce_sum(tf.cast(w, out.dtype) * out) for w, out in zip(weights, outputs, strict=True)]
        )
    found = tape.gradient(total, tensors)
    symmetric = (found[0] + tf.linalg.matrix_transpose(found[0])) / 2
    return outputs, [symmetric, *found[1:4], tf.linalg.band_part(found[4], -1, 0)]


def weights_like(shape, kind, rows=B):
    latents = SHAPES[shape][1]
    rng = np.random.default_rng(1)
    g_m, g_s, g_d = rng.normal(size=(3, latents, rows))
    choices = {
        "any signs": (g_m, g_s, g_d),
        "one variance": (g_m, g_s, g_s),  # the standard bound
        "equal": (g_m, np.full_like(g_s, -0.7), np.full_like(g_s, -0.7)),  # and Gaussian noise
        "none": (0 * g_m, 0 * g_s, 0 * g_d),
    }
    return [*choices[kind], rng.normal(size=latents)]


@pytest.mark.parametrize("kind", ["any signs", "one variance", "equal", "none"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("whiten", [False, True])
def test_values_and_adjoints(whiten, shape, kind, who):
    tensors, weights = inputs(shape), weights_like(shape, kind)
    values, adjoints = gradients(ours, tensors, weights, whiten)
    expected_values, expected = gradients(dense, tensors, weights, whiten)
    for got, wanted in zip((*values, *adjoints), (*expected_values, *expected), strict=True):
        assert got.shape == wanted.shape
        np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=1e-11 * np.abs(wanted).max() + 1e-13)


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("serial", [0, 1024])
def test_blocks_and_many_rows(serial, whiten, who, monkeypatch):
    monkeypatch.setattr("svgp.linalg.host.marginals.SERIAL", serial)
    tensors, weights = inputs("one", size=230, rows=301), weights_like("one", "any signs", 301)
    values, adjoints = gradients(ours, tensors, weights, whiten)
    expected_values, expected = gradients(dense, tensors, weights, whiten)
    for got, wanted in zip((*values, *adjoints), (*expected_values, *expected), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-7, atol=1e-9 * np.abs(wanted).max())


@pytest.mark.parametrize("weighting", ["equal", "any signs"])
@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("workers", [1, 3, 4])
@pytest.mark.parametrize("serial", [0, 1024])
def test_nothing_is_read_before_it_is_written(serial, workers, whiten, weighting, monkeypatch):
    monkeypatch.setattr("svgp.linalg.host.marginals.SERIAL", serial)
    # Strips of different widths in each phase, and memory that is not zero by chance.
    monkeypatch.setattr(strips, "_NARROWEST", 4)
    monkeypatch.setattr(strips, "_WIDEST", 24)
    monkeypatch.setattr(strips, "_GRAIN", 1)
    monkeypatch.setattr(threads, "SMALLEST_SHARE", 1)
    monkeypatch.setattr(threads, "workers", lambda: workers)
    empty = blas.aligned_empty

    def poisoned(shape, dtype):
        array = empty(shape, dtype)
        array.fill(np.nan)
        return array

    monkeypatch.setattr(blas, "aligned_empty", poisoned)
    tensors, weights = inputs("one", size=150, rows=170), weights_like("one", weighting, 170)
    with backend("host"):
        values, adjoints = gradients(ours, tensors, weights, whiten)
    expected_values, expected = gradients(dense, tensors, weights, whiten)
    for got, wanted in zip((*values, *adjoints), (*expected_values, *expected), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-7, atol=1e-9 * np.abs(wanted).max())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("mixed", [False, True])
def test_single_and_mixed_precision(whiten, shape, mixed, who):
    tensors, weights = inputs(shape), weights_like(shape, "any signs")
    expected_values, expected = gradients(dense, tensors, weights, whiten)
    types = [tf.float64 if mixed and index != 1 else tf.float32 for index in range(5)]
    narrow = [tf.cast(x, dtype) for x, dtype in zip(tensors, types, strict=True)]
    values, adjoints = gradients(ours, narrow, weights, whiten)
    assert {x.dtype for x in values} == {types[0]}
    assert [x.dtype for x in adjoints] == types
    for got, wanted in zip((*values, *adjoints), (*expected_values, *expected), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=0, atol=3e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("who_else", ["host", "tensorflow"])
def test_a_factor_that_failed_gives_nan(who_else):
    tensors = inputs("one")
    tensors[0] = -tensors[0]
    with backend(who_else):
        values, adjoints = gradients(ours, tensors, weights_like("one", "any signs"), False)
    for x in (*values, *adjoints[:2]):
        assert np.isnan(x).all()


def test_one_row_and_one_point(who):
    tensors = inputs("one", size=1, rows=1)
    for whiten in (False, True):
        values, adjoints = gradients(ours, tensors, weights_like("one", "any signs", 1), whiten)
        expected_values, expected = gradients(dense, tensors, weights_like("one", "any signs", 1), whiten)
        for got, wanted in zip((*values, *adjoints), (*expected_values, *expected), strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-12)


def test_the_inputs_are_left_as_they_were(who):
    tensors = inputs("separate")
    before = [tensor.numpy().copy() for tensor in tensors]
    gradients(ours, tensors, weights_like("separate", "any signs"), False)
    for tensor, copy in zip(tensors, before, strict=True):
        np.testing.assert_array_equal(tensor, copy)


@pytest.mark.parametrize("compiled", [False, True])
def test_a_second_derivative_is_refused_in_words(who, compiled):
    Kuu, q_mean = tf.eye(3, batch_shape=[1], dtype=tf.float64), tf.ones([1, 3], tf.float64)

    def second():
        with backend(who), tf.GradientTape() as outer:
            outer.watch(Kuu)
            with tf.GradientTape() as inner:
                inner.watch(Kuu)
                rows, root = tf.ones([1, 3, 2], tf.float64), tf.eye(3, batch_shape=[1], dtype=tf.float64)
                q = marginals(
                    Kuu, rows, tf.ones([1, 2], tf.float64), q_mean, root, factorise(Kuu, 0.0), whiten=False
                )
                value = tf.reduce_sum(q.explained)
            squares = tf.reduce_sum(inner.gradient(value, Kuu) ** 2)
        return outer.gradient(squares, Kuu)

    with pytest.raises(Exception, match="second derivatives of the ELBO"):
        (tf.function(second, autograph=False) if compiled else second)()
