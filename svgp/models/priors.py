"""Priors on hyperparameters: what turns the maximum of a bound into a maximum a posteriori (MAP)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf

from svgp.config.priors import PRIOR_ROLES, GammaPrior, Prior, PriorsConfig
from svgp.parameters import Hyperparameter, own_hyperparameters


def set_priors(model: Any, config: PriorsConfig) -> None:
    """Give `model` the priors of a config; `log_prior` and the training methods then know of them."""
    model.priors = config if any(True for _ in config.given) else None


def has_priors(model: Any) -> bool:
    """Whether there is anything for `log_prior` to add."""
    return model.priors is not None


def log_prior(model: Any) -> tf.Tensor:
    """`sum log p(theta)` over the model's hyperparameters that have a prior, in nats, a scalar.

    The density is of theta itself (a lengthscale, a variance), not of the unconstrained variable behind it:
    the maximum does not depend on how theta is represented. A kernel that is a sum or a product has the prior
    on each part; for several lengthscales or latent GPs it is on each number. Differentiable; zero without
    priors.
    """
    total = tf.zeros([], model.dtype)
    if not has_priors(model):
        return total
    for name, prior in model.priors.given:
        for parameter in _parameters(model, *PRIOR_ROLES[name]):
            total += tf.reduce_sum(_log_density(prior, tf.convert_to_tensor(parameter)))
    return total


def with_prior_gradients(
    model: Any, variables: Sequence[tf.Variable], gradients: Sequence[tf.Tensor]
) -> list[tf.Tensor]:
    """`gradients` of a bound by `variables`, with those of `log_prior` added: of the log joint density."""
    if not has_priors(model):
        return list(gradients)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(variables)
        value = log_prior(model)
    own = tape.gradient(value, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return [g + tf.cast(o, g.dtype) for g, o in zip(gradients, own, strict=True)]


def _parameters(model: Any, owners: Sequence[str], roles: set[str]) -> Iterator[Any]:
    found: list[Hyperparameter] = []
    if "kernel" in owners:
        found += model.kernel.hyperparameters(None)
    if "likelihood" in owners:
        for module in (model.likelihood, *model.likelihood.submodules):
            found += own_hyperparameters(module)
    return (one.parameter for one in found if one.role in roles)


def _log_density(prior: Prior, x: tf.Tensor) -> tf.Tensor:
    """Elementwise, by formula: to make one of TFP's distributions takes a hundred times as long."""
    log_x = tf.math.log(x)
    if isinstance(prior, GammaPrior):
        constant = prior.shape * math.log(prior.rate) - math.lgamma(prior.shape)
        return (prior.shape - 1.0) * log_x - prior.rate * x + constant
    constant = -math.log(prior.sigma) - 0.5 * math.log(2.0 * math.pi)
    return constant - log_x - 0.5 * ((log_x - math.log(prior.median)) / prior.sigma) ** 2
