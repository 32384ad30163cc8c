"""Scores by hand, and on data simulated from the very distribution that was predicted."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t as student_t

from svgp.diagnostics import scores
from svgp.errors import ModelError


def test_rmse_and_nlpd_by_hand() -> None:
    assert scores.rmse(np.array([1.0, 2.0]), np.array([[1.0], [4.0]])) == pytest.approx(np.sqrt(2.0))
    assert scores.nlpd(np.array([-1.0, -3.0])) == 2.0


def test_arrays_that_do_not_belong_together_are_refused_not_broadcast() -> None:
    with pytest.raises(ModelError, match=r"\(3,\) and \(1,\)"):
        scores.rmse(np.ones(3), np.ones(1))
    with pytest.raises(ModelError, match="no rows"):
        scores.rmse(np.ones(0), np.ones(0))


def test_coverage_on_simulated_data_is_the_level() -> None:
    rng = np.random.default_rng(0)
    mean, std = rng.normal(size=50_000), rng.uniform(0.1, 3.0, size=50_000)
    covered = scores.normal_coverages(mean + std * rng.normal(size=50_000), mean, std)
    for level, share in covered.items():
        assert share == pytest.approx(level, abs=4 * np.sqrt(level * (1 - level) / 50_000))


def test_too_narrow_a_normal_covers_what_the_normal_says() -> None:
    """Half the true standard deviation: the 95% interval is +-0.98 sigma, which holds 67.3%."""
    rng = np.random.default_rng(0)
    curve = scores.regression_calibration(rng.normal(size=50_000), np.zeros(50_000), np.full(50_000, 0.5))
    assert curve.expected[-1] == pytest.approx(0.95)
    assert curve.observed[-1] == pytest.approx(0.673, abs=0.01)
    assert (np.diff(curve.observed) >= 0).all()


def test_quantile_coverage_takes_the_quantiles_in_the_stated_order() -> None:
    assert scores.quantile_levels() == pytest.approx([0.25, 0.05, 0.025, 0.75, 0.95, 0.975])
    y = np.random.default_rng(0).uniform(size=(20_000, 1))
    quantiles = np.broadcast_to(np.array(scores.quantile_levels()), (20_000, 1, 6))
    covered = scores.quantile_coverages(y, quantiles)
    assert covered == pytest.approx({0.5: 0.5, 0.9: 0.9, 0.95: 0.95}, abs=0.015)


def test_accuracy_reliability_and_ece_by_hand() -> None:
    labels = np.array([1, 1, 0, 0])
    probability = np.array([0.95, 0.85, 0.85, 0.05])
    assert scores.accuracy(labels, probability) == 0.75
    curve = scores.reliability(labels, probability, bins=10)
    np.testing.assert_allclose(curve.expected, [0.05, 0.85, 0.95])
    np.testing.assert_allclose(curve.observed, [0.0, 0.5, 1.0])
    np.testing.assert_allclose(curve.weight, [1, 2, 1])
    # (1 * 0.05 + 2 * 0.35 + 1 * 0.05) / 4
    assert scores.ece(labels, probability, bins=10) == pytest.approx(0.2)


def test_probability_one_falls_into_the_last_bin() -> None:
    assert scores.ece(np.array([1.0, 0.0]), np.array([1.0, 0.0])) == 0.0


def test_honest_probabilities_have_a_small_ece() -> None:
    rng = np.random.default_rng(0)
    probability = rng.uniform(size=50_000)
    labels = (rng.uniform(size=50_000) < probability).astype(float)
    assert scores.ece(labels, probability) < 0.01
    assert scores.ece(labels, probability**3) > 0.1


@pytest.mark.parametrize(
    ("labels", "probability", "words"),
    [([0, 2], [0.1, 0.2], "labels must be 0 or 1"), ([0, 1], [0.1, np.nan], "lie in")],
)
def test_labels_and_probabilities_are_checked(labels: list, probability: list, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        scores.ece(np.array(labels), np.array(probability))


def test_a_curve_from_quantiles_holds_for_heavy_tails_where_the_normal_one_does_not() -> None:
    levels, shape = (0.2, 0.5, 0.8), student_t(3.0)
    y = shape.rvs(size=(50_000, 1), random_state=1)
    quantiles = np.broadcast_to(shape.ppf(scores.quantile_levels(levels)), (50_000, 1, 6))
    honest = scores.quantile_calibration(y, quantiles, levels)
    np.testing.assert_allclose(honest.observed, levels, atol=0.01)  # 4.5 standard errors
    normal = scores.regression_calibration(y, np.zeros_like(y), np.full_like(y, shape.std()))
    assert np.max(np.abs(normal.observed - normal.expected)) > 0.1
