"""q(f) row by row on the host is q(f) of the model."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from svgp import kernels, likelihoods, means
from svgp.models import SVGP, Predictive
from svgp.models.predictive import SparseRows

RNG = np.random.default_rng(0)
KERNELS = {
    "one kernel": lambda: kernels.Matern32(1.3, [1.0, 2.0, 0.5]),
    "a kernel for each latent": lambda: kernels.Matern32([1.3, 0.7], [[1.0, 2.0, 0.5], [0.3, 1.0, 1.0]]),
    "a sum": lambda: kernels.Matern12(1.0, 1.0) + kernels.SquaredExponential(1.0, 1.0),
}


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("kind", KERNELS)
def test_rows_are_those_of_the_model(kind, whiten):
    mean = means.Linear(RNG.standard_normal((3, 2)), [0.3, -1.0])
    model = SVGP(
        KERNELS[kind](), likelihoods.Gaussian(0.1), RNG.standard_normal((9, 3)), mean=mean, whiten=whiten,
        q_mean=RNG.standard_normal((2, 9)), q_sqrt=np.tril(RNG.standard_normal((2, 9, 9))),
    )  # fmt: skip
    X = RNG.standard_normal((700, 3))  # several panels of fewer rows than that
    rows = SparseRows(model)
    rows.panels = lambda count: [slice(0, 300), slice(300, 310), slice(310, count)]
    found, expected = rows.parts(X), model.marginals(X)
    for name in ("mean", "explained", "residual"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-9, atol=1e-11)
    A, residual = rows.project(X)
    np.testing.assert_allclose(np.maximum(residual, 0.0), expected.residual, rtol=1e-9, atol=1e-11)
    Kfu = model.kernel.K(X, model.Z).numpy().reshape(-1, 700, 9)
    np.testing.assert_allclose(A @ np.swapaxes(np.linalg.inv(rows.L_inverse), 1, 2), Kfu, atol=1e-10)


def test_a_float32_model_stays_in_float32():
    kernel = kernels.Matern32(1.0, 1.0, dtype=tf.float32)
    model = SVGP(kernel, likelihoods.Gaussian(0.1, dtype=tf.float32), np.linspace(-1, 1, 5)[:, None])
    X = np.linspace(-2, 2, 40)[:, None]
    latent = Predictive(model).latent(X)
    assert latent.mean.dtype == latent.variance.dtype == np.float32
    np.testing.assert_allclose(latent.variance, model.predict_f(X)[1], rtol=1e-5)
