"""The row of inducing-point diagnostics that a run logs over time."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from threadpoolctl import threadpool_limits

from svgp.diagnostics.advice import Setup, advise
from svgp.diagnostics.contributions import Contributions, contributions
from svgp.diagnostics.spectrum import condition_number, effective_rank
from svgp.errors import NumericalError
from svgp.inducing.redundancy import (
    redundancy_threshold,
    redundant_for_all,
    smallest_distance,
    smallest_noise,
)

UNINFORMED = 0.01  # nats of KL below which the data told a point nothing
UNMOVED = 1e-3  # lengthscales
# A point outside the data is far from them beyond both: within half a lengthscale it still explains the rows
# at the edge, and where a lengthscale is a hair's breadth, so is half of it.
FAR_LENGTHSCALES = 0.5
FAR_SHARE = 0.05  # of the range of an input
LISTED = 20  # indices of points in a short list


def fixed_subset(X: np.ndarray, seed: int, rows: int = 2048) -> np.ndarray:
    """At most `rows` rows of X `[N, D]`, the same for the same seed, in their old order."""
    if len(X) <= rows:
        return np.asarray(X)
    chosen = np.random.default_rng([seed, 2048]).choice(len(X), size=rows, replace=False)
    return np.asarray(X)[np.sort(chosen)]


def inducing_diagnostics(
    model: Any,
    X: np.ndarray,
    Z_start: np.ndarray | None,
    *,
    step: int,
    epoch: float,
    data_range: tuple[np.ndarray, np.ndarray] | None = None,
    setup: Setup | None = None,
) -> dict[str, Any]:
    """Numbers on the inducing points of `model` at the training rows X `[n, D]`, ready for JSON.

    Keys (points M, latent GPs L; distances in lengthscales, the shortest among latent GPs). Of latent GPs
    with points of their own, Z `[L, M, D]`, all L M points count, one set after another, each in its own
    lengthscales; nothing is summed over latent GPs then:
    - `condition_number` (largest over L) and `effective_rank` (mean over L) of Kuu without jitter;
      `jitter`: what its diagonal got so that it could be factorised.
    - `smallest_distance` between two points; `redundant`: points that can be removed together,
      each then known from the rest up to `redundant_threshold` of its prior variance; the first 20
      are in `redundant_points`. For L latent GPs a point must be redundant for all.
      The threshold is 1e-4, less where the noise is small (1% of noise over prior variance; of counts the
      noise in the log rate is 1 / mu), never below the jitter, 1e-6.
    - `moved_mean`, `moved_max`, `unmoved` (by less than 1e-3): since `Z_start`; null without it.
    - `residual_mean`, `residual_p95`: the share `d / kff` of prior variance left unexplained at X;
      `residual_cost`: what that takes from the bound, nats a row: `mean(sum_l d / (2 noise))` for Gaussian
      noise, `mean(sum_l log(1 + d / noise) / 2)` where the bound is tight, `mean(sum_l mu (1 - exp(-d / 2)))`
      for counts of expected rate mu, else null.
    - `kl` and its parts `kl_by_point` (nats, summed over L), `explained_by_point` (shares of the prior
      variance, mean over L): see `contributions`; `uninformed`: points needed but with less than 0.01 nats.
    - `outside`, `outside_points`: points far outside the box `data_range` (low `[D]`, high `[D]`; None: that
      of X), by more than half a lengthscale and 5% of the range in an input that the kernel uses;
      `outside_by`: how far the farthest point is, near or far; `outside_uninformed`: how many are both.
    - `advice`: sentences, which depend on `setup` as well (None: what the model shows of it).

    Raises NumericalError when Kuu holds NaN or cannot be factorised.
    """
    # On a busy machine threads of LAPACK that wait for each other cost a hundred times what they save.
    with threadpool_limits(limits=1, user_api="blas"):
        row = _diagnose(model, np.asarray(X, dtype=np.float64), Z_start, step, epoch, data_range)
    if setup is None:
        sets = model.num_latent if model.separate_points else 1
        trainable = bool(getattr(model.Z, "trainable", False))
        setup = Setup(rows=model.num_data, trainable=trainable, sets=sets)
    eased = row["jitter"] > 1.5 * float(model.jitter)
    advice = advise(row, setup, single=model.Z.dtype == tf.float32, eased=eased)
    return {key: value if isinstance(value, list) else _plain(value) for key, value in row.items()} | {
        "advice": advice
    }


def _diagnose(
    model: Any,
    X: np.ndarray,
    Z_start: np.ndarray | None,
    step: int,
    epoch: float,
    data_range: tuple[np.ndarray, np.ndarray] | None,
) -> dict[str, Any]:
    own = _array(model.Z)  # [M, D] or [L, M, D]
    sets = _stack(own, 2)  # [S, M, D], S = 1, or L of separate sets
    lengthscales = _stack(_array(model.kernel.input_lengthscales(own.shape[-1])), 1)  # [1 or L, D]
    if len(sets) == 1:
        lengthscales = lengthscales.min(axis=0, keepdims=True)
    of_sets = np.broadcast_to(lengthscales, (len(sets), own.shape[-1]))  # [S, D]
    Z, shortest = np.concatenate(sets), np.repeat(of_sets, sets.shape[1], axis=0)  # [S M, D] each
    Kuu = _stack(model.kernel.K(own, dtype=tf.float64).numpy(), 2)  # [L or 1, M, M]
    if not np.isfinite(Kuu).all():
        raise NumericalError(
            f"Kuu holds NaN or infinity at step {step}: lengthscales or inducing points have diverged"
        )
    noise, rates = smallest_noise(model.likelihood), _rates(model, X)
    threshold = redundancy_threshold(Kuu, noise if rates is None else 1.0 / max(float(rates.max()), 1.0))
    found = [redundant_for_all(Kuu[s :: len(sets)], threshold) for s in range(len(sets))]
    parts, jitter = _all_contributions(model, Kuu, own, X, [redundancy.order for redundancy in found])
    kl = np.concatenate([np.sum([p.kl for p in parts[s :: len(sets)]], axis=0) for s in range(len(sets))])
    explained = [np.mean([p.explained for p in parts[s :: len(sets)]], axis=0) for s in range(len(sets))]
    first = np.arange(len(sets)) * sets.shape[1]  # each set's first point among all
    redundant = np.concatenate([s + r.redundant for s, r in zip(first, found, strict=True)])
    needed = np.concatenate([s + r.order[: r.kept] for s, r in zip(first, found, strict=True)])
    box = data_range or (X.min(axis=0), X.max(axis=0))
    return {
        "step": int(step),
        "epoch": float(epoch),
        "count": len(Z),
        **_spectrum(Kuu, float(np.finfo(np.float64).eps)),
        "jitter": jitter,
        "smallest_distance": min(
            (d for d in map(smallest_distance, sets / of_sets[:, None]) if d is not None), default=None
        ),
        "redundant": len(redundant),
        "redundant_threshold": threshold,
        "redundant_points": redundant[:LISTED].tolist(),
        **_movement(Z, Z_start, shortest),
        **_residual(parts, model, X, noise, rates),
        "kl": float(kl.sum()),
        "kl_by_point": _rounded(kl),
        "explained_by_point": _rounded(np.concatenate(explained)),
        **_uninformed(Z, kl, needed, box, shortest),
    }


def _array(value: Any) -> np.ndarray:
    return np.asarray(tf.convert_to_tensor(value), dtype=np.float64)


def _stack(array: np.ndarray, trailing: int) -> np.ndarray:
    """Leading (latent) dimensions as exactly one."""
    return array.reshape(-1, *array.shape[array.ndim - trailing :])


def _all_contributions(
    model: Any, Kuu: np.ndarray, Z: np.ndarray, X: np.ndarray, orders: list[np.ndarray]
) -> tuple[list[Contributions], float]:
    """One entry a latent GP, and the largest jitter: the model's own, or tenfold until it works."""
    Kuf = _stack(model.kernel.K(Z, X, dtype=tf.float64).numpy(), 2)  # [L or 1, M, n]
    kff = _stack(model.kernel.K_diag(X, dtype=tf.float64).numpy(), 1)  # [L or 1, n]
    means, roots = _array(model.q_mean), _array(model.q_root())  # [L, M], [L, M, M]
    jitter = _array(model.factor().jitter).ravel()  # [L or 1]
    eye = np.eye(model.num_inducing)

    def part(latent: int) -> Contributions:
        own = latent % len(Kuu)  # hyperparameters that all latent GPs share give one matrix
        return contributions(
            Kuu[own] + jitter[latent % len(jitter)] * eye,
            Kuf[own],
            kff[latent % len(kff)],
            means[latent],
            roots[latent],
            order=orders[latent % len(orders)],
            whiten=bool(model.whiten),
        )

    for _ in range(8):
        try:
            return [part(latent) for latent in range(len(means))], float(jitter.max())
        except np.linalg.LinAlgError:
            jitter = np.maximum(10.0 * jitter, 1e-10)
    raise NumericalError(
        f"Kuu of {model.num_inducing} inducing points is not positive definite even with jitter "
        f"{jitter.max():.0e}"
    )


