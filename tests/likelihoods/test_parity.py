"""Every likelihood against integrals over a dense grid, against GPflow and SciPy, and against differences."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import scipy.stats as st
import tensorflow as tf
from scipy.special import ndtr

from svgp import likelihoods as lk
from svgp.errors import ModelError

EDGES = [-0.8, 0.1, 1.2]


@dataclass(frozen=True)
class Case:
    """A likelihood, observations for it, and an independent form of its density (and of a sampler)."""

    make: Any
    Y: list[float]
    log_density: Any  # (F [..., N, Q], Y [N, P + E]) -> [..., N]
    draw: Any = None  # (F [S, N, Q], rng) -> [S, N]
    extras: list[float] = field(default_factory=list)
    grid: int = 401  # points of the dense grid, one latent; the square root of it for two
    exact: float = 1e-6  # expected log density and predictive density against the integrals


def _survival(log_pdf: Any, log_sf: Any) -> Any:
    return lambda F, Y: np.where(Y[:, 1] > 0.5, log_sf(F[..., 0], Y[:, 0]), log_pdf(F[..., 0], Y[:, 0]))


def _asymmetric(F: Any, Y: Any) -> Any:
    u = (Y[:, 0] - F[..., 0]) / 0.3
    return np.log(0.8 * 0.2 / 0.3) - u * (0.8 - (u < 0))


def _ordinal(F: Any, Y: Any) -> Any:
    edges = np.concatenate([[-np.inf], EDGES, [np.inf]])
    k = Y[:, 0].astype(int)
    return np.log(ndtr(edges[k + 1] - F[..., 0]) - ndtr(edges[k] - F[..., 0]))


def _zip(F: Any, Y: Any) -> Any:
    count = np.log(0.7) + st.poisson.logpmf(Y[:, 0], np.exp(F[..., 0]))
    return np.logaddexp(np.where(Y[:, 0] == 0, np.log(0.3), -np.inf), count)


CASES: dict[str, Case] = {
    "gaussian": Case(
        lambda **o: lk.Gaussian(0.3, **o), [-1.0, 0.2, 0.5, 3.0],
        lambda F, Y: st.norm.logpdf(Y[:, 0], F[..., 0], 0.3**0.5),
        lambda F, r: F[..., 0] + 0.3**0.5 * r.normal(size=F.shape[:-1]),
    ),
    "student_t": Case(
        lambda **o: lk.StudentT(0.4, 4.0, **o), [-1.0, 0.2, 0.5, 3.0],
        lambda F, Y: st.t.logpdf(Y[:, 0], 4.0, F[..., 0], 0.4),
        lambda F, r: F[..., 0] + 0.4 * r.standard_t(4.0, size=F.shape[:-1]), exact=5e-3,
    ),
    "bernoulli": Case(
        lambda **o: lk.Bernoulli(**o), [0, 1, 0, 1],
        lambda F, Y: st.norm.logcdf((2 * Y[:, 0] - 1) * F[..., 0]),
    ),
    "bernoulli_logit": Case(
        lambda **o: lk.Bernoulli("logit", **o), [0, 1, 0, 1],
        lambda F, Y: st.logistic.logcdf((2 * Y[:, 0] - 1) * F[..., 0]),
    ),
    "poisson": Case(
        lambda **o: lk.Poisson(**o), [0, 1, 5, 90],
        lambda F, Y: st.poisson.logpmf(Y[:, 0], np.exp(F[..., 0])), lambda F, r: r.poisson(np.exp(F[..., 0])),
    ),
    "laplace": Case(
        lambda **o: lk.Laplace(0.4, **o), [-1.0, 0.2, 0.5, 3.0],
        lambda F, Y: st.laplace.logpdf(Y[:, 0], F[..., 0], 0.4),
        lambda F, r: F[..., 0] + r.laplace(size=F.shape[:-1]) * 0.4, exact=2e-4, grid=20001,
    ),
    "quantile": Case(
        lambda **o: lk.Quantile(0.8, 0.3, **o), [-1.0, 0.2, 0.5, 3.0], _asymmetric, exact=2e-4, grid=20001,
    ),
    "exponential": Case(
        lambda **o: lk.Exponential(**o), [0.1, 0.9, 2.0, 7.0],
        lambda F, Y: st.expon.logpdf(Y[:, 0], scale=np.exp(F[..., 0])),
        lambda F, r: r.exponential(np.exp(F[..., 0])),
    ),
    "weibull": Case(
        lambda **o: lk.Weibull(1.7, **o), [0.1, 0.9, 2.0, 7.0],
        lambda F, Y: st.weibull_min.logpdf(Y[:, 0], 1.7, scale=np.exp(F[..., 0])),
        lambda F, r: r.weibull(1.7, size=F.shape[:-1]) * np.exp(F[..., 0]),
    ),
    "weibull_censored": Case(
        lambda **o: lk.Weibull(1.7, True, **o), [0.1, 0.9, 2.0, 7.0],
        _survival(
            lambda F, y: st.weibull_min.logpdf(y, 1.7, scale=np.exp(F)),
            lambda F, y: st.weibull_min.logsf(y, 1.7, scale=np.exp(F)),
        ), extras=[0, 1, 1, 0], exact=2e-4,
    ),
    "gamma": Case(
        lambda **o: lk.Gamma(2.5, **o), [0.1, 0.9, 2.0, 7.0],
        lambda F, Y: st.gamma.logpdf(Y[:, 0], 2.5, scale=np.exp(F[..., 0])),
        lambda F, r: r.gamma(2.5, np.exp(F[..., 0])),
    ),
    "gamma_censored": Case(
        lambda **o: lk.Gamma(2.5, True, **o), [0.1, 0.9, 2.0, 7.0],
        _survival(
            lambda F, y: st.gamma.logpdf(y, 2.5, scale=np.exp(F)),
            lambda F, y: st.gamma.logsf(y, 2.5, scale=np.exp(F)),
        ), extras=[1, 1, 0, 1],
    ),
    "lognormal": Case(
        lambda **o: lk.LogNormal(0.4, **o), [0.1, 0.9, 2.0, 7.0],
        lambda F, Y: st.lognorm.logpdf(Y[:, 0], 0.4, scale=np.exp(F[..., 0])),
        lambda F, r: np.exp(F[..., 0] + 0.4 * r.normal(size=F.shape[:-1])),
    ),
    "lognormal_censored": Case(
        lambda **o: lk.LogNormal(0.4, True, **o), [0.1, 0.9, 2.0, 7.0],
        _survival(
            lambda F, y: st.lognorm.logpdf(y, 0.4, scale=np.exp(F)),
            lambda F, y: st.lognorm.logsf(y, 0.4, scale=np.exp(F)),
        ), extras=[0, 1, 1, 1], exact=1e-5,
    ),
    "beta": Case(
        lambda **o: lk.Beta(6.0, **o), [0.05, 0.4, 0.7, 0.99],
        lambda F, Y: st.beta.logpdf(Y[:, 0], 6.0 * ndtr(F[..., 0]), 6.0 * ndtr(-F[..., 0])),
        lambda F, r: r.beta(6.0 * ndtr(F[..., 0]), 6.0 * ndtr(-F[..., 0])), exact=1e-3,
    ),
    "binomial": Case(
        lambda **o: lk.Binomial(**o), [0, 3, 7, 40],
        lambda F, Y: st.binom.logpmf(Y[:, 0], Y[:, 1], 1 / (1 + np.exp(-F[..., 0]))),
        lambda F, r: r.binomial([1, 5, 7, 60], 1 / (1 + np.exp(-F[..., 0]))), extras=[1, 5, 7, 60],
    ),
    "negative_binomial": Case(
        lambda **o: lk.NegativeBinomial(0.7, **o), [0, 1, 5, 90],
        lambda F, Y: st.nbinom.logpmf(Y[:, 0], 1 / 0.7, 1 / (1 + 0.7 * np.exp(F[..., 0]))),
        lambda F, r: r.poisson(r.gamma(1 / 0.7, 0.7 * np.exp(F[..., 0]))),
    ),
    "negative_binomial_exposed": Case(
        lambda **o: lk.NegativeBinomial(0.7, True, **o), [0, 1, 5, 90],
        lambda F, Y: st.nbinom.logpmf(Y[:, 0], 1 / 0.7, 1 / (1 + 0.7 * Y[:, 1] * np.exp(F[..., 0]))),
        extras=[0.5, 1.0, 3.0, 60.0],
    ),
    "poisson_exposed": Case(
        lambda **o: lk.Poisson(True, **o), [0, 1, 5, 90],
        lambda F, Y: st.poisson.logpmf(Y[:, 0], Y[:, 1] * np.exp(F[..., 0])),
        lambda F, r: r.poisson(np.array([0.5, 1.0, 3.0, 60.0]) * np.exp(F[..., 0])),
        extras=[0.5, 1.0, 3.0, 60.0],
    ),
    "zero_inflated_poisson": Case(
        lambda **o: lk.ZeroInflatedPoisson(0.3, **o), [0, 1, 5, 0], _zip,
        lambda F, r: r.poisson(np.exp(F[..., 0])) * (r.random(F.shape[:-1]) > 0.3), exact=2e-5,
    ),
    "ordinal": Case(
        lambda **o: lk.Ordinal(EDGES, **o), [0, 1, 2, 3], _ordinal,
    ),
    "gaussian_per_row": Case(
        lambda **o: lk.Gaussian(0.04, per_row=True, **o), [-1.0, 0.2, 0.5, 3.0],
        lambda F, Y: st.norm.logpdf(Y[:, 0], F[..., 0], np.sqrt(0.04 + Y[:, 1] ** 2)),
        lambda F, r: F[..., 0] + np.sqrt(0.04 + np.array([0.1, 0.5, 1, 2]) ** 2) * r.normal(size=F.shape[:2]),
        extras=[0.1, 0.5, 1.0, 2.0],
    ),
    "heteroskedastic": Case(
        lambda **o: lk.Heteroskedastic(**o), [-1.0, 0.2, 0.5, 3.0],
        lambda F, Y: st.norm.logpdf(Y[:, 0], F[..., 0], np.exp(F[..., 1])),
        lambda F, r: F[..., 0] + np.exp(F[..., 1]) * r.normal(size=F.shape[:-1]), exact=2e-4,
    ),
    "heteroskedastic_student_t": Case(
        lambda **o: lk.Heteroskedastic("student_t", 4.0, **o), [-1.0, 0.2, 0.5, 3.0],
        lambda F, Y: st.t.logpdf(Y[:, 0], 4.0, F[..., 0], np.exp(F[..., 1])),
        lambda F, r: F[..., 0] + np.exp(F[..., 1]) * r.standard_t(4.0, size=F.shape[:-1]), exact=2e-2,
    ),
}  # fmt: skip
NAMES = list(CASES)


def problem(name: str) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray]:
    case, rng = CASES[name], np.random.default_rng(1)
    likelihood = case.make()
    Q = likelihood.num_latent(1)
    Y = np.array(case.Y, float)[:, None]
    Y = np.hstack([Y, np.array(case.extras, float)[:, None]]) if case.extras else Y
    mean = rng.normal(size=(4, Q)) * 0.7
    mean[3, 0] = np.log(Y[3, 0]) if Y[3, 0] > 5 and likelihood.task in ("count", "positive") else mean[3, 0]
    return likelihood, mean, rng.uniform(0.05, 0.8, size=(4, Q)), Y


def nodes(case: Case, mean: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A dense grid over each row's latents [G, N, Q], and its log weights [G]."""
    Q, t = mean.shape[1], np.linspace(-9.0, 9.0, case.grid if mean.shape[1] == 1 else 161)
    points = np.stack(np.meshgrid(*[t] * Q, indexing="ij"), -1).reshape(-1, Q)  # [G, Q]
    log_weights = -0.5 * np.sum(points**2, 1)
    log_weights -= np.logaddexp.reduce(log_weights)
    return mean + np.sqrt(variance) * points[:, None], log_weights


