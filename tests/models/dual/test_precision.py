"""Natural gradients with float32 batches: no less exact than float32 kernel matrices make them already."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from svgp.kernels import Matern32, SquaredExponential
from svgp.likelihoods import Gaussian
from svgp.models import SVGP
from svgp.models.dual import full

ROWS = 100_000  # W is of the size ROWS / noise: float32 sums of its parts would lose the prior beside it
RNG = np.random.default_rng(0)
X = RNG.uniform(-2.0, 2.0, size=(256, 2))
Y = np.sin(2.0 * X[:, :1]) + 0.3 * X[:, 1:] + 0.1 * RNG.normal(size=(256, 1))


def steps(kernel, dtype):
    model = SVGP(kernel, Gaussian(0.01), X[:32], num_data=ROWS, jitter=1e-5, batch_dtype=dtype, bound="tight")
    posterior, found = full.FullDual(model), []
    for rho in (1.0, 0.3, 0.3):
        outcome = posterior.propose(tf.constant(X), tf.constant(Y), tf.constant(rho, tf.float64), whole=False)
        for variable, value in zip(posterior.variables.values(), outcome.state, strict=True):
            variable.assign(value)
        found.append(outcome)
    return found


@pytest.mark.parametrize("kind", [Matern32, SquaredExponential])
@pytest.mark.parametrize("lengthscale", [0.4, 2.0])
def test_errors_are_those_of_the_kernel_alone_and_no_step_is_shortened(kind, lengthscale, monkeypatch):
    """M = 128, noise .1 to 1e-4, two kernels: the errors of bound and gradient did not grow by a third."""
    exact = steps(kind(1.0, [lengthscale] * 2), tf.float64)
    narrow = steps(kind(1.0, [lengthscale] * 2), tf.float32)
    evaluate = full.dual.evaluate
    monkeypatch.setattr(full.dual, "evaluate", lambda A, W, e, narrow: evaluate(A, W, e))
    kernel_alone = steps(kind(1.0, [lengthscale] * 2), tf.float32)

    def errors(found):
        for ours, right in zip(found, exact, strict=True):
            both = [np.concatenate([np.ravel(g) for g in o.gradients]) for o in (ours, right)]
            yield abs(float(ours.elbo - right.elbo)) / ROWS, np.linalg.norm(both[0] - both[1])

    for ours, least in zip(errors(narrow), errors(kernel_alone), strict=True):
        assert 0.0 < ours[0] < 1.5 * least[0] + 1e-6 and 0.0 < ours[1] < 2.0 * least[1]
    assert [int(o.retries) for o in narrow] == [0, 0, 0]
