"""What a likelihood is: how observations Y arise from function values F."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from svgp.errors import ModelError
from svgp.likelihoods.quadrature import expectation, log_expectation


class Likelihood(tf.Module):
    """p(y | f), independent over rows and outputs; output p depends on latent function p alone.

    Function values and observations share the shape [N, P]; observations may also be [N] where
    P = 1. Anything else raises ModelError: rows are never broadcast against rows. Subclasses give
    elementwise formulas; what has no closed form goes through 20-point Gauss-Hermite quadrature.
    `task` is "regression", "binary" or "count".
    """

    task: str

    def __init__(self, *, dtype: tf.DType = tf.float64, name: str | None = None) -> None:
        super().__init__(name=name)
        self.dtype = tf.as_dtype(dtype)

    def log_prob(self, F: Any, Y: Any) -> tf.Tensor:
        """log p(Y | F), natural log, summed over outputs. Shapes: F [N, P], Y [N, P] -> [N]."""
        F, _, Y = self._matched(F, None, Y)  # [N, P]
        return tf.reduce_sum(self._log_density(F, Y), -1)  # [N]

    def expected_log_likelihood(self, f_mean: Any, f_var: Any, Y: Any) -> tf.Tensor:
        """E[log p(Y | f)] under f ~ N(f_mean, f_var), the data term of the ELBO.

        Shapes: f_mean, f_var, Y [N, P] -> [N].
        """
        f_mean, f_var, Y = self._matched(f_mean, f_var, Y)  # [N, P]
        return tf.reduce_sum(self._expected_log_density(f_mean, f_var, Y), -1)  # [N]

    def predict_log_density(self, f_mean: Any, f_var: Any, Y: Any) -> tf.Tensor:
        """log E[p(Y | f)] under f ~ N(f_mean, f_var). Shapes: f_mean, f_var, Y [N, P] -> [N]."""
        f_mean, f_var, Y = self._matched(f_mean, f_var, Y)  # [N, P]
        return tf.reduce_sum(self._predictive_log_density(f_mean, f_var, Y), -1)  # [N]

    def predict_mean_and_var(self, f_mean: Any, f_var: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """Mean and variance of y under f ~ N(f_mean, f_var). Shapes: [N, P] -> [N, P], [N, P]."""
        f_mean, f_var = self._tensor(f_mean), self._tensor(f_var)
        return self._predictive_moments(f_mean, f_var)  # [N, P], [N, P]

    def conditional_mean(self, F: Any) -> tf.Tensor:
        """E[y | f]: the mean of observations where the function is F [..., N, P]; same shape."""
        return self._moments(self._tensor(F))[0]

    def predict_quantiles(self, f_mean: Any, f_var: Any, levels: Sequence[float]) -> tf.Tensor:
        """Quantiles of y at probabilities `levels` under f ~ N(f_mean, f_var), nondecreasing in the level.

        Shapes: f_mean, f_var [N, P], Q levels -> [N, P, Q]. Raises ModelError where a level is not
        strictly between 0 and 1, or where quantiles have no meaning (classes).
        """
        probabilities = np.asarray(levels, self.dtype.as_numpy_dtype).reshape(-1)
        if not np.all((probabilities > 0.0) & (probabilities < 1.0)):
            raise ModelError(f"{self.name}: quantile levels must lie between 0 and 1, got {list(levels)}")
        f_mean, f_var = self._tensor(f_mean), self._tensor(f_var)  # [N, P]
        return self._quantiles(f_mean, f_var, tf.constant(probabilities))  # [N, P, Q]

    @abstractmethod
    def _log_density(self, F: tf.Tensor, Y: tf.Tensor) -> tf.Tensor:
        """log p(y | f), elementwise; F may have leading dimensions more than Y."""

    @abstractmethod
    def _moments(self, F: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Mean and variance of y given f, elementwise."""

    @abstractmethod
    def _quantiles(self, f_mean: tf.Tensor, f_var: tf.Tensor, levels: tf.Tensor) -> tf.Tensor:
        """Quantiles of y, [N, P, Q]."""

    def _expected_log_density(self, f_mean: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor) -> tf.Tensor:
        return expectation(lambda F: self._log_density(F, Y), f_mean, f_var)  # [N, P]

    def _predictive_moments(self, f_mean: tf.Tensor, f_var: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        mean = expectation(lambda F: self._moments(F)[0], f_mean, f_var)  # [N, P]
        # The law of total variance, centred: no difference of large squares.
        variance = expectation(
            lambda F: self._moments(F)[1] + (self._moments(F)[0] - mean) ** 2, f_mean, f_var
        )
        return mean, variance

    def _predictive_log_density(self, f_mean: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor) -> tf.Tensor:
        return log_expectation(lambda F: self._log_density(F, Y), f_mean, f_var)  # [N, P]

    def _tensor(self, value: Any) -> tf.Tensor:
        return tf.cast(tf.convert_to_tensor(value, dtype_hint=self.dtype), self.dtype)

    def _matched(self, F: Any, f_var: Any, Y: Any) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """F, its variance (F again where None) and Y as [N, P] tensors of one shape."""
        F, Y = self._tensor(F), self._tensor(Y)
        f_var = F if f_var is None else self._tensor(f_var)
        columns = Y[:, None] if Y.shape.rank == 1 else Y  # [N, P]
        if F.shape.rank != 2 or not (F.shape.is_compatible_with(columns.shape)):
            raise ModelError(
                f"{self.name}: function values have shape {F.shape} and observations {Y.shape}; "
                "expected [N, P] for both (or [N] where P = 1): one column for each latent GP"
            )
        if not F.shape.is_compatible_with(f_var.shape):
            raise ModelError(
                f"{self.name}: means have shape {F.shape}, variances {f_var.shape}; expected the same"
            )
        if not (F.shape.is_fully_defined() and columns.shape.is_fully_defined()):
            # Rows that are known only when the graph runs must fail there, not broadcast.
            same = tf.debugging.assert_equal(
                tf.shape(columns), tf.shape(F), f"{self.name}: rows of F and Y differ"
            )
            with tf.control_dependencies([same]):
                columns = tf.identity(columns)
        return F, f_var, columns
