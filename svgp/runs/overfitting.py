"""Whether a network inside a model has learned its training rows by heart: measured, not supposed."""

from __future__ import annotations

from typing import Any

import numpy as np

from svgp.networks import Network

ROWS = 2000  # of each, at most
GAP = 0.1  # nats a row beyond chance that are worth a sentence


def on_networks(evaluator: Any, rows: Any, test_rows: Any) -> list[str]:
    """A sentence where a model with a network predicts training rows better than test rows, or nothing tells.

    Both densities are those of the inducing points alone, in the model's units: neighbours know training
    rows. Thousands of weights are guarded by no prior, and the evidence says nothing of them.
    """
    model = evaluator.model
    networks = [part for part in model.submodules if isinstance(part, Network)]
    if not networks:
        return []
    count = sum(int(np.prod(v.shape)) for network in networks for v in network.trainable_variables)
    if test_rows is None:
        return [
            f"the network has {count:,} weights, and no test rows tell whether it overfits: set data.test"
        ]
    known, unknown = (_log_density(evaluator, *_some(part)) for part in (rows, test_rows))
    gap = float(known.mean() - unknown.mean())
    chance = 3.0 * float(np.sqrt(known.var() / len(known) + unknown.var() / len(unknown)))
    said = f"NLPD {-known.mean():.3g} on training rows and {-unknown.mean():.3g} on test rows (model units)"
    if gap < max(GAP, chance):
        return []
    return [
        f"the network's {count:,} weights overfit: {said}; fewer or smaller layers, an earlier end "
        "(train.max_epochs) or a kernel without features"
    ]


def _some(rows: Any) -> tuple[np.ndarray, np.ndarray]:
    X, Y = rows.sample()
    return X[:ROWS], Y[:ROWS]


def _log_density(evaluator: Any, X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    latent = evaluator.latent(X)
    return np.asarray(evaluator.likelihood.predict_log_density(latent.mean, latent.variance, Y), np.float64)
