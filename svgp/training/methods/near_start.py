"""Lengthscales by rows that lie near one another, for the stage that sees neighbours to start from.

Of a few hundred rows from all over the table, and of inducing points between them, what varies over less than
their distance looks like noise. Of 3,000 hours with a daily cycle 400 lie seven hours apart, and training
ended at the mean, the cycle taken for noise: RMSE 3.46, and 0.04 from where rows in clumps say.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from svgp.errors import NumericalError
from svgp.kernels.stationary import Stationary
from svgp.linalg.host.threads import single_threaded_blas
from svgp.models.neighbours.evidence import NeighbourEvidence
from svgp.models.start.evidence import fit_evidence
from svgp.models.start.values import TAIL, column_spread

CLUMPS, CLUMP = 8, 50  # of so many rows each: the exact evidence of 400 rows
GROUPS, GROUP = 8, 250  # the same, of which the evidence with neighbours decides
SHORTEST = 1e-3  # deviations of an input, as `svgp.training.lbfgs.box` has it
# Nats a row that it must gain by: a start is not the end. airfoil and concrete gain less than .01.
# kin40k gains .50, and after 40 s has RMSE .0897 and NLPD -1.208 from there, else .0905 and -1.194.
MARGIN = 0.5


def start_near(model: Any, X: np.ndarray, Y: np.ndarray, *, count: int, seed: int) -> bool:
    """Give `model` the lengthscales, variance and noise of near rows of X `[N, D]`, Y `[N, P]`.

    Only if that is far better, judged by the evidence with `count` neighbours of some rows in clumps; returns
    whether it was. Only for one stationary kernel over all inputs, a lengthscale each, and Gaussian noise.
    """
    kernel, spread = model.kernel, column_spread(X)
    plain = isinstance(kernel, Stationary) and kernel.active_dims is None
    if not plain or kernel.lengthscales.shape != X.shape[1:] or len(X) < 2 * CLUMPS * CLUMP:
        return False
    if not spread[1].all():
        return False
    scaled = (X - X.mean(axis=0)) / spread[0]
    groups = clumps(scaled, CLUMPS, CLUMP, seed)  # [C, n]
    # One length of their own for all inputs: they are nearest in all together.
    length = float(np.sqrt(np.mean(np.var(scaled[groups], axis=1))))
    near, deviation = np.unique(groups), Y.std(axis=0)
    if not length > 0.0 or not np.all(deviation > 0.0):
        return False
    targets = np.clip((Y - Y.mean(axis=0)) / deviation, -TAIL, TAIL)[near]
    with single_threaded_blas():
        lengths, share = fit_evidence(scaled[near] / length, targets)
    size = float(np.mean(deviation**2))
    wanted = (
        (kernel.lengthscales, np.maximum(lengths * length, SHORTEST) * spread[0]),
        (kernel.variance, (1.0 - share) * size),
        (model.likelihood.variance, max(share * size, 1.01 * model.likelihood.floor)),
    )
    before = [np.asarray(parameter) for parameter, _ in wanted]
    rows = np.unique(clumps(scaled, GROUPS, GROUP, seed + 1))
    known = _evidence(model, X[rows], Y[rows], count, seed)
    for parameter, value in wanted:
        parameter.assign(np.broadcast_to(value, parameter.shape))
    if _evidence(model, X[rows], Y[rows], count, seed) > known + MARGIN * len(rows):
        return True
    for (parameter, _), value in zip(wanted, before, strict=True):
        parameter.assign(value)
    return False


def clumps(X: np.ndarray, groups: int, size: int, seed: int) -> np.ndarray:
    """Numbers of rows of X `[N, D]`, `[groups, size]`: some at random, each with the rows nearest to it."""
    centres = np.random.default_rng([seed, 47]).permutation(len(X))[:groups]
    return np.asarray(cKDTree(X).query(X[centres], min(size, len(X)))[1])


def _evidence(model: Any, X: np.ndarray, Y: np.ndarray, count: int, seed: int) -> float:
    """Of the rows with their neighbours among themselves, nats; minus infinity where it has no value."""
    try:
        return NeighbourEvidence(model, X, Y, count=count, seed=seed, variables=()).value()
    except NumericalError:
        return -np.inf
