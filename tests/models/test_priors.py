"""Priors on hyperparameters: densities, gradients, which parameters they reach."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from svgp.config import PriorsConfig
from svgp.kernels import Matern32, SquaredExponential, White
from svgp.likelihoods import Bernoulli, Gaussian, StudentT
from svgp.models import SVGP
from svgp.models.priors import has_priors, log_prior, set_priors, with_prior_gradients

GAMMA = {"type": "gamma", "shape": 3.0, "rate": 2.0}
LOGNORMAL = {"type": "lognormal", "median": 0.5, "sigma": 0.8}


def make_model(likelihood=None, **priors):
    kernel = Matern32(1.7, [0.4, 2.5]) + SquaredExponential(0.3, 1.1) * White(0.2)
    model = SVGP(kernel, likelihood or Gaussian(0.1), np.zeros((3, 2)))
    set_priors(model, PriorsConfig.model_validate(priors))
    return model


def gamma(x):
    return scipy.stats.gamma(3.0, scale=0.5).logpdf(x).sum()


def lognormal(x):
    return scipy.stats.lognorm(0.8, scale=0.5).logpdf(x).sum()


@pytest.mark.parametrize(
    ("priors", "expected"),
    [
        ({"lengthscales": GAMMA}, gamma([0.4, 2.5, 1.1])),
        ({"variance": LOGNORMAL}, lognormal([1.7, 0.3, 0.2])),
        ({"noise": LOGNORMAL}, lognormal([0.1])),
        ({"noise": GAMMA, "lengthscales": LOGNORMAL}, gamma([0.1]) + lognormal([0.4, 2.5, 1.1])),
    ],
)
def test_it_is_scipys_density_of_each_part_of_the_kernel(priors, expected):
    assert float(log_prior(make_model(**priors))) == pytest.approx(expected, rel=1e-12)


def test_the_noise_of_each_likelihood():
    assert float(log_prior(make_model(StudentT(0.1, df=4.0), noise=GAMMA))) == pytest.approx(gamma([0.1]))
    assert float(log_prior(make_model(Bernoulli(), noise=GAMMA))) == 0.0


def test_without_priors_there_is_nothing_to_add():
    model = make_model()
    assert not has_priors(model) and float(log_prior(model)) == 0.0
    gradients = [tf.ones_like(x) for x in model.trainable_variables]
    assert with_prior_gradients(model, model.trainable_variables, gradients) == gradients


def test_gradients_against_finite_differences():
    model = make_model(lengthscales=GAMMA, variance=LOGNORMAL, noise=GAMMA)
    variables = model.trainable_variables
    start = [tf.fill(x.shape, tf.constant(0.25, x.dtype)) for x in variables]
    found = with_prior_gradients(model, variables, start)
    for variable, gradient in zip(variables, found, strict=True):
        kept, numeric = np.asarray(variable.numpy()).copy(), np.full(variable.shape, 0.25)
        for index in np.ndindex(*kept.shape):
            sides = []
            for step in (1e-5, -1e-5):
                moved = kept.copy()
                moved[index] += step
                variable.assign(moved)
                sides.append(float(log_prior(model)))
            variable.assign(kept)
            numeric[index] += (sides[0] - sides[1]) / 2e-5
        np.testing.assert_allclose(gradient.numpy(), numeric, rtol=1e-6, atol=1e-8)
