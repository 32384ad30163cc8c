"""A training step of GPJax."""

from __future__ import annotations

import equinox
import gpjax
import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.step_case import LEARNING_RATE, NOISE, NUM_DATA, Case, Numbers, serve


class Gpjax:
    """A variational family of GPJax, its elbo, and optax's Adam in one jitted step, as its `fit` has them."""

    def __init__(self, case: Case, given: Numbers) -> None:
        jax.config.update("jax_enable_x64", case.float_type == "float64")
        kernel = gpjax.kernels.Matern32(lengthscale=jnp.asarray(given.lengthscales), variance=1.0)
        prior = gpjax.gps.Prior(kernel=kernel, mean_function=gpjax.mean_functions.Zero(), jitter=case.jitter)
        families = gpjax.variational_families
        family = families.WhitenedVariationalGaussian if case.whiten else families.VariationalGaussian
        self._family = family(
            model=prior * gpjax.likelihoods.Gaussian(obs_stddev=NOISE**0.5),
            inducing_inputs=jnp.asarray(given.Z),
            variational_mean=jnp.asarray(given.q_mean[:, None]),
            variational_root_covariance=jnp.asarray(given.q_sqrt),
        )
        self._data = gpjax.Dataset(X=jnp.asarray(given.X), y=jnp.asarray(given.Y), n_total=NUM_DATA)
        optimiser = optax.adam(LEARNING_RATE)
        self._state = optimiser.init(equinox.filter(self._family, equinox.is_array))

        @equinox.filter_jit(donate="all-except-first")
        def update(data: gpjax.Dataset, family: equinox.Module, state: tuple) -> tuple:
            value, gradients = equinox.filter_value_and_grad(_loss)(family, data)
            updates, state = optimiser.update(gradients, state, equinox.filter(family, equinox.is_array))
            return equinox.apply_updates(family, updates), state, value

        self._update = update

    def step(self) -> float:
        self._family, self._state, loss = self._update(self._data, self._family, self._state)
        return -float(loss)

    def gradients(self) -> dict[str, np.ndarray]:
        """The ELBO alone: its parameters are transformed by bijections of their own."""
        return {"elbo": -np.asarray(equinox.filter_jit(_loss)(self._family, self._data))}


def _loss(family: equinox.Module, data: gpjax.Dataset) -> jax.Array:
    return -gpjax.objectives.elbo(family, data)


if __name__ == "__main__":
    serve(Gpjax)
