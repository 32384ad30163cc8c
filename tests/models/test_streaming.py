"""Rows folded in bit by bit against all of them at once."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from svgp import kernels, likelihoods
from svgp.errors import ModelError
from svgp.models import SVGP
from svgp.models.collapsed.bound import CollapsedBound
from svgp.models.streaming import _adjustable, _gradient, fold_in, refresh, remember
from svgp.models.whitened import assign_whitened, extended, frame_of, whitened

RNG = np.random.default_rng(4)
X = RNG.uniform(-2, 2, (90, 2))
F = np.sin(2 * X[:, :1]) + X[:, 1:] ** 2
Z = RNG.uniform(-2, 2, (12, 2))
PROBES = RNG.uniform(-2, 2, (20, 2))
HALVES = (slice(0, 40), slice(40, 90))


def model_of(likelihood: likelihoods.Likelihood, Z: np.ndarray = Z, **options: object) -> SVGP:
    model = SVGP(kernels.Matern52(1.2, [0.8, 1.3]), likelihood, Z, **options)
    if not options.get("whiten"):
        frame = frame_of(model)
        model.q_sqrt.assign(np.broadcast_to(frame.L, model.q_sqrt.shape))
    return model


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("bound", ["standard", "tight"])
def test_gaussian_rows_in_two_halves_are_all_rows_at_once(whiten, bound):
    Y = F + 0.3 * RNG.normal(size=F.shape)
    bits = model_of(likelihoods.Gaussian(0.1), whiten=whiten, bound=bound)
    for rows in HALVES:
        fold_in(bits, remember(bits), X[rows], Y[rows])
    whole = model_of(likelihoods.Gaussian(0.1), whiten=whiten, bound=bound)
    collapsed = CollapsedBound(whole, X, Y)
    collapsed.assign(collapsed.posterior()[0])
    for ours, exact in zip(bits.predict_f(PROBES), whole.predict_f(PROBES), strict=True):
        np.testing.assert_allclose(ours, exact, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(bits.elbo((X, Y)), whole.elbo((X, Y)), rtol=1e-9)


def test_two_outputs_with_noise_of_their_own():
    Y = np.hstack([F, -F]) + RNG.normal(size=(90, 2)) * [0.1, 0.6]
    bits = model_of(likelihoods.Gaussian([0.01, 0.36]), num_latent=2)
    for rows in HALVES:
        fold_in(bits, remember(bits), X[rows], Y[rows])
    for p, noise in enumerate((0.01, 0.36)):
        alone = model_of(likelihoods.Gaussian(noise))
        fold_in(alone, remember(alone), X, Y[:, p : p + 1])
        np.testing.assert_allclose(
            bits.predict_f(PROBES)[0][:, p], alone.predict_f(PROBES)[0][:, 0], rtol=1e-6, atol=1e-8
        )


@pytest.mark.parametrize("name", ["bernoulli", "student_t"])
def test_other_likelihoods_come_near_the_fit_of_all_rows(name):
    if name == "bernoulli":
        likelihood, Y = likelihoods.Bernoulli(), (F + 0.3 * RNG.normal(size=F.shape) > 1).astype(float)
    else:
        likelihood, Y = likelihoods.StudentT(0.2, 4.0), F + 0.2 * RNG.standard_t(4, size=F.shape)
        Y[::15] += 4.0
    bits, whole = model_of(likelihood), model_of(likelihood)
    for rows in HALVES:
        before = remember(bits)
        first = fold_in(bits, before, X[rows], Y[rows]).bound
        assert fold_in(bits, before, X[rows], Y[rows]).bound == pytest.approx(first, abs=1e-4)  # an optimum
    fold_in(whole, remember(whole), X, Y)
    best = float(whole.elbo((X, Y)))
    assert best - 0.5 < float(bits.elbo((X, Y))) <= best + 1e-6
    assert np.abs(bits.predict_f(PROBES)[0] - whole.predict_f(PROBES)[0]).max() < 0.15


def test_further_points_change_nothing_until_rows_speak_of_them():
    Y = F + 0.3 * RNG.normal(size=F.shape)
    old = model_of(likelihoods.Gaussian(0.1))
    fold_in(old, remember(old), X[:40], Y[:40])
    memory, more = remember(old), RNG.uniform(-2, 2, (5, 2))
    new = model_of(likelihoods.Gaussian(0.1), np.vstack([Z, more]))
    q = extended(*whitened(old, memory.frame), 5)
    assign_whitened(new, frame_of(new), *q)
    for ours, before in zip(new.predict_f(PROBES), old.predict_f(PROBES), strict=True):
        np.testing.assert_allclose(ours, before, rtol=1e-7, atol=1e-9)
    assert float(new.kl()) == pytest.approx(float(old.kl()), rel=1e-7)
    fold_in(new, memory, X[40:], Y[40:])
    # Against the same bound in plain matrices: pseudo-data at the old points, new rows through all points.
    K = np.asarray(new.Kuu()) + 1e-6 * np.eye(17)
    Kuf = np.asarray(new.kernel.K(new.Z, X[40:]))
    Lam, pull = np.zeros((17, 17)), np.zeros(17)
    Kaa, S = K[:12, :12], np.asarray(old.q_sqrt[0] @ tf.transpose(old.q_sqrt[0]))
    Lam[:12, :12] = np.linalg.inv(S) - np.linalg.inv(Kaa)
    pull[:12] = np.linalg.solve(S, np.asarray(old.q_mean[0]))
    a = np.linalg.solve(K, Kuf)
    covariance = np.linalg.inv(np.linalg.inv(K) + Lam + a @ a.T / 0.1)
    mean = covariance @ (pull + a @ Y[40:, 0] / 0.1)
    np.testing.assert_allclose(new.q_mean[0], mean, rtol=1e-5, atol=1e-7)


def test_a_refresh_climbs_by_the_true_gradient():
    Y = F + 0.3 * RNG.normal(size=F.shape)
    model = model_of(likelihoods.Gaussian(0.4))
    fold_in(model, remember(model), X[:40], Y[:40])
    memory = remember(model)
    plain = fold_in(model, memory, X[40:], Y[40:]).bound
    variables = _adjustable(model)
    gradient = _gradient(model, variables, X[40:], Y[40:])
    values = [v.numpy() for v in variables]
    direction = [np.ones(v.shape) for v in values]
    found = []
    for step in (1e-4, -1e-4):
        for v, value, way in zip(variables, values, direction, strict=True):
            v.assign(value + step * way)
        found.append(fold_in(model, memory, X[40:], Y[40:]).bound)
    for v, value in zip(variables, values, strict=True):
        v.assign(value)
    assert np.sum(gradient) == pytest.approx((found[0] - found[1]) / 2e-4, rel=1e-4)
    assert refresh(model, memory, X[40:], Y[40:], steps=5).bound > plain + 0.1


def test_a_diagonal_posterior_takes_the_rows_in():
    Y = F + 0.3 * RNG.normal(size=F.shape)
    model = model_of(likelihoods.Gaussian(0.1), q_diag=True, whiten=True)
    before = float(model.elbo((X, Y)))
    fold_in(model, remember(model), X, Y)
    assert float(model.elbo((X, Y))) > before and model.q_sqrt.shape == (1, 12)


def test_a_model_trained_on_something_else_is_refused():
    with pytest.raises(ModelError, match="update looks for the q"):
        remember(model_of(likelihoods.Gaussian(0.1), bound="ppgpr"))
