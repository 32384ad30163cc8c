"""Every operation of svgp.linalg against finite differences, TensorFlow, graphs, XLA and single precision."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

# Complex gradients for which TensorFlow is no oracle (finite differences are): that of a determinant is not
# conjugated, that of its phase is dropped, and regularised least squares are refused.
_NOT_IN_TENSORFLOW = ("det", "slogdet", "lstsq tall l2", "lstsq wide l2")


def test_first_derivative_is_that_of_finite_differences(problem, dtype, matrices, derivatives):
    derivatives.check_first(problem.ours(), *problem.make(matrices, dtype))


def test_second_derivative_is_that_of_finite_differences_of_the_first(problem, dtype, matrices, derivatives):
    derivatives.check_second(problem.ours(), *problem.make(matrices, dtype))


def test_value_and_gradient_are_those_of_tensorflow(problem, dtype, matrices, derivatives):
    if dtype.is_complex and problem.name in _NOT_IN_TENSORFLOW:
        pytest.skip("TensorFlow's own gradient is wrong or missing")
    inputs = problem.make(matrices, dtype)

    def theirs(*inputs):
        return problem.function(tf.linalg, *inputs)

    np.testing.assert_allclose(problem.ours()(*inputs), theirs(*inputs), rtol=1e-10)
    ours = derivatives.first(problem.ours(), *inputs)
    for ours_one, theirs_one in zip(ours, derivatives.first(theirs, *inputs), strict=True):
        np.testing.assert_allclose(ours_one, theirs_one, rtol=1e-8, atol=1e-9)


def _everything(problem, derivatives, matrices, dtype):
    """The inputs of a problem, and a function for its value and first and second derivatives."""
    inputs = problem.make(matrices, dtype)
    directions = [matrices.general(*A.shape, dtype=dtype) for A in inputs]

    def function(*inputs):
        return derivatives.all_of(problem.ours(), directions, *inputs)

    return inputs, function


def _assert_same(got, expected, tolerance=1e-8):
    for got_one, expected_one in zip(tf.nest.flatten(got), tf.nest.flatten(expected), strict=True):
        np.testing.assert_allclose(got_one, expected_one, rtol=tolerance, atol=tolerance)


def test_a_graph_that_knows_no_sizes_gives_what_eager_gives(problem, dtype, matrices, derivatives):
    """Known sizes, which lstsq needs to know which side is longer, are those of the XLA tests as well."""
    inputs, everything = _everything(problem, derivatives, matrices, dtype)
    unknown = None if problem.name.startswith("lstsq") else [tf.TensorSpec([None] * 3, dtype)] * len(inputs)
    graph = tf.function(everything, input_signature=unknown, autograph=False)
    _assert_same(graph(*inputs), everything(*inputs))


def test_xla_gives_what_eager_gives(problem, dtype, matrices, derivatives):
    kin = problem.name.endswith(("adjoint", "upper", "tall", "tall l2"))
    if kin or (dtype.is_complex and problem.name not in ("det", "slogdet", "cholesky", "eigh", "solve")):
        pytest.skip("compiled in the same way as its kin; compiling takes seconds")
    inputs, everything = _everything(problem, derivatives, matrices, dtype)
    compiled = tf.function(everything, autograph=False, jit_compile=True)
    # XLA's singular values, in the second derivative of det, are right to about 1e-7.
    _assert_same(compiled(*inputs), everything(*inputs), 1e-6 if problem.name == "det" else 1e-8)


@pytest.mark.parametrize("name", ["det", "slogdet", "logdet", "eigh", "lstsq wide"])
def test_two_tapes_around_a_compiled_function(name, dtype, matrices, derivatives, problem_named):
    if dtype.is_complex and name != "det":
        pytest.skip("nothing in it depends on the dtype; compiling takes seconds")
    problem = problem_named(name)
    inputs = problem.make(matrices, dtype)
    directions = [matrices.general(*A.shape, dtype=dtype) for A in inputs]
    compiled = tf.function(problem.ours(), autograph=False, jit_compile=True)
    got = derivatives.second(compiled, directions, *inputs)
    _assert_same(got, derivatives.second(problem.ours(), directions, *inputs), 1e-6)


@pytest.mark.parametrize("single", [tf.float32, tf.complex64], ids=lambda dtype: dtype.name)
def test_single_precision_is_as_good_as_it_can_be(problem, single, matrices, derivatives):
    inputs = problem.make(matrices, single)
    double = tf.complex128 if single.is_complex else tf.float64
    got = derivatives.first(problem.ours(), *inputs)
    expected = derivatives.first(problem.ours(), *[tf.cast(A, double) for A in inputs])
    for got_one, expected_one in zip(got, expected, strict=True):
        assert got_one.dtype == single
        scale = np.abs(expected_one).max()
        np.testing.assert_allclose(got_one / scale, expected_one / scale, atol=2e-4)


def test_members_of_a_batch_do_not_touch_each_other(problem, dtype, matrices, derivatives):
    from svgp import linalg

    inputs = problem.make(matrices, dtype)
    name = problem.name.split()[0]
    if name == "eigh":
        pytest.skip("its vectors are defined up to a phase")
    whole = tf.nest.flatten(getattr(linalg, name)(*_allowed(name, inputs)))
    for member in range(2):
        alone = tf.nest.flatten(getattr(linalg, name)(*_allowed(name, [A[member] for A in inputs])))
        for got, expected in zip(whole, alone, strict=True):
            np.testing.assert_allclose(got[member], expected, rtol=1e-12)


def _allowed(name, inputs):
    if name in ("logdet", "cholesky"):
        return [(A + tf.linalg.adjoint(A)) / 2 for A in inputs]
    return inputs
