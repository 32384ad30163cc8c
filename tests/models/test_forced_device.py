"""What a GPU does, TensorFlow's own operations, forced on the processor: the host's values and gradients.

The collapsed bound has tests/models/collapsed/test_device.py, the adjoints one by one tests/linalg.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from svgp import linalg
from svgp.diagnostics import inducing_diagnostics
from svgp.kernels import Matern32
from svgp.likelihoods import Gaussian, Poisson
from svgp.models import SVGP
from svgp.models.certificate import certificate
from svgp.models.collapsed import CollapsedBound
from svgp.models.dual.diagonal import DiagonalDual
from svgp.models.dual.full import FullDual

RNG = np.random.default_rng(7)
X = RNG.uniform(-2.0, 2.0, size=(90, 2))
F = np.sin(2.0 * X[:, :1]) + 0.3 * X[:, 1:]
TARGETS = {"gaussian": F + 0.1 * RNG.normal(size=F.shape), "poisson": RNG.poisson(np.exp(F)).astype(float)}
WHO = ("host", "tensorflow")


def make(likelihood="gaussian", bound="tight", **options):
    kinds = {"gaussian": lambda: Gaussian(0.05), "poisson": Poisson}
    rng = np.random.default_rng(3)
    kernel, Z = Matern32(1.2, [0.8, 1.7]), X[rng.permutation(90)[:11]]
    return SVGP(kernel, kinds[likelihood](), Z, num_data=len(X), bound=bound, **options)


def assert_same(found):
    """To 1e-10 of the largest number in each."""
    host, device = (tf.nest.flatten(found[who]) for who in WHO)
    assert len(host) == len(device) > 0
    for one, other in zip(host, device, strict=True):
        one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
        scale = max(1.0, np.abs(one[np.isfinite(one)]).max(initial=0.0))
        np.testing.assert_allclose(other, one, rtol=1e-10, atol=1e-10 * scale)


def traced(who):
    """That the choice was one: the host's products are calls out of the graph, and the device has none."""
    with linalg.backend(who):
        model = make()
        graph = tf.function(lambda x, y: model.elbo((x, y)), autograph=False).get_concrete_function(
            tf.TensorSpec([30, 2], tf.float64), tf.TensorSpec([30, 1], tf.float64)
        )
    return {"PyFunc", "EagerPyFunc"} & {node.op for node in graph.graph.as_graph_def().node}


@pytest.mark.parametrize("likelihood", ["gaussian", "poisson"])
@pytest.mark.parametrize("whiten", [True, False])
def test_adam_s_bound_and_gradient(likelihood, whiten):
    assert traced("host") and not traced("tensorflow")
    found = {}
    for who in WHO:
        model = make(likelihood, whiten=whiten)
        with linalg.backend(who), tf.GradientTape() as tape:
            value = model.elbo((X[:40], TARGETS[likelihood][:40]))
        found[who] = [value, *tape.gradient(value, model.trainable_variables)]
    assert_same(found)


@pytest.mark.parametrize("kind", [FullDual, DiagonalDual])
@pytest.mark.parametrize("likelihood", ["gaussian", "poisson"])
def test_natgrad_s_step_and_optimum(kind, likelihood):
    """Bound, gradient by the hyperparameters and new q(u), of a step on a batch and of the optimum."""
    found = {}
    for who in WHO:
        posterior = kind(make(likelihood, q_diag=kind is DiagonalDual))
        batch = tf.constant(X[:40]), tf.constant(TARGETS[likelihood][:40])
        with linalg.backend(who):
            step = posterior.propose(*batch, tf.constant(0.3, tf.float64), whole=False)
            best = posterior.settle(tf.constant(X), tf.constant(TARGETS[likelihood]))
        found[who] = [[o.elbo, o.expected_log_likelihood, o.kl, o.gradients, o.state] for o in (step, best)]
    assert_same(found)


@pytest.mark.parametrize("bound", ["standard", "tight"])
def test_the_certificate(bound):
    found = {}
    for who in WHO:
        with linalg.backend(who):
            answer = certificate(
                make(bound=bound), X, TARGETS["gaussian"], steps=3, max_seconds=None, tolerance=0
            )
        found[who] = [float(value) for value in dataclasses.astuple(answer)]
    assert_same(found)


def fitted(likelihood):
    """A model whose q(u) says something: made by the host alone."""
    model = make(likelihood)
    if likelihood == "gaussian":
        with linalg.backend("host"):
            bound = CollapsedBound(model, X, TARGETS["gaussian"])
            bound.assign(bound.evaluate().posterior)
        return model
    rng = np.random.default_rng(5)
    model.q_mean.assign(rng.normal(size=model.q_mean.shape))
    return model


@pytest.mark.parametrize("likelihood", ["gaussian", "poisson"])
def test_diagnostics(likelihood):
    model, found = fitted(likelihood), {}
    for who in WHO:
        with linalg.backend(who):
            row = inducing_diagnostics(model, X, X[:11], step=1, epoch=1.0)
        found[who] = [row[name] for name in sorted(row) if isinstance(row[name], (int, float, list))]
        found[who] = [x for x in tf.nest.flatten(found[who]) if isinstance(x, (int, float))]
    assert_same(found)


@pytest.mark.parametrize("likelihood", ["gaussian", "poisson"])
def test_predictions(likelihood):
    model, found = fitted(likelihood), {}
    new = np.random.default_rng(1).uniform(-2.5, 2.5, size=(20, 2))
    for who in WHO:
        with linalg.backend(who):
            log_density = model.predict_log_density((new, TARGETS[likelihood][:20]))
            found[who] = [model.predict_f(new), model.predict_y(new), log_density]
    assert_same(found)
