"""One factorisation with jitter: values, repairs one by one, and what cannot be repaired."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from svgp.linalg import backend, factor, factorise, lower_and_inverse
from svgp.linalg.host import triangular

DTYPES = [tf.float32, tf.float64]


@pytest.fixture(params=["host", "tensorflow"])
def who(request):
    with backend(request.param):
        yield request.param


@pytest.fixture(params=[False, True], ids=["eager", "graph"])
def run(request):
    """Call `factorise` eagerly or within a graph."""

    def call(K, jitter=0.0):
        function = (
            tf.function(lambda K: factorise(K, jitter), autograph=False) if request.param else factorise
        )
        return function(tf.constant(K)) if request.param else function(tf.constant(K), jitter)

    return call


def positive_definite(*shape, dtype=np.float64, seed=0):
    A = np.random.default_rng(seed).normal(size=(*shape, shape[-1]))
    return (A @ np.swapaxes(A, -1, -2) + shape[-1] * np.eye(shape[-1])).astype(dtype)


def duplicates(size, dtype=np.float64):
    """Singular: the covariance of points that coincide two by two."""
    x = np.repeat(np.arange(size // 2, dtype=float), 2)
    return np.exp(-np.abs(x[:, None] - x)).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("shape", [(1,), (30,), (2, 3, 7)])
def test_factor_and_inverse(shape, dtype, who, run):
    K = positive_definite(*shape, dtype=dtype.as_numpy_dtype)
    found = run(K, 0.5)
    tolerance = 1e-4 if dtype == tf.float32 else 1e-12
    eye = np.eye(shape[-1])
    assert {x.dtype for x in found[:3]} == {dtype} and found.L.shape == K.shape
    np.testing.assert_allclose(found.L @ tf.linalg.matrix_transpose(found.L), K + 0.5 * eye, rtol=tolerance)
    np.testing.assert_allclose(found.L @ found.L_inverse, np.broadcast_to(eye, K.shape), atol=tolerance)
    np.testing.assert_array_equal(tf.linalg.band_part(found.L_inverse, -1, 0), found.L_inverse)
    np.testing.assert_array_equal(found.jitter, np.full(K.shape[:-2], 0.5))
    np.testing.assert_array_equal(found.repairs, np.zeros(K.shape[:-2]))


def test_blocks_give_what_one_leaf_gives(who, monkeypatch):
    K = positive_definite(2, 37)
    expected = lower_and_inverse(tf.constant(K))
    monkeypatch.setattr(triangular, "_LEAF", 4)
    monkeypatch.setattr(factor, "_CPU_LEAF", 4)
    for got, wanted in zip(lower_and_inverse(tf.constant(K)), expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-11, atol=1e-13)


def test_only_the_lower_triangle_is_read(who):
    K = positive_definite(6)
    half = np.tril(K) + np.triu(np.full_like(K, 7.0), 1)
    np.testing.assert_array_equal(factorise(tf.constant(half)).L, factorise(tf.constant(K)).L)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.name)
def test_repairs_begin_at_a_millionth_of_the_mean_diagonal(dtype, who, run):
    K = 5.0 * duplicates(8, dtype.as_numpy_dtype)
    found = run(K)
    steps = int(found.repairs)
    assert steps >= 1
    np.testing.assert_allclose(found.jitter, 5e-6 * 10.0 ** (steps - 1), rtol=1e-5)
    shifted = K + float(found.jitter) * np.eye(8)
    np.testing.assert_allclose(found.L @ tf.transpose(found.L), shifted, rtol=1e-6)


def test_jitter_grows_tenfold_from_what_was_asked_for(who, run):
    K = np.diag([1.0, 1.0, -2e-3])  # positive definite from a jitter of 2e-3
    found = run(K, 1e-6)
    np.testing.assert_allclose(found.jitter, 1e-2)
    assert int(found.repairs) == 4  # 1e-5, 1e-4, 1e-3, 1e-2
    found = run(K, 5e-4)
    np.testing.assert_allclose(found.jitter, 5e-3)
    assert int(found.repairs) == 1


def test_each_member_of_a_batch_is_repaired_alone(who, run):
    K = np.stack(
        [np.eye(3), np.diag([1.0, 1.0, -3e-5]), np.full((3, 3), np.nan), -np.eye(3), np.ones((3, 3))]
    )
    found = run(K, 1e-8)
    np.testing.assert_array_equal(found.repairs, [0, 3, 0, 6, 0])
    least = np.mean([1.0, 1.0, -3e-5]) * 1e-6
    np.testing.assert_allclose(found.jitter[:2], [1e-8, 100 * least], rtol=1e-12)
    bad = np.isnan(found.L.numpy()).all((1, 2)) & np.isnan(found.L_inverse.numpy()).all((1, 2))
    np.testing.assert_array_equal(bad, [False, False, True, True, False])
    for index in (0, 1, 4):
        shifted = K[index] + found.jitter[index].numpy() * np.eye(3)
        np.testing.assert_allclose(found.L[index] @ tf.transpose(found.L[index]), shifted, atol=1e-12)
    np.testing.assert_array_equal(found.L[0], run(K[0], 1e-8).L)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.name)
def test_what_is_not_finite_is_nan_at_once(dtype, who, run):
    cases = [(value, place) for value in (np.nan, np.inf) for place in ((0, 0), (4, 4), (4, 0))]
    K = np.stack([np.eye(5, dtype=dtype.as_numpy_dtype)] * len(cases))
    for member, (value, place) in zip(K, cases, strict=True):
        member[place] = member[place[::-1]] = value
    found = run(K, 1e-6)
    assert np.isnan(found.L).all() and np.isnan(found.L_inverse).all()
    np.testing.assert_array_equal(found.repairs, np.zeros(len(cases)))
    np.testing.assert_allclose(found.jitter, np.full(len(cases), 1e-6), rtol=1e-6)


def test_a_matrix_without_repair_is_given_up_after_six(who, run):
    found = run(-np.eye(4), 0.0)
    assert np.isnan(found.L).all() and int(found.repairs) == factor.RETRIES == 6
    assert np.isnan(run(np.zeros((4, 4))).L).all()  # no scale to start from


def test_a_pivot_made_of_rounding_errors_is_a_failure(who, run):
    """Cholesky ends here with a last pivot of two roundings, and an inverse that is wrong by 100%."""
    eps = np.finfo(np.float32).eps
    K = np.array([[1.0, 1.0], [1.0, 1.0 + 2 * eps]], np.float32)
    assert np.isfinite(lower_and_inverse(tf.constant(K))[1]).all()
    found = run(K)
    assert int(found.repairs) >= 1 and float(found.L[1, 1]) ** 2 >= 10 * eps
    exact = K.astype(float) + float(found.jitter) * np.eye(2)
    inverse = found.L_inverse.numpy().astype(float)
    np.testing.assert_allclose(inverse @ exact @ inverse.T, np.eye(2), atol=0.2)


def test_random_ill_conditioned_matrices_have_a_usable_inverse(who):
    """L^-1 (K + jitter I) L^-T is the identity to better than 100%, for all pivots that are allowed."""
    rng, worst, repaired = np.random.default_rng(0), 0.0, 0
    for _ in range(60):
        Z = rng.normal(size=(24, 2))[rng.choice(24, 24)] / 10 ** rng.uniform(-3, 3, 2)
        K = np.exp(-0.5 * np.sum((Z[:, None] - Z) ** 2, -1)).astype(np.float32) * np.float32(
            10 ** rng.uniform(-2, 3)
        )
        found = factorise(tf.constant(K), 1e-6)
        inverse = found.L_inverse.numpy().astype(float)
        identity = inverse @ (K.astype(float) + float(found.jitter) * np.eye(24)) @ inverse.T
        worst = max(worst, np.linalg.norm(identity - np.eye(24), 2))
        repaired += int(found.repairs) > 0
    assert worst < 1.0 and repaired > 10


def test_xla_repairs_as_well():
    K = tf.constant(np.stack([duplicates(6), np.eye(6), np.full((6, 6), np.nan)]))
    with backend("tensorflow"):
        compiled = tf.function(lambda K: factorise(K), jit_compile=True, autograph=False)(K)
        eager = factorise(K)
    for got, expected in zip(compiled, eager, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)


def test_no_gradient_flows(who):
    K = tf.constant(positive_definite(4))
    with tf.GradientTape() as tape:
        tape.watch(K)
        value = tf.reduce_sum(factorise(K).L)
    assert tape.gradient(value, K) is None


def test_lower_and_inverse_is_nan_where_there_is_no_factor(who):
    L, inverse = lower_and_inverse(tf.constant(np.stack([np.eye(3), -np.eye(3)])))
    np.testing.assert_array_equal(L[0], np.eye(3))
    assert np.isnan(L[1].numpy()[-1, -1]) and np.isnan(inverse[1].numpy()[-1]).all()
