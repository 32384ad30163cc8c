"""The certificate: brackets that close, and products with Kff that stop in time."""

from __future__ import annotations

import numpy as np
import pytest

from svgp.kernels import Matern32, White
from svgp.likelihoods import Gaussian
from svgp.models import SVGP
from svgp.models import certificate as module
from svgp.models.certificate import KernelProduct, certificate
from svgp.models.collapsed.bound import Stopped


def make_problem(inducing=15, rows=120):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(rows, 2))
    Y = np.stack([np.sin(2 * X[:, 0]), X[:, 1] ** 2], 1) + 0.1 * rng.normal(size=(rows, 2))
    kernel = Matern32(1.0, 1.0) + White(0.01)
    return SVGP(kernel, Gaussian(0.05), X[:inducing], num_latent=2), X, Y


def exact_evidence(model, X, Y):
    K = model.kernel.K(X).numpy() + model.likelihood.variance.numpy() * np.eye(len(X))
    _, log_det = np.linalg.slogdet(K)
    return -0.5 * np.sum(Y * np.linalg.solve(K, Y)) - 0.5 * Y.shape[1] * (
        log_det + len(X) * np.log(2 * np.pi)
    )


def test_tiles_make_the_product_with_the_whole_kernel_matrix(monkeypatch):
    monkeypatch.setattr(module, "TILE", 50)
    model, X, Y = make_problem()
    product = KernelProduct(model.kernel, X, 0.05, None)(Y)
    wanted = (model.kernel.K(X).numpy() + 0.05 * np.eye(len(X))) @ Y
    np.testing.assert_allclose(product, wanted, rtol=1e-11, atol=1e-11)


def test_conjugate_gradients_close_the_quadratic_gap_alone():
    model, X, Y = make_problem()
    result = certificate(model, X, Y, steps=100, tolerance=1e-9)
    exact = exact_evidence(model, X, Y)
    assert result.lower <= exact <= result.upper
    assert result.quadratic_gap < 1e-6 * len(X)
    assert result.upper - result.lower <= result.log_det_gap + result.quadratic_gap + 1e-9
    assert 0 < result.products < 100
    assert "nats per row are left to gain" in result.summary()
    assert result.gap_per_row == pytest.approx((result.upper - result.elbo) / len(X))


def test_nothing_is_left_to_gain_where_every_row_is_an_inducing_point():
    model, X, Y = make_problem(inducing=120)
    model = SVGP(Matern32(1.0, 1.0), Gaussian(0.05), X, num_latent=2)
    result = certificate(model, X, Y, steps=50)
    assert 0.0 <= result.gap_per_row < 1e-3


def test_a_deadline_drops_the_product_under_way_and_keeps_the_bounds(monkeypatch):
    monkeypatch.setattr(module, "TILE", 50)
    model, X, Y = make_problem()
    result = certificate(model, X, Y, max_seconds=0.0)
    assert result.products == 0 and result.lower <= exact_evidence(model, X, Y) <= result.upper
    with pytest.raises(Stopped):
        KernelProduct(model.kernel, X, 0.05, 0.0)(Y)
