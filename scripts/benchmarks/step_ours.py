"""A training step of svgp."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.step_case import LEARNING_RATE, NOISE, NUM_DATA, Case, Numbers, serve
from svgp.kernels import Matern32
from svgp.likelihoods import Gaussian
from svgp.linalg.host.memory import keep_memory
from svgp.models import SVGP
from svgp.training.methods.adam import AdamOptimiser


class Ours:
    """svgp.models.SVGP and its Adam in one tf.function."""

    jit_compile = False

    def __init__(self, case: Case, given: Numbers) -> None:
        keep_memory()  # as a run does
        dtype = tf.as_dtype(case.float_type)
        self.model = SVGP(
            Matern32(variance=1.0, lengthscales=given.lengthscales, dtype=dtype),
            Gaussian(variance=NOISE, dtype=dtype),
            given.Z,
            num_data=NUM_DATA,
            whiten=case.whiten,
            q_mean=given.q_mean,
            q_sqrt=given.q_sqrt,
            jitter=case.jitter,
            batch_dtype=tf.float32 if case.dtype == "mixed" else dtype,
        )
        self._data = (tf.constant(given.X), tf.constant(given.Y))
        self._variables = self.model.trainable_variables
        self._optimiser = AdamOptimiser(self._variables, LEARNING_RATE)
        self._step = tf.function(self._update, autograph=False, jit_compile=self.jit_compile)

    def step(self) -> float:
        return float(self._step(*self._data))

    def gradients(self) -> dict[str, np.ndarray]:
        elbo, gradients = tf.function(self._loss_gradients, autograph=False)(*self._data)
        by_variable = {v.ref(): -g for v, g in zip(self._variables, gradients, strict=True)}
        model = self.model
        positive = {
            "variance": model.kernel.variance,
            "lengthscales": model.kernel.lengthscales,
            "noise": model.likelihood.variance,
        }
        found = {"elbo": -elbo, "Z": by_variable[model.Z.ref()], "q_mean": by_variable[model.q_mean.ref()][0]}
        found["q_sqrt"] = tf.linalg.band_part(by_variable[model.q_sqrt.ref()][0], -1, 0)
        for name, parameter in positive.items():
            u = parameter.pretransformed_input
            slope = tf.exp(parameter.bijector.forward_log_det_jacobian(u, event_ndims=0))
            found[name] = by_variable[u.ref()] / slope
        return {name: np.asarray(value) for name, value in found.items()}

    def _loss_gradients(self, X: tf.Tensor, Y: tf.Tensor) -> tuple[tf.Tensor, list[Any]]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self._variables)
            loss = -self.model.elbo((X, Y))
        return loss, tape.gradient(loss, self._variables)

    def _update(self, X: tf.Tensor, Y: tf.Tensor) -> tf.Tensor:
        loss, gradients = self._loss_gradients(X, Y)
        self._optimiser.apply(gradients)
        return -loss


if __name__ == "__main__":
    serve(Ours)
