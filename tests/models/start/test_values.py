"""Starting values: the rule that the module states, on data where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from svgp.config.model import ModelConfig
from svgp.kernels import Matern32
from svgp.models.start.evidence import (
    REACH,
    SPREAD,
    STARTS,
    _best_lengths,
    fit_lengthscales,
    negative_evidence,
)
from svgp.models.start.values import LENGTHSCALE_FACTORS, column_spread, has_ard, start_values

REGRESSION, COUNTS = ModelConfig(), ModelConfig.model_validate({"likelihood": {"type": "poisson"}})
CLASSES = ModelConfig.model_validate({"likelihood": {"type": "bernoulli"}})
SUCCESSES = ModelConfig.model_validate({"likelihood": {"type": "binomial", "trials": "n"}})
ISOTROPIC = ModelConfig.model_validate({"kernel": {"type": "matern32", "ard": False}})
STUDENT = ModelConfig.model_validate({"likelihood": {"type": "student_t"}})


def rows(columns=4, count=300, seed=0):
    return np.random.default_rng(seed).normal(size=(count, columns))


@pytest.mark.parametrize("kind", ["classes", "counts", "successes"])
def test_classes_and_counts_tell_the_inputs_that_matter(kind):
    """Of 20 inputs two: with equal lengths 3,000 rows of two classes ended at an accuracy of .83 for .91."""
    X, rng = rows(20, 400), np.random.default_rng(3)
    f = 2.0 * np.sin(2.0 * X[:, 3:4]) + X[:, 8:9]
    config, Y = {
        "classes": (CLASSES, (f + 0.3 * rng.normal(size=f.shape) > 0.0).astype(float)),
        "counts": (COUNTS, rng.poisson(np.exp(f)).astype(float)),
        "successes": (SUCCESSES, rng.binomial(9, 1.0 / (1.0 + np.exp(-f))).astype(float)),
    }[kind]
    Y = np.hstack([Y, np.full_like(Y, 9.0)]) if kind == "successes" else Y
    start = start_values(config, X, Y)
    order = np.argsort(start.lengthscales / X.std(0))
    assert sorted(order[:2].tolist()) == [3, 8]
    assert start.lengthscales[order[2]] > 1.3 * start.lengthscales[order[1]]


def test_counts_that_are_all_the_same_are_harmless():
    start = start_values(COUNTS, rows(4), np.ones((300, 1)))
    assert np.all(np.isfinite(start.lengthscales) & (start.lengthscales > 0.5)) and start.variance == 1.0


def test_a_regression_with_one_lengthscale_takes_the_factor_with_the_best_evidence():
    X = rows(2)
    smooth = start_values(ISOTROPIC, X, X.sum(1, keepdims=True))
    rough = start_values(ISOTROPIC, X, np.sin(12 * X.sum(1, keepdims=True)))
    scale = np.sqrt(2.0) * X.std(0)
    np.testing.assert_allclose(smooth.lengthscales, max(LENGTHSCALE_FACTORS) * scale)
    assert np.all(rough.lengthscales < 0.5 * scale)


def test_a_lengthscale_for_each_input_tells_the_inputs_that_matter():
    # 2 of 32 inputs matter: from equal lengths a sparse bound ends as noise around a constant (pumadyn32nm).
    X = rows(32, 400)
    start = start_values(REGRESSION, X, np.sin(2 * X[:, 3:4]) + X[:, 8:9])
    order = np.argsort(start.lengthscales)
    assert order[:2].tolist() == [3, 8]
    assert start.lengthscales[order[2]] > 3 * start.lengthscales[8]
    rough = start_values(REGRESSION, X[:, :2], np.sin(12 * X[:, :1]))
    assert rough.lengthscales[0] < 0.4 and rough.lengthscales[1] > 1.5


def test_the_gradient_of_the_evidence_agrees_with_differences():
    X, Y = rows(3, 40), np.random.default_rng(1).normal(size=(40, 2))
    theta = np.array([0.3, -0.2, 0.5, -1.5])
    steps = 1e-5 * np.eye(4)
    slopes = [
        (negative_evidence(theta + e, X, Y)[0] - negative_evidence(theta - e, X, Y)[0]) / 2e-5 for e in steps
    ]
    np.testing.assert_allclose(negative_evidence(theta, X, Y)[1], slopes, rtol=1e-7, atol=1e-7)


def test_the_evidence_is_that_of_the_exact_gp():
    X, Y = rows(2, 25), np.random.default_rng(1).normal(size=(25, 1))
    kernel = Matern32(0.8, [1.5, 0.5])
    K = kernel(X).numpy() + 0.2 * np.eye(25)
    away = np.log([1.5, 0.5]) - 0.5 * np.log(2)
    expected = multivariate_normal(np.zeros(25), K).logpdf(Y[:, 0]) - np.sum(away**2) / (2 * SPREAD**2)
    value = negative_evidence(np.log([1.5, 0.5, 0.2]), X, Y)[0]
    assert -value - 12.5 * np.log(2 * np.pi) == pytest.approx(expected, rel=1e-10)


def test_ard_is_found_in_any_part_of_a_kernel():
    def kernel(**config):
        return ModelConfig.model_validate({"kernel": config}).kernel

    assert has_ard(kernel(type="matern32")) and not has_ard(kernel(type="matern32", ard=False))
    parts = [{"type": "linear", "ard": False}, {"product": [{"type": "matern52"}]}]
    assert has_ard(kernel(sum=parts)) and not has_ard(kernel(sum=parts[:1]))


def test_a_rare_category_steps_by_its_range_not_by_its_deviation():
    X = np.zeros((1000, 1))
    X[:5] = 1.0  # a deviation of 0.07
    np.testing.assert_allclose(
        column_spread(np.hstack([X, 3 * rows(1, 1000), X * 0]))[0], [0.5, 3, 1], rtol=0.1
    )


def test_outliers_do_not_set_the_scale_of_a_student_t():
    X = rows(2)
    Y = np.sin(X[:, :1])
    Y[:6] += 1e4
    robust = start_values(STUDENT, X, Y)
    plain = start_values(REGRESSION, X, Y)
    assert plain.variance > 1e5 and 0.3 < robust.variance < 1.0
    np.testing.assert_allclose(robust.noise_scale, robust.variance)


def test_large_counts_get_a_variance_that_reaches_their_logarithm():
    counts = np.random.default_rng(0).poisson(1e5, size=(300, 1)).astype(float)
    assert start_values(COUNTS, rows(2), counts).variance == pytest.approx(np.log(1e5) ** 2, rel=1e-3)
    assert start_values(COUNTS, rows(2), counts * 0).variance == 1.0


def test_large_counts_let_near_rows_vary_no_more_than_their_logarithms_do():
    """Under a prior variance of 12^2, for the level, and of 1 about it: lengthscales are 12 times as long."""
    X = rows(2, 400)
    g = 1.4 * np.sin(2.0 * X[:, :1])
    counts = np.random.default_rng(0).poisson(np.exp(12.0 + g)).astype(float)
    start, plain = start_values(COUNTS, X, counts), start_values(REGRESSION, X, g)
    assert start.level.mean == pytest.approx(12.0, abs=0.1)
    stretch = np.sqrt(start.level.square / start.level.around)
    assert stretch > 10.0
    np.testing.assert_allclose(start.lengthscales[0], stretch * plain.lengthscales[0], rtol=0.2)
    step = 0.05 * plain.lengthscales[0] * np.array([[0.0, 0.0], [1.0, 0.0]])
    far, near = (
        Matern32(v, lengths)(step).numpy()
        for v, lengths in ((start.variance, start.lengthscales), (start.level.around, plain.lengthscales))
    )
    assert far[0, 0] - far[0, 1] == pytest.approx(near[0, 0] - near[0, 1], rel=0.3)


def test_units_of_inputs_and_targets_are_followed():
    X, scales = rows(3), np.array([1e-6, 1.0, 1e6])
    Y = np.sin(X[:, :1])
    plain, scaled = start_values(REGRESSION, X, Y), start_values(REGRESSION, X * scales, 1e3 * Y + 7.0)
    np.testing.assert_allclose(scaled.lengthscales, plain.lengthscales * scales, rtol=1e-9)
    np.testing.assert_allclose(scaled.variance, 1e6 * plain.variance, rtol=1e-9)
    np.testing.assert_allclose(scaled.noise_scale, 1e6 * Y.var(0), rtol=1e-9)


def test_constant_columns_and_targets_are_harmless():
    X = rows(3)
    X[:, 1] = 5.0
    start = start_values(REGRESSION, X, np.full((300, 2), 3.0))
    assert np.all(np.isfinite(start.lengthscales)) and np.all(start.lengthscales > 0)
    np.testing.assert_array_equal(start.noise_scale, [1.0, 1.0])
    np.testing.assert_allclose(start.lengthscales[0] / X[:, 0].std(), start.lengthscales[1], rtol=1e-12)


def test_few_rows_and_a_seed():
    X = rows(2, 2000)
    Y = np.sin(3 * X[:, :1])
    first, again = (start_values(REGRESSION, X, Y, seed=4) for _ in range(2))
    np.testing.assert_array_equal(first.lengthscales, again.lengthscales)
    assert np.isfinite(start_values(REGRESSION, X[:1], Y[:1]).lengthscales).all()


def test_a_search_that_takes_noise_for_a_rough_function_starts_again():
    """sin(2 x) and noise of deviation 1: from a tenth L-BFGS ends at a length of .005, 23 nats worse."""
    rng = np.random.default_rng(31)
    X = rng.uniform(-1.7, 1.7, (150, 1))
    Y = np.sin(2 * X) + rng.standard_normal((150, 1))
    Y = (Y - Y.mean()) / Y.std()
    (bad, rough, _), (good, smooth, _) = (_best_lengths(X, Y, noise) for noise in STARTS)
    assert rough[0] < REACH[0] and good < bad - 20.0
    assert fit_lengthscales(X, Y) == pytest.approx(smooth)
    assert 0.3 < smooth[0] < 1.5  # sin(2 x) has its inflections 1.6 apart
