"""Several machines: sums of shards of the rows give the bound and the q(u) of one machine that has all."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from svgp.kernels import Matern32
from svgp.likelihoods import Gaussian
from svgp.models import SVGP
from svgp.models.collapsed.bound import CollapsedBound
from svgp.models.collapsed.posterior import bound_from_sums, optimal_posterior


def problem(bound):
    rng = np.random.default_rng(2)
    X = rng.normal(size=(90, 2))
    Y = np.stack([np.sin(X.sum(1)), X[:, 0]], 1) + 0.1 * rng.normal(size=(90, 2))
    noise = [0.05, 0.2] if bound == "tight" else 0.05
    return SVGP(Matern32(1.3, [1.0, 2.0]), Gaussian(noise), X[:12], num_latent=2, bound=bound), X, Y


@pytest.mark.parametrize(
    ("bound", "form"), [("standard", "cheap"), ("standard", "whitened"), ("tight", "auto")]
)
def test_sums_of_three_shards_give_the_bound_and_posterior_of_the_whole(bound, form):
    model, X, Y = problem(bound)
    whole = CollapsedBound(model, X, Y, form=form).evaluate()
    shards = [slice(0, 20), slice(20, 55), slice(55, None)]
    frame = CollapsedBound(model, X[shards[0]], Y[shards[0]], form=form).frame()
    sent = pickle.dumps(frame)  # what one machine tells the others, and what they answer
    answers = [
        pickle.dumps(CollapsedBound(model, X[rows], Y[rows], form=form).statistics(pickle.loads(sent)))
        for rows in shards
    ]
    sums = pickle.loads(answers[0])
    for answer in answers[1:]:
        sums = sums + pickle.loads(answer)
    posterior = optimal_posterior(frame, sums)
    assert sums.rows == 90
    assert bound_from_sums(posterior, sums) == pytest.approx(whole.bound, rel=1e-11)
    np.testing.assert_allclose(posterior.mean, whole.posterior.mean, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(posterior.covariance, whole.posterior.covariance, rtol=1e-9, atol=1e-11)
    CollapsedBound(model, X, Y).assign(posterior)
    assert float(model.elbo((X, Y))) == pytest.approx(whole.bound, abs=1e-3)  # the model's jitter apart
