"""A network that has learned its rows by heart is told, one that has not is not."""

from __future__ import annotations

import numpy as np

from svgp.kernels import Deep, Matern32
from svgp.likelihoods import Gaussian
from svgp.models import SVGP
from svgp.networks import Network
from svgp.rows import as_rows
from svgp.runs.evaluation import Evaluator
from svgp.runs.overfitting import on_networks


def test_the_gap_between_training_and_test_rows_is_measured() -> None:
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(60, 2)), rng.normal(size=(60, 1))  # nothing to learn
    rows, test = as_rows(X[:30], Y[:30]), as_rows(X[30:], Y[30:])
    deep = SVGP(Deep(Matern32(1.0, [1.0]), Network([2, 4, 1])), Gaussian(1.0), X[:30])
    assert on_networks(Evaluator(deep), rows, test) == []
    (alone,) = on_networks(Evaluator(deep), rows, None)
    assert "17 weights, and no test rows" in alone
    deep.likelihood.variance.assign(np.float64(0.05))
    deep.kernel.base_kernel.lengthscales.assign(np.array([1e-4]))
    deep.q_mean.assign(Y[:30].T)
    deep.q_sqrt.assign(1e-3 * np.eye(30)[None])
    (said,) = on_networks(Evaluator(deep), rows, test)
    assert "17 weights overfit: NLPD" in said and "fewer or smaller layers" in said
    assert on_networks(Evaluator(SVGP(Matern32(), Gaussian(1.0), X[:5])), rows, test) == []