def differences(name: str) -> dict[str, float]:
    """Largest differences from the independent density, its integrals, and draws of quantiles' levels."""
    case, (likelihood, mean, variance, Y) = CASES[name], problem(name)
    F, log_weights = nodes(case, mean, variance)
    with np.errstate(divide="ignore"):
        values = case.log_density(F, Y)  # [G, N]
    finite = np.where(log_weights[:, None] < -60, 0.0, values)
    expected = np.sum(np.exp(log_weights)[:, None] * finite, 0)
    predictive = np.logaddexp.reduce(log_weights[:, None] + values, axis=0)
    found = {
        "log_density": np.max(np.abs(likelihood.log_prob(mean, Y) - case.log_density(mean, Y))),
        "expected": np.max(np.abs(likelihood.expected_log_likelihood(mean, variance, Y) - expected)),
        "predictive": np.max(np.abs(likelihood.predict_log_density(mean, variance, Y) - predictive)),
    }
    return {key: float(value) for key, value in found.items()}


def differences_from_draws(name: str, count: int = 100_000) -> dict[str, float]:
    """Largest differences of moments and quantiles from those of so many draws, all of which err themselves.

    mean: in standard errors of the draws' mean; variance: relative; quantile: of the probability below it.
    """
    case, (likelihood, mean, variance, Y) = CASES[name], problem(name)
    rng, told = np.random.default_rng(3), Y[:, 1:] if case.extras else None
    draws = case.draw(mean + np.sqrt(variance) * rng.normal(size=(count, *mean.shape)), rng)  # [S, N]
    first, second = (np.asarray(x)[:, 0] for x in likelihood.predict_mean_and_var(mean, variance, told))
    levels = np.array([0.05, 0.5, 0.9])
    quantiles = np.asarray(likelihood.predict_quantiles(mean, variance, levels, told))[:, 0]  # [N, K]
    below = np.stack([(draws <= q + 1e-9).mean(0) for q in quantiles.T], -1)
    strictly = np.stack([(draws < q - 1e-9).mean(0) for q in quantiles.T], -1)
    return {
        "mean": float(np.max(np.abs(first - draws.mean(0)) / (draws.std(0) / np.sqrt(count) + 1e-12))),
        "variance": float(np.max(np.abs(second / draws.var(0) - 1.0))),
        "quantile": max(0.0, float(np.max(np.maximum(levels - below, strictly - levels)))),
    }


