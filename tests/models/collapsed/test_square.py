"""M^3 work by the device's operations, forced on the processor, and by the host's: the same to 1e-10."""

from __future__ import annotations

import numpy as np
import pytest

from svgp.errors import NumericalError
from svgp.linalg import backend, blocks
from svgp.linalg.host import triangular
from svgp.models.collapsed import square

RNG = np.random.default_rng(5)
M = 23
L = np.tril(RNG.normal(size=(M, M))) + 4.0 * np.eye(M)
X = RNG.normal(size=(M, M))
X = X @ X.T
BOTH = pytest.mark.parametrize("on_device", [False, True], ids=["host", "device"])


@pytest.fixture(autouse=True)
def strips_of_any_size(monkeypatch):
    monkeypatch.setattr(blocks, "SMALLEST", 5)


def assert_same(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10 * np.abs(expected).max())


@BOTH
def test_triangles_and_symmetric_matrices(on_device):
    assert_same(square.congruence(L, X.copy(), on_device), L @ X @ L.T)
    assert_same(square.congruence(L, X.copy(), on_device, transpose=True), L.T @ X @ L)
    assert_same(square.times_lower(X.copy(), L, on_device), X @ L)
    assert_same(square.lower_times_lower(L, L, on_device), L @ L)


@BOTH
def test_a_factor_and_what_follows_from_it(on_device):
    B, sqrt, covariance, log_det = square.factored(X, 0.3, on_device)
    assert_same(B, np.eye(M) + X / 0.3)
    assert_same(sqrt @ sqrt.T, np.linalg.inv(B))
    assert_same(covariance, np.linalg.inv(B))
    assert log_det == pytest.approx(np.linalg.slogdet(B)[1], rel=1e-12)
    np.testing.assert_array_equal(np.triu(sqrt, 1), 0.0)


@BOTH
def test_sums_that_rounding_has_made_indefinite_are_an_error(on_device):
    with pytest.raises(NumericalError, match="rounding has eaten"):
        square.factored(X - 100.0 * np.eye(M), 0.3, on_device)


def test_the_device_s_work_does_not_call_the_host_s(monkeypatch):
    """Also where `evaluate` is called outside of the scope in which the choice was made."""

    def fail(*_):
        raise AssertionError

    monkeypatch.setattr(triangular, "cholesky_and_inverse", fail)
    monkeypatch.setattr(square, "cholesky_and_inverse", fail)
    monkeypatch.setattr("svgp.linalg.factor.cholesky_and_inverse", fail)
    with backend("host"):
        square.factored(X, 0.3, True)
