"""The row of diagnostics on real models: against the model itself and against numbers by hand."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
import tensorflow as tf

from svgp.diagnostics import fixed_subset, inducing_diagnostics
from svgp.errors import NumericalError
from svgp.kernels import Matern32, SquaredExponential
from svgp.likelihoods import Gaussian, Poisson, StudentT
from svgp.models import SVGP

RNG = np.random.default_rng(0)
X = RNG.uniform(-2, 2, size=(300, 2))


def _model(
    M: int = 12, L: int = 1, *, own: bool = False, dtype: tf.DType = tf.float64, **more: object
) -> SVGP:
    rng = np.random.default_rng(1)
    shape = (L,) if own else ()
    lengthscales = rng.uniform(0.5, 2.0, size=(*shape, 2))
    kernel = Matern32(variance=np.full(shape, 1.5), lengthscales=lengthscales, dtype=dtype)
    q_sqrt = np.tril(0.1 * rng.normal(size=(L, M, M))) + 0.5 * np.eye(M)
    values = {"q_mean": rng.normal(size=(L, M)), "q_sqrt": q_sqrt, "num_data": 300} | more
    return SVGP(kernel, Gaussian(variance=0.1, dtype=dtype), X[:M], **values)


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize(("L", "own"), [(1, False), (3, False), (3, True)])
def test_totals_are_the_models_own(whiten: bool, L: int, own: bool) -> None:
    model = _model(L=L, own=own, whiten=whiten)
    row = inducing_diagnostics(model, X, X[:12], step=3, epoch=0.5)
    assert row["kl"] == pytest.approx(float(model.kl()), rel=1e-8)
    assert sum(row["kl_by_point"]) == pytest.approx(row["kl"], rel=5e-3)  # three digits each
    q = model.marginals(X)
    share = q.residual.numpy() / q.prior.numpy()
    assert row["residual_mean"] == pytest.approx(share.mean(), rel=1e-6)
    assert row["residual_p95"] == pytest.approx(np.percentile(share, 95), rel=1e-6)
    assert sum(row["explained_by_point"]) == pytest.approx(1 - share.mean(), rel=5e-3)
    cost = q.residual.numpy().sum(axis=1).mean() / (2 * 0.1)
    assert row["residual_cost"] == pytest.approx(cost, rel=1e-6)
    assert row["condition_number"] == pytest.approx(np.linalg.cond(model.Kuu().numpy()).max(), rel=1e-6)


def test_a_diagonal_posterior_and_float32() -> None:
    model = _model(q_sqrt=np.full((1, 12), 0.3), q_diag=True, dtype=tf.float32)
    row = inducing_diagnostics(model, X, None, step=0, epoch=0.0)
    assert row["kl"] == pytest.approx(float(model.kl()), rel=1e-3)
    assert row["moved_mean"] is None


def test_the_row_is_json_and_its_lists_are_short() -> None:
    row = inducing_diagnostics(_model(), X, X[:12], step=3, epoch=0.5)
    assert json.loads(json.dumps(row, allow_nan=False)) == row
    assert row["step"] == 3 and row["epoch"] == 0.5 and row["count"] == 12
    assert len(row["kl_by_point"]) == len(row["explained_by_point"]) == 12
    assert row["advice"] and all(sentence.endswith(".") for sentence in row["advice"])


def test_distances_movement_and_points_outside_by_hand() -> None:
    start = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [-1.0, 1.0]])
    Z = start + np.array([[0.0, 0.0], [0.5, 0.0], [0.0, 2.0], [0.0, 0.0]])
    kernel = Matern32(variance=1.0, lengthscales=[0.5, 2.0])
    model = SVGP(kernel, Gaussian(variance=0.1), Z, num_data=300)
    box = (np.array([-1.0, -1.0]), np.array([1.0, 1.0]))
    row = inducing_diagnostics(model, X, start, step=1, epoch=1.0, data_range=box)
    assert row["moved_mean"] == pytest.approx((1.0 + 1.0) / 4)  # 0.5 / 0.5 and 2.0 / 2.0
    assert row["moved_max"] == pytest.approx(1.0)
    assert row["unmoved"] == 2
    assert row["smallest_distance"] == pytest.approx(np.hypot(0.5 / 0.5, 3.0 / 2.0))  # (1.5, 0) to (1, 3)
    assert row["outside"] == 2 and row["outside_points"] == [1, 2]
    assert row["outside_by"] == pytest.approx(1.0)  # 0.5 / 0.5, and 2.0 / 2.0 as well


def test_a_point_counts_as_outside_by_lengthscale_and_by_range() -> None:
    """Half a lengthscale and 5% of the range: with lengthscales 1 and 0.001, 0.5 and 0.1 beyond [-1, 1]."""
    Z = np.array([[1.4, 0.0], [1.6, 0.0], [0.0, 1.05], [0.0, 1.15]])
    kernel = Matern32(variance=1.0, lengthscales=[1.0, 0.001])
    box = (np.array([-1.0, -1.0]), np.array([1.0, 1.0]))
    model = SVGP(kernel, Gaussian(variance=0.1), Z, num_data=300)
    model.q_sqrt.assign(np.linalg.cholesky(model.Kuu().numpy())[None])
    row = inducing_diagnostics(model, X, Z, step=1, epoch=1.0, data_range=box)
    assert row["outside_points"] == [1, 3] and row["outside_by"] == pytest.approx(150.0)
    assert row["uninformed"] == 4 and row["outside_uninformed"] == 2  # q is the prior
    model.q_mean.assign([[0.0, 2.0, 0.0, 0.0]])
    row = inducing_diagnostics(model, X, Z, step=1, epoch=1.0, data_range=box)
    assert row["outside"] == 2 and row["outside_uninformed"] == 1


def test_an_input_that_the_kernel_ignores_counts_nowhere() -> None:
    Z = np.array([[0.0, 50.0], [1.0, -50.0]])
    kernel = Matern32(variance=1.0, lengthscales=[1.0], active_dims=[0])
    model = SVGP(kernel, Gaussian(variance=0.1), Z, num_data=300)
    row = inducing_diagnostics(model, X, np.zeros((2, 2)), step=1, epoch=1.0)
    assert row["smallest_distance"] == pytest.approx(1.0)
    assert row["moved_max"] == pytest.approx(1.0)
    assert row["outside"] == 0


def test_redundancy_is_judged_by_the_noise() -> None:
    """Two points 0.01 lengthscales apart: the second adds 1e-4 of variance, much when the noise is 1e-5."""
    Z = np.array([[0.0, 0.0], [0.0, 0.0099]])
    counts = []
    for noise in (0.1, 1e-5):
        kernel = SquaredExponential(variance=1.0, lengthscales=[1.0, 1.0])
        model = SVGP(kernel, Gaussian(variance=noise), Z, num_data=300)
        counts.append(inducing_diagnostics(model, X, Z, step=0, epoch=0.0)["redundant"])
    assert counts == [1, 0]


def test_the_residual_costs_the_tight_bound_what_it_takes_from_it() -> None:
    """The standard bound loses the trace term, the tight one its logarithm; without either it is `known`."""
    rows, Y = X[:40], np.zeros((40, 1))
    costs = {}
    for bound in ("standard", "tight"):
        model = _model(bound=bound, num_data=40)
        q = model.marginals(rows)
        known = model.likelihood.expected_log_likelihood(q.mean, q.explained, Y).numpy().sum()
        row = inducing_diagnostics(model, rows, None, step=1, epoch=1.0)
        lost = known - float(model.elbo_parts((rows, Y)).expected_log_likelihood)
        costs[bound] = row["residual_cost"]
        assert costs[bound] == pytest.approx(lost / 40, rel=1e-6)
    assert costs["tight"] < costs["standard"]


def test_other_likelihoods_have_no_cost_in_nats() -> None:
    kernel = Matern32(variance=1.0, lengthscales=[1.0, 1.0])
    row = inducing_diagnostics(SVGP(kernel, StudentT(), X[:5], num_data=300), X, X[:5], step=0, epoch=0.0)
    assert row["residual_cost"] is None and row["redundant_threshold"] == 1e-4


@pytest.mark.parametrize("level", [0.0, 11.5])
def test_counts_cost_what_the_residual_takes_from_the_expected_log_likelihood(level: float) -> None:
    """Where counts are near 1e5, f is known to 0.003: points that are redundant at small ones are not."""
    kernel = SquaredExponential(variance=1.0, lengthscales=[2.0, 2.0])
    Z = X[:40]
    model = SVGP(kernel, Poisson(), Z, num_data=300, q_mean=np.full((1, 40), level))
    model.q_sqrt.assign(1e-3 * model.q_sqrt)
    row = inducing_diagnostics(model, X, Z, step=1, epoch=1.0)
    q, Y = model.marginals(X), np.full((300, 1), np.exp(level))
    terms = [
        model.likelihood.expected_log_likelihood(q.mean, variance, Y).numpy()
        for variance in (q.explained, q.explained + q.residual)
    ]
    assert row["residual_cost"] == pytest.approx((terms[0] - terms[1]).mean(), rel=1e-4)
    assert row["redundant_threshold"] == pytest.approx(1e-4 if level == 0.0 else 1e-6)


def test_coinciding_points_and_a_single_point_are_no_trouble() -> None:
    kernel = SquaredExponential(variance=1.0, lengthscales=[1.0, 1.0])
    for Z in (np.zeros((6, 2)), np.zeros((1, 2))):
        row = inducing_diagnostics(SVGP(kernel, Gaussian(), Z, num_data=9), X[:1], Z, step=0, epoch=0.0)
        assert row["redundant"] == len(Z) - 1
        json.dumps(row, allow_nan=False)


def test_nan_is_a_clear_error() -> None:
    model = _model()
    model.Z.assign(np.full((12, 2), np.nan))
    with pytest.raises(NumericalError, match="NaN or infinity at step 7"):
        inducing_diagnostics(model, X, None, step=7, epoch=1.0)


def test_hundreds_of_points_take_seconds() -> None:
    rng = np.random.default_rng(0)
    kernel = Matern32(variance=1.0, lengthscales=np.full(8, 2.0))
    rows = rng.normal(size=(2048, 8))
    model = SVGP(kernel, Gaussian(), rows[:400], num_data=40_000)
    began = time.perf_counter()
    inducing_diagnostics(model, rows, rows[:400], step=0, epoch=0.0)
    assert time.perf_counter() - began < 20.0  # a fraction of a second on an idle machine


def test_fixed_subset() -> None:
    rows = np.arange(10_000.0)[:, None]
    subset = fixed_subset(rows, seed=1, rows=100)
    np.testing.assert_array_equal(subset, fixed_subset(rows, seed=1, rows=100))
    assert subset.shape == (100, 1) and (np.diff(subset[:, 0]) > 0).all()
    assert not np.array_equal(subset, fixed_subset(rows, seed=2, rows=100))
    assert fixed_subset(rows[:50], seed=1, rows=100).shape == (50, 1)