def _spectrum(Kuu: np.ndarray, precision: float) -> dict[str, float]:
    eigenvalues = np.linalg.eigvalsh(Kuu)  # [L or 1, M]
    return {
        "condition_number": max(condition_number(values, precision) for values in eigenvalues),
        "effective_rank": float(np.mean([effective_rank(values) for values in eigenvalues])),
    }


def _movement(Z: np.ndarray, Z_start: np.ndarray | None, shortest: np.ndarray) -> dict[str, Any]:
    if Z_start is None or np.size(Z_start) != Z.size:
        return {"moved_mean": None, "moved_max": None, "unmoved": None}
    start = np.asarray(Z_start, dtype=np.float64).reshape(Z.shape)
    moved = np.linalg.norm((Z - start) / shortest, axis=1)  # [M]
    return {
        "moved_mean": float(moved.mean()),
        "moved_max": float(moved.max()),
        "unmoved": int(np.sum(moved < UNMOVED)),
    }


def _rates(model: Any, X: np.ndarray) -> np.ndarray | None:
    """Expected counts mu = E exp(f) `[L, n]`; None where the targets are no counts."""
    if not model.likelihood.exponential_rate:
        return None
    return _array(model.predict_y(X)[0]).T


def _residual(
    parts: list[Contributions], model: Any, X: np.ndarray, noise: float | None, rates: np.ndarray | None
) -> dict[str, Any]:
    share = np.stack([part.residual for part in parts])  # [L, n]
    variance = share * _stack(model.kernel.K_diag(X, dtype=tf.float64).numpy(), 1)  # [L, n]
    cost = None
    if noise is not None:
        ratio = variance / noise  # [L, n]
        cost = float(model.bound.residual_price(ratio).sum(axis=0).mean())
    elif rates is not None:  # E log p falls by mu as it is less mu without d in f's variance
        cost = float((-rates * np.expm1(-0.5 * variance)).sum(axis=0).mean())
    return {
        "residual_mean": float(share.mean()),
        "residual_p95": float(np.percentile(share, 95)),
        "residual_cost": cost,
    }


