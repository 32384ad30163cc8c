"""Where several outputs start: mixing weights, and a kernel for each latent GP that has its own."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from svgp import kernels
from svgp.config.outputs import OutputsConfig
from svgp.models.outputs import Coregion, Mixing, Outputs, principal_weights
from svgp.models.start.values import StartValues, lengthscales_of

LEAST_OWN = 0.05  # of a target's variance: where kappa starts at least
FEWER_ROWS = 200  # for the evidence of each of several latents


class OutputStart(NamedTuple):
    """What `build_model` needs besides what a single output takes."""

    outputs: Outputs
    kernel: kernels.Kernel
    latents: int
    noise_scale: np.ndarray  # [P] variance of which noise takes its share


def start_outputs(
    config: Any, X: np.ndarray, functions: int, start: StartValues, *, kernel_of: Any, seed: int
) -> OutputStart:
    """Mixing, kernels and noise for Q functions; `kernel_of(lengthscales, variance)` builds one kernel.

    Mixed, W and the latents come from the principal components of the targets: each latent's lengthscales
    from the evidence of its component's scores, the noise from what the components leave out.
    """
    settings: OutputsConfig = config.outputs
    g, variance = start.regressed, float(np.mean(start.variance))  # [N, P]
    if settings.type == "independent":
        if not config.separate_kernels or functions == 1:
            kernel = kernel_of(start.lengthscales, variance)
            return OutputStart(Outputs(), kernel, functions, start.noise_scale)
        columns = g if g is not None and g.shape[1] == functions else None
        parts = _kernels(config, X, columns, functions, start, start.variance, kernel_of, seed)
        return OutputStart(Outputs(), parts, functions, start.noise_scale)
    latents = settings.latent_count(functions)
    rank = latents - functions if settings.type == "icm" else latents
    if g is None or g.shape[1] != functions:
        spread = np.full(functions, variance)
        W, scores, noise = _arbitrary(functions, rank, variance, seed), None, start.noise_scale
        rest = LEAST_OWN * spread
    else:
        spread = g.var(axis=0)
        W, rest = principal_weights(g, rank, spread)
        scores = (g - g.mean(axis=0)) @ np.linalg.pinv(W).T  # [N, R]
        W, rest, spread = start.stretch * W, start.stretch**2 * rest, start.stretch**2 * spread
        noise = np.maximum(start.noise_scale, 10.0 * rest)  # of which a tenth is where noise starts
    dtype = kernel_of(start.lengthscales, 1.0).dtype
    if settings.type == "icm":
        own = np.maximum(rest, LEAST_OWN * np.maximum(spread, 1e-12))
        outputs: Mixing = Coregion(W, own, dtype=dtype)
        return OutputStart(outputs, kernel_of(start.lengthscales, 1.0), latents, start.noise_scale)
    outputs = Mixing(W, dtype=dtype)
    if not settings.separate:
        return OutputStart(outputs, kernel_of(start.lengthscales, 1.0), latents, noise)
    return OutputStart(
        outputs, _kernels(config, X, scores, latents, start, 1.0, kernel_of, seed), latents, noise
    )


def empty_outputs(settings: OutputsConfig, functions: int, latents: int, dtype: tf.DType) -> Outputs:
    """The structure alone, to be loaded into."""
    if settings.type == "independent":
        return Outputs()
    if settings.type == "icm":
        return Coregion(np.ones((functions, latents - functions)), np.ones(functions), dtype=dtype)
    return Mixing(np.ones((functions, latents)), dtype=dtype)


def empty_kernel(config: Any, latents: int, kernel_of: Any) -> kernels.Kernel:
    """The same of the kernel, for a `model` section; `kernel_of()` builds one."""
    if config.outputs.type != "icm" and config.separate_kernels and latents > 1:
        return kernels.Separate([kernel_of() for _ in range(latents)])
    return kernel_of()


def _kernels(
    config: Any, X: np.ndarray, g: np.ndarray | None, latents: int, start: StartValues,
    variance: float | np.ndarray, kernel_of: Any, seed: int,
) -> kernels.Kernel:  # fmt: skip
    """A kernel for each latent, with lengthscales by the evidence of its column of g [N, <= L]."""
    variances = np.broadcast_to(variance, latents).tolist()
    if latents == 1:
        return kernel_of(start.lengthscales, variances[0])
    found = []
    for place in range(latents):
        lengthscales = start.lengthscales
        if g is not None and place < g.shape[1]:
            column = g[:, place : place + 1]
            own = lengthscales_of(config, X, column, seed=seed, subset=FEWER_ROWS)
            lengthscales = start.stretch * own
        found.append(kernel_of(lengthscales, variances[place]))
    return kernels.Separate(found)


def _arbitrary(functions: int, latents: int, variance: float, seed: int) -> np.ndarray:
    """W [Q, L] where the targets say nothing of it: each function mostly its own latent."""
    W = 0.3 * np.random.default_rng([seed, 5]).normal(size=(functions, latents))
    W[np.arange(functions), np.arange(functions) % latents] += 1.0
    return W * np.sqrt(variance / np.sum(W**2, axis=1, keepdims=True))
