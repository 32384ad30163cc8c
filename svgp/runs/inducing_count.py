"""`model.inducing.count: auto`: how many inducing points are worth their cost.

A pilot fits kernel and noise to a thousand rows with few points. Greedy points among some rows, taken one by
one where most variance is unexplained, then say of other rows how their residual variance d falls with M, and
with it what a row still pays for it: log(1 + d / s2) / 2 nats under the tight bound, about what more points
could gain. Few points are enough where that is small. Cost grows as M^2 a row and M^3 a step: the time that
`train.max_seconds` gives, or ten minutes, at a nominal rate of operations, limits M. Where a second stage
trains on the evidence with neighbours, these see what points leave: half as many are ever taken, and a
quarter of the rows at most. There each row's small matrices take most of a step, and few steps get far where
rows are many for each coordinate of Z; where they are few it takes many, and a short time is better spent on
fewer points. No clock is read, so the same seed gives the same M.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg
import tensorflow as tf

from svgp.config import Config
from svgp.data import Dataset
from svgp.errors import ModelError, NumericalError
from svgp.inducing import greedy_variance
from svgp.linalg.host.threads import single_threaded_blas
from svgp.models import build_model
from svgp.runs.decisions import (
    GRID,
    affordable_operations,
    fit_operations,
    has_labels,
    has_second_stage,
    most_wanted,
)
from svgp.training import choose, make_method
from svgp.training.device import device_speed

PILOT_ROWS, PILOT_POINTS, PILOT_STEPS = 1000, 64, 15
CURVE_ROWS = 2048  # among which greedy points are taken, and as many again that judge them
WORTH = 0.01  # nats a row that twice as many points must gain
# Noise variances that weigh as much as an observation without Gaussian noise does, at the usual scale of f.
NOISE = {"binary": 2.5, "multiclass": 2.5, "ordinal": 1.0}


def with_count(config: Config, dataset: Dataset) -> tuple[Config, dict[str, Any] | None]:
    """The config with a number for `auto`, and what was weighed: `count`, `rows`, `weighed`, `sentence`."""
    points = config.model.inducing
    if points.count != "auto" or points.init == "file" or config.model.start_from is not None:
        return config, None
    rows = dataset.rows
    targets = len(dataset.columns.target_names)
    second = has_second_stage(config, targets) and rows.in_memory
    most, labels = most_wanted(config, rows.count, rows.in_memory, targets), has_labels(config)
    found = weigh(config, dataset, most, second=second, labels=labels)
    inducing = points.model_copy(update={"count": found["count"]})
    return config.model_copy(update={"model": config.model.model_copy(update={"inducing": inducing})}), found


def weigh(
    config: Config, dataset: Dataset, most: int = GRID[-1], *, second: bool = False, labels: bool = False
) -> dict[str, Any]:
    """How residual, price and cost go with M, and the M that is taken: `most` at most.

    `second`: whether a stage on the evidence takes its share of the time. `labels`: whether rows left out may
    end the training of classes early.
    """
    seed, rows, speed = config.train.seed, dataset.rows.count, device_speed()
    order = np.random.default_rng([seed, 29]).permutation(len(dataset.X))
    kernel, noise, latents, collapsed = _pilot(config, dataset, order[:PILOT_ROWS])
    second = second and collapsed
    half = min(CURVE_ROWS, max(1, (len(order) + 1) // 2))
    chosen, judges = dataset.X[order[:half]], dataset.X[order[half : 2 * half]]
    most = min(rows, most)
    shares, price = residual_curve(chosen, judges if len(judges) else chosen, kernel, noise, seed, most)
    inputs = dataset.X.shape[1]

    def operations(m: int) -> float:
        return fit_operations(
            config.train, m, rows, latents, collapsed,
            second=second, labels=labels, inputs=inputs, speed=speed,
        )  # fmt: skip

    grid = sorted({min(m, most) for m in GRID})
    weighed = [
        {
            "points": m,
            # Where the greedy points end before, more are redundant.
            "residual_share": float(shares[min(m, len(shares)) - 1]),
            "nats_a_row": float(price[min(m, len(price)) - 1]),
            "operations": operations(m),
        }
        for m in grid
    ]
    enough = affordable_operations(config.train, speed)
    exhausted = len(shares) if len(shares) < min(half, most) else None
    count, why = _taken(weighed, exhausted, config.train, enough)
    return {"count": count, "rows": rows, "noise": noise, "weighed": weighed, "sentence": f"{count} {why}"}


def residual_curve(
    X: np.ndarray, judges: np.ndarray, kernel: Any, noise: float, seed: int = 0, most: int = GRID[-1]
) -> tuple[np.ndarray, np.ndarray]:
    """Share of prior variance that 1, 2, ... `most` greedy points leave at `judges`, and its price, `[m]`.

    The price is the mean of `log(1 + d / noise) / 2`, in nats a row. One factorisation serves all m, since
    the first rows of the factor are those of the first points.
    """
    Z, _ = greedy_variance(X, min(len(X), most), kernel, seed=seed)
    prior = kernel.K_diag(judges, dtype=tf.float64).numpy()
    latents = int(np.prod(prior.shape[:-1], dtype=int))
    prior = prior.reshape(latents, len(judges))
    Kuu = kernel.K(Z, dtype=tf.float64).numpy().reshape(latents, len(Z), len(Z))
    Kuf = kernel.K(Z, judges, dtype=tf.float64).numpy().reshape(latents, len(Z), len(judges))
    shares, price = np.zeros(len(Z)), np.zeros(len(Z))
    with single_threaded_blas():
        for covariance, cross, before in zip(Kuu, Kuf, prior, strict=True):
            covariance[np.diag_indices(len(Z))] += 1e-6 * covariance.diagonal().mean()
            A = scipy.linalg.solve_triangular(np.linalg.cholesky(covariance), cross, lower=True)  # [m, n]
            residual = np.maximum(before - np.cumsum(A**2, axis=0), 0.0)
            shares += residual.mean(axis=1) / before.mean() / latents
            price += 0.5 * np.log1p(residual / noise).mean(axis=1) / latents
    return shares, price


def _taken(
    weighed: list[dict[str, Any]], exhausted: int | None, train: Any, enough: float
) -> tuple[int, str]:
    """The fewest points of which more are not worth it, or the most that the time allows."""
    affordable = [row for row in weighed if row["operations"] <= enough] or weighed[:1]
    for row in affordable:
        points, price = row["points"], row["nats_a_row"]
        gain = _doubling(row, weighed)
        if price <= WORTH or gain <= WORTH:
            return points, (
                f"inducing points: twice as many would gain about {gain:.1g} nats a row, any number "
                f"{price:.1g}"
            )
        if exhausted is not None and points >= exhausted:
            return points, "inducing points: more would be redundant"
    last = affordable[-1]
    if last is weighed[-1]:
        return last["points"], "inducing points: as many as are ever taken unasked"
    given = "ten minutes allow" if train.max_seconds is None else "train.max_seconds allows"
    return last["points"], (
        f"inducing points, as many as {given}; more could gain up to {last['nats_a_row']:.1g} nats a row"
    )


def _doubling(row: dict[str, Any], weighed: list[dict[str, Any]]) -> float:
    """What doubling the points is worth, on the way to that number of them for which it is worth most.

    Eight points of a field with a hundred hills gain next to nothing by eight more.
    """
    points, price = row["points"], row["nats_a_row"]
    more = [other for other in weighed if other["points"] >= 2 * points - 1]
    slopes = [(price - other["nats_a_row"]) / np.log2(other["points"] / points) for other in more]
    return float(max(slopes, default=price))


def _pilot(config: Config, dataset: Dataset, rows: np.ndarray) -> tuple[Any, float, int, bool]:
    """A kernel, and a noise variance in the units of f, from a short fit to the `rows` of the sample.

    And how many latent GPs there are whose steps cost as much each, and whether q(u) will have a closed form.
    """
    few = {
        "count": min(PILOT_POINTS, len(rows)),
        "init": "kmeans",
        "replace_redundant": False,
        "shared": True,
    }
    model_config = config.model.model_copy(
        update={
            "inducing": config.model.inducing.model_copy(update=few),
            "neighbours": config.model.neighbours.model_copy(update={"count": 0}),
        }
    )
    X, Y, seed = dataset.X[rows], dataset.Y[rows], config.train.seed
    model, _ = build_model(model_config, X, Y, columns=dataset.columns, num_data=len(X), seed=seed)
    once = choose(model, dataset.rows.count, config.train).method.name == "collapsed"
    latents = 1 if once else model.num_latent
    if model.likelihood.noise is None:
        level = float(np.nanmean(np.abs(Y))) if dataset.columns.task == "count" else 1.0
        return model.kernel, NOISE.get(dataset.columns.task, 1.0 / max(level, 1e-3)), latents, once
    if model.bound.is_elbo and config.model.posterior.type == "full":
        update = {"method": "collapsed", "subset_rows": None, "max_seconds": None, "max_epochs": None}
        try:
            method = make_method(model, X, Y, config.train.model_copy(update={**update, "max_steps": None}))
            for _ in range(PILOT_STEPS):
                if not method.converged:
                    method.advance()
        except (ModelError, NumericalError):
            pass  # no closed form for this model: the starting values serve
    noise = np.asarray(model.likelihood.noise_variance(tf.constant(Y, model.dtype)), np.float64)
    return model.kernel, max(float(np.mean(noise)), 1e-9), latents, once
