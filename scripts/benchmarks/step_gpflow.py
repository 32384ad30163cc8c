"""A training step of GPflow."""

from __future__ import annotations

import gpflow
import numpy as np
import tensorflow as tf
import tf_keras

from benchmarks.step_case import LEARNING_RATE, NOISE, NUM_DATA, Case, Numbers, serve


class Gpflow:
    """gpflow.models.SVGP and Keras's fused Adam in one tf.function."""

    def __init__(self, case: Case, given: Numbers) -> None:
        gpflow.config.set_default_float(np.dtype(case.float_type).type)
        gpflow.config.set_default_jitter(case.jitter)
        self.model = gpflow.models.SVGP(
            gpflow.kernels.Matern32(variance=1.0, lengthscales=given.lengthscales),
            gpflow.likelihoods.Gaussian(NOISE),
            given.Z,
            q_mu=given.q_mean[:, None],
            q_sqrt=given.q_sqrt[None],
            whiten=case.whiten,
            num_data=NUM_DATA,
        )
        self._data = (tf.constant(given.X), tf.constant(given.Y))
        # The class that ends in the fused ResourceApplyAdam: faster than its successors on a CPU.
        self._optimiser = tf_keras.optimizers.legacy.Adam(LEARNING_RATE)
        self._step = tf.function(self._update, autograph=False)

    def step(self) -> float:
        return float(self._step(*self._data))

    def gradients(self) -> dict[str, np.ndarray]:
        model = self.model
        parameters = {
            "Z": model.inducing_variable.Z,
            "q_mean": model.q_mu,
            "q_sqrt": model.q_sqrt,
            "variance": model.kernel.variance,
            "lengthscales": model.kernel.lengthscales,
            "noise": model.likelihood.variance,
        }
        variables = [parameter.unconstrained_variable for parameter in parameters.values()]

        @tf.function(autograph=False)
        def value_and_gradients() -> tuple[tf.Tensor, list[tf.Tensor]]:
            with tf.GradientTape() as tape:
                elbo = model.elbo(self._data)
            return elbo, tape.gradient(elbo, variables)

        elbo, gradients = value_and_gradients()
        found = {"elbo": elbo}
        for (name, parameter), u, gradient in zip(parameters.items(), variables, gradients, strict=True):
            if name in ("variance", "lengthscales", "noise"):
                gradient /= tf.exp(parameter.transform.forward_log_det_jacobian(u, event_ndims=0))
            elif name == "q_sqrt":  # a permutation into a lower triangle
                gradient = parameter.transform.forward(gradient)[0]
            elif name == "q_mean":
                gradient = gradient[:, 0]
            found[name] = gradient
        return {name: np.asarray(value) for name, value in found.items()}

    def _update(self, X: tf.Tensor, Y: tf.Tensor) -> tf.Tensor:
        variables = self.model.trainable_variables
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            loss = self.model.training_loss((X, Y))
        gradients = tape.gradient(loss, variables)
        self._optimiser.apply_gradients(zip(gradients, variables, strict=True))
        return -loss


if __name__ == "__main__":
    serve(Gpflow)
