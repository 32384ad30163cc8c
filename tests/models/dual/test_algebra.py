"""The dual form of q(u) against automatic differentiation, written-out formulas and its own inverse."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from svgp.linalg import backend, blocks, factorise
from svgp.models.dual import algebra as dual

SHAPES = [(1, 1, 7, 11), (1, 2, 6, 5), (2, 2, 5, 9), (1, 1, 230, 12)]  # kernels, L, M (leaf: 192), B


@pytest.fixture(autouse=True)
def strips_of_any_size(monkeypatch):
    monkeypatch.setattr(blocks, "SMALLEST", 5)


def problem(shape):
    kernels, latents, size, rows = shape
    generator = np.random.default_rng(size)
    root = generator.normal(size=(kernels, size, size + 3))
    Kuu = root @ root.swapaxes(-1, -2) / size + 0.1 * np.eye(size)
    Kuf = generator.normal(size=(kernels, size, rows))
    half = generator.normal(size=(latents, size, size))
    W = half @ half.swapaxes(-1, -2) / size
    shift = generator.normal(size=(latents, size))
    gradients = [generator.normal(size=(latents, rows)) for _ in range(3)]
    return Kuu, Kuf, W, shift, gradients


def held(Kuu, W, shift):
    """The quantities that stay when Kuu moves: L^-T W L^-1 and L^-T e."""
    inverse = np.linalg.inv(np.linalg.cholesky(Kuu)) + np.zeros_like(W)
    return inverse.swapaxes(-1, -2) @ W @ inverse, np.einsum("lji,lj->li", inverse, shift)


def objective(Kuu, Kuf, duals, gradients):
    """Weighted marginals minus KL, from math.md section 4, by inverses that TensorFlow differentiates."""
    D, d = duals
    Ki = tf.linalg.inv(Kuu)
    S = tf.linalg.inv(Ki + D)
    m = tf.linalg.matvec(S, d)
    w = tf.matmul(Ki, Kuf)  # [L, M, B]
    mean = tf.linalg.matvec(w, m, transpose_a=True)
    explained = tf.reduce_sum(w * tf.matmul(S, w), -2)
    residual = -tf.reduce_sum(Kuf * w, -2)
    size = Kuu.shape[-1]
    kl = tf.linalg.trace(tf.matmul(Ki, S)) + tf.reduce_sum(m * tf.linalg.matvec(Ki, m), -1) - size
    kl = 0.5 * (kl + tf.linalg.logdet(Kuu) - tf.linalg.logdet(S))
    marginals = (mean, explained, residual)
    return sum(tf.reduce_sum(g * x) for g, x in zip(gradients, marginals, strict=True)) - tf.reduce_sum(kl)


def symmetric(x):
    return 0.5 * (x + np.swapaxes(x, -1, -2))


@pytest.mark.parametrize("who", ["host", "tensorflow"])
@pytest.mark.parametrize("shape", SHAPES)
def test_adjoints_equal_automatic_differentiation(shape, who):
    Kuu, Kuf, W, shift, gradients = problem(shape)
    duals = held(Kuu, W, shift)
    K, F = tf.constant(Kuu), tf.constant(Kuf)
    with tf.GradientTape() as tape:
        tape.watch([K, F])
        value = objective(K, F, duals, gradients)
    expected = tape.gradient(value, [K, F])
    factor = factorise(K, 0.0)
    with backend(who):
        A = dual.project(factor.L_inverse, F)
        point = dual.evaluate(A, tf.constant(W), tf.constant(shift))
        g = dual.RowGradients(*map(tf.constant, gradients))
        Kuu_bar, Kuf_bar = dual.adjoints(factor.L_inverse, A, point, dual.moments(A, g), g)
    np.testing.assert_allclose(
        symmetric(Kuu_bar.numpy()), symmetric(expected[0].numpy()), atol=1e-10 * np.abs(expected[0]).max()
    )
    np.testing.assert_allclose(Kuf_bar, expected[1], atol=1e-10 * np.abs(expected[1]).max())
    residual = -np.sum(A.numpy() ** 2, -2)
    marginals = (point.mean.numpy(), point.explained.numpy(), residual)
    own = sum(np.sum(g * x) for g, x in zip(gradients, marginals, strict=True)) - point.kl.numpy().sum()
    np.testing.assert_allclose(own, value, rtol=1e-9)


@pytest.mark.parametrize("who", ["host", "tensorflow"])
def test_a_new_frame_holds_the_duals(who):
    Kuu, _, W, shift, _ = problem(SHAPES[2])
    moved = 1.3 * Kuu + 0.2 * np.eye(Kuu.shape[-1])
    with backend(who):
        old, new = factorise(tf.constant(Kuu)), factorise(tf.constant(moved))
        W_new, shift_new = dual.reframe(old.L_inverse, new.L, tf.constant(W), tf.constant(shift))
    for now, before in zip(held(moved, W_new.numpy(), shift_new.numpy()), held(Kuu, W, shift), strict=True):
        np.testing.assert_allclose(now, before, rtol=1e-9, atol=1e-11)
    np.testing.assert_array_equal(W_new, np.swapaxes(W_new, -1, -2))


def test_mean_and_root_are_those_of_the_dual_parameters_and_lead_back():
    _, _, W, shift, _ = problem(SHAPES[1])
    m, root = dual.mean_and_root(tf.constant(W), tf.constant(shift))
    S = np.linalg.inv(np.eye(W.shape[-1]) + W)
    np.testing.assert_allclose(m, np.einsum("lij,lj->li", S, shift), rtol=1e-10)
    np.testing.assert_allclose(tf.matmul(root, root, transpose_b=True), S, atol=1e-12)
    np.testing.assert_array_equal(np.triu(root.numpy(), 1), 0.0)
    back = dual.from_mean_and_root(m, root)
    np.testing.assert_allclose(back[0], W, atol=1e-11)
    np.testing.assert_allclose(back[1], shift, atol=1e-11)


@pytest.mark.parametrize("who", ["host", "tensorflow"])
@pytest.mark.parametrize("broken", [-2.0, np.nan])
def test_an_invalid_precision_gives_nan_and_no_error(who, broken):
    W = tf.constant(np.diag([0.5, broken, 1.0])[None])
    A = tf.constant(np.ones((1, 3, 4)))
    with backend(who):
        point = dual.evaluate(A, W, tf.ones([1, 3], tf.float64))
    assert np.isnan(point.kl.numpy()).all()


@pytest.mark.parametrize("who", ["host", "tensorflow"])
def test_float32_products_with_the_batch_beside_float64_factors(who):
    """To float32's roundings of what is made in it; m, the mean, W's sums and the KL are those of float64."""
    Kuu, Kuf, W, shift, gradients = problem(SHAPES[1])
    factor, found = factorise(tf.constant(Kuu), 0.0), {}
    for narrow in (tf.float64, tf.float32):
        with backend(who):
            A = dual.project(factor.L_inverse, tf.constant(Kuf))
            point = dual.evaluate(A, tf.constant(W), tf.constant(shift), narrow)
            g = dual.RowGradients(*map(tf.constant, gradients))
            bars = dual.adjoints(factor.L_inverse, A, point, dual.moments(A, g), g)
        assert point.C.dtype == narrow and point.explained.dtype == bars[1].dtype == tf.float64
        found[narrow] = [point.mean, point.kl, point.root, bars[0], point.explained, bars[1]]
    for place, (one, other) in enumerate(zip(*found.values(), strict=True)):
        scale = np.abs(one).max() * (1e-15 if place < 4 else 2e-6)
        np.testing.assert_allclose(other, one, rtol=0, atol=scale)
    assert np.abs(found[tf.float32][5] - found[tf.float64][5]).max() > 0.0
