"""Evidence and predictions with neighbours on the device: `python -m benchmarks.gpu_neighbours gpu|cpu`.

Matérn 3/2, 8 inputs, Gaussian noise. First the device's and the host's answers to the same question: which
rows are neighbours, which must be the same; the evidence, its gradient, predictions, joint covariances and
draws, which must agree to 1e-8. Then the seconds of one evaluation of the evidence, 16 neighbours a row, and
of finding these; the microseconds of a prediction that sees 32; the seconds of a covariance and of draws. The
last line is JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.gpu_collapsed import AGREEMENT, problem
from svgp import linalg
from svgp.models import Predictive
from svgp.models.collapsed.posterior import assign_posterior
from svgp.models.neighbours.evidence import NeighbourEvidence
from svgp.models.predictive import SparseRows, joint_covariance, predictive_draws
from svgp.models.predictive.corrections import NeighbourRows

TOGETHER = 1000  # rows of a joint covariance


def predictive(model: Any, X: np.ndarray, Y: np.ndarray, count: int) -> Predictive:
    """Of a q(u) that was found together with the neighbours."""
    source = SparseRows(model)
    residual = Y - source.parts(X).mean
    rows = NeighbourRows(model, X, residual, np.full(residual.shape, 0.1), count, joint=source)
    return Predictive(model, neighbours=rows, sparse=source)


def answers(who: str, rows: int, points: int, count: int) -> list[np.ndarray]:
    """Neighbours, evidence, gradient, means and variances, a joint covariance, draws."""
    model, X, Y = problem(rows, points)
    with linalg.backend(who):
        evidence = NeighbourEvidence(model, X, Y, count=count)
        found = evidence.evaluate()
        assign_posterior(model, found.posterior)
        ours, new = predictive(model, X, Y, 2 * count), X[: rows // 4] + 0.05
        latent, C = ours.latent(new), joint_covariance(ours, new[:TOGETHER])
        draws = predictive_draws(ours, 3)(new)
    return [evidence.neighbours, np.asarray(found.evidence), *found.gradients, *latent, C, draws]


def difference(rows: int, points: int, count: int) -> float:
    """The largest relative difference between device and host."""
    pairs = zip(*(answers(who, rows, points, count) for who in ("tensorflow", "host")), strict=True)
    return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in pairs)


def seconds(work: Callable[[], Any]) -> float:
    """Of the second call; the first one compiles."""
    work()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main(device: str) -> int:
    gpu = device == "gpu"
    rows, points, queries = (40_000, 1024, 100_000) if gpu else (600, 32, 200)
    found: dict[str, object] = {}
    with tf.device("/GPU:0" if gpu else "/CPU:0"):
        error = difference(10_000, 512, 16) if gpu else difference(400, 24, 4)
        found["difference from the host"] = error
        with linalg.backend("auto" if gpu else "tensorflow"):
            for N in (rows, 10 * rows) if gpu else (rows,):
                model, X, Y = problem(N, points)
                evidence = NeighbourEvidence(model, X, Y, count=16)
                scales = np.full(X.shape[1], 2.0)
                searched = seconds(lambda search=evidence.search, scales=scales: search(scales))
                found[f"neighbours of {N} rows, seconds"] = round(searched, 3)
                found[f"evidence of {N} rows, {points} points, seconds"] = round(
                    seconds(evidence.evaluate), 3
                )
            model, X, Y = problem(rows, points)
            new = np.random.default_rng(1).standard_normal((queries, X.shape[1]))
            ours = predictive(model, X, Y, 32)
            taken = seconds(lambda: ours.latent(new))
            searched = seconds(lambda: ours.neighbours.find(new))
            found["microseconds a prediction"] = round(1e6 * taken / queries, 2)
            found["of these, the search"] = round(1e6 * searched / queries, 2)
            some = new[:TOGETHER]
            taken = seconds(lambda: joint_covariance(ours, some))
            found[f"a joint covariance of {len(some)} rows, seconds"] = round(taken, 3)
            draws = predictive_draws(ours, 10)
            found[f"10 draws at {len(some)} rows, seconds"] = round(seconds(lambda: draws(some)), 3)
    print(json.dumps(found))
    return int(not error < AGREEMENT)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