@pytest.mark.parametrize("name", NAMES)
def test_densities_are_the_integrals(name: str) -> None:
    found = differences(name)
    assert found["log_density"] < 1e-8
    assert found["expected"] < CASES[name].exact, found
    assert found["predictive"] < CASES[name].exact, found


@pytest.mark.parametrize("name", [name for name in NAMES if CASES[name].draw])
def test_moments_and_quantiles_are_those_of_draws(name: str) -> None:
    found = differences_from_draws(name)
    assert found["mean"] < 5.0 and found["quantile"] < 6e-3, found
    if "student_t" not in name:  # whose fourth moments do not exist
        assert found["variance"] < 0.14, found


@pytest.mark.parametrize("method", ["expected_log_likelihood", "predict_log_density"])
@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_finite_differences(name: str, method: str) -> None:
    likelihood, mean, variance, Y = problem(name)
    function = getattr(likelihood, method)
    inputs = [tf.constant(mean), tf.constant(variance)]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        total = tf.reduce_sum(function(*inputs, Y))
    found = tape.gradient(total, [*inputs, *likelihood.trainable_variables])
    rng, step = np.random.default_rng(0), 1e-5
    for place in (0, 1):
        direction = rng.normal(size=mean.shape)
        shifts = [step * direction * (place == 0), step * direction * (place == 1)]
        up = function(tf.constant(mean + shifts[0]), tf.constant(variance + shifts[1]), Y)
        down = function(tf.constant(mean - shifts[0]), tf.constant(variance - shifts[1]), Y)
        slope = np.sum(np.asarray(found[place]) * direction, 1)
        tolerance = 2e-5 if method == "predict_log_density" else 1e-6
        np.testing.assert_allclose(slope, (up - down) / (2 * step), rtol=tolerance, atol=1e-7)
    for variable, gradient in zip(likelihood.trainable_variables, found[2:], strict=True):
        start, sums = variable.numpy(), []
        direction = rng.normal(size=start.shape)
        for sign in (1, -1):
            variable.assign(start + sign * step * direction)
            sums.append(float(tf.reduce_sum(function(*inputs, Y))))
        variable.assign(start)
        slope = float(np.sum(gradient * direction))
        np.testing.assert_allclose(slope, (sums[0] - sums[1]) / (2 * step), rtol=2e-5, atol=1e-7)


