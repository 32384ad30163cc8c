"""GPflow: SVGP by Adam, SVGP by natural gradients and Adam, SGPR by L-BFGS-B."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gpflow
import numpy as np
import tensorflow as tf
import tf_keras

from benchmarks.quality_problem import Problem
from benchmarks.quality_trainer import (
    GAMMA,
    LEARNING_RATE,
    START_NOISE,
    START_VARIANCE,
    Prediction,
    Settings,
    minibatches,
    serve,
    start_lengthscales,
)


class Gpflow:
    """`settings.method`: adam, natgrad or sgpr. SVGPs are whitened, GPflow's default."""

    def __init__(self, problem: Problem, settings: Settings) -> None:
        gpflow.config.set_default_float(np.dtype(settings.dtype).type)
        own = Problem(*(array.astype(settings.dtype) for array in problem))
        kernel = gpflow.kernels.Matern32(variance=START_VARIANCE, lengthscales=start_lengthscales(problem.X))
        self._test, self._problem, self._settings = (own.X_test, own.Y_test), problem, settings
        self.label = settings.method
        self.model: Any
        if settings.method == "sgpr":
            self.model = gpflow.models.SGPR(
                (own.X, own.Y),
                kernel,
                inducing_variable=own.Z,
                likelihood=gpflow.likelihoods.Gaussian(START_NOISE),
            )
        else:
            self.model = gpflow.models.SVGP(
                kernel, gpflow.likelihoods.Gaussian(START_NOISE), own.Z, num_data=len(own.X)
            )
        self._predict = tf.function(self._predict_test, autograph=False)

    def train(self, tick: Callable[[], None]) -> None:
        if self._settings.method == "sgpr":
            return self._lbfgs(tick)
        step = self._adam() if self._settings.method == "adam" else self._natural_gradients()
        batch = minibatches(self._problem, self._settings)
        while True:
            step(*batch())
            tick()

    def predict(self) -> Prediction:
        return Prediction(*(part.numpy() for part in self._predict(*self._test)))

    def _predict_test(self, X: tf.Tensor, Y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        q = self.model.predict_f(X)
        mean, variance = self.model.likelihood.predict_mean_and_var(X, *q)
        return mean, variance, self.model.likelihood.predict_log_density(X, *q, Y)

    def _compiled(self, update: Callable[[tf.Tensor, tf.Tensor], None]) -> Callable[..., Any]:
        dtype, D = self._settings.dtype, self._problem.X.shape[1]
        signature = [tf.TensorSpec([None, columns], dtype) for columns in (D, 1)]
        return tf.function(update, autograph=False, input_signature=signature)

    def _adam(self) -> Callable[..., Any]:
        optimiser = tf_keras.optimizers.legacy.Adam(LEARNING_RATE)

        def update(X: tf.Tensor, Y: tf.Tensor) -> None:
            variables = self.model.trainable_variables
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(variables)
                loss = self.model.training_loss((X, Y))
            optimiser.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

        return self._compiled(update)

    def _natural_gradients(self) -> Callable[..., Any]:
        gpflow.set_trainable(self.model.q_mu, False)
        gpflow.set_trainable(self.model.q_sqrt, False)
        natural, adam = gpflow.optimizers.NaturalGradient(gamma=GAMMA), self._adam()

        def update(X: tf.Tensor, Y: tf.Tensor) -> None:
            natural.minimize(lambda: self.model.training_loss((X, Y)), [(self.model.q_mu, self.model.q_sqrt)])
            adam(X, Y)

        return self._compiled(update)

    def _lbfgs(self, tick: Callable[[], None]) -> None:
        variables = self.model.trainable_variables

        def after(step: int, moved: Any, values: Any) -> None:
            for variable, value in zip(moved, values, strict=True):  # the last trial may be another point
                variable.assign(value)
            tick()

        gpflow.optimizers.Scipy().minimize(
            self.model.training_loss,
            variables,
            step_callback=after,
            options={"maxiter": 10**9, "maxfun": 10**9},
        )


if __name__ == "__main__":
    serve(Gpflow)
