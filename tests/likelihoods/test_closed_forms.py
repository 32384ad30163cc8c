"""What is particular to one likelihood: closed forms, floors, tails, quantiles at extremes."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import tensorflow as tf

from svgp.config.likelihoods import LIKELIHOODS
from svgp.errors import ModelError
from svgp.likelihoods import (
    Bernoulli,
    Exponential,
    Gamma,
    Gaussian,
    LogNormal,
    NegativeBinomial,
    Poisson,
    StudentT,
    Weibull,
    ZeroInflatedPoisson,
    from_config,
)
from svgp.likelihoods.normal_cdf import log_normal_cdf
from svgp.likelihoods.poisson import bounded_exp
from svgp.likelihoods.poisson_mixture import count_cdf, log_density_mode
from svgp.likelihoods.quadrature import expectation, gauss_hermite
from svgp.likelihoods.start import Targets
from svgp.likelihoods.student_t import gamma_grid


def column(*values):
    return np.array(values, float)[:, None]


def test_quadrature_is_exact_for_polynomials():
    """E[t^2k] = (2k - 1)!! for a standard normal t, up to degree 38."""
    nodes, weights = gauss_hermite()
    for k in range(20):
        double_factorial = float(math.prod(range(1, 2 * k, 2)))
        np.testing.assert_allclose(weights @ nodes ** (2 * k), double_factorial, rtol=1e-9)
    square = expectation(lambda f: f**2, tf.constant([[3.0]], tf.float64), tf.constant([[4.0]], tf.float64))
    np.testing.assert_allclose(square, [[13.0]], rtol=1e-13)


def test_gaussian_noise_per_output():
    likelihood = Gaussian([0.1, 0.4])
    mean, variance = np.zeros((3, 2)), np.ones((3, 2))
    np.testing.assert_allclose(
        likelihood.predict_mean_and_var(mean, variance)[1], np.tile([1.1, 1.4], (3, 1))
    )
    apart = [Gaussian(v).log_prob(mean[:, :1], np.ones(3)) for v in (0.1, 0.4)]
    np.testing.assert_allclose(likelihood.log_prob(mean, np.ones((3, 2))), apart[0] + apart[1], rtol=1e-13)
    with pytest.raises(ModelError, match="noise variance has shape"):
        likelihood.log_prob(mean[:, :1], np.ones(3))


def test_gaussian_floor_holds_whatever_the_optimiser_does():
    likelihood = Gaussian(0.1, floor=1e-3)
    np.testing.assert_allclose(tf.convert_to_tensor(likelihood.variance), 0.1, rtol=1e-14)
    likelihood.trainable_variables[0].assign(-1e3)
    np.testing.assert_allclose(tf.convert_to_tensor(likelihood.variance), 1e-3, rtol=1e-14)
    with pytest.raises(ModelError, match="above 0.001"):
        Gaussian(1e-3, floor=1e-3)


def test_gaussian_quantiles():
    """1.959964 deviations: the 97.5% point of a normal."""
    found = Gaussian(3.0).predict_quantiles(column(2.0), column(1.0), [0.025, 0.5, 0.975])
    np.testing.assert_allclose(found[0, 0], [2 - 2 * 1.959963985, 2.0, 2 + 2 * 1.959963985], rtol=1e-9)


@pytest.mark.parametrize("df", [0.5, 1.0, 2.5, 4.0, 30.0, 1000.0])
def test_student_t_is_a_mixture_of_gaussians(df):
    """With f known the mixture must give back the Student-t density and quantiles, far into the tails."""
    stats = pytest.importorskip("scipy.stats")
    likelihood = StudentT(0.5, df)
    y = column(0.0, 0.3, 1.0, 2.0, 50.0 if df < 10 else 3.0)  # where the density is above exp(-40)
    zero = np.zeros_like(y)
    expected = stats.t.logpdf(y[:, 0], df, scale=0.5)
    np.testing.assert_allclose(likelihood.log_prob(zero, y), expected, rtol=1e-10)
    np.testing.assert_allclose(likelihood.predict_log_density(zero, zero, y), expected, rtol=1e-6)
    levels = [0.01, 0.3, 0.5, 0.975]
    found = likelihood.predict_quantiles(zero[:1], zero[:1], levels)[0, 0]
    np.testing.assert_allclose(found, stats.t.ppf(levels, df, scale=0.5), rtol=1e-6, atol=1e-12)


def test_student_t_density_where_f_is_vague():
    """Noise of 0.01 under a spread of 3: 20 nodes over f would leave gaps; nearly N(0, 9) is right."""
    found = StudentT(0.01, 4.0).predict_log_density(column(0.0), column(9.0), column(1.0))
    np.testing.assert_allclose(found, -0.5 * np.log(2 * np.pi * 9.0) - 1 / 18, rtol=1e-4)


def test_student_t_without_a_variance():
    mean, variance = StudentT(1.0, 2.0).predict_mean_and_var(column(3.0), column(1.0))
    assert float(mean[0, 0]) == 3.0 and np.isinf(variance[0, 0])
    with pytest.raises(ModelError, match="df must be"):
        StudentT(1.0, 0.0)


@pytest.mark.parametrize("shape", [0.25, 2.0, 500.0])
def test_gamma_grid_has_the_moments_of_the_gamma(shape):
    u, log_weights = gamma_grid(shape)
    weights = np.exp(log_weights)
    np.testing.assert_allclose(weights @ np.exp(u), 1.0, rtol=1e-6)
    np.testing.assert_allclose(weights @ np.exp(2 * u), 1.0 + 1.0 / shape, rtol=1e-6)


def test_probit_closed_form():
    """E[Phi(f)] = Phi(m / sqrt(1 + v)): for m = 1, v = 3 it is Phi(1/2) = 0.6914624613."""
    likelihood = Bernoulli()
    mean, variance = likelihood.predict_mean_and_var(column(1.0), column(3.0))
    np.testing.assert_allclose(mean[0, 0], 0.6914624613, rtol=1e-9)
    np.testing.assert_allclose(variance[0, 0], 0.6914624613 * 0.3085375387, rtol=1e-9)
    one, zero = (likelihood.predict_log_density(column(1.0), column(3.0), [y]) for y in (1.0, 0.0))
    np.testing.assert_allclose(np.exp(one) + np.exp(zero), 1.0, rtol=1e-14)


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_log_normal_cdf_in_the_tails(dtype):
    """Value and gradient against 40 digits, where Phi itself has long been zero."""
    x = [-1e8, -1e3, -40.0, -25.1, -24.9, -20.0, -8.1, -7.9, -5.0, -1.0, 0.0, 2.0, 8.0]
    with mpmath.workdps(40):
        phi = [mpmath.erfc(-mpmath.mpf(v) / mpmath.sqrt(2)) / 2 for v in x]
        value = [float(mpmath.log(p)) for p in phi]
        slope = [float(mpmath.npdf(v) / p) for v, p in zip(x, phi, strict=True)]
    points = tf.constant(x, dtype)
    with tf.GradientTape() as tape:
        tape.watch(points)
        found = log_normal_cdf(points)
    tolerance = 1e-5 if dtype == tf.float32 else 1e-12
    np.testing.assert_allclose(found, value, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(tape.gradient(found, points), slope, rtol=tolerance)


def test_classes_have_no_quantiles():
    with pytest.raises(ModelError, match="a class has no quantiles"):
        Bernoulli().predict_quantiles(column(0.0), column(1.0), [0.5])
    with pytest.raises(ModelError, match="use probit or logit"):
        Bernoulli("cauchit")


def test_poisson_closed_form():
    """y m - exp(m + v/2) - lgamma(y + 1); for y = 3, m = 1, v = 2: 3 - e^2 - log 6."""
    found = Poisson().expected_log_likelihood(column(1.0), column(2.0), [3.0])
    np.testing.assert_allclose(found, 3.0 - math.e**2 - math.log(6.0), rtol=1e-14)
    mean, variance = Poisson().predict_mean_and_var(column(1.0), column(2.0))
    np.testing.assert_allclose(mean[0, 0], math.e**2, rtol=1e-14)
    np.testing.assert_allclose(variance[0, 0], math.e**2 + math.e**4 * (math.e**2 - 1.0), rtol=1e-13)


def test_bounded_exp():
    for dtype, limit in ((tf.float64, 354.0), (tf.float32, 44.0)):
        x = tf.constant([-1e4, 0.0, limit, 1e4], dtype)
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = bounded_exp(x)
        np.testing.assert_allclose(value[:3], np.exp(x[:3].numpy()), rtol=1e-6)
        assert np.isfinite(value[3]) and np.isfinite(tape.gradient(value, x)[3])


def test_poisson_density_of_large_counts():
    """Sums to one over counts, also where a count pins the rate far better than f_var does."""
    for mean, variance, largest in ((2.0, 0.5, 2000), (6.0, 1.0, 60_000)):
        counts = np.arange(0.0, largest)[:, None]
        moments = np.full_like(counts, mean), np.full_like(counts, variance)
        total = np.exp(Poisson().predict_log_density(*moments, counts)).sum()
        np.testing.assert_allclose(total, 1.0, rtol=1e-4)


def test_mode_is_stationary():
    rng = np.random.default_rng(0)
    m, v = rng.normal(scale=5.0, size=200), np.exp(rng.normal(scale=3.0, size=200))
    y = rng.integers(0, 1000, size=200).astype(float)
    f = log_density_mode(*(tf.constant(x) for x in (m, v, y))).numpy()
    slope = y - np.exp(f) - (f - m) / v
    assert np.all(np.abs(slope) < 1e-8 * (y + np.exp(f) + np.abs(f - m) / v + 1.0))


def test_count_cdf_forms_meet():
    """Against sums of the predictive density, on both sides of the change between its two forms."""
    for mean, variance in ((0.0, 0.01), (2.0, 0.3), (2.0, 3.0), (4.0, 2.0), (0.0, 30.0)):
        k = np.arange(0.0, 60.0)
        moments = np.full((60, 1), mean), np.full((60, 1), variance)
        summed = np.cumsum(np.exp(Poisson().predict_log_density(*moments, k)))
        found = count_cdf(tf.constant(k), *(tf.constant(m[:, 0]) for m in moments))
        np.testing.assert_allclose(found, summed, atol=4e-3)


def test_poisson_quantiles_without_uncertainty():
    stats = pytest.importorskip("scipy.stats")
    rates, levels = np.array([0.01, 0.7, 5.0, 300.0, 1e6]), [0.001, 0.025, 0.5, 0.975, 0.999]
    found = Poisson().predict_quantiles(np.log(rates)[:, None], np.zeros((5, 1)), levels)[:, 0]
    expected = stats.poisson.ppf(np.array(levels), rates[:, None])
    np.testing.assert_array_equal(found[:4], expected[:4])
    np.testing.assert_allclose(found[4], expected[4], rtol=2e-6)


def test_poisson_quantiles_survive_wild_predictions():
    mean, variance = column(-50.0, 0.0, 50.0, 1e4), column(1.0, 1e4, 100.0, 1.0)
    found = Poisson().predict_quantiles(mean, variance, [0.1, 0.9]).numpy()
    assert np.all(np.isfinite(found)) and np.all(found >= 0.0) and np.all(found[..., 1] >= found[..., 0])


RATES = [Exponential(), Gamma(50.0), LogNormal(0.3), NegativeBinomial(0.4), Poisson(), Weibull(2.0),
         ZeroInflatedPoisson(0.3)]  # fmt: skip


@pytest.mark.parametrize("likelihood", RATES, ids=lambda likelihood: likelihood.name)
def test_variances_are_no_differences_of_large_numbers(likelihood):
    """By quadrature where f is known well; finite and above zero where it is not known at all."""
    m, v = column(-2.0, 0.5, 3.0), column(0.2, 1e-6, 0.3)
    nodes, weights = gauss_hermite()
    moments = [likelihood._moments(tf.constant(m + np.sqrt(v) * t)) for t in nodes]
    means, variances = (np.stack([np.asarray(x) for x in part]) for part in zip(*moments, strict=True))
    mean = np.tensordot(weights, means, 1)
    spread = np.tensordot(weights, variances + (means - mean) ** 2, 1)
    np.testing.assert_allclose(likelihood.predict_mean_and_var(m, v), [mean, spread], rtol=1e-6)
    wild = np.asarray(
        likelihood.predict_mean_and_var(column(-300.0, 0.0, 200.0), column(5000.0, 900.0, 30.0))
    )
    assert np.all(np.isfinite(wild)) and np.all(wild[1] > 0.0)


@pytest.mark.parametrize("a", [0.5, 20.0, 1000.0])
def test_log_survival_of_a_gamma_variable_in_the_far_tail(a):
    """Against mpmath, from where its survival function is still a number to where it is not."""
    x = a + 20.0 + np.sqrt(a) * np.array([2.0, 9.0, 11.0, 60.0, 500.0])
    truth = [float(mpmath.log(mpmath.gammainc(a, value, regularized=True))) for value in x]
    found = Gamma(a, censored=True).log_prob(np.zeros((5, 1)), np.column_stack([x, np.ones(5)]))
    np.testing.assert_allclose(found, truth, rtol=1e-9)


def test_small_shares_are_not_taken_for_zeros():
    """Of ten rows half a row's share is 0.05: above shares of a thousandth, which are observations."""
    section = LIKELIHOODS["beta"].model_validate({"type": "beta"})
    Y = 1e-3 * np.arange(1.0, 11.0)[:, None]
    assert from_config(section, Targets(Y)).edge == 0.5e-3
    assert from_config(section, Targets(np.array([[0.0], [0.5], [1.0], [0.7]]))).edge == 0.125
