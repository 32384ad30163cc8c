"""Small models of every structure, with data, and exact answers to hold them against."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from svgp import kernels, likelihoods, means
from svgp.models import SVGP

# GPflow, an oracle, checks the shapes of all that it computes: over half of the time of the tests against it.
with suppress(ImportError):
    import check_shapes

    check_shapes.set_enable_check_shapes(False)

M, B, D = 6, 9, 2


def random_targets(likelihood: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    if likelihood in ("probit", "logit"):
        return rng.integers(0, 2, shape).astype(float)
    return rng.poisson(2.0, shape).astype(float) if likelihood == "poisson" else rng.normal(size=shape)


def make_likelihood(name: str, latents: int, dtype: Any) -> likelihoods.Likelihood:
    noise = np.linspace(0.2, 0.4, latents) if latents > 1 else 0.3
    return {
        "gaussian": lambda: likelihoods.Gaussian(noise, dtype=dtype),
        "student_t": lambda: likelihoods.StudentT(0.5, 4.0, dtype=dtype),
        "probit": lambda: likelihoods.Bernoulli("probit", dtype=dtype),
        "logit": lambda: likelihoods.Bernoulli("logit", dtype=dtype),
        "poisson": lambda: likelihoods.Poisson(dtype=dtype),
    }[name]()


def random_root(latents: int, size: int, diagonal: bool, rng: np.random.Generator) -> np.ndarray:
    scales = rng.uniform(0.3, 0.9, (latents, size))
    if diagonal:
        return scales
    return np.tril(0.2 * rng.normal(size=(latents, size, size)), -1) + scales[..., None] * np.eye(size)


def make_mean(name: str, latents: int, dtype: Any, rng: np.random.Generator) -> means.Mean:
    if name == "constant":
        return means.Constant(rng.normal(size=latents), dtype=dtype)
    if name == "linear":
        return means.Linear(0.3 * rng.normal(size=(D, latents)), rng.normal(size=latents), dtype=dtype)
    return means.Zero(latents, dtype=dtype)


@pytest.fixture
def small_model() -> Callable[..., tuple[SVGP, tuple[np.ndarray, np.ndarray]]]:
    """A random model and a batch for it; `separate`: hyperparameters of each latent's own; `own_points`."""

    def make(
        likelihood: str = "gaussian",
        *,
        latents: int = 1,
        separate: bool = False,
        own_points: bool = False,
        mean: str = "zero",
        dtype: Any = tf.float64,
        kernel: Any = kernels.Matern52,
        seed: int = 0,
        num_data: int | None = 40,
        inducing: int = M,
        rows: int = B,
        **options: Any,
    ) -> tuple[SVGP, tuple[np.ndarray, np.ndarray]]:
        rng = np.random.default_rng(seed)
        shape = (latents,) if separate else ()
        model = SVGP(
            kernel(rng.uniform(0.7, 1.4, shape), rng.uniform(0.8, 1.6, (*shape, D)), dtype=dtype),
            make_likelihood(likelihood, latents, dtype),
            rng.normal(size=(latents, inducing, D) if own_points else (inducing, D)),
            num_data=num_data,
            mean=make_mean(mean, latents, dtype, rng),
            q_mean=0.7 * rng.normal(size=(latents, inducing)),
            q_sqrt=random_root(latents, inducing, options.get("q_diag", False), rng),
            **options,
        )
        X, Y = rng.normal(size=(rows, D)), random_targets(likelihood, (rows, latents), rng)
        return model, (X, Y)

    return make


def exact_evidence(K: np.ndarray, Y: np.ndarray, noise: float) -> float:
    """log N(y | 0, K + noise I), summed over the columns of Y (Rasmussen & Williams 2006, eq. 2.30)."""
    L = np.linalg.cholesky(K + noise * np.eye(len(K)))
    projected = np.linalg.solve(L, Y)
    logdet = 2.0 * np.log(np.diag(L)).sum()
    return float(-0.5 * np.sum(projected**2) - 0.5 * Y.shape[1] * (logdet + len(K) * np.log(2.0 * np.pi)))


@pytest.fixture
def evidence() -> Callable[..., float]:
    return exact_evidence


@pytest.fixture
def set_optimal_q() -> Callable[..., None]:
    """Assign the q(u) that makes the bound tight for Gaussian noise (Titsias 2009, eq. 10)."""

    def assign(model: SVGP, X: np.ndarray, y: np.ndarray) -> None:
        noise = float(tf.convert_to_tensor(model.likelihood.variance))
        Kuu = np.asarray(model.Kuu()) + model.jitter * np.eye(model.num_inducing)
        Kuf = np.asarray(model.kernel.K(model.Z, X))
        precision = Kuu + Kuf @ Kuf.T / noise
        m = Kuu @ np.linalg.solve(precision, Kuf @ y) / noise
        S = Kuu @ np.linalg.solve(precision, Kuu)
        if model.whiten:
            L = np.linalg.cholesky(Kuu)
            m, S = np.linalg.solve(L, m), np.linalg.solve(L, np.linalg.solve(L, S).T)
        model.q_mean.assign(m[None])
        model.q_sqrt.assign(np.linalg.cholesky((S + S.T) / 2)[None])

    return assign


@pytest.fixture
def slopes() -> Callable[..., dict[str, tuple[float, float]]]:
    """By variable: the gradient of a scalar along a random direction, and its central difference."""

    def compare(
        function: Callable[[], tf.Tensor], variables: dict[str, tf.Variable], step: float = 1e-5
    ) -> dict[str, tuple[float, float]]:
        rng = np.random.default_rng(3)
        with tf.GradientTape() as tape:
            value = function()
        gradients = tape.gradient(value, variables)
        found = {}
        for name, variable in variables.items():
            start = variable.numpy()
            direction = rng.normal(size=start.shape)
            if name == "q_sqrt" and start.ndim == 3:
                direction = np.tril(direction)

            def at(
                h: float, variable: Any = variable, start: Any = start, direction: Any = direction
            ) -> float:
                variable.assign(start + h * direction)
                return float(function())

            difference = (at(step) - at(-step)) / (2 * step)
            variable.assign(start)
            found[name] = (float(np.sum(direction * gradients[name].numpy())), difference)
        return found

    return compare
