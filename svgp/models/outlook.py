"""What more inducing points would bring, by a quick greedy estimate at fixed hyperparameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from svgp.inducing import further_points, with_further
from svgp.models.collapsed.bound import CollapsedBound
from svgp.models.collapsed.posterior import bound_from_sums
from svgp.models.svgp import SVGP

OPERATIONS = 5e11  # of the pass over the rows with all points: some ten seconds


@dataclass(frozen=True)
class Outlook:
    """`count` points in all, `added` of them new; the bound's `gain_per_row` in nats, for Gaussian noise.

    `residual_before` and `residual_after`: the share of prior variance that the points leave unexplained.
    `rows`: how many rows the numbers come from.
    """

    count: int
    added: int
    rows: int
    residual_before: float
    residual_after: float
    gain_per_row: float | None


def outlook(
    model: Any, X: np.ndarray, Y: np.ndarray, added: int, *, seed: int = 0, operations: float = OPERATIONS
) -> Outlook:
    """The gain by `added` points where the residual variance is largest; X `[N, D]`, Y `[N, P]`.

    Hyperparameters and the present points stay, q(u) is optimal with and without the new ones (Gaussian
    noise with one variance; otherwise only the residual is told). Training would place points better than
    this and move the hyperparameters, so it is an estimate from below of what they would bring. Where
    `N (M + added)^2` exceeds `operations`, a random subset of rows stands for all, but eight a point.
    Raises LinAlgError or NumericalError where Kuu has no factor.
    """
    Z = np.asarray(model.Z, np.float64)
    size = model.num_inducing + added
    most = max(int(operations / size**2), 8 * size)
    if len(X) > most:
        rows = np.sort(np.random.default_rng([seed, 13]).choice(len(X), most, replace=False))
        X, Y = X[rows], Y[rows]
    jitter = float(np.max(model.factor().jitter.numpy()))
    new = further_points(X, Z, added, model.kernel, jitter=jitter, seed=seed)
    before = full_posterior_model(model, Z)
    after = full_posterior_model(model, with_further(Z, new))
    gain = None
    if is_collapsible(model):
        gain = (best_bound(after, X, Y) - best_bound(before, X, Y)) / len(X)
    shares = residual_share(before, X), residual_share(after, X)
    return Outlook(model.num_inducing + len(new), len(new), len(X), *shares, gain)


def full_posterior_model(model: Any, Z: np.ndarray) -> SVGP:
    """A model with the kernel, likelihood, mean and bound of `model`, points Z, and a full q(u)."""
    return SVGP(
        model.kernel, model.likelihood, Z.astype(model.dtype.as_numpy_dtype), num_data=model.num_data,
        mean=model.mean, bound=model.bound, jitter=model.jitter, num_latent=model.num_latent,
        outputs=model.outputs,
    )  # fmt: skip


def is_collapsible(model: Any) -> bool:
    """Whether q(u) has a closed form: one Gaussian noise variance, kernel and set of points, unmixed."""
    shared = model.likelihood.noise == "shared" and not model.outputs.mixes and not model.separate_points
    return shared and model.kernel.K(model.Z[:1]).shape.rank == 2


def best_bound(model: Any, X: np.ndarray, Y: np.ndarray) -> float:
    """The collapsed bound in nats, for these rows: one pass."""
    posterior, sums = CollapsedBound(model, X, Y, variables=()).posterior()
    return bound_from_sums(posterior, sums)


def residual_share(model: Any, X: np.ndarray, rows: int = 2048) -> float:
    """Mean of `d / kff` at rows spread over X `[N, D]`."""
    found = model.marginals(X[:: max(1, len(X) // rows)])
    prior = np.maximum(found.prior.numpy(), np.finfo(float).tiny)
    return float(np.mean(np.maximum(found.residual.numpy(), 0.0) / prior))
