"""Products of triangles by strips: equal to dense ones, and with as few operations as promised."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from svgp.linalg import backend, blocks, factorise, marginals

SIZE = 301  # not divisible by the number of strips


@pytest.fixture(scope="module")
def triangles():
    rng = np.random.default_rng(0)
    return [np.tril(rng.standard_normal((2, SIZE, SIZE))) for _ in range(2)]


def cases(L1, L2):
    rng = np.random.default_rng(1)
    X, square = rng.standard_normal((2, SIZE, 7)), rng.standard_normal((2, SIZE, SIZE))
    w, T, T2 = rng.standard_normal((2, 1, 7)), L1.swapaxes(-1, -2), L2.swapaxes(-1, -2)
    A, B, x, dense, weights = (tf.constant(array) for array in (L1, L2, X, square, w))
    return {
        "lower_product": (blocks.lower_product(A, x), L1 @ X),
        "transposed": (blocks.lower_product(A, x, transpose=True), T @ X),
        "weighted_gram": (blocks.weighted_gram(x, weights), (X * w) @ X.swapaxes(-1, -2)),
        "lower_gram": (
            tf.linalg.band_part(blocks.lower_gram(x, x * weights), -1, 0),
            np.tril(X @ (X * w).swapaxes(-1, -2)),
        ),
        "lower_of_product": (blocks.lower_of_product(A, dense), np.tril(L1 @ square)),
        "lower_times_lower": (blocks.lower_times_lower(A, B), L1 @ L2),
        "upper_times_lower": (blocks.upper_times_lower(A, B), T @ L2),
        "lower_of_upper_times_lower": (blocks.lower_of_upper_times_lower(A, B), np.tril(T @ L2)),
        "lower_of_lower_times_upper": (blocks.lower_of_lower_times_upper(A, B), np.tril(L1 @ T2)),
    }


@pytest.mark.parametrize("smallest", [1, 10**6], ids=["strips", "dense"])
def test_products_are_those_of_dense_matrices(triangles, smallest, monkeypatch):
    monkeypatch.setattr(blocks, "SMALLEST", smallest)
    for name, (found, expected) in cases(*triangles).items():
        np.testing.assert_allclose(found, expected, atol=1e-10 * np.abs(expected).max(), err_msg=name)


def operations(function, *shapes):
    """Multiplications and additions of all matrix products in a graph, each counted as one."""
    graph = (
        tf.function(function, autograph=False)
        .get_concrete_function(*(tf.TensorSpec(s, tf.float64) for s in shapes))
        .graph
    )
    total = 0
    for node in graph.get_operations():
        if node.type in ("BatchMatMulV2", "MatMul"):
            a, out = node.inputs[0].shape, node.outputs[0].shape
            names = {"BatchMatMulV2": "adj_x", "MatMul": "transpose_a"}
            inner = a[-2] if node.get_attr(names[node.type]) else a[-1]
            total += 2 * inner * np.prod(out.as_list())
    return total


@pytest.mark.parametrize(
    ("name", "share"),
    [
        ("lower_of_product", 60 / 64),
        ("lower_times_lower", 40 / 64),
        ("upper_times_lower", 60 / 64),
        ("lower_of_upper_times_lower", 40 / 64),
        ("lower_of_lower_times_upper", 40 / 64),
    ],
)
def test_operations_in_units_of_the_cube(name, share):
    M = 512
    assert operations(getattr(blocks, name), [M, M], [M, M]) <= 1.001 * share * M**3


def test_operations_of_a_whole_step():
    """7.5 M^2 B + 3.8 M^3 whitened and 5.7 M^3 unwhitened, all weights different; dense it was 12 and 15."""
    M, B = 512, 512
    for whiten, cubes in ((True, 7.5 + 3.8), (False, 7.5 + 5.7)):

        def step(Kuu, Kuf, kff, m, S, L_inverse, whiten=whiten):
            factor = factorise(tf.eye(M, batch_shape=[1], dtype=tf.float64))._replace(L_inverse=L_inverse)
            with tf.GradientTape() as tape:
                inputs = (Kuu, Kuf, kff, m, S)
                tape.watch(inputs)
                q = marginals(*inputs, factor, whiten=whiten)
                value = tf.reduce_sum(q.mean + tf.sin(q.explained) + tf.cos(q.residual))
            return tape.gradient(value, inputs)

        shapes = ([1, M, M], [1, M, B], [1, B], [1, M], [1, M, M], [1, M, M])
        with backend("tensorflow"):
            own = operations(lambda *x, step=step: step(*x), *shapes)
            factoring = operations(lambda: factorise(tf.eye(M, batch_shape=[1], dtype=tf.float64)))
        thin = 60 * M * (M + B)  # matrix times vector
        assert 0.8 * cubes * M**3 < own - factoring < cubes * M**3 + thin


@pytest.mark.parametrize("whiten", [False, True])
def test_marginals_by_strips_are_the_host_s(whiten):
    rng = np.random.default_rng(2)
    M, B = SIZE, 20
    x = np.linspace(0.0, 60.0, M)
    Kuu = np.exp(-np.abs(x[:, None] - x))[None]
    Kuf = np.exp(-np.abs(x[:, None] - rng.uniform(0, 60, B)))[None]
    S = np.tril(rng.standard_normal((2, M, M))) / M + np.eye(M)
    inputs = [tf.constant(v) for v in (Kuu, Kuf, np.full((1, B), 1.5), rng.standard_normal((2, M)), S)]
    weights = rng.standard_normal((3, 2, B))
    found = {}
    for name in ("tensorflow", "host"):
        with backend(name), tf.GradientTape() as tape:
            tape.watch(inputs)
            q = marginals(*inputs, factorise(inputs[0], 1e-8), whiten=whiten)
            value = tf.reduce_sum(weights[0] * q.mean + weights[1] * q.explained + weights[2] * q.residual)
            value -= tf.reduce_sum(q.kl)
        with backend(name):
            found[name] = [*q, *tape.gradient(value, inputs)]
    for ours, hosts in zip(*found.values(), strict=True):
        # Of a symmetric matrix's adjoint only the symmetric part matters.
        ours, hosts = (np.asarray(v) for v in (ours, hosts))
        if ours.shape == Kuu.shape:
            ours, hosts = (v + v.swapaxes(-1, -2) for v in (ours, hosts))
        np.testing.assert_allclose(ours, hosts, atol=1e-10 * np.abs(hosts).max())
