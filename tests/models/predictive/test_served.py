"""What a saved graph says is what `Predictive` says."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from svgp import kernels, likelihoods
from svgp.models import SVGP, Predictive
from svgp.models.predictive import Calibration, SparseRows
from svgp.models.predictive.corrections import NeighbourRows
from svgp.models.predictive.served import ServedPredictive

RNG = np.random.default_rng(8)
X, NEW = RNG.uniform(-2, 2, (60, 3)), RNG.uniform(-2, 2, (37, 3))  # three batches, the last one short
X[5:20] = X[4]
NEW[3] = X[4]  # on top of sixteen equal rows, of which six are taken


@pytest.mark.parametrize("kind", ["alone", "after", "joint"])
def test_a_graph_says_the_same(kind, tmp_path):
    model = SVGP(
        kernels.Matern32(1.2, [0.7, 1.1, 2.0]), likelihoods.Gaussian([0.1, 0.2]), X[10:17] + 0.1,
        q_mean=RNG.standard_normal((2, 7)), q_sqrt=0.1 * np.tril(RNG.standard_normal((2, 7, 7))),
    )  # fmt: skip
    calibration = Calibration(
        np.array([0.3, 1.0]), np.array([2.0, 0.5]), np.array([[0.5, 2.0], [1.0, 1.0]]), np.full((2, 2), 0.5)
    )
    rows = None
    if kind != "alone":
        noise = RNG.uniform(0.1, 0.3, (60, 2)) if kind == "after" else np.tile([0.1, 0.2], (60, 1))
        joint = SparseRows(model) if kind == "joint" else None
        rows = NeighbourRows(model, X, RNG.standard_normal((60, 2)), noise, 6, joint, np.array([0.2, 3.0]))
        alone = [rows.correct(NEW[i : i + 1], np.ones(2)).mean for i in range(3, 6)]
        together = rows.correct(NEW, np.ones(2)).mean[3:6]
        np.testing.assert_allclose(np.concatenate(alone), together, rtol=1e-9)
    predictive = Predictive(model, calibration, rows)
    served = ServedPredictive(predictive)
    served.predict = tf.function(
        served.predict_f, input_signature=[tf.TensorSpec([None, 3], tf.float64)], autograph=False
    )
    tf.saved_model.save(served, str(tmp_path / "served"), signatures=None)
    loaded = tf.saved_model.load(str(tmp_path / "served"))
    found = loaded.predict(tf.constant(NEW))
    for got, expected in zip(found, predictive.latent(NEW), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-8, atol=1e-9)
    assert np.all(np.isfinite(found[1])) and served.likelihood is predictive.likelihood