@pytest.mark.parametrize("name", NAMES)
def test_far_tails_keep_values_and_gradients_finite(name: str) -> None:
    likelihood, _, _, Y = problem(name)
    Q = likelihood.num_latent(1)
    mean = tf.constant(np.array([[-200.0], [-25.0], [25.0], [200.0]]) * np.ones(Q))
    variance = tf.constant(np.array([[1e-12], [1.0], [20.0], [1e-3]]) * np.ones(Q))
    for method in (likelihood.expected_log_likelihood, likelihood.predict_log_density):
        with tf.GradientTape() as tape:
            tape.watch([mean, variance])
            value = method(mean, variance, Y)
        found = tape.gradient(value, [mean, variance, *likelihood.trainable_variables])
        assert np.all(np.isfinite(value)), method
        assert all(np.all(np.isfinite(g)) for g in found if g is not None), method


@pytest.mark.parametrize("name", ["gamma", "exponential", "beta", "ordinal", "heteroskedastic"])
def test_gpflow_agrees(name: str) -> None:
    gpflow = pytest.importorskip("gpflow")
    likelihood, mean, variance, Y = problem(name)
    theirs = {
        "gamma": lambda: gpflow.likelihoods.Gamma(shape=2.5),
        "exponential": lambda: gpflow.likelihoods.Exponential(),
        "beta": lambda: gpflow.likelihoods.Beta(
            invlink=lambda f: 0.5 * tf.math.erfc(-f / np.sqrt(2.0)), scale=6.0
        ),
        "ordinal": lambda: gpflow.likelihoods.Ordinal(np.array(EDGES)),
        "heteroskedastic": lambda: gpflow.likelihoods.HeteroskedasticTFPConditional(),
    }[name]()
    X = np.zeros((len(Y), 1))
    # Its Ordinal floors probabilities and its heteroskedastic transform shifts scales: about 1e-4 and 1e-6.
    tolerance = {"ordinal": 5e-3, "heteroskedastic": 1e-4}.get(name, 1e-7)
    for ours, expected in (
        (likelihood.log_prob(mean, Y), theirs.log_prob(X, mean, Y)),
        (
            likelihood.expected_log_likelihood(mean, variance, Y),
            theirs.variational_expectations(X, mean, variance, Y),
        ),
    ):
        expected = np.ravel(expected)
        # Beyond its first and last edge GPflow's Ordinal is NaN on some processors: inf * 0.
        known = np.isfinite(expected)
        assert known.sum() >= 2 and np.isfinite(ours).all()  # where it is, `_ordinal` above is the truth
        np.testing.assert_allclose(np.asarray(ours)[known], expected[known], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", ["weibull_censored", "binomial"])
def test_columns_that_are_missing_are_named(name: str) -> None:
    likelihood, mean, variance, Y = problem(name)
    with pytest.raises(ModelError, match=f"and the columns {likelihood.extras[0]}"):
        likelihood.expected_log_likelihood(mean, variance, Y[:, :1])
    with pytest.raises(ModelError, match=f"extras have shape .*for {likelihood.extras[0]}"):
        likelihood.predict_mean_and_var(mean, variance, np.ones((4, 2)))


def test_missing_targets_of_several_count_for_nothing() -> None:
    likelihood = lk.NegativeBinomial(0.7)
    rng = np.random.default_rng(0)
    mean, variance = rng.normal(size=(5, 2)), rng.uniform(0.1, 0.5, size=(5, 2))
    Y = rng.poisson(2.0, size=(5, 2)).astype(float)
    Y[1, 0], Y[3] = np.nan, np.nan
    inputs = [tf.constant(mean), tf.constant(variance)]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        value = likelihood.expected_log_likelihood(*inputs, Y)
    single = [
        np.asarray(likelihood.expected_log_likelihood(mean[:, [p]], variance[:, [p]], Y[:, [p]]))
        for p in (0, 1)
    ]
    np.testing.assert_allclose(value, np.nansum(single, 0), rtol=1e-12)
    gradients = tape.gradient(value, inputs)
    for gradient in gradients:
        assert np.all(np.isfinite(gradient)) and not np.any(np.asarray(gradient)[3]) and not gradient[1, 0]


def test_two_latents_of_each_output_stand_side_by_side() -> None:
    likelihood = lk.Heteroskedastic()
    rng = np.random.default_rng(0)
    mean, variance, Y = rng.normal(size=(5, 4)), rng.uniform(0.1, 0.5, size=(5, 4)), rng.normal(size=(5, 2))
    parts = [
        likelihood.predict_log_density(mean[:, 2 * p : 2 * p + 2], variance[:, 2 * p : 2 * p + 2], Y[:, [p]])
        for p in (0, 1)
    ]
    np.testing.assert_allclose(likelihood.predict_log_density(mean, variance, Y), sum(parts), rtol=1e-12)
    assert likelihood.num_latent(2) == 4 and likelihood.num_outputs(4) == 2
    with pytest.raises(ModelError, match="3 latent functions; each output takes 2"):
        likelihood.num_outputs(3)
