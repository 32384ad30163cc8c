"""Redundant points in new places: which, where to, and what q(f) and the KL are afterwards."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from svgp.errors import NumericalError
from svgp.inducing import redundant_points
from svgp.kernels import Matern32, SquaredExponential
from svgp.likelihoods import Gaussian
from svgp.models import SVGP, model_state
from svgp.models.replacement import Plan, plan_replacement, replace_points

X = np.random.default_rng(0).normal(size=(200, 2))
COPIES = [1, 5, 8]  # of the points 0, 3 and 11


def crowded(kernel=None, *, whiten=False, q_diag=False, dtype=None, spread=0.3):
    """12 points, three of which are copies of others to 1e-6, under a q(u) that is no prior's conditional."""
    rng = np.random.default_rng(3)
    kernel = kernel or SquaredExponential(1.3, [0.8, 1.1])
    Z = X[:12].copy()
    Z[COPIES] = Z[[0, 3, 11]] + 1e-6 * rng.normal(size=(3, 2))
    model = SVGP(kernel, Gaussian(0.1), Z, num_data=200, whiten=whiten, q_diag=q_diag, num_latent=2)
    L = model.factor().L.numpy()  # [1 or 2, M, M]
    m, noise = rng.normal(size=(2, 12)), np.tril(rng.normal(size=(2, 12, 12)))
    v_mean, v_root = 0.5 * m, 0.5 * np.eye(12) + spread * noise  # near the prior, as training keeps it
    mean, root = (v_mean, v_root) if whiten else ((L @ v_mean[..., None])[..., 0], L @ v_root)
    model.q_mean.assign(mean)
    model.q_sqrt.assign(np.exp(0.1 * m) * 0.2 if q_diag else root)
    return model


def moments(model):
    """Mean [L, M] and covariance [L, M, M] of u."""
    mean, root = model.q_mean.numpy(), model.q_root().numpy()
    if model.whiten:
        L = model.factor().L.numpy()
        mean, root = (L @ mean[..., None])[..., 0], L @ root
    return mean, root @ root.swapaxes(-1, -2)


def without(model, gone):
    """The same model with the points `gone` marginalised out of q."""
    stay = np.setdiff1d(np.arange(model.num_inducing), gone)
    mean, S = moments(model)
    return SVGP(
        model.kernel, model.likelihood, model.Z.numpy()[stay], num_data=200,
        q_mean=mean[:, stay], q_sqrt=np.linalg.cholesky(S[:, stay][:, :, stay]),
    )  # fmt: skip


