"""What natural-gradient posteriors share: the prior at a batch, the batch's bound, and their gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from svgp.models.dual.algebra import RowGradients
from svgp.models.svgp import SVGP
from svgp.replicas import replicas
from svgp.workers import present

WIDE = tf.float64  # of everything that is M by M, whatever the model's precision


class BatchPrior(NamedTuple):
    """Kernel matrices and mean function at a batch."""

    Kuu: tf.Tensor  # [1 or L, M, M] without jitter
    Kuf: tf.Tensor  # [1 or L, M, B]
    kff: tf.Tensor  # [1 or L, B]
    mean: tf.Tensor  # [B, Q] of the functions that the likelihood reads


class DataTerm(NamedTuple):
    """The expected log-likelihood of the data set as a batch estimates it, and its derivatives."""

    value: tf.Tensor  # [] nats
    rows: RowGradients  # [L, B] each
    prior_mean: tf.Tensor  # [B, Q] by the mean function's values
    variables: list[tf.Tensor]  # by likelihood and bound alone, in the order of the hyperparameters


class Outcome(NamedTuple):
    """A proposed step: nothing is assigned yet."""

    elbo: tf.Tensor  # [] at the batch
    expected_log_likelihood: tf.Tensor  # []
    kl: tf.Tensor  # []
    jitter: tf.Tensor  # []
    repairs: tf.Tensor  # [] int32
    rho: tf.Tensor  # [] natural-gradient step taken
    retries: tf.Tensor  # [] int32: how often it was shortened
    gradients: list[tf.Tensor]  # of the bound, by each hyperparameter
    state: list[tf.Tensor]  # new values of the posterior's variables


def hyperparameters(model: SVGP) -> list[tf.Variable]:
    """The model's trainable variables other than q's own."""
    own = (model.q_mean.ref(), model.q_sqrt.ref())
    return [x for x in model.trainable_variables if x.ref() not in own]


def batch_prior(model: SVGP, X: tf.Tensor) -> BatchPrior:
    """Differentiable in kernel, Z and mean function."""
    Kuf = model.kernel.K(model.Z, X, dtype=model.batch_dtype)
    matrices = (_stacked(x, rank) for x, rank in ((model.Kuu(), 3), (Kuf, 3), (model.kernel.K_diag(X), 2)))
    mean = model.mean(X) + tf.zeros([tf.shape(X)[0], model.num_functions], model.dtype)
    return BatchPrior(*(tf.cast(x, WIDE) for x in (*matrices, mean)))


def batch_scale(model: SVGP, X: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """N / B and N as float64; B is the batch of all workers together."""
    rows = present().sum_flat(tf.cast(tf.shape(X)[:1], WIDE))[0]
    total = rows if model.num_data is None else tf.constant(float(model.num_data), WIDE)
    return total / rows, total


def data_value(
    model: SVGP, mean: tf.Tensor, explained: tf.Tensor, residual: tf.Tensor, prior_mean: tf.Tensor,
    Y: tf.Tensor, scale: tuple[tf.Tensor, tf.Tensor],
) -> tf.Tensor:  # fmt: skip
    """The scaled expected log-likelihood for marginals [L, B] of q(f) without the mean function.

    Of rows of one device: those of all devices and workers add up (`summed`) to that of the batch.
    """
    functions = model.outputs.functions(*(tf.transpose(x) for x in (mean, explained, residual)))  # [B, Q]
    mean = tf.cast(functions[0] + prior_mean, model.dtype)
    explained, residual = (tf.cast(x, model.dtype) for x in functions[1:])
    per_row, per_data_set = model.bound.terms(model, mean, explained, residual, Y)  # [B], []
    share = scale[1] / (present().count * replicas().count)  # of what is no sum over rows
    return scale[0] * tf.cast(tf.reduce_sum(per_row), WIDE) + share * tf.cast(per_data_set, WIDE)


def summed(*tensors: tf.Tensor) -> list[tf.Tensor]:
    """The sums of a worker's tensors over all workers; what they are, where there is but one."""
    return present().sum_tensors(tensors)


def data_term(
    model: SVGP, variables: Sequence[tf.Variable], mean: tf.Tensor, explained: tf.Tensor,
    residual: tf.Tensor, prior_mean: tf.Tensor, Y: tf.Tensor, scale: tuple[tf.Tensor, tf.Tensor],
) -> DataTerm:  # fmt: skip
    """`data_value` with its derivatives; a residual below zero (rounding) counts as zero."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch([mean, explained, residual, prior_mean, *variables])
        value = data_value(model, mean, explained, tf.maximum(residual, 0.0), prior_mean, Y, scale)
    sources = [mean, explained, residual, prior_mean, *variables]
    found = tape.gradient(value, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return DataTerm(value, RowGradients(*found[:3]), found[3], [tf.convert_to_tensor(x) for x in found[4:]])


def _stacked(x: tf.Tensor, rank: int) -> tf.Tensor:
    return x if x.shape.rank == rank else x[None]