def _uninformed(
    Z: np.ndarray,
    kl: np.ndarray,
    needed: np.ndarray,
    box: tuple[np.ndarray, np.ndarray],
    shortest: np.ndarray,
) -> dict[str, Any]:
    uninformed = needed[kl[needed] < UNINFORMED]
    outside, farthest = _outside(Z, box, shortest)
    return {
        "uninformed": len(uninformed),
        "outside": len(outside),
        "outside_points": outside[:LISTED].tolist(),
        "outside_by": farthest,
        "outside_uninformed": len(np.intersect1d(outside, uninformed)),
    }


def _outside(
    Z: np.ndarray, box: tuple[np.ndarray, np.ndarray], shortest: np.ndarray
) -> tuple[np.ndarray, float]:
    low, high = (np.asarray(edge, dtype=np.float64) for edge in box)
    excess = np.maximum(np.maximum(low - Z, Z - high), 0.0)  # [M, D]
    far = (excess > FAR_LENGTHSCALES * shortest) & (excess > FAR_SHARE * (high - low))  # [M, D]
    # An infinite lengthscale makes nothing of any distance.
    return np.flatnonzero(far.any(axis=1)), float(np.max(excess / shortest))


def _rounded(values: np.ndarray) -> list[float]:
    """Three significant digits: the lists are long and only their pattern is read."""
    return [float(f"{value:.3g}") for value in values]


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not np.isfinite(value) else value