KERNELS = {
    "shared": lambda: SquaredExponential(1.3, [0.8, 1.1]),
    "own": lambda: SquaredExponential([1.3, 0.6], [[0.8, 1.1], [1.5, 0.9]]),
}


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("whiten", [False, True])
def test_the_new_q_is_that_of_the_points_that_stay(whiten, kernel):
    """q(f) and KL equal those of a model that has no other points, whatever the new places are."""
    model = crowded(KERNELS[kernel](), whiten=whiten)
    plan = plan_replacement(model, X)
    assert len(plan.moved) == 3
    reduced = without(model, plan.moved)
    replace_points(model, plan)
    np.testing.assert_array_equal(model.Z.numpy(), plan.Z)
    for found, expected in zip(model.predict_f(X), reduced.predict_f(X), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(model.kl(), reduced.kl(), rtol=1e-8)
    root = model.q_sqrt.numpy()
    assert np.all(np.triu(root, 1) == 0) and np.all(np.diagonal(root, axis1=1, axis2=2) > 0)
    stay = np.setdiff1d(np.arange(12), plan.moved)
    mean, S = moments(model)
    np.testing.assert_allclose(mean[:, stay], reduced.q_mean.numpy(), rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(S[:, stay][:, :, stay], moments(reduced)[1], rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("whiten", [False, True])
def test_the_predictions_hardly_change_and_the_kl_falls(whiten):
    model = crowded(whiten=whiten)
    before, kl = [x.numpy() for x in model.predict_f(X)], float(model.kl())
    replace_points(model, plan_replacement(model, X))
    for old, new in zip(before, model.predict_f(X), strict=True):
        # The copies are known up to the jitter, 1e-6: a deviation of about its root, 1e-3.
        np.testing.assert_allclose(new, old, atol=5e-3)
    assert float(model.kl()) < kl


@pytest.mark.parametrize("whiten", [False, True])
def test_a_diagonal_q_keeps_the_mean_and_takes_the_nearest_variances(whiten):
    model = crowded(whiten=whiten, q_diag=True)
    plan = plan_replacement(model, X)
    full = SVGP(
        model.kernel, model.likelihood, model.Z.numpy(), num_data=200, whiten=whiten,
        q_mean=model.q_mean.numpy(), q_sqrt=model.q_root().numpy(),
    )  # fmt: skip
    replace_points(full, plan)
    replace_points(model, plan)
    np.testing.assert_allclose(model.predict_f(X)[0], full.predict_f(X)[0], rtol=1e-9, atol=1e-11)
    root = full.q_sqrt.numpy()
    precision = np.linalg.inv(root @ root.swapaxes(-1, -2))
    nearest = 1.0 / np.sqrt(np.diagonal(precision, axis1=1, axis2=2))
    np.testing.assert_allclose(model.q_sqrt, nearest, rtol=1e-6)


def test_copies_go_where_the_residual_variance_is_largest():
    model = crowded()
    plan = plan_replacement(model, X)
    assert [pair[0] in plan.moved or pair[1] in plan.moved for pair in ((0, 1), (3, 5), (11, 8))] == [
        True
    ] * 3
    Z = np.delete(plan.Z, plan.moved, axis=0)
    for _ in plan.moved:
        K, Kuf = model.kernel.K(Z).numpy() + 1e-6 * np.eye(len(Z)), model.kernel.K(Z, X).numpy()
        residual = 1.3 - np.sum(Kuf * np.linalg.solve(K, Kuf), axis=0)
        Z = np.concatenate([Z, X[[np.argmax(residual)]]])
    expected = {tuple(row) for row in Z[-3:]}
    assert {tuple(row) for row in plan.Z[plan.moved]} == expected
    assert len(redundant_points(model.kernel.K(plan.Z).numpy(), 1e-4).redundant) == 0


def test_nothing_is_done_where_nothing_is_redundant_or_nowhere_is_worth_it():
    kernel = Matern32(1.0, [0.5, 0.5])
    assert plan_replacement(SVGP(kernel, Gaussian(0.1), X[:12]), X) is None
    smooth = SquaredExponential(1.0, [50.0, 50.0])  # four points explain all of it
    assert plan_replacement(SVGP(smooth, Gaussian(0.1), X[:12]), X) is None
    few = crowded()
    few.kernel.variance.assign(tf.constant(np.nan, tf.float64))
    assert plan_replacement(few, X) is None


def test_no_more_points_move_than_there_are_places():
    """Of many copies, only as many go as there are rows that are worth a point; the others stay."""
    Z = np.repeat([[0.0, 0.0]], 8, axis=0) + 1e-7 * np.arange(8)[:, None]
    model = SVGP(SquaredExponential(1.0, [1.0, 1.0]), Gaussian(0.1), Z)
    rows = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 3.0]])
    plan = plan_replacement(model, rows)
    assert sorted(map(tuple, plan.Z[plan.moved])) == [(0.0, 3.0), (1.0, 0.0)]


def test_the_rows_that_are_looked_at_depend_on_the_seed_alone(monkeypatch):
    monkeypatch.setattr("svgp.models.replacement.ROWS", 40)
    places = [plan_replacement(crowded(), X, seed=[4, seed]).Z for seed in (1, 1, 2)]
    np.testing.assert_array_equal(places[0], places[1])
    assert not np.array_equal(places[0], places[2])


def test_a_plan_that_cannot_be_computed_changes_nothing():
    model = crowded()
    plan = plan_replacement(model, X)
    before = model_state(model)
    with pytest.raises(NumericalError, match="new places"):
        replace_points(model, Plan(plan.moved, np.full_like(plan.Z, np.nan)))
    for name, value in model_state(model).items():
        np.testing.assert_array_equal(value, before[name])


def test_float32():
    model = SVGP(
        SquaredExponential(1.0, [0.8, 0.8], dtype=tf.float32), Gaussian(0.1, dtype=tf.float32),
        np.concatenate([X[:10], X[:3]]), jitter=1e-5, whiten=True,
    )  # fmt: skip
    replace_points(model, plan_replacement(model, X))
    assert model.Z.dtype == tf.float32 and np.isfinite(model.elbo((X, X[:, :1]))) and model.kl() < 1e-3
