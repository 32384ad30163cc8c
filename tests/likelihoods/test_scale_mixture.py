"""A mixture of normals of several widths: against quadrature, and against what it is with one width."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import norm

from svgp.likelihoods import Gaussian
from svgp.likelihoods.scale_mixture import ScaleMixture

MEAN, VARIANCE = np.array([[0.0], [1.5]]), np.array([[0.2], [0.9]])
SCALES, WEIGHTS = np.array([0.1, 1.0, 4.0]), np.array([0.5, 0.4, 0.1])


def test_one_width_of_one_is_gaussian_noise():
    ours, gaussian = ScaleMixture(0.3, [1.0], [1.0]), Gaussian(0.3, floor=0.0)
    Y = np.array([[0.4], [-2.0]])
    got, expected = (one.predict_log_density(MEAN, VARIANCE, Y) for one in (ours, gaussian))
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    for got, expected in zip(
        ours.predict_mean_and_var(MEAN, VARIANCE), gaussian.predict_mean_and_var(MEAN, VARIANCE), strict=True
    ):
        np.testing.assert_allclose(got, expected, rtol=1e-12)
    levels = [0.025, 0.5, 0.9]
    np.testing.assert_allclose(
        ours.predict_quantiles(MEAN, VARIANCE, levels),
        gaussian.predict_quantiles(MEAN, VARIANCE, levels),
        rtol=1e-10, atol=1e-12,
    )  # fmt: skip


def test_density_moments_and_quantiles_belong_together():
    likelihood = ScaleMixture(0.3, SCALES, WEIGHTS)
    y = np.linspace(-60.0, 60.0, 400_001)[:, None]
    for mean, variance in zip(MEAN, VARIANCE, strict=True):
        at = np.broadcast_to(mean, y.shape), np.broadcast_to(variance, y.shape)
        density = np.exp(likelihood.predict_log_density(*at, y).numpy())
        mass = np.trapezoid(density, y[:, 0])
        moment = np.trapezoid(density * (y[:, 0] - mean) ** 2, y[:, 0])
        assert mass == pytest.approx(1.0, abs=1e-6)
        assert moment == pytest.approx(
            float(likelihood.predict_mean_and_var([mean], [variance])[1][0, 0]), rel=1e-5
        )
    deviation = SCALES * np.sqrt(VARIANCE + 0.3)  # [2, 3]
    quantiles = likelihood.predict_quantiles(MEAN, VARIANCE, [0.01, 0.3, 0.975]).numpy()[:, 0]  # [2, 3]
    reached = (norm.cdf((quantiles - MEAN)[..., None] / deviation[:, None]) * WEIGHTS).sum(-1)
    np.testing.assert_allclose(reached, np.broadcast_to([0.01, 0.3, 0.975], (2, 3)), rtol=1e-10)


def test_each_output_has_its_own_shape_also_in_a_graph():
    both = ScaleMixture([0.3, 0.1], [SCALES, [1.0, 1.0, 1.0]], [WEIGHTS, [0.2, 0.3, 0.5]])
    mean, variance = np.hstack([MEAN, MEAN]), np.hstack([VARIANCE, VARIANCE])
    graph = tf.function(lambda m, v: both.predict_quantiles(m, v, [0.1, 0.9]), autograph=False)
    found = graph(tf.constant(mean), tf.constant(variance)).numpy()  # [2, 2, 2]
    one = ScaleMixture(0.3, SCALES, WEIGHTS).predict_quantiles(MEAN, VARIANCE, [0.1, 0.9]).numpy()[:, 0]
    other = Gaussian(0.1).predict_quantiles(MEAN, VARIANCE, [0.1, 0.9]).numpy()[:, 0]
    np.testing.assert_allclose(found[:, 0], one, rtol=1e-12)
    np.testing.assert_allclose(found[:, 1], other, rtol=1e-9)
