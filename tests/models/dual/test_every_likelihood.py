"""Natural gradients raise the bound under every likelihood of the config, from its start; and a saved
model opens again with the same predictions."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from svgp.config.likelihoods import LIKELIHOODS
from svgp.config.model import ModelConfig
from svgp.models import load_model, save_model
from svgp.models.build import build_model
from svgp.models.dual.full import FullDual

N = 40
RNG = np.random.default_rng(0)
X = np.sort(RNG.uniform(-2, 2, (N, 1)), 0)
F = np.sin(2 * X)
COUNTS = RNG.poisson(np.exp(1 + F)).astype(float)
POSITIVE = RNG.gamma(3.0, np.exp(F) / 3.0)
NORMAL = F + 0.3 * RNG.normal(size=(N, 1))
CENSORED, HOURS = (RNG.random((N, 1)) < 0.3).astype(float), RNG.uniform(0.5, 2.0, (N, 1))
THREE = np.clip(np.floor(X + 2.0), 0, 2)

# type -> (settings, Y, classes)
CASES: dict[str, tuple[dict[str, Any], np.ndarray, int]] = {
    "gaussian": ({"noise": {"column": "s"}}, np.hstack([NORMAL, 0.3 * HOURS]), 0),
    "student_t": ({}, NORMAL, 0),
    "laplace": ({}, NORMAL, 0),
    "quantile": ({"level": 0.8}, NORMAL, 0),
    "heteroskedastic": ({}, NORMAL, 0),
    "gamma": ({"censored": "c"}, np.hstack([POSITIVE, CENSORED]), 0),
    "exponential": ({}, POSITIVE, 0),
    "weibull": ({"censored": "c"}, np.hstack([POSITIVE, CENSORED]), 0),
    "lognormal": ({"censored": "c"}, np.hstack([POSITIVE, CENSORED]), 0),
    "beta": ({}, np.clip(0.5 + 0.45 * F + 0.05 * RNG.normal(size=(N, 1)), 0, 1), 0),
    "poisson": ({"exposure": "h"}, np.hstack([COUNTS, HOURS]), 0),
    "negative_binomial": ({}, COUNTS, 0),
    "zero_inflated_poisson": ({}, COUNTS * (CENSORED < 0.5), 0),
    "binomial": ({"trials": "n"}, np.hstack([np.minimum(COUNTS, 9), np.full((N, 1), 9.0)]), 0),
    "bernoulli": ({}, (F > 0).astype(float), 2),
    "softmax": ({}, THREE, 3),
    "robust_max": ({}, THREE, 3),
    "ordinal": ({}, THREE, 3),
}


def columns(classes: int) -> Any:
    return SimpleNamespace(
        input_names=["x"], input_mean=np.zeros(1), input_scale=np.ones(1), to_dict=dict,
        classes=list(range(classes)) or None,
    )  # fmt: skip


def test_no_likelihood_is_left_out() -> None:
    single = {word for word in LIKELIHOODS if "type" in LIKELIHOODS[word].model_fields}
    assert single - {"switched"} == set(CASES)


@pytest.mark.parametrize("kind", CASES)
def test_the_bound_rises_and_the_model_opens_again(kind: str, tmp_path: Any) -> None:
    settings, Y, classes = CASES[kind]
    config = ModelConfig.model_validate(
        {"likelihood": {"type": kind, **settings}, "inducing": {"count": 6}, "kernel": {"type": "matern52"}}
    )
    model, _ = build_model(config, X, Y, columns=columns(classes))
    assert model.num_columns == Y.shape[1]
    posterior = FullDual(model)
    rows = tf.constant(X), tf.constant(Y)
    bounds = [float(model.elbo(rows))]
    for _ in range(3):
        outcome = posterior.propose(*rows, tf.constant(1.0, tf.float64), whole=True)
        assert all(np.all(np.isfinite(g)) for g in outcome.gradients)
        for variable, value in zip(posterior.variables.values(), outcome.state, strict=True):
            variable.assign(value)
        bounds.append(float(outcome.elbo))
    assert np.all(np.diff(bounds) > -1e-6) and bounds[-1] > bounds[0] + 1.0, bounds
    posterior.publish(*rows, whole=False)
    save_model(tmp_path / "m", model, config, columns=columns(classes), precision="float64")
    opened, _ = load_model(tmp_path / "m")
    mean, variance = model.predict_f(X)
    np.testing.assert_array_equal(opened.predict_f(X)[0], mean)
    for one, other in zip(
        model.likelihood.predict_mean_and_var(mean, variance),
        opened.likelihood.predict_mean_and_var(mean, variance), strict=True,
    ):  # fmt: skip
        np.testing.assert_allclose(one, other, rtol=1e-12)
    assert np.all(np.isfinite(model.predict_log_density((X, Y))))
